"""Floor 2: the manifest: what certgen owns in a tree. No secrets, no times; one address a line, so branches merge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from certgen.model import Address

VERSION: Final = 1
LONGEST_NAME: Final = 255
"""Bytes that a file's name may have on the usual file systems."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What certgen owns in one folder."""

    key_id: str
    """SHA-256 of the entry's SubjectPublicKeyInfo, hexadecimal."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """SHA-256 of each file by name, hexadecimal; None for a private key, of which nothing is told."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one tree."""

    name: str = ""
    entries: Mapping[Address, ManifestEntry] = field(default_factory=dict)

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
    lines = [
        f"  {json.dumps(str(address))}: {json.dumps(entry_data(manifest.entries[address]))}"
        for address in sorted(manifest.entries, key=lambda address: address.sort_key)
    ]
    entries = ",\n".join(lines)
    head = f'{{"version": {VERSION}, "name": {json.dumps(manifest.name)}, "entries": {{\n'
    return f"{head}{entries}\n}}}}\n".encode()


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        DamagedManifestError: it is not one.
        NewerManifestError: a later certgen wrote it.
    """
    try:
        data = json.loads(content, object_pairs_hook=_once)
        _refuse_other_version(data["version"])
        entries = {Address.parse(address): parse_entry(entry) for address, entry in data["entries"].items()}
        return Manifest(str(data["name"]), entries)
    except DamagedManifestError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise DamagedManifestError(str(reason)) from None


def entry_data(entry: ManifestEntry) -> dict[str, Any]:
    """Give what JSON says of an entry."""
    return {"key": entry.key_id, "files": dict(sorted(entry.files.items()))}


def parse_entry(data: Any) -> ManifestEntry:  # noqa: ANN401 - whatever JSON holds
    """Read what JSON says of an entry.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is something else.
    """
    files = {checked_file_name(name): _hexadecimal(digest) for name, digest in data["files"].items()}
    key_id = _hexadecimal(data["key"])
    if key_id is None:
        raise DamagedManifestError("an entry without a key")
    return ManifestEntry(key_id, files)


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
