"""The file of the lock: what is in its place, what it says of its holder, and that it is closed again."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest

from certgen.diagnostics import CertgenError
from certgen.store.lock import Patience, hold, wait_until_free

AT_ONCE = Patience(0)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def refused(lock: Path) -> str:
    with pytest.raises(CertgenError) as caught, hold(lock, Path("output/shop"), AT_ONCE):
        pass
    (problem,) = caught.value.diagnostics
    return f"{problem.code}: {problem.message}"


def test_what_is_in_the_way_is_named(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "away").touch()
    lock.hardlink_to(tmp_path / "away")
    with pytest.raises(CertgenError) as caught, hold(lock, lock, AT_ONCE):
        pass
    (problem,) = caught.value.diagnostics
    reason = "something that is not a file of certgen's is in the way"
    assert (problem.code, problem.where) == ("write-failed", str(lock))
    assert problem.message == f"{lock} cannot be written: {reason}"


def test_who_has_let_go_is_named_no_more(lock: Path) -> None:
    lock.write_text("a note of somebody who was killed, which is longer than the next")
    with hold(lock, lock, AT_ONCE):
        assert lock.read_text() == f"{os.getpid()} {os.uname().nodename}\n"
    assert lock.read_bytes() == b""


@pytest.mark.parametrize(
    ("note", "name"),
    [
        ("12 a-b.c_d", "process 12 on a-b.c_d"),
        (f"{'1' * 20} {'h' * 255}", f"process {'1' * 20} on {'h' * 255}"),
        (f"{'1' * 21} h", "another run"),
        (f"1 {'h' * 256}", "another run"),
        (f"1{' ' * 300}h", "another run"),
        ("\u0661 host", "another run"),
        ("1 hóst", "another run"),
        ("1 host\nx", "another run"),
    ],
)
def test_a_note_is_a_number_and_a_host(lock: Path, note: str, name: str) -> None:
    lock.write_text(note)
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert refused(lock) == f"locked: {name} is writing output/shop"
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["free", "held", "hard link", "pipe"])
def test_no_descriptor_is_left_open(lock: Path, tmp_path: Path, kind: str) -> None:
    def descriptors() -> list[str]:
        return sorted(os.listdir("/dev/fd"))  # noqa: PTH208 - the numbers alone

    if kind == "hard link":
        (tmp_path / "away").touch()
        lock.hardlink_to(tmp_path / "away")
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.touch()
    held = os.open(lock, os.O_RDWR | os.O_NONBLOCK)
    if kind == "held":
        fcntl.flock(held, fcntl.LOCK_EX)
    before = descriptors()
    for _ in range(2):
        with suppress(CertgenError), hold(lock, lock, AT_ONCE):
            pass
        with suppress(CertgenError):
            wait_until_free(lock, lock, AT_ONCE)
        assert descriptors() == before
    os.close(held)
