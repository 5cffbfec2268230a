"""The program on a terminal, as a person has one."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("certgen")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def on_terminal(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, columns: int = 80
) -> tuple[int, str]:
    """Run the program on a terminal; give its exit code and all that the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    scrubbed = {name: value for name, value in ENVIRONMENT.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=folder,
        env={**scrubbed, "TERM": "xterm-256color", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    content = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        content += piece
    os.close(ours)
    return process.wait(60), content.decode().replace("\r\n", "\n")
