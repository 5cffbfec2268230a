"""Floor 10: where the files of a change are put: in their entry's folder, or in a generation behind its one link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certgen.model import Address
from certgen.publication import LINK_NAME, link_to
from certgen.store.writer import FileWrite, LinkWrite
from certgen.tree import ObservedEntry


def put_in_generation(address: Address, generation: str, writes: Sequence[FileWrite]) -> list[FileWrite]:
    """Give the files of an entry with their places in a generation, in the order in which they were.

    Args:
        address: the entry.
        generation: the name of a folder that is not there yet.
        writes: all that is going to stand in it, by paths in the entry's folder.
    """
    folder = f"{address}/"
    return [replace(write, path=f"{folder}{generation}/{write.path.removeprefix(folder)}") for write in writes]


def links_to_generation(
    address: Address, generation: str, writes: Sequence[FileWrite], found: ObservedEntry
) -> list[LinkWrite]:
    """Give the links that bring a generation into force, and show the files of it that were not shown.

    Args:
        address: the entry.
        generation: the name of its folder.
        writes: all that is going to stand in it, by paths in the entry's folder.
        found: what is in the entry's folder.
    """
    names = [write.path.removeprefix(f"{address}/") for write in writes]
    shown = [LinkWrite(f"{address}/{name}", link_to(name)) for name in names if not found.file(name).is_shown]
    return [LinkWrite(f"{address}/{LINK_NAME}", generation), *shown]
