"""What a spec refuses is left out of it: the part that is wrong, and no other."""

from pathlib import Path
from typing import Any

import pytest

from certgen.diagnostics import CertgenError, Diagnostic
from certgen.importing.fitting import fit
from certgen.importing.writing import write_spec
from certgen.loading import LoadedSpec, load_text


def load(fields: dict[str, Any]) -> LoadedSpec:
    return load_text(Path("shop.yaml"), write_spec(fields))


def fitted(**sections: Any) -> tuple[dict[str, Any], list[Diagnostic]]:  # noqa: ANN401 - whatever a spec holds
    fields, loaded, remarks = fit({"version": 1, "cas": {"ca": {}}, **sections}, load)
    assert load(fields).bundle == loaded.bundle
    return fields, list(remarks)


def test_a_spec_without_errors_stays_as_it_is() -> None:
    given = {"api": {"sans": ["a.example"], "key_usage": ["digitalSignature"]}}
    fields, remarks = fitted(servers=given)
    assert fields["servers"] == given
    assert remarks == []


def test_what_was_given_is_not_touched() -> None:
    given = {"version": 1, "cas": {"ca": {}}, "clients": {"app": {"common_name": "x" * 65}}}
    assert fit(given, load)[0]["clients"] == {"app": {}}
    assert given["clients"] == {"app": {"common_name": "x" * 65}}


def test_a_field_is_left_out_and_told_with_the_reason() -> None:
    fields, (remark,) = fitted(clients={"app": {"common_name": "x" * 65, "validity": "9d"}})
    assert fields["clients"] == {"app": {"validity": "9d"}}
    assert remark.code == "not-expressed"
    assert not remark.is_error
    assert remark.where == "clients/app"
    assert remark.message == (
        "clients/app: its common_name is left out of the spec, since common_name has 65 characters, RFC 5280 allows 64"
    )


def test_what_is_there_stays_and_of_what_is_only_described_nothing_is_there() -> None:
    long = {"common_name": "x" * 65}
    given = {"version": 1, "cas": {"ca": {}}, "clients": {"app": dict(long), "web": dict(long)}}
    _, _, remarks = fit(given, load, {"clients/app"})
    assert {remark.where: remark.help for remark in remarks} == {
        "clients/app": "what is there stays as it is until it is due, or its entry is edited",
        "clients/web": "look whether it is needed",
    }


def test_of_a_list_only_the_wrong_items_go() -> None:
    sans = ["a b", "a.example", "x..y", "b.example", "under score"]
    fields, remarks = fitted(servers={"api": {"sans": sans}})
    assert fields["servers"]["api"]["sans"] == ["a.example", "b.example"]
    assert len(remarks) == 3


def test_of_a_subject_only_the_wrong_attribute_goes() -> None:
    subject = {"country": "Netherlands", "organization": ["Shop BV", "x" * 65]}
    fields, remarks = fitted(clients={"app": {"subject": subject}})
    assert fields["clients"]["app"]["subject"] == {"organization": ["Shop BV"]}
    assert len(remarks) == 2


def test_of_constraints_only_the_wrong_base_goes() -> None:
    constraints = {"permitted": ["a..b", "shop.example"], "excluded": ["a b"]}
    fields, _ = fitted(cas={"ca": {"name_constraints": constraints}})
    assert fields["cas"]["ca"]["name_constraints"] == {"permitted": ["shop.example"]}


def test_what_would_be_empty_goes_with_its_last_item() -> None:
    fields, _ = fitted(clients={"app": {"sans": ["a b"], "subject": {"country": "N"}}})
    assert fields["clients"] == {"app": {}}


def test_who_would_outlive_its_issuer_lasts_as_long_in_the_spec() -> None:
    cas = {"root": {"validity": "300d"}, "low": {"issuer": "root", "validity": "400d"}}
    servers = {"api": {"issuer": "low", "sans": ["a.example"], "validity": "900d"}}
    fields, remarks = fitted(cas=cas, servers=servers)
    assert fields["cas"]["low"]["validity"] == "300d"
    assert fields["servers"]["api"] == {"issuer": "low", "sans": ["a.example"], "validity": "300d"}
    assert any("servers/api: its validity in the spec is that of its issuer, since" in one.message for one in remarks)


def test_the_default_too_may_be_too_long_for_an_issuer() -> None:
    fields, _ = fitted(cas={"ca": {"validity": "100d"}}, servers={"api": {"sans": ["a.example"]}})
    assert fields["servers"]["api"]["validity"] == "100d"


def test_an_end_entity_that_no_spec_can_have_stays_out_alone() -> None:
    fields, (remark,) = fitted(servers={"api": {}, "web": {"sans": ["w.example"]}}, peers={"node": {"sans": ["n.x"]}})
    assert fields["servers"] == {"web": {"sans": ["w.example"]}}
    assert fields["peers"] == {"node": {"sans": ["n.x"]}}
    assert (remark.code, remark.where) == ("not-imported", "servers/api")


def test_a_part_goes_before_the_whole() -> None:
    fields, remarks = fitted(servers={"api": {"sans": ["a.example"], "validity": "forever"}, "web": {"validity": "x"}})
    assert fields["servers"] == {"api": {"sans": ["a.example"]}}
    assert [one.code for one in remarks] == ["not-expressed", "not-expressed", "not-imported"]


@pytest.mark.parametrize(
    "sections",
    [
        {"cas": {"a": {"common_name": "One"}, "one": {"common_name": "One"}, "One": {}}},
        {"name": ".."},
        {"servers": 3},
    ],
)
def test_what_cannot_be_left_out_is_an_error(sections: dict[str, Any]) -> None:
    def load_json(fields: dict[str, Any]) -> LoadedSpec:
        return load_text(Path("shop.yaml"), str(fields).encode())

    with pytest.raises(CertgenError):
        fit({"version": 1, "cas": {"ca": {}}, **sections}, load_json)
