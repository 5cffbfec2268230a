"""Bare handshakes: handshakes.py TREE lets every client of a tree meet every server in memory, and that is all.

As in `certgen prove` both sides verify, under TLS 1.2 and 1.3, without tickets, and a message goes there and back.
"""

import ssl
import sys
from pathlib import Path

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
FLIGHTS = 20
MESSAGE = b"are you there?"


def context_of(folder: Path, protocol: int, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.load_verify_locations(folder / "ca.pem")
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def meet(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(to_client, to_server, server_hostname=name)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [calling, answering]
    for _ in range(FLIGHTS):
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
        if not waiting:
            break
    calling.write(MESSAGE)
    answering.write(answering.read())
    if calling.read() != MESSAGE:
        sys.exit("the answer is another")


def main(tree: Path) -> None:
    for version in VERSIONS:
        servers = {
            f"{folder.name}.shop.example": context_of(folder, ssl.PROTOCOL_TLS_SERVER, version)
            for folder in sorted((tree / "servers").iterdir())
        }
        clients = [
            context_of(folder, ssl.PROTOCOL_TLS_CLIENT, version) for folder in sorted((tree / "clients").iterdir())
        ]
        for name, server in servers.items():
            for client in clients:
                meet(server, client, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
