"""Programs side by side: in each round every one runs once, in a turning order, and is timed from outside."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_SELF, getrusage, struct_rusage
from time import perf_counter
from typing import IO, Final, NoReturn

from bench.memory import Sampler

LIMIT: Final = 1800.0
"""Seconds after which a run has failed."""
_FEWEST: Final = 3
_WORDS: Final = 300
_UNIT_OF_PEAK: Final = 1 if sys.platform == "darwin" else 1024


class FailedError(Exception):
    """A run that did not do what it was timed for; the argument is one sentence."""


@dataclass(frozen=True)
class Spent:
    """What one run cost.

    seconds: from its start to its end, by the clock on the wall.
    cpu: seconds of all of its processes.
    peak: bytes of its largest process, and at least those of the process that started it, as Linux counts; of all of
        its processes together where the lane samples them.
    """

    seconds: float
    cpu: float
    peak: int


def own_peak() -> int:
    """Give the bytes of this process at its largest."""
    return getrusage(RUSAGE_SELF).ru_maxrss * _UNIT_OF_PEAK


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Lane:
    """A program, and the state in which it is timed again and again.

    name: one of a kind in a race.
    who: how a table calls it, where all lanes do the same.
    prepare: brings the folder into being, once.
    before: brings the folder into the state that is timed, before each run.
    fault: says what is wrong with what a run left behind.
    cores: how many it may use; None for all.
    samples: whether its memory is sampled, which slows it down.
    """

    name: str
    who: str
    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = _nothing
    before: Callable[[], None] = _nothing
    fault: Callable[[], str | None] = _nothing
    cores: int | None = None
    samples: bool = False
    limit: float = LIMIT


@dataclass(frozen=True)
class Race:
    """What came of several lanes, round by round.

    spent: by name of the lane, in the order of the rounds.
    failures: by name of the lane, why it was not timed.
    """

    spent: Mapping[str, tuple[Spent, ...]]
    failures: Mapping[str, str]

    def per_round(self, value: Callable[[Mapping[str, Spent]], float]) -> list[float]:
        """Give a value of each round, from what each lane spent in it; nothing where a lane is missing."""
        rounds = [dict(zip(self.spent, spent, strict=True)) for spent in zip(*self.spent.values(), strict=True)]
        try:
            return [value(spent) for spent in rounds]
        except KeyError:
            return []


def race(
    lanes: Sequence[Lane], rounds: int, tell: Callable[[str], None] = lambda _line: None, budget: float | None = None
) -> Race:
    """Let lanes run side by side, after one round that warms the caches and is not counted.

    budget: seconds; where so many rounds would take longer, they are fewer, but at least three.
    """
    running = list(lanes)
    spent: dict[str, list[Spent]] = {lane.name: [] for lane in lanes}
    failures: dict[str, str] = {}
    began = perf_counter()
    number = 0
    while number <= rounds and running:
        turn = number % len(running)
        for lane in (*running[turn:], *running[:turn]):
            try:
                spent[lane.name].append(_turn(lane, is_first=number == 0))
            except FailedError as reason:
                tell(f"{lane.name}: {reason}")
                failures[lane.name] = str(reason)
                running.remove(lane)
        if number == 0 and budget is not None:
            rounds = min(rounds, max(_FEWEST, int(budget / (perf_counter() - began))))
        tell(f"round {number} of {rounds}" if number else "warm")
        number += 1
    return Race({lane.name: tuple(spent[lane.name][1:]) for lane in running}, failures)


def _turn(lane: Lane, *, is_first: bool) -> Spent:
    if is_first:
        lane.prepare()
    lane.before()
    cost = spend(lane)
    if (fault := lane.fault()) is not None:
        raise FailedError(fault)
    return cost


def spend(lane: Lane) -> Spent:
    """Run a lane's command once.

    Raises:
        FailedError: it did not end well.
    """
    with tempfile.TemporaryFile() as words, _confined(lane.cores):
        began = perf_counter()
        try:
            process = subprocess.Popen(
                lane.command,
                cwd=lane.folder,
                env=lane.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
        except OSError as reason:
            raise FailedError(f"{lane.command[0]}: {reason.strerror}") from None
        with Sampler(process.pid) if lane.samples else nullcontext() as sampler:
            usage = _wait(process, lane.limit)
        seconds = perf_counter() - began
        if process.returncode != 0:
            raise FailedError(f"exit {process.returncode}: {_last_words(words)}")
    peak = sampler.peak if sampler is not None else usage.ru_maxrss * _UNIT_OF_PEAK
    return Spent(seconds, usage.ru_utime + usage.ru_stime, peak)


def _wait(process: subprocess.Popen[bytes], limit: float) -> struct_rusage:
    """Wait for a process and those that it waited for, and no longer than the limit."""

    def give_up(_number: int, _frame: object) -> NoReturn:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit)
    is_late = False
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException as reason:
        is_late = isinstance(reason, TimeoutError)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        if not is_late:
            raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    process.returncode = os.waitstatus_to_exitcode(status)
    if is_late:
        raise FailedError(f"not done after {limit:g} seconds")
    return usage


@contextmanager
def _confined(cores: int | None) -> Iterator[None]:
    """Lend what is started inside so many cores, where the system can."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def _last_words(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read().decode(errors="replace").strip()[-_WORDS:] or "it said nothing"
