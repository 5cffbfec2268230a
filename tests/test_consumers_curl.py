"""The real curl, with nothing but the rendered file: whom it shows which certificate, and whom it believes."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest
from consumer_case import Case, Hostile, Visit
from programs import Answer, Version, free_port, require
from remarks import Remark, load, remarks, rendered
from scene import Scene
from scene import load as certificate_in

from certgen.consumers.curl import quote
from certgen.consumers.templates import UnquotableError

VERSIONS: tuple[Version, ...] = get_args(Version)
TLS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
FOLDER = 'the "shop" \\ #1: pkcs11:x\\:y ünï $HOME %20 '
"""Above every path that is rendered: each of its signs means something to curl, or to a shell."""
SPEC = {
    "version": 1,
    "cas": {"root": {}, "issuing": {"issuer": "root"}},
    "defaults": {"issuer": "issuing"},
    "servers": {
        "api": {"sans": ["api.shop.example", "*.api.shop.example", "localhost", "127.0.0.1"]},
        "elsewhere": {"sans": ["elsewhere.shop.example"]},
    },
    "clients": {
        "checkout": {"snippets": "curl", "key": {"rotation": "on-renewal"}},
        "posing": {"sans": ["api.shop.example"]},
    },
    "peers": {"mesh": {"sans": ["mesh.shop.example"], "snippets": "curl"}},
}
STRANGERS = """
    version: 1
    ca:
    servers: {api: {sans: [api.shop.example]}}
"""
URL = "https://api.shop.example/"


def curl(configuration: Path, *arguments: str | Path, **variables: str) -> Answer:
    """Run curl; what it prints last is the status, and where there is none, the error ends with its exit code."""
    command: list[str | Path] = [require("curl"), "--config", configuration]
    command += ["--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}\n", *arguments]
    # A proxy, or a .curlrc, of who runs the tests is not what is tried.
    environment = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HOME": "/nonexistent", "LC_ALL": "C", **variables}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    body, _, status = done.stdout.rstrip("\n").rpartition("\n")
    return Answer(int(status) or None, body, f"{done.stderr}exit code {done.returncode}" if done.returncode else "")


class _Echo(BaseHTTPRequestHandler):
    """Tells over which connection it was asked, and what it was sent. HTTP/1.0: every answer ends its connection."""

    def do_GET(self) -> None:
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            return
        told: dict[str, object] = {"sent": self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()}
        if isinstance(self.connection, ssl.SSLSocket):
            certificate: Mapping[str, Any] = self.connection.getpeercert() or {}
            subject = dict(pair[0] for pair in certificate.get("subject", ()))
            told |= {"version": self.connection.version(), "subject": subject.get("commonName")}
            told |= {"serial": int(certificate.get("serialNumber", "0"), 16)}
            told |= {"resumed": self.connection.session_reused}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def finish(self) -> None:
        """Part in peace: OpenSSL resumes no session that was torn."""
        super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            with suppress(OSError):
                self.connection.unwrap()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the one that it replaces
        """Keep quiet."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that leaves: curl does where it refuses."""


@contextmanager
def serving(
    identity: Path | None, *, version: Version | None = None, anchors: Path | None = None, ciphers: str | None = None
) -> Iterator[tuple[str, ...]]:
    """Run the echo for the length of a `with`, and give the arguments by which curl takes every name for it."""
    server = _Quiet(("127.0.0.1", free_port()), _Echo)
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
        context.load_verify_locations((anchors or identity) / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        if ciphers is not None:
            context.set_ciphers(ciphers)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield "--connect-to", f"::127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Shop:
    """Two trees on disk, the shop's and that of strangers."""

    scene: Scene

    def folder(self, address: str) -> Path:
        """Give the folder of an entry, which is where it is deployed too."""
        return self.scene.tree / address

    @property
    def configuration(self) -> Path:
        """The file that was rendered for the client."""
        return self.folder("clients/checkout") / "curl.conf"

    @property
    def strangers(self) -> Path:
        """The folder of a server with the name of the shop's."""
        return self.scene.output / "strange/servers/api"

    def without(self, pattern: str, place: Path, replacement: str = "") -> Path:
        """Give the client's file with something else in it."""
        text = self.configuration.read_text(encoding="utf-8")
        changed = re.sub(pattern, lambda _: replacement, text, flags=re.MULTILINE)
        assert changed != text
        place.write_text(changed, encoding="utf-8")
        return place


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    scene = Scene(tmp_path_factory.mktemp("curl") / FOLDER / "x", datetime.now(UTC).replace(microsecond=0))
    spec: dict[str, Any] = json.loads(json.dumps(SPEC))
    for address in ("clients/checkout", "peers/mesh"):
        section, name = address.split("/")
        spec[section][name]["deploy_dir"] = str(scene.tree / address)
    scene.write(json.dumps(spec))
    scene.write(STRANGERS, "strange.yaml")
    scene.run()
    return Shop(scene)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("entry", ["clients/checkout", "peers/mesh"])
def test_it_shows_its_certificate_and_reaches_the_server(shop: Shop, entry: str, version: Version) -> None:
    with serving(shop.folder("servers/api"), version=version) as there:
        answer = curl(shop.folder(entry) / "curl.conf", *there, URL)
    assert answer.status == 200, answer
    told = json.loads(answer.body)
    assert (told["version"], told["subject"]) == (f"TLSv{version}", entry.split("/")[1])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("shop/servers/elsewhere", "no alternative certificate subject name matches target host name"),
        ("strange/servers/api", "self-signed certificate in certificate chain|unable to get local issuer certificate"),
        ("shop/clients/posing", "unsupported certificate purpose|unsuitable certificate purpose"),
    ],
)
def test_another_server_is_not_believed_and_it_says_why(shop: Shop, who: str, reason: str, version: Version) -> None:
    with serving(shop.scene.output / who, version=version) as there:
        answer = curl(shop.configuration, *there, URL)
    assert answer.status is None
    assert re.search(f"({reason})(?s:.*)exit code 60$", answer.error), answer


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://eu.api.shop.example/", 200),
        ("https://a.eu.api.shop.example/", None),
        ("https://127.0.0.1/", 200),
        ("https://127.0.0.2/", None),
    ],
)
def test_the_name_that_it_asks_for_is_that_of_the_url(shop: Shop, url: str, status: int | None) -> None:
    with serving(shop.folder("servers/api")) as there:
        assert curl(shop.configuration, *there, url).status == status


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_refuses_it_is_told_from_one_that_answers(shop: Shop, version: Version) -> None:
    """How curl puts it, and its exit code, differ from run to run under TLS 1.3."""
    with serving(shop.folder("servers/api"), version=version, anchors=shop.strangers) as there:
        answer = curl(shop.configuration, *there, URL)
    assert answer.status is None
    assert re.search(r"curl: \(\d+\) (?s:.*)exit code [1-9]\d*$", answer.error), answer


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        ("/cert.pem", "/gone.pem"),
        ("/key.pem", "/gone.pem"),
        ("^key = .*", 'key = "{strangers}/key.pem"'),
    ],
)
def test_without_its_pair_it_goes_nowhere(shop: Shop, tmp_path: Path, pattern: str, replacement: str) -> None:
    shutil.copy(shop.strangers / "key.pem", tmp_path)
    broken = shop.without(pattern, tmp_path / "curl.conf", replacement.format(strangers=tmp_path))
    with serving(shop.folder("servers/api")) as there:
        answer = curl(broken, *there, URL)
    assert answer.status is None
    assert answer.error.endswith("exit code 58")


class TestCiphers:
    WEAK = "ECDHE-ECDSA-AES128-SHA256"

    @pytest.mark.parametrize("ciphers", [WEAK, "ECDHE-ECDSA-AES128-GCM-SHA256"])
    def test_under_tls_1_2_only_those_with_forward_secrecy_and_integrity_serve(self, shop: Shop, ciphers: str) -> None:
        with serving(shop.folder("servers/api"), version="1.2", ciphers=ciphers) as there:
            answer = curl(shop.configuration, *there, URL)
        assert answer.status == (None if ciphers == self.WEAK else 200), answer

    def test_curl_by_itself_takes_others(self, shop: Shop, tmp_path: Path) -> None:
        loose = shop.without("^ciphers.*", tmp_path / "curl.conf")
        with serving(shop.folder("servers/api"), version="1.2", ciphers=self.WEAK) as there:
            assert curl(loose, *there, URL).status == 200


class TestSchemes:
    DISABLED = 'Protocol "http" not supported or disabled'

    def test_plain_http_is_refused(self, shop: Shop, tmp_path: Path) -> None:
        with serving(None) as there:
            answer = curl(shop.configuration, *there, "http://api.shop.example/")
            assert answer.status is None
            assert self.DISABLED in answer.error
            assert curl(shop.without("^proto =.*", tmp_path / "c"), *there, "http://api.shop.example/").status == 200

    def test_a_redirect_to_plain_http_is_not_followed(self, shop: Shop) -> None:
        with serving(shop.folder("servers/api")) as there:
            answer = curl(shop.configuration, *there, "--location", f"{URL}elsewhere")
            assert self.DISABLED in answer.error
            assert curl(shop.configuration, *there, f"{URL}elsewhere").status == 302

    def test_a_url_without_a_scheme_is_https(self, shop: Shop, tmp_path: Path) -> None:
        with serving(shop.folder("servers/api")) as there:
            assert curl(shop.configuration, *there, "api.shop.example").status == 200
            bare = curl(shop.without("^proto-default.*", tmp_path / "c"), *there, "api.shop.example")
        assert self.DISABLED in bare.error


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_is_resumed(shop: Shop, version: Version) -> None:
    with serving(shop.folder("servers/api"), version=version) as there:
        bodies = [curl(shop.configuration, *there, *more, URL, URL).body for more in ((), ("--sessionid",))]
    resumed = [re.findall('"resumed": (true|false)', body) for body in bodies]
    assert resumed == [["false", "false"], ["false", "true"]]


class TestTrust:
    """Nobody but the entry's anchors is believed, whatever the machine, the user or the environment trusts."""

    def hashed(self, shop: Shop, folder: Path) -> Path:
        """Make a folder of authorities as OpenSSL has them, with the root of the strangers."""
        anchors = shop.strangers / "ca.pem"
        command: list[str | Path] = [require("openssl"), "x509", "-in", anchors, "-noout", "-hash"]
        name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        folder.mkdir()
        (folder / f"{name}.0").write_bytes(anchors.read_bytes())
        return folder

    def test_not_the_machine_s_authorities(self, shop: Shop, tmp_path: Path) -> None:
        folder = self.hashed(shop, tmp_path / "authorities")
        variables = {"SSL_CERT_DIR": str(folder), "SSL_CERT_FILE": str(shop.strangers / "ca.pem")}
        variables["CURL_CA_BUNDLE"] = variables["SSL_CERT_FILE"]
        trusting = shop.without('"/dev/null"', tmp_path / "folder.conf", quote(str(folder)))
        with serving(shop.strangers, anchors=shop.folder("clients/checkout")) as there:
            answer = curl(shop.configuration, *there, "--verbose", URL, **variables)
            assert answer.status is None
            assert "CApath: /dev/null" in answer.error
            assert curl(trusting, *there, URL).status == 200, "a folder is trusted beside the file"
            bare = curl(shop.without("^capath.*", tmp_path / "bare.conf"), *there, "--verbose", URL)
        assert re.search("CApath: (?!/dev/null)", bare.error), "curl names one by itself"

    def test_not_whom_a_curlrc_would_let_through(self, shop: Shop, tmp_path: Path) -> None:
        (tmp_path / ".curlrc").write_text("insecure\n")
        careless = shop.without("^no-insecure$", tmp_path / "curl.conf")
        with serving(shop.strangers, anchors=shop.folder("clients/checkout")) as there:
            assert curl(shop.configuration, *there, URL, HOME=str(tmp_path)).status is None
            assert curl(careless, *there, URL, HOME=str(tmp_path)).status == 200
            assert curl(careless, *there, URL).status is None

    def test_after_next_the_file_has_to_be_named_again(self, shop: Shop) -> None:
        silent = ("--silent", "--show-error", "--write-out", "\n%{http_code}\n")
        with serving(shop.folder("servers/api")) as there:
            forgotten = curl(shop.configuration, *there, URL, "--next", *silent, *there, URL)
            again = ("--next", "--config", str(shop.configuration), *silent, *there, URL)
            repeated = curl(shop.configuration, *there, URL, *again)
        assert (forgotten.status, repeated.status) == (None, 200)
        assert [answer.body.count('"checkout"') for answer in (forgotten, repeated)] == [1, 2]


def test_a_renewed_certificate_is_shown_by_the_next_run(shop: Shop) -> None:
    folder = shop.folder("clients/checkout")
    with serving(shop.folder("servers/api")) as there:
        before = json.loads(curl(shop.configuration, *there, URL).body)["serial"]
        applied, _ = shop.scene.run(renew=["shop/clients/checkout"])
        after = json.loads(curl(shop.configuration, *there, URL).body)["serial"]
    assert applied.touched == {"clients/checkout/key.pem", "clients/checkout/cert.pem", "manifest.json"}
    assert before != after == certificate_in(folder / "cert.pem").serial_number


ROLES = """\
    version: 1
    ca:
    defaults: {snippets: %s}
    servers: {api: {sans: api.example%s}}
    clients: {one: }
    peers: {two: {sans: two.example}}
"""


class TestJudge:
    def test_a_server_that_asks_for_it_is_told_that_it_has_no_use_for_it(self, tmp_path: Path) -> None:
        (found,) = remarks(tmp_path, ROLES % ("[]", ", snippets: {curl: {}}"))
        message = "curl connects to others, and servers/api does not"
        assert found == Remark("unused-option", "curl", message, "remove it", line=4)

    def test_a_server_that_inherits_it_gets_nothing_and_is_told_nothing(self, tmp_path: Path) -> None:
        text = ROLES % ("curl", "")
        assert remarks(tmp_path, text) == []
        bundle = load(tmp_path, text).bundle
        found = {address: list(rendered(bundle, address)) for address in ("servers/api", "clients/one", "peers/two")}
        assert found == {"servers/api": [], "clients/one": ["curl.conf"], "peers/two": ["curl.conf"]}

    @pytest.mark.parametrize("option", ["allow", "listen", "upstream", "server_name"])
    def test_it_has_no_options(self, tmp_path: Path, option: str) -> None:
        (found,) = remarks(tmp_path, ROLES % (f"{{curl: {{{option}: x}}}}", ""))
        assert (found.code, found.at) == ("unknown-field", option)


class TestQuote:
    TEXTS = (
        "", " ", " a ", "#", "a # b", '"', "\\", '\\"', '"\\', "\\\\n", "\\n", "\n", "\r\n", "\t", "\v", "\x0b\x0c\x1b",
        "a: b", "a = b", "-K /etc/passwd", "\ninsecure\n", '"\ninsecure\n"', "x\\", "$HOME", "%HOME%", "{{a}}", "@a",
        "ünï 😀 日本", "\x85\u2028\u2029\ufeff", "a'b`c", "\\x22",
    )  # fmt: skip

    def test_curl_reads_back_every_text(self, tmp_path: Path) -> None:
        lines = [f"data-raw = {quote(text)}\n" for text in self.TEXTS]
        (tmp_path / "curl.conf").write_text("# a\n" + "".join(lines), encoding="utf-8", newline="")
        with serving(None) as there:
            answer = curl(tmp_path / "curl.conf", *there, "http://api.shop.example/")
        assert json.loads(answer.body)["sent"] == "&".join(self.TEXTS)
        assert not answer.error

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"])
    def test_what_curl_would_cut_or_nobody_could_write_is_refused(self, text: str) -> None:
        with pytest.raises(UnquotableError):
            quote(text)

    def test_people_can_read_it(self) -> None:
        assert quote("/srv/the shop/ünï/cert.pem") == '"/srv/the shop/ünï/cert.pem"'

    def test_after_a_colon_curl_would_look_for_a_passphrase(self, shop: Shop, tmp_path: Path) -> None:
        """The folder of these tests has colons; without what is written before them the certificate is not found."""
        with serving(shop.folder("servers/api")) as there:
            path = quote(str(shop.folder("clients/checkout") / "cert.pem"))
            naive = shop.without("^cert =.*", tmp_path / "naive.conf", f"cert = {path}")
            answer = curl(naive, *there, URL)
        assert answer.status is None
        assert "could not load PEM client certificate" in answer.error


def called(visit: Visit) -> Answer:
    """Call a server at its port of this machine, by its name."""
    place = f"{visit.name}:{visit.port}"
    there = ("--connect-to", f"{place}:127.0.0.1:{visit.port}")
    return curl(visit.folder / "curl.conf", *there, f"https://{place}/")


def shapes(files: Mapping[str, str], _folder: Path) -> dict[str, str]:
    """Give the comments and the options of each file; that every value ends where its line does is demanded."""
    found = {}
    for path, text in files.items():
        lines = [line for line in text.removesuffix("\n").split("\n") if line]
        options = [line for line in lines if not line.startswith("#")]
        for option in options:
            if not re.fullmatch(r'[a-z0-9.-]+( = "([^"\\]|\\["\\nrtv])*")?', option):
                raise ValueError(option)
        found[path] = json.dumps([len(lines), [option.partition(" ")[0] for option in options]])
    return found


CASE = Case(
    call=called,
    allows=False,
    hostile=Hostile(server=None, client=lambda _: {}, shape=shapes),
)
