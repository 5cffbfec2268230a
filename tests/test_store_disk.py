"""The store: whole files under final names, a lock that dies with its holder, notes that outlive a run."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from faults import Disk
from scene import Scene, take_snapshot

from certgen.diagnostics import CertgenError
from certgen.store import disk as store
from certgen.store.disk import FileWrite, Tree
from certgen.store.files import find_trees, read_beside, read_file
from certgen.tree import FileKind

SPEC = "version: 1\nca: {}\nservers:\n  api: {sans: localhost}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "output/shop")


def codes(caught: pytest.ExceptionInfo[CertgenError]) -> list[str]:
    return [problem.code for problem in caught.value.diagnostics]


# Writing


def test_a_written_file_has_its_content_and_mode_and_can_be_read_back(tree: Tree) -> None:
    tree.write([FileWrite("servers/api/key.pem", b"secret", 0o640), FileWrite("manifest.json", b"{}", 0o644)])
    states = tree.read(["servers/api/key.pem", "manifest.json", "servers/api/cert.pem"])
    assert [(state.kind, state.mode, state.content) for state in states.values()] == [
        (FileKind.FILE, 0o640, b"secret"),
        (FileKind.FILE, 0o644, b"{}"),
        (FileKind.ABSENT, 0, b""),
    ]
    names = {path for path, record in take_snapshot(tree.root).items() if stat.S_ISREG(record.mode)}
    assert names == {"servers/api/key.pem", "manifest.json"}


def test_a_written_file_is_another_inode_so_that_a_reader_of_the_old_one_is_not_disturbed(tree: Tree) -> None:
    tree.write([FileWrite("file", b"old", 0o644)])
    with (tree.root / "file").open("rb") as reader:
        tree.write([FileWrite("file", b"new", 0o644)])
        assert reader.read() == b"old"
    assert (tree.root / "file").read_bytes() == b"new"


def test_everything_is_synced_before_the_first_file_gets_its_name(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    with monkeypatch.context() as patch:
        Disk(watch=lambda call, path: calls.append(f"{call} {Path(path).name}")).install(patch)
        tree.write([FileWrite("a", b"a", 0o644), FileWrite("b", b"b", 0o644)])
    kinds = [call.split()[0] for call in calls]
    assert kinds.index("replace") > max(number for number, kind in enumerate(kinds[:-1]) if kind == "fsync")
    assert kinds[-1] == "fsync"
    assert [call for call in calls if call.startswith("replace")] == ["replace a", "replace b"]


def test_a_large_batch_is_written_as_a_small_one_is(tree: Tree) -> None:
    writes = [FileWrite(f"servers/s{number}/cert.pem", b"x", 0o644) for number in range(3 * store.SYNC_ALL_FROM)]
    tree.write(writes)
    assert all((tree.root / write.path).read_bytes() == b"x" for write in writes)


@pytest.mark.parametrize("call", ["open", "write", "fchmod", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_files_and_no_other(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    tree.write([FileWrite("a", b"old", 0o644), FileWrite("b", b"old", 0o644)])
    before = take_snapshot(tree.root)
    disk = Disk()
    monkeypatch.setattr(disk, "_count", _failing_at(call))
    with monkeypatch.context() as patch:
        disk.install(patch)
        with pytest.raises(CertgenError) as caught:
            tree.write([FileWrite("a", b"new", 0o644), FileWrite("b", b"new", 0o644)])
    assert codes(caught) == ["write-failed"]
    assert "No space left on device" in caught.value.diagnostics[0].message
    assert "certgen-new" not in caught.value.diagnostics[0].message
    after = take_snapshot(tree.root)
    assert {path: record.content for path, record in after.items()} == {
        path: record.content for path, record in before.items()
    }


def _failing_at(wanted: str) -> Callable[[str, object], None]:
    def count(name: str, path: object) -> None:
        if name == wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return count


@pytest.mark.parametrize("path", ["servers/api/cert.pem", "servers/cert.pem"])
def test_a_link_in_place_of_a_folder_is_refused_and_not_followed(tree: Tree, tmp_path: Path, path: str) -> None:
    away = tmp_path / "away"
    away.mkdir()
    tree.root.mkdir(parents=True)
    (tree.root / "servers").symlink_to(away)
    with pytest.raises(CertgenError) as caught:
        tree.write([FileWrite(path, b"x", 0o644)])
    assert codes(caught) == ["write-failed"]
    assert list(away.iterdir()) == []


@pytest.mark.parametrize("path", ["servers/api/cert.pem", "servers/cert.pem"])
def test_a_file_behind_a_link_is_not_removed_and_gets_no_mode(tree: Tree, tmp_path: Path, path: str) -> None:
    target = tmp_path / "away" / Path(path).relative_to("servers")
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    target.chmod(0o644)
    tree.root.mkdir(parents=True)
    (tree.root / "servers").symlink_to(tmp_path / "away")
    before = take_snapshot(tmp_path / "away")
    with suppress(CertgenError):
        tree.remove([path])
    with suppress(CertgenError):
        tree.change_mode(path, 0o600)
    assert take_snapshot(tmp_path / "away") == before


def test_a_link_in_place_of_a_file_gets_no_mode(tree: Tree, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    target.chmod(0o644)
    tree.root.mkdir(parents=True)
    (tree.root / "key.pem").symlink_to(target)
    with pytest.raises(CertgenError) as caught:
        tree.change_mode("key.pem", 0o600)
    assert codes(caught) == ["write-failed"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_leftover_of_a_dead_run_is_written_over_even_where_it_is_a_link(tree: Tree, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    tree.root.mkdir(parents=True)
    (tree.root / ".certgen-new-file").symlink_to(target)
    tree.write([FileWrite("file", b"new", 0o644)])
    assert target.read_text() == "mine"
    assert [path.name for path in tree.root.iterdir()] == ["file"]


def test_a_file_that_is_kept_keeps_its_content_under_a_free_name_and_is_closed(tree: Tree) -> None:
    tree.write([FileWrite("key.pem", b"first", 0o644)])
    for content in (b"second", b"third"):
        tree.write([FileWrite("key.pem", content, 0o600, keep_old_as="key.pem.orig")])
    kept = {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in tree.root.iterdir()}
    assert kept == {
        "key.pem": (b"third", 0o600),
        "key.pem.orig": (b"first", 0o600),
        "key.pem.orig.2": (b"second", 0o600),
    }


def test_a_removal_takes_the_empty_folders_along_and_no_other(tree: Tree) -> None:
    tree.write([FileWrite(f"servers/{name}/cert.pem", b"x", 0o644) for name in ("api", "web")])
    (tree.root / "servers/web/mine").write_text("mine")
    tree.remove(["servers/api/cert.pem", "servers/web/cert.pem", "servers/gone/cert.pem"])
    assert [path.name for path in (tree.root / "servers").rglob("*")] == ["web", "mine"]
    tree.remove(["servers/web/mine"])
    assert tree.root.exists()
    assert list(tree.root.iterdir()) == []


# Reading


@pytest.mark.parametrize("limit", [9, 10])
def test_a_file_beyond_the_limit_is_unreadable_and_one_at_the_limit_is_read(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    state = read_file(path, limit)
    assert state.kind is (FileKind.FILE if limit == 10 else FileKind.UNREADABLE)
    assert state.content == (b"0123456789" if limit == 10 else b"")


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "pipe", "a folder above is a file"])
def test_what_is_no_regular_file_is_told_as_such_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            (tmp_path / "target").write_text("x")
            path.symlink_to(tmp_path / "target")
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_text("x")
            path = path / "below"
    state = read_file(path)
    assert state.kind is FileKind.OTHER
    assert state.reason
    assert state.content == b""


def test_a_file_that_may_not_be_opened_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    assert read_file(path).kind is FileKind.FILE
    monkeypatch.setattr(os, "open", refuse)
    state = read_file(path)
    assert (state.kind, state.reason) == (FileKind.UNREADABLE, "Permission denied")


def test_a_tree_is_read_through_no_link(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "away/api").mkdir(parents=True)
    (tmp_path / "away/api/cert.pem").write_text("mine")
    tree.root.mkdir(parents=True)
    (tree.root / "servers").symlink_to(tmp_path / "away")
    (state,) = tree.read(["servers/api/cert.pem"]).values()
    assert (state.kind, state.content) == (FileKind.OTHER, b"")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.pem", "outside"),
        ("pki/../../secret.pem", "outside"),
        ("/etc/hostname", "outside"),
        ("pki/a\0b", "outside"),
        ("link/root.pem", "symbolic link"),
        ("link.pem", "symbolic link"),
        ("pki", "not a regular file"),
        ("absent.pem", "does not exist"),
        ("absent/root.pem", "does not exist"),
    ],
)
def test_a_file_that_a_spec_names_is_read_below_its_folder_only(tmp_path: Path, name: str, reason: str) -> None:
    specs = tmp_path / "specs"
    (specs / "pki").mkdir(parents=True)
    (specs / "pki/root.pem").write_text("root")
    (tmp_path / "secret.pem").write_text("secret")
    (specs / "link").symlink_to(specs / "pki")
    (specs / "link.pem").symlink_to(tmp_path / "secret.pem")
    assert read_beside(specs, "pki/root.pem").content == b"root"
    found = read_beside(specs, name)
    assert found.content is None
    assert reason in found.reason


def test_trees_are_found_by_their_manifest_and_links_are_none(tmp_path: Path) -> None:
    for name in ("web", "shop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "web")
    assert [path.name for path in find_trees(tmp_path)] == ["shop", "web"]
    assert find_trees(tmp_path / "nowhere") == ()


# Notes


def test_notes_of_a_run_outlive_it(tree: Tree) -> None:
    tree.begin(["b", "a"])
    tree.begin(["c"])
    again = Tree(tree.root)
    assert again.unfinished() == {"a", "b", "c"}
    again.finish(["key"])
    assert Tree(tree.root).unfinished() == frozenset()
    assert Tree(tree.root).seen_keys() == {"key"}


def test_notes_that_say_the_same_are_not_written_again(tree: Tree) -> None:
    tree.finish(["b", "a"])
    before = take_snapshot(tree.root)
    tree.finish(["a", "b"])
    assert take_snapshot(tree.root) == before


# The lock

_HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds(lock: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


@pytest.fixture
def shop(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    scene.write(SPEC)
    scene.run()
    return scene


def test_a_run_is_refused_while_another_process_holds_the_tree(shop: Scene) -> None:
    shop.edit(("localhost", "[localhost, shop.example]"))
    with another_process_holds(shop.tree / ".certgen/lock"):
        assert shop.refused() == [f"locked {shop.tree}"]
    shop.apply()


def test_a_run_with_nothing_to_do_asks_for_no_lock(shop: Scene) -> None:
    with another_process_holds(shop.tree / ".certgen/lock"):
        before = take_snapshot(shop.output)
        shop.run()
        assert take_snapshot(shop.output) == before


def test_a_lock_dies_with_its_holder(shop: Scene) -> None:
    with another_process_holds(shop.tree / ".certgen/lock") as holder:
        holder.kill()
        holder.wait()
        assert (shop.tree / ".certgen/lock").exists()
        with Tree(shop.tree).locked():
            pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file")
    with pytest.raises(CertgenError) as caught, Tree(tmp_path / "output/shop").locked():
        pass
    assert codes(caught) == ["write-failed"]


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link"])
def test_a_lock_that_is_no_file_is_told_and_not_followed(tree: Tree, tmp_path: Path, kind: str) -> None:
    lock = tree.root / ".certgen/lock"
    lock.parent.mkdir(parents=True)
    away = tmp_path / "away"
    if kind == "folder":
        lock.mkdir()
    else:
        lock.symlink_to(away)
    if kind == "link":
        away.write_text("mine")
    with pytest.raises(CertgenError) as caught, tree.locked():
        pass
    assert codes(caught) == ["write-failed"]
    assert not away.exists() or away.read_text() == "mine"
