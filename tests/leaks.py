"""Finds what of a private key stands in a text, in every form in which a program would print it."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

LETTERS: Final = 12
"""Consecutive characters of a key's base64 that give it away; nobody guesses nine bytes."""
DIGITS: Final = 20
OCTETS: Final = 8

_ARMOUR: Final = re.compile(rb"-----[^-]+-----|\s")
_BASE64: Final = re.compile(rf"[A-Za-z0-9+/=]{{{LETTERS},}}")
_HEXADECIMAL: Final = re.compile(rf"[0-9a-f]{{{3 * OCTETS},}}")
_DECIMAL: Final = re.compile(rf"\d{{{DIGITS},}}")
_GUTTER: Final = re.compile(r"[\s:|\\^'\",]|\\[nrt]")
"""What a listing puts between the parts of a number or a line."""


class Hunt:
    """Private keys, and what may not be said of them."""

    def __init__(self, *pems: bytes) -> None:
        self._base64: set[str] = set()
        self._hexadecimal: set[str] = set()
        self._decimal: set[str] = set()
        self._octets: set[str] = set()
        self._words: set[str] = set()
        for pem in pems:
            self.add(pem)

    def add(self, pem: bytes) -> None:
        """Take another key; of what stands in its file the private numbers count, for the rest is in its certificate.

        pem: of an unencrypted private key.
        """
        key = load_pem_private_key(pem, None)
        body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-----"))
        der = base64.b64decode(body)
        for number in _numbers(key):
            secret = number.to_bytes((number.bit_length() + 7) // 8, "big")
            start = der.index(secret)
            first, last = -(start * -4 // 3), (start + len(secret)) * 4 // 3
            self._base64 |= set(_windows(body[first:last].decode(), LETTERS))
            self._hexadecimal |= set(_windows(secret.hex(), 3 * OCTETS))
            self._decimal |= set(_windows(str(number), DIGITS))
            for place in range(len(secret) - OCTETS + 1):
                octets = secret[place : place + OCTETS]
                self._octets |= {repr(octets)[2:-1], ", ".join(map(str, octets))}

    def add_blob(self, pem: bytes) -> None:
        """Take a key that cannot be read: encrypted, or damaged.

        pem: what stands in its file; the first of its base64 is the same for all keys, and is left out.
        """
        self._base64 |= set(_windows(_ARMOUR.sub(b"", pem)[40:].decode("latin-1"), LETTERS))

    def add_word(self, word: str) -> None:
        """Take a passphrase.

        word: of at least a few characters.
        """
        self._words.add(word)

    def found(self, text: str) -> list[str]:
        """Give what stands in a text; nothing, where nothing was said.

        text: of any length.
        """
        plain = _GUTTER.sub("", text)
        fragments = [
            *(part for each in (text, plain) for part in _within(_BASE64, each, LETTERS, self._base64)),
            *(part for part in _within(_HEXADECIMAL, plain.lower(), 3 * OCTETS, self._hexadecimal)),
            *(part for each in (text, plain) for part in _within(_DECIMAL, each, DIGITS, self._decimal)),
            *(octets for octets in self._octets if octets in text),
            *(word for word in self._words if word in text),
        ]
        return list(dict.fromkeys(fragments))


def forms(pem: bytes) -> dict[str, str]:
    """Give the forms in which a program may print a key, by name.

    pem: of an unencrypted private key.
    """
    key = load_pem_private_key(pem, None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    body = base64.b64encode(der).decode()
    number = _numbers(key)[0]
    colons = ":".join(f"{octet:02X}" for octet in der)
    return {
        "PEM": pem.decode(),
        "a line of PEM": pem.decode().splitlines()[2],
        "PEM in JSON": repr(pem.decode()),
        "base64": body,
        "a piece of base64": f"... {body[52:72]} ...",
        "base64 in lines with a gutter": "\n".join(f"  | {body[at : at + 10]}" for at in range(0, len(body), 10)),
        "bytes": repr(der),
        "a list of numbers": str(list(der)),
        "hexadecimal": der.hex(),
        "hexadecimal with colons": "\n    ".join(colons[at : at + 45] for at in range(0, len(colons), 45)),
        "a decimal number": str(number),
        "a hexadecimal number": hex(number),
    }


PASSPHRASE: Final = "correct horse battery staple"  # noqa: S105 - of the tests

Damage = Callable[[bytes], bytes]


def _encoded(pem: bytes, form: PrivateFormat, passphrase: str = "", encoding: Encoding = Encoding.PEM) -> bytes:
    seal = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return load_pem_private_key(pem, None).private_bytes(encoding, form, seal)


def _relabelled(label: bytes) -> Damage:
    return lambda pem: pem.replace(b" PRIVATE KEY", b" " + label)


DAMAGES: Mapping[str, Damage] = {
    "whole": lambda pem: pem,
    "cut in half": lambda pem: pem[: len(pem) // 2],
    "without its end": lambda pem: b"\n".join(pem.splitlines()[:-1]),
    "without its beginning": lambda pem: b"\n".join(pem.splitlines()[1:]),
    "without its armour": lambda pem: b"\n".join(pem.splitlines()[1:-1]),
    "in one line": lambda pem: b"".join(pem.splitlines()),
    "with one letter changed": lambda pem: pem[:70] + (b"A" if pem[70:71] != b"A" else b"B") + pem[71:],
    "with letters that are none": lambda pem: pem[:70] + b"\xff\0~" + pem[73:],
    "twice": lambda pem: pem + pem,
    "in DER": lambda pem: _encoded(pem, PrivateFormat.PKCS8, encoding=Encoding.DER),
    "as text of 16 bits": lambda pem: pem.decode().encode("utf-16"),
    "in JSON": lambda pem: json.dumps(pem.decode()).encode(),
    "encrypted": lambda pem: _encoded(pem, PrivateFormat.PKCS8, PASSPHRASE),
    "encrypted as of old": lambda pem: _encoded(pem, PrivateFormat.TraditionalOpenSSL, PASSPHRASE),
    "as OpenSSH has it": lambda pem: _encoded(pem, PrivateFormat.OpenSSH),
    "labelled EC PRIVATE KEY": _relabelled(b"EC PRIVATE KEY"),
    "labelled ENCRYPTED": _relabelled(b"ENCRYPTED PRIVATE KEY"),
    "labelled CERTIFICATE": _relabelled(b"CERTIFICATE"),
    "labelled PUBLIC KEY": _relabelled(b"PUBLIC KEY"),
}
"""What may become of a key, by name."""


def _numbers(key: object) -> list[int]:
    """Give the numbers that are private about a key."""
    match key:
        case rsa.RSAPrivateKey():
            numbers = key.private_numbers()
            return [numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp]
        case ec.EllipticCurvePrivateKey():
            return [key.private_numbers().private_value]
        case ed25519.Ed25519PrivateKey():
            return [int.from_bytes(key.private_bytes_raw(), "big")]
    message = f"no numbers are known of {type(key)}"
    raise TypeError(message)


def _windows(text: str, length: int) -> Iterator[str]:
    return (text[at : at + length] for at in range(len(text) - length + 1))


def _within(runs: re.Pattern[str], text: str, length: int, wanted: set[str]) -> Iterator[str]:
    return (part for run in runs.findall(text) for part in _windows(run, length) if part in wanted)
