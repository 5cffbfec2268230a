"""An instances.yml of elasticsearch-certutil as peers."""

import pytest

from certgen.importing.draft import Collected, Source
from certgen.importing.instances import collect
from certgen.model import Section


def read(text: str) -> Collected:
    found = collect(Source("instances.yml", text.encode()))
    assert found is not None
    return found


def test_each_instance_is_a_peer_by_its_names_and_addresses() -> None:
    found = read("instances:\n- {name: node1, dns: [n1.example, node1], ip: 10.0.0.1}\n- {name: n2, ip: [10.0.0.2]}\n")
    assert found.remarks == ()
    assert [(draft.section, draft.wish, dict(draft.fields)) for draft in found.drafts] == [
        (Section.PEERS, "node1", {"common_name": "node1", "sans": ["n1.example", "node1", "10.0.0.1"]}),
        (Section.PEERS, "n2", {"common_name": "n2", "sans": ["10.0.0.2"]}),
    ]
    assert [draft.issuer for draft in found.drafts] == [None, None]


def test_a_common_name_takes_the_place_of_the_name() -> None:
    (draft,) = read("instances:\n- {name: node1, cn: [node1.example], dns: a.example}\n").drafts
    assert (draft.wish, draft.fields["common_name"]) == ("node1", "node1.example")


@pytest.mark.parametrize("instance", ["x", "[a]", "{}", "{dns: a.example}", "{name: [a], dns: a.example}", "null"])
def test_an_instance_without_a_name_is_told_and_the_rest_read(instance: str) -> None:
    found = read(f"instances:\n- {instance}\n- {{name: good, dns: a.example}}\n")
    assert [draft.wish for draft in found.drafts] == ["good"]
    assert [remark.message for remark in found.remarks] == ["an instance in instances.yml has no name"]


@pytest.mark.parametrize("names", ["", ", dns: []", ", dns: null", ", ip: {a: b}", ", dns: [[a]], ip: ''"])
def test_an_instance_that_nobody_could_check_is_told(names: str) -> None:
    found = read(f"instances:\n- {{name: node1{names}}}\n")
    assert found.drafts == ()
    assert [remark.code for remark in found.remarks] == ["not-imported"]
    assert found.remarks[0].message.startswith("`node1` in instances.yml has neither `dns` nor `ip`")


@pytest.mark.parametrize("text", ["", "a: b", "instances: 5", "instances: {a: b}", "- instances", "instances: [", "\0"])
def test_another_file_is_not_read_as_one(text: str) -> None:
    assert collect(Source("other.yml", text.encode())) is None
