"""HAProxy: a whole haproxy.cfg, before a program or as the client of an mTLS server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from certgen.consumers.callers import allowed_entries, subject_twins
from certgen.consumers.naming import openssl_name
from certgen.consumers.options import Endpoint
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.proxying import Outbound, ProxyOptions, inbound, judge_proxy, outbound
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.model import Address, Artifact, Entry, Section
from certgen.tree import COMBINED_FILE

CONFIGURATION_FILE: Final = "haproxy.cfg"
COMBINED: Final = True
"""HAProxy reads certificate and key from one file."""

_BARE: Final = re.compile(r"[A-Za-z0-9_./:@\[\]-]+", re.ASCII)
_LINE_END: Final = re.compile(r"[\n\r\0]")


class HaproxyOptions(ProxyOptions):
    """HAProxy before a program, or as the client of an mTLS server."""


OPTIONS: Final = HaproxyOptions


def quote(text: str) -> str:
    """Write a text as one word of HAProxy's language: between single quotes nothing has a meaning, but their end.

    Raises:
        UnquotableError: it has the end of a line, which is that of a statement.
    """
    if _LINE_END.search(text):
        raise UnquotableError("HAProxy has no way to write the end of a line")
    if _BARE.fullmatch(text):
        return text
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"


def judge(deployment: Deployment, options: HaproxyOptions) -> Iterator[Fault]:
    """Find what HAProxy cannot do for an entry."""
    yield from judge_proxy(deployment, options)
    yield from _judge_quoting(deployment, options)
    yield from _judge_twins(deployment, options)
    yield from _judge_upstream(deployment, outbound(deployment, options))


def allowed(deployment: Deployment, options: HaproxyOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: HaproxyOptions) -> Iterator[Artifact]:
    """Write the configuration."""
    server, client = inbound(deployment, options), outbound(deployment, options)
    values = {
        "header": Verbatim(deployment.header),
        "configuration": deployment.path(CONFIGURATION_FILE),
        "combined": deployment.path(COMBINED_FILE),
        "trust_anchors": deployment.trust_anchors,
        "callers": tuple(_caller(deployment, entry) for entry in allowed_entries(deployment, options.allow)),
        "inbound": server,
        "inbound_listen": _bound(server.listen) if server else "",
        "program": str(server.upstream) if server and server.upstream else "",
        "outbound": client,
        "outbound_listen": _bound(client.listen) if client else "",
        "upstream": str(client.upstream) if client and client.upstream else "",
        "server_name": client.server_name if client and client.server_name else "",
    }
    yield Artifact(CONFIGURATION_FILE, _TEMPLATES.render("haproxy.cfg.j2", **values))


_TEMPLATES: Final = Templates("haproxy", quote)


def _bound(listen: Endpoint) -> str:
    """Give where HAProxy listens; a port alone is one of every IPv4 address."""
    return f":{listen.port}" if listen.host is None else str(listen)


def _caller(deployment: Deployment, entry: Entry) -> str:
    """Give a caller as HAProxy shows its subject and its issuer, in one text."""
    issuer = deployment.issuer_subject(entry)
    return f"{openssl_name(entry.template.subject)} < {openssl_name(issuer)}"


def _judge_quoting(deployment: Deployment, options: HaproxyOptions) -> Iterator[Fault]:
    try:
        quote(deployment.path(CONFIGURATION_FILE))
    except UnquotableError as reason:
        yield Fault("not-quotable", str(reason), "choose another folder", field="deploy_dir")
    for entry in allowed_entries(deployment, options.allow):
        try:
            quote(_caller(deployment, entry))
        except UnquotableError as reason:
            message = f"HAProxy cannot be told of {entry.address}: {reason}"
            yield Fault("not-quotable", message, "let another consumer do it", _place(options, entry))


def _judge_twins(deployment: Deployment, options: HaproxyOptions) -> Iterator[Fault]:
    """Refuse to let in by subject and issuer whom they do not tell apart from another."""
    for entry in allowed_entries(deployment, options.allow):
        for twin in subject_twins(deployment, entry, options.allow or ()):
            message = f"HAProxy cannot tell {entry.address} from {twin.address}: subject and issuer are the same"
            yield Fault("same-identity", message, "give one of them another `common_name`", _place(options, entry))


def _judge_upstream(deployment: Deployment, side: Outbound | None) -> Iterator[Fault]:
    if side is None:
        return
    base: tuple[str, ...] = ("client",) if deployment.entry.address.section is Section.PEERS else ()
    if side.upstream is None:
        message = "HAProxy needs the server that it connects to"
        yield Fault("missing-option", message, "add `upstream: HOST:PORT`", base)
    elif side.server_name is None:
        message = "HAProxy cannot check a certificate for an IP address"
        yield Fault("no-server-name", message, "add `server_name`, a DNS name of the server", (*base, "upstream"))


def _place(options: HaproxyOptions, entry: Entry) -> tuple[str, int]:
    return ("allow", (options.allow or ()).index(entry.address))
