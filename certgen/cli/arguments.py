"""What a person typed, as values; what cannot be read ends the run in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from certgen.cli.screen import Screen
from certgen.cli.unchanged import options_word
from certgen.diagnostics import CertgenError

if TYPE_CHECKING:
    from certgen.pipeline import LoadedSpec
    from certgen.plan.values import Requests


def moment(screen: Screen, command: str, at: str | None) -> datetime:
    """Give the time for which to judge: that of `--at`, or now."""
    now = datetime.now(UTC).replace(microsecond=0)
    if at is None:
        return now
    from certgen.pipeline import parse_moment

    try:
        return parse_moment(at, now)
    except CertgenError as reason:
        screen.fail(command, (replace(problem, where="--at") for problem in reason.diagnostics))


def wait(screen: Screen, command: str, text: str) -> float:
    """Give how long to wait for another run, in seconds."""
    from certgen.pipeline import parse_wait

    try:
        return parse_wait(text)
    except CertgenError as reason:
        screen.fail(command, (replace(problem, where="--lock-timeout") for problem in reason.diagnostics))


def load(screen: Screen, command: str, specs: tuple[Path, ...], *, reads_keys: bool = True) -> tuple[LoadedSpec, ...]:
    """Read and check the specs of a run, those of `specs/` where none is named, and show their warnings."""
    from certgen.pipeline import find_specs, load_specs

    try:
        loaded = load_specs(specs or find_specs(Path("specs")), reads_keys=reads_keys)
    except CertgenError as reason:
        screen.fail(command, reason.diagnostics)
    screen.diagnose(warning for item in loaded for warning in item.warnings)
    return loaded


def load_changed(
    screen: Screen, command: str, specs: tuple[Path, ...], output: Path, options: dict[str, Any]
) -> tuple[LoadedSpec, ...]:
    """As `load`, but only what changed since the last run, where its stamps vouch for the rest."""
    from certgen.narrowing import narrow
    from certgen.pipeline import find_specs

    if not options["renew"] and not options["rekey"]:
        asked = options_word(prune=options["prune"], no_renew=options["no_renew"])
        try:
            found = narrow(specs or find_specs(Path("specs")), output, asked, int(time()))
        except CertgenError as reason:
            screen.fail(command, reason.diagnostics)
        if found is not None:
            screen.diagnose(warning for item in found for warning in item.warnings)
            return found
    return load(screen, command, specs)


def requests(loaded: tuple[LoadedSpec, ...], options: dict[str, Any]) -> dict[str, Requests]:
    """Read what a person asks for beyond the specs."""
    from certgen.pipeline import parse_requests

    return parse_requests(
        loaded,
        renew=options["renew"],
        rekey=options["rekey"],
        prune=options["prune"],
        no_renew=options["no_renew"],
    )
