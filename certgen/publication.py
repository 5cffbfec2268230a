"""Floor 0: how an entry's files come into sight: each by itself, or all together behind one link.

Behind a link they stand in a generation, a folder that is written once and never changed. Whoever follows the link sees
all of one generation or all of the next.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from itertools import count
from typing import Final

LINK_NAME: Final = "..data"
"""The link in an entry's folder that leads to the generation in force; programs that watch a folder know the name."""

_LAST: Final = 999_999_999
_GENERATION: Final = re.compile(r"\.\.[1-9][0-9]{0,8}", re.ASCII)


class Publication(StrEnum):
    """How an entry's files come into sight."""

    FILES = "files"
    SYMLINK = "symlink"


def is_hidden(name: str) -> bool:
    """Whether a file of an entry's folder is the one link, or stands in a generation."""
    return name.startswith("..")


def is_generation(name: str) -> bool:
    """Whether a folder's name is that of a generation."""
    return _GENERATION.fullmatch(name) is not None


def link_to(name: str) -> str:
    """Give where the link of a file's own name leads: by the one link into the generation in force.

    Args:
        name: the file's path within the entry's folder.
    """
    return f"{'../' * name.count('/')}{LINK_NAME}/{name}"


def generation_number(name: str) -> int:
    """Give the number of a generation; 0 for what is none."""
    return int(name.removeprefix("..")) if is_generation(name) else 0


def next_generation(names: Collection[str]) -> str:
    """Give the name of a generation that is not among some names yet: a later one, as long as there is one."""
    latest = max(map(generation_number, names), default=0)
    numbers = count(latest + 1 if latest < _LAST else 1)
    return next(name for number in numbers if (name := f"..{number}") not in names)
