"""The entries of a spec with their files: what ssl needs of each, and why one cannot take part."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certgen.certificates import UnreadableError, parse_certificates
from certgen.manifest import DamagedManifestError, parse_manifest
from certgen.model import Address, Bundle, Certificate, Entry
from certgen.plan.adoption import is_adopted
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.sealing.passphrase import is_sealed
from certgen.store.tree import Tree
from certgen.tls.contexts import Credentials, MismatchedPairError, UnusableCredentialsError, client_context
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, MANIFEST_FILE, TRUST_FILE, FileKind, FileState

POST_QUANTUM_SINCE: Final = (3, 5)
"""The version of OpenSSL that knows ML-DSA."""


@dataclass(frozen=True, slots=True)
class Party:
    """An end entity that may take part in handshakes."""

    entry: Entry
    credentials: Credentials | None = None
    anchors: bytes = field(default=b"", repr=False)
    path: tuple[Certificate, ...] = ()
    """What its certificate file holds."""
    trusted: tuple[Certificate, ...] = ()
    """What its trust file holds."""
    certificate_content: bytes = field(default=b"", repr=False)
    """Its certificate file, to the byte."""
    obstacle: str | None = None
    """Why nothing can be told of it."""
    fault: str | None = None
    """What is wrong with its files, so that it cannot take part."""
    is_mismatched: bool = False
    """Whether the fault is a private key that is not the certificate's."""

    def own(self) -> Credentials:
        """Give the credentials of one that can meet others.

        Raises:
            LookupError: it cannot.
        """
        if self.credentials is None:
            raise LookupError(str(self.entry.address))
        return self.credentials

    @property
    def can_meet(self) -> bool:
        """Whether ssl can use its files."""
        return self.obstacle is None and self.fault is None


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that is known of a tree before anybody meets anybody."""

    bundle: Bundle
    parties: Mapping[Address, Party]
    roots: Mapping[Address, tuple[Certificate, ...]]
    authorities: Mapping[Address, Certificate]
    adopted: frozenset[Address] = frozenset()
    """Those whose certificates another program made, and that the spec leaves as they are."""


def gather(bundle: Bundle, tree: Tree) -> Gathered:
    """Read what a proof needs.

    Args:
        bundle: what the spec describes.
        tree: the tree; it is only read, and the keys of CAs not even that.
    """
    authorities, parties = gather_authorities(bundle, tree), gather_parties(bundle, tree)
    adopted = _adopted(parties, tree)
    return Gathered(bundle, parties, gather_roots(bundle, authorities), authorities, adopted)


def gather_parties(bundle: Bundle, tree: Tree) -> dict[Address, Party]:
    """Read the files of all end entities.

    Args:
        bundle: what the spec describes.
        tree: the tree; it is only read, and CA keys not even that.
    """
    return {entry.address: _party(entry, bundle, tree) for entry in bundle.entries if not entry.is_ca}


def gather_roots(bundle: Bundle, authorities: Mapping[Address, Certificate]) -> dict[Address, tuple[Certificate, ...]]:
    """Give the certificates of every root; empty where its file cannot be read."""
    roots: dict[Address, tuple[Certificate, ...]] = {}
    for entry in bundle.entries:
        if entry.supplied is not None:
            roots[entry.address] = entry.supplied.roots
        elif entry.is_root:
            own = authorities.get(entry.address)
            roots[entry.address] = (own,) if own is not None else ()
    return roots


def gather_authorities(bundle: Bundle, tree: Tree) -> dict[Address, Certificate]:
    """Give the certificates of the CAs that certgen makes; without those whose file cannot be read."""
    paths = {entry.address: f"{entry.address}/{CERTIFICATE_FILE}" for entry in bundle.entries if _is_made(entry)}
    found = {address: _certificates(tree.read([path])[path]) for address, path in paths.items()}
    return {address: certificates[0] for address, certificates in found.items() if certificates}


def _adopted(parties: Mapping[Address, Party], tree: Tree) -> frozenset[Address]:
    try:
        manifest = parse_manifest(tree.read([MANIFEST_FILE])[MANIFEST_FILE].content)
    except DamagedManifestError:
        return frozenset()
    return frozenset(
        address
        for address, party in parties.items()
        if is_adopted(party.entry, next(iter(party.path), None), manifest.entries.get(address))
    )


def _is_made(entry: Entry) -> bool:
    return entry.is_ca and entry.supplied is None


def _party(entry: Entry, bundle: Bundle, tree: Tree) -> Party:
    paths = {name: f"{entry.address}/{name}" for name in (CERTIFICATE_FILE, KEY_FILE, TRUST_FILE)}
    found = tree.read(paths.values())
    states = {name: found[path] for name, path in paths.items()}
    read = Party(
        entry,
        anchors=states[TRUST_FILE].content,
        path=_certificates(states[CERTIFICATE_FILE]),
        trusted=_certificates(states[TRUST_FILE]),
        certificate_content=states[CERTIFICATE_FILE].content,
    )
    obstacle = _obstacle(entry, bundle, states)
    if obstacle is not None:
        return replace(read, obstacle=obstacle)
    for name, certificates in ((CERTIFICATE_FILE, read.path), (TRUST_FILE, read.trusted)):
        if not certificates:
            return replace(read, fault=f"{paths[name]} holds no certificate")
    credentials = Credentials(tree.root / paths[CERTIFICATE_FILE], tree.root / paths[KEY_FILE])
    try:
        client_context(credentials, read.anchors)
    except UnusableCredentialsError as reason:
        is_mismatched = isinstance(reason, MismatchedPairError)
        spoiled = CERTIFICATE_FILE if _is_spoiled(read.certificate_content) else KEY_FILE
        fault = f"{entry.address if is_mismatched else paths[spoiled]}: {reason}"
        return replace(read, fault=fault, is_mismatched=is_mismatched)
    return replace(read, credentials=credentials)


def _obstacle(entry: Entry, bundle: Bundle, states: Mapping[str, FileState]) -> str | None:
    """Say why nothing can be told of an entry: files that are not here, or an algorithm that ssl does not know."""
    if states[KEY_FILE].kind is FileKind.ABSENT and states[CERTIFICATE_FILE].kind is not FileKind.ABSENT:
        return "its private key is not on this machine" if entry.key.protection is None else "its private key is sealed"
    if entry.key.protection is not None and is_sealed(states[KEY_FILE].content):
        return "its private key is sealed"
    for name, state in states.items():
        if state.kind is not FileKind.FILE:
            return f"its {name} {_fault_of_file(state)}"
    chain = (entry, *bundle.issuers_above(entry.address))
    unknown = next((algorithm for one in chain for algorithm in _algorithms(one) if _is_unknown(algorithm)), None)
    return f"{ssl.OPENSSL_VERSION.rsplit(' ', 3)[0]} of this Python does not know {unknown}" if unknown else None


def _is_spoiled(certificates: bytes) -> bool:
    """Whether ssl cannot read a file of certificates to its end, which it does not say when it reads the key too."""
    try:
        client_context(None, certificates)
    except UnusableCredentialsError:
        return True
    return False


def _fault_of_file(state: FileState) -> str:
    match state.kind:
        case FileKind.ABSENT:
            return "is not there"
        case FileKind.UNREADABLE | FileKind.CLOSED:
            return f"cannot be read: {state.reason}"
        case _:
            return f"is {state.reason}"


def _algorithms(entry: Entry) -> tuple[KeyAlgorithm | str, ...]:
    if entry.supplied is None:
        return (entry.key.algorithm,)
    return tuple(certificate.key_algorithm for certificate in (*entry.supplied.path, *entry.supplied.roots))


def _is_unknown(algorithm: KeyAlgorithm | str) -> bool:
    is_post_quantum = isinstance(algorithm, KeyAlgorithm) and algorithm.is_post_quantum
    return is_post_quantum and ssl.OPENSSL_VERSION_INFO[:2] < POST_QUANTUM_SINCE


def _certificates(state: FileState) -> tuple[Certificate, ...]:
    try:
        return parse_certificates(state.content) if state.kind is FileKind.FILE else ()
    except UnreadableError:
        return ()
