"""The command of all commands."""

from __future__ import annotations

import click

from certgen import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="certgen")
def certgen() -> None:
    """Compile a YAML spec of certificate authorities, servers and clients into a tree of PEM files.

    Exit codes: 0 all is as the spec says, 1 it is not, 2 cannot tell.
    """
