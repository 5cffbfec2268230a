"""All measurements: `python bench`, from anywhere; with names of rows, those alone."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import figures, survey
from bench.contenders import CONTENDERS
from bench.environment import Environment, make_environment
from bench.measure import Race, race
from bench.operations import Site
from bench.specs import KEYS, P256
from bench.summary import summarise
from bench.table import SURVEY_HEAD, Reached, as_data, figures_table, machine, remarks, survey_rows

ROUNDS: Final = 15
_QUICK_ROUNDS: Final = 3
_BUDGET: Final = 60.0
"""Seconds for one race of the survey; the figures to reach get all their rounds."""
_FIGURES: Final = "figures"
_SCALE: Final = figures.Scale()
_TMPFS: Final = Path("/dev/shm")  # noqa: S108 - in it each race makes a folder that is its user's alone
_DISK: Final = Path("/var/tmp")  # noqa: S108 - likewise


def tell(line: str) -> None:
    """Say how far it is."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class Ground:
    """A file system on which trees are made."""

    name: str
    folder: Path
    flushes: bool


@dataclass(frozen=True)
class Hall:
    """Where races are held, how long, and where they are written down."""

    environment: Environment
    rounds: int
    raw: Path | None

    @contextmanager
    def site(self, ground: Ground) -> Iterator[Site]:
        """Lend a folder that is gone afterwards: the trees hold keys."""
        with tempfile.TemporaryDirectory(prefix="certgen-bench-", dir=ground.folder) as name:
            yield Site(self.environment, Path(name).resolve(), ground.flushes)

    def note(self, title: str, result: Race) -> None:
        """Add a race to the file of all measurements."""
        if self.raw is not None:
            body = {"race": title, "spent": {name: as_data(spent) for name, spent in result.spent.items()}}
            with self.raw.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**body, "failures": dict(result.failures)}) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables, and give the exit code."""
    asked = _arguments(arguments)
    for one in CONTENDERS:
        if one.missing is not None:
            tell(f"{one.name} is left out: {one.missing} is not here")
    with tempfile.TemporaryDirectory(prefix="certgen-bench-") as name:
        try:
            environment = make_environment(asked.environment or Path(name), tell)
        except subprocess.CalledProcessError as reason:
            tell(f"certgen could not be installed: {reason}")
            return 2
        rounds = asked.rounds or (_QUICK_ROUNDS if asked.quick else ROUNDS)
        hall = Hall(environment, rounds, asked.raw)
        tmpfs = Ground("tmpfs", asked.tmpfs, flushes=False)
        show(machine())
        if names := [name for name in figures.NAMES if name in asked.rows]:
            reach(hall, tmpfs, names, _SCALE)
        look_around(hall, tmpfs, asked)
        if not asked.quick:
            look_around(hall, Ground("disk", asked.disk, flushes=True), asked)
        show(remarks())
    return 0


def show(text: str) -> None:
    """Print a part of the page as soon as it is known."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def reach(hall: Hall, ground: Ground, names: Sequence[str], scale: figures.Scale) -> list[Reached]:
    """Measure the figures to reach."""
    results = []
    for lay_out in figures.heats(names, scale):
        with hall.site(ground) as site:
            heat = lay_out(site)
            title = ", ".join(figure.name for figure in heat.figures)
            result = race(heat.lanes, min(hall.rounds, heat.most_rounds or hall.rounds), _teller(title))
            hall.note(title, result)
            results += [_reached(figure, result) for figure in heat.figures]
    show(f"## The figures to reach, on {ground.name}\n\n{figures_table(results)}")
    return results


def _reached(figure: figures.Figure, result: Race) -> Reached:
    values = result.per_round(figure.value)
    if not values:
        failed = [f"{lane.name}: {result.failures[lane.name]}" for lane in figure.lanes if lane.name in result.failures]
        return Reached(figure, None, "; ".join(failed))
    return Reached(figure, summarise(values))


def look_around(hall: Hall, ground: Ground, asked: argparse.Namespace) -> None:
    """Measure everything else, a table for each operation and key."""
    names, keys = (survey.ON_DISK, [P256]) if ground.flushes else (survey.NAMES, asked.keys)
    previous = ""
    for course in survey.courses([name for name in names if name in asked.rows], asked.sizes, keys):
        title = f"{course.operation}, {course.fleet.key}, on {ground.name}"
        with hall.site(ground) as site:
            lanes = course.lay_out(site)
            result = race(lanes, hall.rounds, _teller(f"{title}, {course.fleet.size}"), _BUDGET)
        hall.note(f"{title}, {course.fleet.size}", result)
        if title != previous:
            show(f"\n## {title}\n\n{SURVEY_HEAD.rstrip()}")
        previous = title
        show(survey_rows(course.fleet.size, lanes, result).rstrip())


def _teller(title: str) -> Callable[[str], None]:
    return lambda line: tell(f"{title}: {line}")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure certgen, beside a floor and beside others.")
    rows = (_FIGURES, *figures.NAMES, *survey.NAMES)
    parser.add_argument("--rows", nargs="+", choices=rows, metavar="NAME", help=f"of: {', '.join(rows)}; default: all")
    parser.add_argument("--rounds", type=_positive, metavar="N", help=f"default: {ROUNDS}")
    parser.add_argument("--sizes", nargs="+", type=_positive, default=[], metavar="N", help="default: 10 to 10000")
    parser.add_argument("--keys", nargs="+", choices=KEYS, default=list(KEYS), help="default: all")
    parser.add_argument("--quick", action="store_true", help="10 and 100 entries, three rounds, no disk")
    parser.add_argument("--tmpfs", type=Path, default=_TMPFS, metavar="FOLDER", help=f"default: {_TMPFS}")
    parser.add_argument("--disk", type=Path, default=_DISK, metavar="FOLDER", help=f"default: {_DISK}")
    parser.add_argument("--environment", type=Path, metavar="FOLDER", help="where certgen is installed, once")
    parser.add_argument("--raw", type=Path, metavar="FILE", help="add all measurements to it, as lines of JSON")
    asked = parser.parse_args(arguments)
    asked.sizes = asked.sizes or list(survey.SIZES[:2] if asked.quick else survey.SIZES)
    known = [name for name in figures.NAMES if _SCALE.large in asked.sizes or name not in figures.LARGE]
    asked.rows = set(asked.rows or [_FIGURES, *survey.NAMES])
    if _FIGURES in asked.rows:
        asked.rows |= set(known)
    return asked


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # through each `with`: the trees hold keys
    os.umask(0o077)
    sys.exit(main())
