"""The roof: arguments, the clock, colours, exit codes. Each command imports what it needs, when it needs it.

Exit codes: 0 all is as the spec says, 1 it is not, 2 cannot tell; 130 and 143 where somebody ended the run.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

_ENDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class EndedError(BaseException):
    """Somebody ends the run from outside; what is open is closed on the way up. The argument is the signal."""


def main() -> None:
    """Run the command line; what stops a run is told in words and by the exit code."""
    before = {number: signal.getsignal(number) for number in _ENDS}
    try:
        for number in _ENDS:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, _end)
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
