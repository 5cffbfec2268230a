"""The server: it says who came, and why somebody was refused; nobody can stop it or write to its terminal."""

import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from foreign.hierarchy import (
    CLIENT,
    SERVER,
    Extension,
    Wish,
    certify,
    end_entity_extensions,
    make_ca,
    new_key,
    write_pem,
)
from programs import Version, ask, eventually, require
from proving import key_pem
from talking import MIXED, Serving, World, make_world

from certgen.diagnostics import CertgenError
from certgen.talk import serve as module
from certgen.talk.identity import load_identity
from certgen.talk.serve import Server

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("serve") / "world")


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[Serving]:
    with world.serving("servers/api") as started:
        yield started


def folder(world: World, who: str) -> Path:
    return world.folder / who if who == MIXED else world.tree / who


def ask_as(world: World, serving: Serving, who: str | None, version: Version | None = None) -> str:
    """Ask as somebody or nobody; give the page, or nothing where there is none."""
    anchors = world.tree / "cas/root/cert.pem"
    answer = ask(serving.url, folder=folder(world, who) if who else None, anchors=anchors, version=version)
    return answer.body if answer.status == 200 else ""


# Who comes


PEOPLE = {
    "clients/checkout": ("CN=checkout", "URI:spiffe://shop.example/checkout"),
    "clients/reporting": ("CN=reporting", "none"),
    "peers/node": ("CN=node", "DNS:localhost, IP:127.0.0.1"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", PEOPLE)
def test_whoever_asks_is_told_who_he_is_and_so_is_the_journal(
    world: World, api: Serving, version: Version, who: str
) -> None:
    subject, names = PEOPLE[who]
    lines = ask_as(world, api, who, version).splitlines()
    assert lines[:3] == [f"you are  {subject}", f"names    {names}", "issuer   CN=Shop Issuing"]
    assert re.fullmatch(r"until    \d{4}-\d\d-\d\d \d\d:\d\dZ", lines[3])
    assert re.fullmatch(rf"over     TLS {re.escape(version)}, [A-Z0-9_-]+", lines[4])
    assert eventually(lambda: f"200      127.0.0.1: {subject}, TLS {version}" in api.journal())


REFUSED = {
    None: "the server refuses because no certificate was sent",
    MIXED: "the server refuses because no root that it trusts is above the certificate",
    "servers/far": "the server refuses because the certificate is not for this purpose",
    "clients/late": "the server refuses because the certificate has expired",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", REFUSED)
def test_whoever_is_refused_gets_no_answer_and_the_journal_says_why(
    world: World, version: Version, who: str | None
) -> None:
    with world.serving("servers/api") as serving:
        assert ask_as(world, serving, who, version) == ""
        assert eventually(lambda: serving.has_said(f"refused  127.0.0.1: {REFUSED[who]} ("))
        assert ask_as(world, serving, "clients/checkout", version)
        assert not any(line.startswith("200") and "checkout" not in line for line in serving.journal())


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max"])
def test_curl_without_a_certificate_is_refused_and_with_one_is_not(world: World, api: Serving, version: str) -> None:
    require("curl")
    options = [version, "1.2"] if version == "--tls-max" else [version]
    anchors, own = world.tree / "cas/root/cert.pem", world.tree / "clients/checkout"
    command = ["curl", "-sS", "--noproxy", "*", *options, "--cacert", str(anchors), api.url]
    nobody = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (nobody.returncode != 0, nobody.stdout) == (True, "")
    command += ["--cert", str(own / "cert.pem"), "--key", str(own / "key.pem")]
    somebody = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert somebody.stdout.startswith("you are  CN=checkout\n")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_refuses_is_told_apart_from_a_server_that_does(
    world: World, api: Serving, version: Version
) -> None:
    own, strange = world.tree / "clients/checkout", world.elsewhere / "cas/root/cert.pem"
    answer = ask(api.url, folder=own, anchors=strange, version=version)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.error
    words = "the client refuses because no root that it trusts is above the certificate (TLSV1_ALERT_UNKNOWN_CA)"
    assert eventually(lambda: api.has_said(words))


# Who disturbs


def test_one_who_connects_and_says_nothing_keeps_nobody_waiting(world: World, api: Serving) -> None:
    with socket.create_connection(("127.0.0.1", api.port)), socket.create_connection(("127.0.0.1", api.port)) as half:
        half.sendall(b"\x16\x03\x01\x00\x05\x01")
        began = time.monotonic()
        assert ask_as(world, api, "clients/checkout")
        assert time.monotonic() - began < 5


def test_many_at_once_are_all_answered(world: World, api: Serving) -> None:
    pages: dict[int, str] = {}
    people = ("clients/checkout", "clients/reporting", "peers/node")

    def come(number: int) -> None:
        pages[number] = ask_as(world, api, people[number % 3])

    threads = [threading.Thread(target=come, args=(number,)) for number in range(18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [pages[number].partition("\n")[0] for number in range(18)] == [
        f"you are  CN={people[number % 3].partition('/')[2]}" for number in range(18)
    ]


def in_tls(world: World, serving: Serving, content: bytes) -> bytes:
    """Say something as a client that is let in, and hear what there is of an answer before the server goes."""
    own = world.tree / "clients/checkout"
    context = ssl.create_default_context(cafile=own / "ca.pem")
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    with (
        socket.create_connection(("127.0.0.1", serving.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        answer = b""
        with suppress(OSError):
            connection.sendall(content)
        with suppress(OSError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


EVIL = b"\x1b[31m\x07\xe2\x80\xae"
REQUESTS = {
    "the method": b"GET" + EVIL + b" / HTTP/1.1\r\n\r\n",
    "the path": b"GET /" + EVIL + b" HTTP/1.1\r\n\r\n",
    "the version": b"GET / HTTP/" + EVIL + b"\r\n\r\n",
    "a header": b"GET / HTTP/1.1\r\nHost: " + EVIL + b"\r\n" + EVIL + b": x\r\nUser-Agent: " + EVIL + b"\r\n\r\n",
    "one word": EVIL + b"\r\n\r\n",
    "nothing": b"\r\n\r\n",
    "a long line": b"GET /" + EVIL * 20000 + b" HTTP/1.1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: " + EVIL + b"\r\n" + b"Y: z\r\n" * 400 + b"\r\n",
    "another method": b"POST / HTTP/1.1\r\nContent-Length: 99999\r\nConnection: close\r\n\r\n" + EVIL,
    "zeros": b"\x00" * 100 + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", REQUESTS)
def test_nothing_of_a_request_reaches_the_terminal(world: World, api: Serving, what: str) -> None:
    in_tls(world, api, REQUESTS[what])
    assert ask_as(world, api, "clients/checkout")
    text = api.process.log.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80\xae", text)


@pytest.mark.parametrize("what", ["another method", "one word", "a long line"])
def test_a_request_that_is_not_answered_is_noted_too(world: World, what: str) -> None:
    with world.serving("servers/api") as serving:
        probes = len(serving.journal())
        in_tls(world, serving, REQUESTS[what])
        assert eventually(lambda: len(serving.journal()) > probes, 3)
        assert "127.0.0.1" in serving.journal()[-1]


@pytest.mark.parametrize(
    "content",
    [b"", b"GET / HTTP/1.1\r\n\r\n", EVIL * 10, b"\x16\x03\x01\xff\xff" + b"\x00" * 100, b"\x80\x2e\x01\x00\x02"],
    ids=["nothing", "plain HTTP", "noise", "a broken hello", "SSL 2"],
)
def test_who_speaks_no_tls_is_noted_and_disturbs_nobody(world: World, content: bytes) -> None:
    with world.serving("servers/api") as serving:
        probes = len(serving.journal())
        with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as plain:
            plain.sendall(content)
        assert eventually(lambda: len(serving.journal()) > probes)
        assert serving.journal()[-1].startswith("refused  127.0.0.1: ")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", serving.process.words())
        assert ask_as(world, serving, "clients/checkout")


def test_who_goes_away_without_a_word_is_not_said_to_be_refused_by_the_server(world: World) -> None:
    with world.serving("servers/api") as serving:
        probes = len(serving.journal())
        socket.create_connection(("127.0.0.1", serving.port)).close()
        assert eventually(lambda: len(serving.journal()) > probes)
        assert "the server refuses" not in serving.journal()[-1]


def test_an_answer_says_nothing_of_the_interpreter(world: World, api: Serving) -> None:
    answer = in_tls(world, api, b"GET / HTTP/1.1\r\n\r\n")
    assert b"\r\nServer: certgen\r\n" in answer
    assert b"Python" not in answer
    assert b"Python" not in in_tls(world, api, b"NONSENSE / HTTP/1.1\r\n\r\n")


def test_a_certificate_that_certgen_cannot_read_is_no_reason_to_break_down(world: World, tmp_path: Path) -> None:
    """A name of a kind that nobody uses, in a certificate that OpenSSL accepts."""
    root, key = make_ca("Odd Root", "ecdsa-p256"), new_key("ecdsa-p256")
    good = certify(Wish("server", end_entity_extensions((SERVER,), (x509.DNSName("localhost"),))), key, root)
    odd_name = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x02\xa3\x00")
    odd = certify(Wish("odd", [*end_entity_extensions((CLIENT,), ()), Extension(odd_name)]), key, root)
    for name, certificate in (("server", good), ("odd", odd)):
        place = tmp_path / name
        place.mkdir()
        write_pem(place / "cert.pem", certificate)
        write_pem(place / "ca.pem", root.certificate)
        (place / "key.pem").write_bytes(key_pem(key))
    with world.serving(str(tmp_path / "server")) as serving:
        ask(f"https://localhost:{serving.port}/", folder=tmp_path / "odd", anchors=tmp_path / "odd/ca.pem")
        answer = ask(f"https://localhost:{serving.port}/", folder=None, anchors=tmp_path / "odd/ca.pem")
        assert answer.status is None


# In this process


@contextmanager
def served(world: World, journal: list[str], host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve in a thread."""
    with Server(load_identity("shop/servers/api", world.folder / "output"), host, 0, journal.append) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def test_who_says_nothing_for_too_long_is_sent_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    journal: list[str] = []
    with served(world, journal) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as silent:
        assert silent.recv(1) == b""
        assert eventually(lambda: len(journal) == 1)
    assert "closed the connection" not in journal[0]
    assert "timed out" in journal[0]


def test_who_shakes_hands_and_then_says_nothing_is_sent_away_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    journal: list[str] = []
    own = world.tree / "clients/checkout"
    context = ssl.create_default_context(cafile=own / "ca.pem")
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    with (
        served(world, journal) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as silent,
    ):
        assert silent.recv(1) == b""


def test_a_port_that_is_taken_is_told(world: World) -> None:
    identity = load_identity("shop/servers/api", world.folder / "output")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CertgenError) as caught:
        Server(identity, "127.0.0.1", taken.getsockname()[1], print)
    (problem,) = caught.value.diagnostics
    assert (problem.code, "Address already in use" in problem.message) == ("not-listening", True)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a..b", "ü..x", "a" * 70])
def test_an_address_that_is_none_of_this_machine_is_told(world: World, host: str) -> None:
    with pytest.raises(CertgenError) as caught:
        Server(load_identity("shop/servers/api", world.folder / "output"), host, 0, print)
    assert [problem.code for problem in caught.value.diagnostics] == ["not-listening"]


def test_files_that_are_of_no_use_are_told(world: World, tmp_path: Path) -> None:
    for name in ("cert.pem", "ca.pem"):
        (tmp_path / name).write_bytes((world.tree / "servers/api" / name).read_bytes())
    (tmp_path / "key.pem").write_bytes((world.tree / "servers/far/key.pem").read_bytes())
    with pytest.raises(CertgenError) as caught:
        Server(load_identity(str(tmp_path), world.folder / "output"), "127.0.0.1", 0, print)
    (problem,) = caught.value.diagnostics
    assert (problem.code, "its private key is not that of its certificate" in problem.message) == ("unreadable", True)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_ipv6_is_as_good(world: World) -> None:
    journal: list[str] = []
    own = world.tree / "clients/checkout"
    with served(world, journal, "::1") as server:
        page = ask(f"https://[::1]:{server.port}/", folder=own, anchors=own / "ca.pem")
    assert page.body.startswith("you are  CN=checkout\n")
    assert journal == ["200      ::1: CN=checkout, TLS 1.3"]
