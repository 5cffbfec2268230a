"""Floor 9: the port: what a target is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from certgen.diagnostics import Diagnostic
from certgen.model import Bundle

Choices = Mapping[str, str | None]
"""What a person chose, by the names of a target's options; None where nothing was."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a target, on the command line `--name`."""

    name: str
    metavar: str
    help: str


@dataclass(frozen=True, slots=True)
class Export:
    """A spec in the language of a target."""

    text: str
    """What the target reads."""
    body: Mapping[str, object]
    """The same for `--json`."""
    losses: tuple[Diagnostic, ...] = ()
    """What the target cannot say; `where` is an address, or None for the whole spec."""


class Target(Protocol):
    """A program that issues and renews what a spec asks for.

    A target is a package of this wing that fulfils this protocol. It looks at the spec alone: no tree, key or clock.
    """

    HELP: str
    """What the command does: a sentence, and after an empty line what else its user has to know."""
    OPTIONS: tuple[Option, ...]

    def export(self, bundle: Bundle, choices: Choices) -> Export:
        """Write a spec for the target.

        Raises:
            CertgenError: an option makes no sense.
        """
        ...
