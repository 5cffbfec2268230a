"""What ssl needs of each entry, read from its folder; and why one cannot take part."""

import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from foreign.hierarchy import make_ca, new_key
from proving import SHOP, Place, compiled, key_pem

from certgen.model import Address
from certgen.prove.parties import Party, _is_unknown, gather_authorities, gather_parties, gather_roots
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.store.sight import Sight
from certgen.store.tree import Tree
from certgen.tree import FileState

API = Address.parse("servers/api")


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("parties") / "shop", SHOP)


@pytest.fixture
def place(untouched: Place, tmp_path: Path) -> Place:
    return untouched.copied(tmp_path / "shop")


def party(place: Place, address: Address = API) -> Party:
    return gather_parties(place.bundle, Tree(place.tree))[address]


# Who takes part


def test_every_end_entity_takes_part_and_no_ca(untouched: Place) -> None:
    gathered = gather_parties(untouched.bundle, Tree(untouched.tree))
    assert [str(address) for address in gathered] == [
        "servers/api",
        "servers/web",
        "clients/checkout",
        "clients/reporting",
    ]
    assert all(one.can_meet for one in gathered.values())


def test_a_party_has_the_files_of_its_folder(untouched: Place) -> None:
    found = party(untouched)
    folder = untouched.tree / "servers/api"
    assert (found.own().certificate, found.own().private_key) == (folder / "cert.pem", folder / "key.pem")
    assert found.anchors == (folder / "ca.pem").read_bytes()
    assert [str(one.subject) for one in found.path] == ["CN=api", "CN=Shop Issuing"]
    assert [str(one.subject) for one in found.trusted] == ["CN=Shop Client Root"]


def test_the_folders_of_cas_are_not_opened_for_parties_and_their_keys_for_nothing(
    untouched: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = Sight.look

    def reading(sight: Sight, path: str, named: str = "") -> FileState:
        read.append(path)
        return real(sight, path, named)

    monkeypatch.setattr(Sight, "look", reading)
    gather_parties(untouched.bundle, Tree(untouched.tree))
    assert [path for path in read if path.startswith("cas/")] == []
    assert "servers/api/key.pem" in read
    gather_roots(untouched.bundle, gather_authorities(untouched.bundle, Tree(untouched.tree)))
    assert [path for path in read if path.startswith("cas/")] == [
        f"cas/{name}/cert.pem" for name in ("client-root", "root", "issuing")
    ]


# Who does not


Break = Callable[[Path], object]


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("broken", "obstacle"),
    [
        (lambda folder: (folder / "key.pem").unlink(), "its private key is not on this machine"),
        (lambda folder: (folder / "cert.pem").unlink(), "its cert.pem is not there"),
        (lambda folder: (folder / "ca.pem").unlink(), "its ca.pem is not there"),
        (
            lambda folder: (folder / "ca.pem").rename(folder / "b") and (folder / "ca.pem").symlink_to("b"),
            "its ca.pem is a symbolic link, which is not followed",
        ),
        (
            lambda folder: (folder / "cert.pem").unlink() or (folder / "cert.pem").mkdir(),
            "its cert.pem is not a regular file",
        ),
        (
            lambda folder: pipe(folder / "key.pem"),
            "its key.pem is not a regular file",
        ),
    ],
    ids=["key gone", "certificate gone", "trust gone", "link", "folder", "pipe"],
)
def test_what_cannot_be_looked_at_is_an_obstacle_and_no_fault(place: Place, broken: Break, obstacle: str) -> None:
    broken(place.tree / "servers/api")
    found = party(place)
    assert (found.can_meet, found.obstacle, found.fault) == (False, obstacle, None)
    assert party(place, Address.parse("servers/web")).can_meet


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_of_somebody_else_is_an_obstacle(place: Place) -> None:
    (place.tree / "servers/api/key.pem").chmod(0)
    found = party(place)
    assert found.obstacle is not None
    assert "Permission denied" in found.obstacle


def test_why_a_file_cannot_be_read_is_a_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certgen.store.sight.MAXIMUM_FILE", 10)
    assert re.fullmatch(r"its [a-z]+\.pem cannot be read: it has more than 10 bytes", party(place).obstacle or "")


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
@pytest.mark.parametrize("content", [b"", b"garbage"], ids=["empty", "garbage"])
def test_a_file_that_is_not_what_it_should_be_is_a_fault_that_names_it(place: Place, name: str, content: bytes) -> None:
    (place.tree / "servers/api" / name).write_bytes(content)
    found = party(place)
    assert (found.can_meet, found.obstacle, found.is_mismatched) == (False, None, False)
    assert found.fault is not None
    assert f"servers/api/{name}" in found.fault


def test_a_key_of_another_is_a_fault_of_its_own_kind(place: Place) -> None:
    (place.tree / "servers/api/key.pem").write_bytes(key_pem(new_key("ecdsa-p256")))
    found = party(place)
    assert (found.can_meet, found.is_mismatched) == (False, True)
    assert found.fault == "servers/api: its private key is not that of its certificate"


def test_one_that_cannot_meet_has_no_credentials(place: Place) -> None:
    (place.tree / "servers/api/key.pem").unlink()
    with pytest.raises(LookupError, match="servers/api"):
        party(place).own()


# Algorithms that ssl does not know


PQ = """\
    version: 1
    cas:
      old: {}
      new: {key: ml-dsa-65}
    servers:
      api: {issuer: old, sans: localhost, trust: [old, new]}
      next: {issuer: old, sans: localhost, key: ml-dsa-44}
    clients:
      checkout: {issuer: old}
      late: {issuer: new}
"""


def obstacles(place: Place) -> dict[str, str | None]:
    gathered = gather_parties(place.bundle, Tree(place.tree))
    return {str(address): one.obstacle or one.fault for address, one in gathered.items()}


@pytest.fixture(scope="session")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("modern") / "shop", PQ)


def test_an_algorithm_that_ssl_does_not_know_is_an_obstacle_wherever_in_the_path_it_stands(
    modern: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 0, 0, 19, 0))
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", "OpenSSL 3.0.19 27 Jan 2026")
    assert obstacles(modern) == {
        "servers/api": None,  # it has such a root among its anchors, and that is no reason
        "servers/next": "OpenSSL 3.0.19 of this Python does not know ml-dsa-44",
        "clients/checkout": None,
        "clients/late": "OpenSSL 3.0.19 of this Python does not know ml-dsa-65",
    }


@pytest.mark.skipif(_is_unknown(KeyAlgorithm.ML_DSA_44), reason="OpenSSL has ML-DSA from 3.5")
def test_an_algorithm_that_ssl_knows_is_none(modern: Place) -> None:
    assert set(obstacles(modern).values()) == {None}


@pytest.mark.skipif(not _is_unknown(KeyAlgorithm.ML_DSA_44), reason="OpenSSL has ML-DSA from 3.5")
def test_a_ca_of_ones_own_with_an_unknown_algorithm_is_an_obstacle_too(tmp_path: Path) -> None:
    own = make_ca("Shop Root", "ml-dsa-65")
    files = {"own.pem": own.certificate.public_bytes(Encoding.PEM), "own.key": key_pem(own.key)}
    spec = "version: 1\nca: {certificate: own.pem, private_key: own.key}\nservers: {api: {sans: localhost}}\n"
    place = compiled(tmp_path / "shop", f"{spec}clients: {{checkout: }}\n", files)
    assert {obstacle and "does not know ml-dsa-65" in obstacle for obstacle in obstacles(place).values()} == {True}


# Roots


def test_roots_are_the_certificates_of_the_tree(untouched: Place) -> None:
    roots = gather_roots(untouched.bundle, gather_authorities(untouched.bundle, Tree(untouched.tree)))
    assert {str(address): [str(one.subject) for one in found] for address, found in roots.items()} == {
        "cas/client-root": ["CN=Shop Client Root"],
        "cas/root": ["CN=Shop Root"],
    }


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_root_that_cannot_be_read_is_not_known(place: Place, content: bytes) -> None:
    (place.tree / "cas/root/cert.pem").write_bytes(content)
    assert (
        gather_roots(place.bundle, gather_authorities(place.bundle, Tree(place.tree)))[Address.parse("cas/root")] == ()
    )


def test_a_party_shows_nothing_of_its_files_when_it_is_printed(untouched: Place) -> None:
    assert "BEGIN" not in repr(party(untouched))
