"""PEM (RFC 7468), as every consumer reads it: certificates one after the other, private keys as PKCS#8."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

_LINE = 64


def encode_certificates(ders: Iterable[bytes]) -> bytes:
    """Write certificates, given in DER, in the given order and with nothing between them."""
    return b"".join(_encode(der) for der in ders)


def encode_private_key(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """Write a private key as unencrypted PKCS#8, the one form that every consumer takes."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _encode(der: bytes) -> bytes:
    text = b64encode(der)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])
