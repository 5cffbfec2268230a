"""Every spec under specs/ is what it claims to be: valid, compiled, in sync, sound, and accepted by OpenSSL."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from programs import ask, nginx
from scene import PURPOSES, take_snapshot

from certgen.pipeline import LoadedSpec, apply_specs, load_specs, plan_specs
from certgen.prove.prove import prove
from certgen.prove.values import Judgement
from certgen.store.tree import Tree
from certgen.verify.audit import verify

REPOSITORY = Path(__file__).parent.parent
SPECS = sorted((REPOSITORY / "specs").glob("*.y*ml"))
SCHEMA = json.loads((REPOSITORY / "certgen.schema.json").read_text(encoding="utf-8"))
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[LoadedSpec, ...], Path]:
    """All specs, compiled together as `certgen apply` without an argument does."""
    folder = tmp_path_factory.mktemp("specs")
    shutil.copytree(REPOSITORY / "specs", folder / "specs")
    loaded = load_specs(sorted((folder / "specs").glob("*.y*ml")))
    apply_specs(loaded, folder / "output", NOW)
    return loaded, folder / "output"


def the(compiled: tuple[tuple[LoadedSpec, ...], Path], path: Path) -> tuple[LoadedSpec, Path]:
    (loaded,) = [item for item in compiled[0] if item.path.name == path.name]
    return loaded, compiled[1] / loaded.bundle.name


def test_there_are_specs_that_teach() -> None:
    assert {path.stem for path in SPECS} >= {"quickstart", "separate-cas", "etcd", "spiffe"}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_begins_with_the_line_for_editors_and_says_what_it_teaches(path: Path) -> None:
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    assert first == "# yaml-language-server: $schema=../certgen.schema.json"
    assert second.startswith("# ")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_is_valid_without_a_warning(path: Path) -> None:
    (loaded,) = load_specs([path])
    assert loaded.warnings == ()


def schema_errors(value: Any) -> list[str]:  # noqa: ANN401 - whatever YAML holds
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(value)]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_json_schema_accepts_a_spec_and_refuses_it_with_a_mistake(path: Path) -> None:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert schema_errors(value) == []
    assert schema_errors({**value, "server": {}})
    assert schema_errors({**value, "version": 2})
    assert schema_errors({name: item for name, item in value.items() if name != "version"})


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_second_run_finds_nothing_to_do(compiled: tuple[tuple[LoadedSpec, ...], Path], path: Path) -> None:
    loaded, tree = the(compiled, path)
    (planned,) = plan_specs([loaded], tree.parent, NOW)
    assert planned.plan.is_in_sync
    assert len(planned.plan.kept) == len(loaded.bundle.entries)
    before = take_snapshot(tree)
    assert len(before) > len(loaded.bundle.entries)
    (outcome,) = apply_specs([loaded], tree.parent, NOW)
    assert outcome.is_empty
    assert take_snapshot(tree) == before


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_audit_finds_a_tree_sound(compiled: tuple[tuple[LoadedSpec, ...], Path], path: Path) -> None:
    loaded, tree = the(compiled, path)
    assert verify(loaded.bundle, Tree(tree), NOW) == ()


def openssl_verify(certificate: Path, anchors: Path, purpose: str) -> str:
    command = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", str(anchors)]
    command += ["-untrusted", str(certificate), "-purpose", f"ssl{purpose}", str(certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_openssl_accepts_every_end_entity_for_its_purpose_and_below_its_own_root_alone(
    compiled: tuple[tuple[LoadedSpec, ...], Path], path: Path
) -> None:
    loaded, tree = the(compiled, path)
    end_entities = [entry for entry in loaded.bundle.entries if not entry.is_ca]
    assert end_entities
    other = next(item for item in compiled[0] if item is not loaded)
    other_root = next(entry for entry in other.bundle.entries if entry.is_root)
    strange = compiled[1] / other.bundle.name / str(other_root.address) / "cert.pem"
    for entry in end_entities:
        certificate = tree / str(entry.address) / "cert.pem"
        root = tree / str(loaded.bundle.issuers_above(entry.address)[-1].address) / "cert.pem"
        wanted = PURPOSES[entry.address.section]
        for purpose in ("server", "client"):
            words = openssl_verify(certificate, root, purpose)
            assert words.endswith(": OK") == (purpose in wanted), (str(entry.address), purpose, words)
        assert not openssl_verify(certificate, strange, wanted[0]).endswith(": OK")


def test_the_nginx_of_the_quickstart_runs_as_it_stands(
    compiled: tuple[tuple[LoadedSpec, ...], Path], tmp_path: Path
) -> None:
    tree = compiled[1] / "quickstart"
    url = "https://localhost:8443/"
    with nginx(tree / "servers/api/nginx.conf", 8443, tmp_path):
        for client, status in (("checkout", 200), ("reporting", 403)):
            folder = tree / "clients" / client
            assert ask(url, folder=folder, anchors=folder / "ca.pem").status == status
        assert ask(url, folder=None, anchors=tree / "clients/checkout/ca.pem").status == 400


def test_the_quickstart_is_proven(compiled: tuple[tuple[LoadedSpec, ...], Path]) -> None:
    (loaded,) = [item for item in compiled[0] if item.bundle.name == "quickstart"]
    proof = prove(loaded.bundle, Tree(compiled[1] / "quickstart"), NOW)
    assert (proof.judgement, proof.findings, proof.unknowns) == (Judgement.AS_EXPECTED, (), ())
    assert {(str(one.server), str(one.client)): one.turned_away_by for one in proof.encounters} == {
        ("servers/api", "clients/checkout"): (),
        ("servers/api", "clients/reporting"): ("nginx",),
        ("servers/web", "clients/checkout"): (),
        ("servers/web", "clients/reporting"): (),
    }
