"""Trees in git: branches that merge, clones without keys, clones with an identity; all with the real git."""

import subprocess
from pathlib import Path

import pytest
from programs.finding import require
from scene import take_snapshot
from sealed import Person, make_person, sealed_files, write_sealed
from shop import Shop, published
from test_hooks import variables


def git(folder: Path, *arguments: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        [require("git"), *arguments], cwd=folder, env=variables(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done
    return done.stdout + done.stderr


@pytest.fixture
def me(tmp_path: Path) -> Person:
    return make_person(tmp_path, "me")


@pytest.fixture
def shop(tmp_path: Path, me: Person) -> Shop:
    """A shop with sealed keys, its tree committed."""
    shop = write_sealed(tmp_path / "shop", me).compile()
    git(shop.folder, "init", "-q", "-b", "main")
    commit(shop, "the tree")
    return shop


def commit(shop: Shop, message: str) -> None:
    git(shop.folder, "add", "-A")
    git(shop.folder, "commit", "-q", "-m", message)


def clone(shop: Shop, folder: Path) -> Shop:
    git(shop.folder, "clone", "-q", "--depth", "1", f"file://{shop.folder}", folder)
    return Shop(folder)


def change(shop: Shop, branch: str, old: str, new: str, me: Person) -> None:
    """Change the spec on a branch of its own, compile and commit."""
    git(shop.folder, "checkout", "-q", "-b", branch, "main")
    text = shop.spec.read_text()
    assert old in text
    shop.spec.write_text(text.replace(old, new))
    assert shop.inside("apply", "--identity", str(me.identity)).code == 0
    commit(shop, branch)


def add(shop: Shop, branch: str, section: str, name: str, me: Person) -> None:
    """Add an entry at the end or the beginning of its section: git puts the specs of both together."""
    entry = f"  {name}: {{sans: [{name}.shop.example]}}\n" if section == "servers" else f"  {name}:\n"
    change(shop, branch, f"{section}:\n", f"{section}:\n{entry}", me)


class TestMerging:
    @pytest.mark.parametrize(
        "entries",
        [(("servers", "web"), ("clients", "app")), (("servers", "aaa"), ("clients", "zzz"))],
        ids=["apart", "at both ends"],
    )
    def test_two_branches_that_each_add_an_entry(
        self, shop: Shop, me: Person, entries: tuple[tuple[str, str], tuple[str, str]]
    ) -> None:
        for number, (section, name) in enumerate(entries):
            add(shop, f"branch-{number}", section, name, me)
        git(shop.folder, "merge", "-q", "-m", "both", "branch-0")
        shop.assert_settled()
        for section, name in entries:
            assert f'"{section}/{name}"' in (shop.tree / "manifest.json").read_text()

    def test_lines_at_one_place_of_the_manifest_are_put_together(self, shop: Shop, me: Person) -> None:
        """Both come right before `servers/api`, and the spec is merged by hand as people do."""
        for name in ("aaa", "aab"):
            add(shop, name, "servers", name, me)
        said = git(shop.folder, "merge", "-m", "both", "aaa", code=1)
        assert "CONFLICT (content): Merge conflict in shop.yaml" in said
        assert "manifest.json" not in said.replace("Auto-merging output/shop/manifest.json", "")
        text = "".join(line for line in shop.spec.read_text().splitlines(True) if line[:7] not in MARKS)
        shop.spec.write_text(text)
        commit(shop, "merged")
        ran = shop.judge("plan")
        assert (ran.code, ran.err) == (0, ""), ran
        shop.assert_settled()

    def test_without_what_git_is_told_those_lines_are_a_conflict(self, shop: Shop, me: Person) -> None:
        """The control: it is the attributes file that puts them together."""
        (shop.tree / ".gitattributes").write_text("* -text\n")
        commit(shop, "attributes of one's own")
        for name in ("aaa", "aab"):
            add(shop, name, "servers", name, me)
        assert "conflict in output/shop/manifest.json" in git(shop.folder, "merge", "-m", "both", "aaa", code=1)

    def test_two_branches_that_sign_one_entry_say_exactly_what_is_not(self, shop: Shop, me: Person) -> None:
        for name in ("one", "two"):
            new = f"[api.shop.example, {name}.shop.example]"
            change(shop, name, "[api.shop.example]", new, me)
        git(shop.folder, "merge", "-m", "both", "-X", "ours", "one")
        ran = shop.judge("plan")
        assert ran.code == 1
        assert "manifest.json is damaged" in ran.err
        assert shop.inside("apply", "--identity", str(me.identity)).code == 0
        shop.assert_settled()


MARKS = ("<<<<<<<", "=======", ">>>>>>>")


class TestAClone:
    def test_without_any_secret_is_in_sync(self, shop: Shop, tmp_path: Path) -> None:
        clone(shop, tmp_path / "clone").assert_settled()

    def test_with_the_identity_adds_a_client_and_renews(self, shop: Shop, me: Person, tmp_path: Path) -> None:
        found = clone(shop, tmp_path / "clone")
        keys, before = sealed_files(found), published(take_snapshot(found.tree))
        found.spec.write_text(found.spec.read_text() + "  reporting:\n")
        ran = found.inside("plan")
        assert (ran.code, "+ clients/reporting  issue" in ran.out) == (1, True), ran
        refused = found.inside("apply")
        assert (refused.code, "error[identity-needed]" in refused.err) == (2, True), refused
        assert published(take_snapshot(found.tree)) == before
        assert found.inside("apply", "--renew", "servers/api", "--identity", str(me.identity)).code == 0
        found.assert_settled()
        now = sealed_files(found)
        assert {address: now[address] for address in keys} == keys
        assert "clients/reporting" in now
        anchors, certificate = found.tree / "clients/reporting/ca.pem", found.tree / "clients/reporting/cert.pem"
        command = ["openssl", "verify", "-CAfile", str(anchors), "-untrusted", str(certificate), str(certificate)]
        assert subprocess.run(command, check=False).returncode == 0

    def test_of_a_tree_with_keys_in_clear_has_none_of_them(self, shop: Shop, tmp_path: Path) -> None:
        shop.spec.write_text("".join(line for line in shop.spec.read_text().splitlines(True) if "keys:" not in line))
        assert shop.inside("apply", "--identity", str(tmp_path / "me.txt")).code == 0
        commit(shop, "in clear")
        found = clone(shop, tmp_path / "clone")
        assert not list(found.tree.rglob("key.pem*"))
        found.assert_settled()
