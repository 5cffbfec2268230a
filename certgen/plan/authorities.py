"""What a CA will be after the run, as those below it see it; and where a lost CA certificate is found again."""

from __future__ import annotations

from dataclasses import dataclass

from certgen.model import Certificate, Entry
from certgen.plan.times import Term
from certgen.rfc5280.vocabulary import DistinguishedName
from certgen.tree import Observed, ObservedEntry


@dataclass(frozen=True, slots=True)
class Projection:
    """An entry as it will be when the plan has been carried out."""

    key_id: str | None
    """None where the key is new, and so not known yet."""
    certificate: Certificate | None
    """The certificate that stays; None where one is signed in this run."""
    was: Certificate | None
    """The certificate before this run."""
    term: Term
    subject: DistinguishedName
    can_sign: bool
    roots: tuple[Certificate, ...] = ()
    """For a CA that the user brings: its trust anchors."""

    @property
    def key_identifier(self) -> bytes | None:
        """The subject key identifier that those below point to; None where it is not known."""
        return self.was.subject_key_identifier if self.was and self.was.key_id == self.key_id else None

    def has_name_of(self, child: Certificate) -> bool:
        """Whether a certificate names this CA as its issuer, byte for byte where the name is on the disk."""
        if self.was is not None and self.was.subject == self.subject:
            return child.issuer_der == self.was.subject_der
        return child.issuer == self.subject


def supplied_projection(entry: Entry) -> Projection:
    """Give a CA that the user brings, which no plan changes."""
    supplied = entry.supplied
    if supplied is None:
        raise ValueError(f"{entry.address} is not a CA that the user brings")
    certificate = supplied.path[0]
    return Projection(
        key_id=certificate.key_id,
        certificate=certificate,
        was=certificate,
        term=Term(certificate.not_before, certificate.not_after),
        subject=certificate.subject,
        can_sign=supplied.private_key_id == certificate.key_id,
        roots=supplied.roots,
    )


def certificate_of_key(key_id: str | None, observed: Observed) -> Certificate | None:
    """Give the latest CA certificate of a key that the tree holds."""
    return next((certificate for certificate in observed.authorities if certificate.key_id == key_id), None)


def known_certificate(entry: Entry, found: ObservedEntry, observed: Observed) -> Certificate | None:
    """Give an entry's certificate; a CA's that is lost from its folder is found in any path or trust file of the tree.

    A key id decides, of the manifest or else of the key file; where neither is known to the tree, the subject.
    """
    if found.certificate is not None or not entry.is_ca:
        return found.certificate
    recorded = observed.manifest.entries.get(entry.address)
    if recorded is not None:
        return certificate_of_key(recorded.key_id, observed)
    if (certified := certificate_of_key(found.key.key_id, observed)) is not None:
        return certified
    return next((known for known in observed.authorities if known.subject == entry.template.subject), None)
