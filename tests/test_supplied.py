"""A CA that the user brings: a root or an intermediate, with what stands above it, and every way to get it wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from foreign.hierarchy import NOW, Authority, Extension, Wish, certify, key_usage, new_key, write_pem

from certgen.diagnostics import CertgenError
from certgen.model import Address, Role, Section, SuppliedAuthority
from certgen.pipeline import LoadedSpec, load_spec

if TYPE_CHECKING:
    from pathlib import Path

SIGNING = key_usage("key_cert_sign", "crl_sign")


def authority(
    name: str, issuer: Authority | None = None, *, path_length: int | None = None, constraints: str | None = None
) -> Authority:
    extensions = [Extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True), SIGNING]
    if constraints:
        bases = [x509.DNSName(constraints)]
        extensions.append(Extension(x509.NameConstraints(bases, None), critical=True))
    key = new_key("ecdsa-p256")
    certificate = certify(Wish(name, extensions, NOW - timedelta(days=1), 1000), key, issuer)
    return Authority(certificate, key, (certificate, *issuer.path) if issuer else ())


def spec(ca: str, members: str = "servers: {api: {sans: api.shop.example}}") -> str:
    return f"version: 1\ncas:\n  mine: {{{ca}}}\n{members}\n"


class Place:
    """A folder with two hierarchies: `root.pem` above `issuing.pem` above `lowest.pem`; and `other-root.pem`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = authority("Root")
        self.issuing = authority("Issuing", self.root)
        self.lowest = authority("Lowest", self.issuing)
        self.other = authority("Other Root")
        self.certificates("root.pem", self.root)
        self.certificates("issuing.pem", self.issuing)
        self.certificates("lowest.pem", self.lowest)
        self.certificates("other-root.pem", self.other)
        self.key("root.key", self.root)
        self.key("issuing.key", self.issuing)

    def certificates(self, name: str, *authorities: Authority) -> None:
        write_pem(self.folder / name, *(one.certificate for one in authorities))

    def key(self, name: str, owner: Authority, password: bytes | None = None) -> None:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        content = owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (self.folder / name).write_bytes(content)

    def load(self, text: str) -> LoadedSpec:
        path = self.folder / "spec.yaml"
        path.write_text(text, encoding="utf-8")
        return load_spec(path)

    def supplied(self, text: str) -> SuppliedAuthority:
        found = self.load(text).bundle[Address(Section.CAS, "mine")].supplied
        assert found is not None
        return found

    def refusals(self, text: str) -> list[str]:
        with pytest.raises(CertgenError) as caught:
            self.load(text)
        lines = []
        for found in caught.value.diagnostics:
            assert found.span is not None, found
            help_ = f" ({found.help})" if found.help else ""
            lines.append(f"{found.span.line}:{found.span.column} {found.code}: {found.message}{help_}")
        return lines


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def names(certificates: tuple[object, ...]) -> list[str]:
    return [str(getattr(certificate, "subject", "")).rpartition("CN=")[2] for certificate in certificates]


# What is accepted


def test_a_root_is_its_own_path_and_its_own_root(place: Place) -> None:
    found = place.supplied(spec("certificate: root.pem, private_key: root.key"))
    assert (names(found.path), names(found.roots)) == (["Root"], ["Root"])
    assert (found.certificate_file, found.private_key_file) == ("root.pem", "root.key")
    assert found.private_key_id == found.path[0].key_id


def test_an_intermediate_with_its_root_in_one_file_is_a_path_without_the_root(place: Place) -> None:
    place.certificates("path.pem", place.issuing, place.root)
    found = place.supplied(spec("certificate: path.pem, private_key: issuing.key"))
    assert (names(found.path), names(found.roots)) == (["Issuing"], ["Root"])


def test_a_long_path_is_kept_in_its_order(place: Place) -> None:
    place.certificates("path.pem", place.lowest, place.issuing, place.root)
    found = place.supplied(spec("certificate: path.pem"))
    assert (names(found.path), names(found.roots)) == (["Lowest", "Issuing"], ["Root"])


@pytest.mark.parametrize("trust", ["root.pem", "[root.pem]", "./root.pem"])
def test_an_intermediate_alone_takes_its_root_from_trust(place: Place, trust: str) -> None:
    found = place.supplied(spec(f"certificate: issuing.pem, trust: {trust}"))
    assert (names(found.path), names(found.roots)) == (["Issuing"], ["Root"])


def test_a_root_that_is_named_twice_is_trusted_once(place: Place) -> None:
    place.certificates("path.pem", place.issuing, place.root)
    found = place.supplied(spec("certificate: path.pem, trust: [root.pem, root.pem]"))
    assert names(found.roots) == ["Root"]


def test_a_private_key_may_be_elsewhere(place: Place) -> None:
    found = place.supplied(spec("certificate: root.pem"))
    assert (found.private_key_file, found.private_key_id) == (None, None)


def test_a_ca_that_is_brought_says_what_its_certificate_says(place: Place) -> None:
    root = authority("Constrained", path_length=3, constraints="shop.example")
    place.certificates("mine.pem", root)
    template = place.load(spec("certificate: mine.pem")).bundle[Address(Section.CAS, "mine")].template
    assert template.role is Role.ROOT_CA
    assert str(template.subject) == "C=NL, O=Shop BV, CN=Constrained"
    assert template.path_length == 3
    assert template.name_constraints is not None
    assert list(map(str, template.name_constraints.permitted)) == ["DNS:shop.example"]
    assert template.validity.not_after == root.certificate.not_valid_after_utc
    below = place.load(spec("certificate: issuing.pem, trust: root.pem")).bundle[Address(Section.CAS, "mine")]
    assert below.template.role is Role.INTERMEDIATE_CA
    assert not below.is_root


def test_only_the_private_keys_are_handed_on_and_they_are_never_shown(place: Place) -> None:
    loaded = place.load(spec("certificate: root.pem, private_key: root.key"))
    assert loaded.supplied_keys == {"root.key": (place.folder / "root.key").read_bytes()}
    assert "PRIVATE" not in repr(loaded)
    assert place.load(spec("certificate: root.pem")).supplied_keys == {}


def test_what_is_signed_below_it_trusts_its_roots(place: Place) -> None:
    bundle = place.load(spec("certificate: root.pem")).bundle
    assert bundle[Address(Section.SERVERS, "api")].trust == (Address(Section.CAS, "mine"),)
    assert bundle[Address(Section.SERVERS, "api")].issuer == Address(Section.CAS, "mine")


# What is refused


def test_a_path_without_a_root_is_refused(place: Place) -> None:
    assert place.refusals(spec("certificate: issuing.pem")) == [
        (
            "3:23 missing-root: `issuing.pem` ends below its root, so nobody would know what to trust "
            "(add `trust:` with the root's PEM file)"
        )
    ]


def test_a_root_that_did_not_sign_the_path_is_refused(place: Place) -> None:
    (found,) = place.refusals(spec("certificate: issuing.pem, trust: other-root.pem"))
    assert found.startswith("3:")


def test_the_roots_above_are_files_not_names(place: Place) -> None:
    members = "  own: {}\nservers: {api: {issuer: own, sans: a.example}}"
    found = place.refusals(spec("certificate: issuing.pem, trust: [own]", members))
    assert found[-1] == (
        "3:44 unknown-root: the roots above a CA that you bring are PEM files (for example `ca/root.pem`)"
    )


def test_a_path_in_the_wrong_order_is_refused(place: Place) -> None:
    place.certificates("path.pem", place.root, place.issuing)
    (found,) = place.refusals(spec("certificate: path.pem"))
    assert found == (
        "3:23 bad-ca-certificate: `path.pem`: C=NL, O=Shop BV, CN=Root is not signed by "
        "C=NL, O=Shop BV, CN=Issuing, which stands after it"
    )


def test_a_path_with_a_gap_is_refused(place: Place) -> None:
    place.certificates("path.pem", place.lowest, place.root)
    (found,) = place.refusals(spec("certificate: path.pem"))
    assert "CN=Lowest is not signed by C=NL, O=Shop BV, CN=Root, which stands after it" in found


def test_a_namesake_of_the_issuer_does_not_do(place: Place) -> None:
    place.certificates("path.pem", place.issuing, authority("Root"))
    (found,) = place.refusals(spec("certificate: path.pem"))
    assert found.startswith("3:23 bad-ca-certificate: `path.pem`: C=NL, O=Shop BV, CN=Issuing is not signed by")


@pytest.mark.parametrize("position", [0, 1])
def test_what_is_not_a_ca_is_refused(place: Place, position: int) -> None:
    path = [place.issuing.certificate, place.root.certificate]
    path.insert(position, certify(Wish("Server", [key_usage("digital_signature")]), new_key("ed25519")))
    write_pem(place.folder / "path.pem", *path)
    assert place.refusals(spec("certificate: path.pem")) == [
        "3:23 bad-ca-certificate: `path.pem`: C=NL, O=Shop BV, CN=Server is not a CA (basicConstraints says so)"
    ]


def test_a_ca_that_may_not_sign_certificates_is_refused(place: Place) -> None:
    basic = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for usages in ([key_usage("crl_sign")], [key_usage("digital_signature", "key_agreement")]):
        write_pem(place.folder / "mine.pem", certify(Wish("Mine", [basic, *usages]), new_key("ed25519")))
        assert place.refusals(spec("certificate: mine.pem")) == [
            (
                "3:23 bad-ca-certificate: `mine.pem`: C=NL, O=Shop BV, CN=Mine may not sign certificates "
                "(keyUsage has no keyCertSign)"
            )
        ]
    write_pem(place.folder / "mine.pem", certify(Wish("Mine", [basic]), new_key("ed25519")))
    assert names(place.supplied(spec("certificate: mine.pem")).path) == ["Mine"]


def test_a_key_that_is_another_s_is_refused(place: Place) -> None:
    assert place.refusals(spec("certificate: root.pem, private_key: issuing.key")) == [
        "3:46 ca-key-mismatch: `issuing.key` is not the key of `root.pem`"
    ]


def test_the_key_of_a_path_is_that_of_its_first_certificate(place: Place) -> None:
    place.certificates("path.pem", place.issuing, place.root)
    (found,) = place.refusals(spec("certificate: path.pem, private_key: root.key"))
    assert found == "3:46 ca-key-mismatch: `root.key` is not the key of `path.pem`"


def test_files_that_are_not_there_are_all_named(place: Place) -> None:
    found = place.refusals(spec("certificate: a.pem, private_key: b.key, trust: c.pem"))
    assert "3:23 bad-file: `a.pem` does not exist beside the spec" in found
    found = place.refusals(spec("certificate: issuing.pem, private_key: b.key, trust: root.pem"))
    assert found == ["3:49 bad-file: `b.key` does not exist beside the spec"]


def test_an_encrypted_key_is_said_to_be_encrypted(place: Place) -> None:
    place.key("locked.key", place.root, b"hunter2hunter2")
    assert place.refusals(spec("certificate: root.pem, private_key: locked.key")) == [
        "3:46 bad-file: `locked.key`: the private key is encrypted"
    ]


@pytest.mark.parametrize(
    "content", [b"", b"hunter2", b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_private_key_is_refused_and_never_echoed(place: Place, content: bytes) -> None:
    (place.folder / "bad.key").write_bytes(content)
    assert place.refusals(spec("certificate: root.pem, private_key: bad.key")) == [
        "3:46 bad-file: `bad.key`: not a PEM private key that can be read"
    ]


def test_certificate_and_key_swapped_by_mistake_are_refused_and_never_echoed(place: Place) -> None:
    found = place.refusals(spec("certificate: root.key, private_key: root.pem"))
    secret = (place.folder / "root.key").read_text(encoding="utf-8").splitlines()[1]
    assert found[0] == "3:23 bad-file: `root.key`: not a PEM certificate that can be read"
    assert secret not in "".join(found)


@pytest.mark.parametrize(
    "field",
    [
        "issuer: own",
        "common_name: x",
        "validity: 1y",
        "key: ecdsa-p256",
        "subject: {country: NL}",
        "path_length: 1",
        "name_constraints: {permitted: a.example}",
        "key_usage: keyCertSign",
        "renew_before: 1d",
        "not_after: 2030-01-01T00:00:00Z",
        "ocsp: http://a.example",
    ],
)
def test_what_a_ca_that_is_brought_cannot_be_asked_is_refused(place: Place, field: str) -> None:
    text = spec(f"certificate: root.pem, {field}", "  own: {}\nclients: {a: {issuer: own}}")
    name = field.partition(":")[0]
    assert place.refusals(text) == [
        f"3:33 conflict: `{name}` cannot be asked of a CA that you bring: its certificate says it"
    ]


@pytest.mark.parametrize("field", ["private_key: root.key", "trust: root.pem"])
def test_what_only_a_ca_that_is_brought_can_say_is_refused_elsewhere(place: Place, field: str) -> None:
    name = field.partition(":")[0]
    assert place.refusals(spec(field)) == [
        f"3:10 conflict: `{name}` belongs to a CA that you bring, with `certificate`"
    ]


# What it forbids below


def test_its_name_constraints_bind_what_stands_below(place: Place) -> None:
    place.certificates("mine.pem", authority("Constrained", constraints="other.example"))
    assert place.refusals(spec("certificate: mine.pem")) == [
        (
            "4:23 outside-constraints: DNS:api.shop.example is outside the name constraints of "
            "`C=NL, O=Shop BV, CN=Constrained`, "
            "which permits only DNS:other.example"
        )
    ]
    place.certificates("mine.pem", authority("Constrained", constraints="shop.example"))
    assert place.load(spec("certificate: mine.pem")).warnings == ()


def test_the_name_constraints_above_it_bind_too(place: Place) -> None:
    above = authority("Constrained", constraints="other.example")
    place.certificates("path.pem", authority("Issuing", above), above)
    (found,) = place.refusals(spec("certificate: path.pem"))
    assert found.startswith("4:23 outside-constraints: DNS:api.shop.example is outside")


def test_its_path_length_binds_what_stands_below(place: Place) -> None:
    members = "  sub: {issuer: mine, validity: 30d}\nservers: {api: {issuer: sub, sans: a.example, validity: 9d}}"
    place.certificates("mine.pem", authority("Last", path_length=0))
    assert place.refusals(spec("certificate: mine.pem", members)) == [
        "3:23 path-too-long: cas/sub is 1 below cas/mine, whose path length is 0"
    ]
    place.certificates("mine.pem", authority("Last But One", path_length=1))
    assert len(place.load(spec("certificate: mine.pem", members)).bundle.entries) == 3


def test_its_end_binds_what_is_fixed_below(place: Place) -> None:
    late = "servers: {api: {sans: a.example, not_after: 2090-01-01T00:00:00Z}}"
    (found,) = place.refusals(spec("certificate: root.pem", late))
    assert found.startswith("4:45 outlives-issuer: servers/api would end on 2090-01-01, its issuer cas/mine on 20")
