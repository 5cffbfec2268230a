"""Rendered files in a tree: planned by their bytes, written alone, removed with what asked for them, never lost."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from faults import Disk, KilledError
from foreign.hierarchy import new_key
from samples import EVERY
from scene import NOW, Scene, says, take_snapshot
from values import WEB, a_file, change_at, codes, decide, digest, disk_of, member, shop, words
from values import Disk as Tree

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS
from certgen.diagnostics import CertgenError
from certgen.model import Artifact, Bundle, Snippet
from certgen.plan.derived import judge_artifacts
from certgen.plan.values import Action, Change, Plan, ReasonCode, TextChange
from certgen.report.paint import Style
from certgen.report.plan import difference, render_differences
from certgen.store.tree import Tree as DiskTree
from certgen.tree import ABSENT, FileKind, FileState
from certgen.verify.audit import verify

R = ReasonCode
SPEC = """\
    version: 1
    ca: {common_name: Shop CA}
    servers:
      api: {sans: api.shop.example, snippets: {nginx: {allow: [clients/checkout], standalone: true}}}
      web: {sans: shop.example, snippets: nginx}
    clients:
      checkout: {snippets: nginx}
      bare:
    """
CONF = "servers/api/nginx-server.conf"
WHOLE = "servers/api/nginx.conf"


@pytest.fixture
def shop_scene(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.apply()
    return scene


# Decided by their bytes


SERVER_CONF = Artifact("server.conf", b"ssl on;\n")
PART = Artifact("go/part.go", b"package part\n")


def with_snippets(*artifacts: Artifact) -> Bundle:
    """Make the usual bundle, its server with rendered files."""
    return shop(replace(member(WEB), snippets=(Snippet("some", artifacts),)))


def tree_with(*artifacts: Artifact) -> Tree:
    """Make the tree of such a bundle as `apply` leaves it."""
    disk = disk_of(with_snippets(*artifacts))
    disk.files[WEB] = {artifact.name: a_file(artifact.content) for artifact in artifacts}
    return disk


class TestTheDecision:
    def test_files_that_are_as_rendered_are_in_sync(self) -> None:
        assert decide(with_snippets(SERVER_CONF, PART), tree_with(SERVER_CONF, PART)).is_in_sync

    def test_a_missing_file_is_written_alone(self) -> None:
        disk = tree_with(SERVER_CONF, PART)
        del disk.files[WEB][PART.name]
        change = change_at(decide(with_snippets(SERVER_CONF, PART), disk), WEB)
        assert (change.action, codes(change), change.writes) == (Action.WRITE, [R.MISSING], (PART.name,))
        assert change.signing is None
        assert change.texts == (TextChange(PART.name, b"", PART.content),)

    def test_a_file_that_is_what_the_manifest_says_was_changed_by_the_spec(self) -> None:
        disk = tree_with(SERVER_CONF)
        now = Artifact(SERVER_CONF.name, b"ssl off;\n")
        disk.listed[WEB] = {SERVER_CONF.name: digest(SERVER_CONF.content)}
        change = change_at(decide(with_snippets(now), disk), WEB)
        assert (change.action, codes(change), change.writes) == (Action.WRITE, [R.OUTPUT_CHANGED], (now.name,))
        assert change.texts == (TextChange(now.name, SERVER_CONF.content, now.content),)

    def test_a_file_that_is_not_was_edited(self) -> None:
        entry = with_snippets(SERVER_CONF)[WEB]
        disk = tree_with(SERVER_CONF)
        recorded = disk.observed().manifest.entries[WEB]
        disk.files[WEB][SERVER_CONF.name] = a_file(b"ssl on; # mine\n")
        outputs = judge_artifacts(entry, disk.observed()[WEB], recorded)
        assert [(reason.code, reason.was, reason.what) for reason in outputs.reasons] == [
            (R.FILE_DRIFTED, "edited", SERVER_CONF.name)
        ]
        assert outputs.files == (SERVER_CONF.name,)

    def test_a_file_that_was_edited_to_what_is_wanted_is_no_change(self) -> None:
        disk = tree_with(SERVER_CONF)
        disk.listed[WEB] = {SERVER_CONF.name: digest(b"something older")}
        entry = with_snippets(SERVER_CONF)[WEB]
        outputs = judge_artifacts(entry, disk.observed()[WEB], disk.observed().manifest.entries[WEB])
        assert (outputs.reasons, outputs.texts) == ((), ())

    def test_without_a_line_in_the_manifest_a_difference_is_an_edit(self) -> None:
        disk = tree_with(SERVER_CONF)
        disk.files[WEB][SERVER_CONF.name] = a_file(b"other")
        outputs = judge_artifacts(with_snippets(SERVER_CONF)[WEB], disk.observed()[WEB], None)
        assert [reason.code for reason in outputs.reasons] == [R.FILE_DRIFTED]

    @pytest.mark.parametrize(
        "state", [FileState(FileKind.OTHER), FileState(FileKind.UNREADABLE, reason="permission denied")]
    )
    def test_what_is_no_file_that_can_be_read_is_no_rendered_file(self, state: FileState) -> None:
        empty = Artifact("empty.conf", b"")
        disk = tree_with(empty)
        disk.files[WEB][empty.name] = state
        outputs = judge_artifacts(with_snippets(empty)[WEB], disk.observed()[WEB], None)
        assert outputs.files == (empty.name,)
        assert judge_artifacts(with_snippets(empty)[WEB], tree_with(empty).observed()[WEB], None).files == ()

    def test_a_file_of_the_user_s_in_its_place_is_in_the_way(self) -> None:
        disk = disk_of(shop())
        disk.files[WEB] = {SERVER_CONF.name: a_file(b"mine")}
        found = decide(with_snippets(SERVER_CONF), disk)
        assert words(found.obstacles) == [("foreign-file", f"servers/web/{SERVER_CONF.name}")]

    def test_a_certificate_that_is_signed_anew_takes_the_snippets_that_changed_with_it_and_no_others(self) -> None:
        disk = tree_with(SERVER_CONF, PART)
        disk.files[WEB][PART.name] = ABSENT
        change = change_at(decide(with_snippets(SERVER_CONF, PART), disk, renew=[WEB]), WEB)
        assert (change.action, codes(change)) == (Action.RENEW, [R.REQUESTED, R.MISSING])
        assert change.writes == ("cert.pem", PART.name)

    def test_a_first_certificate_comes_with_all_its_snippets_and_says_only_that_it_is_missing(self) -> None:
        disk = disk_of(shop())
        disk.lose(WEB)
        for known in (disk.recorded, disk.signed_by):
            known.pop(WEB)
        disk.seen.clear()
        change = change_at(decide(with_snippets(SERVER_CONF, PART), disk), WEB)
        assert (change.action, codes(change)) == (Action.ISSUE, [R.MISSING])
        assert change.writes == ("key.pem", "cert.pem", "ca.pem", SERVER_CONF.name, PART.name)

    def test_the_chain_and_a_snippet_are_written_in_one_change(self) -> None:
        disk = tree_with(SERVER_CONF)
        disk.files[WEB] = {"ca.pem": a_file(b"edited")}
        disk.anchors[WEB] = ()
        change = change_at(decide(with_snippets(SERVER_CONF), disk), WEB)
        assert change.writes == ("ca.pem", SERVER_CONF.name)

    def test_an_entry_whose_key_is_elsewhere_keeps_its_snippets_up_to_date(self) -> None:
        disk = tree_with(SERVER_CONF)
        disk.lose_keys()
        del disk.files[WEB][SERVER_CONF.name]
        change = change_at(decide(with_snippets(SERVER_CONF), disk), WEB)
        assert (change.action, change.writes) == (Action.WRITE, (SERVER_CONF.name,))


# In a tree


class TestTheTree:
    def test_the_files_stand_beside_the_certificate_for_all_to_read(self, shop_scene: Scene) -> None:
        found = {
            path: record.mode & 0o777
            for path, record in take_snapshot(shop_scene.tree).items()
            if path.endswith(".conf")
        }
        assert found == {
            CONF: 0o644,
            WHOLE: 0o644,
            "servers/web/nginx-server.conf": 0o644,
            "clients/checkout/nginx-upstream.conf": 0o644,
        }

    def test_a_missing_file_is_written_again_and_nothing_else_is_touched(self, shop_scene: Scene) -> None:
        before = (shop_scene.tree / CONF).read_bytes()
        (shop_scene.tree / CONF).unlink()
        applied = shop_scene.apply()
        assert applied.changes == {"servers/api": "write: missing"}
        assert applied.touched == {CONF}
        assert (shop_scene.tree / CONF).read_bytes() == before

    def test_an_edited_file_is_written_over_and_nothing_else_is_touched(self, shop_scene: Scene) -> None:
        with (shop_scene.tree / CONF).open("a") as file:
            file.write("# mine\n")
        applied = shop_scene.apply()
        assert applied.changes == {"servers/api": "write: file_drifted"}
        assert applied.touched == {CONF}
        assert "# mine" not in (shop_scene.tree / CONF).read_text()

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\n" * 10000])
    def test_whatever_stands_in_its_place_is_written_over(self, shop_scene: Scene, content: bytes) -> None:
        (shop_scene.tree / CONF).write_bytes(content)
        assert shop_scene.apply().touched == {CONF}

    def test_a_change_of_the_spec_is_told_from_an_edit(self, shop_scene: Scene) -> None:
        shop_scene.edit(("allow: [clients/checkout]", "allow: [clients/checkout, clients/bare]"))
        applied = shop_scene.apply()
        assert applied.changes == {"servers/api": "write: output_changed"}
        assert applied.touched == {CONF, WHOLE, "manifest.json"}

    def test_both_at_once_are_both_told(self, shop_scene: Scene) -> None:
        (shop_scene.tree / CONF).write_text("mine\n")
        (shop_scene.tree / "servers/web/nginx-server.conf").unlink()
        shop_scene.edit(("allow: [clients/checkout]", "allow: [clients/checkout, clients/bare]"))
        assert shop_scene.apply().changes == {
            "servers/api": "write: file_drifted, output_changed",
            "servers/web": "write: missing",
        }

    def test_a_new_snippet_is_a_missing_file(self, shop_scene: Scene) -> None:
        shop_scene.edit(("bare:", "bare: {snippets: nginx}"))
        applied = shop_scene.apply()
        assert applied.changes == {"clients/bare": "write: missing"}
        assert applied.touched == {"clients/bare/nginx-upstream.conf", "manifest.json"}

    def test_a_snippet_taken_out_of_the_spec_is_removed(self, shop_scene: Scene) -> None:
        shop_scene.edit((", standalone: true", ""))
        applied = shop_scene.apply()
        assert applied.changes == {"servers/api": "write: output_changed"}
        assert applied.touched == {WHOLE, "manifest.json"}
        assert not (shop_scene.tree / WHOLE).exists()
        assert (shop_scene.tree / CONF).exists()

    def test_one_that_was_edited_stays_with_a_warning_until_somebody_decides(self, shop_scene: Scene) -> None:
        (shop_scene.tree / WHOLE).write_text("mine\n")
        shop_scene.edit((", standalone: true", ""))
        applied = shop_scene.apply()
        assert applied.notices == ["left-alone"]
        assert (shop_scene.tree / WHOLE).read_text() == "mine\n"
        assert shop_scene.apply().changes == {}
        assert shop_scene.apply(prune=True).touched == {WHOLE, "manifest.json"}
        assert not (shop_scene.tree / WHOLE).exists()

    def test_one_that_stayed_is_certgen_s_again_when_it_is_asked_for_again(self, shop_scene: Scene) -> None:
        text = (shop_scene.tree / WHOLE).read_text()
        (shop_scene.tree / WHOLE).write_text("mine\n")
        shop_scene.edit((", standalone: true", ""))
        shop_scene.apply()
        shop_scene.edit(("allow: [clients/checkout]", "allow: [clients/checkout], standalone: true"))
        assert shop_scene.apply().changes == {"servers/api": "write: file_drifted"}
        assert (shop_scene.tree / WHOLE).read_text() == text

    def test_with_its_last_snippet_gone_an_entry_is_as_if_it_never_had_one(self, shop_scene: Scene) -> None:
        shop_scene.edit((", snippets: {nginx: {allow: [clients/checkout], standalone: true}}", ""))
        assert shop_scene.apply().touched == {CONF, WHOLE, "manifest.json"}
        names = sorted(path.name for path in (shop_scene.tree / "servers/api").iterdir())
        assert names == ["ca.pem", "cert.pem", "key.pem"]

    def test_a_file_of_the_user_s_beside_them_is_never_touched(self, shop_scene: Scene) -> None:
        mine = shop_scene.tree / "servers/api/mine.conf"
        mine.write_text("mine\n")
        shop_scene.edit((", standalone: true", ""))
        shop_scene.apply(renew=["servers/api"])
        shop_scene.apply(prune=True)
        assert mine.read_text() == "mine\n"

    @pytest.mark.parametrize("prune", [False, True])
    def test_a_file_of_the_user_s_in_the_place_of_a_new_one_is_refused(self, shop_scene: Scene, prune: bool) -> None:
        mine = shop_scene.tree / "clients/bare/nginx-upstream.conf"
        mine.write_text("mine\n")
        shop_scene.edit(("bare:", "bare: {snippets: nginx}"))
        assert shop_scene.refused(prune=prune) == ["foreign-file clients/bare/nginx-upstream.conf"]
        assert mine.read_text() == "mine\n"

    @pytest.mark.parametrize("what", ["link", "folder", "pipe"])
    def test_what_took_the_place_of_one_and_is_no_file_is_refused(
        self, shop_scene: Scene, tmp_path: Path, what: str
    ) -> None:
        path, away = shop_scene.tree / CONF, tmp_path / "away"
        away.write_bytes(path.read_bytes())
        path.unlink()
        match what:
            case "link":
                path.symlink_to(away)
            case "folder":
                path.mkdir()
            case _:
                os.mkfifo(path)
        assert shop_scene.refused() == [f"foreign-file {CONF}"]
        assert away.exists()

    def test_the_renewal_of_everything_touches_none(self, shop_scene: Scene) -> None:
        before = {path: record for path, record in take_snapshot(shop_scene.tree).items() if path.endswith(".conf")}
        applied = shop_scene.apply(NOW + timedelta(days=300))
        assert {"servers/api/cert.pem", "clients/checkout/cert.pem"} <= applied.touched
        after = take_snapshot(shop_scene.tree)
        assert {path: after[path] for path in before} == before

    def test_a_spec_under_another_file_s_name_changes_the_first_line_of_each(self, shop_scene: Scene) -> None:
        (shop_scene.specs / "shop.yaml").rename(shop_scene.specs / "shop.yml")
        (shop_scene.specs / "shop.yml").rename(shop_scene.specs / "store.yaml")
        shop_scene.edit(("version: 1\n", "version: 1\nname: shop\n"), name="store.yaml")
        applied = shop_scene.apply()
        assert {path for path in applied.touched if path.endswith(".conf")} == {
            CONF,
            WHOLE,
            "servers/web/nginx-server.conf",
            "clients/checkout/nginx-upstream.conf",
        }
        assert "from store.yaml;" in (shop_scene.tree / CONF).read_text()


class TestALostManifest:
    def test_it_is_rebuilt_and_the_snippets_are_not_touched(self, shop_scene: Scene) -> None:
        manifest = shop_scene.tree / "manifest.json"
        before = manifest.read_bytes()
        manifest.unlink()
        applied = shop_scene.apply()
        assert (applied.changes, applied.touched) == ({"manifest.json": "write: missing"}, {"manifest.json"})
        assert manifest.read_bytes() == before

    def test_with_an_edited_snippet_it_is_rebuilt_for_what_is_rendered(self, shop_scene: Scene) -> None:
        manifest = shop_scene.tree / "manifest.json"
        before = manifest.read_bytes()
        manifest.unlink()
        with (shop_scene.tree / CONF).open("a") as file:
            file.write("# mine\n")
        applied = shop_scene.apply()
        assert applied.changes == {"servers/api": "write: file_drifted"}
        assert applied.touched == {CONF, "manifest.json"}
        assert manifest.read_bytes() == before

    def test_a_damaged_one_is_rebuilt_too(self, shop_scene: Scene) -> None:
        manifest = shop_scene.tree / "manifest.json"
        before = manifest.read_bytes()
        manifest.write_text("<<<<<<< ours\n")
        assert shop_scene.apply().touched == {"manifest.json"}
        assert manifest.read_bytes() == before

    def test_a_file_of_the_user_s_is_not_written_over_only_because_the_manifest_is_lost(
        self, shop_scene: Scene
    ) -> None:
        (shop_scene.tree / "manifest.json").unlink()
        mine = shop_scene.tree / "clients/bare/nginx-upstream.conf"
        mine.write_text("# mine, and nobody else's\n")
        shop_scene.edit(("bare:", "bare: {snippets: nginx}"))
        assert shop_scene.refused() == ["foreign-file clients/bare/nginx-upstream.conf"]
        assert mine.read_text() == "# mine, and nobody else's\n"


GO = """\
    version: 1
    ca:
    defaults: {snippets: go}
    servers:
      api: {sans: api.shop.example}
      web: {sans: shop.example}
    """


class TestFolders:
    """A consumer whose files stand in a folder of the entry's folder."""

    @pytest.fixture
    def deep(self, scene: Scene) -> Scene:
        scene.write(GO)
        scene.apply()
        return scene

    def rendered(self, scene: Scene, entry: str) -> list[str]:
        paths = sorted((scene.tree / entry).rglob("*"))
        return [str(path.relative_to(scene.tree / entry)) for path in paths if path.parent != scene.tree / entry]

    def test_they_are_made_listed_and_closed_to_nobody(self, deep: Scene) -> None:
        found = self.rendered(deep, "servers/api")
        assert found
        listed = json.loads((deep.tree / "manifest.json").read_text())["entries"]["servers/api"]["files"]
        assert {path for path in found if (deep.tree / "servers/api" / path).is_file()} <= set(listed)

    def test_a_pruned_entry_takes_its_folders_with_it(self, deep: Scene) -> None:
        deep.edit(("  web: {sans: shop.example}\n", ""))
        assert deep.apply().notices == ["orphan"]
        assert (deep.tree / "servers/web").exists()
        deep.apply(prune=True)
        assert not (deep.tree / "servers/web").exists()
        assert self.rendered(deep, "servers/api")

    def test_a_file_of_the_user_s_in_such_a_folder_keeps_it(self, deep: Scene) -> None:
        folder = (deep.tree / "servers/web" / self.rendered(deep, "servers/web")[-1]).parent
        (folder / "mine.txt").write_text("mine")
        deep.edit(("  web: {sans: shop.example}\n", ""))
        deep.apply(prune=True)
        kept = [path for path in (deep.tree / "servers/web").rglob("*") if path.is_file()]
        assert kept == [folder / "mine.txt"]

    def test_taken_out_of_the_spec_they_go_with_their_folders(self, deep: Scene) -> None:
        deep.edit(("defaults: {snippets: go}\n", ""))
        deep.apply()
        names = sorted(path.name for path in (deep.tree / "servers/api").iterdir())
        assert names == ["ca.pem", "cert.pem", "key.pem"]

    @pytest.mark.parametrize("what", ["link", "file"])
    def test_what_stands_in_the_place_of_such_a_folder_is_refused_and_untouched(
        self, deep: Scene, tmp_path: Path, what: str
    ) -> None:
        folder = next(path for path in (deep.tree / "servers/api").iterdir() if path.is_dir())
        shutil.move(folder, tmp_path / "away")
        folder.symlink_to(tmp_path / "away") if what == "link" else folder.write_text("mine")
        before = take_snapshot(tmp_path / "away")
        refused = deep.refused()
        assert refused
        assert all(code.startswith("foreign-file servers/api/") for code in refused)
        assert take_snapshot(tmp_path / "away") == before


# Entries of other kinds


class TestOtherEntries:
    def test_an_entry_whose_key_stays_on_its_host_has_its_snippets_here(self, scene: Scene) -> None:
        key = new_key("ecdsa-p256").public_key()
        (scene.specs / "api.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        scene.write(
            """\
            version: 1
            ca:
            servers:
              api: {sans: api.shop.example, public_key: api.pub, snippets: {nginx: {standalone: true}}}
            """
        )
        scene.apply()
        names = sorted(path.name for path in (scene.tree / "servers/api").iterdir())
        assert names == ["ca.pem", "cert.pem", "nginx-server.conf", "nginx.conf"]
        assert "/etc/certgen/api/key.pem;" in (scene.tree / CONF).read_text()
        (scene.tree / CONF).unlink()
        assert scene.apply().touched == {CONF}

    def test_on_a_machine_without_the_keys_the_snippets_are_written_all_the_same(self, shop_scene: Scene) -> None:
        for key in shop_scene.tree.glob("*/*/key.pem"):
            key.unlink()
        shutil.rmtree(shop_scene.tree / ".certgen")
        shop_scene.edit(("allow: [clients/checkout]", "allow: [clients/checkout, clients/bare]"))
        applied = shop_scene.apply()
        assert applied.changes == {"servers/api": "write: output_changed"}
        assert applied.touched == {CONF, WHOLE, "manifest.json"}

    def test_a_pruned_entry_takes_its_snippets_with_it_edited_or_not(self, shop_scene: Scene) -> None:
        (shop_scene.tree / "servers/web/nginx-server.conf").write_text("mine\n")
        shop_scene.edit(("  web: {sans: shop.example, snippets: nginx}\n", ""))
        shop_scene.apply()
        assert (shop_scene.tree / "servers/web/nginx-server.conf").exists()
        shop_scene.apply(prune=True)
        assert not (shop_scene.tree / "servers/web").exists()


# Shown


@pytest.fixture
def today(scene: Scene) -> Scene:
    """A scene of today, since `certgen apply` knows no other time."""
    scene.now = datetime.now(UTC).replace(microsecond=0)
    scene.write(SPEC)
    scene.run()
    return scene


def run(scene: Scene, command: str, *options: str) -> Result:
    """Run the command line on the scene's spec."""
    assert COMMANDS
    arguments = [command, str(scene.specs / "shop.yaml"), "-o", str(scene.output), *options]
    return CliRunner().invoke(certgen, arguments)


class TestTheDifference:
    def test_plan_shows_it_and_writes_nothing(self, today: Scene) -> None:
        today.edit(("allow: [clients/checkout]", "allow: [clients/bare]"))
        before = take_snapshot(today.output)
        result = run(today, "plan")
        assert result.exit_code == 1
        assert take_snapshot(today.output) == before
        lines = result.stdout.splitlines()
        assert f"    --- a/{CONF}" in lines
        assert f"    +++ b/{CONF}" in lines
        gone = '    -if ($certgen_caller = "CN=checkout < CN=Shop CA") { set $certgen_allowed 1; }'
        assert gone in lines
        assert gone.replace("    -", "    +").replace("checkout", "bare") in lines
        assert "  = servers/api  write   output_changed nginx-server.conf; output_changed nginx.conf" in lines

    def test_plan_shows_none_where_there_is_none(self, today: Scene) -> None:
        result = run(today, "plan")
        assert (result.exit_code, result.stdout) == (0, "shop: in sync, 5 entries\n")

    def test_a_missing_file_has_no_difference_to_show(self, today: Scene) -> None:
        (today.tree / CONF).unlink()
        result = run(today, "plan")
        assert result.exit_code == 1
        assert "---" not in result.stdout
        (body,) = json.loads(run(today, "plan", "--json").stdout)["specs"]
        assert [change["differences"] for change in body["changes"]] == [{}]

    def test_a_first_run_shows_no_difference(self, scene: Scene) -> None:
        scene.write(SPEC)
        result = run(scene, "plan")
        assert result.exit_code == 1
        assert "---" not in result.stdout

    def test_apply_does_not_show_it(self, today: Scene) -> None:
        (today.tree / CONF).write_text("mine\n")
        result = run(today, "apply")
        assert result.exit_code == 0
        assert "mine" not in result.output
        assert "  = servers/api  write   file_drifted nginx-server.conf: edited" in result.stdout.splitlines()

    def test_in_json_it_is_beside_the_change_by_file(self, today: Scene) -> None:
        (today.tree / WHOLE).write_text("mine\n")
        (body,) = json.loads(run(today, "plan", "--json").stdout)["specs"]
        (change,) = body["changes"]
        assert (change["writes"], list(change["differences"])) == (["nginx.conf"], ["nginx.conf"])
        difference_ = change["differences"]["nginx.conf"]
        assert difference_[:2] == [f"--- a/{WHOLE}", f"+++ b/{WHOLE}"]
        assert "-mine" in difference_
        assert "+# Generated by certgen from shop.yaml; edits are overwritten" in difference_

    def test_a_quiet_plan_says_nothing(self, today: Scene) -> None:
        (today.tree / CONF).write_text("mine\n")
        result = run(today, "plan", "-q")
        assert (result.exit_code, result.output) == (1, "")

    @pytest.mark.parametrize(
        ("content", "shown"),
        [
            (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            (b"a\x9bm", "a\ufffdm"),
            ("a\u009bm".encode(), "a\\x9bm"),
            ("a\u202eb".encode(), "a\\u202eb"),
            ("a\u200bb".encode(), "a\\u200bb"),
            (b"a\x00b", "a\\x00b"),
            (b"a\x08b", "a\\x08b"),
            (b"\xff", "\ufffd"),
            ("é中😀".encode(), "é中😀"),
            (b"abc\tb", "abc    b"),
        ],
    )
    def test_what_would_steer_a_terminal_is_escaped(self, today: Scene, content: bytes, shown: str) -> None:
        (today.tree / CONF).write_bytes(content + b"\n")
        lines = run(today, "plan").stdout.splitlines()
        assert f"    -{shown}" in lines
        assert "\x1b" not in run(today, "plan").output
        (body,) = json.loads(run(today, "plan", "--json").stdout)["specs"]
        assert f"-{shown}" in body["changes"][0]["differences"]["nginx-server.conf"]

    @pytest.mark.parametrize("form", [(), ("--json",)])
    def test_a_private_key_that_somebody_put_into_a_rendered_file_is_not_shown(
        self, today: Scene, form: tuple[str, ...]
    ) -> None:
        key = (today.tree / "servers/api/key.pem").read_text()
        with (today.tree / CONF).open("a") as file:
            file.write(key)
        result = run(today, "plan", *form)
        assert result.exit_code == 1
        assert [line for line in key.splitlines()[1:-1] if line in result.output] == []

    def test_colours_are_for_the_lines_that_come_and_go(self) -> None:
        text = TextChange("x.conf", b"a\nb\nc\n", b"a\nB\nc\n")
        plan = Plan("shop", NOW, (Change(WEB, Action.WRITE, (), texts=(text,)),), ())
        shown = render_differences(plan, lambda line, style: f"<{style.value}>{line}")
        assert [line for line in shown.splitlines() if line.startswith("<")] == [
            f"<{Style.REMOVED.value}>    --- a/servers/web/x.conf",
            f"<{Style.ADDED.value}>    +++ b/servers/web/x.conf",
            f"<{Style.REMOVED.value}>    -b",
            f"<{Style.ADDED.value}>    +B",
        ]

    def test_it_shows_two_lines_around_and_no_more(self) -> None:
        before = b"".join(b"%d\n" % number for number in range(20))
        found = difference("x", TextChange("x", before, before.replace(b"10\n", b"ten\n")))
        assert found == ["--- a/x", "+++ b/x", "@@ -9,5 +9,5 @@", " 8", " 9", "-10", "+ten", " 11", " 12"]

    @pytest.mark.parametrize(("was", "wanted"), [(b"a\r\nb\r\n", b"a\nb\n"), (b"a", b"a\n"), (b"a \n", b"a\n")])
    def test_a_file_that_differs_in_what_nobody_sees_is_shown_as_different(self, was: bytes, wanted: bytes) -> None:
        assert difference("x", TextChange("x", was, wanted)) != []


# Audited


class TestTheAudit:
    def findings(self, scene: Scene) -> list[str]:
        (loaded,) = scene.load()
        found = verify(loaded.bundle, DiskTree(scene.tree), scene.now)
        return [f"{item.code} {item.where}" for item in found if item.is_error]

    def test_a_tree_as_it_was_made_is_sound(self, shop_scene: Scene) -> None:
        assert self.findings(shop_scene) == []

    def test_a_missing_one_is_found(self, shop_scene: Scene) -> None:
        (shop_scene.tree / CONF).unlink()
        assert self.findings(shop_scene) == [f"file-missing {CONF}"]

    @pytest.mark.parametrize("content", [b"", b"mine\n"])
    def test_an_edited_one_is_found(self, shop_scene: Scene, content: bytes) -> None:
        (shop_scene.tree / CONF).write_bytes(content)
        assert self.findings(shop_scene) == [f"file-drifted {CONF}"]

    def test_one_that_is_a_link_to_the_right_bytes_is_found(self, shop_scene: Scene, tmp_path: Path) -> None:
        shutil.move(shop_scene.tree / CONF, tmp_path / "away")
        (shop_scene.tree / CONF).symlink_to(tmp_path / "away")
        assert self.findings(shop_scene) == [f"file-drifted {CONF}"]

    def test_a_change_of_the_spec_that_was_not_applied_is_found(self, shop_scene: Scene) -> None:
        shop_scene.edit(("allow: [clients/checkout]", "allow: [clients/bare]"))
        assert self.findings(shop_scene) == [f"file-drifted {CONF}", f"file-drifted {WHOLE}"]

    def test_the_command_line_says_so(self, today: Scene) -> None:
        assert run(today, "verify").exit_code == 0
        (today.tree / CONF).write_text("mine\n")
        result = run(today, "verify")
        assert (result.exit_code, result.stdout) == (1, "shop: one finding\n")
        assert "error[file-drifted]: servers/api/nginx-server.conf is not what the spec renders" in result.stderr


# Interrupted


EDITS = (
    ("allow: [clients/checkout], standalone: true", "allow: [clients/bare]"),
    ("bare:", "bare: {snippets: nginx}"),
    ("sans: shop.example", "sans: [shop.example, www.shop.example]"),
)
"""A file that changes, one that goes, one that comes, and a certificate."""


class TestInterrupted:
    def trials(self, folder: Path, patch: pytest.MonkeyPatch, *, kill: bool) -> Iterator[tuple[Scene, Disk]]:
        """Give the scene after a run that failed at its first call that changes the disk, its second, and so on."""
        start = Scene(folder / "start")
        start.write(SPEC)
        start.run()
        start.edit(*EDITS)
        for number in itertools.count(1, 1 if EVERY else 2):
            scene = Scene(Path(shutil.copytree(start.folder, folder / str(number))))
            disk = Disk(number, errno.ENOSPC, kill=kill)
            with patch.context() as context:
                disk.install(context)
                try:
                    scene.run()
                except (CertgenError, KilledError):
                    assert disk.failed
            if not disk.failed:
                return
            yield scene, disk
            shutil.rmtree(scene.folder)

    @pytest.mark.parametrize("kill", [True, False], ids=["killed", "disk full"])
    def test_a_run_that_ends_at_any_instant_leaves_whole_files_and_the_next_one_completes_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: bool
    ) -> None:
        done = Scene(tmp_path / "done")
        done.write(SPEC)
        before = self.texts(done, run=True)
        done.edit(*EDITS)
        after = self.texts(done, run=True)
        assert before.keys() != after.keys()
        wrong: list[str] = []
        count = 0
        for scene, disk in self.trials(tmp_path, monkeypatch, kill=kill):
            count += 1
            halves = {
                path: text
                for path, text in self.texts(scene).items()
                if text not in {before.get(path), after.get(path)}
            }
            scene.run()
            (planned,) = scene.planned()
            left = {str(change.address): says(change) for change in planned.plan.changes}
            if halves or left or self.texts(scene) != after or planned.plan.notices:
                wrong.append(f"{disk.failed}: {halves.keys()} {left} {planned.plan.notices}")
        assert wrong == []
        assert count > (20 if EVERY else 10)

    def texts(self, scene: Scene, *, run: bool = False) -> dict[str, bytes]:
        """Give the rendered files by path, staged ones aside."""
        if run:
            scene.run()
        return {path: record.content for path, record in take_snapshot(scene.tree).items() if path.endswith(".conf")}

    def test_a_spec_edited_again_after_an_interruption_is_carried_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for scene, _ in self.trials(tmp_path, monkeypatch, kill=True):
            text = (scene.specs / "shop.yaml").read_text()
            (scene.specs / "shop.yaml").write_text(text.replace("bare: {snippets: nginx}", "bare:"))
            scene.run()
            assert scene.exit_code() == 0
