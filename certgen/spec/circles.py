"""Floor 8: CAs that sign each other, and paths longer than programs follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from certgen.diagnostics import Diagnostic, Severity
from certgen.model import Address
from certgen.spec.composer import concise

DEEPEST_PATH: Final = 100
"""CAs above an entry; OpenSSL and Go follow no longer path."""


def endless_paths(issuers: Mapping[Address, Address | None]) -> Iterator[Diagnostic]:
    """Find CAs that are above themselves, or below too many others.

    Args:
        issuers: of each CA of the spec; None for a root, and where there is none of that name.
    """
    depths: dict[Address, int] = {}
    for start in issuers:
        trail: dict[Address, int] = {}
        address: Address | None = start
        while address is not None and address not in depths and address not in trail:
            trail[address] = len(trail)
            address = issuers.get(address)
        if address in trail:
            yield _circle(list(trail)[trail[address] :])
            depths.update(dict.fromkeys(trail, 0))
            continue
        for above in reversed(trail):
            issuer = issuers.get(above)
            depths[above] = depths.get(issuer, 0) + 1 if issuer else 0
            if depths[above] == DEEPEST_PATH + 1:
                yield _fault(
                    "path-too-long", f"more than {DEEPEST_PATH} CAs stand above {above}, and programs give up", above
                )


def _circle(circle: Sequence[Address]) -> Diagnostic:
    first = min(circle, key=lambda address: address.sort_key)
    place = circle.index(first)
    names = " <- ".join(address.name for address in (*circle[place:], *circle[:place], first))
    return _fault("issuer-cycle", f"these CAs sign each other: {names}", first)


def _fault(code: str, message: str, address: Address) -> Diagnostic:
    route = (address.section.value, address.name, "issuer")
    return Diagnostic(Severity.ERROR, code, concise(message), route=route)
