"""What a run with nothing to do says, in every look in which the next one may have to say it again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from certgen.apply import Outcome
from certgen.cli.screen import Screen
from certgen.cli.terminal import look, width
from certgen.cli.unchanged import options_word
from certgen.diagnostics import CertgenError
from certgen.loading import LoadedSpec
from certgen.pipeline import PlannedSpec
from certgen.remembering import look_again, remember
from certgen.report.diagnostics import render_diagnostics
from certgen.report.paint import Painter, plain
from certgen.report.plan import outcome_diagnostics, plan_diagnostics, render_outcome, render_plan


def leave_stamps(
    screen: Screen,
    judged: Iterable[tuple[PlannedSpec, Outcome]],
    specs: Sequence[LoadedSpec],
    output: Path,
    options: dict[str, Any],
) -> None:
    """Leave a stamp in each tree that is as its spec says, as far as that is known without looking at much again."""
    if options["renew"] or options["rekey"]:
        return
    asked = options_word(prune=options["prune"], no_renew=options["no_renew"])
    for planned, outcome in judged:
        # A stamp is a cache: what stands in its way is no matter of a run that has done what it was asked for.
        with suppress(OSError, CertgenError):
            again = planned if outcome.is_empty else look_again(planned, outcome, output)
            if again is not None:
                before = None if again is planned else planned
                remember(again, before, specs, output, asked, _said(screen, again, output / again.plan.name))


def _said(screen: Screen, planned: PlannedSpec, folder: Path) -> dict[str, str]:
    outcome = Outcome(planned.plan, (), (), ())
    warnings = planned.loaded.warnings
    said: dict[str, str] = {}
    for seen, paint, columns in _looks(screen, sys.stdout):
        said[f"apply out first {seen}"] = said[f"plan out first {seen}"] = ""
        said[f"apply out then {seen}"] = render_outcome(outcome, folder, paint, columns)
        said[f"plan out then {seen}"] = render_plan(planned.plan, folder, paint, columns)
    for seen, paint, columns in _looks(screen, sys.stderr):
        for command, diagnostics in (
            ("apply", outcome_diagnostics(outcome, folder)),
            ("plan", plan_diagnostics(planned.plan)),
        ):
            said[f"{command} err first {seen}"] = render_diagnostics(warnings, paint, columns)
            said[f"{command} err then {seen}"] = render_diagnostics(diagnostics, paint, columns)
    return said


def _looks(screen: Screen, stream: TextIO) -> list[tuple[str, Painter, int | None]]:
    """Give the looks that are worth keeping: that of a pipe, and that of this stream."""
    return [
        ("plain-unlimited", plain, None),
        (look(stream, screen.color), screen.painter(stream), width(stream)),
    ]
