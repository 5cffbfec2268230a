"""How a run speaks: results to standard output, diagnostics and progress to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

import click

from certgen.cli.terminal import draws_blocks, is_colored, width
from certgen.diagnostics import Diagnostic
from certgen.report.formats import FORMATS, render
from certgen.report.paint import Painter, Style, plain, printable

if TYPE_CHECKING:
    from certgen.report.findings import Findings

SOUND: Final = 0
DIFFERENT: Final = 1
UNKNOWN: Final = 2

_COLORS: Final[dict[Style, dict[str, Any]]] = {
    Style.ERROR: {"fg": "red", "bold": True},
    Style.WARNING: {"fg": "yellow", "bold": True},
    Style.NOTE: {"fg": "blue", "bold": True},
    Style.ADDED: {"fg": "green"},
    Style.CHANGED: {"fg": "yellow"},
    Style.REMOVED: {"fg": "red"},
    Style.STRONG: {"bold": True},
    Style.FAINT: {"dim": True},
}


@dataclass(frozen=True, slots=True)
class Screen:
    """Standard output and standard error, as the options of the run want them."""

    form: str
    """The format of results, by name."""
    is_quiet: bool
    is_verbose: bool
    color: str

    @property
    def is_json(self) -> bool:
        """Whether results are JSON."""
        return self.form == "json"

    @property
    def is_for_programs(self) -> bool:
        """Whether results are one whole in another language, in one of the formats of `report`."""
        return self.form in FORMATS

    def painter(self, stream: TextIO) -> Painter:
        """Give the painter for a stream: colours on a terminal, or where they are asked for."""
        if not is_colored(stream, self.color):
            return plain
        return lambda text, style: click.style(text, **_COLORS[style])

    @staticmethod
    def width(stream: TextIO) -> int | None:
        """Give a terminal's width in characters; None where the stream is none."""
        return width(stream)

    @staticmethod
    def draws_blocks(stream: TextIO) -> bool:
        """Tell whether a stream is a terminal that shows more than ASCII."""
        return draws_blocks(stream)

    def result(self, text: str) -> None:
        """Print a result."""
        if not self.is_quiet or self.form != "text":
            sys.stdout.write(text)

    def tell(self, sentence: str) -> None:
        """Say at once what somebody at a terminal wonders about, unless quiet."""
        if not self.is_quiet:
            sys.stderr.write(f"{printable(sentence)}\n")

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Print diagnostics: errors always, the others unless quiet."""
        from certgen.report.diagnostics import render_diagnostics

        shown = [item for item in diagnostics if item.is_error or not self.is_quiet]
        sys.stdout.flush()
        sys.stderr.write(render_diagnostics(shown, self.painter(sys.stderr), self.width(sys.stderr)))

    def answer(self, findings: Findings) -> None:
        """Print all that a run has found, in the format that is asked for."""
        sys.stdout.write(render(self.form, findings))

    def fail(self, command: str, diagnostics: Iterable[Diagnostic], paths: Iterable[Path] = ()) -> NoReturn:
        """Show why the run cannot go on, and end it.

        Args:
            command: that cannot go on.
            diagnostics: why.
            paths: the specs that it is about.
        """
        items = tuple(diagnostics)
        self.diagnose(items)
        if self.is_json:
            from certgen.report import json_v1

            sys.stdout.write(json_v1.render(command, {"specs": [], "diagnostics": json_v1.diagnostics(items)}))
        elif self.is_for_programs:
            from certgen.report.findings import Findings

            self.answer(Findings(Path.cwd(), diagnostics=items, paths=tuple(paths)))
        sys.exit(UNKNOWN)

    @classmethod
    def of(cls, options: dict[str, Any]) -> Screen:
        """Make the screen that a command's options ask for."""
        form = "json" if options["is_json"] else options["form"]
        if form != options["form"] and options["form"] != "text":
            raise click.UsageError(f"--json and --format {options['form']} exclude each other")
        return cls(form, options["quiet"], options["verbose"], options["color"])
