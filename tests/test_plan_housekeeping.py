"""What belongs to the tree and not to one certificate: ownership, leftovers, orphans, modes, the tree's own files."""

from dataclasses import replace

import pytest
from values import (
    APP,
    ISSUING,
    MAIL,
    ROOT,
    WEB,
    Disk,
    a_file,
    asking,
    change_at,
    decide,
    digest,
    disk_of,
    empty_disk,
    member,
    name_of,
    shop,
    supplied_ca,
    supplied_key,
    words,
)

from certgen.manifest import ManifestEntry, render_manifest
from certgen.manifest import digest as digest_under_test
from certgen.model import Address
from certgen.plan.housekeeping import (
    foreign_files,
    mode_changes,
    orphans,
    removals,
    tree_files,
    tree_warnings,
)
from certgen.plan.records import leftovers, recorded_entry
from certgen.plan.values import Action, Change, Reason, ReasonCode, TreeFile
from certgen.tree import (
    ATTRIBUTES_FILE,
    CERTIFICATE_FILE,
    IGNORE_FILE,
    KEY_FILE,
    MANIFEST_FILE,
    TRUST_FILE,
    FileKind,
    FileState,
    ManifestState,
    attributes_file,
    file_names,
    ignore_file,
)

WRITE_ALL = Change(WEB, Action.ISSUE, (Reason(ReasonCode.MISSING),), writes=(KEY_FILE, CERTIFICATE_FILE, TRUST_FILE))


def with_extra(name: str, state: FileState, listed: str | None) -> Disk:
    disk = disk_of(shop())
    disk.files[WEB] = {name: state}
    disk.listed[WEB] = {name: listed}
    return disk


def test_a_digest_is_a_sha256() -> None:
    assert digest_under_test(b"") == digest(b"")
    assert digest_under_test(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class TestForeignFiles:
    def found(self, disk: Disk, change: Change = WRITE_ALL) -> list[str | None]:
        return [where for _, where in words(foreign_files(shop()[WEB], change, disk.observed()))]

    def test_files_in_the_manifest_are_ours(self) -> None:
        assert self.found(disk_of(shop())) == []

    def test_files_that_are_not_in_the_manifest_are_foreign(self) -> None:
        disk = disk_of(shop())
        disk.unlisted.add(WEB)
        assert self.found(disk) == ["servers/web/key.pem", "servers/web/cert.pem", "servers/web/ca.pem"]

    def test_only_what_is_written_matters(self) -> None:
        disk = disk_of(shop())
        disk.unlisted.add(WEB)
        assert self.found(disk, replace(WRITE_ALL, writes=(TRUST_FILE,))) == ["servers/web/ca.pem"]
        assert self.found(disk, replace(WRITE_ALL, writes=())) == []

    def test_a_key_that_would_be_certified_matters_although_it_is_not_written(self) -> None:
        disk = disk_of(shop())
        disk.unlisted.add(WEB)
        renamed = asking(member(WEB), subject=name_of("new"))
        assert ("foreign-file", "servers/web/key.pem") in words(decide(shop(renamed), disk).obstacles)

    def test_a_link_is_foreign_even_in_the_manifest(self) -> None:
        disk = disk_of(shop())
        disk.files[WEB] = {CERTIFICATE_FILE: FileState(FileKind.OTHER)}
        (diagnostic,) = foreign_files(shop()[WEB], WRITE_ALL, disk.observed())
        assert "not a regular file" in diagnostic.message

    @pytest.mark.parametrize("state", [ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_without_a_manifest_the_ignore_file_says_whose_tree_it_is(self, state: ManifestState) -> None:
        disk = disk_of(shop())
        disk.manifest_state = state
        assert self.found(disk) == []
        disk.ignore_file = a_file(b"*.pyc\n")
        assert len(self.found(disk)) == 3


class TestLeftovers:
    own = digest(b"ours")

    def removed(self, disk: Disk, *, prune: bool = False) -> tuple[tuple[str, ...], list[tuple[str, str | None]]]:
        names, warnings = removals(shop()[WEB], disk.observed(), prune=prune)
        return names, words(warnings)

    def test_unmodified_it_goes(self) -> None:
        disk = with_extra("go/main.go", a_file(b"ours"), self.own)
        assert self.removed(disk) == (("go/main.go",), [])

    def test_modified_it_stays_with_a_warning(self) -> None:
        disk = with_extra("go/main.go", a_file(b"ours, and mine"), self.own)
        assert self.removed(disk) == ((), [("left-alone", "servers/web/go/main.go")])

    def test_modified_it_goes_with_prune(self) -> None:
        disk = with_extra("go/main.go", a_file(b"ours, and mine"), self.own)
        assert self.removed(disk, prune=True) == (("go/main.go",), [])

    def test_a_private_key_stays_without_prune(self) -> None:
        disk = with_extra("old.pem", a_file(b""), None)
        assert self.removed(disk) == ((), [("left-alone", "servers/web/old.pem")])
        assert self.removed(disk, prune=True) == (("old.pem",), [])

    def test_what_is_gone_already_is_nothing(self) -> None:
        disk = with_extra("nginx.conf", FileState(FileKind.ABSENT), self.own)
        assert self.removed(disk) == ((), [])

    @pytest.mark.parametrize("prune", [False, True])
    def test_what_is_not_a_file_stays(self, prune: bool) -> None:
        disk = with_extra("nginx.conf", FileState(FileKind.OTHER), self.own)
        assert self.removed(disk, prune=prune)[0] == ()

    def test_files_that_are_asked_for_are_none(self) -> None:
        assert self.removed(disk_of(shop()), prune=True) == ((), [])

    def test_an_entry_that_the_manifest_does_not_list_has_none(self) -> None:
        disk = with_extra("nginx.conf", a_file(b"ours"), self.own)
        disk.unlisted.add(WEB)
        assert self.removed(disk) == ((), [])
        assert leftovers(shop()[WEB], disk.observed()) == {}

    def test_the_key_of_an_entry_whose_key_moved_to_its_host_stays(self) -> None:
        entry = replace(member(WEB), public_key=supplied_key("servers/web"))
        found = decide(shop(entry), disk_of(shop()))
        assert ("left-alone", "servers/web/key.pem") in words(found.notices)

    def test_what_is_left_alone_stays_listed(self) -> None:
        disk = with_extra("nginx.conf", a_file(b"ours, and mine"), self.own)
        assert leftovers(shop()[WEB], disk.observed()) == {"nginx.conf": self.own}
        assert decide(shop(), disk).is_in_sync

    def test_what_is_gone_is_listed_no_more(self) -> None:
        disk = with_extra("nginx.conf", FileState(FileKind.ABSENT), self.own)
        assert leftovers(shop()[WEB], disk.observed()) == {}
        found = decide(shop(), disk)
        assert [str(change.address) for change in found.changes] == ["manifest.json"]


class TestOrphans:
    def test_they_are_what_the_manifest_has_and_the_spec_has_not_in_order(self) -> None:
        disk = disk_of(shop(member(MAIL), member(Address.parse("clients/old")), member(Address.parse("servers/a"))))
        assert list(map(str, orphans(shop(), disk.observed()))) == ["servers/a", "servers/mail", "clients/old"]

    def test_a_live_entry_is_none(self) -> None:
        assert orphans(shop(), disk_of(shop()).observed()) == []

    def test_a_ca_that_the_user_brings_now_leaves_an_orphan(self) -> None:
        assert orphans(shop(supplied_ca()), disk_of(shop()).observed()) == [ROOT]

    def test_only_regular_files_are_removed(self) -> None:
        disk = disk_of(shop(member(MAIL)))
        disk.files[MAIL] = {CERTIFICATE_FILE: FileState(FileKind.OTHER)}
        assert CERTIFICATE_FILE not in change_at(decide(shop(), disk, prune=True), MAIL).removes

    def test_all_its_files_are_removed_the_key_too(self) -> None:
        disk = disk_of(shop(member(MAIL)))
        removed = change_at(decide(shop(), disk, prune=True), MAIL).removes
        assert removed == (TRUST_FILE, CERTIFICATE_FILE, KEY_FILE)


class TestModes:
    def test_of_keys_that_are_here_and_certgens_own(self) -> None:
        spec = shop(supplied_ca(), replace(member(WEB), public_key=supplied_key("hsm")))
        disk = disk_of(spec)
        disk.keys[APP] = replace(disk.keys[APP], mode=0o644)
        disk.keys[WEB] = replace(disk.keys[APP], mode=0o644)
        found, warnings = mode_changes(spec, disk.observed(), ())
        assert [change.address for change in found] == [APP]
        assert warnings == []

    def test_not_of_keys_that_are_written(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB] = replace(disk.keys[WEB], mode=0o644)
        assert len(mode_changes(shop(), disk.observed(), ())[0]) == 1
        assert mode_changes(shop(), disk.observed(), (WRITE_ALL,)) == ((), [])

    def test_a_key_with_a_second_name_keeps_its_mode_and_is_told(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB] = replace(disk.keys[WEB], mode=0o644, is_linked=True)
        changes, (warning,) = mode_changes(shop(), disk.observed(), ())
        assert changes == ()
        assert (warning.code, warning.where) == ("linked-key", "servers/web/key.pem")
        disk.keys[WEB] = replace(disk.keys[WEB], mode=0o600)
        assert mode_changes(shop(), disk.observed(), ()) == ((), [])


class TestTheTreesOwnFiles:
    def test_in_sync_there_is_nothing(self) -> None:
        assert tree_files(shop(), disk_of(shop()).observed(), is_changed=False) == ((), (), [])

    def test_a_new_tree_begins_with_its_ignore_file(self) -> None:
        before, after, obstacles = tree_files(shop(), empty_disk(shop()).observed(), is_changed=True)
        assert [change.address for change in before] == [TreeFile(IGNORE_FILE), TreeFile(ATTRIBUTES_FILE)]
        assert (after, obstacles) == ((), [])

    def test_an_attributes_file_of_the_users_own_is_left_alone(self) -> None:
        disk = disk_of(shop())
        disk.attributes_file = a_file(b"*.pem diff=certificate\n")
        assert tree_files(shop(), disk.observed(), is_changed=False) == ((), (), [])
        disk.attributes_file = a_file(attributes_file(shop()) + b"*.pem diff=certificate\n")
        before, _, obstacles = tree_files(shop(), disk.observed(), is_changed=False)
        assert [reason.code for change in before for reason in change.reasons] == [ReasonCode.FILE_DRIFTED]
        assert not obstacles

    def test_the_lines_of_a_manifest_may_stand_in_any_order(self) -> None:
        observed = disk_of(shop()).observed()
        head, *lines, end = observed.manifest_content.splitlines(keepends=True)
        turned = replace(observed, manifest_content=b"".join([head, *reversed(lines), end]))
        assert turned.manifest_content != observed.manifest_content
        assert tree_files(shop(), turned, is_changed=False) == ((), (), [])
        short = replace(observed, manifest_content=b"".join([head, *lines[1:], end]))
        assert len(tree_files(shop(), short, is_changed=False)[1]) == 1

    def test_the_manifest_is_written_with_every_change_and_so_is_none_of_its_own(self) -> None:
        disk = disk_of(shop())
        disk.manifest_state = ManifestState.ABSENT
        assert tree_files(shop(), disk.observed(), is_changed=True)[1] == ()
        assert len(tree_files(shop(), disk.observed(), is_changed=False)[1]) == 1

    @pytest.mark.parametrize(
        "state", [FileState(FileKind.OTHER), FileState(FileKind.UNREADABLE), a_file(b"*\n"), a_file(b"")]
    )
    def test_an_ignore_file_that_is_not_ours_is_in_the_way(self, state: FileState) -> None:
        disk = disk_of(shop())
        disk.ignore_file = state
        before, _, obstacles = tree_files(shop(), disk.observed(), is_changed=False)
        assert before == ()
        assert words(obstacles) == [("foreign-file", IGNORE_FILE)]

    def test_an_ignore_file_of_another_release_is_drift(self) -> None:
        disk = disk_of(shop())
        disk.ignore_file = a_file(ignore_file(replace(shop(), source="other.yaml")))
        before, _, obstacles = tree_files(shop(), disk.observed(), is_changed=False)
        assert [reason.code for change in before for reason in change.reasons] == [ReasonCode.FILE_DRIFTED]
        assert not obstacles

    def test_a_manifest_that_is_not_a_file_is_in_the_way(self) -> None:
        observed = disk_of(shop()).observed()
        assert tree_files(shop(), observed, is_changed=True)[2] == []
        for is_changed in (False, True):
            link = replace(observed, manifest_kind=FileKind.OTHER)
            before, after, obstacles = tree_files(shop(), link, is_changed=is_changed)
            assert (before, after) == ((), ())
            assert words(obstacles) == [("foreign-file", MANIFEST_FILE)]

    def test_a_ca_that_the_user_brings_has_no_files(self) -> None:
        assert file_names(supplied_ca()) == ()
        assert file_names(shop()[ROOT]) == (KEY_FILE, CERTIFICATE_FILE)

    @pytest.mark.parametrize("source", ["a\nb.yaml", "a\r!key.pem", "\u2028x.yaml", "a\x1b[31m.yaml"])
    def test_a_file_name_cannot_end_the_comment_of_the_ignore_file(self, source: str) -> None:
        lines = ignore_file(replace(shop(), source=source)).decode().splitlines()
        assert lines == [lines[0], *ignore_file(replace(shop(), source="a.yaml")).decode().splitlines()[1:]]

    def test_the_ignore_file_keeps_private_keys_out_of_git(self) -> None:
        lines = ignore_file(shop()).decode().splitlines()
        assert {"/.certgen/", "key.pem", "key.pem.orig*"} <= set(lines)
        assert "cert.pem" not in lines

    def test_what_an_entry_has_is_what_the_manifest_lists(self) -> None:
        disk = disk_of(shop())
        observed = disk.observed()
        for entry in shop().entries:
            kept = recorded_entry(entry, observed)
            assert kept == observed.manifest.entries[entry.address]
        assert observed.manifest_content == render_manifest(observed.manifest)

    def test_an_entry_without_a_certificate_is_not_listed(self) -> None:
        disk = disk_of(shop())
        disk.lose_certificate(ISSUING)
        assert recorded_entry(shop()[ISSUING], disk.observed()) is None

    def test_a_private_key_is_listed_without_a_digest(self) -> None:
        kept = recorded_entry(shop()[WEB], disk_of(shop()).observed())
        assert isinstance(kept, ManifestEntry)
        assert kept.files[KEY_FILE] is None
        assert kept.files[CERTIFICATE_FILE] is not None


class TestWarningsAboutTheTree:
    def test_a_manifest_that_can_be_read_has_none(self) -> None:
        assert tree_warnings(disk_of(shop()).observed()) == []

    def test_a_new_tree_has_none(self) -> None:
        assert tree_warnings(empty_disk(shop()).observed()) == []

    @pytest.mark.parametrize("state", [ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_a_tree_without_its_manifest_has_one(self, state: ManifestState) -> None:
        disk = disk_of(shop())
        disk.manifest_state = state
        assert words(tree_warnings(disk.observed())) == [("manifest-rebuilt", "manifest.json")]
