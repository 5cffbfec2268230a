"""Floor 4: how programs spell a distinguished name that they ask OpenSSL for."""

from __future__ import annotations

from typing import Final

from certgen.consumers.templates import UnquotableError
from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute

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
"""What OpenSSL calls each attribute."""


def openssl_name(name: DistinguishedName) -> str:
    """Write a distinguished name as OpenSSL does by RFC 2253: the last part first.

    Raises:
        UnquotableError: it has an attribute that language version 1 cannot express.
    """
    return ",".join(f"{_short_name(attribute)}={_escaped(value)}" for attribute, value in reversed(name.attributes))


def _short_name(attribute: str) -> str:
    if attribute not in _SHORT_NAMES:
        raise UnquotableError(f"OpenSSL shows the attribute {attribute} in a way of its own")
    return _SHORT_NAMES[NameAttribute(attribute)]


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
