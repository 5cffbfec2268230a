"""One tree against its spec: files, keys, names, usages, paths, anchors, modes, ownership."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256

from certgen.certificates import UnreadableError, parse_certificate, parse_certificates
from certgen.diagnostics import Diagnostic, Severity
from certgen.manifest import DamagedManifestError, Manifest, parse_manifest
from certgen.model import Address, AnchorFile, Bundle, Certificate, Entry
from certgen.plan.adoption import is_adopted
from certgen.publication import LINK_NAME
from certgen.rfc5280 import objects
from certgen.store.tree import Tree
from certgen.tree import (
    CERTIFICATE_FILE,
    IGNORE_FILE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    TRUST_FILE,
    FileKind,
    FileState,
    file_names,
    ignore_file,
)
from certgen.verify.contents import faults_of_contents
from certgen.verify.keys import KeyAudit, finding, unreadable
from certgen.verify.lint import lint
from certgen.verify.ownership import is_known, is_out_of_sight, judge_kustomization, judge_publication
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
        seen = [entry for entry in self._bundle.entries if not is_out_of_sight(entry, self._state)]
        for entry in seen:
            if entry.supplied is not None:
                self._certificates[entry.address] = [_load(c) for c in entry.supplied.path]
            else:
                yield from self._read_certificates(entry)
        for entry in seen:
            if entry.supplied is None and entry.address in self._certificates:
                yield from self._judge(entry, self._certificates[entry.address])
            if entry.supplied is None and entry.public_key is None:
                certificates = self._certificates.get(entry.address)
                yield from self._keys.judge(entry, certificates[0] if certificates else None)
            yield from self._judge_artifacts(entry)
        for entry in self._bundle.entries:
            yield from judge_publication(entry, self._state)
            yield from self._keys.judge_generations(entry, self._paths)
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
            yield unreadable(path, state, "certificate")

    def _judge(self, entry: Entry, certificates: list[x509.Certificate]) -> Iterator[Diagnostic]:
        address, own = str(entry.address), certificates[0]
        issuer = self._certificates.get(entry.issuer, []) if entry.issuer else []
        is_adopted = self._is_adopted(entry, own)
        for fault in faults_of_contents(entry, own, issuer[0] if issuer else None):
            yield _softened(finding(fault.code, f"{address} {fault.sentence}", address), is_adopted=is_adopted)
        for certificate in certificates[1:]:
            if certificate.subject == certificate.issuer:
                message = f"{address}/{CERTIFICATE_FILE} holds a root, which peers do not need"
                yield finding("root-in-path", message, address)
        yield from self._judge_bytes(f"{address}/{CERTIFICATE_FILE}", certificates)
        for sentence in lint(own):
            yield _softened(finding("lint", f"{address}: {sentence}", address), is_adopted=is_adopted)
        yield from self._judge_path(entry, certificates)
        if not entry.is_ca:
            yield from self._judge_anchors(entry)

    def _is_adopted(self, entry: Entry, own: x509.Certificate) -> bool:
        manifest = self._manifest()
        recorded = manifest.entries.get(entry.address) if manifest is not None else None
        return is_adopted(entry, parse_certificate(own.public_bytes(serialization.Encoding.DER)), recorded)

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
                yield _softened(
                    finding("path-refused", message, address), is_adopted=self._is_adopted(entry, certificates[0])
                )

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

    def _judge_anchors(self, entry: Entry) -> Iterator[Diagnostic]:
        path = f"{entry.address}/{TRUST_FILE}"
        state = self._state(path)
        if state.kind is FileKind.ABSENT:
            yield finding("file-missing", f"{path} is missing", path)
            return
        certificates = _parse(state)
        if not certificates:
            yield unreadable(path, state, "certificate")
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
        yield from judge_kustomization(self._bundle, self._state)
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
            if not is_known(path, manifest, self._bundle, self._state):
                yield Diagnostic(Severity.NOTE, "unknown-file", f"{path} is not certgen's", where=path)

    def _manifest(self) -> Manifest | None:
        try:
            return parse_manifest(self._state(MANIFEST_FILE).content)
        except DamagedManifestError:
            return None

    def _state(self, path: str) -> FileState:
        return self._files.get(path) or FileState(FileKind.ABSENT)


_SHA256 = SHA256()


def _read(tree: Tree, bundle: Bundle) -> tuple[dict[str, FileState], list[str], frozenset[str], bool]:
    paths = tree.paths()
    wanted = [f"{entry.address}/{name}" for entry in bundle.entries for name in (*file_names(entry), LINK_NAME)]
    files = tree.read(dict.fromkeys((*paths, *wanted)))
    tree.refuse_closed(files)
    return files, paths, tree.seen_keys(), tree.is_interrupted()


def _softened(diagnostic: Diagnostic, *, is_adopted: bool) -> Diagnostic:
    """Give a finding as a note where the certificate was imported as it is, and nothing else has been asked since."""
    if not is_adopted:
        return diagnostic
    help_ = "it was imported as it is, and stays so until it is due or its entry is edited"
    return replace(diagnostic, severity=Severity.NOTE, help=help_)


def _parse(state: FileState) -> list[x509.Certificate]:
    """Read certificates; none where one of them is damaged anywhere, so that nothing below has to expect it."""
    try:
        parse_certificates(state.content)
    except UnreadableError:
        return []
    return x509.load_pem_x509_certificates(state.content)


def _load(certificate: Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.der)
