"""Measurements as Markdown, for the page that keeps them."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import CONTENDERS
from bench.figures import Figure
from bench.measure import Lane, Race, Spent, own_peak
from bench.summary import Summary, summarise

_MEGABYTE: Final = 1e6


@dataclass(frozen=True)
class Reached:
    """A figure, and what was measured; nothing where it was not, and then why."""

    figure: Figure
    measured: Summary | None
    why: str = ""


def figures_table(results: Iterable[Reached]) -> str:
    """Write the figures to reach, and whether they are."""
    rows = ["| what | to reach | median | quartiles | range | rounds | reached |", "|---|---|---|---|---|---|---|"]
    for result in results:
        figure, measured = result.figure, result.measured
        limit = f"{figure.limit:g} {figure.unit}"
        if measured is None:
            rows.append(f"| {figure.what} | {limit} | not measured: {result.why} | | | | |")
            continue
        low, lower, median, upper, high = map(
            _number, (measured.minimum, measured.lower, measured.median, measured.upper, measured.maximum)
        )
        verdict = "yes" if measured.median <= figure.limit else "**no**"
        numbers = f"{median} {figure.unit} | {lower} to {upper} | {low} to {high} | {measured.count}"
        rows.append(f"| {figure.what} | {limit} | {numbers} | {verdict} |")
    return "\n".join(rows) + "\n"


SURVEY_HEAD: Final = (
    "| entries | who | minimum | median | maximum | CPU | peak | rounds | certgen / it, quartiles |\n"
    "|---:|---|---:|---:|---:|---:|---:|---:|---|\n"
)


def survey_rows(size: int, lanes: Sequence[Lane], race: Race) -> str:
    """Write what each lane of a race took; the first is certgen's.

    size: of the fleet.
    """
    rows = []
    first = lanes[0].name
    for lane in lanes:
        if lane.name in race.failures:
            rows.append(f"| {size:,} | {lane.who} | not timed: {_cell(race.failures[lane.name])} | | | | | | |\n")
            continue
        spent = race.spent[lane.name]
        clock = summarise(one.seconds for one in spent)
        cpu = summarise(one.cpu for one in spent).median
        against = "" if lane.name == first or first in race.failures else _ratio(race, first, lane.name)
        times = f"{_time(clock.minimum)} | {_time(clock.median)} | {_time(clock.maximum)} | {_time(cpu)}"
        rows.append(f"| {size:,} | {lane.who} | {times} | {_peak(spent)} | {clock.count} | {against} |\n")
    return "".join(rows)


def _peak(spent: Iterable[Spent]) -> str:
    """Give the largest peak; the system says of no process less than of this one, which has started it."""
    peak, own = max(one.peak for one in spent), own_peak()
    return f"{peak / _MEGABYTE:.0f} MB" if peak > own else f"< {own / _MEGABYTE:.0f} MB"


def _ratio(race: Race, ours: str, other: str) -> str:
    ratios = summarise(race.per_round(lambda spent: spent[ours].seconds / spent[other].seconds))
    return f"{_number(ratios.median)} ({_number(ratios.lower)} to {_number(ratios.upper)})"


def _time(seconds: float) -> str:
    return f"{_number(seconds)} s" if seconds >= 1 else f"{_number(seconds * 1000)} ms"


def _number(value: float) -> str:
    """Give a number its three figures, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def machine() -> str:
    """Say what this was measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}. Of ratios the median and the quartiles of the rounds' own ratios.\n"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def remarks() -> str:
    """Say what each contender does otherwise, and who is not here."""
    lines = [f"- {one.name}: {one.remark}\n" for one in CONTENDERS if one.missing is None]
    absent = [f"{one.name} (without {one.missing})" for one in CONTENDERS if one.missing is not None]
    if absent:
        lines.append(f"- Not here, and left out: {', '.join(absent)}\n")
    return "".join(lines)


def as_data(spent: Sequence[Spent]) -> list[dict[str, float]]:
    """Give measurements for a file of them all."""
    return [{"seconds": one.seconds, "cpu": one.cpu, "peak": one.peak} for one in spent]
