"""The steps of which writing consists: what each leaves on the disk, and what it says where the disk refuses."""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from certgen.store import disk


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def facts(reason: OSError) -> tuple[int | None, str | None, object]:
    return reason.errno, reason.strerror, reason.filename


# Files


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_new_file_has_its_content_and_its_mode(tmp_path: Path, mode: int) -> None:
    disk.create(tmp_path / "new", b"content", mode)
    assert ((tmp_path / "new").read_bytes(), mode_of(tmp_path / "new")) == (b"content", mode)
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "new", b"other", mode)
    assert (tmp_path / "new").read_bytes() == b"content"


def test_a_log_is_new_and_closed_to_others_and_grows(tmp_path: Path) -> None:
    log = disk.open_log(tmp_path / "log")
    disk.append(log, b"one\n")
    os.lseek(log, 0, os.SEEK_SET)
    disk.append(log, b"two\n")
    os.close(log)
    assert ((tmp_path / "log").read_bytes(), mode_of(tmp_path / "log")) == (b"one\ntwo\n", 0o600)
    with pytest.raises(FileExistsError):
        disk.open_log(tmp_path / "log")


def test_what_could_not_be_added_whole_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, refusal = disk.open_log(tmp_path / "log"), OSError(errno.ENOSPC, "No space left on device")
    disk.append(log, b"one\n")
    real = os.write
    lengths = iter([3, 2])

    def write_some(descriptor: int, content: bytes) -> int:
        length = next(lengths, None)
        if length is None:
            raise refusal
        return real(descriptor, content[:length])

    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(OSError, match="No space left") as caught:
        disk.append(log, b"two and more\n")
    assert caught.value is refusal
    lengths = iter([3, 99])
    disk.append(log, b"three\n")
    os.close(log)
    assert (tmp_path / "log").read_bytes() == b"one\nthree\n"


# Syncing


@pytest.mark.parametrize(("count", "has_syncfs", "each"), [(31, True, 31), (32, True, 0), (32, False, 32)])
def test_many_paths_are_synced_with_one_call_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, has_syncfs: bool, each: int
) -> None:
    paths = [tmp_path / str(number) for number in range(count)]
    for path in paths:
        path.touch()
    synced: list[int] = []
    whole: list[Path] = []

    def sync_whole(root: Path) -> bool:
        whole.append(root)
        return has_syncfs

    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(disk, "_sync_file_system", sync_whole)
    disk.sync(tmp_path, paths)
    assert (len(synced), whole) == (each, [tmp_path] * (count == 32))


@pytest.mark.parametrize("code", [0, errno.EIO])
def test_the_file_system_is_synced_and_says_when_it_could_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    seen: list[tuple[object, ...]] = []

    def syncfs(descriptor: int) -> int:
        seen.append((os.fstat(descriptor).st_ino,))
        return -1 if code else 0

    def load(*args: object, **options: object) -> object:
        seen.append((args, options))
        return SimpleNamespace(syncfs=syncfs)

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(ctypes, "get_errno", lambda: code)
    if code:
        with pytest.raises(OSError, match="Input/output error") as caught:
            disk.sync(tmp_path, [tmp_path] * 32)
        assert facts(caught.value) == (errno.EIO, "Input/output error", str(tmp_path))
    else:
        disk.sync(tmp_path, [tmp_path / "not there"] * 32)
    assert seen == [((None,), {"use_errno": True}), (tmp_path.stat().st_ino,)]


def test_elsewhere_each_file_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "fsync", synced.append)
    disk.sync(tmp_path, [tmp_path] * 40)
    assert len(synced) == 40


def test_what_cannot_be_synced_is_named_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def refuse(descriptor: int) -> None:
        opened.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error") as caught:
        disk.sync(tmp_path, [tmp_path])
    assert facts(caught.value) == (errno.EIO, "Input/output error", str(tmp_path))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


# Folders


def test_folders_are_made_with_their_modes_and_it_is_told_where_names_are_new(tmp_path: Path) -> None:
    root, made = tmp_path / "output/shop", set[str]()
    disk.make_folder(root, "servers/api/go", made)
    steps = [root, root / "servers", root / "servers/api", root / "servers/api/go"]
    assert [mode_of(step) for step in (tmp_path / "output", *steps)] == [0o755] * 5
    assert made == set(map(str, {tmp_path, tmp_path / "output", *steps}))
    made.clear()
    disk.make_folder(root, "servers/web", made)
    assert made == {str(root / "servers"), str(root / "servers/web")}
    disk.make_folder(root, ".certgen/new", made)
    assert [mode_of(root / path) for path in (".certgen", ".certgen/new")] == [0o700, 0o700]


@pytest.mark.parametrize("where", ["", "servers", "servers/api"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_stands_in_a_folders_place_is_named(tmp_path: Path, where: str, kind: str) -> None:
    root = tmp_path / "shop"
    path = root / where
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "away").mkdir()
    path.symlink_to(tmp_path / "away") if kind == "link" else path.touch()
    with pytest.raises(NotADirectoryError) as caught:
        disk.make_folder(root, "servers/api", set())
    assert facts(caught.value) == (errno.ENOTDIR, "a link or a file is in the way", str(path))
    assert list((tmp_path / "away").iterdir()) == []


def test_folders_that_hold_nothing_any_more_go(tmp_path: Path) -> None:
    for path in ("servers/api/go", "servers/web", "clients/app"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "clients/app/mine").touch()
    disk.remove_empty_folders(tmp_path, ["clients/app/key.pem", "servers/api/go/main.go", "servers/web/x", "gone/x"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "clients",
        "clients/app",
        "clients/app/mine",
    ]
    assert tmp_path.is_dir()


def test_a_folder_that_is_a_link_or_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "away/go").mkdir(parents=True)
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers/api").symlink_to(tmp_path / "away")
    disk.remove_empty_folders(tmp_path, ["servers/api/key.pem", "clients/gone/key.pem"])
    assert (tmp_path / "servers/api").is_symlink()


def test_a_folder_that_the_disk_does_not_let_go_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "servers/api").mkdir(parents=True)

    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "rmdir", refuse)
    with pytest.raises(OSError, match="Permission denied") as caught:
        disk.remove_empty_folders(tmp_path, ["servers/api/key.pem"])
    assert caught.value.filename == str(tmp_path / "servers/api")


# What is refused beforehand


@pytest.mark.parametrize(
    ("path", "place"),
    [("", "shop"), ("servers", "shop/servers"), ("servers/api", "shop/servers"), ("clients/app", "shop")],
)
def test_the_nearest_folder_that_is_there_has_to_be_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, place: str
) -> None:
    (tmp_path / "shop/servers").mkdir(parents=True)
    disk.refuse_closed(tmp_path / "shop", path, set())
    asked: list[tuple[object, ...]] = []

    def refuse(folder: str, mode: int, *, effective_ids: bool) -> bool:
        asked.append((folder, mode, effective_ids))
        return False

    monkeypatch.setattr(os, "supports_effective_ids", {refuse})
    monkeypatch.setattr(os, "access", refuse)
    with pytest.raises(PermissionError) as caught:
        disk.refuse_closed(tmp_path / "shop", path, set())
    assert facts(caught.value) == (errno.EACCES, "Permission denied", str(tmp_path / place))
    assert asked == [(str(tmp_path / place), os.W_OK | os.X_OK, True)]


def test_a_folder_on_another_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop/servers/api").mkdir(parents=True)
    real = os.stat

    def elsewhere(path: str | Path) -> os.stat_result:
        found = list(real(path))
        found[2] += str(path).endswith("/api")
        return os.stat_result(found)

    monkeypatch.setattr(os, "stat", elsewhere)
    disk.refuse_closed(tmp_path / "shop", "servers", set())
    with pytest.raises(OSError, match="file system") as caught:
        disk.refuse_closed(tmp_path / "shop", "servers/api", set())
    place = str(tmp_path / "shop/servers/api")
    assert facts(caught.value) == (errno.EXDEV, "it is on another file system than its tree", place)


def test_a_folder_in_a_files_place_is_refused(tmp_path: Path) -> None:
    disk.refuse_folder(tmp_path / "absent")
    (tmp_path / "file").touch()
    disk.refuse_folder(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path)
    disk.refuse_folder(tmp_path / "link")
    with pytest.raises(IsADirectoryError) as caught:
        disk.refuse_folder(tmp_path)
    assert facts(caught.value) == (errno.EISDIR, "a folder is in the way", str(tmp_path))


# Spares


def test_a_file_is_kept_under_the_first_name_that_is_free(tmp_path: Path) -> None:
    path, spare = tmp_path / "key.pem", tmp_path / "key.pem.orig"
    names = ["key.pem.orig", "key.pem.orig.2", "key.pem.orig.3"]
    for number, name in enumerate(names):
        path.unlink(missing_ok=True)
        path.write_text(str(number))
        path.chmod(0o644)
        disk.keep_second_name(path, spare)
        disk.keep_second_name(path, spare)
        assert mode_of(tmp_path / name) == 0o600
    assert [(tmp_path / name).read_text() for name in names] == ["0", "1", "2"]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kind", ["absent", "link", "folder"])
def test_what_is_no_file_is_not_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    (tmp_path / "target").touch()
    if kind == "link":
        path.symlink_to(tmp_path / "target")
    elif kind == "folder":
        path.mkdir()
    disk.keep_second_name(path, tmp_path / "key.pem.orig")
    assert not os.path.lexists(tmp_path / "key.pem.orig")


def test_no_more_than_a_thousand_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.pem").touch()
    (tmp_path / "other").touch()
    tried: list[str] = []

    def taken(_: Path, candidate: Path, **__: bool) -> None:
        tried.append(candidate.name)
        raise FileExistsError

    monkeypatch.setattr(os, "link", taken)
    monkeypatch.setattr(
        os, "lstat", lambda path: (tmp_path / ("key.pem" if path.name == "key.pem" else "other")).stat()
    )
    with pytest.raises(FileExistsError) as caught:
        disk.keep_second_name(tmp_path / "key.pem", tmp_path / "key.pem.orig")
    place = str(tmp_path / "key.pem.orig")
    assert facts(caught.value) == (errno.EEXIST, "a thousand spare keys are kept already", place)
    assert (len(tried), tried[0], tried[1], tried[-1]) == (
        999,
        "key.pem.orig",
        "key.pem.orig.2",
        "key.pem.orig.999",
    )
