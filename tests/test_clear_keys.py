"""Private keys in clear among the files that git is about to have: what is one, and what a spec allows."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sealed import make_person, write_sealed

from certgen.clear_keys import keys_in_clear

KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
CLEAR = NoEncryption()
CLOSED = BestAvailableEncryption(b"x")
PKCS8 = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, CLEAR)


def openssh(passphrase: str, path: Path) -> bytes:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path.read_bytes()


OPEN = {
    "PKCS#8": PKCS8,
    "SEC1": KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, CLEAR),
    "PKCS#1": RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, CLEAR),
    "OpenSSH's": KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, CLEAR),
    "DER": KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, CLEAR),
    "with Windows' line ends": PKCS8.replace(b"\n", b"\r\n"),
    "behind a certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + PKCS8,
    "indented in YAML": b"tls.key: |\n" + b"".join(b"  " + line + b"\n" for line in PKCS8.splitlines()),
    "in JSON": b'{"key": "' + PKCS8.replace(b"\n", b"\\n") + b'"}',
    "the second of two": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, CLOSED) + PKCS8,
}
SHUT = {
    "encrypted PKCS#8": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, CLOSED),
    "encrypted as of old": KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, CLOSED),
    "encrypted DER": KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, CLOSED),
    "a public key": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "a page that speaks of one": b"Look for `-----BEGIN PRIVATE KEY-----` in the file.\n",
    "a header alone": b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    "DER of another kind": b"\x30\x82\x01\x00garbage",
    "nothing": b"",
}


def found(path: Path, content: bytes, specs: Path | None = None) -> list[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    problems = keys_in_clear([path], specs or path.parent / "specs")
    for problem in problems:
        assert problem.where == str(path)
        assert PKCS8.splitlines()[1].decode() not in problem.message
    return [problem.code for problem in problems]


@pytest.mark.parametrize("kind", OPEN)
def test_a_key_that_anybody_can_use_is_refused(tmp_path: Path, kind: str) -> None:
    assert found(tmp_path / "file", OPEN[kind]) == ["key-in-clear"]


@pytest.mark.parametrize("kind", SHUT)
def test_what_nobody_can_use_passes(tmp_path: Path, kind: str) -> None:
    assert found(tmp_path / "file", SHUT[kind]) == []


@pytest.mark.parametrize(("passphrase", "codes"), [("", ["key-in-clear"]), ("secret", [])])
def test_a_key_of_ssh_keygen(tmp_path: Path, passphrase: str, codes: list[str]) -> None:
    assert found(tmp_path / "file", openssh(passphrase, tmp_path / "key")) == codes


def test_an_age_identity_is_a_secret_and_its_recipient_is_none(tmp_path: Path) -> None:
    me = make_person(tmp_path, "me")
    assert found(tmp_path / "file", me.identity.read_bytes()) == ["key-in-clear"]
    assert found(tmp_path / "file", me.recipient.encode()) == []


def test_what_certgen_seals_passes(tmp_path: Path) -> None:
    shop = write_sealed(tmp_path / "shop", make_person(tmp_path, "me")).compile()
    files = [path for path in shop.tree.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert keys_in_clear(files, tmp_path) == []


class TestFixtures:
    """Keys that a spec lets git have."""

    @pytest.fixture
    def specs(self, tmp_path: Path) -> Path:
        folder = tmp_path / "specs"
        folder.mkdir()
        (folder / "shop.yaml").write_text("version: 1\nkeys: {git: commit}\nca:\n")
        (folder / "real.yaml").write_text("version: 1\nca:\n")
        (folder / "named.yaml").write_text("version: 1\nname: other\nkeys: {git: commit}\nca:\n")
        (folder / "broken.yaml").write_text("keys: {git: commit}\n  x")
        return folder

    @pytest.mark.parametrize(
        "path",
        [
            "output/shop/servers/api/key.pem",
            "out/other/cas/ca/key.pem",
            "output/shop/servers/api/..12/key.pem",
            "output/shop/servers/api/..1/combined.pem",
        ],
    )
    def test_pass_in_their_tree(self, tmp_path: Path, specs: Path, path: str) -> None:
        assert found(tmp_path / path, PKCS8, specs) == []

    @pytest.mark.parametrize(
        "path",
        [
            "output/real/servers/api/key.pem",
            "output/named/servers/api/key.pem",
            "output/broken/servers/api/key.pem",
            "output/shop/servers/api/other.pem",
            "output/shop/servers/api/..1/other.pem",
            "output/real/servers/api/..1/key.pem",
            "output/shop/servers/api/..old/key.pem",
            "output/shop/notes/api/key.pem",
            "shop/key.pem",
            "key.pem",
        ],
    )
    def test_and_nowhere_else(self, tmp_path: Path, specs: Path, path: str) -> None:
        assert found(tmp_path / path, PKCS8, specs) == ["key-in-clear"]


def test_a_link_is_not_followed_and_a_file_that_is_gone_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PKCS8)
    (tmp_path / "link").symlink_to("secret")
    assert keys_in_clear([tmp_path / "link", tmp_path / "gone"], tmp_path) == []
