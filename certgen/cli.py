"""The roof: arguments, the clock, colours, exit codes. Everything heavy is imported by the command that needs it.

Exit codes: 0 all is as the spec says, 1 it is not, 2 cannot tell.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.report.paint import Painter, Style, plain

if TYPE_CHECKING:
    from certgen.pipeline import LoadedSpec
    from certgen.plan.values import Requests

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
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Screen:
    """How a run speaks: results to standard output, diagnostics and progress to standard error."""

    is_json: bool
    is_quiet: bool
    is_verbose: bool
    color: str

    def painter(self, stream: Any) -> Painter:
        """Give the painter for a stream: colours on a terminal, or where they are asked for."""
        if self.color == "never" or (self.color == "auto" and (not stream.isatty() or "NO_COLOR" in os.environ)):
            return plain
        return lambda text, style: click.style(text, **_COLORS[style])

    @staticmethod
    def width(stream: Any) -> int | None:
        """Give a terminal's width in characters; None where the stream is none."""
        if not stream.isatty():
            return None
        import shutil

        return max(40, shutil.get_terminal_size().columns)

    def result(self, text: str) -> None:
        """Print a result."""
        if not self.is_quiet or self.is_json:
            sys.stdout.write(text)

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Print diagnostics: errors always, the others unless quiet."""
        from certgen.report.diagnostics import render_diagnostics

        shown = [item for item in diagnostics if item.is_error or not self.is_quiet]
        sys.stdout.flush()
        sys.stderr.write(render_diagnostics(shown, self.painter(sys.stderr), self.width(sys.stderr)))

    def fail(self, command: str, diagnostics: Iterable[Diagnostic]) -> NoReturn:
        """Show why the run cannot go on, and end it."""
        items = tuple(diagnostics)
        self.diagnose(items)
        if self.is_json:
            from certgen.report import json_v1

            sys.stdout.write(json_v1.render(command, {"specs": [], "diagnostics": json_v1.diagnostics(items)}))
        sys.exit(UNKNOWN)


def _screen_options(function: _F) -> _F:
    """Add the options by which a command is told how to speak."""
    for option in (
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            help="When to use colours.",
        ),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("--json", "is_json", is_flag=True, help="Short for --format json."),
        click.option(
            "--format",
            "form",
            type=click.Choice(["text", "json"]),
            default="text",
            help="How results are written.",
        ),
    ):
        function = option(function)
    return function


_specs = click.argument("specs", nargs=-1, type=click.Path(path_type=Path), metavar="[SPEC]...")
_output = click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("output"), show_default=True,
    help="The folder of all trees; a spec named shop compiles to DIR/shop.", metavar="DIR",
)  # fmt: skip
_at = click.option("--at", metavar="TIME", help="Judge as if it were then: an RFC 3339 time, or +30d.")


def _request_options(function: _F) -> _F:
    """Add the options by which a person asks for what the spec does not say."""
    for option in (
        click.option("--no-renew", is_flag=True, help="Time alone is no reason; expired still is."),
        click.option("--rekey", metavar="ADDRESS", multiple=True, help="Make a new key, and all that follows from it."),
        click.option("--renew", metavar="ADDRESS", multiple=True, help="Renew though it is not due."),
        click.option("--prune", is_flag=True, help="Remove what the spec no longer has."),
    ):
        function = option(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="certgen")
def certgen() -> None:
    """Compile a YAML spec of certificate authorities, servers and clients into a tree of PEM files.

    Exit codes: 0 all is as the spec says, 1 it is not, 2 cannot tell.
    """


@certgen.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("specs/certgen.yaml"))
@_screen_options
def init(file: Path, **options: Any) -> None:
    """Write a commented spec to start from, to FILE (default: specs/certgen.yaml)."""
    screen = _screen(options)
    from certgen.starter import STARTER
    from certgen.store import create_file

    try:
        create_file(file, STARTER.encode())
    except CertgenError as reason:
        screen.fail("init", reason.diagnostics)
    screen.result(f"Wrote {file}. Edit it, then run `certgen apply {file}`.\n")


@certgen.command()
@_specs
@_screen_options
def validate(specs: tuple[Path, ...], **options: Any) -> None:
    """Check specs, and nothing else."""
    screen = _screen(options)
    loaded = _load(screen, "validate", specs)
    if screen.is_json:
        from certgen.report import json_v1

        warnings = [warning for item in loaded for warning in item.warnings]
        valid = [{"name": item.bundle.name, "file": str(item.path)} for item in loaded]
        body = {"specs": valid, "diagnostics": json_v1.diagnostics(warnings)}
        screen.result(json_v1.render("validate", body))
        return
    for item in loaded:
        screen.result(f"{item.path}: valid, {len(item.bundle.entries)} entries\n")


@certgen.command()
@_specs
@_output
@_at
@_request_options
@click.option("--all", "is_all", is_flag=True, help="List the entries that stay as they are, too.")
@_screen_options
def plan(specs: tuple[Path, ...], output: Path, at: str | None, is_all: bool, **options: Any) -> None:
    """Show what `apply` would do, and why. Exit 1 where it would do something."""
    screen = _screen(options)
    loaded = _load(screen, "plan", specs)
    from certgen.pipeline import plan_specs, unclaimed_trees
    from certgen.report.plan import plan_diagnostics, render_plan

    try:
        planned = plan_specs(loaded, output, _moment(at), _requests(loaded, options))
    except CertgenError as reason:
        screen.fail("plan", reason.diagnostics)
    unclaimed = unclaimed_trees(loaded, output)
    screen.diagnose([*(d for item in planned for d in plan_diagnostics(item.plan)), *unclaimed])
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [json_v1.plan(item.plan, item.tree.root, is_all=is_all) for item in planned]
        screen.result(json_v1.render("plan", {"specs": bodies, "diagnostics": json_v1.diagnostics(unclaimed)}))
    else:
        for item in planned:
            screen.result(render_plan(item.plan, item.tree.root, screen.painter(sys.stdout), screen.width(sys.stdout)))
            if is_all or screen.is_verbose:
                screen.result("".join(f"    {address}\n" for address in item.plan.kept))
    if any(item.plan.obstacles for item in planned):
        sys.exit(UNKNOWN)
    sys.exit(SOUND if all(item.plan.is_in_sync for item in planned) else DIFFERENT)


@certgen.command()
@_specs
@_output
@_request_options
@click.option("--exit-code", is_flag=True, help="Exit 1 where something was written.")
@_screen_options
def apply(specs: tuple[Path, ...], output: Path, exit_code: bool, **options: Any) -> None:
    """Make the trees as the specs say. A second run writes nothing."""
    screen = _screen(options)
    loaded = _load(screen, "apply", specs)
    from certgen.pipeline import apply_specs, unclaimed_trees
    from certgen.report.plan import plan_diagnostics, render_outcome

    bar = _ProgressBar(is_shown=sys.stderr.isatty() and not screen.is_quiet)
    try:
        outcomes = apply_specs(loaded, output, datetime.now(UTC), _requests(loaded, options), bar.advance)
    except CertgenError as reason:
        bar.close()
        screen.fail("apply", reason.diagnostics)
    bar.close()
    unclaimed = unclaimed_trees(loaded, output)
    screen.diagnose(
        [*(d for item in outcomes for d in plan_diagnostics(item.plan) if d.code != "key-mode"), *unclaimed]
    )
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [json_v1.outcome(item, output / item.plan.name) for item in outcomes]
        screen.result(json_v1.render("apply", {"specs": bodies, "diagnostics": json_v1.diagnostics(unclaimed)}))
    else:
        for outcome in outcomes:
            folder = output / outcome.plan.name
            screen.result(render_outcome(outcome, folder, screen.painter(sys.stdout), screen.width(sys.stdout)))
    sys.exit(DIFFERENT if exit_code and not all(outcome.is_empty for outcome in outcomes) else SOUND)


@certgen.command()
@_specs
@_output
@_at
@_screen_options
def verify(specs: tuple[Path, ...], output: Path, at: str | None, **options: Any) -> None:
    """Audit the trees against their specs, by another path than the one that made them. Exit 1 on findings."""
    screen = _screen(options)
    loaded = _load(screen, "verify", specs)
    from certgen.store import Tree
    from certgen.verify.audit import verify as audit

    now = _moment(at)
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
@click.argument("what", nargs=-1, required=True, metavar="PATH|ADDRESS...")
@_output
@_at
@_screen_options
def inspect(what: tuple[str, ...], output: Path, at: str | None, **options: Any) -> None:
    """Say in words what a certificate, key, signing request or revocation list holds; `-` reads standard input."""
    screen = _screen(options)
    from certgen.report import json_v1
    from certgen.report.inspection import render_inspection

    now = _moment(at)
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
                screen.result(render_inspection(source, items, screen.painter(sys.stdout)))
    if problems and not screen.is_json:
        screen.fail("inspect", problems)
    screen.diagnose(problems)
    if screen.is_json:
        screen.result(json_v1.render("inspect", {"items": bodies, "diagnostics": json_v1.diagnostics(problems)}))
    sys.exit(UNKNOWN if problems else SOUND)


@certgen.command()
def schema() -> None:
    """Print the JSON Schema of the spec language, for editors."""
    import json

    from certgen.spec.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def main() -> None:
    """Run the command line; what stops a run is told in words and by the exit code."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a replaced stream may lack it
    try:
        certgen(standalone_mode=False)
    except click.exceptions.Abort:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except click.ClickException as reason:
        reason.show()
        sys.exit(UNKNOWN)
    except BrokenPipeError:
        # The reader has gone; closing quietly is what `head` and `less` expect.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNKNOWN)


def _screen(options: dict[str, Any]) -> Screen:
    is_json = options["is_json"] or options["form"] == "json"
    return Screen(is_json, options["quiet"], options["verbose"], options["color"])


def _load(screen: Screen, command: str, specs: tuple[Path, ...]) -> tuple[LoadedSpec, ...]:
    """Read and check the specs of a run, those of `specs/` where none is named, and show their warnings."""
    from certgen.pipeline import find_specs, load_specs

    try:
        loaded = load_specs(specs or find_specs(Path("specs")))
    except CertgenError as reason:
        screen.fail(command, reason.diagnostics)
    screen.diagnose(warning for item in loaded for warning in item.warnings)
    return loaded


def _requests(loaded: tuple[LoadedSpec, ...], options: dict[str, Any]) -> dict[str, Requests]:
    from certgen.pipeline import parse_requests

    return parse_requests(
        loaded,
        renew=options["renew"],
        rekey=options["rekey"],
        prune=options["prune"],
        no_renew=options["no_renew"],
    )


def _moment(at: str | None) -> datetime:
    """Read `--at`: a time, or a duration from now."""
    now = datetime.now(UTC).replace(microsecond=0)
    if at is None:
        return now
    from pydantic_core import PydanticCustomError

    from certgen.spec.fields import duration, moment

    try:
        return now + timedelta(seconds=duration(at[1:])) if at.startswith("+") else moment(at)
    except PydanticCustomError as reason:
        raise click.BadParameter(
            f"{reason.message()}; for example +30d or 2027-01-31T00:00:00Z", param_hint="--at"
        ) from None


def _inspected(text: str, output: Path, now: datetime) -> list[tuple[str, Any]]:
    """Find what a person means, a path or an address, and describe it."""
    from certgen.certificates import UnreadableError
    from certgen.inspection import inspect as describe
    from certgen.store import find_readable

    found = []
    for source, content in find_readable(text, output):
        try:
            found.append((source, describe(content, now)))
        except UnreadableError as reason:
            raise CertgenError([error("unreadable", f"{source}: {reason}", where=source)]) from None
    return found


class _ProgressBar:
    """A bar on standard error, once a run takes longer than a second."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def advance(self, done: int, total: int) -> None:
        """Show how far the run is."""
        if not self._is_shown or (self._bar is None and time.monotonic() - self._began < 1):
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("certificates"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("certificates", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
