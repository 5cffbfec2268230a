"""What no handshake shows, and a proof sees all the same."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from foreign.hierarchy import Extension, make_ca, write_pem
from proving import SHOP, Other, Place, compiled, demand_proven, in_short, put


def names(*given: x509.GeneralName) -> dict[type[x509.ExtensionType], Extension | None]:
    return {x509.SubjectAlternativeName: Extension(x509.SubjectAlternativeName(given))}


def one_name_more(place: Place) -> None:
    was = place.certificates("servers/api")[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    place.sign_again("servers/api", Other(extensions=names(*was, x509.DNSName("bank.example"))))


def a_ca_bit(place: Place) -> None:
    ca = x509.BasicConstraints(ca=True, path_length=None)
    place.sign_again("servers/api", Other(extensions={x509.BasicConstraints: Extension(ca, critical=True)}))


def signed_by_the_root(place: Place) -> None:
    place.sign_again("servers/api", Other("cas/root"))
    put(place.tree / "servers/api/cert.pem", place.certificates("servers/api")[0])


def twice_the_same(place: Place) -> None:
    first, *above = place.certificates("servers/api")
    put(place.tree / "servers/api/cert.pem", first, first, *above)


def another_s_identity(place: Place) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(place.tree / "clients/checkout" / name, place.tree / "clients/reporting" / name)


def a_trusted_certificate(place: Place) -> None:
    """OpenSSL's own kind of block, which nginx reads as an anchor, and Python's ssl and certgen do not."""
    rogue = place.folder / "rogue.pem"
    write_pem(rogue, make_ca("Rogue CA", "ecdsa-p256").certificate)
    arguments: list[str | Path] = ["openssl", "x509", "-in", rogue, "-trustout", "-addtrust", "clientAuth"]
    made = subprocess.run(arguments, capture_output=True, check=True).stdout
    assert b"TRUSTED CERTIFICATE" in made
    anchors = place.tree / "servers/api/ca.pem"
    anchors.write_bytes(anchors.read_bytes() + made)


def garbage_behind_the_anchors(place: Place) -> None:
    anchors = place.tree / "servers/api/ca.pem"
    anchors.write_bytes(anchors.read_bytes() + b"garbage\n")


SERVER = "servers/api/cert.pem"


@pytest.mark.parametrize(
    ("hand", "found"),
    [
        (one_name_more, f"wrong-contents {SERVER}"),
        (a_ca_bit, f"wrong-contents {SERVER}"),
        (signed_by_the_root, f"file-drifted {SERVER}"),
        (twice_the_same, f"file-drifted {SERVER}"),
        (another_s_identity, "wrong-contents clients/reporting/cert.pem"),
        (a_trusted_certificate, "file-drifted servers/api/ca.pem"),
        (garbage_behind_the_anchors, "file-drifted servers/api/ca.pem"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_goes_well_in_a_handshake_and_is_wrong_is_found(
    tmp_path: Path, hand: Callable[[Place], None], found: str
) -> None:
    place = compiled(tmp_path / "shop", SHOP)
    demand_proven(place.prove())
    hand(place)
    proof = place.prove()
    assert found in in_short(proof.findings)
    assert {text.split()[1].rsplit("/", 1)[0] for text in in_short(proof.findings)} == {
        found.split()[1].rsplit("/", 1)[0]
    }
    assert place.run().code == 1


def test_a_server_that_bears_its_name_in_its_subject_alone_is_not_accepted(tmp_path: Path) -> None:
    place = compiled(tmp_path / "shop", SHOP)
    place.sign_again("servers/api", Other(extensions={x509.SubjectAlternativeName: None}))
    proof = place.prove()
    assert {text for text in in_short(proof.findings) if "servers/api" in text} == {f"wrong-names {SERVER}"}


SNIPPETS = """\
version: 1
ca:
servers: {api: {sans: localhost, snippets: {nginx: {allow: [clients/checkout], standalone: true}}}}
clients: {checkout: , reporting: }
"""


@pytest.mark.parametrize("file", ["nginx.conf", "nginx-server.conf"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_rule_that_was_taken_out_of_a_configuration_is_not_relied_upon(
    tmp_path: Path, file: str, is_gone: bool
) -> None:
    place = compiled(tmp_path / "shop", SNIPPETS)
    demand_proven(place.prove())
    path = place.tree / "servers/api" / file
    kept = "".join(line for line in path.read_text().splitlines(keepends=True) if "certgen_" not in line)
    assert kept != path.read_text()
    path.unlink() if is_gone else path.write_text(kept)
    ran = place.run()
    assert ran.code == 1
    assert f"error[file-drifted]: servers/api/{file} is not what the spec renders" in ran.err
    place.apply()
    demand_proven(place.prove())


@pytest.mark.parametrize("file", ["ca.pem", "cert.pem"])
def test_a_file_that_is_missing_is_not_said_to_hold_something_else(tmp_path: Path, file: str) -> None:
    place = compiled(tmp_path / "shop", SHOP)
    (place.tree / "clients/checkout" / file).unlink()
    proof = place.prove()
    assert (in_short(proof.findings), in_short(proof.unknowns)) == ([], ["not-judged clients/checkout"])
    assert f"its {file} is not there" in proof.unknowns[0].message
    assert place.run().code == 2
