"""The closed sets of RFC 5280 that a spec may name, in the standard's own spelling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KeyAlgorithm(StrEnum):
    """A key algorithm with its size."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ECDSA_P521 = "ecdsa-p521"
    ED25519 = "ed25519"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"

    @property
    def is_post_quantum(self) -> bool:
        """Whether it is one of FIPS 204, which most TLS programs do not know yet."""
        return self.value.startswith("ml-dsa-")

    @property
    def is_rsa(self) -> bool:
        """Whether it is RSA, the one family whose keys can encipher."""
        return self.value.startswith("rsa-")


def named_algorithm(name: str) -> KeyAlgorithm | str:
    """Give the key algorithm of this name, or the name where a spec cannot ask for it."""
    try:
        return KeyAlgorithm(name)
    except ValueError:
        return name


class KeyUsage(StrEnum):
    """The bits of the key usage extension (RFC 5280 4.2.1.3)."""

    DIGITAL_SIGNATURE = "digitalSignature"
    CONTENT_COMMITMENT = "contentCommitment"
    KEY_ENCIPHERMENT = "keyEncipherment"
    DATA_ENCIPHERMENT = "dataEncipherment"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
    CRL_SIGN = "cRLSign"
    ENCIPHER_ONLY = "encipherOnly"
    DECIPHER_ONLY = "decipherOnly"


class ExtendedKeyUsage(StrEnum):
    """The purposes of the extended key usage extension (RFC 5280 4.2.1.12), without anyExtendedKeyUsage."""

    SERVER_AUTH = "serverAuth"
    CLIENT_AUTH = "clientAuth"
    CODE_SIGNING = "codeSigning"
    EMAIL_PROTECTION = "emailProtection"
    TIME_STAMPING = "timeStamping"
    OCSP_SIGNING = "OCSPSigning"


class NameAttribute(StrEnum):
    """The attributes of a distinguished name (RFC 5280 4.1.2.4), in the order in which certgen writes them."""

    DOMAIN_COMPONENT = "domain_component"
    COUNTRY = "country"
    STATE = "state"
    LOCALITY = "locality"
    STREET_ADDRESS = "street_address"
    POSTAL_CODE = "postal_code"
    ORGANIZATION = "organization"
    ORGANIZATIONAL_UNIT = "organizational_unit"
    SERIAL_NUMBER = "serial_number"
    COMMON_NAME = "common_name"


SHORT_NAMES = {
    NameAttribute.DOMAIN_COMPONENT: "DC",
    NameAttribute.COUNTRY: "C",
    NameAttribute.STATE: "ST",
    NameAttribute.LOCALITY: "L",
    NameAttribute.STREET_ADDRESS: "STREET",
    NameAttribute.POSTAL_CODE: "postalCode",
    NameAttribute.ORGANIZATION: "O",
    NameAttribute.ORGANIZATIONAL_UNIT: "OU",
    NameAttribute.SERIAL_NUMBER: "serialNumber",
    NameAttribute.COMMON_NAME: "CN",
}
"""How each attribute is written in a distinguished name for people (RFC 4514 and X.520)."""


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A distinguished name as attribute and value pairs, in the order of the certificate.

    An attribute that language version 1 cannot express is named by its dotted object identifier; one that stands beside
    another, in one relative distinguished name, has a plus sign before its name.
    """

    attributes: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{_short(name)}={value}" for name, value in self.attributes)

    @property
    def common_name(self) -> str | None:
        """The last common name, if there is one."""
        names = [value for name, value in self.attributes if name == NameAttribute.COMMON_NAME]
        return names[-1] if names else None


class GeneralNameKind(StrEnum):
    """The kinds of general name (RFC 5280 4.2.1.6) that a spec can hold, by their prefixes."""

    DNS = "DNS"
    IP = "IP"
    URI = "URI"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, order=True)
class GeneralName:
    """A subject alternative name, or the base of a name constraint, in canonical form.

    A kind that language version 1 cannot express is kept as text, so that a comparison sees it.
    """

    kind: GeneralNameKind | str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True, eq=False)
class NameConstraints:
    """The name constraints of a CA (RFC 5280 4.2.1.10); equal where the sets are, whatever their order."""

    permitted: tuple[GeneralName, ...] = ()
    excluded: tuple[GeneralName, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameConstraints) and self._sets() == other._sets()

    def __hash__(self) -> int:
        return hash(self._sets())

    def _sets(self) -> tuple[frozenset[GeneralName], frozenset[GeneralName]]:
        return frozenset(self.permitted), frozenset(self.excluded)


def _short(name: str) -> str:
    if name.startswith("+"):
        return f"+{_short(name[1:])}"
    try:
        return SHORT_NAMES[NameAttribute(name)]
    except ValueError:
        return name
