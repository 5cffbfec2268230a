"""Files of every kind, each by the reader that knows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from certgen.importing import certyaml, cfssl, instances, pem
from certgen.importing.draft import Collected, Source, merged

READERS: Final = {".yaml": (certyaml.collect, instances.collect), ".json": (cfssl.collect,)}
"""What reads the descriptions of other programs, by the ending of the file's name."""


def collect(sources: Iterable[Source]) -> Collected:
    """Make entries of all that was given.

    Args:
        sources: files; what no reader knows is passed over.
    """
    found = list(sources)
    described = Collected()
    for source in found:
        suffix = PurePath(source.path).suffix.lower().replace(".yml", ".yaml")
        read = (reader(source) for reader in READERS.get(suffix, ()))
        described += next((item for item in read if item is not None), Collected())
    return merged(pem.collect(found), described)
