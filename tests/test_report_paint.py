"""Text on its way to a terminal: escaped, wrapped, and painted by nobody but the painter."""

import sys
import unicodedata

import pytest

from certgen.report.paint import Style, plain, printable, wrapped

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\tb\r\nc", "a\\x09b\\x0d\\x0ac"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("shop\u202eelpmaxe", "shop\\u202eelpmaxe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028break", "line\\u2028break"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("lone\udc80", "lone\\udc80"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["plain text", "Größe", "日本語", "naïve ☃", "a\\x1b", ""])
def test_what_a_terminal_shows_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("##[add-mask]shop", "##\\x5badd-mask]shop"),
        ("a ##[group]b ##[endgroup]", "a ##\\x5bgroup]b ##\\x5bendgroup]"),
        ("###[error]", "###\\x5berror]"),
        ("::add-mask::shop", "\\x3a:add-mask::shop"),
        ("  ::stop-commands::x", "  \\x3a:stop-commands::x"),
        ("\t::error::x", "\\x09::error::x"),
        ("::error file=", "\\x3a:error file="),
    ],
)
def test_what_a_runner_would_obey_in_a_log_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["::1", "  ::ffff:10.0.0.1", "::", "a::b::c", "## [x]", "#[x]", "IP:::1"])
def test_what_only_looks_like_a_command_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_no_control_or_format_character_of_unicode_is_left() -> None:
    hidden = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs"}]
    assert len(hidden) > 2000
    assert set(BIDI) <= set(hidden)
    assert printable("".join(hidden)).isascii()


def test_the_plain_painter_leaves_text_as_it_is() -> None:
    assert [plain("text", style) for style in Style] == ["text"] * len(Style)


def test_a_text_that_fits_is_not_broken() -> None:
    assert wrapped("x" * 80, 80) == "x" * 80
    assert wrapped("one two", 7) == "one two"


def test_without_a_width_nothing_is_broken() -> None:
    text = "word " * 100
    assert wrapped(text, None) == text


def test_a_text_is_broken_between_words_and_indented_after_the_first_line() -> None:
    text = "the quick brown fox jumps over the lazy dog and goes home"
    assert wrapped(text, 30, "    ") == ("the quick brown fox jumps over\n    the lazy dog and goes home")


def test_no_word_is_broken_though_it_is_longer_than_a_line() -> None:
    word = "a-very-long-name-with-hyphens-that-a-person-may-want-to-copy"
    assert word in wrapped(f"see {word} for more", 30).splitlines()


def test_a_width_of_almost_nothing_still_ends() -> None:
    assert wrapped("one two three four", 1).split() == ["one", "two", "three", "four"]


def test_the_blanks_that_align_a_line_are_kept_when_it_is_broken() -> None:
    assert wrapped("  + cas/ca     issue   missing because of a reason", 40, "    ").startswith(
        "  + cas/ca     issue   "
    )
