"""What a run has found, as the formats for other programs take it: specs, plans, diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from certgen.diagnostics import Diagnostic
from certgen.loading import LoadedSpec
from certgen.plan.values import Plan
from certgen.report.plan import plan_diagnostics
from certgen.status import Status
from certgen.tree import Observed


@dataclass(frozen=True, slots=True)
class Decided:
    """What would be done to a spec's tree."""

    plan: Plan
    folder: Path
    observed: Observed


@dataclass(frozen=True, slots=True)
class SpecFindings:
    """What was found of one spec."""

    loaded: LoadedSpec
    decided: Decided | None = None
    """None where the spec alone was looked at."""
    status: Status | None = None
    """How its certificates stand, where that was asked."""

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All that there is to say of it beside changes: what is in the way first."""
        said = plan_diagnostics(self.decided.plan) if self.decided else ()
        return (*said, *self.loaded.warnings)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a run has found."""

    base: Path
    """The folder in which it runs: files are named from there."""
    specs: tuple[SpecFindings, ...] = ()
    """None where the run could not go on."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Those that belong to none of these specs."""
    paths: tuple[Path, ...] = ()
    """The specs that were asked for."""
