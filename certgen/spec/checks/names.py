"""Names: who has one, whether it is unique, and whether every CA above permits it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from unicodedata import normalize

from certgen.diagnostics import Diagnostic, Route
from certgen.model import Bundle, Entry, Role
from certgen.rfc5280.constraints import Boundary, base_is_within, bases_overlap
from certgen.rfc5280.names import InvalidNameError, parse_dns_name
from certgen.rfc5280.vocabulary import (
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    NameConstraints,
)
from certgen.spec.checks.findings import error_at, warning_at


def servers_have_names(bundle: Bundle) -> Iterator[Diagnostic]:
    """A server or peer has a subject alternative name; a common name alone names nothing (RFC 9525 2)."""
    for entry in bundle.end_entities:
        if entry.template.role is not Role.CLIENT and not entry.template.subject_alt_names:
            message = f"{entry.address} has no name that a client could check"
            help_ = "add `sans:`, for example [api.shop.example, 127.0.0.1]"
            yield error_at(entry, "missing-sans", message, help_=help_)


def names_are_unique(bundle: Bundle) -> Iterator[Diagnostic]:
    """No subject alternative name stands twice in one entry."""
    for entry in bundle.end_entities:
        seen: set[GeneralName] = set()
        for number, name in enumerate(entry.template.subject_alt_names):
            if name in seen:
                yield error_at(entry, "duplicate-san", f"{name} stands twice", "sans", number, help_="remove one")
            seen.add(name)


def spiffe_ids_stand_alone(bundle: Bundle) -> Iterator[Diagnostic]:
    """A certificate with a SPIFFE id has no other URI (X509-SVID 2)."""
    for entry in bundle.end_entities:
        names = enumerate(entry.template.subject_alt_names)
        uris = [(number, name.value) for number, name in names if name.kind == GeneralNameKind.URI]
        if len(uris) > 1 and any(uri.startswith("spiffe:") for _, uri in uris):
            message = f"{entry.address} has a SPIFFE id and another URI, which SPIFFE's libraries refuse"
            help_ = "give each SPIFFE id an entry of its own"
            yield warning_at(entry, "unsupported-by-programs", message, "sans", uris[1][0], help_=help_)


def common_names_are_sans(bundle: Bundle) -> Iterator[Diagnostic]:
    """A server's common name that looks like a host is also among its names (RFC 9525 2: nobody reads it there)."""
    for entry in bundle.end_entities:
        name = entry.template.subject.common_name or ""
        if ExtendedKeyUsage.SERVER_AUTH not in entry.template.extended_key_usage or "." not in name:
            continue
        if name.lower() not in {san.value for san in entry.template.subject_alt_names}:
            message = f"the common name `{name}` looks like a host and is not among the names"
            help_ = "clients look at `sans` only: add it there, or choose a common name without a dot"
            yield warning_at(entry, "common-name-not-in-sans", message, "common_name", help_=help_)


def names_are_inside_constraints(bundle: Bundle) -> Iterator[Diagnostic]:
    """Every name lies inside the name constraints of each CA above (RFC 5280 4.2.1.10)."""
    boundaries: dict[int, Boundary] = {}
    for entry in bundle.end_entities:
        count = len(entry.template.subject_alt_names)
        for authority, constraints in _constraints_above(bundle, entry):
            if id(constraints) not in boundaries:
                boundaries[id(constraints)] = Boundary(constraints)
            for number, name in enumerate(_constrained_names(entry)):
                if reason := boundaries[id(constraints)].why_outside(name):
                    place: Route = ("sans", number) if number < count else ("common_name",)
                    message = f"{name} is outside the name constraints of {authority}, which {reason}"
                    yield error_at(entry, "outside-constraints", message, *place)


def constraints_can_be_met(bundle: Bundle) -> Iterator[Diagnostic]:
    """What a CA permits is not wholly forbidden above it: a path keeps what all permit (RFC 5280 6.1.4 g)."""
    for entry in bundle.entries:
        constraints = entry.template.name_constraints
        if not entry.is_ca or entry.supplied is not None or constraints is None:
            continue
        for authority, above in _constraints_above(bundle, entry):
            for number, base in enumerate(constraints.permitted):
                if reason := _why_unusable(base, above):
                    message = f"{base} can never be used: {authority} {reason}"
                    yield warning_at(entry, "unusable-constraint", message, "name_constraints", "permitted", number)


def authorities_have_distinct_subjects(bundle: Bundle) -> Iterator[Diagnostic]:
    """No two CA keys under one name, and no certificate with its issuer's name (RFC 5280 4.1.2.4, 6.1)."""
    by_subject: dict[tuple[tuple[str, str], ...], list[Entry]] = defaultdict(list)
    for entry in bundle.entries:
        if entry.is_ca:
            by_subject[_folded(entry)].append(entry)
        elif entry.issuer is not None and _folded(entry) == _folded(bundle[entry.issuer]):
            message = f"{entry.address} has its issuer's name, {entry.template.subject}"
            yield error_at(entry, "subject-of-issuer", message, "common_name", help_="choose another common name")
    for entries in by_subject.values():
        for entry in entries[1:]:
            message = f"{entry.address} has the same subject as {entries[0].address}, {entry.template.subject}"
            yield error_at(entry, "duplicate-subject", message, "common_name", help_="choose another `common_name`")


def _why_unusable(base: GeneralName, above: NameConstraints) -> str | None:
    excluding = [other for other in above.excluded if other.kind == base.kind and base_is_within(base, other)]
    if excluding:
        return f"excludes {excluding[0]}"
    permitted = [other for other in above.permitted if other.kind == base.kind]
    if permitted and not any(bases_overlap(base, other) for other in permitted):
        return f"permits only {', '.join(map(str, permitted))}"
    return None


def _constraints_above(bundle: Bundle, entry: Entry) -> Iterator[tuple[str, NameConstraints]]:
    """Give the name constraints of the CAs above an entry, with a name for each; of a path that is brought, all."""
    for issuer in bundle.issuers_above(entry.address):
        if issuer.supplied is None:
            certified = [(str(issuer.address), issuer.template.name_constraints)]
        else:
            above = (*issuer.supplied.path, *issuer.supplied.roots)
            certified = [(f"`{item.subject}`", item.name_constraints) for item in above]
        yield from ((name, constraints) for name, constraints in certified if constraints is not None)


def _constrained_names(entry: Entry) -> tuple[GeneralName, ...]:
    """Give the names that constraints apply to; OpenSSL reads a dotted common name as a host where no SAN is one."""
    names = entry.template.subject_alt_names
    common_name = entry.template.subject.common_name or ""
    if any(name.kind == GeneralNameKind.DNS for name in names) or "." not in common_name:
        return names
    try:
        return (*names, GeneralName(GeneralNameKind.DNS, parse_dns_name(common_name)))
    except InvalidNameError:
        return names


def _folded(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Give a subject as names are compared: without case, width, composition and repeated blanks (RFC 5280 7.1)."""
    folded = ((name, normalize("NFKC", value).casefold()) for name, value in entry.template.subject.attributes)
    return tuple((name, " ".join(value.split())) for name, value in folded)
