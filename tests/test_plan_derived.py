"""The files that are made from certificates: paths, anchors, and a word before trust grows."""

from dataclasses import replace

import pytest
from values import (
    APP,
    ISSUING,
    MAIL,
    NODE,
    ROOT,
    WEB,
    a_file,
    authority,
    bundle_of,
    certificate_for,
    change_at,
    codes,
    decide,
    disk_of,
    member,
    pem,
    public_key,
    reason_for,
    shop,
    summary,
    supplied_ca,
    without,
)

from certgen.model import Address, AnchorFile, Bundle
from certgen.plan.derived import path_above
from certgen.plan.values import Action, ReasonCode, Widening
from certgen.tree import CERTIFICATE_FILE, TRUST_FILE, FileKind, FileState

R = ReasonCode
PARTNER = Address.parse("cas/partner")
PARTNER_ROOT = certificate_for(authority(PARTNER))
PARTNER_FILE = AnchorFile("partner.pem", (PARTNER_ROOT,))


def trusting(*anchors: Address | AnchorFile) -> Bundle:
    return shop(authority(PARTNER), member(WEB, trust=anchors))


class TestThePath:
    def test_it_is_the_intermediates_nearest_first_without_the_root(self) -> None:
        inner = Address.parse("cas/inner")
        spec = bundle_of(
            authority(ROOT), authority(ISSUING, ROOT, 500), authority(inner, ISSUING, 400), member(WEB, inner)
        )
        disk = disk_of(spec)
        assert disk.paths[WEB] == (disk.certificates[inner], disk.certificates[ISSUING])
        assert decide(spec, disk).is_in_sync
        disk.paths[WEB] = (*disk.paths[WEB], disk.certificates[ROOT])
        assert codes(change_at(decide(spec, disk), WEB)) == [R.PATH_CHANGED]

    def test_the_wrong_order_is_drift(self) -> None:
        inner = Address.parse("cas/inner")
        spec = bundle_of(
            authority(ROOT), authority(ISSUING, ROOT, 500), authority(inner, ISSUING, 400), member(WEB, inner)
        )
        disk = disk_of(spec)
        disk.paths[WEB] = disk.paths[WEB][::-1]
        change = change_at(decide(spec, disk), WEB)
        assert (codes(change), change.writes) == ([R.FILE_DRIFTED], (CERTIFICATE_FILE,))

    def test_below_a_root_it_is_the_certificate_alone(self) -> None:
        spec = shop(member(WEB, ROOT))
        disk = disk_of(spec)
        assert disk.paths[WEB] == ()
        assert decide(spec, disk).is_in_sync

    def test_a_ca_shows_itself_alone(self) -> None:
        disk = disk_of(shop())
        disk.paths[ISSUING] = (disk.certificates[ROOT],)
        change = change_at(decide(shop(), disk), ISSUING)
        assert (change.action, codes(change)) == (Action.WRITE, [R.PATH_CHANGED])

    def test_a_supplied_intermediate_is_in_it(self) -> None:
        root = supplied_ca()
        assert root.supplied is not None
        brought = certificate_for(authority(ROOT, ISSUING), PARTNER_ROOT, public_key("brought cas/root"))
        entry = replace(root, supplied=replace(root.supplied, path=(brought,), roots=(PARTNER_ROOT,)))
        spec = shop(entry)
        disk = disk_of(spec)
        assert disk.paths[WEB][-1] == brought
        assert disk.anchors[WEB] == (PARTNER_ROOT,)
        assert decide(spec, disk).is_in_sync
        disk.paths[WEB] = disk.paths[WEB][:-1]
        assert codes(change_at(decide(spec, disk), WEB)) == [R.PATH_CHANGED]

    def test_a_certificate_twice_is_drift(self) -> None:
        disk = disk_of(shop())
        disk.paths[WEB] = disk.paths[WEB] * 2
        assert codes(change_at(decide(shop(), disk), WEB)) == [R.FILE_DRIFTED]

    @pytest.mark.parametrize("line_end", [b"\r\n", b"\n\n"])
    def test_other_line_ends_are_drift(self, line_end: bytes) -> None:
        disk = disk_of(shop())
        content = pem(disk.certificates[WEB], *disk.paths[WEB]).replace(b"\n", line_end)
        disk.files[WEB] = {CERTIFICATE_FILE: a_file(content)}
        assert codes(change_at(decide(shop(), disk), WEB)) == [R.FILE_DRIFTED]

    def test_the_evidence_names_an_issuer_that_is_signed_anew(self) -> None:
        reason = reason_for(change_at(decide(shop(), disk_of(shop()), renew=[ISSUING]), WEB), R.PATH_CHANGED)
        assert reason.what == CERTIFICATE_FILE
        assert reason.wanted


class TestTheAnchors:
    def test_they_are_the_roots_that_the_entry_trusts(self) -> None:
        spec = trusting(ROOT, PARTNER)
        disk = disk_of(spec)
        assert disk.anchors[WEB] == (disk.certificates[ROOT], disk.certificates[PARTNER])
        assert decide(spec, disk).is_in_sync

    def test_a_file_of_the_user_is_among_them(self) -> None:
        spec = trusting(ROOT, PARTNER_FILE)
        disk = disk_of(spec)
        assert disk.anchors[WEB][1] == PARTNER_ROOT
        assert decide(spec, disk).is_in_sync

    def test_one_root_named_twice_is_there_once(self) -> None:
        disk = disk_of(trusting(ROOT))
        again = AnchorFile("root.pem", (disk.certificates[ROOT],))
        assert decide(trusting(ROOT, again), disk).is_in_sync

    def test_a_root_less_is_a_change_of_trust_without_a_widening(self) -> None:
        found = decide(trusting(ROOT), disk_of(trusting(ROOT, PARTNER)))
        reason = reason_for(change_at(found, WEB), R.TRUST_CHANGED)
        assert reason.was == "Shop root (2029-02-25) + Shop partner (2029-02-25)"
        assert reason.wanted == "Shop root (2029-02-25)"
        assert not found.widenings

    def test_a_ca_has_none(self) -> None:
        disk = disk_of(shop())
        disk.files[ISSUING] = {TRUST_FILE: a_file(b"mine")}
        assert decide(shop(), disk).is_in_sync

    def test_what_is_not_a_file_cannot_be_read(self) -> None:
        disk = disk_of(shop())
        del disk.anchors[WEB]
        disk.files[WEB] = {TRUST_FILE: FileState(FileKind.UNREADABLE, reason="permission denied")}
        change = change_at(decide(shop(), disk), WEB)
        assert codes(change) == [R.UNREADABLE]

    def test_a_root_that_is_signed_anew_is_a_change_of_trust(self) -> None:
        reason = reason_for(change_at(decide(shop(), disk_of(shop()), renew=[ROOT]), WEB), R.TRUST_CHANGED)
        assert reason.what == TRUST_FILE


class TestWidening:
    """A plan that widens trust says so first."""

    @pytest.mark.parametrize(
        ("address", "verb"), [(WEB, "clients of"), (APP, "servers of"), (NODE, "peers of")], ids=str
    )
    def test_it_says_whom_an_entry_comes_to_accept(self, address: Address, verb: str) -> None:
        before = shop(authority(PARTNER), member(address))
        after = shop(authority(PARTNER), member(address, trust=(ROOT, PARTNER)))
        found = decide(after, disk_of(before))
        assert found.widenings == (Widening(address, verb, "partner"),)
        assert str(found.widenings[0]) == f"{address} now accepts {verb} partner"

    def test_a_file_is_named_by_its_name(self) -> None:
        found = decide(trusting(ROOT, PARTNER_FILE), disk_of(trusting(ROOT)))
        assert [widening.root for widening in found.widenings] == ["partner.pem"]

    def test_the_same_trust_is_no_widening(self) -> None:
        spec = trusting(ROOT, PARTNER)
        assert not decide(spec, disk_of(spec)).widenings

    def test_the_order_of_trust_is_no_widening(self) -> None:
        assert not decide(trusting(PARTNER, ROOT), disk_of(trusting(ROOT, PARTNER))).widenings

    @pytest.mark.parametrize("kind", ["renew", "rekey"])
    def test_a_root_signed_anew_is_no_widening(self, kind: str) -> None:
        renew, rekey = ((ROOT,), ()) if kind == "renew" else ((), (ROOT,))
        assert not decide(shop(), disk_of(shop()), renew=renew, rekey=rekey).widenings

    def test_a_new_entry_widens_nothing(self) -> None:
        assert not decide(shop(member(MAIL)), disk_of(shop())).widenings

    def test_it_is_said_beside_other_changes_of_the_entry(self) -> None:
        after = shop(authority(PARTNER), member(WEB, days=80, trust=(ROOT, PARTNER)))
        found = decide(after, disk_of(trusting(ROOT)))
        assert change_at(found, WEB).action is Action.UPDATE
        assert [str(widening) for widening in found.widenings] == ["servers/web now accepts clients of partner"]

    def test_a_new_root_of_another_name_is_a_widening(self) -> None:
        found = decide(trusting(ROOT, PARTNER), disk_of(without(trusting(ROOT), PARTNER)))
        assert [widening.root for widening in found.widenings] == ["partner"]
        assert summary(found)["cas/partner"] == ("issue", "missing")


class TestThePathOfAnAuthorityThatIsBrought:
    """What stands between an end entity and a root that the user brings."""

    def test_a_self_signed_root_is_not_handed_on(self) -> None:
        bundle = bundle_of(supplied_ca(), member(WEB, ROOT))
        assert path_above(bundle[WEB], bundle, lambda _: None) == []

    def test_an_intermediate_is(self) -> None:
        brought = supplied_ca()
        assert brought.supplied is not None
        below = certificate_for(authority(ISSUING, ROOT), brought.supplied.path[0])
        brought = replace(brought, supplied=replace(brought.supplied, path=(below,)))
        bundle = bundle_of(brought, member(WEB, ROOT))
        assert path_above(bundle[WEB], bundle, lambda _: None) == [below]
