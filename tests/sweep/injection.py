"""A scenario's undisturbed run, and one that is cut short at a point."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .disk import Tree, read_tree
from .points import KILL, Point, calls_on_output, failing_points, kill_points
from .running import KILLED, Certgen, Finished
from .scenarios import CUT, Scenario
from .tracing import Call
from .wholeness import faults_of_finished

_TRIES: Final = 4
_TREE: Final = Path("output", "shop")


@dataclass(frozen=True)
class Start:
    """What a scenario's runs start from, each anew.

    folder: with specs and output, of which each gets a copy.
    killed: what was typed for the run that was killed in that copy, if there was one.
    cut: where it was killed.
    """

    folder: Path
    killed: tuple[str, ...] = ()
    cut: Point | None = None

    def place(self, certgen: Certgen, folder: Path) -> Tree:
        """Put it in a folder, over whatever was there, and give the tree."""
        for _ in range(_TRIES):
            if folder.exists():
                shutil.rmtree(folder)
            shutil.copytree(self.folder, folder, symlinks=True)
            if self.cut is None or is_hit(self.cut, certgen.trace(folder, *self.killed, inject=self.cut.injection)):
                return tree_of(folder)
        message = f"{self.cut} was missed"
        raise AssertionError(message)


@dataclass(frozen=True)
class Prepared:
    """A scenario with its undisturbed run.

    start: of each of its runs.
    after: the tree as the undisturbed run left it.
    calls: of that run, about the tree.
    faults: what was wrong with that run.
    """

    scenario: Scenario
    start: Start
    after: Tree
    calls: tuple[Call, ...]
    faults: tuple[str, ...]

    @property
    def kills(self) -> tuple[Point, ...]:
        """Every point at which it can be killed."""
        return kill_points(self.scenario.name, self.calls)

    @property
    def failures(self) -> tuple[Point, ...]:
        """Every way in which one of its calls can fail."""
        return failing_points(self.scenario.name, self.calls)


@dataclass(frozen=True)
class Disturbed:
    """A run that was cut short, or was meant to be.

    finished: the run.
    before, wreck: the tree that it found, and that it left.
    misses: how often another call than the one that was meant was hit.
    is_hit: whether in the end it was the right one.
    """

    finished: Finished
    before: Tree
    wreck: Tree
    misses: int
    is_hit: bool


def apply_arguments(options: tuple[str, ...]) -> tuple[str, ...]:
    """Give what is typed after `certgen` to compile the spec in one process."""
    return ("apply", "--jobs", "1", *options)


def tree_of(folder: Path) -> Tree:
    """Read the tree in a run's folder."""
    return read_tree(folder / _TREE)


def prepare(scenario: Scenario, certgen: Certgen, folder: Path) -> Prepared:
    """Make what a scenario starts from, and run it undisturbed.

    folder: for both.
    """
    source, run = folder / "start", folder / "run"
    spec = source / "specs" / "shop.yaml"
    spec.parent.mkdir(parents=True)
    faults = []
    if scenario.before:
        spec.write_text(scenario.before, encoding="utf-8")
        made = certgen.run(source, *apply_arguments(()))
        faults += [str(made)] if made.code else []
    spec.write_text(scenario.spec, encoding="utf-8")
    start = _cut(scenario, certgen, source, run) if scenario.killed else Start(source)
    start.place(certgen, run)
    undisturbed = certgen.trace(run, *apply_arguments(scenario.options))
    after = tree_of(run)
    faults += [str(undisturbed)] if undisturbed.code else []
    faults += faults_of_finished(after, scenario.addresses, after)
    return Prepared(scenario, start, after, calls_on_output(undisturbed.calls), tuple(dict.fromkeys(faults)))


def _cut(scenario: Scenario, certgen: Certgen, source: Path, run: Path) -> Start:
    """Find where the run before is killed: when the new key is in its place, and its certificate is not."""
    Start(source).place(certgen, run)
    arguments = apply_arguments(scenario.killed)
    points = kill_points(scenario.name, calls_on_output(certgen.trace(run, *arguments).calls))
    final = str(_TREE / CUT / "cert.pem")
    cuts = [point for point in points if point.call.name.startswith("rename") and point.call.paths[-1] == final]
    return Start(source, arguments, cuts[0])


def disturb(prepared: Prepared, point: Point, certgen: Certgen, folder: Path) -> Disturbed:
    """Run a scenario and cut it short, again and again until the call that was meant is the one that is hit.

    folder: of the run; what was in it goes.
    """
    for misses in range(_TRIES):
        before = prepared.start.place(certgen, folder)
        finished = certgen.trace(folder, *apply_arguments(prepared.scenario.options), inject=point.injection)
        if is_hit(point, finished):
            return Disturbed(finished, before, tree_of(folder), misses, is_hit=True)
    return Disturbed(finished, before, tree_of(folder), _TRIES, is_hit=False)


def is_hit(point: Point, finished: Finished) -> bool:
    """Whether the run's own trace shows that the point, and nothing else, was hit."""
    if point.action == KILL:
        struck = finished.calls[-1:] if finished.code == KILLED else ()
        struck = tuple(call for call in struck if call.result is None)
    else:
        struck = tuple(call for call in finished.calls if call.is_injected)
    return len(struck) == 1 and point.is_call(struck[0])
