"""Floor 13: the proof of a roll-out: all as they were meet all as they are, and so which orders keep working."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from graphlib import CycleError, TopologicalSorter
from typing import Final

from cryptography import x509

from certgen.diagnostics import Diagnostic, Severity, error
from certgen.model import Address, Bundle, Certificate
from certgen.prove.encounters import contexts_of, try_once
from certgen.prove.expectations import clients_of, may_talk, servers_of
from certgen.prove.parties import Gathered, Party, gather, gather_parties
from certgen.prove.prove import Progress, attempt_all
from certgen.prove.values import BY_CERTIFICATES, Crossing, RollOut, Trial
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralName
from certgen.store.tree import Tree
from certgen.tls.causes import Cause, Refusal, Side
from certgen.tls.contexts import Credentials, UnusableCredentialsError, Version, client_context
from certgen.tree import CERTIFICATE_FILE
from certgen.verify.paths import faults_of_path, refusal_by_library

_ADD_FIRST: Final = (
    "let both sides trust the old root and the new one first: add the new CA beside the old in `cas` and `trust`, "
    "roll that out, and only then issue from it"
)
_IN_ORDER: Final = "roll out in the order that is named below"
_LOOK: Final = "`certgen prove` says what is wrong with the tree itself"
_NAMED: Final = 3
"""Entries that a finding names; the table has all of them."""
_CAUSES: Final = {"expired": Cause.EXPIRED, "not-yet-valid": Cause.NOT_YET_VALID}


def prove_roll_out(  # noqa: PLR0913 - two trees, their time, and how to go about it
    bundle: Bundle,
    tree: Tree,
    older: Tree,
    now: datetime,
    progress: Progress = lambda done, total: None,  # noqa: ARG005 - the observer that looks away
    *,
    jobs: int = 1,
) -> RollOut:
    """Let the old clients of a spec meet its new servers, and the new ones the old, where they talked before.

    A private key that is not in the older tree, as git has none, is taken from the present one where it is the same.
    Where one is missing for good, the certificates of the two are judged in place of a handshake.

    Args:
        bundle: what the spec describes.
        tree: its tree; it is only read.
        older: the tree of before; it is only read.
        now: the time of this machine, aware, in UTC.
        progress: told after each pair.
        jobs: how many pairs meet at once.
    """
    crowd = _gather_crowd(bundle, tree, older, now)
    pairs = tuple(_attempts(crowd))
    found = attempt_all(pairs, lambda done: progress(done, len(pairs)), jobs)
    crossings = tuple(crossing for crossings in found for crossing in crossings)
    waves, is_first = _waves(crowd, crossings), not older.paths()
    return RollOut(
        name=bundle.name,
        changed=len(crowd.changed),
        crossings=crossings,
        waves=waves,
        findings=tuple(_findings(crossings, _ADD_FIRST if waves is None else _IN_ORDER)),
        warnings=(*([_no_older_tree(older)] if is_first else []), *_names_gone(crowd)),
        unknowns=tuple(_unknowns(crossings)),
        is_first=is_first,
    )


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The end entities of a spec twice: as they were, and as they are."""

    gathered: Gathered
    old: Mapping[Address, Party]
    changed: frozenset[Address]
    """Those who were there before and whose certificate or trust is another now."""
    now: datetime

    @property
    def bundle(self) -> Bundle:
        return self.gathered.bundle

    @property
    def new(self) -> Mapping[Address, Party]:
        return self.gathered.parties


def _gather_crowd(bundle: Bundle, tree: Tree, older: Tree, now: datetime) -> _Crowd:
    gathered = gather(bundle, tree)
    before = gather_parties(bundle, older)
    old = {a: _with_key(party, gathered.parties[a], older) for a, party in before.items() if party.path}
    changed = frozenset(address for address, party in old.items() if _is_changed(party, gathered.parties[address]))
    return _Crowd(gathered, old, changed, now)


def _with_key(old: Party, new: Party, older: Tree) -> Party:
    if old.can_meet or not (old.trusted and new.path) or new.credentials is None:
        return old
    if old.path[0].key_id != new.path[0].key_id:
        return old
    file = older.root / str(old.entry.address) / CERTIFICATE_FILE
    credentials = Credentials(file, new.credentials.private_key)
    try:
        client_context(credentials, old.anchors)
    except UnusableCredentialsError:
        return old
    return replace(old, credentials=credentials, obstacle=None, fault=None)


def _is_changed(old: Party, new: Party) -> bool:
    return (old.certificate_content, old.anchors) != (new.certificate_content, new.anchors)


def _attempts(crowd: _Crowd) -> Iterator[Callable[[], Iterable[Crossing]]]:
    """Give what is to be tried: pairs of which one has changed at least."""
    for server in servers_of(crowd.bundle):
        for client in clients_of(crowd.bundle):
            addresses = {server.address, client.address}
            is_concerned = addresses <= set(crowd.old) and not addresses.isdisjoint(crowd.changed)
            if server is not client and is_concerned and may_talk(server, client, crowd.bundle, crowd.gathered.roots):
                yield partial(_cross, crowd, server.address, client.address)


def _cross(crowd: _Crowd, server: Address, client: Address) -> tuple[Crossing, ...]:
    """Try a pair with one side old, each in turn, and with both new; nothing where they did not talk before."""
    old, new = (crowd.old[server], crowd.old[client]), (crowd.new[server], crowd.new[client])
    absent = next((party for party in (*old, *new) if not (party.can_meet or _can_be_judged(party))), None)
    if absent is not None:
        when = "as it was" if absent in old else "as it is"
        obstacle = f"{absent.entry.address} {when}: {absent.obstacle or absent.fault}"
        return (Crossing(server, client, None, obstacle=obstacle),)
    if any(trial.refusal is not None for trial in _trials(*old, old[0], crowd.now)):
        return ()
    after = Crossing(server, client, None, _trials(*new, new[0], crowd.now))
    if not {server, client} <= crowd.changed:
        return (after,)
    return (
        Crossing(server, client, Side.CLIENT, _trials(new[0], old[1], old[0], crowd.now)),
        Crossing(server, client, Side.SERVER, _trials(old[0], new[1], new[0], crowd.now)),
        after,
    )


def _can_be_judged(party: Party) -> bool:
    """Whether all but the private key of a party is here."""
    return party.fault is None and bool(party.path and party.trusted)


def _trials(server: Party, client: Party, known: Party, now: datetime) -> tuple[Trial, ...]:
    """Let two meet under the names that the client may ask for.

    Args:
        server: the one.
        client: the other.
        known: the server as the client knows it.
        now: the time for which certificates are judged.
    """
    borne = server.path[0].subject_alt_names
    shared = tuple(name for name in known.path[0].subject_alt_names if name in borne)
    names: tuple[GeneralName | None, ...] = shared or known.path[0].subject_alt_names or (None,)
    if not (server.can_meet and client.can_meet):
        return tuple(_judged(server, client, name, now) for name in names)
    return tuple(
        try_once(contexts_of(server, version), contexts_of(client, version), name, version)
        for version in Version
        for name in names
    )


def _judged(server: Party, client: Party, name: GeneralName | None, now: datetime) -> Trial:
    """Judge the certificates of two who cannot shake hands, as each would judge the other's."""
    refusal = _refusal(client, server, ExtendedKeyUsage.SERVER_AUTH, now)
    if refusal is None and name is not None and name not in server.path[0].subject_alt_names:
        refusal = (Cause.WRONG_NAME, "name mismatch")
    if refusal is not None:
        return Trial(BY_CERTIFICATES, name.value if name else None, Refusal(Side.CLIENT, *refusal))
    refusal = _refusal(server, client, ExtendedKeyUsage.CLIENT_AUTH, now)
    return Trial(BY_CERTIFICATES, name.value if name else None, Refusal(Side.SERVER, *refusal) if refusal else None)


def _refusal(judge: Party, bearer: Party, purpose: ExtendedKeyUsage, now: datetime) -> tuple[Cause, str] | None:
    usages = bearer.path[0].extended_key_usage
    if usages and purpose not in usages:
        return Cause.WRONG_PURPOSE, "unsuitable certificate purpose"
    path = [_load(certificate) for certificate in bearer.path]
    causes: list[tuple[Cause, str]] = []
    for anchor in map(_load, judge.trusted):
        faults = list(faults_of_path(path, anchor, now))
        words = faults[0].sentence if faults else refusal_by_library(path, anchor, {purpose}, now)
        if words is None:
            return None
        causes.append((_CAUSES.get(faults[0].code, Cause.UNKNOWN_AUTHORITY) if faults else Cause.OTHER, words))
    return next((found for found in causes if found[0] is not Cause.UNKNOWN_AUTHORITY), causes[0])


def _load(certificate: Certificate) -> x509.Certificate:
    return _load_der(certificate.der)


@cache
def _load_der(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _waves(crowd: _Crowd, crossings: Iterable[Crossing]) -> tuple[tuple[Address, ...], ...] | None:
    """Put the changed entries in an order that keeps working; one wave where any does, None where none does."""
    before: dict[Address, set[Address]] = {address: set() for address in crowd.changed}
    for crossing in (crossing for crossing in crossings if crossing.is_broken):
        match crossing.old:
            case Side.CLIENT:
                before[crossing.server].add(crossing.client)
            case Side.SERVER:
                before[crossing.client].add(crossing.server)
            case None:
                return None
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError:
        return None
    waves: list[tuple[Address, ...]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        waves.append(tuple(sorted(ready, key=lambda address: address.sort_key)))
        sorter.done(*ready)
    return tuple(waves)


_STATES: Final = {
    Side.CLIENT: ("as before", "rolled out"),
    Side.SERVER: ("rolled out", "as before"),
    None: ("rolled out", "rolled out"),
}
"""How client and server are, by which of them is old."""


def _findings(crossings: Iterable[Crossing], help_: str) -> Iterator[Diagnostic]:
    """Give one finding for a server, the side that is old, and the cause, however many clients it is about."""
    groups: dict[tuple[Address, Side | None, str], list[Address]] = {}
    for crossing in crossings:
        for refusal in dict.fromkeys(trial.refusal for trial in crossing.trials):
            if refusal is not None:
                groups.setdefault((crossing.server, crossing.old, str(refusal)), []).append(crossing.client)
    for (server, old, reason), clients in groups.items():
        named = list(dict.fromkeys(clients))
        who = ", ".join(map(str, named[:_NAMED])) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
        as_client, as_server = _STATES[old]
        message = f"{who}, {as_client}, and {server}, {as_server}, do not talk: {reason}"
        yield error("roll-out-breaks", message, help=_LOOK if old is None else help_, where=str(server))


def _no_older_tree(older: Tree) -> Diagnostic:
    message = f"{older.root.parent} has no tree {older.root.name}: all of it is new, or the folder is another"
    help_ = f"name the older output folder, which holds {older.root.name}/"
    return Diagnostic(Severity.WARNING, "no-tree", message, help=help_, where="--against")


def _names_gone(crowd: _Crowd) -> Iterator[Diagnostic]:
    """Warn of names that a server bore: who asks for one is refused, whatever the order."""
    for server in servers_of(crowd.bundle):
        borne = crowd.new[server.address].path[:1]
        if server.address not in crowd.changed or not borne:
            continue
        old = crowd.old[server.address].path[0].subject_alt_names
        gone = [str(name) for name in old if name not in borne[0].subject_alt_names]
        if gone:
            message = f"{server.address} no longer bears {', '.join(gone)}: who asks for that is refused"
            help_ = "let its clients ask for another name first"
            yield Diagnostic(Severity.WARNING, "name-gone", message, help=help_, where=str(server.address))


def _unknowns(crossings: Iterable[Crossing]) -> Iterator[Diagnostic]:
    for obstacle in dict.fromkeys(crossing.obstacle for crossing in crossings if crossing.obstacle is not None):
        yield error("not-judged", f"{obstacle}, so its roll-out is not judged", where=obstacle.split()[0])
