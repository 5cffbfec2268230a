"""What reverse proxies share: two sides, their defaults, and what is judged before anything is rendered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from remarks import Remark, codes, remarks
from values import APP, MAIL, NODE, ROOT, WEB, asking, authority, certificate_for, dns, member, shop

from certgen.consumers.options import Endpoint
from certgen.consumers.port import Deployment
from certgen.consumers.proxying import Inbound, Outbound, ProxyOptions, inbound, judge_proxy, outbound
from certgen.diagnostics import Severity
from certgen.model import Address, AnchorFile
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind

BUNDLE = shop(member(NODE))
LOOPBACK = Endpoint(8080, "127.0.0.1", is_address=True)
API = Endpoint(8443, "api.shop.example")


def at(address: Address) -> Deployment:
    return Deployment(BUNDLE, BUNDLE[address])


def options(**written: object) -> ProxyOptions:
    return ProxyOptions.model_validate(written)


# Two sides


@pytest.mark.parametrize("address", [WEB, NODE])
def test_a_server_listens_at_8443_unless_it_says_otherwise(address: Address) -> None:
    assert inbound(at(address), options()) == Inbound(Endpoint(8443), None)
    chosen = options(listen="127.0.0.1:1", upstream="127.0.0.1:2")
    expected = Inbound(Endpoint(1, "127.0.0.1", is_address=True), Endpoint(2, "127.0.0.1", is_address=True))
    assert inbound(at(address), chosen) == expected


def test_a_client_has_no_side_to_which_others_connect_and_a_server_none_by_which_it_connects() -> None:
    assert inbound(at(APP), options()) is None
    assert outbound(at(WEB), options(upstream="127.0.0.1:8080")) is None


def test_a_client_listens_at_8080_of_its_own_machine_unless_it_says_otherwise() -> None:
    assert outbound(at(APP), options()) == Outbound(LOOPBACK, None, None)
    chosen = options(listen="[::1]:1", upstream="api.shop.example:8443")
    assert outbound(at(APP), chosen) == Outbound(Endpoint(1, "::1", is_address=True), API, "api.shop.example")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ({"upstream": "api.shop.example:8443"}, "api.shop.example"),
        ({"upstream": "API.shop.example:8443"}, "api.shop.example"),
        ({"upstream": "127.0.0.1:8443"}, None),
        ({"upstream": "[::1]:8443"}, None),
        ({"upstream": "127.0.0.1:8443", "server_name": "api.shop.example"}, "api.shop.example"),
        ({"upstream": "other.example:8443", "server_name": "api.shop.example"}, "api.shop.example"),
        ({"server_name": "api.shop.example"}, "api.shop.example"),
        ({}, None),
    ],
)
def test_the_name_to_ask_for_is_the_given_one_or_the_host_of_the_upstream(
    written: dict[str, str], name: str | None
) -> None:
    side = outbound(at(APP), options(**written))
    assert side is not None
    assert side.server_name == name
    same = outbound(at(NODE), options(client=written))
    assert same is not None
    assert same.server_name == name


def test_a_peer_connects_by_its_client_side_alone() -> None:
    assert outbound(at(NODE), options(upstream="127.0.0.1:8080")) is None
    both = options(listen="1", upstream="127.0.0.1:2", client={"upstream": "api.shop.example:8443"})
    assert inbound(at(NODE), both) == Inbound(Endpoint(1), Endpoint(2, "127.0.0.1", is_address=True))
    assert outbound(at(NODE), both) == Outbound(LOOPBACK, API, "api.shop.example")
    assert outbound(at(NODE), options(client={})) == Outbound(LOOPBACK, None, None)


# Options of the other role


SPEC = """\
    version: 1
    ca:
    servers:
      api: {sans: [api.shop.example, "*.eu.shop.example"], snippets: {nginx: %s}}
    clients:
      checkout: {snippets: {nginx: %s}}
    peers:
      etcd: {sans: etcd.shop.example, snippets: {nginx: %s}}
    """


def in_spec(server: str = "{}", client: str = "{}", peer: str = "{}") -> str:
    return SPEC % (server, client, peer)


NAMED = "{server_name: api.shop.example}"


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (in_spec(server=NAMED), "api.shop.example", "`server_name` is for a client, which checks it"),
        (in_spec(server=f"{{client: {NAMED}}}"), NAMED, "`client` is for a peer, which is both"),
        (in_spec(server="{client: {}}"), "{}", "`client` is for a peer, which is both"),
        (in_spec(client=f"{{client: {NAMED}}}"), NAMED, "`client` is for a peer, which is both"),
        (in_spec(client="{allow: [peers/etcd]}"), "[peers/etcd]", "`allow` is for a server, to which others connect"),
        (in_spec(peer=NAMED), "api.shop.example", "`server_name` is for the `client` side of a peer"),
    ],
)
def test_an_option_of_another_role_is_refused_where_it_stands(
    tmp_path: Path, spec: str, code: str, message: str
) -> None:
    (found,) = remarks(tmp_path, spec)
    assert (found.code, found.at, found.message, found.severity) == ("unused-option", code, message, "error")


@pytest.mark.parametrize(
    "spec",
    [
        in_spec(server="{listen: 1, upstream: '127.0.0.1:2', allow: [peers/etcd]}"),
        in_spec(client="{listen: '127.0.0.1:1', upstream: 'api.shop.example:2', server_name: x.eu.shop.example}"),
        in_spec(peer="{listen: 1, upstream: '127.0.0.1:2', allow: [clients/checkout], client: {}}"),
        in_spec(
            peer="{client: {listen: 'localhost:1', upstream: 'api.shop.example:2', server_name: a.eu.shop.example}}"
        ),
    ],
)
def test_an_option_of_the_own_role_is_taken(tmp_path: Path, spec: str) -> None:
    assert remarks(tmp_path, spec) == []


def test_inherited_options_of_another_role_trouble_nobody(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca:
        defaults:
          snippets:
            nginx:
              listen: 127.0.0.1:9000
              allow: [clients/checkout]
              server_name: api.shop.example
              client: {upstream: "api.shop.example:8443"}
        servers:
          api: {sans: api.shop.example}
        clients:
          checkout:
        peers:
          etcd: {sans: etcd.shop.example}
        """
    assert codes(tmp_path, spec) == []


@pytest.mark.parametrize("client", ["{}", "{upstream: 'api.shop.example:1'}", "{upstrem: x}", "{allow: []}"])
def test_the_client_side_of_a_peer_is_read_as_strictly_as_the_rest(tmp_path: Path, client: str) -> None:
    expected = {"{upstrem: x}": ["unknown-field at upstrem"], "{allow: []}": ["unknown-field at allow"]}
    assert codes(tmp_path, in_spec(peer=f"{{client: {client}}}")) == expected.get(client, [])


# Open to others


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ("8080", "port 8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        ("'[::]:8080'", "[::]:8080"),
        ("10.1.2.3:8080", "10.1.2.3:8080"),
        ("proxy.shop.example:8080", "proxy.shop.example:8080"),
        ("127.shop.example:8080", "127.shop.example:8080"),
    ],
)
def test_a_client_that_others_can_reach_is_warned_of(tmp_path: Path, listen: str, place: str) -> None:
    help_ = "listen at 127.0.0.1, unless something else keeps others away"
    (found,) = remarks(tmp_path, in_spec(client=f"{{listen: {listen}, upstream: 'api.shop.example:1'}}"))
    message = f"whoever reaches {place} acts as clients/checkout"
    assert found == Remark("open-proxy", listen, message, help_, "warning", 6)
    (found,) = remarks(tmp_path, in_spec(peer=f"{{client: {{listen: {listen}}}}}"))
    assert found == Remark("open-proxy", listen, f"whoever reaches {place} acts as peers/etcd", help_, "warning", 8)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.9.9.9:1", "'[::1]:1'", "localhost:1"])
def test_a_client_of_this_machine_alone_is_not(tmp_path: Path, listen: str) -> None:
    assert remarks(tmp_path, in_spec(client=f"{{listen: {listen}}}")) == []


def test_a_server_may_be_reached_from_everywhere(tmp_path: Path) -> None:
    assert remarks(tmp_path, in_spec(server="{listen: 0.0.0.0:443}", peer="{listen: 443}")) == []


def test_an_inherited_port_is_warned_of_once_for_all_clients(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca:
        defaults: {snippets: {nginx: {listen: 9000}}}
        servers:
          api: {sans: api.shop.example}
        clients:
          checkout:
          reporting:
          worker:
        """
    (found,) = remarks(tmp_path, spec)
    assert (found.code, found.at, found.line) == ("open-proxy", "9000", 3)
    assert found.message == "whoever reaches port 9000 acts as clients/checkout (and 2 more)"


# Names that no server bears


@pytest.mark.parametrize(
    ("client", "at_text", "message", "help_"),
    [
        (
            "{upstream: 'apo.shop.example:1'}",
            "'apo.shop.example:1'",
            "no server of this spec bears the name `apo.shop.example`",
            "did you mean `api.shop.example`?",
        ),
        (
            "{upstream: '10.0.0.1:1', server_name: zzz}",
            "zzz",
            "no server of this spec bears the name `zzz`",
            "its servers bear *.eu.shop.example, api.shop.example, etcd.shop.example",
        ),
        (
            "{upstream: 'api.shop.example:1', server_name: a.b.eu.shop.example}",
            "a.b.eu.shop.example",
            "no server of this spec bears the name `a.b.eu.shop.example`",
            "did you mean `*.eu.shop.example`?",
        ),
        (
            "{server_name: eu.shop.example}",
            "eu.shop.example",
            "no server of this spec bears the name `eu.shop.example`",
            "did you mean `*.eu.shop.example`?",
        ),
    ],
)
def test_a_name_that_no_server_bears_is_warned_of(
    tmp_path: Path, client: str, at_text: str, message: str, help_: str
) -> None:
    assert remarks(tmp_path, in_spec(client=client)) == [
        Remark("unknown-server-name", at_text, message, help_, "warning", 6)
    ]


@pytest.mark.parametrize("name", ["api.shop.example", "x.eu.shop.example", "API.SHOP.example", "etcd.shop.example"])
def test_a_name_that_a_server_bears_is_not(tmp_path: Path, name: str) -> None:
    assert remarks(tmp_path, in_spec(client=f"{{upstream: '{name}:1'}}")) == []
    assert remarks(tmp_path, in_spec(client=f"{{upstream: '10.0.0.1:1', server_name: {name}}}")) == []


def test_a_peer_may_connect_to_another_that_has_the_same_certificate(tmp_path: Path) -> None:
    assert codes(tmp_path, in_spec(peer="{client: {upstream: 'etcd.shop.example:1'}}")) == []


def judged(deployment: Deployment, **written: object) -> list[str]:
    return [fault.code for fault in judge_proxy(deployment, options(**written))]


def test_under_a_root_of_which_nothing_is_known_every_name_may_be_right() -> None:
    partner = AnchorFile("partner.pem", (certificate_for(authority(Address.parse("cas/partner"))),))
    asked = {"upstream": "elsewhere.example:1"}
    assert judged(at(APP), **asked) == ["unknown-server-name"]
    assert judged(Deployment(BUNDLE, replace(BUNDLE[APP], trust=(ROOT, partner))), **asked) == []


def test_only_servers_that_the_client_trusts_count() -> None:
    other = Address.parse("cas/other")
    bundle = shop(authority(other), member(MAIL, other, trust=(other,)))
    asked = {"upstream": "mail.shop.example:1"}
    assert judged(Deployment(bundle, bundle[APP]), **asked) == ["unknown-server-name"]
    trusting = replace(bundle[APP], trust=(ROOT, other))
    assert judged(Deployment(bundle, trusting), **asked) == []


def test_where_no_server_has_a_dns_name_nothing_can_be_said() -> None:
    web = asking(member(WEB), subject_alt_names=(GeneralName(GeneralNameKind.IP, "10.0.0.1"),))
    bundle = shop(web)
    assert judged(Deployment(bundle, bundle[APP]), upstream="elsewhere.example:1") == []
    named = shop(asking(web, subject_alt_names=(*web.template.subject_alt_names, dns("web.shop.example"))))
    assert judged(Deployment(named, named[APP]), upstream="elsewhere.example:1") == ["unknown-server-name"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = list(judge_proxy(at(APP), options(listen="1", upstream="x.example:1", allow=[], client={})))
    assert [(fault.code, fault.place) for fault in found] == [
        ("unused-option", ("allow",)),
        ("unused-option", ("client",)),
        ("open-proxy", ("listen",)),
        ("unknown-server-name", ("upstream",)),
    ]
    assert [fault.severity for fault in found] == [Severity.ERROR] * 2 + [Severity.WARNING] * 2
