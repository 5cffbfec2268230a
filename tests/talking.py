"""`certgen serve` and `certgen connect` as programs on this machine, and servers that answer as no good server does."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from programs import Running, free_port, running
from proving import NOW, Ran, compiled
from runs import Case, crowd

PROGRAM = Path(sys.executable).with_name("certgen")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "COLUMNS": "80"}

SHOP = """\
    version: 1
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
    defaults: {issuer: issuing}
    servers:
      api: {sans: [localhost, 127.0.0.1, "::1", api.shop.example]}
      far: {sans: far.shop.example}
      ended: {sans: [localhost, 127.0.0.1], validity: 1h}
    clients:
      checkout: {sans: "spiffe://shop.example/checkout"}
      reporting:
      late: {validity: 1h}
    peers:
      node: {sans: [localhost, 127.0.0.1]}
"""
"""The server `ended` and the client `late` have ended an hour ago."""


@dataclass(frozen=True)
class World:
    """A folder with `output/shop`, and with `elsewhere/shop`, whose names are the same and whose keys are not."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "output" / "shop"

    @property
    def elsewhere(self) -> Path:
        return self.folder / "elsewhere" / "shop"

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None, umask: int = -1) -> Ran:
        """Run the program in the folder; whatever it is asked, it ends with 0, 1 or 2 and without a traceback.

        env: variables beside the ordinary ones; with them, or with a umask, Python starts anew.
        """
        if env is None and umask == -1:
            one = crowd().run(Case(self.folder, [str(argument) for argument in arguments]))[0]
            assert one.code in {0, 1, 2}, one
            return Ran(one.code, one.out, one.err)
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            umask=umask,
        )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.out + ran.err, ran.err
        assert ran.code in {0, 1, 2}, ran
        return ran

    def connect(self, port: int, who: str, *options: str | Path, host: str = "127.0.0.1") -> Ran:
        """Ask whoever listens on a port of this machine."""
        return self.run("connect", f"https://{host}:{port}/", "--as", who, *options)

    @contextmanager
    def serving(self, who: str, *options: str | Path, host: str = "127.0.0.1") -> Iterator["Serving"]:
        """Serve for the length of a `with`.

        who: an address or a folder.
        options: beside `--listen`.
        host: where to listen.
        """
        port = free_port()
        log = self.folder / f"serve-{port}.log"
        command: list[str | Path] = [PROGRAM, "serve", who, "--listen", f"{host}:{port}", *options]
        with running(command, port, log, folder=self.folder) as started:
            yield Serving(port, started)
        assert "Traceback" not in started.words(), started.words()
        assert "Exception" not in started.words(), started.words()


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    port: int
    process: Running

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    def journal(self) -> list[str]:
        """Give its lines so far."""
        return self.process.words().splitlines()

    def has_said(self, words: str) -> bool:
        return words in self.process.words()


def make_world(folder: Path) -> World:
    """Compile the shop and its namesake, as they were two hours ago."""
    compiled(folder, SHOP, now=NOW - timedelta(hours=2))
    twin = compiled(folder / "twin", SHOP, now=NOW - timedelta(hours=2))
    world = World(folder)
    shutil.move(twin.folder / "output", world.elsewhere.parent)
    mixed = folder / "mixed"
    mixed.mkdir()
    for name, tree in (("cert.pem", world.elsewhere), ("key.pem", world.elsewhere), ("ca.pem", world.tree)):
        shutil.copy(tree / "clients/checkout" / name, mixed)
    return world


MIXED = "./mixed"
"""A client of the other CA that trusts the shop's servers."""

Part = Callable[[ssl.SSLSocket], object]
"""What a server does once it has shaken hands."""


@contextmanager
def acting(folder: Path, part: Part, *, asks: bool = True) -> Iterator[int]:
    """Run an HTTPS server that plays a part, and give its port.

    folder: an entry's, with which it serves.
    part: plays on every connection.
    asks: whether it asks for a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if asks:
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED

    def play(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            part(connection)

    with listening(play) as port:
        yield port


@contextmanager
def listening(play: Callable[[socket.socket], object]) -> Iterator[int]:
    """Run a server without TLS that plays a part on every connection, and give its port."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:

        def accept() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                plain.settimeout(10)
                # What the client makes of it is for the test to see.
                with suppress(OSError), plain:
                    play(plain)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def answering(content: bytes) -> Part:
    """A part: hear the request, say this, and go."""

    def part(connection: ssl.SSLSocket) -> None:
        connection.recv(65536)
        connection.sendall(content)

    return part
