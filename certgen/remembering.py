"""Floor 14: a run leaves a stamp in a tree that is as its spec says, so that the next one need not look again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from certgen.apply import Outcome
from certgen.claims import claimants
from certgen.loading import LoadedSpec
from certgen.model import Address
from certgen.narrowing import outline_lines
from certgen.pipeline import PlannedSpec, plan_spec
from certgen.plan.horizon import next_instant
from certgen.plan.values import Action
from certgen.stamp import Stamp
from certgen.store.files import find_trees, read_file
from certgen.store.sight import Looks
from certgen.store.stamps import SETTLED, digest, judge, package_folders, packed, unpacked, write_stamp
from certgen.store.tree import Tree
from certgen.surveying import Survey
from certgen.tree import KEYS_NOTE, MACHINE_FOLDER, TREE_FILES, Facts, FileKind, Vouched

LONGEST_REST: Final = 2**63
"""Nanoseconds: that of what a stamp knows, which was at rest when it was left."""

_ROOT: Final = "."


@dataclass(frozen=True)
class _Sight:
    """What a stamp tells of a tree's folders and files, and what it is worth.

    at_rest: for how long the last of them to change had not when it was looked at, in nanoseconds.
    due: from when on nothing of it can be relied on.
    """

    folders: Mapping[str, Facts]
    files: Mapping[str, Facts]
    at_rest: int
    due: datetime


def look_again(planned: PlannedSpec, outcome: Outcome, output: Path) -> PlannedSpec | None:
    """Judge the few entries that a run has written, as the next run would.

    Args:
        planned: the tree, as it was judged before.
        outcome: what was done to it.
        output: the folder of all trees.

    Returns:
        The tree as it is judged now; None where much was written, or there is more to say than that it is in sync.

    Raises:
        CertgenError: it cannot be looked at.
        OSError: whoever steers the clock does not let anybody wait.
    """
    plan, loaded = planned.plan, planned.asked
    written = [change.address for change in plan.changes if isinstance(change.address, Address)]
    is_plain = all(change.action is not Action.REMOVE for change in plan.changes) and not plan.notices
    if not written or len(written) > len(plan.kept) or not is_plain or outcome.mended or outcome.is_resumed:
        return None
    # What was written a moment ago could change once more without a trace.
    time.sleep(2.2 * SETTLED / 1e9)
    bundle = loaded.bundle.narrowed(written)
    rest = tuple(address for address in plan.kept if address not in bundle.index)
    vouched = Vouched(rest, version=Tree(output / plan.name).version())
    narrowed = replace(loaded, bundle=bundle, vouched=vouched)
    again = plan_spec(narrowed, output, plan.now)
    is_done = again.asked is narrowed and again.plan.is_in_sync and not again.plan.notices
    return again if is_done else None


def remember(  # noqa: PLR0913, PLR0917 - one argument for each thing that a stamp tells
    planned: PlannedSpec,
    before: PlannedSpec | None,
    specs: Sequence[LoadedSpec],
    output: Path,
    options: str,
    said: Mapping[str, str],
) -> None:
    """Leave a stamp in a tree that is as its spec says, if it can be told again by it.

    Args:
        planned: the tree, judged by this run, and nothing to do about it.
        before: the tree before the run wrote what `planned` has looked at again.
        specs: all that the run was about.
        output: the folder of all trees.
        options: those that bear on the judgement, in one word.
        said: what a run has to say about the tree, by command, stream and look.
    """
    sight = _sight(planned, before)
    inputs = {**planned.loaded.digests, **_digests(claimants(specs, output))}
    files, now = list(sight.files), int(planned.plan.now.timestamp())
    if files[: len(TREE_FILES)] != [*TREE_FILES] or any(str(file) not in inputs for file in planned.loaded.files):
        return
    package = package_folders()
    stamp = Stamp(
        judge=judge(),
        spec=str(planned.loaded.path),
        options=options,
        judged=now,
        due=int(sight.due.timestamp()),
        inputs=inputs,
        trees=[tree.name for tree in find_trees(output)],
        package=list(package),
        folders=list(sight.folders),
        files=files,
        facts=packed([*package.values(), *sight.folders.values(), *sight.files.values()]),
        said=dict(said),
        outline=outline_lines((before or planned).asked),
    )
    write_stamp(str(planned.tree.root), stamp, sight.at_rest)


def _sight(planned: PlannedSpec, before: PlannedSpec | None) -> _Sight:
    """Put together what was seen: by the run that left a stamp, by this one, and by its look at what it wrote."""
    stamp, now = planned.loaded.stamp, planned.plan.now
    sights = [] if stamp is None else [_of_stamp(stamp)]
    for item in (before, planned):
        if item is not None:
            due = next_instant(item.loaded.bundle, item.observed, now)
            sights += [*_of_survey(item.survey), _of_looks(item.tree.looks(), due)]
    folders: dict[str, Facts] = {}
    files: dict[str, Facts] = {}
    for sight in sights:
        folders |= sight.folders
        files |= sight.files
    if len(sights) > 1:
        again = {str(entry.address) for entry in planned.loaded.bundle.entries}
        files = {path: found for path, found in files.items() if path in sights[-1].files or _entry(path) not in again}
        folders = {
            path: found for path, found in folders.items() if path in sights[-1].folders or _entry(path) not in again
        }
    first: dict[str, Facts] = {path: files[path] for path in TREE_FILES if path in files}
    at_rest, due = min(sight.at_rest for sight in sights), min(sight.due for sight in sights)
    return _Sight(folders, {**first, **files}, at_rest, due)


def _of_stamp(stamp: Stamp) -> _Sight:
    rows = unpacked(stamp.facts)[len(stamp.package) :]
    count = len(stamp.folders)
    due = datetime.fromtimestamp(stamp.due, UTC)
    folders, files = zip(stamp.folders, rows[:count], strict=True), zip(stamp.files, rows[count:], strict=True)
    return _Sight(dict(folders), dict(files), LONGEST_REST, due)


def _of_survey(survey: Survey | None) -> Iterator[_Sight]:
    if survey is not None:
        yield from (_of_looks(looks, survey.due) for looks in survey.looks)


def _of_looks(looks: Looks, due: datetime) -> _Sight:
    folders = {path: looks.folders[path] for path in _folders(looks)}
    notes = {path for path in looks.files if path.startswith(f"{MACHINE_FOLDER}/")} - {KEYS_NOTE}
    files = {path: found for path, found in looks.files.items() if path not in notes}
    latest = max((max(mtime, ctime) for _, _, mtime, ctime, _ in (*folders.values(), *files.values())), default=0)
    return _Sight(folders, files, looks.began - latest, due)


def _folders(looks: Looks) -> list[str]:
    """Give the folders in which something may come to stand that was not there: those that hold folders, first."""
    absent = (path for path in looks.absent if not path.startswith(f"{MACHINE_FOLDER}/"))
    above = {path.rpartition("/")[0] or _ROOT for path in chain(looks.folders, absent) if path != _ROOT}
    return sorted(path for path in {_ROOT, *above} & set(looks.folders) if path != MACHINE_FOLDER)


def _entry(path: str) -> str:
    """Give the folder of the entry in which something stands."""
    end = path.find("/", path.find("/") + 1)
    return path if end < 0 else path[:end]


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    states = {path: read_file(path) for path in paths}
    return {str(path): digest(state.content) if state.kind is FileKind.FILE else "" for path, state in states.items()}
