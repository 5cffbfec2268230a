"""Bad input through the command line: refused with the right code at the right place, and nothing is written.

In the specs `§` marks where the diagnostic must point: it is taken out before the spec is written.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from bad_input import (
    BAD_FILES,
    BAD_NAMES,
    GOOD_NAMES,
    GOOD_OTHERS,
    GOOD_SANS,
    OTHERS,
    SANS,
    client,
    quoted,
    server,
)
from scene import Scene, take_snapshot
from typed import Ran, run, run_as_program


def unmarked(spec: str) -> tuple[str, str]:
    """Take the mark out of a spec; give its place, too."""
    assert spec.count("§") == 1, spec
    before = spec.partition("§")[0]
    line = before.count("\n") + 1
    return spec.replace("§", ""), f"{line}:{len(before) - before.rfind(chr(10))}"


def furnish(scene: Scene) -> None:
    """Put beside the spec what it could be tempted to read."""
    (scene.folder / "key.pub").write_text("outside\n")
    (scene.specs / "link.pub").symlink_to(scene.folder / "key.pub")
    (scene.specs / "link").symlink_to(scene.folder)
    (scene.specs / "folder.pub").mkdir()
    (scene.specs / "a.j2").write_text("{{ header }}\n")
    os.mkfifo(scene.specs / "pipe.pub")


def assert_refused(scene: Scene, spec: str, code: str, file: str = "shop.yaml") -> None:
    """Demand the one error at the place of the mark, exit code 2, and that nothing is written."""
    text, place = unmarked(spec)
    scene.write(text, file)
    before = take_snapshot(scene.folder)
    for command in ("apply", "plan"):
        ran = run(command, str(scene.specs / file), "-o", str(scene.output))
        assert (ran.code, ran.found, ran.out) == (2, [(code, place)], ""), ran.err
    assert take_snapshot(scene.folder) == before


def test_there_are_enough_of_them() -> None:
    assert len({text for text, _ in SANS}) + len(BAD_NAMES) + len(BAD_FILES) + len(OTHERS) >= 80
    assert len(GOOD_SANS) + len(GOOD_NAMES) + len(GOOD_OTHERS) >= 30
    assert len(set(BAD_NAMES)) == len(BAD_NAMES)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (server("sans: §a.example"), "bad-san"),
        (server("sans: §a_b.example"), "bad-name"),
        (server("§sans: a_b.example"), "bad-san"),
        (server("sans: [§a_b.example, b_b.example]"), "bad-san"),
    ],
)
def test_the_demand_fails_where_it_should(scene: Scene, spec: str, code: str) -> None:
    """A name that is right, another code, another place, and one error more."""
    with pytest.raises(AssertionError):
        assert_refused(scene, spec, code)


def test_the_demand_fails_where_something_is_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = run

    def run_and_write(*arguments: str) -> Ran:
        scene.output.mkdir(exist_ok=True)
        return honest(*arguments)

    monkeypatch.setattr(f"{__name__}.run", run_and_write)
    with pytest.raises(AssertionError):
        assert_refused(scene, server("sans: §a_b.example"), "bad-san")


@pytest.mark.parametrize(("text", "code"), SANS)
def test_a_bad_subject_alternative_name_is_refused(scene: Scene, text: str, code: str) -> None:
    assert_refused(scene, server(f"sans: [a.example, §{quoted(text)}]"), code)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_of_an_entry_is_refused(scene: Scene, name: str) -> None:
    assert_refused(scene, f"version: 1\nca: {{}}\nclients:\n  ? §{quoted(name)}\n  : {{}}\n", "bad-name")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_of_a_spec_is_refused(scene: Scene, name: str) -> None:
    assert_refused(scene, f"version: 1\nname: §{quoted(name)}\nca: {{}}\n", "bad-name")


@pytest.mark.parametrize("file", BAD_FILES)
def test_a_file_whose_name_cannot_be_a_tree_s_is_refused(scene: Scene, file: str) -> None:
    scene.write("version: 1\nca: {}\n", file)
    before = take_snapshot(scene.folder)
    ran = run("apply", str(scene.specs / file), "-o", str(scene.output))
    assert (ran.code, [code for code, _ in ran.found]) == (2, ["bad-name"]), ran.err
    assert take_snapshot(scene.folder) == before
    scene.write("version: 1\nname: shop\nca: {}\n", file)
    assert run("apply", str(scene.specs / file), "-o", str(scene.output)).code == 0


@pytest.mark.parametrize(("code", "spec"), OTHERS)
def test_what_else_a_spec_cannot_say_is_refused(scene: Scene, code: str, spec: str) -> None:
    furnish(scene)
    assert_refused(scene, spec, code)


def test_the_reason_is_named_where_a_mailbox_is_not_ascii(scene: Scene) -> None:
    scene.write(server("sans: é@shop.example"))
    assert "SmtpUTF8Mailbox is not supported" in run("validate", str(scene.specs / "shop.yaml")).err


def test_a_message_quotes_no_more_than_a_person_reads(scene: Scene) -> None:
    scene.write(server(f"sans: [{'a' * 1_000_000}]"))
    ran = run("validate", str(scene.specs / "shop.yaml"))
    assert ran.code == 2
    assert len(ran.err) < 2000


@pytest.mark.parametrize(("text", "name"), GOOD_SANS.items())
def test_an_odd_subject_alternative_name_is_certified(scene: Scene, text: str, name: str) -> None:
    scene.write(server(f"sans: {quoted(text)}"))
    assert_accepted(scene)
    certificate = scene.tree / "servers/api/cert.pem"
    command = ["openssl", "x509", "-noout", "-in", str(certificate), "-ext", "subjectAltName"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[1].strip() == name


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_an_odd_name_is_a_folder(scene: Scene, name: str) -> None:
    scene.write(f"version: 1\nname: {quoted(name)}\nca: {{}}\nclients:\n  {name}:\n")
    assert_accepted(scene)
    assert (scene.output / name / "clients" / name / "cert.pem").is_file()


@pytest.mark.parametrize("spec", GOOD_OTHERS)
def test_what_else_is_odd_is_accepted(scene: Scene, spec: str) -> None:
    furnish(scene)
    scene.write(spec)
    assert_accepted(scene)


def assert_accepted(scene: Scene) -> None:
    """Demand that a spec is applied without a word, and that its tree is in sync and sound."""
    for command in ("apply", "plan", "verify"):
        ran = run(command, str(scene.specs / "shop.yaml"), "-o", str(scene.output))
        assert (ran.code, ran.found) == (0, []), (command, ran)


@pytest.mark.parametrize("spec", [
    server("sans: §a_b.example"), server("sans: §é@shop.example"), server(r'sans: §"a\e[31m"'),
    client("subject: {country: §NLD}"), client("public_key: §../key.pub"), "version: 1\nname: §con\nca: {}\n",
])  # fmt: skip
def test_a_program_refuses_too(scene: Scene, spec: str) -> None:
    furnish(scene)
    text, place = unmarked(spec)
    scene.write(text)
    before = take_snapshot(scene.folder)
    ran = run_as_program("apply", str(scene.specs / "shop.yaml"), "-o", str(scene.output))
    assert (ran.code, [found for _, found in ran.found], ran.out) == (2, [place], "")
    assert "Traceback" not in ran.err
    assert take_snapshot(scene.folder) == before


def test_a_program_accepts_a_file_whose_name_is_not_text(scene: Scene) -> None:
    spec = os.fsencode(scene.specs) + b"/\xff\x1b.yaml"
    Path(os.fsdecode(spec)).write_text("version: 1\nname: shop\nca: {}\n")
    ran = run_as_program("apply", spec, "-o", str(scene.output))
    assert (ran.code, ran.found) == (0, [])
    assert run_as_program("plan", spec, "-o", str(scene.output)).code == 0
    assert b"\x1b" not in (scene.tree / ".gitignore").read_bytes()


# Bad arguments


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--renew", "servers/x"], "unknown-address"),
        (["--renew", "../../etc/passwd"], "unknown-address"),
        (["--rekey", ""], "unknown-address"),
        (["--rekey", "cas/ca\n"], "unknown-address"),
        (["--at", "tomorrow"], "bad-time"),
        (["--at", "+101y"], "bad-time"),
        (["--at", "\x1b[31m"], "bad-time"),
    ],
)
def test_a_bad_argument_is_refused(scene: Scene, arguments: list[str], code: str) -> None:
    scene.write("version: 1\nca: {}\n")
    before = take_snapshot(scene.folder)
    ran = run("plan", str(scene.specs / "shop.yaml"), "-o", str(scene.output), *arguments)
    assert (ran.code, [found for found, _ in ran.found]) == (2, [code]), ran.err
    assert take_snapshot(scene.folder) == before


@pytest.mark.parametrize("spec", ["", "/", "missing.yaml", "a\nb.yaml", "/dev/null", "a" * 300 + ".yaml"])
def test_a_spec_that_is_no_file_is_refused(scene: Scene, spec: str) -> None:
    before = take_snapshot(scene.folder)
    ran = run("apply", spec, "-o", str(scene.output))
    assert ran.code == 2
    assert [code for code, _ in ran.found] == ["no-such-spec"], ran.err
    assert take_snapshot(scene.folder) == before
