"""What a person typed, as values; what cannot be read ends the run in words."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from certgen.cli.screen import Screen
from certgen.cli.unchanged import options_word
from certgen.diagnostics import CertgenError, error

if TYPE_CHECKING:
    from certgen.pipeline import LoadedSpec
    from certgen.plan.values import Requests
    from certgen.unsealing import Secrets


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


def within(screen: Screen, command: str, text: str | None) -> int | None:
    """Give how near an end is told in any case, in seconds: that of `--within`, if it is given."""
    if text is None:
        return None
    from certgen.status import parse_within

    try:
        return parse_within(text)
    except CertgenError as reason:
        screen.fail(command, (replace(problem, where="--within") for problem in reason.diagnostics))


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

    paths = specs
    try:
        paths = specs or find_specs(Path("specs"))
        loaded = load_specs(paths, reads_keys=reads_keys)
    except CertgenError as reason:
        screen.fail(command, reason.diagnostics, paths)
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


def secrets(screen: Screen, command: str, options: dict[str, Any]) -> Secrets:
    """Read what opens sealed private keys: the files that are named, or the one that the environment names."""
    from certgen.store.private import read_descriptor, read_secret
    from certgen.unsealing import Secrets

    named, variable = options["identities"], os.environ.get("SOPS_AGE_KEY_FILE")
    paths = named or ([Path(variable)] if variable else [])
    file, descriptor = options["passphrase_file"], options["passphrase_fd"]
    if file is not None and descriptor is not None:
        message = "`--passphrase-file` and `--passphrase-fd` exclude each other"
        screen.fail(command, [error("conflict", message, help="give one of them")])
    try:
        identities = tuple((str(path), read_secret(path)) for path in paths)
        given = read_secret(file) if file is not None else None
        given = read_descriptor(descriptor) if descriptor is not None else given
    except CertgenError as reason:
        screen.fail(command, reason.diagnostics)
    first_line = None if given is None else given.split(b"\n", 1)[0].removesuffix(b"\r")
    return Secrets(identities, first_line)


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
