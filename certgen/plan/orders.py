"""What is ordered for an entry that is signed again: which key, from where, and what the change is called."""

from __future__ import annotations

from certgen.model import KeyRotation
from certgen.plan.case import Case
from certgen.plan.values import Action, KeyFate, KeyOrder, KeySource


def key_fate(case: Case) -> KeyFate:
    """Rotate a key that is kept where the entry asks for that and the change is a renewal."""
    rotates = case.entry.key.rotation is KeyRotation.ON_RENEWAL and case.is_renewal
    return KeyFate.NEW if case.key.fate is KeyFate.KEPT and rotates else case.key.fate


def key_order(case: Case, fate: KeyFate) -> KeyOrder:
    """Say where `apply` takes the subject's key from."""
    entry = case.entry
    match fate:
        case KeyFate.NEW:
            spare = case.key.keep_old_as_spare
            return KeyOrder(KeySource.GENERATE, entry.key.algorithm, mode=entry.key.mode, keep_old_as_spare=spare)
        case KeyFate.KEPT:
            return KeyOrder(KeySource.FILE, mode=entry.key.mode)
        case KeyFate.ELSEWHERE:
            supplied = entry.public_key.public_key if entry.public_key else None
            certified = case.certificate.public_key if case.certificate else None
            return KeyOrder(KeySource.PUBLIC_KEY, public_key=supplied or certified)


def kept_key_id(case: Case) -> str | None:
    """Give the id of the key that the entry has and keeps, if any."""
    if case.entry.public_key is not None:
        return case.entry.public_key.key_id
    return case.found.key.key_id or (case.certificate.key_id if case.certificate else None)


def action(case: Case) -> Action:
    """Name what happens to the entry."""
    if case.certificate is None:
        return Action.ISSUE
    is_another_key = case.entry.public_key is not None and case.entry.public_key.key_id != case.certificate.key_id
    if case.key.fate is KeyFate.NEW or is_another_key:
        return Action.REKEY
    return Action.RENEW if case.is_renewal else Action.UPDATE
