"""How certificates stand: the state of each at every moment of its life, which press, and what is due first."""

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from foreign.hierarchy import NOW as REAL_NOW
from foreign.hierarchy import make_ca, write_pem
from scene import NOW as APPLIED
from scene import Scene, take_snapshot
from values import DAY, ISSUING, NOW, ROOT, SECOND, WEB, asking, authority, certificate_for, member, shop, supplied_ca

from certgen.diagnostics import CertgenError
from certgen.lifetime import RenewBefore, Validity
from certgen.model import Entry
from certgen.status import Standing, State, Status, judge, parse_within, read_status, unreadable, urgency

BEGIN = NOW - timedelta(minutes=5)
QUARTER = member(WEB, days=90)
"""It lasts 90 days, and is due when a third of them is left."""
END = BEGIN + 90 * DAY - SECOND
SPEC = """
version: 1
cas:
  root: {common_name: Shop Root}
  issuing: {issuer: root, common_name: Shop Issuing}
defaults: {issuer: issuing}
servers:
  api: {sans: api.shop.example}
  web: {sans: web.shop.example, validity: 90d}
clients:
  checkout: {publish: symlink}
"""


def judged(entry: Entry, now: datetime, within: int | None = None, *others: Entry) -> Standing:
    """Judge the certificate of an entry, as it was signed at the time of the tests."""
    certificate = entry.supplied.path[0] if entry.supplied else certificate_for(entry)
    found = Standing(entry.address, "cert.pem", State.FINE, certificate)
    return judge(shop(entry, *others), found, now, within)


def stands(standing: Standing) -> tuple[str, bool]:
    return str(standing.state), standing.is_pressing


class TestState:
    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            (BEGIN - SECOND, ("not_yet_valid", True)),
            (BEGIN, ("fine", False)),
            (END - 31 * DAY, ("fine", False)),
            (END - 30 * DAY - SECOND, ("fine", False)),
            (END - 30 * DAY, ("due", True)),
            (END, ("due", True)),
            (END + SECOND, ("expired", True)),
        ],
    )
    def test_ninety_days_with_a_window_of_a_third(self, now: datetime, expected: tuple[str, bool]) -> None:
        assert stands(judged(QUARTER, now)) == expected

    def test_it_is_due_when_a_plan_says_so(self) -> None:
        assert judged(QUARTER, NOW).due == END - 30 * DAY
        week = replace(QUARTER, renew_before=RenewBefore(seconds=7 * 86400))
        assert judged(week, NOW).due == END - 7 * DAY

    def test_none_is_missing_and_presses(self) -> None:
        found = Standing(WEB, "cert.pem", State.MISSING)
        assert stands(judge(shop(), found, NOW, None)) == ("missing", True)

    def test_one_that_nobody_can_read_is_neither_in_order_nor_not(self) -> None:
        found = Standing(WEB, "cert.pem", State.UNREADABLE, fault="a link")
        assert stands(judge(shop(), found, NOW, None)) == ("unreadable", False)

    @pytest.mark.parametrize("is_asked", [True, False])
    def test_a_beginning_that_the_spec_asks_for_presses_nobody(self, is_asked: bool) -> None:
        later = NOW + 10 * DAY
        entry = asking(QUARTER, validity=Validity(86400 * 90, not_before=later))
        certificate = certificate_for(entry)
        assert certificate.not_before == later
        bundle = shop(entry if is_asked else QUARTER)
        found = judge(bundle, Standing(WEB, "cert.pem", State.FINE, certificate), NOW, None)
        assert stands(found) == ("not_yet_valid", not is_asked)

    def test_what_waits_for_its_issuer_presses_nobody_either(self) -> None:
        later = NOW + 10 * DAY
        issuing = asking(authority(ISSUING, ROOT, 500), validity=Validity(86400 * 500, not_before=later))
        certificate = certificate_for(QUARTER, certificate_for(issuing))
        assert certificate.not_before == later
        found = judge(shop(issuing), Standing(WEB, "cert.pem", State.FINE, certificate), NOW, None)
        assert stands(found) == ("not_yet_valid", False)


class TestAuthorities:
    TEN_YEARS = authority(ROOT, days=3650)
    LAST = BEGIN + 3650 * DAY - SECOND

    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            (1300 * DAY, ("fine", False)),
            (1000 * DAY, ("due", False)),
            (365 * DAY, ("due", False)),
            (30 * DAY + SECOND, ("due", False)),
            (30 * DAY, ("due", True)),
            (-SECOND, ("expired", True)),
        ],
    )
    def test_one_with_a_year_to_go_does_not_press_though_it_is_due(
        self, left: timedelta, expected: tuple[str, bool]
    ) -> None:
        assert stands(judged(self.TEN_YEARS, self.LAST - left)) == expected

    def test_an_end_entity_that_is_as_due_as_that_presses(self) -> None:
        assert stands(judged(member(WEB, days=3650), self.LAST - 365 * DAY)) == ("due", True)

    def test_one_that_never_lasts_thirty_days_presses_once_it_is_due(self) -> None:
        short = authority(ROOT, days=9)
        last = BEGIN + 9 * DAY - SECOND
        assert stands(judged(short, last - 3 * DAY - SECOND)) == ("fine", False)
        assert stands(judged(short, last - 3 * DAY)) == ("due", True)


class TestWhatTimeDoesNotRenew:
    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            (30 * DAY + SECOND, ("fine", False)),
            (30 * DAY, ("fine", True)),
            (timedelta(), ("fine", True)),
            (-SECOND, ("expired", True)),
        ],
    )
    def test_a_fixed_end_presses_as_it_nears_and_is_never_due(
        self, left: timedelta, expected: tuple[str, bool]
    ) -> None:
        last = NOW + 50 * DAY
        found = judged(asking(QUARTER, validity=Validity(not_after=last)), last - left)
        assert (stands(found), found.due) == (expected, None)

    @pytest.mark.parametrize(("left", "is_pressing"), [(30 * DAY + SECOND, False), (30 * DAY, True)])
    def test_a_ca_of_ones_own_presses_as_its_end_nears(self, left: timedelta, is_pressing: bool) -> None:
        found = judged(supplied_ca(), BEGIN + 1000 * DAY - SECOND - left)
        assert (stands(found), found.due) == (("fine", is_pressing), None)


class TestWithin:
    def test_short_lived_certificates_press_only_when_they_are_due(self) -> None:
        day = member(WEB, days=1)
        assert stands(judged(day, NOW)) == ("fine", False)
        assert stands(judged(day, NOW + timedelta(hours=17))) == ("due", True)

    @pytest.mark.parametrize(("left", "is_pressing"), [(60 * DAY + SECOND, False), (60 * DAY, True)])
    def test_whatever_ends_within_what_is_asked_presses_due_or_not(self, left: timedelta, is_pressing: bool) -> None:
        assert stands(judged(QUARTER, END - left, 60 * 86400)) == ("fine", is_pressing)

    def test_a_shorter_one_hides_nothing_that_is_due(self) -> None:
        assert stands(judged(QUARTER, END - 29 * DAY, 86400)) == ("due", True)

    def test_it_holds_for_authorities_and_for_fixed_ends_too(self) -> None:
        last = BEGIN + 3650 * DAY - SECOND
        for within, is_pressing in ((400, True), (300, False)):
            assert judged(authority(ROOT, days=3650), last - 365 * DAY, within * 86400).is_pressing is is_pressing
        fixed = asking(QUARTER, validity=Validity(not_after=NOW + 50 * DAY))
        assert judged(fixed, NOW + 45 * DAY, 7 * 86400).is_pressing
        assert not judged(fixed, NOW + 25 * DAY, 7 * 86400).is_pressing

    @pytest.mark.parametrize(("text", "seconds"), [("30d", 2592000), ("2w", 1209600), ("12h", 43200), ("1y", 31536000)])
    def test_it_is_a_duration_as_elsewhere(self, text: str, seconds: int) -> None:
        assert parse_within(text) == seconds

    @pytest.mark.parametrize("text", ["", "30", "+30d", "-1d", "101y", "soon", "30 d", "2027-01-01"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(CertgenError) as caught:
            parse_within(text)
        assert [problem.code for problem in caught.value.diagnostics] == ["bad-duration"]


def test_what_presses_comes_first_then_what_is_due_first() -> None:
    now = END
    late = [
        Standing(WEB, "a", State.MISSING, is_pressing=True),
        Standing(WEB, "b", State.UNREADABLE),
        judged(QUARTER, END + SECOND),
        judged(QUARTER, now),
        judged(member(WEB, days=120), now),
        judged(authority(ROOT, days=300), BEGIN + 250 * DAY),
        judged(authority(ROOT, days=400), now),
        judged(authority(ROOT, days=3650), now),
    ]
    assert [str(one.state) for one in late] == [
        "missing", "unreadable", "expired", "due", "due", "due", "fine", "fine",
    ]  # fmt: skip
    assert [one.is_pressing for one in late] == [True, False, True, True, True, False, False, False]
    assert sorted([*late[4:], *late[:4]], key=urgency) == late


# Trees


def look(scene: Scene, now: datetime = APPLIED, within: int | None = None) -> Status:
    (loaded,) = scene.load()
    before = take_snapshot(scene.folder)
    found = read_status(loaded, scene.output, now, within)
    assert take_snapshot(scene.folder) == before
    return found


def states(status: Status) -> dict[str, str]:
    return {str(one.address): str(one.state) for one in status.standings}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene = Scene(tmp_path_factory.mktemp("status"))
    scene.write(SPEC)
    scene.run()
    return scene.folder


@pytest.fixture
def place(compiled: Path, tmp_path: Path) -> Scene:
    """A tree of a test's own."""
    return Scene(Path(shutil.copytree(compiled, tmp_path / "here", symlinks=True)))


ALL = ("servers/web", "servers/api", "clients/checkout", "cas/issuing", "cas/root")
"""In the order in which they are due."""


def test_each_certificate_is_that_of_its_file_what_is_due_first_first(place: Scene) -> None:
    found = look(place)
    assert list(states(found).items()) == [(address, "fine") for address in ALL]
    for one in found.standings:
        assert one.certificate is not None
        assert one.file == str(place.tree / str(one.address) / "cert.pem")
        assert one.certificate.serial_number == place.certificate(str(one.address)).serial_number


def test_a_tree_that_is_not_there_is_all_missing(place: Scene) -> None:
    shutil.rmtree(place.tree)
    found = look(place)
    assert set(states(found).values()) == {"missing"}
    assert [str(one.address) for one in found.standings if one.is_pressing] == [
        "cas/issuing", "cas/root", "servers/api", "servers/web", "clients/checkout",
    ]  # fmt: skip


def test_what_stands_behind_a_link_is_read_and_without_the_link_it_is_what_it_was(place: Scene) -> None:
    folder = place.tree / "clients/checkout"
    assert (folder / "cert.pem").is_symlink()
    serial = place.certificate("clients/checkout").serial_number
    (folder / "cert.pem").unlink()
    one = next(one for one in look(place).standings if str(one.address) == "clients/checkout")
    assert one.certificate is not None
    assert one.certificate.serial_number == serial
    place.run()
    (folder / "..data").unlink()
    found = look(place)
    assert states(found)["clients/checkout"] == "unreadable", "no program can read it either"
    assert [problem.message.partition("be read: ")[2] for problem in unreadable(found)] == [
        "..data leads to no generation beside it"
    ]
    shutil.rmtree(folder)
    assert states(look(place))["clients/checkout"] == "missing"


def test_a_file_that_is_no_certificate_cannot_be_told_and_is_named(place: Scene) -> None:
    (place.tree / "servers/api/cert.pem").write_text("not a certificate")
    web = place.tree / "servers/web/cert.pem"
    web.rename(web.with_name("elsewhere.pem"))
    web.symlink_to("elsewhere.pem")
    found = look(place)
    assert states(found) == {**dict.fromkeys(ALL, "fine"), "servers/api": "unreadable", "servers/web": "unreadable"}
    assert [(item.code, item.where, item.message.partition("cannot")[2]) for item in unreadable(found)] == [
        ("unreadable", "servers/api", " be read: not a PEM certificate that can be read"),
        ("unreadable", "servers/web", " be read: a symbolic link, which is not followed"),
    ]
    web.unlink()
    web.write_text("")
    assert [item.message.rpartition("(")[2] for item in unreadable(look(place))] == ["and 1 more)"]


def test_a_folder_that_is_a_link_is_not_followed(place: Scene) -> None:
    place.tree.rename(place.folder / "aside")
    place.tree.symlink_to(place.folder / "aside")
    found = look(place)
    assert set(states(found).values()) == {"unreadable"}
    assert len(unreadable(found)) == 1


def test_no_private_key_is_opened(place: Scene) -> None:
    for key in place.tree.rglob("key.pem"):
        key.unlink()
    assert set(states(look(place)).values()) == {"fine"}
    (place.tree / "cas/root/cert.pem").unlink()
    assert states(look(place))["cas/root"] == "missing"


def test_a_tree_of_a_later_certgen_is_not_judged(place: Scene) -> None:
    manifest = place.tree / "manifest.json"
    text = manifest.read_text()
    manifest.write_text("<<<<<<< ours\n" + text)
    assert set(states(look(place)).values()) == {"fine"}
    manifest.write_text(text.replace('"version": 1', '"version": 2', 1))
    with pytest.raises(CertgenError) as caught:
        look(place)
    assert [problem.code for problem in caught.value.diagnostics] == ["newer-manifest"]


def test_a_ca_of_ones_own_stands_as_its_file_says(scene: Scene) -> None:
    authority = make_ca("Corporate CA", "ecdsa-p256")
    write_pem(scene.specs / "corporate.pem", authority.certificate)
    scene.write("version: 1\nca: {certificate: corporate.pem}\nclients: {checkout: {}}\n")
    found = look(scene, REAL_NOW)
    assert states(found) == {"clients/checkout": "missing", "cas/ca": "fine"}
    brought = found.standings[1]
    assert brought.file == str(scene.specs / "corporate.pem")
    assert brought.certificate is not None
    assert brought.certificate.not_after == authority.certificate.not_valid_after_utc
    over = look(scene, authority.certificate.not_valid_after_utc + SECOND)
    assert states(over)["cas/ca"] == "expired"
