"""The Python module on the real Python: what is rendered is run as it is, and meets friends and strangers."""

from __future__ import annotations

import ast
import asyncio
import gc
import http.client
import importlib.util
import json
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from consumer_case import Case, Hostile, Visit, by_itself
from consumers_go import certgen_apply, hammering
from cryptography import x509
from programs import Answer, Running, Version, ask, eventually, free_port, running
from samples import one_in
from scene import Scene, load

STRANGE = "self-signed certificate in certificate chain"
"""What OpenSSL says of one who sends along a root that is not trusted."""

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random value by which a server asks a client to say hello again (RFC 8446 4.1.3)."""


def pythons() -> list[str]:
    """Give this Python, and 3.13 where it is: a command of that name may be a shim with nothing behind it."""
    newer = shutil.which("python3.13")
    works = newer is not None and subprocess.run([newer, "-c", ""], capture_output=True, check=False).returncode == 0
    return [sys.executable, *([newer] if newer is not None and works else [])]


PYTHONS = pythons()

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root CA, subject: {organization: "Shop \\"R\\" Söhne", country: NL}}
      issuing: {issuer: root, common_name: Shop Issuing CA}
      second: {issuer: root, common_name: Shop Second CA}
      other: {common_name: Other Root CA}
    defaults: {issuer: issuing}
    servers:
      api:
        sans: [localhost, 127.0.0.1, "*.apps.shop.example"]
        trust: root
        deploy_dir: TREE/servers/api
        snippets:
          python:
            example: true
            allow:
            - clients/checkout
            - clients/workload
            - clients/meter
            - clients/mapped
            - clients/mailer
            - clients/legacy
            - peers/node
      open:
        sans: [localhost, 127.0.0.1]
        trust: root
        deploy_dir: TREE/servers/open
        snippets: {python: {example: true}}
      foreign:
        issuer: other
        sans: [localhost, 127.0.0.1]
        trust: other
    clients:
      checkout:
        sans: [checkout.shop.example, shared.shop.example]
        trust: root
        deploy_dir: TREE/clients/checkout
        snippets: {python: {example: true}}
      workload: {sans: ["spiffe://shop.example/workload"]}
      meter: {sans: ["2001:db8::7"]}
      mapped: {sans: ["::ffff:192.0.2.7"]}
      mailer: {sans: [mailer@shop.example]}
      legacy: {common_name: 'Legacy, "Inc." #1', subject: {organization: Söhne & Co, domain_component: [example, shop]}}
      mallory: {sans: [mallory.shop.example, shared.shop.example]}
      legacy-2:
        common_name: 'Legacy, "Inc." #1'
        subject: {organization: Söhne & Co, domain_component: [example, shop]}
        issuer: second
      nameless: {common_name: Nameless}
      alien: {issuer: other, common_name: checkout, sans: [checkout.shop.example]}
    peers:
      node:
        sans: [node.shop.example, localhost]
        deploy_dir: TREE/peers/node
        snippets: {python: {allow: clients/checkout, example: true}}
"""
ALLOWED = ("checkout", "workload", "meter", "mapped", "mailer", "legacy")
SOUND_AND_KEPT_OUT = ("mallory", "legacy-2", "nameless")


@dataclass(frozen=True)
class Site:
    """A server that runs, and the tree of those who ask it."""

    port: int
    tree: Path
    started: Running

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/"

    def ask(self, caller: str | None, version: Version | None = None, anchors: str = "clients/checkout") -> Answer:
        """Ask as an entry of the tree, or as nobody."""
        folder = self.tree / caller if caller else None
        return ask(self.url, folder=folder, anchors=self.tree / anchors / "ca.pem", version=version)

    def refuses(self, caller: str | None, words: str, version: Version | None = None) -> bool:
        """Tell whether a caller is refused and the server says why."""
        known = len(self.started.words())
        if self.ask(caller, version).status == 200:
            return False
        return eventually(lambda: words in self.started.words()[known:])

    def serial(self) -> int:
        """Give the serial number of the certificate that a new connection is shown."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            context = plain_client(self.tree / "clients/checkout")
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return serial_of(secure)


def serial_of(connection: ssl.SSLSocket | ssl.SSLObject) -> int:
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def plain_client(folder: Path, version: Version | None = None) -> ssl.SSLContext:
    """Make a client of the tests' own, which owes nothing to what is rendered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
    return context


def plain_server(folder: Path) -> ssl.SSLContext:
    """Make a server with all that is rendered left out: the control."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@contextmanager
def serving(
    folder: Path, tree: Path, log: Path, *, python: str = sys.executable, at: Path | None = None
) -> Iterator[Site]:
    """Run a server of the examples; on the folder that it was rendered for, unless another is given."""
    port = free_port()
    other = ["--folder", str(at)] if at else []
    with running([python, folder / "python/server.py", "--listen", f"127.0.0.1:{port}", *other], port, log) as started:
        yield Site(port, tree, started)


def client(folder: Path, *arguments: str | Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [python, folder / "python/client.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def imported(folder: Path) -> ModuleType:
    """Import what was rendered for an entry, each time anew."""
    spec = importlib.util.spec_from_file_location("mtls", folder / "python/mtls.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Talk:
    """A client and a server with nothing but memory between them."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._to_server, self._to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self._to_server, self._to_client, server_side=True)
        self.client = client.wrap_bio(self._to_client, self._to_server, server_hostname=name, session=session)
        self.is_retried = False

    def shake(self) -> Talk:
        """Shake hands, to the end of both."""
        waiting = [self.client, self.server]
        while waiting:
            for side in (self.client, self.server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                    waiting = [other for other in waiting if other is not side]
                    continue
                gc.collect()
                self._look()
        return self

    def say(self) -> None:
        """Let each side hear of the other, so that tickets come too."""
        self.client.write(b"hello")
        assert self.server.read() == b"hello"
        self.server.write(b"welcome")
        assert self.client.read() == b"welcome"

    def _look(self) -> None:
        pending = self._to_client.read()
        self.is_retried = self.is_retried or RETRY in pending
        self._to_client.write(pending)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The tree of all tests that change nothing."""
    scene = Scene(tmp_path_factory.mktemp("shop"), datetime.now(UTC).replace(microsecond=0))
    scene.write(SPEC.replace("TREE", str(scene.tree)))
    scene.run()
    return scene


@pytest.fixture
def own_shop(scene: Scene) -> Scene:
    """A tree of one test's own, to be changed."""
    scene.now = datetime.now(UTC).replace(microsecond=0)
    scene.write(SPEC.replace("TREE", str(scene.tree)))
    scene.run()
    return scene


@pytest.fixture(scope="module", params=PYTHONS, ids=lambda path: Path(path).name)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def api(shop: Scene, python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    log = tmp_path_factory.mktemp("api") / "log"
    with serving(shop.tree / "servers/api", shop.tree, log, python=python) as site:
        yield site


@pytest.fixture(scope="module")
def open_site(shop: Scene, python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    log = tmp_path_factory.mktemp("open") / "log"
    with serving(shop.tree / "servers/open", shop.tree, log, python=python) as site:
        yield site


class TestServer:
    """The server for some: each refusal is followed by a client that is let in."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", ALLOWED)
    def test_who_is_allowed_is_let_in(self, api: Site, name: str, version: Version) -> None:
        answer = api.ask(f"clients/{name}", version)
        assert (answer.status, answer.error) == (200, "")
        assert answer.body.endswith(f" by TLSv{version}\n")

    def test_it_says_who_asks(self, api: Site) -> None:
        assert api.ask("clients/checkout").body == "commonName=checkout by TLSv1.3\n"

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "words"),
        [
            (None, "peer did not return a certificate"),
            ("clients/alien", "unable to get local issuer certificate"),
            ("servers/open", "unsuitable certificate purpose"),
            *((f"clients/{name}", " is not let in") for name in SOUND_AND_KEPT_OUT),
        ],
    )
    def test_others_are_refused_and_the_log_says_why(
        self, api: Site, who: str | None, words: str, version: Version
    ) -> None:
        assert api.refuses(who, words, version)
        assert api.ask("clients/checkout", version).status == 200

    def test_a_refusal_names_the_stranger(self, api: Site) -> None:
        assert api.refuses(
            "clients/mallory",
            "mtls: ['commonName=mallory'] with the names ['DNS:mallory.shop.example', 'DNS:shared.shop.example'] is",
        )

    def test_without_allow_whoever_is_trusted_is_let_in(self, open_site: Site) -> None:
        assert [open_site.ask(f"clients/{name}").status for name in SOUND_AND_KEPT_OUT] == [200, 200, 200]
        assert open_site.refuses("clients/alien", "unable to get local issuer certificate")

    @pytest.mark.parametrize("older", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_an_older_version_is_refused(self, api: Site, shop: Scene, older: ssl.TLSVersion) -> None:
        context = plain_client(shop.tree / "clients/checkout")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = older
        connection = http.client.HTTPSConnection("localhost", api.port, timeout=10, context=context)
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            connection.request("GET", "/")
        connection.close()

    def test_one_who_says_nothing_keeps_nobody_waiting(self, api: Site) -> None:
        with socket.create_connection(("127.0.0.1", api.port)):
            assert api.ask("clients/checkout").status == 200

    def test_it_ends_when_it_is_asked_to(self, shop: Scene, python: str, tmp_path: Path) -> None:
        program = shop.tree / "servers/open/python/server.py"
        log = tmp_path / "log"
        command: list[str | Path] = [python, program, "--listen", f"127.0.0.1:{free_port()}"]
        with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
            try:
                assert eventually(lambda: b"listening on" in log.read_bytes())
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            finally:
                process.kill()

    @pytest.mark.parametrize("missing", ["cert.pem", "key.pem", "ca.pem"])
    def test_no_context_is_made_without_a_file(self, shop: Scene, tmp_path: Path, missing: str) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "servers/open", folder)
        assert imported(folder).server_context(folder)
        (folder / missing).unlink()
        with pytest.raises(FileNotFoundError, match=missing):
            imported(folder).server_context(folder)

    def test_nobody_is_asked_for_a_passphrase(self, shop: Scene, tmp_path: Path) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "servers/open", folder)
        key, sealed = folder / "key.pem", tmp_path / "sealed.pem"
        command = ["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(sealed), "-passout", "pass:secret"]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        shutil.copy(sealed, key)
        with pytest.raises(ssl.SSLError):
            imported(folder).server_context(folder)


class TestContexts:
    """The contexts in the hands of programs other than the examples."""

    def test_a_caller_is_let_in_and_a_stranger_is_not(self, shop: Scene) -> None:
        context = imported(shop.tree / "servers/api").server_context()
        Talk(context, plain_client(shop.tree / "clients/checkout")).shake().say()
        with pytest.raises(ssl.SSLCertVerificationError, match=r"mtls: .*mallory.* is not let in"):
            Talk(context, plain_client(shop.tree / "clients/mallory")).shake()

    def test_nobody_gets_round_the_question_who_it_is(self, shop: Scene) -> None:
        """OpenSSL shakes hands with the first byte that is read, if nobody has asked it to before."""
        context = imported(shop.tree / "servers/api").server_context()
        for use in ("read", "write"):
            talk = Talk(context, plain_client(shop.tree / "clients/mallory"))
            act = talk.server.read if use == "read" else partial(talk.server.write, b"secret")
            with pytest.raises(ssl.SSLCertVerificationError, match="is not let in"):  # noqa: PT012 - in turns
                while True:
                    for step in (talk.client.do_handshake, act):
                        with suppress(ssl.SSLWantReadError):
                            step()
            with pytest.raises(ssl.SSLCertVerificationError, match="is not let in"):
                act()

    def test_a_connection_is_wrapped_with_its_handshake_or_not_at_all(self, shop: Scene) -> None:
        context = imported(shop.tree / "servers/api").server_context()
        near, far = socket.socketpair()
        with near, far, pytest.raises(ValueError, match="the handshake comes first"):
            context.wrap_socket(near, server_side=True, do_handshake_on_connect=False)

    @pytest.mark.parametrize(("name", "is_allowed"), [("checkout", True), ("mallory", False)])
    def test_a_socket_that_listens_judges_what_it_accepts(self, shop: Scene, name: str, is_allowed: bool) -> None:
        context = imported(shop.tree / "servers/api").server_context()
        found: list[object] = []

        def accept(listener: ssl.SSLSocket) -> None:
            try:
                connection, _ = listener.accept()
            except ssl.SSLError as error:
                found.append(str(error))
            else:
                with connection:
                    found.append(connection.recv(5))

        with socket.create_server(("127.0.0.1", 0)) as plain, context.wrap_socket(plain, server_side=True) as listener:
            thread = threading.Thread(target=accept, args=[listener])
            thread.start()
            caller = plain_client(shop.tree / f"clients/{name}")
            with (
                socket.create_connection(listener.getsockname()) as connection,
                caller.wrap_socket(connection, server_hostname="localhost") as secure,
                suppress(OSError),
            ):
                secure.sendall(b"hello")
            thread.join()
        (answer,) = found
        assert answer == b"hello" if is_allowed else "is not let in" in str(answer)

    def test_asyncio_takes_both(self, shop: Scene) -> None:
        server = imported(shop.tree / "servers/api").server_context()
        client = imported(shop.tree / "clients/checkout").client_context()
        for context in (server, client):
            context.set_alpn_protocols(["shop/1"])

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async def call(port: int, context: ssl.SSLContext) -> tuple[bytes, str | None]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
            try:
                writer.write(b"hello\n")
                return await reader.readline(), writer.get_extra_info("ssl_object").selected_alpn_protocol()
            finally:
                writer.close()

        async def meet() -> tuple[object, object, list[str]]:
            complaints: list[str] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(str(said)))
            async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server) as listening:
                port = listening.sockets[0].getsockname()[1]
                friend = await call(port, client)
                stranger = await asyncio.gather(
                    call(port, plain_client(shop.tree / "clients/mallory")), return_exceptions=True
                )
            return friend, stranger[0], complaints

        friend, stranger, complaints = asyncio.run(meet())
        assert friend == (b"hello\n", "shop/1")
        assert isinstance(stranger, OSError) or stranger == (b"", None)
        assert len(complaints) <= 1

    def test_what_is_set_on_a_context_weakens_nothing(self, shop: Scene) -> None:
        server = imported(shop.tree / "servers/open").server_context()
        server.verify_mode = ssl.CERT_NONE
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.load_verify_locations(shop.tree / "clients/checkout/ca.pem")
        with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
            Talk(server, nobody).shake()
        client = imported(shop.tree / "clients/checkout").client_context()
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate is not valid for"):
            Talk(plain_server(shop.tree / "servers/open"), client, "other.example").shake()
        Talk(server, client).shake().say()

    def test_a_client_that_has_to_say_hello_twice_is_served(self, shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        module = imported(shop.tree / "servers/api")
        known = Talk(module.server_context(), plain_client(shop.tree / "clients/checkout")).shake()
        assert known.is_retried is False
        strict = module._make_strict

        def stricter(context: ssl.SSLContext) -> None:
            strict(context)
            context.set_ecdh_curve("secp384r1")

        monkeypatch.setattr(module, "_make_strict", stricter)
        talk = Talk(module.server_context(), plain_client(shop.tree / "clients/checkout")).shake()
        talk.say()
        assert talk.is_retried is True

    @pytest.mark.parametrize("version", VERSIONS)
    def test_no_session_is_resumed(self, shop: Scene, version: Version) -> None:
        """A session would outlive what let it in; a server that allows it is the control."""
        found = []
        for server in (imported(shop.tree / "servers/open").server_context(), plain_server(shop.tree / "servers/open")):
            caller, session = plain_client(shop.tree / "clients/checkout", version), None
            for _ in range(2):
                talk = Talk(server, caller, session=session).shake()
                talk.say()
                session = talk.client.session
            found.append(talk.client.session_reused)
        assert found == [False, True]

    def test_a_client_resumes_none(self, shop: Scene) -> None:
        client = imported(shop.tree / "clients/checkout").client_context()
        server = plain_server(shop.tree / "servers/open")
        first = Talk(server, client).shake()
        first.say()
        second = Talk(server, client, session=first.client.session).shake()
        second.say()
        assert second.client.session_reused is False

    def test_two_roots_are_trusted(self, shop: Scene, tmp_path: Path) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "servers/open", folder)
        context = imported(folder).server_context(folder)
        alien = plain_client(shop.tree / "clients/alien")
        alien.load_verify_locations(shop.tree / "clients/checkout/ca.pem")
        with pytest.raises(ssl.SSLCertVerificationError, match=STRANGE):
            Talk(context, alien).shake()
        roots = [shop.tree / "cas/root/cert.pem", shop.tree / "cas/other/cert.pem"]
        (folder / "ca.pem").write_bytes(b"".join(root.read_bytes() for root in roots))
        Talk(context, alien).shake().say()
        Talk(context, plain_client(shop.tree / "clients/checkout")).shake().say()


class TestClient:
    def test_it_prints_status_and_body(self, shop: Scene, api: Site, python: str) -> None:
        done = client(shop.tree / "clients/checkout", api.url, python=python)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200 OK\ncommonName=checkout by TLSv1.3\n", "")

    def test_an_address_is_a_name_too(self, shop: Scene, api: Site, python: str) -> None:
        folder = shop.tree / "clients/checkout"
        assert client(folder, f"https://127.0.0.1:{api.port}/", python=python).returncode == 0
        done = client(folder, "--name", "127.0.0.2", f"https://127.0.0.1:{api.port}/", python=python)
        assert done.returncode == 1
        assert "IP address mismatch, certificate is not valid for '127.0.0.2'" in done.stderr

    def test_a_wildcard_stands_for_one_label(self, shop: Scene, api: Site, python: str) -> None:
        folder = shop.tree / "clients/checkout"
        assert client(folder, "--name", "one.apps.shop.example", api.url, python=python).returncode == 0
        done = client(folder, "--name", "one.two.apps.shop.example", api.url, python=python)
        assert done.returncode == 1
        assert "Hostname mismatch, certificate is not valid for 'one.two.apps.shop.example'" in done.stderr

    def test_a_common_name_is_no_name(self, shop: Scene) -> None:
        context = imported(shop.tree / "clients/checkout").client_context()
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate is not valid for 'open'"):
            Talk(plain_server(shop.tree / "servers/open"), context, "open").shake()

    def test_a_foreign_server_is_refused(self, shop: Scene, api: Site, python: str, tmp_path: Path) -> None:
        foreign = shop.tree / "servers/foreign"
        with serving(shop.tree / "servers/open", shop.tree, tmp_path / "log", python=python, at=foreign) as site:
            done = client(shop.tree / "clients/checkout", site.url, python=python)
        assert (done.returncode, done.stdout) == (1, "")
        assert "certificate verify failed: self-signed certificate in certificate chain" in done.stderr
        assert client(shop.tree / "clients/checkout", api.url, python=python).returncode == 0

    def test_it_is_told_when_it_is_refused(self, shop: Scene, api: Site, python: str) -> None:
        other = shop.tree / "clients/mallory"
        done = client(shop.tree / "clients/checkout", "--folder", other, api.url, python=python)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{api.url}: ")

    def test_it_speaks_no_plain_http(self, shop: Scene, api: Site, python: str) -> None:
        done = client(shop.tree / "clients/checkout", f"http://localhost:{api.port}/", python=python)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith(": only https\n")

    def test_a_peer_is_a_server_and_a_client(self, shop: Scene, api: Site, python: str, tmp_path: Path) -> None:
        node = shop.tree / "peers/node"
        with serving(node, shop.tree, tmp_path / "log", python=python) as site:
            assert site.ask("clients/checkout").status == 200
            assert site.refuses("clients/mallory", "is not let in")
        assert client(node, api.url, python=python).stdout.startswith("200 OK\ncommonName=node by")


class TestReload:
    def test_a_renewal_is_served_at_once_and_breaks_no_connection(self, own_shop: Scene, tmp_path: Path) -> None:
        with (
            serving(own_shop.tree / "servers/api", own_shop.tree, tmp_path / "log") as site,
            hammering(site) as hammer,  # type: ignore[arg-type]  # all that it needs is `ask`
        ):
            serials = [site.serial()]
            for options in (["--renew", "servers/api"], ["--rekey", "servers/api"]):
                certgen_apply(own_shop, *options)
                serials.append(site.serial())
                assert serials[-1] == own_shop.certificate("servers/api").serial_number
            assert eventually(lambda: hammer.count > 30)
        assert len(set(serials)) == len(serials)
        assert hammer.failures == []

    @pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
    def test_half_a_file_is_told_of_once_and_the_old_ones_stay(
        self, shop: Scene, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "servers/open", folder)
        context, caller = imported(folder).server_context(folder), plain_client(shop.tree / "clients/checkout")
        whole, serial = (folder / name).read_bytes(), load(folder / "cert.pem").serial_number
        for part in one_in(3, (0, 12, len(whole) // 3, len(whole) - 12), len(name)):
            caplog.clear()
            (folder / name).write_bytes(whole[:part])
            found = [serial_of(Talk(context, caller).shake().client) for _ in range(2)]
            assert found == [serial, serial], part
            assert [(record.name, record.levelno) for record in caplog.records] == [("mtls", logging.WARNING)], part
            assert caplog.messages[0].startswith(f"mtls: the last good files stay in use: {folder}: ")
            (folder / name).write_bytes(whole)
            assert serial_of(Talk(context, caller).shake().client) == serial

    def test_a_pair_that_does_not_match_is_not_taken(
        self, shop: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder, other = tmp_path / "copy", shop.tree / "servers/api"
        shutil.copytree(shop.tree / "servers/open", folder)
        context, caller = imported(folder).server_context(folder), plain_client(shop.tree / "clients/checkout")
        shutil.copy(other / "key.pem", folder)
        assert serial_of(Talk(context, caller).shake().client) == load(folder / "cert.pem").serial_number
        assert "key values mismatch" in caplog.text
        shutil.copy(other / "cert.pem", folder)
        assert serial_of(Talk(context, caller).shake().client) == load(other / "cert.pem").serial_number

    def test_what_is_replaced_while_it_is_read_is_not_taken(
        self, shop: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder, other = tmp_path / "copy", shop.tree / "servers/api"
        shutil.copytree(shop.tree / "servers/open", folder)
        module = imported(folder)
        context, caller = module.server_context(folder), plain_client(shop.tree / "clients/checkout")
        read = module._certificates_in

        def slowly(path: str) -> object:
            if path.endswith("ca.pem"):
                shutil.copy(other / "cert.pem", folder)
            return read(path)

        monkeypatch.setattr(module, "_certificates_in", slowly)
        os.utime(folder / "ca.pem")
        assert (
            serial_of(Talk(context, caller).shake().client) == load(shop.tree / "servers/open/cert.pem").serial_number
        )
        assert "the files are being replaced" in caplog.text

    def test_a_new_file_is_noticed_though_size_and_time_are_the_old_ones(self, shop: Scene, tmp_path: Path) -> None:
        folder, other = tmp_path / "copy", tmp_path / "other"
        shutil.copytree(shop.tree / "servers/open", folder)
        shutil.copytree(shop.tree / "servers/api", other)
        for path in (folder / "cert.pem", other / "cert.pem", folder / "key.pem", other / "key.pem"):
            path.write_bytes(path.read_bytes().ljust(4096, b"\n"))
            os.utime(path, (1_700_000_000, 1_700_000_000))
        context, caller = imported(folder).server_context(folder), plain_client(shop.tree / "clients/checkout")
        assert (
            serial_of(Talk(context, caller).shake().client) == load(shop.tree / "servers/open/cert.pem").serial_number
        )
        for name in ("cert.pem", "key.pem"):
            (other / name).rename(folder / name)
        assert serial_of(Talk(context, caller).shake().client) == load(shop.tree / "servers/api/cert.pem").serial_number

    def test_a_folder_that_is_a_link_is_followed(self, shop: Scene, tmp_path: Path) -> None:
        live = tmp_path / "live"
        live.symlink_to(shop.tree / "servers/open")
        context, caller = imported(live).server_context(live), plain_client(shop.tree / "clients/checkout")
        assert (
            serial_of(Talk(context, caller).shake().client) == load(shop.tree / "servers/open/cert.pem").serial_number
        )
        (tmp_path / "next").symlink_to(shop.tree / "servers/api")
        (tmp_path / "next").rename(live)
        assert serial_of(Talk(context, caller).shake().client) == load(shop.tree / "servers/api/cert.pem").serial_number

    def test_a_server_follows_its_trust_anchors(self, own_shop: Scene, tmp_path: Path) -> None:
        with serving(own_shop.tree / "servers/open", own_shop.tree, tmp_path / "log") as site:
            assert site.refuses("clients/alien", "unable to get local issuer certificate")
            trust = "open:\n    sans: [localhost, 127.0.0.1]\n    trust: "
            own_shop.edit((f"{trust}root", f"{trust}other"))
            certgen_apply(own_shop)
            assert site.refuses("clients/checkout", "unable to get local issuer certificate")
            assert site.ask("clients/alien").status == 200

    def test_a_client_follows_certificate_and_trust_anchors(self, shop: Scene, tmp_path: Path) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "clients/checkout", folder)
        context = imported(folder).client_context(folder)
        server, foreign = (plain_server(shop.tree / f"servers/{name}") for name in ("open", "foreign"))
        foreign.load_verify_locations(shop.tree / "cas/root/cert.pem")
        talk = Talk(server, context).shake()
        assert serial_of(talk.server) == load(shop.tree / "clients/checkout/cert.pem").serial_number
        with pytest.raises(ssl.SSLCertVerificationError, match=STRANGE):
            Talk(foreign, context).shake()
        for name in ("key.pem", "cert.pem"):
            shutil.copy(shop.tree / "clients/workload" / name, folder)
        shutil.copy(shop.tree / "servers/foreign/ca.pem", folder)
        assert serial_of(Talk(foreign, context).shake().server) == load(folder / "cert.pem").serial_number
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            Talk(server, context).shake()


HOSTILE_FOLDER = """/srv/the "shop"'s \\ $HOME `id` {x} %s #é/api"""


class TestSources:
    """What is rendered, as those see it who keep it beside their own sources."""

    @pytest.fixture
    def sources(self, scene: Scene) -> Path:
        hostile = SPEC.replace("TREE/servers/api", json.dumps(HOSTILE_FOLDER, ensure_ascii=False))
        scene.write(hostile.replace("TREE", str(scene.tree)))
        scene.run()
        return scene.tree

    def test_a_hostile_folder_is_the_folder(self, sources: Path) -> None:
        assert imported(sources / "servers/api").FOLDER == HOSTILE_FOLDER

    def test_ruff_has_nothing_to_say(self, sources: Path) -> None:
        chosen = "A,ANN,ASYNC,B,C4,C90,D,E,F,I,ISC,LOG,N,PIE,PL,RET,RUF,SIM,TID,UP,W"
        # Parameters of the standard library are as they are; each file stands for itself.
        ignored = "ANN401,D105,D107,D203,D213,N802,PLR0913,PLR0917,PLR2004"
        check = ["ruff", "check", "--isolated", "--no-cache", "--line-length", "120", "--target-version", "py311"]
        done = run_on(sources, *check, "--select", chosen, "--ignore", ignored)
        assert (done.returncode, done.stdout) == (0, "All checks passed!\n")
        done = run_on(sources, "ruff", "format", "--isolated", "--no-cache", "--line-length", "120", "--diff")
        assert (done.returncode, done.stdout) == (0, "")

    def test_mypy_has_nothing_to_say(self, sources: Path) -> None:
        """One entry of each role, with the programs where there are some."""
        for entry in ("servers/api", "peers/node"):
            folder = sources / entry / "python"
            done = run_on(folder, sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(sources / ".cache"))
            assert done.stdout.startswith("Success: "), done.stdout

    def test_what_would_be_wrong_is_seen(self, sources: Path) -> None:
        module = sources / "servers/open/python/mtls.py"
        module.write_text(module.read_text(encoding="utf-8").replace("import weakref", "import wave"), encoding="utf-8")
        assert run_on(module.parent, "ruff", "check", "--isolated", "--no-cache").returncode == 1


def run_on(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    files = sorted(map(str, folder.rglob("*.py")))
    assert files
    return subprocess.run([*command, *files], capture_output=True, text=True, timeout=120, check=False, cwd=folder)


class TestJudgement:
    """What cannot work is refused in the spec."""

    SHOP = """
        version: 1
        cas: {root: {}, issuing: {issuer: root}}
        defaults: {issuer: issuing}
        servers: {api: {sans: localhost, snippets: {python: {allow: ALLOW}}}}
        clients:
          one: {common_name: twin}
          two: {common_name: twin}
          three: {common_name: twin, sans: three.shop.example}
        """

    @pytest.mark.parametrize(
        ("allow", "codes"),
        [
            ("clients/one", ["same-identity", "same-identity"]),
            ("[clients/one, clients/two, clients/three]", []),
            ("clients/three", []),
            ("clients/four", ["unknown-address"]),
            ("[]", ["empty-allow"]),
        ],
    )
    def test_whom_it_could_not_tell_from_another_it_does_not_let_in(
        self, scene: Scene, allow: str, codes: list[str]
    ) -> None:
        scene.write(self.SHOP.replace("ALLOW", allow))
        if codes:
            assert scene.refused_spec() == codes
        else:
            scene.load()

    def test_a_client_lets_nobody_in(self, scene: Scene) -> None:
        scene.write("version: 1\nca:\nclients: {one: {snippets: {python: {allow: clients/one}}}}\n")
        assert scene.refused_spec() == ["unused-option"]

    @pytest.mark.parametrize(
        ("subject", "codes"),
        [
            ("/UID=ca/CN=CA", []),
            ('/O=Shop/OU=PKI+CN= #C, "A" <é>;', []),
            ("/O=Shop/CN=a\nb\x7f", []),
            ("/x500UniqueIdentifier=ca/CN=CA", ["not-quotable"]),
        ],
    )
    def test_a_caller_is_known_by_a_ca_that_the_user_brings_unless_openssl_shows_it_in_a_way_of_its_own(
        self, scene: Scene, subject: str, codes: list[str]
    ) -> None:
        scene.now = datetime.now(UTC).replace(microsecond=0)
        bring(scene, subject)
        scene.write(
            """
            version: 1
            ca: {certificate: ca.pem, private_key: ca.key}
            servers:
              api: {sans: localhost, snippets: {python: {allow: clients/one, example: true}}}
            clients: {one: {}, two: {}}
            """
        )
        if codes:
            assert scene.refused_spec() == codes
            return
        scene.run()
        context = imported(scene.tree / "servers/api").server_context(scene.tree / "servers/api")
        Talk(context, plain_client(scene.tree / "clients/one")).shake().say()
        with pytest.raises(ssl.SSLCertVerificationError, match="is not let in"):
            Talk(context, plain_client(scene.tree / "clients/two")).shake()


def bring(scene: Scene, subject: str) -> None:
    """Make a root beside the spec: its certificate and its key."""
    extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign", "subjectKeyIdentifier=hash"]
    config = "\n".join(["[req]", "distinguished_name=dn", "[dn]", "[v3]", *extensions, ""])
    (scene.specs / "ca.conf").write_text(config, encoding="utf-8")
    command = ["openssl", "req", "-x509", "-utf8", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "3650", "-config", "ca.conf", "-extensions", "v3", "-subj", subject]
    command += ["-keyout", "ca.key", "-out", "ca.pem"]
    subprocess.run(command, check=True, capture_output=True, timeout=30, cwd=scene.specs)


@contextmanager
def example(folder: Path, port: int, work: Path) -> Iterator[Running]:
    command: list[str | Path] = [sys.executable, folder / "python/server.py", "--listen", f"127.0.0.1:{port}"]
    with running(command, port, work / "python.log") as started:
        yield started


def call_by_example(visit: Visit) -> Answer:
    done = client(visit.folder, "--name", visit.name, f"https://127.0.0.1:{visit.port}/")
    return Answer(int(done.stdout.split()[0]) if done.returncode == 0 else None, done.stdout, done.stderr)


class Blanks(ast.NodeTransformer):
    """Takes the texts out of a syntax tree."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node


def shapes(files: Mapping[str, str], _folder: Path) -> dict[str, str]:
    """Give the syntax tree of each source, without the texts in it."""
    found = {}
    for path, text in files.items():
        if path.endswith(".py"):
            try:
                found[path] = ast.dump(Blanks().visit(ast.parse(text)))
            except SyntaxError as reason:
                raise ValueError(path) from reason
    return found


CASE = Case(
    serve=example,
    server_options=lambda _: {"example": True},
    call=call_by_example,
    client_options=lambda _: {"example": True},
    reload=by_itself,
    hostile=Hostile(
        server=lambda text: {"allow": [text["allow"], "clients/nameless"], "example": True},
        client=lambda _: {"example": True},
        shape=shapes,
    ),
)
