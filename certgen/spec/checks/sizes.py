"""Sizes: how long a certificate's DER would be, told from what it says, before anything is signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from certgen.diagnostics import Diagnostic
from certgen.model import LONGEST_CERTIFICATE, Bundle, Certificate, CertificateTemplate, Entry
from certgen.rfc5280.vocabulary import DistinguishedName, GeneralName, GeneralNameKind, KeyAlgorithm, NameAttribute
from certgen.spec.checks.findings import error_at, made_by_certgen

_PUBLIC_KEYS: Final[dict[str, int]] = {
    KeyAlgorithm.ECDSA_P256: 91, KeyAlgorithm.ECDSA_P384: 120, KeyAlgorithm.ECDSA_P521: 158,
    KeyAlgorithm.ED25519: 44,
    KeyAlgorithm.RSA_2048: 294, KeyAlgorithm.RSA_3072: 422, KeyAlgorithm.RSA_4096: 550,
    KeyAlgorithm.ML_DSA_44: 1334, KeyAlgorithm.ML_DSA_65: 1974, KeyAlgorithm.ML_DSA_87: 2614,
}  # fmt: skip
"""Bytes of a SubjectPublicKeyInfo."""
_SIGNATURES: Final[dict[str, int]] = {
    KeyAlgorithm.ECDSA_P256: 72, KeyAlgorithm.ECDSA_P384: 104, KeyAlgorithm.ECDSA_P521: 139,
    KeyAlgorithm.ED25519: 64, "ed448": 114,
    KeyAlgorithm.ML_DSA_44: 2420, KeyAlgorithm.ML_DSA_65: 3309, KeyAlgorithm.ML_DSA_87: 4627,
}  # fmt: skip
"""Bytes of a signature, at most; one of RSA is as long as its key."""
_USUAL_KEYS: Final = frozenset(name for name, size in _PUBLIC_KEYS.items() if size < 1000)
_AROUND_A_TEXT, _PLAINLY_SHORT = 40, 8192
"""Bytes: what stands around a text at most, and what all may take beside keys, signature and the rest."""
_LONGEST_OTHER_SIGNATURE: Final = 144
_CE, _PKIX = 5, 10
"""Bytes of an object identifier below id-ce, or id-at, and of one below id-pkix."""
_SERIAL, _TIMES, _ALGORITHM = 22, 36, 15
"""Bytes of a serial number, of a validity and of an algorithm identifier, at most."""


def certificates_are_read_back(bundle: Bundle) -> Iterator[Diagnostic]:
    """No certificate is longer than what is read back from a tree."""
    for entry in made_by_certgen(bundle):
        issuer = bundle[entry.issuer] if entry.issuer is not None else entry
        if _is_plainly_short(entry, issuer):
            continue
        extensions = _long_extensions(entry.template)
        size = _certificate(entry, issuer, sum(extensions.values()))
        if size > LONGEST_CERTIFICATE:
            parts = {**extensions, "subject": _name(entry.template.subject)}
            place = max(parts, key=lambda field: parts[field])
            message = f"the certificate of {entry.address} would have {size} bytes, the limit is {LONGEST_CERTIFICATE}"
            help_ = "spread the names over several entries" if place == "sans" else "shorten it"
            yield error_at(entry, "certificate-too-large", message, place, help_=help_)


def _is_plainly_short(entry: Entry, issuer: Entry) -> bool:
    """Whether so little is written in an entry that its certificate need not be measured: a fleet has few others."""
    template = entry.template
    is_usual = entry.public_key is None and issuer.supplied is None and template.name_constraints is None
    if not is_usual or not _USUAL_KEYS.issuperset((entry.key.algorithm, issuer.key.algorithm)):
        return False
    texts = [value for _, value in (*template.subject.attributes, *issuer.template.subject.attributes)]
    texts += [name.value for name in template.subject_alt_names]
    texts += [*template.crl_distribution_points, *template.ocsp, *template.ca_issuers]
    return 4 * sum(map(len, texts)) + _AROUND_A_TEXT * len(texts) < _PLAINLY_SHORT


def _certificate(entry: Entry, issuer: Entry, extensions: int) -> int:
    """Give the size of a Certificate (RFC 5280 4.1) whose long extensions take so many bytes."""
    signer = issuer.supplied.path[0] if issuer.supplied else None
    public_key = len(entry.public_key.public_key) if entry.public_key else _PUBLIC_KEYS[entry.key.algorithm]
    algorithm = str(signer.key_algorithm if signer else issuer.key.algorithm)
    names = _name(entry.template.subject) + (len(signer.subject_der) if signer else _name(issuer.template.subject))
    extensions += _short_extensions(entry.template, signer)
    fields = 5 + _SERIAL + _ALGORITHM + _TIMES + names + public_key + _tlv(_tlv(extensions))
    return _tlv(_tlv(fields) + _ALGORITHM + _tlv(1 + _signature(algorithm)))


def _signature(algorithm: str) -> int:
    if algorithm.startswith("rsa-"):
        return int(algorithm.removeprefix("rsa-")) // 8
    return _SIGNATURES.get(algorithm, _LONGEST_OTHER_SIGNATURE)


def _short_extensions(template: CertificateTemplate, signer: Certificate | None) -> int:
    """Give the bytes of the extensions that do not grow: basicConstraints, usages, key identifiers."""
    known = signer.subject_key_identifier if signer and signer.subject_key_identifier else bytes(20)
    purposes = _PKIX * len(template.extended_key_usage)
    basic = _extension(_tlv(9 if template.role.is_ca else 0), is_critical=True)
    usage = _extension(5, is_critical=True) + (_extension(_tlv(purposes)) if purposes else 0)
    return basic + usage + _extension(_tlv(20)) + _extension(_tlv(_tlv(len(known))))


def _long_extensions(template: CertificateTemplate) -> dict[str, int]:
    """Give the bytes of the extensions that a spec can make long, by its field."""
    constraints = template.name_constraints
    subtrees = [bases for bases in (constraints.permitted, constraints.excluded) if bases] if constraints else []
    points = (_tlv(_tlv(_tlv(_tlv(len(url))))) for url in template.crl_distribution_points)
    urls = {"ocsp": template.ocsp, "ca_issuers": template.ca_issuers}
    access = {field: sum(_tlv(_PKIX + _tlv(len(url))) for url in said) for field, said in urls.items()}
    header = _extension(_tlv(sum(access.values())), oid=_PKIX) - sum(access.values()) if sum(access.values()) else 0
    return {
        "sans": _listed(map(_general_name, template.subject_alt_names)),
        "name_constraints": _listed((_tlv(sum(map(_subtree, bases))) for bases in subtrees), is_critical=True),
        "crl_distribution_points": _listed(points),
        "ocsp": access["ocsp"] + header,
        "ca_issuers": access["ca_issuers"],
    }


def _name(name: DistinguishedName) -> int:
    """Give the size of a Name whose every relative name has one attribute (RFC 5280 4.1.2.4)."""
    oids = {NameAttribute.DOMAIN_COMPONENT: 12}
    pairs = ((oids.get(NameAttribute(key), _CE), len(value.encode())) for key, value in name.attributes)
    return _tlv(sum(_tlv(_tlv(oid + _tlv(length))) for oid, length in pairs))


def _general_name(name: GeneralName) -> int:
    if name.kind == GeneralNameKind.IP:
        return _tlv(16 if ":" in name.value else 4)
    return _tlv(len(name.value))


def _subtree(base: GeneralName) -> int:
    if base.kind == GeneralNameKind.IP:
        return _tlv(_tlv(32 if ":" in base.value else 8))
    return _tlv(_tlv(len(base.value)))


def _listed(items: Iterable[int], *, is_critical: bool = False) -> int:
    total = sum(items)
    return _extension(_tlv(total), is_critical=is_critical) if total else 0


def _extension(value: int, *, oid: int = _CE, is_critical: bool = False) -> int:
    return _tlv(oid + 3 * is_critical + _tlv(value))


def _tlv(length: int) -> int:
    """Give the bytes of a DER element whose contents have so many (X.690 8.1.3)."""
    return 1 + length + (1 if length < 128 else 1 + (length.bit_length() + 7) // 8)
