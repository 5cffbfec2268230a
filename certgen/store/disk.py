"""The disk: files and folders made, synced and removed; what is made is new, and no link is followed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from certgen.store.files import READ_FLAGS, is_there, let_go
from certgen.tree import PRIVATE_MODE

FOLDER_MODE: Final = 0o755
CLOSED_FOLDER_MODE: Final = 0o700
SYNC_ALL_FROM: Final = 32
"""Paths from which one sync of the whole file system is cheaper than one for each."""

_STILL_NEEDED: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOTDIR})
"""What the systems say of a folder that holds something, is mounted on, or is none."""
_LATEST_MARK: Final = 10**18
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def create(path: str | Path, content: bytes, mode: int) -> None:
    """Write a new file, closed to others from its first byte, and give it its mode.

    Raises:
        OSError: there is a file, or the disk refused.
    """
    descriptor = os.open(path, _CREATE, PRIVATE_MODE)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        os.fchmod(descriptor, mode)
    except OSError:
        let_go(descriptor)
        raise
    os.close(descriptor)


def link(target: str, path: str) -> None:
    """Make a new symbolic link.

    Raises:
        OSError: the disk refused, or has no such links.
    """
    try:
        os.symlink(target, path)
    except OSError as reason:
        if reason.errno in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
            message = "its file system has no symbolic links, without which `publish` can only be `files`"
            raise OSError(reason.errno, message, path) from None
        raise


def open_log(path: Path) -> int:
    """Make a new file, closed to others, to which lines are appended, and give its descriptor."""
    return os.open(path, _CREATE | os.O_APPEND, PRIVATE_MODE)


def append(descriptor: int, content: bytes) -> None:
    """Add to a file, and wait until it is on the disk; what could not be added whole is taken back.

    Raises:
        OSError: the disk refused.
    """
    length = os.fstat(descriptor).st_size
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, length)
        raise


def mark(path: Path) -> int:
    """Make an empty file with a time that nobody can foretell, and give that time in nanoseconds."""
    descriptor = os.open(path, _CREATE, PRIVATE_MODE)
    try:
        moment = secrets.randbelow(_LATEST_MARK)
        os.utime(descriptor, ns=(moment, moment))
        return os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)


def sync(root: Path, paths: Sequence[str | Path]) -> None:
    """Wait until files and folders are on the disk, a folder with the names in it.

    Args:
        root: a folder of the same file system.
        paths: what must be there after a power cut.

    Raises:
        OSError: the disk refused.
    """
    if len(paths) < SYNC_ALL_FROM or not _sync_file_system(root):
        for path in paths:
            _with_descriptor(path, os.fsync)


def make_folder(root: Path, path: str, made: set[str]) -> None:
    """Make a folder of a tree, and those above it; a link in its place is refused, not followed.

    Args:
        root: the tree's folder; it is made too.
        path: the folder, relative to the root; empty for the root itself.
        made: takes every folder in which a name is new; those that are in it are known to be folders.

    Raises:
        OSError: the disk refused, or something else is in the way.
    """
    step = str(root)
    if path and f"{step}/{path}" in made:
        return
    if step not in made:
        refuse_link(step)
        missing = [] if is_there(step) else [folder for folder in (root, *root.parents) if not is_there(folder)]
        for folder in reversed(missing):
            folder.mkdir(FOLDER_MODE, exist_ok=True)
            made.add(str(folder.parent.resolve()))
    for part in path.split("/") if path else ():
        above, step = step, f"{step}/{part}"
        if step in made:
            continue
        try:
            os.mkdir(step, CLOSED_FOLDER_MODE if path.startswith(".") else FOLDER_MODE)
            made.add(above)
        except FileExistsError:
            refuse_link(step)
    made.add(step)


def refuse_link(folder: str | Path) -> None:
    """Refuse what stands in a folder's place and is none.

    Raises:
        NotADirectoryError: it is a link or a file.
        OSError: it cannot be looked at.
    """
    _is_folder(folder)


def refuse_closed(root: Path, path: str, open_: set[str]) -> bool:
    """Refuse beforehand a folder of a tree to which no file can be moved, be it there or the nearest above it.

    Args:
        root: the tree's folder.
        path: the folder, relative to the root; empty for the root itself.
        open_: takes the folders that are there and open; those that are in it are not looked at again.

    Returns:
        Whether the folder is there.

    Raises:
        OSError: something else is in the way, or what is there is closed, or on another file system.
    """
    folder, is_whole = str(root), True
    for part in path.split("/") if path else ():
        step = f"{folder}/{part}"
        if step not in open_ and not _is_folder(step):
            is_whole = False
            break
        folder = step
    if folder not in open_:
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        if os.stat(folder).st_dev != os.stat(root).st_dev:
            raise OSError(errno.EXDEV, "it is on another file system than its tree", folder)
        open_.add(folder)
    return is_whole


def refuse_folder(path: str | Path) -> None:
    """Refuse beforehand a folder in a file's place.

    Raises:
        OSError: it is one, or cannot be looked at.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder is in the way", str(path))


def keep_second_name(path: Path, spare: Path) -> None:
    """Keep a file under a second name, closed to others; a name that is taken is never written over.

    A file that had a second name before keeps its mode too: the other is somebody else's.

    Raises:
        OSError: the disk refused.
    """
    if not is_there(path) or not stat.S_ISREG(path.lstat().st_mode):
        return
    is_linked = path.lstat().st_nlink > 1
    for number in range(1, 1000):
        candidate = spare if number == 1 else spare.with_name(f"{spare.name}.{number}")
        try:
            os.link(path, candidate, follow_symlinks=False)
        except FileExistsError:
            if os.path.samestat(os.lstat(path), os.lstat(candidate)):
                return
            continue
        if not is_linked:
            candidate.chmod(PRIVATE_MODE)
        return
    raise FileExistsError(errno.EEXIST, "a thousand spare keys are kept already", str(spare))


def remove(path: Path) -> None:
    """Remove what stands at a path of certgen's own, a folder with all that is in it; links are not followed."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()


def nearest_folder(folder: Path) -> Path:
    """Give a folder, or the nearest above it that is still there."""
    return next(step for step in (folder, *folder.parents) if step.is_dir())


def remove_empty_folders(root: Path, paths: Sequence[str]) -> None:
    """Remove the folders above some paths of a tree that hold nothing any more; a mount point stays.

    Raises:
        OSError: the disk refused.
    """
    for path in paths:
        for folder in Path(path).parents[:-1]:
            try:
                (root / folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError as reason:
                if reason.errno not in _STILL_NEEDED:
                    raise
                break


def _is_folder(path: str | Path) -> bool:
    """Whether a folder stands at a path; what stands there and is none is refused."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "a link or a file is in the way", str(path))
    return True


def _sync_file_system(folder: Path) -> bool:
    """Call syncfs(2), which unlike sync(2) says when the disk refused; False where there is none."""
    if sys.platform != "linux":
        return False
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)

    def call(descriptor: int) -> None:
        if library.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))

    _with_descriptor(folder, call)
    return True


def _with_descriptor(path: str | Path, call: Callable[[int], None]) -> None:
    descriptor = os.open(path, READ_FLAGS)
    try:
        call(descriptor)
    except OSError as reason:
        raise OSError(reason.errno, reason.strerror, str(path)) from reason
    finally:
        os.close(descriptor)
