"""Floor 0: how long: validity, the renewal window, and the arithmetic of whole seconds in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

ONE_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a certificate lasts: `seconds` from its issue, or up to a fixed `not_after`."""

    seconds: int | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def fixed_end(self) -> datetime | None:
        """The last second, where the spec alone decides it."""
        if self.not_after is None and self.not_before is not None and self.seconds is not None:
            return shift(self.not_before, self.seconds - 1)
        return self.not_after


FIRST_SECOND: Final = datetime(1, 1, 1, tzinfo=UTC)
LAST_SECOND: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def shift(moment: datetime, seconds: int) -> datetime:
    """Move a time, at most to the ends of the calendar; its last second means no end (RFC 5280 4.1.2.5)."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return LAST_SECOND if seconds > 0 else FIRST_SECOND


def backdating(seconds: int) -> int:
    """Give the seconds by which a certificate is backdated: five minutes, at most a tenth of its validity."""
    return min(300, seconds // 10)


@dataclass(frozen=True, slots=True)
class RenewBefore:
    """How long before its end a certificate is due: seconds, or a share of its own lifetime."""

    seconds: int | None = None
    share: Fraction = Fraction(1, 3)
    longest_issued: int = 0
    """For a CA that says nothing: the longest validity in seconds that it issues, so that it need not cut any short."""

    def of(self, lifetime: int) -> int:
        """Give the window in seconds for a certificate that lasts `lifetime` seconds."""
        if self.seconds is not None:
            return self.seconds
        return max(int(lifetime * self.share), min(self.longest_issued, lifetime * 2 // 3))
