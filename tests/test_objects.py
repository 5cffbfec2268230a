"""The words of RFC 5280 and the objects of the library, both ways."""

from __future__ import annotations

import ipaddress
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import combinations
from typing import TYPE_CHECKING, cast

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import asymmetric, hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certgen.rfc5280 import objects
from certgen.rfc5280.vocabulary import (
    SHORT_NAMES,
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameAttribute,
    NameConstraints,
    named_algorithm,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
        CertificatePublicKeyTypes,
    )

HASHES = {
    KeyAlgorithm.ECDSA_P256: "sha256",
    KeyAlgorithm.ECDSA_P384: "sha384",
    KeyAlgorithm.ECDSA_P521: "sha512",
    KeyAlgorithm.ED25519: None,
    KeyAlgorithm.RSA_2048: "sha256",
    KeyAlgorithm.RSA_3072: "sha256",
    KeyAlgorithm.RSA_4096: "sha256",
    KeyAlgorithm.ML_DSA_44: None,
    KeyAlgorithm.ML_DSA_65: None,
    KeyAlgorithm.ML_DSA_87: None,
}

# Key algorithms


@pytest.fixture(scope="module")
def keys() -> dict[KeyAlgorithm, CertificateIssuerPrivateKeyTypes]:
    """A key of every algorithm but the larger RSA sizes, which take seconds and differ in a number only."""
    made = {}
    for algorithm in set(KeyAlgorithm) - {KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096}:
        try:
            made[algorithm] = objects.generate_private_key(algorithm)
        except UnsupportedAlgorithm:
            assert algorithm.is_post_quantum, algorithm
            assert int(version("cryptography").split(".")[0]) < 49
    return made


def test_every_key_algorithm_is_made_and_recognised_again(
    keys: dict[KeyAlgorithm, CertificateIssuerPrivateKeyTypes],
) -> None:
    for algorithm, key in keys.items():
        assert objects.algorithm_of(key.public_key()) is algorithm
        der = objects.public_key_der(key.public_key())
        read = cast("CertificatePublicKeyTypes", load_der_public_key(der))
        assert objects.algorithm_of(read) is algorithm


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_the_size_of_an_rsa_key_is_the_one_that_was_asked(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    small = rsa.generate_private_key(65537, 2048)

    def generate(*, public_exponent: int, key_size: int) -> rsa.RSAPrivateKey:
        assert public_exponent == 65537
        asked.append(key_size)
        return small

    monkeypatch.setattr(rsa, "generate_private_key", generate)
    assert objects.generate_private_key(KeyAlgorithm(f"rsa-{bits}")) is small
    assert asked == [bits]


def test_a_certificate_is_signed_with_a_hash_as_strong_as_the_key(
    keys: dict[KeyAlgorithm, CertificateIssuerPrivateKeyTypes],
) -> None:
    for algorithm, key in keys.items():
        chosen = objects.signature_hash(key)
        assert (chosen.name if chosen else None) == HASHES[algorithm], algorithm


def test_the_chosen_hash_signs_a_certificate_that_verifies(
    keys: dict[KeyAlgorithm, CertificateIssuerPrivateKeyTypes],
) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    for algorithm, key in keys.items():
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1))
            .sign(key, objects.signature_hash(key))
        )
        certificate.verify_directly_issued_by(certificate)
        used = certificate.signature_hash_algorithm
        assert (used.name if used else None) == HASHES[algorithm], algorithm


def test_an_algorithm_that_no_spec_can_ask_for_is_named_in_the_same_style() -> None:
    strangers: dict[str, CertificatePublicKeyTypes] = {
        "rsa-1024": rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505 - a weak key is the case
        "ecdsa-secp256k1": ec.generate_private_key(ec.SECP256K1()).public_key(),
        "ecdsa-brainpoolP256r1": ec.generate_private_key(ec.BrainpoolP256R1()).public_key(),
        "ed448": ed448.Ed448PrivateKey.generate().public_key(),
        "x25519": x25519.X25519PrivateKey.generate().public_key(),
        "dsa": dsa.generate_private_key(1024).public_key(),  # noqa: S505 - a weak key is the case
    }
    assert {name: objects.algorithm_of(key) for name, key in strangers.items()} == {name: name for name in strangers}
    assert not any(isinstance(objects.algorithm_of(key), KeyAlgorithm) for key in strangers.values())


def test_a_stranger_signs_with_sha_256() -> None:
    assert isinstance(objects.signature_hash(ec.generate_private_key(ec.SECP256K1())), hashes.SHA256)


def test_ml_dsa_without_a_library_that_knows_it_is_said_to_be_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(asymmetric, "mldsa", raising=False)
    monkeypatch.setitem(sys.modules, f"{asymmetric.__name__}.mldsa", None)
    with pytest.raises(UnsupportedAlgorithm, match="ml-dsa-65 needs cryptography 49 or later"):
        objects.generate_private_key(KeyAlgorithm.ML_DSA_65)
    key = objects.generate_private_key(KeyAlgorithm.ED25519)
    assert objects.algorithm_of(key.public_key()) is KeyAlgorithm.ED25519


def test_families_of_algorithms() -> None:
    assert [a for a in KeyAlgorithm if a.is_rsa] == ["rsa-2048", "rsa-3072", "rsa-4096"]
    assert [a for a in KeyAlgorithm if a.is_post_quantum] == ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"]


def test_an_algorithm_is_named_by_its_text_and_a_stranger_stays_a_text() -> None:
    assert named_algorithm("ecdsa-p256") is KeyAlgorithm.ECDSA_P256
    assert named_algorithm("rsa-1024") == "rsa-1024"
    assert not isinstance(named_algorithm("rsa-1024"), KeyAlgorithm)


def test_the_id_of_a_key_is_the_sha_256_of_its_public_half() -> None:
    key = objects.generate_private_key(KeyAlgorithm.ECDSA_P256)
    der = objects.public_key_der(key.public_key())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    assert objects.key_id(der) == digest.finalize().hex()
    assert objects.key_id(der) != objects.key_id(der + b"\0")


# Distinguished names

EVERY_ATTRIBUTE = DistinguishedName(
    (
        ("domain_component", "example"),
        ("domain_component", "shop"),
        ("country", "NL"),
        ("state", "Noord-Holland"),
        ("locality", "Amsterdam"),
        ("street_address", "Dam 1"),
        ("postal_code", "1012 JS"),
        ("organization", "Shop BV"),
        ("organization", "system:masters"),
        ("organizational_unit", "Bücher"),
        ("serial_number", "42"),
        ("common_name", "api"),
    )
)


def test_a_distinguished_name_is_read_back_in_its_order() -> None:
    name = objects.to_name(EVERY_ATTRIBUTE)
    assert objects.from_name(name) == EVERY_ATTRIBUTE
    backwards = DistinguishedName(EVERY_ATTRIBUTE.attributes[::-1])
    assert objects.from_name(objects.to_name(backwards)) == backwards
    assert backwards != EVERY_ATTRIBUTE


def test_every_attribute_of_the_language_has_an_object_and_a_short_name() -> None:
    assert {name for name, _ in EVERY_ATTRIBUTE.attributes} == set(NameAttribute)
    assert set(objects.ATTRIBUTE_OIDS) == set(SHORT_NAMES) == set(NameAttribute)
    assert len(set(objects.ATTRIBUTE_OIDS.values())) == len(NameAttribute)


def test_each_attribute_stands_alone_and_is_utf_8_but_where_the_rfc_says_otherwise() -> None:
    name = objects.to_name(EVERY_ATTRIBUTE)
    assert [len(list(rdn)) for rdn in name.rdns] == [1] * len(EVERY_ATTRIBUTE.attributes)
    types = {attribute.oid: attribute._type for attribute in name}
    assert types.pop(NameOID.COUNTRY_NAME) is _ASN1Type.PrintableString
    assert types.pop(NameOID.SERIAL_NUMBER) is _ASN1Type.PrintableString
    assert types.pop(NameOID.DOMAIN_COMPONENT) is _ASN1Type.IA5String
    assert set(types.values()) == {_ASN1Type.UTF8String}


def test_a_distinguished_name_is_written_for_people() -> None:
    assert str(EVERY_ATTRIBUTE) == (
        "DC=example, DC=shop, C=NL, ST=Noord-Holland, L=Amsterdam, STREET=Dam 1, postalCode=1012 JS, "
        "O=Shop BV, O=system:masters, OU=Bücher, serialNumber=42, CN=api"
    )


def test_an_attribute_outside_the_language_keeps_its_identifier() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.GIVEN_NAME, "Ada"),
            x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x01\xff", _ASN1Type.BitString),
            x509.NameAttribute(NameOID.COMMON_NAME, "api"),
        ]
    )
    found = objects.from_name(name)
    assert found.attributes == (("2.5.4.42", "Ada"), ("2.5.4.45", "01ff"), ("common_name", "api"))
    assert str(found) == "2.5.4.42=Ada, 2.5.4.45=01ff, CN=api"


def test_the_common_name_is_the_last_one() -> None:
    assert EVERY_ATTRIBUTE.common_name == "api"
    assert DistinguishedName((("common_name", "a"), ("common_name", "b"))).common_name == "b"
    assert DistinguishedName((("organization", "a"),)).common_name is None


# General names


def test_a_general_name_of_each_kind_is_read_back() -> None:
    names = [
        GeneralName(GeneralNameKind.DNS, "*.shop.example"),
        GeneralName(GeneralNameKind.IP, "127.0.0.1"),
        GeneralName(GeneralNameKind.IP, "2001:db8::1"),
        GeneralName(GeneralNameKind.URI, "spiffe://shop.example/a"),
        GeneralName(GeneralNameKind.EMAIL, "ops@shop.example"),
    ]
    assert [objects.from_general_name(objects.to_general_name(name)) for name in names] == names
    assert objects.to_general_name(names[1]) == x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    assert {str(name.kind) for name in names} == set(GeneralNameKind)


def test_a_kind_outside_the_language_is_kept_as_text() -> None:
    registered = objects.from_general_name(x509.RegisteredID(x509.ObjectIdentifier("1.2.3")))
    assert registered.kind == "RegisteredID"
    assert "1.2.3" in registered.value
    other = objects.from_general_name(x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"))
    assert other.kind == "OtherName"
    assert registered != other


def test_name_constraints_are_read_back() -> None:
    constraints = NameConstraints(
        (
            GeneralName(GeneralNameKind.DNS, "shop.example"),
            GeneralName(GeneralNameKind.IP, "10.0.0.0/8"),
            GeneralName(GeneralNameKind.IP, "2001:db8::/32"),
        ),
        (GeneralName(GeneralNameKind.URI, ".shop.example"), GeneralName(GeneralNameKind.EMAIL, "shop.example")),
    )
    library = objects.to_name_constraints(constraints)
    assert objects.from_name_constraints(library) == constraints
    assert library.permitted_subtrees is not None
    assert library.permitted_subtrees[1] == x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))


@pytest.mark.parametrize("side", ["permitted", "excluded"])
def test_a_side_that_says_nothing_is_left_out(side: str) -> None:
    base = (GeneralName(GeneralNameKind.DNS, "shop.example"),)
    constraints = NameConstraints(**{side: base})
    library = objects.to_name_constraints(constraints)
    assert (library.permitted_subtrees is None) == (side == "excluded")
    assert (library.excluded_subtrees is None) == (side == "permitted")
    assert objects.from_name_constraints(library) == constraints


# Usages


def test_every_key_usage_is_read_back_alone_and_in_pairs() -> None:
    only_with_agreement = {KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY}
    wishes = [{usage} for usage in KeyUsage if usage not in only_with_agreement]
    wishes += [{KeyUsage.KEY_AGREEMENT, usage} for usage in only_with_agreement]
    wishes += [set(pair) for pair in combinations(set(KeyUsage) - only_with_agreement, 2)]
    for wish in [*wishes, set(KeyUsage)]:
        assert objects.from_key_usage(objects.to_key_usage(wish)) == wish
    assert set().union(*wishes) == set(KeyUsage)


def test_a_key_usage_sets_its_own_bit_and_no_other() -> None:
    extension = objects.to_key_usage([KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN])
    assert extension.key_cert_sign
    assert extension.crl_sign
    assert not extension.digital_signature
    assert not extension.key_encipherment
    assert set(objects.USAGE_BITS) == set(KeyUsage)


def test_every_extended_key_usage_is_read_back() -> None:
    for purpose in ExtendedKeyUsage:
        assert objects.from_extended_key_usage(objects.to_extended_key_usage([purpose])) == {purpose}
    everything = objects.to_extended_key_usage(reversed(ExtendedKeyUsage))
    assert objects.from_extended_key_usage(everything) == set(ExtendedKeyUsage)
    assert list(everything)[:2] == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_purpose_outside_the_language_keeps_its_identifier() -> None:
    extension = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.SERVER_AUTH])
    assert objects.from_extended_key_usage(extension) == {"2.5.29.37.0", "serverAuth"}
