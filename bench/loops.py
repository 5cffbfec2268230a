"""Scripts for programs that make one certificate a call, as their users write them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.specs import ED25519, P256, RSA, Fleet

SCRIPT: Final = "commands.sh"

_CERTTOOL_KEYS: Final = {
    P256: "--key-type ecdsa --curve secp256r1",
    ED25519: "--key-type ed25519",
    RSA: "--key-type rsa --bits 3072",
}
_CFSSL_KEYS: Final = {P256: {"algo": "ecdsa", "size": 256}, RSA: {"algo": "rsa", "size": 3072}}
CFSSL_KEYS: Final = tuple(_CFSSL_KEYS)


def certtool(fleet: Fleet, folder: Path) -> None:
    """Write the script and the templates for GnuTLS's certtool."""
    key = _CERTTOOL_KEYS[fleet.key]
    templates = _made(folder / "templates")
    (templates / "root").write_text("cn = root\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 3650\n")
    for name in (*fleet.servers, *fleet.clients):
        host = fleet.hosts.get(name)
        purpose = f"tls_www_server\ndns_name = {host}\n" if host else "tls_www_client\n"
        (templates / name).write_text(f"cn = {name}\nsigning_key\nexpiration_days = 365\n{purpose}")
    issue = "certtool --generate-certificate --load-ca-certificate root.pem --load-ca-privkey root-key.pem"
    lines = [
        f"certtool --generate-privkey {key} --outfile root-key.pem",
        "certtool --generate-self-signed --load-privkey root-key.pem --template ../templates/root --outfile root.pem",
    ]
    for name in (*fleet.servers, *fleet.clients):
        lines += [
            f"mkdir {name}",
            f"certtool --generate-privkey {key} --outfile {name}/key.pem",
            f"{issue} --load-privkey {name}/key.pem --template ../templates/{name} --outfile {name}/cert.pem",
            f"cp root.pem {name}/ca.pem",
        ]
    _write(folder, lines)


def cfssl(fleet: Fleet, folder: Path) -> None:
    """Write the script, the requests and the configuration for cfssl."""
    requests = _made(folder / "requests")
    key = _CFSSL_KEYS[fleet.key]
    profiles = {
        kind: {"expiry": "8760h", "usages": ["digital signature", usage]}
        for kind, usage in (("server", "server auth"), ("client", "client auth"))
    }
    (requests / "config").write_text(json.dumps({"signing": {"profiles": profiles, "default": profiles["server"]}}))
    (requests / "root").write_text(json.dumps({"CN": "root", "key": key, "ca": {"expiry": "87600h"}}))
    issue = "cfssl gencert -ca root.pem -ca-key root-key.pem -config ../requests/config"
    lines = ["cfssl gencert -initca ../requests/root | cfssljson -bare root"]
    for name in (*fleet.servers, *fleet.clients):
        hosts = [fleet.hosts[name]] if name in fleet.hosts else []
        (requests / name).write_text(json.dumps({"CN": name, "key": key, "hosts": hosts}))
        lines += [
            f"mkdir {name}",
            f"{issue} -profile {name[:6]} ../requests/{name} | cfssljson -bare {name}/cert",
            f"cp root.pem {name}/ca.pem",
        ]
    _write(folder, lines)


def minica(fleet: Fleet, folder: Path) -> None:
    """Write the script for minica, which names a folder as the certificate."""
    lines = []
    for name in (*fleet.servers, *fleet.clients):
        host = fleet.hosts.get(name, f"{name}.shop.example")
        lines += [f"minica -domains {host}", f"cp minica.pem {host}/ca.pem"]
    _write(folder, lines)


def mkcert(fleet: Fleet, folder: Path) -> None:
    """Write the script for mkcert."""
    lines = ["export CAROOT=$PWD"]
    for name in (*fleet.servers, *fleet.clients):
        host = fleet.hosts.get(name)
        kind = host or f"-client {name}.shop.example"
        lines += [
            f"mkdir {name}",
            f"mkcert -ecdsa -cert-file {name}/cert.pem -key-file {name}/key.pem {kind}",
            f"cp rootCA.pem {name}/ca.pem",
        ]
    _write(folder, lines)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(folder: Path, lines: Iterable[str]) -> None:
    beginning = ["set -euo pipefail", "umask 077", "cd output"]
    (folder / SCRIPT).write_text("\n".join([*beginning, *lines]) + "\n", encoding="utf-8")
