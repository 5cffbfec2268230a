"""When a certificate begins and ends, when it is due, and whether it fits its issuer. Whole seconds, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certgen.lifetime import ONE_SECOND, backdating, shift
from certgen.model import Certificate, Entry
from certgen.plan.values import Reason, ReasonCode

CLOCK_TOLERANCE: Final = 86400
"""Seconds: how far ahead a certificate may begin before its dates are taken for a wrong clock's."""


@dataclass(frozen=True, slots=True)
class Term:
    """The first and the last second of a certificate, both inclusive (RFC 5280 4.1.2.5)."""

    not_before: datetime
    not_after: datetime


def new_term(entry: Entry, issuer: Term | None, now: datetime) -> Term:
    """Decide the dates of a certificate that is signed now.

    Args:
        entry: whose certificate.
        issuer: its issuer's dates; None for a root.
        now: the time of the run.

    Returns:
        A term that begins not before the issuer's and does not end after it.
    """
    validity = entry.template.validity
    end = validity.fixed_end
    seconds = validity.seconds or max(0, int(((end or now) - now).total_seconds()))
    begin = validity.not_before or shift(now, -backdating(seconds))
    if issuer is not None and validity.not_before is None:
        begin = max(begin, issuer.not_before)
    last = end or shift(begin, seconds - 1)
    return Term(begin, last if issuer is None else min(last, issuer.not_after))


def is_cut(entry: Entry, term: Term) -> bool:
    """Whether a term is shorter than the validity that the spec asks."""
    seconds = entry.template.validity.seconds
    return seconds is not None and term.not_after < shift(term.not_before, seconds - 1)


def wanted_end(certificate: Certificate, entry: Entry, issuer: Term | None) -> datetime:
    """Give the last second that a certificate that begins when this one does should have."""
    validity = entry.template.validity
    last = validity.fixed_end or shift(certificate.not_before, (validity.seconds or 0) - 1)
    return last if issuer is None else min(last, issuer.not_after)


def is_due(certificate: Certificate, entry: Entry, now: datetime) -> bool:
    """Tell whether a certificate is within its renewal window, a share of its own lifetime."""
    return now >= due_at(certificate, entry)


def due_at(certificate: Certificate, entry: Entry) -> datetime:
    """Give the first second of a certificate's renewal window."""
    return shift(certificate.not_after, -entry.renew_before.of(certificate.lifetime))


def date_reasons(
    certificate: Certificate, entry: Entry, issuer: Term | None, issuer_was: Certificate | None, now: datetime
) -> list[Reason]:
    """Give the reasons that lie in a certificate's dates, but for its renewal window.

    Args:
        certificate: what is on the disk.
        entry: what the spec asks.
        issuer: the issuer's dates after this run; None for a root.
        issuer_was: the issuer's certificate before this run.
        now: the time of the run.
    """
    reasons: list[Reason] = []
    validity, wanted = entry.template.validity, wanted_end(certificate, entry, issuer)
    if certificate.not_after < now:
        reasons.append(Reason(ReasonCode.EXPIRED, _day(certificate.not_after)))
    earliest = now if issuer is None else max(now, issuer.not_before)
    if certificate.not_before > shift(earliest, CLOCK_TOLERANCE) and validity.not_before is None:
        reasons.append(Reason(ReasonCode.NOT_YET_VALID, _day(certificate.not_before)))
    if issuer is not None and certificate.not_after > issuer.not_after:
        reasons.append(Reason(ReasonCode.OUTLIVES_ISSUER, _day(certificate.not_after), _day(issuer.not_after)))
    elif abs(certificate.not_after - wanted) > ONE_SECOND:
        if issuer_was is not None and certificate.not_after == issuer_was.not_after < wanted:
            reasons.append(Reason(ReasonCode.RENEWAL_DUE, f"cut at its issuer's end {_day(certificate.not_after)}"))
        else:
            reasons.append(Reason(ReasonCode.VALIDITY_CHANGED, _span(certificate), _wish(entry, wanted)))
    if validity.not_before is not None and certificate.not_before != validity.not_before:
        was, asked = _day(certificate.not_before), _day(validity.not_before)
        reasons.append(Reason(ReasonCode.VALIDITY_CHANGED, f"from {was}", f"from {asked}"))
    return reasons


def may_be_cut(certificate: Certificate, entry: Entry, issuer: Term | None) -> bool:
    """Whether a certificate ends early because an older certificate of its issuer did; such a one can wait."""
    if issuer is None or certificate.not_before >= issuer.not_before:
        return False
    return certificate.not_after < wanted_end(certificate, entry, issuer)


def _span(certificate: Certificate) -> str:
    return f"{_duration(certificate.lifetime)}, to {_day(certificate.not_after)}"


def _wish(entry: Entry, wanted: datetime) -> str:
    seconds = entry.template.validity.seconds
    return f"to {_day(wanted)}" if seconds is None else f"{_duration(seconds)}, to {_day(wanted)}"


def _duration(seconds: int) -> str:
    days = round(seconds / 86400)
    return f"{days} days" if seconds >= 2 * 86400 else f"{seconds} seconds"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"
