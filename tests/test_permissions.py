"""What one may not read or write: a diagnostic that names it, and a tree that stays as it was."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from proving import Ran
from samples import one_in
from scene import Snapshot, take_snapshot
from shop import ADDED, Shop, contents, copied
from users import give_away, ordinary_user

DENIED = "Permission denied"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A compiled shop, for tests to copy."""
    return Shop(tmp_path_factory.mktemp("compiled")).write().compile()


@pytest.fixture
def shop(compiled: Shop, tmp_path: Path) -> Shop:
    """A shop of a user whom permissions bind."""
    return Shop(copied(compiled, tmp_path / "here").folder, ordinary_user())


@contextmanager
def closed(path: Path, mode: int) -> Iterator[Snapshot]:
    """Take permissions away for the length of a `with`; give what was there before."""
    before = take_snapshot(path if path.is_dir() else path.parent)
    was = path.stat().st_mode
    path.chmod(mode)
    try:
        yield before
    finally:
        path.chmod(was)


def assert_refused(ran: Ran, shop: Shop, path: str) -> None:
    """Demand exit 2 and the one error that a path cannot be written."""
    assert ran.code == 2, ran
    told = re.findall(r"^error\[([\w-]+)\]: (\S+) cannot be written: (.+)$", ran.err, re.MULTILINE)
    assert [(code, reason) for code, _, reason in told] == [("write-failed", DENIED)], ran
    assert (shop.folder / told[0][1]).is_relative_to(shop.folder / path), (path, ran)


CLOSED_FOLDERS = (
    pytest.param("output/shop/servers/api", ("--renew=servers/api",), id="of the entry"),
    pytest.param("output/shop/clients", (), id="of the section, where an entry is new"),
    pytest.param("output/shop", (), id="of the tree"),
    pytest.param("output/shop/.certgen", (), id="of this machine's notes"),
)


@pytest.mark.parametrize(("folder", "options"), CLOSED_FOLDERS)
def test_a_folder_that_one_may_not_write_to(shop: Shop, folder: str, options: tuple[str, ...]) -> None:
    shop.spec.write_text(shop.spec.read_text() + ADDED)
    before = contents(take_snapshot(shop.tree))
    with closed(shop.folder / folder, 0o555):
        assert_refused(shop.type("apply", *options), shop, folder)
        after = contents(take_snapshot(shop.tree))
        assert {path: after.get(path) for path in before} == before
    shop.compile().assert_settled()


def test_root_may_write_to_it_which_is_why_these_tests_are_run_as_somebody_else(shop: Shop) -> None:
    if not shop.prefix:
        pytest.skip("these tests are not run as root")
    with closed(shop.tree / "servers/api", 0o555):
        ran = shop.type("apply", "--renew=servers/api", prefix=())
    assert ran.code == 0, ran


def test_an_output_that_one_may_not_write_to(tmp_path: Path) -> None:
    shop = Shop(tmp_path, ordinary_user()).write()
    shop.output.mkdir()
    with closed(shop.output, 0o555):
        assert_refused(shop.type("apply"), shop, "output")
    assert not list(shop.output.iterdir())


def test_a_lock_that_one_may_neither_read_nor_write(shop: Shop) -> None:
    before = contents(take_snapshot(shop.tree))
    with closed(shop.tree / ".certgen/lock", 0o000):
        assert_refused(shop.type("apply", "--renew=servers/api"), shop, "output/shop/.certgen/lock")
    assert contents(take_snapshot(shop.tree)) == before


@pytest.mark.parametrize("address", ["servers/api", "cas/issuing"])
def test_a_key_that_one_may_not_read_is_never_replaced_unasked(shop: Shop, address: str) -> None:
    before = contents(take_snapshot(shop.tree))
    said = f"error[key-unreadable]: the private key of {address} cannot be read: {DENIED}"
    with closed(shop.tree / address / "key.pem", 0o000):
        for arguments in (("plan",), ("apply", f"--renew={address}"), ("apply", "--renew=clients/checkout")):
            ran = shop.type(*arguments)
            assert ran.code == 2, (arguments, ran)
            assert said in ran.err, (arguments, ran)
    assert contents(take_snapshot(shop.tree)) == before


@pytest.mark.parametrize("command", ["verify", "prove"])
def test_a_key_that_one_may_not_read_is_named_by_those_who_audit(shop: Shop, command: str) -> None:
    with closed(shop.tree / "servers/api/key.pem", 0o000):
        ran = shop.type(command)
    assert ran.code in {1, 2}, ran
    assert "servers/api" in ran.err, ran


def test_a_key_that_one_may_not_read_is_kept_aside_where_a_new_one_is_asked_for(shop: Shop) -> None:
    key = shop.tree / "servers/api/key.pem"
    old = key.read_bytes()
    with closed(key, 0o000):
        ran = shop.type("apply", "--rekey=servers/api")
        assert ran.code == 0, ran
    assert key.read_bytes() != old
    assert key.with_name("key.pem.orig").read_bytes() == old
    assert key.with_name("key.pem.orig").stat().st_mode & 0o777 == 0o600
    shop.assert_settled()


CLOSED_TO_READERS = (
    ("plan", "output", 0o644),
    ("plan", "output/shop", 0o000),
    ("plan", "output/shop/servers", 0o000),
    ("plan", "output/shop/servers/api", 0o000),
    ("plan", "output/shop/manifest.json", 0o000),
    ("apply", "output/shop/.certgen/keys", 0o000),
    ("verify", "output", 0o644),
    ("verify", "output/shop/servers/api", 0o000),
)


@pytest.mark.parametrize(("command", "path", "mode"), one_in(2, CLOSED_TO_READERS, 1))
def test_what_one_may_not_look_into_is_neither_missing_nor_damaged(
    shop: Shop, command: str, path: str, mode: int
) -> None:
    before = contents(take_snapshot(shop.tree))
    with closed(shop.folder / path, mode):
        ran = shop.type(command, *(["--renew=servers/api"] if command == "apply" else []))
    said = ran.out + ran.err
    assert ran.code == 2, ran
    assert DENIED in said, ran
    assert path.removeprefix("output/shop/") in said, ran
    assert not re.search("missing|damaged|no tree|cannot be written", said), ran
    assert contents(take_snapshot(shop.tree)) == before


@pytest.mark.parametrize(("path", "mode"), [("shop.yaml", 0o000), ("", 0o600)])
def test_a_spec_that_one_may_not_read(shop: Shop, path: str, mode: int) -> None:
    before = contents(take_snapshot(shop.tree))
    with closed(shop.folder / path, mode):
        ran = shop.type("apply", shop.spec, "-o", shop.output, cwd=Path("/"))
    assert ran.code == 2, ran
    assert "shop.yaml" in ran.err, ran
    assert contents(take_snapshot(shop.tree)) == before


def test_a_file_beside_the_spec_that_one_may_not_read_is_named_and_not_quoted(shop: Shop) -> None:
    anchor = shop.folder / "partner.pem"
    anchor.write_bytes((shop.tree / "cas/root/cert.pem").read_bytes())
    text = shop.spec.read_text().replace("checkout: {", "checkout: {trust: [root, ./partner.pem], ")
    shop.spec.write_text(text)
    with closed(anchor, 0o000):
        ran = shop.type("apply")
    assert ran.code == 2, ran
    assert "partner.pem" in ran.err, ran
    assert DENIED in ran.err, ran


@pytest.mark.parametrize("is_root", [False, True])
def test_a_tree_of_somebody_else_is_left_alone(shop: Shop, is_root: bool) -> None:
    give_away(shop.tree)
    shop.spec.write_text(shop.spec.read_text() + ADDED)
    before = take_snapshot(shop.tree)
    ran = shop.type("apply", prefix=() if is_root else None)
    assert ran.code == 2, ran
    assert "error[foreign-folder]" in ran.err, ran
    assert "output/shop" in ran.err, ran
    assert take_snapshot(shop.tree) == before
