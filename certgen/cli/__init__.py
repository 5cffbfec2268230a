"""The roof: arguments, the clock, colours, exit codes. Each command imports what it needs, when it needs it.

Exit codes: 0 all is as the spec says, 1 it is not, 2 cannot tell.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; what stops a run is told in words and by the exit code."""
    from certgen.cli.run import run

    run()
