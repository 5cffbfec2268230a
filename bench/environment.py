"""Where everything runs: a Python with certgen in it and no more, and few variables."""

import os
import subprocess
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent


def variables(home: Path) -> dict[str, str]:
    """Give the few variables that a program has here."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Environment:
    """A Python and the certgen that is installed for it.

    variables: what every program that is timed has for an environment.
    """

    python: Path
    certgen: Path
    variables: Mapping[str, str] = field(default_factory=dict)


def make_environment(folder: Path, tell: Callable[[str], None] = lambda _line: None) -> Environment:
    """Install certgen as its users do; where a folder has an older one already, in its place.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    python = folder / "bin" / "python"
    certgen = folder / "bin" / "certgen"
    tell(f"installing certgen into {folder}")
    if certgen.exists():
        _pip(python, "install", "--compile", "--no-deps", "--force-reinstall", str(REPOSITORY))
    else:
        venv.create(folder, with_pip=True)
        lock = REPOSITORY / "requirements-dev.lock"
        _pip(python, "install", "--compile", "-c", str(lock), str(REPOSITORY))
        # It has a .pth file, which costs each start of Python some time; from Python 3.12 it is not there.
        _pip(python, "uninstall", "--yes", "setuptools")
    return Environment(python, certgen, variables(folder))


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
