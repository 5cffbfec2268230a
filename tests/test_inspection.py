"""What `inspect` says of a file, beside what OpenSSL says of the same file."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from foreign.hierarchy import NOW as REAL_NOW
from foreign.hierarchy import SERVER, Authority, Wish, certify, end_entity_extensions, make_ca, new_key

from certgen.certificates import UnreadableError
from certgen.inspection import Inspection, Value, inspect
from certgen.pipeline import apply_specs, load_spec
from certgen.report import json_v1
from certgen.report.inspection import render_inspection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENCODINGS = {"PEM": Encoding.PEM, "DER": Encoding.DER}
CLASSICAL = ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048", "rsa-3072")
SPEC = """
version: 1
defaults:
  subject: {{organization: Shop BV, country: NL}}
  key: {algorithm}
cas:
  root:
    name_constraints: {{permitted: [shop.example, 127.0.0.0/8, "URI:shop.example"], excluded: [bank.other.example]}}
  issuing:
    issuer: root
    path_length: 0
    crl_distribution_points: http://pki.shop.example/root.crl
    ocsp: http://ocsp.shop.example
    ca_issuers: http://pki.shop.example/root.der
servers:
  api:
    issuer: issuing
    sans: [api.shop.example, "*.shop.example", 127.0.0.1, "spiffe://shop.example/api"]
clients:
  checkout: {{issuer: issuing}}
"""
OPENSSL_KEYS = {
    "ecdsa-p256": "NIST CURVE: P-256",
    "ecdsa-p384": "NIST CURVE: P-384",
    "ecdsa-p521": "NIST CURVE: P-521",
    "ed25519": "Public Key Algorithm: ED25519",
    "rsa-2048": "Public-Key: (2048 bit)",
    "rsa-3072": "Public-Key: (3072 bit)",
}


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the tree of an algorithm, made once."""
    made: dict[str, Path] = {}

    def tree(algorithm: str) -> Path:
        if algorithm not in made:
            folder = tmp_path_factory.mktemp(algorithm)
            (folder / "shop.yaml").write_text(SPEC.format(algorithm=algorithm))
            apply_specs([load_spec(folder / "shop.yaml")], folder, NOW)
            made[algorithm] = folder / "shop"
        return made[algorithm]

    return tree


def openssl(*arguments: str | Path, content: bytes | None = None) -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=content, capture_output=True, check=True)
    return done.stdout


def the(items: Sequence[Inspection]) -> tuple[str, Mapping[str, Value]]:
    """Give the one thing that was found: its kind and its facts."""
    (item,) = items
    return item.kind, dict(item.facts)


def told(content: bytes) -> str:
    """Everything that a reader could see of a file, as text and as JSON."""
    items = inspect(content, NOW)
    return render_inspection("file", items) + json_v1.render("inspect", {"items": [dict(i.facts) for i in items]})


def openssl_date(line: str) -> str:
    return f"{datetime.strptime(line, '%b %d %H:%M:%S %Y GMT').replace(tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"


# Certificates


@pytest.mark.parametrize("algorithm", CLASSICAL)
@pytest.mark.parametrize("address", ["cas/root", "cas/issuing", "servers/api", "clients/checkout"])
def test_a_certificate_is_told_as_openssl_tells_it(
    trees: Callable[[str], Path], algorithm: str, address: str, tmp_path: Path
) -> None:
    first = x509.load_pem_x509_certificates((trees(algorithm) / address / "cert.pem").read_bytes())[0]
    path = tmp_path / "cert.pem"
    path.write_bytes(first.public_bytes(Encoding.PEM))
    kind, facts = the(inspect(path.read_bytes(), NOW))
    asked = ["-serial", "-startdate", "-enddate", "-fingerprint", "-sha256", "-subject", "-issuer"]
    lines = openssl("x509", "-in", path, "-noout", *asked, "-nameopt", "esc_ctrl,utf8,sname,sep_comma_plus_space")
    theirs = dict(line.split("=", 1) for line in lines.decode().splitlines())
    text = openssl("x509", "-in", path, "-noout", "-text").decode()
    assert kind == "certificate"
    assert facts["serial_number"] == theirs["serial"].lower().lstrip("0")
    assert facts["not_before"] == openssl_date(theirs["notBefore"])
    assert facts["not_after"] == openssl_date(theirs["notAfter"])
    assert facts["fingerprint"] == theirs["sha256 Fingerprint"].replace(":", "").lower()
    assert facts["subject"] == theirs["subject"]
    assert facts["issuer"] == ("itself" if address == "cas/root" else theirs["issuer"])
    assert facts["key"] == algorithm
    assert OPENSSL_KEYS[algorithm] in text
    assert f"Signature Algorithm: {facts['signature']}".lower() in text.lower()
    identifier = re.search(r"Subject Key Identifier: *\n *([0-9A-F:]+)", text)
    assert identifier is not None
    assert facts["subject_key_identifier"] == identifier[1].replace(":", "").lower()


def test_the_extensions_of_an_end_entity_are_told_as_openssl_tells_them(trees: Callable[[str], Path]) -> None:
    content = (trees("ecdsa-p256") / "servers/api/cert.pem").read_bytes()
    own = inspect(content, NOW)[0]
    facts = dict(own.facts)
    text = openssl("x509", "-noout", "-text", content=content).decode()
    assert "DNS:api.shop.example, DNS:*.shop.example, IP Address:127.0.0.1, URI:spiffe://shop.example/api" in text
    assert facts["names"] == [
        "DNS:api.shop.example",
        "DNS:*.shop.example",
        "IP:127.0.0.1",
        "URI:spiffe://shop.example/api",
    ]
    assert "CA:FALSE" in text
    assert facts["is_ca"] is False
    assert "path_length" not in facts
    assert "TLS Web Server Authentication\n" in text
    assert facts["extended_key_usage"] == ["serverAuth"]
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text
    assert facts["key_usage"] == ["digitalSignature"]
    assert facts["critical"] == ["basicConstraints", "keyUsage"]


def test_a_ca_is_told_with_its_constraints_and_places(trees: Callable[[str], Path]) -> None:
    _, root = the(inspect((trees("ecdsa-p256") / "cas/root/cert.pem").read_bytes(), NOW))
    assert root["is_ca"] is True
    assert "path_length" not in root
    assert root["name_constraints"] == [
        "permitted DNS:shop.example",
        "permitted IP:127.0.0.0/8",
        "permitted URI:shop.example",
        "excluded DNS:bank.other.example",
    ]
    assert root["key_usage"] == ["cRLSign", "keyCertSign"]
    assert "authority_key_identifier" not in root
    _, issuing = the(inspect((trees("ecdsa-p256") / "cas/issuing/cert.pem").read_bytes(), NOW))
    assert issuing["path_length"] == 0
    assert issuing["crl_distribution_points"] == ["http://pki.shop.example/root.crl"]
    assert issuing["ocsp"] == ["http://ocsp.shop.example"]
    assert issuing["ca_issuers"] == ["http://pki.shop.example/root.der"]
    assert issuing["authority_key_identifier"] == root["subject_key_identifier"]


def test_a_path_is_told_certificate_by_certificate(trees: Callable[[str], Path]) -> None:
    items = inspect((trees("ecdsa-p256") / "servers/api/cert.pem").read_bytes(), NOW)
    assert [dict(item.facts)["subject"] for item in items] == ["C=NL, O=Shop BV, CN=api", "C=NL, O=Shop BV, CN=issuing"]


def test_a_post_quantum_certificate_is_told(trees: Callable[[str], Path]) -> None:
    _, facts = the(inspect((trees("ml-dsa-65") / "cas/root/cert.pem").read_bytes(), NOW))
    assert facts["key"] == "ml-dsa-65"


@pytest.mark.parametrize(
    ("moment", "state"),
    [
        (NOW, "364 days left"),
        (NOW + timedelta(days=364), "0 days left"),
        (NOW + timedelta(days=365), "expired 0 days ago"),
        (NOW + timedelta(days=367), "expired 2 days ago"),
        (NOW - timedelta(days=1), "not yet valid"),
    ],
)
def test_an_operator_is_told_how_long_a_certificate_lasts(
    trees: Callable[[str], Path], moment: datetime, state: str
) -> None:
    own = inspect((trees("ecdsa-p256") / "servers/api/cert.pem").read_bytes(), moment)[0]
    assert dict(own.facts)["state"] == state


def test_an_empty_subject_is_said_to_be_empty() -> None:
    ca = make_ca("Shop CA", "ecdsa-p256")
    name, key = x509.DNSName("api.shop.example"), new_key("ecdsa-p256")
    builder = x509.CertificateBuilder(
        issuer_name=ca.certificate.subject,
        subject_name=x509.Name([]),
        public_key=key.public_key(),
        serial_number=5,
        not_valid_before=REAL_NOW,
        not_valid_after=REAL_NOW + timedelta(days=9),
    ).add_extension(x509.SubjectAlternativeName([name]), critical=True)
    content = builder.sign(ca.key, SHA256()).public_bytes(Encoding.PEM)
    _, facts = the(inspect(content, REAL_NOW))
    assert facts["subject"] == "empty"


def test_an_extension_outside_the_language_is_told_by_its_identifier() -> None:
    ca, key = make_ca("Shop CA", "ecdsa-p256"), new_key("ecdsa-p256")
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    builder = x509.CertificateBuilder(
        issuer_name=ca.certificate.subject,
        subject_name=ca.certificate.subject,
        public_key=key.public_key(),
        serial_number=5,
        not_valid_before=REAL_NOW,
        not_valid_after=REAL_NOW + timedelta(days=9),
    ).add_extension(unknown, critical=True)
    content = builder.sign(ca.key, SHA256()).public_bytes(Encoding.PEM)
    _, facts = the(inspect(content, REAL_NOW))
    assert facts["other_extensions"] == ["1.2.3.4.5"]
    assert facts["critical"] == ["1.2.3.4.5"]


# Signing requests


def request(*, names: Sequence[x509.GeneralName], subject: x509.Name) -> x509.CertificateSigningRequest:
    key = new_key("ecdsa-p384")
    builder = x509.CertificateSigningRequestBuilder(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, SHA256())


SHOP = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"), x509.NameAttribute(NameOID.COMMON_NAME, "api")])


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_signing_request_is_told_as_openssl_tells_it(form: str) -> None:
    content = request(names=[x509.DNSName("api.shop.example")], subject=SHOP).public_bytes(ENCODINGS[form])
    kind, facts = the(inspect(content, NOW))
    text = openssl("req", "-inform", form, "-noout", "-text", "-verify", content=content).decode()
    assert kind == "signing request"
    assert "Subject: C = NL, CN = api" in text
    assert facts["subject"] == "C=NL, CN=api"
    assert "DNS:api.shop.example" in text
    assert facts["names"] == ["DNS:api.shop.example"]
    assert "NIST CURVE: P-384" in text
    assert facts["key"] == "ecdsa-p384"
    assert facts["state"] == "signed by its own key"


def test_a_signing_request_of_nobody_says_so() -> None:
    _, facts = the(inspect(request(names=[], subject=x509.Name([])).public_bytes(Encoding.PEM), NOW))
    assert facts["subject"] == "empty"
    assert "names" not in facts


def test_a_signing_request_that_is_forged_is_told_so() -> None:
    der = bytearray(request(names=[], subject=SHOP).public_bytes(Encoding.DER))
    place = der.index(b"api")
    der[place : place + 3] = b"apj"
    _, facts = the(inspect(bytes(der), NOW))
    assert facts["subject"] == "C=NL, CN=apj"
    assert facts["state"] == "its signature is wrong"


# Revocation lists


def revocation_list(ca: Authority, *serials: int) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder(ca.certificate.subject, NOW, NOW + timedelta(days=7))
    for serial in serials:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder(serial, NOW - timedelta(days=1)).build()
        )
    return builder.sign(ca.key, SHA256())


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_revocation_list_is_told_as_openssl_tells_it(form: str) -> None:
    content = revocation_list(make_ca("Shop CA", "ecdsa-p256"), 0xABCDEF, 0x1234).public_bytes(ENCODINGS[form])
    kind, facts = the(inspect(content, NOW))
    lines = openssl("crl", "-inform", form, "-noout", "-text", content=content).decode()
    assert kind == "revocation list"
    assert facts["issuer"] == "C=NL, O=Shop BV, CN=Shop CA"
    assert "Issuer: C = NL, O = Shop BV, CN = Shop CA" in lines
    assert [facts["this_update"], facts["next_update"]] == [
        openssl_date(found) for found in re.findall(r"(?:Last|Next) Update: (.*)", lines)
    ]
    serials = [found.lower().lstrip("0") for found in re.findall(r"Serial Number: (.*)", lines)]
    assert facts["revoked"] == [{"serial_number": serial, "date": "2026-02-28T12:00:00Z"} for serial in serials]
    assert serials == ["abcdef", "1234"]
    assert "abcdef on 2026-02-28T12:00:00Z" in told(content)


def test_a_revocation_list_is_current_or_out_of_date_or_empty() -> None:
    content = revocation_list(make_ca("Shop CA", "ecdsa-p256")).public_bytes(Encoding.PEM)
    assert the(inspect(content, NOW))[1]["state"] == "current"
    assert the(inspect(content, NOW + timedelta(days=8)))[1]["state"] == "out of date"
    assert re.search(r"revoked +none\n", told(content))


# Keys


def key_id_by_openssl(content: bytes, *how: str) -> str:
    der = openssl("pkey", *how, "-pubout", "-outform", "DER", content=content)
    return openssl("dgst", "-sha256", "-r", content=der).decode().split()[0]


@pytest.mark.parametrize("algorithm", CLASSICAL)
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_public_key_is_told(trees: Callable[[str], Path], algorithm: str, form: str) -> None:
    key = load_pem_private_key((trees(algorithm) / "servers/api/key.pem").read_bytes(), None).public_key()
    content = key.public_bytes(ENCODINGS[form], PublicFormat.SubjectPublicKeyInfo)
    identity = key_id_by_openssl(content, "-pubin", "-inform", form)
    assert the(inspect(content, NOW)) == ("public key", {"key": algorithm, "key_id": identity})


@pytest.mark.parametrize("form", ["PEM", "DER"])
@pytest.mark.parametrize(
    ("algorithm", "syntax"),
    [
        *((algorithm, PrivateFormat.PKCS8) for algorithm in CLASSICAL),
        ("ecdsa-p256", PrivateFormat.TraditionalOpenSSL),
        ("rsa-2048", PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_a_private_key_is_told_by_its_public_half(
    trees: Callable[[str], Path], algorithm: str, syntax: PrivateFormat, form: str
) -> None:
    key = load_pem_private_key((trees(algorithm) / "servers/api/key.pem").read_bytes(), None)
    content = key.private_bytes(ENCODINGS[form], syntax, NoEncryption())
    identity = key_id_by_openssl(content, "-inform", form)
    assert the(inspect(content, NOW)) == ("private key", {"key": algorithm, "key_id": identity})


def test_a_post_quantum_private_key_is_told(trees: Callable[[str], Path]) -> None:
    kind, facts = the(inspect((trees("ml-dsa-65") / "servers/api/key.pem").read_bytes(), NOW))
    assert (kind, facts["key"]) == ("private key", "ml-dsa-65")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-2048"])
def test_an_encrypted_private_key_is_told_to_be_encrypted(
    trees: Callable[[str], Path], algorithm: str, form: PrivateFormat
) -> None:
    key = load_pem_private_key((trees(algorithm) / "servers/api/key.pem").read_bytes(), None)
    content = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    assert the(inspect(content, NOW)) == ("private key", {"state": "encrypted"})


def test_an_encrypted_private_key_in_der_is_told_to_be_encrypted() -> None:
    content = new_key("ecdsa-p256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    assert the(inspect(content, NOW)) == ("private key", {"state": "encrypted"})


def test_a_private_key_after_its_parameters_as_openssl_writes_it_is_told() -> None:
    content = openssl("ecparam", "-name", "prime256v1", "-genkey")
    assert content.startswith(b"-----BEGIN EC PARAMETERS-----")
    assert [item.kind for item in inspect(content, NOW)] == ["private key"]


@pytest.mark.parametrize("algorithm", [*CLASSICAL, "ml-dsa-65"])
def test_the_private_half_of_a_key_is_told_nowhere(trees: Callable[[str], Path], algorithm: str) -> None:
    content = (trees(algorithm) / "servers/api/key.pem").read_bytes()
    key = load_pem_private_key(content, None)
    words = told(content).lower()
    assert "private key" in words
    body = "".join(content.decode().splitlines()[1:-1]).lower()
    pieces = [body[start : start + 12] for start in range(0, len(body) - 12, 4)]
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()
    pieces += [der[start : start + 16] for start in range(0, len(der) - 16, 2)]
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()
    assert [piece for piece in pieces if piece in words and piece not in public] == []


def test_a_private_key_that_is_damaged_is_not_quoted(trees: Callable[[str], Path]) -> None:
    lines = (trees("ecdsa-p256") / "servers/api/key.pem").read_text().splitlines()
    content = "\n".join([lines[0], "AAAA" + lines[1][4:], *lines[2:]])
    with pytest.raises(UnreadableError) as caught:
        inspect(content.encode(), NOW)
    assert str(caught.value) == "it is damaged, or of a kind that is not known"


# Files of several things, of other things, and of nothing


def test_several_things_in_one_file_are_told_in_its_order(trees: Callable[[str], Path]) -> None:
    folder = trees("ecdsa-p256") / "servers/api"
    content = (folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes()
    items = inspect(b"a comment\n" + content, NOW)
    assert [item.kind for item in items] == ["private key", "certificate", "certificate"]
    headings = re.findall(r"^\S.*", render_inspection("combined.pem", items), re.MULTILINE)
    assert headings == [
        "combined.pem (1 of 3): private key",
        "combined.pem (2 of 3): certificate",
        "combined.pem (3 of 3): certificate",
    ]


@pytest.mark.parametrize("ending", [b"\r\n", b"\n\n"])
def test_other_line_ends_are_read(trees: Callable[[str], Path], ending: bytes) -> None:
    content = (trees("ecdsa-p256") / "cas/root/cert.pem").read_bytes()
    changed = content.replace(b"\n", b"\r\n") if ending == b"\r\n" else content + b"\n\n"
    assert the(inspect(changed, NOW)) == the(inspect(content, NOW))


def test_a_certificate_in_der_is_told_as_the_one_in_pem(trees: Callable[[str], Path]) -> None:
    content = (trees("ecdsa-p256") / "cas/root/cert.pem").read_bytes()
    der = x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
    assert the(inspect(der, NOW)) == the(inspect(content, NOW))


@pytest.mark.parametrize("label", ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_certificates_under_the_older_labels_are_told(trees: Callable[[str], Path], label: str) -> None:
    path = trees("ecdsa-p256") / "cas/root/cert.pem"
    content = path.read_bytes()
    old = content.replace(b" CERTIFICATE-", b" X509 CERTIFICATE-")
    if label == "TRUSTED CERTIFICATE":
        old = openssl("x509", "-in", path, "-trustout", "-addtrust", "serverAuth")
    assert f"BEGIN {label}".encode() in old
    assert the(inspect(old, NOW)) == the(inspect(content, NOW))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"hello",
        b"\x30\x82",
        b"\xff" * 100,
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n-----END PUBLIC KEY-----\n",
    ],
)
def test_what_is_neither_pem_nor_der_is_said_to_be_neither(content: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"^neither PEM nor DER of a certificate, key, request or CRL$"):
        inspect(content, NOW)


@pytest.mark.parametrize(
    "label", ["CERTIFICATE", "CERTIFICATE REQUEST", "X509 CRL", "PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY"]
)
@pytest.mark.parametrize("body", ["", "AAAA", "MAA=", "####"])
def test_a_block_whose_content_is_damaged_is_said_to_be_damaged(label: str, body: str) -> None:
    content = f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
    with pytest.raises(UnreadableError, match=r"^it is damaged, or of a kind that is not known$"):
        inspect(content.encode(), NOW)


def test_a_block_of_another_kind_is_named() -> None:
    content = b"-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n"
    with pytest.raises(UnreadableError) as caught:
        inspect(content, NOW)
    assert str(caught.value) == "a PEM block `PGP MESSAGE`, which is neither certificate, key, request nor CRL"


@pytest.mark.filterwarnings("ignore")
def test_a_file_with_any_one_byte_changed_is_told_or_unreadable_and_never_an_exception() -> None:
    ca = make_ca("Shop CA", "ecdsa-p256")
    names = [x509.DNSName("api.shop.example"), x509.UniformResourceIdentifier("spiffe://shop.example/api")]
    own = certify(Wish("api", end_entity_extensions([SERVER], names)), new_key("ecdsa-p256"), ca)
    contents = {
        "certificate": own.public_bytes(Encoding.DER),
        "ca": make_ca("Narrow", "ecdsa-p256", permitted=[names[0]]).certificate.public_bytes(Encoding.DER),
        "request": request(names=names, subject=SHOP).public_bytes(Encoding.DER),
        "list": revocation_list(ca, 5).public_bytes(Encoding.DER),
    }
    failures: dict[str, list[tuple[str, int]]] = {}
    for what, der in contents.items():
        for place in range(len(der)):
            for bit in range(8):
                damaged = bytearray(der)
                damaged[place] ^= 1 << bit
                try:
                    render_inspection("file", inspect(bytes(damaged), REAL_NOW))
                except UnreadableError:
                    continue
                except Exception as reason:  # noqa: BLE001 - that there is none is what is tested
                    failures.setdefault(type(reason).__name__, []).append((what, place))
    assert failures == {}


def test_key_and_signature_are_the_bytes_that_openssl_shows(trees: Callable[[str], Path]) -> None:
    path = trees("ecdsa-p256") / "servers/api/cert.pem"
    _, facts = the(inspect(path.read_bytes()[: path.read_bytes().index(b"-----END") + 26], NOW))
    text = re.sub(r"[\s:]", "", openssl("x509", "-in", path, "-noout", "-text").decode())
    assert str(facts["signature_value"]) in text
    assert str(facts["public_key"])[-130:] in text
