"""The table of formats: a new one is a module of its name, and its line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from certgen.report import formats
from certgen.report.findings import Findings
from certgen.report.formats import FORMATS, Format, formats_of, render


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_a_module_of_its_name(form: str, tmp_path: Path) -> None:
    assert isinstance(render(form, Findings(tmp_path)), str)


def test_a_command_takes_the_formats_that_name_it() -> None:
    assert formats_of("plan") == ("markdown", "github", "sarif")
    assert formats_of("validate") == ("github", "sarif")
    assert formats_of("apply") == ()


def test_a_new_one_takes_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("certgen.report.paper")
    module.render = lambda found: f"{len(found.specs)} specs"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(formats, "FORMATS", {"paper": Format("for a wall", frozenset({"plan"}))})
    assert formats_of("plan") == ("paper",)
    assert render("paper", Findings(tmp_path)) == "0 specs"
