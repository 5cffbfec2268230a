"""What a run costs, in counts that do not vary: keys, signatures, certificates read, files opened, moved, synced."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fleets import Fleet
from stamped import settle

from certgen import certificates, observe, signing
from certgen.apply import BATCH
from certgen.cli import commands
from certgen.cli.unchanged import answer
from certgen.signers import memory
from certgen.store import disk

SIZES = (300, 400)


def spec_of(size: int) -> str:
    servers = "".join(f"  s{number:04}:\n    sans: [s{number:04}.example]\n" for number in range(size))
    return f"version: 1\nca: {{}}\nservers:\n{servers}"


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count what is done meanwhile, in this process."""
    counts: Counter[str] = Counter()
    places: dict[str, tuple[object, str]] = {
        "keys": (memory, "generate_private_key"),
        "signatures": (signing, "issue"),
        "read": (certificates, "_to_value"),
        "verified": (observe, "is_signed_by"),
        "verified when signed": (signing, "is_signed_by"),
        "opened": (os, "open"),
        "moved": (os, "replace"),
        "synced": (os, "fsync"),
        "synced at once": (disk, "_sync_file_system"),
    }

    def counting(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - those of what is counted
            counts[what] += 1
            return real(*arguments, **options)

        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "cores", lambda: 1)
        for what, (place, name) in places.items():
            patch.setattr(place, name, counting(what, getattr(place, name)))
        certificates._read_again.cache_clear()
        certificates.load_certificate.cache_clear()
        yield counts


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Fleet, Counter[str]]]:
    """Fleets of two sizes, each with what it cost to make it."""
    found = []
    for size in SIZES:
        fleet = Fleet(tmp_path_factory.mktemp("fleet"))
        fleet.spec.write_text(spec_of(size))
        with counted() as counts:
            assert fleet.type("apply").code == 0
        found.append((fleet, counts))
    return found


def more(found: list[Counter[str]]) -> dict[str, float]:
    """Give what each entry of the larger fleet costs that the smaller does not have."""
    few, many = found
    return {what: (many[what] - few[what]) / (SIZES[1] - SIZES[0]) for what in many if many[what] != few[what]}


def test_a_new_entry_costs_a_key_a_signature_and_three_files(fleets: list[tuple[Fleet, Counter[str]]]) -> None:
    counts = [counts for _, counts in fleets]
    each = {"keys": 1, "signatures": 1, "read": 1, "verified when signed": 1, "opened": 3, "moved": 3}
    assert more(counts) == each
    for size, found in zip(SIZES, counts, strict=True):
        assert found["keys"] == found["signatures"] == size + 1
        # What keeps keys out of git is a batch by itself; each has its files, its line in the journal, its folders.
        assert found["synced"] + found["synced at once"] <= 4 * (2 + size // BATCH) + 8


def test_a_run_that_looks_at_all_reads_each_certificate_once_and_makes_nothing(
    fleets: list[tuple[Fleet, Counter[str]]],
) -> None:
    counts = []
    for fleet, _ in fleets:
        fleet.stamp.unlink(missing_ok=True)
        with counted() as found:
            assert "nothing to do" in fleet.type("apply").out
        counts.append(found)
        assert not {"keys", "signatures", "synced", "synced at once"} & found.keys()
    assert more(counts) == {"read": 1, "verified": 1, "opened": 3}


def test_a_run_that_a_stamp_answers_opens_the_spec_and_the_stamp(
    fleets: list[tuple[Fleet, Counter[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    for fleet, _ in fleets:
        settle()
        assert fleet.type("apply").code == 0
        with counted() as found:
            assert answer(["apply", str(fleet.spec), "-o", str(fleet.folder / "output")]) == 0
        assert found == {"opened": 2}
    assert "nothing to do" in capsys.readouterr().out


def test_one_entry_that_changed_costs_the_same_in_any_fleet(fleets: list[tuple[Fleet, Counter[str]]]) -> None:
    counts = []
    for fleet, _ in fleets:
        settle()
        assert fleet.type("apply").code == 0
        fleet.edit("[s0007.example]", "[changed.example]")
        with counted() as found:
            assert "1 updated" in fleet.type("apply").out
        fleet.edit("[changed.example]", "[s0007.example]")
        assert fleet.type("apply").code == 0
        counts.append(found)
    assert more(counts) == {}
    assert counts[0]["signatures"] == 1
    assert counts[0]["keys"] == 0
    # The CA's, the entry's and one that supports the others; that which was signed; and what changed once more.
    assert counts[0]["read"] <= 8
    assert counts[0]["opened"] <= 60


def test_a_plan_of_a_clone_reads_each_certificate_once(
    fleets: list[tuple[Fleet, Counter[str]]], tmp_path: Path
) -> None:
    counts = []
    for number, (fleet, _) in enumerate(fleets):
        clone = Fleet(tmp_path / str(number))
        clone.folder.mkdir()
        clone.spec.write_text(fleet.spec.read_text())
        for path in fleet.tree.rglob("*.*"):
            if path.is_file() and path.name != "key.pem" and ".certgen" not in path.parts:
                to = clone.tree / path.relative_to(fleet.tree)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(path.read_bytes())
        with counted() as found:
            assert clone.type("plan").code == 0
        counts.append(found)
    assert more(counts) == {"read": 1, "verified": 1, "opened": 3}
