"""Manifests as YAML: plain words are plain, all else is quoted, and what goes in comes out."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from certgen.exports.manifests import dump


def line(text: str) -> str:
    """Give how a text is written."""
    made = dump([{"key": text}], "from a test")
    assert made.startswith("# from a test\n---\nkey: ")
    return made.removeprefix("# from a test\n---\nkey: ").removesuffix("\n")


@pytest.mark.parametrize(
    "text", ["Certificate", "cert-manager.io/v1", "digital signature", "shop.servers.api", "Shop BV"]
)
def test_a_word_is_plain(text: str) -> None:
    assert line(text) == text


# Go's YAML 1.1, PyYAML and YAML 1.2 differ in which of these are texts.
AMBIGUOUS = (
    "y", "N", "No", "ON", "null", "True", "~", "", "1", "1e3", "0x1f", "8760h0m0s", "12:30:00", "2026-01-01", ".inf",
    "=", "<<", "a: b", "a #b", "- a", "*a", "&a", "!a", "%a", "@a", "`a", "{a}", "[a]", "a\nb", " a", "a ", "'a'",
)  # fmt: skip


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_could_be_something_else_is_quoted(text: str) -> None:
    assert line(text).startswith('"')
    assert yaml.safe_load(line(text)) == text


def test_what_is_not_ascii_is_escaped_and_a_line_is_never_broken() -> None:
    assert line("Söhne\u202e") == '"S\\xF6hne\\u202E"'
    assert line("a b, " * 200).count("\n") == 0


def test_a_certificate_is_a_block_that_people_can_read() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert line(pem) == "|\n  -----BEGIN CERTIFICATE-----\n  MIIB\n  -----END CERTIFICATE-----"
    assert yaml.safe_load(dump([{"key": pem}], "x")) == {"key": pem}


def test_two_equal_parts_stand_for_themselves() -> None:
    part = {"name": "a"}
    assert "&" not in dump([{"one": part, "two": part}], "x")


PLAIN = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**40), 2**40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), PLAIN, min_size=1, max_size=3), max_size=3))
def test_what_goes_in_comes_out(documents: list[dict[str, object]]) -> None:
    made = dump(documents, "from a test")
    assert made.isascii()
    assert list(yaml.safe_load_all(made)) == documents
