"""Floor 13: the proof on a server that runs: every client calls it, and so do those whom it must refuse."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.model import Address, Bundle, Certificate, Entry
from certgen.prove.expectations import clients_of, may_talk, servers_of, trusts, turned_away_by
from certgen.prove.parties import Gathered, Party, gather
from certgen.prove.prove import Progress, attempt_all
from certgen.prove.shadow import Shadow
from certgen.prove.values import Challenge, Encounter, Judgement, Proof, Stranger, Trial
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralNameKind
from certgen.store.scratch import scratch
from certgen.store.tree import Tree
from certgen.talk.connect import Answer, Target, request
from certgen.tls.causes import SENTENCES, Cause, Refusal, Side
from certgen.tls.contexts import Credentials, Version, client_context

STRANGERS: Final = (Stranger.NOBODY, Stranger.OTHER_AUTHORITY, Stranger.SERVER_AS_CLIENT)
"""Those who can be had without a signature of the real CAs."""

_COPY: Final = "copy the entry's folder to it, and have it read its files again"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry's server runs."""

    address: Address
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_place(text: str) -> Place:
    """Read `servers/api=127.0.0.1:8443`.

    Raises:
        CertgenError: it is no entry with a host and a port.
    """
    name, _, endpoint = text.partition("=")
    host, _, port = endpoint.rpartition(":")
    try:
        address = Address.parse(name)
    except ValueError:
        address = None
    if address is None or not host or not port.isascii() or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        message = f"`{text}` is no entry with a host and a port"
        help_ = "for example servers/api=127.0.0.1:8443"
        raise CertgenError([error("not-a-place", message, help=help_, where="--live")])
    return Place(address, host.removeprefix("[").removesuffix("]"), int(port))


def prove_live(  # noqa: PLR0913 - the tree, its server, its time, and how to go about it
    bundle: Bundle,
    tree: Tree,
    place: Place,
    now: datetime,
    progress: Progress = lambda done, total: None,  # noqa: ARG005 - the observer that looks away
    *,
    jobs: int = 1,
) -> Proof:
    """Let every client call a server that runs, over HTTPS, and try those whom it must refuse.

    Args:
        bundle: what the spec describes.
        tree: its tree, whose keys the clients have.
        place: which entry's server is where.
        now: the time of this machine, aware, in UTC.
        progress: told after each call.
        jobs: how many call at once.

    Raises:
        CertgenError: the entry is no server of the spec, or nobody listens there.
    """
    gathered = gather(bundle, tree)
    server = next((entry for entry in servers_of(bundle) if entry.address == place.address), None)
    if server is None:
        message = f"{place.address} is no server of {bundle.name}"
        raise CertgenError([error("unknown-address", message, where="--live")])
    with scratch() as files:
        house = _House(gathered, server, place, Shadow(bundle, now, files))
        calls = tuple(house.calls())
        found = attempt_all(calls, lambda done: progress(done, len(calls)), jobs)
    encounters = tuple(item for item in found if isinstance(item, Encounter))
    challenges = tuple(item for item in found if isinstance(item, Challenge))
    obstacles = dict.fromkeys(item.obstacle for item in found if item.obstacle is not None)
    return Proof(
        name=bundle.name,
        at=now,
        encounters=encounters,
        challenges=challenges,
        findings=tuple(dict.fromkeys((*house.findings(encounters, challenges), *house.stale()))),
        unknowns=tuple(error("not-judged", item, where=item.partition(":")[0]) for item in obstacles),
        handshakes=sum(len(item.trials) for item in found),
    )


class _House:
    """A server at its place, and all who call it."""

    def __init__(self, gathered: Gathered, server: Entry, place: Place, shadow: Shadow) -> None:
        self._gathered = gathered
        self._server = server
        self._place = place
        self._shadow = shadow
        self._name = next(iter(_names(server)), place.host)
        self._shown: dict[bytes, Certificate] = {}

    def calls(self) -> Iterator[Callable[[], Encounter | Challenge]]:
        """Give what is to be tried: the clients of the spec in its order, then the strangers."""
        models: list[Entry] = []
        for client in clients_of(self._gathered.bundle):
            if client.address == self._server.address:
                continue
            is_expected = self._expects(client)
            models += [client] if is_expected else []
            yield partial(self._meet, self._gathered.parties[client.address], is_expected=is_expected)
        for stranger in STRANGERS:
            credentials = self._stranger(stranger, models)
            if credentials is not None or stranger is Stranger.NOBODY:
                yield partial(self._challenge, stranger, credentials)

    def findings(self, encounters: tuple[Encounter, ...], challenges: tuple[Challenge, ...]) -> Iterator[Diagnostic]:
        """Put in words what is not as the spec says, with what mends it."""
        where = str(self._place.address)
        for encounter in encounters:
            if encounter.judgement is not Judgement.UNEXPECTED:
                continue
            if not encounter.is_expected:
                whose = "`allow`" if self._is_turned_away(encounter.client) else "trust"
                message = f"{self._place} lets {encounter.client} in, though the {whose} of the spec does not"
                yield error("let-in", message, help=_COPY, where=where)
                continue
            for refusal in dict.fromkeys(trial.refusal for trial in encounter.trials):
                if refusal is not None:
                    yield self._refusal(encounter.client, refusal)
        for challenge in challenges:
            if challenge.judgement is Judgement.UNEXPECTED:
                message = f"{self._place} lets in {challenge.stranger.description}"
                help_ = "have it ask for client certificates, as the entry's snippets do"
                yield error("let-in", message, help=help_, where=where)

    def stale(self) -> Iterator[Diagnostic]:
        """Find out whether the server shows the certificate that the tree has."""
        own = self._gathered.parties[self._place.address].path[:1]
        for certificate in self._shown.values():
            if own and certificate.der != own[0].der:
                message = f"{self._place} shows another certificate of {self._place.address} than the tree has"
                begins = " and not ".join(f"{one.not_before:%Y-%m-%d %H:%M:%S}Z" for one in (certificate, own[0]))
                yield error("stale", f"{message}: of {begins}", help=_COPY, where=str(self._place.address))

    def _expects(self, client: Entry) -> bool:
        gathered = self._gathered
        is_trusted = may_talk(self._server, client, gathered.bundle, gathered.roots)
        return is_trusted and not turned_away_by(self._server, client)

    def _is_turned_away(self, client: Address) -> bool:
        return bool(turned_away_by(self._server, self._gathered.bundle[client]))

    def _meet(self, client: Party, *, is_expected: bool) -> Encounter:
        addresses = (self._place.address, client.entry.address)
        if not client.can_meet:
            return Encounter(*addresses, is_expected, obstacle=f"{addresses[1]}: {client.obstacle or client.fault}")
        trials = self._trials(lambda version: client_context(client.own(), client.anchors, version))
        return Encounter(*addresses, is_expected, trials)

    def _challenge(self, stranger: Stranger, credentials: Credentials | None) -> Challenge:
        trials = self._trials(lambda version: client_context(credentials, None, version))
        return Challenge(self._place.address, stranger, trials, is_any_cause=True)

    def _stranger(self, stranger: Stranger, models: list[Entry]) -> Credentials | None:
        """Give what a stranger shows; a server's certificate is one of the spec's own, which the server would trust."""
        match stranger:
            case Stranger.OTHER_AUTHORITY if models:
                return self._shadow.credentials(models[0], None)
            case Stranger.SERVER_AS_CLIENT:
                parties = filter(_is_server_alone, self._gathered.parties.values())
                return next((party.own() for party in parties if self._trusts(party.entry)), None)
            case _:
                return None

    def _trusts(self, other: Entry) -> bool:
        return trusts(self._server, other, self._gathered.bundle, self._gathered.roots)

    def _trials(self, context_for: Callable[[Version], ssl.SSLContext]) -> tuple[Trial, ...]:
        """Call once for each version of TLS; one that the server does not speak is no refusal of the caller."""
        trials = [
            Trial(str(version), self._name, self._verdict(self._call(context_for(version)))) for version in Version
        ]
        spoken = [t for t in trials if t.refusal is None or t.refusal.cause is not Cause.UNSUPPORTED]
        return tuple(spoken or trials)

    def _call(self, context: ssl.SSLContext) -> Answer:
        return request(context, Target(self._place.host, self._place.port, "/", self._name))

    def _verdict(self, answer: Answer) -> Refusal | None:
        """Give the refusal; whatever the server answers to one whom it has let in is none."""
        shown = answer.session.server if answer.session is not None else None
        if shown is not None:
            self._shown.setdefault(shown.der, shown)
        if answer.refusal is not None or answer.status is not None:
            return answer.refusal
        return Refusal(Side.SERVER, Cause.CLOSED, "no answer")

    def _refusal(self, client: Address, refusal: Refusal) -> Diagnostic:
        whom, by = (str(client), str(self._place)) if refusal.side is Side.SERVER else (str(self._place), str(client))
        message = f"{by} refuses {whom}, because {SENTENCES[refusal.cause]}"
        match refusal.side, refusal.cause:
            case _, Cause.EXPIRED:
                help_ = "`certgen apply` renews it; then " + _COPY
            case Side.CLIENT, Cause.WRONG_NAME:
                help_ = f"is {self._place.address} there, with the names that the spec gives it? Then {_COPY}"
            case _, Cause.NOT_TLS:
                help_ = "name the port at which it speaks TLS"
            case _, Cause.CLOSED | Cause.SILENT | Cause.OTHER | Cause.BAD_CERTIFICATE:
                help_ = f"its log has the reason; {_COPY}"
            case _:
                help_ = _COPY
        return error("kept-out", message, help=help_, where=str(self._place.address))


def _names(server: Entry) -> Iterator[str]:
    """Give the names by which a client can ask for a server."""
    for name in server.template.subject_alt_names:
        if name.kind in {GeneralNameKind.DNS, GeneralNameKind.IP}:
            yield name.value.replace("*.", "any.")


def _is_server_alone(party: Party) -> bool:
    return party.can_meet and party.entry.template.extended_key_usage == {ExtendedKeyUsage.SERVER_AUTH}
