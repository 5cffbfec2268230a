"""`publish: symlink`: all files of an entry come into sight in one step, and a reader never sees two generations."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from scene import take_snapshot
from sealed import make_person
from shop import Shop, second_run

from certgen.cli.group import certgen

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
    defaults: {issuer: issuing}
    servers:
      api: {sans: [api.shop.example], snippets: [envoy, haproxy], publish: symlink}
      web: {sans: [web.shop.example]}
    clients:
      checkout: {publish: symlink}
"""
NAMES = {
    "cert.pem", "key.pem", "ca.pem", "combined.pem", "haproxy.cfg", "envoy.yaml",
    "envoy/identity.yaml", "envoy/trust.yaml",
}  # fmt: skip
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder).write(SPEC).compile()


def api(shop: Shop) -> Path:
    return shop.tree / "servers/api"


def in_force(shop: Shop) -> str:
    return str((api(shop) / "..data").readlink())


def generations(shop: Shop) -> set[str]:
    return {path.name for path in api(shop).glob("..[0-9]*")}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def is_pair(certificate: bytes, key: bytes) -> bool:
    first = x509.load_pem_x509_certificates(certificate)[0].public_key().public_bytes(*SPKI)
    return first == load_pem_private_key(key, None).public_key().public_bytes(*SPKI)


def pair(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "cert.pem").read_bytes(), (folder / "key.pem").read_bytes()


def demand_linked(shop: Shop) -> None:
    """Demand that each file is a link by the one link, and that the generation in force has nothing else."""
    folder = api(shop)
    links = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink()} - {"..data"}
    assert links == NAMES == files_below(folder / in_force(shop))
    for name in NAMES:
        assert str((folder / name).readlink()).removeprefix("../") == f"..data/{name}"
        assert (folder / name).resolve() == (folder / in_force(shop) / name).resolve()
    assert is_pair(*pair(folder))
    assert (folder / "combined.pem").read_bytes() == b"".join(pair(folder))
    shop.assert_settled()


# What is there


def test_files_stand_in_a_generation_and_links_show_them(shop: Shop) -> None:
    assert in_force(shop) == "..1"
    demand_linked(shop)
    modes = {name: stat.S_IMODE((api(shop) / name).stat().st_mode) for name in ("key.pem", "combined.pem", "cert.pem")}
    assert modes == {"key.pem": 0o600, "combined.pem": 0o600, "cert.pem": 0o644}


def test_plain_files_stay_the_default(shop: Shop) -> None:
    assert files_below(shop.tree / "servers/web") == {"cert.pem", "key.pem", "ca.pem"}
    assert not any(path.is_symlink() for path in (shop.tree / "servers/web").iterdir())
    assert (shop.tree / "clients/checkout/..data").is_symlink()


def test_it_can_be_a_default_and_an_entry_can_have_another(shop: Shop) -> None:
    text = SPEC.replace("defaults: {", "defaults: {publish: symlink, ").replace(
        "    web: {", "    web: {publish: files, "
    )
    shop.write(text.replace("  checkout: {publish: symlink}", "  checkout: {}")).compile()
    assert not (shop.tree / "servers/web/..data").is_symlink()
    assert (shop.tree / "clients/checkout/..data").is_symlink()
    assert not any(path.is_symlink() for path in (shop.tree / "cas").rglob("*")), "a CA's files are read by certgen"


def test_a_second_run_does_nothing(shop: Shop) -> None:
    second_run(shop).assert_untouched()
    second_run(shop, "--jobs", "1").assert_untouched("a process of its own")


def test_a_word_that_is_no_publication_is_told_with_those_that_are(shop: Shop) -> None:
    ran = shop.write(SPEC.replace("publish: symlink", "publish: kubernetes", 1)).inside("plan")
    assert ran.code == 2
    assert "unknown publication `kubernetes`" in ran.err
    assert "files, symlink" in ran.err


# A change


@pytest.mark.parametrize("option", ["--renew", "--rekey"])
def test_a_change_is_one_link_that_leads_elsewhere(shop: Shop, option: str) -> None:
    before, links = pair(api(shop)), {name: (api(shop) / name).lstat().st_ino for name in NAMES}
    shop.compile(option, "servers/api")
    assert (in_force(shop), generations(shop)) == ("..2", {"..1", "..2"})
    assert pair(api(shop) / "..1") == before, "who is reading the old one finds it whole"
    assert pair(api(shop))[0] != before[0]
    assert (pair(api(shop))[1] != before[1]) is (option == "--rekey")
    assert {name: (api(shop) / name).lstat().st_ino for name in NAMES} == links
    demand_linked(shop)
    second_run(shop).assert_untouched()


def test_an_old_generation_goes_with_the_change_after_the_next(shop: Shop) -> None:
    for number in range(2, 5):
        shop.compile("--rekey", "servers/api")
        assert generations(shop) == {f"..{number - 1}", f"..{number}"}
    demand_linked(shop)


def test_a_file_that_is_asked_for_no_more_leaves_with_its_link(shop: Shop) -> None:
    shop.write(SPEC.replace("envoy, haproxy", "envoy")).compile()
    assert not {"haproxy.cfg", "combined.pem"} & files_below(api(shop) / in_force(shop))
    assert not (api(shop) / "haproxy.cfg").is_symlink()
    assert not list(api(shop).rglob("combined.pem")), "a private key that nothing asks for stays nowhere"
    shop.assert_settled()


def test_a_new_file_gets_its_link(shop: Shop) -> None:
    shop.write(SPEC.replace("envoy, haproxy", "envoy, haproxy, nginx")).compile()
    assert (api(shop) / "nginx-server.conf").resolve() == (api(shop) / "..2/nginx-server.conf").resolve()
    shop.assert_settled()


def test_a_private_key_that_is_sealed_stays_in_clear_nowhere(shop: Shop) -> None:
    shop.compile("--renew", "servers/api")
    person = make_person(shop.folder, "me")
    text = SPEC.replace("version: 1", f"version: 1\n    keys: {{protection: age, recipients: [{person.recipient}]}}")
    shop.write(text).compile()
    keys = [path for path in api(shop).rglob("*") if not path.is_dir() and b"PRIVATE KEY" in path.read_bytes()]
    assert keys == []
    assert (api(shop) / "key.pem.age").resolve() == (api(shop) / "..3/key.pem.age").resolve()
    shop.assert_settled()
    sealed = (api(shop) / "key.pem.age").read_bytes()
    shop.compile("--renew", "servers/api", "--identity", str(person.identity))
    assert (api(shop) / "key.pem.age").read_bytes() == sealed, "carried along, and not closed anew"
    shop.assert_settled()


# There and back


def test_files_become_links_and_links_files_with_the_same_contents(shop: Shop) -> None:
    contents = {name: (api(shop) / name).read_bytes() for name in NAMES}
    shop.compile("--renew", "servers/api")
    contents |= {name: (api(shop) / name).read_bytes() for name in ("cert.pem", "combined.pem")}
    plain = SPEC.replace(", publish: symlink", "")
    planned = shop.write(plain).inside("plan")
    assert "servers/api  write   output_changed publish: all behind ..data -> each file by itself" in planned.out
    assert "error[publication]: servers/api has files behind ..data" in shop.inside("verify").err
    shop.compile()
    assert files_below(api(shop)) == NAMES
    assert not any(path.is_symlink() for path in api(shop).rglob("*"))
    assert {name: (api(shop) / name).read_bytes() for name in NAMES} == contents
    assert stat.S_IMODE((api(shop) / "key.pem").stat().st_mode) == 0o600
    shop.assert_settled()
    shop.write(SPEC).compile()
    demand_linked(shop)
    assert {name: (api(shop) / name).read_bytes() for name in NAMES} == contents


def test_an_entry_that_is_pruned_leaves_nothing(shop: Shop) -> None:
    shop.compile("--renew", "servers/api")
    text = "\n".join(line for line in SPEC.splitlines() if "    api:" not in line)
    shop.write(text).compile("--prune")
    assert not api(shop).exists()
    shop.assert_settled()


# What others do to it


def test_a_file_that_was_edited_behind_its_link_is_written_anew(shop: Shop) -> None:
    wanted = (api(shop) / "envoy.yaml").read_bytes()
    with (api(shop) / "envoy.yaml").open("ab") as file:
        file.write(b"mine: true\n")
    ran = shop.judge("plan")
    assert (ran.code, "file_drifted envoy.yaml: edited" in ran.out) == (1, True)
    shop.compile()
    assert (api(shop) / "envoy.yaml").read_bytes() == wanted
    demand_linked(shop)


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "envoy/trust.yaml"])
def test_a_link_that_is_gone_is_made_again_and_the_key_stays(shop: Shop, name: str) -> None:
    before = pair(api(shop))
    (api(shop) / name).unlink()
    ran = shop.judge("plan")
    assert (ran.code, f"servers/api  write   missing the link {name}" in ran.out) == (1, True)
    assert "publication" in shop.judge("verify").err
    shop.compile()
    assert pair(api(shop)) == before
    demand_linked(shop)


def test_a_file_in_place_of_a_link_is_what_a_reader_sees_and_so_what_is_judged(shop: Shop) -> None:
    content, before = (api(shop) / "envoy.yaml").read_bytes(), pair(api(shop))
    (api(shop) / "envoy.yaml").unlink()
    (api(shop) / "envoy.yaml").write_bytes(content)
    assert "file_drifted envoy.yaml: a file in place of its link" in shop.judge("plan").out
    shop.compile()
    assert pair(api(shop)) == before
    demand_linked(shop)


def test_without_the_one_link_the_last_generation_is_found_again(shop: Shop) -> None:
    shop.compile("--renew", "servers/api")
    before = pair(api(shop))
    (api(shop) / "..data").unlink()
    assert "servers/api  write   missing ..data" in shop.judge("plan").out
    found = shop.judge("verify")
    message = "servers/api has no file to be seen: ..data leads to no generation beside it"
    assert found.err.splitlines()[0] == f"error[publication]: {message}"
    assert (found.code, found.out.splitlines()[-1]) == (1, "shop: one finding")
    shop.compile()
    assert pair(api(shop)) == before
    demand_linked(shop)


def test_one_link_that_leads_nowhere_hides_nothing_of_the_files_beside_it(shop: Shop) -> None:
    web = shop.tree / "servers/web"
    (web / "cert.pem").unlink()
    (web / "cert.pem").symlink_to("..data/cert.pem")
    (web / "key.pem").chmod(0o644)
    found = [line for line in shop.judge("verify").err.splitlines() if line.startswith("error")]
    assert found == [
        "error[file-unreadable]: servers/web/cert.pem cannot be read: ..data leads to no generation beside it",
        "error[key-mode]: servers/web/key.pem has mode 0644, asked is 0600",
    ]


@pytest.mark.parametrize("kind", ["a link elsewhere", "a folder", "a file"])
def test_what_else_stands_in_place_of_the_one_link_is_left_alone(shop: Shop, kind: str) -> None:
    away, data = shop.folder / "away", api(shop) / "..data"
    shutil.copytree(api(shop) / in_force(shop), away)
    data.unlink()
    match kind:
        case "a link elsewhere":
            data.symlink_to(away)
        case "a folder":
            shutil.copytree(away, data)
        case _:
            data.write_text("mine")
    before = take_snapshot(shop.folder)
    for command in ("plan", "apply"):
        ran = shop.inside(command)
        assert ran.code == 2, (kind, ran)
        assert "servers/api" in ran.err
    assert {path: record.content for path, record in take_snapshot(shop.folder).items()} == {
        path: record.content for path, record in before.items()
    }


def test_a_folder_of_ones_own_is_in_the_way_of_a_first_link(shop: Shop) -> None:
    (shop.tree / "servers/web/..data").mkdir()
    ran = shop.write(SPEC.replace("web: {", "web: {publish: symlink, ")).inside("apply")
    assert (ran.code, "servers/web/..data is not the link that certgen made" in ran.err) == (2, True)
    assert not (shop.tree / "servers/web/cert.pem").is_symlink()


def test_a_link_to_somewhere_else_is_not_followed(shop: Shop) -> None:
    mine = shop.folder / "mine.pem"
    shutil.copy(api(shop) / "ca.pem", mine)
    (api(shop) / "ca.pem").unlink()
    (api(shop) / "ca.pem").symlink_to(mine)
    ran = shop.inside("apply")
    assert (ran.code, "servers/api/ca.pem is not a regular file" in ran.err) == (2, True)
    assert (api(shop) / "ca.pem").readlink() == mine


def test_a_file_of_ones_own_in_a_generation_stays_there(shop: Shop) -> None:
    (api(shop) / "..1/notes.txt").write_text("mine")
    assert "servers/api/..1/notes.txt is not certgen's" in shop.inside("verify", "--verbose").err
    for _ in range(2):
        shop.compile("--renew", "servers/api")
    assert files_below(api(shop) / "..1") == {"notes.txt"}
    assert generations(shop) == {"..1", "..2", "..3"}
    shop.compile("--renew", "servers/api")
    assert in_force(shop) == "..4"


def test_a_private_key_gets_its_mode_where_it_stands(shop: Shop) -> None:
    (api(shop) / "..1/key.pem").chmod(0o644)
    assert shop.judge("verify").code == 1
    shop.compile()
    assert stat.S_IMODE((api(shop) / "key.pem").stat().st_mode) == 0o600
    assert in_force(shop) == "..1"
    shop.assert_settled()


def test_a_key_that_cannot_be_read_is_kept_beside_when_it_is_replaced(shop: Shop) -> None:
    (api(shop) / "key.pem").write_text("not a key")
    assert shop.inside("apply").code == 2
    shop.compile("--rekey", "servers/api")
    assert (api(shop) / "key.pem.orig").read_text() == "not a key"
    demand_linked(shop)


# Who reads it


READER = """\
import os, sys
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

folder = Path(sys.argv[1])
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
print("reading", flush=True)
looks, seen = 0, set()
while not (folder.parent / "stop").exists():
    now = folder / os.readlink(folder / "..data")
    try:
        certificate, key, both = ((now / name).read_bytes() for name in ("cert.pem", "key.pem", "combined.pem"))
    except FileNotFoundError:
        # Two changes came meanwhile.
        assert os.readlink(folder / "..data") != now.name
        continue
    public = x509.load_pem_x509_certificates(certificate)[0].public_key().public_bytes(*SPKI)
    assert public == load_pem_private_key(key, None).public_key().public_bytes(*SPKI)
    assert both == certificate + key
    looks += 1
    seen.add(public)
print(looks, len(seen))
"""


@contextmanager
def reading(folder: Path) -> Iterator[subprocess.Popen[str]]:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        yield reader
    finally:
        reader.kill()
        reader.wait()


def test_a_reader_sees_no_mismatch_in_fifty_rekeys(shop: Shop) -> None:
    with reading(api(shop)) as reader:
        for _ in range(50):
            shop.compile("--rekey", "servers/api")
        (api(shop).parent / "stop").touch()
        out, err = reader.communicate(timeout=30)
    assert (reader.returncode, err) == (0, "")
    looks, keys = map(int, out.split())
    assert looks > 50
    assert keys > 10, "it has read while keys were made"


def test_plain_files_are_apart_for_a_moment_when_a_key_is_replaced(shop: Shop) -> None:
    """The control: in a folder of plain files the same reader finds a pair that does not match, sooner or later."""
    web = shop.tree / "servers/web"
    names = [path.name for path in web.iterdir()]
    before = {name: (web / name).stat().st_ino for name in names}
    shop.compile("--rekey", "servers/web")
    changed = [name for name in names if (web / name).stat().st_ino != before[name]]
    assert sorted(changed) == ["cert.pem", "key.pem"], "two steps, and a reader between them sees one of each"


def test_every_command_reads_by_the_links(shop: Shop) -> None:
    assert shop.inside("prove").code == 0
    assert "servers/api" in shop.type("inspect", "servers/api", "-o", "output").out
    found = CliRunner().invoke(certgen, ["inspect", str(api(shop))])
    assert (found.exit_code, found.stdout.count("ca.pem: certificate")) == (0, 1)
    text = shop.inside("verify")
    assert (text.code, text.err) == (0, "")


def test_a_clone_without_keys_is_in_sync_and_adds_an_entry(shop: Shop, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns("key.pem", "combined.pem", ".certgen")
    shutil.copytree(shop.folder, clone, symlinks=True, ignore=ignored)
    other = Shop(clone)
    for name in ("cas/root", "cas/issuing"):
        shutil.copy(shop.tree / name / "key.pem", other.tree / name / "key.pem")
    assert other.inside("plan").code == 0
    other.compile("--renew", "servers/api")
    assert in_force(other) == "..2"
    assert not list(api(other).rglob("key.pem"))
    assert other.inside("plan").code == 0
    assert other.inside("verify").code == 0
