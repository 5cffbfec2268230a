"""Floor 0: what is wrong, where, and what to do about it, as values.

A rule names a place in the spec by its route of keys and indices; one later step, `spec.document`, turns the
route into a span. Rendering is the business of `report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

Route = tuple[str | int, ...]
"""A place in a spec, as the keys and indices that lead to it: `("servers", "api", "sans", 0)`."""


_KEY: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_LONG: Final = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")


def without_keys(text: str) -> str:
    """Leave out of a text what could be a private key, or a line of one: somebody pasted it where none belongs."""
    return _LONG.sub(_hidden, _KEY.sub("(a private key)", text))


def _hidden(found: re.Match[str]) -> str:
    """Hide what is as base64 is, and neither a path nor a number."""
    text = found.group()
    is_mixed = any(c.islower() for c in text) and any(c.isupper() for c in text) and any(c.isdigit() for c in text)
    return "(...)" if is_mixed and text.count("/") * 12 < len(text) else text


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", without_keys(self.text))


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
    route: Route | None = field(default=None, repr=False)
    """The place in the spec, before it is turned into a span."""
    at_key: bool = False
    """Whether the key itself is meant, not its value."""
    span: Span | None = None
    where: str | None = None
    """An address or a file, where there is no span."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", without_keys(self.message))
        for name in ("help", "where"):
            if (text := getattr(self, name)) is not None:
                object.__setattr__(self, name, without_keys(text))

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
