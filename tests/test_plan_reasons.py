"""The reasons of changes to the letter: of derived files, of issuers and signatures, and what is said beside them."""

from dataclasses import replace

from values import (
    DAY,
    DAYS,
    ISSUING,
    MAIL,
    NOW,
    ROOT,
    SECOND,
    WEB,
    a_file,
    asking,
    authority,
    certificate_for,
    change_at,
    decide,
    digest,
    disk_of,
    member,
    name_of,
    pem,
    public_key,
    shop,
    supplied_ca,
    supplied_key,
    the,
)

from certgen.diagnostics import Severity
from certgen.lifetime import Validity
from certgen.manifest import ManifestEntry
from certgen.model import Address, AnchorFile, Artifact, Snippet
from certgen.plan.authorities import supplied_projection
from certgen.plan.decide import plan
from certgen.plan.derived import Outputs, judge_artifacts
from certgen.plan.values import Action, KeyFate, Reason, ReasonCode, TextChange
from certgen.tree import (
    ABSENT,
    FileKind,
    FileState,
    ObservedEntry,
)


class TestDerivedFiles:
    def artifacts(self, file: FileState, recorded: str | None) -> Outputs:
        entry = replace(member(WEB), snippets=(Snippet("nginx", (Artifact("nginx.conf", b"new\n"),)),))
        line = ManifestEntry("k", {"nginx.conf": recorded}) if recorded else None
        return judge_artifacts(entry, ObservedEntry(files={"nginx.conf": file}), line)

    def test_that_are_rendered_and_why_they_are_written(self) -> None:
        for file, recorded, reason in (
            (ABSENT, None, Reason(ReasonCode.MISSING, what="nginx.conf")),
            (a_file(b"old\n"), digest(b"old\n"), Reason(ReasonCode.OUTPUT_CHANGED, what="nginx.conf")),
            (a_file(b"mine\n"), digest(b"old\n"), Reason(ReasonCode.FILE_DRIFTED, "edited", what="nginx.conf")),
            (a_file(b"old\n"), None, Reason(ReasonCode.FILE_DRIFTED, "edited", what="nginx.conf")),
        ):
            found = self.artifacts(file, recorded)
            assert found == Outputs((reason,), (TextChange("nginx.conf", file.content, b"new\n"),))
            assert found.files == ("nginx.conf",)
        assert self.artifacts(a_file(b"new\n"), None) == Outputs((), ())
        assert self.artifacts(FileState(FileKind.OTHER, content=b"new\n"), None).files == ("nginx.conf",)

    def test_of_which_all_are_looked_at(self) -> None:
        snippets = (Snippet("a", (Artifact("a", b"1"), Artifact("b", b"2"))), Snippet("b", (Artifact("c", b"3"),)))
        found = ObservedEntry(files={"a": a_file(b"1"), "b": a_file(b"0")})
        assert judge_artifacts(replace(member(WEB), snippets=snippets), found, None).files == ("b", "c")

    def test_a_certificate_that_is_found_again_is_restored(self) -> None:
        disk = disk_of(shop())
        certificate = disk.certificates[ISSUING]
        disk.lose_certificate(ISSUING)
        change = change_at(decide(shop(), disk), ISSUING)
        assert (change.action, change.certificate) == (Action.WRITE, certificate)
        assert change.reasons == (Reason(ReasonCode.MISSING, None, "restored from the tree", "cert.pem"),)
        disk.problems[ISSUING] = "no PEM block"
        (reason,) = change_at(decide(shop(), disk), ISSUING).reasons
        assert reason == Reason(ReasonCode.UNREADABLE, "no PEM block", "restored from the tree", "cert.pem")

    def test_whose_bytes_alone_are_others(self) -> None:
        for name, file in (("cert.pem", "paths"), ("ca.pem", "anchors")):
            disk = disk_of(shop())
            chain = (disk.certificates[WEB], *disk.paths[WEB]) if file == "paths" else disk.anchors[WEB]
            disk.files[WEB] = {name: a_file(b"# mine\n" + pem(*chain))}
            (reason,) = change_at(decide(shop(), disk), WEB).reasons
            assert reason == Reason(ReasonCode.FILE_DRIFTED, "edited", what=name)

    def test_below_a_ca_that_is_signed_anew(self) -> None:
        found = decide(shop(), disk_of(shop()), renew=[ROOT, ISSUING])
        assert change_at(found, WEB).reasons == (
            Reason(ReasonCode.PATH_CHANGED, wanted="an issuer above is signed anew", what="cert.pem"),
            Reason(ReasonCode.TRUST_CHANGED, wanted="a root is signed anew", what="ca.pem"),
        )

    def test_that_hold_others_are_told_by_name_and_end(self) -> None:
        disk = disk_of(shop())
        disk.anchors[WEB] = (*disk.anchors[WEB], certificate_for(authority(MAIL), at=NOW - DAY))
        (reason,) = change_at(decide(shop(), disk), WEB).reasons
        root = f"Shop root ({disk.certificates[ROOT].not_after:%Y-%m-%d})"
        other = f"Shop mail ({disk.certificates[ROOT].not_after - DAY:%Y-%m-%d})"
        assert reason == Reason(ReasonCode.TRUST_CHANGED, f"{root} + {other}", root, "ca.pem")
        disk.anchors[WEB] = ()
        (reason,) = change_at(decide(shop(), disk), WEB).reasons
        assert reason == Reason(ReasonCode.TRUST_CHANGED, "none", root, "ca.pem")


class TestDecisions:
    def test_about_a_root_name_the_root(self) -> None:
        found = decide(shop(), disk_of(shop()), rekey=[ROOT])
        assert the(found.notices, "root-replaced").where == "cas/root"

    def test_about_a_folder_that_is_not_ours_name_the_tree(self) -> None:
        observed = replace(disk_of(shop()).observed(), folder_fault="output/shop is not a folder")
        found = plan(shop(), observed, NOW)
        assert [(one.code, one.message, one.where) for one in found.obstacles] == [
            ("foreign-folder", "output/shop is not a folder", "shop")
        ]
        assert (found.name, found.now, found.changes, found.kept) == ("shop", NOW, (), ())

    def test_about_a_life_that_its_issuer_cuts_short_say_so(self) -> None:
        found = decide(shop(member(MAIL, days=600)), disk_of(shop()))
        notice = the(found.notices, "cut-short")
        assert (notice.where, notice.severity) == ("servers/mail", Severity.WARNING)

    def test_about_an_issuer_say_what_it_is_now(self) -> None:
        other = authority(Address.parse("cas/mail"), days=1000)
        spec = shop(other, member(WEB, other.address, trust=(other.address,)))
        reason = change_at(decide(spec, disk_of(shop())), WEB).reasons[0]
        assert reason == Reason(ReasonCode.ISSUER_CHANGED, "CN=Shop issuing", "cas/mail with a new key")

    def test_about_a_signature_name_the_signer_that_is_asked(self) -> None:
        disk = disk_of(shop())
        disk.signed_by[WEB] = disk.signed_by[ROOT] = "nobody"
        found = decide(shop(), disk)
        for address, signer in ((WEB, "CN=Shop issuing"), (ROOT, "itself")):
            assert change_at(found, address).reasons[0] == Reason(
                ReasonCode.SIGNATURE_INVALID, f"not by the key of {signer}"
            )

    def test_about_a_fixed_end_at_the_very_second_refuse_it(self) -> None:
        for end, is_refused in ((NOW, True), (NOW + SECOND, False)):
            spec = shop(asking(member(MAIL), validity=Validity(not_after=end)))
            found = [one.code for one in decide(spec, disk_of(shop())).obstacles]
            assert found == ["validity-ended"] * is_refused, end

    def test_about_a_key_that_was_on_its_host_make_one_here(self) -> None:
        disk = disk_of(shop(replace(member(WEB), public_key=supplied_key("servers/web"))))
        change = change_at(decide(shop(), disk), WEB)
        assert (change.key, change.reasons) == (KeyFate.NEW, (Reason(ReasonCode.KEY_MISSING, what="key.pem"),))

    def test_about_a_ca_in_whose_place_a_stranger_stands_go_on_from_the_one_before(self) -> None:
        disk = disk_of(shop())
        own = disk.certificates[ISSUING]
        disk.certificates[ISSUING] = certificate_for(shop()[ISSUING], disk.certificates[ROOT], public_key("stranger"))
        signing = change_at(decide(shop(), disk), ISSUING).signing
        assert signing is not None
        assert signing.issuance.predecessor == own

    def test_about_a_beginning_say_which_was_and_which_is_asked(self) -> None:
        asked = Validity(90 * DAYS, not_before=NOW - DAY)
        change = change_at(decide(shop(asking(member(WEB), validity=asked)), disk_of(shop())), WEB)
        assert Reason(ReasonCode.VALIDITY_CHANGED, "from 2026-06-01 11:55Z", "from 2026-05-31 12:00Z") in change.reasons
        begin, end = NOW - 5 * 60 * SECOND, NOW - 5 * 60 * SECOND + 90 * DAY - SECOND
        change = change_at(decide(shop(member(WEB, days=30)), disk_of(shop())), WEB)
        assert change.reasons == (
            Reason(
                ReasonCode.VALIDITY_CHANGED,
                f"90 days, to {end:%Y-%m-%d %H:%M}Z",
                f"30 days, to {begin + 30 * DAY - SECOND:%Y-%m-%d %H:%M}Z",
            ),
        )

    def test_about_a_ca_that_is_brought_know_its_certificate_before_and_after(self) -> None:
        entry = supplied_ca()
        assert entry.supplied is not None
        certificate = entry.supplied.path[0]
        found = supplied_projection(entry)
        assert (found.was, found.certificate, found.key_id) == (certificate, certificate, certificate.key_id)
        assert found.key_identifier == certificate.subject_key_identifier is not None

    def test_about_lives_tell_them_in_days_from_two_days_on(self) -> None:
        for seconds, text in ((172799, "172799 seconds"), (172800, "2 days"), (302400, "4 days")):
            spec = shop(asking(member(WEB), validity=Validity(seconds)))
            (reason,) = change_at(decide(spec, disk_of(shop())), WEB).reasons
            assert (reason.code, (reason.wanted or "").split(",")[0]) == (ReasonCode.VALIDITY_CHANGED, text)

    def test_about_a_path_length_say_which_was_and_which_is_asked(self) -> None:
        disk = disk_of(shop())
        disk.certificates[ROOT] = replace(disk.certificates[ROOT], path_length=1)
        assert change_at(decide(shop(), disk), ROOT).reasons == (
            Reason(ReasonCode.EXTENSIONS_CHANGED, "CA:TRUE, pathlen:1", "CA:TRUE", "basicConstraints"),
        )

    def test_about_keys_that_are_elsewhere_name_the_tree(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys()
        assert the(decide(shop(), disk).notices, "keys-elsewhere").where == "shop"

    def test_tell_that_a_run_before_has_not_finished(self) -> None:
        for is_interrupted in (False, True):
            found = plan(shop(), replace(disk_of(shop()).observed(), is_interrupted=is_interrupted), NOW)
            assert found.is_interrupted is is_interrupted
            assert found.is_in_sync is not is_interrupted

    def test_about_what_cannot_be_signed_here_are_neither_change_nor_rest(self) -> None:
        disk = disk_of(shop())
        disk.lose_keys(ISSUING)
        disk.files[WEB] = {"ca.pem": a_file(b"# mine\n")}
        found = plan(shop(asking(member(WEB), subject=name_of("new"))), disk.observed(), NOW)
        assert [one.code for one in found.obstacles] == ["signer-missing"]
        assert WEB not in {*found.kept, *(change.address for change in found.changes)}

    def test_about_an_anchor_file_whose_root_has_another_key_and_the_same_name_widen_nothing(self) -> None:
        entry = authority(MAIL)
        before, after = certificate_for(entry), certificate_for(entry, key=public_key("another"))
        disk = disk_of(shop(member(WEB, trust=(ROOT, AnchorFile("partner.pem", (before,))))))
        found = decide(shop(member(WEB, trust=(ROOT, AnchorFile("partner.pem", (after,))))), disk)
        assert change_at(found, WEB).reasons[0].code is ReasonCode.TRUST_CHANGED
        assert found.widenings == ()
