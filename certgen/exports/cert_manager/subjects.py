"""A subject in cert-manager's words: as attributes where their order is Go's, else as one literal name.

cert-manager hands attributes to Go, which writes them in an order of its own, and several values of one attribute as
one relative distinguished name. Only a literal subject (RFC 4514) keeps another order, and knows a domain component.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute

LONGEST_COMMON_NAME: Final = 64
"""Bytes in UTF-8; RFC 5280 counts characters."""

_FIELDS: Final = {
    NameAttribute.COUNTRY: "countries",
    NameAttribute.STATE: "provinces",
    NameAttribute.LOCALITY: "localities",
    NameAttribute.STREET_ADDRESS: "streetAddresses",
    NameAttribute.POSTAL_CODE: "postalCodes",
    NameAttribute.ORGANIZATION: "organizations",
    NameAttribute.ORGANIZATIONAL_UNIT: "organizationalUnits",
    NameAttribute.COMMON_NAME: "",
    NameAttribute.SERIAL_NUMBER: "serialNumber",
}
"""The fields of `subject`, in the order in which Go writes them; `commonName` stands beside it."""
_RANKS: Final = {attribute: rank for rank, attribute in enumerate(_FIELDS)}

_TYPES: Final = {
    NameAttribute.DOMAIN_COMPONENT: "DC",
    NameAttribute.COUNTRY: "C",
    NameAttribute.STATE: "ST",
    NameAttribute.LOCALITY: "L",
    NameAttribute.STREET_ADDRESS: "STREET",
    NameAttribute.POSTAL_CODE: "2.5.4.17",
    NameAttribute.ORGANIZATION: "O",
    NameAttribute.ORGANIZATIONAL_UNIT: "OU",
    NameAttribute.SERIAL_NUMBER: "SERIALNUMBER",
    NameAttribute.COMMON_NAME: "CN",
}
"""The attribute types that cert-manager knows in a literal subject; it has no word for a postal code."""
_SPECIAL: Final = re.compile(r'[\\",+<>;=#]')


def is_literal(subject: DistinguishedName) -> bool:
    """Whether only a literal subject says this name."""
    ranks = [_RANKS.get(NameAttribute(name), -1) for name, _ in subject.attributes]
    return -1 in ranks or any(one >= other for one, other in pairwise(ranks))


def subject_fields(subject: DistinguishedName) -> dict[str, object]:
    """Give the fields of a Certificate that say its subject."""
    if is_literal(subject):
        parts = (f"{_TYPES[NameAttribute(name)]}={_escaped(value)}" for name, value in reversed(subject.attributes))
        return {"literalSubject": ",".join(parts)}
    fields: dict[str, object] = {}
    for name, value in subject.attributes:
        attribute = NameAttribute(name)
        if attribute is not NameAttribute.COMMON_NAME:
            fields[_FIELDS[attribute]] = value if attribute is NameAttribute.SERIAL_NUMBER else [value]
    return {"commonName": subject.common_name, **({"subject": fields} if fields else {})}


def _escaped(value: str) -> str:
    """Write a value as RFC 4514 2.4 asks; it neither begins nor ends with a blank."""
    return _SPECIAL.sub(r"\\\g<0>", value)
