"""Every consumer on its real program, tried alike: whom its server lets in, and whom its client takes for whom.

The suite lets each client meet two of the servers; `CERTGEN_PAIRS=all` lets it meet all that speak its protocol.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from consumer_case import Case, Knock, Visit, cases
from consumer_page import Refused, words_of_the_log
from cryptography import x509
from programs import Answer, Running, Version, eventually, free_port
from scene import Scene

SERVERS = [name for name, case in cases().items() if case.serve is not None]
CLIENTS = [name for name, case in cases().items() if case.call is not None]
WATCHING = ("envoy", "go", "python", "node")
"""Those that look by themselves whether their files have changed."""
VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
STRANGERS = """
    version: 1
    cas: {root: {}, issuing: {issuer: root}}
    defaults: {issuer: issuing}
    clients:
      checkout: {sans: [spiffe://shop.example/checkout, checkout.shop.example]}
"""


def pairs() -> list[tuple[str, str]]:
    """Give the clients with the servers that they meet."""
    found = []
    for client in CLIENTS:
        fitting = [server for server in SERVERS if cases()[server].protocol == cases()[client].protocol]
        start = fitting.index(client) if client in fitting else CLIENTS.index(client)
        chosen = fitting if os.environ.get("CERTGEN_PAIRS") == "all" else (fitting * 2)[start % len(fitting) :][:2]
        found += [(client, server) for server in dict.fromkeys(chosen)]
    return found


@dataclass(frozen=True)
class House:
    """A server, running from what was rendered for it, and everybody who knocks at its door."""

    scene: Scene
    case: Case
    port: int
    started: Running
    words: dict[Refused, str]

    def knock(self, who: str | None, version: Version | None = None) -> Answer:
        identity = self.scene.output / who if who else None
        anchors = self.scene.output / "shop/clients/checkout/ca.pem"
        return self.case.knock(Knock(self.port, identity, anchors, "api.shop.example", version))


def house_spec(scene: Scene, consumer: str, port: int, publish: str = "files") -> str:
    case = cases()[consumer]
    options = case.server_options(port) | ({"allow": ["clients/checkout"]} if case.allows else {})
    entry = {"sans": ["api.shop.example", "localhost"], "deploy_dir": f"{scene.tree}/servers/api", "publish": publish}
    return json.dumps(
        {
            "version": 1,
            "cas": {"root": {}, "issuing": {"issuer": "root"}},
            "defaults": {"issuer": "issuing"},
            "servers": {"api": {**entry, "snippets": {consumer: options}}},
            "clients": {
                "checkout": {"sans": ["spiffe://shop.example/checkout", "checkout.shop.example"]},
                "reporting": {"sans": ["spiffe://shop.example/reporting"]},
            },
        }
    )


@pytest.fixture(scope="module", params=SERVERS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(request.param)
    scene, port, case = Scene(folder), free_port(), cases()[request.param]
    scene.write(house_spec(scene, request.param, port))
    scene.write(STRANGERS, "strange.yaml")
    scene.run(datetime.now(UTC))
    assert case.serve is not None
    (folder / "work").mkdir()
    with case.serve(scene.tree / "servers/api", port, folder / "work") as started:
        yield House(scene, case, port, started, words_of_the_log(request.param))


WHO = {
    Refused.NO_CERTIFICATE: None,
    Refused.OTHER_AUTHORITY: "strange/clients/checkout",
    Refused.NOT_A_CLIENT: "shop/servers/api",
    Refused.NOT_ALLOWED: "shop/clients/reporting",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_one_who_is_allowed_is_let_in(house: House, version: Version) -> None:
    answer = house.knock("shop/clients/checkout", version)
    assert answer.status == 200, answer


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("refused", WHO)
def test_others_are_refused_and_the_log_has_the_words_of_the_page(
    house: House, refused: Refused, version: Version
) -> None:
    if refused is Refused.NOT_ALLOWED and not house.case.allows:
        assert refused not in house.words
        return
    words, before = house.words[refused], len(house.started.words())
    answer = house.knock(WHO[refused], version)
    assert answer.status != 200, answer
    assert eventually(lambda: words in house.started.words()[before:]), house.started.words()[before:]
    assert house.knock("shop/clients/checkout", version).status == 200


class Callers:
    """Some who call without a pause, each time on a new connection, for the length of a `with`."""

    def __init__(self, call: Callable[[], Answer], count: int = 3) -> None:
        self._call = call
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self.answers.append(self._call())

    def wait(self, more: int) -> None:
        """Wait until so many more have been answered."""
        wanted = len(self.answers) + more
        assert eventually(lambda: len(self.answers) >= wanted, 60), self.answers[-3:]


def served(case: Case, port: int) -> int:
    """Give the serial number of the certificate that a server shows, to whomever asks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Under TLS 1.2 a server that wants a certificate ends the handshake before there is anything to look at.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with case.dial(port) as plain, context.wrap_socket(plain, server_hostname="api.shop.example") as tls:
        shown = tls.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


@pytest.mark.parametrize("consumer", [name for name in SERVERS if cases()[name].reload is not None])
def test_while_a_certificate_is_renewed_no_request_fails(consumer: str, tmp_path: Path) -> None:
    demand_no_request_fails(consumer, tmp_path, renew=["servers/api"])


@pytest.mark.parametrize("consumer", WATCHING)
def test_while_a_key_is_replaced_behind_one_link_no_request_fails(consumer: str, tmp_path: Path) -> None:
    demand_no_request_fails(consumer, tmp_path, publish="symlink", rekey=["servers/api"])


def demand_no_request_fails(
    consumer: str, tmp_path: Path, *, publish: str = "files", renew: Sequence[str] = (), rekey: Sequence[str] = ()
) -> None:
    """Change a server's files under load, and demand that every request is answered and the new certificate served."""
    scene, port, case = Scene(tmp_path), free_port(), cases()[consumer]
    assert case.serve is not None
    assert case.reload is not None
    scene.write(house_spec(scene, consumer, port, publish))
    scene.run(datetime.now(UTC) - timedelta(hours=1))
    (tmp_path / "work").mkdir()
    identity = scene.tree / "clients/checkout"
    knock = Knock(port, identity, identity / "ca.pem", "api.shop.example")
    certificate = scene.tree / "servers/api/cert.pem"
    with case.serve(scene.tree / "servers/api", port, tmp_path / "work") as started:
        before = served(case, port)
        with Callers(lambda: case.knock(knock)) as callers:
            callers.wait(10)
            scene.run(datetime.now(UTC), renew=renew, rekey=rekey)
            case.reload(started)
            renewed = x509.load_pem_x509_certificates(certificate.read_bytes())[0].serial_number
            assert eventually(lambda: served(case, port) == renewed != before, 30)
            callers.wait(10)
    assert [answer for answer in callers.answers if answer.status != 200] == []


@dataclass(frozen=True)
class Town:
    """All servers, running, and a client for each pair, who asks for the right name, and a misled one."""

    scene: Scene
    ports: dict[str, int]

    def visit(self, client: str, server: str, *, is_misled: bool = False) -> Visit:
        name = client_name(client, server, is_misled=is_misled)
        asked = f"web.{server}.shop.example" if is_misled else f"{server}.shop.example"
        work = self.scene.folder / "work" / name
        return Visit(self.scene.tree / "clients" / name, asked, self.ports[server], self.ports[name], work)

    def call(self, client: str, server: str, *, is_misled: bool = False) -> Answer:
        visit, call = self.visit(client, server, is_misled=is_misled), cases()[client].call
        assert call is not None
        visit.work.mkdir(parents=True, exist_ok=True)
        return call(visit)

    def spec(self) -> str:
        """Write the spec; YAML takes JSON."""
        servers, clients = {}, {}
        for server in SERVERS:
            options = cases()[server].server_options(self.ports[server])
            place = f"{self.scene.tree}/servers/{server}"
            names = [f"{server}.shop.example"]
            servers[server] = {"sans": names, "deploy_dir": place, "snippets": {server: options}}
        for client, server in pairs():
            for is_misled in (False, True):
                visit = self.visit(client, server, is_misled=is_misled)
                options = cases()[client].client_options(visit)
                clients[visit.folder.name] = {"deploy_dir": str(visit.folder), "snippets": {client: options}}
        tops = {"cas": {"root": {}, "issuing": {"issuer": "root"}}, "defaults": {"issuer": "issuing"}}
        return json.dumps({"version": 1, **tops, "servers": servers, "clients": clients})


def client_name(client: str, server: str, *, is_misled: bool) -> str:
    return f"{client}-to-{server}{'-misled' if is_misled else ''}"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    names = [client_name(*pair, is_misled=is_misled) for pair in pairs() for is_misled in (False, True)]
    town = Town(Scene(tmp_path_factory.mktemp("town")), {name: free_port() for name in (*SERVERS, *names)})
    town.scene.write(town.spec())
    town.scene.run(datetime.now(UTC))
    with ExitStack() as stack:
        for name in SERVERS:
            serve, work = cases()[name].serve, town.scene.folder / "work" / name
            assert serve is not None
            work.mkdir(parents=True)
            stack.enter_context(serve(town.scene.tree / "servers" / name, town.ports[name], work))
        yield town


@pytest.mark.parametrize(("client", "server"), pairs())
def test_a_client_talks_to_a_server(town: Town, client: str, server: str) -> None:
    answer = town.call(client, server)
    assert answer.status == 200, answer


@pytest.mark.parametrize(("client", "server"), pairs())
def test_no_client_takes_a_server_for_another(town: Town, client: str, server: str) -> None:
    """The same certificate, the same CA, the same port: the name alone is another."""
    answer = town.call(client, server, is_misled=True)
    assert answer.status != 200, answer
    assert words_of_the_log(client)[Refused.WRONG_NAME] in answer.error, answer


def test_every_server_is_met_by_whoever_speaks_its_protocol() -> None:
    spoken = {cases()[client].protocol for client in CLIENTS}
    assert {server for _, server in pairs()} == {server for server in SERVERS if cases()[server].protocol in spoken}
