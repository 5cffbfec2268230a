"""How files are published is decided apart from what is in them: what moves, what stays, what goes."""

from dataclasses import replace

import pytest
from values import WEB, a_file, disk_of, member, shop

from certgen.manifest import ManifestEntry, digest
from certgen.model import Entry
from certgen.plan.publication import as_published, judge_publication, places, refused_link, unmovable
from certgen.plan.values import Action, Change, Publishing, ReasonCode
from certgen.protection import Protection, ProtectionKind
from certgen.publication import LINK_NAME, Publication
from certgen.tree import (
    ABSENT,
    CERTIFICATE_FILE,
    COMBINED_FILE,
    KEY_FILE,
    TRUST_FILE,
    FileKind,
    FileState,
    Observed,
    ObservedEntry,
)

NAMES = (KEY_FILE, CERTIFICATE_FILE, TRUST_FILE)
LINKED = member(WEB, publication=Publication.SYMLINK)
PLAIN = member(WEB)
LINK = FileState(FileKind.OTHER, generation="..2")
WRITE = Change(WEB, Action.WRITE, (), writes=(CERTIFICATE_FILE,))


def behind(text: str = "x", *, is_shown: bool = True, generation: str = "..2") -> FileState:
    return replace(a_file(text.encode()), generation=generation, is_shown=is_shown)


def linked(**instead: FileState) -> ObservedEntry:
    """Give an entry of which all is behind the link, with some files otherwise."""
    files = {name: behind(name) for name in NAMES} | {LINK_NAME: LINK}
    return ObservedEntry(files=files | {name.replace("_", "."): state for name, state in instead.items()})


def plain() -> ObservedEntry:
    return ObservedEntry(files={name: a_file(name.encode()) for name in NAMES})


def words(entry: Entry, found: ObservedEntry) -> list[tuple[ReasonCode, str | None]]:
    return [(reason.code, reason.what) for reason in judge_publication(entry, found)]


def observed(found: ObservedEntry, listed: dict[str, str | None]) -> Observed:
    before = disk_of(shop()).observed()
    manifest = replace(before.manifest, entries={WEB: ManifestEntry("k", listed)})
    return replace(before, manifest=manifest, entries={WEB: found})


class TestReasons:
    def test_what_is_as_asked_has_none(self) -> None:
        assert words(LINKED, linked()) == []
        assert words(PLAIN, plain()) == []

    def test_nothing_has_none(self) -> None:
        assert words(LINKED, ObservedEntry()) == []
        assert words(PLAIN, ObservedEntry()) == []

    def test_each_way_is_a_change_of_the_spec(self) -> None:
        assert words(LINKED, plain()) == [(ReasonCode.OUTPUT_CHANGED, "publish")]
        assert words(PLAIN, linked()) == [(ReasonCode.OUTPUT_CHANGED, "publish")]

    def test_a_link_that_is_not_there_is_missing(self) -> None:
        assert words(LINKED, linked(key_pem=behind(is_shown=False))) == [(ReasonCode.MISSING, "the link key.pem")]

    def test_the_one_link_is_missing(self) -> None:
        found = linked()
        assert words(LINKED, replace(found, files={**found.files, LINK_NAME: ABSENT})) == [
            (ReasonCode.MISSING, LINK_NAME)
        ]

    def test_a_file_in_place_of_a_link_has_drifted(self) -> None:
        assert words(LINKED, linked(ca_pem=a_file(b"x"))) == [(ReasonCode.FILE_DRIFTED, TRUST_FILE)]

    def test_a_key_that_is_elsewhere_is_no_reason(self) -> None:
        assert words(LINKED, linked(key_pem=ABSENT)) == []
        assert words(LINKED, linked(key_pem=FileState(FileKind.ABSENT, generation="..2", is_shown=True))) == []

    def test_a_key_in_another_generation_is_not_in_force(self) -> None:
        found = linked(key_pem=behind(generation="..1", is_shown=True))
        assert [str(reason.was) for reason in judge_publication(LINKED, found)] == ["in ..1 alone"]
        assert words(LINKED, found) == [(ReasonCode.FILE_DRIFTED, KEY_FILE)]


class TestWhatMoves:
    def published(
        self, entry: Entry, found: ObservedEntry, listed: dict[str, str | None], change: Change = WRITE
    ) -> Change:
        return as_published(entry, change, observed(found, listed))

    def test_plain_files_stay_plain_without_a_word(self) -> None:
        assert self.published(PLAIN, plain(), dict.fromkeys(NAMES)) == WRITE

    def test_what_stays_is_carried_along(self) -> None:
        change = self.published(LINKED, linked(), dict.fromkeys(NAMES))
        assert change.publishing == Publishing((KEY_FILE, TRUST_FILE), is_linked=True)
        assert change.removes == ()

    def test_a_file_that_was_edited_and_that_nothing_asks_for_is_carried_along(self) -> None:
        found = linked(nginx_conf=behind("edited"))
        change = self.published(LINKED, found, {**dict.fromkeys(NAMES), "nginx.conf": digest(b"ours")})
        assert change.publishing == Publishing((KEY_FILE, TRUST_FILE, "nginx.conf"), is_linked=True)

    def test_a_stranger_in_the_generation_is_not(self) -> None:
        change = self.published(LINKED, linked(notes_txt=behind("mine")), dict.fromkeys(NAMES))
        assert change.publishing == Publishing((KEY_FILE, TRUST_FILE), is_linked=True)

    def test_a_first_change_carries_plain_files_into_a_generation(self) -> None:
        change = self.published(LINKED, plain(), dict.fromkeys(NAMES), replace(WRITE, writes=()))
        assert change.publishing == Publishing(NAMES, is_linked=True)
        assert change.removes == ()

    def test_the_way_back_carries_all_and_removes_the_generation_and_the_link(self) -> None:
        change = self.published(PLAIN, linked(), dict.fromkeys(NAMES), replace(WRITE, writes=()))
        assert change.publishing == Publishing(NAMES, is_linked=False)
        assert set(change.removes) == {*(f"..2/{name}" for name in NAMES), LINK_NAME}

    @pytest.mark.parametrize(
        ("name", "content", "goes"),
        [
            ("..1/cert.pem", b"x", True),
            ("..1/key.pem", b"", True),
            ("..1/nginx.conf", b"# Generated by certgen from shop.yaml; edits are overwritten\n", True),
            ("..1/listed.conf", b"x", True),
            ("..1/notes.txt", b"mine", False),
            ("..mine/key.pem", b"", False),
            ("..01/key.pem", b"", False),
            ("..1.bak/cert.pem", b"x", False),
        ],
    )
    def test_of_generations_before_goes_what_is_certgens(self, name: str, content: bytes, goes: bool) -> None:
        found = linked()
        found = replace(found, files={**found.files, name: a_file(content)})
        change = self.published(LINKED, found, {**dict.fromkeys(NAMES), "listed.conf": "digest"})
        assert change.removes == ((name,) if goes else ())

    def test_a_key_that_is_sealed_under_its_name_goes_in_clear_at_once(self) -> None:
        entry = replace(LINKED, key=replace(LINKED.key, protection=Protection(ProtectionKind.PASSPHRASE)))
        found = linked()
        found = replace(found, files={**found.files, "..1/key.pem": a_file(b"")})
        change = self.published(entry, found, dict.fromkeys(NAMES), replace(WRITE, writes=(KEY_FILE,)))
        assert change.removes == ("..1/key.pem", "..2/key.pem")

    def test_a_key_that_is_replaced_stays_for_those_who_read_the_old_pair(self) -> None:
        change = replace(WRITE, writes=(KEY_FILE, CERTIFICATE_FILE))
        assert self.published(LINKED, linked(), dict.fromkeys(NAMES), change).removes == ()

    def test_without_the_one_link_what_was_taken_for_its_generation_stays(self) -> None:
        found = linked()
        files = {**found.files, LINK_NAME: ABSENT, "..2/cert.pem": a_file(b"x"), "..1/cert.pem": a_file(b"x")}
        change = self.published(LINKED, replace(found, files=files), dict.fromkeys(NAMES))
        assert change.removes == ("..1/cert.pem",)

    def test_a_file_whose_link_a_person_removed_is_not_carried_along(self) -> None:
        found = linked(nginx_conf=behind("edited", is_shown=False))
        change = self.published(LINKED, found, {**dict.fromkeys(NAMES), "nginx.conf": digest(b"ours")})
        assert change.publishing == Publishing((KEY_FILE, TRUST_FILE), is_linked=True)

    def test_a_private_key_that_goes_goes_from_the_generation_in_force_too(self) -> None:
        change = replace(WRITE, removes=(KEY_FILE, COMBINED_FILE, "nginx.conf"))
        found = linked(combined_pem=behind(), nginx_conf=behind())
        listed = dict.fromkeys((*NAMES, COMBINED_FILE, "nginx.conf"))
        assert self.published(LINKED, found, listed, change).removes == (
            KEY_FILE, COMBINED_FILE, "nginx.conf", "..2/key.pem", "..2/combined.pem",
        )  # fmt: skip


class TestWhatIsInTheWay:
    def refused(self, state: FileState, listed: dict[str, str | None], *, entry: Entry = LINKED) -> bool:
        found = linked()
        seen = observed(replace(found, files={**found.files, LINK_NAME: state}), listed)
        return refused_link(entry, seen) is not None

    def test_the_link_is_certgens_where_the_manifest_has_it_and_it_leads_to_a_generation(self) -> None:
        assert not self.refused(LINK, {LINK_NAME: None})
        assert not self.refused(ABSENT, {})
        assert self.refused(LINK, {})
        assert self.refused(FileState(FileKind.OTHER), {LINK_NAME: None})
        assert self.refused(a_file(b"mine"), {LINK_NAME: None})

    def test_what_cannot_be_read_cannot_be_carried_along(self) -> None:
        state = replace(behind(), kind=FileKind.UNREADABLE, reason="it is too long")
        found = linked(nginx_conf=state)
        change = as_published(LINKED, WRITE, observed(found, dict.fromkeys((*NAMES, "nginx.conf"))))
        (obstacle,) = unmovable(LINKED, change, found)
        assert (obstacle.where, "it is too long" in obstacle.message) == ("servers/web/nginx.conf", True)
        assert unmovable(LINKED, change, linked()) == []
        assert unmovable(PLAIN, WRITE, found) == []


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("cert.pem", a_file(b"x"), ("cert.pem",)),
        ("cert.pem", ABSENT, ()),
        ("cert.pem", FileState(FileKind.OTHER), ()),
        ("cert.pem", behind(), ("..2/cert.pem", "cert.pem")),
        ("cert.pem", behind(is_shown=False), ("..2/cert.pem",)),
        ("cert.pem", FileState(FileKind.ABSENT, generation="..2", is_shown=True), ("cert.pem",)),
        (LINK_NAME, LINK, (LINK_NAME,)),
        (LINK_NAME, FileState(FileKind.OTHER), ()),
        ("..1/cert.pem", a_file(b"x"), ("..1/cert.pem",)),
    ],
)
def test_a_file_is_gone_with_the_link_that_shows_it(name: str, state: FileState, expected: tuple[str, ...]) -> None:
    assert places(name, state) == expected
