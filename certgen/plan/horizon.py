"""How long a decision stays as it is while nothing but the time changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from certgen.lifetime import LAST_SECOND, backdating, shift
from certgen.model import Bundle, Entry
from certgen.plan.times import due_at
from certgen.tree import Observed


def next_instant(bundle: Bundle, observed: Observed, now: datetime) -> datetime:
    """Give the first second at which a tree that is in sync may be judged otherwise.

    Args:
        bundle: what the spec describes.
        observed: what was found in the tree.
        now: the time at which it was judged, aware, in UTC.
    """
    instants = (instant for entry in bundle.entries for instant in _instants(entry, observed))
    return min((instant for instant in instants if instant > now), default=LAST_SECOND)


def _instants(entry: Entry, observed: Observed) -> Iterator[datetime]:
    if entry.supplied is not None:
        yield from (shift(above.not_after, 1) for above in (*entry.supplied.path, *entry.supplied.roots))
        return
    certificate = observed[entry.address].certificate
    if certificate is not None:
        due = due_at(certificate, entry)
        yield from (due, shift(certificate.not_after, 1))
        # What is due and would not outlast what is there waits; by then it would, were it not for its issuer.
        seconds = entry.template.validity.seconds
        if seconds is not None:
            yield max(due, shift(certificate.not_after, backdating(seconds) - seconds + 2))
