"""One tree on the disk, as it counts: where a run was interrupted, as its journal says that it will be."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.journal import Journal, extended, parse_journal
from certgen.publication import LINK_NAME, is_generation, is_hidden, link_to, next_generation
from certgen.store.files import is_there
from certgen.store.sight import Looks, Sight
from certgen.tree import (
    ABSENT,
    JOURNAL_NOTE,
    KEYS_NOTE,
    MANIFEST_FILE,
    MARK_NOTE,
    STAGING_FOLDER,
    FileKind,
    FileState,
    Version,
)

_LOOKS: Final = 20
_PAUSE: Final = 0.05
_Found = TypeVar("_Found")


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
        self._sight = Sight(self.root)
        self._generations: dict[str, str] = {}
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
            return {path: self._behind(path, self._sight.look(path)) for path in paths}
        return {path: self._behind(path, self._look_ahead(path)) for path in paths}

    def place(self, path: str) -> str:
        """Give where a file of an entry stands: in the generation in force, or where its name is."""
        found = self.read([path])[path]
        return _within(path, found.generation) if found.generation else path

    def generations(self, folder: str) -> dict[str, FileState]:
        """Read what stands in the generations of an entry's folder that are not in force.

        Args:
            folder: the entry's, relative to the tree.
        """
        self.journal()
        in_force, names = self._generation(folder), set(self._sight.names_in(folder))
        others = [name for name in names if is_generation(name) and name != in_force]
        paths = {path for name in others for path in self._sight.files_below(f"{folder}/{name}")}
        paths |= {path for path in self._staged if _generation_of(path, folder) not in {"", in_force}}
        states = {path: self._look_ahead(path) for path in sorted(paths)}
        return {path: state for path, state in states.items() if state.kind is not FileKind.ABSENT}

    def new_generation(self, folder: str) -> str:
        """Give a name in an entry's folder for a generation that is not there yet."""
        return next_generation(self._sight.names_in(folder))

    def paths(self) -> list[str]:
        """Give every file of the tree, folders of links aside, sorted; those in force by their entry's names.

        Raises:
            CertgenError: a folder cannot be looked into.
        """
        found: set[str] = set()
        for folder, folders, files in os.walk(self.root, onerror=_refuse):
            here = Path(folder).relative_to(self.root)
            found |= {str(here / name) for name in files}
            found |= {str(here / name) for name in folders if (self.root / here / name).is_symlink()}
        journal = self.journal()
        found = (found | set(self._staged)) - self._removed if journal else found
        return sorted({self._named(path) for path in found})

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
        return self._sight.looks(self._began)

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
            state = self._sight.look(JOURNAL_NOTE)
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
        fault = self._sight.fault_of_folder(STAGING_FOLDER)
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

    def _look_ahead(self, path: str) -> FileState:
        """Read a file as it will be when what the journal says has been done."""
        if path in self._removed:
            return ABSENT
        state = ABSENT
        if path in self._staged:
            state = self._sight.look(f"{STAGING_FOLDER}/{self._staged[path]}", path)
        if state.kind is FileKind.ABSENT:
            state = self._sight.look(path)
        return extended(state, self._journal) if path == MANIFEST_FILE and self._journal is not None else state

    def _behind(self, path: str, state: FileState) -> FileState:
        """Tell of what is no plain file what stands behind the one link of its entry's folder, if that is in force."""
        if state.kind not in {FileKind.ABSENT, FileKind.OTHER} or path.startswith("."):
            return state
        folder, name = _split(path)
        if not name:
            return state
        if name == LINK_NAME:
            return replace(state, generation=self._generation(folder))
        is_shown = state.kind is FileKind.OTHER and self._target(path) == link_to(name)
        if is_hidden(name) or not (is_shown or state.kind is FileKind.ABSENT):
            return state
        generation = self._generation(folder)
        if not generation:
            reason = f"{LINK_NAME} leads to no generation beside it"
            return replace(state, reason=reason, is_shown=True) if is_shown else state
        behind = self._look_ahead(_within(path, generation))
        return replace(behind, generation=generation, is_shown=is_shown) if is_shown or behind.facts else state

    def _generation(self, folder: str) -> str:
        """Give the generation to which the one link of an entry's folder leads; nothing where it leads elsewhere."""
        if folder not in self._generations:
            target = self._target(f"{folder}/{LINK_NAME}") or ""
            self._generations[folder] = target if is_generation(target) else ""
        return self._generations[folder]

    def _target(self, path: str) -> str | None:
        """Give where a link leads when what the journal says has been done."""
        if path in self._removed:
            return None
        if path in self._staged:
            staged = self._sight.target(f"{STAGING_FOLDER}/{self._staged[path]}")
            return staged if staged is not None else self._sight.target(path)
        return self._sight.target(path)

    def _named(self, path: str) -> str:
        """Give the name of a file in its entry's folder, where it stands in the generation in force and is shown."""
        folder, name = _split(path)
        generation, _, rest = name.partition("/")
        is_in_force = rest and is_generation(generation) and generation == self._generation(folder)
        return f"{folder}/{rest}" if is_in_force and self._target(f"{folder}/{rest}") == link_to(rest) else path

    def _nearest_closed(self, path: str) -> str:
        """Give the folder above a path that nobody may look into, or the path."""
        for step in (*reversed(Path(path).parents), Path(path)):
            try:
                os.lstat(self.root / step)
            except OSError:
                return str(step.parent)
        return path


def _split(path: str) -> tuple[str, str]:
    """Give an entry's folder, and a file's path within it; no path where a file is none of an entry."""
    section, _, rest = path.partition("/")
    name, _, file = rest.partition("/")
    return f"{section}/{name}", file


def _generation_of(path: str, folder: str) -> str:
    """Give the generation in which a file of an entry's folder stands; nothing of any other file."""
    name = path.removeprefix(f"{folder}/").partition("/")[0]
    return name if path.startswith(f"{folder}/") and is_generation(name) else ""


def _within(path: str, generation: str) -> str:
    folder, name = _split(path)
    return f"{folder}/{generation}/{name}"


def _refuse(reason: OSError) -> None:
    if not isinstance(reason, FileNotFoundError):
        raise CertgenError([_closed(Path(reason.filename), reason.strerror or type(reason).__name__)]) from None


def _closed(path: Path, reason: str) -> Diagnostic:
    message = f"{path} cannot be looked at: {reason}"
    return error("unreadable", message, help="run certgen as its owner, or mend the permissions", where=str(path))
