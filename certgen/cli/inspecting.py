"""The command that says what a file holds."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certgen.cli.arguments import moment
from certgen.cli.group import certgen
from certgen.cli.options import at_option, output_option, screen_options
from certgen.cli.screen import SOUND, UNKNOWN, Screen
from certgen.diagnostics import CertgenError, Diagnostic, error

if TYPE_CHECKING:
    from certgen.inspection import Inspection


@certgen.command()
@click.argument("what", nargs=-1, required=True, metavar="PATH|ADDRESS...")
@output_option
@at_option
@screen_options
def inspect(what: tuple[str, ...], output: Path, at: str | None, **options: Any) -> None:
    """Say in words what a certificate holds.

    Or a key, a signing request, a revocation list; of a file, a folder, an entry, or `-` for standard input.
    """
    screen = Screen.of(options)
    from certgen.report import json_v1
    from certgen.report.inspection import render_inspection

    now = moment(screen, "inspect", at)
    bodies: list[dict[str, Any]] = []
    problems: list[Diagnostic] = []
    for text in what:
        try:
            found = _inspected(text, output, now)
        except CertgenError as reason:
            problems += reason.diagnostics
            continue
        for source, items in found:
            bodies += [{"source": source, "kind": item.kind, **dict(item.facts)} for item in items]
            if not screen.is_json:
                paint, width = screen.painter(sys.stdout), screen.width(sys.stdout)
                screen.result(render_inspection(source, items, paint, width, is_verbose=screen.is_verbose))
    if problems and not screen.is_json:
        screen.fail("inspect", problems)
    screen.diagnose(problems)
    if screen.is_json:
        screen.result(json_v1.render("inspect", {"items": bodies, "diagnostics": json_v1.diagnostics(problems)}))
    sys.exit(UNKNOWN if problems else SOUND)


def _inspected(text: str, output: Path, now: datetime) -> list[tuple[str, tuple[Inspection, ...]]]:
    """Find what a person means, a path or an address, and describe it."""
    from certgen.certificates import UnreadableError
    from certgen.inspection import inspect as describe
    from certgen.store.files import find_readable

    found: list[tuple[str, tuple[Inspection, ...]]] = []
    for source, content in find_readable(text, output):
        try:
            found.append((source, describe(content, now)))
        except UnreadableError as reason:
            raise CertgenError([error("unreadable", f"{source}: {reason}", where=source)]) from None
    return found
