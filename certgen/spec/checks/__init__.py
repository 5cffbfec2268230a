"""Floor 9: the rules that a bundle must keep, one function each, with its standard in the docstring.

A rule takes the bundle and gives diagnostics with routes; what it finds wrong would otherwise show at a handshake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from certgen.diagnostics import Diagnostic
from certgen.model import Bundle
from certgen.spec.checks.keys import (
    algorithms_are_known_to_programs,
    key_choices_fit,
    key_usages_fit,
    path_lengths_hold,
    purposes_are_allowed_above,
    supplied_authorities_fit_the_profile,
    supplied_keys_fit,
    trust_files_hold_roots,
)
from certgen.spec.checks.lifetimes import (
    authorities_outlast_what_they_issue,
    children_end_before_issuers,
    servers_are_short_lived,
    validities_are_not_minutes,
    validities_are_whole,
    windows_are_shorter_than_validities,
)
from certgen.spec.checks.names import (
    authorities_have_distinct_subjects,
    common_names_are_sans,
    constraints_can_be_met,
    names_are_inside_constraints,
    names_are_unique,
    servers_have_names,
    spiffe_ids_stand_alone,
)
from certgen.spec.checks.sizes import certificates_are_read_back

Rule = Callable[[Bundle], Iterator[Diagnostic]]

RULES: Final[tuple[Rule, ...]] = (
    servers_have_names,
    names_are_unique,
    spiffe_ids_stand_alone,
    common_names_are_sans,
    names_are_inside_constraints,
    constraints_can_be_met,
    children_end_before_issuers,
    validities_are_whole,
    windows_are_shorter_than_validities,
    authorities_outlast_what_they_issue,
    path_lengths_hold,
    authorities_have_distinct_subjects,
    key_usages_fit,
    purposes_are_allowed_above,
    key_choices_fit,
    algorithms_are_known_to_programs,
    servers_are_short_lived,
    validities_are_not_minutes,
    supplied_keys_fit,
    supplied_authorities_fit_the_profile,
    trust_files_hold_roots,
    certificates_are_read_back,
)


def check(bundle: Bundle) -> tuple[Diagnostic, ...]:
    """Apply every rule."""
    return tuple(finding for rule in RULES for finding in rule(bundle))
