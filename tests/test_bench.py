"""The benchmark: it times what it says it times, in turn, and says so where it could not. Nothing here is a time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from foreign import Purpose, openssl
from programs import eventually, require
from samples import one_in
from scene import key_id, key_of_file, load

from bench import __main__ as program
from bench import figures
from bench.contenders import CERTYAML, CONTENDERS, OPENSSL, certgen, floor
from bench.environment import Environment, variables
from bench.figures import Figure, Scale, heats
from bench.measure import FailedError, Lane, Race, Spent, race, spend
from bench.operations import (
    Site,
    bare,
    bare_handshakes,
    cold,
    fresh_clone,
    no_op,
    one_change,
    openssl_verify,
    prove,
    verify,
)
from bench.specs import ED25519, KEYS, P256, RSA, Fleet, certgen_spec, certyaml_manifest
from bench.summary import Summary, summarise
from bench.survey import courses
from bench.table import Reached, figures_table, remarks, survey_rows
from certgen.pipeline import load_specs

PYTHON = Path(sys.executable)
FLEET = Fleet(3)
PURPOSES: dict[str, tuple[Purpose, Purpose]] = {
    "server-00000": ("server", "client"),
    "client-00000": ("client", "server"),
}
"""What an end entity is good for, and what it is not."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    environment = Environment(PYTHON, PYTHON.with_name("certgen"), variables(tmp_path))
    return Site(environment, tmp_path / "site", patience=0)


def lane(folder: Path, name: str, *command: str) -> Lane:
    return Lane(name, name, command, folder, variables(folder))


def spent(seconds: float, peak: int = 0) -> Spent:
    return Spent(seconds, seconds, peak)


# Numbers


def test_a_summary_is_that_of_the_numbers() -> None:
    assert summarise([4, 1, 3, 2, 5]) == Summary(5, 1, 2, 3, 4, 5)
    assert summarise([10, 40, 20, 30]) == Summary(4, 10, 17.5, 25, 32.5, 40)


def test_one_measurement_is_all_of_its_summary() -> None:
    assert summarise([7]) == Summary(1, 7, 7, 7, 7, 7)


def test_nothing_has_no_summary() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        summarise([])


def test_a_ratio_is_taken_in_each_round_and_not_of_the_medians() -> None:
    came = Race({"one": tuple(map(spent, (1, 2, 30))), "other": tuple(map(spent, (1, 4, 10)))}, {})
    ratios = came.per_round(lambda each: each["one"].seconds / each["other"].seconds)
    assert ratios == [1, 0.5, 3]
    assert summarise(ratios).median == 1


def test_a_ratio_with_a_lane_that_is_missing_is_none_at_all() -> None:
    came = Race({"one": (spent(1),)}, {"other": "exit 1"})
    assert came.per_round(lambda each: each["one"].seconds / each["other"].seconds) == []


# Rounds


def test_lanes_take_turns_and_the_first_round_does_not_count(tmp_path: Path) -> None:
    lanes = [lane(tmp_path, name, "sh", "-c", f"printf {name} >>order") for name in "abc"]
    came = race(lanes, 3)
    assert (tmp_path / "order").read_text() == "abc" + "bca" + "cab" + "abc"
    assert {name: len(each) for name, each in came.spent.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_slow_race_has_fewer_rounds_but_three(tmp_path: Path) -> None:
    came = race([lane(tmp_path, "a", "sleep", "0.02")], 100, budget=0.001)
    assert len(came.spent["a"]) == 3


def test_a_folder_is_prepared_once_and_brought_back_before_each_run(tmp_path: Path) -> None:
    done: list[str] = []
    one = replace(
        lane(tmp_path, "a", "true"),
        prepare=lambda: done.append("prepare"),
        before=lambda: done.append("before"),
        fault=lambda: done.append("fault"),
    )
    race([one], 2)
    assert done == ["prepare", *["before", "fault"] * 3]


def test_all_processes_count(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.1: pass"
    both = f"import os, sys\nchild = os.fork()\n{busy}\nchild and sys.exit(os.waitpid(child, 0)[1])"
    cost = spend(lane(tmp_path, "both", sys.executable, "-I", "-S", "-c", both))
    assert cost.cpu >= 0.2
    assert cost.seconds >= 0.1


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_memory_is_that_of_all_processes_with_what_they_share_counted_once(tmp_path: Path) -> None:
    text = """
import os, time
shared = os.urandom(40 << 20)
for _ in range(2):
    if not os.fork():
        own = os.urandom(20 << 20)
        time.sleep(0.2)
        os._exit(0)
os.wait(), os.wait()
"""
    one = replace(lane(tmp_path, "all", sys.executable, "-I", "-S", "-c", text), samples=True)
    assert 40 + 2 * 20 < spend(one).peak / (1 << 20) < 40 + 2 * 20 + 40


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has it")
def test_a_lane_has_no_more_cores_than_it_may(tmp_path: Path) -> None:
    one = lane(tmp_path, "a", sys.executable, "-c", "import os; assert len(os.sched_getaffinity(0)) == 1")
    spend(replace(one, cores=1))


# Failures


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        (("sh", "-c", "echo no room >&2; exit 3"), "exit 3: no room"),
        (("false",), "exit 1: it said nothing"),
        (("no-such-program",), "no-such-program: No such file or directory"),
    ],
)
def test_who_fails_is_told_and_not_timed(tmp_path: Path, failing: Sequence[str], told: str) -> None:
    lines: list[str] = []
    lanes = [lane(tmp_path, "certgen", "true"), lane(tmp_path, "other", *failing)]
    came = race(lanes, 2, lines.append)
    assert came.failures == {"other": told}
    assert set(came.spent) == {"certgen"}
    assert f"other: {told}" in lines
    table = survey_rows(3, lanes, came)
    assert f"| 3 | other | not timed: {told} |" in table
    assert "| 3 | certgen | " in table


def test_who_fails_late_is_not_timed_either(tmp_path: Path) -> None:
    late = lane(tmp_path, "late", "sh", "-c", "echo >>runs; test $(wc -l <runs) -lt 3")
    came = race([late, lane(tmp_path, "certgen", "true")], 4)
    assert set(came.failures) == {"late"}
    assert {name: len(each) for name, each in came.spent.items()} == {"certgen": 4}


def test_who_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    hanging = replace(lane(tmp_path, "a", "sh", "-c", "sleep 60 & echo $! >child; wait"), limit=0.3)
    with pytest.raises(FailedError, match=r"not done after 0\.3 seconds"):
        spend(hanging)
    child = int((tmp_path / "child").read_text())
    assert eventually(lambda: is_over(child))


def is_over(process: int) -> bool:
    try:
        # Where nobody waits for it, a process that has ended is still listed.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_who_does_nothing_is_not_fast(site: Site) -> None:
    idle = replace(floor(1), command=lambda _fleet, _environment: ("true",))
    assert race([cold(idle, FLEET, site)], 1).failures == {"floor, 1 process, cold at 3": "made 0 end entities of 3"}


# The same fleet for all


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [3, 10])
def test_the_fleets_of_certgen_and_certyaml_are_the_same(tmp_path: Path, key: str, size: int) -> None:
    fleet = Fleet(size, key, first_host="changed")
    (tmp_path / "fleet.yaml").write_text(certgen_spec(fleet))
    (loaded,) = load_specs([tmp_path / "fleet.yaml"])
    ours = {
        entry.address.name: [name.value for name in entry.template.subject_alt_names]
        for entry in loaded.bundle.entries
        if not entry.is_ca
    }
    root, *theirs = yaml.safe_load_all(certyaml_manifest(fleet))
    assert root["filename"] == "root"
    assert {one["filename"]: [san.removeprefix("DNS:") for san in one.get("sans", [])] for one in theirs} == ours
    assert len(ours) == size
    assert ours["server-00000"] == ["changed.shop.example"]
    assert ours["client-00000"] == []


@pytest.mark.parametrize(("key", "processes"), [(P256, 2), (ED25519, 1), (RSA, 2)])
def test_the_floor_makes_what_others_accept(site: Site, key: str, processes: int) -> None:
    require("openssl")
    made = cold(floor(processes), Fleet(2, key), site)
    made.prepare()
    made.before()
    spend(made)
    assert made.fault() is None
    for name, (purpose, other) in PURPOSES.items():
        entity = made.folder / "output" / name
        assert {path.name for path in entity.iterdir()} == {"cert.pem", "key.pem", "ca.pem"}
        assert openssl(entity / "cert.pem", entity / "ca.pem", purpose).accepted
        assert not openssl(entity / "cert.pem", entity / "ca.pem", other).accepted
        assert key_of_file(entity / "key.pem") == key_id(load(entity / "cert.pem"))
        assert (entity / "key.pem").stat().st_mode & 0o777 == 0o600


# All operations


@pytest.mark.parametrize(
    "lay_out",
    [
        lambda site: [cold(one, FLEET, site) for one in (certgen(), floor(1), OPENSSL)],
        lambda site: [no_op(certgen(), FLEET, site), bare(site)],
    ],
    ids=["cold", "no-op"],
)
def test_two_rounds_of_three_end_entities(site: Site, lay_out: Callable[[Site], list[Lane]]) -> None:
    require("openssl")
    lanes = lay_out(site)
    came = race(lanes, 2)
    assert came.failures == {}
    assert [len(each) for each in came.spent.values()] == [2] * len(lanes)
    assert survey_rows(3, lanes, came).count("\n") == len(lanes)


@pytest.mark.parametrize("lay_out", one_in(3, [prove, verify, openssl_verify]), ids=lambda lay_out: lay_out.__name__)
def test_a_tree_that_was_made_is_worked_upon(site: Site, lay_out: Callable[[Fleet, Site], Lane]) -> None:
    require("openssl")
    one = lay_out(FLEET, site)
    one.prepare()
    one.before()
    spend(one)
    assert one.fault() is None


def test_a_change_that_is_not_made_is_a_fault(site: Site) -> None:
    one = one_change(FLEET, site)
    one.prepare()
    one.before()
    assert one.fault() == "the certificate is as it was"
    spend(one)
    assert one.fault() is None


def test_a_fresh_clone_has_no_key_and_nothing_of_the_machine(site: Site) -> None:
    one = fresh_clone(FLEET, site)
    one.prepare()
    one.before()
    names = {path.name for path in one.folder.rglob("*")}
    assert {"manifest.json", "cert.pem"} <= names
    assert not {"key.pem", ".certgen"} & names
    spend(one)


def test_a_bare_handshake_refuses_whom_certgen_refuses(site: Site) -> None:
    one = bare_handshakes(FLEET, site)
    one.prepare()
    spend(one)
    tree = one.folder / "output" / "fleet"
    (tree / "servers" / "server-00001").rename(tree / "servers" / "other")
    with pytest.raises(FailedError, match="Hostname mismatch"):
        spend(one)


def test_the_survey_skips_what_nobody_would_wait_for() -> None:
    names = [(one.operation, one.fleet.size, one.fleet.key) for one in courses(["cold", "proof"], [1000, 10], KEYS)]
    assert names == [
        *[("cold", size, key) for key in (P256, ED25519) for size in (10, 1000)],
        ("cold", 10, RSA),
        *[("proof", 10, key) for key in KEYS],
    ]


# The figures to reach


def made_up(value: float, limit: float = 2) -> str:
    figure = Figure("name", "what", limit, (), lambda _spent: value)
    return figures_table([Reached(figure, summarise([value]))]).splitlines()[-1]


@pytest.mark.parametrize(("value", "verdict"), [(1.9, "yes"), (2, "yes"), (2.1, "**no**")])
def test_a_figure_is_reached_or_not(value: float, verdict: str) -> None:
    assert made_up(value).endswith(f"| {verdict} |")


def test_a_figure_that_was_not_measured_says_why() -> None:
    figure = Figure("name", "what", 2, (), lambda _spent: 0)
    assert "not measured: certyaml is not here" in figures_table([Reached(figure, None, "certyaml is not here")])


def figure_of(name: str, site: Site) -> Figure:
    (lay_out,) = heats([name], Scale())
    (figure,) = lay_out(site).figures
    return figure


@pytest.mark.parametrize(
    ("name", "made_up", "expected"),
    [
        ("no-op-small", [16, 10], 1.6),
        ("no-op-large", [15, 100], 0.15),
        ("no-op-entry", [0.02, 0.02 + 15e-6 * 9990], 15),
        ("cold-peer", [7, 10], 0.7),
        ("cold-floor", [10, 10], 1),
        ("cold-start", [1.5, 0.6, 0.5, 0.1], 1.5),
        ("cold-rsa", [6, 10], 0.6),
        ("one-change", [15, 100], 0.15),
        ("fresh-clone", [40, 100], 0.4),
    ],
)
def test_a_figure_compares_what_it_says(site: Site, name: str, made_up: list[float], expected: float) -> None:
    figure = figure_of(name, site)
    each = {one.name: spent(seconds) for one, seconds in zip(figure.lanes, made_up, strict=True)}
    assert figure.value(each) == pytest.approx(expected)
    assert figure.limit == pytest.approx(expected)


def test_memory_is_the_peak_and_its_growth(site: Site) -> None:
    whole, growth = figure_of("memory", site), figure_of("memory-growth", site)
    each = {
        one.name: spent(1, peak) for one, peak in zip(growth.lanes, (10_000_000, 40_000_000, 76_000_000), strict=True)
    }
    assert whole.value(each) == pytest.approx(76)
    assert growth.value(each) == pytest.approx(36 / 30)


def test_a_handshake_is_what_more_of_them_cost_more(site: Site) -> None:
    figure = figure_of("prove", site)
    for one, handshakes in zip(figure.lanes, (100, 1100, 50, 550), strict=True):
        one.folder.mkdir(parents=True)
        (one.folder / "handshakes").write_text(str(handshakes))
    each = {one.name: spent(seconds) for one, seconds in zip(figure.lanes, (1, 4, 0.5, 1.5), strict=True)}
    assert figure.value(each) == pytest.approx(0.003 / 0.002)
    assert {one.cores for one in figure.lanes} == {1}


def test_every_figure_is_laid_out_and_runs_beside_what_it_is_compared_with(site: Site) -> None:
    laid_out = [lay_out(site) for lay_out in heats(figures.NAMES, Scale())]
    assert [figure.name for heat in laid_out for figure in heat.figures] == list(figures.NAMES)
    assert set(figures.LARGE) < set(figures.NAMES)
    for heat in laid_out:
        assert {one.name for figure in heat.figures for one in figure.lanes} == {one.name for one in heat.lanes}
        assert all(one.cores for one in heat.lanes)


def test_where_certyaml_is_missing_the_other_figures_are_measured(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert CERTYAML.missing == "certyaml"
    site.folder.mkdir()
    hall = program.Hall(replace(site.environment, variables=variables(tmp_path)), 1, tmp_path / "raw")
    names = ["cold-peer", "cold-floor"]
    ground = program.Ground("tmpfs", site.folder, flushes=False)
    peer, least = program.reach(hall, ground, names, Scale(large=2))
    assert (peer.measured, peer.why) == (None, "certyaml, cold at 2: certyaml: No such file or directory")
    assert least.measured is not None
    assert least.measured.count == 1
    (noted,) = map(json.loads, (tmp_path / "raw").read_text().splitlines())
    assert set(noted["spent"]) == {"certgen, cold at 2", "floor, 1 process, cold at 2"}
    assert list(site.folder.iterdir()) == [], "the trees hold keys"


# The program


def test_the_program_prints_a_table_and_who_is_left_out(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "make_environment", lambda *_: site.environment)
    monkeypatch.setenv("PATH", "")
    assert program.main(["--rows", "start", "--rounds", "1", "--tmpfs", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert [row.split(" | ")[1] for row in said.out.splitlines() if row.startswith("| 0 ")] == [
        "certgen --version",
        "bare Python",
        "imports of the four libraries",
    ]
    assert "openssl script (without bash, openssl)" in said.out
    assert "certyaml is left out: certyaml is not here" in said.err
    assert "round 1 of 1" in said.err


def test_the_remarks_name_every_contender() -> None:
    assert all(one.name in remarks() for one in CONTENDERS)


@pytest.mark.parametrize("start", [["bench"], ["-m", "bench"]])
def test_the_program_starts_both_ways(start: list[str]) -> None:
    folder = Path(program.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, *start, "--rows", "nothing"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "invalid choice: 'nothing'" in done.stderr
