"""Issuers of cert-manager: for each CA one that signs with its Secret, for each root one more by which it signs itself.

URLs are an Issuer's, and so stand in all that it signs. They are carried over where all ask for the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from certgen.exports.cert_manager.certificates import API_VERSION
from certgen.exports.cert_manager.names import Names
from certgen.exports.manifests import Manifest
from certgen.model import Address, Bundle, CertificateTemplate, Entry

Urls = Mapping[str, tuple[str, ...]]
"""By the name that the language has for them."""

_FIELDS: Final = {
    "crl_distribution_points": "crlDistributionPoints",
    "ocsp": "ocspServers",
    "ca_issuers": "issuingCertificateURLs",
}
_OF_SELF_SIGNED: Final = frozenset({"crl_distribution_points"})
"""What an Issuer knows that lets a root sign itself."""


def self_signed_issuer(root: Entry, names: Names) -> Manifest:
    """Write the Issuer by which a root signs itself."""
    urls = {_FIELDS[name]: list(found) for name, found in _kept_by_itself(root).items() if found}
    metadata = names.metadata(names.self_signed(root.address), root.address)
    return {"apiVersion": API_VERSION, "kind": "Issuer", "metadata": metadata, "spec": {"selfSigned": urls}}


def issuer(authority: Entry, names: Names, urls: Urls) -> Manifest:
    """Write the Issuer that signs with a CA's Secret.

    Args:
        authority: the CA.
        names: those of the spec.
        urls: what it puts into all that it signs.
    """
    name = names.of(authority.address)
    spec = {"secretName": name, **{_FIELDS[field]: list(found) for field, found in urls.items() if found}}
    metadata = names.metadata(name, authority.address)
    return {"apiVersion": API_VERSION, "kind": "Issuer", "metadata": metadata, "spec": {"ca": spec}}


def agreed_urls(bundle: Bundle) -> Mapping[Address, Urls]:
    """Give for each CA the URLs for which all that it signs ask alike; of a kind in which they differ, none."""
    asked: dict[Address, list[Urls]] = defaultdict(list)
    for entry in bundle.entries:
        if entry.issuer is not None:
            asked[entry.issuer].append(_asked(entry.template))
    return {
        address: {name: found[0][name] for name in _FIELDS if len({urls[name] for urls in found}) == 1}
        for address, found in asked.items()
    }


def lost_urls(entry: Entry, agreed: Mapping[Address, Urls]) -> tuple[str, ...]:
    """Give the kinds of URL that an entry asks for and will not have."""
    kept = agreed[entry.issuer] if entry.issuer is not None else _kept_by_itself(entry)
    return tuple(name for name, found in _asked(entry.template).items() if found and kept.get(name) != found)


def _asked(template: CertificateTemplate) -> Urls:
    return {
        "crl_distribution_points": template.crl_distribution_points,
        "ocsp": template.ocsp,
        "ca_issuers": template.ca_issuers,
    }


def _kept_by_itself(root: Entry) -> Urls:
    return {name: found for name, found in _asked(root.template).items() if name in _OF_SELF_SIGNED}
