"""Floor 0: contexts of the standard library's ssl, as strict as Python 3.13 makes them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final


class Version(Enum):
    """The versions of TLS that are in use."""

    TLS_1_2 = ssl.TLSVersion.TLSv1_2
    TLS_1_3 = ssl.TLSVersion.TLSv1_3

    def __str__(self) -> str:
        return self.name.replace("TLS_1_", "TLS 1.")


_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which Python has no name."""


class UnusableCredentialsError(ValueError):
    """A certificate and key that ssl cannot load; the argument is one sentence."""


class MismatchedPairError(UnusableCredentialsError):
    """A private key that is not the certificate's."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certification path and its private key, as files: ssl takes them in no other way."""

    certificate: Path
    private_key: Path


def server_context(
    credentials: Credentials, anchors: bytes | None, version: Version | None = None, *, ignores_time: bool = False
) -> ssl.SSLContext:
    """Make the context of a server that asks its clients for a certificate.

    Args:
        credentials: its own.
        anchors: its trust anchors, PEM; None to let in everybody, as a false server does.
        version: the one version that it speaks; None for 1.2 and 1.3.
        ignores_time: whether dates are judged elsewhere.

    Raises:
        UnusableCredentialsError: ssl cannot load the credentials or the anchors.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_NONE if anchors is None else ssl.CERT_REQUIRED
    _load(context, credentials)
    return _strict(context, anchors, version, ignores_time=ignores_time)


def client_context(
    credentials: Credentials | None,
    anchors: bytes | None,
    version: Version | None = None,
    *,
    checks_name: bool = True,
    ignores_time: bool = False,
) -> ssl.SSLContext:
    """Make the context of a client.

    Args:
        credentials: its own; None to send no certificate.
        anchors: its trust anchors, PEM; None to accept every server, as somebody who wants to get in does.
        version: the one version that it speaks; None for 1.2 and 1.3.
        checks_name: whether the name that is asked for is checked.
        ignores_time: whether dates are judged elsewhere.

    Raises:
        UnusableCredentialsError: ssl cannot load the credentials or the anchors.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = checks_name and anchors is not None
    # Nobody reads names there any more (RFC 9525); where there is no other, OpenSSL still would.
    context.hostname_checks_common_name = False
    context.verify_mode = ssl.CERT_NONE if anchors is None else ssl.CERT_REQUIRED
    if credentials is not None:
        _load(context, credentials)
    return _strict(context, anchors, version, ignores_time=ignores_time)


def _strict(
    context: ssl.SSLContext, anchors: bytes | None, version: Version | None, *, ignores_time: bool
) -> ssl.SSLContext:
    context.minimum_version = version.value if version else ssl.TLSVersion.TLSv1_2
    context.maximum_version = version.value if version else ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if ignores_time:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    if anchors is not None:
        try:
            context.load_verify_locations(cadata=anchors.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise UnusableCredentialsError("its trust anchors cannot be read") from None
    return context


def _load(context: ssl.SSLContext, credentials: Credentials) -> None:
    try:
        # A passphrase would be asked for at the terminal; an empty one is as good as none.
        context.load_cert_chain(credentials.certificate, credentials.private_key, password="")
    except ssl.SSLError as reason:
        if reason.reason == "KEY_VALUES_MISMATCH":
            raise MismatchedPairError("its private key is not that of its certificate") from None
        raise UnusableCredentialsError(f"OpenSSL cannot load it ({reason.reason or 'no PEM'})") from None
    except OSError as reason:
        raise UnusableCredentialsError(f"it cannot be read: {reason.strerror}") from None
