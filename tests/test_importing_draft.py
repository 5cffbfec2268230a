"""Entries before they are a spec: their names, their issuers, and what stands for what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError
from values import ROOT, WEB, authority, certificate_for, member, name_of

from certgen.importing.draft import (
    LONGEST_NAME,
    Collected,
    Draft,
    entry_name,
    merged,
    named,
    of_other_issuers,
    remark,
    spec_fields,
    subject_of,
    with_authority,
)
from certgen.model import Address, Section
from certgen.spec.fields import entry_name as read_name

CA, SERVERS, CLIENTS = Section.CAS, Section.SERVERS, Section.CLIENTS


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("api", "api"),
        ("Shop Root CA", "shop-root-ca"),
        ("*.shop.example", "wildcard.shop.example"),
        ("a: b\n- c", "a-b---c"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("日本語", "unnamed"),
        ("../../etc/passwd", "etc-passwd"),
        ("a..b", "a.b"),
        ("CON", "con-1"),
        ("nul.x", "nul-1.x"),
        ("com1", "com1-1"),
        ("console", "console"),
        ("x" * 300, "x" * 63),
    ],
)
def test_any_text_becomes_a_name(wish: str, name: str) -> None:
    assert entry_name(wish) == name


@given(st.text(max_size=80))
def test_every_name_is_one_that_a_spec_takes(wish: str) -> None:
    name = entry_name(wish)
    assert read_name(name) == name


def test_the_reader_of_names_refuses_what_they_were_made_of() -> None:
    for wish in ("..", "con", "Shop Root"):
        with pytest.raises(PydanticCustomError):
            read_name(wish)


def test_names_that_collide_are_counted_within_their_section() -> None:
    drafts = [Draft(SERVERS, "Api", subject="1"), Draft(SERVERS, "api", subject="2"), Draft(CLIENTS, "api")]
    found = named([*drafts, Draft(SERVERS, "api-2", subject="3")])
    assert {str(address): draft.subject for address, draft in found.items()} == {
        "servers/api": "1",
        "servers/api-2": "2",
        "servers/api-2-2": "3",
        "clients/api": "",
    }


def test_a_long_name_is_cut_to_be_counted() -> None:
    names = [address.name for address in named(Draft(SERVERS, "x" * 80) for _ in range(12))]
    assert len(set(names)) == 12
    assert max(map(len, names)) == LONGEST_NAME
    assert [read_name(name) for name in names] == names


def test_entries_stand_in_the_order_of_the_language() -> None:
    found = named([Draft(CLIENTS, "a"), Draft(SERVERS, "b"), Draft(CA, "z"), Draft(SERVERS, "a")])
    assert [str(address) for address in found] == ["cas/z", "servers/a", "servers/b", "clients/a"]


def test_an_issuer_is_named_by_its_entry() -> None:
    drafts = [Draft(CA, "Root", subject="CN=Root"), Draft(CA, "Other", subject="CN=Other")]
    server = Draft(SERVERS, "api", {"sans": ["a.example"]}, issuer="CN=Root")
    assert spec_fields(named([*drafts, server])) == {
        "version": 1,
        "cas": {"other": {}, "root": {}},
        "servers": {"api": {"issuer": "root", "sans": ["a.example"]}},
    }


def test_the_only_ca_need_not_be_named() -> None:
    drafts = [Draft(CA, "Root", subject="CN=Root"), Draft(SERVERS, "api", issuer="CN=Root")]
    assert spec_fields(named(drafts))["servers"] == {"api": {}}


def test_two_cas_of_one_subject_are_two() -> None:
    drafts = [Draft(CA, "Root", subject="CN=Root"), Draft(CA, "Root", subject="CN=Root")]
    assert spec_fields(named([*drafts, Draft(SERVERS, "api", issuer="CN=Root")]))["servers"] == {
        "api": {"issuer": "root-2"}
    }


def test_an_issuer_that_nobody_has_is_not_named_and_neither_is_an_end_entity() -> None:
    drafts = [Draft(CA, "a", subject="CN=a"), Draft(CA, "b", subject="CN=b"), Draft(SERVERS, "api", subject="CN=api")]
    strangers = [Draft(CLIENTS, "a", issuer="CN=nobody"), Draft(CLIENTS, "b", issuer="CN=api")]
    assert spec_fields(named([*drafts, *strangers]))["clients"] == {"a": {}, "b": {}}


def others(*drafts: Draft) -> list[tuple[str | None, str]]:
    return [(item.where, item.message) for item in of_other_issuers(named(drafts)) if item.code == "other-issuer"]


def test_who_gets_another_issuer_than_he_names_is_told() -> None:
    root = Draft(CA, "root", subject="CN=Root")
    assert others(root, Draft(SERVERS, "api", issuer="CN=Root"), Draft(SERVERS, "web")) == []
    assert others(root, Draft(SERVERS, "api", issuer="CN=Gone")) == [
        ("servers/api", "servers/api: `CN=Gone` is not among what is imported, and so cas/root issues it")
    ]


def test_a_ca_whose_issuer_is_not_there_is_a_root_and_that_is_told() -> None:
    root, sub = Draft(CA, "root", subject="CN=Root"), Draft(CA, "sub", subject="CN=Sub", issuer="CN=Gone")
    expected = [("cas/sub", "cas/sub: `CN=Gone` is not among what is imported, and so it is a root")]
    assert others(sub) == others(root, sub) == expected


def test_of_several_cas_one_has_to_be_named_and_the_check_of_the_spec_says_so() -> None:
    cas = (Draft(CA, "a", subject="CN=a"), Draft(CA, "b", subject="CN=b"))
    assert others(*cas, Draft(SERVERS, "api", issuer="CN=Gone")) == []


def test_a_common_name_that_the_entry_has_already_is_not_said_again() -> None:
    drafts = [Draft(SERVERS, "api", {"common_name": "api"}), Draft(SERVERS, "Api 2", {"common_name": "Api 2"})]
    assert spec_fields(named(drafts))["servers"] == {"api": {}, "api-2": {"common_name": "Api 2"}}


def test_where_no_source_tells_of_a_ca_one_signs_all() -> None:
    drafts = with_authority([Draft(SERVERS, "api"), Draft(CLIENTS, "app")])
    assert spec_fields(named(drafts)) == {
        "version": 1,
        "cas": {"ca": {}},
        "servers": {"api": {}},
        "clients": {"app": {}},
    }
    assert [draft.issuer for draft in drafts] == [None, "ca", "ca"]


def test_the_only_ca_signs_who_has_no_issuer_and_nobody_else() -> None:
    root = Draft(CA, "root", subject="CN=root")
    own, lost = Draft(SERVERS, "api"), Draft(SERVERS, "lost", issuer="CN=nobody")
    assert [draft.issuer for draft in with_authority([root, own, lost])] == [None, "CN=root", "CN=nobody"]


def test_of_several_cas_none_is_chosen() -> None:
    drafts = (Draft(CA, "a", subject="CN=a"), Draft(CA, "b", subject="CN=b"), Draft(SERVERS, "api"))
    assert with_authority(drafts) == drafts


def test_what_was_found_is_not_described_again() -> None:
    root = certificate_for(authority(ROOT))
    found = Draft(CA, "Shop root", subject=f"{root.subject}, key 1", certificate=root)
    name = subject_of(name_of("Shop root").attributes)
    described = (Draft(CA, "root", subject=name), Draft(SERVERS, "api", subject="CN=api", issuer=name))
    both = merged(Collected((found,)), Collected(described))
    assert [draft.wish for draft in both.drafts] == ["Shop root", "api"]
    assert both.drafts[1].issuer == found.subject


def test_what_was_described_and_not_found_stays_with_its_issuer() -> None:
    web = certificate_for(member(WEB))
    found = Draft(SERVERS, "web", subject=str(web.subject), certificate=web)
    described = Draft(SERVERS, "api", subject="CN=api", issuer="CN=root")
    warning = remark("not-imported", "that", "this", "there")
    both = merged(Collected((found,), (warning,)), Collected((described,), (warning,)))
    assert both == Collected((found, described), (warning, warning))


def test_a_subject_is_the_same_in_whatever_order_it_was_written() -> None:
    one, other = ("common_name", "a"), ("organization", "b")
    assert subject_of([one, other]) == subject_of([other, one])
    assert subject_of([one]) != subject_of([other])


def test_the_address_of_a_name_is_that_of_a_folder() -> None:
    (address,) = named([Draft(SERVERS, "../x")])
    assert address == Address.parse("servers/x")
