"""A shadow of the spec: the same names and profile, signed by throw-away keys, for refusals that need a signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from certgen.certificates import parse_certificate
from certgen.encoders.pem import encode_certificates, encode_private_key
from certgen.issue import issue, new_serial_number
from certgen.model import Address, Bundle, Certificate, Entry, Issuance
from certgen.rfc5280.objects import generate_private_key, public_key_der
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, KeyAlgorithm
from certgen.store.scratch import Scratch
from certgen.tls.contexts import Credentials

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: Certificate
    key: CertificateIssuerPrivateKeyTypes


class Shadow:
    """The shadow of one bundle; its CAs are made when they are first needed.

    Args:
        bundle: what the spec describes.
        now: the time of the machine, by which ssl judges, aware, in UTC.
        files: where certificates and keys are put for ssl.
    """

    def __init__(self, bundle: Bundle, now: datetime, files: Scratch) -> None:
        self._bundle = bundle
        self._now = now.replace(microsecond=0)
        self._files = files
        self._authorities: dict[Address, _Authority] = {}

    def anchors(self, entries: Iterable[Entry]) -> bytes:
        """Give the shadows of the roots above entries, PEM."""
        roots = {self._bundle.issuers_above(entry.address)[-1].address: None for entry in entries}
        return encode_certificates(self._authority(root).certificate.der for root in roots)

    def credentials(
        self, entry: Entry, purposes: frozenset[ExtendedKeyUsage] | None = None, *, is_expired: bool = False
    ) -> Credentials:
        """Make the shadow of an end entity.

        Args:
            entry: the entry.
            purposes: the extended key usages in place of its own.
            is_expired: whether it ended an hour ago.
        """
        above = self._bundle.issuers_above(entry.address)
        issuer = self._authority(above[0].address)
        template = entry.template if purposes is None else replace(entry.template, extended_key_usage=purposes)
        begin, end = (self._now - 2 * HOUR, self._now - HOUR) if is_expired else (self._now - HOUR, self._now + DAY)
        key = generate_private_key(KeyAlgorithm.ECDSA_P256)
        der = self._sign(Issuance(template, begin, end), key, issuer)
        path = [der, *(self._authority(one.address).certificate.der for one in above[:-1])]
        return Credentials(self._files.put(encode_certificates(path)), self._files.put(encode_private_key(key)))

    def _authority(self, address: Address) -> _Authority:
        if address not in self._authorities:
            entry = self._bundle[address]
            issuer = self._authority(entry.issuer) if entry.issuer is not None else None
            key = generate_private_key(KeyAlgorithm.ECDSA_P256)
            # A CA that the user brings may bear a name that only its own certificate can spell.
            before = entry.supplied.path[0] if entry.supplied else None
            der = self._sign(Issuance(entry.template, self._now - DAY, self._now + 2 * DAY, before), key, issuer)
            self._authorities[address] = _Authority(parse_certificate(der), key)
        return self._authorities[address]

    def _sign(self, issuance: Issuance, key: CertificateIssuerPrivateKeyTypes, issuer: _Authority | None) -> bytes:
        public_key = public_key_der(key.public_key())
        above = issuer.certificate if issuer else None
        return issue(issuance, public_key, above, issuer.key if issuer else key, new_serial_number())
