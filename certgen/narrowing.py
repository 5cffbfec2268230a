"""Floor 12: of a spec that changed since its stamp, the few entries that did; the stamp vouches for all others.

That may be where nothing else is another than it was: no CA, no default, no other input, no file of the tree. What is
read is then a spec of its own, with all CAs, what changed, and so many of the others that every CA issues for whom it
did, and as long.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from certgen.diagnostics import CertgenError
from certgen.loading import LoadedSpec, load_excerpt
from certgen.model import Address, Bundle, Section
from certgen.spec.document import MAXIMUM_BYTES, decode
from certgen.spec.outline import outline
from certgen.stamp import Stamp
from certgen.store.files import read_file
from certgen.store.stamps import digest, holds, likely_trees, read_stamp
from certgen.store.tree import Tree
from certgen.tree import FileKind, Vouched

_MOST_CHANGED: Final = 4
"""The part of all entries, one in so many, beyond which it is cheaper to look at all."""

_SECTIONS: Final = {str(section): section for section in Section}

Supports = dict[tuple[str, str], tuple[int, str]]
"""By section and issuer: the longest validity asked for in seconds, and who asks for it."""


def outline_lines(loaded: LoadedSpec) -> list[str]:
    """Write what a stamp keeps of where a spec's entries stand; nothing where one may bear on another's files."""
    found, bundle = loaded.outline, loaded.bundle
    if found is None or any(entry.snippets for entry in bundle.entries):
        return []
    supports = [f"{section} {issuer} {of[0]} {of[1]}" for (section, issuer), of in _supports(bundle).items()]
    digests = [f"{text} {address}" for address, text in found.digests.items()]
    return [found.frame, str(len(supports)), *supports, *digests]


def narrow(paths: Sequence[Path], output: Path, options: str, now: int) -> tuple[LoadedSpec, ...] | None:
    """Read of several specs what changed since their stamps.

    Args:
        paths: the specs.
        output: the folder of all trees.
        options: those of the run that bear on a judgement, in one word.
        now: the time of the run, in seconds since 1970.

    Returns:
        The specs, each as if it had few entries; None where one has to be looked at whole.
    """
    found: list[LoadedSpec] = []
    for path in dict.fromkeys(paths):
        try:
            loaded = _narrow(path, str(output), options, now)
        except (OSError, ValueError, CertgenError):
            # Whatever is wrong with it is told by those who look at all of it.
            return None
        if loaded is None:
            return None
        found.append(loaded)
    return tuple(found) or None


def _narrow(path: Path, output: str, options: str, now: int) -> LoadedSpec | None:
    for name in likely_trees(output, str(path)):
        stamp = read_stamp(f"{output}/{name}")
        if stamp is None or stamp.spec != str(path) or stamp.options != options or not stamp.outline:
            continue
        is_quiet = not any(text for key, text in stamp.said.items() if " err " in key)
        return _changed(path, output, name, stamp) if is_quiet and stamp.judged <= now < stamp.due else None
    return None


def _changed(path: Path, output: str, name: str, stamp: Stamp) -> LoadedSpec | None:
    """Read what changed since a stamp, if all else is as it was."""
    state = read_file(os.path.realpath(path), MAXIMUM_BYTES)
    text = decode(state.content, str(path)) if state.kind is FileKind.FILE else ""
    found = outline(text)
    frame, supports, known = _read(stamp.outline)
    if found is None or found.frame != frame or not known.keys() <= found.digests.keys():
        return None
    changed = {address for address, seen in found.digests.items() if known.get(address) != seen}
    if len(changed) * _MOST_CHANGED > len(known):
        return None
    version = Tree(Path(output, name)).version()
    if not holds(stamp, output, name, {stamp.spec: stamp.inputs.get(stamp.spec, "")}):
        return None
    kept = changed | {address for _, address in supports.values()}
    loaded = load_excerpt(path, text, found, kept)
    if loaded is None or not _is_apart(loaded, stamp, supports):
        return None
    others = tuple(_address(address) for address in found.places if address not in kept)
    files = tuple(Path(file) for file in stamp.inputs if file != stamp.spec)
    digests = {**stamp.inputs, stamp.spec: digest(state.content)}
    return replace(loaded, files=files, digests=digests, vouched=Vouched(others, version=version), stamp=stamp)


def _address(text: str) -> Address:
    """As `Address.parse`, of what it has parsed before."""
    section, _, name = text.partition("/")
    return Address(_SECTIONS[section], name)


def _is_apart(loaded: LoadedSpec, stamp: Stamp, supports: Supports) -> bool:
    """Whether what was read has no bearing on what was not: all CAs are supported as before, no file is new."""
    before = {key: seconds for key, (seconds, _) in supports.items()}
    now = {key: seconds for key, (seconds, _) in _supports(loaded.bundle).items()}
    is_known = all(str(file) in stamp.inputs for file in loaded.files)
    return before == now and is_known and not any(entry.snippets for entry in loaded.bundle.entries)


def _supports(bundle: Bundle) -> Supports:
    """Find for each section and issuer who asks for the longest validity: on that, and on nobody else, others rest."""
    found: Supports = {}
    for entry in bundle.entries:
        if not entry.is_ca:
            key = (str(entry.address.section), str(entry.issuer))
            seconds = entry.template.validity.seconds or 0
            if key not in found or seconds > found[key][0]:
                found[key] = (seconds, str(entry.address))
    return found


def _read(lines: Sequence[str]) -> tuple[str, Supports, dict[str, str]]:
    """Read what `outline_lines` has written.

    Raises:
        ValueError: it has not.
    """
    frame, count, *rest = lines
    supports: Supports = {}
    for line in rest[: int(count)]:
        section, issuer, seconds, address = line.split(" ")
        supports[section, issuer] = (int(seconds), address)
    digests = (line.split(" ") for line in rest[int(count) :])
    return frame, supports, {address: text for text, address in digests}
