"""Floor 12: private keys in clear among files that git is about to have."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from certgen.certificates import is_private_key_der
from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.loading import find_specs, spec_name
from certgen.model import Section
from certgen.protection import KeysInGit
from certgen.publication import is_generation
from certgen.spec.document import compose
from certgen.store.files import read_file
from certgen.tree import COMBINED_FILE, KEY_FILE, FileKind

_PEM: Final = re.compile(
    rb"-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY-----(?:\\[rn]|\s)+(Proc-Type: 4,ENCRYPTED)?([A-Za-z0-9+/=]{16,})?"
)
"""A private key, its kind, whether it is encrypted as of old, and its first line; a line's end may be escaped."""
_IDENTITY: Final = re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{58}")
_OPENSSH_OPEN: Final = b"openssh-key-v1\0\0\0\0\x04none"
_DER: Final = b"\x30"


def keys_in_clear(files: Iterable[Path], specs: Path) -> list[Diagnostic]:
    """Find the files that hold a private key that anybody can use.

    Args:
        files: what git is about to have.
        specs: the folder of the specs; where one of them lets git have its keys, those in its tree are left out.
    """
    fixtures = _fixtures(specs)
    found = []
    for path in files:
        state = read_file(path)
        what = _secret_in(state.content) if state.kind is FileKind.FILE else None
        if what is not None and not _is_fixture(path, fixtures):
            help_ = "keep it out of git, or seal it: `keys: {protection: age, recipients: [...]}` in its spec"
            found.append(error("key-in-clear", f"{path} holds {what} in clear", help=help_, where=str(path)))
    return found


def _secret_in(content: bytes) -> str | None:
    """Name the secret in a file, if it is open to anybody."""
    for kind, encrypted, body in _PEM.findall(content):
        if body and not encrypted and kind != b"ENCRYPTED " and not (kind == b"OPENSSH " and _is_closed(body)):
            return "a private key"
    if _IDENTITY.search(content):
        return "an age identity"
    return "a private key" if content.startswith(_DER) and is_private_key_der(content) else None


def _is_closed(first_line: bytes) -> bool:
    """Whether an OpenSSH private key has a passphrase: it names its cipher first."""
    whole = first_line[: len(first_line) // 4 * 4]
    return not b64decode(whole).startswith(_OPENSSH_OPEN)


def _fixtures(folder: Path) -> frozenset[str]:
    """Give the names of the trees whose private keys git may have."""
    try:
        paths = find_specs(folder)
    except CertgenError:
        return frozenset()
    return frozenset(name for path in paths if (name := _fixture_of(path)) is not None)


def _fixture_of(path: Path) -> str | None:
    """Give the name of a spec's tree, if git may have its keys; a spec with mistakes lets nobody have anything."""
    try:
        plain = compose(read_file(path).content, str(path)).plain
    except CertgenError:
        return None
    keys = plain.get("keys") if isinstance(plain, dict) else None
    if not isinstance(plain, dict) or not isinstance(keys, dict) or keys.get("git") != KeysInGit.COMMIT:
        return None
    name = plain.get("name")
    return name if isinstance(name, str) else spec_name(path)


def _is_fixture(path: Path, fixtures: frozenset[str]) -> bool:
    parts = [part for part in path.parts if not is_generation(part)][-4:]
    return (
        len(parts) == 4 and parts[0] in fixtures and parts[1] in set(Section) and parts[3] in {KEY_FILE, COMBINED_FILE}
    )
