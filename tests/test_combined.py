"""combined.pem: path and private key in one file, where a consumer asks for it, always those that stand beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from sealed import make_person
from shop import Shop

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
    defaults: {issuer: issuing}
    servers:
      api: {sans: [api.shop.example], snippets: {haproxy: {}}}
      web: {sans: [web.shop.example]}
    clients:
      checkout: {}
"""
COMBINED = "servers/api/combined.pem"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder).write(SPEC).compile()


def parts(shop: Shop) -> bytes:
    return b"".join((shop.tree / "servers/api" / name).read_bytes() for name in ("cert.pem", "key.pem"))


def combined(shop: Shop) -> bytes:
    return (shop.tree / COMBINED).read_bytes()


def test_it_is_the_path_and_then_the_key_for_its_owner_alone(shop: Shop) -> None:
    content = combined(shop)
    assert content == parts(shop)
    first, second = x509.load_pem_x509_certificates(content)
    assert [one.subject.rfc4514_string() for one in (first, second)] == ["CN=api", "CN=Shop Issuing"]
    start = content.index(b"-----BEGIN PRIVATE KEY-----")
    key = load_pem_private_key(content[start:], None).public_key()
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_bytes(*spki) == first.public_key().public_bytes(*spki)
    assert stat.S_IMODE((shop.tree / COMBINED).stat().st_mode) == 0o600
    shop.assert_settled()


def test_nobody_else_gets_one(shop: Shop) -> None:
    assert [str(path.relative_to(shop.tree)) for path in shop.tree.rglob("combined.pem")] == [COMBINED]


def test_git_does_not_get_it_and_the_manifest_has_no_digest_of_it(shop: Shop) -> None:
    assert "\ncombined.pem\n" in (shop.tree / ".gitignore").read_text()
    assert '"combined.pem": null' in (shop.tree / "manifest.json").read_text()


@pytest.mark.parametrize("option", ["--renew", "--rekey"])
def test_it_follows_certificate_and_key(shop: Shop, option: str) -> None:
    before = combined(shop)
    shop.compile(option, "servers/api")
    assert combined(shop) == parts(shop) != before
    shop.assert_settled()


def test_it_follows_an_issuer_above(shop: Shop) -> None:
    before = combined(shop)
    shop.compile("--renew", "cas/issuing")
    assert combined(shop) == parts(shop) != before
    shop.assert_settled()


def test_one_that_is_gone_or_edited_is_written_anew_and_said_so(shop: Shop) -> None:
    good, inode = combined(shop), (shop.tree / "servers/api/key.pem").stat().st_ino
    for spoilt, reason in ((None, "missing combined.pem"), (good + b"# mine\n", "file_drifted combined.pem: edited")):
        (shop.tree / COMBINED).unlink()
        if spoilt is not None:
            (shop.tree / COMBINED).write_bytes(spoilt)
        plan = shop.judge("plan")
        assert (plan.code, reason in plan.out) == (1, True), plan
        verified = shop.judge("verify")
        assert (verified.code, COMBINED in verified.out + verified.err) == (1, True), verified
        shop.compile()
        assert combined(shop) == good
        assert (shop.tree / "servers/api/key.pem").stat().st_ino == inode, "nothing else was written"
        shop.assert_settled()


def test_a_file_of_another_key_is_never_left(shop: Shop) -> None:
    other = (shop.tree / "servers/web/cert.pem").read_bytes() + (shop.tree / "servers/web/key.pem").read_bytes()
    (shop.tree / COMBINED).write_bytes(other)
    shop.compile()
    assert combined(shop) == parts(shop)


def test_its_mode_is_mended_as_that_of_the_key(shop: Shop) -> None:
    (shop.tree / COMBINED).chmod(0o644)
    plan = shop.judge("plan")
    assert (plan.code, "servers/api/combined.pem has mode 0644" in plan.out + plan.err) == (0, True), plan
    shop.compile()
    assert stat.S_IMODE((shop.tree / COMBINED).stat().st_mode) == 0o600
    (shop.tree / COMBINED).chmod(0o644)
    os.link(shop.tree / COMBINED, shop.folder / "second")
    assert "linked-key" in shop.judge("plan").err


def test_it_goes_with_the_consumer_that_asked_for_it(shop: Shop) -> None:
    shop.write(SPEC.replace(", snippets: {haproxy: {}}", ""))
    shop.compile()
    assert not (shop.tree / COMBINED).exists()
    shop.assert_settled()


def test_one_that_was_edited_stays_when_its_consumer_goes(shop: Shop) -> None:
    (shop.tree / COMBINED).write_bytes(b"mine\n")
    shop.write(SPEC.replace(", snippets: {haproxy: {}}", ""))
    ran = shop.inside("apply")
    assert (ran.code, "left-alone" in ran.err) == (0, True), ran
    assert combined(shop) == b"mine\n"
    shop.compile("--prune")
    assert not (shop.tree / COMBINED).exists()


def test_one_that_certgen_did_not_write_is_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder).write(SPEC.replace(", snippets: {haproxy: {}}", "")).compile()
    (shop.tree / COMBINED).write_bytes(b"mine\n")
    shop.write(SPEC)
    ran = shop.inside("apply")
    assert (ran.code, f"{COMBINED} is a file that certgen did not write" in ran.err) == (2, True), ran
    assert combined(shop) == b"mine\n"


def test_where_the_key_is_not_here_there_is_none_to_write(shop: Shop) -> None:
    """A fresh clone: git has neither key.pem nor combined.pem."""
    for name in ("key.pem", "combined.pem"):
        (shop.tree / "servers/api" / name).unlink()
    (shop.tree / ".certgen/keys").unlink()
    (shop.tree / ".certgen/stamp").unlink(missing_ok=True)
    assert shop.judge("plan").code == 0
    shop.compile("--renew", "servers/api")
    assert not (shop.tree / COMBINED).exists()
    assert shop.judge("plan").code == 0


def test_a_key_that_is_sealed_is_in_no_other_file(shop: Shop, tmp_path: Path) -> None:
    person = make_person(tmp_path, "alice")
    dedented = shop.spec.read_text()
    shop.spec.write_text(f"{dedented}keys: {{protection: age, recipients: [{person.recipient}]}}\n")
    ran = shop.inside("apply", "--identity", str(person.identity))
    assert (ran.code, "warning[not-combined]: servers/api gets no combined.pem" in ran.err) == (0, True), ran
    assert not (shop.tree / COMBINED).exists()
    assert b"PRIVATE KEY" not in b"".join(path.read_bytes() for path in shop.tree.rglob("*.pem*"))
    shop.spec.write_text(dedented)
    assert shop.inside("apply", "--identity", str(person.identity)).code == 0
    assert combined(shop) == parts(shop)
    shop.assert_settled()


def test_a_key_whose_private_half_stays_elsewhere_is_in_none(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder).write(SPEC).compile()
    certificate = x509.load_pem_x509_certificates((shop.tree / "servers/web/cert.pem").read_bytes())[0]
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "api.pub").write_bytes(public)
    shop.write(SPEC.replace("{sans: [api", "{public_key: api.pub, sans: [api"))
    ran = shop.inside("plan")
    assert "warning[not-combined]: servers/api gets no combined.pem, since its private key is elsewhere" in ran.err
