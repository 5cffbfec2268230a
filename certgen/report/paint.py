"""How text reaches a terminal or a log: styles by meaning, and nothing that could steer what shows it."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from typing import Final

_COMMAND: Final = re.compile(r"(##)\[|\A( *):(?=:(?![0-9A-Fa-f:.]*\Z))")
"""What GitHub's runner obeys in a log: `##[` anywhere, `::` at the beginning of a line. An IP address may begin so."""


class Style(StrEnum):
    """What a piece of text means; the command line chooses the colour."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    STRONG = "strong"
    FAINT = "faint"


Painter = Callable[[str, Style], str]


def plain(text: str, style: Style) -> str:  # noqa: ARG001 - the painter that paints nothing
    """Leave text as it is."""
    return text


def printable(text: str) -> str:
    """Escape what a terminal or a runner would obey or hide: control, direction and invisible characters, commands."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _escaped(c) for c in text)
    return _COMMAND.sub(_disarmed, text) if "##[" in text or "::" in text else text


def columns(text: str) -> int:
    """Give how many columns of a terminal a text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def wrapped(text: str, width: int | None, indent: str = "") -> str:
    """Break text between words at a width; lines after the first are indented. None leaves it whole."""
    if width is None or len(text) <= width:
        return text
    lines = textwrap.wrap(
        text, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _disarmed(found: re.Match[str]) -> str:
    """Escape the last character of what would be obeyed."""
    before = found[1] if found[1] is not None else found[2]
    return before + _escaped(found.group()[-1])


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
