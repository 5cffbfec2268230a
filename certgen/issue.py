"""Floor 5: a certificate template becomes a certificate: the profile of RFC 5280, signed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

from certgen.certificates import load_certificate, load_public_key
from certgen.model import Certificate, CertificateTemplate, Issuance
from certgen.rfc5280 import objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

SERIAL_BITS: Final = 159
"""The most that a positive serial number of 20 octets can hold (RFC 5280 4.1.2.2)."""


def new_serial_number() -> int:
    """Draw a random positive serial number of up to 159 bits (RFC 5280 4.1.2.2)."""
    return secrets.randbits(SERIAL_BITS) or 1


def issue(
    issuance: Issuance,
    public_key: bytes,
    issuer: Certificate | None,
    signing_key: CertificateIssuerPrivateKeyTypes,
    serial_number: int,
) -> bytes:
    """Sign a certificate.

    Args:
        issuance: what it says and from when to when.
        public_key: the subject's SubjectPublicKeyInfo in DER.
        issuer: the issuer's certificate; None for a root, which signs itself.
        signing_key: the issuer's private key, or whatever signs for it.
        serial_number: positive, unique for the issuer.

    Returns:
        The certificate in DER.

    Raises:
        ValueError: the key cannot sign this, or a name cannot be encoded.
    """
    with objects.quiet():
        subject = _subject(issuance)
        builder = x509.CertificateBuilder(
            subject_name=subject,
            issuer_name=load_certificate(issuer.der).subject if issuer else subject,
            public_key=load_public_key(public_key),
            serial_number=serial_number,
            not_valid_before=issuance.not_before,
            not_valid_after=issuance.not_after,
            # One by one, each would copy the builder and look through those before it.
            extensions=[
                x509.Extension(extension.oid, critical, extension)
                for extension, critical in _extensions(issuance, public_key, issuer)
            ],
        )
        return builder.sign(signing_key, objects.signature_hash(signing_key)).public_bytes(Encoding.DER)


def _extensions(
    issuance: Issuance, public_key: bytes, issuer: Certificate | None
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Give the extensions of the profile, each with its criticality (RFC 5280 4.2)."""
    template = issuance.template
    yield (
        x509.BasicConstraints(template.role.is_ca, template.path_length if template.role.is_ca else None),
        True,
    )
    yield objects.to_key_usage(template.key_usage), True
    if template.extended_key_usage:
        yield objects.to_extended_key_usage(template.extended_key_usage), False
    yield _subject_key_identifier(_known_identifier(issuance, public_key), public_key), False
    if issuer is not None:
        yield _authority_key_identifier(issuer), False
    if template.subject_alt_names:
        names = [objects.to_general_name(name) for name in template.subject_alt_names]
        yield x509.SubjectAlternativeName(names), not template.subject.attributes
    if template.name_constraints is not None:
        yield objects.to_name_constraints(template.name_constraints), True
    if template.crl_distribution_points:
        yield _distribution_points(template.crl_distribution_points), False
    if template.ocsp or template.ca_issuers:
        yield _authority_information(template), False


def _subject(issuance: Issuance) -> x509.Name:
    before = issuance.predecessor
    if before is not None and before.subject == issuance.template.subject:
        return load_certificate(before.der).subject
    return objects.to_name(issuance.template.subject)


def _known_identifier(issuance: Issuance, public_key: bytes) -> bytes | None:
    before = issuance.predecessor
    return before.subject_key_identifier if before is not None and before.public_key == public_key else None


def _subject_key_identifier(known: bytes | None, public_key: bytes) -> x509.SubjectKeyIdentifier:
    if known is not None:
        return x509.SubjectKeyIdentifier(known)
    return x509.SubjectKeyIdentifier.from_public_key(load_public_key(public_key))


def _authority_key_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    """Point to the issuer's key by its identifier alone: name and serial would break when the issuer is renewed."""
    known = _subject_key_identifier(issuer.subject_key_identifier, issuer.public_key)
    return x509.AuthorityKeyIdentifier(known.digest, None, None)


def _distribution_points(urls: tuple[str, ...]) -> x509.CRLDistributionPoints:
    names = [[x509.UniformResourceIdentifier(url)] for url in urls]
    return x509.CRLDistributionPoints([x509.DistributionPoint(name, None, None, None) for name in names])


def _authority_information(template: CertificateTemplate) -> x509.AuthorityInformationAccess:
    access = [(AuthorityInformationAccessOID.OCSP, url) for url in template.ocsp]
    access += [(AuthorityInformationAccessOID.CA_ISSUERS, url) for url in template.ca_issuers]
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in access]
    )
