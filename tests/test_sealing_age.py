"""Private keys as age files: Debian's `age` opens what certgen closes, and the other way round."""

import subprocess
from pathlib import Path

import pytest
from programs.finding import require
from sealed import make_person

from certgen.sealing.age import AgeSealer, AgeUnsealer, is_sealed, read_recipient
from certgen.sealing.port import BadSecretError, CannotOpenError, PrivateKey

SECRET = b"-----BEGIN PRIVATE KEY-----\nbm90IG9uZQ==\n-----END PRIVATE KEY-----\n"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"


def age(*arguments: str | Path, given: bytes = b"") -> bytes:
    require("age")
    return subprocess.run(["age", *arguments], input=given, capture_output=True, check=True).stdout


def keygen(kind: str, path: Path) -> str:
    """Make a key with the program of its kind, and give its public half."""
    require(kind)
    if kind == "ssh-keygen":
        subprocess.run([kind, "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", path], check=True)
        return path.with_name(f"{path.name}.pub").read_text().strip()
    subprocess.run([kind, "-o", path], capture_output=True, check=True)
    return subprocess.run([kind, "-y", path], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("kind", ["age-keygen", "ssh-keygen"])
class TestBesideAge:
    def test_age_opens_what_certgen_closed(self, kind: str, tmp_path: Path) -> None:
        recipient = read_recipient(keygen(kind, tmp_path / "identity"))
        sealed = AgeSealer([recipient]).seal(PrivateKey(SECRET))
        assert age("-d", "-i", tmp_path / "identity", given=sealed) == SECRET

    @pytest.mark.parametrize("armour", [["-a"], []], ids=["armoured", "binary"])
    def test_certgen_opens_what_age_closed(self, kind: str, armour: list[str], tmp_path: Path) -> None:
        recipient = keygen(kind, tmp_path / "identity")
        sealed = age(*armour, "-r", recipient, given=SECRET)
        assert is_sealed(sealed)
        assert AgeUnsealer([(tmp_path / "identity").read_bytes()]).unseal(sealed).pem == SECRET

    def test_another_identity_opens_nothing(self, kind: str, tmp_path: Path) -> None:
        recipient = read_recipient(keygen(kind, tmp_path / "identity"))
        other = make_person(tmp_path, "other")
        sealed = AgeSealer([recipient]).seal(PrivateKey(SECRET))
        with pytest.raises(CannotOpenError, match="not sealed for any identity"):
            AgeUnsealer([other.identity.read_bytes()]).unseal(sealed)


class TestClosing:
    def test_nothing_of_the_key_is_left_to_see(self, tmp_path: Path) -> None:
        sealed = AgeSealer([make_person(tmp_path, "me").recipient]).seal(PrivateKey(SECRET))
        assert sealed.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
        assert b"PRIVATE KEY" not in sealed
        assert b"bm90IG9uZQ" not in sealed

    def test_the_same_key_gives_other_bytes_every_time(self, tmp_path: Path) -> None:
        sealer = AgeSealer([make_person(tmp_path, "me").recipient])
        assert sealer.seal(PrivateKey(SECRET)) != sealer.seal(PrivateKey(SECRET))

    def test_each_recipient_can_open_it(self, tmp_path: Path) -> None:
        people = [make_person(tmp_path, name) for name in ("one", "two")]
        sealed = AgeSealer([person.recipient for person in people]).seal(PrivateKey(SECRET))
        for person in people:
            assert AgeUnsealer([person.identity.read_bytes()]).unseal(sealed).pem == SECRET

    def test_what_was_touched_cannot_be_opened(self, tmp_path: Path) -> None:
        me = make_person(tmp_path, "me")
        lines = AgeSealer([me.recipient]).seal(PrivateKey(SECRET)).splitlines()
        lines[3], lines[4] = lines[4], lines[3]
        with pytest.raises(CannotOpenError):
            AgeUnsealer([me.identity.read_bytes()]).unseal(b"\n".join(lines))


class TestRecipients:
    def test_an_ssh_key_loses_its_comment(self) -> None:
        assert read_recipient(f"{SSH} me@here") == SSH == read_recipient(SSH)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "age1",
            "me@here",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            f"x{SSH}",
            "age1qqqq two",
            "ssh-rsa AAAAB3NzaC1yc2E=",
        ],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(BadSecretError, match="not a recipient"):
            read_recipient(text)

    def test_one_with_a_slip_is_refused(self, tmp_path: Path) -> None:
        recipient = make_person(tmp_path, "me").recipient
        slip = recipient[:-1] + ("q" if recipient[-1] != "q" else "p")
        with pytest.raises(BadSecretError, match="damaged"):
            read_recipient(slip)

    def test_a_secret_in_a_recipients_place_is_told_and_not_quoted(self, tmp_path: Path) -> None:
        secret = make_person(tmp_path, "me").identity.read_text().splitlines()[1]
        with pytest.raises(BadSecretError, match="a secret identity") as caught:
            read_recipient(secret)
        assert secret not in str(caught.value)


class TestIdentities:
    @pytest.mark.parametrize("content", [b"", b"# nothing\n", b"hello", b"\xff\xfe", b"AGE-SECRET-KEY-1QQQ"])
    def test_a_file_without_one_is_refused_and_not_quoted(self, content: bytes) -> None:
        with pytest.raises(BadSecretError, match="holds no identity") as caught:
            AgeUnsealer([content])
        assert "QQQ" not in str(caught.value)

    def test_an_ssh_key_with_a_passphrase_is_refused(self, tmp_path: Path) -> None:
        require("ssh-keygen")
        path = tmp_path / "closed"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path], check=True)
        sealed = AgeSealer([read_recipient(path.with_name("closed.pub").read_text())]).seal(PrivateKey(SECRET))
        with pytest.raises((BadSecretError, CannotOpenError)):
            AgeUnsealer([path.read_bytes()]).unseal(sealed)
