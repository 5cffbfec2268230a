"""What an adversary tried: odd but valid specs, files of the user's own in the tree, limits, folders that are links.

And texts that would steer the terminal: in a spec, in a tree, in what is typed.
"""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from foreign import openssl
from foreign.hierarchy import SERVER, Wish, certify, end_entity_extensions, make_ca, new_key, write_pem
from scene import NOW, Scene, load, take_snapshot
from typed import Ran, run, run_as_program

from certgen.diagnostics import CertgenError
from certgen.pipeline import apply_specs, find_specs, load_specs, parse_requests, plan_specs


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


def test_a_certificate_may_be_as_long_as_is_read_back_and_no_longer(scene: Scene) -> None:
    def write(count: int) -> Path:
        names = ", ".join(f"host-{number:04}.shop.example" for number in range(count))
        scene.write(f"version: 1\nca: {{key: ecdsa-p384}}\nservers: {{api: {{sans: [{names}]}}}}\n")
        return scene.specs / "shop.yaml"

    fitting, too_many = 400, 700
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        code = run("validate", str(write(middle))).code
        fitting, too_many = (middle, too_many) if code == 0 else (fitting, middle)
    assert run("validate", str(write(too_many))).found == [("certificate-too-large", "3:23")]
    assert run("apply", str(write(fitting)), "-o", str(scene.output)).code == 0
    # One more name takes 24 bytes, and what is told beforehand may be some fifty too high.
    length = len(load(scene.tree / "servers/api/cert.pem").public_bytes(Encoding.DER))
    assert 16384 - 24 - 60 < length <= 16384


# Texts that steer a terminal

STEERING = "\x1b[31mX\x1b]0;t\x07\x9b1m\u202e\u2066\u2028\x7f\rINJECTED\nINJECTED: y"
"""Colours, the window's title, the eight-bit sequences, the direction of text, and line breaks."""
SPEC = "version: 1\nca: {}\nservers: {api: {sans: localhost, snippets: {template: {file: a.j2, output: a.conf}}}}\n"


def assert_escaped(ran: Ran) -> None:
    ran.assert_harmless()
    assert not [line for line in (ran.out + ran.err).splitlines() if line.startswith("INJECTED")]


def escaped_in_yaml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(sign):08x}" for sign in text) + '"'


@pytest.mark.parametrize(
    "spec",
    [
        "version: 1\nca: {{}}\n? {0}\n: 1\n",
        "version: 1\nca: {{? {0} : 1}}\n",
        "version: 1\nca: {{}}\nservers: {{? {0} : {{}}}}\n",
        "version: {0}\nca: {{}}\n",
        "version: 1\nname: {0}\nca: {{}}\n",
        "version: 1\nca: {{}}\nclients: {{a: {{issuer: {0}}}}}\n",
        "version: 1\nca: {{}}\nclients: {{a: {{trust: [{0}]}}}}\n",
        "version: 1\nca: {{}}\nclients: {{a: {{sans: [{0}]}}}}\n",
        "version: 1\nca: {{}}\nclients: {{a: {{key: {0}}}}}\n",
        "version: 1\nca: {{}}\nclients: {{a: {{snippets: [{0}]}}}}\n",
        "version: 1\nca: {{}}\nclients: {{a: {{snippets: {{go: {{? {0} : 1}}}}}}}}\n",
        "version: 1\nca: {{}}\nservers: {{a: {{sans: b, snippets: {{nginx: {{allow: {0}}}}}}}}}\n",
        "version: 1\n? {0}\n: 1\n? {0}\n: 2\n",
        "version: 1\nca: !<%1b[31m%0aINJECTED> {{}}\n",
    ],
)
def test_a_text_of_a_spec_steers_no_terminal(scene: Scene, spec: str) -> None:
    scene.write(spec.format(escaped_in_yaml(STEERING)))
    for form in ("text", "json"):
        ran = run("validate", str(scene.specs / "shop.yaml"), "--format", form)
        assert ran.code == 2
        assert_escaped(ran)


@pytest.mark.parametrize("content", [STEERING, f"version: 1\nca: {{}} # {STEERING}\nx: 1\n", f"a: '{STEERING}'\n"])
def test_a_text_of_a_spec_that_is_no_yaml_steers_no_terminal(scene: Scene, content: str) -> None:
    (scene.specs / "shop.yaml").write_bytes(content.encode())
    ran = run("validate", str(scene.specs / "shop.yaml"))
    assert ran.code == 2
    assert_escaped(ran)


def put_certificate(folder: Path) -> None:
    names = [x509.DNSName("\x1b[31m\nINJECTED"), x509.RFC822Name("\x07@a"), x509.UniformResourceIdentifier("x:\r")]
    wish = Wish(STEERING[:64], end_entity_extensions([SERVER], names))
    certificate = certify(wish, new_key("ecdsa-p256"), STEERING_CA)
    write_pem(folder / "servers/api/cert.pem", certificate, STEERING_CA.certificate)


def put_names(folder: Path) -> None:
    for place in (folder, folder.parent, folder / "servers", folder / "servers/api"):
        (place / STEERING).mkdir()
        (place / STEERING / "manifest.json").write_text("{}")
    (folder / "cas" / "link").symlink_to(STEERING)


def put_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = manifest["entries"]["servers/api"]
    entry["files"] = {**entry["files"], STEERING: None, f"{STEERING}.pem": "0" * 64}
    manifest["entries"] |= {f"servers/{STEERING}": entry, STEERING: entry}
    (folder / "manifest.json").write_text(json.dumps(manifest))


STEERING_CA = make_ca(STEERING[:64], "ecdsa-p256")
DISTURBANCES: dict[str, Callable[[Path], object]] = {
    "a certificate": put_certificate,
    "a root": lambda folder: write_pem(folder / "cas/ca/cert.pem", STEERING_CA.certificate),
    "anchors": lambda folder: write_pem(folder / "servers/api/ca.pem", STEERING_CA.certificate),
    "names": put_names,
    "a manifest": put_manifest,
    "a manifest that is none": lambda folder: (folder / "manifest.json").write_text(STEERING),
    "a rendered file": lambda folder: (folder / "servers/api/a.conf").write_text(f"{STEERING}\n{STEERING}"),
    "a key": lambda folder: (folder / "servers/api/key.pem").write_text(f"-----BEGIN {STEERING}-----"),
    "what git ignores": lambda folder: (folder / ".gitignore").write_text(STEERING),
}
QUOTED = {"a certificate", "a root", "anchors", "names", "a rendered file"}
"""Of the others no word is shown at all."""


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_a_text_of_a_tree_steers_no_terminal(scene: Scene, disturbance: str) -> None:
    (scene.specs / "a.j2").write_text("{{ header }}\n")
    scene.write(SPEC)
    places = [str(scene.specs / "shop.yaml"), "-o", str(scene.output)]
    assert run("apply", *places).code == 0
    DISTURBANCES[disturbance](scene.tree)
    said = []
    for command, form in product(("plan", "verify", "prove", "status"), (["-v"], ["--json"])):
        said.append(run(command, *places, *form))
    said.append(run("status", *places, "--format", "prometheus"))
    said += [run("inspect", str(path), "-v") for path in scene.tree.rglob("*.pem") if path.is_file()]
    said.append(run("apply", "--prune", *places))
    for ran in said:
        assert_escaped(ran)
    is_shown = any(mark in ran.out + ran.err for ran in said for mark in ("\\x1b[31m", "\\u001b[31m"))
    assert is_shown == (disturbance in QUOTED)


def test_a_certificate_beside_the_spec_steers_no_terminal(scene: Scene) -> None:
    other = make_ca(f"2{STEERING}"[:64], "ecdsa-p256", STEERING_CA)
    write_pem(scene.specs / "one.pem", other.certificate)
    write_pem(scene.specs / "two.pem", certify(Wish(STEERING[:64]), new_key("ecdsa-p256")))
    for spec in ("ca: {certificate: one.pem}", "ca: {certificate: two.pem}", "ca: {}\nclients: {a: {trust: two.pem}}"):
        scene.write(f"version: 1\n{spec}\n")
        ran = run("validate", str(scene.specs / "shop.yaml"))
        assert ran.code == 2
        assert_escaped(ran)


@pytest.mark.parametrize(
    "arguments",
    [
        [STEERING],
        [f"--{STEERING}"],
        ["plan", f"-{STEERING}"],
        ["schema", STEERING],
        ["init", "a", STEERING],
        ["plan", STEERING],
        ["plan", "--at", STEERING],
        ["status", "--within", STEERING],
        ["plan", "--color", STEERING],
        ["apply", "--jobs", STEERING],
        ["inspect", STEERING, "-o", STEERING],
        ["serve", STEERING, "--listen", STEERING],
        ["connect", STEERING, "--as", STEERING],
    ],
)
def test_what_is_typed_steers_no_terminal(arguments: list[str]) -> None:
    ran = run_as_program(*arguments)
    assert ran.code == 2
    assert_escaped(ran)


def test_the_demand_for_what_is_escaped_fails_where_it_should() -> None:
    for shown in (STEERING, "a\nINJECTED: y"):
        with pytest.raises(AssertionError):
            assert_escaped(Ran(2, "", shown))
