"""Floor 8: what an entry takes from its own words, from `defaults`, and from its role, in that order."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from certgen.lifetime import Validity
from certgen.model import Address, KeyPolicy, Role
from certgen.protection import KeyRotation, Protection, ProtectionKind
from certgen.rfc5280.vocabulary import (
    DistinguishedName,
    ExtendedKeyUsage,
    KeyAlgorithm,
    NameAttribute,
    NameConstraints,
)
from certgen.spec.parts import Subject
from certgen.spec.schema import CertificateAuthority, Defaults, EndEntity
from certgen.tree import PUBLIC_MODE

DAY: Final = 86400
DEFAULT_VALIDITY: Final = {
    Role.ROOT_CA: 3650 * DAY,
    Role.INTERMEDIATE_CA: 1825 * DAY,
    Role.SERVER: 365 * DAY,
    Role.CLIENT: 365 * DAY,
    Role.PEER: 365 * DAY,
}
"""Seconds."""

PURPOSES: Final = {
    Role.ROOT_CA: frozenset[ExtendedKeyUsage](),
    Role.INTERMEDIATE_CA: frozenset[ExtendedKeyUsage](),
    Role.SERVER: frozenset({ExtendedKeyUsage.SERVER_AUTH}),
    Role.CLIENT: frozenset({ExtendedKeyUsage.CLIENT_AUTH}),
    Role.PEER: frozenset({ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH}),
}


class Inheritance:
    """The defaults of one spec, and what each entry makes of them."""

    def __init__(self, defaults: Defaults, protection: Protection | None) -> None:
        self._defaults = defaults
        self._protection = protection

    def subject(self, address: Address, entry: CertificateAuthority | EndEntity) -> DistinguishedName:
        """Merge the subject attribute by attribute; the common name is the entry's own or its name."""
        common_name = (NameAttribute.COMMON_NAME.value, entry.common_name or address.name)
        if entry.subject is None:
            before, after = self._inherited_subject
            return DistinguishedName((*before, common_name, *after))
        own, inherited = entry.subject, self._defaults.subject or Subject()
        pairs: list[tuple[str, str]] = []
        for attribute in NameAttribute:
            if attribute is NameAttribute.COMMON_NAME:
                pairs.append(common_name)
                continue
            chosen = own if attribute.value in own.model_fields_set else inherited
            pairs += [(attribute.value, value) for value in getattr(chosen, attribute.value)]
        return DistinguishedName(tuple(pairs))

    @cached_property
    def _inherited_subject(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The attributes of the defaults that stand before the common name, and those after it."""
        inherited = self._defaults.subject or Subject()
        sides: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
        side = sides[0]
        for attribute in NameAttribute:
            if attribute is NameAttribute.COMMON_NAME:
                side = sides[1]
                continue
            side += [(attribute.value, value) for value in getattr(inherited, attribute.value)]
        return sides

    def validity(self, entry: CertificateAuthority | EndEntity, role: Role) -> Validity:
        """Give the validity: fixed, its own, the defaults' for an end entity, or the role's."""
        if entry.not_after is not None:
            return Validity(not_before=entry.not_before, not_after=entry.not_after)
        inherited = None if role.is_ca else self._defaults.validity
        return Validity(entry.validity or inherited or DEFAULT_VALIDITY[role], not_before=entry.not_before)

    def key(self, entry: CertificateAuthority | EndEntity, role: Role) -> KeyPolicy:
        """Merge the key's algorithm, rotation and mode; a CA inherits no rotation."""
        own, inherited = entry.key, self._defaults.key
        layers = [layer for layer in (own, inherited) if layer is not None]
        algorithm = next((layer.algorithm for layer in layers if layer.algorithm), KeyAlgorithm.ECDSA_P256)
        mode = next((layer.mode for layer in layers if layer.mode), 0o600)
        rotations = layers if not role.is_ca else layers[: 1 if own else 0]
        rotation = next((layer.rotation for layer in rotations if layer.rotation), KeyRotation.KEEP)
        if self._protection is not None and self._protection.kind is ProtectionKind.AGE:
            # What only its recipients can open may be read by everybody, and git gives it to everybody.
            mode = PUBLIC_MODE
        return KeyPolicy(algorithm, rotation, mode, self._protection)

    def urls(self, name: str, entry: CertificateAuthority | EndEntity, role: Role) -> tuple[str, ...]:
        """Give locations of the issuer's information; a root has no issuer, so it inherits none."""
        inherited = Defaults() if role is Role.ROOT_CA else self._defaults
        own: tuple[str, ...] | None = getattr(entry, name)
        default: tuple[str, ...] | None = getattr(inherited, name)
        return (default or ()) if own is None else own


def constraints_of(authority: CertificateAuthority) -> NameConstraints | None:
    """Give a CA's name constraints; None where nothing is asked."""
    asked = authority.name_constraints
    if asked is None or not (asked.permitted or asked.excluded):
        return None
    return NameConstraints(asked.permitted, asked.excluded)
