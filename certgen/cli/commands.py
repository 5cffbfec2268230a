"""The commands about specs and trees; each loads, asks the pipeline, and hands the answer to a report."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certgen.cli.arguments import load, load_changed, moment, requests, secrets, wait
from certgen.cli.group import certgen
from certgen.cli.options import (
    at_option,
    cores,
    lock_option,
    output_option,
    request_options,
    screen_options,
    screen_options_of,
    secret_options,
    specs_argument,
)
from certgen.cli.progress import ProgressBar
from certgen.cli.screen import DIFFERENT, SOUND, UNKNOWN, Screen
from certgen.diagnostics import CertgenError
from certgen.report.paint import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certgen.diagnostics import Diagnostic
    from certgen.pipeline import PlannedSpec


@certgen.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("specs/pki.yaml"))
@screen_options
def init(file: Path, **options: Any) -> None:
    """Write a commented spec to start from.

    FILE is specs/pki.yaml unless you name another.
    """
    screen = Screen.of(options)
    from certgen.starter import STARTER
    from certgen.store.files import create_file

    try:
        create_file(file, STARTER.encode())
    except CertgenError as reason:
        screen.fail("init", reason.diagnostics)
    if screen.is_json:
        from certgen.report import json_v1

        screen.result(json_v1.render("init", {"written": str(file), "diagnostics": []}))
        return
    name = printable(str(file))
    screen.result(f"Wrote {name}. Edit it, then run `certgen apply {name}`.\n")


@certgen.command()
@specs_argument
@screen_options_of("validate")
def validate(specs: tuple[Path, ...], **options: Any) -> None:
    """Check specs, and nothing else."""
    screen = Screen.of(options)
    loaded = load(screen, "validate", specs)
    if screen.is_json:
        from certgen.report import json_v1

        warnings = [warning for item in loaded for warning in item.warnings]
        valid = [{"name": item.bundle.name, "file": str(item.path)} for item in loaded]
        body = {"specs": valid, "diagnostics": json_v1.diagnostics(warnings)}
        screen.result(json_v1.render("validate", body))
        return
    if screen.is_for_programs:
        from certgen.report.findings import Findings, SpecFindings

        screen.answer(Findings(Path.cwd(), tuple(map(SpecFindings, loaded)), paths=tuple(item.path for item in loaded)))
        return
    for item in loaded:
        count = len(item.bundle.entries)
        screen.result(f"{printable(str(item.path))}: valid, {count} {'entry' if count == 1 else 'entries'}\n")


@certgen.command()
@specs_argument
@output_option
@at_option
@request_options
@click.option("--all", "is_all", is_flag=True, help="List the entries that stay as they are, too.")
@screen_options_of("plan")
def plan(specs: tuple[Path, ...], output: Path, at: str | None, is_all: bool, **options: Any) -> None:
    """Show what apply would do, and why.

    Exit 1 where it would do something.
    """
    screen = Screen.of(options)
    # What ends soon is known of no certificate that was not looked at.
    is_whole = at is not None or screen.is_for_programs
    loaded = load(screen, "plan", specs) if is_whole else load_changed(screen, "plan", specs, output, options)
    from certgen.pipeline import plan_specs, unclaimed_trees
    from certgen.report.plan import plan_diagnostics

    jobs = 1 if screen.is_for_programs else cores()
    try:
        planned = plan_specs(loaded, output, moment(screen, "plan", at), requests(loaded, options), jobs=jobs)
    except CertgenError as reason:
        screen.fail("plan", reason.diagnostics, (item.path for item in loaded))
    unclaimed = unclaimed_trees(loaded, output)
    screen.diagnose([*(d for item in planned for d in plan_diagnostics(item.plan)), *unclaimed])
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [json_v1.plan(item.plan, item.tree.root, is_all=is_all) for item in planned]
        screen.result(json_v1.render("plan", {"specs": bodies, "diagnostics": json_v1.diagnostics(unclaimed)}))
    elif screen.is_for_programs:
        _answer(screen, planned, unclaimed)
    else:
        _show(screen, planned, is_all=is_all)
    if any(item.plan.obstacles for item in planned):
        sys.exit(UNKNOWN)
    sys.exit(SOUND if all(item.plan.is_in_sync for item in planned) else DIFFERENT)


def _show(screen: Screen, planned: Sequence[PlannedSpec], *, is_all: bool) -> None:
    """Print plans for people."""
    from certgen.report.plan import render_differences, render_plan

    for item in planned:
        screen.result(render_differences(item.plan, screen.painter(sys.stdout)))
        screen.result(render_plan(item.plan, item.tree.root, screen.painter(sys.stdout), screen.width(sys.stdout)))
        if is_all or screen.is_verbose:
            screen.result("".join(f"    {address}\n" for address in item.plan.kept))


def _answer(screen: Screen, planned: Sequence[PlannedSpec], diagnostics: tuple[Diagnostic, ...]) -> None:
    """Print plans for programs."""
    from certgen.report.findings import Decided, Findings, SpecFindings

    found = (SpecFindings(item.loaded, Decided(item.plan, item.tree.root, item.observed)) for item in planned)
    paths = tuple(item.asked.path for item in planned)
    screen.answer(Findings(Path.cwd(), tuple(found), diagnostics, paths))


@certgen.command()
@specs_argument
@output_option
@request_options
@click.option("--exit-code", is_flag=True, help="Exit 1 where something was written.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes that make keys and sign. Default: one a core."
)
@lock_option
@secret_options
@screen_options
def apply(specs: tuple[Path, ...], output: Path, exit_code: bool, jobs: int | None, **options: Any) -> None:
    """Make the trees as the specs say.

    A second run writes nothing.
    """
    screen = Screen.of(options)
    loaded = load_changed(screen, "apply", specs, output, options)
    from certgen.pipeline import Patience, apply_specs, unclaimed_trees
    from certgen.report.plan import outcome_diagnostics, render_outcome

    unclaimed = unclaimed_trees(loaded, output)
    screen.diagnose(unclaimed)
    bar = ProgressBar(is_shown=sys.stderr.isatty() and not screen.is_quiet)
    patience = Patience(wait(screen, "apply", options["lock_timeout"]), screen.tell)
    given = secrets(screen, "apply", options)
    judged: list[PlannedSpec] = []
    try:
        asked = requests(loaded, options)
        outcomes = apply_specs(
            loaded, output, datetime.now(UTC), asked, bar.advance,
            jobs=jobs or cores(), patience=patience, judged=judged.append, secrets=given,
        )  # fmt: skip
    except CertgenError as reason:
        bar.close()
        screen.fail("apply", reason.diagnostics)
    bar.close()
    screen.diagnose(d for item in outcomes for d in outcome_diagnostics(item, output / item.plan.name))
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [json_v1.outcome(item, output / item.plan.name) for item in outcomes]
        screen.result(json_v1.render("apply", {"specs": bodies, "diagnostics": json_v1.diagnostics(unclaimed)}))
    else:
        for outcome in outcomes:
            folder = output / outcome.plan.name
            screen.result(render_outcome(outcome, folder, screen.painter(sys.stdout), screen.width(sys.stdout)))
    if not unclaimed:
        from certgen.cli.stamping import leave_stamps

        leave_stamps(screen, zip(judged, outcomes, strict=True), loaded, output, options)
    sys.exit(DIFFERENT if exit_code and not all(outcome.is_empty for outcome in outcomes) else SOUND)


@certgen.command()
@specs_argument
@output_option
@at_option
@screen_options
def verify(specs: tuple[Path, ...], output: Path, at: str | None, **options: Any) -> None:
    """Audit the trees against their specs.

    By another path than the one that made them. Exit 1 on findings.
    """
    screen = Screen.of(options)
    loaded = load(screen, "verify", specs)
    from certgen.store.tree import Tree
    from certgen.verify.audit import verify as audit

    now = moment(screen, "verify", at)
    try:
        found = {item.bundle.name: audit(item.bundle, Tree(output / item.bundle.name), now) for item in loaded}
    except CertgenError as reason:
        screen.fail("verify", reason.diagnostics)
    for findings in found.values():
        screen.diagnose(item for item in findings if item.is_error or screen.is_verbose)
    counts = {name: sum(item.is_error for item in findings) for name, findings in found.items()}
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [
            {"name": name, "sound": not counts[name], "findings": json_v1.diagnostics(findings)}
            for name, findings in found.items()
        ]
        screen.result(json_v1.render("verify", {"specs": bodies, "diagnostics": []}))
    else:
        for name, count in counts.items():
            screen.result(f"{name}: {f'{count} findings' if count > 1 else 'one finding' if count else 'sound'}\n")
    sys.exit(DIFFERENT if any(counts.values()) else SOUND)


@certgen.command()
def schema() -> None:
    """Print the JSON Schema, for editors."""
    import json

    from certgen.spec.json_schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
