"""A plan in words: each action with its sign, each reason with its evidence, the key's fate, and the summary."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certgen.apply import Outcome
from certgen.diagnostics import Diagnostic, Severity, error
from certgen.journal import Recovery
from certgen.model import Address, Section
from certgen.plan.values import (
    Action,
    Change,
    KeyFate,
    ModeChange,
    Plan,
    Reason,
    ReasonCode,
    TreeFile,
    Widening,
)
from certgen.report.paint import Style
from certgen.report.plan import describe_reason, outcome_diagnostics, plan_diagnostics, render_outcome, render_plan

API = Address(Section.SERVERS, "api")
CA = Address(Section.CAS, "ca")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOLDER = Path("output/shop")


def plan_of(*changes: Change, kept: tuple[Address, ...] = ()) -> Plan:
    return Plan("shop", NOW, changes, kept)


def change(action: Action, *reasons: Reason, key: KeyFate | None = None, address: Address | TreeFile = API) -> Change:
    return Change(address, action, reasons, key)


def lines(plan: Plan, width: int | None = None) -> list[str]:
    return render_plan(plan, FOLDER, width=width).splitlines()


# Reasons


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason(ReasonCode.MISSING), "missing"),
        (Reason(ReasonCode.MISSING, what="cert.pem"), "missing cert.pem"),
        (
            Reason(ReasonCode.UNREADABLE, "not a PEM certificate that can be read", what="cert.pem"),
            "unreadable cert.pem: not a PEM certificate that can be read",
        ),
        (Reason(ReasonCode.KEY_MISSING, what="key.pem"), "key_missing key.pem"),
        (
            Reason(ReasonCode.KEY_MISMATCH, "key aa", "key bb", "the certificate"),
            "key_mismatch the certificate: key aa -> key bb",
        ),
        (
            Reason(ReasonCode.KEY_ALGORITHM_CHANGED, "rsa-2048", "ecdsa-p256"),
            "key_algorithm_changed: rsa-2048 -> ecdsa-p256",
        ),
        (Reason(ReasonCode.SUBJECT_CHANGED, "CN=a", "CN=b"), "subject_changed: CN=a -> CN=b"),
        (Reason(ReasonCode.SANS_CHANGED, "DNS:a, DNS:b", "DNS:b, DNS:c"), "sans_changed: +DNS:c -DNS:a"),
        (Reason(ReasonCode.SANS_CHANGED, "none", "DNS:c"), "sans_changed: +DNS:c"),
        (Reason(ReasonCode.SANS_CHANGED, "DNS:a", "none"), "sans_changed: -DNS:a"),
        (
            Reason(ReasonCode.EXTENSIONS_CHANGED, "CA:TRUE", "CA:FALSE", "basicConstraints"),
            "extensions_changed basicConstraints: CA:TRUE -> CA:FALSE",
        ),
        (Reason(ReasonCode.ISSUER_CHANGED, "CN=a", "CN=b"), "issuer_changed: CN=a -> CN=b"),
        (Reason(ReasonCode.SIGNATURE_INVALID), "signature_invalid"),
        (Reason(ReasonCode.VALIDITY_CHANGED, "90 days", "30 days"), "validity_changed: 90 days -> 30 days"),
        (Reason(ReasonCode.OUTLIVES_ISSUER, "2027", "2026"), "outlives_issuer: 2027 -> 2026"),
        (Reason(ReasonCode.NOT_YET_VALID, "2027-01-01"), "not_yet_valid: 2027-01-01"),
        (Reason(ReasonCode.EXPIRED, "2025-01-01"), "expired: 2025-01-01"),
        (Reason(ReasonCode.RENEWAL_DUE, "ends 2027, in 9 days"), "renewal_due: ends 2027, in 9 days"),
        (Reason(ReasonCode.PATH_CHANGED, "a", "b", "cert.pem"), "path_changed cert.pem: a -> b"),
        (
            Reason(ReasonCode.TRUST_CHANGED, wanted="a root is signed anew", what="ca.pem"),
            "trust_changed ca.pem: a root is signed anew",
        ),
        (Reason(ReasonCode.OUTPUT_CHANGED, what="nginx.conf"), "output_changed nginx.conf"),
        (Reason(ReasonCode.FILE_DRIFTED, "edited", what="ca.pem"), "file_drifted ca.pem: edited"),
        (Reason(ReasonCode.ORPHANED, what="not in the spec"), "orphaned not in the spec"),
        (Reason(ReasonCode.REQUESTED, what="--rekey"), "requested --rekey"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_reason_is_said_with_its_evidence(reason: Reason, words: str) -> None:
    assert describe_reason(reason) == words


# Actions


@pytest.mark.parametrize(
    ("action", "key", "line"),
    [
        (Action.ISSUE, KeyFate.NEW, "  + servers/api  issue   missing (new key)"),
        (Action.RENEW, KeyFate.KEPT, "  ~ servers/api  renew   missing (key kept)"),
        (Action.UPDATE, KeyFate.ELSEWHERE, "  ~ servers/api  update  missing (key is elsewhere)"),
        (Action.REKEY, KeyFate.NEW, "  ! servers/api  rekey   missing (new key)"),
        (Action.WRITE, None, "  = servers/api  write   missing"),
        (Action.REMOVE, None, "  - servers/api  remove  missing"),
    ],
)
def test_each_action_has_its_sign_and_tells_the_keys_fate(action: Action, key: KeyFate | None, line: str) -> None:
    shown = lines(plan_of(change(action, Reason(ReasonCode.MISSING), key=key)))
    assert shown == [line, f"shop: 1 to {action}, 0 in sync (output/shop)"]


def test_several_reasons_stand_in_one_line() -> None:
    reasons = Reason(ReasonCode.EXPIRED, "2025"), Reason(ReasonCode.SUBJECT_CHANGED, "CN=a", "CN=b")
    assert lines(plan_of(change(Action.RENEW, *reasons, key=KeyFate.KEPT)))[0] == (
        "  ~ servers/api  renew   expired: 2025; subject_changed: CN=a -> CN=b (key kept)"
    )


def test_addresses_and_actions_are_aligned() -> None:
    missing = Reason(ReasonCode.MISSING)
    shown = lines(
        plan_of(
            change(Action.WRITE, missing, address=TreeFile(".gitignore")),
            change(Action.ISSUE, missing, address=CA),
            change(Action.UPDATE, missing, address=Address(Section.PEERS, "a-longer-name")),
        )
    )
    assert {line.index("missing") for line in shown[:3]} == {shown[0].index("missing")}
    assert shown[0].startswith("  = .gitignore           write   missing")


def test_a_name_of_63_characters_does_not_push_the_others_out_of_sight() -> None:
    missing = Reason(ReasonCode.MISSING)
    long = change(Action.ISSUE, missing, address=Address(Section.SERVERS, "a" * 63))
    shown = lines(plan_of(long, change(Action.ISSUE, missing, address=CA)))
    assert shown[0].startswith(f"  + servers/{'a' * 63}  issue   missing")
    assert shown[1].index("missing") < 60


# Summaries


def test_a_plan_without_changes_is_in_sync() -> None:
    assert lines(plan_of(kept=(CA, API))) == ["shop: in sync, 2 entries"]
    assert lines(plan_of(kept=(CA,))) == ["shop: in sync, 1 entry"]


def test_the_summary_counts_each_action_in_one_order() -> None:
    reason = Reason(ReasonCode.MISSING)
    changes = [change(action, reason) for action in (Action.REMOVE, Action.UPDATE, Action.UPDATE, Action.ISSUE)]
    assert lines(plan_of(*changes, kept=(CA,)))[-1] == (
        "shop: 1 to issue, 2 to update, 1 to remove, 1 in sync (output/shop)"
    )


def test_a_plan_that_is_stuck_says_so_whatever_it_would_change() -> None:
    stuck = replace(plan_of(change(Action.ISSUE, Reason(ReasonCode.MISSING))), obstacles=(error("x", "y"),))
    assert lines(stuck)[-1] == "shop: stuck, 1 in the way; nothing can be applied"


def test_widened_trust_is_said_before_everything_else() -> None:
    plan = replace(
        plan_of(change(Action.WRITE, Reason(ReasonCode.TRUST_CHANGED, "a", "b", "ca.pem"))),
        widenings=(Widening(API, "clients of", "partner-root"),),
    )
    assert lines(plan)[0] == "  ! servers/api now accepts clients of partner-root"


# Outcomes


def done(plan: Plan, *, mended: tuple[str, ...] = ()) -> str:
    written = tuple(f"{change.address}/cert.pem" for change in plan.changes)
    return render_outcome(Outcome(plan, written, (), mended), FOLDER)


@pytest.mark.parametrize(
    ("action", "word"),
    [
        (Action.ISSUE, "issued"),
        (Action.RENEW, "renewed"),
        (Action.UPDATE, "updated"),
        (Action.REKEY, "re-keyed"),
        (Action.WRITE, "written"),
        (Action.REMOVE, "removed"),
    ],
)
def test_what_was_done_is_said_in_the_past(action: Action, word: str) -> None:
    shown = done(plan_of(change(action, Reason(ReasonCode.MISSING)), kept=(CA,)))
    assert shown.splitlines()[-1] == f"shop: 1 {word}, 1 in sync (output/shop)"


def test_a_run_that_did_nothing_says_so() -> None:
    assert done(plan_of(kept=(CA, API))) == "shop: nothing to do, 2 entries in sync\n"
    assert done(plan_of(kept=(CA,))) == "shop: nothing to do, 1 entry in sync\n"


@pytest.mark.parametrize(("count", "words"), [(1, "1 file mode mended"), (2, "2 file modes mended")])
def test_modes_that_were_mended_are_counted(count: int, words: str) -> None:
    mended = tuple(f"servers/a{number}/key.pem" for number in range(count))
    assert done(plan_of(kept=(CA,)), mended=mended) == f"shop: {words}, 1 in sync (output/shop)\n"


@pytest.mark.parametrize(
    ("recovery", "notes"),
    [
        (Recovery.NONE, []),
        (Recovery.COMPLETED, ["output/shop: what an interrupted run had committed to was completed"]),
        (
            Recovery.DISCARDED,
            ["output/shop: an interrupted run had committed to nothing; what it had begun was thrown away"],
        ),
    ],
)
def test_what_was_made_of_an_interrupted_run_is_told_in_one_line(recovery: Recovery, notes: list[str]) -> None:
    said = outcome_diagnostics(Outcome(plan_of(kept=(CA,)), (), (), (), recovery), FOLDER)
    assert [(item.severity, item.code, item.message) for item in said] == [
        (Severity.NOTE, "interrupted", note) for note in notes
    ]


def test_a_run_that_has_not_finished_is_pending() -> None:
    plan = replace(plan_of(kept=(CA,)), is_interrupted=True)
    assert not plan.is_in_sync
    assert lines(plan) == ["shop: to be finished, 1 entry"]


# Width, escapes, colours


def test_long_reasons_are_broken_at_the_width_and_indented() -> None:
    names = ", ".join(f"DNS:host-{number}.shop.example" for number in range(12))
    shown = lines(plan_of(change(Action.UPDATE, Reason(ReasonCode.SANS_CHANGED, "none", names))), 80)
    assert max(map(len, shown)) <= 80
    assert all(line.startswith(" " * 20) for line in shown[1:-1])
    assert len(shown) > 4
    assert len(lines(plan_of(change(Action.UPDATE, Reason(ReasonCode.SANS_CHANGED, "none", names))))) == 2


def test_summaries_and_widenings_are_broken_at_the_width_too() -> None:
    missing = Reason(ReasonCode.MISSING)
    plan = replace(
        plan_of(*(change(action, missing) for action in Action), kept=(CA,)),
        widenings=(Widening(Address(Section.SERVERS, "a" * 40), "clients of", "b" * 40),),
    )
    assert [line for line in lines(plan, 80) if len(line) > 80] == []


def test_nothing_that_a_terminal_would_obey_gets_through() -> None:
    evil = "CN=\x1b[31m\u202e\n"
    plan = replace(
        plan_of(change(Action.UPDATE, Reason(ReasonCode.SUBJECT_CHANGED, evil, evil, evil))),
        widenings=(Widening(API, "clients of", evil),),
    )
    for text in (
        render_plan(plan, Path(f"output/{evil}")),
        render_outcome(Outcome(plan, ("x",), (), ()), Path(f"output/{evil}")),
    ):
        assert text.count("\\x1b[31m\\u202e\\x0a") == 5
        assert [c for c in text if c != "\n" and not c.isprintable()] == []


def test_colours_come_from_the_painter_alone() -> None:
    plan = replace(
        plan_of(*(change(action, Reason(ReasonCode.MISSING)) for action in Action)),
        widenings=(Widening(API, "clients of", "root"),),
    )
    painted: list[tuple[str, Style]] = []

    def painter(text: str, style: Style) -> str:
        painted.append((text, style))
        return f"\x1b[1m{text}\x1b[0m"

    shown = render_plan(plan, FOLDER, painter)
    assert ("+", Style.ADDED) in painted
    assert ("-", Style.REMOVED) in painted
    assert ("~", Style.CHANGED) in painted
    assert ("shop", Style.STRONG) in painted
    assert ("  ! servers/api now accepts clients of root", Style.WARNING) in painted
    assert shown.replace("\x1b[1m", "").replace("\x1b[0m", "") == render_plan(plan, FOLDER)


def test_a_painted_line_is_broken_where_a_plain_one_is() -> None:
    names = ", ".join(f"DNS:host-{number}.shop.example" for number in range(12))
    plan = plan_of(change(Action.UPDATE, Reason(ReasonCode.SANS_CHANGED, "none", names)))
    shown = render_plan(plan, FOLDER, lambda text, style: f"<{style}|{text}>", 80)
    assert re.sub(r"<\w+\|(.*?)>", r"\1", shown) == render_plan(plan, FOLDER, width=80)


# What a plan has to say beside its changes


def test_what_is_in_the_way_comes_first_then_consents_notices_and_modes() -> None:
    plan = replace(
        plan_of(),
        obstacles=(error("foreign-file", "a"),),
        consents=(error("root-in-the-field", "b"),),
        notices=(Diagnostic(Severity.WARNING, "orphan", "c"),),
        modes=(ModeChange(API, "key.pem", 0o644, 0o600),),
    )
    found = plan_diagnostics(plan)
    assert [item.code for item in found] == ["foreign-file", "root-in-the-field", "orphan", "key-mode"]
    assert found[-1].severity is Severity.WARNING
    assert found[-1].message == "servers/api/key.pem has mode 0644, asked is 0600"
    assert plan_diagnostics(plan_of()) == ()
