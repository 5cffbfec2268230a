"""The matrix as people see it, to the letter; and the JSON, to the key."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from proving import compiled

from certgen.diagnostics import error
from certgen.model import Address, Section
from certgen.prove.values import Challenge, Encounter, Proof, Stranger, Trial
from certgen.report import json_v1
from certgen.report.paint import Style
from certgen.report.proof import render_proof
from certgen.tls.causes import Cause, Refusal, Side

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
API, WEB = Address(Section.SERVERS, "api"), Address(Section.SERVERS, "web")
CHECKOUT, REPORTING = Address(Section.CLIENTS, "checkout"), Address(Section.CLIENTS, "reporting")
ACCEPTED = Trial("TLS 1.3", "localhost", None)
REFUSED = Trial(
    "TLS 1.2", None, Refusal(Side.SERVER, Cause.UNKNOWN_AUTHORITY, "unable to get local issuer certificate")
)
KEPT_OUT = {
    stranger: Trial("TLS 1.3", None, Refusal(stranger.refused_by, stranger.cause, "words")) for stranger in Stranger
}
FINDING = error("let-in", "servers/api accepts a client without a certificate", help="mend it", where="servers/api")
UNKNOWN = error("not-judged", "clients/away: its private key is not on this machine", where="clients/away")


def meeting(server: Address, client: Address, *trials: Trial, expected: bool = True) -> Encounter:
    return Encounter(server, client, expected, trials or (ACCEPTED if expected else REFUSED,))


def all_kept_out(servers: Iterable[Address], clients: Iterable[Address] = ()) -> tuple[Challenge, ...]:
    """Give the strangers at some servers and clients, all kept out."""
    at_servers = [stranger for stranger in Stranger if stranger is not Stranger.FALSE_SERVER]
    return (
        *(Challenge(server, stranger, (KEPT_OUT[stranger],)) for server in servers for stranger in at_servers),
        *(Challenge(client, Stranger.FALSE_SERVER, (KEPT_OUT[Stranger.FALSE_SERVER],)) for client in clients),
    )


def proof_of(*encounters: Encounter, challenges: tuple[Challenge, ...] = (), handshakes: int = 44) -> Proof:
    return Proof("shop", AT, encounters, challenges, (), (), handshakes)


SOUND = proof_of(
    meeting(API, CHECKOUT),
    replace(meeting(API, REPORTING), turned_away_by=("nginx",)),
    meeting(WEB, CHECKOUT, expected=False),
    meeting(WEB, REPORTING),
    challenges=all_kept_out([API, WEB], [CHECKOUT, REPORTING]),
)


# The whole page


def test_a_sound_tree_on_one_page() -> None:
    assert render_proof(SOUND) == (
        "gets in      clients/checkout  clients/reporting\n"
        "servers/api  yes               no*\n"
        "servers/web  no                yes\n"
        "\n"
        "is kept out  no certificate  other CA  a server's  expired  wrong name\n"
        "servers/api  yes             yes       yes         yes      yes\n"
        "servers/web  yes             yes       yes         yes      yes\n"
        "\n"
        "is kept out        other CA's server\n"
        "clients/checkout   yes\n"
        "clients/reporting  yes\n"
        "\n"
        "* TLS lets it in, and `allow` of nginx keeps it out: judged by the rule, not tried here\n"
        "shop: proven, 44 handshakes, all as expected\n"
    )


def test_a_tree_that_is_broken_on_one_page() -> None:
    broken = proof_of(
        meeting(API, CHECKOUT, REFUSED),
        meeting(API, REPORTING, ACCEPTED, expected=False),
        Encounter(WEB, CHECKOUT, True, obstacle="no key"),
        replace(meeting(WEB, REPORTING, REFUSED), turned_away_by=("nginx", "envoy")),
        challenges=(
            Challenge(API, Stranger.NOBODY, (ACCEPTED,)),
            Challenge(API, Stranger.EXPIRED, (KEPT_OUT[Stranger.NOBODY],)),
            Challenge(WEB, Stranger.NOBODY, obstacle="no key"),
            Challenge(WEB, Stranger.EXPIRED, (KEPT_OUT[Stranger.EXPIRED],)),
        ),
    )
    assert render_proof(replace(broken, findings=(FINDING, UNKNOWN), unknowns=(UNKNOWN,))) == (
        "gets in      clients/checkout  clients/reporting\n"
        "servers/api  NO                YES\n"
        "servers/web  ?                 NO\n"
        "\n"
        "is kept out  no certificate  expired\n"
        "servers/api  NO              NO\n"
        "servers/web  ?               yes\n"
        "\n"
        "* TLS lets it in, and `allow` of envoy, nginx keeps it out: judged by the rule, not tried here\n"
        "shop: 2 findings, 44 handshakes\n"
    )


@pytest.mark.parametrize(
    ("changes", "summary"),
    [
        ({}, "shop: proven, 44 handshakes, all as expected"),
        ({"findings": (FINDING,)}, "shop: one finding, 44 handshakes"),
        ({"findings": (FINDING, UNKNOWN)}, "shop: 2 findings, 44 handshakes"),
        ({"unknowns": (UNKNOWN,)}, "shop: cannot tell, 44 handshakes, the rest could not be tried"),
        ({"findings": (FINDING,), "unknowns": (UNKNOWN,)}, "shop: one finding, 44 handshakes"),
    ],
)
def test_the_last_line_sums_it_up(changes: Mapping[str, tuple[object, ...]], summary: str) -> None:
    assert render_proof(replace(SOUND, **changes)).splitlines()[-1] == summary  # type: ignore[arg-type]  # as named


def test_a_time_that_was_asked_for_is_named_and_how_it_was_judged() -> None:
    words = "dates were judged for 2026-03-01 12:00Z outside the handshakes: ssl cannot set its clock"
    assert words in render_proof(replace(SOUND, dates_apart=True)).splitlines()
    assert "dates" not in render_proof(SOUND)


def test_a_proof_of_nothing_is_one_line() -> None:
    assert render_proof(proof_of(handshakes=0)) == "shop: nothing to prove, since nobody connects to anybody\n"


def test_without_clients_there_is_no_matrix_of_who_gets_in() -> None:
    alone = Challenge(API, Stranger.NOBODY, (KEPT_OUT[Stranger.NOBODY],))
    assert render_proof(proof_of(challenges=(alone,), handshakes=2)).splitlines() == [
        "is kept out  no certificate",
        "servers/api  yes",
        "",
        "shop: proven, 2 handshakes, all as expected",
    ]


def test_peers_stand_in_one_order_down_and_across(tmp_path: Path) -> None:
    spec = "version: 1\nca: {}\npeers: {a: {sans: a.test}, b: {sans: b.test}, c: {sans: c.test}}\n"
    lines = render_proof(compiled(tmp_path / "shop", spec).prove()).splitlines()
    assert lines[:4] == [
        "gets in  peers/a  peers/b  peers/c",
        "peers/a  -        yes      yes",
        "peers/b  yes      -        yes",
        "peers/c  yes      yes      -",
    ]


# Width


def addresses(section: Section, count: int, name: str = "x") -> list[Address]:
    return [Address(section, f"{name}{number}") for number in range(1, count + 1)]


def fleet(servers: int, clients: int, name: str = "x") -> Proof:
    down, across = addresses(Section.SERVERS, servers, name), addresses(Section.CLIENTS, clients, name)
    return proof_of(
        *(meeting(server, client) for server in down for client in across), challenges=all_kept_out(down, across)
    )


def test_thirty_times_thirty_is_numbered_with_a_legend_and_fits_80_columns() -> None:
    text = render_proof(fleet(30, 30))
    assert max(map(len, text.splitlines())) <= 80
    table, legend = text.split("\n\n1 clients/x1, ")
    numbers = [int(number) for line in table.splitlines() if line.startswith("gets in") for number in line.split()[2:]]
    assert numbers == list(range(1, 31))
    cells = [line.split() for line in table.splitlines() if line.startswith("servers/x7 ")]
    assert [cell for line in cells for cell in line[1:]] == ["yes"] * 30
    entries = " ".join(legend.split("\n\n")[0].split("\n")).split(", ")
    assert entries == [f"{number} clients/x{number}" for number in range(2, 31)]


def test_a_cell_stands_under_its_number() -> None:
    proof = fleet(3, 30)
    encounters = [
        meeting(one.server, one.client, expected=False) if one.client.name == "x17" else one for one in proof.encounters
    ]
    for block in render_proof(replace(proof, encounters=tuple(encounters))).split("\n\n"):
        head, *rows = block.splitlines()
        if head.startswith("gets in") and " 17 " in f"{head} ":
            at = re.search(r" 17\b", head)
            assert at is not None
            assert [row[at.start() + 1 :].split()[0] for row in rows] == ["no"] * 3
            return
    raise AssertionError("there is no column 17")


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (5, 5), (12, 12), (100, 100)])
@pytest.mark.parametrize("name", ["x", "a-name-of-sixty-three-characters-is-the-longest-that-there-is-"])
def test_no_line_is_wider_than_the_terminal(width: int, shape: tuple[int, int], name: str) -> None:
    lines = render_proof(fleet(*shape, name=name[:60]), width=width).splitlines()
    longest = max(len(line) for line in lines)
    words = max(len(word) for line in lines for word in line.split())
    assert longest <= max(width, words + 4), [line for line in lines if len(line) > width]


def test_a_wide_terminal_shows_names_where_a_narrow_one_shows_numbers() -> None:
    proof = fleet(2, 8)
    assert "clients/x8" in render_proof(proof, width=200).splitlines()[0]
    assert render_proof(proof, width=80).splitlines()[0].split()[-1] == "8"


def test_a_long_name_leaves_room_for_the_others() -> None:
    api = Address(Section.SERVERS, "a" * 63)
    head, row = render_proof(proof_of(meeting(api, CHECKOUT), meeting(api, REPORTING))).splitlines()[:2]
    assert max(len(head), len(row)) <= 80
    assert (row.startswith("servers/aaaaa"), row.split()[1:]) == (True, ["yes", "yes"])


@pytest.mark.parametrize("width", [80, 200])
def test_two_long_names_that_differ_at_their_end_can_be_told_apart(width: int) -> None:
    servers = [Address(Section.SERVERS, f"checkout-frontend-{place}") for place in ("east", "west")]
    clients = [Address(Section.CLIENTS, f"payment-reporting-{place}") for place in ("east", "west")]
    proof = proof_of(*(meeting(server, client) for server in servers for client in clients))
    text = render_proof(proof, width=width)
    head, *rows = text.split("\n\n")[0].splitlines()
    assert len({row.split()[0] for row in rows}) == 2, text
    assert len(set(head.removeprefix("gets in").split())) == 2, text


def test_notes_are_wrapped_on_a_terminal_and_whole_in_a_pipe() -> None:
    noted = replace(SOUND, dates_apart=True)
    assert max(map(len, render_proof(noted, width=60).splitlines())) <= 60
    assert "judged by the rule, not tried here\n" in render_proof(noted)


# Colours


def test_each_meaning_has_its_style() -> None:
    styles: dict[str, set[Style]] = {}

    def paint(text: str, style: Style) -> str:
        styles.setdefault(text, set()).add(style)
        return f"<{text}>"

    broken = proof_of(
        meeting(API, CHECKOUT),
        meeting(API, REPORTING, REFUSED),
        meeting(WEB, CHECKOUT, ACCEPTED, expected=False),
        meeting(WEB, REPORTING, expected=False),
        replace(meeting(API, WEB), turned_away_by=("nginx",)),
        Encounter(WEB, API, True, obstacle="no key"),
    )
    text = render_proof(broken, paint)
    wanted = {
        "yes": Style.ADDED,
        "NO": Style.ERROR,
        "YES": Style.ERROR,
        "no": Style.FAINT,
        "no*": Style.CHANGED,
        "?": Style.WARNING,
        "shop": Style.STRONG,
    }
    assert {cell: styles[cell] for cell in wanted} == {cell: {style} for cell, style in wanted.items()}
    plain = re.sub(r"[<>]", "", text)
    assert plain == render_proof(broken)


# JSON


def test_a_proof_as_json_to_the_key() -> None:
    proof = replace(
        proof_of(
            replace(meeting(API, CHECKOUT), turned_away_by=("nginx",)),
            meeting(WEB, CHECKOUT, expected=False),
            Encounter(WEB, REPORTING, True, obstacle="clients/reporting: no key"),
            challenges=(
                Challenge(API, Stranger.SERVER_AS_CLIENT, (KEPT_OUT[Stranger.SERVER_AS_CLIENT],)),
                Challenge(WEB, Stranger.WRONG_NAME, obstacle="no key"),
            ),
            handshakes=3,
        ),
        findings=(FINDING,),
        unknowns=(UNKNOWN,),
        dates_apart=True,
    )
    assert json_v1.proof(proof) == {
        "name": "shop",
        "at": "2026-03-01T12:00:00Z",
        "judgement": "unexpected",
        "handshakes": 3,
        "dates_judged_outside_the_handshakes": True,
        "meetings": [
            {
                "server": "servers/api",
                "client": "clients/checkout",
                "expected": True,
                "judgement": "as_expected",
                "handshakes": [
                    {
                        "version": "TLS 1.3",
                        "name": "localhost",
                        "accepted": True,
                        "refused_by": None,
                        "cause": None,
                        "words": None,
                    }
                ],
                "turned_away_by": ["nginx"],
                "obstacle": None,
            },
            {
                "server": "servers/web",
                "client": "clients/checkout",
                "expected": False,
                "judgement": "as_expected",
                "handshakes": [
                    {
                        "version": "TLS 1.2",
                        "name": None,
                        "accepted": False,
                        "refused_by": "server",
                        "cause": "unknown_authority",
                        "words": "unable to get local issuer certificate",
                    }
                ],
                "turned_away_by": [],
                "obstacle": None,
            },
            {
                "server": "servers/web",
                "client": "clients/reporting",
                "expected": True,
                "judgement": "unknown",
                "handshakes": [],
                "turned_away_by": [],
                "obstacle": "clients/reporting: no key",
            },
        ],
        "strangers": [
            {
                "address": "servers/api",
                "stranger": "server_as_client",
                "judgement": "as_expected",
                "handshakes": [
                    {
                        "version": "TLS 1.3",
                        "name": None,
                        "accepted": False,
                        "refused_by": "server",
                        "cause": "wrong_purpose",
                        "words": "words",
                    }
                ],
                "obstacle": None,
            },
            {
                "address": "servers/web",
                "stranger": "wrong_name",
                "judgement": "unknown",
                "handshakes": [],
                "obstacle": "no key",
            },
        ],
        "findings": [
            {
                "severity": "error",
                "code": "let-in",
                "message": "servers/api accepts a client without a certificate",
                "help": "mend it",
                "place": None,
                "where": "servers/api",
            }
        ],
        "not_judged": [
            {
                "severity": "error",
                "code": "not-judged",
                "message": "clients/away: its private key is not on this machine",
                "help": None,
                "place": None,
                "where": "clients/away",
            }
        ],
    }


def test_every_judgement_and_every_stranger_keeps_its_name_in_json() -> None:
    assert [str(stranger) for stranger in Stranger] == [
        "no_certificate",
        "other_authority",
        "server_as_client",
        "expired",
        "wrong_name",
        "false_server",
    ]
    assert {json_v1.proof(replace(SOUND, **changes))["judgement"] for changes in JUDGED} == {  # type: ignore[arg-type]
        "as_expected",
        "unexpected",
        "unknown",
    }


JUDGED: tuple[dict[str, tuple[object, ...]], ...] = ({}, {"findings": (FINDING,)}, {"unknowns": (UNKNOWN,)})
