"""The commands about private keys that are sealed, and about those that should be."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from certgen.cli.arguments import load, secrets
from certgen.cli.group import certgen
from certgen.cli.options import lock_option, output_option, screen_options, secret_options, specs_argument
from certgen.cli.screen import DIFFERENT, SOUND, Screen
from certgen.diagnostics import CertgenError
from certgen.report.paint import printable


@certgen.group()
def keys() -> None:
    """Open, seal anew, or look for private keys."""


@keys.command()
@click.argument("address")
@click.option(
    "-o", "--output", "into", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR",
    help="Where key.pem is written, with mode 0600.",
)  # fmt: skip
@click.option(
    "--trees", type=click.Path(path_type=Path, file_okay=False), default=Path("output"), show_default=True,
    metavar="DIR", help="The folder of all trees.",
)  # fmt: skip
@secret_options
@screen_options
def decrypt(address: str, into: Path, trees: Path, **options: Any) -> None:
    """Open a private key, and write it in clear.

    A key.pem that is there already stays.
    """
    screen = Screen.of(options)
    from certgen.store.private import create_private
    from certgen.tree import KEY_FILE
    from certgen.unsealing import unseal_folder

    path = into / KEY_FILE
    try:
        create_private(path, unseal_folder(address, trees, secrets(screen, "keys decrypt", options)).pem)
    except CertgenError as reason:
        screen.fail("keys decrypt", reason.diagnostics)
    if screen.is_json:
        from certgen.report import json_v1

        screen.result(json_v1.render("keys decrypt", {"written": str(path), "diagnostics": []}))
        return
    screen.result(f"Wrote {printable(str(path))}, in clear. Remove it when it has done its work.\n")


@keys.command()
@specs_argument
@output_option
@secret_options
@lock_option
@screen_options
def rewrap(specs: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Seal all private keys anew, as the specs say now.

    Whoever is not a recipient any more can still open the files of before, as git keeps them.
    """
    screen = Screen.of(options)
    from certgen.cli.arguments import wait
    from certgen.pipeline import Patience, apply_specs
    from certgen.plan.values import Requests
    from certgen.report.plan import outcome_diagnostics, render_outcome

    loaded = load(screen, "keys rewrap", specs)
    asked = {item.bundle.name: Requests(rewrap=True) for item in loaded}
    patience = Patience(wait(screen, "keys rewrap", options["lock_timeout"]), screen.tell)
    given = secrets(screen, "keys rewrap", options)
    try:
        outcomes = apply_specs(loaded, output, datetime.now(UTC), asked, patience=patience, secrets=given)
    except CertgenError as reason:
        screen.fail("keys rewrap", reason.diagnostics)
    screen.diagnose(d for item in outcomes for d in outcome_diagnostics(item, output / item.plan.name))
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [json_v1.outcome(item, output / item.plan.name) for item in outcomes]
        screen.result(json_v1.render("keys rewrap", {"specs": bodies, "diagnostics": []}))
        return
    for outcome in outcomes:
        folder = output / outcome.plan.name
        screen.result(render_outcome(outcome, folder, screen.painter(sys.stdout), screen.width(sys.stdout)))


@keys.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--specs", type=click.Path(path_type=Path, file_okay=False), default=Path("specs"), show_default=True,
    metavar="DIR", help="The folder of the specs.",
)  # fmt: skip
@screen_options
def check(files: tuple[Path, ...], specs: Path, **options: Any) -> None:
    """Refuse private keys in clear.

    For a hook: exit 1 where one of the files holds a private key that is not sealed, and that no spec with
    `keys: {git: commit}` lets git have.
    """
    screen = Screen.of(options)
    from certgen.clear_keys import keys_in_clear

    found = keys_in_clear(files, specs)
    screen.diagnose(found)
    if screen.is_json:
        from certgen.report import json_v1

        screen.result(json_v1.render("keys check", {"diagnostics": json_v1.diagnostics(found)}))
    sys.exit(DIFFERENT if found else SOUND)
