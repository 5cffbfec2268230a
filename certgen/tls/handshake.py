"""Floor 0: a handshake in memory: two ends of the standard library's ssl, and no network between them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final

from certgen.tls.causes import Cause, Refusal, Side, refusal_of

MESSAGE: Final = b"are you there?"
ROUNDS: Final = 20
"""Flights after which two ends that have not agreed never will."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What became of a handshake and one round trip of data."""

    refusal: Refusal | None
    """None where both sides accepted each other."""
    server_names: tuple[tuple[str, str], ...] = ()
    """The subject alternative names that the client saw, as ssl gives them."""

    @property
    def is_accepted(self) -> bool:
        """Whether data went there and back."""
        return self.refusal is None


def meet(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> Meeting:
    """Let a client and a server shake hands, and send a message there and back.

    Args:
        server: the server's context.
        client: the client's context.
        name: the name that the client asks for; None to ask for none.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = {
        Side.CLIENT: client.wrap_bio(to_client, to_server, server_hostname=name),
        Side.SERVER: server.wrap_bio(to_server, to_client, server_side=True),
    }
    open_ends = dict(ends)
    for _ in range(ROUNDS):
        for side in tuple(open_ends):
            try:
                ends[side].do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as problem:
                return Meeting(refusal_of(side, problem))
            del open_ends[side]
        if not open_ends:
            return _exchange(ends[Side.CLIENT], ends[Side.SERVER])
    return Meeting(Refusal(Side.SERVER, Cause.OTHER, "the handshake does not end"))


def _exchange(client: ssl.SSLObject, server: ssl.SSLObject) -> Meeting:
    """Send a message and its echo: under TLS 1.3 a refusal shows only after the client's handshake."""
    side = Side.SERVER
    try:
        client.write(MESSAGE)
        heard = server.read(len(MESSAGE))
        server.write(heard)
        side = Side.CLIENT
        answer = client.read(len(MESSAGE))
    except ssl.SSLError as problem:
        return Meeting(refusal_of(side, problem))
    if answer != MESSAGE:
        return Meeting(Refusal(Side.CLIENT, Cause.OTHER, "the answer is another"))
    return Meeting(None, _names(client.getpeercert()))


def _names(certificate: dict[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((certificate or {}).get("subjectAltName", ()))
