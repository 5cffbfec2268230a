"""The figures to reach: each a ratio of what ran side by side, round by round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bench.contenders import CERTYAML, certgen, floor
from bench.measure import Lane, Spent
from bench.operations import (
    Site,
    bare,
    bare_handshakes,
    cold,
    fresh_clone,
    handshakes_of,
    imports,
    no_op,
    one_change,
    prove,
)
from bench.specs import RSA, Fleet

CORES: Final = 2
Round = Mapping[str, Spent]


@dataclass(frozen=True)
class Figure:
    """One figure of one round.

    limit: what it may be at most.
    lanes: those that must have run.
    unit: of the value.
    """

    name: str
    what: str
    limit: float
    lanes: tuple[Lane, ...]
    value: Callable[[Round], float]
    unit: str = "x"


@dataclass(frozen=True)
class Heat:
    """Figures whose lanes run side by side.

    most_rounds: where more would tell nothing more.
    """

    figures: tuple[Figure, ...]
    most_rounds: int | None = None

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes of all figures, each once, on as many cores as the figures were set for."""
        lanes = {lane.name: lane for figure in self.figures for lane in figure.lanes}
        return tuple(replace(lane, cores=lane.cores or CORES) for lane in lanes.values())


@dataclass(frozen=True)
class Scale:
    """How many end entities the figures are about; the figures were set for these."""

    small: int = 10
    medium: int = 100
    large: int = 10_000
    rsa: int = 40
    proven: int = 60


def seconds(lane: Lane) -> Callable[[Round], float]:
    """Read how long a lane took in a round."""
    return lambda spent: spent[lane.name].seconds


def _ratio(name: str, what: str, limit: float, one: Lane, other: Lane) -> Figure:
    """Compare what two lanes took."""
    return Figure(name, what, limit, (one, other), lambda spent: seconds(one)(spent) / seconds(other)(spent))


def _idle(site: Site, scale: Scale) -> Heat:
    start, small = bare(site), no_op(certgen(), Fleet(scale.small), site)
    large, peer = no_op(certgen(), Fleet(scale.large), site), no_op(CERTYAML, Fleet(scale.large), site)
    entries = scale.large - scale.small

    def each(spent: Round) -> float:
        return (seconds(large)(spent) - seconds(small)(spent)) / entries * 1e6

    above = f"no-op, {scale.large:,} entries, above that of {scale.small:,}, an entry"
    return Heat(
        (
            _ratio("no-op-small", f"no-op, {scale.small:,} entries / bare `python -I -c pass`", 1.6, small, start),
            _ratio("no-op-large", f"no-op, {scale.large:,} entries / certyaml's no-op", 0.15, large, peer),
            Figure("no-op-entry", above, 15, (small, large), each, "µs"),
        )
    )


def _cold(site: Site, scale: Scale) -> Heat:
    fleet = Fleet(scale.large)
    ours = cold(certgen(), fleet, site)
    what = f"cold, {scale.large:,} entries"
    return Heat(
        (
            _ratio("cold-peer", f"{what} / certyaml", 0.7, ours, cold(CERTYAML, fleet, site)),
            _ratio("cold-floor", f"{what} / the floor in one process", 1.0, ours, cold(floor(1), fleet, site)),
        )
    )


def _start(site: Site, scale: Scale) -> Heat:
    fleet = Fleet(scale.medium)
    ours, libraries, work = cold(certgen(), fleet, site), imports(site), cold(floor(1), fleet, site)
    # A floor with nobody in it: what it costs to begin, for which the libraries' imports are to stand.
    empty = cold(floor(1), Fleet(0), site)

    def value(spent: Round) -> float:
        base = seconds(libraries)(spent) + seconds(work)(spent) - seconds(empty)(spent)
        return seconds(ours)(spent) / base

    what = f"cold, {scale.medium:,} entries / (imports of the four libraries + the floor less its own start)"
    return Heat((Figure("cold-start", what, 1.5, (ours, libraries, work, empty), value),))


def _rsa(site: Site, scale: Scale) -> Heat:
    fleet = Fleet(scale.rsa, RSA)
    what = f"cold, {scale.rsa:,} x RSA-3072, two processes / one"
    return Heat((_ratio("cold-rsa", what, 0.6, cold(certgen(2), fleet, site), cold(certgen(1), fleet, site)),))


def _little(site: Site, scale: Scale) -> Heat:
    fleet = Fleet(scale.large)
    ours, change, clone = cold(certgen(), fleet, site), one_change(fleet, site), fresh_clone(fleet, site)
    return Heat(
        (
            _ratio("one-change", f"one SAN changed among {scale.large:,} / cold", 0.15, change, ours),
            _ratio("fresh-clone", f"plan on a fresh clone of {scale.large:,} / cold", 0.4, clone, ours),
        )
    )


def _memory(site: Site, scale: Scale) -> Heat:
    tenth, large = scale.large // 10, scale.large
    sizes = (tenth, (tenth + large) // 2, large)
    lanes = tuple(replace(cold(certgen(), Fleet(size), site), samples=True) for size in sizes)

    def bend(spent: Round) -> float:
        low, middle, high = (spent[lane.name].peak for lane in lanes)
        # Where it does not grow there is no slope to compare.
        return max(high - middle, 1) / max(middle - low, 1)

    whole = f"memory, cold, {large:,} entries, all processes"
    growth = f"memory, its growth over the second half / over the first, {tenth:,} to {large:,} entries"
    return Heat(
        (
            Figure("memory", whole, 200, lanes[-1:], lambda spent: spent[lanes[-1].name].peak / 1e6, "MB"),
            Figure("memory-growth", growth, 1.2, lanes, bend),
        ),
        most_rounds=3,
    )


def _prove(site: Site, scale: Scale) -> Heat:
    fleets = Fleet(scale.small), Fleet(scale.proven)
    lanes = [prove(fleet, site) for fleet in fleets] + [bare_handshakes(fleet, site) for fleet in fleets]
    # certgen shakes hands in as many threads as there are cores, and one handshake is to be compared with one.
    few, many, bare_few, bare_many = lanes = [replace(lane, cores=1) for lane in lanes]

    def each(less: Lane, more: Lane, spent: Round) -> float:
        handshakes = handshakes_of(more) - handshakes_of(less)
        return (seconds(more)(spent) - seconds(less)(spent)) / handshakes

    def value(spent: Round) -> float:
        return each(few, many, spent) / each(bare_few, bare_many, spent)

    what = f"prove, one handshake, from {scale.small:,} to {scale.proven:,} entries, one core / a bare one in `ssl`"
    return Heat((Figure("prove", what, 1.5, tuple(lanes), value),))


_SMALL: Final = {
    _idle: ("no-op-small",),
    _start: ("cold-start",),
    _rsa: ("cold-rsa",),
    _prove: ("prove",),
}
_LARGE: Final = {
    _idle: ("no-op-large", "no-op-entry"),
    _cold: ("cold-peer", "cold-floor"),
    _little: ("one-change", "fresh-clone"),
    _memory: ("memory", "memory-growth"),
}
_HEATS: Final = (_idle, _start, _cold, _little, _memory, _rsa, _prove)
"""How each heat is laid out."""

NAMES: Final = tuple(name for heat in _HEATS for name in (*_SMALL.get(heat, ()), *_LARGE.get(heat, ())))
LARGE: Final = tuple(name for names in _LARGE.values() for name in names)
"""The figures that are about the largest fleet."""


def heats(names: Sequence[str], scale: Scale) -> list[Callable[[Site], Heat]]:
    """Choose the heats that tell some figures, to be laid out one after the other."""
    chosen = [heat for heat in _HEATS if {*_SMALL.get(heat, ()), *_LARGE.get(heat, ())} & set(names)]
    return [partial(_lay_out, heat, names, scale) for heat in chosen]


def _lay_out(heat: Callable[[Site, Scale], Heat], names: Sequence[str], scale: Scale, site: Site) -> Heat:
    whole = heat(site, scale)
    return replace(whole, figures=tuple(figure for figure in whole.figures if figure.name in names))
