"""The roof: arguments, the clock, colours, exit codes. Each command imports what it needs, when it needs it.

Exit codes: 0 all is as the spec says, 1 it is not, 2 cannot tell; 130 and 143 where somebody ended the run.
"""

import sys


def main() -> None:
    """Run the command line; what stops a run is told in words and by the exit code."""
    try:
        from certgen.cli.unchanged import answer

        code = answer(sys.argv[1:])
        if code is None:
            from certgen.cli.ending import run_until_ended

            run_until_ended()
    except KeyboardInterrupt:
        # It came before there was anybody to take it, and so before anything was begun.
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)
