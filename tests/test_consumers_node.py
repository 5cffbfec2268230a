"""The module of Node.js on the real Node.js: what is rendered is run as it is, and meets friends and strangers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from consumer_case import Case, Hostile, Visit, by_itself
from consumers_go import certgen_apply, hammering
from cryptography import x509
from programs import Answer, Running, Version, ask, eventually, free_port, require, running
from scene import Scene, load

SCRIPTS = Path(__file__).parent / "consumers_node"
VERSIONS: tuple[Version, ...] = ("1.2", "1.3")

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
          node:
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
        snippets: {node: {example: true}}
      foreign:
        issuer: other
        sans: [localhost, 127.0.0.1]
        trust: other
    clients:
      checkout:
        sans: [checkout.shop.example, shared.shop.example]
        trust: root
        deploy_dir: TREE/clients/checkout
        snippets: {node: {example: true}}
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
        snippets: {node: {allow: clients/checkout, example: true}}
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
        with self._connected(plain_client(self.tree / "clients/checkout")) as secure:
            der = secure.getpeercert(binary_form=True)
            assert der is not None
            return x509.load_der_x509_certificate(der).serial_number

    def resumes(self, version: Version) -> bool:
        """Tell whether a second connection resumes the session of the first."""
        context, session, is_reused = plain_client(self.tree / "clients/checkout", version), None, None
        for _ in range(2):
            with self._connected(context, session) as secure:
                secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert b" 200 " in secure.recv(4096)  # under TLS 1.3 the tickets come with it
                session, is_reused = secure.session, secure.session_reused
        return bool(is_reused)

    @contextmanager
    def _connected(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            yield secure


def plain_client(folder: Path, version: Version | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
    return context


@contextmanager
def serving(folder: Path, tree: Path, log: Path, at: Path | None = None) -> Iterator[Site]:
    """Run a server of the examples; on the folder that it was rendered for, unless another is given."""
    port = free_port()
    other = ["--folder", str(at)] if at else []
    command: list[str | Path] = [require("node"), folder / "node/server.mjs", "--listen", f"127.0.0.1:{port}", *other]
    with running(command, port, log) as started:
        yield Site(port, tree, started)


@contextmanager
def serving_as(kind: str, folder: Path, tree: Path, log: Path) -> Iterator[Site]:
    """Run a server of another kind: see serve.mjs."""
    port = free_port()
    command: list[str | Path] = [
        require("node"),
        SCRIPTS / "serve.mjs",
        folder / "node/mtls.mjs",
        folder,
        str(port),
        kind,
    ]
    with running(command, port, log) as started:
        yield Site(port, tree, started)


def client(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [require("node"), folder / "node/client.mjs", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=variables)


@dataclass(frozen=True)
class Probe:
    """A client that runs."""

    process: subprocess.Popen[str]
    log: Path

    def ask(self, url: str) -> str:
        """Have it ask, on a connection of its own: status, whether a session was resumed, and body come back."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{url}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def probing(module: Path, folder: Path, log: Path, *options: str) -> Iterator[Probe]:
    command: list[str | Path] = [require("node"), SCRIPTS / "probe.mjs", module / "node/mtls.mjs", folder, *options]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield Probe(process, log)
        finally:
            process.kill()


def written(folder: Path) -> Scene:
    scene = Scene(folder, datetime.now(UTC).replace(microsecond=0))
    scene.write(SPEC.replace("TREE", str(scene.tree)))
    scene.run()
    return scene


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The tree of all tests that change nothing."""
    return written(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def own_shop(tmp_path: Path) -> Scene:
    """A tree of one test's own, to be changed."""
    return written(tmp_path)


@pytest.fixture(scope="module")
def api(shop: Scene) -> Iterator[Site]:
    with serving(shop.tree / "servers/api", shop.tree, shop.folder / "api.log") as site:
        yield site


@pytest.fixture(scope="module")
def open_site(shop: Scene) -> Iterator[Site]:
    with serving(shop.tree / "servers/open", shop.tree, shop.folder / "open.log") as site:
        yield site


@pytest.fixture(scope="module")
def plain_site(shop: Scene) -> Iterator[Site]:
    """A server with all that is rendered left out: the control."""
    with serving_as("plain", shop.tree / "servers/open", shop.tree, shop.folder / "plain.log") as site:
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
        assert api.ask("clients/checkout").body == "CN=checkout by TLSv1.3\n"

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        ("who", "words"),
        [
            (None, "peer did not return a certificate"),
            ("clients/alien", "mtls: UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
            ("servers/open", "mtls: INVALID_PURPOSE"),
            *((f"clients/{name}", " is not let in") for name in SOUND_AND_KEPT_OUT),
        ],
    )
    def test_others_are_refused_and_the_log_says_why(
        self, api: Site, who: str | None, words: str, version: Version
    ) -> None:
        assert api.refuses(who, words, version)
        assert api.ask("clients/checkout", version).status == 200

    def test_a_refusal_names_the_stranger(self, api: Site) -> None:
        who = '["CN=mallory","DNS:mallory.shop.example, DNS:shared.shop.example"]'
        assert api.refuses("clients/mallory", f"mtls: {who} is not let in")

    def test_without_allow_whoever_is_trusted_is_let_in(self, open_site: Site) -> None:
        assert [open_site.ask(f"clients/{name}").status for name in SOUND_AND_KEPT_OUT] == [200, 200, 200]
        assert open_site.refuses("clients/alien", "mtls: UNABLE_TO_VERIFY_LEAF_SIGNATURE")

    @pytest.mark.parametrize("older", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_an_older_version_is_refused(self, api: Site, shop: Scene, older: ssl.TLSVersion) -> None:
        context = plain_client(shop.tree / "clients/checkout")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = older
        with (
            socket.create_connection(("127.0.0.1", api.port), timeout=10) as plain,
            pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"),
        ):
            context.wrap_socket(plain, server_hostname="localhost")

    @pytest.mark.parametrize("kind", ["tls", "http2"])
    def test_every_kind_of_server_judges_before_a_listener_hears(self, shop: Scene, tmp_path: Path, kind: str) -> None:
        """Options that would weaken it change nothing."""
        with serving_as(kind, shop.tree / "servers/api", shop.tree, tmp_path / "log") as site:
            assert site.refuses("clients/mallory", " is not let in")
            assert site.refuses("clients/alien", "mtls: UNABLE_TO_VERIFY_LEAF_SIGNATURE")
            assert site.refuses(None, "peer did not return a certificate")
            assert "hears of the connection" not in site.started.words()
            assert site.ask("clients/checkout").status == 200
            assert ("hears of the connection" in site.started.words()) is (kind == "tls")

    def test_two_roots_are_trusted(self, own_shop: Scene, tmp_path: Path) -> None:
        folder = own_shop.tree / "servers/open"
        roots = [own_shop.tree / "cas/root/cert.pem", own_shop.tree / "cas/other/cert.pem"]
        with serving(folder, own_shop.tree, tmp_path / "log") as site:
            for order in (roots, roots[::-1]):
                (folder / "ca.pem").write_bytes(b"".join(root.read_bytes() for root in order))
                assert site.ask("clients/checkout").status == 200
                assert site.ask("clients/alien").status == 200
            (folder / "ca.pem").write_bytes(roots[1].read_bytes())
            assert site.refuses("clients/checkout", "mtls: UNABLE_TO_GET_ISSUER_CERT_LOCALLY")

    def test_it_ends_when_it_is_asked_to(self, shop: Scene, tmp_path: Path) -> None:
        log = tmp_path / "log"
        program = shop.tree / "servers/open/node/server.mjs"
        command: list[str | Path] = [require("node"), program, "--listen", f"127.0.0.1:{free_port()}"]
        with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
            try:
                assert eventually(lambda: b"listening on" in log.read_bytes())
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            finally:
                process.kill()

    @pytest.mark.parametrize("missing", ["cert.pem", "key.pem", "ca.pem"])
    def test_no_server_is_made_without_a_file(self, shop: Scene, tmp_path: Path, missing: str) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "clients/checkout", folder)
        (folder / missing).unlink()
        done = client(folder, "--folder", folder, "https://localhost:1/")
        assert done.returncode == 1
        assert f"ENOENT: no such file or directory, stat '{folder}/{missing}'" in done.stderr


class TestClient:
    def test_it_prints_status_and_body(self, shop: Scene, api: Site) -> None:
        done = client(shop.tree / "clients/checkout", api.url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200 OK\nCN=checkout by TLSv1.3\n", "")

    def test_an_address_is_a_name_too(self, shop: Scene, api: Site) -> None:
        folder = shop.tree / "clients/checkout"
        assert client(folder, f"https://127.0.0.1:{api.port}/").returncode == 0

    def test_another_address_is_another_name(self, shop: Scene, tmp_path: Path) -> None:
        """The folder of a server that bears no address."""
        node = shop.tree / "peers/node"
        with serving(node, shop.tree, tmp_path / "log") as site:
            done = client(shop.tree / "clients/checkout", f"https://127.0.0.1:{site.port}/")
            assert (done.returncode, done.stdout) == (1, "")
            assert "does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list" in done.stderr
            assert client(shop.tree / "clients/checkout", site.url).returncode == 0

    def test_a_wildcard_stands_for_one_label(self, shop: Scene, api: Site) -> None:
        folder = shop.tree / "clients/checkout"
        assert client(folder, "--name", "one.apps.shop.example", api.url).returncode == 0
        done = client(folder, "--name", "one.two.apps.shop.example", api.url)
        assert done.returncode == 1
        assert "does not match certificate's altnames: Host: one.two.apps.shop.example. is not in" in done.stderr

    def test_a_common_name_is_no_name(self, scene: Scene, tmp_path: Path) -> None:
        """Node.js takes it for one where a certificate has no DNS name."""
        scene.now = datetime.now(UTC).replace(microsecond=0)
        options = "snippets: {node: {example: true}}"
        scene.write(
            f"""
            version: 1
            ca:
            servers: {{api: {{common_name: localhost, sans: "spiffe://shop.example/api", {options}}}}}
            clients: {{checkout: {{{options}}}}}
            """
        )
        scene.run()
        folder, caller = scene.tree / "servers/api", scene.tree / "clients/checkout"
        with serving(folder, scene.tree, tmp_path / "log", folder) as site:
            done = client(caller, "--folder", caller, site.url)
            assert (done.returncode, done.stdout) == (1, "")
            assert "mtls: localhost does not match certificate's altnames: URI:spiffe://shop.example/api" in done.stderr
            with probing(caller, caller, tmp_path / "probe.log", "by-default") as probe:
                assert probe.ask(site.url).startswith("200 ")

    def test_a_foreign_server_is_refused_whatever_the_environment_says(
        self, shop: Scene, api: Site, tmp_path: Path
    ) -> None:
        folder = shop.tree / "clients/checkout"
        with serving(shop.tree / "servers/open", shop.tree, tmp_path / "log", shop.tree / "servers/foreign") as site:
            done = client(folder, site.url, NODE_TLS_REJECT_UNAUTHORIZED="0", NODE_NO_WARNINGS="1")
        assert (done.returncode, done.stdout) == (1, "")
        assert "self-signed certificate in certificate chain" in done.stderr
        assert client(folder, api.url).returncode == 0

    def test_it_is_told_when_it_is_refused(self, shop: Scene, api: Site) -> None:
        done = client(shop.tree / "clients/checkout", "--folder", shop.tree / "clients/mallory", api.url)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{api.url}: ")

    def test_it_speaks_no_plain_http(self, shop: Scene, api: Site) -> None:
        done = client(shop.tree / "clients/checkout", f"http://localhost:{api.port}/")
        assert (done.returncode, done.stdout) == (1, "")
        assert 'Protocol "http:" not supported' in done.stderr

    def test_it_wants_a_url(self, shop: Scene) -> None:
        done = client(shop.tree / "clients/checkout")
        assert (done.returncode, done.stderr) == (2, "Usage: client.mjs [--folder FOLDER] [--name NAME] URL\n")

    def test_a_peer_is_a_server_and_a_client(self, shop: Scene, api: Site, tmp_path: Path) -> None:
        node = shop.tree / "peers/node"
        with serving(node, shop.tree, tmp_path / "log") as site:
            assert site.ask("clients/checkout").status == 200
            assert site.refuses("clients/mallory", "is not let in")
        assert client(node, api.url).stdout.startswith("200 OK\nCN=node by")


class TestSessions:
    """A session that is resumed would outlive what let it in; a server that allows it is the control."""

    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_server_resumes_none(self, open_site: Site, plain_site: Site, version: Version) -> None:
        assert open_site.resumes(version) is False
        assert plain_site.resumes(version) is True

    def test_the_client_resumes_none(self, shop: Scene, plain_site: Site, tmp_path: Path) -> None:
        folder = shop.tree / "clients/checkout"
        with (
            probing(folder, folder, tmp_path / "probe.log") as probe,
            probing(folder, folder, tmp_path / "cached.log", "by-default") as cached,
        ):
            assert [probe.ask(plain_site.url)[:9] for _ in range(3)] == ["200 false"] * 3
            assert [cached.ask(plain_site.url)[:8] for _ in range(3)] == ["200 fals", "200 true", "200 true"]


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
        self, own_shop: Scene, tmp_path: Path, name: str
    ) -> None:
        path = own_shop.tree / "servers/open" / name
        whole, told = path.read_bytes(), f"mtls: the last good files stay in use: {path.parent}: "
        with serving(own_shop.tree / "servers/open", own_shop.tree, tmp_path / "log") as site:
            before = site.serial()
            for number, part in enumerate((0, 12, len(whole) // 3, len(whole) - 12), start=1):
                path.write_bytes(whole[:part])
                assert [site.ask("clients/checkout").status for _ in range(2)] == [200, 200], part
                assert site.serial() == before
                assert site.started.words().count(told) == number
                path.write_bytes(whole)
                assert site.ask("clients/checkout").status == 200

    @pytest.mark.parametrize("kind", ["ec_paramgen_curve:P-256", "rsa_keygen_bits:2048"])
    def test_a_pair_that_does_not_match_is_not_taken(self, own_shop: Scene, tmp_path: Path, kind: str) -> None:
        """OpenSSL takes a key of another kind beside a certificate without a word."""
        folder, other = own_shop.tree / "servers/open", own_shop.tree / "servers/api"
        algorithm = kind.partition("_")[0].upper()
        make = ["openssl", "genpkey", "-algorithm", algorithm, "-pkeyopt", kind, "-out", str(folder / "key.pem")]
        with serving(folder, own_shop.tree, tmp_path / "log") as site:
            subprocess.run(make, check=True, capture_output=True, timeout=30)
            assert site.ask("clients/checkout").status == 200
            assert "the private key is not that of the certificate" in site.started.words()
            assert site.serial() == own_shop.certificate("servers/open").serial_number
            for name in ("cert.pem", "key.pem"):
                shutil.copy(other / name, folder)
            assert site.serial() == own_shop.certificate("servers/api").serial_number

    def test_a_new_file_is_noticed_though_size_and_time_are_the_old_ones(self, own_shop: Scene, tmp_path: Path) -> None:
        folder, other = own_shop.tree / "servers/open", own_shop.tree / "servers/api"
        for path in (folder / "cert.pem", other / "cert.pem", folder / "key.pem", other / "key.pem"):
            path.write_bytes(path.read_bytes().ljust(4096, b"\n"))
            os.utime(path, (1_700_000_000, 1_700_000_000))
        with serving(folder, own_shop.tree, tmp_path / "log") as site:
            assert site.serial() == own_shop.certificate("servers/open").serial_number
            for name in ("cert.pem", "key.pem"):
                (other / name).rename(folder / name)
            assert site.serial() == load(folder / "cert.pem").serial_number
            assert "mtls:" not in site.started.words()

    def test_a_folder_that_is_a_link_is_followed(self, shop: Scene, tmp_path: Path) -> None:
        live = tmp_path / "live"
        live.symlink_to(shop.tree / "servers/open")
        with serving(shop.tree / "servers/open", shop.tree, tmp_path / "log", live) as site:
            assert site.serial() == shop.certificate("servers/open").serial_number
            (tmp_path / "next").symlink_to(shop.tree / "servers/api")
            (tmp_path / "next").rename(live)
            assert site.serial() == shop.certificate("servers/api").serial_number

    def test_a_client_follows_certificate_and_trust_anchors(self, own_shop: Scene, tmp_path: Path) -> None:
        folder = own_shop.tree / "clients/checkout"
        with (
            serving(own_shop.tree / "servers/api", own_shop.tree, tmp_path / "log") as site,
            probing(folder, folder, tmp_path / "probe.log") as probe,
        ):
            assert probe.ask(site.url) == "200 false CN=checkout by TLSv1.3"
            for name in ("key.pem", "cert.pem"):
                shutil.copy(own_shop.tree / "clients/workload" / name, folder)
            assert probe.ask(site.url) == "200 false CN=workload by TLSv1.3"
            (folder / "key.pem").write_bytes(b"half")
            assert [probe.ask(site.url)[:3] for _ in range(2)] == ["200", "200"]
            assert probe.log.read_text(encoding="utf-8").count("mtls: the last good files stay in use: ") == 1
            shutil.copy(own_shop.tree / "clients/workload/key.pem", folder)
            shutil.copy(own_shop.tree / "servers/foreign/ca.pem", folder)
            assert probe.ask(site.url) == "error unable to get local issuer certificate"


HOSTILE_FOLDER = """/srv/the "shop"'s \\ $HOME `id` ${x} %s #é\u200d🦊/api"""


def test_a_hostile_folder_is_the_folder(scene: Scene) -> None:
    hostile = SPEC.replace("TREE/servers/api", json.dumps(HOSTILE_FOLDER, ensure_ascii=False))
    scene.write(hostile.replace("TREE", str(scene.tree)))
    (loaded,) = scene.load()
    folder = next(entry.deploy_dir for entry in loaded.bundle.entries if str(entry.address) == "servers/api")
    scene.run()
    script = "import(process.argv[1]).then(({ FOLDER }) => console.log(JSON.stringify(FOLDER)))"
    command: list[str | Path] = [require("node"), "-e", script, scene.tree / "servers/api/node/mtls.mjs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout) == folder == HOSTILE_FOLDER


class TestJudgement:
    """What cannot work is refused in the spec."""

    SHOP = """
        version: 1
        cas: {root: {}, issuing: {issuer: root}}
        defaults: {issuer: issuing}
        servers: {api: {sans: localhost, snippets: {node: {allow: ALLOW}}}}
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
        scene.write("version: 1\nca:\nclients: {one: {snippets: {node: {allow: clients/one}}}}\n")
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
              api: {sans: localhost, snippets: {node: {allow: clients/one, example: true}}}
            clients: {one: {}, two: {}}
            """
        )
        if codes:
            assert scene.refused_spec() == codes
            return
        scene.run()
        folder = scene.tree / "servers/api"
        with serving(folder, scene.tree, scene.folder / "log", folder) as site:
            assert site.ask("clients/one", anchors="clients/one").status == 200
            assert site.ask("clients/two", anchors="clients/one").status is None
            assert eventually(lambda: " is not let in" in site.started.words())


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
    command: list[str | Path] = [require("node"), folder / "node/server.mjs", "--listen", f"127.0.0.1:{port}"]
    with running(command, port, work / "node.log") as started:
        yield started


def call_by_example(visit: Visit) -> Answer:
    done = client(visit.folder, "--name", visit.name, f"https://127.0.0.1:{visit.port}/")
    return Answer(int(done.stdout.split()[0]) if done.returncode == 0 else None, done.stdout, done.stderr)


def shapes(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the syntax tree of each source without its texts, of all of them in one run of the parser of Node.js."""
    sources = {path: text for path, text in files.items() if path.endswith(".mjs")}
    root = folder / "node"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for number, text in enumerate(sources.values()):
        (root / f"{number:05}.mjs").write_text(text, encoding="utf-8")
    command: list[str | Path] = [require("node"), "--expose-internals", SCRIPTS / "shape.mjs", root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return dict(zip(sources, done.stdout.splitlines(), strict=True))


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
