"""A certificate against its template: every part that language version 1 can express, both ways.

Not compared: serial number, exact dates, hash, string types, how the subject key identifier was made, and extensions
that version 1 does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from certgen.model import Certificate, CertificateTemplate
from certgen.plan.values import Reason, ReasonCode
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, KeyUsage, NameConstraints


def compare_contents(certificate: Certificate, template: CertificateTemplate) -> Iterator[Reason]:
    """Give a reason for each part of a certificate that is not as its template asks; dates and issuer aside."""
    if certificate.subject != template.subject:
        yield Reason(ReasonCode.SUBJECT_CHANGED, str(certificate.subject), str(template.subject))
    if set(certificate.subject_alt_names) != set(template.subject_alt_names):
        was = sorted(map(str, certificate.subject_alt_names))
        wanted = sorted(map(str, template.subject_alt_names))
        yield Reason(ReasonCode.SANS_CHANGED, ", ".join(was) or "none", ", ".join(wanted) or "none")
    for what, was_text, wanted_text in _extensions(certificate, template):
        yield Reason(ReasonCode.EXTENSIONS_CHANGED, was_text, wanted_text, what)


def _extensions(certificate: Certificate, template: CertificateTemplate) -> Iterator[tuple[str, str, str]]:
    for what, was, wanted in _pairs(certificate, template):
        if was != wanted:
            yield what, was, wanted
    for what in _absent(certificate, template):
        yield what, "absent", "present"


def _pairs(certificate: Certificate, template: CertificateTemplate) -> Iterator[tuple[str, str, str]]:
    """Give each extension as it is and as it should be, in words."""
    path_length = _path_length_wanted(certificate, template)
    yield (
        "basicConstraints",
        _basic(certificate.is_ca, certificate.path_length),
        _basic(template.role.is_ca, path_length),
    )
    yield "keyUsage", _usages(certificate.key_usage), _usages(template.key_usage)
    yield "extKeyUsage", _purposes(certificate.extended_key_usage), _purposes(template.extended_key_usage)
    yield (
        "nameConstraints",
        _constraints(certificate.name_constraints),
        _constraints(template.name_constraints),
    )
    points = _joined(certificate.crl_distribution_points), _joined(template.crl_distribution_points)
    yield "cRLDistributionPoints", *points
    yield "authorityInfoAccess OCSP", _joined(certificate.ocsp), _joined(template.ocsp)
    yield "authorityInfoAccess caIssuers", _joined(certificate.ca_issuers), _joined(template.ca_issuers)
    yield "critical extensions", _critical(certificate), _joined(sorted(_critical_wanted(template)))


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


def _critical(certificate: Certificate) -> str:
    """Name the critical extensions among those that version 1 can express."""
    return _joined(sorted(name for name in certificate.critical if not name[0].isdigit()))


def _critical_wanted(template: CertificateTemplate) -> set[str]:
    wanted = {"basicConstraints", "keyUsage"}
    if template.name_constraints is not None:
        wanted.add("nameConstraints")
    if template.subject_alt_names and not template.subject.attributes:
        wanted.add("subjectAltName")
    return wanted


def _basic(is_ca: bool, path_length: int | None) -> str:  # noqa: FBT001 - the two halves of one extension
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
