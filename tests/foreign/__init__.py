"""Verifiers that nobody here wrote, as functions for the tests to call.

Each answers with a `Verdict`, or raises `CannotJudgeError`: a missing command, an unreadable file or a
question that the verifier has no way to ask is never a refusal, or a negative control would pass unseen.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from .algorithms import ALGORITHMS, exclusion, supports
from .commands import gnutls, openssl
from .golang import Case, go, go_batch, go_source_findings
from .linting import FALSE_ALARMS, pkilint, pkilint_batch
from .pyca import python_strict
from .questions import Purpose, Verifier, can_judge
from .verdicts import CannotJudgeError, Verdict


class Judge(Protocol):
    """The signature that all verifiers of certification paths share."""

    def __call__(
        self,
        end_entity_pem: Path,
        anchors: Path,
        purpose: Purpose,
        name: str | None = None,
        at: datetime | None = None,
    ) -> Verdict:
        """Judge one certification path."""


PATH_VERIFIERS: Mapping[Verifier, Judge] = MappingProxyType(
    {"openssl": openssl, "gnutls": gnutls, "go": go, "python_strict": python_strict}
)

__all__ = [
    "ALGORITHMS",
    "FALSE_ALARMS",
    "PATH_VERIFIERS",
    "CannotJudgeError",
    "Case",
    "Judge",
    "Purpose",
    "Verdict",
    "Verifier",
    "can_judge",
    "exclusion",
    "gnutls",
    "go",
    "go_batch",
    "go_source_findings",
    "openssl",
    "pkilint",
    "pkilint_batch",
    "python_strict",
    "supports",
]
