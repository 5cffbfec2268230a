"""Floor 5: a certificate, key, signing request or revocation list in words: who, by whom, for what, until when."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256

from certgen.certificates import EXTENSIONS, FAULTS, UnreadableError, parse_certificate
from certgen.model import Certificate
from certgen.rfc5280 import objects

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

Value = str | int | bool | None | list[str] | list[dict[str, str]]

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----[\r\n]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Inspection:
    """One thing that was found in a file, as facts in the order in which a reader asks for them."""

    kind: str
    facts: tuple[tuple[str, Value], ...]


def inspect(content: bytes, now: datetime) -> tuple[Inspection, ...]:
    """Describe everything in a PEM or DER file.

    Args:
        content: the file's bytes; of a private key only its public half is told.
        now: the time for which the days left are counted, aware, in UTC.

    Raises:
        UnreadableError: nothing in it can be read.
    """
    found = [(match[1].decode(), match[0]) for match in _BLOCK.finditer(content)]
    blocks = [(label, block) for label, block in found if not label.endswith("PARAMETERS")]
    with objects.quiet():
        if not blocks:
            return (_inspect_der(content, now),)
        return tuple(_inspect_block(label, block, now) for label, block in blocks)


def describe_certificate(certificate: Certificate, now: datetime) -> Inspection:
    """Describe a certificate in the words of this project."""
    days = (certificate.not_after - now).days
    is_over, is_early = now > certificate.not_after, now < certificate.not_before
    state = f"expired {-days - 1} days ago" if is_over else "not yet valid" if is_early else f"{days} days left"
    parsed = x509.load_der_x509_certificate(certificate.der)
    facts: list[tuple[str, Value]] = [
        ("subject", str(certificate.subject) or "empty"),
        ("issuer", "itself" if certificate.is_self_issued else str(certificate.issuer)),
        ("names", [str(name) for name in certificate.subject_alt_names]),
        ("not_before", _moment(certificate.not_before)),
        ("not_after", _moment(certificate.not_after)),
        ("state", state),
        ("is_ca", certificate.is_ca),
        ("path_length", certificate.path_length),
        ("extended_key_usage", sorted(certificate.extended_key_usage)),
        ("key_usage", sorted(certificate.key_usage)),
        ("name_constraints", _constraints(certificate)),
        ("key", str(certificate.key_algorithm)),
        ("key_id", certificate.key_id),
        ("serial_number", f"{certificate.serial_number:x}"),
        ("signature", certificate.signature_algorithm),
        ("fingerprint", parsed.fingerprint(SHA256()).hex()),
        ("subject_key_identifier", _hex(certificate.subject_key_identifier)),
        ("authority_key_identifier", _hex(certificate.authority_key_identifier)),
        ("crl_distribution_points", list(certificate.crl_distribution_points)),
        ("ocsp", list(certificate.ocsp)),
        ("ca_issuers", list(certificate.ca_issuers)),
        ("critical", sorted(certificate.critical)),
        ("other_extensions", sorted(certificate.present - set(EXTENSIONS.values()))),
        ("public_key", certificate.public_key.hex()),
        ("signature_value", parsed.signature.hex()),
    ]
    return Inspection("certificate", tuple((name, value) for name, value in facts if value not in (None, [])))


def _inspect_block(label: str, block: bytes, now: datetime) -> Inspection:
    readers: dict[str, Callable[[], Inspection]] = {
        "CERTIFICATE": lambda: describe_certificate(_one_certificate(block), now),
        "X509 CERTIFICATE": lambda: describe_certificate(_one_certificate(block), now),
        "TRUSTED CERTIFICATE": lambda: describe_certificate(parse_certificate(_first_element(block)), now),
        "CERTIFICATE REQUEST": lambda: _describe_request(x509.load_pem_x509_csr(block)),
        "NEW CERTIFICATE REQUEST": lambda: _describe_request(x509.load_pem_x509_csr(block)),
        "X509 CRL": lambda: _describe_crl(x509.load_pem_x509_crl(block), now),
        "PUBLIC KEY": lambda: _describe_key("public key", serialization.load_pem_public_key(block)),
        "ENCRYPTED PRIVATE KEY": lambda: Inspection("private key", (("state", "encrypted"),)),
    }
    if label in readers:
        return _guarded(readers[label])
    if label.endswith("PRIVATE KEY"):
        return _guarded(lambda: _describe_private_key(block, serialization.load_pem_private_key))
    raise UnreadableError(f"a PEM block `{label}`, which is neither certificate, key, request nor CRL")


def _inspect_der(content: bytes, now: datetime) -> Inspection:
    readers: tuple[Callable[[], Inspection], ...] = (
        lambda: describe_certificate(parse_certificate(content), now),
        lambda: _describe_request(x509.load_der_x509_csr(content)),
        lambda: _describe_crl(x509.load_der_x509_crl(content), now),
        lambda: _describe_key("public key", serialization.load_der_public_key(content)),
        lambda: _describe_private_key(content, serialization.load_der_private_key),
    )
    for reader in readers:
        try:
            return _guarded(reader)
        except UnreadableError:
            continue
    raise UnreadableError("neither PEM nor DER of a certificate, key, request or CRL")


def _guarded(reader: Callable[[], Inspection]) -> Inspection:
    try:
        return reader()
    except FAULTS as reason:
        if isinstance(reason, UnreadableError):
            raise
        raise UnreadableError("it is damaged, or of a kind that is not known") from None


def _first_element(block: bytes) -> bytes:
    """Give the certificate of OpenSSL's own kind of block, after which its trust settings stand."""
    der = b64decode(b"".join(block.splitlines()[1:-1]))
    size = int.from_bytes(der[2:4], "big") + 4 if der[1:2] == b"\x82" else der[2] + 3
    return der[:size]


def _one_certificate(block: bytes) -> Certificate:
    return parse_certificate(x509.load_pem_x509_certificate(block).public_bytes(serialization.Encoding.DER))


def _describe_private_key(content: bytes, load: Callable[[bytes, None], PrivateKeyTypes]) -> Inspection:
    try:
        key = load(content, None)
    except TypeError:
        return Inspection("private key", (("state", "encrypted"),))
    return _describe_key("private key", key.public_key())


def _describe_key(kind: str, key: object) -> Inspection:
    if not hasattr(key, "public_bytes"):
        raise UnreadableError("a key of a kind that is not known")
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    algorithm = objects.algorithm_of(serialization.load_der_public_key(der))  # type: ignore[arg-type]  # any other key is named by its class
    return Inspection(kind, (("key", str(algorithm)), ("key_id", objects.key_id(der))))


def _describe_request(request: x509.CertificateSigningRequest) -> Inspection:
    der = objects.public_key_der(request.public_key())
    try:
        names = [
            str(objects.from_general_name(name))
            for name in request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        ]
    except x509.ExtensionNotFound:
        names = []
    facts: list[tuple[str, Value]] = [
        ("subject", str(objects.from_name(request.subject)) or "empty"),
        ("names", names),
        ("key", str(objects.algorithm_of(request.public_key()))),
        ("key_id", objects.key_id(der)),
        ("state", "signed by its own key" if request.is_signature_valid else "its signature is wrong"),
    ]
    return Inspection("signing request", tuple((name, value) for name, value in facts if value != []))


def _describe_crl(crl: x509.CertificateRevocationList, now: datetime) -> Inspection:
    next_update = crl.next_update_utc
    revoked = [{"serial_number": f"{item.serial_number:x}", "date": _moment(item.revocation_date_utc)} for item in crl]
    state = "without an end" if next_update is None else "out of date" if now > next_update else "current"
    facts: list[tuple[str, Value]] = [
        ("issuer", str(objects.from_name(crl.issuer))),
        ("this_update", _moment(crl.last_update_utc)),
        ("next_update", _moment(next_update) if next_update else None),
        ("state", state),
        ("revoked", revoked),
    ]
    return Inspection("revocation list", tuple((name, value) for name, value in facts if value is not None))


def _constraints(certificate: Certificate) -> list[str]:
    constraints = certificate.name_constraints
    if constraints is None:
        return []
    return [f"permitted {base}" for base in constraints.permitted] + [
        f"excluded {base}" for base in constraints.excluded
    ]


def _hex(content: bytes | None) -> str | None:
    return content.hex() if content is not None else None


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
