"""Those who must be kept out, each for its own reason; what needs a signature is signed by the shadow."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from certgen.model import Address, Bundle, Entry
from certgen.prove.expectations import Roots, clients_of, may_talk, servers_of
from certgen.prove.parties import Party
from certgen.prove.shadow import Shadow
from certgen.prove.values import Challenge, Stranger, Trial
from certgen.rfc5280.vocabulary import ExtendedKeyUsage
from certgen.tls.contexts import Credentials, Version, client_context, server_context
from certgen.tls.handshake import meet

Attempt = Callable[[], Challenge]
WRONG_NAME: Final = "certgen-proof.invalid"
"""A name that no certificate bears: `invalid` is reserved (RFC 6761 6.4)."""


class Challenges:
    """All challenges to one bundle.

    Args:
        bundle: what the spec describes.
        parties: its end entities, with their files.
        roots: the certificates of its roots.
        shadow: signs what the real CAs must not.
    """

    def __init__(self, bundle: Bundle, parties: Mapping[Address, Party], roots: Roots, shadow: Shadow) -> None:
        self._bundle = bundle
        self._parties = parties
        self._roots = roots
        self._shadow = shadow
        self._prepared: dict[tuple[Address, frozenset[ExtendedKeyUsage] | None, bool], Credentials] = {}

    def attempts(self) -> Iterator[Attempt]:
        """Give what is to be tried: strangers at every server, a false server at every client."""
        for server in servers_of(self._bundle):
            party = self._parties[server.address]
            client = self._client_of(server)
            for stranger in Stranger:
                if stranger is Stranger.FALSE_SERVER:
                    continue
                if client is None and stranger is not Stranger.NOBODY:
                    continue
                self._prepare(stranger, client)
                yield partial(self._at_server, party, stranger, client)
        for entry in clients_of(self._bundle):
            party, server_met = self._parties[entry.address], self._server_of(entry)
            if server_met is not None:
                self._shadow_of(server_met)
                yield partial(self._at_client, party, server_met)

    def _client_of(self, server: Entry) -> Entry | None:
        """Give one whom a server lets in, after whom the strangers are modelled; best one whose key is here."""
        met = [
            entry
            for entry in clients_of(self._bundle)
            if entry is not server and may_talk(server, entry, self._bundle, self._roots)
        ]
        return next((entry for entry in met if self._parties[entry.address].can_meet), next(iter(met), None))

    def _server_of(self, client: Entry) -> Entry | None:
        met = (entry for entry in servers_of(self._bundle) if entry is not client)
        return next((entry for entry in met if may_talk(entry, client, self._bundle, self._roots)), None)

    def _prepare(self, stranger: Stranger, client: Entry | None) -> None:
        """Sign what will be needed: the shadow's CAs are made by one thread."""
        if client is None:
            return
        match stranger:
            case Stranger.OTHER_AUTHORITY:
                self._shadow_of(client)
            case Stranger.SERVER_AS_CLIENT:
                self._shadow_of(client, frozenset({ExtendedKeyUsage.SERVER_AUTH}))
            case Stranger.EXPIRED:
                self._shadow_of(client, is_expired=True)

    def _shadow_of(
        self, entry: Entry, purposes: frozenset[ExtendedKeyUsage] | None = None, *, is_expired: bool = False
    ) -> Credentials:
        key = (entry.address, purposes, is_expired)
        if key not in self._prepared:
            self._prepared[key] = self._shadow.credentials(entry, purposes, is_expired=is_expired)
        return self._prepared[key]

    def _at_server(self, party: Party, stranger: Stranger, client: Entry | None) -> Challenge:
        address = party.entry.address
        if not party.can_meet:
            return Challenge(address, stranger, obstacle=party.obstacle or party.fault)
        if stranger is Stranger.WRONG_NAME and client is not None:
            caller = self._parties[client.address]
            if not caller.can_meet:
                return Challenge(address, stranger, obstacle=f"{client.address}: {caller.obstacle or caller.fault}")
        trials = tuple(
            Trial(str(version), None, meet(*self._ends(party, stranger, client, version)).refusal)
            for version in Version
        )
        return Challenge(address, stranger, trials, after=client.address if client else None)

    def _ends(
        self, party: Party, stranger: Stranger, client: Entry | None, version: Version
    ) -> tuple[ssl.SSLContext, ssl.SSLContext, str | None]:
        """Give a server, the stranger, and the name that is asked for; a stranger accepts every server."""
        real = server_context(party.own(), party.anchors, version)
        match stranger, client:
            case Stranger.OTHER_AUTHORITY, Entry():
                return real, client_context(self._shadow_of(client), None, version), None
            case Stranger.SERVER_AS_CLIENT, Entry():
                credentials = self._shadow_of(client, frozenset({ExtendedKeyUsage.SERVER_AUTH}))
                return self._among_shadows(party, client, version), client_context(credentials, None, version), None
            case Stranger.EXPIRED, Entry():
                credentials = self._shadow_of(client, is_expired=True)
                return self._among_shadows(party, client, version), client_context(credentials, None, version), None
            case Stranger.WRONG_NAME, Entry():
                caller = self._parties[client.address]
                return real, client_context(caller.own(), caller.anchors, version), WRONG_NAME
            case _:
                return real, client_context(None, None, version), None

    def _among_shadows(self, party: Party, client: Entry, version: Version) -> ssl.SSLContext:
        """The server with its own certificate, which trusts the shadow of the root above a client."""
        return server_context(party.own(), self._shadow.anchors([client]), version)

    def _at_client(self, party: Party, server: Entry) -> Challenge:
        address = party.entry.address
        if not party.can_meet:
            return Challenge(address, Stranger.FALSE_SERVER, obstacle=party.obstacle or party.fault)
        false = self._shadow_of(server)
        trials = tuple(
            Trial(
                str(version),
                None,
                meet(
                    server_context(false, None, version),
                    client_context(party.own(), party.anchors, version, checks_name=False),
                    None,
                ).refusal,
            )
            for version in Version
        )
        return Challenge(address, Stranger.FALSE_SERVER, trials, after=server.address)
