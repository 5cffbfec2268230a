"""Contexts from an entry's files: one version, strict, no ticket; and in words why files are of no use."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from foreign.hierarchy import CLIENT, SERVER, Wish, certify, end_entity_extensions, make_ca, new_key, write_pem
from proving import key_pem

from certgen.tls.contexts import (
    Credentials,
    MismatchedPairError,
    UnusableCredentialsError,
    Version,
    client_context,
    server_context,
)

NO_CHECK_TIME = 0x200000
ROOT = make_ca("Shop Root", "ecdsa-p256")
KEY = new_key("ecdsa-p256")
ANCHORS = ROOT.certificate.public_bytes(Encoding.PEM)


@pytest.fixture
def own(tmp_path: Path) -> Credentials:
    wish = Wish("api", end_entity_extensions((SERVER, CLIENT), ()))
    write_pem(tmp_path / "cert.pem", certify(wish, KEY, ROOT))
    (tmp_path / "key.pem").write_bytes(key_pem(KEY))
    return Credentials(tmp_path / "cert.pem", tmp_path / "key.pem")


# What a context demands


@pytest.mark.parametrize("version", [*Version, None])
def test_a_context_speaks_the_one_version_that_is_asked_for_or_both(own: Credentials, version: Version | None) -> None:
    for context in (server_context(own, ANCHORS, version), client_context(own, ANCHORS, version)):
        limits = (context.minimum_version, context.maximum_version)
        wanted = (version.value, version.value) if version else (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        assert limits == wanted


def test_a_version_is_called_as_people_call_it() -> None:
    assert [str(version) for version in Version] == ["TLS 1.2", "TLS 1.3"]


def test_every_context_is_strict_and_only_one_that_is_told_so_ignores_time(own: Credentials) -> None:
    for ignores in (False, True):
        contexts = (
            server_context(own, ANCHORS, ignores_time=ignores),
            client_context(own, ANCHORS, ignores_time=ignores),
            client_context(None, None, ignores_time=ignores),
        )
        for context in contexts:
            assert context.verify_flags & ssl.VERIFY_X509_STRICT
            assert bool(context.verify_flags & NO_CHECK_TIME) is ignores


def test_a_server_requires_a_certificate_and_gives_no_ticket_that_outlives_a_revocation(own: Credentials) -> None:
    context = server_context(own, ANCHORS)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.num_tickets == 0
    assert context.options & ssl.OP_NO_TICKET


def test_a_client_checks_certificate_and_name_unless_it_has_no_anchors(own: Credentials) -> None:
    checking = client_context(own, ANCHORS)
    assert (checking.verify_mode, checking.check_hostname) == (ssl.CERT_REQUIRED, True)
    nameless = client_context(own, ANCHORS, checks_name=False)
    assert (nameless.verify_mode, nameless.check_hostname) == (ssl.CERT_REQUIRED, False)
    careless = client_context(own, None)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)


def test_a_common_name_is_no_name(own: Credentials) -> None:
    assert not client_context(own, ANCHORS).hostname_checks_common_name


def test_only_the_anchors_that_are_given_are_trusted_and_none_of_the_machine(own: Credentials) -> None:
    for context in (server_context(own, ANCHORS), client_context(own, ANCHORS)):
        assert context.get_ca_certs(binary_form=True) == [ROOT.certificate.public_bytes(Encoding.DER)]
    assert client_context(own, None).get_ca_certs() == []


# What is of no use


def words(credentials: Credentials, anchors: bytes = ANCHORS) -> str:
    """Demand that neither end can be made of the files, and give the reason."""
    with pytest.raises(UnusableCredentialsError) as caught:
        server_context(credentials, anchors)
    with pytest.raises(UnusableCredentialsError, match="^" + str(caught.value).replace("(", r"\(")[:20]):
        client_context(credentials, anchors)
    return str(caught.value)


def test_a_key_of_another_certificate_is_told_from_all_else(own: Credentials) -> None:
    own.private_key.write_bytes(key_pem(new_key("ecdsa-p256")))
    with pytest.raises(MismatchedPairError, match="its private key is not that of its certificate"):
        server_context(own, ANCHORS)
    own.private_key.write_bytes(b"garbage")
    with pytest.raises(UnusableCredentialsError) as caught:
        server_context(own, ANCHORS)
    assert not isinstance(caught.value, MismatchedPairError)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_pem_is_told(own: Credentials, content: bytes) -> None:
    own.certificate.write_bytes(content)
    assert words(own).startswith("OpenSSL cannot load it (")


def test_a_file_that_is_not_there_is_told(own: Credentials) -> None:
    own.certificate.unlink()
    assert words(own) == "it cannot be read: No such file or directory"


def test_a_key_that_is_too_small_is_told_by_openssls_name_for_it(own: Credentials) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what must be refused
    write_pem(own.certificate, certify(Wish("api"), key, ROOT))
    own.private_key.write_bytes(key_pem(key))
    assert words(own) == "OpenSSL cannot load it (EE_KEY_TOO_SMALL)"


@pytest.mark.parametrize(
    "anchors",
    [b"", b"garbage", "größe".encode(), ANCHORS[:-60], b"\xff\xfe\x00"],
    ids=["empty", "garbage", "not ASCII", "cut off", "binary"],
)
def test_anchors_that_cannot_be_read_are_told(own: Credentials, anchors: bytes) -> None:
    assert words(own, anchors) == "its trust anchors cannot be read"


ENCRYPTED = """
import sys
from pathlib import Path
from certgen.tls.contexts import Credentials, UnusableCredentialsError, client_context
try:
    client_context(Credentials(Path(sys.argv[1]), Path(sys.argv[2])), None)
except UnusableCredentialsError as reason:
    print(reason)
"""


def test_nobody_is_asked_for_the_passphrase_of_a_key(own: Credentials) -> None:
    encryption = BestAvailableEncryption(b"secret")
    own.private_key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    done = subprocess.run(
        [sys.executable, "-c", ENCRYPTED, own.certificate, own.private_key],
        input=b"secret\n",
        capture_output=True,
        timeout=30,
        check=True,
        start_new_session=True,
    )
    assert done.stdout.startswith(b"OpenSSL cannot load it (")
    assert b"pass" not in (done.stdout + done.stderr).lower()


def test_a_reason_quotes_nothing_of_a_private_key(own: Credentials) -> None:
    content = key_pem(KEY)
    own.private_key.write_bytes(content.replace(b"-----END", b"-----DNE"))
    with pytest.raises(UnusableCredentialsError) as caught:
        client_context(own, ANCHORS)
    assert content.splitlines()[1].decode()[:16] not in str(caught.value)
    assert caught.value.__cause__ is None
