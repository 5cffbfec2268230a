"""What a spec refuses to say of something that exists is left out of it, and told."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final, TypeVar

from certgen.diagnostics import CertgenError, Diagnostic, Severity

_T = TypeVar("_T")
_FIELD: Final = 3
"""Steps of a route to a field of an entry: section, name, field."""


def fit(
    fields: dict[str, Any], load: Callable[[dict[str, Any]], _T]
) -> tuple[dict[str, Any], _T, tuple[Diagnostic, ...]]:
    """Leave out of a spec what it may not say.

    Args:
        fields: the whole spec.
        load: reads and checks it.

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
            errors = [item for item in reason.diagnostics if item.is_error]
            # From the last item of a list to its first, so that those before keep their places.
            left_out = [item for item in sorted(errors, key=_place, reverse=True) if _leave_out(fitting, item)]
            if not left_out:
                raise
            remarks += [_remark(item) for item in left_out]


def _leave_out(fields: dict[str, Any], fault: Diagnostic) -> bool:
    """Take away the part of an entry that a fault is about; False where it is about none."""
    route = fault.route or ()
    if len(route) < _FIELD:
        return False
    section, name, field, *rest = route
    entry = fields.get(str(section), {}).get(name)
    if not isinstance(entry, dict) or field not in entry:
        return False
    value = entry[field]
    if rest and isinstance(value, list) and isinstance(rest[0], int) and rest[0] < len(value) and len(value) > 1:
        del value[rest[0]]
    else:
        del entry[field]
    return True


def _place(fault: Diagnostic) -> list[str]:
    return [f"{step:>9}" if isinstance(step, int) else str(step) for step in fault.route or ()]


def _remark(fault: Diagnostic) -> Diagnostic:
    section, name, field = (fault.route or ())[:_FIELD]
    message = f"{section}/{name}: its {field} is left out of the spec, since {fault.message}"
    help_ = "what is there stays as it is until it is due, or its entry is edited"
    return Diagnostic(Severity.WARNING, "not-expressed", message, help=help_, where=f"{section}/{name}")
