"""Few of many entries changed: what is read apart, what is read whole, and that both say the same."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import pytest
from fleets import SPEC, Fleet, make_fleet, rewrite
from hypothesis import given
from hypothesis import strategies as st
from stamped import settle
from strategies import SpecTree, specs
from test_laws import law
from test_outline import text_of

from certgen import narrowing
from certgen.pipeline import load_spec, plan_spec

SUPPORTS = {"servers/old", "servers/far", "clients/app", "clients/out", "peers/one"}


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return make_fleet(tmp_path, monkeypatch)


def read_apart(fleet: Fleet, options: str = "prune=0 no-renew=0", later: int = 0) -> set[str] | None:
    """Give the end entities that a run reads; None where it reads all."""
    found = narrowing.narrow([fleet.spec], fleet.folder / "output", options, int(time.time()) + later)
    return None if found is None else {str(entry.address) for entry in found[0].bundle.end_entities}


def plan_of(fleet: Fleet) -> tuple[int, str, str]:
    """Give a plan in all its words but the time, with its exit code."""
    ran = fleet.type("plan", "--json", "--all")
    return ran.code, re.sub(r'"(?:at|now|not_before|not_after)": "[^"]*"', "", ran.out), ran.err


APART: dict[str, tuple[str, str, set[str]]] = {
    "a name": ("[api.example]", "[api.example, apis.example]", {"servers/api"}),
    "a name of two": ("sans: web.example", "sans: web2.example", {"servers/web"}),
    "a key": ("job: {issuer: issuing}", "job: {issuer: issuing, key: ecdsa-p384}", {"clients/job"}),
    "a shorter validity": ("job: {issuer: issuing}", "job: {issuer: issuing, validity: 30d}", {"clients/job"}),
    "a name of one who supports others": ("old.example", "older.example", {"servers/old"}),
    "trust": ("job: {issuer: issuing}", "job: {issuer: issuing, trust: [other]}", {"clients/job"}),
    "a comment": ("  web:", "  # the site\n  web:", {"servers/api"}),
    "an entry that is added": ("peers:", "  new: {issuer: other}\npeers:", {"clients/new", "clients/out"}),
    "nothing": ("version: 1", "version: 1", set()),
}


@pytest.mark.parametrize("what", APART)
def test_what_bears_on_nobody_else_is_read_apart(fleet: Fleet, what: str) -> None:
    before, after, changed = APART[what]
    fleet.edit(before, after)
    assert read_apart(fleet) == SUPPORTS | changed


def twice(fleet: Fleet) -> None:
    fleet.edit("  job: {issuer: issuing}\n", "  job: {issuer: issuing}\n  job: {issuer: issuing}\n")


WHOLE: dict[str, Callable[[Fleet], object]] = {
    "a CA": lambda fleet: fleet.edit("other: {}", "other: {common_name: Other}"),
    "a default": lambda fleet: fleet.edit("{validity: 90d}", "{validity: 80d}"),
    "the name of the tree": lambda fleet: fleet.edit("version: 1", "version: 1\nname: navy"),
    "an entry that is gone": lambda fleet: fleet.edit("  job: {issuer: issuing}\n", ""),
    "an entry with another name": lambda fleet: fleet.edit("  job:", "  jobs:"),
    "the issuer of the last": lambda fleet: fleet.edit("far: {issuer: other", "far: {issuer: issuing"),
    "the first of an issuer": lambda fleet: fleet.edit("two: {issuer: issuing", "two: {issuer: other"),
    "a longer validity": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: {issuer: issuing, validity: 200d}"),
    "the longest validity": lambda fleet: fleet.edit("validity: 100d", "validity: 50d"),
    "a snippet": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: {issuer: issuing, snippets: [go]}"),
    "a file": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: {issuer: issuing, public_key: a.pem}"),
    "an anchor": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: &job {issuer: issuing}"),
    "an alias": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: *app"),
    "a mistake": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: {isuer: issuing}"),
    "a bracket that stays open": lambda fleet: fleet.edit("[api.example]", "[api.example"),
    "a name that stands twice": twice,
    "three of nine": lambda fleet: fleet.spec.write_text(SPEC.replace("o.example", "oh.example").replace("b.e", "be.e")
        .replace("api.example", "apis.example").replace("two.example", "twos.example")),
    "a tab": lambda fleet: fleet.edit("job: {issuer: issuing}", "job: {issuer:\tissuing}"),
    "another tree": lambda fleet: copytree(fleet.tree, fleet.tree.with_name("x")),
    "a file of an entry": lambda fleet: (fleet.tree / "clients/job/cert.pem").write_text("-"),
    "a folder of an entry": lambda fleet: (fleet.tree / "clients/job").rename(fleet.tree / "clients/jobs"),
    "the mode of a key": lambda fleet: (fleet.tree / "clients/job/key.pem").chmod(0o640),
    "a run that was interrupted": lambda fleet: (fleet.tree / ".certgen/new").mkdir(),
    "the stamp": lambda fleet: fleet.stamp.unlink(),
    "the spec": lambda fleet: fleet.spec.unlink(),
    "the spec's encoding": lambda fleet: fleet.spec.write_bytes(b"\xff\xfe"),
}  # fmt: skip


@pytest.mark.parametrize("what", WHOLE)
def test_what_may_bear_on_others_has_all_read(fleet: Fleet, what: str) -> None:
    assert read_apart(fleet) == SUPPORTS
    WHOLE[what](fleet)
    assert read_apart(fleet) is None


def test_a_stamp_of_other_options_or_times_has_all_read(fleet: Fleet) -> None:
    assert read_apart(fleet, "prune=1 no-renew=0") is None
    assert read_apart(fleet, later=-3600) is None
    assert read_apart(fleet, later=40 * 86400) == SUPPORTS
    assert read_apart(fleet, later=80 * 86400) is None


def test_a_spec_with_warnings_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be said of the wrong lines, or of too few entries."""
    fleet = make_fleet(tmp_path, monkeypatch, SPEC.replace("two.example", "two.example, key: ed25519"))
    assert read_apart(fleet) is None


@pytest.mark.parametrize("what", APART)
def test_a_run_says_and_does_what_it_would_without_a_stamp(fleet: Fleet, what: str) -> None:
    fleet.edit(*APART[what][:2])
    short = fleet.type("plan", "--all"), plan_of(fleet)
    fleet.stamp.unlink()
    assert (fleet.type("plan", "--all"), plan_of(fleet)) == short


def test_a_run_writes_what_changed_and_the_manifest(fleet: Fleet) -> None:
    before = fleet.contents()
    fleet.edit("sans: web.example", "sans: web2.example")
    settle()
    ran = fleet.type("apply")
    assert "1 updated, 11 in sync" in ran.out
    after = fleet.contents()
    assert {path for path in after if after[path] != before.get(path)} == {"servers/web/cert.pem", "manifest.json"}
    assert fleet.type("verify").code == 0
    fleet.stamp.unlink()
    assert fleet.type("plan").code == 0


def test_one_edit_after_the_other_is_read_apart(fleet: Fleet) -> None:
    """A run that wrote little has looked at it again, and left a stamp."""
    for number in range(3):
        fleet.edit("issuer: issuing, sans: web", f"issuer: issuing, sans: web{number}")
        assert read_apart(fleet) == SUPPORTS | {"servers/web"}
        assert "1 updated, 11 in sync" in fleet.type("apply").out
        assert read_apart(fleet) == SUPPORTS
    fleet.edit("peers:", "  new: {issuer: other}\npeers:")
    assert "1 issued, 12 in sync" in fleet.type("apply").out
    assert len(read_apart(fleet) or ()) == len(SUPPORTS)
    assert "in sync, 13 entries" in fleet.type("plan").out


def test_a_key_that_was_seen_is_missed_though_others_were_read_last(fleet: Fleet) -> None:
    fleet.edit("sans: web.example", "sans: web2.example")
    assert fleet.type("apply").code == 0
    (fleet.tree / "clients/job/key.pem").unlink()
    assert "clients/job  rekey   key_missing" in fleet.type("plan").out


def test_a_mistake_in_what_changed_is_told_with_its_place_in_the_whole(fleet: Fleet) -> None:
    fleet.edit("sans: two.example", "sans: two..example")
    ran = fleet.type("plan")
    assert ran.code == 2
    assert "fleet.yaml:20:32" in ran.err
    assert "two..example" in ran.err


def test_a_warning_about_what_changed_is_said_once(fleet: Fleet) -> None:
    fleet.edit("job: {issuer: issuing}", "job: {issuer: issuing, key: ed25519}")
    for command in ("plan", "apply", "plan"):
        assert fleet.type(command).err.count("warning[unsupported-by-programs]") == 1


def test_a_ca_that_is_due_has_all_read_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may bear on all below it: what was read apart is widened."""
    (found,) = narrowing.narrow([fleet.spec], fleet.folder / "output", "prune=0 no-renew=0", int(time.time())) or ()
    asked: list[Path] = []

    def read(path: Path) -> object:
        asked.append(path)
        return load_spec(path)

    monkeypatch.setattr("certgen.loading.load_spec", read)
    now = datetime.now(UTC)
    assert plan_spec(found, fleet.folder / "output", now).loaded.vouched.addresses
    assert not asked
    late = plan_spec(found, fleet.folder / "output", now + timedelta(days=3500))
    assert asked == [fleet.spec]
    assert not late.loaded.vouched.addresses
    assert len(late.plan.changes) > 10


def test_where_another_run_wrote_in_between_all_is_read(fleet: Fleet) -> None:
    (found,) = narrowing.narrow([fleet.spec], fleet.folder / "output", "prune=0 no-renew=0", int(time.time())) or ()
    rewrite(fleet.tree / "manifest.json")
    planned = plan_spec(found, fleet.folder / "output", datetime.now(UTC))
    assert planned.plan.is_in_sync
    assert not planned.loaded.vouched.addresses


@law
@given(specs(), st.data())
def test_whatever_changes_a_plan_by_a_stamp_is_the_plan_without_one(spec: SpecTree, data: st.DataObject) -> None:
    other = data.draw(specs())
    changed = {**spec}
    for section in ("servers", "clients", "peers"):
        added = {name: value for name, value in other[section].items() if value.get("issuer") in spec["cas"]}
        changed[section] = {**spec[section], **(added if data.draw(st.booleans()) else {})}
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrowing, "_MOST_CHANGED", 0)
        fleet = make_fleet(Path(folder), patch, text_of(spec))
        fleet.spec.write_text(text_of(changed))
        short = plan_of(fleet)
        away = fleet.stamp.rename(fleet.folder / "stamp")
        assert plan_of(fleet) == short
        if short[0] == 1:
            away.rename(fleet.stamp)
            assert fleet.type("apply").code == 0
            assert "nothing to do" in fleet.type("apply").out
            fleet.stamp.unlink(missing_ok=True)
            assert fleet.type("plan").code == 0
