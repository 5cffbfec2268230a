"""What a spec leaves out: issuers, defaults, path lengths, trust, and the order in which entries are issued."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen.diagnostics import CertgenError
from certgen.lifetime import RenewBefore
from certgen.model import Address, Bundle, Entry, Role, Section
from certgen.pipeline import load_spec
from certgen.protection import KeyRotation
from certgen.spec.document import compose
from certgen.spec.references import ReferencedFiles
from certgen.spec.resolve import resolve
from certgen.spec.schema import Spec

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400


def bundle_of(text: str) -> Bundle:
    """Resolve a spec that is right and names no files."""
    spec = Spec.model_validate(compose(text.encode(), "shop.yaml").plain)
    bundle, problems = resolve(spec, "shop", "shop.yaml", ReferencedFiles({}))
    assert problems == ()
    return bundle


def entry(text: str, address: str) -> Entry:
    return bundle_of(text)[Address.parse(address)]


def addresses(bundle: Bundle) -> list[str]:
    return [str(one.address) for one in bundle.entries]


@pytest.fixture
def refusals(tmp_path: Path) -> Refusals:
    return Refusals(tmp_path / "shop.yaml")


class Refusals:
    """Loads a spec that is wrong, and gives each error as `line:column code: sentence (help)`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, text: str) -> list[str]:
        self._path.write_text(text, encoding="utf-8")
        with pytest.raises(CertgenError) as caught:
            load_spec(self._path)
        lines = []
        for found in caught.value.diagnostics:
            assert found.span is not None, found
            help_ = f" ({found.help})" if found.help else ""
            lines.append(f"{found.span.line}:{found.span.column} {found.code}: {found.message}{help_}")
        return lines


# CAs


def test_ca_is_short_for_cas_with_one_ca_named_ca() -> None:
    members = "servers: {a: {sans: a.example}}"
    short = bundle_of(f"version: 1\nca: {{common_name: Shop CA}}\n{members}")
    long = bundle_of(f"version: 1\ncas: {{ca: {{common_name: Shop CA}}}}\n{members}")
    assert short == long
    assert addresses(short) == ["cas/ca", "servers/a"]
    assert short != bundle_of(f"version: 1\nca: {{common_name: Other}}\n{members}")


def test_a_ca_of_which_nothing_is_said_takes_every_default() -> None:
    ca = entry("version: 1\nca:\n", "cas/ca")
    assert str(ca.template.subject) == "CN=ca"
    assert ca.template.role is Role.ROOT_CA
    assert ca.template.validity.seconds == 3650 * DAY
    assert ca.key.algorithm == "ecdsa-p256"
    assert ca.is_root


@pytest.mark.parametrize("nothing", ["cas: {}", "cas:", "name: shop"])
def test_a_spec_without_a_ca_is_refused(refusals: Refusals, nothing: str) -> None:
    assert refusals(f"version: 1\n{nothing}\nservers: {{a: {{sans: a.example}}}}\n") == [
        "1:1 no-ca: the spec has no CA, so nothing can be signed (add `ca:` for one CA, or `cas:` for several)"
    ]


@pytest.mark.parametrize("ca", ["ca: {}", "ca:"])
def test_ca_and_cas_together_are_refused(refusals: Refusals, ca: str) -> None:
    assert refusals(f"version: 1\ncas: {{a: }}\n{ca}\n") == [
        "3:1 ca-and-cas: a spec has `ca` or `cas`, not both (move it into `cas`)"
    ]


# Issuers

TWO = "version: 1\ncas:\n  root:\n  issuing: {issuer: root}\n"


def test_the_only_ca_is_the_issuer_of_all() -> None:
    bundle = bundle_of(
        "version: 1\nca:\nservers: {a: {sans: a.example}}\nclients: {b: }\npeers: {c: {sans: c.example}}"
    )
    ca = Address(Section.CAS, "ca")
    assert [one.issuer for one in bundle.entries] == [None, ca, ca, ca]


def test_an_issuer_is_the_ca_that_is_named() -> None:
    bundle = bundle_of(TWO + "clients:\n  a: {issuer: root}\n  b: {issuer: issuing}\n")
    assert str(bundle[Address.parse("clients/a")].issuer) == "cas/root"
    assert str(bundle[Address.parse("clients/b")].issuer) == "cas/issuing"
    assert str(bundle[Address.parse("cas/issuing")].issuer) == "cas/root"
    assert [str(one.address) for one in bundle.issuers_above(Address.parse("clients/b"))] == [
        "cas/issuing",
        "cas/root",
    ]


def test_the_defaults_can_name_the_issuer_of_end_entities_alone() -> None:
    bundle = bundle_of("version: 1\ndefaults: {issuer: issuing}\n" + TWO[11:] + "clients:\n  a:\n  b: {issuer: root}\n")
    assert str(bundle[Address.parse("clients/a")].issuer) == "cas/issuing"
    assert str(bundle[Address.parse("clients/b")].issuer) == "cas/root"
    assert bundle[Address.parse("cas/root")].issuer is None


def test_an_issuer_that_could_be_several_must_be_named(refusals: Refusals) -> None:
    (found,) = refusals(TWO + "clients:\n  a:\n  b: {issuer: root}\n")
    assert found.startswith("6:3 missing-issuer: clients/a does not say which CA signs it")
    assert found.endswith("(add `issuer:` with one of issuing, root, here or once under `defaults`)")


@pytest.mark.parametrize(
    ("name", "help_"),
    [("isuing", "did you mean `issuing`?"), ("zzz", "one of issuing, root")],
)
def test_an_issuer_that_is_not_there_is_refused(refusals: Refusals, name: str, help_: str) -> None:
    text = TWO + f"clients:\n  a: {{issuer: {name}}}\n"
    assert refusals(text) == [f"6:15 unknown-issuer: there is no CA `{name}` ({help_})"]


def test_an_unknown_issuer_in_the_defaults_is_shown_there_and_once(refusals: Refusals) -> None:
    text = "version: 1\ndefaults: {issuer: isuing}\n" + TWO[11:] + "clients:\n  a:\n  b:\n"
    assert refusals(text) == ["2:20 unknown-issuer: there is no CA `isuing` (did you mean `issuing`?)"]


def test_an_end_entity_is_no_issuer(refusals: Refusals) -> None:
    (found,) = refusals(TWO + "clients:\n  a: {issuer: b}\n  b: {issuer: root}\n")
    assert found.startswith("6:15 unknown-issuer: there is no CA `b`")


@pytest.mark.parametrize(
    ("cas", "expected"),
    [
        ("a: {issuer: a}", "3:15 issuer-cycle: these CAs sign each other: a <- a"),
        ("a: {issuer: b}\n  b: {issuer: a}", "3:15 issuer-cycle: these CAs sign each other: a <- b <- a"),
        (
            "b: {issuer: c}\n  c: {issuer: a}\n  a: {issuer: b}",
            "5:15 issuer-cycle: these CAs sign each other: a <- b <- c <- a",
        ),
    ],
)
def test_a_circle_of_issuers_is_refused_once(refusals: Refusals, cas: str, expected: str) -> None:
    assert refusals(f"version: 1\ncas:\n  {cas}\n") == [expected]


def test_what_hangs_below_a_circle_is_no_circle_of_its_own(refusals: Refusals) -> None:
    text = "version: 1\ncas:\n  a: {issuer: b}\n  b: {issuer: a}\n  c: {issuer: a}\n  d: {issuer: d}\n"
    assert refusals(text) == [
        "3:15 issuer-cycle: these CAs sign each other: a <- b <- a",
        "6:15 issuer-cycle: these CAs sign each other: d <- d",
    ]


# Roles and profiles


@pytest.mark.parametrize(
    ("address", "role", "key_usage", "purposes", "days"),
    [
        ("cas/root", "root_ca", {"keyCertSign", "cRLSign"}, set(), 3650),
        ("cas/issuing", "intermediate_ca", {"keyCertSign", "cRLSign"}, set(), 1825),
        ("servers/a", "server", {"digitalSignature"}, {"serverAuth"}, 365),
        ("clients/b", "client", {"digitalSignature"}, {"clientAuth"}, 365),
        ("peers/c", "peer", {"digitalSignature"}, {"serverAuth", "clientAuth"}, 365),
    ],
)
def test_the_section_implies_the_profile(
    address: str, role: str, key_usage: set[str], purposes: set[str], days: int
) -> None:
    text = TWO + "servers: {a: {issuer: issuing, sans: a.example}}\nclients: {b: {issuer: issuing}}\n"
    template = entry(text + "peers: {c: {issuer: issuing, sans: c.example}}\n", address).template
    assert str(template.role) == role
    assert set(map(str, template.key_usage)) == key_usage
    assert set(map(str, template.extended_key_usage)) == purposes
    assert template.validity.seconds == days * DAY


def test_what_an_entry_says_replaces_what_its_section_implies() -> None:
    text = "version: 1\nca: {key_usage: [keyCertSign], extended_key_usage: serverAuth, validity: 9y}\n"
    text += "clients: {a: {key_usage: [digitalSignature, keyAgreement], extended_key_usage: emailProtection}}\n"
    bundle = bundle_of(text)
    ca, client = (one.template for one in bundle.entries)
    assert sorted(ca.key_usage | ca.extended_key_usage) == ["keyCertSign", "serverAuth"]
    assert sorted(client.key_usage) == ["digitalSignature", "keyAgreement"]
    assert sorted(client.extended_key_usage) == ["emailProtection"]
    assert ca.validity.seconds == 9 * 365 * DAY


def test_fixed_times_take_the_place_of_a_duration() -> None:
    text = (
        "version: 1\nca:\nclients:\n  a: {not_after: 2030-01-01T00:00:00Z}\n  b: {not_before: 2029-01-01T00:00:00Z}\n"
    )
    fixed, begun = (entry(text, address).template.validity for address in ("clients/a", "clients/b"))
    assert (fixed.seconds, str(fixed.not_after), fixed.not_before) == (None, "2030-01-01 00:00:00+00:00", None)
    assert (begun.seconds, begun.not_after) == (365 * DAY, None)
    assert str(begun.fixed_end) == "2029-12-31 23:59:59+00:00"


def test_a_duration_beside_a_fixed_end_is_refused_not_ignored(refusals: Refusals) -> None:
    text = "version: 1\nca:\nclients:\n  a: {validity: 9d, not_after: 2030-01-01T00:00:00Z}\n"
    assert refusals(text) == [
        "4:21 conflict: `validity` and `not_after` both say when it ends (keep one of them)",
    ]
    bundle_of(text.replace("validity: 9d, ", ""))
    bundle_of("version: 1\ndefaults: {validity: 9d}\nca:\nclients:\n  a: {not_after: 2030-01-01T00:00:00Z}\n")


# Defaults


def test_the_subject_is_merged_one_attribute_at_a_time() -> None:
    text = """
version: 1
defaults: {subject: {organization: [A, B], country: NL, locality: Delft}}
ca: {subject: {organization: C}, common_name: Shop CA}
clients:
  a:
  b: {subject: {organization: [D, E], locality: []}}
  c: {subject: {state: F, serial_number: 7, domain_component: [example, shop]}, common_name: Mister C}
"""
    subjects = {str(one.address): str(one.template.subject) for one in bundle_of(text).entries}
    assert subjects == {
        "cas/ca": "C=NL, L=Delft, O=C, CN=Shop CA",
        "clients/a": "C=NL, L=Delft, O=A, O=B, CN=a",
        "clients/b": "C=NL, O=D, O=E, CN=b",
        "clients/c": "DC=example, DC=shop, C=NL, ST=F, L=Delft, O=A, O=B, serialNumber=7, CN=Mister C",
    }


def test_the_key_is_merged_one_attribute_at_a_time() -> None:
    text = """
version: 1
defaults: {key: {algorithm: ecdsa-p384, mode: "0640", rotation: on-renewal}}
ca:
clients:
  a:
  b: {key: rsa-2048}
  c: {key: {mode: "0600"}}
  d: {key: {rotation: keep}}
"""
    keys = {str(one.address): (one.key.algorithm, one.key.mode, one.key.rotation) for one in bundle_of(text).entries}
    assert keys == {
        "cas/ca": ("ecdsa-p384", 0o640, KeyRotation.KEEP),
        "clients/a": ("ecdsa-p384", 0o640, KeyRotation.ON_RENEWAL),
        "clients/b": ("rsa-2048", 0o640, KeyRotation.ON_RENEWAL),
        "clients/c": ("ecdsa-p384", 0o600, KeyRotation.ON_RENEWAL),
        "clients/d": ("ecdsa-p384", 0o640, KeyRotation.KEEP),
    }


def test_times_in_the_defaults_are_for_end_entities_only() -> None:
    text = "version: 1\ndefaults: {validity: 30d, renew_before: 20%}\nca:\nclients:\n  a:\n"
    text += "  b: {validity: 60d, renew_before: 5d}\n"
    ca, a, b = bundle_of(text).entries
    assert [one.template.validity.seconds for one in (ca, a, b)] == [3650 * DAY, 30 * DAY, 60 * DAY]
    assert a.renew_before == RenewBefore(share=Fraction(1, 5))
    assert b.renew_before == RenewBefore(seconds=5 * DAY)
    assert ca.renew_before == RenewBefore(longest_issued=60 * DAY)


def test_a_ca_is_renewed_before_it_would_cut_short_what_it_signs() -> None:
    text = TWO + "clients:\n  a: {issuer: issuing, validity: 2y}\n  b: {issuer: root, validity: 1y}\n"
    root, issuing = (entry(text, address) for address in ("cas/root", "cas/issuing"))
    assert root.renew_before == RenewBefore(longest_issued=1825 * DAY)
    assert issuing.renew_before == RenewBefore(longest_issued=730 * DAY)
    assert issuing.renew_before.of(1825 * DAY) == 730 * DAY
    assert entry(text, "clients/a").renew_before.of(900) == 300


def test_locations_are_inherited_by_all_but_roots() -> None:
    text = """
version: 1
defaults:
  crl_distribution_points: http://a.example/crl
  ocsp: http://a.example/ocsp
  ca_issuers: http://a.example/ca
cas:
  root: {ocsp: http://root.example}
  issuing: {issuer: root}
clients: {a: {issuer: issuing, crl_distribution_points: [], ocsp: http://b.example}}
"""
    found = {
        str(one.address): (one.template.crl_distribution_points, one.template.ocsp, one.template.ca_issuers)
        for one in bundle_of(text).entries
    }
    assert found == {
        "cas/root": ((), ("http://root.example",), ()),
        "cas/issuing": (("http://a.example/crl",), ("http://a.example/ocsp",), ("http://a.example/ca",)),
        "clients/a": ((), ("http://b.example",), ("http://a.example/ca",)),
    }


def test_an_entry_s_folder_on_its_host_is_named_after_it() -> None:
    text = "version: 1\nca:\nclients:\n  a:\n  b: {deploy_dir: /opt/tls}\n"
    assert [one.deploy_dir for one in bundle_of(text).entries if not one.is_ca] == ["/etc/certgen/a", "/opt/tls"]


def test_a_tree_is_named_by_the_spec_or_its_file(tmp_path: Path) -> None:
    for file, text, name in (
        ("shop.yaml", "", "shop"),
        ("shop.yml", "", "shop"),
        ("shop.certgen.yaml", "", "shop"),
        ("shop.certgen.yml", "", "shop"),
        ("a.b.yaml", "", "a.b"),
        ("Shop Spec.yaml", "name: shop\n", "shop"),
    ):
        path = tmp_path / file
        path.write_text(f"version: 1\n{text}ca:\n", encoding="utf-8")
        bundle = load_spec(path).bundle
        assert (bundle.name, bundle.source) == (name, file)


# Path lengths


def test_an_intermediate_allows_what_the_spec_needs_and_a_root_everything() -> None:
    text = """
version: 1
cas:
  root:
  a: {issuer: root}
  b: {issuer: a}
  c: {issuer: b}
  d: {issuer: root}
  e: {issuer: root, path_length: 3}
  f: {path_length: 2}
"""
    lengths = {
        one.address.name: (one.template.path_length, one.template.path_length_derived)
        for one in bundle_of(text).entries
    }
    assert lengths == {
        "root": (None, False),
        "a": (2, True),
        "b": (1, True),
        "c": (0, True),
        "d": (0, True),
        "e": (3, False),
        "f": (2, False),
    }


def test_constraints_are_a_set() -> None:
    form = "version: 1\nca: {{name_constraints: {{permitted: {}, excluded: [c.example]}}}}\n"
    one = entry(form.format("[b.example, 10.0.0.0/8, a.example]"), "cas/ca").template.name_constraints
    assert (
        one == entry(form.format("[10.0.0.0/8, a.example, b.example, A.example]"), "cas/ca").template.name_constraints
    )
    assert one is not None
    assert set(map(str, one.permitted)) == {"DNS:a.example", "DNS:b.example", "IP:10.0.0.0/8"}
    assert list(map(str, one.excluded)) == ["DNS:c.example"]
    assert entry("version: 1\nca: {name_constraints: {permitted: []}}", "cas/ca").template.name_constraints is None


# Order


def test_issuers_come_before_what_they_issue_and_the_rest_by_name() -> None:
    text = """
version: 1
peers: {p: {issuer: z, sans: p.example}}
clients: {c: {issuer: a}}
servers: {y: {issuer: a, sans: y.example}, x: {issuer: z, sans: x.example}}
cas: {a: {issuer: m}, m: {issuer: z}, z: , b: }
"""
    assert addresses(bundle_of(text)) == [
        "cas/b", "cas/z", "cas/m", "cas/a", "servers/x", "servers/y", "clients/c", "peers/p",
    ]  # fmt: skip


# Trust

ROOTS = "version: 1\ncas:\n  servers-root:\n  clients-root:\n  peers-root:\n  mid: {issuer: servers-root}\n"
SERVER = "servers: {s: {issuer: mid, sans: s.example}}\n"
CLIENT = "clients: {c: {issuer: clients-root}}\n"
PEER = "peers: {p: {issuer: peers-root, sans: p.example}}\n"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (SERVER, {"servers/s": ["servers-root"]}),
        (CLIENT, {"clients/c": ["clients-root"]}),
        (PEER, {"peers/p": ["peers-root"]}),
        (SERVER + CLIENT, {"servers/s": ["clients-root"], "clients/c": ["servers-root"]}),
        (
            SERVER + PEER,
            {"servers/s": ["peers-root"], "peers/p": ["peers-root", "servers-root"]},
        ),
        (CLIENT + PEER, {"clients/c": ["peers-root"], "peers/p": ["clients-root", "peers-root"]}),
        (
            SERVER + CLIENT + PEER,
            {
                "servers/s": ["clients-root", "peers-root"],
                "clients/c": ["peers-root", "servers-root"],
                "peers/p": ["clients-root", "peers-root", "servers-root"],
            },
        ),
    ],
)
def test_an_entry_trusts_the_roots_of_those_it_meets_or_else_its_own(
    members: str, expected: dict[str, list[str]]
) -> None:
    found = {
        str(one.address): [anchor.name for anchor in one.trust if isinstance(anchor, Address)]
        for one in bundle_of(ROOTS + members).entries
        if not one.is_ca
    }
    assert found == expected


def test_what_trust_names_takes_the_place_of_the_default() -> None:
    text = ROOTS + SERVER + "clients: {c: {issuer: clients-root, trust: [servers-root, peers-root, servers-root]}}\n"
    assert [str(anchor) for anchor in entry(text, "clients/c").trust] == ["cas/peers-root", "cas/servers-root"]
    assert [str(anchor) for anchor in entry(text, "servers/s").trust] == ["cas/clients-root"]


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        (
            "zzz",
            "8:44 unknown-root: there is no root `zzz` (one of clients-root, peers-root, servers-root, or a PEM file)",
        ),
        ("server-root", "8:44 unknown-root: there is no root `server-root` (did you mean `servers-root`?)"),
        (
            "[servers-root, mid]",
            (
                "8:59 not-a-root: `mid` is an intermediate, which many programs refuse to trust "
                "(trust its root `servers-root`)"
            ),
        ),
        ("[]", "8:44 empty-trust: clients/c would trust nobody (name a root, or leave `trust` out)"),
        ("a.pem", "8:44 bad-file: `a.pem` does not exist beside the spec"),
    ],
)
def test_trust_that_names_no_root_is_refused(refusals: Refusals, trust: str, expected: str) -> None:
    text = ROOTS + f"{SERVER}clients: {{c: {{issuer: clients-root, trust: {trust}}}}}\n"
    assert refusals(text) == [expected]


# The order of the YAML

SHOP: dict[str, Any] = {
    "version": "1",
    "name": "shop",
    "defaults": {"subject": {"organization": "Shop", "country": "NL"}, "key": {"algorithm": "ed25519", "mode": "0640"}},
    "cas": {
        "root": {"validity": "10y", "name_constraints": {"permitted": ["shop.example", "10.0.0.0/8"], "excluded": []}},
        "other": {"common_name": "Other Root"},
        "issuing": {"issuer": "root", "validity": "5y"},
        "lowest": {"issuer": "issuing", "validity": "2y"},
    },
    "servers": {
        "api": {"issuer": "lowest", "sans": ["api.shop.example", "10.0.0.1"]},
        "web": {"issuer": "issuing", "sans": "shop.example", "trust": ["other", "root"]},
    },
    "clients": {"a": {"issuer": "other"}, "b": {"issuer": "root", "validity": "30d"}},
    "peers": {"p": {"issuer": "issuing", "sans": "p.shop.example"}},
}


def shuffled(value: object) -> st.SearchStrategy[Any]:
    """Give the same tree with the keys of every mapping in any order."""
    if not isinstance(value, dict):
        return st.just(value)
    children = st.fixed_dictionaries({key: shuffled(child) for key, child in value.items()})
    return st.tuples(children, st.permutations(list(value))).map(lambda pair: {key: pair[0][key] for key in pair[1]})


@settings(deadline=None, max_examples=60)
@given(shuffled(SHOP))
def test_the_order_of_the_yaml_changes_nothing(spec: dict[str, Any]) -> None:
    assert bundle_of(yaml.safe_dump(spec, sort_keys=False)) == bundle_of(yaml.safe_dump(SHOP, sort_keys=False))


def test_the_order_of_trust_and_of_constraints_changes_nothing() -> None:
    form = "clients: {{c: {{issuer: clients-root, trust: [{}]}}}}\n"
    roots = ("servers-root", "peers-root", "clients-root")
    found = [bundle_of(ROOTS + form.format(", ".join(order))) for order in permutations(roots)]
    assert all(one == found[0] for one in found)
    assert found[0] != bundle_of(ROOTS + form.format("servers-root, peers-root"))
