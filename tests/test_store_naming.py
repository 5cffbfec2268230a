"""What a person names is found, read and told to the letter; and the files that are written beside a tree."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.store.files import (
    create_file,
    explained,
    find_entry_folder,
    find_readable,
    read_beside,
    read_file,
)
from certgen.store.private import append_private
from certgen.tree import FileContent, FileKind, FileState

REMEDY = "mend that and run it again: what was begun is completed"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for path in ("shop/servers/api", "shop/clients/app", "zoo/servers/api"):
        folder = tmp_path / "output" / path
        folder.mkdir(parents=True)
        (folder / "cert.pem").write_text(path)
    return tmp_path / "output"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def only(caught: pytest.ExceptionInfo[CertgenError]) -> Diagnostic:
    (found,) = caught.value.diagnostics
    return found


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# An entry's folder


def test_the_folder_of_an_entry_is_found_by_its_address_or_by_itself(output: Path) -> None:
    assert find_entry_folder("clients/app", output) == output / "shop/clients/app"
    assert find_entry_folder("zoo/servers/api", output) == output / "zoo/servers/api"
    folder = output / "zoo/servers/api"
    assert find_entry_folder(str(folder), output) == folder
    assert find_entry_folder(str(folder), output / "elsewhere") == folder


def test_an_address_stands_before_a_folder_of_that_name(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(output / "shop")
    assert find_entry_folder("clients/app", output) == output / "shop/clients/app"
    assert find_entry_folder("clients/app", output / "zoo") == Path("clients/app")


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("app", "did you mean `clients/app`?"),
        ("api", "did you mean `servers/api`?"),
        ("nobody", "for example servers/api; `--help` names the option for that folder"),
        ("ap*", "for example servers/api; `--help` names the option for that folder"),
        ("a\0b", "for example servers/api; `--help` names the option for that folder"),
        ("servers/nobody", "for example servers/api; `--help` names the option for that folder"),
        ("a" * 5000, "for example servers/api; `--help` names the option for that folder"),
    ],
)
def test_a_folder_that_is_not_found_is_told_with_the_nearest(output: Path, text: str, help_: str) -> None:
    with pytest.raises(CertgenError) as caught:
        find_entry_folder(text, output)
    message = f"`{text}` is neither an entry below {output}/ nor a folder with cert.pem"
    assert only(caught) == error("not-found", message, help=help_, where=text)


def test_an_address_of_several_trees_is_told_with_all(output: Path) -> None:
    with pytest.raises(CertgenError) as caught:
        find_entry_folder("servers/api", output)
    help_ = "one of shop/servers/api, zoo/servers/api"
    assert only(caught) == error(
        "ambiguous-address", "`servers/api` is in several trees", help=help_, where="servers/api"
    )


# A file


def test_what_is_not_found_is_told(output: Path) -> None:
    with pytest.raises(CertgenError) as caught:
        find_readable("servers/nobody", output)
    message = f"`servers/nobody` is neither a file nor an entry below {output}/"
    help_ = "for example servers/api, or output/shop/servers/api/cert.pem"
    assert only(caught) == error("not-found", message, help=help_, where="servers/nobody")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "large.pem"
    path.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(CertgenError) as caught:
        find_readable(str(path), tmp_path)
    message = f"{path} cannot be read: it has more than 1048576 bytes"
    assert only(caught) == error("unreadable", message, where=str(path))


def test_only_the_regular_files_of_a_folder_are_read(output: Path) -> None:
    (output / "shop/folder.pem").mkdir()
    assert [name for name, _ in find_readable(str(output / "shop"), output)] == [
        str(output / "shop/clients/app/cert.pem"),
        str(output / "shop/servers/api/cert.pem"),
    ]


@pytest.mark.parametrize("kind", ["file", "link", "folder", "socket", "below a file"])
def test_a_state_is_told_with_its_mode_and_its_reason(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    path.touch(0o640)
    expected = FileState(FileKind.FILE, 0o640)
    if kind == "link":
        path = tmp_path / "link"
        path.symlink_to("thing")
        expected = FileState(FileKind.OTHER, mode_of(path), reason="a symbolic link, which is not followed")
    elif kind == "folder":
        path = tmp_path / "folder"
        path.mkdir(0o750)
        expected = FileState(FileKind.OTHER, 0o750, reason="not a regular file")
    elif kind == "socket":
        path = tmp_path / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        expected = FileState(FileKind.OTHER, mode_of(path), reason="not a regular file")
    elif kind == "below a file":
        path = tmp_path / "thing/below"
        expected = FileState(FileKind.OTHER, reason=os.strerror(errno.ENOTDIR))
    assert read_file(path) == expected


@pytest.mark.parametrize("code", [errno.EACCES, None])
def test_a_refusal_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    (tmp_path / "file").touch(0o640)

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code)) if code else OSError

    monkeypatch.setattr(os, "open", refuse)
    reason = os.strerror(code) if code else "it cannot be opened"
    assert read_file(tmp_path / "file") == FileState(FileKind.CLOSED, 0o640, reason=reason)
    assert read_file(tmp_path / "file/below") == FileState(FileKind.CLOSED, reason=reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.pem", "is outside the spec's folder"),
        ("link/root.pem", "is reached through a symbolic link, which is not followed"),
        ("link", "cannot be read: a symbolic link, which is not followed"),
        ("pki", "cannot be read: not a regular file"),
        ("absent.pem", "does not exist beside the spec"),
        (f"{'a' * 5000}/b", "cannot be read: File name too long"),
    ],
)
def test_what_a_spec_names_and_cannot_be_read_is_told(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pki")
    assert read_beside(tmp_path, name) == FileContent(None, reason)


# What is written beside a tree


def test_a_new_file_is_readable_by_all_and_one_that_exists_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a/b/spec.yaml"
    create_file(path, b"version: 1\n")
    assert mode_of(path) == 0o644
    with pytest.raises(CertgenError) as caught:
        create_file(path, b"version: 2\n")
    message = f"{path} exists, and it is left as it is"
    assert only(caught) == error("exists", message, help="name another file", where=str(path))
    assert path.read_bytes() == b"version: 1\n"


@pytest.mark.parametrize("mode", [None, 0o644, 0o600])
def test_a_private_file_is_made_private_and_keeps_what_it_holds(tmp_path: Path, mode: int | None) -> None:
    path = tmp_path / "keys.log"
    if mode is not None:
        path.touch(mode)
        path.write_text("before")
    append_private(path)
    assert mode_of(path) == 0o600
    assert path.read_text() == ("before" if mode is not None else "")


@pytest.mark.parametrize(("kind", "reason"), [("link", "Too many levels"), ("pipe", ""), ("folder", "Is a directory")])
def test_a_private_file_is_a_regular_one(tmp_path: Path, kind: str, reason: str) -> None:
    path, target = tmp_path / "keys.log", tmp_path / "target"
    target.touch(0o644)
    match kind:
        case "link":
            path.symlink_to(target)
        case "pipe":
            os.mkfifo(path, 0o644)
            reason = "it is not a regular file"
        case _:
            path.mkdir(0o755)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if kind == "pipe" else None
    before = mode_of(path)
    with pytest.raises(CertgenError) as caught:
        append_private(path)
    if reader is not None:
        os.close(reader)
    found = only(caught)
    assert (found.code, found.where, found.help) == ("write-failed", str(path), REMEDY)
    assert f"{path} cannot be written: {reason}" in found.message
    assert (mode_of(path), mode_of(target)) == (before, 0o644)


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CertgenError):
        append_private(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("reason", "is_exact", "place", "said"),
    [
        (OSError(errno.EIO, "Input/output error", "/a/b"), False, "/a/b", "Input/output error"),
        (OSError(errno.EIO, "Input/output error", "/a/b"), True, "/x", "Input/output error"),
        (OSError(errno.EIO, "Input/output error"), False, "/x", "Input/output error"),
        (OSError(errno.EIO, "Input/output error", 7), False, "/x", "Input/output error"),
        (OSError(errno.EIO, "Input/output error", Path("/a/b")), False, "/a/b", "Input/output error"),
        (OSError(), False, "/x", "OSError"),
    ],
)
def test_what_the_disk_refuses_is_told_with_its_place(reason: OSError, is_exact: bool, place: str, said: str) -> None:
    with pytest.raises(CertgenError) as caught, explained(Path("/x"), is_exact=is_exact):
        raise reason
    assert only(caught) == error("write-failed", f"{place} cannot be written: {said}", help=REMEDY, where=place)
    assert caught.value.__cause__ is reason


def test_a_private_file_is_private_from_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: modes.append(os.fstat(descriptor).st_mode & 0o777))
    append_private(tmp_path / "keys.log")
    assert modes == [0o600]


def test_a_file_is_read_no_further_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = os.read

    def watched(descriptor: int, length: int) -> bytes:
        asked.append(length)
        return real(descriptor, length)

    (tmp_path / "file").write_bytes(b"0123456789")
    monkeypatch.setattr(os, "read", watched)
    (tmp_path / "file").chmod(0o640)
    expected = FileState(FileKind.UNREADABLE, 0o640, reason="it has more than 4 bytes")
    assert read_file(tmp_path / "file", 4) == expected
    assert asked == [5]


@pytest.mark.parametrize("code", [errno.EIO, None])
def test_a_file_that_fails_while_it_is_read_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    opened: list[int] = []

    def failing(descriptor: int, _: int) -> bytes:
        opened.append(descriptor)
        raise OSError(code, os.strerror(code)) if code else OSError

    (tmp_path / "file").touch(0o640)
    monkeypatch.setattr(os, "read", failing)
    reason = os.strerror(code) if code else "it cannot be read"
    assert read_file(tmp_path / "file") == FileState(FileKind.CLOSED, 0o640, reason=reason)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"0123")
    real = os.fstat

    def before(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        (tmp_path / "file").write_bytes(b"0123456789")
        return found

    monkeypatch.setattr(os, "fstat", before)
    assert read_file(tmp_path / "file").content == b"0123456789"
    (tmp_path / "file").write_bytes(b"0123")
    assert read_file(tmp_path / "file", 8).kind is FileKind.UNREADABLE
