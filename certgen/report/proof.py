"""A proof for people: the matrix of who gets in where, and of those who must be kept out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from certgen.model import Address
from certgen.prove.values import Crossing, Encounter, Judgement, Proof, RollOut, Stranger
from certgen.report.paint import Painter, Style, plain, wrapped
from certgen.tls.causes import Side

LONGEST_LABEL: Final = 32
"""Characters of a row's label; of a longer one the middle is left out."""
WIDTH: Final = 80
"""Characters for which the matrix is made where there is no terminal."""

_STRANGERS: Final = {
    Stranger.NOBODY: "no certificate",
    Stranger.OTHER_AUTHORITY: "other CA",
    Stranger.SERVER_AS_CLIENT: "a server's",
    Stranger.EXPIRED: "expired",
    Stranger.WRONG_NAME: "wrong name",
    Stranger.FALSE_SERVER: "other CA's server",
}
"""The headings of the columns of strangers."""


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    style: Style | None


def render_proof(proof: Proof, paint: Painter = plain, width: int | None = None) -> str:
    """Write a proof: servers down, clients across; then the strangers; then the sum.

    Args:
        proof: the proof.
        paint: gives the colours.
        width: the terminal's width in characters; None for no terminal.
    """
    lines = [
        *_meetings(proof, paint, width or WIDTH),
        *_strangers(proof, paint, width or WIDTH, is_server=True),
        *_strangers(proof, paint, width or WIDTH, is_server=False),
        *_footnotes(proof, width),
        wrapped(_summary(proof), width, "  ").replace(proof.name, paint(proof.name, Style.STRONG), 1),
    ]
    return "\n".join(lines) + "\n"


def render_roll_out(way: RollOut, paint: Painter = plain, width: int | None = None) -> str:
    """Write what a roll-out breaks: who gets in where while one of the two is old; then the orders that do not.

    Args:
        way: the roll-out.
        paint: gives the colours.
        width: the terminal's width in characters; None for no terminal.
    """
    lines: list[str] = []
    for old, title in ((Side.CLIENT, "client is old"), (Side.SERVER, "server is old"), (None, "both are new")):
        chosen = [one for one in way.crossings if one.old is old]
        if any(one.is_broken or one.obstacle for one in chosen):
            rows = tuple(dict.fromkeys(one.server for one in chosen))
            columns = tuple(dict.fromkeys(str(one.client) for one in chosen))
            cells = {(one.server, str(one.client)): _crossing(one) for one in chosen}
            lines += _Table(title, rows, columns, cells).lines(paint, width or WIDTH)
    lines.append(wrapped(f"{way.name}: {_order(way)}", width, "  ").replace(way.name, paint(way.name, Style.STRONG), 1))
    return "\n".join(lines) + "\n"


def _crossing(one: Crossing) -> _Cell:
    if one.obstacle is not None:
        return _Cell("?", Style.WARNING)
    return _Cell("NO", Style.ERROR) if one.is_broken else _Cell("yes", Style.ADDED)


def _order(way: RollOut) -> str:
    """Say in which orders a roll-out keeps working."""
    entries = "one entry" if way.changed == 1 else f"{way.changed} entries"
    tried = f"{way.handshakes} handshakes"
    if way.judged:
        tried += f" and {way.judged} judged by certificates alone, since a private key is not here"
    if way.is_first:
        return "nothing to roll out, there is no older tree"
    if not way.changed:
        return "nothing to roll out, the older tree has the same certificates and trust"
    if way.waves is None:
        return f"the roll-out of {entries} breaks in every order"
    if way.judgement is Judgement.UNKNOWN:
        return f"cannot tell whether the roll-out of {entries} keeps working, {tried}"
    if len(way.waves) < 2:
        return f"the roll-out of {entries} keeps working in any order, {tried}"
    waves = ", then ".join(", ".join(map(str, wave)) for wave in way.waves)
    return f"the roll-out of {entries} keeps working in one order: first {waves}"


def _meetings(proof: Proof, paint: Painter, width: int) -> Iterator[str]:
    rows = tuple(dict.fromkeys(one.server for one in proof.encounters))
    met = dict.fromkeys(one.client for one in proof.encounters)
    # A peer does not meet itself, so the first row alone does not tell the order.
    columns = tuple(
        str(one) for one in (*(one for one in met if one not in rows), *(row for row in rows if row in met))
    )
    cells = {(one.server, str(one.client)): _meeting(one) for one in proof.encounters}
    if cells:
        yield from _Table("gets in", rows, columns, cells).lines(paint, width)


def _strangers(proof: Proof, paint: Painter, width: int, *, is_server: bool) -> Iterator[str]:
    chosen = [one for one in proof.challenges if (one.stranger is not Stranger.FALSE_SERVER) == is_server]
    rows = tuple(dict.fromkeys(one.address for one in chosen))
    kinds = [stranger for stranger in Stranger if stranger in {one.stranger for one in chosen}]
    cells = {(one.address, _STRANGERS[one.stranger]): _kept_out(one.judgement) for one in chosen}
    if cells:
        columns = tuple(_STRANGERS[kind] for kind in kinds)
        yield from _Table("is kept out", rows, columns, cells).lines(paint, width)


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    rows: tuple[Address, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[Address, str], _Cell]

    def lines(self, paint: Painter, width: int) -> Iterator[str]:
        """Write the table; where its headings do not fit they are numbers, with a legend."""
        left = max(len(self.title), *(len(_short(row)) for row in self.rows)) + 2
        heads = {column: column for column in self.columns}
        is_wide = left + sum(max(len(head), 3) + 2 for head in heads.values()) > width
        if is_wide:
            heads = {column: str(number) for number, column in enumerate(self.columns, 1)}
        column_width = max(3, *(len(head) for head in heads.values())) if is_wide else 0
        fitting = max(1, (width - left) // (column_width + 2)) if is_wide else len(self.columns)
        for start in range(0, len(self.columns), fitting):
            block = {column: heads[column] for column in self.columns[start : start + fitting]}
            yield from self._block(block, left, paint)
        if is_wide:
            legend = ", ".join(f"{head} {column}" for column, head in heads.items())
            yield wrapped(legend, width)
            yield ""

    def _block(self, heads: Mapping[str, str], left: int, paint: Painter) -> Iterator[str]:
        line = "".join(f"{head:<{max(len(head), 3) + 2}}" for head in heads.values())
        yield paint(f"{self.title:<{left}}{line}".rstrip(), Style.FAINT)
        for row in self.rows:
            line = f"{_short(row):<{left}}"
            for column, head in heads.items():
                cell = self.cells.get((row, column), _Cell("-", None))
                padding = " " * (max(len(head), 3) + 2 - len(cell.text))
                line += f"{paint(cell.text, cell.style) if cell.style else cell.text}{padding}"
            yield line.rstrip()
        yield ""


def _meeting(one: Encounter) -> _Cell:
    match one.judgement, one.is_expected:
        case Judgement.UNKNOWN, _:
            return _Cell("?", Style.WARNING)
        case Judgement.UNEXPECTED, True:
            return _Cell("NO", Style.ERROR)
        case Judgement.UNEXPECTED, False:
            return _Cell("YES", Style.ERROR)
        case _, True:
            return _Cell("no*", Style.CHANGED) if one.turned_away_by else _Cell("yes", Style.ADDED)
        case _:
            return _Cell("no", Style.FAINT)


def _kept_out(judgement: Judgement) -> _Cell:
    match judgement:
        case Judgement.AS_EXPECTED:
            return _Cell("yes", Style.ADDED)
        case Judgement.UNEXPECTED:
            return _Cell("NO", Style.ERROR)
        case Judgement.UNKNOWN:
            return _Cell("?", Style.WARNING)


def _footnotes(proof: Proof, width: int | None) -> Iterator[str]:
    consumers = sorted({consumer for one in proof.encounters for consumer in one.turned_away_by})
    if consumers:
        text = (
            f"* TLS lets it in, and `allow` of {', '.join(consumers)} keeps it out: judged by the rule, not tried here"
        )
        yield wrapped(text, width, "  ")
    if proof.dates_apart:
        text = f"dates were judged for {proof.at:%Y-%m-%d %H:%M}Z outside the handshakes: ssl cannot set its clock"
        yield wrapped(text, width, "  ")


def _summary(proof: Proof) -> str:
    tried = "one handshake" if proof.handshakes == 1 else f"{proof.handshakes} handshakes"
    if not (proof.handshakes or proof.findings or proof.unknowns):
        return f"{proof.name}: nothing to prove, since nobody connects to anybody"
    match proof.judgement:
        case Judgement.AS_EXPECTED:
            return f"{proof.name}: proven, {tried}, all as expected"
        case Judgement.UNEXPECTED:
            count = len(proof.findings)
            return f"{proof.name}: {'one finding' if count == 1 else f'{count} findings'}, {tried}"
        case Judgement.UNKNOWN:
            return f"{proof.name}: cannot tell, {tried}, the rest could not be tried"


def _short(address: Address) -> str:
    text = str(address)
    return text if len(text) <= LONGEST_LABEL else f"{text[:13]}...{text[-16:]}"
