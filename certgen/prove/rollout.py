"""A roll-out: everybody as they were meets everybody as they are, and so which orders of change keep working."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from graphlib import CycleError, TopologicalSorter

from certgen.diagnostics import Diagnostic, Severity, error
from certgen.model import Address, Bundle
from certgen.prove.encounters import contexts_of, try_once
from certgen.prove.expectations import clients_of, may_talk, servers_of
from certgen.prove.parties import Gathered, Party, gather_parties
from certgen.prove.values import Crossing, RollOut, Trial
from certgen.rfc5280.vocabulary import GeneralName
from certgen.store.tree import Tree
from certgen.tls.causes import Side
from certgen.tls.contexts import Credentials, UnusableCredentialsError, Version, client_context
from certgen.tree import CERTIFICATE_FILE

Attempt = Callable[[], Iterable[Crossing]]

_ADD_FIRST = (
    "let both sides trust the old root and the new one first: add the new CA beside the old in `cas` and `trust`, "
    "roll that out, and only then issue from it"
)
_IN_ORDER = "roll out in the order that is named below"
_NAMED = 3
"""Entries that a finding names; the table has all of them."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """The end entities of a spec twice: as they were, and as they are."""

    bundle: Bundle
    old: Mapping[Address, Party]
    new: Mapping[Address, Party]
    changed: frozenset[Address]
    """Those who were there before and whose certificate or trust is another now."""


def gather_crowd(gathered: Gathered, older: Tree) -> Crowd:
    """Read an older tree beside the present one.

    A private key that is not in the older tree, as git has none, is taken from the present one where it is the same.

    Args:
        gathered: the present tree.
        older: the tree of before; it is only read.
    """
    old = {
        address: _with_key(party, gathered.parties[address], older)
        for address, party in gather_parties(gathered.bundle, older).items()
        if party.path
    }
    changed = frozenset(address for address, party in old.items() if _is_changed(party, gathered.parties[address]))
    return Crowd(gathered.bundle, old, gathered.parties, changed)


def attempts(crowd: Crowd, gathered: Gathered) -> Iterator[Attempt]:
    """Give what is to be tried: pairs of which both have changed, and that talked before."""
    for server in servers_of(crowd.bundle):
        for client in clients_of(crowd.bundle):
            is_changed = {server.address, client.address} <= crowd.changed and server is not client
            if is_changed and may_talk(server, client, crowd.bundle, gathered.roots):
                yield partial(_cross, crowd, server.address, client.address)


def conclude(crowd: Crowd, crossings: tuple[Crossing, ...]) -> RollOut:
    """Say in which orders the roll-out keeps working, and what breaks in the others."""
    waves = _waves(crowd, crossings)
    return RollOut(
        changed=len(crowd.changed),
        crossings=crossings,
        waves=waves,
        findings=tuple(_findings(crossings, help_=_ADD_FIRST if waves is None else _IN_ORDER)),
        warnings=tuple(_names_gone(crowd)),
        unknowns=tuple(_unknowns(crossings)),
    )


def _with_key(old: Party, new: Party, older: Tree) -> Party:
    if old.can_meet or not old.path or not old.trusted or new.credentials is None:
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


def _cross(crowd: Crowd, server: Address, client: Address) -> tuple[Crossing, ...]:
    """Try a pair with one side old, each in turn; nothing where they did not talk before."""
    sides = (crowd.old[server], crowd.old[client], crowd.new[server], crowd.new[client])
    absent = next((party for party in sides if not party.can_meet), None)
    if absent is not None:
        when = "as it was" if absent in sides[:2] else "as it is"
        obstacle = f"{absent.entry.address} {when}: {absent.obstacle or absent.fault}"
        return tuple(Crossing(server, client, side, obstacle=obstacle) for side in (Side.CLIENT, Side.SERVER))
    old_server, old_client, new_server, new_client = sides
    if any(trial.refusal is not None for trial in _trials(old_server, old_client, old_server)):
        return ()
    return (
        Crossing(server, client, Side.CLIENT, _trials(new_server, old_client, old_server)),
        Crossing(server, client, Side.SERVER, _trials(old_server, new_client, new_server)),
    )


def _trials(server: Party, client: Party, known: Party) -> tuple[Trial, ...]:
    """Let two meet under the names that the client may ask for.

    Args:
        server: the one.
        client: the other.
        known: the server as the client knows it.
    """
    borne = server.path[0].subject_alt_names
    shared = tuple(name for name in known.path[0].subject_alt_names if name in borne)
    names: tuple[GeneralName | None, ...] = shared or known.path[0].subject_alt_names or (None,)
    return tuple(
        try_once(contexts_of(server, version), contexts_of(client, version), name, version)
        for version in Version
        for name in names
    )


def _waves(crowd: Crowd, crossings: Iterable[Crossing]) -> tuple[tuple[Address, ...], ...] | None:
    """Put the changed entries in an order that keeps working; one wave where any does, None where none does."""
    before: dict[Address, set[Address]] = {address: set() for address in crowd.changed}
    for crossing in crossings:
        if crossing.is_broken:
            first, then = (crossing.client, crossing.server)
            if crossing.old is Side.SERVER:
                first, then = then, first
            before[then].add(first)
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


def _findings(crossings: Iterable[Crossing], help_: str) -> Iterator[Diagnostic]:
    """Give one finding for a server, the side that is old, and the cause, however many clients it is about."""
    groups: dict[tuple[Address, Side, str], list[Address]] = {}
    for crossing in crossings:
        for refusal in dict.fromkeys(trial.refusal for trial in crossing.trials):
            if refusal is not None:
                groups.setdefault((crossing.server, crossing.old, str(refusal)), []).append(crossing.client)
    for (server, old, reason), clients in groups.items():
        named = list(dict.fromkeys(clients))
        who = ", ".join(map(str, named[:_NAMED])) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
        as_client, as_server = ("as before", "rolled out") if old is Side.CLIENT else ("rolled out", "as before")
        message = f"{who}, {as_client}, and {server}, {as_server}, do not talk: {reason}"
        yield error("roll-out-breaks", message, help=help_, where=str(server))


def _names_gone(crowd: Crowd) -> Iterator[Diagnostic]:
    """Warn of names that a server bore: who asks for one is refused, whatever the order."""
    for server in servers_of(crowd.bundle):
        if server.address not in crowd.changed:
            continue
        borne = crowd.new[server.address].path[:1]
        old = crowd.old[server.address].path[0].subject_alt_names
        gone = [str(name) for name in old if borne and name not in borne[0].subject_alt_names]
        if gone:
            message = f"{server.address} no longer bears {', '.join(gone)}: who asks for that is refused"
            help_ = "let its clients ask for another name first"
            yield Diagnostic(Severity.WARNING, "name-gone", message, help=help_, where=str(server.address))


def _unknowns(crossings: Iterable[Crossing]) -> Iterator[Diagnostic]:
    for obstacle in dict.fromkeys(crossing.obstacle for crossing in crossings if crossing.obstacle is not None):
        help_ = "name a folder that has the private keys of before, too" if "private key" in obstacle else None
        yield error("not-judged", f"{obstacle}, so its roll-out is not judged", help=help_, where=obstacle.split()[0])
