"""Entries before they are a spec: what was found of each, and under which names they will stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from certgen.diagnostics import Diagnostic, Severity
from certgen.model import NAME, Address, Certificate, Section
from certgen.sealing.port import PrivateKey
from certgen.spec.fields import is_device

LONGEST_NAME: Final = 63
"""Characters that the name of an entry may have."""
_GIVE: Final = "mend its `issuer`, or give that CA too"
_LABEL: Final = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that a person named, or that stands in a folder that he named."""

    path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """One entry, as far as its source tells of it."""

    section: Section
    wish: str
    """What it would be called if any name would do."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the spec, but for `issuer`."""
    subject: str = ""
    """Its distinguished name, by which others name it as their issuer."""
    issuer: str | None = None
    """The distinguished name of its issuer; None for a root, and where the source does not say."""
    certificate: Certificate | None = None
    private_key: PrivateKey | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """What was made of some sources."""

    drafts: tuple[Draft, ...] = ()
    remarks: tuple[Diagnostic, ...] = ()
    """What could not be taken over, and why."""

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.drafts + other.drafts, self.remarks + other.remarks)


def named(drafts: Iterable[Draft]) -> dict[Address, Draft]:
    """Give each entry a name of its own, near the one that it would have, in the order of the language."""
    found: dict[Address, Draft] = {}
    for draft in drafts:
        wish, number = entry_name(draft.wish), 1
        address = Address(draft.section, wish)
        while address in found:
            number += 1
            address = Address(draft.section, f"{wish[: LONGEST_NAME - 4]}-{number}")
        found[address] = draft
    return dict(sorted(found.items(), key=lambda item: item[0].sort_key))


def entry_name(wish: str) -> str:
    """Make the name of an entry of any text."""
    text = _LABEL.sub("-", wish.lower().replace("*", "wildcard"))
    text = re.sub(r"\.{2,}", ".", text)[:LONGEST_NAME].strip("._-")
    if is_device(text):
        stem, dot, rest = text.partition(".")
        text = f"{stem}-1{dot}{rest}"[:LONGEST_NAME].rstrip("._-")
    return text if NAME.fullmatch(text) else "unnamed"


def spec_fields(entries: Mapping[Address, Draft]) -> dict[str, Any]:
    """Give the whole spec as the mapping that its file holds."""
    authorities = [(draft.subject, address.name) for address, draft in entries.items() if draft.section is Section.CAS]
    by_subject = dict(authorities)
    written: dict[str, Any] = {"version": 1, **{str(section): {} for section in Section}}
    for address, draft in entries.items():
        # Where there is one CA it need not be said who signs.
        issuer = by_subject.get(draft.issuer) if draft.issuer is not None and len(authorities) > 1 else None
        own = {"issuer": issuer} if issuer is not None else {}
        written[str(address.section)][address.name] = _worded(address, {**own, **draft.fields})
    return {name: value for name, value in written.items() if value != {}}


def _worded(address: Address, fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what an entry's name says already."""
    if fields.get("common_name") == address.name:
        return {name: value for name, value in fields.items() if name != "common_name"}
    return fields


def merged(adopted: Collected, described: Collected) -> Collected:
    """Put together what was found and what was described: of what was found nothing else is asked.

    Args:
        adopted: entries with their certificates.
        described: entries by what another program was told of them.
    """
    known = {
        subject_of(draft.certificate.subject.attributes): draft.subject
        for draft in adopted.drafts
        if draft.certificate is not None
    }
    rest = tuple(
        replace(draft, issuer=known.get(draft.issuer, draft.issuer) if draft.issuer is not None else None)
        for draft in described.drafts
        if draft.subject not in known
    )
    return Collected((*adopted.drafts, *rest), (*adopted.remarks, *described.remarks))


def with_authority(drafts: Sequence[Draft]) -> tuple[Draft, ...]:
    """Add a CA where the sources tell of none, and let it sign who has no other issuer."""
    authorities = [draft for draft in drafts if draft.section is Section.CAS]
    if not authorities:
        authorities = [Draft(Section.CAS, "ca", {}, subject="ca")]
        drafts = (*authorities, *drafts)
    if len(authorities) > 1:
        return tuple(drafts)
    only = authorities[0].subject
    return tuple(
        draft if draft.section is Section.CAS or draft.issuer is not None else replace(draft, issuer=only)
        for draft in drafts
    )


def of_other_issuers(entries: Mapping[Address, Draft]) -> tuple[Diagnostic, ...]:
    """Say of each entry whose issuer is none of the CAs, and is not missed either, who issues it instead.

    Args:
        entries: by their names.
    """
    authorities = {draft.subject: address for address, draft in entries.items() if draft.section is Section.CAS}
    only = next(iter(authorities.values())) if len(authorities) == 1 else None
    return tuple(
        remark("other-issuer", _of_other_issuer(address, draft.issuer, only), _GIVE, str(address))
        for address, draft in entries.items()
        if draft.issuer is not None
        and draft.issuer not in authorities
        # One of several CAs has to be named: of who names another, that is said where the spec is checked.
        and (address.section is Section.CAS or only is not None)
    )


def _of_other_issuer(address: Address, issuer: str, only: Address | None) -> str:
    instead = "it is a root" if address.section is Section.CAS else f"{only} issues it"
    return f"{address}: `{issuer}` is not among what is imported, and so {instead}"


def remark(code: str, message: str, help_: str, where: str) -> Diagnostic:
    """Say what becomes of something that was found."""
    return Diagnostic(Severity.WARNING, code, message, help=help_, where=where)


def unsaid(entry: str, field: str, where: str) -> Diagnostic:
    """Say that a source asks for something that a spec has no word for."""
    message = f"what {where} says of `{entry}` as its {field} has no place in a spec"
    return remark("not-expressed", message, "look whether it is needed", where)


def subject_of(attributes: Iterable[tuple[str, str]]) -> str:
    """Write attributes in the order in which certgen has them, whatever theirs."""
    return ", ".join(f"{name}={value}" for name, value in sorted(attributes, key=lambda item: (str(item[0]), item[1])))
