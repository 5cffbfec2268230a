"""What a place of private keys must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from certgen.rfc5280.vocabulary import KeyAlgorithm


class KeyRing(Protocol):
    """Makes private keys and loads them; what it gives can sign, and need not be bytes in this process."""

    def prepare(self, algorithms: Iterable[KeyAlgorithm]) -> None:
        """Learn which keys will be asked for, so that slow ones can be made ahead.

        Args:
            algorithms: one for each key that `generate` will be asked for.
        """

    def generate(self, algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
        """Make a new key.

        Raises:
            CertgenError: this machine cannot make one of this algorithm.
        """

    def load(self, content: bytes, where: str) -> CertificateIssuerPrivateKeyTypes:
        """Load a key from what stands in its file.

        Args:
            content: the file's content, which goes into no message.
            where: the file's path, for messages.

        Raises:
            CertgenError: it cannot be loaded.
        """
