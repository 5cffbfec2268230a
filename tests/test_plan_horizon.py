"""How long a decision stays as it is: the first second at which anything may be judged otherwise, and no later one."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from values import DAY, DAYS, ISSUING, NOW, ROOT, SECOND, WEB, asking, decide, disk_of, member, shop, supplied_ca

from certgen.lifetime import RenewBefore, Validity
from certgen.model import Bundle
from certgen.plan.horizon import next_instant
from certgen.plan.values import Plan


def judged(bundle: Bundle, now: datetime) -> tuple[Plan, datetime]:
    disk = disk_of(bundle)
    return decide(bundle, disk, now), next_instant(bundle, disk.observed(), now)


def test_it_is_the_first_renewal_of_all() -> None:
    early = replace(member(WEB, days=30), renew_before=RenewBefore(10 * DAYS))
    bundle = shop(early)
    plan, instant = judged(bundle, NOW)
    assert plan.is_in_sync
    assert instant == disk_of(bundle).certificates[WEB].not_after - 10 * DAY
    assert judged(bundle, instant - SECOND)[0].is_in_sync
    assert not judged(bundle, instant)[0].is_in_sync


def test_what_is_due_and_waits_for_its_issuer_is_looked_at_again_when_it_ends() -> None:
    """Its successor would end no later; then it has expired."""
    short = replace(member(WEB, days=10_000), renew_before=RenewBefore(9_999 * DAYS))
    bundle = shop(short)
    end = disk_of(bundle).certificates[WEB].not_after
    others = min(disk_of(bundle).certificates[address].not_after for address in (ISSUING, ROOT))
    now = NOW + 2 * DAY
    plan, instant = judged(bundle, now)
    assert plan.is_in_sync
    assert "issuer-ends" in {notice.code for notice in plan.notices}
    assert instant <= min(end, others) + SECOND


def test_a_fixed_end_is_looked_at_again_as_it_nears_and_when_it_is_over() -> None:
    end = NOW + 90 * DAY
    fixed = replace(asking(member(WEB), validity=Validity(not_after=end)), renew_before=RenewBefore(40 * DAYS))
    bundle = shop(fixed)
    assert judged(bundle, NOW)[1] == end - 40 * DAY
    assert judged(bundle, NOW + 60 * DAY)[1] <= end + SECOND


def test_a_ca_that_the_user_brings_is_looked_at_again_when_it_ends() -> None:
    supplied = supplied_ca(ROOT)
    assert supplied.supplied is not None
    end = supplied.supplied.path[0].not_after
    bundle = shop(supplied)
    latest = next_instant(bundle, disk_of(bundle).observed(), end - timedelta(seconds=1))
    assert latest <= end + SECOND


@pytest.mark.parametrize("days", [0, 10, 59])
def test_it_lies_in_the_future(days: int) -> None:
    now = NOW + days * DAY
    assert judged(shop(), now)[1] > now
