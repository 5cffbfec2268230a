"""A certificate against its template: both ways, order aside, what version 1 cannot express aside."""

from dataclasses import replace

import pytest
from values import ISSUING, ROOT, WEB, asking, authority, certificate_for, dns, member, name_of

from certgen.model import Certificate, CertificateTemplate
from certgen.plan.compare import compare_contents
from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyUsage,
    NameConstraints,
)

CA, SERVER = authority(ROOT), member(WEB)
CA_CERTIFICATE = certificate_for(CA)
CERTIFICATE = certificate_for(SERVER, CA_CERTIFICATE)
TEMPLATE = SERVER.template


def differences(certificate: Certificate, template: CertificateTemplate) -> list[tuple[str | None, ...]]:
    return [(str(r.code), r.what, r.was, r.wanted) for r in compare_contents(certificate, template)]


def extension(what: str, was: str, wanted: str) -> list[tuple[str | None, ...]]:
    return [("extensions_changed", what, was, wanted)]


@pytest.mark.parametrize("entry", [CA, SERVER, authority(ISSUING, ROOT)], ids=lambda entry: str(entry.address))
def test_a_certificate_as_asked_has_no_difference(entry: object) -> None:
    assert isinstance(entry, type(CA))
    issuer = CA_CERTIFICATE if entry.issuer else None
    assert differences(certificate_for(entry, issuer), entry.template) == []


class TestNames:
    def test_subject(self) -> None:
        found = differences(CERTIFICATE, replace(TEMPLATE, subject=name_of("new", "Shop")))
        assert found == [("subject_changed", None, "CN=web", "O=Shop, CN=new")]

    def test_an_attribute_that_no_spec_can_name_is_seen(self) -> None:
        subject = DistinguishedName((*TEMPLATE.subject.attributes, ("2.5.4.65", "pseudonym")))
        found = differences(replace(CERTIFICATE, subject=subject), TEMPLATE)
        assert found == [("subject_changed", None, "CN=web, 2.5.4.65=pseudonym", "CN=web")]

    def test_the_order_of_a_subject_is_part_of_it(self) -> None:
        pairs = (("organization", "Shop"), ("common_name", "web"))
        certificate = replace(CERTIFICATE, subject=DistinguishedName(pairs))
        assert differences(certificate, replace(TEMPLATE, subject=DistinguishedName(pairs))) == []
        turned = replace(TEMPLATE, subject=DistinguishedName(pairs[::-1]))
        assert [code for code, *_ in differences(certificate, turned)] == ["subject_changed"]

    def test_sans_are_a_set(self) -> None:
        names = (dns("b.example"), dns("a.example"))
        certificate = replace(CERTIFICATE, subject_alt_names=(*names, *names))
        assert differences(certificate, replace(TEMPLATE, subject_alt_names=names[::-1])) == []

    def test_no_sans_are_called_none(self) -> None:
        found = differences(CERTIFICATE, replace(TEMPLATE, subject_alt_names=()))
        assert found == [("sans_changed", None, "DNS:web.shop.example", "none")]

    def test_one_value_of_two_kinds_is_two_names(self) -> None:
        name = GeneralName(GeneralNameKind.EMAIL, "web.shop.example")
        found = differences(CERTIFICATE, replace(TEMPLATE, subject_alt_names=(name,)))
        assert found == [("sans_changed", None, "DNS:web.shop.example", "email:web.shop.example")]


class TestExtensions:
    @pytest.mark.parametrize(
        ("field", "what", "value", "text"),
        [
            ("key_usage", "keyUsage", frozenset({KeyUsage.KEY_AGREEMENT}), "keyAgreement"),
            ("key_usage", "keyUsage", frozenset(), "none"),
            ("extended_key_usage", "extKeyUsage", frozenset({ExtendedKeyUsage.CLIENT_AUTH}), "clientAuth"),
            ("extended_key_usage", "extKeyUsage", frozenset(), "none"),
            (
                "crl_distribution_points",
                "cRLDistributionPoints",
                ("http://a.example", "http://b.example"),
                "http://a.example, http://b.example",
            ),
            ("ocsp", "authorityInfoAccess OCSP", ("http://a.example",), "http://a.example"),
            ("ca_issuers", "authorityInfoAccess caIssuers", ("http://a.example",), "http://a.example"),
        ],
    )
    def test_both_ways(self, field: str, what: str, value: object, text: str) -> None:
        before = {"key_usage": "digitalSignature", "extended_key_usage": "serverAuth"}.get(field, "none")
        there = replace(CERTIFICATE, **{field: value})  # type: ignore[arg-type]  # a row of the table
        asked = replace(TEMPLATE, **{field: value})  # type: ignore[arg-type]  # a row of the table
        assert differences(CERTIFICATE, asked) == extension(what, before, text)
        assert differences(there, TEMPLATE) == extension(what, text, before)
        assert differences(there, asked) == []

    def test_name_constraints_order_aside(self) -> None:
        first = NameConstraints((dns("a.example"), dns("b.example")), (dns("c.example"),))
        turned = NameConstraints((dns("b.example"), dns("a.example")), (dns("c.example"),))
        entry = asking(CA, name_constraints=first)
        certificate = certificate_for(entry)
        assert differences(certificate, replace(entry.template, name_constraints=turned)) == []
        swapped = NameConstraints(first.excluded, first.permitted)
        assert differences(certificate, replace(entry.template, name_constraints=swapped)) == extension(
            "nameConstraints",
            "permitted DNS:a.example, DNS:b.example; excluded DNS:c.example",
            "permitted DNS:c.example; excluded DNS:a.example, DNS:b.example",
        )

    def test_name_constraints_change_what_is_critical_too(self) -> None:
        asked = replace(CA.template, name_constraints=NameConstraints((dns("a.example"),)))
        whats = [what for _, what, *_ in differences(CA_CERTIFICATE, asked)]
        assert whats == ["nameConstraints", "critical extensions"]

    def test_an_end_entity_that_is_a_ca(self) -> None:
        found = differences(replace(CERTIFICATE, is_ca=True, path_length=2), TEMPLATE)
        assert found == extension("basicConstraints", "CA:TRUE, pathlen:2", "CA:FALSE")

    @pytest.mark.parametrize("what", ["subjectKeyIdentifier", "authorityKeyIdentifier"])
    def test_key_identifiers_that_are_not_there(self, what: str) -> None:
        field = {"subjectKeyIdentifier": "subject_key_identifier"}.get(what, "authority_key_identifier")
        certificate = replace(CERTIFICATE, **{field: None})  # type: ignore[arg-type]  # one of two fields
        assert differences(certificate, TEMPLATE) == extension(what, "absent", "present")

    def test_a_root_needs_no_authority_key_identifier(self) -> None:
        assert CA_CERTIFICATE.authority_key_identifier is None
        assert differences(CA_CERTIFICATE, CA.template) == []

    def test_sans_are_critical_only_where_the_subject_is_empty(self) -> None:
        entry = asking(SERVER, subject=DistinguishedName())
        certificate = certificate_for(entry, CA_CERTIFICATE)
        assert "subjectAltName" in certificate.critical
        assert differences(certificate, entry.template) == []
        critical = certificate.critical - {"subjectAltName"}
        found = differences(replace(certificate, critical=critical), entry.template)
        assert [what for _, what, *_ in found] == ["critical extensions"]

    def test_an_unknown_critical_extension_is_left_alone(self) -> None:
        certificate = replace(CERTIFICATE, critical=CERTIFICATE.critical | {"1.2.3.4"})
        assert differences(certificate, TEMPLATE) == []


class TestPathLength:
    @pytest.mark.parametrize(
        ("found", "wanted", "derived", "is_same"),
        [
            (0, 0, True, True),
            (1, 0, True, True),
            (None, 0, True, True),
            (0, 1, True, False),
            (1, 0, False, False),
            (None, 0, False, False),
            (0, None, False, False),
            (0, 0, False, True),
            (None, None, False, True),
        ],
    )
    def test_a_larger_one_stays_where_only_the_shape_of_the_spec_asks(
        self, found: int | None, wanted: int | None, derived: bool, is_same: bool
    ) -> None:
        entry = asking(authority(ISSUING, ROOT), path_length=wanted, path_length_derived=derived)
        certificate = replace(certificate_for(entry, CA_CERTIFICATE), path_length=found)
        assert (differences(certificate, entry.template) == []) is is_same
