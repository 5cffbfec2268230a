"""A page for people, followed to the letter: its commands are typed into one shell, its files are written."""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path


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
            cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (step.command, done)
        at = (self.folder / ".at").read_text().split()
        (self.folder / ".at").unlink()
        self.folder = Path(at[1])
        self.env |= {"SOPS_AGE_KEY_FILE": at[2]} if len(at) > 2 else {}
        return done.stdout

    def _named(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(name, value)
        return text


def pattern(line: str) -> re.Pattern[str]:
    """Give what a line of the page stands for: an ellipsis is anything, and blanks are as many as it takes."""
    return re.compile(r"\s+".join(re.escape(word).replace("…", ".*") for word in line.split()))


def demand_shown(step: Step, printed: str) -> None:
    """Demand that a command printed the lines that the page shows, in their order."""
    rest = printed
    for line in step.shown:
        met = pattern(line).search(rest)
        assert met, (step.command, line, printed)
        rest = rest[met.end() :]
