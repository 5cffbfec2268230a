"""Traefik: a whole static configuration, and beside it the dynamic one, by which Traefik reads the files anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from certgen.consumers.port import Deployment, Fault
from certgen.consumers.proxying import Outbound, TrustingProxyOptions, inbound, judge_sides, outbound
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.model import Address, Artifact, Section

STATIC_FILE: Final = "traefik.yaml"
DYNAMIC_FILE: Final = "traefik/dynamic.yaml"

SEPARATOR: Final = "║"
"""What Traefik puts between the items of a list while it reads one, so that no item can hold it."""

_UNSAFE: Final = re.compile(
    '["\\\\{\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]'
)
"""What ends a text or a line, what YAML does not let stand, and what makes a line read otherwise than it is.

And the brace: before Traefik reads YAML, it takes the dynamic file for a template of Go, comments too.
"""
_OPENING: Final = re.compile(r"\{(?=\{)")


class TraefikOptions(TrustingProxyOptions):
    """Traefik before a program, or as the client of an mTLS server."""


OPTIONS: Final = TraefikOptions


def quote(text: str) -> str:
    """Write a text as a double-quoted scalar of YAML, on one line, in which no template of Go begins.

    Raises:
        UnquotableError: it has the sign that Traefik keeps for itself.
    """
    if SEPARATOR in text:
        raise UnquotableError(f"Traefik takes `{SEPARATOR}` for the end of an item, and has no way to write the sign")
    return f'"{_UNSAFE.sub(_escaped, text)}"'


def judge(deployment: Deployment, options: TraefikOptions) -> Iterator[Fault]:
    """Find what Traefik cannot do for an entry."""
    yield from judge_sides(deployment, options)
    yield from _judge_quoting(deployment)
    yield from _judge_outbound(deployment, outbound(deployment, options))


def allowed(_deployment: Deployment, _options: TraefikOptions) -> tuple[Address, ...] | None:
    """Give None: Traefik lets in all that the trust accepts."""
    return None


def render(deployment: Deployment, options: TraefikOptions) -> Iterator[Artifact]:
    """Write the static configuration, and the dynamic one that it watches."""
    server, client = inbound(deployment, options), outbound(deployment, options)
    values = {
        "header": Verbatim(_OPENING.sub("{ ", deployment.header)),
        "configuration": deployment.path(STATIC_FILE),
        "dynamic": deployment.path(DYNAMIC_FILE),
        "certificate": deployment.certificate,
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
        "inbound": server,
        "inbound_listen": _address(server.listen.host, server.listen.port) if server else "",
        "program": f"http://{server.upstream}" if server and server.upstream else "",
        "outbound": client,
        "outbound_listen": _address(client.listen.host, client.listen.port) if client else "",
        "upstream": f"https://{client.upstream}" if client else "",
        "authority": _authority(client) if client else "",
    }
    yield Artifact(STATIC_FILE, _TEMPLATES.render("traefik.yaml.j2", **values))
    yield Artifact(DYNAMIC_FILE, _TEMPLATES.render("dynamic.yaml.j2", **values))


_TEMPLATES: Final = Templates("traefik", quote)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{character}" if character in '"\\' else f"\\u{ord(character):04X}"


def _address(host: str | None, port: int) -> str:
    """Write where to listen, as Go has it."""
    return f"[{host}]:{port}" if ":" in (host or "") else f"{host or ''}:{port}"


def _authority(side: Outbound) -> str:
    """Give the host that a request names to the upstream."""
    host = side.server_name or (side.upstream and side.upstream.host) or ""
    return f"[{host}]" if ":" in host else host


def _judge_quoting(deployment: Deployment) -> Iterator[Fault]:
    try:
        quote(deployment.entry.deploy_dir)
    except UnquotableError as reason:
        yield Fault("not-quotable", str(reason), "choose another folder", field="deploy_dir")


def _judge_outbound(deployment: Deployment, side: Outbound | None) -> Iterator[Fault]:
    if side is not None and side.upstream is None:
        base = ("client",) if deployment.entry.address.section is Section.PEERS else ()
        message = "Traefik needs the server that it connects to"
        yield Fault("missing-option", message, "add `upstream: HOST:PORT`", base)
