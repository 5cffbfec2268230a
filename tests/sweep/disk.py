"""A tree as it lies on the disk, read without certgen."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from .sealed import open_sealed

MACHINE: Final = ".certgen/"
IGNORE: Final = ".gitignore"
ATTRIBUTES: Final = ".gitattributes"
MANIFEST: Final = "manifest.json"
KEY: Final = "key.pem"
SEALED_KEY: Final = "key.pem.age"
COMBINED: Final = "combined.pem"
LINK: Final = "..data"
STAMP: Final = ".certgen/stamp"
"""What a run with nothing to do may leave, and may not."""
SETTLED_MACHINE: Final = frozenset({".certgen/lock", ".certgen/keys"})


@dataclass(frozen=True)
class File:
    """What a file holds, and who may read it."""

    content: bytes
    mode: int

    @property
    def has_private_key(self) -> bool:
        """Whether it holds a private key or the beginning of one."""
        return b"PRIVATE KEY" in self.content or self.content.startswith(b"-----BEGIN PRI")


@dataclass(frozen=True)
class Tree:
    """The files and folders of a tree, by paths relative to it."""

    files: Mapping[str, File]
    folders: frozenset[str]

    @cached_property
    def published(self) -> Mapping[str, File]:
        """The files that have their names: all but this machine's notes."""
        return {path: file for path, file in self.files.items() if not path.startswith(MACHINE)}

    @cached_property
    def machine(self) -> frozenset[str]:
        """Everything in this machine's folder."""
        return frozenset(path for path in (*self.files, *self.folders) if path.startswith(MACHINE))

    @property
    def addresses(self) -> frozenset[str]:
        """The folders in which a certificate or a private key lies."""
        return frozenset(
            str(PurePosixPath(path).parent)
            for path in self._in_sight
            if PurePosixPath(path).name in {"cert.pem", KEY, SEALED_KEY}
        )

    @property
    def keys(self) -> Mapping[str, bytes]:
        """The private keys that have their names, by address, in clear; where one lies twice the one that is sealed."""
        clear = {path: file.content for path, file in self._in_sight.items() if path.endswith(f"/{KEY}")}
        sealed = {path: _opened(file) for path, file in self._in_sight.items() if path.endswith(f"/{SEALED_KEY}")}
        return {str(PurePosixPath(path).parent): content for path, content in (clear | sealed).items()}

    @cached_property
    def _in_sight(self) -> Mapping[str, File]:
        """What a reader finds by an entry's names, where links lead included, and not in a generation by itself."""
        return {path: file for path, file in self.published.items() if f"/{LINK[:2]}" not in path}

    @property
    def empty_folders(self) -> frozenset[str]:
        """The folders below which there is no file."""
        full = {str(parent) for path in self.files for parent in PurePosixPath(path).parents}
        return self.folders - full


def _opened(file: File) -> bytes:
    try:
        return open_sealed(file.content)
    except ValueError:
        return file.content


EMPTY: Final = Tree({}, frozenset())


def read_tree(folder: Path) -> Tree:
    """Read a tree; an empty one where there is none.

    folder: of the tree.
    """
    found = dict(_walk(folder, folder)) if folder.is_dir() else {}
    files = {path: file for path, file in found.items() if file is not None}
    return Tree(files, frozenset(found) - frozenset(files))


def _walk(folder: Path, root: Path) -> Iterator[tuple[str, File | None]]:
    for path in sorted(folder.iterdir()):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield name, None
            yield from _walk(path, root)
        elif stat.S_ISREG(mode):
            yield name, File(path.read_bytes(), stat.S_IMODE(mode))
        elif stat.S_ISLNK(mode) and path.name == LINK:
            yield name, File(str(path.readlink()).encode(), stat.S_IMODE(mode))
        elif stat.S_ISLNK(mode) and LINK in path.readlink().parts and path.is_file():
            yield name, File(path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        else:
            yield name, File(b"neither a file nor a folder", stat.S_IMODE(mode))
