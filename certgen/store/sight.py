"""Looking at one tree: what stands at its paths, and what the file system says of each, by which it is known again."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certgen.store.files import MAXIMUM_FILE, read_file
from certgen.store.stamps import facts
from certgen.tree import (
    ABSENT,
    KEYS_NOTE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    PRIVATE_KEY_FILES,
    TRUST_FILE,
    Facts,
    FileKind,
    FileState,
)

MAXIMUM_KEY_FILE: Final = 64 * 1024
"""Bytes; a key of the largest kind needs 13 kB."""
MAXIMUM_TRUST_FILE: Final = 16 * 1024 * 1024
"""Bytes of a trust file, which holds what a user's files hold."""
MAXIMUM_KEYS_NOTE: Final = 8 * 1024 * 1024
"""Bytes: a hundred thousand keys."""
MAXIMUM_NOTE: Final = 64 * 1024 * 1024
"""Bytes of a manifest, or of what this machine notes: they grow with the fleet."""

_ROOT: Final = "."


@dataclass(frozen=True, slots=True)
class Looks:
    """What the file system said of what was looked at, before its content was read."""

    folders: Mapping[str, Facts]
    files: Mapping[str, Facts]
    """Links that lead to them included."""
    absent: frozenset[str]
    """The files that were not there, or could not be read."""
    began: int
    """When the look began, in nanoseconds since 1970."""


class Sight:
    """What has been seen of one tree; nothing is followed that is not said to be.

    Args:
        root: the tree's folder.
    """

    def __init__(self, root: Path) -> None:
        self._base = str(root)
        self._folders: dict[str, FileState | None] = {}
        self._facts: dict[str, Facts] = {}
        self._absent: set[str] = set()

    def look(self, path: str, named: str = "") -> FileState:
        """Read what stands at a path, with the limit of the name that it bears or will bear."""
        fault = self.fault_of_folder(path.rpartition("/")[0] or _ROOT)
        state = read_file(f"{self._base}/{path}", _limit(named or path)) if fault is None else fault
        if state.facts:
            self._facts[path] = state.facts
        else:
            self._absent.add(path)
        return state

    def target(self, path: str) -> str | None:
        """Give where the link at a path leads; None where there is none, or it cannot be looked at."""
        if self.fault_of_folder(path.rpartition("/")[0] or _ROOT) is not None:
            return None
        try:
            target = os.readlink(f"{self._base}/{path}")
        except OSError:
            return None
        with suppress(OSError):
            # Without them a stamp knows the link by the time of its folder.
            self._facts[path] = facts(os.lstat(f"{self._base}/{path}"))
            self._absent.discard(path)
        return target

    def names_in(self, folder: str) -> list[str]:
        """Give the names in a folder; none where it cannot be looked into."""
        if self.fault_of_folder(folder) is not None:
            return []
        try:
            return os.listdir(f"{self._base}/{folder}")
        except OSError:
            return []

    def files_below(self, folder: str) -> list[str]:
        """Give the files below a folder, by their paths in the tree; links are not followed."""
        if self.fault_of_folder(folder) is not None:
            return []
        found = [(here, name) for here, _, names in os.walk(f"{self._base}/{folder}") for name in names]
        return [os.path.relpath(f"{here}/{name}", self._base) for here, name in found]

    def fault_of_folder(self, path: str) -> FileState | None:
        """Say what a file has in place of a folder above it; nothing where there are folders all the way."""
        if path not in self._folders:
            above = None if path == _ROOT else self.fault_of_folder(path.rpartition("/")[0] or _ROOT)
            self._folders[path] = above or self._look_at_folder(path)
        return self._folders[path]

    def looks(self, began: int) -> Looks:
        """Give what was looked at, by the path in the tree.

        Args:
            began: when the look began, in nanoseconds since 1970.
        """
        folders = {path: self._facts[path] for path, fault in self._folders.items() if fault is None}
        files = {path: found for path, found in self._facts.items() if path not in self._folders}
        return Looks(folders, files, frozenset(self._absent), began)

    def _look_at_folder(self, path: str) -> FileState | None:
        try:
            # A dot after the root would be looked up behind a link in its place.
            found = os.lstat(self._base if path == _ROOT else f"{self._base}/{path}")
        except FileNotFoundError:
            return ABSENT
        except OSError as reason:
            return FileState(FileKind.CLOSED, reason=reason.strerror or type(reason).__name__)
        self._facts[path] = facts(found)
        return None if stat.S_ISDIR(found.st_mode) else FileState(FileKind.OTHER, reason="a folder above is not one")


def _limit(path: str) -> int:
    if path == KEYS_NOTE:
        return MAXIMUM_KEYS_NOTE
    if path == MANIFEST_FILE or path.startswith(f"{MACHINE_FOLDER}/"):
        return MAXIMUM_NOTE
    match path.rpartition("/")[2]:
        case name if name in PRIVATE_KEY_FILES:
            return MAXIMUM_KEY_FILE
        case name if name == TRUST_FILE:
            return MAXIMUM_TRUST_FILE
        case _:
            return MAXIMUM_FILE
