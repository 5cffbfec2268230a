"""Who may talk to whom: as the trust of both says, and what both certificates are for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from foreign.hierarchy import make_ca
from proving import Place, compiled, key_pem

from certgen.model import Address, Entry
from certgen.prove.expectations import (
    Roots,
    anchors_asked,
    clients_of,
    may_talk,
    root_above,
    servers_of,
    trusts,
    turned_away_by,
)
from certgen.prove.parties import gather_authorities, gather_roots
from certgen.store.tree import Tree

TWO = """\
    version: 1
    cas:
      red-root: {}
      red-issuing: {issuer: red-root}
      blue-root: {}
    servers:
      both: {issuer: red-issuing, sans: localhost, trust: [red-root, blue-root]}
      red: {issuer: red-issuing, sans: localhost, trust: red-root}
      blue: {issuer: blue-root, sans: localhost, trust: blue-root}
    clients:
      red: {issuer: red-issuing, subject: {organization: Red BV}, trust: [red-root, blue-root]}
      blue: {issuer: blue-root, subject: {organization: Blue BV}, trust: blue-root}
    peers:
      node: {issuer: blue-root, sans: localhost, trust: [red-root, blue-root]}
"""


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("expectations") / "shop", TWO)


def roots_of(place: Place) -> Roots:
    return gather_roots(place.bundle, gather_authorities(place.bundle, Tree(place.tree)))


def talking(place: Place, roots: Roots | None = None) -> dict[str, list[str]]:
    """Give each server's clients."""
    bundle, known = place.bundle, roots_of(place) if roots is None else roots
    return {
        str(server.address): [
            str(client.address)
            for client in clients_of(bundle)
            if client is not server and may_talk(server, client, bundle, known)
        ]
        for server in servers_of(bundle)
    }


def test_peers_are_servers_and_clients(two: Place) -> None:
    servers, clients = servers_of(two.bundle), clients_of(two.bundle)
    assert {str(one.address) for one in servers} == {"servers/blue", "servers/both", "servers/red", "peers/node"}
    assert {str(one.address) for one in clients} == {"clients/red", "clients/blue", "peers/node"}


def test_both_must_trust_the_root_above_the_other(two: Place) -> None:
    assert {server: set(clients) for server, clients in talking(two).items()} == {
        "servers/both": {"clients/red", "peers/node"},  # blue's client does not trust the root above the server
        "servers/red": {"clients/red"},
        "servers/blue": {"clients/blue", "peers/node"},
        "peers/node": {"clients/red", "clients/blue"},
    }


def test_without_the_certificates_of_the_roots_addresses_still_tell(two: Place) -> None:
    assert talking(two, {}) == talking(two)


def test_the_root_above_is_the_highest(two: Place) -> None:
    bundle = two.bundle
    assert str(root_above(bundle[Address.parse("servers/red")], bundle).address) == "cas/red-root"


@pytest.mark.parametrize(
    ("server", "client", "is_expected"),
    [
        ("", "", True),
        ("extended_key_usage: [clientAuth]", "", False),
        ("extended_key_usage: [serverAuth, clientAuth]", "", True),
        ("", "extended_key_usage: [serverAuth]", False),
        ("", "extended_key_usage: [clientAuth, emailProtection]", True),
    ],
)
def test_each_certificate_must_be_for_what_its_bearer_does(
    tmp_path: Path, server: str, client: str, is_expected: bool
) -> None:
    spec = (
        f"version: 1\nca: {{}}\nservers: {{api: {{sans: localhost, {server}}}}}\nclients: {{checkout: {{{client}}}}}\n"
    )
    place = compiled(tmp_path / "shop", spec)
    assert talking(place) == {"servers/api": ["clients/checkout"] if is_expected else []}


def test_an_anchor_in_a_file_is_trusted_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    own, namesake = make_ca("Root", "ecdsa-p256"), make_ca("Root", "ecdsa-p256")
    files = {
        "own.pem": own.certificate.public_bytes(Encoding.PEM),
        "own.key": key_pem(own.key),
        "namesake.pem": namesake.certificate.public_bytes(Encoding.PEM),
    }
    spec = """\
        version: 1
        cas:
          made: {}
          own: {certificate: own.pem, private_key: own.key}
        servers:
          knows: {issuer: made, sans: localhost, trust: own.pem}
          errs: {issuer: made, sans: localhost, trust: namesake.pem}
          names: {issuer: made, sans: localhost, trust: own}
        clients:
          checkout: {issuer: own, trust: made}
    """
    place = compiled(tmp_path / "shop", spec, files)
    assert talking(place) == {
        "servers/errs": [],
        "servers/knows": ["clients/checkout"],
        "servers/names": ["clients/checkout"],
    }


def entry(place: Place, address: str) -> Entry:
    return place.bundle[Address.parse(address)]


def test_the_anchors_that_are_asked_for_are_known_where_all_of_them_are(two: Place) -> None:
    roots = roots_of(two)
    asked = anchors_asked(entry(two, "servers/both"), roots)
    assert asked is not None
    assert {str(one.subject) for one in asked} == {"CN=red-root", "CN=blue-root"}
    unknown: Mapping[Address, tuple[()]] = {Address.parse("cas/blue-root"): ()}
    assert anchors_asked(entry(two, "servers/both"), {**roots, **unknown}) is None
    assert anchors_asked(entry(two, "servers/red"), {**roots, **unknown}) is not None


def test_trust_is_of_one_side_alone(two: Place) -> None:
    bundle, roots = two.bundle, roots_of(two)
    server, client = entry(two, "servers/both"), entry(two, "clients/blue")
    assert trusts(server, client, bundle, roots)
    assert not trusts(client, server, bundle, roots)


def test_a_consumer_turns_away_whom_its_allow_does_not_name(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca: {}
        servers:
          api: {sans: localhost, snippets: {nginx: {listen: "8443", allow: [clients/checkout]}}}
          web: {sans: localhost, snippets: {nginx: {listen: "8444"}}}
        clients:
          checkout:
          reporting:
    """
    place = compiled(tmp_path / "shop", spec)
    api, web = entry(place, "servers/api"), entry(place, "servers/web")
    checkout, reporting = entry(place, "clients/checkout"), entry(place, "clients/reporting")
    assert turned_away_by(api, reporting) == ("nginx",)
    assert turned_away_by(api, checkout) == turned_away_by(web, checkout) == turned_away_by(web, reporting) == ()
    twice = replace(api, snippets=(*api.snippets, replace(api.snippets[0], consumer="envoy")))
    assert turned_away_by(twice, reporting) == ("nginx", "envoy")
