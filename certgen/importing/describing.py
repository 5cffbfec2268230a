"""A certificate as the fields of a spec: all that language version 1 can say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from certgen.model import Certificate, Section
from certgen.rfc5280.vocabulary import (
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameAttribute,
)
from certgen.spec import fields

_DAY: Final = 86400
_LONGEST: Final = 36_500 * _DAY
"""Seconds of the longest validity that a spec can ask for."""
_USAGES: Final = {True: {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}, False: {KeyUsage.DIGITAL_SIGNATURE}}
"""What a spec means where it says nothing, of a CA and of an end entity."""
_PURPOSES: Final = {
    Section.CAS: frozenset[str](),
    Section.SERVERS: frozenset({ExtendedKeyUsage.SERVER_AUTH.value}),
    Section.CLIENTS: frozenset({ExtendedKeyUsage.CLIENT_AUTH.value}),
    Section.PEERS: frozenset({ExtendedKeyUsage.SERVER_AUTH.value, ExtendedKeyUsage.CLIENT_AUTH.value}),
}


def section_of(certificate: Certificate) -> Section:
    """Tell what a certificate is for; one that does not say serves where it has the name of a host."""
    if certificate.is_ca:
        return Section.CAS
    purposes = {str(purpose) for purpose in certificate.extended_key_usage}
    hosts = any(name.kind in {GeneralNameKind.DNS, GeneralNameKind.IP} for name in certificate.subject_alt_names)
    serves = ExtendedKeyUsage.SERVER_AUTH in purposes or (not purposes & _PURPOSES[Section.PEERS] and hosts)
    connects = ExtendedKeyUsage.CLIENT_AUTH in purposes
    if serves and connects:
        return Section.PEERS
    return Section.SERVERS if serves else Section.CLIENTS


def describe(certificate: Certificate, section: Section) -> dict[str, Any]:
    """Give the fields of a certificate's entry, without its issuer; what they cannot say is left out."""
    is_ca = section is Section.CAS
    found: dict[str, Any] = {
        "common_name": certificate.subject.common_name,
        "subject": _subject(certificate),
        "sans": None if is_ca else _names(certificate, section),
        "key": _key(certificate),
        "validity": _duration(certificate.lifetime),
        "key_usage": _unless(sorted(certificate.key_usage - _unusable(certificate)), _USAGES[is_ca]),
        "extended_key_usage": _purposes(certificate, section),
        "path_length": certificate.path_length if is_ca else None,
        "name_constraints": _constraints(certificate) if is_ca else None,
        "crl_distribution_points": list(certificate.crl_distribution_points),
        "ocsp": list(certificate.ocsp),
        "ca_issuers": list(certificate.ca_issuers),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def written_name(name: GeneralName) -> str | None:
    """Give a general name as a spec writes it: plain where that is read as the same, or else with its kind."""
    for text in (name.value, str(name)):
        try:
            if fields.general_name(text) == name:
                return text
        except ValueError:
            continue
    return None


def _names(certificate: Certificate, section: Section) -> list[str]:
    found = [text for name in certificate.subject_alt_names if (text := written_name(name)) is not None]
    if found or section is Section.CLIENTS:
        return found
    # What serves needs a name that its clients can check (RFC 9525): the one that they went by until now.
    common_name = certificate.subject.common_name or ""
    return [common_name] if _is_host(common_name) else ["localhost"]


def _is_host(text: str) -> bool:
    try:
        return fields.general_name(text).kind in {GeneralNameKind.DNS, GeneralNameKind.IP}
    except ValueError:
        return False


def _subject(certificate: Certificate) -> dict[str, str | list[str]]:
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in certificate.subject.attributes:
        if name in set(NameAttribute) - {NameAttribute.COMMON_NAME}:
            values[name].append(value)
    ordered = {str(name): values[name] for name in NameAttribute if name in values}
    return {name: found[0] if len(found) == 1 else found for name, found in ordered.items()}


def _key(certificate: Certificate) -> str | None:
    algorithm = certificate.key_algorithm
    is_asked = isinstance(algorithm, KeyAlgorithm) and algorithm is not KeyAlgorithm.ECDSA_P256
    return str(algorithm) if is_asked else None


def _unusable(certificate: Certificate) -> frozenset[KeyUsage]:
    """Give the usages that many programs claim for keys which cannot do it, and a spec does not."""
    algorithm = certificate.key_algorithm
    is_rsa = algorithm.is_rsa if isinstance(algorithm, KeyAlgorithm) else str(algorithm).startswith("rsa")
    return frozenset() if is_rsa else frozenset({KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DATA_ENCIPHERMENT})


def _duration(seconds: int) -> str:
    """Write a validity; many programs forget that the last second counts, and so have one more than they say."""
    seconds = min(seconds - (seconds % 60 == 1), _LONGEST)
    for unit, size in (("d", _DAY), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _purposes(certificate: Certificate, section: Section) -> list[str] | None:
    known = {purpose.value for purpose in ExtendedKeyUsage}
    found = sorted(str(purpose) for purpose in certificate.extended_key_usage)
    return _unless(found, _PURPOSES[section]) if set(found) <= known else None


def _unless(found: list[Any], implied: Iterable[str]) -> list[str] | None:
    """Give what has to be said; nothing where it is implied, or where a certificate has none of it."""
    return None if not found or set(found) == set(implied) else [str(item) for item in found]


def _constraints(certificate: Certificate) -> dict[str, list[str]] | None:
    constraints = certificate.name_constraints
    if constraints is None:
        return None
    subtrees = {"permitted": constraints.permitted, "excluded": constraints.excluded}
    return {name: [_base(item) for item in found] for name, found in subtrees.items() if found}


def _base(name: GeneralName) -> str:
    return name.value if name.kind in {GeneralNameKind.DNS, GeneralNameKind.IP} else str(name)
