"""Work that is spread over processes: threads do not help, since the library of keys holds the interpreter."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from certgen.diagnostics import CertgenError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

POOL_SECONDS: Final = 0.12
"""Work on one core below which other processes do not pay: they cost 50 ms, and save at most half."""
PIECE_SECONDS: Final = 0.01
"""Work that is handed over at once."""

_ENDS: Final = frozenset({signal.SIGINT, signal.SIGTERM})
_task: tuple[Callable[[Any], Any], Sequence[Any]] = (lambda item: item, ())
"""In a process that works: what is done, and for what."""


def pays(seconds: Sequence[float], jobs: int) -> bool:
    """Tell whether so many processes are worth their start.

    Args:
        seconds: what each item costs on one core.
        jobs: how many there may be.
    """
    return jobs > 1 and len(seconds) > 1 and sum(seconds) >= POOL_SECONDS


class Workers(Generic[_Item, _Result]):
    """Does one thing for many items in other processes, the costly ones first.

    Args:
        work: what is done; what it says no to by a `CertgenError` is left to be done here, and said again.
        items: for what.
        seconds: what each costs on one core.
        jobs: how many processes may do it.
    """

    def __init__(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item], seconds: Sequence[float], jobs: int
    ) -> None:
        self._work = work
        self._items = items
        self._pool: ProcessPoolExecutor | None = None
        self._pieces: dict[int, tuple[Future[list[_Result | None]], int]] = {}
        if pays(seconds, jobs):
            self._start(_pieces(seconds), min(jobs, len(items)))

    def take(self, index: int) -> _Result:
        """Give what the work gave for an item; it is done here where nobody else has.

        Raises:
            CertgenError: the work says no.
        """
        future, place = self._pieces.pop(index, (None, 0))
        found = None if future is None else _given(future, place)
        return self._work(self._items[index]) if found is None else found

    def close(self) -> None:
        """Let go of the processes; what is not asked for any more is not done."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, pieces: Sequence[Sequence[int]], jobs: int) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # A fork has everything at once, and nothing has to be written down for it: no key, and no plan.
        context = multiprocessing.get_context("fork")
        # The processes inherit the mask: what a terminal sends to all of a run would find them half begun.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            self._pool = ProcessPoolExecutor(jobs, context, _begin, (self._work, self._items))
            for piece in pieces:
                future = self._pool.submit(_do, piece)
                self._pieces.update({index: (future, place) for place, index in enumerate(piece)})
        except (OSError, ImportError, NotImplementedError):
            # No more processes are to be had, or no semaphores to steer them by: all is done here.
            self.close()
            self._pieces.clear()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pieces(seconds: Sequence[float]) -> list[list[int]]:
    """Give the items in pieces that are worth handing over, the costly ones first, else in their order."""
    pieces: list[list[int]] = []
    filled = PIECE_SECONDS
    for index in sorted(range(len(seconds)), key=lambda index: -seconds[index]):
        if filled >= PIECE_SECONDS:
            pieces.append([])
            filled = 0.0
        pieces[-1].append(index)
        filled += seconds[index]
    return pieces


def _given(future: Future[list[_Result | None]], place: int) -> _Result | None:
    from concurrent.futures import BrokenExecutor

    try:
        return future.result()[place]
    except BrokenExecutor:
        # A process was killed; what it owed is done here.
        return None


def _begin(work: Callable[[Any], Any], items: Sequence[Any]) -> None:
    """Learn the task, ignore the interrupt that a terminal sends to all of a run, and end with the parent."""
    from multiprocessing import connection, parent_process

    global _task  # noqa: PLW0603 - a process of a pool has no other place
    _task = (work, items)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    # What was inherited is the parent's to look through: to count it here would copy every page of it.
    gc.freeze()
    parent = parent_process()
    if parent is None:
        return

    def end() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _do(piece: Sequence[int]) -> list[Any]:
    work, items = _task
    return [_attempt(work, items[index]) for index in piece]


def _attempt(work: Callable[[Any], Any], item: object) -> Any:  # noqa: ANN401 - whatever the work gives
    try:
        return work(item)
    except CertgenError:
        return None
