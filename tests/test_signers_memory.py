"""Keys in memory: made here, made ahead by other processes, loaded."""

import signal
import time

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


def test_slow_keys_are_made_ahead_and_each_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [KeyAlgorithm.RSA_2048] * 3
    monkeypatch.setattr(memory, "POOL_SECONDS", 0.01)
    ring = MemoryKeyRing(jobs=2)
    ring.prepare([*wanted, KeyAlgorithm.ECDSA_P256])
    made_here: list[KeyAlgorithm] = []
    with monkeypatch.context() as patch:
        patch.setattr(memory, "generate_private_key", made_here.append)
        keys = [ring.generate(name) for name in wanted]
    assert made_here == []
    assert {algorithm_of(key.public_key()) for key in keys} == {KeyAlgorithm.RSA_2048}
    assert len({encode_private_key(key) for key in keys}) == 3


@pytest.mark.parametrize(
    ("jobs", "algorithms"),
    [(1, [KeyAlgorithm.RSA_4096] * 9), (2, [KeyAlgorithm.RSA_4096]), (2, [KeyAlgorithm.ECDSA_P256] * 999)],
    ids=["one process", "one key", "quick keys"],
)
def test_no_pool_is_started_where_it_does_not_pay(jobs: int, algorithms: list[KeyAlgorithm]) -> None:
    ring = MemoryKeyRing(jobs)
    ring.prepare(algorithms)
    assert not any(ring._ahead.values())


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


def test_what_nobody_asks_for_any_more_is_not_made() -> None:
    ring = MemoryKeyRing(jobs=2)
    ring.prepare([KeyAlgorithm.RSA_4096] * 60)
    ring.close()
    owed = ring._ahead[KeyAlgorithm.RSA_4096]
    deadline = time.monotonic() + 20
    while not all(future.done() for future in owed) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sum(future.cancelled() for future in owed) > 40


def test_a_process_that_makes_keys_leaves_the_interrupt_to_its_parent() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        memory._begin_worker()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_ring_that_started_nothing_closes() -> None:
    ring = MemoryKeyRing()
    ring.close()
    assert algorithm_of(ring.generate(KeyAlgorithm.ED25519).public_key()) == KeyAlgorithm.ED25519
