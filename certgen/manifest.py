"""Floor 2: the manifest: what certgen owns in a tree. No secrets, no times; one address a line, so branches merge.

Each line stands for itself, comma and all, and their order says nothing: git may put together those of two branches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from certgen.model import SECTION_ORDER, Address

VERSION: Final = 1
_END: Final = '"": null}}'
"""The last line: thanks to the nobody in it, every other ends with a comma, and branches that add lines merge."""
_RANKS: Final = {str(section): rank for section, rank in SECTION_ORDER.items()}
LONGEST_NAME: Final = 255
"""Bytes that a file's name may have on the usual file systems."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What certgen owns in one folder."""

    key_id: str
    """SHA-256 of the entry's SubjectPublicKeyInfo, hexadecimal."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """SHA-256 of each file by name, hexadecimal; None for a private key in clear, of which nothing is told."""
    sealed: str | None = None
    """How the private key is sealed, as `Protection.mark` says it."""
    adopted: str | None = None
    """For which request a certificate was adopted that another program made, as `adoption_mark` says it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one tree."""

    name: str = ""
    entries: Mapping[Address, ManifestEntry] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The lines of entries that nobody asked about, by their addresses, as they are written."""

    @property
    def unread_keys(self) -> frozenset[str]:
        """The key ids of the entries that nobody asked about."""
        return frozenset(line.partition('"key": "')[2].partition('"')[0] for line in self.unread.values())

    def owns(self, address: Address, file: str) -> bool:
        """Whether a file is listed."""
        entry = self.entries.get(address)
        return entry is not None and file in entry.files


def digest(content: bytes) -> str:
    """Give the SHA-256 of a file's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class DamagedManifestError(ValueError):
    """Bytes that are no manifest; a merge with conflicts leaves such."""


class NewerManifestError(DamagedManifestError):
    """A manifest of a version that a later certgen writes; the argument is the version."""


def render_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as canonical JSON: sorted, one address a line."""
    lines = {str(address): render_line(address, entry) for address, entry in manifest.entries.items()}
    lines.update(manifest.unread)
    entries = "".join(f"{lines[address]},\n" for address in sorted(lines, key=_sort_key))
    return f"{_head(manifest.name)}\n{entries}{_END}\n".encode()


def says_the_same(content: bytes, other: bytes) -> bool:
    """Whether two manifests have the same lines, in whatever order: git puts those of two branches side by side."""
    return content == other or sorted(content.split(b"\n")) == sorted(other.split(b"\n"))


def render_line(address: Address, entry: ManifestEntry) -> str:
    """Write what the manifest says of one entry, without the comma after it."""
    return f"  {json.dumps(str(address))}: {json.dumps(entry_data(entry))}"


def lines_of(content: bytes) -> dict[str, str]:
    """Give the lines of a manifest by their addresses, none of them read; nothing where it is not laid out as ours."""
    head, *lines = content.decode("utf-8", "replace").split("\n")
    if not _is_head(head) or lines[-2:] != [_END, ""]:
        return {}
    found = {
        line[3 : line.find('"', 3)]: line.removesuffix(",")
        for line in lines[:-2]
        if line.startswith('  "') and line.endswith(",")
    }
    return found if len(found) == len(lines) - 2 else {}


def parse_lines(lines: Iterable[str]) -> dict[Address, ManifestEntry]:
    """Read lines of a manifest, each without the comma after it.

    Raises:
        DamagedManifestError: one is none.
    """
    return dict(_parse(f"{_head('')}{_joined(lines)}{_END}".encode()).entries)


def parse_manifest(content: bytes, unread: Collection[str] = ()) -> Manifest:
    """Read a manifest.

    Args:
        content: of its file.
        unread: addresses of which the lines are kept as they are; they have been read before.

    Raises:
        DamagedManifestError: it is not one.
        NewerManifestError: a later certgen wrote it.
    """
    lines = lines_of(content) if unread else {}
    apart = {address: lines.pop(address) for address in unread if address in lines}
    if not apart:
        return _parse(content)
    head, rest = content.partition(b"\n")[0], _joined(lines.values())
    return replace(_parse(b"%b%b%b" % (head, rest.encode(), _END.encode())), unread=apart)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}," for line in lines)


def _parse(content: bytes) -> Manifest:
    try:
        data = json.loads(content, object_pairs_hook=_once)
        _refuse_other_version(data["version"])
        lines = {address: entry for address, entry in data["entries"].items() if address or entry is not None}
        entries = {Address.parse(address): parse_entry(entry) for address, entry in lines.items()}
        return Manifest(str(data["name"]), entries)
    except DamagedManifestError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise DamagedManifestError(str(reason)) from None


def _head(name: str) -> str:
    return f'{{"version": {VERSION}, "name": {json.dumps(name)}, "entries": {{'


def _is_head(line: str) -> bool:
    try:
        return _head(json.loads(f"{line}{_END}")["name"]) == line
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _sort_key(address: str) -> tuple[int, str]:
    """As `Address.sort_key`, of its text."""
    section, _, name = address.partition("/")
    return _RANKS.get(section, len(_RANKS)), name


def entry_data(entry: ManifestEntry) -> dict[str, Any]:
    """Give what JSON says of an entry."""
    marks = {"sealed": entry.sealed, "adopted": entry.adopted}
    known = {name: mark for name, mark in marks.items() if mark is not None}
    return {"key": entry.key_id, **known, "files": dict(sorted(entry.files.items()))}


def parse_entry(data: Any) -> ManifestEntry:  # noqa: ANN401 - whatever JSON holds
    """Read what JSON says of an entry.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is something else.
    """
    files = {checked_file_name(name): _hexadecimal(digest) for name, digest in data["files"].items()}
    key_id = _hexadecimal(data["key"])
    if key_id is None:
        raise DamagedManifestError("an entry without a key")
    return ManifestEntry(key_id, files, _mark(data.get("sealed")), _mark(data.get("adopted")))


def _refuse_other_version(version: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    if isinstance(version, int) and version > VERSION:
        raise NewerManifestError(str(version))
    if version != VERSION:
        raise DamagedManifestError("a version that never was")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice, as a merge by hand can leave it."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DamagedManifestError("a key stands twice")
    return found


def _hexadecimal(value: Any) -> str | None:  # noqa: ANN401 - whatever JSON holds
    if value is not None and not (isinstance(value, str) and value.isascii()):
        raise DamagedManifestError("a digest that is no text")
    return value


def _mark(value: Any) -> str | None:  # noqa: ANN401 - whatever JSON holds
    if value is not None and not (isinstance(value, str) and value.isascii() and value.isprintable()):
        raise DamagedManifestError("a mark that is no text")
    return value


def checked_file_name(name: str) -> str:
    """Give a file's name, but refuse one that would lead out of the entry's folder.

    A manifest comes from git, and so from anybody.

    Raises:
        DamagedManifestError: it leads elsewhere, or is longer than file systems take.
    """
    if (
        len(name.encode()) > LONGEST_NAME
        or "\\" in name
        or "\0" in name
        or any(part in {"", ".", ".."} for part in name.split("/"))
    ):
        raise DamagedManifestError("a file name that leads out of its folder")
    return name
