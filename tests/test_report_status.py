"""The table of what is left, as people see it: to the letter, at any width, and in any alphabet."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from values import APP, DAY, DAYS, ISSUING, MAIL, NOW, ROOT, asking, authority, certificate_for, member, name_of

from certgen.lifetime import Validity
from certgen.model import Address, Bundle, Certificate, Entry, Section
from certgen.report import json_v1
from certgen.report.paint import Style, columns
from certgen.report.status import BLOCKS, render_status
from certgen.status import Standing, State, Status, judge, urgency

FIRST = certificate_for(authority(ROOT, days=3650), at=NOW - 200 * DAY)
SECOND = certificate_for(authority(ISSUING, ROOT, 1825), FIRST, at=NOW - 200 * DAY)
OLD, LATE, FRESH = (member(Address(Section.SERVERS, name)) for name in ("old", "late", "fresh"))
FIXED = asking(member(MAIL), validity=Validity(not_after=NOW + 20 * DAY))
AWAY = member(APP)
EARLY = member(Address(Section.CLIENTS, "early"))


def status_of(
    *found: tuple[Entry, Certificate | None], name: str = "shop", within: int | None = None, fault: str = ""
) -> Status:
    bundle = Bundle(name, f"{name}.yaml", (authority(ROOT, days=3650), authority(ISSUING, ROOT, 1825),
                                           *(entry for entry, _ in found if not entry.is_ca)))  # fmt: skip
    absent = State.UNREADABLE if fault else State.MISSING
    standings = [
        judge(bundle, Standing(entry.address, f"output/{name}/{entry.address}/cert.pem", State.FINE if one else absent,
                               one, fault="" if one else fault), NOW, within)
        for entry, one in found
    ]  # fmt: skip
    return Status(name, Path("output", name), NOW, within, tuple(sorted(standings, key=urgency)))


def signed(entry: Entry, days: float, issuer: Certificate = SECOND) -> tuple[Entry, Certificate]:
    """Give an entry with its certificate as it was signed some days ago."""
    return entry, certificate_for(entry, issuer, at=NOW - timedelta(days=days))


ROOTS = ((authority(ROOT, days=3650), FIRST), (authority(ISSUING, ROOT, 1825), SECOND))
ALL = status_of(*ROOTS, signed(OLD, 95), signed(LATE, 65), signed(FRESH, 10), signed(FIXED, 30), (AWAY, None),
                signed(EARLY, -1))  # fmt: skip


def test_each_state_stands_with_what_is_left_of_it() -> None:
    assert render_status([ALL]) == dedent("""\
          address        state          lifetime    not after           left
        ! clients/app    missing
        ! servers/old    expired        ##########  2026-05-27 11:54Z    -5d
        ! clients/early  not yet valid  ..........  2026-08-31 11:54Z    90d
        ! servers/late   due            #######...  2026-06-26 11:54Z    24d
        ! servers/mail   fine           ######....  2026-06-21 12:00Z    20d
          servers/fresh  fine           #.........  2026-08-20 11:54Z    79d
          cas/issuing    fine           #.........  2030-11-12 11:54Z  1624d
          cas/root       fine           ..........  2035-11-11 11:54Z  3449d
        shop: 1 missing, 1 expired, 1 not yet valid, 1 due, 1 ending within 30d, of 8
          certificates
        """)


def test_issuers_stand_where_there_is_room_for_them() -> None:
    narrow = render_status([status_of(*ROOTS, signed(FRESH, 10))])
    assert narrow.splitlines()[:4] == [
        "  address        state  lifetime    not after           left  issuer",
        "  servers/fresh  fine   #.........  2026-08-20 11:54Z    79d  Shop issuing",
        "  cas/issuing    fine   #.........  2030-11-12 11:54Z  1624d  Shop root",
        "  cas/root       fine   ..........  2035-11-11 11:54Z  3449d  itself",
    ]
    long = replace(SECOND, subject=name_of("An issuer with a name that is long"))
    row = status_of(signed(FRESH, 10, long))
    assert [render_status([row], width=width).splitlines()[1].partition("79d")[2] for width in (72, 73, 80, 200)] == [
        "",
        "  An issuer...",
        "  An issuer with a...",
        "  An issuer with a name...",
    ]


def test_nothing_presses_where_all_is_fine_and_what_is_due_first_is_named() -> None:
    calm = status_of(*ROOTS, signed(FRESH, 10), signed(OLD, 20))
    assert render_status([calm]).splitlines()[-1] == (
        "shop: nothing presses, 4 certificates; next due servers/old on 2026-07-11"
    )
    assert "!" not in render_status([calm])
    alone = status_of((FIXED, certificate_for(asking(FIXED, validity=Validity(not_after=NOW + 99 * DAY)))))
    assert render_status([alone]).splitlines()[-1] == "shop: nothing presses, one certificate"


def test_what_presses_by_what_was_asked_is_said_so() -> None:
    asked = status_of(signed(FRESH, 10), signed(LATE, 65), within=80 * DAYS)
    assert render_status([asked]).splitlines()[-1] == "shop: 1 due, 1 ending within 80d, of 2 certificates"
    certificate = replace(certificate_for(FIXED), not_after=NOW + timedelta(seconds=60))
    for seconds, words in ((36 * 3600, "36h"), (90 * 60, "90m"), (61, "61s")):
        ending = status_of((FIXED, certificate), within=seconds)
        assert render_status([ending]).splitlines()[-1] == f"shop: 1 ending within {words}, of one certificate"


def test_a_ca_that_is_due_presses_nobody_and_shows_that_it_is() -> None:
    ca = authority(ROOT, days=3650)
    lines = render_status([status_of((ca, certificate_for(ca, at=NOW - 3000 * DAY)))]).splitlines()
    assert lines[1:] == [
        "  cas/root  due    ########..  2028-03-12 11:54Z  649d  itself",
        "shop: nothing presses, one certificate",
    ]
    pressing = status_of((ca, certificate_for(ca, at=NOW - 3630 * DAY)))
    assert render_status([pressing]).splitlines()[-1] == "shop: 1 ending within 30d, of one certificate"


def test_what_cannot_be_read_has_a_sign_of_its_own() -> None:
    lines = render_status([status_of((AWAY, None), fault="a link")]).splitlines()
    assert lines[1:] == ["? clients/app  unreadable", "shop: 1 unreadable, of one certificate"]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=2), "2d"),
        (timedelta(days=2, seconds=-1), "47h"),
        (timedelta(hours=2, seconds=-1), "119m"),
        (timedelta(seconds=119), "119s"),
        (timedelta(0), "0s"),
        (timedelta(seconds=-1), "-1s"),
        (timedelta(hours=-3), "-3h"),
        (timedelta(days=-400), "-400d"),
    ],
)
def test_what_is_left_is_told_in_a_unit_that_fits(left: timedelta, words: str) -> None:
    entry, certificate = signed(FRESH, 10)
    row = render_status([status_of((entry, replace(certificate, not_after=NOW + left)))]).splitlines()[1]
    assert row.split("Z")[1].split()[0] == words


def test_several_specs_are_one_table_and_their_addresses_are_qualified() -> None:
    statuses = [status_of(signed(FRESH, 10)), status_of(signed(OLD, 95), name="bank")]
    lines = render_status(statuses, is_qualified=True).splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["!", "bank/servers/old", "expired"],
        ["shop/servers/fresh", "fine", "#........."],
    ]
    assert [line.partition(":")[0] for line in lines[3:]] == ["shop", "bank"]


def test_blocks_take_the_place_of_ascii_where_they_can_be_shown() -> None:
    text = render_status([ALL], bar=BLOCKS)
    assert "███████░░░" in text
    assert "#" not in text
    assert render_status([ALL]).isascii()
    assert text.replace("█", "#").replace("░", ".") == render_status([ALL])


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (85, ["address", "state", "lifetime", "not after", "left", "issuer"]),
        (80, ["address", "state", "lifetime", "not after", "left"]),
        (71, ["address", "state", "lifetime", "not after", "left"]),
        (60, ["address", "state", "not after", "left"]),
        (40, ["address", "state", "left"]),
    ],
)
def test_columns_go_where_there_is_no_room(width: int, titles: list[str]) -> None:
    lines = render_status([ALL], width=width).splitlines()
    assert [title.strip() for title in lines[0].split("  ") if title.strip()] == titles
    assert max(map(columns, lines)) <= width


LONG = member(Address(Section.SERVERS, "a-server-with-a-name-that-is-rather-long-and-yet-allowed"))


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_long_address_loses_its_middle_on_a_terminal_alone(width: int) -> None:
    status = status_of(signed(LONG, 10))
    lines = render_status([status], width=width).splitlines()
    address = lines[1].split()[0]
    assert (address == str(LONG.address)) is (width == 80)
    assert ("..." in address) is (width < 80)
    assert address.startswith("server")
    assert address.endswith("lowed")
    assert max(map(columns, lines[:2])) <= width
    assert f"  {LONG.address}  fine" in render_status([status])


def test_a_wide_name_of_an_issuer_takes_the_columns_that_it_takes() -> None:
    wide = replace(SECOND, subject=name_of("中" * 30))
    lines = render_status([status_of(signed(FRESH, 10, wide))], width=120).splitlines()
    assert lines[1].endswith(f"{'中' * 10}...")
    nameless = replace(SECOND, subject=replace(SECOND.subject, attributes=(("organization", "Shop"),)))
    assert render_status([status_of(signed(FRESH, 10, nameless))]).splitlines()[1].endswith("  O=Shop")


def test_nothing_that_a_terminal_would_obey_gets_through() -> None:
    evil = replace(SECOND, subject=name_of("\x1b[31m\u202e\n##[x]"))
    text = render_status([status_of(signed(FRESH, 10, evil))], width=120)
    assert "\\x1b[31m\\u202e\\x0a" in text
    assert [c for c in text if c != "\n" and not c.isprintable()] == []


def test_colours_say_what_the_states_mean_and_move_no_column() -> None:
    painted: list[tuple[str, Style]] = []

    def painter(text: str, style: Style) -> str:
        painted.append((text, style))
        return text

    assert render_status([ALL], painter) == render_status([ALL])
    assert [(text, style) for text, style in painted if style is not Style.FAINT] == [
        ("missing", Style.ERROR), ("!", Style.ERROR),
        ("expired", Style.ERROR), ("!", Style.ERROR),
        ("not yet valid", Style.WARNING), ("!", Style.WARNING),
        ("due", Style.CHANGED), ("!", Style.CHANGED),
        ("fine", Style.ADDED), ("!", Style.ADDED),
        ("fine", Style.ADDED), ("fine", Style.ADDED), ("fine", Style.ADDED),
        ("shop", Style.STRONG),
    ]  # fmt: skip


def test_a_spec_without_entries_is_told_in_a_line() -> None:
    assert render_status([Status("shop", Path("output/shop"), NOW, None, ())]) == (
        "shop: nothing presses, 0 certificates\n"
    )


def test_json_tells_what_is_known_of_each() -> None:
    body = json_v1.status(status_of(signed(LATE, 65), (AWAY, None)))
    assert {key: body[key] for key in ("name", "output", "at", "pressing")} == {
        "name": "shop",
        "output": "output/shop",
        "at": "2026-06-01T12:00:00Z",
        "pressing": 2,
    }
    missing, late = body["certificates"]
    assert missing == {
        "address": "clients/app",
        "file": "output/shop/clients/app/cert.pem",
        "state": "missing",
        "pressing": True,
    }
    assert late.pop("serial_number")
    assert late == {
        "address": "servers/late",
        "file": "output/shop/servers/late/cert.pem",
        "state": "due",
        "pressing": True,
        "not_before": "2026-03-28T11:55:00Z",
        "not_after": "2026-06-26T11:54:59Z",
        "renewal_due": "2026-05-27T11:54:59Z",
        "days_left": 24,
        "seconds_left": 2159699,
        "lifetime_used": 0.7223,
        "subject": "CN=late",
        "issuer": "CN=Shop issuing",
    }
    (fixed,) = json_v1.status(status_of(signed(FIXED, 30)))["certificates"]
    assert (fixed["renewal_due"], fixed["state"]) == (None, "fine")
    (early,) = json_v1.status(status_of(signed(EARLY, -1)))["certificates"]
    assert (early["state"], early["lifetime_used"]) == ("not_yet_valid", 0.0)
