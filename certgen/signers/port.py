"""What a place of private keys must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from certgen.rfc5280.vocabulary import KeyAlgorithm

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Given_co = TypeVar("_Given_co", covariant=True)


class Spread(Protocol[_Given_co]):
    """Work for many items that is under way, here or elsewhere."""

    def take(self, index: int) -> _Given_co:
        """Give what the work gave for an item; once.

        Raises:
            CertgenError: the work says no.
        """


class KeyRing(Protocol):
    """Makes private keys and loads them; what it gives can sign, and need not be bytes in this process."""

    def generate(self, algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
        """Make a new key.

        Raises:
            CertgenError: this machine cannot make one of this algorithm.
        """

    def load(self, content: bytes, where: str) -> CertificateIssuerPrivateKeyTypes:
        """Load a key from what stands in its file.

        Args:
            content: the file's content, which goes into no message.
            where: the file's path, for messages.

        Raises:
            CertgenError: it cannot be loaded.
        """

    def spread(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item], seconds: Sequence[float]
    ) -> Spread[_Result]:
        """Do something that makes and uses keys for many items, in several processes where the keys may go there.

        Args:
            work: what is done; it gives no None, and may be called here or in another process.
            items: for what.
            seconds: what each costs on one core.
        """
