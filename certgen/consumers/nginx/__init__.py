"""nginx: an include file for a `server` block, one for what connects to an mTLS upstream, and a whole nginx.conf."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from certgen.consumers.callers import allowed_entries, subject_twins
from certgen.consumers.naming import openssl_name
from certgen.consumers.options import Field, Switch
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.proxying import Outbound, ProxyOptions, inbound, judge_proxy, outbound
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.model import Address, Artifact, Entry, Section
from certgen.rfc5280.vocabulary import GeneralNameKind
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE

SERVER_FILE: Final = "nginx-server.conf"
UPSTREAM_FILE: Final = "nginx-upstream.conf"
STANDALONE_FILE: Final = "nginx.conf"

LONGEST_WORD: Final = 4000
"""Bytes; nginx reads its configuration through a buffer of 4096."""

_BARE: Final = re.compile(r"[A-Za-z0-9_./:*\[\]-]+", re.ASCII)


class NginxOptions(ProxyOptions):
    """The reverse proxy nginx: before a program, or as the client of an mTLS server."""

    standalone: Switch = Field(
        default=False,
        description="Whether a whole nginx.conf is written too, which runs as it stands in the entry's folder. "
        "Default: false.",
        examples=[True],
    )


OPTIONS: Final = NginxOptions


def quote(text: str) -> str:
    """Write a text as one word of nginx's language.

    Raises:
        UnquotableError: it has a `$`, which nginx takes for a variable and cannot be told not to, or it is too long.
    """
    if "$" in text:
        raise UnquotableError("nginx takes `$` for the start of a variable, and has no way to write the sign itself")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if len(escaped.encode()) > LONGEST_WORD:
        raise UnquotableError(f"nginx reads no word of more than {LONGEST_WORD} bytes")
    return text if _BARE.fullmatch(text) else f'"{escaped}"'


def judge(deployment: Deployment, options: NginxOptions) -> Iterator[Fault]:
    """Find what nginx cannot do for an entry."""
    yield from judge_proxy(deployment, options)
    yield from _judge_quoting(deployment, options)
    yield from _judge_twins(deployment, options)
    yield from _judge_upstream(deployment, options, outbound(deployment, options))


def allowed(deployment: Deployment, options: NginxOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: NginxOptions) -> Iterator[Artifact]:
    """Write the include files of the entry's roles, and the whole configuration where it is asked for."""
    values = _values(deployment, options)
    if deployment.is_server:
        yield _artifact(SERVER_FILE, values)
    if deployment.is_client:
        yield _artifact(UPSTREAM_FILE, values)
    if options.standalone:
        # nginx reads a relative name from beside its configuration, so the folder runs wherever it is.
        relative = {"certificate": CERTIFICATE_FILE, "private_key": KEY_FILE, "trust_anchors": TRUST_FILE}
        yield _artifact(STANDALONE_FILE, {**values, **relative})


_TEMPLATES: Final = Templates("nginx", quote)


def _artifact(name: str, values: dict[str, object]) -> Artifact:
    return Artifact(name, _TEMPLATES.render(f"{name}.j2", **values))


def _values(deployment: Deployment, options: NginxOptions) -> dict[str, object]:
    server, client = inbound(deployment, options), outbound(deployment, options)
    return {
        "header": Verbatim(deployment.header),
        "include": deployment.path(SERVER_FILE),
        "configuration": deployment.path(STANDALONE_FILE),
        "certificate": deployment.certificate,
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
        "depth": deployment.depth,
        "names": deployment.names(GeneralNameKind.DNS),
        "callers": tuple(_caller(deployment, entry) for entry in allowed_entries(deployment, options.allow)),
        "inbound": server,
        "inbound_listen": str(server.listen) if server else "",
        "inbound_upstream": f"http://{server.upstream}" if server and server.upstream else "",
        "outbound": client,
        "outbound_listen": str(client.listen) if client else "",
        "outbound_upstream": f"https://{client.upstream}" if client and client.upstream else "",
        "server_name": client.server_name if client and client.server_name else "",
    }


def _caller(deployment: Deployment, entry: Entry) -> str:
    """Give a caller as nginx shows its subject and its issuer, in one text."""
    issuer = deployment.issuer_subject(entry)
    return f"{openssl_name(entry.template.subject)} < {openssl_name(issuer)}"


def _judge_quoting(deployment: Deployment, options: NginxOptions) -> Iterator[Fault]:
    try:
        quote(deployment.path(UPSTREAM_FILE))
    except UnquotableError as reason:
        yield Fault("not-quotable", str(reason), "choose another folder", field="deploy_dir")
    for entry in allowed_entries(deployment, options.allow):
        try:
            quote(_caller(deployment, entry))
        except UnquotableError as reason:
            message = f"nginx cannot be told of {entry.address}: {reason}"
            place = ("allow", (options.allow or ()).index(entry.address))
            yield Fault("not-quotable", message, "let another consumer do it", place)


def _judge_twins(deployment: Deployment, options: NginxOptions) -> Iterator[Fault]:
    """Refuse to let in by subject and issuer whom they do not tell apart from another."""
    allow = options.allow or ()
    for entry in allowed_entries(deployment, allow):
        for twin in subject_twins(deployment, entry, allow):
            message = f"nginx cannot tell {entry.address} from {twin.address}: subject and issuer are the same"
            place = ("allow", allow.index(entry.address))
            yield Fault("same-identity", message, "give one of them another `common_name`", place)


def _judge_upstream(deployment: Deployment, options: NginxOptions, side: Outbound | None) -> Iterator[Fault]:
    if side is None:
        return
    base: tuple[str, ...] = ("client",) if deployment.entry.address.section is Section.PEERS else ()
    if side.upstream is None and options.standalone:
        message = "a whole nginx.conf needs the server that it connects to"
        yield Fault("missing-option", message, "add `upstream: HOST:PORT`", base)
    if side.upstream is not None and side.server_name is None:
        message = "nginx cannot check a certificate for an IP address"
        yield Fault("no-server-name", message, "add `server_name`, a DNS name of the server", (*base, "upstream"))
