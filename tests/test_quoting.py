"""Spec text is data: a rendered file keeps the shape that it has for a benign text, or the text is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crossplane  # type: ignore[import-untyped]  # it has no annotations
import pytest
import yaml
from go_skeleton import go_skeleton

from certgen.consumers.registry import consumer_names
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
    inbound = {"listen": text["listen"], "upstream": text["upstream"], "allow": [text["allow"]]}
    outbound = {"upstream": text["server"], "server_name": text["server_name"]}
    server = {
        "nginx": {**inbound, "standalone": True},
        "envoy": inbound,
        "go": {"allow": [text["allow"], "clients/nameless"], "example": True},
    }
    client = {"nginx": {**outbound, "standalone": True}, "envoy": outbound, "go": {"example": True}}
    chosen = consumers or tuple(server)
    return {
        "version": 1,
        "cas": {"ca": {"common_name": text["ca"]}},
        "servers": {
            "api": {
                "sans": [text["dns"]],
                "deploy_dir": text["deploy_dir"],
                "snippets": {name: server[name] for name in chosen},
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
                "snippets": {name: client[name] for name in chosen},
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


IN_GO = set(FIELDS) - {"listen", "upstream", "server", "server_name"}
"""Those that reach Go's templates."""


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


def nginx_skeleton(path: Path) -> Any:  # noqa: ANN401 - whatever crossplane gives
    """Give the directives of a configuration with the number of their words, and its comments."""
    parsed = crossplane.parse(str(path), comments=True, single=True, check_ctx=False, check_args=False)
    assert parsed["status"] == "ok", parsed["errors"]
    return [_directive(item) for item in parsed["config"][0]["parsed"]]


def _directive(item: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
    return [item["directive"], len(item["args"]), [_directive(inner) for inner in item.get("block", ())]]


def yaml_skeleton(text: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Give the keys and kinds of a YAML document, and how many lines are comments."""
    comments = sum(line.lstrip().startswith("#") for line in text.splitlines())
    documents = list(yaml.safe_load_all(text))
    assert not [event for event in yaml.parse(text) if getattr(event, "anchor", None)]
    return [comments, len(documents), [_kinds(document) for document in documents]]


def _kinds(value: Any) -> Any:  # noqa: ANN401 - as above
    match value:
        case dict():
            return {key: _kinds(inner) for key, inner in value.items()}
        case list():
            return [_kinds(inner) for inner in value]
        case _:
            return type(value).__name__


def skeleton(files: dict[str, str], folder: Path) -> dict[str, str]:
    """Give the shape of every file but Go's, for which one run must do."""
    shapes = {}
    for path, text in files.items():
        if path.endswith(".conf"):
            (folder / "one.conf").write_text(text, encoding="utf-8")
            shapes[path] = json.dumps(nginx_skeleton(folder / "one.conf"))
        elif path.endswith(".yaml"):
            shapes[path] = json.dumps(yaml_skeleton(text))
    return shapes


def test_there_are_at_least_sixty_payloads_and_no_two_are_the_same() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 60


def test_every_consumer_with_a_language_is_put_to_the_test(tmp_path: Path) -> None:
    bundle = load(tmp_path, "shop.yaml", spec())
    tested = {snippet.consumer for entry in bundle.entries for snippet in entry.snippets}
    assert tested == set(consumer_names()) - {"template"}, "a user's template is the user's own text"


def outcome(folder: Path, field: str, payload: str, *consumers: str) -> dict[str, str]:
    """Render a payload in a field; nothing where it is refused, which must be with a place."""
    try:
        return rendered(load(folder, "shop.yaml", spec(*consumers, **{field: FIELDS[field](payload)})))
    except CertgenError as reason:
        problems = reason.diagnostics
    assert all(problem.span is not None for problem in problems), problems
    return {}


@pytest.mark.parametrize("field", FIELDS)
def test_no_text_changes_the_shape_of_a_configuration(field: str, tmp_path: Path) -> None:
    benign = skeleton(rendered(load(tmp_path, "shop.yaml", spec("nginx", "envoy"))), tmp_path)
    accepted = 0
    for payload in PAYLOADS:
        files = outcome(tmp_path, field, payload, "nginx", "envoy")
        if files:
            accepted += 1
            assert skeleton(files, tmp_path) == benign, (field, payload)
    if field in {"deploy_dir", "common_name", "organization", "unit", "street", "ca"}:
        assert accepted >= 60, "a free text takes most of them"


def test_no_text_changes_the_shape_of_a_go_program(tmp_path: Path) -> None:
    """Every rendering that differs is read by Go's parser, all of them in one run."""
    benign = {
        path: text for path, text in rendered(load(tmp_path, "shop.yaml", spec("go"))).items() if path.endswith(".go")
    }
    different: dict[tuple[str, str], None] = {}
    for field, payload in ((field, payload) for field in sorted(IN_GO) for payload in PAYLOADS):
        files = outcome(tmp_path, field, payload, "go")
        different |= {(path, text): None for path, text in files.items() if path.endswith(".go")}
    assert len(different) > 300
    for path, text in benign.items():
        alone = tmp_path / "benign" / path.replace(".go", "")
        alone.mkdir(parents=True)
        (alone / Path(path).name).write_text(text, encoding="utf-8")
        shape = go_skeleton(alone).split("\n")
        folder = tmp_path / "hostile" / path.replace(".go", "")
        texts = [text for other, text in different if other == path]
        for number, hostile in enumerate(texts):
            (folder / f"{number:05}").mkdir(parents=True)
            (folder / f"{number:05}" / Path(path).name).write_text(hostile, encoding="utf-8")
        assert go_skeleton(folder).split("\n") == shape * len(texts), path


@pytest.mark.parametrize(
    "name",
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
)
def test_the_name_of_the_spec_s_file_stays_in_its_comment(name: str, tmp_path: Path) -> None:
    benign = skeleton(rendered(load(tmp_path, "shop.yaml", spec())), tmp_path)
    content = {"name": "shop", **spec()}
    files = rendered(load(tmp_path, name, content))
    assert skeleton(files, tmp_path) == benign
    for path, text in files.items():
        if path.endswith(".go"):
            assert text.splitlines()[0].startswith("// Generated by certgen from "), path
            assert text.splitlines()[0].endswith("; edits are overwritten"), path


def test_a_quoting_that_forgets_something_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from certgen.consumers import envoy, nginx

    benign = skeleton(rendered(load(tmp_path, "shop.yaml", spec())), tmp_path)
    for leaf in (nginx, envoy):
        monkeypatch.setattr(leaf._TEMPLATES, "_quote", lambda text: f'"{text}"')
    hostile = rendered(
        load(tmp_path, "shop.yaml", spec(common_name='a") { return 200; } if ("a', deploy_dir='/a", b: "c'))
    )
    changed = set()
    for path in benign:
        try:
            if skeleton({path: hostile[path]}, tmp_path)[path] != benign[path]:
                changed.add(path.rpartition("/")[2])
        except (yaml.YAMLError, AssertionError):
            changed.add(path.rpartition("/")[2])
    assert changed >= {"nginx-server.conf", "envoy.yaml"}
