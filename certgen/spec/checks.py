"""Floor 4: the rules that a bundle must keep, one function each, with its standard in the docstring.

A rule takes the bundle and gives diagnostics with routes; what it finds wrong would otherwise show at a handshake.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from certgen.certificates import is_signed_by
from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.model import Address, AnchorFile, Bundle, Entry, Role, backdating
from certgen.rfc5280.names import InvalidNameError, bases_overlap, outside_constraints, parse_dns_name
from certgen.rfc5280.vocabulary import (
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyAlgorithm,
    KeyUsage,
    NameConstraints,
)
from certgen.spec.inheritance import DAY

LONGEST_SERVER_VALIDITY: Final = 825 * DAY
"""Seconds; Apple's platforms refuse TLS server certificates that last longer, whoever issued them."""

Rule = Callable[[Bundle], Iterator[Diagnostic]]


def check(bundle: Bundle) -> tuple[Diagnostic, ...]:
    """Apply every rule."""
    return tuple(finding for rule in RULES for finding in rule(bundle))


def servers_have_names(bundle: Bundle) -> Iterator[Diagnostic]:
    """A server or peer has a subject alternative name; a common name alone names nothing (RFC 9525 2)."""
    for entry in _end_entities(bundle):
        if entry.template.role is not Role.CLIENT and not entry.template.subject_alt_names:
            message = f"{entry.address} has no name that a client could check"
            help_ = "add `sans:`, for example [api.shop.example, 127.0.0.1]"
            yield _error(entry, "missing-sans", message, help_=help_)


def names_are_unique(bundle: Bundle) -> Iterator[Diagnostic]:
    """No subject alternative name stands twice in one entry."""
    for entry in _end_entities(bundle):
        seen: set[GeneralName] = set()
        for number, name in enumerate(entry.template.subject_alt_names):
            if name in seen:
                yield _error(entry, "duplicate-san", f"{name} stands twice", "sans", number, help_="remove one")
            seen.add(name)


def common_names_are_sans(bundle: Bundle) -> Iterator[Diagnostic]:
    """A server's common name that looks like a host is also among its names (RFC 9525 2: nobody reads it there)."""
    for entry in _end_entities(bundle):
        name = entry.template.subject.common_name or ""
        if ExtendedKeyUsage.SERVER_AUTH not in entry.template.extended_key_usage or "." not in name:
            continue
        if name.lower() not in {san.value for san in entry.template.subject_alt_names}:
            message = f"the common name `{name}` looks like a host and is not among the names"
            help_ = "clients look at `sans` only: add it there, or choose a common name without a dot"
            yield _warning(entry, "common-name-not-in-sans", message, "common_name", help_=help_)


def names_are_inside_constraints(bundle: Bundle) -> Iterator[Diagnostic]:
    """Every name lies inside the name constraints of each CA above (RFC 5280 4.2.1.10)."""
    for entry in _end_entities(bundle):
        count = len(entry.template.subject_alt_names)
        for authority, constraints in _constraints_above(bundle, entry):
            for number, name in enumerate(_constrained_names(entry)):
                if reason := outside_constraints(name, constraints):
                    place: Route = ("sans", number) if number < count else ("common_name",)
                    message = f"{name} is outside the name constraints of {authority}, which {reason}"
                    yield _error(entry, "outside-constraints", message, *place)


def constraints_can_be_met(bundle: Bundle) -> Iterator[Diagnostic]:
    """What a CA permits is not wholly forbidden above it: a path keeps what all permit (RFC 5280 6.1.4 g)."""
    for entry in bundle.entries:
        constraints = entry.template.name_constraints
        if not entry.is_ca or entry.supplied is not None or constraints is None:
            continue
        for authority, above in _constraints_above(bundle, entry):
            for number, base in enumerate(constraints.permitted):
                same_kind = [other for other in above.permitted if other.kind == base.kind]
                if same_kind and not any(bases_overlap(base, other) for other in same_kind):
                    message = f"{base} can never be used: {authority} permits only {', '.join(map(str, same_kind))}"
                    yield _warning(entry, "unusable-constraint", message, "name_constraints", "permitted", number)


def children_end_before_issuers(bundle: Bundle) -> Iterator[Diagnostic]:
    """No certificate is asked to last longer than its issuer."""
    for entry in bundle.entries:
        if entry.issuer is None or entry.supplied is not None:
            continue
        own, issuer = entry.template.validity, bundle[entry.issuer].template.validity
        place: Route = ("not_after",) if own.not_after else ("validity",)
        if own.seconds is not None and issuer.seconds is not None and own.seconds > issuer.seconds:
            message = (
                f"{entry.address} would last {_days(own.seconds)}, its issuer {entry.issuer} {_days(issuer.seconds)}"
            )
            yield _error(
                entry, "outlives-issuer", message, *place, help_="shorten it, or lengthen the issuer's validity"
            )
        elif own.fixed_end and issuer.fixed_end and own.fixed_end > issuer.fixed_end:
            ends, issuer_ends = f"{own.fixed_end:%Y-%m-%d}", f"{issuer.fixed_end:%Y-%m-%d}"
            message = f"{entry.address} would end on {ends}, its issuer {entry.issuer} on {issuer_ends}"
            yield _error(entry, "outlives-issuer", message, *place)


def validities_are_whole(bundle: Bundle) -> Iterator[Diagnostic]:
    """A fixed end comes after a fixed beginning, within the years that a certificate can say (RFC 5280 4.1.2.5)."""
    for entry in _made(bundle):
        validity = entry.template.validity
        if validity.not_before and validity.not_after and validity.not_after <= validity.not_before:
            yield _error(entry, "bad-validity", f"{entry.address} would end before it begins", "not_after")
        for field, moment in (("not_before", validity.not_before), ("not_after", validity.not_after)):
            if moment and not 1950 <= moment.year <= 9999:
                yield _error(entry, "bad-validity", "a certificate says years from 1950 to 9999", field)


def windows_are_shorter_than_validities(bundle: Bundle) -> Iterator[Diagnostic]:
    """A renewal window is shorter than the validity, less the backdating, or every run would renew."""
    for entry in _made(bundle):
        seconds = entry.template.validity.seconds
        if seconds is None:
            continue
        usable = seconds - backdating(seconds)
        if entry.renew_before.of(seconds) >= usable:
            message = f"{entry.address} would be due as soon as it is made"
            help_ = f"choose less than its validity of {_days(seconds)}"
            yield _error(entry, "window-too-long", message, "renew_before", help_=help_)


def authorities_outlast_what_they_issue(bundle: Bundle) -> Iterator[Diagnostic]:
    """A CA lasts long enough to be renewed before it would have to cut short what it signs."""
    for entry in _made(bundle):
        seconds, longest = entry.template.validity.seconds, entry.renew_before.longest_issued
        if entry.is_ca and seconds and longest > seconds * 2 // 3:
            message = f"{entry.address} lasts {_days(seconds)} and signs for {_days(longest)}: late ones are cut short"
            help_ = f"make it last {_days(-(-longest * 3 // 2))} or more"
            yield _warning(entry, "ca-too-short", message, "validity", help_=help_)


def path_lengths_hold(bundle: Bundle) -> Iterator[Diagnostic]:
    """No CA has more CAs below it than its path length allows (RFC 5280 4.2.1.9)."""
    for entry in bundle.entries:
        if not entry.is_ca:
            continue
        for below, issuer in enumerate(bundle.issuers_above(entry.address)):
            limit = issuer.template.path_length
            if limit is not None and not issuer.template.path_length_derived and below >= limit:
                message = f"{entry.address} is {below + 1} below {issuer.address}, whose path length is {limit}"
                place: Route = ("path_length",) if issuer.supplied is None else ("certificate",)
                yield _error(issuer, "path-too-long", message, *place)


def authorities_have_distinct_subjects(bundle: Bundle) -> Iterator[Diagnostic]:
    """No two CA keys under one name, and no certificate with its issuer's name (RFC 5280 4.1.2.4, 6.1)."""
    by_subject: dict[tuple[tuple[str, str], ...], list[Entry]] = defaultdict(list)
    for entry in bundle.entries:
        if entry.is_ca:
            by_subject[_folded(entry)].append(entry)
        elif entry.issuer is not None and _folded(entry) == _folded(bundle[entry.issuer]):
            message = f"{entry.address} has its issuer's name, {entry.template.subject}"
            yield _error(entry, "subject-of-issuer", message, "common_name", help_="choose another common name")
    for entries in by_subject.values():
        for entry in entries[1:]:
            message = f"{entry.address} has the same subject as {entries[0].address}, {entry.template.subject}"
            yield _error(entry, "duplicate-subject", message, "common_name", help_="choose another `common_name`")


def key_usages_fit(bundle: Bundle) -> Iterator[Diagnostic]:
    """Key usages fit the key and the role (RFC 5280 4.2.1.3, RFC 8813 3, RFC 9881 5)."""
    enciphering = {KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DATA_ENCIPHERMENT}
    for entry in _made(bundle):
        usages, place = entry.template.key_usage, ("key_usage",)
        algorithm = entry.public_key.algorithm if entry.public_key else entry.key.algorithm
        if entry.is_ca and KeyUsage.KEY_CERT_SIGN not in usages:
            yield _error(
                entry,
                "key-usage",
                f"{entry.address} is a CA and may not sign certificates",
                *place,
                help_="add keyCertSign",
            )
        if not entry.is_ca and usages & {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}:
            yield _error(entry, "key-usage", "keyCertSign and cRLSign are for CAs", *place)
        if usages & enciphering and not algorithm.startswith("rsa"):
            yield _error(
                entry,
                "key-usage",
                f"a key of {algorithm} cannot encipher",
                *place,
                help_="leave it at digitalSignature",
            )
        if usages & {KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY} and KeyUsage.KEY_AGREEMENT not in usages:
            yield _error(entry, "key-usage", "encipherOnly and decipherOnly mean nothing without keyAgreement", *place)
        if KeyUsage.KEY_AGREEMENT in usages and not algorithm.startswith("ecdsa"):
            yield _error(entry, "key-usage", f"a key of {algorithm} cannot agree on keys", *place)


def key_choices_fit(bundle: Bundle) -> Iterator[Diagnostic]:
    """A CA's key is never rotated by time, and a key that stays on its host is not chosen here."""
    for entry in _made(bundle):
        if entry.is_ca and entry.key.rotation != "keep":
            message, help_ = (
                "a new CA key is always an explicit act",
                "leave `rotation` out; use `certgen apply --rekey`",
            )
            yield _error(entry, "ca-rotation", message, "key", "rotation", help_=help_)


def algorithms_are_known_to_programs(bundle: Bundle) -> Iterator[Diagnostic]:
    """Some algorithms are sound and yet refused by programs that people use; say by which."""
    for entry in _end_entities(bundle):
        algorithm = entry.public_key.algorithm if entry.public_key else entry.key.algorithm
        above = [issuer.key.algorithm for issuer in bundle.issuers_above(entry.address) if issuer.supplied is None]
        if any(isinstance(a, KeyAlgorithm) and a.is_post_quantum for a in [*above, algorithm]):
            message = f"{entry.address} has ML-DSA in its path, which OpenSSL before 3.5, Java 17 and Node 20 refuse"
            yield _warning(entry, "unsupported-by-programs", message, "key", help_="use ecdsa-p256 for these")
        elif algorithm == KeyAlgorithm.ED25519:
            message = f"{entry.address} has an Ed25519 key, which browsers, gRPC and Envoy's client check refuse"
            yield _warning(entry, "unsupported-by-programs", message, "key", help_="use ecdsa-p256 for these")


def servers_are_short_lived(bundle: Bundle) -> Iterator[Diagnostic]:
    """A TLS server certificate lasts at most 825 days."""
    for entry in _end_entities(bundle):
        seconds = _asked_seconds(entry)
        if (
            ExtendedKeyUsage.SERVER_AUTH in entry.template.extended_key_usage
            and (seconds or 0) > LONGEST_SERVER_VALIDITY
        ):
            message = (
                f"{entry.address} would last {_days(seconds or 0)}; Apple's platforms refuse servers beyond 825 days"
            )
            yield _warning(entry, "long-validity", message, "validity", help_="1y renews itself")


def supplied_keys_fit(bundle: Bundle) -> Iterator[Diagnostic]:
    """The private key of a CA that the user brings is that of its certificate."""
    for entry in bundle.entries:
        supplied = entry.supplied
        if supplied and supplied.private_key_id not in {None, supplied.path[0].key_id}:
            message = f"`{supplied.private_key_file}` is not the key of `{supplied.certificate_file}`"
            yield _error(entry, "ca-key-mismatch", message, "private_key")


def trust_files_hold_roots(bundle: Bundle) -> Iterator[Diagnostic]:
    """A trust anchor from a file is self-signed: many programs refuse an intermediate as an anchor."""
    for entry in _end_entities(bundle):
        for anchor in entry.trust:
            if isinstance(anchor, AnchorFile) and not all(is_signed_by(c, c) for c in anchor.certificates):
                message = f"`{anchor.file}` holds an intermediate, which nginx, HAProxy and PostgreSQL refuse to trust"
                yield _warning(entry, "anchor-not-root", message, "trust", help_="trust its root")


RULES: Final[tuple[Rule, ...]] = (
    servers_have_names,
    names_are_unique,
    common_names_are_sans,
    names_are_inside_constraints,
    constraints_can_be_met,
    children_end_before_issuers,
    validities_are_whole,
    windows_are_shorter_than_validities,
    authorities_outlast_what_they_issue,
    path_lengths_hold,
    authorities_have_distinct_subjects,
    key_usages_fit,
    key_choices_fit,
    algorithms_are_known_to_programs,
    servers_are_short_lived,
    supplied_keys_fit,
    trust_files_hold_roots,
)


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


def _asked_seconds(entry: Entry) -> int | None:
    """Give how long a certificate is asked to last, where the spec alone says so."""
    validity = entry.template.validity
    if validity.not_before and validity.not_after:
        return int((validity.not_after - validity.not_before).total_seconds()) + 1
    return validity.seconds


def _folded(entry: Entry) -> tuple[tuple[str, str], ...]:
    return tuple((name, " ".join(value.casefold().split())) for name, value in entry.template.subject.attributes)


def _end_entities(bundle: Bundle) -> Iterator[Entry]:
    return (entry for entry in bundle.entries if not entry.is_ca)


def _made(bundle: Bundle) -> Iterator[Entry]:
    return (entry for entry in bundle.entries if entry.supplied is None)


def _error(entry: Entry, code: str, message: str, *place: str | int, help_: str | None = None) -> Diagnostic:
    route = (*_route(entry.address), *place)
    return Diagnostic(Severity.ERROR, code, message, help=help_, route=route, at_key=not place)


def _warning(entry: Entry, code: str, message: str, *place: str | int, help_: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, help=help_, route=(*_route(entry.address), *place))


def _route(address: Address) -> Route:
    return (address.section.value, address.name)


def _days(seconds: int) -> str:
    if seconds % DAY == 0:
        return f"{seconds // DAY} days"
    return f"{seconds / DAY:.1f} days" if seconds > DAY else f"{seconds} seconds"
