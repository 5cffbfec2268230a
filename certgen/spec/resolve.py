"""Floor 9: Spec to Bundle: issuers found, defaults filled in, entries in the order in which they are issued."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.lifetime import RenewBefore
from certgen.model import (
    Address,
    AnchorFile,
    Bundle,
    CertificateTemplate,
    Entry,
    Role,
    Section,
    SuppliedAuthority,
    TrustAnchor,
)
from certgen.protection import KeysInGit
from certgen.publication import Publication
from certgen.rfc5280.vocabulary import KeyUsage
from certgen.spec.circles import endless_paths
from certgen.spec.composer import concise
from certgen.spec.fields import is_device
from certgen.spec.inheritance import PURPOSES, Inheritance, constraints_of
from certgen.spec.keeping import faults_of, protection_of
from certgen.spec.references import ReferencedFiles, is_file
from certgen.spec.schema import CertificateAuthority, EndEntity, Spec
from certgen.spec.supplied import supplied_authority, template_of

_ROLES: Final = {Section.SERVERS: Role.SERVER, Section.CLIENTS: Role.CLIENT, Section.PEERS: Role.PEER}
_PEERS_OF: Final = {
    Section.SERVERS: (Section.CLIENTS, Section.PEERS),
    Section.CLIENTS: (Section.SERVERS, Section.PEERS),
    Section.PEERS: (Section.SERVERS, Section.CLIENTS, Section.PEERS),
}
"""Whom an entry of each section meets, and so whose roots it trusts."""
MOST_SUGGESTIONS: Final = 100


def resolve(spec: Spec, name: str, source: str, files: ReferencedFiles) -> tuple[Bundle, tuple[Diagnostic, ...]]:
    """Fill in everything that a spec leaves out.

    Args:
        spec: a spec that its models accept.
        name: the tree's name below the output folder.
        source: the spec's file name, without folders.
        files: the files that the spec names, read.

    Returns:
        The bundle, of which nothing may be used where a diagnostic is an error, and the diagnostics.
    """
    resolver = _Resolver(spec, files)
    resolver.refuse_device(name)
    entries, commits_keys = resolver.entries(), spec.keys.git is KeysInGit.COMMIT
    faults = faults_of(spec.keys.protection, spec.keys.recipients)
    return Bundle(name, source, entries, commits_keys), (*resolver.problems, *faults, *files.problems)


class _Resolver:
    def __init__(self, spec: Spec, files: ReferencedFiles) -> None:
        self._defaults = spec.defaults
        self._inherit = Inheritance(spec.defaults, protection_of(spec.keys.protection, spec.keys.recipients or ()))
        self._files = files
        self.problems: list[Diagnostic] = []
        self._authorities = self._name_authorities(spec)
        self._members: dict[Address, EndEntity] = {
            Address(section, name): member
            for section in _ROLES
            for name, member in sorted(getattr(spec, section.value).items())
        }
        self._issuers: dict[Address, Address | None] = {}
        self._supplied: dict[Address, SuppliedAuthority] = {}
        self._heights: dict[Address, int] = {}
        self._longest_issued: dict[Address, int] = {}
        self._names: dict[bool, list[str]] = {True: [], False: []}
        self._suggestions: dict[tuple[str, bool], str] = {}
        self._roots_of_section: dict[Section, set[Address]] = {section: set() for section in _ROLES}

    def entries(self) -> tuple[Entry, ...]:
        """Resolve all entries, issuers first."""
        if not self._authorities:
            help_ = "add `ca:` for one CA, or `cas:` for several"
            self._refuse("no-ca", "the spec has no CA, so nothing can be signed", (), help_)
            return ()
        for address, authority in self._authorities.items():
            self._supply(address, authority)
        self._refuse_contradictions()
        self._find_issuers()
        if self.problems:
            return ()
        for address in self._members:
            self._roots_of_section[address.section].add(self._top(address))
        self._measure_heights()
        for address, issuer in self._issuers.items():
            if issuer is not None:
                self._longest_issued[issuer] = max(self._seconds(address), self._longest_issued.get(issuer, 0))
        order = sorted(self._authorities, key=lambda address: (len(self._above(address)), address.sort_key))
        authorities = [self._authority(address) for address in order]
        return (*authorities, *(self._member(address) for address in self._members))

    def refuse_device(self, name: str) -> None:
        """Refuse a tree's name, where it comes from the file's, for which Windows makes no folder."""
        if is_device(name):
            message = f"`{name}` cannot be the name of a tree: Windows keeps it for a device"
            self._refuse("bad-name", message, ("name",), "set `name:`")

    def _name_authorities(self, spec: Spec) -> dict[Address, CertificateAuthority]:
        named = dict(spec.cas)
        if "ca" in spec.model_fields_set:
            if named:
                message = "a spec has `ca` or `cas`, not both"
                self._refuse("ca-and-cas", message, ("ca",), "move it into `cas`", key=True)
            named = {"ca": spec.ca or CertificateAuthority(), **named}
        return {Address(Section.CAS, name): named[name] for name in sorted(named)}

    def _supply(self, address: Address, authority: CertificateAuthority) -> None:
        """Take the CA that the user brings, and refuse what only one of the two kinds of CA can say."""
        route = _route(address)
        if authority.certificate is None:
            for field in ("private_key", "trust"):
                if getattr(authority, field) is not None:
                    message = f"`{field}` belongs to a CA that you bring, with `certificate`"
                    self._refuse("conflict", message, (*route, field), key=True)
            return
        for field in sorted(authority.model_fields_set - {"certificate", "private_key", "trust"}):
            message = f"`{field}` cannot be asked of a CA that you bring: its certificate says it"
            self._refuse("conflict", message, (*route, field), key=True)
        supplied = supplied_authority(address, authority, self._files, self.problems.append)
        if supplied is not None:
            self._supplied[address] = supplied

    def _refuse_contradictions(self) -> None:
        """A certificate ends after its validity or at its `not_after`; a key is chosen here or made elsewhere."""
        for address, entry in (*self._authorities.items(), *self._members.items()):
            if entry.validity is not None and entry.not_after is not None:
                message = "`validity` and `not_after` both say when it ends"
                self._refuse("conflict", message, (*_route(address), "not_after"), "keep one of them", key=True)
            if isinstance(entry, EndEntity) and entry.public_key is not None and entry.key is not None:
                message = "`key` and `public_key` exclude each other: that key is made on its host"
                self._refuse("conflict", message, (*_route(address), "key"), "keep one of them", key=True)

    def _find_issuers(self) -> None:
        for address, authority in self._authorities.items():
            self._issuers[address] = self._named_issuer(address, authority.issuer) if authority.issuer else None
        self.problems += endless_paths(self._issuers)
        for address, member in self._members.items():
            issuer = member.issuer or self._defaults.issuer
            self._issuers[address] = self._named_issuer(address, issuer) if issuer else self._only_authority(address)

    def _named_issuer(self, address: Address, name: str) -> Address | None:
        issuer = Address(Section.CAS, name)
        if issuer in self._authorities:
            return issuer
        help_ = self._suggestion(name)
        self._refuse("unknown-issuer", f"there is no CA `{name}`", (*_route(address), "issuer"), help_)
        return None

    def _suggestion(self, name: str, *, is_root: bool = False) -> str:
        """Say which CA may have been meant; of very many slips the first are looked at, since each costs a search."""
        if not self._names[is_root]:
            found = (ca.name for ca in self._authorities if not is_root or self._issuers[ca] is None)
            self._names[is_root] = list(found)
        if (name, is_root) not in self._suggestions:
            is_late = len(self._suggestions) >= MOST_SUGGESTIONS
            near = [] if is_late else get_close_matches(name, self._names[is_root], n=1)
            known = f"one of {', '.join(self._names[is_root])}{', or a PEM file' if is_root else ''}"
            self._suggestions[name, is_root] = f"did you mean `{near[0]}`?" if near else concise(known)
        return self._suggestions[name, is_root]

    def _only_authority(self, address: Address) -> Address | None:
        if len(self._authorities) == 1:
            return next(iter(self._authorities))
        names = ", ".join(authority.name for authority in self._authorities)
        help_ = f"add `issuer:` with one of {names}, here or once under `defaults`"
        self._refuse("missing-issuer", f"{address} does not say which CA signs it", _route(address), help_, key=True)
        return None

    def _above(self, address: Address) -> list[Address]:
        """Give the CAs above an entry, nearest first."""
        above: list[Address] = []
        issuer = self._issuers[address]
        while issuer is not None:
            above.append(issuer)
            issuer = self._issuers[issuer]
        return above

    def _top(self, address: Address) -> Address:
        return (self._above(address) or [address])[-1]

    def _authority(self, address: Address) -> Entry:
        authority, issuer = self._authorities[address], self._issuers[address]
        role = Role.ROOT_CA if issuer is None else Role.INTERMEDIATE_CA
        supplied = self._supplied.get(address)
        derived = authority.path_length is None and role is Role.INTERMEDIATE_CA
        validity = self._inherit.validity(authority, role)
        template = CertificateTemplate(
            role=role,
            subject=supplied.path[0].subject if supplied else self._inherit.subject(address, authority),
            validity=validity,
            key_usage=frozenset(authority.key_usage or (KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)),
            extended_key_usage=frozenset(authority.extended_key_usage or ()),
            path_length=self._heights.get(address, 0) if derived else authority.path_length,
            path_length_derived=derived,
            name_constraints=constraints_of(authority),
            crl_distribution_points=self._inherit.urls("crl_distribution_points", authority, role),
            ocsp=self._inherit.urls("ocsp", authority, role),
            ca_issuers=self._inherit.urls("ca_issuers", authority, role),
        )
        longest = self._longest_issued.get(address, 0)
        return Entry(
            address=address,
            template=template_of(supplied) if supplied else template,
            key=self._inherit.key(authority, role),
            renew_before=authority.renew_before or RenewBefore(longest_issued=longest),
            issuer=issuer,
            supplied=supplied,
        )

    def _member(self, address: Address) -> Entry:
        member, role = self._members[address], _ROLES[address.section]
        template = CertificateTemplate(
            role=role,
            subject=self._inherit.subject(address, member),
            validity=self._inherit.validity(member, role),
            subject_alt_names=member.sans or (),
            key_usage=frozenset(member.key_usage or (KeyUsage.DIGITAL_SIGNATURE,)),
            extended_key_usage=frozenset(member.extended_key_usage or PURPOSES[role]),
            crl_distribution_points=self._inherit.urls("crl_distribution_points", member, role),
            ocsp=self._inherit.urls("ocsp", member, role),
            ca_issuers=self._inherit.urls("ca_issuers", member, role),
        )
        route = (*_route(address), "public_key")
        return Entry(
            address=address,
            template=template,
            key=self._inherit.key(member, role),
            renew_before=member.renew_before or self._defaults.renew_before or RenewBefore(),
            issuer=self._issuers[address],
            trust=self._trust(address, member),
            public_key=self._files.public_key(member.public_key, route) if member.public_key else None,
            deploy_dir=member.deploy_dir or f"/etc/certgen/{address.name}",
            publication=member.publish or self._defaults.publish or Publication.FILES,
        )

    def _trust(self, address: Address, member: EndEntity) -> tuple[TrustAnchor, ...]:
        if member.trust is None:
            met = set().union(*(self._roots_of_section[section] for section in _PEERS_OF[address.section]))
            return tuple(sorted(met or {self._top(address)}, key=lambda top: top.sort_key))
        route = (*_route(address), "trust")
        roots: list[Address] = []
        anchors: list[AnchorFile] = []
        for number, item in enumerate(member.trust):
            if is_file(item):
                anchor = self._files.anchors(item, (*route, number))
                anchors += [anchor] if anchor else []
            else:
                roots += self._trusted_root(item, (*route, number))
        if not member.trust:
            self._refuse("empty-trust", f"{address} would trust nobody", route, "name a root, or leave `trust` out")
        return (
            *sorted(set(roots), key=lambda top: top.sort_key),
            *sorted(set(anchors), key=lambda a: a.file),
        )

    def _trusted_root(self, name: str, route: Route) -> list[Address]:
        address = Address(Section.CAS, name)
        if address not in self._authorities:
            help_ = self._suggestion(name, is_root=True)
            self._refuse("unknown-root", f"there is no root `{name}`", route, help_)
            return []
        if self._issuers[address] is not None:
            message = f"`{name}` is an intermediate, which many programs refuse to trust"
            self._refuse("not-a-root", message, route, f"trust its root `{self._top(address).name}`")
            return []
        return [address]

    def _seconds(self, address: Address) -> int:
        entry: CertificateAuthority | EndEntity = self._authorities.get(address) or self._members[address]
        role = Role.INTERMEDIATE_CA if address in self._authorities else _ROLES[address.section]
        return self._inherit.validity(entry, role).seconds or 0

    def _measure_heights(self) -> None:
        """Find out for each CA how many levels of CAs stand below it."""
        for address in self._authorities:
            for height, above in enumerate(self._above(address), 1):
                self._heights[above] = max(height, self._heights.get(above, 0))

    def _refuse(self, code: str, message: str, route: Route, help_: str | None = None, *, key: bool = False) -> None:
        help_ = concise(help_) if help_ else None
        self.problems.append(Diagnostic(Severity.ERROR, code, concise(message), help=help_, route=route, at_key=key))


def _route(address: Address) -> Route:
    return (address.section.value, address.name)
