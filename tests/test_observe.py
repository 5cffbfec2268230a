"""Files to Observed: what is there, what cannot be read, who signed what; of a private key only its id goes on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from values import APP, ISSUING, MAIL, ROOT, WEB, a_file, asking, authority, member, name_of, shop, supplied_ca

from certgen.certificates import parse_certificate
from certgen.encoders.pem import encode_certificates, encode_private_key
from certgen.issue import issue, new_serial_number
from certgen.manifest import Manifest, ManifestEntry, NewerManifestError, render_manifest
from certgen.model import Address, Certificate, Entry, Issuance
from certgen.observe import observe, paths_to_read, read_manifest
from certgen.rfc5280.objects import public_key_der
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.tree import ABSENT, FileKind, FileState, KeyState, ManifestState, Observed

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


KEYS: dict[str, ec.EllipticCurvePrivateKey] = {}


def key_of(label: str) -> ec.EllipticCurvePrivateKey:
    if label not in KEYS:
        KEYS[label] = ec.generate_private_key(ec.SECP256R1())
    return KEYS[label]


@cache
def signed(entry: Entry, issuer: str = "", issuer_name: str = "", key: str = "") -> Certificate:
    """Sign an entry's certificate with the key of a label; the issuer's certificate is another entry's."""
    above = signed(authority(ROOT)) if issuer else None
    if above is not None and issuer_name:
        above = signed(asking(authority(ROOT), subject=name_of(issuer_name)), key=issuer)
    public_key = public_key_der(key_of(key or str(entry.address)).public_key())
    signer = key_of(issuer or key or str(entry.address))
    der = issue(Issuance(entry.template, BEGIN, END), public_key, above, signer, new_serial_number())
    return parse_certificate(der)


SPEC = shop(authority(ISSUING, ROOT), member(WEB, ROOT), member(APP, ROOT))
ROOT_CERTIFICATE = signed(authority(ROOT))
WEB_CERTIFICATE = signed(member(WEB, ROOT), "cas/root")


def pem(*certificates: Certificate) -> FileState:
    return a_file(encode_certificates(certificate.der for certificate in certificates))


def key_file(label: str, mode: int = 0o600) -> FileState:
    return a_file(encode_private_key(key_of(label)), mode)


def look(files: Mapping[str, FileState]) -> Observed:
    return observe(SPEC, files)


class TestCertificates:
    def test_the_first_is_the_entrys_and_the_rest_its_path(self) -> None:
        found = look({"servers/web/cert.pem": pem(WEB_CERTIFICATE, ROOT_CERTIFICATE)})[WEB]
        assert found.certificate == WEB_CERTIFICATE
        assert found.path == (ROOT_CERTIFICATE,)
        assert found.certificate_problem is None

    def test_none_is_no_problem(self) -> None:
        found = look({})[WEB]
        assert (found.certificate, found.certificate_problem, found.path) == (None, None, ())

    @pytest.mark.parametrize(
        ("state", "problem"),
        [
            (a_file(b""), "not a PEM certificate that can be read"),
            (a_file(b"<<<<<<< ours\n"), "not a PEM certificate that can be read"),
            (FileState(FileKind.UNREADABLE, reason="permission denied"), "permission denied"),
            (FileState(FileKind.OTHER), "not a regular file"),
        ],
    )
    def test_one_that_cannot_be_read_is_a_problem(self, state: FileState, problem: str) -> None:
        found = look({"servers/web/cert.pem": state})[WEB]
        assert (found.certificate, found.certificate_problem) == (None, problem)

    def test_anchors_are_those_of_the_trust_file(self) -> None:
        assert look({"servers/web/ca.pem": pem(ROOT_CERTIFICATE)})[WEB].anchors == (ROOT_CERTIFICATE,)

    @pytest.mark.parametrize("state", [ABSENT, a_file(b"junk"), FileState(FileKind.OTHER)])
    def test_anchors_that_cannot_be_read_are_none(self, state: FileState) -> None:
        assert look({"servers/web/ca.pem": state})[WEB].anchors is None


class TestPrivateKeys:
    def test_a_key_is_known_by_its_id_algorithm_and_mode(self) -> None:
        found = look({"servers/web/key.pem": key_file("servers/web", 0o640)})[WEB].key
        assert found.state is KeyState.PRESENT
        assert found.key_id == WEB_CERTIFICATE.key_id
        assert found.algorithm is KeyAlgorithm.ECDSA_P256
        assert found.mode == 0o640

    def test_another_key_has_another_id(self) -> None:
        assert look({"servers/web/key.pem": key_file("x")})[WEB].key.key_id != WEB_CERTIFICATE.key_id

    def test_none_is_absent(self) -> None:
        assert look({})[WEB].key.state is KeyState.ABSENT

    def test_its_content_goes_no_further(self) -> None:
        state = key_file("servers/web")
        observed = look({"servers/web/key.pem": state, "servers/web/cert.pem": pem(WEB_CERTIFICATE)})
        assert observed[WEB].file("key.pem") == FileState(FileKind.FILE, 0o600)
        body = state.content.splitlines()[1]
        assert body.decode() not in repr(observed)
        assert all(body not in file.content for entry in observed.entries.values() for file in entry.files.values())

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            (a_file(b""), "not a PEM private key that can be read"),
            (a_file(b"junk"), "not a PEM private key that can be read"),
            (FileState(FileKind.UNREADABLE, reason="permission denied"), "permission denied"),
            (FileState(FileKind.OTHER), "not a regular file"),
        ],
    )
    def test_one_that_cannot_be_read_is_told_with_its_reason(self, state: FileState, reason: str) -> None:
        found = look({"servers/web/key.pem": state})[WEB].key
        assert (found.state, found.reason, found.key_id) == (KeyState.UNREADABLE, reason, None)

    def test_an_encrypted_one_cannot_be_read(self) -> None:
        encryption = BestAvailableEncryption(b"secret")
        content = key_of("x").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        assert look({"servers/web/key.pem": a_file(content)})[WEB].key.reason == "the private key is encrypted"


class TestSigners:
    def test_a_root_has_signed_itself(self) -> None:
        found = look({"cas/root/cert.pem": pem(ROOT_CERTIFICATE)})
        assert found[ROOT].signer == ROOT_CERTIFICATE.key_id

    def test_a_certificate_is_signed_by_a_ca_found_anywhere_in_the_tree(self) -> None:
        for path in ("cas/root/cert.pem", "clients/app/ca.pem", "servers/web/ca.pem"):
            found = look({"servers/web/cert.pem": pem(WEB_CERTIFICATE), path: pem(ROOT_CERTIFICATE)})
            assert found[WEB].signer == ROOT_CERTIFICATE.key_id

    def test_without_any_it_is_not_known(self) -> None:
        assert look({"servers/web/cert.pem": pem(WEB_CERTIFICATE)})[WEB].signer is None

    def test_a_signature_by_another_key_under_the_same_name_is_nobodys(self) -> None:
        forged = signed(member(WEB, ROOT), "a forger", "Shop root")
        assert forged.issuer == ROOT_CERTIFICATE.subject
        found = look({"servers/web/cert.pem": pem(forged), "cas/root/cert.pem": pem(ROOT_CERTIFICATE)})
        assert found[WEB].signer is None

    def test_of_two_cas_of_one_name_the_one_that_signed_is_found(self) -> None:
        impostor = signed(authority(ROOT), key="impostor")
        assert impostor.subject_der == ROOT_CERTIFICATE.subject_der
        found = look(
            {
                "servers/web/cert.pem": pem(WEB_CERTIFICATE),
                "cas/root/cert.pem": pem(impostor),
                "clients/app/ca.pem": pem(ROOT_CERTIFICATE),
            }
        )
        assert found[WEB].signer == ROOT_CERTIFICATE.key_id

    def test_an_end_entity_is_no_signer(self) -> None:
        entry = asking(member(WEB, ROOT), subject=name_of("Shop root"))
        self_signed = signed(entry)
        assert look({"servers/web/cert.pem": pem(self_signed)})[WEB].signer is None


class TestAuthorities:
    def test_they_are_every_ca_certificate_once(self) -> None:
        found = look({"cas/root/cert.pem": pem(ROOT_CERTIFICATE), "servers/web/ca.pem": pem(ROOT_CERTIFICATE)})
        assert found.authorities == (ROOT_CERTIFICATE,)

    def test_end_entities_are_not_among_them(self) -> None:
        assert look({"servers/web/cert.pem": pem(WEB_CERTIFICATE)}).authorities == ()

    def test_the_latest_to_end_comes_first(self) -> None:
        later = signed(authority(ROOT), key="later")
        der = issue(
            Issuance(authority(ROOT).template, BEGIN, datetime(2030, 1, 1, tzinfo=UTC)),
            later.public_key,
            None,
            key_of("later"),
            7,
        )
        latest = parse_certificate(der)
        found = look({"cas/root/cert.pem": pem(ROOT_CERTIFICATE), "servers/web/ca.pem": pem(latest)})
        assert found.authorities == (latest, ROOT_CERTIFICATE)

    def test_one_whose_issuer_is_not_here_is_among_them(self) -> None:
        issuing = signed(authority(ISSUING, ROOT), "cas/root")
        assert look({"cas/issuing/cert.pem": pem(issuing)}).authorities == (issuing,)

    def test_one_that_its_issuer_did_not_sign_is_not_restored_from(self) -> None:
        forged = signed(authority(ISSUING, ROOT), "a forger", "Shop root")
        found = look({"servers/web/ca.pem": pem(forged), "cas/root/cert.pem": pem(ROOT_CERTIFICATE)})
        assert found.authorities == (ROOT_CERTIFICATE,)

    def test_what_a_ca_signed_is_known_although_its_own_signature_is_wrong(self) -> None:
        """Locality: the CA is signed again with the same key and name, which leaves its children valid."""
        spec = shop(authority(ISSUING, ROOT), member(WEB, ISSUING), member(APP, ROOT))
        good = signed(authority(ISSUING, ROOT), "cas/root")
        forged = signed(authority(ISSUING, ROOT), "a forger", "Shop root")
        assert forged.key_id == good.key_id
        public_key = public_key_der(key_of("servers/web").public_key())
        der = issue(Issuance(member(WEB).template, BEGIN, END), public_key, good, key_of("cas/issuing"), 7)
        for issuing in (good, forged):
            files = {
                "cas/root/cert.pem": pem(ROOT_CERTIFICATE),
                "cas/issuing/cert.pem": pem(issuing),
                "servers/web/cert.pem": pem(parse_certificate(der), issuing),
            }
            assert observe(spec, files)[WEB].signer == good.key_id

    def test_those_that_the_user_brings_are_among_them(self) -> None:
        entry = supplied_ca()
        assert entry.supplied is not None
        brought = replace(entry.supplied, path=(ROOT_CERTIFICATE,), roots=(ROOT_CERTIFICATE,))
        spec = shop(replace(entry, supplied=brought), member(WEB, ROOT))
        found = observe(spec, {"servers/web/cert.pem": pem(WEB_CERTIFICATE)})
        assert found.authorities == (ROOT_CERTIFICATE,)
        assert found[WEB].signer == ROOT_CERTIFICATE.key_id


class TestTheManifest:
    listed = Manifest("shop", {MAIL: ManifestEntry("0" * 64, {"cert.pem": "1" * 64, "go/main.go": "2" * 64})})

    def test_none_is_an_empty_one(self) -> None:
        assert read_manifest(ABSENT) == (Manifest(), ManifestState.ABSENT)

    def test_one_is_read(self) -> None:
        assert read_manifest(a_file(render_manifest(self.listed))) == (self.listed, ManifestState.READ)

    @pytest.mark.parametrize(
        "state", [a_file(b""), a_file(b"<<<<<<< ours"), FileState(FileKind.UNREADABLE), FileState(FileKind.OTHER)]
    )
    def test_one_that_cannot_be_read_is_damaged(self, state: FileState) -> None:
        assert read_manifest(state) == (Manifest(), ManifestState.DAMAGED)

    def test_one_of_a_later_release_is_not_taken_for_a_damaged_one(self) -> None:
        """What it owns is not understood, so nothing may be rebuilt from the tree."""
        with pytest.raises(NewerManifestError):
            read_manifest(a_file(b'{"version": 2, "name": "shop", "entries": {}}'))

    def test_its_bytes_are_kept_for_comparison(self) -> None:
        content = render_manifest(self.listed)
        assert look({"manifest.json": a_file(content)}).manifest_content == content

    def test_what_it_lists_is_looked_at_too(self) -> None:
        files = {"manifest.json": a_file(render_manifest(self.listed)), "servers/mail/go/main.go": a_file(b"go")}
        found = look(files)
        assert found[MAIL].file("go/main.go").content == b"go"
        assert found[MAIL].file("cert.pem") is not None

    def test_what_nobody_lists_is_not_looked_at(self) -> None:
        found = look({"servers/mail/cert.pem": pem(WEB_CERTIFICATE), "servers/web/notes.txt": a_file(b"mine")})
        assert MAIL not in found.entries
        assert found[WEB].file("notes.txt").kind is FileKind.ABSENT


class TestPaths:
    def test_they_are_what_the_spec_asks_for(self) -> None:
        assert sorted(paths_to_read(shop(), Manifest())) == [
            "cas/issuing/cert.pem",
            "cas/issuing/key.pem",
            "cas/root/cert.pem",
            "cas/root/key.pem",
            "clients/app/ca.pem",
            "clients/app/cert.pem",
            "clients/app/key.pem",
            "servers/web/ca.pem",
            "servers/web/cert.pem",
            "servers/web/key.pem",
        ]

    def test_a_ca_that_the_user_brings_has_none(self) -> None:
        assert not [path for path in paths_to_read(shop(supplied_ca()), Manifest()) if path.startswith("cas/root")]

    def test_each_is_given_once(self) -> None:
        listed = Manifest("shop", {WEB: ManifestEntry("0", {"cert.pem": None, "nginx.conf": None})})
        paths = list(paths_to_read(shop(), listed))
        assert len(paths) == len(set(paths)) == 11

    def test_an_address_of_the_manifest_alone_is_among_them(self) -> None:
        gone = Address.parse("peers/gone")
        listed = Manifest("shop", {gone: ManifestEntry("0", {"cert.pem": None})})
        assert "peers/gone/cert.pem" in list(paths_to_read(shop(), listed))


def test_this_machines_notes_are_handed_on() -> None:
    found = observe(SPEC, {".gitignore": a_file(b"# x")}, ["a", "a", "b"], ["servers/web/cert.pem"], "a link")
    assert found.seen_keys == {"a", "b"}
    assert found.protected == {"servers/web/cert.pem"}
    assert found.folder_fault == "a link"
    assert found.ignore_file.content == b"# x"
    assert not found.is_marked


def test_a_tree_is_marked_by_its_ignore_file() -> None:
    found = observe(SPEC, {".gitignore": a_file(b"# Generated by certgen from shop.yaml; edits are overwritten\n")})
    assert found.is_marked
