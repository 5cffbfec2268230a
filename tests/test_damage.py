"""Damage: one file at a time is flipped, cut, swapped or removed: `plan` sees it, `apply` mends it or names the way.

`CERTGEN_EXAMPLES=200 pytest tests/test_damage.py` damages more often than an ordinary run; the first are the same.
"""

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from scene import Scene, take_snapshot, touched, verify_in_process

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS
from certgen.tree import ATTRIBUTES_FILE

SEED = 20261123
TRIALS = int(os.environ.get("CERTGEN_EXAMPLES", "0")) or 40
SPEC = """\
    version: 1
    cas:
      root: {}
      issuing: {issuer: root}
    servers:
      api: {issuer: issuing, sans: api.shop.example, snippets: [nginx, envoy]}
      web: {issuer: issuing, sans: web.shop.example}
    clients:
      checkout: {issuer: issuing, snippets: [go]}
    peers:
      etcd: {issuer: root, sans: etcd.shop.example}
"""
VERBS = ("flipped", "cut", "swapped", "removed")
MACHINE = ".certgen"
STRAY = f"{MACHINE}/journal"
"""Not there after a run that ended well."""


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Damage:
    """What was done to which files of a tree."""

    words: str
    paths: tuple[str, ...]

    @property
    def verb(self) -> str:
        """What was done, in one word."""
        return next(verb for verb in VERBS if f" {verb}" in self.words)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether only this machine's notes were damaged."""
        return all(path.startswith(MACHINE) for path in self.paths)


class Patient(Scene):
    """A tree that is damaged and mended."""

    def type(self, *arguments: str) -> Ran:
        """Type a command, in this process: what nobody expected is raised, not told."""
        assert COMMANDS, "what has added its commands to the group"
        command, *options = arguments
        words = [command, str(self.specs / "shop.yaml"), "-o", str(self.output), *options]
        done = CliRunner().invoke(certgen, words, catch_exceptions=False)
        return Ran(done.exit_code, done.stdout, done.stderr)

    def files(self) -> list[str]:
        """All files of the tree, and the one that should not be there."""
        found = [str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if path.is_file()]
        # What git is told of line ends and merges is the user's own as soon as its first line is another.
        return sorted({*found, STRAY} - {ATTRIBUTES_FILE})

    def content(self, path: str) -> bytes:
        """What a file holds; nothing where there is none."""
        file = self.tree / path
        return file.read_bytes() if file.exists() else b""

    def authority_keys(self) -> dict[str, bytes]:
        """The private keys of the CAs."""
        return {str(path): path.read_bytes() for path in self.tree.glob("cas/*/key.pem")}

    def demand_sound(self) -> None:
        """Demand that all is as the spec says: for `plan`, for `verify`, for this test, and for a second run."""
        planned = self.type("plan")
        assert planned.code == 0, planned
        before = take_snapshot(self.output)
        assert self.type("apply").code == 0
        assert take_snapshot(self.output) == before
        audited = self.type("verify")
        assert audited.code == 0, audited
        self.assert_all_pairs_match()
        now = datetime.now(UTC)
        for path in self.tree.glob("[!c][!a]*/*/cert.pem"):
            roots = path.with_name("ca.pem").read_bytes()
            verify_in_process(path.read_bytes(), roots, now)


# What is done to a file


def flip(patient: Patient, path: str, chance: random.Random) -> Damage:
    content = bytearray(patient.content(path) or chance.randbytes(200))
    place, bit = chance.randrange(len(content)), chance.randrange(8)
    content[place] ^= 1 << bit
    (patient.tree / path).write_bytes(content)
    return Damage(f"bit {bit} of byte {place} of {path} is flipped", (path,))


def cut(patient: Patient, path: str, chance: random.Random) -> Damage:
    content = patient.content(path) or chance.randbytes(200)
    length = chance.randrange(len(content))
    (patient.tree / path).write_bytes(content[:length])
    return Damage(f"{path} is cut to {length} bytes", (path,))


def swap(patient: Patient, path: str, chance: random.Random) -> Damage:
    content = patient.content(path)
    others = [other for other in patient.files() if patient.content(other) != content and STRAY not in {path, other}]
    alike = [other for other in others if Path(other).name == Path(path).name]
    other = chance.choice(alike or others) if others else path
    (patient.tree / path).write_bytes(patient.content(other))
    (patient.tree / other).write_bytes(content)
    return Damage(f"{path} and {other} are swapped", (path, other))


def delete(patient: Patient, path: str, chance: random.Random) -> Damage:  # noqa: ARG001 - as the others
    (patient.tree / path).unlink(missing_ok=True)
    return Damage(f"{path} is removed", (path,))


KINDS: tuple[Callable[[Patient, str, random.Random], Damage], ...] = (flip, cut, swap, delete)


def harm(patient: Patient, chance: random.Random) -> Damage:
    """Damage one file, or two by each other, so that something is other than it was."""
    while True:
        before = {path: patient.content(path) for path in patient.files()}
        damage = chance.choice(KINDS)(patient, chance.choice(sorted(before)), chance)
        if {path: patient.content(path) for path in patient.files()} != before:
            return damage


# What comes of it


def follow(patient: Patient, ran: Ran, damage: Damage, whole: Path, *, restores: bool) -> str:
    """Do what the message says; where it leaves a choice, as it is asked."""
    options = sorted(set(re.findall(r"`(--re(?:key|new) \S+)`", ran.err)))
    away = re.findall(r"^error\[foreign-file\]: (\S+) is ", ran.err, re.MULTILINE)
    can_restore = re.search("restore|put the right key there|upgrade certgen", ran.err)
    assert options or away or can_restore, ran
    if can_restore and (restores or not options):
        for path in damage.paths:
            shutil.copy2(whole / path, patient.tree / path)
        options = []
    for path in away:
        (patient.tree / path).unlink()
    mended = patient.type("apply", *(word for option in options for word in option.split()))
    assert mended.code == 0, mended
    return " ".join(options) or "restored"


def mend(patient: Patient, damage: Damage, whole: Path, *, restores: bool) -> str:
    """Plan, apply and do what is said; all the way nobody's CA gets another key unasked."""
    before = take_snapshot(patient.tree)
    planned = patient.type("plan")
    assert take_snapshot(patient.tree) == before
    keys = patient.authority_keys()
    applied = patient.type("apply")
    assert patient.authority_keys() == keys
    if damage.is_of_this_machine:
        assert planned.code in {0, 1}, planned
        assert applied.code == 0, applied
        assert touched(before, take_snapshot(patient.tree)) == set()
        return "noted anew"
    gone = [path for path in damage.paths if path.startswith("cas/") and not (patient.tree / path).exists()]
    assert planned.code in {1, 2} or (gone and "[ca-key-gone]" in planned.err), planned
    asks = "[root-in-the-field]" in applied.err
    assert applied.code == (2 if planned.code == 2 or asks else 0), (planned, applied)
    if applied.code == 0 and not gone:
        return "mended"
    if applied.code == 2:
        assert touched(before, take_snapshot(patient.tree)) == set()
        assert re.search(r"^ *= help: |help: ", applied.err, re.MULTILINE), applied
    return follow(patient, applied, damage, whole, restores=restores)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene as it was before any damage."""
    patient = Patient(tmp_path_factory.mktemp("damage"))
    patient.write(SPEC)
    assert patient.type("apply").code == 0
    patient.demand_sound()
    return patient.folder


@contextmanager
def harmed(whole: Path, folder: Path, seed: str) -> Iterator[tuple[Patient, Damage, random.Random]]:
    """A damaged copy of the scene."""
    chance = random.Random(seed)  # noqa: S311 - repeatable is what it has to be
    patient = Patient(Path(shutil.copytree(whole, folder)))
    damage = harm(patient, chance)
    try:
        yield patient, damage, chance
    except BaseException as fault:
        fault.add_note(f"seed `{seed}`: {damage.words}")
        raise


@pytest.mark.parametrize("number", range(TRIALS))
def test_damage_is_seen_and_mended_or_the_way_is_named(whole: Path, tmp_path: Path, number: int) -> None:
    with harmed(whole, tmp_path / "shop", f"{SEED} {number}") as (patient, damage, chance):
        mend(patient, damage, whole / "output/shop", restores=chance.random() < 0.5)
        patient.demand_sound()


@pytest.mark.parametrize("number", range(8))
def test_damage_that_nobody_mends_is_seen_by_these_tests(whole: Path, tmp_path: Path, number: int) -> None:
    with harmed(whole, tmp_path / "shop", f"{SEED} control {number}") as (patient, damage, _):
        if not damage.is_of_this_machine:
            with pytest.raises(AssertionError):
                patient.demand_sound()


def test_every_kind_of_file_is_damaged_in_every_way(whole: Path, tmp_path: Path) -> None:
    patient = Patient(Path(shutil.copytree(whole, tmp_path / "shop")))
    done: Counter[tuple[str, str]] = Counter()
    for number in range(200):
        damage = harm(patient, random.Random(f"{SEED} {number}"))  # noqa: S311 - repeatable is what it has to be
        done.update((kind_of(path), damage.verb) for path in damage.paths)
        (patient.tree / STRAY).unlink(missing_ok=True)
        for path in damage.paths:
            if path != STRAY:
                shutil.copy2(whole / "output/shop" / path, patient.tree / path)
    names = {"cert.pem", "key.pem", "ca.pem", "manifest.json", ".gitignore", "keys", "a snippet"}
    assert set(done) >= {(name, verb) for name in names for verb in VERBS}
    assert {name for name, _ in done} >= {"journal", "lock"}


def kind_of(path: str) -> str:
    """What a file is, for counting."""
    name = Path(path).name
    return name if name.endswith((".pem", ".json", ".gitignore")) or path.startswith(MACHINE) else "a snippet"


# What this machine notes for itself

GARBAGE = {
    "nothing": b"",
    "zeros": bytes(4096),
    "no text": bytes(range(256)) * 64,
    "paths": b"servers/api/cert.pem\nservers/api/key.pem\n",
    "a path outside": b"../../../etc/passwd\n/etc/passwd\n",
    "JSON": b'{"version": 1, "name": "shop", "moves": {"servers/api/cert.pem": "0"}}\n',
    "JSON of another kind": b"null\n[]\n1\n",
    "JSON that is deep": b"[" * 100_000,
    "a long line": b"a" * 5_000_000,
    "a digest that is none": b"0123456789abcdef {}\n",
}


NOTES = [("journal", what) for what in GARBAGE] + [
    (name, what) for name in ("keys", "lock", "new/0", "new/a/b") for what in ("nothing", "no text", "a path outside")
]


@pytest.mark.parametrize(("name", "what"), NOTES)
def test_garbage_in_this_machines_notes_costs_no_more_than_time(
    whole: Path, tmp_path: Path, name: str, what: str
) -> None:
    patient = Patient(Path(shutil.copytree(whole, tmp_path / "shop")))
    before = take_snapshot(patient.tree)
    note = patient.tree / MACHINE / name
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(GARBAGE[what])
    planned, audited = patient.type("plan"), patient.type("verify")
    assert (planned.code in {0, 1}, "error[" in planned.err) == (True, False), planned
    assert audited.code in {0, 1}, audited
    assert set(re.findall(r"error\[([a-z-]+)\]", audited.err)) <= {"interrupted"}, audited
    ran = patient.type("apply")
    assert ran.code == 0, ran
    assert touched(before, take_snapshot(patient.tree)) == set()
    ran = patient.type("apply", "--renew", "servers/api")
    assert ran.code == 0, ran
    patient.demand_sound()
    assert {path.name for path in (patient.tree / MACHINE).iterdir()} - {"stamp"} == {"keys", "lock"}


def test_without_the_notes_of_this_machine_nothing_is_lost(whole: Path, tmp_path: Path) -> None:
    patient = Patient(Path(shutil.copytree(whole, tmp_path / "shop")))
    before = take_snapshot(patient.tree)
    shutil.rmtree(patient.tree / MACHINE)
    assert patient.type("plan").code == 0
    assert patient.type("apply").code == 0
    assert touched(before, take_snapshot(patient.tree)) == set()
    patient.demand_sound()
