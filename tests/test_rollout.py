"""The proof of a roll-out: what breaks while some have their new files and others not, and the orders that do not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from foreign.hierarchy import Extension
from proving import DAY, NOW, Other, Place
from shop import Shop

SPEC = """\
    version: 1
    cas:
      old: {common_name: Old Root}
      new: {common_name: New Root}
    servers:
      api: {issuer: SERVERS, trust: [SERVER_TRUST], sans: [api.shop.example]}
    clients:
      checkout: {issuer: CLIENTS, trust: [CLIENT_TRUST], sans: "spiffe://shop.example/checkout"}
      reporting: {issuer: CLIENTS, trust: [CLIENT_TRUST]}
"""
FIRST_CLIENTS = "first clients/checkout, clients/reporting, then servers/api"
FIRST_SERVERS = "first servers/api, then clients/checkout, clients/reporting"


def write(shop: Shop, text: str = SPEC, **words: str) -> None:
    """Compile the spec.

    words: issuers and trust, where they are not those of the old root, trusted beside the new one.
    """
    both = words.pop("trust", "old, new")
    chosen = {"servers": "old", "clients": "old", "server_trust": both, "client_trust": both} | words
    for name, value in chosen.items():
        text = text.replace(f": {name.upper()},", f": {value},").replace(f"[{name.upper()}]", f"[{value}]")
    shop.write(text)
    ran = shop.type("apply")
    assert ran.code == 0, ran


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path / "shop")
    made.folder.mkdir()
    write(made)
    return made


def set_aside(shop: Shop) -> Path:
    """Keep the output as it is now, as the older one."""
    older = shop.folder / "older"
    shutil.copytree(shop.folder / "output", older)
    return older


def test_a_renewal_breaks_nothing(shop: Shop) -> None:
    set_aside(shop)
    assert shop.type("apply", "--renew", "servers/api", "--renew", "clients/checkout").code == 0
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "shop: the roll-out of 2 entries keeps working in any order, 8 handshakes\n"


def test_another_key_for_everybody_breaks_nothing(shop: Shop) -> None:
    set_aside(shop)
    entries = ("servers/api", "clients/checkout", "clients/reporting")
    assert shop.type("apply", *(f"--rekey={entry}" for entry in entries)).code == 0
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, ran.err) == (0, "")
    assert "the roll-out of 3 entries keeps working in any order, 12 handshakes" in ran.out


def test_what_is_the_same_is_not_rolled_out(shop: Shop) -> None:
    set_aside(shop)
    ran = shop.type("prove", "--against", "older")
    assert ran.code == 0
    assert "nothing to roll out, the older tree has the same certificates and trust" in ran.out


def test_a_root_that_is_replaced_in_one_step_breaks_every_order_and_every_cell(shop: Shop) -> None:
    write(shop, trust="old")
    set_aside(shop)
    write(shop, servers="new", clients="new", trust="new")
    ran = shop.type("prove", "--against", "older")
    assert ran.code == 1
    assert "the roll-out of 3 entries breaks in every order" in ran.out
    for title in ("client is old", "server is old"):
        (row,) = [line for line in ran.out.split(title)[1].splitlines() if line.startswith("servers/api")][:1]
        assert row.split() == ["servers/api", "NO", "NO"]
    assert ran.err.count("error[roll-out-breaks]") == 2
    assert "let both sides trust the old root and the new one first" in ran.err
    way = shop.type("prove", "--against", "older", "--json").spec
    assert (way["judgement"], way["order"], len(way["meetings"])) == ("unexpected", None, 6)
    assert {(one["old"], one["broken"]) for one in way["meetings"]} == {
        ("client", True),
        ("server", True),
        (None, False),
    }


def test_the_same_in_three_steps_breaks_nothing(shop: Shop) -> None:
    """Trust both, then issue from the new one, then trust that alone: each step is one that any order survives."""
    write(shop, trust="old")
    steps = (
        {"trust": "old, new"},
        {"servers": "new", "clients": "new"},
        {"servers": "new", "clients": "new", "trust": "new"},
    )
    for step in steps:
        set_aside(shop)
        write(shop, **step)
        ran = shop.type("prove", "--against", "older")
        assert (ran.code, "keeps working in any order" in ran.out) == (0, True), ran
        shutil.rmtree(shop.folder / "older")


def test_where_one_order_keeps_working_it_is_named(shop: Shop) -> None:
    write(shop, trust="old")
    set_aside(shop)
    write(shop, clients="new", trust="old", server_trust="old, new")
    ran = shop.type("prove", "--against", "older")
    assert ran.code == 1
    assert f"the roll-out of 3 entries keeps working in one order: {FIRST_SERVERS}\n" in ran.out.replace("\n  ", " ")
    assert "clients/checkout, clients/reporting, rolled out, and servers/api, as before, do not talk" in ran.err
    assert "help: roll out in the order that is named below" in ran.err
    order = shop.type("prove", "--against", "older", "--json").spec["order"]
    assert order == [["servers/api"], ["clients/checkout", "clients/reporting"]]


def test_the_other_way_round_it_is_the_other_order(shop: Shop) -> None:
    write(shop, trust="old")
    set_aside(shop)
    write(shop, servers="new", trust="old", client_trust="old, new")
    ran = shop.type("prove", "--against", "older")
    assert ran.code == 1
    assert FIRST_CLIENTS in ran.out.replace("\n  ", " ")


def remove_keys(output: Path) -> None:
    for key in output.rglob("key.pem"):
        key.unlink()


def test_without_keys_in_the_older_tree_the_same_keys_will_do(shop: Shop) -> None:
    """Git has certificates alone."""
    remove_keys(set_aside(shop))
    assert shop.type("apply", "--renew", "servers/api", "--renew", "clients/checkout").code == 0
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, ran.out) == (0, "shop: the roll-out of 2 entries keeps working in any order, 8 handshakes\n")


def test_where_a_key_is_gone_the_certificates_are_judged(shop: Shop) -> None:
    remove_keys(set_aside(shop))
    assert shop.type("apply", "--rekey", "servers/api", "--renew", "clients/checkout").code == 0
    ran = shop.type("prove", "--against", "older")
    judged = "1 judged by certificates alone, since a private key is not here"
    assert (ran.code, ran.err) == (0, "")
    assert f"keeps working in any order, 6 handshakes and {judged}" in ran.out.replace("\n  ", " ")


def test_a_pull_request_needs_no_key_at_all(shop: Shop) -> None:
    write(shop, trust="old")
    remove_keys(set_aside(shop))
    write(shop, servers="new", clients="new", trust="new")
    broken = shop.type("prove", "--against", "older", "--json").spec
    remove_keys(shop.output)
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, "the roll-out of 3 entries breaks in every order" in ran.out) == (1, True), ran
    found = shop.type("prove", "--against", "older", "--json").spec
    assert {trial["version"] for one in found["meetings"] for trial in one["handshakes"]} == {"certificates"}
    for one, other in zip(found["meetings"], broken["meetings"], strict=True):
        assert one["broken"] == other["broken"]
        assert {trial["cause"] for trial in one["handshakes"]} == {trial["cause"] for trial in other["handshakes"]}


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        ("", None),
        ("expired", "expired"),
        ("purpose", "wrong_purpose"),
        ("name", None),
        ("authority", "unknown_authority"),
    ],
)
def test_certificates_are_judged_as_handshakes_would_judge_them(shop: Shop, spoil: str, cause: str | None) -> None:
    """With both new, since what was broken before is no roll-out's; of a name that is gone there is a warning."""
    remove_keys(set_aside(shop))
    place = Place(shop.folder)
    match spoil:
        case "expired":
            place.sign_again("servers/api", Other("cas/old", begin=NOW - 2 * DAY, end=NOW - DAY))
        case "purpose":
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
            place.sign_again("servers/api", Other("cas/old", extensions={x509.ExtendedKeyUsage: Extension(usage)}))
        case "name":
            names = x509.SubjectAlternativeName([x509.DNSName("b.shop.example")])
            place.sign_again(
                "servers/api", Other("cas/old", extensions={x509.SubjectAlternativeName: Extension(names)})
            )
        case "authority":
            place.sign_again("servers/api", Other("cas/new"))
            (shop.tree / "clients/checkout/ca.pem").write_bytes((shop.tree / "cas/old/cert.pem").read_bytes())
        case _:
            place.sign_again("servers/api", Other("cas/old"))
    by_handshake = shop.type("prove", "--against", "older", "--json").spec
    remove_keys(shop.output)
    by_certificates = shop.type("prove", "--against", "older", "--json").spec

    def causes(spec: dict[str, Any]) -> set[tuple[Any, ...]]:
        return {
            (one["client"], one["old"], trial["refused_by"], trial["cause"])
            for one in spec["meetings"]
            for trial in one["handshakes"]
            if trial["cause"]
        }

    assert causes(by_certificates) == causes(by_handshake)
    assert {found[3] for found in causes(by_handshake)} == ({cause} if cause else set())


def test_a_commit_of_before_is_an_older_tree(shop: Shop) -> None:
    def git(*arguments: str | Path) -> None:
        subprocess.run(["git", *arguments], cwd=shop.folder, check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "before")
    assert shop.type("apply", "--renew", "servers/api", "--renew", "clients/checkout").code == 0
    git("worktree", "add", "-q", "before")
    ran = shop.type("prove", "--against", "before/output")
    assert (ran.code, "the roll-out of 2 entries keeps working in any order" in ran.out) == (0, True), ran


def test_who_is_new_and_who_did_not_talk_before_breaks_nothing(shop: Shop) -> None:
    write(shop, clients="new", trust="old")
    set_aside(shop)
    write(shop, servers="new", clients="old", trust="old, new")
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, "keeps working in any order, 0 handshakes" in ran.out) == (0, True), ran
    shutil.rmtree(shop.folder / "older/shop/clients")
    assert shop.type("prove", "--against", "older").code == 0


def test_a_name_that_is_gone_is_warned_of(shop: Shop) -> None:
    set_aside(shop)
    write(shop, text=SPEC.replace("[api.shop.example]", "[api.shop.example, b.shop.example]"))
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, ran.err) == (0, ""), "a name more is nobody's loss"
    shutil.rmtree(shop.folder / "older")
    set_aside(shop)
    write(shop)
    ran = shop.type("prove", "--against", "older")
    assert ran.code == 0
    assert "warning[name-gone]: servers/api no longer bears DNS:b.shop.example: who asks for that is refused" in ran.err


def test_a_server_that_bears_only_other_names_breaks_the_roll_out(shop: Shop) -> None:
    set_aside(shop)
    text = SPEC.replace("[api.shop.example]", "[b.shop.example]").replace('/checkout"}', '/till"}')
    write(shop, text=text)
    ran = shop.type("prove", "--against", "older")
    assert ran.code == 1
    assert "the certificate does not bear the name that was asked for" in ran.err


def test_an_older_folder_without_this_tree_is_one_from_which_nothing_is_rolled_out(shop: Shop) -> None:
    (shop.folder / "older").mkdir()
    ran = shop.type("prove", "--against", "older")
    assert (ran.code, ran.out) == (0, "shop: nothing to roll out, there is no older tree\n")
    assert "warning[no-tree]: older has no tree shop: all of it is new, or the folder is another" in ran.err
    assert "warning[no-tree]" in shop.type("prove", "--against", "output/shop").err, "the tree in place of its folder"
    ran = shop.type("prove", "--against", "nowhere")
    assert (ran.code, "nowhere" in ran.err) == (2, True), ran
    ran = shop.type("prove", "--against", "older", "--at", "+1d")
    assert (ran.code, "`--at` and `--against` exclude each other" in ran.err) == (2, True), ran


def test_the_older_tree_is_only_read(shop: Shop) -> None:
    older = set_aside(shop)
    before = {path: path.stat().st_mtime_ns for path in older.rglob("*")}
    assert shop.type("apply", "--renew", "servers/api").code == 0
    assert shop.type("prove", "--against", "older").code == 0
    assert {path: path.stat().st_mtime_ns for path in older.rglob("*")} == before
