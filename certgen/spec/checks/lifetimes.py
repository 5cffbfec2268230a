"""Lifetimes: how long each lasts against its issuer, its renewal window, and what programs accept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from certgen.diagnostics import Diagnostic, Route
from certgen.lifetime import backdating
from certgen.model import Bundle, Entry
from certgen.rfc5280.vocabulary import (
    ExtendedKeyUsage,
)
from certgen.spec.checks.findings import error_at, made_by_certgen, warning_at
from certgen.spec.inheritance import DAY

SHORTEST_VALIDITY: Final = 3600
"""Seconds below which a validity gets a warning."""

LONGEST_SERVER_VALIDITY: Final = 825 * DAY
"""Seconds; Apple's platforms refuse TLS server certificates that last longer, whoever issued them."""


def children_end_before_issuers(bundle: Bundle) -> Iterator[Diagnostic]:
    """No certificate is asked to last longer than its issuer."""
    for entry in bundle.entries:
        if entry.issuer is None or entry.supplied is not None:
            continue
        own, issuer = entry.template.validity, bundle[entry.issuer].template.validity
        place: Route = ("not_after",) if own.not_after else ("validity",)
        above = _asked_seconds(bundle[entry.issuer])
        if own.seconds is not None and above is not None and own.seconds > above:
            message = f"{entry.address} would last {_days(own.seconds)}, its issuer {entry.issuer} {_days(above)}"
            yield error_at(
                entry, "outlives-issuer", message, *place, help_="shorten it, or lengthen the issuer's validity"
            )
        elif own.fixed_end and issuer.fixed_end and own.fixed_end > issuer.fixed_end:
            ends, issuer_ends = f"{own.fixed_end:%Y-%m-%d}", f"{issuer.fixed_end:%Y-%m-%d}"
            message = f"{entry.address} would end on {ends}, its issuer {entry.issuer} on {issuer_ends}"
            yield error_at(entry, "outlives-issuer", message, *place)


def validities_are_whole(bundle: Bundle) -> Iterator[Diagnostic]:
    """A fixed end comes after a fixed beginning, within the years that a certificate can say (RFC 5280 4.1.2.5)."""
    for entry in made_by_certgen(bundle):
        validity = entry.template.validity
        if validity.seconds is not None and validity.seconds < 2:
            yield error_at(entry, "bad-validity", f"{entry.address} would be over as soon as it is made", "validity")
        if validity.not_before and validity.not_after and validity.not_after <= validity.not_before:
            yield error_at(entry, "bad-validity", f"{entry.address} would end before it begins", "not_after")
        for field, moment in (("not_before", validity.not_before), ("not_after", validity.not_after)):
            if moment and not 1950 <= moment.year <= 9999:
                yield error_at(entry, "bad-validity", "a certificate says years from 1950 to 9999", field)


def windows_are_shorter_than_validities(bundle: Bundle) -> Iterator[Diagnostic]:
    """A renewal window is shorter than the validity, less the backdating, or every run would renew."""
    for entry in made_by_certgen(bundle):
        seconds = entry.template.validity.seconds
        if seconds is None:
            continue
        usable = seconds - backdating(seconds)
        if entry.renew_before.of(seconds) >= usable:
            message = f"{entry.address} would be due as soon as it is made"
            help_ = f"choose less than its validity of {_days(seconds)}"
            yield error_at(entry, "window-too-long", message, "renew_before", help_=help_)


def authorities_outlast_what_they_issue(bundle: Bundle) -> Iterator[Diagnostic]:
    """A CA lasts long enough to be renewed before it would have to cut short what it signs."""
    for entry in made_by_certgen(bundle):
        seconds, longest = entry.template.validity.seconds, entry.renew_before.longest_issued
        if entry.is_ca and seconds and longest > seconds * 2 // 3:
            message = f"{entry.address} lasts {_days(seconds)} and signs for {_days(longest)}: late ones are cut short"
            help_ = f"make it last {_days(-(-longest * 3 // 2))} or more"
            yield warning_at(entry, "ca-too-short", message, "validity", help_=help_)


def validities_are_not_minutes(bundle: Bundle) -> Iterator[Diagnostic]:
    """A validity under an hour is a slip more often than a wish: `6m` is six minutes."""
    for entry in made_by_certgen(bundle):
        seconds = entry.template.validity.seconds
        if seconds is not None and seconds < SHORTEST_VALIDITY:
            message = f"{entry.address} would last {seconds} seconds"
            help_ = "`m` is a minute; for months write weeks or days, 26w or 180d"
            yield warning_at(entry, "short-validity", message, "validity", help_=help_)


def servers_are_short_lived(bundle: Bundle) -> Iterator[Diagnostic]:
    """A TLS server certificate lasts at most 825 days."""
    for entry in bundle.end_entities:
        seconds = _asked_seconds(entry)
        if (
            ExtendedKeyUsage.SERVER_AUTH in entry.template.extended_key_usage
            and (seconds or 0) > LONGEST_SERVER_VALIDITY
        ):
            message = (
                f"{entry.address} would last {_days(seconds or 0)}; Apple's platforms refuse servers beyond 825 days"
            )
            yield warning_at(entry, "long-validity", message, "validity", help_="1y renews itself")


def _asked_seconds(entry: Entry) -> int | None:
    """Give how long a certificate is asked to last, where the spec alone says so."""
    validity = entry.template.validity
    if validity.not_before and validity.not_after:
        return int((validity.not_after - validity.not_before).total_seconds()) + 1
    return validity.seconds


def _days(seconds: int) -> str:
    if seconds % DAY == 0:
        return f"{seconds // DAY} days"
    return f"{seconds / DAY:.1f} days" if seconds > DAY else f"{seconds} seconds"
