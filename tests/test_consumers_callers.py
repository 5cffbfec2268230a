"""Whom a server lets in: `allow` judged, and one caller told from another by its names or its subject."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from remarks import Remark, codes, load, remarks
from values import APP, ISSUING, MAIL, NODE, ROOT, WEB, asking, authority, dns, member, name_of, shop

from certgen.consumers.callers import (
    allowed_entries,
    distinguishing_names,
    judge_allow,
    kept_out,
    subject_twins,
)
from certgen.consumers.port import Deployment
from certgen.model import Address, Bundle, Entry
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralName, GeneralNameKind

ONE, TWO, THREE = (Address.parse(f"clients/{name}") for name in ("one", "two", "three"))
OTHER = Address.parse("cas/other")


def bearing(address: Address, *names: str, issuer: Address = ISSUING, common_name: str | None = None) -> Entry:
    """Make a client with names, `URI:` or `IP:` before those that are no DNS names."""
    sans = [GeneralName(GeneralNameKind(kind or "DNS"), value) for kind, value in map(_parted, names)]
    entry = asking(member(address, issuer), subject_alt_names=tuple(sans))
    return asking(entry, subject=name_of(common_name)) if common_name else entry


def _parted(name: str) -> tuple[str, str]:
    kind, colon, value = name.partition(":")
    return (kind, value) if colon else ("", name)


def at_web(*entries: Entry) -> Deployment:
    bundle = shop(*entries)
    return Deployment(bundle, bundle[WEB])


# `allow`, judged


SPEC = """\
    version: 1
    cas:
      root:
      issuing: {issuer: root}
      other:
    defaults: {issuer: issuing}
    servers:
      api: {sans: api.shop.example, trust: [root], snippets: {nginx: {allow: %s}}}
      web: {sans: shop.example, trust: [root]}
    clients:
      checkout: {trust: [root]}
      narrow: {trust: [root], extended_key_usage: [emailProtection]}
      stranger: {issuer: other}
    peers:
      etcd: {sans: etcd.shop.example, trust: [root]}
    """


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        ("[clients/checkout]", []),
        ("clients/checkout", []),
        ("[peers/etcd, clients/checkout]", []),
        ("[clients/checkout, clients/checkout]", []),
        ("[]", ["empty-allow at []"]),
        ("[clients/chekout]", ["unknown-address at clients/chekout"]),
        ("[clients/etcd]", ["unknown-address at clients/etcd"]),
        ("[servers/web]", ["not-a-client at servers/web"]),
        ("[servers/api]", ["not-a-client at servers/api"]),
        ("[cas/root]", ["not-a-client at cas/root"]),
        ("[cas/issuing]", ["not-a-client at cas/issuing"]),
        ("[clients/narrow]", ["not-a-client at clients/narrow"]),
        ("[clients/stranger]", ["not-trusted at clients/stranger"]),
        (
            "[clients/checkout, servers/web, clients/stranger, peers/x]",
            ["not-a-client at servers/web", "not-trusted at clients/stranger", "unknown-address at peers/x"],
        ),
    ],
)
def test_each_mistake_in_allow_is_shown_at_its_item(tmp_path: Path, allow: str, expected: list[str]) -> None:
    assert codes(tmp_path, SPEC % allow) == expected


@pytest.mark.parametrize(
    ("allow", "help_"),
    [
        ("clients/chekout", "did you mean `clients/checkout`?"),
        ("peers/etc", "did you mean `peers/etcd`?"),
        ("clients/zzzzzzzz", "one of clients/checkout, peers/etcd"),
    ],
)
def test_the_help_knows_only_those_who_could_stand_there(tmp_path: Path, allow: str, help_: str) -> None:
    (found,) = remarks(tmp_path, SPEC % f"[{allow}]")
    assert (found.message, found.help) == (f"there is no `{allow}` in this spec", help_)


def test_where_nobody_could_stand_there_the_help_names_nobody(tmp_path: Path) -> None:
    spec = "version: 1\nca:\nservers:\n  api: {sans: a.example, snippets: {nginx: {allow: [clients/x]}}}\n"
    assert remarks(tmp_path, spec) == [
        Remark("unknown-address", "clients/x", "there is no `clients/x` in this spec", None, line=4)
    ]


def test_whom_the_server_does_not_trust_is_shown_with_the_root_to_add(tmp_path: Path) -> None:
    (found,) = remarks(tmp_path, SPEC % "[clients/stranger]")
    assert found.message == "servers/api does not trust `other`, the root above clients/stranger"
    assert found.help == "add `other` to its `trust`"
    trusting = (SPEC % "[clients/stranger]").replace("trust: [root], snippets", "trust: [root, other], snippets")
    assert remarks(tmp_path, trusting) == []


def test_a_list_that_runs_over_lines_is_shown_at_the_right_one(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca:
        servers:
          api:
            sans: api.shop.example
            snippets:
              nginx:
                allow:
                  - clients/checkout
                  - clients/nobody
        clients:
          checkout:
        """
    (found,) = remarks(tmp_path, spec)
    assert (found.code, found.at, found.line) == ("unknown-address", "clients/nobody", 10)


def test_a_client_has_no_use_for_allow(tmp_path: Path) -> None:
    spec = "version: 1\nca:\nclients:\n  checkout: {snippets: {nginx: {allow: %s}}}\n"
    for allow in ("[clients/checkout]", "[]", "[clients/nobody]"):
        (found,) = remarks(tmp_path, spec % allow)
        assert (found.code, found.message) == ("unused-option", "`allow` is for a server, to which others connect")
    assert remarks(tmp_path, "version: 1\nca:\nclients:\n  checkout: {snippets: nginx}\n") == []


INHERITED = """\
    version: 1
    ca:
    defaults: {snippets: {nginx: {allow: %s}}}
    servers:
      api: {sans: api.shop.example}
      web: {sans: shop.example}
    clients:
      checkout:
      reporting:
    peers:
      etcd: {sans: etcd.shop.example}
    """


def test_an_inherited_allow_holds_for_servers_and_peers_and_does_not_trouble_clients(tmp_path: Path) -> None:
    loaded = load(tmp_path, INHERITED % "[clients/checkout]")
    assert loaded.warnings == ()
    allowed = {str(entry.address): entry.snippets[0].allow for entry in loaded.bundle.entries if not entry.is_ca}
    checkout = (Address.parse("clients/checkout"),)
    assert allowed == {
        "servers/api": checkout,
        "servers/web": checkout,
        "clients/checkout": None,
        "clients/reporting": None,
        "peers/etcd": checkout,
    }


def test_a_mistake_in_an_inherited_allow_is_said_once_where_it_stands(tmp_path: Path) -> None:
    (found,) = remarks(tmp_path, INHERITED % "[clients/chekout]")
    assert (found.code, found.at, found.line) == ("unknown-address", "clients/chekout", 3)
    assert [remark.line for remark in remarks(tmp_path, INHERITED % "[]")] == [3, 3, 3]  # each would let nobody in


def test_without_allow_nothing_is_judged() -> None:
    assert list(judge_allow(at_web(), None)) == []
    bundle = shop()
    assert list(judge_allow(Deployment(bundle, bundle[APP]), None)) == []


# Who is let in, and who is not


def test_those_whom_allow_names_are_given_once_sorted_and_without_those_that_cannot_be() -> None:
    deployment = at_web(member(NODE), member(ONE), member(MAIL), authority(OTHER), member(TWO, OTHER, trust=(OTHER,)))
    named = (NODE, ONE, NODE, MAIL, ROOT, TWO, Address.parse("clients/nobody"), WEB)
    assert [entry.address for entry in allowed_entries(deployment, named)] == [ONE, NODE]
    assert allowed_entries(deployment, ()) == ()
    assert allowed_entries(deployment, None) == ()


def test_those_whom_the_trust_lets_in_and_allow_does_not_are_kept_out() -> None:
    deployment = at_web(member(NODE), member(ONE), member(MAIL), authority(OTHER), member(TWO, OTHER, trust=(OTHER,)))
    assert [entry.address for entry in kept_out(deployment, (ONE,))] == [APP, NODE]
    assert [entry.address for entry in kept_out(deployment, ())] == [APP, NODE, ONE]
    assert kept_out(deployment, (ONE, APP, NODE)) == ()


# Names


def names(deployment: Deployment, caller: Address, *allow: Address) -> list[str]:
    found = distinguishing_names(deployment, deployment.bundle[caller], allow or (caller,))
    return [str(name) for name in found]


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (["a.example"], ["b.example"], ["DNS:a.example"]),
        (["a.example"], ["a.example"], []),
        (["a.example", "c.example"], ["a.example"], ["DNS:c.example"]),
        (["a.example"], [], ["DNS:a.example"]),
        ([], ["a.example"], []),
        (["a.example"], ["*.example"], []),
        (["a.shop.example"], ["*.shop.example"], []),
        (["a.shop.example"], ["*.example"], ["DNS:a.shop.example"]),
        (["shop.example"], ["*.shop.example"], ["DNS:shop.example"]),
        (["a.b.shop.example"], ["*.shop.example"], ["DNS:a.b.shop.example"]),
        (["*.shop.example"], ["*.shop.example"], []),
        (["*.shop.example"], ["*.example"], ["DNS:*.shop.example"]),
        (["xshop.example"], ["*.shop.example"], ["DNS:xshop.example"]),
        (["URI:spiffe://shop/a"], ["URI:spiffe://shop/b"], ["URI:spiffe://shop/a"]),
        (["URI:spiffe://shop/a"], ["URI:spiffe://shop/a"], []),
        (["URI:spiffe://shop/a"], ["URI:spiffe://shop/A"], ["URI:spiffe://shop/a"]),
        (["IP:10.0.0.1"], ["IP:10.0.0.1"], []),
        (["IP:10.0.0.1"], ["IP:10.0.0.2"], ["IP:10.0.0.1"]),
        (["email:a@shop.example"], ["a.shop.example"], ["email:a@shop.example"]),
        (["a.shop.example"], ["URI:spiffe://shop/a", "email:a@shop.example"], ["DNS:a.shop.example"]),
    ],
)
def test_a_name_tells_a_caller_from_another_unless_the_other_bears_it_too(
    own: list[str], other: list[str], expected: list[str]
) -> None:
    assert names(at_web(bearing(ONE, *own), bearing(TWO, *other)), ONE) == expected


def test_whom_allow_names_too_may_share_a_name() -> None:
    deployment = at_web(bearing(ONE, "a.example"), bearing(TWO, "a.example"), bearing(THREE, "b.example"))
    assert names(deployment, ONE) == []
    assert names(deployment, ONE, ONE, TWO) == ["DNS:a.example"]
    assert names(deployment, ONE, ONE, THREE) == []


def test_whom_the_trust_keeps_out_may_share_a_name() -> None:
    stranger = replace(bearing(TWO, "a.example", issuer=OTHER), trust=(OTHER,))
    assert names(at_web(bearing(ONE, "a.example"), authority(OTHER), stranger), ONE) == ["DNS:a.example"]
    trusting = member(WEB, trust=(ROOT, OTHER))
    assert names(at_web(bearing(ONE, "a.example"), authority(OTHER), stranger, trusting), ONE) == []


def test_its_own_name_is_nobody_s_who_could_be_taken_for_the_caller() -> None:
    bundle = shop(bearing(ONE, "node.shop.example"), member(NODE))
    assert names(Deployment(bundle, bundle[NODE]), ONE) == ["DNS:node.shop.example"]
    assert names(Deployment(bundle, bundle[WEB]), ONE) == []


def test_a_server_may_share_a_name_and_a_peer_may_not() -> None:
    server = asking(member(MAIL), subject_alt_names=(dns("a.example"),))
    assert names(at_web(bearing(ONE, "a.example"), server), ONE) == ["DNS:a.example"]
    peer = asking(member(NODE), subject_alt_names=(dns("a.example"),))
    assert names(at_web(bearing(ONE, "a.example"), peer), ONE) == []


def test_a_server_that_may_be_a_client_too_may_not_share_a_name() -> None:
    both = frozenset({ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH})
    server = asking(member(MAIL), subject_alt_names=(dns("a.example"),), extended_key_usage=both)
    assert names(at_web(bearing(ONE, "a.example"), server), ONE) == []


# Subjects


def twins(deployment: Deployment, caller: Address, *allow: Address) -> list[Address]:
    return [entry.address for entry in subject_twins(deployment, deployment.bundle[caller], allow or (caller,))]


def two_workers(*more: Entry, second: str = "worker", issuer: Address = ISSUING) -> Deployment:
    return at_web(bearing(ONE, common_name="worker"), bearing(TWO, common_name=second, issuer=issuer), *more)


def test_a_twin_has_the_subject_and_the_issuer_of_the_caller() -> None:
    assert twins(two_workers(), ONE) == [TWO]
    assert twins(two_workers(second="Worker"), ONE) == []
    assert twins(two_workers(issuer=ROOT), ONE) == []


def test_another_issuer_of_the_same_name_makes_a_twin_all_the_same() -> None:
    namesake = asking(authority(OTHER, ROOT, 500), subject=name_of("Shop issuing"))
    assert twins(two_workers(namesake, issuer=OTHER), ONE) == [TWO]
    assert twins(two_workers(authority(OTHER, ROOT, 500), issuer=OTHER), ONE) == []


def test_a_twin_that_allow_names_too_is_none() -> None:
    assert twins(two_workers(), ONE, ONE, TWO) == []
    assert twins(two_workers(bearing(THREE, common_name="worker")), ONE, ONE, TWO) == [THREE]


def test_nobody_is_a_twin_of_itself() -> None:
    bundle: Bundle = shop(member(NODE))
    assert twins(Deployment(bundle, bundle[WEB]), NODE) == []
