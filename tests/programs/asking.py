"""A client that says what it asks for, whom it trusts and who it is."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

Version = Literal["1.2", "1.3"]

_VERSIONS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """What came back.

    status: of HTTP; None where no answer came, whatever went wrong.
    body: the text.
    error: what went wrong, nothing where an answer came.
    headers: by name in lower case.
    """

    status: int | None
    body: str = ""
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(
    url: str,
    *,
    folder: Path | None,
    anchors: bytes | Path,
    version: Version | None = None,
    server_name: str | None = None,
    connect_to: tuple[str, int] | None = None,
) -> Answer:
    """Get a page over HTTPS, on a connection of its own.

    url: of the page.
    folder: an entry's folder, whose cert.pem and key.pem say who asks; None for nobody.
    anchors: the trust anchors, as PEM.
    version: the only version of TLS, default any from 1.2.
    server_name: what is asked of and demanded from the server, default the host of the URL.
    connect_to: host and port, default those of the URL.

    A file that cannot be read raises: that is a mistake of the test, and no refusal.
    """
    context = _context(folder, anchors, version)
    parts = urlsplit(url)
    host, port = _place(parts, "https", 443)
    connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    try:
        plain = socket.create_connection(connect_to or (host, port), timeout=_SECONDS)
        try:
            connection.sock = context.wrap_socket(plain, server_hostname=server_name or host)
        except BaseException:
            plain.close()
            raise
        return _round_trip(connection, parts)
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, error=_words(error))
    finally:
        connection.close()


def ask_plain(url: str) -> Answer:
    """Get a page over HTTP without TLS, on a connection of its own.

    url: of the page.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(*_place(parts, "http", 80), timeout=_SECONDS)
    try:
        return _round_trip(connection, parts)
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, error=_words(error))
    finally:
        connection.close()


def _context(folder: Path | None, anchors: bytes | Path, version: Version | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[version or "1.2"]
    context.maximum_version = _VERSIONS[version or "1.3"]
    pem = anchors if isinstance(anchors, bytes) else anchors.read_bytes()
    context.load_verify_locations(cadata=pem.decode("ascii"))
    if folder is not None:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _place(parts: SplitResult, scheme: str, port: int) -> tuple[str, int]:
    if parts.scheme != scheme or parts.hostname is None:
        message = f"{parts.geturl()} is no {scheme} URL"
        raise ValueError(message)
    return parts.hostname, parts.port or port


def _round_trip(connection: http.client.HTTPConnection, parts: SplitResult) -> Answer:
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    connection.request("GET", target, headers={"Connection": "close"})
    response = connection.getresponse()
    body = response.read().decode("utf-8", errors="replace")
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, body, headers=headers)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
