"""All points of all scenarios, on many cores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from queue import SimpleQueue

from .injection import Prepared, apply_arguments, prepare
from .judgement import Verdict, judge
from .points import KILL, Point, calls_on_output
from .running import Certgen, run_program
from .scenarios import SCENARIOS, SEALED, Scenario
from .tracing import TRACED, UNTRACED


@dataclass(frozen=True)
class Row:
    """One line of the table.

    hit: the points at which the run was really cut short, at the call that was meant.
    recovered: the points after which everything was as it must be.
    rolled: the points after which the next run completed what was promised.
    """

    scenario: str
    action: str
    points: int
    hit: int
    recovered: int
    rolled: int
    misses: int

    @property
    def failed(self) -> int:
        """The points after which something was not as it must be."""
        return self.points - self.recovered


def rows_of(verdicts: Iterable[Verdict]) -> Iterator[Row]:
    """Count verdicts by scenario and by what was done to the run: killed, or a call of it made to fail."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        action = KILL if verdict.point.action == KILL else "fail"
        groups.setdefault((verdict.point.scenario, action), []).append(verdict)
    for (scenario, action), group in groups.items():
        yield Row(
            scenario,
            action,
            points=len(group),
            hit=sum(verdict.is_hit for verdict in group),
            recovered=sum(not verdict.faults for verdict in group),
            rolled=sum(verdict.is_rolled_forward for verdict in group),
            misses=sum(verdict.misses for verdict in group),
        )


def prepare_all(folder: Path, scenarios: Iterable[Scenario] = SCENARIOS) -> dict[str, Prepared]:
    """Run the scenarios undisturbed, by name.

    folder: where what they start from stays.
    """
    with Certgen(folder / "baseline", SEALED) as certgen:
        return {scenario.name: _checked(scenario, certgen, folder) for scenario in scenarios}


def _checked(scenario: Scenario, certgen: Certgen, folder: Path) -> Prepared:
    """Demand that the undisturbed run is a good one, and that the program itself does the same as a fork of it."""
    prepared = prepare(scenario, certgen, folder / scenario.name)
    faults = faults_of_forking(prepared, certgen, folder / scenario.name / "run", folder / "program")
    message = "\n".join((f"{scenario.name}, undisturbed:", *prepared.faults, *faults))
    if "\n" in message:
        raise AssertionError(message)
    return prepared


def faults_of_forking(prepared: Prepared, certgen: Certgen, run: Path, log: Path) -> Iterator[str]:
    """Tell where `python -m certgen` does something else to the tree than the fork that takes its place here.

    run: the folder for the program's run.
    log: the file for its trace.
    """
    prepared.start.place(certgen, run)
    program = run_program(run, log, *apply_arguments(prepared.scenario.options))
    calls = calls_on_output(program.calls)
    strangers = sorted({call.name for call in calls} - {*TRACED} - UNTRACED)
    if strangers:
        yield f"calls about the tree that the sweep does not know: {', '.join(strangers)}"
    seen = [(call.name, call.paths, call.flags) for call in calls if call.name in TRACED]
    forked = [(call.name, call.paths, call.flags) for call in prepared.calls]
    if program.code != 0:
        yield str(program)
    elif seen != forked:
        pairs = zip_longest(seen, forked)
        number, pair = next((number, pair) for number, pair in enumerate(pairs) if pair[0] != pair[1])
        yield f"call {number} of {len(seen)} or {len(forked)}: {pair[0]} and not {pair[1]}"


def choose(prepared: Iterable[Prepared], patterns: Sequence[str]) -> list[Point]:
    """Give the points whose names match a pattern, all where there is none.

    patterns: as in `removed/kill/*` and `first/ENOSPC/write/3`.
    """
    points = [point for one in prepared for point in (*one.kills, *one.failures)]
    return [point for point in points if not patterns or any(fnmatch(str(point), pattern) for pattern in patterns)]


def judge_all(
    prepared: dict[str, Prepared],
    points: Sequence[Point],
    folder: Path,
    jobs: int,
    told: Callable[[Verdict], None],
) -> list[Verdict]:
    """Judge points, several at a time; the verdicts come in the points' order.

    folder: where each worker has its own.
    told: of each verdict as it is there.
    """
    idle: SimpleQueue[tuple[Certgen, Path]] = SimpleQueue()
    workers = [(Certgen(folder / f"w{number}", SEALED), folder / f"w{number}") for number in range(jobs)]
    for worker in workers:
        idle.put(worker)

    def verdict_on(point: Point) -> Verdict:
        certgen, place = worker = idle.get()
        try:
            verdict = judge(prepared[point.scenario], point, certgen, place / "run")
        finally:
            idle.put(worker)
        told(verdict)
        return verdict

    try:
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(verdict_on, points))
    finally:
        for certgen, _ in workers:
            certgen.close()
