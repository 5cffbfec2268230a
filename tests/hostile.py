"""Things that stand where certgen would write: links, pipes, devices, files of others; and what must not change."""

import fcntl
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner
from scene import is_machines, is_stamp

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS

MINE = b"mine, and nobody else's\n"
SECONDS = 20
"""What a command may take before it counts as hanging."""

_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10
"""Of <linux/fs.h>."""


@dataclass(frozen=True)
class Seen:
    """All of a file, a folder or a link that a stranger's program could spoil."""

    kind: int
    mode: int
    owner: int
    inode: int
    modified: int
    content: bytes


def look(root: Path) -> Mapping[str, Seen]:
    """Look at a folder and everything below it, following nothing.

    root: the folder; it may be anything else, or not be there.
    """
    paths = [root] if os.path.lexists(root) else []
    if paths and root.is_dir() and not root.is_symlink():
        for folder, folders, files in os.walk(root):
            paths += [Path(folder, name) for name in (*folders, *files)]
    return {str(path.relative_to(root)): _look_at(path) for path in paths if not is_stamp(path)}


def _look_at(path: Path) -> Seen:
    found = path.lstat()
    content = b""
    if stat.S_ISLNK(found.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    mode = stat.S_IMODE(found.st_mode)
    modified = 0 if is_machines(path) else found.st_mtime_ns
    return Seen(stat.S_IFMT(found.st_mode), mode, found.st_uid, found.st_ino, modified, content)


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    code: its exit code.
    out: standard output.
    err: standard error.
    """

    code: int
    out: str
    err: str


class HangingError(BaseException):
    """A command took longer than any may."""


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """End what runs in a `with` after a time, be it in a system call that waits for ever."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as the library calls it
        raise HangingError

    old = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def typed(*arguments: str | Path, seconds: float = SECONDS) -> Answer:
    """Type a command in this process; a traceback and a hang fail the test.

    arguments: of certgen.
    seconds: that it may take.
    """
    assert COMMANDS, "what has added its commands to the group"
    with no_longer_than(seconds):
        result = CliRunner().invoke(certgen, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@contextmanager
def user(uid: int) -> Iterator[None]:
    """Be another user for the length of a `with`, as the kernel sees it.

    uid: of the user; needs root where it is not the one that runs.
    """
    if uid == os.geteuid():
        yield
        return
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def require_root() -> None:
    """Skip what only root can set up; in CI that is a failure."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root can set this up")


@dataclass(frozen=True)
class Spot:
    """Where something is planted.

    place: the path; nothing stands there.
    outside: a folder of victims.
    aside: what stood at the place, if anything did.
    """

    place: Path
    outside: Path
    aside: Path


def _link_to_file(spot: Spot) -> None:
    (spot.outside / "victim").write_bytes(MINE)
    spot.place.symlink_to(spot.outside / "victim")


def _dangling_link(spot: Spot) -> None:
    spot.place.symlink_to(spot.outside / "nothing")


def _link_to_folder(spot: Spot) -> None:
    """Lead to what stood there, so that all that is read through the link is as it should be."""
    if spot.aside.is_dir():
        shutil.copytree(spot.aside, spot.outside / "moved", symlinks=True)
    else:
        (spot.outside / "moved").mkdir()
    (spot.outside / "moved/victim").write_bytes(MINE)
    spot.place.symlink_to(spot.outside / "moved")


def _link_to_itself(spot: Spot) -> None:
    spot.place.symlink_to(spot.place)


def _hard_link(spot: Spot) -> None:
    (spot.outside / "victim").write_bytes(MINE)
    spot.place.hardlink_to(spot.outside / "victim")


def _second_name(spot: Spot) -> None:
    if not spot.aside.is_file():
        pytest.skip("nothing stands there that could have a second name")
    shutil.copy2(spot.aside, spot.place)
    (spot.outside / "victim").hardlink_to(spot.place)


def _pipe(spot: Spot) -> None:
    os.mkfifo(spot.place)


def _socket(spot: Spot) -> None:
    os.mknod(spot.place, 0o666 | stat.S_IFSOCK)


def _device(spot: Spot) -> None:
    require_root()
    try:
        os.mknod(spot.place, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("the kernel makes no device nodes here")


def _empty_folder(spot: Spot) -> None:
    spot.place.mkdir()


def _full_folder(spot: Spot) -> None:
    if spot.aside.is_dir():
        shutil.copytree(spot.aside, spot.place, symlinks=True)
    else:
        spot.place.mkdir()
    (spot.place / "notes").write_bytes(MINE)


def _foreign_file(spot: Spot) -> None:
    spot.place.write_bytes(MINE)


def _closed_file(spot: Spot) -> None:
    spot.place.write_bytes(MINE)
    spot.place.chmod(0)


def _immutable_file(spot: Spot) -> None:
    spot.place.write_bytes(MINE)
    make_immutable(spot.place)


def _immutable_folder(spot: Spot) -> None:
    _full_folder(spot)
    make_immutable(spot.place)


PLANTS: Mapping[str, Callable[[Spot], None]] = {
    "link to a file": _link_to_file,
    "dangling link": _dangling_link,
    "link to a folder": _link_to_folder,
    "link to itself": _link_to_itself,
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "empty folder": _empty_folder,
    "full folder": _full_folder,
    "immutable folder": _immutable_folder,
    "hard link": _hard_link,
    "second name": _second_name,
    "foreign file": _foreign_file,
    "closed file": _closed_file,
    "immutable file": _immutable_file,
}


def plant(name: str, spot: Spot) -> None:
    """Put something where certgen would write; what stands there is set aside.

    name: of the plant.
    spot: where.
    """
    spot.place.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(spot.place):
        spot.place.rename(spot.aside)
    PLANTS[name](spot)


def mend(spot: Spot) -> None:
    """Take a plant away, and put back what stood there."""
    release(spot.place)
    if spot.place.is_dir() and not spot.place.is_symlink():
        shutil.rmtree(spot.place)
    elif os.path.lexists(spot.place):
        spot.place.unlink()
    if os.path.lexists(spot.aside):
        spot.aside.rename(spot.place)


def make_immutable(path: Path) -> None:
    """Make a file one that not even root can write, rename or remove.

    path: of a regular file or a folder.
    """
    require_root()
    try:
        _flag(path, True)
    except OSError as reason:
        pytest.skip(f"this file system knows no immutable files: {reason}")


def release(root: Path) -> None:
    """Make everything removable again, from a folder down.

    root: the folder, or a file.
    """
    paths = [root, *(Path(folder, name) for folder, *names in os.walk(root) for name in (*names[0], *names[1]))]
    for path in paths:
        if os.path.lexists(path) and stat.S_IFMT(path.lstat().st_mode) in {stat.S_IFREG, stat.S_IFDIR}:
            with suppress(OSError):
                _flag(path, False)


def _flag(path: Path, is_immutable: bool) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        flags = bytearray(8)
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        was = int.from_bytes(flags, "little")
        value = was | _IMMUTABLE if is_immutable else was & ~_IMMUTABLE
        if value != was:
            fcntl.ioctl(descriptor, _SET_FLAGS, value.to_bytes(8, "little"))
    finally:
        os.close(descriptor)
