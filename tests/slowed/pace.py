"""The pace of a process, by variables: renames that take their time or wait for a word, locks that do not hold.

`CERTGEN_TEST_RENAMES=delay:SEED:SECONDS` lets each rename wait at random, at most so long.
`CERTGEN_TEST_RENAMES=stop:TEXT:FOLDER` lets each rename to a path with this text wait for a word: `FOLDER/stopped-3`
says that the third such is about to happen, and it happens when `FOLDER/go-3` or `FOLDER/go` is there.
`CERTGEN_TEST_BEGIN=SECONDS` begins later.
`CERTGEN_TEST_LOCKS=ignored` gives every lock to everybody.
`CERTGEN_TEST_STARTED=FILE` writes a file as soon as certgen's command line begins.
"""

import fcntl
import os
import random
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

_RENAMES = "CERTGEN_TEST_RENAMES"
_STARTED = "CERTGEN_TEST_STARTED"
_PAUSE = 0.005
_PATIENCE = 120
"""Seconds after which a stopped process goes on by itself: whoever should say the word is no more."""


def begin() -> None:
    """Do what the variables say."""
    if started := os.environ.get(_STARTED):
        sys.meta_path.insert(0, _Starting(Path(started)))
    time.sleep(float(os.environ.get("CERTGEN_TEST_BEGIN", "0")))
    if os.environ.get("CERTGEN_TEST_LOCKS") == "ignored":
        fcntl.flock = lambda _descriptor, _operation: None
    how, _, rest = os.environ.get(_RENAMES, "").partition(":")
    if how == "delay":
        seed, _, seconds = rest.partition(":")
        _slow(_delays(f"{seed} {os.getpid()}", float(seconds)))
    elif how == "stop":
        text, _, folder = rest.partition(":")
        _slow(_stops(text, Path(folder)))


def _slow(wait: Callable[[str], None]) -> None:
    for name in ("rename", "replace"):
        setattr(os, name, _waiting(getattr(os, name), wait))


def _waiting(real: Callable[..., None], wait: Callable[[str], None]) -> Callable[..., None]:
    def rename(source: Any, target: Any, **options: Any) -> None:  # noqa: ANN401 - as os.rename
        wait(os.fsdecode(target))
        real(source, target, **options)

    return rename


def _delays(seed: str, seconds: float) -> Callable[[str], None]:
    chance = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    return lambda _target: time.sleep(chance.uniform(0, seconds))


def _stops(text: str, folder: Path) -> Callable[[str], None]:
    count = 0

    def stop(target: str) -> None:
        nonlocal count
        if text not in target:
            return
        count += 1
        (folder / f"stopped-{count}").write_text(target)
        deadline = time.monotonic() + _PATIENCE
        while not ((folder / f"go-{count}").exists() or (folder / "go").exists() or time.monotonic() > deadline):
            time.sleep(_PAUSE)

    return stop


class _Starting:
    """A finder that finds nothing, and sees what is looked for."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Write the file when the command line is imported."""
        if name == "certgen.cli.run":
            self._file.touch()
        return None
