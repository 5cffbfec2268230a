"""What is demanded after a run was cut short: of the tree at once, of what certgen says, and of the next run."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from .disk import EMPTY, Tree
from .injection import Disturbed, Prepared, apply_arguments, disturb, tree_of
from .points import KILL, Point
from .running import Certgen, Finished
from .wholeness import faults_at_once, faults_of_finished, lost_keys, touched

INTERRUPTED: Final = "interrupted run"
_JOURNAL: Final = ".certgen/journal"
_SYNCS: Final = ("fsync", "fdatasync", "syncfs", "sync")
_PATH: Final = re.compile(r"(?<![\w./-])[\w./][\w./-]*")


@dataclass(frozen=True)
class Verdict:
    """What became of one point.

    faults: in words; empty where all is well.
    misses: how often the injection hit another call, and was tried again.
    is_hit: whether it hit in the end.
    is_rolled_forward: whether the next run said that it completed an interrupted one.
    """

    point: Point
    faults: tuple[str, ...]
    misses: int
    is_hit: bool
    is_rolled_forward: bool


def judge(prepared: Prepared, point: Point, certgen: Certgen, folder: Path) -> Verdict:
    """Cut a scenario short at a point, and tell what is wrong with what follows.

    After a kill the next run is tried with the same arguments and without: each time the scenario is cut short anew,
    since a copy of what it left would not do. A journal is bound to its inode.

    folder: for the runs.
    """
    faults: list[str] = []
    misses, is_rolled_forward = 0, False
    for options in _next_options(prepared, point):
        disturbed = disturb(prepared, point, certgen, folder)
        misses += disturbed.misses
        if not disturbed.is_hit:
            faults.append(f"the injection missed {disturbed.misses} times; then {disturbed.finished}")
            return Verdict(point, tuple(faults), misses, is_hit=False, is_rolled_forward=is_rolled_forward)
        case = _Case(prepared, point, disturbed, certgen, folder)
        faults += [*case.faults_of_wreck(), *case.faults_of_next(options)]
        is_rolled_forward = is_rolled_forward or case.is_rolled_forward
    return Verdict(point, tuple(dict.fromkeys(faults)), misses, is_hit=True, is_rolled_forward=is_rolled_forward)


def _next_options(prepared: Prepared, point: Point) -> tuple[tuple[str, ...], ...]:
    """Give the options of the runs that are to repair what was left."""
    scenario = prepared.scenario
    branches = (scenario.options, scenario.standing) if point.action == KILL else (scenario.options,)
    return tuple(dict.fromkeys(branches))


class _Case:
    """One run that was cut short, and the runs after it."""

    def __init__(self, prepared: Prepared, point: Point, disturbed: Disturbed, certgen: Certgen, folder: Path) -> None:
        self._prepared = prepared
        self._scenario = prepared.scenario
        self._point = point
        self._before = disturbed.before
        self._wreck = disturbed.wreck
        self._finished = disturbed.finished
        self._certgen = certgen
        self._folder = folder
        self.is_rolled_forward = False

    def faults_of_wreck(self) -> Iterator[str]:
        """Tell what is wrong with what was left, and with what is said of it."""
        before, scenario = self._before, self._scenario
        yield from faults_at_once(self._wreck, before, self._prepared.after, scenario.apart)
        yield from lost_keys(before.keys, self._wreck, self._free_keys())
        yield from touched(before, self._wreck, scenario.at_work | self._entries_that_failed())
        if self._point.action != KILL:
            yield from faults_of_failed(self._finished, self._point, (before, self._prepared.after))
        yield from self._faults_of_reading()

    def _free_keys(self) -> frozenset[str]:
        """Give the addresses whose keys the run may replace or remove."""
        gone = self._before.addresses - self._scenario.addresses
        return gone | {self._scenario.rekeyed}

    def _entries_that_failed(self) -> frozenset[str]:
        """Give the entry whose file could not be used: it is at work too."""
        if self._point.action == KILL:
            return frozenset()
        parts = [PurePosixPath(path).parts for path in self._point.call.paths]
        return frozenset("/".join(part[2:4]) for part in parts if len(part) > 4)

    def _faults_of_reading(self) -> Iterator[str]:
        """Ask for the plan, which reads a tree that was left unfinished as one that is finished."""
        plan = self._certgen.run(self._folder, "plan", *self._scenario.standing)
        if plan.code not in {0, 1} or _has_traceback(plan):
            yield f"after the interruption {plan}"
        if plan.code == 0:
            verified = self._certgen.run(self._folder, "verify")
            yield from _unless_sound(verified, "though the plan is in sync")
        if self._finished.code == 0:
            left = faults_of_finished(self._without_spare(self._wreck), self._scenario.addresses, self._prepared.after)
            left += [str(plan)] if plan.code != 0 else []
            yield from (f"it ended with 0 and is unfinished: {fault}" for fault in left)
        if tree_of(self._folder) != self._wreck:
            yield "reading commands wrote"

    def faults_of_next(self, options: tuple[str, ...]) -> Iterator[str]:
        """Run again with nothing in the way, and tell what keeps the tree from being a finished one.

        options: of `certgen apply`.
        """
        following = self._certgen.run(self._folder, *apply_arguments(options))
        when = f"after the next run with {' '.join(options) or 'nothing'} asked"
        found = tree_of(self._folder)
        yield from _unless_sound(following, "as the next run")
        for arguments in (("verify",), ("plan", *self._scenario.standing)):
            yield from _unless_sound(self._certgen.run(self._folder, *arguments), when)
        faults = faults_of_finished(self._without_spare(found), self._scenario.addresses, self._prepared.after)
        faults += lost_keys(self._wreck.keys, found, self._replaceable(options))
        yield from (f"{when}: {fault}" for fault in faults)
        if tree_of(self._folder) != found:
            yield f"{when}: plan or verify wrote"
        self.is_rolled_forward = INTERRUPTED in following.err
        if is_committed(self._wreck, self._finished) and not self.is_rolled_forward:
            yield f"what was committed to was completed without a word: {following}"

    def _without_spare(self, found: Tree) -> Tree:
        """Pass over the second name of a key that could not be read and had to make room for a new one."""
        path = f"{self._scenario.rekeyed}/key.pem"
        call, spare = self._point.call, f"{path}.orig"
        tried = {f"output/shop/{path}", f"output/shop/{self._scenario.rekeyed}/..1/key.pem"}
        is_unread = self._point.action != KILL and call.is_reading and not tried.isdisjoint(call.paths)
        if not is_unread or found.files.get(spare) != self._before.files.get(path):
            return found
        return Tree({name: file for name, file in found.files.items() if name != spare}, found.folders)

    def _replaceable(self, options: tuple[str, ...]) -> frozenset[str]:
        """Give the addresses whose keys the next run may replace: a key that is already new is not made again."""
        rekeyed, is_asked = self._scenario.rekeyed, self._scenario.rekeyed in options
        is_old = self._wreck.keys.get(rekeyed) == self._before.keys.get(rekeyed)
        return self._free_keys() if is_asked or is_old else self._free_keys() - {rekeyed}


def faults_of_failed(finished: Finished, point: Point, known: Iterable[Tree] = (EMPTY,)) -> Iterator[str]:
    """Tell what a run says wrongly of a call that failed.

    known: trees that hold the paths which may be named.
    """
    if finished.code not in {0, 2}:
        yield f"{point.call.name} failed, and {finished}"
    if _has_traceback(finished):
        yield f"a traceback: {finished}"
    if finished.code == 0 and point.call.name in _SYNCS:
        yield f"what could not be synced is taken for safe: {finished}"
    if finished.code == 2 and not _names_a_path(finished.err, point, known):
        yield f"no path is named: {finished}"


def _names_a_path(words: str, point: Point, known: Iterable[Tree]) -> bool:
    """Whether an error names a path that a user knows: absolute, from where the run is, or within the tree."""
    inside = {path for tree in known for path in (*tree.files, *tree.folders)} | {_JOURNAL, ".certgen/new/0"}
    inside |= {path.removeprefix("output/shop/") for path in point.call.paths}
    unmistakable = {path for path in inside if set(path) & set("/.")} | {*point.call.paths}
    paths = {"output/shop", *unmistakable, *(f"output/shop/{path}" for path in inside)}
    named = {found.rstrip("./:") for found in _PATH.findall(words)}
    named |= {f"output{path.rpartition('/output')[2]}" for path in named if path.startswith("/")}
    return ("error[" in words or "Error: " in words) and not named.isdisjoint(paths)


def is_committed(wreck: Tree, finished: Finished) -> bool:
    """Whether something was promised and not all of it done: a journal lies there, synced by this run or another."""
    journal = wreck.files.get(_JOURNAL)
    if journal is None or not journal.content:
        return False
    calls = [call for call in finished.calls if not call.paths or call.paths[0].endswith(_JOURNAL)]
    is_synced = any(call.result == 0 and call.name in _SYNCS for call in calls)
    return is_synced or not any(call.name.startswith("write") for call in calls)


def _unless_sound(finished: Finished, when: str) -> Iterator[str]:
    if finished.code != 0 or _has_traceback(finished):
        yield f"{when}: {finished}"


def _has_traceback(finished: Finished) -> bool:
    return "Traceback" in finished.out + finished.err
