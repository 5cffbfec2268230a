"""The profile of RFC 5280 and of strict verifiers, read off one certificate; a function for each concern."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from certgen.rfc5280.objects import algorithm_of

Lint = Callable[[x509.Certificate], Iterator[str]]
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})


def lint(certificate: x509.Certificate) -> tuple[str, ...]:
    """Give every departure from the profile, a sentence each."""
    return tuple(finding for rule in _RULES for finding in rule(certificate))


def _version_and_serial(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 5280 4.1.2.1 and 4.1.2.2."""
    if certificate.version is not x509.Version.v3:
        yield "it is not of version 3"
    if not 0 < certificate.serial_number < 1 << 159:
        yield "its serial number is not a positive number of at most 20 octets"


def _signature(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 8017, RFC 5758: hashes that still hold."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        yield "it is signed by an algorithm that is not known"
        return
    if algorithm is not None and algorithm.name in _WEAK_HASHES:
        yield f"it is signed with {algorithm.name}"


def _key_strength(certificate: x509.Certificate) -> Iterator[str]:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        yield f"its RSA key has {key.key_size} bits"


def _basic_constraints(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 5280 4.2.1.9; strict verifiers want it critical on a CA."""
    found = _find(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    if found is None:
        yield "it has no basicConstraints"
    elif not found.critical:
        yield "its basicConstraints is not critical"


def _key_usage(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 5280 4.2.1.3, RFC 8813 3."""
    found = _find(certificate, ExtensionOID.KEY_USAGE)
    if found is None:
        yield "it has no keyUsage"
        return
    usage = found.value
    if not found.critical:
        yield "its keyUsage is not critical"
    if not isinstance(usage, x509.KeyUsage):
        return
    if _is_ca(certificate) != usage.key_cert_sign:
        yield "its keyCertSign and its basicConstraints disagree on whether it is a CA"
    if usage.key_encipherment and not algorithm_of(certificate.public_key()).startswith("rsa"):
        yield "its keyUsage has keyEncipherment, which its key cannot do"


def _purposes(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 5280 4.2.1.12."""
    found = _find(certificate, ExtensionOID.EXTENDED_KEY_USAGE)
    if found is None:
        if not _is_ca(certificate):
            yield "it has no extKeyUsage"
        return
    if found.critical:
        yield "its extKeyUsage is critical, which some programs refuse"
    if isinstance(found.value, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in found.value:
        yield "its extKeyUsage has anyExtendedKeyUsage, which TLS programs refuse"


def _key_identifiers(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 5280 4.2.1.1, 4.2.1.2; Python 3.13 refuses a path without them."""
    if _find(certificate, ExtensionOID.SUBJECT_KEY_IDENTIFIER) is None:
        yield "it has no subjectKeyIdentifier"
    authority = _find(certificate, ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    if authority is None:
        if certificate.issuer != certificate.subject:
            yield "it has no authorityKeyIdentifier"
    elif isinstance(authority.value, x509.AuthorityKeyIdentifier) and authority.value.key_identifier is None:
        yield "its authorityKeyIdentifier has no key identifier"


def _constraints(certificate: x509.Certificate) -> Iterator[str]:
    """RFC 5280 4.2.1.10."""
    found = _find(certificate, ExtensionOID.NAME_CONSTRAINTS)
    if found is not None and not found.critical:
        yield "its nameConstraints is not critical"
    if found is not None and not _is_ca(certificate):
        yield "it has nameConstraints and is no CA"


_RULES: Final[tuple[Lint, ...]] = (
    _version_and_serial,
    _signature,
    _key_strength,
    _basic_constraints,
    _key_usage,
    _purposes,
    _key_identifiers,
    _constraints,
)


def _find(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> x509.Extension[x509.ExtensionType] | None:
    try:
        return certificate.extensions.get_extension_for_oid(oid)
    except x509.ExtensionNotFound:
        return None


def _is_ca(certificate: x509.Certificate) -> bool:
    found = _find(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    return found is not None and isinstance(found.value, x509.BasicConstraints) and found.value.ca
