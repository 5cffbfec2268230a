"""The one table between the words of RFC 5280 and the objects of the cryptography library."""

from __future__ import annotations

import hashlib
import ipaddress
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameAttribute,
    NameConstraints,
    named_algorithm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
        CertificatePublicKeyTypes,
    )

ATTRIBUTE_OIDS = {
    NameAttribute.DOMAIN_COMPONENT: NameOID.DOMAIN_COMPONENT,
    NameAttribute.COUNTRY: NameOID.COUNTRY_NAME,
    NameAttribute.STATE: NameOID.STATE_OR_PROVINCE_NAME,
    NameAttribute.LOCALITY: NameOID.LOCALITY_NAME,
    NameAttribute.STREET_ADDRESS: NameOID.STREET_ADDRESS,
    NameAttribute.POSTAL_CODE: NameOID.POSTAL_CODE,
    NameAttribute.ORGANIZATION: NameOID.ORGANIZATION_NAME,
    NameAttribute.ORGANIZATIONAL_UNIT: NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameAttribute.SERIAL_NUMBER: NameOID.SERIAL_NUMBER,
    NameAttribute.COMMON_NAME: NameOID.COMMON_NAME,
}
_ATTRIBUTES = {oid: attribute for attribute, oid in ATTRIBUTE_OIDS.items()}

PURPOSE_OIDS = {
    ExtendedKeyUsage.SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsage.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsage.CODE_SIGNING: ExtendedKeyUsageOID.CODE_SIGNING,
    ExtendedKeyUsage.EMAIL_PROTECTION: ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsage.TIME_STAMPING: ExtendedKeyUsageOID.TIME_STAMPING,
    ExtendedKeyUsage.OCSP_SIGNING: ExtendedKeyUsageOID.OCSP_SIGNING,
}
_PURPOSES = {oid: purpose for purpose, oid in PURPOSE_OIDS.items()}

USAGE_BITS = {
    KeyUsage.DIGITAL_SIGNATURE: "digital_signature",
    KeyUsage.CONTENT_COMMITMENT: "content_commitment",
    KeyUsage.KEY_ENCIPHERMENT: "key_encipherment",
    KeyUsage.DATA_ENCIPHERMENT: "data_encipherment",
    KeyUsage.KEY_AGREEMENT: "key_agreement",
    KeyUsage.KEY_CERT_SIGN: "key_cert_sign",
    KeyUsage.CRL_SIGN: "crl_sign",
    KeyUsage.ENCIPHER_ONLY: "encipher_only",
    KeyUsage.DECIPHER_ONLY: "decipher_only",
}

_CURVES: dict[KeyAlgorithm, type[ec.EllipticCurve]] = {
    KeyAlgorithm.ECDSA_P256: ec.SECP256R1,
    KeyAlgorithm.ECDSA_P384: ec.SECP384R1,
    KeyAlgorithm.ECDSA_P521: ec.SECP521R1,
}
_CURVE_NAMES = {curve().name: algorithm for algorithm, curve in _CURVES.items()}
_ML_DSA = {
    KeyAlgorithm.ML_DSA_44: "MLDSA44",
    KeyAlgorithm.ML_DSA_65: "MLDSA65",
    KeyAlgorithm.ML_DSA_87: "MLDSA87",
}


_quiet: list[bool] = []
"""Holds something while somebody keeps the library quiet: doing it again costs as much as reading a certificate."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's remarks on odd names and certificates to itself: what matters becomes a reason or finding."""
    if _quiet:
        yield
        return
    _quiet.append(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _quiet.pop()


def generate_private_key(algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
    """Make a new private key.

    Raises:
        UnsupportedAlgorithm: the installed cryptography, or the OpenSSL in it, does not know the algorithm.
    """
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm.is_rsa:
        return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.value.removeprefix("rsa-")))
    if algorithm is KeyAlgorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return _generate_ml_dsa(algorithm)


def algorithm_of(key: CertificatePublicKeyTypes) -> KeyAlgorithm | str:
    """Name the algorithm of a public key; one that a spec cannot ask for is named in the same style."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVE_NAMES.get(key.curve.name) or f"ecdsa-{key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return named_algorithm(f"rsa-{key.key_size}")
    if isinstance(key, ed25519.Ed25519PublicKey):
        return KeyAlgorithm.ED25519
    class_name = type(key).__name__
    for algorithm, prefix in _ML_DSA.items():
        if class_name.startswith(prefix):
            return algorithm
    return class_name.removesuffix("PublicKey").lower()


def signature_hash(
    key: CertificateIssuerPrivateKeyTypes,
) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Choose the hash for a signature by this key: as strong as its curve; None where the algorithm has its own."""
    match algorithm_of(key.public_key()):
        case KeyAlgorithm.ECDSA_P384:
            return hashes.SHA384()
        case KeyAlgorithm.ECDSA_P521:
            return hashes.SHA512()
        case "ed448" | KeyAlgorithm.ED25519 | KeyAlgorithm.ML_DSA_44 | KeyAlgorithm.ML_DSA_65 | KeyAlgorithm.ML_DSA_87:
            return None
        case _:
            return hashes.SHA256()


def public_key_der(key: CertificatePublicKeyTypes) -> bytes:
    """Encode a public key as SubjectPublicKeyInfo in DER (RFC 5280 4.1.2.7)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(public_key: bytes) -> str:
    """Name a key by the SHA-256 of its SubjectPublicKeyInfo in DER, in lower-case hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def to_name(name: DistinguishedName) -> x509.Name:
    """Make the library's name, one attribute a relative name, UTF8String but where the RFC says otherwise.

    The library would count bytes where RFC 5280 counts characters; the language has counted already.
    """
    attributes = ((ATTRIBUTE_OIDS[NameAttribute(key)], value) for key, value in name.attributes)
    with quiet():
        return x509.Name(
            [x509.NameAttribute(oid, value, _validate=oid == NameOID.COUNTRY_NAME) for oid, value in attributes]
        )


def from_name(name: x509.Name) -> DistinguishedName:
    """Read the library's name; an attribute outside the language keeps its dotted identifier.

    One that stands beside another, in a relative distinguished name of several values, has a plus sign before it.
    """
    pairs = (
        (f"{'+' if number else ''}{_ATTRIBUTES.get(item.oid, item.oid.dotted_string)}", item.value)
        for rdn in name.rdns
        for number, item in enumerate(rdn)
    )
    return DistinguishedName(tuple((key, value if isinstance(value, str) else value.hex()) for key, value in pairs))


def to_general_name(name: GeneralName) -> x509.GeneralName:
    """Make the library's name from a subject alternative name."""
    if name.kind == GeneralNameKind.IP:
        return x509.IPAddress(ipaddress.ip_address(name.value))
    return _to_text_name(name)


def to_constraint_base(base: GeneralName) -> x509.GeneralName:
    """Make the library's name from the base of a name constraint."""
    if base.kind == GeneralNameKind.IP:
        return x509.IPAddress(ipaddress.ip_network(base.value))
    return _to_text_name(base)


def from_general_name(name: x509.GeneralName) -> GeneralName:
    """Read the library's name; a kind outside the language is kept as text."""
    match name:
        case x509.DNSName():
            return GeneralName(GeneralNameKind.DNS, name.value.lower())
        case x509.IPAddress():
            return GeneralName(GeneralNameKind.IP, str(name.value))
        case x509.UniformResourceIdentifier():
            return GeneralName(GeneralNameKind.URI, name.value)
        case x509.RFC822Name():
            return GeneralName(GeneralNameKind.EMAIL, name.value)
        case _:
            return GeneralName(type(name).__name__, str(name.value))


def to_key_usage(usages: Iterable[KeyUsage]) -> x509.KeyUsage:
    """Make the library's key usage extension."""
    wanted = set(usages)
    return x509.KeyUsage(**{bit: usage in wanted for usage, bit in USAGE_BITS.items()})


def from_key_usage(extension: x509.KeyUsage) -> frozenset[KeyUsage]:
    """Read the library's key usage extension; the last two bits mean nothing without keyAgreement."""
    agreement_only = () if extension.key_agreement else (KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY)
    return frozenset(
        usage for usage, bit in USAGE_BITS.items() if usage not in agreement_only and getattr(extension, bit)
    )


def to_extended_key_usage(purposes: Iterable[ExtendedKeyUsage]) -> x509.ExtendedKeyUsage:
    """Make the library's extended key usage extension, in the order of the vocabulary."""
    wanted = set(purposes)
    return x509.ExtendedKeyUsage([oid for purpose, oid in PURPOSE_OIDS.items() if purpose in wanted])


def from_extended_key_usage(extension: x509.ExtendedKeyUsage) -> frozenset[str]:
    """Read the library's extended key usage extension; an unknown purpose keeps its dotted identifier."""
    return frozenset(_PURPOSES.get(oid, oid.dotted_string) for oid in extension)


def to_name_constraints(constraints: NameConstraints) -> x509.NameConstraints:
    """Make the library's name constraints extension."""
    return x509.NameConstraints(
        [to_constraint_base(base) for base in dict.fromkeys(constraints.permitted)] or None,
        [to_constraint_base(base) for base in dict.fromkeys(constraints.excluded)] or None,
    )


def from_name_constraints(extension: x509.NameConstraints) -> NameConstraints:
    """Read the library's name constraints extension."""
    return NameConstraints(
        tuple(map(from_general_name, extension.permitted_subtrees or ())),
        tuple(map(from_general_name, extension.excluded_subtrees or ())),
    )


def _to_text_name(name: GeneralName) -> x509.GeneralName:
    makers: dict[GeneralNameKind, Callable[[str], x509.GeneralName]] = {
        GeneralNameKind.DNS: x509.DNSName,
        GeneralNameKind.URI: x509.UniformResourceIdentifier,
        GeneralNameKind.EMAIL: x509.RFC822Name,
    }
    return makers[GeneralNameKind(name.kind)](name.value)


def _generate_ml_dsa(algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa
    except ImportError:
        raise UnsupportedAlgorithm(f"{algorithm} needs cryptography 49 or later") from None
    key: CertificateIssuerPrivateKeyTypes = getattr(mldsa, f"{_ML_DSA[algorithm]}PrivateKey").generate()
    return key
