"""Files that hold secrets: those that a person names, and those that are made for one person alone."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from certgen.diagnostics import CertgenError, error
from certgen.store.files import MAXIMUM_FILE, create_file, explained, read_file
from certgen.tree import PRIVATE_MODE, FileKind


def read_secret(path: Path) -> bytes:
    """Read a file that a person names, wherever it is, and whatever links lead to it.

    Raises:
        CertgenError: it cannot be read.
    """
    state = read_file(os.path.realpath(path))
    if state.kind is FileKind.FILE:
        return state.content
    reason = "does not exist" if state.kind is FileKind.ABSENT else f"cannot be read: {state.reason}"
    raise CertgenError([error("unreadable", f"{path} {reason}", where=str(path))])


def read_descriptor(descriptor: int) -> bytes:
    """Read what whoever started this run has opened for it, to its end.

    Raises:
        CertgenError: nothing is open there, or it is too long.
    """
    try:
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAXIMUM_FILE + 1)
    except OSError as reason:
        message = f"file descriptor {descriptor} cannot be read: {reason.strerror}"
        raise CertgenError([error("unreadable", message, where=str(descriptor))]) from None
    if len(content) > MAXIMUM_FILE:
        message = f"file descriptor {descriptor} gives more than {MAXIMUM_FILE} bytes"
        raise CertgenError([error("unreadable", message, where=str(descriptor))])
    return content


def create_private(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet, for its owner alone, with the folders above it.

    Raises:
        CertgenError: it exists, or the disk refused.
    """
    create_file(path, content, PRIVATE_MODE)


def append_private(path: Path) -> None:
    """Make a file that only its owner can read, if it is not there, for somebody who will add to it.

    Raises:
        CertgenError: the disk refused.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with explained(path):
        descriptor = os.open(path, flags, PRIVATE_MODE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(path))
            os.fchmod(descriptor, PRIVATE_MODE)
        finally:
            os.close(descriptor)
