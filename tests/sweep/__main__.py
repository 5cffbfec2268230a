"""The whole sweep: `python tests/sweep`, from anywhere; with names of points, those alone."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatch
from itertools import count
from pathlib import Path
from typing import Final

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from sweep.campaign import choose, judge_all, prepare_all, rows_of
from sweep.judgement import Verdict
from sweep.scenarios import SCENARIOS

_OFTEN: Final = 100


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Sweep, print a table, and give the exit code."""
    asked = _arguments()
    signal.signal(
        signal.SIGTERM, lambda _number, _frame: sys.exit(143)
    )  # through the `with` below: the trees hold keys
    if shutil.which("strace") is None:
        sys.stderr.write("strace is not here: apt-get install strace\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="certgen-sweep-", dir=asked.folder) as name:
        folder = Path(name).resolve()
        names = [point.partition("/")[0] for point in asked.points] or ["*"]
        wanted = [scenario for scenario in SCENARIOS if any(fnmatch(scenario.name, name) for name in names)]
        prepared = prepare_all(folder, wanted)
        points = choose(prepared.values(), asked.points)
        say(f"{len(points)} points in {len({point.scenario for point in points})} scenarios, {asked.jobs} at a time")
        verdicts = judge_all(prepared, points, folder, asked.jobs, _Teller(len(points)))
    _print_table(verdicts)
    return int(not verdicts or any(verdict.faults for verdict in verdicts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sweep", description="Kill `certgen apply` at each call that touches the tree, and make each call fail."
    )
    parser.add_argument("points", nargs="*", help="as in `first/kill/rename/3` or `removed/ENOSPC/*`; default: all")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="default: one for each core")
    parser.add_argument("--folder", help="where the trees are made; default: the system's for temporary files")
    return parser.parse_args()


class _Teller:
    """Says what is wrong as it is found, and now and then how far it is.

    total: of the points.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = count(1)

    def __call__(self, verdict: Verdict) -> None:
        for fault in verdict.faults:
            say(f"{verdict.point} ({' '.join(verdict.point.call.paths)}): {fault}")
        done = next(self._done)
        if done % _OFTEN == 0:
            sys.stderr.write(f"{done} of {self._total}\n")


def _print_table(verdicts: Iterable[Verdict]) -> None:
    rows = list(rows_of(verdicts))
    say(
        f"{'scenario':<14}{'what':<6}{'points':>8}{'hit':>8}{'recovered':>11}{'completed':>11}{'missed':>8}{'failures':>10}"
    )
    for row in rows:
        figures = f"{row.points:>8}{row.hit:>8}{row.recovered:>11}{row.rolled:>11}{row.misses:>8}{row.failed:>10}"
        say(f"{row.scenario:<14}{row.action:<6}{figures}")
    say(f"{sum(row.points for row in rows)} points, {sum(row.failed for row in rows)} failures")


if __name__ == "__main__":
    sys.exit(main())
