"""What reasons and warnings say of the tree and of its keys, to the letter: people act on it."""

from dataclasses import replace

import pytest
from values import (
    APP,
    ISSUING,
    MAIL,
    NODE,
    ROOT,
    WEB,
    Disk,
    a_file,
    authority,
    certificate_for,
    change_at,
    decide,
    digest,
    disk_of,
    empty_disk,
    key_id,
    member,
    present_key,
    public_key,
    shop,
    supplied_key,
    unreadable_key,
    words,
)

from certgen.diagnostics import Diagnostic, Severity, error
from certgen.model import Address, Artifact, KeyPolicy, Snippet
from certgen.plan.housekeeping import foreign_files, mode_changes, removals, removed_orphans, tree_files, tree_warnings
from certgen.plan.keys import KeyEvidence, KeyVerdict, judge_key, short
from certgen.plan.values import Action, Change, KeyFate, KeyOrder, KeySource, Reason, ReasonCode
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.tree import (
    CERTIFICATE_FILE,
    KEY_FILE,
    TRUST_FILE,
    FileKind,
    FileState,
    ManifestState,
    ObservedKey,
    ignore_file,
)

WRITE_ALL = Change(WEB, Action.ISSUE, (Reason(ReasonCode.MISSING),), writes=(KEY_FILE, CERTIFICATE_FILE, TRUST_FILE))


def with_extra(name: str, state: FileState, listed: str | None) -> Disk:
    disk = disk_of(shop())
    disk.files[WEB] = {name: state}
    disk.listed[WEB] = {name: listed}
    return disk


def warning(code: str, message: str, help_: str, where: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, help=help_, where=where)


class TestTheTree:
    @pytest.mark.parametrize(
        ("listed", "what"), [(None, "a private key"), (digest(b"ours"), "modified since it was written")]
    )
    def test_of_a_file_that_nothing_asks_for(self, listed: str | None, what: str) -> None:
        disk = with_extra("old.conf", a_file(b"mine"), listed)
        message = f"servers/web/old.conf is no longer asked for; it is {what} and stays"
        assert removals(shop()[WEB], disk.observed(), prune=False)[1] == [
            warning("left-alone", message, "remove it, or use `--prune`", "servers/web/old.conf")
        ]

    def test_of_an_entry_that_the_spec_no_longer_has(self) -> None:
        observed = disk_of(shop(member(MAIL))).observed()
        assert removed_orphans(shop(), observed, prune=False) == (
            (),
            [
                warning(
                    "orphan",
                    "servers/mail is not in the spec and stays on disk",
                    "remove it with `--prune`",
                    "servers/mail",
                )
            ],
            [],
        )
        (change,), warnings, obstacles = removed_orphans(shop(), observed, prune=True)
        assert (change.action, change.reasons) == (
            Action.REMOVE,
            (Reason(ReasonCode.ORPHANED, what="not in the spec"),),
        )
        assert (warnings, obstacles) == ([], [])

    def test_of_an_orphan_of_which_a_file_cannot_be_looked_at(self) -> None:
        disk = disk_of(shop(member(MAIL)))
        observed = disk.observed()
        closed = FileState(FileKind.CLOSED, reason="Input/output error")
        found = observed.entries[MAIL]
        entries = {**observed.entries, MAIL: replace(found, files={**found.files, "key.pem": closed})}
        message = "servers/mail/key.pem cannot be looked at, and so not be removed: Input/output error"
        help_ = "run certgen as its owner, or mend the permissions"
        _, _, obstacles = removed_orphans(shop(), replace(observed, entries=entries), prune=True)
        assert obstacles == [error("unreadable", message, help=help_, where="servers/mail/key.pem")]
        assert removed_orphans(shop(), replace(observed, entries=entries), prune=False)[2] == []

    def test_of_an_orphan_of_which_a_file_is_too_large_to_be_read(self) -> None:
        disk = disk_of(shop(member(MAIL)))
        observed = disk.observed()
        found = observed.entries[MAIL]
        large = FileState(FileKind.UNREADABLE, reason="it has more than 65536 bytes")
        entries = {**observed.entries, MAIL: replace(found, files={**found.files, "key.pem": large})}
        (change,), _, _ = removed_orphans(shop(), replace(observed, entries=entries), prune=True)
        assert "key.pem" in change.removes

    @pytest.mark.parametrize("prune", [False, True])
    def test_of_an_orphan_that_holds_what_the_spec_names(self, prune: bool) -> None:
        disk = disk_of(shop(member(MAIL), member(NODE)))
        used = frozenset({"servers/mail/key.pem", "servers/mail/cert.pem"})
        changes, warnings, _ = removed_orphans(shop(), replace(disk.observed(), protected=used), prune=prune)
        message = "servers/mail stays: the spec names cert.pem, key.pem of it as a file of yours"
        assert warnings[0] == warning("left-alone", message, "move it out of the tree, beside the spec", "servers/mail")
        assert [str(change.address) for change in changes] == ["peers/node"] * prune

    def test_of_a_key_with_a_second_name(self) -> None:
        disk = disk_of(shop())
        disk.keys[WEB] = replace(disk.keys[WEB], mode=0o44, is_linked=True)
        message = "servers/web/key.pem has mode 0044 and a second name elsewhere, a hard link; it keeps its mode"
        assert mode_changes(shop(), disk.observed(), ()) == (
            (),
            [warning("linked-key", message, "put a copy in its place", "servers/web/key.pem")],
        )

    @pytest.mark.parametrize(
        ("state", "what"),
        [
            (FileState(FileKind.OTHER), "not a regular file"),
            (a_file(b"*\n"), "a file that certgen did not write"),
            (FileState(FileKind.UNREADABLE), "a file that certgen did not write"),
        ],
    )
    def test_of_what_is_in_the_way(self, state: FileState, what: str) -> None:
        disk = disk_of(shop())
        disk.ignore_file = state
        message = f".gitignore is {what}, and it is in the way"
        obstacles = tree_files(shop(), disk.observed(), is_changed=False)[2]
        assert obstacles == [error("foreign-file", message, help="move it away", where=".gitignore")]

    def test_of_a_manifest_that_is_gone_or_damaged(self) -> None:
        disk = disk_of(shop())
        for state, what in (
            (ManifestState.ABSENT, "lost"),
            (ManifestState.DAMAGED, "damaged (conflict marks of a merge?)"),
        ):
            disk.manifest_state = state
            message = f"manifest.json is {what}; it is rebuilt from the tree"
            assert tree_warnings(disk.observed()) == [
                warning("manifest-rebuilt", message, "orphans cannot be told until then", "manifest.json")
            ]

    def test_of_a_run_that_has_not_finished(self) -> None:
        observed = replace(disk_of(shop()).observed(), is_interrupted=True)
        message = "a run has not finished (interrupted, or still under way); what it had committed to is seen as done"
        assert tree_warnings(observed) == [warning("interrupted", message, "`certgen apply` finishes it", ".certgen")]

    def test_of_the_trees_own_files(self) -> None:
        told, _, _ = tree_files(shop(), empty_disk(shop()).observed(), is_changed=True)
        assert [before.writes for before in told] == [(".gitignore",), (".gitattributes",)]
        assert {(before.action, before.reasons) for before in told} == {(Action.WRITE, (Reason(ReasonCode.MISSING),))}
        disk = disk_of(shop())
        disk.ignore_file = a_file(ignore_file(replace(shop(), source="other.yaml")))
        (before,), _, _ = tree_files(shop(), disk.observed(), is_changed=False)
        assert (before.reasons, before.writes) == ((Reason(ReasonCode.FILE_DRIFTED, "edited"),), (".gitignore",))


class TestWhatIsOurs:
    def test_in_a_tree_that_lost_its_manifest_are_the_names_that_no_snippet_may_take(self) -> None:
        disk = disk_of(shop())
        disk.manifest_state = ManifestState.ABSENT
        disk.files[WEB] = {"nginx.conf": a_file(b"mine")}
        change = replace(WRITE_ALL, writes=(CERTIFICATE_FILE, "nginx.conf"))
        assert words(foreign_files(shop()[WEB], change, disk.observed())) == [
            ("foreign-file", "servers/web/nginx.conf")
        ]

    @pytest.mark.parametrize(
        ("content", "is_ours"),
        [
            (b"# Generated by certgen from shop.yaml; edits are overwritten\nold\n", True),
            (b"new\n", True),
            (b"mine\n", False),
            (b"mine\n# Generated by certgen from shop.yaml; edits are overwritten\n", False),
        ],
    )
    def test_is_a_rendered_file_by_its_first_line_or_since_it_is_what_would_be_written(
        self, content: bytes, is_ours: bool
    ) -> None:
        entry = replace(member(WEB), snippets=(Snippet("nginx", (Artifact("nginx.conf", b"new\n"),)),))
        disk = disk_of(shop())
        disk.files[WEB] = {"nginx.conf": a_file(content)}
        change = replace(WRITE_ALL, writes=("nginx.conf",))
        assert words(foreign_files(entry, change, disk.observed())) == [("foreign-file", "servers/web/nginx.conf")] * (
            not is_ours
        )


class TestKeys:
    def verdict(self, found: ObservedKey, certified: str | None, recorded: str | None, **more: bool) -> KeyVerdict:
        certificate = certificate_for(member(WEB), key=public_key(certified)) if certified else None
        record = key_id(recorded) if recorded else None
        return judge_key(member(WEB), KeyEvidence(found, certificate, record, frozenset(), rekey=False, **more))

    def test_that_are_not_those_of_their_certificates(self) -> None:
        message = "the private key of servers/web does not fit its certificate"
        help_ = (
            "restore servers/web/key.pem, or make a new key with `--rekey servers/web`, "
            "which keeps the file as key.pem.orig"
        )
        obstacle = error("key-mismatch", message, help=help_, where="servers/web")
        assert self.verdict(present_key("other"), "own", "own").obstacle == obstacle

    def test_that_are_not_here_and_neither_are_their_certificates(self) -> None:
        message = "servers/web has lost its certificate, and its private key is not here"
        help_ = "restore cert.pem or key.pem (from git, from a backup), or make a new key with `--rekey servers/web`"
        obstacle = error("key-elsewhere", message, help=help_, where="servers/web")
        assert self.verdict(ObservedKey(), None, "own").obstacle == obstacle

    def test_whose_certificates_are_those_of_others(self) -> None:
        reason = Reason(
            ReasonCode.KEY_MISMATCH, f"key {key_id('other')[:12]}", f"key {key_id('own')[:12]}", "the certificate"
        )
        assert self.verdict(present_key("own"), "other", "own").reasons == (reason,)
        assert short(None) == "no key"

    def test_that_never_were_certgens(self) -> None:
        reason = Reason(ReasonCode.KEY_MISSING, what="key.pem")
        assert self.verdict(ObservedKey(), "own", "own", was_ours=False) == KeyVerdict(KeyFate.NEW, (reason,))
        assert self.verdict(ObservedKey(), "own", "own").fate is KeyFate.ELSEWHERE

    def test_of_another_algorithm(self) -> None:
        entry = replace(member(WEB), key=KeyPolicy(KeyAlgorithm.RSA_2048))
        change = change_at(decide(shop(entry), disk_of(shop())), WEB)
        assert change.reasons[0] == Reason(ReasonCode.KEY_ALGORITHM_CHANGED, "ecdsa-p256", "rsa-2048")

    def test_that_are_kept_keep_the_mode_that_is_asked(self) -> None:
        entry = replace(member(WEB), key=KeyPolicy(mode=0o640))
        signing = change_at(decide(shop(entry), disk_of(shop(entry)), renew=[WEB]), WEB).signing
        assert signing is not None
        assert signing.key == KeyOrder(KeySource.FILE, mode=0o640)

    def test_that_cannot_be_read(self) -> None:
        message = "the private key of servers/web cannot be read: it is encrypted"
        way_out = "or make a new key with `--rekey servers/web`, which keeps the file as key.pem.orig"
        help_ = f"put the right key there, {way_out}"
        obstacle = error("key-unreadable", message, help=help_, where="servers/web")
        assert self.verdict(unreadable_key("it is encrypted"), "own", "own").obstacle == obstacle

    def test_that_stay_on_their_hosts(self) -> None:
        entry = replace(member(WEB), public_key=supplied_key("hsm"))
        message = "servers/web has its key on its own host"
        help_ = "make a new key there and replace the file that `public_key` names"
        verdict = judge_key(entry, KeyEvidence(ObservedKey(), None, None, frozenset(), rekey=True))
        obstacle = error("key-elsewhere", message, help=help_, where="servers/web")
        assert verdict == KeyVerdict(KeyFate.ELSEWHERE, obstacle=obstacle)
        certificate = certificate_for(entry, key=public_key("old"))
        verdict = judge_key(entry, KeyEvidence(ObservedKey(), certificate, None, frozenset(), rekey=False))
        was, wanted = f"key {key_id('old')[:12]}", f"key {key_id('hsm')[:12]}"
        assert verdict.reasons == (Reason(ReasonCode.KEY_MISMATCH, was, wanted, "hsm.pub"),)
        assert verdict.fate is KeyFate.ELSEWHERE


class TestSeveralAtOnce:
    def test_files_that_nothing_asks_for_all_go(self) -> None:
        disk = disk_of(shop())
        disk.files[WEB] = {"a.conf": a_file(b"a"), "b.conf": a_file(b"b"), "z.conf": a_file(b"mine")}
        disk.listed[WEB] = {name: digest(name[:1].encode()) for name in ("a.conf", "b.conf", "z.conf")}
        names, warnings = removals(shop()[WEB], disk.observed(), prune=False)
        assert (names, words(warnings)) == (("a.conf", "b.conf"), [("left-alone", "servers/web/z.conf")])

    def test_roots_and_entries_that_come_to_trust_them_are_all_told(self) -> None:
        others = [authority(Address.parse(f"cas/{name}")) for name in ("one", "two")]
        trust = (ROOT, *(entry.address for entry in others))
        after = shop(*others, member(WEB, days=80, trust=trust), member(APP, days=80, trust=trust))
        told = [str(widening) for widening in decide(after, disk_of(shop(*others))).widenings]
        assert told == [
            f"{address} now accepts {verb} {name}"
            for address, verb in (("servers/web", "clients of"), ("clients/app", "servers of"))
            for name in ("one", "two")
        ]

    def test_a_rendered_file_and_its_line_of_the_manifest(self) -> None:
        spec = shop(replace(member(WEB), snippets=(Snippet("nginx", (Artifact("nginx.conf", b"new\n"),)),)))
        disk = disk_of(shop())
        disk.files[WEB] = {"nginx.conf": a_file(b"old\n")}
        disk.listed[WEB] = {"nginx.conf": digest(b"old\n")}
        assert change_at(decide(spec, disk), WEB).reasons == (Reason(ReasonCode.OUTPUT_CHANGED, what="nginx.conf"),)

    def test_a_new_entry_and_one_that_lost_its_certificate(self) -> None:
        disk = disk_of(shop())
        disk.lose_certificate(WEB)
        found = decide(shop(member(MAIL)), disk)
        assert change_at(found, MAIL).reasons == (Reason(ReasonCode.MISSING),)
        assert change_at(found, WEB).reasons[0] == Reason(ReasonCode.MISSING, what="cert.pem")

    def test_the_key_of_a_ca_that_was_here_and_one_that_never_was(self) -> None:
        disk = disk_of(shop())
        disk.keys[ISSUING] = ObservedKey()
        disk.lose_keys(ROOT)
        found = words(decide(shop(), disk).notices)
        assert found == [("ca-key-gone", "cas/issuing"), ("keys-elsewhere", "shop")]
