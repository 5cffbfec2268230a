"""What may not be looked at is neither there nor missing: it is named, and nothing is decided without it."""

import errno
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.journal import Batch, Recovery, parse_journal, render_batch, render_head
from certgen.manifest import Manifest, ManifestEntry, parse_manifest, render_manifest
from certgen.model import Address
from certgen.store.private import append_private
from certgen.store.tree import Tree
from certgen.store.writer import FileWrite, writing
from certgen.tree import FileKind, FileState

MARK = 123_456_789


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "output/shop")


def closed(path: Path) -> Diagnostic:
    message = f"{path} cannot be looked at: Permission denied"
    return error("unreadable", message, help="run certgen as its owner, or mend the permissions", where=str(path))


@pytest.fixture
def closed_tree(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A tree of whose folder `servers/api` nothing is told: as root, the calls have to refuse it."""
    for path in ("servers/api/cert.pem", "servers/api/key.pem", "servers/web/cert.pem"):
        (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / path).touch()
    lstat, scan, shut = os.lstat, os.scandir, tree.root / "servers/api"

    def refusing(path: str | Path) -> os.stat_result:
        if shut in Path(path).parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return lstat(path)

    def refusing_scan(path: str) -> object:
        if Path(path) == shut:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "lstat", refusing)
    monkeypatch.setattr(os, "scandir", refusing_scan)
    return tree


def test_a_folder_that_is_closed_is_named_once(closed_tree: Tree) -> None:
    paths = ["servers/api/go/main.go", "servers/api/go/other.go", "servers/api/x/y"]
    found = closed_tree.read(["servers/web/cert.pem", *paths])
    assert found["servers/web/cert.pem"].kind is FileKind.FILE
    assert [found[path] for path in paths] == [FileState(FileKind.CLOSED, reason="Permission denied")] * 3
    with pytest.raises(CertgenError) as caught:
        closed_tree.refuse_closed(found)
    assert caught.value.diagnostics == (closed(closed_tree.root / "servers/api"),)
    closed_tree.refuse_closed({"servers/web/cert.pem": found["servers/web/cert.pem"]})


def test_a_file_that_is_closed_is_named_itself(tree: Tree) -> None:
    (tree.root / "servers").mkdir(parents=True)
    (tree.root / "servers/x").touch()
    with pytest.raises(CertgenError) as caught:
        tree.refuse_closed({"servers/x": FileState(FileKind.CLOSED, 0, reason="Permission denied")})
    assert caught.value.diagnostics == (closed(tree.root / "servers/x"),)


def test_the_files_of_a_folder_that_is_closed_are_not_passed_over(closed_tree: Tree) -> None:
    with pytest.raises(CertgenError) as caught:
        closed_tree.paths()
    assert caught.value.diagnostics == (closed(closed_tree.root / "servers/api"),)


def test_a_tree_that_is_not_there_has_no_files(tree: Tree) -> None:
    assert tree.paths() == []


@pytest.mark.parametrize("note", [".certgen/keys", ".certgen/journal"])
def test_the_keys_that_were_seen_are_told_or_it_is_said_that_they_cannot_be(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    assert tree.seen_keys() == frozenset()
    (tree.root / ".certgen").mkdir(parents=True)
    (tree.root / ".certgen/keys").write_bytes(b"aa\nb\xff\n")
    tree.forget()
    assert tree.seen_keys() == {"aa", "b\ufffd"}
    (tree.root / note).touch()
    real = os.open

    def refusing(path: str | Path, *more: int) -> int:
        if Path(path) == tree.root / note:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *more)

    monkeypatch.setattr(os, "open", refusing)
    tree.forget()
    with pytest.raises(CertgenError) as caught:
        tree.seen_keys()
    assert caught.value.diagnostics == (closed(tree.root / note),)


@pytest.mark.parametrize(("owner", "is_refused"), [(1234, True), (0, False), (4321, False), (1, True)])
def test_a_folder_belongs_to_who_runs_certgen_or_to_root(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, owner: int, is_refused: bool
) -> None:
    tree.root.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    real = os.lstat

    def owned(path: str | Path) -> os.stat_result:
        found = list(real(path))
        found[4] = owner if Path(path) == tree.root else 4321
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", owned)
    fault = f"{tree.root} belongs to user {owner}, who could replace what is in it"
    assert tree.folder_fault() == fault * is_refused


@pytest.mark.parametrize(
    ("kind", "what"), [("link", "a symbolic link, which is not followed"), ("file", "not a folder")]
)
@pytest.mark.parametrize("which", ["output", "output/shop"])
def test_what_is_no_folder_is_told(tree: Tree, tmp_path: Path, which: str, kind: str, what: str) -> None:
    path = tmp_path / which
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("away") if kind == "link" else path.touch()
    assert tree.folder_fault() == f"{path} is {what}"


# What an interrupted run left


@pytest.fixture
def interrupted(tree: Tree) -> Tree:
    """A run has committed to a key that is too large to be one, and to a line of the manifest."""
    (tree.root / ".certgen/new").mkdir(parents=True)
    (tree.root / ".certgen/new/1").write_bytes(b"x" * (64 * 1024 + 1))
    (tree.root / ".certgen/new/0").touch()
    os.utime(tree.root / ".certgen/new/0", ns=(MARK, MARK))
    journal = tree.root / ".certgen/journal"
    journal.touch()
    batch = Batch({"servers/api/key.pem": "1"}, lines={Address.parse("servers/api"): ManifestEntry("k")})
    journal.write_bytes(render_head("shop", journal.stat().st_ino, MARK, extends=True) + render_batch(batch))
    return tree


def test_what_was_staged_has_the_limit_of_the_name_that_it_will_bear(interrupted: Tree) -> None:
    state = interrupted.read(["servers/api/key.pem"])["servers/api/key.pem"]
    assert (state.kind, state.reason) == (FileKind.UNREADABLE, "it has more than 65536 bytes")


@pytest.mark.parametrize(("before", "after"), [(None, 0o644), (0o600, 0o600)])
def test_the_manifest_that_is_added_to_keeps_its_mode(interrupted: Tree, before: int | None, after: int) -> None:
    if before is not None:
        (interrupted.root / "manifest.json").write_bytes(render_manifest(Manifest("shop")))
        (interrupted.root / "manifest.json").chmod(before)
    state = interrupted.read(["manifest.json"])["manifest.json"]
    assert (state.kind, state.mode) == (FileKind.FILE, after)
    assert list(parse_manifest(state.content).entries) == [Address.parse("servers/api")]


@pytest.mark.parametrize("path", [".certgen", ".certgen/new", ".certgen/new/0", ".certgen/journal"])
def test_what_was_committed_to_is_not_thrown_away_because_it_cannot_be_looked_at(
    interrupted: Tree, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """At the first look, at the second, and so on, until there are no more looks to refuse."""
    lstat, is_done = os.lstat, False
    for number in range(1, 100):
        looks = count(1)

        def refuse(found: str | Path, number: int = number, looks: Iterator[int] = looks) -> os.stat_result:
            if Path(found) == interrupted.root / path and next(looks) == number:
                raise OSError(errno.EIO, "Input/output error", str(found))
            return lstat(found)

        with writing(interrupted.root) as writer:
            monkeypatch.setattr(os, "lstat", refuse)
            try:
                recovery = writer.recover()
            except CertgenError:
                pass
            else:
                assert recovery is Recovery.COMPLETED or is_done
                break
            finally:
                monkeypatch.setattr(os, "lstat", lstat)
            is_done = (interrupted.root / "servers/api/key.pem").exists()
            assert (interrupted.root / ".certgen/new/1").exists() != is_done
            assert (interrupted.root / ".certgen/journal").exists() or is_done
    assert number > 1
    assert (interrupted.root / "servers/api/key.pem").exists()


def test_of_a_batch_the_rest_is_moved_where_the_first_was_already(tree: Tree) -> None:
    """The run was killed between the two."""
    paths = ("servers/api/key.pem", "servers/api/cert.pem")
    with writing(tree.root) as writer:
        writer.commit([FileWrite(path, b"old", 0o600) for path in paths])
        content = (tree.root / ".certgen/journal").read_bytes()
        journal = parse_journal(content)
        assert journal is not None
        first, second = journal.staged().values()
        (tree.root / ".certgen/new" / second).write_bytes(b"new")
        assert not (tree.root / ".certgen/new" / first).exists()
    assert [(tree.root / path).read_bytes() for path in paths] == [b"old", b"new"]
    assert not tree.is_interrupted()


def test_a_journal_beside_which_nothing_is_staged_is_removed(tree: Tree) -> None:
    (tree.root / ".certgen").mkdir(parents=True)
    (tree.root / ".certgen/journal").write_bytes(b"torn")
    with writing(tree.root) as writer:
        assert writer.recover() is Recovery.DISCARDED
    assert not tree.is_interrupted()


def test_a_manifest_that_is_up_to_date_already_is_not_written_again(interrupted: Tree) -> None:
    path = interrupted.root / "manifest.json"
    path.write_bytes(render_manifest(Manifest("shop", {Address.parse("servers/api"): ManifestEntry("k")})))
    before = path.stat()
    with writing(interrupted.root) as writer:
        assert writer.recover() is Recovery.COMPLETED
    assert os.path.samestat(path.stat(), before)


@pytest.mark.parametrize("extends", [False, True])
def test_the_journal_says_whether_it_adds_to_the_manifest(tree: Tree, extends: bool) -> None:
    with writing(tree.root) as writer:
        writer.begin("shop", extends=extends)
        writer.commit([FileWrite("servers/api/cert.pem", b"x", 0o644)])
        journal = parse_journal((tree.root / ".certgen/journal").read_bytes())
        writer.finish()
    assert journal is not None
    assert journal.extends is extends


def test_a_mode_is_changed_without_a_link_being_followed(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "servers/api").mkdir(parents=True)
    path = tree.root / "servers/api/key.pem"
    path.touch(0o644)
    with writing(tree.root) as writer:
        writer.change_mode("servers/api/key.pem", 0o640)
        assert path.stat().st_mode & 0o777 == 0o640
        (tmp_path / "away").mkdir()
        (tmp_path / "away/key.pem").touch(0o600)
        (tree.root / "servers/web").symlink_to(tmp_path / "away")
        (tree.root / "servers/api/link.pem").symlink_to(tmp_path / "away/key.pem")
        for name in ("servers/web/key.pem", "servers/api/link.pem"):
            with pytest.raises(CertgenError, match="cannot be written"):
                writer.change_mode(name, 0o644)
    assert (tmp_path / "away/key.pem").stat().st_mode & 0o777 == 0o600


# What names no file itself


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    root = tmp_path / "shop"
    real = getattr(os, call)

    def refuse(descriptor: int, *more: bytes) -> int:
        if os.fstat(descriptor).st_ino == (root / ".certgen/journal").stat().st_ino:
            raise OSError(errno.ENOSPC, "No space left on device")
        length: int = real(descriptor, *more)
        return length

    with writing(root) as writer:
        monkeypatch.setattr(os, call, refuse)
        with pytest.raises(CertgenError) as caught:
            writer.commit([FileWrite("servers/api/cert.pem", b"x", 0o644)])
        monkeypatch.undo()
    (problem,) = caught.value.diagnostics
    assert problem.where == str(root / ".certgen/journal")
    assert not (root / "servers/api/cert.pem").exists()


def test_a_file_whose_mode_cannot_be_changed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "key.pem").touch()

    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    with writing(root) as writer, pytest.raises(CertgenError) as caught:
        writer.change_mode("key.pem", 0o600)
    assert [problem.where for problem in caught.value.diagnostics] == [str(root / "key.pem")]
    with pytest.raises(CertgenError) as caught:
        append_private(tmp_path / "keys.log")
    assert [problem.where for problem in caught.value.diagnostics] == [str(tmp_path / "keys.log")]
