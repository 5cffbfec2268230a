"""Templates in which what is printed is quoted by the environment: none can forget it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from certgen.consumers import templates
from certgen.consumers.registry import consumer_names
from certgen.consumers.templates import TemplateError, Templates, UnquotableError, Verbatim, render_own

WING = Path(templates.__file__).parent


def quote(text: str) -> str:
    """Quote for a language that there is not."""
    if "$" in text:
        raise UnquotableError("no dollar")
    return f"<{text}>"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a consumer that there is not."""
    folder = tmp_path / "made_up_wing" / "made_up"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(templates, "PACKAGE", "made_up_wing")
    yield folder
    sys.modules.pop("made_up_wing", None)


def rendered(folder: Path, template: str, /, **values: object) -> bytes:
    (folder / "x.j2").write_text(template, encoding="utf-8")
    return Templates("made_up", quote).render("x.j2", **values)


# What is printed


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ text }}", b"<a b>"),
        ("{{ text | upper }}", b"<A B>"),
        ("{{ text ~ 'x' }}", b"<a bx>"),
        ("{{ 'constant' }}", b"<constant>"),
        ("{% for item in items %}{{ item }}{% endfor %}", b"<1><2>"),
        ("{{ items | join(',') }}", b"<1,2>"),
        ("{% set x = text %}{{ x }}", b"<a b>"),
        ("{% if text %}{{ text }}{% endif %}", b"<a b>"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(text) }}", b"<<a b>>"),
        ("{{ number }}", b"8443"),
        ("{{ number + 1 }}", b"8444"),
        ("{{ verbatim }}", b"a b"),
        ("{{ empty }}", b"<>"),
        ("text", b"text"),
    ],
)
def test_every_text_is_quoted_once_however_it_is_printed(own: Path, expression: str, expected: bytes) -> None:
    values = {"text": "a b", "items": ["1", "2"], "number": 8443, "verbatim": Verbatim("a b"), "empty": ""}
    assert rendered(own, expression, **values) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("{{ truth }}", "a template prints no truth value"),
        ("{{ 1 == 1 }}", "a template prints no truth value"),
        ("{{ nothing }}", "a template prints texts and numbers, not NoneType"),
        ("{{ none }}", "a template prints texts and numbers, not NoneType"),
        ("{{ items }}", "a template prints texts and numbers, not list"),
        ("{{ mapping }}", "a template prints texts and numbers, not dict"),
        ("{{ raw }}", "a template prints texts and numbers, not bytes"),
        ("{{ share }}", "a template prints texts and numbers, not float"),
        ("{{ items | map('upper') }}", "a template prints texts and numbers, not generator"),
    ],
)
def test_what_is_neither_text_nor_number_is_never_printed(own: Path, expression: str, complaint: str) -> None:
    values: dict[str, object] = {"truth": True, "nothing": None, "items": [], "mapping": {}, "raw": b"", "share": 0.5}
    with pytest.raises(TypeError, match=complaint):
        rendered(own, expression, **values)


def test_what_there_is_not_is_never_printed(own: Path) -> None:
    for template in ("{{ txet }}", "{% if txet %}{% endif %}", "{{ txet ~ 'x' }}", "{{ text.nope }}"):
        with pytest.raises((UndefinedError, TypeError)):
            rendered(own, template, text="a")


def test_what_cannot_be_quoted_is_said_and_not_printed(own: Path) -> None:
    with pytest.raises(UnquotableError, match="no dollar"):
        rendered(own, "{{ text }}", text="a$b")
    assert rendered(own, "{{ text }}", text=Verbatim("a$b")) == b"a$b"


def test_a_verbatim_text_that_was_changed_is_a_text_as_any_other(own: Path) -> None:
    assert rendered(own, "{{ text ~ 'x' }}{{ text | upper }}", text=Verbatim("a b")) == b"<a bx><A B>"


def test_lines_that_only_steer_leave_nothing_behind(own: Path) -> None:
    text = "a\n{% if true %}\n    b {{ text }}\n{% endif %}\n  {# a remark #}\nc\n\n"
    assert rendered(own, text, text="x") == b"a\n    b <x>\nc\n\n"


def test_a_template_may_include_another_of_its_folder(own: Path) -> None:
    (own / "part.j2").write_text("part {{ text }}\n")
    assert rendered(own, '{% include "part.j2" %}', text="x") == b"part <x>\n"


def test_the_output_is_utf_8(own: Path) -> None:
    assert rendered(own, "é {{ text }}", text="中") == "é <中>".encode()


@pytest.mark.parametrize("consumer", consumer_names())
def test_no_template_of_a_consumer_can_switch_the_quoting_off(consumer: str) -> None:
    """Neither `safe`, nor `autoescape`, nor `raw` around what is printed."""
    for path in (WING / consumer).glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in ("| safe", "|safe", "autoescape", "{% raw")), path


# A user's template


VARIABLES: dict[str, object] = {"name": "api", "sans": {"dns": ["a"]}, "allow": []}


def test_a_user_s_template_prints_what_it_wants() -> None:
    assert render_own(b"{{ name }} {{ sans.dns }} {{ true }} {{ none }}\n", VARIABLES) == b"api ['a'] True None\n"


def test_a_user_s_template_cannot_change_what_the_next_one_sees() -> None:
    own = {"sans": {"dns": ["a"]}}
    for template in (b"{{ sans.dns.append('x') }}", b"{{ sans.update({}) }}", b"{% do sans.clear() %}"):
        with pytest.raises(TemplateError):
            render_own(template, own)
    assert render_own(b"{% set sans = 'x' %}{{ sans }}", own) == b"x"
    assert own == {"sans": {"dns": ["a"]}}


@pytest.mark.parametrize(
    ("template", "message", "help_"),
    [
        (b"\xff", "the template is not UTF-8", None),
        (b"\n{% x %}", "line 2 is not jinja2", "see its manual of the template language"),
        (b"{{ x }}", "it asks for what there is not: 'x' is undefined", "there are allow, name, sans"),
        (b"{{ ''.__class__ }}", "it asks for what the sandbox forbids", None),
        (b"{{ 1 / 0 }}", "it cannot be rendered (ZeroDivisionError)", None),
        (b"{{ name() }}", "it cannot be rendered (TypeError)", None),
        (b"{{ 'x'.encode('y') }}", "it cannot be rendered (LookupError)", None),
        (b"{{ range(100001) }}", "it cannot be rendered (OverflowError)", None),
    ],
)
def test_what_goes_wrong_is_one_sentence(template: bytes, message: str, help_: str | None) -> None:
    with pytest.raises(TemplateError) as caught:
        render_own(template, VARIABLES)
    assert (str(caught.value), caught.value.help) == (message, help_)
    assert caught.value.__suppress_context__


def test_the_sandbox_is_one_even_for_what_a_filter_or_a_format_reaches() -> None:
    for template in (
        b"{{ [''] | map(attribute='__class__') | first }}",
        b"{{ '' | attr('__class__') }}",
        b"{{ '{0.__class__}'.format('') }}",
        b"{{ ([{}] | groupby('__class__') | first).grouper }}",
        b"{{ [''] | selectattr('__class__') | list | first | attr('__class__') }}",
    ):
        with pytest.raises(TemplateError):
            render_own(template, VARIABLES)
