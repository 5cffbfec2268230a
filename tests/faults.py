"""A disk that fails, or a process that dies, at any one of the calls by which a run changes the disk."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pytest

_CHANGING = ("mkdir", "replace", "rename", "unlink", "link", "symlink", "rmdir", "fsync", "fchmod", "chmod")
_OF_DESCRIPTORS = ("write", "ftruncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class KilledError(BaseException):
    """The process is no more: nothing that comes after in it changes the disk either."""


class Disk:
    """Counts the calls that change the disk, and makes one of them fail; with `kill`, all from there on.

    number: which call, from 1; 0 for none.
    code: the error number, as in `errno.ENOSPC`.
    watch: told each call that has succeeded, by name and path.
    """

    def __init__(
        self,
        number: int = 0,
        code: int = errno.ENOSPC,
        *,
        kill: bool = False,
        watch: Callable[[str, str], None] = lambda _call, _path: None,
    ) -> None:
        self._number = number
        self._code = code
        self._kill = kill
        self._watch = watch
        self._is_watching = False
        self.calls = 0
        self.failed = ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put this disk in place of the real one."""
        for name in (*_CHANGING, *_OF_DESCRIPTORS):
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        real_open, real_fdopen = os.open, os.fdopen

        def open_(path: Any, flags: int, *arguments: Any, **options: Any) -> int:  # noqa: ANN401 - as os.open
            if not flags & _WRITING:
                return real_open(path, flags, *arguments, **options)
            self._count("open", path)
            descriptor = real_open(path, flags, *arguments, **options)
            self._tell("open", path)
            return descriptor

        def fdopen(descriptor: int, mode: str = "r", *arguments: Any) -> Any:  # noqa: ANN401 - as os.fdopen
            file = real_fdopen(descriptor, mode, *arguments)
            return _File(file, self) if "w" in mode else file

        patch.setattr(os, "open", open_)
        patch.setattr(os, "fdopen", fdopen)

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - stands for functions of all kinds
            if name == "mkdir" and Path(arguments[0]).is_dir():
                return real(*arguments, **options)  # it fails anyhow, and is meant to
            self._count(name, arguments[0])
            answer = real(*arguments, **options)
            self._tell(name, arguments[1] if name in {"replace", "rename"} else arguments[0])
            return answer

        return call

    def _tell(self, name: str, path: object) -> None:
        """Tell the watcher, whose own calls count for nothing."""
        if self._is_watching:
            return
        self._is_watching = True
        try:
            self._watch(name, str(path))
        finally:
            self._is_watching = False

    def _count(self, name: str, path: object) -> None:
        if self._is_watching:
            return
        self.calls += 1
        if self._number and (self.calls == self._number or (self._kill and self.calls > self._number)):
            self.failed = self.failed or f"{name} {path} ({errno.errorcode[self._code]})"
            if self._kill:
                raise KilledError(self.failed)
            raise OSError(self._code, os.strerror(self._code), str(path))


class _File:
    """A file that the disk is full for: half of what is written gets there."""

    def __init__(self, file: IO[bytes], disk: Disk) -> None:
        self._file = file
        self._disk = disk

    def write(self, content: bytes) -> int:
        try:
            self._disk._count("write", self._file.name)
        except BaseException:
            self._file.write(content[: len(content) // 2])
            raise
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def __enter__(self) -> "_File":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
