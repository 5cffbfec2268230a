"""Private keys in this process's memory, and in that of the processes that it starts, from PEM files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm

from certgen.certificates import UnreadableError, parse_private_key
from certgen.diagnostics import CertgenError, error
from certgen.rfc5280.objects import generate_private_key
from certgen.signers.workers import Workers

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from certgen.rfc5280.vocabulary import KeyAlgorithm

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class MemoryKeyRing:
    """See `signers.port.KeyRing`.

    Args:
        jobs: how many processes may make keys and sign at once.
    """

    def __init__(self, jobs: int = 1) -> None:
        self._jobs = jobs
        self._workers: list[Workers[Any, Any]] = []

    def spread(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item], seconds: Sequence[float]
    ) -> Workers[_Item, _Result]:
        """See `signers.port.KeyRing.spread`."""
        workers = Workers(work, items, seconds, self._jobs)
        self._workers.append(workers)
        return workers

    def close(self) -> None:
        """Let go of the processes; what is not asked for any more is not done."""
        for workers in self._workers:
            workers.close()

    def generate(self, algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
        """See `signers.port.KeyRing.generate`."""
        try:
            return generate_private_key(algorithm)
        except UnsupportedAlgorithm as reason:
            help_ = "upgrade the Python package cryptography, or choose another `key`"
            message = f"this machine cannot make a key of {algorithm}: {reason}"
            raise CertgenError([error("unsupported-algorithm", message, help=help_)]) from None

    def load(self, content: bytes, where: str) -> CertificateIssuerPrivateKeyTypes:
        """See `signers.port.KeyRing.load`."""
        try:
            return parse_private_key(content)
        except UnreadableError as reason:
            raise CertgenError([error("key-unreadable", f"{where}: {reason}", where=where)]) from None
