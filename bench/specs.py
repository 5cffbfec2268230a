"""The same fleet in each language: servers and clients, half and half, below one root."""

from dataclasses import dataclass
from typing import Final

P256: Final = "ecdsa-p256"
ED25519: Final = "ed25519"
RSA: Final = "rsa-3072"
KEYS: Final = (P256, ED25519, RSA)
NAME: Final = "fleet"

_CERTYAML_KEYS: Final = {
    P256: "key_type: EC\nkey_size: 256",
    ED25519: "key_type: ED25519",
    RSA: "key_type: RSA\nkey_size: 3072",
}


@dataclass(frozen=True)
class Fleet:
    """What is to be made.

    size: how many end entities.
    key: of all of them, and of the root.
    first_host: the first label of the first server's SAN; its own name where it is empty.
    """

    size: int
    key: str = P256
    first_host: str = ""

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of the servers; where the number is odd, they are one more."""
        return tuple(f"server-{number:05}" for number in range((self.size + 1) // 2))

    @property
    def clients(self) -> tuple[str, ...]:
        """The names of the clients."""
        return tuple(f"client-{number:05}" for number in range(self.size // 2))

    @property
    def hosts(self) -> dict[str, str]:
        """The one SAN of each server; a client has none."""
        hosts = {server: f"{server}.shop.example" for server in self.servers}
        if self.first_host:
            hosts[self.servers[0]] = f"{self.first_host}.shop.example"
        return hosts


def certgen_spec(fleet: Fleet) -> str:
    """Write the fleet as certgen's spec."""
    servers = "".join(f"  {server}: {{sans: {host}}}\n" for server, host in fleet.hosts.items())
    clients = "".join(f"  {client}: {{}}\n" for client in fleet.clients)
    return (
        f"version: 1\nname: {NAME}\ndefaults: {{key: {fleet.key}, validity: 1y}}\ncas:\n  root: {{validity: 10y}}\n"
        + (f"servers:\n{servers}" if servers else "")
        + (f"clients:\n{clients}" if clients else "")
    )


def certyaml_manifest(fleet: Fleet) -> str:
    """Write the fleet as certyaml's manifest."""
    key = _CERTYAML_KEYS[fleet.key]
    entity = f"{key}\nissuer: cn=root\nexpires: 8760h\nkey_usages: [DigitalSignature]\n"
    documents = [f"subject: cn=root\nfilename: root\n{key}\nexpires: 87600h\n"]
    documents += [
        f"subject: cn={server}\nfilename: {server}\n{entity}ext_key_usages: [ServerAuth]\nsans: ['DNS:{host}']\n"
        for server, host in fleet.hosts.items()
    ]
    documents += [
        f"subject: cn={client}\nfilename: {client}\n{entity}ext_key_usages: [ClientAuth]\n" for client in fleet.clients
    ]
    return "---\n".join(documents)
