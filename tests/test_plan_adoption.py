"""What another program made stays for as long as its entry asks for nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from values import (
    DAY,
    ISSUING,
    NOW,
    ROOT,
    SECOND,
    WEB,
    asking,
    authority,
    certificate_for,
    dns,
    member,
    name_of,
    public_key,
)

from certgen.lifetime import RenewBefore, Validity
from certgen.manifest import ManifestEntry
from certgen.model import Certificate, Entry, KeyPolicy
from certgen.plan.adoption import adoption_mark, differences, is_adopted
from certgen.publication import Publication
from certgen.rfc5280.vocabulary import (
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameConstraints,
)

SERVER, CA = member(WEB), authority(ROOT)
ISSUER = certificate_for(authority(ISSUING, ROOT), certificate_for(CA))
CERTIFICATE = certificate_for(SERVER, ISSUER)


def recorded(entry: Entry = SERVER, certificate: Certificate = CERTIFICATE) -> ManifestEntry:
    return ManifestEntry(certificate.key_id, {}, adopted=adoption_mark(entry, certificate.der))


def codes(entry: Entry, certificate: Certificate, issuer: Certificate | None = ISSUER) -> list[str]:
    return [reason.what or reason.code.value for reason in differences(entry, certificate, issuer)]


def test_it_is_adopted_for_as_long_as_nothing_else_is_asked() -> None:
    assert is_adopted(SERVER, CERTIFICATE, recorded())


def test_without_a_mark_or_a_certificate_nothing_is() -> None:
    assert not is_adopted(SERVER, CERTIFICATE, None)
    assert not is_adopted(SERVER, CERTIFICATE, replace(recorded(), adopted=None))
    assert not is_adopted(SERVER, None, recorded())


def test_another_certificate_is_not_adopted() -> None:
    assert not is_adopted(SERVER, certificate_for(SERVER, ISSUER), recorded())
    assert not is_adopted(SERVER, certificate_for(SERVER, ISSUER, public_key("other")), recorded())


EDITS: list[dict[str, Any]] = [
    {"subject": name_of("other")},
    {"subject": name_of("web", "Shop BV")},
    {"validity": Validity(91 * 86400)},
    {"validity": Validity(None, NOW, NOW + DAY)},
    {"subject_alt_names": (dns("web.shop.example"), dns("added.shop.example"))},
    {"subject_alt_names": ()},
    {"key_usage": frozenset({KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT})},
    {"extended_key_usage": frozenset({ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH})},
    {"crl_distribution_points": ("http://a/crl",)},
    {"ocsp": ("http://a/crl",)},
    {"ca_issuers": ("http://a/crl",)},
    {"path_length": 3},
    {"name_constraints": NameConstraints((dns("shop.example"),))},
    {"name_constraints": NameConstraints((), (dns("shop.example"),))},
]


@pytest.mark.parametrize("fields", EDITS, ids=range(len(EDITS)))
def test_an_edit_of_what_a_certificate_says_ends_it(fields: dict[str, Any]) -> None:
    assert not is_adopted(asking(SERVER, **fields), CERTIFICATE, recorded())


def test_every_edit_asks_for_something_else() -> None:
    marks = {adoption_mark(asking(SERVER, **fields), CERTIFICATE.der) for fields in EDITS}
    assert len(marks) == len(EDITS)


@pytest.mark.parametrize(
    "entry",
    [
        replace(SERVER, key=KeyPolicy(KeyAlgorithm.ECDSA_P384)),
        replace(SERVER, issuer=ROOT),
    ],
    ids=["key", "issuer"],
)
def test_another_key_or_issuer_ends_it(entry: Entry) -> None:
    assert not is_adopted(entry, CERTIFICATE, recorded())


@pytest.mark.parametrize(
    "entry",
    [
        replace(SERVER, key=KeyPolicy(mode=0o640)),
        replace(SERVER, renew_before=RenewBefore(seconds=3600)),
        replace(SERVER, trust=()),
        replace(SERVER, publication=Publication.SYMLINK),
        replace(SERVER, deploy_dir="/etc/certgen/web"),
    ],
    ids=["mode", "renew_before", "trust", "publish", "deploy_dir"],
)
def test_what_no_certificate_says_does_not(entry: Entry) -> None:
    assert is_adopted(entry, CERTIFICATE, recorded())


def test_the_order_of_names_and_usages_is_of_no_matter() -> None:
    names = (dns("a.example"), dns("b.example"))
    one, other = (asking(SERVER, subject_alt_names=order) for order in (names, names[::-1]))
    assert adoption_mark(one, CERTIFICATE.der) == adoption_mark(other, CERTIFICATE.der)


def test_a_path_length_that_follows_from_the_spec_may_follow_from_it_again() -> None:
    intermediate = authority(ISSUING, ROOT)
    assert intermediate.template.path_length_derived
    deeper = asking(intermediate, path_length=1)
    assert adoption_mark(deeper, b"") == adoption_mark(intermediate, b"")
    fixed = asking(intermediate, path_length=0, path_length_derived=False)
    assert adoption_mark(fixed, b"") != adoption_mark(intermediate, b"")


def test_a_mark_is_two_short_digests() -> None:
    assert [len(part) for part in adoption_mark(SERVER, CERTIFICATE.der).split(" ")] == [16, 16]


def test_what_a_spec_says_all_of_has_no_difference() -> None:
    assert differences(SERVER, CERTIFICATE, ISSUER) == ()
    assert differences(CA, certificate_for(CA), None) == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subject": name_of("other")}, ["subject_changed"]),
        ({"subject_alt_names": (GeneralName("OtherName", "x"), dns("web.shop.example"))}, ["sans_changed"]),
        ({"subject_alt_names": (GeneralName(GeneralNameKind.DNS, "a..b"),)}, ["sans_changed"]),
        ({"extended_key_usage": frozenset({"serverAuth", "1.2.3.4"})}, ["extKeyUsage"]),
        ({"critical": frozenset()}, ["critical extensions"]),
        ({"subject_key_identifier": None}, ["subjectKeyIdentifier"]),
        ({"key_algorithm": "rsa-1024"}, ["key_algorithm_changed"]),
        ({"not_after": CERTIFICATE.not_after + 9 * DAY}, ["validity_changed"]),
        ({"not_after": ISSUER.not_after + SECOND}, ["outlives_issuer"]),
    ],
)
def test_what_it_has_otherwise_is_a_difference(fields: dict[str, Any], expected: list[str]) -> None:
    assert sorted(codes(SERVER, replace(CERTIFICATE, **fields))) == expected


def test_that_it_is_over_is_none() -> None:
    early = timedelta(days=4000)
    over = replace(CERTIFICATE, not_before=CERTIFICATE.not_before - early, not_after=CERTIFICATE.not_after - early)
    assert differences(SERVER, over, None) == ()
    assert codes(SERVER, replace(over, not_after=over.not_after + DAY), None) == ["validity_changed"]
