"""A Certificate of cert-manager: all of an entry that it has a field for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from certgen.exports.cert_manager.names import Names
from certgen.exports.cert_manager.subjects import subject_fields
from certgen.exports.cert_manager.terms import Term, duration
from certgen.exports.manifests import Manifest
from certgen.model import CertificateTemplate, Entry
from certgen.protection import KeyRotation
from certgen.rfc5280.vocabulary import (
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameConstraints,
)

API_VERSION: Final = "cert-manager.io/v1"

SUBSTITUTES: Final = {
    KeyAlgorithm.ML_DSA_44: KeyAlgorithm.ECDSA_P256,
    KeyAlgorithm.ML_DSA_65: KeyAlgorithm.ECDSA_P384,
    KeyAlgorithm.ML_DSA_87: KeyAlgorithm.ECDSA_P521,
}
"""What is made in place of a key that cert-manager cannot make: the nearest in strength against today's machines."""

_KEYS: Final[dict[KeyAlgorithm, dict[str, object]]] = {
    KeyAlgorithm.ECDSA_P256: {"algorithm": "ECDSA", "size": 256},
    KeyAlgorithm.ECDSA_P384: {"algorithm": "ECDSA", "size": 384},
    KeyAlgorithm.ECDSA_P521: {"algorithm": "ECDSA", "size": 521},
    KeyAlgorithm.ED25519: {"algorithm": "Ed25519"},
    KeyAlgorithm.RSA_2048: {"algorithm": "RSA", "size": 2048},
    KeyAlgorithm.RSA_3072: {"algorithm": "RSA", "size": 3072},
    KeyAlgorithm.RSA_4096: {"algorithm": "RSA", "size": 4096},
}
_ROTATIONS: Final = {KeyRotation.KEEP: "Never", KeyRotation.ON_RENEWAL: "Always"}
_KEY_USAGES: Final = {
    KeyUsage.DIGITAL_SIGNATURE: "digital signature",
    KeyUsage.CONTENT_COMMITMENT: "content commitment",
    KeyUsage.KEY_ENCIPHERMENT: "key encipherment",
    KeyUsage.DATA_ENCIPHERMENT: "data encipherment",
    KeyUsage.KEY_AGREEMENT: "key agreement",
    KeyUsage.KEY_CERT_SIGN: "cert sign",
    KeyUsage.CRL_SIGN: "crl sign",
    KeyUsage.ENCIPHER_ONLY: "encipher only",
    KeyUsage.DECIPHER_ONLY: "decipher only",
}
_EXTENDED_KEY_USAGES: Final = {
    ExtendedKeyUsage.SERVER_AUTH: "server auth",
    ExtendedKeyUsage.CLIENT_AUTH: "client auth",
    ExtendedKeyUsage.CODE_SIGNING: "code signing",
    ExtendedKeyUsage.EMAIL_PROTECTION: "email protection",
    ExtendedKeyUsage.TIME_STAMPING: "timestamping",
    ExtendedKeyUsage.OCSP_SIGNING: "ocsp signing",
}
_NAMES: Final = {
    GeneralNameKind.DNS: "dnsNames",
    GeneralNameKind.IP: "ipAddresses",
    GeneralNameKind.URI: "uris",
    GeneralNameKind.EMAIL: "emailAddresses",
}
_BASES: Final = {
    GeneralNameKind.DNS: "dnsDomains",
    GeneralNameKind.IP: "ipRanges",
    GeneralNameKind.URI: "uriDomains",
    GeneralNameKind.EMAIL: "emailAddresses",
}


def certificate(entry: Entry, issuer: str, names: Names, term: Term) -> Manifest:
    """Write the Certificate of an entry.

    Args:
        entry: one whose private key is made in the cluster.
        issuer: the name of the Issuer that signs it.
        names: those of the spec.
        term: how long it lasts.
    """
    template, name = entry.template, names.of(entry.address)
    metadata = names.metadata(name, entry.address)
    if not entry.is_ca:
        metadata["annotations"] = {"certgen/address": str(entry.address), "certgen/trust": names.trust(entry.trust)}
    constraints = template.name_constraints
    algorithm = SUBSTITUTES.get(entry.key.algorithm, entry.key.algorithm)
    spec: dict[str, object] = {
        "secretName": name,
        "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": issuer},
        **({"isCA": True} if entry.is_ca else {}),
        **subject_fields(template.subject),
        **_by_kind(template.subject_alt_names, _NAMES),
        "duration": duration(term.lifetime),
        "renewBefore": duration(term.window),
        "privateKey": {**_KEYS[algorithm], "encoding": "PKCS8", "rotationPolicy": _ROTATIONS[entry.key.rotation]},
        "usages": _usages(template),
        **({"nameConstraints": _constraints(constraints)} if constraints else {}),
    }
    return {"apiVersion": API_VERSION, "kind": "Certificate", "metadata": metadata, "spec": spec}


def _usages(template: CertificateTemplate) -> list[str]:
    return [
        *(word for usage, word in _KEY_USAGES.items() if usage in template.key_usage),
        *(word for purpose, word in _EXTENDED_KEY_USAGES.items() if purpose in template.extended_key_usage),
    ]


def _constraints(constraints: NameConstraints) -> dict[str, object]:
    bases = {"permitted": constraints.permitted, "excluded": constraints.excluded}
    return {"critical": True, **{side: _by_kind(found, _BASES) for side, found in bases.items() if found}}


def _by_kind(names: Iterable[GeneralName], fields: dict[GeneralNameKind, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {field: [] for field in fields.values()}
    for name in names:
        found[fields[GeneralNameKind(name.kind)]].append(name.value)
    return {field: values for field, values in found.items() if values}
