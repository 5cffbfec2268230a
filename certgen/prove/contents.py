"""What no handshake shows: files that say more, or other things, than the spec asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from certgen.diagnostics import Diagnostic, error
from certgen.encoders.pem import encode_certificates
from certgen.model import Address, Bundle, Certificate
from certgen.plan.compare import compare_contents
from certgen.plan.derived import path_above
from certgen.prove.expectations import Roots, anchors_asked
from certgen.prove.parties import Party
from certgen.store.tree import Tree
from certgen.tree import CERTIFICATE_FILE, TRUST_FILE, FileKind

APPLY: Final = "`certgen apply` mends it; `certgen plan` says why"


def faults_of_contents(
    party: Party, bundle: Bundle, authorities: Mapping[Address, Certificate], roots: Roots, *, is_adopted: bool = False
) -> Iterator[Diagnostic]:
    """Compare a party's certificate, its path and its trust anchors with what the spec asks for.

    Args:
        party: an end entity with its files.
        bundle: what the spec describes.
        authorities: the certificates of the CAs that certgen makes, where they are known.
        roots: the certificates of its roots.
        is_adopted: whether its certificate is left as another program made it.
    """
    address, path = party.entry.address, f"{party.entry.address}/{CERTIFICATE_FILE}"
    if not party.path:
        return
    wrong = [reason.what or str(reason.code) for reason in compare_contents(party.path[0], party.entry.template)]
    if wrong and not is_adopted:
        message = f"the certificate of {address} is not what the spec asks for: {', '.join(wrong)}"
        yield error("wrong-contents", message, help=APPLY, where=path)
    above = path_above(party.entry, bundle, authorities.get)
    known = [certificate.der for certificate in above if certificate is not None]
    if len(known) == len(above) and party.certificate_content != encode_certificates([party.path[0].der, *known]):
        message = f"{path} holds something else than its certificate and the intermediates above it"
        yield error("file-drifted", message, help=APPLY, where=path)
    # A trust file that is missing, or holds no certificate, is no drift: it has been told.
    asked = anchors_asked(party.entry, roots) if party.trusted else None
    if asked is not None and party.anchors != encode_certificates(dict.fromkeys(item.der for item in asked)):
        path = f"{address}/{TRUST_FILE}"
        message = f"{path} holds something else than its trust anchors, which some programs read in another way"
        yield error("file-drifted", message, help=APPLY, where=path)


def faults_of_artifacts(bundle: Bundle, tree: Tree) -> Iterator[Diagnostic]:
    """Find the rendered files that are not what the spec renders: then `allow` may be another, too."""
    for entry in bundle.entries:
        paths = {f"{entry.address}/{artifact.name}": artifact.content for artifact in entry.artifacts}
        for path, state in tree.read(paths).items():
            if state.kind is not FileKind.FILE or state.content != paths[path]:
                message = f"{path} is not what the spec renders, so nobody knows whom it lets in"
                yield error("file-drifted", message, help=APPLY, where=path)
