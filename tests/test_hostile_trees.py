"""What stands in the way of a tree: whatever it is, certgen refuses it or replaces it, and never goes through it.

Every plant stands at every place, before a first compile, before a renewal and before a re-key. An ordinary run takes a
sample; `CERTGEN_HOSTILE=all pytest tests/test_hostile_trees.py` takes all.
"""

import os
import random
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from faults import Disk
from grounds import Ground, assert_readers_only_read, assert_settled, compiled_folder, ground_of, own
from hostile import (
    PLANTS,
    Answer,
    HangingError,
    Seen,
    Spot,
    look,
    mend,
    no_longer_than,
    plant,
    require_root,
    typed,
)
from samples import EVERY

FOLDERS = (
    ".", "shop", "shop/cas", "shop/cas/ca", "shop/servers", "shop/servers/api", "shop/clients/app",
    "shop/clients/app/go",
)  # fmt: skip
FILES = (
    "shop/.gitignore", "shop/manifest.json", "shop/cas/ca/cert.pem", "shop/servers/api/cert.pem",
    "shop/servers/api/ca.pem", "shop/servers/api/nginx.conf", "shop/clients/app/go/mtls.go",
)  # fmt: skip
KEYS = ("shop/cas/ca/key.pem", "shop/servers/api/key.pem")
NOTES = ("shop/.certgen", "shop/.certgen/new", "shop/.certgen/lock", "shop/.certgen/keys", "shop/.certgen/journal")
SPARE = "shop/servers/api/key.pem.orig"
STAGING = "shop/.certgen/new"
THERE = (*FILES, *KEYS, "shop/.certgen/lock", "shop/.certgen/keys")
"""What a compiled tree has."""

PLAIN_FILES = {"hard link", "second name", "foreign file", "closed file"}
PLAIN_FOLDERS = {"empty folder", "full folder"}
NOBODY = 65534

SEED = 4
SAMPLE = 2
"""Plants at each place, in an ordinary run."""
ALWAYS = (
    ("first compile", ".", "link to a folder"),
    ("first compile", "shop/manifest.json", "foreign file"),
    ("renewal", "shop", "link to a folder"),
    ("renewal", "shop/servers", "link to a folder"),
    ("renewal", "shop/servers/api/cert.pem", "link to a file"),
    ("renewal", "shop/servers/api/cert.pem", "pipe"),
    ("renewal", "shop/servers/api/cert.pem", "second name"),
    ("renewal", "shop/.certgen/lock", "pipe"),
    ("re-key", "shop/servers/api/key.pem", "link to a file"),
    ("re-key", "shop/servers/api/key.pem", "hard link"),
)
"""What a sample must not leave out."""


def cases() -> list[tuple[str, str, str]]:
    """Give phases, places and plants: every one of each, and all of them together where that is asked for."""
    places = {
        "first compile": (*FOLDERS, *FILES, *KEYS, *NOTES),
        "renewal": (*FOLDERS, *FILES, *KEYS, *NOTES),
        "re-key": ("shop/servers/api/key.pem", SPARE, *NOTES),
    }
    chance = random.Random(SEED)  # noqa: S311 - the same sample each time
    deck: list[str] = []
    found: list[tuple[str, str, str]] = []
    for phase, where in places.items():
        for place in where:
            if len(deck) < SAMPLE:
                deck += chance.sample(list(PLANTS), len(PLANTS))
            kinds = list(PLANTS) if EVERY else [deck.pop() for _ in range(SAMPLE)]
            found += [(phase, place, kind) for kind in dict.fromkeys(kinds) if is_possible(phase, place, kind)]
    return list(dict.fromkeys((*ALWAYS, *found)))


def is_possible(phase: str, place: str, kind: str) -> bool:
    """Tell whether there is something that a second name could be given to."""
    return kind != "second name" or (phase != "first compile" and place in THERE)


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_folder() as folder:
        yield folder


def allowed(phase: str, place: str, kind: str) -> set[str]:
    """Give how a run may end: refused with nothing written, failed where the next can go on, or done."""
    is_key_that_stays = place in KEYS and phase == "renewal"
    rules = (
        (place.startswith("shop/.certgen"), {"refused", "failed", "done"}),
        (place == SPARE, {"done"}),
        (kind == "immutable folder" and place in FOLDERS, {"refused", "failed", "done"}),
        (kind == "immutable file", {"refused", "failed"}),
        (kind == "closed file" and place in FILES, {"refused"}),
        (place in FOLDERS, {"done"} if kind in PLAIN_FOLDERS else {"refused"}),
        (kind == "second name", {"done"}),
        (kind not in PLAIN_FILES or phase == "first compile" or is_key_that_stays, {"refused"}),
        (place == "shop/.gitignore", {"refused"}),
    )
    return next((endings for applies, endings in rules if applies), {"done"})


def names(answer: Answer, place: str) -> bool:
    """Whether an error names a path below the output, or the key that stands there."""
    inner = place.removeprefix("shop/")
    words = {inner, f"the private key of {inner.removesuffix('/key.pem')} "} if inner != "." else {"output"}
    is_error = re.search(r"error\[[a-z-]+\]|Error: Invalid value for '-o'", answer.err)
    return bool(is_error) and any(word in answer.err for word in words)


def ending(ground: Ground, place: str, answer: Answer, before: Mapping[str, Seen]) -> str:
    """Say how a run ended, after checking that it ended as such runs must."""
    if answer.code == 0:
        return "done"
    assert answer.code == 2, answer
    assert names(answer, place), answer.err
    after = look(ground.output)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    if place.startswith("shop/.certgen"):
        changed -= {".", "shop", "shop/.certgen", "shop/.certgen/lock"}
    if not changed:
        return "refused"
    assert "error[write-failed]" in answer.err, (answer.err, changed)
    return "failed"


def assert_not_followed(compiled: Path, phase: str, place: str, kind: str) -> str:
    uid = NOBODY if kind == "closed file" and os.geteuid() == 0 else os.geteuid()
    with ground_of(compiled, phase, uid) as ground:
        spot = ground.spot(place)
        if place == SPARE:
            (spot.place.parent / "key.pem").write_text("a stranger's")
        plant(kind, spot)
        own(ground.folder, uid)
        options = ("--rekey", "servers/api") if phase == "re-key" else ()
        before, victims = look(ground.output), look(ground.outside)
        answer = ground.run("apply", *options)
        ended = ending(ground, place, answer, before)
        assert ended in allowed(phase, place, kind), answer
        assert look(ground.outside) == victims
        assert_readers_only_read(ground, f"{phase} {place} {kind}")
        if ended != "done":
            mend(spot)
            answer = ground.run("apply", *options)
            assert answer.code == 0, answer
        assert_settled(ground)
        assert look(ground.outside) == victims
        return ended


@pytest.mark.parametrize(("phase", "place", "kind"), cases())
def test_what_stands_in_the_way_is_refused_or_replaced_and_never_followed(
    compiled: Path, phase: str, place: str, kind: str
) -> None:
    assert_not_followed(compiled, phase, place, kind)


def test_the_sample_has_every_phase_place_and_plant() -> None:
    phases, places, kinds = (set(column) for column in zip(*cases(), strict=True))
    assert phases == {"first compile", "renewal", "re-key"}
    assert places == {*FOLDERS, *FILES, *KEYS, *NOTES, SPARE}
    assert kinds == set(PLANTS), f"seed {SEED}"


@pytest.mark.parametrize("phase", ["first compile", "renewal"])
def test_what_stands_where_files_are_staged_is_refused_or_replaced(
    compiled: Path, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: dict[str, None] = {}
    with ground_of(compiled, phase, os.geteuid()) as ground, monkeypatch.context() as patch:
        Disk(watch=lambda call, path: staged.setdefault(path) if call == "open" else None).install(patch)
        assert ground.run("apply").code == 0
    inside = [f"{STAGING}/{Path(path).name}" for path in staged if f"/{STAGING}/" in path]
    assert inside, f"nothing was staged: {list(staged)}"
    for kind in PLANTS:
        if is_possible(phase, inside[0], kind):
            assert_not_followed(compiled, phase, inside[0 if kind < "i" else -1], kind)


# The output, and whose it is


@pytest.mark.parametrize("phase", ["first compile", "renewal"])
@pytest.mark.parametrize("place", ["shop", "."])
def test_a_folder_that_another_user_owns_is_refused(compiled: Path, phase: str, place: str) -> None:
    require_root()
    with ground_of(compiled, phase, os.geteuid()) as ground:
        folder = ground.output / place
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, NOBODY, NOBODY)
        before = look(ground.output)
        answer = ground.run("apply")
        assert (answer.code, "error[foreign-folder]" in answer.err) == (2, True), answer
        assert str(folder) in answer.err
        assert look(ground.output) == before
        assert_readers_only_read(ground, place)
        os.chown(folder, os.geteuid(), os.getegid())
        assert ground.run("apply").code == 0
        assert_settled(ground)


@pytest.mark.parametrize("phase", ["first compile", "renewal"])
def test_a_user_without_rights_to_the_output_is_told_so(compiled: Path, phase: str) -> None:
    require_root()
    with ground_of(compiled, phase, NOBODY) as ground:
        ground.output.mkdir(exist_ok=True)
        before = look(ground.output)
        answer = ground.run("apply")
        assert answer.code == 2
        assert re.search(r"error\[(foreign-folder|write-failed|unreadable)\]", answer.err), answer.err
        assert look(ground.output) == before
        assert_readers_only_read(ground, phase)


@pytest.mark.parametrize("spelling", ["output", "output/", "./output", "output/.", "sub/../output"])
def test_an_output_that_is_a_link_is_refused_however_it_is_spelled(
    compiled: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ground_of(compiled, "first compile", os.geteuid()) as ground:
        (ground.folder / "sub").mkdir()
        ground.output.symlink_to(ground.outside)
        monkeypatch.chdir(ground.folder)
        answer = typed("apply", "shop.yaml", "-o", spelling)
        assert (answer.code, "error[foreign-folder]" in answer.err) == (2, True), answer
        assert not list(ground.outside.iterdir())


def test_an_output_below_a_link_is_an_output(compiled: Path) -> None:
    """A person's home may be one; only what certgen makes may not."""
    with ground_of(compiled, "first compile", os.geteuid()) as ground:
        (ground.folder / "home").symlink_to(ground.outside)
        answer = typed("apply", ground.folder / "shop.yaml", "-o", ground.folder / "home/output")
        assert answer.code == 0, answer
        assert (ground.outside / "output/shop/manifest.json").is_file()


@pytest.mark.parametrize("place", ["shop", "shop/servers", "shop/servers/api", "shop/.certgen"])
def test_a_folder_that_everybody_may_write_to_is_no_way_out_of_the_tree(compiled: Path, place: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        (ground.output / place).chmod(0o777)
        victims = look(ground.outside)
        assert ground.run("apply").code == 0
        assert_settled(ground)
        assert look(ground.outside) == victims


def test_a_key_with_a_second_name_keeps_its_mode_and_is_warned_of(compiled: Path) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        assert ground.run("apply").code == 0
        key = ground.output / "shop/servers/api/key.pem"
        (ground.outside / "backup").hardlink_to(key)
        key.chmod(0o644)
        victims = look(ground.outside)
        answer = ground.run("apply")
        assert answer.code == 0, answer
        assert "warning[" in answer.err
        assert "servers/api/key.pem" in answer.err
        assert look(ground.outside) == victims
        assert stat.S_IMODE(key.stat().st_mode) == 0o644
        (ground.outside / "backup").unlink()
        assert ground.run("apply").code == 0
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


# The checks themselves


def test_a_command_that_hangs_would_be_seen(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HangingError), no_longer_than(0.1):
        (tmp_path / "pipe").read_bytes()


@pytest.mark.parametrize("kind", ["link to a file", "hard link", "link to a folder", "second name"])
def test_a_writer_that_follows_would_be_seen(tmp_path: Path, kind: str) -> None:
    spot = Spot(tmp_path / "place", tmp_path / "outside", tmp_path / "aside")
    spot.outside.mkdir()
    if kind == "second name":
        spot.place.write_text("ours")
    plant(kind, spot)
    written = spot.place / "victim" if kind == "link to a folder" else spot.place
    for harm in (lambda: written.write_bytes(b"ours"), lambda: written.chmod(0o640), lambda: os.utime(written)):
        before = look(spot.outside)
        harm()
        assert look(spot.outside) != before
