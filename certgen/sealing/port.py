"""What a way of sealing private keys must do: to close one may need no secret, to open one always does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class CannotOpenError(ValueError):
    """What was sealed cannot be opened with what is here; the argument is one sentence that quotes neither."""


class BadSecretError(ValueError):
    """A secret, or what stands for one, that cannot be used; the argument is one sentence that does not quote it."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in clear, that no traceback shows."""

    pem: bytes = field(repr=False)


class Sealer(Protocol):
    """Closes private keys."""

    def seal(self, private_key: PrivateKey) -> bytes:
        """Close a private key; the same one gives other bytes every time."""


class Unsealer(Protocol):
    """Opens private keys that were sealed."""

    def unseal(self, sealed: bytes) -> PrivateKey:
        """Give a private key in clear.

        Raises:
            CannotOpenError: it cannot be opened.
        """
