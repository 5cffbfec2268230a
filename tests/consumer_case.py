"""What the tests know of a consumer beside its folder: how its real program is run, and how it is asked.

`tests/test_consumers_NAME.py` has it as `CASE`. `test_consumers_together.py` tries every case alike, and
`test_quoting.py` tries hostile texts on it.
"""

import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from programs import Answer, Running, Version, ask, ask_plain

from certgen.consumers.registry import consumer_names

Options = dict[str, Any]
Program = Callable[[Path, int, Path], AbstractContextManager[Running]]
"""Runs what an entry's folder has been rendered for: the folder, the port where it listens, and a folder to work in."""


@dataclass(frozen=True)
class Visit:
    """A client's call of a server.

    folder: the client's, where it is deployed too.
    name: the one that the server must bear.
    port: of 127.0.0.1, where the server is.
    own_port: one for the client, if it listens itself.
    work: a folder to work in, which is there.
    """

    folder: Path
    name: str
    port: int
    own_port: int
    work: Path


@dataclass(frozen=True)
class Knock:
    """A call by a program of the tests' own.

    port: of 127.0.0.1, where the server is.
    identity: a folder whose cert.pem and key.pem say who calls; None for nobody.
    anchors: a file of trust anchors.
    name: the one that the server must bear.
    version: of TLS.
    """

    port: int
    identity: Path | None
    anchors: Path
    name: str
    version: Version | None = None


def knock_https(knock: Knock) -> Answer:
    """Ask for the page at `/`."""
    return ask(
        f"https://localhost:{knock.port}/",
        folder=knock.identity, anchors=knock.anchors, version=knock.version, server_name=knock.name,
    )  # fmt: skip


def dial_plain(port: int) -> socket.socket:
    """Connect to a server that speaks TLS from the first byte."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def by_itself(_started: Running) -> None:
    """Do nothing: the server sees for itself that its files have changed."""


@dataclass(frozen=True)
class Hostile:
    """How hostile texts get into what a consumer renders, and what must stay as it is.

    server, client: options with the texts `listen`, `upstream`, `allow`, and `server`, `server_name`; None where the
        consumer is not for that role.
    shape: of the rendered files, by path; what a text must not change. It raises where a file is not one any more.
    """

    server: Callable[[Mapping[str, str]], Options] | None
    client: Callable[[Mapping[str, str]], Options] | None
    shape: Callable[[Mapping[str, str], Path], Mapping[str, str]]


@dataclass(frozen=True)
class Case:
    """How a consumer is tried.

    protocol: who speaks the same is brought together.
    serve: runs a server that says 200, in whatever way its protocol does.
    server_options: of its snippet, by the port.
    call: calls a server by what was rendered for a client, and gives what came back. The error has what its log says.
    client_options: of its snippet.
    knock: how a server is called otherwise.
    reload: has a server take files that were renewed, or does nothing where it does so itself; None where it cannot.
    dial: connects to a server, up to where TLS begins.
    allows: whether `allow` is an option.
    hostile: None where nothing of a spec reaches a language.
    """

    protocol: str = "https"
    serve: Program | None = None
    server_options: Callable[[int], Options] = lambda port: {"listen": f"127.0.0.1:{port}"}
    call: Callable[[Visit], Answer] | None = None
    client_options: Callable[[Visit], Options] = lambda _: {}
    knock: Callable[[Knock], Answer] = knock_https
    reload: Callable[[Running], None] | None = None
    dial: Callable[[int], socket.socket] = dial_plain
    allows: bool = True
    hostile: Hostile | None = None


def proxy_options(visit: Visit) -> Options:
    """Give the options of a proxy that takes plain HTTP for a server."""
    return {
        "listen": f"127.0.0.1:{visit.own_port}",
        "upstream": f"127.0.0.1:{visit.port}",
        "server_name": visit.name,
    }


def call_by_proxy(program: Program) -> Callable[[Visit], Answer]:
    """Give a call by a proxy: it is run, asked in plain HTTP, and stopped."""

    def call(visit: Visit) -> Answer:
        with program(visit.folder, visit.own_port, visit.work) as started:
            answer = ask_plain(f"http://127.0.0.1:{visit.own_port}/")
        return Answer(answer.status, answer.body, f"{answer.error}\n{started.words()}", answer.headers)

    return call


@cache
def cases() -> Mapping[str, Case]:
    """Give the cases of all consumers by their names; a template of the user's own has no program."""
    names = [name for name in consumer_names() if name != "template"]
    return {name: import_module(f"test_consumers_{name}").CASE for name in names}
