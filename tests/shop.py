"""A folder with a spec and its tree, in which commands are typed: each is a process of its own, as for a user."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from click.testing import CliRunner
from proving import Ran
from runs import Case, crowd
from scene import Snapshot, take_snapshot

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS

PROGRAM = (sys.executable, "-m", "certgen")
ENVIRONMENT = {
    **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "COLUMNS": "200",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""No settings of a user, and no traces of Python's own on the disk."""

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
    defaults: {issuer: issuing}
    servers:
      api: {sans: [localhost, 127.0.0.1, api.shop.example], snippets: [nginx]}
    clients:
      checkout: {sans: "spiffe://shop.example/checkout"}
"""
ADDED = "  reporting: {}\n"
"""A line that makes one more client of the spec above, once that is dedented."""


@dataclass(frozen=True)
class Shop:
    """Where commands are typed.

    folder: holds shop.yaml and the output.
    prefix: the command that runs each command, as in `strace`.
    """

    folder: Path
    prefix: Sequence[str | Path] = field(default=())

    @property
    def spec(self) -> Path:
        return self.folder / "shop.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def tree(self) -> Path:
        return self.output / "shop"

    def write(self, text: str = SPEC) -> "Shop":
        """Write the spec, and give the shop back."""
        self.spec.write_text(dedent(text), encoding="utf-8")
        return self

    def type(
        self,
        *arguments: str | Path,
        prefix: Sequence[str | Path] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        umask: int = -1,
    ) -> Ran:
        """Type a command and wait for its end; a traceback is never an answer.

        arguments: of certgen; without a file the spec and the output of this folder are added.
        prefix: in place of the shop's.
        env: variables beside the ordinary ones; with them, a prefix or a umask Python starts anew.
        cwd: where it is typed, default in the folder.
        umask: of the process.
        """
        if not any(str(argument).endswith(".yaml") for argument in arguments):
            arguments = (*arguments, "shop.yaml", "-o", "output")
        if prefix is None and not self.prefix and env is None and umask == -1:
            words = [str(argument) for argument in arguments]
            one = crowd().run(Case(cwd or self.folder, words, {"COLUMNS": ENVIRONMENT["COLUMNS"]}))[0]
            return Ran(one.code, one.out, one.err)
        done = subprocess.run(
            [*(self.prefix if prefix is None else prefix), *PROGRAM, *arguments],
            cwd=cwd or self.folder,
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
            umask=umask,
        )
        # A locale of one byte for each character is read as such; what matters here is ASCII in all of them.
        ran = Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        assert "Traceback" not in ran.out + ran.err, ran.err
        return ran

    def compile(self, *options: str) -> "Shop":
        """Apply in this process, demand that it went well, and give the shop back."""
        ran = self.inside("apply", *options)
        assert ran.code == 0, ran
        return self

    def judge(self, command: str) -> Ran:
        """Ask `plan` or `verify` in this process, and demand that nothing is written.

        command: one that only reads.
        """
        before = take_snapshot(self.output)
        ran = self.inside(command)
        assert take_snapshot(self.output) == before, command
        return ran

    def inside(self, *arguments: str) -> Ran:
        """Run a command in this process, which costs a fifth of one of its own.

        arguments: of certgen; the spec and the output are added.
        """
        assert COMMANDS, "what has added its commands to the group"
        done = CliRunner().invoke(certgen, [*arguments, str(self.spec), "-o", str(self.output)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def assert_settled(self) -> None:
        """Demand what holds after every good run: in sync, sound, and nothing of the run left behind."""
        for command in ("plan", "verify"):
            ran = self.judge(command)
            assert ran.code == 0, (command, ran)
        left = self.leftovers()
        assert not left, left

    def leftovers(self) -> set[str]:
        """Give what only an unfinished run has: all of `.certgen/` but the lock and the notes, and staged files."""
        machine = {f".certgen/{name}" for name in ("lock", "keys")} | {".certgen"}
        return {
            path
            for path in take_snapshot(self.tree)
            if ".certgen-new" in path or (path.startswith(".certgen") and path not in machine)
        }


def copied(shop: Shop, folder: Path) -> Shop:
    """Copy a shop as `cp -a` does.

    shop: what to copy.
    folder: of the copy; it does not exist yet.
    """
    shutil.copytree(shop.folder, folder, symlinks=True)
    return Shop(folder)


def published(snapshot: Snapshot) -> Snapshot:
    """Give what has its final name: the files of a snapshot, this machine's notes aside."""
    return {
        path: record
        for path, record in snapshot.items()
        if not path.startswith(".certgen") and not stat.S_ISDIR(record.mode)
    }


def contents(snapshot: Snapshot) -> dict[str, tuple[bytes, int]]:
    """Give content and mode of every published file."""
    return {path: (record.content, stat.S_IMODE(record.mode)) for path, record in published(snapshot).items()}


@dataclass(frozen=True)
class Second:
    """A second run: its end, and the tree on either side of it."""

    ran: Ran
    before: Snapshot
    after: Snapshot

    def assert_untouched(self, why: object = "") -> None:
        """Demand that it did nothing: no content, no mode, no time, not even of a folder."""
        assert self.ran.code == 0, (why, self.ran)
        changed = {path for path in {*self.before, *self.after} if self.before.get(path) != self.after.get(path)}
        assert not changed, (why, changed, self.ran)
        assert "nothing to do" in self.ran.out + self.ran.err, (why, self.ran)

    def assert_only_modes(self, mended: dict[str, int]) -> None:
        """Demand that it gave some files their mode and wrote none: content, inode and time of change stay."""
        assert self.ran.code == 1, self.ran
        ours = published(self.before)
        for path in ours:
            assert self.before[path].is_same_file_as(self.after.get(path)), (path, self.ran)
        changed = {path for path in ours if self.before[path].mode != self.after[path].mode}
        assert {path: stat.S_IMODE(self.after[path].mode) for path in changed} == mended, self.ran


def second_run(shop: Shop, *arguments: str | Path, **options: Any) -> Second:  # noqa: ANN401 - as of `Shop.type`
    """Apply again, in this process unless it is to be a particular one.

    shop: with its tree.
    arguments, options: as of `Shop.type`.
    """
    before = take_snapshot(shop.tree)
    is_plain = not (arguments or options or shop.prefix)
    ran = shop.inside("apply", "--exit-code") if is_plain else shop.type("apply", "--exit-code", *arguments, **options)
    return Second(ran, before, take_snapshot(shop.tree))
