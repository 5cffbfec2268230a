"""Whose files are served with: an address, qualified or not, or a folder wherever it is."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from proving import Place, compiled

from certgen.diagnostics import CertgenError, Diagnostic
from certgen.talk.identity import load_identity

SPEC = "version: 1\nca: {}\nservers: {api: {sans: localhost}}\nclients: {checkout: }\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return compiled(tmp_path / "shop", SPEC)


def refusal(text: str | Path, output: Path) -> Diagnostic:
    with pytest.raises(CertgenError) as caught:
        load_identity(str(text), output)
    (problem,) = caught.value.diagnostics
    return problem


@pytest.mark.parametrize("text", ["servers/api", "shop/servers/api"])
def test_an_address_is_found_below_the_output(place: Place, text: str) -> None:
    found = load_identity(text, place.folder / "output")
    folder = place.tree / "servers/api"
    assert (found.name, str(found.certificate.subject)) == (text, "CN=api")
    assert (found.credentials.certificate, found.credentials.private_key) == (folder / "cert.pem", folder / "key.pem")
    assert found.anchors == (folder / "ca.pem").read_bytes()


def test_a_folder_is_found_wherever_it_is(place: Place, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(place.tree / "servers/api", tmp_path / "on its host"))
    found = load_identity(str(moved), tmp_path / "nowhere")
    assert found.credentials.private_key == moved / "key.pem"


def test_an_address_in_several_trees_has_to_be_qualified(place: Place) -> None:
    shutil.copytree(place.tree, place.tree.with_name("zoo"))
    problem = refusal("servers/api", place.folder / "output")
    assert (problem.code, problem.help) == ("ambiguous-address", "one of shop/servers/api, zoo/servers/api")
    assert load_identity("zoo/servers/api", place.folder / "output").credentials.certificate.parts[-4] == "zoo"


@pytest.mark.parametrize(
    "text",
    ["servers/web", "nonsense", "", ".", "../shop/servers/api", "servers/../servers/api", "a" * 5000, "x/" * 2100],
    ids=["unknown", "nonsense", "empty", "here", "above", "dots", "long", "deep"],
)
def test_what_is_no_entry_is_told(place: Place, text: str) -> None:
    problem = refusal(text, place.folder / "output")
    assert problem.code == "not-found"
    assert problem.help == "for example servers/api; `--help` names the option for that folder"


@pytest.mark.parametrize("name", ["key.pem", "ca.pem"])
def test_a_file_that_is_missing_is_named(place: Place, name: str) -> None:
    (place.tree / "servers/api" / name).unlink()
    problem = refusal("servers/api", place.folder / "output")
    assert (problem.code, problem.where) == ("file-missing", "servers/api")
    assert problem.message == f"{place.tree / 'servers/api' / name} is not there"
    assert (problem.help is not None) == (name == "key.pem")


def test_a_ca_is_no_end_entity(place: Place) -> None:
    problem = refusal("cas/ca", place.folder / "output")
    assert problem.code == "file-missing"
    assert problem.message.endswith("cas/ca/ca.pem is not there")


Spoil = Callable[[Path], object]


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink() or path.symlink_to("cert.pem"), "a symbolic link, which is not followed"),
        (lambda path: path.unlink() or path.mkdir(), "not a regular file"),
        (pipe, "not a regular file"),
        (lambda path: path.write_bytes(b"a" * 1048577), "it has more than 1048576 bytes"),
    ],
    ids=["link", "folder", "pipe", "large"],
)
def test_what_is_no_file_is_not_read(place: Place, spoil: Spoil, words: str) -> None:
    spoil(place.tree / "servers/api/key.pem")
    problem = refusal("servers/api", place.folder / "output")
    assert problem.code == "file-missing"
    assert problem.message.endswith(f"cannot be read: {words}")


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_told(place: Place, content: bytes) -> None:
    (place.tree / "servers/api/cert.pem").write_bytes(content)
    problem = refusal("servers/api", place.folder / "output")
    assert (problem.code, problem.where) == ("unreadable", str(place.tree / "servers/api/cert.pem"))


def test_an_identity_shows_no_anchors_when_it_is_printed(place: Place) -> None:
    assert "BEGIN" not in repr(load_identity("servers/api", place.folder / "output"))
