"""The files that a spec names: which they are, what they must hold, and what is never said of them."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtensionOID, NameOID
from foreign.hierarchy import Extension, Wish, certify, make_ca, new_key, write_pem

from certgen.diagnostics import CertgenError
from certgen.model import Address, AnchorFile, Entry, Section
from certgen.pipeline import load_spec
from certgen.report.diagnostics import render_diagnostics
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.spec.document import compose
from certgen.spec.references import Reference, fault_of_key, is_file, references
from certgen.spec.schema import Spec

WORKER = "version: 1\nca:\nclients:\n  worker: {public_key: worker.pem}\n"
TRUSTING = "version: 1\nca:\nclients:\n  worker: {trust: [ca, anchors.pem]}\n"
PUBLIC_KEY_AT = "4:24"
ANCHORS_AT = "4:24"


class Place:
    """A folder with a spec and the files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def load(self, text: str) -> Entry:
        """Load a spec that is right, and give its client."""
        path = self.put("spec.yaml", text.encode())
        return load_spec(path).bundle[Address(Section.CLIENTS, "worker")]

    def refusal(self, text: str) -> str:
        """Load a spec with one mistake, and give it as `line:column code: sentence (help)`."""
        path = self.put("spec.yaml", text.encode())
        with pytest.raises(CertgenError) as caught:
            load_spec(path)
        (found,) = caught.value.diagnostics
        assert found.span is not None
        self.assert_secrets_are_kept(render_diagnostics([found]) + str(caught.value))
        help_ = f" ({found.help})" if found.help else ""
        return f"{found.span.line}:{found.span.column} {found.code}: {found.message}{help_}"

    def assert_secrets_are_kept(self, said: str) -> None:
        for path in self.folder.rglob("*.pem"):
            if not path.is_file():
                continue
            for line in path.read_bytes().decode("latin-1").splitlines():
                assert len(line) < 12 or line not in said


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def public_pem(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: CertificateIssuerPrivateKeyTypes, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def request(key: CertificateIssuerPrivateKeyTypes) -> x509.CertificateSigningRequest:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone else")])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, digest)


def as_pem(der: bytes, label: str) -> bytes:
    body = base64.encodebytes(der).decode().replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


# Which files


def test_every_mention_of_a_file_is_found_with_its_place() -> None:
    text = """
        version: 1
        cas:
          mine: {certificate: mine.pem, private_key: mine.key, trust: root.pem}
          own: {}
        servers: {a: {issuer: own, trust: [own, partners/root, other.pem]}}
        clients: {b: {issuer: own, public_key: b.pem}}
        peers: {c: {issuer: own, public_key: c.csr, trust: mine}}
    """
    spec = Spec.model_validate(compose(text.encode(), "shop.yaml").plain)
    assert set(references(spec)) == {
        Reference("mine.pem", ("cas", "mine", "certificate")),
        Reference("mine.key", ("cas", "mine", "private_key"), is_private=True),
        Reference("root.pem", ("cas", "mine", "trust", 0)),
        Reference("partners/root", ("servers", "a", "trust", 1)),
        Reference("other.pem", ("servers", "a", "trust", 2)),
        Reference("b.pem", ("clients", "b", "public_key")),
        Reference("c.csr", ("peers", "c", "public_key")),
    }


def test_the_one_ca_mentions_files_under_its_own_name() -> None:
    text = b"version: 1\nca: {certificate: mine.pem, private_key: mine.key}\n"
    spec = Spec.model_validate(compose(text, "shop.yaml").plain)
    assert [reference.route for reference in references(spec)] == [("ca", "certificate"), ("ca", "private_key")]


def test_a_trusted_item_with_a_slash_or_ending_in_pem_is_a_file() -> None:
    assert [is_file(item) for item in ("root.pem", "a/root", "./root", "root", "root.pem.x")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("algorithm", "fault"),
    [
        ("rsa-512", "weak-key: holds a key that is too weak: rsa-512"),
        ("rsa-2047", "weak-key: holds a key that is too weak: rsa-2047"),
        ("dsa", "bad-file: holds a key that cannot sign, as TLS asks of it: dsa"),
        ("x25519", "bad-file: holds a key that cannot sign, as TLS asks of it: x25519"),
        ("x448", "bad-file: holds a key that cannot sign, as TLS asks of it: x448"),
    ],
)
def test_a_key_of_no_use_is_told_from_a_good_one(algorithm: str, fault: str) -> None:
    found = fault_of_key(algorithm)
    assert found is not None
    assert ": ".join(found) == fault


@pytest.mark.parametrize("algorithm", [*KeyAlgorithm, "rsa-8192", "ecdsa-secp256k1", "ed448"])
def test_a_good_key_has_no_fault(algorithm: str) -> None:
    assert fault_of_key(algorithm) is None


# Public keys


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ecdsa-p521", "ed25519", "rsa-2048"])
def test_a_public_key_is_taken_from_a_pem_file(place: Place, algorithm: str) -> None:
    key = new_key(algorithm)
    place.put("worker.pem", public_pem(key.public_key()))
    supplied = place.load(WORKER).public_key
    assert supplied is not None
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert (supplied.public_key, supplied.algorithm, supplied.file) == (der, algorithm, "worker.pem")


@pytest.mark.parametrize("label", ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])
@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_of_a_signing_request_only_the_key_is_taken(place: Place, algorithm: str, label: str) -> None:
    key = new_key(algorithm)
    place.put("worker.pem", as_pem(request(key).public_bytes(Encoding.DER), label))
    worker = place.load(WORKER)
    assert worker.public_key is not None
    assert worker.public_key.public_key == key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    assert str(worker.template.subject) == "CN=worker"


def test_a_signing_request_with_a_broken_signature_is_refused(place: Place) -> None:
    good = request(new_key("ed25519")).public_bytes(Encoding.DER)
    broken = good[:-1] + bytes([good[-1] ^ 1])
    place.put("worker.pem", as_pem(broken, "CERTIFICATE REQUEST"))
    assert place.refusal(WORKER) == (
        f"{PUBLIC_KEY_AT} bad-file: `worker.pem`: the signing request is not signed by its own key"
    )
    place.put("worker.pem", as_pem(good, "CERTIFICATE REQUEST"))
    assert place.load(WORKER).public_key is not None


@pytest.mark.parametrize("password", [None, b"hunter2hunter2"])
def test_a_private_key_given_by_mistake_is_refused_and_never_echoed(place: Place, password: bytes | None) -> None:
    place.put("worker.pem", private_pem(new_key("ecdsa-p256"), password))
    assert place.refusal(WORKER) == (
        f"{PUBLIC_KEY_AT} bad-file: `worker.pem`: not a PEM public key or signing request "
        "(make one with `openssl pkey -in key.pem -pubout`)"
    )


def test_a_private_key_is_not_taken_from_beside_a_public_one(place: Place) -> None:
    key = new_key("ed25519")
    place.put("worker.pem", private_pem(key) + public_pem(key.public_key()))
    assert "bad-file" in place.refusal(WORKER)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff\xfe\0",
        b"\0" * 100,
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
    ],
    ids=["empty", "text", "UTF-16", "zeros", "key", "request"],
)
def test_what_is_no_public_key_is_refused(place: Place, content: bytes) -> None:
    place.put("worker.pem", content)
    assert place.refusal(WORKER) == (f"{PUBLIC_KEY_AT} bad-file: `worker.pem`: not a PEM public key or signing request")


def test_a_certificate_is_no_public_key(place: Place) -> None:
    write_pem(place.folder / "worker.pem", make_ca("x", "ed25519").certificate)
    assert place.refusal(WORKER).startswith(f"{PUBLIC_KEY_AT} bad-file: `worker.pem`: not a PEM public key")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rsa", "weak-key: `worker.pem` holds a key that is too weak: rsa-1024"),
        ("dsa", "bad-file: `worker.pem` holds a key that cannot sign, as TLS asks of it: dsa"),
        ("x25519", "bad-file: `worker.pem` holds a key that cannot sign, as TLS asks of it: x25519"),
    ],
)
def test_a_key_that_no_handshake_could_use_is_refused(place: Place, kind: str, expected: str) -> None:
    keys: dict[str, PublicKeyTypes] = {
        "rsa": rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505 - a weak key is the case
        "dsa": dsa.generate_private_key(1024).public_key(),  # noqa: S505 - as above
        "x25519": x25519.X25519PrivateKey.generate().public_key(),
    }
    place.put("worker.pem", public_pem(keys[kind]))
    assert place.refusal(WORKER) == f"{PUBLIC_KEY_AT} {expected}"


def test_a_curve_that_no_spec_can_ask_for_is_taken_as_it_is(place: Place) -> None:
    place.put("worker.pem", public_pem(ec.generate_private_key(ec.SECP256K1()).public_key()))
    worker = place.load(WORKER)
    assert worker.public_key is not None
    assert worker.public_key.algorithm == "ecdsa-secp256k1"


# Trust anchors


def test_anchors_are_read_in_their_order(place: Place) -> None:
    one, two = make_ca("One", "ed25519"), make_ca("Two", "ed25519")
    write_pem(place.folder / "anchors.pem", two.certificate, one.certificate)
    ca, anchors = place.load(TRUSTING).trust
    assert ca == Address(Section.CAS, "ca")
    assert isinstance(anchors, AnchorFile)
    assert [certificate.subject.common_name for certificate in anchors.certificates] == ["Two", "One"]


def test_an_anchor_that_is_no_ca_is_refused(place: Place) -> None:
    stranger = certify(Wish("Server"), new_key("ed25519"))
    write_pem(place.folder / "anchors.pem", make_ca("One", "ed25519").certificate, stranger)
    assert place.refusal(TRUSTING) == (
        f"{ANCHORS_AT} bad-file: `anchors.pem` holds a certificate that is no CA's: C=NL, O=Shop BV, CN=Server"
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(place: Place, content: bytes) -> None:
    place.put("anchors.pem", content)
    assert place.refusal(TRUSTING) == f"{ANCHORS_AT} bad-file: `anchors.pem`: not a PEM certificate that can be read"


def test_a_private_key_given_as_an_anchor_is_never_echoed(place: Place) -> None:
    place.put("anchors.pem", private_pem(new_key("ecdsa-p256")))
    assert place.refusal(TRUSTING).endswith("not a PEM certificate that can be read")


def strange_certificates() -> dict[str, bytes]:
    """Certificates that a parser may choke on, signed all the same."""
    key = new_key("ed25519")
    sans = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    values = {
        "an x400Address": x509.UnrecognizedExtension(sans, bytes.fromhex("3002a300")),
        "an ediPartyName": x509.UnrecognizedExtension(sans, bytes.fromhex("3006a5048102 0000".replace(" ", ""))),
        "names that are no list": x509.UnrecognizedExtension(sans, b"\x05\x00"),
        "a key usage that is no bit string": x509.UnrecognizedExtension(ExtensionOID.KEY_USAGE, b"\x05\x00"),
    }
    strange = {name: certify(Wish(name, [Extension(value)]), key) for name, value in values.items()}
    pem = {name: certificate.public_bytes(Encoding.PEM) for name, certificate in strange.items()}
    ordinary = make_ca("x", "ed25519").certificate.public_bytes(Encoding.DER)
    assert ordinary.count(bytes.fromhex("a003020102")) == 1
    pem["a version that is none"] = as_pem(
        ordinary.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107")), "CERTIFICATE"
    )
    return pem


@pytest.mark.parametrize("name", list(strange_certificates()))
def test_a_certificate_that_no_parser_likes_is_refused_and_no_traceback(place: Place, name: str) -> None:
    place.put("anchors.pem", strange_certificates()[name])
    assert place.refusal(TRUSTING).startswith(f"{ANCHORS_AT} bad-file: `anchors.pem`")


# Where they lie


@pytest.mark.parametrize("name", ["sub/worker.pem", "./worker.pem", "sub/deeper/worker.pem", "wörker.pem"])
def test_a_file_below_the_spec_is_read(place: Place, name: str) -> None:
    place.put(name, public_pem(new_key("ed25519").public_key()))
    assert place.load(WORKER.replace("worker.pem", name)).public_key is not None


@pytest.mark.parametrize("name", ["../worker.pem", "sub/../../worker.pem", "/etc/passwd"])
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path / "specs")
    place.put("sub/x", b"")
    Place(tmp_path).put("worker.pem", public_pem(new_key("ed25519").public_key()))
    found = place.refusal(WORKER.replace("worker.pem", name))
    assert found == f"{PUBLIC_KEY_AT} bad-file: `{name}` is outside the spec's folder"


def test_a_file_that_is_not_there_is_refused(place: Place) -> None:
    assert place.refusal(WORKER) == f"{PUBLIC_KEY_AT} bad-file: `worker.pem` does not exist beside the spec"


def test_a_symbolic_link_is_not_followed(place: Place) -> None:
    real = place.put("real.pem", public_pem(new_key("ed25519").public_key()))
    (place.folder / "worker.pem").symlink_to(real)
    assert place.refusal(WORKER) == (
        f"{PUBLIC_KEY_AT} bad-file: `worker.pem` cannot be read: a symbolic link, which is not followed"
    )
    assert place.load(WORKER.replace("worker.pem", "real.pem")).public_key is not None


def test_a_folder_that_is_a_symbolic_link_is_not_followed(place: Place) -> None:
    place.put("real/worker.pem", public_pem(new_key("ed25519").public_key()))
    (place.folder / "linked").symlink_to("real")
    assert place.refusal(WORKER.replace("worker.pem", "linked/worker.pem")) == (
        f"{PUBLIC_KEY_AT} bad-file: `linked/worker.pem` is reached through a symbolic link, which is not followed"
    )


def test_a_folder_is_no_file(place: Place) -> None:
    (place.folder / "worker.pem").mkdir()
    assert place.refusal(WORKER) == f"{PUBLIC_KEY_AT} bad-file: `worker.pem` cannot be read: not a regular file"


def test_a_pipe_is_no_file_and_nobody_waits_at_it(place: Place) -> None:
    os.mkfifo(place.folder / "worker.pem")
    assert place.refusal(WORKER) == f"{PUBLIC_KEY_AT} bad-file: `worker.pem` cannot be read: not a regular file"


def test_a_file_of_more_than_a_megabyte_is_refused(place: Place) -> None:
    place.put("worker.pem", b"#" * (1024 * 1024 + 1))
    assert place.refusal(WORKER) == (
        f"{PUBLIC_KEY_AT} bad-file: `worker.pem` cannot be read: it has more than 1048576 bytes"
    )


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/worker.pem", "x/" * 3000 + "worker.pem"], ids=len)
def test_a_name_that_no_disk_can_hold_is_refused(place: Place, name: str) -> None:
    assert place.refusal(WORKER.replace("worker.pem", name)).startswith(f"{PUBLIC_KEY_AT} bad-file")


def test_a_path_through_a_file_is_refused(place: Place) -> None:
    place.put("worker", b"")
    assert place.refusal(WORKER.replace("worker.pem", "worker/key.pem")).startswith(f"{PUBLIC_KEY_AT} bad-file")
