"""How long each certificate lasts in a cluster, and when it is renewed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certgen.model import Address, Bundle, Entry
from certgen.spec.inheritance import DEFAULT_VALIDITY

SHORTEST_LIFETIME: Final = 3600
"""Seconds; cert-manager refuses less."""
SHORTEST_WINDOW: Final = 300
"""Seconds; cert-manager refuses less."""


@dataclass(frozen=True, slots=True)
class Term:
    """A lifetime and a renewal window, in seconds, as cert-manager takes them."""

    lifetime: int
    window: int


def find_terms(bundle: Bundle) -> Mapping[Address, Term]:
    """Give the terms of all entries but the CAs that the user brings; none is longer than its issuer's."""
    terms: dict[Address, Term] = {}
    for entry in bundle.entries:
        if entry.supplied is None:
            terms[entry.address] = _term(entry, terms.get(entry.issuer) if entry.issuer else None)
    return terms


def asked_lifetime(entry: Entry) -> int | None:
    """Give the seconds that the spec asks for; None where its end is fixed and its beginning is not."""
    validity = entry.template.validity
    if validity.not_before is not None and validity.not_after is not None:
        return int((validity.not_after - validity.not_before).total_seconds()) + 1
    return validity.seconds


def duration(seconds: int) -> str:
    """Write a duration just as Go does, so that what a cluster gives back is what it was given."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"


def _term(entry: Entry, issuer: Term | None) -> Term:
    asked = asked_lifetime(entry) or DEFAULT_VALIDITY[entry.template.role]
    lifetime = max(min(asked, issuer.lifetime) if issuer else asked, SHORTEST_LIFETIME)
    window = entry.renew_before.of(lifetime)
    return Term(lifetime, max(window if window < lifetime else lifetime // 3, SHORTEST_WINDOW))
