"""What the spec says of who may talk to whom."""

from __future__ import annotations

from collections.abc import Mapping

from certgen.model import Address, AnchorFile, Bundle, Certificate, Entry, Section
from certgen.rfc5280.vocabulary import ExtendedKeyUsage

Roots = Mapping[Address, tuple[Certificate, ...]]
"""The certificates of each root, where they are known."""


def servers_of(bundle: Bundle) -> tuple[Entry, ...]:
    """Give those to whom others connect."""
    return tuple(entry for entry in bundle.entries if entry.address.section in {Section.SERVERS, Section.PEERS})


def clients_of(bundle: Bundle) -> tuple[Entry, ...]:
    """Give those who connect to others."""
    return tuple(entry for entry in bundle.entries if entry.address.section in {Section.CLIENTS, Section.PEERS})


def may_talk(server: Entry, client: Entry, bundle: Bundle, roots: Roots) -> bool:
    """Whether the trust of both, and what their certificates are for, lets them talk."""
    is_server = ExtendedKeyUsage.SERVER_AUTH in server.template.extended_key_usage
    is_client = ExtendedKeyUsage.CLIENT_AUTH in client.template.extended_key_usage
    return is_server and is_client and trusts(server, client, bundle, roots) and trusts(client, server, bundle, roots)


def trusts(entry: Entry, other: Entry, bundle: Bundle, roots: Roots) -> bool:
    """Whether an entry's trust names the root above another, or holds it in a file."""
    root = root_above(other, bundle)
    if root.address in entry.trust:
        return True
    brought = {c.der for anchor in entry.trust if isinstance(anchor, AnchorFile) for c in anchor.certificates}
    return any(certificate.der in brought for certificate in roots.get(root.address, ()))


def root_above(entry: Entry, bundle: Bundle) -> Entry:
    """Give the root above an end entity."""
    return bundle.issuers_above(entry.address)[-1]


def anchors_asked(entry: Entry, roots: Roots) -> tuple[Certificate, ...] | None:
    """Give the trust anchors that the spec asks for; None where the certificate of one is not known."""
    asked: list[Certificate] = []
    for anchor in entry.trust:
        found = anchor.certificates if isinstance(anchor, AnchorFile) else roots.get(anchor, ())
        if not found:
            return None
        asked += found
    return tuple(asked)


def turned_away_by(server: Entry, client: Entry) -> tuple[str, ...]:
    """Give the consumers of a server whose `allow` keeps a client out."""
    return tuple(
        snippet.consumer
        for snippet in server.snippets
        if snippet.allow is not None and client.address not in snippet.allow
    )
