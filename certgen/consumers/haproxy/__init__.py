"""HAProxy: a whole haproxy.cfg, before a program or as the client of an mTLS server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from certgen.consumers.callers import allowed_entries, subject_twins
from certgen.consumers.options import Endpoint
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.proxying import Outbound, ProxyOptions, inbound, judge_proxy, outbound
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.model import Address, Artifact, Entry, Section
from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute
from certgen.tree import COMBINED_FILE

CONFIGURATION_FILE: Final = "haproxy.cfg"
COMBINED: Final = True
"""HAProxy reads certificate and key from one file."""

_BARE: Final = re.compile(r"[A-Za-z0-9_./:@\[\]-]+", re.ASCII)
_LINE_END: Final = re.compile(r"[\n\r\0]")
_SHORT_NAMES: Final = {
    NameAttribute.DOMAIN_COMPONENT: "DC",
    NameAttribute.COUNTRY: "C",
    NameAttribute.STATE: "ST",
    NameAttribute.LOCALITY: "L",
    NameAttribute.STREET_ADDRESS: "street",
    NameAttribute.POSTAL_CODE: "postalCode",
    NameAttribute.ORGANIZATION: "O",
    NameAttribute.ORGANIZATIONAL_UNIT: "OU",
    NameAttribute.SERIAL_NUMBER: "serialNumber",
    NameAttribute.COMMON_NAME: "CN",
}
"""How OpenSSL, which HAProxy asks, spells each attribute."""


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


def distinguished_name(name: DistinguishedName) -> str:
    """Write a distinguished name as HAProxy shows it: RFC 2253 by OpenSSL, the last part first.

    Raises:
        UnquotableError: it has an attribute that language version 1 cannot express.
    """
    return ",".join(_attribute(attribute, value) for attribute, value in reversed(name.attributes))


_TEMPLATES: Final = Templates("haproxy", quote)


def _bound(listen: Endpoint) -> str:
    """Give where HAProxy listens; a port alone is one of every IPv4 address."""
    return f":{listen.port}" if listen.host is None else str(listen)


def _caller(deployment: Deployment, entry: Entry) -> str:
    """Give a caller as HAProxy shows its subject and its issuer, in one text."""
    issuer = deployment.issuer_subject(entry)
    return f"{distinguished_name(entry.template.subject)} < {distinguished_name(issuer)}"


def _attribute(attribute: str, value: str) -> str:
    if attribute not in _SHORT_NAMES:
        raise UnquotableError(f"HAProxy shows the attribute {attribute} in a way of its own")
    return f"{_SHORT_NAMES[NameAttribute(attribute)]}={_escaped(value)}"


def _escaped(value: str) -> str:
    """Escape as OpenSSL does with its flags for RFC 2253."""
    last = len(value) - 1
    return "".join(_escaped_at(place, character, last) for place, character in enumerate(value))


def _escaped_at(place: int, character: str, last: int) -> str:
    # OpenSSL takes a text of one character for its end, not its beginning.
    is_edge = (character == " " and place in {0, last}) or (character == "#" and place == 0 != last)
    if character in ',+"\\<>;' or is_edge:
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    return "".join(f"\\{byte:02X}" for byte in character.encode())


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
