"""`status` as a person, a job and a monitor meet it: exit codes, streams, widths, colours; real processes all."""

import json
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from foreign.hierarchy import make_ca, write_pem
from prometheus_client.parser import text_string_to_metric_families
from runs import Gate, Ran, Shop
from scene import take_snapshot
from shop import Shop as Typed
from terminals import on_terminal
from traces import read_trace, tracing
from users import ordinary_user

from certgen.pipeline import apply_specs, load_specs

SPEC = """
version: 1
ca: {common_name: Shop CA}
servers:
  fresh: {sans: fresh.shop.example}
  late: {sans: late.shop.example, validity: 90d}
  old: {sans: old.shop.example, validity: 30d}
"""
AGE = timedelta(days=65)
"""How long ago it was compiled: `old` is over, `late` is due, `fresh` and the CA are fine."""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def compile_at(shop: Shop, age: timedelta) -> None:
    apply_specs(load_specs([shop.folder / "shop.yaml"]), shop.folder / "output", datetime.now(UTC) - age)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shop = Shop(tmp_path_factory.mktemp("watching"), SPEC)
    compile_at(shop, AGE)
    return shop.folder


@pytest.fixture
def shop(compiled: Path, tmp_path: Path) -> Shop:
    return Shop(Path(shutil.copytree(compiled, tmp_path / "shop")))


def states(ran: Ran) -> dict[str, str]:
    return {one["address"]: one["state"] for spec in told(ran)["specs"] for one in spec["certificates"]}


def told(ran: Ran) -> dict[str, Any]:
    answer = json.loads(ran.out)
    assert (answer["version"], answer["command"]) == (1, "status")
    return dict(answer)


def rows(text: str) -> list[list[str]]:
    """The signs, addresses and states of a table, in its order."""
    found = re.findall(r"^([!? ]) (\S+/\S+) {2,}(\w+(?: \w+)*)(?:  |$)", text, re.MULTILINE)
    return [[sign.strip() or ".", address, state] for sign, address, state in found]


TABLE = [
    ["!", "servers/old", "expired"],
    ["!", "servers/late", "due"],
    [".", "servers/fresh", "fine"],
    [".", "cas/ca", "fine"],
]


def test_what_is_over_stands_first_then_what_is_due_and_the_exit_code_is_1(shop: Shop) -> None:
    before = take_snapshot(shop.folder)
    ran = shop.run("status", "shop.yaml")
    assert (ran.code, ran.err) == (1, "")
    assert rows(ran.out) == TABLE
    assert ran.out.splitlines()[-1] == "shop: 1 expired, 1 due, of 4 certificates"
    assert [line.split()[-4:] for line in ran.out.splitlines()[1:3]] == [
        [f"{last(shop, 'old'):%H:%M}Z", "-35d", "Shop", "CA"],
        [f"{last(shop, 'late'):%H:%M}Z", "24d", "Shop", "CA"],
    ]
    assert take_snapshot(shop.folder) == before


def last(shop: Shop, name: str) -> datetime:
    certificates = {
        one["address"]: one for one in told(shop.run("status", "shop.yaml", "--json"))["specs"][0]["certificates"]
    }
    return datetime.fromisoformat(certificates[f"servers/{name}"]["not_after"])


def test_in_a_pipe_there_is_no_colour_and_nothing_but_ascii_and_80_columns_are_enough(shop: Shop) -> None:
    for options in ((), ("--color", "auto"), ("--color", "never")):
        ran = shop.run("status", "shop.yaml", *options)
        assert ran.out.isascii()
        assert ran.out.replace("\n", "").isprintable()
        assert max(map(len, ran.out.splitlines())) <= 80
    colored = shop.run("status", "shop.yaml", "--color", "always").out
    assert "\x1b[31m\x1b[1mexpired\x1b[0m" in colored
    assert ANSI.sub("", colored) == ran.out


@pytest.mark.parametrize(
    ("env", "has_blocks"),
    [
        ({}, True),
        ({"LC_ALL": "de_DE.UTF-8@euro"}, True),
        ({"LANG": "C"}, False),
        ({"LC_ALL": "POSIX"}, False),
        ({"LC_CTYPE": "en_US.ISO-8859-1"}, False),
        ({"PYTHONIOENCODING": "ascii"}, False),
    ],
    ids=str,
)
def test_a_terminal_gets_colours_and_blocks_where_it_can_show_them(
    compiled: Path, env: Mapping[str, str], has_blocks: bool
) -> None:
    # Without this, Python itself takes another locale for C and tells nobody.
    code, text = on_terminal(compiled, "status", "shop.yaml", env={"PYTHONCOERCECLOCALE": "0", **env})
    assert code == 1
    assert "\x1b[31m\x1b[1mexpired\x1b[0m" in text
    assert ("███████" in text, "#######" in text, text.isascii()) == (has_blocks, not has_blocks, not has_blocks)
    assert rows(ANSI.sub("", text)) == TABLE
    assert max(len(line) for line in ANSI.sub("", text).splitlines()) <= 80


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_a_terminal_of_any_width_gets_no_line_that_is_too_long(compiled: Path, columns: int) -> None:
    _, text = on_terminal(compiled, "status", "shop.yaml", "--color", "never", columns=columns)
    assert max(map(len, text.splitlines())) <= columns
    assert ("issuer" in text) is (columns == 100)


# What presses, and what does not


def test_a_fresh_tree_is_exit_0_and_each_state_comes_with_its_time(shop: Shop) -> None:
    shutil.rmtree(shop.tree)
    compile_at(shop, timedelta())
    for at, code, expected in (
        ("+1m", 0, {"fresh": "fine", "late": "fine", "old": "fine"}),
        ("+19d", 0, {"fresh": "fine", "late": "fine", "old": "fine"}),
        ("+21d", 1, {"fresh": "fine", "late": "fine", "old": "due"}),
        ("+31d", 1, {"fresh": "fine", "late": "fine", "old": "expired"}),
        ("+61d", 1, {"fresh": "fine", "late": "due", "old": "expired"}),
        ("2000-01-01", 1, dict.fromkeys(("fresh", "late", "old"), "not_yet_valid")),
    ):
        ran = shop.run("status", "shop.yaml", "--at", at, "--json")
        servers = {f"servers/{name}": state for name, state in expected.items()}
        authority = "not_yet_valid" if at == "2000-01-01" else "fine"
        assert (ran.code, states(ran)) == (code, {**servers, "cas/ca": authority}), at


def test_a_ca_with_a_year_to_go_is_due_and_no_alarm(shop: Shop) -> None:
    shop.write("version: 1\nca: {}\n")
    shutil.rmtree(shop.tree)
    compile_at(shop, timedelta(days=3650 - 365))
    ran = shop.run("status", "shop.yaml")
    assert (ran.code, rows(ran.out)) == (0, [[".", "cas/ca", "due"]])
    assert shop.run("status", "shop.yaml", "--at", "+334d").code == 0
    assert shop.run("status", "shop.yaml", "--at", "+336d").code == 1
    assert shop.run("status", "shop.yaml", "--within", "1y").code == 1


def test_within_asks_more_of_what_is_not_due(shop: Shop) -> None:
    shop.write("version: 1\nca: {}\nclients: {a: {validity: 90d}}\n")
    shutil.rmtree(shop.tree)
    compile_at(shop, timedelta(days=40))
    for options, code in (((), 0), (("--within", "49d"), 0), (("--within", "51d"), 1), (("--within", "7w"), 0)):
        assert shop.run("status", "shop.yaml", *options).code == code, options
    ran = shop.run("status", "shop.yaml", "--within", "51d")
    assert rows(ran.out)[0] == ["!", "clients/a", "fine"]
    assert ran.out.splitlines()[-1] == "shop: 1 ending within 51d, of 2 certificates"


def test_a_certificate_or_a_tree_that_is_not_there_is_missing_and_exit_1(shop: Shop) -> None:
    (shop.tree / "servers/fresh/cert.pem").unlink()
    ran = shop.run("status", "shop.yaml", "--json")
    assert (ran.code, states(ran)["servers/fresh"]) == (1, "missing")
    shutil.rmtree(shop.tree)
    ran = shop.run("status", "shop.yaml")
    assert (ran.code, ran.err) == (1, "")
    assert {state for _, _, state in rows(ran.out)} == {"missing"}
    assert shop.run("status", "shop.yaml", "-o", "nowhere").out == ran.out


def test_a_run_that_was_killed_counts_by_what_it_had_committed_to(shop: Shop, tmp_path: Path) -> None:
    shutil.rmtree(shop.tree)
    gate = Gate(tmp_path / "gate", "servers/fresh/cert.pem")
    with shop.started("apply", "shop.yaml", env=gate.env) as process:
        assert gate.stopped(process)
        process.kill()
        process.wait()
    assert not (shop.tree / "servers/fresh/cert.pem").exists()
    ran = shop.run("status", "shop.yaml", "--json")
    assert (ran.code, set(states(ran).values())) == (0, {"fine"})
    (shop.tree / ".certgen/journal").unlink()
    assert states(shop.run("status", "shop.yaml", "--json"))["servers/fresh"] == "missing"


def test_several_specs_are_told_in_one_table_by_qualified_addresses(shop: Shop) -> None:
    shop.write("version: 1\nca: {}\nclients: {a: {}}\n", "bank.yaml")
    shop.demand(0, "apply", "bank.yaml")
    ran = shop.run("status", "shop.yaml", "bank.yaml")
    assert ran.code == 1
    assert rows(ran.out)[:3] == [
        ["!", "shop/servers/old", "expired"],
        ["!", "shop/servers/late", "due"],
        [".", "shop/servers/fresh", "fine"],
    ]
    assert {address for _, address, _ in rows(ran.out)[3:]} >= {"bank/clients/a", "bank/cas/ca", "shop/cas/ca"}
    assert shop.run("status", "bank.yaml").code == 0
    assert " bank/" not in shop.run("status", "bank.yaml").out
    names = [spec["name"] for spec in told(shop.run("status", "shop.yaml", "bank.yaml", "--json"))["specs"]]
    assert names == ["shop", "bank"]


# What cannot be told


def test_what_cannot_be_read_is_exit_2_and_the_rest_is_told(shop: Shop) -> None:
    (shop.tree / "servers/fresh/cert.pem").write_text("nonsense")
    ran = shop.run("status", "shop.yaml")
    assert ran.code == 2
    assert ran.err.startswith("error[unreadable]: output/shop/servers/fresh/cert.pem cannot be read: not a PEM")
    assert rows(ran.out)[0] == ["?", "servers/fresh", "unreadable"]
    assert rows(ran.out)[1:] == [row for row in TABLE if row[1] != "servers/fresh"]
    answer = shop.run("status", "shop.yaml", "--json")
    assert (answer.code, [item["code"] for item in told(answer)["diagnostics"]]) == (2, ["unreadable"])


@pytest.mark.parametrize(
    ("closed", "code", "unreadable"),
    [
        ("servers/fresh/key.pem", 0, set()),
        ("cas/ca/key.pem", 0, set()),
        ("servers/fresh/cert.pem", 2, {"servers/fresh"}),
        ("servers", 2, {"servers/fresh", "servers/late"}),
        ("", 2, None),
    ],
)
def test_no_private_key_is_needed_and_what_is_closed_is_named(
    tmp_path: Path, closed: str, code: int, unreadable: set[str] | None
) -> None:
    shop = Typed(tmp_path, ordinary_user()).write(SPEC.replace("  old: {sans: old.shop.example, validity: 30d}\n", ""))
    shop.compile()
    (shop.tree / closed).chmod(0)
    try:
        ran = shop.type("status", "--json")
    finally:
        (shop.tree / closed).chmod(0o755)
    assert ran.code == code, ran
    found = {address for address, state in states(Ran(ran.code, ran.out, ran.err)).items() if state == "unreadable"}
    assert found == (unreadable or set())
    assert ("error[unreadable]" in ran.err, "Permission denied" in ran.err) == (code == 2, code == 2)
    assert len(re.findall(r"^error\[", ran.err, re.MULTILINE)) == (code == 2)


def test_no_private_key_is_opened(shop: Shop, tmp_path: Path) -> None:
    seen = {}
    for command in ("status", "plan"):
        log = tmp_path / command
        shop.run(command, "shop.yaml", before=list(map(str, tracing("openat|open|openat2", log))))
        seen[command] = {path.name for call in read_trace(log, shop.folder) for path in call.paths}
    assert "cert.pem" in seen["status"]
    assert "key.pem" not in seen["status"]
    assert "key.pem" in seen["plan"], "the same trace shows who opens one"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status", "no.yaml"], "no-such-spec"),
        (["status"], "no-specs"),
        (["status", "shop.yaml", "--at", "yesterday"], "bad-time"),
        (["status", "shop.yaml", "--within", "soon"], "bad-duration"),
    ],
    ids=["no such spec", "no specs", "no time", "no duration"],
)
def test_what_is_typed_wrong_is_exit_2_in_every_form(shop: Shop, arguments: list[str], code: str) -> None:
    ran = shop.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert f"error[{code}]" in ran.err
    answer = shop.run(*arguments, "--json")
    assert (answer.code, [item["code"] for item in told(answer)["diagnostics"]]) == (2, [code])
    metrics = shop.run(*arguments, "--format", "prometheus")
    assert (metrics.code, samples(metrics)) == (2, {("certgen_status_errors", ""): 1})


def test_a_tree_of_a_later_certgen_hides_no_other(shop: Shop) -> None:
    shop.write("version: 1\nca: {}\n", "bank.yaml")
    shop.demand(0, "apply", "bank.yaml")
    manifest = shop.tree / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2', 1))
    ran = shop.run("status", "shop.yaml", "bank.yaml")
    assert ran.code == 2
    assert "error[newer-manifest]" in ran.err
    assert rows(ran.out) == [[".", "bank/cas/ca", "fine"]]


# For a job, and for a monitor


def test_quiet_says_nothing_and_the_exit_code_stays(shop: Shop) -> None:
    ran = shop.run("status", "shop.yaml", "-q")
    assert (ran.code, ran.out, ran.err) == (1, "", "")
    assert samples(shop.run("status", "shop.yaml", "-q", "--format", "prometheus"))


def samples(ran: Ran) -> dict[tuple[str, str], float]:
    """The metrics as Prometheus's parser reads them, by name and address."""
    families = text_string_to_metric_families(ran.out)
    return {(one.name, one.labels.get("address", "")): one.value for family in families for one in family.samples}


def test_metrics_are_told_with_the_same_exit_code(shop: Shop) -> None:
    ran = shop.run("status", "shop.yaml", "--format", "prometheus", "--color", "always")
    assert (ran.code, ran.err) == (1, "")
    found = samples(ran)
    assert {address: found["x509_cert_expired", address] for _, address, _ in TABLE} == {
        "servers/old": 1, "servers/late": 0, "servers/fresh": 0, "cas/ca": 0,
    }  # fmt: skip
    end = last(shop, "late").timestamp()
    assert found["x509_cert_not_after", "servers/late"] == end
    assert found["certgen_renewal_due_timestamp_seconds", "servers/late"] == end - 30 * 86400
    assert found["certgen_status_errors", ""] == 0
    (shop.tree / "servers/fresh/cert.pem").write_text("nonsense")
    broken = shop.run("status", "shop.yaml", "--format", "prometheus")
    assert broken.code == 2
    assert samples(broken)["x509_cert_error", "servers/fresh"] == 1
    assert samples(broken)["certgen_status_errors", ""] == 1


def test_a_ca_of_ones_own_is_watched_without_its_key(shop: Shop) -> None:
    write_pem(shop.folder / "corporate.pem", make_ca('Corporate "CA"\n', "ecdsa-p256").certificate)
    shop.write("version: 1\nca: {certificate: corporate.pem, private_key: gone.key}\n")
    (shop.folder / "gone.key").touch(0)
    ran = shop.run("status", "shop.yaml")
    assert (ran.code, rows(ran.out)) == (0, [[".", "cas/ca", "fine"]])
    metrics = shop.run("status", "shop.yaml", "--format", "prometheus")
    (family,) = (one for one in text_string_to_metric_families(metrics.out) if one.name == "x509_cert_not_after")
    (sample,) = family.samples
    assert sample.labels["subject_CN"] == 'Corporate "CA"\n'
    assert sample.labels["filepath"] == "corporate.pem"
