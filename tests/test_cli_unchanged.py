"""A run with nothing to do: what keeps a stamp, what breaks it, and what is said by it."""

import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stamped import Stamped, make, modules_after, settle, supply
from typed import run, run_as_program

import certgen
from certgen.cli.unchanged import answer
from certgen.stamp import Stamp, parse_stamp
from certgen.store import stamps

HEAVY = {"pydantic", "yaml", "jinja2", "cryptography", "click", "rich", "json", "re"}
COSTLY = {"enum", "signal", "dataclasses", "typing", "pathlib", "datetime", "collections", "contextlib", "hashlib"}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stamped]:
    return supply(tmp_path_factory.mktemp("stamped"), 81)


@pytest.fixture
def shop(shops: Iterator[Stamped]) -> Stamped:
    return next(shops)


def edit_in_place(path: Path) -> None:
    """Change a byte and leave size and time of modification as they were."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def put_in_place(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


def link_to_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    path.rename(copy)
    path.symlink_to(copy)


def put_a_link_in_place(path: Path) -> None:
    away = path.parents[len(path.parents) - 4] / f"away-{path.name}"
    path.rename(away)
    path.symlink_to(away)


def clone(shop: Stamped) -> None:
    """Put a copy in the place of everything, times and modes kept, the stamp included."""
    subprocess.run(["cp", "-a", shop.folder, f"{shop.folder}-copy"], check=True)
    shutil.rmtree(shop.folder)
    Path(f"{shop.folder}-copy").rename(shop.folder)


def make_other_tree(shop: Stamped) -> None:
    (shop.output / "other").mkdir()
    (shop.output / "other/manifest.json").write_text("{}")


BREAKS: dict[str, Callable[[Stamped], object]] = {
    "a certificate was edited in place": lambda shop: edit_in_place(shop.tree / "servers/api/cert.pem"),
    "a key was edited in place": lambda shop: edit_in_place(shop.tree / "servers/api/key.pem"),
    "a rendered file was edited in place": lambda shop: edit_in_place(shop.tree / "servers/api/a.conf"),
    "the manifest was edited in place": lambda shop: edit_in_place(shop.tree / "manifest.json"),
    "the ignore file was edited in place": lambda shop: edit_in_place(shop.tree / ".gitignore"),
    "the notes of this machine were edited": lambda shop: edit_in_place(shop.tree / ".certgen/keys"),
    "the notes of this machine are gone": lambda shop: (shop.tree / ".certgen/keys").unlink(),
    "the mode of a key is another": lambda shop: (shop.tree / "servers/api/key.pem").chmod(0o640),
    "a certificate is gone": lambda shop: (shop.tree / "clients/app/cert.pem").unlink(),
    "a certificate is a copy of itself": lambda shop: replace_by_a_copy(shop.tree / "clients/app/cert.pem"),
    "a certificate has a second name": lambda shop: os.link(shop.tree / "clients/app/cert.pem", shop.folder / "second"),
    "an entry's folder is a link to itself": lambda shop: put_a_link_in_place(shop.tree / "clients/app"),
    "a section's folder is a link to itself": lambda shop: put_a_link_in_place(shop.tree / "clients"),
    "a folder of rendered files is a link to itself": lambda shop: put_a_link_in_place(shop.tree / "servers/api/go"),
    "the tree is a link to itself": lambda shop: put_a_link_in_place(shop.tree),
    "the output is a link to itself": lambda shop: put_a_link_in_place(shop.output),
    "the whole is a copy of itself": clone,
    "a run is under way": lambda shop: (shop.tree / ".certgen/journal").touch(),
    "a run was interrupted": lambda shop: (shop.tree / ".certgen/new").mkdir(),
    "the spec was edited": lambda shop: shop.spec.write_text(shop.spec.read_text() + "  late: {}\n"),
    "the spec is gone": lambda shop: shop.spec.unlink(),
    "a file that the spec names was edited": lambda shop: (shop.spec.parent / "a.j2").write_text("other\n"),
    "a file that the spec names is a link to its copy": lambda shop: link_to_a_copy(shop.spec.parent / "a.j2"),
    "a file that the spec names is gone": lambda shop: (shop.spec.parent / "a.j2").unlink(),
    "another tree has come": make_other_tree,
    "the stamp is gone": lambda shop: shop.stamp.unlink(),
    "the stamp is cut": lambda shop: os.truncate(shop.stamp, shop.stamp.stat().st_size - 1),
    "the stamp is empty": lambda shop: os.truncate(shop.stamp, 0),
    "the stamp is a folder": lambda shop: put_in_place(shop.stamp, Path.mkdir),
    "the stamp is a pipe": lambda shop: put_in_place(shop.stamp, os.mkfifo),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_stamp_does_not_hold_where(shop: Stamped, what: str) -> None:
    assert shop.answer() == 0
    BREAKS[what](shop)
    assert shop.answer() is None
    assert shop.answer("plan") is None


KEEPS: dict[str, Callable[[Stamped], object]] = {
    "nothing was done": Stamped.answer,
    "the spec was touched": lambda shop: shop.spec.touch(),
    "the spec is a copy of itself": lambda shop: replace_by_a_copy(shop.spec),
    "the spec is a link to its copy": lambda shop: link_to_a_copy(shop.spec),
    "a file was read": lambda shop: (shop.tree / "servers/api/cert.pem").read_bytes(),
    "another file lies in the output": lambda shop: (shop.output / "notes").touch(),
    "the lock is gone": lambda shop: (shop.tree / ".certgen/lock").unlink(),
    "the tree was looked at by all": lambda shop: [shop.type(command) for command in ("plan", "verify", "prove")],
}


@pytest.mark.parametrize("what", KEEPS)
def test_a_stamp_holds_where(shop: Stamped, what: str) -> None:
    KEEPS[what](shop)
    assert shop.answer() == 0


def test_a_key_that_comes_back_breaks_a_stamp(shop: Stamped) -> None:
    """A clone without keys is in sync, and says so; the key that is put there is to be seen."""
    key = shop.tree / "servers/api/key.pem"
    key.rename(shop.folder / "key.pem")
    (shop.tree / ".certgen/keys").write_text("")
    shop.type()
    settle()
    assert "servers/api are not on this machine" in shop.type().err
    assert shop.answer() == 0
    (shop.folder / "key.pem").rename(key)
    assert shop.answer() is None


def test_the_clock_breaks_a_stamp(shop: Stamped, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it was judged, and from the first second at which something is due."""
    stamp = parse_stamp(shop.stamp.read_bytes())
    assert stamp is not None
    year = 365 * 86400
    made = stamp.judged - 10
    assert abs(stamp.due - (made + year * 2 // 3)) < 600, "a third before the end of the servers' certificates"
    for now, held in (
        (stamp.judged - 1, None),
        (stamp.judged, 0),
        (stamp.due - 1, 0),
        (stamp.due, None),
        (stamp.due + year, None),
    ):
        monkeypatch.setattr(time, "time", lambda now=now: now + 0.5)
        assert (now, shop.answer()) == (now, held)


def test_another_version_or_user_breaks_a_stamp(shop: Stamped, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert shop.answer() is None
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert shop.answer() == 0
    monkeypatch.setattr(stamps, "__version__", "0.2.0")
    assert shop.answer() is None
    assert certgen.__version__ in shop.stamp.read_text(errors="replace")


def test_another_installation_breaks_a_stamp(shop: Stamped, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(Path(certgen.__file__).parent, tmp_path / "certgen", ignore=shutil.ignore_patterns("golden"))
    monkeypatch.setattr(stamps, "_PACKAGE", str(tmp_path / "certgen"))
    assert shop.answer() is None


@pytest.mark.parametrize(
    "options",
    [
        ("--prune",),
        ("--prune", "--no-renew"),
        ("--renew", "servers/api"),
        ("--json",),
        ("-v",),
        ("--format", "text"),
        ("--unknown",),
        ("--color", "maybe"),
        ("--color=",),
        ("-o",),
        ("",),
        ("other.yaml",),
    ],
    ids=" ".join,
)
def test_what_was_not_judged_goes_the_long_way(shop: Stamped, options: tuple[str, ...]) -> None:
    assert shop.answer("apply", *options) is None


def test_other_commands_go_the_long_way(shop: Stamped) -> None:
    for command in ("verify", "validate", "prove", "init", "--help", "", "plan --exit-code"):
        assert answer([*command.split(), str(shop.spec), "-o", str(shop.output)]) is None
    assert answer([]) is None


def test_options_that_bear_on_the_judgement_have_a_stamp_of_their_own(shop: Stamped) -> None:
    assert shop.type("apply", "--no-renew").code == 0
    assert shop.answer("apply", "--no-renew", "--exit-code") == 0
    assert shop.answer("plan", "--no-renew") == 0
    assert shop.answer() is None
    assert shop.answer("plan", "--prune", "--no-renew") is None


def test_where_nothing_is_due_a_run_that_renews_nothing_needs_no_stamp_of_its_own(
    shop: Stamped, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("plan", "apply"):
        assert shop.answer(command, "--no-renew") == 0
        short = capsys.readouterr()
        ran = shop.type(command, "--no-renew")
        assert (ran.code, ran.out, ran.err) == (0, short.out, short.err)
        assert shop.type().code == 0, "the stamp is again that of a run that renews"


def test_what_changed_just_now_is_not_believed_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(stamps, "SETTLED", 10**12)
        assert shop.type().code == 0
        assert not shop.stamp.exists()
    settle()
    assert shop.type().code == 0
    assert shop.stamp.exists()


@pytest.mark.parametrize(
    ("written", "age", "is_left"),
    [(7, 5_000_000, False), (7, 500_000_000, True), (0, 500_000_000, False), (0, 2_500_000_000, True)],
    ids=["fine, just now", "fine, at rest", "coarse, just now", "coarse, at rest"],
)
def test_how_long_a_tree_must_be_at_rest_depends_on_its_file_system(
    shop: Stamped, monkeypatch: pytest.MonkeyPatch, written: int, age: int, is_left: bool
) -> None:
    shop.stamp.unlink()
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 + 8)
    unsettled = stamps._unsettled
    monkeypatch.setattr(stamps, "_unsettled", lambda _: unsettled(10**18 + written))
    stamps.write_stamp(str(shop.tree), some_stamp(), age)
    assert shop.stamp.exists() == is_left
    assert not (shop.tree / ".certgen/stamp.new").exists()


def test_a_file_system_whose_clock_is_another_is_believed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its times are those of the machine that has the disk."""
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 + 7)
    for ahead in (-60, 60):
        assert stamps._unsettled(10**18 + 7 + ahead * 10**9) == stamps.SETTLED + 60 * 10**9


def test_only_apply_leaves_a_stamp(shop: Stamped) -> None:
    shop.stamp.unlink()
    for command in ("plan", "verify", "validate", "prove"):
        shop.type(command)
        assert not shop.stamp.exists()
    shop.type("apply", "--renew", "servers/api")
    assert not shop.stamp.exists()


def test_a_tree_that_may_not_be_written_has_none(shop: Stamped, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stamp.unlink()

    def refuse(path: str, *_: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        stamps.write_stamp(str(shop.tree), some_stamp(), 10**9)
    assert not shop.stamp.exists()
    stamps.write_stamp(str(shop.tree), some_stamp(), 10**9)
    assert shop.stamp.exists()
    assert shop.stamp.stat().st_mode & 0o777 == 0o600


def some_stamp() -> Stamp:
    nothing: list[str] = []
    return Stamp(
        judge="j", spec="s", options="o", judged=0, due=0, inputs={}, trees=nothing, package=nothing, folders=nothing,
        files=nothing, facts=b"", said={}, outline=nothing,
    )  # fmt: skip


def test_what_a_dead_run_left_of_a_stamp_is_cleared(shop: Stamped) -> None:
    (shop.tree / ".certgen/stamp.new").write_bytes(b"half")
    assert shop.answer() is None
    assert shop.type().code == 0
    assert not (shop.tree / ".certgen/stamp.new").exists()
    assert shop.answer() == 0


def test_a_link_in_the_machines_folder_is_not_followed(shop: Stamped, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (shop.tree / ".certgen/stamp.new").symlink_to(tmp_path / "mine")
    assert shop.type().code == 0
    assert (tmp_path / "mine").read_text() == "mine"


# Several specs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders with two specs, of which one has another name than its file, and stamps in their trees."""
    folders = [tmp_path_factory.mktemp("pair") for _ in range(5)]
    for folder in folders:
        (folder / "specs").mkdir()
        for name, more in (("a", ""), ("b", "name: other\n")):
            (folder / f"specs/{name}.yaml").write_text(f"version: 1\n{more}ca: {{}}\nclients: {{app: {{}}}}\n")
    return settled(folders)


def settled(folders: list[Path]) -> Iterator[Path]:
    for wait in (settle, lambda: None):
        for folder in folders:
            with_specs = [str(folder / "specs/a.yaml"), str(folder / "specs/b.yaml")]
            assert run("apply", *with_specs, "-o", str(folder / "output")).code == 0
        wait()
    yield from folders


@pytest.fixture
def pair(pairs: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = next(pairs)
    monkeypatch.chdir(folder)
    for wait in (0, 1):
        assert run("apply").code == wait * 0
    return folder


@pytest.mark.usefixtures("pair")
def test_specs_that_are_not_named_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["apply"]) == 0
    assert capsys.readouterr().out == "a: nothing to do, 2 entries in sync\nother: nothing to do, 2 entries in sync\n"
    assert answer(["plan", "specs/b.yaml"]) == 0
    assert capsys.readouterr().out == "other: in sync, 2 entries\n"
    assert answer(["plan", "./specs/b.yaml", "-o", "output/", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_spec_that_comes_breaks_what_finds_it(pair: Path) -> None:
    (pair / "specs/c.yml").write_text("version: 1\nca: {}\n")
    assert answer(["apply"]) is None
    assert answer(["apply", "specs/a.yaml", "specs/b.yaml"]) == 0
    (pair / "specs/c.yml").rename(pair / "specs/.c.yml")
    assert answer(["apply"]) == 0


def test_a_spec_that_no_longer_claims_a_tree_breaks_the_others(pair: Path) -> None:
    """Its tree belongs to nobody then, of which every run over the folder warns."""
    assert run("apply", "specs/a.yaml").code == 0
    assert answer(["apply", "specs/a.yaml"]) == 0
    (pair / "specs/b.yaml").write_text("version: 1\nca: {}\nclients: {app: {}}\n")
    assert answer(["apply", "specs/a.yaml"]) is None
    assert "other belongs to no spec" in run("apply", "specs/a.yaml").err


# What is said


@pytest.mark.parametrize("command", ["apply", "plan"])
@pytest.mark.parametrize("options", [(), ("--color", "always"), ("--color=never",), ("-q",)], ids=" ".join)
def test_it_says_what_the_long_way_says(shop: Stamped, command: str, options: tuple[str, ...]) -> None:
    shop.type("apply", *options)
    arguments = shop.arguments(command, *options)
    assert answer(arguments) == 0
    short = run_as_program(*arguments)
    shop.stamp.unlink()
    long = run_as_program(*arguments)
    assert short == long
    assert ("ed25519" in short.err) != ("-q" in options), "a warning that the spec always has"


def test_it_says_the_same_on_a_terminal(shop: Stamped) -> None:
    said = []
    for _ in range(4):
        said.append(on_a_terminal(*shop.arguments("apply")))
        if len(said) == 3:
            assert "colored-" in shop.stamp.read_text(errors="replace")
            shop.stamp.unlink()
    assert len(set(said)) == 1
    assert "\x1b[" in said[0]


def on_a_terminal(*arguments: str) -> str:
    """Run the program with a terminal for both of its streams."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen([sys.executable, "-m", "certgen", *arguments], stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while part := screen.read(4096):
                shown += part
        except OSError:
            pass  # which is how a terminal says that the other end has gone
        assert process.wait(timeout=30) == 0
    return shown.decode()


def test_an_answer_that_nobody_can_take_is_told(shop: Stamped) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "certgen", *shop.arguments("apply")],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (
        2,
        "the answer cannot be written: No space left on device",
    )


# What it costs


def test_nothing_heavy_is_imported(shop: Stamped) -> None:
    modules, said = modules_after(*shop.arguments("apply"), folder=shop.folder)
    assert "shop: nothing to do" in said
    assert modules & (HEAVY | COSTLY) == set()
    own = {name for name in modules if name.startswith("certgen")}
    assert own == {
        "certgen",
        "certgen.cli",
        "certgen.cli.terminal",
        "certgen.cli.unchanged",
        "certgen.stamp",
        "certgen.store",
        "certgen.store.stamps",
    }
    shop.stamp.unlink()
    modules, said = modules_after(*shop.arguments("apply"), folder=shop.folder)
    assert modules >= {"pydantic", "yaml", "cryptography", "click", "re"}, "the long way has them all"


def test_each_file_is_looked_at_once_and_only_the_inputs_are_opened(
    shop: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    opened: list[str] = []
    look, open_ = os.lstat, os.open

    def noting_look(path: str) -> os.stat_result:
        looked.append(path)
        return look(path)

    def noting_open(path: str, flags: int) -> int:
        opened.append(path)
        return open_(path, flags)

    monkeypatch.setattr(os, "lstat", noting_look)
    monkeypatch.setattr(os, "open", noting_open)
    assert shop.answer() == 0
    inside = [path for path in looked if path.endswith(".pem")]
    assert len(inside) == len(set(inside)) == 3 * 3 + 2 * 2
    assert opened == [str(shop.stamp), str(shop.spec), str(shop.spec.parent / "a.j2")]
