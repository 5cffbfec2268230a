"""What a base covers and what two bases leave; the names themselves are in test_names.py."""

import pytest

from certgen.rfc5280.constraints import base_is_within, bases_overlap, outside_constraints
from certgen.rfc5280.names import parse_general_name, parse_name_constraint
from certgen.rfc5280.vocabulary import NameConstraints


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a.example", "example", True),
        ("example", "a.example", True),
        ("a.example", "b.example", False),
        ("ba.example", "a.example", False),
        ("10.0.0.0/8", "10.1.0.0/16", True),
        ("10.0.0.0/8", "11.0.0.0/8", False),
        ("10.0.0.0/8", "::/0", False),
        ("URI:a.example", "URI:.example", True),
        ("URI:a.example", "URI:example", False),
        ("URI:.a.example", "URI:.example", True),
        ("URI:.a.example", "URI:.b.example", False),
        ("email:o@a.example", "email:a.example", True),
        ("email:o@a.example", "email:b.example", False),
    ],
)
def test_two_bases_leave_a_name_that_both_permit(one: str, other: str, overlap: bool) -> None:
    bases = parse_name_constraint(one), parse_name_constraint(other)
    assert bases_overlap(*bases) is overlap
    assert bases_overlap(*reversed(bases)) is overlap


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("a.example", "example", True),
        ("example", "a.example", False),
        ("10.1.0.0/16", "10.0.0.0/8", True),
        ("10.0.0.0/8", "10.1.0.0/16", False),
        ("10.0.0.0/8", "::/0", False),
        ("URI:a.example", "URI:a.example", True),
        ("URI:a.example", "URI:.example", True),
        ("URI:.a.example", "URI:a.example", False),
    ],
)
def test_a_base_lies_within_another(inner: str, outer: str, within: bool) -> None:
    assert base_is_within(parse_name_constraint(inner), parse_name_constraint(outer)) is within


def test_constraints_are_equal_whatever_their_order() -> None:
    one, other = parse_name_constraint("a.example"), parse_name_constraint("10.0.0.0/8")
    assert NameConstraints((one, other)) == NameConstraints((other, one))
    assert hash(NameConstraints((one, other))) == hash(NameConstraints((other, one)))
    assert NameConstraints((one,)) != NameConstraints((), (one,))
    assert NameConstraints((one,)) != (one,)


def test_a_mailbox_is_one_and_a_host_is_all_of_it() -> None:
    box = NameConstraints((parse_name_constraint("email:o@a.example"),))
    assert outside_constraints(parse_general_name("o@a.example"), box) is None
    assert outside_constraints(parse_general_name("p@a.example"), box) is not None
