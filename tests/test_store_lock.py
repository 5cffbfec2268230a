"""The lock: it keeps others out, says who holds it, dies with its holder, and writes into nobody else's file."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scene import Scene, take_snapshot

from certgen.diagnostics import CertgenError, error
from certgen.pipeline import apply_specs, parse_wait
from certgen.store.lock import Patience, hold, wait_until_free

SPEC = "version: 1\nca: {}\nservers:\n  api: {sans: localhost}\n"
AT_ONCE = Patience(0)

_HOLDER = """
import sys
from pathlib import Path
from certgen.store.lock import hold
path = Path(sys.argv[1])
with hold(path, path):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds(lock: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def refused(lock: Path, seconds: float = 0.0) -> str:
    with pytest.raises(CertgenError) as caught, hold(lock, Path("output/shop"), Patience(seconds)):
        pass
    (problem,) = caught.value.diagnostics
    return f"{problem.code}: {problem.message}"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def shop(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.run()
    return scene


def test_a_lock_that_is_held_names_its_holder(lock: Path) -> None:
    with another_process_holds(lock) as holder:
        expected = f"locked: process {holder.pid} on {os.uname().nodename} is writing output/shop"
        assert refused(lock) == expected
        assert refused(lock, 0.2) == f"{expected}; it still is after 0.2 s"


def test_a_lock_is_free_again_when_its_holder_lets_go(lock: Path) -> None:
    for _ in range(2):
        with hold(lock, lock, AT_ONCE):
            assert refused(lock).startswith("locked: process")


def test_a_lock_dies_with_its_holder(lock: Path) -> None:
    with another_process_holds(lock) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with hold(lock, lock, AT_ONCE):
            assert lock.read_text().split()[0] == str(os.getpid())


def test_one_waits_for_a_holder_that_lets_go_in_time(lock: Path) -> None:
    with another_process_holds(lock) as holder:
        assert holder.stdin is not None
        threading.Timer(0.3, holder.stdin.close).start()
        began = time.monotonic()
        told: list[str] = []
        with hold(lock, Path("output/shop"), Patience(30, told.append)):
            assert time.monotonic() - began > 0.2
        assert told == [f"waiting: process {holder.pid} on {os.uname().nodename} is writing output/shop"]


def test_where_nobody_is_waited_for_nothing_is_told(lock: Path) -> None:
    told: list[str] = []
    with hold(lock, lock, Patience(30, told.append)):
        assert told == []


def test_a_lock_whose_file_was_replaced_meanwhile_is_not_taken_for_it(lock: Path) -> None:
    with another_process_holds(lock) as holder:
        assert holder.stdin is not None
        lock.rename(lock.with_name("old"))
        with another_process_holds(lock):
            holder.stdin.close()
            assert refused(lock, 0.1).startswith("locked: process")


def test_a_lock_whose_file_was_removed_meanwhile_is_made_anew(lock: Path) -> None:
    with another_process_holds(lock) as holder:
        assert holder.stdin is not None
        waiting = threading.Event()

        def remove() -> None:
            waiting.wait()
            lock.unlink()
            holder.kill()

        threading.Thread(target=remove).start()
        with hold(lock, lock, Patience(30, lambda _: waiting.set())):
            assert lock.exists()
            assert refused(lock).startswith(f"locked: process {os.getpid()}")


def test_threads_of_one_process_keep_each_other_out_too(lock: Path) -> None:
    answers: list[str] = []
    with hold(lock, lock, AT_ONCE):
        thread = threading.Thread(target=lambda: answers.append(refused(lock)))
        thread.start()
        thread.join()
    assert answers[0].startswith(f"locked: process {os.getpid()}")


@pytest.mark.parametrize("note", ["", "\x1b[31m rm -rf", "12 ho st", "12", "x" * 1000])
def test_a_note_that_is_none_is_not_repeated(lock: Path, note: str) -> None:
    with another_process_holds(lock):
        lock.write_text(note)
        assert refused(lock) == "locked: another run is writing output/shop"


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "pipe", "hard link"])
def test_what_is_not_a_file_of_its_own_is_told_and_not_written_into(lock: Path, tmp_path: Path, kind: str) -> None:
    away = tmp_path / "away"
    if kind in {"link", "hard link"}:
        away.write_text("mine")
    match kind:
        case "folder":
            lock.mkdir()
        case "pipe":
            os.mkfifo(lock)
        case "hard link":
            lock.hardlink_to(away)
        case _:
            lock.symlink_to(away)
    assert refused(lock).startswith("write-failed")
    assert not away.exists() or away.read_text() == "mine"


def test_the_file_is_closed_to_others_whatever_the_umask(lock: Path) -> None:
    before = os.umask(0)
    try:
        with hold(lock, lock, AT_ONCE):
            assert lock.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


# Looking without holding


def test_waiting_for_nobody_writes_nothing_and_says_so(lock: Path) -> None:
    assert not wait_until_free(lock, lock, AT_ONCE)
    assert not lock.exists()
    lock.write_text("1 host")
    before = take_snapshot(lock.parent)
    assert not wait_until_free(lock, lock, AT_ONCE)
    assert take_snapshot(lock.parent) == before


def test_waiting_for_somebody_ends_when_he_does_or_is_refused(lock: Path) -> None:
    with another_process_holds(lock) as holder:
        with pytest.raises(CertgenError, match=f"process {holder.pid}"):
            wait_until_free(lock, lock, Patience(0.1))
        assert holder.stdin is not None
        threading.Timer(0.2, holder.stdin.close).start()
        assert wait_until_free(lock, lock, Patience(30))


def test_a_pipe_is_not_waited_for(lock: Path) -> None:
    os.mkfifo(lock)
    assert not wait_until_free(lock, lock, AT_ONCE)


# Whole runs


def test_a_run_is_refused_while_another_process_holds_the_tree(shop: Scene) -> None:
    shop.edit(("localhost", "[localhost, shop.example]"))
    loaded = shop.load()
    with another_process_holds(shop.tree / ".certgen/lock") as holder:
        before = take_snapshot(shop.output)
        with pytest.raises(CertgenError, match=f"process {holder.pid}"):
            apply_specs(loaded, shop.output, shop.now, patience=Patience(0.1))
        assert take_snapshot(shop.output) == before
    shop.apply()


def test_a_run_with_nothing_to_do_asks_for_no_lock(shop: Scene) -> None:
    with another_process_holds(shop.tree / ".certgen/lock"):
        before = take_snapshot(shop.output)
        shop.run()
        assert take_snapshot(shop.output) == before


def test_what_another_run_puts_in_the_way_is_looked_at_again_when_it_has_ended(shop: Scene) -> None:
    """In between a key may not fit its certificate; that is no reason to give up."""
    key = shop.tree / "servers/api/key.pem"
    sound = key.read_bytes()
    key.write_bytes((shop.tree / "cas/ca/key.pem").read_bytes())
    loaded = shop.load()
    with pytest.raises(CertgenError, match="does not fit"):
        apply_specs(loaded, shop.output, shop.now)
    with another_process_holds(shop.tree / ".certgen/lock") as holder:
        assert holder.stdin is not None

        def end() -> None:
            key.write_bytes(sound)
            holder.kill()

        threading.Timer(0.3, end).start()
        (outcome,) = apply_specs(loaded, shop.output, shop.now, patience=Patience(30))
    assert outcome.plan.obstacles == ()


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("0", 0), ("10s", 10), ("5m", 300), ("1h", 3600)])
def test_a_wait_is_a_duration(text: str, seconds: float) -> None:
    assert parse_wait(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "-1s", "10", "1.5s", "+5s", "2026-01-01"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(CertgenError, match="not a duration"):
        parse_wait(text)


# To the letter


def test_a_refusal_says_for_whom_how_long_and_what_to_do(lock: Path) -> None:
    with (
        another_process_holds(lock) as holder,
        pytest.raises(CertgenError) as caught,
        hold(lock, Path("output/shop"), Patience(0.06)),
    ):
        pass
    message = f"process {holder.pid} on {os.uname().nodename} is writing output/shop; it still is after 0.06 s"
    help_ = "wait for it to end, or give it longer with `--lock-timeout 5m`"
    assert caught.value.diagnostics == (error("locked", message, help=help_, where="output/shop"),)


def test_who_looks_without_holding_tells_for_whom_he_waits_and_once(lock: Path) -> None:
    told: list[str] = []
    with another_process_holds(lock) as holder:
        with pytest.raises(CertgenError, match=r"is writing output/shop; it still is after 0\.3 s"):
            wait_until_free(lock, Path("output/shop"), Patience(0.3, told.append))
        assert told == [f"waiting: process {holder.pid} on {os.uname().nodename} is writing output/shop"]
