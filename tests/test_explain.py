"""What pydantic finds, in the words and at the places of the user's spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ValidationError

from certgen.diagnostics import CertgenError
from certgen.pipeline import load_spec
from certgen.report.diagnostics import render_diagnostics
from certgen.spec.explain import SYNONYMS, explain
from certgen.spec.parts import Key, NameConstraints, Subject
from certgen.spec.schema import CertificateAuthority, Defaults, EndEntity, Spec

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {
    field
    for model in (Spec, Defaults, CertificateAuthority, EndEntity, Subject, Key, NameConstraints)
    for field in model.model_fields
}


@pytest.fixture
def refusals(tmp_path: Path) -> Refusals:
    return Refusals(tmp_path / "shop.yaml")


class Refusals:
    """Loads a spec that is wrong, and gives each error as `line:column code: sentence (help)`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, text: str) -> list[str]:
        self._path.write_text(text, encoding="utf-8")
        with pytest.raises(CertgenError) as caught:
            load_spec(self._path)
        lines = []
        for found in caught.value.diagnostics:
            assert found.span is not None, found
            assert found.span.file == str(self._path)
            help_ = f" ({found.help})" if found.help else ""
            lines.append(f"{found.span.line}:{found.span.column} {found.code}: {found.message}{help_}")
        return lines


# Unknown fields


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("servrs: {}", "2:1 unknown-field: unknown field `servrs` (did you mean `servers`?)"),
        ("servers: {a: {expire: 90d}}", "2:15 unknown-field: unknown field `expire` (did you mean `validity`?)"),
        ("servers: {a: {expiry: 90d}}", "2:15 unknown-field: unknown field `expiry` (did you mean `validity`?)"),
        ("servers: {a: {validty: 90d}}", "2:15 unknown-field: unknown field `validty` (did you mean `validity`?)"),
        ("servers: {a: {Sans: x}}", "2:15 unknown-field: unknown field `Sans` (did you mean `sans`?)"),
        (
            "servers: {a: {subjectAltName: x}}",
            "2:15 unknown-field: unknown field `subjectAltName` (did you mean `sans`?)",
        ),
        ("servers: {a: {dns_names: x}}", "2:15 unknown-field: unknown field `dns_names` (did you mean `sans`?)"),
        (
            "servers: {a: {commonName: x}}",
            "2:15 unknown-field: unknown field `commonName` (did you mean `common_name`?)",
        ),
        ("servers: {a: {CN: x}}", "2:15 unknown-field: unknown field `CN` (did you mean `common_name`?)"),
        ("ca: {parent: x}", "2:6 unknown-field: unknown field `parent` (did you mean `issuer`?)"),
        ("ca: {keysize: x}", "2:6 unknown-field: unknown field `keysize` (did you mean `key`?)"),
        ("ca: {subject: {O: Shop}}", "2:16 unknown-field: unknown field `O` (did you mean `organization`?)"),
        ("ca: {subject: {city: A}}", "2:16 unknown-field: unknown field `city` (did you mean `locality`?)"),
        ("ca: {key: {rotate: keep}}", "2:12 unknown-field: unknown field `rotate` (did you mean `rotation`?)"),
        ("defaults: {key: {algoritm: x}}", "2:18 unknown-field: unknown field `algoritm` (did you mean `algorithm`?)"),
        ("defaults: {ttl: 1d}", "2:12 unknown-field: unknown field `ttl` (did you mean `validity`?)"),
        ("cas: {a: {pathlen: 1}}", "2:11 unknown-field: unknown field `pathlen` (did you mean `path_length`?)"),
        (
            "cas: {a: {name_constraints: {permited: x}}}",
            "2:30 unknown-field: unknown field `permited` (did you mean `permitted`?)",
        ),
        ("peers: {a: {extendedKeyUsages: x}}", "2:13 unknown-field: unknown field `extendedKeyUsages` (did you mean"),
        ("'': {}", "2:1 unknown-field: unknown field ``"),
    ],
)
def test_an_unknown_field_is_shown_at_its_key_with_what_was_meant(refusals: Refusals, text: str, expected: str) -> None:
    (found,) = refusals(f"version: 1\n{text}\n")
    assert found.startswith(expected)


def test_a_field_like_no_other_gets_the_list_of_its_place(refusals: Refusals) -> None:
    assert refusals("version: 1\nca: {key: {colour: blue}}\n") == [
        "2:12 unknown-field: unknown field `colour` (known here: algorithm, rotation, mode)"
    ]
    (found,) = refusals("version: 1\ncolour: blue\n")
    assert found.endswith("(known here: version, name, defaults, keys, exports, ca, cas, servers, clients, peers)")


def test_a_proposal_is_a_field_of_the_same_place(refusals: Refusals) -> None:
    (found,) = refusals("version: 1\nca: {sans: a.example}\n")
    assert found.startswith("2:6 unknown-field: unknown field `sans` (known here: ")
    assert ", sans" not in found
    (found,) = refusals("version: 1\nca:\ndefaults: {common_name: a}\n")
    assert "`common_name` (known here: " in found


def test_a_merge_key_is_refused_with_its_reason(refusals: Refusals) -> None:
    assert refusals("version: 1\nca: &x {validity: 1y}\nservers:\n  a: {<<: *x}\n") == [
        "4:7 unknown-field: merge keys are not part of YAML 1.2 (say it once under `defaults`)"
    ]


@pytest.mark.parametrize("text", ['"[key]": 1', 'servers: {a: {"[key]": 1}}', 'ca: {key: {"[key]": 1}}'])
def test_a_field_named_as_pydantic_marks_keys_is_an_unknown_field(refusals: Refusals, text: str) -> None:
    (found,) = refusals(f"version: 1\n{text}\n")
    assert found.startswith(f"2:{text.index(chr(34)) + 1} unknown-field: unknown field `[key]` (")


def test_an_entry_named_as_pydantic_marks_keys_is_shown_at_its_key(refusals: Refusals) -> None:
    (found,) = refusals('version: 1\nservers:\n  "[key]": {}\n')
    assert found.startswith("3:3 bad-name: `[key]` cannot be a name")


def test_every_synonym_leads_to_a_field_of_the_language() -> None:
    assert set(SYNONYMS.values()) <= FIELDS
    assert all(squeezed == "".join(filter(str.isalnum, squeezed.lower())) for squeezed in SYNONYMS)
    assert not set(SYNONYMS) & FIELDS


# Values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 2", "1:10 unknown-version: language version 2 is not known (this certgen knows version 1)"),
        ("version: latest", "1:10 not-a-number: `latest` is not a whole number"),
        ("version:", "1:9 wrong-type: a text is expected here, not nothing"),
        ("version: [1]", "1:10 wrong-type: a text is expected here, not a list"),
        ("version: 1\nca: x", "2:5 wrong-type: a mapping is expected here, not a text"),
        ("version: 1\nca: []", "2:5 wrong-type: a mapping is expected here, not a list"),
        ("version: 1\ncas: [x]", "2:6 wrong-type: a mapping is expected here, not a list"),
        ("version: 1\nservers: x", "2:10 wrong-type: a mapping is expected here, not a text"),
        ("version: 1\nservers: {a: x}", "2:14 wrong-type: a mapping is expected here, not a text"),
        (
            "version: 1\nservers: {a: {sans: {b: c}}}",
            "2:21 wrong-type: a text or a list is expected here, not a mapping",
        ),
        ("version: 1\nservers: {a: {sans: [[b]]}}", "2:22 wrong-type: a text is expected here, not a list"),
        ("version: 1\nservers: {a: {sans: [b, ]}}\nca: {subject: x}", "3:15 wrong-type: a mapping is expected here"),
        ("version: 1\nservers: {a: {sans: [b, ~]}}", "2:25 wrong-type: a text is expected here, not nothing"),
        ("version: 1\nca: {key: [x]}", "2:11 wrong-type: a mapping is expected here, not a list"),
        ("version: 1\nca: {validity: {days: 1}}", "2:16 wrong-type: a text is expected here, not a mapping"),
        ("version: 1\ndefaults: x", "2:11 wrong-type: a mapping is expected here, not a text"),
        ("version: 1\nservers: {A: {}}", "2:11 bad-name: `A` cannot be a name"),
        ("version: 1\ncas: {a/b: {}}", "2:7 bad-name: `a/b` cannot be a name"),
        ("version: 1\nname: ../x", "2:7 bad-name: `../x` cannot be a name"),
        ("version: 1\nca: {issuer: A}", "2:14 bad-name: `A` cannot be a name"),
        (
            "version: 1\nca: {key: p256}",
            "2:11 unknown-value: unknown key algorithm `p256` (did you mean `ecdsa-p256`?)",
        ),
        ("version: 1\nca: {key: {algorithm: p256}}", "2:23 unknown-value: unknown key algorithm `p256` (did you mean"),
        (
            "version: 1\nservers: {a: {extended_key_usage: [serverAuth, client-auth]}}",
            "2:48 unknown-value: unknown extended key usage `client-auth` (did you mean `clientAuth`?)",
        ),
        ("version: 1\nca: {path_length: many}", "2:19 not-a-number: `many` is not a whole number"),
        ('version: 1\nca: {common_name: "a\\u0007b"}', "2:19 control-character: a control or direction character"),
    ],
)
def test_a_wrong_value_is_shown_where_it_stands(refusals: Refusals, text: str, expected: str) -> None:
    (found,) = refusals(text + "\n")
    assert found.startswith(expected)


def test_a_spec_without_a_version_is_told_to_say_it(refusals: Refusals) -> None:
    (found,) = refusals("ca:\n")
    assert found.startswith("1:1 missing-version: the spec does not say its language version (put `version: 1` first")


def test_all_errors_of_a_spec_are_shown_at_once_sorted_by_place(refusals: Refusals) -> None:
    found = refusals(
        "version: 3\nservers:\n  b: {sans: [c d, e.example, f g], color: x}\n  A: {}\n"
        "defaults: {validity: x}\nca: {key: rsa-1024}\n"
    )
    assert [line.partition(": ")[0] for line in found] == [
        "1:10 unknown-version",
        "3:14 bad-san",
        "3:30 bad-san",
        "3:36 unknown-field",
        "4:3 bad-name",
        "5:22 bad-duration",
        "6:11 weak-key",
    ]


def test_a_control_character_in_a_key_never_reaches_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    for text, hidden, shown in (
        ('"a\\e[31m": x', "\x1b", "unknown field `a\\x1b[31m`"),
        ('servers: {"a\\u202e": {sans: a.example}}', "\u202e", "`a\\u202e` cannot be a name"),
        ('"a\\e": x\n"a\\e": y', "\x1b", "`a\\x1b` stands twice in this mapping"),
    ):
        path.write_text(f"version: 1\n{text}\n", encoding="utf-8")
        with pytest.raises(CertgenError) as caught:
            load_spec(path)
        rendered = render_diagnostics(caught.value.diagnostics)
        assert hidden not in rendered
        assert shown in rendered


# What no spec can provoke today


class Inner(BaseModel):
    needed: int


class Outer(BaseModel):
    inner: Inner


def test_a_finding_of_a_kind_that_has_no_words_says_its_kind_and_nothing_of_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"needed": "hunter2"}})
    (found,) = explain(caught.value)
    assert (found.code, found.message) == ("invalid-value", "the value is not allowed here (int_parsing)")
    assert found.route == ("inner", "needed")


def test_a_field_that_is_missing_is_named_at_its_mapping() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {}})
    (found,) = explain(caught.value)
    assert (found.code, found.message, found.route) == ("missing-field", "`needed` is missing", ("inner",))
