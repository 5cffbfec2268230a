"""Name constraints (RFC 5280 4.2.1.10): what a base covers, and what a CA above thereby forbids."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from certgen.rfc5280.names import is_ip_address, uri_host
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind, NameConstraints

_network = lru_cache(4096)(ipaddress.ip_network)
_address = lru_cache(4096)(ipaddress.ip_address)


def outside_constraints(name: GeneralName, constraints: NameConstraints) -> str | None:
    """Say why a name falls outside the constraints of a CA above it (RFC 5280 4.2.1.10), or None if it is inside.

    Returns:
        The excluded base that covers it, or the permitted bases of its kind that do not.
    """
    for base in constraints.excluded:
        if base.kind == name.kind and (_covers(base, name) or _may_stand_for(name, base)):
            return f"excludes {base}"
    permitted = [base for base in constraints.permitted if base.kind == name.kind]
    if permitted and not any(_covers(base, name) for base in permitted):
        return f"permits only {', '.join(map(str, permitted))}"
    is_constrained = any(base.kind == name.kind for base in (*constraints.permitted, *constraints.excluded))
    if is_constrained and name.kind == GeneralNameKind.URI and not _is_host_name(uri_host(name.value)):
        return "constrains URIs, and so refuses one without a host name"
    return None


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


def _may_stand_for(name: GeneralName, base: GeneralName) -> bool:
    """Whether a wildcard could be used for a name that is excluded."""
    if name.kind != GeneralNameKind.DNS or not name.value.startswith("*."):
        return False
    return base.value.partition(".")[2] == name.value.removeprefix("*.")


def _is_host_name(host: str | None) -> bool:
    return bool(host) and not is_ip_address(str(host))


def _covers(base: GeneralName, name: GeneralName) -> bool:
    match base.kind:
        case GeneralNameKind.IP:
            address, network = _address(name.value), _network(base.value)
            return address.version == network.version and address in network
        case GeneralNameKind.URI:
            return _host_covers(base.value, uri_host(name.value) or "")
        case GeneralNameKind.EMAIL if "@" in base.value:
            return base.value == name.value
        case GeneralNameKind.EMAIL:
            return _host_covers(base.value, name.value.rpartition("@")[2])
        case _:
            host = name.value.removeprefix("*.")
            return host == base.value or host.endswith("." + base.value)


def _host_covers(base: str, host: str) -> bool:
    return host.endswith(base) if base.startswith(".") else host == base
