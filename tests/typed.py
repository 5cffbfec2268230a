"""Commands as a user types them, in this process or as a program of its own, and what comes back."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from click.testing import CliRunner

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS

FOUND = re.compile(r"^(?:error|warning|note)\[([a-z0-9-]+)\]: .*(?:\n  .*:(\d+:\d+)$)?", re.MULTILINE)


@dataclass(frozen=True)
class Ran:
    """What a run gave."""

    code: int
    out: str
    err: str

    @property
    def found(self) -> list[tuple[str, str]]:
        """The code of each diagnostic on standard error, and its line and column where it has one."""
        return FOUND.findall(self.err)

    def assert_harmless(self) -> None:
        """Demand that nothing but line breaks steers the terminal, and no traceback."""
        shown = self.out + self.err
        steering = {sign for sign in shown if sign != "\n" and not sign.isprintable()}
        assert not steering, (steering, shown[-2000:])
        assert "Traceback" not in shown, shown


def run(*arguments: str) -> Ran:
    """Run a command in this process."""
    assert COMMANDS, "what has added its commands to the group"
    done = CliRunner().invoke(certgen, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, done.exc_info)
    return Ran(done.exit_code, done.stdout, done.stderr)


def run_as_program(*arguments: str | bytes, content: bytes = b"") -> Ran:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "certgen", *arguments]
    done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=False)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
