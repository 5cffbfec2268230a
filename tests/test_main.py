"""`python -m certgen` is `certgen`."""

import runpy
import sys

import pytest


def test_it_runs_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["certgen", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("certgen", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("certgen, version ")
