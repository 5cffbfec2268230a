"""Private keys in this process's memory, from PEM files; slow ones are made by other processes ahead of time."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm

from certgen.certificates import UnreadableError, parse_private_key
from certgen.diagnostics import CertgenError, error
from certgen.encoders.pem import encode_private_key
from certgen.rfc5280.objects import generate_private_key
from certgen.rfc5280.vocabulary import KeyAlgorithm

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

SECONDS: Final = {KeyAlgorithm.RSA_2048: 0.05, KeyAlgorithm.RSA_3072: 0.15, KeyAlgorithm.RSA_4096: 0.5}
"""What a key costs on average, measured on one core; the others cost less than a millisecond."""

_ENDS: Final = frozenset({signal.SIGINT, signal.SIGTERM})

POOL_SECONDS: Final = 0.5
"""What starting a pool costs: below this much work it does not pay."""


class MemoryKeyRing:
    """See `signers.port.KeyRing`.

    Args:
        jobs: how many processes may make RSA keys at once. Threads do not help: the library holds the interpreter.
    """

    def __init__(self, jobs: int = 1) -> None:
        self._jobs = jobs
        self._ahead: dict[KeyAlgorithm, list[Future[bytes]]] = defaultdict(list)
        self._pool: ProcessPoolExecutor | None = None

    def prepare(self, algorithms: Iterable[KeyAlgorithm]) -> None:
        """See `signers.port.KeyRing.prepare`."""
        slow = {name: count for name, count in Counter(algorithms).items() if name in SECONDS}
        work = sum(SECONDS[name] * count for name, count in slow.items())
        if self._jobs < 2 or sum(slow.values()) < 2 or work < POOL_SECONDS:
            return
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import resource_tracker

        context = multiprocessing.get_context("spawn")
        # Its start unblocks what is blocked below.
        resource_tracker.ensure_running()
        # The processes inherit the mask: what a terminal sends to all of a run would find them half begun.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            self._pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_begin_worker)
            for name in sorted(slow, key=lambda name: -SECONDS[name]):
                self._ahead[name] = [self._pool.submit(_generate_encoded, name) for _ in range(slow[name])]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Let go of the processes; what is not asked for any more is not made."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def generate(self, algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
        """See `signers.port.KeyRing.generate`."""
        if self._ahead[algorithm]:
            try:
                return parse_private_key(self._ahead[algorithm].pop().result())
            except BrokenExecutor:
                # A process that makes keys was killed; what it owed is made here.
                self._ahead.clear()
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


def _generate_encoded(algorithm: KeyAlgorithm) -> bytes:
    """Make a key in a process of its own and hand it over as it will be written."""
    return encode_private_key(generate_private_key(algorithm))


def _begin_worker() -> None:
    """Ignore the interrupt that a terminal sends to all of a run, and end with the parent, however it ends."""
    from multiprocessing import connection, parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    parent = parent_process()
    if parent is None:
        return

    def end() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
