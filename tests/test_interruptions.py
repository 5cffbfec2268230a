"""Interruptions: SIGINT and SIGTERM end a run at the next safe point, with one line; the next run completes the tree.

`CERTGEN_EXAMPLES=40 pytest tests/test_interruptions.py` interrupts more often, and runs that take longer.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import eventually
from runs import Case, Crowd, Ran, Shop, demand_sound, ended, sign_of_life, until

SEED = 20261123
EXAMPLES = int(os.environ.get("CERTGEN_EXAMPLES", "0"))
MANY = "version: 1\nca: {}\nclients:\n" + "".join(f"  c{number}:\n" for number in range(3000 if EXAMPLES else 300))
RSA = "version: 1\ndefaults: {key: rsa-2048}\nca: {key: ecdsa-p256}\nclients:\n" + "".join(
    f"  c{number}:\n" for number in range(12)
)
SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with Crowd() as started:
        yield started


@dataclass(frozen=True)
class Process:
    """A process that runs; one that has ended and that nobody asks about does not."""

    parent: int
    group: int


def processes() -> Iterator[Process]:
    """All that run on this machine."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent, group = file.read_text().rpartition(")")[2].split()[:3]
            if state != "Z":
                yield Process(int(parent), int(group))


def has_workers(process: int) -> bool:
    """Whether a process has started two others."""
    return sum(other.parent == process for other in processes()) >= 2


def is_group_alive(group: int) -> bool:
    return any(other.group == group for other in processes())


with_proc = pytest.mark.skipif(sys.platform != "linux", reason="who has started whom is read from /proc")


def demand_end(ran: Ran, number: signal.Signals, what: object, *, is_done: bool = False) -> None:
    """Demand the exit code of a signal and one line; or that the run had ended before.

    is_done: whether all was done, so that the signal may have met an interpreter that was taking itself down.
    """
    code, words = SIGNALS[number]
    lines = [line for line in ran.err.splitlines() if "interrupted run" not in line]
    expected = [(0, []), (code, [words]), *([(-number, [])] if is_done else [])]
    assert (ran.code, lines) in expected, (what, ran)


def interrupt(shop: Shop, crowd: Crowd, number: signal.Signals, seed: str, longest: float) -> int:
    """Interrupt a run at a moment that the seed decides; tell how it ended. The tree is never in a reader's way."""
    moment = random.Random(seed).uniform(0, longest)  # noqa: S311 - repeatable is what it has to be
    sign = shop.folder / "sign"
    sign.unlink(missing_ok=True)
    with shop.started("apply", "shop.yaml", "-q", env=sign_of_life(sign)) as process:
        until(sign.exists)
        time.sleep(moment)
        process.send_signal(number)
        ran = ended(process)
    (planned,) = crowd.run(Case(shop.folder, ("plan", "shop.yaml", "-q")))
    demand_end(ran, number, (seed, moment), is_done=planned.code == 0)
    assert planned.code in {0, 1}, (seed, moment, planned)
    return ran.code


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_is_interrupted_says_so_and_the_next_completes_it(
    crowd: Crowd, tmp_path: Path, number: signal.Signals
) -> None:
    shop = Shop(tmp_path / "shop", MANY)
    codes = []
    for attempt in range(EXAMPLES or 2):
        if attempt % 4 == 3:
            shutil.rmtree(shop.folder / "output", ignore_errors=True)
        codes.append(interrupt(shop, crowd, number, f"{SEED} {number.name} {attempt}", 6 if EXAMPLES else 1.2))
    # On a machine that is fast enough all of them came too late; so soon none does.
    shutil.rmtree(shop.folder / "output", ignore_errors=True)
    codes.append(interrupt(shop, crowd, number, f"{SEED} {number.name} soon", 0.2))
    assert SIGNALS[number][0] in codes
    assert crowd.run(Case(shop.folder, ("apply", "shop.yaml", "-q")))[0].code == 0
    demand_sound(shop, crowd)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_is_interrupted_in_one_line_from_its_first_moment(
    crowd: Crowd, tmp_path: Path, number: signal.Signals
) -> None:
    shop = Shop(tmp_path / "shop", "version: 1\nca: {}\n")
    for attempt in range(EXAMPLES or 2):
        interrupt(shop, crowd, number, f"{SEED} {number.name} first {attempt}", 0.2)


TERMINAL, SUPERVISOR = (signal.SIGINT, True), (signal.SIGTERM, False)
"""A terminal interrupts all processes of a run, a supervisor terminates the one that it started."""


@with_proc
@pytest.mark.parametrize(
    ("number", "is_for_all"),
    [TERMINAL, SUPERVISOR, *([(signal.SIGINT, False), (signal.SIGTERM, True)] if EXAMPLES else [])],
)
def test_a_run_whose_keys_are_made_by_others_ends_with_them(
    crowd: Crowd, tmp_path: Path, number: signal.Signals, is_for_all: bool
) -> None:
    shop = Shop(tmp_path / "shop", RSA)
    with shop.started("apply", "shop.yaml", "-q", "--jobs", "2") as process:
        until(lambda: has_workers(process.pid))
        os.killpg(process.pid, number) if is_for_all else process.send_signal(number)
        ran = ended(process)
        assert eventually(lambda: not is_group_alive(process.pid))
    demand_end(ran, number, is_for_all)
    assert ran.code
    assert crowd.run(Case(shop.folder, ("plan", "shop.yaml")))[0].code == 1


@with_proc
def test_processes_that_make_keys_do_not_hold_the_lock_of_a_run_that_was_killed(tmp_path: Path, crowd: Crowd) -> None:
    shop = Shop(tmp_path / "shop", RSA)
    with shop.started("apply", "shop.yaml", "--jobs", "2") as holder:
        until(lambda: has_workers(holder.pid))
        holder.kill()
        holder.wait()
        (ran,) = crowd.run(Case(shop.folder, ("apply", "shop.yaml", "--jobs", "1", "--lock-timeout", "0s")))
        assert ran.code == 0, ran
        assert eventually(lambda: not is_group_alive(holder.pid))
    demand_sound(shop, crowd)
