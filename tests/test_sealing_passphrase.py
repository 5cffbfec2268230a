"""Private keys as encrypted PKCS#8: OpenSSL opens what certgen closes, and the other way round."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certgen.encoders.pem import encode_private_key
from certgen.sealing.passphrase import LONGEST, PassphraseSeal, is_sealed
from certgen.sealing.port import BadSecretError, CannotOpenError, PrivateKey

KEY = encode_private_key(ec.generate_private_key(ec.SECP256R1()))


def openssl(*arguments: str, given: bytes) -> bytes:
    command = ["openssl", "pkcs8", "-topk8", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def test_openssl_opens_what_certgen_closed() -> None:
    sealed = PassphraseSeal(b"open sesame").seal(PrivateKey(KEY))
    assert is_sealed(sealed)
    assert not is_sealed(KEY)
    assert openssl("-nocrypt", "-passin", "pass:open sesame", given=sealed) == KEY
    with pytest.raises(subprocess.CalledProcessError):
        openssl("-nocrypt", "-passin", "pass:another", given=sealed)


def test_certgen_opens_what_openssl_closed() -> None:
    sealed = openssl("-passout", "pass:öpen", given=KEY)
    assert PassphraseSeal("öpen".encode()).unseal(sealed).pem == KEY


def test_the_old_form_counts_as_sealed_too(tmp_path: Path) -> None:
    command = ["openssl", "ec", "-aes128", "-passout", "pass:x"]
    old = subprocess.run(command, input=KEY, capture_output=True, check=True, cwd=tmp_path).stdout
    assert b"Proc-Type: 4,ENCRYPTED" in old
    assert is_sealed(old)
    assert PassphraseSeal(b"x").unseal(old).pem == KEY


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(CannotOpenError, match="another one"):
        PassphraseSeal(b"b").unseal(PassphraseSeal(b"a").seal(PrivateKey(KEY)))


@pytest.mark.parametrize("content", [b"", b"hello", KEY[:60]])
def test_what_is_no_key_cannot_be_opened(content: bytes) -> None:
    with pytest.raises(CannotOpenError):
        PassphraseSeal(b"a").unseal(content)


@pytest.mark.parametrize(("passphrase", "why"), [(b"", "empty"), (b"x" * (LONGEST + 1), "more than 1023 bytes")])
def test_a_passphrase_that_openssl_would_not_take_is_refused(passphrase: bytes, why: str) -> None:
    with pytest.raises(BadSecretError, match=why):
        PassphraseSeal(passphrase)


def test_the_longest_is_taken() -> None:
    seal = PassphraseSeal(b"x" * LONGEST)
    assert openssl("-nocrypt", "-passin", f"pass:{'x' * LONGEST}", given=seal.seal(PrivateKey(KEY))) == KEY
