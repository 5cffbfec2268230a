"""Floor 9: the kustomization of a tree: Secrets and trust anchors for a cluster, made of the files that stand there.

A kustomization names files and holds none of their contents, so no private key is written a second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from certgen.diagnostics import Diagnostic, Severity
from certgen.exports.names import label, object_name
from certgen.model import Address, Bundle, Entry
from certgen.spec.schema import Spec
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE, can_combine, first_line


def render_kustomization(bundle: Bundle, spec: Spec) -> tuple[Bundle, tuple[Diagnostic, ...]]:
    """Render what a cluster is to have of a tree, where the spec asks for that.

    Args:
        bundle: what the spec describes, without errors.
        spec: the spec.

    Returns:
        The bundle with its kustomization, and a warning for each entry that it has to leave out.
    """
    asked = spec.exports.kubernetes if spec.exports is not None else None
    if asked is None:
        return bundle, ()
    exported = [entry for entry in bundle.end_entities if can_combine(entry)]
    roots = [entry for entry in bundle.entries if entry.is_root]
    lines = (
        f"# {first_line(bundle.source)}",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        *((f"namespace: {json.dumps(asked.namespace)}",) if asked.namespace else ()),
        "generatorOptions:",
        "  disableNameSuffixHash: true",
        "  labels:",
        "    app.kubernetes.io/managed-by: certgen",
        *_section("secretGenerator", [_secret(bundle, entry) for entry in exported]),
        *_section("configMapGenerator", [_trust_anchors(bundle, roots)] if roots else []),
        "",
    )
    rendered = replace(bundle, kustomization="\n".join(lines).encode(), namespace=asked.namespace)
    return rendered, tuple(_left_out(bundle))


def _section(name: str, items: Iterable[list[str]]) -> list[str]:
    lines = [line for item in items for line in item]
    return [f"{name}:", *lines] if lines else []


def _secret(bundle: Bundle, entry: Entry) -> list[str]:
    files = {"tls.crt": CERTIFICATE_FILE, "tls.key": KEY_FILE, "ca.crt": TRUST_FILE}
    return [
        f"  - name: {object_name(bundle.name, entry.address)}",
        "    type: kubernetes.io/tls",
        "    files:",
        *(f"      - {key}={entry.address}/{name}" for key, name in files.items()),
    ]


def _trust_anchors(bundle: Bundle, roots: Iterable[Entry]) -> list[str]:
    return [
        f"  - name: {label(bundle.name)}.trust-anchors",
        "    files:",
        *(f"      - {root.address.name}.crt={root.address}/{CERTIFICATE_FILE}" for root in roots),
    ]


def _left_out(bundle: Bundle) -> Iterator[Diagnostic]:
    for entry in bundle.end_entities:
        if not can_combine(entry):
            where = "elsewhere" if entry.public_key is not None else "sealed"
            message = f"{entry.address} gets no Secret, since its private key is {where}"
            yield _warning(entry.address, message, "make the Secret where the key is")
    for entry in bundle.entries:
        if entry.supplied is not None and entry.issuer is None:
            message = f"{entry.address} is a CA of yours, and not among the trust anchors of the ConfigMap"
            yield _warning(entry.address, message, "add its root's file in a kustomization of yours")


def _warning(address: Address, message: str, help_: str) -> Diagnostic:
    route = (address.section.value, address.name)
    return Diagnostic(Severity.WARNING, "not-exported", message, help=help_, route=route, at_key=True)
