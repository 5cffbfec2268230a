"""The real Traefik, run from nothing but the rendered files: whom it lets in, whom it believes, and what it tells."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any, get_args
from urllib.parse import unquote, unquote_plus

import pytest
import yaml
from consumer_case import Case, Hostile, call_by_proxy, proxy_options
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from programs import Running, Version, ask, ask_plain, eventually, free_port, require, running
from remarks import Remark, remarks
from scene import Scene
from scene import load as certificate_in

from certgen.consumers.templates import UnquotableError
from certgen.consumers.traefik import quote

VERSIONS: tuple[Version, ...] = get_args(Version)
TLS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
FOLDER = 'the "shop" \\ #1 {{ env `HOME` }}: %s ünï $HOME $(id)'
"""Above every path that is rendered: each of its signs means something to YAML, to Go's templates or to a shell."""
SPEC_FILE = "{{ env `HOME` }}.yaml"
"""Every rendered file names it in its first line, which is a template too."""
SPEC = """
    version: 1
    name: shop
    cas: {root: , issuing: {issuer: root}}
    defaults: {issuer: issuing}
    servers:
      api:
        sans: [localhost, 127.0.0.1, api.shop.example, "*.api.shop.example"]
        key: {rotation: on-renewal}
        deploy_dir: $tree/servers/api
        snippets: {traefik: {listen: "127.0.0.1:$api", upstream: "127.0.0.1:$program"}}
      open: {sans: localhost, deploy_dir: $tree/servers/open, snippets: {traefik: {listen: "127.0.0.1:$open"}}}
      elsewhere: {sans: elsewhere.shop.example}
    clients:
      checkout:
        sans: [spiffe://shop.example/checkout, checkout.shop.example]
        subject: {organization: Shop BV}
        deploy_dir: $tree/clients/checkout
        snippets:
          traefik: {listen: "127.0.0.1:$checkout", upstream: "127.0.0.1:$server", server_name: eu.api.shop.example}
      posing: {sans: eu.api.shop.example}
      ambiguous: {common_name: 'x",CN="checkout'}
      by-address:
        deploy_dir: $tree/clients/by-address
        snippets: {traefik: {listen: "127.0.0.1:$by_address", upstream: "127.0.0.1:$server"}}
    peers:
      mesh:
        sans: [localhost, mesh.shop.example]
        deploy_dir: $tree/peers/mesh
        snippets:
          traefik: {listen: "127.0.0.1:$mesh", client: {listen: "127.0.0.1:$outward", upstream: "localhost:$api"}}
"""
STRANGERS = """
    version: 1
    ca:
    servers: {api: {sans: [localhost, 127.0.0.1, eu.api.shop.example]}}
    clients: {checkout: {sans: spiffe://shop.example/checkout}}
"""
PORTS = ("api", "program", "open", "checkout", "server", "by_address", "mesh", "outward")


@contextmanager
def started(folder: Path, port: int, work: Path) -> Iterator[Running]:
    """Run the Traefik of an entry; it listens before it has read its dynamic configuration."""
    # In the path of this option alone Traefik puts variables in: `$HOME`.
    with running(
        [require("traefik"), "--configFile=traefik.yaml"], port, work / "traefik.log", folder=folder
    ) as process:
        yield process


@contextmanager
def ready(folder: Path, port: int, work: Path) -> Iterator[Running]:
    """Run the Traefik of an entry from when it knows what to do."""
    static = yaml.safe_load((folder / "traefik.yaml").read_text(encoding="utf-8"))
    (side,) = (name for name, point in static["entryPoints"].items() if point["address"].endswith(f":{port}"))
    with started(folder, port, work) as process:
        is_ready = {"inbound": lambda: shown_serial(port) == serial(folder), "outbound": lambda: is_routed(port)}[side]
        assert eventually(is_ready), process.words()
        yield process


def shown_serial(port: int) -> int | None:
    """Give the serial number of the certificate that is served, whoever signed it; None where there is none."""
    with suppress(OSError):
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
        return x509.load_pem_x509_certificate(pem.encode()).serial_number
    return None


def is_routed(port: int) -> bool:
    return ask_plain(f"http://127.0.0.1:{port}/").status not in {None, 404}


def serial(folder: Path) -> int:
    return certificate_in(folder / "cert.pem").serial_number


@dataclass(frozen=True)
class Shop:
    """Two trees on disk, the shop's and that of strangers with the same names, and a port for whoever listens."""

    scene: Scene
    ports: Mapping[str, int]

    def folder(self, address: str) -> Path:
        """Give the folder of an entry, which is where it is deployed too."""
        return self.scene.tree / address

    def status(self, name: str, identity: Path | None, version: Version | None = None) -> int | None:
        """Ask a server as somebody."""
        anchors = self.folder("clients/checkout") / "ca.pem"
        return ask(f"https://localhost:{self.ports[name]}/", folder=identity, anchors=anchors, version=version).status

    def asked(self, name: str) -> tuple[int | None, Any]:
        """Ask a client's proxy for its server's page."""
        answer = ask_plain(f"http://127.0.0.1:{self.ports[name]}/")
        return answer.status, json.loads(answer.body) if answer.status == 200 else {}

    def answers(self, name: str, status: int) -> bool:
        """Tell whether a client's proxy gives this answer."""
        return self.asked(name)[0] == status


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    scene = Scene(tmp_path_factory.mktemp("traefik") / FOLDER, datetime.now(UTC).replace(microsecond=0))
    ports = {name: free_port() for name in PORTS}
    # YAML takes JSON's strings, of which the inside is put into a longer one.
    spec = yaml.safe_load(Template(SPEC).substitute(ports, tree="$tree"))
    scene.write(json.dumps(spec).replace("$tree", json.dumps(str(scene.tree))[1:-1]), SPEC_FILE)
    scene.write(STRANGERS, "strange.yaml")
    scene.run()
    return Shop(scene, ports)


class _Echo(BaseHTTPRequestHandler):
    """Tells what it was asked, and over which connection. HTTP/1.0: every answer ends its connection."""

    def do_GET(self) -> None:
        told: dict[str, object] = {"headers": {name.lower(): value for name, value in self.headers.items()}}
        if isinstance(self.connection, ssl.SSLSocket):
            certificate: Mapping[str, Any] = self.connection.getpeercert() or {}
            subject = dict(pair[0] for pair in certificate.get("subject", ()))
            told |= {"version": self.connection.version(), "subject": subject.get("commonName")}
            told |= {"serial": int(certificate.get("serialNumber", "0"), 16)}
            told |= {"resumed": self.connection.session_reused}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the one that it replaces
        """Keep quiet."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that leaves: Traefik does where it refuses."""


@contextmanager
def program(
    port: int, identity: Path | None = None, version: Version | None = None, anchors: Path | None = None
) -> Iterator[None]:
    """Run the echo for the length of a `with`; with an identity it speaks mTLS, with one version of TLS."""
    server = _Quiet(("127.0.0.1", port), _Echo)
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
        context.load_verify_locations((anchors or identity) / "ca.pem")
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
class Seen:
    """What a caller saw, and its session, that it may come back by."""

    status: int
    told: Mapping[str, Any]
    resumed: bool | None
    session: ssl.SSLSession | None = field(repr=False)


def visit(
    context: ssl.SSLContext,
    port: int,
    headers: Mapping[str, str] | None = None,
    session: ssl.SSLSession | None = None,
) -> Seen:
    """Get a page over HTTPS, with headers of one's own, and with the session of another visit."""
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as secured:
        connection.sock = secured
        connection.request("GET", "/", headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read()
        told = json.loads(body) if body.startswith(b"{") else {}
        return Seen(answer.status, told, secured.session_reused, secured.session)


def caller(identity: Path, version: Version | None = None, ciphers: str | None = None) -> ssl.SSLContext:
    """Make the context of a caller that is somebody."""
    context = ssl.create_default_context(cafile=str(identity / "ca.pem"))
    context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
    context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


@contextmanager
def edited(path: Path, pattern: str, replacement: str = "") -> Iterator[None]:
    """Change a file for the length of a `with`; an edit that changes nothing is a mistake of the test."""
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, replacement, text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


@contextmanager
def replaced(path: Path, other: Path | None) -> Iterator[None]:
    """Put another file in the place of one, or none, for the length of a `with`."""
    kept = shutil.move(path, path.with_suffix(".kept"))
    try:
        if other is not None:
            shutil.copy(other, path)
        yield
    finally:
        shutil.move(kept, path)


@pytest.fixture(scope="module")
def api(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        program(shop.ports["program"]),
        ready(shop.folder("servers/api"), shop.ports["api"], tmp_path_factory.mktemp("api")) as process,
    ):
        yield process


FORGED = {
    "X-Forwarded-Tls-Client-Cert": "admin",
    "X-Forwarded-Tls-Client-Cert-Info": 'Subject="CN=admin"',
    "X-Forwarded-For": "192.0.2.1",
    "X_Forwarded_Tls_Client_Cert": "admin",
    "X.Forwarded.Tls.Client-Cert_Info": 'Subject="CN=admin"',
    "Connection": "close, X-Forwarded-Tls-Client-Cert",
    "X-Shop": "kept",
}


class TestServer:
    @pytest.mark.usefixtures("api")
    def test_the_program_is_told_who_connected_and_no_forged_word(self, shop: Shop) -> None:
        headers = visit(caller(shop.folder("clients/checkout")), shop.ports["api"], FORGED).told["headers"]
        assert unquote_plus(headers["x-forwarded-tls-client-cert-info"]) == (
            'Subject="O=Shop BV,CN=checkout";Issuer="CN=issuing";'
            'SAN="checkout.shop.example,spiffe://shop.example/checkout",Subject="CN=issuing";Issuer="CN=root"'
        )
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert headers["x-shop"] == "kept"
        assert "admin" not in json.dumps(headers)

    @pytest.mark.usefixtures("api")
    def test_a_subject_is_told_without_an_escape_and_the_certificate_as_it_is(self, shop: Shop) -> None:
        identity = shop.folder("clients/ambiguous")
        headers = visit(caller(identity), shop.ports["api"]).told["headers"]
        info = unquote_plus(headers["x-forwarded-tls-client-cert-info"])
        assert info.startswith('Subject="CN=x",CN="checkout";')
        shown = x509.load_der_x509_certificate(b64decode(unquote(headers["x-forwarded-tls-client-cert"]).split(",")[0]))
        assert shown == certificate_in(identity / "cert.pem")

    @pytest.mark.usefixtures("api")
    def test_plain_http_reaches_no_program(self, shop: Shop) -> None:
        answer = ask_plain(f"http://127.0.0.1:{shop.ports['api']}/")
        assert (answer.status, answer.body) == (404, "404 page not found\n")

    @pytest.mark.usefixtures("api")
    def test_under_tls_1_2_only_ciphers_with_forward_secrecy_and_integrity_serve(self, shop: Shop) -> None:
        identity, port = shop.folder("clients/checkout"), shop.ports["api"]
        with pytest.raises(ssl.SSLError):
            visit(caller(identity, "1.2", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"), port)
        assert visit(caller(identity, "1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"), port).status == 200

    @pytest.mark.parametrize("name", ["127.0.0.1", "eu.api.shop.example"])
    @pytest.mark.usefixtures("api")
    def test_it_serves_by_address_and_by_wildcard_too(self, shop: Shop, name: str) -> None:
        identity, place = shop.folder("clients/checkout"), ("127.0.0.1", shop.ports["api"])
        answer = ask(f"https://{name}:{place[1]}/", folder=identity, anchors=identity / "ca.pem", connect_to=place)
        assert answer.status == 200, answer

    def test_a_renewal_is_served_after_a_signal_and_no_request_fails(self, shop: Shop, api: Running) -> None:
        port, identity, done = shop.ports["api"], shop.folder("clients/checkout"), threading.Event()
        before, statuses = serial(shop.folder("servers/api")), []

        def keep_asking() -> None:
            while not done.is_set():
                statuses.append(shop.status("api", identity))

        threads = [threading.Thread(target=keep_asking) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            _, applied = shop.scene.run(renew=["shop/servers/api"])
            wanted = serial(shop.folder("servers/api"))
            is_old_still = shown_serial(port) == before != wanted
            api.reload()
            is_served = eventually(lambda: shown_serial(port) == wanted)
            asked = len(statuses)
            assert eventually(lambda: len(statuses) > asked + 20)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        # The key is a new one too, and not one snippet, so nothing that Traefik watches has changed.
        assert applied.touched == {"servers/api/key.pem", "servers/api/cert.pem", "manifest.json"}
        assert (is_old_still, is_served, set(statuses)) == (True, True, {200})

    def test_a_pair_that_does_not_match_serves_nobody_until_the_next_signal(self, shop: Shop, api: Running) -> None:
        folder, identity, port = shop.folder("servers/api"), shop.folder("clients/checkout"), shop.ports["api"]
        with replaced(folder / "key.pem", shop.folder("servers/open") / "key.pem"):
            api.reload()
            assert eventually(lambda: "private key does not match public key" in api.words())
            assert eventually(lambda: shown_serial(port) is None)
            assert shop.status("api", identity) is None
        api.reload()
        assert eventually(lambda: shown_serial(port) == serial(folder))
        assert shop.status("api", identity) == 200

    @pytest.mark.usefixtures("api")
    def test_the_dynamic_file_is_taken_as_soon_as_it_changes(self, shop: Shop) -> None:
        identity, dynamic = shop.folder("clients/checkout"), shop.folder("servers/api") / "traefik/dynamic.yaml"
        with edited(dynamic, r"PathPrefix\(`/`\)", "PathPrefix(`/else`)"):
            assert eventually(lambda: shop.status("api", identity) == 404)
        assert eventually(lambda: shop.status("api", identity) == 200)


@pytest.fixture(scope="class")
def bare(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ready(shop.folder("servers/open"), shop.ports["open"], tmp_path_factory.mktemp("open")) as process:
        yield process


class TestOpenServer:
    """A server without a program behind it."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("bare")
    def test_strangers_are_refused(self, shop: Shop, version: Version) -> None:
        for identity in (None, shop.scene.output / "strange/clients/checkout", shop.folder("servers/elsewhere")):
            assert shop.status("open", identity, version) is None
        for address in ("clients/checkout", "clients/by-address", "peers/mesh"):
            assert shop.status("open", shop.folder(address), version) == 200

    @pytest.mark.usefixtures("bare")
    def test_older_versions_are_refused(self, shop: Shop) -> None:
        context = caller(shop.folder("clients/checkout"))
        # OpenSSL has its own objections to TLS 1.1, which are not those to be seen here.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            visit(context, shop.ports["open"])

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("bare")
    def test_no_session_is_resumed(self, shop: Shop, version: Version) -> None:
        context, port = caller(shop.folder("clients/checkout"), version), shop.ports["open"]
        first = visit(context, port)
        assert (first.status, visit(context, port, session=first.session).resumed) == (200, False)

    def test_its_log_has_no_complaint_no_other_entry_point_and_no_key(self, shop: Shop, bare: Running) -> None:
        assert shop.status("open", shop.folder("clients/checkout")) == 200
        words = bare.words()
        complaints = [line for line in words.splitlines() if re.search(r"\b(WRN|ERR)\b", line)]
        assert [line for line in complaints if "reject some encoded characters" not in line] == []
        assert re.findall("Starting TCP Server entryPointName=(.*)", words) == ["inbound"]
        for name in ("key.pem", "cert.pem"):
            body = (shop.folder("servers/open") / name).read_text().splitlines()[1]
            assert body not in words


class TestTraps:
    """The same files without what keeps Traefik safe: the tests above would notice that it is missing."""

    def test_without_the_default_a_damaged_pair_gives_way_to_a_certificate_of_traefik_s_own(
        self, shop: Shop, tmp_path: Path
    ) -> None:
        folder, port = shop.folder("servers/open"), shop.ports["open"]
        pattern = r"  stores:\n.*\n(?: *#.*\n)*.*defaultCertificate: (\{.*\})"
        with replaced(folder / "key.pem", shop.folder("servers/api") / "key.pem"):
            with started(folder, port, tmp_path) as process:
                assert eventually(lambda: "Error while creating certificate store" in process.words())
                # Until the word has taken effect, Traefik shows a certificate of its own, as it does while it starts.
                assert eventually(lambda: shown_serial(port) is None)
            with (
                edited(folder / "traefik/dynamic.yaml", pattern, r"  certificates:\n  - \1"),
                started(folder, port, tmp_path),
            ):
                assert eventually(lambda: shown_serial(port) is not None)
                assert shown_serial(port) != serial(folder)

    @pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
    def test_without_a_file_of_the_pair_nobody_is_served(self, shop: Shop, tmp_path: Path, name: str) -> None:
        folder, port = shop.folder("servers/open"), shop.ports["open"]
        with replaced(folder / name, None), started(folder, port, tmp_path) as process:
            assert eventually(lambda: "failed to find any PEM data" in process.words())
            # Until the word has taken effect, Traefik shows a certificate of its own, as it does while it starts.
            assert eventually(lambda: shown_serial(port) is None)

    @pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"])
    def test_without_anchors_nobody_is_let_in(self, shop: Shop, tmp_path: Path, content: str | None) -> None:
        folder, other = shop.folder("servers/open"), None
        if content is not None:
            other = tmp_path / "ca.pem"
            other.write_text(content)
        with replaced(folder / "ca.pem", other), started(folder, shop.ports["open"], tmp_path) as process:
            assert eventually(lambda: "building TLS config: invalid certificate(s) content" in process.words())
            identities = (None, shop.folder("clients/checkout"), shop.scene.output / "strange/clients/checkout")
            assert [shop.status("open", identity) for identity in identities] == [None, None, None]

    def test_without_the_switches_sessions_are_resumed_and_anybody_is_let_in(self, shop: Shop, tmp_path: Path) -> None:
        folder, port = shop.folder("servers/open"), shop.ports["open"]
        with (
            edited(folder / "traefik/dynamic.yaml", ".*(disableSessionTickets|clientAuthType).*"),
            ready(folder, port, tmp_path),
        ):
            assert shop.status("open", None) == 200
            for version in VERSIONS:
                context = caller(shop.folder("clients/checkout"), version)
                assert visit(context, port, session=visit(context, port).session).resumed is True

    @pytest.mark.usefixtures("api")
    def test_without_the_strategy_a_program_is_told_a_forged_word(self, shop: Shop, tmp_path: Path) -> None:
        folder, port = shop.folder("servers/open"), shop.ports["open"]
        dynamic = (shop.folder("servers/api") / "traefik/dynamic.yaml").read_text(encoding="utf-8")
        shutil.copytree(folder, tmp_path / "open")
        (tmp_path / "open/traefik/dynamic.yaml").write_text(dynamic, encoding="utf-8")
        static = (folder / "traefik.yaml").read_text(encoding="utf-8")
        static = re.sub("http: .*|.*ping:.*", "", static).replace(quote(str(folder))[1:-1], f"{tmp_path}/open")
        (tmp_path / "open/traefik.yaml").write_text(static, encoding="utf-8")
        with started(tmp_path / "open", port, tmp_path):
            assert eventually(lambda: shop.status("open", shop.folder("clients/checkout")) == 200)
            headers = visit(caller(shop.folder("clients/checkout")), port, FORGED).told["headers"]
        assert headers["x.forwarded.tls.client-cert_info"] == 'Subject="CN=admin"'

    @pytest.mark.parametrize(
        ("pattern", "replacement", "words"),
        [
            (r"\\u007B", "{", "failed to find any PEM data"),
            (r"\{ \{ env", "{{ envy", "not defined"),
        ],
        ids=["a path", "the name of the spec"],
    )
    def test_what_looks_like_a_template_would_be_one(
        self, shop: Shop, tmp_path: Path, pattern: str, replacement: str, words: str
    ) -> None:
        """Of a folder named `{{ env ... }}` Traefik makes another, and a comment that is no template is an error."""
        folder, port = shop.folder("servers/open"), shop.ports["open"]
        with edited(folder / "traefik/dynamic.yaml", pattern, replacement), started(folder, port, tmp_path) as process:
            assert eventually(lambda: words in process.words())
            assert shown_serial(port) != serial(folder)


@pytest.fixture(scope="module")
def checkout(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, work = shop.folder("clients/checkout"), tmp_path_factory.mktemp("checkout")
    with ready(folder, shop.ports["checkout"], work) as process:
        yield process


class TestClient:
    """The client asks for eu.api.shop.example, which only a wildcard covers, at a server on this machine."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("checkout")
    def test_it_shows_its_certificate_and_reaches_the_server(self, shop: Shop, version: Version) -> None:
        with program(shop.ports["server"], shop.folder("servers/api"), version):
            status, told = shop.asked("checkout")
        assert (status, told["version"], told["subject"]) == (200, f"TLSv{version}", "checkout")
        assert told["headers"]["host"] == "eu.api.shop.example"

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "reason"),
        [
            ("shop/servers/elsewhere", "certificate is valid for elsewhere.shop.example, not eu.api.shop.example"),
            ("strange/servers/api", "certificate signed by unknown authority"),
            ("shop/clients/posing", "incompatible key usage"),
        ],
    )
    def test_another_server_is_not_believed_and_the_log_says_why(
        self, shop: Shop, checkout: Running, who: str, reason: str, version: Version
    ) -> None:
        before = checkout.words().count(reason)
        with program(shop.ports["server"], shop.scene.output / who, version):
            assert shop.asked("checkout")[0] == 500
        assert eventually(lambda: checkout.words().count(reason) > before)
        with program(shop.ports["server"], shop.folder("servers/api"), version):
            assert shop.asked("checkout")[0] == 200

    def test_a_server_that_refuses_it_is_told_from_one_that_it_does_not_believe(
        self, shop: Shop, checkout: Running
    ) -> None:
        strangers = shop.scene.output / "strange/servers/api"
        with program(shop.ports["server"], shop.folder("servers/api"), "1.2", strangers):
            assert shop.asked("checkout")[0] == 502
        assert eventually(lambda: "502 Bad Gateway" in checkout.words())

    @pytest.mark.usefixtures("checkout")
    def test_every_header_of_a_program_arrives(self, shop: Shop) -> None:
        with program(shop.ports["server"], shop.folder("servers/api")):
            connection = http.client.HTTPConnection("127.0.0.1", shop.ports["checkout"], timeout=10)
            connection.request("GET", "/", headers={"X_Shop": "kept", "X.Shop": "kept too"})
            headers = json.loads(connection.getresponse().read())["headers"]
            connection.close()
        assert (headers["x_shop"], headers["x.shop"]) == ("kept", "kept too")

    @pytest.mark.usefixtures("checkout")
    def test_no_session_is_resumed(self, shop: Shop) -> None:
        with program(shop.ports["server"], shop.folder("servers/api")):
            assert [shop.asked("checkout")[1]["resumed"] for _ in range(3)] == [False, False, False]

    def test_a_renewed_certificate_is_shown_after_a_signal(self, shop: Shop, checkout: Running) -> None:
        folder = shop.folder("clients/checkout")
        with program(shop.ports["server"], shop.folder("servers/api")):
            before = serial(folder)
            shop.scene.run(renew=["shop/clients/checkout"])
            assert shop.asked("checkout")[1]["serial"] == before != serial(folder)
            checkout.reload()
            assert eventually(lambda: shop.asked("checkout")[1].get("serial") == serial(folder))

    def test_without_anchors_no_server_is_believed_not_even_by_those_of_the_machine(
        self, shop: Shop, checkout: Running
    ) -> None:
        words = "certificate signed by unknown authority"
        with program(shop.ports["server"], shop.folder("servers/api")):
            with replaced(shop.folder("clients/checkout") / "ca.pem", None):
                before = checkout.words().count(words)
                checkout.reload()
                assert eventually(lambda: shop.asked("checkout")[0] == 500)
                assert checkout.words().count(words) > before
            checkout.reload()
            assert eventually(lambda: shop.asked("checkout")[0] == 200)

    def test_an_ip_address_is_checked_too(self, shop: Shop, tmp_path: Path) -> None:
        with started(shop.folder("clients/by-address"), shop.ports["by_address"], tmp_path):
            for name, expected in (("elsewhere", 500), ("api", 200)):
                with program(shop.ports["server"], shop.folder(f"servers/{name}")):
                    assert eventually(partial(shop.answers, "by_address", expected))
                    status, told = shop.asked("by_address")
        assert (status, told["headers"]["host"], told["subject"]) == (200, "127.0.0.1", "by-address")


@pytest.mark.usefixtures("api")
def test_a_peer_is_a_server_and_a_client(shop: Shop, tmp_path: Path) -> None:
    with ready(shop.folder("peers/mesh"), shop.ports["mesh"], tmp_path):
        assert shop.status("mesh", shop.folder("clients/checkout")) == 200
        assert shop.status("mesh", None) is None
        status, told = shop.asked("outward")
    assert status == 200
    assert "CN=mesh" in unquote(told["headers"]["x-forwarded-tls-client-cert-info"])


def said(folder: Path, section: str, options: str) -> list[tuple[str, str, str]]:
    """Give what is said of an entry with these options."""
    text = f"version: 1\nca:\n{section}: {{one: {{sans: api.example, snippets: {{traefik: {options}}}}}}}\n"
    if section != "servers":
        text += "servers: {api: {sans: api.example}}\n"
    return [(found.code, found.at, found.message) for found in remarks(folder, text)]


class TestJudge:
    @pytest.mark.parametrize(
        ("section", "lacking", "complete"),
        [
            ("clients", "{}", "{upstream: 'api.example:1'}"),
            ("clients", "{server_name: api.example}", "{server_name: api.example, upstream: '127.0.0.1:1'}"),
            ("peers", "{client: {}}", "{client: {upstream: 'api.example:1'}}"),
        ],
    )
    def test_a_client_needs_its_server(self, tmp_path: Path, section: str, lacking: str, complete: str) -> None:
        ((code, _, message),) = said(tmp_path, section, lacking)
        assert (code, message) == ("missing-option", "Traefik needs the server that it connects to")
        assert said(tmp_path, section, complete) == []

    def test_nobody_can_be_named_who_alone_is_let_in(self, tmp_path: Path) -> None:
        ((code, at, message),) = said(tmp_path, "servers", "{allow: [clients/one]}")
        assert (code, at) == ("unknown-field", "allow")
        assert "allow" in message
        assert said(tmp_path, "servers", "{}") == []

    def test_a_folder_with_the_sign_that_traefik_keeps_for_itself_is_refused(self, tmp_path: Path) -> None:
        (found,) = remarks(
            tmp_path, "version: 1\nca:\nservers: {api: {sans: a.example, deploy_dir: /srv/a║b, snippets: traefik}}\n"
        )
        assert found == Remark(
            "not-quotable",
            "/srv/a║b",
            "Traefik takes `║` for the end of an item, and has no way to write the sign",
            "choose another folder",
            line=3,
        )

    def test_an_option_of_another_role_is_refused(self, tmp_path: Path) -> None:
        ((code, _, message),) = said(tmp_path, "servers", "{server_name: api.example}")
        assert (code, message) == ("unused-option", "`server_name` is for a client, which checks it")


@pytest.mark.parametrize(("name", "status"), [("a║b", None), ("a¦b", 200)])
def test_traefik_would_cut_a_path_at_that_sign(shop: Shop, tmp_path: Path, name: str, status: int | None) -> None:
    folder, port = shop.folder("servers/open"), shop.ports["open"]
    shutil.copy(folder / "ca.pem", tmp_path / f"{name}.pem")
    with (
        edited(folder / "traefik/dynamic.yaml", r"caFiles: \[.*\]", f'caFiles: ["{tmp_path}/{name}.pem"]'),
        started(folder, port, tmp_path) as process,
    ):
        assert eventually(
            lambda: "invalid certificate(s) content" in process.words() or shown_serial(port) == serial(folder)
        )
        assert shop.status("open", shop.folder("clients/checkout")) == status


class TestQuote:
    @given(st.text(st.characters(exclude_characters="║")))
    def test_every_text_is_read_back_from_one_line_and_opens_no_template(self, text: str) -> None:
        written = quote(text)
        assert len(written.splitlines()) == 1
        assert "{" not in written
        assert yaml.safe_load(f"{{a: {written}, b: [{written}]}} # {text.isascii()}") == {"a": text, "b": [text]}

    @pytest.mark.parametrize("text", ["", " ", "true", "null", "~", "1e3", "0x1f", "- a", "a: b", "a #b", "\ud800"])
    def test_what_yaml_would_take_for_something_else(self, text: str) -> None:
        assert yaml.safe_load(quote(text)) == text

    def test_what_cannot_be_said_is_not_said_in_another_way(self) -> None:
        with pytest.raises(UnquotableError):
            quote("/srv/a║b")

    def test_people_can_read_it(self) -> None:
        assert quote("/srv/the shop/ünï 😀 日本") == '"/srv/the shop/ünï 😀 日本"'
        assert quote('a"b\\c\n{{d}}') == '"a\\"b\\\\c\\u000A\\u007B\\u007Bd}}"'


def shapes(files: Mapping[str, str], _folder: Path) -> dict[str, str]:
    """Give the keys and kinds of each YAML document, and how many lines are comments; no file is a template."""
    found = {}
    for path, text in files.items():
        assert "{{" not in text, path
        comments = sum(line.lstrip().startswith("#") for line in text.splitlines())
        found[path] = json.dumps([comments, [_kinds(document) for document in yaml.safe_load_all(text)]])
    return found


def _kinds(value: object) -> object:
    match value:
        case dict():
            return {key: _kinds(inner) for key, inner in value.items()}
        case list():
            return [_kinds(inner) for inner in value]
        case _:
            return type(value).__name__


CASE = Case(
    serve=ready,
    call=call_by_proxy(ready),
    client_options=proxy_options,
    allows=False,
    reload=Running.reload,
    hostile=Hostile(
        server=lambda text: {"listen": text["listen"], "upstream": text["upstream"]},
        client=lambda text: {"upstream": text["server"], "server_name": text["server_name"]},
        shape=shapes,
    ),
)
