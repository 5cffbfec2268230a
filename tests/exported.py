"""Specs that are exported, with the files that they name, and what comes out of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

from admission import Manifest, faults, parsed
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certgen.exports.cert_manager import export
from certgen.loading import LoadedSpec, load_spec
from certgen.model import Bundle
from certgen.pipeline import apply_specs

SHOP = """\
    version: 1
    defaults:
      subject: {organization: Shop BV, country: NL}
      issuer: issuing
    cas:
      root:
        common_name: Shop Root CA
        key: ecdsa-p384
        validity: 10y
        name_constraints:
          permitted: [shop.example, localhost, 127.0.0.0/8, "2001:db8::/32", "URI:shop.example", "email:shop.example"]
          excluded: [evil.shop.example]
      issuing: {issuer: root, common_name: Shop Issuing CA, key: rsa-4096, validity: 5y, renew_before: 400d}
      partner: {common_name: Partner Root}
    servers:
      api:
        common_name: api.shop.example
        sans: [api.shop.example, localhost, 127.0.0.1, "2001:db8::7"]
        key: {algorithm: rsa-2048, rotation: on-renewal}
        validity: 90d
        renew_before: 25%
        key_usage: [digitalSignature, keyEncipherment]
        trust: [root, partner]
    clients:
      checkout: {sans: ["spiffe://shop.example/checkout", me@shop.example], validity: 12h, renew_before: 2h}
      batch: {key: ed25519}
    peers:
      etcd-0: {sans: etcd-0.shop.example, key: ecdsa-p521}
"""
"""What has an intermediate, name constraints, SPIFFE names and RSA keys."""

_PARTNER = """\
    version: 1
    cas:
      root: {common_name: Partner Root, path_length: 2}
      below: {issuer: root, common_name: Partner Issuing, path_length: 1}
    clients: {a: {issuer: below}}
"""


def loaded(folder: Path, text: str, name: str = "shop") -> LoadedSpec:
    """Write a spec and read it, without private keys as a run does.

    folder: in which it stands, with the files that it names.
    text: of the spec, indented as one likes.
    name: of its file.
    """
    path = folder / f"{name}.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return load_spec(path, reads_keys=False)


def bundle_of(folder: Path, text: str, name: str = "shop") -> Bundle:
    return loaded(folder, text, name).bundle


def manifests_of(bundle: Bundle, namespace: str | None = None) -> dict[str, Manifest]:
    """Export a spec, demand what holds of all, and give the manifests by kind and name."""
    found = parsed(export(bundle, {"namespace": namespace}).text)
    assert faults(found) == []
    return {f"{item['kind']} {item['metadata']['name']}": item for item in found}


def spec_of(manifests: dict[str, Manifest], name: str) -> dict[str, Any]:
    return dict(manifests[name]["spec"])


def bring(folder: Path) -> None:
    """Put files beside a spec: a partner's root and the CA below it with their keys, and a public key."""
    (partner,) = apply_specs([loaded(folder, _PARTNER, "partner")], folder / "output", datetime.now(UTC) - timedelta(1))
    assert partner.written
    tree = folder / "output/partner/cas"
    for name in ("root", "below"):
        for file in ("cert", "key"):
            (folder / f"{name}-{file}.pem").write_bytes((tree / name / f"{file}.pem").read_bytes())
    public = generate_private_key(SECP256R1()).public_key()
    (folder / "app.pub").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
