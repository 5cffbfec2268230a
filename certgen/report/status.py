"""How certificates stand, for people: a line each, what presses first; then a line for each spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from certgen.model import Section
from certgen.report.paint import Painter, Style, columns, plain, printable, wrapped
from certgen.status import NEAR, Standing, State, Status, lifetime_used, urgency

WIDTH: Final = 80
"""Columns for which the table is made where there is no terminal."""
BLOCKS: Final = ("█", "░")
ASCII: Final = ("#", ".")
"""What has gone of a lifetime, and what is left."""

_BAR: Final = 10
_LONGEST_ISSUER, _SHORTEST_ISSUER = 24, 12
_SHORTEST_ADDRESS: Final = 16
_LIFETIME, _NOT_AFTER, _ISSUER = "lifetime", "not after", "issuer"
_EXPENDABLE: Final = (_LIFETIME, _NOT_AFTER)
"""The columns that go where there is no room for all, in this order; the issuer's has gone before."""
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60))
_QUIET: Final = " "
_STYLES: Final = {
    State.MISSING: Style.ERROR,
    State.UNREADABLE: Style.ERROR,
    State.EXPIRED: Style.ERROR,
    State.NOT_YET_VALID: Style.WARNING,
    State.DUE: Style.CHANGED,
    State.FINE: Style.ADDED,
}


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cells: tuple[str, ...]
    """One for each certificate, in their order."""
    is_right: bool = False
    width: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", max(map(columns, (self.title, *self.cells))))

    def padded(self, text: str) -> str:
        blanks = " " * (self.width - columns(text))
        return f"{blanks}{text}" if self.is_right else f"{text}{blanks}"


def render_status(
    statuses: Sequence[Status],
    paint: Painter = plain,
    width: int | None = None,
    bar: tuple[str, str] = ASCII,
    *,
    is_qualified: bool = False,
) -> str:
    """Write how the certificates of some specs stand.

    Args:
        statuses: one for each spec.
        paint: gives the colours.
        width: the terminal's width in characters; None for no terminal, where no address is shortened.
        bar: a sign for what has gone of a lifetime, and one for what is left.
        is_qualified: whether addresses bear the names of their specs.
    """
    rows = [(status, standing) for status in statuses for standing in status.standings]
    rows.sort(key=lambda row: urgency(row[1]))
    lines = list(_table(rows, paint, width, bar, is_qualified=is_qualified)) if rows else []
    lines += [_summary(status, paint, width) for status in statuses]
    return "\n".join(lines) + "\n"


def _table(
    rows: Sequence[tuple[Status, Standing]],
    paint: Painter,
    width: int | None,
    bar: tuple[str, str],
    *,
    is_qualified: bool,
) -> Iterator[str]:
    addresses = [f"{status.name}/{one.address}" if is_qualified else str(one.address) for status, one in rows]
    table = [
        _Column("address", tuple(addresses)),
        _Column("state", tuple(_words(one.state) for _, one in rows)),
        _Column(_LIFETIME, tuple(_bar(status, one, bar) for status, one in rows)),
        _Column(_NOT_AFTER, tuple(_end(one) for _, one in rows)),
        _Column("left", tuple(_left(status, one) for status, one in rows), is_right=True),
    ]
    shown = _fitting(table, width or WIDTH)
    if len(shown) == len(table):
        shown += _issuers([one for _, one in rows], (width or WIDTH) - _width(shown) - 2)
    if width is not None:
        shown[0] = _shortened(shown, width)
    yield paint(_line("  ", [column.padded(column.title) for column in shown]), Style.FAINT)
    for number, (_, standing) in enumerate(rows):
        style = _STYLES[standing.state]
        cells = [column.padded(column.cells[number]) for column in shown]
        cells[1] = paint(shown[1].cells[number], style) + cells[1][len(shown[1].cells[number]) :]
        sign = _sign(standing)
        yield _line(f"{sign if sign == _QUIET else paint(sign, style)} ", cells)


def _line(sign: str, cells: Sequence[str]) -> str:
    return f"{sign}{'  '.join(cells)}".rstrip()


def _fitting(table: Sequence[_Column], width: int) -> list[_Column]:
    """Leave out columns until the rest has room, or none is left that could go."""
    shown = list(table)
    for title in _EXPENDABLE:
        if _width(shown) <= width:
            break
        shown = [column for column in shown if column.title != title]
    return shown


def _width(shown: Sequence[_Column]) -> int:
    return sum(column.width + 2 for column in shown)


def _shortened(shown: Sequence[_Column], width: int) -> _Column:
    """Leave out the middle of addresses that are too long for a terminal."""
    addresses = shown[0]
    room = max(_SHORTEST_ADDRESS, addresses.width - max(0, _width(shown) - width))
    return _Column(addresses.title, tuple(_without_middle(address, room) for address in addresses.cells))


def _without_middle(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    end = (room - 3) // 2
    return f"{text[: room - 3 - end]}...{text[-end:]}"


def _sign(standing: Standing) -> str:
    """Mark what makes the exit code another one than 0."""
    if standing.state is State.UNREADABLE:
        return "?"
    return "!" if standing.is_pressing else _QUIET


def _words(state: State) -> str:
    return state.replace("_", " ")


def _bar(status: Status, standing: Standing, signs: tuple[str, str]) -> str:
    if standing.certificate is None:
        return ""
    gone = int(lifetime_used(standing.certificate, status.at) * _BAR)
    return signs[0] * gone + signs[1] * (_BAR - gone)


def _end(standing: Standing) -> str:
    return f"{standing.certificate.not_after:%Y-%m-%d %H:%M}Z" if standing.certificate else ""


def _left(status: Status, standing: Standing) -> str:
    """Say how long a certificate has left in the largest unit of which there are at least two."""
    if standing.certificate is None:
        return ""
    seconds = int((standing.certificate.not_after - status.at).total_seconds())
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    unit, size = next((unit for unit in _UNITS if seconds >= 2 * unit[1]), ("s", 1))
    return f"{sign}{seconds // size}{unit}"


def _issuers(standings: Sequence[Standing], room: int) -> list[_Column]:
    """Give the column of issuers, as far as there is room; nothing where too little of their names would be left."""
    names = [_issuer(standing) for standing in standings]
    is_whole = max(map(columns, (_ISSUER, *names))) <= room
    if not is_whole and room < _SHORTEST_ISSUER:
        return []
    return [_Column(_ISSUER, tuple(_cut(name, min(room, _LONGEST_ISSUER)) for name in names))]


def _issuer(standing: Standing) -> str:
    certificate = standing.certificate
    if certificate is None:
        return ""
    if certificate.is_self_issued:
        return "itself"
    return printable(certificate.issuer.common_name or str(certificate.issuer))


def _cut(text: str, room: int) -> str:
    """Leave out the end of a text that takes too many columns."""
    if columns(text) <= room:
        return text
    while columns(text) > room - 3:
        text = text[:-1]
    return f"{text}..."


def _summary(status: Status, paint: Painter, width: int | None) -> str:
    text = wrapped(f"{status.name}: {_sum(status)}", width or WIDTH, "  ")
    return text.replace(status.name, paint(status.name, Style.STRONG), 1)


def _sum(status: Status) -> str:
    """Say what presses, or else when the next renewal is due."""
    count = len(status.standings)
    certificates = "one certificate" if count == 1 else f"{count} certificates"
    causes = Counter(_cause(one, status) for one in status.standings if _sign(one) != _QUIET)
    if causes:
        return f"{', '.join(f'{number} {cause}' for cause, number in causes.items())}, of {certificates}"
    waiting = [one for one in status.standings if one.due is not None and one.due > status.at]
    if not waiting:
        return f"nothing presses, {certificates}"
    first = min(waiting, key=urgency)
    return f"nothing presses, {certificates}; next due {first.address} on {first.due:%Y-%m-%d}"


def _cause(standing: Standing, status: Status) -> str:
    """Say why a certificate presses: by its end, where it is not due, or is a CA's."""
    is_ca = standing.address.section is Section.CAS
    if standing.state is State.FINE or (standing.state is State.DUE and is_ca):
        return f"ending within {_duration(NEAR if status.within is None else status.within)}"
    return _words(standing.state)


def _duration(seconds: int) -> str:
    """Write a duration in the largest unit that it is a multiple of."""
    unit, size = next((unit for unit in _UNITS if seconds % unit[1] == 0), ("s", 1))
    return f"{seconds // size}{unit}"
