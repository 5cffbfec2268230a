"""The server: answers each request with who asked."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any, Final

from certgen.diagnostics import CertgenError, error
from certgen.model import Certificate
from certgen.talk.identity import Identity, peer_certificate
from certgen.tls.causes import Cause, Refusal, Side, refusal_of_connection
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
        except (OSError, TypeError, UnicodeError) as reason:
            message = f"{host}:{port} cannot be listened at: {getattr(reason, 'strerror', None) or reason}"
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
        except OSError as problem:
            self._refused(client_address, refusal_of_connection(Side.SERVER, problem))

    def note(self, line: str) -> None:
        """Tell the journal; where nobody reads it any more, nobody is served."""
        try:
            self._journal(line)
        except OSError:
            self.shutdown()

    def _refused(self, client_address: Any, refusal: Refusal) -> None:  # noqa: ANN401 - as the library has it
        is_gone = refusal.cause is Cause.CLOSED
        what = f"the {refusal.side} closed the connection without a word" if is_gone else refusal
        self.note(f"refused  {client_address[0]}: {what} ({refusal.words})")


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    connection: ssl.SSLSocket

    def do_GET(self) -> None:
        """Answer with who asked."""
        caller = peer_certificate(self.connection)
        body = "".join(f"{line}\n" for line in self._lines(caller)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        who = caller.subject if caller else "somebody"
        self.server.note(f"200      {self.client_address[0]}: {who}, {self._version()}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is none, or not GET."""
        super().send_error(code, message, explain)
        self.server.note(f"{code}      {self.client_address[0]}: a request that is not answered")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Leave the journal to `note`: the library would write what the client sent to the terminal."""

    def version_string(self) -> str:
        """Say what serves, without the interpreter's version."""
        return "certgen"

    def _lines(self, caller: Certificate | None) -> tuple[str, ...]:
        if caller is None:
            return ("you are  somebody with a certificate that certgen cannot read",)
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
