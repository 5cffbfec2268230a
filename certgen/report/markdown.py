"""Findings as Markdown, for a comment on a pull request: whose trust widens first, then what changes and why.

GitHub reads more out of a comment than Markdown has: mentions, numbers of issues, digests of commits, links without a
mark. It reads none of that in a code span, and so whatever a spec could have written stands in one.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Final

from certgen.diagnostics import Diagnostic
from certgen.model import Address, Certificate
from certgen.plan.values import Action, Change
from certgen.report.findings import Decided, Findings, SpecFindings
from certgen.report.paint import printable
from certgen.report.plan import describe_plan, describe_reason, differences
from certgen.report.remarks import name_from
from certgen.spec.composer import concise

LIMIT: Final = 65_536
"""Characters that a comment on GitHub may have; bytes are counted here, which are never fewer."""
_RESERVE: Final = 400
"""Bytes kept for the sentence on what was left out."""
SOON: Final = timedelta(days=30)

_BACKTICKS: Final = re.compile("`+")
_TOKEN: Final = re.compile(r"(?:`[^`]*`|\S)+")
_WORD: Final = re.compile(r"\(?(?:[^\W\d_]+(?:['-][^\W\d_]+)*\)?[,;:.?]?|[0-9]{1,6}\)?[,;:]?)")
_OTHER: Final = re.compile(r"(?:(\()(.+)(\)[,;:.?]?)|()(.+?)([,;:.?]?))", re.DOTALL)
"""A token that is no word, apart from the brackets around it and the mark after it."""
_DIGEST: Final = re.compile(r"\b[A-Fa-f]{7}")
"""A word that could be the digest of a commit."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Items of one kind, each whole in itself: it is there or it is left out."""

    section: int
    noun: str
    head: str
    items: tuple[str, ...]
    is_vital: bool = False
    """Whether it is kept before others are."""


def render(findings: Findings) -> str:
    """Write a comment, a section a spec; what does not fit into it is left out with a sentence that says so."""
    parts = [part for number, spec in enumerate(findings.specs) for part in _spec(number, spec, findings)]
    if findings.diagnostics:
        heading = "Beside these specs" if findings.specs else "certgen cannot say what would happen"
        number = len(findings.specs)
        parts += [_heading(number, f"### {heading}\n"), _remarks(number, findings.diagnostics, findings)]
    return _fitted([part for part in parts if part.items])


def code(text: str) -> str:
    """Write a text as code spans, which hold for a cell of a table, too: a pipe stands between them."""
    return "&#124;".join(_span(piece) for piece in printable(text).split("|"))


def prose(sentence: str) -> str:
    """Write a sentence: bare words as they are, what it quotes and all else as code spans."""
    return " ".join(_token(token) for token in _TOKEN.findall(printable(sentence)))


def fenced(lines: list[str], language: str) -> str:
    """Write lines as a block of code, with a fence longer than any within."""
    body = "\n".join(lines)
    fence = "`" * max(3, _longest_run(body) + 1)
    return f"{fence}{language}\n{body}\n{fence}\n"


def _span(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    # One blank at each end is not shown, unless there is nothing else (CommonMark 6.1).
    pad = " " if text.strip(" ") and (text[0] in "` " or text[-1] in "` ") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def _token(token: str) -> str:
    if _WORD.fullmatch(token) and not _DIGEST.search(token):
        return token
    parts = _OTHER.fullmatch(token)
    if parts is None:
        return code(token)
    before, text, after = (part for part in parts.groups() if part is not None)
    is_quoted = len(text) > 2 and text[0] == text[-1] == "`" and "`" not in text[1:-1]
    return f"{before}{code(text[1:-1] if is_quoted else text)}{after}"


def _spec(number: int, spec: SpecFindings, findings: Findings) -> Iterator[_Part]:
    decided = spec.decided
    if decided is not None:
        plan = decided.plan
        name, summary = code(plan.name), prose(describe_plan(plan, decided.folder))
        yield _heading(number, f"**{name}**: {summary}\n" if plan.is_in_sync else f"### {name}\n\n{summary}\n")
        widenings = tuple(f"> - {prose(str(widening))}\n" for widening in plan.widenings)
        yield _Part(number, "widening", "> [!CAUTION]\n> **Whose trust widens:**\n>\n", widenings, is_vital=True)
        rows = tuple(_row(change) for change in plan.changes)
        yield _Part(number, "change", "| address | action | key | why |\n|---|---|---|---|\n", rows)
    yield _remarks(number, spec.diagnostics, findings)
    if decided is not None:
        yield _Part(number, "certificate", "Ends within 30 days, and stays as it is:\n\n", tuple(_ends(spec, decided)))
        shown = tuple(_difference(path, lines) for path, lines in differences(decided.plan))
        yield _Part(number, "difference", "", shown)


def _heading(number: int, text: str) -> _Part:
    return _Part(number, "spec", "", (text,), is_vital=True)


def _row(change: Change) -> str:
    reasons = "<br>".join(code(concise(describe_reason(reason))) for reason in change.reasons)
    return f"| {code(str(change.address))} | {change.action} | {change.key or ''} | {reasons} |\n"


def _remarks(number: int, diagnostics: tuple[Diagnostic, ...], findings: Findings) -> _Part:
    return _Part(number, "remark", "", tuple(_remark(item, findings) for item in diagnostics))


def _remark(item: Diagnostic, findings: Findings) -> str:
    where = item.where if item.where and item.where not in item.message else None
    if item.span is not None:
        where = f"{name_from(findings.base, item.span.file)}:{item.span.line}:{item.span.column}"
    place = f" {code(where)}" if where else ""
    help_ = f"<br>help: {prose(item.help)}" if item.help else ""
    return f"- **{item.severity}** {code(item.code)}{place}: {prose(item.message)}{help_}\n"


def _ends(spec: SpecFindings, decided: Decided) -> Iterator[str]:
    """Write which of the certificates that stay will soon be over, the first to end first."""
    now = decided.plan.now
    written = (change.address for change in decided.plan.changes if change.action is Action.WRITE)
    stay = [address for address in chain(decided.plan.kept, written) if isinstance(address, Address)]
    ends = [(found.not_after, address) for address in stay if (found := _certificate(spec, decided, address))]
    for end, address in sorted(ends, key=lambda pair: (pair[0], pair[1].sort_key)):
        if end <= now + SOON:
            days = (end - now).days
            when = "is over" if end < now else f"{days} {'day' if days == 1 else 'days'} left"
            yield f"- {code(str(address))} {code(f'{end:%Y-%m-%d %H:%M}Z')}, {when}\n"


def _certificate(spec: SpecFindings, decided: Decided, address: Address) -> Certificate | None:
    entry = spec.loaded.bundle.index.get(address)
    supplied = entry.supplied if entry is not None else None
    return supplied.path[0] if supplied is not None else decided.observed[address].certificate


def _difference(path: str, lines: list[str]) -> str:
    name = html.escape(printable(path))
    return f"<details><summary><code>{name}</code></summary>\n\n{fenced(lines, 'diff')}\n</details>\n\n"


def _fitted(parts: list[_Part]) -> str:
    """Put together what fits, the vital first; nothing of a section stands without its heading."""
    room = LIMIT - _RESERVE
    kept: dict[int, str] = {}
    headed: set[int] = set()
    left: Counter[str] = Counter()
    for number, part in sorted(enumerate(parts), key=lambda numbered: not numbered[1].is_vital):
        taken: list[str] = []
        need = _size(part.head) + 1
        for item in part.items if part.noun == "spec" or part.section in headed else ():
            if need + _size(item) <= room:
                taken.append(item)
                need += _size(item)
        left[part.noun] += len(part.items) - len(taken)
        if taken:
            kept[number] = f"{part.head}{''.join(taken)}\n"
            headed.add(part.section)
            room -= need
    return f"{''.join(kept[number] for number in sorted(kept))}{_left_out(left)}".rstrip("\n") + "\n"


def _size(text: str) -> int:
    return len(text.encode())


def _left_out(left: Counter[str]) -> str:
    counts = [f"{count} {noun if count == 1 else f'{noun}s'}" for noun, count in left.items() if count]
    if not counts:
        return ""
    return f"**Left out**, since a comment on GitHub holds {LIMIT} characters: {', '.join(counts)}.\n"
