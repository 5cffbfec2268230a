"""Floor 12: the secrets of a run, and what they open: private keys that sign, and those that get another file.

All that a plan needs is opened before anything is written, and every key is looked at: one that was sealed in the place
of another signs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certgen.certificates import UnreadableError, parse_certificates, parse_private_key
from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.model import Address, Bundle
from certgen.plan.values import Plan
from certgen.protection import Protection, ProtectionKind
from certgen.rfc5280.objects import key_id, public_key_der
from certgen.sealing import passphrase
from certgen.sealing.age import REMEDY, AgeSealer, AgeUnsealer, NoLibraryError
from certgen.sealing.passphrase import PassphraseSeal
from certgen.sealing.port import BadSecretError, CannotOpenError, PrivateKey, Unsealer
from certgen.store.files import find_entry_folder, read_entry_file
from certgen.store.tree import Tree
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, PRIVATE_KEY_FILES, SEALED_KEY_FILE, FileKind, Observed
from certgen.vault import IN_CLEAR, Vault, identity_of, place_of

_IDENTITY_HELP: Final = "name an age identity with `--identity FILE`, or in SOPS_AGE_KEY_FILE"
_PASSPHRASE_HELP: Final = "give it with `--passphrase-file FILE`, or `--passphrase-fd N`"  # noqa: S105 - two options


@dataclass(frozen=True, slots=True)
class Secrets:
    """What opens sealed private keys, as it was given to this run."""

    identities: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    """Files with identities of age: their names, for messages, and what stands in them."""
    passphrase: bytes | None = field(default=None, repr=False)


NO_SECRETS: Final = Secrets()


def protection_of(bundle: Bundle) -> Protection | None:
    """Give how a spec's private keys are closed."""
    return bundle.entries[0].key.protection if bundle.entries else None


def open_vault(bundle: Bundle, plan: Plan, observed: Observed, tree: Tree, secrets: Secrets) -> Vault:
    """Open what a plan needs, and get ready to seal what it writes.

    Args:
        bundle: what the plan was made for.
        plan: what will be done.
        observed: what the plan was made from.
        tree: the tree; it is only read.
        secrets: those of this run.

    Raises:
        CertgenError: a secret is missing or is another one, or a file holds another key than it should.
    """
    writes_keys = any(not {*change.writes}.isdisjoint(PRIVATE_KEY_FILES) for change in plan.changes)
    if not writes_keys and not plan.unsealed:
        return IN_CLEAR
    seal = _sealer(protection_of(bundle), secrets) if writes_keys else IN_CLEAR.seal
    return Vault(seal, unseal(plan.unsealed, observed, tree, secrets))


def unseal(addresses: Sequence[Address], observed: Observed, tree: Tree, secrets: Secrets) -> dict[Address, PrivateKey]:
    """Open sealed private keys.

    Args:
        addresses: whose.
        observed: what was found in the tree.
        tree: the tree; it is only read.
        secrets: those of this run.

    Returns:
        The keys in clear.

    Raises:
        CertgenError: as `open_vault`; with all that is wrong.
    """
    opened: dict[Address, PrivateKey] = {}
    problems: list[Diagnostic] = []
    for is_age in (True, False):
        asked = [item for item in addresses if (observed[item].key.file == SEALED_KEY_FILE) is is_age]
        if not asked:
            continue
        unsealer = _unsealer(asked, secrets, is_age=is_age)
        for address in asked:
            try:
                opened[address] = _opened(address, observed, tree, unsealer)
            except CertgenError as reason:
                problems += reason.diagnostics
    if problems:
        raise CertgenError(problems)
    return opened


def unseal_folder(text: str, output: Path, secrets: Secrets) -> PrivateKey:
    """Open the private key of an entry, be there a spec or not.

    Args:
        text: its address, which may be qualified, or its folder.
        output: the folder of all trees.
        secrets: those of this run.

    Returns:
        The key in clear.

    Raises:
        CertgenError: there is no such entry, no private key, or none that can be opened and fits its certificate.
    """
    folder = find_entry_folder(text, output)
    states = {name: read_entry_file(folder, name) for name in (*PRIVATE_KEY_FILES[::-1], CERTIFICATE_FILE)}
    name = next((name for name in PRIVATE_KEY_FILES[::-1] if states[name].kind is not FileKind.ABSENT), KEY_FILE)
    path, state = folder / name, states[name]
    if state.kind is not FileKind.FILE:
        reason = "is not there" if state.kind is FileKind.ABSENT else f"cannot be read: {state.reason}"
        raise CertgenError([error("file-missing", f"{path} {reason}", where=str(path))])
    try:
        unsealer = _unsealer_of(name, state.content, str(path), secrets)
        private_key = PrivateKey(state.content) if unsealer is None else unsealer.unseal(state.content)
        found = key_id(public_key_der(parse_private_key(private_key.pem).public_key()))
        certified = parse_certificates(states[CERTIFICATE_FILE].content)[0].key_id
    except (CannotOpenError, UnreadableError) as reason:
        raise CertgenError([error("cannot-unseal", f"{path}: {reason}", where=str(path))]) from None
    if found != certified:
        raise CertgenError([error("key-mismatch", f"{path} does not fit its certificate", where=str(path))])
    return private_key


def _unsealer_of(name: str, content: bytes, path: str, secrets: Secrets) -> Unsealer | None:
    if name == SEALED_KEY_FILE or passphrase.is_sealed(content):
        return _unsealer([path], secrets, is_age=name == SEALED_KEY_FILE)
    return None


def _opened(address: Address, observed: Observed, tree: Tree, unsealer: Unsealer) -> PrivateKey:
    """Open one, and see that it is the key that belongs there."""
    found, recorded = observed[address], observed.manifest.entries.get(address)
    path = place_of(address, found.key.file, observed)
    try:
        private_key = unsealer.unseal(tree.read([path])[path].content)
        identity = identity_of(private_key)
    except (CannotOpenError, UnreadableError) as reason:
        help_ = f"use another secret, or make a new key with `--rekey {address}`"
        raise CertgenError([error("cannot-unseal", f"{path}: {reason}", help=help_, where=path)]) from None
    certified = found.certificate.key_id if found.certificate else recorded.key_id if recorded else identity
    if identity != (found.key.key_id or certified):
        message = f"{path} holds another private key than that of {address}"
        help_ = f"restore it, or make a new key with `--rekey {address}`"
        raise CertgenError([error("key-mismatch", message, help=help_, where=path)])
    return private_key


def _sealer(protection: Protection | None, secrets: Secrets) -> Callable[[PrivateKey], bytes]:
    if protection is None:
        return IN_CLEAR.seal
    match protection.kind:
        case ProtectionKind.AGE:
            return AgeSealer(protection.recipients).seal
        case ProtectionKind.PASSPHRASE:
            return _passphrase_seal(secrets, "the private keys of this spec are sealed with a passphrase").seal


def _unsealer(addresses: Sequence[object], secrets: Secrets, *, is_age: bool) -> Unsealer:
    more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
    keys = "key of" if len(addresses) == 1 else "keys of"
    whose = f"the private {keys} {', '.join(map(str, addresses[:3]))}{more} must be opened"
    if not is_age:
        return _passphrase_seal(secrets, whose)
    if not secrets.identities:
        raise CertgenError([error("identity-needed", whose, help=_IDENTITY_HELP, where=str(addresses[0]))])
    return _age_unsealer(secrets)


def _age_unsealer(secrets: Secrets) -> Unsealer:
    for name, content in secrets.identities:
        try:
            AgeUnsealer([content])
        except NoLibraryError as reason:
            raise CertgenError([error("missing-package", str(reason), help=REMEDY)]) from None
        except BadSecretError as reason:
            help_ = "a line `AGE-SECRET-KEY-1...`, as `age-keygen` writes it, or an OpenSSH key without a passphrase"
            raise CertgenError([error("bad-identity", f"{name} {reason}", help=help_, where=name)]) from None
    return AgeUnsealer([content for _, content in secrets.identities])


def _passphrase_seal(secrets: Secrets, why: str) -> PassphraseSeal:
    if secrets.passphrase is None:
        raise CertgenError([error("passphrase-needed", why, help=_PASSPHRASE_HELP)])
    try:
        return PassphraseSeal(secrets.passphrase)
    except BadSecretError as reason:
        raise CertgenError([error("bad-passphrase", str(reason), help=_PASSPHRASE_HELP)]) from None
