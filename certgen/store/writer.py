"""Writing: batches are staged, synced, committed to the journal, and then moved; a run that dies is completed.

Until the line in the journal is on the disk nothing has happened; from then on all of the batch happens, in this run or
in the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from certgen.diagnostics import CertgenError
from certgen.journal import Batch, Journal, Recovery, render_batch, render_head
from certgen.manifest import ManifestEntry
from certgen.model import Address
from certgen.publication import LINK_NAME
from certgen.store import disk
from certgen.store.files import READ_FLAGS, explained, is_there, let_go, read_file
from certgen.store.interruptions import undisturbed
from certgen.store.lock import PATIENT, Patience, hold
from certgen.store.sight import MAXIMUM_NOTE
from certgen.store.tree import Tree
from certgen.tree import (
    JOURNAL_NOTE,
    LOCK_NOTE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    MARK_NOTE,
    PUBLIC_MODE,
    STAGING_FOLDER,
)


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file to put in place: its path relative to the tree, its content, its final mode."""

    path: str
    content: bytes = field(repr=False)
    mode: int
    keep_old_as: str | None = None
    """A path under which the file that it replaces is kept; with a number after it where that is taken."""
    old: str | None = None
    """Where that file stands, if not at the path of the new one."""


@dataclass(frozen=True, slots=True)
class LinkWrite:
    """A symbolic link to put in place: its path relative to the tree, and where it leads."""

    path: str
    target: str


@contextmanager
def writing(root: Path, patience: Patience = PATIENT) -> Iterator[Writer]:
    """Hold a tree against other runs, and give what writes it.

    Args:
        root: the tree's folder.
        patience: how to wait for another run.

    Raises:
        CertgenError: the lock cannot be made, or another run holds it for too long.
    """
    made: set[str] = set()
    with explained(root / MACHINE_FOLDER):
        disk.make_folder(root, MACHINE_FOLDER, made)
    with hold(root / LOCK_NOTE, root, patience):
        writer = Writer(Tree(root), made)
        try:
            yield writer
        finally:
            writer.close()


class Writer:
    """Writes one tree, which its user holds the lock of.

    Args:
        tree: the tree.
        made: folders in which names are new and not yet synced.
    """

    def __init__(self, tree: Tree, made: set[str]) -> None:
        self.tree = tree
        self._made = made
        self._root = tree.root
        self._base = str(tree.root)
        self._name = tree.root.name
        self._extends = True
        self._head = b""
        """The journal's first line, as long as it has none."""
        self._log: int | None = None
        self._number = 0
        self._has_begun = False

    def recover(self) -> Recovery:
        """Finish what an interrupted run had committed to, and throw away what it had not.

        Raises:
            CertgenError: the disk refused; the next run tries again.
        """
        if not self.tree.is_interrupted():
            return Recovery.NONE
        journal = self.tree.journal()
        for batch in journal.batches if journal else ():
            self._publish(batch)
        if journal is not None and journal.extends:
            self._write_extended(journal)
        self._clear()
        self.tree.forget()
        return Recovery.COMPLETED if journal and journal.batches else Recovery.DISCARDED

    def begin(self, name: str, *, extends: bool) -> None:
        """Say what the journal of this run will begin with.

        Args:
            name: the tree's name.
            extends: whether the lines of this run add to the manifest that stands there.
        """
        self._name = name
        self._extends = extends

    def commit(
        self,
        writes: Sequence[FileWrite],
        removes: Sequence[str] = (),
        lines: Mapping[Address, ManifestEntry | None] | None = None,
        links: Sequence[LinkWrite] = (),
    ) -> None:
        """Write and remove files: all of them, even if the run dies on the way, or none.

        Args:
            writes: what to put in place, in this order; the file that a file says something about stands before it.
            links: what leads to it, in this order, after all of it.
            removes: what to remove thereafter, with the folders that this leaves empty.
            lines: what the manifest says of the entries then; None for one that is gone.

        Raises:
            CertgenError: the disk refused; where the batch was committed to, the next run completes it.
        """
        puts: list[FileWrite | LinkWrite] = [*writes, *links]
        self._refuse_beforehand([*(put.path for put in puts), *removes])
        log = self._opened_log()
        staged: dict[str, str] = {}
        try:
            for put in puts:
                self._number += 1
                staged[put.path] = str(self._number)
                self._stage(put, f"{self._base}/{STAGING_FOLDER}/{staged[put.path]}")
            spares = {write.path: write.keep_old_as for write in writes if write.keep_old_as is not None}
            olds = {write.path: write.old for write in writes if write.path in spares and write.old is not None}
            batch = Batch(staged, spares, olds, tuple(removes), lines or {})
            with undisturbed():
                self._append(log, batch, [staged[write.path] for write in writes])
                staged = {}
                self._publish(batch, is_new=True)
        finally:
            for name in staged.values():
                with suppress(OSError):
                    (self._root / STAGING_FOLDER / name).unlink()

    def finish(self) -> None:
        """Close the journal: all that was committed to is in place.

        Raises:
            CertgenError: the disk refused.
        """
        if self._has_begun:
            self._clear()
            self._has_begun = False
        self.close()

    def close(self) -> None:
        """Let go of the journal; what was committed to and not finished is now, or else by the next run."""
        if self._log is not None:
            let_go(self._log)
            self._log = None
        if self._has_begun:
            self._has_begun = False
            self.tree.forget()
            with suppress(CertgenError):
                self.recover()

    def change_mode(self, path: str, mode: int) -> None:
        """Give a file its mode, without a link being followed but that of its entry.

        Raises:
            CertgenError: the disk refused.
        """
        path = self.tree.place(path)
        with explained(self._root / path):
            for parent in Path(path).parents:
                disk.refuse_link(self._root / parent)
            descriptor = os.open(self._root / path, READ_FLAGS)
            try:
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)

    def _refuse_beforehand(self, paths: Sequence[str]) -> None:
        """Find what would stop a batch halfway, while it can still be left alone."""
        is_there: dict[str, bool] = {}
        seen: set[str] = set()
        for path in paths:
            folder = path.rpartition("/")[0]
            if folder not in is_there:
                with explained(f"{self._base}/{folder}"):
                    is_there[folder] = disk.refuse_closed(self._root, folder, seen)
            if is_there[folder]:
                with explained(f"{self._base}/{path}"):
                    disk.refuse_folder(f"{self._base}/{path}")

    def _stage(self, write: FileWrite | LinkWrite, staged: str) -> None:
        with explained(f"{self._base}/{write.path}", is_exact=True):
            match write:
                case FileWrite():
                    disk.create(staged, write.content, write.mode)
                case LinkWrite():
                    disk.link(write.target, staged)

    def _opened_log(self) -> int:
        """Open the journal, once in a run."""
        if self._log is None:
            path = self._root / JOURNAL_NOTE
            self._has_begun = True
            with explained(self._root / MARK_NOTE):
                disk.make_folder(self._root, STAGING_FOLDER, self._made)
                mark = disk.mark(self._root / MARK_NOTE)
            with explained(path):
                self._log = disk.open_log(path)
                self._head = render_head(self._name, os.fstat(self._log).st_ino, mark, extends=self._extends)
                self._made.add(str(path.parent))
        return self._log

    def _append(self, log: int, batch: Batch, files: Sequence[str]) -> None:
        """Commit: what was staged is on the disk before the line that speaks of it; links are in their folder."""
        staging = self._root / STAGING_FOLDER
        with explained(staging):
            folders = sorted({str(staging), *self._made})
            staged = [f"{self._base}/{STAGING_FOLDER}/{name}" for name in files]
            disk.sync(self._root, [*staged, f"{self._base}/{MARK_NOTE}", *folders])
            self._made.clear()
        with explained(self._root / JOURNAL_NOTE):
            disk.append(log, self._head + render_batch(batch))
            self._head = b""

    def _publish(self, batch: Batch, *, is_new: bool = False) -> None:
        """Move and remove what a batch says; what has been done already, unless it is new, is not done again."""
        changed: set[str] = set()
        for path, name in batch.moves.items():
            staged = f"{self._base}/{STAGING_FOLDER}/{name}"
            if path.endswith(f"/{LINK_NAME}") and changed:
                # What a link comes to lead to is there before it, also after a power cut.
                with explained(self._root):
                    disk.sync(self._root, sorted(changed))
                changed.clear()
            with explained(f"{self._base}/{path}"):
                if is_new or is_there(staged):
                    self._move(path, staged, batch, changed)
        for path in batch.removes:
            with explained(self._root / path), suppress(FileNotFoundError):
                for parent in Path(path).parents:
                    disk.refuse_link(self._root / parent)
                (self._root / path).unlink()
                changed.add(str((self._root / path).parent))
        with explained(self._root):
            disk.remove_empty_folders(self._root, batch.removes)
            folders = {str(disk.nearest_folder(Path(folder))) for folder in changed} if batch.removes else changed
            disk.sync(self._root, sorted(folders))

    def _move(self, path: str, staged: str, batch: Batch, changed: set[str]) -> None:
        """Put a staged file in its place."""
        final = f"{self._base}/{path}"
        disk.make_folder(self._root, path.rpartition("/")[0], changed)
        if path in batch.spares:
            disk.keep_second_name(self._root / batch.olds.get(path, path), self._root / batch.spares[path])
        with explained(final, is_exact=True):
            os.replace(staged, final)

    def _write_extended(self, journal: Journal) -> None:
        """Bring the manifest up to date with what an interrupted run has done."""
        found = self.tree.read([MANIFEST_FILE])
        self.tree.refuse_closed(found)
        state = found[MANIFEST_FILE]
        path = self._root / MANIFEST_FILE
        with explained(path):
            if not state.content or read_file(path, MAXIMUM_NOTE).content == state.content:
                return
            number = str(1 + max((int(name) for name in journal.staged().values()), default=0))
            disk.make_folder(self._root, STAGING_FOLDER, set())
            (self._root / STAGING_FOLDER / number).unlink(missing_ok=True)
            write = FileWrite(MANIFEST_FILE, state.content, PUBLIC_MODE)
            self._stage(write, f"{self._base}/{STAGING_FOLDER}/{number}")
            disk.sync(self._root, [self._root / STAGING_FOLDER / number])
            (self._root / STAGING_FOLDER / number).replace(path)
            disk.sync(self._root, [self._root])

    def _clear(self) -> None:
        """Remove the journal, and then what was staged and never committed to."""
        staging = self._root / STAGING_FOLDER
        with explained(staging):
            for parent in (self._root, staging.parent, staging):
                disk.refuse_link(parent)
            with suppress(FileNotFoundError):
                (self._root / JOURNAL_NOTE).unlink()
            with suppress(FileNotFoundError):
                for path in sorted(staging.iterdir()):
                    with explained(path, is_exact=True):
                        disk.remove(path)
                staging.rmdir()
            disk.sync(self._root, [staging.parent])
