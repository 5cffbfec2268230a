"""The shadow: to the letter what the spec asks for, and not one key of the tree."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from foreign.hierarchy import Authority, Extension, key_usage, make_ca, new_key
from proving import DAY, HOUR, NOW, Place, compiled, key_pem
from scene import key_id, key_of_file

from certgen.model import Address
from certgen.prove.shadow import Shadow
from certgen.rfc5280.vocabulary import ExtendedKeyUsage
from certgen.store.scratch import Scratch, scratch
from certgen.tls.contexts import Credentials

SPEC = """\
    version: 1
    defaults: {subject: {organization: Shop BV, country: NL}}
    cas:
      root: {common_name: Shop Root, key: rsa-2048}
      policy: {issuer: root, name_constraints: {permitted: [shop.example]}}
      issuing: {issuer: policy, key: ecdsa-p384, validity: 90d}
      other: {}
    servers:
      api: {issuer: issuing, sans: [api.shop.example, "*.shop.example"], key: ed25519, validity: 30d}
    clients:
      checkout: {issuer: other, sans: ["spiffe://shop.example/checkout", "ops@shop.example"]}
"""
API, CHECKOUT = Address.parse("servers/api"), Address.parse("clients/checkout")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("shadow") / "shop", SPEC)


@pytest.fixture
def files() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


@pytest.fixture
def shadow(place: Place, files: Scratch) -> Shadow:
    return Shadow(place.bundle, NOW, files)


def path_of(credentials: Credentials) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(credentials.certificate.read_bytes())


def identifying(certificate: x509.Certificate) -> set[x509.Extension[x509.ExtensionType]]:
    """Give the extensions that do not follow from a key."""
    derived = {x509.SubjectKeyIdentifier.oid, x509.AuthorityKeyIdentifier.oid}
    return {item for item in certificate.extensions if item.oid not in derived}


@pytest.mark.parametrize("address", [API, CHECKOUT], ids=str)
def test_a_shadow_says_what_the_real_certificate_says(place: Place, shadow: Shadow, address: Address) -> None:
    real, made = place.certificates(str(address)), path_of(shadow.credentials(place.bundle[address]))
    assert len(made) == len(real)
    for one, other in zip(real, made, strict=True):
        assert (one.subject, one.issuer) == (other.subject, other.issuer)
        assert identifying(one) == identifying(other)


def test_no_key_of_a_shadow_is_one_of_the_tree(place: Place, shadow: Shadow) -> None:
    credentials = [shadow.credentials(place.bundle[address]) for address in (API, CHECKOUT)]
    made = {key_id(one) for item in credentials for one in path_of(item)}
    anchors = x509.load_pem_x509_certificates(shadow.anchors([place.bundle[API], place.bundle[CHECKOUT]]))
    made |= {key_id(one) for one in anchors}
    assert len(made) == 6
    assert made.isdisjoint(key_of_file(path) for path in place.tree.glob("*/*/key.pem"))


def test_a_path_leads_to_the_anchors_of_the_shadow_and_not_to_those_of_the_tree(place: Place, shadow: Shadow) -> None:
    path = path_of(shadow.credentials(place.bundle[API]))
    (root,) = x509.load_pem_x509_certificates(shadow.anchors([place.bundle[API]]))
    for one, issuer in zip(path, [*path[1:], root], strict=True):
        one.verify_directly_issued_by(issuer)
    real = place.certificates("cas/root")[0]
    assert real.subject == root.subject
    with pytest.raises((InvalidSignature, TypeError, ValueError)):
        path[-1].verify_directly_issued_by(real)


def test_anchors_are_the_roots_above_each_once(place: Place, shadow: Shadow) -> None:
    entries = [place.bundle[API], place.bundle[CHECKOUT], place.bundle[API]]
    anchors = x509.load_pem_x509_certificates(shadow.anchors(entries))
    assert [one.subject.rfc4514_string() for one in anchors] == [
        "CN=Shop Root,O=Shop BV,C=NL",
        "CN=other,O=Shop BV,C=NL",
    ]
    assert shadow.anchors(entries) == shadow.anchors(entries)


def test_a_purpose_can_be_another_and_nothing_else_is(place: Place, shadow: Shadow) -> None:
    entry = place.bundle[CHECKOUT]
    own = path_of(shadow.credentials(entry, frozenset({ExtendedKeyUsage.SERVER_AUTH})))[0]
    real = place.certificates("clients/checkout")[0]
    assert {item.oid for item in identifying(own) ^ identifying(real)} == {x509.ExtendedKeyUsage.oid}
    usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [item._name for item in usage] == ["serverAuth"]


def test_a_shadow_is_valid_now_unless_it_is_to_be_expired(place: Place, shadow: Shadow) -> None:
    entry = place.bundle[API]
    *_, valid = path_of(shadow.credentials(entry))
    assert valid.not_valid_before_utc < NOW < valid.not_valid_after_utc
    expired, *above = path_of(shadow.credentials(entry, is_expired=True))
    assert NOW - DAY < expired.not_valid_before_utc < expired.not_valid_after_utc <= NOW - HOUR
    assert all(one.not_valid_before_utc < NOW < one.not_valid_after_utc for one in above)


def test_keys_are_kept_from_others(place: Place, shadow: Shadow) -> None:
    credentials = shadow.credentials(place.bundle[API])
    for path in (credentials.private_key, credentials.certificate):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_shadow_needs_nothing_of_the_tree(place: Place, files: Scratch, tmp_path: Path) -> None:
    bundle = Place(Path(place.copied(tmp_path / "shop").folder)).bundle
    (tmp_path / "shop" / "output").rename(tmp_path / "gone")
    assert path_of(Shadow(bundle, NOW, files).credentials(bundle[API]))


# CAs that the user brings


def brought(tmp_path: Path, spec: str, authority: Authority, **files: bytes) -> Place:
    """Compile a spec with a CA of one's own, `own.pem`."""
    own = b"".join(one.public_bytes(Encoding.PEM) for one in (authority.path or (authority.certificate,)))
    beside = {"own.pem": own, "own.key": key_pem(authority.key)}
    beside |= {f"{name}.pem": content for name, content in files.items()}
    members = "servers: {api: {sans: localhost}}\nclients: {checkout: }\n"
    return compiled(tmp_path / "shop", f"version: 1\nca: {{certificate: own.pem, {spec}}}\n{members}", beside)


def odd_ca() -> Authority:
    """A root whose name a spec cannot spell."""
    key = new_key("ecdsa-p256")
    name = x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "Two in one"),
                    x509.NameAttribute(NameOID.USER_ID, "17"),
                ]
            ),
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.PSEUDONYM, "größe")]),
        ]
    )
    extensions = [
        Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        key_usage("key_cert_sign"),
    ]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder(name, name, key.public_key(), 17, NOW - DAY, NOW + 400 * DAY)
    for item in (*extensions, Extension(identifier)):
        builder = builder.add_extension(item.value, critical=item.critical)
    return Authority(builder.sign(key, hashes.SHA256()), key)


@pytest.mark.parametrize("kind", ["root", "intermediate", "odd name"])
def test_a_ca_of_ones_own_has_a_shadow_of_its_name(tmp_path: Path, files: Scratch, kind: str) -> None:
    root = odd_ca() if kind == "odd name" else make_ca("Their Root", "ecdsa-p256")
    authority = make_ca("Their Issuing", "ecdsa-p256", root) if kind == "intermediate" else root
    above = "private_key: own.key" + (", trust: root.pem" if kind == "intermediate" else "")
    place = brought(tmp_path, above, authority, root=root.certificate.public_bytes(Encoding.PEM))
    shadow = Shadow(place.bundle, NOW, files)
    (own,) = path_of(shadow.credentials(place.bundle[API]))
    (anchor,) = x509.load_pem_x509_certificates(shadow.anchors([place.bundle[API]]))
    assert own.issuer == anchor.subject == authority.certificate.subject
    assert key_id(anchor) != key_id(authority.certificate)
    own.verify_directly_issued_by(anchor)
