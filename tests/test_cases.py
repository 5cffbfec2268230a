"""What a user sees of each mistake: one folder below `cases/invalid` for every code, compared to the letter.

`CERTGEN_UPDATE_CASES=1 pytest tests/test_cases.py` writes `expected.txt` anew; read the difference before a commit.
"""

from __future__ import annotations

import ast
import os
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from foreign.hierarchy import make_ca, write_pem

from certgen.diagnostics import CertgenError, Diagnostic, position
from certgen.pipeline import find_specs, load_specs
from certgen.protection import KeyRotation
from certgen.report.diagnostics import render_diagnostics
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.spec.document import MAXIMUM_BYTES

ROOT = Path(__file__).parent.parent
CASES = Path(__file__).parent / "cases" / "invalid"
CODES = sorted(folder.name for folder in CASES.iterdir())

ABOUT_THE_FILE = {"empty-spec", "no-such-spec", "not-utf-8", "same-name", "too-large"}
"""What is wrong with a whole file has no line."""

ELSEWHERE = {
    "ca-profile": "test_checks.py, where the odd certificates are made",
    "invalid-value": "test_explain.py, since no spec can provoke it today",
    "missing-package": "test_spec_keeping.py, where there is no pyrage",
    "no-specs": "below, since it is about a folder",
}
SOURCES = [
    *(ROOT / "certgen" / "spec").rglob("*.py"),
    *(ROOT / "certgen" / "consumers").rglob("*.py"),
    ROOT / "certgen" / "loading.py",
    ROOT / "certgen" / "rendering.py",
]
NO_CODES = {*KeyAlgorithm, *KeyRotation, "etcd-0", "utf-8", "utf-8-sig"}
"""Texts in the sources that look like codes."""


def put_what_is_beside(code: str) -> None:
    """Make the files that no repository should hold: keys, certificates that would age, texts of many kilobytes."""
    if code == "too-large":
        Path("spec.yaml").write_bytes(b"version: 1\nca:\n" + b"#" * MAXIMUM_BYTES)
    if code == "certificate-too-large":
        names = ", ".join(f"host-{number:04}.shop.example" for number in range(1000))
        Path("spec.yaml").write_text(f"version: 1\nca:\nservers:\n  api:\n    sans: [{names}]\n")
    if code in {"anchor-not-root", "bad-ca-certificate", "missing-root"}:
        root = make_ca("Shop Root CA", "ecdsa-p256")
        issuing = make_ca("Shop Issuing CA", "ecdsa-p256", root)
        write_pem(Path("path.pem"), root.certificate, issuing.certificate)
        write_pem(Path("issuing.pem"), issuing.certificate)
    if code == "ca-key-mismatch":
        write_pem(Path("mine.pem"), make_ca("Shop CA", "ecdsa-p256").certificate)
        key = make_ca("Other CA", "ecdsa-p256").key
        Path("other.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, so that paths are shown as they are given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diagnostics_of(paths: list[Path]) -> tuple[Diagnostic, ...]:
    try:
        loaded = load_specs(paths)
    except CertgenError as reason:
        return reason.diagnostics
    return tuple(warning for one in loaded for warning in one.warnings)


@pytest.mark.parametrize("code", CODES)
def test_a_mistake_is_shown_as_expected(folder: Path, code: str) -> None:
    shutil.copytree(CASES / code, folder, dirs_exist_ok=True)
    put_what_is_beside(code)
    found = diagnostics_of(sorted(Path().glob("*.yaml")) or [Path("spec.yaml")])
    assert {one.code for one in found} == {code}
    for one in found:
        assert (one.span is None) == (code in ABOUT_THE_FILE)
        if one.span is not None:
            assert one.span.file == "spec.yaml"
            lines = Path("spec.yaml").read_text(encoding="utf-8").splitlines()
            assert one.span.text == lines[one.span.line - 1]
            assert 1 <= one.span.column <= len(one.span.text) + 1
    assert list(found) == sorted(found, key=position)
    rendered = render_diagnostics(found)
    expected = CASES / code / "expected.txt"
    if os.environ.get("CERTGEN_UPDATE_CASES") == "1":
        expected.write_text(rendered, encoding="utf-8")
    assert rendered == expected.read_text(encoding="utf-8")


def test_a_spec_without_a_mistake_shows_nothing(folder: Path) -> None:
    spec = folder / "spec.yaml"
    spec.write_text("version: 1\nca:\nservers: {api: {sans: api.shop.example}}\n", encoding="utf-8")
    assert diagnostics_of([Path("spec.yaml")]) == ()


def test_the_mistakes_of_all_specs_are_shown_at_once_and_none_is_said_twice(folder: Path) -> None:
    for name, mistake in (("a", "surprise: x"), ("b", "ca: {validity: x}"), ("c", "ca:")):
        (folder / f"{name}.yaml").write_text(f"version: 1\n{mistake}\n", encoding="utf-8")
    found = diagnostics_of([Path("a.yaml"), Path("b.yaml"), Path("c.yaml"), Path("d.yaml"), Path("a.yaml")])
    assert [(one.code, one.span.file if one.span else one.where) for one in found] == [
        ("unknown-field", "a.yaml"),
        ("bad-duration", "b.yaml"),
        ("no-such-spec", "d.yaml"),
    ]


def test_a_folder_given_for_a_spec_is_refused(folder: Path) -> None:
    (folder / "spec.yaml").mkdir()
    (found,) = diagnostics_of([Path("spec.yaml")])
    assert (found.code, found.where) == ("no-such-spec", "spec.yaml")


def test_a_folder_without_specs_is_refused(folder: Path) -> None:
    with pytest.raises(CertgenError) as caught:
        find_specs(Path())
    assert [one.code for one in caught.value.diagnostics] == ["no-specs"]
    (folder / "b.yml").touch()
    (folder / "a.yaml").touch()
    assert find_specs(Path()) == (Path("a.yaml"), Path("b.yml"))


@pytest.mark.parametrize("file", ["Shop.yaml", "shop spec.yaml", "a..b.yaml", ".yaml"])
def test_a_file_whose_name_cannot_be_a_tree_s_is_refused_unless_it_says_one(folder: Path, file: str) -> None:
    (folder / file).write_text("version: 1\nca:\n", encoding="utf-8")
    (found,) = diagnostics_of([Path(file)])
    assert (found.code, found.where, found.help) == (
        "bad-name",
        file,
        "set `name:` in it, from a-z, 0-9, `.`, `_` and `-`",
    )
    (folder / file).write_text("version: 1\nname: shop\nca:\n", encoding="utf-8")
    assert diagnostics_of([Path(file)]) == ()


def codes_in_the_sources() -> set[str]:
    """Collect the texts that look like codes from the modules that read specs."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = node.value.split("-")
                if node.value == "conflict" or (len(words) > 1 and all(word.isalnum() for word in words)):
                    found.add(node.value)
    return {text for text in found if text == text.lower() and text[0].isalpha()} - NO_CODES


def test_every_code_has_a_case_and_every_case_a_code() -> None:
    assert codes_in_the_sources() - set(ELSEWHERE) == set(CODES)
    assert set(ELSEWHERE) <= codes_in_the_sources()
