"""Node.js: a module that makes servers and agents of an entry's files, and a server or a client that uses it."""

from __future__ import annotations

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
from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE

MODULE_FILE: Final = "node/mtls.mjs"
SERVER_FILE: Final = "node/server.mjs"
CLIENT_FILE: Final = "node/client.mjs"

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
    "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "emailAddress",
    "2.5.4.4": "SN",
    "2.5.4.12": "title",
    "2.5.4.42": "GN",
}
"""How OpenSSL, which Node.js asks, spells each attribute, those that a CA of the user's may have among them."""

_ESCAPES: Final = {"'": "\\'", "\\": "\\\\", "\n": "\\n"}


class NodeOptions(Options, json_schema_extra={"examples": [{"allow": ["clients/checkout"]}]}):
    """A module of Node.js for the entry's role, without dependencies."""

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


OPTIONS: Final = NodeOptions


@dataclass(frozen=True, slots=True)
class Caller:
    """One who is let in, as the rendered module tells it from others: by a name of its own, or by two subjects."""

    entry: str
    names: tuple[str, ...]
    """Names that nobody else bears, any of which is enough; where there are none, the subjects count."""
    subject: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()


def quote(text: str) -> str:
    """Write a text as a string literal of JavaScript."""
    return f"'{''.join(map(_escaped, text))}'"


def judge(deployment: Deployment, options: NodeOptions) -> Iterator[Fault]:
    """Find what the module could not do for an entry."""
    yield from judge_allow(deployment, options.allow)
    if deployment.is_server:
        for entry in allowed_entries(deployment, options.allow):
            yield from _judge_caller(deployment, entry, options.allow or ())


def allowed(deployment: Deployment, options: NodeOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: NodeOptions) -> Iterator[Artifact]:
    """Write the module, and the programs of the entry's roles where they are asked for."""
    values = _values(deployment, options)
    yield Artifact(MODULE_FILE, _TEMPLATES.render("mtls.mjs.j2", **values))
    if options.example and deployment.is_server:
        yield Artifact(SERVER_FILE, _TEMPLATES.render("server.mjs.j2", **values))
    if options.example and deployment.is_client:
        yield Artifact(CLIENT_FILE, _TEMPLATES.render("client.mjs.j2", **values))


def distinguished_name(name: DistinguishedName) -> tuple[str, ...]:
    """Write a distinguished name as Node.js shows it, a line for each part, and one for parts beside one another.

    Raises:
        UnquotableError: it has an attribute that Node.js shows in a way of its own.
    """
    lines: list[str] = []
    for attribute, value in name.attributes:
        written = _attribute(attribute.removeprefix("+"), value)
        if attribute.startswith("+"):
            lines[-1] = f"{lines[-1]} + {written}"
        else:
            lines.append(written)
    return tuple(lines)


_TEMPLATES: Final = Templates("node", quote)


def _values(deployment: Deployment, options: NodeOptions) -> dict[str, object]:
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
        UnquotableError: it has no name of its own, and a subject that Node.js shows in a way of its own.
    """
    written = Verbatim(entry.address)  # a comment; an address has neither blanks nor signs
    names = tuple(map(str, distinguishing_names(deployment, entry, allow)))
    if names:
        return Caller(written, names)
    subject, issuer = entry.template.subject, deployment.issuer_subject(entry)
    return Caller(written, (), distinguished_name(subject), distinguished_name(issuer))


def _attribute(attribute: str, value: str) -> str:
    if attribute not in _SHORT_NAMES:
        raise UnquotableError(f"Node.js shows the attribute {attribute} in a way of its own")
    return f"{_SHORT_NAMES[attribute]}={_as_openssl_escapes(value)}"


def _as_openssl_escapes(value: str) -> str:
    """Escape as OpenSSL does for RFC 2253, with letters of all scripts as they are."""
    last = len(value) - 1
    written = []
    for place, character in enumerate(value):
        # OpenSSL takes a text of one character for its end, not its beginning.
        is_edge = (character == " " and place in {0, last}) or (character == "#" and place == 0 != last)
        if character in ',+"\\<>;' or is_edge:
            written.append(f"\\{character}")
        elif character < " " or character == "\x7f":
            written.append(f"\\{ord(character):02X}")
        else:
            written.append(character)
    return "".join(written)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    point = ord(character)
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\u{{{point:x}}}"


def _judge_caller(deployment: Deployment, entry: Entry, allow: Allow) -> Iterator[Fault]:
    """Refuse to let in whom the module could not tell from another."""
    place = ("allow", allow.index(entry.address))
    try:
        has_names = bool(_caller(deployment, entry, allow).names)
    except UnquotableError as reason:
        message = f"Node.js cannot be told of {entry.address}: {reason}"
        yield Fault("not-quotable", message, "give it a name of its own, for example a SPIFFE id", place)
        return
    for twin in () if has_names else subject_twins(deployment, entry, allow):
        message = (
            f"Node.js cannot tell {entry.address} from {twin.address}: "
            "subject and issuer are the same, and no name is its own"
        )
        yield Fault("same-identity", message, "give one of them another `common_name`", place)
