"""The lock: the kernel's, so that it dies with its holder; the file says who that is."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certgen.diagnostics import CertgenError, error
from certgen.store.files import explained, let_go
from certgen.tree import PRIVATE_MODE


@dataclass(frozen=True, slots=True)
class Patience:
    """How a run waits for another."""

    seconds: float = 10.0
    told: Callable[[str], None] = lambda sentence: None  # noqa: ARG005 - the observer that looks away
    """Told once, in a sentence, for whom it waits."""


PATIENT: Final = Patience()

_PAUSE: Final = 0.05
_LONGEST_NOTE: Final = 300
_HOLDER: Final = re.compile(r"\d{1,20} [A-Za-z0-9._-]{1,255}", re.ASCII)
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


_LOCKED: Final[set[int]] = set()
"""The descriptors by which this process holds locks."""


def _leave_locks_to_the_parent() -> None:
    """Let go, in a process that was just forked, of what would keep the locks of a parent that dies."""
    for descriptor in _LOCKED:
        let_go(descriptor)
    _LOCKED.clear()


os.register_at_fork(after_in_child=_leave_locks_to_the_parent)


@contextmanager
def hold(path: Path, tree: Path, patience: Patience = PATIENT) -> Iterator[None]:
    """Hold a lock for as long as the block runs.

    Args:
        path: the lock's file; it is made where it is not there, and it stays.
        tree: what it keeps others from, for the message.
        patience: how to wait for another holder.

    Raises:
        CertgenError: the file cannot be opened, or another run holds the lock for too long.
    """
    with explained(path):
        descriptor = _acquire(path, tree, patience, os.O_RDWR | os.O_CREAT)
    with ExitStack() as ending:
        ending.callback(let_go, descriptor)
        _LOCKED.add(descriptor)
        ending.callback(_LOCKED.discard, descriptor)
        with explained(path):
            note = f"{os.getpid()} {os.uname().nodename}\n".encode()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note, 0)
        ending.callback(_forget_holder, descriptor)
        yield


def wait_until_free(path: Path, tree: Path, patience: Patience = PATIENT) -> bool:
    """Wait until nobody holds a lock, and write nothing.

    Args:
        path: the lock's file.
        tree: what it keeps others from, for the message.
        patience: how to wait.

    Returns:
        Whether there was somebody to wait for.

    Raises:
        CertgenError: another run holds the lock for too long.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return False
    with explained(path), ExitStack() as ending:
        ending.callback(let_go, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _try(descriptor):
            return False
    with explained(path):
        let_go(_acquire(path, tree, patience, os.O_RDONLY))
    return True


def _acquire(path: Path, tree: Path, patience: Patience, flags: int) -> int:
    """Give the descriptor of the lock's file, locked."""
    deadline = time.monotonic() + patience.seconds
    while True:
        descriptor, is_held = _open(path, flags), False
        try:
            _wait(descriptor, tree, patience, deadline)
            # Somebody may have put another file in its place while this one was waited for.
            is_held = _is_same_file(descriptor, path)
            if is_held:
                return descriptor
        finally:
            if not is_held:
                let_go(descriptor)


def _wait(descriptor: int, tree: Path, patience: Patience, deadline: float) -> None:
    is_told = False
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            raise _held(descriptor, tree, patience.seconds)
        if not is_told:
            is_told = True
            patience.told(f"waiting: {_holder(descriptor)} is writing {tree}")
        time.sleep(_PAUSE)


def _open(path: Path, flags: int) -> int:
    """Open the lock's file, but not what somebody else may have put there."""
    descriptor = os.open(path, flags | _FLAGS, PRIVATE_MODE)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "something that is not a file of certgen's is in the way", str(path))


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _held(descriptor: int, tree: Path, seconds: float) -> CertgenError:
    waited = f"; it still is after {seconds:g} s" if seconds else ""
    help_ = "wait for it to end, or give it longer with `--lock-timeout 5m`"
    return CertgenError(
        [error("locked", f"{_holder(descriptor)} is writing {tree}{waited}", help=help_, where=str(tree))]
    )


def _forget_holder(descriptor: int) -> None:
    with suppress(OSError):
        os.ftruncate(descriptor, 0)


def _holder(descriptor: int) -> str:
    """Name the holder by what he wrote into the file; what somebody else may have written there is not repeated."""
    note = os.pread(descriptor, _LONGEST_NOTE, 0).decode("ascii", "replace").strip()
    process, _, host = note.partition(" ")
    return f"process {process} on {host}" if _HOLDER.fullmatch(note) else "another run"
