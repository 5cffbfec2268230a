"""Strangers: refused for the one thing in which they differ, and let in if it were not for that."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from foreign.hierarchy import make_ca, new_key, write_pem
from proving import key_pem

from certgen.testing import CompiledBundle, EndEntity, compile_spec
from certgen.tls.causes import Cause
from certgen.tls.handshake import meet

NOW = datetime.now(UTC).replace(microsecond=0)
SHOP = {
    "version": 1,
    "cas": {"root": {"common_name": "Shop Root", "key": "rsa-2048"}, "issuing": {"issuer": "root"}, "other": None},
    "servers": {"api": {"issuer": "issuing", "sans": "localhost", "key": "ed25519"}},
    "clients": {"checkout": {"issuer": "other", "sans": "spiffe://shop.example/checkout"}},
    "peers": {"node": {"issuer": "issuing", "sans": "localhost"}},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> CompiledBundle:
    return compile_spec(SHOP, tmp_path_factory.mktemp("shop"), NOW)


def path_of(entity: EndEntity) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(entity.certificate_file.read_bytes())


def identifying(certificate: x509.Certificate) -> set[x509.Extension[x509.ExtensionType]]:
    """Give the extensions that do not follow from a key."""
    derived = {x509.SubjectKeyIdentifier.oid, x509.AuthorityKeyIdentifier.oid}
    return {item for item in certificate.extensions if item.oid not in derived}


def refusal(server: EndEntity, client: EndEntity) -> tuple[str, Cause] | None:
    """Let two meet, and say which side refuses, and why."""
    found = meet(server.server_context(), client.client_context(), "localhost").refusal
    return (str(found.side), found.cause) if found else None


EXPIRED, OTHER_CA = "expired", "of_other_ca"
CAUSES = {EXPIRED: Cause.EXPIRED, OTHER_CA: Cause.UNKNOWN_AUTHORITY}


def as_stranger(entity: EndEntity, kind: str) -> EndEntity:
    made = getattr(entity, kind)()
    assert isinstance(made, EndEntity)
    return made


# Who refuses, and why


@pytest.mark.parametrize("kind", CAUSES)
def test_a_server_refuses_the_stranger_of_a_client_it_lets_in(shop: CompiledBundle, kind: str) -> None:
    for server in (shop.servers["api"], shop.peers["node"]):
        for client in (shop.clients["checkout"], shop.peers["node"]):
            assert refusal(server, client) is None
            assert refusal(server, as_stranger(client, kind)) == ("server", CAUSES[kind])


@pytest.mark.parametrize("kind", CAUSES)
def test_a_client_refuses_the_stranger_of_a_server_it_calls(shop: CompiledBundle, kind: str) -> None:
    for server in (shop.servers["api"], shop.peers["node"]):
        assert refusal(as_stranger(server, kind), shop.clients["checkout"]) == ("client", CAUSES[kind])


def test_a_server_refuses_who_shows_nothing(shop: CompiledBundle) -> None:
    server, client = shop.servers["api"].ssl_context(), shop.clients["checkout"]
    found = meet(server, client.context_without_certificate(), "localhost").refusal
    assert found is not None
    assert (str(found.side), found.cause) == ("server", Cause.NO_CERTIFICATE)
    assert meet(server, client.ssl_context(), "localhost").is_accepted


def test_who_shows_nothing_still_looks_whom_it_calls(shop: CompiledBundle) -> None:
    found = meet(
        shop.servers["api"].of_other_ca().ssl_context(),
        shop.clients["checkout"].context_without_certificate(),
        "localhost",
    ).refusal
    assert found is not None
    assert (str(found.side), found.cause) == ("client", Cause.UNKNOWN_AUTHORITY)


# What is different, and what is not


@pytest.mark.parametrize("name", ["servers/api", "clients/checkout", "peers/node"])
def test_what_has_expired_is_the_same_but_for_its_dates(shop: CompiledBundle, name: str) -> None:
    section, _, key = name.partition("/")
    real = getattr(shop, section)[key]
    (own, *above), (was, *were) = path_of(real.expired()), path_of(real)
    assert above == were
    assert (own.subject, own.issuer, own.public_key()) == (was.subject, was.issuer, was.public_key())
    assert {*own.extensions} == {*was.extensions}
    assert own.serial_number != was.serial_number
    assert own.not_valid_after_utc == NOW - timedelta(hours=1)
    assert own.not_valid_before_utc < own.not_valid_after_utc
    (issuer,) = x509.load_pem_x509_certificates(
        shop.cas["other" if section == "clients" else "issuing"].certificate_file.read_bytes()
    )
    own.verify_directly_issued_by(issuer)
    assert real.expired().private_key_file.read_bytes() == real.private_key_file.read_bytes()


def test_who_is_of_another_ca_says_the_same_of_itself_and_nobody_here_signed_it(shop: CompiledBundle) -> None:
    real = shop.servers["api"]
    other = real.of_other_ca()
    made, was = path_of(other), path_of(real)
    for one, before in zip(made, was, strict=True):
        assert (one.subject, one.issuer, identifying(one)) == (before.subject, before.issuer, identifying(before))
        assert one.public_key() != before.public_key()
        assert one.not_valid_before_utc < NOW < one.not_valid_after_utc
    made[0].verify_directly_issued_by(made[1])
    with pytest.raises((InvalidSignature, TypeError, ValueError)):
        made[0].verify_directly_issued_by(was[1])


@pytest.mark.parametrize("kind", CAUSES)
def test_a_stranger_has_the_files_of_an_entry_and_its_trust(shop: CompiledBundle, kind: str) -> None:
    real = shop.clients["checkout"]
    made = as_stranger(real, kind)
    assert made.address == real.address
    assert not made.folder.is_relative_to(shop.folder)
    assert made.trust_file.read_bytes() == real.trust_file.read_bytes()
    assert {path.name for path in made.folder.iterdir()} == {"cert.pem", "key.pem", "ca.pem"}
    assert stat.S_IMODE(made.private_key_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", CAUSES)
def test_a_stranger_is_made_once(shop: CompiledBundle, kind: str) -> None:
    real = shop.clients["checkout"]
    first = as_stranger(real, kind).certificate_file.read_bytes()
    assert as_stranger(real, kind).certificate_file.read_bytes() == first
    assert as_stranger(as_stranger(real, EXPIRED), kind) == as_stranger(real, kind)


def test_nothing_is_made_that_nobody_asks_for(tmp_path: Path) -> None:
    bundle = compile_spec(SHOP, tmp_path, NOW)
    assert not (tmp_path / "strangers").exists()
    bundle.clients["checkout"].expired()
    assert [path.name for path in (tmp_path / "strangers").iterdir()] == ["expired"]


# CAs and keys of one's own


@pytest.mark.parametrize("is_root", [True, False], ids=["a root", "an intermediate"])
@pytest.mark.parametrize("kind", CAUSES)
def test_strangers_of_a_ca_that_the_user_brings(tmp_path: Path, kind: str, *, is_root: bool) -> None:
    root = make_ca("Own Root", "ecdsa-p256")
    signer = root if is_root else make_ca("Own Issuing", "ecdsa-p384", root)
    write_pem(tmp_path / "root.pem", root.certificate)
    write_pem(tmp_path / "own.pem", signer.certificate)
    (tmp_path / "own.key").write_bytes(key_pem(signer.key))
    trust = "" if is_root else ", trust: root.pem"
    (tmp_path / "shop.yaml").write_text(
        f"version: 1\nca: {{certificate: own.pem, private_key: own.key{trust}}}\n"
        "servers: {api: {sans: localhost}}\nclients: {checkout: }\n"
    )
    bundle = compile_spec(tmp_path / "shop.yaml", tmp_path / "run", NOW)
    api, checkout = bundle.servers["api"], bundle.clients["checkout"]
    assert refusal(api, checkout) is None
    assert refusal(api, as_stranger(checkout, kind)) == ("server", CAUSES[kind])
    assert refusal(as_stranger(api, kind), checkout) == ("client", CAUSES[kind])


def test_what_has_expired_has_no_key_where_the_entry_has_none(tmp_path: Path) -> None:
    key = new_key("ecdsa-p256").public_key()
    (tmp_path / "api.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "shop.yaml").write_text("version: 1\nca:\nservers: {api: {sans: localhost, public_key: api.pub}}\n")
    api = compile_spec(tmp_path / "shop.yaml", tmp_path / "run", NOW).servers["api"]
    (own,) = path_of(api.expired())
    assert own.public_key() == key
    assert not api.expired().private_key_file.exists()
    assert api.of_other_ca().private_key_file.exists()
