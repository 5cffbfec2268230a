"""The decision: bundle, what was observed, and the time give a plan. Pure; the certificate is the truth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from certgen.diagnostics import Diagnostic, Severity, error
from certgen.issue import Issuance
from certgen.model import Address, Bundle, Certificate, Entry, KeyRotation
from certgen.plan.authorities import Projection, known_certificate, supplied_projection
from certgen.plan.compare import compare_contents
from certgen.plan.derived import Derived, judge_derived, judge_trust, judge_trust_widening
from certgen.plan.housekeeping import (
    foreign_files,
    mode_changes,
    removals,
    removed_orphans,
    tree_files,
    tree_warnings,
)
from certgen.plan.keys import KeyEvidence, KeyVerdict, judge_key
from certgen.plan.times import Term, date_reasons, is_due, new_term
from certgen.plan.values import (
    Action,
    Change,
    KeyFate,
    KeyOrder,
    KeySource,
    Plan,
    Reason,
    ReasonCode,
    Requests,
    Signing,
    Widening,
)
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE, Observed, ObservedEntry, file_names

_TIME_REASONS = frozenset({ReasonCode.EXPIRED, ReasonCode.RENEWAL_DUE, ReasonCode.NOT_YET_VALID, ReasonCode.REQUESTED})
_NO_REQUESTS = Requests()


def plan(bundle: Bundle, observed: Observed, now: datetime, requests: Requests = _NO_REQUESTS) -> Plan:
    """Decide what has to happen so that a tree is as its spec says.

    Args:
        bundle: what the spec describes, without errors.
        observed: what was found in the tree.
        now: the time of the run, aware, in UTC.
        requests: what a person asks for beyond the spec.

    Returns:
        A plan in which every address has one change, is kept, or is in the way.
    """
    return _Decision(bundle, observed, now.replace(microsecond=0), requests).plan()


@dataclass(slots=True)
class _Case:
    """One entry while it is decided upon."""

    entry: Entry
    found: ObservedEntry
    certificate: Certificate | None
    key: KeyVerdict
    issuer: Projection | None
    reasons: list[Reason] = field(default_factory=list)

    @property
    def term_above(self) -> Term | None:
        return self.issuer.term if self.issuer else None


class _Decision:
    def __init__(self, bundle: Bundle, observed: Observed, now: datetime, requests: Requests) -> None:
        self._bundle = bundle
        self._observed = observed
        self._now = now
        self._requests = requests
        self._projections: dict[Address, Projection] = {}
        self._changes: list[Change] = []
        self._kept: list[Address] = []
        self._widenings: list[Widening] = []
        self._notices: list[Diagnostic] = []
        self._obstacles: list[Diagnostic] = []
        self._consents: list[Diagnostic] = []
        self._elsewhere: list[Address] = []
        self._unsigned: dict[Address, list[tuple[Address, ReasonCode]]] = defaultdict(list)

    def plan(self) -> Plan:
        """Decide upon every entry, issuers first, then upon what the tree holds beyond them."""
        for entry in self._bundle.entries:
            if entry.supplied is not None:
                self._take_supplied(entry)
            else:
                self._decide(entry)
        orphans, warnings = removed_orphans(self._bundle, self._observed, prune=self._requests.prune)
        self._notices += [*warnings, *tree_warnings(self._observed)]
        before, after, obstacles = tree_files(self._bundle, self._observed, is_changed=bool(self._changes or orphans))
        self._obstacles += [*obstacles, *self._missing_signers()]
        self._note_elsewhere()
        return Plan(
            name=self._bundle.name,
            now=self._now,
            changes=(*before, *self._changes, *orphans, *after),
            kept=tuple(self._kept),
            modes=mode_changes(self._bundle, self._observed, self._changes),
            widenings=tuple(self._widenings),
            notices=tuple(self._notices),
            obstacles=tuple(self._obstacles),
            consents=tuple(self._consents),
        )

    def _take_supplied(self, entry: Entry) -> None:
        projection = supplied_projection(entry)
        self._projections[entry.address] = projection
        if entry.address in self._requests.renew | self._requests.rekey:
            message = f"{entry.address} is yours: certgen reads its files and never renews them"
            self._obstacles.append(error("supplied-ca", message, where=str(entry.address)))
        if projection.term.not_after < self._now:
            message = f"the CA that you bring as {entry.address} ended on {projection.term.not_after:%Y-%m-%d}"
            help_ = "put its renewed certificate in the file that `certificate` names"
            self._obstacles.append(error("supplied-expired", message, help=help_, where=str(entry.address)))

    def _decide(self, entry: Entry) -> None:
        address = entry.address
        found = self._observed[address]
        certificate = known_certificate(entry, found, self._observed)
        recorded = self._observed.manifest.entries.get(address)
        evidence = KeyEvidence(
            found.key,
            certificate,
            recorded.key_id if recorded else None,
            self._observed.seen_keys,
            rekey=address in self._requests.rekey,
        )
        issuer = self._projections[entry.issuer] if entry.issuer else None
        case = _Case(entry, found, certificate, judge_key(entry, evidence), issuer)
        if case.key.obstacle is not None:
            self._obstacles.append(case.key.obstacle)
            self._keep_projection(case)
            return
        if case.key.fate is KeyFate.ELSEWHERE and entry.public_key is None:
            self._elsewhere.append(address)
        case.reasons = self._signing_reasons(case)
        if case.reasons and self._can_sign(case):
            self._sign(case)
        else:
            self._keep(case)

    def _signing_reasons(self, case: _Case) -> list[Reason]:
        """Give every reason for which the entry's certificate has to be signed again."""
        certificate, entry = case.certificate, case.entry
        reasons = list(case.key.reasons)
        if entry.address in self._requests.renew:
            reasons.append(Reason(ReasonCode.REQUESTED, what="--renew"))
        if certificate is None:
            if case.found.certificate_problem:
                return [
                    *reasons,
                    Reason(ReasonCode.UNREADABLE, case.found.certificate_problem, what="cert.pem"),
                ]
            is_new = entry.address not in self._observed.manifest.entries
            return [*reasons, Reason(ReasonCode.MISSING, what=None if is_new else CERTIFICATE_FILE)]
        reasons += compare_contents(certificate, entry.template)
        reasons += self._issuer_reasons(case, certificate)
        reasons += self._time_reasons(case, certificate)
        return reasons

    def _issuer_reasons(self, case: _Case, certificate: Certificate) -> list[Reason]:
        """Compare who signed a certificate with who should have: name, key identifier, signature."""
        issuer = case.issuer
        if issuer is None:
            return _root_reasons(case, certificate)
        was = str(certificate.issuer)
        if issuer.key_id is None:
            return [Reason(ReasonCode.ISSUER_CHANGED, was, f"{case.entry.issuer} with a new key")]
        if not issuer.has_name_of(certificate):
            return [Reason(ReasonCode.ISSUER_CHANGED, was, str(issuer.subject))]
        if certificate.authority_key_identifier not in {None, issuer.key_identifier}:
            return [Reason(ReasonCode.ISSUER_CHANGED, f"{was}, another key", str(case.entry.issuer))]
        return [] if case.found.signer == issuer.key_id else [Reason(ReasonCode.SIGNATURE_INVALID)]

    def _time_reasons(self, case: _Case, certificate: Certificate) -> list[Reason]:
        entry, issuer = case.entry, case.issuer
        reasons = date_reasons(certificate, entry, case.term_above, issuer.was if issuer else None, self._now)
        if entry.template.validity.fixed_end is not None:
            reasons = [
                r
                for r in reasons
                if r.code is not ReasonCode.EXPIRED or certificate.not_after != entry.template.validity.fixed_end
            ]
            self._warn_of_fixed_end(case, certificate)
        elif not any(reason.code in _TIME_REASONS for reason in reasons) and is_due(certificate, entry, self._now):
            reasons += self._due(case, certificate)
        if self._requests.no_renew:
            reasons = [reason for reason in reasons if reason.code is not ReasonCode.RENEWAL_DUE]
        return reasons

    def _due(self, case: _Case, certificate: Certificate) -> list[Reason]:
        """Find a certificate due only where its successor would last longer; else its issuer is what ends."""
        ends = f"{certificate.not_after:%Y-%m-%d %H:%M}Z"
        if new_term(case.entry, case.term_above, self._now).not_after > certificate.not_after:
            days = (certificate.not_after - self._now).days
            return [Reason(ReasonCode.RENEWAL_DUE, f"ends {ends}, in {days} days")]
        if case.entry.issuer is not None:
            message = f"{case.entry.address} ends with its issuer {case.entry.issuer} at {ends}"
            self._notices.append(
                _warning(
                    "issuer-ends",
                    message,
                    f"renewing it would gain nothing: renew {case.entry.issuer} first",
                    case.entry.address,
                )
            )
        return []

    def _warn_of_fixed_end(self, case: _Case, certificate: Certificate) -> None:
        address, ends = case.entry.address, certificate.not_after
        if ends < self._now:
            message = f"{address} ended on {ends:%Y-%m-%d}, as its `not_after` says"
            self._notices.append(_warning("fixed-end", message, "move `not_after`, or remove the entry", address))
        elif is_due(certificate, case.entry, self._now):
            message = f"{address} ends on {ends:%Y-%m-%d}, as its `not_after` says, and is never renewed by time"
            self._notices.append(_warning("fixed-end", message, "move `not_after`", address))

    def _can_sign(self, case: _Case) -> bool:
        """Tell whether the signer is here; note what must wait and what cannot."""
        signer = case.entry.issuer or case.entry.address
        if case.issuer.can_sign if case.issuer else case.key.is_here:
            return True
        certificate = case.certificate
        if certificate is not None and all(reason.code is ReasonCode.RENEWAL_DUE for reason in case.reasons):
            message = f"{case.entry.address} is due and the key of {signer} is not here; it is put off"
            help_ = f"sign it where that key is before {certificate.not_after:%Y-%m-%d}"
            self._notices.append(_warning("put-off", message, help_, case.entry.address))
        else:
            self._unsigned[signer].append((case.entry.address, case.reasons[0].code))
        return False

    def _sign(self, case: _Case) -> None:
        entry, address = case.entry, case.entry.address
        term = new_term(entry, case.term_above, self._now)
        if term.not_after <= max(self._now, term.not_before):
            message = f"{address} would end on {term.not_after:%Y-%m-%d %H:%M}Z, before it begins or now"
            self._obstacles.append(error("validity-ended", message, help="move its `not_after`", where=str(address)))
        fate = self._key_fate(case)
        self._require_consent(case)
        signing = Signing(
            Issuance(entry.template, term.not_before, term.not_after, case.certificate),
            self._key_order(case, fate),
            entry.issuer,
        )
        trust = [] if entry.is_ca else judge_trust(entry, case.found, self._projections)
        if case.certificate is not None:
            case.reasons += trust
        kept = {KEY_FILE} if fate is not KeyFate.NEW else set()
        kept |= {TRUST_FILE} if not trust else set()
        names = tuple(name for name in file_names(entry) if name not in kept)
        change = Change(
            address,
            _action(case, fate),
            tuple(case.reasons),
            fate,
            signing,
            writes=names,
            removes=self._removals(entry),
        )
        self._add_change(entry, change)
        if case.found.anchors is not None and not entry.is_ca:
            self._widenings += judge_trust_widening(entry, case.found.anchors, self._projections)
        self._projections[address] = Projection(
            key_id=None if fate is KeyFate.NEW else self._kept_key_id(case),
            certificate=None,
            was=case.certificate,
            term=term,
            subject=entry.template.subject,
            can_sign=case.key.is_here,
        )

    def _keep(self, case: _Case) -> None:
        """Keep a certificate, and look at the files that are made from it and from those above it."""
        self._keep_projection(case)
        certificate, entry = case.certificate, case.entry
        waiting = self._unsigned.get(entry.issuer or entry.address, ())
        if certificate is None or any(address == entry.address for address, _ in waiting):
            return
        derived = judge_derived(entry, certificate, case.found, self._bundle, self._projections)
        self._widenings += derived.widenings
        self._keep_or_write(entry, certificate, derived)

    def _keep_or_write(self, entry: Entry, certificate: Certificate, derived: Derived) -> None:
        removes = self._removals(entry)
        if not derived.reasons and not removes:
            self._kept.append(entry.address)
            return
        reasons = derived.reasons or (Reason(ReasonCode.OUTPUT_CHANGED, what=", ".join(removes)),)
        change = Change(
            entry.address,
            Action.WRITE,
            reasons,
            None,
            certificate=certificate,
            writes=derived.files,
            removes=removes,
        )
        self._add_change(entry, change)

    def _add_change(self, entry: Entry, change: Change) -> None:
        self._obstacles += foreign_files(entry, change, self._observed)
        self._changes.append(change)

    def _removals(self, entry: Entry) -> tuple[str, ...]:
        names, warnings = removals(entry, self._observed, prune=self._requests.prune)
        self._notices += warnings
        return names

    def _keep_projection(self, case: _Case) -> None:
        certificate = case.certificate
        if certificate is None:
            self._projections[case.entry.address] = Projection(
                key_id=None,
                certificate=None,
                was=None,
                term=new_term(case.entry, case.term_above, self._now),
                subject=case.entry.template.subject,
                can_sign=False,
            )
            return
        self._projections[case.entry.address] = Projection(
            key_id=certificate.key_id,
            certificate=certificate,
            was=certificate,
            term=Term(certificate.not_before, certificate.not_after),
            subject=certificate.subject,
            can_sign=case.key.is_here,
        )

    def _key_fate(self, case: _Case) -> KeyFate:
        """Rotate a key that is kept where the entry asks for that and the change is a renewal."""
        rotates = case.entry.key.rotation is KeyRotation.ON_RENEWAL
        if case.key.fate is KeyFate.KEPT and rotates and _is_renewal(case):
            return KeyFate.NEW
        return case.key.fate

    def _key_order(self, case: _Case, fate: KeyFate) -> KeyOrder:
        entry, mode = case.entry, case.entry.key.mode
        match fate:
            case KeyFate.NEW:
                spare = case.key.keep_old_as_spare
                return KeyOrder(KeySource.GENERATE, entry.key.algorithm, mode=mode, keep_old_as_spare=spare)
            case KeyFate.KEPT:
                return KeyOrder(KeySource.FILE, mode=mode)
            case KeyFate.ELSEWHERE:
                supplied = entry.public_key.public_key if entry.public_key else None
                certified = case.certificate.public_key if case.certificate else None
                return KeyOrder(KeySource.PUBLIC_KEY, public_key=supplied or certified)

    def _kept_key_id(self, case: _Case) -> str | None:
        if case.entry.public_key is not None:
            return case.entry.public_key.key_id
        return case.found.key.key_id or (case.certificate.key_id if case.certificate else None)

    def _require_consent(self, case: _Case) -> None:
        """Ask for a person's word before a root that is in the field gets another key or another name."""
        address, codes = case.entry.address, {reason.code for reason in case.reasons}
        if case.issuer is not None or case.certificate is None or address in self._requests.rekey:
            return
        if case.key.fate is KeyFate.NEW:
            message = f"{address} is a root: machines that certgen does not see trust its present key"
            self._consents.append(_consent(address, message, f"`--rekey {address}` makes the new one"))
        elif ReasonCode.SUBJECT_CHANGED in codes and address not in self._requests.renew:
            message = f"{address} is a root: machines that certgen does not see know it by its present name"
            self._consents.append(_consent(address, message, f"`--renew {address}` gives it the new one"))

    def _missing_signers(self) -> list[Diagnostic]:
        found = []
        stuck = {obstacle.where for obstacle in self._obstacles}
        for signer, waiting in self._unsigned.items():
            if str(signer) in stuck:
                continue
            names = ", ".join(f"{address} ({code})" for address, code in waiting[:3])
            more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
            message = f"{names}{more} must be signed by {signer}, whose private key is not here"
            entry = self._bundle[signer]
            place = f"{signer}/{KEY_FILE}" if entry.supplied is None else "`private_key:`"
            help_ = f"put the key in place ({place})"
            if entry.supplied is None:
                help_ += f", or make a new one with `--rekey {signer}`, which re-issues everything below it"
            found.append(error("signer-missing", message, help=help_, where=str(signer)))
        return found

    def _note_elsewhere(self) -> None:
        if self._elsewhere:
            names = ", ".join(map(str, self._elsewhere[:3]))
            more = f" and {len(self._elsewhere) - 3} more" if len(self._elsewhere) > 3 else ""
            message = f"the private keys of {names}{more} are not on this machine; they are left alone"
            self._notices.append(Diagnostic(Severity.NOTE, "keys-elsewhere", message, where=self._bundle.name))


def _root_reasons(case: _Case, certificate: Certificate) -> list[Reason]:
    """Demand of a root that it is signed by itself."""
    if not certificate.is_self_issued:
        return [Reason(ReasonCode.ISSUER_CHANGED, str(certificate.issuer), "itself")]
    return [] if case.found.signer == certificate.key_id else [Reason(ReasonCode.SIGNATURE_INVALID)]


def _action(case: _Case, fate: KeyFate) -> Action:
    if case.certificate is None:
        return Action.ISSUE
    if case.key.fate is KeyFate.NEW:
        return Action.REKEY
    return Action.RENEW if fate is KeyFate.NEW or _is_renewal(case) else Action.UPDATE


def _is_renewal(case: _Case) -> bool:
    return case.certificate is not None and any(reason.code in _TIME_REASONS for reason in case.reasons)


def _warning(code: str, message: str, help_: str, address: Address) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, help=help_, where=str(address))


def _consent(address: Address, message: str, help_: str) -> Diagnostic:
    return error("root-in-the-field", message, help=help_, where=str(address))
