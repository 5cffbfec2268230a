"""Each kind of change to a spec or a tree: what is planned, which files are written, and that all is well afterwards.

`Scene.apply` demands after each run that the plan is in sync, a second run writes nothing, and every chain verifies.
`touched` names every file whose bytes, inode or time of change is another; all others kept theirs, keys among them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from scene import Scene, key_of_file, take_snapshot

from certgen.pipeline import unclaimed_trees

SPEC = """\
    version: 1
    defaults:
      subject: {organization: Shop BV}
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    servers:
      api: {issuer: issuing, sans: [api.shop.example, localhost]}
      web: {issuer: issuing, sans: [web.shop.example]}
    clients:
      checkout: {issuer: issuing, sans: ["spiffe://shop.example/checkout"]}
    peers:
      etcd: {issuer: root, sans: [etcd.shop.example]}
"""
BELOW_ISSUING = ("servers/api", "servers/web", "clients/checkout")
END_ENTITIES = (*BELOW_ISSUING, "peers/etcd")
CERTIFIED = ("cas/root", "cas/issuing", *END_ENTITIES)


def certificates(*addresses: str) -> set[str]:
    return {f"{address}/cert.pem" for address in addresses}


def keys(*addresses: str) -> set[str]:
    return {f"{address}/key.pem" for address in addresses}


def anchors(*addresses: str) -> set[str]:
    return {f"{address}/ca.pem" for address in addresses}


@pytest.fixture
def shop(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.apply()
    return scene


def test_the_first_run_issues_everything_and_writes_nothing_else(scene: Scene) -> None:
    scene.write(SPEC)
    applied = scene.apply()
    assert applied.changes == {
        ".gitignore": "write: missing",
        ".gitattributes": "write: missing",
        **dict.fromkeys(CERTIFIED, "issue: missing; key new"),
    }
    own = {".gitignore", ".gitattributes", "manifest.json"}
    assert applied.touched == certificates(*CERTIFIED) | keys(*CERTIFIED) | anchors(*END_ENTITIES) | own


# Names


def test_an_added_san_touches_one_certificate(shop: Scene) -> None:
    shop.edit(("api.shop.example, localhost", "api.shop.example, localhost, 127.0.0.1"))
    applied = shop.apply()
    assert applied.changes == {"servers/api": "update: sans_changed; key kept"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}
    assert shop.names("servers/api") == ["api.shop.example", "localhost", "127.0.0.1"]


def test_a_removed_san_touches_one_certificate(shop: Scene) -> None:
    shop.edit((", localhost", ""))
    applied = shop.apply()
    assert applied.changes == {"servers/api": "update: sans_changed; key kept"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}
    assert shop.names("servers/api") == ["api.shop.example"]


@pytest.mark.parametrize(
    "sans", ["localhost, api.shop.example", "API.Shop.Example, DNS:localhost", "api.shop.example, localhost"]
)
def test_reordered_or_respelled_sans_change_nothing(shop: Scene, sans: str) -> None:
    shop.edit(("api.shop.example, localhost", sans))
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.after == applied.before


# Subjects


def test_a_changed_subject_of_an_end_entity_touches_one_certificate(shop: Scene) -> None:
    shop.edit(("web: {", "web: {subject: {organization: Web BV}, "))
    applied = shop.apply()
    assert applied.changes == {"servers/web": "update: subject_changed; key kept"}
    assert applied.touched == {"servers/web/cert.pem", "manifest.json"}


def test_a_changed_subject_of_an_intermediate_signs_what_is_below_it_anew(shop: Scene) -> None:
    shop.edit(("Shop Issuing CA", "Shop Issuing CA 2"))
    applied = shop.apply()
    assert applied.changes == {
        "cas/issuing": "update: subject_changed; key kept",
        **dict.fromkeys(BELOW_ISSUING, "update: issuer_changed; key kept"),
    }
    assert applied.touched == certificates("cas/issuing", *BELOW_ISSUING) | {"manifest.json"}


def test_a_changed_subject_of_a_root_needs_a_word(shop: Scene) -> None:
    shop.edit(("Shop Root CA", "Shop Root CA 2"))
    assert shop.plan().changes
    assert shop.refused() == ["root-in-the-field cas/root"]
    assert shop.refused(renew=["cas/issuing"]) == ["root-in-the-field cas/root"]
    before = {address: shop.key_id(address) for address in CERTIFIED}
    applied = shop.apply(renew=["cas/root"])
    assert applied.changes == {
        "cas/root": "renew: requested, subject_changed; key kept",
        "cas/issuing": "update: issuer_changed; key kept",
        "servers/api": "write: path_changed, trust_changed",
        "servers/web": "write: path_changed, trust_changed",
        "clients/checkout": "write: path_changed, trust_changed",
        "peers/etcd": "update: issuer_changed, trust_changed; key kept",
    }
    written = certificates(*CERTIFIED) | anchors(*END_ENTITIES)
    assert applied.touched == written | {"manifest.json"}
    assert {address: shop.key_id(address) for address in CERTIFIED} == before


def test_a_changed_default_subject_reaches_every_entry_and_so_the_root(shop: Scene) -> None:
    shop.edit(("Shop BV", "Shop NV"))
    assert shop.refused() == ["root-in-the-field cas/root"]
    applied = shop.apply(renew=["cas/root"])
    assert set(applied.changes) == set(CERTIFIED)
    assert applied.touched == certificates(*CERTIFIED) | anchors(*END_ENTITIES) | {"manifest.json"}


# Key algorithms


def test_a_changed_key_algorithm_of_an_end_entity_makes_a_new_key_there_alone(shop: Scene) -> None:
    shop.edit(("api: {", "api: {key: ecdsa-p384, "))
    applied = shop.apply()
    assert applied.changes == {"servers/api": "rekey: key_algorithm_changed; key new"}
    assert applied.touched == {"servers/api/cert.pem", "servers/api/key.pem", "manifest.json"}
    assert not (shop.tree / "servers/api/key.pem.orig").exists()


def test_a_changed_key_algorithm_of_an_intermediate_signs_what_is_below_it_anew(shop: Scene) -> None:
    shop.edit(("issuing: {", "issuing: {key: ecdsa-p384, "))
    applied = shop.apply()
    assert applied.changes == {
        "cas/issuing": "rekey: key_algorithm_changed; key new",
        **dict.fromkeys(BELOW_ISSUING, "update: issuer_changed; key kept"),
    }
    below = certificates(*BELOW_ISSUING)
    assert applied.touched == {"cas/issuing/cert.pem", "cas/issuing/key.pem", "manifest.json"} | below


def test_a_changed_key_algorithm_of_a_root_needs_a_word(shop: Scene) -> None:
    shop.edit(("root: {", "root: {key: ecdsa-p384, "))
    assert set(shop.plan().changes[0].writes) == {"cert.pem", "key.pem"}
    assert shop.refused() == ["root-in-the-field cas/root"]
    assert shop.refused(renew=["cas/root"]) == ["root-in-the-field cas/root"]
    applied = shop.apply(rekey=["cas/root"])
    assert applied.changes["cas/root"].startswith("rekey: ")
    assert applied.touched == {
        "cas/root/key.pem",
        "manifest.json",
        *certificates(*CERTIFIED),
        *anchors(*END_ENTITIES),
    }


# Usages and validity


@pytest.mark.parametrize(
    "wish", ["extended_key_usage: [serverAuth, clientAuth]", "key_usage: [digitalSignature, keyAgreement]"]
)
def test_a_changed_usage_touches_one_certificate(shop: Scene, wish: str) -> None:
    shop.edit(("web: {", f"web: {{{wish}, "))
    applied = shop.apply()
    assert applied.changes == {"servers/web": "update: extensions_changed; key kept"}
    assert applied.touched == {"servers/web/cert.pem", "manifest.json"}


def test_a_changed_validity_of_an_end_entity_touches_one_certificate(shop: Scene) -> None:
    shop.edit(("web: {", "web: {validity: 90d, "))
    applied = shop.apply()
    assert applied.changes == {"servers/web": "update: validity_changed; key kept"}
    assert applied.touched == {"servers/web/cert.pem", "manifest.json"}
    web = shop.certificate("servers/web")
    assert (web.not_valid_after_utc - web.not_valid_before_utc).total_seconds() == 90 * 86400 - 1


def test_a_changed_validity_of_an_intermediate_rewrites_the_paths_that_hold_it(shop: Scene) -> None:
    before = {address: shop.certificate(address) for address in BELOW_ISSUING}
    shop.edit(("issuing: {", "issuing: {validity: 4y, "))
    applied = shop.apply()
    assert applied.changes == {
        "cas/issuing": "update: validity_changed; key kept",
        **dict.fromkeys(BELOW_ISSUING, "write: path_changed"),
    }
    assert applied.touched == certificates("cas/issuing", *BELOW_ISSUING) | {"manifest.json"}
    assert {address: shop.certificate(address) for address in BELOW_ISSUING} == before


def test_a_changed_validity_of_a_root_rewrites_the_files_that_hold_it(shop: Scene) -> None:
    shop.edit(("root: {", "root: {validity: 15y, "))
    applied = shop.apply()
    assert applied.changes == {
        "cas/root": "update: validity_changed; key kept",
        **dict.fromkeys(END_ENTITIES, "write: trust_changed"),
    }
    assert applied.touched == {"cas/root/cert.pem", "manifest.json"} | anchors(*END_ENTITIES)


def test_a_root_cut_below_its_children_takes_them_along(shop: Scene) -> None:
    shop.edit(("root: {", "root: {validity: 4y, "), ("issuing: {", "issuing: {validity: 3y, "))
    applied = shop.apply()
    assert applied.changes == {
        "cas/root": "update: validity_changed; key kept",
        "cas/issuing": applied.changes["cas/issuing"],
        **dict.fromkeys(BELOW_ISSUING, "write: path_changed, trust_changed"),
        "peers/etcd": "write: trust_changed",
    }
    assert "key kept" in applied.changes["cas/issuing"]


# Name constraints and path length


def test_new_name_constraints_of_a_root_need_no_word_and_rewrite_the_files_that_hold_it(shop: Scene) -> None:
    shop.edit(("root: {", "root: {name_constraints: {permitted: [shop.example, localhost]}, "))
    applied = shop.apply()
    assert applied.changes == {
        "cas/root": "update: extensions_changed; key kept",
        **dict.fromkeys(END_ENTITIES, "write: trust_changed"),
    }
    assert applied.touched == {"cas/root/cert.pem", "manifest.json"} | anchors(*END_ENTITIES)


def test_a_smaller_derived_path_length_leaves_the_larger_one_in_the_field(shop: Scene) -> None:
    deeper = "  lower: {issuer: issuing, common_name: Shop Lower CA}\nservers:"
    shop.edit(("servers:", deeper))
    applied = shop.apply()
    assert applied.changes == {
        "cas/issuing": "update: extensions_changed; key kept",
        "cas/lower": "issue: missing; key new",
        **dict.fromkeys(BELOW_ISSUING, "write: path_changed"),
    }
    shop.edit((deeper, "servers:"))
    again = shop.apply(prune=True)
    assert again.changes == {"cas/lower": "remove: orphaned"}


# Issuers


def test_a_changed_issuer_below_one_root_touches_one_certificate(shop: Scene) -> None:
    shop.edit(("web: {issuer: issuing", "web: {issuer: root"))
    applied = shop.apply()
    assert applied.changes == {"servers/web": "update: issuer_changed; key kept"}
    assert applied.touched == {"servers/web/cert.pem", "manifest.json"}
    assert len(x509.load_pem_x509_certificates((shop.tree / "servers/web/cert.pem").read_bytes())) == 1


def test_an_issuer_below_another_root_widens_the_trust_of_its_peers(shop: Scene) -> None:
    shop.edit(
        ("  issuing: {", "  partner: {common_name: Partner Root CA}\n  issuing: {"),
        ("web: {issuer: issuing", "web: {issuer: partner"),
    )
    plan = shop.plan()
    assert sorted(map(str, plan.widenings)) == [
        "clients/checkout now accepts servers of partner",
        "peers/etcd now accepts peers of partner",
    ]
    applied = shop.apply()
    assert applied.changes == {
        "cas/partner": "issue: missing; key new",
        "servers/web": "update: issuer_changed; key kept",
        "clients/checkout": "write: trust_changed",
        "peers/etcd": "write: trust_changed",
    }
    met = anchors("clients/checkout", "peers/etcd")
    partner = {"cas/partner/cert.pem", "cas/partner/key.pem"}
    assert applied.touched == {"servers/web/cert.pem", "manifest.json"} | met | partner


def test_an_intermediate_added_above_lengthens_the_paths_and_signs_no_end_entity(shop: Scene) -> None:
    before = {address: shop.certificate(address) for address in END_ENTITIES}
    shop.edit(("  issuing: {issuer: root", "  policy: {issuer: root, validity: 8y}\n  issuing: {issuer: policy"))
    applied = shop.apply()
    assert applied.changes == {
        "cas/policy": "issue: missing; key new",
        "cas/issuing": "update: issuer_changed; key kept",
        **dict.fromkeys(BELOW_ISSUING, "write: path_changed"),
    }
    policy = {"cas/policy/cert.pem", "cas/policy/key.pem"}
    assert applied.touched == certificates("cas/issuing", *BELOW_ISSUING) | policy | {"manifest.json"}
    assert {address: shop.certificate(address) for address in END_ENTITIES} == before


# CAs


def test_a_renewed_intermediate_leaves_its_children_valid(shop: Scene) -> None:
    before = {address: shop.certificate(address) for address in END_ENTITIES}
    applied = shop.apply(renew=["cas/issuing"])
    assert applied.changes == {
        "cas/issuing": "renew: requested; key kept",
        **dict.fromkeys(BELOW_ISSUING, "write: path_changed"),
    }
    assert applied.touched == certificates("cas/issuing", *BELOW_ISSUING) | {"manifest.json"}
    assert {address: shop.certificate(address) for address in END_ENTITIES} == before


def test_a_renewed_root_rewrites_trust_anchors_and_signs_nothing_else(shop: Scene) -> None:
    applied = shop.apply(renew=["cas/root"])
    assert applied.changes == {
        "cas/root": "renew: requested; key kept",
        **dict.fromkeys(END_ENTITIES, "write: trust_changed"),
    }
    assert applied.touched == {"cas/root/cert.pem", "manifest.json"} | anchors(*END_ENTITIES)


def test_a_rekeyed_intermediate_signs_what_is_below_it_anew_and_nothing_beside_it(shop: Scene) -> None:
    before = {address: shop.key_id(address) for address in CERTIFIED}
    applied = shop.apply(rekey=["cas/issuing"])
    assert applied.changes == {
        "cas/issuing": "rekey: requested; key new",
        **dict.fromkeys(BELOW_ISSUING, "update: issuer_changed; key kept"),
    }
    issuing = {"cas/issuing/cert.pem", "cas/issuing/key.pem"}
    assert applied.touched == certificates(*BELOW_ISSUING) | issuing | {"manifest.json"}
    after = {address: shop.key_id(address) for address in CERTIFIED}
    assert {address for address in CERTIFIED if after[address] != before[address]} == {"cas/issuing"}


def test_a_rekeyed_root_signs_everything_anew_in_the_same_run(shop: Scene) -> None:
    before = {address: shop.key_id(address) for address in CERTIFIED}
    applied = shop.apply(rekey=["cas/root"])
    assert {address: change.split(":")[0] for address, change in applied.changes.items()} == {
        "cas/root": "rekey",
        "cas/issuing": "update",
        **dict.fromkeys(BELOW_ISSUING, "write"),
        "peers/etcd": "update",
    }
    written = certificates(*CERTIFIED) | anchors(*END_ENTITIES)
    assert applied.touched == {"cas/root/key.pem", "manifest.json"} | written
    after = {address: shop.key_id(address) for address in CERTIFIED}
    assert {address for address in CERTIFIED if after[address] != before[address]} == {"cas/root"}


def test_a_deleted_folder_of_an_intermediate_is_restored_from_the_paths_of_its_children(shop: Scene) -> None:
    was = (shop.tree / "cas/issuing/cert.pem").read_bytes()
    shutil.rmtree(shop.tree / "cas/issuing")
    applied = shop.apply()
    assert applied.changes == {"cas/issuing": "write: missing"}
    assert applied.touched == {"cas/issuing/cert.pem"}
    assert (shop.tree / "cas/issuing/cert.pem").read_bytes() == was
    assert applied.notices == ["ca-key-gone"]


def test_a_deleted_folder_of_a_root_is_restored_from_the_anchors_of_the_end_entities(shop: Scene) -> None:
    was = (shop.tree / "cas/root/cert.pem").read_bytes()
    shutil.rmtree(shop.tree / "cas/root")
    applied = shop.apply()
    assert applied.changes == {"cas/root": "write: missing"}
    assert applied.touched == {"cas/root/cert.pem"}
    assert (shop.tree / "cas/root/cert.pem").read_bytes() == was


def test_a_deleted_ca_that_must_sign_is_refused_until_a_person_asks_for_a_new_key(shop: Scene) -> None:
    shutil.rmtree(shop.tree / "cas/issuing")
    shop.edit((", localhost", ""))
    assert shop.refused() == ["signer-missing cas/issuing"]
    applied = shop.apply(rekey=["cas/issuing"])
    assert applied.changes["cas/issuing"] == "rekey: requested; key new"
    assert set(applied.changes) == {"cas/issuing", *BELOW_ISSUING}


def test_a_ca_that_is_known_by_its_key_id_alone_gets_no_new_key_unasked(scene: Scene) -> None:
    scene.write("version: 1\nca: {}\n")
    scene.apply()
    shutil.rmtree(scene.tree / "cas/ca")
    assert scene.refused() == ["key-elsewhere cas/ca"]
    applied = scene.apply(rekey=["cas/ca"])
    assert applied.touched == {"cas/ca/cert.pem", "cas/ca/key.pem", "manifest.json"}


@pytest.mark.parametrize("authority", ["cas/root", "cas/issuing"])
def test_a_ca_whose_key_is_gone_changes_nothing_until_it_must_sign(shop: Scene, authority: str) -> None:
    (shop.tree / authority / "key.pem").unlink()
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.touched == set()
    assert applied.notices == ["ca-key-gone"]
    shop.edit((", localhost", ""), ("etcd.shop.example", "etcd-0.shop.example"))
    assert shop.refused() == [f"signer-missing {authority}"]


# Lost and foreign certificates and keys


def test_a_deleted_certificate_is_signed_again_for_the_same_key(shop: Scene) -> None:
    before = shop.key_id("servers/api")
    (shop.tree / "servers/api/cert.pem").unlink()
    applied = shop.apply()
    assert applied.changes == {"servers/api": "issue: missing; key kept"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}
    assert shop.key_id("servers/api") == before


def test_a_damaged_certificate_is_signed_again_for_the_same_key(shop: Scene) -> None:
    (shop.tree / "servers/api/cert.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    applied = shop.apply()
    assert applied.changes == {"servers/api": "issue: unreadable; key kept"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}


def test_a_deleted_key_of_an_end_entity_is_made_anew(shop: Scene) -> None:
    before = shop.key_id("servers/api")
    (shop.tree / "servers/api/key.pem").unlink()
    applied = shop.apply()
    assert applied.changes == {"servers/api": "rekey: key_missing; key new"}
    assert applied.touched == {"servers/api/cert.pem", "servers/api/key.pem", "manifest.json"}
    assert shop.key_id("servers/api") != before


def test_a_key_that_this_machine_has_never_seen_lives_elsewhere(shop: Scene) -> None:
    (shop.tree / "servers/api/key.pem").unlink()
    shutil.rmtree(shop.tree / ".certgen")
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.touched == set()
    assert applied.notices == ["keys-elsewhere"]


def test_a_deleted_folder_of_an_end_entity_is_made_anew(shop: Scene) -> None:
    shutil.rmtree(shop.tree / "servers/api")
    applied = shop.apply()
    assert set(applied.changes) == {"servers/api"}
    assert applied.changes["servers/api"].startswith("issue: ")
    assert applied.changes["servers/api"].endswith("key new")
    files = {"servers/api/cert.pem", "servers/api/key.pem", "servers/api/ca.pem"}
    assert applied.touched == files | {"manifest.json"}


def test_a_certificate_swapped_for_anothers_is_the_stranger(shop: Scene) -> None:
    before = shop.key_id("servers/api")
    shutil.copy(shop.tree / "servers/web/cert.pem", shop.tree / "servers/api/cert.pem")
    applied = shop.apply()
    expected = "update: key_mismatch, subject_changed, sans_changed; key kept"
    assert applied.changes == {"servers/api": expected}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}
    assert shop.key_id("servers/api") == before


def test_an_earlier_certificate_of_the_same_key_is_brought_up_to_date(shop: Scene) -> None:
    earlier = (shop.tree / "servers/api/cert.pem").read_bytes()
    shop.edit((", localhost", ""))
    shop.apply()
    (shop.tree / "servers/api/cert.pem").write_bytes(earlier)
    applied = shop.apply()
    assert applied.changes == {"servers/api": "update: sans_changed; key kept"}
    assert shop.names("servers/api") == ["api.shop.example"]


def test_two_swapped_keys_are_strangers_both(shop: Scene) -> None:
    api, web = shop.tree / "servers/api/key.pem", shop.tree / "servers/web/key.pem"
    passing = shop.folder / "passing.pem"
    api.rename(passing)
    web.rename(api)
    passing.rename(web)
    assert shop.refused() == ["key-mismatch servers/api", "key-mismatch servers/web"]
    assert shop.refused(rekey=["servers/api"]) == ["key-mismatch servers/web"]
    applied = shop.apply(rekey=["servers/api", "servers/web"])
    assert applied.changes == dict.fromkeys(("servers/api", "servers/web"), "rekey: requested; key new")
    spare = {"servers/api/key.pem.orig", "servers/web/key.pem.orig"}
    assert applied.touched == certificates("servers/api", "servers/web") | keys(
        "servers/api", "servers/web"
    ) | spare | {"manifest.json"}


@pytest.mark.parametrize("address", ["servers/api", "cas/issuing", "cas/root"])
def test_a_stranger_in_place_of_a_key_is_refused_and_kept_by_a_rekey(shop: Scene, address: str) -> None:
    stranger = (shop.tree / "clients/checkout/key.pem").read_bytes()
    (shop.tree / address / "key.pem").write_bytes(stranger)
    assert shop.refused() == [f"key-mismatch {address}"]
    assert shop.refused(renew=[address]) == [f"key-mismatch {address}"]
    shop.apply(rekey=[address])
    spare = shop.tree / address / "key.pem.orig"
    assert spare.read_bytes() == stranger
    assert spare.stat().st_mode & 0o777 == 0o600


def test_a_key_that_cannot_be_read_is_refused_and_kept_by_a_rekey(shop: Scene) -> None:
    (shop.tree / "servers/api/key.pem").write_bytes(b"precious")
    assert shop.refused() == ["key-unreadable servers/api"]
    shop.apply(rekey=["servers/api"])
    assert (shop.tree / "servers/api/key.pem.orig").read_bytes() == b"precious"


# Derived files and modes


@pytest.mark.parametrize(("edit", "code"), [("# mine\n", "file_drifted"), ("another", "trust_changed")])
def test_an_edited_ca_file_is_written_again_alone(shop: Scene, edit: str, code: str) -> None:
    path = shop.tree / "servers/api/ca.pem"
    was = path.read_bytes()
    added = (shop.tree / "cas/issuing/cert.pem").read_bytes() if edit == "another" else edit.encode()
    path.write_bytes(was + added)
    applied = shop.apply()
    assert applied.changes == {"servers/api": f"write: {code}"}
    assert applied.touched == {"servers/api/ca.pem"}
    assert path.read_bytes() == was


def test_a_deleted_ca_file_is_written_again_alone(shop: Scene) -> None:
    (shop.tree / "servers/api/ca.pem").unlink()
    applied = shop.apply()
    assert applied.changes == {"servers/api": "write: missing"}
    assert applied.touched == {"servers/api/ca.pem"}


def test_a_path_without_its_intermediate_is_written_again_alone(shop: Scene) -> None:
    path = shop.tree / "servers/api/cert.pem"
    was = path.read_bytes()
    end = b"-----END CERTIFICATE-----\n"
    path.write_bytes(was.split(end)[0] + end)
    applied = shop.apply()
    assert applied.changes == {"servers/api": "write: path_changed"}
    assert applied.touched == {"servers/api/cert.pem"}
    assert path.read_bytes() == was


def test_an_opened_mode_is_mended_without_a_write(shop: Scene) -> None:
    key = shop.tree / "servers/api/key.pem"
    key.chmod(0o644)
    assert shop.plan().is_in_sync
    assert [(mode.was, mode.wanted) for mode in shop.plan().modes] == [(0o644, 0o600)]
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.touched == set()
    assert key.stat().st_mode & 0o777 == 0o600


def test_another_mode_in_the_spec_is_given_without_a_write(shop: Scene) -> None:
    shop.edit(("api: {", 'api: {key: {mode: "0640"}, '))
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.touched == set()
    assert (shop.tree / "servers/api/key.pem").stat().st_mode & 0o777 == 0o640


def test_an_edited_ignore_file_is_written_again_alone(shop: Scene) -> None:
    path = shop.tree / ".gitignore"
    was = path.read_bytes()
    path.write_bytes(was.replace(b"key.pem\n", b""))
    applied = shop.apply()
    assert applied.changes == {".gitignore": "write: file_drifted"}
    assert applied.touched == {".gitignore"}
    assert path.read_bytes() == was


# Entries that come and go


def test_a_renamed_entry_is_issued_and_its_old_folder_stays(shop: Scene) -> None:
    shop.edit(("web: {", "www: {"))
    applied = shop.apply()
    assert applied.changes == {"servers/www": "issue: missing; key new"}
    new = {"servers/www/cert.pem", "servers/www/key.pem", "servers/www/ca.pem"}
    assert applied.touched == new | {"manifest.json"}
    assert applied.notices == ["orphan"]
    assert b'"servers/web"' in (shop.tree / "manifest.json").read_bytes()


def test_a_removed_entry_stays_with_a_warning(shop: Scene) -> None:
    shop.edit(("  web: {issuer: issuing, sans: [web.shop.example]}\n", ""))
    plan = shop.plan()
    assert plan.is_in_sync
    assert [(notice.code, notice.where) for notice in plan.notices] == [("orphan", "servers/web")]
    applied = shop.apply()
    assert applied.after == applied.before


def test_a_removed_entry_goes_with_prune_and_nothing_beside_it(shop: Scene) -> None:
    shop.edit(("  web: {issuer: issuing, sans: [web.shop.example]}\n", ""))
    mine = shop.tree / "servers/web/notes.txt"
    mine.write_text("mine")
    assert not shop.plan(prune=True).is_in_sync
    applied = shop.apply(prune=True)
    assert applied.changes == {"servers/web": "remove: orphaned"}
    gone = {"servers/web/cert.pem", "servers/web/key.pem", "servers/web/ca.pem"}
    assert applied.touched == gone | {"manifest.json"}
    assert [path.name for path in (shop.tree / "servers/web").iterdir()] == ["notes.txt"]
    mine.unlink()
    assert shop.plan(prune=True).is_in_sync


def test_a_pruned_folder_that_is_empty_goes_too(shop: Scene) -> None:
    shop.edit(('clients:\n  checkout: {issuer: issuing, sans: ["spiffe://shop.example/checkout"]}\n', ""))
    shop.apply(prune=True)
    assert not (shop.tree / "clients").exists()
    assert (shop.tree / "servers").exists()


def test_a_removed_intermediate_that_signs_still_is_a_mistake_in_the_spec(shop: Scene) -> None:
    before = take_snapshot(shop.output)
    shop.edit(("  issuing: {issuer: root, common_name: Shop Issuing CA}\n", ""))
    assert all("unknown-issuer" in code for code in shop.refused_spec())
    assert take_snapshot(shop.output) == before


# The spec's name


def test_a_renamed_spec_makes_a_tree_of_its_own_and_the_old_one_is_reported(shop: Scene) -> None:
    (shop.specs / "shop.yaml").rename(shop.specs / "store.yaml")
    before = take_snapshot(shop.tree)
    assert [(found.code, found.where) for found in unclaimed_trees(shop.load(), shop.output)] == [
        ("unclaimed-tree", str(shop.tree))
    ]
    applied = shop.apply()
    assert set(applied.changes) == {".gitignore", ".gitattributes", *CERTIFIED}
    assert take_snapshot(shop.tree) == before


def test_a_renamed_spec_that_keeps_its_name_keeps_its_tree(shop: Scene) -> None:
    (shop.specs / "shop.yaml").rename(shop.specs / "store.yaml")
    shop.edit(("version: 1\n", "version: 1\nname: shop\n"), name="store.yaml")
    assert unclaimed_trees(shop.load(), shop.output) == ()
    applied = shop.apply()
    assert applied.touched <= {".gitignore", ".gitattributes"}


def test_a_renamed_spec_whose_tree_is_moved_keeps_its_certificates(shop: Scene) -> None:
    (shop.specs / "shop.yaml").rename(shop.specs / "store.yaml")
    shop.tree.rename(shop.output / "store")
    assert unclaimed_trees(shop.load(), shop.output) == ()
    applied = shop.apply()
    assert applied.touched == {".gitignore", ".gitattributes", "manifest.json"}


# What certgen keeps for itself


@pytest.mark.parametrize("damage", ["deleted", "conflict marks", "cut short", "a list"])
def test_a_manifest_that_cannot_be_read_is_rebuilt_from_the_tree(shop: Scene, damage: str) -> None:
    path = shop.tree / "manifest.json"
    was = path.read_bytes()
    match damage:
        case "deleted":
            path.unlink()
        case "conflict marks":
            lines = was.splitlines(keepends=True)
            lines[2:3] = [b"<<<<<<< ours\n", lines[2], b"=======\n", lines[2], b">>>>>>> theirs\n"]
            path.write_bytes(b"".join(lines))
        case "cut short":
            path.write_bytes(was[:100])
        case _:
            path.write_bytes(b"[]\n")
    applied = shop.apply()
    assert applied.changes == {"manifest.json": "write: missing" if damage == "deleted" else "write: unreadable"}
    assert applied.touched == {"manifest.json"}
    assert applied.notices == ["manifest-rebuilt"]
    assert path.read_bytes() == was


def test_a_changed_spec_and_a_lost_manifest_are_mended_in_one_run(shop: Scene) -> None:
    (shop.tree / "manifest.json").unlink()
    shop.edit((", localhost", ""))
    applied = shop.apply()
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}


def test_a_deleted_machine_folder_is_made_again_and_nothing_else(shop: Scene) -> None:
    keys_noted = (shop.tree / ".certgen/keys").read_bytes()
    shutil.rmtree(shop.tree / ".certgen")
    assert shop.plan().is_in_sync
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.touched == set()
    assert (shop.tree / ".certgen/keys").read_bytes() == keys_noted


# A clone


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def clone(shop: Scene, tmp_path: Path) -> Scene:
    git(shop.folder, "init", "--quiet")
    git(shop.folder, "add", "specs", "output")
    git(shop.folder, "commit", "--quiet", "--message", "The shop")
    git(tmp_path, "clone", "--quiet", str(shop.folder), str(tmp_path / "clone"))
    return Scene(tmp_path / "clone")


def test_git_holds_every_public_file_and_no_private_key(clone: Scene) -> None:
    held = set(git(clone.folder, "ls-files").split())
    public = {*certificates(*CERTIFIED), *anchors(*END_ENTITIES), ".gitignore", ".gitattributes", "manifest.json"}
    assert held == {"specs/shop.yaml"} | {f"output/shop/{path}" for path in public}
    objects = git(clone.folder, "grep", "-l", "-e", "BEGIN CERTIFICATE", "HEAD")
    assert "HEAD:output/shop/cas/root/cert.pem" in objects
    done = subprocess.run(
        ["git", "grep", "-l", "-e", "PRIVATE KEY", "HEAD"], cwd=clone.folder, check=False, capture_output=True
    )
    assert done.stdout == b""


def test_a_fresh_clone_is_in_sync_and_stays_untouched(clone: Scene) -> None:
    applied = clone.apply()
    assert applied.changes == {}
    assert applied.after == applied.before
    assert applied.notices == ["keys-elsewhere"]


def test_a_clone_without_the_ca_key_signs_nothing(clone: Scene) -> None:
    clone.edit((", localhost", ""))
    assert clone.refused() == ["signer-missing cas/issuing"]


def test_a_clone_with_the_ca_key_signs_the_public_key_that_is_certified(clone: Scene, shop: Scene) -> None:
    shutil.copy(shop.tree / "cas/issuing/key.pem", clone.tree / "cas/issuing/key.pem")
    clone.edit((", localhost", ""), ("  web: {", "  new: {issuer: issuing, sans: [new.shop.example]}\n  web: {"))
    before = clone.key_id("servers/api")
    applied = clone.apply()
    assert applied.changes == {
        "servers/api": "update: sans_changed; key elsewhere",
        "servers/new": "issue: missing; key new",
    }
    new = {"servers/new/cert.pem", "servers/new/key.pem", "servers/new/ca.pem"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"} | new
    assert clone.key_id("servers/api") == before == key_of_file(shop.tree / "servers/api/key.pem")


def test_what_a_clone_signed_fits_the_key_at_home(clone: Scene, shop: Scene) -> None:
    shutil.copy(shop.tree / "cas/issuing/key.pem", clone.tree / "cas/issuing/key.pem")
    clone.edit((", localhost", ""))
    clone.apply()
    git(clone.folder, "commit", "--quiet", "--all", "--message", "One name less")
    git(shop.folder, "pull", "--quiet", str(clone.folder))
    applied = shop.apply()
    assert applied.changes == {}
    assert applied.touched == set()
    assert shop.names("servers/api") == ["api.shop.example"]


# The same spec in other words


def test_a_permuted_spec_changes_nothing(shop: Scene) -> None:
    def reverse(value: object) -> object:
        if isinstance(value, dict):
            return {key: reverse(item) for key, item in reversed(value.items())}
        return value

    path = shop.specs / "shop.yaml"
    bundle = shop.load()[0].bundle
    permuted = yaml.safe_dump(reverse(yaml.safe_load(path.read_text())), sort_keys=False)
    assert permuted.startswith("peers:")
    path.write_text(permuted)
    assert shop.load()[0].bundle == bundle
    applied = shop.apply()
    assert applied.after == applied.before


def test_defaults_moved_into_the_entries_change_nothing(shop: Scene) -> None:
    own = "subject: {organization: Shop BV}, "
    shop.edit(
        ("defaults:\n  subject: {organization: Shop BV}\n", ""),
        *((f"{name}: {{", f"{name}: {{{own}") for name in ("root", "issuing", "api", "web", "checkout", "etcd")),
    )
    applied = shop.apply()
    assert applied.after == applied.before


def test_the_defaults_of_the_language_written_out_change_nothing(shop: Scene) -> None:
    shop.edit(
        ("root: {", "root: {validity: 10y, key: ecdsa-p256, "),
        ("issuing: {", "issuing: {validity: 5y, "),
        ("web: {", "web: {validity: 365d, renew_before: 33%, trust: [root], extended_key_usage: serverAuth, "),
    )
    applied = shop.apply()
    assert applied.after == applied.before
