"""What becomes of an entry's private key: kept, new, or not here; and when a person has to decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

from certgen.diagnostics import Diagnostic, error
from certgen.model import Certificate, Entry
from certgen.plan.seals import judge_seal
from certgen.plan.values import KeyFate, Reason, ReasonCode
from certgen.tree import SPARE_KEY_FILE, KeyState, ObservedKey, key_file


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What is decided about one private key."""

    fate: KeyFate
    reasons: tuple[Reason, ...] = ()
    obstacle: Diagnostic | None = None
    keep_old_as_spare: bool = False
    seal_again: Reason | None = None
    """Why a key that is kept gets another file; it may stand in clear so far, or be sealed for others."""

    @property
    def is_here(self) -> bool:
        """Whether the key can sign in this run."""
        return self.obstacle is None and self.fate is not KeyFate.ELSEWHERE


@dataclass(frozen=True, slots=True)
class KeyEvidence:
    """All that is known about one private key."""

    found: ObservedKey
    certificate: Certificate | None
    recorded: str | None
    """The key id in the manifest."""
    seen: frozenset[str]
    """Ids of the keys that this machine has held."""
    rekey: bool
    """Whether a person asked for a new key."""
    was_ours: bool = True
    """Whether the manifest lists the key's file; it does not where the entry had a `public_key`."""
    is_adopted: bool = False
    """Whether its certificate was adopted, with a key of whatever algorithm."""


def judge_key(entry: Entry, evidence: KeyEvidence) -> KeyVerdict:
    """Decide what becomes of an entry's private key.

    Args:
        entry: an entry that certgen makes.
        evidence: what is known about its key.
    """
    if entry.public_key is not None:
        return _judge_supplied(entry, evidence)
    if evidence.rekey:
        found, certificate = evidence.found, evidence.certificate
        known = certificate.key_id if certificate else evidence.recorded
        is_stranger = found.state in {KeyState.PRESENT, KeyState.SEALED} and found.key_id != known
        spare = is_stranger or found.state is KeyState.UNREADABLE
        return KeyVerdict(KeyFate.NEW, (Reason(ReasonCode.REQUESTED, what="--rekey"),), keep_old_as_spare=spare)
    match evidence.found.state:
        case KeyState.UNREADABLE:
            message = f"the private key of {entry.address} cannot be read: {evidence.found.reason}"
            return _stuck(entry, "key-unreadable", message, "put the right key there")
        case KeyState.PRESENT:
            return _with_seal(entry, evidence.found, _judge_present(entry, evidence))
        case KeyState.SEALED:
            return _with_seal(entry, evidence.found, _judge_sealed(entry, evidence))
        case KeyState.ABSENT:
            return _judge_absent(entry, evidence)


def _judge_supplied(entry: Entry, evidence: KeyEvidence) -> KeyVerdict:
    supplied, certificate = entry.public_key, evidence.certificate
    if evidence.rekey:
        message = f"{entry.address} has its key on its own host"
        help_ = "make a new key there and replace the file that `public_key` names"
        return KeyVerdict(
            KeyFate.ELSEWHERE, obstacle=error("key-elsewhere", message, help=help_, where=str(entry.address))
        )
    if supplied is None or certificate is None or certificate.key_id == supplied.key_id:
        return KeyVerdict(KeyFate.ELSEWHERE)
    reason = Reason(ReasonCode.KEY_MISMATCH, short(certificate.key_id), short(supplied.key_id), supplied.file)
    return KeyVerdict(KeyFate.ELSEWHERE, (reason,))


def _judge_present(entry: Entry, evidence: KeyEvidence) -> KeyVerdict:
    """Decide about a key that is here; one that fits neither certificate nor manifest is a stranger."""
    found, certificate, recorded = evidence.found, evidence.certificate, evidence.recorded
    reasons: tuple[Reason, ...] = ()
    if certificate is not None and found.key_id != certificate.key_id:
        if recorded != found.key_id:
            return _stranger(entry)
        reasons = (Reason(ReasonCode.KEY_MISMATCH, short(certificate.key_id), short(found.key_id), "the certificate"),)
    if certificate is None and recorded not in {None, found.key_id}:
        return _stranger(entry)
    if found.algorithm != entry.key.algorithm and not evidence.is_adopted:
        return KeyVerdict(KeyFate.NEW, (*reasons, _algorithm_changed(entry, found.algorithm)))
    return KeyVerdict(KeyFate.KEPT, reasons)


def _judge_sealed(entry: Entry, evidence: KeyEvidence) -> KeyVerdict:
    """Decide about a key that is here and closed: the manifest says which one it is, or else whoever opens it will."""
    found, certificate = evidence.found, evidence.certificate
    if certificate is None:
        return KeyVerdict(KeyFate.KEPT)
    reasons: tuple[Reason, ...] = ()
    if found.key_id not in {None, certificate.key_id}:
        reasons = (Reason(ReasonCode.KEY_MISMATCH, short(certificate.key_id), short(found.key_id), "the certificate"),)
    elif certificate.key_algorithm != entry.key.algorithm and not evidence.is_adopted:
        return KeyVerdict(KeyFate.NEW, (_algorithm_changed(entry, certificate.key_algorithm),))
    return KeyVerdict(KeyFate.KEPT, reasons)


def _with_seal(entry: Entry, found: ObservedKey, verdict: KeyVerdict) -> KeyVerdict:
    is_kept = verdict.obstacle is None and verdict.fate is KeyFate.KEPT
    return replace(verdict, seal_again=judge_seal(entry, found)) if is_kept else verdict


def _judge_absent(entry: Entry, evidence: KeyEvidence) -> KeyVerdict:
    """Decide about a key that is not here: gone if this machine has held it, elsewhere if it never did."""
    certificate = evidence.certificate
    known = certificate.key_id if certificate else evidence.recorded
    if known is None or not evidence.was_ours:
        return KeyVerdict(KeyFate.NEW, () if known is None else (Reason(ReasonCode.KEY_MISSING, what=key_file(entry)),))
    is_other = certificate is not None and certificate.key_algorithm != entry.key.algorithm
    if certificate is not None and is_other and not evidence.is_adopted:
        return KeyVerdict(KeyFate.NEW, (_algorithm_changed(entry, certificate.key_algorithm),))
    if certificate is not None and evidence.recorded not in {None, certificate.key_id}:
        return _stranger(entry)
    if known in evidence.seen and not entry.is_ca:
        return KeyVerdict(KeyFate.NEW, (Reason(ReasonCode.KEY_MISSING, what=key_file(entry)),))
    if certificate is not None:
        return KeyVerdict(KeyFate.ELSEWHERE)
    message = f"{entry.address} has lost its certificate, and its private key is not here"
    return _stuck(entry, "key-elsewhere", message, f"restore cert.pem or {key_file(entry)} (from git, from a backup)")


def _stranger(entry: Entry) -> KeyVerdict:
    message = f"the private key of {entry.address} does not fit its certificate"
    return _stuck(entry, "key-mismatch", message, f"restore {entry.address}/{key_file(entry)}")


def _stuck(entry: Entry, code: str, message: str, way_out: str) -> KeyVerdict:
    spare = f", which keeps the file as {SPARE_KEY_FILE}" if code != "key-elsewhere" else ""
    help_ = f"{way_out}, or make a new key with `--rekey {entry.address}`{spare}"
    return KeyVerdict(KeyFate.KEPT, obstacle=error(code, message, help=help_, where=str(entry.address)))


def _algorithm_changed(entry: Entry, was: str | None) -> Reason:
    return Reason(ReasonCode.KEY_ALGORITHM_CHANGED, was, entry.key.algorithm)


def short(key_id: str | None) -> str:
    """Shorten a key id for a message."""
    return f"key {key_id[:12]}" if key_id else "no key"
