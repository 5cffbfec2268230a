"""Which handshakes are tried: every client at every server, for each name, under each version."""

import ssl
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from foreign.hierarchy import Extension, new_key
from proving import DAY, NOW, Other, Place, compiled, key_pem

from certgen.prove import encounters as module
from certgen.prove.encounters import Encounters
from certgen.prove.parties import gather_authorities, gather_parties, gather_roots
from certgen.prove.values import Encounter, Judgement, Trial
from certgen.store.tree import Tree
from certgen.tls.causes import Cause, Side
from certgen.tls.handshake import Meeting, meet

SPEC = """\
    version: 1
    cas:
      root: {}
      issuing: {issuer: root}
      other: {}
    servers:
      api:
        issuer: issuing
        sans: ["*.shop.example", 10.0.0.1, "fd00::1", "spiffe://shop.example/api", ops@shop.example]
        trust: root
    clients:
      checkout: {issuer: issuing, trust: root}
      partner: {issuer: other, trust: [root, other]}
    peers:
      node: {issuer: issuing, sans: node.shop.example, trust: root}
"""
NAMES = ["*.shop.example", "10.0.0.1", "fd00::1", "ops@shop.example", "spiffe://shop.example/api"]


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("encounters") / "shop", SPEC)


@pytest.fixture
def place(untouched: Place, tmp_path: Path) -> Place:
    return untouched.copied(tmp_path / "shop")


def met(place: Place, at: datetime | None = None) -> dict[tuple[str, str], Encounter]:
    """Let all meet; give each meeting by server and client."""
    tree = Tree(place.tree)
    bundle = place.bundle
    encounters = Encounters(
        bundle, gather_parties(bundle, tree), gather_roots(bundle, gather_authorities(bundle, tree)), at
    )
    found = [attempt() for attempt in encounters.attempts()]
    assert len({(one.server, one.client) for one in found}) == len(found)
    return {(str(one.server), str(one.client)): one for one in found}


def why(trials: tuple[Trial, ...]) -> set[tuple[Side, Cause] | None]:
    return {(trial.refusal.side, trial.refusal.cause) if trial.refusal else None for trial in trials}


# What is tried


def test_every_client_meets_every_server_and_nobody_meets_itself(untouched: Place) -> None:
    assert {pair: one.is_expected for pair, one in met(untouched).items()} == {
        ("servers/api", "clients/checkout"): True,
        ("servers/api", "clients/partner"): False,
        ("servers/api", "peers/node"): True,
        ("peers/node", "clients/checkout"): True,
        ("peers/node", "clients/partner"): False,
    }


def test_each_name_is_asked_for_under_each_version(untouched: Place) -> None:
    tried = met(untouched)["servers/api", "clients/checkout"].trials
    assert sorted((trial.version, str(trial.name)) for trial in tried) == [
        (version, name) for version in ("TLS 1.2", "TLS 1.3") for name in NAMES
    ]
    assert why(tried) == {None}


def test_who_may_not_talk_is_tried_by_one_name_under_each_version(untouched: Place) -> None:
    tried = met(untouched)["servers/api", "clients/partner"].trials
    assert [trial.version for trial in tried] == ["TLS 1.2", "TLS 1.3"]
    assert why(tried) == {(Side.SERVER, Cause.UNKNOWN_AUTHORITY)}


def test_a_wildcard_is_tried_by_a_name_that_it_covers(untouched: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def noting(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> Meeting:
        asked.append(name)
        return meet(server, client, name)

    monkeypatch.setattr(module, "meet", noting)
    met(untouched)
    assert {"any.shop.example", "10.0.0.1", "fd00::1", "node.shop.example", None} == set(asked)


def test_a_server_without_names_is_met_all_the_same(tmp_path: Path) -> None:
    spec = "version: 1\nca: {}\nservers: {api: {sans: localhost}}\nclients: {checkout: }\n"
    place = compiled(tmp_path / "shop", spec)
    bundle, tree = place.bundle, Tree(place.tree)
    parties = gather_parties(bundle, tree)
    api = next(address for address in parties if address.name == "api")
    nameless = replace(parties[api].entry, template=replace(parties[api].entry.template, subject_alt_names=()))
    parties[api] = replace(parties[api], entry=nameless)
    bare = replace(bundle, entries=tuple(nameless if one.address == api else one for one in bundle.entries))
    (attempt,) = Encounters(bare, parties, gather_roots(bundle, gather_authorities(bundle, tree)), None).attempts()
    assert [(trial.name, trial.refusal) for trial in attempt().trials] == [(None, None)] * 2


# Names


@pytest.mark.parametrize("name", NAMES)
def test_each_name_that_a_certificate_lacks_is_missed(place: Place, name: str) -> None:
    sans = place.certificates("servers/api")[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    rest = [item for item in sans if str(item.value) != name]
    assert len(rest) == len(NAMES) - 1
    lacking = Extension(x509.SubjectAlternativeName(rest))
    place.sign_again("servers/api", Other(extensions={x509.SubjectAlternativeName: lacking}))
    one = met(place)["servers/api", "clients/checkout"]
    assert one.judgement is Judgement.UNEXPECTED
    missed = [trial for trial in one.trials if trial.refusal is not None]
    assert [(trial.version, trial.name) for trial in missed] == [("TLS 1.2", name), ("TLS 1.3", name)]
    assert why(tuple(missed)) == {(Side.CLIENT, Cause.WRONG_NAME)}


# Dates


def test_dates_are_judged_outside_the_handshake_where_a_time_is_given(untouched: Place) -> None:
    for at, cause in ((NOW + 400 * DAY, Cause.EXPIRED), (NOW - 2 * DAY, Cause.NOT_YET_VALID)):
        found = met(untouched, at)
        assert why(found["servers/api", "clients/checkout"].trials) == {(Side.CLIENT, cause)}
        assert found["servers/api", "clients/partner"].judgement is Judgement.AS_EXPECTED
    assert {one.judgement for one in met(untouched, NOW + 300 * DAY).values()} == {Judgement.AS_EXPECTED}


def test_the_clock_of_the_machine_does_not_count_where_a_time_is_given(tmp_path: Path) -> None:
    place = compiled(tmp_path / "shop", SPEC, now=NOW - 500 * DAY)
    assert why(met(place)["servers/api", "clients/checkout"].trials) == {(Side.CLIENT, Cause.EXPIRED)}
    assert {one.judgement for one in met(place, NOW - 499 * DAY).values()} == {Judgement.AS_EXPECTED}


@pytest.mark.parametrize(
    ("address", "side"), [("servers/api", Side.CLIENT), ("clients/checkout", Side.SERVER)], ids=str
)
def test_the_other_side_refuses_whoever_has_ended(place: Place, address: str, side: Side) -> None:
    place.sign_again(address, Other(begin=NOW - 3 * DAY, end=NOW - DAY))
    pair = ("servers/api", "clients/checkout")
    assert why(met(place)[pair].trials) == why(met(place, NOW)[pair].trials) == {(side, Cause.EXPIRED)}
    assert why(met(place, NOW - 2 * DAY)[pair].trials) == {(Side.CLIENT, Cause.NOT_YET_VALID)}  # the CAs above


@pytest.mark.parametrize("after", [1500, 2000, 4000])
def test_an_intermediate_and_a_root_end_too(tmp_path: Path, after: int) -> None:
    spec = SPEC.replace("root: {}", "root: {validity: 3000d}").replace("issuing: {", "issuing: {validity: 1800d, ")
    spec = spec.replace("      api:\n", "      api:\n        validity: 1700d\n")
    place = compiled(tmp_path / "shop", spec)
    place.sign_again("servers/api", Other(end=NOW + 9000 * DAY))
    place.sign_again("clients/checkout", Other(end=NOW + 9000 * DAY))
    one = met(place, NOW + after * DAY)["servers/api", "clients/checkout"]
    assert why(one.trials) == ({None} if after == 1500 else {(Side.CLIENT, Cause.EXPIRED)})


# Those who cannot come


def test_who_has_no_key_here_is_named_and_the_others_meet(place: Place) -> None:
    for address in ("servers/api", "clients/partner"):
        (place.tree / address / "key.pem").unlink()
    found = met(place)
    assert {pair: one.obstacle for pair, one in found.items() if one.obstacle} == {
        ("servers/api", "clients/checkout"): "servers/api: its private key is not on this machine",
        ("servers/api", "clients/partner"): "servers/api: its private key is not on this machine",
        ("servers/api", "peers/node"): "servers/api: its private key is not on this machine",
        ("peers/node", "clients/partner"): "clients/partner: its private key is not on this machine",
    }
    assert all(one.judgement is Judgement.UNKNOWN and not one.trials for one in found.values() if one.obstacle)
    assert found["peers/node", "clients/checkout"].judgement is Judgement.AS_EXPECTED


@pytest.mark.parametrize(
    ("address", "side"), [("servers/api", Side.SERVER), ("clients/checkout", Side.CLIENT)], ids=str
)
def test_who_has_useless_files_does_not_get_in_where_he_should(place: Place, address: str, side: Side) -> None:
    (place.tree / address / "key.pem").write_bytes(key_pem(new_key("ecdsa-p256")))
    one = met(place)["servers/api", "clients/checkout"]
    assert one.judgement is Judgement.UNEXPECTED
    assert why(one.trials) == {(side, Cause.OTHER)}
