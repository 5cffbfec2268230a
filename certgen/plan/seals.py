"""Private keys that are closed: whether as the spec asks, what the manifest knows of them, and which must be opened."""

from __future__ import annotations

from collections.abc import Iterable

from certgen.model import Address, Bundle, Entry
from certgen.plan.values import Change, KeySource, Reason, ReasonCode
from certgen.protection import ProtectionKind
from certgen.tree import KeyState, Observed, ObservedKey, key_file


def judge_seal(entry: Entry, found: ObservedKey) -> Reason | None:
    """Say why a private key that is kept needs another file; one closed as the spec asks stays byte for byte."""
    protection, is_sealed = entry.key.protection, found.state is KeyState.SEALED
    is_as_asked = (found.mark, found.file) == (protection.mark if protection else None, key_file(entry))
    if is_as_asked and is_sealed is (protection is not None):
        return None
    return Reason(ReasonCode.RECIPIENTS_CHANGED, _known(found), str(protection or "in clear"), found.file)


def _known(found: ObservedKey) -> str:
    """Say what is known of how a private key is closed: of recipients, no more than that they were others."""
    if found.state is not KeyState.SEALED:
        return "in clear"
    kind = (found.mark or "").partition(" ")[0]
    return {"": "unknown", ProtectionKind.AGE.value: "age, other recipients"}.get(kind, f"a {kind}")


def seal_of(entry: Entry, observed: Observed) -> tuple[str | None, str | None]:
    """Give digest and mark of an entry's sealed private key; of one that is not here, what was known before."""
    key = observed[entry.address].key
    recorded = observed.manifest.entries.get(entry.address)
    if key.state is KeyState.ABSENT and recorded is not None and recorded.sealed is not None:
        return recorded.files.get(key_file(entry)), recorded.sealed
    return key.digest, key.mark


def unsealed(changes: Iterable[Change], bundle: Bundle, observed: Observed) -> tuple[Address, ...]:
    """Give whose sealed private keys sign, or are looked into, or get another file."""
    asked: dict[Address, None] = {}
    made: set[Address] = set()
    for change in changes:
        address, signing = change.address, change.signing
        if not isinstance(address, Address) or address not in bundle.index:
            continue
        source = signing.key.source if signing is not None else None
        if source is KeySource.GENERATE:
            made.add(address)
        elif source is KeySource.FILE or key_file(bundle[address]) in change.writes:
            asked[address] = None
        if signing is not None and signing.issuer is not None:
            asked[signing.issuer] = None
    return tuple(item for item in asked if item not in made and observed[item].key.state is KeyState.SEALED)
