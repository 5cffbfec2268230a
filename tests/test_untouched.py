"""Unchanged means untouched: strace sees no write of a run that has nothing to do, and those of one that has."""

import os
from pathlib import Path

import pytest
from proving import Ran
from scene import take_snapshot
from shop import Shop, copied
from traces import WRITES, Call, read_trace, tracing


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A compiled shop, for tests to copy."""
    return Shop(tmp_path_factory.mktemp("compiled")).write().compile()


@pytest.fixture
def shop(compiled: Shop, tmp_path: Path) -> Shop:
    return copied(compiled, tmp_path / "here")


def traced(shop: Shop, *arguments: str) -> tuple[Ran, list[Call]]:
    """Type a command under strace; give what it did to any disk."""
    log = shop.folder.parent / "trace"
    passing = shop.folder.parent / "passing"
    passing.mkdir(exist_ok=True)
    ran = shop.type(*arguments, prefix=tracing(WRITES, log), env={"TMPDIR": str(passing)})
    calls = read_trace(log, shop.folder)
    assert any(path.is_relative_to(shop.tree) for call in calls for path in call.paths), "nothing was seen"
    writes = [call for call in calls if call.is_write and Path(os.devnull) not in call.paths]
    return ran, [call for call in writes if not is_below(call, passing)]


def is_below(call: Call, *folders: Path) -> bool:
    """Tell whether all files that a call names lie in some folders."""
    return bool(call.paths) and all(any(path.is_relative_to(one) for one in folders) for path in call.paths)


@pytest.mark.parametrize("command", ["apply", "plan", "verify", "prove", "status"])
def test_a_run_with_nothing_to_do_opens_nothing_for_writing_renames_nothing_and_changes_no_mode(
    shop: Shop, command: str
) -> None:
    assert shop.type("apply").code == 0, "it notes for itself that there is nothing to do, once"
    before = take_snapshot(shop.folder)
    ran, writes = traced(shop, command)
    assert ran.code == 0, ran
    assert not writes, "\n".join(map(str, writes))
    assert take_snapshot(shop.folder) == before


def test_a_run_without_a_stamp_writes_its_stamp_and_nothing_else(shop: Shop) -> None:
    (shop.tree / ".certgen/stamp").unlink(missing_ok=True)
    ran, writes = traced(shop, "apply")
    assert ran.code == 0, ran
    notes = {shop.tree / ".certgen/stamp", shop.tree / ".certgen/stamp.new"}
    assert writes, "it leaves a stamp"
    assert {path for call in writes for path in call.paths} <= notes | {shop.folder}, "\n".join(map(str, writes))


@pytest.mark.parametrize("command", ["plan", "verify", "status"])
def test_a_command_that_only_reads_writes_nothing_where_something_is_to_be_done_either(
    shop: Shop, command: str
) -> None:
    (shop.tree / "servers/api/cert.pem").unlink()
    (shop.tree / "clients/checkout/key.pem").chmod(0o644)
    ran, writes = traced(shop, command)
    assert ran.code in {1, 2}, ran
    assert not writes, "\n".join(map(str, writes))


def test_the_same_trace_shows_the_writes_of_a_run_that_has_something_to_do(shop: Shop) -> None:
    (shop.tree / "servers/api/cert.pem").unlink()
    ran, writes = traced(shop, "apply")
    assert ran.code == 0, ran
    final = shop.tree / "servers/api/cert.pem"
    assert any(call.name.startswith("rename") and final in call.paths for call in writes), writes
    assert any(call.name.startswith("open") for call in writes), writes


def test_the_same_trace_shows_that_a_mode_is_changed_and_that_no_content_is_written(shop: Shop) -> None:
    key = shop.tree / "clients/checkout/key.pem"
    key.chmod(0o644)
    ran, writes = traced(shop, "apply")
    assert ran.code == 0, ran
    assert [call.name for call in writes if call.paths == (key,)] in (["fchmod"], ["chmod"], ["fchmodat"]), writes
    others = [call for call in writes if not is_below(call, key, shop.tree / ".certgen")]
    assert not others, "\n".join(map(str, others))
