"""Findings as GitHub's workflow commands: annotations on the lines of a spec.

GitHub shows ten errors, ten warnings and ten notices of a step, the first that come; the log has all of them.
"""

from __future__ import annotations

from typing import Final

from certgen.diagnostics import Severity
from certgen.report.findings import Findings
from certgen.report.paint import printable
from certgen.report.remarks import Remark, remarks

_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_IN_MESSAGE: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
"""As the runner's ActionCommand.cs decodes them; no text can end its property, its message or its line."""


def render(findings: Findings) -> str:
    """Write a command for each remark, a line each."""
    return "".join(f"{command(remark)}\n" for remark in remarks(findings))


def command(remark: Remark) -> str:
    """Write one remark as a workflow command."""
    properties: dict[str, str] = {}
    if remark.place is not None:
        place = remark.place
        properties = {"file": printable(place.file), "line": str(place.line), "col": str(place.column)}
    properties["title"] = f"certgen {remark.code}"
    written = ",".join(f"{name}={value.translate(_IN_PROPERTY)}" for name, value in properties.items())
    return f"::{_COMMANDS[remark.severity]} {written}::{remark.message.translate(_IN_MESSAGE)}"
