"""The private keys of a tree: whether they are there, fit their certificates, and are as closed as the spec asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from certgen.diagnostics import Diagnostic, Severity
from certgen.manifest import Manifest, digest
from certgen.model import Entry
from certgen.protection import Protection
from certgen.rfc5280 import objects
from certgen.sealing import age, passphrase
from certgen.tree import (
    CERTIFICATE_FILE,
    COMBINED_FILE,
    KEY_FILE,
    FileKind,
    FileState,
    is_combined,
    is_secret,
    key_file,
)


def finding(code: str, message: str, where: str, help_: str | None = None) -> Diagnostic:
    """Make a finding; what is sound has none."""
    return Diagnostic(Severity.ERROR, code, message, help=help_, where=where)


def unreadable(path: str, state: FileState, kind: str) -> Diagnostic:
    """Make the finding of a file that should hold something and does not, or cannot be read at all.

    Args:
        path: the file, relative to the tree.
        state: what was found there; something.
        kind: what the file is for, in the singular.
    """
    if state.kind is FileKind.FILE:
        return finding("file-unreadable", f"{path} holds no {kind} that can be read", path)
    message = f"{path} cannot be read: {state.reason or state.kind.value}"
    return finding("file-unreadable", message, path, "`certgen plan` says what would become of it")


@dataclass(frozen=True, slots=True)
class KeyAudit:
    """Judges the private keys of one tree, one after the other.

    state: what stands at a path of the tree.
    manifest: None where there is none that can be read.
    seen: ids of the private keys that this machine has held.
    """

    state: Callable[[str], FileState]
    manifest: Manifest | None
    seen: Collection[str]

    def judge(self, entry: Entry, certificate: x509.Certificate | None) -> Iterator[Diagnostic]:
        """Judge the private key of an entry.

        Args:
            entry: an entry whose key certgen makes.
            certificate: its certificate, where there is one that can be read.
        """
        path, clear = f"{entry.address}/{key_file(entry)}", f"{entry.address}/{KEY_FILE}"
        state = self.state(path)
        if path != clear and self.state(clear).kind is not FileKind.ABSENT:
            yield finding("key-in-clear", f"{clear} is in clear, and the spec has keys sealed", clear, "remove it")
        if state.kind is FileKind.ABSENT:
            yield self._absent(path, certificate)
            return
        yield from _mode_faults(entry, path, state)
        if is_combined(entry):
            yield from self._combined(entry, state)
        if entry.key.protection is not None:
            yield self._sealed(entry, entry.key.protection, path)
        else:
            yield from _in_clear(path, state, certificate)

    def judge_generations(self, entry: Entry, paths: Iterable[str]) -> Iterator[Diagnostic]:
        """Judge the private keys that stand in generations which are not in force.

        Args:
            entry: an entry.
            paths: those of the tree's files.
        """
        folder = f"{entry.address}/"
        hidden = [path for path in paths if path.startswith(f"{folder}..") and is_secret(path.removeprefix(folder))]
        for path in hidden:
            state = self.state(path)
            is_closed = age.is_sealed(state.content) or passphrase.is_sealed(state.content)
            if entry.key.protection is not None and not is_closed:
                yield finding("key-in-clear", f"{path} is in clear, and the spec has keys sealed", path, "remove it")
            yield from _mode_faults(entry, path, state)

    def _combined(self, entry: Entry, private_key: FileState) -> Iterator[Diagnostic]:
        """Demand of the one file of path and private key that it holds both, and nothing else."""
        path, certificate = f"{entry.address}/{COMBINED_FILE}", self.state(f"{entry.address}/{CERTIFICATE_FILE}")
        state = self.state(path)
        if state.kind is FileKind.ABSENT:
            yield finding("file-missing", f"{path} is missing", path)
            return
        yield from _mode_faults(entry, path, state)
        if state.content != certificate.content + private_key.content:
            message = f"{path} is not its certificate file and then its private key"
            yield finding("file-drifted", message, path, "`certgen apply` writes it anew")

    def _sealed(self, entry: Entry, protection: Protection, path: str) -> Diagnostic:
        """Judge a sealed key by what the manifest knows of its file: nobody looks into it here."""
        content = self.state(path).content
        recorded = self.manifest.entries.get(entry.address) if self.manifest is not None else None
        if not (age.is_sealed(content) or passphrase.is_sealed(content)):
            return finding("key-in-clear", f"{path} is not sealed", path, "`certgen apply` seals it")
        if recorded is None or recorded.files.get(key_file(entry)) != digest(content):
            return finding("key-unknown", f"{path} is not the file that certgen sealed", path, "`certgen apply`")
        if recorded.sealed != protection.mark:
            return finding("key-sealed", f"{path} is sealed otherwise than the spec asks", path, "`certgen apply`")
        return Diagnostic(Severity.NOTE, "key-sealed", f"{path} is sealed and was not opened", where=path)

    def _absent(self, path: str, certificate: x509.Certificate | None) -> Diagnostic:
        """Tell a key that was here and is gone from one that was never here."""
        if certificate and objects.key_id(objects.public_key_der(certificate.public_key())) in self.seen:
            return finding("key-gone", f"{path} was on this machine and is gone", path, "restore it")
        return Diagnostic(Severity.NOTE, "key-elsewhere", f"{path} is not on this machine", where=path)


def _mode_faults(entry: Entry, path: str, state: FileState) -> Iterator[Diagnostic]:
    if state.kind is FileKind.FILE and state.mode & ~entry.key.mode:
        message = f"{path} has mode {state.mode:04o}, asked is {entry.key.mode:04o}"
        yield finding("key-mode", message, path, "`certgen apply` mends it, unless the file has a second name")


def _in_clear(path: str, state: FileState, certificate: x509.Certificate | None) -> Iterator[Diagnostic]:
    try:
        key = serialization.load_pem_private_key(state.content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        yield unreadable(path, state, "private key")
        return
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if certificate is not None and objects.public_key_der(certificate.public_key()) != public:
        yield finding("key-mismatch", f"{path} does not fit its certificate", path)
