"""Floor 12: specs for other programs: each target writes what it can, and what it cannot is shown at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from certgen.diagnostics import Diagnostic
from certgen.exports.port import Choices, Export, Target
from certgen.loading import LoadedSpec


@dataclass(frozen=True, slots=True)
class ExportedSpec:
    """A spec with what a target made of it."""

    loaded: LoadedSpec
    export: Export

    @property
    def losses(self) -> tuple[Diagnostic, ...]:
        """What the target cannot say, each at its entry's place in the spec."""
        return tuple(replace(loss, where=self._place(loss.where)) for loss in self.export.losses)

    def _place(self, address: str | None) -> str:
        place = self.loaded.places.get(address) if address is not None else None
        return f"{self.loaded.path}:{place[0]}:{place[1]}" if place else str(self.loaded.path)


def export_specs(specs: Sequence[LoadedSpec], target: Target, choices: Choices) -> tuple[ExportedSpec, ...]:
    """Write specs for a target; nothing but the specs is looked at.

    Args:
        specs: valid ones.
        target: the program that will issue.
        choices: by the names of the target's options.

    Raises:
        CertgenError: an option makes no sense.
    """
    return tuple(ExportedSpec(loaded, target.export(loaded.bundle, choices)) for loaded in specs)
