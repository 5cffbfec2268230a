"""Subjects for cert-manager: Go, or a parser of the literal ones, makes of them the name that was asked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from programs.golang import go_build

from certgen.exports.cert_manager.subjects import is_literal, subject_fields
from certgen.rfc5280.objects import to_name
from certgen.rfc5280.vocabulary import DistinguishedName

# cert-manager hands the attributes of `subject` to Go in just this way.
WRITER = """\
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

type subject struct {
	Countries, Organizations, OrganizationalUnits, Localities, Provinces, StreetAddresses, PostalCodes []string
	SerialNumber, CommonName                                                                           string
}

func main() {
	var subjects []subject
	if err := json.NewDecoder(os.Stdin).Decode(&subjects); err != nil {
		panic(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, s := range subjects {
		der, err := asn1.Marshal(pkix.Name{
			Country: s.Countries, Organization: s.Organizations, OrganizationalUnit: s.OrganizationalUnits,
			Locality: s.Localities, Province: s.Provinces, StreetAddress: s.StreetAddresses, PostalCode: s.PostalCodes,
			SerialNumber: s.SerialNumber, CommonName: s.CommonName,
		}.ToRDNSequence())
		if err != nil {
			panic(err)
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: der}, key)
		if err != nil {
			panic(err)
		}
		fmt.Println(hex.EncodeToString(csr))
	}
}
"""


def name(*attributes: tuple[str, str]) -> DistinguishedName:
    return DistinguishedName(attributes)


CN = ("common_name", "api")
HOSTILE = ("common_name", "# ö,")
EVERYTHING = (
    ("country", "NL"),
    ("state", "Zuid-Holland"),
    ("locality", "Den Haag"),
    ("street_address", "Plein 1"),
    ("postal_code", "2511 CR"),
    ("organization", 'a, "b"; <c>'),
    ("organizational_unit", "Öps"),
)
PLAIN = (
    name(CN),
    name(("country", "NL"), ("organization", "Shop BV"), CN),
    name(("locality", "Den Haag"), ("organizational_unit", "Ops"), CN),
    name(*EVERYTHING, CN),
)
LITERAL = (
    name(("organization", "one"), ("organization", "two"), CN),
    name(("organization", "Shop BV"), ("serial_number", "7"), CN),
    name(("domain_component", "example"), ("domain_component", "shop"), CN),
    name(("domain_component", "shop"), *EVERYTHING, ("serial_number", "7"), CN),
    name(
        ("postal_code", "2511 CR"),
        ("organization", 'a, "b"+c; <d>\\e=#f'),
        ("organization", "#"),
        ("common_name", "# ö,"),
    ),
    name(("organization", "a"), ("organization", "b"), ("common_name", "x,OU=admins")),
)


def pairs(found: x509.Name) -> list[tuple[str, str]]:
    """Give the relative distinguished names, each of which must be one attribute."""
    assert all(len(list(rdn)) == 1 for rdn in found.rdns)
    return [(attribute.oid.dotted_string, str(attribute.value)) for attribute in found]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("writer")
    (folder / "go.mod").write_text("module writer\n\ngo 1.21\n", encoding="utf-8")
    (folder / "main.go").write_text(WRITER, encoding="utf-8")
    return go_build(folder, folder / "writer")


def written(writer: Path, subjects: list[dict[str, object]]) -> list[x509.Name]:
    """Give the names that Go writes into certificate requests."""
    done = subprocess.run([writer], input=json.dumps(subjects), capture_output=True, text=True, check=True, timeout=60)
    return [x509.load_der_x509_csr(bytes.fromhex(line)).subject for line in done.stdout.split()]


def flat(subject: DistinguishedName) -> dict[str, object]:
    """Give the fields of a subject side by side, as the program in Go takes them."""
    fields = subject_fields(subject)
    own = fields.get("subject", {})
    assert isinstance(own, dict)
    return {"commonName": fields["commonName"], **own}


def test_attributes_give_in_go_the_name_that_was_asked(writer: Path) -> None:
    assert not any(map(is_literal, PLAIN))
    found = written(writer, [flat(subject) for subject in PLAIN])
    assert [pairs(item) for item in found] == [pairs(to_name(subject)) for subject in PLAIN]


def test_go_would_write_the_others_otherwise(writer: Path) -> None:
    """The control: were they handed over as attributes, another name would stand in the certificate."""
    two, serial = written(
        writer,
        [
            {"organizations": ["one", "two"], "commonName": "api"},
            {"organizations": ["Shop BV"], "serialNumber": "7", "commonName": "api"},
        ],
    )
    assert (two, serial) != (to_name(LITERAL[0]), to_name(LITERAL[1]))
    assert [len(list(rdn)) for rdn in two.rdns] == [2, 1]
    assert [value for _, value in pairs(serial)] == ["Shop BV", "api", "7"]


@pytest.mark.parametrize("subject", LITERAL, ids=str)
def test_a_literal_subject_is_read_as_the_name_that_was_asked(subject: DistinguishedName) -> None:
    fields = subject_fields(subject)
    assert list(fields) == ["literalSubject"]
    read = x509.Name.from_rfc4514_string(str(fields["literalSubject"]), {"SERIALNUMBER": NameOID.SERIAL_NUMBER})
    assert pairs(read) == pairs(to_name(subject))


def test_a_literal_subject_is_written_from_the_end_with_its_special_characters_escaped() -> None:
    found = subject_fields(LITERAL[-2])["literalSubject"]
    assert found == r"CN=\# ö\,,O=\#,O=a\, \"b\"\+c\; \<d\>\\e\=\#f,2.5.4.17=2511 CR"
    assert subject_fields(LITERAL[-1]) == {"literalSubject": r"CN=x\,OU\=admins,O=b,O=a"}
