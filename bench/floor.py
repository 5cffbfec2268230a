"""What cannot be undercut in Python: keys, certificates and three plain files for each end entity, and nothing else.

floor.py SIZE KEY FOLDER [PROCESSES]: no spec, no checks, no comparison, no sync, nothing that a second run could use.
"""

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def new_key(kind: str) -> CertificateIssuerPrivateKeyTypes:
    match kind:
        case "ecdsa-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa-3072":
            return rsa.generate_private_key(65537, 3072)
    sys.exit(f"no such key: {kind}")


class Authority:
    """The root, and what it signs.

    key: what kind of key everybody has.
    """

    def __init__(self, key: str) -> None:
        self._kind = key
        self._key = new_key(key)
        self._hash = None if key == "ed25519" else SHA256()
        self._name = named("root")
        self._key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # noqa: FBT003 - RFC 5280's
        certificate = (
            started(self._name, self._key, 3650)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(self._key_id, critical=False)
            .sign(self._key, self._hash)
        )
        self.pem = certificate.public_bytes(Encoding.PEM)
        self._issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_id)

    def make(self, folder: str, name: str) -> None:
        """Make one end entity and its folder."""
        key = new_key(self._kind)
        is_server = name.startswith("server")
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # noqa: FBT003 - likewise
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            started(named(name), key, 365)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._issuer_id, critical=False)
        )
        if is_server:
            names = x509.SubjectAlternativeName([x509.DNSName(f"{name}.shop.example")])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, self._hash)
        os.mkdir(f"{folder}/{name}")  # noqa: PTH102 - a Path would cost more than the call
        write(f"{folder}/{name}/key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        write(f"{folder}/{name}/cert.pem", certificate.public_bytes(Encoding.PEM), 0o644)
        write(f"{folder}/{name}/ca.pem", self.pem, 0o644)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def started(name: x509.Name, key: CertificateIssuerPrivateKeyTypes, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=days, seconds=-1))
    )


def write(path: str, content: bytes, mode: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    os.write(file, content)
    os.close(file)


def main(size: int, key: str, folder: str, processes: int) -> int:
    names = [f"server-{number:05}" for number in range((size + 1) // 2)]
    names += [f"client-{number:05}" for number in range(size // 2)]
    root = Authority(key)
    Path(folder).mkdir(exist_ok=True)
    write(f"{folder}/root.pem", root.pem, 0o644)
    workers = [fork(root, folder, names[worker::processes]) for worker in range(1, processes)]
    make_all(root, folder, names[::processes])
    return max((os.waitpid(worker, 0)[1] for worker in workers), default=0) and 1


def fork(root: Authority, folder: str, names: Iterable[str]) -> int:
    worker = os.fork()
    if not worker:
        status = 1
        try:
            make_all(root, folder, names)
            status = 0
        finally:
            os._exit(status)
    return worker


def make_all(root: Authority, folder: str, names: Iterable[str]) -> None:
    for name in names:
        root.make(folder, name)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(int(arguments[0]), arguments[1], arguments[2], int(arguments[3]) if len(arguments) > 3 else 1))
