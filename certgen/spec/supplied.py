"""Floor 7: a CA that the user brings: its path, its roots, its key, checked as far as the calendar is not needed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from certgen.certificates import is_signed_by
from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.lifetime import Validity
from certgen.model import Address, Certificate, CertificateTemplate, Role, SuppliedAuthority
from certgen.rfc5280.vocabulary import KeyUsage
from certgen.spec.references import ReferencedFiles, fault_of_key, is_file
from certgen.spec.schema import CertificateAuthority


def supplied_authority(
    address: Address,
    authority: CertificateAuthority,
    files: ReferencedFiles,
    refuse: Callable[[Diagnostic], None],
) -> SuppliedAuthority | None:
    """Read a CA that the user brings.

    Args:
        address: the CA's address.
        authority: the entry, which has a `certificate`.
        files: the files that the spec names, read.
        refuse: takes each error; those about a file itself are kept by `files`.

    Returns:
        The CA, or None where there was an error.
    """
    route: Route = (address.section.value, address.name)
    path = files.certificates(authority.certificate or "", (*route, "certificate"))
    if not path:
        return None
    fault = _fault(path)
    if fault is not None:
        refuse(_error("bad-ca-certificate", f"`{authority.certificate}`: {fault}", (*route, "certificate")))
        return None
    roots = _roots(path, authority, route, files, refuse)
    if not roots:
        return None
    return SuppliedAuthority(
        path=tuple(certificate for certificate in path if not certificate.is_self_issued) or path[:1],
        certificate_file=authority.certificate or "",
        private_key_file=authority.private_key,
        private_key_id=_private_key_id(authority, files, route),
        roots=tuple(roots),
    )


def template_of(supplied: SuppliedAuthority) -> CertificateTemplate:
    """Describe a CA that the user brings by what its certificate says."""
    certificate = supplied.path[0]
    return CertificateTemplate(
        role=Role.ROOT_CA if certificate.is_self_issued else Role.INTERMEDIATE_CA,
        subject=certificate.subject,
        validity=Validity(not_before=certificate.not_before, not_after=certificate.not_after),
        key_usage=certificate.key_usage,
        path_length=certificate.path_length,
        name_constraints=certificate.name_constraints,
    )


def _roots(
    path: tuple[Certificate, ...],
    authority: CertificateAuthority,
    route: Route,
    files: ReferencedFiles,
    refuse: Callable[[Diagnostic], None],
) -> list[Certificate]:
    """Give the trust anchors above a path: its own self-signed end, and those that `trust` names."""
    roots = [path[-1]] if path[-1].is_self_issued else []
    for number, item in enumerate(authority.trust or ()):
        if not is_file(item):
            message = "the roots above a CA that you bring are PEM files"
            refuse(_error("unknown-root", message, (*route, "trust", number), "for example `ca/root.pem`"))
            continue
        anchor = files.anchors(item, (*route, "trust", number))
        roots += [root for root in (anchor.certificates if anchor else ()) if root not in roots]
    if not roots:
        message = f"`{authority.certificate}` ends below its root, so nobody would know what to trust"
        refuse(_error("missing-root", message, (*route, "certificate"), "add `trust:` with the root's PEM file"))
    elif not any(path[-1].der == root.der or is_signed_by(path[-1], root) for root in roots):
        message = f"no root in `trust` signed {path[-1].subject}, with which `{authority.certificate}` ends"
        refuse(_error("missing-root", message, (*route, "trust"), "name the PEM file of the root that did"))
        return []
    return roots


def _private_key_id(authority: CertificateAuthority, files: ReferencedFiles, route: Route) -> str | None:
    if authority.private_key is None:
        return None
    return files.private_key_id(authority.private_key, (*route, "private_key"))


def _fault(path: tuple[Certificate, ...]) -> str | None:
    for certificate in path:
        if not certificate.is_ca:
            return f"{certificate.subject} is not a CA (basicConstraints says so)"
        if certificate.key_usage and KeyUsage.KEY_CERT_SIGN not in certificate.key_usage:
            return f"{certificate.subject} may not sign certificates (keyUsage has no keyCertSign)"
        if (fault := fault_of_key(certificate.key_algorithm)) is not None:
            return f"{certificate.subject} {fault[1]}"
    for certificate, issuer in pairwise(path):
        if not is_signed_by(certificate, issuer):
            return f"{certificate.subject} is not signed by {issuer.subject}, which stands after it"
    return None


def _error(code: str, message: str, route: Route, help_: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, help=help_, route=route)
