"""Floor 4: where the files of an entry stand that is published behind one link: in force, or in another generation.

Git keeps no private keys. After a pull, or on another branch, the link may lead to a generation without the key, while
another one has it; and whoever removes the link has not removed what it led to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from certgen.certificates import UnreadableError, parse_certificates, parse_private_key
from certgen.manifest import Manifest, ManifestEntry, digest
from certgen.model import Bundle
from certgen.publication import LINK_NAME, Publication, generation_number, is_hidden
from certgen.rfc5280.objects import key_id, public_key_der
from certgen.tree import (
    ABSENT,
    CERTIFICATE_FILE,
    PRIVATE_KEY_FILES,
    FileKind,
    FileState,
)


def linked_folders(bundle: Bundle, manifest: Manifest, files: Mapping[str, FileState]) -> list[str]:
    """Give the folders of the entries that are, or were, published behind one link: they may have generations.

    Args:
        bundle: what the spec describes.
        manifest: what is owned.
        files: what was found at each of `paths_to_read`.
    """
    asked = [entry.address for entry in bundle.end_entities if entry.publication is Publication.SYMLINK]
    listed = [address for address, line in manifest.entries.items() if LINK_NAME in line.files]
    shown = [path.split("/", 2)[:2] for path, state in files.items() if state.generation or state.is_shown]
    return list(dict.fromkeys((*map(str, (*asked, *listed)), *("/".join(parts) for parts in shown))))


def in_generations(files: Mapping[str, FileState]) -> dict[str, dict[str, FileState]]:
    """Give what stands in generations, by folder, and by its path in that."""
    found: dict[str, dict[str, FileState]] = defaultdict(dict)
    for path, state in files.items():
        folder, separator, name = path.partition("/..")
        if separator and "/" in name:
            found[folder][f"..{name}"] = state
    return found


def settle(files: Mapping[str, FileState], recorded: ManifestEntry | None) -> dict[str, FileState]:
    """Find each file of an entry where it stands.

    Args:
        files: what was found in the entry's folder, by name; those of generations by their paths in it.
        recorded: its line of the manifest.

    Returns:
        The same, with what stands in another generation than that in force in the places of what is missing.
    """
    generations = _by_generation(files)
    if not generations:
        return dict(files)
    found = dict(files)
    if files.get(LINK_NAME, ABSENT).kind is FileKind.ABSENT:
        _put_in_force(found, generations, recorded)
    wanted = _wanted_key(found, recorded)
    if all(_is_missing(found.get(name, ABSENT)) for name in PRIVATE_KEY_FILES) and wanted:
        _restore_key(found, generations, wanted)
    return found


def _by_generation(files: Mapping[str, FileState]) -> dict[str, dict[str, FileState]]:
    """Give the files of the generations that are not in force, the latest generation first."""
    found: dict[str, dict[str, FileState]] = {}
    for name, state in files.items():
        generation, _, own = name.partition("/")
        if own and is_hidden(name):
            found.setdefault(generation, {})[own] = state
    return {generation: found[generation] for generation in sorted(found, key=generation_number, reverse=True)}


def _put_in_force(
    found: dict[str, FileState], generations: Mapping[str, Mapping[str, FileState]], recorded: ManifestEntry | None
) -> None:
    """Take the generation that was in force last for what is missing: the latest with the certificate that is known."""
    known = recorded.key_id if recorded is not None else None
    whole = [name for name, files in generations.items() if _certified(files) is not None]
    fitting = [name for name in whole if _certified(generations[name]) == known] or whole
    for generation in fitting[:1]:
        for name, state in generations[generation].items():
            before = found.get(name, ABSENT)
            if _is_missing(before):
                found[name] = replace(state, generation=generation, is_shown=before.is_shown)


def _restore_key(
    found: dict[str, FileState], generations: Mapping[str, Mapping[str, FileState]], wanted: frozenset[str]
) -> None:
    for generation, files in generations.items():
        for name in PRIVATE_KEY_FILES:
            state = files.get(name, ABSENT)
            if state.kind is FileKind.FILE and not wanted.isdisjoint(_identities(state)):
                found[name] = replace(state, generation=generation)
                return


def _wanted_key(found: Mapping[str, FileState], recorded: ManifestEntry | None) -> frozenset[str]:
    """Give by what the private key is known: its key id, or the digest of the file in which it is sealed."""
    sealed = [recorded.files.get(name) for name in PRIVATE_KEY_FILES] if recorded is not None else []
    return frozenset(item for item in (_certified(found), *sealed) if item)


def _certified(files: Mapping[str, FileState]) -> str | None:
    state = files.get(CERTIFICATE_FILE, ABSENT)
    try:
        return parse_certificates(state.content)[0].key_id if state.kind is FileKind.FILE else None
    except UnreadableError:
        return None


def _identities(state: FileState) -> Iterable[str]:
    yield digest(state.content)
    try:
        yield key_id(public_key_der(parse_private_key(state.content).public_key()))
    except UnreadableError:
        return


def _is_missing(state: FileState) -> bool:
    """Whether nothing stands there, or a link of certgen's that leads nowhere."""
    return state.kind is FileKind.ABSENT or (state.kind is FileKind.OTHER and state.is_shown)
