"""Values that hold or have met private keys, and runs that fail while they write them: nothing gives a key away."""

import dataclasses
import errno
import os
import random
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from faults import Disk, KilledError
from foreign.hierarchy import make_ca
from grounds import compiled_folder, ground_of
from leaks import DAMAGES, PASSPHRASE, Hunt
from pydantic import BaseModel
from said import Said, ask, reports_of
from samples import EVERY

from certgen.certificates import UnreadableError, parse_private_key
from certgen.diagnostics import CertgenError
from certgen.pipeline import apply_specs, load_specs, plan_specs
from certgen.signers.memory import MemoryKeyRing

NOW = datetime.now(UTC).replace(microsecond=0)
BROUGHT = """\
version: 1
cas:
  root: {}
  mine: {certificate: mine/cert.pem, private_key: mine/key.pem}
servers:
  api: {issuer: mine, sans: [localhost], snippets: {nginx: {listen: 8443, standalone: true}}}
clients:
  app: {issuer: root, snippets: [go]}
"""
CODES = (errno.ENOSPC, errno.EIO, errno.EACCES)


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_folder() as folder:
        yield folder


@pytest.fixture
def hunt(monkeypatch: pytest.MonkeyPatch) -> Hunt:
    """Know every key that is made, be it ever written or not."""
    known = Hunt()
    generate = MemoryKeyRing.generate

    def generate_and_tell(ring: MemoryKeyRing, algorithm: Any) -> Any:  # noqa: ANN401 - as it comes
        key = generate(ring, algorithm)
        known.add(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key

    monkeypatch.setattr(MemoryKeyRing, "generate", generate_and_tell)
    return known


def keys_of(folder: Path) -> Hunt:
    return Hunt(*(path.read_bytes() for path in folder.rglob("key.pem") if path.is_file()))


def values(root: object) -> Iterator[object]:
    """Give a value and all that can be reached from it: fields, items, and what stands behind a mapping."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, str | bytes | int | float | type(None)):
            continue
        seen.add(id(value))
        yield value
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            waiting += [getattr(value, field.name) for field in dataclasses.fields(value)]
        elif isinstance(value, BaseModel):
            waiting += [item for _, item in value]
        elif isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, tuple | list | set | frozenset):
            waiting += list(value)


def assert_no_value_tells(root: object, hunt: Hunt, least: int) -> None:
    """Demand that no value says what is in a key; a mapping that a value hides is hidden with it."""
    found = [value for value in values(root) if not isinstance(value, Mapping | tuple | list | set | frozenset)]
    assert len(found) >= least, found
    for value in found:
        assert hunt.found(f"{value!r}\n{value!s}") == [], type(value)


# Values


def brought(folder: Path) -> Path:
    """Put a spec and a CA of a user's own into a folder; give the spec."""
    ca = make_ca("mine", "ecdsa-p256")
    (folder / "mine").mkdir()
    (folder / "mine/cert.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (folder / "mine/key.pem").write_bytes(ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "shop.yaml").write_text(BROUGHT)
    return folder / "shop.yaml"


def test_no_value_from_a_spec_to_an_outcome_tells_what_is_in_a_key(tmp_path: Path) -> None:
    spec = brought(tmp_path)
    output = tmp_path / "output"
    loaded = load_specs([spec])
    first = plan_specs(loaded, output, NOW)
    outcomes = apply_specs(loaded, output, NOW)
    again = plan_specs(loaded, output, NOW)
    hunt = keys_of(tmp_path)
    for root, least in ((loaded, 30), (first, 50), (outcomes, 30), (again, 80)):
        assert_no_value_tells(root, hunt, least)


@pytest.mark.parametrize("place", ["manifest.json", ".gitignore", ".certgen/keys", "servers/api/key.pem"])
def test_no_value_tells_what_was_pasted_where_it_does_not_belong(compiled: Path, place: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        hunt = keys_of(ground.output)
        path = ground.output / "shop" / place
        path.write_bytes(path.read_bytes() + b"\n" + (ground.output / "shop/cas/ca/key.pem").read_bytes())
        planned = plan_specs(load_specs([ground.folder / "shop.yaml"]), ground.output, NOW)
        assert_no_value_tells(planned, hunt, 50)


def test_a_value_that_tells_would_be_seen(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Talkative:
        content: bytes

    spec = brought(tmp_path)
    hunt = keys_of(tmp_path)
    key = (tmp_path / "mine/key.pem").read_bytes()
    assert hunt.found(repr(key))
    with pytest.raises(AssertionError):
        assert_no_value_tells([{"deep": (Talkative(key),)}, load_specs([spec])], hunt, 1)


# Files


def test_no_file_but_a_private_key_holds_anything_of_one(tmp_path: Path) -> None:
    spec = brought(tmp_path)
    assert ask("apply", spec, "-o", tmp_path / "output").code == 0
    hunt = keys_of(tmp_path)
    files = [path for path in (tmp_path / "output").rglob("*") if path.is_file() and path.name != "key.pem"]
    assert len(files) > 8
    for path in files:
        assert hunt.found(path.read_bytes().decode("latin-1")) == [], path


@pytest.mark.parametrize("seed", range(40) if EVERY else range(4, 8))
def test_a_run_that_is_killed_leaves_no_key_where_others_can_read_it(
    tmp_path: Path, hunt: Hunt, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    spec = brought(tmp_path)
    counting = Disk()
    with monkeypatch.context() as patch:
        counting.install(patch)
        assert ask("apply", spec, "-o", tmp_path / "dry").code == 0
    chance = random.Random(seed)  # noqa: S311 - the same each time
    for number in chance.sample(range(1, counting.calls + 1), 6):
        output = tmp_path / f"output-{number}"
        with monkeypatch.context() as patch:
            Disk(number, kill=True).install(patch)
            with pytest.raises(KilledError):
                ask("apply", spec, "-o", output)
        for path in output.rglob("*"):
            if path.is_file() and hunt.found(path.read_bytes().decode("latin-1")):
                inside = path.relative_to(output / "shop")
                assert path.name == "key.pem" or inside.parts[:2] == (".certgen", "new"), (seed, number, path)
                assert oct(stat.S_IMODE(path.stat().st_mode)) == oct(0o600), (seed, number, path)


# Failures


def failures(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[tuple[int, Said]]:
    """Type `apply` once for each call that changes the disk, and make that call fail."""
    number = 0
    while True:
        number += 1 if EVERY else 4
        disk = Disk(number, CODES[number % len(CODES)])
        with patch.context() as within:
            disk.install(within)
            said = ask("apply", "-v", folder / "shop.yaml", "-o", folder / f"output-{number}")
        if not disk.failed:
            return
        yield number, said


def test_nothing_is_said_of_a_key_that_could_not_be_written(
    tmp_path: Path, hunt: Hunt, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(tmp_path)
    hunt.add((tmp_path / "mine/key.pem").read_bytes())
    count = 0
    for number, said in failures(tmp_path, monkeypatch):
        count += 1
        assert hunt.found(said.everything) == [], (number, said)
        assert said.code in {0, 2}, (number, said)
        assert said.code == 0 or "error[write-failed]" in said.err, (number, said)
    assert count > 20


def test_no_exception_of_the_library_tells_what_is_in_a_key(
    tmp_path: Path, hunt: Hunt, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_specs([brought(tmp_path)])
    hunt.add((tmp_path / "mine/key.pem").read_bytes())
    caught = []
    for number in range(1, 200, 1 if EVERY else 5):
        disk = Disk(number)
        with monkeypatch.context() as patch:
            disk.install(patch)
            caught += raised_by(partial(apply_specs, loaded, tmp_path / f"output-{number}", NOW))
        if not disk.failed:
            break
    assert len(caught) > 15
    for reason in caught:
        assert hunt.found("\n".join(reports_of(reason))) == [], reason


def raised_by(call: Callable[[], object]) -> list[CertgenError]:
    """Give the exception that a call raises, if it does."""
    try:
        call()
    except CertgenError as reason:
        return [reason]
    return []


def test_what_a_frame_holds_would_be_seen() -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEA5v0aTl3hq7wYhY7pXg0Kq2yT4bNn8cQf1Jm6ZsVxR\n"
    with pytest.raises(UnreadableError) as caught:
        parse_private_key(key.replace(b"-----\n", b"-----"))
    words, held = reports_of(caught.value)
    assert "MC4CAQAwBQYDK2VwBCIE" in held
    assert "MC4CAQAwBQYDK2VwBCIE" not in words


@pytest.mark.parametrize("damage", ["cut in half", "encrypted", "in DER"])
def test_nothing_more_is_said_where_python_is_asked_to_say_more(compiled: Path, damage: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = ground.output / "shop/servers/api/key.pem"
        whole = path.read_bytes()
        hunt = keys_of(ground.output)
        hunt.add_word(PASSPHRASE)
        path.write_bytes(DAMAGES[damage](whole))
        python = [sys.executable, "-X", "dev", "-W", "error", "-m", "certgen"]
        done = subprocess.run(
            [*python, "apply", "-v", ground.folder / "shop.yaml", "-o", ground.output],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2, done
        assert "error[key-unreadable]" in done.stderr
        assert not re.search(r"Traceback|Warning|File \"", done.stderr), done.stderr
        assert hunt.found(done.stdout + done.stderr) == []
