"""Private keys as encrypted PKCS#8 (RFC 5958), by a passphrase: many programs read them as they are."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from certgen.sealing.port import BadSecretError, CannotOpenError, PrivateKey

_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_OLD: Final = b"Proc-Type: 4,ENCRYPTED"
LONGEST: Final = 1023
"""Bytes; what OpenSSL takes."""


def is_sealed(content: bytes) -> bool:
    """Whether a PEM file holds an encrypted private key."""
    return _ENCRYPTED in content or _OLD in content


class PassphraseSeal:
    """Closes private keys with a passphrase and opens them; see `port.Sealer` and `port.Unsealer`.

    Args:
        passphrase: the first line of what was given.

    Raises:
        BadSecretError: it is empty, or too long for OpenSSL.
    """

    def __init__(self, passphrase: bytes) -> None:
        if not passphrase:
            raise BadSecretError("the passphrase is empty")
        if len(passphrase) > LONGEST:
            raise BadSecretError(f"the passphrase has more than {LONGEST} bytes, which OpenSSL does not take")
        self._passphrase = passphrase

    def seal(self, private_key: PrivateKey) -> bytes:
        """See `port.Sealer.seal`."""
        key = load_pem_private_key(private_key.pem, None, unsafe_skip_rsa_key_validation=True)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))

    def unseal(self, sealed: bytes) -> PrivateKey:
        """See `port.Unsealer.unseal`."""
        try:
            key = load_pem_private_key(sealed, self._passphrase, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise CannotOpenError("the passphrase is another one, or it is damaged") from None
        return PrivateKey(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
