"""A plan as a comment on a pull request: what it says, that it fits, and that a spec's texts are nothing but texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from scene import NOW, Scene
from smuggling import PAYLOADS, Compiled, compiled_once, obeyed

from certgen.diagnostics import Diagnostic, Severity, Span, error
from certgen.model import Address, Section
from certgen.plan.values import Action, Change, KeyFate, Plan, Reason, ReasonCode, TextChange, Widening
from certgen.report import markdown
from certgen.report.findings import Decided, Findings, SpecFindings
from certgen.report.markdown import LIMIT, code, fenced, prose, render
from certgen.report.paint import printable

SPEC = """\
version: 1
cas:
  root:
clients:
  checkout:
servers:
  api: {sans: [api.shop.example], snippets: [nginx]}
  web: {sans: [shop.example]}
"""
API = Address(Section.SERVERS, "api")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled_once(tmp_path_factory)


def findings(scene: Scene, *, at: timedelta = timedelta(0), no_renew: bool = False) -> Findings:
    planned = scene.planned(NOW + at, no_renew=no_renew)
    return Findings(
        scene.folder,
        tuple(SpecFindings(item.loaded, Decided(item.plan, Path("output/shop"), item.observed)) for item in planned),
    )


def changed(found: Findings, **changes: object) -> Findings:
    """Give findings with another plan for their one spec."""
    (spec,) = found.specs
    assert spec.decided is not None
    plan = replace(spec.decided.plan, **changes)  # type: ignore[arg-type]
    return replace(found, specs=(replace(spec, decided=replace(spec.decided, plan=plan)),))


def plan_of(found: Findings) -> Plan:
    (spec,) = found.specs
    assert spec.decided is not None
    return spec.decided.plan


@pytest.fixture
def settled(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.run()
    return scene


# What it says


def test_a_spec_in_sync_is_one_line(settled: Scene) -> None:
    assert render(findings(settled)) == "**`shop`**: in sync, 4 entries\n"


def test_changes_are_a_table(settled: Scene) -> None:
    settled.edit(("[api.shop.example]", "[api.shop.example, api.internal]"))
    text = render(findings(settled))
    assert text == (
        "### `shop`\n\n1 to update, 3 in sync (`output/shop`)\n\n"
        "| address | action | key | why |\n|---|---|---|---|\n"
        "| `servers/api` | update | kept | `sans_changed: +DNS:api.internal` |\n"
    )


def test_a_rendered_file_is_shown_as_a_difference(settled: Scene) -> None:
    settled.edit(("snippets: [nginx]}", "deploy_dir: /srv/api, snippets: [nginx]}"))
    text = render(findings(settled))
    assert "<details><summary><code>servers/api/nginx-server.conf</code></summary>\n\n```diff\n--- a/servers" in text
    assert "\n+ssl_certificate         /srv/api/cert.pem;\n" in text
    assert text.endswith("\n```\n\n</details>\n")


def test_whose_trust_widens_comes_before_all_changes(settled: Scene) -> None:
    found = findings(settled)
    assert "CAUTION" not in render(found)
    change = Change(API, Action.WRITE, (Reason(ReasonCode.TRUST_CHANGED, what="ca.pem"),))
    text = render(changed(found, changes=(change,), widenings=(Widening(API, "clients of", "cas/partner"),)))
    caution = "> [!CAUTION]\n> **Whose trust widens:**\n>\n> - `servers/api` now accepts clients of `cas/partner`\n"
    assert caution in text
    assert text.index("CAUTION") < text.index("| address |")


def test_what_is_in_the_way_and_what_to_do_is_said(settled: Scene) -> None:
    settled.edit(("root:", "root: {common_name: Another}"))
    text = render(findings(settled))
    assert (
        "- **error** `root-in-the-field`: `cas/root` is a root: machines that certgen does not see know it by its "
        "present name<br>help: `--renew cas/root` gives it the new one\n"
    ) in text
    assert "`apply` refuses it as it stands" in text


def test_what_ends_soon_is_listed_though_it_stays_as_it_is(settled: Scene) -> None:
    assert "Ends within" not in render(findings(settled))
    soon = render(findings(settled, at=timedelta(days=350), no_renew=True))
    assert soon.startswith(
        "**`shop`**: in sync, 4 entries\n\nEnds within 30 days, and stays as it is:\n\n- `servers/api` `2027"
    )
    assert soon.count(", 14 days left\n") == 3
    assert "cas/root" not in soon


def test_what_is_renewed_is_not_listed_as_ending(settled: Scene) -> None:
    text = render(findings(settled, at=timedelta(days=350)))
    assert text.count("| renew |") == 3
    assert "Ends within" not in text


def test_a_spec_that_cannot_be_read_is_told_with_its_places(tmp_path: Path) -> None:
    span = Span(str(tmp_path / "specs/shop.yaml"), 5, 3, 4, "  expr: 90d")
    problem = Diagnostic(Severity.ERROR, "unknown-field", "unknown field `expr`", help="remove it", span=span)
    found = Findings(tmp_path, diagnostics=(problem, error("no-specs", "there is no spec", where="specs")))
    assert render(found) == (
        "### certgen cannot say what would happen\n\n"
        "- **error** `unknown-field` `specs/shop.yaml:5:3`: unknown field `expr`<br>help: remove it\n"
        "- **error** `no-specs` `specs`: there is no spec\n"
    )


def test_what_belongs_to_no_spec_comes_last(settled: Scene) -> None:
    warning = Diagnostic(Severity.WARNING, "unclaimed-tree", "output/old belongs to no spec", where="output/old")
    text = render(replace(findings(settled), diagnostics=(warning,)))
    assert text == (
        "**`shop`**: in sync, 4 entries\n\n### Beside these specs\n\n"
        "- **warning** `unclaimed-tree`: `output/old` belongs to no spec\n"
    )


# That it fits


def many(count: int) -> tuple[Change, ...]:
    reasons = (Reason(ReasonCode.SUBJECT_CHANGED, "CN=" + "a" * 80, "CN=" + "b" * 80),)
    return tuple(Change(Address(Section.CLIENTS, f"c{n}"), Action.UPDATE, reasons, KeyFate.KEPT) for n in range(count))


@pytest.mark.parametrize("count", [1, 100, 200, 1000, 5000])
def test_what_does_not_fit_is_left_out_row_by_row_and_counted(settled: Scene, count: int) -> None:
    text = render(changed(findings(settled), changes=many(count)))
    rows = text.count("| update | kept |")
    assert len(text) <= LIMIT
    assert len(text.encode()) <= LIMIT
    left = re.search(r"\*\*Left out\*\*, since a comment on GitHub holds 65536 characters: (\d+) changes\.\n\Z", text)
    assert rows + (int(left[1]) if left else 0) == count
    assert (left is None) == (count <= 200)
    assert all(line.endswith(" |") for line in text.splitlines() if line.startswith("|") and "---" not in line)


def test_the_comment_is_as_full_as_it_may_be(settled: Scene) -> None:
    assert LIMIT - 1000 < len(render(changed(findings(settled), changes=many(5000)))) <= LIMIT


def test_a_difference_that_does_not_fit_is_left_out_whole(settled: Scene) -> None:
    long = TextChange("nginx.conf", b"a\n" * 40000, b"b\n" * 40000)
    short = TextChange("short.conf", b"a\n", b"b\n")
    change = Change(API, Action.WRITE, (Reason(ReasonCode.OUTPUT_CHANGED),), texts=(long, short))
    text = render(changed(findings(settled), changes=(change,)))
    assert "<code>servers/api/short.conf</code>" in text
    assert "nginx.conf" not in text
    assert text.count("```") == 2
    assert text.endswith("holds 65536 characters: 1 difference.\n")


def test_every_heading_and_whose_trust_widens_come_before_anything_else_is_kept(settled: Scene) -> None:
    found = changed(findings(settled), changes=many(2000), widenings=(Widening(API, "clients of", "cas/partner"),))
    text = render(replace(found, specs=found.specs * 20))
    assert text.count("### `shop`\n") == text.count("CAUTION") == 20
    assert len(text) <= LIMIT


def test_nothing_stands_under_the_heading_of_another_spec(settled: Scene) -> None:
    found = changed(findings(settled), changes=many(1), widenings=(Widening(API, "clients of", "cas/" + "x" * 99),))
    text = render(replace(found, specs=found.specs * 2000))
    assert text.count("CAUTION") <= text.count("### `shop`\n") < 2000
    assert re.search(r"holds 65536 characters: \d+ specs, \d+ widenings, 2000 changes\.\n\Z", text)
    assert len(text) <= LIMIT


def test_characters_of_several_bytes_count_as_many(settled: Scene) -> None:
    reasons = (Reason(ReasonCode.SUBJECT_CHANGED, "CN=" + "中" * 80, "CN=" + "🦊" * 80),)
    changes = tuple(Change(Address(Section.CLIENTS, f"c{n}"), Action.UPDATE, reasons) for n in range(500))
    assert len(render(changed(findings(settled), changes=changes)).encode()) <= LIMIT


# Words


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("a", "`a`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("``a", "``` ``a ```"),
        (" a ", "`  a  `"),
        ("  ", "`  `"),
        ("a|b", "`a`&#124;`b`"),
        ("|", "&#124;"),
        ("a\\|b", "`a\\`&#124;`b`"),
        ("a\nb\u202e", "`a\\x0ab\\u202e`"),
        ("", ""),
    ],
)
def test_code_is_fenced_by_more_backticks_than_it_has(text: str, spans: str) -> None:
    assert code(text) == spans


@pytest.mark.parametrize("text", [text for text in PAYLOADS if printable(text) == text])
def test_code_is_read_back_to_the_letter(text: str) -> None:
    (block,) = [token for token in parser().parse(f"x {code(text)} y") if token.type == "inline"]
    assert block.children is not None
    assert "".join(child.content for child in block.children) == f"x {text} y"


@pytest.mark.parametrize(
    ("sentence", "written"),
    [
        ("did you mean `validity`?", "did you mean `validity`?"),
        ("`certgen apply` mends it", "`certgen apply` mends it"),
        ("re-issues all, and (perhaps) more: 3 of 12", "re-issues all, and (perhaps) more: 3 of 12"),
        ("servers/api ends on 2027-01-31", "`servers/api` ends on `2027-01-31`"),
        ("see (output/shop); then", "see (`output/shop`); then"),
        ("@octocat #1 GH-1 defaced x@y.example", "`@octocat` `#1` `GH-1` `defaced` `x@y.example`"),
        ("a  b", "a b"),
        ("", ""),
    ],
)
def test_bare_words_stay_and_all_else_is_code(sentence: str, written: str) -> None:
    assert prose(sentence) == written


def test_a_block_of_code_is_fenced_by_more_backticks_than_it_has() -> None:
    assert fenced(["a"], "diff") == "```diff\na\n```\n"
    assert fenced(["````", "b"], "diff") == "`````diff\n````\nb\n`````\n"


# What a spec says is text


def parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["table", "strikethrough", "linkify"])


BARE = re.compile(r"(?:[\w'()\-,;? |!]|[.:](?=\s|\Z))*")
"""What may stand outside of code: GitHub makes nothing of it."""
REFERENCE = re.compile(r"\b(?:(?=[a-f]*[0-9])[0-9a-f]{7,40}|[A-Za-z]+-[0-9]+)\b")


def flat(tokens: list[Token]) -> list[Token]:
    return [item for token in tokens for item in (token, *flat(token.children or []))]


def skeleton(text: str) -> list[tuple[str, str]]:
    """Give all of a comment but its texts."""
    found = []
    for token in flat(parser().parse(text)):
        if token.type.startswith("html"):
            found.append((token.type, re.sub(r"<code>[^<>]*</code>", "<code></code>", token.content)))
        elif token.type not in {"inline", "code_inline", "text", "text_special"}:
            found.append((token.type, token.tag + token.info))
    return found


def bare(text: str) -> list[str]:
    """Give the texts outside of code."""
    return [token.content for token in flat(parser().parse(text)) if token.type in {"text", "text_special"}]


def is_bare(text: str) -> bool:
    return bool(BARE.fullmatch(text)) and not REFERENCE.search(text)


def assert_is_text(found: Findings, harmless: Findings) -> None:
    text = render(found)
    assert skeleton(text) == skeleton(render(harmless)), text
    assert [piece for piece in bare(text) if not is_bare(piece)] == []
    assert not [line for line in text.splitlines() if obeyed(line)]
    assert not [sign for sign in text if sign != "\n" and not sign.isprintable()]


def plainly(found: Findings) -> Findings:
    """Give findings with other words in each diagnostic."""
    words = [
        replace(item, message="it is wrong", help=item.help and "mend it", where=item.where and "specs/shop.yaml")
        for item in found.diagnostics
    ]
    return replace(found, diagnostics=tuple(words))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_spec_is_more_than_text(tree: Compiled, payload: str) -> None:
    found, harmless, refused = tree.with_payload(payload)
    assert len(plan_of(found).changes) >= 1
    assert_is_text(found, harmless)
    if refused is not None:
        assert_is_text(refused, plainly(refused))


def test_most_payloads_stand_in_a_plan(tree: Compiled) -> None:
    said = [payload for payload in PAYLOADS if payload.isprintable() and payload.strip() == payload]
    assert len(PAYLOADS) >= 100
    shown = [payload for payload in said if "subject_changed" in render(tree.with_payload(payload)[0])]
    assert shown == said


@pytest.mark.parametrize(
    "text", ["@octocat", "#1", "GH-1", "deadbeef1", "www.evil.example", ":tada:", "a*b", "<b>", "https://a", "a/b#1"]
)
def test_a_text_that_github_makes_something_of_would_be_seen(text: str) -> None:
    assert not is_bare(text)
    assert is_bare("harmless words, and 12 (more): so.")


def _as_it_is(text: str) -> str:
    return text


def _in_single_backticks(text: str) -> str:
    return f"`{printable(text)}`"


def _with_pipes(text: str) -> str:
    fence = "`" * 9
    return f"{fence} {printable(text)} {fence}"


def _backslashed(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|])", r"\\\1", text)


@pytest.mark.parametrize(
    ("broken", "least"), [(_as_it_is, 30), (_in_single_backticks, 10), (_with_pipes, 5), (_backslashed, 10)]
)
def test_a_writing_that_is_not_safe_would_be_seen(
    tree: Compiled, monkeypatch: pytest.MonkeyPatch, broken: Callable[[str], str], least: int
) -> None:
    plans = [tree.with_payload(payload)[:2] for payload in PAYLOADS]
    monkeypatch.setattr(markdown, "code", broken)
    seen = [found for found, harmless in plans if skeleton(render(found)) != skeleton(render(harmless))]
    assert least <= len(seen) < len(plans)
