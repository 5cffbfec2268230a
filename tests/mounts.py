"""Real file systems for a test, mounted for the length of a `with`; where the kernel refuses one the skip says so."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import eventually, require

_granted: set[str] = set()
"""What the kernel has mounted for this process before."""


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """Mount a file system that lives in memory.

    folder: where; it is made.
    options: as of mount, `size=64k`.
    """
    with _mounted("tmpfs", folder, ["-t", "tmpfs", "-o", options, "none"]):
        yield folder


@contextmanager
def ext4(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image, so that nothing reaches it before its time unless somebody asks for a sync.

    image: a file with an ext4 file system.
    folder: where; it is made.
    """
    with _mounted("ext4", folder, ["-o", "loop,commit=300,noauto_da_alloc", image]):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Make a folder a read-only file system of its own.

    folder: is there.
    """
    with _mounted("bind", folder, ["--bind", folder]):
        remount(folder, "ro,bind")
        yield folder


def remount(folder: Path, options: str) -> None:
    """Give a mounted file system other options.

    folder: where it is mounted.
    options: as of mount.
    """
    _demand(f"remount,{options}", [require("mount"), "-o", f"remount,{options}", folder])


def make_ext4(image: Path, size: str) -> None:
    """Make an image with an empty file system.

    image: the file.
    size: of the file, as truncate spells it.
    """
    _demand_root()
    program = require("mkfs.ext4")
    subprocess.run([require("truncate"), "-s", size, image], check=True, capture_output=True)
    subprocess.run([program, "-q", "-F", image], check=True, capture_output=True)


@contextmanager
def _mounted(kind: str, folder: Path, arguments: Sequence[str | Path]) -> Iterator[None]:
    _demand_root()
    folder.mkdir(parents=True, exist_ok=True)
    _demand(kind, [require("mount"), *arguments, folder])
    try:
        yield
    finally:
        unmount = [require("umount"), folder]
        # Whoever was killed a moment ago may still hold the file system.
        is_gone = eventually(lambda: subprocess.run(unmount, capture_output=True, check=False).returncode == 0, 10)
        if not is_gone:
            subprocess.run([require("umount"), "--lazy", folder], check=True)
    assert is_gone, f"{folder} was busy to the end"


def _demand_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")


def _demand(kind: str, command: Sequence[str | Path]) -> None:
    """Run a command; what the kernel once did it has to do again, or a file system that is broken would be a skip."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        _granted.add(kind)
        return
    reason = f"the kernel refuses `{' '.join(map(str, command))}`: {done.stderr.strip()}"
    if kind in _granted:
        raise AssertionError(reason)
    pytest.skip(reason)
