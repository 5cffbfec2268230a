"""The real tshark watches `serve` and `connect` on the loopback: with the key log it reads the whole handshake."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from programs import eventually, free_port, require, running
from talking import PROGRAM, World, make_world

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, REQUEST, VERIFY = 1, 2, 11, 13, 15
"""Types of handshake messages (RFC 8446 4)."""
VERSIONS = ("1.2", "1.3")


def settings(folder: Path) -> dict[str, str]:
    """Give an environment in which tshark finds no settings of a user, and no key log of his."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "WIRESHARK_CONFIG_DIR": str(folder / "no settings")}


def run_tshark(command: Sequence[str | Path], folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run tshark to its end."""
    return subprocess.run(command, env=settings(folder), capture_output=True, text=True, timeout=60, check=check)


@dataclass(frozen=True)
class Message:
    """A handshake message.

    is_clients: whether the client sent it.
    """

    is_clients: bool
    kind: int


@dataclass(frozen=True)
class Capture:
    """What was captured of one conversation."""

    file: Path
    port: int
    keys: Path

    def read(self, *options: str, with_keys: bool = True) -> str:
        """Let tshark read it, with the key log or without."""
        command: list[str | Path] = [require("tshark"), "-r", self.file, "-d", f"tcp.port=={self.port},tls"]
        command += ["-o", f"tls.keylog_file:{self.keys}"] if with_keys else []
        return run_tshark([*command, *options], self.file.parent).stdout

    def fields(self, *names: str, with_keys: bool = True) -> list[list[str]]:
        """Give fields of every frame that holds a handshake message."""
        options = [option for name in names for option in ("-e", name)]
        text = self.read("-Y", "tls.handshake", "-T", "fields", *options, with_keys=with_keys)
        return [line.split("\t") for line in text.splitlines()]

    def messages(self, *, with_keys: bool = True) -> list[Message]:
        return [
            Message(port == str(self.port), int(kind))
            for port, kinds in self.fields("tcp.dstport", "tls.handshake.type", with_keys=with_keys)
            for kind in kinds.split(",")
            if kind
        ]

    def certificates(self, *, with_keys: bool = True) -> dict[bool, list[bytes]]:
        """Give the certificates that were shown, by whether the client showed them."""
        shown: dict[bool, list[bytes]] = {}
        for port, values in self.fields("tcp.dstport", "tls.handshake.certificate", with_keys=with_keys):
            for value in filter(None, values.split(",")):
                shown.setdefault(port == str(self.port), []).append(bytes.fromhex(value.replace(":", "")))
        return shown


@contextmanager
def capturing(file: Path, port: int) -> Iterator[None]:
    """Capture what goes over a port of the loopback; where this user may not, the test is skipped, and in CI it fails.

    file: for the frames.
    port: of TCP.
    """
    log = file.with_suffix(".log")
    command: list[str | Path] = [require("tshark"), "-q", "-i", LOOPBACK, "-f", f"tcp port {port}", "-w", file]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=settings(file.parent), stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        eventually(lambda: process.poll() is not None or (file.exists() and file.stat().st_size > 0), 20)
        if process.poll() is not None:
            reason = f"tshark cannot capture on {LOOPBACK}: {log.read_text().strip()}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield
        # Frames reach the file a moment later; the last ones are those that close the connection.
        assert eventually(lambda: count(file, "tcp.flags.fin == 1 || tcp.flags.reset == 1") > 0, 20)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(20)


def count(file: Path, wanted: str) -> int:
    """Count the frames that a filter lets through; a file that is still being written may end in half a frame."""
    command: list[str | Path] = [require("tshark"), "-r", file, "-Y", wanted]
    return len(run_tshark(command, file.parent, check=False).stdout.splitlines())


def converse(world: World, folder: Path, version: str, logs: Sequence[str]) -> Capture:
    """Serve, connect and capture; the key log is written by those who are named."""
    port = free_port()
    keys = {name: folder / f"{name}-keys.log" for name in ("serve", "connect")}
    options = {name: ["--keylog", str(path)] if name in logs else [] for name, path in keys.items()}
    serve: list[str | Path] = [PROGRAM, "serve", "servers/api", "--listen", f"127.0.0.1:{port}", *options["serve"]]
    file = folder / "exchange.pcapng"
    with running(serve, port, folder / "serve.log", folder=world.folder), capturing(file, port):
        ran = world.connect(port, "clients/checkout", "--tls", version, *options["connect"])
        assert ran.code == 0, ran
    return Capture(file, port, keys[logs[0]])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    require("tshark")
    return make_world(tmp_path_factory.mktemp("tshark") / "world")


@pytest.fixture(scope="module", params=VERSIONS)
def capture(world: World, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Capture:
    """One conversation under each version; the client writes the key log."""
    folder = tmp_path_factory.mktemp("capture")
    return converse(world, folder, request.param, ["connect"])


def in_tree(world: World, address: str) -> list[bytes]:
    content = (world.tree / address / "cert.pem").read_bytes()
    return [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(content)]


def test_with_the_key_log_every_message_of_the_handshake_is_seen(capture: Capture) -> None:
    seen = capture.messages()
    wanted = [
        Message(is_clients=True, kind=CLIENT_HELLO),
        Message(is_clients=False, kind=SERVER_HELLO),
        Message(is_clients=False, kind=CERTIFICATE),
        Message(is_clients=False, kind=REQUEST),
        Message(is_clients=True, kind=CERTIFICATE),
        Message(is_clients=True, kind=VERIFY),
    ]
    assert [message for message in wanted if message not in seen] == []
    assert seen[0] == wanted[0]


def test_the_certificates_that_are_shown_are_those_of_the_tree(world: World, capture: Capture) -> None:
    assert capture.certificates() == {
        False: in_tree(world, "servers/api"),
        True: in_tree(world, "clients/checkout"),
    }


def test_what_was_asked_and_answered_can_be_read(capture: Capture) -> None:
    assert "GET / HTTP/1.1" in capture.read("-Y", "http.request")
    page = capture.read("-Y", "http.response", "-V")
    assert "you are  CN=checkout" in page


def test_without_the_key_log_what_is_encrypted_stays_so(capture: Capture) -> None:
    is_open = "TLSv1.2" in capture.read("-Y", "tls.handshake.type == 2", with_keys=False)
    seen = capture.messages(with_keys=False)
    # Under TLS 1.2 certificates go over the line in the open, under TLS 1.3 nothing does after the hellos.
    assert (Message(is_clients=False, kind=REQUEST) in seen) == is_open
    assert (Message(is_clients=True, kind=CERTIFICATE) in seen) == is_open
    assert capture.certificates(with_keys=False) == (capture.certificates() if is_open else {})
    assert Message(is_clients=False, kind=SERVER_HELLO) in seen
    assert capture.read("-Y", "http", with_keys=False) == ""


def test_the_key_log_of_the_server_is_as_good_and_an_empty_one_is_none(world: World, tmp_path: Path) -> None:
    captured = converse(world, tmp_path, "1.3", ["serve"])
    kinds = {message.kind for message in captured.messages() if not message.is_clients}
    assert kinds >= {SERVER_HELLO, REQUEST, CERTIFICATE, VERIFY}
    assert captured.certificates()[True] == in_tree(world, "clients/checkout")
    assert "you are  CN=checkout" in captured.read("-Y", "http.response", "-V")
    (tmp_path / "empty.log").touch()
    assert replace(captured, keys=tmp_path / "empty.log").certificates() == {}


def test_the_columns_that_the_readme_shows(capture: Capture) -> None:
    lines = capture.read("-Y", "tls.handshake", "-T", "fields", "-e", "tcp.dstport", "-e", "_ws.col.Info").splitlines()
    text = "\n".join(lines)
    assert lines[0].startswith(f"{capture.port}\tClient Hello")  # later versions add the name that is asked for
    assert re.search(r"^\d+\tServer Hello, .*Certificate Request", text, re.MULTILINE)
    assert re.search(rf"^{capture.port}\t.*Certificate, .*Certificate Verify", text, re.MULTILINE)
