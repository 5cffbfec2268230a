"""How an entry's files are published: by themselves, or in a generation behind one link; what has to move for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from certgen.diagnostics import Diagnostic, error
from certgen.model import Entry
from certgen.plan.values import Change, Publishing, Reason, ReasonCode
from certgen.publication import LINK_NAME, Publication, generation_number, is_hidden
from certgen.tree import (
    FileKind,
    FileState,
    ManifestState,
    Observed,
    ObservedEntry,
    file_names,
    is_own,
    is_secret,
    key_file,
)

_AS_FILES = "each file by itself"
_AS_ONE = f"all behind {LINK_NAME}"


def judge_publication(entry: Entry, found: ObservedEntry) -> tuple[Reason, ...]:
    """Say why files that are as they should be have to be published anew; nothing where none is there."""
    present = [name for name in file_names(entry) if found.file(name).kind is FileKind.FILE]
    behind = [name for name in present if found.file(name).generation]
    if entry.publication is Publication.FILES:
        is_behind = behind or found.file(LINK_NAME).generation
        return (Reason(ReasonCode.OUTPUT_CHANGED, _AS_ONE, _AS_FILES, "publish"),) if is_behind else ()
    if present and not behind:
        return (Reason(ReasonCode.OUTPUT_CHANGED, _AS_FILES, _AS_ONE, "publish"),)
    in_force = found.file(LINK_NAME).generation
    reasons = [Reason(ReasonCode.MISSING, what=LINK_NAME)] if present and not in_force else []
    for name in present:
        state = found.file(name)
        if not state.generation:
            reasons.append(Reason(ReasonCode.FILE_DRIFTED, "a file in place of its link", what=name))
        elif in_force and state.generation != in_force:
            reasons.append(Reason(ReasonCode.FILE_DRIFTED, f"in {state.generation} alone", what=name))
        elif not state.is_shown:
            reasons.append(Reason(ReasonCode.MISSING, what=f"the link {name}"))
    return tuple(reasons)


def as_published(entry: Entry, change: Change, observed: Observed) -> Change:
    """Complete a change by what it takes to publish what it writes.

    What is published together is written together, so files that stay are carried along. The generation that was in
    force stays for those who are reading it, but for private keys that must not stay; all before it go.

    Args:
        entry: the entry.
        change: what is written and removed, by the files' own names.
        observed: what was found.
    """
    found = observed[entry.address]
    is_linked = entry.publication is Publication.SYMLINK
    if not is_linked and not _is_behind(found):
        return change
    present = _present(entry, observed)
    moved = present if is_linked else [name for name in present if found.file(name).generation]
    carried = tuple(name for name in moved if name not in {*change.writes, *change.removes})
    before = [*_over(entry, found, observed), *_last(entry, change, found, is_linked=is_linked)]
    return replace(change, removes=(*change.removes, *before), publishing=Publishing(carried, is_linked=is_linked))


def refused_link(entry: Entry, observed: Observed) -> Diagnostic | None:
    """Refuse what stands in place of the one link and is not certgen's."""
    state, address = observed[entry.address].file(LINK_NAME), entry.address
    if state.kind is FileKind.ABSENT:
        return None
    is_lost = observed.manifest_state is not ManifestState.READ and observed.is_marked
    if state.generation and (observed.manifest.owns(address, LINK_NAME) or is_lost):
        return None
    path = f"{address}/{LINK_NAME}"
    message = f"{path} is not the link that certgen made, and it is in the way"
    return error("foreign-file", message, help="move it away", where=path)


def unmovable(entry: Entry, change: Change, found: ObservedEntry) -> list[Diagnostic]:
    """Refuse to leave behind what would have to be carried along and cannot be read."""
    if change.publishing is None or not change.publishing.is_linked:
        return []
    return [
        error(
            "unreadable",
            f"{entry.address}/{name} cannot be put behind {LINK_NAME}: {state.reason}",
            help="move it away",
            where=f"{entry.address}/{name}",
        )
        for name, state in found.files.items()
        if state.kind is FileKind.UNREADABLE and not is_hidden(name) and name not in {*change.writes, *change.removes}
    ]


def places(name: str, state: FileState) -> tuple[str, ...]:
    """Give all that has to be removed for a file to be gone: itself, and the link that shows it."""
    is_file = state.kind in {FileKind.FILE, FileKind.UNREADABLE}
    if name == LINK_NAME or not state.generation:
        return (name,) if is_file or state.generation or state.is_shown else ()
    return (*((f"{state.generation}/{name}",) if is_file else ()), *((name,) if state.is_shown else ()))


def own_generations(found: ObservedEntry, names: Mapping[str, object] | tuple[str, ...]) -> Iterator[str]:
    """Give the files of the generations that are not in force and are certgen's.

    Args:
        found: what is in the entry's folder.
        names: those that its files have, or had.
    """
    for name, state in found.files.items():
        if is_hidden(name) and state.kind is FileKind.FILE and is_own(name, state.content, names):
            yield name


def is_removed_by_hand(state: FileState) -> bool:
    """Whether a person removed the link of a file that nothing asks for, and so the file."""
    return bool(state.generation) and not state.is_shown


def _present(entry: Entry, observed: Observed) -> list[str]:
    """Give the files that are there: those that are asked for, and those that stay though nothing asks for them."""
    found, wanted = observed[entry.address], file_names(entry)
    left = [name for name in _listed(entry, observed) if name not in wanted and not is_hidden(name)]
    left = [name for name in left if not is_removed_by_hand(found.file(name))]
    return [name for name in dict.fromkeys((*wanted, *left)) if found.file(name).kind is FileKind.FILE]


def _over(entry: Entry, found: ObservedEntry, observed: Observed) -> list[str]:
    """Give the files of all generations but the one in force; those of one that is only taken for it stay with it."""
    taken = {state.generation for name, state in found.files.items() if state.generation and name != LINK_NAME}
    last = "" if found.file(LINK_NAME).generation else max(taken, key=generation_number, default="")
    names = (*file_names(entry), *_listed(entry, observed))
    return [name for name in own_generations(found, names) if not last or not name.startswith(f"{last}/")]


def _last(entry: Entry, change: Change, found: ObservedEntry, *, is_linked: bool) -> list[str]:
    """Give what goes of the generation that was in force: all, or the private keys that must not stay."""
    states = {name: state for name, state in found.files.items() if state.generation and name != LINK_NAME}
    if not is_linked:
        own = [f"{state.generation}/{name}" for name, state in states.items() if state.kind is FileKind.FILE]
        return [*own, LINK_NAME] if found.file(LINK_NAME).generation else own
    is_closed_anew = entry.key.protection is not None and key_file(entry) in change.writes
    return [
        f"{state.generation}/{name}"
        for name, state in states.items()
        if is_secret(name) and state.kind is FileKind.FILE and (is_closed_anew or name in change.removes)
    ]


def _listed(entry: Entry, observed: Observed) -> Mapping[str, str | None]:
    recorded = observed.manifest.entries.get(entry.address)
    return recorded.files if recorded is not None else {}


def _is_behind(found: ObservedEntry) -> bool:
    """Whether any file stands in a generation."""
    return any(state.generation for state in found.files.values())
