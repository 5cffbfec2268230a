"""Private keys as age files (age-encryption.org/v1), in ASCII armour: closed for recipients, who are public."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from certgen.sealing.port import BadSecretError, CannotOpenError, PrivateKey

_ARMOUR: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
_BINARY: Final = b"age-encryption.org/v1\n"
_IDENTITY: Final = "AGE-SECRET-KEY-1"
_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_NATIVE: Final = "age1"
_SSH: Final = "ssh-ed25519"
MISSING: Final = "the Python package pyrage is not here"
REMEDY: Final = "pip install 'certgen[age]'"


class NoLibraryError(BadSecretError):
    """What age needs is not installed."""


def is_sealed(content: bytes) -> bool:
    """Whether a file is one of age's, armoured or not."""
    return content.startswith((_ARMOUR, _BINARY))


def read_recipient(text: str) -> str:
    """Give a recipient in its one form: `age1...`, or `ssh-ed25519 AAAA...` without its comment.

    Raises:
        NoLibraryError: nothing here can tell.
        BadSecretError: it is no recipient.
    """
    words = text.split()
    if words[:1] == [_SSH] and len(words) >= 2:
        canonical = " ".join(words[:2])
    elif len(words) == 1 and text.startswith(_NATIVE):
        canonical = text
    elif _IDENTITY in text.upper():
        raise BadSecretError("this is a secret identity, not a recipient: its public half begins with `age1`")
    else:
        raise BadSecretError("not a recipient of age")
    _recipient(canonical)
    return canonical


class AgeSealer:
    """Closes private keys for recipients; see `port.Sealer`.

    Args:
        recipients: in their one form; any of them can open what is closed.

    Raises:
        BadSecretError: one is none, or what age needs is not installed.
    """

    def __init__(self, recipients: Iterable[str]) -> None:
        self._library = _load()
        self._recipients = [_recipient(text) for text in recipients]

    def seal(self, private_key: PrivateKey) -> bytes:
        """See `port.Sealer.seal`."""
        sealed: bytes = self._library.encrypt(private_key.pem, self._recipients, armored=True)
        return sealed


class AgeUnsealer:
    """Opens private keys with identities; see `port.Unsealer`.

    Args:
        identities: the contents of identity files: `AGE-SECRET-KEY-1...` lines, or an OpenSSH private key.

    Raises:
        BadSecretError: one holds no identity, or what age needs is not installed.
    """

    def __init__(self, identities: Sequence[bytes]) -> None:
        self._library = _load()
        self._identities = [identity for content in identities for identity in self._read(content)]

    def unseal(self, sealed: bytes) -> PrivateKey:
        """See `port.Unsealer.unseal`."""
        try:
            return PrivateKey(self._library.decrypt(sealed, self._identities))
        except self._library.DecryptError:
            raise CannotOpenError("it was not sealed for any identity that is here, or it is damaged") from None

    def _read(self, content: bytes) -> list[Any]:
        try:
            if content.startswith(_OPENSSH):
                return [self._library.ssh.Identity.from_buffer(content)]
            lines = [line.strip() for line in content.decode().splitlines()]
            found = [line for line in lines if line and not line.startswith("#")]
            if not found:
                raise BadSecretError("holds no identity")
            return [self._library.x25519.Identity.from_str(line) for line in found]
        except (UnicodeDecodeError, self._library.IdentityError):
            raise BadSecretError("holds no identity of age that can be read without a passphrase") from None


def _recipient(text: str) -> object:
    library = _load()
    kind = library.ssh if text.startswith(_SSH) else library.x25519
    try:
        return kind.Recipient.from_str(text)
    except library.RecipientError:
        raise BadSecretError("not a recipient of age: it is damaged, or of a kind that certgen does not know") from None


def _load() -> Any:  # noqa: ANN401 - the library has no types
    try:
        import pyrage
    except ImportError:
        raise NoLibraryError(MISSING) from None
    return pyrage
