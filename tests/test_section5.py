"""The design's section 5, one class a paragraph and one test a sentence, over hand-made values."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

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
    bundle_of,
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
    present_key,
    public_key,
    reason_for,
    shop,
    summary,
    the,
    unreadable_key,
    without,
    words,
)

from certgen.diagnostics import Severity
from certgen.lifetime import RenewBefore, Validity
from certgen.model import Address, Bundle, Certificate, KeyPolicy
from certgen.plan.values import Action, KeyFate, KeySource, ModeChange, Plan, ReasonCode, TreeFile
from certgen.protection import KeyRotation
from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    KeyAlgorithm,
    KeyUsage,
    NameConstraints,
)
from certgen.tree import (
    CERTIFICATE_FILE,
    KEY_FILE,
    MANIFEST_FILE,
    TRUST_FILE,
    FileKind,
    FileState,
    KeyState,
    ManifestState,
    ObservedKey,
)

R = ReasonCode
HOUR = timedelta(hours=1)
P384 = KeyPolicy(KeyAlgorithm.ECDSA_P384)


def issue_dates(plan: Plan, address: Address) -> tuple[datetime, datetime]:
    signing = change_at(plan, address).signing
    assert signing is not None
    return signing.issuance.not_before, signing.issuance.not_after


def actions(plan: Plan) -> dict[str, str]:
    return {str(change.address): str(change.action) for change in plan.changes}


def dated(entry_days: int, at: datetime, spec: Bundle | None = None) -> Disk:
    """Make the usual tree with the server's certificate signed at another time."""
    spec = spec or shop(member(WEB, days=entry_days))
    disk = disk_of(spec)
    disk.certificates[WEB] = certificate_for(spec[WEB], disk.certificates[ISSUING], at=at)
    return disk


class TestTheCertificateIsTheTruth:
    """It is read back and compared with what the spec asks."""

    def differing(self, **fields: object) -> Plan:
        disk = disk_of(shop())
        disk.certificates[WEB] = replace(disk.certificates[WEB], **fields)  # type: ignore[arg-type]  # any field of it
        return decide(shop(), disk)

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("subject", name_of("other"), R.SUBJECT_CHANGED),
            ("subject_alt_names", (dns("other.shop.example"),), R.SANS_CHANGED),
            ("subject_alt_names", (), R.SANS_CHANGED),
            ("issuer_der", b"another name", R.ISSUER_CHANGED),
            ("authority_key_identifier", b"another key", R.ISSUER_CHANGED),
            ("not_after", NOW + 50 * DAY, R.VALIDITY_CHANGED),
            ("not_after", NOW + 95 * DAY, R.VALIDITY_CHANGED),
            ("key_usage", frozenset(), R.EXTENSIONS_CHANGED),
            ("extended_key_usage", frozenset({"serverAuth", "clientAuth"}), R.EXTENSIONS_CHANGED),
            ("extended_key_usage", frozenset({"serverAuth", "1.2.3"}), R.EXTENSIONS_CHANGED),
            ("is_ca", True, R.EXTENSIONS_CHANGED),
            ("name_constraints", NameConstraints((dns("shop.example"),)), R.EXTENSIONS_CHANGED),
            ("crl_distribution_points", ("http://crl.example",), R.EXTENSIONS_CHANGED),
            ("ocsp", ("http://ocsp.example",), R.EXTENSIONS_CHANGED),
            ("ca_issuers", ("http://ca.example",), R.EXTENSIONS_CHANGED),
            ("subject_key_identifier", None, R.EXTENSIONS_CHANGED),
            ("authority_key_identifier", None, R.EXTENSIONS_CHANGED),
            ("critical", frozenset({"keyUsage"}), R.EXTENSIONS_CHANGED),
            ("critical", frozenset({"basicConstraints", "keyUsage", "extKeyUsage"}), R.EXTENSIONS_CHANGED),
        ],
    )
    def test_what_the_spec_can_say_is_compared(self, field: str, value: object, code: ReasonCode) -> None:
        change = change_at(self.differing(**{field: value}), WEB)
        assert (change.action, codes(change)) == (Action.UPDATE, [code])

    def test_the_public_key_is_compared(self) -> None:
        disk = disk_of(shop())
        issuer = disk.certificates[ISSUING]
        disk.certificates[WEB] = certificate_for(disk.bundle[WEB], issuer, public_key("stranger"))
        assert codes(change_at(decide(shop(), disk), WEB)) == [R.KEY_MISMATCH]

    def test_the_signature_is_compared(self) -> None:
        disk = disk_of(shop())
        disk.signed_by[WEB] = key_id("a forger")
        assert codes(change_at(decide(shop(), disk), WEB)) == [R.SIGNATURE_INVALID]

    def test_sans_are_a_set(self) -> None:
        names = (dns("a.example"), dns("b.example"), GeneralName("IP", "127.0.0.1"))
        spec = shop(asking(member(WEB), subject_alt_names=names))
        disk = disk_of(spec)
        disk.certificates[WEB] = replace(disk.certificates[WEB], subject_alt_names=(*reversed(names), names[0]))
        assert decide(spec, disk).is_in_sync

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("serial_number", 7),
            ("signature_algorithm", "ecdsa-with-SHA512"),
            ("subject_der", b"the same name in a PrintableString"),
            ("subject_key_identifier", b"made another way"),
            ("present", frozenset({"1.2.3.4"})),
            ("critical", frozenset({"basicConstraints", "keyUsage", "1.2.3.4"})),
            ("not_before", NOW - timedelta(minutes=4, seconds=59)),
        ],
    )
    def test_what_the_spec_cannot_say_is_not_compared(self, field: str, value: object) -> None:
        assert self.differing(**{field: value}).is_in_sync

    def test_exact_dates_are_not_compared(self) -> None:
        assert decide(shop(), dated(90, NOW - 17 * DAY)).is_in_sync

    def test_how_an_issuers_key_identifier_was_made_is_not_compared(self) -> None:
        disk = disk_of(shop())
        disk.certificates[ISSUING] = replace(disk.certificates[ISSUING], subject_key_identifier=b"by hand")
        for address in (WEB, APP):
            certificate = disk.certificates[address]
            disk.certificates[address] = replace(certificate, authority_key_identifier=b"by hand")
        assert decide(shop(), disk).is_in_sync

    def test_a_larger_path_length_that_only_the_shape_of_the_spec_asks_stays(self) -> None:
        disk = disk_of(shop())
        for length in (1, None):
            disk.certificates[ISSUING] = replace(disk.certificates[ISSUING], path_length=length)
            assert decide(shop(), disk).is_in_sync

    def test_a_larger_path_length_than_the_spec_says_goes(self) -> None:
        entry = asking(authority(ISSUING, ROOT, 500), path_length_derived=False)
        disk = disk_of(shop(entry))
        disk.certificates[ISSUING] = replace(disk.certificates[ISSUING], path_length=1)
        reason = reason_for(change_at(decide(shop(entry), disk), ISSUING), R.EXTENSIONS_CHANGED)
        assert (reason.was, reason.wanted) == ("CA:TRUE, pathlen:1", "CA:TRUE, pathlen:0")

    def test_a_path_length_too_small_for_the_shape_of_the_spec_grows(self) -> None:
        below = Address.parse("cas/below")
        deeper = shop(
            asking(authority(ISSUING, ROOT, 500), path_length=1),
            authority(below, ISSUING, 400),
            member(WEB, below),
        )
        reason = reason_for(change_at(decide(deeper, disk_of(shop())), ISSUING), R.EXTENSIONS_CHANGED)
        assert (reason.was, reason.wanted) == ("CA:TRUE, pathlen:0", "CA:TRUE, pathlen:1")

    @pytest.mark.parametrize("state", [ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_the_manifest_says_only_whose_file_it_is(self, state: ManifestState) -> None:
        disk = disk_of(shop())
        disk.manifest_state = state
        assert [change.address for change in decide(shop(), disk).changes] == [TreeFile(MANIFEST_FILE)]

    def test_stale_certificates_are_seen_without_a_manifest_too(self) -> None:
        disk = disk_of(shop())
        disk.manifest_state = ManifestState.ABSENT
        spec = shop(asking(member(WEB), subject_alt_names=(dns("new.shop.example"),)))
        assert summary(decide(spec, disk)) == {"servers/web": ("update", "sans_changed")}

    def test_a_digest_in_the_manifest_drives_nothing(self) -> None:
        disk = disk_of(shop())
        disk.listed[WEB] = {}
        observed = disk.observed()
        lines = dict(observed.manifest.entries)
        assert lines[WEB].files[CERTIFICATE_FILE] == digest(pem(disk.certificates[WEB], *disk.paths[WEB]))
        disk.recorded[WEB] = key_id("another")
        assert [change.address for change in decide(shop(), disk).changes if change.address == WEB] == []


class TestLocality:
    def test_a_san_added_to_one_server_touches_that_servers_folder_alone(self) -> None:
        spec = shop(asking(member(WEB), subject_alt_names=(dns("web.shop.example"), dns("new.shop.example"))))
        found = decide(spec, disk_of(shop()))
        assert summary(found) == {"servers/web": ("update", "sans_changed")}
        assert set(found.kept) == {ROOT, ISSUING, APP}

    def test_a_renewed_root_leaves_its_children_valid(self) -> None:
        found = decide(shop(), disk_of(shop()), renew=[ROOT])
        assert summary(found) == {
            "cas/root": ("renew", "requested"),
            "servers/web": ("write", "trust_changed"),
            "clients/app": ("write", "trust_changed"),
        }
        assert found.kept == (ISSUING,)
        assert change_at(found, WEB).writes == (TRUST_FILE,)

    def test_a_renewed_intermediate_leaves_its_children_valid(self) -> None:
        found = decide(shop(), disk_of(shop()), renew=[ISSUING])
        assert summary(found) == {
            "cas/issuing": ("renew", "requested"),
            "servers/web": ("write", "path_changed"),
            "clients/app": ("write", "path_changed"),
        }
        assert change_at(found, WEB).writes == (CERTIFICATE_FILE,)

    def test_a_ca_with_other_contents_and_the_same_key_and_name_leaves_its_children_valid(self) -> None:
        spec = shop(asking(authority(ISSUING, ROOT, 500), ocsp=("http://ocsp.shop.example",)))
        found = decide(spec, disk_of(shop()))
        assert actions(found) == {"cas/issuing": "update", "servers/web": "write", "clients/app": "write"}

    def test_a_ca_whose_certificate_was_a_stranger_leaves_its_children_valid(self) -> None:
        """The key is the one in the manifest, so the CA has the same key and the same name as before."""
        disk = disk_of(shop())
        root = disk.certificates[ROOT]
        disk.certificates[ISSUING] = certificate_for(disk.bundle[ISSUING], root, public_key("stranger"))
        found = decide(shop(), disk)
        assert codes(change_at(found, ISSUING)) == [R.KEY_MISMATCH]
        assert actions(found) == {"cas/issuing": "update", "servers/web": "write", "clients/app": "write"}

    def test_only_files_that_contain_a_renewed_ca_are_rewritten(self) -> None:
        other, theirs = Address.parse("cas/other"), member(MAIL, Address.parse("cas/other"))
        spec = shop(authority(other), replace(theirs, trust=(other,)))
        found = decide(spec, disk_of(spec), renew=[ISSUING])
        assert {ROOT, other, MAIL} <= set(found.kept)
        found = decide(spec, disk_of(spec), renew=[other])
        assert {ROOT, ISSUING, WEB, APP} == set(found.kept)

    def cut(self) -> tuple[Bundle, Disk]:
        """Make a tree whose server was cut short at its issuer's end."""
        spec = shop(authority(ISSUING, ROOT, 100))
        disk = disk_of(spec)
        disk.certificates[WEB] = certificate_for(spec[WEB], disk.certificates[ISSUING], at=NOW + timedelta(days=30))
        assert disk.certificates[WEB].not_after == disk.certificates[ISSUING].not_after
        return spec, disk

    def test_a_child_cut_at_the_old_end_of_its_issuer_is_renewed_with_it(self) -> None:
        spec, disk = self.cut()
        found = decide(spec, disk, NOW + 40 * DAY, renew=[ISSUING])
        assert summary(found) == {
            "cas/issuing": ("renew", "requested"),
            "servers/web": ("renew", "renewal_due"),
            "clients/app": ("write", "path_changed"),
        }
        assert change_at(found, WEB).key is KeyFate.KEPT

    def test_a_child_cut_at_the_end_of_its_issuer_waits_for_it(self) -> None:
        spec, disk = self.cut()
        assert decide(spec, disk, NOW + 31 * DAY).is_in_sync

    def test_a_cut_reaches_down_the_path(self) -> None:
        spec = shop(authority(ROOT, days=100), authority(ISSUING, ROOT, 100), member(WEB, days=100))
        disk = disk_of(spec, NOW)
        for address, issuer in ((ISSUING, ROOT), (WEB, ISSUING)):
            above = disk.certificates[issuer]
            disk.certificates[address] = certificate_for(spec[address], above, at=NOW + 10 * DAY)
        disk.paths[WEB] = disk.paths[APP] = (disk.certificates[ISSUING],)
        found = decide(spec, disk, NOW + 20 * DAY, renew=[ROOT])
        expected = {"cas/root": "renew", "cas/issuing": "renew", "servers/web": "renew", "clients/app": "write"}
        assert actions(found) == expected

    def test_a_rekeyed_root_reissues_everything_below_it_top_down_in_the_same_run(self) -> None:
        found = decide(shop(), disk_of(shop()), rekey=[ROOT])
        assert [str(change.address) for change in found.changes] == [
            "cas/root",
            "cas/issuing",
            "servers/web",
            "clients/app",
        ]
        assert summary(found)["cas/root"] == ("rekey", "requested")
        assert summary(found)["cas/issuing"] == ("update", "issuer_changed")

    def test_a_rekeyed_intermediate_reissues_everything_below_it_and_nothing_else(self) -> None:
        spec = shop(member(MAIL, ROOT))
        found = decide(spec, disk_of(spec), rekey=[ISSUING])
        assert summary(found) == {
            "cas/issuing": ("rekey", "requested"),
            "servers/web": ("update", "issuer_changed"),
            "clients/app": ("update", "issuer_changed"),
        }
        assert found.kept == (ROOT, MAIL)

    def test_what_a_new_key_has_signed_is_valid_after_the_same_run(self) -> None:
        disk = disk_of(shop())
        disk.carry_out(shop(), decide(shop(), disk, rekey=[ROOT]))
        assert decide(shop(), disk, NOW + SECOND).is_in_sync

    def test_only_the_entries_below_are_reissued_when_a_ca_gets_another_name(self) -> None:
        spec = shop(asking(authority(ISSUING, ROOT, 500), subject=name_of("New Issuing CA")), member(MAIL, ROOT))
        found = decide(spec, disk_of(shop(member(MAIL, ROOT))))
        assert actions(found) == {"cas/issuing": "update", "servers/web": "update", "clients/app": "update"}
        reason = reason_for(change_at(found, WEB), R.ISSUER_CHANGED)
        assert (reason.was, reason.wanted) == ("CN=Shop issuing", "CN=New Issuing CA")

    def test_defaults_that_say_the_same_change_nothing(self) -> None:
        assert decide(bundle_of(*shop().entries), disk_of(shop())).is_in_sync


class TestTime:
    def term(self, validity: Validity, *, issuer_since: timedelta = 100 * DAY) -> tuple[datetime, datetime]:
        spec = shop(asking(member(WEB), validity=validity))
        disk = disk_of(without(spec, WEB), NOW - issuer_since)
        return issue_dates(decide(spec, disk), WEB)

    @pytest.mark.parametrize(
        ("seconds", "backdated"),
        [(365 * DAYS, 300), (3000, 300), (2999, 299), (600, 60), (19, 1), (10, 1)],
    )
    def test_not_before_is_backdated_five_minutes_at_most_a_tenth_of_the_validity(
        self, seconds: int, backdated: int
    ) -> None:
        begin, _ = self.term(Validity(seconds))
        assert begin == NOW - timedelta(seconds=backdated)

    def test_not_before_is_never_before_the_issuers(self) -> None:
        begin, end = self.term(Validity(90 * DAYS), issuer_since=-timedelta(seconds=300))
        assert begin == NOW
        assert end == NOW + 90 * DAY - SECOND

    def test_not_before_may_be_the_issuers(self) -> None:
        begin, _ = self.term(Validity(90 * DAYS), issuer_since=timedelta(0))
        assert begin == NOW - timedelta(minutes=5)

    @pytest.mark.parametrize("seconds", [1000, 86400, 90 * DAYS])
    def test_not_after_is_not_before_and_the_validity_less_a_second(self, seconds: int) -> None:
        begin, end = self.term(Validity(seconds))
        assert end - begin == timedelta(seconds=seconds - 1)

    def test_a_root_is_backdated_too(self) -> None:
        begin, end = issue_dates(decide(shop(), empty_disk(shop())), ROOT)
        assert begin == NOW - timedelta(minutes=5)
        assert end == begin + 1000 * DAY - SECOND

    def test_dates_are_whole_seconds(self) -> None:
        found = decide(shop(), empty_disk(shop()), NOW.replace(microsecond=1))
        for moment in issue_dates(found, WEB):
            assert moment.microsecond == 0
            assert moment.utcoffset() == timedelta(0)

    def test_a_child_never_ends_after_its_issuer(self) -> None:
        _, end = self.term(Validity(400 * DAYS), issuer_since=200 * DAY)
        assert end == NOW - 200 * DAY - timedelta(minutes=5) + 500 * DAY - SECOND

    def test_a_child_with_a_fixed_end_never_ends_after_its_issuer(self) -> None:
        _, end = self.term(Validity(not_after=NOW + 900 * DAY), issuer_since=timedelta(0))
        assert end == NOW - timedelta(minutes=5) + 500 * DAY - SECOND

    def test_a_child_that_ends_after_its_issuer_is_signed_anew_to_end_with_it(self) -> None:
        spec = shop(authority(ISSUING, ROOT, 60))
        disk = disk_of(spec)
        end = disk.certificates[ISSUING].not_after
        disk.certificates[WEB] = replace(disk.certificates[WEB], not_after=end + SECOND)
        found = decide(spec, disk)
        assert codes(change_at(found, WEB)) == [R.OUTLIVES_ISSUER]
        assert issue_dates(found, WEB)[1] == end
        disk.certificates[WEB] = replace(disk.certificates[WEB], not_after=end)
        assert decide(spec, disk).is_in_sync

    def test_nesting_is_judged_on_not_after_alone(self) -> None:
        disk = disk_of(shop())
        issuer = disk.certificates[ISSUING]
        begin = issuer.not_before - 30 * DAY
        disk.certificates[WEB] = replace(disk.certificates[WEB], not_before=begin, not_after=begin + 90 * DAY - SECOND)
        assert decide(shop(), disk).is_in_sync

    def test_an_issuer_made_shorter_shortens_what_it_issued(self) -> None:
        spec = shop(authority(ISSUING, ROOT, 60))
        found = decide(spec, disk_of(shop()))
        assert codes(change_at(found, WEB)) == [R.OUTLIVES_ISSUER]
        assert issue_dates(found, WEB)[1] == issue_dates(found, ISSUING)[1]

    @pytest.mark.parametrize("days", [30, 91, 200])
    def test_a_changed_validity_is_an_update_with_the_same_key(self, days: int) -> None:
        change = change_at(decide(shop(member(WEB, days=days)), disk_of(shop())), WEB)
        assert (change.action, codes(change), change.key) == (
            Action.UPDATE,
            [R.VALIDITY_CHANGED],
            KeyFate.KEPT,
        )

    @pytest.mark.parametrize("days", [80, 120])
    def test_a_changed_validity_is_an_update_after_the_issuer_was_renewed_too(self, days: int) -> None:
        rotating = KeyPolicy(rotation=KeyRotation.ON_RENEWAL)
        spec, changed = (shop(member(WEB, days=each, key=rotating)) for each in (90, days))
        disk = disk_of(spec)
        disk.carry_out(spec, decide(spec, disk, NOW + 20 * DAY, renew=[ISSUING]))
        later = NOW + 21 * DAY
        assert decide(spec, disk, later).is_in_sync
        for no_renew in (False, True):
            change = change_at(decide(changed, disk, later, no_renew=no_renew), WEB)
            assert codes(change) == [R.VALIDITY_CHANGED]
            assert (change.action, change.key) == (Action.UPDATE, KeyFate.KEPT)

    def test_the_same_validity_in_other_words_is_no_change(self) -> None:
        spec = shop(asking(member(WEB), validity=Validity(seconds=90 * 24 * 3600)))
        assert decide(spec, disk_of(shop())).is_in_sync

    def test_a_validity_changed_where_the_issuer_cuts_it_anyway_is_no_change(self) -> None:
        short = authority(ISSUING, ROOT, 60)
        found = decide(shop(short, member(WEB, days=120)), disk_of(shop(short)))
        assert found.is_in_sync

    def test_a_changed_fixed_end_is_an_update(self) -> None:
        before, after = NOW + 50 * DAY, NOW + 60 * DAY
        old = shop(asking(member(WEB), validity=Validity(not_after=before)))
        new = shop(asking(member(WEB), validity=Validity(not_after=after)))
        found = decide(new, disk_of(old))
        assert codes(change_at(found, WEB)) == [R.VALIDITY_CHANGED]
        assert issue_dates(found, WEB)[1] == after

    def test_a_changed_fixed_beginning_is_an_update(self) -> None:
        begin, end = NOW - 10 * DAY, NOW + 60 * DAY
        old = shop(asking(member(WEB), validity=Validity(not_before=begin, not_after=end)))
        new = shop(asking(member(WEB), validity=Validity(not_before=begin - DAY, not_after=end)))
        found = decide(new, disk_of(old))
        assert codes(change_at(found, WEB)) == [R.VALIDITY_CHANGED]
        assert issue_dates(found, WEB) == (begin - DAY, end)
        assert decide(old, disk_of(old)).is_in_sync

    def test_renewal_is_due_in_the_window_and_not_a_second_before(self) -> None:
        disk = disk_of(shop())
        opens = disk.certificates[WEB].not_after - timedelta(days=30)
        assert decide(shop(), disk, opens - SECOND).is_in_sync
        assert codes(change_at(decide(shop(), disk, opens), WEB)) == [R.RENEWAL_DUE]

    def test_a_window_of_seconds_is_as_long_as_it_says(self) -> None:
        spec = shop(member(WEB, renew_before=RenewBefore(seconds=DAYS)))
        disk = disk_of(spec)
        opens = disk.certificates[WEB].not_after - DAY
        assert WEB in decide(spec, disk, opens - SECOND).kept
        assert codes(change_at(decide(spec, disk, opens), WEB)) == [R.RENEWAL_DUE]

    def test_a_window_in_percent_is_of_the_certificates_own_lifetime(self) -> None:
        """The certificate was cut at thirty days, so its last third is ten days, not thirty."""
        short = authority(ISSUING, ROOT, 30, renew_before=RenewBefore(seconds=3600))
        disk = disk_of(shop(short))
        longer = shop(authority(ISSUING, ROOT, 500))
        disk.certificates[ISSUING] = replace(disk.certificates[ISSUING], not_after=NOW + 500 * DAY)
        certificate = disk.certificates[WEB]
        assert certificate.not_after - certificate.not_before == 30 * DAY - SECOND
        entry = asking(longer[WEB], validity=Validity(not_after=certificate.not_after))
        spec = shop(short, entry)
        disk = disk_of(spec)
        opens = disk.certificates[WEB].not_after - timedelta(seconds=disk.certificates[WEB].lifetime // 3)
        assert "fixed-end" not in [code for code, _ in words(decide(spec, disk, opens - SECOND).notices)]
        assert ("fixed-end", "servers/web") in words(decide(spec, disk, opens).notices)

    def test_renewal_is_due_only_where_the_new_end_would_be_later(self) -> None:
        spec = shop(authority(ISSUING, ROOT, 60, renew_before=RenewBefore(seconds=3600)))
        disk = disk_of(spec)
        found = decide(spec, disk, NOW + 50 * DAY)
        assert found.is_in_sync
        warning = the((n for n in found.notices if n.where == "servers/web"), "issuer-ends")
        assert warning.severity is Severity.WARNING
        assert "cas/issuing" in warning.message

    def test_a_root_that_would_gain_nothing_is_not_due_and_has_no_issuer_to_warn_of(self) -> None:
        spec = without(shop(authority(ROOT, renew_before=RenewBefore(seconds=1000 * DAYS - 301))), ISSUING, WEB, APP)
        found = decide(spec, disk_of(spec))
        assert found.is_in_sync
        assert not found.notices
        longer = without(shop(authority(ROOT, renew_before=RenewBefore(seconds=1000 * DAYS))), ISSUING, WEB, APP)
        found = decide(longer, disk_of(longer))
        assert found.is_in_sync
        assert not found.notices

    def test_before_its_window_an_issuer_that_ends_is_no_warning(self) -> None:
        spec = shop(authority(ISSUING, ROOT, 60, renew_before=RenewBefore(seconds=3600)))
        assert not decide(spec, disk_of(spec), NOW + 10 * DAY).notices

    def test_one_second_gained_is_a_later_end(self) -> None:
        spec = shop(authority(ISSUING, ROOT, 60, renew_before=RenewBefore(seconds=3600)))
        disk = disk_of(spec)
        end = disk.certificates[ISSUING].not_after
        disk.certificates[WEB] = replace(disk.certificates[WEB], not_after=end - SECOND)
        found = decide(spec, disk, NOW + 50 * DAY)
        assert codes(change_at(found, WEB)) == [R.RENEWAL_DUE]
        disk.carry_out(spec, found)
        assert decide(spec, disk, NOW + 50 * DAY + SECOND).is_in_sync

    def test_a_fixed_end_is_never_due_and_warned_of_as_it_nears(self) -> None:
        spec = shop(asking(member(WEB), validity=Validity(not_after=NOW + 90 * DAY)))
        disk = disk_of(spec)
        early, near = decide(spec, disk, NOW + 10 * DAY), decide(spec, disk, NOW + 80 * DAY)
        assert WEB in early.kept
        assert not early.notices
        assert WEB in near.kept
        assert the(near.notices, "fixed-end").where == "servers/web"

    def test_a_fixed_beginning_with_a_validity_has_a_fixed_end(self) -> None:
        spec = shop(asking(member(WEB), validity=Validity(90 * DAYS, not_before=NOW - DAY)))
        disk = disk_of(spec)
        found = decide(spec, disk, NOW + 85 * DAY)
        assert WEB in found.kept
        assert ("fixed-end", "servers/web") in words(found.notices)

    def test_a_fixed_end_that_has_passed_is_said(self) -> None:
        spec = shop(asking(member(WEB), validity=Validity(not_after=NOW + 90 * DAY)))
        found = decide(spec, disk_of(spec), NOW + 95 * DAY)
        assert WEB in found.kept
        assert "ended" in the(found.notices, "fixed-end").message

    def test_below_a_root_whose_fixed_end_has_passed_nothing_is_signed_to_be_over_at_once(self) -> None:
        """Else every run would sign again what has ended when it is signed."""
        spec = shop(asking(authority(ROOT), validity=Validity(not_after=NOW + 50 * DAY)))
        disk = disk_of(spec)
        assert decide(spec, disk, NOW + 50 * DAY).is_in_sync
        found = decide(spec, disk, NOW + 60 * DAY)
        dead = [c for c in found.changes if c.signing and c.signing.issuance.not_after < found.now]
        assert found.obstacles or not dead

    def test_a_certificate_that_would_end_before_it_begins_is_in_the_way(self) -> None:
        spec = shop(asking(member(WEB), validity=Validity(not_after=NOW - DAY)))
        found = decide(spec, disk_of(without(spec, WEB)))
        assert words(found.obstacles) == [("validity-ended", "servers/web")]

    def test_it_is_expired_from_the_second_after_its_last(self) -> None:
        disk = disk_of(shop())
        end = disk.certificates[WEB].not_after
        assert codes(change_at(decide(shop(), disk, end), WEB)) == [R.RENEWAL_DUE]
        assert codes(change_at(decide(shop(), disk, end + SECOND), WEB)) == [R.EXPIRED]

    def test_with_no_renew_time_alone_is_no_reason(self) -> None:
        disk = disk_of(shop())
        assert not decide(shop(), disk, NOW + 80 * DAY).is_in_sync
        assert decide(shop(), disk, NOW + 80 * DAY, no_renew=True).is_in_sync

    def test_with_no_renew_expired_still_is(self) -> None:
        change = change_at(decide(shop(), disk_of(shop()), NOW + 91 * DAY, no_renew=True), WEB)
        assert (change.action, codes(change)) == (Action.RENEW, [R.EXPIRED])

    def test_with_no_renew_other_reasons_still_are(self) -> None:
        spec = shop(asking(member(WEB), subject=name_of("new")))
        change = change_at(decide(spec, disk_of(shop()), NOW + 80 * DAY, no_renew=True), WEB)
        assert (change.action, codes(change)) == (Action.UPDATE, [R.SUBJECT_CHANGED])

    def test_a_day_ahead_is_not_yet_a_wrong_clock(self) -> None:
        assert decide(shop(), dated(90, NOW + DAY + timedelta(minutes=5))).is_in_sync
        late = dated(90, NOW + DAY + timedelta(minutes=5, seconds=1))
        assert codes(change_at(decide(shop(), late), WEB)) == [R.NOT_YET_VALID]

    def test_a_beginning_ahead_that_the_spec_asks_is_no_wrong_clock(self) -> None:
        validity = Validity(not_before=NOW + 5 * DAY, not_after=NOW + 50 * DAY)
        spec = shop(asking(member(WEB), validity=validity))
        assert decide(spec, disk_of(spec)).is_in_sync

    @pytest.mark.parametrize("window", [30, 60, 89])
    def test_a_window_not_shorter_than_the_real_lifetime_does_not_renew_in_a_loop(self, window: int) -> None:
        """cert-manager's loop: the issuer cuts the certificate to less than its window."""
        short = authority(ISSUING, ROOT, 30, renew_before=RenewBefore(seconds=3600))
        spec = shop(short, member(WEB, renew_before=RenewBefore(seconds=window * DAYS)))
        disk = empty_disk(spec)
        now = NOW
        disk.carry_out(spec, decide(spec, disk, now))
        for wait in (SECOND, HOUR, DAY, 20 * DAY):
            now += wait
            found = decide(spec, disk, now)
            assert summary(found) == {}
            disk.carry_out(spec, found)

    @pytest.mark.parametrize(
        ("seconds", "window"),
        [(3600, RenewBefore(seconds=3299)), (90 * DAYS, RenewBefore(seconds=90 * DAYS - 301)), (3600, RenewBefore())],
    )
    def test_what_was_just_renewed_is_not_due_a_second_later(self, seconds: int, window: RenewBefore) -> None:
        spec = shop(replace(asking(member(WEB), validity=Validity(seconds)), renew_before=window))
        disk = disk_of(spec)
        now = disk.certificates[WEB].not_after
        found = decide(spec, disk, now)
        assert codes(change_at(found, WEB)) == [R.RENEWAL_DUE]
        disk.carry_out(spec, found)
        assert WEB in decide(spec, disk, now + timedelta(0)).kept

    def test_after_years_of_runs_every_certificate_is_valid_and_nested(self) -> None:
        """Apply once a week for eight years: nothing is ever expired, nothing outlives its issuer."""
        spec = shop(
            authority(ROOT, days=1000, renew_before=RenewBefore(longest_issued=500 * DAYS)),
            authority(ISSUING, ROOT, 500, renew_before=RenewBefore(longest_issued=90 * DAYS)),
        )
        disk, now = empty_disk(spec), NOW
        for _ in range(8 * 52):
            found = decide(spec, disk, now)
            seen = {code for change in found.changes for code in codes(change)}
            assert not seen & {R.EXPIRED, R.OUTLIVES_ISSUER, R.VALIDITY_CHANGED}
            disk.carry_out(spec, found)
            assert decide(spec, disk, now + SECOND).is_in_sync
            now += 7 * DAY


class TestKeysThatAreNotHere:
    def clone(self, spec: Bundle | None = None) -> Disk:
        """Make the tree as a fresh clone has it, whose keys git does not hold."""
        disk = disk_of(spec or shop())
        disk.lose_keys()
        return disk

    def test_a_key_that_this_machine_has_seen_and_that_is_gone_is_made_anew(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB] = ObservedKey()
        found = decide(shop(), disk)
        change = change_at(found, WEB)
        assert (change.action, codes(change), change.key) == (Action.REKEY, [R.KEY_MISSING], KeyFate.NEW)
        assert KEY_FILE in change.writes
        assert set(found.kept) == {ROOT, ISSUING, APP}

    @pytest.mark.parametrize("address", [ROOT, ISSUING])
    def test_of_end_entities_only(self, address: Address) -> None:
        disk = disk_of(shop())
        disk.keys[address] = ObservedKey()
        found = decide(shop(), disk)
        assert found.is_in_sync
        assert address in found.kept

    def test_a_key_never_seen_here_lives_elsewhere_no_change_one_note(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(WEB, APP)
        found = decide(shop(), disk)
        assert found.is_in_sync
        note = the(found.notices, "keys-elsewhere")
        assert note.severity is Severity.NOTE
        assert "servers/web" in note.message
        assert "clients/app" in note.message

    def test_keys_that_are_here_have_no_note(self) -> None:
        assert not decide(shop(), disk_of(shop())).notices

    def test_renew_signs_the_public_key_of_the_certificate_that_is_there(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(WEB)
        change = change_at(decide(shop(), disk, NOW + 61 * DAY), WEB)
        assert change.signing is not None
        assert (change.action, change.key) == (Action.RENEW, KeyFate.ELSEWHERE)
        assert change.signing.key.source is KeySource.PUBLIC_KEY
        assert change.signing.key.public_key == public_key("servers/web")
        assert KEY_FILE not in change.writes

    def test_update_signs_the_public_key_of_the_certificate_that_is_there(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(WEB)
        change = change_at(decide(shop(asking(member(WEB), subject=name_of("new"))), disk), WEB)
        assert change.signing is not None
        assert (change.action, change.key) == (Action.UPDATE, KeyFate.ELSEWHERE)
        assert change.signing.key.public_key == public_key("servers/web")

    def test_a_fresh_clone_is_in_sync(self) -> None:
        found = decide(shop(), self.clone())
        assert found.is_in_sync
        assert [notice.code for notice in found.notices] == ["keys-elsewhere"]

    def test_a_fresh_clone_with_the_cas_key_can_renew(self) -> None:
        disk = self.clone()
        disk.keys[ISSUING] = present_key("cas/issuing")
        found = decide(shop(), disk, NOW + 61 * DAY)
        assert actions(found) == {"servers/web": "renew", "clients/app": "renew"}

    def test_a_lost_certificate_whose_key_lives_elsewhere_asks_for_a_person(self) -> None:
        disk = self.clone()
        disk.keys[ISSUING] = present_key("cas/issuing")
        disk.lose_certificate(WEB)
        obstacle = the(decide(shop(), disk).obstacles, "key-elsewhere")
        assert obstacle.where == "servers/web"
        assert "--rekey servers/web" in (obstacle.help or "")

    def test_a_lost_certificate_whose_key_was_seen_here_is_made_anew_with_a_new_key(self) -> None:
        disk = disk_of(shop())
        disk.lose(WEB)
        change = change_at(decide(shop(), disk), WEB)
        assert change.key is KeyFate.NEW
        assert codes(change) == [R.KEY_MISSING, R.MISSING]

    def test_another_algorithm_makes_a_key_here_and_now(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(WEB)
        change = change_at(decide(shop(member(WEB, key=P384)), disk), WEB)
        assert (change.action, change.key) == (Action.REKEY, KeyFate.NEW)

    def test_a_stranger_in_a_clone_is_never_certified(self) -> None:
        """The certificate was swapped for another's and the key is not here: nobody knows the entry's public key."""
        disk = self.clone()
        disk.keys[ISSUING] = present_key("cas/issuing")
        issuer = disk.certificates[ISSUING]
        disk.certificates[WEB] = certificate_for(disk.bundle[APP], issuer, public_key("clients/app"))
        found = decide(shop(), disk)
        signed = [change.signing.key.public_key for change in found.changes if change.signing]
        assert public_key("clients/app") not in signed
        assert ("servers/web") in [where for _, where in words(found.obstacles)]


class TestKeysThatDoNotFit:
    def stranger(self) -> Disk:
        disk = disk_of(shop())
        disk.keys[WEB] = present_key("stranger")
        return disk

    @pytest.mark.parametrize("state", [ManifestState.READ, ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_a_key_that_is_in_neither_certificate_nor_manifest_is_the_stranger(self, state: ManifestState) -> None:
        disk = self.stranger()
        disk.manifest_state = state
        found = decide(shop(), disk)
        obstacle = the(found.obstacles, "key-mismatch")
        assert obstacle.where == "servers/web"
        assert WEB not in [change.address for change in found.changes]

    def test_it_names_the_ways_out(self) -> None:
        help_ = the(decide(shop(), self.stranger()).obstacles, "key-mismatch").help or ""
        assert "restore servers/web/key.pem" in help_
        assert "--rekey servers/web" in help_

    def test_two_keys_swapped_are_two_strangers(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB], disk.keys[APP] = disk.keys[APP], disk.keys[WEB]
        found = decide(shop(), disk)
        assert words(found.obstacles) == [("key-mismatch", "servers/web"), ("key-mismatch", "clients/app")]

    def test_where_the_key_is_the_one_in_the_manifest_the_certificate_is_the_stranger(self) -> None:
        disk = disk_of(shop())
        issuer = disk.certificates[ISSUING]
        disk.certificates[WEB] = certificate_for(disk.bundle[WEB], issuer, public_key("stranger"))
        found = decide(shop(), disk)
        change = change_at(found, WEB)
        assert not found.obstacles
        assert (codes(change), change.key) == ([R.KEY_MISMATCH], KeyFate.KEPT)
        assert change.signing is not None
        assert change.signing.key.source is KeySource.FILE

    def test_where_all_three_differ_the_key_is_a_stranger(self) -> None:
        disk = disk_of(shop())
        issuer = disk.certificates[ISSUING]
        disk.certificates[WEB] = certificate_for(disk.bundle[WEB], issuer, public_key("stranger"))
        disk.keys[WEB] = present_key("another stranger")
        assert words(decide(shop(), disk).obstacles) == [("key-mismatch", "servers/web")]

    def test_a_strange_key_without_a_certificate_is_not_certified(self) -> None:
        disk = self.stranger()
        disk.lose_certificate(WEB)
        assert words(decide(shop(), disk).obstacles) == [("key-mismatch", "servers/web")]

    def test_the_recorded_key_without_a_certificate_is_certified(self) -> None:
        disk = disk_of(shop())
        disk.lose_certificate(WEB)
        change = change_at(decide(shop(), disk), WEB)
        assert (change.action, codes(change), change.key) == (Action.ISSUE, [R.MISSING], KeyFate.KEPT)

    def test_rekey_is_a_way_out_and_keeps_the_stranger(self) -> None:
        found = decide(shop(), self.stranger(), rekey=[WEB])
        assert not found.obstacles
        change = change_at(found, WEB)
        assert (change.action, change.key) == (Action.REKEY, KeyFate.NEW)
        assert change.signing is not None
        assert change.signing.key.keep_old_as_spare

    def test_restoring_the_key_is_a_way_out(self) -> None:
        disk = self.stranger()
        disk.keys[WEB] = present_key("servers/web")
        assert decide(shop(), disk).is_in_sync

    def test_a_key_that_fits_is_not_kept_beside_its_successor(self) -> None:
        change = change_at(decide(shop(), disk_of(shop()), rekey=[WEB]), WEB)
        assert change.signing is not None
        assert not change.signing.key.keep_old_as_spare

    @pytest.mark.parametrize("address", [ROOT, ISSUING, WEB])
    def test_a_key_that_cannot_be_read_is_never_replaced_unasked(self, address: Address) -> None:
        disk = disk_of(shop())
        disk.keys[address] = unreadable_key("the private key is encrypted")
        found = decide(shop(), disk)
        obstacle = the(found.obstacles, "key-unreadable")
        assert obstacle.where == str(address)
        assert "the private key is encrypted" in obstacle.message
        assert f"--rekey {address}" in (obstacle.help or "")
        assert not any(change.key is KeyFate.NEW for change in found.changes)

    @pytest.mark.parametrize("address", [ROOT, ISSUING, WEB])
    def test_rekey_replaces_it_and_keeps_it_as_a_spare(self, address: Address) -> None:
        disk = disk_of(shop())
        disk.keys[address] = unreadable_key()
        found = decide(shop(), disk, rekey=[address])
        assert not found.obstacles
        assert not found.consents
        change = change_at(found, address)
        assert change.signing is not None
        assert change.key is KeyFate.NEW
        assert change.signing.key.keep_old_as_spare

    def test_it_is_not_replaced_although_its_algorithm_changed(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB] = unreadable_key()
        found = decide(shop(member(WEB, key=P384)), disk)
        assert words(found.obstacles) == [("key-unreadable", "servers/web")]

    def test_a_strange_key_is_not_replaced_although_its_algorithm_changed(self) -> None:
        found = decide(shop(member(WEB, key=P384)), self.stranger())
        assert words(found.obstacles) == [("key-mismatch", "servers/web")]

    def test_a_folder_where_the_key_should_be_is_not_written_over(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB] = ObservedKey(KeyState.UNREADABLE, reason="not a regular file")
        disk.files[WEB] = {KEY_FILE: FileState(FileKind.OTHER)}
        found = decide(shop(), disk, rekey=[WEB])
        assert words(found.obstacles) == [("foreign-file", "servers/web/key.pem")]


class TestTheSignerThatIsNotHere:
    def test_a_lost_certificate_of_a_root_is_restored_from_a_trust_file(self) -> None:
        disk = disk_of(shop())
        root = disk.certificates[ROOT]
        disk.lose_certificate(ROOT)
        found = decide(shop(), disk)
        assert summary(found) == {"cas/root": ("write", "missing")}
        assert change_at(found, ROOT).certificate == root

    def test_a_lost_certificate_of_an_intermediate_is_restored_from_a_path(self) -> None:
        disk = disk_of(shop())
        issuing = disk.certificates[ISSUING]
        disk.lose_certificate(ISSUING)
        found = decide(shop(), disk)
        assert summary(found) == {"cas/issuing": ("write", "missing")}
        assert change_at(found, ISSUING).certificate == issuing
        disk.carry_out(shop(), found)
        assert decide(shop(), disk).is_in_sync

    @pytest.mark.parametrize("address", [ROOT, ISSUING])
    def test_a_garbled_certificate_of_a_ca_is_restored_too(self, address: Address) -> None:
        disk = disk_of(shop())
        disk.lose_certificate(address)
        disk.problems[address] = "not a PEM certificate that can be read"
        found = decide(shop(), disk)
        assert summary(found) == {str(address): ("write", "unreadable")}

    @pytest.mark.parametrize("address", [ROOT, ISSUING])
    def test_a_lost_folder_of_a_ca_is_restored_as_far_as_the_tree_has_it(self, address: Address) -> None:
        disk = disk_of(shop())
        disk.lose(address)
        found = decide(shop(), disk)
        assert summary(found) == {str(address): ("write", "missing")}
        assert change_at(found, address).writes == (CERTIFICATE_FILE,)

    @pytest.mark.parametrize("state", [ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_without_a_manifest_it_is_known_by_its_subject(self, state: ManifestState) -> None:
        disk = disk_of(shop())
        disk.lose(ISSUING)
        disk.manifest_state = state
        found = decide(shop(), disk)
        assert summary(found) == {"cas/issuing": ("write", "missing")}

    def test_the_latest_certificate_of_its_key_is_restored(self) -> None:
        disk = disk_of(shop())
        older = replace(certificate_for(disk.bundle[ISSUING], disk.certificates[ROOT]), not_after=NOW + 100 * DAY)
        disk.paths[APP] = (older,)
        newer = disk.certificates[ISSUING]
        disk.lose_certificate(ISSUING)
        assert change_at(decide(shop(), disk), ISSUING).certificate == newer

    def test_a_certificate_of_another_key_is_not_taken_for_it(self) -> None:
        disk = disk_of(shop())
        disk.lose_certificate(ISSUING)
        other = certificate_for(disk.bundle[ISSUING], disk.certificates[ROOT], public_key("stranger"))
        disk.paths[WEB] = disk.paths[APP] = (other,)
        assert change_at(decide(shop(), disk), ISSUING).certificate != other

    def test_an_end_entitys_certificate_is_not_looked_for_elsewhere(self) -> None:
        disk = disk_of(shop())
        disk.lose_certificate(WEB)
        assert change_at(decide(shop(), disk), WEB).action is Action.ISSUE

    @pytest.mark.parametrize("address", [ROOT, ISSUING])
    @pytest.mark.parametrize("state", [ManifestState.READ, ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_a_known_ca_never_gets_a_new_key_unasked(self, address: Address, state: ManifestState) -> None:
        """Its key is gone, seen here or not; its certificate too, or with it its whole folder."""

        def lose_key(disk: Disk) -> None:
            disk.keys[address] = ObservedKey()

        def lose_unseen_key(disk: Disk) -> None:
            disk.lose_keys(address)

        def lose_folder(disk: Disk) -> None:
            disk.lose(address)

        def lose_certificate_and_have_a_stranger(disk: Disk) -> None:
            disk.lose(address)
            disk.keys[address] = present_key("stranger")

        losses: tuple[Callable[[Disk], None], ...] = (
            lose_key,
            lose_unseen_key,
            lose_folder,
            lose_certificate_and_have_a_stranger,
        )
        for lose in losses:
            disk = disk_of(shop())
            disk.manifest_state = state
            lose(disk)
            found = decide(shop(), disk)
            assert not any(change.key is KeyFate.NEW for change in found.changes), lose.__name__
            signed = [change.address for change in found.changes if change.signing]
            assert found.obstacles or address not in signed, lose.__name__

    def test_a_ca_known_by_the_manifest_alone_never_gets_a_new_key_unasked(self) -> None:
        spec = without(shop(), WEB, APP)
        disk = disk_of(spec)
        disk.lose(ROOT)
        found = decide(spec, disk)
        assert ("key-elsewhere", "cas/root") in words(found.obstacles)
        assert not any(change.key is KeyFate.NEW for change in found.changes)

    def test_a_ca_that_nobody_knows_gets_its_first_key(self) -> None:
        change = change_at(decide(shop(), empty_disk(shop())), ROOT)
        assert change.key is KeyFate.NEW

    def due(self) -> Disk:
        disk = disk_of(shop())
        disk.lose_keys(ROOT, ISSUING)
        return disk

    def test_what_is_due_and_whose_signer_is_not_here_is_put_off(self) -> None:
        found = decide(shop(), self.due(), NOW + 61 * DAY)
        assert found.is_in_sync
        put_off = [notice for notice in found.notices if notice.code == "put-off"]
        assert [notice.where for notice in put_off] == ["servers/web", "clients/app"]
        assert all(notice.severity is Severity.WARNING for notice in put_off)

    def test_the_warning_names_the_last_safe_day(self) -> None:
        disk = self.due()
        found = decide(shop(), disk, NOW + 61 * DAY)
        warning = next(notice for notice in found.notices if notice.where == "servers/web")
        assert f"{disk.certificates[WEB].not_after:%Y-%m-%d}" in f"{warning.message} {warning.help}"

    def test_everything_else_proceeds(self) -> None:
        disk = self.due()
        disk.anchors[WEB] = ()
        disk.paths[APP] = ()
        found = decide(shop(), disk, NOW + 61 * DAY)
        assert actions(found) == {"servers/web": "write", "clients/app": "write"}
        assert not found.obstacles

    def test_a_root_that_is_due_and_whose_key_is_not_here_is_put_off(self) -> None:
        found = decide(shop(), self.due(), NOW + 700 * DAY, no_renew=False)
        assert ("put-off", "cas/root") in words(found.notices)

    def test_a_due_root_proceeds_where_its_key_is_here(self) -> None:
        spec = without(shop(), ISSUING, WEB, APP)
        found = decide(spec, disk_of(spec), NOW + 700 * DAY)
        assert actions(found) == {"cas/root": "renew"}

    @pytest.mark.parametrize("cause", ["expired", "changed", "missing", "requested", "new"])
    def test_what_must_be_signed_and_cannot_be_is_in_the_way(self, cause: str) -> None:
        disk, spec, now = self.due(), shop(), NOW
        renew: tuple[Address, ...] = ()
        match cause:
            case "expired":
                now = NOW + 91 * DAY
            case "changed":
                spec = shop(asking(member(WEB), subject=name_of("new")))
            case "missing":
                disk.lose_certificate(WEB)
            case "requested":
                renew = (WEB,)
            case "new":
                disk = disk_of(without(shop(), WEB))
                disk.lose_keys(ROOT, ISSUING)
        found = decide(spec, disk, now, renew=renew)
        obstacle = the(found.obstacles, "signer-missing")
        assert obstacle.where == "cas/issuing"
        assert "servers/web" in obstacle.message
        assert WEB not in [change.address for change in found.changes if change.signing]

    def test_it_names_the_ways_out(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(ISSUING)
        help_ = the(decide(shop(), disk, NOW + 91 * DAY).obstacles, "signer-missing").help or ""
        assert "cas/issuing/key.pem" in help_
        assert "--rekey cas/issuing" in help_

    def test_a_way_out_that_leads_nowhere_is_not_named(self) -> None:
        """A new key for an intermediate is of no use where its own issuer's key is not here either."""
        disk = self.due()
        disk.lose_keys(ROOT, ISSUING)
        help_ = the(decide(shop(), disk, NOW + 91 * DAY).obstacles, "signer-missing").help or ""
        assert "cas/issuing/key.pem" in help_
        assert "--rekey" not in help_

    def test_with_the_signer_here_it_proceeds(self) -> None:
        disk = self.due()
        disk.keys[ISSUING] = present_key("cas/issuing")
        found = decide(shop(), disk, NOW + 91 * DAY)
        assert not found.obstacles
        assert actions(found) == {"servers/web": "renew", "clients/app": "renew"}

    def test_many_that_wait_for_one_signer_are_one_error(self) -> None:
        spec = shop(*(member(Address.parse(f"servers/s{number}")) for number in range(9)))
        disk = disk_of(spec)
        disk.lose_keys(ROOT, ISSUING)
        obstacle = the(decide(spec, disk, NOW + 91 * DAY).obstacles, "signer-missing")
        assert "8 more" in obstacle.message

    def test_a_signer_whose_key_cannot_be_read_is_one_error(self) -> None:
        disk = disk_of(shop())
        disk.keys[ISSUING] = unreadable_key()
        found = decide(shop(), disk, NOW + 91 * DAY)
        assert words(found.obstacles) == [("key-unreadable", "cas/issuing")]

    def test_an_issuer_that_cannot_be_signed_is_the_one_error(self) -> None:
        """The new CA waits for the root's key; those below it wait for the same, not for a key it never had."""
        disk = disk_of(without(shop(), ISSUING, WEB, APP))
        disk.lose_keys(ROOT)
        found = decide(shop(), disk)
        assert words(found.obstacles) == [("signer-missing", "cas/root")]

    def test_what_was_put_off_is_still_put_off_after_its_issuer_was_renewed(self) -> None:
        """The root's key is here and renews the issuing CA; the cut server waits for the key of that CA."""
        spec = shop(authority(ISSUING, ROOT, 100))
        disk = disk_of(spec)
        disk.certificates[WEB] = certificate_for(spec[WEB], disk.certificates[ISSUING], at=NOW + 30 * DAY)
        disk.lose_keys(ISSUING)
        now = NOW + 70 * DAY
        first = decide(spec, disk, now)
        assert actions(first)["cas/issuing"] == "renew"
        assert ("put-off", "servers/web") in words(first.notices)
        disk.carry_out(spec, first)
        second = decide(spec, disk, now + SECOND)
        assert words(second.obstacles) == []
        assert summary(second) == {}


class TestRootsInTheField:
    rekeyed = shop(authority(ROOT, key=P384))
    renamed = shop(asking(authority(ROOT), subject=name_of("New Root")))

    def test_a_changed_root_key_is_planned_and_shown_with_all_that_it_reissues(self) -> None:
        found = decide(self.rekeyed, disk_of(shop()))
        assert summary(found) == {
            "cas/root": ("rekey", "key_algorithm_changed"),
            "cas/issuing": ("update", "issuer_changed"),
            "servers/web": ("write", "path_changed", "trust_changed"),
            "clients/app": ("write", "path_changed", "trust_changed"),
        }

    def test_a_changed_root_subject_is_planned_and_shown_with_all_that_it_reissues(self) -> None:
        found = decide(self.renamed, disk_of(shop()))
        assert summary(found)["cas/root"] == ("update", "subject_changed")
        assert summary(found)["cas/issuing"] == ("update", "issuer_changed")

    @pytest.mark.parametrize("spec", [rekeyed, renamed], ids=["key", "subject"])
    def test_apply_does_not_do_it_unless_it_is_named(self, spec: Bundle) -> None:
        found = decide(spec, disk_of(shop()))
        assert words(found.consents) == [("root-in-the-field", "cas/root")]
        assert not found.obstacles
        assert not found.is_in_sync

    def test_rekey_names_it(self) -> None:
        found = decide(self.rekeyed, disk_of(shop()), rekey=[ROOT])
        assert not found.consents
        assert change_at(found, ROOT).action is Action.REKEY

    def test_renew_names_it_for_the_subject(self) -> None:
        found = decide(self.renamed, disk_of(shop()), renew=[ROOT])
        assert not found.consents
        assert change_at(found, ROOT).key is KeyFate.KEPT

    def test_rekey_names_it_for_the_subject_too(self) -> None:
        assert not decide(self.renamed, disk_of(shop()), rekey=[ROOT]).consents

    def test_renew_does_not_name_it_for_the_key(self) -> None:
        found = decide(self.rekeyed, disk_of(shop()), renew=[ROOT])
        assert words(found.consents) == [("root-in-the-field", "cas/root")]

    def test_another_address_does_not_name_it(self) -> None:
        found = decide(self.rekeyed, disk_of(shop()), rekey=[ISSUING], renew=[WEB])
        assert words(found.consents) == [("root-in-the-field", "cas/root")]

    @pytest.mark.parametrize(
        ("spec", "option"), [(rekeyed, "--rekey cas/root"), (renamed, "--renew cas/root")], ids=["key", "subject"]
    )
    def test_it_says_which_option_names_it(self, spec: Bundle, option: str) -> None:
        assert option in (decide(spec, disk_of(shop())).consents[0].help or "")

    @pytest.mark.parametrize(
        "spec",
        [
            shop(authority(ISSUING, ROOT, 500, key=P384)),
            shop(asking(authority(ISSUING, ROOT, 500), subject=name_of("New Issuing"))),
        ],
        ids=["key", "subject"],
    )
    def test_for_an_intermediate_the_edit_of_the_spec_is_the_act(self, spec: Bundle) -> None:
        found = decide(spec, disk_of(shop()))
        assert not found.consents
        assert ISSUING in [change.address for change in found.changes]

    @pytest.mark.parametrize(
        "spec",
        [
            shop(authority(ROOT, days=1100)),
            shop(asking(authority(ROOT), path_length=3)),
            shop(asking(authority(ROOT), name_constraints=NameConstraints((dns("shop.example"),)))),
        ],
        ids=["validity", "path length", "name constraints"],
    )
    def test_a_root_with_the_same_key_and_name_needs_no_word(self, spec: Bundle) -> None:
        found = decide(spec, disk_of(shop()))
        assert not found.consents
        assert change_at(found, ROOT).key is KeyFate.KEPT

    def test_a_new_root_needs_no_word(self) -> None:
        assert not decide(shop(), empty_disk(shop())).consents

    def test_a_renewal_by_time_needs_no_word(self) -> None:
        found = decide(shop(), disk_of(shop()), NOW + 700 * DAY)
        assert change_at(found, ROOT).action is Action.RENEW
        assert not found.consents


class TestRemoval:
    spec_before = shop(member(MAIL))

    def snippet(self, content: bytes = b"ssl on;", listed: bytes | None = b"ssl on;") -> Disk:
        disk = disk_of(shop())
        disk.files[WEB] = {"nginx.conf": a_file(content)}
        disk.listed[WEB] = {"nginx.conf": None if listed is None else digest(listed)}
        return disk

    def test_an_entry_gone_from_the_spec_is_a_warning_and_not_a_pending_change(self) -> None:
        found = decide(shop(), disk_of(self.spec_before))
        assert found.is_in_sync
        warning = the(found.notices, "orphan")
        assert (warning.severity, warning.where) == (Severity.WARNING, "servers/mail")
        assert "--prune" in (warning.help or "")

    def test_an_entry_of_the_spec_is_no_orphan(self) -> None:
        assert not decide(self.spec_before, disk_of(self.spec_before)).notices

    def test_prune_plans_its_removal(self) -> None:
        found = decide(shop(), disk_of(self.spec_before), prune=True)
        change = change_at(found, MAIL)
        assert (change.action, codes(change)) == (Action.REMOVE, [R.ORPHANED])
        assert "orphan" not in [notice.code for notice in found.notices]

    def test_prune_without_an_orphan_plans_nothing(self) -> None:
        assert decide(shop(), disk_of(shop()), prune=True).is_in_sync

    def test_prune_removes_only_files_in_the_manifest(self) -> None:
        disk = disk_of(self.spec_before)
        disk.files[MAIL] = {"notes.txt": a_file(b"mine")}
        change = change_at(decide(shop(), disk, prune=True), MAIL)
        assert "notes.txt" not in change.removes
        assert CERTIFICATE_FILE in change.removes

    def test_an_orphan_does_not_keep_other_entries_from_changing(self) -> None:
        spec = shop(asking(member(WEB), subject=name_of("new")))
        assert actions(decide(spec, disk_of(self.spec_before))) == {"servers/web": "update"}

    def test_an_orphaned_ca_is_a_warning_too(self) -> None:
        found = decide(shop(), disk_of(shop(authority(Address.parse("cas/old")))))
        assert words(found.notices) == [("orphan", "cas/old")]

    def test_a_file_that_nothing_asks_for_goes_at_plain_apply(self) -> None:
        change = change_at(decide(shop(), self.snippet()), WEB)
        assert (change.action, codes(change)) == (Action.WRITE, [R.OUTPUT_CHANGED])
        assert (change.writes, change.removes) == ((), ("nginx.conf",))

    def test_if_it_was_not_modified(self) -> None:
        found = decide(shop(), self.snippet(b"ssl on; # mine"))
        assert found.is_in_sync
        assert words(found.notices) == [("left-alone", "servers/web/nginx.conf")]

    def test_a_key_that_nothing_asks_for_stays(self) -> None:
        found = decide(shop(), self.snippet(listed=None))
        assert found.is_in_sync
        assert words(found.notices) == [("left-alone", "servers/web/nginx.conf")]

    def test_a_file_that_is_not_in_the_manifest_stays(self) -> None:
        disk = disk_of(shop())
        disk.files[WEB] = {"nginx.conf": a_file(b"ssl on;")}
        found = decide(shop(), disk, prune=True)
        assert found.is_in_sync
        assert not found.notices

    def foreign(self, name: str, state: FileState) -> Disk:
        """Make a tree in which a file stands where the spec wants one that was never there."""
        disk = disk_of(without(shop(), WEB))
        disk.files[WEB] = {name: state}
        disk.keys[WEB] = ObservedKey()
        return disk

    @pytest.mark.parametrize("name", [CERTIFICATE_FILE, TRUST_FILE, KEY_FILE])
    def test_another_file_at_a_wanted_path_is_in_the_way(self, name: str) -> None:
        found = decide(shop(), self.foreign(name, a_file(b"mine")))
        assert words(found.obstacles) == [("foreign-file", f"servers/web/{name}")]

    @pytest.mark.parametrize("name", [CERTIFICATE_FILE, TRUST_FILE])
    def test_what_is_not_a_regular_file_is_in_the_way(self, name: str) -> None:
        found = decide(shop(), self.foreign(name, FileState(FileKind.OTHER)))
        assert words(found.obstacles) == [("foreign-file", f"servers/web/{name}")]

    def test_a_foreign_key_is_not_certified(self) -> None:
        disk = self.foreign(KEY_FILE, FileState(FileKind.FILE, 0o600))
        disk.keys[WEB] = present_key("mine")
        assert words(decide(shop(), disk).obstacles) == [("foreign-file", "servers/web/key.pem")]

    def test_a_file_in_the_manifest_is_ours(self) -> None:
        disk = disk_of(shop())
        disk.files[WEB] = {TRUST_FILE: a_file(b"edited")}
        disk.anchors[WEB] = ()
        found = decide(shop(), disk)
        assert not found.obstacles
        assert change_at(found, WEB).writes == (TRUST_FILE,)

    def test_a_foreign_ignore_file_is_in_the_way(self) -> None:
        disk = disk_of(shop())
        disk.ignore_file = a_file(b"*.pyc\n")
        assert words(decide(shop(), disk).obstacles) == [("foreign-file", ".gitignore")]

    @pytest.mark.parametrize("state", [ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_a_manifest_that_is_lost_or_has_conflict_marks_is_rebuilt_with_a_warning(
        self, state: ManifestState
    ) -> None:
        disk = disk_of(shop())
        disk.manifest_state = state
        found = decide(shop(), disk)
        assert [change.address for change in found.changes] == [TreeFile(MANIFEST_FILE)]
        assert the(found.notices, "manifest-rebuilt").severity is Severity.WARNING
        disk.carry_out(shop(), found)
        assert decide(shop(), disk).is_in_sync

    @pytest.mark.parametrize("state", [ManifestState.ABSENT, ManifestState.DAMAGED])
    def test_in_a_tree_that_is_ours_files_are_ours_although_the_manifest_is_lost(self, state: ManifestState) -> None:
        disk = disk_of(shop())
        disk.manifest_state = state
        spec = shop(asking(member(WEB), subject=name_of("new")))
        found = decide(spec, disk)
        assert not found.obstacles
        assert actions(found) == {"servers/web": "update"}

    def test_in_a_folder_that_is_not_ours_nothing_is(self) -> None:
        disk = disk_of(shop())
        disk.manifest_state = ManifestState.ABSENT
        disk.ignore_file = Disk(shop()).ignore_file
        spec = shop(asking(member(WEB), subject=name_of("new")))
        assert ("foreign-file", "servers/web/cert.pem") in words(decide(spec, disk).obstacles)

    def test_a_new_tree_has_no_warning(self) -> None:
        assert not decide(shop(), empty_disk(shop())).notices


class TestModes:
    def opened(self, mode: int, address: Address = WEB, spec: Bundle | None = None) -> Disk:
        disk = disk_of(spec or shop())
        disk.keys[address] = replace(disk.keys[address], mode=mode)
        return disk

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o604, 0o700])
    @pytest.mark.parametrize("address", [ROOT, WEB])
    def test_a_mode_wider_than_asked_is_told_and_is_no_change(self, mode: int, address: Address) -> None:
        found = decide(shop(), self.opened(mode, address))
        assert found.modes == (ModeChange(address, KEY_FILE, mode, 0o600),)
        assert found.is_in_sync
        assert not found.changes

    def test_the_mode_that_is_asked_is_not_told(self) -> None:
        assert not decide(shop(), disk_of(shop())).modes
        spec = shop(member(WEB, key=KeyPolicy(mode=0o640)))
        assert not decide(spec, self.opened(0o640, spec=spec)).modes

    def test_a_mode_that_the_spec_changes_is_mended_without_a_rewrite(self) -> None:
        spec = shop(member(WEB, key=KeyPolicy(mode=0o640)))
        found = decide(spec, disk_of(shop()))
        assert found.modes == (ModeChange(WEB, KEY_FILE, 0o600, 0o640),)
        assert found.is_in_sync

    def test_the_mode_of_a_key_that_is_written_anyway_is_not_told(self) -> None:
        assert not decide(shop(), self.opened(0o644), rekey=[WEB]).modes

    def test_the_mode_of_a_key_that_stays_is_told_beside_another_change(self) -> None:
        spec = shop(asking(member(WEB), subject=name_of("new")))
        found = decide(spec, self.opened(0o644))
        assert found.modes == (ModeChange(WEB, KEY_FILE, 0o644, 0o600),)
        assert actions(found) == {"servers/web": "update"}

    def test_a_key_that_is_not_here_has_no_mode(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(WEB)
        assert not decide(shop(), disk).modes

    def test_mended_it_is_as_asked(self) -> None:
        disk = self.opened(0o644)
        disk.carry_out(shop(), decide(shop(), disk))
        assert not decide(shop(), disk).modes


class TestActions:
    """ "Actions: issue, renew (new dates; the key by the entry's rotation), update (other contents; same key), ..."."""

    def test_a_first_certificate_is_an_issue(self) -> None:
        spec = shop(member(NODE))
        assert actions(decide(spec, disk_of(shop()))) == {"peers/node": "issue"}

    def test_derived_files_only_are_a_write(self) -> None:
        disk = disk_of(shop())
        del disk.anchors[WEB]
        change = change_at(decide(shop(), disk), WEB)
        assert (change.action, change.signing, change.key) == (Action.WRITE, None, None)

    def test_every_signing_says_whether_the_key_is_kept(self) -> None:
        spec = shop(asking(member(WEB), subject=name_of("new")), member(NODE))
        found = decide(spec, disk_of(shop()), rekey=[APP])
        fates = {str(change.address): change.key for change in found.changes}
        assert fates == {
            "servers/web": KeyFate.KEPT,
            "clients/app": KeyFate.NEW,
            "peers/node": KeyFate.NEW,
        }


def test_a_bundle_without_end_entities_is_planned_too() -> None:
    spec = without(shop(), WEB, APP)
    disk = empty_disk(spec)
    disk.carry_out(spec, decide(spec, disk))
    assert decide(spec, disk, NOW + SECOND).is_in_sync


def test_hand_made_values_are_what_they_seem() -> None:
    """The builders themselves: certificates of one entry differ, a signer is known by name and key."""
    entry = member(WEB)
    issuer = certificate_for(authority(ISSUING))
    first, second = certificate_for(entry, issuer), certificate_for(entry, issuer)
    assert first.der != second.der
    assert first.authority_key_identifier == issuer.subject_key_identifier
    assert isinstance(first, Certificate)
    assert first.subject == DistinguishedName((("common_name", "web"),))
    assert first.key_usage == {KeyUsage.DIGITAL_SIGNATURE}
    assert first.extended_key_usage == {ExtendedKeyUsage.SERVER_AUTH}
