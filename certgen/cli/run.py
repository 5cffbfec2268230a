"""A run from its first word to its exit code: what stops it is told in words."""

from __future__ import annotations

import gc
import os
import sys
from io import StringIO
from typing import Final

import click

from certgen.cli import commands, exporting, handshaking, importing, inspecting, keeping, proving, watching
from certgen.cli.group import certgen
from certgen.cli.screen import SOUND, UNKNOWN
from certgen.cli.terminal import escape_what_cannot_be_encoded, flush
from certgen.diagnostics import without_keys
from certgen.report.paint import printable

COMMANDS = (commands, exporting, handshaking, importing, inspecting, keeping, proving, watching)
"""The modules that add their commands to the group by being imported."""


def run() -> None:
    """Run the command line and end with its exit code, after what it printed has really been written."""
    if sys.stdout is None or sys.stderr is None:
        sys.exit(UNKNOWN)
    escape_what_cannot_be_encoded()
    # Other packages' plugins have no business with a spec, and to look for them costs as much as to read a small one.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.freeze()
    sys.exit(flush(_exit_code()))


_NO_ARGUMENTS: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises since 8.2 where a command of commands is typed alone, with its help as the message."""


def _show(reason: click.ClickException) -> None:
    """Say what is wrong with the arguments, which are shown as any other text that came from outside."""
    if isinstance(reason, _NO_ARGUMENTS):
        sys.stderr.write(f"{reason.message}\n")
        return
    said = StringIO()
    # A line break in an argument would begin a line that looks like one of ours.
    reason.message = printable(reason.message)  # type: ignore[misc]  # it is final to other packages
    reason.show(said)
    sys.stderr.write("".join(f"{printable(line)}\n" for line in without_keys(said.getvalue()).splitlines()))


def _exit_code() -> int:
    """Run the command that the arguments name."""
    stdout = sys.stdout
    try:
        certgen(standalone_mode=False)
    except click.ClickException as reason:
        _show(reason)
        return UNKNOWN
    except BrokenPipeError:
        return UNKNOWN
    except OSError as reason:
        # The disk's refusals are diagnostics by now; what is left is an answer that nobody can take.
        sys.stderr.write(f"the answer cannot be written: {reason.strerror}\n")
        return UNKNOWN
    except SystemExit as end:
        # Where the reader has gone, click puts another stream in place and ends with 1, which means something else.
        has_reader = sys.stdout is stdout
        return end.code if has_reader and isinstance(end.code, int) else UNKNOWN
    return SOUND
