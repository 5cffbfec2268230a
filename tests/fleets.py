"""A spec with many entries in plain blocks, its tree, and a stamp in it, however few they are."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from stamped import settle
from typed import Ran, run

from certgen import loading

SPEC = """\
version: 1
defaults: {validity: 90d}
cas:
  root: {}
  issuing: {issuer: root}
  other: {}
servers:
  api:
    issuer: issuing
    sans: [api.example]
  web: {issuer: issuing, sans: web.example}
  old: {issuer: issuing, sans: old.example, validity: 100d}
  far: {issuer: other, sans: far.example}
clients:
  app: {issuer: issuing}
  job: {issuer: issuing}
  out: {issuer: other}
peers:
  one: {issuer: issuing, sans: one.example}
  two: {issuer: issuing, sans: two.example}
"""
"""Of each kind and issuer one supports the others: `old` by its validity, the first else."""


@dataclass(frozen=True)
class Fleet:
    """A folder with a spec, fleet.yaml, and its output."""

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "fleet.yaml"

    @property
    def tree(self) -> Path:
        return self.folder / "output/fleet"

    @property
    def stamp(self) -> Path:
        return self.tree / ".certgen/stamp"

    def type(self, command: str, *options: str) -> Ran:
        return run(command, str(self.spec), "-o", str(self.folder / "output"), *options)

    def edit(self, before: str, after: str) -> None:
        text = self.spec.read_text()
        assert text.count(before) == 1, before
        self.spec.write_text(text.replace(before, after))

    def contents(self) -> dict[str, tuple[bytes, int]]:
        """Give every published file with what stands in it and when it was written."""
        files = [path for path in self.tree.rglob("*") if path.is_file() and ".certgen" not in path.parts]
        return {str(path.relative_to(self.tree)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def make_fleet(folder: Path, monkeypatch: pytest.MonkeyPatch, spec: str = SPEC) -> Fleet:
    """Compile a spec, and let a run find that there is nothing to do."""
    monkeypatch.setattr(loading, "LEAST", 0)
    fleet = Fleet(folder)
    fleet.spec.write_text(spec)
    assert fleet.type("apply").code == 0
    settle()
    assert "nothing to do" in fleet.type("apply").out
    assert fleet.stamp.exists()
    return fleet


def rewrite(path: Path) -> None:
    """Put a copy in a file's place, as a run does that writes it."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
