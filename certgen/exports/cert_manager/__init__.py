"""cert-manager and trust-manager: a cluster issues, renews and trusts what a spec asks for, with keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from certgen.exports.cert_manager.authorities import agreed_urls, issuer, self_signed_issuer
from certgen.exports.cert_manager.certificates import certificate
from certgen.exports.cert_manager.losses import Facts, find_losses, is_too_many
from certgen.exports.cert_manager.names import Names, find_namespace
from certgen.exports.cert_manager.terms import find_terms
from certgen.exports.cert_manager.trust import trust_bundle, trust_sets
from certgen.exports.manifests import Manifest, dump
from certgen.exports.port import Choices, Export, Option
from certgen.model import Bundle, Entry
from certgen.tree import first_line

HELP: Final = """Write manifests for cert-manager and trust-manager.

A cluster that applies them makes a PKI of its own, with new keys, and renews
it. What cert-manager cannot say is a warning.
"""
OPTIONS: Final = (
    Option("namespace", "NAME", "The namespace of all; default: that of the spec's `exports`, or its name."),
)


def export(bundle: Bundle, choices: Choices) -> Export:
    """Write the manifests of a spec.

    Args:
        bundle: what the spec describes, without errors.
        choices: `namespace`; by default that of the spec, or that of the spec's name.

    Raises:
        CertgenError: the namespace cannot be one.
    """
    names = Names(bundle.name, find_namespace(bundle, choices.get("namespace")))
    facts = Facts(bundle, names, find_terms(bundle), agreed_urls(bundle), trust_sets(bundle))
    manifests = [*_of_entries(facts), *_of_trust(facts)]
    body = {"namespace": names.namespace, "manifests": manifests}
    return Export(dump(manifests, first_line(bundle.source)), body, find_losses(facts))


def _of_entries(facts: Facts) -> Iterator[Manifest]:
    for entry in facts.bundle.entries:
        if entry.is_root:
            yield self_signed_issuer(entry, facts.names)
        if entry.supplied is None and entry.public_key is None:
            yield certificate(entry, _issuer_name(entry, facts.names), facts.names, facts.terms[entry.address])
        if entry.is_ca:
            yield issuer(entry, facts.names, facts.urls.get(entry.address, {}))


def _issuer_name(entry: Entry, names: Names) -> str:
    return names.self_signed(entry.address) if entry.issuer is None else names.of(entry.issuer)


def _of_trust(facts: Facts) -> Iterator[Manifest]:
    for anchors in facts.trust:
        if not is_too_many(anchors, facts.bundle, facts.names):
            yield trust_bundle(anchors, facts.bundle, facts.names)
