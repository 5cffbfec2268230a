"""A fleet looked at by several processes: what they find is what one finds, whatever was done to the tree."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fleets import SPEC, Fleet, rewrite
from hypothesis import given
from hypothesis import strategies as st
from stamped import settle
from strategies import SpecTree, specs
from test_laws import law
from test_outline import text_of

from certgen import surveying
from certgen.model import Address
from certgen.pipeline import PlannedSpec, load_spec, plan_spec
from certgen.plan.values import Requests
from certgen.stamp import parse_stamp
from certgen.store.stamps import unpacked
from certgen.store.tree import Tree

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return make(tmp_path, monkeypatch, SPEC)


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> Fleet:
    """Compile a spec, of which every two end entities are a share that is worth a process."""
    monkeypatch.setattr(surveying, "SHARE", 2)
    monkeypatch.setattr(surveying, "SECONDS_OF_A_LOOK", 1.0)
    fleet = Fleet(folder)
    fleet.spec.write_text(spec)
    assert fleet.type("apply", "--jobs", "1").code == 0
    return fleet


def planned(fleet: Fleet, jobs: int, days: float = 0, requests: Requests = Requests()) -> PlannedSpec:  # noqa: B008 - frozen
    now = NOW + timedelta(days=days)
    return plan_spec(load_spec(fleet.spec), fleet.folder / "output", now, requests, jobs=jobs)


def vouched(fleet: Fleet, days: float = 0) -> int:
    return len(planned(fleet, 2, days).loaded.vouched.addresses)


def assert_alike(fleet: Fleet, days: float = 0, requests: Requests = Requests()) -> None:  # noqa: B008 - frozen
    one, two = planned(fleet, 1, days, requests).plan, planned(fleet, 2, days, requests).plan
    assert two == one


def test_a_fleet_in_sync_is_vouched_for_whole(fleet: Fleet) -> None:
    assert vouched(fleet) == 9
    assert planned(fleet, 1).loaded.vouched.addresses == ()
    assert_alike(fleet)


def test_it_is_others_who_look(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    look = surveying._Surveyor.look

    def note(surveyor: surveying._Surveyor, share: list[Address]) -> surveying.Survey:
        (fleet.folder / f"{os.getpid()}-{share[0].name}").touch()
        seen.append(os.getpid())
        return look(surveyor, share)

    monkeypatch.setattr(surveying._Surveyor, "look", note)
    assert vouched(fleet) == 9
    assert not seen
    assert len(list(fleet.folder.glob("*-*"))) == 5


def swap(fleet: Fleet, one: str, other: str) -> None:
    content = (fleet.tree / one).read_bytes()
    (fleet.tree / one).write_bytes((fleet.tree / other).read_bytes())
    (fleet.tree / other).write_bytes(content)


def in_manifest(fleet: Fleet, before: str, after: str) -> None:
    text = (fleet.tree / "manifest.json").read_text()
    assert before in text
    (fleet.tree / "manifest.json").write_text(text.replace(before, after, 1))


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def as_cloned(fleet: Fleet) -> None:
    for key in fleet.tree.rglob("key.pem"):
        key.unlink()
    shutil.rmtree(fleet.tree / ".certgen")


def as_other_json(fleet: Fleet) -> None:
    in_manifest(fleet, ',\n  "', ', "')


JOB = '"clients/job": {"key": "'
DAMAGES: dict[str, tuple[Callable[[Fleet], object], int]] = {
    "nothing": (Fleet.contents, 9),
    "no certificate": (lambda fleet: (fleet.tree / "clients/job/cert.pem").unlink(), 8),
    "half a certificate": (lambda fleet: os.truncate(fleet.tree / "clients/job/cert.pem", 300), 8),
    "two certificates in each other's place": (
        lambda fleet: swap(fleet, "clients/job/cert.pem", "clients/app/cert.pem"), 7),
    "two keys in each other's place": (lambda fleet: swap(fleet, "clients/job/key.pem", "servers/web/key.pem"), 5),
    "a key that is gone": (lambda fleet: (fleet.tree / "clients/job/key.pem").unlink(), 8),
    "a key that others may read": (lambda fleet: (fleet.tree / "clients/job/key.pem").chmod(0o644), 7),
    "a folder that is gone": (lambda fleet: shutil.rmtree(fleet.tree / "peers/one"), 8),
    "a trust file with a comment": (lambda fleet: add(fleet.tree / "peers/one/ca.pem", "#\n"), 8),
    "trust in fewer": (lambda fleet: shutil.copy(fleet.tree / "cas/root/cert.pem", fleet.tree / "peers/one/ca.pem"), 7),
    "an entry that is gone from the spec": (lambda fleet: fleet.edit("  job: {issuer: issuing}\n", ""), 8),
    "an entry that is new": (lambda fleet: fleet.edit("peers:", "  new: {issuer: other}\npeers:"), 9),
    "a name that is new": (lambda fleet: fleet.edit("two.example", "twos.example"), 8),
    "a default that is another": (lambda fleet: fleet.edit("{validity: 90d}", "{validity: 80d}"), 1),
    "a CA that is another": (lambda fleet: fleet.edit("other: {}", "other: {validity: 9y}"), 0),
    "a CA without its certificate": (lambda fleet: (fleet.tree / "cas/other/cert.pem").unlink(), 0),
    "a CA without its key": (lambda fleet: (fleet.tree / "cas/other/key.pem").unlink(), 0),
    "a line of the manifest that says another key": (lambda fleet: in_manifest(fleet, JOB, f"{JOB}0"), 8),
    "a line of the manifest that says more": (lambda fleet: in_manifest(fleet, JOB, JOB.replace("{", '{"x": 1, ')), 8),
    "a manifest that is laid out otherwise": (as_other_json, 9),
    "a manifest of another name": (lambda fleet: in_manifest(fleet, '"name": "fleet"', '"name": "navy"'), 9),
    "a manifest that is damaged": (lambda fleet: in_manifest(fleet, "}}\n", ""), 0),
    "no manifest": (lambda fleet: (fleet.tree / "manifest.json").unlink(), 0),
    "no ignore file": (lambda fleet: (fleet.tree / ".gitignore").unlink(), 9),
    "a run that was interrupted": (lambda fleet: (fleet.tree / ".certgen/new").mkdir(), 0),
    "no notes of this machine": (lambda fleet: shutil.rmtree(fleet.tree / ".certgen"), 0),
    "a clone": (as_cloned, 9),
    "no tree": (lambda fleet: shutil.rmtree(fleet.tree), 0),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_whatever_was_done_two_say_what_one_says(fleet: Fleet, what: str) -> None:
    damage, _ = DAMAGES[what]
    damage(fleet)
    assert_alike(fleet)
    assert_alike(fleet, requests=Requests(prune=True))


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_not_touched_by_it_is_vouched_for(fleet: Fleet, what: str) -> None:
    damage, left = DAMAGES[what]
    damage(fleet)
    assert vouched(fleet) == left


@pytest.mark.parametrize("days", [0, 40, 65, 89, 91, 1500, 3700])
def test_at_any_time_two_say_what_one_says(fleet: Fleet, days: int) -> None:
    assert_alike(fleet, days)
    assert_alike(fleet, days, Requests(no_renew=True))


@pytest.mark.parametrize("address", ["clients/job", "cas/other", "cas/root"])
@pytest.mark.parametrize("kind", ["renew", "rekey"])
def test_whatever_is_asked_for_two_do_what_one_does(fleet: Fleet, address: str, kind: str) -> None:
    assert_alike(fleet, requests=Requests(**{kind: frozenset({Address.parse(address)})}))  # type: ignore[arg-type]  # one of the two


def test_what_two_have_decided_is_done_and_the_rest_untouched(fleet: Fleet) -> None:
    (fleet.tree / "clients/job/cert.pem").unlink()
    fleet.edit("two.example", "twos.example")
    before = fleet.contents()
    ran = fleet.type("apply", "--jobs", "2")
    assert "10 in sync" in ran.out
    after = fleet.contents()
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {"clients/job/cert.pem", "peers/two/cert.pem", "manifest.json"}
    assert fleet.type("plan").code == fleet.type("verify").code == 0
    keys = (fleet.tree / ".certgen/keys").read_text().split()
    assert len(keys) == 12


def test_a_stamp_tells_what_all_have_looked_at(fleet: Fleet) -> None:
    settle()
    one, alone = fleet.type("apply", "--jobs", "1"), stamp_of(fleet)
    fleet.stamp.unlink()
    two, beside = fleet.type("apply", "--jobs", "2"), stamp_of(fleet)
    assert two == one
    assert beside == alone
    assert fleet.type("apply") == one


def stamp_of(fleet: Fleet) -> dict[str, object]:
    """Give what a stamp tells, in an order of its own."""
    stamp = parse_stamp(fleet.stamp.read_bytes())
    assert stamp is not None
    paths = [*stamp.package, *stamp.folders, *stamp.files]
    facts = dict(zip(paths, unpacked(stamp.facts), strict=True))
    others = {name: getattr(stamp, name) for name in ("due", "inputs", "options", "said", "spec", "trees", "outline")}
    return {**others, "facts": facts, "files": set(stamp.files), "folders": set(stamp.folders)}


def test_a_worker_that_dies_takes_nothing_along(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    me, look = os.getpid(), surveying._Surveyor.look

    def die_elsewhere(surveyor: surveying._Surveyor, share: list[Address]) -> surveying.Survey:
        if os.getpid() != me:
            os._exit(9)
        return look(surveyor, share)

    monkeypatch.setattr(surveying._Surveyor, "look", die_elsewhere)
    assert vouched(fleet) == 9


def test_where_another_run_wrote_meanwhile_all_is_looked_at_by_one(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = surveying.survey

    def disturbed(*arguments: Any) -> surveying.Survey | None:  # noqa: ANN401 - those of a survey
        found = survey(*arguments)
        rewrite(fleet.tree / "manifest.json")
        return found

    monkeypatch.setattr("certgen.pipeline.survey", disturbed)
    assert vouched(fleet) == 0
    assert planned(fleet, 2).plan.is_in_sync


def test_a_small_fleet_is_looked_at_by_one(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "SECONDS_OF_A_LOOK", 0.0003)
    assert vouched(fleet) == 0


def test_private_keys_stay_where_they_are_looked_at(fleet: Fleet) -> None:
    """What a process hands back is which entries are in sync, and what the file system says of their files."""
    surveyor = surveying._surveyor(load_spec(fleet.spec).bundle, Tree(fleet.tree), (), NOW, Requests())
    assert surveyor is not None
    found = surveyor.look([Address.parse("clients/job"), Address.parse("servers/web")])
    assert len(found.vouched.addresses) == 2
    assert "PRIVATE" not in repr(found)
    assert {type(value) for looks in found.looks for facts in looks.files.values() for value in facts} == {int}


@law
@given(specs(), specs(), st.integers(0, 700))
def test_of_any_spec_and_any_tree_two_say_what_one_says(spec: SpecTree, other: SpecTree, days: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        fleet = make(Path(folder), patch, text_of(spec))
        assert_alike(fleet, days)
        fleet.spec.write_text(text_of(other))
        assert_alike(fleet, days)
