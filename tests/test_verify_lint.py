"""Every departure from the profile of RFC 5280, in a certificate made by hand, has its sentence."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from foreign.hierarchy import CLIENT, NOW, SERVER, Extension, distinguished_name, key_usage

from certgen.verify.lint import lint

KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
WEAK_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is found weak is the test
OF_CA = x509.BasicConstraints(ca=True, path_length=0)
OF_END_ENTITY = x509.BasicConstraints(ca=False, path_length=None)
SUBTREES = x509.NameConstraints([x509.DNSName("shop.example")], None)
AUTHORITY_KEY = x509.AuthorityKeyIdentifier.from_issuer_public_key(ISSUER_KEY.public_key())

END_ENTITY: Mapping[str, Extension] = {
    "basic": Extension(OF_END_ENTITY, critical=True),
    "usage": key_usage("digital_signature"),
    "purposes": Extension(x509.ExtendedKeyUsage([SERVER, CLIENT])),
    "ski": Extension(x509.SubjectKeyIdentifier.from_public_key(KEY.public_key())),
    "aki": Extension(AUTHORITY_KEY),
    "names": Extension(x509.SubjectAlternativeName([x509.DNSName("api.shop.example")])),
}
AUTHORITY: Mapping[str, Extension] = {
    "basic": Extension(OF_CA, critical=True),
    "usage": key_usage("key_cert_sign", "crl_sign"),
    "ski": END_ENTITY["ski"],
    "aki": END_ENTITY["aki"],
    "constraints": Extension(SUBTREES, critical=True),
}


@dataclass(frozen=True)
class Odd:
    """A certificate that is as the profile says but for this."""

    base: Mapping[str, Extension] = field(default_factory=lambda: END_ENTITY)
    instead: Mapping[str, Extension] = field(default_factory=dict)
    without: Sequence[str] = ()
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY
    is_root: bool = False


def made(odd: Odd) -> x509.Certificate:
    """Sign a certificate, or a root by its own key."""
    subject = distinguished_name("api")
    builder = x509.CertificateBuilder(
        issuer_name=subject if odd.is_root else distinguished_name("Shop CA"),
        subject_name=subject,
        public_key=odd.key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=NOW - timedelta(days=1),
        not_valid_after=NOW + timedelta(days=90),
    )
    for name, extension in {**odd.base, **odd.instead}.items():
        if name not in odd.without:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(odd.key if odd.is_root else ISSUER_KEY, hashes.SHA256())


def not_critical(extensions: Mapping[str, Extension], name: str) -> Mapping[str, Extension]:
    return {name: Extension(extensions[name].value)}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(Odd(), id="end entity"),
        pytest.param(Odd(AUTHORITY), id="intermediate"),
        pytest.param(Odd(AUTHORITY, without=["aki", "constraints"], is_root=True), id="root"),
        pytest.param(
            Odd(instead={"usage": key_usage("digital_signature", "key_encipherment")}, key=RSA_KEY),
            id="RSA key that may encipher",
        ),
        pytest.param(Odd(without=["names"]), id="client without names"),
    ],
)
def test_a_certificate_as_the_profile_says_gives_no_sentence(odd: Odd) -> None:
    assert lint(made(odd)) == ()


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        (Odd(key=WEAK_KEY), "its RSA key has 1024 bits"),
        (Odd(without=["basic"]), "it has no basicConstraints"),
        (Odd(instead=not_critical(END_ENTITY, "basic")), "its basicConstraints is not critical"),
        (Odd(without=["usage"]), "it has no keyUsage"),
        (Odd(instead=not_critical(END_ENTITY, "usage")), "its keyUsage is not critical"),
        (
            Odd(instead={"usage": key_usage("digital_signature", "key_cert_sign")}),
            "its keyCertSign and its basicConstraints disagree on whether it is a CA",
        ),
        (
            Odd(AUTHORITY, instead={"usage": key_usage("crl_sign")}),
            "its keyCertSign and its basicConstraints disagree on whether it is a CA",
        ),
        (
            Odd(instead={"usage": key_usage("digital_signature", "key_encipherment")}),
            "its keyUsage has keyEncipherment, which its key cannot do",
        ),
        (Odd(without=["purposes"]), "it has no extKeyUsage"),
        (
            Odd(instead={"purposes": Extension(x509.ExtendedKeyUsage([SERVER]), critical=True)}),
            "its extKeyUsage is critical, which some programs refuse",
        ),
        (
            Odd(
                instead={
                    "purposes": Extension(x509.ExtendedKeyUsage([SERVER, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))
                }
            ),
            "its extKeyUsage has anyExtendedKeyUsage, which TLS programs refuse",
        ),
        (Odd(without=["ski"]), "it has no subjectKeyIdentifier"),
        (Odd(without=["aki"]), "it has no authorityKeyIdentifier"),
        (
            Odd(
                instead={
                    "aki": Extension(
                        x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(distinguished_name("Shop CA"))], 1)
                    )
                }
            ),
            "its authorityKeyIdentifier has no key identifier",
        ),
        (Odd(AUTHORITY, instead=not_critical(AUTHORITY, "constraints")), "its nameConstraints is not critical"),
        (
            Odd(instead={"constraints": Extension(SUBTREES, critical=True)}),
            "it has nameConstraints and is no CA",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_departure_from_the_profile_has_its_sentence_and_no_other(odd: Odd, sentence: str) -> None:
    assert lint(made(odd)) == (sentence,)


def test_several_departures_are_told_all() -> None:
    assert lint(made(Odd(without=["ski", "purposes"]))) == (
        "it has no extKeyUsage",
        "it has no subjectKeyIdentifier",
    )


def by_openssl(folder: Path, *arguments: str) -> x509.Certificate:
    """Make what cryptography's builder refuses to make."""
    key, request, path = (str(folder / name) for name in ("key.pem", "csr.pem", "odd.pem"))
    ask = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=api"]
    subprocess.run([*ask, "-keyout", key, "-out", request], check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", request, "-signkey", key, "-out", path, *arguments]
    subprocess.run(sign, check=True, capture_output=True)
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def test_a_signature_with_sha1_is_found(tmp_path: Path) -> None:
    assert "it is signed with sha1" in lint(by_openssl(tmp_path, "-sha1"))
    assert not [sentence for sentence in lint(by_openssl(tmp_path, "-sha256")) if "signed" in sentence]


def test_a_certificate_of_version_1_is_found(tmp_path: Path) -> None:
    assert "it is not of version 3" in lint(by_openssl(tmp_path))
    assert "it is not of version 3" not in lint(made(Odd()))


def test_a_serial_number_beyond_20_octets_is_found(tmp_path: Path) -> None:
    sentence = "its serial number is not a positive number of at most 20 octets"
    assert sentence in lint(by_openssl(tmp_path, "-set_serial", f"0x{1 << 160:x}"))
    assert sentence in lint(by_openssl(tmp_path, "-set_serial", f"0x{1 << 159:x}"))
    assert sentence not in lint(by_openssl(tmp_path, "-set_serial", f"0x{(1 << 159) - 1:x}"))


@pytest.mark.parametrize("serial", ["0", "-5"])
@pytest.mark.filterwarnings("ignore:.*serial number.*")
def test_a_serial_number_that_is_not_positive_is_found(tmp_path: Path, serial: str) -> None:
    found = lint(by_openssl(tmp_path, "-set_serial", serial))
    assert "its serial number is not a positive number of at most 20 octets" in found
