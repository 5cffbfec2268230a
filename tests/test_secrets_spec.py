"""A private key that got into a spec, beside it, or onto the command line: refused, and not quoted."""

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from foreign.hierarchy import make_ca
from leaks import DAMAGES, Hunt
from said import Said, ask, ask_main
from samples import EVERY, one_in

from certgen.consumers.options import described_options
from certgen.consumers.registry import consumer_names, options_model
from certgen.diagnostics import CertgenError
from certgen.pipeline import load_specs
from certgen.report.diagnostics import render_diagnostics
from certgen.spec.json_schema import json_schema

KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
LINES = KEY.splitlines()
BODY = "".join(LINES[1:-1])
HUNT = Hunt(KEY.encode())

FULL: dict[str, Any] = {
    "version": "1",
    "name": "shop",
    "keys": {
        "git": "commit", "protection": "age",
        "recipients": ["age1mp2snqz849uu8eslu7hevu59wqsfzv97fk2qc3lmcdpf70d0ycmqf8lctn"],
    },
    "defaults": {
        "subject": {
            "country": "NL", "state": "X", "locality": "X", "street_address": "X", "postal_code": "X",
            "organization": ["X", "Y"], "organizational_unit": "X", "serial_number": "X", "domain_component": ["a"],
        },
        "key": {"algorithm": "ecdsa-p256", "rotation": "keep", "mode": "0600"},
        "issuer": "root", "validity": "1y", "renew_before": "33%",
        "snippets": {"go": {"allow": ["clients/app"], "example": "true"}},
        "crl_distribution_points": ["http://a.example/c"], "ocsp": ["http://a.example/o"],
        "ca_issuers": "http://a.example/i",
    },
    "exports": {"kubernetes": {"namespace": "x"}},
    "cas": {
        "root": {
            "common_name": "X", "path_length": "3", "validity": "9y",
            "name_constraints": {"permitted": ["a.example"], "excluded": ["b.example"]},
        },
        "mine": {"certificate": "ca.pem", "private_key": "key.pem", "trust": ["root.pem"]},
    },
    "servers": {
        "api": {
            "issuer": "root", "sans": ["api.a.example"], "trust": ["root"], "key_usage": ["digitalSignature"],
            "extended_key_usage": ["serverAuth"], "deploy_dir": "/etc/x", "publish": "symlink",
            "not_before": "2026-01-01T00:00:00Z", "not_after": "2026-06-01T00:00:00Z", "public_key": "x.pub",
            "snippets": {
                "nginx": {
                    "listen": "8443", "upstream": "127.0.0.1:1", "allow": ["clients/app"], "standalone": "true",
                    "server_name": "api.a.example",
                    "client": {"listen": "127.0.0.1:1", "upstream": "127.0.0.1:2"},
                },
                "envoy": {"listen": "9443", "upstream": "127.0.0.1:1", "allow": ["clients/app"]},
                "template": {"file": "x.j2", "output": "x.conf", "allow": ["clients/app"]},
            },
        }
    },
    "clients": {"app": {"sans": "a@a.example"}},
    "peers": {"p": {"sans": ["p.a.example"]}},
}  # fmt: skip
"""Every field of the language, be it sense or not."""

for consumer in consumer_names():
    asked = FULL["servers"]["api"]["snippets"]
    asked.setdefault(
        consumer, {option: "x" for option, *_ in described_options(options_model(consumer)) if "." not in option}
    )

QUOTED = json.dumps(KEY)
DOCUMENTS = {
    "a spec that is a key": KEY,
    "a key without quotes": f"version: 1\nca:\n  private_key: {KEY}servers: {{}}\n",
    "a key before everything": f"{KEY}version: 1\nca: {{}}\n",
    "a key after everything": f"version: 1\nca: {{}}\n{KEY}",
    "a key in a block": "version: 1\nca:\n  common_name: |\n" + "".join(f"    {line}\n" for line in LINES),
    "a key in a folded block": "version: 1\nca:\n  expire: >\n" + "".join(f"    {line}\n" for line in LINES),
    "a key that goes on in lines": "version: 1\nca:\n  common_name:\n" + "".join(f"    {line}\n" for line in LINES),
    "a key in quotes without an end": f'version: 1\nca:\n  common_name: "{KEY}\n',
    "a key as a field": f"version: 1\nca: {{}}\n{QUOTED}: 1\n",
    "a key as a field, twice": f"version: 1\nca: {{}}\n{QUOTED}: 1\n{QUOTED}: 2\n",
    "a key as an entry": f"version: 1\nca: {{}}\nservers: {{{QUOTED}: {{sans: x}}}}\n",
    "a key as a question": f"version: 1\n? [{QUOTED}]\n: 1\n",
    "a key beside a mistake": f"version: 1\nca: {{expire: 1, common_name: {QUOTED}}}\n",
    "a key in a comment beside a mistake": f"version: 1\nca: {{expire: 1}} # {QUOTED}\n",
    "a line of a key beside a mistake": f"version: 1\nca: {{expire: 1, common_name: {LINES[1]}}}\n",
    "a key without an end in a flow": f"version: 1\nca: {{common_name: {QUOTED}, x: [}}\n",
    "a key as an alias": f"version: 1\nca: *{QUOTED}\n",
    "a key as an alias without blanks": f"version: 1\nca: *{base64.b64encode(KEY.encode()).decode().rstrip('=')}\n",
    "a key as a tag": f"version: 1\nca: !{LINES[1]} x\n",
    "a key in a second document": f"version: 1\nca: {{}}\n---\n{KEY}",
}

Route = tuple[str | int, ...]


def routes(node: object, route: Route = ()) -> Iterator[Route]:
    """Give the way to every value of the full spec."""
    if route:
        yield route
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in items:
        yield from routes(child, (*route, step))


def spoiled(route: Route, value: object, *, is_key: bool = False) -> str:
    """Write the full spec with another value at a route; or with it as a key beside that route."""
    spec = copy.deepcopy(FULL)
    node: Any = spec
    for step in route[:-1]:
        node = node[step]
    node[value if is_key else route[-1]] = "x" if is_key else value
    return yaml.safe_dump(spec, sort_keys=False, width=10_000)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_not_quoted(said: Said) -> None:
    """Demand that a refusal has a code and no key; a spec as such is no secret to who holds its variables."""
    assert said.code == 2, said
    assert "error[" in said.err or "Error: " in said.err, said
    assert HUNT.found(f"{said.out}\n{said.err}\n{said.words}") == [], said.err


def assert_refused_in_silence(folder: Path, text: str) -> None:
    (folder / "shop.yaml").write_text(text)
    for command, option in (("validate", "-v"), ("plan", "--json")):
        assert_not_quoted(ask(command, "shop.yaml", option))


# A spec


def test_the_full_spec_has_every_field_of_the_language() -> None:
    steps = {step for route in routes(FULL) for step in route}
    fields = {name for model in json_schema()["$defs"].values() for name in model.get("properties", {})}
    assert fields - steps == set()


@pytest.mark.parametrize("route", one_in(2, routes(FULL)), ids=lambda route: "/".join(map(str, route)))
def test_a_key_in_any_field_is_not_quoted(folder: Path, route: Route) -> None:
    values = [KEY, KEY.replace("\n", " "), [KEY], {"x": KEY}, {KEY: "x"}, BODY] if EVERY else [KEY, {KEY: "x"}, BODY]
    for value in values:
        assert_refused_in_silence(folder, spoiled(route, value))
    if isinstance(route[-1], str):
        assert_refused_in_silence(folder, spoiled(route, KEY, is_key=True))


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_key_anywhere_in_a_spec_is_not_quoted(folder: Path, what: str) -> None:
    assert_refused_in_silence(folder, DOCUMENTS[what])


@pytest.mark.parametrize("width", [None, 1000])
def test_a_wide_terminal_shows_no_more_of_a_key(folder: Path, width: int | None) -> None:
    for text in DOCUMENTS.values():
        (folder / "shop.yaml").write_text(text)
        with pytest.raises(CertgenError) as caught:
            load_specs([folder / "shop.yaml"])
        shown = render_diagnostics(caught.value.diagnostics, width=width)
        assert HUNT.found(f"{shown}\n{caught.value.diagnostics!r}\n{caught.value!r}") == []


def test_what_is_long_and_no_key_is_quoted(folder: Path) -> None:
    """A message that hides too much is of no use to anybody."""
    path = folder / "a-very-long-folder-of-a-company/another-of-a-department/Shop2026Production/services.yaml"
    path.parent.mkdir(parents=True)
    name = "checkout-service-of-the-north-western-region-2.internal.shop.example"
    path.write_text(f"version: 1\nca: {{}}\nclients: {{app: {{issuer: {name[:60]}, expire: 1}}}}\n")
    said = ask("validate", path)
    assert said.code == 2
    assert str(path) in said.err
    assert "expire: 1" in said.err
    assert name[:60] in said.err


# Files that a spec names


def supplied(folder: Path) -> None:
    """Put a CA and its key beside a spec."""
    ca = make_ca("brought", "ecdsa-p256")
    (folder / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    HUNT.add((folder / "ca.key").read_bytes())


NAMED = {
    "a certificate": "ca: {certificate: key.pem}",
    "a certificate of a CA with its key": "ca: {certificate: key.pem, private_key: key.pem}",
    "another's private key": "ca: {certificate: ca.pem, private_key: key.pem}",
    "a root above": "ca: {certificate: ca.pem, trust: [key.pem]}",
    "a public key": "ca: {}\nclients: {app: {public_key: key.pem}}",
    "a trusted file": "ca: {}\nclients: {app: {trust: [key.pem]}}",
    "a template": "ca: {}\nclients: {app: {snippets: {template: {file: key.pem, output: my.conf}}}}",
    "a file in a folder of its name": "ca: {}\nclients: {app: {public_key: key.pem/key.pem}}",
}


@pytest.mark.parametrize("damage", ["whole", "cut in half", "in DER", "twice", "labelled CERTIFICATE"])
@pytest.mark.parametrize("role", NAMED)
def test_a_key_that_a_spec_names_as_something_else_is_not_quoted(folder: Path, role: str, damage: str) -> None:
    if (role, damage) == ("a template", "labelled CERTIFICATE"):
        return  # nothing tells it from what a template may hold
    supplied(folder)
    (folder / "key.pem").write_bytes(DAMAGES[damage](KEY.encode()))
    (folder / "shop.yaml").write_text(f"version: 1\n{NAMED[role]}\n")
    for command, option in (("validate", "-v"), ("plan", "--json"), ("apply", "-v"), ("prove", "--json")):
        said = ask(command, "shop.yaml", option)
        assert said.code in {0, 1, 2}
        assert HUNT.found(said.everything) == [], said.everything
    for path in (folder / "output").rglob("*"):
        if path.is_file() and path.name != "key.pem":
            assert HUNT.found(path.read_bytes().decode("latin-1")) == [], path


# The command line


def lines_with(key: str) -> list[list[str]]:
    """Give command lines on which a key stands in place of something else."""
    connecting = ["connect", "https://127.0.0.1:9/", "--as", "clients/app"]
    return [
        [key], [f"--{key}"], ["inspect", key], ["inspect", f"./{key}"], ["inspect", "--", key],
        ["inspect", "clients/app", "--at", key], ["inspect", "clients/none", "-o", key],
        ["validate", "--", key], ["validate", f"{key}.yaml"], ["plan", "--", key], ["verify", "--", key],
        ["prove", "--", key], ["plan", "shop.yaml", "--renew", key], ["plan", "shop.yaml", "--rekey", key],
        ["plan", "shop.yaml", "--renew", f"shop/{key}"], ["apply", "shop.yaml", "--rekey", f"clients/{key}"],
        ["plan", "shop.yaml", "--at", key], ["plan", "shop.yaml", "--color", key], ["plan", "shop.yaml", f"--{key}"],
        ["plan", "shop.yaml", "--format", key], ["apply", "shop.yaml", "--jobs", key],
        ["apply", "shop.yaml", "--lock-timeout", key], ["plan", "shop.yaml", f"--prune={key}"],
        ["init", "--", "x" * 300 + key], ["serve", "--", key], ["serve", "clients/app", "--listen", key],
        ["serve", "clients/app", "--listen", f"{key}:8443"], ["connect", "--as", "clients/app", "--", key],
        ["connect", f"https://{key}/", "--as", "clients/app"], ["connect", "https://127.0.0.1:9/", "--as", key],
        [*connecting, "--name", key], [*connecting, "--tls", key], [*connecting, "--keylog", f"{key}/x"],
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["as it is", "in one line", "without its armour"])
def test_a_key_on_the_command_line_is_not_quoted(folder: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    (folder / "shop.yaml").write_text("version: 1\nca: {}\nclients: {app: {}}\n")
    assert ask("apply", "shop.yaml").code == 0
    key = {"as it is": KEY, "in one line": KEY.replace("\n", " ").strip(), "without its armour": BODY}[form]
    quoted = []
    for line in lines_with(key):
        said = ask_main(monkeypatch, *line)
        assert said.code == 2, (line, said)
        if HUNT.found(said.out + said.err):
            quoted.append([word if word != key else "KEY" for word in line])
    assert quoted == []
