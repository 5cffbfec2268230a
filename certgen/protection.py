"""Floor 0: how private keys are kept, as values: for how long, and for whom they are closed before they are written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256


class KeyRotation(StrEnum):
    """Whether a renewal keeps the private key."""

    KEEP = "keep"
    ON_RENEWAL = "on-renewal"


class ProtectionKind(StrEnum):
    """How private keys are closed before they are written."""

    AGE = "age"
    PASSPHRASE = "passphrase"  # noqa: S105 - a word of the language


class KeysInGit(StrEnum):
    """Whether git may have private keys."""

    IGNORE = "ignore"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Protection:
    """How a spec's private keys are closed."""

    kind: ProtectionKind
    recipients: tuple[str, ...] = ()
    """For age: those who can open them, sorted."""

    @property
    def mark(self) -> str:
        """What the manifest says of a key that was closed in this way; another mark asks for closing it anew."""
        text = "\n".join(self.recipients)
        return f"{self.kind} {sha256(text.encode()).hexdigest()[:16]}" if self.recipients else str(self.kind)

    def __str__(self) -> str:
        if self.kind is ProtectionKind.PASSPHRASE:
            return "a passphrase"
        return f"age, {len(self.recipients)} {'recipient' if len(self.recipients) == 1 else 'recipients'}"
