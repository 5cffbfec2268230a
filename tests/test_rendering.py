"""Snippets rendered: whose options count, in which order, and what keeps one from being rendered at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from remarks import codes, load, remarks, rendered

from certgen.consumers.options import Options
from certgen.consumers.port import Deployment
from certgen.consumers.registry import find_consumer
from certgen.model import Address, Artifact

# Asked for and inherited


FORMS = {
    "a name": "nginx",
    "a list": "[nginx]",
    "a mapping": "{nginx: {}}",
    "a mapping without options": "{nginx: }",
    "a block": "\n    nginx:",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_consumer_is_asked_for_in_each_form(tmp_path: Path, form: str) -> None:
    spec = f"version: 1\nca:\nservers:\n api:\n  sans: a.example\n  snippets: {FORMS[form]}\n"
    assert list(rendered(load(tmp_path, spec).bundle, "servers/api")) == ["nginx-server.conf"]


DEFAULTS = """\
    version: 1
    ca:
    defaults: {snippets: %s}
    servers:
      api: {sans: a.example%s}
    clients:
      checkout:
    """


@pytest.mark.parametrize("form", ["a name", "a list", "a mapping", "a mapping without options"])
def test_the_defaults_are_for_every_end_entity_and_for_no_ca(tmp_path: Path, form: str) -> None:
    bundle = load(tmp_path, DEFAULTS % (FORMS[form], "")).bundle
    assert {str(entry.address): [artifact.name for artifact in entry.artifacts] for entry in bundle.entries} == {
        "cas/ca": [],
        "servers/api": ["nginx-server.conf"],
        "clients/checkout": ["nginx-upstream.conf"],
    }


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", ["nginx-server.conf"]),
        (", snippets: ", ["nginx-server.conf"]),
        (", snippets: []", []),
        (", snippets: {}", []),
        (", snippets: {template: {file: t, output: x}}", ["x"]),
        (", snippets: {nginx: {standalone: true}}", ["nginx-server.conf", "nginx.conf"]),
    ],
)
def test_an_entry_s_own_words_stand_in_place_of_the_defaults(tmp_path: Path, own: str, expected: list[str]) -> None:
    bundle = load(tmp_path, DEFAULTS % ("nginx", own), {"t": b""}).bundle
    assert list(rendered(bundle, "servers/api")) == expected


def test_options_are_not_merged_with_the_defaults(tmp_path: Path) -> None:
    spec = DEFAULTS % (
        "{nginx: {listen: 127.0.0.1:9000, standalone: false}}",
        ", snippets: {nginx: {standalone: true}}",
    )
    assert "listen 8443 ssl;" in rendered(load(tmp_path, spec).bundle, "servers/api")["nginx.conf"]


def test_snippets_come_in_one_order_however_they_were_written(tmp_path: Path) -> None:
    both = ["{nginx: {}, template: {file: t, output: x}}", "{template: {file: t, output: x}, nginx: {}}"]
    bundles = [load(tmp_path, DEFAULTS % ("[]", f", snippets: {form}"), {"t": b""}).bundle for form in both]
    assert bundles[0] == bundles[1]
    entry = bundles[0][Address.parse("servers/api")]
    assert [snippet.consumer for snippet in entry.snippets] == ["nginx", "template"]


def test_a_ca_has_no_snippets(tmp_path: Path) -> None:
    assert codes(tmp_path, "version: 1\nca: {snippets: nginx}\n") == ["unknown-field at snippets"]
    assert codes(tmp_path, "version: 1\ncas:\n  root: {snippets: nginx}\n") == ["unknown-field at snippets"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("ngnix", ["unknown-field at ngnix"]),
        ("[nginx, ngnix]", ["unknown-field at ngnix"]),
        ("{ngnix: {}}", ["unknown-field at ngnix"]),
        ("[nginx, 8443]", ["unknown-field at 8443"]),
        ("[nginx, ~]", ["wrong-type at [nginx, ~]"]),
        ("[[nginx]]", ["wrong-type at [[nginx]]"]),
        ("{nginx: [listen]}", ["wrong-type at [listen]"]),
        ("{nginx: true}", ["wrong-type at true"]),
        ("{nginx: {listne: 1}}", ["unknown-field at listne"]),
        ("NGINX", ["unknown-field at NGINX"]),
        ("../nginx", ["unknown-field at ../nginx"]),
        ("registry", ["unknown-field at registry"]),
        ("__init__", ["unknown-field at __init__"]),
        ("nginx.golden", ["unknown-field at nginx.golden"]),
        ("''", ["unknown-field at ''"]),
    ],
)
@pytest.mark.parametrize("place", ["own", "inherited"])
def test_what_is_no_consumer_is_refused_where_it_stands(
    tmp_path: Path, form: str, expected: list[str], place: str
) -> None:
    spec = DEFAULTS % ((form, "") if place == "inherited" else ("[]", f", snippets: {form}"))
    assert codes(tmp_path, spec) == expected


def test_a_consumer_that_is_spelled_wrong_is_proposed(tmp_path: Path) -> None:
    for form in ("ngnix", "[ngnix]", "{ngnix: {}}"):
        (found,) = remarks(tmp_path, DEFAULTS % (form, ""))
        assert found.help == "did you mean `nginx`?"


def test_a_consumer_named_twice_in_a_list_is_rendered_once(tmp_path: Path) -> None:
    bundle = load(tmp_path, DEFAULTS % ("[nginx, nginx]", "")).bundle
    assert list(rendered(bundle, "servers/api")) == ["nginx-server.conf"]


# Places


def test_a_fault_of_a_whole_consumer_is_shown_at_its_name_in_each_form(tmp_path: Path) -> None:
    spec = "version: 1\nca:\nclients:\n  checkout: {snippets: %s}\n"
    assert codes(tmp_path, spec % "{nginx: {standalone: true}}") == ["missing-option at nginx"]
    inherited = "version: 1\nca:\ndefaults: {snippets: {nginx: {standalone: true}}}\nclients:\n  checkout:\n"
    (found,) = remarks(tmp_path, inherited)
    assert (found.code, found.at, found.line) == ("missing-option", "nginx", 3)


def test_a_fault_of_another_field_is_shown_at_that_field(tmp_path: Path) -> None:
    spec = "version: 1\nca:\ndefaults: {snippets: nginx}\nservers:\n  api: {sans: a.example, deploy_dir: /srv/$x}\n"
    (found,) = remarks(tmp_path, spec)
    assert (found.code, found.at, found.line) == ("not-quotable", "/srv/$x", 5)


def test_a_fault_of_an_inherited_option_is_shown_once_where_it_stands(tmp_path: Path) -> None:
    spec = DEFAULTS % ("{nginx: {allow: [servers/api]}}", "") + "  reporting:\n"
    assert [(remark.code, remark.at, remark.line) for remark in remarks(tmp_path, spec)] == [
        ("not-a-client", "servers/api", 3)
    ]


def test_an_own_option_that_the_role_has_no_use_for_is_refused_and_an_inherited_one_is_not(tmp_path: Path) -> None:
    options = "{nginx: {server_name: a.example}}"
    assert codes(tmp_path, DEFAULTS % (options, "")) == []
    own = DEFAULTS % ("[]", f", snippets: {options}")
    assert codes(tmp_path, own) == ["unused-option at a.example"]


# What keeps a snippet from being rendered


def test_an_error_of_one_snippet_keeps_the_others_mistakes_in_sight(tmp_path: Path) -> None:
    own = ", snippets: {nginx: {allow: [clients/x]}, template: {file: t, output: x, allow: [clients/y]}}"
    assert codes(tmp_path, DEFAULTS % ("[]", own), {"t": b"{{ nothing }}"}) == [
        "unknown-address at clients/x",
        "bad-template at t",
        "unknown-address at clients/y",
    ]


def test_a_warning_keeps_nothing_from_being_rendered(tmp_path: Path) -> None:
    spec = "version: 1\nca:\nclients:\n  checkout: {snippets: {nginx: {listen: 8080}}}\n"
    loaded = load(tmp_path, spec)
    assert [warning.code for warning in loaded.warnings] == ["open-proxy"]
    assert list(rendered(loaded.bundle, "clients/checkout")) == ["nginx-upstream.conf"]


def test_a_consumer_does_not_render_what_it_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    nginx = find_consumer("nginx")
    real = nginx.render

    def render(deployment: Deployment, options: Options) -> Iterable[Artifact]:
        asked.append("rendered")
        return real(deployment, options)

    monkeypatch.setattr(nginx, "render", render)
    assert codes(tmp_path, DEFAULTS % ("{nginx: {allow: []}}", "")) == ["empty-allow at []"]
    assert asked == ["rendered"]  # for the client, to whom `allow` says nothing
    asked.clear()
    assert codes(tmp_path, DEFAULTS % ("nginx", "")) == []
    assert asked == ["rendered", "rendered"]


def test_where_the_spec_itself_is_wrong_nothing_is_rendered(tmp_path: Path) -> None:
    spec = DEFAULTS % ("{nginx: {allow: [clients/nobody]}}", ", issuer: nobody")
    assert codes(tmp_path, spec) == ["unknown-issuer at nobody"]


def test_whom_it_lets_in_is_told_beside_the_files(tmp_path: Path) -> None:
    own = ", snippets: {nginx: {allow: [clients/checkout]}, template: {file: t, output: x}}"
    bundle = load(tmp_path, DEFAULTS % ("nginx", own), {"t": b""}).bundle
    server, client = bundle[Address.parse("servers/api")], bundle[Address.parse("clients/checkout")]
    assert [snippet.allow for snippet in server.snippets] == [(client.address,), None]
    assert [snippet.allow for snippet in client.snippets] == [None]


# What a snippet depends on


def test_the_order_of_the_spec_does_not_matter(tmp_path: Path) -> None:
    one = """\
        version: 1
        ca:
        servers:
          api: {sans: a.example, snippets: {nginx: {allow: [clients/a, clients/b, peers/c], standalone: true}}}
        clients:
          a: {common_name: "1"}
          b: {common_name: "0"}
        peers:
          c: {sans: c.example}
        """
    two = """\
        peers:
          c: {sans: c.example}
        clients:
          b: {common_name: "0"}
          a: {common_name: "1"}
        servers:
          api: {snippets: {nginx: {standalone: true, allow: [peers/c, clients/b, clients/a]}}, sans: a.example}
        ca:
        version: 1
        """
    texts = [rendered(load(tmp_path, spec).bundle, "servers/api") for spec in (one, two)]
    assert texts[0] == texts[1]


def test_keys_dates_and_other_entries_are_in_no_snippet(tmp_path: Path) -> None:
    spec = DEFAULTS % ("nginx", ", validity: 30d, key: ecdsa-p256")
    before = rendered(load(tmp_path, spec).bundle, "servers/api")
    other = spec.replace("30d", "90d").replace("ecdsa-p256", "{algorithm: rsa-2048, rotation: on-renewal}")
    assert rendered(load(tmp_path, other + "  more:\n").bundle, "servers/api") == before
    assert rendered(load(tmp_path, spec.replace("a.example", "b.example")).bundle, "servers/api") == before
