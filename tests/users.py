"""A user whom permissions bind: root is not, and a test that root runs would see nothing refused."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from programs import require

_CODE = "import os, sys; open(sys.argv[1]).close() if os.access(sys.argv[2], os.R_OK) else sys.exit(3)"
_USER = 1000
STRANGER = 12345
"""Somebody else's user id."""


@cache
def ordinary_user() -> Sequence[str | Path]:
    """Give the command that runs another as a user whom permissions bind, and who owns what this user owns.

    Python itself may lie in a folder that is root's alone, so nobody else could run it. In a user namespace root is a
    user like others, to the kernel and in its own eyes; where the kernel has none for us, root without capabilities is.
    """
    if os.geteuid() != 0:
        return ()
    candidates: tuple[Sequence[str | Path], ...] = (
        [require("unshare"), "--user", f"--map-user={_USER}", f"--map-group={_USER}", "--"],
        [require("setpriv"), "--inh-caps=-all", "--bounding-set=-all", "--"],
    )
    for prefix in candidates:
        if _is_bound(prefix):
            return prefix
    pytest.skip("the kernel gives root neither a user namespace nor lets it drop its capabilities")


def _is_bound(prefix: Sequence[str | Path]) -> bool:
    with TemporaryDirectory() as folder:
        closed, opened = Path(folder, "closed"), Path(folder, "opened")
        closed.touch(0o000)
        opened.touch(0o600)
        command = [*prefix, sys.executable, "-c", _CODE, closed, opened]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 1 and "PermissionError" in done.stderr


def give_away(folder: Path) -> None:
    """Make a folder and all below it somebody else's.

    folder: of this user.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to another user")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
