"""Sealed private keys from the first run on: what needs a secret, what does not, and what a wrong one cannot do."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from proving import Ran
from scene import take_snapshot
from sealed import KEYS, Person, make_person, sealed_files, write_sealed
from shop import Shop, published, second_run

from certgen.cli.group import certgen

CLOSED = """\
    version: 1
    keys: {git: commit, protection: passphrase}
    ca: {}
    servers:
      api: {sans: [api.shop.example]}
"""


@pytest.fixture
def me(tmp_path: Path) -> Person:
    return make_person(tmp_path, "me")


@pytest.fixture
def other(tmp_path: Path) -> Person:
    return make_person(tmp_path, "other")


@pytest.fixture
def sealed(tmp_path: Path, me: Person) -> Shop:
    return write_sealed(tmp_path / "shop", me).compile()


def edit(shop: Shop, old: str, new: str) -> None:
    text = shop.spec.read_text()
    assert old in text
    shop.spec.write_text(text.replace(old, new))


def refused(shop: Shop, code: str, *arguments: str) -> str:
    """Demand that `apply` refuses, and writes nothing."""
    before = take_snapshot(shop.tree)
    ran = shop.inside("apply", *arguments)
    assert ran.code == 2, ran
    assert f"error[{code}]" in ran.err, ran
    assert published(take_snapshot(shop.tree)) == published(before)
    return ran.err


def typed(*arguments: str | Path) -> Ran:
    """Type a command that takes no spec."""
    done = CliRunner().invoke(certgen, [*map(str, arguments)])
    return Ran(done.exit_code, done.stdout, done.stderr)


class TestTheFirstRun:
    def test_needs_no_secret_and_leaves_no_key_in_clear(self, sealed: Shop) -> None:
        assert set(sealed_files(sealed)) == set(KEYS)
        assert not list(sealed.tree.rglob("key.pem"))
        for content in (record.content or b"" for record in take_snapshot(sealed.tree).values()):
            assert b"PRIVATE KEY" not in content
        sealed.assert_settled()

    def test_is_the_last_that_writes(self, sealed: Shop) -> None:
        second_run(sealed).assert_untouched()

    def test_each_key_is_that_of_its_certificate(self, sealed: Shop, me: Person, tmp_path: Path) -> None:
        for address in KEYS:
            into = tmp_path / address.replace("/", "-")
            ran = typed("keys", "decrypt", sealed.tree / address, "-o", into, "--identity", me.identity)
            assert ran.code == 0, ran
            key, certificate = into / "key.pem", sealed.tree / address / "cert.pem"
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
            publics = {
                subprocess.run(["openssl", *map(str, command)], capture_output=True, check=True).stdout
                for command in (("pkey", "-in", key, "-pubout"), ("x509", "-in", certificate, "-pubkey", "-noout"))
            }
            assert len(publics) == 1


class TestWhatNeedsNoSecret:
    def test_a_plan_of_what_must_be_signed(self, sealed: Shop) -> None:
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        ran = sealed.judge("plan")
        assert ran.code == 1
        assert "+ clients/reporting  issue   missing (new key)" in ran.out
        assert "note[keys-to-open]: `apply` has to open the private key of cas/issuing" in ran.err

    def test_a_change_of_a_rendered_file(self, sealed: Shop) -> None:
        edit(sealed, "sans: [api.shop.example]", "sans: [api.shop.example], snippets: [nginx]")
        assert sealed.inside("apply").code == 0
        sealed.assert_settled()

    def test_a_clone_with_the_modes_of_git(self, sealed: Shop) -> None:
        shutil.rmtree(sealed.tree / ".certgen")
        for path in sealed.tree.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        sealed.assert_settled()


class TestWhatNeedsOne:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("checkout:", "checkout:\n  reporting:"),
            ("[api.shop.example]", "[api.shop.example, b.shop.example]"),
            ("common_name: Shop Issuing", "common_name: Shop Issuing Two"),
        ],
        ids=["a new client", "a new name", "a CA of another name"],
    )
    def test_without_it_nothing_is_written_and_with_it_all_is(
        self, sealed: Shop, me: Person, old: str, new: str
    ) -> None:
        keys = sealed_files(sealed)
        edit(sealed, old, new)
        refused(sealed, "identity-needed")
        assert sealed.inside("apply", "--identity", str(me.identity)).code == 0
        sealed.assert_settled()
        now = sealed_files(sealed)
        assert {address: now[address] for address in keys} == keys, "a key that is kept is not sealed again"

    def test_the_variable_that_sops_reads_will_do(self, sealed: Shop, me: Person) -> None:
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        assert sealed.type("apply", env={"SOPS_AGE_KEY_FILE": str(me.identity)}).code == 0
        sealed.assert_settled()

    def test_a_renewal_keeps_every_key(self, sealed: Shop, me: Person) -> None:
        keys = sealed_files(sealed)
        for address in KEYS:
            assert sealed.inside("apply", "--renew", address, "--identity", str(me.identity)).code == 0
        assert sealed_files(sealed) == keys
        sealed.assert_settled()

    def test_a_new_root_key_opens_nothing(self, sealed: Shop) -> None:
        """Whoever makes all keys anew has no use for the old ones."""
        before = sealed_files(sealed)
        assert sealed.inside("apply", "--rekey", "cas/root", "--rekey", "cas/issuing").code == 0
        now = sealed_files(sealed)
        assert now["cas/root"] != before["cas/root"]
        assert now["servers/api"] == before["servers/api"]
        sealed.assert_settled()

    def test_a_key_that_is_gone_is_made_anew(self, sealed: Shop, me: Person) -> None:
        (sealed.tree / "servers/api/key.pem.age").unlink()
        assert "key_missing" in sealed.judge("plan").out
        assert sealed.inside("apply", "--identity", str(me.identity)).code == 0
        sealed.assert_settled()


class TestAWrongSecret:
    def test_overwrites_nothing(self, sealed: Shop, other: Person) -> None:
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        refused(sealed, "cannot-unseal", "--identity", str(other.identity))

    def test_is_not_tried_alone_where_another_is_right(self, sealed: Shop, me: Person, other: Person) -> None:
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        identities = ("--identity", str(other.identity), "--identity", str(me.identity))
        assert sealed.inside("apply", *identities).code == 0

    def test_a_file_that_holds_none_is_named(self, sealed: Shop) -> None:
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        assert str(sealed.spec) in refused(sealed, "bad-identity", "--identity", str(sealed.spec))

    def test_a_file_that_is_not_there_is_named(self, sealed: Shop) -> None:
        assert "nowhere does not exist" in refused(sealed, "unreadable", "--identity", "nowhere")

    def test_a_key_in_anothers_place_signs_nothing(self, sealed: Shop, me: Person) -> None:
        shutil.copy(sealed.tree / "servers/api/key.pem.age", sealed.tree / "cas/issuing/key.pem.age")
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        assert "cas/issuing" in refused(sealed, "key-mismatch", "--identity", str(me.identity))


class TestOtherRecipients:
    def test_are_a_reason_of_their_own(self, sealed: Shop, me: Person, other: Person) -> None:
        certificates = {path: path.read_bytes() for path in sealed.tree.rglob("cert.pem")}
        edit(sealed, me.recipient, f"{me.recipient}, {other.recipient}")
        ran = sealed.judge("plan")
        assert ran.code == 1
        assert "recipients_changed key.pem.age: age, other recipients -> age, 2 recipients" in ran.out
        refused(sealed, "identity-needed")
        refused(sealed, "cannot-unseal", "--identity", str(other.identity))
        assert sealed.inside("apply", "--identity", str(me.identity)).code == 0
        sealed.assert_settled()
        assert {path: path.read_bytes() for path in certificates} == certificates
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        assert sealed.inside("apply", "--identity", str(other.identity)).code == 0

    def test_who_is_none_any_more_opens_nothing_new(self, sealed: Shop, me: Person, other: Person) -> None:
        edit(sealed, me.recipient, other.recipient)
        assert sealed.inside("apply", "--identity", str(me.identity)).code == 0
        edit(sealed, "checkout:", "checkout:\n  reporting:")
        refused(sealed, "cannot-unseal", "--identity", str(me.identity))

    def test_a_file_that_somebody_else_sealed_is_looked_into_and_sealed_again(self, sealed: Shop, me: Person) -> None:
        path = sealed.tree / "servers/api/key.pem.age"
        clear = subprocess.run(["age", "-d", "-i", me.identity, path], capture_output=True, check=True).stdout
        closed = subprocess.run(["age", "-r", me.recipient], input=clear, capture_output=True, check=True).stdout
        path.write_bytes(closed)
        assert "recipients_changed key.pem.age: unknown -> age, 1 recipient" in sealed.judge("plan").out
        assert "error[key-unknown]" in sealed.judge("verify").err
        assert sealed.inside("apply", "--identity", str(me.identity)).code == 0
        sealed.assert_settled()


class TestComingAndGoing:
    def test_keys_in_clear_are_sealed_without_a_secret_and_nothing_is_left_in_clear(
        self, tmp_path: Path, me: Person
    ) -> None:
        shop = write_sealed(tmp_path / "shop", me)
        text = shop.spec.read_text()
        shop.spec.write_text("".join(line for line in text.splitlines(True) if "keys:" not in line))
        shop.compile()
        publics = {path.parent: path.read_bytes() for path in shop.tree.rglob("cert.pem")}
        shop.spec.write_text(text)
        assert "error[key-in-clear]" in shop.judge("verify").err
        ran = shop.inside("apply")
        assert ran.code == 0, ran
        assert "in clear -> age, 1 recipient" in ran.out
        assert not list(shop.tree.rglob("key.pem"))
        assert set(sealed_files(shop)) == set(KEYS)
        assert {folder: (folder / "cert.pem").read_bytes() for folder in publics} == publics
        shop.assert_settled()

    def test_and_back_with_one(self, sealed: Shop, me: Person) -> None:
        text = sealed.spec.read_text()
        sealed.spec.write_text("".join(line for line in text.splitlines(True) if "keys:" not in line))
        refused(sealed, "identity-needed")
        assert sealed.inside("apply", "--identity", str(me.identity)).code == 0
        assert not sealed_files(sealed)
        assert {stat.S_IMODE(path.stat().st_mode) for path in sealed.tree.rglob("key.pem")} == {0o600}
        sealed.assert_settled()

    def test_a_public_key_from_elsewhere_leaves_the_sealed_one_alone(self, sealed: Shop, me: Person) -> None:
        path = sealed.tree / "servers/api/key.pem.age"
        content = path.read_bytes()
        command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        key = subprocess.run(command, capture_output=True, check=True).stdout
        public = subprocess.run(["openssl", "pkey", "-pubout"], input=key, capture_output=True, check=True).stdout
        (sealed.folder / "api.pub").write_bytes(public)
        edit(sealed, "sans: [api.shop.example]", "sans: [api.shop.example], public_key: api.pub")
        ran = sealed.inside("apply", "--identity", str(me.identity))
        assert ran.code == 0, ran
        assert "warning[left-alone]" in ran.err
        assert path.read_bytes() == content


class TestRewrapping:
    def test_seals_every_key_again_and_does_nothing_else(self, sealed: Shop, me: Person) -> None:
        keys = sealed_files(sealed)
        edit(sealed, "[api.shop.example]", "[api.shop.example, b.shop.example]")
        certificates = {path: path.read_bytes() for path in sealed.tree.rglob("*.pem")}
        ran = sealed.type("keys", "rewrap", "shop.yaml", "-o", "output", "--identity", me.identity)
        assert ran.code == 0, ran
        assert "requested keys rewrap" in ran.out
        now = sealed_files(sealed)
        assert set(now) == set(keys)
        assert not set(now.values()) & set(keys.values())
        assert {path: path.read_bytes() for path in certificates} == certificates
        assert "sans_changed" in sealed.judge("plan").out

    def test_without_a_secret_it_seals_nothing(self, sealed: Shop) -> None:
        keys = sealed_files(sealed)
        ran = sealed.type("keys", "rewrap", "shop.yaml", "-o", "output")
        assert (ran.code, "error[identity-needed]" in ran.err) == (2, True)
        assert sealed_files(sealed) == keys


class TestAPassphrase:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Shop:
        (tmp_path / "secret").write_text("open sesame\nand a second line\n")
        (tmp_path / "wrong").write_text("open barley\n")
        shop = Shop(tmp_path).write(CLOSED)
        assert "error[passphrase-needed]" in shop.inside("apply").err
        assert not shop.tree.exists()
        return shop.compile("--passphrase-file", str(tmp_path / "secret"))

    def test_closes_every_key_as_openssl_reads_it(self, shop: Shop) -> None:
        for path in shop.tree.rglob("key.pem"):
            assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()
            command = ["openssl", "pkey", "-in", str(path), "-noout", "-passin", "pass:open sesame"]
            assert subprocess.run(command, check=False).returncode == 0
        shop.assert_settled()
        second_run(shop).assert_untouched()

    def test_is_needed_for_what_is_signed_and_a_wrong_one_writes_nothing(self, shop: Shop) -> None:
        edit(shop, "[api.shop.example]", "[b.shop.example]")
        refused(shop, "passphrase-needed")
        refused(shop, "cannot-unseal", "--passphrase-file", str(shop.folder / "wrong"))
        assert shop.inside("apply", "--passphrase-file", str(shop.folder / "secret")).code == 0
        shop.assert_settled()

    def test_comes_through_a_descriptor_too(self, shop: Shop) -> None:
        edit(shop, "[api.shop.example]", "[b.shop.example]")
        prefix = ("sh", "-c", 'exec "$@" 3<secret', "sh")
        assert shop.type("apply", "--passphrase-fd", "3", prefix=prefix).code == 0
        shop.assert_settled()

    def test_two_places_for_one_secret_are_refused(self, shop: Shop) -> None:
        edit(shop, "[api.shop.example]", "[b.shop.example]")
        refused(shop, "conflict", "--passphrase-fd", "0", "--passphrase-file", str(shop.folder / "secret"))

    def test_git_may_have_the_keys_where_the_spec_says_so(self, shop: Shop) -> None:
        assert "key.pem" not in (shop.tree / ".gitignore").read_text()
        assert "/.certgen/" in (shop.tree / ".gitignore").read_text()


def test_serve_says_how_to_open_a_sealed_key(sealed: Shop) -> None:
    ran = typed("serve", sealed.tree / "servers/api")
    assert ran.code == 2
    assert "certgen keys decrypt" in ran.err


def test_prove_cannot_tell_of_entries_whose_keys_are_sealed(sealed: Shop) -> None:
    ran = sealed.inside("prove")
    assert ran.code == 2, ran
    assert "its private key is sealed" in ran.out + ran.err


def test_no_key_is_said_anywhere(sealed: Shop, me: Person) -> None:
    secret = me.identity.read_text().splitlines()[1]
    edit(sealed, "checkout:", "checkout:\n  reporting:")
    for arguments in (
        ("apply", "-v"),
        ("apply", "--json", "--identity", str(me.identity)),
        ("plan", "--json", "--all"),
    ):
        ran = sealed.inside(*arguments)
        assert secret not in ran.out + ran.err
        assert "PRIVATE KEY" not in ran.out + ran.err
