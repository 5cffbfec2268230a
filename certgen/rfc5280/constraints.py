"""Name constraints (RFC 5280 4.2.1.10): what a base covers, and what a CA above thereby forbids."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

from certgen.rfc5280.names import is_ip_address, uri_host
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind, NameConstraints

_network = lru_cache(4096)(ipaddress.ip_network)
_address = lru_cache(4096)(ipaddress.ip_address)


def outside_constraints(name: GeneralName, constraints: NameConstraints) -> str | None:
    """Say why a name falls outside the constraints of a CA above it; see `Boundary`, which is for many names."""
    return Boundary(constraints).why_outside(name)


class Boundary:
    """The name constraints of one CA, in an order in which a name is looked up and not compared with each base."""

    def __init__(self, constraints: NameConstraints) -> None:
        self._kinds = {base.kind for base in (*constraints.permitted, *constraints.excluded)}
        self._excluded = _Bases(constraints.excluded)
        self._permitted = {kind: _Bases(b for b in constraints.permitted if b.kind == kind) for kind in self._kinds}

    def why_outside(self, name: GeneralName) -> str | None:
        """Say why a name falls outside (RFC 5280 4.2.1.10), or None if it is inside.

        Returns:
            The excluded base that covers it, or the permitted bases of its kind that do not.
        """
        if name.kind not in self._kinds:
            return None
        excluding = self._excluded.covering(name, is_possible=True)
        if excluding is not None:
            return f"excludes {excluding}"
        permitted = self._permitted[name.kind]
        if permitted.bases and permitted.covering(name) is None:
            return f"permits only {permitted.listed}"
        if name.kind == GeneralNameKind.URI and not _is_host_name(uri_host(name.value)):
            return "constrains URIs, and so refuses one without a host name"
        return None


class _Bases:
    """Bases of name constraints, by what a name that each covers has in it."""

    def __init__(self, bases: Iterable[GeneralName]) -> None:
        self.bases = tuple(bases)
        self.listed = ", ".join(map(str, self.bases))
        self._places: dict[tuple[object, ...], int] = {}
        self._sizes: set[tuple[int, int]] = set()
        for place, base in enumerate(self.bases):
            for key in self._keys_of_base(base):
                self._places.setdefault(key, place)

    def covering(self, name: GeneralName, *, is_possible: bool = False) -> GeneralName | None:
        """Give the first base that covers a name, or for which the name could be used where that is asked."""
        keys = [*self._keys_of_name(name), *(self._possible_keys(name) if is_possible else ())]
        places = [self._places[key] for key in keys if key in self._places]
        return self.bases[min(places)] if places else None

    def _keys_of_base(self, base: GeneralName) -> Iterator[tuple[object, ...]]:
        if base.kind == GeneralNameKind.IP:
            network = _network(base.value)
            self._sizes.add((network.version, network.prefixlen))
            yield network.version, network.prefixlen, int(network.network_address)
            return
        yield base.kind, base.value
        if base.kind == GeneralNameKind.DNS:
            yield "a name beside it", base.value.partition(".")[2]

    def _keys_of_name(self, name: GeneralName) -> Iterator[tuple[object, ...]]:
        match name.kind:
            case GeneralNameKind.IP:
                yield from self._networks_of(_address(name.value))
            case GeneralNameKind.DNS:
                # Other CAs' bases may have a dot in front, for what is below alone, or be empty, for all there is.
                ends = (name.value, *_suffixes(name.value), "")
                yield from ((name.kind, key) for end in ends for key in (end, end.removeprefix(".")))
            case GeneralNameKind.URI | GeneralNameKind.EMAIL:
                is_uri = name.kind == GeneralNameKind.URI
                host = (uri_host(name.value) or "") if is_uri else name.value.rpartition("@")[2]
                yield from ((name.kind, key) for key in (name.value, host, *_suffixes(host), ""))
            case _:
                return

    def _possible_keys(self, name: GeneralName) -> Iterator[tuple[object, ...]]:
        """Give the keys of what a name may stand for: a wildcard, or an IPv4 address as IPv6 writes it."""
        if name.kind == GeneralNameKind.DNS and name.value.startswith("*."):
            yield "a name beside it", name.value.removeprefix("*.")
        mapped = getattr(_address(name.value), "ipv4_mapped", None) if name.kind == GeneralNameKind.IP else None
        if mapped is not None:
            yield from self._networks_of(mapped)

    def _networks_of(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[tuple[object, ...]]:
        for version, length in self._sizes:
            if version == address.version:
                rest = address.max_prefixlen - length
                yield version, length, int(address) >> rest << rest


def _suffixes(host: str) -> Iterator[str]:
    """Give what a host ends with, each with the dot before it: of `a.b.c` that is `.c` and `.b.c`."""
    return (f".{suffix}" for suffix in accumulate(reversed(host.split(".")[1:]), lambda end, label: f"{label}.{end}"))


def bases_overlap(one: GeneralName, other: GeneralName) -> bool:
    """Whether two bases of one kind leave a name that both permit."""
    if one.kind == GeneralNameKind.IP:
        networks = _network(one.value), _network(other.value)
        return networks[0].version == networks[1].version and networks[0].overlaps(networks[1])
    if one.kind == GeneralNameKind.DNS:
        return _covers(one, other) or _covers(other, one)
    hosts = one.value.rpartition("@")[2], other.value.rpartition("@")[2]
    return hosts[0] == hosts[1] or _host_covers(*hosts) or _host_covers(*reversed(hosts)) or _nested(*hosts)


def base_is_within(inner: GeneralName, outer: GeneralName) -> bool:
    """Whether every name that one base covers is covered by another of its kind."""
    if inner.kind == GeneralNameKind.IP:
        small, large = _network(inner.value), _network(outer.value)
        return large.version == small.version and large.supernet_of(small)  # type: ignore[arg-type]  # one version
    if inner.kind == GeneralNameKind.DNS:
        return _covers(outer, inner)
    return inner.value == outer.value or (outer.value.startswith(".") and inner.value.endswith(outer.value))


def _nested(one: str, other: str) -> bool:
    return one.startswith(".") and other.startswith(".") and (one.endswith(other) or other.endswith(one))


def _is_host_name(host: str | None) -> bool:
    return bool(host) and not is_ip_address(str(host))


def _covers(base: GeneralName, name: GeneralName) -> bool:
    return name.value == base.value or name.value.endswith("." + base.value)


def _host_covers(base: str, host: str) -> bool:
    return host.endswith(base) if base.startswith(".") else host == base
