"""Time: what is due is renewed and nothing else, no child outlives its issuer, and every date is a whole second."""

from datetime import UTC, datetime, timedelta

import pytest
from scene import NOW, Scene

SPEC = """\
    version: 1
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    servers:
      api: {issuer: issuing, sans: [api.shop.example]}
      web: {issuer: issuing, sans: [web.shop.example], validity: 90d}
    clients:
      checkout: {issuer: issuing, renew_before: 10%}
      report: {issuer: root, renew_before: 30d, validity: 60d}
"""
END_ENTITIES = ("servers/api", "servers/web", "clients/checkout", "clients/report")
DUE = "renew: renewal_due; key kept"
ENDED = "renew: expired; key kept"


def days(number: float) -> datetime:
    return NOW + timedelta(days=number)


@pytest.fixture
def shop(scene: Scene) -> Scene:
    scene.write(SPEC)
    scene.apply()
    return scene


# Renewal


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (0, {}),
        (29.9, {}),
        (30.1, {"clients/report": DUE}),
        (59.9, {"clients/report": DUE}),
        (60.1, {"servers/web": DUE, "clients/report": ENDED}),
        (90.1, {"servers/web": ENDED, "clients/report": ENDED}),
        (300, {"servers/api": DUE, "servers/web": ENDED, "clients/report": ENDED}),
        (330, {"servers/api": DUE, "servers/web": ENDED, "clients/checkout": DUE, "clients/report": ENDED}),
    ],
)
def test_only_what_is_due_is_renewed_and_only_once(shop: Scene, after: float, changes: dict[str, str]) -> None:
    before = {address: shop.key_id(address) for address in END_ENTITIES}
    assert {str(change.address) for change in shop.plan(days(after)).changes} == set(changes)
    applied = shop.apply(days(after))
    assert applied.changes == changes
    manifest = {"manifest.json"} if changes else set()
    assert applied.touched == {f"{address}/cert.pem" for address in changes} | manifest
    assert {address: shop.key_id(address) for address in END_ENTITIES} == before
    for address in changes:
        assert shop.certificate(address).not_valid_before_utc == days(after) - timedelta(minutes=5)


def test_a_key_that_rotates_on_renewal_rotates_by_time_too(shop: Scene) -> None:
    shop.edit(("web: {", "web: {key: {rotation: on-renewal}, "))
    before = shop.key_id("servers/web")
    assert shop.apply(days(59)).changes.keys() == {"clients/report"}
    assert shop.apply(days(61)).changes == {"servers/web": "renew: renewal_due; key new"}
    assert shop.key_id("servers/web") != before


def test_without_renewals_what_is_due_waits_and_what_has_ended_does_not(shop: Scene) -> None:
    applied = shop.apply(days(59), no_renew=True)
    assert applied.after == applied.before
    assert shop.apply(days(91), no_renew=True).changes == {"servers/web": ENDED, "clients/report": ENDED}


def test_an_intermediate_is_renewed_by_time_and_its_children_stay(shop: Scene) -> None:
    shop.apply(days(1200))
    before = {address: shop.certificate(address) for address in END_ENTITIES}
    applied = shop.apply(days(1220))
    paths = ("servers/api", "servers/web", "clients/checkout")
    assert applied.changes == {"cas/issuing": DUE, **dict.fromkeys(paths, "write: path_changed")}
    files = {f"{address}/cert.pem" for address in paths}
    assert applied.touched == {"cas/issuing/cert.pem", "manifest.json"} | files
    assert {address: shop.certificate(address) for address in END_ENTITIES} == before


def test_a_root_is_renewed_by_time_with_its_key_and_needs_no_word(shop: Scene) -> None:
    at = 3650 - 1825  # it signs for five years, so it must have as many left
    shop.apply(days(at - 10))
    before = {address: shop.certificate(address) for address in ("cas/issuing", *END_ENTITIES)}
    key = shop.key_id("cas/root")
    applied = shop.apply(days(at + 1))
    assert applied.changes == {"cas/root": DUE, **dict.fromkeys(END_ENTITIES, "write: trust_changed")}
    assert applied.touched == {"cas/root/cert.pem", "manifest.json"} | {f"{a}/ca.pem" for a in END_ENTITIES}
    assert {address: shop.certificate(address) for address in before} == before
    assert shop.key_id("cas/root") == key


def test_a_ca_is_renewed_before_it_would_have_to_cut_short_what_it_signs(scene: Scene) -> None:
    scene.write("version: 1\nca: {validity: 2y}\nservers:\n  api: {sans: localhost, validity: 400d}\n")
    scene.apply()
    assert scene.apply(days(310), no_renew=True).changes == {}
    assert scene.apply(days(310)).changes == {"servers/api": DUE}
    applied = scene.apply(days(331))
    assert applied.changes["cas/ca"] == DUE


def test_what_was_cut_at_its_issuers_end_is_renewed_with_its_issuer(scene: Scene) -> None:
    scene.write("version: 1\nca: {validity: 2y, renew_before: 30d}\nservers:\n  api: {sans: localhost}\n")
    scene.apply()
    scene.apply(days(500))
    ca, api = scene.certificate("cas/ca"), scene.certificate("servers/api")
    assert api.not_valid_after_utc == ca.not_valid_after_utc
    applied = scene.apply(days(701))
    assert applied.changes == {"cas/ca": DUE, "servers/api": "renew: renewal_due, trust_changed; key kept"}
    api = scene.certificate("servers/api")
    assert (api.not_valid_after_utc - api.not_valid_before_utc).days == 364
    assert scene.plan(days(702)).is_in_sync


def test_what_ends_with_its_issuer_is_not_renewed_for_nothing(scene: Scene) -> None:
    scene.write("version: 1\nca: {validity: 2y, renew_before: 10d}\nservers:\n  api: {sans: localhost}\n")
    scene.apply()
    scene.apply(days(500))
    applied = scene.apply(days(715))
    assert applied.changes == {}
    assert applied.notices == ["issuer-ends"]


# Who cannot sign


def test_what_is_due_and_cannot_be_signed_here_is_put_off_and_the_rest_proceeds(shop: Scene) -> None:
    (shop.tree / "cas/issuing/key.pem").unlink()
    applied = shop.apply(days(59))
    assert applied.changes == {"clients/report": DUE}
    applied = shop.apply(days(61))
    assert applied.changes == {}
    (found,) = [notice for notice in applied.plan.notices if notice.code == "put-off"]
    assert found.where == "servers/web"
    last_safe_day = shop.certificate("servers/web").not_valid_after_utc
    assert f"{last_safe_day:%Y-%m-%d}" in (found.help or "")


def test_what_has_ended_and_cannot_be_signed_here_is_refused(shop: Scene) -> None:
    (shop.tree / "cas/issuing/key.pem").unlink()
    assert shop.refused(days(91)) == ["signer-missing cas/issuing"]


# Dates


@pytest.mark.parametrize(
    ("validity", "seconds", "backdating"),
    [("1y", 365 * 86400, 300), ("12h", 43200, 300), ("50m", 3000, 300), ("10m", 600, 60), ("15s", 15, 1)],
)
def test_a_validity_is_to_the_second_and_begins_a_little_earlier(
    scene: Scene, validity: str, seconds: int, backdating: int
) -> None:
    scene.write(f"version: 1\nca: {{}}\nservers:\n  api: {{sans: localhost, validity: {validity}}}\n")
    scene.apply(NOW - timedelta(days=1))
    scene.apply(NOW + timedelta(microseconds=999_999), renew=["servers/api"])
    api = scene.certificate("servers/api")
    assert api.not_valid_before_utc == NOW - timedelta(seconds=backdating)
    assert api.not_valid_after_utc == api.not_valid_before_utc + timedelta(seconds=seconds - 1)


def test_nothing_begins_before_its_issuer_or_ends_after_it(shop: Scene) -> None:
    issuers = {"cas/issuing": "cas/root", "clients/report": "cas/root"}
    for address in ("cas/issuing", *END_ENTITIES):
        issuer = shop.certificate(issuers.get(address, "cas/issuing"))
        certificate = shop.certificate(address)
        assert certificate.not_valid_before_utc >= issuer.not_valid_before_utc
        assert certificate.not_valid_after_utc <= issuer.not_valid_after_utc


@pytest.mark.parametrize(("ahead", "is_wrong"), [(0.9, False), (1.1, True)])
def test_a_certificate_of_a_clock_that_ran_ahead_is_renewed(scene: Scene, ahead: float, is_wrong: bool) -> None:
    scene.write("version: 1\nca: {}\nservers:\n  api: {sans: localhost}\n")
    scene.run(days(-10))
    scene.run(days(ahead), renew=["servers/api"])
    applied = scene.run(NOW)[0]
    assert applied.changes == ({"servers/api": "renew: not_yet_valid; key kept"} if is_wrong else {})
    assert scene.plan(NOW).is_in_sync


def test_a_fixed_end_is_never_due_and_is_warned_of_as_it_nears(scene: Scene) -> None:
    end = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    wish = "{sans: localhost, not_after: 2026-12-31T23:59:59Z}"
    scene.write(f"version: 1\nca: {{}}\nservers:\n  api: {wish}\n")
    assert scene.apply().notices == []
    assert scene.certificate("servers/api").not_valid_after_utc == end
    near = scene.apply(end - timedelta(days=3))
    assert near.after == near.before
    assert near.notices == ["fixed-end"]
    over = scene.run(end + timedelta(days=3))[0]
    assert over.after == over.before
    assert over.notices == ["fixed-end"]


def test_a_fixed_end_that_is_moved_is_an_update_with_the_same_key(scene: Scene) -> None:
    scene.write("version: 1\nca: {}\nservers:\n  api: {sans: localhost, not_after: 2026-12-31T23:59:59Z}\n")
    scene.apply()
    scene.edit(("2026-12-31", "2027-01-31"))
    applied = scene.apply()
    assert applied.changes == {"servers/api": "update: validity_changed; key kept"}
    assert applied.touched == {"servers/api/cert.pem", "manifest.json"}


def test_a_fixed_end_that_has_passed_cannot_be_issued(scene: Scene) -> None:
    scene.write("version: 1\nca: {}\nservers:\n  api: {sans: localhost, not_after: 2026-02-01T00:00:00Z}\n")
    assert scene.refused() == ["validity-ended servers/api"]


def test_fixed_dates_are_in_the_certificate_to_the_second(scene: Scene) -> None:
    dates = "not_before: 2026-02-01T01:02:03+01:00, not_after: 2026-10-01T04:05:06Z"
    scene.write(f"version: 1\nca: {{}}\nservers:\n  api: {{sans: localhost, {dates}}}\n")
    scene.apply()
    api = scene.certificate("servers/api")
    assert api.not_valid_before_utc == datetime(2026, 2, 1, 0, 2, 3, tzinfo=UTC)
    assert api.not_valid_after_utc == datetime(2026, 10, 1, 4, 5, 6, tzinfo=UTC)


def test_dates_from_2050_on_are_written_as_the_standard_says(scene: Scene) -> None:
    scene.write("version: 1\nca: {validity: 30y}\nservers:\n  api: {sans: localhost}\n")
    scene.apply()
    ca = scene.certificate("cas/ca")
    assert ca.not_valid_after_utc.year == 2056
    assert b"\x18\x0f2056" in ca.tbs_certificate_bytes
    assert b"\x17\x0d26" in ca.tbs_certificate_bytes
    api = scene.certificate("servers/api")
    assert b"\x18\x0f" not in api.tbs_certificate_bytes[:200]


def test_what_its_issuer_cuts_short_is_said_when_it_is_signed_and_not_again(scene: Scene) -> None:
    ends = NOW + timedelta(days=100)
    ca = f"version: 1\nca: {{not_after: {ends:%Y-%m-%dT%H:%M:%SZ}}}\n"
    scene.write(ca + "servers: {api: {sans: localhost, validity: 1y}}\n")
    applied = scene.apply()
    (notice,) = applied.plan.notices
    assert notice.code == "cut-short"
    assert notice.message == f"servers/api is cut short: it ends with its issuer cas/ca on {ends:%Y-%m-%d}"
    assert scene.plan().notices == ()
    scene.edit(("validity: 1y", "validity: 90d"))
    assert scene.apply().plan.notices == ()
