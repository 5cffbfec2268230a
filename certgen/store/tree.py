"""One tree on the disk, as it counts: where a run was interrupted, as its journal says that it will be."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.journal import Journal, parse_journal
from certgen.manifest import DamagedManifestError, Manifest, parse_manifest, render_manifest
from certgen.store.files import MAXIMUM_FILE, is_there, read_file
from certgen.store.stamps import facts
from certgen.tree import (
    ABSENT,
    JOURNAL_NOTE,
    KEYS_NOTE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    MARK_NOTE,
    PRIVATE_KEY_FILES,
    PUBLIC_MODE,
    STAGING_FOLDER,
    TRUST_FILE,
    Facts,
    FileKind,
    FileState,
    Version,
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
_LOOKS: Final = 20
_PAUSE: Final = 0.05
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Looks:
    """What the file system said of what was looked at, before its content was read."""

    folders: Mapping[str, Facts]
    files: Mapping[str, Facts]
    absent: frozenset[str]
    """The files that were not there, or could not be read."""
    began: int
    """When the look began, in nanoseconds since 1970."""


class Tree:
    """One tree, `output/shop`; it is only read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = str(root)
        self.seen_at: Version = ()
        """Its version when the last look began."""
        self._began = 0
        self.forget()

    def forget(self) -> None:
        """Look at the disk again, where something may have been written since."""
        self._folders: dict[str, FileState | None] = {}
        self._facts: dict[str, Facts] = {}
        self._absent: set[str] = set()
        self._journal: Journal | None = None
        self._is_journal_read = False
        self._staged: dict[str, str] = {}
        self._removed: frozenset[str] = frozenset()

    def read(self, paths: Iterable[str]) -> dict[str, FileState]:
        """Read files of the tree; what cannot be read is told as such.

        Raises:
            CertgenError: the journal, without which no file can be told, cannot be looked at.
        """
        journal = self.journal()
        if journal is None:
            return {path: self._look(path) for path in paths}
        return {path: self._look_ahead(path, journal) for path in paths}

    def paths(self) -> list[str]:
        """Give every file of the tree, folders of links aside, sorted.

        Raises:
            CertgenError: a folder cannot be looked into.
        """
        found: set[str] = set()
        for folder, folders, files in os.walk(self.root, onerror=_refuse):
            here = Path(folder).relative_to(self.root)
            found |= {str(here / name) for name in files}
            found |= {str(here / name) for name in folders if (self.root / here / name).is_symlink()}
        journal = self.journal()
        return sorted((found | set(self._staged)) - self._removed if journal else found)

    def inside(self, files: Iterable[Path]) -> frozenset[str]:
        """Give those of some files that lie in the tree, as paths of it."""
        root = os.path.realpath(self.root)
        paths = (os.path.realpath(file) for file in files)
        return frozenset(os.path.relpath(path, root) for path in paths if path.startswith(root + os.sep))

    def refuse_closed(self, found: Mapping[str, FileState]) -> None:
        """Refuse to go on where something could not be looked at, which is neither there nor missing.

        Raises:
            CertgenError: names what is closed, a folder once.
        """
        closed = {self._nearest_closed(path): state for path, state in found.items() if state.kind is FileKind.CLOSED}
        if closed:
            raise CertgenError([_closed(self.root / path, state.reason) for path, state in closed.items()])

    def seen_keys(self) -> frozenset[str]:
        """Give the ids of the private keys that this machine has held.

        Raises:
            CertgenError: the note of them cannot be looked at.
        """
        found = self.read([KEYS_NOTE, JOURNAL_NOTE])
        self.refuse_closed(found)
        state = found[KEYS_NOTE]
        return frozenset(state.content.decode("utf-8", "replace").splitlines())

    def looks(self) -> Looks:
        """Give what was looked at since the last `forget`, by the path in the tree."""
        folders = {path: self._facts[path] for path, fault in self._folders.items() if fault is None}
        files = {path: found for path, found in self._facts.items() if path not in self._folders}
        return Looks(folders, files, frozenset(self._absent), self._began)

    def folder_fault(self) -> str:
        """Say why the tree's folder, or the output, is not one to write into; nothing where it is."""
        for folder in (self.root.parent, self.root):
            try:
                found = os.lstat(folder)
            except OSError:
                continue
            if stat.S_ISLNK(found.st_mode):
                return f"{folder} is a symbolic link, which is not followed"
            if not stat.S_ISDIR(found.st_mode):
                return f"{folder} is not a folder"
            if found.st_uid not in {0, os.geteuid()}:
                return f"{folder} belongs to user {found.st_uid}, who could replace what is in it"
        return ""

    def journal(self) -> Journal | None:
        """Give what an interrupted run had committed to; nothing where there is no journal, or one from elsewhere.

        Raises:
            CertgenError: it cannot be looked at.
        """
        if not self._is_journal_read:
            state = self._look(JOURNAL_NOTE)
            self.refuse_closed({JOURNAL_NOTE: state})
            found = parse_journal(state.content) if state.kind is FileKind.FILE else None
            if found is not None and self._is_from_here(found):
                self._journal = found
                self._staged, self._removed = found.staged(), found.removed()
            self._is_journal_read = True
        return self._journal

    def is_interrupted(self) -> bool:
        """Whether a run has left something that it did not come to finish.

        Raises:
            CertgenError: that cannot be told.
        """
        for path in (JOURNAL_NOTE, STAGING_FOLDER):
            try:
                if is_there(self.root / path):
                    return True
            except OSError as reason:
                raise CertgenError([_closed(self.root / path, reason.strerror or type(reason).__name__)]) from None
        return False

    def steadily(self, look: Callable[[], _Found]) -> _Found:
        """Give what a look at the tree finds; where another run writes it meanwhile, that of another look."""
        for _ in range(_LOOKS):
            self.seen_at, self._began = self.version(), time.time_ns()
            found = look()
            if self.is_as_seen():
                break
            time.sleep(_PAUSE)
            self.forget()
        return found

    def is_as_seen(self) -> bool:
        """Whether no run has written since `steadily` began to look."""
        return self.version() == self.seen_at

    def version(self) -> Version:
        """Give what tells whether somebody wrote in between."""
        return tuple(self._version_of(path) for path in (JOURNAL_NOTE, MANIFEST_FILE))

    def _is_from_here(self, journal: Journal) -> bool:
        """Whether a journal is that of a run in this very folder: git and copies bring others along."""
        fault = self._fault_of_folder(STAGING_FOLDER)
        if fault is not None:
            self.refuse_closed({STAGING_FOLDER: fault})
            return False
        try:
            own, mark = os.lstat(self.root / JOURNAL_NOTE), os.lstat(self.root / MARK_NOTE)
        except FileNotFoundError:
            return False
        except OSError as reason:
            raise CertgenError([_closed(self.root / MARK_NOTE, reason.strerror or type(reason).__name__)]) from None
        is_ours = all(stat.S_ISREG(found.st_mode) and found.st_nlink == 1 for found in (own, mark))
        return is_ours and (own.st_ino, mark.st_mtime_ns) == (journal.inode, journal.mark)

    def _version_of(self, path: str) -> tuple[int, ...]:
        try:
            found = os.lstat(self.root / path)
        except OSError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def _look_ahead(self, path: str, journal: Journal) -> FileState:
        """Read a file as it will be when what the journal says has been done."""
        if path in self._removed:
            return ABSENT
        state = ABSENT
        if path in self._staged:
            state = self._look(f"{STAGING_FOLDER}/{self._staged[path]}", path)
        if state.kind is FileKind.ABSENT:
            state = self._look(path)
        return _extended(state, journal) if path == MANIFEST_FILE and journal.extends else state

    def _look(self, path: str, named: str = "") -> FileState:
        """Read what stands at a path, with the limit of the name that it bears or will bear."""
        fault = self._fault_of_folder(path.rpartition("/")[0] or _ROOT)
        state = read_file(f"{self._base}/{path}", _limit(named or path)) if fault is None else fault
        if state.facts:
            self._facts[path] = state.facts
        else:
            self._absent.add(path)
        return state

    def _fault_of_folder(self, path: str) -> FileState | None:
        """Say what a file has in place of a folder above it; nothing where there are folders all the way."""
        if path not in self._folders:
            above = None if path == _ROOT else self._fault_of_folder(path.rpartition("/")[0] or _ROOT)
            self._folders[path] = above or self._look_at_folder(path)
        return self._folders[path]

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

    def _nearest_closed(self, path: str) -> str:
        """Give the folder above a path that nobody may look into, or the path."""
        for step in (*reversed(Path(path).parents), Path(path)):
            try:
                os.lstat(self.root / step)
            except OSError:
                return str(step.parent)
        return path


def _refuse(reason: OSError) -> None:
    if not isinstance(reason, FileNotFoundError):
        raise CertgenError([_closed(Path(reason.filename), reason.strerror or type(reason).__name__)]) from None


def _closed(path: Path, reason: str) -> Diagnostic:
    message = f"{path} cannot be looked at: {reason}"
    return error("unreadable", message, help="run certgen as its owner, or mend the permissions", where=str(path))


def _extended(state: FileState, journal: Journal) -> FileState:
    """Give the manifest with what the journal adds; one that cannot be read is left for the decision to rebuild."""
    try:
        manifest = Manifest() if state.kind is FileKind.ABSENT else parse_manifest(state.content)
    except DamagedManifestError:
        return state
    return FileState(FileKind.FILE, state.mode or PUBLIC_MODE, render_manifest(journal.extend(manifest)))


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
