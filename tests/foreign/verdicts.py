"""What a verifier says, and how its command is run."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verdict:
    """What a verifier decided, with its own words.

    accepted: whether the certification path is good for what was asked.
    words: what the verifier said, for messages and for asserting why it refused.
    """

    accepted: bool
    words: str


class CannotJudgeError(Exception):
    """The verifier is missing, could not read its input, or has no way to ask the question."""


def locate(command: str, remedy: str, path: str | None = None) -> str:
    """Find a command, loudly.

    command: its name.
    remedy: what to install where it is missing.
    path: the folders to look in, default PATH.
    """
    found = shutil.which(command, path=path)
    if found is None:
        message = f"{command} is not on this machine: install {remedy}"
        raise CannotJudgeError(message)
    return found


def run(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Run a command with its output captured and its words in English.

    command: the program and its arguments.
    stdin: what it reads.
    environment: variables beside the ones of this process.
    timeout: seconds after which it is an error.
    """
    return subprocess.run(
        command,
        input=stdin,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
