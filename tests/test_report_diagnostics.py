"""Diagnostics as a person sees them: excerpt, caret, help, width, and nothing that steers the terminal."""

import unicodedata
from textwrap import dedent

import pytest

from certgen.diagnostics import Diagnostic, Severity, Span
from certgen.report.diagnostics import render_diagnostics
from certgen.report.paint import Style


def mistake(
    text: str,
    column: int,
    length: int = 1,
    *,
    help_: str | None = None,
    line: int = 14,
    message: str = "unknown field `expire`",
) -> Diagnostic:
    span = Span("specs/shop.yaml", line, column, length, text)
    return Diagnostic(Severity.ERROR, "unknown-field", message, help=help_, span=span)


def shown(diagnostic: Diagnostic, width: int | None = None) -> str:
    return render_diagnostics([diagnostic], width=width)


def cells(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1 for c in text
    )


def pointed_at(diagnostic: Diagnostic, width: int | None = None) -> str:
    """What stands above the carets, by the columns of a terminal."""
    lines = shown(diagnostic, width).splitlines()
    source, carets = (line.split(" | ", 1)[1] for line in lines[3:5])
    begin = len(carets) - len(carets.lstrip(" "))
    end = begin + carets.count("^")
    place, found = 0, ""
    for character in source:
        if begin <= place < end:
            found += character
        place += cells(character)
    assert place >= end, (source, carets)
    return found


def test_a_mistake_is_shown_as_the_design_shows_it() -> None:
    assert shown(mistake("    expire: 90d", 5, 6, help_="did you mean `validity`?")) == dedent("""\
        error[unknown-field]: unknown field `expire`
          specs/shop.yaml:14:5
           |
        14 |     expire: 90d
           |     ^^^^^^ did you mean `validity`?

        """)


@pytest.mark.parametrize("line", [1, 9, 10, 12345])
def test_the_gutter_is_as_wide_as_the_line_number(line: int) -> None:
    lines = shown(mistake("expire: 90d", 1, 6, line=line)).splitlines()
    bars = {text.index("|") for text in lines[2:5]}
    assert bars == {len(str(line)) + 1}
    assert lines[3].startswith(f"{line} | expire")


def test_several_are_shown_in_their_order_with_an_empty_line_between() -> None:
    first = Diagnostic(Severity.WARNING, "orphan", "servers/a is not in the spec")
    second = Diagnostic(Severity.NOTE, "keys-elsewhere", "keys are not here")
    assert render_diagnostics([first, second]) == (
        "warning[orphan]: servers/a is not in the spec\n\nnote[keys-elsewhere]: keys are not here\n\n"
    )
    assert render_diagnostics([]) == ""


# Where there is no place in a spec


def test_a_place_without_an_excerpt_is_named_unless_the_message_names_it() -> None:
    named = Diagnostic(Severity.ERROR, "orphan", "servers/a is not in the spec", where="servers/a")
    assert shown(named) == "error[orphan]: servers/a is not in the spec\n\n"
    unnamed = Diagnostic(Severity.ERROR, "empty-spec", "the file holds no spec", where="specs/a.yaml")
    assert shown(unnamed) == "error[empty-spec]: the file holds no spec\n  specs/a.yaml\n\n"


def test_help_stands_below_where_there_is_no_excerpt() -> None:
    diagnostic = Diagnostic(Severity.ERROR, "no-tree", "there is no tree of shop", help="run `certgen apply`")
    assert shown(diagnostic) == "error[no-tree]: there is no tree of shop\n  help: run `certgen apply`\n\n"


# The caret


@pytest.mark.parametrize(
    ("text", "column", "length", "meant"),
    [
        ("expire: 90d", 1, 6, "expire"),
        ("    expire: 90d", 13, 3, "90d"),
        ("  organization: Größe, x", 24, 1, "x"),
        ("  organization: Gro\u0308\u00dfe  x", 25, 1, "x"),
        ("  organization: 日本語 x", 21, 1, "x"),
        ("  日本語: x", 3, 3, "日本語"),
        ("  a: 🙂 x", 8, 1, "x"),
    ],
    ids=["first column", "value", "umlaut", "combining", "wide before", "wide at", "emoji"],
)
def test_the_caret_stands_below_what_is_meant(text: str, column: int, length: int, meant: str) -> None:
    assert text[column - 1 : column - 1 + length] == meant
    assert pointed_at(mistake(text, column, length)) == meant


def test_the_caret_stands_right_after_a_tab() -> None:
    assert pointed_at(mistake("\t\texpire: 90d", 3, 6)) == "expire"


def test_the_caret_covers_a_character_that_is_escaped() -> None:
    assert pointed_at(mistake("a: x\u202ey", 4, 3)) == "x\\u202ey"


def test_an_end_of_line_gets_one_caret() -> None:
    lines = shown(mistake("servers:", 9)).splitlines()
    assert lines[3:5] == ["14 | servers:", "   |         ^"]


def test_a_span_never_points_beyond_its_line() -> None:
    assert shown(mistake("expire: 90d   ", 1, 500)).splitlines()[4] == "   | ^^^^^^^^^^^"


def test_an_empty_line_gets_one_caret() -> None:
    assert shown(mistake("", 1)).splitlines()[3:5] == ["14 | ", "   | ^"]


# Long lines


LONG = "  sans: [" + ", ".join(f"host-{number:04}.shop.example" for number in range(200)) + "]"


@pytest.mark.parametrize("name", ["host-0000.shop.example", "host-0100.shop.example", "host-0199.shop.example"])
@pytest.mark.parametrize("width", [None, 80, 120])
def test_a_long_line_is_cut_around_the_caret(name: str, width: int | None) -> None:
    diagnostic = mistake(LONG, LONG.index(name) + 1, len(name))
    assert pointed_at(diagnostic, width) == name
    source = shown(diagnostic, width).splitlines()[3]
    assert ("..." in source[:10]) == (name != "host-0000.shop.example")
    assert source.endswith("...") == (name != "host-0199.shop.example")


@pytest.mark.parametrize("name", ["host-0000.shop.example", "host-0100.shop.example", "host-0199.shop.example"])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_an_excerpt_fits_the_terminal(name: str, width: int) -> None:
    lines = shown(mistake(LONG, LONG.index(name) + 1, len(name)), width).splitlines()
    assert max(map(len, lines)) <= width


def test_a_line_that_just_fits_is_not_cut() -> None:
    text = "a" * 70 + ": x"
    assert shown(mistake(text, 73), 80).splitlines()[3] == f"14 | {text}"


# Width


WORDS = "a sentence of many words that goes on and on until no terminal of eighty columns could hold it in one line"


def test_a_long_message_is_broken_at_the_width() -> None:
    lines = shown(Diagnostic(Severity.ERROR, "orphan", WORDS), 80).splitlines()
    assert lines[0].startswith("error[orphan]: a sentence of many words")
    assert lines[1].startswith("  ")
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == f"error[orphan]: {WORDS}"


def test_without_a_terminal_a_message_is_one_line() -> None:
    assert shown(Diagnostic(Severity.ERROR, "orphan", WORDS)) == f"error[orphan]: {WORDS}\n\n"


def test_help_that_does_not_fit_beside_the_caret_stands_below_and_is_broken() -> None:
    lines = shown(mistake("    expire: 90d", 5, 6, help_=WORDS), 80).splitlines()
    assert lines[4] == "   |     ^^^^^^"
    assert lines[5].startswith("   = help: a sentence")
    assert lines[6].startswith("           ")
    assert max(map(len, lines)) <= 80


def test_help_that_just_fits_stands_beside_the_caret() -> None:
    room = 80 - len("   |     ^^^^^^ ")
    beside = shown(mistake("    expire: 90d", 5, 6, help_="x" * room), 80).splitlines()[4]
    assert len(beside) == 80
    below = shown(mistake("    expire: 90d", 5, 6, help_="x" * (room + 1)), 80).splitlines()
    assert below[4] == "   |     ^^^^^^"
    assert below[5] == f"   = help: {'x' * (room + 1)}"


# What a terminal would obey


EVIL = "\x1b]0;owned\x07 \u202e \x9b2J"


@pytest.mark.parametrize("width", [None, 80])
def test_nothing_that_a_terminal_would_obey_gets_through(width: int | None) -> None:
    span = Span(f"specs/{EVIL}.yaml", 1, 1, 3, f"abc: {EVIL}")
    diagnostics = [
        Diagnostic(Severity.ERROR, "a-code", f"message {EVIL}", help=f"help {EVIL}", span=span),
        Diagnostic(Severity.ERROR, "a-code", f"message {EVIL}", help=f"help {EVIL} {WORDS}", span=span),
        Diagnostic(Severity.ERROR, "a-code", "message", help=f"help {EVIL}", where=f"file {EVIL}"),
    ]
    text = render_diagnostics(diagnostics, width=width)
    assert "\\x1b]0;owned\\x07" in text
    assert "\\u202e" in text
    assert [c for c in text if c != "\n" and not c.isprintable()] == []


# Colours


def test_colours_come_from_the_painter_alone_and_change_no_word() -> None:
    painted: list[tuple[str, Style]] = []

    def painter(text: str, style: Style) -> str:
        painted.append((text, style))
        return f"<{text}>"

    diagnostic = mistake("    expire: 90d", 5, 6, help_="did you mean `validity`?")
    text = render_diagnostics([diagnostic], painter, 80)
    assert painted == [
        ("error[unknown-field]", Style.ERROR),
        ("^^^^^^", Style.ERROR),
        ("did you mean `validity`?", Style.STRONG),
    ]
    assert text.replace("<", "").replace(">", "") == shown(diagnostic, 80)


@pytest.mark.parametrize(
    ("severity", "style"),
    [(Severity.ERROR, Style.ERROR), (Severity.WARNING, Style.WARNING), (Severity.NOTE, Style.NOTE)],
)
def test_each_severity_has_its_colour(severity: Severity, style: Style) -> None:
    text = render_diagnostics([Diagnostic(severity, "code", "message", help="do")], lambda t, s: f"<{s}:{t}>", 80)
    assert text == f"<{style}:{severity}[code]>: message\n  <strong:help:> do\n\n"


def test_help_below_the_caret_is_painted_too() -> None:
    text = render_diagnostics([mistake("expire: 1", 1, 6, help_=WORDS)], lambda t, s: f"<{s}:{t}>", 80)
    assert "   = <strong:help:> a sentence" in text
