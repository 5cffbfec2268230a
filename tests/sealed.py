"""Recipients, identities, and a shop whose private keys are sealed for them."""

from dataclasses import dataclass
from pathlib import Path

import pyrage
from shop import Shop

SPEC = """\
    version: 1
    keys: {protection: age, recipients: [RECIPIENTS]}
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
    defaults: {issuer: issuing}
    servers:
      api: {sans: [api.shop.example]}
    clients:
      checkout:
"""
KEYS = ("cas/root", "cas/issuing", "servers/api", "clients/checkout")


@dataclass(frozen=True)
class Person:
    """Who can open what is sealed for them.

    recipient: what a spec names.
    identity: a file with the secret half.
    """

    recipient: str
    identity: Path


def make_person(folder: Path, name: str) -> Person:
    """Make an identity as `age-keygen` does."""
    identity = pyrage.x25519.Identity.generate()
    path = folder / f"{name}.txt"
    path.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    return Person(str(identity.to_public()), path)


def write_sealed(folder: Path, *people: Person, text: str = SPEC) -> Shop:
    """Write a shop's spec, with its keys for some people."""
    folder.mkdir(exist_ok=True)
    return Shop(folder).write(text.replace("RECIPIENTS", ", ".join(person.recipient for person in people)))


def sealed_files(shop: Shop) -> dict[str, bytes]:
    """Give the sealed private keys of a tree by their addresses."""
    return {str(path.parent.relative_to(shop.tree)): path.read_bytes() for path in shop.tree.glob("*/*/key.pem.age")}
