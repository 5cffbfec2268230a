"""Files for a moment: closed to others from their first byte, and gone afterwards, however it ends."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults import Disk

from certgen.diagnostics import CertgenError
from certgen.store.scratch import scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for what is temporary."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@contextmanager
def umask(mode: int) -> Iterator[None]:
    """Let files be made with another mask."""
    before = os.umask(mode)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_file_is_its_owners_alone_in_a_folder_that_is_too(temporary: Path, mask: int) -> None:
    with umask(mask), scratch() as files:
        path = files.put(b"secret")
        assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"secret", 0o600, 0o700)
        assert path.parent.parent == temporary


def test_a_file_is_closed_before_it_holds_anything() -> None:
    modes: list[int] = []
    with umask(0o000), scratch() as files, pytest.MonkeyPatch.context() as patch:
        watched = Disk(watch=lambda call, path: modes.append(mode(Path(path))) if call == "open" else None)
        watched.install(patch)
        files.put(b"secret")
    assert modes == [0o600]


def test_no_file_takes_the_place_of_another() -> None:
    with scratch() as files:
        paths = [files.put(content) for content in (b"one", b"two", b"three")]
        assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three"]


def test_a_file_that_is_there_already_is_not_written_into(temporary: Path) -> None:
    with scratch() as files:
        (folder,) = temporary.iterdir()
        (folder / "1").symlink_to(temporary.parent / "elsewhere")
        with pytest.raises(CertgenError) as caught:
            files.put(b"secret")
    assert [problem.code for problem in caught.value.diagnostics] == ["write-failed"]
    assert not (temporary.parent / "elsewhere").exists()


def test_nothing_is_left(temporary: Path) -> None:
    with scratch() as files:
        files.put(b"secret")
        assert list(temporary.iterdir())
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_it_fails_either(temporary: Path, failure: type[BaseException]) -> None:
    def failing() -> None:
        with scratch() as files:
            files.put(b"secret")
            raise failure

    with pytest.raises(failure):
        failing()
    assert list(temporary.iterdir()) == []


def test_a_disk_that_is_full_is_told_in_words_and_nothing_is_left(temporary: Path) -> None:
    with scratch() as files, pytest.MonkeyPatch.context() as patch:
        Disk(2).install(patch)
        with pytest.raises(CertgenError) as caught:
            files.put(b"secret")
    (problem,) = caught.value.diagnostics
    assert (problem.code, "No space left on device" in problem.message) == ("write-failed", True)
    assert list(temporary.iterdir()) == []
