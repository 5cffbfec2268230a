"""An entry's folder as ssl takes it, wherever it is: in a tree, or copied to its host."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from certgen.certificates import UnreadableError, parse_certificate, parse_certificates
from certgen.diagnostics import CertgenError, error
from certgen.model import Certificate
from certgen.sealing.passphrase import is_sealed
from certgen.store.files import find_entry_folder, is_there, read_entry_file
from certgen.tls.contexts import Credentials
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, SEALED_KEY_FILE, TRUST_FILE, FileKind, FileState


@dataclass(frozen=True, slots=True)
class Identity:
    """Who serves or connects."""

    name: str
    """Its address, or its folder."""
    credentials: Credentials
    anchors: bytes = field(repr=False)
    certificate: Certificate


def load_identity(text: str, output: Path) -> Identity:
    """Find an entry's folder and read what it holds.

    Args:
        text: an address, which may be qualified, or a folder with cert.pem, key.pem and ca.pem.
        output: the folder of all trees.

    Raises:
        CertgenError: there is no such folder, or a file in it is missing or cannot be read.
    """
    folder = find_entry_folder(text, output)
    found: dict[str, FileState] = {}
    for name in (CERTIFICATE_FILE, KEY_FILE, TRUST_FILE):
        state = read_entry_file(folder, name)
        if state.kind is not FileKind.FILE:
            reason = "is not there" if state.kind is FileKind.ABSENT else f"cannot be read: {state.reason}"
            help_ = "make it with `certgen apply`, on the machine that has the key" if name == KEY_FILE else None
            if name == KEY_FILE and is_there(folder / SEALED_KEY_FILE):
                help_ = f"it is sealed: `certgen keys decrypt {text} -o DIR` opens it"
            raise CertgenError([error("file-missing", f"{folder / name} {reason}", help=help_, where=text)])
        if name != KEY_FILE:
            found[name] = state
        elif is_sealed(state.content):
            help_ = f"`certgen keys decrypt {text} -o DIR` opens it"
            raise CertgenError([error("key-sealed", f"{folder / name} is sealed", help=help_, where=text)])
    try:
        certificate = parse_certificates(found[CERTIFICATE_FILE].content)[0]
    except UnreadableError as reason:
        place = str(folder / CERTIFICATE_FILE)
        raise CertgenError([error("unreadable", f"{place}: {reason}", where=place)]) from None
    credentials = Credentials(folder / CERTIFICATE_FILE, folder / KEY_FILE)
    return Identity(text, credentials, found[TRUST_FILE].content, certificate)


def peer_certificate(tls: ssl.SSLSocket) -> Certificate | None:
    """Give the certificate of the other side; None where there is none, or none that certgen can read."""
    try:
        return parse_certificate(tls.getpeercert(binary_form=True) or b"")
    except UnreadableError:
        return None
