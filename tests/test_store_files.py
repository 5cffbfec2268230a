"""Reading what a person names, and writing the one file that is not of a tree."""

import errno
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from certgen.diagnostics import CertgenError
from certgen.store.files import create_file, find_readable, find_trees, read_beside, read_file
from certgen.tree import FileKind


def refused(text: str, output: Path) -> tuple[str, str]:
    with pytest.raises(CertgenError) as caught:
        find_readable(text, output)
    (problem,) = caught.value.diagnostics
    return problem.code, problem.help or ""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for path in ("shop/servers/api", "shop/clients/app", "zoo/servers/api"):
        folder = tmp_path / "output" / path
        folder.mkdir(parents=True)
        (folder / "cert.pem").write_text(path)
    return tmp_path / "output"


def test_a_file_is_read_as_it_is(output: Path) -> None:
    path = output / "shop/servers/api/cert.pem"
    assert find_readable(str(path), output) == [(str(path), b"shop/servers/api")]


def test_of_a_folder_every_pem_file_is_read(output: Path) -> None:
    (output / "shop/notes.txt").write_text("no")
    assert [content for _, content in find_readable(str(output / "shop"), output)] == [
        b"shop/clients/app",
        b"shop/servers/api",
    ]


def test_an_address_is_found_in_its_tree_and_may_be_qualified(output: Path) -> None:
    assert [content for _, content in find_readable("clients/app", output)] == [b"shop/clients/app"]
    assert [content for _, content in find_readable("zoo/servers/api", output)] == [b"zoo/servers/api"]


def test_an_address_of_several_trees_is_refused_with_both(output: Path) -> None:
    assert refused("servers/api", output) == ("ambiguous-address", "one of shop/servers/api, zoo/servers/api")


@pytest.mark.parametrize("text", ["", "servers/nobody", "../x", "a" * 5000, "a\nb"])
def test_what_is_neither_file_nor_address_is_refused(output: Path, text: str) -> None:
    code, help_ = refused(text, output)
    assert code == "not-found"
    assert "servers/api" in help_


def test_standard_input_is_read(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe")))
    assert find_readable("-", output) == [("standard input", b"from a pipe")]


@pytest.mark.parametrize("size", [1024 * 1024, 1024 * 1024 + 1])
def test_standard_input_beyond_the_limit_is_refused_and_not_cut(
    output: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"x" * size)))
    if size == 1024 * 1024:
        assert len(find_readable("-", output)[0][1]) == size
    else:
        assert refused("-", output)[0] == "unreadable"


def test_a_file_that_is_too_large_is_refused(output: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.pem"
    large.write_bytes(b"x" * (1024 * 1024 + 1))
    assert refused(str(large), output)[0] == "unreadable"
    large.write_bytes(b"x" * 1024 * 1024)
    assert len(find_readable(str(large), output)[0][1]) == 1024 * 1024


def test_a_link_to_a_file_that_a_person_names_is_followed(output: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pem"
    link.symlink_to(output / "shop/clients/app/cert.pem")
    assert find_readable(str(link), output) == [(str(link), b"shop/clients/app")]
    assert read_file(link).kind is FileKind.OTHER


def test_a_file_is_created_with_the_folders_above_it(tmp_path: Path) -> None:
    path = tmp_path / "a/b/spec.yaml"
    create_file(path, b"version: 1\n")
    assert path.read_bytes() == b"version: 1\n"


def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("mine")
    with pytest.raises(CertgenError) as caught:
        create_file(path, b"version: 1\n")
    assert [problem.code for problem in caught.value.diagnostics] == ["exists"]
    assert path.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(CertgenError) as caught:
        create_file(tmp_path / "a/spec.yaml", b"")
    assert [problem.code for problem in caught.value.diagnostics] == ["write-failed"]


def test_a_file_that_fails_while_it_is_read_is_told_as_such() -> None:
    state = read_file(Path("/proc/self/mem"))
    assert state.kind is FileKind.CLOSED
    assert state.reason == os.strerror(5)


def test_trees_are_the_folders_with_a_manifest(output: Path) -> None:
    (output / "shop/manifest.json").write_text("{}")
    assert find_trees(output) == (output / "shop",)


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


def test_a_file_that_may_not_be_opened_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    assert read_file(path).kind is FileKind.FILE
    monkeypatch.setattr(os, "open", refuse)
    state = read_file(path)
    assert (state.kind, state.reason) == (FileKind.CLOSED, "Permission denied")


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
