"""What strace wrote, as values: each system call with the paths that it is about."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

_OPENING: Final = ("open", "creat", "openat", "openat2")
_LOOKING: Final = ("stat", "lstat", "newfstatat", "fstatat64", "statx", "access", "faccessat", "faccessat2", "fstat")
_OF_PATHS: Final = (
    *_OPENING,
    *_LOOKING,
    *("mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("link", "linkat", "symlink", "symlinkat", "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat"),
    *("truncate", "utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "removexattr"),
)
_WRITING: Final = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "sendfile", "splice")
_OF_DESCRIPTORS: Final = (
    *_WRITING,
    *("fsync", "fdatasync", "syncfs", "sync_file_range", "fchmod", "fchown", "ftruncate", "fallocate", "flock"),
    *("fsetxattr", "fremovexattr", "close", "read", "pread64", "readv", "preadv", "getdents", "getdents64"),
)
_OF_ALL: Final = ("sync",)
TRACED: Final = (*_OF_PATHS, *_OF_DESCRIPTORS, *_OF_ALL)
UNTRACED: Final = frozenset({"statfs", "fstatfs", "lseek", "ioctl", "fcntl", "readlink", "readlinkat"})
"""Calls that may be about the tree, and are never cut short: they change nothing, and say nothing of what is there."""

_LINE = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)")
_RESULT = re.compile(r"\) += (?P<result>-?\d+|\?)(?P<rest>.*)$")
_DESCRIPTOR = re.compile(r"(?P<number>AT_FDCWD|\d+)<(?P<path>[^>]*)>")
_WORDS = re.compile(rf'{_DESCRIPTOR.pattern}|"(?P<text>(?:[^"\\]|\\.)*)"')
_DELETED: Final = " (deleted)"
_READ_ONLY: Final = "O_RDONLY"


@dataclass(frozen=True)
class Call:
    """One system call of one process.

    name: of the system call.
    ordinal: which call of this name it is in its process, from 1.
    paths: relative to the folder of the run where they are below it, else absolute.
    flags: how a file is opened, else empty.
    result: what it returned; nothing where the process did not live to see it.
    is_injected: whether strace made it fail.
    is_after_write: whether it closes a descriptor that was written to.
    """

    name: str
    ordinal: int
    paths: tuple[str, ...]
    flags: str = ""
    result: int | None = None
    is_injected: bool = False
    is_after_write: bool = False

    @property
    def is_reading(self) -> bool:
        """Whether it leaves the disk as it was."""
        if self.name in _OPENING:
            return self.flags.startswith(_READ_ONLY) and "O_CREAT" not in self.flags
        if self.name == "close":
            return not self.is_after_write
        return self.is_looking or self.name.startswith(("read", "pread", "getdents"))

    @property
    def is_looking(self) -> bool:
        """Whether it asks what there is, of what kind and with what mode."""
        return self.name in _LOOKING


def strace_options(log: str, inject: str = "", names: Iterable[str] = TRACED) -> list[str]:
    """Give the command of strace, but for what it traces.

    log: the file for what it finds.
    inject: as after `-e inject=`.
    names: of the system calls.
    """
    # A question mark lets strace pass over what this processor's kernel does not have.
    trace = "trace=" + ",".join(f"?{name}" for name in names)
    options = ["strace", "-f", "-y", "-s", "0", "-o", log, "-e", trace, "-e", "signal=none"]
    return [*options, "-e", f"inject={inject}"] if inject else options


def parse_trace(text: str, folder: str) -> tuple[Call, ...]:
    """Read the calls of the first process in a trace; certgen has no other.

    text: what strace wrote.
    folder: where the process ran.
    """
    lines = [line for line in text.splitlines() if _LINE.match(line)]
    first = lines[0].split(" ", 1)[0] if lines else ""
    others = sorted({line.split(" ", 1)[0] for line in lines} - {first})
    if others:
        message = f"certgen started processes or threads: {', '.join(others)}"
        raise ValueError(message)
    return tuple(_calls(lines, folder))


def _calls(lines: Iterable[str], folder: str) -> Iterator[Call]:
    counts: dict[str, int] = {}
    written: set[str] = set()
    for line in lines:
        found = _LINE.match(line)
        assert found is not None
        name, arguments = found["name"], found["arguments"]
        counts[name] = counts.get(name, 0) + 1
        ended = _RESULT.search(arguments)
        result = None if ended is None or ended["result"] == "?" else int(ended["result"])
        if ended is not None:
            arguments = arguments[: ended.start()]
        number = (_DESCRIPTOR.match(arguments) or {"number": ""})["number"]
        is_after_write = name == "close" and number in written
        if name in _WRITING:
            written.add(number)
        elif name == "close":
            written.discard(number)
        yield Call(
            name,
            counts[name],
            tuple(_relative(path, folder) for path in _paths(name, arguments, folder)),
            _flags(name, arguments),
            result,
            ended is not None and "(INJECTED)" in ended["rest"],
            is_after_write,
        )


def _paths(name: str, arguments: str, folder: str) -> Iterator[str]:
    words = [] if name in _OF_DESCRIPTORS else list(_WORDS.finditer(arguments))
    if name not in _OF_PATHS or not any(found["path"] is None for found in words):
        yield from (_plain(found["path"]) for found in _DESCRIPTOR.finditer(arguments))
    base = folder
    for found in words:
        if found["path"] is not None:
            base = _plain(found["path"])
            continue
        yield str(PurePosixPath(base, found["text"]))
        base = folder


def _relative(path: str, folder: str) -> str:
    whole = PurePosixPath(path)
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else path


def _plain(path: str) -> str:
    return path.removesuffix(_DELETED)


def _flags(name: str, arguments: str) -> str:
    if name not in _OPENING:
        return ""
    words: Sequence[str] = _WORDS.sub("", arguments).replace(" ", "").split(",")
    return next((word for word in words if word.startswith(("O_", "{flags="))), "")
