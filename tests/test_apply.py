"""Applying: nothing twice, nothing half, nothing lost, nothing foreign, and secrets closed from their first byte."""

import errno
import itertools
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from faults import Disk, KilledError
from samples import EVERY
from scene import NOW, Scene, key_id, key_of_file, load, says, take_snapshot, verify_in_process

from certgen.diagnostics import CertgenError
from certgen.issue import issue
from certgen.model import Certificate, Issuance
from certgen.rfc5280.objects import generate_private_key, public_key_der
from certgen.rfc5280.vocabulary import DistinguishedName, KeyAlgorithm

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    servers:
      api: {issuer: issuing, sans: [api.shop.example]}
    clients:
      checkout: {issuer: issuing}
"""
CERTIFIED = ("cas/root", "cas/issuing", "servers/api", "clients/checkout")


@pytest.fixture
def shop(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.apply()
    return scene


# Nothing twice


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_a_second_run_writes_nothing_whatever_the_key_algorithm(scene: Scene, algorithm: KeyAlgorithm) -> None:
    # Only the small RSA keys sign too: the large ones cost time, and the way to sign is the same.
    ca = "ecdsa-p256" if algorithm in {"rsa-3072", "rsa-4096"} else algorithm
    scene.write(f"version: 1\nca: {{key: {ca}}}\nservers:\n  api: {{sans: localhost, key: {algorithm}}}\n")
    scene.apply()
    before = take_snapshot(scene.output)
    assert {"shop/.certgen/keys", "shop/manifest.json", "shop/servers/api", "."} <= set(before)
    (again,) = scene.run(NOW + timedelta(days=1))
    assert again.changes == {}
    assert take_snapshot(scene.output) == before


def test_a_run_that_has_something_to_do_is_seen_by_the_same_comparison(shop: Scene) -> None:
    before = take_snapshot(shop.output)
    shop.apply(renew=["servers/api"])
    assert take_snapshot(shop.output) != before


@pytest.mark.parametrize("path", ["servers/api/cert.pem", "servers/api/key.pem", ".certgen/keys", "."])
def test_a_mere_touch_is_seen_by_the_same_comparison(shop: Scene, path: str) -> None:
    before = take_snapshot(shop.tree)
    os.utime(shop.tree / path)
    assert take_snapshot(shop.tree) != before


def test_with_the_key_kept_a_renewal_is_one_replacement_of_one_public_file(shop: Scene) -> None:
    applied = shop.apply(renew=["servers/api"])
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}


def test_a_key_that_rotates_is_renewed_with_a_new_key_and_one_that_does_not_keeps_it(shop: Scene) -> None:
    shop.edit(("api: {", "api: {key: {rotation: on-renewal}, "))
    assert shop.apply().changes == {}
    before = {address: shop.key_id(address) for address in CERTIFIED}
    applied = shop.apply(renew=["servers/api", "clients/checkout"])
    assert applied.changes == {
        "servers/api": "renew: requested; key new",
        "clients/checkout": "renew: requested; key kept",
    }
    assert {address for address in CERTIFIED if shop.key_id(address) != before[address]} == {"servers/api"}


def test_a_rotating_key_stays_where_the_change_is_no_renewal(shop: Scene) -> None:
    shop.edit(("[api.shop", "[localhost, api.shop"), ("api: {", "api: {key: {rotation: on-renewal}, "))
    before = shop.key_id("servers/api")
    assert shop.apply().changes == {"servers/api": "update: sans_changed; key kept"}
    assert shop.key_id("servers/api") == before


# Closed from the first byte


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "public"), [(0o000, 0o644), (0o022, 0o644), (0o077, 0o644)])
def test_modes_do_not_depend_on_the_umask(scene: Scene, mask: int, public: int) -> None:
    scene.write(SPEC)
    scene.edit(("api: {", 'api: {key: {mode: "0640"}, '))
    with umask(mask):
        scene.apply()
    modes = {path: stat.S_IMODE(record.mode) for path, record in take_snapshot(scene.tree).items()}
    keys = {path: mode for path, mode in modes.items() if path.endswith("key.pem")}
    assert keys == {
        "cas/root/key.pem": 0o600,
        "cas/issuing/key.pem": 0o600,
        "servers/api/key.pem": 0o640,
        "clients/checkout/key.pem": 0o600,
    }
    assert {mode for path, mode in modes.items() if path.endswith(("cert.pem", "ca.pem"))} == {public}
    assert {mode for path, mode in modes.items() if path.startswith(".certgen/")} == {0o600}


def test_a_private_key_is_closed_to_others_at_every_step_of_the_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def look(_call: str, _path: str) -> None:
        for path, record in take_snapshot(scene.tree).items():
            if b"PRIVATE KEY" in record.content:
                assert stat.S_IMODE(record.mode) == 0o600, path
            if "key.pem" in path or ".certgen/new/" in path:
                seen.append((Path(path).parent.name, stat.S_IMODE(record.mode)))

    scene.write(SPEC)
    with umask(0o000), monkeypatch.context() as patch:
        Disk(watch=look).install(patch)
        scene.run()
    assert {name for name, _ in seen} == {"new", "root", "issuing", "api", "checkout"}
    assert {mode for name, mode in seen if name != "new"} == {0o600}
    assert {mode for name, mode in seen if name == "new"} == {0o600, 0o644}


def test_the_ignore_file_stands_before_the_first_private_key_is_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys_seen = 0

    def look(_call: str, path: str) -> None:
        nonlocal keys_seen
        if any(b"PRIVATE KEY" in record.content for record in take_snapshot(scene.tree).values()):
            keys_seen += 1
            assert (scene.tree / ".gitignore").exists(), path

    scene.write(SPEC)
    with monkeypatch.context() as patch:
        Disk(watch=look).install(patch)
        scene.run()
    assert keys_seen


def test_with_keys_kept_a_reader_never_sees_a_pair_that_does_not_match(
    shop: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0

    def look(_call: str, _path: str) -> None:
        nonlocal looked
        looked += 1
        shop.assert_all_pairs_match()

    shop.edit(("[api.shop.example]", "[api.shop.example, localhost]"), ("Shop Issuing CA", "Shop Issuing CA 2"))
    with monkeypatch.context() as patch:
        Disk(watch=look).install(patch)
        shop.run(renew=["clients/checkout"])
    assert looked > 3
    shop.assert_settled()


# A disk that refuses, and a process that dies


def test_the_trial_without_a_fault_has_calls_to_fail_at(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.edit(*EDITS)
    disk = Disk()
    with monkeypatch.context() as patch:
        disk.install(patch)
        shop.run()
    assert disk.calls > 20


EDITS = (
    ("[api.shop.example]", "[api.shop.example, localhost]"),
    ("checkout: {", "checkout: {key: ed25519, "),
    ("root: {", "root: {validity: 12y, "),
)
"""An update with the key kept, a new key for an end entity, and a root that others hold."""


def assert_nothing_is_half(tree: Path) -> None:
    """Demand that everything under a final name is whole and that no secret is open."""
    for path in tree.rglob("*"):
        if path.name in {"cert.pem", "ca.pem"}:
            assert x509.load_pem_x509_certificates(path.read_bytes())
            assert path.read_bytes().endswith(b"-----END CERTIFICATE-----\n")
        elif path.name == "key.pem":
            load_pem_private_key(path.read_bytes(), None)
        elif path.name == "manifest.json":
            json.loads(path.read_bytes())
        if "key.pem" in path.name:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def assert_sound(scene: Scene, now: datetime = NOW) -> None:
    """Demand what `Scene.assert_settled` does, with chains verified in this process: there are many to judge."""
    plan = scene.plan(now)
    assert ({str(change.address): says(change) for change in plan.changes}, plan.obstacles, plan.modes) == (
        {},
        (),
        (),
    )
    before = take_snapshot(scene.output)
    scene.run(now)
    assert take_snapshot(scene.output) == before
    assert not [path for path in before if ".certgen/new" in path or ".certgen/journal" in path]
    scene.assert_all_pairs_match()
    root = (scene.tree / "cas/root/cert.pem").read_bytes()
    for address in ("servers/api", "clients/checkout"):
        verify_in_process((scene.tree / address / "cert.pem").read_bytes(), root, now)
        assert (scene.tree / address / "ca.pem").read_bytes() == root


def kept_keys(tree: Path) -> dict[str, str]:
    """Give the ids of the keys that no edit of `EDITS` replaces."""
    return {
        address: key_of_file(tree / address / "key.pem")
        for address in ("cas/root", "cas/issuing", "servers/api")
        if (tree / address / "key.pem").exists()
    }


class Trial:
    """One run after the other over copies of one tree, each with its fault at another call."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_first_run: bool) -> None:
        self._folder = folder
        self._patch = monkeypatch
        self._start = Scene(folder / "start")
        self._start.write(SPEC)
        if not is_first_run:
            self._start.run()
            self._start.edit(*EDITS)

    def faults(self, code: int = errno.ENOSPC, *, kill: bool = False) -> Iterator[tuple[Scene, Disk, str]]:
        """Give, for each call, the tree after the failed run, the disk, and the code of the error that was raised."""
        for number in itertools.count(1, 1 if EVERY else 3):
            scene = self._copy()
            disk = Disk(number, code, kill=kill)
            raised = ""
            with self._patch.context() as patch:
                disk.install(patch)
                try:
                    scene.run()
                except CertgenError as problem:
                    raised = problem.diagnostics[0].code
                except KilledError:
                    raised = "killed"
                except OSError as leaked:
                    raised = f"a traceback: {leaked}"
            if not disk.failed:
                assert number > 20
                return
            yield scene, disk, raised

    def _copy(self) -> Scene:
        shutil.rmtree(self._folder / "trial", ignore_errors=True)
        return Scene(Path(shutil.copytree(self._start.folder, self._folder / "trial")))


@pytest.mark.parametrize(
    ("is_first_run", "code"),
    [(True, errno.ENOSPC), (False, errno.EACCES)],
    ids=["first run, full disk", "later run, read-only disk"],
)
def test_a_write_that_fails_leaves_nothing_half_and_the_next_run_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_first_run: bool
) -> None:
    trial = Trial(tmp_path, monkeypatch, is_first_run=is_first_run)
    wrong: list[str] = []
    for scene, disk, raised in trial.faults(code):
        try:
            is_courtesy = raised == "" and disk.failed.startswith("ftruncate")
            assert raised == "write-failed" or is_courtesy
            assert_nothing_is_half(scene.tree)
            is_left = (scene.tree / ".certgen/new").exists() and not disk.failed.startswith("rmdir")
            assert (scene.tree / ".certgen/journal").exists() or not is_left
            keys = kept_keys(scene.tree)
            scene.run()
            assert_sound(scene)
            assert kept_keys(scene.tree).items() >= keys.items()
        except (AssertionError, CertgenError) as reason:
            wrong.append(f"{disk.failed}: {str(reason).splitlines()[0]}".replace(str(tmp_path), ""))
    assert "\n".join(wrong) == ""


@pytest.mark.parametrize("is_first_run", [True, False], ids=["first run", "later run"])
def test_a_run_that_is_killed_at_any_instant_leaves_nothing_half_and_the_next_run_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first_run: bool
) -> None:
    trial = Trial(tmp_path, monkeypatch, is_first_run=is_first_run)
    wrong: list[str] = []
    for scene, disk, raised in trial.faults(kill=True):
        try:
            assert raised == "killed"
            assert_nothing_is_half(scene.tree)
            keys = kept_keys(scene.tree)
            scene.run()
            assert_sound(scene)
            assert kept_keys(scene.tree).items() >= keys.items()
        except (AssertionError, CertgenError) as reason:
            wrong.append(f"{disk.failed}: {str(reason).splitlines()[0]}".replace(str(tmp_path), ""))
    assert "\n".join(wrong) == ""


def test_a_killed_run_leaves_no_private_key_that_git_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, monkeypatch, is_first_run=True)
    wrong = set()
    with_keys = 0
    for scene, disk, _ in trial.faults(kill=True):
        if disk.failed.startswith(("mkdir", "chmod", "fchmod")):
            continue  # git has nothing else to take then than before
        subprocess.run(["git", "init", "--quiet"], cwd=scene.folder, check=True)
        command = ["git", "ls-files", "--others", "--exclude-standard", "output"]
        listed = subprocess.run(command, cwd=scene.folder, check=True, capture_output=True, text=True)
        with_keys += any(scene.tree.rglob("*key.pem"))
        wrong |= {path for path in listed.stdout.splitlines() if "key.pem" in path}
    assert with_keys
    assert wrong == set()


def test_an_interrupted_run_is_told_as_resumed(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.edit(*EDITS)
    with monkeypatch.context() as patch:
        Disk(25, kill=True).install(patch)
        with pytest.raises(KilledError):
            shop.run()
    assert (shop.tree / ".certgen/journal").exists()
    shop.apply()
    assert not (shop.tree / ".certgen/journal").exists()


# Nothing foreign


def put_foreign(path: Path, kind: str, away: Path) -> None:
    """Put something at a path that certgen did not put there."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        path.mkdir()
        (path / "mine").write_text("mine")
    elif kind == "link":
        away.write_text("mine")
        path.symlink_to(away)
    elif kind == "dangling link":
        path.symlink_to(away)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("mine")


KINDS = ("file", "folder", "link", "dangling link", "pipe")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cert.pem", "ca.pem"])
def test_what_stands_at_a_wanted_path_before_the_first_run_is_refused_and_untouched(
    shop: Scene, tmp_path: Path, name: str, kind: str
) -> None:
    shop.edit(("  api: {", "  web: {issuer: issuing, sans: [web.shop.example]}\n  api: {"))
    put_foreign(shop.tree / "servers/web" / name, kind, tmp_path / "away")
    assert shop.refused() == [f"foreign-file servers/web/{name}"]
    path = shop.tree / "servers/web" / name
    shutil.rmtree(path) if kind == "folder" else path.unlink()
    shop.apply()


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_place_of_a_new_key_is_refused_and_untouched(shop: Scene, tmp_path: Path, kind: str) -> None:
    shop.edit(("  api: {", "  web: {issuer: issuing, sans: [web.shop.example]}\n  api: {"))
    put_foreign(shop.tree / "servers/web/key.pem", kind, tmp_path / "away")
    (code,) = shop.refused()
    assert code.split()[0] in {"foreign-file", "key-unreadable"}
    assert "servers/web" in code


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "file"])
@pytest.mark.parametrize("name", ["cert.pem", "ca.pem", "key.pem"])
def test_what_took_the_place_of_a_file_of_ours_is_refused_and_untouched(
    shop: Scene, tmp_path: Path, name: str, kind: str
) -> None:
    put_foreign(shop.tree / "servers/api" / name, kind, tmp_path / "away")
    (code,) = shop.refused()
    assert code.split()[0] in {"foreign-file", "key-unreadable"}
    assert code.split()[1].startswith("servers/api")


def test_a_key_of_a_stranger_in_a_new_folder_is_not_adopted(shop: Scene) -> None:
    shop.edit(("  api: {", "  web: {issuer: issuing, sans: [web.shop.example]}\n  api: {"))
    stranger = shop.tree / "servers/web/key.pem"
    stranger.parent.mkdir()
    shutil.copy(shop.tree / "clients/checkout/key.pem", stranger)
    assert shop.refused() == ["foreign-file servers/web/key.pem"]


@pytest.mark.parametrize("place", ["servers/api", "servers", "cas", ".certgen"])
def test_a_folder_that_is_a_link_is_not_followed(shop: Scene, tmp_path: Path, place: str) -> None:
    away = tmp_path / "away"
    (shop.tree / place).rename(away)
    (shop.tree / place).symlink_to(away)
    before = take_snapshot(away)
    shop.edit(("[api.shop.example]", "[api.shop.example, localhost]"))
    with pytest.raises(CertgenError) as caught:
        shop.run()
    assert all(problem.help or problem.code == "write-failed" for problem in caught.value.diagnostics)
    assert take_snapshot(away) == before
    assert (shop.tree / place).is_symlink()


def test_an_ignore_file_that_is_not_ours_is_refused_and_untouched(scene: Scene) -> None:
    scene.write(SPEC)
    scene.tree.mkdir(parents=True)
    (scene.tree / ".gitignore").write_text("*.log\n")
    assert scene.refused() == ["foreign-file .gitignore"]
    (scene.tree / ".gitignore").unlink()
    scene.apply()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
@pytest.mark.parametrize("name", ["manifest.json", ".gitignore"])
def test_what_took_the_place_of_the_trees_own_files_is_refused_and_untouched(
    shop: Scene, tmp_path: Path, name: str, kind: str
) -> None:
    put_foreign(shop.tree / name, kind, tmp_path / "away")
    assert shop.refused() == [f"foreign-file {name}"]


def test_files_of_others_beside_ours_are_left_alone(shop: Scene) -> None:
    mine = [shop.tree / "servers/api/notes.txt", shop.tree / "notes.txt", shop.tree / "mine/cert.pem"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    before = {path: path.stat() for path in mine}
    shop.edit(*EDITS)
    applied = shop.apply(prune=True)
    assert {path: path.stat() for path in mine} == before
    assert not any("notes" in path or "mine" in path for path in applied.touched)


def test_a_manifest_that_leads_out_of_the_tree_removes_nothing_there(shop: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside.pem"
    outside.write_text("mine")
    path = shop.tree / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"ca.pem"', b'"../../../../outside.pem"'))
    shop.apply(prune=True)
    assert outside.read_text() == "mine"


# The spare key


def test_a_spare_key_is_never_written_over(shop: Scene) -> None:
    key = shop.tree / "servers/api/key.pem"
    kept: list[bytes] = []
    for number in range(3):
        stranger = f"stranger {number}".encode()
        key.write_bytes(stranger)
        key.chmod(0o644)
        kept.append(stranger)
        shop.apply(rekey=["servers/api"])
    spares = sorted((shop.tree / "servers/api").glob("key.pem.orig*"))
    assert sorted(path.read_bytes() for path in spares) == kept
    assert {stat.S_IMODE(path.stat().st_mode) for path in spares} == {0o600}
    assert spares[0].name == "key.pem.orig"


def test_a_rekey_of_a_key_that_fits_keeps_no_spare(shop: Scene) -> None:
    shop.apply(rekey=["servers/api"])
    assert not list(shop.tree.rglob("key.pem.orig*"))


def test_a_spare_key_is_kept_out_of_git_and_survives_prune(shop: Scene) -> None:
    (shop.tree / "servers/api/key.pem").write_bytes(b"precious")
    shop.apply(rekey=["servers/api"])
    subprocess.run(["git", "init", "--quiet"], cwd=shop.folder, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=shop.folder, check=True, capture_output=True
    )
    assert b"cert.pem" in listed.stdout
    assert b"key.pem" not in listed.stdout
    shop.edit(("  api: {issuer: issuing, sans: [api.shop.example]}\n", "  {}\n"))
    shop.apply(prune=True)
    assert (shop.tree / "servers/api/key.pem.orig").read_bytes() == b"precious"


def test_no_secret_is_in_the_manifest_or_in_an_error(shop: Scene) -> None:
    secret = (shop.tree / "servers/api/key.pem").read_text().splitlines()[1]
    assert secret not in (shop.tree / "manifest.json").read_text()
    (shop.tree / "servers/api/key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n")
    with pytest.raises(CertgenError) as caught:
        shop.run()
    assert secret not in repr(caught.value.diagnostics)
    assert secret not in repr(shop.planned())


def test_serials_are_positive_and_differ_and_no_longer_than_the_standard_allows(shop: Scene) -> None:
    serials = {load(path).serial_number for path in shop.tree.rglob("cert.pem")}
    shop.apply(renew=CERTIFIED)
    serials |= {load(path).serial_number for path in shop.tree.rglob("cert.pem")}
    assert len(serials) == 2 * len(CERTIFIED)
    assert all(0 < serial < 2**159 for serial in serials)


def test_the_manifest_has_one_address_a_line_and_no_times(shop: Scene) -> None:
    lines = (shop.tree / "manifest.json").read_text().splitlines()
    assert [line.split('"')[1] for line in lines[1:-1]] == ["cas/issuing", *CERTIFIED[:1], *CERTIFIED[2:]]
    assert str(NOW.year) not in "".join(line.split('"key"')[0] for line in lines)
    content = json.loads("\n".join(lines))
    assert content["entries"]["servers/api"]["key"] == key_id(shop.certificate("servers/api"))
    assert content["entries"]["servers/api"]["files"]["key.pem"] is None


def test_a_first_run_that_is_interrupted_has_lost_no_manifest(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.write("version: 1\nca: {}\n")

    dead = False

    def end(call: str, path: str) -> None:
        nonlocal dead
        dead = dead or (call == "replace" and path.endswith(".gitignore"))
        if dead:
            raise KilledError

    with monkeypatch.context() as patch:
        Disk(watch=end).install(patch)
        with pytest.raises(KilledError):
            scene.run()
    assert [notice.code for notice in scene.plan().notices] == ["interrupted"]
    scene.apply()
    (scene.tree / "manifest.json").unlink()
    assert [notice.code for notice in scene.plan().notices] == ["manifest-rebuilt"]


# What is signed is looked at before it is published


def sign_wrongly(how: str) -> Callable[..., bytes]:
    """A signer with a fault: it says what it should, but for one thing."""

    def signed(
        issuance: Issuance,
        public_key: bytes,
        issuer: Certificate | None,
        key: CertificateIssuerPrivateKeyTypes,
        serial: int,
    ) -> bytes:
        if issuer is None:
            return issue(issuance, public_key, issuer, key, serial)
        match how:
            case "key_mismatch":
                public_key = public_key_der(generate_private_key(KeyAlgorithm.ECDSA_P256).public_key())
            case "signature_invalid":
                key = generate_private_key(KeyAlgorithm.ECDSA_P256)
            case "validity_changed":
                issuance = replace(issuance, not_after=issuance.not_after - timedelta(days=1))
            case "subject_changed":
                subject = DistinguishedName((("common_name", "somebody else"),))
                issuance = replace(issuance, template=replace(issuance.template, subject=subject))
        return issue(issuance, public_key, issuer, key, serial)

    return signed


@pytest.mark.parametrize("how", ["key_mismatch", "signature_invalid", "validity_changed", "subject_changed", "nothing"])
def test_a_certificate_that_came_out_wrong_gets_no_name(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    scene.write(SPEC)
    monkeypatch.setattr("certgen.signing.issue", sign_wrongly(how))
    if how == "nothing":
        scene.run()
        return
    with pytest.raises(CertgenError, match=f"not as asked: .*{how}") as caught:
        scene.run()
    assert [problem.code for problem in caught.value.diagnostics] == ["wrong-certificate"]
    assert list(scene.tree.rglob("*.pem")) == []
