"""Floor 1: a spec's text by its lines alone: where each end entity stands, so that few of many can be read apart.

The lines are only a guess at what YAML makes of them, and whoever uses it compares it with what the parser found.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

LEAST: Final = 200
"""End entities below which there is nothing to gain."""

_HEADER: Final = re.compile(r"(servers|clients|peers):[ ]*(?:#.*)?")
_KEY: Final = re.compile(r"([a-z0-9][a-z0-9._-]*):(?: .*)?")
_OTHER_BREAKS: Final = re.compile("[\t\r\x85\u2028\u2029]")
_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class Outline:
    """The end entities of a spec, found by the indentation of its lines."""

    frame: str
    """The digest of all lines that belong to no end entity."""
    digests: Mapping[str, str] = field(repr=False)
    """Of the lines of each end entity, by its address."""
    places: Mapping[str, tuple[int, int]] = field(repr=False)
    """Its first line, counted from 0, and the first that is not its own."""


def outline(text: str) -> Outline | None:
    """Find the end entities of a spec; None where they do not stand in plain blocks, each under a name of its own."""
    if _OTHER_BREAKS.search(text):
        return None
    lines = text.split("\n")
    places = _places(lines)
    if places is None:
        return None
    digests = {address: _digest(lines[start:end]) for address, (start, end) in places.items()}
    return Outline(_digest(_outside(lines, places)), digests, places)


def excerpt(text: str, found: Outline, kept: Collection[str]) -> str:
    """Give a spec's text with blank lines in place of all end entities but some."""
    lines = text.split("\n")
    for address, (start, end) in found.places.items():
        if address not in kept:
            lines[start:end] = [""] * (end - start)
    return "\n".join(lines)


def _places(lines: list[str]) -> dict[str, tuple[int, int]] | None:
    starts: dict[str, int] = {}
    ends: list[int] = []
    section, indent = "", 0
    for number, line in enumerate(lines):
        content = line.lstrip(" ")
        if not content or content[0] == "#":
            continue
        depth = len(line) - len(content)
        if depth == 0:
            if len(ends) < len(starts):
                ends.append(number)
            header = _HEADER.fullmatch(line)
            section, indent = header[1] if header else "", 0
        elif section and depth <= (indent or depth):
            key = _KEY.fullmatch(content)
            if key is None or depth < indent or f"{section}/{key[1]}" in starts:
                return None
            if len(ends) < len(starts):
                ends.append(number)
            starts[f"{section}/{key[1]}"] = number
            indent = depth
    if len(ends) < len(starts):
        ends.append(len(lines))
    return {address: (start, end) for (address, start), end in zip(starts.items(), ends, strict=True)}


def _outside(lines: list[str], places: Mapping[str, tuple[int, int]]) -> list[str]:
    """Give the lines that belong to no end entity."""
    outside: list[str] = []
    last = 0
    for start, end in places.values():
        outside += lines[last:start]
        last = end
    return outside + lines[last:]


def _digest(lines: list[str]) -> str:
    return blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
