"""The names of what one spec becomes in a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from certgen.diagnostics import CertgenError, error
from certgen.exports.names import label, object_name
from certgen.model import Address, Bundle, TrustAnchor

LONGEST_NAME: Final = 253
"""Characters of an object's name."""
LONGEST_LABEL: Final = 63
"""Characters of a namespace's name."""

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)


def find_namespace(bundle: Bundle, chosen: str | None) -> str:
    """Give the namespace: the one that was chosen, or the spec's, or that of the spec's name.

    Args:
        bundle: what the spec describes.
        chosen: by whoever exports; None where nobody has.

    Raises:
        CertgenError: it is not the name of one.
    """
    asked = bundle.namespace if chosen is None else chosen
    namespace = label(bundle.name) if asked is None else asked
    if not _LABEL.fullmatch(namespace) or len(namespace) > LONGEST_LABEL:
        message = f"`{namespace}` cannot be a namespace, which is up to {LONGEST_LABEL} of a-z, 0-9 and inner `-`"
        raise CertgenError([error("bad-namespace", message, help="name one with `--namespace`", where="--namespace")])
    return namespace


@dataclass(frozen=True, slots=True)
class Names:
    """The names of what one spec becomes."""

    spec: str
    namespace: str

    def of(self, address: Address) -> str:
        """Give the name of an entry's Certificate and Secret, and of a CA's Issuer."""
        return object_name(self.spec, address)

    def self_signed(self, root: Address) -> str:
        """Give the name of the Issuer by which a root signs itself."""
        return f"{self.of(root)}.self-signed"

    def trust(self, anchors: Iterable[TrustAnchor]) -> str:
        """Give the name of the Bundle, and of its ConfigMap, of a set of trust anchors: its roots, where they fit.

        Else a digest, which is longer than the name of any root. A Bundle is the cluster's, not a namespace's: where
        the spec's name does not tell the namespace, `in--` does, which begins no other label.
        """
        items = tuple(anchors)
        roots = [label(item.name) for item in items if isinstance(item, Address)]
        place = [] if self.namespace == label(self.spec) else [f"in--{self.namespace}"]
        name = ".".join([label(self.spec), "trust", *sorted(roots), *place])
        if len(roots) == len(items) and len(name) <= LONGEST_NAME:
            return name
        texts = (f"root {item.name}" if isinstance(item, Address) else f"file {item.file}" for item in items)
        digest = sha256("\n".join(sorted(texts)).encode()).hexdigest()
        return ".".join([label(self.spec), "trust", digest, *place])

    def metadata(self, name: str, address: Address) -> dict[str, object]:
        """Give what stands in `metadata` of an object that is there for an entry."""
        return {"name": name, "namespace": self.namespace, "annotations": {"certgen/address": str(address)}}
