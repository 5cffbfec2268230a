"""The page about git, followed to the letter: each command on it is run, and prints what the page shows."""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs.finding import require
from test_hooks import Repository, home, source

PAGE = Path(__file__).parent.parent / "docs/git.md"
__all__ = ["home", "source"]


@dataclass(frozen=True)
class Step:
    """A command with what it prints, or a file with what stands in it."""

    command: str
    shown: tuple[str, ...]
    file: str = ""


def steps(page: str) -> list[Step]:
    """Read a page's commands and files, in their order."""
    found: list[Step] = []
    for language, block in re.findall(r"^```(console|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if language == "yaml":
            head, _, text = block.partition("\n")
            found.append(Step("", tuple(text.splitlines()), head.removeprefix("# ")))
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            found.append(Step(command, tuple(shown)))
    return found


class Reader:
    """Types what a page says into one shell."""

    def __init__(self, folder: Path, env: dict[str, str], names: dict[str, str]) -> None:
        self.folder = folder
        self.env = env
        self.names = names

    def take(self, step: Step) -> str:
        """Do a step, and give what it printed."""
        if step.file:
            text = self._named("\n".join(step.shown) + "\n")
            (self.folder / step.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / step.file).write_text(text)
            return ""
        script = self._named(step.command) + "\necho; echo at $PWD ${SOPS_AGE_KEY_FILE-} >&3"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"exec 3>{shlex.quote(str(self.folder / '.at'))}\n{script}"],
            cwd=self.folder, env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (step.command, done)
        at = (self.folder / ".at").read_text().split()
        (self.folder / ".at").unlink()
        self.folder = Path(at[1])
        self.env |= {"SOPS_AGE_KEY_FILE": at[2]} if len(at) > 2 else {}
        return done.stdout + done.stderr

    def _named(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(name, value)
        return text


def pattern(line: str) -> re.Pattern[str]:
    """Give what a line of the page stands for: an ellipsis is anything, and blanks are as many as it takes."""
    return re.compile(r"\s+".join(re.escape(word).replace("…", ".*") for word in line.split()))


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
        rest = printed
        for line in step.shown:
            met = pattern(line).search(rest)
            assert met, (step.command, line, printed)
            rest = rest[met.end() :]
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
