"""The traps that the peers fall into, numbered as in the design, section 1; each with its negative control.

Number 6 (revocation lists) and 12 (concurrency) come with the work that they are about.
"""

import errno
import re
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from faults import Disk
from foreign import openssl
from scene import NOW, Scene, load, take_snapshot

from certgen.diagnostics import CertgenError

SPEC = """\
    version: 1
    defaults: {subject: {organization: Shop BV}}
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    servers:
      api: {issuer: issuing, sans: [api.shop.example]}
      web: {issuer: issuing, sans: [web.shop.example]}
"""


@pytest.fixture
def shop(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.apply()
    return scene


def ca_key(scene: Scene, address: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key((scene.tree / address / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def test_trap_01_certyaml_changed_san_is_written(shop: Scene) -> None:
    path, root = shop.tree / "servers/api/cert.pem", shop.tree / "cas/root/cert.pem"
    assert not openssl(path, root, "server", "new.shop.example", NOW).accepted
    web = take_snapshot(shop.tree / "servers/web")
    shop.edit(("[api.shop.example]", "[new.shop.example]"))
    shop.apply()
    assert openssl(path, root, "server", "new.shop.example", NOW).accepted
    assert not openssl(path, root, "server", "api.shop.example", NOW).accepted
    assert take_snapshot(shop.tree / "servers/web") == web


def test_trap_02_certyaml_expired_certificate_is_renewed(shop: Scene) -> None:
    path, root = shop.tree / "servers/api/cert.pem", shop.tree / "cas/root/cert.pem"
    later = NOW + timedelta(days=400)
    assert not openssl(path, root, "server", "api.shop.example", later).accepted
    applied = shop.apply(later)
    assert applied.changes == dict.fromkeys(["servers/api", "servers/web"], "renew: expired; key kept")
    assert openssl(path, root, "server", "api.shop.example", later).accepted
    assert shop.plan(later).is_in_sync


def test_trap_03_certyaml_children_of_a_new_intermediate_are_signed_anew(shop: Scene) -> None:
    old_child = shop.folder / "old.pem"
    shutil.copy(shop.tree / "servers/api/cert.pem", old_child)
    shop.apply(rekey=["cas/issuing"])
    root = shop.tree / "cas/root/cert.pem"
    assert openssl(shop.tree / "servers/api/cert.pem", root, "server", "api.shop.example", NOW).accepted
    mixed = shop.folder / "mixed.pem"
    old = load(old_child).public_bytes(Encoding.PEM)
    mixed.write_bytes(old + (shop.tree / "cas/issuing/cert.pem").read_bytes())
    assert not openssl(mixed, root, "server", "api.shop.example", NOW).accepted


def test_trap_03_certyaml_a_deleted_intermediate_is_not_made_anew_unasked(shop: Scene) -> None:
    before = shop.key_id("cas/issuing")
    shutil.rmtree(shop.tree / "cas/issuing")
    shop.apply()
    assert shop.key_id("cas/issuing") == before


def test_trap_04_certyaml_an_entry_that_is_gone_is_told_and_removed_when_asked(shop: Scene) -> None:
    assert shop.plan().notices == ()
    shop.edit(("  web: {issuer: issuing, sans: [web.shop.example]}\n", ""))
    (notice,) = shop.plan().notices
    assert (notice.code, notice.where) == ("orphan", "servers/web")
    assert "--prune" in (notice.help or "")
    shop.apply()
    assert (shop.tree / "servers/web/key.pem").exists()
    shop.apply(prune=True)
    assert not (shop.tree / "servers/web").exists()
    assert shop.plan().notices == ()


def test_trap_05_certyaml_without_its_state_file_nothing_stale_is_adopted(shop: Scene) -> None:
    web = take_snapshot(shop.tree / "servers/web")
    shop.edit(("[api.shop.example]", "[new.shop.example]"))
    (shop.tree / "manifest.json").unlink()
    shutil.rmtree(shop.tree / ".certgen")
    applied = shop.apply()
    assert applied.notices == ["manifest-rebuilt"]
    assert applied.changes == {"servers/api": "update: sans_changed; key kept"}
    assert shop.names("servers/api") == ["new.shop.example"]
    assert take_snapshot(shop.tree / "servers/web") == web


def test_trap_07_certyaml_a_mistake_in_the_second_spec_is_found_before_the_first_is_written(
    scene: Scene,
) -> None:
    scene.write(SPEC)
    scene.write(SPEC.replace("web.shop.example", "web shop"), "store.yaml")
    with pytest.raises(CertgenError):
        scene.run()
    assert not scene.output.exists()
    scene.write(SPEC, "store.yaml")
    scene.run()
    assert sorted(path.name for path in scene.output.iterdir()) == ["shop", "store"]


def test_trap_07_cfssl_a_misspelt_field_is_refused_with_the_one_that_was_meant(scene: Scene) -> None:
    scene.write(SPEC.replace("web: {", "web: {expire: 90d, "))
    with pytest.raises(CertgenError) as caught:
        scene.run()
    (problem,) = caught.value.diagnostics
    assert problem.code == "unknown-field"
    assert "expire" in problem.message
    assert "validity" in (problem.help or "")
    assert not scene.output.exists()
    scene.write(SPEC.replace("web: {", "web: {validity: 90d, "))
    scene.apply()


def test_trap_08_pkicompose_the_second_run_does_nothing(shop: Scene) -> None:
    before = take_snapshot(shop.output)
    shop.run()
    assert take_snapshot(shop.output) == before
    shop.run(renew=["servers/api"])
    assert take_snapshot(shop.output) != before


def made_by_an_earlier_release(scene: Scene, names: list[str]) -> x509.Certificate:
    """Sign what `servers/api` asks for as another release might have: other hash, string types, key identifier."""
    current, issuer = scene.certificate("servers/api"), scene.certificate("cas/issuing")
    own = x509.SubjectKeyIdentifier(b"by another method")
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Shop BV", _ASN1Type.PrintableString)
    builder = x509.CertificateBuilder(
        issuer_name=issuer.subject,
        subject_name=x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, "api")]),
        public_key=current.public_key(),
        serial_number=7,
        not_valid_before=current.not_valid_before_utc - timedelta(days=3),
        not_valid_after=current.not_valid_after_utc - timedelta(days=3),
    )
    for extension in current.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            value: x509.ExtensionType = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        else:
            value = own if isinstance(extension.value, x509.SubjectKeyIdentifier) else extension.value
        builder = builder.add_extension(value, extension.critical)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    return builder.add_extension(unknown, critical=False).sign(ca_key(scene, "cas/issuing"), hashes.SHA512())


@pytest.mark.parametrize(("names", "is_kept"), [(["api.shop.example"], True), (["old.shop.example"], False)])
def test_trap_08_terraform_tls_what_another_release_made_is_kept(shop: Scene, names: list[str], is_kept: bool) -> None:
    path = shop.tree / "servers/api/cert.pem"
    earlier = made_by_an_earlier_release(shop, names)
    intermediate = (shop.tree / "cas/issuing/cert.pem").read_bytes()
    path.write_bytes(earlier.public_bytes(Encoding.PEM) + intermediate)
    (shop.tree / "manifest.json").unlink()
    applied = shop.apply()
    assert applied.touched == {"manifest.json"} | (set() if is_kept else {"servers/api/cert.pem"})
    assert (load(path) == earlier) is is_kept


@pytest.mark.parametrize("file", ["cert.pem", "ca.pem", "cert.pem ca.pem", "key.pem cert.pem"])
def test_trap_09_minica_a_half_deleted_entry_is_made_whole(shop: Scene, file: str) -> None:
    before = shop.key_id("servers/api")
    for name in file.split():
        (shop.tree / "servers/api" / name).unlink()
    shop.apply()
    names = sorted(path.name for path in (shop.tree / "servers/api").iterdir())
    assert names == ["ca.pem", "cert.pem", "key.pem"]
    assert (shop.key_id("servers/api") == before) is ("key.pem" not in file)


@pytest.mark.parametrize(("window", "is_refused"), [("10d", True), ("11d", True), ("9d", False), ("99%", False)])
def test_trap_10_cert_manager_a_window_as_long_as_the_validity_is_refused(
    scene: Scene, window: str, is_refused: bool
) -> None:
    scene.write(f"version: 1\nca: {{}}\nservers:\n  api: {{sans: a, validity: 10d, renew_before: {window}}}\n")
    if is_refused:
        assert scene.refused_spec() == ["window-too-long"]
    else:
        scene.apply()


def test_trap_10_cert_manager_a_real_lifetime_shorter_than_the_window_is_no_loop(scene: Scene) -> None:
    ca = "{validity: 400d, renew_before: 5d}"
    scene.write(f"version: 1\nca: {ca}\nservers:\n  api: {{sans: a, renew_before: 300d}}\n")
    scene.apply()
    late = NOW + timedelta(days=350)
    scene.apply(late)
    api = scene.certificate("servers/api")
    assert (api.not_valid_after_utc - api.not_valid_before_utc).days == 49
    again = scene.apply(late + timedelta(days=1))
    assert again.changes == {}
    assert again.notices == ["issuer-ends"]


def test_trap_11_cfssl_nothing_outlives_its_issuer(scene: Scene) -> None:
    scene.write("version: 1\nca: {validity: 300d}\nservers:\n  api: {sans: localhost}\n")
    assert scene.refused_spec() == ["outlives-issuer"]
    scene.edit(("300d", "400d"))
    scene.apply()
    scene.apply(NOW + timedelta(days=130), no_renew=True, renew=["servers/api"])
    ca, api = scene.certificate("cas/ca"), scene.certificate("servers/api")
    assert api.not_valid_after_utc == ca.not_valid_after_utc


def test_trap_11_cfssl_what_outlives_its_issuer_on_disk_is_mended(shop: Scene) -> None:
    shop.edit(("issuing: {", "issuing: {validity: 380d, "))
    later = NOW + timedelta(days=100)
    shop.apply(later)
    shop.edit(("validity: 380d", "not_after: 2026-12-24T00:00:00Z"))
    applied = shop.apply(later)
    for address in ("servers/api", "servers/web"):
        assert "outlives_issuer" in applied.changes[address]
        certificate, issuer = shop.certificate(address), shop.certificate("cas/issuing")
        assert certificate.not_valid_after_utc <= issuer.not_valid_after_utc


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_trap_13_tls_gen_a_failed_write_is_an_error(shop: Scene, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    shop.edit(("[api.shop.example]", "[new.shop.example]"))
    with monkeypatch.context() as patch:
        disk = Disk(9, code)
        disk.install(patch)
        with pytest.raises(CertgenError) as caught:
            shop.run()
    assert disk.failed
    assert [problem.code for problem in caught.value.diagnostics] == ["write-failed"]
    shop.apply()


def test_trap_14_mkcert_no_private_key_is_readable_by_others(shop: Scene) -> None:
    modes = {
        path: stat.S_IMODE(record.mode)
        for path, record in take_snapshot(shop.tree).items()
        if b"PRIVATE KEY" in record.content
    }
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}
    (shop.tree / "servers/api/key.pem").chmod(0o644)
    assert [str(mode.address) for mode in shop.plan().modes] == ["servers/api"]
    shop.apply()
    assert stat.S_IMODE((shop.tree / "servers/api/key.pem").stat().st_mode) == 0o600


def without_authority_key_identifier(scene: Scene, address: str) -> x509.Certificate:
    current = scene.certificate(address)
    builder = x509.CertificateBuilder(
        issuer_name=current.issuer,
        subject_name=current.subject,
        public_key=current.public_key(),
        serial_number=current.serial_number,
        not_valid_before=current.not_valid_before_utc,
        not_valid_after=current.not_valid_after_utc,
    )
    for extension in current.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(ca_key(scene, "cas/issuing"), hashes.SHA256())


def test_trap_15_trustme_strict_verifiers_find_the_authority_key_identifier(shop: Scene) -> None:
    path, root = shop.tree / "servers/api/cert.pem", shop.tree / "cas/root/cert.pem"
    verdict = openssl(path, root, "server", "api.shop.example", NOW)
    assert verdict.accepted, verdict.words
    without = without_authority_key_identifier(shop, "servers/api").public_bytes(Encoding.PEM)
    path.write_bytes(without + (shop.tree / "cas/issuing/cert.pem").read_bytes())
    verdict = openssl(path, root, "server", "api.shop.example", NOW)
    assert not verdict.accepted
    assert "Authority Key Identifier" in verdict.words
    applied = shop.apply()
    assert applied.changes == {"servers/api": "update: extensions_changed; key kept"}


def test_every_trap_of_the_design_has_its_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    numbers = {int(number) for number in re.findall(r"def test_trap_(\d\d)_", text)}
    assert numbers == set(range(1, 16)) - {6, 12}
