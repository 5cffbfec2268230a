"""A manifest of certyaml: YAML documents, one a certificate."""

from __future__ import annotations

import re
from typing import Any, Final

from certgen.diagnostics import CertgenError
from certgen.importing.draft import Collected, Draft, Source, remark, subject_of, unsaid
from certgen.model import Section
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, KeyUsage, NameAttribute
from certgen.spec.document import compose

_DOCUMENT_END: Final = re.compile(rb"^---[ \t]*(?:#.*)?$", re.MULTILINE)
_ATTRIBUTES: Final = {
    "CN": NameAttribute.COMMON_NAME,
    "O": NameAttribute.ORGANIZATION,
    "OU": NameAttribute.ORGANIZATIONAL_UNIT,
    "C": NameAttribute.COUNTRY,
    "ST": NameAttribute.STATE,
    "L": NameAttribute.LOCALITY,
    "STREET": NameAttribute.STREET_ADDRESS,
    "POSTALCODE": NameAttribute.POSTAL_CODE,
    "SERIALNUMBER": NameAttribute.SERIAL_NUMBER,
    "DC": NameAttribute.DOMAIN_COMPONENT,
}
_USAGES: Final = {usage.value.casefold(): usage.value for usage in KeyUsage} | {
    "certsign": KeyUsage.KEY_CERT_SIGN.value
}
_PURPOSES: Final = {purpose.value.casefold(): purpose.value for purpose in ExtendedKeyUsage}
_KEYS: Final = {
    "EC 256": "ecdsa-p256", "EC 384": "ecdsa-p384", "EC 521": "ecdsa-p521", "ED25519 256": "ed25519",
    "RSA 2048": "rsa-2048", "RSA 3072": "rsa-3072", "RSA 4096": "rsa-4096",
}  # fmt: skip
_DEFAULT_SIZES: Final = {"EC": "256", "RSA": "2048", "ED25519": "256"}
_UNSAID: Final = ("serial", "revoked")
_SERVER, _CLIENT = ExtendedKeyUsage.SERVER_AUTH.value, ExtendedKeyUsage.CLIENT_AUTH.value


def collect(source: Source) -> Collected | None:
    """Make entries of a manifest; None of a file that is none.

    Args:
        source: a YAML file.
    """
    try:
        parts = [part for part in _DOCUMENT_END.split(source.content) if part.strip()]
        documents: list[Any] = [compose(part, source.path).plain for part in parts]
    except CertgenError:
        return None
    if not documents or not all(isinstance(document, dict) and "subject" in document for document in documents):
        return None
    found = Collected()
    for document in documents:
        found += _entry(document, source.path)
    return found


def _entry(document: dict[str, Any], path: str) -> Collected:
    attributes = _attributes(str(document["subject"]))
    if attributes is None:
        message = f"`{document['subject']}` in {path} is no distinguished name that a spec can hold"
        return Collected((), (remark("not-imported", message, "write that entry by hand", path),))
    issuer = document.get("issuer")
    is_ca = str(document.get("ca", "true" if issuer is None else "false")).casefold() == "true"
    common_name = next((value for name, value in attributes if name == NameAttribute.COMMON_NAME), None)
    above = _attributes(str(issuer)) if issuer is not None else None
    section = Section.CAS if is_ca else _section(document)
    draft = Draft(
        section,
        common_name or "",
        {name: value for name, value in _fields(document, section, attributes).items() if value not in (None, [], {})},
        subject=subject_of(attributes),
        issuer=subject_of(above) if above is not None else None,
    )
    left = [name for name in _UNSAID if document.get(name) is not None and document[name] != "false"]
    left += ["key"] if _key(document) is None else []
    return Collected((draft,), tuple(unsaid(draft.wish, name, path) for name in left))


def _fields(document: dict[str, Any], section: Section, attributes: list[tuple[str, str]]) -> dict[str, Any]:
    usages = [_USAGES.get(str(item).casefold(), str(item)) for item in _listed(document.get("key_usages"))]
    purposes = [_PURPOSES.get(str(item).casefold(), str(item)) for item in _listed(document.get("ext_key_usages"))]
    subject: dict[str, list[str]] = {}
    for name, value in attributes:
        if name != NameAttribute.COMMON_NAME:
            subject.setdefault(str(name), []).append(value)
    key = _key(document)
    implied = {Section.SERVERS: {_SERVER}, Section.CLIENTS: {_CLIENT}, Section.PEERS: {_SERVER, _CLIENT}}
    return {
        "common_name": next((value for name, value in attributes if name == NameAttribute.COMMON_NAME), None),
        "subject": {name: values[0] if len(values) == 1 else values for name, values in subject.items()},
        "sans": None if section is Section.CAS else _listed(document.get("sans")),
        "key": key if key != "ecdsa-p256" else None,
        "validity": None if document.get("not_after") else document.get("expires", "8760h"),
        "not_before": document.get("not_before"),
        "not_after": document.get("not_after"),
        "key_usage": usages,
        "extended_key_usage": purposes if set(purposes) != implied.get(section, set()) else [],
        "crl_distribution_points": _listed(document.get("crl_distribution_points")),
        "ocsp": _listed(document.get("ocsp")),
    }


def _attributes(text: str) -> list[tuple[str, str]] | None:
    found: list[tuple[str, str]] = []
    for part in re.split(r"(?<!\\),", text):
        name, separator, value = part.strip().partition("=")
        if not separator or name.strip().upper() not in _ATTRIBUTES:
            return None
        found.append((_ATTRIBUTES[name.strip().upper()], value.strip().replace("\\,", ",")))
    return found


def _section(document: dict[str, Any]) -> Section:
    purposes = {str(item).casefold() for item in _listed(document.get("ext_key_usages"))}
    serves, connects = _SERVER.casefold() in purposes, _CLIENT.casefold() in purposes
    hosts = any(str(name).upper().startswith(("DNS:", "IP:")) for name in _listed(document.get("sans")))
    if serves and connects:
        return Section.PEERS
    return Section.SERVERS if serves or (hosts and not connects) else Section.CLIENTS


def _key(document: dict[str, Any]) -> str | None:
    kind = str(document.get("key_type", "EC")).upper()
    return _KEYS.get(f"{kind} {document.get('key_size', _DEFAULT_SIZES.get(kind))}")


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - whatever YAML holds
    return value if isinstance(value, list) else [] if value is None else [value]
