"""How a run is ended from outside: by a signal, told in one word, at a point at which everything is left whole."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType
from typing import Final

_ENDS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class EndedError(BaseException):
    """Somebody ends the run from outside; what is open is closed on the way up. The argument is the signal."""


def run_until_ended() -> None:
    """Run the command that the arguments name, up to its end or to a signal."""
    before = {number: signal.getsignal(number) for number in _ENDS}
    try:
        for number in _ENDS:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, _end)
        # Modules, and a fleet's million values, all live to the end; looking for dead ones costs a tenth of a run.
        gc.set_threshold(100_000, 50, 100)
        from certgen.cli.run import run

        run()
    except EndedError as end:
        (number,) = end.args
        sys.stderr.write(f"{_ENDS[number]}\n")
        sys.exit(128 + number)
    finally:
        for number, action in before.items():
            signal.signal(number, signal.SIG_DFL if action is None else action)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as the library calls it
    raise EndedError(signal.Signals(number))
