"""The Python API from end to end: specs and addresses are found, and CAs and keys that one brings are used."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from foreign import openssl
from foreign.hierarchy import (
    Authority,
    Extension,
    Wish,
    certify,
    key_usage,
    make_ca,
    new_key,
    write_pem,
)
from scene import NOW, Scene, key_id, take_snapshot

from certgen.diagnostics import CertgenError
from certgen.model import Address
from certgen.pipeline import (
    apply_specs,
    find_address,
    find_specs,
    load_specs,
    parse_moment,
    parse_requests,
    plan_specs,
    spec_name,
    unclaimed_trees,
)

SPEC = "version: 1\nca: {}\nservers:\n  api: {sans: localhost}\n"


def refusal(caught: pytest.ExceptionInfo[CertgenError]) -> tuple[str, str]:
    (problem,) = caught.value.diagnostics
    return problem.code, problem.help or ""


# Specs


def test_every_yaml_file_is_a_spec_and_nothing_else_is(tmp_path: Path) -> None:
    for name in ("web.yml", "shop.yaml", "notes.txt", "pki.certgen.yaml", "shop.yaml.orig"):
        (tmp_path / name).write_text(SPEC)
    assert [path.name for path in find_specs(tmp_path)] == ["pki.certgen.yaml", "shop.yaml", "web.yml"]


def test_a_folder_without_specs_is_an_error_that_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(CertgenError) as caught:
        find_specs(tmp_path)
    code, help_ = refusal(caught)
    assert code == "no-specs"
    assert "certgen init" in help_


@pytest.mark.parametrize("name", ["shop.yaml", "shop.yml", "shop.certgen.yaml", "shop.certgen.yml"])
def test_a_spec_is_named_by_its_file(name: str) -> None:
    assert spec_name(Path("specs") / name) == "shop"


def test_a_spec_named_otherwise_than_its_file_compiles_to_the_folder_of_its_name(scene: Scene) -> None:
    scene.write(f"name: store\n{SPEC}")
    scene.run()
    assert [path.name for path in scene.output.iterdir()] == ["store"]


@pytest.mark.parametrize("name", ["Shop.yaml", "-.yaml", "a..b.yaml", "shop 2.yaml"])
def test_a_file_whose_name_cannot_be_a_folder_is_refused_unless_the_spec_has_a_name(scene: Scene, name: str) -> None:
    scene.write(SPEC, name)
    with pytest.raises(CertgenError) as caught:
        scene.load()
    assert refusal(caught)[0] == "bad-name"
    scene.write(f"name: shop\n{SPEC}", name)
    scene.apply()


def test_two_specs_of_one_name_are_refused_both(scene: Scene) -> None:
    scene.write(SPEC)
    scene.write(SPEC, "shop.certgen.yaml")
    with pytest.raises(CertgenError) as caught:
        scene.load()
    problems = caught.value.diagnostics
    assert [problem.code for problem in problems] == ["same-name", "same-name"]
    assert {Path(problem.where or "").name for problem in problems} == {"shop.yaml", "shop.certgen.yaml"}
    assert not scene.output.exists()


def test_a_spec_that_is_named_twice_is_one_spec(scene: Scene) -> None:
    scene.write(SPEC)
    assert len(load_specs([scene.specs / "shop.yaml"] * 2)) == 1


def test_the_mistakes_of_all_specs_are_told_at_once(scene: Scene) -> None:
    scene.write(SPEC.replace("sans", "san"))
    scene.write(SPEC.replace("localhost", '"local host"'), "web.yaml")
    scene.write(SPEC, "good.yaml")
    with pytest.raises(CertgenError) as caught:
        scene.load()
    assert {Path(problem.span.file).name for problem in caught.value.diagnostics if problem.span} == {
        "shop.yaml",
        "web.yaml",
    }


def test_a_spec_that_is_not_there_is_an_error(scene: Scene) -> None:
    with pytest.raises(CertgenError) as caught:
        load_specs([scene.specs / "absent.yaml"])
    assert caught.value.diagnostics[0].code == "no-such-spec"


def test_a_folder_in_place_of_a_spec_is_an_error(scene: Scene) -> None:
    (scene.specs / "shop.yaml").mkdir()
    with pytest.raises(CertgenError) as caught:
        scene.load()
    assert caught.value.diagnostics[0].code == "no-such-spec"


def test_a_spec_may_be_a_link_as_in_a_mounted_configuration(scene: Scene) -> None:
    scene.write(SPEC, "..data")
    (scene.specs / "shop.yaml").symlink_to(scene.specs / "..data")
    scene.apply()
    assert scene.tree.exists()


# Several specs


@pytest.fixture
def two(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.write(SPEC.replace("api:", "web:"), "store.yaml")
    return scene


def test_several_specs_make_a_tree_each(two: Scene) -> None:
    two.run()
    assert [path.name for path in sorted(two.output.iterdir())] == ["shop", "store"]
    two.assert_settled()


def test_all_specs_are_planned_before_the_first_is_written(two: Scene) -> None:
    (two.output / "store/servers/web").mkdir(parents=True)
    (two.output / "store/servers/web/cert.pem").write_text("mine")
    assert two.refused() == ["foreign-file servers/web/cert.pem"]
    assert not two.tree.exists()
    (two.output / "store/servers/web/cert.pem").unlink()
    two.run()
    assert two.tree.exists()


def test_a_run_over_one_spec_touches_no_other_tree(two: Scene) -> None:
    two.run()
    two.edit(("localhost", "[localhost, shop.example]"))
    two.edit(("localhost", "[localhost, store.example]"), name="store.yaml")
    before = take_snapshot(two.output / "store")
    loaded = load_specs([two.specs / "shop.yaml"])
    (outcome,) = apply_specs(loaded, two.output, NOW)
    assert outcome.written
    assert take_snapshot(two.output / "store") == before
    assert unclaimed_trees(loaded, two.output) == ()


# Addresses


def test_an_address_is_found_plain_and_qualified(two: Scene) -> None:
    specs = two.load()
    api = ("shop", Address.parse("servers/api"))
    assert find_address(specs, "servers/api") == api
    assert find_address(specs, "shop/servers/api") == api
    assert find_address(specs, "store/cas/ca") == ("store", Address.parse("cas/ca"))


def test_an_address_in_several_specs_is_refused_with_the_candidates(two: Scene) -> None:
    with pytest.raises(CertgenError) as caught:
        find_address(two.load(), "cas/ca")
    code, help_ = refusal(caught)
    assert code == "ambiguous-address"
    assert "shop/cas/ca" in help_
    assert "store/cas/ca" in help_


@pytest.mark.parametrize(
    ("text", "meant"),
    [("servers/apy", "servers/api"), ("server/web", "servers/web"), ("shop/servers/web", "servers/"), ("", "cas/")],
)
def test_an_address_that_is_unknown_is_refused_with_the_nearest(two: Scene, text: str, meant: str) -> None:
    with pytest.raises(CertgenError) as caught:
        find_address(two.load(), text)
    code, help_ = refusal(caught)
    assert code == "unknown-address"
    assert meant in help_


def test_every_unknown_address_of_a_run_is_told(two: Scene) -> None:
    with pytest.raises(CertgenError) as caught:
        parse_requests(two.load(), renew=["servers/x", "servers/api"], rekey=["cas/ca", "clients/y"])
    assert [problem.code for problem in caught.value.diagnostics] == [
        "unknown-address",
        "ambiguous-address",
        "unknown-address",
    ]


def test_a_request_reaches_its_own_spec_alone(two: Scene) -> None:
    two.run()
    specs = two.load()
    plans = plan_specs(specs, two.output, NOW, parse_requests(specs, renew=["shop/cas/ca"], rekey=["servers/web"]))
    assert [[str(change.address) for change in item.plan.changes] for item in plans] == [
        ["cas/ca", "servers/api"],
        ["servers/web"],
    ]


def test_progress_is_told_from_the_first_change_to_the_last(scene: Scene) -> None:
    scene.write(SPEC)
    told: list[tuple[int, int]] = []
    apply_specs(scene.load(), scene.output, NOW, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4)
    assert told == sorted(told)


# A CA that one brings

PKI_NOW = datetime.now(UTC).replace(microsecond=0)


def write_key(path: Path, authority: Authority) -> None:
    path.write_bytes(authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.fixture
def pki(tmp_path: Path) -> Scene:
    """A scene with a root and an intermediate that certgen did not make, beside the spec."""
    scene = Scene(tmp_path, PKI_NOW)
    folder = scene.specs / "pki"
    folder.mkdir()
    root = make_ca("Corporate Root CA", "ecdsa-p384")
    issuing = make_ca("Corporate Issuing CA", "ecdsa-p256", root)
    write_pem(folder / "root.pem", root.certificate)
    write_pem(folder / "issuing.pem", issuing.certificate)
    write_pem(folder / "path.pem", issuing.certificate, root.certificate)
    write_key(folder / "root-key.pem", root)
    write_key(folder / "issuing-key.pem", issuing)
    return scene


MEMBERS = "servers:\n  api: {sans: [api.shop.example, localhost]}\nclients:\n  checkout: {}\n"
WISHES = {
    "root": "{certificate: pki/root.pem, private_key: pki/root-key.pem}",
    "path": "{certificate: pki/path.pem, private_key: pki/issuing-key.pem}",
    "trust": "{certificate: pki/issuing.pem, private_key: pki/issuing-key.pem, trust: [pki/root.pem]}",
}


@pytest.mark.parametrize(("kind", "length"), [("root", 1), ("path", 2), ("trust", 2)])
def test_a_ca_that_one_brings_signs_and_is_never_written(pki: Scene, kind: str, length: int) -> None:
    before = take_snapshot(pki.specs / "pki")
    pki.write(f"version: 1\nca: {WISHES[kind]}\n{MEMBERS}")
    pki.apply()
    assert not (pki.tree / "cas").exists()
    assert take_snapshot(pki.specs / "pki") == before
    for address in ("servers/api", "clients/checkout"):
        path = x509.load_pem_x509_certificates((pki.tree / address / "cert.pem").read_bytes())
        assert len(path) == length
        assert all(certificate.subject != certificate.issuer for certificate in path)
        assert (pki.tree / address / "ca.pem").read_bytes() == (pki.specs / "pki/root.pem").read_bytes()
    verdict = openssl(pki.tree / "servers/api/cert.pem", pki.specs / "pki/root.pem", "server", "localhost")
    assert verdict.accepted, verdict.words
    verdict = openssl(pki.tree / "servers/api/cert.pem", pki.specs / "pki/root.pem", "client")
    assert not verdict.accepted


def test_a_ca_below_one_that_one_brings_is_made_and_signed_by_it(pki: Scene) -> None:
    pki.write(
        f"version: 1\ncas:\n  corp: {WISHES['root']}\n  own: {{issuer: corp}}\n{MEMBERS}".replace(
            "{sans", "{issuer: own, sans"
        ).replace("checkout: {}", "checkout: {issuer: own}")
    )
    pki.apply()
    assert (pki.tree / "cas/own/key.pem").exists()
    assert not (pki.tree / "cas/corp").exists()


def test_a_replaced_ca_that_one_brings_reaches_what_it_signed(pki: Scene) -> None:
    pki.write(f"version: 1\nca: {WISHES['root']}\n{MEMBERS}")
    pki.apply()
    other = make_ca("Corporate Root CA", "ecdsa-p256")
    write_pem(pki.specs / "pki/root.pem", other.certificate)
    write_key(pki.specs / "pki/root-key.pem", other)
    applied = pki.apply()
    assert set(applied.changes) == {"servers/api", "clients/checkout"}
    assert not any(path.endswith("key.pem") for path in applied.touched)


def test_a_ca_that_one_brings_without_its_key_signs_nothing_and_all_else_is_kept(pki: Scene) -> None:
    pki.write(f"version: 1\nca: {WISHES['root']}\n{MEMBERS}")
    pki.apply()
    pki.edit((", private_key: pki/root-key.pem", ""))
    assert pki.apply().changes == {}
    pki.edit((", localhost", ""))
    assert pki.refused() == ["signer-missing cas/ca"]


@pytest.mark.parametrize("kind", WISHES)
def test_a_ca_that_one_brings_and_that_has_ended_is_an_error(pki: Scene, kind: str) -> None:
    pki.write(f"version: 1\nca: {WISHES[kind]}\n{MEMBERS}")
    assert pki.refused(PKI_NOW + timedelta(days=3651)) == ["supplied-expired cas/ca"]
    pki.apply(PKI_NOW)


def test_a_ca_that_one_brings_whose_root_has_ended_is_an_error(pki: Scene) -> None:
    basic = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    extensions = [basic, key_usage("key_cert_sign")]
    root_key, key = new_key("ecdsa-p256"), new_key("ecdsa-p256")
    root = Authority(certify(Wish("Short Root CA", extensions, days=100), root_key), root_key)
    issuing = Authority(certify(Wish("Long Issuing CA", extensions, days=1000), key, root), key)
    write_pem(pki.specs / "pki/path.pem", issuing.certificate, root.certificate)
    write_key(pki.specs / "pki/issuing-key.pem", issuing)
    pki.write(
        f"version: 1\nca: {WISHES['path']}\n{MEMBERS}".replace("{}", "{validity: 30d}").replace(
            "{sans", "{validity: 30d, sans"
        )
    )
    assert "supplied-expired cas/ca" in pki.refused(PKI_NOW + timedelta(days=200))
    pki.apply(PKI_NOW)


@pytest.mark.parametrize("option", ["renew", "rekey"])
def test_a_ca_that_one_brings_is_neither_renewed_nor_rekeyed(pki: Scene, option: str) -> None:
    pki.write(f"version: 1\nca: {WISHES['root']}\n{MEMBERS}")
    pki.apply()
    refused = pki.refused(renew=["cas/ca"]) if option == "renew" else pki.refused(rekey=["cas/ca"])
    assert refused == ["supplied-ca cas/ca"]


@pytest.mark.parametrize(
    ("ca", "code"),
    [
        ("{certificate: pki/root.pem, private_key: pki/issuing-key.pem}", "ca-key-mismatch"),
        ("{certificate: pki/issuing.pem, private_key: pki/issuing-key.pem}", "missing-root"),
        ("{certificate: pki/root-key.pem}", "bad-file"),
        ("{certificate: pki/absent.pem}", "bad-file"),
        ("{certificate: ../output/shop/cas/ca/cert.pem}", "bad-file"),
        ("{private_key: pki/root-key.pem}", "conflict"),
        ("{certificate: pki/root.pem, validity: 1y}", "conflict"),
    ],
)
def test_a_ca_that_cannot_be_brought_so_is_a_mistake_in_the_spec(pki: Scene, ca: str, code: str) -> None:
    pki.write(f"version: 1\nca: {ca}\n{MEMBERS}")
    assert pki.refused_spec() == [code]


def test_an_end_entity_cannot_be_brought_as_a_ca(pki: Scene) -> None:
    pki.write(f"version: 1\nca: {WISHES['root']}\n{MEMBERS}")
    pki.apply()
    api = (pki.tree / "servers/api/cert.pem").read_bytes()
    (pki.specs / "pki/root.pem").write_bytes(api)
    assert pki.refused_spec() == ["bad-ca-certificate"]


def test_the_private_key_that_one_brings_is_in_no_message_and_no_value(pki: Scene) -> None:
    pki.write(f"version: 1\nca: {WISHES['root']}\n{MEMBERS}")
    secret = (pki.specs / "pki/root-key.pem").read_text().splitlines()[1]
    assert secret not in repr(pki.planned())
    (pki.specs / "pki/root.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{secret}\n")
    with pytest.raises(CertgenError) as caught:
        pki.load()
    assert secret not in repr(caught.value.diagnostics)


def test_a_pem_file_of_anchors_is_trusted_beside_the_own_root(pki: Scene) -> None:
    pki.write("version: 1\nca: {}\nservers:\n  api: {sans: localhost, trust: [ca, pki/root.pem]}\n")
    pki.apply()
    anchors = (pki.tree / "servers/api/ca.pem").read_bytes()
    assert anchors == (pki.tree / "cas/ca/cert.pem").read_bytes() + (pki.specs / "pki/root.pem").read_bytes()


def test_a_file_of_anchors_that_changes_is_written_alone(pki: Scene) -> None:
    pki.write("version: 1\nca: {}\nservers:\n  api: {sans: localhost, trust: [ca, pki/root.pem]}\n")
    pki.apply()
    write_pem(pki.specs / "pki/root.pem", make_ca("Another Root CA", "ecdsa-p256").certificate)
    assert [str(widening) for widening in pki.plan().widenings] == ["servers/api now accepts clients of pki/root.pem"]
    applied = pki.apply()
    assert applied.changes == {"servers/api": "write: trust_changed"}
    assert applied.touched == {"servers/api/ca.pem", "manifest.json"}


# A key that never leaves its host


def make_request(folder: Path, name: str, kind: str) -> str:
    """Make a key with OpenSSL, and its public half or a signing request; give the id of the key.

    folder: where to.
    name: of the files, which end in `-key.pem` and `.pem`.
    kind: `pem` or `csr`.
    """
    key, public = folder / f"{name}-key.pem", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
        check=True,
        capture_output=True,
    )
    if kind == "pem":
        command = ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)]
    else:
        subject = ["-subj", "/CN=ignored.evil.example", "-addext", "subjectAltName=DNS:ignored.evil.example"]
        command = ["openssl", "req", "-new", "-key", str(key), *subject, "-out", str(public)]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(
        ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True
    )
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=done.stdout, check=True, capture_output=True)
    return digest.stdout.split()[0].decode()


HOST = "version: 1\nca: {}\nservers:\n  api: {sans: localhost, public_key: keys/api.pem}\nclients:\n  checkout: {}\n"


@pytest.fixture
def host(scene: Scene) -> Scene:
    (scene.specs / "keys").mkdir()
    scene.write(HOST)
    return scene


@pytest.mark.parametrize("kind", ["pem", "csr"])
def test_a_public_key_is_certified_and_no_private_key_is_written(host: Scene, kind: str) -> None:
    wanted = make_request(host.specs / "keys", "api", kind)
    applied = host.apply()
    assert applied.changes["servers/api"] == "issue: missing; key elsewhere"
    files = sorted(path.name for path in (host.tree / "servers/api").iterdir())
    assert files == ["ca.pem", "cert.pem"]
    assert host.key_id("servers/api") == wanted
    assert host.names("servers/api") == ["localhost"]
    assert "evil" not in host.certificate("servers/api").subject.rfc4514_string()
    assert (host.tree / "clients/checkout/key.pem").exists()


def test_a_changed_public_key_is_certified_in_the_place_of_the_old(host: Scene) -> None:
    make_request(host.specs / "keys", "api", "pem")
    host.apply()
    wanted = make_request(host.specs / "keys", "api", "csr")
    applied = host.apply()
    assert applied.changes == {"servers/api": "rekey: key_mismatch; key elsewhere"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}
    assert host.key_id("servers/api") == wanted


def test_the_same_key_in_another_form_changes_nothing(host: Scene) -> None:
    make_request(host.specs / "keys", "api", "pem")
    host.apply()
    keys = host.specs / "keys"
    command = ["openssl", "req", "-new", "-key", f"{keys}/api-key.pem", "-subj", "/CN=x", "-out", f"{keys}/api.pem"]
    subprocess.run(command, check=True, capture_output=True)
    applied = host.apply()
    assert applied.after == applied.before


def test_a_key_on_its_own_host_is_renewed_but_never_made_anew_here(host: Scene) -> None:
    make_request(host.specs / "keys", "api", "pem")
    host.apply()
    assert host.refused(rekey=["servers/api"]) == ["key-elsewhere servers/api"]
    applied = host.apply(renew=["servers/api"])
    assert applied.changes == {"servers/api": "renew: requested; key elsewhere"}


def test_a_signing_request_that_its_own_key_did_not_sign_is_refused(host: Scene) -> None:
    make_request(host.specs / "keys", "api", "csr")
    path = host.specs / "keys/api.pem"
    request = x509.load_pem_x509_csr(path.read_bytes())
    der = bytearray(request.public_bytes(Encoding.DER))
    der[der.index(b"ignored")] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    path.write_bytes(forged)
    assert host.refused_spec() == ["bad-file"]


def test_a_private_key_in_place_of_a_public_one_is_refused_unseen(host: Scene) -> None:
    make_request(host.specs / "keys", "api", "pem")
    content = (host.specs / "keys/api-key.pem").read_text()
    (host.specs / "keys/api.pem").write_text(content)
    with pytest.raises(CertgenError) as caught:
        host.load()
    assert content.splitlines()[1] not in repr(caught.value.diagnostics)


def test_a_key_that_moves_to_its_own_host_leaves_the_old_one_here_until_prune(host: Scene) -> None:
    host.edit((", public_key: keys/api.pem", ""))
    host.apply()
    wanted = make_request(host.specs / "keys", "api", "pem")
    host.write(HOST)
    before = (host.tree / "servers/api/key.pem").read_bytes()
    (applied,) = host.run()
    assert applied.changes == {"servers/api": "rekey: key_mismatch; key elsewhere"}
    assert applied.notices == ["left-alone"]
    assert (
        host.key_id("servers/api")
        == wanted
        != key_id(applied_certificate(applied.before["servers/api/cert.pem"].content))
    )
    assert (host.tree / "servers/api/key.pem").read_bytes() == before
    assert host.plan().is_in_sync
    applied = host.apply(prune=True)
    assert applied.touched == {"servers/api/key.pem", "manifest.json"}


def applied_certificate(content: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(content)[0]


# Time, as `--at` takes it


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+30d", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T02:00:00+02:00", datetime(2027, 1, 31, tzinfo=UTC)),
        ("+1s", datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_time_or_a_duration_from_now(text: str, expected: datetime) -> None:
    assert parse_moment(text, datetime(2027, 1, 1, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "+", "30d", "tomorrow", "2027-02-30", "+200y"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CertgenError) as caught:
        parse_moment(text, datetime(2027, 1, 1, tzinfo=UTC))
    (problem,) = caught.value.diagnostics
    assert (problem.code, "+30d" in (problem.help or "")) == ("bad-time", True)


def test_a_tree_of_a_later_certgen_is_left_alone(tmp_path: Path) -> None:
    spec = tmp_path / "shop.yaml"
    spec.write_text("version: 1\nca: {}\n")
    (loaded,) = load_specs([spec])
    now = datetime(2027, 1, 1, tzinfo=UTC)
    apply_specs([loaded], tmp_path, now)
    manifest = tmp_path / "shop/manifest.json"
    later = manifest.read_text().replace('"version": 1', '"version": 2')
    manifest.write_text(later)
    with pytest.raises(CertgenError) as caught:
        apply_specs([loaded], tmp_path, now)
    assert [problem.code for problem in caught.value.diagnostics] == ["newer-manifest"]
    assert manifest.read_text() == later
