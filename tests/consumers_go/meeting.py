"""The Go programs of the tests, while they run."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from cryptography import x509
from programs import Answer, Running, Version, ask, eventually, free_port, running
from scene import Scene


@dataclass(frozen=True)
class Site:
    """A Go server that runs, and the tree of those who ask it."""

    port: int
    tree: Path
    started: Running

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://localhost:{self.port}/"

    def ask(self, caller: str | None, version: Version | None = None, anchors: str = "clients/checkout") -> Answer:
        """Ask as an entry of the tree, or as nobody."""
        folder = self.tree / caller if caller else None
        return ask(self.url, folder=folder, anchors=self.tree / anchors / "ca.pem", version=version)

    def refuses(self, caller: str | None, reason: str, version: Version | None = None) -> bool:
        """Tell whether a caller is refused and the server says why: a pattern within a line of its log."""
        known = len(self.started.words())
        if self.ask(caller, version).status == 200:
            return False
        pattern = re.compile(f"TLS handshake error from [^ ]+: .*{reason}")
        return eventually(lambda: pattern.search(self.started.words()[known:]) is not None)

    def serial(self) -> int:
        """Give the serial number of the certificate that a new connection is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.tree / "clients/checkout/ca.pem")
        context.load_cert_chain(self.tree / "clients/checkout/cert.pem", self.tree / "clients/checkout/key.pem")
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            der = secure.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


@contextmanager
def serving(program: Path, scene: Scene, log: Path, entry: str | None = None) -> Iterator[Site]:
    """Run a server of the examples; on the folder that it was rendered for, unless an entry is given."""
    port = free_port()
    folder = ["-folder", str(scene.tree / entry)] if entry else []
    with running([program, "-listen", f"127.0.0.1:{port}", *folder], port, log) as started:
        yield Site(port, scene.tree, started)


@dataclass(frozen=True)
class Probe:
    """A Go client that runs."""

    process: subprocess.Popen[str]
    log: Path

    def ask(self, url: str) -> str:
        """Have it ask, on a connection of its own."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{url}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def probing(program: Path, folder: Path, log: Path, *options: str) -> Iterator[Probe]:
    """Run the probe as an entry."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [program, "-folder", folder, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", log.read_text()
            yield Probe(process, log)
        finally:
            process.kill()


def client(program: Path, *arguments: str | Path) -> CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)


def certgen_apply(scene: Scene, *options: str) -> None:
    """Run `certgen apply` as a process of its own."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "certgen",
        "apply",
        scene.specs / "shop.yaml",
        "-o",
        scene.output,
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def resumes(site: Site, version: Version) -> bool:
    """Tell whether a second connection resumes the session of the first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, f"TLSv{version.replace('.', '_')}")
    context.load_verify_locations(site.tree / "clients/checkout/ca.pem")
    context.load_cert_chain(site.tree / "clients/checkout/cert.pem", site.tree / "clients/checkout/key.pem")
    session: ssl.SSLSession | None = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", site.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert secure.recv(4096).startswith(b"HTTP/1.0 200")  # under TLS 1.3 the tickets come with it
            session, reused = secure.session, secure.session_reused
    return bool(reused)


def resumed(line: str) -> bool:
    assert line.startswith("200 HTTP/"), line
    return line.endswith("resumed=true")


class Hammer:
    """Asks without a pause, each time on a new connection."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.count = 0
        self.failures: list[Answer] = []
        self.is_over = False

    def run(self) -> None:
        """Ask until it is over."""
        while not self.is_over:
            answer = self._site.ask("clients/checkout")
            self.count += 1
            if answer.status != 200:
                self.failures.append(answer)


@contextmanager
def hammering(site: Site) -> Iterator[Hammer]:
    hammer = Hammer(site)
    thread = threading.Thread(target=hammer.run)
    thread.start()
    try:
        yield hammer
    finally:
        hammer.is_over = True
        thread.join()
