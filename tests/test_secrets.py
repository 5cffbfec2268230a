"""Private keys on their way to the disk, under strace: closed from creation, and no other process is told of them."""

import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from leaks import Hunt, forms
from traced import MadeFile, Trace, trace, trace_program

SPEC = """\
version: 1
ca: {}
servers:
  api: {sans: [localhost], key: {mode: "0640"}, snippets: {nginx: {listen: 8443, standalone: true}}}
clients:
  app: {key: {rotation: on-renewal}, snippets: [go]}
"""
SLOW_KEYS = """\
version: 1
ca: {}
clients: {a: {key: rsa-3072}, b: {key: rsa-3072}, c: {key: rsa-3072}, d: {key: rsa-3072}}
"""
"""Enough of them that other processes make them."""
PRIVATE_KEY = "PRIVATE KEY-----"
COMMANDS = {
    "init": ["init", "specs/new.yaml"],
    "validate": ["validate", "shop.yaml"],
    "plan": ["plan", "-v", "shop.yaml"],
    "apply": ["apply", "shop.yaml"],
    "plan again": ["plan", "--at", "+300d", "--json", "shop.yaml"],
    "re-key": ["apply", "shop.yaml", "--rekey", "servers/api", "--renew", "clients/app"],
    "verify": ["verify", "shop.yaml"],
    "inspect": ["inspect", "-v", "servers/api", "output/shop/cas/ca/key.pem"],
    "prove": ["prove", "shop.yaml"],
}
"""In this order, in one folder."""
WRITING = ("apply", "re-key", "prove")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name).resolve()


@pytest.fixture(scope="module")
def traces(folder: Path) -> Mapping[str, Trace]:
    """Every command under umask 000."""
    (folder / "shop.yaml").write_text(SPEC)
    found: dict[str, Trace] = {}
    for name, arguments in COMMANDS.items():
        if name == "re-key":
            (folder / "output/shop/servers/api/key.pem").write_text("a stranger's")
        found[name] = trace(arguments, folder, 0, watches_files=name in WRITING)
        assert found[name].code == (1 if name.startswith("plan") else 0), (name, found[name].err, found[name].out)
    return found


# Modes


def assert_closed_from_creation(file: MadeFile) -> None:
    """Demand that a file was never open to others than its final mode says, not even for as long as it was empty."""
    assert (file.is_new, oct(file.mode)) == (True, oct(0o600)), file.creation
    assert file.first_look in {0o600, None}, file.later
    assert set(map(oct, file.changes)) <= {oct(0o600), oct(0o640), oct(0o644)}, file.later


def private_files(traced: Trace) -> list[MadeFile]:
    return [file for file in traced.made(Path("/")) if file.holds(PRIVATE_KEY)]


def modes(folder: Path) -> dict[str, str]:
    """Give the modes of a folder and all below it."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {str(path.relative_to(folder)): oct(stat.S_IMODE(path.lstat().st_mode)) for path in paths}


@pytest.mark.parametrize(("name", "count"), [("apply", 3), ("re-key", 2)])
def test_a_private_key_is_closed_to_others_from_its_creation(
    traces: Mapping[str, Trace], folder: Path, name: str, count: int
) -> None:
    made = private_files(traces[name])
    assert len(made) == count
    for file in made:
        assert Path(file.path).is_relative_to(folder / "output/shop")
        assert_closed_from_creation(file)


def test_the_keys_that_prove_makes_are_closed_to_others_and_gone_when_it_ends(
    traces: Mapping[str, Trace], folder: Path
) -> None:
    made = private_files(traces["prove"])
    assert made, "ssl takes keys from files only"
    real = Hunt(*(path.read_bytes() for path in folder.glob("output/shop/*/*/key.pem")))
    assert real.found("\n".join(call.words for file in made for call in file.later)) == []
    for file in made:
        assert_closed_from_creation(file)
        assert not Path(file.path).parent.exists()
        folders = [call for call in traces["prove"].calls if call.name.startswith("mkdir") and not call.has_failed]
        assert any(f'"{Path(file.path).parent}", 0700' in call.words for call in folders), folders


@pytest.mark.parametrize("name", ["apply", "re-key"])
def test_whatever_is_staged_or_noted_is_closed_to_others_from_its_creation(
    traces: Mapping[str, Trace], folder: Path, name: str
) -> None:
    made = traces[name].made(folder / "output")
    assert len(made) > 5
    for file in made:
        if not file.path.endswith("/.certgen/lock"):
            assert_closed_from_creation(file)
        assert oct(file.mode) == oct(0o600), file.creation
        is_public = any(mode & 0o044 for mode in file.changes)
        assert not (is_public and "/.certgen/" in file.path and "/new/" not in file.path), file.later


@pytest.mark.parametrize("name", ["apply", "re-key"])
def test_no_mode_of_a_path_is_changed_that_a_reader_could_have_used(traces: Mapping[str, Trace], name: str) -> None:
    """A chmod of a name that is in place already comes too late."""
    late = [call for call in traces[name].calls if call.name in {"chmod", "fchmodat", "fchmodat2"}]
    assert [call for call in late if "key.pem.orig" not in call.words] == []


def test_no_folder_is_open_to_others_writing_whatever_the_umask(traces: Mapping[str, Trace], folder: Path) -> None:
    found = modes(folder / "output")
    open_to_all = {path: mode for path, mode in found.items() if int(mode, 8) & 0o022}
    assert (traces["apply"].code, open_to_all) == (0, {})
    folders = {path: mode for path, mode in found.items() if (folder / "output" / path).is_dir()}
    assert {mode for path, mode in folders.items() if ".certgen" not in path} == {"0o755"}
    made = [call for call in traces["apply"].calls if call.name.startswith("mkdir") and not call.has_failed]
    assert made
    assert [call for call in made if not call.words.endswith((" 0755", " 0700"))] == []


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_umask_opens_nothing_and_closes_no_key_too_late(tmp_path: Path, umask: int) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC)
    traced = trace(COMMANDS["apply"], tmp_path, umask, watches_files=True)
    assert traced.code == 0, traced.err
    for file in traced.made(tmp_path / "output"):
        if not file.path.endswith("/.certgen/lock"):
            assert_closed_from_creation(file)
    found = modes(tmp_path / "output/shop")
    assert [found[f"{path}/key.pem"] for path in ("cas/ca", "servers/api", "clients/app")] == [
        "0o600",
        "0o640",
        "0o600",
    ]
    assert {found[path] for path in found if path.endswith(("cert.pem", "ca.pem", ".conf"))} == {"0o644"}


def test_the_modes_of_a_whole_tree_under_umask_000(traces: Mapping[str, Trace], folder: Path) -> None:
    assert traces["re-key"].code == 0
    found = modes(folder / "output/shop")
    private = {
        path: mode for path, mode in found.items() if Path(path).name.startswith("key.pem") or ".certgen" in path
    }
    assert private.pop("servers/api/key.pem") == "0o640"
    assert private.pop(".certgen") == "0o700"
    assert set(private.values()) == {"0o600"}
    assert "servers/api/key.pem.orig" in private


def test_a_key_that_is_closed_too_late_would_be_seen(tmp_path: Path) -> None:
    program = 'import os; f = open("k", "x"); f.write("-----BEGIN PRIVATE KEY-----"); os.fchmod(f.fileno(), 0o600)'
    traced = trace_program([sys.executable, "-c", program], tmp_path, 0, watches_files=True)
    (file,) = private_files(traced)
    assert (file.mode, file.first_look, file.changes) == (0o666, 0o666, [0o600])
    with pytest.raises(AssertionError):
        assert_closed_from_creation(file)


# Processes


@pytest.mark.parametrize("name", COMMANDS)
def test_no_other_process_is_started_and_no_network_reached(traces: Mapping[str, Trace], name: str) -> None:
    assert traces[name].children() == []
    assert traces[name].connections() == []


def test_a_process_and_a_connection_would_be_seen(tmp_path: Path) -> None:
    program = (
        'import os, socket, subprocess, threading; subprocess.run(["true"]); '
        'threading.Thread(target=lambda: socket.socket().connect_ex(("127.0.0.1", 9))).start(); os.fork()'
    )
    traced = trace_program([sys.executable, "-c", program], tmp_path)
    assert {call.name for call in traced.children()} & {"execve"}
    assert len({call.name for call in traced.children()} & {"fork", "vfork", "clone", "clone3"}) > 0
    assert {call.name for call in traced.connections()} >= {"socket", "connect"}


def test_processes_that_make_keys_are_told_of_none(tmp_path: Path) -> None:
    """What a process is started with, arguments and environment, others can read."""
    (tmp_path / "shop.yaml").write_text(SLOW_KEYS)
    traced = trace(["apply", "--jobs", "2", "shop.yaml"], tmp_path)
    assert traced.code == 0, traced.err
    hunt = Hunt(*(path.read_bytes() for path in tmp_path.glob("output/shop/*/*/key.pem")))
    started = [call.words for call in traced.calls if call.name.startswith("execve")]
    forked = [call for call in traced.calls if call.name.startswith(("clone", "fork")) and "CLONE_VM" not in call.words]
    assert len(forked) >= 2, "keys were made in one process"
    assert len(started) == 1, "a forked process is told nothing"
    assert hunt.found("\n".join(started)) == []
    assert traced.connections() == []
    example = forms(next(tmp_path.glob("output/shop/*/*/key.pem")).read_bytes())["PEM in JSON"]
    assert hunt.found(f'execve("/usr/bin/openssl", ["openssl", {example}])')
