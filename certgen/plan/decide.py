"""The decision: bundle, what was observed, and the time give a plan. Pure; the certificate is the truth."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from certgen.diagnostics import Diagnostic
from certgen.model import Address, Bundle, Certificate, Entry, Issuance
from certgen.plan import notices
from certgen.plan.authorities import Projection, certificate_of_key, supplied_projection
from certgen.plan.case import Case, open_case
from certgen.plan.derived import Outputs, judge_derived, judge_outputs, judge_trust, judge_trust_widening
from certgen.plan.housekeeping import foreign_files, mode_changes, removals, removed_orphans, tree_files, tree_warnings
from certgen.plan.orders import action, in_order, kept_key_id, key_fate, key_order, rewrapping
from certgen.plan.publication import as_published, unmovable
from certgen.plan.seals import unsealed
from certgen.plan.times import Term, is_cut, new_term
from certgen.plan.values import (
    Action,
    Change,
    KeyFate,
    Plan,
    Reason,
    ReasonCode,
    Requests,
    Signing,
    Widening,
)
from certgen.tree import (
    CERTIFICATE_FILE,
    COMBINED_FILE,
    TRUST_FILE,
    KeyState,
    Observed,
    file_names,
    key_file,
)

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
    now = now.replace(microsecond=0)
    if observed.folder_fault:
        return Plan(bundle.name, now, (), (), obstacles=(notices.foreign_folder(bundle.name, observed.folder_fault),))
    return _Decision(bundle, observed, now, requests).plan()


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
        """By signer whose key is not here: what it would have to sign, and why; all of it is in `_waiting`."""
        self._waiting: set[Address] = set()

    def plan(self) -> Plan:
        """Decide upon every entry, issuers first, then upon what the tree holds beyond them."""
        for entry in self._bundle.entries:
            if entry.supplied is not None:
                self._take_supplied(entry)
            else:
                self._decide(entry)
        orphans, warnings, closed = removed_orphans(self._bundle, self._observed, prune=self._requests.prune)
        modes, unmended = mode_changes(self._bundle, self._observed, self._changes)
        self._notices += [*warnings, *unmended, *tree_warnings(self._observed)]
        before, after, obstacles = tree_files(self._bundle, self._observed, is_changed=bool(self._changes or orphans))
        self._obstacles += [*closed, *obstacles, *self._missing_signers()]
        vouched = self._observed.vouched
        if elsewhere := in_order([*self._elsewhere, *vouched.elsewhere]):
            self._notices.append(notices.keys_elsewhere(elsewhere, self._bundle.name))
        sealed = unsealed(self._changes, self._bundle, self._observed)
        self._notices += [notices.keys_to_open(sealed, self._bundle.name)] if sealed else []
        return Plan(
            name=self._bundle.name,
            now=self._now,
            changes=(*before, *self._changes, *orphans, *after),
            kept=in_order([*self._kept, *vouched.addresses]),
            modes=modes,
            widenings=tuple(self._widenings),
            notices=tuple(self._notices),
            obstacles=tuple(self._obstacles),
            consents=tuple(self._consents),
            unsealed=sealed,
            is_interrupted=self._observed.is_interrupted,
        )

    def _take_supplied(self, entry: Entry) -> None:
        projection = supplied_projection(entry)
        self._projections[entry.address] = projection
        if entry.address in self._requests.renew | self._requests.rekey:
            self._obstacles.append(notices.supplied_not_ours(entry))
        above = (*entry.supplied.path, *entry.supplied.roots) if entry.supplied else ()
        ended = next((certificate for certificate in above if certificate.not_after < self._now), None)
        if ended is not None:
            self._obstacles.append(notices.supplied_expired(entry, ended))

    def _decide(self, entry: Entry) -> None:
        issuer = self._projections[entry.issuer] if entry.issuer else None
        case = open_case(entry, self._observed, issuer, rekey=entry.address in self._requests.rekey)
        if case.key.obstacle is not None:
            self._obstacles.append(case.key.obstacle)
            self._project_kept(case)
            return
        self._note_absent_key(case)
        if self._requests.rewrap:
            self._rewrap(case)
            return
        case.judge(self._now, self._requests)
        self._notices += case.notices
        if case.reasons and self._can_sign(case):
            self._sign(case)
        else:
            self._keep(case)

    def _rewrap(self, case: Case) -> None:
        """Seal a private key anew, and leave everything else for another run."""
        self._project_kept(case)
        entry, is_here = case.entry, case.found.key.state in {KeyState.PRESENT, KeyState.SEALED}
        if entry.key.protection is None or case.certificate is None or not is_here:
            self._kept.append(entry.address)
        else:
            self._add_change(entry, rewrapping(case, self._removals(case, is_new_key_file=True)))

    def _note_absent_key(self, case: Case) -> None:
        if case.key.fate is not KeyFate.ELSEWHERE or case.entry.public_key is not None:
            return
        if case.certificate is not None and case.certificate.key_id in self._observed.seen_keys:
            self._notices.append(notices.authority_key_gone(case.entry))
        else:
            self._elsewhere.append(case.entry.address)

    def _can_sign(self, case: Case) -> bool:
        """Tell whether the signer is here; note what must wait and what cannot."""
        signer = case.entry.issuer or case.entry.address
        if case.issuer.can_sign if case.issuer else case.key.is_here:
            return True
        certificate = case.certificate
        if certificate is not None and case.can_wait:
            self._notices.append(notices.put_off(case.entry, certificate, signer))
        else:
            self._unsigned[signer].append((case.entry.address, case.reasons[0].code))
            self._waiting.add(case.entry.address)
        return False

    def _sign(self, case: Case) -> None:
        entry, address = case.entry, case.entry.address
        term = new_term(entry, case.term_above, self._now)
        is_over = term.not_after <= max(self._now, term.not_before)
        if is_over and str(entry.issuer) not in {obstacle.where for obstacle in self._obstacles}:
            self._obstacles.append(notices.validity_ended(entry, term.not_after))
        elif is_cut(entry, term):
            self._notices.append(notices.cut_short(entry, term.not_after))
        self._require_consent(case)
        fate = key_fate(case)
        seal = [case.key.seal_again] if case.key.seal_again is not None and fate is KeyFate.KEPT else []
        is_here = fate is not KeyFate.ELSEWHERE
        trust, outputs = self._judge_trust(case), self._judge_outputs(entry, is_rewritten=is_here)
        is_new_file = fate is KeyFate.NEW or case.key.seal_again is not None
        unwritten = {key_file(entry) if not is_new_file else "", TRUST_FILE if not trust else ""}
        unwritten |= {COMBINED_FILE, *(artifact.name for artifact in entry.artifacts)} - set(outputs.files)
        change = Change(
            address,
            action(case),
            (*case.reasons, *((*seal, *trust, *outputs.reasons) if case.certificate is not None else ())),
            fate,
            Signing(
                Issuance(entry.template, term.not_before, term.not_after, self._predecessor(case, fate)),
                key_order(case, fate),
                entry.issuer,
            ),
            writes=tuple(name for name in file_names(entry) if name not in unwritten),
            removes=self._removals(case, is_new_key_file=is_new_file),
            texts=outputs.texts,
        )
        self._add_change(entry, change)
        self._project_signed(case, term, fate)

    def _predecessor(self, case: Case, fate: KeyFate) -> Certificate | None:
        """Give the certificate before; where a stranger stands in its place, that of the key that is kept."""
        kept = kept_key_id(case)
        if fate is KeyFate.KEPT and case.certificate is not None and case.certificate.key_id != kept:
            return certificate_of_key(kept, self._observed) or case.certificate
        return case.certificate

    def _judge_trust(self, case: Case) -> list[Reason]:
        if case.entry.is_ca:
            return []
        if case.found.anchors is not None:
            self._widenings += judge_trust_widening(case.entry, case.found.anchors, self._projections)
        return judge_trust(case.entry, case.found, self._bundle, self._projections)

    def _judge_outputs(self, entry: Entry, *, is_rewritten: bool) -> Outputs:
        recorded = self._observed.manifest.entries.get(entry.address)
        return judge_outputs(entry, self._observed[entry.address], recorded, is_rewritten=is_rewritten)

    def _keep(self, case: Case) -> None:
        """Keep a certificate, and look at the files that are made from it and from those above it."""
        self._project_kept(case)
        certificate, entry = case.certificate, case.entry
        if certificate is None or entry.address in self._waiting:
            return
        derived = judge_derived(entry, certificate, case.found, self._bundle, self._projections)
        self._widenings += derived.widenings
        seal = [case.key.seal_again] if case.key.seal_again is not None else []
        is_rewritten = case.key.is_here and bool(seal or CERTIFICATE_FILE in derived.files)
        outputs = self._judge_outputs(entry, is_rewritten=is_rewritten)
        removes = self._removals(case, is_new_key_file=bool(seal))
        reasons = (*seal, *derived.reasons, *outputs.reasons)
        if not reasons and not removes:
            self._kept.append(entry.address)
            return
        reasons = reasons or (Reason(ReasonCode.OUTPUT_CHANGED, what=", ".join(removes)),)
        change = Change(
            entry.address,
            Action.WRITE,
            reasons,
            certificate=certificate,
            writes=(*((key_file(entry),) if seal else ()), *derived.files, *outputs.files),
            removes=removes,
            texts=outputs.texts,
        )
        self._add_change(entry, change)

    def _add_change(self, entry: Entry, change: Change) -> None:
        change = as_published(entry, change, self._observed)
        self._obstacles += foreign_files(entry, change, self._observed)
        self._obstacles += unmovable(entry, change, self._observed[entry.address])
        self._changes.append(change)

    def _removals(self, case: Case, *, is_new_key_file: bool) -> tuple[str, ...]:
        """Give the files that go; with a private key that gets another file, the one that it had."""
        entry, key = case.entry, case.found.key
        is_moved = is_new_key_file and key.state is not KeyState.ABSENT and key.file != key_file(entry)
        moved = (key.file,) if is_moved and not case.key.keep_old_as_spare else ()
        names, warnings = removals(entry, self._observed, prune=self._requests.prune, moved=moved)
        self._notices += warnings
        return (*moved, *names)

    def _project_kept(self, case: Case) -> None:
        self._projections[case.entry.address] = case.as_it_is(self._now)

    def _project_signed(self, case: Case, term: Term, fate: KeyFate) -> None:
        self._projections[case.entry.address] = Projection(
            key_id=None if fate is KeyFate.NEW else kept_key_id(case),
            certificate=None,
            was=self._predecessor(case, fate),
            term=term,
            subject=case.entry.template.subject,
            can_sign=case.key.is_here,
        )

    def _require_consent(self, case: Case) -> None:
        """Ask for a person's word before a root that is in the field gets another key or another name."""
        address = case.entry.address
        if case.issuer is not None or case.certificate is None:
            return
        if address in self._requests.rekey:
            self._notices.append(notices.root_replaced(address))
            return
        is_renamed = any(reason.code is ReasonCode.SUBJECT_CHANGED for reason in case.reasons)
        if case.key.fate is KeyFate.NEW:
            self._consents.append(notices.root_key_in_the_field(address))
        elif is_renamed and address not in self._requests.renew:
            self._consents.append(notices.root_name_in_the_field(address))

    def _can_be_rekeyed(self, signer: Address) -> bool:
        """Whether `--rekey` would be of use: the CA's own issuer is here, or it needs none."""
        entry = self._bundle[signer]
        if entry.supplied is not None:
            return False
        return entry.issuer is None or self._projections[entry.issuer].can_sign

    def _missing_signers(self) -> list[Diagnostic]:
        """Name the signers that are missed; one that is stuck itself has said so already."""
        stuck = {obstacle.where for obstacle in self._obstacles}
        unsigned = {address for waiting in self._unsigned.values() for address, _ in waiting}
        return [
            notices.signer_missing(self._bundle[signer], waiting, can_be_rekeyed=self._can_be_rekeyed(signer))
            for signer, waiting in self._unsigned.items()
            if str(signer) not in stuck and (signer not in unsigned or self._bundle[signer].issuer is None)
        ]
