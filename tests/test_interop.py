"""Verifiers that nobody here wrote agree with what certgen makes, and refuse what they must."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from foreign import PATH_VERIFIERS, Purpose, Verdict, Verifier, can_judge, pkilint, supports
from foreign.controls import WORDS
from foreign.hierarchy import SERVER, Wish, certify, end_entity_extensions, make_ca, new_key, write_pem
from scene import MET_AS, PURPOSES, Scene, load

from certgen.certificates import parse_certificate
from certgen.encoders.pem import encode_certificates
from certgen.issue import issue, new_serial_number
from certgen.model import Address, Bundle, Entry, Issuance
from certgen.rfc5280.names import parse_general_name
from certgen.rfc5280.objects import public_key_der

NOW = datetime.now(UTC).replace(microsecond=0)
"""GnuTLS cannot be asked about another time before 3.8.1."""

SPEC = """\
    version: 1
    defaults: {subject: {organization: Shop BV, country: NL}}
    cas:
      root:
        common_name: Shop Root CA
        key: rsa-3072
        name_constraints:
          permitted: [shop.example, localhost, 127.0.0.0/8, "fd00::/8", "email:shop.example"]
          excluded: [secret.shop.example]
      issuing: {issuer: root, common_name: Shop Issuing CA, key: ecdsa-p384}
      partner:
        common_name: Partner Root CA
        key: ecdsa-p521
        name_constraints: {permitted: [partner.example, "URI:partner.example"]}
      edge: {issuer: partner, common_name: Partner Edge CA, key: ed25519}
    servers:
      api: {issuer: issuing, key: rsa-2048, sans: [api.shop.example, localhost, 127.0.0.1, "fd00::1"]}
      web: {issuer: root, sans: [web.shop.example, "*.web.shop.example"]}
      cdn: {issuer: partner, key: ecdsa-p384, sans: [cdn.partner.example]}
      edge: {issuer: edge, key: ed25519, sans: [edge.partner.example]}
    clients:
      checkout: {issuer: partner, sans: ["spiffe://partner.example/checkout"]}
      report: {issuer: issuing, key: ecdsa-p521, sans: [report@shop.example]}
      nameless: {issuer: issuing}
      robot: {issuer: edge, key: ed25519, sans: [robot.partner.example]}
    peers:
      etcd-0: {issuer: issuing, sans: [etcd-0.shop.example, 127.0.0.1]}
"""
ADDRESSES = (
    *("servers/api", "servers/web", "servers/cdn", "servers/edge"),
    *("clients/checkout", "clients/report", "clients/nameless", "clients/robot", "peers/etcd-0"),
)
BELOW_ROOT = ("servers/api", "servers/web", "clients/report", "clients/nameless", "peers/etcd-0")
WITH_ED25519 = {"servers/edge", "clients/robot"}
BELOW_A_URI_CONSTRAINT = {"clients/checkout"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = Scene(tmp_path_factory.mktemp("interop"), NOW)
    scene.write(SPEC)
    scene.apply()
    return scene


def bundle_of(scene: Scene) -> Bundle:
    return scene.load()[0].bundle


def entry_of(scene: Scene, address: str) -> Entry:
    return bundle_of(scene)[Address.parse(address)]


def does_support(scene: Scene, verifier: Verifier, address: str) -> bool:
    """Tell whether a verifier knows every algorithm and every kind of name constraint in an entry's path."""
    entry, bundle = entry_of(scene, address), bundle_of(scene)
    path = [entry, *bundle.issuers_above(entry.address)]
    if verifier == "python_strict" and any(name.kind == "URI" for name in entry.template.subject_alt_names):
        return False
    return all(supports(verifier, one.key.algorithm) for one in path)


def root_of(scene: Scene, address: str) -> Path:
    root = bundle_of(scene).issuers_above(Address.parse(address))[-1]
    return scene.tree / str(root.address) / "cert.pem"


def names(scene: Scene, verifier: Verifier, address: str, purpose: Purpose) -> list[str | None]:
    """Give the names by which a verifier can be asked for an entry; where by none, whether it can do without."""
    entry = entry_of(scene, address)
    texts = [name.value.replace("*", "any") for name in entry.template.subject_alt_names]
    askable: list[str | None] = [text for text in texts if can_judge(verifier, purpose, text)]
    return askable or [None]


def ask(verifier: Verifier, path: Path, anchors: Path, purpose: Purpose, name: str | None) -> Verdict:
    return PATH_VERIFIERS[verifier](path, anchors, purpose, name)


def first_name(scene: Scene, verifier: Verifier, address: str, purpose: Purpose) -> str | None:
    found = names(scene, verifier, address, purpose)[0]
    return found or ("localhost" if not can_judge(verifier, purpose, None) else None)


# What they accept


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_each_verifier_accepts_each_entry_that_it_supports(shop: Scene, verifier: Verifier, address: str) -> None:
    path, root = shop.tree / address / "cert.pem", root_of(shop, address)
    for purpose in PURPOSES[Address.parse(address).section]:
        for name in names(shop, verifier, address, purpose):
            verdict = ask(verifier, path, root, purpose, name)
            assert verdict.accepted == does_support(shop, verifier, address), (purpose, name, verdict.words)


def test_what_is_not_supported_is_little_and_known(shop: Scene) -> None:
    missing = {
        (verifier, address)
        for verifier in PATH_VERIFIERS
        for address in ADDRESSES
        if not does_support(shop, verifier, address)
    }
    assert missing == {("python_strict", address) for address in WITH_ED25519 | BELOW_A_URI_CONSTRAINT}


@pytest.mark.parametrize("verifier", ["openssl", "go"])
def test_each_entry_accepts_the_peers_that_it_should_by_its_own_anchors(shop: Scene, verifier: Verifier) -> None:
    meetings = 0
    bundle = bundle_of(shop)
    for own in bundle.entries:
        for other in bundle.entries:
            if own.is_ca or other.is_ca or own is other:
                continue
            for purpose in MET_AS[own.address.section].get(other.address.section, ()):
                anchors = shop.tree / str(own.address) / "ca.pem"
                path = shop.tree / str(other.address) / "cert.pem"
                name = names(shop, verifier, str(other.address), purpose)[0]
                verdict = ask(verifier, path, anchors, purpose, name)
                assert verdict.accepted, (str(own.address), str(other.address), verdict.words)
                meetings += 1
    assert meetings == 2 * (4 * 4 + 4 + 4)


def test_the_linter_finds_no_error_in_any_certificate(shop: Scene) -> None:
    files = [*shop.tree.rglob("cert.pem"), *shop.tree.rglob("ca.pem")]
    assert len(files) == 4 + 2 * len(ADDRESSES)
    assert [finding for file in files for finding in pkilint(file)] == []


def test_the_linter_would_find_an_error(tmp_path: Path) -> None:
    issuer = make_ca("Shop Root CA", "ecdsa-p256")
    names = [x509.DNSName("api.shop.example")]
    good = certify(Wish("good", end_entity_extensions([SERVER], names)), new_key("ecdsa-p256"), issuer)
    assert pkilint(write_pem(tmp_path / "good.pem", good)) == ()
    wrong = certify(
        Wish("wrong", end_entity_extensions([SERVER], [x509.DNSName("api shop")])), new_key("ecdsa-p256"), issuer
    )
    assert pkilint(write_pem(tmp_path / "wrong.pem", wrong))


# What they refuse


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize("address", [address for address in ADDRESSES if not address.startswith("peers")])
def test_each_verifier_refuses_a_server_as_a_client_and_a_client_as_a_server(
    shop: Scene, verifier: Verifier, address: str
) -> None:
    purpose: Purpose = "client" if address.startswith("servers") else "server"
    name = first_name(shop, verifier, address, purpose)
    verdict = ask(verifier, shop.tree / address / "cert.pem", root_of(shop, address), purpose, name)
    assert not verdict.accepted
    if does_support(shop, verifier, address):
        words = f"{WORDS[verifier]['purpose']}|{WORDS[verifier]['name']}|has no subjectAltName"
        assert re.search(words, verdict.words), verdict.words


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_each_verifier_refuses_every_entry_by_the_root_that_is_not_above_it(
    shop: Scene, verifier: Verifier, address: str
) -> None:
    other = "partner" if address in BELOW_ROOT else "root"
    (purpose, *_) = PURPOSES[Address.parse(address).section]
    name = first_name(shop, verifier, address, purpose)
    anchors = shop.tree / "cas" / other / "cert.pem"
    assert not ask(verifier, shop.tree / address / "cert.pem", anchors, purpose, name).accepted


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
def test_each_verifier_refuses_a_path_without_its_intermediate(shop: Scene, verifier: Verifier, tmp_path: Path) -> None:
    bare = write_pem(tmp_path / "bare.pem", load(shop.tree / "servers/api/cert.pem"))
    verdict = ask(verifier, bare, root_of(shop, "servers/api"), "server", "api.shop.example")
    assert not verdict.accepted
    assert re.search(WORDS[verifier]["issuer"], verdict.words)


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize("name", ["web.shop.example", "shop.example", "127.0.0.2", "api.shop.example.evil.example"])
def test_each_verifier_refuses_a_name_that_the_server_does_not_have(shop: Scene, verifier: Verifier, name: str) -> None:
    path, root = shop.tree / "servers/api/cert.pem", root_of(shop, "servers/api")
    verdict = ask(verifier, path, root, "server", name)
    assert not verdict.accepted
    assert re.search(WORDS[verifier]["name"], verdict.words)


def sign(scene: Scene, issuer: str, address: str, sans: list[str], to: Path) -> Path:
    """Sign for an entry what its spec would refuse: the same certificate with other names."""
    entry = entry_of(scene, address)
    template = replace(entry.template, subject_alt_names=tuple(map(parse_general_name, sans)))
    key = load_pem_private_key((scene.tree / issuer / "key.pem").read_bytes(), None)
    own = load_pem_private_key((scene.tree / address / "key.pem").read_bytes(), None)
    above = parse_certificate(load(scene.tree / issuer / "cert.pem").public_bytes(Encoding.DER))
    term = Issuance(template, NOW - timedelta(minutes=5), NOW + timedelta(days=30))
    der = issue(term, public_key_der(own.public_key()), above, key, new_serial_number())  # type: ignore[arg-type]  # EC
    to.write_bytes(encode_certificates([der, *([] if above.is_self_issued else [above.der])]))
    return to


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize(
    ("san", "is_inside"),
    [
        ("etcd-1.shop.example", True),
        ("shop.example", True),
        ("127.1.2.3", True),
        ("etcd.evil.example", False),
        ("evilshop.example", False),
        ("secret.shop.example", False),
        ("very.secret.shop.example", False),
        ("10.0.0.1", False),
        ("fe80::1", False),
    ],
)
def test_each_verifier_refuses_a_name_outside_the_constraint(
    shop: Scene, verifier: Verifier, san: str, is_inside: bool, tmp_path: Path
) -> None:
    sans = [san] if "shop" in san or "evil" in san else ["etcd-0.shop.example", san]
    path = sign(shop, "cas/issuing", "peers/etcd-0", sans, tmp_path / "signed.pem")
    verdict = ask(verifier, path, root_of(shop, "peers/etcd-0"), "server", san)
    assert verdict.accepted is is_inside, verdict.words
    if not is_inside:
        assert re.search(f"{WORDS[verifier]['constraint']}|excluded", verdict.words), verdict.words


@pytest.mark.parametrize(
    ("verifier", "san", "is_inside"),
    [
        ("openssl", "spiffe://partner.example/other", True),
        ("openssl", "https://partner.example/other", True),
        ("openssl", "spiffe://shop.example/checkout", False),
        ("openssl", "spiffe://evil.partner.example/checkout", False),
        ("go", "spiffe://partner.example/other", True),
        ("go", "https://partner.example/other", True),
        ("go", "spiffe://shop.example/checkout", False),
        ("go", "spiffe://evil.partner.example/checkout", True),  # Go takes it for a domain, against RFC 5280 4.2.1.10
    ],
)
def test_a_uri_constraint_is_one_host_with_any_scheme(
    shop: Scene, verifier: Verifier, san: str, is_inside: bool, tmp_path: Path
) -> None:
    path = sign(shop, "cas/partner", "clients/checkout", [san], tmp_path / "signed.pem")
    verdict = ask(verifier, path, root_of(shop, "clients/checkout"), "client", None)
    assert verdict.accepted is is_inside, verdict.words


@pytest.mark.parametrize(
    ("address", "was", "san"),
    [
        ("peers/etcd-0", "etcd-0.shop.example", "etcd.evil.example"),
        ("peers/etcd-0", "etcd-0.shop.example", "secret.shop.example"),
        ("servers/api", "api.shop.example", "10.0.0.1"),
        ("clients/checkout", '"spiffe://partner.example/checkout"', '"spiffe://evil.partner.example/checkout"'),
        ("clients/report", "report@shop.example", "report@evil.example"),
    ],
)
def test_what_the_verifiers_would_refuse_the_spec_refuses_first(
    tmp_path: Path, address: str, was: str, san: str
) -> None:
    scene = Scene(tmp_path, NOW)
    scene.write(SPEC)
    assert str(entry_of(scene, address).address) == address
    scene.edit((f"sans: [{was}", f"sans: [{san}"))
    assert scene.refused_spec() == ["outside-constraints"]
