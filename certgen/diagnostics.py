"""Floor 0: what is wrong, where, and what to do about it, as values.

A rule names a place in the spec by its route of keys and indices; one later step, `spec.document`, turns the
route into a span. Rendering is the business of `report`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Route = tuple[str | int, ...]
"""A place in a spec, as the keys and indices that lead to it: `("servers", "api", "sans", 0)`."""


class Severity(StrEnum):
    """How bad it is: an error stops the run, a warning names a SHOULD, a note informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of characters on one line of a file; line and column count from 1."""

    file: str
    line: int
    column: int
    length: int
    text: str
    """The whole source line, without its line break."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake, or one thing worth knowing."""

    severity: Severity
    code: str
    """Kebab-case, stable, documented in `docs/diagnostics.md`."""
    message: str
    """One sentence, without a full stop."""
    help: str | None = None
    """What to do; the caret's label where there is a span."""
    route: Route | None = None
    """The place in the spec, before it is turned into a span."""
    at_key: bool = False
    """Whether the key itself is meant, not its value."""
    span: Span | None = None
    where: str | None = None
    """An address or a file, where there is no span."""

    @property
    def is_error(self) -> bool:
        """Whether it stops the run."""
        return self.severity is Severity.ERROR


class CertgenError(Exception):
    """The one root of the exceptions that certgen raises: a run that cannot go on, with all its reasons."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))


def error(code: str, message: str, *, help: str | None = None, where: str | None = None) -> Diagnostic:  # noqa: A002 - the field's name
    """Make an error that has no place in a spec."""
    return Diagnostic(Severity.ERROR, code, message, help=help, where=where)


def position(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    """Give the key by which diagnostics are sorted: file, line, column, code."""
    span = diagnostic.span
    if span is None:
        return (diagnostic.where or "", 0, 0, diagnostic.code)
    return (span.file, span.line, span.column, diagnostic.code)
