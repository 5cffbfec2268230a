"""Every client against every server: which handshakes to try, and how each is judged."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from certgen.model import Address, Bundle, Certificate
from certgen.prove.expectations import Roots, clients_of, may_talk, root_above, servers_of, turned_away_by
from certgen.prove.parties import Party
from certgen.prove.values import Encounter, Trial
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind
from certgen.tls.causes import Cause, Refusal, Side
from certgen.tls.contexts import Version, client_context, server_context
from certgen.tls.handshake import meet

Attempt = Callable[[], Encounter]

_SSL_KINDS = {GeneralNameKind.URI: "URI", GeneralNameKind.EMAIL: "email"}
"""How ssl calls the kinds of name that it does not check itself."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of one party under one version of TLS."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    nameless: ssl.SSLContext
    """A client's that checks no name."""


class Encounters:
    """All encounters of one bundle.

    Args:
        bundle: what the spec describes.
        parties: its end entities, with their files.
        roots: the certificates of its roots.
        at: the time for which dates are judged outside the handshakes; None to leave them to ssl.
    """

    def __init__(self, bundle: Bundle, parties: Mapping[Address, Party], roots: Roots, at: datetime | None) -> None:
        self._bundle = bundle
        self._parties = parties
        self._roots = roots
        self._at = at
        self._contexts = {
            (address, version): contexts_of(party, version, ignores_time=at is not None)
            for address, party in parties.items()
            if party.can_meet
            for version in Version
        }

    def attempts(self) -> Iterator[Attempt]:
        """Give what is to be tried; servers in the order of the bundle, and for each its clients."""
        for server in servers_of(self._bundle):
            for client in clients_of(self._bundle):
                if server is not client:
                    yield partial(self._try, self._parties[server.address], self._parties[client.address])

    def _try(self, server: Party, client: Party) -> Encounter:
        is_expected = may_talk(server.entry, client.entry, self._bundle, self._roots)
        addresses = (server.entry.address, client.entry.address)
        absent = next((party for party in (server, client) if party.obstacle is not None), None)
        if absent is not None:
            return Encounter(*addresses, is_expected, obstacle=f"{absent.entry.address}: {absent.obstacle}")
        if not (server.can_meet and client.can_meet):
            return Encounter(*addresses, is_expected, trials=(_unable(server),))
        names = server.entry.template.subject_alt_names or (None,)
        # Who may not talk at all is kept out whatever the name.
        chosen = names if is_expected else names[:1]
        trials = tuple(self._trial(server, client, name, version) for version in Version for name in chosen)
        allow = turned_away_by(server.entry, client.entry) if is_expected else ()
        return Encounter(*addresses, is_expected, trials, turned_away_by=allow)

    def _trial(self, server: Party, client: Party, name: GeneralName | None, version: Version) -> Trial:
        ours = self._contexts[server.entry.address, version]
        trial = try_once(ours, self._contexts[client.entry.address, version], name, version)
        if trial.refusal is None and self._at is not None:
            return replace(trial, refusal=self._refusal_by_date(server, client, self._at))
        return trial

    def _refusal_by_date(self, server: Party, client: Party, at: datetime) -> Refusal | None:
        """Judge the dates of both paths and of the roots above them, which ssl was told to ignore."""
        for side, party in ((Side.CLIENT, server), (Side.SERVER, client)):
            root = self._roots.get(root_above(party.entry, self._bundle).address, ())
            for certificate in (*party.path, *root):
                if (cause := _cause_by_date(certificate, at)) is not None:
                    return Refusal(side, cause, f"by the dates, at {at:%Y-%m-%d}")
        return None


def try_once(server: Contexts, client: Contexts, name: GeneralName | None, version: Version) -> Trial:
    """Let a client and a server shake hands.

    Args:
        server: the contexts of the server.
        client: the contexts of the client.
        name: the one that the client asks for; None for none.
        version: of TLS, that of the contexts.
    """
    if name is not None and name.kind in {GeneralNameKind.DNS, GeneralNameKind.IP}:
        meeting = meet(server.server, client.client, name.value.replace("*.", "any."))
    else:
        meeting = meet(server.server, client.nameless, None)
    refusal = meeting.refusal
    if refusal is None and name is not None and name.kind in _SSL_KINDS:
        borne = (_SSL_KINDS[GeneralNameKind(name.kind)], name.value)
        if borne not in meeting.server_names:
            refusal = Refusal(Side.CLIENT, Cause.WRONG_NAME, "name mismatch")
    return Trial(str(version), name.value if name else None, refusal)


def _cause_by_date(certificate: Certificate, at: datetime) -> Cause | None:
    if at > certificate.not_after:
        return Cause.EXPIRED
    return Cause.NOT_YET_VALID if at < certificate.not_before else None


def contexts_of(party: Party, version: Version, *, ignores_time: bool = False) -> Contexts:
    """Make the contexts of a party that can meet others."""
    credentials, anchors = party.own(), party.anchors
    return Contexts(
        server_context(credentials, anchors, version, ignores_time=ignores_time),
        client_context(credentials, anchors, version, ignores_time=ignores_time),
        client_context(credentials, anchors, version, checks_name=False, ignores_time=ignores_time),
    )


def _unable(server: Party) -> Trial:
    """A handshake that cannot even begin, since the files of one side are wrong."""
    side = Side.CLIENT if server.can_meet else Side.SERVER
    return Trial("", None, Refusal(side, Cause.OTHER, "its own files"))
