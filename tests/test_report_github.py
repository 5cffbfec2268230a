"""A plan as annotations of GitHub Actions: at which lines, in which order, and that no text is a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from smuggling import PAYLOADS, Compiled, Obeyed, compiled_once, obeyed

from certgen.diagnostics import Diagnostic, Severity, Span, error
from certgen.model import Address, Section
from certgen.plan.values import Action, Change, KeyFate, Plan, Reason, ReasonCode, TreeFile, Widening
from certgen.report import github
from certgen.report.findings import Findings
from certgen.report.github import render
from certgen.report.paint import printable
from certgen.report.remarks import remarks

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled_once(tmp_path_factory)


@pytest.fixture
def settled(tree: Compiled) -> Findings:
    """Findings of a spec that is in sync."""
    found, _, _ = tree.with_payload("benign")
    return replaced(found, changes=())


def replaced(found: Findings, **changes: object) -> Findings:
    """Give findings with another plan for their one spec."""
    (spec,) = found.specs
    plan = replace(plan_of(found), **changes)  # type: ignore[arg-type]
    assert spec.decided is not None
    return replace(found, specs=(replace(spec, decided=replace(spec.decided, plan=plan)),))


def plan_of(found: Findings) -> Plan:
    (spec,) = found.specs
    assert spec.decided is not None
    return spec.decided.plan


def change(address: str, action: Action = Action.UPDATE) -> Change:
    where = Address.parse(address) if "/" in address else TreeFile(address)
    return Change(where, action, (Reason(ReasonCode.SANS_CHANGED, "DNS:a", "DNS:b"),), KeyFate.KEPT)


def commands_of(found: Findings) -> list[Obeyed]:
    """Read what is printed as the runner does; each line must be a command."""
    commands = [obeyed(line) for line in render(found).split("\n")[:-1]]
    assert all(commands)
    return [command for command in commands if command is not None]


# Where


@pytest.mark.parametrize(
    ("address", "line", "column"),
    [
        ("servers/api", 10, 3),
        ("cas/issuing", 6, 3),
        ("clients/checkout", 17, 3),
        ("clients/gone", 1, 1),
        (".gitignore", 1, 1),
    ],
)
def test_a_change_stands_where_its_entry_begins_or_at_the_top(
    settled: Findings, address: str, line: int, column: int
) -> None:
    assert render(replaced(settled, changes=(change(address),))) == (
        f"::notice file=specs/benign.yaml,line={line},col={column},title=certgen plan/update::"
        f"{address}: update, sans_changed: +DNS:b -DNS:a (key kept)\n"
    )


def test_the_lines_are_those_of_the_spec(tree: Compiled) -> None:
    found = tree.plan({}, "benign.yaml", "benign")
    (told,) = commands_of(replaced(found, changes=(change("servers/api"),)))
    assert found.paths[0].read_text().splitlines()[int(told.properties["line"]) - 1] == "  api:"


def test_a_warning_of_an_entry_stands_where_it_begins(settled: Findings) -> None:
    put_off = Diagnostic(Severity.WARNING, "put-off", "it is put off", help="sign it", where="servers/api")
    mode = Diagnostic(Severity.WARNING, "key-mode", "has mode 0644", where="servers/api/key.pem")
    tree_ = Diagnostic(Severity.WARNING, "manifest", "it is damaged", where="output/shop")
    first, second, third = commands_of(replaced(settled, notices=(put_off, mode, tree_)))
    assert first == Obeyed(
        "warning",
        {"file": "specs/benign.yaml", "line": "10", "col": "3", "title": "certgen put-off"},
        "it is put off (servers/api)\nhelp: sign it",
    )
    assert (second.properties["line"], second.message) == ("10", "has mode 0644 (servers/api/key.pem)")
    assert (third.properties["line"], third.message) == ("1", "it is damaged (output/shop)")


def test_a_mistake_in_a_spec_stands_where_it_is(tmp_path: Path) -> None:
    span = Span(str(tmp_path / "specs/shop.yaml"), 5, 3, 4, "  expr: 90d")
    problem = Diagnostic(Severity.ERROR, "unknown-field", "unknown field `expr`", help="remove it", span=span)
    whole = error("not-utf-8", "not UTF-8", where="specs/a.yaml")
    nowhere = error("no-specs", "there is no spec", where="specs")
    found = Findings(tmp_path, diagnostics=(problem, whole, nowhere), paths=(Path("specs/a.yaml"),))
    assert render(found) == (
        "::error file=specs/shop.yaml,line=5,col=3,title=certgen unknown-field"
        "::unknown field `expr`%0Ahelp: remove it\n"
        "::error file=specs/a.yaml,line=1,col=1,title=certgen not-utf-8::not UTF-8 (specs/a.yaml)\n"
        "::error title=certgen no-specs::there is no spec (specs)\n"
    )


def test_a_file_outside_of_the_folder_keeps_its_name(tmp_path: Path) -> None:
    span = Span("/elsewhere/a.yaml", 1, 1, 1, "x")
    (found,) = commands_of(Findings(tmp_path, diagnostics=(Diagnostic(Severity.ERROR, "x", "y", span=span),)))
    assert found.properties["file"] == "/elsewhere/a.yaml"


def test_a_spec_in_sync_is_nothing_to_annotate(settled: Findings) -> None:
    assert render(settled) == ""


# In which order


def test_of_each_level_the_most_important_comes_first(settled: Findings) -> None:
    actions = (Action.WRITE, Action.RENEW, Action.UPDATE, Action.ISSUE, Action.REMOVE, Action.REKEY)
    found = replaced(
        settled,
        changes=tuple(change("servers/api", action) for action in actions),
        notices=(
            Diagnostic(Severity.NOTE, "keys-elsewhere", "they are elsewhere"),
            Diagnostic(Severity.WARNING, "put-off", "it is put off"),
        ),
        consents=(error("root-in-the-field", "a root"),),
        obstacles=(error("signer-missing", "no key"),),
        widenings=(Widening(Address(Section.SERVERS, "api"), "clients of", "cas/partner"),),
    )
    assert [(item.command, item.properties["title"]) for item in commands_of(found)] == [
        ("error", "certgen signer-missing"),
        ("error", "certgen root-in-the-field"),
        ("warning", "certgen plan/widen"),
        ("warning", "certgen put-off"),
        ("notice", "certgen plan/rekey"),
        ("notice", "certgen plan/remove"),
        ("notice", "certgen plan/issue"),
        ("notice", "certgen plan/update"),
        ("notice", "certgen plan/renew"),
        ("notice", "certgen plan/write"),
        ("notice", "certgen keys-elsewhere"),
    ]
    assert commands_of(found)[2].message == "trust widens: servers/api now accepts clients of cas/partner"
    assert commands_of(found)[2].properties["line"] == "10"


# What a spec says is text


def assert_is_text(found: Findings) -> None:
    """Demand that the runner gets just the remarks, to the letter, out of what is printed."""
    text = render(found)
    assert not [sign for sign in text if sign != "\n" and not sign.isprintable()]
    assert "##[" not in text
    expected = []
    for remark in remarks(found):
        place = {}
        if remark.place is not None:
            file = printable(remark.place.file)
            place = {"file": file, "line": str(remark.place.line), "col": str(remark.place.column)}
        properties = {**place, "title": f"certgen {remark.code}"}
        expected.append(Obeyed(LEVELS[remark.severity], properties, remark.message))
    assert expected
    assert [obeyed(line) for line in text.split("\n")[:-1]] == expected


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_spec_is_more_than_text(tree: Compiled, payload: str) -> None:
    found, harmless, refused = tree.with_payload(payload)
    assert_is_text(found)
    assert len(commands_of(found)) == len(commands_of(harmless))
    if refused is not None:
        assert_is_text(refused)


def test_a_message_is_read_back_with_its_payload(tree: Compiled) -> None:
    for payload in ("a%0A::error::x", "%25", ",title=x::y", "x,line=1", "%3A%2C"):
        found, _, _ = tree.with_payload(payload)
        (told,) = [item for item in commands_of(found) if item.message.startswith("clients/checkout: ")]
        assert f"CN={payload} " in f"{told.message} "
        assert told.properties["file"] == f"specs/{payload.replace('/', '_')}.yaml"


@pytest.mark.parametrize(
    ("name", "table"),
    [("_IN_MESSAGE", {}), ("_IN_PROPERTY", {}), ("_IN_PROPERTY", str.maketrans({"%": "%25"}))],
    ids=["messages", "properties", "commas"],
)
def test_a_writing_that_is_not_safe_would_be_seen(
    tree: Compiled, monkeypatch: pytest.MonkeyPatch, name: str, table: Mapping[int, str]
) -> None:
    plans = [tree.with_payload(payload) for payload in PAYLOADS]
    monkeypatch.setattr(github, name, table)
    assert 3 <= sum(map(_is_seen, (found for found, _, _ in plans))) < len(plans)


def _is_seen(found: Findings) -> bool:
    try:
        assert_is_text(found)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("::error file=a%2Cb,line=1::x%0Ay", Obeyed("error", {"file": "a,b", "line": "1"}, "x\ny")),
        ("  ::add-mask::x", Obeyed("add-mask", {}, "x")),
        ("7 | ##[add-mask]x", Obeyed("add-mask", {}, "x")),
        ("a ::error::x", None),
        ("::nothing::x", None),
        ("##[nothing]x", None),
    ],
)
def test_the_runner_of_these_tests_obeys_as_the_real_one_does(line: str, found: Obeyed | None) -> None:
    assert obeyed(line) == found


@pytest.mark.parametrize("write", [str, printable], ids=["as it is", "printable"])
def test_text_for_people_holds_no_command_either(write: Callable[[str], str]) -> None:
    lines = [write(f"{lead}{payload}") for payload in PAYLOADS for lead in ("", " ", "7 | ", "+")]
    commands = [line for text in lines for line in text.splitlines() if obeyed(line)]
    assert bool(commands) is (write is str)
