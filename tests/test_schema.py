"""The language as models, and as a JSON Schema that editors read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from places import fields, mappings, spec_with
from pydantic import BaseModel, ValidationError

from certgen.consumers.proxying import ClientOptions
from certgen.consumers.registry import consumer_names, options_model
from certgen.spec.document import compose
from certgen.spec.json_schema import json_schema
from certgen.spec.parts import Key, NameConstraints, Snippets, Subject
from certgen.spec.schema import (
    CertificateAuthority,
    Defaults,
    EndEntity,
    Exports,
    Keys,
    KubernetesExport,
    Spec,
)

ROOT = Path(__file__).parent.parent
LANGUAGE: list[type[BaseModel]] = [
    Spec,
    Defaults,
    CertificateAuthority,
    EndEntity,
    Subject,
    Key,
    Keys,
    NameConstraints,
    Exports,
    KubernetesExport,
]
OPTIONS: list[type[BaseModel]] = [ClientOptions, *(options_model(name) for name in consumer_names())]
MODELS: list[type[BaseModel]] = [*LANGUAGE, Snippets, *OPTIONS]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


class CoreLoader(yaml.SafeLoader):
    """Reads as YAML 1.2's core schema does, and with it the editors: `NO` and `12:30:00` are texts, `1` a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the library has it


CoreLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(null|Null|NULL|~|)$"), ["n", "N", "~", ""])
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"([Tt]rue|[Ff]alse)$"), list("tTfF"))
CoreLoader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def in_editor(text: str) -> list[str]:
    """Give what an editor says of a spec."""
    spec = yaml.load(text, Loader=CoreLoader)  # noqa: S506 - a safe loader
    return [error.message for error in VALIDATOR.iter_errors(spec)]


def in_certgen(text: str) -> Spec:
    return Spec.model_validate(compose(text.encode(), "shop.yaml").plain)


# Models


def test_the_list_of_models_is_complete() -> None:
    found: set[str] = set()
    for name, definition in json_schema()["$defs"].items():
        if definition.get("type") == "object":
            found.add(name)
    assert found == {model.__name__ for model in MODELS} - {"Spec"}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_frozen_and_forbids_what_it_does_not_know(model: type[BaseModel]) -> None:
    assert model.model_config.get("frozen") is True
    assert model.model_config.get("extra") == "forbid"
    required = {name: "1" for name, field in model.model_fields.items() if field.is_required()}
    value = model.model_validate(required)
    for field in model.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, field, None)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        model.model_validate({**required, "surprise": "x"})


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_described_in_a_sentence(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        description = field.description or ""
        assert len(description) > 10, name
        assert description.endswith((".", "forbidden; it wins over permitted.")), name
        assert description[0] == description[0].upper(), name


@pytest.mark.parametrize("model", [*LANGUAGE, *OPTIONS])
def test_every_field_tells_its_default_and_has_an_example(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.is_required() != ("Default: " in (field.description or "")), name
        assert field.examples, name


def test_a_spec_is_equal_to_itself_and_to_no_other() -> None:
    one, same, other = (
        in_certgen(f"version: 1\nca:\nservers: {{a: {{sans: {name}}}}}") for name in ("a.b", "A.b", "c.d")
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("key: ecdsa-p384", "key: {algorithm: ecdsa-p384}"),
        ("sans: a.example", "sans: [a.example]"),
        ("extended_key_usage: serverAuth", "extended_key_usage: [serverAuth]"),
        ("key_usage: digitalSignature", "key_usage: [digitalSignature]"),
        ("subject: {organization: Shop}", "subject: {organization: [Shop]}"),
        ("trust: ca", "trust: [ca]"),
        ("ocsp: http://a.example", "ocsp: [http://a.example]"),
        ("crl_distribution_points: http://a.example", "crl_distribution_points: [http://a.example]"),
        ("ca_issuers: http://a.example", "ca_issuers: [http://a.example]"),
        ("validity: 1y", "validity: 365d"),
    ],
)
def test_the_short_form_means_the_long_one(short: str, long: str) -> None:
    form = "version: 1\nca:\nservers: {{a: {{{}}}}}"
    assert in_certgen(form.format(short)) == in_certgen(form.format(long))
    assert in_certgen(form.format(short)) != in_certgen(form.format(""))
    assert in_editor(form.format(short)) == []
    assert in_editor(form.format(long)) == []


# The schema


def test_the_committed_copy_is_the_schema() -> None:
    copy = json.loads((ROOT / "certgen.schema.json").read_text(encoding="utf-8"))
    assert copy == json_schema()


def test_the_schema_is_one_of_draft_2020_12() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["version"]


def test_the_schema_is_plain_json_and_always_the_same() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()


def test_the_schema_describes_every_field_and_forbids_the_rest() -> None:
    schema = json_schema()
    objects = [schema, *(one for one in schema["$defs"].values() if one.get("type") == "object")]
    assert len(objects) == len(MODELS)
    assert schema["description"]
    for one in objects:
        assert one["additionalProperties"] is False
        for name, field in one["properties"].items():
            assert field["description"], name
            assert field["examples"], name
            assert ("Required." in field["description"]) == (name in one.get("required", [])), name


def test_the_schema_says_nothing_before_a_field_does_and_offers_no_default_that_is_none() -> None:
    for name, one in json_schema()["$defs"].items():
        assert not {"description", "examples", "title"} & one.keys(), name
    assert [field["default"] for field in fields(SCHEMA).values() if field.get("default", False) is not False] == []


def test_there_are_fields_in_every_place() -> None:
    assert fields(SCHEMA).keys() >= {("version",), ("ca", "subject", "country"), ("keys", "git")}
    for section in ("servers", "clients", "peers"):
        for consumer in consumer_names():
            options = mappings(SCHEMA)[section, "shop-1", "snippets", consumer]["properties"].keys()
            assert options == options_model(consumer).model_fields.keys()


@pytest.mark.parametrize("section", SCHEMA["properties"])
def test_an_editor_and_certgen_accept_every_example_in_its_place(section: str) -> None:
    found = {place: field["examples"] for place, field in fields(SCHEMA).items() if place[0] == section}
    assert found
    for place, examples in found.items():
        for example in examples:
            text = yaml.safe_dump(spec_with(SCHEMA, place, example))
            assert in_editor(text) == [], text
            in_certgen(text)


@pytest.mark.parametrize("section", SCHEMA["properties"])
def test_an_editor_and_certgen_refuse_what_is_no_example(section: str) -> None:
    for place in fields(SCHEMA):
        if place[0] == section:
            text = yaml.safe_dump(spec_with(SCHEMA, place, {"no": {"thing": ["of"]}}))
            assert in_editor(text), text
            with pytest.raises(ValidationError):
                in_certgen(text)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_an_editor_accepts_every_example(path: Path) -> None:
    assert in_editor(path.read_text(encoding="utf-8")) == []


def test_there_are_examples_and_each_names_the_schema() -> None:
    assert SPECS
    for path in SPECS:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=../certgen.schema.json", path.name


EVERYTHING = """
version: 1
name: shop
defaults:
  subject: {organization: [Shop, "1"], country: NO, postal_code: 1012, serial_number: 42}
  key: {algorithm: rsa-3072, rotation: keep, mode: "0640"}
  validity: 1y
  renew_before: 33%
  issuer: issuing
  crl_distribution_points: http://pki.shop.example/ca.crl
cas:
  root:
    common_name: 2027
    validity: 10y
    path_length: 1
    not_before: 2027-01-01T00:00:00Z
    key_usage: [keyCertSign, cRLSign]
    name_constraints: {permitted: [shop.example, 10.0.0.0/8], excluded: "URI:x.example"}
  issuing: {issuer: root, renew_before: 30d}
  mine: {certificate: ca.pem, private_key: ca.key, trust: root.pem}
servers:
  api: {sans: [api.shop.example, 127.0.0.1], trust: [root, other/root.pem], deploy_dir: /etc/api}
clients:
  checkout:
  worker: {public_key: worker.pem, not_after: 2028-01-01T00:00:00+01:00, extended_key_usage: clientAuth}
peers:
  etcd-0: {sans: etcd-0.shop.example, ocsp: [http://o.example], ca_issuers: [], key: ml-dsa-65}
"""


def test_an_editor_and_certgen_accept_every_field() -> None:
    spec = in_certgen(EVERYTHING)
    assert spec.servers["api"].sans is not None
    assert in_editor(EVERYTHING) == []


@pytest.mark.parametrize(
    "mistake",
    [
        "version: 2",
        "version: one",
        "versoin: 1",
        "name: Shop",
        "name: a/b",
        "surprise: x",
        "ca: x",
        "ca: []",
        "ca: {surprise: x}",
        "ca: {validity: 90}",
        "ca: {validity: ninety}",
        "ca: {validity: [1y]}",
        "ca: {path_length: -1}",
        "ca: {path_length: x}",
        "ca: {key: rsa-1024}",
        "ca: {key: {algorithm: rsa-1024}}",
        "ca: {key: {surprise: x}}",
        "ca: {key: {rotation: never}}",
        'ca: {key: {mode: "rw"}}',
        "ca: {sans: a.example}",
        "ca: {name_constraints: [a.example]}",
        "ca: {name_constraints: {surprise: x}}",
        "ca: {not_after: tomorrow}",
        "ca: {not_after: 2027-01-01}",
        "ca: {renew_before: 100%}",
        "ca: {subject: Shop}",
        "ca: {subject: {surprise: x}}",
        "ca: {key_usage: [signing]}",
        "ca: {extended_key_usage: [anyExtendedKeyUsage]}",
        "servers: [a]",
        "servers: {A: {}}",
        "servers: {a: {surprise: x}}",
        "servers: {a: {path_length: 1}}",
        "servers: {a: {sans: {a: b}}}",
        "defaults: {common_name: x}",
        "defaults: {surprise: x}",
    ],
)
def test_an_editor_and_certgen_refuse_the_same_mistakes(mistake: str) -> None:
    good = "version: 1\nservers: {}\n" if not mistake.startswith("ver") else ""
    text = mistake if mistake.startswith("ver") else f"version: 1\n{mistake}\n"
    assert in_editor(text)
    with pytest.raises(ValidationError):
        in_certgen(text)
    if good:
        assert in_editor(good) == []
        in_certgen(good)


@pytest.mark.parametrize("section", ["defaults", "ca", "cas", "servers", "clients", "peers"])
def test_an_empty_section_is_as_good_as_none(section: str) -> None:
    text = f"version: 1\n{section}:\n"
    assert in_editor(text) == []
    in_certgen(text)
    assert in_editor(f"version: 1\n{section}: x\n")
