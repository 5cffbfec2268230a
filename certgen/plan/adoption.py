"""A certificate that another program made: it stays as it is for as long as its entry asks for nothing else.

What a spec cannot express about such a certificate would otherwise be a reason to sign it again at once.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

from certgen.manifest import ManifestEntry
from certgen.model import Certificate, Entry
from certgen.plan.compare import compare_contents
from certgen.plan.times import Term, date_reasons
from certgen.plan.values import Reason, ReasonCode

SHAPES: Final = frozenset({ReasonCode.VALIDITY_CHANGED, ReasonCode.OUTLIVES_ISSUER})
"""The reasons that lie in how another program chose the dates of what was adopted."""

_DIGITS: Final = 16


def adoption_mark(entry: Entry, der: bytes) -> str:
    """Give what the manifest says of an adopted certificate: what its entry asks for, and which certificate it is.

    Args:
        entry: the entry, as its spec has it when the certificate is adopted.
        der: the certificate.
    """
    return f"{_digest(_asked(entry))} {_digest(der)}"


def is_adopted(entry: Entry, certificate: Certificate | None, recorded: ManifestEntry | None) -> bool:
    """Whether a certificate is one that was adopted for just what its entry asks for now."""
    if certificate is None or recorded is None or recorded.adopted is None:
        return False
    return recorded.adopted == adoption_mark(entry, certificate.der)


def differences(entry: Entry, certificate: Certificate, issuer: Certificate | None) -> tuple[Reason, ...]:
    """Give what an entry would have otherwise than a certificate has it: what a spec cannot express about it.

    Args:
        entry: the entry that was written for it.
        certificate: what another program made.
        issuer: its issuer's certificate; None for a root.
    """
    term = Term(issuer.not_before, issuer.not_after) if issuer is not None else None
    dates = date_reasons(certificate, entry, term, issuer, certificate.not_before)
    found = [*compare_contents(certificate, entry.template), *(reason for reason in dates if reason.code in SHAPES)]
    if certificate.key_algorithm != entry.key.algorithm:
        asked = str(entry.key.algorithm)
        found.append(Reason(ReasonCode.KEY_ALGORITHM_CHANGED, str(certificate.key_algorithm), asked))
    return tuple(found)


def _asked(entry: Entry) -> bytes:
    """Write down all that an entry asks of its certificate, in one way."""
    template = entry.template
    validity, constraints = template.validity, template.name_constraints
    subtrees = (
        [] if constraints is None else [sorted(map(str, constraints.permitted)), sorted(map(str, constraints.excluded))]
    )
    asked = [
        template.role,
        list(template.subject.attributes),
        [validity.seconds, str(validity.not_before), str(validity.not_after)],
        sorted(map(str, template.subject_alt_names)),
        sorted(template.key_usage),
        sorted(template.extended_key_usage),
        None if template.path_length_derived else template.path_length,
        subtrees,
        [list(template.crl_distribution_points), list(template.ocsp), list(template.ca_issuers)],
        entry.key.algorithm,
        str(entry.issuer),
    ]
    return json.dumps(asked).encode()


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:_DIGITS]
