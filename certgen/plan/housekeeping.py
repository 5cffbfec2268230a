"""What belongs to the tree and not to one entry's certificate: ownership, orphans, modes, ignore file, manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from certgen.diagnostics import Diagnostic, Severity, error
from certgen.manifest import Manifest, digest, render_manifest, says_the_same
from certgen.model import Address, Bundle, Entry
from certgen.plan.publication import is_removed_by_hand, own_generations, places
from certgen.plan.records import recorded_entry
from certgen.plan.values import Action, Change, ModeChange, Reason, ReasonCode, TreeFile
from certgen.publication import LINK_NAME, is_hidden
from certgen.tree import (
    ATTRIBUTES_FILE,
    COMBINED_FILE,
    IGNORE_FILE,
    KUSTOMIZATION_FILE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    MARK,
    OWN_FILES,
    SECRET_FILES,
    FileKind,
    FileState,
    KeyState,
    ManifestState,
    Observed,
    ObservedEntry,
    attributes_file,
    file_names,
    ignore_file,
    is_combined,
    is_marked,
    is_secret,
)


def foreign_files(entry: Entry, change: Change, observed: Observed) -> list[Diagnostic]:
    """Refuse to write where something stands that is not certgen's, or to sign with a key that is not."""
    found = observed[entry.address]
    carried = change.publishing.carried if change.publishing is not None else ()
    names = dict.fromkeys((*change.writes, *(file_names(entry) if change.signing else ()), *carried))
    rendered = {artifact.name: artifact.content for artifact in entry.artifacts}
    return [
        _foreign(f"{entry.address}/{name}", state)
        for name in names
        if (state := found.file(name)).kind is not FileKind.ABSENT
        and not _is_ours(entry.address, name, state, observed)
        and not (state.kind is FileKind.FILE and name in rendered and _is_rendered(state.content, rendered[name]))
    ]


def removals(
    entry: Entry, observed: Observed, *, prune: bool, moved: Collection[str] = ()
) -> tuple[tuple[str, ...], list[Diagnostic]]:
    """Give the files of a live entry that nothing asks for any more and that may go, and warn of the others.

    Args:
        entry: the entry.
        observed: what was found.
        prune: whether a person asked for it.
        moved: names about which all is decided.
    """
    recorded = observed.manifest.entries.get(entry.address)
    wanted, found = set(file_names(entry)), observed[entry.address]
    names: list[str] = []
    warnings: list[Diagnostic] = []
    for name, listed in sorted(recorded.files.items() if recorded else ()):
        state = found.file(name)
        is_gone = state.kind is FileKind.ABSENT or is_removed_by_hand(state)
        if name in wanted or name in moved or is_gone or is_hidden(name):
            continue
        is_free = _paths(entry.address, name, found).isdisjoint(observed.protected)
        is_key = listed is None or name in SECRET_FILES
        is_unmodified = found.is_combined if name == COMBINED_FILE else not is_key and digest(state.content) == listed
        if state.kind is FileKind.FILE and is_free and (prune or is_unmodified):
            names.append(name)
            continue
        what = "a private key" if is_key else "modified since it was written"
        message = f"{entry.address}/{name} is no longer asked for; it is {what} and stays"
        warnings.append(_warning("left-alone", message, "remove it, or use `--prune`", f"{entry.address}/{name}"))
    return tuple(names), warnings


def removed_orphans(
    bundle: Bundle, observed: Observed, *, prune: bool
) -> tuple[tuple[Change, ...], list[Diagnostic], list[Diagnostic]]:
    """Find the entries that the spec no longer has.

    Returns:
        With `prune` the removals; warnings; and what is in the way of a removal.
    """
    changes: list[Change] = []
    warnings: list[Diagnostic] = []
    obstacles: list[Diagnostic] = []
    for address in orphans(bundle, observed):
        found, listed = observed[address], observed.manifest.entries[address].files
        used = sorted(name for name in listed if not _paths(address, name, found).isdisjoint(observed.protected))
        if used:
            message = f"{address} stays: the spec names {', '.join(used)} of it as a file of yours"
            help_ = "move it out of the tree, beside the spec"
            warnings.append(_warning("left-alone", message, help_, str(address)))
        elif not prune:
            message = f"{address} is not in the spec and stays on disk"
            warnings.append(_warning("orphan", message, "remove it with `--prune`", str(address)))
        else:
            states = {name: found.file(name) for name in sorted(listed) if name == LINK_NAME or not is_hidden(name)}
            obstacles += [_closed(f"{address}/{name}", s) for name, s in states.items() if s.kind is FileKind.CLOSED]
            names = tuple(place for name, state in states.items() for place in places(name, state))
            names += tuple(name for name in own_generations(found, listed) if name not in names)
            reasons = (Reason(ReasonCode.ORPHANED, what="not in the spec"),)
            changes.append(Change(address, Action.REMOVE, reasons, removes=names))
    return tuple(changes), warnings, obstacles


def _paths(address: Address, name: str, found: ObservedEntry) -> set[str]:
    """Give the paths of a file: by its name, and where it stands."""
    return {f"{address}/{name}", f"{address}/{found.file(name).generation}/{name}"}


def orphans(bundle: Bundle, observed: Observed) -> list[Address]:
    """Give the addresses that the manifest lists and the spec does not have."""
    made = {entry.address for entry in bundle.entries if entry.supplied is None}
    return sorted(set(observed.manifest.entries) - made, key=lambda address: address.sort_key)


def mode_changes(
    bundle: Bundle, observed: Observed, changes: Iterable[Change]
) -> tuple[tuple[ModeChange, ...], list[Diagnostic]]:
    """Find the private keys that stay and whose mode is not as asked; a file with two names is left as it is."""
    written = {f"{c.address}/{name}" for c in changes for name in _touched(c) if is_secret(name)}
    found: list[ModeChange] = []
    warnings: list[Diagnostic] = []
    for entry in bundle.entries:
        for name, mode, is_linked in _secrets(entry, observed[entry.address]):
            path = f"{entry.address}/{name}"
            if mode == entry.key.mode or path in written:
                continue
            if is_linked:
                message = f"{path} has mode {mode:04o} and a second name elsewhere, a hard link; it keeps its mode"
                warnings.append(_warning("linked-key", message, "put a copy in its place", path))
            else:
                found.append(ModeChange(entry.address, name, mode, entry.key.mode))
    return tuple(found), warnings


def _touched(change: Change) -> tuple[str, ...]:
    carried = change.publishing.carried if change.publishing is not None else ()
    return (*change.writes, *change.removes, *carried)


def _secrets(entry: Entry, found: ObservedEntry) -> Iterator[tuple[str, int, bool]]:
    """Give the files with an entry's private key that are there: name, mode, whether there is a second name."""
    key, combined = found.key, found.file(COMBINED_FILE)
    is_here = key.state is not KeyState.ABSENT and found.file(key.file).kind is not FileKind.OTHER
    if entry.supplied is None and entry.public_key is None and is_here:
        yield key.file, key.mode, key.is_linked
    if is_combined(entry) and combined.kind is FileKind.FILE:
        yield COMBINED_FILE, combined.mode, combined.is_linked
    for name in own_generations(found, ()):
        if is_secret(name):
            yield name, found.file(name).mode, found.file(name).is_linked


def tree_files(
    bundle: Bundle, observed: Observed, *, is_changed: bool
) -> tuple[tuple[Change, ...], tuple[Change, ...], list[Diagnostic]]:
    """Judge the tree's own files.

    Args:
        bundle: what the spec describes.
        observed: what was found.
        is_changed: whether any entry changes, which writes the manifest anyway.

    Returns:
        Changes before all others (what git is told), changes after them (the manifest), and what is in the way.
    """
    obstacles = []
    before: list[Change] = []
    ignore, attributes = observed.ignore_file, observed.attributes_file
    if ignore.kind is FileKind.ABSENT or is_marked(ignore):
        before += _tree_file(IGNORE_FILE, ignore, ignore_file(bundle))
    else:
        obstacles.append(_foreign(IGNORE_FILE, ignore))
    # Nothing depends on it but merges: one of the user's own is left as it is.
    if attributes.kind is FileKind.ABSENT or is_marked(attributes):
        before += _tree_file(ATTRIBUTES_FILE, attributes, attributes_file(bundle))
    kustomization = observed.kustomization
    if is_marked(kustomization) and not bundle.kustomization:
        reason = Reason(ReasonCode.ORPHANED, what="not in the spec")
        before.append(Change(TreeFile(KUSTOMIZATION_FILE), Action.REMOVE, (reason,), removes=(KUSTOMIZATION_FILE,)))
    elif bundle.kustomization and (kustomization.kind is FileKind.ABSENT or is_marked(kustomization)):
        before += _kustomization(kustomization, bundle.kustomization)
    elif bundle.kustomization:
        obstacles.append(_foreign(KUSTOMIZATION_FILE, kustomization))
    after: tuple[Change, ...] = ()
    if observed.manifest_kind is FileKind.OTHER:
        obstacles.append(_foreign(MANIFEST_FILE, FileState(FileKind.OTHER)))
    elif observed.manifest_state is ManifestState.DAMAGED and not observed.is_marked:
        obstacles.append(_foreign(MANIFEST_FILE, FileState(FileKind.FILE)))
    elif not is_changed:
        after = _manifest_change(bundle, observed)
    return tuple(before), after, obstacles


def _tree_file(name: str, state: FileState, wanted: bytes) -> list[Change]:
    if state.kind is FileKind.ABSENT:
        return [_tree_change(name, Reason(ReasonCode.MISSING))]
    return [] if state.content == wanted else [_tree_change(name, Reason(ReasonCode.FILE_DRIFTED, "edited"))]


def _kustomization(state: FileState, wanted: bytes) -> list[Change]:
    """Judge what a cluster is told of a tree: it follows from the spec, and changes with its entries."""
    if state.content == wanted:
        return []
    code = ReasonCode.MISSING if state.kind is FileKind.ABSENT else ReasonCode.OUTPUT_CHANGED
    return [_tree_change(KUSTOMIZATION_FILE, Reason(code))]


def _manifest_change(bundle: Bundle, observed: Observed) -> tuple[Change, ...]:
    listed = {address: observed.manifest.entries[address] for address in orphans(bundle, observed)}
    for entry in bundle.entries:
        kept = recorded_entry(entry, observed) if entry.supplied is None else None
        if kept is not None:
            listed[entry.address] = kept
    wanted = render_manifest(Manifest(bundle.name, listed, observed.manifest.unread))
    if says_the_same(observed.manifest_content, wanted):
        return ()
    match observed.manifest_state:
        case ManifestState.ABSENT:
            reason = Reason(ReasonCode.MISSING)
        case ManifestState.DAMAGED:
            reason = Reason(ReasonCode.UNREADABLE, "damaged")
        case ManifestState.READ:
            reason = Reason(ReasonCode.FILE_DRIFTED, "not what the tree holds")
    return (_tree_change(MANIFEST_FILE, reason),)


def _tree_change(name: str, reason: Reason) -> Change:
    return Change(TreeFile(name), Action.WRITE, (reason,), writes=(name,))


def _is_ours(address: Address, name: str, state: FileState, observed: Observed) -> bool:
    """Whether a file may be written over: listed, or in a tree that lost its manifest."""
    if state.kind is FileKind.OTHER:
        return state.is_shown
    if observed.manifest.owns(address, name):
        return True
    if name not in OWN_FILES:
        return False
    return observed.manifest_state is not ManifestState.READ and observed.is_marked


def _is_rendered(content: bytes, wanted: bytes) -> bool:
    """Whether a file is one that certgen renders: by its first line, or since it is what would be written."""
    return MARK.encode() in content.split(b"\n", 1)[0] or content == wanted


def _foreign(path: str, state: FileState) -> Diagnostic:
    what = state.kind.value if state.kind is FileKind.OTHER else "a file that certgen did not write"
    message = f"{path} is {what}, and it is in the way"
    return error("foreign-file", message, help="move it away", where=path)


def _closed(path: str, state: FileState) -> Diagnostic:
    message = f"{path} cannot be looked at, and so not be removed: {state.reason}"
    return error("unreadable", message, help="run certgen as its owner, or mend the permissions", where=path)


def _warning(code: str, message: str, help_: str, where: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, help=help_, where=where)


def tree_warnings(observed: Observed) -> list[Diagnostic]:
    """Warn of a run that has not finished, and of a manifest that has to be rebuilt from the tree."""
    warnings = []
    if observed.is_interrupted:
        message = "a run has not finished (interrupted, or still under way); what it had committed to is seen as done"
        warnings.append(_warning("interrupted", message, "`certgen apply` finishes it", MACHINE_FOLDER))
    if observed.manifest_state is ManifestState.DAMAGED:
        message = "manifest.json is damaged (conflict marks of a merge?); it is rebuilt from the tree"
        warnings.append(_warning("manifest-rebuilt", message, "orphans cannot be told until then", MANIFEST_FILE))
    if observed.manifest_state is ManifestState.ABSENT and observed.is_marked:
        message = "manifest.json is lost; it is rebuilt from the tree"
        warnings.append(_warning("manifest-rebuilt", message, "orphans cannot be told until then", MANIFEST_FILE))
    return warnings
