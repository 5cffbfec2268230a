"""The formats in which a run's findings are written for other programs: each is one module of this room.

A new one is a module with a `render`, and its line in the table. The table is read at every start, and so this module
imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from certgen.report.findings import Findings


@dataclass(frozen=True, slots=True)
class Format:
    """A format, as one who chooses it knows it."""

    help: str
    commands: frozenset[str]
    """Those that take it."""


FORMATS: Final[Mapping[str, Format]] = {
    "markdown": Format("a comment on a pull request", frozenset({"plan"})),
    "github": Format("annotations of GitHub Actions", frozenset({"plan", "validate"})),
    "prometheus": Format("metrics for node_exporter's textfile collector", frozenset({"status"})),
    "sarif": Format("SARIF 2.1.0 for code scanning", frozenset({"plan", "validate"})),
}
"""By name, which is that of the module."""


def formats_of(command: str) -> tuple[str, ...]:
    """Give the names of the formats that a command takes."""
    return tuple(name for name, form in FORMATS.items() if command in form.commands)


def render(form: str, findings: Findings) -> str:
    """Write what a run has found.

    Args:
        form: the name of a format.
        findings: of the run.
    """
    write: Callable[[Findings], str] = import_module(f"certgen.report.{form}").render
    return write(findings)
