"""Diagnostics as the best compilers show them: code, place, source line, caret, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from certgen.diagnostics import Diagnostic, Severity, Span
from certgen.report.paint import Painter, Style, plain, printable, wrapped

_STYLES = {Severity.ERROR: Style.ERROR, Severity.WARNING: Style.WARNING, Severity.NOTE: Style.NOTE}
_EXCERPT = 100
"""The most characters of a source line that are shown."""


def render_diagnostics(diagnostics: Iterable[Diagnostic], paint: Painter = plain, width: int | None = None) -> str:
    """Write diagnostics one after the other, with an empty line after each.

    Args:
        diagnostics: in the order in which they are shown.
        paint: gives the colours.
        width: the terminal's width in characters; None for no terminal.
    """
    return "".join(f"{_render(diagnostic, paint, width)}\n\n" for diagnostic in diagnostics)


def _render(diagnostic: Diagnostic, paint: Painter, width: int | None) -> str:
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    message = wrapped(f"{head}: {printable(diagnostic.message)}", width, "  ")
    lines = [paint(head, _STYLES[diagnostic.severity]) + message.removeprefix(head)]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, diagnostic, paint, width)
        return "\n".join(lines)
    if diagnostic.where is not None and diagnostic.where not in diagnostic.message:
        lines.append(f"  {printable(diagnostic.where)}")
    if diagnostic.help is not None:
        lines.append(_help(diagnostic.help, "  ", paint, width))
    return "\n".join(lines)


def _excerpt(span: Span, diagnostic: Diagnostic, paint: Painter, width: int | None) -> list[str]:
    number, gutter = str(span.line), " " * len(str(span.line))
    source, column = _window(span)
    carets = "^" * max(1, min(span.length, len(source) - column))
    pointer = f"{gutter} | {' ' * column}{paint(carets, _STYLES[diagnostic.severity])}"
    lines = [
        f"  {printable(span.file)}:{span.line}:{span.column}",
        f"{gutter} |",
        f"{number} | {source}",
    ]
    help_ = diagnostic.help
    if help_ is None:
        return [*lines, pointer]
    length = len(gutter) + 4 + column + len(carets) + len(help_)
    if length <= (width or _EXCERPT):
        return [*lines, f"{pointer} {paint(printable(help_), Style.STRONG)}"]
    return [*lines, pointer, _help(help_, f"{gutter} = ", paint, width)]


def _window(span: Span) -> tuple[str, int]:
    """Cut a long source line to what stands around the caret; give it with the caret's column in it."""
    text, start = span.text.rstrip(), span.column - 1
    first = max(0, start - _EXCERPT // 2) if len(text) > _EXCERPT else 0
    shown = printable(text[first : first + _EXCERPT])
    column = len(printable(text[first:start]))
    ahead, behind = "..." if first else "", "..." if first + _EXCERPT < len(text) else ""
    return f"{ahead}{shown}{behind}", column + len(ahead)


def _help(text: str, lead: str, paint: Painter, width: int | None) -> str:
    body = wrapped(f"{lead}help: {printable(text)}", width, " " * (len(lead) + 6))
    return body.replace("help:", paint("help:", Style.STRONG), 1)
