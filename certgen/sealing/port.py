"""What a way of sealing private keys must do: to close one may need no secret, to open one always does."""

from __future__ import annotations

from typing import Protocol


class CannotOpenError(ValueError):
    """What was sealed cannot be opened with what is here; the argument is one sentence that quotes neither."""


class BadSecretError(ValueError):
    """A secret, or what stands for one, that cannot be used; the argument is one sentence that does not quote it."""


class Sealer(Protocol):
    """Closes private keys."""

    def seal(self, private_key: bytes) -> bytes:
        """Close a private key; the same one gives other bytes every time.

        Args:
            private_key: PKCS#8 in PEM, in clear.
        """


class Unsealer(Protocol):
    """Opens private keys that were sealed."""

    def unseal(self, sealed: bytes) -> bytes:
        """Give a private key in clear, as PEM.

        Raises:
            CannotOpenError: it cannot be opened.
        """
