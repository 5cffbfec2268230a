"""What many measurements come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Summary:
    """A distribution, of which the best is never told alone.

    lower, upper: the quartiles.
    """

    count: int
    minimum: float
    lower: float
    median: float
    upper: float
    maximum: float


def summarise(values: Iterable[float]) -> Summary:
    """Order measurements, of which there is at least one."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    # The quartiles lie within what was measured, and one measurement is all of its own.
    lower, _, upper = quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    return Summary(len(ordered), ordered[0], lower, median(ordered), upper, ordered[-1])
