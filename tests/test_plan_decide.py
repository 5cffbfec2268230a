"""The decision over hand-made values: every reason, every action, their evidence, and a control without the cause."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn, TypeVar

import pytest
from values import (
    APP,
    DAY,
    DAYS,
    ISSUING,
    MAIL,
    NODE,
    NOW,
    ROOT,
    SECOND,
    WEB,
    Disk,
    a_file,
    asking,
    authority,
    certificate_for,
    change_at,
    codes,
    decide,
    digest,
    disk_of,
    dns,
    empty_disk,
    key_id,
    member,
    name_of,
    pem,
    public_key,
    reason_for,
    shop,
    summary,
    supplied_ca,
    supplied_key,
    without,
    words,
)

from certgen.lifetime import Validity
from certgen.model import Address, Bundle, KeyPolicy
from certgen.plan import authorities, compare, derived, housekeeping, keys, times
from certgen.plan import decide as decision
from certgen.plan.values import Action, KeyFate, KeySource, ReasonCode, Requests, TreeFile
from certgen.protection import KeyRotation, Protection, ProtectionKind
from certgen.rfc5280.vocabulary import KeyAlgorithm, KeyUsage
from certgen.tree import (
    ATTRIBUTES_FILE,
    CERTIFICATE_FILE,
    IGNORE_FILE,
    KEY_FILE,
    MANIFEST_FILE,
    TRUST_FILE,
    ManifestState,
    Observed,
    ObservedKey,
)

USUAL = shop()
AGE = Protection(ProtectionKind.AGE, ("age1me",))
STRANGER = certificate_for(authority(Address.parse("cas/partner")))


def protected(protection: Protection) -> Bundle:
    """Give the usual shop with its private keys closed."""
    key = KeyPolicy(mode=0o644 if protection.recipients else 0o600, protection=protection)
    return replace(USUAL, entries=tuple(replace(entry, key=key) for entry in USUAL.entries))


def nothing(disk: Disk) -> None:
    del disk


@dataclass(frozen=True)
class Case:
    """One cause, and what the plan has to say about it."""

    name: str
    code: ReasonCode
    action: Action
    address: Address | TreeFile = WEB
    spec: Bundle = USUAL
    made_for: Bundle | None = None
    """The spec by which the tree was made, where it is another."""
    tamper: Callable[[Disk], None] = nothing
    now: datetime = NOW
    renew: tuple[Address, ...] = ()
    rekey: tuple[Address, ...] = ()
    prune: bool = False
    was: str | None = None
    wanted: str | None = None
    what: str | None = None


def lose_certificate(disk: Disk) -> None:
    disk.lose_certificate(WEB)


def garble_certificate(disk: Disk) -> None:
    disk.lose_certificate(WEB)
    disk.problems[WEB] = "not a PEM certificate that can be read"


def lose_anchors(disk: Disk) -> None:
    del disk.anchors[WEB]


def garble_anchors(disk: Disk) -> None:
    del disk.anchors[WEB]
    disk.files[WEB] = {TRUST_FILE: a_file(b"junk")}


def lose_key(disk: Disk) -> None:
    disk.keys[WEB] = ObservedKey()


def lose_key_never_seen(disk: Disk) -> None:
    disk.lose_keys(WEB)


def swap_certificate(disk: Disk) -> None:
    issuer = disk.certificates[ISSUING]
    disk.certificates[WEB] = certificate_for(disk.bundle[WEB], issuer, public_key("stranger"))


def point_elsewhere(disk: Disk) -> None:
    disk.certificates[WEB] = replace(disk.certificates[WEB], authority_key_identifier=b"another key")


def break_signature(disk: Disk) -> None:
    disk.signed_by[WEB] = "nobody"


def break_root_signature(disk: Disk) -> None:
    disk.signed_by[ROOT] = "nobody"


def outlive(disk: Disk) -> None:
    end = disk.certificates[ISSUING].not_after + SECOND
    disk.certificates[WEB] = replace(disk.certificates[WEB], not_after=end)


def begin_in_two_days(disk: Disk) -> None:
    disk.certificates[WEB] = certificate_for(disk.bundle[WEB], disk.certificates[ISSUING], at=NOW + 2 * DAY)


def lose_path(disk: Disk) -> None:
    disk.paths[WEB] = ()


def trust_a_stranger(disk: Disk) -> None:
    disk.anchors[WEB] = (STRANGER,)


def leave_a_snippet(disk: Disk) -> None:
    disk.files[WEB] = {"nginx.conf": a_file(b"ssl on;")}
    disk.listed[WEB] = {"nginx.conf": digest(b"ssl on;")}


def comment_certificate(disk: Disk) -> None:
    certificate = disk.certificates[WEB]
    disk.files[WEB] = {CERTIFICATE_FILE: a_file(b"# mine\n" + pem(certificate, *disk.paths[WEB]))}


def comment_anchors(disk: Disk) -> None:
    disk.files[WEB] = {TRUST_FILE: a_file(b"# mine\n" + pem(*disk.anchors[WEB]))}


def edit_ignore_file(disk: Disk) -> None:
    disk.ignore_file = a_file(disk.ignore_file.content + b"!key.pem\n")


def lose_ignore_file(disk: Disk) -> None:
    disk.ignore_file = Disk(disk.bundle).ignore_file


def lose_attributes_file(disk: Disk) -> None:
    disk.attributes_file = Disk(disk.bundle).attributes_file


def swap_sealed_key(disk: Disk) -> None:
    disk.keys[WEB] = replace(disk.keys[WEB], key_id=None, mark=None)


def lose_manifest(disk: Disk) -> None:
    disk.manifest_state = ManifestState.ABSENT


def damage_manifest(disk: Disk) -> None:
    disk.manifest_state = ManifestState.DAMAGED


def forget_in_manifest(disk: Disk) -> None:
    disk.unlisted.add(WEB)


def becoming_root(disk: Disk) -> None:
    """Have a certificate of another issuer where the root should be."""
    other = certificate_for(authority(Address.parse("cas/partner")))
    disk.certificates[ROOT] = certificate_for(disk.bundle[ROOT], other)
    disk.signed_by[ROOT] = other.key_id


EXTENDED = asking(member(WEB), subject_alt_names=(dns("web.shop.example"), dns("www.shop.example")))
WITH_KEY_ELSEWHERE = replace(member(WEB), public_key=supplied_key("hsm"))
R, A = ReasonCode, Action
TOLD_GIT = (IGNORE_FILE, ATTRIBUTES_FILE)

CASES = [
    Case("a new entry", R.MISSING, A.ISSUE, made_for=without(shop(), WEB)),
    Case("a certificate that is gone", R.MISSING, A.ISSUE, tamper=lose_certificate, what=CERTIFICATE_FILE),
    Case("a trust file that is gone", R.MISSING, A.WRITE, tamper=lose_anchors, what=TRUST_FILE),
    Case("no ignore file", R.MISSING, A.WRITE, TreeFile(IGNORE_FILE), tamper=lose_ignore_file),
    Case("no attributes file", R.MISSING, A.WRITE, TreeFile(ATTRIBUTES_FILE), tamper=lose_attributes_file),
    Case(
        "keys that are to be sealed",
        R.RECIPIENTS_CHANGED,
        A.WRITE,
        spec=protected(AGE),
        made_for=USUAL,
        was="in clear",
        wanted="age, 1 recipient",
        what="key.pem",
    ),
    Case(
        "other recipients",
        R.RECIPIENTS_CHANGED,
        A.WRITE,
        spec=protected(replace(AGE, recipients=("age1other",))),
        made_for=protected(AGE),
        was="age, other recipients",
        what="key.pem.age",
    ),
    Case(
        "keys that are to be in clear",
        R.RECIPIENTS_CHANGED,
        A.WRITE,
        made_for=protected(Protection(ProtectionKind.PASSPHRASE)),
        was="a passphrase",
        wanted="in clear",
        what="key.pem",
    ),
    Case(
        "a sealed key that nobody knows",
        R.RECIPIENTS_CHANGED,
        A.WRITE,
        spec=protected(AGE),
        tamper=swap_sealed_key,
        was="unknown",
    ),
    Case("no manifest", R.MISSING, A.WRITE, TreeFile(MANIFEST_FILE), tamper=lose_manifest),
    Case(
        "a garbled certificate",
        R.UNREADABLE,
        A.ISSUE,
        tamper=garble_certificate,
        was="not a PEM certificate",
        what=CERTIFICATE_FILE,
    ),
    Case("a garbled trust file", R.UNREADABLE, A.WRITE, tamper=garble_anchors, what=TRUST_FILE),
    Case(
        "a manifest with conflict marks",
        R.UNREADABLE,
        A.WRITE,
        TreeFile(MANIFEST_FILE),
        tamper=damage_manifest,
        was="damaged",
    ),
    Case("a key that is gone", R.KEY_MISSING, A.REKEY, tamper=lose_key, what=KEY_FILE),
    Case(
        "a certificate for another key",
        R.KEY_MISMATCH,
        A.UPDATE,
        tamper=swap_certificate,
        was=key_id("stranger")[:12],
        wanted=key_id("servers/web")[:12],
    ),
    Case(
        "another key algorithm",
        R.KEY_ALGORITHM_CHANGED,
        A.REKEY,
        spec=shop(member(WEB, key=KeyPolicy(KeyAlgorithm.ED25519))),
        made_for=shop(),
        was="ecdsa-p256",
        wanted="ed25519",
    ),
    Case(
        "another key algorithm than that of a key which is not here",
        R.KEY_ALGORITHM_CHANGED,
        A.REKEY,
        spec=shop(member(WEB, key=KeyPolicy(KeyAlgorithm.ED25519))),
        made_for=shop(),
        tamper=lose_key_never_seen,
        was="ecdsa-p256",
        wanted="ed25519",
    ),
    Case(
        "another subject",
        R.SUBJECT_CHANGED,
        A.UPDATE,
        spec=shop(asking(member(WEB), subject=name_of("web", "Shop BV"))),
        made_for=shop(),
        was="CN=web",
        wanted="O=Shop BV, CN=web",
    ),
    Case(
        "a name more",
        R.SANS_CHANGED,
        A.UPDATE,
        spec=shop(EXTENDED),
        made_for=shop(),
        was="DNS:web.shop.example",
        wanted="DNS:web.shop.example, DNS:www.shop.example",
    ),
    Case(
        "a name less",
        R.SANS_CHANGED,
        A.UPDATE,
        made_for=shop(EXTENDED),
        was="DNS:web.shop.example, DNS:www.shop.example",
        wanted="DNS:web.shop.example",
    ),
    Case(
        "another key usage",
        R.EXTENSIONS_CHANGED,
        A.UPDATE,
        spec=shop(asking(member(WEB), key_usage=frozenset({KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT}))),
        made_for=shop(),
        was="digitalSignature",
        wanted="digitalSignature, keyAgreement",
        what="keyUsage",
    ),
    Case(
        "another issuer",
        R.ISSUER_CHANGED,
        A.UPDATE,
        spec=shop(member(WEB, ROOT)),
        made_for=shop(),
        was="CN=Shop issuing",
        wanted="CN=Shop root",
    ),
    Case(
        "another authority key identifier",
        R.ISSUER_CHANGED,
        A.UPDATE,
        tamper=point_elsewhere,
        was="another key",
        wanted="cas/issuing",
    ),
    Case(
        "a root that another has signed",
        R.ISSUER_CHANGED,
        A.UPDATE,
        ROOT,
        tamper=becoming_root,
        was="CN=Shop partner",
        wanted="itself",
    ),
    Case("a signature that is wrong", R.SIGNATURE_INVALID, A.UPDATE, tamper=break_signature),
    Case("a root's signature that is wrong", R.SIGNATURE_INVALID, A.UPDATE, ROOT, tamper=break_root_signature),
    Case(
        "another validity",
        R.VALIDITY_CHANGED,
        A.UPDATE,
        spec=shop(member(WEB, days=80)),
        made_for=shop(),
        was="90 days",
        wanted="80 days",
    ),
    Case(
        "a certificate that ends after its issuer",
        R.OUTLIVES_ISSUER,
        A.UPDATE,
        tamper=outlive,
        was="2027-10-14",
        wanted="2027-10-14",
    ),
    Case(
        "a certificate of a wrong clock",
        R.NOT_YET_VALID,
        A.RENEW,
        tamper=begin_in_two_days,
        was="2026-06-03",
    ),
    Case("a certificate that has ended", R.EXPIRED, A.RENEW, now=NOW + 90 * DAY, was="2026-08-30"),
    Case("a certificate in its last third", R.RENEWAL_DUE, A.RENEW, now=NOW + 61 * DAY, was="2026-08-30, 28 days left"),
    Case(
        "a path without the intermediate",
        R.PATH_CHANGED,
        A.WRITE,
        tamper=lose_path,
        was="web (2026-08-30)",
        wanted="web (2026-08-30) + Shop issuing (2027-10-14)",
        what=CERTIFICATE_FILE,
    ),
    Case(
        "another root in the trust file",
        R.TRUST_CHANGED,
        A.WRITE,
        tamper=trust_a_stranger,
        was="Shop partner",
        wanted="Shop root",
        what=TRUST_FILE,
    ),
    Case(
        "a file that nothing asks for",
        R.OUTPUT_CHANGED,
        A.WRITE,
        tamper=leave_a_snippet,
        what="nginx.conf",
    ),
    Case("a comment in the certificate", R.FILE_DRIFTED, A.WRITE, tamper=comment_certificate, what="cert.pem"),
    Case("a comment in the trust file", R.FILE_DRIFTED, A.WRITE, tamper=comment_anchors, what="ca.pem"),
    Case(
        "an edited ignore file",
        R.FILE_DRIFTED,
        A.WRITE,
        TreeFile(IGNORE_FILE),
        tamper=edit_ignore_file,
        was="edited",
    ),
    Case(
        "an address that the manifest does not list",
        R.FILE_DRIFTED,
        A.WRITE,
        TreeFile(MANIFEST_FILE),
        tamper=forget_in_manifest,
        was="not what the tree holds",
    ),
    Case(
        "an entry that the spec no longer has",
        R.ORPHANED,
        A.REMOVE,
        MAIL,
        made_for=shop(member(MAIL)),
        prune=True,
        what="not in the spec",
    ),
    Case("a renewal that a person asks for", R.REQUESTED, A.RENEW, renew=(WEB,), what="--renew"),
    Case("a key that a person asks for", R.REQUESTED, A.REKEY, rekey=(WEB,), what="--rekey"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestEveryReason:
    def test_the_plan_names_the_action_the_reason_and_the_evidence(self, case: Case) -> None:
        disk = disk_of(case.made_for or case.spec)
        case.tamper(disk)
        found = decide(case.spec, disk, case.now, renew=case.renew, rekey=case.rekey, prune=case.prune)
        assert not found.obstacles, words(found.obstacles)
        assert not found.is_in_sync
        change = next(change for change in found.changes if change.address == case.address)
        assert (change.action, codes(change)) == (case.action, [case.code])
        reason = change.reasons[0]
        for evidence, expected in (
            (reason.was, case.was),
            (reason.wanted, case.wanted),
            (reason.what, case.what),
        ):
            assert expected is None or expected in (evidence or "")

    def test_without_the_cause_the_address_is_kept(self, case: Case) -> None:
        found = decide(case.spec, disk_of(case.spec))
        assert found.is_in_sync
        assert list(found.kept) == [entry.address for entry in case.spec.entries]
        beside = (*found.notices, *found.obstacles, *found.consents, *found.widenings, *found.modes)
        assert not beside

    def test_carried_out_the_plan_is_in_sync(self, case: Case) -> None:
        disk = disk_of(case.made_for or case.spec)
        case.tamper(disk)
        found = decide(case.spec, disk, case.now, renew=case.renew, rekey=case.rekey, prune=case.prune)
        disk.carry_out(case.spec, found)
        again = decide(case.spec, disk, case.now + SECOND)
        assert summary(again) == {}
        assert again.is_in_sync

    def test_the_reason_has_evidence(self, case: Case) -> None:
        """Design, section 5: "With evidence: what was, what should be"; what is missing is named by its address."""
        disk = disk_of(case.made_for or case.spec)
        case.tamper(disk)
        found = decide(case.spec, disk, case.now, renew=case.renew, rekey=case.rekey, prune=case.prune)
        for change in found.changes:
            for reason in change.reasons:
                if reason.code is not ReasonCode.MISSING:
                    assert reason.was or reason.wanted or reason.what, reason


class TestTheSetsAreClosed:
    def test_every_reason_has_a_case(self) -> None:
        assert {case.code for case in CASES} == set(ReasonCode)

    def test_every_action_has_a_case(self) -> None:
        assert {case.action for case in CASES} == set(Action)

    def test_the_design_names_the_same_reasons(self) -> None:
        named = """missing unreadable key_missing key_mismatch key_algorithm_changed recipients_changed subject_changed
        sans_changed extensions_changed issuer_changed signature_invalid validity_changed outlives_issuer not_yet_valid
        expired renewal_due path_changed trust_changed output_changed file_drifted orphaned requested"""
        assert set(named.split()) == set(ReasonCode)

    def test_the_design_names_the_same_actions(self) -> None:
        assert set("issue renew update rekey write remove".split()) == set(Action)  # noqa: SIM905 - as written there


class TestSeveralReasonsAtOnce:
    def wanted(self) -> Bundle:
        entry = asking(
            member(WEB, days=80),
            subject=name_of("web", "Shop BV"),
            subject_alt_names=(dns("www.shop.example"),),
            ocsp=("http://ocsp.shop.example",),
            crl_distribution_points=("http://crl.shop.example",),
        )
        return shop(entry)

    def test_one_change_has_them_all(self) -> None:
        change = change_at(decide(self.wanted(), disk_of(shop())), WEB)
        assert change.action is Action.UPDATE
        assert codes(change) == [
            R.SUBJECT_CHANGED,
            R.SANS_CHANGED,
            R.EXTENSIONS_CHANGED,
            R.EXTENSIONS_CHANGED,
            R.VALIDITY_CHANGED,
        ]
        whats = [reason.what for reason in change.reasons if reason.code is R.EXTENSIONS_CHANGED]
        assert whats == ["cRLDistributionPoints", "authorityInfoAccess OCSP"]

    def test_time_among_them_makes_it_a_renewal(self) -> None:
        change = change_at(decide(self.wanted(), disk_of(shop()), NOW + 89 * DAY), WEB)
        assert change.action is Action.RENEW
        assert {R.SUBJECT_CHANGED, R.SANS_CHANGED, R.VALIDITY_CHANGED, R.RENEWAL_DUE} <= set(codes(change))

    def test_a_new_key_among_them_makes_it_a_rekey(self) -> None:
        spec = self.wanted()
        rekeyed = shop(replace(spec[WEB], key=KeyPolicy(KeyAlgorithm.ED25519)))
        change = change_at(decide(rekeyed, disk_of(shop()), NOW + 89 * DAY), WEB)
        assert change.action is Action.REKEY
        assert {R.KEY_ALGORITHM_CHANGED, R.SANS_CHANGED, R.RENEWAL_DUE} <= set(codes(change))

    def test_derived_files_go_with_a_certificate_that_is_signed_anyway(self) -> None:
        disk = disk_of(shop())
        disk.anchors[WEB] = (STRANGER,)
        leave_a_snippet(disk)
        change = change_at(decide(shop(EXTENDED), disk), WEB)
        assert change.action is Action.UPDATE
        assert change.writes == (CERTIFICATE_FILE, TRUST_FILE)
        assert change.removes == ("nginx.conf",)

    def test_drift_of_two_files_is_one_change(self) -> None:
        disk = disk_of(shop())
        disk.anchors[WEB] = (STRANGER,)
        disk.paths[WEB] = ()
        change = change_at(decide(shop(), disk), WEB)
        assert codes(change) == [R.PATH_CHANGED, R.TRUST_CHANGED]
        assert change.writes == (CERTIFICATE_FILE, TRUST_FILE)

    def test_only_the_file_that_drifted_is_written(self) -> None:
        disk = disk_of(shop())
        disk.anchors[WEB] = (STRANGER,)
        assert change_at(decide(shop(), disk), WEB).writes == (TRUST_FILE,)


class TestWhatIsSigned:
    def test_the_order_says_all_that_a_signer_needs(self) -> None:
        change = change_at(decide(shop(EXTENDED), disk := disk_of(shop())), WEB)
        assert change.signing is not None
        assert change.signing.issuer == ISSUING
        assert change.signing.key.source is KeySource.FILE
        assert change.signing.issuance.template == EXTENDED.template
        assert change.signing.issuance.predecessor == disk.certificates[WEB]
        assert change.key is KeyFate.KEPT

    def test_a_root_signs_itself(self) -> None:
        change = change_at(decide(shop(), empty_disk(shop())), ROOT)
        assert change.signing is not None
        assert change.signing.issuer is None
        assert change.signing.issuance.predecessor is None
        assert change.signing.key.source is KeySource.GENERATE
        assert change.signing.key.algorithm is KeyAlgorithm.ECDSA_P256

    def test_a_new_key_is_written_with_the_mode_that_is_asked(self) -> None:
        spec = shop(member(WEB, key=KeyPolicy(mode=0o640)))
        change = change_at(decide(spec, empty_disk(spec)), WEB)
        assert change.signing is not None
        assert change.signing.key.mode == 0o640
        assert change.writes == (KEY_FILE, CERTIFICATE_FILE, TRUST_FILE)

    def test_a_key_that_is_kept_is_not_written(self) -> None:
        assert change_at(decide(shop(EXTENDED), disk_of(shop())), WEB).writes == (CERTIFICATE_FILE,)

    def test_a_certificate_that_is_kept_is_not_signed(self) -> None:
        disk = disk_of(shop())
        disk.paths[WEB] = ()
        change = change_at(decide(shop(), disk), WEB)
        assert change.signing is None
        assert change.key is None
        assert change.certificate == disk.certificates[WEB]


class TestRotation:
    rotating = member(WEB, key=KeyPolicy(rotation=KeyRotation.ON_RENEWAL))

    def test_by_default_a_renewal_keeps_the_key(self) -> None:
        change = change_at(decide(shop(), disk_of(shop()), NOW + 61 * DAY), WEB)
        assert (change.action, change.key) == (Action.RENEW, KeyFate.KEPT)

    @pytest.mark.parametrize("days", [61, 91])
    def test_on_renewal_a_renewal_makes_a_new_key(self, days: int) -> None:
        spec = shop(self.rotating)
        change = change_at(decide(spec, disk_of(spec), NOW + days * DAY), WEB)
        assert (change.action, change.key) == (Action.RENEW, KeyFate.NEW)
        assert KEY_FILE in change.writes

    def test_on_renewal_a_request_makes_a_new_key(self) -> None:
        spec = shop(self.rotating)
        change = change_at(decide(spec, disk_of(spec), renew=[WEB]), WEB)
        assert (change.action, change.key) == (Action.RENEW, KeyFate.NEW)

    def test_on_renewal_other_contents_keep_the_key(self) -> None:
        spec = shop(asking(self.rotating, subject_alt_names=(dns("www.shop.example"),)))
        change = change_at(decide(spec, disk_of(shop(self.rotating))), WEB)
        assert (change.action, change.key) == (Action.UPDATE, KeyFate.KEPT)

    def test_on_renewal_another_validity_keeps_the_key(self) -> None:
        spec = shop(asking(self.rotating, validity=Validity(80 * DAYS)))
        change = change_at(decide(spec, disk_of(shop(self.rotating))), WEB)
        assert (change.action, change.key) == (Action.UPDATE, KeyFate.KEPT)

    def test_on_renewal_a_key_that_lives_elsewhere_stays(self) -> None:
        spec = shop(self.rotating)
        disk = disk_of(spec)
        disk.lose_keys(WEB)
        change = change_at(decide(spec, disk, NOW + 61 * DAY), WEB)
        assert (change.action, change.key) == (Action.RENEW, KeyFate.ELSEWHERE)
        assert change.writes == (CERTIFICATE_FILE,)


class TestSuppliedAuthorities:
    """A CA that the user brings: certgen reads its files and never writes, renews or removes them."""

    def spec(self, *, with_key: bool = True) -> Bundle:
        return shop(supplied_ca(with_key=with_key))

    def test_it_has_no_change_and_is_not_kept_either(self) -> None:
        spec = self.spec()
        found = decide(spec, empty_disk(spec))
        assert list(summary(found)) == [*TOLD_GIT, "cas/issuing", "servers/web", "clients/app"]

    def test_a_tree_below_it_is_in_sync(self) -> None:
        spec = self.spec()
        assert decide(spec, disk_of(spec)).is_in_sync

    def test_its_end_is_in_the_way(self) -> None:
        spec = self.spec()
        found = decide(spec, disk_of(spec), NOW + 1000 * DAY)
        assert ("supplied-expired", "cas/root") in words(found.obstacles)

    def test_the_second_before_its_end_is_not_yet_in_the_way(self) -> None:
        spec = self.spec()
        supplied = spec[ROOT].supplied
        assert supplied is not None
        found = decide(spec, disk_of(spec), supplied.path[0].not_after)
        assert "supplied-expired" not in [code for code, _ in words(found.obstacles)]

    @pytest.mark.parametrize("kind", ["renew", "rekey"])
    def test_a_request_to_renew_it_is_refused(self, kind: str) -> None:
        spec = self.spec()
        requests = {"renew": (), "rekey": (), kind: (ROOT,)}
        found = decide(spec, disk_of(spec), renew=requests["renew"], rekey=requests["rekey"])
        assert words(found.obstacles) == [("supplied-ca", "cas/root")]

    def test_without_its_key_nothing_below_can_be_signed(self) -> None:
        spec = self.spec(with_key=False)
        found = decide(spec, empty_disk(spec))
        assert words(found.obstacles) == [("signer-missing", "cas/root")]
        missing = found.obstacles[0]
        assert "private_key" in (missing.help or "")
        assert "--rekey" not in (missing.help or "")

    def test_without_its_key_a_tree_that_is_as_asked_stays_in_sync(self) -> None:
        spec = self.spec(with_key=False)
        assert decide(spec, disk_of(spec)).is_in_sync


class TestAKeyOnItsOwnHost:
    """`public_key`: the private key never leaves its host."""

    def test_certificate_and_trust_only_are_written(self) -> None:
        spec = shop(WITH_KEY_ELSEWHERE)
        change = change_at(decide(spec, empty_disk(spec)), WEB)
        assert (change.action, change.key) == (Action.ISSUE, KeyFate.ELSEWHERE)
        assert change.writes == (CERTIFICATE_FILE, TRUST_FILE)
        assert change.signing is not None
        assert change.signing.key.source is KeySource.PUBLIC_KEY
        assert change.signing.key.public_key == public_key("hsm")

    def test_it_is_in_sync_without_a_note(self) -> None:
        spec = shop(WITH_KEY_ELSEWHERE)
        found = decide(spec, disk_of(spec))
        assert found.is_in_sync
        assert not found.notices

    def test_another_public_key_is_certified_anew_and_called_a_new_key(self) -> None:
        """Design: `update` has the same key, so this is a `rekey`."""
        spec = shop(replace(WITH_KEY_ELSEWHERE, public_key=supplied_key("new hsm")))
        change = change_at(decide(spec, disk_of(shop(WITH_KEY_ELSEWHERE))), WEB)
        reason = reason_for(change, R.KEY_MISMATCH)
        assert key_id("hsm")[:12] in (reason.was or "")
        assert key_id("new hsm")[:12] in (reason.wanted or "")
        assert change.signing is not None
        assert change.signing.key.public_key == public_key("new hsm")
        assert change.action is Action.REKEY

    def test_rekey_is_refused_with_the_way_out(self) -> None:
        spec = shop(WITH_KEY_ELSEWHERE)
        found = decide(spec, disk_of(spec), rekey=[WEB])
        assert words(found.obstacles) == [("key-elsewhere", "servers/web")]
        assert "public_key" in (found.obstacles[0].help or "")

    def test_a_renewal_certifies_the_same_key(self) -> None:
        spec = shop(WITH_KEY_ELSEWHERE)
        change = change_at(decide(spec, disk_of(spec), NOW + 61 * DAY), WEB)
        assert (change.action, change.key) == (Action.RENEW, KeyFate.ELSEWHERE)
        assert change.signing is not None
        assert change.signing.key.public_key == public_key("hsm")


class TestEveryAddressHasOneChangeOrIsKept:
    def test_in_the_order_issuers_first(self) -> None:
        spec = shop()
        assert list(summary(decide(spec, empty_disk(spec)))) == [
            *TOLD_GIT,
            "cas/root",
            "cas/issuing",
            "servers/web",
            "clients/app",
        ]

    def test_the_ignore_file_comes_before_any_key_and_the_manifest_last(self) -> None:
        disk = disk_of(shop())
        lose_ignore_file(disk)
        lose_manifest(disk)
        disk.lose(WEB)
        changed = [change.address for change in decide(shop(), disk).changes]
        assert changed == [TreeFile(IGNORE_FILE), WEB]
        disk = disk_of(shop())
        lose_manifest(disk)
        assert [change.address for change in decide(shop(), disk).changes] == [TreeFile(MANIFEST_FILE)]


K = TypeVar("K")
V = TypeVar("V")
MODULES = (authorities, compare, decision, derived, housekeeping, keys, times)


def refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the decision looked at the world")


class NoClock(datetime):
    """A datetime that cannot tell what time it is."""

    now = refuse
    utcnow = refuse
    today = refuse


def troubled() -> tuple[Bundle, Disk]:
    """Make a tree in which many things are wrong at once."""
    old = asking(authority(ISSUING, ROOT, 500), ocsp=("http://ocsp.shop.example",))
    spec = shop(old, EXTENDED, member(NODE), member(MAIL))
    disk = disk_of(shop(member(MAIL), member(Address.parse("servers/gone"))))
    disk.lose_keys(APP)
    disk.paths[MAIL] = ()
    disk.keys[MAIL] = replace(disk.keys[MAIL], mode=0o644)
    disk.anchors[APP] = (STRANGER,)
    return spec, disk


class TestThePlanIsPure:
    def test_it_reads_neither_clock_nor_disk_nor_chance(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spec, disk = troubled()
        observed = disk.observed()
        with monkeypatch.context() as world:
            for place in (
                "builtins.open",
                "io.open",
                "os.open",
                "os.stat",
                "os.listdir",
                "os.scandir",
                "os.urandom",
                "os.getcwd",
                "time.time",
                "time.time_ns",
                "time.monotonic",
                "time.localtime",
                "time.gmtime",
                "random.random",
                "secrets.randbits",
                "secrets.token_bytes",
            ):
                world.setattr(place, refuse)
            for module in MODULES:
                if hasattr(module, "datetime"):
                    world.setattr(module, "datetime", NoClock)
            found = decision.plan(spec, observed, NOW)
        assert len(found.changes) == 5

    def test_the_traps_would_spring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as world:
            world.setattr("os.open", refuse)
            with pytest.raises(AssertionError):
                __import__("os").open("/dev/null", 0)
        with pytest.raises(AssertionError):
            NoClock.now()

    def test_it_says_the_same_twice(self) -> None:
        spec, disk = troubled()
        observed = disk.observed()
        assert decision.plan(spec, observed, NOW) == decision.plan(spec, observed, NOW)

    def test_its_arguments_stay_as_they_were(self) -> None:
        spec, disk = troubled()
        observed, before = disk.observed(), disk.observed()
        decision.plan(spec, observed, NOW, Requests(rekey=frozenset({ROOT}), prune=True))
        assert observed == before

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("prune", [False, True])
    def test_the_order_of_mappings_changes_nothing(self, seed: int, prune: bool) -> None:
        spec, disk = troubled()
        observed = disk.observed()
        requests = Requests(prune=prune)
        shuffled = shuffle(observed, random.Random(seed))  # noqa: S311 - repeatable, not secret
        assert list(shuffled.entries) != list(observed.entries)
        assert decision.plan(spec, shuffled, NOW, requests) == decision.plan(spec, observed, NOW, requests)

    def test_the_time_of_the_run_is_cut_to_whole_seconds(self) -> None:
        spec = shop()
        found = decide(spec, empty_disk(spec), NOW.replace(microsecond=999_999))
        assert found == decide(spec, empty_disk(spec), NOW)
        assert found.now == NOW


def shuffle(observed: Observed, dice: random.Random) -> Observed:
    def mixed(pairs: dict[K, V]) -> dict[K, V]:
        items = list(pairs.items())
        dice.shuffle(items)
        return dict(items)

    entries = {address: replace(entry, files=mixed(dict(entry.files))) for address, entry in observed.entries.items()}
    listed = {
        address: replace(entry, files=mixed(dict(entry.files))) for address, entry in observed.manifest.entries.items()
    }
    manifest = replace(observed.manifest, entries=mixed(listed))
    return replace(observed, entries=mixed(entries), manifest=manifest)
