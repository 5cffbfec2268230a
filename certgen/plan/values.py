"""The plan as a value: the closed sets of actions and reasons, the changes, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from certgen.diagnostics import Diagnostic
from certgen.model import Address, Certificate, Issuance
from certgen.rfc5280.vocabulary import KeyAlgorithm


class Action(StrEnum):
    """What happens to an entry."""

    ISSUE = "issue"
    """A first certificate."""
    RENEW = "renew"
    """New dates; the key by the entry's rotation."""
    UPDATE = "update"
    """Other contents; the same key."""
    REKEY = "rekey"
    """A new key, and so a new certificate."""
    WRITE = "write"
    """Derived files only."""
    REMOVE = "remove"
    """All files of an entry that the spec no longer has."""


class ReasonCode(StrEnum):
    """Why something happens. Reasons explain; they never drive `apply`."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    KEY_MISSING = "key_missing"
    KEY_MISMATCH = "key_mismatch"
    KEY_ALGORITHM_CHANGED = "key_algorithm_changed"
    RECIPIENTS_CHANGED = "recipients_changed"
    SUBJECT_CHANGED = "subject_changed"
    SANS_CHANGED = "sans_changed"
    EXTENSIONS_CHANGED = "extensions_changed"
    ISSUER_CHANGED = "issuer_changed"
    SIGNATURE_INVALID = "signature_invalid"
    VALIDITY_CHANGED = "validity_changed"
    OUTLIVES_ISSUER = "outlives_issuer"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    RENEWAL_DUE = "renewal_due"
    PATH_CHANGED = "path_changed"
    TRUST_CHANGED = "trust_changed"
    OUTPUT_CHANGED = "output_changed"
    FILE_DRIFTED = "file_drifted"
    ORPHANED = "orphaned"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason with its evidence."""

    code: ReasonCode
    was: str | None = None
    wanted: str | None = None
    what: str | None = None
    """Which extension, file or part it is about."""


class KeyFate(StrEnum):
    """What happens to the private key."""

    KEPT = "kept"
    NEW = "new"
    ELSEWHERE = "elsewhere"
    """It is not on this machine, and the certificate's public key is signed again."""


class KeySource(StrEnum):
    """Where `apply` takes the subject's key from."""

    GENERATE = "generate"
    FILE = "file"
    PUBLIC_KEY = "public_key"


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """Which key a new certificate is for."""

    source: KeySource
    algorithm: KeyAlgorithm | None = None
    """For GENERATE."""
    public_key: bytes | None = field(default=None, repr=False)
    """For PUBLIC_KEY: SubjectPublicKeyInfo in DER."""
    mode: int = 0o600
    keep_old_as_spare: bool = False
    """Whether a key file that stands there is kept as `key.pem.orig`."""


@dataclass(frozen=True, slots=True)
class Signing:
    """A certificate to sign: what it says, for which key, by which issuer."""

    issuance: Issuance
    key: KeyOrder
    issuer: Address | None
    """None for a root, which signs itself."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of the tree itself, which belongs to no entry."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class TextChange:
    """A rendered file that is written: what stands there, and what will."""

    name: str
    was: bytes = field(repr=False)
    """Empty where there is none."""
    wanted: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Publishing:
    """How the files of an entry come into sight, where a link has to do with it."""

    carried: tuple[str, ...]
    """Names of the files that stay as they are, and are written where the others are."""
    is_linked: bool
    """Whether they are put into a new generation, or else back into the entry's folder."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one address, and why."""

    address: Address | TreeFile
    action: Action
    reasons: tuple[Reason, ...]
    key: KeyFate | None = None
    signing: Signing | None = None
    certificate: Certificate | None = None
    """For `write`: the certificate that stays, or that is restored from another file of the tree."""
    writes: tuple[str, ...] = ()
    """Names of the files in the entry's folder that are written."""
    removes: tuple[str, ...] = ()
    """Names of the files in the entry's folder that are removed."""
    texts: tuple[TextChange, ...] = ()
    """The rendered files among those that are written."""
    publishing: Publishing | None = None
    """None where each file comes into sight by itself."""


@dataclass(frozen=True, slots=True)
class ModeChange:
    """The mode of a private key's file that is not as asked; git does not keep modes, so this alone is no change."""

    address: Address
    file: str
    was: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Widening:
    """An entry that comes to accept what another root has signed."""

    address: Address
    verb: str
    """Whom it accepts: `clients of`, `servers of`, `peers of`."""
    root: str

    def __str__(self) -> str:
        return f"{self.address} now accepts {self.verb} {self.root}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `apply` would do to one tree at one time."""

    name: str
    now: datetime
    changes: tuple[Change, ...]
    """In the order in which they are carried out: issuers first."""
    kept: tuple[Address, ...]
    modes: tuple[ModeChange, ...] = ()
    widenings: tuple[Widening, ...] = ()
    notices: tuple[Diagnostic, ...] = ()
    """Warnings and notes."""
    obstacles: tuple[Diagnostic, ...] = ()
    """Errors: while there is one nothing can be applied."""
    consents: tuple[Diagnostic, ...] = ()
    """Errors of `apply` alone: changes of a root that only a person may ask for, by an option that names it."""

    unsealed: tuple[Address, ...] = ()
    """Whose sealed private keys `apply` has to open for this."""
    is_interrupted: bool = False
    """Whether a run before has not finished, which `apply` does first."""

    @property
    def is_in_sync(self) -> bool:
        """Whether the tree is as the spec says; modes aside."""
        return not (self.changes or self.obstacles or self.is_interrupted)


@dataclass(frozen=True, slots=True)
class Requests:
    """What a person asks for beyond the spec."""

    renew: frozenset[Address] = frozenset()
    rekey: frozenset[Address] = frozenset()
    prune: bool = False
    no_renew: bool = False
    """Time alone is no reason; expired still is."""
    rewrap: bool = False
    """Seal every private key anew, and do nothing else."""
