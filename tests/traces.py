"""What a command asked of the kernel, as strace saw it."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from programs import require

WRITES = (
    "openat|open|openat2|creat|rename|renameat|renameat2|unlink|unlinkat|mkdir|mkdirat|rmdir|link|linkat|symlink|"
    "symlinkat|mknod|mknodat|chmod|fchmod|fchmodat|fchmodat2|chown|fchown|lchown|fchownat|truncate|ftruncate|"
    "fallocate|utimensat|utimes|futimesat|setxattr|lsetxattr|fsetxattr|mount|umount2"
)
"""System calls that can change what a disk holds."""
_OPENS = {"openat", "open", "openat2"}
_FOR_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE")
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)$")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>")


@dataclass(frozen=True)
class Call:
    """A system call.

    name: of the call.
    number: which of its name in its process, from 1.
    paths: the files that it names, absolute.
    arguments, result: as strace prints them.
    """

    name: str
    number: int
    paths: tuple[Path, ...]
    arguments: str
    result: str

    @property
    def is_write(self) -> bool:
        """Whether it may have changed something: it succeeded, and it was no mere reading."""
        if self.result.startswith(("-1", "?")):
            return False
        return self.name not in _OPENS or any(flag in self.arguments for flag in _FOR_WRITING)

    def __str__(self) -> str:
        return f"{self.name}({self.arguments}) = {self.result}"


def tracing(calls: str, log: Path, *inject: str) -> Sequence[str | Path]:
    """Give the command that runs another and watches some of its system calls.

    calls: their names, separated by `|`.
    log: for what is seen.
    inject: what the kernel is to do instead, as strace spells it.
    """
    injected = [option for text in inject for option in ("-e", f"inject={text}")]
    # With its filter in the kernel, which is quicker, strace 6.1 does not send the signals that it is to inject.
    filtered = [] if inject else ["--seccomp-bpf"]
    options = ["-f", *filtered, "-qq", "-y", "-s", "0", "-e", "signal=none"]
    return [require("strace"), *options, "-e", f"trace=/^({calls})$", *injected, "-o", log]


def read_trace(log: Path, folder: Path) -> list[Call]:
    """Read what strace wrote of one command.

    log: where it wrote.
    folder: in which the command ran.
    """
    return list(_calls(log.read_text(encoding="utf-8", errors="replace").splitlines(), folder))


def _calls(lines: Sequence[str], folder: Path) -> Iterator[Call]:
    counts: dict[tuple[str, str], int] = {}
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue
        key = (found["pid"], found["name"])
        counts[key] = counts.get(key, 0) + 1
        arguments = found["arguments"]
        yield Call(found["name"], counts[key], tuple(_paths(arguments, folder)), arguments, found["result"])


def _paths(arguments: str, folder: Path) -> Iterator[Path]:
    """Give the paths that a call names, and the file behind its first descriptor where it names none."""
    quoted = [text for text in _QUOTED.findall(arguments) if text]
    opened = _DESCRIPTOR.match(arguments)
    if not quoted and opened:
        yield Path(opened[1])
    base = Path(opened[1]) if opened else folder
    for text in quoted:
        yield Path(os.path.normpath(base / text))
