"""Keys, usages, paths and anchors: whether they fit each other, and the programs that read them."""

from __future__ import annotations

from collections.abc import Iterator

from certgen.certificates import is_signed_by
from certgen.diagnostics import Diagnostic, Route
from certgen.model import AnchorFile, Bundle, Certificate
from certgen.rfc5280.vocabulary import (
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
)
from certgen.spec.checks.findings import error_at, made_by_certgen, warning_at


def path_lengths_hold(bundle: Bundle) -> Iterator[Diagnostic]:
    """No CA has more CAs below it than its path length allows (RFC 5280 4.2.1.9)."""
    for entry in bundle.entries:
        if not entry.is_ca:
            continue
        for below, issuer in enumerate(bundle.issuers_above(entry.address)):
            limit = issuer.template.path_length
            if limit is not None and not issuer.template.path_length_derived and below >= limit:
                message = f"{entry.address} is {below + 1} below {issuer.address}, whose path length is {limit}"
                place: Route = ("path_length",) if issuer.supplied is None else ("certificate",)
                yield error_at(issuer, "path-too-long", message, *place)


def key_usages_fit(bundle: Bundle) -> Iterator[Diagnostic]:
    """Key usages fit the key and the role (RFC 5280 4.2.1.3, RFC 8813 3, RFC 9881 5)."""
    enciphering = {KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DATA_ENCIPHERMENT}
    for entry in made_by_certgen(bundle):
        usages, place = entry.template.key_usage, ("key_usage",)
        algorithm = entry.public_key.algorithm if entry.public_key else entry.key.algorithm
        if entry.is_ca and KeyUsage.KEY_CERT_SIGN not in usages:
            yield error_at(
                entry,
                "key-usage",
                f"{entry.address} is a CA and may not sign certificates",
                *place,
                help_="add keyCertSign",
            )
        if not entry.is_ca and usages & {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}:
            yield error_at(entry, "key-usage", "keyCertSign and cRLSign are for CAs", *place)
        if usages & enciphering and not algorithm.startswith("rsa"):
            yield error_at(
                entry,
                "key-usage",
                f"a key of {algorithm} cannot encipher",
                *place,
                help_="leave it at digitalSignature",
            )
        if usages & {KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY} and KeyUsage.KEY_AGREEMENT not in usages:
            yield error_at(
                entry, "key-usage", "encipherOnly and decipherOnly mean nothing without keyAgreement", *place
            )
        if KeyUsage.KEY_AGREEMENT in usages and not algorithm.startswith("ecdsa"):
            yield error_at(entry, "key-usage", f"a key of {algorithm} cannot agree on keys", *place)


def purposes_are_allowed_above(bundle: Bundle) -> Iterator[Diagnostic]:
    """A CA with extended key usages lends no others to what stands below it, as TLS programs read it."""
    for entry in made_by_certgen(bundle):
        for issuer in bundle.issuers_above(entry.address):
            allowed = issuer.template.extended_key_usage
            missing = sorted(entry.template.extended_key_usage - allowed) if allowed else []
            if missing:
                message = f"{entry.address} is for {', '.join(missing)}, which its CA {issuer.address} is not"
                yield error_at(entry, "key-usage", message, "extended_key_usage")


def key_choices_fit(bundle: Bundle) -> Iterator[Diagnostic]:
    """A CA's key is never rotated by time, and a key that stays on its host is not chosen here."""
    for entry in made_by_certgen(bundle):
        if entry.is_ca and entry.key.rotation != "keep":
            message, help_ = (
                "a new CA key is always an explicit act",
                "leave `rotation` out; use `certgen apply --rekey`",
            )
            yield error_at(entry, "ca-rotation", message, "key", "rotation", help_=help_)


def algorithms_are_known_to_programs(bundle: Bundle) -> Iterator[Diagnostic]:
    """Some algorithms are sound and yet refused by programs that people use; say by which."""
    for entry in bundle.end_entities:
        algorithm = entry.public_key.algorithm if entry.public_key else entry.key.algorithm
        above = [issuer.key.algorithm for issuer in bundle.issuers_above(entry.address) if issuer.supplied is None]
        if any(isinstance(a, KeyAlgorithm) and a.is_post_quantum for a in [*above, algorithm]):
            message = f"{entry.address} has ML-DSA in its path, which OpenSSL before 3.5, Java 17 and Node 20 refuse"
            yield warning_at(entry, "unsupported-by-programs", message, "key", help_="use ecdsa-p256 for these")
        elif algorithm == KeyAlgorithm.ED25519:
            message = f"{entry.address} has an Ed25519 key, which browsers, gRPC and Envoy's client check refuse"
            yield warning_at(entry, "unsupported-by-programs", message, "key", help_="use ecdsa-p256 for these")


def supplied_keys_fit(bundle: Bundle) -> Iterator[Diagnostic]:
    """The private key of a CA that the user brings is that of its certificate."""
    for entry in bundle.entries:
        supplied = entry.supplied
        if supplied and supplied.private_key_id not in {None, supplied.path[0].key_id}:
            message = f"`{supplied.private_key_file}` is not the key of `{supplied.certificate_file}`"
            yield error_at(entry, "ca-key-mismatch", message, "private_key")


def supplied_authorities_fit_the_profile(bundle: Bundle) -> Iterator[Diagnostic]:
    """A CA that the user brings has what strict verifiers ask of one, and constrains only what is checked here."""
    for entry in bundle.entries:
        supplied = entry.supplied
        for certificate in dict.fromkeys((*supplied.path, *supplied.roots)) if supplied else ():
            for fault in _faults_of_profile(certificate):
                message = f"`{certificate.subject}` {fault}"
                help_ = "have it signed again, or expect refusals"
                yield warning_at(entry, "ca-profile", message, "certificate", help_=help_)


def trust_files_hold_roots(bundle: Bundle) -> Iterator[Diagnostic]:
    """A trust anchor from a file is self-signed: many programs refuse an intermediate as an anchor."""
    for entry in bundle.end_entities:
        for anchor in entry.trust:
            if isinstance(anchor, AnchorFile) and not all(is_signed_by(c, c) for c in anchor.certificates):
                message = f"`{anchor.file}` holds an intermediate, which nginx, HAProxy and PostgreSQL refuse to trust"
                yield warning_at(entry, "anchor-not-root", message, "trust", help_="trust its root")


def _faults_of_profile(certificate: Certificate) -> Iterator[str]:
    """Give what strict verifiers refuse in a CA's certificate (RFC 5280 4.2.1.1, 4.2.1.3, 4.2.1.9)."""
    if not certificate.subject.attributes:
        yield "has an empty subject, which strict verifiers refuse"
    if "keyUsage" not in certificate.present:
        yield "has no keyUsage, which strict verifiers refuse"
    if certificate.subject_key_identifier is None:
        yield "has no subjectKeyIdentifier, which strict verifiers refuse"
    if "basicConstraints" not in certificate.critical:
        yield "has a basicConstraints that is not critical, which strict verifiers refuse"
    constraints = certificate.name_constraints
    bases = (*constraints.permitted, *constraints.excluded) if constraints else ()
    kinds = sorted({str(base.kind) for base in bases if not isinstance(base.kind, GeneralNameKind)})
    if kinds:
        yield f"constrains names of a kind that is not checked here: {', '.join(kinds)}"
