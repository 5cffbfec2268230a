"""The profile of design section 6, row by row: certificates that certgen signs, read back by cryptography alone."""

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certgen.certificates import parse_certificate
from certgen.issue import SERIAL_BITS, issue, new_serial_number
from certgen.model import CertificateTemplate, Issuance
from certgen.rfc5280.objects import generate_private_key, public_key_der
from certgen.rfc5280.vocabulary import DistinguishedName, KeyAlgorithm, NameAttribute
from certgen.spec.references import ReferencedFiles
from certgen.spec.resolve import resolve
from certgen.spec.schema import Spec

T = TypeVar("T", bound=x509.ExtensionType)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
CLASSICAL = [algorithm for algorithm in KeyAlgorithm if not algorithm.is_post_quantum]
AUTHORITIES, MEMBERS = ["root", "issuing"], ["web", "app", "node"]
EVERYONE = [*AUTHORITIES, *MEMBERS]
KEY_ALGORITHMS = pytest.mark.parametrize("algorithm", CLASSICAL)


def templates() -> dict[str, CertificateTemplate]:
    """Resolve a small spec, so that the profile is what a user gets and not what a test asks for."""
    spec = Spec.model_validate(
        {
            "version": "1",
            "defaults": {"subject": {"organization": "Shop BV", "country": "NL"}},
            "cas": {
                "root": {"name_constraints": {"permitted": ["shop.example", "127.0.0.0/8"]}},
                "issuing": {
                    "issuer": "root",
                    "crl_distribution_points": "http://crl.shop.example/root.crl",
                    "ocsp": "http://ocsp.shop.example",
                    "ca_issuers": "http://ca.shop.example/root.der",
                },
            },
            "servers": {"web": {"issuer": "issuing", "sans": ["web.shop.example", "127.0.0.1"]}},
            "clients": {"app": {"issuer": "issuing"}},
            "peers": {"node": {"issuer": "issuing", "sans": "node.shop.example"}},
        }
    )
    bundle, problems = resolve(spec, "shop", "shop.yaml", ReferencedFiles({}))
    assert not problems
    return {entry.address.name: entry.template for entry in bundle.entries}


TEMPLATES = templates()


@cache
def key_of(algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
    return generate_private_key(algorithm)


SUBJECT_KEY = ec.generate_private_key(ec.SECP256R1())


def make(
    template: CertificateTemplate,
    *,
    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    predecessor: bytes | None = None,
    begin: datetime = NOW,
    end: datetime | None = None,
    serial: int = 7,
) -> x509.Certificate:
    """Sign a certificate; its issuer has a key of the algorithm, and a root is its own."""
    signer = key_of(algorithm)
    end = end or begin + timedelta(days=90)
    before = parse_certificate(predecessor) if predecessor else None
    issuer = None
    if template is not TEMPLATES["root"]:
        issuer = parse_certificate(make(TEMPLATES["root"], algorithm=algorithm).public_bytes(Encoding.DER))
    subject_key = (key or SUBJECT_KEY) if issuer else signer
    issuance = Issuance(template, begin, end, before)
    der = issue(issuance, public_key_der(subject_key.public_key()), issuer, signer, serial)
    return x509.load_der_x509_certificate(der)


def made(name: str, algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256) -> x509.Certificate:
    return make(TEMPLATES[name], algorithm=algorithm)


def root(algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256) -> x509.Certificate:
    return made("root", algorithm)


def value(certificate: x509.Certificate, kind: type[T]) -> T:
    return certificate.extensions.get_extension_for_class(kind).value


def criticality(certificate: x509.Certificate) -> dict[str, bool]:
    return {extension.oid._name: extension.critical for extension in certificate.extensions}


def elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk DER depth first: each tag with its content."""
    place = 0
    while place < len(der):
        tag, length, head = der[place], der[place + 1], 2
        if length & 0x80:
            size = length & 0x7F
            length, head = int.from_bytes(der[place + 2 : place + 2 + size], "big"), 2 + size
        content = der[place + head : place + head + length]
        yield tag, content
        if tag & 0x20:
            yield from elements(content)
        place += head + length


UTF8_STRING, PRINTABLE_STRING, IA5_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x16, 0x17, 0x18


class TestSerialNumbers:
    def test_they_are_positive_of_at_most_159_bits_and_unique(self) -> None:
        drawn = [new_serial_number() for _ in range(5000)]
        assert len(set(drawn)) == 5000
        assert all(0 < number < 2**159 for number in drawn)

    def test_they_are_random_in_all_their_bits(self) -> None:
        drawn = [new_serial_number() for _ in range(500)]
        for bit in range(SERIAL_BITS):
            ones = sum(number >> bit & 1 for number in drawn)
            assert 150 < ones < 350

    def test_zero_is_never_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("secrets.randbits", lambda _: 0)
        assert new_serial_number() == 1

    @pytest.mark.parametrize("serial", [1, 2**159 - 1])
    def test_the_largest_takes_twenty_octets(self, serial: int) -> None:
        assert make(TEMPLATES["web"], serial=serial).serial_number == serial


class TestBasicConstraints:
    @KEY_ALGORITHMS
    def test_a_root_is_a_ca_without_a_path_length(self, algorithm: KeyAlgorithm) -> None:
        found = root(algorithm).extensions.get_extension_for_class(x509.BasicConstraints)
        assert found.critical
        assert (found.value.ca, found.value.path_length) == (True, None)

    @KEY_ALGORITHMS
    def test_an_intermediate_is_a_ca_with_one(self, algorithm: KeyAlgorithm) -> None:
        found = made("issuing", algorithm).extensions.get_extension_for_class(x509.BasicConstraints)
        assert found.critical
        assert (found.value.ca, found.value.path_length) == (True, 0)

    @KEY_ALGORITHMS
    @pytest.mark.parametrize("name", MEMBERS)
    def test_an_end_entity_is_none(self, name: str, algorithm: KeyAlgorithm) -> None:
        found = made(name, algorithm).extensions.get_extension_for_class(x509.BasicConstraints)
        assert found.critical
        assert (found.value.ca, found.value.path_length) == (False, None)

    def test_a_path_length_on_an_end_entity_is_not_written(self) -> None:
        assert value(make(replace(TEMPLATES["web"], path_length=3)), x509.BasicConstraints).path_length is None


class TestKeyUsage:
    def usages(self, certificate: x509.Certificate) -> set[str]:
        usage = value(certificate, x509.KeyUsage)
        names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
        names += ["key_agreement", "key_cert_sign", "crl_sign"]
        return {name for name in names if getattr(usage, name)}

    @KEY_ALGORITHMS
    @pytest.mark.parametrize("name", AUTHORITIES)
    def test_a_ca_signs_certificates_and_crls(self, name: str, algorithm: KeyAlgorithm) -> None:
        certificate = made(name, algorithm)
        assert self.usages(certificate) == {"key_cert_sign", "crl_sign"}
        assert criticality(certificate)["keyUsage"]

    @KEY_ALGORITHMS
    @pytest.mark.parametrize("name", MEMBERS)
    def test_an_end_entity_signs_and_nothing_more(self, name: str, algorithm: KeyAlgorithm) -> None:
        certificate = make(TEMPLATES[name], key=key_of(algorithm))
        assert self.usages(certificate) == {"digital_signature"}
        assert criticality(certificate)["keyUsage"]


class TestExtendedKeyUsage:
    @pytest.mark.parametrize("name", AUTHORITIES)
    def test_a_ca_has_none(self, name: str) -> None:
        assert "extendedKeyUsage" not in criticality(made(name))

    @pytest.mark.parametrize(
        ("name", "purposes"),
        [
            ("web", {ExtendedKeyUsageOID.SERVER_AUTH}),
            ("app", {ExtendedKeyUsageOID.CLIENT_AUTH}),
            ("node", {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}),
        ],
    )
    @KEY_ALGORITHMS
    def test_an_end_entity_has_its_sections_not_critical(
        self, name: str, purposes: set[x509.ObjectIdentifier], algorithm: KeyAlgorithm
    ) -> None:
        certificate = made(name, algorithm)
        assert set(value(certificate, x509.ExtendedKeyUsage)) == purposes
        assert not criticality(certificate)["extendedKeyUsage"]

    @pytest.mark.parametrize("name", MEMBERS)
    def test_it_is_never_any(self, name: str) -> None:
        assert ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in value(made(name), x509.ExtendedKeyUsage)


class TestKeyIdentifiers:
    @KEY_ALGORITHMS
    @pytest.mark.parametrize("name", EVERYONE)
    def test_everyone_has_a_subject_key_identifier_not_critical(self, name: str, algorithm: KeyAlgorithm) -> None:
        certificate = made(name, algorithm)
        expected = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        assert value(certificate, x509.SubjectKeyIdentifier) == expected
        assert not criticality(certificate)["subjectKeyIdentifier"]

    @KEY_ALGORITHMS
    @pytest.mark.parametrize("name", EVERYONE[1:])
    def test_everyone_below_the_root_points_to_its_issuers_key_by_key_id_only(
        self, name: str, algorithm: KeyAlgorithm
    ) -> None:
        certificate = made(name, algorithm)
        found = value(certificate, x509.AuthorityKeyIdentifier)
        assert found.key_identifier == value(root(algorithm), x509.SubjectKeyIdentifier).digest
        assert found.authority_cert_issuer is None
        assert found.authority_cert_serial_number is None
        assert not criticality(certificate)["authorityKeyIdentifier"]

    def test_a_root_has_none_or_its_own(self) -> None:
        assert "authorityKeyIdentifier" not in criticality(root())

    def test_an_issuer_without_one_is_pointed_to_as_if_it_had_one(self) -> None:
        issuer = replace(parse_certificate(root().public_bytes(Encoding.DER)), subject_key_identifier=None)
        der = issue(
            Issuance(TEMPLATES["web"], NOW, NOW + timedelta(days=1)),
            public_key_der(SUBJECT_KEY.public_key()),
            issuer,
            key_of(KeyAlgorithm.ECDSA_P256),
            7,
        )
        found = value(x509.load_der_x509_certificate(der), x509.AuthorityKeyIdentifier)
        assert found.key_identifier == value(root(), x509.SubjectKeyIdentifier).digest

    def test_an_identifier_made_another_way_is_pointed_to_as_it_is(self) -> None:
        issuer = replace(parse_certificate(root().public_bytes(Encoding.DER)), subject_key_identifier=b"by hand")
        der = issue(
            Issuance(TEMPLATES["web"], NOW, NOW + timedelta(days=1)),
            public_key_der(SUBJECT_KEY.public_key()),
            issuer,
            key_of(KeyAlgorithm.ECDSA_P256),
            7,
        )
        found = value(x509.load_der_x509_certificate(der), x509.AuthorityKeyIdentifier)
        assert found.key_identifier == b"by hand"


class TestSubjectAlternativeNames:
    def test_a_server_has_them_not_critical(self) -> None:
        names = value(made("web"), x509.SubjectAlternativeName)
        assert list(names) == [
            x509.DNSName("web.shop.example"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        assert not criticality(made("web"))["subjectAltName"]

    @pytest.mark.parametrize("name", [*AUTHORITIES, "app"])
    def test_where_there_are_none_the_extension_is_absent(self, name: str) -> None:
        assert "subjectAltName" not in criticality(made(name))

    def test_they_are_critical_where_the_subject_is_empty(self) -> None:
        certificate = make(replace(TEMPLATES["web"], subject=DistinguishedName()))
        assert certificate.subject == x509.Name([])
        assert criticality(certificate)["subjectAltName"]


class TestNameConstraints:
    def test_they_are_critical_if_asked(self) -> None:
        found = value(root(), x509.NameConstraints)
        assert criticality(root())["nameConstraints"]
        assert found.permitted_subtrees == [
            x509.DNSName("shop.example"),
            x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        ]
        assert found.excluded_subtrees is None

    @pytest.mark.parametrize("name", EVERYONE[1:])
    def test_they_are_absent_if_not(self, name: str) -> None:
        assert "nameConstraints" not in criticality(made(name))


class TestUrls:
    def test_they_are_written_not_critical(self) -> None:
        certificate = made("issuing")
        (point,) = value(certificate, x509.CRLDistributionPoints)
        assert point.full_name == [x509.UniformResourceIdentifier("http://crl.shop.example/root.crl")]
        assert (point.crl_issuer, point.reasons, point.relative_name) == (None, None, None)
        access = [
            (item.access_method._name, item.access_location.value)
            for item in value(certificate, x509.AuthorityInformationAccess)
        ]
        assert access == [("OCSP", "http://ocsp.shop.example"), ("caIssuers", "http://ca.shop.example/root.der")]
        assert not criticality(certificate)["cRLDistributionPoints"]
        assert not criticality(certificate)["authorityInfoAccess"]

    @pytest.mark.parametrize("name", ["root", *MEMBERS])
    def test_they_are_absent_if_not_asked(self, name: str) -> None:
        assert not {"cRLDistributionPoints", "authorityInfoAccess"} & set(criticality(made(name)))


class TestNames:
    def test_an_issuers_name_is_copied_byte_for_byte(self) -> None:
        assert made("web").issuer.public_bytes() == root().subject.public_bytes()

    def test_no_child_has_its_issuers_name(self) -> None:
        names = {made(name).subject.public_bytes() for name in EVERYONE}
        assert len(names) == len(EVERYONE)

    def test_strings_are_utf8_except_where_the_rfc_says_otherwise(self) -> None:
        """RFC 5280 appendix A: country and serialNumber are PrintableString, domainComponent is IA5String."""
        expected = dict.fromkeys(NameAttribute, UTF8_STRING)
        expected[NameAttribute.COUNTRY] = expected[NameAttribute.SERIAL_NUMBER] = PRINTABLE_STRING
        expected[NameAttribute.DOMAIN_COMPONENT] = IA5_STRING
        for attribute, tag in expected.items():
            subject = DistinguishedName(((attribute.value, "NL"),))
            name = make(replace(TEMPLATES["web"], subject=subject)).subject.public_bytes()
            tags = [found for found, content in elements(name) if content == b"NL"]
            assert tags == [tag], attribute

    def test_one_attribute_makes_one_relative_name(self) -> None:
        assert [len(list(relative)) for relative in made("web").subject.rdns] == [1, 1, 1]

    def test_attributes_stand_in_the_order_of_the_template(self) -> None:
        assert [item.oid for item in made("web").subject] == [
            NameOID.COUNTRY_NAME,
            NameOID.ORGANIZATION_NAME,
            NameOID.COMMON_NAME,
        ]


class TestDates:
    @pytest.mark.parametrize(
        ("end", "tag", "text"),
        [
            (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), UTC_TIME, b"491231235959Z"),
            (datetime(2050, 1, 1, tzinfo=UTC), GENERALIZED_TIME, b"20500101000000Z"),
        ],
    )
    def test_they_are_utctime_to_2049_and_generalizedtime_from_2050(self, end: datetime, tag: int, text: bytes) -> None:
        certificate = make(TEMPLATES["web"], end=end)
        times = [(t, c) for t, c in elements(certificate.tbs_certificate_bytes) if t in {UTC_TIME, GENERALIZED_TIME}]
        assert times == [(UTC_TIME, b"260601000000Z"), (tag, text)]

    def test_they_are_what_was_decided(self) -> None:
        certificate = make(TEMPLATES["web"], begin=NOW, end=NOW + timedelta(seconds=59))
        assert certificate.not_valid_before_utc == NOW
        assert certificate.not_valid_after_utc == NOW + timedelta(seconds=59)


class TestSignatures:
    @pytest.mark.parametrize(
        ("algorithm", "expected"),
        [
            (KeyAlgorithm.ECDSA_P256, hashes.SHA256),
            (KeyAlgorithm.ECDSA_P384, hashes.SHA384),
            (KeyAlgorithm.ECDSA_P521, hashes.SHA512),
            (KeyAlgorithm.RSA_2048, hashes.SHA256),
            (KeyAlgorithm.RSA_3072, hashes.SHA256),
            (KeyAlgorithm.RSA_4096, hashes.SHA256),
            (KeyAlgorithm.ED25519, type(None)),
        ],
    )
    @pytest.mark.parametrize("name", ["root", "web"])
    def test_the_hash_is_as_strong_as_the_issuers_curve(
        self, name: str, algorithm: KeyAlgorithm, expected: type[object]
    ) -> None:
        assert isinstance(made(name, algorithm).signature_hash_algorithm, expected)

    def test_every_classical_algorithm_has_its_row(self) -> None:
        assert len(CLASSICAL) == 7

    @KEY_ALGORITHMS
    @pytest.mark.parametrize("name", EVERYONE)
    def test_they_verify_with_the_issuers_key_and_no_other(self, name: str, algorithm: KeyAlgorithm) -> None:
        certificate = made(name, algorithm)
        certificate.verify_directly_issued_by(root(algorithm))
        other = root(next(other for other in CLASSICAL if other is not algorithm))
        with pytest.raises(Exception):  # noqa: B017, PT011 - invalid, or of another kind
            certificate.verify_directly_issued_by(other)

    @KEY_ALGORITHMS
    def test_the_subjects_key_is_the_one_that_was_given(self, algorithm: KeyAlgorithm) -> None:
        key = key_of(algorithm)
        certificate = make(TEMPLATES["web"], key=key)
        assert public_key_der(certificate.public_key()) == public_key_der(key.public_key())


class TestThePredecessor:
    """Where name and key stay, so do the name's encoding and the subject key identifier."""

    def old(self, common_name: str = "web") -> bytes:
        """Make a certificate as another tool did: PrintableStrings, and an identifier of its own."""
        printable = x509.name._ASN1Type.PrintableString
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Shop BV", _type=printable),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name, _type=printable),
            ]
        )
        builder = x509.CertificateBuilder(name, name, SUBJECT_KEY.public_key(), 5, NOW, NOW + timedelta(days=1))
        builder = builder.add_extension(x509.SubjectKeyIdentifier(b"by another tool"), critical=False)
        return builder.sign(SUBJECT_KEY, hashes.SHA256()).public_bytes(Encoding.DER)

    def tags(self, certificate: x509.Certificate) -> set[int]:
        wanted = {b"Shop BV", b"web"}
        return {tag for tag, content in elements(certificate.subject.public_bytes()) if content in wanted}

    def test_name_and_identifier_stay(self) -> None:
        renewed = make(TEMPLATES["web"], predecessor=self.old())
        assert renewed.subject.public_bytes() == x509.load_der_x509_certificate(self.old()).subject.public_bytes()
        assert self.tags(renewed) == {PRINTABLE_STRING}
        assert value(renewed, x509.SubjectKeyIdentifier).digest == b"by another tool"

    def test_without_one_they_are_made_anew(self) -> None:
        fresh = make(TEMPLATES["web"])
        assert self.tags(fresh) == {UTF8_STRING}
        assert value(fresh, x509.SubjectKeyIdentifier).digest != b"by another tool"

    def test_with_another_key_only_the_name_stays(self) -> None:
        rekeyed = make(TEMPLATES["web"], key=ec.generate_private_key(ec.SECP256R1()), predecessor=self.old())
        assert self.tags(rekeyed) == {PRINTABLE_STRING}
        expected = x509.SubjectKeyIdentifier.from_public_key(rekeyed.public_key())
        assert value(rekeyed, x509.SubjectKeyIdentifier) == expected

    def test_with_another_name_only_the_identifier_stays(self) -> None:
        renamed = make(TEMPLATES["web"], predecessor=self.old("other"))
        assert self.tags(renamed) == {UTF8_STRING}
        assert value(renamed, x509.SubjectKeyIdentifier).digest == b"by another tool"


def test_a_name_that_cannot_be_encoded_is_a_value_error() -> None:
    subject = DistinguishedName(((NameAttribute.COUNTRY.value, "Netherlands"),))
    with pytest.raises(ValueError, match="length"):
        make(replace(TEMPLATES["web"], subject=subject))
