"""Floor 4: who there is in a bundle, by what a consumer asks for; taken once, so that a fleet costs what it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from certgen.model import Address, Bundle, Entry
from certgen.rfc5280.vocabulary import DistinguishedName, ExtendedKeyUsage, GeneralName, GeneralNameKind

Spelling = Callable[[GeneralName], GeneralName]
"""How a consumer sees a name: two that it spells alike are one to it."""

_DNS_NAMES = frozenset({GeneralNameKind.DNS})


class Census:
    """The end entities of a bundle under the root above each.

    Args:
        bundle: what the spec describes.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._roots: dict[Address, Address] = {}
        self._clients: dict[Address, list[Entry]] = defaultdict(list)
        self._servers: dict[Address, list[Entry]] = defaultdict(list)
        self._subjects: dict[tuple[DistinguishedName, DistinguishedName], list[Entry]] = defaultdict(list)
        self._server_names: dict[Address, set[str]] = defaultdict(set)
        self._depths: dict[Address, int] = defaultdict(int)
        self._bearers: dict[Spelling, Mapping[GeneralName, Sequence[Entry]]] = {}
        for entry in bundle.entries:
            if not entry.is_ca:
                self._count(entry)

    def root_above(self, entry: Entry) -> Address:
        """Give the root above an end entity."""
        return self._roots[entry.address]

    def clients(self, root: Address) -> Sequence[Entry]:
        """Give those under a root who may connect to others."""
        return self._clients.get(root, ())

    def servers(self, root: Address) -> Sequence[Entry]:
        """Give those under a root to whom others may connect."""
        return self._servers.get(root, ())

    def server_names(self, root: Address) -> frozenset[str]:
        """Give the DNS names of the servers under a root."""
        return frozenset(self._server_names.get(root, ()))

    def depth(self, root: Address) -> int:
        """Give how many CAs stand above the deepest end entity under a root, itself too."""
        return self._depths.get(root, 0)

    def namesakes(self, subject: DistinguishedName, issuer: DistinguishedName) -> Sequence[Entry]:
        """Give the clients of this subject whose issuer has that subject."""
        return self._subjects.get((subject, issuer), ())

    def bearers(self, name: GeneralName, spelling: Spelling) -> Sequence[Entry]:
        """Give the clients that bear a name, or a wildcard for it (RFC 9525 6.3).

        Args:
            name: the name, as the consumer spells it.
            spelling: how the consumer sees names.
        """
        if spelling not in self._bearers:
            self._bearers[spelling] = self._index(spelling)
        index = self._bearers[spelling]
        host, _, domain = name.value.partition(".")
        wildcard = GeneralName(name.kind, f"*.{domain}")
        is_host = name.kind in _DNS_NAMES and host != "*"
        return (*index.get(name, ()), *(index.get(wildcard, ()) if is_host else ()))

    def _count(self, entry: Entry) -> None:
        above = self._bundle.issuers_above(entry.address)
        root, purposes = above[-1].address, entry.template.extended_key_usage
        self._roots[entry.address] = root
        depth = sum(len(issuer.supplied.path) + 1 if issuer.supplied else 1 for issuer in above)
        self._depths[root] = max(self._depths[root], depth)
        if ExtendedKeyUsage.CLIENT_AUTH in purposes:
            self._clients[root].append(entry)
            self._subjects[entry.template.subject, above[0].template.subject].append(entry)
        if ExtendedKeyUsage.SERVER_AUTH in purposes:
            self._servers[root].append(entry)
            names = entry.template.subject_alt_names
            self._server_names[root] |= {name.value for name in names if name.kind in _DNS_NAMES}

    def _index(self, spelling: Spelling) -> dict[GeneralName, list[Entry]]:
        found: dict[GeneralName, list[Entry]] = defaultdict(list)
        for entries in self._clients.values():
            for entry in entries:
                for name in entry.template.subject_alt_names:
                    found[spelling(name)].append(entry)
        return found
