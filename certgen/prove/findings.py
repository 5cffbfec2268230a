"""What is not as expected, put in words: whose file is wrong, and what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from certgen.diagnostics import Diagnostic, error
from certgen.model import AnchorFile
from certgen.prove.contents import APPLY, faults_of_contents
from certgen.prove.expectations import anchors_asked, root_above
from certgen.prove.parties import Gathered, Party
from certgen.prove.values import Challenge, Encounter, Judgement
from certgen.tls.causes import SENTENCES, Cause, Refusal, Side
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE


class Findings:
    """Turns what was tried into findings.

    Args:
        gathered: the end entities of a bundle and its CAs, with their files.
        at: the time for which to judge.
    """

    def __init__(self, gathered: Gathered, at: datetime) -> None:
        self._bundle = gathered.bundle
        self._parties = gathered.parties
        self._roots = gathered.roots
        self._authorities = gathered.authorities
        self._adopted = gathered.adopted
        self._at = at

    def find(self, encounters: Iterable[Encounter], challenges: Iterable[Challenge]) -> tuple[Diagnostic, ...]:
        """Give one finding for each fault, however many handshakes it spoils."""
        found: dict[Diagnostic, None] = dict.fromkeys(self._of_files())
        for encounter in encounters:
            if encounter.judgement is Judgement.UNEXPECTED:
                found |= dict.fromkeys(self._of_encounter(encounter))
        blamed = set(map(_entry_of, found))
        for party in self._parties.values():
            told_late = (*self._of_usages(party), *_of_path(party))
            told_late = told_late or tuple(self._of_contents(party))
            found |= dict.fromkeys(finding for finding in told_late if _entry_of(finding) not in blamed)
        # Whoever is known to be wrong refuses everybody, or is refused, for that reason first.
        known = set(map(_entry_of, found))
        for challenge in challenges:
            is_known = not {str(challenge.address), str(challenge.after)}.isdisjoint(known)
            if challenge.judgement is Judgement.UNEXPECTED and not (is_known and _is_refused(challenge)):
                found[_of_challenge(challenge)] = None
        return tuple(found)

    def _of_contents(self, party: Party) -> Iterator[Diagnostic]:
        is_adopted = party.entry.address in self._adopted
        return faults_of_contents(party, self._bundle, self._authorities, self._roots, is_adopted=is_adopted)

    def _of_usages(self, party: Party) -> Iterator[Diagnostic]:
        """Find a certificate that is good for more than its entry does: no handshake of the spec's shows it."""
        for certificate in party.path[:1]:
            is_limited = bool(certificate.extended_key_usage)
            more = sorted(certificate.extended_key_usage - party.entry.template.extended_key_usage)
            if more or not is_limited:
                address, what = party.entry.address, ", ".join(more) if is_limited else "every purpose"
                message = f"the certificate of {address} is good for {what} too, which the spec does not say"
                anew = f"it was imported as it is; `certgen apply --renew {address}` signs it as the spec says"
                help_ = anew if address in self._adopted else APPLY
                yield error("wrong-usage", message, help=help_, where=f"{address}/{CERTIFICATE_FILE}")

    def unknowns(self, encounters: Iterable[Encounter], challenges: Iterable[Challenge]) -> tuple[Diagnostic, ...]:
        """Name what could not be tried, by the entry that it depends on."""
        cells: Counter[str] = Counter()
        for encounter in encounters:
            if encounter.obstacle is not None:
                cells[encounter.obstacle] += 1
        for challenge in challenges:
            if challenge.obstacle is not None and ": " not in challenge.obstacle:
                cells[f"{challenge.address}: {challenge.obstacle}"] += 0
        known = tuple(
            _unknown(obstacle, count) for obstacle, count in sorted(cells.items()) if not self._has_fault(obstacle)
        )
        return (*known, *self._unknown_roots())

    def _unknown_roots(self) -> Iterator[Diagnostic]:
        """Name the roots without a certificate, of which nobody can tell whether they are what the others trust."""
        for address, certificates in self._roots.items():
            if not certificates:
                path = f"{address}/{CERTIFICATE_FILE}"
                message = f"{path} holds no certificate, so nobody can tell whether it is what the others trust"
                yield error("not-judged", message, help=APPLY, where=path)

    def _has_fault(self, obstacle: str) -> bool:
        address = obstacle.partition(":")[0]
        return any(str(party.entry.address) == address and party.fault for party in self._parties.values())

    def _of_files(self) -> Iterator[Diagnostic]:
        """Find what keeps a party from meeting anybody, and what it trusts beyond the spec."""
        for address, party in self._parties.items():
            if party.fault is not None and party.is_mismatched:
                help_ = "`certgen plan` names the ways out; swapped keys are put back by hand"
                yield error("key-mismatch", party.fault, help=help_, where=str(address))
            elif party.fault is not None:
                help_ = "`certgen plan` names the ways out" if KEY_FILE in party.fault else APPLY
                yield error("file-unreadable", party.fault, help=help_, where=str(address))
            yield from self._of_anchors(party)
            yield from self._of_dates(party)

    def _of_anchors(self, party: Party) -> Iterator[Diagnostic]:
        asked = anchors_asked(party.entry, self._roots)
        if asked is None:
            return
        known = {certificate.der for certificate in asked}
        path = f"{party.entry.address}/{TRUST_FILE}"
        for name in self._missing_anchors(party) if party.trusted else ():
            message = f"{path} lacks the root `{name}`, which the spec's trust names"
            yield error("wrong-trust", message, help=APPLY, where=path)
        for stranger in (certificate for certificate in party.trusted if certificate.der not in known):
            message = f"{path} trusts `{stranger.subject}`, which the spec does not: whatever that signs is let in"
            yield error("wrong-trust", message, help=APPLY, where=path)

    def _missing_anchors(self, party: Party) -> Iterator[str]:
        held = {certificate.der for certificate in party.trusted}
        for anchor in party.entry.trust:
            if isinstance(anchor, AnchorFile):
                yield from (str(item.subject) for item in anchor.certificates if item.der not in held)
            elif not held.intersection(certificate.der for certificate in self._roots.get(anchor, ())):
                yield anchor.name

    def _of_encounter(self, encounter: Encounter) -> Iterator[Diagnostic]:
        if not encounter.is_expected:
            message = f"{encounter.server} and {encounter.client} talk, though the spec's trust does not let them"
            yield error("let-in", message, help=APPLY, where=str(encounter.server))
            return
        refused = [(trial, trial.refusal) for trial in encounter.trials if trial.refusal is not None]
        names = [str(trial.name) for trial, refusal in refused if refusal.cause is Cause.WRONG_NAME]
        for _, refusal in refused:
            yield from self._of_refusal(encounter, refusal, list(dict.fromkeys(names)))

    def _of_refusal(self, encounter: Encounter, refusal: Refusal, names: list[str]) -> Iterator[Diagnostic]:
        sides = {Side.SERVER: self._parties[encounter.server], Side.CLIENT: self._parties[encounter.client]}
        judge = sides[refusal.side]
        bearer = sides[Side.CLIENT if refusal.side is Side.SERVER else Side.SERVER]
        if judge.fault is not None or bearer.fault is not None:
            return
        address, path = bearer.entry.address, f"{bearer.entry.address}/{CERTIFICATE_FILE}"
        match refusal.cause:
            case Cause.EXPIRED | Cause.NOT_YET_VALID:
                yield from self._of_dates(bearer)
            case Cause.WRONG_PURPOSE:
                purpose = "clientAuth" if refusal.side is Side.SERVER else "serverAuth"
                yield error("wrong-usage", f"the certificate of {address} is not for {purpose}", help=APPLY, where=path)
            case Cause.WRONG_NAME:
                message = f"the certificate of {address} does not bear {', '.join(names)}; it bears {_names(bearer)}"
                yield error("wrong-names", message, help=APPLY, where=path)
            case Cause.UNKNOWN_AUTHORITY | Cause.BAD_SIGNATURE:
                yield from self._of_authority(judge, bearer)
            case cause:
                message = f"the certificate of {address} is refused, because {SENTENCES[cause]} ({refusal.words})"
                yield error("kept-out", message, help="look with `certgen verify`", where=path)

    def _of_dates(self, bearer: Party) -> Iterator[Diagnostic]:
        """Find the certificates, its own and those above it, that are over or not begun."""
        address, path = bearer.entry.address, f"{bearer.entry.address}/{CERTIFICATE_FILE}"
        above = self._roots.get(root_above(bearer.entry, self._bundle).address, ())
        for certificate in (*bearer.path, *above):
            whose = "it" if certificate in bearer.path[:1] else f"`{certificate.subject}` above it"
            if certificate.not_after < self._at:
                message = f"the certificate of {address} has expired: {whose} ended {certificate.not_after:%Y-%m-%d}"
                yield error("expired", message, help="`certgen apply` renews it", where=path)
            elif certificate.not_before > self._at:
                begin = f"{certificate.not_before:%Y-%m-%d %H:%M}Z"
                message = f"the certificate of {address} is not valid yet: {whose} begins {begin}"
                yield error("not-yet-valid", message, help="look at this machine's clock", where=path)

    def _of_authority(self, judge: Party, bearer: Party) -> Iterator[Diagnostic]:
        """Tell a trust file that lacks the root, which has been found already, from what does not lead to it."""
        root = root_above(bearer.entry, self._bundle)
        known = {certificate.der for certificate in self._roots.get(root.address, ())}
        if known and not known & {certificate.der for certificate in judge.trusted}:
            return
        path = f"{bearer.entry.address}/{CERTIFICATE_FILE}"
        message = f"{path} does not lead to `{root.address.name}`: another CA signed it, or an intermediate is missing"
        yield error("path-broken", message, help=APPLY, where=path)


def _entry_of(finding: Diagnostic) -> str:
    return "/".join((finding.where or "").split("/")[:2])


def _of_path(party: Party) -> Iterator[Diagnostic]:
    for certificate in party.path[1:]:
        if certificate.is_self_issued:
            path = f"{party.entry.address}/{CERTIFICATE_FILE}"
            yield error("root-in-path", f"{path} holds a root, which peers do not need", help=APPLY, where=path)


def _is_refused(challenge: Challenge) -> bool:
    return all(trial.refusal is not None for trial in challenge.trials)


def _of_challenge(challenge: Challenge) -> Diagnostic:
    description, address = challenge.stranger.description, challenge.address
    refusal = next((trial.refusal for trial in challenge.trials if trial.refusal is not None), None)
    if any(trial.refusal is None for trial in challenge.trials):
        return error("let-in", f"{address} accepts {description}", help=APPLY, where=str(address))
    message = f"{address} refuses {description}, but for another reason: {refusal}"
    return error("refused-otherwise", message, help="mend what else is found, and prove again", where=str(address))


def _unknown(obstacle: str, count: int) -> Diagnostic:
    handshakes = f" ({count} {'meeting' if count == 1 else 'meetings'} not judged)" if count else ""
    help_ = "prove where the keys are" if "private key" in obstacle else None
    help_ = "run `certgen apply`" if obstacle.endswith("is not there") else help_
    where = obstacle.partition(":")[0]
    return error("not-judged", f"{obstacle}{handshakes}", help=help_, where=where)


def _names(party: Party) -> str:
    return ", ".join(map(str, party.path[0].subject_alt_names)) or "no name"
