"""The real Caddy, run from nothing but the rendered file: whom it lets in, whom it believes, and what it tells."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from consumer_case import Case, Hostile, call_by_proxy, proxy_options
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Running, Version, ask, ask_plain, eventually, free_port, require, running
from remarks import codes
from scene import Scene, load, take_snapshot

from certgen.consumers.caddy import distinguished_names, quote
from certgen.consumers.templates import UnquotableError
from certgen.model import Address
from certgen.pipeline import load_spec
from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
TLS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
FOLDER = 'it\'s "the" \\n shop; #1 $HOME %s ünï <<EOF'
"""Above every path that is rendered: each of its signs means something to a Caddyfile, or looks as if."""
SPEC = """
    version: 1
    name: shop
    cas:
      root: {subject: {domain_component: [shop, example], organization: "Shop, Inc."}}
      issuing: {issuer: root, common_name: "Issuing <CA> #1"}
      second: {issuer: root}
    defaults: {issuer: issuing}
    servers:
      api:
        sans: [localhost, api.shop.example]
        key: {rotation: on-renewal}
        snippets: {caddy: {listen: "127.0.0.1:$api", upstream: "127.0.0.1:$program", allow: [$allow]}}
      open: {sans: ["*.open.shop.example", "open.shop.example"], snippets: {caddy: {listen: "127.0.0.1:$open"}}}
      wild: {sans: "*.wild.shop.example", snippets: {caddy: {listen: "localhost:$wild"}}}
      elsewhere: {sans: elsewhere.shop.example}
      right: {sans: [localhost, eu.api.shop.example, 127.0.0.1]}
    clients:
      reporting:
      by-name: {snippets: {caddy: {listen: "127.0.0.1:$named", upstream: "127.0.0.1:$server",
                                   server_name: eu.api.shop.example}}}
      by-address: {snippets: {caddy: {listen: "127.0.0.1:$addressed", upstream: "127.0.0.1:$server"}}}
    peers:
      mesh:
        sans: [localhost, mesh.shop.example]
        snippets:
          caddy: {listen: "127.0.0.1:$mesh", client: {listen: "127.0.0.1:$outward", upstream: "localhost:$api"}}
"""
STRANGERS = """
    version: 1
    name: strange
    cas:
      root: {subject: {domain_component: [shop, example], organization: "Shop, Inc."}}
      issuing: {issuer: root, common_name: "Issuing <CA> #1"}
    defaults: {issuer: issuing}
    servers: {right: {sans: [localhost, eu.api.shop.example, 127.0.0.1]}}
    clients: {plain: }
"""
"""Their names are the shop's, to the letter; their keys are not."""
PORTS = ("api", "program", "open", "wild", "server", "named", "addressed", "mesh", "outward")
SUBJECTS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "escaped": {"common_name": 'a, b + "c" \\ <d>; e=f'},
    "edges": {"common_name": "# a #", "subject": {"organization": "#", "organizational_unit": "a#"}},
    "braces": {"common_name": "a {host} {env.HOME} \\{http.request.host\\} }{ {"},
    "accented": {"common_name": "ünï 中文 🦊"},
    "backtick": {"common_name": "a`b # c", "issuer": "second"},
    "longest": {
        "subject": {
            "domain_component": ["shop", "exa_mple"],
            "country": "NL",
            "state": "Noord-Holland",
            "locality": "Amsterdam",
            "street_address": "Damrak 1",
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

    def body(self, port: str) -> tuple[int | None, str]:
        """Ask a client's proxy."""
        answer = ask_plain(f"http://127.0.0.1:{self.ports[port]}/")
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
    scene = Scene(tmp_path_factory.mktemp("caddy") / FOLDER, datetime.now(UTC).replace(microsecond=0))
    made = Shop(scene, {name: free_port() for name in PORTS})
    made.write()
    scene.run()
    return made


@contextmanager
def caddy(configuration: Path, port: int, work: Path) -> Iterator[Running]:
    """Run Caddy for the length of a `with`.

    configuration: a Caddyfile.
    port: on which it is to listen.
    work: the folder of caddy.log, and a home where nothing is to be written.
    """
    command: list[str | Path] = [require("caddy"), "run", "--adapter", "caddyfile", "--config", configuration]
    home = work / "home"
    home.mkdir(exist_ok=True)
    environment = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    with running(command, port, work / "caddy.log", environment, folder=home) as started:
        yield started


def edited(folder: Path, work: Path, *replacements: tuple[str, str]) -> Path:
    """Copy a rendered Caddyfile with other words in it: what it would be without them."""
    text = (folder / "Caddyfile").read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    (work / "Caddyfile").write_text(text, encoding="utf-8")
    return work / "Caddyfile"


class _Echo(BaseHTTPRequestHandler):
    """Tells what it was asked, and over which connection. HTTP/1.0: every answer ends its connection."""

    def do_GET(self) -> None:
        told: dict[str, object] = {"headers": [[name.lower(), value] for name, value in self.headers.items()]}
        if isinstance(self.connection, ssl.SSLSocket):
            certificate: Mapping[str, Any] = self.connection.getpeercert() or {}
            told |= {"version": self.connection.version(), "serial": certificate.get("serialNumber")}
            told |= {"resumed": self.connection.session_reused}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the one that it replaces
        """Keep quiet."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that leaves: Caddy does where it refuses."""


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
        connection.sock = secured
        connection.request("GET", "/", headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read().decode()
        serial = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"").serial_number
        return Visit(answer.status, body, serial, secured.session_reused, secured.session)


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
    work = tmp_path_factory.mktemp("api")
    with (
        echo(shop.ports["program"]),
        caddy(shop.folder("servers/api") / "Caddyfile", shop.ports["api"], work) as started,
    ):
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
            (None, "client didn't provide a certificate"),
            ("strange/clients/plain", "certificate signed by unknown authority"),
            ("shop/servers/elsewhere", "certificate specifies an incompatible key usage"),
            ("reporting", '"client_common_name":"reporting"'),
        ],
    )
    def test_others_are_refused_and_the_log_says_why(
        self, shop: Shop, api: Running, who: str | None, reason: str, version: Version
    ) -> None:
        before = api.words().count(reason)
        assert shop.status("api", who, version) == (403 if who == "reporting" else None)
        assert eventually(lambda: api.words().count(reason) > before)
        assert shop.status("api", "plain", version) == 200
        assert '"client_common_name":"plain"' not in api.words()

    @pytest.mark.usefixtures("api")
    def test_the_program_is_told_who_connected_and_no_forged_word(self, shop: Shop) -> None:
        forged = {"X-Client-Subject": "CN=admin", "x-client-issuer": "CN=admin", "X-Client-Certificate": "admin"}
        forged |= {"X_Client_Subject": "CN=admin", "X-Client_Issuer": "CN=admin", "X-Shop": "kept"}
        context = caller(shop.folder("clients/longest"))
        headers = json.loads(visit(context, shop.ports["api"], forged).body)["headers"]
        told = [(name, value) for name, value in headers if "client" in name]
        assert [name for name, _ in sorted(told)] == ["x-client-certificate", "x-client-issuer", "x-client-subject"]
        expected = distinguished_names(subject_of(shop, "clients/longest"))[0].encode().decode("latin-1")
        assert dict(told)["x-client-subject"] == expected
        assert dict(told)["x-client-issuer"] == "CN=Issuing \\<CA\\> #1"
        der = load(shop.folder("clients/longest") / "cert.pem")
        assert x509.load_pem_x509_certificate(_pem(dict(told)["x-client-certificate"])) == der
        assert ["x-shop", "kept"] in headers

    @pytest.mark.parametrize(("line", "is_told"), [("request_header -*_*\n", False), ("", True)])
    @pytest.mark.usefixtures("api")
    def test_a_header_with_underscores_is_dropped_even_where_caddy_expects_it(
        self, shop: Shop, line: str, is_told: bool, tmp_path: Path
    ) -> None:
        """Earlier releases of Caddy expect all of them."""
        port, expecting = free_port(), "protocols h1 h2\n\t\texpected_underscore_headers X_Client_Subject\n"
        replaced = ("request_header -*_*\n", line), ("protocols h1 h2\n", expecting)
        file = edited(shop.folder("servers/api"), tmp_path, *replaced, (f":{shop.ports['api']}", f":{port}"))
        with caddy(file, port, tmp_path):
            body = visit(caller(shop.folder("clients/plain")), port, {"X_Client_Subject": "CN=admin"}).body
        assert (["x_client_subject", "CN=admin"] in json.loads(body)["headers"]) is is_told

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
    def test_a_caddy_that_asks_for_no_certificate_would_resume(
        self, shop: Shop, version: Version, tmp_path: Path
    ) -> None:
        folder, port = shop.folder("servers/open"), shop.ports["open"]
        block = (folder / "Caddyfile").read_text(encoding="utf-8")
        start = block.index("\t\tclient_auth {")
        asked = block[start : block.index("\t\t}\n", start) + len("\t\t}\n")]
        with caddy(edited(folder, tmp_path, (asked, "")), port, tmp_path):
            context = caller(shop.folder("clients/plain"), version)
            first = visit(context, port)
            assert visit(context, port, session=first.session).resumed is True


def _pem(base64: str) -> bytes:
    return f"-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n".encode()


class TestNames:
    @pytest.mark.parametrize("who", SUBJECTS)
    @pytest.mark.usefixtures("opened")
    def test_a_name_is_written_as_caddy_shows_it(self, shop: Shop, who: str) -> None:
        told = visit(caller(shop.folder(f"clients/{who}")), shop.ports["open"])
        assert (told.status, told.body) == (200, f"tls1.3 {distinguished_names(subject_of(shop, f'clients/{who}'))[0]}")

    @pytest.mark.parametrize("who", ["plain", "reporting", "shop/peers/mesh"])
    @pytest.mark.usefixtures("opened")
    def test_without_allow_all_are_let_in_whom_the_trust_lets_in(self, shop: Shop, who: str) -> None:
        assert shop.status("open", who, name="open.shop.example") == 200
        assert shop.status("open", None, name="open.shop.example") is None
        assert shop.status("open", "strange/clients/plain", name="open.shop.example") is None

    @pytest.mark.parametrize("name", ["open.shop.example", "eu.open.shop.example"])
    @pytest.mark.usefixtures("opened")
    def test_each_name_is_served(self, shop: Shop, name: str) -> None:
        assert shop.status("open", "plain", name=name) == 200

    @pytest.mark.parametrize("name", [None, "unknown.example"])
    @pytest.mark.usefixtures("opened")
    def test_who_names_no_server_or_another_is_shown_the_certificate(self, shop: Shop, name: str | None) -> None:
        assert self.by_another_name(shop, shop.ports["open"], name) == 200

    def test_without_the_line_nobody_could_connect_to_an_address(self, shop: Shop, tmp_path: Path) -> None:
        folder, port = shop.folder("servers/wild"), shop.ports["wild"]
        with caddy(folder / "Caddyfile", port, tmp_path):
            assert self.by_another_name(shop, port, None) == 200
        with caddy(edited(folder, tmp_path, ("\t\tstrict_sni_host insecure_off\n", "")), port, tmp_path):
            assert self.by_another_name(shop, port, None) == 421

    def by_another_name(self, shop: Shop, port: int, name: str | None) -> int | None:
        """Ask for no name in the handshake, or for one that is not the server's, without a check of what it bears."""
        context = caller(shop.folder("clients/plain"))
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        try:
            connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=name)
            connection.request("GET", "/")
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()


@pytest.fixture(scope="module")
def opened(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    work = tmp_path_factory.mktemp("open")
    with caddy(shop.folder("servers/open") / "Caddyfile", shop.ports["open"], work) as started:
        yield started


def serial_in(folder: Path) -> int:
    return load(folder / "cert.pem").serial_number


def is_served(context: ssl.SSLContext, port: int, serial: int) -> bool:
    """Tell whether a certificate is served; whoever comes in the moment of a reload can be turned away."""
    with suppress(OSError):
        return visit(context, port).serial == serial
    return False


class TestReload:
    @pytest.mark.usefixtures("api")
    def test_a_signal_takes_the_new_certificate_and_nothing_else_does(self, shop: Shop, api: Running) -> None:
        folder, context = shop.folder("servers/api"), caller(shop.folder("clients/plain"))
        before = serial_in(folder)
        applied, _ = shop.scene.run(renew=["shop/servers/api"])
        assert applied.touched == {"servers/api/cert.pem", "servers/api/key.pem", "manifest.json"}
        assert visit(context, shop.ports["api"]).serial == before != serial_in(folder)
        os.kill(api.pid, signal.SIGUSR1)
        assert eventually(lambda: is_served(context, shop.ports["api"], serial_in(folder)))

    @pytest.mark.usefixtures("api")
    def test_a_pair_that_does_not_match_is_refused_and_the_old_one_stays(self, shop: Shop, api: Running) -> None:
        folder, context = shop.folder("servers/api"), caller(shop.folder("clients/plain"))
        key, served = (folder / "key.pem").read_bytes(), visit(context, shop.ports["api"]).serial
        (folder / "key.pem").write_bytes((shop.folder("servers/open") / "key.pem").read_bytes())
        try:
            os.kill(api.pid, signal.SIGUSR1)
            assert eventually(lambda: "private key does not match public key" in api.words())
            assert visit(context, shop.ports["api"]).serial == served
        finally:
            (folder / "key.pem").write_bytes(key)

    def test_with_an_admin_endpoint_a_reload_does_nothing_unless_it_is_forced(self, shop: Shop, tmp_path: Path) -> None:
        """The text of the Caddyfile has not changed."""
        folder, port, admin = shop.folder("servers/open"), free_port(), free_port()
        replaced = ("admin off", f"admin 127.0.0.1:{admin}"), (f":{shop.ports['open']}", f":{port}")
        file, context = edited(folder, tmp_path, *replaced), caller(shop.folder("clients/plain"))
        command: list[str | Path] = [require("caddy"), "reload", "--adapter", "caddyfile", "--config", file]
        with caddy(file, port, tmp_path):
            before = visit(context, port).serial
            shop.scene.run(renew=["shop/servers/open"])
            subprocess.run(command, check=True, capture_output=True, timeout=30)
            assert visit(context, port).serial == before != serial_in(folder)
            subprocess.run([*command, "--force"], check=True, capture_output=True, timeout=30)
            assert visit(context, port).serial == serial_in(folder)


@pytest.fixture(scope="module")
def named(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    work = tmp_path_factory.mktemp("named")
    with caddy(shop.folder("clients/by-name") / "Caddyfile", shop.ports["named"], work) as started:
        yield started


class TestClient:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "reason"),
        [
            ("shop/servers/elsewhere", "certificate is valid for elsewhere.shop.example"),
            ("shop/clients/plain", "certificate is not valid for any names"),
            ("strange/servers/right", "certificate signed by unknown authority"),
        ],
    )
    def test_the_right_server_is_believed_and_no_other(
        self, shop: Shop, named: Running, who: str, reason: str, version: Version
    ) -> None:
        before = named.words().count(reason)
        with echo(shop.ports["server"], shop.scene.output / who, version):
            assert shop.body("named")[0] == 502
        assert eventually(lambda: named.words().count(reason) > before)
        with echo(shop.ports["server"], shop.folder("servers/right"), version):
            status, body = shop.body("named")
        told = json.loads(body)
        assert (status, told["version"], told["resumed"]) == (200, f"TLSv{version}", False)
        assert ["host", "eu.api.shop.example"] in told["headers"]

    def test_the_name_alone_makes_the_difference(self, shop: Shop, tmp_path: Path) -> None:
        folder, port = shop.folder("clients/by-name"), free_port()
        file = edited(folder, tmp_path, ("tls_server_name eu.api", "tls_server_name elsewhere"),
                      (f"http://:{shop.ports['named']}", f"http://:{port}"))  # fmt: skip
        with caddy(file, port, tmp_path), echo(shop.ports["server"], shop.folder("servers/elsewhere")):
            assert ask_plain(f"http://127.0.0.1:{port}/").status == 200

    @pytest.mark.usefixtures("named")
    def test_a_renewed_certificate_is_shown_after_the_signal(self, shop: Shop, named: Running) -> None:
        with echo(shop.ports["server"], shop.folder("servers/right")):
            before = self.shown(shop)
            shop.scene.run(renew=["shop/clients/by-name"])
            assert self.shown(shop) == before != serial_in(shop.folder("clients/by-name"))
            os.kill(named.pid, signal.SIGUSR1)
            assert eventually(lambda: self.shown(shop) == serial_in(shop.folder("clients/by-name")))

    def shown(self, shop: Shop) -> int:
        """Give the serial number of the certificate that the server has seen; 0 while the proxy starts anew."""
        status, body = shop.body("named")
        return int(json.loads(body)["serial"], 16) if status == 200 else 0

    def test_an_ip_address_is_checked_too(self, shop: Shop, tmp_path: Path) -> None:
        with caddy(shop.folder("clients/by-address") / "Caddyfile", shop.ports["addressed"], tmp_path):
            for name, expected in (("elsewhere", 502), ("right", 200)):
                with echo(shop.ports["server"], shop.folder(f"servers/{name}")):
                    status, body = shop.body("addressed")
                    assert status == expected
        assert ["host", "127.0.0.1"] in json.loads(body)["headers"]


@pytest.mark.usefixtures("api")
def test_a_peer_is_a_server_and_a_client(shop: Shop, tmp_path: Path) -> None:
    with caddy(shop.folder("peers/mesh") / "Caddyfile", shop.ports["mesh"], tmp_path):
        assert shop.status("mesh", "plain") == 200
        assert shop.status("mesh", None) is None
        status, body = shop.body("outward")
    assert status == 200
    assert ["x-client-subject", "CN=mesh"] in json.loads(body)["headers"]


class TestSurroundings:
    def test_nothing_is_written(self, shop: Shop, tmp_path: Path) -> None:
        folder = shop.folder("servers/wild")
        before = take_snapshot(folder)
        with caddy(folder / "Caddyfile", shop.ports["wild"], tmp_path) as started:
            assert eventually(lambda: "serving initial configuration" in started.words())
            assert shop.status("wild", "plain", name="a.wild.shop.example") == 200
        assert take_snapshot(folder) == before
        assert list((tmp_path / "home").rglob("*")) == []

    def test_caddy_writes_otherwise(self, shop: Shop, tmp_path: Path) -> None:
        port = free_port()
        replaced = ("\tstorage_clean_interval off\n", ""), (f":{shop.ports['open']}", f":{port}")
        with caddy(edited(shop.folder("servers/open"), tmp_path, *replaced), port, tmp_path):
            assert eventually(lambda: list((tmp_path / "home").rglob("*")) != [])

    @pytest.mark.parametrize(("protocols", "is_taken"), [("h1 h2", False), ("h1 h2 h3", True)])
    def test_no_datagram_is_taken(self, shop: Shop, protocols: str, is_taken: bool, tmp_path: Path) -> None:
        port = free_port()
        replaced = ("protocols h1 h2\n", f"protocols {protocols}\n"), (f":{shop.ports['open']}", f":{port}")
        file = edited(shop.folder("servers/open"), tmp_path, *replaced)
        text = file.read_text(encoding="utf-8")
        (tmp_path / "Caddyfile").write_text(text, encoding="utf-8")
        with caddy(file, port, tmp_path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
            assert (tried.connect_ex(("127.0.0.1", port)), _is_refused(tried)) == (0, not is_taken)


def _is_refused(tried: socket.socket) -> bool:
    """Tell whether the machine says that nobody takes datagrams there."""
    tried.settimeout(0.3)
    try:
        tried.send(b"x")
        tried.recv(1)
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return False


@dataclass(frozen=True)
class Adapter:
    """A Caddy that is asked what it makes of a Caddyfile."""

    port: int

    def adapt(self, text: str) -> Any:  # noqa: ANN401 - it is JSON
        """Give the configuration as JSON; what Caddy complains of, if only for its looks, raises."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/adapt", text.encode(), {"Content-Type": "text/caddyfile"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer or answer.get("warnings"):
            raise ValueError(answer)
        return answer["result"]


@contextmanager
def adapter(work: Path) -> Iterator[Adapter]:
    """Run a Caddy that serves nobody."""
    port = free_port()
    file = work / "adapter.json"
    file.write_text(json.dumps({"admin": {"listen": f"127.0.0.1:{port}", "config": {"persist": False}}}))
    command: list[str | Path] = [require("caddy"), "run", "--config", file]
    with running(command, port, work / "adapter.log", {"HOME": str(work), "XDG_DATA_HOME": str(work)}):
        yield Adapter(port)


@pytest.fixture(scope="module")
def adapting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    with adapter(tmp_path_factory.mktemp("adapter")) as started:
        yield started


def word(adapting: Adapter, written: str) -> str:
    """Have Caddy read one token."""
    text = f"http://:1 {{\n\t@a {{\n\t\tvars a {written}\n\t\tvars b end\n\t}}\n\trespond @a 200\n}}\n"
    (route,) = adapting.adapt(text)["apps"]["http"]["servers"]["srv0"]["routes"]
    ((found,), end) = route["match"][0]["vars"].values()
    assert (set(route), end) == ({"match", "handle"}, ["end"])
    return str(found)


class TestQuote:
    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
    def test_every_text_is_read_back_or_refused(self, adapting: Adapter, text: str) -> None:
        is_refused = "{" in text or "}" in text or ("\\" in text and "`" in text)
        try:
            written = quote(text)
        except UnquotableError:
            assert is_refused
        else:
            assert not is_refused
            assert word(adapting, written) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "#",
            "a # b",
            '"',
            'a"',
            "`",
            "\\",
            "a\\",
            '\\"',
            "\\\\",
            "<<EOF",
            "import",
            "$HOME",
            "%s",
            "a b ",
            "'a",
            "~",
            "*",
        ],
    )
    def test_what_a_caddyfile_would_take_for_something_else(self, adapting: Adapter, text: str) -> None:
        assert word(adapting, quote(text)) == text

    @pytest.mark.parametrize("text", ["{$HOME}", "{host}", "{env.HOME}", "a\\}", "{", "}", "\\`"])
    def test_what_it_cannot_say_is_refused(self, text: str) -> None:
        with pytest.raises(UnquotableError):
            quote(text)

    def test_it_would_be_another_text(self, adapting: Adapter) -> None:
        assert word(adapting, '"{host}"') == "{http.request.host}"
        assert word(adapting, '"{$CERTGEN_NO_SUCH:b}"') == "b"
        assert word(adapting, '"a\\\\"') != '"a\\'


class TestHeader:
    NAME = "a{$CERTGEN_NO_SUCH.yaml"
    """The environment is put into comments too: from here to the next brace all would be a variable's name."""

    def rendered(self, folder: Path) -> str:
        text = "version: 1\nname: shop\nca:\nservers: {api: {sans: a.example, snippets: caddy}}\n"
        (folder / self.NAME).write_text(text)
        return load_spec(folder / self.NAME).bundle[Address.parse("servers/api")].artifacts[0].content.decode()

    def test_the_name_of_a_spec_takes_nothing_away(self, adapting: Adapter, tmp_path: Path) -> None:
        text = self.rendered(tmp_path)
        assert text.startswith("# Generated by certgen from a{ $CERTGEN_NO_SUCH.yaml; edits are overwritten\n")
        assert adapting.adapt(text)["admin"]["disabled"] is True

    def test_it_would(self, adapting: Adapter, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"error|warnings"):
            adapting.adapt(self.rendered(tmp_path).replace("{ $", "{$"))


class TestNamesWritten:
    def test_the_attributes_are_sorted_as_by_either_release_of_go(self) -> None:
        kinds = [kind for kind in NameAttribute if kind != NameAttribute.DOMAIN_COMPONENT]
        name = DistinguishedName(tuple((kind, f"{number}") for number, kind in enumerate(kinds)))
        assert distinguished_names(name) == (
            "SERIALNUMBER=7,CN=8,OU=6,O=5,POSTALCODE=4,STREET=3,L=2,ST=1,C=0",
            "SERIALNUMBER=7,CN=8,POSTALCODE=4,STREET=3,ST=1,L=2,OU=6,O=5,C=0",
        )
        assert distinguished_names(DistinguishedName()) == ("", "")

    @pytest.mark.parametrize(
        "attributes",
        [
            (("1.2.3.4", "x"),),
            ((NameAttribute.ORGANIZATION, "x"), ("+common_name", "y")),
            ((NameAttribute.COMMON_NAME, "x"), (NameAttribute.ORGANIZATION, "y")),
            ((NameAttribute.COMMON_NAME, "x"), (NameAttribute.COMMON_NAME, "y")),
            ((NameAttribute.DOMAIN_COMPONENT, "x" * 128),),
        ],
    )
    def test_what_go_shows_like_something_else_is_refused(self, attributes: tuple[tuple[str, str], ...]) -> None:
        with pytest.raises(UnquotableError):
            distinguished_names(DistinguishedName(attributes))


CALLERS = """
    version: 1
    ca:
    servers: {{api: {{sans: localhost, snippets: {{caddy: {{allow: [clients/one]}}}}}}}}
    clients:
      one: {one}
      two: {two}
"""
ENTRY = """
    version: 1
    ca:
    servers: {{a: {{sans: a.example}}}}
    {section}: {{one: {{sans: o.example, snippets: {snippets}}}}}
"""


class TestJudge:
    @pytest.mark.parametrize(
        ("one", "two", "expected"),
        [
            ("{}", "{}", []),
            ("{common_name: a}", "{common_name: a}", ["same-identity at clients/one"]),
            ("{common_name: 'a{$b'}", "{}", ["not-quotable at clients/one"]),
            ("{common_name: 'a{b'}", "{}", []),
            ("{common_name: 'a`\"b'}", "{}", ["not-quotable at clients/one"]),
            ("{sans: '::ffff:192.0.2.1'}", "{}", ["unsupported-by-programs at clients/one"]),
            ("{sans: '192.0.2.1'}", "{sans: '::ffff:192.0.2.1'}", []),
        ],
    )
    def test_whom_it_can_tell_from_others_can_be_named(
        self, tmp_path: Path, one: str, two: str, expected: list[str]
    ) -> None:
        assert codes(tmp_path, CALLERS.format(one=one, two=two)) == expected

    @pytest.mark.parametrize("folder", ["/srv/a{b", "/srv/a`\\b"])
    def test_a_folder_that_it_cannot_name_is_refused(self, tmp_path: Path, folder: str) -> None:
        spec = "version: 1\nca:\nservers: {{a: {{sans: a.example, deploy_dir: {0}, snippets: caddy}}}}\n"
        assert codes(tmp_path, spec.format(json.dumps(folder))) == [f"not-quotable at {json.dumps(folder)}"]
        assert codes(tmp_path, spec.format("/srv/a")) == []

    @pytest.mark.parametrize(
        ("section", "snippets", "expected"),
        [
            ("clients", "{caddy: }", ["missing-option"]),
            ("clients", "{caddy: {upstream: 'a.example:1'}}", []),
            ("clients", "{caddy: {upstream: '127.0.0.1:1'}}", []),
            ("clients", "{caddy: {upstream: 'a.example:1', listen: '127.0.0.1:443'}}", ["bad-endpoint"]),
            ("clients", "{caddy: {upstream: 'a.example:1', listen: '127.0.0.1:80'}}", []),
            ("peers", "{caddy: {client: {}}}", ["missing-option"]),
            ("peers", "{caddy: {client: {upstream: 'a.example:1'}}}", []),
            ("peers", "{caddy: {listen: 80}}", ["bad-endpoint"]),
            ("peers", "{caddy: {listen: 443}}", []),
        ],
    )
    def test_a_client_needs_its_server_and_a_port_is_for_the_scheme_that_it_is_known_for(
        self, tmp_path: Path, section: str, snippets: str, expected: list[str]
    ) -> None:
        found = codes(tmp_path, ENTRY.format(section=section, snippets=snippets))
        assert [remark.split(" ")[0] for remark in found] == expected


FORMS = """
    version: 1
    ca:
    servers:
      plain: {sans: localhost, snippets: caddy}
      six: {sans: localhost, snippets: {caddy: {listen: "[::]:8443", upstream: "[::1]:8080", allow: clients/named}}}
      named: {sans: localhost, snippets: {caddy: {listen: "localhost:443", upstream: "shop.example:8080"}}}
    clients:
      named: {snippets: {caddy: {upstream: "localhost:8443"}}}
      six: {snippets: {caddy: {listen: "[::1]:8080", upstream: "[2001:db8::1]:8443"}}}
    peers:
      both: {sans: both.example, snippets: {caddy: {listen: "127.0.0.2:81", client: {listen: "127.0.0.1:81",
                                                    upstream: "localhost:8443"}}}}
"""
LISTENS = {
    "servers/plain": [[":8443"]],
    "servers/six": [["[::]:8443"]],
    "servers/named": [["localhost:443"]],
    "clients/named": [["127.0.0.1:8080"]],
    "clients/six": [["[::1]:8080"]],
    "peers/both": [["127.0.0.1:81"], ["127.0.0.2:81"]],
}


def test_caddy_has_nothing_to_say_against_any_form_of_it(scene: Scene, adapting: Adapter) -> None:
    spec: dict[str, Any] = yaml.safe_load(FORMS)
    for section in ("servers", "clients", "peers"):
        for name, entry in spec[section].items():
            entry["deploy_dir"] = f"{scene.tree}/{section}/{name}"
    scene.write(json.dumps(spec))
    scene.run()
    for address, listens in LISTENS.items():
        file = scene.tree / address / "Caddyfile"
        servers = adapting.adapt(file.read_text(encoding="utf-8"))["apps"]["http"]["servers"]
        assert sorted(server["listen"] for server in servers.values()) == listens
        done = subprocess.run(
            [require("caddy"), "validate", "--config", file], capture_output=True, text=True, check=False
        )
        assert (done.returncode, '"level":"error"' in done.stderr) == (0, False), done.stderr
    key = scene.tree / "servers/plain/key.pem"
    shutil.copy(scene.tree / "servers/six/key.pem", key)
    file = scene.tree / "servers/plain/Caddyfile"
    done = subprocess.run([require("caddy"), "validate", "--config", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0


@contextmanager
def served(folder: Path, port: int, work: Path) -> Iterator[Running]:
    with caddy(folder / "Caddyfile", port, work) as started:
        yield started


def shapes(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the keys and kinds of what Caddy makes of each file, and how many lines it has."""
    with adapter(folder) as started:
        return {path: json.dumps([len(text.split("\n")), _kinds(started.adapt(text))]) for path, text in files.items()}


def _kinds(value: object) -> object:
    match value:
        case dict():
            return {key: _kinds(inner) for key, inner in value.items()}
        case list():
            return [_kinds(inner) for inner in value]
        case _:
            return type(value).__name__


CASE = Case(
    serve=served,
    call=call_by_proxy(served),
    client_options=proxy_options,
    hostile=Hostile(
        server=lambda text: {"listen": text["listen"], "upstream": text["upstream"], "allow": [text["allow"]]},
        client=lambda text: {"upstream": text["server"], "server_name": text["server_name"]},
        shape=shapes,
    ),
)
