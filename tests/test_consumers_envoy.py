"""The real Envoy, run from nothing but the rendered files: whom it lets in, whom it believes, and what it tells."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any, get_args

import pytest
import yaml
from consumer_case import Case, Hostile, by_itself, call_by_proxy, proxy_options
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from programs import Running, Version, ask, ask_plain, envoy, eventually, free_port, require, running
from scene import Scene, load

from certgen.consumers.envoy import quote
from certgen.diagnostics import CertgenError

VERSIONS: tuple[Version, ...] = get_args(Version)
TLS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
FOLDER = 'the "shop" \\ #1 {x}: %START_TIME% ünï $(id)'
"""Above every path that is rendered: each of its signs means something to YAML or to Envoy."""
SPEC = """
    version: 1
    name: shop
    cas: {root: , issuing: {issuer: root}}
    defaults: {issuer: issuing}
    servers:
      api:
        sans: [localhost, 127.0.0.1, api.shop.example, "*.api.shop.example"]
        key: {rotation: on-renewal}
        snippets: {envoy: {listen: "127.0.0.1:$api", upstream: "127.0.0.1:$program", allow: [$allow]}}
      open: {sans: localhost, snippets: {envoy: {listen: "127.0.0.1:$open"}}}
      named: {sans: localhost, snippets: {envoy: {listen: "127.0.0.1:$names", allow: [$named]}}}
      elsewhere: {sans: elsewhere.shop.example}
    clients:
      checkout:
        sans: [spiffe://shop.example/checkout, checkout.shop.example]
        snippets:
          envoy: {listen: "127.0.0.1:$checkout", upstream: "127.0.0.1:$server", server_name: eu.api.shop.example}
      by-address: {snippets: {envoy: {listen: "127.0.0.1:$by_address", upstream: "127.0.0.1:$server"}}}
      reporting: {sans: [spiffe://shop.example/reporting, one.team.example, 192.0.2.10]}
    peers:
      mesh:
        sans: [localhost, mesh.shop.example]
        snippets:
          envoy: {listen: "127.0.0.1:$mesh", client: {listen: "127.0.0.1:$outward", upstream: "localhost:$api"}}
"""
STRANGERS = """
    version: 1
    ca:
    servers: {api: {sans: [localhost, 127.0.0.1, eu.api.shop.example]}}
    clients: {checkout: {sans: spiffe://shop.example/checkout}}
"""
PORTS = ("api", "program", "open", "names", "checkout", "server", "by_address", "mesh", "outward")
ALLOWED = ("clients/checkout", "clients/ed25519", "peers/mesh")
KEYS = {"rsa": "rsa-2048", "p384": "ecdsa-p384", "p521": "ecdsa-p521", "ed25519": "ed25519"}
"""A server and a client for each."""
NAMES = {
    "dns": "dns.shop.example",
    "wildcard": "*.team.example",
    "uri": "spiffe://shop.example/uri",
    "mail": "mail@shop.example",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1:0:0:1",
    "mapped": "::ffff:192.0.2.1",
    "compatible": "::192.0.2.1",
    "small": "::1",
}
"""A client for each, known by nothing else."""

Spec = dict[str, Any]


def deployed(spec: Spec, tree: Path) -> str:
    """Write a spec, which YAML's subset JSON is enough for, whose entries are deployed where they are made."""
    for section in ("servers", "clients", "peers"):
        for name, entry in spec[section].items():
            entry["deploy_dir"] = f"{tree}/{section}/{name}"
    return json.dumps(spec)


@dataclass(frozen=True)
class Shop:
    """Two trees on disk, the shop's and that of strangers with the same names, and a port for whoever listens."""

    scene: Scene
    ports: Mapping[str, int]

    def folder(self, address: str) -> Path:
        """Give the folder of an entry, which is where it is deployed too."""
        return self.scene.tree / address

    @contextmanager
    def envoy(self, address: str, port: str, work: Path) -> Iterator[Running]:
        """Run the Envoy of an entry."""
        # Envoy keeps what it logs for ten seconds, unless it is told to write it down sooner.
        options = ["--disable-hot-restart", "--concurrency", "2", "-l", "warning", "--file-flush-interval-msec", "20"]
        command: list[str | Path] = [require("envoy"), "-c", self.folder(address) / "envoy.yaml", *options]
        with running(command, self.ports[port], work / "envoy.log") as started:
            yield started

    def url(self, name: str) -> str:
        """Give the address of a server."""
        return f"https://localhost:{self.ports[name]}/"

    def status(self, name: str, identity: Path | None, version: Version | None = None) -> int | None:
        """Ask a server as somebody."""
        anchors = self.folder("clients/checkout") / "ca.pem"
        return ask(self.url(name), folder=identity, anchors=anchors, version=version).status

    def answers(self, name: str, identity: Path, status: int | None) -> bool:
        """Tell whether a server gives somebody this answer."""
        return self.status(name, identity) == status

    def write(self, *allow: str) -> None:
        """Write the specs; allow: whom the API lets in."""
        named = ", ".join(f"clients/{name}" for name in NAMES)
        text = Template(SPEC).substitute(self.ports, allow=", ".join(allow), named=named)
        spec: Spec = yaml.safe_load(text)
        for name, algorithm in KEYS.items():
            spec["servers"][name] = {"sans": spec["servers"]["api"]["sans"], "key": algorithm}
            spec["clients"][name] = {"sans": f"{name}.shop.example", "key": algorithm}
        for name, san in NAMES.items():
            spec["clients"][name] = {"sans": san}
        self.scene.write(deployed(spec, self.scene.tree))
        self.scene.write(STRANGERS, "strange.yaml")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    scene = Scene(tmp_path_factory.mktemp("envoy") / FOLDER, datetime.now(UTC).replace(microsecond=0))
    made = Shop(scene, {name: free_port() for name in PORTS})
    made.write(*ALLOWED)
    scene.run()
    return made


class _Echo(BaseHTTPRequestHandler):
    """Tells what it was asked, and over which connection. HTTP/1.0: every answer ends its connection."""

    def do_GET(self) -> None:
        told: dict[str, object] = {"headers": {name.lower(): value for name, value in self.headers.items()}}
        if isinstance(self.connection, ssl.SSLSocket):
            certificate: Mapping[str, Any] = self.connection.getpeercert() or {}
            subject = dict(pair[0] for pair in certificate.get("subject", ()))
            told |= {"version": self.connection.version(), "subject": subject.get("commonName")}
            told |= {"serial": certificate.get("serialNumber"), "resumed": self.connection.session_reused}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the one that it replaces
        """Keep quiet."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that leaves: Envoy does where it refuses."""


@contextmanager
def program(port: int, identity: Path | None = None, version: Version | None = None) -> Iterator[None]:
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
    told: Mapping[str, Any]
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
        body = answer.read()
        told = json.loads(body) if body.startswith(b"{") else {}
        serial = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"").serial_number
        return Visit(answer.status, told, serial, secured.session_reused, secured.session)


def caller(identity: Path, version: Version | None = None, ciphers: str | None = None) -> ssl.SSLContext:
    """Make the context of a caller that is somebody."""
    context = ssl.create_default_context(cafile=str(identity / "ca.pem"))
    context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
    context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


REFUSALS = {
    "nobody": ("", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    "a stranger": ("strange/clients/checkout", "unable_to_get_local_issuer_certificate"),
    "a server": ("shop/servers/elsewhere", "unsupported_certificate_purpose"),
    "one who is not named": ("shop/clients/reporting", "SAN_matcher"),
}
"""Where their files are, and the reason."""


@pytest.fixture(scope="module")
def api(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with program(shop.ports["program"]), shop.envoy("servers/api", "api", tmp_path_factory.mktemp("api")) as started:
        yield started


class TestServer:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("allowed", ALLOWED)
    @pytest.mark.usefixtures("api")
    def test_who_is_named_is_let_in(self, shop: Shop, allowed: str, version: Version) -> None:
        assert shop.status("api", shop.folder(allowed), version) == 200

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("who", REFUSALS)
    def test_others_are_refused_and_the_log_says_why(
        self, shop: Shop, api: Running, who: str, version: Version
    ) -> None:
        path, reason = REFUSALS[who]
        identity = shop.scene.output / path if path else None
        before = api.words().count(reason)
        assert shop.status("api", identity, version) != 200
        assert eventually(lambda: api.words().count(reason) > before)
        assert shop.status("api", shop.folder("clients/checkout"), version) == 200

    @pytest.mark.usefixtures("api")
    def test_the_program_is_told_who_connected_and_no_forged_word(self, shop: Shop) -> None:
        context = caller(shop.folder("clients/checkout"))
        forged = {"X-Forwarded-Client-Cert": 'Subject="CN=admin"', "X-Envoy-Max-Retries": "9", "X-Shop": "kept"}
        headers = visit(context, shop.ports["api"], forged).told["headers"]
        told = headers["x-forwarded-client-cert"]
        assert 'Subject="CN=checkout"' in told
        assert "URI=spiffe://shop.example/checkout;DNS=checkout.shop.example" in told
        assert "admin" not in told
        assert headers["x-shop"] == "kept"
        assert "x-envoy-max-retries" not in headers

    @pytest.mark.usefixtures("api")
    def test_no_word_arrives_that_a_program_takes_for_the_one_that_is_sanitized(self, shop: Shop) -> None:
        """To CGI and its heirs, a header with underscores is the one with dashes."""
        context = caller(shop.folder("clients/checkout"))
        forged = {"X_Forwarded_Client_Cert": 'Subject="CN=admin"', "X-Shop": "kept"}
        headers = visit(context, shop.ports["api"], forged).told["headers"]
        assert headers["x-shop"] == "kept"
        assert "admin" not in json.dumps(headers)

    @pytest.mark.usefixtures("api")
    def test_under_tls_1_2_only_ciphers_with_forward_secrecy_and_integrity_serve(self, shop: Shop) -> None:
        identity, port = shop.folder("clients/checkout"), shop.ports["api"]
        with pytest.raises(ssl.SSLError):
            visit(caller(identity, "1.2", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"), port)
        assert visit(caller(identity, "1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"), port).status == 200

    @pytest.mark.usefixtures("api")
    def test_whoever_is_named_anew_is_let_in_at_once_and_no_longer_when_the_name_goes(self, shop: Shop) -> None:
        reporting = shop.folder("clients/reporting")
        assert shop.status("api", reporting) != 200
        for allow in ((*ALLOWED, "clients/reporting"), ALLOWED):
            shop.write(*allow)
            applied, _ = shop.scene.run()
            assert applied.touched == {"servers/api/envoy/trust.yaml", "manifest.json"}
            wanted = 200 if "clients/reporting" in allow else None
            assert eventually(partial(shop.answers, "api", reporting, wanted))
            assert shop.status("api", shop.folder("clients/checkout")) == 200

    @pytest.mark.usefixtures("api")
    def test_a_renewal_under_load_fails_no_request(self, shop: Shop) -> None:
        anchors = shop.folder("clients/checkout") / "ca.pem"
        context, port = caller(shop.folder("clients/checkout")), shop.ports["api"]
        before, statuses, done = visit(context, port).serial, [], threading.Event()

        def keep_asking() -> None:
            while not done.is_set():
                statuses.append(ask(shop.url("api"), folder=shop.folder("clients/checkout"), anchors=anchors).status)

        threads = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            applied, _ = shop.scene.run(renew=["shop/servers/api"])
            wanted = load(shop.folder("servers/api") / "cert.pem").serial_number
            assert wanted != before
            is_served = eventually(lambda: visit(context, port).serial == wanted)
            asked = len(statuses)
            assert eventually(lambda: len(statuses) > asked + 20)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert is_served
        assert set(statuses) == {200}
        # The key is a new one too, and not one snippet.
        assert applied.touched == {"servers/api/key.pem", "servers/api/cert.pem", "manifest.json"}


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


@pytest.fixture(scope="class")
def bare(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shop.envoy("servers/open", "open", tmp_path_factory.mktemp("open")) as started:
        yield started


class TestOpenServer:
    """A server without `allow` and without a program behind it."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", KEYS)
    @pytest.mark.usefixtures("bare")
    def test_a_client_is_let_in_whatever_its_key(self, shop: Shop, name: str, version: Version) -> None:
        assert shop.status("open", shop.folder(f"clients/{name}"), version) == 200

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("bare")
    def test_strangers_are_refused(self, shop: Shop, version: Version) -> None:
        for identity in (None, shop.scene.output / "strange/clients/checkout", shop.folder("servers/elsewhere")):
            assert shop.status("open", identity, version) != 200
        assert shop.status("open", shop.folder("clients/reporting"), version) == 200

    @pytest.mark.usefixtures("bare")
    def test_the_answer_says_who_connected(self, shop: Shop) -> None:
        identity = shop.folder("clients/checkout")
        answer = ask(shop.url("open"), folder=identity, anchors=identity / "ca.pem", version="1.3")
        names = ("x-peer-subject", "x-peer-uri", "x-peer-dns", "x-tls-version")
        expected = ["CN=checkout", "spiffe://shop.example/checkout", "checkout.shop.example", "TLSv1.3"]
        assert [answer.headers[name] for name in names] == expected

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("bare")
    def test_no_session_is_resumed(self, shop: Shop, version: Version) -> None:
        context, port = caller(shop.folder("clients/checkout"), version), shop.ports["open"]
        first = visit(context, port)
        assert (first.status, visit(context, port, session=first.session).resumed) == (200, False)

    def test_it_has_nothing_to_complain_of(self, shop: Shop, bare: Running) -> None:
        assert shop.status("open", shop.folder("clients/checkout")) == 200
        assert eventually(lambda: '"CN=checkout"' in bare.words())
        assert [line for line in bare.words().splitlines() if not line.startswith("{")] == []


@pytest.fixture(scope="class")
def named(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shop.envoy("servers/named", "names", tmp_path_factory.mktemp("named")) as started:
        yield started


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.usefixtures("named")
    def test_a_caller_is_known_by_a_name_of_any_kind(self, shop: Shop, name: str) -> None:
        assert shop.status("names", shop.folder(f"clients/{name}")) == 200

    @pytest.mark.parametrize("name", ["reporting", "checkout", "ed25519"])
    @pytest.mark.usefixtures("named")
    def test_who_is_not_named_is_refused_and_a_wildcard_names_nobody_below_it(self, shop: Shop, name: str) -> None:
        assert shop.status("names", shop.folder(f"clients/{name}")) != 200


class TestTraps:
    """The same files without what keeps Envoy safe: the tests above would notice that it is missing."""

    def test_without_the_switches_a_session_is_resumed(self, shop: Shop, tmp_path: Path) -> None:
        configuration = shop.folder("servers/open") / "envoy.yaml"
        with edited(configuration, ".*session_resumption.*"), shop.envoy("servers/open", "open", tmp_path):
            for version in VERSIONS:
                context, port = caller(shop.folder("clients/checkout"), version), shop.ports["open"]
                assert visit(context, port, session=visit(context, port).session).resumed is True

    def test_without_the_signature_algorithms_ed25519_is_refused(self, shop: Shop, tmp_path: Path) -> None:
        configuration = shop.folder("servers/open") / "envoy.yaml"
        lines = ".*signature_algorithms:|.*- (ecdsa_|rsa_|ed25519).*"
        with edited(configuration, lines), shop.envoy("servers/open", "open", tmp_path):
            assert shop.status("open", shop.folder("clients/ed25519")) != 200
            assert shop.status("open", shop.folder("clients/rsa")) == 200

    def test_without_anchors_everybody_is_let_in(self, shop: Shop, tmp_path: Path) -> None:
        trust = shop.folder("servers/open") / "envoy" / "trust.yaml"
        with edited(trust, ".*(trusted_ca|watched_directory).*"), shop.envoy("servers/open", "open", tmp_path):
            assert shop.status("open", shop.scene.output / "strange/clients/checkout") == 200
            assert shop.status("open", None) == 200

    @pytest.mark.parametrize(
        ("name", "pattern", "replacement"),
        [
            ("ca.pem", "(?s).+", ""),
            ("ca.pem", "M", "?"),
            ("envoy/trust.yaml", "(?s).+", "resources: []"),
            ("envoy/trust.yaml", "name: .*", "name: another"),
            ("envoy/trust.yaml", "ca.pem", "gone.pem"),
        ],
        ids=["no anchors", "damaged anchors", "no secret", "another secret", "no file of anchors"],
    )
    def test_where_the_trust_cannot_be_loaded_nobody_is_let_in(
        self, shop: Shop, tmp_path: Path, name: str, pattern: str, replacement: str
    ) -> None:
        path = shop.folder("servers/open") / name
        identities = (None, shop.folder("clients/reporting"), shop.scene.output / "strange/clients/checkout")
        with edited(path, pattern, replacement), shop.envoy("servers/open", "open", tmp_path) as started:
            assert [shop.status("open", identity) for identity in identities] == [None, None, None]
            assert eventually(lambda: "Secret_is_not_supplied_by_SDS" in started.words())


@pytest.fixture(scope="module")
def checkout(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shop.envoy("clients/checkout", "checkout", tmp_path_factory.mktemp("checkout")) as started:
        yield started


class TestClient:
    """The client asks for eu.api.shop.example, which only a wildcard covers, at a server on this machine."""

    def asked(self, shop: Shop, name: str = "checkout") -> tuple[int | None, Any]:
        answer = ask_plain(f"http://127.0.0.1:{shop.ports[name]}/")
        return answer.status, json.loads(answer.body) if answer.status == 200 else {}

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.usefixtures("checkout")
    def test_it_shows_its_certificate_and_reaches_the_server(self, shop: Shop, version: Version) -> None:
        with program(shop.ports["server"], shop.folder("servers/api"), version):
            status, told = self.asked(shop)
        assert (status, told["version"], told["subject"]) == (200, f"TLSv{version}", "checkout")
        assert told["headers"]["host"] == "eu.api.shop.example"

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", KEYS)
    @pytest.mark.usefixtures("checkout")
    def test_a_server_is_believed_whatever_its_key(self, shop: Shop, name: str, version: Version) -> None:
        with program(shop.ports["server"], shop.folder(f"servers/{name}"), version):
            assert self.asked(shop)[0] == 200

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "reason"),
        [
            ("shop/servers/elsewhere", "SAN_matcher"),
            ("strange/servers/api", "self_signed_certificate_in_certificate_chain"),
            ("shop/clients/rsa", "unsupported_certificate_purpose"),
        ],
    )
    def test_another_server_is_not_and_the_log_says_why(
        self, shop: Shop, checkout: Running, who: str, reason: str, version: Version
    ) -> None:
        before = checkout.words().count(reason)
        with program(shop.ports["server"], shop.scene.output / who, version):
            assert self.asked(shop)[0] == 503
        assert eventually(lambda: checkout.words().count(reason) > before)
        with program(shop.ports["server"], shop.folder("servers/api"), version):
            assert self.asked(shop)[0] == 200

    @pytest.mark.usefixtures("checkout")
    def test_no_session_is_resumed(self, shop: Shop) -> None:
        with program(shop.ports["server"], shop.folder("servers/api")):
            assert [self.asked(shop)[1]["resumed"] for _ in range(3)] == [False, False, False]

    @pytest.mark.usefixtures("checkout")
    def test_a_renewed_certificate_is_shown_without_a_failed_request(self, shop: Shop) -> None:
        with program(shop.ports["server"], shop.folder("servers/api")):
            before = self.asked(shop)[1]["serial"]
            shop.scene.run(renew=["shop/clients/checkout"])
            wanted = load(shop.folder("clients/checkout") / "cert.pem").serial_number
            seen: list[tuple[int | None, Any]] = []

            def is_shown() -> bool:
                seen.append(self.asked(shop))
                return int(seen[-1][1].get("serial", "0"), 16) == wanted

            assert eventually(is_shown)
        assert {status for status, _ in seen} == {200}
        assert int(before, 16) != wanted

    def test_an_ip_address_is_checked_too(self, shop: Shop, tmp_path: Path) -> None:
        with shop.envoy("clients/by-address", "by_address", tmp_path):
            for name, expected in (("elsewhere", 503), ("api", 200)):
                with program(shop.ports["server"], shop.folder(f"servers/{name}")):
                    status, told = self.asked(shop, "by_address")
                    assert status == expected
        assert told["headers"]["host"] == "127.0.0.1"


class TestClientTraps:
    def test_without_the_names_any_server_of_the_ca_is_believed(self, shop: Shop, tmp_path: Path) -> None:
        trust = shop.folder("clients/by-address") / "envoy" / "upstream-trust.yaml"
        with (
            edited(trust, ".*(match_typed|san_type).*"),
            shop.envoy("clients/by-address", "by_address", tmp_path),
            program(shop.ports["server"], shop.folder("servers/elsewhere")),
        ):
            assert ask_plain(f"http://127.0.0.1:{shop.ports['by_address']}/").status == 200

    def test_without_the_switch_a_session_is_resumed(self, shop: Shop, tmp_path: Path) -> None:
        configuration = shop.folder("clients/by-address") / "envoy.yaml"
        with (
            edited(configuration, ".*max_session_keys.*"),
            shop.envoy("clients/by-address", "by_address", tmp_path),
            program(shop.ports["server"], shop.folder("servers/api")),
        ):
            bodies = [ask_plain(f"http://127.0.0.1:{shop.ports['by_address']}/").body for _ in range(3)]
            assert any(json.loads(body)["resumed"] for body in bodies)


@pytest.mark.usefixtures("api")
def test_a_peer_is_a_server_and_a_client(shop: Shop, tmp_path: Path) -> None:
    with shop.envoy("peers/mesh", "mesh", tmp_path):
        assert shop.status("mesh", shop.folder("clients/checkout")) == 200
        assert shop.status("mesh", None) != 200
        answer = ask_plain(f"http://127.0.0.1:{shop.ports['outward']}/")
    assert answer.status == 200
    assert 'Subject="CN=mesh"' in json.loads(answer.body)["headers"]["x-forwarded-client-cert"]


class TestFiles:
    FORMS = """
        version: 1
        ca:
        servers:
          plain: {sans: localhost, snippets: envoy}
          six: {sans: localhost, snippets: {envoy: {listen: "[::]:8443", upstream: "[::1]:8080", allow: clients/named}}}
          named: {sans: localhost, snippets: {envoy: {listen: "192.0.2.1:443", upstream: "shop.example:8080"}}}
        clients:
          named: {sans: name.example, snippets: {envoy: {upstream: "localhost:8443"}}}
          six: {snippets: {envoy: {listen: "[::1]:8080", upstream: "[2001:db8::1]:8443"}}}
        peers:
          both: {sans: both.example, snippets: {envoy: {client: {upstream: "localhost:8443"}}}}
          half: {sans: half.example, snippets: envoy}
    """

    def validated(self, path: Path) -> str:
        """Have Envoy judge a configuration, and give what it says."""
        command: list[str | Path] = [require("envoy"), "--mode", "validate", "-l", "warning", "-c", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return f"{done.returncode}: {done.stdout}{done.stderr}".strip()

    @pytest.fixture
    def tree(self, scene: Scene) -> Path:
        scene.write(deployed(yaml.safe_load(self.FORMS), scene.tree))
        scene.run()
        return scene.tree

    def test_envoy_has_nothing_to_say_against_any_form_of_them(self, tree: Path) -> None:
        configurations = sorted(tree.glob("*/*/envoy.yaml"))
        assert len(configurations) == 7
        for path in configurations:
            assert self.validated(path) == f"0: configuration '{path}' OK"

    def test_envoy_would_complain_of_what_is_out_of_date_or_unknown(self, tree: Path) -> None:
        path = tree / "clients/six/envoy.yaml"
        with edited(path, "max_session_keys: 0", "enforce_rsa_key_usage: true"):
            assert "deprecated" in self.validated(path)
        with edited(path, "max_session_keys", "maximal_session_keys"):
            assert self.validated(path).startswith("1: ")


CALLERS = """\
    version: 1
    ca:
    servers:
      api: {{sans: localhost, snippets: {{envoy: {options}}}}}
    clients:
      one: {{sans: {one}}}
      two: {{sans: {two}}}
"""


def problems(scene: Scene, text: str) -> list[tuple[str, str]]:
    scene.write(text)
    try:
        loaded = scene.load()
    except CertgenError as caught:
        return [(problem.code, problem.message) for problem in caught.diagnostics]
    return [(problem.code, problem.message) for item in loaded for problem in item.warnings]


class TestJudge:
    def callers(self, scene: Scene, one: str, two: str, options: str = "{allow: clients/one}") -> list[tuple[str, str]]:
        return problems(scene, CALLERS.format(one=one, two=two, options=options))

    def test_who_has_a_name_of_its_own_can_be_named(self, scene: Scene) -> None:
        assert self.callers(scene, "[one.example, shared.example]", "shared.example") == []

    def test_who_has_no_name_cannot(self, scene: Scene) -> None:
        message = "Envoy knows a client by its names, and clients/one has none"
        assert self.callers(scene, "[]", "two.example") == [("no-identity", message)]

    @pytest.mark.parametrize("two", ["shared.example", '"*.example"'])
    def test_who_shares_every_name_with_one_who_is_kept_out_cannot(self, scene: Scene, two: str) -> None:
        message = "Envoy cannot tell clients/one from clients/two: all its names are borne there too"
        assert self.callers(scene, "shared.example", two) == [("same-identity", message)]
        assert self.callers(scene, "shared.example", two, "{allow: [clients/one, clients/two]}") == []

    def test_it_listens_at_an_address(self, scene: Scene) -> None:
        message = "Envoy listens at an address, and `localhost` is a name"
        assert self.callers(scene, "one.example", "[]", '{listen: "localhost:8443"}') == [("bad-endpoint", message)]
        assert self.callers(scene, "one.example", "[]", '{listen: "127.0.0.1:8443"}') == []

    @pytest.mark.parametrize(
        ("section", "lacking", "complete"),
        [
            ("clients", "{}", "{upstream: 'localhost:1'}"),
            ("clients", "{server_name: localhost}", "{server_name: localhost, upstream: '127.0.0.1:1'}"),
            ("peers", "{client: {}}", "{client: {upstream: 'localhost:1'}}"),
        ],
    )
    def test_a_client_needs_its_server(self, scene: Scene, section: str, lacking: str, complete: str) -> None:
        text = (
            f"version: 1\nca:\nservers: {{api: {{sans: localhost}}}}\n{section}:\n  one: {{sans: localhost, snippets: "
        )
        expected = [("missing-option", "Envoy needs the server that it connects to")]
        assert problems(scene, f"{text}{{envoy: {lacking}}}}}\n") == expected
        assert problems(scene, f"{text}{{envoy: {complete}}}}}\n") == []

    def test_a_peer_is_no_client_unless_it_is_asked(self, scene: Scene) -> None:
        assert problems(scene, "version: 1\nca:\npeers: {one: {sans: localhost, snippets: envoy}}\n") == []

    def test_whoever_listens_for_a_client_is_local_and_has_an_address(self, scene: Scene) -> None:
        text = "version: 1\nca:\nclients:\n  one: {snippets: {envoy: {upstream: 'a.example:1', listen: 'b.example:1'}}}"
        assert {code for code, _ in problems(scene, text)} >= {"open-proxy", "bad-endpoint"}


class TestQuote:
    @given(st.text())
    def test_every_text_is_read_back_from_one_line(self, text: str) -> None:
        written = quote(text)
        assert len(written.splitlines()) == 1
        assert yaml.safe_load(written) == text
        assert yaml.safe_load(f"{{a: {written}, b: [{written}]}} # {text.isascii()}") == {"a": text, "b": [text]}

    @pytest.mark.parametrize("text", ["", " ", "true", "null", "~", "1e3", "12:30", "0x1f", "- a", "a: b", "a #b"])
    def test_what_yaml_would_take_for_something_else(self, text: str) -> None:
        assert yaml.safe_load(quote(text)) == text

    @pytest.mark.parametrize(
        "character", "\"\\'{}[]%$\0\t\r\n\x1b\x7f\x85\u2028\u2029\u202e\u200f\ufeff\ufffe\ud800é😀"
    )
    def test_what_yaml_would_trip_over(self, character: str) -> None:
        assert yaml.safe_load(quote(f"a{character}b")) == f"a{character}b"
        assert len(quote(f"a{character}b").splitlines()) == 1

    def test_people_can_read_it(self) -> None:
        assert quote("/srv/the shop/ünï 😀 日本") == '"/srv/the shop/ünï 😀 日本"'
        assert quote('a"b\\c\nd\u2028') == '"a\\"b\\\\c\\u000Ad\\u2028"'


def bootstrapped(folder: Path, port: int, work: Path) -> AbstractContextManager[Running]:
    return envoy(folder / "envoy.yaml", port, work)


def shapes(files: Mapping[str, str], _folder: Path) -> dict[str, str]:
    """Give the keys and kinds of each YAML document, and how many lines are comments."""
    found = {}
    for path, text in files.items():
        comments = sum(line.lstrip().startswith("#") for line in text.splitlines())
        documents = [_kinds(document) for document in yaml.safe_load_all(text)]
        assert not [event for event in yaml.parse(text) if getattr(event, "anchor", None)]
        found[path] = json.dumps([comments, documents])
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
    serve=bootstrapped,
    call=call_by_proxy(bootstrapped),
    client_options=proxy_options,
    reload=by_itself,
    hostile=Hostile(
        server=lambda text: {"listen": text["listen"], "upstream": text["upstream"], "allow": [text["allow"]]},
        client=lambda text: {"upstream": text["server"], "server_name": text["server_name"]},
        shape=shapes,
    ),
)
