"""Generations, when git, a person or another machine has had them: no key is lost, none is forgotten in clear."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import require
from programs.processes import free_port, running
from sealed import make_person
from shop import ENVIRONMENT, Shop, copied, second_run

SPEC = """\
    version: 1
    ca: {common_name: Shop CA}
    servers:
      api: {sans: [api.shop.example], publish: symlink}
    clients:
      checkout: {publish: symlink}
"""
FILES = SPEC.replace(", publish: symlink", "", 1)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder).write(SPEC).compile()


def api(shop: Shop) -> Path:
    return shop.tree / "servers/api"


def key(shop: Shop) -> bytes:
    return (api(shop) / "key.pem").read_bytes()


def keys_in_clear(shop: Shop) -> set[str]:
    """Give the private keys of the entry that anybody can use, by their places."""
    files = [path for path in api(shop).rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(api(shop))) for path in files if b"-----BEGIN PRIVATE KEY-----" in path.read_bytes()}


def in_force(shop: Shop) -> str:
    return str((api(shop) / "..data").readlink())


def git(shop: Shop, *arguments: str) -> str:
    command: list[str | Path] = [require("git"), "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments]
    done = subprocess.run(command, cwd=shop.folder, capture_output=True, text=True, check=True)
    return done.stdout


def committed(shop: Shop) -> Shop:
    git(shop, "init", "-q", "-b", "main")
    git(shop, "add", "-A")
    git(shop, "commit", "-qm", "first")
    return shop


def sealed_for(shop: Shop, text: str = SPEC) -> Path:
    person = make_person(shop.folder.parent, "me")
    shop.write(
        text.replace("version: 1", f"version: 1\n    keys: {{protection: age, recipients: [{person.recipient}]}}")
    )
    return person.identity


def demand_kept(shop: Shop, before: bytes) -> None:
    """Demand that the key is carried along, and that nothing else has to be done."""
    ran = shop.judge("plan")
    assert "rekey" not in ran.out, ran
    assert "issue" not in ran.out, ran
    shop.compile()
    assert key(shop) == before
    assert (api(shop) / "cert.pem").exists()
    shop.assert_settled()
    second_run(shop).assert_untouched()


# Git has no private keys


def test_after_a_renewal_elsewhere_the_key_is_carried_into_the_generation_that_was_pulled(
    shop: Shop, tmp_path: Path
) -> None:
    committed(shop)
    before = key(shop)
    git(shop, "clone", "-q", str(shop.folder), str(tmp_path / "pipeline"))
    pipeline = Shop(tmp_path / "pipeline")
    shutil.copy(shop.tree / "cas/ca/key.pem", pipeline.tree / "cas/ca/key.pem")
    pipeline.compile("--renew", "servers/api")
    git(pipeline, "add", "-A")
    git(pipeline, "commit", "-qm", "renewed")
    git(shop, "pull", "-q", str(pipeline.folder), "main")
    assert not (api(shop) / "key.pem").exists()
    assert "servers/api  write   file_drifted key.pem: in ..1 alone" in shop.judge("plan").out
    demand_kept(shop, before)


def test_two_machines_that_both_hold_the_key_keep_it(shop: Shop, tmp_path: Path) -> None:
    committed(shop)
    before, other = key(shop), copied(shop, tmp_path / "other")
    shop.compile("--renew", "servers/api")
    git(shop, "add", "-A")
    git(shop, "commit", "-qm", "renewed")
    git(other, "pull", "-q", str(shop.folder), "main")
    demand_kept(other, before)


def test_another_branch_has_an_older_generation_and_the_key_is_found(shop: Shop) -> None:
    committed(shop)
    before = key(shop)
    git(shop, "checkout", "-q", "-b", "feature")
    for _ in range(2):
        shop.compile("--renew", "servers/api")
        git(shop, "add", "-A")
        git(shop, "commit", "-qm", "renewed")
    git(shop, "checkout", "-q", "main")
    assert in_force(shop) == "..1"
    demand_kept(shop, before)


def test_a_clone_is_in_sync_after_a_renewal_too(shop: Shop, tmp_path: Path) -> None:
    shop.compile("--renew", "servers/api")
    committed(shop)
    git(shop, "clone", "-q", str(shop.folder), str(tmp_path / "clone"))
    clone = Shop(tmp_path / "clone")
    assert {path.name for path in api(clone).glob("..[0-9]*")} == {"..1", "..2"}
    assert clone.judge("plan").code == 0
    assert clone.judge("verify").code == 0


# What a person removes or puts in place


def remove_two_links(shop: Shop) -> None:
    (api(shop) / "..data").unlink()
    (api(shop) / "key.pem").unlink()


def remove_all_links(shop: Shop) -> None:
    for path in list(api(shop).iterdir()):
        if path.is_symlink():
            path.unlink()


def put_an_empty_generation(shop: Shop) -> None:
    (api(shop) / "..9").mkdir()
    (api(shop) / "..data").unlink()


def put_a_folder_and_move_it_away_again(shop: Shop) -> None:
    (api(shop) / "..data").unlink()
    (api(shop) / "..data").mkdir()
    ran = shop.inside("apply")
    assert (ran.code, "servers/api/..data is not the link that certgen made" in ran.err) == (2, True)
    assert "--rekey" not in ran.err
    (api(shop) / "..data").rmdir()


@pytest.mark.parametrize(
    "remove", [remove_two_links, remove_all_links, put_an_empty_generation, put_a_folder_and_move_it_away_again]
)
def test_whoever_removes_links_has_not_removed_the_key(shop: Shop, remove: Callable[[Shop], None]) -> None:
    shop.compile("--renew", "servers/api")
    before = key(shop)
    remove(shop)
    demand_kept(shop, before)


def test_a_strangers_key_is_kept_beside_also_where_the_one_link_is_gone(shop: Shop) -> None:
    stranger = (shop.tree / "clients/checkout/key.pem").read_bytes()
    (api(shop) / "key.pem").write_bytes(stranger)
    (api(shop) / "..data").unlink()
    assert "key.pem.orig" in shop.inside("plan").err
    shop.compile("--rekey", "servers/api")
    assert (api(shop) / "key.pem.orig").read_bytes() == stranger
    shop.assert_settled()


def test_a_link_of_the_users_own_is_not_written_over(shop: Shop) -> None:
    shop.write(FILES).compile()
    (api(shop) / "..7").mkdir()
    (api(shop) / "..data").symlink_to("..7")
    ran = shop.write(SPEC).inside("apply")
    assert (ran.code, "servers/api/..data is not the link that certgen made" in ran.err) == (2, True)
    assert in_force(shop) == "..7"
    assert not (api(shop) / "cert.pem").is_symlink()


def test_numbers_that_are_used_up_begin_again(shop: Shop) -> None:
    (api(shop) / "..999999999").mkdir()
    shop.compile("--renew", "servers/api")
    assert in_force(shop) == "..2"
    shop.assert_settled()


# Private keys in clear


def test_a_key_that_is_sealed_with_a_passphrase_is_in_clear_nowhere(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("long enough for anybody\n")
    shop.compile("--rekey", "servers/api")
    assert keys_in_clear(shop) == {"..1/key.pem", "..2/key.pem"}
    shop.write(SPEC.replace("version: 1", "version: 1\n    keys: {protection: passphrase}"))
    shop.compile("--passphrase-file", str(tmp_path / "pw"))
    assert keys_in_clear(shop) == set()
    assert shop.judge("plan").code == 0


def lose_the_manifest(shop: Shop) -> None:
    (shop.tree / "manifest.json").unlink()
    shop.compile()


def put_a_file_for_the_link(shop: Shop) -> None:
    content = key(shop)
    (api(shop) / "key.pem").unlink()
    (api(shop) / "key.pem").write_bytes(content)
    (api(shop) / "key.pem").chmod(0o600)
    shop.compile()


def roll_back_by_hand(shop: Shop) -> None:
    (api(shop) / "..data").unlink()
    (api(shop) / "..data").symlink_to("..1")
    shop.compile()


WAYS = [lose_the_manifest, put_a_file_for_the_link, roll_back_by_hand]


@pytest.mark.parametrize("way", WAYS)
def test_no_generation_is_forgotten_when_keys_are_sealed(shop: Shop, way: Callable[[Shop], None]) -> None:
    shop.compile("--rekey", "servers/api")
    way(shop)
    shop.compile("--identity", str(sealed_for(shop)))
    assert keys_in_clear(shop) == set()
    shop.assert_settled()


@pytest.mark.parametrize("way", WAYS)
def test_no_generation_is_forgotten_on_the_way_back_to_files(shop: Shop, way: Callable[[Shop], None]) -> None:
    shop.compile("--rekey", "servers/api")
    way(shop)
    before = key(shop)
    shop.write(FILES).compile()
    assert {path.name for path in api(shop).iterdir()} == {"cert.pem", "key.pem", "ca.pem"}
    assert key(shop) == before
    shop.assert_settled()


@pytest.mark.parametrize("way", WAYS)
def test_no_generation_is_forgotten_when_the_entry_is_pruned(shop: Shop, way: Callable[[Shop], None]) -> None:
    shop.compile("--rekey", "servers/api")
    way(shop)
    shop.write(SPEC.replace("  api:", "  renamed:")).compile("--prune")
    assert not api(shop).exists()
    shop.assert_settled()


def test_a_key_that_is_left_in_clear_in_a_generation_is_found(shop: Shop) -> None:
    left = key(shop)
    identity = sealed_for(shop)
    shop.compile("--identity", str(identity))
    (api(shop) / "..1/key.pem").write_bytes(left)
    assert "error[key-in-clear]: servers/api/..1/key.pem is in clear" in shop.inside("verify").err


def test_all_generations_have_the_mode_that_is_asked(shop: Shop) -> None:
    wide = SPEC.replace("publish: symlink}", 'publish: symlink, key: {mode: "0640"}}', 1)
    shop.write(wide).compile("--renew", "servers/api")
    shop.compile("--renew", "servers/api")
    assert {stat.S_IMODE(path.stat().st_mode) for path in api(shop).glob("..[0-9]*/key.pem")} == {0o640}
    shop.write(SPEC)
    assert shop.judge("verify").code == 1
    shop.compile()
    assert {stat.S_IMODE(path.stat().st_mode) for path in api(shop).glob("..[0-9]*/key.pem")} == {0o600}
    (api(shop) / "..2/key.pem").chmod(0o644)
    assert "servers/api/..2/key.pem has mode 0644" in shop.inside("plan").err
    shop.compile()
    shop.assert_settled()


def test_who_is_no_recipient_any_more_finds_no_file_that_opens(shop: Shop, tmp_path: Path) -> None:
    people = [make_person(tmp_path, name) for name in ("one", "two")]

    def keys(*who: int) -> str:
        listed = ", ".join(people[number].recipient for number in who)
        return SPEC.replace("version: 1", f"version: 1\n    keys: {{protection: age, recipients: [{listed}]}}")

    shop.write(keys(0, 1)).compile("--identity", str(people[0].identity))
    shop.compile("--renew", "servers/api", "--identity", str(people[0].identity))
    shop.write(keys(0)).compile("--identity", str(people[0].identity))
    age = require("age")
    files = list(api(shop).rglob("key.pem.age"))
    assert files
    for file in files:
        done = [
            subprocess.run([age, "-d", "-i", person.identity, file], capture_output=True, check=False)
            for person in people
        ]
        assert [ran.returncode == 0 for ran in done] == [True, False], file


# Files that nothing asks for any more


def with_left_file(shop: Shop, content: bytes) -> None:
    """Leave a rendered file that was edited, and that the spec no longer asks for."""
    shop.write(SPEC.replace("publish: symlink}", "publish: symlink, snippets: [nginx]}", 1)).compile()
    path = api(shop) / "nginx-server.conf"
    path.write_bytes(path.read_bytes() + content)
    path.chmod(0o600)
    shop.write(SPEC)


def test_one_that_was_edited_stays_with_its_mode_and_goes_by_hand(shop: Shop) -> None:
    with_left_file(shop, b"# password\n")
    shop.compile("--renew", "servers/api")
    path = api(shop) / "nginx-server.conf"
    assert path.read_bytes().endswith(b"# password\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "left-alone" in shop.inside("plan").err
    path.unlink()
    assert "left-alone" not in shop.inside("plan").err
    shop.compile("--renew", "servers/api")
    assert not (api(shop) / in_force(shop) / "nginx-server.conf").exists()
    shop.assert_settled()


def test_one_that_is_too_long_to_be_carried_is_in_the_way(shop: Shop) -> None:
    with_left_file(shop, b"#" * 1_200_000)
    ran = shop.inside("apply", "--renew", "servers/api")
    assert (ran.code, "servers/api/nginx-server.conf cannot be put behind ..data" in ran.err) == (2, True)
    assert (api(shop) / "nginx-server.conf").stat().st_size > 1_200_000


def test_an_edited_file_of_an_older_generation_does_not_keep_the_way_back_from_ending(shop: Shop) -> None:
    with_nginx = SPEC.replace("publish: symlink}", "publish: symlink, snippets: [nginx]}", 1)
    shop.write(with_nginx).compile()
    old = in_force(shop)
    shop.compile("--renew", "servers/api")
    with (api(shop) / old / "nginx-server.conf").open("a") as file:
        file.write("# mine\n")
    shop.write(with_nginx.replace("publish: symlink, ", "", 1)).compile()
    shop.assert_settled()
    second_run(shop).assert_untouched()


def test_a_manifest_from_elsewhere_removes_no_file_of_a_folder_without_links(shop: Shop) -> None:
    shop.write(FILES).compile()
    (api(shop) / "..5").mkdir()
    (api(shop) / "..5/key.pem").write_bytes(key(shop))
    manifest = shop.tree / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"files": {"ca.pem"', '"files": {"..5/key.pem": null, "ca.pem"', 1)
    )
    shop.compile("--prune")
    assert (api(shop) / "..5/key.pem").exists()


# Other commands


def typed(*arguments: str | Path) -> int:
    """Type a command, and give how it ended."""
    done = subprocess.run(
        [require("certgen"), *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    return done.returncode


@pytest.mark.parametrize("is_copied", [False, True])
def test_serve_and_connect_take_an_entry_behind_its_link_also_where_it_was_copied(
    shop: Shop, tmp_path: Path, is_copied: bool
) -> None:
    shutil.copytree(api(shop), tmp_path / "host", symlinks=True)
    who, port = str(tmp_path / "host") if is_copied else "servers/api", free_port()
    trees = ["-o", str(shop.output)]
    command: list[str | Path] = [require("certgen"), "serve", who, "--listen", f"127.0.0.1:{port}", *trees]
    with running(command, port, log=tmp_path / "log"):
        url = f"https://127.0.0.1:{port}/"
        assert typed("connect", url, "--as", "clients/checkout", "--name", "api.shop.example", *trees) == 0
        assert typed("connect", url, "--as", "clients/checkout", "--name", "other.example", *trees) == 1


def test_a_sealed_key_behind_its_link_is_opened(shop: Shop, tmp_path: Path) -> None:
    before = key(shop)
    identity = sealed_for(shop)
    shop.compile("--identity", str(identity))
    trees = ["--trees", str(shop.output), "--identity", str(identity)]
    assert typed("keys", "decrypt", "servers/api", "-o", tmp_path / "out", *trees) == 0
    assert (tmp_path / "out/key.pem").read_bytes() == before
