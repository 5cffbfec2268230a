"""Floor 4: the journal: what a run has committed to, so that the next one can complete it. A value; `store` keeps it.

A journal is a head and a batch a line, each behind its own digest: a line that a power cut tore is no line. It knows
the inode of its own file, and the time of a file beside it that nobody can foretell: neither git nor a copy brings both
along, and a journal from elsewhere moves nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from certgen.manifest import (
    DamagedManifestError,
    Manifest,
    ManifestEntry,
    checked_file_name,
    entry_data,
    parse_entry,
    parse_manifest,
    render_manifest,
)
from certgen.model import Address
from certgen.tree import KEYS_NOTE, OWN_TREE_FILES, PRIVATE_KEY_FILES, PUBLIC_MODE, SPARE_KEY_FILE, FileKind, FileState

VERSION: Final = 1
_DIGEST: Final = 16
_OWN_PATHS: Final = frozenset({*OWN_TREE_FILES, KEYS_NOTE})


@dataclass(frozen=True, slots=True)
class Batch:
    """What becomes of the tree's files together; paths are relative to the tree."""

    moves: Mapping[str, str] = field(default_factory=dict)
    """Names of staged files, by the paths at which they belong, in their order."""
    spares: Mapping[str, str] = field(default_factory=dict)
    """Under which paths files that are replaced are kept, by those of the new."""
    olds: Mapping[str, str] = field(default_factory=dict)
    """Where files that are replaced and kept stand, if elsewhere, by the paths of the new."""
    removes: tuple[str, ...] = ()
    lines: Mapping[Address, ManifestEntry | None] = field(default_factory=dict)
    """What the manifest says then; None for an entry that is gone."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What one run has committed to."""

    name: str
    """The tree's."""
    inode: int
    """That of the journal's own file."""
    mark: int
    """The time of the file `MARK_NOTE`, in nanoseconds."""
    extends: bool
    """Whether the lines add to the manifest that stands there; not where the run was rebuilding it."""
    batches: tuple[Batch, ...] = ()

    def staged(self) -> dict[str, str]:
        """Give the staged files by the paths at which they belong."""
        return {path: name for batch in self.batches for path, name in batch.moves.items()}

    def removed(self) -> frozenset[str]:
        """Give the paths that go."""
        return frozenset(path for batch in self.batches for path in batch.removes)

    def extend(self, manifest: Manifest) -> Manifest:
        """Give the manifest with the lines of all batches."""
        entries = dict(manifest.entries)
        for batch in self.batches:
            for address, line in batch.lines.items():
                entries.pop(address, None)
                if line is not None:
                    entries[address] = line
        return Manifest(self.name, entries)


class Recovery(StrEnum):
    """What was made of an interrupted run."""

    NONE = "there was none"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    """It had committed to nothing."""


def extended(state: FileState, journal: Journal) -> FileState:
    """Give the manifest with what a journal adds; one that cannot be read is left for the decision to rebuild.

    Args:
        state: what stands in its place.
        journal: of the run that was interrupted.
    """
    if not journal.extends:
        return state
    try:
        manifest = Manifest() if state.kind is FileKind.ABSENT else parse_manifest(state.content)
    except DamagedManifestError:
        return state
    return FileState(FileKind.FILE, state.mode or PUBLIC_MODE, render_manifest(journal.extend(manifest)))


def render_head(name: str, inode: int, mark: int, *, extends: bool) -> bytes:
    """Write the first line of a journal; see `Journal`."""
    return _line({"version": VERSION, "name": name, "inode": inode, "mark": mark, "extends": extends})


def render_batch(batch: Batch) -> bytes:
    """Write the line of a batch."""
    return _line(
        {
            "moves": dict(batch.moves),
            "spares": dict(batch.spares),
            **({"olds": dict(batch.olds)} if batch.olds else {}),
            "removes": list(batch.removes),
            "lines": {str(address): line and entry_data(line) for address, line in batch.lines.items()},
        }
    )


def parse_journal(content: bytes) -> Journal | None:
    """Read a journal as far as its lines are whole; None where not even the first is."""
    lines = _whole_lines(content)
    try:
        head = next(lines)
        if head["version"] != VERSION:
            return None
        journal = Journal(str(head["name"]), int(head["inode"]), int(head["mark"]), bool(head["extends"]))
        return replace(journal, batches=tuple(_parse_batch(line) for line in lines))
    except (StopIteration, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _line(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data).encode()
    return _digest(text) + b" " + text + b"\n"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_DIGEST].encode()


def _whole_lines(content: bytes) -> Iterator[Any]:
    for line in content.splitlines(keepends=True):
        digest, _, text = line[:-1].partition(b" ")
        if not line.endswith(b"\n") or digest != _digest(text):
            return
        yield json.loads(text)


def _parse_batch(data: Any) -> Batch:  # noqa: ANN401 - whatever JSON holds
    return Batch(
        moves={_checked_path(path): _checked_number(name) for path, name in data["moves"].items()},
        spares={_checked_path(path): _checked_spare(spare, path) for path, spare in data["spares"].items()},
        olds={_checked_path(path): _checked_old(old, path) for path, old in data.get("olds", {}).items()},
        removes=tuple(_checked_path(path) for path in data["removes"]),
        lines={
            Address.parse(address): None if line is None else parse_entry(line)
            for address, line in data["lines"].items()
        },
    )


def _checked_path(path: str) -> str:
    """Refuse a path that is not one of a tree."""
    if path not in _OWN_PATHS:
        section, name, file = path.split("/", 2)
        Address.parse(f"{section}/{name}")
        checked_file_name(file)
    return path


def _checked_spare(spare: str, path: str) -> str:
    """Refuse a spare that is not in its entry's folder."""
    if spare != f"{_folder(path)}/{SPARE_KEY_FILE}":
        raise DamagedManifestError(spare)
    return spare


def _checked_old(old: str, path: str) -> str:
    """Refuse a file to keep that is no private key of the same entry."""
    if _folder(_checked_path(old)) != _folder(path) or old.rpartition("/")[2] not in PRIVATE_KEY_FILES:
        raise DamagedManifestError(old)
    return old


def _folder(path: str) -> str:
    """Give the entry's folder in which a file stands, whatever its generation."""
    return "/".join(path.split("/", 2)[:2])


def _checked_number(name: str) -> str:
    if not (name.isascii() and name.isdigit()):
        raise DamagedManifestError(name)
    return name
