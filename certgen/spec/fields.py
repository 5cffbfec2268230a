"""Floor 3: the texts in a spec's fields, read into values; each reader says what is wrong in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from typing import Final, TypeVar

import durationpy
from pydantic_core import PydanticCustomError

from certgen.lifetime import RenewBefore
from certgen.model import NAME
from certgen.rfc5280.names import InvalidNameError, parse_general_name, parse_name_constraint, parse_uri
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralName, KeyAlgorithm, NameAttribute

LONGEST_VALIDITY: Final = 100 * 365 * 86400
"""Seconds; certificates cannot say a year beyond 9999, and nobody means a century."""

_DURATION = re.compile(r"([0-9]+[a-z]+)+", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,2})%", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.0+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MODE = re.compile(r"0?o?([0-7]{3})", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
"""What steers a terminal or turns text around, and halves of surrogate pairs."""
_URL = re.compile(r"(https?|ldaps?)://.*", re.IGNORECASE)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
"""Names that Windows keeps for devices, whatever their extension."""

_ALGORITHM_SYNONYMS = {
    "ec": "ecdsa-p256", "ecc": "ecdsa-p256", "ecdsa": "ecdsa-p256", "p256": "ecdsa-p256", "ecp256": "ecdsa-p256",
    "prime256v1": "ecdsa-p256", "secp256r1": "ecdsa-p256", "ecdsap256": "ecdsa-p256", "p384": "ecdsa-p384",
    "secp384r1": "ecdsa-p384", "p521": "ecdsa-p521", "secp521r1": "ecdsa-p521", "rsa": "rsa-3072",
    "eddsa": "ed25519", "mldsa": "ml-dsa-65",
}  # fmt: skip

LONGEST_ATTRIBUTE: Final = {
    NameAttribute.COMMON_NAME: 64,
    NameAttribute.ORGANIZATION: 64,
    NameAttribute.ORGANIZATIONAL_UNIT: 64,
    NameAttribute.SERIAL_NUMBER: 64,
    NameAttribute.LOCALITY: 128,
    NameAttribute.STATE: 128,
    NameAttribute.STREET_ADDRESS: 128,
    NameAttribute.POSTAL_CODE: 40,
    NameAttribute.DOMAIN_COMPONENT: 63,
}
"""Upper bounds in characters (RFC 5280 appendix A.1; X.520 for street and postal code)."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


def problem(code: str, message: str, help: str | None = None) -> PydanticCustomError:  # noqa: A002 - the field's name
    """Make the error that pydantic carries for us: code, one sentence, what to do."""
    # The message goes in as context: a brace in it would be taken for a placeholder.
    return PydanticCustomError("certgen", "{message}", {"code": code, "message": message, "help": help or ""})


def listed(value: object) -> object:
    """Read a scalar where a list may stand, as a list of one."""
    if isinstance(value, str):
        return [value]
    return value


def text(value: object) -> str:
    """Read a text of one line.

    Raises:
        PydanticCustomError: a collection, nothing, or control characters.
    """
    if not isinstance(value, str):
        raise problem("wrong-type", f"a text is expected here, not {kind_of(value)}")
    if not value.strip():
        raise problem("empty-value", "the text is empty")
    if _CONTROL.search(value):
        raise problem("control-character", "a control or direction character is not allowed here")
    if value != value.strip():
        raise problem("outer-blank", "the text begins or ends with a blank")
    return value


def kind_of(value: object) -> str:
    """Say in a spec's terms what a plain value is."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "a text"


def integer(value: object) -> int:
    """Read a whole number of up to nine digits, zero or more."""
    written = text(value)
    if not re.fullmatch(r"[0-9]{1,9}", written, re.ASCII):
        raise problem("not-a-number", f"`{written}` is not a whole number")
    return int(written)


def version(value: object) -> int:
    """Read the language version, which is 1."""
    number = integer(value)
    if number != 1:
        raise problem("unknown-version", f"language version {number} is not known", "this certgen knows version 1")
    return number


def entry_name(value: object) -> str:
    """Read the name of a spec or an entry, which is also a folder's."""
    if not isinstance(value, str):
        raise problem("wrong-type", f"a name is expected here, not {kind_of(value)}")
    if not NAME.fullmatch(value) or ".." in value:
        raise problem(
            "bad-name",
            f"`{value}` cannot be a name, which is also a folder's",
            "use up to 63 of a-z, 0-9, `.`, `_` and `-`, a letter or digit first and last",
        )
    if is_device(value):
        message = f"`{value}` cannot be a name, which is also a folder's: Windows keeps it for a device"
        raise problem("bad-name", message, f"for example `{value.partition('.')[0]}-1`")
    return value


def is_device(name: str) -> bool:
    """Whether Windows takes a file's or folder's name for that of a device."""
    return _DEVICE.fullmatch(name) is not None


def general_name(value: object) -> GeneralName:
    """Read a subject alternative name."""
    return _named(text(value), parse_general_name, "bad-san")


def constraint_base(value: object) -> GeneralName:
    """Read the base of a name constraint."""
    return _named(text(value), parse_name_constraint, "bad-constraint")


def attribute_value(attribute: NameAttribute, value: object) -> str:
    """Read the value of an attribute of a distinguished name, within its upper bound (RFC 5280 appendix A.1)."""
    written = text(value)
    if attribute is NameAttribute.COUNTRY:
        if not re.fullmatch(r"[A-Za-z]{2}", written):
            raise problem(
                "bad-country", f"`{written}` is not a country", "use the two letters of ISO 3166, for example NL"
            )
        return written.upper()
    limit = LONGEST_ATTRIBUTE[attribute]
    if len(written) > limit:
        message = f"{attribute} has {len(written)} characters, RFC 5280 allows {limit}"
        raise problem("too-long", message)
    if attribute is NameAttribute.SERIAL_NUMBER and not re.fullmatch(r"[A-Za-z0-9 '()+,./:=?-]+", written):
        raise problem("bad-serial-number", "a serial number is a PrintableString: letters, digits and `'()+,-./:=?`")
    if attribute is NameAttribute.DOMAIN_COMPONENT and not written.isascii():
        raise problem("bad-domain-component", "a domain component is ASCII", "write the label as an A-label")
    if attribute is NameAttribute.DOMAIN_COMPONENT and "." in written:
        help_ = "write a list with the top-level one first, for example [example, shop]"
        raise problem("bad-domain-component", "a domain component is one label of a domain (RFC 4519 2.4)", help_)
    return written


def key_algorithm(value: object) -> KeyAlgorithm:
    """Read a key algorithm."""
    written = text(value)
    squeezed = re.sub(r"[^a-z0-9]", "", written.lower())
    if (bits := re.fullmatch(r"rsa([0-9]{3,4})", squeezed)) and int(bits[1]) < 2048:
        raise problem("weak-key", f"an RSA key of {bits[1]} bits is too weak", "use `rsa-3072`, or `ecdsa-p256`")
    return member(KeyAlgorithm, written, "key algorithm", _ALGORITHM_SYNONYMS)


def purpose(value: object) -> ExtendedKeyUsage:
    """Read an extended key usage, spelled as in RFC 5280."""
    written = text(value)
    if written.lower() == "anyextendedkeyusage":
        raise problem("any-usage", "anyExtendedKeyUsage is refused by TLS programs", "name the purposes")
    return member(ExtendedKeyUsage, written, "extended key usage", {})


def member_of(kind: type[_E], noun: str) -> Callable[[object], _E]:
    """Make a reader for a closed set."""

    def read(value: object) -> _E:
        return member(kind, text(value), noun, {})

    return read


def file_mode(value: object) -> int:
    """Read the mode of a private key's file: at most 0640, and its owner can read it."""
    written = text(value)
    found = _MODE.fullmatch(written)
    if not found:
        raise problem("bad-mode", f"`{written}` is not a file mode", 'for example "0600" or "0640"')
    mode = int(found[1], 8)
    if mode & ~0o640 or not mode & 0o400:
        raise problem("bad-mode", f"{mode:04o} is not a mode for a private key", "use 0400, 0440, 0600 or 0640")
    return mode


def namespace(value: object) -> str:
    """Read the name of a namespace of Kubernetes: a label of RFC 1123."""
    written = text(value)
    if not _LABEL.fullmatch(written):
        raise problem("bad-namespace", f"`{written}` is no namespace", "lower-case letters, digits and `-`, at most 63")
    return written


def absolute_folder(value: object) -> str:
    """Read the absolute path of a folder on another host."""
    written = text(value)
    if not written.startswith("/"):
        help_ = "programs take a relative path from different places; for example /etc/certgen/api"
        raise problem("bad-folder", f"`{written}` is not an absolute path", help_)
    if {".", ".."} & set(written.split("/")):
        raise problem("bad-folder", f"`{written}` has a step `.` or `..` in it", "write the path without it")
    return written


def duration(value: object) -> int:
    """Read a duration in whole seconds, more than none: `90d`, `12h`, `1y` (y = 365 d, w = 7 d)."""
    written = text(value)
    seconds = _seconds(written)
    if seconds is None:
        raise problem("bad-duration", f"`{written}` is not a duration", "for example 90d, 12h, 4w or 1y")
    if not 1 <= seconds <= LONGEST_VALIDITY:
        raise problem("bad-duration", f"`{written}` is not between a second and a hundred years")
    return seconds


def renew_before(value: object) -> RenewBefore:
    """Read a renewal window: a duration, or a percentage of the certificate's own lifetime."""
    written = text(value)
    if percent := _PERCENT.fullmatch(written):
        if not int(percent[1]):
            raise problem("bad-duration", "a window of 0% would renew only what has ended", "for example 33%")
        return RenewBefore(share=Fraction(int(percent[1]), 100))
    if written.endswith("%"):
        raise problem("bad-duration", f"`{written}` is not a percentage between 1% and 99%")
    return RenewBefore(seconds=duration(value))


def moment(value: object) -> datetime:
    """Read an RFC 3339 time, in UTC and whole seconds."""
    written = text(value)
    if not _RFC3339.fullmatch(written):
        raise problem("bad-time", f"`{written}` is not an RFC 3339 time", "for example 2027-01-31T00:00:00Z")
    try:
        return datetime.fromisoformat(written.upper().replace(" ", "T")).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise problem("bad-time", f"`{written}` is not a time of the calendar") from None


def read_moment(written: str) -> tuple[int | None, datetime | None]:
    """Read a time, a date or, after a plus sign, a duration in seconds; neither where the text is none of them."""
    if _DATE.fullmatch(written):
        written = f"{written}T00:00:00Z"
    try:
        return (duration(written[1:]), None) if written.startswith("+") else (None, moment(written))
    except PydanticCustomError:
        return None, None


def url(value: object) -> str:
    """Read an HTTP or LDAP URL, as revocation and issuer locations are (RFC 5280 4.2.1.13, 4.2.2.1)."""
    written = text(value)
    try:
        if _URL.fullmatch(written):
            return parse_uri(written)
    except InvalidNameError:
        pass
    raise problem("bad-url", f"`{written}` is not a URL", "for example http://pki.shop.example/root.crl")


def did_you_mean(written: str, candidates: Iterable[str], synonyms: dict[str, str]) -> str | None:
    """Find the candidate that a person meant: by synonym, by spelling without case and dashes, or a near miss."""
    squeezed = re.sub(r"[^a-z0-9]", "", written.lower())
    known = list(candidates)
    if (meant := synonyms.get(squeezed)) in known:
        return meant
    by_spelling = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in known}
    near = get_close_matches(squeezed, by_spelling, n=1, cutoff=0.7)
    return by_spelling[near[0]] if near else None


def _seconds(written: str) -> int | None:
    if len(written) > 32 or not _DURATION.fullmatch(written):
        return None
    try:
        total = durationpy.from_str(written).total_seconds()
    except durationpy.DurationError:
        return None
    return int(total) if total == int(total) and "mo" not in written else None


def _named(written: str, parse: Callable[[str], GeneralName], code: str) -> GeneralName:
    try:
        return parse(written)
    except InvalidNameError as reason:
        raise problem(code, f"`{written}`: {reason}", reason.help) from None


def member(kind: type[_E], written: str, noun: str, synonyms: dict[str, str]) -> _E:
    """Read a member of a closed set; another spelling gets a suggestion."""
    try:
        return kind(written)
    except ValueError:
        meant = did_you_mean(written, list(kind), synonyms)
        help_ = f"did you mean `{meant}`?" if meant else f"one of {', '.join(kind)}"
        raise problem("unknown-value", f"unknown {noun} `{written}`", help_) from None
