"""The laws over generated specs: convergence, locality, all or nothing, and order that does not matter.

`CERTGEN_EXAMPLES=1000 pytest tests/test_laws.py` looks at more specs than an ordinary run, at others each time, and
makes what it finds smaller.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scene import NOW, Scene, says, take_snapshot, verify_in_process
from strategies import SpecTree, permuted, specs

from certgen.diagnostics import CertgenError
from certgen.model import Bundle
from certgen.plan.horizon import next_instant

EXAMPLES = int(os.environ.get("CERTGEN_EXAMPLES", "0"))

law = settings(
    max_examples=EXAMPLES or 25,
    deadline=None,
    derandomize=not EXAMPLES,
    phases=tuple(Phase) if EXAMPLES else (Phase.generate,),
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@contextmanager
def scene_of(spec: SpecTree) -> Iterator[Scene]:
    """A scene for one example."""
    with TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        write(scene, spec)
        yield scene


def write(scene: Scene, spec: SpecTree) -> None:
    text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
    (scene.specs / "shop.yaml").write_text(text, encoding="utf-8")


def bundle_of(scene: Scene) -> Bundle:
    return scene.load()[0].bundle


def assert_in_sync(scene: Scene) -> None:
    plan = scene.plan()
    changes = {str(change.address): says(change) for change in plan.changes}
    assert (changes, plan.obstacles, plan.modes) == ({}, (), ())


def assert_sound(scene: Scene) -> None:
    """Demand that each path leads to the root above it, and is accepted by each entry that trusts that root."""
    scene.assert_all_pairs_match()
    bundle = bundle_of(scene)
    for entry in bundle.entries:
        if not entry.is_ca:
            root = bundle.issuers_above(entry.address)[-1].address
            path = (scene.tree / str(entry.address) / "cert.pem").read_bytes()
            verify_in_process(path, (scene.tree / str(root) / "cert.pem").read_bytes(), NOW)
            for other in bundle.entries:
                if root in other.trust:
                    verify_in_process(path, (scene.tree / str(other.address) / "ca.pem").read_bytes(), NOW)


@law
@given(specs(), st.data())
def test_a_run_converges_and_a_second_one_writes_nothing_whatever_the_order(
    spec: SpecTree, data: st.DataObject
) -> None:
    with scene_of(spec) as scene:
        scene.run()
        assert_in_sync(scene)
        assert_sound(scene)
        before, bundle = take_snapshot(scene.output), bundle_of(scene)
        scene.run()
        assert take_snapshot(scene.output) == before
        write(scene, data.draw(permuted(spec)))
        assert bundle_of(scene) == bundle
        assert_in_sync(scene)
        scene.run()
        assert take_snapshot(scene.output) == before


GENERATION = ("key.pem", "cert.pem", "ca.pem")


def is_linked(spec: SpecTree, server: str) -> bool:
    """Whether a server's files come into sight all together."""
    inherited: str = spec["defaults"].get("publish", "files")
    return bool(spec["servers"][server].get("publish", inherited) == "symlink")


def touched_by_a_name(spec: SpecTree, server: str, generation: str) -> set[str]:
    """Give what is written where a server gets another name: its certificate, or a generation with all that it has."""
    folder = f"servers/{server}"
    if not is_linked(spec, server):
        return {f"{folder}/cert.pem", "manifest.json"}
    return {f"{folder}/..data", *(f"{folder}/{generation}/{file}" for file in GENERATION), "manifest.json"}


@law
@given(specs().filter(lambda spec: bool(spec["servers"])), st.data())
def test_a_name_that_is_added_to_one_server_touches_that_server_alone(spec: SpecTree, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(spec["servers"])))
    with scene_of(spec) as scene:
        scene.run()
        changed = deepcopy(spec)
        changed["servers"][name]["sans"].append("added.shop.example")
        write(scene, changed)
        (applied,) = scene.run()
        assert applied.touched == touched_by_a_name(spec, name, "..2")
        assert_in_sync(scene)
        assert_sound(scene)
        write(scene, spec)
        (applied,) = scene.run()
        before = {f"servers/{name}/..1/{file}" for file in GENERATION} if is_linked(spec, name) else set()
        assert applied.touched == touched_by_a_name(spec, name, "..3") | before


@law
@given(specs(), specs())
def test_any_spec_can_follow_any_other(spec: SpecTree, other: SpecTree) -> None:
    with scene_of(spec) as scene:
        scene.run()
        write(scene, other)
        roots = [str(entry.address) for entry in bundle_of(scene).entries if entry.is_root]
        before = take_snapshot(scene.output)
        if any(change.startswith("root-in-the-field") for change in consents(scene)):
            with pytest.raises(CertgenError):
                scene.run()
            assert take_snapshot(scene.output) == before
        scene.run(rekey=[root for root in roots if f"root-in-the-field {root}" in consents(scene)], prune=True)
        assert_in_sync(scene)
        assert_sound(scene)
        assert scene.plan(prune=True).is_in_sync


def consents(scene: Scene) -> list[str]:
    return [f"{problem.code} {problem.where}" for problem in scene.plan().consents]


def _break(spec: SpecTree, mistake: str) -> SpecTree:
    broken = deepcopy(spec)
    match mistake:
        case "an unknown field":
            broken["defaults"]["expire"] = "90d"
        case "an unknown issuer":
            broken["clients"]["broken"] = {"issuer": "nobody"}
        case "a bad name":
            broken["servers"]["broken"] = {"issuer": min(broken["cas"]), "sans": ["local host"]}
        case "a server without a name":
            broken["servers"]["broken"] = {"issuer": min(broken["cas"])}
        case "an end after the issuer's":
            broken["clients"]["broken"] = {"issuer": min(broken["cas"]), "validity": "50y"}
        case _:
            broken["version"] = 2
    return broken


@law
@given(
    specs(),
    st.sampled_from(
        [
            "an unknown field",
            "an unknown issuer",
            "a bad name",
            "a server without a name",
            "an end after the issuer's",
            "another version",
        ]
    ),
    st.booleans(),
)
def test_a_mistake_anywhere_leaves_the_disk_untouched(spec: SpecTree, mistake: str, is_first_run: bool) -> None:
    with scene_of(spec) as scene:
        if not is_first_run:
            scene.run()
        before = take_snapshot(scene.output)
        write(scene, _break(spec, mistake))
        with pytest.raises(CertgenError) as caught:
            scene.run()
        assert any(problem.is_error for problem in caught.value.diagnostics)
        assert take_snapshot(scene.output) == before
        write(scene, spec)
        scene.run()
        assert take_snapshot(scene.output) != before or not is_first_run


@law
@given(specs(), st.integers(0, 1500))
def test_at_any_later_time_a_run_converges_and_a_second_one_writes_nothing(spec: SpecTree, days: int) -> None:
    now = NOW + timedelta(days=days)
    with scene_of(spec) as scene:
        scene.run()
        (applied,) = scene.run(now)
        assert scene.plan(now).is_in_sync
        kept = {path for path in applied.before if path.endswith("key.pem")}
        assert not kept & applied.touched
        before = take_snapshot(scene.output)
        scene.run(now)
        assert take_snapshot(scene.output) == before
        bundle = bundle_of(scene)
        for entry in bundle.entries:
            if not entry.is_ca:
                root = bundle.issuers_above(entry.address)[-1].address
                path = (scene.tree / str(entry.address) / "cert.pem").read_bytes()
                verify_in_process(path, (scene.tree / str(root) / "cert.pem").read_bytes(), now)


@law
@given(specs(), st.integers(0, 1500), st.floats(0, 1))
def test_a_tree_in_sync_is_in_sync_until_the_instant_that_its_stamp_names(
    spec: SpecTree, days: int, share: float
) -> None:
    now = NOW + timedelta(days=days)
    with scene_of(spec) as scene:
        scene.run()
        scene.run(now)
        (planned,) = scene.planned(now)
        until = next_instant(planned.loaded.bundle, planned.observed, now) - timedelta(seconds=1)
        between = now + timedelta(seconds=int((until - now).total_seconds() * share))
        for moment in (between, until):
            (later,) = scene.planned(moment)
            assert replace(later.plan, now=now) == planned.plan
