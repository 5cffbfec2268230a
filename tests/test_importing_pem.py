"""Certificates and private keys in files: which belongs to which, who signed whom, and what stays out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from foreign.hierarchy import (
    NOW,
    SERVER,
    Authority,
    Extension,
    Wish,
    certify,
    end_entity_extensions,
    key_usage,
    make_ca,
    new_key,
)
from said import reports_of

from certgen.importing.draft import Collected, Draft, Source
from certgen.importing.pem import collect
from certgen.model import Section

DAY = timedelta(days=1)
ROOT = make_ca("Root", "ecdsa-p256")
KEY = new_key("ecdsa-p256")
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def server(
    name: str = "api", issuer: Authority | None = ROOT, key: CertificateIssuerPrivateKeyTypes = KEY, days: int = 90
) -> x509.Certificate:
    names = [x509.DNSName(f"{name}.shop.example")]
    return certify(Wish(name, end_entity_extensions([SERVER], names), days=days), key, issuer)


def ca(name: str, key: CertificateIssuerPrivateKeyTypes, issuer: Authority | None, days: int = 900) -> Authority:
    basic = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    extensions = [basic, key_usage("key_cert_sign")]
    return Authority(certify(Wish(name, extensions, NOW - timedelta(days=30), days), key, issuer), key)


def pem(*certificates: x509.Certificate | Authority) -> bytes:
    plain = (one.certificate if isinstance(one, Authority) else one for one in certificates)
    return b"".join(one.public_bytes(Encoding.PEM) for one in plain)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def key_pem(key: CertificateIssuerPrivateKeyTypes = KEY, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def read(*files: bytes | tuple[str, bytes]) -> Collected:
    """Collect files, which are named a.pem, b.pem and so on unless they have a name."""
    names = (f"{letter}.pem" for letter in "abcdef")
    given = (file if isinstance(file, tuple) else (name, file) for name, file in zip(names, files, strict=False))
    return collect(Source(path, content) for path, content in given)


def one(found: Collected, wish: str = "api") -> Draft:
    (draft,) = (draft for draft in found.drafts if draft.wish == wish)
    return draft


def told(found: Collected) -> list[str]:
    assert {remark.code for remark in found.remarks} <= {"not-imported"}
    return [remark.message for remark in found.remarks]


def wishes(found: Collected) -> list[str]:
    return sorted(draft.wish for draft in found.drafts)


def test_each_certificate_is_an_entry_with_its_key_and_its_issuer() -> None:
    certificate = server()
    found = read(pem(ROOT), pem(certificate), key_pem())
    assert told(found) == []
    root, api = one(found, "Root"), one(found)
    assert (root.section, api.section) == (Section.CAS, Section.SERVERS)
    assert (root.issuer, api.issuer) == (None, root.subject)
    assert root.private_key is None
    assert api.private_key is not None
    assert api.private_key.pem == key_pem()
    assert api.fields["sans"] == ["api.shop.example"]
    assert api.certificate is not None
    assert api.certificate.der == der(certificate)


def test_no_private_key_is_shown_by_what_holds_it() -> None:
    found = read(pem(ROOT, server()) + key_pem())
    line = key_pem().splitlines()[1].decode()
    assert line in str(one(found).private_key.pem)  # type: ignore[union-attr]  # it is there
    assert line not in repr(found)
    assert line not in repr(Source("a.pem", key_pem()))


@pytest.mark.parametrize(
    "content",
    [
        pem(ROOT) + pem(server()) + key_pem(),
        key_pem() + pem(server()) + pem(ROOT),
        b"Certificate:\n    Data:\n        Version: 3\n" + pem(server(), ROOT) + b"Bag Attributes\n" + key_pem(),
        (pem(server(), ROOT) + key_pem()).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + pem(server(), ROOT) + key_pem(),
        pem(server(), ROOT) + PARAMETERS + key_pem(form=PrivateFormat.TraditionalOpenSSL),
        (pem(server(), ROOT) + key_pem()).rstrip(),
        pem(server(), ROOT).replace(b"BEGIN C", b"BEGIN X509 C").replace(b"END C", b"END X509 C") + key_pem(),
    ],
    ids=["bundle", "key first", "text around", "CRLF", "byte order mark", "SEC1", "no last line break", "X509"],
)
def test_a_file_may_hold_all_of_it(content: bytes) -> None:
    found = read(content)
    assert told(found) == []
    assert wishes(found) == ["Root", "api"]
    private_key = one(found).private_key
    assert private_key is not None
    assert private_key.pem.rstrip() in content
    assert private_key.pem.startswith(b"-----BEGIN ")
    assert b"CERTIFICATE" not in private_key.pem
    assert b"PARAMETERS" not in private_key.pem


def test_each_key_of_a_file_is_taken() -> None:
    other = new_key("ed25519")
    found = read(pem(ROOT, server(), server("web", key=other)) + key_pem() + key_pem(other))
    assert [one(found, name).private_key.pem for name in ("api", "web")] == [key_pem(), key_pem(other)]  # type: ignore[union-attr]


def test_a_pkcs1_key_is_taken_as_it_is() -> None:
    key = rsa.generate_private_key(65537, 2048)
    content = key_pem(key, PrivateFormat.TraditionalOpenSSL)
    assert b"RSA PRIVATE KEY" in content
    assert one(read(pem(ROOT, server(key=key)), content)).private_key.pem == content  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a.der", "a.crt", "a.cer", "A.CRT"])
def test_der_is_read_by_the_ending_of_its_name(name: str) -> None:
    assert wishes(read(pem(ROOT), (name, der(server())))) == ["Root", "api"]
    assert wishes(read(pem(ROOT), ("a.json", der(server())))) == ["Root"]


def test_a_private_key_in_der_is_told() -> None:
    content = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    found = read(pem(ROOT, server()), ("api.key", content))
    assert one(found).private_key is None
    assert told(found) == ["api.key stays out: a private key in DER; a tree has them in PEM"]
    assert told(read(pem(ROOT), ("api.key", b"\0\1"))) == []


def test_an_encrypted_key_is_told_and_its_certificate_comes_without_it() -> None:
    content = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    found = read(pem(ROOT, server()), content)
    assert one(found).private_key is None
    assert told(found) == ["b.pem stays out: the private key is encrypted"]


def test_no_variable_holds_a_private_key_when_reading_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certgen.importing.pem.key_id", lambda _public_key: 1 // 0)
    content = pem(ROOT, server()) + key_pem()
    with pytest.raises(ZeroDivisionError) as caught:
        read(content)
    held = reports_of(caught.value)[1]
    assert "found = _Found(" in held
    assert key_pem().splitlines()[1].decode() not in held


def test_many_beginnings_of_keys_are_read_in_no_time() -> None:
    found = read(b"-----BEGIN PRIVATE KEY-----\n" * 30_000, b"-----BEGIN " + b" " * 1_000_000 + b"PRIVATE KEY-----")
    assert len(told(found)) == 2


def test_a_key_without_a_certificate_is_told() -> None:
    assert told(read(pem(ROOT), key_pem())) == [
        "b.pem stays out: no certificate that is taken over is for this private key"
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        key_pem()[:-30],
        b"".join(b"  " + line for line in key_pem().splitlines(keepends=True)),
        pem(server()).replace(b"BEGIN C", b"BEGIN TRUSTED C").replace(b"END C", b"END TRUSTED C"),
    ],
    ids=["damaged", "cut", "key", "cut key", "indented key", "trusted"],
)
def test_what_cannot_be_read_is_told_and_the_rest_taken(content: bytes) -> None:
    found = read(pem(ROOT), content)
    assert wishes(found) == ["Root"]
    assert [message.startswith("b.pem stays out: ") for message in told(found)] == [True]


@pytest.mark.parametrize("content", [b"", b"\0", b"version: 1", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_neither_is_passed_over(content: bytes) -> None:
    assert read(content) == Collected()


def test_a_copy_is_no_second_entry() -> None:
    found = read(pem(ROOT), pem(ROOT), pem(server_ := server()), pem(server_))
    assert (wishes(found), told(found)) == (["Root", "api"], [])


def test_of_one_key_and_name_the_certificate_that_ends_last_is_taken() -> None:
    early, late = server(days=90), server(days=91)
    for first, second, outdated in ((early, late, "b"), (late, early, "c")):
        found = read(pem(ROOT), pem(first), pem(second))
        certificate = one(found).certificate
        assert certificate is not None
        assert certificate.der == der(late)
        assert told(found) == [f"a certificate in {outdated}.pem stays out: another of its key and subject ends later"]


def test_another_name_of_one_key_and_another_key_of_one_name_are_entries() -> None:
    found = read(pem(ROOT, server(), server("web"), server(key=new_key("ecdsa-p256"))), key_pem())
    assert wishes(found) == ["Root", "api", "api", "web"]
    assert sum(draft.private_key is not None for draft in found.drafts) == 2


def test_a_root_is_taken_rather_than_what_others_signed_of_it() -> None:
    one_key, other_key = new_key("ecdsa-p256"), new_key("ecdsa-p256")
    first, second = ca("One", one_key, None), ca("Two", other_key, None)
    crossed = [ca("One", one_key, second, 2000), ca("Two", other_key, first, 100)]
    for files in ([first, second, *crossed], [*crossed, second, first]):
        found = read(pem(*files, server(issuer=first)))
        assert wishes(found) == ["One", "Two", "api"]
        assert [one(found, name).issuer for name in ("One", "Two")] == [None, None]
        assert one(found).issuer == one(found, "One").subject
        assert sorted(told(found)) == [
            "a certificate in a.pem stays out: another of its key and subject ends later",
            "a certificate in a.pem stays out: another of its key and subject is a root",
        ]


def test_an_intermediate_of_two_roots_is_that_of_the_root_that_is_there() -> None:
    key, lost = new_key("ecdsa-p256"), make_ca("Lost", "ecdsa-p256")
    here, elsewhere = ca("Issuing", key, ROOT, 100), ca("Issuing", key, lost, 800)
    found = read(pem(ROOT, elsewhere, here, server(issuer=here)))
    assert wishes(found) == ["Issuing", "Root", "api"]
    assert told(found) == ["a certificate in a.pem stays out: another of its key and subject leads to a root"]


def test_two_cas_of_one_name_are_told_apart_by_their_keys() -> None:
    first, second = make_ca("Root", "ecdsa-p256"), make_ca("Root", "ed25519")
    found = read(pem(first, second, server("a", first), server("b", second, new_key("ecdsa-p256"))))
    roots = [draft.subject for draft in found.drafts if draft.section is Section.CAS]
    assert len(set(roots)) == 2
    assert [one(found, name).issuer for name in ("a", "b")] == roots


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((server(),), "the CA `C=NL, O=Shop BV, CN=Root` above it is not among the files"),
        ((server(issuer=None),), "`C=NL, O=Shop BV, CN=api` signed itself and is no CA"),
    ],
)
def test_who_stands_below_no_root_stays_out(files: Sequence[x509.Certificate], reason: str) -> None:
    found = read(pem(*files))
    assert found.drafts == ()
    assert told(found) == [f"a.pem stays out: {reason}"]
    assert wishes(read(pem(ROOT), pem(server()))) == ["Root", "api"]


def test_cas_that_only_sign_each_other_stay_out() -> None:
    one_key, other_key = new_key("ecdsa-p256"), new_key("ecdsa-p256")
    first = ca("One", one_key, ca("Two", other_key, None))
    second = ca("Two", other_key, ca("One", one_key, None))
    found = read(pem(first, second, server(issuer=first)))
    assert found.drafts == ()
    assert len(told(found)) == 3
    assert all("has no root among the files" in message for message in told(found))


def test_a_key_that_did_not_sign_is_no_issuer() -> None:
    stranger = make_ca("Root", "ecdsa-p256")
    found = read(pem(ROOT), pem(server(issuer=replace(ROOT, key=stranger.key))))
    assert wishes(found) == ["Root"]


def test_what_a_ca_without_a_name_signed_stays_out() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    nameless = Authority(nameless_ca(key), key)
    found = read(pem(nameless, server(issuer=nameless)))
    assert found.drafts == ()
    assert all("its root has no name" in message for message in told(found))


def test_without_a_common_name_another_is_found() -> None:
    host, none = [x509.DNSName("api.shop.example")], ()
    files = [("web.pem", pem(nameless_server(host))), ("mail.pem", pem(nameless_server(none)))]
    assert wishes(read(pem(ROOT), *files)) == ["Root", "api.shop.example", "mail"]


def nameless_ca(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    builder = _builder(x509.Name([]), x509.Name([]), key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, SHA256())


def nameless_server(names: Sequence[x509.GeneralName]) -> x509.Certificate:
    builder = _builder(x509.Name([]), ROOT.certificate.subject, ec.generate_private_key(ec.SECP256R1()))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True) if names else builder
    return builder.sign(ROOT.key, SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
