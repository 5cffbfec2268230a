"""All operations, at all sizes, for all keys, beside who can do the same."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.contenders import CONTENDERS, certgen
from bench.measure import Lane
from bench.operations import (
    Site,
    bare,
    bare_handshakes,
    cold,
    fresh_clone,
    imports,
    no_op,
    one_change,
    openssl_verify,
    prove,
    verify,
)
from bench.specs import P256, RSA, Fleet

SIZES: Final = (10, 100, 1_000, 10_000)
_LARGEST_RSA: Final = 100
_LARGEST_PROOF: Final = 100


@dataclass(frozen=True)
class Course:
    """Lanes for one size; the first is certgen's, with which the others are compared."""

    operation: str
    fleet: Fleet
    lay_out: Callable[[Site], Sequence[Lane]]


def _start(_fleet: Fleet, site: Site) -> list[Lane]:
    version = site.lane("certgen --version", "start", (str(site.environment.certgen), "--version"))
    return [version, bare(site), imports(site)]


def _cold(fleet: Fleet, site: Site) -> list[Lane]:
    return [cold(one, fleet, site) for one in CONTENDERS if one.missing is None and one.makes(fleet)]


def _no_op(fleet: Fleet, site: Site) -> list[Lane]:
    resuming = [one for one in CONTENDERS if one.resumes and one.missing is None and one.makes(fleet)]
    return [*(no_op(one, fleet, site) for one in resuming), bare(site)]


def _one_change(fleet: Fleet, site: Site) -> list[Lane]:
    return [one_change(fleet, site), cold(certgen(), fleet, site)]


def _fresh_clone(fleet: Fleet, site: Site) -> list[Lane]:
    return [fresh_clone(fleet, site), cold(certgen(), fleet, site)]


def _verify(fleet: Fleet, site: Site) -> list[Lane]:
    return [verify(fleet, site), openssl_verify(fleet, site)]


def _prove(fleet: Fleet, site: Site) -> list[Lane]:
    return [prove(fleet, site), bare_handshakes(fleet, site)]


_OPERATIONS: Final[Mapping[str, Callable[[Fleet, Site], list[Lane]]]] = {
    "start": _start,
    "cold": _cold,
    "no-op": _no_op,
    "change": _one_change,
    "clone": _fresh_clone,
    "verify": _verify,
    "proof": _prove,
}
NAMES: Final = tuple(_OPERATIONS)


ON_DISK: Final = ("cold", "no-op", "change", "clone", "verify")
"""Those that read or write a tree."""


def courses(names: Iterable[str], sizes: Iterable[int], keys: Iterable[str]) -> Iterator[Course]:
    """Give what is to be run, smaller fleets first."""
    sizes, keys = tuple(sizes), tuple(keys)
    for name in names:
        for key in keys if name != "start" else (P256,):
            for size in sorted(sizes) if name != "start" else (0,):
                fleet = Fleet(size, key)
                if not _is_too_large(name, fleet):
                    yield Course(name, fleet, _bound(_OPERATIONS[name], fleet))


def _bound(lay_out: Callable[[Fleet, Site], list[Lane]], fleet: Fleet) -> Callable[[Site], Sequence[Lane]]:
    return lambda site: lay_out(fleet, site)


def _is_too_large(name: str, fleet: Fleet) -> bool:
    """Tell where one would wait for minutes: for primes, and where everybody meets everybody."""
    return (fleet.key == RSA and fleet.size > _LARGEST_RSA) or (name == "proof" and fleet.size > _LARGEST_PROOF)
