"""What an adversary tried: odd but valid specs, files of the user's own in the tree, limits, folders that are links."""

import subprocess
from concurrent.futures import BrokenExecutor, Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from foreign import openssl
from foreign.hierarchy import make_ca
from scene import NOW, Scene, take_snapshot

from certgen.diagnostics import CertgenError
from certgen.pipeline import apply_specs, find_specs, load_specs, parse_requests, plan_specs
from certgen.rfc5280.objects import algorithm_of
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.signers.memory import MemoryKeyRing


def private_pem(key: ed448.Ed448PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_prune_spares_what_the_spec_names_as_a_file_of_the_users_own(tmp_path: Path) -> None:
    spec = tmp_path / "shop.yaml"
    spec.write_text("version: 1\nca: {}\nclients: {app: {}}\n")
    output = tmp_path / "output"
    apply_specs(load_specs([spec]), output, NOW)
    mine = "output/shop/cas/ca"
    spec.write_text(
        f"version: 1\nca: {{certificate: {mine}/cert.pem, private_key: {mine}/key.pem}}\nclients: {{app: {{}}}}\n"
    )
    loaded = load_specs([spec])
    key = (output / "shop/cas/ca/key.pem").read_bytes()
    apply_specs(loaded, output, NOW, parse_requests(loaded, prune=True))
    assert (output / "shop/cas/ca/key.pem").read_bytes() == key
    (planned,) = plan_specs(loaded, output, NOW)
    assert planned.plan.is_in_sync
    assert [notice.code for notice in planned.plan.notices] == ["left-alone"]
    spec.write_text("version: 1\ncas: {other: {}}\nclients: {app: {}}\n")
    loaded = load_specs([spec])
    apply_specs(loaded, output, NOW, parse_requests(loaded, prune=True))
    assert not (output / "shop/cas/ca").exists()


def test_a_name_of_many_bytes_and_few_characters_is_certified(scene: Scene) -> None:
    scene.write(f"version: 1\nca: {{common_name: {'ж' * 64}}}\nservers: {{api: {{sans: localhost}}}}\n")
    scene.apply()
    scene.write(f"version: 1\nca: {{common_name: {'ж' * 65}}}\n")
    assert scene.refused_spec() == ["too-long"]


def test_a_ca_that_begins_later_does_not_make_every_run_renew(scene: Scene) -> None:
    begins = NOW + timedelta(days=200)
    scene.write(
        f"version: 1\nca: {{not_before: {begins:%Y-%m-%dT%H:%M:%SZ}, validity: 3y}}\n"
        "servers: {api: {sans: localhost}}\n"
    )
    scene.run()
    assert scene.plan().is_in_sync
    assert scene.plan(NOW + timedelta(days=3)).is_in_sync


def test_an_ed448_ca_that_is_brought_signs(scene: Scene) -> None:
    key = scene.specs / "ca.key"
    key.write_bytes(private_pem(ed448.Ed448PrivateKey.generate()))
    command = ["openssl", "req", "-x509", "-new", "-key", str(key), "-out", str(scene.specs / "ca.pem"), "-days", "900"]
    command += ["-subj", "/CN=Ed448", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    subprocess.run(command, check=True, capture_output=True)
    scene.write("version: 1\nca: {certificate: ca.pem, private_key: ca.key}\nservers: {api: {sans: localhost}}\n")
    scene.now = datetime.now(UTC).replace(microsecond=0)
    scene.run()
    assert scene.plan().is_in_sync
    verdict = openssl(scene.tree / "servers/api/cert.pem", scene.specs / "ca.pem", "server", "localhost", scene.now)
    assert verdict.accepted, verdict.words


@pytest.mark.parametrize(("bits", "codes"), [(1024, ["bad-ca-certificate"]), (2048, [])])
def test_a_weak_ca_that_is_brought_is_refused(scene: Scene, bits: int, codes: list[str]) -> None:
    key = scene.specs / "ca.key"
    key.write_bytes(private_pem(rsa.generate_private_key(65537, bits)))
    command = ["openssl", "req", "-x509", "-new", "-key", str(key), "-out", str(scene.specs / "ca.pem")]
    subprocess.run([*command, "-subj", "/CN=RSA"], check=True, capture_output=True)
    scene.write("version: 1\nca: {certificate: ca.pem}\n")
    assert (scene.refused_spec() if codes else []) == codes
    if not codes:
        scene.load()


def test_entries_named_like_private_keys_are_not_hidden_from_git(scene: Scene) -> None:
    scene.write("version: 1\nca: {}\nclients: {api.key: {}, key.pem: {}, combined.pem: {}, a.p12: {}}\n")
    scene.apply()
    git = ["git", "-C", str(scene.folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()
    for name in ("api.key", "key.pem", "combined.pem", "a.p12"):
        assert f"output/shop/clients/{name}/cert.pem" in listed
    assert not [path for path in listed if path.endswith(("/key.pem", "/keys")) and "/clients/key.pem" not in path]
    assert "output/shop/clients/key.pem/key.pem" not in listed


def test_a_tree_that_is_a_link_is_refused_and_not_written_through(scene: Scene) -> None:
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()
    scene.output.mkdir()
    scene.tree.symlink_to(elsewhere)
    scene.write("version: 1\nca: {}\n")
    before = take_snapshot(elsewhere)
    with pytest.raises(CertgenError):
        scene.run()
    assert take_snapshot(elsewhere) == before
    scene.tree.unlink()
    scene.apply()


def test_a_key_that_comes_home_from_its_host_is_made_here(scene: Scene) -> None:
    public = make_ca("host", "ecdsa-p256").key.public_key()
    (scene.specs / "app.pub").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    scene.write("version: 1\nca: {}\nclients: {app: {public_key: app.pub}}\n")
    scene.apply()
    assert not (scene.tree / "clients/app/key.pem").exists()
    scene.write("version: 1\nca: {}\nclients: {app: {}}\n")
    applied = scene.apply()
    assert applied.changes == {"clients/app": "rekey: key_missing; key new"}


def test_keys_that_a_killed_process_owed_are_made_here() -> None:
    ring = MemoryKeyRing(jobs=2)
    owed: Future[bytes] = Future()
    owed.set_exception(BrokenExecutor("killed"))
    ring._ahead[KeyAlgorithm.RSA_2048] = [owed]
    assert algorithm_of(ring.generate(KeyAlgorithm.RSA_2048).public_key()) == KeyAlgorithm.RSA_2048
    ring.close()


def test_the_lock_of_an_editor_is_no_spec(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("version: 1\nca: {}\n")
    (tmp_path / ".#shop.yaml").symlink_to("user@host.1234:56")
    assert find_specs(tmp_path) == (tmp_path / "shop.yaml",)


def test_a_child_of_a_ca_with_two_fixed_ends_cannot_outlast_it(scene: Scene) -> None:
    text = "version: 1\nca: {not_before: 2026-01-01T00:00:00Z, not_after: 2027-01-01T00:00:00Z}\n"
    scene.write(text + "clients: {app: {validity: 2y}}\n")
    assert scene.refused_spec() == ["outlives-issuer"]
    scene.write(text + "clients: {app: {validity: 300d}}\n")
    scene.load()


def test_three_thousand_cas_are_resolved_in_seconds(scene: Scene) -> None:
    cas = "".join(f"  c{number}: {{}}\n" for number in range(3000))
    scene.write(f"version: 1\ncas:\n{cas}")
    began = datetime.now(UTC)
    scene.load()
    assert (datetime.now(UTC) - began).total_seconds() < 15
