"""Writing: whole files under final names, all of a batch or none of it, and a run that died is completed."""

import errno
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from faults import Disk, KilledError
from scene import take_snapshot

from certgen.diagnostics import CertgenError
from certgen.journal import Batch, Recovery, parse_journal, render_batch, render_head
from certgen.manifest import Manifest, ManifestEntry, parse_manifest, render_manifest
from certgen.model import Address
from certgen.store import disk as primitives
from certgen.store.lock import Patience
from certgen.store.tree import Tree
from certgen.store.writer import FileWrite, LinkWrite, Writer, writing

API = Address.parse("servers/api")
LINE = ManifestEntry("k1", {"cert.pem": "d1"})
PUBLIC = 0o644


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "output/shop"


@contextmanager
def writer_of(root: Path) -> Iterator[Writer]:
    with writing(root, Patience(0)) as writer:
        yield writer


def write(root: Path, *writes: FileWrite, removes: tuple[str, ...] = ()) -> None:
    with writer_of(root) as writer:
        writer.recover()
        writer.commit(writes, removes)
        writer.finish()


def contents(root: Path) -> dict[str, bytes]:
    """The files of the tree, this machine's notes aside."""
    found = take_snapshot(root)
    return {
        path: record.content
        for path, record in found.items()
        if stat.S_ISREG(record.mode) and not path.startswith(".certgen")
    }


def codes(caught: pytest.ExceptionInfo[CertgenError]) -> list[str]:
    return [problem.code for problem in caught.value.diagnostics]


# Whole files


def test_a_written_file_has_its_content_and_mode(root: Path) -> None:
    write(root, FileWrite("servers/api/key.pem", b"secret", 0o640), FileWrite("manifest.json", b"{}", PUBLIC))
    found = take_snapshot(root)
    assert contents(root) == {"servers/api/key.pem": b"secret", "manifest.json": b"{}"}
    assert stat.S_IMODE(found["servers/api/key.pem"].mode) == 0o640
    assert stat.S_IMODE(found["manifest.json"].mode) == PUBLIC


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_folders_are_closed_to_writers_and_the_machines_own_to_readers(root: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with writer_of(root) as writer:
            writer.commit([FileWrite("servers/api/cert.pem", b"x", PUBLIC)])
            modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in (".", "servers/api", ".certgen/new")}
            notes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root / ".certgen").iterdir()}
    finally:
        os.umask(before)
    assert modes == {".": 0o755 & ~mask, "servers/api": 0o755 & ~mask, ".certgen/new": 0o700}
    assert notes == {"lock": 0o600, "journal": 0o600, "new": 0o700}
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o755 & ~mask


def test_a_written_file_is_another_inode_so_that_a_reader_of_the_old_one_is_not_disturbed(root: Path) -> None:
    write(root, FileWrite("manifest.json", b"old", PUBLIC))
    with (root / "manifest.json").open("rb") as reader:
        write(root, FileWrite("manifest.json", b"new", PUBLIC))
        assert reader.read() == b"old"
    assert (root / "manifest.json").read_bytes() == b"new"


def test_a_second_name_of_a_file_keeps_its_content(root: Path, tmp_path: Path) -> None:
    write(root, FileWrite("manifest.json", b"old", PUBLIC))
    (tmp_path / "backup").hardlink_to(root / "manifest.json")
    write(root, FileWrite("manifest.json", b"new", PUBLIC))
    assert ((tmp_path / "backup").read_bytes(), (root / "manifest.json").read_bytes()) == (b"old", b"new")


def calls_of(root: Path, monkeypatch: pytest.MonkeyPatch, *writes: FileWrite) -> list[str]:
    calls: list[str] = []

    def note(call: str, path: str) -> None:
        calls.append(f"{call} {path.removeprefix(f'{root}/')}")

    with writer_of(root) as writer, monkeypatch.context() as patch:
        Disk(watch=note).install(patch)
        real = primitives._with_descriptor

        def with_descriptor(path: Path, call: Callable[[int], None]) -> None:
            calls.append(f"sync {os.path.relpath(path, root)}")
            real(path, call)

        patch.setattr(primitives, "_with_descriptor", with_descriptor)
        writer.commit(writes)
        writer.finish()
    return [call for call in calls if not call.startswith("fsync")]


def test_what_a_power_cut_must_find_is_synced_before_what_speaks_of_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = [FileWrite(f"servers/{name}/cert.pem", b"x", PUBLIC) for name in ("a", "b")]
    calls = calls_of(root, monkeypatch, *writes)
    steps = [call for call in calls if call.split()[0] in {"sync", "write", "replace", "unlink"}]
    journal = max(number for number, step in enumerate(steps) if step.startswith("write"))
    assert steps[journal + 1 :] == [
        "replace servers/a/cert.pem",
        "replace servers/b/cert.pem",
        "sync .",
        "sync servers",
        "sync servers/a",
        "sync servers/b",
        "unlink .certgen/journal",
        "unlink .certgen/new/0",
        "sync .certgen",
    ]
    before = {step for step in steps[:journal] if step.startswith("sync")}
    assert before == {
        "sync .certgen/new/0",
        "sync .certgen/new/1",
        "sync .certgen/new/2",
        "sync .certgen/new",
        "sync .certgen",
        "sync .",
        "sync ..",
        "sync ../..",
    }


def test_a_large_batch_is_written_as_a_small_one_is_with_one_sync_for_all(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 3 * primitives.SYNC_ALL_FROM
    writes = [FileWrite(f"servers/s{item}/cert.pem", b"x", PUBLIC) for item in range(number)]
    calls = calls_of(root, monkeypatch, *writes)
    assert len(contents(root)) == number
    assert [call for call in calls if call.startswith("sync")] == ["sync .", "sync .", "sync .certgen"]


def test_where_a_file_system_cannot_be_synced_as_a_whole_each_file_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primitives, "_sync_file_system", lambda _folder: False)
    number = primitives.SYNC_ALL_FROM
    calls = calls_of(root, monkeypatch, *(FileWrite(f"servers/s{n}/cert.pem", b"x", PUBLIC) for n in range(number)))
    assert sum(call.startswith("sync .certgen/new/") for call in calls) == number + 1


def test_a_disk_that_cannot_be_synced_as_a_whole_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    class Refusing:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def syncfs(self, _descriptor: int) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Refusing)
    writes = [FileWrite(f"servers/s{n}/cert.pem", b"x", PUBLIC) for n in range(primitives.SYNC_ALL_FROM)]
    with pytest.raises(CertgenError) as caught:
        write(root, *writes)
    assert "Input/output error" in caught.value.diagnostics[0].message
    assert contents(root) == {}


# All of a batch or none


@pytest.mark.parametrize("call", ["open", "write", "fchmod", "fsync"])
def test_a_write_that_fails_before_the_commit_leaves_everything_as_it_was(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write(root, FileWrite("servers/api/cert.pem", b"old", PUBLIC), FileWrite("manifest.json", b"old", PUBLIC))
    before = contents(root)
    with writer_of(root) as writer, monkeypatch.context() as patch:
        disk = Disk()
        patch.setattr(disk, "_count", _failing_at(call))
        disk.install(patch)
        with pytest.raises(CertgenError) as caught:
            writer.commit([FileWrite("servers/api/cert.pem", b"new", PUBLIC), FileWrite("servers/x/y", b"", PUBLIC)])
        patch.undo()
    assert codes(caught) == ["write-failed"]
    assert "No space left on device" in caught.value.diagnostics[0].message
    assert contents(root) == before
    assert not Tree(root).is_interrupted()


def _failing_at(wanted: str) -> Callable[[str, object], None]:
    def count(name: str, path: object) -> None:
        if name == wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return count


@pytest.mark.parametrize("call", ["mkdir", "replace", "unlink"])
def test_what_fails_after_the_commit_is_completed_by_the_next_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write(root, FileWrite("clients/gone/cert.pem", b"old", PUBLIC))
    with monkeypatch.context() as patch, writer_of(root) as writer:
        writer.commit([FileWrite("manifest.json", b"first", PUBLIC)])
        disk = Disk()
        patch.setattr(disk, "_count", _failing_at(call))
        disk.install(patch)
        with pytest.raises(CertgenError) as caught:
            writer.commit([FileWrite("servers/api/cert.pem", b"new", PUBLIC)], ["clients/gone/cert.pem"])
    assert codes(caught) == ["write-failed"]
    assert "run it again" in (caught.value.diagnostics[0].help or "")
    with writer_of(root) as writer:
        assert writer.recover() is Recovery.COMPLETED
    assert contents(root) == {"manifest.json": b"first", "servers/api/cert.pem": b"new"}
    assert not (root / "clients").exists()


def test_a_run_that_dies_at_any_call_has_done_all_of_a_batch_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set()
    for number in range(1, 100):
        root = tmp_path / str(number) / "shop"
        write(root, FileWrite("servers/api/cert.pem", b"old", PUBLIC), FileWrite("clients/a/cert.pem", b"old", PUBLIC))
        disk = Disk(number, kill=True)
        with monkeypatch.context() as patch:
            disk.install(patch)
            with suppress(KilledError):
                write(root, FileWrite("servers/api/cert.pem", b"new", PUBLIC), removes=("clients/a/cert.pem",))
        foreseen = {path: state.content for path, state in Tree(root).read(["servers/api/cert.pem"]).items()}
        with writer_of(root) as writer:
            recovery = writer.recover()
        found = contents(root)
        found.pop("manifest.json", None)
        assert foreseen["servers/api/cert.pem"] == found["servers/api/cert.pem"], disk.failed
        assert found in (
            {"servers/api/cert.pem": b"old", "clients/a/cert.pem": b"old"},
            {"servers/api/cert.pem": b"new"},
        ), disk.failed
        assert sorted(path.name for path in (root / ".certgen").iterdir()) == ["lock"]
        outcomes.add((recovery, len(found)))
        if not disk.failed:
            break
    assert number < 99
    assert outcomes == {
        (Recovery.NONE, 2),
        (Recovery.DISCARDED, 2),
        (Recovery.COMPLETED, 1),
        (Recovery.DISCARDED, 1),
        (Recovery.NONE, 1),
    }


def test_a_recovery_that_dies_is_completed_in_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 60):
        root = tmp_path / str(number) / "shop"
        interrupted(root, b"new")
        disk = Disk(number, kill=True)
        with monkeypatch.context() as patch:
            disk.install(patch)
            with suppress(KilledError), writer_of(root) as writer:
                writer.recover()
        with writer_of(root) as writer:
            writer.recover()
        assert contents(root)["servers/api/cert.pem"] == b"new", disk.failed
        assert parse_manifest((root / "manifest.json").read_bytes()).entries == {API: LINE}, disk.failed
        assert not Tree(root).is_interrupted()
        if not disk.failed:
            return
    raise AssertionError


def interrupted(root: Path, content: bytes, *, inode: int | None = None, path: str = "servers/api/cert.pem") -> None:
    """Leave behind what a run leaves that was killed right after it had committed."""
    staging = root / ".certgen/new"
    staging.mkdir(parents=True)
    (staging / "1").write_bytes(content)
    (staging / "2").write_bytes(b"not committed to")
    journal = begun_journal(root)
    head = render_head("shop", inode or journal.stat().st_ino, MARK, extends=True)
    journal.write_bytes(head + render_batch(Batch({path: "1"}, lines={API: LINE})))


MARK = 123_456_789


def begun_journal(root: Path) -> Path:
    """Make the journal's file, and the one beside it whose time it knows."""
    (root / ".certgen/new/0").touch()
    os.utime(root / ".certgen/new/0", ns=(MARK, MARK))
    (root / ".certgen/journal").touch()
    return root / ".certgen/journal"


def test_the_manifest_gets_the_lines_of_an_interrupted_run(root: Path) -> None:
    other = Address.parse("cas/root")
    write(root, FileWrite("manifest.json", render_manifest(Manifest("shop", {other: LINE})), PUBLIC))
    interrupted(root, b"new")
    with writer_of(root) as writer:
        assert writer.recover() is Recovery.COMPLETED
        assert writer.recover() is Recovery.NONE
    assert parse_manifest((root / "manifest.json").read_bytes()).entries == {other: LINE, API: LINE}
    assert contents(root)["servers/api/cert.pem"] == b"new"


def test_a_journal_from_elsewhere_moves_and_removes_nothing(root: Path) -> None:
    write(root, FileWrite("servers/api/cert.pem", b"old", PUBLIC))
    interrupted(root, b"new", inode=1)
    with writer_of(root) as writer:
        assert writer.recover() is Recovery.DISCARDED
    assert contents(root) == {"servers/api/cert.pem": b"old"}
    assert not Tree(root).is_interrupted()


def test_several_batches_are_completed_in_their_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(patch: pytest.MonkeyPatch) -> None:
        with writer_of(root) as writer:
            writer.commit([FileWrite(".gitignore", b"1", PUBLIC)])
            patch.setattr(Writer, "_publish", _die)
            writer.commit([FileWrite("servers/api/cert.pem", b"2", PUBLIC)], lines={API: LINE})

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        begin(patch)
    with writer_of(root) as writer:
        assert writer.recover() is Recovery.COMPLETED
    assert contents(root) == {
        ".gitignore": b"1",
        "servers/api/cert.pem": b"2",
        "manifest.json": render_manifest(Manifest("shop", {API: LINE})),
    }


def _die(*_: object) -> None:
    raise KilledError


@pytest.mark.parametrize("end", [KeyboardInterrupt, KilledError])
def test_a_run_that_is_told_to_end_leaves_a_tree_at_rest(root: Path, end: type[BaseException]) -> None:
    def begin() -> None:
        with writer_of(root) as writer:
            writer.commit([FileWrite("servers/api/cert.pem", b"x", PUBLIC)], lines={API: LINE})
            raise end

    with pytest.raises(end):
        begin()
    assert contents(root) == {
        "servers/api/cert.pem": b"x",
        "manifest.json": render_manifest(Manifest("shop", {API: LINE})),
    }
    assert not Tree(root).is_interrupted()


def test_a_run_that_commits_to_nothing_leaves_nothing(root: Path) -> None:
    with writer_of(root) as writer, pytest.raises(CertgenError):
        writer.commit([FileWrite("x" * 300, b"", PUBLIC)])
    assert not Tree(root).is_interrupted()


# What stands in the way


@pytest.mark.parametrize("path", ["servers/api/cert.pem", "servers/cert.pem"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_stands_in_place_of_a_folder_is_refused_before_the_commit(
    root: Path, tmp_path: Path, path: str, kind: str
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    root.mkdir(parents=True)
    if kind == "link":
        (root / "servers").symlink_to(away)
    else:
        (root / "servers").write_text("mine")
    with pytest.raises(CertgenError) as caught:
        write(root, FileWrite("manifest.json", b"x", PUBLIC), FileWrite(path, b"x", PUBLIC))
    assert codes(caught) == ["write-failed"]
    assert str(root / "servers") in caught.value.diagnostics[0].message
    assert list(away.iterdir()) == []
    assert not (root / "manifest.json").exists()
    assert not Tree(root).is_interrupted()


def test_a_folder_in_place_of_a_file_is_refused_before_the_commit(root: Path) -> None:
    (root / "servers/api/cert.pem").mkdir(parents=True)
    with pytest.raises(CertgenError) as caught:
        write(root, FileWrite("servers/api/cert.pem", b"x", PUBLIC))
    assert codes(caught) == ["write-failed"]
    assert not Tree(root).is_interrupted()


def test_a_folder_that_is_closed_is_refused_before_the_commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "servers").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, *_, **__: Path(path) != root / "servers")
    with pytest.raises(CertgenError) as caught:
        write(root, FileWrite("servers/api/cert.pem", b"x", PUBLIC))
    assert "servers cannot be written: Permission denied" in caught.value.diagnostics[0].message
    assert not Tree(root).is_interrupted()


@pytest.mark.parametrize("path", ["servers/api/cert.pem", "servers/cert.pem"])
def test_a_file_behind_a_link_is_not_removed_and_gets_no_mode(root: Path, tmp_path: Path, path: str) -> None:
    target = tmp_path / "away" / Path(path).relative_to("servers")
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    target.chmod(PUBLIC)
    root.mkdir(parents=True)
    (root / "servers").symlink_to(tmp_path / "away")
    before = take_snapshot(tmp_path / "away")
    with writer_of(root) as writer:
        with pytest.raises(CertgenError):
            writer.commit([], [path])
        with pytest.raises(CertgenError):
            writer.change_mode(path, 0o600)
    assert take_snapshot(tmp_path / "away") == before


def test_a_link_in_place_of_a_file_gets_no_mode(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    target.chmod(PUBLIC)
    root.mkdir(parents=True)
    (root / "key.pem").symlink_to(target)
    with writer_of(root) as writer, pytest.raises(CertgenError) as caught:
        writer.change_mode("key.pem", 0o600)
    assert codes(caught) == ["write-failed"]
    assert stat.S_IMODE(target.stat().st_mode) == PUBLIC


def test_a_leftover_of_a_dead_run_is_removed_and_not_followed(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    (root / ".certgen/new").mkdir(parents=True)
    (root / ".certgen/new/1").symlink_to(target)
    os.mkfifo(root / ".certgen/new/2")
    write(root, FileWrite("manifest.json", b"new", PUBLIC))
    assert target.read_text() == "mine"
    assert contents(root) == {"manifest.json": b"new"}
    assert not Tree(root).is_interrupted()


@pytest.mark.parametrize("name", [".certgen", ".certgen/new"])
def test_a_machine_folder_that_is_a_link_is_not_followed(root: Path, tmp_path: Path, name: str) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "mine").write_text("mine")
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(away)
    with pytest.raises(CertgenError) as caught:
        write(root, FileWrite("manifest.json", b"x", PUBLIC))
    assert codes(caught) == ["write-failed"]
    assert [path.name for path in away.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file")
    with pytest.raises(CertgenError) as caught, writing(tmp_path / "output/shop"):
        pass
    assert codes(caught) == ["write-failed"]


# Keeping and removing


def test_a_file_that_is_kept_keeps_its_content_under_a_free_name_and_is_closed(root: Path) -> None:
    write(root, FileWrite("servers/api/key.pem", b"first", PUBLIC))
    for content in (b"second", b"third"):
        write(root, FileWrite("servers/api/key.pem", content, 0o600, keep_old_as="servers/api/key.pem.orig"))
    folder = root / "servers/api"
    kept = {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
    assert kept == {
        "key.pem": (b"third", 0o600),
        "key.pem.orig": (b"first", 0o600),
        "key.pem.orig.2": (b"second", 0o600),
    }


def test_a_file_is_kept_once_also_by_a_run_that_died_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 60):
        root = tmp_path / str(number) / "shop"
        write(root, FileWrite("servers/api/key.pem", b"first", 0o600))
        with monkeypatch.context() as patch:
            disk = Disk(number, kill=True)
            disk.install(patch)
            with suppress(KilledError):
                write(root, FileWrite("servers/api/key.pem", b"next", 0o600, keep_old_as="servers/api/key.pem.orig"))
        with writer_of(root) as writer:
            writer.recover()
        found = contents(root)
        found.pop("manifest.json", None)
        assert found in (
            {"servers/api/key.pem": b"first"},
            {"servers/api/key.pem": b"next", "servers/api/key.pem.orig": b"first"},
        ), disk.failed
        if not disk.failed:
            return
    raise AssertionError


def test_a_link_is_not_kept(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "mine").chmod(PUBLIC)
    (root / "servers/api").mkdir(parents=True)
    (root / "servers/api/key.pem").symlink_to(tmp_path / "mine")
    write(root, FileWrite("servers/api/key.pem", b"new", 0o600, keep_old_as="servers/api/key.pem.orig"))
    assert [path.name for path in (root / "servers/api").iterdir()] == ["key.pem"]
    assert (tmp_path / "mine").read_text() == "mine"
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == PUBLIC


def test_a_removal_takes_the_empty_folders_along_and_no_other(root: Path) -> None:
    write(root, *(FileWrite(f"servers/{name}/cert.pem", b"x", PUBLIC) for name in ("api", "web")))
    (root / "servers/web/mine").write_text("mine")
    write(root, removes=("servers/api/cert.pem", "servers/web/cert.pem", "servers/gone/cert.pem"))
    assert [path.name for path in (root / "servers").rglob("*")] == ["web", "mine"]
    write(root, removes=("servers/web/mine",))
    assert [path.name for path in root.iterdir()] == [".certgen"]


def test_a_folder_that_goes_is_synced_in_the_one_above(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, *(FileWrite(f"servers/{name}/cert.pem", b"x", PUBLIC) for name in ("api", "web")))
    synced: list[Path] = []
    monkeypatch.setattr(primitives, "_with_descriptor", lambda path, _call: synced.append(Path(path)))
    write(root, removes=("servers/api/cert.pem",))
    assert root / "servers" in synced


def test_what_cannot_be_moved_is_named_by_where_it_belongs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, _target: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(CertgenError) as caught:
        write(root, FileWrite("servers/api/cert.pem", b"x", PUBLIC))
    message = f"{root}/servers/api/cert.pem cannot be written: Operation not permitted"
    assert caught.value.diagnostics[0].message == message


# Interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_a_batch_is_in_place(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    real = Writer._publish

    def publish(writer: Writer, batch: Batch, *, is_new: bool) -> None:
        signal.raise_signal(number)
        real(writer, batch, is_new=is_new)

    def end(_number: int, _frame: object) -> None:
        raise KilledError

    before = signal.signal(number, end)
    try:
        with writer_of(root) as writer, monkeypatch.context() as patch:
            patch.setattr(Writer, "_publish", publish)
            with pytest.raises(KilledError):
                writer.commit([FileWrite("manifest.json", b"x", PUBLIC)])
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    assert contents(root) == {"manifest.json": b"x"}


def test_another_thread_writes_without_a_word_about_signals(root: Path) -> None:
    thread = threading.Thread(target=write, args=(root, FileWrite("manifest.json", b"x", PUBLIC)))
    thread.start()
    thread.join()
    assert contents(root) == {"manifest.json": b"x"}


# What the journal says, and what it is of use for


def test_the_journal_begins_with_what_the_run_says_of_itself(root: Path) -> None:
    with writer_of(root) as writer:
        writer.begin("other", extends=False)
        writer.commit([FileWrite("manifest.json", b"{}", PUBLIC)])
        first = parse_journal((root / ".certgen/journal").read_bytes())
        writer.commit([FileWrite("servers/api/cert.pem", b"x", PUBLIC)])
        both = parse_journal((root / ".certgen/journal").read_bytes())
        writer.finish()
    assert first is not None
    assert both is not None
    assert (first.name, first.extends, len(first.batches)) == ("other", False, 1)
    assert (both.name, both.extends, len(both.batches)) == ("other", False, 2)


def test_a_run_that_only_removed_is_completed_with_its_manifest(root: Path) -> None:
    manifest = Manifest("shop", {API: LINE})
    write(root, FileWrite("manifest.json", render_manifest(manifest), PUBLIC))
    (root / ".certgen/new").mkdir()
    path = begun_journal(root)
    batch = Batch(removes=("servers/api/cert.pem",), lines={API: None})
    path.write_bytes(render_head("shop", path.stat().st_ino, MARK, extends=True) + render_batch(batch))
    with writer_of(root) as writer:
        assert writer.recover() is Recovery.COMPLETED
    assert parse_manifest((root / "manifest.json").read_bytes()) == Manifest("shop", {})


def test_who_writes_nothing_leaves_what_an_interrupted_run_left(root: Path) -> None:
    (root / ".certgen/new").mkdir(parents=True)
    (root / ".certgen/new/1").write_bytes(b"half")
    with writer_of(root) as writer:
        writer.finish()
    assert (root / ".certgen/new/1").read_bytes() == b"half"


def test_a_file_that_cannot_be_staged_is_named_by_where_it_belongs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(primitives, "create", refuse)
    with pytest.raises(CertgenError) as caught:
        write(root, FileWrite("servers/api/cert.pem", b"x", PUBLIC))
    (problem,) = caught.value.diagnostics
    assert problem.where == str(root / "servers/api/cert.pem")
    assert problem.message == f"{problem.where} cannot be written: No space left on device"


# Links


LINKS = (LinkWrite("servers/api/..data", "..2"), LinkWrite("servers/api/ca.pem", "..data/ca.pem"))
GENERATION = tuple(
    FileWrite(f"servers/api/..2/{name}", name.encode() + b" 2", PUBLIC) for name in ("cert.pem", "ca.pem", "a/b")
)


def first_generation(root: Path) -> Path:
    with writer_of(root) as writer:
        writer.commit(
            [FileWrite("servers/api/..1/cert.pem", b"cert.pem 1", PUBLIC)],
            links=[LinkWrite("servers/api/..data", "..1"), LinkWrite("servers/api/cert.pem", "..data/cert.pem")],
        )
        writer.finish()
    return root / "servers/api"


def test_links_are_put_in_place_after_all_that_they_lead_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = first_generation(root)
    done: list[tuple[str, str]] = []
    with monkeypatch.context() as patch:
        Disk(watch=lambda call, path: done.append((call, path))).install(patch)
        with writer_of(root) as writer:
            writer.commit(GENERATION, ["servers/api/..1/cert.pem"], links=LINKS)
            writer.finish()
    assert (folder / "cert.pem").read_bytes() == b"cert.pem 2"
    assert (folder / "ca.pem").read_bytes() == b"ca.pem 2"
    assert not (folder / "..1").exists()
    moved = [path for call, path in done if call in {"replace", "rename"}]
    assert [path.rpartition("/servers/api/")[2] for path in moved if "servers/api" in path] == [
        "..2/cert.pem", "..2/ca.pem", "..2/a/b", "..data", "ca.pem",
    ]  # fmt: skip
    swap = next(number for number, (_, path) in enumerate(done) if path.endswith("/..data"))
    last = max(number for number, (_, path) in enumerate(done) if path.endswith("..2/a/b"))
    assert any(call == "fsync" for call, _ in done[last:swap]), "what the link leads to is on the disk before it"


def test_a_reader_by_the_one_link_sees_one_generation_whenever_a_run_dies(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 200):
        here = root.parent / f"shop{number}"
        folder = first_generation(here)
        disk = Disk(number, kill=True)
        with monkeypatch.context() as patch:
            disk.install(patch)
            with suppress(KilledError, CertgenError), writer_of(here) as writer:
                writer.commit(GENERATION, ["servers/api/..1/cert.pem"], links=LINKS)
                writer.finish()
        generation = (folder / "..data").readlink()
        assert (folder / "cert.pem").read_bytes() == f"cert.pem {str(generation)[2:]}".encode(), number
        if str(generation) == "..2":
            assert {path.name for path in (folder / generation).iterdir()} == {"cert.pem", "ca.pem", "a"}, number
        with writer_of(here) as writer:
            writer.recover()
            writer.finish()
        assert str((folder / "..data").readlink()) in {"..1", "..2"}
        assert (folder / "cert.pem").read_bytes() == f"cert.pem {(folder / '..data').readlink().name[2:]}".encode()
        assert not (here / ".certgen/new").exists()
        if not disk.failed:
            break
    assert 15 < number < 199


@pytest.mark.parametrize("kind", ["folder", "no folder above"])
def test_a_link_that_could_not_be_put_in_place_is_refused_beforehand(root: Path, kind: str) -> None:
    folder = first_generation(root)
    if kind == "folder":
        (folder / "ca.pem").mkdir()
    else:
        (folder / "envoy").write_text("mine")
    links = [*LINKS, LinkWrite("servers/api/envoy/trust.yaml", "../..data/envoy/trust.yaml")]
    with writer_of(root) as writer, pytest.raises(CertgenError) as caught:
        writer.commit(GENERATION, links=links)
    assert codes(caught) == ["write-failed"]
    assert str((folder / "..data").readlink()) == "..1"
    assert not (folder / "..2").exists()


def test_a_mode_is_changed_where_the_file_stands(root: Path) -> None:
    folder = first_generation(root)
    with writer_of(root) as writer:
        writer.change_mode("servers/api/cert.pem", 0o600)
    assert stat.S_IMODE((folder / "..1/cert.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("is_behind", [True, False])
def test_the_file_that_a_new_one_is_for_is_kept_wherever_it_stands(root: Path, is_behind: bool) -> None:
    folder, old = first_generation(root), "servers/api/..1/key.pem" if is_behind else "servers/api/key.pem"
    (root / old).write_text("old")
    if is_behind:
        (folder / "key.pem").symlink_to("..data/key.pem")
    write_ = FileWrite("servers/api/..2/key.pem", b"new", 0o600, "servers/api/key.pem.orig", old)
    with writer_of(root) as writer:
        links = [LinkWrite("servers/api/..data", "..2"), LinkWrite("servers/api/key.pem", "..data/key.pem")]
        writer.commit([write_], links=links)
        writer.finish()
    assert (folder / "key.pem").read_bytes() == b"new"
    assert (folder / "key.pem.orig").read_bytes() == b"old"


def test_a_disk_without_links_says_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch, writer_of(root) as writer:
        patch.setattr(os, "symlink", refuse)
        with pytest.raises(CertgenError) as caught:
            writer.commit(GENERATION, links=LINKS)
    assert "has no symbolic links, without which `publish` can only be `files`" in caught.value.diagnostics[0].message
    assert not (root / "servers").exists()
