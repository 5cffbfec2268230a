"""The files that are made from certificates: the path that an end entity shows, and the anchors that it trusts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from certgen.encoders.pem import encode_certificates
from certgen.manifest import ManifestEntry, digest
from certgen.model import Address, AnchorFile, Bundle, Certificate, Entry, Section
from certgen.plan.authorities import Projection
from certgen.plan.publication import judge_publication
from certgen.plan.values import Reason, ReasonCode, TextChange, Widening
from certgen.tree import CERTIFICATE_FILE, COMBINED_FILE, TRUST_FILE, FileKind, KeyState, ObservedEntry, is_combined


@dataclass(frozen=True, slots=True)
class Outputs:
    """The rendered files that have to be written, and why."""

    reasons: tuple[Reason, ...]
    texts: tuple[TextChange, ...]
    is_combined: bool = False
    """Whether the one file of path and private key is among them."""

    @property
    def files(self) -> tuple[str, ...]:
        """Their names."""
        return (*((COMBINED_FILE,) if self.is_combined else ()), *(text.name for text in self.texts))


Projections = Mapping[Address, Projection]
CertificateOf = Callable[[Address], Certificate | None]
"""Gives the certificate of a CA that certgen makes, where it is known."""

_MET = {Section.SERVERS: "clients of", Section.CLIENTS: "servers of", Section.PEERS: "peers of"}


@dataclass(frozen=True, slots=True)
class Derived:
    """What has to be written although the certificate stays."""

    reasons: tuple[Reason, ...]
    files: tuple[str, ...]
    widenings: tuple[Widening, ...]


def judge_derived(
    entry: Entry, certificate: Certificate, found: ObservedEntry, bundle: Bundle, projections: Projections
) -> Derived:
    """Compare an entry's derived files with what they will have to hold."""
    reasons = [*_path_reasons(entry, certificate, found, bundle, projections)]
    files = [CERTIFICATE_FILE] if reasons else []
    widenings: tuple[Widening, ...] = ()
    if not entry.is_ca:
        trust_reasons = judge_trust(entry, found, bundle, projections)
        reasons += trust_reasons
        files += [TRUST_FILE] if trust_reasons else []
        if trust_reasons and found.anchors is not None:
            widenings = judge_trust_widening(entry, found.anchors, projections)
    return Derived(tuple(reasons), tuple(files), widenings)


def judge_outputs(entry: Entry, found: ObservedEntry, recorded: ManifestEntry | None, *, is_rewritten: bool) -> Outputs:
    """Compare all that consumers read beside certificates and keys with what it has to be.

    Args:
        entry: the entry, with its snippets rendered.
        found: what is in its folder.
        recorded: its line of the manifest.
        is_rewritten: whether certificate or private key are written, and the key is here in clear.
    """
    outputs = judge_artifacts(entry, found, recorded)
    outputs = replace(outputs, reasons=(*outputs.reasons, *judge_publication(entry, found)))
    if not is_combined(entry) or not (is_rewritten or found.key.state is KeyState.PRESENT):
        return outputs
    reasons = () if is_rewritten else _combined_reasons(found)
    return Outputs((*reasons, *outputs.reasons), outputs.texts, is_combined=is_rewritten or bool(reasons))


def judge_artifacts(entry: Entry, found: ObservedEntry, recorded: ManifestEntry | None) -> Outputs:
    """Compare an entry's rendered files with what its snippets render now.

    Args:
        entry: the entry, with its snippets rendered.
        found: what is in its folder.
        recorded: its line of the manifest, which tells an edit from a change of the spec.
    """
    reasons: list[Reason] = []
    texts: list[TextChange] = []
    for artifact in entry.artifacts:
        file = found.file(artifact.name)
        if file.kind is FileKind.FILE and file.content == artifact.content:
            continue
        texts.append(TextChange(artifact.name, file.content, artifact.content))
        if file.kind is FileKind.ABSENT:
            reasons.append(Reason(ReasonCode.MISSING, what=artifact.name))
        elif recorded is not None and digest(file.content) == recorded.files.get(artifact.name):
            reasons.append(Reason(ReasonCode.OUTPUT_CHANGED, what=artifact.name))
        else:
            reasons.append(Reason(ReasonCode.FILE_DRIFTED, "edited", what=artifact.name))
    return Outputs(tuple(reasons), tuple(texts))


def _combined_reasons(found: ObservedEntry) -> tuple[Reason, ...]:
    """Say why the file of path and private key is not what it is made of."""
    match found.file(COMBINED_FILE).kind:
        case FileKind.FILE if found.is_combined:
            return ()
        case FileKind.FILE:
            return (Reason(ReasonCode.FILE_DRIFTED, "edited", what=COMBINED_FILE),)
        case FileKind.ABSENT:
            return (Reason(ReasonCode.MISSING, what=COMBINED_FILE),)
        case _:
            return (Reason(ReasonCode.UNREADABLE, what=COMBINED_FILE),)


def path_above(entry: Entry, bundle: Bundle, certificate_of: CertificateOf) -> list[Certificate | None]:
    """Give the intermediates that an end entity shows, nearest first; None for one that is not known yet."""
    path: list[Certificate | None] = []
    for issuer in () if entry.is_ca else bundle.issuers_above(entry.address):
        if issuer.supplied is not None:
            path += [certificate for certificate in issuer.supplied.path if not certificate.is_self_issued]
        elif not issuer.is_root:
            path.append(certificate_of(issuer.address))
    return path


def anchors_of(entry: Entry, bundle: Bundle, certificate_of: CertificateOf) -> list[Certificate | None]:
    """Give an end entity's trust anchors in their order; None for one that is not known yet."""
    anchors: list[Certificate | None] = []
    for anchor in entry.trust:
        if isinstance(anchor, AnchorFile):
            anchors += anchor.certificates
            continue
        supplied = bundle[anchor].supplied
        anchors += supplied.roots if supplied else (certificate_of(anchor),)
    return list(dict.fromkeys(anchors))


def judge_trust_widening(entry: Entry, before: Iterable[Certificate], projections: Projections) -> tuple[Widening, ...]:
    """Find the roots that an entry comes to trust: those of which neither key nor name was among its anchors."""
    known = {certificate.key_id for certificate in before} | {str(certificate.subject) for certificate in before}
    found: list[Widening] = []
    for anchor in entry.trust:
        if isinstance(anchor, AnchorFile):
            names = [(certificate.key_id, str(certificate.subject), anchor.file) for certificate in anchor.certificates]
        else:
            projection = projections[anchor]
            names = [(root.key_id, str(root.subject), anchor.name) for root in projection.roots]
            names = names or [(projection.key_id or "", str(projection.subject), anchor.name)]
        found += [
            Widening(entry.address, _MET[entry.address.section], name)
            for key_id, subject, name in names
            if not {key_id, subject} & known
        ]
    return tuple(dict.fromkeys(found))


def _path_reasons(
    entry: Entry, certificate: Certificate, found: ObservedEntry, bundle: Bundle, projections: Projections
) -> list[Reason]:
    file = found.file(CERTIFICATE_FILE)
    if found.certificate is None:
        code = ReasonCode.UNREADABLE if found.certificate_problem else ReasonCode.MISSING
        return [Reason(code, found.certificate_problem, "restored from the tree", CERTIFICATE_FILE)]
    above = path_above(entry, bundle, lambda address: projections[address].certificate)
    renewed = [issuer for issuer in above if issuer is None]
    if renewed:
        return [Reason(ReasonCode.PATH_CHANGED, wanted="an issuer above is signed anew", what=CERTIFICATE_FILE)]
    wanted = [certificate, *(issuer for issuer in above if issuer is not None)]
    return _compare_file(file.content, [certificate, *found.path], wanted, ReasonCode.PATH_CHANGED, CERTIFICATE_FILE)


def judge_trust(entry: Entry, found: ObservedEntry, bundle: Bundle, projections: Projections) -> list[Reason]:
    """Compare an end entity's trust file with the roots that it should hold."""
    file = found.file(TRUST_FILE)
    if file.kind is FileKind.ABSENT:
        return [Reason(ReasonCode.MISSING, what=TRUST_FILE)]
    if found.anchors is None:
        return [Reason(ReasonCode.UNREADABLE, what=TRUST_FILE)]
    anchors = anchors_of(entry, bundle, lambda address: projections[address].certificate)
    wanted = [anchor for anchor in anchors if anchor is not None]
    if len(wanted) < len(anchors):
        return [Reason(ReasonCode.TRUST_CHANGED, wanted="a root is signed anew", what=TRUST_FILE)]
    return _compare_file(file.content, list(found.anchors), wanted, ReasonCode.TRUST_CHANGED, TRUST_FILE)


def _compare_file(
    content: bytes, was: list[Certificate], wanted: list[Certificate], code: ReasonCode, name: str
) -> list[Reason]:
    """Compare a file's certificates, and then its bytes: a comment in it is drift, another certificate a change."""
    if {c.der for c in was} != {c.der for c in wanted}:
        return [Reason(code, _names(was), _names(wanted), name)]
    if content != encode_certificates(certificate.der for certificate in wanted):
        return [Reason(ReasonCode.FILE_DRIFTED, "edited", what=name)]
    return []


def _names(certificates: list[Certificate]) -> str:
    return " + ".join(f"{c.subject.common_name or c.subject} ({c.not_after:%Y-%m-%d})" for c in certificates) or "none"
