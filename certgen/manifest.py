"""Floor 2: the manifest: what certgen owns in a tree. No secrets, no times; one address a line, so branches merge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from certgen.model import Address

VERSION: Final = 1


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


class DamagedManifestError(ValueError):
    """Bytes that are no manifest; a merge with conflicts leaves such."""


def render_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as canonical JSON: sorted, one address a line."""
    lines = [
        f"  {json.dumps(str(address))}: {_render_entry(manifest.entries[address])}"
        for address in sorted(manifest.entries, key=lambda address: address.sort_key)
    ]
    entries = ",\n".join(lines)
    head = f'{{"version": {VERSION}, "name": {json.dumps(manifest.name)}, "entries": {{\n'
    return f"{head}{entries}\n}}}}\n".encode()


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        DamagedManifestError: it is not one, or of a version that this certgen does not know.
    """
    try:
        data = json.loads(content)
        if data["version"] != VERSION:
            raise DamagedManifestError(f"version {data['version']!r}")
        entries = {Address.parse(address): _parse_entry(entry) for address, entry in data["entries"].items()}
        return Manifest(str(data["name"]), entries)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise DamagedManifestError(str(reason)) from None


def _render_entry(entry: ManifestEntry) -> str:
    return json.dumps({"key": entry.key_id, "files": dict(sorted(entry.files.items()))})


def _parse_entry(data: Any) -> ManifestEntry:  # noqa: ANN401 - whatever JSON holds
    files = {_file_name(name): digest if digest is None else str(digest) for name, digest in data["files"].items()}
    return ManifestEntry(str(data["key"]), files)


def _file_name(name: str) -> str:
    """Refuse a name that would lead out of the entry's folder: a manifest comes from git, and so from anybody."""
    if not name or "\\" in name or "\0" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise DamagedManifestError("a file name that leads out of its folder")
    return name
