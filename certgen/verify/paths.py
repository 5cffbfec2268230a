"""Certification paths, judged twice: by cryptography's verifier where it can, and step by step everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    ServerVerifier,
    Store,
    VerificationError,
)

from certgen.rfc5280 import objects
from certgen.rfc5280.constraints import outside_constraints
from certgen.rfc5280.vocabulary import ExtendedKeyUsage

X = TypeVar("X", bound=x509.ExtensionType)


class Fault(NamedTuple):
    """One thing that is wrong: a code, and a sentence without its subject."""

    code: str
    sentence: str


def faults_of_path(path: Sequence[x509.Certificate], root: x509.Certificate, now: datetime) -> Iterator[Fault]:
    """Walk a certification path (RFC 5280 6.1) and give what is wrong with it.

    Args:
        path: end entity or CA first, then the intermediates, without the root.
        root: the trust anchor.
        now: the time for which to judge.
    """
    basic = _extension(path[0], x509.BasicConstraints)
    first_depth = 1 if basic is not None and basic.ca and path[0] != root else 0
    for depth, (child, issuer) in enumerate(pairwise([*path, root]), first_depth):
        try:
            child.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            yield Fault("path-broken", f"{_name(child)} is not signed by {_name(issuer)}, which stands above it")
            return
        for sentence in _faults_of_step(path[0], child, issuer, depth):
            yield Fault("path-broken", sentence)
    for certificate in (*path, root):
        if now > certificate.not_valid_after_utc:
            yield Fault("expired", f"{_name(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        elif now < certificate.not_valid_before_utc:
            begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}Z"
            yield Fault("not-yet-valid", f"{_name(certificate)} is not valid before {begins}")


def _faults_of_step(
    first: x509.Certificate, child: x509.Certificate, issuer: x509.Certificate, depth: int
) -> Iterator[str]:
    """Judge one step of a path: the dates of the two, what the issuer may sign, and what it constrains."""
    if child.not_valid_after_utc > issuer.not_valid_after_utc:
        yield f"{_name(child)} ends after its issuer {_name(issuer)}"
    yield from _faults_of_issuer(issuer, depth)
    constraints = _extension(issuer, x509.NameConstraints)
    if constraints is not None:
        yield from _outside(first, issuer, constraints)


def refusal_by_library(
    path: Sequence[x509.Certificate], root: x509.Certificate, purposes: Collection[ExtendedKeyUsage], now: datetime
) -> str | None:
    """Ask cryptography's own verifier, which shares no code with certgen; None where it accepts or cannot judge.

    It knows ECDSA and RSA keys only, and refuses URI names below URI constraints whatever they are.
    """
    if not _can_judge(path, root):
        return None
    builder = PolicyBuilder().store(Store([root])).time(now.replace(tzinfo=None))
    if _extension(path[0], x509.SubjectAlternativeName) is None:
        # A client may do without a name; the library's own policy would refuse it.
        policy = ExtensionPolicy.webpki_defaults_ee()
        policy = policy.may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy)
    try:
        if ExtendedKeyUsage.SERVER_AUTH in purposes and (verifier := _server_verifier(builder, path[0])) is not None:
            verifier.verify(path[0], list(path[1:]))
        if ExtendedKeyUsage.CLIENT_AUTH in purposes:
            builder.build_client_verifier().verify(path[0], list(path[1:]))
    except VerificationError as reason:
        return str(reason)
    return None


def _server_verifier(builder: PolicyBuilder, certificate: x509.Certificate) -> ServerVerifier | None:
    """Ask for a name of a certificate; None where it has none, or one that no client can ask for."""
    subject = _subject_to_ask_for(certificate)
    try:
        return builder.build_server_verifier(subject) if subject is not None else None
    except ValueError:
        return None


def _faults_of_issuer(issuer: x509.Certificate, depth: int) -> Iterator[str]:
    """Judge whether a certificate may issue, with `depth` intermediates below it (RFC 5280 6.1.4 k-n)."""
    basic = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    if basic is None or not basic.ca:
        yield f"{_name(issuer)} is not a CA"
    elif basic.path_length is not None and basic.path_length < depth:
        yield f"{_name(issuer)} has path length {basic.path_length} and {depth} CAs below it"
    if usage is not None and not usage.key_cert_sign:
        yield f"{_name(issuer)} may not sign certificates"


def _outside(certificate: x509.Certificate, issuer: x509.Certificate, extension: x509.NameConstraints) -> Iterator[str]:
    constraints = objects.from_name_constraints(extension)
    for name in _extension(certificate, x509.SubjectAlternativeName) or ():
        reason = outside_constraints(objects.from_general_name(name), constraints)
        if reason is not None:
            found = objects.from_general_name(name)
            yield f"{found} is outside the name constraints of {_name(issuer)}, which {reason}"


def _can_judge(path: Sequence[x509.Certificate], root: x509.Certificate) -> bool:
    for certificate in (*path, root):
        if not isinstance(certificate.public_key(), ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            return False
        constraints = _extension(certificate, x509.NameConstraints)
        subtrees = (
            [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())] if constraints else []
        )
        if any(not isinstance(base, x509.DNSName | x509.IPAddress) for base in subtrees):
            return False
    return True


def _subject_to_ask_for(certificate: x509.Certificate) -> x509.DNSName | x509.IPAddress | None:
    """Give a name that a client would ask for: the first host, a wildcard's with a label in its place."""
    for name in _extension(certificate, x509.SubjectAlternativeName) or ():
        if isinstance(name, x509.DNSName):
            return x509.DNSName(name.value.replace("*", "any", 1))
        if isinstance(name, x509.IPAddress):
            return x509.IPAddress(name.value)
    return None


def _extension(certificate: x509.Certificate, kind: type[X]) -> X | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    name = objects.from_name(certificate.subject)
    return f"`{name.common_name or name}`"
