"""Floor 12: a fleet looked at by several processes: each judges its share as if the spec had no other end entity.

What is plainly in sync is vouched for, and the decision is about the rest. What a share has to say beyond that, of
whatever kind, is left to the decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from certgen.generations import linked_folders
from certgen.lifetime import LAST_SECOND
from certgen.manifest import Manifest, lines_of, parse_lines, render_line, render_manifest
from certgen.model import Address, Bundle
from certgen.observe import observe, paths_to_read
from certgen.plan.decide import plan
from certgen.plan.horizon import next_instant
from certgen.plan.records import recorded_entry
from certgen.plan.values import Plan, Requests
from certgen.signers.workers import Workers, pays
from certgen.store.sight import Looks
from certgen.store.tree import Tree
from certgen.tree import (
    MANIFEST_FILE,
    OWN_TREE_FILES,
    FileKind,
    FileState,
    KeyState,
    ManifestState,
    Observed,
    Vouched,
)

SHARE: Final = 100
"""End entities that are looked at together."""
SECONDS_OF_A_LOOK: Final = 0.0003
"""What it costs to read, verify and judge one, on one core."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What several processes have found.

    due: the first second at which any of it may be judged otherwise.
    looks: what the file system said of what they looked at.
    """

    vouched: Vouched
    due: datetime
    looks: tuple[Looks, ...]


def survey(  # noqa: PLR0913, PLR0917 - as a decision, and where to look
    bundle: Bundle, root: Path, own_files: Collection[Path], now: datetime, requests: Requests, jobs: int
) -> Survey | None:
    """Have several processes look at a fleet.

    Args:
        bundle: what the spec describes.
        root: the tree's folder.
        own_files: the files that the spec names as the user's own.
        now: the time for which to judge.
        requests: what is asked for beyond the spec.
        jobs: how many processes may look.

    Returns:
        What they found to be as it should; None where it does not pay, or the tree is not in a state for it.

    Raises:
        CertgenError: the tree cannot be looked at.
    """
    members = [entry.address for entry in bundle.end_entities]
    shares = [members[start : start + SHARE] for start in range(0, len(members), SHARE)]
    seconds = [SECONDS_OF_A_LOOK * len(share) for share in shares]
    if not pays(seconds, jobs):
        return None
    version = Tree(root).version()
    surveyor = _surveyor(bundle, Tree(root), own_files, now, requests)
    if surveyor is None or not surveyor.is_sound(surveyor.judge(())):
        return None
    with closing(Workers(surveyor.look, shares, seconds, jobs)) as workers:
        found = [workers.take(number) for number in range(len(shares))]
    vouched = Vouched(
        tuple(address for one in found for address in one.vouched.addresses),
        tuple(address for one in found for address in one.vouched.elsewhere),
        version,
    )
    due = min((one.due for one in found), default=LAST_SECOND)
    return Survey(vouched, due, tuple(looks for one in found for looks in one.looks))


def read_entries(bundle: Bundle, manifest: Manifest, tree: Tree) -> dict[str, FileState]:
    """Read all files of the tree that a decision looks at, but for the tree's own.

    Args:
        bundle: what the spec describes.
        manifest: what is owned.
        tree: the tree.
    """
    files = tree.read(paths_to_read(bundle, manifest))
    for folder in linked_folders(bundle, manifest, files):
        files |= tree.generations(folder)
    return files


def _surveyor(
    bundle: Bundle, tree: Tree, own_files: Collection[Path], now: datetime, requests: Requests
) -> _Surveyor | None:
    """Learn what all shares need to know; None of a tree in another state than a run leaves it."""
    if tree.folder_fault() or tree.is_interrupted():
        return None
    own = tree.read(OWN_TREE_FILES)
    lines = lines_of(own[MANIFEST_FILE].content) if own[MANIFEST_FILE].kind is FileKind.FILE else {}
    if not lines:
        return None
    return _Surveyor(bundle, tree.root, own, lines, tree.seen_keys(), tree.inside(own_files), now, requests)


@dataclass(frozen=True, slots=True)
class _Judged:
    bundle: Bundle
    observed: Observed
    plan: Plan
    looks: Looks
    kept: frozenset[Address]


@dataclass(frozen=True, slots=True)
class _Surveyor:
    """Judges one share of a fleet after the other; a process that was forked has it whole."""

    bundle: Bundle
    root: Path
    own: Mapping[str, FileState]
    lines: Mapping[str, str]
    seen_keys: frozenset[str]
    protected: frozenset[str]
    now: datetime
    requests: Requests

    def look(self, share: Sequence[Address]) -> Survey:
        """Look at some end entities, and vouch for those that are plainly in sync."""
        judged = self.judge(share)
        if not self.is_sound(judged):
            return Survey(Vouched(), LAST_SECOND, ())
        kept = [address for address in share if self._is_plain(address, judged)]
        entries = [judged.observed[address] for address in kept]
        elsewhere = [a for a, found in zip(kept, entries, strict=True) if found.key.state is KeyState.ABSENT]
        vouched = Vouched(tuple(kept), tuple(a for a in elsewhere if self.bundle[a].public_key is None))
        return Survey(vouched, next_instant(judged.bundle, judged.observed, self.now), (judged.looks,))

    def judge(self, share: Collection[Address]) -> _Judged:
        """Decide about all CAs and some end entities."""
        bundle, tree = self.bundle.narrowed(share), Tree(self.root)
        lines = {text: self.lines[text] for entry in bundle.entries if (text := str(entry.address)) in self.lines}
        manifest = Manifest(bundle.name, parse_lines(lines.values()))
        own = replace(self.own[MANIFEST_FILE], content=render_manifest(Manifest(bundle.name, unread=lines)))
        files = tree.steadily(lambda: read_entries(bundle, manifest, tree))
        found = {**self.own, MANIFEST_FILE: own, **files}
        read = (manifest, ManifestState.READ)
        observed = observe(bundle, found, self.seen_keys, self.protected, manifest=read)
        decided = plan(bundle, observed, self.now, self.requests)
        return _Judged(bundle, observed, decided, tree.looks(), frozenset(decided.kept))

    @staticmethod
    def is_sound(judged: _Judged) -> bool:
        """Whether nothing is to be said, or done, that concerns more than one end entity."""
        decided = judged.plan
        is_quiet = {notice.code for notice in decided.notices} <= {"keys-elsewhere"} and not decided.modes
        is_in_order = not (decided.obstacles or decided.consents or decided.widenings)
        authorities = {entry.address for entry in judged.bundle.entries if entry.is_ca and entry.supplied is None}
        return is_quiet and is_in_order and authorities <= judged.kept

    def _is_plain(self, address: Address, judged: _Judged) -> bool:
        """Whether an entry is kept, and nothing has to be noted of it: no line of the manifest, and no key."""
        key = judged.observed[address].key.key_id
        if address not in judged.kept or (key is not None and key not in self.seen_keys):
            return False
        if not judged.plan.changes:
            # The decision has compared all lines.
            return True
        line = recorded_entry(self.bundle[address], judged.observed)
        return line is not None and self.lines.get(str(address)) == render_line(address, line)
