"""How what happened is judged: against what the spec says, and for a refusal by its own reason alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from certgen.diagnostics import error
from certgen.model import Address, Section
from certgen.prove.values import Challenge, Encounter, Judgement, Proof, Stranger, Trial
from certgen.tls.causes import Cause, Refusal, Side

API, CHECKOUT = Address(Section.SERVERS, "api"), Address(Section.CLIENTS, "checkout")
ACCEPTED = Trial("TLS 1.3", "localhost", None)
PROOF = Proof("shop", datetime(2026, 3, 1, tzinfo=UTC), (), (), (), ())
FINDING = error("let-in", "it is")


def refused(cause: Cause = Cause.UNKNOWN_AUTHORITY, side: Side = Side.SERVER) -> Trial:
    return Trial("TLS 1.2", None, Refusal(side, cause, "words"))


def side_of(stranger: Stranger) -> Side:
    """Give the side that must refuse: a false server and a wrong name are for the client to see."""
    return Side.CLIENT if stranger in {Stranger.WRONG_NAME, Stranger.FALSE_SERVER} else Side.SERVER


# Encounters


@pytest.mark.parametrize(
    ("is_expected", "trials", "judgement"),
    [
        (True, (ACCEPTED, ACCEPTED), Judgement.AS_EXPECTED),
        (True, (ACCEPTED, refused()), Judgement.UNEXPECTED),
        (True, (refused(), refused()), Judgement.UNEXPECTED),
        (False, (refused(), refused()), Judgement.AS_EXPECTED),
        (False, (ACCEPTED, refused()), Judgement.UNEXPECTED),
        (False, (ACCEPTED, ACCEPTED), Judgement.UNEXPECTED),
    ],
)
def test_a_meeting_is_as_expected_where_every_handshake_is(
    is_expected: bool, trials: tuple[Trial, ...], judgement: Judgement
) -> None:
    assert Encounter(API, CHECKOUT, is_expected, trials).judgement is judgement


@pytest.mark.parametrize("is_expected", [True, False])
def test_what_could_not_be_tried_is_neither(is_expected: bool) -> None:
    assert Encounter(API, CHECKOUT, is_expected, obstacle="no key").judgement is Judgement.UNKNOWN


def test_a_rule_that_keeps_a_client_out_changes_nothing_about_the_handshake() -> None:
    assert Encounter(API, CHECKOUT, True, (ACCEPTED,), turned_away_by=("nginx",)).judgement is Judgement.AS_EXPECTED


# Strangers


@pytest.mark.parametrize("stranger", Stranger)
def test_a_stranger_is_kept_out_for_its_own_reason_under_every_version(stranger: Stranger) -> None:
    right, wrong = refused(stranger.cause, side_of(stranger)), refused(Cause.BAD_CERTIFICATE, side_of(stranger))
    judgements = {
        trials: Challenge(API, stranger, trials).judgement
        for trials in ((right, right), (right, wrong), (wrong, wrong), (right, ACCEPTED), (ACCEPTED, ACCEPTED))
    }
    assert judgements.pop((right, right)) is Judgement.AS_EXPECTED
    assert set(judgements.values()) == {Judgement.UNEXPECTED}


@pytest.mark.parametrize("stranger", Stranger)
def test_the_reason_of_another_stranger_does_not_count(stranger: Stranger) -> None:
    for other in Stranger:
        judged = Challenge(API, stranger, (refused(other.cause, side_of(stranger)),)).judgement
        assert (judged is Judgement.AS_EXPECTED) == (other.cause is stranger.cause)


@pytest.mark.parametrize("stranger", Stranger)
def test_the_right_reason_of_the_wrong_side_does_not_count(stranger: Stranger) -> None:
    wrong = Side.SERVER if side_of(stranger) is Side.CLIENT else Side.CLIENT
    assert Challenge(API, stranger, (refused(stranger.cause, wrong),)).judgement is Judgement.UNEXPECTED


def test_a_stranger_who_never_came_is_not_kept_out() -> None:
    assert Challenge(API, Stranger.NOBODY).judgement is Judgement.UNEXPECTED
    assert Challenge(API, Stranger.NOBODY, obstacle="no key").judgement is Judgement.UNKNOWN


def test_every_stranger_is_described_in_words_of_its_own() -> None:
    assert len({stranger.description for stranger in Stranger}) == len(Stranger)
    assert all(stranger.description.startswith("a ") for stranger in Stranger)


# The whole


def test_what_is_wrong_weighs_more_than_what_is_not_known() -> None:
    assert PROOF.judgement is Judgement.AS_EXPECTED
    assert replace(PROOF, unknowns=(FINDING,)).judgement is Judgement.UNKNOWN
    assert replace(PROOF, findings=(FINDING,)).judgement is Judgement.UNEXPECTED
    assert replace(PROOF, findings=(FINDING,), unknowns=(FINDING,)).judgement is Judgement.UNEXPECTED
