"""What certgen says when a key is not where it belongs, or not what it should be: never what stands in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grounds import Ground, compiled_folder, ground_of
from leaks import DAMAGES, PASSPHRASE, Hunt, forms
from said import Said, ask
from samples import EVERY, one_in

from certgen import observe
from certgen.certificates import UnreadableError

KEY_FILES = ("servers/api/key.pem", "cas/ca/key.pem")
OTHER_FILES = (
    "servers/api/cert.pem", "servers/api/ca.pem", "cas/ca/cert.pem", "manifest.json", ".gitignore",
    "servers/api/nginx.conf", ".certgen/keys", ".certgen/journal",
)  # fmt: skip
UNUSABLE = [
    (place, damage)
    for number, damage in enumerate(DAMAGES)
    for place in (KEY_FILES if EVERY else KEY_FILES[number % 2 :][:1])
]
PASTED = [
    (place, damage)
    for place in OTHER_FILES
    for damage in (DAMAGES if EVERY else ("whole", "encrypted", "labelled CERTIFICATE"))
]
COMMANDS = (("plan", "-v"), ("plan", "--json"), ("verify", "-v"), ("verify", "--json"), ("prove", "-v"))
WRITERS = (("apply", "-v"), ("apply", "--json"), ("apply", "--rekey", "servers/api", "--prune", "-v"))


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_folder() as folder:
        yield folder


def new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def hunt_for(pem: bytes, spoiled: bytes) -> Hunt:
    """Know a key, and what became of it."""
    hunt = Hunt(pem)
    hunt.add_word(PASSPHRASE)
    if spoiled.startswith(b"-----"):
        hunt.add_blob(spoiled)
    return hunt


def everything_said(ground: Ground, path: Path) -> Iterator[Said]:
    """Type every command that could come across a file."""
    spec = ground.folder / "shop.yaml"
    for command, *options in COMMANDS[: None if EVERY else -1]:
        yield ask(command, spec, "-o", ground.output, *options)
    yield ask("inspect", "-v", path, "-o", ground.output)
    yield ask("inspect", "--json", ground.output / "shop", "servers/api", "-o", ground.output)
    yield ask("serve", "servers/api", "--listen", "256.0.0.1:1", "-o", ground.output)
    yield ask("connect", "https://127.0.0.1:9/", "--as", "servers/api", "-o", ground.output)
    for command, *options in WRITERS:
        yield ask(command, spec, "-o", ground.output, *options)


def assert_silent(ground: Ground, path: Path, hunt: Hunt) -> None:
    for key in ground.output.glob("shop/*/*/key.pem"):
        if b"-----END PRIVATE KEY-----" in key.read_bytes() and key != path:
            hunt.add(key.read_bytes())
    for said in everything_said(ground, path):
        assert said.code in {0, 1, 2}
        assert hunt.found(said.everything) == [], said


# Keys of the tree, and keys where none belong


@pytest.mark.parametrize(("place", "damage"), one_in(2, UNUSABLE))
def test_nothing_is_said_of_a_key_that_cannot_be_used(compiled: Path, place: str, damage: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        pem = new_key()
        spoiled = DAMAGES[damage](pem)
        path = ground.output / "shop" / place
        path.write_bytes(spoiled)
        assert_silent(ground, path, hunt_for(pem, spoiled))


@pytest.mark.parametrize(("place", "damage"), one_in(2, PASTED, 1))
def test_nothing_is_said_of_a_key_that_was_pasted_into_another_file(compiled: Path, place: str, damage: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        pem = new_key()
        spoiled = DAMAGES[damage](pem)
        path = ground.output / "shop" / place
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(before + b"\n" + spoiled)
        assert_silent(ground, path, hunt_for(pem, spoiled))


# The hunt itself


def test_a_key_is_found_in_every_form_in_which_a_program_would_print_it() -> None:
    pem = new_key()
    hunt = Hunt(pem)
    for form, text in forms(pem).items():
        assert hunt.found(f"error: {text}, and so on"), form
        assert Hunt(new_key()).found(text) == [], form


def test_what_is_public_about_a_key_is_not_taken_for_it(compiled: Path) -> None:
    tree = compiled / "output/shop"
    hunt = Hunt((tree / "servers/api/key.pem").read_bytes(), (tree / "cas/ca/key.pem").read_bytes())
    said = ask("inspect", "-v", tree, "-o", compiled / "output")
    public = [path.read_text() for path in tree.rglob("*") if path.is_file() and path.name != "key.pem"]
    assert said.code == 0
    assert hunt.found("\n".join((said.out, *public))) == []


def test_an_answer_that_quotes_a_key_would_be_seen(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(content: bytes) -> object:
        raise UnreadableError(f"not a key: {content.decode()}")

    monkeypatch.setattr(observe, "parse_private_key", quoting)
    with ground_of(compiled, "renewal", os.geteuid()) as ground, pytest.raises(AssertionError, match="key-unreadable"):
        assert_silent(ground, ground.output, Hunt())
