"""A sample of the sweep: runs killed at a call, and runs of which one call fails. `python tests/sweep` takes all.

Each id holds the seed of the sample; the same seed chooses the same points as long as certgen makes the same calls.
"""

import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from programs import require
from sweep import campaign
from sweep.campaign import faults_of_forking, rows_of
from sweep.damage import API, DAMAGE, LEFTOVERS, changed
from sweep.disk import File, Tree
from sweep.injection import Prepared, disturb, prepare
from sweep.judgement import Verdict, faults_of_failed, is_committed, judge
from sweep.points import KILL, Point
from sweep.running import Certgen, Finished
from sweep.scenarios import SCENARIOS, SEALED
from sweep.tracing import TRACED, Call, parse_trace
from sweep.wholeness import faults_at_once, faults_of_finished, lost_keys, touched

SEED = 20260301
KILLS = {
    "first": 2,
    "noop": 1,
    "renewal": 1,
    "added": 1,
    "removed": 1,
    "rekey-entity": 1,
    "rekey-root": 2,
    "recovery": 1,
    "sealed": 1,
    "sealing": 2,
    "rewrap": 1,
    "unsealing": 1,
    "published": 1,
    "publishing": 1,
    "unpublishing": 1,
}
FAILURES = {
    "first": 2,
    "noop": 1,
    "renewal": 1,
    "added": 2,
    "removed": 1,
    "rekey-entity": 1,
    "rekey-root": 1,
    "recovery": 1,
    "sealed": 1,
    "sealing": 1,
    "rewrap": 2,
    "unsealing": 1,
    "published": 2,
    "publishing": 1,
    "unpublishing": 1,
}
NAMES = {scenario.name: scenario for scenario in SCENARIOS}


class Bench:
    """What the points of one process share: a server, and the scenarios that were needed so far."""

    def __init__(self, folder: Path, sabotage: str = "") -> None:
        self._folder = folder
        self.certgen = Certgen(folder / "server", SEALED, sabotage)
        self._prepared: dict[str, Prepared] = {}

    def prepared(self, name: str) -> Prepared:
        """Give a scenario with its undisturbed run, which must be a good one."""
        if name not in self._prepared:
            self._prepared[name] = prepare(NAMES[name], self.certgen, self._folder / name)
            assert self._prepared[name].faults == ()
        return self._prepared[name]

    def judge(self, point: Point) -> Verdict:
        return judge(self.prepared(point.scenario), point, self.certgen, self._folder / "run")


def require_strace() -> None:
    if sys.platform != "linux":
        pytest.skip("strace is for Linux")
    require("strace")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    require_strace()
    made = Bench(tmp_path_factory.mktemp("sweep").resolve())
    yield made
    made.certgen.close()


def sample(points: tuple[Point, ...], number: int, of: int) -> Point:
    """Choose one of a sample of so many points, no point twice."""
    assert points
    chosen = random.Random(f"{SEED} {points[0].scenario}").sample(points, min(of, len(points)))  # noqa: S311 - no secret
    return chosen[number % len(chosen)]


def numbered(counts: Mapping[str, int]) -> list[object]:
    return [
        pytest.param(name, number, count, id=f"{name}-{number}-seed-{SEED}")
        for name, count in counts.items()
        for number in range(count)
    ]


def demand(verdict: Verdict) -> None:
    """Demand that nothing is wrong, and say how to see it again."""
    said = "\n".join((f"seed {SEED}; again: python tests/sweep {verdict.point}", *verdict.faults))
    assert not verdict.faults, said
    assert verdict.is_hit


@pytest.mark.parametrize(("name", "number", "count"), numbered(KILLS))
def test_a_killed_run_is_completed_by_the_next(bench: Bench, name: str, number: int, count: int) -> None:
    kills = bench.prepared(name).kills
    changing = tuple(point for point in kills if not point.call.is_reading)
    demand(bench.judge(sample(changing or kills, number, count)))


@pytest.mark.parametrize(("name", "number", "count"), numbered(FAILURES))
def test_a_call_that_fails_is_told_and_loses_nothing(bench: Bench, name: str, number: int, count: int) -> None:
    demand(bench.judge(sample(bench.prepared(name).failures, number, count)))


def test_the_program_does_to_the_tree_what_its_fork_does(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = bench.prepared("added")
    assert list(faults_of_forking(prepared, bench.certgen, tmp_path / "run", tmp_path / "program")) == []
    monkeypatch.setattr(campaign, "TRACED", tuple(name for name in TRACED if name != "flock"))
    fewer = replace(prepared, calls=prepared.calls[1:])
    stranger, other = faults_of_forking(fewer, bench.certgen, tmp_path / "run", tmp_path / "program")
    assert stranger.startswith("calls about the tree that the sweep does not know: ")
    assert other.startswith("call 0 of ")


# What follows shows that each demand can fail.


def test_a_point_that_is_never_hit_is_a_failure(bench: Bench) -> None:
    point = bench.prepared("added").kills[-1]
    elsewhere = replace(point, call=replace(point.call, paths=("output/shop/nowhere",)))
    verdict = bench.judge(elsewhere)
    assert not verdict.is_hit
    assert "missed 4 times" in verdict.faults[0]
    (row,) = rows_of([verdict])
    assert (row.points, row.hit, row.failed, row.misses) == (1, 0, 1, 4)


def test_a_kill_comes_before_the_call_is_carried_out(bench: Bench, tmp_path: Path) -> None:
    prepared = bench.prepared("first")
    (point,) = [point for point in prepared.kills if point.call.paths == ("output",) and point.call.name[:5] == "mkdir"]
    disturbed = disturb(prepared, point, bench.certgen, tmp_path / "run")
    assert disturbed.is_hit
    assert (disturbed.finished.code, disturbed.finished.calls[-1].result) == (-9, None)
    assert not (tmp_path / "run" / "output").exists()


SABOTAGE = """
import os

def written_in_place(source, target, **options):
    with open(source, "rb") as file:
        content = file.read()
    with open(target, "wb") as file:
        file.write(content)
    os.unlink(source)

def deaf(descriptor, sync=os.fsync):
    try:
        sync(descriptor)
    except OSError:
        pass

os.rename = os.replace = written_in_place
os.fsync = os.fdatasync = deaf
"""


def test_a_store_that_writes_in_place_and_is_deaf_to_a_failed_sync_is_caught(tmp_path: Path) -> None:
    require_strace()
    bench = Bench(tmp_path, SABOTAGE)
    final = ("output/shop/servers/api/cert.pem",)
    try:
        prepared = bench.prepared("renewal")
        (torn,) = [point for point in prepared.kills if point.call.name == "write" and point.call.paths == final]
        deaf = next(point for point in prepared.failures if point.call.name in {"fsync", "fdatasync"})
        assert any("is torn" in fault for fault in bench.judge(torn).faults)
        assert any("taken for safe" in fault for fault in bench.judge(deaf).faults)
    finally:
        bench.certgen.close()


@pytest.mark.parametrize("name", DAMAGE)
def test_what_may_never_be_is_seen(bench: Bench, name: str) -> None:
    good = bench.prepared("renewal").after
    damage, fault = DAMAGE[name]
    assert faults_at_once(good, good, good) == []
    assert any(fault in found for found in faults_at_once(damage(good), good, good))


@pytest.mark.parametrize("name", LEFTOVERS)
def test_what_may_not_be_in_a_finished_tree_is_seen(bench: Bench, name: str) -> None:
    prepared = bench.prepared("renewal")
    addresses, good = prepared.scenario.addresses, prepared.after
    damage, fault = LEFTOVERS[name]
    assert faults_of_finished(good, addresses, good) == []
    assert any(fault in found for found in faults_of_finished(damage(good), addresses, good))


def test_an_entry_too_many_is_seen(bench: Bench) -> None:
    prepared = bench.prepared("renewal")
    assert any("there are" in fault for fault in faults_of_finished(prepared.after, {API}, prepared.after))


def test_only_the_entry_that_gets_a_new_key_may_be_apart(bench: Bench) -> None:
    good = bench.prepared("renewal").after
    apart = changed(good, f"{API}/key.pem", good.files["servers/web/key.pem"].content)
    assert faults_at_once(apart, good, good, rekeyed=API) == []
    assert faults_at_once(apart, good, good, rekeyed="servers/web") != []


def test_a_key_that_is_lost_and_a_file_that_was_touched_are_seen(bench: Bench) -> None:
    good = bench.prepared("renewal").after
    lost = changed(good, "cas/root/key.pem")
    assert lost_keys(good.keys, lost) == ["the key of cas/root is gone"]
    assert lost_keys(good.keys, lost, {"cas/root"}) == []
    assert touched(good, lost, {API}) == ["cas/root/key.pem was written, and its entry was not at work"]
    assert touched(good, lost, {"cas/root"}) == []


def test_a_sealed_key_that_is_torn_or_lost_or_anothers_is_seen(bench: Bench) -> None:
    good = bench.prepared("sealed").after
    path, other = f"{API}/key.pem.age", "clients/checkout/key.pem.age"
    assert faults_at_once(good, good, good) == []
    torn = changed(good, path, good.files[path].content[:-80])
    assert f"{path} is torn: cannot be opened" in faults_at_once(torn, good, good)[0]
    apart = changed(good, path, good.files[other].content)
    assert faults_at_once(apart, good, good) == [f"key and certificate of {API} are apart"]
    assert lost_keys(good.keys, apart) == [f"the key of {API} is another"]
    in_clear = changed(good, f"{API}/key.pem", good.keys[API], 0o600)
    assert lost_keys(good.keys, in_clear) == []
    assert faults_of_finished(in_clear, good.addresses, good) == [f"{API}/key.pem is there and not in the manifest"]


FSYNC = Point("first", "EIO", Call("fsync", 1, ("output/shop/cas/root/key.pem",)))


@pytest.mark.parametrize(
    ("code", "err", "fault"),
    [
        (0, "", "what could not be synced is taken for safe"),
        (1, "error[x]: output/shop", "fsync failed, and"),
        (None, "error[x]: output/shop", "fsync failed, and"),
        (2, "error[write-failed]: cannot be written", "no path is named"),
        (2, "output/shop/cas/root/key.pem cannot be written", "no path is named"),
        (2, "error[x]: output/shop\nTraceback (most recent call last):", "a traceback"),
        (2, "error[write-failed]: output/shop/cas/root/key.pem cannot be written: Input/output error", ""),
    ],
)
def test_what_is_said_wrongly_of_a_failure_is_seen(code: int | None, err: str, fault: str) -> None:
    found = list(faults_of_failed(Finished(("apply",), code, "", err), FSYNC))
    assert [text.partition(":")[0].startswith(fault) for text in found] == [True] * bool(fault)


def test_a_promise_is_seen_in_the_trace() -> None:
    journal = Tree({".certgen/journal": File(b"x", 0o600)}, frozenset())
    synced = Finished((), -9, "", "", (Call("fsync", 1, ("output/shop/.certgen/journal",), result=0),))
    written = replace(synced.calls[0], name="write")
    assert is_committed(journal, synced)
    assert is_committed(journal, replace(synced, calls=()))
    assert is_committed(journal, replace(synced, calls=(written, *synced.calls)))
    assert not is_committed(journal, replace(synced, calls=(written,)))
    assert not is_committed(changed(journal, ".certgen/journal"), synced)


TRACE = """\
7 openat(AT_FDCWD</tmp/t>, "output/a", O_WRONLY|O_CREAT|O_EXCL, 0600) = 4</tmp/t/output/a>
7 write(4</tmp/t/output/a>, ""..., 3)      = 3
7 close(4</tmp/t/output/a>)      = 0
7 close(4</tmp/t/output/a (deleted)>)      = 0
7 renameat(5</tmp/t/output>, "a", AT_FDCWD</tmp/t>, "/etc/b") = -1 EIO (Input/output error) (INJECTED)
7 utimensat(4</tmp/t/output/a>, NULL, NULL, 0) = 0
7 fsync(4</tmp/t/output/a>) = ?
7 +++ killed by SIGKILL +++
"""


def test_a_trace_is_read() -> None:
    made, wrote, closed, again, renamed, dated, synced = parse_trace(TRACE, "/tmp/t")  # noqa: S108 - nothing is there
    assert made == Call("openat", 1, ("output/a",), "O_WRONLY|O_CREAT|O_EXCL", 4)
    assert (wrote.paths, closed.is_after_write, again.is_after_write) == (("output/a",), True, False)
    assert (again.ordinal, again.paths) == (2, ("output/a",))
    assert (renamed.paths, renamed.result, renamed.is_injected) == (("output/a", "/etc/b"), -1, True)
    assert dated.paths == ("output/a",)
    assert (synced.result, synced.is_injected) == (None, False)
    with pytest.raises(ValueError, match="started processes or threads"):
        parse_trace(TRACE + TRACE.replace("7 ", "8 ", 1), "/tmp/t")  # noqa: S108 - nothing is there


def test_points_carry_what_strace_is_told() -> None:
    assert FSYNC.injection == "fsync:error=EIO:when=1"
    assert replace(FSYNC, action=KILL).injection == "fsync:signal=SIGKILL:when=1"
    assert str(FSYNC) == "first/EIO/fsync/1"
