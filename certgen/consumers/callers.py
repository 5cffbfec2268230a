"""Floor 4: whom a server lets in: `allow` judged, and how one caller is told from another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from certgen.consumers.census import Spelling
from certgen.consumers.port import Deployment, Fault
from certgen.model import Address, Entry, Section
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralName

Allow = tuple[Address, ...]


def judge_allow(deployment: Deployment, allow: Allow | None) -> Iterator[Fault]:
    """Find in `allow` what is no entry, no client, or nobody whom the entry's trust lets in."""
    if not deployment.is_server:
        if allow is not None:
            message = "`allow` is for a server, to which others connect"
            yield Fault("unused-option", message, "remove it", ("allow",))
        return
    if allow == ():
        yield Fault("empty-allow", f"{deployment.entry.address} would let nobody in", "name a client", ("allow",))
    for number, address in enumerate(allow or ()):
        fault = _fault_of(deployment, address, ("allow", number))
        if fault is not None:
            yield fault


def allowed_entries(deployment: Deployment, allow: Allow | None) -> tuple[Entry, ...]:
    """Give the entries that `allow` names, sorted; those that `judge_allow` refuses are left out."""
    named = sorted(set(allow or ()), key=lambda address: address.sort_key)
    index = deployment.bundle.index
    return tuple(index[address] for address in named if address in index and deployment.lets_in(index[address]))


def as_written(name: GeneralName) -> GeneralName:
    """Spell a name as it is: the spelling of a consumer that takes names literally."""
    return name


def distinguishing_names(
    deployment: Deployment, caller: Entry, allow: Allow, spelling: Spelling = as_written
) -> tuple[GeneralName, ...]:
    """Give those names of a caller that nobody bears whom `allow` keeps out (RFC 9525 6.3 for wildcards).

    Args:
        deployment: the server.
        caller: one that `allow` names.
        allow: those who are let in.
        spelling: how the consumer sees names; one that it spells in another way than the spec is none.
    """
    return tuple(
        name
        for name in caller.template.subject_alt_names
        if spelling(name) == name
        and not any(_is_kept_out(deployment, other, allow) for other in deployment.census.bearers(name, spelling))
    )


def kept_out(deployment: Deployment, allow: Allow) -> tuple[Entry, ...]:
    """Give the entries that the trust lets in and `allow` does not."""
    let_in = frozenset(allow)
    return tuple(entry for entry in deployment.callers if entry.address not in let_in)


def subject_twins(deployment: Deployment, caller: Entry, allow: Allow) -> Iterable[Entry]:
    """Give those whom `allow` keeps out and whose subject and issuer's subject are those of a caller."""
    namesakes = deployment.census.namesakes(caller.template.subject, deployment.issuer_subject(caller))
    return (other for other in namesakes if _is_kept_out(deployment, other, allow))


def _fault_of(deployment: Deployment, address: Address, place: tuple[str, int]) -> Fault | None:
    entry = deployment.bundle.index.get(address)
    if entry is None:
        known = [str(caller.address) for caller in deployment.callers]
        near = get_close_matches(str(address), known, n=1)
        help_ = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(known)}" if known else None
        return Fault("unknown-address", f"there is no `{address}` in this spec", help_, place)
    is_client = ExtendedKeyUsage.CLIENT_AUTH in entry.template.extended_key_usage
    if address.section not in {Section.CLIENTS, Section.PEERS} or not is_client:
        return Fault("not-a-client", f"{address} cannot connect as a client", "name a client or a peer", place)
    if not deployment.trusts(entry):
        root = deployment.bundle.issuers_above(address)[-1].address.name
        message = f"{deployment.entry.address} does not trust `{root}`, the root above {address}"
        return Fault("not-trusted", message, f"add `{root}` to its `trust`", place)
    return None


def _is_kept_out(deployment: Deployment, other: Entry, allow: Allow) -> bool:
    return other.address not in allow and not deployment.is_itself(other) and deployment.trusts(other)
