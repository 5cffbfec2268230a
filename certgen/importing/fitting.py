"""What a spec refuses to say of something that exists is left out of it, and told."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final, TypeVar

from certgen.diagnostics import CertgenError, Diagnostic, Severity
from certgen.model import Section

_T = TypeVar("_T")
_FIELD: Final = 3
"""Steps of a route to a field of an entry: section, name, field."""
_STAYS: Final = "what is there stays as it is until it is due, or its entry is edited"
_GOES: Final = "look whether it is needed"


def fit(
    fields: dict[str, Any], load: Callable[[dict[str, Any]], _T], adopted: Container[str] = ()
) -> tuple[dict[str, Any], _T, tuple[Diagnostic, ...]]:
    """Leave out of a spec what it may not say.

    Args:
        fields: the whole spec.
        load: reads and checks it.
        adopted: the addresses of entries with a certificate.

    Returns:
        The spec that is valid, what was read, and a warning for each part that was left out.

    Raises:
        CertgenError: it is not valid, and there is nothing to leave out.
    """
    fitting = deepcopy(fields)
    remarks: list[Diagnostic] = []
    while True:
        try:
            return fitting, load(fitting), tuple(remarks)
        except CertgenError as reason:
            # From the last item of a list to its first, so that those before keep their places.
            errors = sorted((item for item in reason.diagnostics if item.is_error), key=_place, reverse=True)
            # An entry goes as a whole only where no part of any can go.
            told = _each(fitting, errors, _fit_field) or _each(fitting, errors, _leave_out_entry)
            if not told:
                raise
            remarks += [item if item.where in adopted else _of_description(item) for item in told]


def _each(
    fields: dict[str, Any],
    faults: Sequence[Diagnostic],
    mend: Callable[[dict[str, Any], Diagnostic], Diagnostic | None],
) -> list[Diagnostic]:
    return [remark for fault in faults if (remark := mend(fields, fault)) is not None]


def _fit_field(fields: dict[str, Any], fault: Diagnostic) -> Diagnostic | None:
    """Take away the part of an entry that a fault is about; None where it is about none."""
    route = fault.route or ()
    entry = _entry(fields, fault)
    if entry is None or len(route) < _FIELD:
        return None
    if fault.code == "outlives-issuer" and _shorten(fields, entry):
        return _remark(fault, f"its validity in the spec is that of its issuer, since {fault.message}", _STAYS)
    if not _cut(entry, route[_FIELD - 1 :]):
        return None
    return _remark(fault, f"its {route[_FIELD - 1]} is left out of the spec, since {fault.message}", _STAYS)


def _cut(holder: dict[str, Any] | list[Any], steps: Sequence[str | int]) -> bool:
    """Take away what stands at the end of some steps, and what would be empty without it."""
    step, *rest = steps
    if isinstance(holder, dict) and step in holder:
        part: Any = holder[str(step)]
    elif isinstance(holder, list) and isinstance(step, int) and step < len(holder):
        part = holder[step]
    else:
        return False
    if rest and isinstance(part, dict | list) and len(part) > 1 and _cut(part, rest):
        return True
    del holder[step]  # type: ignore[arg-type]  # the two are told apart above
    return True


def _shorten(fields: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Let an entry last as long as its issuer; False where that is said of none."""
    authorities = fields.get(str(Section.CAS), {})
    issuer = authorities.get(entry.get("issuer", next(iter(authorities), "")), {})
    if "validity" not in issuer or entry.get("validity") == issuer["validity"]:
        return False
    for name in ("not_before", "not_after"):
        entry.pop(name, None)
    entry["validity"] = issuer["validity"]
    return True


def _leave_out_entry(fields: dict[str, Any], fault: Diagnostic) -> Diagnostic | None:
    """Take away an end entity that no spec can have; None where a fault is about no such."""
    if _entry(fields, fault) is None or (fault.route or ("",))[0] == Section.CAS:
        return None
    section, name = (fault.route or ())[:2]
    del fields[str(section)][str(name)]
    if not fields[str(section)]:
        del fields[str(section)]
    return _remark(fault, f"it stays out, since {fault.message}", "write that entry by hand", "not-imported")


def _entry(fields: dict[str, Any], fault: Diagnostic) -> dict[str, Any] | None:
    """Give the entry that a fault is about."""
    section, name = (*(fault.route or ()), "", "")[:2]
    entry = fields[str(section)].get(str(name)) if isinstance(fields.get(str(section)), dict) else None
    return entry if isinstance(entry, dict) else None


def _of_description(remark: Diagnostic) -> Diagnostic:
    """Say of an entry of which there is nothing yet that what is left out is gone."""
    return replace(remark, help=_GOES) if remark.help == _STAYS else remark


def _place(fault: Diagnostic) -> list[str]:
    return [f"{step:>9}" if isinstance(step, int) else str(step) for step in fault.route or ()]


def _remark(fault: Diagnostic, said: str, help_: str, code: str = "not-expressed") -> Diagnostic:
    address = "/".join(map(str, (fault.route or ())[:2]))
    return Diagnostic(Severity.WARNING, code, f"{address}: {said}", help=help_, where=address)
