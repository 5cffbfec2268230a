"""A power cut at any moment leaves no torn file, and none that a run has finished is lost: on a real ext4.

An ordinary run cuts each story once. `CERTGEN_EXAMPLES=40 pytest tests/test_power_cut.py` cuts at 40 points in all, and
looks at both disks of each.
"""

import os
import random
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from power import RENEWAL, STORIES, SYNCS, Cut, Machine, Story, lost_keys, torn
from scene import take_snapshot
from shop import contents
from traces import Call

SEED = 20261123
POINTS = int(os.environ.get("CERTGEN_EXAMPLES", "0")) or len(STORIES)
ALL = 40
TRIES = 5
"""Of a control: a sync of the whole machine, by somebody else, may come in between."""


def sampled(calls: list[Call], story: Story) -> list[Call]:
    """Give some points of a story: one somewhere in each of as many equal stretches."""
    order = random.Random(f"{SEED} {story.name}")  # noqa: S311 - repeatable is what it has to be
    count = -(-POINTS // len(STORIES))
    ends = [round(number * len(calls) / count) for number in range(count + 1)]
    return [order.choice(calls[start:end]) for start, end in pairwise(ends) if start < end]


def disks(cut: Cut, where: str) -> list[Path]:
    """Give the disks of a cut that are looked at: both, but in a short run one or the other."""
    both = [cut.image, cut.pulled]
    return both if POINTS >= ALL else [random.Random(where).choice(both)]  # noqa: S311 - as above


def assert_finished(machine: Machine, cut: Cut) -> None:
    """Demand that what a run had done when it ended is there: content, mode, and the notes of the keys seen."""
    assert cut.ran.code == 0, cut.ran
    with machine.restarted(cut.image) as shop:
        found = take_snapshot(shop.tree)
        assert contents(found) == contents(cut.live)
        assert found[".certgen/keys"].content == cut.live[".certgen/keys"].content
        shop.assert_settled()


def assert_mended(machine: Machine, cut: Cut, image: Path, where: str) -> None:
    """Demand that nothing is torn, and that the next run makes all that the spec asks for and loses no key."""
    with machine.restarted(image) as shop:
        found = take_snapshot(shop.tree)
        wrong = torn(cut, found, machine.story)
        assert not wrong, (where, wrong)
        assert shop.judge("plan").code in {0, 1}, where
        shop.compile()
        mended = take_snapshot(shop.tree)
        shop.assert_settled()
    lost = lost_keys(cut.before, mended, machine.story) + lost_keys(found, mended, machine.story)
    assert not lost, (where, lost)
    files = {path for path, record in mended.items() if stat.S_ISREG(record.mode)}
    assert {"manifest.json", "cas/root/key.pem", "servers/api/cert.pem", ".certgen/keys"} <= files, where


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_a_power_cut(tmp_path: Path, story: Story) -> None:
    machine = Machine(story, tmp_path)
    cut, calls = machine.watch()
    assert_finished(machine, cut)
    for call in sampled(calls, story):
        where = f"{story.name}, killed at {call.name} number {call.number}: {call} (seed {SEED})"
        cut = machine.kill_at(call)
        assert cut.is_killed, (where, cut.ran)
        for image in disks(cut, where):
            assert_mended(machine, cut, image, f"{where}, {image.stem}")


@pytest.mark.parametrize("what", ["nothing", "no folder after the last name"])
def test_a_run_that_does_not_sync_is_seen_since_its_tree_is_not_there(tmp_path: Path, what: str) -> None:
    machine = Machine(RENEWAL, tmp_path)
    _, calls = machine.watch()
    last_name = max(index for index, call in enumerate(calls) if call.name.startswith("rename"))
    folders = [call.number for call in calls[last_name:] if call.name == "fsync"]
    lied = f"{SYNCS}:retval=0" if what == "nothing" else f"fsync:retval=0:when={folders[0]}+"
    for _ in range(TRIES):
        cut = machine.inject(lied)
        assert cut.ran.code == 0, cut.ran
        with machine.restarted(cut.image) as shop:
            if contents(take_snapshot(shop.tree)) != contents(cut.live):
                return
    pytest.fail(f"{TRIES} times a tree was on the disk that nobody had asked to be there")


def test_a_run_that_does_not_sync_what_it_stages_is_seen_since_files_are_torn(tmp_path: Path) -> None:
    machine = Machine(RENEWAL, tmp_path)
    _, calls = machine.watch()
    staged = [call.number for call in calls if call.name == "fsync" and ".certgen/new/" in str(call.paths[0])]
    assert staged == list(range(staged[0], staged[-1] + 1)), calls
    for _ in range(TRIES):
        cut = machine.inject(f"fsync:retval=0:when={staged[0]}..{staged[-1]}")
        assert cut.ran.code == 0, cut.ran
        with machine.restarted(cut.image) as shop:
            if wrong := torn(cut, take_snapshot(shop.tree), machine.story):
                assert any("is none of what it ever was" in text for text in wrong), wrong
                return
    pytest.fail(f"{TRIES} times files were whole that nobody had asked to be there")
