"""Keys in memory: made here, made ahead by other processes, loaded."""

import os

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from certgen.diagnostics import CertgenError
from certgen.encoders.pem import encode_private_key
from certgen.rfc5280.objects import algorithm_of
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.signers import memory
from certgen.signers.memory import MemoryKeyRing
from certgen.signers.port import KeyRing


def code_of(caught: pytest.ExceptionInfo[CertgenError]) -> str:
    return caught.value.diagnostics[0].code


def test_it_is_a_key_ring() -> None:
    ring: KeyRing = MemoryKeyRing()
    assert algorithm_of(ring.generate(KeyAlgorithm.ECDSA_P384).public_key()) == KeyAlgorithm.ECDSA_P384


def test_an_algorithm_that_this_machine_cannot_make_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(algorithm: KeyAlgorithm) -> None:
        raise UnsupportedAlgorithm(f"{algorithm} needs cryptography 49 or later")

    monkeypatch.setattr(memory, "generate_private_key", refuse)
    with pytest.raises(CertgenError) as caught:
        MemoryKeyRing().generate(KeyAlgorithm.ML_DSA_65)
    assert code_of(caught) == "unsupported-algorithm"
    assert "needs cryptography 49" in str(caught.value)


def test_a_key_is_loaded_and_one_that_is_not_is_told_without_its_content() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    content = encode_private_key(key)
    assert encode_private_key(MemoryKeyRing().load(content, "cas/ca/key.pem")) == content
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for damaged in (content[:90], secret, b"hunter2"):
        with pytest.raises(CertgenError) as caught:
            MemoryKeyRing().load(damaged, "cas/ca/key.pem")
        assert code_of(caught) == "key-unreadable"
        assert damaged[30:50].decode() not in str(caught.value) or len(damaged) < 50
        assert "hunter2" not in str(caught.value)


def test_work_is_spread_over_as_many_processes_as_the_ring_has() -> None:
    """One does it itself; two have others do it, and nobody is left when they are let go."""
    for jobs in (1, 2):
        ring = MemoryKeyRing(jobs)
        spread = ring.spread(process_of, range(40), [0.1] * 40)
        own = {spread.take(number) == os.getpid() for number in range(40)}
        assert own == {jobs == 1}
        ring.close()


def process_of(_: int) -> int:
    return os.getpid()


def test_a_ring_that_started_nothing_closes() -> None:
    ring = MemoryKeyRing()
    ring.close()
    assert algorithm_of(ring.generate(KeyAlgorithm.ED25519).public_key()) == KeyAlgorithm.ED25519
