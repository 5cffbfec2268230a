"""Files that are named, and those in folders that are: read once, and none of them written."""

import os
from pathlib import Path

import pytest
from scene import take_snapshot

from certgen.diagnostics import CertgenError
from certgen.store import gathering
from certgen.store.files import MAXIMUM_FILE
from certgen.store.gathering import gather


def refusal(*paths: Path) -> str:
    with pytest.raises(CertgenError) as caught:
        gather(paths)
    (problem,) = caught.value.diagnostics
    return f"{problem.code}: {problem.message}"


def test_a_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "server"
    file.write_bytes(b"content")
    assert gather([file]) == [(str(file), b"content")]


def test_of_a_folder_those_are_read_whose_names_end_so(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    for name in ("b.pem", "a.CRT", "deep/c.key", "deep/er/d.json", "e.yml", "f.txt", "g", "h.p12", "i.csr", "pem"):
        (tmp_path / name).write_bytes(name.encode())
    found = gather([tmp_path])
    assert [content.decode() for _, content in found] == ["a.CRT", "b.pem", "deep/c.key", "deep/er/d.json", "e.yml"]
    assert [path for path, _ in found] == [f"{tmp_path}/{content.decode()}" for _, content in found]


def test_nothing_that_is_read_is_touched(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(b"content")
    before = take_snapshot(tmp_path)
    gather([tmp_path, tmp_path / "a.pem"])
    assert take_snapshot(tmp_path) == before


def test_what_was_read_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(b"secret")
    assert repr(gather([tmp_path])) == f"[Gathered('{tmp_path}/a.pem')]"


def test_paths_keep_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.pem").write_bytes(name.encode())
    assert [content for _, content in gather([tmp_path / "b", tmp_path / "a"])] == [b"b", b"a"]


def test_a_link_to_a_file_is_read_and_what_leads_nowhere_or_up_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "other.pem").write_bytes(b"other")
    (folder / "link.pem").symlink_to("../other.pem")
    (folder / "nowhere.pem").symlink_to("nothing")
    (folder / "loop.pem").symlink_to("loop.pem")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe.pem")
    (folder / "folder.pem").mkdir()
    assert gather([folder]) == [(f"{folder}/link.pem", b"other")]


def test_a_link_to_a_folder_is_that_folder_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.pem").write_bytes(b"content")
    (tmp_path / "link").symlink_to("folder")
    assert gather([tmp_path / "link"]) == [(f"{tmp_path}/link/a.pem", b"content")]


def test_what_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.pem") == f"unreadable: {tmp_path}/a.pem does not exist"


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == f"unreadable: {tmp_path}/pipe cannot be read: not a regular file"


def test_a_file_that_is_too_large_is_passed_over_in_a_folder_and_an_error_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(bytes(MAXIMUM_FILE))
    assert len(gather([tmp_path])[0][1]) == MAXIMUM_FILE
    (tmp_path / "a.pem").write_bytes(bytes(MAXIMUM_FILE + 1))
    assert gather([tmp_path]) == []
    reason = f"unreadable: {tmp_path}/a.pem cannot be read: it has more than {MAXIMUM_FILE} bytes"
    assert refusal(tmp_path / "a.pem") == reason


def test_a_folder_of_too_many_files_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST_FILES", 2)
    for name in ("a.pem", "b.pem", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert len(gather([tmp_path])) == 2
    (tmp_path / "d.pem").write_bytes(b"")
    assert refusal(tmp_path).startswith(f"too-large: {tmp_path} has more than 2 files")
