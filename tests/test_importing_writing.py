"""A spec as text: what is written is read back as it was, whatever it holds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from certgen.importing.writing import write_spec
from certgen.spec.document import compose

HOSTILE = (
    "yes", "null", "~", "1.5", "0x1f", "2026-01-01", "12:30:00", "- a", "a: b", "a #b", "'", '"', "{a}", "[b]", "&a",
    "*a", "!a", "|", "> x", "%a", "@a", "`a", "a\nb", "a\r\nb", "\tb", " a ", "", "a\x85b", "a\u2028b", "\ufeffa",
    "日本語", "😀", "<<", "=", "?", "---", "...", "x" * 300,
)  # fmt: skip


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a spec holds
    """Give a value as YAML without types has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else str(value)


def read(fields: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever YAML holds
    return compose(write_spec(fields), "shop.yaml").plain


def test_it_reads_as_a_person_would_write_it() -> None:
    fields = {
        "version": 1,
        "cas": {"ca": {"common_name": "Shop CA", "subject": {"organization": ["a", "b"]}}},
        "servers": {"api": {"issuer": "ca", "sans": ["a.example", "::1"]}, "plain": {}},
    }
    assert write_spec(fields).decode() == (
        "version: 1\n"
        "\n"
        "cas:\n"
        "  ca:\n"
        "    common_name: Shop CA\n"
        "    subject: {organization: [a, b]}\n"
        "\n"
        "servers:\n"
        "  api:\n"
        "    issuer: ca\n"
        "    sans: [a.example, '::1']\n"
        "  plain:\n"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_taken_for_yaml(text: str) -> None:
    entry = {"common_name": text, "subject": {"organization": [text, text]}, "sans": [text]}
    assert read({"version": 1, "clients": {"a": entry}}) == {"version": "1", "clients": {"a": entry}}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=200)
def test_every_text_of_a_certificate_is_read_back(text: str) -> None:
    written = {"version": 1, "clients": {"a": {"common_name": text}}}
    assert read(written)["clients"]["a"]["common_name"] == text


@pytest.mark.parametrize("name", ["yes", "null", "1.5", "0o17", "2026-01-01", "1e3", "on", "0"])
def test_no_name_of_an_entry_is_taken_for_something_else(name: str) -> None:
    assert read({"version": 1, "clients": {name: {"validity": "9d"}}})["clients"] == {name: {"validity": "9d"}}


@given(specs())
@settings(max_examples=30, deadline=None)
def test_every_spec_is_read_back(spec: dict[str, Any]) -> None:
    fields = {name: value for name, value in spec.items() if name != "defaults" and value}
    found = {name: value for name, value in read(fields).items() if name != "version"}
    for section, entries in found.items():
        assert {name: own or {} for name, own in entries.items()} == plain(fields[section])
