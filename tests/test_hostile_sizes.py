"""Files of the tree that are far too large: refused by their size, soon, and without being held in memory."""

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from grounds import Ground, assert_settled, compiled_folder, ground_of
from samples import EVERY
from scene import load

MEGABYTE = 1024 * 1024
ROOM = 200 * MEGABYTE
"""What a command may take beside the hundred that this process has: a third of a gigabyte in all."""
SPARSE = 100 * MEGABYTE
"""Of which no disk holds a byte."""
ALMOST = 60 * MEGABYTE

PLACES = (
    "manifest.json", ".gitignore", "cas/ca/key.pem", "cas/ca/cert.pem", "servers/api/key.pem", "servers/api/cert.pem",
    "servers/api/ca.pem", "servers/api/nginx.conf", ".certgen/keys", ".certgen/lock", ".certgen/journal",
)  # fmt: skip
GROWING = PLACES if EVERY else ("manifest.json", ".certgen/keys", ".certgen/journal")
"""What may grow with the fleet, and so has a limit far above."""


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_folder() as folder:
        yield folder


class Peak:
    """How much memory this process takes at most in a `with`, beyond what it has at its beginning."""

    def __enter__(self) -> "Peak":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError as reason:
            pytest.skip(f"this kernel does not tell how much memory a process takes: {reason}")
        self._before = self._told("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.growth = self._told("VmHWM") - self._before

    @staticmethod
    def _told(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def swell(path: Path, size: int) -> None:
    """Make a file larger with bytes that take no room; one is made where there is none."""
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, size)
    os.close(descriptor)


def answers(ground: Ground) -> dict[str, int]:
    """Type all that reads, then what writes; give the exit codes."""
    found = {}
    for command in ("plan", "verify", "prove", "status", "inspect", "apply"):
        # Each is a process of its own for a user: what the one before has left in circles is none of its memory.
        gc.collect()
        found[command] = (ground.inspect("shop/servers/api") if command == "inspect" else ground.run(command)).code
    return found


@pytest.mark.parametrize(
    ("place", "size"), [*((place, SPARSE) for place in PLACES), *((place, ALMOST) for place in GROWING)]
)
def test_a_huge_file_takes_neither_time_nor_memory(compiled: Path, place: str, size: int) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = ground.output / "shop" / place
        swell(path, size)
        with Peak() as peak:
            codes = answers(ground)
        assert set(codes.values()) <= {0, 1, 2}, codes
        assert peak.growth < ROOM, (codes, peak.growth)
        if codes["apply"] == 0:
            assert_settled(ground)
            assert place == ".certgen/lock" or not path.exists() or path.stat().st_size < MEGABYTE


@pytest.mark.parametrize("place", ["cas/ca/key.pem", "servers/api/key.pem"])
def test_a_huge_key_is_refused_by_its_size(compiled: Path, place: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        swell(ground.output / "shop" / place, SPARSE)
        answer = ground.run("apply")
        assert (answer.code, "error[key-unreadable]" in answer.err, "more than" in answer.err) == (2, True, True), (
            answer
        )


def test_a_peak_would_be_seen() -> None:
    with Peak() as peak:
        taken = b"x" * ROOM
    assert len(taken) == ROOM <= peak.growth + MEGABYTE


def with_padding(ground: Ground, size: int) -> bytes:
    """Give the server's certificate, signed anew with so many bytes in an extension that nobody knows."""
    tree = ground.output / "shop"
    old, ca = load(tree / "servers/api/cert.pem"), load(tree / "cas/ca/cert.pem")
    key = load_pem_private_key((tree / "cas/ca/key.pem").read_bytes(), None)
    builder = x509.CertificateBuilder(ca.subject, old.subject, old.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x04" + bytes(size))
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.add_extension(padding, critical=False).sign(key, SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(("size", "is_read"), [(14_000, True), (17_000, False)])
def test_a_certificate_of_more_than_16_kilobytes_is_refused(compiled: Path, size: int, is_read: bool) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        assert ground.run("apply").code == 0
        path = ground.output / "shop/servers/api/cert.pem"
        path.write_bytes(with_padding(ground, size))
        planned = ground.run("plan", "--json")
        changes = {change["address"]: change["reasons"] for change in json.loads(planned.out)["specs"][0]["changes"]}
        codes = [reason["code"] for reason in changes.get("servers/api", [])]
        assert codes == ([] if is_read else ["unreadable"]), planned.out
        assert ground.run("apply").code == 0
        assert_settled(ground)
        assert (path.stat().st_size > 16_000) == is_read


@pytest.mark.parametrize("count", [100_000] if EVERY else [5_000])
def test_a_manifest_of_very_many_entries_is_read_in_time(compiled: Path, count: int) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = ground.output / "shop/manifest.json"
        manifest = json.loads(path.read_bytes())
        for number in range(count):
            manifest["entries"][f"servers/x{number}"] = {"key": "0" * 64, "files": {"cert.pem": "0" * 64}}
        path.write_text(json.dumps(manifest))
        with Peak() as peak:
            codes = {command: ground.run(command, seconds=60).code for command in ("plan", "apply", "verify")}
        assert codes == {"plan": 1, "apply": 0, "verify": 1}
        assert peak.growth < (4 * ROOM if EVERY else ROOM), peak.growth
