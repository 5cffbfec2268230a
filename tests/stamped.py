"""Trees with a stamp: what changed last must have been at rest for a moment before a look at it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from typed import Ran, run

from certgen.cli.unchanged import answer
from certgen.store.stamps import SETTLED

SPEC = """\
    version: 1
    cas: {root: {}, issuing: {issuer: root}}
    defaults: {issuer: issuing}
    servers:
      api: {sans: localhost, snippets: {go: {}, template: {file: a.j2, output: a.conf}}}
      old: {sans: localhost, key: ed25519}
    clients:
      app: {}
"""
TEMPLATE = "listen 443\n"


@dataclass(frozen=True)
class Stamped:
    """A folder with a spec, its tree, and a stamp in it.

    folder: holds specs/shop.yaml and output/shop.
    """

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "specs/shop.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def tree(self) -> Path:
        return self.output / "shop"

    @property
    def stamp(self) -> Path:
        return self.tree / ".certgen/stamp"

    def arguments(self, command: str, *options: str) -> list[str]:
        return [command, str(self.spec), "-o", str(self.output), *options]

    def answer(self, command: str = "apply", *options: str) -> int | None:
        """Ask for the short way, which says nothing where it is closed."""
        return answer(self.arguments(command, *options))

    def type(self, command: str = "apply", *options: str) -> Ran:
        """Go the long way, in this process."""
        return run(*self.arguments(command, *options))


def make(folder: Path, spec: str = SPEC) -> Stamped:
    """Compile a spec; the tree has no stamp yet."""
    shop = Stamped(folder)
    shop.spec.parent.mkdir(parents=True)
    shop.spec.write_text(dedent(spec))
    (shop.spec.parent / "a.j2").write_text(TEMPLATE)
    assert shop.type().code == 0
    return shop


def settle() -> None:
    """Wait until what was written last may be believed."""
    time.sleep(10 * SETTLED / 1e9)


def supply(folder: Path, number: int) -> Iterator[Stamped]:
    """Give so many trees with a stamp, one after the other."""
    shops = [make(folder / str(place)) for place in range(number)]
    settle()
    for shop in shops:
        assert shop.type().code == 0
        assert shop.stamp.exists()
        yield shop


def modules_after(*arguments: str, folder: Path) -> tuple[set[str], str]:
    """Run the program as its script does, and give what it imported beyond a bare interpreter, and what it said."""
    tell = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    typed = f"sys.argv = {['certgen', *arguments]!r}; from certgen.cli import main; main()"
    environment = {"PATH": os.environ["PATH"]}
    bare, full = (
        subprocess.run(
            [sys.executable, "-I", "-c", tell + rest],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for rest in ("", typed)
    )
    said, _, modules = full.stderr.rstrip("\n").rpartition("\n")
    return set(modules.split()) - set(bare.stderr.split()), full.stdout + said
