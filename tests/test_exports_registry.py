"""The targets: found by being there, typed with hyphens."""

from __future__ import annotations

import pytest

from certgen.exports import cert_manager
from certgen.exports.registry import find_target, target_names


def test_a_target_is_found_by_its_folder() -> None:
    assert target_names() == ("cert-manager",)
    assert find_target("cert-manager").export is cert_manager.export


def test_what_is_no_target_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        find_target("vault")


@pytest.mark.parametrize("name", target_names())
def test_every_target_says_what_it_does_and_what_it_asks(name: str) -> None:
    target = find_target(name)
    assert target.HELP.splitlines()[0].endswith(".")
    assert all(option.name.isidentifier() and option.help and option.metavar.isupper() for option in target.OPTIONS)
