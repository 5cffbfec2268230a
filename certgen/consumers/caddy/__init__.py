"""Caddy: a whole Caddyfile, before a program or as the client of an mTLS server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Final

from certgen.consumers.callers import allowed_entries, subject_twins
from certgen.consumers.options import Endpoint
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.proxying import Outbound, ProxyOptions, inbound, judge_proxy, outbound
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.diagnostics import Severity
from certgen.model import Address, Artifact, Entry, Section
from certgen.rfc5280.vocabulary import DistinguishedName, GeneralName, GeneralNameKind, NameAttribute

CONFIGURATION_FILE: Final = "Caddyfile"

_HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443
_BARE: Final = re.compile(r"[A-Za-z0-9_./:\[\]-]+", re.ASCII)
_BRACE: Final = re.compile(r"[{}]")
_SHORT_NAMES: Final = {
    NameAttribute.COUNTRY: "C",
    NameAttribute.STATE: "ST",
    NameAttribute.LOCALITY: "L",
    NameAttribute.STREET_ADDRESS: "STREET",
    NameAttribute.POSTAL_CODE: "POSTALCODE",
    NameAttribute.ORGANIZATION: "O",
    NameAttribute.ORGANIZATIONAL_UNIT: "OU",
    NameAttribute.COMMON_NAME: "CN",
    NameAttribute.SERIAL_NUMBER: "SERIALNUMBER",
}
"""How Go, in which Caddy is written, spells each attribute, and in which order it sorts them."""
_OLD_ORDER: Final = ("C", "O", "OU", "L", "ST", "STREET", "POSTALCODE", "CN", "SERIALNUMBER")
"""How earlier releases of Go sort them; which one has built a Caddy is not seen from outside."""
_SINGLE: Final = frozenset({NameAttribute.COMMON_NAME, NameAttribute.SERIAL_NUMBER})
"""Of these Go keeps the last one only."""
_DOMAIN_COMPONENT: Final = "0.9.2342.19200300.100.1.25"
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*", re.ASCII)
_LONGEST_COMPONENT: Final = 127
"""Bytes whose length DER writes in one."""


class CaddyOptions(ProxyOptions):
    """Caddy before a program, or as the client of an mTLS server."""


OPTIONS: Final = CaddyOptions


def quote(text: str) -> str:
    """Write a text as one token of a Caddyfile.

    Raises:
        UnquotableError: it has a brace, which Caddy takes for a placeholder's, or a backslash and a backtick: a
            backslash is safe between backticks only.
    """
    if "{" in text or "}" in text:
        raise UnquotableError("Caddy takes a brace for that of a placeholder")
    return _token(text)


def quote_value(text: str) -> str:
    """Write a text as one token that Caddy compares with, where a brace may be escaped.

    Raises:
        UnquotableError: it has `{$`, from which no backslash keeps the environment, or a backtick beside a brace or a
            backslash.
    """
    if "{$" in text:
        raise UnquotableError("Caddy takes `{$` for the start of a variable of the environment")
    return _token(_BRACE.sub(r"\\\g<0>", text))


def judge(deployment: Deployment, options: CaddyOptions) -> Iterator[Fault]:
    """Find what Caddy cannot do for an entry."""
    yield from judge_proxy(deployment, options)
    yield from _judge_quoting(deployment, options)
    yield from _judge_twins(deployment, options)
    yield from _judge_names(deployment, options)
    server, client = inbound(deployment, options), outbound(deployment, options)
    base = ("client",) if deployment.entry.address.section is Section.PEERS else ()
    if server is not None and server.listen.port == _HTTP_PORT:
        yield Fault("bad-endpoint", "Caddy speaks no TLS at port 80", "for example 8443", ("listen",))
    if client is not None:
        yield from _judge_outbound(client, base)


def allowed(deployment: Deployment, options: CaddyOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: CaddyOptions) -> Iterator[Artifact]:
    """Write the configuration."""
    server, client = inbound(deployment, options), outbound(deployment, options)
    values = {
        # In a Caddyfile the environment is put into comments too.
        "header": Verbatim(deployment.header.replace("{$", "{ $")),
        "configuration": deployment.path(CONFIGURATION_FILE),
        "certificate": deployment.certificate,
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
        "callers": _callers(deployment, options),
        "inbound": server,
        "inbound_host": _bound(server.listen) if server else "",
        "program": str(server.upstream) if server and server.upstream else "",
        "outbound": client,
        "outbound_host": _bound(client.listen) if client else "",
        "upstream": f"https://{client.upstream}" if client and client.upstream else "",
        "authority": _authority(client) if client else "",
        "server_name": client.server_name if client and client.server_name else "",
    }
    yield Artifact(CONFIGURATION_FILE, _TEMPLATES.render("Caddyfile.j2", **values))


def distinguished_names(name: DistinguishedName) -> tuple[str, ...]:
    """Write a distinguished name as Caddy shows it, RFC 2253 by Go: as today's releases do, then as earlier ones.

    Raises:
        UnquotableError: Go would show another name in the same way.
    """
    _demand_order(name)
    return tuple(_sorted(name, order) for order in (tuple(_SHORT_NAMES.values()), _OLD_ORDER))


_TEMPLATES: Final = Templates("caddy", quote)


def _token(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    if "\\" not in text:
        escaped = text.replace('"', '\\"')
        return f'"{escaped}"'
    if "`" in text:
        raise UnquotableError("Caddy has no way to write a backslash and a backtick in one text")
    return f"`{text}`"


def _bound(listen: Endpoint) -> str:
    """Give the host that Caddy binds to; nothing for every address."""
    return f"[{listen.host}]" if listen.host and ":" in listen.host else listen.host or ""


def _authority(side: Outbound) -> str:
    """Give the host that a request names to the upstream."""
    host = side.server_name or (side.upstream and side.upstream.host) or ""
    return f"[{host}]" if ":" in host else host


def _callers(deployment: Deployment, options: CaddyOptions) -> tuple[Verbatim, ...]:
    """Give those who are let in, as Caddy shows them; one can be known by two texts, and no two by one."""
    entries = allowed_entries(deployment, options.allow)
    texts = dict.fromkeys(text for entry in entries for text in _texts(deployment, entry))
    return tuple(Verbatim(quote_value(text)) for text in texts)


def _texts(deployment: Deployment, entry: Entry) -> Iterator[str]:
    """Give a caller as Caddy shows its subject and its issuer, in one text."""
    issuers = distinguished_names(deployment.issuer_subject(entry))
    for subject, issuer in zip(distinguished_names(entry.template.subject), issuers, strict=True):
        yield f"{subject} < {issuer}"


def _sorted(name: DistinguishedName, order: tuple[str, ...]) -> str:
    written = [_component(value) for kind, value in name.attributes if kind == NameAttribute.DOMAIN_COMPONENT]
    spelled = [(_SHORT_NAMES.get(NameAttribute(kind)), value) for kind, value in name.attributes]
    for short_name in order:
        values = [f"{short_name}={_escaped(value)}" for found, value in spelled if found == short_name]
        written += ["+".join(values)] if values else []
    return ",".join(reversed(written))


def _demand_order(name: DistinguishedName) -> None:
    """Refuse a name of which Go forgets something: an order of its own, or what it keeps one of."""
    kinds = list(NameAttribute)
    for attribute, _ in name.attributes:
        if attribute not in kinds:
            raise UnquotableError(f"Caddy shows the attribute {attribute} in a way of its own")
    places = [kinds.index(NameAttribute(attribute)) for attribute, _ in name.attributes]
    if places != sorted(places):
        raise UnquotableError(f"Caddy shows the name `{name}` in another order")
    for kind in _SINGLE:
        if sum(attribute == kind for attribute, _ in name.attributes) > 1:
            raise UnquotableError(f"Caddy shows one {kind} only")


def _component(value: str) -> str:
    """Write a domain component, for which Go has no name: DER in hexadecimal."""
    content = value.encode()
    if len(content) > _LONGEST_COMPONENT:
        raise UnquotableError(f"Caddy knows nobody by a domain component of more than {_LONGEST_COMPONENT} bytes")
    tag = 0x13 if _PRINTABLE.fullmatch(value) else 0x0C
    return f"{_DOMAIN_COMPONENT}=#{bytes((tag, len(content))).hex()}{content.hex()}"


def _escaped(value: str) -> str:
    """Escape as Go does."""
    last = len(value) - 1
    written = []
    for place, character in enumerate(value):
        is_edge = (character == " " and place in {0, last}) or (character == "#" and place == 0)
        written.append(f"\\{character}" if character in ',+"\\<>;' or is_edge else character)
    return "".join(written)


def _judge_quoting(deployment: Deployment, options: CaddyOptions) -> Iterator[Fault]:
    try:
        quote(deployment.path(CONFIGURATION_FILE))
    except UnquotableError as reason:
        yield Fault("not-quotable", str(reason), "choose another folder", field="deploy_dir")
    for entry in allowed_entries(deployment, options.allow):
        try:
            for text in _texts(deployment, entry):
                quote_value(text)
        except UnquotableError as reason:
            message = f"Caddy cannot be told of {entry.address}: {reason}"
            yield Fault("not-quotable", message, "let another consumer do it", _place(options, entry))


def _judge_twins(deployment: Deployment, options: CaddyOptions) -> Iterator[Fault]:
    """Refuse to let in by subject and issuer whom they do not tell apart from another."""
    for entry in allowed_entries(deployment, options.allow):
        for twin in subject_twins(deployment, entry, options.allow or ()):
            message = f"Caddy cannot tell {entry.address} from {twin.address}: subject and issuer are the same"
            yield Fault("same-identity", message, "give one of them another `common_name`", _place(options, entry))


def _judge_names(deployment: Deployment, options: CaddyOptions) -> Iterator[Fault]:
    """Warn of certificates that Go does not even read."""
    for entry in dict.fromkeys((deployment.entry, *allowed_entries(deployment, options.allow))):
        mapped = [name for name in entry.template.subject_alt_names if _is_mapped(name)]
        if mapped:
            message = (
                f"Caddy refuses the certificate of {entry.address}, for {mapped[0].value} is an IPv4 address in IPv6"
            )
            place = () if entry is deployment.entry else _place(options, entry)
            help_ = "name the IPv4 address itself"
            yield Fault("unsupported-by-programs", message, help_, place, severity=Severity.WARNING)


def _is_mapped(name: GeneralName) -> bool:
    if name.kind != GeneralNameKind.IP or ":" not in name.value:
        return False
    return IPv6Address(name.value).ipv4_mapped is not None


def _judge_outbound(side: Outbound, base: tuple[str, ...]) -> Iterator[Fault]:
    if side.listen.port == _HTTPS_PORT:
        yield Fault("bad-endpoint", "Caddy speaks no plain HTTP at port 443", "for example 8080", (*base, "listen"))
    if side.upstream is None:
        message = "Caddy needs the server that it connects to"
        yield Fault("missing-option", message, "add `upstream: HOST:PORT`", base)


def _place(options: CaddyOptions, entry: Entry) -> tuple[str, int]:
    return ("allow", (options.allow or ()).index(entry.address))
