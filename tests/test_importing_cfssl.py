"""A certificate request of cfssl as an entry, whatever its JSON holds."""

import json
from typing import Any

import pytest

from certgen.importing.cfssl import collect
from certgen.importing.draft import Collected, Draft, Source
from certgen.model import Section


def read(data: Any, path: str = "web.json") -> Collected:  # noqa: ANN401 - whatever JSON holds
    found = collect(Source(path, json.dumps(data).encode()))
    assert found is not None
    return found


def one(**data: Any) -> Draft:  # noqa: ANN401 - whatever JSON holds
    found = read(data)
    assert found.remarks == ()
    return found.drafts[0]


def test_hosts_make_a_server() -> None:
    names = [{"C": "NL", "O": "Shop BV", "OU": "A"}, {"OU": "B", "X": "y"}]
    draft = one(CN="api", hosts=["a.example", "10.0.0.1", ""], names=names, key={"algo": "rsa", "size": 2048})
    assert draft.section is Section.SERVERS
    assert draft.wish == "api"
    assert dict(draft.fields) == {
        "common_name": "api",
        "subject": {"country": "NL", "organization": "Shop BV", "organizational_unit": ["A", "B"]},
        "sans": ["a.example", "10.0.0.1"],
        "key": "rsa-2048",
    }


def test_without_hosts_it_is_a_client() -> None:
    draft = one(CN="app", hosts=[])
    assert (draft.section, dict(draft.fields)) == (Section.CLIENTS, {"common_name": "app"})


@pytest.mark.parametrize(
    ("ca", "fields"),
    [
        ({"expiry": "43800h"}, {"validity": "43800h"}),
        ({"pathlen": 1}, {"path_length": 1}),
        ({"pathlen": 0}, {}),
        ({"pathlen": 1, "pathlenzero": True}, {"path_length": 0}),
        (True, {}),
    ],
)
def test_what_says_so_is_a_ca(ca: Any, fields: dict[str, Any]) -> None:  # noqa: ANN401 - whatever JSON holds
    draft = one(CN="root", ca=ca)
    assert (draft.section, dict(draft.fields)) == (Section.CAS, {"common_name": "root", **fields})


@pytest.mark.parametrize("ca", [False, None, {}])
def test_what_denies_it_is_none(ca: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    assert one(CN="app", ca=ca).section is Section.CLIENTS


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ({"algo": "ecdsa", "size": 256}, None),
        ({"algo": "ecdsa", "size": 384}, "ecdsa-p384"),
        ({"algo": "rsa", "size": 4096}, "rsa-4096"),
        ({"algo": "ed25519"}, "ed25519"),
    ],
)
def test_a_key_has_the_name_that_a_spec_gives_it(key: dict[str, Any], name: str | None) -> None:
    assert one(CN="a", key=key).fields.get("key") == name


@pytest.mark.parametrize(
    "key",
    [{"size": "x"}, {"algo": "rsa", "size": "2048"}, {"algo": ["rsa"], "size": [1]}, {"algo": "rsa", "size": 1024},
     {"algo": "rsa", "size": 1e300}, {"algo": "rsa", "size": None}, {}, [], 5],
)  # fmt: skip
def test_a_key_that_a_spec_cannot_ask_for_is_told(key: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    found = read({"CN": "a", "key": key})
    assert "key" not in found.drafts[0].fields
    assert [remark.message for remark in found.remarks] == [
        "what web.json says of `a` as its key has no place in a spec"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("hosts", 3), ("hosts", {"a": 1}), ("hosts", "a"), ("names", "x"), ("names", {"O": 1}), ("CN", ["x"]), ("CN", 5)],
)
def test_a_part_of_another_kind_is_told_and_nothing_made_of_it(name: str, value: Any) -> None:  # noqa: ANN401 - as above
    found = read({"CN": "a", name: value})
    (draft,) = found.drafts
    assert draft.wish == ("web" if name == "CN" else "a")
    assert not {"sans", "subject"} & set(draft.fields)
    assert [remark.where for remark in found.remarks] == ["web.json"]
    assert f"as its {name} has no place" in found.remarks[0].message


def test_items_of_another_kind_are_passed_over() -> None:
    found = read({"CN": "a", "hosts": [["x"], 5, None, "a.example"], "names": ["x", {"O": {"x": 1}}, {"O": "b"}]})
    assert dict(found.drafts[0].fields) == {
        "common_name": "a", "sans": ["a.example"], "subject": {"organization": "b"},
    }  # fmt: skip


@pytest.mark.parametrize(("data", "wish"), [({"hosts": ["b.example"]}, "b.example"), ({"names": []}, "web")])
def test_without_a_common_name_another_is_found(data: dict[str, Any], wish: str) -> None:
    assert one(**data).wish == wish


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[1]", b'"CN"', b"{}", b"NaN", b"{", b"\xff", b"[" * 100_000, b'{"CN": "a", "x": ' + b"9" * 5000 + b"}",
        b'{"signing": {}, "CN": "a"}', rb'{"CN":"\ud800"}', rb'{"CN":"a","hosts":["\udfff"]}',
    ],
)  # fmt: skip
def test_another_file_is_not_read_as_one(content: bytes) -> None:
    assert collect(Source("other.json", content)) is None
