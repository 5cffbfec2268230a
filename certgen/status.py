"""Floor 12: how the certificates of a tree stand: over, due, fine; and which of them press.

What certgen renews by time presses once it is due: a run has not come, or could not. A CA is due years before its end,
so it presses only near that; and so does what time never renews: a fixed end, a CA that the user brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from certgen.certificates import UnreadableError, parse_certificates
from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.lifetime import FIRST_SECOND, shift
from certgen.loading import LoadedSpec
from certgen.manifest import NewerManifestError
from certgen.model import Address, Bundle, Certificate, Entry
from certgen.observe import read_manifest
from certgen.plan.notices import newer_manifest
from certgen.plan.times import due_at
from certgen.rfc5280.objects import quiet
from certgen.spec.fields import read_moment
from certgen.store.tree import Tree
from certgen.tree import CERTIFICATE_FILE, MANIFEST_FILE, FileKind, FileState

NEAR: Final = 30 * 86400
"""Seconds before its end at which a CA presses, and what time does not renew, where nothing else is asked."""


class State(StrEnum):
    """What a certificate is at one time, the worst first."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    """There is something, and nobody can tell what."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    DUE = "due"
    """Within its renewal window."""
    FINE = "fine"


_RANKS: Final = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one certificate stands."""

    address: Address
    file: str
    """Where it is."""
    state: State
    certificate: Certificate | None = None
    due: datetime | None = None
    """The first second of its renewal window; None of what time does not renew."""
    is_pressing: bool = False
    """Whether somebody has to do something about it."""
    fault: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Status:
    """How all certificates of one spec stand, as `urgency` sorts them."""

    name: str
    folder: Path
    """The tree's."""
    at: datetime
    within: int | None
    """Seconds before its end at which any certificate presses, where somebody has asked for that."""
    standings: tuple[Standing, ...]


def read_status(loaded: LoadedSpec, output: Path, now: datetime, within: int | None = None) -> Status:
    """Look at the certificates of a spec; no private key is opened.

    Args:
        loaded: a valid spec.
        output: the folder of all trees; this one is `output/NAME`.
        now: the time for which to judge, aware, in UTC.
        within: seconds before its end at which any certificate presses, be it due or not; None leaves it to its window.

    Raises:
        CertgenError: a later certgen wrote the tree, or its journal cannot be looked at.
    """
    bundle, tree = loaded.bundle, Tree(output / loaded.bundle.name)
    files = tree.steadily(lambda: _read(bundle, tree))
    with quiet():
        found = [_stand(entry, files, tree.root, loaded.path.parent) for entry in bundle.entries]
    judged = (judge(bundle, standing, now, within) for standing in found)
    return Status(bundle.name, tree.root, now, within, tuple(sorted(judged, key=urgency)))


def judge(bundle: Bundle, found: Standing, now: datetime, within: int | None) -> Standing:
    """Judge a certificate that was found, by what its spec asks.

    Args:
        bundle: what the spec describes.
        found: what was found; of its state only this is known, whether there is a certificate.
        now: the time for which to judge.
        within: see `read_status`.
    """
    certificate, entry = found.certificate, bundle[found.address]
    if certificate is None:
        return replace(found, is_pressing=found.state is State.MISSING)
    is_renewed = entry.supplied is None and entry.template.validity.fixed_end is None
    due = due_at(certificate, entry) if is_renewed else None
    state = _state(certificate, due, now)
    match state:
        case State.EXPIRED:
            is_pressing = True
        case State.NOT_YET_VALID:
            is_pressing = not _is_awaited(bundle, entry, now)
        case _:
            is_pressing = _is_near(entry, certificate, due, now, within)
    return replace(found, state=state, due=due, is_pressing=is_pressing)


def urgency(standing: Standing) -> tuple[bool, int, datetime, tuple[int, str]]:
    """Give the key by which standings are sorted: what presses first, then what is due first."""
    certificate = standing.certificate
    when = standing.due or (certificate.not_after if certificate else FIRST_SECOND)
    is_first = standing.is_pressing or standing.state is State.UNREADABLE
    return not is_first, _RANKS[standing.state], when, standing.address.sort_key


def lifetime_used(certificate: Certificate, now: datetime) -> float:
    """Give the share of a certificate's lifetime that has gone, from 0 to 1."""
    gone = (now - certificate.not_before).total_seconds()
    return min(1.0, max(0.0, gone / certificate.lifetime))


def unreadable(status: Status) -> tuple[Diagnostic, ...]:
    """Name what cannot be told, once for each cause."""
    standings = [standing for standing in status.standings if standing.state is State.UNREADABLE]
    counts = Counter(standing.fault for standing in standings)
    first: dict[str, Standing] = {}
    for standing in standings:
        first.setdefault(standing.fault, standing)
    return tuple(_unreadable(standing, counts[fault] - 1) for fault, standing in first.items())


def parse_within(text: str) -> int:
    """Read how near an end is, in seconds: `30d`, `12h`.

    Raises:
        CertgenError: it is no duration.
    """
    seconds, _ = read_moment(f"+{text}")
    if seconds is None:
        message = f"`{text}` is not a duration of at most 100y"
        raise CertgenError([error("bad-duration", message, help="for example 30d, 2w or 12h")])
    return seconds


def _read(bundle: Bundle, tree: Tree) -> Mapping[str, FileState]:
    entries = [entry for entry in bundle.entries if entry.supplied is None]
    files = tree.read([MANIFEST_FILE, *map(_place, entries)])
    try:
        read_manifest(files[MANIFEST_FILE])
    except NewerManifestError:
        raise CertgenError([newer_manifest(str(tree.root / MANIFEST_FILE))]) from None
    return files


def _place(entry: Entry) -> str:
    return f"{entry.address}/{CERTIFICATE_FILE}"


def _stand(entry: Entry, files: Mapping[str, FileState], root: Path, beside: Path) -> Standing:
    """Tell what was found of an entry, before it is judged."""
    if entry.supplied is not None:
        file = str(beside / entry.supplied.certificate_file)
        return Standing(entry.address, file, State.FINE, entry.supplied.path[0])
    state, file = files[_place(entry)], str(root / _place(entry))
    match state.kind:
        case FileKind.ABSENT:
            return Standing(entry.address, file, State.MISSING)
        case FileKind.FILE:
            try:
                return Standing(entry.address, file, State.FINE, parse_certificates(state.content)[0])
            except UnreadableError as reason:
                return Standing(entry.address, file, State.UNREADABLE, fault=str(reason))
        case _:
            return Standing(entry.address, file, State.UNREADABLE, fault=state.reason or state.kind.value)


def _state(certificate: Certificate, due: datetime | None, now: datetime) -> State:
    if now > certificate.not_after:
        return State.EXPIRED
    if now < certificate.not_before:
        return State.NOT_YET_VALID
    return State.DUE if due is not None and now >= due else State.FINE


def _is_awaited(bundle: Bundle, entry: Entry, now: datetime) -> bool:
    """Whether the spec itself says that a certificate, or one above it, begins later."""
    begins = (one.template.validity.not_before for one in (entry, *bundle.issuers_above(entry.address)))
    return any(begin is not None and begin > now for begin in begins)


def _is_near(entry: Entry, certificate: Certificate, due: datetime | None, now: datetime, within: int | None) -> bool:
    """Whether the end of a certificate that is in force comes too near."""
    is_due = due is not None and now >= due
    if is_due and not entry.is_ca:
        return True
    is_close = certificate.not_after <= shift(now, NEAR if within is None else within)
    return is_close and (within is not None or due is None or is_due)


def _unreadable(standing: Standing, others: int) -> Diagnostic:
    more = f" (and {others} more)" if others else ""
    message = f"{standing.file} cannot be read: {standing.fault}{more}"
    return error("unreadable", message, help="`certgen plan` says what would become of it", where=str(standing.address))
