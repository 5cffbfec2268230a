"""YAML to a tree with places: what is read, where it stands, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import time
from textwrap import dedent

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certgen.diagnostics import CertgenError, Diagnostic, Route, Severity
from certgen.spec.composer import MAXIMUM_DEPTH
from certgen.spec.document import MAXIMUM_BYTES, Document, compose

FILE = "shop.yaml"


def read(text: str | bytes) -> Document:
    return compose(text if isinstance(text, bytes) else text.encode(), FILE)


def refusals(text: str | bytes) -> list[Diagnostic]:
    with pytest.raises(CertgenError) as caught:
        read(text)
    assert all(diagnostic.is_error for diagnostic in caught.value.diagnostics)
    return list(caught.value.diagnostics)


def refusal(text: str | bytes) -> str:
    """Give the one error as a user sees it: place, code, sentence, help."""
    (found,) = refusals(text)
    place = f"{found.span.line}:{found.span.column} " if found.span else ""
    if found.span is None:
        assert found.where == FILE
    return f"{place}{found.code}: {found.message}" + (f" ({found.help})" if found.help else "")


def place(document: Document, *route: str | int, at_key: bool = False) -> tuple[int, int, str]:
    """Give line, column and underlined text of a place in the spec."""
    located = document.locate(Diagnostic(Severity.ERROR, "code", "message", route=route, at_key=at_key))
    assert located.span is not None
    assert located.span.file == FILE
    span = located.span
    return span.line, span.column, span.text[span.column - 1 : span.column - 1 + span.length]


# Values


def test_every_scalar_is_the_text_that_was_written() -> None:
    document = read(
        """
        country: NO
        time: 12:30:00
        date: 2027-01-31
        octal: 0640
        number: 1_000
        float: 1e3
        yes: on
        quoted: "null"
        sign: =
        """
    )
    assert document.plain == {
        "country": "NO",
        "time": "12:30:00",
        "date": "2027-01-31",
        "octal": "0640",
        "number": "1_000",
        "float": "1e3",
        "yes": "on",
        "quoted": "null",
        "sign": "=",
    }


def test_only_nothing_is_nothing() -> None:
    document = read("a:\nb: ~\nc: null\nd: ''\ne: '~'\nf: nil\n")
    assert document.plain == {"a": None, "b": None, "c": None, "d": "", "e": "~", "f": "nil"}


def test_collections_of_both_styles_are_read() -> None:
    document = read("a: [x, {y: z}]\nb:\n  - x\n  - y: z\nc: {}\nd: []\n")
    assert document.plain == {"a": ["x", {"y": "z"}], "b": ["x", {"y": "z"}], "c": {}, "d": []}


def test_a_text_of_several_lines_is_folded_as_yaml_does() -> None:
    assert read("a: |\n  x\n  y\nb: >\n  x\n  y\nc: x\n  y\n").plain == {"a": "x\ny\n", "b": "x y\n", "c": "x y"}


def test_one_document_with_marks_around_it_is_one_document() -> None:
    assert read("%YAML 1.2\n---\na: b\n...\n# the end\n").plain == {"a": "b"}


# Places

PLACES = "version: 1\nservers:\n  api:\n    sans: [a.example, b.example]\n    key: \n  web: {sans: c.example}\n"


@pytest.mark.parametrize(
    ("route", "at_key", "expected"),
    [
        (("version",), False, (1, 10, "1")),
        (("version",), True, (1, 1, "version")),
        (("servers", "api"), True, (3, 3, "api")),
        (("servers", "api", "sans", 1), False, (4, 23, "b.example")),
        (("servers", "api", "sans"), False, (4, 11, "[a.example, b.example]")),
        (("servers", "web", "sans"), False, (6, 15, "c.example")),
        # A scalar where a list may stand is its own first item
        (("servers", "web", "sans", 0), False, (6, 15, "c.example")),
        # What was not written is shown at the nearest key above it
        (("servers", "api", "validity"), False, (3, 3, "api")),
        (("servers", "api", "validity"), True, (3, 3, "api")),
        (("servers", "api", "sans", 7), False, (4, 11, "[a.example, b.example]")),
        (("servers", "api", "key", "mode"), False, (5, 5, "key")),
        (("clients", "x", "sans", 0), False, (1, 1, "version: 1")),
        ((), False, (1, 1, "version: 1")),
    ],
)
def test_a_route_leads_to_its_place(route: Route, at_key: bool, expected: tuple[int, int, str]) -> None:
    assert place(read(PLACES), *route, at_key=at_key) == expected


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_every_line_break_that_the_parser_knows_counts_once(line_break: str) -> None:
    document = read(PLACES.replace("\n", line_break))
    assert place(document, "servers", "api", "sans", 1) == (4, 23, "b.example")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_moves_no_place(mark: bytes) -> None:
    document = read(mark + PLACES.encode())
    assert place(document, "version", at_key=True) == (1, 1, "version")
    assert place(document, "servers", "api", "sans", 0) == (4, 12, "a.example")


def test_columns_count_characters_not_bytes() -> None:
    document = read("naïve🔑: [bücher, 🔑, x]\n")
    assert place(document, "naïve🔑", 0) == (1, 10, "bücher")
    assert place(document, "naïve🔑", 2) == (1, 21, "x")


def test_a_tab_is_one_column() -> None:
    document = read("a:\tx\nb: [\ty,\tz]\n")
    assert place(document, "a") == (1, 4, "x")
    assert place(document, "b", 1) == (2, 9, "z")


def test_a_value_of_several_lines_is_underlined_on_its_first() -> None:
    document = read("a: 'one\n  two'\nb: [x,\n  y]\n")
    assert place(document, "a") == (1, 4, "'one")
    assert place(document, "b") == (3, 4, "[x,")


def test_a_span_quotes_its_whole_line_without_the_line_break() -> None:
    located = read("a: 1\r\n  # comment\r\nb:   2   # note\r\n").locate(
        Diagnostic(Severity.WARNING, "code", "message", help="help", route=("b",))
    )
    assert located.span is not None
    assert (located.span.text, located.span.length) == ("b:   2   # note", 1)
    assert (located.severity, located.code, located.message, located.help) == ("warning", "code", "message", "help")


def test_a_diagnostic_without_a_route_or_with_a_span_stays_as_it_is() -> None:
    document = read(PLACES)
    nowhere = Diagnostic(Severity.ERROR, "code", "message", where="elsewhere")
    assert document.locate(nowhere) is nowhere
    somewhere = document.locate(Diagnostic(Severity.ERROR, "code", "message", route=("version",)))
    assert document.locate(somewhere) is somewhere


def test_the_one_ca_is_found_where_it_was_written() -> None:
    assert place(read("ca: {key: rsa-2048}\n"), "cas", "ca", "key") == (1, 11, "rsa-2048")
    assert place(read("cas: {ca: {key: rsa-2048}}\n"), "cas", "ca", "key") == (1, 17, "rsa-2048")
    assert place(read("ca:\n"), "cas", "ca", "key") == (1, 1, "ca")


def test_what_an_entry_inherits_is_shown_where_it_stands() -> None:
    document = read("defaults: {key: rsa-2048}\nca:\nservers:\n  a:\n  b: {key: ed25519}\n")
    assert place(document, "servers", "a", "key") == (1, 17, "rsa-2048")
    assert place(document, "cas", "ca", "key") == (1, 17, "rsa-2048")
    assert place(document, "servers", "b", "key") == (5, 12, "ed25519")
    assert place(document, "servers", "a", "validity") == (4, 3, "a")


def test_a_document_knows_what_it_says() -> None:
    document = read("a: {b: [x]}\nc:\n")
    assert document.has(("a", "b", 0))
    assert document.has(("c",))
    assert not document.has(("a", "b", 1))
    assert not document.has(("a", "x"))
    assert not document.has(("c", "x"))


# Duplicate keys


def test_a_duplicate_key_is_shown_where_it_stands_again() -> None:
    text = "version: 1\nservers:\n  api: {}\n  web: {}\n  api: {}\n"
    assert refusal(text) == "5:3 duplicate-key: `api` stands twice in this mapping (it stands first in line 3)"
    assert read(text.replace("  api: {}\n  web", "  xyz: {}\n  web")).plain is not None


def test_all_duplicate_keys_of_a_file_are_shown_at_once_in_the_order_of_the_file() -> None:
    found = refusals("a: 1\na: {b: 1, b: 2}\nc:\n  - {d: 1, d: 2, d: 3}\n")
    assert [(d.code, d.span and (d.span.line, d.span.column)) for d in found] == [
        ("duplicate-key", (2, 1)),
        ("duplicate-key", (2, 11)),
        ("duplicate-key", (4, 12)),
        ("duplicate-key", (4, 18)),
    ]


@pytest.mark.parametrize("again", ["'a': 2", '"a": 2', '"\\x61": 2', "? a\n: 2", "*k : 2"])
def test_a_key_written_another_way_is_the_same_key(again: str) -> None:
    assert refusal(f"&k a: 1\n{again}\n").startswith("2:")


@pytest.mark.parametrize("other", ["A", "'a '", "b"])
def test_another_key_is_another_key(other: str) -> None:
    assert len(read(f"a: 1\n{other}: 2\n").plain or {}) == 2


# Size and depth


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """A mapping with collections in it, `depth` levels in all."""
    return "a: " + opening * (depth - 1) + closing * (depth - 1) + "\n"


def test_64_levels_are_read_and_65_refused() -> None:
    assert MAXIMUM_DEPTH == 64
    read(nested(64))
    assert refusal(nested(65)) == f"1:{3 + 64} too-deep: more than 64 levels of nesting"
    read("a: " + "{b: " * 63 + "c" + "}" * 63)
    assert refusal("a: " + "{b: " * 64 + "c" + "}" * 64).startswith("1:256 too-deep")


def test_an_alias_adds_its_own_depth() -> None:
    half = "[" * 32 + "]" * 32
    read(f"a: &x {half}\nb: {'[' * 31}*x{']' * 31}\n")
    assert refusal(f"a: &x {half}\nb: {'[' * 32}*x{']' * 32}\n") == "2:36 too-deep: more than 64 levels of nesting"


@pytest.mark.parametrize(
    ("opening", "column"),
    [("[", 65), ("{", 65), ("- ", 129), ("? ", 129), ("[{a: ", 161), ("&a [", 257), ("a: [", 129)],
)
def test_a_hundred_thousand_openings_are_refused_at_the_65th(opening: str, column: int) -> None:
    start = time.monotonic()
    assert refusal(opening * 100_000) == f"1:{column} too-deep: more than 64 levels of nesting"
    assert time.monotonic() - start < 1


def laughs(levels: int, width: int = 10) -> str:
    lines = ["l0: &l0 [lol]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_a_billion_laughs_are_refused_where_they_become_too_many() -> None:
    sentence = "too-many-aliases: the aliases of this file stand for more than 100000 values"
    assert refusal(laughs(10)) == f"6:25 {sentence}"
    read(laughs(4))


def test_a_billion_laughs_cost_less_than_a_second_and_200_megabytes() -> None:
    program = dedent(
        """
        import resource, sys, time
        from certgen.diagnostics import CertgenError
        from certgen.spec.document import compose
        start = time.monotonic()
        try:
            compose(sys.stdin.buffer.read(), "shop.yaml")
        except CertgenError as reason:
            print(reason.diagnostics[0].code)
        print(time.monotonic() - start)
        try:
            print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
        except FileNotFoundError:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], input=laughs(30), capture_output=True, text=True, check=True)
    code, seconds, peak = done.stdout.split()
    megabytes = int(peak) / (1024 * 1024 if sys.platform == "darwin" else 1024)
    assert code == "too-many-aliases"
    assert float(seconds) < 1
    assert 1 < megabytes < 200


def test_a_file_of_50_megabytes_is_refused_unread() -> None:
    start = time.monotonic()
    assert refusal(b"a: " + b"x" * 50_000_000) == (
        f"too-large: the file has 50000003 bytes, the limit is {MAXIMUM_BYTES}"
    )
    assert time.monotonic() - start < 1


def test_the_limit_itself_is_read() -> None:
    text = b"a: x\n#"
    assert read(text + b"-" * (MAXIMUM_BYTES - len(text))).plain == {"a": "x"}
    assert refusal(text + b"-" * (MAXIMUM_BYTES - len(text) + 1)).startswith("too-large")


# Aliases


def test_an_alias_for_honest_reuse_is_read() -> None:
    document = read("a: &names [x, y]\nb: {names: *names, one: &one z}\nc: [*one, *one]\n")
    assert document.plain == {"a": ["x", "y"], "b": {"names": ["x", "y"], "one": "z"}, "c": ["z", "z"]}


def test_an_anchor_may_be_set_anew() -> None:
    assert read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n").plain == {"a": "1", "b": "1", "c": "2", "d": "2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: *x\nb: &x 1\n", "1:4 bad-alias: the alias `*x` has no anchor above it"),
        ("a: *y\n", "1:4 bad-alias: the alias `*y` has no anchor above it"),
        ("a: &x [1, *x]\n", "1:11 bad-alias: the alias `*x` contains itself"),
        ("a: &x {b: *x}\n", "1:11 bad-alias: the alias `*x` contains itself"),
        ("&x a: &y\n  b: *y\n", "2:6 bad-alias: the alias `*y` contains itself"),
    ],
)
def test_an_alias_to_nothing_or_to_itself_is_refused(text: str, expected: str) -> None:
    assert refusal(text) == expected


# What YAML allows and the language does not


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!str x\n", "1:4 yaml-tag: the tag `tag:yaml.org,2002:str` is not part of the language (remove it)"),
        ("a: !ruby/object x\n", "1:4 yaml-tag: the tag `!ruby/object` is not part of the language (remove it)"),
        ("a: !!python/object/apply:os.system [x]\n", "1:4 yaml-tag: the tag"),
        ("!!map {a: b}\n", "1:1 yaml-tag: the tag `tag:yaml.org,2002:map` is not part of the language (remove it)"),
        ("a: !!set {b, c}\n", "1:4 yaml-tag: the tag"),
        ("? [x]\n: y\n", "1:3 bad-key: a key is a text, not a collection"),
        ("{a: b}: y\n", "1:1 bad-key: a key is a text, not a collection"),
        ("a: &x [1]\n*x : y\n", "2:1 bad-key: a key is a text, not a collection"),
        ("a: 1\n---\nb: 2\n", "2:1 several-documents: a spec is one YAML document, here begins a second"),
        ("--- \n---\na: 1\n", "2:1 several-documents: a spec is one YAML document, here begins a second"),
        ("- a\n- b\n", "1:1 not-a-mapping: a spec is a mapping, this is a list (it begins with `version: 1`)"),
        ("[]\n", "1:1 not-a-mapping: a spec is a mapping, this is a list (it begins with `version: 1`)"),
        ("\n  hello\n", "2:3 not-a-mapping: a spec is a mapping, this is a text (it begins with `version: 1`)"),
    ],
)
def test_what_the_language_does_not_have_is_refused_at_its_place(text: str, expected: str) -> None:
    assert refusal(text).startswith(expected)


def test_the_plain_tag_is_the_one_that_exists() -> None:
    assert read("a: ! x\n").plain == {"a": "x"}


def test_mistakes_that_do_not_stop_the_reading_are_shown_together() -> None:
    found = refusals("a: !!int 1\nb: 2\nb: 3\n? [c]\n: 4\n")
    assert [(d.code, d.span and d.span.line) for d in found] == [("yaml-tag", 1), ("duplicate-key", 3), ("bad-key", 4)]


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "---\n", "~\n", "\ufeff", "---\n...\n", "null"])
def test_a_file_without_a_spec_is_said_to_be_empty(text: str) -> None:
    assert refusal(text) == "empty-spec: the file holds no spec (`certgen init` writes one to start from)"


# What YAML does not allow


def test_a_tab_for_indentation_is_named() -> None:
    assert refusal("a:\n\tb: 1\n") == (
        "2:1 yaml-syntax: not YAML: a tab, which YAML does not allow here (indent with spaces)"
    )


def test_a_tab_that_yaml_allows_is_not_blamed() -> None:
    read("a:\tb\n")
    assert "tab" not in refusal("a:\tb: c\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: b: c\n",
            "1:5 yaml-syntax: not YAML: mapping values are not allowed in this context (is the line indented",
        ),
        ("a: [b\n", "2:1 yaml-syntax: not YAML: "),
        ('a: "b\n', "2:1 yaml-syntax: not YAML: found unexpected end of stream"),
        ("a: @b\n", "1:4 yaml-syntax: not YAML: found character that cannot start any token"),
        ("a: b\n c\nd\n", "4:1 yaml-syntax: not YAML: could not find expected ':'"),
        ("%YAML 3.0\n---\na: b\n", "1:1 yaml-syntax: not YAML: found incompatible YAML document"),
        ('a: "\\ud800"\n', "1:"),
        ("a: 'b' c\n", "1:8 yaml-syntax: not YAML: "),
    ],
)
def test_a_mistake_in_the_yaml_is_shown_where_the_parser_found_it(text: str, expected: str) -> None:
    assert refusal(text).startswith(expected)


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x80", "\x9b", "\ufffe", "\uffff"])
@pytest.mark.parametrize(
    ("pattern", "column"), [("ok: 1\nnaïve: x{}\n", 9), ("ok: 1\n# abï {}\n", 7), ("ok: 1\nbcde: '{}'\n", 8)]
)
def test_a_control_character_is_refused_at_its_place(character: str, pattern: str, column: int) -> None:
    expected = f"2:{column} yaml-syntax: a control character, which YAML does not allow"
    assert refusal(pattern.format(character)) == expected
    assert read(pattern.format("\t")).plain


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: \xff\n", "not-utf-8: byte 0xff in line 1 is not UTF-8"),
        (b"a: 1\nb: caf\xe9\n", "not-utf-8: byte 0xe9 in line 2 is not UTF-8"),
        (b"\xef\xbb\xbfa: 1\nb: 2\n\xe9: 3\n", "not-utf-8: byte 0xe9 in line 3 is not UTF-8"),
        (b"a: \xed\xa0\x80\n", "not-utf-8: byte 0xed in line 1 is not UTF-8"),
        (b"a: 1\r\nb: 2\r\nc: \xc3", "not-utf-8: byte 0xc3 in line 3 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), "not-utf-8: the file is UTF-16, a spec is UTF-8"),
        (b"\xfe\xff" + "a: 1\n".encode("utf-16-be"), "not-utf-8: the file is UTF-16, a spec is UTF-8"),
    ],
)
def test_a_file_that_is_not_utf_8_is_refused(content: bytes, expected: str) -> None:
    assert refusal(content) == expected


def test_utf_16_without_a_mark_is_refused_too() -> None:
    assert [found.code for found in refusals("a: 1\n".encode("utf-16-le"))] == ["yaml-syntax"]


# Where entries begin


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("ca: {}\nclients:\n  b:\n  a: {}\n", {"cas/ca": (1, 1), "clients/b": (3, 3), "clients/a": (4, 3)}),
        ("cas: {ca: {}, x: {}}\nservers: {a: , b: }\n",
         {"cas/ca": (1, 7), "cas/x": (1, 15), "servers/a": (2, 11), "servers/b": (2, 16)}),
        ("clients: &all\n  a:\npeers: *all\n", {"clients/a": (2, 3), "peers/a": (2, 3)}),
        ("servers: [a, b]\nclients: a\npeers:\n", {}),
        ("other: {a: {}}\n", {}),
    ],
)  # fmt: skip
def test_each_entry_begins_where_its_name_stands(text: str, places: dict[str, tuple[int, int]]) -> None:
    assert read(text).entry_places() == places


# Without the C parser


def test_the_parser_in_python_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert read(PLACES).plain == {
        "version": "1",
        "servers": {"api": {"sans": ["a.example", "b.example"], "key": None}, "web": {"sans": "c.example"}},
    }
    assert place(read(PLACES), "servers", "api", "sans", 1) == (4, 23, "b.example")
    assert refusal("a: \x07\n") == "1:4 yaml-syntax: a control character, which YAML does not allow"
    assert refusal("a:\n\tb: 1\n").startswith("2:1 yaml-syntax")


# Any bytes

_WORDS = ["\n", "\n  ", "---\n", "...\n", "%YAML 1.1\n", "&x ", "*x", "!t ", "- ", "? ", ": ", "<<"]
_FRAGMENTS = st.sampled_from([*_WORDS, *"ab:[]{},'|>#~\\\"\t\r\0\x1bé\u2028\ufeff\ufffe"])
_YAML = st.lists(_FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode())


@settings(deadline=None, max_examples=600)
@example(b"a: &x\n*x : *x")
@example(b"? ? a")
@example(b"&x")
@example(b"!")
@given(st.one_of(_YAML, st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8"))))
def test_any_bytes_are_a_document_or_a_clear_refusal(content: bytes) -> None:
    try:
        document = compose(content, FILE)
    except CertgenError:
        assert_clear(refusals(content))
        return
    assert isinstance(document.plain, dict)
    for route in every_route(document.plain):
        assert document.has(route)
        assert place(document, *route)[0] >= 1


def assert_clear(problems: list[Diagnostic]) -> None:
    assert problems
    for found in problems:
        assert found.message
        assert "\n" not in found.message
        assert (found.span is None) == (found.where == FILE)
        if found.span is not None:
            assert found.span.line >= 1
            assert 1 <= found.span.column <= len(found.span.text) + 2
            assert found.span.length >= 1


def every_route(value: object, above: Route = ()) -> list[Route]:
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    if isinstance(value, list):
        children = list(enumerate(value))
    return [above, *(route for step, child in children for route in every_route(child, (*above, step)))]
