"""The proof on a server that runs: the real nginx, in order and out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import Running, eventually, free_port, nginx
from proving import Ran
from shop import Shop

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
      elsewhere: {common_name: Other Root}
    defaults: {issuer: issuing}
    servers:
      api:
        sans: [api.shop.example, "*.eu.shop.example"]
        deploy_dir: DEPLOYED
        snippets: {nginx: {standalone: true, listen: "127.0.0.1:PORT", allow: [clients/checkout, peers/mesh]}}
      web: {sans: web.shop.example}
    clients:
      checkout: {sans: "spiffe://shop.example/checkout"}
      reporting: {}
      stranger: {issuer: elsewhere, trust: root}
    peers:
      mesh: {sans: mesh.shop.example}
"""
ALL = {
    "clients/checkout": "yes",
    "clients/reporting": "no",
    "clients/stranger": "no",
    "peers/mesh": "yes",
}


class House:
    """A shop whose server runs from a copy of its files, as on a host."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self.shop = Shop(folder)
        self.host = folder / "host"
        self.write(SPEC)

    def write(self, text: str) -> None:
        self.shop.write(text.replace("DEPLOYED", str(self.host)).replace("PORT", str(self.port)))
        ran = self.shop.inside("apply")
        assert ran.code == 0, ran

    def deploy(self, *, but: tuple[str, ...] = ()) -> None:
        """Copy the entry's folder to where it is used.

        but: files that are forgotten.
        """
        self.host.mkdir(exist_ok=True)
        for file in (self.shop.tree / "servers/api").iterdir():
            if file.is_file() and file.name not in but:
                (self.host / file.name).write_bytes(file.read_bytes())

    @contextmanager
    def open(self) -> Iterator[Running]:
        with nginx(self.host / "nginx.conf", self.port, self.host.parent / "work") as started:
            yield started

    def prove(self, *options: str) -> Ran:
        return self.shop.inside("prove", "--live", f"servers/api=127.0.0.1:{self.port}", *options)


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "shop")
    made.deploy()
    return made


def cells(ran: Ran) -> dict[str, str]:
    """Read the first table: who gets in."""
    lines = ran.out.splitlines()
    if lines[0].split()[2:3] == ["1"]:
        raise AssertionError(lines[0])
    return dict(zip(lines[0].split()[2:], lines[1].split()[1:], strict=True))


def test_a_server_that_is_as_its_spec_says_is_proven(house: House) -> None:
    with house.open():
        ran = house.prove()
    assert (ran.code, ran.err, cells(ran)) == (0, "", ALL)
    assert "no certificate  other CA  a server's\nservers/api  yes             yes       yes\n" in ran.out
    assert ran.out.endswith("shop: proven, 14 handshakes, all as expected\n")


def test_one_that_asks_nobody_for_a_certificate_is_found_out(house: House) -> None:
    house.host.joinpath("nginx.conf").write_text(
        f'events {{}} http {{ server {{ listen 127.0.0.1:{house.port} ssl; ssl_certificate "{house.host}/cert.pem"; '
        f'ssl_certificate_key "{house.host}/key.pem"; return 200 hello; }} }}'
    )
    with house.open():
        ran = house.prove()
    assert ran.code == 1
    place = f"127.0.0.1:{house.port}"
    for who in (
        "a client without a certificate",
        "a client of another CA",
        "a server's certificate used as a client's",
    ):
        assert f"error[let-in]: {place} lets in {who}" in ran.err
    assert f"error[let-in]: {place} lets clients/reporting in, though the `allow` of the spec does not" in ran.err
    assert f"error[let-in]: {place} lets clients/stranger in, though the `allow` of the spec does not" in ran.err
    assert "help: have it ask for client certificates, as the entry's snippets do" in ran.err
    assert ran.out.count("YES") == 2


def test_one_that_was_not_reloaded_is_stale_and_after_a_reload_it_is_not(house: House) -> None:
    with house.open() as started:
        assert house.shop.inside("apply", "--renew", "servers/api").code == 0
        ran = house.prove()
        assert ran.code == 1
        assert "shows another certificate of servers/api than the tree has" in ran.err
        assert "have it read its files again" in ran.err
        house.deploy()
        started.reload()
        assert eventually(lambda: house.prove().code == 0)


def test_one_whose_allow_is_of_before_turns_the_wrong_ones_away(house: House) -> None:
    with house.open():
        house.write(SPEC.replace("[clients/checkout, peers/mesh]", "[clients/reporting]"))
        ran = house.prove()
    assert ran.code == 1
    assert cells(ran) == {**ALL, "clients/checkout": "YES", "clients/reporting": "NO", "peers/mesh": "YES"}
    assert "refuses clients/reporting, because the certificate is sound, and its bearer is not let in" in ran.err


def test_one_that_has_the_certificate_of_another_entry_is_not_believed(house: House) -> None:
    for name in ("cert.pem", "key.pem"):
        (house.host / name).write_bytes((house.shop.tree / "servers/web" / name).read_bytes())
    with house.open():
        ran = house.prove()
    assert ran.code == 1
    refused = (
        f"clients/checkout refuses 127.0.0.1:{house.port}, because the certificate does not bear the name that was"
    )
    assert f"error[kept-out]: {refused}" in ran.err
    assert "is servers/api there, with the names that the spec gives it?" in ran.err


def test_one_with_another_trust_refuses_those_who_must_get_in(house: House) -> None:
    (house.host / "ca.pem").write_bytes((house.shop.tree / "cas/elsewhere/cert.pem").read_bytes())
    with house.open():
        ran = house.prove()
    assert ran.code == 1
    assert f"127.0.0.1:{house.port} refuses clients/checkout" in ran.err
    assert cells(ran)["clients/checkout"] == "NO"


def test_a_key_that_is_not_here_is_not_judged(house: House) -> None:
    (house.shop.tree / "clients/checkout/key.pem").unlink()
    with house.open():
        ran = house.prove()
    assert ran.code == 2
    assert "error[not-judged]: clients/checkout: its private key is not on this machine" in ran.err
    assert cells(ran)["clients/checkout"] == "?"


def test_what_is_no_server_is_told_in_words(house: House) -> None:
    ran = house.prove()
    assert (ran.code, "error[not-reached]" in ran.err, "does the server run?" in ran.err) == (2, True, True)
    for text, code in (
        ("servers/nobody=127.0.0.1:1", "unknown-address"),
        ("clients/checkout=127.0.0.1:1", "unknown-address"),
        ("api=127.0.0.1:1", "not-a-place"),
        ("servers/api", "not-a-place"),
        ("servers/api=127.0.0.1:0", "not-a-place"),
        ("servers/api=127.0.0.1:99999999", "not-a-place"),
        ("servers/api=:1", "not-a-place"),
    ):
        ran = house.shop.inside("prove", "--live", text)
        assert (ran.code, f"error[{code}]" in ran.err) == (2, True), ran


def test_what_speaks_no_tls_is_told_in_words(house: House) -> None:
    house.host.joinpath("nginx.conf").write_text(
        f"events {{}} http {{ server {{ listen 127.0.0.1:{house.port}; return 200 hello; }} }}"
    )
    with house.open():
        ran = house.prove()
    assert ran.code == 1
    assert "because the other side does not speak TLS at all" in ran.err
    assert "help: name the port at which it speaks TLS" in ran.err


def test_json_tells_the_same(house: House) -> None:
    with house.open():
        ran = house.prove("--json")
    assert ran.code == 0
    meetings = {one["client"]: one for one in ran.spec["meetings"]}
    assert {who: one["expected"] for who, one in meetings.items()} == {who: cell == "yes" for who, cell in ALL.items()}
    assert {one["stranger"] for one in ran.spec["strangers"]} == {
        "no_certificate", "other_authority", "server_as_client"
    }  # fmt: skip
    assert {trial["name"] for one in meetings.values() for trial in one["handshakes"]} == {"api.shop.example"}
