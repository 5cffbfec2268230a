"""Races: many runs on one tree, readers beside writers, and holders that are killed.

`CERTGEN_EXAMPLES=25 pytest tests/test_races.py` runs 25 rounds of each kind, and 200 renewals before a reader.
"""

import fcntl
import os
import random
import re
import shutil
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from runs import Case, Crowd, Gate, Ran, Shop, actions, authority_keys, delayed, demand_sound, ended, is_held
from scene import load, take_snapshot

SEED = 20261123
EXAMPLES = int(os.environ.get("CERTGEN_EXAMPLES", "0"))
SPEC = """\
    version: 1
    cas:
      root: {}
      issuing: {issuer: root}
    servers:
      api: {issuer: issuing, sans: api.shop.example, snippets: [nginx]}
      web: {issuer: issuing, sans: web.shop.example}
    clients:
      checkout: {issuer: issuing}
      report: {issuer: root}
"""
ALL = ("cas/root", "cas/issuing", "servers/api", "servers/web", "clients/checkout", "clients/report")
APPLY = ("apply", "shop.yaml", "--json")


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with Crowd() as started:
        yield started


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, crowd: Crowd) -> Path:
    shop = Shop(tmp_path_factory.mktemp("races"), SPEC)
    (ran,) = crowd.run(Case(shop.folder, APPLY))
    assert ran.code == 0, ran
    return shop.folder


@pytest.fixture
def shop(compiled: Path, tmp_path: Path) -> Shop:
    """A compiled tree of a test's own."""
    return Shop(Path(shutil.copytree(compiled, tmp_path / "shop")))


@pytest.fixture
def empty(tmp_path: Path) -> Shop:
    """A spec without a tree."""
    return Shop(tmp_path / "empty", SPEC)


# Eight at once


@dataclass
class Contest:
    """A tree upon which eight runs are let loose, time and again."""

    shop: Shop
    crowd: Crowd
    env: dict[str, str]
    certificates: dict[int, bytes] = field(default_factory=dict)
    """All that were ever seen, by serial number."""

    def let_loose(self, *options: tuple[str, ...]) -> list[dict[str, str]]:
        """Run `apply` eight times at once; tell what each run did that was not kept out by the lock."""
        rans = self.crowd.run(*(Case(self.shop.folder, (*APPLY, *option), self.env) for option in options))
        for ran in rans:
            assert ran.code == 0 or (ran.code == 2 and is_kept_out(ran)), ran
        self._demand_new_serials()
        demand_sound(self.shop, self.crowd)
        return [actions(ran) for ran in rans if ran.code == 0]

    def _demand_new_serials(self) -> None:
        for path in self.shop.tree.glob("*/*/cert.pem"):
            certificate = load(path)
            der = certificate.tbs_certificate_bytes
            assert self.certificates.setdefault(certificate.serial_number, der) == der, path


def is_kept_out(ran: Ran) -> bool:
    """Whether a run says that another holds the tree, and which."""
    words = ran.out + ran.err
    return "locked" in words and re.search(r"process \d+ on ", words) is not None


def done_by(runs: list[dict[str, str]], action: str) -> Counter[str]:
    """How many runs did something, by address."""
    return Counter(address for run in runs for address, did in run.items() if did == action)


TRIES = 5
"""Of a control: a busy machine may let eight runs go one after the other."""
FAST, SLOW = "as fast as they can", "with renames that take their time"
ROUNDS = [(pace, number) for number in range(EXAMPLES or 1) for pace in ((FAST, SLOW) if EXAMPLES else (SLOW,))]


@pytest.mark.parametrize(("pace", "number"), ROUNDS)
def test_eight_runs_at_once_do_what_one_would_do(tmp_path: Path, crowd: Crowd, pace: str, number: int) -> None:
    seed = f"{SEED} {pace} {number}"
    contest = Contest(Shop(tmp_path / "shop", SPEC), crowd, delayed(seed, 0.02) if pace == SLOW else {})
    runs = contest.let_loose(*[()] * 8)
    assert done_by(runs, "issue") == dict.fromkeys(ALL, 1), seed
    keys = authority_keys(contest.shop)
    contest.shop.write(SPEC.replace("sans: web.shop.example", "sans: [web.shop.example, shop.example]"))
    runs = contest.let_loose(*[()] * 8)
    assert [run for run in runs if run] == [{"servers/web": "update"}], seed
    options: list[tuple[str, ...]] = [("--renew", "servers/api"), ("--renew", "cas/issuing")] * 2
    options += [("--renew", "cas/root"), ("--rekey", "clients/checkout"), ("--rekey", "servers/web"), ()]
    random.Random(seed).shuffle(options)  # noqa: S311 - repeatable is what it has to be
    runs = contest.let_loose(*options)
    if len(runs) == 8:
        assert done_by(runs, "rekey") == {"clients/checkout": 1, "servers/web": 1}, seed
        assert done_by(runs, "renew") == {"servers/api": 2, "cas/issuing": 2, "cas/root": 1}, seed
    assert authority_keys(contest.shop) == keys, seed


def test_without_the_lock_eight_runs_would_not(tmp_path: Path, crowd: Crowd) -> None:
    for number in range(TRIES):
        env = {**delayed(f"{SEED} {number}", 0.02), "CERTGEN_TEST_LOCKS": "ignored"}
        contest = Contest(Shop(tmp_path / str(number), SPEC), crowd, env)
        try:
            assert done_by(contest.let_loose(*[()] * 8), "issue") == dict.fromkeys(ALL, 1)
        except AssertionError:
            return
    pytest.fail(f"{TRIES} times eight runs without a lock did what one would do")


def test_eight_commands_that_are_typed_at_once_are_one(empty: Shop, crowd: Crowd) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(empty.started(*APPLY)) for _ in range(8 if EXAMPLES else 4)]
        rans = [ended(process) for process in processes]
    assert {ran.code for ran in rans} == {0}, rans
    assert done_by([actions(ran) for ran in rans], "issue") == dict.fromkeys(ALL, 1)
    demand_sound(empty, crowd)


# Holders


def test_a_holder_that_is_killed_never_blocks_the_next(empty: Shop, crowd: Crowd, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate", "cert.pem")
    with empty.started(*APPLY, env=gate.env) as holder:
        assert gate.stopped(holder)
        assert is_held(empty.tree)
        assert crowd.run(Case(empty.folder, (*APPLY, "--lock-timeout", "0s")))[0].code == 2
        holder.kill()
        holder.wait()
        (ran,) = crowd.run(Case(empty.folder, (*APPLY, "--lock-timeout", "0s")))
    assert ran.code == 0, ran
    demand_sound(empty, crowd)


def test_who_may_not_wait_is_told_who_holds_the_tree_and_who_may_gets_it(
    shop: Shop, crowd: Crowd, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate", "cert.pem")
    renew = (*APPLY, "--renew", "servers/web")
    with shop.started(*APPLY, "--renew", "servers/api", env=gate.env) as holder:
        assert gate.stopped(holder)
        words = shop.run("apply", "shop.yaml", "--renew", "servers/web", "--lock-timeout", "0s")
        assert (words.code, words.out) == (2, "")
        assert words.err.startswith("error[locked]: ")
        assert f"process {holder.pid}" in words.err
        assert os.uname().nodename in words.err
        at_once, a_while = crowd.run(
            Case(shop.folder, (*renew, "--lock-timeout", "0s")), Case(shop.folder, (*renew, "--lock-timeout", "1s"))
        )
        assert (at_once.code, a_while.code) == (2, 2)
        assert at_once.seconds < 1 <= a_while.seconds
        with shop.started(*renew) as patient:
            with pytest.raises(subprocess.TimeoutExpired):
                patient.wait(1.5)
            gate.open()
            ran = ended(patient)
            assert ran.code == 0, ran
            assert ended(holder).code == 0
    demand_sound(shop, crowd)


def test_who_has_nothing_to_write_waits_for_nobody(shop: Shop, crowd: Crowd) -> None:
    commands = (("plan",), ("verify",), ("apply", "--lock-timeout", "0s"))
    lock = os.open(shop.tree / ".certgen/lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rans = crowd.run(*(Case(shop.folder, (*command, "shop.yaml")) for command in commands))
        assert [ran.code for ran in rans] == [0, 0, 0], rans
        renew = ("apply", "shop.yaml", "--renew", "servers/api", "--lock-timeout", "0s")
        assert crowd.run(Case(shop.folder, renew))[0].code == 2
    finally:
        os.close(lock)


def test_runs_on_other_trees_wait_for_nobody(shop: Shop, crowd: Crowd, tmp_path: Path) -> None:
    shop.write(SPEC, "depot.yaml")
    gate = Gate(tmp_path / "gate", "cert.pem")
    with shop.started(*APPLY, "--renew", "servers/api", env=gate.env) as holder:
        assert gate.stopped(holder)
        before = take_snapshot(shop.tree)
        rans = crowd.run(
            Case(shop.folder, ("apply", "depot.yaml", "--lock-timeout", "0s")),
            Case(shop.folder, (*APPLY, "-o", "elsewhere", "--lock-timeout", "0s")),
        )
        assert [ran.code for ran in rans] == [0, 0], rans
        assert take_snapshot(shop.tree) == before
        gate.open()
        assert ended(holder).code == 0
    demand_sound(shop, crowd)
    rans = crowd.run(
        Case(shop.folder, ("verify", "depot.yaml")), Case(shop.folder, ("verify", "shop.yaml", "-o", "elsewhere"))
    )
    assert [ran.code for ran in rans] == [0, 0], rans


# Readers


READERS = (("plan", "shop.yaml"), ("verify", "shop.yaml"))


MISSING = ("no-tree", "file-missing", "manifest", "ignore-file")
"""What verify finds of a tree that is not there yet."""


def demand_calm(rans: Sequence[Ran], what: object) -> None:
    """Demand that readers saw the tree as it was or will be, or a run that is under way, and nothing in between."""
    for ran in rans:
        assert ran.code in {0, 1}, (what, ran)
        findings = set(re.findall(r"^error\[([a-z-]+)\]", ran.err, re.MULTILINE))
        assert findings <= {"interrupted", *MISSING}, (what, ran)


OPTIONS: dict[str, tuple[str, ...]] = {
    "first": (),
    "renewal": ("--renew", "servers/api", "--renew", "cas/issuing"),
    "re-key of an end entity": ("--rekey", "servers/web"),
    "re-key of the root": ("--rekey", "cas/root"),
}


@pytest.mark.parametrize("what", OPTIONS if EXAMPLES else ("re-key of the root",))
def test_readers_are_calm_at_every_step_of_a_writer(compiled: Path, crowd: Crowd, tmp_path: Path, what: str) -> None:
    shop = Shop(tmp_path / "shop", SPEC) if what == "first" else Shop(Path(shutil.copytree(compiled, tmp_path / "s")))
    gate = Gate(tmp_path / "gate")
    steps = 0
    with shop.started(*APPLY, *OPTIONS[what], env=gate.env) as writer:
        while path := gate.stopped(writer):
            steps += 1
            if EXAMPLES or steps % 3 == 1:
                demand_calm(crowd.run(*(Case(shop.folder, reader) for reader in READERS)), (what, steps, path))
            gate.let_through()
        ran = ended(writer)
        assert ran.code == 0, ran
    assert steps >= 3
    demand_sound(shop, crowd)


@pytest.mark.parametrize("number", range(EXAMPLES or 2))
def test_readers_are_calm_beside_writers(shop: Shop, crowd: Crowd, number: int) -> None:
    seed = f"{SEED} readers {number}"
    chance = random.Random(seed)  # noqa: S311 - repeatable is what it has to be
    options = chance.choice([("--rekey", "cas/root"), ("--rekey", "cas/issuing"), ("--renew", "cas/root")])
    writer = Case(shop.folder, (*APPLY, *options), delayed(seed, 0.02))
    readers = [
        Case(shop.folder, command, {"CERTGEN_TEST_BEGIN": f"{chance.uniform(0, 0.4):.3f}"})
        for command in READERS
        for _ in range(6)
    ]
    ran, *others = crowd.run(writer, *readers)
    assert ran.code == 0, ran
    demand_calm(others, (seed, options))
    demand_sound(shop, crowd)


def is_a_pair(folder: Path) -> bool:
    """Whether a server that starts now would get a certificate with its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except (ssl.SSLError, OSError):
        return False
    return True


def test_whoever_loads_key_and_certificate_never_sees_what_does_not_match(shop: Shop, crowd: Crowd) -> None:
    folder, serials, seen = shop.tree / "servers/api", set(), Counter[bool]()
    is_over = threading.Event()

    def renew() -> None:
        try:
            for _ in range(200 if EXAMPLES else 20):
                (ran,) = crowd.run(Case(shop.folder, (*APPLY, "--renew", "servers/api")))
                assert ran.code == 0, ran
                serials.add(load(folder / "cert.pem").serial_number)
        finally:
            is_over.set()

    with ThreadPoolExecutor(1) as pool:
        renewals = pool.submit(renew)
        while not is_over.is_set():
            seen[is_a_pair(folder)] += 1
        renewals.result()
    assert len(serials) == (200 if EXAMPLES else 20)
    assert seen[True] > len(serials)
    assert seen[False] == 0
    shutil.copy2(shop.tree / "servers/web/key.pem", folder / "key.pem")
    assert not is_a_pair(folder)
