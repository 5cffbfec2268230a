"""The server: answers each request with who asked."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any, Final

from certgen.certificates import parse_certificate
from certgen.diagnostics import CertgenError, error
from certgen.model import Certificate
from certgen.talk.identity import Identity
from certgen.tls.causes import Cause, Refusal, Side, refusal_of
from certgen.tls.contexts import UnusableCredentialsError, server_context

SECONDS: Final = 10.0
"""How long a client may take for a handshake or a request."""

Journal = Callable[[str], None]
"""Takes a line about each request and each refusal."""


class Server(ThreadingHTTPServer):
    """An HTTPS server that asks its clients for a certificate.

    Args:
        identity: whose files it serves with.
        host: the address at which it listens.
        port: the port; 0 for any that is free.
        journal: is told of each request and each refusal.
        keylog: a file to which the sessions' secrets are added.

    Raises:
        CertgenError: the entry's files are of no use, or the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, identity: Identity, host: str, port: int, journal: Journal, keylog: Path | None = None) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self._journal = journal
        try:
            self._context = server_context(identity.credentials, identity.anchors)
        except UnusableCredentialsError as reason:
            raise CertgenError([error("unreadable", f"{identity.name}: {reason}", where=identity.name)]) from None
        self._context.set_alpn_protocols(["http/1.1"])
        if keylog is not None:
            self._context.keylog_filename = str(keylog)
        try:
            super().__init__((host, port), _Request)
        except OSError as reason:
            message = f"{host}:{port} cannot be listened at: {reason.strerror or reason}"
            raise CertgenError([error("not-listening", message, help="choose another `--listen`")]) from None

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        """Shake hands, in the thread of this connection, and answer."""
        request.settimeout(SECONDS)
        try:
            with self._context.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)
        except ssl.SSLError as problem:
            self._refused(client_address, refusal_of(Side.SERVER, problem))
        except OSError as problem:
            self._refused(client_address, Refusal(Side.CLIENT, Cause.CLOSED, problem.strerror or ""))

    def note(self, line: str) -> None:
        """Tell the journal."""
        self._journal(line)

    def _refused(self, client_address: Any, refusal: Refusal) -> None:  # noqa: ANN401 - as the library has it
        self._journal(f"refused  {client_address[0]}: {refusal} ({refusal.words})")


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    connection: ssl.SSLSocket

    def do_GET(self) -> None:
        """Answer with who asked."""
        caller = parse_certificate(self.connection.getpeercert(binary_form=True) or b"")
        body = "".join(f"{line}\n" for line in self._lines(caller)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.server.note(f"200      {self.client_address[0]}: {caller.subject}, {self._version()}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Leave the journal to `note`: the library would write what the client sent to the terminal."""

    def version_string(self) -> str:
        """Say what serves, without the interpreter's version."""
        return "certgen"

    def _lines(self, caller: Certificate) -> tuple[str, ...]:
        cipher = self.connection.cipher()
        return (
            f"you are  {caller.subject}",
            f"names    {', '.join(map(str, caller.subject_alt_names)) or 'none'}",
            f"issuer   {caller.issuer}",
            f"until    {caller.not_after:%Y-%m-%d %H:%M}Z",
            f"over     {self._version()}, {cipher[0] if cipher else 'no cipher'}",
        )

    def _version(self) -> str:
        return (self.connection.version() or "").replace("v", " ")
