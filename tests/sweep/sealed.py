"""Whom a scenario's private keys are sealed for; made anew in each process, so that none lies in the repository."""

from pathlib import Path
from typing import Final

import pyrage

_FIRST: Final = pyrage.x25519.Identity.generate()
_SECOND: Final = pyrage.x25519.Identity.generate()
RECIPIENT: Final = str(_FIRST.to_public())
OTHER_RECIPIENT: Final = str(_SECOND.to_public())


def write_identity(folder: Path) -> Path:
    """Write what opens the keys of every scenario, and give its path.

    folder: which is there.
    """
    path = folder / "identity.txt"
    path.write_text(f"{_FIRST}\n{_SECOND}\n", encoding="utf-8")
    return path


def open_sealed(content: bytes) -> bytes:
    """Open a private key's file.

    Raises:
        ValueError: it cannot be opened.
    """
    try:
        return bytes(pyrage.decrypt(content, [_FIRST, _SECOND]))
    except pyrage.DecryptError as reason:
        message = f"cannot be opened: {reason}"
        raise ValueError(message) from reason
