"""How a spec says what becomes of private keys: read, contradicted, and without the package that reads recipients."""

import sys
from pathlib import Path

import pytest
from sealed import make_person

from certgen.diagnostics import CertgenError
from certgen.loading import load_spec
from certgen.protection import Protection, ProtectionKind

SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"


def write(folder: Path, keys: str) -> Path:
    path = folder / "shop.yaml"
    path.write_text(f"version: 1\nkeys: {keys}\nca:\nservers: {{api: {{sans: a.example}}}}\n")
    return path


def codes(path: Path) -> list[tuple[str, int]]:
    with pytest.raises(CertgenError) as caught:
        load_spec(path)
    return [(one.code, one.span.line if one.span else 0) for one in caught.value.diagnostics]


@pytest.mark.parametrize("keys", ["", "{}", "{git: ignore}"])
def test_keys_are_in_clear_and_kept_from_git_unless_a_spec_says_otherwise(tmp_path: Path, keys: str) -> None:
    bundle = load_spec(write(tmp_path, keys)).bundle
    assert {entry.key.protection for entry in bundle.entries} == {None}
    assert not bundle.commits_keys


def test_every_key_of_a_spec_is_closed_for_the_same_people(tmp_path: Path) -> None:
    me = make_person(tmp_path, "me").recipient
    bundle = load_spec(write(tmp_path, f"{{protection: age, recipients: [{me}, {SSH} me@here]}}")).bundle
    wanted = Protection(ProtectionKind.AGE, tuple(sorted([me, SSH])))
    assert {entry.key.protection for entry in bundle.entries} == {wanted}
    assert {entry.key.mode for entry in bundle.entries} == {0o644}


def test_the_order_of_recipients_does_not_matter(tmp_path: Path) -> None:
    one, two = (make_person(tmp_path, name).recipient for name in ("one", "two"))
    marks = set()
    for pair in (f"[{one}, {two}]", f"[{two}, {one}]"):
        protection = (
            load_spec(write(tmp_path, f"{{protection: age, recipients: {pair}}}")).bundle.entries[0].key.protection
        )
        assert protection is not None
        marks.add(protection.mark)
    assert len(marks) == 1
    assert Protection(ProtectionKind.AGE, (one,)).mark not in marks


def test_a_passphrase_leaves_modes_alone(tmp_path: Path) -> None:
    bundle = load_spec(write(tmp_path, "{git: commit, protection: passphrase}")).bundle
    assert {(entry.key.protection, entry.key.mode) for entry in bundle.entries} == {
        (Protection(ProtectionKind.PASSPHRASE), 0o600)
    }
    assert bundle.commits_keys


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("{protection: age}", [("no-recipients", 2)]),
        ("{protection: age, recipients: []}", [("no-recipients", 2)]),
        (f"{{recipients: [{SSH}]}}", [("conflict", 2)]),
        (f"{{protection: passphrase, recipients: [{SSH}]}}", [("conflict", 2)]),
        (f"{{protection: age, recipients: [{SSH}, {SSH} again]}}", [("duplicate-recipient", 2)]),
        ("{protection: gpg}", [("unknown-value", 2)]),
        ("{git: maybe}", [("unknown-value", 2)]),
        ("{protection: age, recipients: [nobody]}", [("bad-recipient", 2)]),
    ],
)
def test_what_contradicts_itself_is_refused_at_its_place(
    tmp_path: Path, keys: str, found: list[tuple[str, int]]
) -> None:
    assert codes(write(tmp_path, keys)) == found


def test_without_pyrage_a_spec_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    path = write(tmp_path, f"{{protection: age, recipients: [{SSH}]}}")
    with pytest.raises(CertgenError) as caught:
        load_spec(path)
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.help) == ("missing-package", "pip install 'certgen[age]'")
    assert not load_spec(write(tmp_path, "{protection: passphrase}")).warnings
