"""The command that watches the certificates of trees: how long each has left, for people and for a monitor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certgen.cli.arguments import load, moment, within
from certgen.cli.group import certgen
from certgen.cli.options import at_option, output_option, screen_options_of, specs_argument
from certgen.cli.screen import DIFFERENT, SOUND, UNKNOWN, Screen
from certgen.diagnostics import CertgenError, Diagnostic

if TYPE_CHECKING:
    from certgen.status import Status


@certgen.command()
@specs_argument
@output_option
@at_option
@click.option(
    "--within", "near", metavar="DURATION",
    help="Exit 1 where any certificate ends within this, due or not. "
    "Default: 30d, and only for a CA that is due, and for what time does not renew.",
)  # fmt: skip
@screen_options_of("status")
def status(specs: tuple[Path, ...], output: Path, at: str | None, near: str | None, **options: Any) -> None:
    """Say how long each certificate has left.

    What is due first comes first. Exit 1 where one is missing, over or not valid yet, or an end entity is due, or the
    end of another is near. No private key is opened.
    """
    screen = Screen.of(options)
    asked = within(screen, "status", near)
    loaded = load(screen, "status", specs, reads_keys=False)
    from certgen.report.findings import Findings, SpecFindings
    from certgen.status import read_status, unreadable

    now = moment(screen, "status", at)
    found: list[SpecFindings] = []
    problems: list[Diagnostic] = []
    for item in loaded:
        try:
            found.append(SpecFindings(item, status=read_status(item, output, now, asked)))
        except CertgenError as reason:
            problems += reason.diagnostics
    statuses = [item.status for item in found if item.status is not None]
    problems += [problem for item in statuses for problem in unreadable(item)]
    screen.diagnose(problems)
    if screen.is_json:
        from certgen.report import json_v1

        body = {"specs": list(map(json_v1.status, statuses)), "diagnostics": json_v1.diagnostics(problems)}
        screen.result(json_v1.render("status", body))
    elif screen.is_for_programs:
        screen.answer(Findings(Path.cwd(), tuple(found), tuple(problems), tuple(item.path for item in loaded)))
    else:
        _show(screen, statuses, is_qualified=len(loaded) > 1)
    if problems:
        sys.exit(UNKNOWN)
    sys.exit(DIFFERENT if any(one.is_pressing for item in statuses for one in item.standings) else SOUND)


def _show(screen: Screen, statuses: list[Status], *, is_qualified: bool) -> None:
    from certgen.report.status import ASCII, BLOCKS, render_status

    bar = BLOCKS if screen.draws_blocks(sys.stdout) else ASCII
    paint, width = screen.painter(sys.stdout), screen.width(sys.stdout)
    screen.result(render_status(statuses, paint, width, bar, is_qualified=is_qualified))
