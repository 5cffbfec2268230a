"""Envoy: a whole bootstrap configuration, and the secrets beside it that Envoy reads anew by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from certgen.consumers.callers import allowed_entries, distinguishing_names, kept_out
from certgen.consumers.options import Endpoint
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.proxying import Outbound, ProxyOptions, inbound, judge_proxy, outbound
from certgen.consumers.templates import Templates, Verbatim
from certgen.model import Address, Artifact, Entry, Section
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind

BOOTSTRAP_FILE: Final = "envoy.yaml"
IDENTITY_FILE: Final = "envoy/identity.yaml"
TRUST_FILE: Final = "envoy/trust.yaml"
UPSTREAM_TRUST_FILE: Final = "envoy/upstream-trust.yaml"

_UNSAFE: Final = re.compile(
    '["\\\\\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]'
)
"""What ends a text or a line, what YAML does not let stand, and what makes a line read otherwise than it is."""
_SAN_TYPES: Final = {
    GeneralNameKind.DNS: "DNS",
    GeneralNameKind.IP: "IP_ADDRESS",
    GeneralNameKind.URI: "URI",
    GeneralNameKind.EMAIL: "EMAIL",
}

Match = tuple[Verbatim, str]
"""A name that a certificate may bear to be accepted: its kind and its value, as Envoy writes them."""


class EnvoyOptions(ProxyOptions):
    """Envoy before a program, or as the client of an mTLS server."""


OPTIONS: Final = EnvoyOptions


def quote(text: str) -> str:
    """Write a text as a double-quoted scalar of YAML, on one line."""
    return f'"{_UNSAFE.sub(_escaped, text)}"'


def judge(deployment: Deployment, options: EnvoyOptions) -> Iterator[Fault]:
    """Find what Envoy cannot do for an entry."""
    yield from judge_proxy(deployment, options)
    yield from _judge_names(deployment, options)
    if deployment.is_server and options.listen:
        yield from _judge_listen(options.listen, ())
    yield from _judge_outbound(deployment, outbound(deployment, options))


def allowed(deployment: Deployment, options: EnvoyOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: EnvoyOptions) -> Iterator[Artifact]:
    """Write the configuration, and its secrets: who the entry is, and whom it trusts in each of its roles."""
    server, client = inbound(deployment, options), outbound(deployment, options)
    shared = {
        "header": Verbatim(deployment.header),
        "folder": deployment.entry.deploy_dir.rstrip("/") or "/",
        "trust_anchors": deployment.trust_anchors,
    }
    values = {
        **shared,
        "configuration": deployment.path(BOOTSTRAP_FILE),
        "entry": str(deployment.entry.address),
        "bundle": deployment.bundle.name,
        "identity": deployment.path(IDENTITY_FILE),
        "trust": deployment.path(TRUST_FILE),
        "upstream_trust": deployment.path(UPSTREAM_TRUST_FILE),
        "inbound": server,
        "program": server.upstream if server else None,
        "outbound": client,
        "authority": _authority(client) if client else "",
    }
    yield _artifact(BOOTSTRAP_FILE, "envoy.yaml.j2", values)
    pair = {"certificate": deployment.certificate, "private_key": deployment.private_key}
    yield _artifact(IDENTITY_FILE, "identity.yaml.j2", {**shared, **pair})
    if server is not None:
        callers = {"secret": "trust", "whom": Verbatim("clients"), "matches": _callers(deployment, options)}
        yield _artifact(TRUST_FILE, "trust.yaml.j2", {**shared, **callers})
    if client is not None:
        servers = {"secret": "upstream_trust", "whom": Verbatim("servers"), "matches": _servers(client)}
        yield _artifact(UPSTREAM_TRUST_FILE, "trust.yaml.j2", {**shared, **servers})


_TEMPLATES: Final = Templates("envoy", quote)


def _artifact(name: str, template: str, values: Mapping[str, object]) -> Artifact:
    return Artifact(name, _TEMPLATES.render(template, **values))


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{character}" if character in '"\\' else f"\\u{ord(character):04X}"


def _callers(deployment: Deployment, options: EnvoyOptions) -> tuple[Match, ...]:
    """Give the names by which those are known who are let in; none for all."""
    allow = options.allow or ()
    names = (
        name for entry in allowed_entries(deployment, allow) for name in distinguishing_names(deployment, entry, allow)
    )
    return tuple(dict.fromkeys(map(_match, names)))


def _servers(side: Outbound) -> tuple[Match, ...]:
    """Give the name by which the upstream is known."""
    kind = GeneralNameKind.IP if side.server_name is None else GeneralNameKind.DNS
    return (_match(GeneralName(kind, _upstream_host(side))),)


def _match(name: GeneralName) -> Match:
    value = _address(name.value) if name.kind == GeneralNameKind.IP else name.value
    return Verbatim(_SAN_TYPES[GeneralNameKind(name.kind)]), value


def _address(written: str) -> str:
    """Write an IP address as Envoy reads it from a certificate: one that holds an IPv4 address ends like it."""
    if ":" not in written:
        return written
    number = int(IPv6Address(written))
    is_mapped, is_compatible = number >> 32 == 0xFFFF, 0xFFFF < number < 1 << 32
    if not is_mapped and not is_compatible:
        return written
    return f"{'::ffff:' if is_mapped else '::'}{IPv4Address(number & 0xFFFFFFFF)}"


def _authority(side: Outbound) -> str:
    """Give the host that a request names to the upstream."""
    host = _upstream_host(side)
    return f"[{host}]" if ":" in host else host


def _upstream_host(side: Outbound) -> str:
    """Give the name that the upstream must bear, or its IP address where no name is asked of it."""
    return side.server_name or (side.upstream and side.upstream.host) or ""


def _judge_names(deployment: Deployment, options: EnvoyOptions) -> Iterator[Fault]:
    """Refuse to let in by name whom no name tells from those who are kept out."""
    allow = options.allow or ()
    for entry in allowed_entries(deployment, allow):
        place = ("allow", allow.index(entry.address))
        if not entry.template.subject_alt_names:
            message = f"Envoy knows a client by its names, and {entry.address} has none"
            help_ = f"give it `sans`, for example URI:spiffe://{deployment.bundle.name}/{entry.address.name}"
            yield Fault("no-identity", message, help_, place)
        elif not distinguishing_names(deployment, entry, allow):
            twins = ", ".join(str(twin.address) for twin in _namesakes(deployment, entry, allow))
            message = f"Envoy cannot tell {entry.address} from {twins}: all its names are borne there too"
            yield Fault("same-identity", message, f"give {entry.address} a name of its own", place)


def _namesakes(deployment: Deployment, entry: Entry, allow: tuple[Address, ...]) -> Iterator[Entry]:
    """Give those whom `allow` keeps out and who bear a name of an entry."""
    for other in kept_out(deployment, allow):
        all_but_it = tuple(caller.address for caller in deployment.callers if caller is not other)
        if distinguishing_names(deployment, entry, all_but_it) != entry.template.subject_alt_names:
            yield other


def _judge_listen(listen: Endpoint, base: tuple[str, ...]) -> Iterator[Fault]:
    if listen.host is not None and not listen.is_address:
        message = f"Envoy listens at an address, and `{listen.host}` is a name"
        yield Fault("bad-endpoint", message, f"for example 127.0.0.1:{listen.port}", (*base, "listen"))


def _judge_outbound(deployment: Deployment, side: Outbound | None) -> Iterator[Fault]:
    if side is None:
        return
    base: tuple[str, ...] = ("client",) if deployment.entry.address.section is Section.PEERS else ()
    yield from _judge_listen(side.listen, base)
    if side.upstream is None:
        message = "Envoy needs the server that it connects to"
        yield Fault("missing-option", message, "add `upstream: HOST:PORT`", base)
