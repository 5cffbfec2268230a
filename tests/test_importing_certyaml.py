"""A manifest of certyaml as entries: what it says, what it implies, and what a spec has no word for."""

from typing import Any

import pytest

from certgen.importing.certyaml import collect
from certgen.importing.draft import Collected, Draft, Source
from certgen.model import Section

MANIFEST = """\
subject: cn=Root
---
subject: CN=Issuing, O=Shop BV
issuer: CN=Root
ca: true
key_type: RSA
---
subject: CN=api,O=Shop BV,OU=A,OU=B,C=NL
issuer: CN=Issuing,O=Shop BV
sans: [DNS:api.shop.example, IP:10.0.0.1]
key_usages: [DigitalSignature, KeyEncipherment]
expires: 720h
"""


def read(text: str) -> Collected:
    found = collect(Source("certs.yaml", text.encode()))
    assert found is not None
    return found


def one(text: str) -> Draft:
    (draft,) = read(text).drafts
    return draft


def below(text: str) -> Draft:
    """The entry of a certificate below a root."""
    return one(f"subject: CN=x\nissuer: CN=root\n{text}")


def test_each_document_is_an_entry_with_its_issuer() -> None:
    root, issuing, api = read(MANIFEST).drafts
    assert [draft.section for draft in (root, issuing, api)] == [Section.CAS, Section.CAS, Section.SERVERS]
    assert [draft.wish for draft in (root, issuing, api)] == ["Root", "Issuing", "api"]
    assert (root.issuer, issuing.issuer, api.issuer) == (None, root.subject, issuing.subject)
    assert read(MANIFEST).remarks == ()


def test_the_fields_are_those_of_a_spec() -> None:
    root, issuing, api = (dict(draft.fields) for draft in read(MANIFEST).drafts)
    assert root == {"common_name": "Root", "validity": "8760h"}
    assert issuing == {
        "common_name": "Issuing", "subject": {"organization": "Shop BV"}, "key": "rsa-2048", "validity": "8760h",
    }  # fmt: skip
    assert api == {
        "common_name": "api",
        "subject": {"organization": "Shop BV", "organizational_unit": ["A", "B"], "country": "NL"},
        "sans": ["DNS:api.shop.example", "IP:10.0.0.1"],
        "validity": "720h",
        "key_usage": ["digitalSignature", "keyEncipherment"],
    }


@pytest.mark.parametrize(
    ("said", "section", "purposes"),
    [
        ("", Section.CLIENTS, None),
        ("sans: DNS:a.example", Section.SERVERS, None),
        ("sans: URI:spiffe://a/b", Section.CLIENTS, None),
        ("ext_key_usages: [serverAuth]", Section.SERVERS, None),
        ("ext_key_usages: [clientAuth]\nsans: DNS:a.example", Section.CLIENTS, None),
        ("ext_key_usages: [ClientAuth, ServerAuth]", Section.PEERS, None),
        ("ext_key_usages: [codeSigning]", Section.CLIENTS, ["codeSigning"]),
        ("ca: true", Section.CAS, None),
        ("ca: false", Section.CLIENTS, None),
    ],
)
def test_what_it_is_for_decides_where_it_stands(said: str, section: Section, purposes: list[str] | None) -> None:
    draft = below(said)
    assert draft.section is section
    assert draft.fields.get("extended_key_usage") == purposes


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("", None),
        ("key_type: EC\nkey_size: 384", "ecdsa-p384"),
        ("key_type: ec\nkey_size: 521", "ecdsa-p521"),
        ("key_type: RSA\nkey_size: 4096", "rsa-4096"),
        ("key_type: ED25519", "ed25519"),
    ],
)
def test_a_key_has_the_name_that_a_spec_gives_it(said: str, key: str | None) -> None:
    assert below(said).fields.get("key") == key


def test_fixed_dates_take_the_place_of_a_validity() -> None:
    fields = below("not_before: 2026-01-01T00:00:00Z\nnot_after: 2027-01-01T00:00:00Z").fields
    assert fields["not_before"] == "2026-01-01T00:00:00Z"
    assert fields["not_after"] == "2027-01-01T00:00:00Z"
    assert "validity" not in fields


def test_an_alias_is_what_it_stands_for() -> None:
    first, second = read("subject: &name CN=a\nissuer: CN=root\n---\nsubject: CN=b\nissuer: CN=root\n").drafts
    assert (first.wish, second.wish) == ("a", "b")
    assert below("sans: [&n DNS:a.example, *n]").fields["sans"] == ["DNS:a.example", "DNS:a.example"]


def test_a_comma_in_a_value_is_none_between_attributes() -> None:
    draft = one(r"subject: CN=a\, b,O=c\, d")
    assert draft.fields["common_name"] == "a, b"
    assert draft.fields["subject"] == {"organization": "c, d"}


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("serial: 5", "serial"),
        ("serial: [5]", "serial"),
        ("revoked: true", "revoked"),
        ("revoked: {a: b}", "revoked"),
        ("key_type: RSA\nkey_size: 1024", "key"),
        ("key_type: [EC]", "key"),
    ],
)
def test_what_has_no_place_in_a_spec_is_told(said: str, what: str) -> None:
    (remark,) = read(f"subject: CN=x\n{said}").remarks
    assert remark.code == "not-expressed"
    assert remark.message == f"what certs.yaml says of `x` as its {what} has no place in a spec"


@pytest.mark.parametrize("said", ["revoked: false", "filename: other", "sans: []"])
def test_what_asks_for_nothing_is_not(said: str) -> None:
    assert read(f"subject: CN=x\n{said}").remarks == ()


@pytest.mark.parametrize("subject", ["[a]", "{a: b}", "''", "no name", "EMAIL=a@b.example", "CN=a,b"])
def test_what_is_no_distinguished_name_is_told_and_the_rest_read(subject: str) -> None:
    found = read(f"subject: {subject}\n---\nsubject: CN=good\n")
    assert [draft.wish for draft in found.drafts] == ["good"]
    assert [remark.code for remark in found.remarks] == ["not-imported"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "a: b",
        "- subject: CN=a",
        "subject: CN=a\n---\nother: b",
        "subject: [",
        "subject: a\nsubject: b",
    ],
)
def test_another_file_is_not_read_as_one(text: str) -> None:
    assert collect(Source("other.yaml", text.encode())) is None


@pytest.mark.parametrize(
    "name", ["subject", "issuer", "sans", "ca", "key_type", "key_size", "expires", "key_usages", "ext_key_usages",
             "crl_distribution_points", "ocsp", "not_before", "not_after", "serial", "revoked", "filename"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["[[a], {b: c}, null]", "{a: [b]}", "null", "''", "-1", '"a\\nb"'])
def test_a_value_of_another_kind_is_no_accident(name: str, value: str) -> None:
    lines: dict[str, Any] = {"subject": "CN=x", "issuer": "CN=root", name: value}
    found = read("".join(f"{key}: {text}\n" for key, text in lines.items()))
    assert len(found.drafts) + len(found.remarks) >= 1
