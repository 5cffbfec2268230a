"""How an entry's files are published: by themselves, or in a generation behind one link; what has to move for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from certgen.manifest import digest
from certgen.model import Entry
from certgen.plan.values import Change, Publishing, Reason, ReasonCode
from certgen.publication import LINK_NAME, Publication, is_generation, is_hidden
from certgen.tree import FileKind, FileState, Observed, ObservedEntry, file_names, is_secret

_AS_FILES = "each file by itself"
_AS_ONE = f"all behind {LINK_NAME}"


def judge_publication(entry: Entry, found: ObservedEntry) -> tuple[Reason, ...]:
    """Say why files that are as they should be have to be published anew; nothing where none is there."""
    present = [name for name in file_names(entry) if found.file(name).kind is FileKind.FILE]
    behind = [name for name in present if found.file(name).generation]
    if entry.publication is Publication.FILES:
        return (Reason(ReasonCode.OUTPUT_CHANGED, _AS_ONE, _AS_FILES, "publish"),) if _is_behind(found) else ()
    if present and not behind:
        return (Reason(ReasonCode.OUTPUT_CHANGED, _AS_FILES, _AS_ONE, "publish"),)
    reasons = [Reason(ReasonCode.MISSING, what=LINK_NAME)] if present and not found.file(LINK_NAME).generation else []
    for name in present:
        if name not in behind:
            reasons.append(Reason(ReasonCode.FILE_DRIFTED, "a file in place of its link", what=name))
        elif not found.file(name).is_shown:
            reasons.append(Reason(ReasonCode.MISSING, what=f"the link {name}"))
    return tuple(reasons)


def as_published(entry: Entry, change: Change, observed: Observed) -> Change:
    """Complete a change by what it takes to publish what it writes.

    What is published together is written together, so files that stay are carried along. The generation that was in
    force stays for those who are reading it, without what must not stay; the one before it goes.

    Args:
        entry: the entry.
        change: what is written and removed, by the files' own names.
        observed: what was found.
    """
    found = observed[entry.address]
    generation, is_linked = generation_in_force(found), entry.publication is Publication.SYMLINK
    if not is_linked and not _is_behind(found):
        return change
    listed = _listed(entry, observed)
    owned = dict.fromkeys((*file_names(entry), *(name for name in listed if not is_hidden(name))))
    present = [name for name in owned if found.file(name).kind is FileKind.FILE]
    moved = present if is_linked else [name for name in present if found.file(name).generation]
    carried = tuple(name for name in moved if name not in {*change.writes, *change.removes})
    before = [name for name, was in listed.items() if _is_over(name, was, found.file(name), generation)]
    if is_linked:
        # A private key that is sealed from now on, or that nothing asks for any more, is not left in clear behind.
        before += [f"{generation}/{name}" for name in change.removes if generation and is_secret(name)]
    else:
        before += [f"{generation}/{name}" for name in moved]
        before += [LINK_NAME] if generation else []
    return replace(change, removes=(*change.removes, *before), publishing=Publishing(carried, is_linked=is_linked))


def generation_in_force(found: ObservedEntry) -> str:
    """Give the folder in which an entry's files stand behind its one link; nothing where they do not."""
    return next((state.generation for state in found.files.values() if state.generation), "")


def left_behind(entry: Entry, change: Change, observed: Observed) -> dict[str, str | None]:
    """Give the files of the generation that was in force and stays beside the new one, with their digests."""
    found = observed[entry.address]
    generation = generation_in_force(found)
    if change.publishing is None or not change.publishing.is_linked or not generation:
        return {}
    owned = {*file_names(entry), *_listed(entry, observed)}
    return {
        f"{generation}/{name}": None if is_secret(name) else digest(state.content)
        for name, state in found.files.items()
        if name in owned and state.generation and (state.kind is FileKind.FILE or _is_closed_secret(name, state))
        if f"{generation}/{name}" not in change.removes
    }


def places(name: str, state: FileState) -> tuple[str, ...]:
    """Give all that has to be removed for a file to be gone: itself, and the link that shows it."""
    is_file = state.kind in {FileKind.FILE, FileKind.UNREADABLE}
    if name == LINK_NAME or not state.generation:
        return (name,) if is_file or state.generation else ()
    return (*((f"{state.generation}/{name}",) if is_file else ()), *((name,) if state.is_shown else ()))


def _listed(entry: Entry, observed: Observed) -> Mapping[str, str | None]:
    recorded = observed.manifest.entries.get(entry.address)
    return recorded.files if recorded is not None else {}


def _is_over(name: str, listed: str | None, state: FileState, in_force: str) -> bool:
    """Whether a file is one of a generation that is no longer in force, and as it was written."""
    generation = name.partition("/")[0]
    if not is_generation(generation) or generation == in_force or state.kind is not FileKind.FILE:
        return False
    return is_secret(name) if listed is None else digest(state.content) == listed


def _is_closed_secret(name: str, state: FileState) -> bool:
    """Whether there is a private key that could not be read; it is kept under another name too."""
    return is_secret(name) and state.kind in {FileKind.UNREADABLE, FileKind.CLOSED}


def _is_behind(found: ObservedEntry) -> bool:
    """Whether any file stands in a generation."""
    return any(
        state.generation or (is_hidden(name) and state.kind is FileKind.FILE) for name, state in found.files.items()
    )
