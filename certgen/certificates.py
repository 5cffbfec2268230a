"""Floor 3: bytes to values: certificates, public keys and private keys as they are read back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from certgen.model import LONGEST_CERTIFICATE, Certificate
from certgen.rfc5280 import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
        CertificatePublicKeyTypes,
    )

    from certgen.rfc5280.vocabulary import KeyAlgorithm

EXTENSIONS = {
    ExtensionOID.BASIC_CONSTRAINTS.dotted_string: "basicConstraints",
    ExtensionOID.KEY_USAGE.dotted_string: "keyUsage",
    ExtensionOID.EXTENDED_KEY_USAGE.dotted_string: "extKeyUsage",
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string: "subjectAltName",
    ExtensionOID.SUBJECT_KEY_IDENTIFIER.dotted_string: "subjectKeyIdentifier",
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER.dotted_string: "authorityKeyIdentifier",
    ExtensionOID.NAME_CONSTRAINTS.dotted_string: "nameConstraints",
    ExtensionOID.CRL_DISTRIBUTION_POINTS.dotted_string: "cRLDistributionPoints",
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS.dotted_string: "authorityInfoAccess",
}
"""The extensions that language version 1 can express, by their names in RFC 5280."""

FAULTS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for a certificate that it cannot read."""

CACHED_CERTIFICATES: Final = 256
_NAMES = {x509.ObjectIdentifier(oid): name for oid, name in EXTENSIONS.items()}


class UnreadableError(ValueError):
    """Bytes that are not what they should be; the argument is one sentence that quotes none of them."""


def parse_certificates(content: bytes) -> tuple[Certificate, ...]:
    """Read the certificates of a PEM file, in its order.

    Raises:
        UnreadableError: there is none, or one cannot be read or is larger than any should be.
    """
    try:
        with objects.quiet():
            loaded = x509.load_pem_x509_certificates(content)
            found = tuple(_read_again(item.public_bytes(serialization.Encoding.DER)) for item in loaded)
    except FAULTS:
        raise UnreadableError("not a PEM certificate that can be read") from None
    if any(len(certificate.der) > LONGEST_CERTIFICATE for certificate in found):
        raise UnreadableError(f"a certificate of more than {LONGEST_CERTIFICATE} bytes")
    return found


def parse_certificate(der: bytes) -> Certificate:
    """Read one certificate in DER.

    Raises:
        UnreadableError: it cannot be read.
    """
    try:
        with objects.quiet():
            return _to_value(load_certificate(der))
    except FAULTS:
        raise UnreadableError("not a certificate that can be read") from None


def parse_private_key(content: bytes) -> CertificateIssuerPrivateKeyTypes:
    """Read an unencrypted private key in PEM.

    Raises:
        UnreadableError: it is encrypted, damaged, or of an algorithm that cannot sign certificates.
    """
    try:
        # The consistency check of RSA keys costs 50 ms each, and a key that does not fit its certificate shows anyway.
        key = serialization.load_pem_private_key(content, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise UnreadableError("the private key is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnreadableError("not a PEM private key that can be read") from None
    if not hasattr(key, "sign"):
        raise UnreadableError("a private key that cannot sign")
    return key  # type: ignore[return-value]  # whatever can sign is an issuer's type, but for DSA, refused by its algorithm


def is_private_key_der(content: bytes) -> bool:
    """Whether bytes are a private key in DER that needs no passphrase."""
    try:
        serialization.load_der_private_key(content, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def parse_public_key(content: bytes) -> bytes:
    """Read a public key, or that of a certificate signing request after checking the request's own signature.

    Returns:
        SubjectPublicKeyInfo in DER.

    Raises:
        UnreadableError: neither of the two, or the request is not signed by its own key (RFC 2986 4.2).
    """
    try:
        if b"-----BEGIN CERTIFICATE REQUEST" in content or b"-----BEGIN NEW CERTIFICATE REQUEST" in content:
            request = x509.load_pem_x509_csr(content)
            if not request.is_signature_valid:
                raise UnreadableError("the signing request is not signed by its own key")
            return objects.public_key_der(request.public_key())
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as reason:
        if isinstance(reason, UnreadableError):
            raise
        raise UnreadableError("not a PEM public key or signing request") from None
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_key_algorithm(public_key: bytes) -> KeyAlgorithm | str:
    """Name the algorithm of a SubjectPublicKeyInfo in DER."""
    return objects.algorithm_of(load_public_key(public_key))


@lru_cache(maxsize=CACHED_CERTIFICATES)
def load_public_key(public_key: bytes) -> CertificatePublicKeyTypes:
    """Load a SubjectPublicKeyInfo in DER as the library's object.

    Raises:
        UnreadableError: it is not one that a certificate can carry.
    """
    try:
        key = serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm):
        raise UnreadableError("not a public key that can be read") from None
    return key  # type: ignore[return-value]  # the type excludes Diffie-Hellman, which no caller asks for


def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Tell whether a certificate names another as its issuer and its signature verifies with that one's key."""
    try:
        load_certificate(certificate.der).verify_directly_issued_by(load_certificate(issuer.der))
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


@lru_cache(maxsize=CACHED_CERTIFICATES)
def load_certificate(der: bytes) -> x509.Certificate:
    """Load a certificate in DER as the library's object.

    Raises:
        ValueError: it is none.
    """
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=CACHED_CERTIFICATES)
def _read_again(der: bytes) -> Certificate:
    """Read a certificate; those that stand in many files of a tree, its CAs', once."""
    return _to_value(load_certificate(der))


def _to_value(certificate: x509.Certificate) -> Certificate:
    extensions: dict[type[x509.ExtensionType], Any] = {type(item.value): item.value for item in certificate.extensions}
    find = extensions.get
    basic, constraints = find(x509.BasicConstraints), find(x509.NameConstraints)
    usage, purposes = find(x509.KeyUsage), find(x509.ExtendedKeyUsage)
    ski, aki = find(x509.SubjectKeyIdentifier), find(x509.AuthorityKeyIdentifier)
    access = find(x509.AuthorityInformationAccess, ())
    public_key, subject, issuer = certificate.public_key(), certificate.subject, certificate.issuer
    der_key = objects.public_key_der(public_key)
    return Certificate(
        der=certificate.public_bytes(serialization.Encoding.DER),
        subject=objects.from_name(subject),
        subject_der=subject.public_bytes(),
        issuer=objects.from_name(issuer),
        issuer_der=issuer.public_bytes(),
        serial_number=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        public_key=der_key,
        key_id=objects.key_id(der_key),
        key_algorithm=objects.algorithm_of(public_key),
        signature_algorithm=_signature_algorithm(certificate),
        subject_alt_names=tuple(map(objects.from_general_name, find(x509.SubjectAlternativeName, ()))),
        key_usage=objects.from_key_usage(usage) if usage else frozenset(),
        extended_key_usage=objects.from_extended_key_usage(purposes) if purposes else frozenset(),
        is_ca=bool(basic and basic.ca),
        path_length=basic.path_length if basic else None,
        name_constraints=objects.from_name_constraints(constraints) if constraints else None,
        crl_distribution_points=_distribution_points(find(x509.CRLDistributionPoints, ())),
        ocsp=_access_urls(access, AuthorityInformationAccessOID.OCSP),
        ca_issuers=_access_urls(access, AuthorityInformationAccessOID.CA_ISSUERS),
        subject_key_identifier=ski.digest if ski else None,
        authority_key_identifier=aki.key_identifier if aki else None,
        critical=frozenset(_extension_name(item.oid) for item in certificate.extensions if item.critical),
        present=frozenset(_extension_name(item.oid) for item in certificate.extensions),
    )


def _extension_name(oid: x509.ObjectIdentifier) -> str:
    return _NAMES.get(oid) or oid.dotted_string


def _distribution_points(points: Iterable[x509.DistributionPoint]) -> tuple[str, ...]:
    return tuple(str(name.value) for point in points for name in point.full_name or ())


def _access_urls(access: Iterable[x509.AccessDescription], method: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(item.access_location.value) for item in access if item.access_method == method)


def _signature_algorithm(certificate: x509.Certificate) -> str:
    name: str = getattr(certificate.signature_algorithm_oid, "_name", "")
    return name if name and name != "Unknown OID" else certificate.signature_algorithm_oid.dotted_string
