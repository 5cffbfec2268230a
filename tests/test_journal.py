"""The journal as a value: what is written is read back, and what is torn, later or hostile is not."""

import json

import pytest

from certgen.journal import Batch, Journal, parse_journal, render_batch, render_head
from certgen.manifest import Manifest, ManifestEntry
from certgen.model import Address

API = Address.parse("servers/api")
GONE = Address.parse("clients/gone")
LINE = ManifestEntry("k1", {"cert.pem": "d1", "key.pem": None})
FIRST = Batch(
    {"servers/api/key.pem": "1", "servers/api/go/main.go": "2"}, {"servers/api/key.pem": "servers/api/key.pem.orig"}
)
LAST = Batch(
    {"manifest.json": "3", ".certgen/keys": "4"}, removes=("clients/gone/cert.pem",), lines={API: LINE, GONE: None}
)
HEAD = render_head("shop", 77, 5, extends=True)
WHOLE = HEAD + render_batch(FIRST) + render_batch(LAST)


def test_what_is_written_is_read_back() -> None:
    assert parse_journal(WHOLE) == Journal("shop", 77, 5, True, (FIRST, LAST))
    assert parse_journal(render_head("shop", 1, 5, extends=False)) == Journal("shop", 1, 5, False)


def test_all_batches_count_together() -> None:
    journal = parse_journal(WHOLE)
    assert journal is not None
    assert journal.staged() == {**FIRST.moves, **LAST.moves}
    assert journal.removed() == {"clients/gone/cert.pem"}


def test_the_manifest_gets_the_lines_and_loses_what_is_gone() -> None:
    other = Address.parse("servers/web")
    before = Manifest("", {API: ManifestEntry("k0", {}), GONE: LINE, other: LINE})
    assert Journal("shop", 1, 5, True, (FIRST, LAST)).extend(before) == Manifest("shop", {API: LINE, other: LINE})


def test_a_later_line_counts() -> None:
    newer = ManifestEntry("k2", {})
    batches = (Batch(lines={API: LINE}), Batch(lines={API: newer}))
    assert Journal("shop", 1, 5, True, batches).extend(Manifest()).entries == {API: newer}


def test_every_torn_tail_is_left_out_and_nothing_before_it() -> None:
    first_end, second_end = len(HEAD), len(HEAD) + len(render_batch(FIRST))
    for length in range(len(WHOLE)):
        journal = parse_journal(WHOLE[:length])
        if length < first_end:
            assert journal is None
        else:
            assert journal is not None
            assert journal.batches == ((FIRST,) if length >= second_end else ())


def test_a_tail_of_zeros_or_of_another_run_is_left_out() -> None:
    """A power cut can leave a file with its length and without its content."""
    begun = HEAD + render_batch(FIRST)
    for tail in (b"\0" * 500, render_batch(LAST)[:-40] + b"\0" * 40, b"garbage\n"):
        journal = parse_journal(begun + tail)
        assert journal is not None
        assert journal.batches == (FIRST,)


@pytest.mark.parametrize("position", range(0, len(HEAD), 7))
def test_a_damaged_first_line_is_no_journal(position: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[position] ^= 1
    assert parse_journal(bytes(damaged)) is None


def test_a_journal_of_a_later_version_is_none() -> None:
    assert parse_journal(sealed({"version": 1, "name": "shop", "inode": 1, "mark": 5, "extends": True})) is not None
    assert parse_journal(sealed({"version": 2, "name": "shop", "inode": 1, "mark": 5, "extends": True})) is None


def sealed(data: object) -> bytes:
    """A line as a journal has it, with a digest that is right."""
    from certgen.journal import _line

    return _line(data)  # type: ignore[arg-type]


EMPTY: dict[str, object] = {"moves": {}, "spares": {}, "removes": [], "lines": {}}
OUTSIDE = (
    "../etc/passwd",
    "/etc/passwd",
    "servers/../../x/y",
    "servers/api/../../../x",
    "servers/api//x",
    "servers/api/a\\b",
    "servers/api/a\0b",
    "servers/api/",
    "servers/api",
    "other/api/cert.pem",
    ".certgen/lock",
    ".certgen/journal",
    ".certgen/new/0",
    "",
    "x" * 5000,
)


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("kind", ["moves", "removes", "spares", "spare"])
def test_a_path_that_is_not_one_of_the_tree_makes_the_journal_none(path: str, kind: str) -> None:
    match kind:
        case "moves":
            batch = {**EMPTY, "moves": {path: "1"}}
        case "removes":
            batch = {**EMPTY, "removes": [path]}
        case "spares":
            batch = {**EMPTY, "spares": {path: "servers/api/key.pem.orig"}}
        case _:
            batch = {**EMPTY, "spares": {"servers/api/key.pem": path}}
    assert parse_journal(HEAD + sealed(EMPTY)) == Journal("shop", 77, 5, True, (Batch(),))
    assert parse_journal(HEAD + sealed(batch)) is None


@pytest.mark.parametrize("spare", ["servers/web/key.pem.orig", "servers/api/key.pem", "servers/api/x/key.pem.orig"])
def test_a_spare_that_is_not_beside_its_file_makes_the_journal_none(spare: str) -> None:
    assert parse_journal(HEAD + sealed({**EMPTY, "spares": {"servers/api/key.pem": "servers/api/key.pem.orig"}}))
    assert parse_journal(HEAD + sealed({**EMPTY, "spares": {"servers/api/key.pem": spare}})) is None


@pytest.mark.parametrize(
    "old", ["servers/web/key.pem", "servers/api/cert.pem", "manifest.json", "../key.pem", "servers/api/../web/key.pem"]
)
def test_a_file_to_keep_that_is_no_key_of_the_entry_makes_the_journal_none(old: str) -> None:
    spares = {"servers/api/..2/key.pem": "servers/api/key.pem.orig"}
    good = {**EMPTY, "spares": spares, "olds": {"servers/api/..2/key.pem": "servers/api/..1/key.pem"}}
    assert parse_journal(HEAD + sealed(good))
    assert parse_journal(HEAD + sealed({**good, "olds": {"servers/api/..2/key.pem": old}})) is None


@pytest.mark.parametrize("name", ["../x", "a", "", "-1", "1/2", "\u0661", "/1"])
def test_a_staged_name_that_is_no_number_makes_the_journal_none(name: str) -> None:
    assert parse_journal(HEAD + sealed({**EMPTY, "moves": {"servers/api/cert.pem": name}})) is None


@pytest.mark.parametrize(
    "data", [[], 1, None, "x", {}, {**EMPTY, "moves": []}, {**EMPTY, "lines": {"servers/api": {"key": 1, "files": {}}}}]
)
def test_a_batch_of_another_shape_makes_the_journal_none(data: object) -> None:
    assert parse_journal(HEAD + sealed(data)) is None


def test_nothing_of_a_private_key_is_in_a_journal() -> None:
    assert json.loads(render_batch(LAST).partition(b" ")[2])["lines"]["servers/api"]["files"]["key.pem"] is None
