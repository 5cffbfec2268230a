"""Names that Kubernetes takes, for names that a spec takes, and no two alike.

A name of an object is made of labels with dots between them (RFC 1123), a spec's names may have dots and underscores
anywhere inside. Each of those becomes one label, so labels and names go together one to one:
`shop.servers.api` is `servers/api` of the spec `shop`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from certgen.diagnostics import CertgenError, error
from certgen.model import Address, TrustAnchor

LONGEST_NAME: Final = 253
"""Characters of an object's name."""
LONGEST_LABEL: Final = 63
"""Characters of a namespace's name."""

_SEPARATORS: Final = "-._"
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)


def label(name: str) -> str:
    """Give the label of a spec's or an entry's name: the name itself where that is one and has no `--`.

    Else hyphens stand in place of dots and underscores, and behind `--` a number says which was which, so that no two
    names get one label.
    """
    readable = re.sub(f"[{_SEPARATORS}]", "-", name)
    if readable == name and "--" not in name:
        return name
    number = 0
    for separator in re.findall(f"[{_SEPARATORS}]", name):
        number = number * len(_SEPARATORS) + _SEPARATORS.index(separator)
    return f"{readable}--{number:x}"


def find_namespace(spec: str, chosen: str | None) -> str:
    """Give the namespace: the one that was chosen, or that of the spec's name.

    Raises:
        CertgenError: it is not the name of one.
    """
    namespace = label(spec) if chosen is None else chosen
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
        return f"{label(self.spec)}.{address.section}.{label(address.name)}"

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
