"""A journal that git, a copy or an attacker brought: it moves nothing, removes nothing, and leads nowhere."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults import Disk
from grounds import Ground, assert_readers_only_read, assert_settled, compiled_folder, ground_of
from hostile import MINE, look, require_root, typed
from samples import one_in

KEYS = ("cas/ca/key.pem", "servers/api/key.pem", "clients/app/key.pem")
KEPT = (*KEYS, "cas/ca/cert.pem", "servers/api/notes", "servers/api/link", "servers/linked", "notes")
"""What no journal of these tests may touch, and no renewal does."""

IN_THE_TREE: dict[str, dict[str, Any]] = {
    "removes a key": {"removes": ["cas/ca/key.pem", "servers/api/key.pem", "clients/app/key.pem"]},
    "removes a certificate": {"removes": ["cas/ca/cert.pem"]},
    "removes what is not certgen's": {"removes": ["servers/api/notes"]},
    "replaces a key": {"moves": {"cas/ca/key.pem": "1"}},
    "replaces another entry's key": {"moves": {"clients/app/key.pem": "1", "servers/api/key.pem": "2"}},
    "replaces what is not certgen's": {"moves": {"servers/api/notes": "1"}},
    "keeps a key and replaces it": {
        "moves": {"cas/ca/key.pem": "1"},
        "spares": {"cas/ca/key.pem": "cas/ca/key.pem.orig"},
    },
    "rewrites the manifest": {"moves": {"manifest.json": "1"}, "lines": {"cas/ca": None, "servers/api": None}},
}
"""What a journal of this machine's own may say, and one from elsewhere may not."""

OUT_OF_THE_TREE: dict[str, dict[str, Any]] = {
    "removes above": {"removes": ["../../outside/victim"]},
    "removes above, from an entry": {"removes": ["servers/api/../../../../outside/victim"]},
    "removes by an absolute path": {"removes": ["OUTSIDE/victim"]},
    "removes behind a link": {"removes": ["servers/api/link/victim"]},
    "removes a folder's link": {"removes": ["servers/linked/victim"]},
    "removes nothing that has a name": {"removes": ["", ".", "/", "servers", "servers/api", "servers/api/"]},
    "moves above": {"moves": {"../../outside/victim": "1"}},
    "moves to an absolute path": {"moves": {"OUTSIDE/victim": "1"}},
    "moves behind a link": {"moves": {"servers/api/link/victim": "1"}},
    "moves behind a folder's link": {"moves": {"servers/linked/victim": "1"}},
    "moves from outside": {"moves": {"servers/api/stolen": "../../../../outside/victim"}},
    "moves from an absolute path": {"moves": {"servers/api/stolen": "OUTSIDE/victim"}},
    "moves a link": {"moves": {"servers/api/ca.pem": "3"}},
    "moves what is no digit": {"moves": {"servers/api/ca.pem": "\u00b2"}},
    "moves what is no text": {"moves": {"servers/api/ca.pem": 1}},
    "keeps behind a link": {
        "moves": {"servers/api/ca.pem": "1"},
        "spares": {"servers/api/ca.pem": "servers/linked/key.pem.orig"},
    },
    "keeps above": {
        "moves": {"servers/api/ca.pem": "1"},
        "spares": {"servers/api/ca.pem": "../../outside/key.pem.orig"},
    },
    "a line of an entry above": {"lines": {"../outside": {"key": "0", "files": {"victim": None}}}},
    "a line that lists a file above": {"lines": {"servers/old": {"key": "0", "files": {"../../../victim": None}}}},
    "lists where mappings belong": {"moves": [], "spares": [], "lines": []},
    "mappings where lists belong": {"removes": {"servers/api/ca.pem": None}},
    "texts where lists belong": {"removes": "servers/api/ca.pem"},
    "nothing": {"moves": None, "spares": None, "removes": None, "lines": None},
    "numbers": {"removes": [10**300, -1, 1.5, None, True, []]},
}
"""What no journal may say at all: even where it claims to be this machine's own."""

RAW: dict[str, bytes] = {
    "nothing": b"",
    "a text": b"removes cas/ca/key.pem\n",
    "no digest": b'{"version": 1}\n',
    "bytes that are no text": bytes(range(256)) * 10,
    "deep lists": b"[" * 200_000 + b"\n",
    "many lines": b"0000000000000000 {}\n" * 100_000,
    "one long line": b"0" * 5_000_000,
}


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_folder() as folder:
        yield folder


def line(data: object) -> bytes:
    """Write a line as a journal has it: behind its digest, or it would be taken for a torn one."""
    text = json.dumps(data).encode()
    return hashlib.sha256(text).hexdigest()[:16].encode() + b" " + text + b"\n"


def prepared(ground: Ground) -> Path:
    """Put a user's own files and links into the tree, and files that a journal could move; give the journal's path."""
    (ground.outside / "victim").write_bytes(MINE)
    tree = ground.output / "shop"
    (tree / "servers/api/link").symlink_to(ground.outside)
    (tree / "servers/linked").symlink_to(ground.outside)
    for place in ("notes", "servers/api/notes"):
        (tree / place).write_bytes(MINE)
    staging = tree / ".certgen/new"
    staging.mkdir()
    for number in "12":
        (staging / number).write_bytes(b"hostile\n")
    (staging / "3").symlink_to(ground.outside / "victim")
    return tree / ".certgen/journal"


def write_journal(ground: Ground, path: Path, batch: dict[str, Any], *, is_own: bool) -> None:
    """Write a journal of one batch; its head says which file it is, as only one that was written here can."""
    path.touch(0o600)
    marked = path.parent / "new/0"
    marked.touch()
    head = {"version": 1, "name": "shop", "inode": path.lstat().st_ino + (not is_own), "extends": True}
    head["mark"] = marked.lstat().st_mtime_ns
    body = {"moves": {}, "spares": {}, "removes": [], "lines": {}, **batch}
    placed = json.loads(json.dumps(body).replace("OUTSIDE", str(ground.outside)))
    path.write_bytes(line(head) + line(placed))


def assert_nothing_moved(ground: Ground, case: str) -> None:
    """Demand that all reads and a run leave alone what is not theirs, and that the next run is as any other."""
    tree = ground.output / "shop"
    before, victims = {name: look(tree / name) for name in KEPT}, look(ground.outside)
    assert_readers_only_read(ground, case)
    answer = ground.run("apply")
    assert answer.code == 0 or (answer.code == 2 and "error[" in answer.err), answer
    assert {name: look(tree / name) for name in KEPT} == before
    assert look(ground.outside) == victims
    assert not (tree / "servers/api/stolen").exists()
    if answer.code == 2:
        sweep(tree)
        answer = ground.run("apply")
        assert answer.code == 0, answer
    assert_settled(ground)
    assert look(ground.outside) == victims
    assert not (tree / ".certgen/journal").exists()


def sweep(tree: Path) -> None:
    """Take away, as a person would, what a run says is in its way."""
    for path in (tree / ".certgen/new", tree / "servers/api/ca.pem"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink():
            path.unlink()
    (tree / ".certgen/journal").unlink(missing_ok=True)


@pytest.mark.parametrize("what", one_in(2, [*IN_THE_TREE, *OUT_OF_THE_TREE]))
def test_a_journal_from_elsewhere_moves_and_removes_nothing(compiled: Path, what: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = prepared(ground)
        write_journal(ground, path, {**IN_THE_TREE, **OUT_OF_THE_TREE}[what], is_own=False)
        assert_nothing_moved(ground, what)


@pytest.mark.parametrize("what", OUT_OF_THE_TREE)
def test_no_journal_leads_out_of_the_tree_be_it_this_machines_own(compiled: Path, what: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = prepared(ground)
        write_journal(ground, path, OUT_OF_THE_TREE[what], is_own=True)
        assert_nothing_moved(ground, what)


@pytest.mark.parametrize("what", RAW)
def test_what_is_no_journal_is_none(compiled: Path, what: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        prepared(ground).write_bytes(RAW[what])
        assert_nothing_moved(ground, what)


def test_a_journal_of_this_machines_own_is_carried_out(compiled: Path) -> None:
    """What the tests above demand would else hold of a product that reads no journal at all."""
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = prepared(ground)
        write_journal(ground, path, IN_THE_TREE["removes what is not certgen's"], is_own=True)
        answer = ground.run("apply")
        assert (answer.code, "interrupted run" in answer.err) == (0, True), answer
        assert not (ground.output / "shop/servers/api/notes").exists()


def interrupted(ground: Ground, patch: pytest.MonkeyPatch) -> None:
    """Kill a run after it has committed to something and before it has moved anything."""
    watched: list[str] = []
    disk = Disk(watch=lambda call, path: watched.append(f"{disk.calls} {call} {path}"))
    spare = ground.folder / "spare"
    shutil.copytree(ground.output, spare, symlinks=True)
    with patch.context() as within:
        disk.install(within)
        assert typed("apply", ground.folder / "shop.yaml", "-o", spare).code == 0
    moves = [entry for entry in watched if entry.split()[1] in {"rename", "replace"}]
    shutil.rmtree(spare)
    child = os.fork()
    if child == 0:
        try:
            Disk(int(moves[0].split()[0]), kill=True).install(patch)
            ground.run("apply")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (ground.output / "shop/.certgen/journal").stat().st_size


def test_a_copy_of_an_interrupted_tree_is_a_tree_without_a_journal(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        interrupted(ground, monkeypatch)
        kept = {name: (ground.output / "shop" / name).read_bytes() for name in KEYS}
        before = (ground.output / "shop/servers/api/cert.pem").read_bytes()
        copied = ground.folder / "copied"
        shutil.copytree(ground.output, copied, symlinks=True)
        assert ground.run("apply").code == 0
        assert (ground.output / "shop/servers/api/cert.pem").read_bytes() != before
        shutil.rmtree(ground.output)
        copied.rename(ground.output)
        answer = ground.run("apply")
        assert answer.code == 0, answer
        assert {name: (ground.output / "shop" / name).read_bytes() for name in KEYS} == kept
        assert_settled(ground)


def git(folder: Path, *arguments: str | Path, umask: int = 0o022) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, umask=umask)


def commit_all(folder: Path) -> None:
    """Add what the tree's `.gitignore` keeps out, too."""
    git(folder, "init", "-q")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", "all of it")


def test_a_clone_of_an_interrupted_tree_is_a_tree_without_a_journal(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        interrupted(ground, monkeypatch)
        path = ground.output / "shop/.certgen/journal"
        path.write_bytes(path.read_bytes() + line({"moves": {}, "spares": {}, "removes": list(KEYS), "lines": {}}))
        commit_all(ground.output)
        kept = {name: (ground.output / "shop" / name).read_bytes() for name in KEYS}
        away = ground.folder / "away"
        ground.output.rename(away)
        git(ground.folder, "clone", "-q", "--no-hardlinks", away, ground.output)
        shutil.rmtree(ground.output / ".git")
        answer = ground.run("apply")
        assert answer.code == 0, answer
        assert {name: (ground.output / "shop" / name).read_bytes() for name in KEYS} == kept
        assert_settled(ground)


@contextmanager
def file_system(folder: Path) -> Iterator[None]:
    """Mount one that is as new as that of a container: it counts its inodes from one."""
    require_root()
    folder.mkdir(exist_ok=True)
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", folder]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the kernel mounts nothing here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_a_journal_that_guessed_its_inode_removes_nothing(compiled: Path, umask: int) -> None:
    """A pipeline clones into an empty file system, always in one order, and puts the keys in place thereafter."""
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        assert ground.run("apply").code == 0
        kept = {name: (ground.output / "shop" / name).read_bytes() for name in KEYS}
        origin, clone = ground.folder / "origin", ground.folder / "clone"
        ground.output.rename(origin)
        for name in (*KEYS, ".certgen/keys"):
            (origin / "shop" / name).unlink()
        journal = origin / "shop/.certgen/journal"
        guess, inode, tries = -1, 10**9, 0
        while guess != inode:
            guess, tries = inode, tries + 1
            assert tries < 15, f"this file system does not count its inodes, so nothing was shown: {guess}"
            head = {"version": 1, "name": "shop", "inode": guess, "mark": time.time_ns(), "extends": True}
            (journal.parent / "new").mkdir(exist_ok=True)
            (journal.parent / "new/0").touch()
            body = {"moves": {}, "spares": {}, "removes": list(KEYS), "lines": {}}
            journal.write_bytes(line(head) + line(body))
            shutil.rmtree(origin / ".git", ignore_errors=True)
            commit_all(origin)
            with file_system(clone):
                git(ground.folder, "clone", "-q", "--no-local", origin, clone / "output", umask=umask)
                inode = (clone / "output/shop/.certgen/journal").lstat().st_ino
                for name, content in kept.items():
                    (clone / "output/shop" / name).write_bytes(content)
                    (clone / "output/shop" / name).chmod(0o600)
                answer = typed("apply", ground.folder / "shop.yaml", "-o", clone / "output")
                there = {name for name in KEYS if (clone / "output/shop" / name).exists()}
                assert (answer.code, there) == (0, set(KEYS)), (guess, inode, answer)
