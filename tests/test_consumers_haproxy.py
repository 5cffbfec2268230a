"""The real HAProxy, run from nothing but the entry's folder: whom it lets in, whom it believes, and what it tells."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import consumer_case
import pytest
import yaml
from consumer_case import Case, Hostile, proxy_options
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Answer, Running, Version, ask, ask_plain, eventually, free_port, require, running
from remarks import codes
from scene import Scene, load

from certgen.consumers.haproxy import quote
from certgen.consumers.naming import openssl_name
from certgen.consumers.templates import UnquotableError
from certgen.model import Address
from certgen.rfc5280.vocabulary import DistinguishedName

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
TLS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
FOLDER = 'it\'s "the" \\n shop; #1 ${HOME} $HOME %[src] {x} `id` ünï'
"""Above every path that is rendered: each of its signs means something to HAProxy, or looks as if."""
SPEC = """
    version: 1
    name: shop
    cas:
      root: {subject: {domain_component: [shop, example], organization: "Shop, Inc."}}
      issuing: {issuer: root, common_name: "Issuing <CA> 'one' #1"}
    defaults: {issuer: issuing}
    servers:
      api:
        sans: [localhost, api.shop.example]
        key: {rotation: on-renewal}
        snippets: {haproxy: {listen: "127.0.0.1:$api", upstream: "127.0.0.1:$program", allow: [$allow]}}
      open: {sans: ["*.open.shop.example", 127.0.0.1], key: ed25519,
             snippets: {haproxy: {listen: "127.0.0.1:$open"}}}
      elsewhere: {sans: elsewhere.shop.example}
      right: {sans: [localhost, "*.api.shop.example", 127.0.0.1]}
    clients:
      reporting:
      by-name: {snippets: {haproxy: {listen: "127.0.0.1:$named", upstream: "127.0.0.1:$server",
                                     server_name: eu.api.shop.example}}}
    peers:
      mesh:
        sans: [localhost, mesh.shop.example]
        snippets:
          haproxy: {listen: "127.0.0.1:$mesh", client: {listen: "127.0.0.1:$outward", upstream: "localhost:$api"}}
"""
STRANGERS = """
    version: 1
    name: strange
    cas:
      root: {subject: {domain_component: [shop, example], organization: "Shop, Inc."}}
      issuing: {issuer: root, common_name: "Issuing <CA> 'one' #1"}
    defaults: {issuer: issuing}
    servers: {right: {sans: [localhost, "*.api.shop.example", 127.0.0.1]}}
    clients: {plain: }
"""
"""Their names are the shop's, to the letter; their keys are not."""
PORTS = ("api", "program", "open", "server", "named", "mesh", "outward")
SUBJECTS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "ed25519": {"key": "ed25519"},
    "p521": {"key": "ecdsa-p521"},
    "escaped": {"common_name": "a, b + \"c\" \\ <d>; e=f 'g' / h"},
    "edges": {"common_name": "# a #", "subject": {"organization": "#", "organizational_unit": "a#"}},
    "accented": {"common_name": "ünï 中文 🦊"},
    "expanded": {"common_name": "${HOME} $HOME %[src] %ci {host} `id`"},
    "longest": {
        "subject": {
            "domain_component": ["shop", "exa_mple"],
            "country": "NL",
            "state": "Noord-Holland",
            "locality": "Amsterdam",
            "street_address": [f"{number} {'a' * 60}" for number in range(40)],
            "postal_code": "1012 LG",
            "organization": ["Shop", "Shop & Co"],
            "organizational_unit": ["b", "a"],
            "serial_number": "42",
        },
    },
}
"""A client for each; the API lets all of them in."""


@dataclass(frozen=True)
class Shop:
    """Two trees on disk, the shop's and that of strangers with the same names, and a port for whoever listens."""

    scene: Scene
    ports: Mapping[str, int]

    def folder(self, address: str) -> Path:
        """Give the folder of an entry, which is where it is deployed too."""
        return self.scene.tree / address

    def status(self, port: str, who: str | None, version: Version | None = None, name: str | None = None) -> int | None:
        """Ask a server as somebody: a client of the shop, or an entry of one of the trees."""
        identity = None if who is None else self.scene.output / (who if "/" in who else f"shop/clients/{who}")
        url = f"https://localhost:{self.ports[port]}/"
        anchors = self.folder("clients/plain") / "ca.pem"
        return ask(url, folder=identity, anchors=anchors, version=version, server_name=name).status

    def body(self) -> tuple[int | None, str]:
        """Ask the client's proxy."""
        answer = ask_plain(f"http://127.0.0.1:{self.ports['named']}/")
        return answer.status, answer.body

    def write(self) -> None:
        """Write the specs."""
        allow = ", ".join([*(f"clients/{name}" for name in SUBJECTS), "peers/mesh"])
        spec: dict[str, Any] = yaml.safe_load(Template(SPEC).substitute(self.ports, allow=allow))
        spec["clients"] |= SUBJECTS
        for section in ("servers", "clients", "peers"):
            for name, entry in spec[section].items():
                spec[section][name] = {**(entry or {}), "deploy_dir": f"{self.scene.tree}/{section}/{name}"}
        self.scene.write(json.dumps(spec, ensure_ascii=False))
        self.scene.write(STRANGERS, "strange.yaml")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    scene = Scene(tmp_path_factory.mktemp("haproxy") / FOLDER, datetime.now(UTC).replace(microsecond=0))
    made = Shop(scene, {name: free_port() for name in PORTS})
    made.write()
    scene.run()
    return made


@contextmanager
def haproxy(configuration: Path, port: int, work: Path) -> Iterator[Running]:
    """Run HAProxy for the length of a `with`; its process is the master, which a signal reloads.

    configuration: a haproxy.cfg; what HAProxy warns of is an error.
    port: on which it is to listen.
    work: the folder of haproxy.log, where it runs.
    """
    command: list[str | Path] = [require("haproxy"), "-W", "-db", "-dW", "-f", configuration]
    with running(command, port, work / "haproxy.log", {"HOME": "/home/nobody"}, folder=work) as started:
        yield started


def edited(folder: Path, work: Path, *replacements: tuple[str, str]) -> Path:
    """Copy a rendered haproxy.cfg with other words in it: what it would be without them."""
    text = (folder / "haproxy.cfg").read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    (work / "haproxy.cfg").write_text(text, encoding="utf-8")
    return work / "haproxy.cfg"


class _Echo(BaseHTTPRequestHandler):
    """Tells what it was asked, and over which connection. HTTP/1.0: every answer ends its connection."""

    def do_GET(self) -> None:
        told: dict[str, object] = {"headers": [[name.lower(), value] for name, value in self.headers.items()]}
        if isinstance(self.connection, ssl.SSLSocket):
            certificate: Mapping[str, Any] = self.connection.getpeercert() or {}
            told |= {"version": self.connection.version(), "serial": certificate.get("serialNumber")}
            told |= {"resumed": self.connection.session_reused}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the one that it replaces
        """Keep quiet."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that leaves: HAProxy does where it refuses."""


@contextmanager
def echo(port: int, identity: Path | None = None, version: Version | None = None) -> Iterator[None]:
    """Run the echo for the length of a `with`; with an identity it speaks mTLS, with one version of TLS."""
    server = _Quiet(("127.0.0.1", port), _Echo)
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
        context.load_verify_locations(identity / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Visit:
    """What a caller saw, its session with it, that it may come back by."""

    status: int
    body: str
    serial: int
    resumed: bool | None
    session: ssl.SSLSession | None = field(repr=False)


def visit(
    context: ssl.SSLContext,
    port: int,
    headers: Mapping[str, str] | None = None,
    session: ssl.SSLSession | None = None,
) -> Visit:
    """Get a page over HTTPS, with headers of one's own, and with the session of another visit."""
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as secured:
        serial = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"").serial_number
        resumed, connection.sock = secured.session_reused, secured
        connection.request("GET", "/", headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read().decode()
        return Visit(answer.status, body, serial, resumed, secured.session)


def caller(identity: Path, version: Version | None = None, ciphers: str | None = None) -> ssl.SSLContext:
    """Make the context of a caller that is somebody, and that takes any server of the shop."""
    context = ssl.create_default_context(cafile=str(identity / "ca.pem"))
    context.check_hostname = False
    context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
    context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


@pytest.fixture(scope="module")
def api(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    work, configuration = tmp_path_factory.mktemp("api"), shop.folder("servers/api") / "haproxy.cfg"
    with echo(shop.ports["program"]), haproxy(configuration, shop.ports["api"], work) as started:
        yield started


@pytest.fixture(scope="module")
def opened(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    work = tmp_path_factory.mktemp("open")
    with haproxy(shop.folder("servers/open") / "haproxy.cfg", shop.ports["open"], work) as started:
        yield started


def subject_of(shop: Shop, address: str) -> DistinguishedName:
    (loaded,) = [item for item in shop.scene.load() if item.bundle.name == "shop"]
    return loaded.bundle[Address.parse(address)].template.subject


class TestServer:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("allowed", [*SUBJECTS, "shop/peers/mesh"])
    @pytest.mark.usefixtures("api")
    def test_who_is_named_is_let_in(self, shop: Shop, allowed: str, version: Version) -> None:
        assert shop.status("api", allowed, version) == 200

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "reason"),
        [
            (None, "peer did not return a certificate"),
            ("strange/clients/plain", "ca=20 "),
            ("shop/servers/elsewhere", "client=26\n"),
            ("reporting", "status=403 PR subject=CN=reporting\n"),
        ],
    )
    def test_others_are_refused_and_the_log_says_why(
        self, shop: Shop, api: Running, who: str | None, reason: str, version: Version
    ) -> None:
        before = api.words().count(reason)
        assert shop.status("api", who, version) == (403 if who == "reporting" else None)
        assert eventually(lambda: api.words().count(reason) > before)
        assert shop.status("api", "plain", version) == 200
        assert "CN=plain" not in api.words()

    @pytest.mark.usefixtures("api")
    def test_the_program_is_told_who_connected_and_no_forged_word(self, shop: Shop) -> None:
        forged = {"X-Client-Subject": "CN=admin", "x-client-issuer": "CN=admin", "X-Client-Certificate": "admin"}
        forged |= {"X_Client_Subject": "CN=admin", "X-Client_Issuer": "CN=admin", "X-Shop": "kept"}
        forged |= {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "admin"}
        headers = json.loads(visit(caller(shop.folder("clients/escaped")), shop.ports["api"], forged).body)["headers"]
        told = {name: value for name, value in headers if name.startswith("x") and name != "x-client-certificate"}
        assert told == {
            "x-client-subject": openssl_name(subject_of(shop, "clients/escaped")),
            "x-client-issuer": "CN=Issuing \\<CA\\> 'one' #1",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https",
            "x-shop": "kept",
        }
        (shown,) = [value for name, value in headers if name == "x-client-certificate"]
        pem = f"-----BEGIN CERTIFICATE-----\n{shown}\n-----END CERTIFICATE-----\n"
        assert x509.load_pem_x509_certificate(pem.encode()) == load(shop.folder("clients/escaped") / "cert.pem")

    @pytest.mark.usefixtures("api")
    def test_without_the_line_a_header_with_underscores_reaches_the_program(self, shop: Shop, tmp_path: Path) -> None:
        port = free_port()
        replaced = ("http-request del-header _ -m sub", ""), (f":{shop.ports['api']}", f":{port}")
        with haproxy(edited(shop.folder("servers/api"), tmp_path, *replaced), port, tmp_path):
            body = visit(caller(shop.folder("clients/plain")), port, {"X_Client_Subject": "CN=admin"}).body
        assert ["x_client_subject", "CN=admin"] in json.loads(body)["headers"]

    @pytest.mark.usefixtures("api")
    def test_under_tls_1_2_only_ciphers_with_forward_secrecy_and_integrity_serve(self, shop: Shop) -> None:
        identity, port = shop.folder("clients/plain"), shop.ports["api"]
        with pytest.raises(ssl.SSLError):
            visit(caller(identity, "1.2", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"), port)
        assert visit(caller(identity, "1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"), port).status == 200

    @pytest.mark.usefixtures("api")
    def test_an_old_version_of_tls_is_refused(self, shop: Shop) -> None:
        context = caller(shop.folder("clients/plain"), ciphers="ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError, match=r"(?i)version|reset|EOF|handshake"):
            visit(context, shop.ports["api"])
        assert shop.status("api", "plain", "1.2") == 200

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("api")
    def test_no_session_is_resumed(self, shop: Shop, version: Version) -> None:
        context, port = caller(shop.folder("clients/plain"), version), shop.ports["api"]
        first = visit(context, port)
        assert visit(context, port, session=first.session).resumed is False

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("line", "instead"), [(" no-tls-tickets", ""), ("tune.ssl.cachesize 0", "tune.ssl.cachesize 1000")]
    )
    @pytest.mark.usefixtures("api")
    def test_without_either_word_one_is(
        self, shop: Shop, line: str, instead: str, version: Version, tmp_path: Path
    ) -> None:
        port = free_port()
        replaced = (line, instead), (f":{shop.ports['api']}", f":{port}")
        with haproxy(edited(shop.folder("servers/api"), tmp_path, *replaced), port, tmp_path):
            context = caller(shop.folder("clients/plain"), version)
            first = visit(context, port)
            assert visit(context, port, session=first.session).resumed is True

    @pytest.mark.usefixtures("opened")
    def test_every_name_is_served_and_so_is_an_address(self, shop: Shop) -> None:
        assert shop.status("open", "plain", name="eu.open.shop.example") == 200
        answer = ask(
            f"https://127.0.0.1:{shop.ports['open']}/",
            folder=shop.folder("clients/plain"),
            anchors=shop.folder("clients/plain") / "ca.pem",
        )
        assert answer.status == 200
        assert shop.status("open", "plain", name="other.shop.example") is None

    @pytest.mark.parametrize("who", ["reporting", "shop/peers/mesh"])
    @pytest.mark.usefixtures("opened")
    def test_without_allow_all_are_let_in_whom_the_trust_lets_in(self, shop: Shop, who: str) -> None:
        assert shop.status("open", who, name="eu.open.shop.example") == 200
        assert shop.status("open", None, name="eu.open.shop.example") is None
        assert shop.status("open", "strange/clients/plain", name="eu.open.shop.example") is None

    @pytest.mark.parametrize("who", SUBJECTS)
    @pytest.mark.usefixtures("opened")
    def test_a_name_is_written_as_haproxy_shows_it(self, shop: Shop, who: str) -> None:
        told = visit(caller(shop.folder(f"clients/{who}")), shop.ports["open"])
        assert (told.status, told.body) == (200, f"TLSv1.3 {openssl_name(subject_of(shop, f'clients/{who}'))}")

    def test_its_own_line_of_a_name_tells_no_two_apart(self, shop: Shop, tmp_path: Path) -> None:
        """Without RFC 2253 a slash parts the attributes, and a slash within one does too."""
        port = free_port()
        replaced = ("ssl_c_s_dn(,0,rfc2253)", "ssl_c_s_dn"), (f":{shop.ports['open']}", f":{port}")
        with haproxy(edited(shop.folder("servers/open"), tmp_path, *replaced), port, tmp_path):
            told = visit(caller(shop.folder("clients/escaped")), port).body
        assert told.endswith("/CN=a, b + \"c\" \\ <d>; e=f 'g' / h")


def serial_in(folder: Path) -> int:
    return load(folder / "cert.pem").serial_number


def is_served(context: ssl.SSLContext, port: int, serial: int) -> bool:
    """Tell whether a certificate is served; whoever comes in the moment of a reload can be turned away."""
    with suppress(OSError):
        return visit(context, port).serial == serial
    return False


def reload(started: Running) -> None:
    """Tell the master to read its files anew; one that is still about to begin does not hear of it."""
    notice = "Reloading HAProxy"
    before = started.words().count(notice)
    for _ in range(5):
        os.kill(started.pid, signal.SIGUSR2)
        if eventually(lambda: started.words().count(notice) > before, seconds=2):
            return
    raise AssertionError(started.words())


class TestReload:
    @pytest.mark.usefixtures("api")
    def test_a_signal_takes_the_new_certificate_and_nothing_else_does(self, shop: Shop, api: Running) -> None:
        folder, context = shop.folder("servers/api"), caller(shop.folder("clients/plain"))
        before = serial_in(folder)
        applied, _ = shop.scene.run(renew=["shop/servers/api"])
        written = {f"servers/api/{name}" for name in ("cert.pem", "key.pem", "combined.pem")}
        assert applied.touched == {*written, "manifest.json"}
        assert visit(context, shop.ports["api"]).serial == before != serial_in(folder)
        reload(api)
        assert eventually(lambda: is_served(context, shop.ports["api"], serial_in(folder)))

    def test_a_pair_that_does_not_match_is_refused_and_the_old_one_stays(self, shop: Shop, tmp_path: Path) -> None:
        folder, context = shop.folder("peers/mesh"), caller(shop.folder("clients/plain"))
        combined, port = folder / "combined.pem", shop.ports["mesh"]
        content, other = combined.read_bytes(), (shop.folder("servers/open") / "key.pem").read_bytes()
        with haproxy(folder / "haproxy.cfg", port, tmp_path) as started:
            try:
                combined.write_bytes((folder / "cert.pem").read_bytes() + other)
                reload(started)
                assert eventually(lambda: "inconsistencies between private key and certificate" in started.words()), (
                    started.words()
                )
                assert is_served(context, port, serial_in(folder))
            finally:
                combined.write_bytes(content)
            shop.scene.run(renew=["shop/peers/mesh"])
            reload(started)
            assert eventually(lambda: is_served(context, port, serial_in(folder)))

    def test_a_key_beside_the_certificate_goes_unnoticed(self, shop: Shop, tmp_path: Path) -> None:
        file = edited(shop.folder("servers/open"), tmp_path, ("combined.pem", "cert.pem"))
        assert "No Private Key found" in checked(file)
        assert checked(shop.folder("servers/open") / "haproxy.cfg") == VALID


VALID = "0: Configuration file is valid\n"


def checked(file: Path) -> str:
    """Have HAProxy judge a configuration, what it warns of too, and give what it says."""
    command: list[str | Path] = [require("haproxy"), "-c", "-dW", "-f", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return f"{done.returncode}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def named(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    work = tmp_path_factory.mktemp("named")
    with haproxy(shop.folder("clients/by-name") / "haproxy.cfg", shop.ports["named"], work) as started:
        yield started


class TestClient:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "reason"),
        [
            ("shop/servers/elsewhere", "different from the expected one"),
            ("shop/clients/plain", "certificate verify failed"),
            ("strange/servers/right", "certificate verify failed"),
        ],
    )
    def test_the_right_server_is_believed_and_no_other(
        self, shop: Shop, named: Running, who: str, reason: str, version: Version
    ) -> None:
        before = named.words().count(reason)
        with echo(shop.ports["server"], shop.scene.output / who, version):
            assert shop.body()[0] == 503
        assert eventually(lambda: named.words().count(reason) > before)
        with echo(shop.ports["server"], shop.folder("servers/right"), version):
            status, body = shop.body()
        told = json.loads(body)
        assert (status, told["version"]) == (200, f"TLSv{version}")
        assert ["host", "eu.api.shop.example"] in told["headers"]

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("sni str(eu.api.shop.example)", 503),
            ("", 200),
            ("sni str(elsewhere.shop.example) verifyhost eu.api.shop.example", 200),
            ("verifyhost eu.api.shop.example", 503),
        ],
    )
    def test_the_name_is_checked_by_sni_alone(self, shop: Shop, words: str, expected: int, tmp_path: Path) -> None:
        """With no word any server of the CA is believed, and a `verifyhost` beside `sni` counts for nothing."""
        folder, port = shop.folder("clients/by-name"), free_port()
        replaced = (
            ("sni str(eu.api.shop.example)", words),
            (f"bind 127.0.0.1:{shop.ports['named']}", f"bind 127.0.0.1:{port}"),
        )
        file = edited(folder, tmp_path, *replaced)
        with haproxy(file, port, tmp_path), echo(shop.ports["server"], shop.folder("servers/elsewhere")):
            assert ask_plain(f"http://127.0.0.1:{port}/").status == expected

    @pytest.mark.usefixtures("named")
    def test_no_session_is_resumed(self, shop: Shop) -> None:
        with echo(shop.ports["server"], shop.folder("servers/right"), "1.2"):
            assert [json.loads(shop.body()[1])["resumed"] for _ in range(3)] == [False, False, False]

    def test_without_the_words_one_is(self, shop: Shop, tmp_path: Path) -> None:
        # Each thread has sessions of its own.
        folder, port = shop.folder("clients/by-name"), free_port()
        replaced = (
            (" no-ssl-reuse", ""),
            ("\nglobal\n", "\nglobal\n    nbthread 1\n"),
            (f"bind 127.0.0.1:{shop.ports['named']}", f"bind 127.0.0.1:{port}"),
        )
        with (
            haproxy(edited(folder, tmp_path, *replaced), port, tmp_path),
            echo(shop.ports["server"], shop.folder("servers/right"), "1.2"),
        ):
            bodies = [ask_plain(f"http://127.0.0.1:{port}/").body for _ in range(4)]
        assert any(json.loads(body)["resumed"] for body in bodies)

    def test_a_renewed_certificate_is_shown_after_the_signal(self, shop: Shop, named: Running) -> None:
        with echo(shop.ports["server"], shop.folder("servers/right")):
            before = self.shown(shop)
            shop.scene.run(renew=["shop/clients/by-name"])
            assert self.shown(shop) == before != serial_in(shop.folder("clients/by-name"))
            reload(named)
            assert eventually(lambda: self.shown(shop) == serial_in(shop.folder("clients/by-name")))

    def shown(self, shop: Shop) -> int:
        """Give the serial number of the certificate that the server has seen; 0 while the proxy starts anew."""
        status, body = shop.body()
        return int(json.loads(body)["serial"], 16) if status == 200 else 0


@pytest.mark.usefixtures("api")
def test_a_peer_is_a_server_and_a_client(shop: Shop, tmp_path: Path) -> None:
    with haproxy(shop.folder("peers/mesh") / "haproxy.cfg", shop.ports["mesh"], tmp_path):
        assert shop.status("mesh", "plain") == 200
        assert shop.status("mesh", None) is None
        answer = ask_plain(f"http://127.0.0.1:{shop.ports['outward']}/")
    assert answer.status == 200
    assert ["x-client-subject", "CN=mesh"] in json.loads(answer.body)["headers"]


def read_back(written: Sequence[str]) -> list[str]:
    """Have HAProxy read words: it answers with them."""
    port = free_port()
    rules = [
        f"http-request return string {word} content-type text/plain if {{ path /{n} }}"
        for n, word in enumerate(written)
    ]
    sides = "    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
    lines = "".join(f"    {rule}\n" for rule in rules)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "words.cfg"
        text = f"defaults\n    mode http\n{sides}frontend words\n    bind 127.0.0.1:{port}\n{lines}"
        file.write_text(text, encoding="utf-8")
        with haproxy(file, port, Path(folder)):
            return [ask_plain(f"http://127.0.0.1:{port}/{number}").body for number in range(len(written))]


class TestQuote:
    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=10, max_size=20))
    def test_every_text_is_read_back_as_by_a_shell(self, texts: list[str]) -> None:
        """So `shapes` may read what is rendered with the shell's rules, those of POSIX."""
        written = [quote(text) for text in texts]
        assert read_back(written) == texts
        assert [shlex.split(word, comments=True) for word in written] == [[text] for text in texts]

    def test_what_haproxy_would_take_for_something_else(self) -> None:
        texts = [
            " ",
            "#",
            "a # b",
            '"',
            "'",
            "''",
            "\\",
            "a\\",
            "\\'",
            "$HOME",
            "${HOME}",
            '"${HOME[*]}"',
            "%[src]",
            "a b ",
            "-i",
            "--",
            "`",
        ]
        assert read_back([quote(text) for text in texts]) == texts
        assert read_back(['"$LC_ALL"']) == ["C"]

    @pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
    def test_the_end_of_a_line_cannot_be_written(self, text: str) -> None:
        with pytest.raises(UnquotableError):
            quote(text)
        assert quote("a\tb") == "'a\tb'"


CALLERS = """
    version: 1
    ca:
    servers: {{api: {{sans: localhost, snippets: {{haproxy: {{allow: [clients/one]}}}}}}}}
    clients:
      one: {one}
      two: {two}
"""
ENTRY = """
    version: 1
    ca:
    servers: {{a: {{sans: [a.example, 127.0.0.1]}}}}
    {section}: {{one: {{sans: o.example, snippets: {snippets}}}}}
"""


class TestJudge:
    @pytest.mark.parametrize(
        ("one", "two", "expected"),
        [
            ("{}", "{}", []),
            ("{common_name: a}", "{common_name: a}", ["same-identity at clients/one"]),
            ("{common_name: a}", "{common_name: a, subject: {organization: b}}", []),
            ("{common_name: a/CN=b}", "{subject: {organization: a}, common_name: b}", []),
        ],
    )
    def test_whom_it_can_tell_from_others_can_be_named(
        self, tmp_path: Path, one: str, two: str, expected: list[str]
    ) -> None:
        assert codes(tmp_path, CALLERS.format(one=one, two=two)) == expected

    @pytest.mark.parametrize(
        ("section", "snippets", "expected"),
        [
            ("clients", "{haproxy: }", ["missing-option"]),
            ("clients", "{haproxy: {upstream: 'a.example:1'}}", []),
            ("clients", "{haproxy: {upstream: '127.0.0.1:1'}}", ["no-server-name"]),
            ("clients", "{haproxy: {upstream: '127.0.0.1:1', server_name: a.example}}", []),
            ("peers", "{haproxy: {client: {}}}", ["missing-option"]),
            ("peers", "{haproxy: {client: {upstream: '127.0.0.1:1'}}}", ["no-server-name"]),
            ("peers", "{haproxy: {client: {upstream: 'a.example:1'}}}", []),
            ("peers", "{haproxy: }", []),
        ],
    )
    def test_a_client_needs_its_server_and_a_name(
        self, tmp_path: Path, section: str, snippets: str, expected: list[str]
    ) -> None:
        found = codes(tmp_path, ENTRY.format(section=section, snippets=snippets))
        assert [remark.split(" ")[0] for remark in found] == expected


FORMS = """
    version: 1
    ca:
    servers:
      plain: {sans: localhost, snippets: haproxy}
      six: {sans: localhost, snippets: {haproxy: {listen: "[::]:8443", upstream: "[::1]:8080", allow: clients/named}}}
      named: {sans: localhost, snippets: {haproxy: {listen: "localhost:8443", upstream: "localhost:8080"}}}
    clients:
      named: {snippets: {haproxy: {upstream: "localhost:8443"}}}
      six: {snippets: {haproxy: {listen: "[::1]:8080", upstream: "[2001:db8::1]:8443", server_name: localhost}}}
    peers:
      both: {sans: both.example, snippets: {haproxy: {client: {upstream: "localhost:8443"}}}}
      half: {sans: half.example, snippets: haproxy}
"""


def test_haproxy_has_nothing_to_say_against_any_form_of_it(scene: Scene) -> None:
    spec: dict[str, Any] = yaml.safe_load(FORMS)
    for section in ("servers", "clients", "peers"):
        for name, entry in spec[section].items():
            entry["deploy_dir"] = f"{scene.tree}/{section}/{name}"
    scene.write(json.dumps(spec))
    scene.run()
    files = sorted(scene.tree.glob("*/*/haproxy.cfg"))
    assert len(files) == 7
    assert {str(file.relative_to(scene.tree)): checked(file) for file in files} == {
        str(file.relative_to(scene.tree)): VALID for file in files
    }
    text = files[-1].read_text(encoding="utf-8")
    files[-1].write_text(text.replace("verify required", "verify demanded"), encoding="utf-8")
    assert "unknown verify method" in checked(files[-1])


@contextmanager
def served(folder: Path, port: int, work: Path) -> Iterator[Running]:
    with haproxy(folder / "haproxy.cfg", port, work) as started:
        yield started


def called(visited: consumer_case.Visit) -> Answer:
    """Call a server by its proxy, which answers first, then writes its log, and whose end does not wait for that."""
    with served(visited.folder, visited.own_port, visited.work) as started:
        answer = ask_plain(f"http://127.0.0.1:{visited.own_port}/")
        assert answer.status == 200 or eventually(lambda: f"status={answer.status}" in started.words())
        return Answer(answer.status, answer.body, f"{answer.error}\n{started.words()}", answer.headers)


def shapes(files: Mapping[str, str], _folder: Path) -> dict[str, str]:
    """Give the keyword of each statement and how many words it has; HAProxy's words are a shell's: see `TestQuote`."""
    found = {}
    for path, text in files.items():
        assert not set(text) & set("\r\0")
        statements = [shlex.split(line, comments=True) for line in text.split("\n")]
        found[path] = json.dumps([(words[:1], len(words)) for words in statements])
    return found


CASE = Case(
    serve=served,
    call=called,
    client_options=proxy_options,
    reload=reload,
    hostile=Hostile(
        server=lambda text: {"listen": text["listen"], "upstream": text["upstream"], "allow": [text["allow"]]},
        client=lambda text: {"upstream": text["server"], "server_name": text["server_name"]},
        shape=shapes,
    ),
)
