"""Bundles of trust-manager: for each set of trust anchors one, that puts them into a ConfigMap as `ca.pem`.

The certificates of files that the user brings are public and stand in the Bundle itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from certgen.encoders.pem import encode_certificates
from certgen.exports.cert_manager.names import Names
from certgen.exports.manifests import Manifest
from certgen.model import AnchorFile, Bundle, Certificate, TrustAnchor
from certgen.tree import TRUST_FILE

MOST_SOURCES: Final = 100
"""How many a Bundle takes."""
TRUST_NAMESPACE: Final = "cert-manager"
"""The namespace of which trust-manager reads Secrets where nobody has told it otherwise."""


def trust_sets(bundle: Bundle) -> tuple[tuple[TrustAnchor, ...], ...]:
    """Give the sets of trust anchors that there are, each once."""
    return tuple(dict.fromkeys(entry.trust for entry in bundle.end_entities))


def sources(anchors: Iterable[TrustAnchor], bundle: Bundle, names: Names) -> list[dict[str, object]]:
    """Give what a Bundle is put together from: the Secrets of roots, then all that the user brings."""
    found: list[dict[str, object]] = []
    brought: list[Certificate] = []
    for anchor in anchors:
        if isinstance(anchor, AnchorFile):
            brought += anchor.certificates
        elif (supplied := bundle[anchor].supplied) is not None:
            brought += supplied.roots
        else:
            found.append({"secret": {"name": names.of(anchor), "key": "tls.crt"}})
    ders = dict.fromkeys(certificate.der for certificate in brought)
    return [*found, {"inLine": encode_certificates(ders).decode()}] if ders else found


def trust_bundle(anchors: Iterable[TrustAnchor], bundle: Bundle, names: Names) -> Manifest:
    """Write the Bundle of a set of trust anchors."""
    anchors = tuple(anchors)
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": names.namespace}}
    return {
        "apiVersion": "trust.cert-manager.io/v1alpha1",
        "kind": "Bundle",
        "metadata": {"name": names.trust(anchors)},
        "spec": {
            "sources": sources(anchors, bundle, names),
            "target": {"configMap": {"key": TRUST_FILE}, "namespaceSelector": namespace},
        },
    }
