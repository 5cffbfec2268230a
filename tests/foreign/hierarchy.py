"""Certificates to try the verifiers on, made with cryptography alone and to section 6 of the design."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(tz=UTC).replace(microsecond=0)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

_CURVES: dict[str, ec.EllipticCurve] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
}
_DIGESTS: dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Extension:
    """An extension and whether it is critical."""

    value: x509.ExtensionType
    critical: bool = False


@dataclass(frozen=True)
class Authority:
    """A CA.

    certificate: its certificate.
    key: its private key.
    path: what stands between it and the trust anchor, itself first; nothing for a root.
    """

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes
    path: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What a certificate is to be, beside its issuer.

    common_name: of the subject.
    extensions: beside the key identifiers, which follow from the keys.
    start: when it begins.
    days: how long it lasts.
    """

    common_name: str
    extensions: Sequence[Extension] = field(default=())
    start: datetime = NOW - timedelta(minutes=5)
    days: int = 365


def new_key(algorithm: str) -> CertificateIssuerPrivateKeyTypes:
    """Make a private key; ML-DSA raises ImportError before cryptography 49.

    algorithm: one of certgen's.
    """
    family, _, size = algorithm.rpartition("-")
    if family == "rsa":
        return rsa.generate_private_key(65537, int(size))
    if family == "ecdsa":
        return ec.generate_private_key(_CURVES[size])
    if family == "ml-dsa":
        mldsa = import_module("cryptography.hazmat.primitives.asymmetric.mldsa")
        key: CertificateIssuerPrivateKeyTypes = getattr(mldsa, f"MLDSA{size}PrivateKey").generate()
        return key
    return ed25519.Ed25519PrivateKey.generate()


def key_usage(*names: str) -> Extension:
    """Make the critical keyUsage extension.

    names: the usages, as cryptography spells them.
    """
    return Extension(x509.KeyUsage(**{usage: usage in names for usage in _KEY_USAGES}), critical=True)


def distinguished_name(common_name: str) -> x509.Name:
    """Make a subject.

    common_name: its common name.
    """
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Shop BV"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def certify(
    wish: Wish,
    key: CertificateIssuerPrivateKeyTypes,
    issuer: Authority | None = None,
    forger: CertificateIssuerPrivateKeyTypes | None = None,
) -> x509.Certificate:
    """Sign a certificate.

    wish: what it is to be.
    key: the subject's.
    issuer: who signs; None for a root, which has no authority key identifier.
    forger: a key to sign with instead of the issuer's.
    """
    subject = distinguished_name(wish.common_name)
    issuer_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wish.start)
        .not_valid_after(wish.start + timedelta(days=wish.days, seconds=-1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(issuer_id, critical=False)
    for extension in wish.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    signing_key = forger or issuer_key
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None
    if isinstance(signing_key, ec.EllipticCurvePrivateKey):
        digest = _DIGESTS[signing_key.curve.name]
    elif isinstance(signing_key, rsa.RSAPrivateKey):
        digest = hashes.SHA256()
    return builder.sign(signing_key, digest)


def make_ca(
    common_name: str,
    algorithm: str,
    issuer: Authority | None = None,
    permitted: Sequence[x509.GeneralName] = (),
) -> Authority:
    """Make a CA: a root, or an intermediate with path length 0.

    common_name: of its subject.
    algorithm: of its key.
    issuer: None for a root.
    permitted: its name constraints.
    """
    path_length = 0 if issuer else None
    extensions = [
        Extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True),
        key_usage("key_cert_sign", "crl_sign"),
    ]
    if permitted:
        extensions.append(Extension(x509.NameConstraints(permitted, None), critical=True))
    key = new_key(algorithm)
    wish = Wish(common_name, extensions, NOW - timedelta(days=60), 1825 if issuer else 3650)
    certificate = certify(wish, key, issuer)
    return Authority(certificate, key, (certificate, *issuer.path) if issuer else ())


def end_entity_extensions(
    usages: Sequence[x509.ObjectIdentifier], names: Sequence[x509.GeneralName]
) -> list[Extension]:
    """List the extensions of an end entity.

    usages: its extended key usage.
    names: its subjectAltName; nothing for none.
    """
    extensions = [
        Extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        key_usage("digital_signature"),
        Extension(x509.ExtendedKeyUsage(usages)),
    ]
    return [*extensions, Extension(x509.SubjectAlternativeName(names))] if names else extensions


def write_pem(file: Path, *certificates: x509.Certificate) -> Path:
    """Write certificates to a file, and return it.

    file: where to.
    certificates: in the order of the file.
    """
    file.write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates))
    return file
