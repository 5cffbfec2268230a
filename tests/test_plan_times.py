"""When a certificate begins and ends, when it is due, and what is wrong with its dates."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import DAY, DAYS, ISSUING, NOW, ROOT, SECOND, WEB, asking, authority, certificate_for, member

from certgen.lifetime import RenewBefore, Validity, backdating
from certgen.model import Certificate, Entry
from certgen.plan.times import Term, date_reasons, due_at, is_due, may_be_cut, new_term, wanted_end
from certgen.plan.values import ReasonCode

LONG = Term(NOW - 100 * DAY, NOW + 1000 * DAY)
ISSUER = replace(certificate_for(authority(ROOT)), not_before=LONG.not_before, not_after=LONG.not_after)


def lasting(validity: Validity, window: RenewBefore | None = None) -> Entry:
    return replace(asking(member(WEB), validity=validity), renew_before=window or RenewBefore())


def codes(certificate: Certificate, entry: Entry, issuer: Term | None = LONG, now: datetime = NOW) -> list[str]:
    was = ISSUER if issuer else None
    return [str(reason.code) for reason in date_reasons(certificate, entry, issuer, was, now)]


class TestBackdating:
    @pytest.mark.parametrize(("seconds", "expected"), [(0, 0), (9, 0), (10, 1), (2990, 299), (3000, 300), (10**9, 300)])
    def test_it_is_five_minutes_at_most_a_tenth(self, seconds: int, expected: int) -> None:
        assert backdating(seconds) == expected


class TestNewTerm:
    @given(seconds=st.integers(10, 40_000 * DAYS), since=st.integers(0, 10**9), left=st.integers(1, 10**9))
    def test_it_lies_within_its_issuers_and_covers_now(self, seconds: int, since: int, left: int) -> None:
        issuer = Term(NOW - timedelta(seconds=since), NOW + timedelta(seconds=left))
        term = new_term(lasting(Validity(seconds)), issuer, NOW)
        assert issuer.not_before <= term.not_before <= NOW <= term.not_after <= issuer.not_after
        assert (term.not_after - term.not_before).total_seconds() <= seconds - 1

    @given(seconds=st.integers(10, 40_000 * DAYS))
    def test_alone_it_lasts_exactly_its_validity(self, seconds: int) -> None:
        term = new_term(lasting(Validity(seconds)), None, NOW)
        assert (term.not_after - term.not_before).total_seconds() == seconds - 1

    def test_fixed_dates_are_taken_as_they_are(self) -> None:
        begin, end = NOW - 30 * DAY, NOW + 30 * DAY
        assert new_term(lasting(Validity(not_before=begin, not_after=end)), LONG, NOW) == Term(begin, end)

    def test_a_fixed_beginning_before_the_issuers_is_what_the_spec_says(self) -> None:
        begin = LONG.not_before - DAY
        assert new_term(lasting(Validity(DAYS * 200, not_before=begin)), LONG, NOW).not_before == begin

    def test_a_fixed_end_is_backdated_as_its_length_allows(self) -> None:
        end = NOW + timedelta(seconds=100)
        assert new_term(lasting(Validity(not_after=end)), LONG, NOW) == Term(NOW - timedelta(seconds=10), end)

    def test_a_fixed_end_that_is_over_gives_a_term_that_is_over(self) -> None:
        term = new_term(lasting(Validity(not_after=NOW - DAY)), LONG, NOW)
        assert term.not_after < term.not_before

    def test_times_stay_in_utc(self) -> None:
        assert new_term(lasting(Validity(1000)), LONG, NOW).not_before.tzinfo is UTC


class TestFixedEnd:
    def test_it_follows_from_a_fixed_beginning_and_a_validity(self) -> None:
        assert Validity(10, not_before=NOW).fixed_end == NOW + timedelta(seconds=9)

    def test_it_is_what_the_spec_says(self) -> None:
        assert Validity(not_after=NOW).fixed_end == NOW

    def test_a_validity_alone_has_none(self) -> None:
        assert Validity(10).fixed_end is None


class TestWantedEnd:
    def test_it_counts_from_the_certificates_own_beginning(self) -> None:
        entry = lasting(Validity(10 * DAYS))
        certificate = certificate_for(entry, ISSUER, at=NOW - 3 * DAY)
        assert wanted_end(certificate, entry, LONG) == certificate.not_after

    def test_the_issuer_cuts_it(self) -> None:
        entry = lasting(Validity(10 * DAYS))
        short = Term(NOW - DAY, NOW + DAY)
        assert wanted_end(certificate_for(entry, ISSUER), entry, short) == NOW + DAY


class TestTheWindow:
    @pytest.mark.parametrize(
        ("window", "seconds"),
        [
            (RenewBefore(), 30 * DAYS),
            (RenewBefore(share=Fraction(1, 10)), 9 * DAYS),
            (RenewBefore(seconds=5), 5),
            (RenewBefore(longest_issued=40 * DAYS), 40 * DAYS),
            (RenewBefore(longest_issued=20 * DAYS), 30 * DAYS),
            (RenewBefore(longest_issued=400 * DAYS), 60 * DAYS),
        ],
    )
    def test_of_ninety_days(self, window: RenewBefore, seconds: int) -> None:
        assert window.of(90 * DAYS) == seconds

    def test_a_share_is_of_the_certificates_own_lifetime(self) -> None:
        entry = lasting(Validity(90 * DAYS))
        certificate = certificate_for(entry, ISSUER)
        cut = replace(certificate, not_after=certificate.not_before + 9 * DAY - SECOND)
        assert due_at(certificate, entry) == certificate.not_after - 30 * DAY
        assert due_at(cut, entry) == cut.not_after - 3 * DAY

    def test_it_is_due_from_its_first_second(self) -> None:
        entry = lasting(Validity(90 * DAYS))
        certificate = certificate_for(entry, ISSUER)
        opens = due_at(certificate, entry)
        assert is_due(certificate, entry, opens)
        assert not is_due(certificate, entry, opens - SECOND)


class TestDateReasons:
    entry = lasting(Validity(90 * DAYS))
    certificate = certificate_for(entry, ISSUER)

    def test_a_certificate_as_asked_has_none(self) -> None:
        assert codes(self.certificate, self.entry) == []
        assert codes(self.certificate, self.entry, None) == []

    @pytest.mark.parametrize("seconds", [-1, 1])
    def test_a_second_more_or_less_is_another_tools_rounding(self, seconds: int) -> None:
        end = self.certificate.not_after + timedelta(seconds=seconds)
        assert codes(replace(self.certificate, not_after=end), self.entry) == []

    @pytest.mark.parametrize("seconds", [-2, 2])
    def test_two_seconds_are_another_validity(self, seconds: int) -> None:
        end = self.certificate.not_after + timedelta(seconds=seconds)
        assert codes(replace(self.certificate, not_after=end), self.entry) == ["validity_changed"]

    def test_it_is_expired_after_its_last_second(self) -> None:
        end = self.certificate.not_after
        assert codes(self.certificate, self.entry, now=end) == []
        assert codes(self.certificate, self.entry, now=end + SECOND) == ["expired"]

    def test_more_than_a_day_ahead_it_is_not_yet_valid(self) -> None:
        ahead = certificate_for(self.entry, ISSUER, at=NOW + DAY + timedelta(minutes=5))
        assert codes(ahead, self.entry) == []
        later = certificate_for(self.entry, ISSUER, at=NOW + DAY + timedelta(minutes=5, seconds=1))
        assert codes(later, self.entry) == ["not_yet_valid"]

    def test_it_outlives_an_issuer_that_ends_a_second_earlier(self) -> None:
        end = self.certificate.not_after
        assert codes(self.certificate, self.entry, Term(LONG.not_before, end)) == []
        assert codes(self.certificate, self.entry, Term(LONG.not_before, end - SECOND)) == ["outlives_issuer"]

    def test_cut_at_the_old_end_of_its_issuer_it_is_due_once_that_is_renewed(self) -> None:
        was = replace(ISSUER, not_after=NOW + 50 * DAY)
        cut = replace(self.certificate, not_after=was.not_after)
        (reason,) = date_reasons(cut, self.entry, LONG, was, NOW)
        assert reason.code is ReasonCode.RENEWAL_DUE
        assert "2026-07-21" in (reason.was or "")
        assert date_reasons(cut, self.entry, Term(was.not_before, was.not_after), was, NOW) == []

    def test_another_beginning_than_the_fixed_one_is_another_validity(self) -> None:
        begin = NOW - DAY
        entry = lasting(Validity(not_before=begin, not_after=NOW + 30 * DAY))
        good = certificate_for(entry, ISSUER)
        assert codes(good, entry) == []
        assert codes(replace(good, not_before=begin + SECOND), entry) == ["validity_changed"]

    def test_the_evidence_names_both_validities(self) -> None:
        (reason,) = date_reasons(self.certificate, lasting(Validity(36 * 3600)), LONG, ISSUER, NOW)
        assert (reason.was or "").startswith("90 days, to 2026-08-30")
        assert (reason.wanted or "").startswith("129600 seconds, to 2026-06-02")

    def test_the_evidence_names_a_fixed_end(self) -> None:
        entry = lasting(Validity(not_after=NOW + 20 * DAY))
        (reason,) = date_reasons(self.certificate, entry, LONG, ISSUER, NOW)
        assert reason.wanted == "to 2026-06-21 12:00Z"


def test_an_authority_that_says_nothing_is_due_before_it_would_cut_what_it_issues() -> None:
    window = RenewBefore(longest_issued=90 * DAYS)
    entry = authority(ISSUING, ROOT, 200, renew_before=window)
    certificate = certificate_for(entry, ISSUER)
    assert due_at(certificate, entry) == certificate.not_after - 90 * DAY


def test_what_lasts_as_long_as_it_should_was_not_cut() -> None:
    entry = member(WEB)
    begin = NOW - timedelta(days=9)
    for seconds, is_cut_short in ((90 * DAYS - 1, False), (90 * DAYS - 2, True)):
        end = begin + timedelta(seconds=seconds)
        certificate = replace(certificate_for(entry), not_before=begin, not_after=end)
        issuer = Term(NOW, NOW + timedelta(days=900))
        assert may_be_cut(certificate, entry, issuer) is is_cut_short
