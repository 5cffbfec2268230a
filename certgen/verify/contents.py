"""One certificate against its entry in the spec: every part that language version 1 can express, read off afresh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TypeVar

from cryptography import x509

from certgen.lifetime import shift
from certgen.model import CertificateTemplate, Entry
from certgen.rfc5280 import objects
from certgen.verify.paths import Fault

X = TypeVar("X", bound=x509.ExtensionType)


def faults_of_contents(entry: Entry, own: x509.Certificate, issuer: x509.Certificate | None) -> Iterator[Fault]:
    """Give what a certificate says otherwise than its entry asks.

    Args:
        entry: what the spec asks.
        own: the certificate.
        issuer: its issuer's certificate, which bounds how long it can last; None where it is not known.
    """
    template = entry.template
    subject = objects.from_name(own.subject)
    if subject != template.subject:
        yield Fault("wrong-subject", f"is for `{subject}`, the spec says `{template.subject}`")
    yield from _faults_of_names(template, own)
    yield from _faults_of_usages(template, own)
    yield from _faults_of_places(template, own)
    yield from _faults_of_validity(template, own, issuer)
    algorithm = objects.algorithm_of(own.public_key())
    wanted = entry.public_key.algorithm if entry.public_key else entry.key.algorithm
    if algorithm != wanted:
        yield Fault("wrong-key-algorithm", f"has a key of {algorithm}, the spec says {wanted}")
    if entry.public_key and objects.public_key_der(own.public_key()) != entry.public_key.public_key:
        yield Fault("key-mismatch", f"is for another key than `{entry.public_key.file}`")


def _faults_of_names(template: CertificateTemplate, own: x509.Certificate) -> Iterator[Fault]:
    extension = _extension(own, x509.SubjectAlternativeName) or ()
    names = {objects.from_general_name(name) for name in extension}
    for name in sorted(set(template.subject_alt_names) - names, key=str):
        yield Fault("wrong-names", f"lacks the name {name}")
    for name in sorted(names - set(template.subject_alt_names), key=str):
        yield Fault("wrong-names", f"has the name {name}, which the spec does not")


def _faults_of_usages(template: CertificateTemplate, own: x509.Certificate) -> Iterator[Fault]:
    purposes = {oid.dotted_string for oid in _extension(own, x509.ExtendedKeyUsage) or ()}
    if purposes != {objects.PURPOSE_OIDS[purpose].dotted_string for purpose in template.extended_key_usage}:
        wanted = ", ".join(sorted(template.extended_key_usage)) or "none"
        yield Fault("wrong-usage", f"has other extended key usages than {wanted}")
    usage = _extension(own, x509.KeyUsage)
    if usage is not None and objects.from_key_usage(usage) != template.key_usage:
        yield Fault("wrong-usage", f"has other key usages than {', '.join(sorted(template.key_usage))}")


def _faults_of_places(template: CertificateTemplate, own: x509.Certificate) -> Iterator[Fault]:
    """Compare what a CA may sign, and where its and its issuer's information is found."""
    basic = _extension(own, x509.BasicConstraints)
    length = basic.path_length if basic else None
    is_enough = template.path_length_derived and (length is None or length >= (template.path_length or 0))
    if template.role.is_ca and length != template.path_length and not is_enough:
        yield Fault("wrong-constraints", f"has path length {length}, the spec says {template.path_length}")
    found = _extension(own, x509.NameConstraints)
    if (objects.from_name_constraints(found) if found else None) != template.name_constraints:
        yield Fault("wrong-constraints", "has other name constraints than the spec")
    points = _extension(own, x509.CRLDistributionPoints) or ()
    urls = [str(name.value) for point in points for name in point.full_name or ()]
    access = _extension(own, x509.AuthorityInformationAccess) or ()
    urls += [str(item.access_location.value) for item in access]
    if sorted(urls) != sorted((*template.crl_distribution_points, *template.ocsp, *template.ca_issuers)):
        yield Fault("wrong-urls", "has other URLs than the spec")


def _faults_of_validity(
    template: CertificateTemplate, own: x509.Certificate, issuer: x509.Certificate | None
) -> Iterator[Fault]:
    """Compare the dates; one that ends with its issuer, or by what the spec says, is as long as it can be."""
    validity = template.validity
    ends, begins = own.not_valid_after_utc, own.not_valid_before_utc
    wanted = validity.fixed_end or shift(begins, (validity.seconds or 0) - 1)
    if issuer is not None:
        wanted = min(wanted, issuer.not_valid_after_utc)
    is_early = validity.not_before is not None and begins != validity.not_before
    if is_early or abs(ends - wanted) > timedelta(seconds=1):
        dates = f"{begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
        yield Fault("wrong-validity", f"lasts from {dates}, which the spec does not say")


def _extension(certificate: x509.Certificate, kind: type[X]) -> X | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
