"""Floor 4: how private keys are kept, as a spec says it: for whom they are closed, and whether git may have them."""

from __future__ import annotations

from collections.abc import Sequence

from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.protection import Protection, ProtectionKind
from certgen.sealing.age import REMEDY, NoLibraryError, read_recipient
from certgen.sealing.port import BadSecretError
from certgen.spec.fields import member, problem, text

_SYNONYMS = {"pkcs8": "passphrase", "password": "passphrase", "sops": "age"}


def protection_kind(value: object) -> ProtectionKind:
    """Read how private keys are closed."""
    return member(ProtectionKind, text(value), "protection", _SYNONYMS)


def recipient(value: object) -> str:
    """Read a recipient of age."""
    try:
        return read_recipient(text(value))
    except NoLibraryError as reason:
        raise problem("missing-package", f"recipients cannot be read: {reason}", REMEDY) from None
    except BadSecretError as reason:
        help_ = "for example age1..., as `age-keygen -y` prints it, or `ssh-ed25519 AAAA...`"
        raise problem("bad-recipient", str(reason), help_) from None


def protection_of(kind: ProtectionKind | None, recipients: Sequence[str]) -> Protection | None:
    """Give how private keys are closed; None where they are written in clear."""
    return None if kind is None else Protection(kind, tuple(sorted(recipients)))


def faults_of(kind: ProtectionKind | None, recipients: Sequence[str] | None) -> list[Diagnostic]:
    """Find what contradicts itself in a spec's `keys`."""
    is_age, named = kind is ProtectionKind.AGE, recipients or ()
    faults = []
    if is_age and not named:
        message = "keys are to be sealed with age, and nobody could open them"
        help_ = "add `recipients:`, as `age-keygen -y` prints them"
        faults.append(_fault("no-recipients", message, ("keys", "protection"), help_))
    if not is_age and recipients is not None:
        help_ = "add `protection: age`, or leave them out"
        faults.append(_fault("conflict", "recipients are for `protection: age`", ("keys", "recipients"), help_))
    for number, one in enumerate(named):
        if one in named[:number]:
            place = ("keys", "recipients", number)
            faults.append(_fault("duplicate-recipient", "this recipient stands above already", place, "once will do"))
    return faults


def _fault(code: str, message: str, route: Route, help_: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, help=help_, route=route)
