"""What a decision has to tell a person beside its changes: warnings, notes, and what is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from certgen.diagnostics import Diagnostic, Severity, error
from certgen.journal import Recovery
from certgen.model import Address, Certificate, Entry
from certgen.plan.values import ReasonCode
from certgen.tree import key_file


def issuer_ends(entry: Entry, certificate: Certificate) -> Diagnostic:
    """A certificate is due, and a new one would end no later, because its issuer does."""
    message = f"{entry.address} ends with its issuer {entry.issuer} at {certificate.not_after:%Y-%m-%d %H:%M}Z"
    return _warning(
        "issuer-ends", message, f"renewing it would gain nothing: renew {entry.issuer} first", entry.address
    )


def cut_short(entry: Entry, end: datetime) -> Diagnostic:
    """A certificate gets fewer days than its spec asks, because its issuer ends before."""
    message = f"{entry.address} is cut short: it ends with its issuer {entry.issuer} on {end:%Y-%m-%d}"
    return _warning("cut-short", message, f"make {entry.issuer} last longer, or ask less", entry.address)


def fixed_end_over(entry: Entry, certificate: Certificate) -> Diagnostic:
    """A certificate has ended when its spec says that it should."""
    message = f"{entry.address} ended on {certificate.not_after:%Y-%m-%d}, as its `not_after` says"
    return _warning("fixed-end", message, "move `not_after`, or remove the entry", entry.address)


def fixed_end_near(entry: Entry, certificate: Certificate) -> Diagnostic:
    """A certificate with a fixed end is within its renewal window."""
    ends = f"{certificate.not_after:%Y-%m-%d}"
    message = f"{entry.address} ends on {ends}, as its `not_after` says, and is never renewed by time"
    return _warning("fixed-end", message, "move `not_after`", entry.address)


def foreign_folder(name: str, fault: str) -> Diagnostic:
    """The tree's folder, or the output, is a link or somebody else's."""
    help_ = "name the folder itself with `-o`; run certgen as its owner, or make it yours with `chown`"
    return error("foreign-folder", fault, help=help_, where=name)


def newer_manifest(place: str) -> Diagnostic:
    """A tree was written by a certgen whose manifest this one does not understand."""
    message = f"{place} was written by a later version of certgen"
    return error("newer-manifest", message, help="upgrade certgen", where=place)


def recovered(recovery: Recovery, root: str) -> tuple[Diagnostic, ...]:
    """Say what was made of an interrupted run, if there was one."""
    match recovery:
        case Recovery.NONE:
            return ()
        case Recovery.COMPLETED:
            message = f"{root}: what an interrupted run had committed to was completed"
        case Recovery.DISCARDED:
            message = f"{root}: an interrupted run had committed to nothing; what it had begun was thrown away"
    return (Diagnostic(Severity.NOTE, "interrupted", message, where=root),)


def put_off(entry: Entry, certificate: Certificate, signer: Address) -> Diagnostic:
    """A certificate is due, not expired, and its signer is not here."""
    message = f"{entry.address} is due and the key of {signer} is not here; it is put off"
    help_ = f"sign it where that key is before {certificate.not_after:%Y-%m-%d}"
    return _warning("put-off", message, help_, entry.address)


def authority_key_gone(entry: Entry) -> Diagnostic:
    """The private key of a CA was on this machine and is not any more."""
    message = f"the private key of {entry.address} was on this machine and is gone; no new one is made unasked"
    help_ = f"restore {entry.address}/{key_file(entry)}, or make a new one with `--rekey {entry.address}`"
    return _warning("ca-key-gone", message, help_, entry.address)


def keys_elsewhere(addresses: Sequence[Address], name: str) -> Diagnostic:
    """Private keys that this machine has never held."""
    message = f"the private keys of {_some(addresses)} are not on this machine; they are left alone"
    return Diagnostic(Severity.NOTE, "keys-elsewhere", message, where=name)


def keys_to_open(addresses: Sequence[Address], name: str) -> Diagnostic:
    """Private keys that are sealed, and that `apply` cannot do without."""
    message = f"`apply` has to open the private {'key' if len(addresses) == 1 else 'keys'} of {_some(addresses)}"
    help_ = "give it the identity or the passphrase; `plan` needs neither"
    return Diagnostic(Severity.NOTE, "keys-to-open", message, help=help_, where=name)


def supplied_not_ours(entry: Entry) -> Diagnostic:
    """A person asks certgen to renew what it only reads."""
    message = f"{entry.address} is yours: certgen reads its files and never renews them"
    help_ = "replace the files that `certificate` and `private_key` name"
    return error("supplied-ca", message, help=help_, where=str(entry.address))


def supplied_expired(entry: Entry, ended: Certificate) -> Diagnostic:
    """A CA that the user brings has ended, or one above it."""
    message = (
        f"the CA that you bring as {entry.address} is of no use: {ended.subject} ended on {ended.not_after:%Y-%m-%d}"
    )
    help_ = "put the renewed certificate in its place"
    return error("supplied-expired", message, help=help_, where=str(entry.address))


def validity_ended(entry: Entry, end: datetime) -> Diagnostic:
    """A certificate to sign would have no life left."""
    message = f"{entry.address} would end on {end:%Y-%m-%d %H:%M}Z, which is over or before it begins"
    return error("validity-ended", message, help="move its `not_after`", where=str(entry.address))


def root_key_in_the_field(address: Address) -> Diagnostic:
    """A root would get a new key, and nobody has asked for that by name."""
    message = f"{address} is a root: machines that certgen does not see trust its present key"
    return error("root-in-the-field", message, help=f"`--rekey {address}` makes the new one", where=str(address))


def root_name_in_the_field(address: Address) -> Diagnostic:
    """A root would get a new subject, and nobody has asked for that by name."""
    message = f"{address} is a root: machines that certgen does not see know it by its present name"
    return error("root-in-the-field", message, help=f"`--renew {address}` gives it the new one", where=str(address))


def root_replaced(address: Address) -> Diagnostic:
    """A root gets a new key, as a person has asked by name."""
    message = f"{address} gets a new key: every machine that trusts it must be given its new certificate"
    help_ = f"hand out {address}/cert.pem before the new certificates are used"
    return _warning("root-replaced", message, help_, address)


def signer_missing(signer: Entry, waiting: Sequence[tuple[Address, ReasonCode]], *, can_be_rekeyed: bool) -> Diagnostic:
    """Something must be signed, and the key that would sign it is not here."""
    names = _some([f"{address} ({code})" for address, code in waiting])
    message = f"{names} must be signed by {signer.address}, whose private key is not here"
    if signer.supplied is not None:
        help_ = "put the key beside the spec and name it with `private_key`"
    else:
        help_ = f"run this where that key is, or put {signer.address}/{key_file(signer)} in place"
    if can_be_rekeyed:
        help_ += f"; where it is lost for good, `--rekey {signer.address}` makes a new one and re-issues all below it"
    if can_be_rekeyed and signer.is_root:
        help_ += ", and every machine must be given the new root"
    return error("signer-missing", message, help=help_, where=str(signer.address))


def _warning(code: str, message: str, help_: str, address: Address) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, help=help_, where=str(address))


def _some(items: Sequence[object]) -> str:
    """Name the first few of many."""
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(map(str, items[:3])) + more
