"""Python: a module that makes `ssl.SSLContext` objects of an entry's files, and a server or a client that uses it."""

from __future__ import annotations

import ipaddress
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
from certgen.model import Address, Artifact, Entry
from certgen.rfc5280.vocabulary import DistinguishedName, GeneralName, GeneralNameKind, NameAttribute
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE

MODULE_FILE: Final = "python/mtls.py"
SERVER_FILE: Final = "python/server.py"
CLIENT_FILE: Final = "python/client.py"

_LONG_NAMES: Final = {
    NameAttribute.DOMAIN_COMPONENT: "domainComponent",
    NameAttribute.COUNTRY: "countryName",
    NameAttribute.STATE: "stateOrProvinceName",
    NameAttribute.LOCALITY: "localityName",
    NameAttribute.STREET_ADDRESS: "streetAddress",
    NameAttribute.POSTAL_CODE: "postalCode",
    NameAttribute.ORGANIZATION: "organizationName",
    NameAttribute.ORGANIZATIONAL_UNIT: "organizationalUnitName",
    NameAttribute.SERIAL_NUMBER: "serialNumber",
    NameAttribute.COMMON_NAME: "commonName",
    "0.9.2342.19200300.100.1.1": "userId",
    "1.2.840.113549.1.9.1": "emailAddress",
    "2.5.4.4": "surname",
    "2.5.4.12": "title",
    "2.5.4.42": "givenName",
}
"""What OpenSSL, which Python asks, calls each attribute, those that a CA of the user's may have among them."""


class PythonOptions(Options, json_schema_extra={"examples": [{"allow": ["clients/checkout"]}]}):
    """A Python module for the entry's role, of the standard library alone."""

    allow: Addresses | None = Field(
        default=None,
        description="The clients and peers that a server lets in, by address. Default: all whom its trust accepts.",
        examples=[["clients/checkout"]],
    )
    example: Switch = Field(
        default=False,
        description="Whether programs are written beside the module: an HTTPS server, an HTTPS client, or both. "
        "Default: false.",
        examples=[True],
    )


OPTIONS: Final = PythonOptions


@dataclass(frozen=True, slots=True)
class Caller:
    """One who is let in, as the rendered module tells it from others: by a name of its own, or by two subjects."""

    entry: str
    names: tuple[str, ...]
    """Names that nobody else bears, any of which is enough; where there are none, the subjects count."""
    subject: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()


def quote(text: str) -> str:
    """Write a text as a string literal of Python, with the quotation marks that a formatter would choose."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    return f"{mark}{''.join(_escaped(character, mark) for character in text)}{mark}"


def judge(deployment: Deployment, options: PythonOptions) -> Iterator[Fault]:
    """Find what the module could not do for an entry."""
    yield from judge_allow(deployment, options.allow)
    if deployment.is_server:
        for entry in allowed_entries(deployment, options.allow):
            yield from _judge_caller(deployment, entry, options.allow or ())


def allowed(deployment: Deployment, options: PythonOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: PythonOptions) -> Iterator[Artifact]:
    """Write the module, and the programs of the entry's roles where they are asked for."""
    values = _values(deployment, options)
    yield Artifact(MODULE_FILE, _TEMPLATES.render("mtls.py.j2", **values))
    if options.example and deployment.is_server:
        yield Artifact(SERVER_FILE, _TEMPLATES.render("server.py.j2", **values))
    if options.example and deployment.is_client:
        yield Artifact(CLIENT_FILE, _TEMPLATES.render("client.py.j2", **values))


_TEMPLATES: Final = Templates("python", quote)


def _values(deployment: Deployment, options: PythonOptions) -> dict[str, object]:
    allow = options.allow or ()
    entries = allowed_entries(deployment, allow) if deployment.is_server else ()
    return {
        "header": Verbatim(deployment.header),
        "folder": deployment.entry.deploy_dir,
        "certificate_file": CERTIFICATE_FILE,
        "private_key_file": KEY_FILE,
        "trust_anchors_file": TRUST_FILE,
        "is_server": deployment.is_server,
        "is_client": deployment.is_client,
        "callers": [_caller(deployment, entry, allow) for entry in entries],
    }


def _caller(deployment: Deployment, entry: Entry, allow: Allow) -> Caller:
    """Give a caller as the module has it.

    Raises:
        UnquotableError: it has no name of its own, and a subject that Python shows in a way of its own.
    """
    written = Verbatim(entry.address)  # a comment; an address has neither blanks nor signs
    names = tuple(map(_spelled, distinguishing_names(deployment, entry, allow)))
    if names:
        return Caller(written, names)
    subject, issuer = entry.template.subject, deployment.issuer_subject(entry)
    return Caller(written, (), _attributes(subject), _attributes(issuer))


def _spelled(name: GeneralName) -> str:
    """Give a name as the module has it; Python versions abbreviate an IPv4 address within IPv6 in two ways."""
    if name.kind == GeneralNameKind.IP:
        return f"{name.kind}:{ipaddress.ip_address(name.value).exploded}"
    return str(name)


def _attributes(name: DistinguishedName) -> tuple[str, ...]:
    """Give a distinguished name as the module has it: `commonName=checkout` for each attribute, in order."""
    return tuple(f"{_long_name(attribute)}={value}" for attribute, value in name.attributes)


def _long_name(attribute: str) -> str:
    bare = attribute.removeprefix("+")
    if bare not in _LONG_NAMES:
        raise UnquotableError(f"Python shows the attribute {bare} in a way of its own")
    return f"{'+' if bare != attribute else ''}{_LONG_NAMES[bare]}"


def _escaped(character: str, mark: str) -> str:
    if character in {mark, "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    point = ord(character)
    return f"\\x{point:02x}" if point <= 0xFF else f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _judge_caller(deployment: Deployment, entry: Entry, allow: Allow) -> Iterator[Fault]:
    """Refuse to let in whom the module could not tell from another."""
    place = ("allow", allow.index(entry.address))
    try:
        has_names = bool(_caller(deployment, entry, allow).names)
    except UnquotableError as reason:
        message = f"Python cannot be told of {entry.address}: {reason}"
        yield Fault("not-quotable", message, "give it a name of its own, for example a SPIFFE id", place)
        return
    for twin in () if has_names else subject_twins(deployment, entry, allow):
        message = (
            f"Python cannot tell {entry.address} from {twin.address}: "
            "subject and issuer are the same, and no name is its own"
        )
        yield Fault("same-identity", message, "give one of them another `common_name`", place)
