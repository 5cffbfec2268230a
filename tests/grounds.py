"""A compiled tree that is due for renewal, and copies of it to spoil."""

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hostile import SECONDS, Answer, Spot, look, release, typed, user
from samples import EVERY
from scene import key_id, key_of_file, load

from certgen.pipeline import apply_specs, load_specs

SPEC = """\
version: 1
ca: {}
servers:
  api: {sans: [localhost], snippets: {nginx: {listen: 8443, standalone: true}}}
clients:
  app: {snippets: [go]}
"""
COMPLETE = "all of it"


@dataclass(frozen=True)
class Ground:
    """A spec and its output in a folder of their own, and beside them a folder that nobody may touch.

    folder: of all three.
    uid: of who types.
    """

    folder: Path
    uid: int

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    def spot(self, place: str) -> Spot:
        return Spot(self.output / place, self.outside, self.folder / "aside")

    def run(self, command: str, *options: str | Path, seconds: float = SECONDS) -> Answer:
        with user(self.uid):
            return typed(command, self.folder / "shop.yaml", "-o", self.output, *options, seconds=seconds)

    def inspect(self, what: str) -> Answer:
        with user(self.uid):
            return typed("inspect", self.output / what, "-o", self.output)


@contextmanager
def compiled_folder() -> Iterator[Path]:
    """A tree that is due for renewal, in a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "shop.yaml").write_text(SPEC)
        apply_specs(load_specs([folder / "shop.yaml"]), folder / "output", datetime.now(UTC) - timedelta(days=300))
        # Another user may not be able to read this Python: what commands import, they import now.
        assert_readers_only_read(Ground(folder, os.geteuid()), COMPLETE)
        yield folder


@contextmanager
def ground_of(compiled: Path, phase: str, uid: int) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(dir=compiled) as name:
        ground = Ground(Path(name), uid)
        ground.folder.chmod(0o755)
        ground.outside.mkdir()
        shutil.copy(compiled / "shop.yaml", ground.folder)
        if phase != "first compile":
            shutil.copytree(compiled / "output", ground.output, symlinks=True)
        try:
            yield ground
        finally:
            release(ground.folder)


def own(folder: Path, uid: int) -> None:
    """Give a folder and all below it to a user."""
    if uid != os.geteuid():
        for item in (folder, *folder.rglob("*")):
            os.chown(item, uid, uid, follow_symlinks=False)


def assert_settled(ground: Ground) -> None:
    """Demand that the tree is whole: nothing left to do, every pair matches."""
    again = ground.run("apply")
    assert (again.code, "nothing to do" in again.out) == (0, True), again
    for key in ground.output.glob("shop/*/*/key.pem"):
        assert key_of_file(key) == key_id(load(key.with_name("cert.pem"))), key


def assert_readers_only_read(ground: Ground, case: str) -> None:
    """Demand that no command that reads hangs, falls over or writes.

    ground: with a tree that may be of any kind.
    case: its name; `prove`, the slow one, is tried on every fourth unless all is asked for.
    """
    proves = EVERY or case == COMPLETE or zlib.crc32(case.encode()) % 4 == 0
    before = look(ground.output)
    answers = {command: ground.run(command).code for command in ("plan", "verify", "status", *["prove"] * proves)}
    inspected = ("shop/servers/api", "shop/cas/ca/key.pem", ".")
    answers |= {what: ground.inspect(what).code for what in inspected[0 if EVERY else 2 :]}
    assert set(answers.values()) <= {0, 1, 2}, answers
    assert look(ground.output) == before
