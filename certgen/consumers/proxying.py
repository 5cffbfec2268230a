"""Floor 4: what reverse proxies share: a server that stands before a program, a client that speaks for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from certgen.consumers.callers import judge_allow
from certgen.consumers.options import Addresses, Endpoint, Field, HostName, Listen, Options, Upstream
from certgen.consumers.port import Deployment, Fault
from certgen.diagnostics import Severity
from certgen.model import Section

SERVER_PORT: Final = 8443
CLIENT_PORT: Final = 8080


class ClientOptions(Options):
    """A proxy that takes plain HTTP from this machine and speaks mTLS to a server."""

    listen: Listen | None = Field(
        None,
        description="Port, or address and port, where it takes plain HTTP from programs of this machine. "
        "Default: 127.0.0.1:8080.",
        examples=["127.0.0.1:9080"],
    )
    upstream: Upstream | None = Field(
        None,
        description="Host and port of the server that it speaks mTLS to. Default: none.",
        examples=["api.shop.example:8443"],
    )
    server_name: HostName | None = Field(
        None,
        description="The name that the server's certificate must bear. Default: the host of `upstream`.",
        examples=["api.shop.example"],
    )


class TrustingProxyOptions(Options, json_schema_extra={"examples": [{"upstream": "127.0.0.1:8080"}]}):
    """A reverse proxy that lets in all whom its trust accepts, since it cannot tell them apart."""

    listen: Listen | None = Field(
        None,
        description="Port, or address and port. Default: 8443 for a server, 127.0.0.1:8080 for a client.",
        examples=["127.0.0.1:8443"],
    )
    upstream: Upstream | None = Field(
        None,
        description="Host and port of a server's program behind the proxy, over plain HTTP, "
        "or of the server that a client speaks mTLS to. Default: none.",
        examples=["127.0.0.1:8080", "api.shop.example:8443"],
    )
    server_name: HostName | None = Field(
        None,
        description="For a client: the name that the server's certificate must bear. Default: the host of `upstream`.",
        examples=["api.shop.example"],
    )
    client: ClientOptions | None = Field(
        None,
        description="For a peer: the proxy by which it connects to others; the rest is about its server. "
        "Default: none.",
        examples=[{"upstream": "api.shop.example:8443"}],
    )


class ProxyOptions(
    TrustingProxyOptions,
    json_schema_extra={"examples": [{"upstream": "127.0.0.1:8080", "allow": ["clients/checkout"]}]},
):
    """A reverse proxy: for a server it asks clients for mTLS, for a client it speaks mTLS to `upstream`."""

    allow: Addresses | None = Field(
        None,
        description="The clients and peers that a server lets in, by address. Default: all whom its trust accepts.",
        examples=[["clients/checkout"]],
    )


@dataclass(frozen=True, slots=True)
class Inbound:
    """The server's side of a proxy: where mTLS is asked of who connects."""

    listen: Endpoint
    upstream: Endpoint | None


@dataclass(frozen=True, slots=True)
class Outbound:
    """The client's side of a proxy: whom it speaks mTLS to."""

    listen: Endpoint
    upstream: Endpoint | None
    server_name: str | None
    """The name to ask the server's certificate for; None where the upstream is an IP address or not known."""


def inbound(deployment: Deployment, options: TrustingProxyOptions) -> Inbound | None:
    """Give the server's side; None for an entry to which nobody connects."""
    if not deployment.is_server:
        return None
    return Inbound(options.listen or Endpoint(SERVER_PORT), options.upstream)


def outbound(deployment: Deployment, options: TrustingProxyOptions) -> Outbound | None:
    """Give the client's side; None for an entry that connects to nobody, or of which nothing is said about that."""
    chosen = _client_options(deployment, options)
    if chosen is None:
        return None
    host = chosen.upstream.host if chosen.upstream and not chosen.upstream.is_address else None
    listen = chosen.listen or Endpoint(CLIENT_PORT, "127.0.0.1", is_address=True)
    return Outbound(listen, chosen.upstream, chosen.server_name or host)


def judge_proxy(deployment: Deployment, options: ProxyOptions) -> Iterator[Fault]:
    """Find what no proxy could do: callers that are none, and what `judge_sides` finds."""
    yield from judge_allow(deployment, options.allow)
    yield from judge_sides(deployment, options)


def judge_sides(deployment: Deployment, options: TrustingProxyOptions) -> Iterator[Fault]:
    """Find what no proxy could do, whomever it lets in: options of the other role, names that no server bears."""
    yield from _judge_roles(deployment, options)
    yield from _judge_outbound(deployment, options)
    yield from _judge_endpoints(deployment, options)


def _client_options(
    deployment: Deployment, options: TrustingProxyOptions
) -> TrustingProxyOptions | ClientOptions | None:
    match deployment.entry.address.section:
        case Section.CLIENTS:
            return options
        case Section.PEERS:
            return options.client
        case _:
            return None


def _judge_roles(deployment: Deployment, options: TrustingProxyOptions) -> Iterator[Fault]:
    section = deployment.entry.address.section
    out_of_place = {
        Section.SERVERS: (("server_name", "a client, which checks it"), ("client", "a peer, which is both")),
        Section.CLIENTS: (("client", "a peer, which is both"),),
        Section.PEERS: (("server_name", "the `client` side of a peer"),),
    }
    for option, owner in out_of_place.get(section, ()):
        if getattr(options, option) is not None:
            yield Fault("unused-option", f"`{option}` is for {owner}", "remove it", (option,))


def _judge_outbound(deployment: Deployment, options: TrustingProxyOptions) -> Iterator[Fault]:
    side, chosen = outbound(deployment, options), _client_options(deployment, options)
    if side is None or chosen is None:
        return
    base = ("client",) if deployment.entry.address.section is Section.PEERS else ()
    if not side.listen.is_loopback:
        place = f"port {side.listen.port}" if side.listen.host is None else str(side.listen)
        message = f"whoever reaches {place} acts as {deployment.entry.address}"
        help_ = "listen at 127.0.0.1, unless something else keeps others away"
        yield Fault("open-proxy", message, help_, (*base, "listen"), severity=Severity.WARNING)
    known = frozenset() if deployment.trusts_files else deployment.server_names
    if side.server_name and known and not _is_borne(side.server_name, known):
        near = get_close_matches(side.server_name, known, n=1)
        help_ = f"did you mean `{near[0]}`?" if near else f"its servers bear {', '.join(sorted(known)[:5])}"
        message = f"no server of this spec bears the name `{side.server_name}`"
        option = "server_name" if chosen.server_name else "upstream"
        yield Fault("unknown-server-name", message, help_, (*base, option), severity=Severity.WARNING)


def _judge_endpoints(deployment: Deployment, options: TrustingProxyOptions) -> Iterator[Fault]:
    """Refuse two sides of a peer that listen at one place."""
    server, client = inbound(deployment, options), outbound(deployment, options)
    if server is None or client is None or server.listen.port != client.listen.port:
        return
    hosts = {server.listen.host, client.listen.host}
    is_same_name = "localhost" in hosts and server.listen.is_loopback and client.listen.is_loopback
    if len(hosts) == 1 or None in hosts or is_same_name:
        message = f"both sides of {deployment.entry.address} would listen at port {server.listen.port}"
        yield Fault("same-endpoint", message, "choose another `listen` for one of them", ("client",))


def _is_borne(name: str, known: frozenset[str]) -> bool:
    return name in known or f"*.{name.partition('.')[2]}" in known
