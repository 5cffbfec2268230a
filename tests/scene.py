"""A spec and its tree on a real disk: what the whole-tree tests act upon and look at."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from foreign import Purpose, openssl, supports

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS
from certgen.diagnostics import CertgenError, Severity
from certgen.model import Address, Bundle, Entry, Section
from certgen.pipeline import LoadedSpec, PlannedSpec, apply_specs, load_specs, parse_requests, plan_specs
from certgen.plan.values import Change, Plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The time of every test that does not say another."""

PURPOSES: Mapping[Section, tuple[Purpose, ...]] = {
    Section.SERVERS: ("server",),
    Section.CLIENTS: ("client",),
    Section.PEERS: ("server", "client"),
}
MET_AS: Mapping[Section, Mapping[Section, tuple[Purpose, ...]]] = {
    Section.SERVERS: {Section.CLIENTS: ("client",), Section.PEERS: ("client",)},
    Section.CLIENTS: {Section.SERVERS: ("server",), Section.PEERS: ("server",)},
    Section.PEERS: {
        Section.SERVERS: ("server",),
        Section.CLIENTS: ("client",),
        Section.PEERS: ("server", "client"),
    },
}
"""Whom an entry of each section meets, and as what."""


@dataclass(frozen=True)
class Record:
    """All that a write could change about a file, a folder or a link."""

    content: bytes
    mode: int
    inode: int
    modified: int
    changed: int

    def is_same_file_as(self, other: "Record | None") -> bool:
        """Tell whether nobody wrote in between; a change of the mode is no write."""
        return other is not None and (self.content, self.inode, self.modified) == (
            other.content,
            other.inode,
            other.modified,
        )


Snapshot = Mapping[str, Record]
"""By path relative to where it was taken; the folder itself is `.`."""


def take_snapshot(root: Path) -> Snapshot:
    """Look at everything below a folder, and at the folder; nothing where there is none.

    A stamp is not looked at: a run with nothing to do leaves one, once all is two seconds old.

    root: the folder.
    """
    paths = [root, *sorted(root.rglob("*"))] if root.exists() else []
    found = {str(path.relative_to(root)): _record(path) for path in paths if not is_stamp(path)}
    return {path: _timeless(record) if is_machines(Path(path)) else record for path, record in found.items()}


def is_stamp(path: Path) -> bool:
    """Whether a file is that by which a run with nothing to do is told."""
    return path.name == "stamp" and path.parent.name == ".certgen"


def is_machines(path: Path) -> bool:
    """Whether a folder is that of this machine's notes, whose times tell when a stamp was left."""
    return path.name == ".certgen"


def _timeless(record: Record) -> Record:
    return Record(record.content, record.mode, record.inode, 0, 0)


def _record(path: Path) -> Record:
    found = path.lstat()
    content = b""
    if stat.S_ISLNK(found.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    return Record(content, found.st_mode, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def touched(before: Snapshot, after: Snapshot) -> set[str]:
    """Name the files, this machine's notes aside, that were written, added or removed.

    before, after: snapshots of one tree.
    """
    return {
        path
        for path in {*before, *after}
        if not path.startswith(".certgen") and not _is_unwritten(before.get(path), after.get(path))
    }


def _is_unwritten(before: Record | None, after: Record | None) -> bool:
    present = [record for record in (before, after) if record is not None]
    if all(stat.S_ISDIR(record.mode) for record in present):
        return True
    return after is not None and after.is_same_file_as(before)


def says(change: Change) -> str:
    """Put a change in one line: the action, the codes of its reasons, what becomes of the key.

    change: of a plan.
    """
    codes = ", ".join(dict.fromkeys(str(reason.code) for reason in change.reasons))
    return f"{change.action}: {codes}" + (f"; key {change.key}" if change.key else "")


@dataclass(frozen=True)
class Applied:
    """What one run did to one tree, as planned and as seen from outside."""

    plan: Plan
    before: Snapshot
    after: Snapshot

    @property
    def changes(self) -> dict[str, str]:
        """What the plan said, by address."""
        return {str(change.address): says(change) for change in self.plan.changes}

    @property
    def touched(self) -> set[str]:
        """The files that are not, to the inode and the nanosecond, what they were."""
        return touched(self.before, self.after)

    @property
    def notices(self) -> list[str]:
        """The codes of what the plan warned of."""
        return sorted(notice.code for notice in self.plan.notices)


class Scene:
    """A folder with specs, `specs/shop.yaml` unless said otherwise, and the output beside it."""

    def __init__(self, folder: Path, now: datetime = NOW) -> None:
        self.folder = folder
        self.specs = folder / "specs"
        self.output = folder / "output"
        self.now = now
        self.specs.mkdir(parents=True, exist_ok=True)

    @property
    def tree(self) -> Path:
        """The tree of the spec `shop`."""
        return self.output / "shop"

    def write(self, text: str, name: str = "shop.yaml") -> None:
        """Write a spec."""
        (self.specs / name).write_text(dedent(text), encoding="utf-8")

    def edit(self, *replacements: tuple[str, str], name: str = "shop.yaml") -> None:
        """Edit a spec; each old text must stand in it exactly once."""
        path = self.specs / name
        text = path.read_text(encoding="utf-8")
        for old, new in replacements:
            assert text.count(old) == 1, (old, text)
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def load(self) -> tuple[LoadedSpec, ...]:
        """Load all specs of the scene."""
        return load_specs(sorted(self.specs.glob("*.yaml")))

    def planned(
        self,
        now: datetime | None = None,
        *,
        renew: Iterable[str] = (),
        rekey: Iterable[str] = (),
        prune: bool = False,
        no_renew: bool = False,
    ) -> tuple[PlannedSpec, ...]:
        """Plan all specs, and demand that planning writes nothing."""
        renew, rekey = list(renew), list(rekey)
        loaded = self.load()
        asked = parse_requests(loaded, renew=renew, rekey=rekey, prune=prune, no_renew=no_renew)
        before = take_snapshot(self.output)
        planned = plan_specs(loaded, self.output, now or self.now, asked)
        is_stuck = any(item.plan.obstacles for item in planned)
        in_sync = all(item.plan.is_in_sync for item in planned)
        options = [f"--renew={name}" for name in renew] + [f"--rekey={name}" for name in rekey]
        options += ["--prune"] * prune + ["--no-renew"] * no_renew
        assert self.exit_code(now, options) == (2 if is_stuck else 0 if in_sync else 1)
        assert take_snapshot(self.output) == before
        return planned

    def exit_code(self, now: datetime | None = None, options: Iterable[str] = ()) -> int:
        """Give the exit code of `certgen plan` over all specs of the scene."""
        specs = [str(path) for path in sorted(self.specs.glob("*.yaml"))]
        at = f"{now or self.now:%Y-%m-%dT%H:%M:%SZ}"
        arguments = ["plan", *specs, "-o", str(self.output), "--at", at, *options]
        assert COMMANDS, "what has added its commands to the group"
        return CliRunner().invoke(certgen, arguments).exit_code

    def plan(
        self,
        now: datetime | None = None,
        *,
        renew: Iterable[str] = (),
        rekey: Iterable[str] = (),
        prune: bool = False,
        no_renew: bool = False,
    ) -> Plan:
        """Plan the one spec."""
        (planned,) = self.planned(now, renew=renew, rekey=rekey, prune=prune, no_renew=no_renew)
        return planned.plan

    def run(
        self,
        now: datetime | None = None,
        *,
        renew: Iterable[str] = (),
        rekey: Iterable[str] = (),
        prune: bool = False,
        no_renew: bool = False,
    ) -> list[Applied]:
        """Apply all specs, and look at nothing afterwards."""
        loaded = self.load()
        asked = parse_requests(loaded, renew=renew, rekey=rekey, prune=prune, no_renew=no_renew)
        trees = [self.output / item.bundle.name for item in loaded]
        before = [take_snapshot(tree) for tree in trees]
        outcomes = apply_specs(loaded, self.output, now or self.now, asked)
        after = [take_snapshot(tree) for tree in trees]
        return [Applied(outcome.plan, *snapshots) for outcome, *snapshots in zip(outcomes, before, after, strict=True)]

    def apply(
        self,
        now: datetime | None = None,
        *,
        renew: Iterable[str] = (),
        rekey: Iterable[str] = (),
        prune: bool = False,
        no_renew: bool = False,
    ) -> Applied:
        """Apply the one spec, and demand what holds after every run: see `assert_settled`."""
        renew, rekey = list(renew), list(rekey)
        self.planned(now, renew=renew, rekey=rekey, prune=prune, no_renew=no_renew)
        (applied,) = self.run(now, renew=renew, rekey=rekey, prune=prune, no_renew=no_renew)
        self.assert_settled(now, no_renew=no_renew)
        return applied

    def refused(
        self,
        now: datetime | None = None,
        *,
        renew: Iterable[str] = (),
        rekey: Iterable[str] = (),
        prune: bool = False,
    ) -> list[str]:
        """Demand that the run is refused with nothing written; give its errors' codes and places."""
        renew, rekey = list(renew), list(rekey)
        self.planned(now, renew=renew, rekey=rekey, prune=prune)
        before = take_snapshot(self.output)
        with pytest.raises(CertgenError) as caught:
            self.run(now, renew=renew, rekey=rekey, prune=prune)
        assert take_snapshot(self.output) == before
        errors = [problem for problem in caught.value.diagnostics if problem.severity is Severity.ERROR]
        assert errors
        assert all(problem.help for problem in errors), errors
        return sorted(f"{problem.code} {problem.where or ''}".strip() for problem in errors)

    def refused_spec(self) -> list[str]:
        """Demand that the specs do not load, and give the codes of the errors."""
        with pytest.raises(CertgenError) as caught:
            self.load()
        return [problem.code for problem in caught.value.diagnostics if problem.severity is Severity.ERROR]

    def assert_settled(self, now: datetime | None = None, *, no_renew: bool = False) -> None:
        """Demand that every plan is in sync, a second run writes nothing, and all chains and pairs hold."""
        for planned in self.planned(now, no_renew=no_renew):
            changes = {str(change.address): says(change) for change in planned.plan.changes}
            assert (changes, planned.plan.obstacles, planned.plan.modes) == ({}, (), ())
        before = take_snapshot(self.output)
        again = self.run(now, no_renew=no_renew)
        assert take_snapshot(self.output) == before
        assert all(not applied.changes for applied in again)
        assert not [path for path in before if ".certgen/new" in path or ".certgen/journal" in path]
        self.assert_all_pairs_match()
        self.assert_all_chains_verify(now)

    def assert_all_pairs_match(self) -> None:
        """Demand that each private key that is here is that of the certificate beside it."""
        for tree in self.output.iterdir():
            for key in tree.glob("*/*/key.pem"):
                assert key_of_file(key) == key_id(load(key.with_name("cert.pem"))), key

    def assert_all_chains_verify(self, now: datetime | None = None) -> None:
        """Demand of OpenSSL that each end entity chains to its root, and that peers accept each other."""
        for loaded in self.load():
            _Chains(loaded.bundle, self.output / loaded.bundle.name, now or self.now).verify()

    def certificate(self, address: str) -> x509.Certificate:
        """Read the certificate of an entry."""
        return load(self.tree / address / "cert.pem")

    def key_id(self, address: str) -> str:
        """Give the key id of an entry's certificate."""
        return key_id(self.certificate(address))

    def names(self, address: str) -> list[str]:
        """Give the subject alternative names of an entry's certificate, as text."""
        sans = self.certificate(address).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [str(name.value) for name in sans.value]


def load(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def key_id(certificate: x509.Certificate) -> str:
    """Give the SHA-256 of a certificate's SubjectPublicKeyInfo."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def key_of_file(path: Path) -> str:
    """Give the key id of a private key file."""
    key = load_pem_private_key(path.read_bytes(), None)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


class _Chains:
    """All chains of one tree at one time."""

    def __init__(self, bundle: Bundle, tree: Path, now: datetime) -> None:
        self._bundle = bundle
        self._tree = tree
        self._now = now
        self._end_entities = [entry for entry in bundle.entries if not entry.is_ca]
        self._judged: dict[tuple[bytes, bytes, Purpose], bool] = {}

    def verify(self) -> None:
        for entry in self._end_entities:
            anchors = self._root(entry)
            for purpose in PURPOSES[entry.address.section]:
                self._demand(entry, anchors, purpose)
        for entry in self._end_entities:
            for other in self._end_entities:
                self._demand_meeting(entry, other)

    def _demand_meeting(self, entry: Entry, other: Entry) -> None:
        """Demand that an entry accepts another that it meets and whose root it trusts."""
        if other is entry or self._root_address(other) not in entry.trust:
            return
        anchors = (self._tree / str(entry.address) / "ca.pem").read_bytes()
        for purpose in MET_AS[entry.address.section].get(other.address.section, ()):
            self._demand(other, anchors, purpose)

    def _demand(self, entry: Entry, anchors: bytes, purpose: Purpose) -> None:
        path = self._tree / str(entry.address) / "cert.pem"
        question = (path.read_bytes(), anchors, purpose)
        if question in self._judged:
            return
        self._judged[question] = True
        if not all(supports("openssl", algorithm) for algorithm in self._algorithms(entry)):
            verify_in_process(path.read_bytes(), anchors, self._now)
            return
        ca_file = self._tree.parent.with_name("anchors.pem")
        ca_file.write_bytes(anchors)
        verdict = openssl(path, ca_file, purpose, _name(entry), self._now)
        assert verdict.accepted, (str(entry.address), purpose, verdict.words)

    def _algorithms(self, entry: Entry) -> list[str]:
        entries = (entry, *self._bundle.issuers_above(entry.address))
        return [str(one.key.algorithm) for one in entries if one.public_key is None and one.supplied is None]

    def _root_address(self, entry: Entry) -> Address:
        return self._bundle.issuers_above(entry.address)[-1].address

    def _root(self, entry: Entry) -> bytes:
        """Give the root above an entry: from its own folder, or what the user brings."""
        root = self._bundle[self._root_address(entry)]
        if root.supplied is None:
            return (self._tree / str(root.address) / "cert.pem").read_bytes()
        roots = [x509.load_der_x509_certificate(certificate.der) for certificate in root.supplied.roots]
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in roots)


def _name(entry: Entry) -> str | None:
    """Give a name that OpenSSL can ask for."""
    for name in entry.template.subject_alt_names:
        if name.kind in {"DNS", "IP"} and "*" not in name.value:
            return name.value
    return None


def verify_in_process(path_pem: bytes, anchors_pem: bytes, now: datetime) -> None:
    """Verify a certification path without a program and without certgen: signatures, dates, CA bits."""
    path = x509.load_pem_x509_certificates(path_pem)
    anchors = x509.load_pem_x509_certificates(anchors_pem)
    last = path[-1]
    root = next(anchor for anchor in anchors if anchor.subject == last.issuer and _signed(last, anchor))
    for certificate, issuer in zip(path, [*path[1:], root], strict=True):
        certificate.verify_directly_issued_by(issuer)
        assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        assert certificate.not_valid_after_utc <= issuer.not_valid_after_utc
        pointer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert pointer.key_identifier == own.digest


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
