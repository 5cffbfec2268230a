"""What others made is put into a tree byte for byte: all of it or nothing, and the first plan leaves it alone."""

import errno
import json
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from faults import Disk, KilledError
from foreign.hierarchy import SERVER, Authority, Wish, certify, end_entity_extensions, make_ca, new_key
from scene import take_snapshot
from shop import Shop, contents, second_run

from certgen.adopting import Found, adopt, refuse_tree
from certgen.diagnostics import CertgenError, Diagnostic
from certgen.importing.draft import Source, named, spec_fields
from certgen.importing.pem import collect
from certgen.importing.writing import write_spec
from certgen.loading import LoadedSpec, load_text
from certgen.manifest import parse_manifest
from certgen.model import Address
from certgen.plan.adoption import adoption_mark
from certgen.store.tree import Tree

ROOT = make_ca("Root", "ecdsa-p256")
ISSUING = make_ca("Issuing", "ed25519", ROOT)
KEY = rsa.generate_private_key(65537, 2048)
API, WEB = Address.parse("servers/api"), Address.parse("servers/web")


def server(name: str, issuer: Authority = ISSUING, *names: x509.GeneralName) -> x509.Certificate:
    extensions = end_entity_extensions([SERVER], [x509.DNSName(f"{name}.shop.example"), *names])
    return certify(Wish(name, extensions, days=90), KEY if name == "api" else new_key("ecdsa-p256"), issuer)


ODD = x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4"))
CERTIFICATES = {"api": server("api"), "web": server("web", ISSUING, ODD)}


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def key_pem(authority: Authority | None = None) -> bytes:
    form = PrivateFormat.PKCS8 if authority else PrivateFormat.TraditionalOpenSSL
    return (authority.key if authority else KEY).private_bytes(Encoding.PEM, form, NoEncryption())


FILES = [
    *map(pem, (ROOT.certificate, ISSUING.certificate, *CERTIFICATES.values())),
    key_pem(ROOT), key_pem(ISSUING), key_pem().replace(b"\n", b"\r\n"),
]  # fmt: skip
"""Of all but `web`, whose private key is elsewhere."""


FEW = [pem(ROOT.certificate), pem(server("api", ROOT)), key_pem(ROOT), key_pem()]


@dataclass(frozen=True)
class Import:
    """What was found, and the spec that was written for it."""

    shop: Shop
    loaded: LoadedSpec
    found: dict[Address, Found]

    def adopt(self) -> tuple[Diagnostic, ...]:
        return adopt(self.loaded.bundle, self.found, self.shop.tree)

    def read(self, path: str) -> bytes:
        return (self.shop.tree / path).read_bytes()


def importing(folder: Path, files: Sequence[bytes] = FILES) -> Import:
    entries = named(collect(Source(f"{number}.pem", content) for number, content in enumerate(files)).drafts)
    shop = Shop(folder)
    shop.spec.write_bytes(write_spec(spec_fields(entries)))
    loaded = load_text(shop.spec, shop.spec.read_bytes())
    found = {
        address: Found(draft.certificate, draft.private_key)
        for address, draft in entries.items()
        if draft.certificate is not None
    }
    return Import(shop, loaded, found)


def marked(given: Import) -> set[str]:
    entries = parse_manifest(given.read("manifest.json")).entries
    return {str(address) for address, line in entries.items() if line.adopted is not None}


@pytest.fixture
def given(tmp_path: Path) -> Import:
    return importing(tmp_path)


def test_certificates_and_keys_are_there_byte_for_byte(given: Import) -> None:
    given.adopt()
    api, root, issuing = pem(CERTIFICATES["api"]), pem(ROOT.certificate), pem(ISSUING.certificate)
    assert given.read("cas/root/cert.pem") == root
    assert given.read("cas/issuing/cert.pem") == issuing
    assert given.read("servers/api/cert.pem") == api + issuing
    assert given.read("servers/api/ca.pem") == root
    assert given.read("servers/api/key.pem") == key_pem().replace(b"\n", b"\r\n")
    assert given.read("cas/root/key.pem") == key_pem(ROOT)


def test_only_their_owner_can_read_the_keys(given: Import) -> None:
    given.adopt()
    modes = {
        str(path.relative_to(given.shop.tree)): stat.S_IMODE(path.stat().st_mode)
        for path in given.shop.tree.rglob("*.pem")
    }
    keys = {f"{address}/key.pem" for address in ("cas/root", "cas/issuing", "servers/api")}
    assert {path for path, mode in modes.items() if mode == 0o600} == keys
    assert {mode for path, mode in modes.items() if path not in keys} == {0o644}


def test_the_next_run_has_nothing_to_do(given: Import) -> None:
    given.adopt()
    given.shop.assert_settled()
    second_run(given.shop).assert_untouched()


def test_what_a_spec_cannot_say_is_told_and_marked_and_nothing_else_is(given: Import) -> None:
    (note,) = given.adopt()
    assert (note.code, note.where, note.is_error) == ("not-expressed", "servers/web", False)
    assert note.message.startswith("servers/web has what its entry does not say: ")
    assert "RegisteredID" in note.message
    assert marked(given) == {"servers/web"}
    manifest, web = parse_manifest(given.read("manifest.json")), given.loaded.bundle[WEB]
    der = CERTIFICATES["web"].public_bytes(Encoding.DER)
    assert manifest.entries[WEB].adopted == adoption_mark(web, der)


def test_the_keys_that_are_here_are_noted_and_no_other(given: Import) -> None:
    given.adopt()
    here = {given.found[address].certificate.key_id for address in given.found if address != WEB}
    assert set(given.read(".certgen/keys").decode().split()) == here
    assert given.found[WEB].certificate.key_id not in here
    assert not (given.shop.tree / "servers/web/key.pem").exists()


def test_git_gets_none_of_the_keys(given: Import) -> None:
    given.adopt()
    assert b"\nkey.pem\n" in given.read(".gitignore")
    assert json.loads(given.read("manifest.json"))["entries"]["servers/api"]["files"]["key.pem"] is None


def test_an_edit_reissues_that_entry_alone_with_the_key_that_it_has(given: Import) -> None:
    given.adopt()
    before = {address: given.read(f"{address}/cert.pem") for address in ("cas/root", "cas/issuing", "servers/web")}
    text = given.shop.spec.read_text()
    given.shop.spec.write_text(text.replace("[api.shop.example]", "[api.shop.example, added.example]"))
    assert given.shop.judge("plan").code == 1
    given.shop.compile().assert_settled()
    assert {address: given.read(f"{address}/cert.pem") for address in before} == before
    assert given.read("servers/api/key.pem") == key_pem().replace(b"\n", b"\r\n")
    assert x509.load_pem_x509_certificate(given.read("servers/api/cert.pem")) != CERTIFICATES["api"]


def test_a_renewal_drops_the_mark(given: Import) -> None:
    with_key = [*FILES[:2], pem(server("api", ISSUING, ODD)), *FILES[3:]]
    given = importing(given.shop.folder, with_key)
    given.adopt()
    assert marked(given) == {"servers/api", "servers/web"}
    given.shop.compile("--renew", "servers/api").assert_settled()
    assert marked(given) == {"servers/web"}


def test_an_entry_that_nobody_made_waits_for_the_first_apply(given: Import) -> None:
    del given.found[API]
    given.adopt()
    assert not (given.shop.tree / "servers/api").exists()
    given.shop.compile().assert_settled()
    assert (given.shop.tree / "servers/api/key.pem").is_file()


def test_what_stands_there_is_left_alone(given: Import) -> None:
    given.adopt()
    before = take_snapshot(given.shop.folder)
    with pytest.raises(CertgenError) as caught:
        given.adopt()
    assert [problem.code for problem in caught.value.diagnostics] == ["exists"]
    assert take_snapshot(given.shop.folder) == before


@pytest.mark.parametrize("path", ["manifest.json", "servers/api/cert.pem", "note.txt"])
def test_any_file_in_the_folder_is_in_the_way(given: Import, path: str) -> None:
    refuse_tree(given.shop.tree)
    (given.shop.tree / path).parent.mkdir(parents=True)
    (given.shop.tree / path).write_bytes(b"mine")
    with pytest.raises(CertgenError):
        refuse_tree(given.shop.tree)


def test_a_link_is_not_followed(given: Import, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    given.shop.output.mkdir()
    given.shop.tree.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CertgenError):
        given.adopt()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def trees(shop: Shop) -> dict[str, tuple[bytes, int]]:
    return contents(take_snapshot(shop.tree))


@pytest.mark.parametrize("kill", [False, True], ids=["full disk", "killed"])
def test_a_run_that_ends_at_any_call_leaves_nothing_or_what_the_next_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: bool
) -> None:
    disk, whole = Disk(), importing(made(tmp_path / "whole"), FEW)
    with monkeypatch.context() as patch:
        disk.install(patch)
        whole.adopt()
    assert disk.calls > len(FEW)
    for number in range(1, disk.calls + 1):
        given = importing(made(tmp_path / f"{number}"), FEW)
        with monkeypatch.context() as patch, suppress(CertgenError, KilledError):
            Disk(number, errno.ENOSPC, kill=kill).install(patch)
            given.adopt()
        with suppress(CertgenError):
            given.adopt()
        if Tree(given.shop.tree).is_interrupted():
            given.shop.compile()
        assert trees(given.shop) == trees(whole.shop), number


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
