"""Handshakes in memory: each cause of a refusal is met for real, under both versions, by the side that must refuse."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from foreign.hierarchy import (
    CLIENT,
    NOW,
    SERVER,
    Authority,
    Extension,
    Wish,
    certify,
    end_entity_extensions,
    key_usage,
    make_ca,
    new_key,
    write_pem,
)
from proving import key_pem

from certgen.tls import handshake
from certgen.tls.causes import Cause, Side
from certgen.tls.contexts import Credentials, Version, client_context, server_context
from certgen.tls.handshake import Meeting, meet

ROOT = make_ca("Shop Root", "ecdsa-p256")
OTHER = make_ca("Shop Root", "ecdsa-p256")
"""Its name is the root's; its key is not."""
ISSUING = make_ca("Shop Issuing", "ecdsa-p256", ROOT)
ANCHORS = ROOT.certificate.public_bytes(Encoding.PEM)
NAMES = (x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")))
EVER = timedelta(days=30)


@dataclass(frozen=True)
class Bearer:
    """Whose certificate is shown.

    usages, names: what it is for, and what it is called.
    issuer: who signs.
    above: what follows it in the file; None for the issuer's path.
    start: when it begins.
    forger: whether a stranger's key signs in the issuer's name.
    """

    usages: Sequence[x509.ObjectIdentifier]
    names: Sequence[x509.GeneralName] = NAMES
    issuer: Authority = ISSUING
    above: Sequence[x509.Certificate] | None = None
    start: datetime = NOW - timedelta(minutes=5)
    forger: bool = False

    def written(self, folder: Path) -> Credentials:
        """Write its files."""
        folder.mkdir()
        key = new_key("ecdsa-p256")
        wish = Wish("bearer", end_entity_extensions(self.usages, self.names), self.start, 10)
        own = certify(wish, key, self.issuer, OTHER.key if self.forger else None)
        above = self.issuer.path if self.above is None else self.above
        write_pem(folder / "cert.pem", own, *above)
        (folder / "key.pem").write_bytes(key_pem(key))
        return Credentials(folder / "cert.pem", folder / "key.pem")


GOOD_SERVER, GOOD_CLIENT = Bearer((SERVER,)), Bearer((CLIENT,))


@dataclass(frozen=True)
class Stage:
    """Where two meet.

    client: None for one without a certificate.
    anchors: whom the server and the client trust.
    """

    server: Bearer = GOOD_SERVER
    client: Bearer | None = GOOD_CLIENT
    server_anchors: bytes = ANCHORS
    client_anchors: bytes = ANCHORS
    name: str = "localhost"

    def meet(self, folder: Path, version: Version) -> Meeting:
        """Let them."""
        server = server_context(self.server.written(folder / "server"), self.server_anchors, version)
        own = self.client.written(folder / "client") if self.client else None
        return meet(server, client_context(own, self.client_anchors, version), self.name)


def long_path() -> Bearer:
    """A certificate below a CA that may have none below it, and has."""
    key = new_key("ecdsa-p256")
    extensions = [
        Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        key_usage("key_cert_sign"),
    ]
    lowest = certify(Wish("Lowest", extensions), key, ISSUING)
    return Bearer((SERVER,), issuer=Authority(lowest, key, (lowest, *ISSUING.path)))


def outside() -> Bearer:
    """A certificate whose name its CA must not give."""
    constrained = make_ca("Bank", "ecdsa-p256", ROOT, [x509.DNSName("bank.example")])
    return Bearer((SERVER,), names=(x509.DNSName("localhost"),), issuer=constrained)


OF_THE_SERVER: dict[Cause, Callable[[], Stage]] = {
    Cause.UNKNOWN_AUTHORITY: lambda: Stage(client_anchors=OTHER.certificate.public_bytes(Encoding.PEM)),
    Cause.EXPIRED: lambda: Stage(replace(GOOD_SERVER, start=NOW - EVER)),
    Cause.NOT_YET_VALID: lambda: Stage(replace(GOOD_SERVER, start=NOW + EVER)),
    Cause.WRONG_PURPOSE: lambda: Stage(replace(GOOD_SERVER, usages=(CLIENT,))),
    Cause.WRONG_NAME: lambda: Stage(name="shop.example"),
    Cause.OUTSIDE_CONSTRAINTS: lambda: Stage(outside()),
    Cause.PATH_TOO_LONG: lambda: Stage(long_path()),
    Cause.BAD_SIGNATURE: lambda: Stage(replace(GOOD_SERVER, forger=True)),
}
OF_THE_CLIENT: dict[Cause, Callable[[], Stage]] = {
    Cause.NO_CERTIFICATE: lambda: Stage(client=None),
    Cause.UNKNOWN_AUTHORITY: lambda: Stage(server_anchors=OTHER.certificate.public_bytes(Encoding.PEM)),
    Cause.EXPIRED: lambda: Stage(client=replace(GOOD_CLIENT, start=NOW - EVER)),
    Cause.NOT_YET_VALID: lambda: Stage(client=replace(GOOD_CLIENT, start=NOW + EVER)),
    Cause.WRONG_PURPOSE: lambda: Stage(client=replace(GOOD_CLIENT, usages=(SERVER,))),
    Cause.BAD_SIGNATURE: lambda: Stage(client=replace(GOOD_CLIENT, forger=True)),
}


# Who is let in


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_two_who_trust_each_other_talk_and_the_client_sees_the_servers_names(
    tmp_path: Path, version: Version, name: str
) -> None:
    meeting = Stage(name=name).meet(tmp_path, version)
    assert (meeting.is_accepted, meeting.refusal) == (True, None)
    assert meeting.server_names == (("DNS", "localhost"), ("IP Address", "127.0.0.1"))


def test_a_server_without_names_is_met_by_one_who_asks_for_none(tmp_path: Path) -> None:
    server = replace(GOOD_SERVER, names=()).written(tmp_path / "server")
    client = client_context(GOOD_CLIENT.written(tmp_path / "client"), ANCHORS, checks_name=False)
    assert meet(server_context(server, ANCHORS), client, None) == Meeting(None, ())


def test_a_client_that_trusts_everybody_accepts_any_server(tmp_path: Path) -> None:
    server = server_context(replace(GOOD_SERVER, start=NOW - EVER, issuer=OTHER).written(tmp_path / "s"), ANCHORS)
    client = client_context(GOOD_CLIENT.written(tmp_path / "c"), None)
    assert meet(server, client, "elsewhere.example").is_accepted


# Who is refused, by whom, and why


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("cause", OF_THE_SERVER)
def test_a_client_refuses_a_server_for_the_very_reason(tmp_path: Path, version: Version, cause: Cause) -> None:
    refusal = OF_THE_SERVER[cause]().meet(tmp_path, version).refusal
    assert refusal is not None
    assert (refusal.side, refusal.cause) == (Side.CLIENT, cause), refusal


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("cause", OF_THE_CLIENT)
def test_a_server_refuses_a_client_for_the_very_reason(tmp_path: Path, version: Version, cause: Cause) -> None:
    refusal = OF_THE_CLIENT[cause]().meet(tmp_path, version).refusal
    assert refusal is not None
    assert (refusal.side, refusal.cause) == (Side.SERVER, cause), refusal


def test_two_without_a_version_in_common_do_not_meet(tmp_path: Path) -> None:
    server = server_context(GOOD_SERVER.written(tmp_path / "server"), ANCHORS, Version.TLS_1_3)
    client = client_context(GOOD_CLIENT.written(tmp_path / "client"), ANCHORS, Version.TLS_1_2)
    refusal = meet(server, client, "localhost").refusal
    assert refusal is not None
    assert refusal.cause is Cause.UNSUPPORTED


@pytest.mark.parametrize("version", Version)
def test_an_intermediate_that_is_not_shown_is_missed(tmp_path: Path, version: Version) -> None:
    for number, stage in enumerate(
        (Stage(replace(GOOD_SERVER, above=())), Stage(client=replace(GOOD_CLIENT, above=())))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        refusal = stage.meet(folder, version).refusal
        assert refusal is not None
        assert (refusal.side, refusal.cause) == ((Side.CLIENT, Side.SERVER)[number], Cause.UNKNOWN_AUTHORITY)


def test_what_a_strict_verifier_alone_refuses_is_refused(tmp_path: Path) -> None:
    key = new_key("ecdsa-p256")
    certificate = certify(Wish("bearer", end_entity_extensions((SERVER,), NAMES)), key, ROOT)
    bare = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        [item for item in certificate.extensions if item.oid != x509.AuthorityKeyIdentifier.oid],
    ).sign(ROOT.key, certificate.signature_hash_algorithm)  # type: ignore[arg-type]  # a hash of ECDSA
    write_pem(tmp_path / "cert.pem", bare)
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    server = server_context(Credentials(tmp_path / "cert.pem", tmp_path / "key.pem"), ANCHORS)
    client = client_context(GOOD_CLIENT.written(tmp_path / "client"), ANCHORS)
    refusal = meet(server, client, "localhost").refusal
    assert refusal is not None
    assert (refusal.side, refusal.cause) == (Side.CLIENT, Cause.OTHER)
    assert refusal.words == "Missing Authority Key Identifier"
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert meet(server, client, "localhost").is_accepted


# What is agreed on


@pytest.mark.parametrize("version", Version)
def test_the_version_that_is_asked_for_is_the_one_that_is_spoken(
    tmp_path: Path, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: list[str | None] = []
    exchange = handshake._exchange

    def listening(client: ssl.SSLObject, server: ssl.SSLObject) -> Meeting:
        spoken.extend((client.version(), server.version()))
        return exchange(client, server)

    monkeypatch.setattr(handshake, "_exchange", listening)
    assert Stage().meet(tmp_path, version).is_accepted
    assert spoken == [str(version).replace(" ", "v")] * 2


def test_a_message_goes_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(ssl.SSLObject):
        def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes:  # type: ignore[override]  # noqa: A002, ARG002
            return b"nothing" if not self.server_side else super().read(len)

    monkeypatch.setattr(ssl.SSLContext, "sslobject_class", Deaf)
    refusal = Stage().meet(tmp_path, Version.TLS_1_3).refusal
    assert refusal is not None
    assert refusal.words == "the answer is another"


def test_ends_that_never_agree_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting(ssl.SSLObject):
        def do_handshake(self) -> None:
            raise ssl.SSLWantReadError

    monkeypatch.setattr(ssl.SSLContext, "sslobject_class", Waiting)
    refusal = Stage().meet(tmp_path, Version.TLS_1_3).refusal
    assert refusal is not None
    assert refusal.words == "the handshake does not end"
