"""Work that is spread over processes: all of it is done, once, whoever dies."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from certgen.diagnostics import CertgenError, error
from certgen.signers import workers as module
from certgen.signers.workers import Workers, _begin, _pieces

COSTLY = [0.1] * 12


def tell(number: int) -> tuple[int, int]:
    """Say who worked on what."""
    return number, os.getpid()


def started(jobs: int, seconds: list[float]) -> bool:
    workers = Workers(tell, range(len(seconds)), seconds, jobs)
    try:
        found = [workers.take(number) for number in range(len(seconds))]
    finally:
        workers.close()
    assert [number for number, _ in found] == list(range(len(seconds)))
    return os.getpid() not in {process for _, process in found}


def test_all_is_done_by_others_and_each_thing_once(tmp_path: Path) -> None:
    def note(number: int) -> int:
        with (tmp_path / str(number)).open("x") as file:
            file.write(str(os.getpid()))
        return number * number

    workers = Workers(note, range(30), [0.1] * 30, 2)
    # In any order: whoever takes does not know who is done.
    assert {number: workers.take(number) for number in reversed(range(30))} == {n: n * n for n in range(30)}
    workers.close()
    processes = {path.read_text() for path in tmp_path.iterdir()}
    assert str(os.getpid()) not in processes
    assert len(processes) <= 2


@pytest.mark.parametrize(
    ("jobs", "seconds", "pays"),
    [(2, COSTLY, True), (1, COSTLY, False), (2, [9.0], False), (2, [0.0003] * 300, False), (2, [0.0003] * 500, True)],
    ids=["costly", "one process", "one thing", "little", "much of little"],
)
def test_processes_are_started_where_they_pay(jobs: int, seconds: list[float], pays: bool) -> None:
    assert started(jobs, seconds) is pays


def test_what_is_costly_is_begun_first_and_alone_and_the_rest_in_its_order() -> None:
    assert _pieces([0.0, 0.5, 0.0, 0.15, 0.5]) == [[1], [4], [3], [0, 2]]
    many = _pieces([0.001] * 25)
    assert [number for piece in many for number in piece] == list(range(25))
    assert len(many) == 3
    assert _pieces([]) == []


def test_what_a_killed_process_owed_is_done_here() -> None:
    def die_elsewhere(number: int, parent: int = os.getpid()) -> int:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return -number

    workers = Workers(die_elsewhere, range(5), [1.0] * 5, 2)
    assert [workers.take(number) for number in range(5)] == [0, -1, -2, -3, -4]
    workers.close()


def test_what_the_work_says_no_to_is_said_here() -> None:
    def refuse(number: int) -> int:
        raise CertgenError([error("cannot-sign", f"not {number} by {os.getpid()}")])

    workers = Workers(refuse, range(3), [1.0] * 3, 2)
    with pytest.raises(CertgenError, match=f"not 1 by {os.getpid()}"):
        workers.take(1)
    workers.close()


def test_what_nobody_asks_for_any_more_is_not_done(tmp_path: Path) -> None:
    def note(number: int) -> int:
        (tmp_path / str(number)).touch()
        time.sleep(0.05)
        return number

    workers = Workers(note, range(100), [1.0] * 100, 2)
    assert workers.take(0) == 0
    workers.close()
    time.sleep(0.5)
    assert 1 <= len(list(tmp_path.iterdir())) < 20


def test_a_process_that_works_leaves_the_interrupt_to_its_parent() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), module._task
    try:
        _begin(tell, ())
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
        module._task = before[2]


@pytest.mark.parametrize("call", ["fork", "sem_open"])
def test_where_no_process_can_be_had_all_is_done_here(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A container may have no semaphores, and a user no process left."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    if call == "fork":
        monkeypatch.setattr(os, "fork", refuse)
    else:
        monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    workers = Workers(tell, range(5), [1.0] * 5, 2)
    assert [workers.take(number) for number in range(5)] == [(number, os.getpid()) for number in range(5)]
    workers.close()
