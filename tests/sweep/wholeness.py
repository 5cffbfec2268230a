"""What must hold of a tree at any instant, and what of one that is finished: each fault in words.

Certificates and keys are read by `cryptography`, never by certgen.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from .disk import ATTRIBUTES, COMBINED, IGNORE, KEY, LINK, MANIFEST, SEALED_KEY, SETTLED_MACHINE, STAMP, File, Tree
from .sealed import open_sealed

_PRIVATE: Final = 0o600
_BLOCK: Final = re.compile(rb"(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n)+")


def faults_at_once(found: Tree, before: Tree, after: Tree, rekeyed: str = "") -> list[str]:
    """Tell what may not be so, whenever one looks.

    found: the tree.
    before, after: as the run found it, and as an undisturbed run left it.
    rekeyed: the address whose key is being replaced, the only one where key and certificate may be apart.
    """
    faults = [
        f"{path} is torn: {fault}"
        for path, file in found.published.items()
        if (fault := _torn(path, file.content, (before, after)))
    ]
    faults += [f"{path} holds a private key and has mode {file.mode:04o}" for path, file in _open_secrets(found)]
    if any(file.has_private_key for file in found.files.values()) and IGNORE not in found.published:
        faults.append(f"there is a private key and no {IGNORE}")
    return faults + list(_pair_faults(found, rekeyed))


def faults_of_finished(found: Tree, addresses: Iterable[str], rendered: Tree) -> list[str]:
    """Tell what may not be so once a run has ended well, beside what may never be so.

    found: the tree.
    addresses: of the spec.
    rendered: a tree that holds the same derived files.
    """
    faults = faults_at_once(found, rendered, rendered)
    odd = (found.machine - {STAMP}) ^ SETTLED_MACHINE
    faults += [f"{path} is {'left over' if path in found.machine else 'not there'}" for path in sorted(odd)]
    faults += [f"{path} is an empty folder" for path in sorted(found.empty_folders)]
    listed = _listed(found)
    faults += [f"{path} is there and not in the manifest" for path in sorted(set(found.published) - listed)]
    faults += [f"{path} is in the manifest and not there" for path in sorted(listed - set(found.published))]
    if found.addresses != set(addresses):
        faults.append(f"there are {sorted(found.addresses)} and not {sorted(addresses)}")
    return faults + list(_path_faults(found)) + list(_combined_faults(found))


def lost_keys(held: Mapping[str, bytes], found: Tree, replaced: Iterable[str] = ()) -> list[str]:
    """Tell which private keys are no longer what they were.

    held: the keys that were there, by address.
    replaced: addresses whose keys were to go.
    """
    return [
        f"the key of {address} is {'another' if address in found.keys else 'gone'}"
        for address, key in sorted(held.items())
        if found.keys.get(address) != key and address not in set(replaced)
    ]


def touched(before: Tree, found: Tree, changed: Iterable[str]) -> list[str]:
    """Tell which files of entries that were not at work have been written, removed or given another mode.

    changed: the addresses that were at work.
    """
    at_work = tuple(f"{address}/" for address in changed)
    return [
        f"{path} was written, and its entry was not at work"
        for path in sorted({*before.published, *found.published})
        if "/" in path and not path.startswith(at_work) and before.published.get(path) != found.published.get(path)
    ]


def _torn(path: str, content: bytes, known: Iterable[Tree]) -> str:
    """Tell what is wrong with the content of a file."""
    read = _READERS.get(PurePosixPath(path).name)
    peers = [tree.published[path].content for tree in known if path in tree.published]
    if read is None:
        return "" if content in peers or not peers else "neither what it was nor what it becomes"
    try:
        size = read(content)
        sizes = {read(peer) for peer in peers}
    except (ValueError, TypeError) as reason:
        return str(reason) or type(reason).__name__
    return "" if size in sizes or not sizes else f"{size} certificates, and not {sorted(sizes)}"


def _read_certificates(content: bytes) -> int:
    if not _BLOCK.fullmatch(content):
        message = "not certificates from the first byte to the last"
        raise ValueError(message)
    certificates = x509.load_pem_x509_certificates(content)
    if b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates) != content:
        message = "not as its certificates are written"
        raise ValueError(message)
    return len(certificates)


def _read_key(content: bytes) -> int:
    key = load_pem_private_key(content, None)
    if key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) != content:
        message = "not as its key is written"
        raise ValueError(message)
    return 1


def _read_sealed_key(content: bytes) -> int:
    return _read_key(open_sealed(content))


def _read_combined(content: bytes) -> int:
    """Read a path and the key of its first certificate: one file is never of two runs."""
    certificates, mark, key = content.partition(b"-----BEGIN PRIVATE KEY-----")
    count = _read_certificates(certificates)
    _read_key(mark + key)
    if not _match(certificates, mark + key):
        message = "the key is not that of the certificate"
        raise ValueError(message)
    return count


def _read_json(content: bytes) -> int:
    json.loads(content)
    return 1


def _read_link(content: bytes) -> int:
    if not re.fullmatch(rb"\.\.[1-9][0-9]*", content):
        message = f"a link to {content!r}"
        raise ValueError(message)
    return 1


_READERS: Mapping[str, Callable[[bytes], int]] = {
    "cert.pem": _read_certificates,
    "ca.pem": _read_certificates,
    KEY: _read_key,
    SEALED_KEY: _read_sealed_key,
    COMBINED: _read_combined,
    MANIFEST: _read_json,
    LINK: _read_link,
}
"""How many things a file holds, by its name; it raises where the file is not whole."""


def _open_secrets(found: Tree) -> Iterator[tuple[str, File]]:
    for path, file in found.files.items():
        if file.has_private_key and file.mode != _PRIVATE:
            yield path, file


def _pair_faults(found: Tree, rekeyed: str) -> Iterator[str]:
    for address in sorted(found.addresses):
        certificate, key = found.published.get(f"{address}/cert.pem"), found.keys.get(address)
        if certificate is None:
            continue
        if key is None:
            yield f"{address} has a certificate and no key"
        elif address != rekeyed and not _match(certificate.content, key):
            yield f"key and certificate of {address} are apart"


def _match(certificates: bytes, key: bytes) -> bool:
    try:
        certificate = x509.load_pem_x509_certificates(certificates)[0]
        keys = (certificate.public_key(), load_pem_private_key(key, None).public_key())
    except (ValueError, TypeError):
        return False
    first, second = (key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in keys)
    return first == second


def _listed(found: Tree) -> set[str]:
    """Give the paths that the manifest explains, with the tree's own files."""
    try:
        entries = json.loads(found.published[MANIFEST].content)["entries"]
        paths = {f"{address}/{name}" for address, entry in entries.items() if entry for name in entry["files"]}
    except (KeyError, ValueError, TypeError, AttributeError):
        paths = set()
    shown = {path for path in found.published if re.sub(r"/\.\.[1-9][0-9]*/", "/", path) in paths}
    return paths | shown | {MANIFEST, IGNORE, ATTRIBUTES}


def _combined_faults(found: Tree) -> Iterator[str]:
    """Demand of each combined file that it is what stands beside it."""
    for path, file in sorted(found.published.items()):
        folder, _, name = path.rpartition("/")
        parts = [found.published.get(f"{folder}/{part}") for part in ("cert.pem", KEY)]
        if name == COMBINED and file.content != b"".join(part.content for part in parts if part is not None):
            yield f"{path} is not what stands beside it"


def _path_faults(found: Tree) -> Iterator[str]:
    """Demand of each certification path that it leads to a root of the tree, and of each trust file that it has one."""
    root = found.published.get("cas/root/cert.pem")
    for address in sorted(found.addresses):
        certificate = found.published.get(f"{address}/cert.pem")
        if root is None or certificate is None:
            continue
        try:
            path = x509.load_pem_x509_certificates(certificate.content)
            anchor = x509.load_pem_x509_certificates(root.content)[0]
            for lower, upper in zip(path, [*path[1:], anchor], strict=True):
                lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature) as reason:
            yield f"the certification path of {address} does not hold: {type(reason).__name__} {reason}"
    for name, file in found.published.items():
        if root is not None and name.endswith("/ca.pem") and file.content != root.content:
            yield f"{name} is not the root"
