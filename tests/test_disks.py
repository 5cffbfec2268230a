"""Disks that are full, read-only or closed to the one who writes: real ones, and what a user then sees."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mounts import read_only, remount, tmpfs
from programs import require
from proving import Ran
from scene import take_snapshot
from shop import ADDED, SPEC, Shop, contents, copied, second_run

BLOCK = 4096
ENOUGH = "size=8m,nr_inodes=1000"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A compiled shop, for tests to copy."""
    return Shop(tmp_path_factory.mktemp("compiled")).write().compile()


@pytest.fixture
def shop(compiled: Shop, tmp_path: Path) -> Shop:
    return copied(compiled, tmp_path / "here")


def assert_refused(ran: Ran, shop: Shop, reason: str) -> str:
    """Demand exit 2 and a message that names a path of this shop with the reason; give the path."""
    assert ran.code == 2, ran
    assert not re.search(r"\d+ (issued|written|renewed|updated)", ran.out), ran
    pattern = r"^error\[write-failed\]: (?P<path>\S+) cannot be written: (?P<reason>.+)$"
    found = re.search(pattern, ran.err, re.MULTILINE)
    assert found, ran
    assert found["reason"] == reason, ran
    path = shop.folder / found["path"]
    assert path == shop.output or path.is_relative_to(shop.output), ran
    return found["path"]


def assert_whole(shop: Shop) -> None:
    """Demand that no file under a final name is empty or ends early."""
    for path, (content, _) in contents(take_snapshot(shop.tree)).items():
        assert content.endswith((b"\n", b"}")), (path, content[-40:])
        if path.endswith(".pem"):
            assert content.count(b"-----BEGIN ") == content.count(b"-----END ") > 0, path


# Full


FIRST = (
    pytest.param("size=64k", "No space left on device", id="64 kB"),
    pytest.param("size=8m,nr_inodes=12", "No space left on device", id="12 inodes"),
)


@pytest.mark.parametrize(("options", "reason"), FIRST)
def test_a_first_run_on_a_small_disk_is_refused_and_goes_on_where_there_is_room(
    tmp_path: Path, options: str, reason: str
) -> None:
    with tmpfs(tmp_path / "small", options) as folder:
        shop = Shop(folder).write(many(12))
        assert_refused(shop.type("apply"), shop, reason)
        assert_whole(shop)
        assert shop.judge("plan").code == 1
        remount(folder, ENOUGH)
        shop.compile().assert_settled()


def many(clients: int) -> str:
    """Give a spec with some clients more."""
    return SPEC + "".join(f"      client-{number}: {{}}\n" for number in range(clients))


def fill(folder: Path, blocks: int) -> None:
    """Leave a number of blocks free."""
    with (folder / "filler").open("wb") as file:
        file.write(b"\0" * BLOCK * (os.statvfs(folder).f_bavail - blocks))
    assert os.statvfs(folder).f_bavail == blocks


def hold_inodes(folder: Path, free: int) -> None:
    """Leave a number of inodes free."""
    for number in range(os.statvfs(folder).f_favail - free):
        (folder / f"held-{number}").touch()
    assert os.statvfs(folder).f_favail == free


def make_room(folder: Path) -> None:
    """Give free again what was held."""
    for path in (*folder.glob("held-*"), *folder.glob("filler")):
        path.unlink()


SHORTAGES = (
    *(pytest.param(fill, number, id=f"{number} blocks") for number in (0, 2, 40)),
    *(pytest.param(hold_inodes, number, id=f"{number} inodes") for number in (0, 4, 40)),
)


@pytest.mark.parametrize(("leave", "free"), SHORTAGES)
def test_a_disk_that_fills_up_in_a_later_run_leaves_the_tree_as_it_was_or_as_it_should_be(
    shop: Shop, tmp_path: Path, leave: Callable[[Path, int], None], free: int
) -> None:
    with tmpfs(tmp_path / "disk", "size=512k,nr_inodes=100") as folder:
        full = copied(shop, folder / "here")
        full.spec.write_text(full.spec.read_text() + ADDED)
        leave(folder, free)
        before = contents(take_snapshot(full.tree))
        ran = full.inside("apply", "--renew=servers/api")
        if free < 40:
            assert_refused(ran, full, "No space left on device")
            after = contents(take_snapshot(full.tree))
            assert {path: after.get(path) for path in before} == before
            assert_whole(full)
            assert full.judge("plan").code == 1
            make_room(folder)
            full.compile("--renew=servers/api")
        full.assert_settled()


def test_a_run_with_nothing_to_do_needs_no_room(shop: Shop, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=256k,nr_inodes=100") as folder:
        full = copied(shop, folder / "here")
        fill(folder, 0)
        hold_inodes(folder, 0)
        with pytest.raises(OSError, match="No space left"):
            (folder / "one more").touch()
        second_run(full).assert_untouched()
        full.assert_settled()


# Read-only


def test_a_read_only_tree_is_read_and_what_is_to_be_written_is_refused(shop: Shop) -> None:
    with read_only(shop.tree):
        with pytest.raises(OSError, match="Read-only file system"):
            (shop.tree / "note").touch()
        second_run(shop).assert_untouched()
        shop.assert_settled()
        before = take_snapshot(shop.tree)
        assert_refused(shop.inside("apply", "--renew=servers/api"), shop, "Read-only file system")
        shop.spec.write_text(shop.spec.read_text() + ADDED)
        assert shop.judge("plan").code == 1
        assert_refused(shop.type("apply"), shop, "Read-only file system")
        assert take_snapshot(shop.tree) == before
    shop.compile().assert_settled()


def test_a_first_run_into_a_read_only_output_is_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path).write()
    shop.output.mkdir()
    with read_only(shop.output):
        assert_refused(shop.type("apply"), shop, "Read-only file system")
        assert shop.judge("plan").code == 1
    assert not list(shop.output.iterdir())


# ulimit -f


LIMITS = (0, 300, 1024)
"""Bytes, from which on a file may not grow."""


def limited(size: int) -> list[str | Path]:
    """Give the command that runs another with a limit on what its files may hold."""
    return [require("prlimit"), f"--fsize={size}", "--"]


@pytest.mark.parametrize("size", LIMITS)
def test_a_limit_on_the_size_of_files_is_told_as_such_and_the_next_run_goes_on(tmp_path: Path, size: int) -> None:
    shop = Shop(tmp_path).write()
    ran = shop.type("apply", prefix=limited(size))
    path = assert_refused(ran, shop, "File too large")
    assert_whole(shop)
    files = contents(take_snapshot(shop.tree))
    assert all(len(content) <= size for content, _ in files.values()), (path, list(files))
    shop.compile().assert_settled()


def test_a_limit_leaves_a_tree_that_stands_as_it_was(shop: Shop) -> None:
    before = contents(take_snapshot(shop.tree))
    assert_refused(shop.type("apply", "--renew=servers/api", prefix=limited(600)), shop, "File too large")
    assert contents(take_snapshot(shop.tree)) == before
    assert shop.type("plan", prefix=limited(0)).code == 0
    shop.compile("--renew=servers/api").assert_settled()
