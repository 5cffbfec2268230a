"""What the manifest says of an entry: of one that stays as it is, and of one after its change."""

from __future__ import annotations

from collections.abc import Mapping

from certgen.manifest import ManifestEntry, digest
from certgen.model import Entry
from certgen.plan.publication import is_removed_by_hand
from certgen.plan.seals import seal_of
from certgen.plan.values import Change
from certgen.publication import LINK_NAME, Publication, is_hidden
from certgen.tree import COMBINED_FILE, PRIVATE_KEY_FILES, SECRET_FILES, FileKind, Observed, file_names, key_file


def recorded_entry(entry: Entry, observed: Observed) -> ManifestEntry | None:
    """Give what the manifest should say of an entry that stays as it is.

    Files that nothing asks for and that are still there are listed as before, so that they stay certgen's.
    """
    found = observed[entry.address]
    if found.certificate is None:
        return None
    closed, mark = seal_of(entry, observed)
    files = {name: None if name in SECRET_FILES else digest(found.file(name).content) for name in file_names(entry)}
    files |= {name: closed for name in PRIVATE_KEY_FILES if name in files}
    files |= {LINK_NAME: None} if entry.publication is Publication.SYMLINK else {}
    return ManifestEntry(found.certificate.key_id, {**leftovers(entry, observed), **files}, mark)


def changed_entry(
    entry: Entry, change: Change, key_id: str, written: Mapping[str, str], observed: Observed
) -> ManifestEntry:
    """Give what the manifest says of an entry after its change: of what is written, and of what stays.

    Args:
        entry: the entry.
        change: its change.
        key_id: of the certificate that it has then.
        written: SHA-256 of each file that is written, hexadecimal, by name.
        observed: what was found.
    """
    found = observed[entry.address]
    left = leftovers(entry, observed).items()
    files = {name: listed for name, listed in left if name not in change.removes}
    for name in file_names(entry):
        files[name] = None if name == COMBINED_FILE else written.get(name) or digest(found.file(name).content)
    if entry.publication is Publication.SYMLINK:
        files[LINK_NAME] = None
    name, protection = key_file(entry), entry.key.protection
    mark = None
    if name in files:
        closed, mark = seal_of(entry, observed)
        if name in written:
            closed, mark = (written[name], protection.mark) if protection is not None else (None, None)
        files[name] = closed
    return ManifestEntry(key_id, files, mark)


def leftovers(entry: Entry, observed: Observed) -> dict[str, str | None]:
    """Give the files of a live entry that the manifest lists, nothing asks for, and that are still there."""
    recorded = observed.manifest.entries.get(entry.address)
    wanted, found = set(file_names(entry)), observed[entry.address]
    listed = recorded.files.items() if recorded else ()
    left = {name: was for name, was in listed if name not in wanted and (name == LINK_NAME or not is_hidden(name))}
    return {
        name: was
        for name, was in left.items()
        if name == LINK_NAME or not is_removed_by_hand(found.file(name))
        if found.file(name).kind is not FileKind.ABSENT
    }
