"""Texts that would be more in Markdown, in a log of GitHub's or in SARIF, and a spec that has them everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from scene import NOW, Scene

from certgen.diagnostics import CertgenError
from certgen.pipeline import load_spec, plan_spec
from certgen.report.findings import Decided, Findings, SpecFindings

PAYLOADS: Final = (
    # links, images, HTML
    "[x](https://evil.example)", "![x](https://evil.example/a.png)", "[x][1]", "[1]: https://evil.example",
    "<https://evil.example>", "<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "</details>", "<!--", "-->",
    "<b>", "</code></summary></details><h1>x</h1>", "&lt;b&gt;", "&#60;b&#62;", "&amp;", "&#x40;octocat", "<?php",
    "]]>",
    "https://evil.example/a", "www.evil.example", "evil@evil.example", "mailto:a@evil.example", "ftp://evil.example",
    # mentions, numbers, digests, emoji, mathematics, notes
    "@octocat", "a @octocat b", "@org/team", "#1", "a #1", "GH-1", "org/repo#1", "org/repo@deadbeef1",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef", "1234567", "defaced", ":tada:", ":+1:", "$x$", "$$x$$", "[^1]", "[ ] x",
    "[!NOTE]", "#0969DA",
    # marks
    "`", "``", "```", "`x`", "``` x", "a`b``c```d", "`<b>`", "\\`", "`\\", "\\", "\\|", "|", "a|b", "||", "|---|---|",
    "| a | b |", "a\\|b`|`", "*x*", "**x**", "_x_", "__x__", "~~x~~", "***", "---", "===", "# x", "## x", "> x", "- x",
    "+ x", "* x", "1. x", "1) x", "~~~", "    x", "a  b", "<br>", "\\<b>", "x\\",
    # lines, directions, what is not seen
    "a\nb", "a\r\nb", "a\rb", "a\n\n# x", "a\n```\n<b>", "a\n| b |", "a\x0bb", "a\x0cb", "a\x85b", "a\u2028b",
    "a\u2029b",
    "a\u202eb", "a\u2066b", "a\u200bb", "\ufeffa", "a\x00b", "a\x1b[31mb", "a\x7fb", "a\u00a0b",
    # commands
    "::error::x", "::add-mask::shop", "  ::stop-commands::x", "\n::set-output name=a::b", "a%0A::error::x", "%0A",
    "%25",
    "%", "%3A%2C", "##[error]x", "a ##[add-mask]shop", "###[group]x", "x,line=1", "x::y", ",title=x::y", "::", ":",
    # SARIF
    "{0}", "{{0}}", "{x}", "}", "{", "[x](1)", "[x\\](javascript:alert(1))", '"}],"x":[{', "\\u003c", "\\n", "%2e%2e",
    # paths, and texts that mean no harm
    "..", "é", "中文", "🦊", "a b c", "O'Neil, Sons; Co.", "100% (sure)?", "x" * 60,
)  # fmt: skip
HARMLESS: Final = "harmless"

FIELDS: Final[Mapping[str, str]] = {
    "common_name": "%s",
    "organization": "%s",
    "organizational_unit": "a %s b",
    "street_address": "%s",
    "locality": "%s",
    "state": "%s",
    "postal_code": "%s",
    "serial_number": "%s",
    "deploy_dir": "/srv/%s",
    "uri": "https://shop.example/%s/x",
    "opaque": "urn:shop:%s",
    "email": "%s@shop.example",
    "other": "%s",
    "issuing": "%s CA",
    "url": "http://shop.example/%s",
    "template": "%s.j2",
}
"""Every text of a spec that can reach a plan, and what may have to stand around it; the file's own name is one more."""

SPEC: Final = """\
# {comment}
version: 1
name: shop
cas:
  root:
  issuing:
    issuer: root
    common_name: {issuing}
servers:
  api:
    issuer: issuing
    sans: [api.shop.example]
clients:
  reporting:
    issuer: issuing
    common_name: {other}
  checkout:  # {comment}
    issuer: issuing
    common_name: {common_name}
    subject:
      organization: {organization}
      organizational_unit: {organizational_unit}
      street_address: {street_address}
      locality: {locality}
      state: {state}
      postal_code: {postal_code}
      serial_number: {serial_number}
    sans:
      - {uri}
      - {opaque}
      - {email}
    ca_issuers:
      - {url}
    deploy_dir: {deploy_dir}
    snippets:
      template:
        output: shop.conf
        file: {template}
"""
TEMPLATE: Final = """\
# {{ header }}
{{ common_name }}
  {{ common_name }}
{{ subject }} {{ issuer }}
{{ sans.uri }}{{ sans.email }}
{{ folder }}
"""


@dataclass(frozen=True)
class Compiled:
    """A tree that was compiled of a harmless spec, and what a run finds when the spec has a payload.

    scene: where it is.
    """

    scene: Scene
    _known: dict[str, tuple[Findings, Findings, Findings | None]] = field(default_factory=dict, repr=False)

    def plan(self, fields: Mapping[str, str], file: str, comment: str) -> Findings:
        """Plan with these texts; raises CertgenError where the spec is refused.

        fields: the texts, by field; the others stay as they are.
        file: the name of the spec.
        comment: stands in it.
        """
        path = self._write(fields, file, comment)
        planned = plan_spec(load_spec(path), self.scene.output, NOW)
        decided = Decided(planned.plan, planned.tree.root, planned.observed)
        return Findings(self.scene.folder, (SpecFindings(planned.loaded, decided),), (), (path,))

    def with_payload(self, payload: str) -> tuple[Findings, Findings, Findings | None]:
        """Plan with a payload wherever the language lets it stand.

        payload: any text.

        Returns:
            What is found; the same with a harmless text in its place; how the fields are refused that may not have it.
        """
        if payload not in self._known:
            self._known[payload] = self._with_payload(payload)
        return self._known[payload]

    def _with_payload(self, payload: str) -> tuple[Findings, Findings, Findings | None]:
        accepted, refused = dict(FIELDS), None
        while True:
            fields = {name: around % payload for name, around in accepted.items()}
            try:
                found = self.plan(fields, file_of(payload), payload)
            except CertgenError as reason:
                refused = refused or Findings(self.scene.folder, diagnostics=reason.diagnostics)
                for name in self._at_fault(reason):
                    del accepted[name]
                continue
            harmless = {name: around % HARMLESS for name, around in accepted.items()}
            return found, self.plan(harmless, file_of(HARMLESS), HARMLESS), refused

    def _at_fault(self, reason: CertgenError) -> set[str]:
        """Name the fields that a refusal points at; one that points at none is not expected."""
        lines = SPEC.splitlines()
        spans = [problem.span for problem in reason.diagnostics if problem.is_error and problem.span is not None]
        found = {name for span in spans for name in FIELDS if f"{{{name}}}" in lines[span.line - 1]}
        return found or {"a field that is at fault"}

    def _write(self, fields: Mapping[str, str], file: str, comment: str) -> Path:
        texts = {name: around % "benign" for name, around in FIELDS.items()} | dict(fields)
        quoted = {name: quote(text) for name, text in texts.items()}
        for old in self.scene.specs.iterdir():
            old.unlink()
        path = self.scene.specs / file
        line = "".join(c if c.isprintable() else "?" for c in comment)
        path.write_text(SPEC.format(comment=line, **quoted), encoding="utf-8")
        if "/" not in texts["template"] and "\0" not in texts["template"]:
            (self.scene.specs / texts["template"]).write_text(TEMPLATE)
        return path


def compiled_once(factory: pytest.TempPathFactory) -> Compiled:
    """Give the tree that all tests of one process share."""
    return compiled(factory.getbasetemp() / "smuggling")


@cache
def compiled(folder: Path) -> Compiled:
    """Compile the spec with harmless texts."""
    found = Compiled(Scene(folder))
    found._write({}, "benign.yaml", "benign")
    found.scene.run()
    return found


def file_of(payload: str) -> str:
    """Give the name of a file that has a payload."""
    return f"{payload.replace('/', '_').replace(chr(0), '_')}.yaml"


def quote(text: str) -> str:
    """Write any text as a scalar of YAML."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


COMMANDS: Final = frozenset(
    {
        "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice",
        "remove-matcher",
        "save-state", "set-env", "set-output", "stop-commands", "warning", "internal-set-repo-path",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Obeyed:
    """A line as GitHub's runner takes it (ActionCommand.cs): a command, its properties, its message."""

    command: str
    properties: Mapping[str, str]
    message: str


def obeyed(line: str) -> Obeyed | None:
    """Read a line of a log as the runner does; None where it is no command to it."""
    return _second(line) or _first(line)


def _second(line: str) -> Obeyed | None:
    text = line.lstrip()
    end = text.find("::", 2) if text.startswith("::") else -1
    if end < 0:
        return None
    name, _, rest = text[2:end].partition(" ")
    if name.lower() not in COMMANDS:
        return None
    pairs = [pair.split("=", 1) for pair in rest.strip().split(",") if pair]
    properties = {pair[0]: _plain(pair[1], "%0D", "%0A", "%3A", "%2C") for pair in pairs if len(pair) == 2}
    return Obeyed(name, properties, _plain(text[end + 2 :], "%0D", "%0A"))


def _first(line: str) -> Obeyed | None:
    start = line.find("##[")
    end = line.find("]", start)
    name = line[start + 3 : end].split(" ", maxsplit=1)[0].lower()
    return Obeyed(name, {}, line[end + 1 :]) if start >= 0 and end >= 0 and name in COMMANDS else None


def _plain(text: str, *escapes: str) -> str:
    for escape in escapes:
        text = text.replace(escape, chr(int(escape[1:], 16)))
    return text.replace("%25", "%")
