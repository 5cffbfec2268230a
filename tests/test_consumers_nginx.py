"""nginx, the real one, started from nothing but the rendered files: it lets in whom the spec lets in, nobody else."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import unquote

import crossplane  # type: ignore[import-untyped]  # it has no annotations
import pytest
from consumer_case import Case, Hostile, call_by_proxy, proxy_options
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from foreign.hierarchy import key_usage, new_key
from programs import Answer, Running, Version, ask, ask_plain, eventually, free_port, nginx, require
from remarks import Remark, codes, load, remarks, rendered
from scene import Scene, take_snapshot
from scene import load as certificate_in

from certgen.consumers.naming import openssl_name
from certgen.consumers.nginx import quote
from certgen.consumers.templates import UnquotableError
from certgen.diagnostics import CertgenError
from certgen.model import Address
from certgen.rfc5280.objects import from_name
from certgen.rfc5280.vocabulary import DistinguishedName

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
NOW = datetime.now(UTC).replace(microsecond=0)
GOLDEN = Path(__file__).parent.parent / "certgen/consumers/nginx/golden"

MAIN = """\
    error_log stderr info;
    events {{ worker_connections 64; }}
    http {{
        access_log off;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
        uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        {blocks}
    }}
"""
"""What a user has around the include files."""


def written(path: Path, blocks: str) -> Path:
    """Write a configuration around some server blocks."""
    path.write_text(dedent(MAIN).format(blocks=blocks), encoding="utf-8")
    return path


def in_yaml(text: str) -> str:
    """Write a text so that YAML reads it as it is: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Site:
    """A server that runs, and those who may ask it."""

    url: str
    anchors: Path
    people: Mapping[str, Path]
    server: Running

    def ask(self, who: str | None, version: Version | None = None) -> Answer:
        """Ask as somebody, or as nobody."""
        folder = self.people[who] if who else None
        return ask(self.url, folder=folder, anchors=self.anchors, version=version)


@contextmanager
def site(config: Path, port: int, work: Path, scene: Scene) -> Iterator[Site]:
    """Run a server's configuration; its clients are the folders of the scene."""
    trees = [scene.tree, *scene.output.glob("strange")]
    folders = [path for tree in trees for path in tree.glob("*/*")]
    people = {str(path.relative_to(scene.output)).removeprefix("shop/"): path for path in folders}
    with nginx(config, port, work) as server:
        yield Site(f"https://localhost:{port}/", scene.tree / "cas/root/cert.pem", people, server)


# A whole configuration of a server


SHOP = """\
    version: 1
    cas:
      root: {{common_name: Shop Root CA}}
      issuing: {{issuer: root, common_name: Shop Issuing CA}}
    defaults: {{issuer: issuing}}
    servers:
      api:
        sans: [localhost, api.shop.example, 127.0.0.1]
        snippets: {{nginx: {{listen: "127.0.0.1:{port}", standalone: true, allow: [clients/checkout, peers/etcd]}}}}
    clients:
      checkout:
      reporting:
      late: {{validity: 1h}}
    peers:
      etcd: {{sans: etcd.shop.example}}
"""
STRANGERS = """\
    version: 1
    name: strange
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    defaults: {issuer: issuing}
    clients:
      checkout:
"""
"""Their names are the shop's, to the letter; their keys are not."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server of a spec, with nothing but the files of its own folder, in another place than the tree's."""
    folder, port = tmp_path_factory.mktemp("shop"), free_port()
    scene = Scene(folder, NOW - timedelta(hours=2))  # the client `late` has ended since
    scene.write(SHOP.format(port=port))
    scene.write(STRANGERS, "strange.yaml")
    scene.run()
    moved = Path(shutil.copytree(scene.tree / "servers/api", folder / "moved here"))
    with site(moved / "nginx.conf", port, folder / "work", scene) as running:
        yield running


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", ["clients/checkout", "peers/etcd"])
def test_whom_the_spec_allows_is_let_in(shop: Site, who: str, version: Version) -> None:
    answer = shop.ask(who, version)
    assert (answer.status, answer.body) == (200, f"TLSv{version} CN={who.split('/')[1]}\n")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (None, "client sent no required SSL certificate"),
        ("strange/clients/checkout", "client SSL certificate verify error: "),
        ("servers/api", "client SSL certificate verify error: (26:unsuitable certificate purpose)"),
        ("clients/late", "client SSL certificate verify error: (10:certificate has expired)"),
    ],
)
def test_whom_the_trust_does_not_let_in_is_kept_out_and_the_log_says_why(
    shop: Site, who: str | None, reason: str, version: Version
) -> None:
    before = len(shop.server.words())
    assert shop.ask(who, version).status == 400
    assert eventually(lambda: reason in shop.server.words()[before:])
    before = len(shop.server.words())
    assert shop.ask("clients/checkout", version).status == 200
    assert "verify error" not in shop.server.words()[before:]


@pytest.mark.parametrize("version", VERSIONS)
def test_whom_allow_does_not_name_is_kept_out(shop: Site, version: Version) -> None:
    answer = shop.ask("clients/reporting", version)
    assert answer.status == 403
    assert "CN=" not in answer.body


def test_old_versions_of_tls_are_refused(shop: Site) -> None:
    context = context_of(shop, "clients/checkout")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)version|reset|EOF|handshake"):
        exchange(shop.url, context)
    assert shop.ask("clients/checkout", "1.2").status == 200


def test_without_allow_everybody_is_let_in_whom_the_trust_lets_in(tmp_path: Path) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    scene.write(SHOP.format(port=port))
    scene.write(STRANGERS, "strange.yaml")
    scene.edit((", allow: [clients/checkout, peers/etcd]", ""))
    scene.run()
    with site(scene.tree / "servers/api/nginx.conf", port, tmp_path / "work", scene) as running:
        asked = ["clients/checkout", "clients/reporting", "peers/etcd", "strange/clients/checkout", "servers/api"]
        assert [running.ask(who).status for who in asked] == [200, 200, 200, 400, 400]


# Include files in a configuration of the user's own


def included(path: Path) -> str:
    """Give the include line that the comment of a rendered file proposes."""
    return re.search(r"include .*;", path.read_text(encoding="utf-8")).group()  # type: ignore[union-attr]  # it is there


AWKWARD = 'it\'s "the" shop; {#1} \\n ünï'
"""A folder's name that has every character which nginx's language gives a meaning."""


@pytest.mark.parametrize("folder_name", ["plain", AWKWARD])
def test_the_include_file_makes_a_server_block_of_the_user_s_ask_for_clients(tmp_path: Path, folder_name: str) -> None:
    port, scene = free_port(), Scene(tmp_path / folder_name, NOW)
    scene.write(SHOP.format(port=port))
    scene.write(STRANGERS, "strange.yaml")
    deployed = in_yaml(str(scene.tree / "servers/api"))
    scene.edit(("snippets: {nginx", f"deploy_dir: {deployed}\n    snippets: {{nginx"), (", standalone: true", ""))
    scene.run()
    assert sorted(path.name for path in (scene.tree / "servers/api").iterdir()) == [
        "ca.pem",
        "cert.pem",
        "key.pem",
        "nginx-server.conf",
    ]
    include = included(scene.tree / "servers/api/nginx-server.conf")
    block = f"server {{ listen 127.0.0.1:{port} ssl; {include} location / {{ return 200 $ssl_client_verify; }} }}"
    config = written(tmp_path / "main.conf", block)
    asked: list[str | None] = [None, "strange/clients/checkout", "clients/reporting", "clients/checkout", "peers/etcd"]
    with site(config, port, tmp_path / "work", scene) as running:
        assert [running.ask(who).status for who in asked] == [400, 400, 403, 200, 200]
        assert running.ask("clients/checkout").body == "SUCCESS"


@pytest.mark.parametrize("upstream", ["", "upstream: 'api.shop.example:{port}'"])
def test_the_include_file_of_a_client_serves_a_location_of_the_user_s(tmp_path: Path, upstream: str) -> None:
    port, front, scene = free_port(), free_port(), Scene(tmp_path / AWKWARD, NOW)
    scene.write(SHOP.format(port=port))
    client = scene.tree / "clients/checkout"
    options = f"{{nginx: {{{upstream.format(port=port)}}}}}"
    scene.edit(("checkout:\n", f"checkout: {{deploy_dir: {in_yaml(str(client))}, snippets: {options}}}\n"))
    scene.run()
    location = f"include {quote(str(client / 'nginx-upstream.conf'))}; proxy_pass https://api.shop.example:{port};"
    named = f"upstream api.shop.example {{ server 127.0.0.1:{port}; }}"
    location = location.replace(f"example:{port}", "example")
    config = written(
        tmp_path / "main.conf", f"{named} server {{ listen 127.0.0.1:{front}; location / {{ {location} }} }}"
    )
    with (
        nginx(scene.tree / "servers/api/nginx.conf", port, tmp_path / "server"),
        nginx(config, front, tmp_path / "client"),
    ):
        answer = ask_plain(f"http://127.0.0.1:{front}/")
        assert (answer.status, answer.body) == (200, "TLSv1.3 CN=checkout\n")


# Who connected, handed on to the program behind


class _Echo(BaseHTTPRequestHandler):
    """Answers with what arrived."""

    def do_GET(self) -> None:
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the standard library
        """Say nothing."""


@contextmanager
def serving(server: HTTPServer) -> Iterator[HTTPServer]:
    """Serve in a thread for the length of a `with`."""
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


FORGED = {
    "X-Client-Subject": "CN=admin",
    "x-client-issuer": "CN=admin CA",
    "X-CLIENT-CERTIFICATE": "admin",
    "X_Client_Subject": "CN=admin",
    "X-Forwarded-For": "10.1.2.3 admin",
    "X-Forwarded-Proto": "admin",
}
HANDED_ON = ("x-client-subject", "x-client-issuer", "x-client-certificate")


def exchange(url: str, context: ssl.SSLContext, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask with headers of one's own, each on a line of its own."""
    host, _, port = url.removeprefix("https://").strip("/").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
    try:
        connection.request("GET", "/", headers=dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())
    finally:
        connection.close()


def context_of(running: Site, who: str) -> ssl.SSLContext:
    """Make a client's context."""
    context = ssl.create_default_context(cafile=running.anchors)
    context.load_cert_chain(running.people[who] / "cert.pem", running.people[who] / "key.pem")
    return context


def handed_on(running: Site, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Give what arrives at the program of what the client `checkout` sends, names in lower case."""
    answer = exchange(running.url, context_of(running, "clients/checkout"), headers)
    assert answer.status == 200, answer
    return [(name.lower().replace("_", "-"), value) for name, value in json.loads(answer.body)]


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """A program that says what it was sent, and nothing of TLS."""
    with serving(HTTPServer(("127.0.0.1", 0), _Echo)) as server:
        yield server.server_port


@pytest.fixture(scope="module", params=["standalone", "included"])
def before_a_program(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, echo: int
) -> Iterator[Site]:
    """nginx before a program, as a whole configuration and as a server block of the user's."""
    folder, port = tmp_path_factory.mktemp("before"), free_port()
    scene = Scene(folder, NOW)
    scene.write(SHOP.format(port=port))
    server = scene.tree / "servers/api"
    scene.edit(
        ("snippets: {nginx: {", f"deploy_dir: {in_yaml(str(server))}\n    snippets: {{nginx: {{"),
        ("standalone: true", f'standalone: true, upstream: "127.0.0.1:{echo}"'),
    )
    scene.run()
    config = server / "nginx.conf"
    if request.param == "included":
        passing = f"location / {{ proxy_pass http://127.0.0.1:{echo}; }}"
        block = f"server {{ listen 127.0.0.1:{port} ssl; {included(server / 'nginx-server.conf')} {passing} }}"
        config = written(folder / "main.conf", block)
    with site(config, port, folder / "work", scene) as running:
        yield running


def test_the_program_behind_is_told_who_connected(before_a_program: Site) -> None:
    found = dict(handed_on(before_a_program, {}))
    assert found["x-client-subject"] == "CN=checkout"
    assert found["x-client-issuer"] == "CN=Shop Issuing CA"
    shown = x509.load_pem_x509_certificate(unquote(found["x-client-certificate"]).encode())
    assert shown == certificate_in(before_a_program.people["clients/checkout"] / "cert.pem")


def test_what_a_client_forges_never_arrives(before_a_program: Site) -> None:
    sent = handed_on(before_a_program, FORGED)
    forgeable = [name for name, _ in sent if name in HANDED_ON]
    assert sorted(forgeable) == sorted(HANDED_ON)
    identity = [value for name, value in sent if name in HANDED_ON]
    assert [value for value in identity if "admin" in value] == []
    assert dict(sent)["x-client-subject"] == "CN=checkout"


def test_a_header_of_no_meaning_arrives_so_the_forging_is_real(before_a_program: Site) -> None:
    assert ("x-colour", "green") in handed_on(before_a_program, {"X-Colour": "green"})


@pytest.mark.parametrize("before_a_program", ["standalone"], indirect=True)
def test_whom_a_whole_configuration_forwards_for_cannot_be_forged_either(before_a_program: Site) -> None:
    found = handed_on(before_a_program, FORGED)
    assert [value for name, value in found if name.startswith("x-forwarded")] == ["127.0.0.1", "https"]
    assert [(name, value) for name, value in found if "admin" in value] == []


def test_a_location_with_a_header_of_its_own_inherits_none_as_the_comment_warns(tmp_path: Path, echo: int) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    scene.write(SHOP.format(port=port))
    server = scene.tree / "servers/api"
    scene.edit(("snippets: {nginx", f"deploy_dir: {in_yaml(str(server))}\n    snippets: {{nginx"))
    scene.run()
    assert "inherits none" in (server / "nginx-server.conf").read_text()
    passing = f"location / {{ proxy_set_header X-Colour green; proxy_pass http://127.0.0.1:{echo}; }}"
    block = f"server {{ listen 127.0.0.1:{port} ssl; {included(server / 'nginx-server.conf')} {passing} }}"
    with site(written(tmp_path / "main.conf", block), port, tmp_path / "work", scene) as running:
        assert dict(handed_on(running, FORGED))["x-client-subject"] == "CN=admin"


# The client's side


class _Tls(HTTPServer):
    """A server of mTLS by Python's ssl: it says who connected."""

    def __init__(self, port: int, folder: Path, anchors: Path) -> None:
        self.seen: list[bool] = []
        """Whether each connection resumed a session."""
        self.asked_for: list[str | None] = []
        """The name that each client asked for, before it knew who answers."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._context.load_verify_locations(anchors)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.sni_callback = lambda _socket, name, _context: self.asked_for.append(name)
        super().__init__(("127.0.0.1", port), _Who)

    def get_request(self) -> tuple[ssl.SSLSocket, object]:
        plain, place = super().get_request()
        plain.settimeout(10)
        try:
            secured = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            raise
        self.seen.append(bool(secured.session_reused))
        return secured, place


class _Who(_Echo):
    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        subject = (self.connection.getpeercert() or {})["subject"]
        body = f"{subject[-1][0][1]} {self.connection.version()} {self.headers['Host']}".encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


PROXIES = """\
    version: 1
    cas:
      root: {{common_name: Shop Root CA}}
      issuing: {{issuer: root, common_name: Shop Issuing CA}}
      other: {{common_name: Other CA}}
    defaults: {{issuer: issuing}}
    servers:
      api: {{trust: [root], sans: [api.shop.example, localhost]}}
      wild: {{trust: [root], sans: "*.shop.example"}}
      foreign: {{issuer: other, trust: [root], sans: [api.shop.example, "*.shop.example"]}}
    clients:
      checkout:
        trust: [root]
        sans: DNS:api.shop.example
        snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{checkout}", upstream: "127.0.0.1:{port}",
                            server_name: api.shop.example}}}}
      by-host:
        trust: [root]
        snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{by_host}", upstream: "localhost:{port}"}}}}
      deeper:
        trust: [root]
        snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{deeper}", upstream: "127.0.0.1:{port}",
                            server_name: eu.api.shop.example}}}}
"""


VERIFY_ERROR = "upstream SSL certificate verify error"


@dataclass(frozen=True)
class Proxies:
    """Clients that run, each with its own view of one upstream, of which none is there yet."""

    scene: Scene
    upstream: int
    ports: Mapping[str, int]
    logs: Mapping[str, Running] = field(default_factory=dict)

    @contextmanager
    def upstream_is(self, who: str) -> Iterator[_Tls]:
        """Serve as an entry, to those whose root is the shop's."""
        server = _Tls(self.upstream, self.scene.tree / who, self.scene.tree / "cas/root/cert.pem")
        with serving(server):
            yield server

    def ask(self, client: str) -> Answer:
        return ask_plain(f"http://127.0.0.1:{self.ports[client]}/")


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxies]:
    folder, port = tmp_path_factory.mktemp("proxies"), free_port()
    ports = {client: free_port() for client in ("checkout", "by_host", "deeper")}
    scene = Scene(folder, NOW)
    scene.write(PROXIES.format(port=port, **ports))
    scene.run()
    logs = {}
    with ExitStack() as stack:
        for client, listens in ports.items():
            config = scene.tree / "clients" / client.replace("_", "-") / "nginx.conf"
            logs[client] = stack.enter_context(nginx(config, listens, folder / client))
        yield Proxies(scene, port, ports, logs)


def test_a_client_reaches_its_server_as_itself(proxies: Proxies) -> None:
    with proxies.upstream_is("servers/api") as server:
        answer = proxies.ask("checkout")
        assert (answer.status, answer.body) == (200, "checkout TLSv1.3 api.shop.example")
        assert proxies.ask("by_host").body == "by-host TLSv1.3 localhost"
        assert server.asked_for == ["api.shop.example", "localhost"]


def test_a_wildcard_of_the_server_stands_for_the_name(proxies: Proxies) -> None:
    with proxies.upstream_is("servers/wild"):
        assert proxies.ask("checkout").status == 200
        assert proxies.ask("deeper").status == 502  # for one label, not for two


@pytest.mark.parametrize(
    ("upstream", "client", "reason"),
    [
        ("servers/api", "deeper", 'upstream SSL certificate does not match "eu.api.shop.example"'),
        ("servers/wild", "by_host", 'upstream SSL certificate does not match "localhost"'),
        ("servers/foreign", "checkout", f"{VERIFY_ERROR}: (21:unable to verify the first certificate)"),
        ("clients/checkout", "checkout", f"{VERIFY_ERROR}: (26:unsuitable certificate purpose)"),
    ],
)
def test_a_server_that_is_not_the_right_one_is_not_believed_and_the_log_says_why(
    proxies: Proxies, upstream: str, client: str, reason: str
) -> None:
    log = proxies.logs[client]
    before = len(log.words())
    with proxies.upstream_is(upstream):
        answer = proxies.ask(client)
    assert answer.status == 502
    assert eventually(lambda: reason in log.words()[before:]), log.words()[before:]
    with proxies.upstream_is("servers/api"):
        assert proxies.ask("checkout").status == 200


def test_no_session_with_an_upstream_is_resumed(proxies: Proxies, tmp_path: Path) -> None:
    with proxies.upstream_is("servers/api") as server:
        assert [proxies.ask("checkout").status for _ in range(4)] == [200] * 4
        assert server.seen == [False] * 4
    # As nginx does it by itself, the same server sees sessions again.
    front, client = free_port(), proxies.scene.tree / "clients/checkout"
    config = Path(shutil.copytree(client, tmp_path / "copy")) / "nginx.conf"
    text = (client / "nginx.conf").read_text().replace(f":{proxies.ports['checkout']}", f":{front}")
    changed = text.replace("proxy_ssl_session_reuse        off;", "")
    assert changed != text
    config.write_text(changed.replace("worker_processes auto", "worker_processes 1"))  # each has sessions of its own
    with nginx(config, front, tmp_path / "work"), proxies.upstream_is("servers/api") as server:
        assert [ask_plain(f"http://127.0.0.1:{front}/").status for _ in range(4)] == [200] * 4
        assert True in server.seen


# Both sides of a peer, and long ways up to the root


MESH = """\
    version: 1
    cas:
      root:
      one: {{issuer: root}}
      two: {{issuer: one}}
      three: {{issuer: two}}
    defaults: {{issuer: three}}
    peers:
      east:
        sans: east.shop.example
        snippets:
          nginx:
            standalone: true
            listen: "127.0.0.1:{east}"
            client: {{listen: "127.0.0.1:{east_front}", upstream: "127.0.0.1:{west}", server_name: west.shop.example}}
      west:
        sans: west.shop.example
        snippets:
          nginx:
            standalone: true
            listen: "127.0.0.1:{west}"
            client: {{listen: "127.0.0.1:{west_front}", upstream: "127.0.0.1:{east}", server_name: east.shop.example}}
    clients:
      checkout:
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, dict[str, int]]:
    ports = {name: free_port() for name in ("east", "east_front", "west", "west_front")}
    scene = Scene(tmp_path_factory.mktemp("mesh"), NOW)
    scene.write(MESH.format(**ports))
    scene.run()
    return scene, ports


def test_peers_meet_each_other_over_three_levels_of_intermediates(
    mesh: tuple[Scene, dict[str, int]], tmp_path: Path
) -> None:
    scene, ports = mesh
    with (
        nginx(scene.tree / "peers/east/nginx.conf", ports["east"], tmp_path / "east"),
        nginx(scene.tree / "peers/west/nginx.conf", ports["west"], tmp_path / "west"),
    ):
        assert ask_plain(f"http://127.0.0.1:{ports['east_front']}/").body == "TLSv1.3 CN=east\n"
        assert ask_plain(f"http://127.0.0.1:{ports['west_front']}/").body == "TLSv1.3 CN=west\n"


def test_the_depth_is_as_large_as_the_spec_needs_and_a_smaller_one_keeps_out(
    mesh: tuple[Scene, dict[str, int]], tmp_path: Path
) -> None:
    scene, ports = mesh
    config = scene.tree / "peers/east/nginx.conf"
    anchors = scene.tree / "cas/root/cert.pem"
    shallow = Path(shutil.copytree(config.parent, tmp_path / "shallow")) / "nginx.conf"
    shallow.write_text(re.sub(r"ssl_verify_depth( +)\d+;", r"ssl_verify_depth\1 2;", config.read_text()))
    assert shallow.read_text() != config.read_text()
    statuses = []
    for number, candidate in enumerate((config, shallow)):
        with nginx(candidate, ports["east"], tmp_path / str(number)) as server:
            url = f"https://127.0.0.1:{ports['east']}/"
            client = scene.tree / "clients/checkout"
            statuses.append(ask(url, folder=client, anchors=anchors, server_name="east.shop.example").status)
    assert statuses == [200, 400]
    # OpenSSL gives up the search before it comes to the root.
    assert "client SSL certificate verify error: (20:unable to get local issuer certificate)" in server.words()


def test_replicas_of_a_peer_with_one_certificate_meet_each_other_over_three_levels(tmp_path: Path) -> None:
    port, front, scene = free_port(), free_port(), Scene(tmp_path, NOW)
    scene.write(
        f"""\
        version: 1
        cas:
          root:
          one: {{issuer: root}}
          two: {{issuer: one}}
          three: {{issuer: two}}
        peers:
          node:
            issuer: three
            sans: node.shop.example
            snippets:
              nginx:
                standalone: true
                listen: "127.0.0.1:{port}"
                allow: [peers/node]
                client: {{listen: "127.0.0.1:{front}", upstream: "127.0.0.1:{port}", server_name: node.shop.example}}
        """
    )
    scene.run()
    with nginx(scene.tree / "peers/node/nginx.conf", port, tmp_path / "work"):
        answer = ask_plain(f"http://127.0.0.1:{front}/")
        assert (answer.status, answer.body) == (200, "TLSv1.3 CN=node\n")


def test_a_client_under_anchors_that_the_user_brings_is_let_in_over_as_many_levels(tmp_path: Path) -> None:
    partner = Scene(tmp_path / "partner", NOW)
    partner.write(
        """\
        version: 1
        cas:
          root: {common_name: Partner CA}
          one: {issuer: root}
          two: {issuer: one}
          three: {issuer: two}
        clients:
          robot: {issuer: three}
        """
    )
    partner.run()
    port, scene = free_port(), Scene(tmp_path, NOW)
    shutil.copy(partner.tree / "cas/root/cert.pem", scene.specs / "partner.pem")
    spec = """\
        version: 1
        ca:
        servers:
          api:
            sans: localhost
            trust: {trust}
            snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{port}"}}}}
        """
    statuses = []
    for number, trust in enumerate(("[ca, partner.pem]", "[ca]")):
        scene.write(spec.format(trust=trust, port=port))
        scene.run()
        with nginx(scene.tree / "servers/api/nginx.conf", port, tmp_path / f"work-{number}"):
            url, anchors = f"https://localhost:{port}/", scene.tree / "cas/ca/cert.pem"
            statuses.append(ask(url, folder=partner.tree / "clients/robot", anchors=anchors).status)
    assert statuses == [200, 400]


def test_a_ca_that_the_entry_does_not_trust_does_not_change_its_depth(tmp_path: Path) -> None:
    spec = """\
        version: 1
        cas:
          root:
          elsewhere:
          one: {issuer: elsewhere}
          two: {issuer: one}
          three: {issuer: two}
        servers:
          api: {issuer: root, trust: [root], sans: api.shop.example, snippets: nginx}
        clients:
          checkout: {issuer: root, trust: [root]}
          far: {issuer: %s, trust: [elsewhere]}
        """
    files = [rendered(load(tmp_path, spec % issuer).bundle, "servers/api") for issuer in ("elsewhere", "three")]
    assert files[0] == files[1]
    trusting = spec.replace("trust: [root], sans", "trust: [root, elsewhere], sans") % "three"
    assert rendered(load(tmp_path, trusting).bundle, "servers/api") != files[0]


def test_the_work_for_a_fleet_grows_with_the_fleet_and_not_with_its_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from certgen.model import Bundle

    walks = 0
    real = Bundle.issuers_above

    def counted(bundle: Bundle, address: Address) -> object:
        nonlocal walks
        walks += 1
        return real(bundle, address)

    def walks_for(number: int) -> int:
        nonlocal walks
        walks = 0
        fleet = "".join(f"  s{n}: {{sans: s{n}.shop.example}}\n" for n in range(number))
        load(tmp_path, f"version: 1\nca:\ndefaults: {{snippets: nginx}}\nservers:\n{fleet}")
        return walks

    monkeypatch.setattr(Bundle, "issuers_above", counted)
    assert walks_for(80) < 3 * walks_for(40)


# Names that need escaping


NAMES = {
    "comma": "Shop, Inc.",
    "plus": "Shop + Co",
    "double quotes": 'Shop "Inc."',
    "single quotes": "Shop's",
    "backslash": "Shop\\Inc",
    "backslash last": "Shop\\",
    "backslash and a letter": "Shop\\nInc",
    "number sign first": "#1 Shop",
    "number sign within": "Shop #1",
    "number sign alone": "#",
    "less": "Shop < Inc",
    "issuer's name within": "Shop < CN=Shop CA",
    "greater": "Shop > Inc",
    "semicolon": "Shop; return 200",
    "equals": "CN=Shop",
    "braces": "Shop { } ${",
    "parentheses": ") Shop (",
    "two blanks": "Shop  Inc",
    "percent": "Shop %2C %s",
    "slash": "Shop/CN=Inc",
    "tilde first": "~ Shop",
    "star": "*",
    "latin": "Café",
    "han": "商店中",
    "emoji": "Shop 🛒",
    "combining": "Cafe\u0301",
    "no-break blank": "Shop\u00a0Inc",
    "longest": "x" * 64,
    "longest in UTF-8": "中" * 64,
    "zero": "0",
    "jinja": "{{ header }}{% if %}{#",
}
TWINS: Mapping[str, tuple[str, str]] = {
    "Shop, Inc.": ("Shop, Inc.", "Shop\\, Inc."),
    "case": ("Worker", "worker"),
    "blank": ("Shop Inc", "Shop  Inc"),
    "escape": ("Shop\\2C Inc", "Shop, Inc"),
    "hex": ("Caf\\C3\\A9", "Café"),
    "quotes": ('Shop "Inc."', "Shop 'Inc.'"),
    "number sign": ("#1", "1"),
    "prefix": ("worker", "worker1"),
    "empty rest": ("worker1", "worker1 <"),
    "normal forms": ("Café", "Cafe\u0301"),
    "full width": ("worker", "\uff57orker"),
    "digit and letter": ("w0rker", "wOrker"),
}


def with_one_character_more(name: str) -> str:
    """Give a name that differs in one character."""
    return name + "." if len(name) < 64 else name[:-1] + "."


ESCAPES = {name: (text, with_one_character_more(text)) for name, text in NAMES.items() if "$" not in text} | {
    f"twins: {name}": pair for name, pair in TWINS.items()
}

EVERY_ATTRIBUTE = {
    "domain_component": ["example", "shop, + \"'\\;<>#"],
    "country": ["NL", "DE"],
    "state": ["Noord-Holland, NL"],
    "locality": ["'s-Gravenhage", "#1"],
    "street_address": ['Dam 1; "left"', "Place\u00a0d'Étoile"],
    "postal_code": ["1012 JS", "+31"],
    "organization": ["Shop, Inc.", "中 + 🛒", "<none>"],
    "organizational_unit": ["R&D \\ QA", "a=b"],
    "serial_number": ["12 34+(5)/?", ",=:"],
}


@dataclass(frozen=True)
class Registry:
    """A server that lets in one client of each pair of twins."""

    site: Site
    numbers: Mapping[str, int]
    subjects: Mapping[str, DistinguishedName]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    numbers = {name: number for number, name in enumerate(ESCAPES)}
    allow = ", ".join(f"clients/right-{number}" for number in numbers.values())
    clients = [
        f"  {who}-{numbers[name]}: {{common_name: {in_yaml(text)}, subject: {{organizational_unit: pair {number}}}}}"
        for name, pair in ESCAPES.items()
        for number in [numbers[name]]
        for who, text in zip(("right", "twin"), pair, strict=True)
    ]
    snippet = f'{{nginx: {{standalone: true, listen: "127.0.0.1:{port}", allow: [{allow}]}}}}'
    head = "version: 1\nca: {common_name: Shop CA}\nservers:\n  api:\n    sans: localhost\n    snippets: " + snippet
    scene = Scene(folder, NOW)
    (scene.specs / "shop.yaml").write_text("\n".join([head, "clients:", *clients, ""]), encoding="utf-8")
    scene.run()
    people = {f"clients/{path.name}": path for path in (scene.tree / "clients").iterdir()}
    with nginx(scene.tree / "servers/api/nginx.conf", port, folder / "work") as server:
        url, (loaded,) = f"https://localhost:{port}/", scene.load()
        subjects = {str(entry.address): entry.template.subject for entry in loaded.bundle.entries}
        yield Registry(Site(url, scene.tree / "cas/ca/cert.pem", people, server), numbers, subjects)


@pytest.mark.parametrize("name", ESCAPES)
def test_the_client_of_a_name_is_let_in_and_its_twin_is_not(registry: Registry, name: str) -> None:
    number = registry.numbers[name]
    right, twin = (registry.site.ask(f"clients/{who}-{number}") for who in ("right", "twin"))
    subject = openssl_name(registry.subjects[f"clients/right-{number}"])
    assert (right.status, twin.status) == (200, 403), subject
    assert right.body == f"TLSv1.3 {subject}\n"


def subject_in_yaml(values: Mapping[str, Sequence[str]]) -> str:
    return json.dumps(values, ensure_ascii=False)


def test_every_attribute_of_the_language_at_once_is_compared_for_subject_and_issuer(tmp_path: Path) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    other = {**EVERY_ATTRIBUTE, "locality": ["'s-Gravenhage", "#2"]}
    reordered = {**EVERY_ATTRIBUTE, "organization": EVERY_ATTRIBUTE["organization"][::-1]}
    scene.write(
        f"""\
        version: 1
        cas:
          root: {{common_name: Shop CA}}
          odd: {{issuer: root, subject: {subject_in_yaml(EVERY_ATTRIBUTE)}, common_name: "Issuing, #1 + <CA>"}}
        defaults: {{issuer: odd}}
        servers:
          api:
            sans: localhost
            snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{port}", allow: [clients/right]}}}}
        clients:
          right: {{common_name: checkout, subject: {subject_in_yaml(EVERY_ATTRIBUTE)}}}
          other: {{common_name: checkout, subject: {subject_in_yaml(other)}}}
          reordered: {{common_name: checkout, subject: {subject_in_yaml(reordered)}}}
          bare: {{common_name: checkout}}
        """
    )
    scene.run()
    with site(scene.tree / "servers/api/nginx.conf", port, tmp_path / "work", scene) as running:
        assert running.ask("clients/right").status == 200
        kept_out = ("clients/other", "clients/reordered", "clients/bare")
        assert [running.ask(who).status for who in kept_out] == [403] * 3
        subject = from_name(certificate_in(scene.tree / "clients/right/cert.pem").subject)
        assert len(subject.attributes) == sum(map(len, EVERY_ATTRIBUTE.values())) + 1
        assert running.ask("clients/right").body == f"TLSv1.3 {openssl_name(subject)}\n"


def test_clients_of_one_subject_under_two_issuers_are_told_apart(tmp_path: Path) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    scene.write(
        f"""\
        version: 1
        cas:
          root:
          east: {{issuer: root, common_name: "Issuing, #1"}}
          west: {{issuer: root, common_name: "Issuing, #2"}}
        servers:
          api:
            issuer: east
            sans: localhost
            snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{port}", allow: [clients/east]}}}}
        clients:
          east: {{issuer: east, common_name: worker}}
          west: {{issuer: west, common_name: worker}}
        """
    )
    scene.run()
    with site(scene.tree / "servers/api/nginx.conf", port, tmp_path / "work", scene) as running:
        assert [running.ask(f"clients/{name}").status for name in ("east", "west")] == [200, 403]


def test_a_subject_that_holds_the_border_between_subject_and_issuer_is_not_taken_for_another(tmp_path: Path) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    scene.write(
        f"""\
        version: 1
        cas:
          root: {{common_name: Shop CA}}
          one: {{issuer: root, common_name: "y < CN=z"}}
          two: {{issuer: root, common_name: z}}
        servers:
          api:
            issuer: one
            sans: localhost
            snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{port}", allow: [clients/right]}}}}
        clients:
          right: {{issuer: one, common_name: x}}
          wrong: {{issuer: two, common_name: "x < CN=y"}}
        """
    )
    scene.run()
    with site(scene.tree / "servers/api/nginx.conf", port, tmp_path / "work", scene) as running:
        assert [running.ask(f"clients/{name}").status for name in ("right", "wrong")] == [200, 403]


def is_refused(scene: Scene, code: str) -> bool:
    """Tell whether a spec is refused, for this reason and no other."""
    try:
        scene.load()
    except CertgenError as reason:
        found = {problem.code for problem in reason.diagnostics}
        return found == {code}
    return False


SHORT, LONG = "x" * 61, "中" * 60


@pytest.mark.parametrize(
    ("unit", "count"),
    [pytest.param(LONG, count, id=f"long, {count}") for count in (1, 3, 12)]
    + [pytest.param(SHORT, count, id=f"short, {count}") for count in range(57, 64)],
)
def test_a_caller_is_quoted_however_long_it_is_or_the_spec_is_refused(tmp_path: Path, unit: str, count: int) -> None:
    scene = Scene(tmp_path, NOW)
    units = json.dumps([f"{unit} {number:02}" for number in range(count)], ensure_ascii=False)
    scene.write(
        f"""\
        version: 1
        ca:
        servers:
          api: {{sans: localhost, snippets: {{nginx: {{standalone: true, allow: [clients/checkout]}}}}}}
        clients:
          checkout: {{subject: {{organizational_unit: {units}}}}}
        """
    )
    # nginx takes no word of 4096 bytes: "OU=" and "," make each of the short units 68, and the long ones are over 700.
    is_too_long = is_refused(scene, "not-quotable")
    assert is_too_long or count not in {12, 61, 62, 63}
    assert not is_too_long or count not in {1, 3, 57}
    if not is_too_long:
        scene.run()
        assert_accepted(scene.tree / "servers/api/nginx.conf", tmp_path / "work")


def assert_accepted(config: Path, work: Path) -> None:
    """Demand of `nginx -t` that it takes a configuration."""
    work.mkdir()
    command: list[str | Path] = [require("nginx"), "-t", "-p", work, "-c", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize("text", ["a b", "abc"])
def test_a_folder_is_quoted_however_long_its_path_is_or_the_spec_is_refused(tmp_path: Path, text: str) -> None:
    taken = {}
    for length in range(3900, 4110, 5):
        folder = f"/{text * 2000}"[:length] + "x"
        spec = f"""\
            version: 1
            ca:
            servers:
              api: {{sans: a.example, deploy_dir: "{folder}", snippets: {{nginx: {{standalone: true}}}}}}
            """
        taken[length] = [code.partition(" ")[0] for code in codes(tmp_path, spec)]
    assert taken[3900] == []
    assert {tuple(found) for found in taken.values()} == {(), ("not-quotable",)}
    # What follows the folder counts too, and the quotes.
    assert [length for length, found in taken.items() if not found and length + len("/nginx-server.conf") > 4096] == []


# A CA that the user brings, whose name certgen did not make


A = x509.NameAttribute
BROUGHT = {
    "one attribute beside the other": x509.Name(
        [
            x509.RelativeDistinguishedName([A(NameOID.ORGANIZATION_NAME, "Shop")]),
            x509.RelativeDistinguishedName([A(NameOID.COMMON_NAME, "CA"), A(NameOID.ORGANIZATIONAL_UNIT_NAME, "PKI")]),
        ]
    ),
    "a user id": x509.Name([A(NameOID.USER_ID, "ca"), A(NameOID.COMMON_NAME, "CA")]),
    "a mail address": x509.Name([A(NameOID.EMAIL_ADDRESS, "ca@shop.example"), A(NameOID.COMMON_NAME, "CA")]),
    "a dollar": x509.Name([A(NameOID.COMMON_NAME, "$ssl_client_s_dn")]),
    "two blanks at its ends": x509.Name([A(NameOID.COMMON_NAME, " Shop  CA ")]),
    "a line break": x509.Name([A(NameOID.COMMON_NAME, "Shop\nreturn 200;")]),
    "a BMPString": x509.Name([A(NameOID.COMMON_NAME, "Shop 中", _type=_ASN1Type.BMPString)]),
    "a T61String": x509.Name([A(NameOID.COMMON_NAME, "Shop CA", _type=_ASN1Type.T61String)]),
    "the usual": x509.Name([A(NameOID.COMMON_NAME, "Shop CA")]),
}
MAY_BE_REFUSED = {"a dollar", "a user id", "a mail address", "one attribute beside the other"}


def bring(folder: Path, subject: x509.Name) -> None:
    """Make a root with a subject, as ca.pem and ca.key."""
    key = new_key("ecdsa-p256")
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(key_usage("key_cert_sign", "crl_sign").value, critical=True)
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = _signed(builder.add_extension(own_id, critical=False), key)
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _signed(builder: x509.CertificateBuilder, key: object) -> x509.Certificate:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    assert isinstance(key, EllipticCurvePrivateKey)
    return builder.sign(key, SHA256())


@pytest.mark.parametrize("name", BROUGHT)
def test_under_a_ca_that_the_user_brings_the_right_client_is_let_in_or_the_spec_is_refused(
    tmp_path: Path, name: str
) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    bring(scene.specs, BROUGHT[name])
    scene.write(
        f"""\
        version: 1
        cas:
          root: {{certificate: ca.pem, private_key: ca.key}}
        servers:
          api:
            sans: localhost
            snippets: {{nginx: {{standalone: true, listen: "127.0.0.1:{port}", allow: [clients/checkout]}}}}
        clients:
          checkout:
          reporting:
        """
    )
    if name in MAY_BE_REFUSED and is_refused(scene, "not-quotable"):
        return
    scene.run()
    anchors = scene.tree / "servers/api/ca.pem"
    with nginx(scene.tree / "servers/api/nginx.conf", port, tmp_path / "work"):
        url, clients = f"https://localhost:{port}/", scene.tree / "clients"
        statuses = [ask(url, folder=clients / who, anchors=anchors).status for who in ("checkout", "reporting")]
    assert statuses == [200, 403]


# Sessions, and certificates that are renewed


def reused(url: str, context: ssl.SSLContext) -> list[bool]:
    """Connect four times, each with the session of the one before where it gave one."""
    host, _, port = url.removeprefix("https://").strip("/").partition(":")
    session: ssl.SSLSession | None = None
    found = []
    for _ in range(4):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.connect()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host, session=session)
        connection.request("GET", "/")
        connection.getresponse().read()  # under TLS 1.3 a session comes after the handshake
        found.append(bool(connection.sock.session_reused))
        session = connection.sock.session
        connection.close()
    return found


def a_version(context: ssl.SSLContext, version: Version) -> ssl.SSLContext:
    chosen = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = chosen
    return context


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_is_resumed(shop: Site, version: Version) -> None:
    assert reused(shop.url, a_version(context_of(shop, "clients/checkout"), version)) == [False] * 4


@pytest.mark.parametrize("version", VERSIONS)
def test_with_a_cache_of_sessions_the_same_client_resumes_them(shop: Site, tmp_path: Path, version: Version) -> None:
    folder, port = shop.server.log.parent.parent / "moved here", free_port()
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    text = (copy / "nginx.conf").read_text()
    listen = shop.url.rsplit(":", 1)[1].strip("/")
    changed = re.sub(r"ssl_session_cache +off;", "ssl_session_cache shared:x:1m;", text).replace(listen, str(port))
    (copy / "nginx.conf").write_text(changed.replace("ssl_session_tickets     off;", ""))
    with nginx(copy / "nginx.conf", port, tmp_path / "work"):
        context = a_version(context_of(shop, "clients/checkout"), version)
        assert True in reused(f"https://localhost:{port}/", context)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_is_resumed_where_the_user_s_configuration_has_a_cache_for_all_servers(
    shop: Site, tmp_path: Path, version: Version
) -> None:
    folder, port, plain = shop.server.log.parent.parent / "moved here", free_port(), free_port()
    text = (folder / "nginx-server.conf").read_text().replace("/etc/certgen/api/", f"{tmp_path}/api/")
    shutil.copytree(folder, tmp_path / "api")
    (tmp_path / "api/nginx-server.conf").write_text(text)
    caching = "ssl_session_cache shared:x:1m; ssl_session_tickets on; ssl_protocols TLSv1.2 TLSv1.3;"
    include = f"include {tmp_path}/api/nginx-server.conf;"
    usual = f"ssl_certificate {tmp_path}/api/cert.pem; ssl_certificate_key {tmp_path}/api/key.pem;"
    blocks = [
        f"server {{ listen 127.0.0.1:{number} ssl; {words} location / {{ return 200 x; }} }}"
        for number, words in ((port, include), (plain, usual))
    ]
    config = written(tmp_path / "main.conf", caching + "\n".join(blocks))
    with nginx(config, port, tmp_path / "work"):
        context = a_version(context_of(shop, "clients/checkout"), version)
        assert reused(f"https://localhost:{port}/", context) == [False] * 4
        assert True in reused(f"https://localhost:{plain}/", context)


def serial(url: str, context: ssl.SSLContext) -> int:
    """Give the serial number of a server's certificate."""
    host, _, port = url.removeprefix("https://").strip("/").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
    connection.connect()
    try:
        assert isinstance(connection.sock, ssl.SSLSocket)
        return x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"").serial_number
    finally:
        connection.close()


def test_after_a_renewal_and_a_reload_the_new_certificate_is_served_and_everybody_is_let_in_as_before(
    tmp_path: Path,
) -> None:
    port, scene = free_port(), Scene(tmp_path, NOW)
    scene.write(SHOP.format(port=port))
    scene.run()
    with site(scene.tree / "servers/api/nginx.conf", port, tmp_path / "work", scene) as running:
        before = scene.certificate("servers/api").serial_number
        context = context_of(running, "clients/checkout")
        assert serial(running.url, context) == before
        scene.run(renew=["servers/api", "clients/checkout", "cas/issuing"])
        assert serial(running.url, context) == before
        running.server.reload()
        assert eventually(lambda: serial(running.url, context) == scene.certificate("servers/api").serial_number)
        assert [running.ask(f"clients/{name}").status for name in ("checkout", "reporting")] == [200, 403]


# What a change of the spec rewrites


@pytest.fixture
def fleet(scene: Scene) -> Scene:
    scene.write(
        """\
        version: 1
        ca: {common_name: Shop CA}
        servers:
          api: {sans: api.shop.example, snippets: {nginx: {standalone: true, allow: [clients/checkout]}}}
          both: {sans: both.shop.example, snippets: {nginx: {allow: [clients/checkout, clients/reporting]}}}
          open: {sans: open.shop.example, snippets: nginx}
        clients:
          checkout: {snippets: nginx}
          reporting:
        """
    )
    scene.apply()
    return scene


def snippets_in(scene: Scene) -> dict[str, tuple[int, int]]:
    """Give inode and time of each rendered file."""
    found = take_snapshot(scene.tree)
    return {path: (record.inode, record.modified) for path, record in found.items() if path.endswith(".conf")}


def test_a_renewal_rewrites_no_snippet(fleet: Scene) -> None:
    before = snippets_in(fleet)
    assert len(before) == 5
    everything = ["cas/ca", "servers/api", "servers/both", "servers/open", "clients/checkout", "clients/reporting"]
    assert "cas/ca/cert.pem" in fleet.apply(renew=everything).touched
    assert snippets_in(fleet) == before
    fleet.apply(rekey=["clients/checkout"])
    assert snippets_in(fleet) == before


def test_another_subject_of_a_client_rewrites_the_snippets_of_the_servers_that_allow_it_and_no_others(
    fleet: Scene,
) -> None:
    fleet.edit(("checkout: {snippets", "checkout: {common_name: Checkout 2, snippets"))
    applied = fleet.apply()
    assert applied.changes == {
        "servers/api": "write: output_changed",
        "servers/both": "write: output_changed",
        "clients/checkout": "update: subject_changed; key kept",
    }
    assert applied.touched == {
        "servers/api/nginx-server.conf",
        "servers/api/nginx.conf",
        "servers/both/nginx-server.conf",
        "clients/checkout/cert.pem",
        "manifest.json",
    }
    fleet.edit(("  reporting:", "  reporting: {common_name: Reporting 2}"))
    assert fleet.apply().touched == {"servers/both/nginx-server.conf", "clients/reporting/cert.pem", "manifest.json"}


def test_another_name_of_the_issuer_rewrites_the_snippets_that_tell_callers_by_it(fleet: Scene) -> None:
    fleet.edit(("common_name: Shop CA", "common_name: Shop CA 2"))
    written_ = fleet.apply(renew=["cas/ca"]).touched
    assert {path for path in written_ if path.endswith(".conf")} == {
        "servers/api/nginx-server.conf",
        "servers/api/nginx.conf",
        "servers/both/nginx-server.conf",
    }


# The golden case


def test_nginx_takes_every_golden_file_that_is_a_whole_configuration(tmp_path: Path) -> None:
    scene = Scene(tmp_path, NOW)
    scene.write((GOLDEN / "spec.yaml").read_text(encoding="utf-8"), "golden.yaml")
    scene.run()
    whole = sorted((GOLDEN / "expected").rglob("nginx.conf"))
    assert [str(path.parent.relative_to(GOLDEN / "expected")) for path in whole] == [
        "clients/checkout",
        "peers/etcd-0",
        "servers/api",
        "servers/open",
    ]
    for number, path in enumerate(whole):
        folder = scene.output / "golden" / path.parent.relative_to(GOLDEN / "expected")
        # nginx asks at once who that is, and nobody here knows.
        text = path.read_text(encoding="utf-8").replace("https://api.shop.example:8443", "https://127.0.0.1:8443")
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        assert_accepted(folder / "nginx.conf", tmp_path / f"work-{number}")


def test_nginx_refuses_a_golden_file_with_another_s_key(tmp_path: Path) -> None:
    scene = Scene(tmp_path, NOW)
    scene.write((GOLDEN / "spec.yaml").read_text(encoding="utf-8"), "golden.yaml")
    scene.run()
    tree = scene.output / "golden"
    shutil.copy(tree / "servers/open/key.pem", tree / "servers/api/key.pem")
    with pytest.raises(AssertionError, match="key values mismatch"):
        assert_accepted(tree / "servers/api/nginx.conf", tmp_path / "work")


# Quoting


WORDS = [
    "",
    " ",
    "plain",
    "a b",
    "a;b",
    "{}",
    "}",
    "#",
    "a#b",
    '"',
    '""',
    "'",
    "\\",
    "\\\\",
    'a\\"b',
    "\\n",
    "\\t\\r\\q",
    "a\\",
    "\n",
    "a\nb\r\tc",
    "é中😀",
    "~*",
    "=",
    "!-f /etc/passwd",
    "on",
    "a" * 4000,
    "/srv/[x]*?",
    "[::1]:8443",
    "%20%s",
    "\x7f\x01",
    "\u2028",
]


def test_nginx_reads_a_quoted_word_as_the_text_that_it_was(tmp_path: Path) -> None:
    port = free_port()
    locations = [f"location = /{number} {{ return 200 {quote(word)}; }}" for number, word in enumerate(WORDS)]
    config = written(tmp_path / "main.conf", f"server {{ listen 127.0.0.1:{port}; " + "\n".join(locations) + "}")
    with nginx(config, port, tmp_path / "work"):
        answers = [ask_plain(f"http://127.0.0.1:{port}/{number}") for number in range(len(WORDS))]
    assert [(answer.status, answer.body) for answer in answers] == [(200, word) for word in WORDS]


@pytest.mark.parametrize("word", ["$", "a$b", "${x}", "\\$", "$$"])
def test_a_dollar_cannot_be_quoted(word: str) -> None:
    with pytest.raises(UnquotableError, match="the start of a variable"):
        quote(word)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("/etc/certgen/api/cert.pem", "/etc/certgen/api/cert.pem"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("[::1]:8443", "[::1]:8443"),
        ("*.shop.example", "*.shop.example"),
        ("", '""'),
        ("/srv/the shop", '"/srv/the shop"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("é", '"é"'),
    ],
)
def test_a_word_is_quoted_where_it_has_to_be(text: str, word: str) -> None:
    assert quote(text) == word


# What nginx cannot do


PEER = """\
    version: 1
    ca: {common_name: Shop CA}
    servers:
      api: {sans: [api.shop.example, a.example]}
    peers:
      etcd: {sans: etcd.shop.example, snippets: {nginx: %s}}
    """


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{client: {upstream: '127.0.0.1:1'}}", ["no-server-name at '127.0.0.1:1'"]),
        ("{client: {upstream: '127.0.0.1:1', server_name: api.shop.example}}", []),
        ("{standalone: true, client: {server_name: a.example}}", ["missing-option at {server_name: a.example}"]),
        ("{standalone: true, client: {upstream: 'api.shop.example:1'}}", []),
        ("{standalone: true}", []),
        ("{client: {}}", []),
    ],
)
def test_the_client_of_a_peer_is_judged_at_its_own_place(tmp_path: Path, options: str, expected: list[str]) -> None:
    assert codes(tmp_path, PEER % options) == expected


def test_an_ipv6_upstream_needs_a_server_name_too(tmp_path: Path) -> None:
    spec = PEER % "{client: {upstream: '[::1]:8443'%s}}"
    assert codes(tmp_path, spec % "") == ["no-server-name at '[::1]:8443'"]
    assert codes(tmp_path, spec % ", server_name: api.shop.example") == []
    assert "proxy_ssl_name                 api.shop.example;" in "".join(
        rendered(load(tmp_path, spec % ", server_name: api.shop.example").bundle, "peers/etcd").values()
    )


def test_two_sides_of_a_peer_cannot_listen_at_one_place(tmp_path: Path) -> None:
    client = "{listen: '127.0.0.1:%s', upstream: 'api.shop.example:1'}"
    spec = PEER % f"{{standalone: true, listen: '127.0.0.1:8443', client: {client}}}"
    assert remarks(tmp_path, spec % 8442) == []
    (found,) = remarks(tmp_path, spec % 8443)
    assert (found.severity, found.line) == ("error", 6)


@pytest.mark.parametrize(
    ("server", "client", "is_one_place"),
    [
        ("8443", "127.0.0.1:8443", True),
        ("8443", "'[::1]:8443'", True),
        ("localhost:8443", "localhost:8443", True),
        ("localhost:8443", "127.0.0.1:8443", True),
        ("127.0.0.1:8443", "127.0.0.2:8443", False),
        ("8080", "127.0.0.1:8081", False),
    ],
)
def test_one_place_may_be_written_in_several_ways(tmp_path: Path, server: str, client: str, is_one_place: bool) -> None:
    options = f"{{listen: {server}, client: {{listen: {client}, upstream: 'api.shop.example:1'}}}}"
    found = [remark.code for remark in remarks(tmp_path, PEER % options)]
    assert found == (["same-endpoint"] if is_one_place else [])


def test_a_twin_that_the_server_lets_in_too_is_no_mistake(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca:
        servers:
          api: {sans: api.shop.example, snippets: {nginx: {allow: [clients/one%s]}}}
        clients:
          one: {common_name: worker}
          two: {common_name: worker}
        """
    assert codes(tmp_path, spec % "") == ["same-identity at clients/one"]
    assert codes(tmp_path, spec % ", clients/two") == []
    assert codes(tmp_path, spec.replace("{nginx: {allow: [clients/one%s]}}", "nginx")) == []


def test_a_twin_whom_the_server_does_not_trust_is_no_mistake(tmp_path: Path) -> None:
    spec = """\
        version: 1
        cas:
          one: {common_name: One CA}
          two: {common_name: Two CA}
        servers:
          api: {issuer: one, sans: api.shop.example, trust: %s, snippets: {nginx: {allow: [clients/one]}}}
        clients:
          one: {issuer: one, common_name: worker}
          two: {issuer: two, common_name: worker}
        """
    assert codes(tmp_path, spec % "[one]") == []
    assert codes(tmp_path, spec % "[one, two]") == []  # another issuer's: told apart by its name


def test_a_dollar_in_the_issuer_s_name_is_as_bad_as_one_in_the_client_s(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca: {common_name: %s}
        servers:
          api: {sans: api.shop.example, snippets: {nginx: %s}}
        clients:
          checkout:
        """
    allow = "{allow: [clients/checkout]}"
    assert codes(tmp_path, spec % ("Shop CA", allow)) == []
    assert codes(tmp_path, spec % ("$hop CA", allow)) == ["not-quotable at clients/checkout"]
    assert codes(tmp_path, spec % ("$hop CA", "{}")) == []  # nobody has to be told from another


def test_a_dollar_in_an_inherited_allow_is_shown_where_it_was_written(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca:
        defaults: {snippets: {nginx: {allow: [clients/checkout]}}}
        servers:
          api: {sans: api.shop.example}
        clients:
          checkout: {common_name: "$checkout"}
        """
    (found,) = remarks(tmp_path, spec)
    assert found == Remark(
        "not-quotable",
        "clients/checkout",
        "nginx cannot be told of clients/checkout: nginx takes `$` for the start of a variable, and has no way to "
        "write the sign itself",
        "let another consumer do it",
        line=3,
    )


def test_each_role_gets_its_files_and_no_others(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca:
        servers:
          api: {sans: api.shop.example, snippets: {nginx: {standalone: %(whole)s}}}
        clients:
          checkout: {snippets: {nginx: {upstream: "api.shop.example:1", standalone: %(whole)s}}}
        peers:
          etcd: {sans: etcd.shop.example, snippets: {nginx: {standalone: %(whole)s}}}
        """
    for whole, more in (("false", []), ("true", ["nginx.conf"])):
        bundle = load(tmp_path, spec % {"whole": whole}).bundle
        assert sorted(rendered(bundle, "servers/api")) == ["nginx-server.conf", *more]
        assert sorted(rendered(bundle, "clients/checkout")) == ["nginx-upstream.conf", *more]
        assert sorted(rendered(bundle, "peers/etcd")) == ["nginx-server.conf", "nginx-upstream.conf", *more]


def test_the_comment_names_the_port_that_the_spec_names(tmp_path: Path) -> None:
    spec = "version: 1\nca:\nservers:\n  api: {sans: api.shop.example, snippets: {nginx: {listen: '127.0.0.1:9443'}}}\n"
    text = rendered(load(tmp_path, spec).bundle, "servers/api")["nginx-server.conf"]
    assert "listen 127.0.0.1:9443 ssl;" in text
    assert "8443" not in text


TWO_BLOCKS = """\
    version: 1
    cas: {{ours: , partner: }}
    servers:
      public: {{issuer: ours, trust: [partner], sans: public.shop.example, deploy_dir: {tree}/servers/public}}
      api: {{issuer: ours, trust: [ours], sans: api.shop.example, deploy_dir: {tree}/servers/api}}
    defaults: {{snippets: {{nginx: {{listen: "127.0.0.1:{port}"}}}}}}
    clients:
      mine: {{issuer: ours, snippets: []}}
      theirs: {{issuer: partner, snippets: []}}
    """


@pytest.mark.parametrize("is_guarded", [False, True])
def test_beside_another_block_the_one_that_rejects_handshakes_keeps_trust_apart(
    tmp_path: Path, is_guarded: bool
) -> None:
    """Without a server name nginx judges by the first block, and serves by the Host header: the snippet says so."""
    port, scene = free_port(), Scene(tmp_path, NOW)
    scene.write(TWO_BLOCKS.format(tree=scene.tree, port=port))
    scene.run()
    guard = f"server {{ listen 127.0.0.1:{port} ssl default_server; ssl_reject_handshake on; }}"
    said = (scene.tree / "servers/api/nginx-server.conf").read_text()
    assert guard in said
    blocks = [guard] if is_guarded else []
    for name in ("public", "api"):
        include = included(scene.tree / f"servers/{name}/nginx-server.conf")
        names = f"server_name {name}.shop.example;"
        blocks.append(
            f"server {{ listen 127.0.0.1:{port} ssl; {names} {include} location / {{ return 200 {name}; }} }}"
        )
    config = written(tmp_path / "main.conf", "\n".join(blocks))
    mine, theirs = scene.tree / "clients/mine", scene.tree / "clients/theirs"
    with nginx(config, port, tmp_path / "work"):
        nameless = ["curl", "-sk", "-H", "Host: api.shop.example", f"https://127.0.0.1:{port}/"]
        identity: list[str | Path] = ["--cert", theirs / "cert.pem", "--key", theirs / "key.pem"]
        done = subprocess.run([*nameless, *identity], capture_output=True, text=True, timeout=30, check=False)
        assert done.stdout == ("" if is_guarded else "api"), "the danger that the comment is about"
        url = f"https://api.shop.example:{port}/"
        answer = ask(url, folder=mine, anchors=mine / "ca.pem", connect_to=("127.0.0.1", port))
        assert (answer.status, answer.body) == (200, "api")


def standalone(folder: Path, port: int, work: Path) -> AbstractContextManager[Running]:
    return nginx(folder / "nginx.conf", port, work)


def shapes(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the directives of each configuration with the number of their words, and its comments."""
    found = {}
    for path, text in files.items():
        (folder / "one.conf").write_text(text, encoding="utf-8")
        parsed = crossplane.parse(
            str(folder / "one.conf"), comments=True, single=True, check_ctx=False, check_args=False
        )
        assert parsed["status"] == "ok", parsed["errors"]
        found[path] = json.dumps([_directive(item) for item in parsed["config"][0]["parsed"]])
    return found


def _directive(item: dict[str, Any]) -> list[Any]:
    return [item["directive"], len(item["args"]), [_directive(inner) for inner in item.get("block", ())]]


CASE = Case(
    serve=standalone,
    server_options=lambda port: {"standalone": True, "listen": f"127.0.0.1:{port}"},
    call=call_by_proxy(standalone),
    client_options=lambda visit: {"standalone": True, **proxy_options(visit)},
    reload=Running.reload,
    hostile=Hostile(
        server=lambda text: {
            "listen": text["listen"], "upstream": text["upstream"], "allow": [text["allow"]], "standalone": True
        },
        client=lambda text: {"upstream": text["server"], "server_name": text["server_name"], "standalone": True},
        shape=shapes,
    ),
)  # fmt: skip
