"""What one sees in an editor while writing a spec: asked of the language server that editors ask about YAML."""

from __future__ import annotations

import copy
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import places
import pytest
import yaml
from language_server import PROPERTY, LanguageServer, running
from places import ENTRY
from test_schema import CoreLoader, in_certgen, in_editor

from certgen.consumers.registry import consumer_names, options_model
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.spec.json_schema import json_schema
from certgen.starter import STARTER

ROOT = Path(__file__).parent.parent
SCHEMA = json_schema()
FIELDS = places.fields(SCHEMA)
SECTIONS = ("cas", "servers", "clients", "peers")
GOOD = [*sorted((ROOT / "specs").glob("*.yaml")), *sorted(ROOT.glob("certgen/consumers/*/golden/spec.yaml"))]


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    with running(ROOT) as started:
        yield started


class Editor:
    """An editor with a schema on the disk, which each of its texts names."""

    def __init__(self, server: LanguageServer, folder: Path, schema: places.Schema) -> None:
        self.server, self._folder, self._texts = server, folder, 0
        self._schema = folder / "certgen.schema.json"
        self._schema.write_text(json.dumps(schema), encoding="utf-8")

    def open(self, text: str) -> Path:
        """Open a text in a tab of its own."""
        self._texts += 1
        path = self._folder / f"spec-{self._texts}.yaml"
        self.server.open(path, f"# yaml-language-server: $schema={self._schema.as_uri()}\n{text}")
        return path

    def hover(self, spec: object, fields: Set[places.Path]) -> dict[places.Path, str]:
        """Give what is shown over each of some fields that a spec has."""
        text = yaml.safe_dump(spec)
        path = self.open(text)
        return {
            place: self.server.hover(path, mark.line + 1, mark.column + 1)
            for place, mark in marks(yaml.compose(text, yaml.SafeLoader))
            if place in fields
        }

    def complete(self, spec: object) -> dict[str, Any]:
        """Give what is offered at the place where a spec has `HERE`."""
        before, after = yaml.safe_dump(spec).replace("HERE: null", "HERE").split("HERE")
        path = self.open(f"{before}{after}")
        return dict(self.server.complete(path, before.count("\n") + 1, len(before.rpartition("\n")[2])))


@pytest.fixture
def editor(server: LanguageServer, tmp_path: Path) -> Editor:
    return Editor(server, tmp_path, SCHEMA)


def marks(node: yaml.Node | None, place: places.Path = ()) -> Iterator[tuple[places.Path, yaml.Mark]]:
    """Give where each field of a text stands."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*place, key.value), key.start_mark
            yield from marks(value, (*place, key.value))


# What is shown over a field


def unexplained(editor: Editor, section: str) -> set[places.Path]:
    """Give the fields of a section over which their description, or one of their examples, is not shown."""
    asked = {place: field for place, field in FIELDS.items() if place[0] == section}
    seen: dict[places.Path, list[bool]] = defaultdict(list)
    for parent in dict.fromkeys(place[:-1] for place in asked):
        inner = {place[-1]: field["examples"] for place, field in asked.items() if place[:-1] == parent}
        for number in range(max(map(len, inner.values()))):
            spec = {name: examples[number % len(examples)] for name, examples in inner.items()}
            text = places.spec_with(SCHEMA, parent, spec) if parent else spec
            new = {place for place in asked if place not in seen or place[:-1] == parent}
            for place, shown in editor.hover(text, new).items():
                seen[place].append(explains(shown, asked[place]))
    assert seen.keys() == asked.keys()
    return {place for place, explained in seen.items() if not all(explained)}


def explains(shown: str, field: places.Schema) -> bool:
    blocks = re.findall(r"```yaml\n(.*?)```", shown, re.DOTALL)
    examples = [yaml.load(block, CoreLoader) for block in blocks]  # noqa: S506 - a safe loader
    words = shown.replace("\\", "")  # before what Markdown would take for a sign of its own
    return words.startswith(field["description"]) and all(one in examples for one in field["examples"])


@pytest.mark.parametrize("section", SCHEMA["properties"])
def test_every_field_is_explained_with_an_example(editor: Editor, section: str) -> None:
    assert unexplained(editor, section) == set()


def test_the_readme_shows_what_is_shown(editor: Editor) -> None:
    shown = re.search(r"^````markdown\n(.*?)^````$", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M)
    place = ("servers", ENTRY, "key", "rotation")
    text = editor.hover(places.spec_with(SCHEMA, place, "on-renewal"), {place})[place]
    assert shown is not None
    assert shown[1] == text.partition("\nSource: ")[0]


def test_a_field_without_words_or_with_those_of_its_alternatives_is_seen(
    server: LanguageServer, tmp_path: Path
) -> None:
    broken = copy.deepcopy(SCHEMA)
    kinds = broken["$defs"]
    del kinds["Keys"]["properties"]["git"]["description"]
    del kinds["Keys"]["properties"]["recipients"]["examples"]
    kinds["ProtectionKind"]["description"] = "How private keys are closed."
    found = unexplained(Editor(server, tmp_path, broken), "keys")
    assert found == {("keys", "git"), ("keys", "recipients"), ("keys", "protection")}


# What is offered


def unoffered(editor: Editor) -> dict[places.Path, set[str]]:
    """Give, by the place of a mapping, the fields that are not offered in it, and what else is."""
    found = {}
    for place, kind in places.mappings(SCHEMA).items():
        there = set() if place else {"version"}
        spec = places.spec_with(SCHEMA, place, {"HERE": None}) if place else {"version": 1, "HERE": None}
        offered = {name for name, item in editor.complete(spec).items() if item["kind"] == PROPERTY}
        found[place] = offered ^ (kind["properties"].keys() - there)
    return {place: wrong for place, wrong in found.items() if wrong}


def test_every_field_is_offered_where_it_may_stand_and_no_other(editor: Editor) -> None:
    assert unoffered(editor) == {}


def test_a_field_that_is_not_offered_or_should_not_be_is_seen(server: LanguageServer, tmp_path: Path) -> None:
    broken = copy.deepcopy(SCHEMA)
    fields = broken["$defs"]["Key"]["properties"]
    fields["expiry"] = fields.pop("mode")
    found = unoffered(Editor(server, tmp_path, broken))
    keys = {("defaults", "key"), ("ca", "key"), *((section, ENTRY, "key") for section in SECTIONS)}
    assert found == {key: {"mode", "expiry"} for key in keys}


CLOSED = {place: values for place, field in FIELDS.items() if (values := places.closed_set(SCHEMA, field))}


def test_the_values_of_closed_sets_are_offered(editor: Editor) -> None:
    for place, values in CLOSED.items():
        offered = editor.complete(places.spec_with(SCHEMA, place, "HERE"))
        assert {json.dumps(value).strip('"') for value in values} <= offered.keys(), place


@pytest.mark.parametrize("field", ["key_usage", "extended_key_usage", "snippets"])
def test_the_values_of_closed_sets_are_offered_in_a_list(editor: Editor, field: str) -> None:
    values = CLOSED["servers", ENTRY, field]
    offered = editor.complete(places.spec_with(SCHEMA, ("servers", ENTRY, field), [values[0], "HERE"]))
    assert set(values) <= offered.keys()


def test_a_consumer_is_offered_with_what_it_is(editor: Editor) -> None:
    in_list = editor.complete(places.spec_with(SCHEMA, ("defaults", "snippets"), ["HERE"]))
    in_mapping = editor.complete(places.spec_with(SCHEMA, ("defaults", "snippets"), {"HERE": None}))
    for name in consumer_names():
        words = options_model(name).__doc__
        assert (in_list[name]["documentation"], in_mapping[name]["documentation"]) == (words, words)


def test_sets_are_closed_and_others_are_not() -> None:
    assert CLOSED["ca", "key"] == list(KeyAlgorithm)
    assert CLOSED["defaults", "publish"] == ["files", "symlink"]
    assert CLOSED["peers", ENTRY, "key", "rotation"] == ["keep", "on-renewal"]
    assert CLOSED["clients", ENTRY, "snippets", "go", "example"] == [False, True]
    assert ("servers", ENTRY, "sans") not in CLOSED


def test_what_is_written_for_one_who_chooses_a_field_is_a_spec(editor: Editor) -> None:
    whole = set()
    for place, kind in places.mappings(SCHEMA).items():
        spec = places.spec_with(SCHEMA, place, {"HERE": None}) if place else {"version": 1, "HERE": None}
        for name, item in editor.complete(spec).items():
            is_part = item["kind"] == PROPERTY and place and "required" in kind
            has_a_choice = item["insertText"].endswith(": ")
            if not is_part and not has_a_choice:
                text = typed(spec, item["insertText"])
                assert in_editor(text) == [], text
                in_certgen(text)
                whole.add(name)
    assert whole >= {"servers", "subject", "key", "validity", "trust", "TemplateOptions", *consumer_names()}


def typed(spec: object, inserted: str) -> str:
    """Write a spec with what an editor inserts for `HERE`, when all that it proposes is accepted."""
    before, after = yaml.safe_dump(spec).replace("HERE: null", "HERE").split("HERE")
    accepted = re.sub(r"\$\{\d+:([^}]*)\}", r"\1", inserted)
    indented = accepted.replace("\n", "\n" + " " * len(before.rpartition("\n")[2]))
    return f"{before}{indented}{after}"


# What is marked


def test_nothing_is_marked_in_a_good_spec(server: LanguageServer) -> None:
    line = f"# yaml-language-server: $schema={(ROOT / 'certgen.schema.json').as_uri()}\n"
    for path in GOOD:
        text = path.read_text(encoding="utf-8")
        server.open(path, text if "$schema=" in text else f"{line}{text}")
    assert {path: server.findings(path) for path in GOOD} == {path: [] for path in GOOD}
    assert len(GOOD) > len(consumer_names())


def test_nothing_is_marked_in_the_starter_though_there_is_no_schema_yet(server: LanguageServer, tmp_path: Path) -> None:
    starter, too_soon = tmp_path / "specs" / "starter.yaml", tmp_path / "specs" / "too-soon.yaml"
    (line,) = re.findall(r"`(# yaml-language-server: .*)`", STARTER)
    server.open(starter, STARTER)
    server.open(too_soon, f"{line}\n{STARTER}")
    assert server.findings(starter) == []
    assert [one["message"].partition(" from ")[0] for one in server.findings(too_soon)] == ["Unable to load schema"]


def test_the_line_that_the_specs_begin_with_leads_to_the_schema(server: LanguageServer) -> None:
    text = (ROOT / "specs" / "quickstart.yaml").read_text(encoding="utf-8")
    path = ROOT / "specs" / "misspelt.yaml"
    server.open(path, text.replace("common_name", "comon_name"))
    assert [one["message"] for one in server.findings(path)] == ["Property comon_name is not allowed."]


MISTAKES = {
    "server: {}": "`server`: Property server is not allowed.",
    "ca: {comon_name: Shop}": "`comon_name`: Property comon_name is not allowed.",
    "ca: {key: {algoritm: x}}": "`algoritm`: Property algoritm is not allowed.",
    "clients: {A: {}}": "`A`: Property A is not allowed.",
    "clients: {a: {snippets: {ngnix: {}}}}": "`ngnix`: Property ngnix is not allowed.",
    "clients: {a: {snippets: {nginx: {listne: 1}}}}": "`listne`: Property listne is not allowed.",
    "peers: {a: {subject: {country: {}}}}": "`{}`: Incorrect type. Expected one of string, number.",
    "defaults: {publish: link}": '`link`: Value is not accepted. Valid values: "files", "symlink".',
    "defaults: {key: {rotation: never}}": '`never`: Value is not accepted. Valid values: "keep", "on-renewal".',
    "keys: {git: no}": '`no`: Value is not accepted. Valid values: "ignore", "commit".',
    "defaults: {path_length: 1}": "`path_length`: Property path_length is not allowed.",
}


def test_a_mistake_is_marked_where_it_is(editor: Editor) -> None:
    opened = {line: editor.open(f"version: 1\n{line}\n") for line in MISTAKES}
    found = {}
    for line, path in opened.items():
        (mark,) = editor.server.findings(path)
        start, end = mark["range"]["start"], mark["range"]["end"]
        assert (start["line"], end["line"]) == (2, 2)
        found[line] = f"`{line[start['character'] : end['character']]}`: {mark['message']}"
    assert found == MISTAKES
