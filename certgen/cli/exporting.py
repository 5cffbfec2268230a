"""The commands that write a spec for another program: one for each target of the wing, found by being there."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from certgen.cli.arguments import load
from certgen.cli.group import certgen
from certgen.cli.options import screen_options, specs_argument
from certgen.cli.screen import Screen
from certgen.diagnostics import CertgenError


class _Targets(click.Group):
    """A command for each target; only the one that is typed is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the library's signature
        from certgen.exports.registry import target_names

        return list(target_names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as reason:
            # The library knows what is near only of commands that are made.
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            raise click.UsageError(f"{reason.message} Did you mean '{near[0]}'?", reason.ctx) from None


@certgen.group(cls=_Targets)
def export() -> None:
    """Write a spec for a program that issues by itself."""


def _command(name: str) -> click.Command:
    """Make the command of a target, with its options."""
    from certgen.exports.registry import find_target

    target = find_target(name)

    def write(specs: tuple[Path, ...], **options: Any) -> None:
        _export(name, specs, {option.name: options[option.name] for option in target.OPTIONS}, Screen.of(options))

    for option in reversed(target.OPTIONS):
        write = click.option(f"--{option.name}", metavar=option.metavar, help=option.help)(write)
    return click.command(name, help=target.HELP)(specs_argument(screen_options(write)))


def _export(name: str, specs: tuple[Path, ...], choices: dict[str, str | None], screen: Screen) -> None:
    from certgen.exporting import export_specs
    from certgen.exports.registry import find_target

    command = f"export {name}"
    loaded = load(screen, command, specs, reads_keys=False)
    try:
        exported = export_specs(loaded, find_target(name), choices)
    except CertgenError as reason:
        screen.fail(command, reason.diagnostics, (item.path for item in loaded))
    losses = [loss for item in exported for loss in item.losses]
    screen.diagnose(losses)
    if screen.is_json:
        from certgen.report import json_v1

        bodies = [{"name": item.loaded.bundle.name, **item.export.body} for item in exported]
        screen.result(json_v1.render(command, {"specs": bodies, "diagnostics": json_v1.diagnostics(losses)}))
        return
    # Quiet is who wants no warnings: what goes into a pipe is the answer itself.
    sys.stdout.write("".join(item.export.text for item in exported))
