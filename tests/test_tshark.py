"""What the README shows of a handshake, with the real tshark on loopback: it reads what the key log lets it read."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from programs import eventually, free_port, require, running
from scene import Scene

CERTGEN = Path(sys.executable).with_name("certgen")
SPEC = "version: 1\nca:\nservers: {api: {sans: localhost}}\nclients: {checkout: {sans: 'spiffe://shop.example/checkout'}}\n"
SEEN_IN_THE_OPEN = {"Client Hello", "Server Hello"}
SEEN_WITH_THE_KEY_LOG = {
    *SEEN_IN_THE_OPEN,
    "Certificate Request",
    "Certificate",
    "Certificate Verify",
    "Finished",
}


class Capture:
    """A handshake of `serve` and `connect`, caught on the wire."""

    def __init__(self, tree: Path, file: Path, port: int) -> None:
        self.tree = tree
        self._file = file
        self._port = port

    def read(self, *options: str, keylog: Path | None = None) -> str:
        """Have tshark read it."""
        decode = ["-d", f"tcp.port=={self._port},tls"]
        secrets = ["-o", f"tls.keylog_file:{keylog}"] if keylog else []
        arguments: list[str | Path] = ["tshark", "-r", self._file, *decode, *secrets, *options]
        return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60).stdout

    def messages(self, keylog: Path | None = None) -> list[str]:
        """Name the handshake messages in their order."""
        lines = self.read("-Y", "tls.handshake", "-T", "fields", "-e", "_ws.col.Info", keylog=keylog).splitlines()
        return [message.strip() for line in lines for message in line.split(",")]


@pytest.fixture(scope="module", params=["1.2", "1.3"])
def caught(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Path]:
    require("tshark")
    folder, port = tmp_path_factory.mktemp("tshark"), free_port()
    scene = Scene(folder)
    scene.write(SPEC)
    scene.run(datetime.now(UTC))
    keylog, file, said = folder / "keys.log", folder / "handshake.pcapng", folder / "tshark.log"
    where = ["-o", str(scene.output)]
    with running(
        [CERTGEN, "serve", "servers/api", "--listen", f"127.0.0.1:{port}", *where], port, folder / "serve.log"
    ):
        options = ["-q", "-i", "lo", "-f", f"tcp port {port}", "-w", str(file)]
        with said.open("w") as log:
            sniffer = subprocess.Popen(["tshark", *options], stdout=log, stderr=log)
        try:
            assert eventually(lambda: "Capture started" in said.read_text() or file.exists(), 20), said.read_text()
            time.sleep(0.5)
            url = f"https://localhost:{port}/"
            arguments = [CERTGEN, "connect", url, "--as", "clients/checkout", "--tls", request.param]
            subprocess.run([*arguments, "--keylog", keylog, *where], check=True, capture_output=True, timeout=30)
            time.sleep(1)
        finally:
            sniffer.terminate()
            sniffer.wait(20)
    return Capture(scene.tree, file, port), keylog


def test_the_key_log_shows_the_request_for_a_certificate_and_both_certificates(
    caught: tuple[Capture, Path],
) -> None:
    capture, keylog = caught
    messages = capture.messages(keylog)
    assert messages[:2] == ["Client Hello", "Server Hello"]
    assert set(messages) >= SEEN_WITH_THE_KEY_LOG
    assert messages.count("Certificate") == 2
    assert messages.count("Certificate Request") == 1


def test_the_client_s_certificate_on_the_wire_is_the_one_in_the_tree(caught: tuple[Capture, Path]) -> None:
    capture, keylog = caught
    pem = (capture.tree / "clients/checkout/cert.pem").read_bytes()
    der = x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER).hex()
    shown = capture.read(
        "-Y", "tls.handshake.certificate", "-T", "fields", "-e", "tls.handshake.certificate", keylog=keylog
    )
    assert der in shown.replace(":", "")


def test_without_the_key_log_nobody_sees_a_certificate_of_tls_1_3(caught: tuple[Capture, Path]) -> None:
    capture, keylog = caught
    is_1_3 = "CLIENT_TRAFFIC_SECRET_0" in keylog.read_text()
    messages = set(capture.messages())
    assert messages >= SEEN_IN_THE_OPEN
    assert ("Certificate Request" in messages) == (not is_1_3)


def test_the_key_log_is_its_owner_s_alone(caught: tuple[Capture, Path]) -> None:
    _, keylog = caught
    assert keylog.stat().st_mode & 0o777 == 0o600
