"""Which spec each tree of an output belongs to."""

from pathlib import Path

import pytest
from scene import Scene

from certgen import claims
from certgen.claims import claimants, neighbours, unclaimed_trees
from certgen.pipeline import load_specs

SPEC = "version: 1\nca: {}\nservers:\n  api: {sans: localhost}\n"


@pytest.fixture
def two(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.write(SPEC.replace("api:", "web:"), "store.yaml")
    return scene


def test_a_tree_of_no_spec_is_reported_and_a_folder_of_others_is_not(two: Scene) -> None:
    two.run()
    (two.output / "mine").mkdir()
    assert unclaimed_trees(two.load(), two.output) == ()
    (two.specs / "store.yaml").unlink()
    (found,) = unclaimed_trees(two.load(), two.output)
    assert (found.code, found.where) == ("unclaimed-tree", str(two.output / "store"))
    assert "name:" in (found.help or "")


def test_a_neighbour_that_names_its_tree_itself_still_owns_it(two: Scene) -> None:
    two.write(f"name: boutique\n{SPEC}", "store.yaml")
    two.run()
    (found,) = unclaimed_trees(two.load(), two.output) or (None,)
    assert found is None
    loaded = load_specs([two.specs / "shop.yaml"])
    assert unclaimed_trees(loaded, two.output) == ()


def test_a_neighbour_is_read_only_where_there_is_a_tree_of_others(two: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it costs as much as the spec of the run, and a fleet has tens of thousands of entries."""
    two.run()
    read: list[str] = []

    def name_of(path: Path) -> str:
        read.append(path.name)
        return path.stem

    monkeypatch.setattr(claims, "claimed_name", name_of)
    assert unclaimed_trees(two.load(), two.output) == ()
    assert read == []
    assert unclaimed_trees(load_specs([two.specs / "shop.yaml"]), two.output) == ()
    assert read == ["store.yaml"]


def test_those_who_claim_the_other_trees_are_told(two: Scene) -> None:
    two.write(f"name: boutique\n{SPEC}", "store.yaml")
    two.run()
    two.write(SPEC, "idle.yaml")
    alone = load_specs([two.specs / "shop.yaml"])
    assert claimants(alone, two.output) == (two.specs / "store.yaml",)
    assert claimants(two.load(), two.output) == ()
    assert neighbours(alone) == {"idle": two.specs / "idle.yaml", "boutique": two.specs / "store.yaml"}
