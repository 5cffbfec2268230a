"""What the rules share: where an entry stands, and how a finding is made."""

from __future__ import annotations

from collections.abc import Iterator

from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.model import Address, Bundle, Entry
from certgen.spec.composer import concise


def made_by_certgen(bundle: Bundle) -> Iterator[Entry]:
    """Give the entries that certgen makes, all but the CAs that the user brings."""
    return (entry for entry in bundle.entries if entry.supplied is None)


def error_at(entry: Entry, code: str, message: str, *place: str | int, help_: str | None = None) -> Diagnostic:
    """Make an error at a field of an entry, or at the entry itself."""
    route = (*route_of(entry.address), *place)
    return Diagnostic(Severity.ERROR, code, concise(message), help=help_, route=route, at_key=not place)


def warning_at(entry: Entry, code: str, message: str, *place: str | int, help_: str | None = None) -> Diagnostic:
    """Make a warning at a field of an entry."""
    route = (*route_of(entry.address), *place)
    return Diagnostic(Severity.WARNING, code, concise(message), help=help_, route=route)


def route_of(address: Address) -> Route:
    """Give the place of an entry in its spec."""
    return (address.section.value, address.name)
