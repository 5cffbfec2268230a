"""Certificates and private keys, in PEM or DER, by whomever: which belongs to which, and who signed whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from certgen.certificates import UnreadableError, is_signed_by, parse_certificate, parse_certificates, parse_private_key
from certgen.diagnostics import Diagnostic
from certgen.importing.describing import describe, section_of
from certgen.importing.draft import Collected, Draft, Source, remark
from certgen.model import Certificate
from certgen.rfc5280.objects import key_id, public_key_der
from certgen.sealing.port import PrivateKey

_DER: Final = (".der", ".crt", ".cer")
_BEGIN: Final = b"-----BEGIN "


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
    kept = _newest(found)
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
    content = source.content
    if _BEGIN not in content:
        if PurePath(source.path).suffix in _DER:
            _take(lambda: (parse_certificate(content),), source, found)
        return
    if _BEGIN + b"CERTIFICATE-" in content:
        _take(lambda: parse_certificates(content), source, found)
    if b"PRIVATE KEY-----" in content:
        _take_key(PrivateKey(content), source, found)


def _take(read: Callable[[], Sequence[Certificate]], source: Source, found: _Found) -> None:
    try:
        for certificate in read():
            found.certificates.setdefault(certificate.der, (certificate, source.path))
    except UnreadableError as reason:
        found.remarks.append(
            remark("not-imported", f"{source.path} stays out: {reason}", "see what it is", source.path)
        )


def _take_key(private_key: PrivateKey, source: Source, found: _Found) -> None:
    block = _key_block(private_key)
    try:
        identity = key_id(public_key_der(parse_private_key(block.pem).public_key()))
        found.private_keys.setdefault(identity, (block, source.path))
    except UnreadableError as reason:
        help_ = "write it in clear for as long as the import takes, or leave the key where it is"
        found.remarks.append(remark("not-imported", f"{source.path} stays out: {reason}", help_, source.path))


def _key_block(private_key: PrivateKey) -> PrivateKey:
    """Give the private key of a file that may hold certificates, or parameters of its curve, beside it."""
    lines = private_key.pem.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.startswith(_BEGIN) and b"PRIVATE KEY-----" in line]
    ends = [
        number for number, line in enumerate(lines) if line.startswith(b"-----END ") and b"PRIVATE KEY-----" in line
    ]
    if not starts or not ends:
        return private_key
    return PrivateKey(b"".join(lines[starts[0] : ends[0] + 1]))


def _newest(found: _Found) -> list[tuple[Certificate, str]]:
    """Give the certificate of each key and name that ends last; the others have been renewed."""
    latest: dict[tuple[str, bytes], tuple[Certificate, str]] = {}
    for certificate, path in found.certificates.values():
        name = (certificate.key_id, certificate.subject_der)
        before = latest.get(name)
        if before is not None and before[0].not_after >= certificate.not_after:
            _outdated(path, found)
            continue
        if before is not None:
            _outdated(before[1], found)
        latest[name] = (certificate, path)
    return list(latest.values())


def _outdated(path: str, found: _Found) -> None:
    message = f"a certificate in {path} stays out: another of its key and subject ends later"
    found.remarks.append(remark("not-imported", message, "nothing, if it has been renewed", path))


def _issuer(certificate: Certificate, kept: Iterable[tuple[Certificate, str]]) -> Certificate | None:
    if certificate.is_self_issued and is_signed_by(certificate, certificate):
        return certificate
    return next((other for other, _ in kept if other.is_ca and is_signed_by(certificate, other)), None)


def _fault(certificate: Certificate, issuers: dict[bytes, Certificate | None]) -> str | None:
    """Say why a certificate cannot be an entry: each stands below a CA that is one."""
    issuer = issuers[certificate.der]
    if issuer is certificate:
        return None if certificate.is_ca else f"`{certificate.subject}` signed itself and is no CA"
    seen = [certificate]
    while issuer is not None and issuer not in seen:
        seen.append(issuer)
        issuer = issuers[issuer.der]
    if issuer is None:
        return f"the CA `{seen[-1].issuer}` above it is not among the files"
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
