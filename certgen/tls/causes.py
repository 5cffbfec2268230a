"""Floor 0: why a handshake fails: a closed set of causes, read from OpenSSL's errors and from TLS alerts."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Side(StrEnum):
    """The two ends of a connection."""

    SERVER = "server"
    CLIENT = "client"


class Cause(StrEnum):
    """Why a side refuses the other's certificate, or the connection."""

    NO_CERTIFICATE = "no_certificate"
    UNKNOWN_AUTHORITY = "unknown_authority"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_PURPOSE = "wrong_purpose"
    WRONG_NAME = "wrong_name"
    OUTSIDE_CONSTRAINTS = "outside_constraints"
    PATH_TOO_LONG = "path_too_long"
    BAD_SIGNATURE = "bad_signature"
    UNSUPPORTED = "unsupported"
    """No protocol version, cipher or signature algorithm in common."""
    NOT_ALLOWED = "not_allowed"
    BAD_CERTIFICATE = "bad_certificate"
    """Something about the certificate, and the other side does not say what."""
    NOT_TLS = "not_tls"
    """What the other side says is no TLS."""
    SILENT = "silent"
    """The other side says nothing for too long."""
    CLOSED = "closed"
    """The other side went away without a word."""
    OTHER = "other"


SENTENCES: Final = {
    Cause.NO_CERTIFICATE: "no certificate was sent",
    Cause.UNKNOWN_AUTHORITY: "no root that it trusts is above the certificate",
    Cause.EXPIRED: "the certificate has expired",
    Cause.NOT_YET_VALID: "the certificate is not valid yet",
    Cause.WRONG_PURPOSE: "the certificate is not for this purpose",
    Cause.WRONG_NAME: "the certificate does not bear the name that was asked for",
    Cause.OUTSIDE_CONSTRAINTS: "a name is outside a CA's name constraints",
    Cause.PATH_TOO_LONG: "more CAs stand in the path than one of them permits",
    Cause.BAD_SIGNATURE: "a signature is wrong",
    Cause.UNSUPPORTED: "the two have no version, cipher or signature algorithm in common",
    Cause.NOT_ALLOWED: "the certificate is sound, and its bearer is not let in",
    Cause.BAD_CERTIFICATE: "it does not accept the certificate, and does not say why",
    Cause.NOT_TLS: "the other side does not speak TLS at all",
    Cause.SILENT: "the other side has said nothing for too long",
    Cause.CLOSED: "of something that it does not say: it closed the connection",
    Cause.OTHER: "of another reason",
}
"""Each cause in words, after `because`."""

_VERIFICATION: Final = {
    2: Cause.UNKNOWN_AUTHORITY,
    18: Cause.UNKNOWN_AUTHORITY,
    19: Cause.UNKNOWN_AUTHORITY,
    20: Cause.UNKNOWN_AUTHORITY,
    21: Cause.UNKNOWN_AUTHORITY,
    7: Cause.BAD_SIGNATURE,
    9: Cause.NOT_YET_VALID,
    10: Cause.EXPIRED,
    25: Cause.PATH_TOO_LONG,
    26: Cause.WRONG_PURPOSE,
    47: Cause.OUTSIDE_CONSTRAINTS,
    48: Cause.OUTSIDE_CONSTRAINTS,
    62: Cause.WRONG_NAME,
    63: Cause.WRONG_NAME,
    64: Cause.WRONG_NAME,
}
"""The codes of OpenSSL's verification (x509_vfy.h)."""

_REASONS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Cause.NO_CERTIFICATE,
    "NO_SHARED_CIPHER": Cause.UNSUPPORTED,
    "UNSUPPORTED_PROTOCOL": Cause.UNSUPPORTED,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": Cause.UNSUPPORTED,
    "NO_PROTOCOLS_AVAILABLE": Cause.UNSUPPORTED,
    "HTTP_REQUEST": Cause.NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": Cause.NOT_TLS,
    "RECORD_LAYER_FAILURE": Cause.NOT_TLS,
    "UNKNOWN_PROTOCOL": Cause.NOT_TLS,
    "WRONG_VERSION_NUMBER": Cause.NOT_TLS,
}
"""What one's own side finds, by OpenSSL's name for it."""

_ALERTS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": Cause.NO_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": Cause.UNKNOWN_AUTHORITY,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": Cause.EXPIRED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": Cause.WRONG_PURPOSE,
    "SSLV3_ALERT_BAD_CERTIFICATE": Cause.BAD_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": Cause.BAD_CERTIFICATE,
    "TLSV1_ALERT_ACCESS_DENIED": Cause.NOT_ALLOWED,
    "TLSV1_ALERT_PROTOCOL_VERSION": Cause.UNSUPPORTED,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": Cause.UNSUPPORTED,
    "TLSV1_ALERT_DECRYPT_ERROR": Cause.BAD_SIGNATURE,
}
"""What the other side says (RFC 8446 6.2), by OpenSSL's name for it. OpenSSL 3.2 dropped some of the prefixes."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The end of a handshake that fails."""

    side: Side
    """Who refused."""
    cause: Cause
    words: str
    """What OpenSSL calls it."""

    def __str__(self) -> str:
        return f"the {self.side} refuses because {SENTENCES[self.cause]}"


def refusal_of(side: Side, problem: ssl.SSLError) -> Refusal:
    """Say who refused and why.

    Args:
        side: on whose side the error was raised.
        problem: the error.
    """
    if isinstance(problem, ssl.SSLCertVerificationError):
        cause = _VERIFICATION.get(problem.verify_code, Cause.OTHER)
        if cause is Cause.OTHER and "mismatch" in str(problem.verify_message).lower():
            cause = Cause.WRONG_NAME
        return Refusal(side, cause, problem.verify_message)
    reason = problem.reason or ""
    if (alert := _alert(reason)) is not None:
        return Refusal(_other(side), alert, reason)
    return Refusal(side, _REASONS.get(reason, Cause.OTHER), reason or str(problem))


def _alert(reason: str) -> Cause | None:
    if "_ALERT_" not in reason:
        return None
    ending = reason.rpartition("_ALERT_")[2]
    return next((cause for name, cause in _ALERTS.items() if name.endswith(f"_ALERT_{ending}")), Cause.OTHER)


def _other(side: Side) -> Side:
    return Side.CLIENT if side is Side.SERVER else Side.SERVER


def refusal_of_connection(side: Side, problem: OSError) -> Refusal:
    """Say who ended a connection and why.

    Args:
        side: on whose side the error was raised.
        problem: the error, of TLS or of the connection below it.
    """
    match problem:
        case TimeoutError():
            return Refusal(side, Cause.SILENT, "timed out")
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return Refusal(_other(side), Cause.CLOSED, problem.reason or "end of file")
        case ssl.SSLError():
            return refusal_of(side, problem)
        case _:
            return Refusal(_other(side), Cause.CLOSED, problem.strerror or str(problem) or type(problem).__name__)
