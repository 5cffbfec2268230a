"""Every rendered client talks to every rendered server, and asks for the right name: nginx, Envoy, Go, and Python."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from programs import Answer, ask, ask_plain, envoy, free_port, go_build, nginx, running
from scene import Scene

SERVERS = ("nginx", "envoy", "go")
PROXIES = ("nginx", "envoy")
CLIENTS = (*PROXIES, "go", "python")


def client_name(client: str, server: str, *, is_misled: bool) -> str:
    return f"{client}-to-{server}{'-misled' if is_misled else ''}"


def spec(scene: Scene, ports: dict[str, int]) -> str:
    """A server for each consumer, and for each pair a client that asks for the right name, and a misled one."""
    tree = scene.tree
    lines = ["version: 1", "cas: {root: {}, issuing: {issuer: root}}", "defaults: {issuer: issuing}", "servers:"]
    options = {
        "nginx": f'{{standalone: true, listen: "127.0.0.1:{ports["nginx"]}"}}',
        "envoy": f'{{listen: "127.0.0.1:{ports["envoy"]}"}}',
        "go": "{example: true}",
    }
    for server in SERVERS:
        lines.append(f"  {server}: {{sans: {server}.shop.example, deploy_dir: {tree}/servers/{server},")
        lines.append(f"    snippets: {{{server}: {options[server]}}}}}")
    lines.append("clients:")
    for client in PROXIES:
        for server in SERVERS:
            for is_misled in (False, True):
                name = client_name(client, server, is_misled=is_misled)
                asked = "web.shop.example" if is_misled else f"{server}.shop.example"
                extra = "standalone: true, " if client == "nginx" else ""
                option = f'{extra}listen: "127.0.0.1:{ports[name]}", upstream: "127.0.0.1:{ports[server]}"'
                lines.append(f"  {name}: {{deploy_dir: {tree}/clients/{name}, snippets: {{")
                lines.append(f"    {client}: {{{option}, server_name: {asked}}}}}}}")
    lines.append(f"  go: {{deploy_dir: {tree}/clients/go, snippets: {{go: {{example: true}}}}}}")
    lines.append("  python:")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Town:
    """All servers and all proxies, running."""

    tree: Path
    ports: dict[str, int]
    go_client: Path

    def ask(self, client: str, server: str, *, is_misled: bool = False) -> Answer:
        """Send a request by a client's configuration to a server."""
        port = self.ports[server]
        name = "web.shop.example" if is_misled else f"{server}.shop.example"
        match client:
            case "nginx" | "envoy":
                return ask_plain(f"http://127.0.0.1:{self.ports[client_name(client, server, is_misled=is_misled)]}/")
            case "go":
                arguments: list[str | Path] = [self.go_client, "-name", name, f"https://127.0.0.1:{port}/"]
                done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
                status = int(done.stdout.split()[0]) if done.returncode == 0 else None
                return Answer(status, done.stdout, done.stderr)
            case _:
                folder = self.tree / "clients/python"
                url = f"https://127.0.0.1:{port}/"
                return ask(url, folder=folder, anchors=folder / "ca.pem", server_name=name)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("cross")
    scene = Scene(folder)
    pairs = [(client, server) for client in PROXIES for server in SERVERS]
    names = [client_name(*pair, is_misled=is_misled) for pair in pairs for is_misled in (False, True)]
    ports = {name: free_port() for name in (*SERVERS, *names)}
    scene.write(spec(scene, ports))
    scene.run(datetime.now(UTC))
    tree, work = scene.tree, folder / "work"
    go_server = go_build(tree / "servers/go/go/server", folder / "go-server")
    go_client = go_build(tree / "clients/go/go/client", folder / "go-client")
    with ExitStack() as stack:
        stack.enter_context(nginx(tree / "servers/nginx/nginx.conf", ports["nginx"], work / "nginx"))
        stack.enter_context(envoy(tree / "servers/envoy/envoy.yaml", ports["envoy"], work / "envoy"))
        listen = f"127.0.0.1:{ports['go']}"
        stack.enter_context(running([go_server, "-listen", listen], ports["go"], folder / "go.log"))
        for name in names:
            start, file = (nginx, "nginx.conf") if name.startswith("nginx") else (envoy, "envoy.yaml")
            stack.enter_context(start(tree / "clients" / name / file, ports[name], work / name))
        yield Town(tree, ports, go_client)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_talks_to_every_server(town: Town, client: str, server: str) -> None:
    answer = town.ask(client, server)
    assert answer.status == 200, answer


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_takes_a_server_for_another(town: Town, client: str, server: str) -> None:
    """The same certificate, the same CA, the same port: the name alone is another."""
    answer = town.ask(client, server, is_misled=True)
    assert answer.status != 200, answer
    if client in PROXIES:
        assert answer.status in {502, 503}, answer
    else:
        assert "web.shop.example" in answer.error, answer
    assert town.ask(client, server).status == 200
