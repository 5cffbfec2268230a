"""The Go package on the real Go: what is rendered is compiled and run, and meets friends and strangers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from consumer_case import Case, Hostile, Visit, by_itself
from consumers_go import Site, certgen_apply, client, hammering, probing, resumed, resumes, serving
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from foreign.hierarchy import key_usage
from go_skeleton import go_skeleton
from programs import Answer, Running, Version, eventually, free_port, go_build, gofmt_difference, require, running
from scene import Scene, load

TESTS = Path(__file__).parent
PROBE = TESTS / "consumers_go" / "probe.go"
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
        sans: [localhost, 127.0.0.1]
        trust: root
        deploy_dir: TREE/servers/api
        snippets:
          go:
            example: true
            allow:
            - clients/checkout
            - clients/workload
            - clients/meter
            - clients/mailer
            - clients/legacy
            - clients/blurred
            - peers/node
      open:
        sans: [localhost, 127.0.0.1]
        trust: root
        deploy_dir: TREE/servers/open
        snippets: {go: {example: true}}
      foreign:
        issuer: other
        sans: [localhost, 127.0.0.1]
        trust: other
    clients:
      checkout:
        sans: [checkout.shop.example, shared.shop.example]
        trust: root
        deploy_dir: TREE/clients/checkout
        snippets: {go: {example: true}}
      workload: {sans: ["spiffe://shop.example/workload"]}
      meter: {sans: ["2001:db8::7"]}
      mailer: {sans: [mailer@shop.example]}
      legacy: {common_name: 'Legacy, "Inc." #1', subject: {organization: Söhne & Co, domain_component: [example, shop]}}
      blurred: {sans: ["https://shop.example/blurred"]}
      sharp: {sans: ["https://shop.example/blurred#"]}
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
        snippets: {go: {allow: clients/checkout, example: true}}
"""
ALLOWED = ("checkout", "workload", "meter", "mailer", "legacy", "blurred")
SOUND_AND_KEPT_OUT = ("mallory", "legacy-2", "nameless", "sharp")


def write_spec(scene: Scene) -> None:
    """Write the spec of these tests, with the scene's own tree as the place where the files will be."""
    scene.write(SPEC.replace("TREE", str(scene.tree)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The tree of all tests that change nothing."""
    require("go")
    scene = Scene(tmp_path_factory.mktemp("shop"), datetime.now(UTC).replace(microsecond=0))
    write_spec(scene)
    scene.run()
    return scene


@pytest.fixture
def own_shop(scene: Scene) -> Scene:
    """A tree of one test's own, to be changed."""
    scene.now = datetime.now(UTC).replace(microsecond=0)
    write_spec(scene)
    scene.run()
    return scene


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what is compiled."""
    return tmp_path_factory.mktemp("bin")


@pytest.fixture(scope="module")
def api_program(shop: Scene, binaries: Path) -> Path:
    return go_build(shop.tree / "servers/api/go/server", binaries / "api")


@pytest.fixture(scope="module")
def open_program(shop: Scene, binaries: Path) -> Path:
    return go_build(shop.tree / "servers/open/go/server", binaries / "open")


@pytest.fixture(scope="module")
def client_program(shop: Scene, binaries: Path) -> Path:
    return go_build(shop.tree / "clients/checkout/go/client", binaries / "client")


@pytest.fixture(scope="module")
def ticket_program(shop: Scene, binaries: Path) -> Path:
    """The open server with the line taken out that forbids sessions: the control of the tests about them."""
    module = binaries / "tickets-module"
    shutil.copytree(shop.tree / "servers/open/go", module)
    package = module / "mtls.go"
    text, count = re.subn(r"\t\tSessionTicketsDisabled: true,\n", "", package.read_text(encoding="utf-8"))
    assert count == 1
    package.write_text(text, encoding="utf-8")
    return go_build(module / "server", binaries / "tickets")


@pytest.fixture(scope="module")
def probe_program(shop: Scene, binaries: Path) -> Path:
    """A client that lives on, around the package of clients/checkout."""
    module = binaries / "probe-module"
    shutil.copytree(shop.tree / "clients/checkout/go", module)
    (module / "probe").mkdir()
    shutil.copy(PROBE, module / "probe/main.go")
    return go_build(module / "probe", binaries / "probe")


@pytest.fixture(scope="module")
def api(api_program: Path, shop: Scene, binaries: Path) -> Iterator[Site]:
    with serving(api_program, shop, binaries / "api.log") as site:
        yield site


@pytest.fixture(scope="module")
def open_site(open_program: Path, shop: Scene, binaries: Path) -> Iterator[Site]:
    with serving(open_program, shop, binaries / "open.log") as site:
        yield site


class TestServer:
    """The server for some: each refusal is followed by a client that is let in."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", ALLOWED)
    def test_who_is_allowed_is_let_in(self, api: Site, name: str, version: Version) -> None:
        answer = api.ask(f"clients/{name}", version)
        assert (answer.status, answer.error) == (200, "")
        assert answer.body.endswith(f" by TLS {version} and HTTP/1.1\n")

    def test_it_says_who_asks(self, api: Site) -> None:
        assert api.ask("clients/checkout").body.startswith("CN=checkout by TLS 1.3")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_nobody_is_refused(self, api: Site, version: Version) -> None:
        assert api.refuses(None, "tls: client didn't provide a certificate", version)
        assert api.ask("clients/checkout", version).status == 200

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_stranger_with_the_name_of_a_friend_is_refused(self, api: Site, version: Version) -> None:
        assert api.refuses("clients/alien", "certificate signed by unknown authority", version)
        assert api.ask("clients/checkout", version).status == 200

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_server_is_no_client(self, api: Site, version: Version) -> None:
        assert api.refuses("servers/open", "certificate specifies an incompatible key usage", version)
        assert api.ask("clients/checkout", version).status == 200

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", SOUND_AND_KEPT_OUT)
    def test_who_is_not_allowed_is_refused_by_name(self, api: Site, name: str, version: Version) -> None:
        who = {"mallory": "CN=mallory", "nameless": "CN=Nameless", "sharp": "CN=sharp"}.get(name, "CN=Legacy")
        assert api.refuses(f"clients/{name}", rf'mtls: "{who}.*" with the names \[.*\] is not let in', version)
        assert api.ask("clients/checkout", version).status == 200

    @pytest.mark.parametrize("name", SOUND_AND_KEPT_OUT)
    def test_without_allow_whoever_is_trusted_is_let_in(self, open_site: Site, name: str) -> None:
        assert open_site.ask(f"clients/{name}").status == 200
        assert open_site.refuses("clients/alien", "certificate signed by unknown authority")

    def test_it_ends_when_it_is_asked_to(self, open_program: Path, tmp_path: Path) -> None:
        port = free_port()
        log = tmp_path / "log"
        with (
            log.open("wb") as output,
            subprocess.Popen([open_program, "-listen", f"127.0.0.1:{port}"], stderr=output) as process,
        ):
            assert eventually(lambda: b"listening on" in log.read_bytes())
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0

    @pytest.mark.parametrize("missing", ["cert.pem", "key.pem", "ca.pem"])
    def test_it_does_not_start_without_a_file(
        self, shop: Scene, open_program: Path, tmp_path: Path, missing: str
    ) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(shop.tree / "servers/open", folder)
        (folder / missing).unlink()
        done = client(open_program, "-listen", "127.0.0.1:0", "-folder", folder)
        assert done.returncode == 1
        assert f"mtls: stat {folder}/{missing}: no such file" in done.stderr


A = x509.NameAttribute
BROUGHT = {
    "two-at-once": x509.Name(
        [
            x509.RelativeDistinguishedName([A(NameOID.ORGANIZATION_NAME, "Shop")]),
            x509.RelativeDistinguishedName([A(NameOID.ORGANIZATIONAL_UNIT_NAME, "PKI"), A(NameOID.COMMON_NAME, "CA")]),
        ]
    ),
    "one-by-one": x509.Name(
        [
            A(NameOID.ORGANIZATION_NAME, "Shop"),
            A(NameOID.ORGANIZATIONAL_UNIT_NAME, "PKI"),
            A(NameOID.COMMON_NAME, "PKI"),
        ]
    ),
    "user-id": x509.Name([A(NameOID.USER_ID, "ca"), A(NameOID.COMMON_NAME, "CA")]),
    "mail": x509.Name([A(NameOID.EMAIL_ADDRESS, "ca@shop.example"), A(NameOID.COMMON_NAME, "CA")]),
    "blanks": x509.Name([A(NameOID.COMMON_NAME, " Shop  CA ")]),
    "usual": x509.Name([A(NameOID.COMMON_NAME, "Shop Root CA")]),
    "line-break": x509.Name([A(NameOID.COMMON_NAME, 'Shop\n"CA" //')]),
    "bmp-string": x509.Name([A(NameOID.COMMON_NAME, "Shop 中", _type=_ASN1Type.BMPString)]),
    "t61-string": x509.Name([A(NameOID.COMMON_NAME, "Shop T61 CA", _type=_ASN1Type.T61String)]),
}
"""Names that certgen itself would not give."""


def bring(scene: Scene, name: str, subject: x509.Name) -> None:
    """Make a root beside the spec: its certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(scene.now - timedelta(1)).not_valid_after(scene.now + timedelta(3650))
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(key_usage("key_cert_sign", "crl_sign").value, critical=True)
    certificate = builder.add_extension(own_id, critical=False).sign(key, SHA256())
    (scene.specs / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (scene.specs / f"{name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def test_a_caller_is_known_by_a_ca_that_the_user_brings(scene: Scene, tmp_path: Path) -> None:
    """All have one subject; every other is let in, and at the second server the rest."""
    scene.now = datetime.now(UTC).replace(microsecond=0)
    for name, subject in BROUGHT.items():
        bring(scene, name, subject)
    cas = "".join(f"  {name}: {{certificate: {name}.pem, private_key: {name}.key}}\n" for name in BROUGHT)
    friends = "".join(f"  {name}: {{issuer: {name}, common_name: friend}}\n" for name in BROUGHT)
    sides = [list(BROUGHT)[0::2], list(BROUGHT)[1::2]]
    servers = ""
    for number, side in enumerate(sides):
        allow = ", ".join(f"clients/{name}" for name in side)
        servers += (
            f"  s{number}: {{issuer: own, sans: localhost, snippets: {{go: {{allow: [{allow}], example: true}}}}}}\n"
        )
    scene.write(f"version: 1\ncas:\n  own:\n{cas}servers:\n{servers}clients:\n{friends}")
    scene.run()
    for number, side in enumerate(sides):
        server = scene.tree / f"servers/s{number}"
        assert gofmt_difference(server / "go") == ""
        program = go_build(server / "go/server", tmp_path / f"s{number}")
        with serving(program, scene, tmp_path / f"s{number}.log", f"servers/s{number}") as site:
            anchors = f"clients/{side[0]}"
            found = {name for name in BROUGHT if site.ask(f"clients/{name}", anchors=anchors).status == 200}
        assert found == {*side}


class TestPeer:
    def test_it_is_a_server_and_a_client(self, shop: Scene, binaries: Path, api: Site) -> None:
        server = go_build(shop.tree / "peers/node/go/server", binaries / "node-server")
        asker = go_build(shop.tree / "peers/node/go/client", binaries / "node-client")
        with serving(server, shop, binaries / "node.log") as site:
            assert site.ask("clients/checkout").status == 200
            assert site.refuses("clients/mallory", "is not let in")
            # Its root is trusted here, and all but the issuer is the friend's.
            assert site.refuses("clients/alien", 'mtls: "CN=checkout" with the names .* is not let in')
        done = client(asker, api.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("200 OK\nCN=node by TLS 1.3")


class TestClient:
    def test_it_prints_status_and_body_over_http_2(self, api: Site, client_program: Path) -> None:
        done = client(client_program, api.url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200 OK\nCN=checkout by TLS 1.3 and HTTP/2.0\n", "")

    def test_an_address_is_a_name_too(self, api: Site, client_program: Path) -> None:
        assert client(client_program, f"https://127.0.0.1:{api.port}/").returncode == 0
        done = client(client_program, f"https://127.0.0.2:{api.port}/")
        assert done.returncode == 1

    def test_the_name_can_be_another_than_the_host(self, api: Site, client_program: Path) -> None:
        assert client(client_program, "-name", "localhost", f"https://127.0.0.1:{api.port}/").returncode == 0
        done = client(client_program, "-name", "other.example", api.url)
        assert (done.returncode, done.stdout) == (1, "")
        assert "certificate is valid for localhost, not other.example" in done.stderr

    def test_a_foreign_server_is_refused(
        self, shop: Scene, api: Site, open_program: Path, client_program: Path
    ) -> None:
        with serving(open_program, shop, shop.folder / "foreign.log", "servers/foreign") as foreign:
            done = client(client_program, foreign.url)
            assert (done.returncode, done.stdout) == (1, "")
            assert "certificate signed by unknown authority" in done.stderr
        assert client(client_program, api.url).returncode == 0

    def test_it_is_told_when_it_is_refused(self, shop: Scene, api: Site, client_program: Path) -> None:
        done = client(client_program, "-folder", shop.tree / "clients/mallory", api.url)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f'Get "{api.url}": ')  # an alert, or that the server is gone already
        assert client(client_program, api.url).returncode == 0

    def test_it_speaks_neither_plain_http_nor_to_a_proxy(self, api: Site, client_program: Path) -> None:
        done = client(client_program, f"http://localhost:{api.port}/")
        assert (done.returncode, done.stdout) == (1, "")
        assert "mtls: only https" in done.stderr
        environment = {**os.environ, "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        assert subprocess.run([client_program, api.url], env=environment, timeout=30, check=False).returncode == 0

    def test_it_wants_a_url(self, client_program: Path) -> None:
        done = client(client_program)
        assert done.returncode == 2
        assert done.stderr.startswith("Usage: client [-folder folder] [-name name] URL\n")


class TestSessions:
    """A session that is resumed would outlive what let it in; a server that allows it is the control."""

    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_server_resumes_none(
        self, shop: Scene, open_site: Site, ticket_program: Path, tmp_path: Path, version: Version
    ) -> None:
        assert resumes(open_site, version) is False
        with serving(ticket_program, shop, tmp_path / "log", "servers/open") as control:
            assert resumes(control, version) is True

    def test_a_go_client_with_a_cache_cannot_resume(
        self, shop: Scene, open_site: Site, ticket_program: Path, probe_program: Path, tmp_path: Path
    ) -> None:
        folder = shop.tree / "clients/checkout"
        with (
            serving(ticket_program, shop, tmp_path / "log", "servers/open") as control,
            probing(probe_program, folder, tmp_path / "cached.log", "-cached") as cached,
        ):
            assert [resumed(cached.ask(open_site.url)) for _ in range(3)] == [False, False, False]
            assert [resumed(cached.ask(control.url)) for _ in range(3)] == [False, True, True]

    def test_the_client_resumes_none(
        self, shop: Scene, ticket_program: Path, probe_program: Path, tmp_path: Path
    ) -> None:
        folder = shop.tree / "clients/checkout"
        with (
            serving(ticket_program, shop, tmp_path / "log", "servers/open") as control,
            probing(probe_program, folder, tmp_path / "probe.log") as probe,
        ):
            assert [resumed(probe.ask(control.url)) for _ in range(3)] == [False, False, False]


class TestReload:
    def test_a_renewal_is_served_at_once_and_breaks_no_connection(
        self, own_shop: Scene, api_program: Path, tmp_path: Path
    ) -> None:
        with serving(api_program, own_shop, tmp_path / "log", "servers/api") as site, hammering(site) as hammer:
            serials = [site.serial()]
            for options in (["--renew", "servers/api"], ["--rekey", "servers/api"], ["--renew", "servers/api"]):
                certgen_apply(own_shop, *options)
                serials.append(site.serial())
                assert serials[-1] == own_shop.certificate("servers/api").serial_number
            assert eventually(lambda: hammer.count > 60)
        assert len(set(serials)) == len(serials)
        assert hammer.failures == []

    @pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
    def test_half_a_file_is_told_of_once_and_the_old_ones_stay(
        self, own_shop: Scene, api_program: Path, tmp_path: Path, name: str
    ) -> None:
        path = own_shop.tree / "servers/api" / name
        whole = path.read_bytes()
        with serving(api_program, own_shop, tmp_path / "log", "servers/api") as site:
            before = site.serial()
            path.write_bytes(whole[: len(whole) * 2 // 3])
            assert [site.ask("clients/checkout").status for _ in range(3)] == [200, 200, 200]
            assert site.serial() == before
            assert site.started.words().count("mtls: the last good files stay in use: ") == 1
            path.write_bytes(whole)
            certgen_apply(own_shop, "--renew", "servers/api")
            assert site.serial() == own_shop.certificate("servers/api").serial_number != before
            assert site.started.words().count("mtls: the last good files stay in use: ") == 1
            path.write_bytes(whole[: len(whole) * 2 // 3])
            assert site.ask("clients/checkout").status == 200
            assert site.started.words().count("mtls: the last good files stay in use: ") == 2

    def test_a_pair_that_does_not_match_is_not_taken(self, own_shop: Scene, open_program: Path, tmp_path: Path) -> None:
        key = own_shop.tree / "servers/open/key.pem"
        with serving(open_program, own_shop, tmp_path / "log", "servers/open") as site:
            shutil.copy(own_shop.tree / "servers/api/key.pem", key)
            assert site.ask("clients/checkout").status == 200
            assert "private key does not match public key" in site.started.words()
            shutil.copy(own_shop.tree / "servers/api/cert.pem", key.with_name("cert.pem"))
            assert site.serial() == own_shop.certificate("servers/api").serial_number

    def test_a_new_file_is_noticed_though_size_and_time_are_the_old_ones(
        self, own_shop: Scene, open_program: Path, tmp_path: Path
    ) -> None:
        folder, other = own_shop.tree / "servers/open", own_shop.tree / "servers/api"
        for path in (folder / "cert.pem", other / "cert.pem", folder / "key.pem", other / "key.pem"):
            path.write_bytes(path.read_bytes().ljust(4096, b"\n"))
            os.utime(path, (1_700_000_000, 1_700_000_000))
        with serving(open_program, own_shop, tmp_path / "log", "servers/open") as site:
            assert site.serial() == own_shop.certificate("servers/open").serial_number
            for name in ("cert.pem", "key.pem"):
                (other / name).rename(folder / name)
            assert site.serial() == load(folder / "cert.pem").serial_number
            assert "mtls:" not in site.started.words()

    def test_a_folder_that_is_a_link_is_followed(self, own_shop: Scene, open_program: Path, tmp_path: Path) -> None:
        servers = own_shop.tree / "servers"
        (servers / "live").symlink_to("open")
        with serving(open_program, own_shop, tmp_path / "log", "servers/live") as site:
            assert site.serial() == own_shop.certificate("servers/open").serial_number
            (servers / "next").symlink_to("api")
            (servers / "next").rename(servers / "live")
            assert site.serial() == own_shop.certificate("servers/api").serial_number

    def test_a_server_follows_its_trust_anchors(self, own_shop: Scene, open_program: Path, tmp_path: Path) -> None:
        with serving(open_program, own_shop, tmp_path / "log", "servers/open") as site:
            assert site.refuses("clients/alien", "unknown authority")
            trust = "open:\n    sans: [localhost, 127.0.0.1]\n    trust: "
            own_shop.edit((f"{trust}root", f"{trust}[root, other]"))
            certgen_apply(own_shop)
            assert site.ask("clients/alien").status == 200
            assert site.ask("clients/checkout").status == 200
            own_shop.edit((f"{trust}[root, other]", f"{trust}other"))
            certgen_apply(own_shop)
            assert site.refuses("clients/checkout", "certificate signed by unknown authority")
            assert site.ask("clients/alien").status == 200

    @pytest.mark.parametrize("options", [[], ["-cached"]], ids=["transport", "shared-configuration"])
    def test_a_client_follows_its_certificate(
        self, own_shop: Scene, api_program: Path, probe_program: Path, tmp_path: Path, options: list[str]
    ) -> None:
        folder = own_shop.tree / "clients/checkout"
        with (
            serving(api_program, own_shop, tmp_path / "log", "servers/api") as site,
            probing(probe_program, folder, tmp_path / "probe.log", *options) as probe,
        ):
            assert "CN=checkout by" in probe.ask(site.url)
            for name in ("key.pem", "cert.pem"):
                shutil.copy(own_shop.tree / "clients/workload" / name, folder / name)
            assert "CN=workload by" in probe.ask(site.url)

    def test_a_client_follows_certificate_and_trust_anchors(
        self, own_shop: Scene, open_program: Path, probe_program: Path, tmp_path: Path
    ) -> None:
        folder = own_shop.tree / "clients/checkout"
        with (
            serving(open_program, own_shop, tmp_path / "open.log", "servers/open") as site,
            serving(open_program, own_shop, tmp_path / "foreign.log", "servers/foreign") as foreign,
            probing(probe_program, folder, tmp_path / "probe.log") as probe,
        ):
            assert probe.ask(site.url).startswith("200 HTTP/2.0")
            assert "unknown authority" in probe.ask(foreign.url)
            trust = "sans: [checkout.shop.example, shared.shop.example]\n    trust: "
            own_shop.edit((f"{trust}root", f"{trust}[root, other]"), ("trust: other", "trust: root"))
            certgen_apply(own_shop, "--rekey", "clients/checkout")
            assert probe.ask(foreign.url).startswith("200 HTTP/2.0")
            assert probe.ask(site.url).startswith("200 HTTP/2.0")
            key = (folder / "key.pem").read_bytes()
            (folder / "key.pem").write_bytes(key[:100])
            assert [probe.ask(site.url)[:3] for _ in range(3)] == ["200"] * 3
            assert probe.log.read_text().count("mtls: the last good files stay in use: ") == 1
            own_shop.edit((f"{trust}[root, other]", f"{trust}other"))
            (folder / "key.pem").write_bytes(key)
            certgen_apply(own_shop)
            assert "unknown authority" in probe.ask(site.url)
            assert probe.ask(foreign.url).startswith("200")


@contextmanager
def example(folder: Path, port: int, work: Path) -> Iterator[Running]:
    program = go_build(folder / "go/server", work / "server")
    with running([program, "-listen", f"127.0.0.1:{port}"], port, work / "go.log") as started:
        yield started


def call_by_example(visit: Visit) -> Answer:
    program = go_build(visit.folder / "go/client", visit.work / "client")
    arguments: list[str | Path] = [program, "-name", visit.name, f"https://127.0.0.1:{visit.port}/"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    return Answer(int(done.stdout.split()[0]) if done.returncode == 0 else None, done.stdout, done.stderr)


def shapes(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the syntax tree of each source, of all of them in one run of Go's parser."""
    sources = {path: text for path, text in files.items() if path.endswith(".go")}
    root = folder / "go"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for number, text in enumerate(sources.values()):
        (root / f"{number:05}.go").write_text(text, encoding="utf-8")
    found = re.split(r"^\d{5}\.go\n", go_skeleton(root) + "\n", flags=re.MULTILINE)[1:] if sources else []
    return dict(zip(sources, found, strict=True))


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
