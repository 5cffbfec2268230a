"""The page about changing certificates under running programs: each command on it is run, and prints what it shows."""

from pathlib import Path

from page import Reader, demand_shown, steps
from programs import require
from shop import ENVIRONMENT

PAGE = Path(__file__).parent.parent / "docs/rotation.md"


def test_each_command_of_the_page_does_what_it_shows(tmp_path: Path) -> None:
    require("rsync")
    reader = Reader(tmp_path, {**ENVIRONMENT, "PATH": f"{require('certgen').parent}:{ENVIRONMENT['PATH']}"}, {})
    found = steps(PAGE.read_text())
    assert sum(not step.file for step in found) == 13
    for step in found:
        printed = reader.take(step)
        if step.file:
            continue
        demand_shown(step, printed)
        if step.command.startswith("ls"):
            assert tuple(printed.split()) == step.shown
