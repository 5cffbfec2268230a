"""A certificate against its template: every part that language version 1 can express, both ways.

Not compared: serial number, exact dates, hash, string types, how the subject key identifier was made, and extensions
that version 1 does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from certgen.model import Certificate, CertificateTemplate
from certgen.plan.values import Reason, ReasonCode
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, KeyUsage, NameConstraints


def compare_contents(certificate: Certificate, template: CertificateTemplate) -> Iterator[Reason]:
    """Give a reason for each part of a certificate that is not as its template asks; dates and issuer aside."""
    if certificate.subject != template.subject:
        yield Reason(ReasonCode.SUBJECT_CHANGED, str(certificate.subject), str(template.subject))
    names, asked = certificate.subject_alt_names, template.subject_alt_names
    if names != asked and set(names) != set(asked):
        was = sorted(map(str, certificate.subject_alt_names))
        wanted = sorted(map(str, template.subject_alt_names))
        yield Reason(ReasonCode.SANS_CHANGED, ", ".join(was) or "none", ", ".join(wanted) or "none")
    for what, was_text, wanted_text in _extensions(certificate, template):
        yield Reason(ReasonCode.EXTENSIONS_CHANGED, was_text, wanted_text, what)


def _extensions(certificate: Certificate, template: CertificateTemplate) -> Iterator[tuple[str, str, str]]:
    for what, was, wanted, words in _pairs(certificate, template):
        if was != wanted and (before := words(was)) != (after := words(wanted)):
            yield what, before, after
    for what in _absent(certificate, template):
        yield what, "absent", "present"


def _pairs(
    certificate: Certificate, template: CertificateTemplate
) -> Iterator[tuple[str, object, object, Callable[[Any], str]]]:
    """Give each extension as it is and as it should be, and what puts it in words."""
    is_ca, path_length = template.role.is_ca, _path_length_wanted(certificate, template)
    yield "basicConstraints", (certificate.is_ca, certificate.path_length), (is_ca, path_length), _basic
    yield "keyUsage", certificate.key_usage, template.key_usage, _usages
    yield "extKeyUsage", certificate.extended_key_usage, template.extended_key_usage, _purposes
    yield "nameConstraints", certificate.name_constraints, template.name_constraints, _constraints
    yield "cRLDistributionPoints", certificate.crl_distribution_points, template.crl_distribution_points, _joined
    yield "authorityInfoAccess OCSP", certificate.ocsp, template.ocsp, _joined
    yield "authorityInfoAccess caIssuers", certificate.ca_issuers, template.ca_issuers, _joined
    yield "critical extensions", _critical(certificate), _critical_wanted(template), _names


def _path_length_wanted(certificate: Certificate, template: CertificateTemplate) -> int | None:
    """Give the path length asked for; where the spec's shape alone asks, a larger one in the field is as good."""
    wanted, found = template.path_length, certificate.path_length
    if template.path_length_derived and certificate.is_ca and (found is None or found >= (wanted or 0)):
        return found
    return wanted


def _absent(certificate: Certificate, template: CertificateTemplate) -> Iterator[str]:
    """Give the key identifiers that strict verifiers demand (RFC 5280 4.2.1.1, 4.2.1.2) and that are not there."""
    if certificate.subject_key_identifier is None:
        yield "subjectKeyIdentifier"
    if certificate.authority_key_identifier is None and template.role != "root_ca":
        yield "authorityKeyIdentifier"


def _critical(certificate: Certificate) -> frozenset[str]:
    """Name the critical extensions among those that version 1 can express."""
    return frozenset(name for name in certificate.critical if not name[0].isdigit())


def _critical_wanted(template: CertificateTemplate) -> frozenset[str]:
    wanted = {"basicConstraints", "keyUsage"}
    if template.name_constraints is not None:
        wanted.add("nameConstraints")
    if template.subject_alt_names and not template.subject.attributes:
        wanted.add("subjectAltName")
    return frozenset(wanted)


def _names(names: frozenset[str]) -> str:
    return _joined(sorted(names))


def _basic(constraints: tuple[bool, int | None]) -> str:
    is_ca, path_length = constraints
    if not is_ca:
        return "CA:FALSE"
    return "CA:TRUE" if path_length is None else f"CA:TRUE, pathlen:{path_length}"


def _usages(usages: frozenset[KeyUsage]) -> str:
    return _joined(usage for usage in KeyUsage if usage in usages)


def _purposes(purposes: frozenset[str] | frozenset[ExtendedKeyUsage]) -> str:
    return _joined(sorted(purposes))


def _constraints(constraints: NameConstraints | None) -> str:
    if constraints is None:
        return "none"
    permitted, excluded = sorted(set(constraints.permitted)), sorted(set(constraints.excluded))
    return f"permitted {_joined(permitted)}; excluded {_joined(excluded)}"


def _joined(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"
