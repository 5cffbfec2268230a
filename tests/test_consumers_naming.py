"""Distinguished names, as OpenSSL writes them."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from foreign.hierarchy import new_key

from certgen.consumers.naming import openssl_name
from certgen.consumers.templates import UnquotableError
from certgen.rfc5280.objects import to_name
from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute

NOW = datetime.now(UTC)


def openssl_says(folder: Path, name: x509.Name) -> str:
    """Ask OpenSSL how it writes a subject by RFC 2253."""
    key = new_key("ecdsa-p256")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    (folder / "one.pem").write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    arguments = ["openssl", "x509", "-in", "one.pem", "-noout", "-subject", "-nameopt", "RFC2253"]
    ended = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=True)
    return ended.stdout.removesuffix("\n").removeprefix("subject=")


def test_every_character_is_escaped_as_openssl_does_wherever_it_stands(tmp_path: Path) -> None:
    characters = [chr(code) for code in range(1, 0x180)] + list("\u0300\u200b\u2028\u3000中\uff0c\ufeff\U0001f6d2")
    values = [shape.format(character) for character in characters for shape in ("{}", "{}x", "x{}", "x{}x", "{0}{0}")]
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, value, _ASN1Type.UTF8String) for value in values])
    found = openssl_says(tmp_path, name).split(",O=")
    ours = openssl_name(DistinguishedName(tuple((NameAttribute.ORGANIZATION, value) for value in values)))
    assert list(zip(values[::-1], ours.split(",O="), strict=True)) == list(zip(values[::-1], found, strict=True))


def test_every_attribute_is_called_as_openssl_calls_it_and_the_last_part_comes_first(tmp_path: Path) -> None:
    name = DistinguishedName(tuple((attribute, "NL") for attribute in NameAttribute))
    assert openssl_name(name) == openssl_says(tmp_path, to_name(name))
    numbered = DistinguishedName(
        tuple((attribute.value, f"{number}") for number, attribute in enumerate(NameAttribute))
    )
    assert openssl_name(numbered) == "CN=9,serialNumber=8,OU=7,O=6,postalCode=5,street=4,L=3,ST=2,C=1,DC=0"
    assert openssl_name(DistinguishedName()) == ""


def test_an_attribute_outside_the_language_cannot_be_written() -> None:
    with pytest.raises(UnquotableError, match=re.escape("1.2.3.4")):
        openssl_name(DistinguishedName((("1.2.3.4", "x"),)))
