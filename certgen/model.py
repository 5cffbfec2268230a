"""Floor 1: the values that everything above speaks in. Frozen, and without a word of any library.

Times are aware `datetime`s in UTC with whole seconds; durations are whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Final

from certgen.lifetime import RenewBefore, Validity
from certgen.protection import KeyRotation, Protection
from certgen.publication import Publication
from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    KeyAlgorithm,
    KeyUsage,
    NameConstraints,
)

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", re.ASCII)
"""What the name of a spec or an entry looks like; it has no `..` either."""

LONGEST_CERTIFICATE: Final = 16 * 1024
"""Bytes in DER; one of ML-DSA-87 needs 10 kB, and many programs take no more than this."""


class Section(StrEnum):
    """The four sections of a spec that hold entries."""

    CAS = "cas"
    SERVERS = "servers"
    CLIENTS = "clients"
    PEERS = "peers"

    # That of an enum is a call for each address that is sorted.
    __hash__ = str.__hash__


SECTION_ORDER = {section: rank for rank, section in enumerate(Section)}


class Role(StrEnum):
    """What a certificate is for: the profile by which it is made."""

    ROOT_CA = "root_ca"
    INTERMEDIATE_CA = "intermediate_ca"
    SERVER = "server"
    CLIENT = "client"
    PEER = "peer"

    @property
    def is_ca(self) -> bool:
        """Whether it issues certificates."""
        return self is Role.ROOT_CA or self is Role.INTERMEDIATE_CA


@dataclass(frozen=True, slots=True)
class Address:
    """The identity of an entry, and its folder in the tree: `servers/api`."""

    section: Section
    name: str

    def __str__(self) -> str:
        return f"{self.section}/{self.name}"

    def __hash__(self) -> int:
        # Addresses are looked up more often than anything else, and an enum's own hash is slow.
        return hash(self.name)

    @property
    def sort_key(self) -> tuple[int, str]:
        """Sections in the order of the language, then names."""
        return (SECTION_ORDER[self.section], self.name)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `section/name`.

        Raises:
            ValueError: there is no such section, or no name.
        """
        section, _, name = text.partition("/")
        if not NAME.fullmatch(name) or ".." in name:
            raise ValueError(text)
        return cls(Section(section), name)


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Which private key an entry has, and how it is kept."""

    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256
    rotation: KeyRotation = KeyRotation.KEEP
    mode: int = 0o600
    """The file mode of the private key."""
    protection: Protection | None = None
    """How it is closed; None where it is written in clear."""


@dataclass(frozen=True, slots=True)
class CertificateTemplate:
    """What a certificate should say (after RFC 4211's CertTemplate): all that language version 1 can express."""

    role: Role
    subject: DistinguishedName
    validity: Validity
    subject_alt_names: tuple[GeneralName, ...] = ()
    key_usage: frozenset[KeyUsage] = frozenset()
    extended_key_usage: frozenset[ExtendedKeyUsage] = frozenset()
    path_length: int | None = None
    path_length_derived: bool = False
    """Whether the path length follows from the spec's shape; then a larger one in the field stays."""
    name_constraints: NameConstraints | None = None
    crl_distribution_points: tuple[str, ...] = ()
    ocsp: tuple[str, ...] = ()
    ca_issuers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate read back: all that a decision or a report needs, and its DER."""

    der: bytes = field(repr=False)
    subject: DistinguishedName
    subject_der: bytes = field(repr=False)
    issuer: DistinguishedName
    issuer_der: bytes = field(repr=False)
    serial_number: int
    not_before: datetime
    not_after: datetime
    public_key: bytes = field(repr=False)
    """SubjectPublicKeyInfo in DER."""
    key_id: str
    """SHA-256 of `public_key`, hexadecimal."""
    key_algorithm: KeyAlgorithm | str
    signature_algorithm: str
    subject_alt_names: tuple[GeneralName, ...] = ()
    key_usage: frozenset[KeyUsage] = frozenset()
    extended_key_usage: frozenset[str] = frozenset()
    is_ca: bool = False
    path_length: int | None = None
    name_constraints: NameConstraints | None = None
    crl_distribution_points: tuple[str, ...] = ()
    ocsp: tuple[str, ...] = ()
    ca_issuers: tuple[str, ...] = ()
    subject_key_identifier: bytes | None = None
    authority_key_identifier: bytes | None = None
    critical: frozenset[str] = frozenset()
    """The names of the critical extensions, as `EXTENSIONS` spells them, or dotted identifiers."""
    present: frozenset[str] = frozenset()
    """The names of all its extensions, spelled likewise."""

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are one name (RFC 5280 3.2)."""
        return self.subject_der == self.issuer_der

    @property
    def lifetime(self) -> int:
        """Seconds from not_before to not_after, both inclusive (RFC 5280 4.1.2.5)."""
        return int((self.not_after - self.not_before).total_seconds()) + 1


@dataclass(frozen=True, slots=True)
class Issuance:
    """All that is decided about a certificate before it is signed."""

    template: CertificateTemplate
    not_before: datetime
    not_after: datetime
    predecessor: Certificate | None = None
    """The certificate before. Where name and key stay, so do the name's encoding and the subject key identifier, to
    which those that it signed point."""


@dataclass(frozen=True, slots=True)
class SuppliedAuthority:
    """A CA that the user brings: certgen reads its files and never writes, renews or removes them."""

    path: tuple[Certificate, ...]
    """Its certificate, then those above it that the file holds, without a self-signed root."""
    certificate_file: str
    private_key_file: str | None
    private_key_id: str | None
    """The key id of the private key, where there is one."""
    roots: tuple[Certificate, ...]
    """The trust anchors above it."""


@dataclass(frozen=True, slots=True)
class SuppliedPublicKey:
    """The public key of an entry whose private key never leaves its host."""

    public_key: bytes = field(repr=False)
    """SubjectPublicKeyInfo in DER."""
    key_id: str
    algorithm: KeyAlgorithm | str
    file: str


@dataclass(frozen=True, slots=True)
class AnchorFile:
    """Trust anchors that the user brings in a PEM file."""

    file: str
    certificates: tuple[Certificate, ...]


TrustAnchor = Address | AnchorFile
"""A root of the spec, or a file of certificates."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A rendered file of an entry's folder: it depends on names, subjects and paths only."""

    name: str
    """Its path within the folder, with `/`."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Snippet:
    """What one consumer needs of an entry: its configuration, and whom it lets in."""

    consumer: str
    artifacts: tuple[Artifact, ...]
    allow: tuple[Address, ...] | None = None
    """Those that it accepts among all whom the entry's trust lets in; None for all of them."""
    is_combined: bool = False
    """Whether it reads the certification path and the private key from one file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that a spec asks for, with all defaults filled in."""

    address: Address
    template: CertificateTemplate
    key: KeyPolicy
    renew_before: RenewBefore
    issuer: Address | None = None
    """None for a root, and for a CA that the user brings."""
    trust: tuple[TrustAnchor, ...] = ()
    """What an end entity trusts for its peers."""
    public_key: SuppliedPublicKey | None = None
    supplied: SuppliedAuthority | None = None
    deploy_dir: str = ""
    """The folder on its host in which its files will be."""
    publication: Publication = Publication.FILES
    snippets: tuple[Snippet, ...] = ()

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files that its snippets are made of."""
        return tuple(artifact for snippet in self.snippets for artifact in snippet.artifacts) if self.snippets else ()

    @property
    def is_ca(self) -> bool:
        """Whether it issues certificates."""
        return self.address.section is Section.CAS

    @property
    def is_root(self) -> bool:
        """Whether it is a root that certgen makes."""
        return self.template.role is Role.ROOT_CA and self.supplied is None


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that one spec describes, issuers before what they issue."""

    name: str
    source: str
    """The spec's file name, without folders: what rendered files say they come from."""
    entries: tuple[Entry, ...]
    commits_keys: bool = False
    """Whether git may have the private keys."""
    kustomization: bytes = field(default=b"", repr=False)
    """What tells a cluster which files of the tree it is to have; empty where the spec asks for none."""
    namespace: str | None = None
    """Where in a cluster all of it is to be; None where the spec names none."""
    index: Mapping[Address, Entry] = field(init=False, repr=False, compare=False)

    end_entities: tuple[Entry, ...] = field(init=False, repr=False, compare=False)
    _above: dict[Address, tuple[Entry, ...]] = field(init=False, repr=False, compare=False)
    """The CAs above those that were asked for, by the issuer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {entry.address: entry for entry in self.entries})
        object.__setattr__(self, "end_entities", tuple(entry for entry in self.entries if not entry.is_ca))
        object.__setattr__(self, "_above", {})

    def __getitem__(self, address: Address) -> Entry:
        return self.index[address]

    def narrowed(self, addresses: Iterable[Address]) -> Bundle:
        """Give the bundle of all CAs and of those end entities alone."""
        authorities = {entry.address: entry for entry in takewhile(lambda entry: entry.is_ca, self.entries)}
        members = {address: self.index[address] for address in addresses}
        return replace(self, entries=tuple({**authorities, **members}.values()))

    def issuers_above(self, address: Address) -> tuple[Entry, ...]:
        """Give the CAs above an entry, the nearest first."""
        issuer = self.index[address].issuer
        if issuer is None:
            return ()
        if issuer not in self._above:
            self._above[issuer] = (self.index[issuer], *self.issuers_above(issuer))
        return self._above[issuer]
