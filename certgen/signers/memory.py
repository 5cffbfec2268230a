"""Private keys in this process's memory, from PEM files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm

from certgen.certificates import UnreadableError, parse_private_key
from certgen.diagnostics import CertgenError, error
from certgen.rfc5280.objects import generate_private_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from certgen.rfc5280.vocabulary import KeyAlgorithm


class MemoryKeyRing:
    """See `signers.port.KeyRing`."""

    def generate(self, algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
        """See `signers.port.KeyRing.generate`."""
        try:
            return generate_private_key(algorithm)
        except UnsupportedAlgorithm as reason:
            help_ = "upgrade the Python package cryptography, or choose another `key`"
            message = f"this machine cannot make a key of {algorithm}: {reason}"
            raise CertgenError([error("unsupported-algorithm", message, help=help_)]) from None

    def load(self, content: bytes, where: str) -> CertificateIssuerPrivateKeyTypes:
        """See `signers.port.KeyRing.load`."""
        try:
            return parse_private_key(content)
        except UnreadableError as reason:
            raise CertgenError([error("key-unreadable", f"{where}: {reason}", where=where)]) from None
