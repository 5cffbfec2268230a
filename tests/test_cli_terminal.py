"""What the streams of a run are: colours, width, and answers that nobody takes."""

import io
import os
import sys

import pytest

from certgen.cli import terminal


class Screen(io.TextIOWrapper):
    """A stream that is a terminal, or says so."""

    def __init__(self, *, is_terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


TERMINAL, PIPE = Screen(is_terminal=True), Screen(is_terminal=False)


@pytest.mark.parametrize(
    ("stream", "choice", "no_color", "colored"),
    [
        (TERMINAL, "auto", False, True),
        (TERMINAL, "auto", True, False),
        (TERMINAL, "never", False, False),
        (TERMINAL, "always", True, True),
        (PIPE, "auto", False, False),
        (PIPE, "always", False, True),
        (None, "auto", False, False),
    ],
)
def test_a_terminal_takes_colours_and_a_pipe_where_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, stream: object, choice: str, no_color: bool, colored: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.is_colored(stream, choice) is colored


@pytest.mark.parametrize(
    ("columns", "real", "expected"),
    [("100", 70, 100), ("", 70, 70), ("0", 70, 70), ("wide", 70, 70), ("10", 70, 40), ("", 0, 80), ("", None, 80)],
)
def test_a_terminal_is_as_wide_as_it_says_and_never_too_narrow(
    monkeypatch: pytest.MonkeyPatch, columns: str, real: int | None, expected: int
) -> None:
    def size(_: int) -> os.terminal_size:
        if real is None:
            raise OSError
        return os.terminal_size((real, 24))

    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(os, "get_terminal_size", size)
    monkeypatch.setattr(sys, "__stdout__", sys.__stderr__)
    assert terminal.width(TERMINAL) == expected
    assert terminal.width(PIPE) is None


@pytest.mark.parametrize(
    ("stream", "locale", "expected"),
    [
        (TERMINAL, {"LANG": "en_US.UTF-8"}, True),
        (TERMINAL, {"LANG": "C.utf8"}, True),
        (TERMINAL, {"LC_ALL": "", "LC_CTYPE": "nl_NL.UTF-8@euro", "LANG": "C"}, True),
        (TERMINAL, {"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        (TERMINAL, {"LANG": "C"}, False),
        (TERMINAL, {}, False),
        (Screen(is_terminal=True, encoding="latin-1"), {"LANG": "en_US.UTF-8"}, False),
        (PIPE, {"LANG": "en_US.UTF-8"}, False),
        (None, {"LANG": "en_US.UTF-8"}, False),
    ],
)
def test_blocks_are_for_a_terminal_of_utf_8(
    monkeypatch: pytest.MonkeyPatch, stream: object, locale: dict[str, str], expected: bool
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    assert terminal.draws_blocks(stream) is expected


def test_a_look_says_all_that_bears_on_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.look(TERMINAL, "auto") == "colored-90"
    assert terminal.look(TERMINAL, "never") == "plain-90"
    assert terminal.look(PIPE, "auto") == "plain-unlimited"
    assert terminal.look(PIPE, "always") == "colored-unlimited"
