"""The JSON of version 1, pinned whole: a program that reads it may rely on every key."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from scene import Scene

from certgen.apply import Outcome
from certgen.diagnostics import Diagnostic, Severity, Span
from certgen.journal import Recovery
from certgen.model import Address, Section
from certgen.pipeline import apply_specs, load_specs, plan_specs
from certgen.plan.values import ModeChange, Plan, Widening
from certgen.report import json_v1

SPEC = "version: 1\nca: {}\nservers:\n  api: {sans: [api.shop.example, localhost]}\n  web: {sans: shop.example}\n"


def plan_after(scene: Scene, *edits: tuple[str, str]) -> Plan:
    """Compile the spec, edit it, and plan."""
    scene.write(SPEC)
    scene.apply()
    scene.edit(*edits)
    return scene.plan()


def masked(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Put placeholders for times."""
    text = re.sub(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', '"TIME"', json.dumps(value))
    return json.loads(text)


def test_an_answer_begins_with_version_and_command() -> None:
    text = json_v1.render("plan", {"specs": []})
    assert text == '{\n  "version": 1,\n  "command": "plan",\n  "specs": []\n}\n'


def test_a_plan_in_full(scene: Scene) -> None:
    plan = plan_after(scene, ("[api.shop.example, localhost]", "[api.shop.example]"))
    assert masked(json_v1.plan(plan, Path("output/shop"), is_all=True)) == {
        "name": "shop",
        "output": "output/shop",
        "at": "TIME",
        "in_sync": False,
        "changes": [
            {
                "address": "servers/api",
                "action": "update",
                "reasons": [
                    {
                        "code": "sans_changed",
                        "what": None,
                        "was": "DNS:api.shop.example, DNS:localhost",
                        "wanted": "DNS:api.shop.example",
                    }
                ],
                "key": "kept",
                "writes": ["cert.pem"],
                "removes": [],
                "differences": {},
                "not_before": "TIME",
                "not_after": "TIME",
            }
        ],
        "summary": {"changes": 1, "kept": 2},
        "widenings": [],
        "diagnostics": [],
        "kept": ["cas/ca", "servers/web"],
    }


def test_kept_addresses_are_listed_only_where_all_are_asked_for(scene: Scene) -> None:
    plan = plan_after(scene)
    assert "kept" not in json_v1.plan(plan, Path("output/shop"), is_all=False)
    full = json_v1.plan(plan, Path("output/shop"), is_all=True)
    assert full["kept"] == ["cas/ca", "servers/api", "servers/web"]
    assert full["in_sync"] is True
    assert full["summary"] == {"changes": 0, "kept": 3}


def test_a_change_without_a_signature_has_no_dates_and_no_key(scene: Scene) -> None:
    scene.write(SPEC)
    scene.apply()
    (scene.tree / "servers/api/ca.pem").unlink()
    (change,) = json_v1.plan(scene.plan(), Path("x"), is_all=False)["changes"]
    assert change == {
        "address": "servers/api",
        "action": "write",
        "reasons": [{"code": "missing", "what": "ca.pem", "was": None, "wanted": None}],
        "key": None,
        "writes": ["ca.pem"],
        "removes": [],
        "differences": {},
    }


def test_times_are_rfc_3339_in_utc_and_whole_seconds(scene: Scene) -> None:
    scene.write(SPEC)
    body = json_v1.plan(scene.plan(), Path("x"), is_all=False)
    assert body["at"] == "2026-03-01T12:00:00Z"
    assert [change.get("not_before") for change in body["changes"]] == [None, None, *["2026-03-01T11:55:00Z"] * 3]
    assert body["changes"][3]["not_after"] == "2027-03-01T11:54:59Z"


def test_widened_trust_and_diagnostics_are_told(scene: Scene) -> None:
    api = Address(Section.SERVERS, "api")
    plan = replace(
        plan_after(scene),
        widenings=(Widening(api, "clients of", "partner-root"),),
        modes=(ModeChange(api, "key.pem", 0o644, 0o600),),
    )
    body = json_v1.plan(plan, Path("x"), is_all=False)
    assert body["widenings"] == ["servers/api now accepts clients of partner-root"]
    assert body["diagnostics"] == [
        {
            "severity": "warning",
            "code": "key-mode",
            "message": "servers/api/key.pem has mode 0644, asked is 0600",
            "help": "`certgen apply` mends it",
            "place": None,
            "where": "servers/api/key.pem",
        }
    ]


def test_a_diagnostic_with_a_place_counts_from_one() -> None:
    span = Span("specs/shop.yaml", 14, 5, 6, "    expire: 90d")
    item = Diagnostic(Severity.ERROR, "unknown-field", "unknown field `expire`", help="did you mean", span=span)
    assert json_v1.diagnostics([item]) == [
        {
            "severity": "error",
            "code": "unknown-field",
            "message": "unknown field `expire`",
            "help": "did you mean",
            "place": {"file": "specs/shop.yaml", "line": 14, "column": 5, "length": 6},
            "where": None,
        }
    ]


def test_an_outcome_in_full(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write("version: 1\nca: {}\n")
    (outcome,) = apply_specs(scene.load(), scene.output, scene.now)
    assert masked(json_v1.outcome(outcome, Path("output/shop"))) == {
        "name": "shop",
        "output": "output/shop",
        "at": "TIME",
        "in_sync": True,
        "changes": [
            {
                "address": ".gitignore",
                "action": "write",
                "reasons": [{"code": "missing", "what": None, "was": None, "wanted": None}],
                "key": None,
                "writes": [".gitignore"],
                "removes": [],
                "differences": {},
            },
            {
                "address": ".gitattributes",
                "action": "write",
                "reasons": [{"code": "missing", "what": None, "was": None, "wanted": None}],
                "key": None,
                "writes": [".gitattributes"],
                "removes": [],
                "differences": {},
            },
            {
                "address": "cas/ca",
                "action": "issue",
                "reasons": [{"code": "missing", "what": None, "was": None, "wanted": None}],
                "key": "new",
                "writes": ["key.pem", "cert.pem"],
                "removes": [],
                "differences": {},
                "not_before": "TIME",
                "not_after": "TIME",
            },
        ],
        "summary": {"changes": 3, "kept": 0},
        "widenings": [],
        "diagnostics": [],
        "written": [".gitignore", ".gitattributes", "cas/ca/key.pem", "cas/ca/cert.pem", "manifest.json"],
        "removed": [],
        "mended": [],
        "resumed": False,
    }


def test_an_outcome_that_did_nothing_wrote_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write("version: 1\nca: {}\n")
    loaded = scene.load()
    apply_specs(loaded, scene.output, scene.now)
    (again,) = apply_specs(loaded, scene.output, scene.now)
    body = json_v1.outcome(again, Path("x"))
    assert (body["changes"], body["written"], body["in_sync"]) == ([], [], True)


def test_what_was_mended_and_resumed_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("version: 1\nca: {}\n")
    (planned,) = plan_specs(load_specs([tmp_path / "shop.yaml"]), tmp_path, Scene(tmp_path).now)
    body = json_v1.outcome(Outcome(planned.plan, (), ("a/b",), ("c/key.pem",), recovery=Recovery.COMPLETED), Path("x"))
    assert (body["removed"], body["mended"], body["resumed"]) == (["a/b"], ["c/key.pem"], True)


def test_any_text_is_valid_json() -> None:
    nasty = 'quote " backslash \\ newline \n escape \x1b lone \udc80 emoji \U0001f600'
    text = json_v1.render("x", {"diagnostics": [json_v1.diagnostic(Diagnostic(Severity.NOTE, "c", nasty))]})
    assert text.isascii()
    assert json.loads(text)["diagnostics"][0]["message"] == nasty
