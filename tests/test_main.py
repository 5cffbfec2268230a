"""`python -m certgen` is `certgen`."""

import subprocess
import sys

from certgen import __version__


def test_it_runs_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "certgen", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"certgen, version {__version__}\n")
