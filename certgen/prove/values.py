"""A proof as a value: who met whom, what became of it, and what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from certgen.diagnostics import Diagnostic
from certgen.model import Address
from certgen.tls.causes import Cause, Refusal, Side

BY_CERTIFICATES: Final = "certificates"
"""In place of a version of TLS: nobody shook hands, since a private key is not here."""


class Judgement(StrEnum):
    """How what happened compares with what the spec says."""

    AS_EXPECTED = "as_expected"
    UNEXPECTED = "unexpected"
    UNKNOWN = "unknown"
    """It could not be tried."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One handshake with a round trip of data."""

    version: str
    """`TLS 1.2` or `TLS 1.3`."""
    name: str | None
    """The name that the client asked for."""
    refusal: Refusal | None
    """None where both sides accepted each other."""


@dataclass(frozen=True, slots=True)
class Encounter:
    """A client and a server of the spec, under every version and for every name of the server."""

    server: Address
    client: Address
    is_expected: bool
    """Whether the trust of both lets them talk."""
    trials: tuple[Trial, ...] = ()
    obstacle: str | None = None
    """Why it could not be tried."""
    turned_away_by: tuple[str, ...] = ()
    """The consumers whose `allow` keeps the client out: a rule of theirs, which ssl does not know."""

    @property
    def judgement(self) -> Judgement:
        """Whether it went as the spec says."""
        if self.obstacle is not None:
            return Judgement.UNKNOWN
        is_as_expected = all((trial.refusal is None) == self.is_expected for trial in self.trials)
        return Judgement.AS_EXPECTED if is_as_expected else Judgement.UNEXPECTED


class Stranger(StrEnum):
    """Somebody who must be kept out."""

    NOBODY = "no_certificate"
    OTHER_AUTHORITY = "other_authority"
    SERVER_AS_CLIENT = "server_as_client"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    FALSE_SERVER = "false_server"

    @property
    def cause(self) -> Cause:
        """The reason for which alone the refusal counts."""
        return _CAUSES[self]

    @property
    def refused_by(self) -> Side:
        """Whose task it is to refuse."""
        is_server_false = self in {Stranger.WRONG_NAME, Stranger.FALSE_SERVER}
        return Side.CLIENT if is_server_false else Side.SERVER

    @property
    def description(self) -> str:
        """Who it is, in words."""
        return _DESCRIPTIONS[self]


_CAUSES = {
    Stranger.NOBODY: Cause.NO_CERTIFICATE,
    Stranger.OTHER_AUTHORITY: Cause.UNKNOWN_AUTHORITY,
    Stranger.SERVER_AS_CLIENT: Cause.WRONG_PURPOSE,
    Stranger.EXPIRED: Cause.EXPIRED,
    Stranger.WRONG_NAME: Cause.WRONG_NAME,
    Stranger.FALSE_SERVER: Cause.UNKNOWN_AUTHORITY,
}
_DESCRIPTIONS = {
    Stranger.NOBODY: "a client without a certificate",
    Stranger.OTHER_AUTHORITY: "a client of another CA, which bears the same names",
    Stranger.SERVER_AS_CLIENT: "a server's certificate used as a client's",
    Stranger.EXPIRED: "a client whose certificate has expired",
    Stranger.WRONG_NAME: "a name that is not in its certificate",
    Stranger.FALSE_SERVER: "a server of another CA, which bears the same names",
}


@dataclass(frozen=True, slots=True)
class Challenge:
    """An entry, and somebody whom it, or for a wrong name its client, must refuse."""

    address: Address
    stranger: Stranger
    trials: tuple[Trial, ...] = ()
    obstacle: str | None = None
    after: Address | None = None
    """The entry of the spec after which the stranger is modelled."""
    is_any_cause: bool = False
    """Whether any refusal counts: a server that runs need not say why."""

    @property
    def judgement(self) -> Judgement:
        """Whether it was refused, and for its own reason."""
        if self.obstacle is not None:
            return Judgement.UNKNOWN
        refusals = [trial.refusal for trial in self.trials]
        wanted = (self.stranger.refused_by, self.stranger.cause)
        is_refused = bool(refusals) and all(
            refusal is not None and (self.is_any_cause or (refusal.side, refusal.cause) == wanted)
            for refusal in refusals
        )
        return Judgement.AS_EXPECTED if is_refused else Judgement.UNEXPECTED


@dataclass(frozen=True, slots=True)
class Crossing:
    """A client and a server in the middle of a roll-out: one has its new files, the other those of before."""

    server: Address
    client: Address
    old: Side | None
    """Which of the two has its files of before; None where both have their new ones."""
    trials: tuple[Trial, ...] = ()
    obstacle: str | None = None
    """Why it could not be tried."""

    @property
    def is_broken(self) -> bool:
        """Whether the two no longer talk."""
        return any(trial.refusal is not None for trial in self.trials)


@dataclass(frozen=True, slots=True)
class RollOut:
    """What a change of a tree does to those who talk, while some have it and others not yet."""

    name: str
    """The tree's."""
    changed: int
    """Entries with other certificates or trust than before."""
    crossings: tuple[Crossing, ...]
    waves: tuple[tuple[Address, ...], ...] | None
    """An order that keeps working, those of one wave in any order; one wave, or none, where every order does, and
    None where there is no such order."""
    findings: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...] = ()
    unknowns: tuple[Diagnostic, ...] = ()
    is_first: bool = False
    """Whether there was no older tree at all."""

    @property
    def judgement(self) -> Judgement:
        """Whether every order keeps working."""
        if self.findings:
            return Judgement.UNEXPECTED
        return Judgement.UNKNOWN if self.unknowns else Judgement.AS_EXPECTED

    @property
    def handshakes(self) -> int:
        """How many were tried, those of before aside."""
        return sum(trial.version != BY_CERTIFICATES for crossing in self.crossings for trial in crossing.trials)

    @property
    def judged(self) -> int:
        """How often certificates were judged in place of a handshake."""
        return sum(trial.version == BY_CERTIFICATES for crossing in self.crossings for trial in crossing.trials)


@dataclass(frozen=True, slots=True)
class Proof:
    """All that was tried on one tree."""

    name: str
    at: datetime
    encounters: tuple[Encounter, ...]
    challenges: tuple[Challenge, ...]
    findings: tuple[Diagnostic, ...]
    """What is not as expected, as errors with cause and remedy."""
    unknowns: tuple[Diagnostic, ...]
    """What could not be tried, and why."""
    handshakes: int = 0
    dates_apart: bool = False
    """Whether dates were judged outside the handshakes."""

    @property
    def judgement(self) -> Judgement:
        """The whole in a word: what is known to be wrong weighs more than what is not known."""
        if self.findings:
            return Judgement.UNEXPECTED
        return Judgement.UNKNOWN if self.unknowns else Judgement.AS_EXPECTED
