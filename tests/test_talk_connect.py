"""The client: what was negotiated and what came back, or in words who refuses and why; whatever the server does."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from programs import eventually, free_port, nginx, require
from proving import compiled, key_pem
from talking import MIXED, Serving, World, acting, answering, listening, make_world

from certgen.diagnostics import CertgenError
from certgen.talk import connect as module
from certgen.talk.connect import Answer, Session, Target, connect, names_of_server, parse_target
from certgen.talk.identity import load_identity
from certgen.tls.causes import Cause, Side
from certgen.tls.contexts import Version

VERSIONS = ("1.2", "1.3")
NAMES = ["DNS:api.shop.example", "DNS:localhost", "IP:127.0.0.1", "IP:::1"]
"""What `servers/api` bears."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("connect") / "world")


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[Serving]:
    with world.serving("servers/api") as started:
        yield started


# URLs


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://127.0.0.1:8443/", Target("127.0.0.1", 8443, "/", "127.0.0.1")),
        ("localhost:8443", Target("localhost", 8443, "/", "localhost")),
        ("https://shop.example", Target("shop.example", 443, "/", "shop.example")),
        ("https://shop.example/a/b?c=d&e=%20#f", Target("shop.example", 443, "/a/b?c=d&e=%20", "shop.example")),
        ("https://[::1]:8443/x", Target("::1", 8443, "/x", "::1")),
        ("https://SHOP.example/", Target("shop.example", 443, "/", "shop.example")),
    ],
)
def test_a_url_says_where_to_go_and_what_to_ask_for(url: str, target: Target) -> None:
    assert parse_target(url) == target
    assert parse_target(url, "other.example") == Target(target.host, target.port, target.path, "other.example")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8443/",
        "ftp://127.0.0.1/",
        "https://",
        "https:///path",
        f"https://{'a' * 64}.example/",
        "",
        "https://[::1/",
        "https://host:port/",
        "https://host:99999/",
        "https://host:-1/",
        "https://host/a b",
        "https://host/\x1b[31m",
        "https://host/\r\nX: y",
        "https://hö.example/",
        "https://host:" + "9" * 5000 + "/",
        "https://host:0/",
    ],
)
def test_what_is_no_https_url_is_told(url: str) -> None:
    with pytest.raises(CertgenError) as caught:
        parse_target(url)
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.help) == ("bad-url", "for example https://127.0.0.1:8443/")


@pytest.mark.parametrize("name", [".shop.example", "a..b", "a" * 64, "größe..x", "a." * 150 + "x", "a b", "a\x1b[31m"])
def test_a_name_that_nobody_can_bear_is_told_in_words(world: World, api: Serving, name: str) -> None:
    ran = world.connect(api.port, "clients/checkout", "--name", name)
    assert (ran.code, ran.out) in {(1, ""), (2, "")}
    assert ran.err.startswith("error[")
    assert "\x1b" not in ran.err


# Who is let in


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_negotiated_and_what_came_back(world: World, api: Serving, version: str) -> None:
    ran = world.connect(api.port, "clients/checkout", "--tls", version)
    assert (ran.code, ran.err) == (0, "")
    head, page = ran.out.split("\n\n", 1)
    lines = head.splitlines()
    assert lines[0].startswith(f"connected  TLS {version}, ")
    assert lines[0].endswith(", as clients/checkout")
    assert (lines[1], lines[3]) == ("server     CN=api", "issuer     CN=Shop Issuing")
    assert sorted(lines[2].removeprefix("names      ").split(", ")) == NAMES
    assert lines[4].startswith("until      ")
    assert lines[5] == "answer     200 OK"
    assert page.startswith("you are  CN=checkout\nnames    URI:spiffe://shop.example/checkout\n")


@pytest.mark.parametrize("name", ["localhost", "api.shop.example", "127.0.0.1", "::1"])
def test_any_name_of_the_server_may_be_asked_for(world: World, api: Serving, name: str) -> None:
    assert world.connect(api.port, "clients/checkout", "--name", name).code == 0


@pytest.mark.parametrize("who", ["shop/clients/checkout", "output/shop/peers/node", "./output/shop/clients/reporting/"])
def test_one_may_be_an_address_or_a_folder(world: World, api: Serving, who: str) -> None:
    ran = world.connect(api.port, who)
    assert ran.code == 0
    assert f", as {who}\n" in ran.out


# Who is refused


REFUSED = {
    MIXED: ("no root that it trusts is above the certificate", "the server's ca.pem must hold the root above"),
    "servers/far": ("the certificate is not for this purpose", "connect as a client or a peer"),
    "clients/late": ("the certificate has expired", "`certgen apply` renews it; then copy the folder again"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", REFUSED)
def test_a_refusal_of_the_server_is_told_with_cause_and_remedy(
    world: World, api: Serving, version: str, who: str
) -> None:
    ran = world.connect(api.port, who, "--tls", version)
    sentence, remedy = REFUSED[who]
    assert ran.code == 1
    assert f"error[refused]: the server refuses because {sentence} (" in ran.err
    assert f"\n  https://127.0.0.1:{api.port}\n  help: {remedy}" in ran.err
    assert "you are" not in ran.out
    assert ran.out.startswith("connected  TLS 1.3" if version == "1.3" else "")  # the server judges last
    assert eventually(lambda: api.has_said(f"refused  127.0.0.1: the server refuses because {sentence} ("))


REFUSING = {
    "servers/ended": ("the certificate has expired", "renew the server's certificate", "CERTIFICATE_EXPIRED"),
    "clients/reporting": (
        "the certificate is not for this purpose",
        "the server shows a client's certificate",
        "UNSUPPORTED_CERTIFICATE",
    ),
    "elsewhere/shop/servers/api": (
        "no root that it trusts is above the certificate",
        "is it the server that you mean?",
        "UNKNOWN_CA",
    ),
}


@pytest.mark.parametrize("who", REFUSING)
def test_a_refusal_of_the_client_is_told_on_both_sides(world: World, who: str) -> None:
    sentence, remedy, alert = REFUSING[who]
    with world.serving(who) as serving:
        for version in VERSIONS:
            ran = world.connect(serving.port, "clients/checkout", "--tls", version, "--name", "localhost")
            assert (ran.code, ran.out) == (1, "")
            assert f"error[refused]: the client refuses because {sentence} (" in ran.err
            assert f"help: {remedy}" in ran.err
        assert eventually(lambda: serving.process.words().count("the client refuses because") == 2)
        assert serving.process.words().count(f"_ALERT_{alert})") == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_name_is_told_with_the_names_that_are_right(world: World, api: Serving, version: str) -> None:
    ran = world.connect(api.port, "clients/checkout", "--name", "web.shop.example", "--tls", version)
    assert ran.code == 1
    assert "the client refuses because the certificate does not bear the name that was asked for" in ran.err
    (help_,) = [line for line in ran.err.splitlines() if line.startswith("  help: ")]
    borne = help_.removeprefix("  help: it bears ").removesuffix("; `--name` asks for another").split(", ")
    assert sorted(borne) == NAMES
    assert eventually(lambda: api.has_said("the client refuses because it does not accept the certificate"))


def test_a_server_that_speaks_another_version_alone_is_told(world: World) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = world.tree / "servers/api"
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with listening(lambda plain: context.wrap_socket(plain, server_side=True)) as port:
        ran = world.connect(port, "clients/checkout", "--tls", "1.2")
    assert ran.code == 1
    assert "because the two have no version, cipher or signature algorithm in common" in ran.err


# nginx, which refuses in HTTP what it let pass in TLS


NGINX = """\
    version: 1
    cas:
      root: {{}}
      issuing: {{issuer: root}}
    defaults: {{issuer: issuing}}
    servers:
      api:
        sans: [localhost, 127.0.0.1]
        snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{port}", allow: [clients/checkout]}}}}
    clients:
      checkout:
      reporting:
"""


@contextmanager
def nginx_of(folder: Path, directive: str = "") -> Iterator[tuple[World, int]]:
    """Run the nginx of a spec, with one directive more."""
    require("nginx")
    port = free_port()
    place = compiled(folder / "shop", NGINX.format(port=port))
    config = place.tree / "servers/api/nginx.conf"
    text = config.read_text()
    changed, count = re.subn(r"ssl_verify_client +on;", rf"\g<0> {directive}", text)
    assert count == 1
    config.write_text(changed)
    with nginx(config, port, folder / "work"):
        yield World(place.folder), port


@pytest.mark.parametrize("version", VERSIONS)
def test_the_refusals_of_nginx_are_told_in_the_same_words(tmp_path: Path, version: str) -> None:
    with nginx_of(tmp_path) as (world, port):
        foreign = compiled(tmp_path / "foreign", NGINX.format(port=port)).tree / "clients/checkout"
        own = world.tree / "clients/checkout"
        (foreign / "ca.pem").write_bytes((own / "ca.pem").read_bytes())
        welcome = world.connect(port, "clients/checkout", "--tls", version)
        assert (welcome.code, welcome.err) == (0, "")
        turned_away = world.connect(port, "clients/reporting", "--tls", version)
        assert turned_away.code == 1
        assert "answer     403 Forbidden" in turned_away.out
        words = "the server refuses because the certificate is sound, and its bearer is not let in (HTTP 403)"
        assert words in turned_away.err
        assert "help: add this client to the server's `allow`" in turned_away.err
        stranger = world.connect(port, str(foreign), "--tls", version)
        assert stranger.code == 1
        assert "answer     400 Bad Request" in stranger.out
        assert "the server refuses because it does not accept the certificate, and does not say why" in stranger.err


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_that_a_server_does_not_offer_to_verify_is_as_good_as_none(tmp_path: Path, version: str) -> None:
    with nginx_of(tmp_path, "ssl_conf_command ClientSignatureAlgorithms rsa_pss_rsae_sha256:RSA+SHA256;") as (
        world,
        port,
    ):
        ran = world.connect(port, "clients/checkout", "--tls", version)
    assert ran.code == 1
    assert "answer     400 Bad Request" in ran.out
    assert "the server refuses because no certificate was sent (HTTP 400)" in ran.err
    assert "is as good as none" in ran.err


# Servers that do not answer as they should


def api_folder(world: World) -> Path:
    return world.tree / "servers/api"


def test_nobody_there_is_told_and_exit_2(world: World) -> None:
    port = free_port()
    ran = world.connect(port, "clients/checkout")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[not-reached]: 127.0.0.1:{port} cannot be reached: Connection refused\n")
    assert "help: does the server run?" in ran.err


def test_a_host_that_is_not_there_is_told_and_exit_2(world: World) -> None:
    ran = world.run("connect", "https://no-such-host.invalid/", "--as", "clients/checkout")
    assert ran.code == 2
    assert ran.err.startswith("error[not-reached]: no-such-host.invalid:443 cannot be reached: ")


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\nHello\r\n", b"SSH-2.0-OpenSSH_9\r\n"])
def test_a_port_without_tls_is_told(world: World, content: bytes) -> None:
    def part(plain: socket.socket) -> None:
        plain.recv(65536)
        plain.sendall(content)

    with listening(part) as port:
        ran = world.connect(port, "clients/checkout")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error[refused]: ")


def test_a_server_that_speaks_plain_http_is_not_said_to_be_refused_for_another_reason(world: World) -> None:
    def part(plain: socket.socket) -> None:
        plain.recv(65536)
        plain.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listening(part) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.code == 1
    assert "because of another reason" not in ran.err


def test_a_server_that_just_closes_is_told(world: World) -> None:
    with acting(api_folder(world), lambda connection: connection.recv(65536)) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.code == 1
    assert "the server refuses because of something that it does not say: it closed the connection" in ran.err
    assert "help: look in the server's log" in ran.err
    assert ran.out.startswith("connected  TLS 1.3")


def test_what_a_terminal_would_obey_is_escaped(world: World) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\u202e\x9b"
    page = f"HTTP/1.1 200 {evil.encode().decode('latin-1')}\r\nContent-Type: {evil}\r\n\r\n{evil}\ttab\n".encode()
    with acting(api_folder(world), answering(page)) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.code == 0
    assert "\\x1b[31mred\\x1b]0;title\\x07\\u202e\\x9b" in ran.out
    text = ran.out + ran.err
    assert [character for character in text if not character.isprintable() and character != "\n"] == []


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "403 \x1b[31mForbidden"])
def test_an_answer_that_is_no_welcome_is_exit_1(world: World, status: str) -> None:
    with acting(api_folder(world), answering(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nsorry".encode())) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.code == 1
    assert "error[refused]: " in ran.err
    assert ran.out.endswith("\nsorry\n")
    assert "\x1b" not in ran.out + ran.err


def test_a_400_that_is_not_about_certificates_is_no_refusal_of_one(world: World) -> None:
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nwhat"
    with acting(api_folder(world), answering(page)) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.code == 1
    assert "error[refused]: the server answers 400 Bad Request\n" in ran.err


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 70000,
    ],
    ids=["nonsense", "no status", "odd version", "short", "bad chunk", "many headers", "long header", "long status"],
)
def test_broken_http_ends_with_an_exit_code(world: World, content: bytes) -> None:
    with acting(api_folder(world), answering(content)) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.out.startswith("connected  TLS 1.3")
    assert ran.code in {0, 1}


@pytest.mark.parametrize("head", [b"Content-Length: 9000000000", b"X: y", b"Transfer-Encoding: chunked"], ids=str)
def test_a_page_without_end_is_cut(world: World, head: bytes) -> None:
    def endless(connection: ssl.SSLSocket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        piece = b"a" * 65535 + b"\n"
        if head.startswith(b"Transfer"):
            piece = b"10000\r\n" + piece + b"\r\n"
        for _ in range(10000):
            connection.sendall(piece)

    with acting(api_folder(world), endless) as port:
        began = time.monotonic()
        ran = world.connect(port, "clients/checkout")
    assert time.monotonic() - began < 20
    assert ran.code == 0
    assert 1000000 < len(ran.out) < 1100000


def made_by_hand(folder: Path) -> Path:
    """Make a server whose certificate OpenSSL accepts and certgen cannot read, and a client that trusts its root."""
    root, key = make_ca("Odd Root", "ecdsa-p256"), new_key("ecdsa-p256")
    odd_name = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x0d\xa3\x00\x82\x09localhost")
    odd = certify(Wish("odd", [*end_entity_extensions((SERVER,), ()), Extension(odd_name)]), key, root)
    good = certify(Wish("client", end_entity_extensions((CLIENT,), ())), key, root)
    for name, certificate in (("odd", odd), ("client", good)):
        (folder / name).mkdir()
        write_pem(folder / name / "cert.pem", certificate)
        write_pem(folder / name / "ca.pem", root.certificate)
        (folder / name / "key.pem").write_bytes(key_pem(key))
    return folder / "odd"


@pytest.mark.parametrize("name", ["localhost", "shop.example"])
def test_a_certificate_that_certgen_cannot_read_is_no_reason_to_break_down(
    world: World, tmp_path: Path, name: str
) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    with acting(made_by_hand(tmp_path), answering(page)) as port:
        ran = world.connect(port, str(tmp_path / "client"), "--name", name)
    assert ran.code in {0, 1}


# In this process


def ask(world: World, port: int) -> Answer:
    identity = load_identity("clients/checkout", world.folder / "output")
    return connect(identity, parse_target(f"https://127.0.0.1:{port}/"), Version.TLS_1_3)


def test_a_server_that_never_answers_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    with listening(lambda _: time.sleep(1)) as port:
        answer = ask(world, port)
    assert answer.session is None
    assert answer.refusal is not None
    assert "timed out" in answer.refusal.words
    assert "closed the connection" not in str(answer.refusal)


def test_a_server_that_shakes_hands_and_hangs_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    with acting(api_folder(world), lambda _: time.sleep(1)) as port:
        answer = ask(world, port)
    assert answer.session is not None
    assert answer.refusal is not None
    assert "timed out" in answer.refusal.words


DRIPS = {
    "of its head": (b"", b"X"),
    "of its headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "of another answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "of its page": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"y"),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_says_a_little_now_and_then_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    beginning, drop = DRIPS[what]

    def drip(connection: ssl.SSLSocket) -> None:
        connection.recv(65536)
        connection.sendall(beginning)
        for _ in range(60):
            connection.sendall(drop)
            time.sleep(0.05)

    began = time.monotonic()
    with acting(api_folder(world), drip) as port:
        answer = ask(world, port)
        assert time.monotonic() - began < 2
    assert (answer.is_welcome, answer.refusal is not None) == (False, True)


def test_an_answer_that_is_cut_off_is_no_welcome(world: World) -> None:
    with acting(api_folder(world), answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")) as port:
        ran = world.connect(port, "clients/checkout")
    assert ran.code == 1
    assert ran.out.endswith("\nshort\n")
    assert "4 bytes of its answer are missing" in ran.err


def test_the_names_of_a_server_can_be_had_by_one_who_is_not_let_in(api: Serving) -> None:
    target = parse_target(api.url, "elsewhere.example")
    assert sorted(names_of_server(target)) == NAMES


def test_the_names_of_a_server_that_is_gone_are_none(world: World) -> None:
    assert names_of_server(parse_target(f"https://127.0.0.1:{free_port()}/")) == ()
    with listening(lambda _: None) as port:
        assert names_of_server(parse_target(f"https://127.0.0.1:{port}/")) == ()
    with listening(lambda _: None) as port:
        assert ask(world, port).refusal is not None


def test_an_answer_is_a_welcome_only_where_nothing_is_amiss(world: World, api: Serving) -> None:
    answer = ask(world, api.port)
    assert (answer.is_welcome, answer.status, answer.refusal) == (True, 200, None)
    target = answer.target
    assert not Answer(target, answer.session, None, 404, "Not Found").is_welcome
    assert not Answer(target, answer.session).is_welcome
    assert Answer(target, answer.session, None, 204, "No Content").is_welcome


def test_files_that_are_of_no_use_are_told(world: World, tmp_path: Path) -> None:
    for name in ("cert.pem", "ca.pem"):
        (tmp_path / name).write_bytes((world.tree / "clients/checkout" / name).read_bytes())
    (tmp_path / "key.pem").write_bytes((world.tree / "clients/reporting/key.pem").read_bytes())
    with pytest.raises(CertgenError) as caught:
        connect(load_identity(str(tmp_path), tmp_path), parse_target("127.0.0.1:1"))
    assert [problem.code for problem in caught.value.diagnostics] == ["unreadable"]


def test_no_answer_shows_its_body_when_it_is_printed(world: World, api: Serving) -> None:
    assert "you are" not in repr(ask(world, api.port))


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_the_reason_of_a_refusal_does_not_depend_on_who_is_faster(
    world: World, api: Serving, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Under TLS 1.3 a server refuses when the client is done, and may have gone before the request is sent."""
    real = module._ask

    def slow(tls: ssl.SSLSocket, target: Target, session: Session) -> Answer:
        time.sleep(seconds)
        return real(tls, target, session)

    monkeypatch.setattr(module, "_ask", slow)
    identity = load_identity(str(world.folder / MIXED), world.folder / "output")
    target = parse_target(api.url)
    refusals = [connect(identity, target, Version.TLS_1_3).refusal for _ in range(10)]
    assert {refusal and (refusal.side, refusal.cause) for refusal in refusals} == {
        (Side.SERVER, Cause.UNKNOWN_AUTHORITY)
    }
