"""The options that commands share, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from certgen.report.formats import FORMATS, formats_of

_F = TypeVar("_F", bound=Callable[..., Any])


def screen_options(function: _F) -> _F:
    """Add the options by which a command is told how to speak."""
    return _speaking(function, ())


def screen_options_of(command: str) -> Callable[[_F], _F]:
    """Add the same for a command that takes more formats."""
    return lambda function: _speaking(function, formats_of(command))


def _speaking(function: _F, formats: Sequence[str]) -> _F:
    named = ", ".join(f"{name} is {FORMATS[name].help}" for name in formats)
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
            type=click.Choice(["text", "json", *formats]),
            default="text",
            help=f"How results are written{f': {named}' if named else ''}.",
        ),
    ):
        function = option(function)
    return function


specs_argument = click.argument("specs", nargs=-1, type=click.Path(path_type=Path), metavar="[SPEC]...")
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("output"), show_default=True,
    help="The folder of all trees; a spec named shop compiles to DIR/shop.", metavar="DIR",
)  # fmt: skip
lock_option = click.option(
    "--lock-timeout", default="10s", show_default=True, metavar="DURATION",
    help="How long to wait for another run that writes the same tree; 0s is not at all.",
)  # fmt: skip
at_option = click.option("--at", metavar="TIME", help="Judge as if it were then: an RFC 3339 time, or +30d.")


def request_options(function: _F) -> _F:
    """Add the options by which a person asks for what the spec does not say."""
    for option in (
        click.option("--no-renew", is_flag=True, help="Time alone is no reason; expired still is."),
        click.option("--rekey", metavar="ADDRESS", multiple=True, help="Make a new key, and all that follows from it."),
        click.option("--renew", metavar="ADDRESS", multiple=True, help="Renew though it is not due."),
        click.option("--prune", is_flag=True, help="Remove what the spec no longer has."),
    ):
        function = option(function)
    return function


def secret_options(function: _F) -> _F:
    """Add the options by which a command is given what opens sealed private keys; none of them holds a secret."""
    for option in (
        click.option(
            "--passphrase-fd", type=click.IntRange(0), metavar="N",
            help="Read the passphrase of the private keys from this file descriptor.",
        ),
        click.option(
            "--passphrase-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
            help="Read the passphrase of the private keys from the first line of a file.",
        ),
        click.option(
            "--identity", "identities", type=click.Path(path_type=Path, dir_okay=False), multiple=True, metavar="FILE",
            help="An age identity that opens private keys. Default: the file in SOPS_AGE_KEY_FILE.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
