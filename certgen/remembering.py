"""Floor 14: a run that found nothing to do leaves a stamp, so that the next one need not look again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from certgen.claims import claimants
from certgen.loading import LoadedSpec
from certgen.pipeline import PlannedSpec
from certgen.plan.horizon import next_instant
from certgen.stamp import Stamp
from certgen.store.files import find_trees, read_file
from certgen.store.stamps import SETTLED, digest, judge, package_folders, packed, write_stamp
from certgen.store.tree import Looks
from certgen.tree import IGNORE_FILE, KEYS_NOTE, MACHINE_FOLDER, MANIFEST_FILE, FileKind

_ROOT = "."


def remember(
    planned: PlannedSpec, specs: Sequence[LoadedSpec], output: Path, options: str, said: Mapping[str, str]
) -> None:
    """Leave a stamp in a tree that is as its spec says, if it can be told again by it.

    Args:
        planned: the tree, judged by this run, and nothing to do about it.
        specs: all that the run was about.
        output: the folder of all trees.
        options: those that bear on the judgement, in one word.
        said: what a run has to say about the tree, by command, stream and look.
    """
    looks, now = planned.tree.looks(), planned.plan.now
    paths = _files(looks)
    folders = _folders(looks)
    rows = [*(looks.folders[path] for path in folders), *(looks.files[path] for path in paths)]
    inputs = {**planned.loaded.digests, **_digests(claimants(specs, output))}
    settled = (int(now.timestamp()) - SETTLED) * 10**9
    is_settled = all(max(mtime, ctime) < settled for _, _, mtime, ctime, _ in rows)
    if not is_settled or paths[:2] != [MANIFEST_FILE, IGNORE_FILE] or not _are_inputs_known(planned, inputs):
        return
    package = package_folders()
    stamp = Stamp(
        judge=judge(),
        spec=str(planned.loaded.path),
        options=options,
        judged=int(now.timestamp()),
        due=int(next_instant(planned.loaded.bundle, planned.observed, now).timestamp()),
        inputs=inputs,
        trees=[tree.name for tree in find_trees(output)],
        package=list(package),
        folders=folders,
        files=paths,
        facts=packed([*package.values(), *rows]),
        said=dict(said),
    )
    write_stamp(str(planned.tree.root), stamp)


def _files(looks: Looks) -> list[str]:
    """Give the files that count, the tree's own first."""
    first = [path for path in (MANIFEST_FILE, IGNORE_FILE) if path in looks.files]
    notes = {path for path in looks.files if path.startswith(f"{MACHINE_FOLDER}/")} - {KEYS_NOTE}
    return [*first, *(path for path in looks.files if path not in notes and path not in first)]


def _folders(looks: Looks) -> list[str]:
    """Give the folders in which something may come to stand that was not there: those that hold folders, first."""
    absent = (path for path in looks.absent if not path.startswith(f"{MACHINE_FOLDER}/"))
    above = {str(PurePosixPath(path).parent) for path in chain(looks.folders, absent) if path != _ROOT}
    return sorted(path for path in {_ROOT, *above} & set(looks.folders) if path != MACHINE_FOLDER)


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    states = {path: read_file(path) for path in paths}
    return {str(path): digest(state.content) if state.kind is FileKind.FILE else "" for path, state in states.items()}


def _are_inputs_known(planned: PlannedSpec, inputs: Mapping[str, str]) -> bool:
    return all(str(file) in inputs for file in planned.loaded.files)
