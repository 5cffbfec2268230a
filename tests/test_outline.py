"""A spec by its lines alone: what is found is what the parser finds, and what cannot be told is nothing."""

from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import SpecTree, specs

from certgen.spec.document import compose
from certgen.spec.outline import Outline, excerpt, outline

SPEC = """\
version: 1
ca: {}
servers:   # those that listen
  api:
    sans: [api.example]
    # of this one

  web: {sans: web.example}
clients:
    app:
    job: {}

# the end
"""


class Dumper(yaml.SafeDumper):
    """Writes a value that stands in two places twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's
        return True


def text_of(spec: SpecTree, *, is_flow: bool = False) -> str:
    style = None if is_flow else False
    return yaml.dump(spec, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=style)


def found(text: str) -> Outline:
    result = outline(text)
    assert result is not None
    return result


def is_true(text: str) -> bool:
    """Whether the parser finds the entries where their lines seemed to be."""
    places = found(text).places
    return compose(text.encode(), "a.yaml").stands_as({address: start for address, (start, _) in places.items()})


def test_each_entry_has_its_lines_and_what_follows_them() -> None:
    assert found(SPEC).places == {
        "servers/api": (3, 7),
        "servers/web": (7, 8),
        "clients/app": (9, 10),
        "clients/job": (10, 14),
    }
    assert is_true(SPEC)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("api.example", "apis.example", {"servers/api"}),
        ("# of this one", "# of that one", {"servers/api"}),
        ("# the end", "# the very end", {"clients/job"}),
        ("    app:\n    job: {}", "    job: {}\n    app:", {"clients/app", "clients/job"}),
        ("ca: {}", "ca: {validity: 9y}", set()),
        ("# those that listen", "# who listen", set()),
    ],
)
def test_a_line_that_changed_is_told_by_the_digest_of_whom_it_belongs_to(
    before: str, after: str, changed: set[str]
) -> None:
    one, other = found(SPEC), found(SPEC.replace(before, after))
    assert {address for address in one.digests if one.digests[address] != other.digests[address]} == changed
    assert (one.frame == other.frame) == bool(changed)


def test_an_entry_that_is_added_changes_nothing_but_itself() -> None:
    one, other = found(SPEC), found(SPEC.replace("clients:", "  new: {sans: new.example}\nclients:"))
    assert other.frame == one.frame
    assert {address: other.digests[address] for address in one.digests} == one.digests


def test_an_excerpt_has_the_same_lines_in_the_same_places() -> None:
    part = excerpt(SPEC, found(SPEC), {"servers/web"})
    kept = {number for number, line in enumerate(part.split("\n")) if line}
    assert part.count("\n") == SPEC.count("\n")
    assert kept == {0, 1, 2, 7, 8}
    assert all(part.split("\n")[number] == SPEC.split("\n")[number] for number in kept)
    assert compose(part.encode(), "a.yaml").stands_as({"servers/web": 7})


@pytest.mark.parametrize(
    "text",
    [
        "servers:\n  a: {}\n  a: {}\n",
        "servers:\n  'a': {}\n",
        "servers:\n  ? a\n  : {}\n",
        "servers:\n  A: {}\n",
        "servers:\n    a: {}\n  b: {}\n",
        "servers:\n  a:{}\n",
        "servers:\n\ta: {}\n",
        "servers:\r\n  a: {}\r\n",
        "servers:\n  a: {}\u2028  b: {}\n",
        "servers:\n  - a\n",
        "servers:\n  <<: {}\n",
    ],
    ids=repr,
)
def test_what_does_not_stand_in_plain_blocks_is_not_told(text: str) -> None:
    assert outline(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "servers: {a: {}}\n",
        "servers: &all\n  a: {}\nclients: *all\n",
        "servers:\n  a: &one {}\n",
        "servers:\n  a: {sans: [x,\n  b: y]}\n",
        "servers:\n  a: {sans: 'x\n  b: y'}\n",
        '"servers":\n  a: {}\n',
        "name: 'x\nservers:\n  a: y'\n",
        "servers:\n  a: {}\n? clients\n:\n  b: {}\n",
    ],
    ids=repr,
)
def test_what_is_another_thing_than_its_lines_seem_is_seen_to_be(text: str) -> None:
    assert outline(f"version: 1\n{text}") is None or not is_true(f"version: 1\n{text}")


def test_a_block_of_text_is_no_entry() -> None:
    text = dedent("""\
        servers:
          a:
            common_name: |
              servers:
                b: {}
          c: {}
        """)
    assert list(found(text).places) == ["servers/a", "servers/c"]
    assert is_true(text)


def test_an_empty_text_has_no_entries() -> None:
    assert found("").places == {}
    assert found("servers:\nclients: {}\n").places == {}


@given(specs(), st.booleans())
def test_of_a_spec_as_programs_write_it_every_entry_is_found(spec: SpecTree, is_flow: bool) -> None:
    spec = {key: value for key, value in spec.items() if value}
    text = text_of(spec, is_flow=is_flow)
    wanted = {f"{section}/{name}" for section in ("servers", "clients", "peers") for name in spec.get(section, {})}
    result = outline(text)
    # PyYAML quotes a name that would be a number.
    assert result is None or not is_true(text) or set(result.places) == wanted
    assert "0" in {address.partition("/")[2] for address in wanted} or (result is not None and is_true(text))


@given(specs(), st.data())
def test_an_excerpt_says_of_the_rest_what_the_whole_does(spec: SpecTree, data: st.DataObject) -> None:
    text = text_of(spec)
    result = outline(text)
    if result is None or not result.places or not is_true(text):
        return
    kept = data.draw(st.sets(st.sampled_from(sorted(result.places))))
    part = yaml.safe_load(excerpt(text, result, kept))
    for section in ("servers", "clients", "peers"):
        wanted = {name: value for name, value in spec[section].items() if f"{section}/{name}" in kept}
        assert (part[section] or {}) == wanted
    assert {key: part[key] for key in ("version", "defaults", "cas")} == {
        key: spec[key] for key in ("version", "defaults", "cas")
    }
