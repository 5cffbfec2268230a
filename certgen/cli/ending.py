"""How a run is ended from outside: by a signal, told in one word, at a point at which everything is left whole."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_ENDS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_ANEW: Final = 0.005
"""Seconds after which a signal whose exception nobody took is given again."""


class EndedError(BaseException):
    """Somebody ends the run from outside; what is open is closed on the way up. The argument is the signal."""


def run_until_ended() -> None:
    """Run the command that the arguments name, up to its end or to a signal."""
    with _Signals():
        # Modules, and a fleet's million values, all live to the end; looking for dead ones costs a tenth of a run.
        gc.set_threshold(100_000, 50, 100)
        from certgen.cli.run import run

        run()


class _Signals:
    """A block that a signal ends, wherever in it the signal comes."""

    def __init__(self) -> None:
        self._given: list[signal.Signals] = []

    def __enter__(self) -> Self:
        self._hook = sys.unraisablehook
        self._before = {number: signal.getsignal(number) for number in _ENDS}
        sys.unraisablehook = self._look
        for number in _ENDS:
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, action in self._before.items():
            signal.signal(number, signal.SIG_DFL if action is None else action)
        sys.unraisablehook = self._hook
        # What calls back into Python, as the making of a class does, puts an error of its own in place of ours.
        if self._given and kind is not None and not issubclass(kind, SystemExit):
            sys.stderr.write(f"{_ENDS[self._given[0]]}\n")
            sys.exit(128 + self._given[0])

    def _take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as the library calls it
        self._given.append(signal.Signals(number))
        raise EndedError(number)

    def _give_again(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as the library calls it
        signal.raise_signal(self._given[0])

    def _look(self, lost: UnraisableHookArgs) -> None:
        # A signal may come while a finalizer or a weak reference's callback runs, from which no exception gets out.
        if isinstance(lost.exc_value, EndedError):
            self._before.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, self._give_again))
            signal.setitimer(signal.ITIMER_REAL, _ANEW)
        else:
            self._hook(lost)
