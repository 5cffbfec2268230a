"""Spec text is data: a rendered file keeps the shape that it has for a benign text, or the text is refused."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from consumer_case import cases
from samples import EVERY, one_in

from certgen.diagnostics import CertgenError
from certgen.model import Bundle
from certgen.pipeline import load_spec

PAYLOADS = (
    # ends of strings, statements, blocks and lines
    '"',
    "'",
    "`",
    '\\"',
    "\\",
    "\\\\",
    '\\\\"',
    '";',
    "';",
    '");',
    "`)",
    '"]',
    '"}',
    "};",
    "}",
    "{",
    ";",
    "; ;",
    "|",
    ">",
    "&a",
    "*a",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "a\x00b",
    "a\x1b[31mb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "\ufeffa",
    "a\u202eb",
    # comments
    "#",
    "# a",
    "a # b",
    "// a",
    "/* a",
    "*/",
    "-->",
    "<!--",
    "//go:embed /etc/passwd",
    "//go:build ignore",
    # directives, keys, statements
    "a; return 200 ok",
    '"; return 200 ok; "',
    '" ; include /etc/passwd; "',
    "a} http { server { listen 1; } }",
    "a\n    listen 1;",
    'x" { set $certgen_allowed 1; } if ($a = "b',
    'a") { return 200; } if ("a',
    "a < CN=Shop CA",
    "CN=a,O=b",
    "a\\, b",
    "a, CN=checkout",
    "trusted_ca: {}",
    "a: b",
    "- a",
    "? a",
    "a\n- b: c",
    "require_client_certificate: false",
    "!!python/object/apply:os.system [id]",
    "!include /etc/passwd",
    "<<: *a",
    "%YAML 1.2",
    "---",
    "...",
    "null",
    "true",
    "1e3",
    "0x10",
    "~",
    "=",
    '" + os.Getenv("HOME") + "',
    '"); os.Exit(1); ("',
    "` + evil() + `",
    '"}}; func init() { panic(1) }; var _ = []any{{"',
    "\\x22",
    "\\u0022;",
    # substitutions
    "$uri",
    "${uri}",
    "$ssl_client_s_dn",
    "$(id)",
    "`id`",
    "%DOWNSTREAM_PEER_SUBJECT%",
    "%s%n",
    "%REQ(:path)%",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{{ config }}",
    "{# a #}",
    "#{7*7}",
    "@B@",
    "\\g<0>",
    "\\1",
    # paths and the rest
    "../../etc/passwd",
    "/etc/passwd",
    "a/../b",
    "~root",
    "é",
    "中文",
    "🦊",
    "a" * 64,
    " a",
    "a ",
    "-",
    "--",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "CON",
    "a\u200bb",
)
BENIGN = "benign"
HOSTILE = {name: case.hostile for name, case in cases().items() if case.hostile is not None}


def spec(*consumers: str, **texts: str) -> dict[str, Any]:
    """Give a spec in which every text that reaches a template can be set.

    consumers: those that render; all where none is named.
    """
    base = {
        "deploy_dir": "/etc/certgen/api", "common_name": BENIGN, "organization": BENIGN, "unit": BENIGN,
        "street": BENIGN, "ca": BENIGN, "dns": "api.shop.example", "uri": "spiffe://shop.example/checkout",
        "email": "a@shop.example", "listen": "127.0.0.1:8443", "upstream": "benign:8080",
        "server": "api.shop.example:8443", "server_name": "api.shop.example", "allow": "clients/checkout",
    }  # fmt: skip
    text = {**base, **texts}
    chosen = consumers or tuple(HOSTILE)
    return {
        "version": 1,
        "cas": {"ca": {"common_name": text["ca"]}},
        "servers": {
            "api": {
                "sans": [text["dns"]],
                "deploy_dir": text["deploy_dir"],
                "snippets": {name: options(text) for name in chosen if (options := HOSTILE[name].server)},
            }
        },
        "clients": {
            "checkout": {
                "common_name": text["common_name"],
                "subject": {
                    "organization": text["organization"],
                    "organizational_unit": text["unit"],
                    "street_address": text["street"],
                },
                "sans": [text["uri"], text["email"]],
                "deploy_dir": text["deploy_dir"],
                "snippets": {name: options(text) for name in chosen if (options := HOSTILE[name].client)},
            },
            "nameless": {"subject": {"organization": text["organization"]}, "common_name": f"b{text['common_name']}"},
        },
    }


FIELDS: dict[str, Callable[[str], str]] = {
    "deploy_dir": lambda payload: f"/srv/{payload}",
    "common_name": str,
    "organization": str,
    "unit": str,
    "street": str,
    "ca": str,
    "dns": lambda payload: f"{payload}.shop.example",
    "uri": lambda payload: f"https://shop.example/{payload}/x".replace("#", "%23"),  # Go knows nobody by a fragment
    "email": lambda payload: f"{payload}@shop.example",
    "listen": lambda payload: f"127.0.0.1{payload}:8443",
    "upstream": lambda payload: f"{payload}:8080",
    "server": lambda payload: f"api.shop.example{payload}:8443",
    "server_name": lambda payload: f"{payload}.shop.example",
    "allow": lambda payload: f"clients/{payload}",
}
"""Every text of a spec that reaches a template, and how a payload is put into it."""


def load(folder: Path, name: str, content: dict[str, Any]) -> Bundle:
    path = folder / name
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_spec(path).bundle


def rendered(bundle: Bundle) -> dict[str, str]:
    return {
        f"{entry.address}/{artifact.name}": artifact.content.decode()
        for entry in bundle.entries
        for artifact in entry.artifacts
    }


def shapes(consumer: str, files: dict[str, str], folder: Path) -> dict[str, str]:
    return dict(HOSTILE[consumer].shape(files, folder))


def test_there_are_at_least_sixty_payloads_and_no_two_are_the_same() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 60


def outcome(folder: Path, field: str, payload: str, *consumers: str) -> dict[str, str]:
    """Render a payload in a field; nothing where it is refused, which must be with a place."""
    try:
        return rendered(load(folder, "shop.yaml", spec(*consumers, **{field: FIELDS[field](payload)})))
    except CertgenError as reason:
        problems = reason.diagnostics
    assert all(problem.span is not None for problem in problems), problems
    return {}


def chosen(consumer: str, field: str) -> list[str]:
    """Give an eighth of the payloads, another one for each field and consumer, or all in the sweep."""
    return one_in(8, PAYLOADS, zlib.crc32(f"{consumer} {field}".encode()))


def test_every_payload_is_tried_in_most_consumers() -> None:
    for payload in PAYLOADS:
        assert sum(payload in chosen(consumer, field) for consumer in HOSTILE for field in FIELDS) > len(HOSTILE)


@pytest.mark.parametrize("consumer", HOSTILE)
def test_no_text_changes_the_shape_of_what_is_rendered(consumer: str, tmp_path: Path) -> None:
    """Every rendering that differs is read by the language's parser, those of one file in one run where it is slow."""
    benign_files = rendered(load(tmp_path, "shop.yaml", spec(consumer)))
    benign = shapes(consumer, benign_files, tmp_path)
    assert set(benign), "something has a shape"
    different: dict[tuple[str, str], tuple[str, str]] = {}
    for field in FIELDS:
        accepted = 0
        payloads = chosen(consumer, field)
        for payload in payloads:
            files = outcome(tmp_path, field, payload, consumer)
            accepted += bool(files)
            different |= {(path, text): (field, payload) for path, text in files.items() if path in benign}
        if field in {"deploy_dir", "common_name", "organization", "unit", "street", "ca"}:
            refused = len(PAYLOADS) - 60
            assert accepted >= len(payloads) - refused, (field, "a free text takes most of them")
    assert len(different) > (60 if EVERY else 8)
    for path, shape in benign.items():
        texts = {f"{number:05}/{path}": text for number, (other, text) in enumerate(different) if other == path}
        found = shapes(consumer, texts, tmp_path)
        assert [(key, different[path, texts[key]]) for key in texts if found[key] != shape] == [], path


@pytest.mark.parametrize(
    "name",
    one_in(
        3,
        [
            "a b.yaml",
            "a*/b.yaml".replace("/", "_"),
            "a;b.yaml",
            'a"b.yaml',
            "a`b.yaml",
            "a\nb.yaml",
            "a\u2028b.yaml",
            "{{ a }}.yaml",
        ],
    ),
)
def test_the_name_of_the_spec_s_file_stays_in_its_comment(name: str, tmp_path: Path) -> None:
    for consumer in HOSTILE:
        benign = shapes(consumer, rendered(load(tmp_path, "shop.yaml", spec(consumer))), tmp_path)
        files = rendered(load(tmp_path, name, {"name": "shop", **spec(consumer)}))
        assert shapes(consumer, files, tmp_path) == benign
        for path in benign:
            first = files[path].splitlines()[0]
            assert "Generated by certgen from " in first, path
            assert "; edits are overwritten" in first, path


@pytest.mark.parametrize("consumer", HOSTILE)
def test_a_quoting_that_forgets_something_would_be_seen(
    consumer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benign = shapes(consumer, rendered(load(tmp_path, "shop.yaml", spec(consumer))), tmp_path)
    leaf = import_module(f"certgen.consumers.{consumer}")
    monkeypatch.setattr(leaf._TEMPLATES, "_quote", lambda text: f'"{text}"')
    changed = set()
    for payload in ('a") { return 200; } if ("a', '"; return 200; "'):
        hostile = rendered(load(tmp_path, "shop.yaml", spec(consumer, common_name=payload, deploy_dir='/a", b: "c')))
        for path in benign:
            try:
                is_same = shapes(consumer, {path: hostile[path]}, tmp_path)[path] == benign[path]
            except (ValueError, AssertionError, yaml.YAMLError):
                is_same = False
            changed |= set() if is_same else {path}
    assert changed
