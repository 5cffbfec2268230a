"""Names for Kubernetes: each is one, no two are alike, and most are what a person would have chosen."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certgen.diagnostics import CertgenError
from certgen.exports.cert_manager.names import Names, find_namespace
from certgen.exports.names import label
from certgen.model import NAME, Address, AnchorFile, Bundle, Section, TrustAnchor

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
ENTRY_NAMES = st.from_regex(NAME, fullmatch=True).filter(lambda name: ".." not in name)
CLOSE = ("a-b", "a_b", "a.b", "a--b", "a-_b", "a_-b", "a__b", "a--b--0", "a-b--1", "a-b--2", "a_b--1", "a", "ab")
ROOT, OTHER = Address(Section.CAS, "root"), Address(Section.CAS, "other")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api", "api"),
        ("etcd-0", "etcd-0"),
        ("my_name", "my-name--2"),
        ("shop.eu", "shop-eu--1"),
        ("a.b_c", "a-b-c--5"),
        ("a--b", "a--b--0"),
        ("my-name--2", "my-name--2--0"),
    ],
)
def test_a_name_becomes_a_label(name: str, expected: str) -> None:
    assert label(name) == expected


def test_names_that_look_alike_stay_apart() -> None:
    assert len({label(name) for name in CLOSE}) == len(CLOSE)


@given(st.sets(st.one_of(ENTRY_NAMES, st.text("a-_.", min_size=1, max_size=6).map("a{}a".format)), max_size=30))
def test_every_name_gets_a_label_of_its_own(names: set[str]) -> None:
    valid = {name for name in names if NAME.fullmatch(name) and ".." not in name}
    labels = {label(name) for name in valid}
    assert len(labels) == len(valid)
    assert all(LABEL.fullmatch(item) for item in labels)


@given(ENTRY_NAMES, ENTRY_NAMES, st.sampled_from(Section))
def test_every_object_has_a_name_that_kubernetes_takes(spec: str, name: str, section: Section) -> None:
    names, address = Names(spec, "shop"), Address(section, name)
    for found in (names.of(address), names.self_signed(address), names.trust([address])):
        assert len(found) <= 253
        assert SUBDOMAIN.fullmatch(found)
    assert len({names.of(address), names.self_signed(address), names.trust([address])}) == 3


def test_the_longest_names_fit() -> None:
    longest = f"a{'-._' * 20}-a".replace("..", ".-")
    assert len(longest) == 63
    assert len(Names(longest, "shop").self_signed(Address(Section.CLIENTS, longest))) <= 253


def test_sections_and_specs_keep_entries_of_one_name_apart() -> None:
    found = {
        Names(spec, "shop").of(Address(section, name))
        for spec in ("a", "a.servers", "a-servers")
        for section in Section
        for name in ("b", "servers.b", "servers-b")
    }
    assert len(found) == 3 * 4 * 3


def test_a_bundle_is_named_by_the_roots_and_where_the_spec_does_not_tell_it_by_the_namespace() -> None:
    assert Names("shop", "shop").trust([ROOT]) == "shop.trust.root"
    assert Names("shop", "shop").trust([ROOT, OTHER]) == Names("shop", "shop").trust([OTHER, ROOT])
    assert Names("shop", "shop").trust([ROOT, OTHER]) == "shop.trust.other.root"
    assert Names("shop", "staging").trust([ROOT]) == "shop.trust.root.in--staging"
    assert Names("my_shop", "my-shop--2").trust([ROOT]) == "my-shop--2.trust.root"


def test_a_bundle_with_files_or_with_very_many_roots_is_named_by_a_digest() -> None:
    names = Names("shop", "shop")
    many = [Address(Section.CAS, f"root-{number:04}") for number in range(60)]
    one, other = AnchorFile("trust/one.pem", ()), AnchorFile("trust/other.pem", ())
    sets: tuple[list[TrustAnchor], ...] = (
        [one],
        [other],
        [one, ROOT],
        [other, ROOT],
        [one, OTHER],
        [*many],
        [*many[1:]],
    )
    found = [names.trust(anchors) for anchors in sets]
    assert len(set(found)) == len(sets)
    assert all(re.fullmatch(r"shop\.trust\.[0-9a-f]{64}", name) for name in found)
    assert names.trust([one, other]) == names.trust([other, one])
    # `cas/root` may be the path of a file, too.
    assert names.trust([AnchorFile("root", ()), OTHER]) != names.trust([AnchorFile("other", ()), ROOT])


@pytest.mark.parametrize(
    ("spec", "asked", "chosen", "expected"),
    [
        ("shop", None, None, "shop"),
        ("shop.eu", None, None, "shop-eu--1"),
        ("shop", "staging", None, "staging"),
        ("shop", "staging", "live-2", "live-2"),
    ],
)
def test_a_namespace_is_chosen_or_the_specs_or_its_name(
    spec: str, asked: str | None, chosen: str | None, expected: str
) -> None:
    assert find_namespace(Bundle(spec, "shop.yaml", (), namespace=asked), chosen) == expected


@pytest.mark.parametrize("chosen", ["", "Shop", "shop_1", "a.b", "-a", "a-", "a" * 64, "a b", "é", "a\n"])
def test_what_is_no_namespace_is_refused(chosen: str) -> None:
    with pytest.raises(CertgenError) as reason:
        find_namespace(Bundle("shop", "shop.yaml", ()), chosen)
    (found,) = reason.value.diagnostics
    assert (found.code, found.where, found.help) == ("bad-namespace", "--namespace", "name one with `--namespace`")


def test_a_spec_whose_name_fits_no_namespace_asks_for_one() -> None:
    with pytest.raises(CertgenError, match="cannot be a namespace"):
        find_namespace(Bundle(f"a.{'b' * 61}", "shop.yaml", ()), None)
    assert find_namespace(Bundle("b" * 63, "shop.yaml", ()), None) == "b" * 63
