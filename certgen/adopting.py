"""Floor 11: the certificates and private keys that others made are put into a tree, byte for byte, as its first run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certgen.diagnostics import CertgenError, Diagnostic, Severity, error
from certgen.encoders.pem import encode_certificates
from certgen.journal import Recovery
from certgen.manifest import Manifest, ManifestEntry, digest, render_manifest
from certgen.model import Address, Bundle, Certificate, Entry
from certgen.plan.adoption import adoption_mark, differences
from certgen.plan.derived import anchors_of, path_above
from certgen.plan.values import Reason, ReasonCode
from certgen.sealing.port import PrivateKey
from certgen.store.tree import Tree
from certgen.store.writer import FileWrite, writing
from certgen.tree import (
    ATTRIBUTES_FILE,
    CERTIFICATE_FILE,
    IGNORE_FILE,
    KEY_FILE,
    KEYS_NOTE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    PRIVATE_MODE,
    PUBLIC_MODE,
    TRUST_FILE,
    attributes_file,
    ignore_file,
)

_WORDS: Final = {
    ReasonCode.SUBJECT_CHANGED: "subject",
    ReasonCode.SANS_CHANGED: "names",
    ReasonCode.VALIDITY_CHANGED: "validity",
    ReasonCode.OUTLIVES_ISSUER: "end",
    ReasonCode.KEY_ALGORITHM_CHANGED: "key",
}
"""What a difference is about, where its reason names nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """What another program made for an entry."""

    certificate: Certificate
    private_key: PrivateKey | None = None
    """None where it is elsewhere."""


def refuse_tree(root: Path) -> None:
    """Refuse a folder in which something stands.

    Raises:
        CertgenError: a tree is there, and nothing in it is written over.
    """
    # What a run that failed has left of its lock is no tree.
    if any(not path.startswith(f"{MACHINE_FOLDER}/") for path in Tree(root).paths()):
        message = f"{root} exists, and it is left as it is"
        raise CertgenError([error("exists", message, help="name another spec with `--to`", where=str(root))])


def adopt(bundle: Bundle, found: Mapping[Address, Found], root: Path) -> tuple[Diagnostic, ...]:
    """Write a tree of what others made: all of it, or nothing.

    Args:
        bundle: what the spec says that was written for it.
        found: by entry; one without is issued by the first `apply`.
        root: the tree's folder, in which nothing stands.

    Returns:
        A note for each certificate of which the spec cannot say all.

    Raises:
        CertgenError: something stands there, or the disk refused.
    """
    refuse_tree(root)
    entries = [bundle[address] for address in bundle.index if address in found]
    lines = {entry.address: _line(entry, bundle, found) for entry in entries}
    keys = sorted(item.certificate.key_id for item in found.values() if item.private_key is not None)
    writes = [
        FileWrite(IGNORE_FILE, ignore_file(bundle), PUBLIC_MODE),
        FileWrite(ATTRIBUTES_FILE, attributes_file(bundle), PUBLIC_MODE),
        *(write for entry in entries for write in _files(entry, bundle, found)),
        FileWrite(MANIFEST_FILE, render_manifest(Manifest(bundle.name, lines)), PUBLIC_MODE),
        FileWrite(KEYS_NOTE, "".join(f"{key}\n" for key in keys).encode(), PRIVATE_MODE),
    ]
    with writing(root) as writer:
        if writer.recover() is Recovery.COMPLETED:
            refuse_tree(root)
        writer.begin(bundle.name, extends=True)
        writer.commit(writes, lines=lines)
        writer.finish()
    return tuple(_note(entry.address, reasons) for entry in entries if (reasons := _differences(entry, found)))


def _files(entry: Entry, bundle: Bundle, found: Mapping[Address, Found]) -> list[FileWrite]:
    own, folder = found[entry.address], f"{entry.address}/"
    contents = _public(entry, bundle, found)
    writes = [FileWrite(f"{folder}{name}", content, PUBLIC_MODE) for name, content in contents.items()]
    if own.private_key is not None:
        writes.insert(0, FileWrite(f"{folder}{KEY_FILE}", own.private_key.pem, entry.key.mode))
    return writes


def _public(entry: Entry, bundle: Bundle, found: Mapping[Address, Found]) -> dict[str, bytes]:
    """Give the contents of the files that anybody may read, by name."""

    def certificate_of(address: Address) -> Certificate | None:
        return found[address].certificate if address in found else None

    path = [found[entry.address].certificate, *path_above(entry, bundle, certificate_of)]
    contents = {CERTIFICATE_FILE: _encoded(path)}
    return contents if entry.is_ca else contents | {TRUST_FILE: _encoded(anchors_of(entry, bundle, certificate_of))}


def _encoded(certificates: Iterable[Certificate | None]) -> bytes:
    return encode_certificates(certificate.der for certificate in certificates if certificate is not None)


def _line(entry: Entry, bundle: Bundle, found: Mapping[Address, Found]) -> ManifestEntry:
    files: dict[str, str | None] = {KEY_FILE: None}
    files |= {name: digest(content) for name, content in _public(entry, bundle, found).items()}
    certificate = found[entry.address].certificate
    mark = adoption_mark(entry, certificate.der) if _differences(entry, found) else None
    return ManifestEntry(certificate.key_id, files, adopted=mark)


def _differences(entry: Entry, found: Mapping[Address, Found]) -> tuple[Reason, ...]:
    issuer = found.get(entry.issuer) if entry.issuer is not None else None
    return differences(entry, found[entry.address].certificate, issuer.certificate if issuer else None)


def _note(address: Address, reasons: Iterable[Reason]) -> Diagnostic:
    parts = [f"{_what(one)} {one.was or 'none'} (spec: {one.wanted or 'none'})" for one in reasons]
    message = f"{address} has what its entry does not say: {'; '.join(parts)}"
    help_ = "it stays as it is until it is due, or its entry is edited"
    return Diagnostic(Severity.WARNING, "not-expressed", message, help=help_, where=str(address))


def _what(reason: Reason) -> str:
    return reason.what or _WORDS.get(reason.code, str(reason.code))
