"""The page about git, followed to the letter: each command on it is run, and prints what the page shows."""

import subprocess
from pathlib import Path

import pytest
from page import Reader, Step, demand_shown, pattern, steps
from programs.finding import require
from test_hooks import Repository, home, source

PAGE = Path(__file__).parent.parent / "docs/git.md"
__all__ = ["home", "source"]


def test_each_command_of_the_page_does_what_it_shows(source: Repository, tmp_path: Path) -> None:
    for program in ("age", "age-keygen", "pre-commit", "git"):
        require(program)
    env = {**source.env, "PATH": f"{require('certgen').parent}:{source.env['PATH']}", "COLUMNS": "120"}
    names = {"SOURCE": str(source.folder), "REVISION": source.git("rev-parse", "HEAD").strip()}
    reader = Reader(tmp_path, env, names)
    found = steps(PAGE.read_text())
    assert len(found) > 15
    for step in found:
        printed = reader.take(step)
        if step.file:
            continue
        if "age-keygen -o ../identity.txt" in step.command:
            names["RECIPIENT"] = printed.split("Public key: ")[1].split()[0]
        demand_shown(step, printed)
    workflow = (reader.folder / ".github/workflows/certgen.yml").read_text()
    assert workflow.count(f"uses: OWNER/certgen@{names['REVISION']}\n") == 2
    assert "@0000" not in workflow
    done = subprocess.run([require("actionlint")], cwd=reader.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_page_that_shows_something_else_is_seen(tmp_path: Path) -> None:
    (step,) = steps("```console\n$ echo one\ntwo\n```\n")
    printed = Reader(tmp_path, {"PATH": "/usr/bin:/bin"}, {}).take(step)
    assert not pattern(step.shown[0]).search(printed)
    with pytest.raises(AssertionError):
        Reader(tmp_path, {"PATH": "/usr/bin:/bin"}, {}).take(Step("false", ()))
