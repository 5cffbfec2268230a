"""A plan, or what became of it, for people: a line an address, a summary line last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path

from certgen.apply import Outcome
from certgen.diagnostics import Diagnostic, Severity, without_keys
from certgen.plan.notices import recovered
from certgen.plan.values import Action, Change, KeyFate, Plan, Reason, ReasonCode, TextChange
from certgen.report.paint import Painter, Style, plain, printable, wrapped

_SIGNS = {
    Action.ISSUE: ("+", Style.ADDED),
    Action.RENEW: ("~", Style.CHANGED),
    Action.UPDATE: ("~", Style.CHANGED),
    Action.REKEY: ("!", Style.CHANGED),
    Action.WRITE: ("=", Style.CHANGED),
    Action.REMOVE: ("-", Style.REMOVED),
}
_DONE = {
    Action.ISSUE: "issued",
    Action.RENEW: "renewed",
    Action.UPDATE: "updated",
    Action.REKEY: "re-keyed",
    Action.WRITE: "written",
    Action.REMOVE: "removed",
}
_DONE_BY_THEN = frozenset({"key-mode", "keys-to-open"})
"""What a plan has to say, and a run has seen to."""
_SAID_ONCE = frozenset({"put-off", "issuer-ends", "cut-short"})
"""Notices that a whole fleet can share."""

_KEYS = {
    KeyFate.KEPT: "key kept",
    KeyFate.NEW: "new key",
    KeyFate.ELSEWHERE: "key is elsewhere",
}


def render_plan(plan: Plan, folder: Path, paint: Painter = plain, width: int | None = None) -> str:
    """Write what `apply` would do to one tree.

    Args:
        plan: the plan.
        folder: the tree's folder.
        paint: gives the colours.
        width: the terminal's width in characters; None for no terminal.
    """
    lines = [*_lines(plan, paint, width), _headed(plan.name, describe_plan(plan, folder), paint, width)]
    return "\n".join(lines) + "\n"


def render_outcome(outcome: Outcome, folder: Path, paint: Painter = plain, width: int | None = None) -> str:
    """Write what was done to one tree, in the words of the plan."""
    plan = outcome.plan
    if outcome.is_empty:
        return _headed(plan.name, f"nothing to do, {_entries(len(plan.kept))} in sync", paint, width) + "\n"
    counts = Counter(change.action for change in plan.changes)
    mended = len(outcome.mended)
    parts = [f"{counts[action]} {_DONE[action]}" for action in Action if counts[action]]
    parts += [f"{mended} file mode{'s' if mended > 1 else ''} mended"] if mended else []
    parts += [f"{len(plan.kept)} in sync"] if plan.kept else []
    lines = [*_lines(plan, paint, width)]
    lines.append(_headed(plan.name, f"{', '.join(parts)} ({printable(str(folder))})", paint, width))
    return "\n".join(lines) + "\n"


def plan_diagnostics(plan: Plan) -> tuple[Diagnostic, ...]:
    """Give all that a plan has to say beside its changes: what is in the way first, then warnings and notes."""
    modes = (
        Diagnostic(
            Severity.WARNING,
            "key-mode",
            f"{mode.address}/{mode.file} has mode {mode.was:04o}, asked is {mode.wanted:04o}",
            help="`certgen apply` mends it",
            where=f"{mode.address}/{mode.file}",
        )
        for mode in plan.modes
    )
    return (*plan.obstacles, *plan.consents, *_grouped(plan.notices), *modes)


def outcome_diagnostics(outcome: Outcome, folder: Path) -> tuple[Diagnostic, ...]:
    """Give all that a run has to say beside what it did; modes are mended by then."""
    said = (item for item in plan_diagnostics(outcome.plan) if item.code not in _DONE_BY_THEN)
    return (*recovered(outcome.recovery, str(folder)), *said)


def _grouped(notices: Iterable[Diagnostic]) -> Iterable[Diagnostic]:
    """Say once what holds for many, with their number."""
    items = list(notices)
    counts = Counter(item.code for item in items if item.code in _SAID_ONCE)
    said: set[str] = set()
    for item in items:
        more = counts[item.code] - 1
        if item.code not in said:
            yield replace(item, message=f"{item.message} (and {more} more)") if more > 0 else item
        if item.code in _SAID_ONCE:
            said.add(item.code)


def describe_reason(reason: Reason) -> str:
    """Say a reason with its evidence in a few words."""
    about = f" {reason.what}" if reason.what else ""
    if reason.code is ReasonCode.SANS_CHANGED:
        return f"{reason.code}: {_difference(reason.was or '', reason.wanted or '')}"
    match reason.was, reason.wanted:
        case None, None:
            return f"{reason.code}{about}"
        case was, None:
            return f"{reason.code}{about}: {was}"
        case None, wanted:
            return f"{reason.code}{about}: {wanted}"
        case was, wanted:
            return f"{reason.code}{about}: {was} -> {wanted}"


def describe_plan(plan: Plan, folder: Path) -> str:
    """Sum up what `apply` would do to one tree."""
    if plan.obstacles:
        return f"stuck, {len(plan.obstacles)} in the way; nothing can be applied"
    if not plan.changes:
        state = "to be finished" if plan.is_interrupted else "in sync"
        return f"{state}, {_entries(len(plan.kept))}"
    counts = Counter(change.action for change in plan.changes)
    parts = [f"{counts[action]} to {action}" for action in Action if counts[action]]
    refused = "; `apply` refuses it as it stands" if plan.consents else ""
    return f"{', '.join(parts)}, {len(plan.kept)} in sync ({printable(str(folder))}){refused}"


def describe_change(change: Change) -> str:
    """Say why something happens to one address, and what becomes of its key."""
    reasons = "; ".join(describe_reason(reason) for reason in change.reasons)
    return f"{reasons} ({_KEYS[change.key]})" if change.key else reasons


def _lines(plan: Plan, paint: Painter, width: int | None) -> Iterable[str]:
    for widening in plan.widenings:
        yield paint(wrapped(f"  ! {printable(str(widening))}", width, "    "), Style.WARNING)
    longest = max((len(str(change.address)) for change in plan.changes), default=0)
    for change in plan.changes:
        yield _change(change, min(longest, 32), paint, width)


def render_differences(plan: Plan, paint: Painter = plain) -> str:
    """Write how the rendered files that are there would change, as unified diffs."""
    return "".join(f"{_painted(line, paint)}\n" for _, lines in differences(plan) for line in lines)


def differences(plan: Plan) -> Iterable[tuple[str, list[str]]]:
    """Give how the rendered files that are there would change: the path of each, and the lines of a unified diff."""
    for change in plan.changes:
        for text in change.texts:
            if text.was and change.action is not Action.ISSUE:
                path = f"{change.address}/{text.name}"
                yield path, difference(path, text)


def difference(path: str, text: TextChange) -> list[str]:
    """Give how one rendered file changes, as the lines of a unified diff."""
    if b"PRIVATE KEY-----" in text.was:
        return [f"{path} holds a private key, and so the difference is not shown"]
    before, after = text.was.decode("utf-8", "replace").splitlines(), text.wanted.decode().splitlines()
    lines = unified_diff(before, after, f"a/{path}", f"b/{path}", n=2, lineterm="")
    shown = [printable(without_keys(line.expandtabs(4))) for line in lines]
    return shown or [f"{path} differs in the ends of its lines alone"]


def _painted(line: str, paint: Painter) -> str:
    match line[:1]:
        case "+":
            return paint(f"    {line}", Style.ADDED)
        case "-":
            return paint(f"    {line}", Style.REMOVED)
        case _:
            return f"    {line}"


def _change(change: Change, column: int, paint: Painter, width: int | None) -> str:
    sign, style = _SIGNS[change.action]
    head = f"  {sign} {change.address!s:<{column}}  {change.action:<6}  "
    body = wrapped(f"{head}{printable(describe_change(change))}", width, " " * min(len(head), 24))
    return body.replace(f"  {sign} ", f"  {paint(sign, style)} ", 1)


def _headed(name: str, text: str, paint: Painter, width: int | None) -> str:
    """Write a summary line, its tree's name first."""
    return wrapped(f"{name}: {text}", width, "  ").replace(name, paint(name, Style.STRONG), 1)


def _entries(count: int) -> str:
    return f"{count} entry" if count == 1 else f"{count} entries"


def _difference(was: str, wanted: str) -> str:
    """Show two lists of names as what was added and what was taken away."""
    before, after = _items(was), _items(wanted)
    changes = [f"+{name}" for name in after if name not in before] + [
        f"-{name}" for name in before if name not in after
    ]
    return " ".join(changes)


def _items(text: str) -> Sequence[str]:
    return [] if text == "none" else text.split(", ")
