"""The audit of a tree: each kind of damage gives its finding and no other; what was not touched is sound."""

import base64
import json
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from foreign.hierarchy import CLIENT, SERVER, Extension, distinguished_name, key_usage, make_ca, write_pem

from certgen.diagnostics import Diagnostic, Severity
from certgen.model import Bundle
from certgen.pipeline import apply_specs, load_spec, plan_specs
from certgen.store.tree import Tree
from certgen.verify.audit import verify

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEAF = "servers/api"
SPEC = """
version: 1
cas:
  root: {}
  policy: {issuer: root}
  issuing: {issuer: policy, validity: 4y}
  other: {issuer: policy, validity: 4y}
  client-root: {}
servers:
  api: {issuer: issuing, sans: [api.shop.example, 127.0.0.1]}
  web: {issuer: issuing, sans: shop.example}
clients:
  checkout: {issuer: client-root}
peers:
  node: {issuer: issuing, sans: node.shop.example}
"""


def compiled(folder: Path, spec: str) -> tuple[Bundle, Path]:
    """Compile a spec to a tree, as the program would."""
    folder.mkdir(exist_ok=True)
    path = folder / "shop.yaml"
    path.write_text(spec)
    loaded = load_spec(path)
    apply_specs([loaded], folder / "output", NOW)
    return loaded.bundle, folder / "output" / "shop"


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    return compiled(tmp_path_factory.mktemp("audit") / "shop", SPEC)


@dataclass(frozen=True)
class Copy:
    """A copy of the tree, to be damaged."""

    bundle: Bundle
    root: Path

    def found(self, now: datetime = NOW) -> list[Diagnostic]:
        return list(verify(self.bundle, Tree(self.root), now))

    def codes(self, now: datetime = NOW) -> list[str]:
        return [finding.code for finding in self.found(now) if finding.is_error]

    def findings(self, now: datetime = NOW) -> list[tuple[str, str | None]]:
        return [(finding.code, finding.where) for finding in self.found(now) if finding.is_error]

    def path(self, name: str) -> Path:
        return self.root / name

    def certificates(self, address: str) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.path(f"{address}/cert.pem").read_bytes())

    def key(self, address: str) -> CertificateIssuerPrivateKeyTypes:
        key = load_pem_private_key(self.path(f"{address}/key.pem").read_bytes(), None)
        assert hasattr(key, "sign")
        return key  # type: ignore[return-value]  # whatever can sign

    def put_key(self, address: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.path(f"{address}/key.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    def put(self, address: str, *certificates: x509.Certificate) -> None:
        write_pem(self.path(f"{address}/cert.pem"), *certificates)

    def put_own(self, address: str, own: x509.Certificate) -> None:
        """Replace an entry's own certificate, and leave those above it."""
        self.put(address, own, *self.certificates(address)[1:])


@pytest.fixture
def copy(untouched: tuple[Bundle, Path], tmp_path: Path) -> Copy:
    bundle, tree = untouched
    return Copy(bundle, Path(shutil.copytree(tree, tmp_path / "shop")))


@dataclass(frozen=True)
class Other:
    """How a certificate is to differ from the one that is there."""

    issuer: str = "cas/issuing"
    subject: x509.Name | None = None
    public_key: ec.EllipticCurvePublicKey | None = None
    serial_number: int | None = None
    begin: datetime | None = None
    end: datetime | None = None
    extensions: Mapping[type[x509.ExtensionType], Extension | None] = field(default_factory=dict)
    """By kind: instead of the one that is there; None for none."""


def signed_again(tree: Copy, address: str, other: Other) -> x509.Certificate:
    """Sign an entry's certificate again by the key of a CA of the tree, differing only as told."""
    was, issuer = tree.certificates(address)[0], tree.certificates(other.issuer)[0]
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )
    wanted: dict[type[x509.ExtensionType], Extension | None] = {
        type(item.value): Extension(item.value, critical=item.critical) for item in was.extensions
    }
    wanted[x509.AuthorityKeyIdentifier] = Extension(authority_key)
    wanted.update(other.extensions)
    builder = x509.CertificateBuilder(
        issuer_name=issuer.subject,
        subject_name=other.subject or was.subject,
        public_key=other.public_key or was.public_key(),
        serial_number=other.serial_number or x509.random_serial_number(),
        not_valid_before=other.begin or was.not_valid_before_utc,
        not_valid_after=other.end or was.not_valid_after_utc,
    )
    for extension in wanted.values():
        if extension is not None:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(tree.key(other.issuer), hashes.SHA256())


def names(*values: str) -> dict[type[x509.ExtensionType], Extension | None]:
    return {x509.SubjectAlternativeName: Extension(x509.SubjectAlternativeName([x509.DNSName(v) for v in values]))}


def purposes(*values: x509.ObjectIdentifier) -> dict[type[x509.ExtensionType], Extension | None]:
    return {x509.ExtendedKeyUsage: Extension(x509.ExtendedKeyUsage(values))}


# The tree that is as it should be


def test_a_tree_that_was_not_touched_is_sound(copy: Copy) -> None:
    assert copy.found() == []


@pytest.mark.parametrize("algorithm", ["ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519", "ml-dsa-44", "ml-dsa-87"])
def test_trees_of_every_algorithm_are_judged(tmp_path: Path, algorithm: str) -> None:
    spec = f"version: 1\ndefaults: {{key: {algorithm}}}\nca: {{}}\nservers: {{api: {{sans: localhost}}}}\n"
    tree = Copy(*compiled(tmp_path / "first", spec))
    assert tree.codes() == []
    _, stranger = compiled(tmp_path / "second", spec)
    shutil.copy(stranger / "servers/api/cert.pem", tree.path("servers/api/cert.pem"))
    shutil.copy(stranger / "servers/api/key.pem", tree.path("servers/api/key.pem"))
    assert tree.findings() == [("path-broken", "servers/api")]


def test_a_tree_that_is_signed_again_by_hand_in_the_same_words_is_sound(copy: Copy) -> None:
    copy.put_own(LEAF, signed_again(copy, LEAF, Other()))
    assert copy.codes() == []


# Files


def test_no_tree_is_one_finding(copy: Copy, tmp_path: Path) -> None:
    (finding,) = Copy(copy.bundle, tmp_path / "nothing").found()
    assert (finding.code, finding.message, finding.help) == (
        "no-tree",
        "there is no tree of shop",
        "run `certgen apply`",
    )


@pytest.mark.parametrize("name", ["servers/api/cert.pem", "clients/checkout/ca.pem", "cas/issuing/cert.pem"])
def test_a_file_that_is_missing_is_found(copy: Copy, name: str) -> None:
    copy.path(name).unlink()
    assert copy.findings() == [("file-missing", name)]


def test_a_root_that_is_missing_leaves_the_paths_below_it_unjudged_and_no_trust_wrong(copy: Copy) -> None:
    copy.path("cas/client-root/cert.pem").unlink()
    assert copy.findings() == [
        ("file-missing", "cas/client-root/cert.pem"),
        ("path-broken", "clients/checkout"),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"not PEM\n", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
@pytest.mark.parametrize("name", ["servers/api/cert.pem", "servers/api/ca.pem", "servers/api/key.pem"])
def test_a_file_that_cannot_be_read_is_found(copy: Copy, name: str, content: bytes) -> None:
    copy.path(name).write_bytes(content)
    assert copy.findings() == [("file-unreadable", name)]


def test_a_link_in_the_place_of_a_file_is_not_followed(copy: Copy) -> None:
    path = copy.path("servers/api/cert.pem")
    path.rename(path.with_name("moved.pem"))
    path.symlink_to("moved.pem")
    assert copy.findings() == [("file-unreadable", "servers/api/cert.pem")]
    (found,) = (item for item in copy.found() if item.is_error)
    assert found.message == "servers/api/cert.pem cannot be read: a symbolic link, which is not followed"


def test_a_key_that_is_encrypted_cannot_be_read(copy: Copy) -> None:
    key, path = copy.key(LEAF), copy.path("servers/api/key.pem")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert copy.findings() == [("file-unreadable", "servers/api/key.pem")]


def test_a_key_that_is_elsewhere_is_a_note_and_no_finding(copy: Copy) -> None:
    copy.path("servers/api/key.pem").unlink()
    assert copy.findings() == [("key-gone", "servers/api/key.pem")]
    shutil.rmtree(copy.path(".certgen"))
    (note,) = copy.found()
    assert (note.severity, note.code, note.where) == (Severity.NOTE, "key-elsewhere", "servers/api/key.pem")


# What a certificate says


def test_another_subject_is_found(copy: Copy) -> None:
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(subject=distinguished_name("api"))))
    (finding,) = copy.found()
    assert finding.code == "wrong-subject"
    assert finding.message == "servers/api is for `C=NL, O=Shop BV, CN=api`, the spec says `CN=api`"


def test_a_name_that_is_lacking_is_found(copy: Copy) -> None:
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(extensions=names("api.shop.example"))))
    (finding,) = copy.found()
    assert (finding.code, finding.message) == ("wrong-names", "servers/api lacks the name IP:127.0.0.1")


def test_a_name_too_many_is_found(copy: Copy) -> None:
    copy.put_own("servers/web", signed_again(copy, "servers/web", Other(extensions=names("shop.example", "a.test"))))
    (finding,) = copy.found()
    assert finding.code == "wrong-names"
    assert finding.message == "servers/web has the name DNS:a.test, which the spec does not"


@pytest.mark.parametrize(
    ("address", "values"),
    [(LEAF, (SERVER, CLIENT)), ("peers/node", (SERVER, CLIENT, ExtendedKeyUsageOID.CODE_SIGNING))],
)
def test_a_usage_too_many_is_found(copy: Copy, address: str, values: Sequence[x509.ObjectIdentifier]) -> None:
    copy.put_own(address, signed_again(copy, address, Other(extensions=purposes(*values))))
    assert copy.findings() == [("wrong-usage", address)]


def test_a_usage_that_is_lacking_is_found_and_refused_by_the_library_too(copy: Copy) -> None:
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(extensions=purposes(CLIENT))))
    assert copy.findings() == [("wrong-usage", LEAF), ("path-refused", LEAF)]


def test_another_key_algorithm_is_found(copy: Copy) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    other = Other(public_key=key.public_key(), extensions={x509.SubjectKeyIdentifier: Extension(ski)})
    copy.put_own(LEAF, signed_again(copy, LEAF, other))
    copy.put_key(LEAF, key)
    (finding,) = copy.found()
    assert finding.code == "wrong-key-algorithm"
    assert finding.message == "servers/api has a key of ecdsa-p384, the spec says ecdsa-p256"


def test_a_departure_from_the_profile_is_found(copy: Copy) -> None:
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(extensions={x509.SubjectKeyIdentifier: None})))
    (finding,) = copy.found()
    assert (finding.code, finding.message) == ("lint", "servers/api: it has no subjectKeyIdentifier")


def test_what_only_the_library_refuses_is_found(copy: Copy) -> None:
    name = x509.SubjectAlternativeName([x509.DNSName("shop.example")])
    critical: dict[type[x509.ExtensionType], Extension | None] = {type(name): Extension(name, critical=True)}
    copy.put_own("servers/web", signed_again(copy, "servers/web", Other(extensions=critical)))
    assert copy.findings() == [("path-refused", "servers/web")]


# Keys


def test_a_key_of_another_certificate_is_found(copy: Copy) -> None:
    copy.put_key(LEAF, ec.generate_private_key(ec.SECP256R1()))
    assert copy.findings() == [("key-mismatch", "servers/api/key.pem")]


def test_two_keys_that_are_swapped_are_found_both(copy: Copy) -> None:
    one, two = copy.path("servers/api/key.pem"), copy.path("servers/web/key.pem")
    contents = one.read_bytes(), two.read_bytes()
    two.write_bytes(contents[0])
    one.write_bytes(contents[1])
    assert copy.findings() == [("key-mismatch", "servers/api/key.pem"), ("key-mismatch", "servers/web/key.pem")]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o700])
def test_a_key_that_others_can_read_is_found(copy: Copy, mode: int) -> None:
    copy.path("servers/api/key.pem").chmod(mode)
    (finding,) = copy.found()
    assert (finding.code, finding.where) == ("key-mode", "servers/api/key.pem")
    assert finding.message == f"servers/api/key.pem has mode {mode:04o}, asked is 0600"


def test_a_key_that_is_closed_further_than_asked_is_no_finding(copy: Copy) -> None:
    copy.path("servers/api/key.pem").chmod(0o400)
    assert copy.found() == []


def test_a_certificate_for_another_key_than_the_one_that_was_supplied_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "host"
    folder.mkdir()
    supplied = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(2)]
    pems = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in supplied]
    (folder / "api.pub").write_bytes(pems[0])
    spec = "version: 1\nca: {}\nservers: {api: {sans: localhost, public_key: api.pub}}\n"
    bundle, root = compiled(folder, spec)
    assert Copy(bundle, root).found() == []
    (folder / "api.pub").write_bytes(pems[1])
    (finding,) = Copy(load_spec(folder / "shop.yaml").bundle, root).found()
    assert (finding.code, finding.message) == ("key-mismatch", "servers/api is for another key than `api.pub`")


# Paths


def test_a_root_in_a_path_is_found(copy: Copy) -> None:
    copy.put(LEAF, *copy.certificates(LEAF), copy.certificates("cas/root")[0])
    assert copy.findings() == [("root-in-path", LEAF)]


def test_a_path_without_an_intermediate_is_broken(copy: Copy) -> None:
    copy.put(LEAF, *copy.certificates(LEAF)[:-1])
    assert copy.findings() == [("path-broken", LEAF)]


def test_a_path_in_the_wrong_order_is_broken(copy: Copy) -> None:
    own, *above = copy.certificates(LEAF)
    assert len(above) == 2
    copy.put(LEAF, own, *reversed(above))
    assert copy.findings() == [("path-broken", LEAF)]


def test_a_path_with_a_stranger_at_its_end_is_broken(copy: Copy) -> None:
    copy.put(LEAF, *copy.certificates(LEAF), copy.certificates("clients/checkout")[0])
    assert copy.findings() == [("path-broken", LEAF)]


def test_an_issuer_that_the_spec_does_not_name_is_found_though_its_path_holds(copy: Copy) -> None:
    own = signed_again(copy, LEAF, Other(issuer="cas/other"))
    copy.put(LEAF, own, copy.certificates("cas/other")[0], copy.certificates("cas/policy")[0])
    assert copy.findings() == [("path-broken", LEAF)]


def test_an_issuer_of_the_right_name_and_another_key_is_found(copy: Copy) -> None:
    impostor = make_ca("issuing", "ecdsa-p256")
    own = copy.certificates(LEAF)[0]
    builder = x509.CertificateBuilder(
        issuer_name=own.issuer,
        subject_name=own.subject,
        public_key=own.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=own.not_valid_before_utc,
        not_valid_after=own.not_valid_after_utc,
    )
    for item in own.extensions:
        builder = builder.add_extension(item.value, item.critical)
    copy.put_own(LEAF, builder.sign(impostor.key, hashes.SHA256()))
    assert copy.findings() == [("path-broken", LEAF)]


def test_a_ca_that_may_not_sign_is_found_though_it_has_signed_nothing(copy: Copy) -> None:
    usage: dict[type[x509.ExtensionType], Extension | None] = {x509.KeyUsage: key_usage("crl_sign")}
    mute = signed_again(copy, "cas/other", Other(issuer="cas/policy", extensions=usage))
    copy.put("cas/other", mute)
    assert copy.findings() == [("wrong-usage", "cas/other"), ("lint", "cas/other")]


def test_a_certificate_that_outlasts_its_issuer_is_found(copy: Copy) -> None:
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(end=NOW + timedelta(days=30 * 365))))
    found = copy.found()
    assert ("path-broken", "servers/api: `api` ends after its issuer `issuing`") in [(f.code, f.message) for f in found]
    assert {f.where for f in found} == {LEAF}


def test_words_of_the_spec_do_not_decide_the_code_of_a_finding(tmp_path: Path) -> None:
    spec = "version: 1\nca: {}\nservers: {api: {sans: localhost, common_name: expired on a Friday}}\n"
    tree = Copy(*compiled(tmp_path / "first", spec))
    _, stranger = compiled(tmp_path / "second", spec)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(stranger / LEAF / name, tree.path(f"{LEAF}/{name}"))
    assert tree.findings() == [("path-broken", LEAF)]


# Time


def test_what_has_expired_is_found_at_its_time(copy: Copy) -> None:
    later = copy.findings(NOW + timedelta(days=366))
    assert later == [
        ("expired", address) for address in ("servers/api", "servers/web", "clients/checkout", "peers/node")
    ]
    much_later = copy.findings(NOW + timedelta(days=20 * 365))
    assert {code for code, _ in much_later} == {"expired"}
    assert {where for _, where in much_later} == {str(entry.address) for entry in copy.bundle.entries}


def test_what_is_not_valid_yet_is_found_at_its_time(copy: Copy) -> None:
    earlier = copy.findings(NOW - timedelta(days=1))
    assert {code for code, _ in earlier} == {"not-yet-valid"}
    assert {where for _, where in earlier} == {str(entry.address) for entry in copy.bundle.entries}


def test_the_last_second_is_sound_and_the_next_is_not(copy: Copy) -> None:
    end = copy.certificates(LEAF)[0].not_valid_after_utc
    assert copy.codes(end) == []
    assert set(copy.codes(end + timedelta(seconds=1))) == {"expired"}


# Trust


def test_an_anchor_that_the_spec_does_not_name_is_found(copy: Copy) -> None:
    path = copy.path("servers/api/ca.pem")
    path.write_bytes(path.read_bytes() + make_ca("Stranger", "ecdsa-p256").certificate.public_bytes(Encoding.PEM))
    (finding,) = copy.found()
    assert (finding.code, finding.message) == (
        "wrong-trust",
        "servers/api/ca.pem trusts `C=NL, O=Shop BV, CN=Stranger`, which the spec does not",
    )


def test_an_anchor_that_is_lacking_is_found(copy: Copy) -> None:
    path = copy.path("peers/node/ca.pem")
    first, *others = x509.load_pem_x509_certificates(path.read_bytes())
    assert others
    write_pem(path, first)
    (finding,) = copy.found()
    assert (finding.code, finding.message) == (
        "wrong-trust",
        "peers/node/ca.pem lacks 1 of the roots that the spec names",
    )


def test_an_anchor_that_is_replaced_is_found_both_ways(copy: Copy) -> None:
    write_pem(copy.path("clients/checkout/ca.pem"), make_ca("root", "ecdsa-p256").certificate)
    assert copy.findings() == [("wrong-trust", "clients/checkout/ca.pem")] * 2


@pytest.mark.parametrize("name", ["servers/api/cert.pem", "servers/api/ca.pem", "cas/issuing/cert.pem"])
def test_a_file_with_something_beside_its_certificates_is_found(copy: Copy, name: str) -> None:
    path = copy.path(name)
    path.write_bytes(path.read_bytes() + b"# renewed by hand\n")
    assert copy.findings() == [("file-drifted", name)]


# The tree as a whole


def test_a_serial_number_that_is_used_twice_is_found_at_both(copy: Copy) -> None:
    number = copy.certificates("servers/web")[0].serial_number
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(serial_number=number)))
    assert copy.findings() == [("serial-repeated", "servers/api"), ("serial-repeated", "servers/web")]


def test_a_serial_number_of_two_issuers_is_no_finding(copy: Copy) -> None:
    number = copy.certificates("clients/checkout")[0].serial_number
    copy.put_own(LEAF, signed_again(copy, LEAF, Other(serial_number=number)))
    assert copy.codes() == []


def test_an_ignore_file_that_is_edited_or_missing_is_found(copy: Copy) -> None:
    path = copy.path(".gitignore")
    path.write_bytes(path.read_bytes().replace(b"key.pem\n", b""))
    assert copy.findings() == [("ignore-file", ".gitignore")]
    path.unlink()
    assert copy.findings() == [("ignore-file", ".gitignore")]


@pytest.mark.parametrize("content", [None, b"", b"<<<<<<< ours\n", b"[]", b'{"version": 2}'])
def test_a_manifest_that_is_missing_or_damaged_is_found(copy: Copy, content: bytes | None) -> None:
    path = copy.path("manifest.json")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    (finding,) = copy.found()
    assert (finding.code, finding.help) == ("manifest", "`certgen apply` rebuilds it")


def test_an_entry_that_the_spec_no_longer_has_is_found(copy: Copy) -> None:
    entries = tuple(entry for entry in copy.bundle.entries if str(entry.address) != "servers/web")
    tree = Copy(replace(copy.bundle, entries=entries), copy.root)
    (finding,) = tree.found()
    assert (finding.code, finding.where) == ("orphan", "servers/web")
    assert finding.help == "`certgen apply --prune` removes it"


@pytest.mark.parametrize("name", ["notes.txt", "servers/api/notes.txt", "servers/old/cert.pem", "elsewhere/a/b.pem"])
def test_a_file_that_is_not_certgens_is_a_note_and_no_finding(copy: Copy, name: str) -> None:
    copy.path(name).parent.mkdir(exist_ok=True, parents=True)
    copy.path(name).write_text("mine")
    (note,) = copy.found()
    assert (note.severity, note.code, note.where) == (Severity.NOTE, "unknown-file", name)


def test_a_key_that_certgen_put_aside_is_no_stranger(copy: Copy) -> None:
    shutil.copy(copy.path("servers/api/key.pem"), copy.path("servers/api/key.pem.orig"))
    assert copy.found() == []


def test_the_manifest_lists_what_it_should_for_the_audit_to_know_it(copy: Copy) -> None:
    data = json.loads(copy.path("manifest.json").read_text())
    del data["entries"]["servers/api"]["files"]["ca.pem"]
    copy.path("manifest.json").write_text(json.dumps(data))
    assert [(note.code, note.where) for note in copy.found()] == [("unknown-file", "servers/api/ca.pem")]


# What a plan would change, an audit must not call sound


@pytest.mark.parametrize(
    ("old", "new", "findings"),
    [
        ("root: {}", "root: {name_constraints: {permitted: [shop.example, 127.0.0.0/8]}}", {"wrong-constraints"}),
        ("root: {}", "root: {path_length: 5}", {"wrong-constraints"}),
        ("sans: shop.example", "sans: shop.example, key_usage: [digitalSignature, keyAgreement]", {"wrong-usage"}),
        ("sans: shop.example", "sans: shop.example, crl_distribution_points: http://a.test/a.crl", {"wrong-urls"}),
        ("sans: shop.example", "sans: shop.example, validity: 90d", {"wrong-validity"}),
        ("sans: shop.example", "sans: [shop.example, www.shop.example]", {"wrong-names"}),
        (
            "sans: shop.example",
            "sans: shop.example, extended_key_usage: [serverAuth, clientAuth]",
            {"wrong-usage", "path-refused"},
        ),
        ("sans: shop.example", "sans: shop.example, trust: root", {"wrong-trust"}),
        ("web: {issuer: issuing", "web: {issuer: other", {"path-broken"}),
    ],
    ids=["constraints", "path length", "key usage", "CRL", "validity", "names", "purposes", "trust", "issuer"],
)
def test_what_a_plan_would_change_is_no_sound_tree(
    copy: Copy, tmp_path: Path, old: str, new: str, findings: set[str]
) -> None:
    assert SPEC.count(old) == 1 or old == "root: {}"
    path = tmp_path / "shop.yaml"
    path.write_text(SPEC.replace(old, new, 1))
    loaded = load_spec(path)
    (planned,) = plan_specs([loaded], copy.root.parent, NOW)
    assert not planned.plan.is_in_sync
    assert set(Copy(loaded.bundle, copy.root).codes()) == findings


# Damage of any kind


def pem(der: bytes) -> bytes:
    lines = textwrap.fill(base64.b64encode(der).decode(), 64)
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()


def outcome(judge: Callable[[], Iterable[str]]) -> str | None:
    """Tell how an audit failed: by an exception, or by finding nothing."""
    try:
        return None if list(judge()) else "found nothing"
    except Exception as reason:  # noqa: BLE001 - that there is none is what is tested
        return f"{type(reason).__module__}.{type(reason).__name__}"


@pytest.mark.filterwarnings("ignore")
def test_a_certificate_with_any_one_byte_changed_is_found_and_never_an_exception(tmp_path: Path) -> None:
    tree = Copy(*compiled(tmp_path / "shop", "version: 1\nca: {}\nservers: {api: {sans: localhost}}\n"))
    path = tree.path("servers/api/cert.pem")
    der = tree.certificates(LEAF)[0].public_bytes(Encoding.DER)
    failures: dict[str, list[int]] = {}
    for place in range(len(der)):
        damaged = bytearray(der)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(pem(bytes(damaged)))
        failure = outcome(tree.codes)
        if failure:
            failures.setdefault(failure, []).append(place)
    assert failures == {}
    path.write_bytes(pem(der))
    assert tree.codes() == []
