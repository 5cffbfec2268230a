"""certgen as a program under strace: what it starts, whom it calls, and how it makes files."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from programs import require

_STARTS = ("execve", "execveat", "clone", "clone3", "fork", "vfork")
_CALLS_OUT = ("socket", "socketpair", "connect", "bind", "sendto", "sendmsg")
_FILES = (
    "openat", "openat2", "open", "creat", "fstat", "newfstatat", "write", "pwrite64", "writev", "fchmod", "chmod",
    "fchmodat", "fchmodat2", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "mknod", "mknodat", "memfd_create",
)  # fmt: skip
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (.*)", re.DOTALL)
_UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_SECONDS = 60


@dataclass(frozen=True)
class Call:
    """One system call.

    name: of the call.
    words: its arguments, as strace writes them.
    result: what it gave, as strace writes it.
    """

    name: str
    words: str
    result: str

    @property
    def has_failed(self) -> bool:
        return self.result.startswith("-1")

    @property
    def path(self) -> str:
        """Give the file that a descriptor, or what the call opened, stands for."""
        found = re.match(r"\d+<([^>]*)>", self.result if self.name.startswith("open") else self.words)
        return found.group(1) if found else ""


@dataclass(frozen=True)
class Trace:
    """What a command did.

    code: its exit code.
    out, err: what it printed.
    calls: its system calls, those of its threads and children among them.
    """

    code: int
    out: str
    err: str
    calls: tuple[Call, ...]

    def children(self) -> list[Call]:
        """Give the calls that started a program or a process, but for the command's own start."""
        started = [call for call in self.calls if call.name in _STARTS and not call.has_failed]
        return [call for call in started[1:] if "CLONE_THREAD" not in call.words]

    def connections(self) -> list[Call]:
        """Give the calls that reach for the network, or for another process on this machine."""
        return [call for call in self.calls if call.name in _CALLS_OUT]

    def made(self, folder: Path) -> list["MadeFile"]:
        """Give the files that were created below a folder, in their order."""
        found = [
            MadeFile(call.path, call, tuple(self._later(number, call.path)))
            for number, call in enumerate(self.calls)
            if call.name in {"open", "openat", "creat"} and "O_CREAT" in call.words and not call.has_failed
        ]
        return [file for file in found if Path(file.path).is_relative_to(folder)]

    def _later(self, number: int, path: str) -> Iterator[Call]:
        return (call for call in self.calls[number + 1 :] if not call.name.startswith("open") and call.path == path)


@dataclass(frozen=True)
class MadeFile:
    """A file from its creation on.

    path: where it was created.
    creation: the call.
    later: the calls on its descriptor thereafter.
    """

    path: str
    creation: Call
    later: tuple[Call, ...]

    @property
    def is_new(self) -> bool:
        return "O_EXCL" in self.creation.words

    @property
    def mode(self) -> int:
        """Give the mode with which it was asked for."""
        return int(self.creation.words.rsplit(", ", 1)[1], 8)

    @property
    def first_look(self) -> int | None:
        """Give the mode that the kernel told first."""
        looks = (re.search(r"st_mode=S_IFREG\|(\d+)", call.words) for call in self.later if "stat" in call.name)
        return next((int(found.group(1), 8) for found in looks if found), None)

    @property
    def changes(self) -> list[int]:
        """Give the modes that it got later."""
        return [int(call.words.rsplit(", ", 1)[1], 8) for call in self.later if call.name == "fchmod"]

    def holds(self, text: str) -> bool:
        """Tell whether a text was written to it, in the first hundreds of bytes of a write."""
        return any(text in call.words for call in self.later if "write" in call.name)


def trace(
    arguments: Sequence[str | Path],
    folder: Path,
    umask: int = 0o022,
    *,
    watches_files: bool = False,
) -> Trace:
    """Type a command, and record what it does.

    arguments: of certgen.
    folder: where it runs.
    umask: of the process.
    watches_files: whether to record how files are made, too; it takes three times as long.
    """
    program = [sys.executable, "-m", "certgen", *arguments]
    return trace_program(program, folder, umask, watches_files=watches_files)


def trace_program(
    program: Sequence[str | Path], folder: Path, umask: int = 0o022, *, watches_files: bool = False
) -> Trace:
    """Run any program, and record what it does; see `trace`."""
    record = folder / "strace.log"
    names = (*_STARTS, *_CALLS_OUT, *(_FILES if watches_files else ()))
    chosen = ",".join(("%network", "%process", *(f"?{name}" for name in names)))
    options = ["-f", "-qq", "-y", "--seccomp-bpf", "-v", "-s", "4000", "-e", f"trace={chosen}", "-e", "signal=none"]
    done = subprocess.run(
        [require("strace"), *options, "-o", record, *program],
        check=False,
        cwd=folder,
        umask=umask,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    calls = tuple(_calls(record.read_text(errors="replace")))
    record.unlink()
    if not calls:
        message = f"strace recorded nothing: {done.stderr}"
        raise AssertionError(message)
    return Trace(done.returncode, done.stdout, done.stderr, calls)


def _calls(text: str) -> Iterator[Call]:
    """Read strace's record; a call that another thread interrupted stands in two lines."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        if found := _UNFINISHED.fullmatch(line):
            begun[found.group(1)] = found.group(2)
            continue
        whole = line
        if found := _RESUMED.fullmatch(line):
            whole = f"{found.group(1)} {begun.pop(found.group(1), '')}{found.group(2)}"
        if found := _LINE.fullmatch(whole):
            yield Call(*found.groups()[1:])
