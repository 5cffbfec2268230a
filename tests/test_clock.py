"""The real program under another clock: exactly what is due is renewed, to the second, whatever the instant is called.

Debian's faketime holds the clock still at the second that a test names.
"""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from foreign import openssl
from programs import require
from runs import ENVIRONMENT, Ran, Shop
from samples import one_in
from scene import take_snapshot, touched

SPEC = """\
    version: 1
    cas:
      root: {validity: 10y}
      issuing: {issuer: root, validity: 5y}
    servers:
      api: {issuer: issuing, sans: api.shop.example}
      web: {issuer: issuing, sans: web.shop.example, validity: 90d}
    clients:
      checkout: {issuer: issuing, renew_before: 10%}
      report: {issuer: root, renew_before: 30d, validity: 60d}
"""
ALL = ("cas/root", "cas/issuing", "servers/api", "servers/web", "clients/checkout", "clients/report")
TWELVE_HOURS = "version: 1\nca: {}\nservers: {api: {sans: localhost, validity: 12h}}\n"
LEAP_DAY = datetime(2028, 2, 29, 12, tzinfo=UTC)
BACKDATED = timedelta(minutes=5)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
CENTRAL_EUROPE = "CET-1CEST,M3.5.0,M10.5.0/3"
"""Summer time begins on 2026-03-29 and ends on 2026-10-25, both at 01:00 UTC."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def held(now: datetime, zone: str = "UTC") -> tuple[list[str], dict[str, str]]:
    """The words that hold the clock of a command, and the variables that go with them."""
    variables = {"FAKETIME_FMT": "%s", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": zone}
    return [str(require("faketime")), "-f", str(int(now.timestamp()))], variables


class Timed(Shop):
    """A folder in which commands are typed at a time."""

    def at(self, now: datetime, *arguments: str, zone: str = "UTC") -> Ran:
        words, variables = held(now, zone)
        return self.run(*arguments, "shop.yaml", before=words, env=variables)

    def planned(self, now: datetime, zone: str = "UTC") -> dict[str, set[str]]:
        """What would be done and why, by address."""
        ran = self.at(now, "plan", "--json", zone=zone)
        changes = changes_of(ran, now)
        assert ran.code == (1 if changes else 0), ran
        return changes

    def applied(self, now: datetime, *arguments: str, zone: str = "UTC") -> dict[str, set[str]]:
        """What was done and why, by address; no other certificate has changed, and no key at all."""
        before = take_snapshot(self.tree)
        ran = self.at(now, "apply", "--json", *arguments, zone=zone)
        assert ran.code == 0, ran
        changes, written = changes_of(ran, now), touched(before, take_snapshot(self.tree))
        signed = {address for address, codes in changes.items() if codes - {"path_changed", "trust_changed"}}
        if before:
            certified = {path.removesuffix("/cert.pem") for path in written if path.endswith("/cert.pem")}
            assert certified == {address for address in changes if signed or "path_changed" in changes[address]}
            assert not [path for path in written if path.endswith("key.pem")]
            assert bool(written) == bool(changes)
        return changes

    def dates(self, address: str) -> tuple[datetime, datetime]:
        """The first and the last second of a certificate, as OpenSSL reads them."""
        command: list[str | Path] = ["openssl", "x509", "-in", self.tree / address / "cert.pem", "-noout", "-dates"]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        first, last = (line.split("=")[1] for line in words.splitlines())
        return moment(first), moment(last)

    def time_types(self, address: str) -> list[str]:
        """Both dates with their ASN.1 types, as OpenSSL sees them."""
        command: list[str | Path] = ["openssl", "asn1parse", "-in", self.tree / address / "cert.pem"]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [f"{kind} {text}" for kind, text in re.findall(r"prim: (UTCTIME|GENERALIZEDTIME) *:(\w+)", words)]


def moment(words: str) -> datetime:
    return datetime.strptime(words.strip(), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


def changes_of(ran: Ran, now: datetime) -> dict[str, set[str]]:
    (spec,) = json.loads(ran.out)["specs"]
    assert spec["at"] == f"{now:%Y-%m-%dT%H:%M:%SZ}"
    return {change["address"]: {reason["code"] for reason in change["reasons"]} for change in spec["changes"]}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that was compiled at noon of a 29 February."""
    shop = Timed(tmp_path_factory.mktemp("clock"), SPEC)
    assert shop.applied(LEAP_DAY).keys() == {".gitignore", ".gitattributes", *ALL}
    return shop.folder


@pytest.fixture
def shop(compiled: Path, tmp_path: Path) -> Timed:
    return Timed(Path(shutil.copytree(compiled, tmp_path / "shop")))


# The clock


def test_the_clock_is_held_and_the_time_zone_counts() -> None:
    told = {}
    for now in (at("2026-10-25 00:59:59"), at("2026-10-25 01:00:00")):
        words, variables = held(now, CENTRAL_EUROPE)
        done = subprocess.run(
            [*words, "date", "+%s %H:%M:%S %Z"],
            env={**ENVIRONMENT, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, told[now.hour] = done.stdout.strip().split(" ", 1)
        assert int(seconds) == now.timestamp()
    assert told == {0: "02:59:59 CEST", 1: "02:00:00 CET"}


# The renewal point

BEGIN = LEAP_DAY - BACKDATED
EXPIRED, DUE = {"expired"}, {"renewal_due"}
POINTS = {
    "a month before the end": (BEGIN + 30 * DAY - SECOND, "clients/report", {}),
    "a third before the end": (BEGIN + 60 * DAY - SECOND, "servers/web", {"clients/report": DUE}),
    "a tenth before the end": (
        BEGIN + 328.5 * DAY - SECOND,
        "clients/checkout",
        {"clients/report": EXPIRED, "servers/web": EXPIRED, "servers/api": DUE},
    ),
    "a third before an intermediate's end": (
        BEGIN + 1825 * DAY * 2 / 3 - SECOND,
        "cas/issuing",
        {address: EXPIRED for address in ALL if not address.startswith("cas/")},
    ),
}


@pytest.mark.parametrize(("point", "address", "others"), POINTS.values(), ids=POINTS)
def test_one_second_before_its_renewal_point_nothing_is_due_and_at_it_this_is(
    shop: Timed, point: datetime, address: str, others: dict[str, set[str]]
) -> None:
    assert shop.planned(point - SECOND) == others
    assert shop.applied(point) == others | {address: DUE}
    assert shop.dates(address)[0] == point - BACKDATED


INSTANTS = {
    "the last second of 32 bits is before it": (at("2038-01-19 03:14:08"), "UTC"),
    "the first second of 2050": (at("2050-01-01 00:00:00"), "UTC"),
    "the hour that summer time skips": (at("2026-03-29 01:00:00"), CENTRAL_EUROPE),
    "the hour that comes twice": (at("2026-10-25 01:00:00"), CENTRAL_EUROPE),
}


@pytest.mark.parametrize("name", one_in(2, INSTANTS))
def test_the_renewal_point_is_an_instant_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    point, zone = INSTANTS[name]
    shop = Timed(tmp_path, TWELVE_HOURS)
    issued = point - timedelta(hours=8) + SECOND + BACKDATED
    assert "servers/api" in shop.applied(issued, zone=zone)
    first = issued - BACKDATED
    assert shop.dates("servers/api") == (first, first + timedelta(hours=12) - SECOND)
    assert shop.planned(point - SECOND, zone=zone) == {}
    assert shop.applied(point, zone=zone) == {"servers/api": DUE}
    first = point - BACKDATED
    assert shop.dates("servers/api") == (first, first + timedelta(hours=12) - SECOND)


# Dates


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2028-02-29 12:00:00", "2029-02-28 11:54:59"),
        ("2027-03-01 00:05:00", "2028-02-28 23:59:59"),
    ],
    ids=["from a 29 February", "over a 29 February"],
)
def test_a_year_is_365_days_wherever_the_29_february_is(tmp_path: Path, now: str, last: str) -> None:
    shop = Timed(tmp_path, "version: 1\nca: {}\nservers: {api: {sans: localhost, validity: 1y}}\n")
    shop.applied(at(now))
    first = at(now) - BACKDATED
    assert shop.dates("servers/api") == (first, at(last))
    assert at(last) - first == 365 * DAY - SECOND


def test_dates_either_side_of_2050_have_the_types_of_the_standard(tmp_path: Path) -> None:
    shop = Timed(
        tmp_path,
        """\
        version: 1
        ca: {validity: 30y}
        servers:
          hourly: {sans: localhost, validity: 1h}
          before: {sans: localhost, not_after: 2049-12-31T23:59:59Z}
          after: {sans: localhost, not_after: 2050-01-01T00:00:00Z}
        """,
    )
    shop.applied(at("2049-12-31 22:05:00"))
    assert shop.time_types("servers/before") == ["UTCTIME 491231220000Z", "UTCTIME 491231235959Z"]
    assert shop.time_types("servers/after") == ["UTCTIME 491231220000Z", "GENERALIZEDTIME 20500101000000Z"]
    assert shop.time_types("cas/ca")[1] == "GENERALIZEDTIME 20791224215959Z"
    shop.applied(at("2050-01-01 00:04:59"))
    assert shop.time_types("servers/hourly") == ["UTCTIME 491231235959Z", "GENERALIZEDTIME 20500101005958Z"]
    assert shop.applied(at("2050-01-01 00:05:00"), "--renew", "servers/hourly") == {"servers/hourly": {"requested"}}
    assert shop.time_types("servers/hourly") == ["GENERALIZEDTIME 20500101000000Z", "GENERALIZEDTIME 20500101005959Z"]


# A clock that is set back


def test_a_clock_that_is_set_back_by_a_day_renews_nothing(shop: Timed) -> None:
    assert shop.applied(BEGIN - DAY) == {}


def test_what_begins_more_than_a_day_ahead_is_renewed_with_its_key(shop: Timed) -> None:
    now = BEGIN - DAY - SECOND
    changes = shop.applied(now)
    assert {address: codes & {"not_yet_valid"} for address, codes in changes.items()} == {
        address: {"not_yet_valid"} for address in ALL
    }
    assert {shop.dates(address)[0] for address in ALL} == {now - BACKDATED}
    assert shop.planned(now) == {}
    verdict = openssl(shop.tree / "servers/api/cert.pem", shop.tree / "clients/report/ca.pem", "server", at=now)
    assert verdict.accepted, verdict.words
    assert shop.planned(LEAP_DAY) == {}


def test_only_what_a_clock_signed_that_ran_ahead_is_renewed(shop: Timed) -> None:
    ahead = LEAP_DAY + 2 * DAY
    assert shop.applied(ahead, "--renew", "servers/api") == {"servers/api": {"requested"}}
    assert shop.planned(ahead - BACKDATED - DAY) == {}
    assert shop.applied(ahead - BACKDATED - DAY - SECOND) == {"servers/api": {"not_yet_valid"}}
