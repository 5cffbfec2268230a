"""What other programs made is taken over as it is: the first plan is in sync, and an edit touches that entry alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from programs import require
from proving import Ran
from scene import take_snapshot

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS

SANS = re.compile(r"sans: \[([^\]]*)\]")


class Desk:
    """A folder in which files of another program lie, and in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "theirs"
        self.source.mkdir()
        self.spec = folder / "specs/theirs.yaml"
        self.output = folder / "output"

    @property
    def tree(self) -> Path:
        return self.output / "theirs"

    def openssl(self, *arguments: str) -> None:
        subprocess.run([require("openssl"), *arguments], cwd=self.source, capture_output=True, check=True)

    def run(self, *arguments: str | Path) -> Ran:
        assert COMMANDS, "what has added its commands to the group"
        done = CliRunner().invoke(certgen, [str(argument) for argument in arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def type(self, command: str, *options: str | Path) -> Ran:
        return self.run(command, self.spec, "-o", self.output, *options)

    def take_over(self, *sources: Path) -> Ran:
        return self.run("import", *(sources or (self.source,)), "--to", self.spec, "-o", self.output)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def mkcert(desk: Desk) -> None:
    env = {**os.environ, "CAROOT": str(desk.source)}
    for arguments in (["a.test", "localhost", "127.0.0.1"], ["-ecdsa", "-client", "user@b.test"], ["c.test"]):
        subprocess.run([require("mkcert"), *arguments], cwd=desk.source, env=env, capture_output=True, check=True)


AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash"


def make_authority(
    desk: Desk, name: str, subject: str, extensions: str, *, issuer: str = "", suffix: str = "-key", days: int = 3650
) -> None:
    """Make a CA, which signs itself where no issuer is named."""
    key = f"{name}{suffix}.pem"
    signed_by = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}{suffix}.pem"] if issuer else ["-signkey", key]
    make(desk, (f"{name}.pem", key), subject, extensions, signed_by, days=days)


def make(
    desk: Desk,
    files: tuple[str, str],
    subject: str,
    extensions: str,
    signed_by: Sequence[str],
    *,
    days: int = 365,
    curve: str = "P-256",
) -> None:
    """Make a certificate as an openssl script does: a key, a request, a signature."""
    file, key = files
    (desk.source / file).parent.mkdir(exist_ok=True)
    desk.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", key)
    desk.openssl("req", "-new", "-key", key, "-subj", subject, "-out", "request.csr")
    (desk.source / "extensions").write_text(extensions)
    serial = [] if signed_by[0] == "-signkey" else ["-CAcreateserial"]
    asked = ["-in", "request.csr", "-days", str(days), "-extfile", "extensions", "-out", file]
    desk.openssl("x509", "-req", *asked, *signed_by, *serial)


def openssl_script(desk: Desk) -> None:
    """A root, an intermediate, and what they sign: a server with its chain in one file, a client of the oldest kind."""
    make_authority(desk, "ca", "/O=Shop/CN=Shop Root", AUTHORITY, suffix=".key")
    make_authority(desk, "sub", "/O=Shop/CN=Shop Issuing", AUTHORITY, issuer="ca", suffix=".key", days=3640)
    server = "subjectAltName=DNS:api.test,IP:127.0.0.1\nextendedKeyUsage=serverAuth"
    issuing = ["-CA", "sub.pem", "-CAkey", "sub.key.pem"]
    make(desk, ("api.pem", "api.key.pem"), "/O=Shop/CN=api", server, issuing)
    with (desk.source / "api.pem").open("ab") as file:
        file.write((desk.source / "sub.pem").read_bytes())
    make(desk, ("old.pem", "old.key.pem"), "/emailAddress=a@shop.example/CN=old client", "", issuing)


def certyaml_layout(desk: Desk) -> None:
    """What certyaml leaves: its manifest, and beside it NAME.pem and NAME-key.pem, without an extended key usage."""
    (desk.source / "certs.yaml").write_text(
        "subject: cn=root\nca: true\n---\nsubject: cn=api\nissuer: cn=root\nsans: [DNS:api.test]\n"
        "---\nsubject: cn=later\nissuer: cn=root\nsans: [DNS:later.test]\next_key_usages: [ServerAuth]\n"
    )
    make_authority(desk, "root", "/CN=root", AUTHORITY)
    usages = "keyUsage=critical,digitalSignature,keyEncipherment\nsubjectAltName=DNS:api.test"
    make(desk, ("api.pem", "api-key.pem"), "/CN=api", usages, ["-CA", "root.pem", "-CAkey", "root-key.pem"])


def minica_layout(desk: Desk) -> None:
    """What minica leaves: minica.pem, and a folder for each name, each server and client at once."""
    usages = "keyUsage=critical,digitalSignature,keyCertSign\nextendedKeyUsage=serverAuth,clientAuth"
    constraints = f"{usages}\nbasicConstraints=critical,CA:TRUE,pathlen:0\nsubjectKeyIdentifier=hash"
    make_authority(desk, "minica", "/CN=minica root ca 0a1b2c", constraints, days=36_524)
    for name in ("a.test", "b.test"):
        usages = "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth"
        own = f"basicConstraints=critical,CA:FALSE\n{usages}\nsubjectAltName=DNS:{name}"
        signed_by = ["-CA", "minica.pem", "-CAkey", "minica-key.pem"]
        make(desk, (f"{name}/cert.pem", f"{name}/key.pem"), f"/CN={name}", own, signed_by, days=760)


MAKERS: Mapping[str, Callable[[Desk], None]] = {
    "mkcert": mkcert,
    "openssl": openssl_script,
    "certyaml": certyaml_layout,
    "minica": minica_layout,
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, desk: Desk) -> Desk:
    MAKERS[request.param](desk)
    return desk


def certificates(folder: Path) -> set[bytes]:
    """Give the certificates in the files of a folder, each in DER."""
    files = [path for path in folder.rglob("*.pem") if b"BEGIN CERTIFICATE" in path.read_bytes()]
    found = [one for path in files for one in x509.load_pem_x509_certificates(path.read_bytes())]
    return {certificate.public_bytes(Encoding.DER) for certificate in found}


def keys(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*.pem") if b"PRIVATE KEY" in path.read_bytes()}


def test_the_first_plan_is_in_sync_and_not_a_byte_is_another(made: Desk) -> None:
    before = take_snapshot(made.source)
    ran = made.take_over()
    assert ran.code == 0, ran
    assert take_snapshot(made.source) == before
    assert certificates(made.tree) == certificates(made.source)
    assert keys(made.tree) == keys(made.source)
    described = "later" in made.spec.read_text()
    for _ in range(2):
        plan = made.type("plan")
        assert plan.code == int(described), plan
        assert ("in sync" in plan.out) or ("servers/later  issue   missing" in plan.out and "1 to issue" in plan.out)
    if not described:
        tree = take_snapshot(made.tree)
        assert made.type("apply", "--exit-code").code == 0
        assert take_snapshot(made.tree) == tree
        assert made.type("verify").code == 0


def test_an_edited_name_signs_that_entry_again_and_nothing_else(made: Desk) -> None:
    made.take_over()
    made.type("apply")
    before, text = certificates(made.tree), made.spec.read_text()
    found = SANS.search(text)
    assert found is not None
    made.spec.write_text(text.replace(found[0], f"sans: [{found[1]}, added.test]", 1))
    plan = made.type("plan")
    assert plan.code == 1
    assert plan.out.count("sans_changed") == 1
    assert "1 to update" in plan.out
    assert made.type("apply").code == 0
    assert len(before - certificates(made.tree)) == 1
    assert len(certificates(made.tree) - before) == 1
    assert keys(made.tree) >= keys(made.source), "its key stays"
    assert made.type("plan").code == 0


def test_a_renewal_is_as_the_spec_says_and_then_nothing_is_left_to_say(made: Desk) -> None:
    made.take_over()
    made.type("apply")
    lines = json.loads((made.tree / "manifest.json").read_text())["entries"]
    adopted = [name for name, line in lines.items() if line and "adopted" in line]
    assert adopted
    assert made.type("apply", *(option for name in adopted for option in ("--renew", name))).code == 0
    assert '"adopted"' not in (made.tree / "manifest.json").read_text()
    assert made.type("plan").code == 0
    assert made.type("verify", "-v").err.count("imported as it is") == 0


def test_what_a_spec_cannot_say_is_told_once_for_each_entry(desk: Desk) -> None:
    openssl_script(desk)
    ran = desk.take_over()
    assert ran.out == f"Wrote {desk.spec}: 4 entries, 4 adopted. `certgen plan {desk.spec}` says what would change.\n"
    (told,) = [line for line in ran.err.splitlines() if "clients/old-client has" in line]
    assert told.startswith("warning[not-expressed]: clients/old-client has what its entry does not say: subject")
    assert "extKeyUsage none (spec: clientAuth)" in told
    assert "it stays as it is until it is due, or its entry is edited" in ran.err
    notes = desk.type("verify", "-v").err
    assert "note[wrong-usage]: clients/old-client has other extended key usages than clientAuth" in notes
    proof = desk.type("prove")
    assert "`certgen apply --renew clients/old-client` signs it as the spec says" in proof.err


def test_the_spec_reads_as_a_person_would_write_it(desk: Desk) -> None:
    openssl_script(desk)
    desk.take_over()
    assert desk.spec.read_text() == dedent(
        """\
        version: 1

        cas:
          shop-issuing:
            issuer: shop-root
            common_name: Shop Issuing
            subject: {organization: Shop}
            validity: 3640d
          shop-root:
            common_name: Shop Root
            subject: {organization: Shop}
            validity: 3650d

        servers:
          api:
            issuer: shop-issuing
            subject: {organization: Shop}
            sans: [api.test, 127.0.0.1]
            validity: 365d

        clients:
          old-client:
            issuer: shop-issuing
            common_name: old client
            validity: 365d
        """
    )


def test_what_was_described_and_not_made_is_issued_by_the_first_run(desk: Desk) -> None:
    certyaml_layout(desk)
    desk.take_over()
    assert "servers/later  issue   missing" in desk.type("plan").out
    desk.type("apply")
    issued = x509.load_pem_x509_certificates((desk.tree / "servers/later/cert.pem").read_bytes())[0]
    issued.verify_directly_issued_by(x509.load_pem_x509_certificates((desk.source / "root.pem").read_bytes())[0])


def test_a_certificate_that_was_exchanged_by_hand_is_not_what_was_adopted(desk: Desk) -> None:
    mkcert(desk)
    desk.take_over()
    other = desk.source / "c.test.pem"
    (desk.tree / "servers/a.test/cert.pem").write_bytes(other.read_bytes())
    assert desk.type("plan").code != 0


# Descriptions alone


def test_instances_of_elasticsearch_become_peers(desk: Desk) -> None:
    (desk.source / "instances.yml").write_text(
        dedent(
            """\
            instances:
              - name: node1
                dns: [node1.test]
                ip: [10.0.0.1, 10.0.0.2]
              - name: Node 2
                dns: node2.test
              - name: nameless
            """
        )
    )
    ran = desk.take_over(desk.source / "instances.yml")
    assert ran.code == 0, ran
    assert "`nameless`" in ran.err
    assert desk.spec.read_text() == dedent(
        """\
        version: 1

        cas:
          ca:

        peers:
          node-2:
            common_name: Node 2
            sans: [node2.test]
          node1:
            sans: [node1.test, 10.0.0.1, 10.0.0.2]
        """
    )
    assert "peers/node1" in desk.type("plan").out


def test_requests_of_cfssl_become_entries(desk: Desk) -> None:
    (desk.source / "ca.json").write_text(
        json.dumps({"CN": "Shop CA", "ca": {"expiry": "87600h"}, "key": {"algo": "rsa", "size": 3072}})
    )
    names = [{"O": "Shop BV", "C": "NL", "L": "Utrecht"}]
    (desk.source / "api.json").write_text(json.dumps({"CN": "api", "hosts": ["api.test", "10.0.0.1"], "names": names}))
    (desk.source / "job.json").write_text(
        json.dumps({"CN": "job", "hosts": [""], "key": {"algo": "ecdsa", "size": 384}})
    )
    (desk.source / "config.json").write_text(json.dumps({"signing": {"default": {"expiry": "8760h"}}}))
    assert desk.take_over().code == 0
    assert desk.type("apply").code == 0
    server = x509.load_pem_x509_certificates((desk.tree / "servers/api/cert.pem").read_bytes())[0]
    assert server.subject.rfc4514_string() == "CN=api,O=Shop BV,L=Utrecht,C=NL"
    assert (desk.tree / "clients/job/cert.pem").exists()
    root = x509.load_pem_x509_certificates((desk.tree / "cas/shop-ca/cert.pem").read_bytes())[0]
    assert (root.not_valid_after_utc - root.not_valid_before_utc).days == 3649
    assert getattr(root.public_key(), "key_size", 0) == 3072


# What is in the way


def test_nothing_is_written_over(desk: Desk) -> None:
    minica_layout(desk)
    desk.take_over()
    before = take_snapshot(desk.folder)
    ran = desk.take_over()
    assert (ran.code, f"{desk.spec} exists" in ran.err) == (2, True)
    desk.spec.unlink()
    ran = desk.take_over()
    assert (ran.code, f"{desk.tree} exists" in ran.err) == (2, True)
    assert not desk.spec.exists()
    after = take_snapshot(desk.folder)
    assert {path: record for path, record in after.items() if path.startswith("output")} == {
        path: record for path, record in before.items() if path.startswith("output")
    }


@pytest.mark.parametrize("content", ["", "nothing\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_where_there_is_nothing_nothing_is_written(desk: Desk, content: str) -> None:
    (desk.source / "x.pem").write_text(content)
    ran = desk.take_over()
    assert (ran.code, "nothing-to-import" in ran.err) == (2, True)
    assert not desk.spec.exists()
    assert not desk.output.exists()


def test_who_has_no_ca_among_the_files_stays_out_and_is_told(desk: Desk) -> None:
    openssl_script(desk)
    (desk.source / "ca.pem").unlink()
    ran = desk.take_over()
    assert ran.code == 2
    assert "the CA `O=Shop, CN=Shop Root` above it is not among the files" in ran.err


def test_a_key_that_is_encrypted_stays_out_and_its_certificate_comes(desk: Desk) -> None:
    minica_layout(desk)
    path = desk.source / "a.test/key.pem"
    desk.openssl("pkcs8", "-topk8", "-in", "a.test/key.pem", "-out", "a.test/closed.pem", "-passout", "pass:x")
    shutil.move(desk.source / "a.test/closed.pem", path)
    ran = desk.take_over()
    assert (ran.code, f"{path} stays out: the private key is encrypted" in ran.err) == (0, True)
    assert not (desk.tree / "peers/a.test/key.pem").exists()
    assert (desk.tree / "peers/b.test/key.pem").exists()
    plan = desk.type("plan")
    assert (plan.code, "peers/a.test" in plan.out) == (0, False)


def test_the_private_keys_are_closed_to_others(desk: Desk) -> None:
    minica_layout(desk)
    for path in desk.source.rglob("*key.pem"):
        path.chmod(0o644)
    desk.take_over()
    assert {path.stat().st_mode & 0o777 for path in desk.tree.rglob("key.pem")} == {0o600}
    assert desk.type("verify").code == 0


def test_json_tells_what_was_written(desk: Desk) -> None:
    minica_layout(desk)
    ran = desk.run("import", desk.source, "--to", desk.spec, "-o", desk.output, "--json")
    told = json.loads(ran.out)
    assert (told["written"], told["entries"], told["adopted"]) == (str(desk.spec), 3, 3)
    assert {item["code"] for item in told["diagnostics"]} == {"not-expressed"}


def test_a_key_that_a_spec_cannot_ask_for_stays_until_its_certificate_is_signed_again(desk: Desk) -> None:
    make_authority(desk, "ca", "/CN=Shop Root", AUTHORITY)
    signed_by = ["-CA", "ca.pem", "-CAkey", "ca-key.pem"]
    make(desk, ("api.pem", "api-key.pem"), "/CN=api", "subjectAltName=DNS:api.test", signed_by, curve="P-224")
    desk.take_over()
    assert desk.type("plan").code == 0
    plan = desk.type("plan", "--renew", "servers/api")
    assert "key_algorithm_changed" in plan.out
    assert desk.type("apply", "--renew", "servers/api").code == 0
    assert desk.type("plan").code == 0
    assert desk.type("verify").code == 0


def test_a_name_that_no_client_can_ask_for_is_no_traceback(desk: Desk) -> None:
    make_authority(desk, "ca", "/CN=Shop Root", AUTHORITY)
    names = "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:_srv._tcp.example,DNS:api.test"
    make(desk, ("api.pem", "api-key.pem"), "/CN=api", names, ["-CA", "ca.pem", "-CAkey", "ca-key.pem"])
    desk.take_over()
    assert desk.type("plan").code == 0
    assert desk.type("verify").code == 0


def test_where_the_spec_cannot_be_written_there_is_no_tree_and_the_other_way_round(desk: Desk) -> None:
    minica_layout(desk)
    (desk.folder / "specs").write_text("a file")
    assert desk.take_over().code == 2
    assert not desk.output.exists()
    (desk.folder / "specs").unlink()
    desk.output.write_text("a file")
    assert desk.take_over().code == 2
    assert not desk.spec.exists()


def test_what_is_too_long_to_be_a_certificate_is_passed_over_in_a_folder(desk: Desk) -> None:
    minica_layout(desk)
    (desk.source / "package-lock.json").write_text("x" * 2_000_000)
    assert desk.take_over().code == 0
    desk.spec.unlink()
    assert desk.take_over(desk.source / "package-lock.json").code == 2
