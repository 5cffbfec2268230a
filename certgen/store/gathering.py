"""Files that a person names, or that stand in folders that he names: read once, none of them written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from certgen.diagnostics import CertgenError, error
from certgen.store.files import read_file
from certgen.tree import FileKind

MOST_FILES: Final = 20_000
"""That many are looked at in one folder; a home folder named by mistake has more."""
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der", ".key", ".ca-bundle", ".json", ".yaml", ".yml"})


class Gathered(NamedTuple):
    """A file that was read; it may hold a private key, that no traceback shows."""

    path: str
    content: bytes

    def __repr__(self) -> str:
        """Name the file alone."""
        return f"Gathered({self.path!r})"


def gather(paths: Iterable[Path]) -> list[Gathered]:
    """Read files, and those below folders whose names end as certificates, keys and descriptions do.

    Args:
        paths: files and folders.

    Returns:
        Path and content of each, sorted within a folder.

    Raises:
        CertgenError: one is not there or cannot be read, or a folder has too many files.
    """
    found: list[Gathered] = []
    for path in paths:
        for file in _below(path) if path.is_dir() else (path,):
            state = read_file(file.resolve())
            if state.kind is FileKind.UNREADABLE and file != path:
                # A folder has other things than certificates, and one that is too long is none.
                continue
            if state.kind is not FileKind.FILE:
                reason = "does not exist" if state.kind is FileKind.ABSENT else f"cannot be read: {state.reason}"
                raise CertgenError([error("unreadable", f"{file} {reason}", where=str(file))])
            found.append(Gathered(str(file), state.content))
    return found


def _below(folder: Path) -> Iterator[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()]
    if len(files) > MOST_FILES:
        message = f"{folder} has more than {MOST_FILES} files that could be certificates"
        raise CertgenError([error("too-large", message, help="name the folder in which they are", where=str(folder))])
    yield from files
