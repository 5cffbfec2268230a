"""Hand-made values for the decision: entries, certificates that satisfy them, and a tree that holds them.

Nothing here is signed or parsed: `plan` is pure, so a key is the hash of a label and a certificate's DER is any bytes.
The dates are computed here a second time, by the words of the design, and not by the functions under test.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final, TypedDict, Unpack

from certgen.diagnostics import Diagnostic
from certgen.encoders.pem import encode_certificates
from certgen.lifetime import RenewBefore, Validity
from certgen.manifest import Manifest, ManifestEntry, render_manifest
from certgen.model import (
    Address,
    AnchorFile,
    Bundle,
    Certificate,
    CertificateTemplate,
    Entry,
    KeyPolicy,
    Role,
    Section,
    SuppliedAuthority,
    SuppliedPublicKey,
    TrustAnchor,
)
from certgen.plan.decide import plan
from certgen.plan.values import (
    Action,
    Change,
    KeySource,
    Plan,
    Reason,
    ReasonCode,
    Requests,
    TreeFile,
)
from certgen.publication import Publication
from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameAttribute,
    NameConstraints,
)
from certgen.tree import (
    ABSENT,
    ATTRIBUTES_FILE,
    CERTIFICATE_FILE,
    IGNORE_FILE,
    PRIVATE_KEY_FILES,
    TRUST_FILE,
    FileKind,
    FileState,
    KeyState,
    ManifestState,
    Observed,
    ObservedEntry,
    ObservedKey,
    attributes_file,
    file_names,
    ignore_file,
    key_file,
)

NOW: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)
DAYS: Final = 86400
"""Seconds in a day."""

ROOT: Final = Address(Section.CAS, "root")
ISSUING: Final = Address(Section.CAS, "issuing")
WEB: Final = Address(Section.SERVERS, "web")
MAIL: Final = Address(Section.SERVERS, "mail")
APP: Final = Address(Section.CLIENTS, "app")
NODE: Final = Address(Section.PEERS, "node")

ROLES: Final = {Section.SERVERS: Role.SERVER, Section.CLIENTS: Role.CLIENT, Section.PEERS: Role.PEER}
PURPOSES: Final = {
    Role.SERVER: frozenset({ExtendedKeyUsage.SERVER_AUTH}),
    Role.CLIENT: frozenset({ExtendedKeyUsage.CLIENT_AUTH}),
    Role.PEER: frozenset({ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH}),
}

_serials = count(1000)
_new_keys = count(1)


def dns(name: str) -> GeneralName:
    return GeneralName(GeneralNameKind.DNS, name)


def name_of(common_name: str, organization: str | None = None) -> DistinguishedName:
    before = ((NameAttribute.ORGANIZATION.value, organization),) if organization else ()
    return DistinguishedName((*before, (NameAttribute.COMMON_NAME.value, common_name)))


def public_key(label: str) -> bytes:
    return f"the public key of {label}".encode()


def key_id(label: str) -> str:
    return key_id_of(public_key(label))


def key_id_of(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def key_identifier(key: bytes) -> bytes:
    return hashlib.sha1(key, usedforsecurity=False).digest()


class TemplateFields(TypedDict, total=False):
    role: Role
    subject: DistinguishedName
    validity: Validity
    subject_alt_names: tuple[GeneralName, ...]
    key_usage: frozenset[KeyUsage]
    extended_key_usage: frozenset[ExtendedKeyUsage]
    path_length: int | None
    path_length_derived: bool
    name_constraints: NameConstraints | None
    crl_distribution_points: tuple[str, ...]
    ocsp: tuple[str, ...]
    ca_issuers: tuple[str, ...]


class EntryFields(TypedDict, total=False):
    key: KeyPolicy
    renew_before: RenewBefore
    trust: tuple[TrustAnchor, ...]
    public_key: SuppliedPublicKey | None
    publication: Publication


class CertificateFields(TypedDict, total=False):
    not_before: datetime
    not_after: datetime
    key_algorithm: KeyAlgorithm | str


def authority(
    address: Address, issuer: Address | None = None, days: int = 1000, **fields: Unpack[EntryFields]
) -> Entry:
    """Make a CA: a root where it has no issuer."""
    template = CertificateTemplate(
        role=Role.INTERMEDIATE_CA if issuer else Role.ROOT_CA,
        subject=name_of(f"Shop {address.name}"),
        validity=Validity(days * DAYS),
        key_usage=frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}),
        path_length=0 if issuer else None,
        path_length_derived=issuer is not None,
    )
    return replace(Entry(address, template, KeyPolicy(), RenewBefore(), issuer), **fields)


def member(address: Address, issuer: Address = ISSUING, days: int = 90, **fields: Unpack[EntryFields]) -> Entry:
    """Make an end entity; it trusts the root."""
    role = ROLES[address.section]
    template = CertificateTemplate(
        role=role,
        subject=name_of(address.name),
        validity=Validity(days * DAYS),
        subject_alt_names=(dns(f"{address.name}.shop.example"),),
        key_usage=frozenset({KeyUsage.DIGITAL_SIGNATURE}),
        extended_key_usage=PURPOSES[role],
    )
    return replace(Entry(address, template, KeyPolicy(), RenewBefore(), issuer, trust=(ROOT,)), **fields)


def asking(entry: Entry, **fields: Unpack[TemplateFields]) -> Entry:
    """Change what an entry's certificate should say."""
    return replace(entry, template=replace(entry.template, **fields))


def bundle_of(*entries: Entry, name: str = "shop") -> Bundle:
    return Bundle(name, f"{name}.yaml", entries)


def shop(*instead: Entry) -> Bundle:
    """Make the usual bundle: root, issuing CA, a server, a client; with some entries instead of, or beside, these."""
    usual = (authority(ROOT), authority(ISSUING, ROOT, 500), member(WEB), member(APP))
    entries = {entry.address: entry for entry in (*usual, *instead)}
    return bundle_of(*sorted(entries.values(), key=lambda entry: not entry.is_ca))


def without(bundle: Bundle, *addresses: Address) -> Bundle:
    return bundle_of(*(entry for entry in bundle.entries if entry.address not in addresses), name=bundle.name)


def certificate_for(
    entry: Entry,
    issuer: Certificate | None = None,
    key: bytes | None = None,
    at: datetime = NOW,
    **fields: Unpack[CertificateFields],
) -> Certificate:
    """Make a certificate that satisfies an entry, as if it had been signed at a time."""
    template, key = entry.template, key or public_key(str(entry.address))
    begin, end = dates(template.validity, at, issuer)
    serial = next(_serials)
    signer = issuer or None
    subject_der = name_der(template.subject)
    certificate = Certificate(
        der=f"certificate {serial} of {entry.address} under {signer.serial_number if signer else 'itself'}".encode(),
        subject=template.subject,
        subject_der=subject_der,
        issuer=signer.subject if signer else template.subject,
        issuer_der=signer.subject_der if signer else subject_der,
        serial_number=serial,
        not_before=begin,
        not_after=end,
        public_key=key,
        key_id=key_id_of(key),
        key_algorithm=entry.key.algorithm,
        signature_algorithm="ecdsa-with-SHA256",
        subject_alt_names=template.subject_alt_names,
        key_usage=template.key_usage,
        extended_key_usage=frozenset(map(str, template.extended_key_usage)),
        is_ca=template.role.is_ca,
        path_length=template.path_length,
        name_constraints=template.name_constraints,
        crl_distribution_points=template.crl_distribution_points,
        ocsp=template.ocsp,
        ca_issuers=template.ca_issuers,
        subject_key_identifier=key_identifier(key),
        authority_key_identifier=signer.subject_key_identifier if signer else None,
        critical=critical_in(template),
    )
    return replace(certificate, **fields)


def name_der(name: DistinguishedName) -> bytes:
    return f"DER of {name}".encode()


def critical_in(template: CertificateTemplate) -> frozenset[str]:
    names = {"basicConstraints", "keyUsage"}
    if template.name_constraints is not None:
        names.add("nameConstraints")
    if template.subject_alt_names and not template.subject.attributes:
        names.add("subjectAltName")
    return frozenset(names)


def dates(validity: Validity, at: datetime, issuer: Certificate | None = None) -> tuple[datetime, datetime]:
    """Give the dates of a certificate signed at a time, by the words of the design's paragraph on time."""
    if validity.seconds is None:
        assert validity.not_after is not None
        return validity.not_before or at - timedelta(minutes=5), validity.not_after
    begin = validity.not_before or at - timedelta(seconds=min(300, validity.seconds // 10))
    if issuer is not None and validity.not_before is None:
        begin = max(begin, issuer.not_before)
    end = begin + timedelta(seconds=validity.seconds) - SECOND
    return begin, min(end, issuer.not_after) if issuer else end


def pem(*certificates: Certificate) -> bytes:
    return encode_certificates(certificate.der for certificate in certificates)


def a_file(content: bytes, mode: int = 0o644) -> FileState:
    return FileState(FileKind.FILE, mode, content)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def present_key(label: str, algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256, mode: int = 0o600) -> ObservedKey:
    return ObservedKey(KeyState.PRESENT, key_id(label), algorithm, mode)


def closed_key(key: ObservedKey, entry: Entry) -> ObservedKey:
    """Give a key as it is seen once it is closed as its entry asks, and the manifest knows."""
    protection = entry.key.protection
    if protection is None:
        algorithm = key.algorithm or entry.key.algorithm
        return ObservedKey(KeyState.PRESENT, key.key_id, algorithm, entry.key.mode, is_linked=key.is_linked)
    return ObservedKey(
        KeyState.SEALED, key.key_id, mode=entry.key.mode, file=key_file(entry),
        digest=digest(f"{key.key_id} {protection.mark}".encode()), mark=protection.mark,
    )  # fmt: skip


def unreadable_key(reason: str = "the private key is encrypted") -> ObservedKey:
    return ObservedKey(KeyState.UNREADABLE, mode=0o600, reason=reason)


@dataclass
class Disk:
    """A tree as it lies on the disk, to be tampered with: what is not said otherwise is as certgen leaves it."""

    bundle: Bundle
    """The spec by which the tree was made."""
    certificates: dict[Address, Certificate] = field(default_factory=dict)
    paths: dict[Address, tuple[Certificate, ...]] = field(default_factory=dict)
    anchors: dict[Address, tuple[Certificate, ...]] = field(default_factory=dict)
    keys: dict[Address, ObservedKey] = field(default_factory=dict)
    signed_by: dict[Address, str] = field(default_factory=dict)
    """Key ids: whose signature each certificate really carries."""
    recorded: dict[Address, str] = field(default_factory=dict)
    """Key ids in the manifest."""
    problems: dict[Address, str] = field(default_factory=dict)
    """Why a certificate file holds no certificate."""
    files: dict[Address, dict[str, FileState]] = field(default_factory=dict)
    """Files that are not what the certificates would make them, and further files."""
    listed: dict[Address, dict[str, str | None]] = field(default_factory=dict)
    """Further files in the manifest."""
    unlisted: set[Address] = field(default_factory=set)
    """Addresses of which the manifest does not know."""
    manifest_state: ManifestState = ManifestState.READ
    ignore_file: FileState = ABSENT
    attributes_file: FileState = ABSENT
    seen: set[str] = field(default_factory=set)

    def observed(self) -> Observed:
        """Give what the decision would see."""
        addresses = [*self.recorded, *(a for a in self.keys if a not in self.recorded)]
        authorities = self._authorities()
        entries = {address: self._entry(address, authorities) for address in addresses}
        manifest = self._manifest(entries) if self.manifest_state is ManifestState.READ else Manifest()
        content = {
            ManifestState.READ: render_manifest(manifest),
            ManifestState.ABSENT: b"",
            ManifestState.DAMAGED: b"<<<<<<< ours\n",
        }
        return Observed(
            manifest=manifest,
            manifest_state=self.manifest_state,
            manifest_content=content[self.manifest_state],
            ignore_file=self.ignore_file,
            attributes_file=self.attributes_file,
            entries=entries,
            seen_keys=frozenset(self.seen),
            authorities=authorities,
        )

    def lose(self, address: Address) -> None:
        """Remove an entry's folder."""
        self.lose_certificate(address)
        self.keys[address] = ObservedKey()
        self.anchors.pop(address, None)

    def lose_certificate(self, address: Address) -> None:
        del self.certificates[address]
        self.paths.pop(address, None)

    def lose_keys(self, *addresses: Address) -> None:
        """Be as a machine that has never held these keys."""
        for address in addresses or tuple(self.keys):
            self.seen.discard(self.keys[address].key_id or "")
            self.keys[address] = ObservedKey()

    def carry_out(self, bundle: Bundle, plan: Plan) -> None:
        """Do what a plan says, and no more, as `apply` would."""
        assert not plan.obstacles, [obstacle.message for obstacle in plan.obstacles]
        self.bundle = bundle
        made: dict[Address, Certificate] = {}
        self._clear_up(plan)
        for change in plan.changes:
            match change.address:
                case TreeFile(name):
                    if name == IGNORE_FILE:
                        self.ignore_file = a_file(ignore_file(bundle))
                    elif name == ATTRIBUTES_FILE:
                        self.attributes_file = a_file(attributes_file(bundle))
                case address if change.action is Action.REMOVE:
                    self._remove(address)
                case address:
                    self._change(address, change, made)
        for mode in plan.modes:
            self.keys[mode.address] = replace(self.keys[mode.address], mode=mode.wanted)
        if plan.changes:
            self.manifest_state = ManifestState.READ
        self.seen |= {key.key_id for key in self.keys.values() if key.key_id}

    def _clear_up(self, plan: Plan) -> None:
        if plan.changes:
            self.unlisted -= set(self.bundle.index)

    def _remove(self, address: Address) -> None:
        for known in (self.certificates, self.paths, self.anchors, self.keys, self.recorded, self.signed_by):
            known.pop(address, None)
        self.files.pop(address, None)
        self.listed.pop(address, None)

    def _change(self, address: Address, change: Change, made: dict[Address, Certificate]) -> None:
        entry = self.bundle[address]
        if change.signing is not None:
            self._sign(entry, change, made)
        elif change.certificate is not None and CERTIFICATE_FILE in change.writes:
            self.certificates[address] = change.certificate
            self.signed_by.setdefault(address, change.certificate.key_id)
        for name in (*change.writes, *change.removes):
            self.files.get(address, {}).pop(name, None)
            self.listed.get(address, {}).pop(name, None)
        if CERTIFICATE_FILE in change.writes:
            self.problems.pop(address, None)
            self.paths[address] = path_above(self.bundle, address, self.certificates)
        if key_file(entry) in change.writes:
            known = self.keys[address].key_id or self.certificates[address].key_id
            self.keys[address] = closed_key(replace(self.keys[address], key_id=known), entry)
        if TRUST_FILE in change.writes:
            self.anchors[address] = anchors_of(entry, self.certificates, self.bundle)
        self.recorded[address] = self.certificates[address].key_id

    def _sign(self, entry: Entry, change: Change, made: dict[Address, Certificate]) -> None:
        assert change.signing is not None
        address, order, issuance = entry.address, change.signing.key, change.signing.issuance
        match order.source:
            case KeySource.GENERATE:
                assert order.algorithm is not None
                key = public_key(f"{address}, new key {next(_new_keys)}")
                made_key = ObservedKey(KeyState.PRESENT, key_id_of(key), order.algorithm, order.mode)
                self.keys[address] = closed_key(made_key, entry)
            case KeySource.PUBLIC_KEY:
                assert order.public_key is not None
                key = order.public_key
            case KeySource.FILE:
                key = self._public_key_of(self.keys[address].key_id)
        issuer = self.certificates[change.signing.issuer] if change.signing.issuer else None
        dated = {"not_before": issuance.not_before, "not_after": issuance.not_after}
        certificate = certificate_for(entry, issuer, key)
        certificate = replace(certificate, not_before=dated["not_before"], not_after=dated["not_after"])
        self.certificates[address] = made[address] = certificate
        self.signed_by[address] = issuer.key_id if issuer else certificate.key_id

    def _public_key_of(self, wanted: str | None) -> bytes:
        labels = [*map(str, self.bundle.index), "stranger"]
        known = [public_key(label) for label in labels] + [c.public_key for c in self.certificates.values()]
        return next(key for key in known if key_id_of(key) == wanted)

    def _entry(self, address: Address, authorities: tuple[Certificate, ...]) -> ObservedEntry:
        certificate, path = self.certificates.get(address), self.paths.get(address, ())
        problem, anchors = self.problems.get(address), self.anchors.get(address)
        files: dict[str, FileState] = {}
        if certificate is not None:
            files[CERTIFICATE_FILE] = a_file(pem(certificate, *path))
        elif problem is not None:
            files[CERTIFICATE_FILE] = a_file(b"not a certificate")
        if anchors is not None:
            files[TRUST_FILE] = a_file(pem(*anchors))
        key = self.keys.get(address, ObservedKey())
        if key.state is not KeyState.ABSENT:
            files[key.file] = FileState(FileKind.FILE, key.mode)
        files.update(self.files.get(address, {}))
        signer = self.signed_by.get(address)
        known = {a.key_id for a in authorities if certificate and a.subject_der == certificate.issuer_der}
        return ObservedEntry(
            certificate=certificate,
            certificate_problem=problem,
            path=path,
            signer=signer if signer in known else None,
            key=key,
            anchors=anchors,
            files=files,
        )

    def _manifest(self, entries: Mapping[Address, ObservedEntry]) -> Manifest:
        lines: dict[Address, ManifestEntry] = {}
        for address, recorded in self.recorded.items():
            if address in self.unlisted:
                continue
            names = file_names(self.bundle[address]) if address in self.bundle.index else (CERTIFICATE_FILE,)
            contents = {name: entries[address].file(name).content for name in names}
            key = self.keys.get(address, ObservedKey())
            files = {
                name: key.digest if name in PRIVATE_KEY_FILES else digest(content) for name, content in contents.items()
            }
            lines[address] = ManifestEntry(recorded, {**self.listed.get(address, {}), **files}, key.mark)
        return Manifest(self.bundle.name, lines)

    def _authorities(self) -> tuple[Certificate, ...]:
        found = [*self.certificates.values()]
        for some in (*self.paths.values(), *self.anchors.values()):
            found += some
        for entry in self.bundle.entries:
            if entry.supplied is not None:
                found += [*entry.supplied.path, *entry.supplied.roots]
        unique = {certificate.der: certificate for certificate in found if certificate.is_ca}
        return tuple(sorted(unique.values(), key=lambda c: (c.not_after, c.der), reverse=True))


def path_above(
    bundle: Bundle, address: Address, certificates: Mapping[Address, Certificate]
) -> tuple[Certificate, ...]:
    """Give the intermediates above an end entity, nearest first."""
    path: list[Certificate] = []
    if bundle[address].is_ca:
        return ()
    for issuer in bundle.issuers_above(address):
        if issuer.supplied is not None:
            path += [certificate for certificate in issuer.supplied.path if not certificate.is_self_issued]
        elif not issuer.is_root:
            path.append(certificates[issuer.address])
    return tuple(path)


def anchors_of(entry: Entry, certificates: Mapping[Address, Certificate], bundle: Bundle) -> tuple[Certificate, ...]:
    anchors: list[Certificate] = []
    for anchor in entry.trust:
        if isinstance(anchor, AnchorFile):
            anchors += anchor.certificates
        else:
            supplied = bundle[anchor].supplied
            anchors += supplied.roots if supplied else [certificates[anchor]]
    return tuple({certificate.der: certificate for certificate in anchors}.values())


def disk_of(bundle: Bundle, at: datetime = NOW) -> Disk:
    """Make the tree of a bundle as if it had been applied at a time, on this machine."""
    ignored, attributes = a_file(ignore_file(bundle)), a_file(attributes_file(bundle))
    disk = Disk(bundle, ignore_file=ignored, attributes_file=attributes)
    for entry in bundle.entries:
        address = entry.address
        if entry.supplied is not None:
            disk.certificates[address] = entry.supplied.path[0]
            continue
        issuer = disk.certificates[entry.issuer] if entry.issuer else None
        supplied_key = entry.public_key.public_key if entry.public_key else None
        certificate = certificate_for(entry, issuer, supplied_key, at)
        disk.certificates[address] = certificate
        disk.recorded[address] = certificate.key_id
        disk.signed_by[address] = issuer.key_id if issuer else certificate.key_id
        disk.keys[address] = ObservedKey()
        if entry.public_key is None:
            mode, algorithm = entry.key.mode, entry.key.algorithm
            disk.keys[address] = closed_key(present_key(str(address), algorithm, mode), entry)
            disk.seen.add(certificate.key_id)
        if not entry.is_ca:
            disk.paths[address] = path_above(bundle, address, disk.certificates)
            disk.anchors[address] = anchors_of(entry, disk.certificates, bundle)
    for entry in bundle.entries:
        if entry.supplied is not None:
            del disk.certificates[entry.address]
    return disk


def empty_disk(bundle: Bundle) -> Disk:
    return Disk(bundle, manifest_state=ManifestState.ABSENT)


def decide(
    bundle: Bundle,
    disk: Disk,
    now: datetime = NOW,
    *,
    renew: Iterable[Address] = (),
    rekey: Iterable[Address] = (),
    prune: bool = False,
    no_renew: bool = False,
) -> Plan:
    """Plan, and check what holds for every plan."""
    requests = Requests(frozenset(renew), frozenset(rekey), prune=prune, no_renew=no_renew)
    found = plan(bundle, disk.observed(), now, requests)
    assert_whole(bundle, found)
    return found


def assert_whole(bundle: Bundle, plan: Plan) -> None:
    """Every address has one change or is kept; where neither, the plan cannot be applied."""
    changed = [change.address for change in plan.changes]
    assert len(set(changed)) == len(changed)
    assert not set(changed) & set(plan.kept)
    made = {entry.address for entry in bundle.entries if entry.supplied is None}
    assert plan.obstacles or made <= {*changed, *plan.kept}
    for change in plan.changes:
        assert change.reasons, change.address


def change_at(plan: Plan, address: Address) -> Change:
    found = [change for change in plan.changes if change.address == address]
    assert len(found) == 1, f"{address} has {len(found)} changes; the plan has {summary(plan)}"
    return found[0]


def reason_for(change: Change, code: ReasonCode) -> Reason:
    found = [reason for reason in change.reasons if reason.code is code]
    assert len(found) == 1, change.reasons
    return found[0]


def codes(change: Change) -> list[ReasonCode]:
    return [reason.code for reason in change.reasons]


def summary(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Give each change as its action and its reasons, by address, in the plan's order."""
    return {str(c.address): (str(c.action), *(str(reason.code) for reason in c.reasons)) for c in plan.changes}


def words(diagnostics: Iterable[Diagnostic]) -> list[tuple[str, str | None]]:
    """Give code and place of each diagnostic."""
    return [(diagnostic.code, diagnostic.where) for diagnostic in diagnostics]


def the(diagnostics: Iterable[Diagnostic], code: str) -> Diagnostic:
    """Give the one diagnostic with a code."""
    found = [diagnostic for diagnostic in diagnostics if diagnostic.code == code]
    assert len(found) == 1, words(diagnostics)
    return found[0]


def supplied_ca(address: Address = ROOT, *, with_key: bool = True) -> Entry:
    """Make a root that the user brings."""
    entry = authority(address)
    certificate = certificate_for(entry, key=public_key(f"brought {address}"))
    supplied = SuppliedAuthority(
        path=(certificate,),
        certificate_file="ca/root.pem",
        private_key_file="ca/root.key" if with_key else None,
        private_key_id=certificate.key_id if with_key else None,
        roots=(certificate,),
    )
    return replace(entry, supplied=supplied)


def supplied_key(label: str) -> SuppliedPublicKey:
    key = public_key(label)
    return SuppliedPublicKey(key, key_id_of(key), KeyAlgorithm.ECDSA_P256, f"{label}.pub")
