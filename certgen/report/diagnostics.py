"""Diagnostics as the best compilers show them: code, place, source line, caret, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from certgen.diagnostics import Diagnostic, Severity, Span
from certgen.report.paint import Painter, Style, columns, plain, printable, wrapped

_STYLES = {Severity.ERROR: Style.ERROR, Severity.WARNING: Style.WARNING, Severity.NOTE: Style.NOTE}
_WIDTH = 100
"""Columns that an excerpt takes where there is no terminal to fit."""
_CUT = "..."


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
    room = (width or _WIDTH) - len(gutter) - 3
    source, before, marked = _window(span, room)
    carets = "^" * max(1, columns(marked))
    pointer = f"{gutter} | {' ' * columns(before)}{paint(carets, _STYLES[diagnostic.severity])}"
    lines = [f"  {printable(span.file)}:{span.line}:{span.column}", f"{gutter} |", f"{number} | {source}"]
    help_ = diagnostic.help
    if help_ is None:
        return [*lines, pointer]
    if columns(before) + len(carets) + 1 + columns(printable(help_)) <= room:
        return [*lines, f"{pointer} {paint(printable(help_), Style.STRONG)}"]
    return [*lines, pointer, _help(help_, f"{gutter} = ", paint, width)]


def _window(span: Span, room: int) -> tuple[str, str, str]:
    """Cut a source line to the room there is around the mark; give what is shown, what stands before, and the mark."""
    text = span.text.rstrip()
    start = min(span.column - 1, len(text))
    end = start + span.length
    # What is further away is not shown, and a spec may be one line of megabytes with a mistake in each of its values.
    reach = 4 * max(room, _WIDTH)
    before, marked, after = text[max(0, start - reach) : start], text[start:end][:reach], text[end : end + reach]
    before, marked, after = printable(before), printable(marked), printable(after)
    if columns(before + marked + after) <= room:
        return before + marked + after, before, marked
    marked = _first(marked, room - 2 * len(_CUT))
    spare = room - columns(marked)
    if columns(before) > spare // 2:
        keep = max(0, max(spare // 2, spare - columns(after)) - len(_CUT))
        before = _CUT + _last(before, keep)
    rest = room - columns(before + marked)
    if columns(after) > rest:
        after = _first(after, rest - len(_CUT)) + _CUT
    return before + marked + after, before, marked


def _first(text: str, room: int) -> str:
    """Give as much of the beginning of a text as fits."""
    while columns(text) > max(0, room):
        text = text[: len(text) - max(1, (columns(text) - room) // 2)]
    return text


def _last(text: str, room: int) -> str:
    """Give as much of the end of a text as fits."""
    while columns(text) > max(0, room):
        text = text[max(1, (columns(text) - room) // 2) :]
    return text


def _help(text: str, lead: str, paint: Painter, width: int | None) -> str:
    body = wrapped(f"{lead}help: {printable(text)}", width, " " * (len(lead) + 6))
    return body.replace("help:", paint("help:", Style.STRONG), 1)
