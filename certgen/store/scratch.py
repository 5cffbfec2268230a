"""Files for a moment, closed to others: ssl takes keys from files only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certgen.store.files import explained
from certgen.tree import PRIVATE_MODE


class Scratch:
    """A folder that only its owner can enter, and that goes when it is not needed any more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def put(self, content: bytes) -> Path:
        """Write a file of mode 0600 and give its path."""
        self._count += 1
        path = self._folder / str(self._count)
        with explained(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        return path


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Give a passing folder."""
    with tempfile.TemporaryDirectory(prefix="certgen-") as folder:
        yield Scratch(Path(folder))
