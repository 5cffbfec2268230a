"""Floor 10: the private keys of a tree while it is written: how they are closed, and how one is taken from its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from certgen.certificates import UnreadableError, parse_private_key
from certgen.diagnostics import CertgenError, error
from certgen.manifest import digest
from certgen.model import Address
from certgen.rfc5280.objects import key_id, public_key_der
from certgen.sealing.port import PrivateKey
from certgen.store.tree import Tree
from certgen.tree import FileKind, KeyState, Observed


@dataclass(frozen=True, slots=True)
class Vault:
    """What a run needs for private keys that are not written in clear."""

    seal: Callable[[PrivateKey], bytes] = attrgetter("pem")
    """Closes one as the spec asks."""
    unsealed: Mapping[Address, PrivateKey] = field(default_factory=dict)
    """Those that a plan needs open."""


IN_CLEAR: Final = Vault()


def take_key(address: Address, observed: Observed, tree: Tree, vault: Vault) -> tuple[PrivateKey, str]:
    """Give the private key that an entry has, and the path of its file.

    Args:
        address: whose.
        observed: what was found in the tree.
        tree: the tree.
        vault: has the one that is sealed.

    Raises:
        CertgenError: it can no longer be read.
    """
    path = place_of(address, observed[address].key.file, observed)
    opened = vault.unsealed.get(address)
    if opened is not None:
        return opened, path
    return _read(path, tree), path


def take_judged_key(address: Address, observed: Observed, tree: Tree, vault: Vault) -> PrivateKey:
    """Give the private key that an entry has, where it is going to stand in another file too.

    Raises:
        CertgenError: it can no longer be read, or is another than the one that was judged.
    """
    private_key, path = take_key(address, observed, tree, vault)
    try:
        identity = identity_of(private_key)
    except UnreadableError:
        identity = ""
    if identity not in {observed[address].key.key_id or identity} - {""}:
        raise _exchanged(path)
    return private_key


def take_as_it_is(address: Address, name: str, observed: Observed, tree: Tree) -> PrivateKey:
    """Give what stands in a file with an entry's private key, closed or not, for another place of that file.

    Args:
        address: whose.
        name: the file's, in the entry's folder.
        observed: what was found in the tree.
        tree: the tree.

    Raises:
        CertgenError: it can no longer be read, or is another than the one that was judged.
    """
    path, key = place_of(address, name, observed), observed[address].key
    if name == key.file and key.state is KeyState.PRESENT:
        return take_judged_key(address, observed, tree, IN_CLEAR)
    private_key = _read(path, tree)
    if name == key.file and digest(private_key.pem) != key.digest:
        raise _exchanged(path)
    return private_key


def place_of(address: Address, name: str, observed: Observed) -> str:
    """Give where a file of an entry was found: by its name, or in whatever generation."""
    generation = observed[address].file(name).generation
    return f"{address}/{generation}/{name}" if generation else f"{address}/{name}"


def identity_of(private_key: PrivateKey) -> str:
    """Give the key id of a private key.

    Raises:
        UnreadableError: it is none.
    """
    return key_id(public_key_der(parse_private_key(private_key.pem).public_key()))


def _read(path: str, tree: Tree) -> PrivateKey:
    state = tree.read([path])[path]
    if state.kind is not FileKind.FILE:
        message = f"{path} can no longer be read: {state.reason or state.kind.value}"
        raise CertgenError([error("unreadable", message, help="see why, and run it again", where=path)])
    return PrivateKey(state.content)


def _exchanged(path: str) -> CertgenError:
    message = f"{path} is no longer the private key that was found there"
    return CertgenError([error("key-mismatch", message, help="look who writes it, and run it again", where=path)])
