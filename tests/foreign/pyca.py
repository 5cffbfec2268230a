"""The verifier of the cryptography package, which is written in Rust and follows the Web PKI's profile."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from .questions import Purpose, demand_askable, name_kind
from .verdicts import CannotJudgeError, Verdict


def load_certificates(pem: Path) -> list[x509.Certificate]:
    """Read every certificate of a PEM file, or raise `CannotJudgeError`.

    pem: the file.
    """
    try:
        return x509.load_pem_x509_certificates(pem.read_bytes())
    except (ValueError, OSError) as error:
        message = f"{pem}: {error}"
        raise CannotJudgeError(message) from error


def _has_alternative_name(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate has a subjectAltName.

    certificate: the one to look at.
    """
    return any(extension.oid == x509.SubjectAlternativeName.oid for extension in certificate.extensions)


def _without_alternative_name(policy: PolicyBuilder) -> PolicyBuilder:
    """Let an end entity do without subjectAltName, and leave all else as the library has it.

    policy: the policy so far.
    """
    end_entity = ExtensionPolicy.webpki_defaults_ee().may_be_present(
        x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
    )
    return policy.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=end_entity)


def python_strict(
    end_entity_pem: Path,
    anchors: Path,
    purpose: Purpose,
    name: str | None = None,
    at: datetime | None = None,
) -> Verdict:
    """Ask `cryptography.x509.verification`.

    end_entity_pem: the end entity, then its intermediates.
    anchors: the trust anchors.
    purpose: what the end entity is to be good for.
    name: of a server a DNS name or IP address, and required; of a client None, as the library compares none.
    at: the time to judge at, default now.

    Limits: RSA from 2048 bits, P-256, P-384, P-521 and ML-DSA, but never Ed25519. By the library's own policy
    a client needs a subjectAltName; where there is none, that one demand is dropped here. A client with a URI
    alone is accepted, but below a URI name constraint always refused ("unsupported name constraint").
    """
    demand_askable("python_strict", purpose, name, at)
    end_entity, *intermediates = load_certificates(end_entity_pem)
    policy = PolicyBuilder().store(Store(load_certificates(anchors)))
    if at is not None:
        policy = policy.time(at.astimezone(UTC).replace(tzinfo=None))
    if purpose == "client" and not _has_alternative_name(end_entity):
        policy = _without_alternative_name(policy)
    try:
        if name is None:
            policy.build_client_verifier().verify(end_entity, intermediates)
        else:
            is_ip = name_kind(name) == "ip"
            subject = x509.IPAddress(ip_address(name)) if is_ip else x509.DNSName(name)
            policy.build_server_verifier(subject).verify(end_entity, intermediates)
    except VerificationError as error:
        return Verdict(accepted=False, words=str(error))
    return Verdict(accepted=True, words="ok")
