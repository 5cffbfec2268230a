"""The client: one HTTPS request, what was negotiated, and in words why it fails."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from certgen.diagnostics import CertgenError, error
from certgen.model import Certificate
from certgen.talk.identity import Identity, peer_certificate
from certgen.tls.causes import Cause, Refusal, Side, refusal_of_connection
from certgen.tls.contexts import UnusableCredentialsError, Version, client_context

LONGEST_LABEL: Final = 63
"""Characters of a label of a DNS name."""
SECONDS: Final = 10.0
LARGEST_BODY: Final = 1024 * 1024
"""Bytes of a body that are shown."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and as what the server must identify itself."""

    host: str
    port: int
    path: str
    name: str
    """The name that the server's certificate must bear."""


@dataclass(frozen=True, slots=True)
class Session:
    """What was negotiated."""

    version: str
    cipher: str
    server: Certificate | None
    """None where certgen cannot read the certificate that OpenSSL accepts."""


_NGINX: Final = {
    b"No required SSL certificate was sent": Cause.NO_CERTIFICATE,
    b"The SSL certificate error": Cause.BAD_CERTIFICATE,
}
"""What nginx, which finishes every handshake, writes in the page of its refusal."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: an answer over a session, or a refusal."""

    target: Target
    session: Session | None = None
    refusal: Refusal | None = None
    status: int | None = None
    phrase: str = ""
    body: bytes = field(default=b"", repr=False)

    @property
    def is_welcome(self) -> bool:
        """Whether the server let the client in and answered."""
        return self.refusal is None and self.status is not None and self.status < 400


def parse_target(url: str, name: str | None = None) -> Target:
    """Read a URL.

    Args:
        url: `https://HOST[:PORT][/PATH]`; without a scheme https is meant.
        name: the name to ask for in place of the host.

    Raises:
        CertgenError: it is none, or not https.
    """
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname, 443 if parts.port is None else parts.port
    except ValueError:
        host, port = None, 0
    is_text = url.isascii() and url.isprintable() and " " not in url
    if not host or not port or parts.scheme != "https" or not is_text or not _can_be_asked_for(host):
        message = f"`{url}` is no https URL"
        raise CertgenError([error("bad-url", message, help="for example https://127.0.0.1:8443/", where="URL")])
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port, path, name or host)


def _can_be_asked_for(host: str) -> bool:
    """Whether the labels of a host are as long as they may be (RFC 1035 2.3.4)."""
    return all(len(label) <= LONGEST_LABEL for label in host.split("."))


def connect(identity: Identity, target: Target, version: Version | None = None, keylog: Path | None = None) -> Answer:
    """Send one request and take the answer.

    Args:
        identity: as whom.
        target: whom to ask for what.
        version: the one version of TLS to speak; None for 1.2 and 1.3.
        keylog: a file to which the session's secrets are added.

    Raises:
        CertgenError: the entry's own files are of no use, or nobody listens there.
    """
    try:
        context = client_context(identity.credentials, identity.anchors, version)
    except UnusableCredentialsError as reason:
        raise CertgenError([error("unreadable", f"{identity.name}: {reason}", where=identity.name)]) from None
    if keylog is not None:
        context.keylog_filename = str(keylog)
    return request(context, target)


def request(context: ssl.SSLContext, target: Target) -> Answer:
    """Send one request and take the answer.

    Args:
        context: the client's.
        target: whom to ask for what.

    Raises:
        CertgenError: nobody listens there.
    """
    context.set_alpn_protocols(["http/1.1"])
    try:
        plain = socket.create_connection((target.host, target.port), SECONDS)
    except (OSError, UnicodeError) as reason:
        words = getattr(reason, "strerror", None) or str(reason)
        message = f"{target.host}:{target.port} cannot be reached: {words}"
        raise CertgenError([error("not-reached", message, help="does the server run?", where=target.host)]) from None
    with plain:
        return _talk(plain, context, target)


def _talk(plain: socket.socket, context: ssl.SSLContext, target: Target) -> Answer:
    session = None
    try:
        with context.wrap_socket(plain, server_hostname=target.name) as tls:
            session = _session(tls)
            try:
                with _deadline(tls):
                    return _ask(tls, target, session)
            except (ConnectionError, ssl.SSLEOFError) as problem:
                return Answer(target, session, _last_words(tls, problem))
    except OSError as problem:
        return Answer(target, session, refusal_of_connection(Side.CLIENT, problem))
    except HTTPException as problem:
        words = str(problem) or type(problem).__name__
        return Answer(target, session, Refusal(Side.SERVER, Cause.CLOSED, words))
    except ValueError:
        message = f"`{target.name}` is no name that a server could bear"
        help_ = "for example api.shop.example"
        raise CertgenError([error("bad-url", message, help=help_, where="--name")]) from None


@contextmanager
def _deadline(tls: ssl.SSLSocket) -> Iterator[None]:
    """End a connection whose server sends a little now and then, for ever.

    Raises:
        TimeoutError: it was ended.
    """
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError):
            socket.socket.shutdown(tls, socket.SHUT_RDWR)

    timer = threading.Timer(3 * SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException):
        if not is_over.is_set():
            raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError


def _last_words(tls: ssl.SSLSocket, problem: OSError) -> Refusal:
    """Read what the server said before it went: under TLS 1.3 it judges when the client is done, and may be faster."""
    try:
        tls.recv(1)
    except OSError as last:
        return refusal_of_connection(Side.CLIENT, last)
    return refusal_of_connection(Side.CLIENT, problem)


def _ask(tls: ssl.SSLSocket, target: Target, session: Session) -> Answer:
    connection = HTTPConnection(target.name, target.port, timeout=SECONDS)
    connection.sock = tls
    connection.request("GET", target.path, headers={"Connection": "close", "User-Agent": "certgen"})
    response = connection.getresponse()
    body = response.read(LARGEST_BODY)
    refusal = _refusal_in(response.status, body)
    if refusal is None and response.length and len(body) < LARGEST_BODY:
        refusal = Refusal(Side.SERVER, Cause.CLOSED, f"{response.length} bytes of its answer are missing")
    return Answer(target, session, refusal, response.status, response.reason, body)


def _refusal_in(status: int, body: bytes) -> Refusal | None:
    """Find the refusal of a program that refuses in HTTP what it let pass in TLS."""
    match status:
        case 400:
            cause = next((cause for text, cause in _NGINX.items() if text in body), None)
        case 403:
            cause = Cause.NOT_ALLOWED
        case _:
            cause = None
    return Refusal(Side.SERVER, cause, f"HTTP {status}") if cause else None


def names_of_server(target: Target) -> tuple[str, ...]:
    """Give the names that a server's certificate bears, whoever signed it; none where it cannot be had."""
    context = client_context(None, None)
    try:
        with (
            socket.create_connection((target.host, target.port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=target.name) as tls,
        ):
            shown = peer_certificate(tls)
            return tuple(map(str, shown.subject_alt_names)) if shown else ()
    except (OSError, ValueError):
        return ()


def _session(tls: ssl.SSLSocket) -> Session:
    cipher = tls.cipher()
    return Session((tls.version() or "").replace("v", " "), cipher[0] if cipher else "", peer_certificate(tls))
