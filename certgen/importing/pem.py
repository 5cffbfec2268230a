"""Certificates and private keys, in PEM or DER, by whomever: which belongs to which, and who signed whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Final

from certgen.certificates import (
    UnreadableError,
    is_private_key_der,
    is_signed_by,
    parse_certificates,
    parse_private_key,
)
from certgen.diagnostics import Diagnostic
from certgen.encoders.pem import encode_certificates
from certgen.importing.describing import describe, section_of
from certgen.importing.draft import Collected, Draft, Source, remark
from certgen.model import Certificate
from certgen.rfc5280.objects import key_id, public_key_der
from certgen.sealing.port import PrivateKey

_DER: Final = (".der", ".crt", ".cer")
_BEGIN: Final = b"-----BEGIN "
_LABEL: Final = rb"[A-Z0-9 ]{0,30}PRIVATE KEY-----"
_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN " + _LABEL + rb"(?:(?!-----).)*-----END " + _LABEL + rb"[ \t]*(?:\r\n|\r|\n)?", re.DOTALL
)
_NO_KEY: Final = PrivateKey(b"")
"""What stands for a private key that has no end."""


@dataclass(slots=True)
class _Found:
    certificates: dict[bytes, tuple[Certificate, str]] = field(default_factory=dict)
    """By DER, with the file that has it."""
    private_keys: dict[str, tuple[PrivateKey, str]] = field(default_factory=dict)
    """By key id, with the file that has it."""
    remarks: list[Diagnostic] = field(default_factory=list)


def collect(sources: Iterable[Source]) -> Collected:
    """Make entries of files; what cannot be an entry is told.

    Args:
        sources: files of whatever kind; those that hold neither certificate nor private key are passed over.
    """
    found = _Found()
    for source in sources:
        _read(source, found)
    kept = _chosen(found)
    issuers = {certificate.der: _issuer(certificate, kept) for certificate, _ in kept}
    drafts = []
    for certificate, path in kept:
        if (reason := _fault(certificate, issuers)) is not None:
            help_ = "give the files of its CA too, or leave it where it is"
            found.remarks.append(remark("not-imported", f"{path} stays out: {reason}", help_, path))
            continue
        drafts.append(_draft(certificate, path, issuers[certificate.der], found))
    used = {draft.certificate.key_id for draft in drafts if draft.certificate is not None}
    for identity, (_, path) in found.private_keys.items():
        if identity not in used:
            message = f"{path} stays out: no certificate that is taken over is for this private key"
            found.remarks.append(remark("not-imported", message, "give its certificate too", path))
    return Collected(tuple(drafts), tuple(found.remarks))


def _read(source: Source, found: _Found) -> None:
    suffix = PurePath(source.path).suffix.lower()
    if _BEGIN not in source.content:
        if suffix in _DER:
            _take(encode_certificates([source.content]), source, found)
        elif suffix == ".key" and is_private_key_der(source.content):
            _stay_out(source.path, "a private key in DER; a tree has them in PEM", "convert a copy of it", found)
        return
    if b"CERTIFICATE-----" in source.content:
        _take(_PRIVATE_KEY.sub(b"", source.content), source, found)
    if b"PRIVATE KEY-----" in source.content:
        # No variable of these holds a key in clear, so that no traceback shows one.
        for private_key in [PrivateKey(block.group()) for block in _PRIVATE_KEY.finditer(source.content)] or [_NO_KEY]:
            _take_key(private_key, source, found)


def _take(content: bytes, source: Source, found: _Found) -> None:
    try:
        for certificate in parse_certificates(content):
            found.certificates.setdefault(certificate.der, (certificate, source.path))
    except UnreadableError as reason:
        _stay_out(source.path, str(reason), "see what it is", found)


def _take_key(private_key: PrivateKey, source: Source, found: _Found) -> None:
    try:
        identity = key_id(public_key_der(parse_private_key(private_key.pem).public_key()))
        found.private_keys.setdefault(identity, (private_key, source.path))
    except UnreadableError as reason:
        help_ = "write it in clear for as long as the import takes, or leave the key where it is"
        _stay_out(source.path, str(reason), help_, found)


def _stay_out(path: str, reason: str, help_: str, found: _Found) -> None:
    found.remarks.append(remark("not-imported", f"{path} stays out: {reason}", help_, path))


def _chosen(found: _Found) -> list[tuple[Certificate, str]]:
    """Give one certificate for each key and name: that of a root, or else one that leads to a root, and ends last."""
    rooted = _rooted([certificate for certificate, _ in found.certificates.values()])
    best: dict[tuple[str, bytes], tuple[Certificate, str]] = {}

    def rank(certificate: Certificate) -> tuple[bool, bool, datetime]:
        return _is_root(certificate), certificate.der in rooted, certificate.not_after

    for own in found.certificates.values():
        name = (own[0].key_id, own[0].subject_der)
        before = best.setdefault(name, own)
        if before is own:
            continue
        best[name], other = (before, own) if rank(before[0]) >= rank(own[0]) else (own, before)
        is_older = other[0].not_after <= best[name][0].not_after
        why = "ends later" if is_older else "is a root" if _is_root(best[name][0]) else "leads to a root"
        message = f"a certificate in {other[1]} stays out: another of its key and subject {why}"
        found.remarks.append(remark("not-imported", message, "nothing, if that is the one in use", other[1]))
    return list(best.values())


def _rooted(certificates: Sequence[Certificate]) -> set[bytes]:
    """Give those, by DER, that lead to a root among them."""
    rooted = {certificate.der: certificate for certificate in certificates if _is_root(certificate)}
    latest = list(rooted.values())
    while latest:
        signed = [
            certificate
            for certificate in certificates
            if certificate.der not in rooted and any(_signed(certificate, above) for above in latest)
        ]
        rooted |= {certificate.der: certificate for certificate in signed}
        latest = [certificate for certificate in signed if certificate.is_ca]
    return set(rooted)


def _is_root(certificate: Certificate) -> bool:
    return certificate.is_ca and _signed(certificate, certificate)


def _signed(certificate: Certificate, issuer: Certificate) -> bool:
    return issuer.subject_der == certificate.issuer_der and is_signed_by(certificate, issuer)


def _issuer(certificate: Certificate, kept: Iterable[tuple[Certificate, str]]) -> Certificate | None:
    if _signed(certificate, certificate):
        return certificate
    return next((other for other, _ in kept if other.is_ca and _signed(certificate, other)), None)


def _fault(certificate: Certificate, issuers: dict[bytes, Certificate | None]) -> str | None:
    """Say why a certificate cannot be an entry: each stands below a root that is one."""
    seen = [certificate]
    while (issuer := issuers[seen[-1].der]) is not seen[-1]:
        if issuer is None:
            return f"the CA `{seen[-1].issuer}` above it is not among the files"
        if issuer in seen:
            return f"the CA `{issuer.subject}` above it has no root among the files"
        seen.append(issuer)
    if not seen[-1].is_ca:
        return f"`{certificate.subject}` signed itself and is no CA"
    if not seen[-1].subject.attributes:
        return "its root has no name, and verifiers refuse what such a CA signs (RFC 5280 4.1.2.4)"
    return None


def _draft(certificate: Certificate, path: str, issuer: Certificate | None, found: _Found) -> Draft:
    section = section_of(certificate)
    names = [name.value for name in certificate.subject_alt_names]
    wish = certificate.subject.common_name or next(iter(names), "") or PurePath(path).stem
    private_key, _ = found.private_keys.get(certificate.key_id, (None, ""))
    return Draft(
        section,
        wish,
        describe(certificate, section),
        subject=_identity(certificate),
        issuer=None if issuer is None or issuer is certificate else _identity(issuer),
        certificate=certificate,
        private_key=private_key,
    )


def _identity(certificate: Certificate) -> str:
    """Tell one CA from another, also where they share a name."""
    return f"{certificate.subject}, key {certificate.key_id}" if certificate.is_ca else str(certificate.subject)
