"""Floor 10: the one room that signs: keys made, certificates signed, read back, and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm

from certgen.certificates import is_signed_by, parse_certificate
from certgen.diagnostics import CertgenError, error
from certgen.encoders.pem import encode_private_key
from certgen.issue import issue, new_serial_number
from certgen.model import LONGEST_CERTIFICATE, Address, Bundle, Certificate, Entry
from certgen.plan.compare import compare_contents
from certgen.plan.values import KeySource, Plan, Signing
from certgen.rfc5280.objects import key_id, public_key_der, quiet
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.sealing.port import PrivateKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from certgen.signers.port import KeyRing

_SECONDS: Final = {KeyAlgorithm.RSA_2048: 0.05, KeyAlgorithm.RSA_3072: 0.15, KeyAlgorithm.RSA_4096: 0.5}
SECONDS_OF_A_SIGNATURE: Final = 0.0003
"""What all the rest costs: the signature, reading it back, the check."""
SECONDS_OF_A_LOT: Final = 0.015
"""Work that is done together, in one process."""


def seconds_of(algorithm: KeyAlgorithm) -> float:
    """Give what a key costs on average, measured on one core."""
    return _SECONDS.get(algorithm, 0.0)


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that is to be signed."""

    entry: Entry
    signing: Signing
    public_key: bytes | None = field(default=None, repr=False)
    """SubjectPublicKeyInfo in DER; None where a key is made for it."""

    @property
    def seconds(self) -> float:
        """What it costs on one core."""
        order = self.signing.key
        is_new = order.source is KeySource.GENERATE
        return SECONDS_OF_A_SIGNATURE + (seconds_of(order.algorithm) if order.algorithm and is_new else 0.0)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate that was signed, read back and found as ordered."""

    der: bytes = field(repr=False)
    key_id: str
    private_key: bytes | None = field(repr=False)
    """The new key as it is written; None where none was made."""


@dataclass(frozen=True, slots=True)
class _Commission:
    """An order with all that it takes to carry it out."""

    order: Order
    issuer: Certificate | None
    signing_key: CertificateIssuerPrivateKeyTypes = field(repr=False)
    public_key: bytes = field(repr=False)
    private_key: PrivateKey | None

    def sign(self) -> bytes:
        """Sign the certificate, and give it in DER."""
        issuance, where = self.order.signing.issuance, str(self.order.entry.address)
        try:
            return issue(issuance, self.public_key, self.issuer, self.signing_key, new_serial_number())
        except (ValueError, TypeError, UnsupportedAlgorithm) as reason:
            message = f"the certificate of {where} cannot be signed: {reason}"
            raise CertgenError([error("cannot-sign", message, where=where)]) from None


class Signatures:
    """The certificates that a plan has signed: CAs one after the other, end entities all at once when those are.

    Args:
        plan: what is signed.
        bundle: what the plan was made for.
        certificates: of the CAs that stay; it takes those that are signed.
        keys: makes and loads private keys.
        read_key: gives an entry's private key in clear, and the name of its file.
        seal: closes a private key as the spec asks; what leaves this process, or another that signs, is closed.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what is signed, and the doors to private keys
        self,
        plan: Plan,
        bundle: Bundle,
        certificates: dict[Address, Certificate],
        keys: KeyRing,
        read_key: Callable[[Address], tuple[bytes, str]],
        seal: Callable[[PrivateKey], bytes],
    ) -> None:
        self._signings = {
            change.address: change.signing
            for change in plan.changes
            if isinstance(change.address, Address) and change.signing is not None
        }
        self._bundle = bundle
        self._certificates = certificates
        self._keys = keys
        self._read_key = read_key
        self._seal = seal
        self._signing_keys: dict[Address, CertificateIssuerPrivateKeyTypes] = {}
        self._authority_keys: dict[Address, Callable[[], bytes]] | None = None
        self._end_entities: dict[Address, tuple[Callable[[], list[Signed]], Sequence[Order]]] | None = None
        self._signed: dict[Address, Signed] = {}
        """Of the lots that were taken, what nobody has taken yet."""

    def take(self, entry: Entry) -> Signed:
        """Give the certificate that the plan has an entry get; once.

        Raises:
            CertgenError: it cannot be signed, or a key cannot be used.
        """
        return self._sign_authority(entry) if entry.is_ca else self._take_end_entity(entry.address)

    def _sign_authority(self, entry: Entry) -> Signed:
        """Sign a CA's certificate, here: those below it wait for it."""
        address = entry.address
        if self._authority_keys is None:
            self._authority_keys = self._make_authority_keys()
        (signed,), (commission,) = self._carry_out([self._order(entry)])
        self._certificates[address] = parse_certificate(signed.der)
        if commission.private_key is not None:
            self._signing_keys[address] = self._keys.load(commission.private_key.pem, str(address))
        return signed

    def _make_authority_keys(self) -> dict[Address, Callable[[], bytes]]:
        """Have the slow ones among the keys of CAs made at once, though their certificates wait for one another."""
        asked = {address: signing.key.algorithm for address, signing in self._signings.items()}
        slow = {
            address: algorithm
            for address, algorithm in asked.items()
            if algorithm is not None and seconds_of(algorithm) and self._bundle[address].is_ca
        }
        spread = self._keys.spread(self._make_key, list(slow.values()), list(map(seconds_of, slow.values())))
        return {address: partial(spread.take, number) for number, address in enumerate(slow)}

    def _make_key(self, algorithm: KeyAlgorithm) -> bytes:
        return encode_private_key(self._keys.generate(algorithm))

    def _take_end_entity(self, address: Address) -> Signed:
        """Take an end entity's certificate; with the first all are begun, since by now every CA has its own."""
        if self._end_entities is None:
            entries = [entry for entry in map(self._bundle.__getitem__, self._signings) if not entry.is_ca]
            lots = _lots([self._order(entry) for entry in entries])
            spread = self._keys.spread(self._sign, lots, [sum(order.seconds for order in lot) for lot in lots])
            self._end_entities = {
                order.entry.address: (partial(spread.take, number), lot)
                for number, lot in enumerate(lots)
                for order in lot
            }
        if address not in self._signed:
            take, lot = self._end_entities[address]
            self._signed |= {order.entry.address: signed for order, signed in zip(lot, take(), strict=True)}
        return self._signed.pop(address)

    def _order(self, entry: Entry) -> Order:
        """Say for which key a certificate is; one that is here is looked at."""
        signing = self._signings[entry.address]
        match signing.key.source:
            case KeySource.GENERATE:
                return Order(entry, signing)
            case KeySource.PUBLIC_KEY:
                return Order(entry, signing, signing.key.public_key)
            case KeySource.FILE:
                key = self._signing_key(entry.address) if entry.is_ca else self._load(entry.address)
                return Order(entry, signing, public_key_der(key.public_key()))

    def _sign(self, lot: Sequence[Order]) -> list[Signed]:
        return self._carry_out(lot)[0]

    def _carry_out(self, lot: Sequence[Order]) -> tuple[list[Signed], list[_Commission]]:
        """Carry out orders, here or in another process; give the commissions too, with the new private keys.

        Each step is done for all before the next begins: what a step needs of the processor's memory stays in it.
        """
        with quiet():
            commissions = [self._commission(order) for order in lot]
            signed = [commission.sign() for commission in commissions]
            certificates = [parse_certificate(der) for der in signed]
            for commission, certificate in zip(commissions, certificates, strict=True):
                _refuse_wrong_contents(commission, certificate)
            for commission, certificate in zip(commissions, certificates, strict=True):
                _refuse_wrong_signature(commission, certificate)
        done = [
            Signed(der, certificate.key_id, self._seal(commission.private_key) if commission.private_key else None)
            for der, certificate, commission in zip(signed, certificates, commissions, strict=True)
        ]
        return done, commissions

    def _commission(self, order: Order) -> _Commission:
        """Find the keys for an order; one that is asked for is made."""
        address, issuer = order.entry.address, order.signing.issuer
        public_key, private_key, own_key = order.public_key, None, None
        if public_key is None:
            own_key = self._generate(address, order.signing.key.algorithm or order.entry.key.algorithm)
            private_key = PrivateKey(encode_private_key(own_key))
            public_key = public_key_der(own_key.public_key())
        if issuer is None:
            return _Commission(order, None, own_key or self._signing_key(address), public_key, private_key)
        return _Commission(order, self._certificates[issuer], self._signing_key(issuer), public_key, private_key)

    def _generate(self, address: Address, algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
        ahead = (self._authority_keys or {}).get(address)
        return self._keys.generate(algorithm) if ahead is None else self._keys.load(ahead(), str(address))

    def _signing_key(self, address: Address) -> CertificateIssuerPrivateKeyTypes:
        if address not in self._signing_keys:
            self._signing_keys[address] = self._load(address)
        return self._signing_keys[address]

    def _load(self, address: Address) -> CertificateIssuerPrivateKeyTypes:
        return self._keys.load(*self._read_key(address))


def _lots(orders: Sequence[Order]) -> list[list[Order]]:
    """Give orders in lots that are carried out together; what takes long is one by itself."""
    lots: list[list[Order]] = []
    filled = SECONDS_OF_A_LOT
    for order in orders:
        if filled >= SECONDS_OF_A_LOT or order.seconds >= SECONDS_OF_A_LOT:
            lots.append([])
            filled = 0.0
        lots[-1].append(order)
        filled += order.seconds
    return lots


def _refuse_wrong_contents(commission: _Commission, certificate: Certificate) -> None:
    """Check what was signed, by the rules of the decision, before it gets a name on the disk."""
    order = commission.order
    issuance = order.signing.issuance
    wrong = [str(reason.code) for reason in compare_contents(certificate, order.entry.template)]
    wrong += [] if certificate.key_id == key_id(commission.public_key) else ["key_mismatch"]
    term = (certificate.not_before, certificate.not_after)
    wrong += [] if term == (issuance.not_before, issuance.not_after) else ["validity_changed"]
    wrong += [] if len(certificate.der) <= LONGEST_CERTIFICATE else [f"more than {LONGEST_CERTIFICATE} bytes"]
    _refuse(order, wrong)


def _refuse_wrong_signature(commission: _Commission, certificate: Certificate) -> None:
    is_sound = is_signed_by(certificate, commission.issuer or certificate)
    _refuse(commission.order, [] if is_sound else ["signature_invalid"])


def _refuse(order: Order, wrong: Sequence[str]) -> None:
    if wrong:
        where = str(order.entry.address)
        message = f"the certificate made for {where} is not as asked: {', '.join(wrong)}"
        raise CertgenError([error("wrong-certificate", message, help="please report this", where=where)])
