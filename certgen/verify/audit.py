"""One tree against its spec: files, keys, names, usages, paths, anchors, modes, ownership."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256

from certgen.certificates import UnreadableError, parse_certificates
from certgen.diagnostics import Diagnostic, Severity
from certgen.manifest import DamagedManifestError, Manifest, parse_manifest
from certgen.model import Address, AnchorFile, Bundle, Certificate, Entry
from certgen.publication import LINK_NAME, Publication
from certgen.rfc5280 import objects
from certgen.store.tree import Tree
from certgen.tree import (
    CERTIFICATE_FILE,
    IGNORE_FILE,
    KUSTOMIZATION_FILE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    SPARE_KEY_FILE,
    TREE_FILES,
    TRUST_FILE,
    FileKind,
    FileState,
    file_names,
    ignore_file,
    is_marked,
    is_own,
)
from certgen.verify.contents import faults_of_contents
from certgen.verify.keys import KeyAudit, finding
from certgen.verify.lint import lint
from certgen.verify.paths import Fault, faults_of_path, refusal_by_library


def verify(bundle: Bundle, tree: Tree, now: datetime) -> tuple[Diagnostic, ...]:
    """Audit a tree.

    Args:
        bundle: what the spec describes.
        tree: the tree; it is only read.
        now: the time for which to judge, aware, in UTC.

    Returns:
        The findings, as errors, and notes on what was only looked at; sound is a tree without errors.

    Raises:
        CertgenError: something cannot be looked at, and so not judged.
    """
    with objects.quiet():
        return tuple(_Audit(bundle, tree, now).findings())


class _Audit:
    def __init__(self, bundle: Bundle, tree: Tree, now: datetime) -> None:
        self._bundle = bundle
        self._now = now
        self._files, self._paths, self._seen, self._is_interrupted = tree.steadily(lambda: _read(tree, bundle))
        self._certificates: dict[Address, list[x509.Certificate]] = {}
        self._keys = KeyAudit(self._state, self._manifest(), self._seen)

    def findings(self) -> Iterator[Diagnostic]:
        """Give all findings, entries in the order of the bundle, then those of the tree."""
        if not self._paths:
            yield finding(
                "no-tree",
                f"there is no tree of {self._bundle.name}",
                self._bundle.name,
                "run `certgen apply`",
            )
            return
        for entry in self._bundle.entries:
            if entry.supplied is not None:
                self._certificates[entry.address] = [_load(c) for c in entry.supplied.path]
            else:
                yield from self._read_certificates(entry)
        for entry in self._bundle.entries:
            if entry.supplied is None and entry.address in self._certificates:
                yield from self._judge(entry, self._certificates[entry.address])
            yield from self._keys.judge_generations(entry, self._paths)
            if entry.supplied is None and entry.public_key is None:
                certificates = self._certificates.get(entry.address)
                yield from self._keys.judge(entry, certificates[0] if certificates else None)
            yield from self._judge_artifacts(entry)
            yield from self._judge_publication(entry)
        yield from self._judge_serials()
        yield from self._judge_tree()

    def _read_certificates(self, entry: Entry) -> Iterator[Diagnostic]:
        path = f"{entry.address}/{CERTIFICATE_FILE}"
        state = self._state(path)
        if state.kind is FileKind.ABSENT:
            yield finding("file-missing", f"{path} is missing", path)
            return
        found = _parse(state)
        if found:
            self._certificates[entry.address] = found
        else:
            yield finding("file-unreadable", f"{path} holds no certificate that can be read", path)

    def _judge(self, entry: Entry, certificates: list[x509.Certificate]) -> Iterator[Diagnostic]:
        address, own = str(entry.address), certificates[0]
        issuer = self._certificates.get(entry.issuer, []) if entry.issuer else []
        for fault in faults_of_contents(entry, own, issuer[0] if issuer else None):
            yield finding(fault.code, f"{address} {fault.sentence}", address)
        for certificate in certificates[1:]:
            if certificate.subject == certificate.issuer:
                message = f"{address}/{CERTIFICATE_FILE} holds a root, which peers do not need"
                yield finding("root-in-path", message, address)
        yield from self._judge_bytes(f"{address}/{CERTIFICATE_FILE}", certificates)
        for sentence in lint(own):
            yield finding("lint", f"{address}: {sentence}", address)
        yield from self._judge_path(entry, certificates)
        if not entry.is_ca:
            yield from self._judge_anchors(entry)

    def _judge_path(self, entry: Entry, certificates: list[x509.Certificate]) -> Iterator[Diagnostic]:
        address = str(entry.address)
        path, root = self._path_to_root(entry, certificates)
        if root is None:
            message = f"the root above {address} is not there, so its path cannot be judged"
            yield finding("path-broken", message, address)
            return
        faults = list(dict.fromkeys(faults_of_path(path, root, self._now)))
        if not faults and not self._is_issued_as_asked(entry, certificates):
            faults = [Fault("path-broken", "its path goes over other CAs than those of the spec")]
        for fault in faults:
            yield finding(fault.code, f"{address}: {fault.sentence}", address)
        if not faults and not entry.is_ca:
            refusal = refusal_by_library(path, root, entry.template.extended_key_usage, self._now)
            if refusal is not None:
                message = f"{address} is refused by cryptography's verifier: {refusal}"
                yield finding("path-refused", message, address)

    def _judge_bytes(self, path: str, certificates: list[x509.Certificate]) -> Iterator[Diagnostic]:
        """Find what stands in a file beside its certificates: some programs stumble over it."""
        expected = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)
        if self._state(path).content != expected:
            yield finding("file-drifted", f"{path} was edited", path, "`certgen apply` writes it anew")

    def _is_issued_as_asked(self, entry: Entry, certificates: list[x509.Certificate]) -> bool:
        """Whether the path goes over the issuers that the spec names, where their certificates are there."""
        expected: list[x509.Certificate] = []
        for issuer in () if entry.is_ca else self._bundle.issuers_above(entry.address):
            if issuer.supplied is None and issuer.is_root:
                continue
            expected += self._certificates.get(issuer.address, [])[: None if issuer.supplied else 1]
        expected = [certificate for certificate in expected if certificate.subject != certificate.issuer]
        return entry.is_ca or len(certificates) > len(expected) + 1 or certificates[1:] == expected

    def _path_to_root(
        self, entry: Entry, certificates: list[x509.Certificate]
    ) -> tuple[list[x509.Certificate], x509.Certificate | None]:
        """Give the path as a peer would get it, and the root above it; a CA's path goes over its issuers' files."""
        if entry.issuer is None:
            return certificates[:1], certificates[0]
        above = self._bundle.issuers_above(entry.address)
        path = list(certificates)
        if entry.is_ca:
            path += [item for issuer in above[:-1] for item in self._certificates.get(issuer.address, [])[:1]]
        top = above[-1]
        if top.supplied is not None:
            if entry.is_ca:
                path += [_load(c) for c in top.supplied.path if not c.is_self_issued]
            return path, _load(top.supplied.roots[0])
        return path, next(iter(self._certificates.get(top.address, [])), None)

    def _judge_artifacts(self, entry: Entry) -> Iterator[Diagnostic]:
        for artifact in entry.artifacts:
            path = f"{entry.address}/{artifact.name}"
            state = self._state(path)
            if state.kind is FileKind.ABSENT:
                yield finding("file-missing", f"{path} is missing", path)
            elif state.content != artifact.content:
                message = f"{path} is not what the spec renders"
                yield finding("file-drifted", message, path, "`certgen apply` writes it anew")

    def _judge_publication(self, entry: Entry) -> Iterator[Diagnostic]:
        """Demand that all files of an entry come into sight as the spec asks, and none in another way."""
        states = {name: self._state(f"{entry.address}/{name}") for name in file_names(entry)}
        present = {name: state for name, state in states.items() if state.kind is FileKind.FILE}
        in_force = self._state(f"{entry.address}/{LINK_NAME}").generation
        match entry.publication:
            case Publication.FILES:
                astray = [name for name, state in present.items() if state.generation]
                message = f"{entry.address} has files behind {LINK_NAME}, which the spec does not ask for"
            case Publication.SYMLINK:
                shown = [name for name, state in present.items() if state.is_shown and state.generation == in_force]
                astray = [name for name in present if name not in shown]
                message = f"{entry.address} has files that {LINK_NAME} does not lead to: {', '.join(astray)}"
        if astray:
            yield finding("publication", message, str(entry.address), "`certgen apply` publishes them")

    def _judge_anchors(self, entry: Entry) -> Iterator[Diagnostic]:
        path = f"{entry.address}/{TRUST_FILE}"
        state = self._state(path)
        if state.kind is FileKind.ABSENT:
            yield finding("file-missing", f"{path} is missing", path)
            return
        certificates = _parse(state)
        if not certificates:
            yield finding("file-unreadable", f"{path} holds no certificate that can be read", path)
            return
        yield from self._judge_bytes(path, certificates)
        found = {certificate.fingerprint(_SHA256) for certificate in certificates}
        wanted: set[bytes] = set()
        for anchor in entry.trust:
            if isinstance(anchor, AnchorFile):
                wanted |= {_load(c).fingerprint(_SHA256) for c in anchor.certificates}
                continue
            supplied = self._bundle[anchor].supplied
            roots = [_load(c) for c in supplied.roots] if supplied else self._certificates.get(anchor, [])[:1]
            if not roots:
                # The root itself is missing, which is a finding of its own.
                return
            wanted |= {root.fingerprint(_SHA256) for root in roots}
        for certificate in certificates:
            if certificate.fingerprint(_SHA256) not in wanted:
                name = objects.from_name(certificate.subject)
                yield finding("wrong-trust", f"{path} trusts `{name}`, which the spec does not", path)
        if wanted - found:
            yield finding("wrong-trust", f"{path} lacks {len(wanted - found)} of the roots that the spec names", path)

    def _judge_serials(self) -> Iterator[Diagnostic]:
        """RFC 5280 4.1.2.2: issuer and serial number name one certificate."""
        owned = [(address, certificates[0]) for address, certificates in self._certificates.items()]
        counts = Counter((certificate.issuer, certificate.serial_number) for _, certificate in owned)
        for address, certificate in owned:
            if counts[certificate.issuer, certificate.serial_number] > 1:
                message = f"{address} shares its serial number with another certificate of its issuer"
                yield finding("serial-repeated", message, str(address))

    def _judge_tree(self) -> Iterator[Diagnostic]:
        if self._is_interrupted:
            message = "a run has not finished: it was interrupted, or it is under way"
            yield finding("interrupted", message, MACHINE_FOLDER, "`certgen apply` finishes it")
        if self._state(IGNORE_FILE).content != ignore_file(self._bundle):
            yield finding(
                "ignore-file",
                f"{IGNORE_FILE} does not keep private keys out of git as it should",
                IGNORE_FILE,
            )
        yield from self._judge_kustomization()
        manifest = self._manifest()
        if manifest is None:
            yield finding(
                "manifest",
                f"{MANIFEST_FILE} is missing or damaged",
                MANIFEST_FILE,
                "`certgen apply` rebuilds it",
            )
            return
        made = {entry.address for entry in self._bundle.entries if entry.supplied is None}
        for address in sorted(set(manifest.entries) - made, key=lambda address: address.sort_key):
            yield finding("orphan", f"{address} is not in the spec", str(address), "`certgen apply --prune` removes it")
        for path in self._paths:
            if not self._is_known(path, manifest):
                yield Diagnostic(Severity.NOTE, "unknown-file", f"{path} is not certgen's", where=path)

    def _judge_kustomization(self) -> Iterator[Diagnostic]:
        state, wanted = self._state(KUSTOMIZATION_FILE), self._bundle.kustomization
        if wanted and state.kind is FileKind.ABSENT:
            yield finding("file-missing", f"{KUSTOMIZATION_FILE} is missing", KUSTOMIZATION_FILE)
        elif wanted != state.content and (wanted or is_marked(state)):
            message = f"{KUSTOMIZATION_FILE} is not what the spec renders"
            yield finding("file-drifted", message, KUSTOMIZATION_FILE, "`certgen apply` writes it anew")

    def _manifest(self) -> Manifest | None:
        try:
            return parse_manifest(self._state(MANIFEST_FILE).content)
        except DamagedManifestError:
            return None

    def _is_known(self, path: str, manifest: Manifest) -> bool:
        parts = PurePosixPath(path).parts
        is_rendered = path == KUSTOMIZATION_FILE and self._bundle.kustomization
        if path in TREE_FILES or is_rendered or parts[0] == MACHINE_FOLDER:
            return True
        try:
            address = Address.parse("/".join(parts[:2]))
        except ValueError:
            return False
        name, listed = "/".join(parts[2:]), manifest.entries.get(address)
        names = listed.files if listed is not None else {}
        in_generation = LINK_NAME in names and is_own(name, self._state(path).content, names)
        return name in names or name.startswith(SPARE_KEY_FILE) or in_generation

    def _state(self, path: str) -> FileState:
        return self._files.get(path) or FileState(FileKind.ABSENT)


_SHA256 = SHA256()


def _read(tree: Tree, bundle: Bundle) -> tuple[dict[str, FileState], list[str], frozenset[str], bool]:
    paths = tree.paths()
    wanted = [f"{entry.address}/{name}" for entry in bundle.entries for name in (*file_names(entry), LINK_NAME)]
    files = tree.read(dict.fromkeys((*paths, *wanted)))
    tree.refuse_closed(files)
    return files, paths, tree.seen_keys(), tree.is_interrupted()


def _parse(state: FileState) -> list[x509.Certificate]:
    """Read certificates; none where one of them is damaged anywhere, so that nothing below has to expect it."""
    try:
        parse_certificates(state.content)
    except UnreadableError:
        return []
    return x509.load_pem_x509_certificates(state.content)


def _load(certificate: Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.der)
