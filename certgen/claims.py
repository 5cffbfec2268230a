"""Floor 12: which spec each tree of an output belongs to: those of the run, and those that lie beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from certgen.diagnostics import Diagnostic, Severity
from certgen.loading import LoadedSpec, claimed_name
from certgen.store.files import find_trees


def unclaimed_trees(specs: Sequence[LoadedSpec], output: Path) -> tuple[Diagnostic, ...]:
    """Warn of trees under the output that certgen made and that belong to no spec: a spec was renamed or removed.

    The specs beside those given count too, so that a run over one spec does not report the others' trees.
    """
    others = _trees_of_others(specs, output)
    claimed = neighbours(specs) if others else {}
    help_ = "was its spec renamed? Set `name:` in it, or move the folder; else remove it"
    return tuple(
        Diagnostic(Severity.WARNING, "unclaimed-tree", f"{tree} belongs to no spec", help=help_, where=str(tree))
        for tree in others
        if tree.name not in claimed
    )


def claimants(specs: Sequence[LoadedSpec], output: Path) -> tuple[Path, ...]:
    """Give the specs that lie beside those given and that other trees of the output belong to."""
    others = _trees_of_others(specs, output)
    claimed = neighbours(specs) if others else {}
    return tuple(claimed[tree.name] for tree in others if tree.name in claimed)


def neighbours(specs: Sequence[LoadedSpec]) -> dict[str, Path]:
    """Give the specs that lie beside those given, by the name of the tree that each claims."""
    own = {loaded.path for loaded in specs}
    folders = {loaded.path.parent for loaded in specs}
    paths = sorted(path for folder in folders for suffix in ("*.yaml", "*.yml") for path in folder.glob(suffix))
    return {claimed_name(path): path for path in paths if path not in own}


def _trees_of_others(specs: Sequence[LoadedSpec], output: Path) -> list[Path]:
    own = {loaded.bundle.name for loaded in specs}
    return [tree for tree in find_trees(output) if tree.name not in own]
