"""The hooks, by the real pre-commit and the real prek, in a scratch repository whose hooks come from this one."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from once import made_once
from programs.finding import require
from proving import Ran
from samples import EVERY

ROOT = Path(__file__).parent.parent
SPEC = """\
version: 1
ca:
servers:
  api: {sans: [api.shop.example]}
clients:
  checkout:
"""
CONFIGURATION = """\
repos:
  - repo: SOURCE
    rev: REVISION
    hooks:
      - id: certgen-no-plaintext-keys
      - id: certgen-validate
      - id: certgen-apply
      - id: certgen-plan
"""
IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "me"), ("EMAIL", "me@shop.example"))
}


def variables(home: Path) -> dict[str, str]:
    """Give the environment of a person who uses git: none of this run's own variables for git or Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTHON", "COV"))}
    caches = {"PRE_COMMIT_HOME": str(home / "pre-commit"), "PREK_HOME": str(home / "prek")}
    return {**kept, **IDENTITY, **caches, "HOME": str(home), "GIT_CONFIG_GLOBAL": "/dev/null", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Repository:
    """A git repository in which commands are typed."""

    folder: Path
    env: dict[str, str] = field(repr=False)

    def type(self, *command: str | Path) -> Ran:
        done = subprocess.run(
            [*command], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=600
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def git(self, *arguments: str) -> str:
        ran = self.type("git", *arguments)
        assert ran.code == 0, ran
        return ran.out

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def edit(self, old: str, new: str) -> None:
        spec = self.folder / "specs/shop.yaml"
        text = spec.read_text()
        assert old in text
        spec.write_text(text.replace(old, new))

    def commit(self, message: str) -> Ran:
        """Stage everything and commit, hooks and all."""
        self.git("add", "-A")
        return self.type("git", "commit", "-m", message)

    def commits(self) -> int:
        return len(self.git("log", "--oneline", "--all").splitlines())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit and prek keep what they install; both see to it that they may be run at once."""
    return made_once(tmp_path_factory, "home", lambda _: None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Repository:
    """This repository as it is now, as one that hooks are taken from."""
    require("git")
    return Repository(made_once(tmp_path_factory, "source", lambda made: fill(made, home)), variables(home))


def fill(folder: Path, home: Path) -> None:
    """Copy this repository, but its tests, and commit it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    repository = Repository(folder, variables(home))
    repository.git("init", "-q", "-b", "main")
    repository.git("add", "-A", "-f")
    repository.git("commit", "-q", "-m", "certgen")


BOTH = ("pre-commit", "prek")
ONE = BOTH if EVERY else ("prek",)
"""Those that a test runs with in the suite, where what is tried is certgen's own."""


@pytest.fixture(params=BOTH)
def repository(request: pytest.FixtureRequest, tmp_path: Path, source: Repository) -> Repository:
    """A scratch repository with a spec and the hooks, before its first commit."""
    program = require(request.param)
    found = Repository(tmp_path, {**source.env, "PATH": f"{program.parent}{os.pathsep}{source.env['PATH']}"})
    revision = source.git("rev-parse", "HEAD").strip()
    found.git("init", "-q", "-b", "main")
    text = CONFIGURATION.replace("SOURCE", str(source.folder)).replace("REVISION", revision)
    found.write(".pre-commit-config.yaml", text)
    found.write("specs/shop.yaml", SPEC)
    ran = found.type(program, "install")
    assert ran.code == 0, ran
    return found


def test_a_life_in_git(repository: Repository) -> None:
    """Each step fails once, since a hook wrote something, and passes the second time, with what was written."""
    first = repository.commit("the first tree")
    assert first.code == 1, first
    assert "certgen apply" in first.out + first.err
    assert repository.commit("the first tree").code == 0
    held = set(repository.git("ls-files").split())
    assert {"output/shop/servers/api/cert.pem", "output/shop/manifest.json", "output/shop/.gitattributes"} <= held
    assert not [path for path in held if path.endswith("key.pem")]

    repository.edit("[api.shop.example]", "[api.shop.example, b.shop.example]")
    assert repository.commit("a name").code == 1
    assert repository.commit("a name").code == 0
    changed = repository.git("show", "--name-only", "--format=", "HEAD").split()
    assert set(changed) == {
        "specs/shop.yaml", "output/shop/manifest.json", "output/shop/servers/api/cert.pem"
    }  # fmt: skip

    # What git does not know yet is no change to it: only the exit code of certgen tells.
    repository.edit("  checkout:", "  checkout:\n  reporting:")
    assert repository.commit("a client").code == 1
    assert repository.commit("a client").code == 0
    assert "output/shop/clients/reporting/cert.pem" in repository.git("ls-files")

    repository.write("notes.md", "nothing to do with certificates\n")
    ran = repository.commit("notes")
    assert ran.code == 0, ran
    assert repository.commits() == 4


@pytest.mark.parametrize("repository", ONE, indirect=True)
def test_a_mistake_in_a_spec_is_not_committed(repository: Repository) -> None:
    repository.edit("sans:", "sams:")
    ran = repository.commit("a mistake")
    assert ran.code == 1
    assert "did you mean `sans`?" in ran.out + ran.err
    assert not (repository.folder / "output").exists()


@pytest.mark.parametrize("repository", ONE, indirect=True)
def test_a_key_in_clear_is_refused_and_a_fixture_is_not(repository: Repository) -> None:
    assert repository.commit("a tree").code == 1
    key = (repository.folder / "output/shop/servers/api/key.pem").read_text()
    repository.write("deploy/api.key", key)
    ran = repository.commit("oh")
    assert ran.code == 1
    assert "error[key-in-clear]: deploy/api.key holds a private key in clear" in ran.out + ran.err
    assert key.splitlines()[1] not in ran.out + ran.err
    (repository.folder / "deploy/api.key").unlink()
    repository.edit("version: 1\n", "version: 1\nkeys: {git: commit}\n")
    assert repository.commit("fixtures").code == 1
    assert repository.commit("fixtures").code == 0
    assert "output/shop/servers/api/key.pem" in repository.git("ls-files")


@pytest.mark.parametrize("repository", ONE, indirect=True)
def test_a_commit_when_all_is_due_renews_nothing(repository: Repository) -> None:
    """A third of a year before the end all is due; the commit that adds a client adds a client."""
    later = (require("faketime"), "-f", "+300d")
    assert repository.commit("a tree").code == 1
    assert repository.commit("a tree").code == 0
    due = repository.type(*later, require("certgen"), "plan")
    assert (due.code, "renewal_due" in due.out) == (1, True), due
    before = (repository.folder / "output/shop/servers/api/cert.pem").read_bytes()
    repository.edit("  checkout:", "  checkout:\n  reporting:")
    repository.git("add", "-A")
    assert repository.type(*later, "git", "commit", "-m", "a client").code == 1
    repository.git("add", "-A")
    ran = repository.type(*later, "git", "commit", "-m", "a client")
    assert ran.code == 0, ran
    assert (repository.folder / "output/shop/clients/reporting/cert.pem").exists()
    assert (repository.folder / "output/shop/servers/api/cert.pem").read_bytes() == before
