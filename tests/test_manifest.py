"""The manifest: canonical, one address a line, hostile content refused; what a merge of two branches makes of it."""

import json
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import APP, ISSUING, MAIL, NODE, ROOT, WEB

from certgen.manifest import (
    DamagedManifestError,
    Manifest,
    ManifestEntry,
    NewerManifestError,
    lines_of,
    parse_manifest,
    render_manifest,
)
from certgen.model import Address, Section

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?", fullmatch=True)
ADDRESSES = st.builds(Address, st.sampled_from(Section), NAMES)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
FILES = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_.-]{1,8}\.pem(/[a-z]{1,5})?", fullmatch=True), st.none() | HEX, max_size=4
)
MANIFESTS = st.builds(Manifest, NAMES, st.dictionaries(ADDRESSES, st.builds(ManifestEntry, HEX, FILES), max_size=6))


def entry(key: str = "0" * 64) -> ManifestEntry:
    return ManifestEntry(key, {"cert.pem": "1" * 64, "key.pem": None})


def manifest(*addresses: Address) -> Manifest:
    return Manifest("shop", {address: entry() for address in addresses})


def text(files: object, key: object = "0" * 64, address: str = "servers/web", version: object = 1) -> bytes:
    entries = {address: {"key": key, "files": files}}
    return json.dumps({"version": version, "name": "shop", "entries": entries}).encode()


class TestTheRoundTrip:
    @given(MANIFESTS)
    def test_what_is_written_is_read_back(self, written: Manifest) -> None:
        assert parse_manifest(render_manifest(written)) == written

    @given(MANIFESTS, st.randoms(use_true_random=False))
    def test_the_order_of_mappings_changes_no_byte(self, written: Manifest, dice: Random) -> None:
        items = list(written.entries.items())
        dice.shuffle(items)
        turned = {a: ManifestEntry(e.key_id, dict(reversed(list(e.files.items())))) for a, e in items}
        assert render_manifest(Manifest(written.name, turned)) == render_manifest(written)

    def test_it_is_one_address_a_line_in_the_order_of_the_language(self) -> None:
        lines = render_manifest(manifest(WEB, APP, ROOT, NODE, ISSUING, MAIL)).decode().splitlines()
        assert lines[0] == '{"version": 1, "name": "shop", "entries": {'
        assert lines[-1] == '"": null}}'
        names = [line.split('"')[1] for line in lines[1:-1]]
        assert names == ["cas/issuing", "cas/root", "servers/mail", "servers/web", "clients/app", "peers/node"]

    def test_these_are_its_bytes(self) -> None:
        assert render_manifest(Manifest("shop", {WEB: entry("ab")})) == (
            b'{"version": 1, "name": "shop", "entries": {\n'
            b'  "servers/web": {"key": "ab", "files": {"cert.pem": "' + b"1" * 64 + b'", "key.pem": null}},\n'
            b'"": null}}\n'
        )

    def test_an_empty_one_is_json_too(self) -> None:
        assert parse_manifest(render_manifest(Manifest("shop"))) == Manifest("shop")

    def test_another_entry_changes_one_line_alone(self) -> None:
        before = render_manifest(manifest(ROOT, WEB, APP)).splitlines()
        changed = Manifest("shop", {**manifest(ROOT, APP).entries, WEB: entry("f" * 64)})
        after = render_manifest(changed).splitlines()
        assert [number for number, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1] == [2]

    def test_it_holds_no_time_and_no_digest_of_a_key(self) -> None:
        content = render_manifest(manifest(WEB)).decode()
        assert '"key.pem": null' in content
        assert "not_after" not in content


class TestOwnership:
    def test_a_listed_file_is_owned_whatever_its_digest(self) -> None:
        assert manifest(WEB).owns(WEB, "cert.pem")
        assert manifest(WEB).owns(WEB, "key.pem")

    def test_another_file_or_address_is_not(self) -> None:
        assert not manifest(WEB).owns(WEB, "notes.txt")
        assert not manifest(WEB).owns(APP, "cert.pem")


class TestDamage:
    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_manifest_or_damaged(self, content: bytes) -> None:
        try:
            parse_manifest(content)
        except (DamagedManifestError, NewerManifestError):
            return
        assert json.loads(content)["version"] == 1

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
        max_leaves=12,
    )

    @given(JSON, JSON, JSON, JSON)
    def test_any_json_in_its_places_is_a_manifest_or_damaged(
        self, name: object, entries: object, key: object, files: object
    ) -> None:
        for inner in (entries, {"servers/web": {"key": key, "files": files}}, {"servers/web": entries}):
            content = json.dumps({"version": 1, "name": name, "entries": inner}).encode()
            try:
                read = parse_manifest(content)
            except DamagedManifestError:
                continue
            assert parse_manifest(render_manifest(read)) == read

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"null",
            b"[]",
            b"1",
            b'"x"',
            b"{}",
            b"{",
            b"\xff\xfe",
            b'{"version": 1}',
            b'{"version": 0, "name": "shop", "entries": {}}',
            b'{"version": "1", "name": "shop", "entries": {}}',
            b'{"version": 1, "name": "shop", "entries": []}',
            b'{"version": 1, "name": "shop", "entries": {"servers/web": null}}',
            b'{"version": 1, "name": "shop", "entries": {"servers/web": {"key": "a"}}}',
            b"[" * 100_000,
            b'{"version": ' + b"9" * 5000 + b"}",
        ],
        ids=lambda content: content[:60].decode("latin-1"),
    )
    def test_what_is_no_manifest_is_damaged(self, content: bytes) -> None:
        with pytest.raises(DamagedManifestError):
            parse_manifest(content)

    def test_one_of_a_later_release_is_told_apart(self) -> None:
        with pytest.raises(NewerManifestError, match="2"):
            parse_manifest(b'{"version": 2, "name": "shop", "entries": [1, 2]}')

    def test_a_name_longer_than_a_disk_can_hold_is_damage(self) -> None:
        assert parse_manifest(text({"x" * 255: None})).owns(WEB, "x" * 255)
        with pytest.raises(DamagedManifestError):
            parse_manifest(text({"\u00e9" * 128: None}))

    def test_an_entry_without_a_key_is_damage(self) -> None:
        with pytest.raises(DamagedManifestError):
            parse_manifest(b'{"version": 1, "name": "shop", "entries": {"servers/web": {"files": {}}}}')

    @pytest.mark.parametrize(
        "address",
        [
            "servers/../cas",
            "../web",
            "servers",
            "servers/",
            "/web",
            "hosts/web",
            "servers/a/b",
            "servers/W",
            "servers/.",
        ],
    )
    def test_an_address_that_is_none_is_damage(self, address: str) -> None:
        with pytest.raises(DamagedManifestError):
            parse_manifest(text({}, address=address))

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            "../key.pem",
            "a/../../key.pem",
            "a/./b",
            "a//b",
            "/etc/passwd",
            "a/",
            "a\\b",
            "..\\key.pem",
            "a\0b",
        ],
    )
    def test_a_file_name_that_leads_out_of_its_folder_is_damage(self, name: str) -> None:
        with pytest.raises(DamagedManifestError):
            parse_manifest(text({name: None}))

    @pytest.mark.parametrize("name", ["cert.pem", "go/main.go", "..pem", "a..b", "key.pem.orig", "envoy.yaml"])
    def test_a_file_name_in_its_folder_is_none(self, name: str) -> None:
        assert parse_manifest(text({name: None})).owns(WEB, name)

    def test_a_file_name_that_no_disk_can_hold_is_damage(self) -> None:
        """A lone surrogate cannot be encoded, so that reading the file would end in a traceback."""
        with pytest.raises(DamagedManifestError):
            parse_manifest(text({"\ud800": None}))

    @pytest.mark.parametrize("key", [None, 1, ["a"], {"a": 1}])
    def test_a_key_id_that_is_no_text_is_damage(self, key: object) -> None:
        with pytest.raises(DamagedManifestError):
            parse_manifest(text({}, key=key))

    @pytest.mark.parametrize("digest", [1, ["a"], {"a": 1}, True])
    def test_a_digest_that_is_no_text_is_damage(self, digest: object) -> None:
        with pytest.raises(DamagedManifestError):
            parse_manifest(text({"cert.pem": digest}))

    def test_an_address_twice_is_damage(self) -> None:
        """A merge can leave both branches' lines; the last one must not win in silence."""
        line = b'"servers/web": {"key": "a", "files": {}}'
        other = line.replace(b'"a"', b'"b"')
        with pytest.raises(DamagedManifestError):
            parse_manifest(b'{"version": 1, "name": "shop", "entries": {' + line + b", " + other + b"}}")


class TestMergingBranches:
    """One address a line, so that git merges branches; where it cannot, the marks are seen as damage."""

    def merge(self, folder: Path, base: Manifest, ours: Manifest, theirs: Manifest) -> tuple[int, bytes]:
        paths = [folder / name for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(render_manifest(content))
        done = subprocess.run(["git", "merge-file", "-p", *map(str, paths)], capture_output=True, check=False)
        return done.returncode, done.stdout

    def test_different_addresses_added_apart_merge_by_themselves(self, tmp_path: Path) -> None:
        base = (ROOT, WEB, APP)
        conflicts, merged = self.merge(tmp_path, manifest(*base), manifest(*base, ISSUING), manifest(*base, MAIL))
        assert conflicts == 0
        assert parse_manifest(merged) == manifest(*base, ISSUING, MAIL)
        assert merged == render_manifest(manifest(*base, ISSUING, MAIL))

    def test_an_address_added_and_another_removed_merge_by_themselves(self, tmp_path: Path) -> None:
        base = (ROOT, MAIL, WEB, APP, NODE)
        conflicts, merged = self.merge(
            tmp_path, manifest(*base), manifest(*base, ISSUING), manifest(ROOT, MAIL, WEB, NODE)
        )
        assert conflicts == 0
        assert parse_manifest(merged) == manifest(ROOT, ISSUING, MAIL, WEB, NODE)

    def test_the_same_address_added_alike_merges_by_itself(self, tmp_path: Path) -> None:
        base = (ROOT, APP)
        conflicts, merged = self.merge(tmp_path, manifest(*base), manifest(*base, WEB), manifest(*base, WEB))
        assert conflicts == 0
        assert parse_manifest(merged) == manifest(*base, WEB)

    def test_addresses_added_at_one_place_leave_marks_that_are_damage(self, tmp_path: Path) -> None:
        conflicts, merged = self.merge(
            tmp_path, manifest(ROOT, APP), manifest(ROOT, MAIL, APP), manifest(ROOT, WEB, APP)
        )
        assert conflicts == 1
        assert b"<<<<<<<" in merged
        with pytest.raises(DamagedManifestError):
            parse_manifest(merged)

    def test_one_address_changed_on_both_branches_leaves_marks_that_are_damage(self, tmp_path: Path) -> None:
        versions = [Manifest("shop", {ROOT: entry(), WEB: entry(key * 64), APP: entry()}) for key in "abc"]
        conflicts, merged = self.merge(tmp_path, *versions)
        assert conflicts == 1
        with pytest.raises(DamagedManifestError):
            parse_manifest(merged)

    def test_the_last_address_added_and_the_last_changed_leave_marks_that_are_damage(self, tmp_path: Path) -> None:
        """The comma after the line before belongs to that line: the one place where two addresses share one."""
        base = manifest(ROOT, WEB, APP)
        changed = Manifest("shop", {**base.entries, APP: entry("f" * 64)})
        conflicts, merged = self.merge(tmp_path, base, changed, manifest(ROOT, WEB, APP, NODE))
        assert conflicts == 1
        with pytest.raises(DamagedManifestError):
            parse_manifest(merged)


class TestLines:
    def test_they_are_told_apart_by_their_addresses(self) -> None:
        assert list(lines_of(render_manifest(manifest(ROOT, WEB)))) == ["cas/root", "servers/web"]

    @pytest.mark.parametrize("nested", ['{"a":', "["])
    def test_what_is_nested_too_deep_has_none(self, nested: str) -> None:
        head = render_manifest(manifest(ROOT)).partition(b"\n")[0].decode()
        assert lines_of(f'{head}"a":{nested * 100_000}'.encode()) == {}
