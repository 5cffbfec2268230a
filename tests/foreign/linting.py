"""pkilint's PKIX certificate linter, in this process; pkilint is imported when it is first asked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .pyca import load_certificates
from .verdicts import CannotJudgeError

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SEGMENT = r"(?!\.{1,2}(/|$))[A-Za-z0-9._-]+"


@dataclass(frozen=True)
class FalseAlarm:
    """Values that pkilint reports and that are right.

    code: the finding's code.
    extensions: where the value is right, by the ASN.1 names of the extensions.
    value: what the value looks like.
    reason: why it is right.
    """

    code: str
    extensions: tuple[str, ...]
    value: re.Pattern[str]
    reason: str


FALSE_ALARMS = (
    FalseAlarm(
        code="pkix.invalid_domain_name_syntax",
        extensions=("subjectAltName", "nameConstraints"),
        value=re.compile(_LABEL),
        reason="the preferred name syntax (RFC 1034 3.5, RFC 5280 4.2.1.6) has no minimum of two labels",
    ),
    FalseAlarm(
        code="pkix.invalid_domain_name_syntax",
        extensions=("subjectAltName",),
        value=re.compile(rf"\*(\.{_LABEL})+"),
        reason="RFC 9525 6.3 allows a wildcard as the whole left-most label",
    ),
    FalseAlarm(
        code="pkix.invalid_uri_syntax",
        extensions=("subjectAltName",),
        value=re.compile(rf"spiffe://[a-z0-9._-]+(/{_SEGMENT})*"),
        reason="pkilint knows the web's schemes only; a SPIFFE ID of this syntax is a URI by RFC 3986",
    ),
)


class _Linter(Protocol):
    """What is used of pkilint's validator containers, as pkilint has no types."""

    def validate(self, root: object) -> Iterable[Any]:
        """Run every validator over a document."""


@cache
def _linter() -> _Linter:
    """Put the linter together as pkilint's own `lint_pkix_cert` does."""
    from pkilint.pkix import certificate, extension, name  # type: ignore[import-untyped]

    linter: _Linter = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return linter


def _is_false_alarm(code: str, place: str, value: object) -> bool:
    """Tell whether a finding is one of `FALSE_ALARMS`.

    code: the finding's code.
    place: the path of the ASN.1 node that it is about.
    value: the node's value; not every kind of value can be made a string, those of names can.
    """
    return any(
        code == alarm.code
        and not {*alarm.extensions}.isdisjoint(place.split("."))
        and alarm.value.fullmatch(str(value))
        for alarm in FALSE_ALARMS
    )


def _findings(subject: x509.Certificate) -> Iterable[str]:
    """Lint one certificate.

    subject: the certificate.
    """
    from pkilint import loader  # type: ignore[import-untyped]
    from pkilint.validation import ValidationFindingSeverity  # type: ignore[import-untyped]

    label = subject.subject.rfc4514_string()
    try:
        document = loader.RFC5280CertificateDocumentLoader().load_der_document(
            subject.public_bytes(Encoding.DER), label
        )
    except ValueError as error:
        raise CannotJudgeError(str(error)) from error
    for result in _linter().validate(document.root):
        place = str(result.node.path)
        for found in result.finding_descriptions:
            severity, code = found.finding
            if severity > ValidationFindingSeverity.ERROR or _is_false_alarm(code, place, result.node.pdu):
                continue
            yield f"{label}: {code} ({severity}) at {place}: {found.message}"


def pkilint(certificate_pem: Path) -> tuple[str, ...]:
    """Lint every certificate of a file; findings are those of severity ERROR or FATAL, less `FALSE_ALARMS`.

    certificate_pem: one certificate or a certification path. (The command `lint_pkix_cert` fails to load a
    path, with the exit status 1 that also means one finding; here each certificate is linted for itself.)
    """
    return tuple(finding for subject in load_certificates(certificate_pem) for finding in _findings(subject))


def pkilint_batch(certificate_pems: Iterable[Path]) -> list[tuple[str, ...]]:
    """Lint several files; no faster than `pkilint` for each, as the linter is loaded once per process.

    certificate_pems: the files, each as for `pkilint`.
    """
    return [pkilint(certificate_pem) for certificate_pem in certificate_pems]
