"""Floor 4: the port: what a consumer is told of an entry, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol, TypeVar

from certgen.consumers.census import Census
from certgen.diagnostics import Route, Severity
from certgen.model import Address, AnchorFile, Artifact, Bundle, Entry, Section
from certgen.rfc5280.vocabulary import DistinguishedName, ExtendedKeyUsage, GeneralNameKind
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE, first_line

UNKNOWN_DEPTH: Final = 4
"""How many CAs may stand above what an anchor file brings, for all that a spec knows."""

OptionsT_contra = TypeVar("OptionsT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a consumer cannot do, or had better not."""

    code: str
    message: str
    help: str | None = None
    place: Route = ()
    """Where in the consumer's options."""
    field: str | None = None
    """The field of the entry that is meant, where it is not one of the options."""
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Deployment:
    """An entry as its consumers see it: what it is called, whom it meets, where its files will be."""

    bundle: Bundle
    entry: Entry
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The contents of the files that the options name, by option."""
    census: Census = field(default=None, repr=False)  # type: ignore[assignment]  # taken below, where none is handed on

    def __post_init__(self) -> None:
        if self.census is None:
            object.__setattr__(self, "census", Census(self.bundle))

    @property
    def header(self) -> str:
        """The first line of every rendered file, without its comment sign."""
        return first_line(self.bundle.source)

    @property
    def is_server(self) -> bool:
        """Whether others connect to it."""
        return self.entry.address.section in {Section.SERVERS, Section.PEERS}

    @property
    def is_client(self) -> bool:
        """Whether it connects to others."""
        return self.entry.address.section in {Section.CLIENTS, Section.PEERS}

    @property
    def certificate(self) -> str:
        """The path of its certificate file on its host."""
        return self.path(CERTIFICATE_FILE)

    @property
    def private_key(self) -> str:
        """The path of its private key on its host."""
        return self.path(KEY_FILE)

    @property
    def trust_anchors(self) -> str:
        """The path of its trust anchors on its host."""
        return self.path(TRUST_FILE)

    def path(self, name: str) -> str:
        """Give the path on its host of a file in its folder."""
        return f"{self.entry.deploy_dir.rstrip('/')}/{name}"

    def names(self, kind: GeneralNameKind) -> tuple[str, ...]:
        """Give its subject alternative names of one kind."""
        return tuple(name.value for name in self.entry.template.subject_alt_names if name.kind == kind)

    @cached_property
    def callers(self) -> tuple[Entry, ...]:
        """The entries of the spec that its trust lets in as clients, itself aside."""
        return tuple(
            entry for root in self._trusted_roots for entry in self.census.clients(root) if not self.is_itself(entry)
        )

    @cached_property
    def server_names(self) -> frozenset[str]:
        """The DNS names of the servers that it accepts."""
        return frozenset().union(*(self.census.server_names(root) for root in self._trusted_roots))

    def is_itself(self, other: Entry) -> bool:
        """Whether an entry is the one that is deployed."""
        return other.address == self.entry.address

    def lets_in(self, caller: Entry) -> bool:
        """Whether its trust lets an entry in as a client; also where an anchor file may, for all that is known."""
        is_client = ExtendedKeyUsage.CLIENT_AUTH in caller.template.extended_key_usage and not caller.is_ca
        return is_client and self.trusts(caller)

    def trusts(self, other: Entry) -> bool:
        """Whether the root above an entry is among its trust anchors, or may be in one of its anchor files."""
        return self.trusts_files or self.census.root_above(other) in self.entry.trust

    @property
    def trusts_files(self) -> bool:
        """Whether it trusts anchors that the user brings, of whose certificates the spec knows nothing."""
        return any(isinstance(anchor, AnchorFile) for anchor in self.entry.trust)

    @property
    def depth(self) -> int:
        """How many CAs may stand above a peer's certificate, its root too: never less than two.

        Where anchor files are trusted, others may come that the spec does not know.
        """
        known = (self.census.depth(root) for root in self._trusted_roots)
        return max(UNKNOWN_DEPTH if self.trusts_files else 2, *(0, *known))

    @property
    def _trusted_roots(self) -> tuple[Address, ...]:
        if self.trusts_files:
            return tuple(entry.address for entry in self.bundle.entries if entry.is_ca and entry.issuer is None)
        return tuple(anchor for anchor in self.entry.trust if isinstance(anchor, Address))

    def issuer_subject(self, entry: Entry) -> DistinguishedName:
        """Give the distinguished name of the CA that signs an entry."""
        return self.bundle.issuers_above(entry.address)[0].template.subject


class Consumer(Protocol[OptionsT_contra]):
    """A program, or a language, that reads an entry's files.

    A consumer is a package of this wing that fulfils this protocol, with the model of its options as `OPTIONS`.
    """

    def judge(self, deployment: Deployment, options: OptionsT_contra) -> Iterable[Fault]:
        """Find what the consumer cannot do for this entry with these options."""
        ...

    def allowed(self, deployment: Deployment, options: OptionsT_contra) -> tuple[Address, ...] | None:
        """Give those whom it lets in among all that the trust accepts; None for all of them."""
        ...

    def render(self, deployment: Deployment, options: OptionsT_contra) -> Iterable[Artifact]:
        """Write the files that the consumer needs; called only where `judge` found no error."""
        ...
