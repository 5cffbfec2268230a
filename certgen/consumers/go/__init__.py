"""Go: a package that makes `tls.Config` values of an entry's files, and a server or a client that uses it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from certgen.consumers.callers import (
    Allow,
    allowed_entries,
    distinguishing_names,
    judge_allow,
    subject_twins,
)
from certgen.consumers.options import Addresses, Field, Options, Switch
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.diagnostics import Severity
from certgen.model import Address, Artifact, Entry
from certgen.rfc5280.vocabulary import DistinguishedName, GeneralName, GeneralNameKind, NameAttribute
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE

PACKAGE_FILE: Final = "go/mtls.go"
MODULE_FILE: Final = "go/go.mod"
SERVER_FILE: Final = "go/server/main.go"
CLIENT_FILE: Final = "go/client/main.go"

MODULE: Final = "certgen.invalid/mtls"
"""The path of the example's module: nobody can own a name below `.invalid` (RFC 2606)."""

_OBJECT_IDENTIFIERS: Final = {
    NameAttribute.DOMAIN_COMPONENT: "0.9.2342.19200300.100.1.25",
    NameAttribute.COUNTRY: "2.5.4.6",
    NameAttribute.STATE: "2.5.4.8",
    NameAttribute.LOCALITY: "2.5.4.7",
    NameAttribute.STREET_ADDRESS: "2.5.4.9",
    NameAttribute.POSTAL_CODE: "2.5.4.17",
    NameAttribute.ORGANIZATION: "2.5.4.10",
    NameAttribute.ORGANIZATIONAL_UNIT: "2.5.4.11",
    NameAttribute.SERIAL_NUMBER: "2.5.4.5",
    NameAttribute.COMMON_NAME: "2.5.4.3",
}
_REWRITTEN: Final = re.compile(r"(?<=://)[^/?#]*[^/?#A-Za-z0-9._:-][^/?#]*|#.*")
"""What net/url may write in another way than it has read it: a host that is not a plain one, and a fragment."""


class GoOptions(Options, json_schema_extra={"examples": [{"allow": ["clients/checkout"]}]}):
    """A Go package for the entry's role, of the standard library alone."""

    allow: Addresses | None = Field(
        default=None,
        description="The clients and peers that a server lets in, by address. Default: all whom its trust accepts.",
        examples=[["clients/checkout"]],
    )
    example: Switch = Field(
        default=False,
        description="Whether a module is written around the package: an HTTPS server, an HTTPS client, or both. "
        "Default: false.",
        examples=[True],
    )


OPTIONS: Final = GoOptions


@dataclass(frozen=True, slots=True)
class Caller:
    """One who is let in, as the rendered package tells it from others: by a name of its own, or by two subjects."""

    entry: str
    names: tuple[str, ...]
    """Names that nobody else bears, any of which is enough; where there are none, the subjects count."""
    subject: tuple[str, ...]
    issuer: tuple[str, ...]


def quote(text: str) -> str:
    """Write a text as an interpreted string literal of Go.

    Raises:
        UnquotableError: it has half a surrogate pair, which is no character.
    """
    return f'"{"".join(map(_escaped, text))}"'


def judge(deployment: Deployment, options: GoOptions) -> Iterator[Fault]:
    """Find what the package could not do for an entry."""
    yield from judge_allow(deployment, options.allow)
    yield from _judge_names(deployment, options.allow or ())
    if deployment.is_server:
        yield from _judge_twins(deployment, options.allow or ())


def allowed(deployment: Deployment, options: GoOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: GoOptions) -> Iterator[Artifact]:
    """Write the package, and the example of the entry's roles where it is asked for."""
    values = _values(deployment, options)
    yield Artifact(PACKAGE_FILE, _TEMPLATES.render("mtls.go.j2", **values))
    if options.example:
        yield Artifact(MODULE_FILE, _TEMPLATES.render("go.mod.j2", **values))
        if deployment.is_server:
            yield Artifact(SERVER_FILE, _TEMPLATES.render("server.go.j2", **values))
        if deployment.is_client:
            yield Artifact(CLIENT_FILE, _TEMPLATES.render("client.go.j2", **values))


_TEMPLATES: Final = Templates("go", quote)


def _values(deployment: Deployment, options: GoOptions) -> dict[str, object]:
    allow = options.allow or ()
    entries = allowed_entries(deployment, allow) if deployment.is_server else ()
    return {
        "header": Verbatim(deployment.header),
        "module": Verbatim(MODULE),
        "folder": deployment.entry.deploy_dir,
        "certificate_file": CERTIFICATE_FILE,
        "private_key_file": KEY_FILE,
        "trust_anchors_file": TRUST_FILE,
        "is_server": deployment.is_server,
        "is_client": deployment.is_client,
        "callers": [_caller(deployment, entry, allow) for entry in entries],
    }


def _caller(deployment: Deployment, entry: Entry, allow: Allow) -> Caller:
    return Caller(
        entry=Verbatim(entry.address),  # a comment; an address has neither blanks nor signs
        names=tuple(map(str, _own_names(deployment, entry, allow))),
        subject=_attributes(entry.template.subject),
        issuer=_attributes(deployment.issuer_subject(entry)),
    )


def _attributes(name: DistinguishedName) -> tuple[str, ...]:
    """Give a distinguished name as the package has it: `2.5.4.3=checkout` for each attribute, in order."""
    return tuple(f"{_object_identifier(attribute)}={value}" for attribute, value in name.attributes)


def _object_identifier(attribute: str) -> str:
    """Give the object identifier of an attribute; what certgen has no name for is called by it already.

    Go forgets which attributes stand beside one another.
    """
    attribute = attribute.removeprefix("+")
    return _OBJECT_IDENTIFIERS[NameAttribute(attribute)] if attribute in _OBJECT_IDENTIFIERS else attribute


def _own_names(deployment: Deployment, entry: Entry, allow: Allow) -> tuple[GeneralName, ...]:
    """Give the names by which Go, too, tells a caller from all whom `allow` keeps out."""
    return distinguishing_names(deployment, entry, allow, _as_go_has_it)


def _as_go_has_it(name: GeneralName) -> GeneralName:
    """Give a name without what Go may change about it: names that are the same then may be one to Go."""
    match name.kind:
        case GeneralNameKind.IP:
            address = ipaddress.ip_address(name.value)
            mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
            return GeneralName(name.kind, str(mapped or address))
        case GeneralNameKind.URI:
            return GeneralName(name.kind, _REWRITTEN.sub("", name.value))
        case _:
            return name


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        raise UnquotableError("Go has no text with half a surrogate pair in it")
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _judge_names(deployment: Deployment, allow: Allow) -> Iterator[Fault]:
    """Warn of certificates that Go does not even read."""
    for entry in dict.fromkeys((deployment.entry, *allowed_entries(deployment, allow))):
        mapped = [name for name in entry.template.subject_alt_names if _is_mapped(name)]
        if mapped:
            message = f"Go refuses the certificate of {entry.address}, for {mapped[0].value} is an IPv4 address in IPv6"
            place = () if entry is deployment.entry else ("allow", allow.index(entry.address))
            help_ = "name the IPv4 address itself"
            yield Fault("unsupported-by-programs", message, help_, place, severity=Severity.WARNING)


def _is_mapped(name: GeneralName) -> bool:
    if name.kind != GeneralNameKind.IP or ":" not in name.value:
        return False
    return ipaddress.IPv6Address(name.value).ipv4_mapped is not None


def _judge_twins(deployment: Deployment, allow: Allow) -> Iterator[Fault]:
    """Refuse to let in by subject and issuer whom they do not tell apart from another."""
    for entry in allowed_entries(deployment, allow):
        if _own_names(deployment, entry, allow):
            continue
        for twin in subject_twins(deployment, entry, allow):
            message = (
                f"Go cannot tell {entry.address} from {twin.address}: "
                "subject and issuer are the same, and no name is its own"
            )
            place = ("allow", allow.index(entry.address))
            yield Fault("same-identity", message, "give one of them another `common_name`", place)
