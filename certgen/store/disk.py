"""Writing: stage with the final mode, sync, rename, sync the folder; the lock and the notes of this machine.

Nothing is followed out of a tree: a symbolic link below it is not a file.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certgen.diagnostics import CertgenError, error
from certgen.store.files import READ_FLAGS, explained, read_file
from certgen.tree import (
    ABSENT,
    MACHINE_FOLDER,
    STAGED,
    FileKind,
    FileState,
)

MAXIMUM_OWN_FILE: Final = 64 * 1024 * 1024
"""Bytes of a file of the tree: a manifest or a trust file grows with the fleet."""
SYNC_ALL_FROM: Final = 32
"""Files in a batch from which one sync of the whole file system is cheaper than one for each."""
LOCK_SECONDS: Final = 10.0

_JOURNAL: Final = "journal"
_SEEN_KEYS: Final = "keys"
_LOCK: Final = "lock"


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file to put in place: its path relative to the tree, its content, its final mode."""

    path: str
    content: bytes = field(repr=False)
    mode: int
    keep_old_as: str | None = None
    """A path under which the file that stands there is kept; with a number after it where that is taken."""


class Tree:
    """One tree on the disk, `output/shop`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, bool] = {}

    def read(self, paths: Iterable[str]) -> dict[str, FileState]:
        """Read files of the tree; what cannot be read is told as such, never raised."""
        return {path: self._read(path) for path in paths}

    def paths(self) -> list[str]:
        """Give every file of the tree, folders of links aside, sorted."""
        found: list[str] = []
        for folder, folders, files in os.walk(self.root):
            here = Path(folder).relative_to(self.root)
            found += [str(here / name) for name in files]
            found += [str(here / name) for name in folders if (self.root / here / name).is_symlink()]
        return sorted(found)

    def inside(self, files: Iterable[Path]) -> frozenset[str]:
        """Give those of some files that lie in the tree, as paths of it."""
        root = os.path.realpath(self.root)
        paths = (os.path.realpath(file) for file in files)
        return frozenset(os.path.relpath(path, root) for path in paths if path.startswith(root + os.sep))

    def seen_keys(self) -> frozenset[str]:
        """Give the ids of the private keys that this machine has held."""
        return frozenset(self._machine_lines(_SEEN_KEYS))

    def unfinished(self) -> frozenset[str]:
        """Give the paths that an interrupted run had begun to write."""
        return frozenset(self._machine_lines(_JOURNAL))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the tree against other runs; the kernel drops the lock when its holder dies.

        Raises:
            CertgenError: the folder cannot be made, or another run holds the lock for too long.
        """
        from filelock import FileLock, Timeout

        path = self.root / MACHINE_FOLDER / _LOCK
        lock = FileLock(path, timeout=LOCK_SECONDS, mode=0o600)
        with explained(path):
            self._make_folder(MACHINE_FOLDER)
            _refuse_odd(path)
            try:
                lock.acquire()
            except Timeout:
                message = f"another run holds {self.root} for more than {LOCK_SECONDS:.0f} seconds"
                raise CertgenError(
                    [error("locked", message, help="wait for it to end", where=str(self.root))]
                ) from None
        try:
            yield
        finally:
            lock.release()

    def begin(self, paths: Sequence[str]) -> None:
        """Note which paths are about to be written, so that the next run knows them as ours.

        Raises:
            CertgenError: the note cannot be written.
        """
        known = sorted({*paths, *self.unfinished()})
        self.write([FileWrite(f"{MACHINE_FOLDER}/{_JOURNAL}", _lines(known), 0o600)])

    def finish(self, seen_keys: Iterable[str]) -> None:
        """Note the keys that this machine has seen, and that nothing is unfinished.

        Raises:
            CertgenError: the note cannot be written.
        """
        keys = frozenset(seen_keys)
        if keys != self.seen_keys():
            self.write([FileWrite(f"{MACHINE_FOLDER}/{_SEEN_KEYS}", _lines(sorted(keys)), 0o600)])
        with explained(self.root), suppress(FileNotFoundError):
            (self.root / MACHINE_FOLDER / _JOURNAL).unlink()

    def write(self, writes: Sequence[FileWrite]) -> None:
        """Put files in place, in order: all are staged and synced before the first gets its name.

        Raises:
            CertgenError: the disk refused; files that already have their names stay, no half file has one.
        """
        staged: list[tuple[Path, FileWrite]] = []
        try:
            with explained(self.root):
                for write in writes:
                    staged.append((self._stage(write), write))
                self._sync_staged(staged)
                while staged:
                    self._publish(*staged[0])
                    staged.pop(0)
                for folder in dict.fromkeys(str(Path(write.path).parent) for write in writes):
                    _sync_folder(self.root / folder)
        finally:
            for path, _ in staged:
                with suppress(OSError):
                    path.unlink()

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files, and the folders that this leaves empty.

        Raises:
            CertgenError: the disk refused.
        """
        with explained(self.root):
            for path in paths:
                self._refuse_links_above(path)
                with suppress(FileNotFoundError):
                    (self.root / path).unlink()
            for folder in dict.fromkeys(Path(path).parent for path in paths):
                self._remove_if_empty(folder)

    def change_mode(self, path: str, mode: int) -> None:
        """Give a file its mode, without a link being followed.

        Raises:
            CertgenError: the disk refused.
        """
        with explained(self.root / path):
            self._refuse_links_above(path)
            descriptor = os.open(self.root / path, READ_FLAGS)
            try:
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)

    def _read(self, path: str) -> FileState:
        if not all(self._is_folder(str(parent)) for parent in Path(path).parents if str(parent) != "."):
            return (
                ABSENT if self._is_absent_above(path) else FileState(FileKind.OTHER, reason="a folder above is not one")
            )
        if self.root.is_symlink():
            return FileState(FileKind.OTHER, reason="the tree's folder is a link, which is not followed")
        return read_file(self.root / path, MAXIMUM_OWN_FILE)

    def _is_folder(self, path: str) -> bool:
        if path not in self._folders:
            try:
                self._folders[path] = stat.S_ISDIR(os.lstat(self.root / path).st_mode)
            except OSError:
                self._folders[path] = False
        return self._folders[path]

    def _is_absent_above(self, path: str) -> bool:
        for parent in reversed(Path(path).parents):
            if str(parent) != "." and not self._is_folder(str(parent)):
                return not os.path.lexists(self.root / parent)
        return False

    def _refuse_links_above(self, path: str) -> None:
        for parent in Path(path).parents:
            if (self.root / parent).is_symlink() and str(parent) != ".":
                raise NotADirectoryError(20, "a link is in the way", str(self.root / parent))

    def _machine_lines(self, name: str) -> list[str]:
        state = self._read(f"{MACHINE_FOLDER}/{name}")
        return state.content.decode("utf-8", "replace").splitlines()

    def _stage(self, write: FileWrite) -> Path:
        """Write a file under a passing name beside its final one, closed to others from its first byte."""
        final = self.root / write.path
        self._make_folder(str(Path(write.path).parent))
        staged = final.with_name(f"{STAGED}{final.name}")
        with suppress(FileNotFoundError):
            staged.unlink()
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(write.content)
                os.fchmod(descriptor, write.mode)
        except OSError as reason:
            with suppress(OSError):
                staged.unlink()
            raise OSError(reason.errno, reason.strerror, str(final)) from reason
        return staged

    def _sync_staged(self, staged: Sequence[tuple[Path, FileWrite]]) -> None:
        if len(staged) >= SYNC_ALL_FROM and sys.platform == "linux":
            os.sync()
            return
        for path, _ in staged:
            descriptor = os.open(path, READ_FLAGS)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _publish(self, staged: Path, write: FileWrite) -> None:
        final = self.root / write.path
        if write.keep_old_as is not None:
            _keep_old(final, self.root / write.keep_old_as)
        staged.replace(final)

    def _make_folder(self, path: str) -> None:
        """Make a folder of the tree and those above it; a link in its place is refused, not followed."""
        if self.root.is_symlink():
            raise NotADirectoryError(20, "a link is in the way", str(self.root))
        self.root.mkdir(parents=True, exist_ok=True)
        step = self.root
        for part in Path(path).parts:
            step = step / part
            with suppress(FileExistsError):
                step.mkdir()
            if not stat.S_ISDIR(os.lstat(step).st_mode):
                raise NotADirectoryError(20, "a link or a file is in the way", str(step))
        self._folders.clear()

    def _remove_if_empty(self, folder: Path) -> None:
        for step in (folder, *folder.parents):
            if str(step) == ".":
                return
            try:
                (self.root / step).rmdir()
            except OSError:
                return


def _keep_old(path: Path, spare: Path) -> None:
    """Keep a file under a second name, 0600; a name that is taken is never written over."""
    if not os.path.lexists(path):
        return
    for number in range(1, 1000):
        candidate = spare if number == 1 else spare.with_name(f"{spare.name}.{number}")
        try:
            os.link(path, candidate, follow_symlinks=False)
        except FileExistsError:
            continue
        candidate.chmod(0o600)
        return
    raise FileExistsError(17, "a thousand spare keys are kept already", str(spare))


def _sync_folder(path: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_odd(path: Path) -> None:
    """Refuse to open for writing what is there and is not a regular file."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise FileExistsError(17, "something that is not a file is in the way", str(path))


def _lines(items: Iterable[str]) -> bytes:
    return "".join(f"{item}\n" for item in items).encode()
