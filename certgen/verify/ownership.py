"""Whose the files of a tree are, and how they come into sight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from certgen.diagnostics import Diagnostic
from certgen.manifest import Manifest
from certgen.model import Address, Bundle, Entry
from certgen.publication import LINK_NAME, Publication
from certgen.tree import (
    KUSTOMIZATION_FILE,
    MACHINE_FOLDER,
    SPARE_KEY_FILE,
    TREE_FILES,
    FileKind,
    FileState,
    file_names,
    is_marked,
    is_own,
)
from certgen.verify.keys import finding

StateOf = Callable[[str], FileState]
"""Gives what was found at a path of the tree."""


def is_out_of_sight(entry: Entry, state_of: StateOf) -> bool:
    """Whether all files of an entry are to be seen by its one link, and that leads to no generation."""
    states = [state_of(f"{entry.address}/{name}") for name in file_names(entry)]
    is_lost = any(state.is_shown and not state.generation for state in states)
    return is_lost and not any(state.kind is FileKind.FILE for state in states)


def judge_publication(entry: Entry, state_of: StateOf) -> Iterator[Diagnostic]:
    """Demand that all files of an entry come into sight as the spec asks, and none in another way."""
    if is_out_of_sight(entry, state_of):
        message = f"{entry.address} has no file to be seen: {LINK_NAME} leads to no generation beside it"
        yield finding("publication", message, str(entry.address), "`certgen plan` says what would become of it")
        return
    states = {name: state_of(f"{entry.address}/{name}") for name in file_names(entry)}
    present = {name: state for name, state in states.items() if state.kind is FileKind.FILE}
    in_force = state_of(f"{entry.address}/{LINK_NAME}").generation
    match entry.publication:
        case Publication.FILES:
            astray = [name for name, state in present.items() if state.generation]
            message = f"{entry.address} has files behind {LINK_NAME}, which the spec does not ask for"
        case Publication.SYMLINK:
            shown = [name for name, state in present.items() if state.is_shown and state.generation == in_force]
            astray = [name for name in present if name not in shown]
            message = f"{entry.address} has files that {LINK_NAME} does not lead to: {', '.join(astray)}"
    if astray:
        yield finding("publication", message, str(entry.address), "`certgen apply` publishes them")


def judge_kustomization(bundle: Bundle, state_of: StateOf) -> Iterator[Diagnostic]:
    """Demand that a cluster is told of the tree what the spec says."""
    state, wanted = state_of(KUSTOMIZATION_FILE), bundle.kustomization
    if wanted and state.kind is FileKind.ABSENT:
        yield finding("file-missing", f"{KUSTOMIZATION_FILE} is missing", KUSTOMIZATION_FILE)
    elif wanted != state.content and (wanted or is_marked(state)):
        message = f"{KUSTOMIZATION_FILE} is not what the spec renders"
        yield finding("file-drifted", message, KUSTOMIZATION_FILE, "`certgen apply` writes it anew")


def is_known(path: str, manifest: Manifest, bundle: Bundle, state_of: StateOf) -> bool:
    """Whether a file of the tree is certgen's."""
    parts = PurePosixPath(path).parts
    is_rendered = path == KUSTOMIZATION_FILE and bundle.kustomization
    if path in TREE_FILES or is_rendered or parts[0] == MACHINE_FOLDER:
        return True
    try:
        address = Address.parse("/".join(parts[:2]))
    except ValueError:
        return False
    name, listed = "/".join(parts[2:]), manifest.entries.get(address)
    names = listed.files if listed is not None else {}
    in_generation = LINK_NAME in names and is_own(name, state_of(path).content, names)
    return name in names or name.startswith(SPARE_KEY_FILE) or in_generation
