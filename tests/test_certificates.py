"""Bytes to values: what foreign files hold is read or refused in one sentence, and never quoted."""

import ipaddress
import warnings
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen.certificates import (
    UnreadableError,
    is_signed_by,
    load_public_key,
    parse_certificate,
    parse_certificates,
    parse_private_key,
    parse_public_key,
    public_key_algorithm,
)
from certgen.model import Certificate
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind, KeyAlgorithm, KeyUsage

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
CRITICAL = True


def name(text: str = "x") -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def der(
    *extensions: tuple[x509.ExtensionType, bool],
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
    public_key: ec.EllipticCurvePublicKey | None = None,
    signed_by: ec.EllipticCurvePrivateKey = KEY,
) -> bytes:
    subject = subject or name()
    builder = x509.CertificateBuilder(issuer or subject, subject, public_key or KEY.public_key(), 5, BEGIN, END)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signed_by, hashes.SHA256()).public_bytes(Encoding.DER)


def raw(oid: str, value: bytes) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), False


def pem(content: bytes) -> bytes:
    return x509.load_der_x509_certificate(content).public_bytes(Encoding.PEM)


def as_pem(key: object, encryption: object = None) -> bytes:
    assert hasattr(key, "private_bytes")
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    assert isinstance(content, bytes)
    return content


def public_pem(key: object) -> bytes:
    assert hasattr(key, "public_key")
    content = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert isinstance(content, bytes)
    return content


class TestReadingACertificate:
    full = parse_certificate(
        der(
            (x509.BasicConstraints(ca=True, path_length=3), True),
            (
                x509.SubjectAlternativeName(
                    [
                        x509.DNSName("web.shop.example"),
                        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
                        x509.UniformResourceIdentifier("spiffe://shop.example/web"),
                        x509.RFC822Name("web@shop.example"),
                        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
                    ]
                ),
                False,
            ),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")]), False),
            (x509.SubjectKeyIdentifier(b"identifier"), False),
            raw("1.2.3.4.5", b"\x05\x00"),
        )
    )

    def test_every_part_is_there(self) -> None:
        assert self.full.is_ca
        assert self.full.path_length == 3
        assert self.full.serial_number == 5
        assert (self.full.not_before, self.full.not_after) == (BEGIN, END)
        assert self.full.lifetime == 365 * 86400
        assert self.full.subject_key_identifier == b"identifier"
        assert self.full.authority_key_identifier is None
        assert self.full.key_algorithm is KeyAlgorithm.ECDSA_P256
        assert self.full.signature_algorithm == "ecdsa-with-SHA256"

    def test_names_keep_their_kind_and_a_kind_outside_the_language_is_seen(self) -> None:
        assert self.full.subject_alt_names[:4] == (
            GeneralName(GeneralNameKind.DNS, "web.shop.example"),
            GeneralName(GeneralNameKind.IP, "2001:db8::1"),
            GeneralName(GeneralNameKind.URI, "spiffe://shop.example/web"),
            GeneralName(GeneralNameKind.EMAIL, "web@shop.example"),
        )
        assert self.full.subject_alt_names[4].kind == "RegisteredID"
        assert "1.2.3" in self.full.subject_alt_names[4].value

    def test_a_purpose_outside_the_language_keeps_its_identifier(self) -> None:
        assert self.full.extended_key_usage == {"serverAuth", "1.2.3.4"}

    def test_extensions_are_named(self) -> None:
        known = {"basicConstraints", "subjectAltName", "extKeyUsage", "subjectKeyIdentifier"}
        assert self.full.present == known | {"1.2.3.4.5"}
        assert self.full.critical == {"basicConstraints"}

    def test_a_bare_one_has_none(self) -> None:
        bare = parse_certificate(der())
        assert (bare.is_ca, bare.path_length, bare.present) == (False, None, frozenset())
        assert bare.key_usage == frozenset()

    def test_its_bytes_are_kept(self) -> None:
        content = der()
        assert parse_certificate(content).der == content

    def test_bits_that_mean_nothing_without_key_agreement_are_refused(self) -> None:
        agreement = parse_certificate(der(raw("2.5.29.15", bytes.fromhex("0303070880"))))
        assert agreement.key_usage == {KeyUsage.KEY_AGREEMENT, KeyUsage.DECIPHER_ONLY}
        with pytest.raises(UnreadableError):
            parse_certificate(der(raw("2.5.29.15", bytes.fromhex("0303070080"))))

    def test_a_file_of_several_is_read_in_its_order(self) -> None:
        first, second = der(), der(subject=name("y"))
        assert [c.der for c in parse_certificates(pem(second) + b"a comment\n" + pem(first))] == [second, first]

    def test_one_that_is_larger_than_any_should_be_is_refused(self) -> None:
        # An ECDSA signature has 70 to 72 bytes.
        largest = b"x" * (16000 + 16384 - len(der(raw("1.2.3.4.5", b"x" * 16000))) - 4)
        assert len(parse_certificates(pem(der(raw("1.2.3.4.5", largest))))) == 1
        with pytest.raises(UnreadableError, match="more than 16384 bytes"):
            parse_certificates(pem(der()) + pem(der(raw("1.2.3.4.5", largest + b"x" * 12))))

    @pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP224R1(), ec.BrainpoolP256R1()], ids=lambda c: c.name)
    def test_a_key_that_no_spec_can_ask_for_is_named(self, curve: ec.EllipticCurve) -> None:
        key = ec.generate_private_key(curve)
        certificate = parse_certificate(der(public_key=key.public_key()))
        assert certificate.key_algorithm == f"ecdsa-{curve.name}"


def patched(content: bytes, old: str, new: str) -> bytes:
    found = bytes.fromhex(old)
    assert content.count(found) >= 1
    return content.replace(found, bytes.fromhex(new), 1)


class TestRefusingACertificate:
    """No input whatsoever gets a traceback."""

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\x30\x00",
            der()[:-1],
            der() + b"\0",
            der(raw("2.5.29.17", b"\xff\xff")),
            der(raw("2.5.29.17", bytes.fromhex("30048702" + "0101"))),
            der(raw("2.5.29.19", b"\x00")),
            der(raw("2.5.29.31", b"\x00")),
            der(raw("2.5.29.30", b"\x30\x00")),
        ],
        ids=[
            "empty",
            "sequence",
            "cut",
            "longer",
            "san",
            "two bytes of an address",
            "basicConstraints",
            "cRLDP",
            "constraints",
        ],
    )
    def test_what_is_none_is_refused(self, content: bytes) -> None:
        with pytest.raises(UnreadableError):
            parse_certificate(content)

    def test_a_version_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(UnreadableError):
            parse_certificate(patched(der(), "a003020102020105", "a003020109020105"))

    @pytest.mark.parametrize("tag", ["a3", "a5"], ids=["x400Address", "ediPartyName"])
    def test_a_kind_of_name_that_the_library_does_not_know_is_refused(self, tag: str) -> None:
        with pytest.raises(UnreadableError):
            parse_certificate(der(raw("2.5.29.17", bytes.fromhex(f"3004{tag}023000"))))

    def test_two_of_one_extension_are_refused(self) -> None:
        twice = der(raw("1.2.3.4.5", b"\x05\x00"), raw("1.2.3.4.6", b"\x05\x00"))
        with pytest.raises(UnreadableError):
            parse_certificate(patched(twice, "06042a030406", "06042a030405"))

    @pytest.mark.parametrize("serial", ["00", "fb"])
    def test_a_serial_number_that_is_not_positive_is_read_or_refused_without_noise(self, serial: str) -> None:
        content = patched(der(), "a003020102020105", f"a0030201020201{serial}")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with suppress(UnreadableError):
                assert parse_certificate(content).serial_number <= 0
        assert said == []

    @pytest.mark.parametrize("attribute", [NameOID.COUNTRY_NAME, NameOID.COMMON_NAME])
    def test_an_attribute_of_a_wrong_length_is_read_without_noise(self, attribute: x509.ObjectIdentifier) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            long = x509.NameAttribute(attribute, "N" * 70, _validate=False)
            content = der(subject=x509.Name([long]))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert parse_certificate(content).subject.attributes[0][1] == "N" * 70
        assert said == []

    @given(st.binary(max_size=120))
    def test_any_bytes_are_read_or_refused(self, content: bytes) -> None:
        block = b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----\n"
        for attempt in (content, block):
            with pytest.raises(UnreadableError):
                parse_certificates(attempt)
            with pytest.raises(UnreadableError):
                parse_certificate(attempt)

    @settings(max_examples=300)
    @given(place=st.integers(0, len(TestReadingACertificate.full.der) - 1), value=st.integers(0, 255))
    def test_one_byte_changed_is_read_or_refused(self, place: int, value: int) -> None:
        content = bytearray(TestReadingACertificate.full.der)
        content[place] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with suppress(UnreadableError):
                assert isinstance(parse_certificate(bytes(content)), Certificate)

    def test_the_sentence_quotes_nothing(self) -> None:
        secret = b"-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"
        with pytest.raises(UnreadableError) as refused:
            parse_certificates(secret)
        assert "c2VjcmV0" not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__


class TestPrivateKeys:
    @pytest.mark.parametrize(
        "key",
        [KEY, ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()],
        ids=["ec", "ed25519", "ed448"],
    )
    def test_one_that_can_sign_is_read(self, key: object) -> None:
        assert hasattr(parse_private_key(as_pem(key)), "sign")

    def test_the_old_form_is_read_too(self) -> None:
        content = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        assert isinstance(parse_private_key(content), ec.EllipticCurvePrivateKey)

    def test_an_encrypted_one_is_refused_as_such(self) -> None:
        with pytest.raises(UnreadableError, match="encrypted"):
            parse_private_key(as_pem(KEY, BestAvailableEncryption(b"secret")))

    def test_one_that_cannot_sign_is_refused_as_such(self) -> None:
        with pytest.raises(UnreadableError, match="cannot sign"):
            parse_private_key(as_pem(x25519.X25519PrivateKey.generate()))

    @pytest.mark.parametrize(
        "content",
        [b"", b"junk", pem(der()), public_pem(KEY), as_pem(KEY)[:-40]],
        ids=["empty", "junk", "certificate", "public key", "cut"],
    )
    def test_what_is_none_is_refused(self, content: bytes) -> None:
        with pytest.raises(UnreadableError):
            parse_private_key(content)

    @given(st.binary(max_size=80))
    def test_any_bytes_are_refused(self, content: bytes) -> None:
        for kind in (b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"):
            block = b"-----BEGIN " + kind + b"-----\n" + content + b"\n-----END " + kind + b"-----\n"
            with pytest.raises(UnreadableError):
                parse_private_key(block)


def request(key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("someone else"))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


class TestPublicKeys:
    def test_of_a_pem_file(self) -> None:
        assert parse_public_key(public_pem(KEY)) == parse_certificate(der()).public_key

    @pytest.mark.parametrize("title", [b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"])
    def test_of_a_signing_request(self, title: bytes) -> None:
        content = request().replace(b"CERTIFICATE REQUEST", title)
        assert parse_public_key(content) == parse_certificate(der()).public_key

    def test_a_request_that_its_key_did_not_sign_is_refused(self) -> None:
        other = OTHER_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        own = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signed = x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER)
        forged = x509.load_der_x509_csr(signed.replace(own, other)).public_bytes(Encoding.PEM)
        with pytest.raises(UnreadableError, match="not signed by its own key"):
            parse_public_key(forged)

    @pytest.mark.parametrize(
        "content",
        [b"", b"junk", as_pem(KEY), pem(der()), request()[:-40]],
        ids=["empty", "junk", "private key", "certificate", "cut"],
    )
    def test_what_is_none_is_refused(self, content: bytes) -> None:
        with pytest.raises(UnreadableError):
            parse_public_key(content)

    @given(st.binary(max_size=80))
    def test_any_bytes_are_refused(self, content: bytes) -> None:
        for kind in (b"PUBLIC KEY", b"CERTIFICATE REQUEST", b"RSA PUBLIC KEY"):
            block = b"-----BEGIN " + kind + b"-----\n" + content + b"\n-----END " + kind + b"-----\n"
            with pytest.raises(UnreadableError):
                parse_public_key(block)

    def test_their_algorithm_is_named(self) -> None:
        assert public_key_algorithm(parse_public_key(public_pem(KEY))) is KeyAlgorithm.ECDSA_P256
        small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - a weak key must be named
        assert public_key_algorithm(parse_public_key(public_pem(small))) == "rsa-1024"

    def test_one_of_another_family_is_named_too(self) -> None:
        key = dsa.generate_private_key(1024)  # noqa: S505 - a weak key must be named
        assert public_key_algorithm(parse_public_key(public_pem(key))) == "dsa"

    def test_what_is_none_in_der_is_refused(self) -> None:
        with pytest.raises(UnreadableError):
            load_public_key(b"\x30\x00")


class TestSignatures:
    issuer = parse_certificate(der(subject=name("ca")))

    def test_a_child_is_signed_by_its_issuer(self) -> None:
        assert is_signed_by(parse_certificate(der(issuer=name("ca"))), self.issuer)

    def test_a_root_is_signed_by_itself(self) -> None:
        assert is_signed_by(self.issuer, self.issuer)

    def test_another_key_of_the_same_name_did_not_sign_it(self) -> None:
        child = parse_certificate(der(issuer=name("ca"), signed_by=OTHER_KEY))
        assert not is_signed_by(child, self.issuer)

    def test_the_same_key_under_another_name_did_not_issue_it(self) -> None:
        assert not is_signed_by(parse_certificate(der(issuer=name("other"))), self.issuer)
