"""The real program, as a person or a pipeline meets it: exit codes, streams, JSON, colours, and no traceback ever."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runs import Case, crowd
from samples import EVERY, one_in
from smuggling import obeyed
from terminals import on_terminal

from certgen.report.paint import printable

PROGRAM = Path(sys.executable).with_name("certgen")
REPOSITORY = Path(__file__).parent.parent
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "COLUMNS": "80"}
COMMANDS = (
    "init", "validate", "plan", "apply", "verify", "inspect", "schema", "prove", "serve", "connect", "keys", "status",
    "export", "import",
)  # fmt: skip
SPEC = """
version: 1
ca: {common_name: Shop CA}
servers:
  api: {sans: [api.shop.example, localhost]}
  web: {sans: shop.example}
clients:
  checkout:
"""
WRONG = "version: 1\nca: {}\nservers:\n  api:\n    expire: 90d\n    sans: localhost\n"
WARNED = "version: 1\nca: {}\nservers: {api: {sans: localhost, key: ed25519}}\n"


@dataclass(frozen=True)
class Ran:
    """What a run gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        assert value["version"] == 1
        return value

    @property
    def codes(self) -> list[str]:
        """The codes of the diagnostics on standard error."""
        return re.findall(r"^(?:error|warning|note)\[([a-z0-9-]+)\]", self.err, re.MULTILINE)


def checked(ran: Ran) -> Ran:
    assert "Traceback" not in ran.out + ran.err, ran.err
    assert ran.code in {0, 1, 2}, ran
    return ran


def in_processes_of_their_own(cases: Iterable[Case]) -> list[Ran]:
    answers = [answer for case in cases for answer in crowd().run(case)]
    return [Ran(answer.code, answer.out, answer.err) for answer in answers]


class Shop:
    """A folder in which the program is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "output" / "shop"

    def write(self, text: str, name: str = "specs/shop.yaml") -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "specs/shop.yaml"
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, content: bytes = b"") -> Ran:
        """Run the program; whatever it is asked, it gives one of three exit codes and no traceback.

        env: variables beside the ordinary ones; with them Python starts anew.
        """
        if env is None:
            return checked(in_processes_of_their_own([Case(self.folder, arguments, content=content)])[0])
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env={**ENVIRONMENT, **env},
            input=content,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return checked(Ran(done.returncode, done.stdout.decode(), done.stderr.decode()))

    def refused(self, *arguments: str) -> Ran:
        """Demand exit 2, an error on standard error, and nothing on standard output."""
        ran = self.run(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err
        return ran


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shop = Shop(tmp_path_factory.mktemp("cli"))
    shop.write(SPEC)
    assert shop.run("apply").code == 0
    return shop.folder


@pytest.fixture(scope="session")
def settled(compiled: Path) -> Shop:
    """A compiled tree that no test changes."""
    return Shop(compiled)


@pytest.fixture
def shop(compiled: Path, tmp_path: Path) -> Shop:
    """A compiled tree of a test's own."""
    return Shop(Path(shutil.copytree(compiled, tmp_path / "shop")))


@pytest.fixture
def empty(tmp_path: Path) -> Shop:
    """An empty folder."""
    (tmp_path / "empty").mkdir()
    return Shop(tmp_path / "empty")


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(settled: Shop, command: str) -> None:
    ran = settled.run(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: certgen {command} ")
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize("command", [(), ("keys",), ("export",)])
def test_a_command_of_commands_alone_shows_its_help_as_it_is(settled: Shop, command: tuple[str, ...]) -> None:
    ran = settled.run(*command)
    shown = ran.out + ran.err
    assert shown.splitlines()[0] == " ".join(["Usage: certgen", *command, "[OPTIONS] COMMAND [ARGS]..."])
    assert "\\x0a" not in shown


def test_help_names_every_command_and_the_exit_codes(settled: Shop) -> None:
    ran = settled.run("--help")
    assert ran.code == 0
    assert re.findall(r"^  ([a-z]+) ", ran.out.split("Commands:")[1], re.MULTILINE) == sorted(COMMANDS)
    assert "0 all is as the spec says, 1 it is not, 2 cannot tell" in ran.out


def test_the_version_is_that_of_the_package(settled: Shop) -> None:
    assert re.fullmatch(r"certgen, version \d+\.\d+\.\d+\n", settled.run("--version").out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command"),
        (["plan", "--nonsense"], "No such option"),
        (["inspect"], "Missing argument"),
        (["plan", "--color", "blue"], "Invalid value for '--color'"),
        (["apply", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["plan", "--jobs", "2"], "No such option"),
        (["apply", "--at", "+1d"], "No such option"),
        (["plan", "-o"], "requires an argument"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_is_wrong(settled: Shop, arguments: list[str], words: str) -> None:
    assert words in settled.refused(*arguments).err


# init


def test_init_writes_a_spec_that_validates_and_compiles(empty: Shop) -> None:
    ran = empty.run("init")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Wrote specs/pki.yaml. Edit it, then run `certgen apply specs/pki.yaml`.\n"
    assert empty.run("validate").out == "specs/pki.yaml: valid, 3 entries\n"
    applied = empty.run("apply", "specs/pki.yaml")
    assert (applied.code, applied.err) == (0, "")
    assert empty.run("verify").out == "pki: sound\n"


def test_init_teaches_every_section(empty: Shop) -> None:
    empty.run("init", "a/b/shop.yaml")
    text = (empty.folder / "a/b/shop.yaml").read_text()
    assert [
        word for word in ("version: 1", "defaults:", "ca:", "servers:", "clients:", "peers:") if word not in text
    ] == []


def test_init_never_writes_over_a_file(empty: Shop) -> None:
    empty.write("mine", "shop.yaml")
    ran = empty.refused("init", "shop.yaml")
    assert ran.codes == ["exists"]
    assert (empty.folder / "shop.yaml").read_text() == "mine"


def test_init_says_when_the_disk_refuses(empty: Shop) -> None:
    empty.write("a file", "specs")
    assert empty.refused("init").codes == ["write-failed"]


# validate


def test_validate_tells_each_valid_spec(settled: Shop) -> None:
    ran = settled.run("validate")
    assert (ran.code, ran.out, ran.err) == (0, "specs/shop.yaml: valid, 4 entries\n", "")


def test_one_entry_is_not_entries(empty: Shop) -> None:
    empty.write("version: 1\nca: {}\n")
    assert empty.run("validate").out == "specs/shop.yaml: valid, 1 entry\n"


def test_validate_shows_every_mistake_with_its_place(empty: Shop) -> None:
    empty.write(WRONG)
    empty.write("version: 2\n", "specs/other.yaml")
    ran = empty.refused("validate")
    assert sorted(ran.codes) == ["unknown-field", "unknown-version"]
    assert "  specs/shop.yaml:5:5\n  |\n5 |     expire: 90d\n  |     ^^^^^^ did you mean `validity`?\n" in ran.err


def test_warnings_go_to_standard_error_and_are_no_mistakes(empty: Shop) -> None:
    empty.write(WARNED)
    ran = empty.run("validate")
    assert (ran.code, ran.out) == (0, "specs/shop.yaml: valid, 2 entries\n")
    assert ran.codes == ["unsupported-by-programs"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-spec"),
        (b"\x00\x01\x02", "yaml-syntax"),
        (b"\x7fELF\x02\x01\xff\xfe", "not-utf-8"),
        ("version: 1\n".encode("utf-16"), "not-utf-8"),
        (b"- a\n", "not-a-mapping"),
        (b"a: [\n", "yaml-syntax"),
        (b"#" * (17 * 1024 * 1024), "too-large"),
    ],
    ids=["empty", "control", "binary", "UTF-16", "list", "syntax", "large"],
)
@pytest.mark.parametrize("command", ["validate", "apply"])
def test_a_file_that_is_no_spec_is_refused(empty: Shop, content: bytes, code: str, command: str) -> None:
    (empty.folder / "shop.yaml").write_bytes(content)
    assert empty.refused(command, "shop.yaml").codes == [code]
    assert not (empty.folder / "output").exists()


def test_a_spec_that_is_not_there_or_no_file_is_refused(empty: Shop) -> None:
    (empty.folder / "folder").mkdir()
    os.mkfifo(empty.folder / "pipe.yaml")
    (empty.folder / "loop.yaml").symlink_to("loop.yaml")
    ran = empty.refused("validate", "missing.yaml", "folder", "pipe.yaml", "loop.yaml")
    assert ran.codes == ["no-such-spec"] * 4
    assert "missing.yaml does not exist" in ran.err
    assert "folder cannot be read" in ran.err


def test_specs_are_found_in_their_folder(empty: Shop) -> None:
    empty.write("version: 1\nca: {}\nservers: {a: {sans: a.test}}\n", "specs/b.yml")
    empty.write("version: 1\nca: {}\nservers: {a: {sans: a.test}}\n", "specs/a.yaml")
    empty.write("nonsense", "specs/notes.txt")
    empty.write("nonsense", "other.yaml")
    assert empty.run("validate").out.splitlines() == [
        "specs/a.yaml: valid, 2 entries",
        "specs/b.yml: valid, 2 entries",
    ]


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "verify"])
def test_no_spec_is_exit_2_and_says_how_to_begin(empty: Shop, command: str) -> None:
    ran = empty.refused(command)
    assert ran.codes == ["no-specs"]
    assert "certgen init" in ran.err


def test_two_specs_of_one_name_are_refused(empty: Shop) -> None:
    empty.write(SPEC)
    empty.write(SPEC, "specs/shop.certgen.yaml")
    assert empty.refused("apply").codes == ["same-name", "same-name"]
    assert not (empty.folder / "output").exists()


# plan


def test_a_plan_that_is_in_sync_is_exit_0(settled: Shop) -> None:
    ran = settled.run("plan")
    assert (ran.code, ran.out, ran.err) == (0, "shop: in sync, 4 entries\n", "")


def test_a_plan_with_changes_is_exit_1_and_writes_nothing(empty: Shop) -> None:
    empty.write(SPEC)
    ran = empty.run("plan")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "  = .gitignore        write   missing",
        "  = .gitattributes    write   missing",
        "  + cas/ca            issue   missing (new key)",
        "  + servers/api       issue   missing (new key)",
        "  + servers/web       issue   missing (new key)",
        "  + clients/checkout  issue   missing (new key)",
        "shop: 4 to issue, 2 to write, 0 in sync (output/shop)",
    ]
    assert not (empty.folder / "output").exists()


@pytest.mark.parametrize("command", ["plan", "apply", "verify"])
def test_an_invalid_spec_is_exit_2(empty: Shop, command: str) -> None:
    empty.write(WRONG)
    assert empty.refused(command).codes == ["unknown-field"]


def test_a_mistake_in_one_spec_keeps_all_from_being_written(empty: Shop) -> None:
    empty.write(SPEC)
    empty.write(WRONG, "specs/zoo.yaml")
    assert empty.refused("apply").codes == ["unknown-field"]
    assert not (empty.folder / "output").exists()


def test_a_tree_that_is_stuck_is_exit_2_for_plan_and_apply(shop: Shop) -> None:
    (shop.tree / "servers/api/key.pem").write_text("not a key")
    planned = shop.run("plan")
    assert (planned.code, planned.codes) == (2, ["key-unreadable"])
    assert planned.out == "shop: stuck, 1 in the way; nothing can be applied\n"
    assert "--rekey servers/api" in planned.err
    assert shop.refused("apply").codes == ["key-unreadable"]


def test_a_root_in_the_field_is_shown_by_plan_and_refused_by_apply(shop: Shop) -> None:
    shop.edit("Shop CA", "Other CA")
    planned = shop.run("plan")
    assert (planned.code, planned.codes) == (1, ["root-in-the-field"])
    assert "~ cas/ca" in planned.out
    assert shop.refused("apply").codes == ["root-in-the-field"]
    assert shop.run("apply", "--renew", "cas/ca").code == 0
    assert shop.run("verify").code == 0


def test_plan_lists_what_stays_only_where_it_is_asked(settled: Shop) -> None:
    kept = ["    cas/ca", "    servers/api", "    servers/web", "    clients/checkout"]
    assert settled.run("plan", "--all").out.splitlines()[1:] == kept
    assert settled.run("plan", "-v").out.splitlines()[1:] == kept
    assert "kept" in settled.run("plan", "--all", "--json").json["specs"][0]
    assert "kept" not in settled.run("plan", "--json").json["specs"][0]


# apply


def test_apply_says_what_it_did_and_a_second_run_does_nothing(empty: Shop) -> None:
    empty.write(SPEC)
    first = empty.run("apply")
    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines()[-1] == "shop: 4 issued, 2 written (output/shop)"
    second = empty.run("apply")
    assert (second.code, second.out, second.err) == (0, "shop: nothing to do, 4 entries in sync\n", "")


def test_apply_gives_exit_1_for_what_it_wrote_only_where_it_is_asked(shop: Shop) -> None:
    assert shop.run("apply", "--exit-code").code == 0
    shop.edit("shop.example}", "www.shop.example}")
    assert shop.run("apply", "--exit-code").code == 1
    assert shop.run("apply", "--exit-code").code == 0


def test_a_disk_that_refuses_is_exit_2(empty: Shop) -> None:
    empty.write(SPEC)
    empty.write("a file", "blocked/shop")
    ran = empty.run("apply", "-o", "blocked")
    assert (ran.code, ran.out) == (2, "")
    assert ran.codes


def test_an_output_that_is_a_file_is_wrong_usage(empty: Shop) -> None:
    empty.write(SPEC)
    empty.write("a file", "blocked")
    assert "blocked" in empty.refused("apply", "-o", "blocked").err


def test_another_output_folder_is_used_where_it_is_asked(empty: Shop) -> None:
    empty.write(SPEC)
    assert "(elsewhere/here/shop)" in empty.run("apply", "-o", "elsewhere/here").out
    assert not (empty.folder / "output").exists()
    assert empty.run("verify", "--output", "elsewhere/here").code == 0
    assert empty.run("plan", "-o", "elsewhere/here").code == 0
    assert empty.run("verify").codes == ["no-tree"]


def test_several_processes_make_the_keys_that_are_slow(empty: Shop) -> None:
    servers = ", ".join(f"s{number}: {{sans: localhost}}" for number in range(10))
    empty.write(f"version: 1\ndefaults: {{key: rsa-2048}}\nca: {{key: ecdsa-p256}}\nservers: {{{servers}}}\n")
    assert "11 issued" in empty.run("apply", "--jobs", "2").out
    assert empty.run("verify").code == 0


# verify


def test_verify_is_exit_0_for_what_is_sound(settled: Shop) -> None:
    ran = settled.run("verify")
    assert (ran.code, ran.out, ran.err) == (0, "shop: sound\n", "")


def test_verify_is_exit_1_for_findings(shop: Shop) -> None:
    (shop.tree / "servers/api/key.pem").chmod(0o644)
    ran = shop.run("verify")
    assert (ran.code, ran.out, ran.codes) == (1, "shop: one finding\n", ["key-mode"])
    (shop.tree / "servers/api/ca.pem").unlink()
    assert shop.run("verify").out == "shop: 2 findings\n"


def test_verify_tells_notes_only_where_more_is_asked(shop: Shop) -> None:
    (shop.tree / "servers/api/key.pem").unlink()
    shutil.rmtree(shop.tree / ".certgen")
    assert shop.run("verify").err == ""
    ran = shop.run("verify", "-v")
    assert (ran.code, ran.codes) == (0, ["key-elsewhere"])


def test_verify_without_a_tree_is_a_finding(empty: Shop) -> None:
    empty.write(SPEC)
    ran = empty.run("verify")
    assert (ran.code, ran.codes) == (1, ["no-tree"])


# --at


def test_plan_and_verify_judge_as_if_it_were_then(settled: Shop) -> None:
    assert settled.run("plan", "--at", "+30d").code == 0
    later = settled.run("plan", "--at", "+300d")
    assert later.code == 1
    assert later.out.count(" days left (key kept)") == 3
    assert settled.run("verify", "--at", "+300d").code == 0
    expired = settled.run("verify", "--at", "+400d")
    assert (expired.code, set(expired.codes)) == (1, {"expired"})
    early = settled.run("verify", "--at", "2020-01-31T00:00:00Z")
    assert (early.code, set(early.codes)) == (1, {"not-yet-valid"})
    offset = settled.run("verify", "--at", "2020-01-31T00:00:00+01:00")
    assert offset.code == 1


@pytest.mark.parametrize(
    "at", ["nonsense", "", "+", "+nonsense", "30d", "2027-13-31", "2027-13-31T00:00:00Z", "+0s", "+200y"]
)
def test_a_time_that_is_none_is_wrong_usage(settled: Shop, at: str) -> None:
    ran = settled.refused("plan", "--at", at)
    assert "--at" in ran.err
    assert "for example +30d, 2027-01-31 or 2027-01-31T12:00:00Z" in " ".join(ran.err.split())


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1949-12-31T23:59:59Z", "+100y"])
@pytest.mark.parametrize("command", ["plan", "verify"])
def test_a_time_at_the_edge_of_the_calendar_is_judged_too(settled: Shop, command: str, at: str) -> None:
    assert settled.run(command, "--at", at).code in {1, 2}


# --prune, --renew, --rekey, --no-renew


def test_an_orphan_is_a_warning_and_goes_with_prune(shop: Shop) -> None:
    shop.edit("  web: {sans: shop.example}\n", "")
    plain = shop.run("plan")
    assert (plain.code, plain.codes) == (0, ["orphan"])
    assert shop.run("verify").codes == ["orphan"]
    pruning = shop.run("plan", "--prune")
    assert pruning.code == 1
    assert "  - servers/web  remove  orphaned" in pruning.out
    assert (shop.tree / "servers/web/cert.pem").exists()
    assert shop.run("apply", "--prune").code == 0
    assert not (shop.tree / "servers/web").exists()
    assert shop.run("verify").code == 0


def test_renew_and_rekey_do_what_is_asked_of_the_entry_that_is_named(shop: Shop) -> None:
    key, certificate = shop.tree / "servers/api/key.pem", shop.tree / "servers/api/cert.pem"
    before = key.read_bytes(), certificate.read_bytes()
    ran = shop.run("apply", "--renew", "servers/api")
    assert ran.out.splitlines()[0] == "  ~ servers/api  renew   requested --renew (key kept)"
    assert key.read_bytes() == before[0]
    assert certificate.read_bytes() != before[1]
    ran = shop.run("apply", "--rekey", "shop/servers/api")
    assert ran.out.splitlines()[0] == "  ! servers/api  rekey   requested --rekey (new key)"
    assert key.read_bytes() != before[0]
    assert shop.run("verify").code == 0


def test_time_alone_is_no_reason_where_it_is_not_wanted_but_expired_is(settled: Shop) -> None:
    assert settled.run("plan", "--at", "+300d").code == 1
    assert settled.run("plan", "--at", "+300d", "--no-renew").code == 0
    ran = settled.run("plan", "--at", "+400d", "--no-renew")
    assert ran.code == 1
    assert ran.out.count("expired: ") == 3


@pytest.mark.parametrize("option", ["--renew", "--rekey"])
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_address_that_is_unknown_is_exit_2_with_candidates(settled: Shop, command: str, option: str) -> None:
    ran = settled.refused(command, option, "servers/apy")
    assert ran.codes == ["unknown-address"]
    assert "did you mean servers/api" in ran.err


def test_an_address_of_several_specs_is_exit_2_with_the_candidates(empty: Shop) -> None:
    empty.write(SPEC)
    empty.write(SPEC, "specs/zoo.yaml")
    ran = empty.refused("plan", "--renew", "servers/api")
    assert ran.codes == ["ambiguous-address"]
    assert "shop/servers/api" in ran.err
    assert "zoo/servers/api" in ran.err
    assert empty.run("plan", "--renew", "zoo/servers/api").code == 1


def test_every_wrong_address_is_told(settled: Shop) -> None:
    assert settled.refused("plan", "--renew", "a", "--rekey", "b").codes == ["unknown-address"] * 2


def test_a_tree_whose_spec_is_gone_is_told(shop: Shop) -> None:
    (shop.folder / "specs/shop.yaml").rename(shop.folder / "specs/store.yaml")
    ran = shop.run("plan")
    assert (ran.code, ran.codes) == (1, ["unclaimed-tree"])


# inspect


def test_inspect_takes_paths_addresses_folders_and_standard_input(settled: Shop) -> None:
    path = "output/shop/servers/api/cert.pem"
    by_path = settled.run("inspect", path)
    assert by_path.code == 0
    assert by_path.out.splitlines()[0] == f"{path}: certificate"
    assert "  names                     DNS:api.shop.example\n" in by_path.out
    assert settled.run("inspect", "servers/api").out == by_path.out
    assert settled.run("inspect", "shop/servers/api").out == by_path.out
    piped = settled.run("inspect", "-", content=(settled.folder / path).read_bytes())
    assert piped.out == by_path.out.replace(path, "standard input")
    folder = settled.run("inspect", "output/shop/servers/api")
    assert re.findall(r"^\S.*", folder.out, re.MULTILINE) == [
        "output/shop/servers/api/ca.pem: certificate",
        "output/shop/servers/api/cert.pem: certificate",
        "output/shop/servers/api/key.pem: private key",
    ]


def test_inspect_counts_the_days_from_the_time_that_is_asked(settled: Shop) -> None:
    ran = settled.run("inspect", "servers/api", "--at", "+100d", "--json")
    assert ran.json["items"][0]["state"] == "264 days left"


def test_inspect_tells_what_it_can_and_is_exit_2_for_the_rest(settled: Shop) -> None:
    ran = settled.run("inspect", "servers/api", "specs/shop.yaml", "nowhere")
    assert ran.code == 2
    assert ran.out.startswith("output/shop/servers/api/cert.pem: certificate\n")
    assert ran.codes == ["unreadable", "not-found"]


@pytest.mark.parametrize(
    "what",
    ["", "servers/nobody", "a" * 300, "a/" * 3000, "\x1b[31m"],
    ids=["empty", "unknown", "long", "deep", "escape"],
)
def test_inspect_of_nothing_is_exit_2(settled: Shop, what: str) -> None:
    ran = settled.run("inspect", what, "-o", "nowhere")
    assert ran.code == 2
    assert "\x1b" not in ran.err


def test_an_odd_certificate_is_told_without_a_word_of_the_library(empty: Shop) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    command += ["-subj", "/CN=odd", "-set_serial", "-5", "-keyout", "key.pem", "-out", "odd.pem"]
    subprocess.run(command, cwd=empty.folder, check=True, capture_output=True)
    ran = empty.run("inspect", "odd.pem")
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"serial number +-5\n", ran.out)


def test_an_address_in_several_trees_is_exit_2_with_the_candidates(empty: Shop) -> None:
    for name in ("shop", "zoo"):
        empty.write("-----BEGIN CERTIFICATE-----\n", f"output/{name}/servers/api/cert.pem")
    ran = empty.refused("inspect", "servers/api")
    assert ran.codes == ["ambiguous-address"]
    assert "one of shop/servers/api, zoo/servers/api" in ran.err


@pytest.mark.parametrize("form", [["--json"], []])
def test_inspect_never_tells_a_private_key(settled: Shop, form: list[str]) -> None:
    path = settled.tree / "servers/api/key.pem"
    ran = settled.run("inspect", str(path), "-v", *form)
    assert "private key" in ran.out
    lines = path.read_text().splitlines()[1:-1]
    assert [line for line in lines if line[:20] in ran.out + ran.err] == []


# schema


def test_the_schema_is_the_one_that_is_committed(settled: Shop) -> None:
    ran = settled.run("schema")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (REPOSITORY / "certgen.schema.json").read_text()


# Quiet, JSON


def test_quiet_says_nothing_but_errors(empty: Shop) -> None:
    empty.write(WARNED)
    for command in ("validate", "plan", "apply", "verify", "plan"):
        ran = empty.run(command, "-q")
        assert (ran.out, ran.err) == ("", "")
    (empty.tree / "servers/api/cert.pem").unlink()
    assert empty.run("verify", "--quiet").codes == ["file-missing"]
    empty.write(WRONG)
    assert empty.run("plan", "-q").codes == ["unknown-field"]


def test_quiet_hides_no_json(settled: Shop) -> None:
    assert settled.run("plan", "-q", "--json").json["command"] == "plan"


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["validate"], ["version", "command", "specs", "diagnostics"]),
        (["plan"], ["version", "command", "specs", "diagnostics"]),
        (["plan", "--at", "+300d", "--all"], ["version", "command", "specs", "diagnostics"]),
        (["apply"], ["version", "command", "specs", "diagnostics"]),
        (["verify"], ["version", "command", "specs", "diagnostics"]),
        (["inspect", "servers/api", "cas/ca"], ["version", "command", "items", "diagnostics"]),
        (["status"], ["version", "command", "specs", "diagnostics"]),
    ],
)
def test_every_command_speaks_json(settled: Shop, arguments: list[str], keys: list[str]) -> None:
    ran = settled.run(*arguments, "--json")
    assert list(ran.json) == keys
    assert ran.json["command"] == arguments[0]
    assert ran.err == ""


def test_json_has_a_long_name_too(settled: Shop) -> None:
    assert settled.run("validate", "--format", "json").out == settled.run("validate", "--json").out


FORMATS = {
    "markdown": ["plan"],
    "github": ["plan", "validate"],
    "sarif": ["plan", "validate"],
    "prometheus": ["status"],
}
FOR_MISTAKES = [(command, form) for form in FORMATS for command in FORMATS[form] if form != "prometheus"]
"""The formats that hold words, and the commands that take them."""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("command", ["validate", "plan", "apply", "verify", "prove", "inspect", "init", "status"])
def test_a_command_takes_the_formats_that_its_help_names(settled: Shop, command: str, form: str) -> None:
    named = form in settled.run(command, "--help").out
    assert named is (command in FORMATS[form])
    if not named:
        assert f"Invalid value for '--format': '{form}'" in settled.refused(command, "--format", form).err


@pytest.mark.parametrize(
    ("form", "begins"),
    [("markdown", "### `shop`\n\n1 to update"), ("github", "::notice file=specs/shop.yaml,line=5,"), ("sarif", "{\n")],
)
def test_a_plan_in_a_format_ends_as_the_text_does(shop: Shop, form: str, begins: str) -> None:
    assert shop.run("plan", "--format", form).code == 0
    shop.edit("localhost]", "localhost, api.internal]")
    for option in ((), ("-q",)):
        ran = shop.run("plan", "--format", form, *option)
        assert (ran.code, ran.err) == (1, "")
        assert ran.out.startswith(begins)


@pytest.mark.parametrize(("command", "form"), FOR_MISTAKES)
def test_mistakes_of_a_spec_are_told_in_the_format_and_as_text(empty: Shop, command: str, form: str) -> None:
    empty.write(WRONG)
    ran = empty.run(command, "--format", form)
    assert (ran.code, ran.codes) == (2, ["unknown-field"])
    assert "expire" in ran.out
    assert {"markdown": "specs/shop.yaml:5:5", "github": "line=5,col=5", "sarif": '"startLine": 5'}[form] in ran.out


@pytest.mark.parametrize("form", ["github", "sarif"])
def test_validate_tells_warnings_in_a_format(empty: Shop, form: str) -> None:
    empty.write(WARNED)
    ran = empty.run("validate", "--format", form)
    assert ran.code == 0
    assert ("::warning file=specs/shop.yaml,line=3," in ran.out) is (form == "github")
    assert ('"level": "warning"' in ran.out) is (form == "sarif")
    empty.write(SPEC)
    assert ("warning" in empty.run("validate", "--format", form).out) is False


def test_json_and_another_format_exclude_each_other(settled: Shop) -> None:
    assert "exclude each other" in settled.refused("plan", "--json", "--format", "sarif").err
    assert settled.run("plan", "--json", "--format", "json").code == 0


@pytest.mark.parametrize("form", ["text", "github", "markdown", "sarif"])
def test_the_name_of_a_spec_is_no_command_in_a_log(empty: Shop, form: str) -> None:
    for name in ("::error file=x::y.yaml", "::add-mask::z.yaml", "##[group]g.yaml"):
        empty.write(WRONG, name)
        ran = empty.run("plan", name, "--format", form)
        assert ran.code == 2
        for line in (ran.out + ran.err).splitlines():
            found = obeyed(line)
            assert found is None or (form, found.command) == ("github", "error")
            assert found is None or printable(name) == found.properties["file"]


def test_verify_tells_its_findings_as_json(shop: Shop) -> None:
    (shop.tree / "servers/api/ca.pem").unlink()
    ran = shop.run("verify", "--json")
    assert ran.code == 1
    (spec,) = ran.json["specs"]
    assert (spec["name"], spec["sound"]) == ("shop", False)
    assert [(finding["code"], finding["where"]) for finding in spec["findings"]] == [
        ("file-missing", "servers/api/ca.pem")
    ]


def test_init_speaks_json(empty: Shop) -> None:
    assert empty.run("init", "--json").json["command"] == "init"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["validate", "wrong.yaml"], "unknown-field"),
        (["plan", "wrong.yaml"], "unknown-field"),
        (["apply", "wrong.yaml"], "unknown-field"),
        (["verify", "wrong.yaml"], "unknown-field"),
        (["plan", "missing.yaml"], "no-such-spec"),
        (["plan", "--renew", "servers/nobody"], "unknown-address"),
        (["apply", "--rekey", "servers/nobody"], "unknown-address"),
        (["init", "wrong.yaml"], "exists"),
        (["inspect", "nowhere"], "not-found"),
        (["inspect", "wrong.yaml"], "unreadable"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_errors_are_told_as_json_too(shop: Shop, arguments: list[str], code: str) -> None:
    shop.write(WRONG, "wrong.yaml")
    ran = shop.run(*arguments, "--json")
    assert ran.code == 2
    assert ran.json["command"] == arguments[0]
    assert [item["code"] for item in ran.json["diagnostics"]] == [code]
    assert ran.codes == [code]


@pytest.mark.parametrize("command", ["plan", "verify"])
def test_a_wrong_value_of_an_option_is_told_as_json_too(settled: Shop, command: str) -> None:
    ran = settled.run(command, "--json", "--at", "nonsense")
    assert ran.code == 2
    assert ran.json["diagnostics"]


def test_a_tree_that_is_stuck_is_told_as_json_too(shop: Shop) -> None:
    (shop.tree / "servers/api/key.pem").write_text("not a key")
    planned = shop.run("plan", "--json")
    assert planned.code == 2
    assert [item["code"] for item in planned.json["specs"][0]["diagnostics"]] == ["key-unreadable"]
    applied = shop.run("apply", "--json")
    assert applied.code == 2
    assert [item["code"] for item in applied.json["diagnostics"]] == ["key-unreadable"]


# Colours and terminals


ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("options", [[], ["--color", "never"]])
def test_there_is_no_colour_where_there_is_no_terminal(settled: Shop, options: list[str]) -> None:
    for arguments in (["plan", "--at", "+300d"], ["verify", "--at", "+400d"]):
        ran = settled.run(*arguments, *options)
        assert "\x1b" not in ran.out + ran.err


def test_there_is_colour_where_it_is_asked(settled: Shop) -> None:
    ran = settled.run("plan", "--at", "+300d", "--color", "always", env={"NO_COLOR": "1"})
    assert "\x1b[33m~\x1b[0m servers/api" in ran.out
    assert ANSI.sub("", ran.out) == settled.run("plan", "--at", "+300d").out
    assert "\x1b[31m\x1b[1merror[no-such-spec]\x1b[0m" in settled.run("plan", "no.yaml", "--color", "always").err
    assert "\x1b" not in settled.run("plan", "--json", "--color", "always").out


WIDE = """
version: 1
defaults: {key: ed25519}
ca: {}
servers:
  a-server-with-a-name-that-is-rather-long-and-yet-allowed:
    common_name: host.shop.example
    subject: {organization: "An organization of many words whose name fills a very long line"}
    sans: [NAMES]
"""


def could_be_broken(line: str) -> bool:
    """Whether a line is too long and has a blank at which it could have been broken; columns of a table aside."""
    return len(line) > 80 and " " in re.split(r" {2,}", line.strip())[-1]


def test_a_terminal_gets_colours_and_no_line_that_is_too_long(empty: Shop) -> None:
    names = ", ".join(f"host-{number}.shop.example" for number in range(12))
    empty.write(WIDE.replace("NAMES", names))
    shown = ""
    for arguments in (
        ["validate"],
        ["plan"],
        ["apply"],
        ["verify"],
        ["plan", "--at", "+300d"],
        ["verify", "--at", "+2y"],
    ):
        code, text = on_terminal(empty.folder, *arguments)
        assert code in {0, 1}, text
        assert "Traceback" not in text
        shown += text
    empty.write(WIDE.replace("NAMES", f"{names}, 1.2.3.4.5, -bad-, 'spiffe://'").replace("ed25519", "ed25518"))
    code, text = on_terminal(empty.folder, "plan")
    assert code == 2
    shown += text
    assert "\x1b[32m+\x1b[0m" in shown
    assert "\x1b[31m\x1b[1merror[" in shown
    assert "\x1b[33m\x1b[1mwarning[" in shown
    assert [line for line in ANSI.sub("", shown).splitlines() if could_be_broken(line)] == []


def test_an_inspection_on_a_terminal_has_no_line_that_could_be_shorter(empty: Shop) -> None:
    empty.write(WIDE.replace("NAMES", "localhost"))
    empty.run("apply")
    code, text = on_terminal(empty.folder, "inspect", "output/shop")
    assert code == 0
    facts = [line for line in ANSI.sub("", text).splitlines() if line.startswith("  ")]
    assert [line for line in facts if could_be_broken(line)] == []


def test_a_terminal_gets_no_colour_where_it_is_not_wanted(settled: Shop) -> None:
    for env, options in ({"NO_COLOR": "1"}, []), ({}, ["--color", "never"]):
        code, text = on_terminal(settled.folder, "plan", "--at", "+300d", *options, env=env)
        assert code == 1
        assert "\x1b" not in text
    _, text = on_terminal(settled.folder, "plan", "--at", "+300d")
    assert "\x1b[33m~" in text


# Places where output cannot go


def with_stdout(folder: Path, redirection: str, *arguments: str) -> Ran:
    """Run the program with its standard output redirected by a shell."""
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", str(PROGRAM), *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def closed_pipe() -> Iterator[int]:
    """Give a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "arguments", [["schema"], ["plan"], ["validate", "--json"], ["inspect", "output/shop"], ["--help"]], ids=" ".join
)
def test_a_reader_that_has_gone_is_no_reason_to_complain(settled: Shop, arguments: Sequence[str]) -> None:
    with closed_pipe() as writer:
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=settled.folder,
            env=ENVIRONMENT,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.stderr.decode() == ""
    assert done.returncode in {0, 2}


def test_the_first_line_of_the_schema_can_be_had_alone(settled: Shop) -> None:
    ran = with_stdout(settled.folder, "| head -1", "schema")
    assert (ran.out, ran.err) == ("{\n", "")


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", [["schema"], ["plan"], ["plan", "--json"]], ids=" ".join)
def test_an_answer_that_cannot_be_written_is_exit_2_and_no_traceback(
    settled: Shop, redirection: str, arguments: Sequence[str]
) -> None:
    ran = with_stdout(settled.folder, redirection, *arguments)
    assert "Traceback" not in ran.err
    assert "Exception" not in ran.err
    assert ran.code == 2


def test_characters_that_a_terminal_cannot_show_are_no_reason_to_fail(empty: Shop) -> None:
    empty.write("version: 1\nca: {}\nservers: {api: {sans: 日本.example, größe: 1}}\n")
    ran = empty.run("validate", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert (ran.code, ran.codes) == (2, ["unknown-field"])


def test_a_file_name_that_a_terminal_would_obey_is_escaped(empty: Shop) -> None:
    name = "a\x1b[31m\u202eb.yaml"
    empty.write("name: shop\nversion: 1\nca: {}\n", name)
    assert "\x1b" not in empty.run("validate", name).out
    empty.write("name: shop\nversion: 1\n", name)
    ran = empty.run("validate", name)
    assert "\x1b" not in ran.err
    assert "\\x1b[31m\\u202eb.yaml" in ran.err
    assert "\x1b" not in empty.run("init", "\x1b[31m.yaml").out


# Hostile input


VALUES = (
    "", "~", "[]", "{}", "[[[[]]]]", "{a: {b: c}}", "1e999", "-1", "0", "99999999999", "*x", "&a [*a]", "!!python/x y",
    "🙂", "a" * 5000, "../../../etc/passwd", "/etc/passwd", "/dev/zero", "x.pem", "0000-00-00T00:00:00Z",
    "0001-01-01T00:00:00Z", "1950-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2050-01-01T00:00:00Z", "100y", "1s", "11s",
    "99%", "1%", "0.0.0.0/0", "::/0", "'*.'", "'*'", "xn--", "xn--a", "'URI:'", "'IP:'", "'DNS:'", "'email:@'", "'@'",
    "'.'", "'http://['", "'spiffe://a/b'", '"\\e[31m"', '"\\u202e"', '"\\0"', '"a\\nb"', "ca", "api", "ml-dsa-65",
    "digitalSignature", "[serverAuth, clientAuth]", "{permitted: [shop.example]}", "{excluded: ['0.0.0.0/0']}", "'000'",
    "{algorithm: ed25519, mode: '0777'}", "{rotation: on-renewal}", "{organization: [a, b, '']}", "NL", "on-renewal",
)  # fmt: skip
FIELDS = (
    "issuer", "common_name", "subject", "sans", "key", "validity", "not_before", "not_after", "renew_before",
    "key_usage", "extended_key_usage", "trust", "public_key", "deploy_dir", "path_length", "name_constraints",
    "certificate", "private_key", "crl_distribution_points", "ocsp", "ca_issuers", "<<", "nonsense",
)  # fmt: skip
WHOLE = (
    b"", b"\xff\xfe", b"\x00", b"\t", b"%YAML 9.9\n---\n", b"--- a\n--- b\n", b"[" * 20000, b"{a: " * 20000,
    b"a: &a [*a]\n", b"? [a]\n: b\n", b"version: 1\nca:\ncas:\n", b"version: 1\nca: []\n", b"version: 1\nservers: 1\n",
    b"version: 1\ncas: {a: {issuer: b}, b: {issuer: a}}\n", b"version: 1\nname: ../x\nca: {}\n", b"\xc3\x28",
    b"version: 1\nca: {}\nservers: {'': {}, '..': {}, 'a/b': {}, '\\': {}}\n", b"version: !!int 1\n", b"a" * 100000,
    b"x: &x [a, a, a, a, a, a]\ny: &y [*x, *x, *x, *x, *x]\nz: &z [*y, *y, *y, *y, *y]\nw: [*z, *z, *z]\n",
)  # fmt: skip
WORDS = (
    "", "-", "--", "-o", "--json", "--at", "+30d", "+1s", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-q", "-v",
    "--color", "always", "--prune", "--renew", "--rekey", "cas/ca", "servers/api", "shop/cas/ca", "--no-renew", "--all",
    "--exit-code", "--jobs", "2", "specs", "specs/shop.yaml", "output", "output/shop", "output/shop/manifest.json",
    "/dev/null", "/dev/zero", "/proc/self/mem", "/proc/self/fd", "../x", "a" * 300, "x/" * 2100, "\x1b[31m", "\u202e",
    "\udcff",
    "*", "servers/*", "%s%n", "{0}", "$(id)", "servers/api/../api", "nonsense", "--help", "--format", "json",
)  # fmt: skip


def faults(cases: Sequence[Case], answers: list[Ran]) -> list[tuple[list[str], int, str]]:
    """List the runs that ended otherwise than by an exit code of the design, with their last words."""
    return [
        (
            [argument[:40] for argument in case.arguments],
            answer.code,
            (answer.err.strip().splitlines() or [""])[-1][:80],
        )
        for case, answer in zip(cases, answers, strict=True)
        if answer.code not in {0, 1, 2} or "Traceback" in answer.out + answer.err
    ]


def hostile_cases(folder: Path, tree: Path) -> list[Case]:
    """Two hundred runs: hostile fields, hostile files, hostile arguments; the same at every run of the tests."""
    chance = random.Random(20261123)  # noqa: S311 - repeatable is what it has to be
    cases: list[Case] = []
    for number in range(110):
        lines = [
            f"    {field}: {chance.choice(VALUES)}" for field in chance.sample(FIELDS, chance.choice((1, 1, 1, 2, 3)))
        ]
        section, own = chance.choice((("cas", "ca"), ("servers", "api"), ("peers", "api"), ("clients", "api")))
        below = [] if section == "cas" else ["cas:", "  ca: {}"]
        names = ["    sans: a.test"] if section in {"servers", "peers"} and "    sans" not in "".join(lines) else []
        text = "\n".join(["version: 1", *below, f"{section}:", f"  {own}:", *names, *lines, ""])
        (folder / f"f{number}.yaml").write_text(text, encoding="utf-8")
        command = chance.choice(
            (["apply"], ["apply", "--json"], ["plan", "--color", "always"], ["validate"], ["verify"])
        )
        cases.append(Case(folder, [*command, f"f{number}.yaml"]))
    for number, content in enumerate(WHOLE):
        (folder / f"w{number}.yaml").write_bytes(content)
        cases.append(Case(folder, [chance.choice(("validate", "plan", "apply", "inspect")), f"w{number}.yaml"]))
    for number in range(70):
        copy = shutil.copytree(tree, folder / f"tree{number}")
        word = chance.choice(("plan", "apply", "verify", "inspect", "validate", "inspect"))
        cases.append(Case(copy, [word, *chance.sample(WORDS, chance.randint(1, 4))]))
    return cases


def test_two_hundred_hostile_runs_end_with_an_exit_code_and_no_traceback(tmp_path: Path, compiled: Path) -> None:
    every = hostile_cases(tmp_path, compiled)
    assert len(every) == 200
    cases = one_in(4, every)
    answers = in_processes_of_their_own(cases)
    assert {answer.code for answer in answers} >= {0, 1, 2}
    assert faults(cases, answers) == []
    garbled = [
        case.arguments
        for case, answer in zip(cases, answers, strict=True)
        if "always" not in case.arguments and "\x1b" in answer.out + answer.err
    ]
    assert garbled == []


@pytest.mark.parametrize("value", one_in(3, ["{a: {b: c}}", "[]", "~"]))
def test_a_value_of_the_wrong_kind_is_told_wherever_it_stands(tmp_path: Path, value: str) -> None:
    texts = {
        f"{field}-{section}": f"version: 1\n{section}:\n  x: {{{field}: {value}}}\n"
        for field in FIELDS
        for section in ("cas", "servers")
    }
    texts |= {f"{field}-defaults": f"version: 1\nca: {{}}\ndefaults: {{{field}: {value}}}\n" for field in FIELDS}
    tops = ("version", "name", "defaults", "ca", "cas", "servers", "clients", "peers", "nonsense")
    texts |= {f"{top}-top": f"{'' if top == 'version' else 'version: 1'}\n{top}: {value}\n" for top in tops}
    texts |= {
        f"{field}-{inner}": f"version: 1\nca: {{{field}: {{{inner}: {value}}}}}\n"
        for field, inner in (
            ("key", "algorithm"),
            ("key", "rotation"),
            ("key", "mode"),
            ("subject", "country"),
            ("subject", "organization"),
            ("name_constraints", "permitted"),
        )
    }
    texts = (
        texts
        if EVERY
        else {name: text for name, text in texts.items() if zlib.crc32(f"{name}{value}".encode()) % 3 == 0}
    )
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    cases = [Case(tmp_path, ["validate", f"{name}.yaml"]) for name in texts]
    answers = in_processes_of_their_own(cases)
    assert len(answers) > 20
    assert faults(cases, answers) == []
    assert all(answer.codes for answer in answers if answer.code)


EDGES = ("0001-01-01T00:00:00Z", "1950-01-01T00:00:00Z", "2049-12-31T23:59:59Z", "9999-12-31T23:59:59Z")


@pytest.mark.parametrize("section", ["cas", "servers"])
def test_times_at_the_edge_of_the_calendar_end_with_an_exit_code(tmp_path: Path, section: str) -> None:
    head = "version: 1\n" if section == "cas" else "version: 1\nca: {}\n"
    terms = [
        *(f"not_before: {edge}" for edge in EDGES),
        *(f"not_after: {edge}" for edge in EDGES),
        *(f"not_before: {edge}, validity: 100y" for edge in EDGES),
        *(f"not_before: {first}, not_after: {last}" for first in EDGES for last in EDGES),
        "validity: 100y",
        "validity: 1s",
        "validity: 1s, renew_before: 1%",
    ]
    terms = one_in(5, terms, section == "cas")
    for number, term in enumerate(terms):
        (tmp_path / f"t{number}.yaml").write_text(
            f"{head}{section}:\n  x: {{{term}SANS}}\n".replace("SANS", ", sans: a.test" if section == "servers" else "")
        )
    cases = [
        Case(tmp_path, [*command, f"t{number}.yaml"])
        for number in range(len(terms))
        for command in (
            ["apply"],
            ["verify"],
            ["plan", "--at", "9999-12-31T23:59:59Z"],
            ["plan", "--at", "0001-01-01T00:00:00Z"],
        )
    ]
    assert faults(cases, in_processes_of_their_own(cases)) == []
