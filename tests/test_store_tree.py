"""The tree as it counts: what stands on the disk, and where a run was interrupted what its journal says."""

import os
from pathlib import Path

import pytest
from faults import Disk, KilledError
from scene import take_snapshot

from certgen.journal import Batch, render_batch, render_head
from certgen.manifest import Manifest, ManifestEntry, parse_manifest, render_manifest
from certgen.model import Address
from certgen.store.tree import Tree
from certgen.store.writer import FileWrite, writing
from certgen.tree import FileKind

API = Address.parse("servers/api")
LINE = ManifestEntry("k1", {"cert.pem": "d1"})


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "output/shop")


def test_a_tree_is_read_through_no_link(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "away/api").mkdir(parents=True)
    (tmp_path / "away/api/cert.pem").write_text("mine")
    tree.root.mkdir(parents=True)
    (tree.root / "servers").symlink_to(tmp_path / "away")
    (state,) = tree.read(["servers/api/cert.pem"]).values()
    assert (state.kind, state.content) == (FileKind.OTHER, b"")


@pytest.mark.parametrize(("path", "limit"), [("servers/api/key.pem", 64 * 1024), ("servers/api/cert.pem", 1024 * 1024)])
def test_a_file_has_the_limit_of_its_name(tree: Tree, path: str, limit: int) -> None:
    (tree.root / path).parent.mkdir(parents=True)
    kinds = []
    for size in (limit, limit + 1):
        (tree.root / path).write_bytes(b"x" * size)
        kinds.append(tree.read([path])[path].kind)
    assert kinds == [FileKind.FILE, FileKind.UNREADABLE]


def test_what_grows_with_the_fleet_may_be_long(tree: Tree) -> None:
    for path in ("servers/api/ca.pem", "manifest.json", ".certgen/keys"):
        (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / path).write_bytes(b"x" * 3_000_000)
        assert len(Tree(tree.root).read([path])[path].content) == 3_000_000


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_second_name_is_seen(tree: Tree, is_linked: bool) -> None:
    tree.root.mkdir(parents=True)
    (tree.root / "key.pem").write_text("x")
    if is_linked:
        (tree.root / "other").hardlink_to(tree.root / "key.pem")
    assert tree.read(["key.pem"])["key.pem"].is_linked is is_linked


# The folder


def test_a_folder_of_ones_own_is_one_to_write_into_and_so_is_none_at_all(tree: Tree) -> None:
    assert tree.folder_fault() == ""
    tree.root.mkdir(parents=True)
    assert tree.folder_fault() == ""


@pytest.mark.parametrize("which", ["output", "output/shop"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_folder_is_not_written_into(tree: Tree, tmp_path: Path, which: str, kind: str) -> None:
    path = tmp_path / which
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "away")
    if kind == "link":
        (tmp_path / "away").mkdir()
    assert str(path) in tree.folder_fault()


@pytest.mark.parametrize("which", ["output", "output/shop"])
@pytest.mark.parametrize("owner", [1234, 0, 4321])
def test_a_folder_of_somebody_else_is_not_written_into(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, owner: int
) -> None:
    tree.root.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    real = os.lstat

    def lstat(path: str | Path) -> os.stat_result:
        found = list(real(path))
        found[4] = owner if path == tmp_path / which else 4321
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", lstat)
    assert ("belongs to user 1234" in tree.folder_fault()) is (owner == 1234)


# An interrupted run


def interrupt(
    tree: Tree, *batches: Batch, extends: bool = True, inode: int | None = None, mark: int = 123_456_789
) -> None:
    """Leave a journal behind, as a run that was killed does."""
    (tree.root / ".certgen/new").mkdir(parents=True, exist_ok=True)
    (tree.root / ".certgen/new/0").touch()
    os.utime(tree.root / ".certgen/new/0", ns=(mark, mark))
    path = tree.root / ".certgen/journal"
    path.touch()
    head = render_head("shop", path.stat().st_ino if inode is None else inode, 123_456_789, extends=extends)
    path.write_bytes(head + b"".join(render_batch(batch) for batch in batches))


def stage(tree: Tree, number: str, content: bytes) -> None:
    path = tree.root / ".certgen/new" / number
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def content(tree: Tree, path: str) -> bytes | None:
    state = Tree(tree.root).read([path])[path]
    return state.content if state.kind is FileKind.FILE else None


def test_a_file_that_is_committed_to_is_read_where_it_waits_and_then_where_it_belongs(tree: Tree) -> None:
    stage(tree, "1", b"new")
    interrupt(tree, Batch({"servers/api/cert.pem": "1"}))
    assert content(tree, "servers/api/cert.pem") == b"new"
    assert "servers/api/cert.pem" in Tree(tree.root).paths()
    (tree.root / "servers/api").mkdir(parents=True)
    (tree.root / ".certgen/new/1").replace(tree.root / "servers/api/cert.pem")
    assert content(tree, "servers/api/cert.pem") == b"new"


def test_a_file_that_is_to_go_is_gone(tree: Tree) -> None:
    (tree.root / "servers/api").mkdir(parents=True)
    (tree.root / "servers/api/cert.pem").write_bytes(b"old")
    assert content(tree, "servers/api/cert.pem") == b"old"
    interrupt(tree, Batch(removes=("servers/api/cert.pem",)))
    assert content(tree, "servers/api/cert.pem") is None
    assert "servers/api/cert.pem" not in Tree(tree.root).paths()


def test_what_was_staged_and_not_committed_to_does_not_count(tree: Tree) -> None:
    stage(tree, "1", b"new")
    interrupt(tree)
    assert content(tree, "servers/api/cert.pem") is None
    assert Tree(tree.root).is_interrupted()


@pytest.mark.parametrize("stands", [None, b"", b"<<<<<<< ours"])
@pytest.mark.parametrize("extends", [True, False])
def test_the_manifest_is_read_with_what_the_journal_adds(tree: Tree, extends: bool, stands: bytes | None) -> None:
    before = Manifest("shop", {Address.parse("cas/root"): LINE})
    tree.root.mkdir(parents=True)
    if stands is not None:
        (tree.root / "manifest.json").write_bytes(stands or render_manifest(before))
    interrupt(tree, Batch(lines={API: LINE}), extends=extends)
    found = content(tree, "manifest.json")
    if stands:
        assert found == stands
    elif not extends:
        assert found == (None if stands is None else render_manifest(before))
    else:
        entries = {API: LINE} if stands is None else {**before.entries, API: LINE}
        assert parse_manifest(found or b"") == Manifest("shop", entries)


def test_a_journal_from_elsewhere_is_none(tree: Tree) -> None:
    """Git and copies bring neither the inode of its file along, nor the time of the one beside it."""
    stage(tree, "1", b"new")
    batch = Batch({"servers/api/cert.pem": "1"}, removes=("cas/root/key.pem",))
    interrupt(tree, batch)
    assert Tree(tree.root).journal() is not None
    interrupt(tree, batch, mark=123_456_790)
    assert Tree(tree.root).journal() is None
    interrupt(tree, batch, inode=1)
    assert Tree(tree.root).journal() is None
    assert content(tree, "servers/api/cert.pem") is None
    assert Tree(tree.root).is_interrupted()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "garbage"])
def test_a_journal_that_is_none_is_not_read_as_one(tree: Tree, tmp_path: Path, kind: str) -> None:
    path = tree.root / ".certgen/journal"
    path.parent.mkdir(parents=True)
    match kind:
        case "link":
            other = Tree(tmp_path / "other")
            interrupt(other, Batch(removes=("cas/root/key.pem",)))
            path.symlink_to(other.root / ".certgen/journal")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_bytes(b"garbage\n")
    assert Tree(tree.root).journal() is None


def test_a_tree_at_rest_is_not_interrupted(tree: Tree) -> None:
    with writing(tree.root) as writer:
        writer.commit([FileWrite("manifest.json", b"{}", 0o644)])
        assert Tree(tree.root).is_interrupted()
        writer.finish()
    assert not Tree(tree.root).is_interrupted()
    assert sorted(path.name for path in (tree.root / ".certgen").iterdir()) == ["lock"]


def test_the_version_changes_with_every_run_that_writes_and_with_no_other(tree: Tree) -> None:
    versions = [tree.version()]
    with writing(tree.root) as writer:
        writer.commit([FileWrite("manifest.json", b"{}", 0o644)])
        versions.append(tree.version())
        writer.finish()
    versions.append(tree.version())
    assert len(set(versions)) == 3
    tree.paths()
    tree.read(["manifest.json"])
    assert tree.version() == versions[-1]


def test_reading_writes_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(tree, "1", b"new")
    interrupt(tree, Batch({"servers/api/cert.pem": "1"}))
    before = take_snapshot(tree.root)
    with monkeypatch.context() as patch:
        Disk(1, kill=True).install(patch)
        again = Tree(tree.root)
        again.paths()
        again.read(["servers/api/cert.pem", "manifest.json"])
        again.seen_keys()
        with pytest.raises(KilledError):
            (tree.root / "control").mkdir()
    assert take_snapshot(tree.root) == before


# Where things are


def test_every_file_is_given_and_links_are_given_and_not_entered(tree: Tree, tmp_path: Path) -> None:
    for path in ("manifest.json", "servers/api/cert.pem", "servers/api/go/main.go", "clients/app/key.pem"):
        (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / path).touch()
    (tmp_path / "away").mkdir()
    (tmp_path / "away/secret").touch()
    (tree.root / "peers").symlink_to(tmp_path / "away")
    (tree.root / "clients/link").symlink_to(tmp_path / "away")
    expected = ["clients/app/key.pem", "clients/link", "manifest.json", "peers", "servers/api/cert.pem"]
    assert tree.paths() == [*expected, "servers/api/go/main.go"]


def test_files_that_lie_in_the_tree_are_told_by_their_paths(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "servers").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tree.root)
    files = [
        tree.root / "servers/../manifest.json",
        tmp_path / "link/servers/api",
        tmp_path / "output/shop2/key.pem",
        tmp_path / "elsewhere",
        tree.root,
    ]
    assert tree.inside(files) == {"manifest.json", "servers/api"}


def test_of_a_tree_that_is_not_there_every_file_is_absent(tree: Tree) -> None:
    found = tree.read(["manifest.json", "servers/api/cert.pem"])
    assert [state.kind for state in found.values()] == [FileKind.ABSENT, FileKind.ABSENT]


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("", FileKind.ABSENT),
        ("servers/", FileKind.ABSENT),
        ("servers/api/", FileKind.ABSENT),
        ("servers", FileKind.OTHER),
        ("servers/api", FileKind.OTHER),
    ],
)
def test_a_file_is_absent_where_its_folders_are_and_not_where_something_else_is(
    tree: Tree, made: str, kind: FileKind
) -> None:
    (tree.root / made).parent.mkdir(parents=True, exist_ok=True)
    if made.endswith("/") or not made:
        (tree.root / made).mkdir(exist_ok=True)
    else:
        (tree.root / made).touch()
    state = tree.read(["servers/api/cert.pem"])["servers/api/cert.pem"]
    assert state.kind is kind
    assert state.reason == ("a folder above is not one" if kind is FileKind.OTHER else "")


def test_a_tree_that_is_a_link_is_not_read(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away/manifest.json").touch()
    tree.root.parent.mkdir()
    tree.root.symlink_to(tmp_path / "away")
    state = tree.read(["manifest.json"])["manifest.json"]
    assert (state.kind, state.reason) == (FileKind.OTHER, "a folder above is not one")


# Behind one link


def publish(tree: Tree, generation: str = "..1", **contents: str) -> Path:
    """Put files of servers/api behind its one link, as certgen does."""
    folder = tree.root / "servers/api"
    for name, text in ({"cert.pem": "certificate", "envoy/trust.yaml": "trust"} | contents).items():
        place = folder / generation / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(f"{'../' * name.count('/')}..data/{name}")
    (folder / "..data").unlink(missing_ok=True)
    (folder / "..data").symlink_to(generation)
    return folder


def seen(tree: Tree, path: str) -> tuple[FileKind, bytes, str, bool]:
    state = Tree(tree.root).read([path])[path]
    return state.kind, state.content, state.generation, state.is_shown


@pytest.mark.parametrize(("name", "text"), [("cert.pem", b"certificate"), ("envoy/trust.yaml", b"trust")])
def test_a_file_is_read_in_the_generation_in_force_by_its_own_name(tree: Tree, name: str, text: bytes) -> None:
    publish(tree)
    assert seen(tree, f"servers/api/{name}") == (FileKind.FILE, text, "..1", True)
    assert Tree(tree.root).place(f"servers/api/{name}") == f"servers/api/..1/{name}"
    assert seen(tree, "servers/api/..data")[2:] == ("..1", False)
    (tree.root / "servers/api" / name).unlink()
    assert seen(tree, f"servers/api/{name}") == (FileKind.FILE, text, "..1", False)


def test_a_plain_file_stands_where_its_name_is(tree: Tree) -> None:
    folder = publish(tree)
    (folder / "cert.pem").unlink()
    (folder / "cert.pem").write_text("mine")
    assert seen(tree, "servers/api/cert.pem") == (FileKind.FILE, b"mine", "", False)
    assert Tree(tree.root).place("servers/api/cert.pem") == "servers/api/cert.pem"


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "..data/ca.pem", "../..data/cert.pem", "./..data/cert.pem", "..1/cert.pem"]
)
def test_a_name_that_leads_elsewhere_is_not_followed(tree: Tree, target: str) -> None:
    folder = publish(tree, **{"ca.pem": "roots"})
    (folder / "cert.pem").unlink()
    (folder / "cert.pem").symlink_to(target)
    assert seen(tree, "servers/api/cert.pem") == (FileKind.OTHER, b"", "", False)


@pytest.mark.parametrize("target", ["/etc", "../web/..1", "..01", "..1/", "..", "..data"])
def test_a_link_that_leads_to_no_generation_is_not_followed(tree: Tree, target: str) -> None:
    folder = publish(tree)
    (folder / "..data").unlink()
    (folder / "..data").symlink_to(target)
    state = Tree(tree.root).read(["servers/api/cert.pem"])["servers/api/cert.pem"]
    assert (state.kind, state.generation) == (FileKind.OTHER, "")
    assert state.reason == "..data leads to no generation beside it"


@pytest.mark.parametrize("where", ["..1", "..1/envoy"])
def test_a_generation_that_is_a_link_is_not_read(tree: Tree, tmp_path: Path, where: str) -> None:
    folder = publish(tree)
    (folder / where).rename(tmp_path / "away")
    (folder / where).symlink_to(tmp_path / "away")
    assert seen(tree, "servers/api/envoy/trust.yaml")[:2] == (FileKind.OTHER, b"")


def test_without_the_one_link_the_others_lead_nowhere_and_are_known_for_certgens(tree: Tree) -> None:
    publish(tree, "..9")
    folder = publish(tree, "..10", **{"cert.pem": "later"})
    (folder / "..data").unlink()
    assert seen(tree, "servers/api/cert.pem") == (FileKind.OTHER, b"", "", True)
    (folder / "cert.pem").unlink()
    assert seen(tree, "servers/api/cert.pem")[0] is FileKind.ABSENT
    assert Tree(tree.root).new_generation("servers/api") == "..11"


def test_what_stands_in_other_generations_is_read_by_its_place(tree: Tree, tmp_path: Path) -> None:
    publish(tree, "..1", **{"notes.txt": "mine"})
    folder = publish(tree, "..2")
    (folder / "..old").mkdir()
    (folder / "..old/key.pem").touch()
    (tmp_path / "away").mkdir()
    (tmp_path / "away/key.pem").touch()
    (folder / "..3").symlink_to(tmp_path / "away")
    found = Tree(tree.root).generations("servers/api")
    names = ["..1/cert.pem", "..1/envoy/trust.yaml", "..1/notes.txt"]
    assert {path: state.content for path, state in found.items()} == dict(
        zip([f"servers/api/{name}" for name in names], [b"certificate", b"trust", b"mine"], strict=True)
    )
    (folder / "..data").unlink()
    assert "servers/api/..2/cert.pem" in Tree(tree.root).generations("servers/api")


def test_a_file_that_is_gone_behind_its_link_is_absent(tree: Tree) -> None:
    folder = publish(tree)
    (folder / "..1/cert.pem").unlink()
    assert seen(tree, "servers/api/cert.pem") == (FileKind.ABSENT, b"", "..1", True)


def test_what_is_in_force_is_listed_by_its_names_and_the_rest_by_its_places(tree: Tree) -> None:
    publish(tree, "..1")
    folder = publish(tree, "..2")
    (folder / "..2/mine").touch()
    names = ["..1/cert.pem", "..1/envoy/trust.yaml", "..2/mine", "..data", "cert.pem", "envoy/trust.yaml"]
    assert tree.paths() == [f"servers/api/{name}" for name in names]


def test_the_links_are_among_what_a_stamp_remembers(tree: Tree) -> None:
    publish(tree)
    tree.read(["servers/api/cert.pem", "servers/api/key.pem"])
    looks = tree.looks()
    assert set(looks.files) == {"servers/api/cert.pem", "servers/api/..data", "servers/api/..1/cert.pem"}
    assert {"servers/api", "servers/api/..1"} <= set(looks.folders)
    assert "servers/api/key.pem" in looks.absent


def test_an_interrupted_change_of_generation_is_read_as_done(tree: Tree) -> None:
    folder = publish(tree)
    stage(tree, "1", b"new")
    stage(tree, "2", b"added")
    for number, target in (("3", "..2"), ("4", "..data/ca.pem")):
        (tree.root / ".certgen/new" / number).symlink_to(target)
    api = "servers/api"
    moves = {f"{api}/..2/cert.pem": "1", f"{api}/..2/ca.pem": "2", f"{api}/..data": "3", f"{api}/ca.pem": "4"}
    interrupt(tree, Batch(moves, removes=(f"{api}/envoy/trust.yaml",)))
    wanted = {
        f"{api}/cert.pem": (FileKind.FILE, b"new", "..2", True),
        f"{api}/ca.pem": (FileKind.FILE, b"added", "..2", True),
    }
    for path, number in moves.items():
        assert {name: seen(tree, name) for name in wanted} == wanted
        assert seen(tree, f"{api}/envoy/trust.yaml")[0] is FileKind.ABSENT
        (tree.root / path).parent.mkdir(exist_ok=True)
        (tree.root / ".certgen/new" / number).replace(tree.root / path)
    assert {name: seen(tree, name) for name in wanted} == wanted
    assert (folder / "cert.pem").read_bytes() == b"new"
