"""What is made once for all processes of a test run: environments with packages, above all."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder that the first process to ask has filled; the others wait for it.

    name: of the folder.
    make: fills it, empty and there.
    """
    base = factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    folder, finished = shared / name, shared / f"{name}.made"
    with FileLock(shared / f"{name}.lock"):
        if not finished.exists():
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder
