"""What is ordered for an entry that is signed again: which key, from where, and what the change is called."""

from __future__ import annotations

from collections.abc import Iterable

from certgen.model import Address, Section
from certgen.plan.case import Case
from certgen.plan.values import Action, Change, KeyFate, KeyOrder, KeySource, Reason, ReasonCode
from certgen.protection import KeyRotation
from certgen.tree import KeyState, key_file


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
            if (certified := _certified_key(case)) is not None:
                return KeyOrder(KeySource.PUBLIC_KEY, public_key=certified)
            return KeyOrder(KeySource.FILE, mode=entry.key.mode)
        case KeyFate.ELSEWHERE:
            supplied = entry.public_key.public_key if entry.public_key else None
            certified = case.certificate.public_key if case.certificate else None
            return KeyOrder(KeySource.PUBLIC_KEY, public_key=supplied or certified)


def _certified_key(case: Case) -> bytes | None:
    """Give the public key of a certificate whose private key is sealed: it need not be opened, unless it signs."""
    key, certificate = case.found.key, case.certificate
    if key.state is not KeyState.SEALED or case.issuer is None or certificate is None:
        return None
    return certificate.public_key if key.key_id in {None, certificate.key_id} else None


def kept_key_id(case: Case) -> str | None:
    """Give the id of the key that the entry has and keeps, if any."""
    if case.entry.public_key is not None:
        return case.entry.public_key.key_id
    return case.found.key.key_id or (case.certificate.key_id if case.certificate else None)


def rewrapping(case: Case, removes: tuple[str, ...]) -> Change:
    """Give an entry's private key another file, as a person asked."""
    reason = case.key.seal_again or Reason(ReasonCode.REQUESTED, what="keys rewrap")
    writes = (key_file(case.entry),)
    return Change(
        case.entry.address, Action.WRITE, (reason,), certificate=case.certificate, writes=writes, removes=removes
    )


def action(case: Case) -> Action:
    """Name what happens to the entry."""
    if case.certificate is None:
        return Action.ISSUE
    is_another_key = case.entry.public_key is not None and case.entry.public_key.key_id != case.certificate.key_id
    if case.key.fate is KeyFate.NEW or is_another_key:
        return Action.REKEY
    return Action.RENEW if case.is_renewal else Action.UPDATE


def in_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Put end entities in the order of a bundle, behind the CAs, which are in theirs."""
    return tuple(sorted(addresses, key=lambda item: () if item.section is Section.CAS else item.sort_key))
