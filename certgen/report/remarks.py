"""Findings as remarks, each at its place in a spec, for formats that point at lines: the most important first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certgen.diagnostics import Diagnostic, Severity
from certgen.plan.values import Action
from certgen.report.findings import Findings, SpecFindings
from certgen.report.paint import printable
from certgen.report.plan import describe_change

WIDENING: Final = "plan/widen"
"""The code of the remark that an entry comes to accept what another root has signed."""

_BY_SEVERITY: Final = {severity: rank for rank, severity in enumerate(Severity)}
_BY_ACTION: Final = {
    f"plan/{action}": rank
    for rank, action in enumerate(
        (Action.REKEY, Action.REMOVE, Action.ISSUE, Action.UPDATE, Action.RENEW, Action.WRITE), start=1
    )
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remark points: line and column count from 1."""

    file: str
    """From the folder of the run where it is below that."""
    line: int = 1
    column: int = 1
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say of one place."""

    severity: Severity
    code: str
    """That of the diagnostic, or `plan/` and what happens."""
    message: str
    """A line, or two with what to do; nothing in it steers what shows it."""
    place: Place | None = None


def remarks(findings: Findings) -> tuple[Remark, ...]:
    """Give all that a run has to say: errors, whose trust widens, other warnings, changes, notes."""
    found = [_said(item, _own_place(item, findings)) for item in findings.diagnostics]
    found += [remark for spec in findings.specs for remark in _of_spec(spec, findings.base)]
    return tuple(sorted(found, key=_rank))


def name_from(base: Path, file: str) -> str:
    """Name a file from a folder, where it is below that."""
    path = Path(file)
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()


def _rank(remark: Remark) -> tuple[int, int]:
    rank = 0 if remark.code == WIDENING else _BY_ACTION.get(remark.code, len(_BY_ACTION) + 1)
    return _BY_SEVERITY[remark.severity], rank


def _of_spec(spec: SpecFindings, base: Path) -> Iterator[Remark]:
    for item in spec.diagnostics:
        yield _said(item, _spanned(item, base) or _place(spec, item.where or "", base))
    if spec.decided is None:
        return
    for widening in spec.decided.plan.widenings:
        place = _place(spec, str(widening.address), base)
        yield Remark(Severity.WARNING, WIDENING, f"trust widens: {printable(str(widening))}", place)
    for change in spec.decided.plan.changes:
        message = printable(f"{change.address}: {change.action}, {describe_change(change)}")
        yield Remark(Severity.NOTE, f"plan/{change.action}", message, _place(spec, str(change.address), base))


def _place(spec: SpecFindings, address: str, base: Path) -> Place:
    """Find where an entry begins, or one that a file belongs to; else it is the spec as a whole that is meant."""
    file = name_from(base, str(spec.loaded.path))
    section, _, rest = address.partition("/")
    name = rest.partition("/")[0]
    found = spec.loaded.places.get(f"{section}/{name}")
    return Place(file) if found is None else Place(file, *found, length=len(name))


def _own_place(item: Diagnostic, findings: Findings) -> Place | None:
    """Find the place of what belongs to no spec that could be read: one that was asked for may still be meant."""
    if item.span is None and item.where in {str(path) for path in findings.paths}:
        return Place(name_from(findings.base, item.where or ""))
    return _spanned(item, findings.base)


def _spanned(item: Diagnostic, base: Path) -> Place | None:
    span = item.span
    return Place(name_from(base, span.file), span.line, span.column, span.length) if span else None


def _said(item: Diagnostic, place: Place | None) -> Remark:
    where = f" ({item.where})" if item.where and item.span is None and item.where not in item.message else ""
    help_ = f"\nhelp: {printable(item.help)}" if item.help else ""
    return Remark(item.severity, item.code, f"{printable(item.message + where)}{help_}", place)
