"""One entry while it is decided upon: what is known of it, and every reason to sign its certificate again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from certgen.diagnostics import Diagnostic
from certgen.model import Certificate, Entry
from certgen.plan import notices
from certgen.plan.adoption import SHAPES, is_adopted
from certgen.plan.authorities import Projection, known_certificate
from certgen.plan.compare import compare_contents
from certgen.plan.keys import KeyEvidence, KeyVerdict, judge_key
from certgen.plan.publication import refused_link
from certgen.plan.times import Term, date_reasons, is_due, may_be_cut, new_term
from certgen.plan.values import KeyFate, Reason, ReasonCode, Requests
from certgen.tree import CERTIFICATE_FILE, PRIVATE_KEY_FILES, Observed, ObservedEntry

TIME_REASONS = frozenset({ReasonCode.EXPIRED, ReasonCode.RENEWAL_DUE, ReasonCode.NOT_YET_VALID, ReasonCode.REQUESTED})
"""The reasons that make a change a renewal."""


@dataclass(slots=True)
class Case:
    """An entry with all that the decision about it rests on."""

    entry: Entry
    found: ObservedEntry
    certificate: Certificate | None
    """Its certificate, be it restored from another file of the tree."""
    key: KeyVerdict
    issuer: Projection | None
    """Its issuer as it will be after this run; None for a root."""
    is_recorded: bool
    """Whether the manifest lists it."""
    is_adopted: bool = False
    """Whether another program made its certificate, and nothing else is asked since it was adopted."""
    key_if_signed: KeyVerdict | None = None
    """What becomes of the private key of one that was adopted, once its certificate is signed again."""
    reasons: list[Reason] = field(default_factory=list)
    notices: list[Diagnostic] = field(default_factory=list)

    @property
    def term_above(self) -> Term | None:
        """The issuer's dates after this run."""
        return self.issuer.term if self.issuer else None

    @property
    def is_renewal(self) -> bool:
        """Whether time, or a person, asks for new dates."""
        return self.certificate is not None and any(reason.code in TIME_REASONS for reason in self.reasons)

    @property
    def can_wait(self) -> bool:
        """Whether nothing but time asks for a signature, and the certificate has not expired."""
        if self.certificate is None:
            return False
        codes = {reason.code for reason in self.reasons}
        if may_be_cut(self.certificate, self.entry, self.term_above):
            codes -= {ReasonCode.VALIDITY_CHANGED}
        return codes <= {ReasonCode.RENEWAL_DUE}

    def judge(self, now: datetime, requests: Requests) -> None:
        """Find every reason for which the certificate has to be signed again."""
        self.reasons += self.key.reasons
        if self.entry.address in requests.renew:
            self.reasons.append(Reason(ReasonCode.REQUESTED, what="--renew"))
        if self.certificate is None:
            self.reasons.append(self._absence())
            return
        self.reasons += () if self.is_adopted else compare_contents(self.certificate, self.entry.template)
        self.reasons += self._issuer_reasons(self.certificate)
        self.reasons += self._time_reasons(self.certificate, now, requests)
        if self.reasons and self.key_if_signed is not None:
            # What is signed again is as its entry asks, its key too.
            self.key = self.key_if_signed
            self.reasons += self.key.reasons

    def as_it_is(self, now: datetime) -> Projection:
        """Give what those below will meet where nothing is signed."""
        certificate = self.certificate
        term = Term(certificate.not_before, certificate.not_after) if certificate else None
        return Projection(
            key_id=certificate.key_id if certificate else None,
            certificate=certificate,
            was=certificate,
            term=term or new_term(self.entry, self.term_above, now),
            subject=certificate.subject if certificate else self.entry.template.subject,
            can_sign=certificate is not None and self.key.is_here,
        )

    def _absence(self) -> Reason:
        if self.found.certificate_problem:
            return Reason(ReasonCode.UNREADABLE, self.found.certificate_problem, what=CERTIFICATE_FILE)
        return Reason(ReasonCode.MISSING, what=CERTIFICATE_FILE if self.is_recorded else None)

    def _issuer_reasons(self, certificate: Certificate) -> list[Reason]:
        """Compare who signed a certificate with who should have: name, key identifier, signature."""
        issuer, was = self.issuer, str(certificate.issuer)
        if issuer is None:
            return self._root_reasons(certificate)
        if issuer.key_id is None:
            return [Reason(ReasonCode.ISSUER_CHANGED, was, f"{self.entry.issuer} with a new key")]
        if not issuer.has_name_of(certificate):
            return [Reason(ReasonCode.ISSUER_CHANGED, was, str(issuer.subject))]
        pointed_to = {None, issuer.key_identifier, certificate.authority_key_identifier if self.is_adopted else None}
        if issuer.key_identifier is not None and certificate.authority_key_identifier not in pointed_to:
            return [Reason(ReasonCode.ISSUER_CHANGED, f"{was}, another key", str(self.entry.issuer))]
        return [] if self._is_signed_by(issuer.key_id) else [_badly_signed(str(issuer.subject))]

    def _root_reasons(self, certificate: Certificate) -> list[Reason]:
        """Demand of a root that it is signed by itself."""
        if not certificate.is_self_issued:
            return [Reason(ReasonCode.ISSUER_CHANGED, str(certificate.issuer), "itself")]
        return [] if self._is_signed_by(certificate.key_id) else [_badly_signed("itself")]

    def _is_signed_by(self, key_id: str) -> bool:
        """Whether a key signed the certificate; one restored from the tree was looked at when it was found."""
        return self.found.certificate is None or self.found.signer == key_id

    def _time_reasons(self, certificate: Certificate, now: datetime, requests: Requests) -> list[Reason]:
        reasons = date_reasons(certificate, self.entry, self.term_above, self.issuer.was if self.issuer else None, now)
        reasons = [reason for reason in reasons if not (self.is_adopted and reason.code in SHAPES)]
        fixed_end = self.entry.template.validity.fixed_end
        if fixed_end is not None:
            # What ends when its spec says so cannot be helped by signing it again.
            over = {ReasonCode.EXPIRED} if certificate.not_after == fixed_end else set()
            reasons = [reason for reason in reasons if reason.code not in over]
            self._warn_of_fixed_end(certificate, now)
        elif not any(reason.code in TIME_REASONS for reason in reasons) and is_due(certificate, self.entry, now):
            reasons += self._due(certificate, now)
        if requests.no_renew:
            reasons = [reason for reason in reasons if reason.code is not ReasonCode.RENEWAL_DUE]
        return reasons

    def _due(self, certificate: Certificate, now: datetime) -> list[Reason]:
        """Find a certificate due only where its successor would last longer; else its issuer is what ends."""
        if new_term(self.entry, self.term_above, now).not_after > certificate.not_after:
            days, ends = (certificate.not_after - now).days, certificate.not_after
            left = f"{ends:%Y-%m-%d}, {days} days left" if days > 1 else f"{ends:%Y-%m-%d %H:%M}Z"
            return [Reason(ReasonCode.RENEWAL_DUE, left)]
        if self.entry.issuer is not None:
            self.notices.append(notices.issuer_ends(self.entry, certificate))
        return []

    def _warn_of_fixed_end(self, certificate: Certificate, now: datetime) -> None:
        if certificate.not_after < now:
            self.notices.append(notices.fixed_end_over(self.entry, certificate))
        elif is_due(certificate, self.entry, now):
            self.notices.append(notices.fixed_end_near(self.entry, certificate))


def _badly_signed(signer: str) -> Reason:
    return Reason(ReasonCode.SIGNATURE_INVALID, f"not by the key of {signer}")


def open_case(entry: Entry, observed: Observed, issuer: Projection | None, *, rekey: bool) -> Case:
    """Put together what is known about an entry; its key is judged first, since all else depends on it.

    Args:
        entry: an entry that certgen makes.
        observed: what was found in the tree.
        issuer: its issuer as it will be after this run; None for a root.
        rekey: whether a person asked for a new key.
    """
    found, recorded = observed[entry.address], observed.manifest.entries.get(entry.address)
    certificate = known_certificate(entry, found, observed)
    adopted = is_adopted(entry, certificate, recorded)
    evidence = KeyEvidence(
        found=found.key,
        certificate=certificate,
        recorded=recorded.key_id if recorded else None,
        seen=observed.seen_keys,
        rekey=rekey,
        was_ours=recorded is None or not recorded.files.keys().isdisjoint(PRIVATE_KEY_FILES),
        is_adopted=adopted,
    )
    in_the_way = refused_link(entry, observed)
    verdict = judge_key(entry, evidence) if in_the_way is None else KeyVerdict(KeyFate.KEPT, obstacle=in_the_way)
    anew = judge_key(entry, replace(evidence, is_adopted=False)) if adopted and in_the_way is None else None
    return Case(entry, found, certificate, verdict, issuer, recorded is not None, adopted, anew)
