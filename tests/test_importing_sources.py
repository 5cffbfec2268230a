"""Files of every kind, each read by what knows it."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from foreign.hierarchy import make_ca

from certgen.importing.draft import Collected, Source
from certgen.importing.sources import collect
from certgen.model import Section

ROOT = make_ca("Root", "ecdsa-p256").certificate.public_bytes(Encoding.PEM)
NAME = b"CN=Root,O=Shop BV,C=NL"
MANIFEST = b"subject: %s\n---\nsubject: CN=api\nissuer: %s\nsans: DNS:a.example\n" % (NAME, NAME)
INSTANCES = b"instances:\n- {name: node1, dns: n1.example}\n"
REQUEST = json.dumps({"CN": "web", "hosts": ["w.example"]}).encode()


def read(*files: tuple[str, bytes]) -> Collected:
    return collect(Source(path, content) for path, content in files)


def entries(found: Collected) -> list[str]:
    return sorted(f"{draft.section}/{draft.wish}" for draft in found.drafts)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("certs.yaml", MANIFEST, ["cas/Root", "servers/api"]),
        ("certs.YML", MANIFEST, ["cas/Root", "servers/api"]),
        ("instances.yml", INSTANCES, ["peers/node1"]),
        ("web.json", REQUEST, ["servers/web"]),
        ("root.pem", ROOT, ["cas/Root"]),
        ("root.yaml", ROOT, ["cas/Root"]),
        ("web.txt", REQUEST, []),
        ("certs.json", MANIFEST, []),
        ("web.pem", REQUEST, []),
        ("shop.yaml", b"version: 1\nca: {}\n", []),
    ],
)
def test_the_ending_of_its_name_tells_who_reads_it(name: str, content: bytes, expected: list[str]) -> None:
    found = read((name, content))
    assert entries(found) == expected
    assert found.remarks == ()


def test_they_are_put_together() -> None:
    found = read(("a.yml", INSTANCES), ("b.json", REQUEST), ("c.pem", ROOT))
    assert entries(found) == ["cas/Root", "peers/node1", "servers/web"]


def test_what_is_there_is_not_described_again_and_signs_what_is_not() -> None:
    found = read(("certs.yaml", MANIFEST), ("root.pem", ROOT))
    root, api = sorted(found.drafts, key=lambda draft: draft.section is not Section.CAS)
    assert entries(found) == ["cas/Root", "servers/api"]
    assert root.certificate is not None
    assert api.issuer == root.subject


def test_nothing_is_made_of_nothing() -> None:
    assert read() == Collected()
