"""A certificate as the fields of a spec: what they say is what it has, and what they cannot say is left out."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from strategies import SpecTree, specs
from values import APP, NODE, NOW, ROOT, WEB, authority, certificate_for, dns, member

from certgen.importing.describing import describe, section_of, written_name
from certgen.importing.draft import Draft, Source, named, spec_fields
from certgen.importing.pem import collect
from certgen.importing.writing import write_spec
from certgen.loading import load_spec, load_text
from certgen.model import CertificateTemplate, Section
from certgen.plan.adoption import differences
from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameConstraints,
)
from certgen.testing import compile_spec

SERVER = certificate_for(member(WEB))
CLIENT = certificate_for(member(APP))
CA = certificate_for(authority(ROOT))
USAGES = {KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT}


def named_by(*attributes: tuple[str, str]) -> DistinguishedName:
    return DistinguishedName(attributes)


def lasting(seconds: int) -> dict[str, datetime]:
    return {"not_before": NOW, "not_after": NOW + timedelta(seconds=seconds - 1)}


@pytest.mark.parametrize(
    ("purposes", "names", "section"),
    [
        ({"serverAuth"}, (), Section.SERVERS),
        ({"clientAuth"}, (dns("a.example"),), Section.CLIENTS),
        ({"serverAuth", "clientAuth"}, (), Section.PEERS),
        ((), (dns("a.example"),), Section.SERVERS),
        ((), (GeneralName(GeneralNameKind.IP, "10.0.0.1"),), Section.SERVERS),
        ((), (GeneralName(GeneralNameKind.URI, "urn:a"),), Section.CLIENTS),
        ((), (), Section.CLIENTS),
        ({"codeSigning"}, (dns("a.example"),), Section.SERVERS),
        ({"2.5.29.37.0"}, (), Section.CLIENTS),
    ],
)
def test_purposes_tell_what_it_is_for_and_names_where_there_are_none(
    purposes: set[str], names: tuple[GeneralName, ...], section: Section
) -> None:
    certificate = replace(SERVER, extended_key_usage=frozenset(purposes), subject_alt_names=names)
    assert section_of(certificate) is section
    assert section_of(replace(certificate, is_ca=True)) is Section.CAS


def test_what_the_language_implies_is_not_said() -> None:
    assert describe(SERVER, Section.SERVERS) == {
        "common_name": "web", "sans": ["web.shop.example"], "validity": "90d",
    }  # fmt: skip
    assert describe(certificate_for(member(NODE)), Section.PEERS).keys() == {"common_name", "sans", "validity"}
    assert describe(CA, Section.CAS) == {"common_name": "Shop root", "validity": "1000d"}


def test_what_it_has_beyond_that_is_said() -> None:
    certificate = replace(
        SERVER,
        subject=named_by(("organization", "A"), ("country", "NL"), ("organization", "B"), ("common_name", "web")),
        key_algorithm=KeyAlgorithm.RSA_3072,
        key_usage=frozenset(USAGES),
        extended_key_usage=frozenset({"serverAuth", "codeSigning"}),
        crl_distribution_points=("http://a/crl",),
        ocsp=("http://a/ocsp",),
        ca_issuers=("http://a/ca",),
    )
    assert describe(certificate, Section.SERVERS) == {
        "common_name": "web",
        "subject": {"country": "NL", "organization": ["A", "B"]},
        "sans": ["web.shop.example"],
        "key": "rsa-3072",
        "validity": "90d",
        "key_usage": ["digitalSignature", "keyEncipherment"],
        "extended_key_usage": ["codeSigning", "serverAuth"],
        "crl_distribution_points": ["http://a/crl"],
        "ocsp": ["http://a/ocsp"],
        "ca_issuers": ["http://a/ca"],
    }


def test_a_ca_has_its_path_length_and_constraints() -> None:
    permitted = (dns("shop.example"), GeneralName(GeneralNameKind.IP, "10.0.0.0/8"))
    excluded = (GeneralName(GeneralNameKind.EMAIL, "shop.example"),)
    certificate = replace(CA, path_length=0, name_constraints=NameConstraints(permitted, excluded))
    fields = describe(certificate, Section.CAS)
    assert fields["path_length"] == 0
    assert fields["name_constraints"] == {
        "permitted": ["shop.example", "10.0.0.0/8"], "excluded": ["email:shop.example"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        (KeyAlgorithm.ECDSA_P256, None),
        (KeyAlgorithm.ED25519, "ed25519"),
        ("rsa-1024", None),
        ("ecdsa-secp224r1", None),
        ("dsa", None),
    ],
)
def test_a_key_that_a_spec_cannot_ask_for_is_not_said(algorithm: KeyAlgorithm | str, said: str | None) -> None:
    assert describe(replace(SERVER, key_algorithm=algorithm), Section.SERVERS).get("key") == said


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        (KeyAlgorithm.RSA_3072, ["digitalSignature", "keyEncipherment"]),
        ("rsa-1024", ["digitalSignature", "keyEncipherment"]),
        (KeyAlgorithm.ECDSA_P384, None),
        ("ed448", None),
    ],
)
def test_a_usage_that_its_key_cannot_have_is_not_said(algorithm: KeyAlgorithm | str, said: list[str] | None) -> None:
    certificate = replace(SERVER, key_algorithm=algorithm, key_usage=frozenset(USAGES))
    assert describe(certificate, Section.SERVERS).get("key_usage") == said


@pytest.mark.parametrize("purposes", [{"serverAuth", "1.2.3.4"}, {"2.5.29.37.0"}, set()])
def test_purposes_that_a_spec_does_not_know_are_not_said(purposes: set[str]) -> None:
    certificate = replace(SERVER, extended_key_usage=frozenset(purposes))
    assert "extended_key_usage" not in describe(certificate, Section.SERVERS)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (90 * 86400, "90d"),
        (90 * 86400 + 1, "90d"),
        (12 * 3600, "12h"),
        (90 * 60, "90m"),
        (90, "90s"),
        (40_000 * 86400, "36500d"),
    ],
)
def test_a_lifetime_is_written_in_the_largest_unit(seconds: int, said: str) -> None:
    assert describe(replace(SERVER, **lasting(seconds)), Section.SERVERS)["validity"] == said  # type: ignore[arg-type]  # dates


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (dns("a.example"), "a.example"),
        (dns("*.a.example"), "*.a.example"),
        (GeneralName(GeneralNameKind.IP, "::1"), "::1"),
        (GeneralName(GeneralNameKind.URI, "spiffe://a/b"), "spiffe://a/b"),
        (GeneralName(GeneralNameKind.EMAIL, "me@a.example"), "me@a.example"),
        (dns("10.0.0.1"), None),
        (dns("a..b"), None),
        (dns("a: b"), None),
        (dns(""), None),
        (GeneralName("OtherName", "b'x'"), None),
        (GeneralName("RegisteredID", "1.2.3"), None),
    ],
)
def test_a_name_is_written_so_that_it_is_read_as_the_same(name: GeneralName, said: str | None) -> None:
    assert written_name(name) == said


def test_names_that_cannot_be_said_are_left_out_of_the_others() -> None:
    certificate = replace(SERVER, subject_alt_names=(dns("a..b"), dns("a.example"), GeneralName("OtherName", "x")))
    assert describe(certificate, Section.SERVERS)["sans"] == ["a.example"]


@pytest.mark.parametrize(
    ("common_name", "said"),
    [("web.shop.example", "web.shop.example"), ("10.0.0.1", "10.0.0.1"), ("My Server", "localhost")],
)
def test_what_serves_without_a_name_has_the_one_that_it_went_by(common_name: str, said: str) -> None:
    certificate = replace(SERVER, subject=named_by(("common_name", common_name)), subject_alt_names=())
    assert describe(certificate, Section.SERVERS)["sans"] == [said]
    assert "sans" not in describe(replace(CLIENT, subject_alt_names=()), Section.CLIENTS)


def test_attributes_that_a_spec_does_not_know_are_left_out() -> None:
    subject = named_by(("1.2.3.4", "x"), ("+organizational_unit", "y"), ("locality", "z"))
    fields = describe(replace(CLIENT, subject=subject), Section.CLIENTS)
    assert fields["subject"] == {"locality": "z"}
    assert "common_name" not in fields


def drafts_of(tree: Path) -> tuple[Draft, ...]:
    return collect(Source(str(path), path.read_bytes()) for path in sorted(tree.glob("*/*/*.pem"))).drafts


def said(template: CertificateTemplate) -> CertificateTemplate:
    """A template as a certificate can tell of it: not where its path length came from."""
    return replace(template, path_length_derived=False)


@given(specs())
@settings(max_examples=12, deadline=None)
def test_a_certificate_of_certgen_is_described_as_its_spec_has_it(spec: SpecTree) -> None:
    with TemporaryDirectory() as folder:
        tree = compile_spec(spec, Path(folder), NOW).folder
        bundle = load_spec(Path(folder) / "certgen.yaml").bundle
        drafts = drafts_of(tree)
    assert len(drafts) == len(bundle.entries)
    entries = named(drafts)
    imported = load_text(Path("imported.yaml"), write_spec(spec_fields(entries))).bundle
    before = sorted((said(entry.template) for entry in bundle.entries), key=str)
    after = sorted((said(entry.template) for entry in imported.entries), key=str)
    assert after == before
    for address, draft in entries.items():
        entry = imported[address]
        issuer = entries[entry.issuer].certificate if entry.issuer else None
        assert draft.certificate is not None
        assert differences(entry, draft.certificate, issuer) == ()
