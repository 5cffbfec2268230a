"""Where a run can be cut short: each call by which it touches the tree, and each way in which that call can fail."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from .tracing import Call

KILL: Final = "kill"

_FULL: Final = ("ENOSPC", "EDQUOT")
_NEW_NAME: Final = (*_FULL, "EIO", "EROFS", "EACCES")
_OLD_NAME: Final = ("EIO", "EROFS", "EACCES")
_ERRORS: Mapping[str, tuple[str, ...]] = {
    "mkdir": _NEW_NAME,
    "mkdirat": _NEW_NAME,
    "rename": _NEW_NAME,
    "renameat": _NEW_NAME,
    "renameat2": _NEW_NAME,
    "link": _NEW_NAME,
    "linkat": _NEW_NAME,
    "symlink": _NEW_NAME,
    "symlinkat": _NEW_NAME,
    "unlink": _OLD_NAME,
    "unlinkat": _OLD_NAME,
    "rmdir": _OLD_NAME,
    "chmod": _OLD_NAME,
    "fchmodat": _OLD_NAME,
    "fchmodat2": _OLD_NAME,
    "chown": _OLD_NAME,
    "truncate": _OLD_NAME,
    "utimensat": _OLD_NAME,
    "fchmod": ("EIO", "EROFS"),
    "fchown": ("EIO", "EROFS"),
    "write": (*_FULL, "EIO"),
    "writev": (*_FULL, "EIO"),
    "pwrite64": (*_FULL, "EIO"),
    "copy_file_range": (*_FULL, "EIO"),
    "sendfile": ("EIO",),
    "fsync": (*_FULL, "EIO"),
    "fdatasync": (*_FULL, "EIO"),
    "syncfs": (*_FULL, "EIO"),
    "ftruncate": ("EIO",),
    "fallocate": (*_FULL, "EIO"),
    "flock": ("EIO",),
    "close": (*_FULL, "EIO"),
    "read": ("EIO",),
    "getdents64": ("EIO",),
}
"""What each call can fail with, of the errors that the sweep is about; close and flock on a network's file system."""
_OPENING_TO_READ: Final = ("EIO", "EACCES", "EMFILE")
_OPENING_TO_WRITE: Final = (*_OPENING_TO_READ, "EROFS")
_OPENING_TO_MAKE: Final = (*_OPENING_TO_WRITE, *_FULL)
_OPENS: Final = ("open", "creat", "openat", "openat2")


@dataclass(frozen=True)
class Point:
    """One call of a scenario's run, and what is done to it.

    scenario: its name.
    action: `kill`, or the name of an error.
    call: as the undisturbed run made it.
    """

    scenario: str
    action: str
    call: Call

    def __str__(self) -> str:
        return f"{self.scenario}/{self.action}/{self.call.name}/{self.call.ordinal}"

    @property
    def injection(self) -> str:
        """As after strace's `-e inject=`; SIGKILL comes as the call is entered, which is then not carried out."""
        effect = "signal=SIGKILL" if self.action == KILL else f"error={self.action}"
        return f"{self.call.name}:{effect}:when={self.call.ordinal}"

    def is_call(self, other: Call) -> bool:
        """Whether a call of another run is this one."""
        mine, its = self.call, other
        return (mine.name, mine.ordinal, mine.paths, mine.flags) == (its.name, its.ordinal, its.paths, its.flags)


def calls_on_output(calls: Iterable[Call]) -> tuple[Call, ...]:
    """Choose the calls about the output and what is below it, and those about all there is."""
    return tuple(call for call in calls if call.name == "sync" or any(map(_is_of_output, call.paths)))


def _is_of_output(path: str) -> bool:
    return PurePosixPath(path).is_relative_to("output")


def kill_points(scenario: str, calls: Iterable[Call]) -> tuple[Point, ...]:
    """Give a point for each call that changes the tree or opens a file of it.

    scenario: whose run it was.
    calls: about the tree.
    """
    return tuple(Point(scenario, KILL, call) for call in calls if not call.is_reading or call.name in _OPENS)


def failing_points(scenario: str, calls: Iterable[Call]) -> tuple[Point, ...]:
    """Give a point for each way in which each call can fail.

    scenario: whose run it was.
    calls: about the tree.
    """
    return tuple(Point(scenario, error, call) for call in calls if _can_fail(call) for error in errors_of(call))


def _can_fail(call: Call) -> bool:
    """Whether another answer would be new to the run; that a name is taken, or not there, the kernel sees first."""
    is_answered = call.result is not None and (call.result >= 0 or call.is_looking or call.name in _OPENS)
    return is_answered and (call.name != "close" or call.is_after_write)


def errors_of(call: Call) -> tuple[str, ...]:
    """Name the errors that a call can fail with; of an unknown call it is a `KeyError`, so that none is passed over."""
    if call.name in _OPENS:
        if "O_CREAT" in call.flags or call.name == "creat":
            return _OPENING_TO_MAKE
        return _OPENING_TO_READ if call.is_reading else _OPENING_TO_WRITE
    if call.is_looking:
        return ("EIO",)
    return () if call.name == "sync" else _ERRORS[call.name]
