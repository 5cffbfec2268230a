"""What becomes of a private key: every state of its file, its certificate and the manifest."""

from dataclasses import replace

import pytest
from values import (
    ROOT,
    WEB,
    authority,
    certificate_for,
    key_id,
    member,
    present_key,
    public_key,
    supplied_key,
    unreadable_key,
)

from certgen.model import Entry, KeyPolicy
from certgen.plan.keys import KeyEvidence, KeyVerdict, judge_key, short
from certgen.plan.values import KeyFate, ReasonCode
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.tree import ObservedKey

SERVER, CA = member(WEB), authority(ROOT)
OWN, OTHER = "own", "stranger"
ABSENT = ObservedKey()


def judge(
    entry: Entry,
    found: ObservedKey,
    certified: str | None,
    recorded: str | None,
    seen: frozenset[str] = frozenset(),
    *,
    rekey: bool = False,
) -> KeyVerdict:
    certificate = certificate_for(entry, key=public_key(certified)) if certified else None
    seen_ids = frozenset(map(key_id, seen))
    record = key_id(recorded) if recorded else None
    return judge_key(entry, KeyEvidence(found, certificate, record, seen_ids, rekey=rekey))


ROWS = [
    # entry, file, certificate, manifest, seen here -> fate, reasons, obstacle
    (SERVER, OWN, OWN, OWN, OWN, "kept", [], None),
    (SERVER, OWN, OWN, OWN, None, "kept", [], None),
    (SERVER, OWN, OWN, None, None, "kept", [], None),
    (SERVER, OWN, OWN, OTHER, None, "kept", [], None),
    (SERVER, OWN, None, OWN, None, "kept", [], None),
    (SERVER, OWN, None, None, None, "kept", [], None),
    (SERVER, OWN, OTHER, OWN, None, "kept", ["key_mismatch"], None),
    (SERVER, OTHER, OWN, OWN, OWN, None, [], "key-mismatch"),
    (SERVER, OTHER, OWN, None, None, None, [], "key-mismatch"),
    (SERVER, OTHER, None, OWN, None, None, [], "key-mismatch"),
    (SERVER, None, OWN, OWN, OWN, "new", ["key_missing"], None),
    (SERVER, None, OWN, OWN, None, "elsewhere", [], None),
    (SERVER, None, OWN, None, None, "elsewhere", [], None),
    (SERVER, None, None, OWN, OWN, "new", ["key_missing"], None),
    (SERVER, None, None, OWN, None, None, [], "key-elsewhere"),
    (SERVER, None, None, None, None, "new", [], None),
    (CA, OWN, OWN, OWN, OWN, "kept", [], None),
    (CA, OWN, OTHER, OWN, OWN, "kept", ["key_mismatch"], None),
    (CA, OTHER, OWN, OWN, OWN, None, [], "key-mismatch"),
    (CA, None, OWN, OWN, OWN, "elsewhere", [], None),
    (CA, None, OWN, OWN, None, "elsewhere", [], None),
    (CA, None, None, OWN, OWN, None, [], "key-elsewhere"),
    (CA, None, None, OWN, None, None, [], "key-elsewhere"),
    (CA, None, None, None, None, "new", [], None),
]


@pytest.mark.parametrize(("entry", "file", "certified", "recorded", "seen", "fate", "reasons", "obstacle"), ROWS)
def test_the_table_of_keys(  # noqa: PLR0917 - a row of the table
    entry: Entry,
    file: str | None,
    certified: str | None,
    recorded: str | None,
    seen: str | None,
    fate: str | None,
    reasons: list[str],
    obstacle: str | None,
) -> None:
    found = present_key(file) if file else ABSENT
    verdict = judge(entry, found, certified, recorded, frozenset({seen}) if seen else frozenset())
    assert (verdict.obstacle.code if verdict.obstacle else None) == obstacle
    assert [str(reason.code) for reason in verdict.reasons] == reasons
    assert fate is None or verdict.fate == fate
    assert verdict.is_here == (obstacle is None and fate in {"kept", "new"})
    assert not verdict.keep_old_as_spare


@pytest.mark.parametrize("entry", [SERVER, CA], ids=lambda entry: str(entry.address))
def test_every_way_out_is_named(entry: Entry) -> None:
    for found, certified in ((present_key(OTHER), OWN), (unreadable_key(), OWN), (ABSENT, None)):
        verdict = judge(entry, found, certified, OWN)
        assert verdict.obstacle is not None
        assert f"--rekey {entry.address}" in (verdict.obstacle.help or "")
        assert verdict.obstacle.where == str(entry.address)


class TestAnotherAlgorithm:
    asked = member(WEB, key=KeyPolicy(KeyAlgorithm.ED25519))

    def test_of_a_key_that_is_here(self) -> None:
        verdict = judge(self.asked, present_key(OWN), OWN, OWN)
        assert verdict.fate is KeyFate.NEW
        assert [(r.code, r.was, r.wanted) for r in verdict.reasons] == [
            (ReasonCode.KEY_ALGORITHM_CHANGED, "ecdsa-p256", "ed25519")
        ]

    def test_of_a_key_without_a_certificate(self) -> None:
        assert judge(self.asked, present_key(OWN), None, OWN).fate is KeyFate.NEW

    def test_of_a_key_that_is_elsewhere(self) -> None:
        certificate = replace(certificate_for(SERVER), key_algorithm=KeyAlgorithm.RSA_2048)
        verdict = judge_key(self.asked, KeyEvidence(ABSENT, certificate, None, frozenset(), rekey=False))
        assert verdict.fate is KeyFate.NEW
        assert verdict.reasons[0].was == "rsa-2048"

    def test_of_a_key_that_no_spec_can_ask_for(self) -> None:
        found = replace(present_key(OWN), algorithm="ecdsa-secp256k1")
        verdict = judge(SERVER, found, OWN, OWN)
        assert verdict.fate is KeyFate.NEW
        assert verdict.reasons[0].was == "ecdsa-secp256k1"

    def test_the_same_algorithm_is_no_reason(self) -> None:
        assert judge(SERVER, present_key(OWN), OWN, OWN).reasons == ()

    def test_it_stands_beside_a_certificate_that_is_a_stranger(self) -> None:
        verdict = judge(self.asked, present_key(OWN), OTHER, OWN)
        assert [reason.code for reason in verdict.reasons] == [
            ReasonCode.KEY_MISMATCH,
            ReasonCode.KEY_ALGORITHM_CHANGED,
        ]


class TestARekey:
    def test_it_replaces_a_key_that_fits(self) -> None:
        verdict = judge(SERVER, present_key(OWN), OWN, OWN, rekey=True)
        assert (verdict.fate, verdict.keep_old_as_spare) == (KeyFate.NEW, False)
        assert [(reason.code, reason.what) for reason in verdict.reasons] == [(ReasonCode.REQUESTED, "--rekey")]

    @pytest.mark.parametrize("found", [present_key(OTHER), unreadable_key()], ids=["stranger", "unreadable"])
    def test_it_keeps_what_it_cannot_judge(self, found: ObservedKey) -> None:
        verdict = judge(SERVER, found, OWN, OWN, rekey=True)
        assert (verdict.fate, verdict.keep_old_as_spare, verdict.obstacle) == (KeyFate.NEW, True, None)

    def test_it_keeps_a_stranger_beside_which_there_is_no_certificate(self) -> None:
        assert judge(SERVER, present_key(OTHER), None, OWN, rekey=True).keep_old_as_spare

    def test_it_makes_a_key_where_there_is_none(self) -> None:
        verdict = judge(CA, ABSENT, OWN, OWN, rekey=True)
        assert (verdict.fate, verdict.keep_old_as_spare) == (KeyFate.NEW, False)


class TestASuppliedPublicKey:
    entry = replace(SERVER, public_key=supplied_key(OWN))

    def test_the_key_in_the_certificate_is_left_alone(self) -> None:
        assert judge(self.entry, ABSENT, OWN, OWN) == KeyVerdict(KeyFate.ELSEWHERE)

    def test_without_a_certificate_there_is_nothing_to_compare(self) -> None:
        assert judge(self.entry, ABSENT, None, None) == KeyVerdict(KeyFate.ELSEWHERE)

    def test_another_key_in_the_certificate_is_a_mismatch_that_names_the_file(self) -> None:
        (reason,) = judge(self.entry, ABSENT, OTHER, OTHER).reasons
        assert (reason.code, reason.what) == (ReasonCode.KEY_MISMATCH, "own.pub")
        assert reason.was == short(key_id(OTHER))
        assert reason.wanted == short(key_id(OWN))

    def test_a_private_key_file_in_the_folder_does_not_matter(self) -> None:
        assert judge(self.entry, present_key(OTHER), OWN, OWN) == KeyVerdict(KeyFate.ELSEWHERE)

    def test_it_cannot_be_rekeyed_here(self) -> None:
        verdict = judge(self.entry, ABSENT, OWN, OWN, rekey=True)
        assert verdict.obstacle is not None
        assert verdict.obstacle.code == "key-elsewhere"
        assert not verdict.is_here


def test_a_key_id_is_shortened_for_people() -> None:
    assert short("0123456789abcdef") == "key 0123456789ab"
    assert short(None) == "no key"
