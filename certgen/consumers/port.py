"""Floor 4: the port: what a consumer is told of an entry, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol, TypeVar

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
        return tuple(entry for entry in self.bundle.entries if self.lets_in(entry) and entry is not self.entry)

    @cached_property
    def servers(self) -> tuple[Entry, ...]:
        """The entries of the spec that it accepts as servers, itself aside."""
        return tuple(
            entry
            for entry in self.bundle.entries
            if ExtendedKeyUsage.SERVER_AUTH in entry.template.extended_key_usage
            and not entry.is_ca
            and entry is not self.entry
            and self.trusts(entry)
        )

    def lets_in(self, caller: Entry) -> bool:
        """Whether its trust lets an entry in as a client; also where an anchor file may, for all that is known."""
        is_client = ExtendedKeyUsage.CLIENT_AUTH in caller.template.extended_key_usage and not caller.is_ca
        return is_client and self.trusts(caller)

    def trusts(self, other: Entry) -> bool:
        """Whether the root above an entry is among its trust anchors, or may be in one of its anchor files."""
        root = self.bundle.issuers_above(other.address)[-1].address
        return root in self.entry.trust or self.trusts_files

    @property
    def trusts_files(self) -> bool:
        """Whether it trusts anchors that the user brings, of whose certificates the spec knows nothing."""
        return any(isinstance(anchor, AnchorFile) for anchor in self.entry.trust)

    def issuer_subject(self, entry: Entry) -> DistinguishedName:
        """Give the distinguished name of the CA that signs an entry."""
        return self.bundle.issuers_above(entry.address)[0].template.subject

    def depth(self, others: Iterable[Entry]) -> int:
        """Give how many CAs may stand above a peer's certificate, its root too: never less than two.

        Args:
            others: the peers; where anchor files are trusted, others may come that the spec does not know.
        """
        return max(UNKNOWN_DEPTH if self.trusts_files else 2, *(0, *map(self._authorities_above, others)))

    def _authorities_above(self, entry: Entry) -> int:
        above = self.bundle.issuers_above(entry.address)
        return sum(len(issuer.supplied.path) + 1 if issuer.supplied else 1 for issuer in above)


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
