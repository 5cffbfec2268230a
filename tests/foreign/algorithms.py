"""Which verifier knows which of certgen's key algorithms; test_foreign.py proves every cell by running it."""

from functools import cache

from .golang import go_version
from .questions import Verifier
from .verdicts import locate, run

ALGORITHMS = (
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "ed25519",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "ml-dsa-44",
    "ml-dsa-65",
    "ml-dsa-87",
)
_GO_WITH_ML_DSA = (1, 27)


@cache
def _openssl_algorithms() -> str:
    """List the public-key algorithms of this OpenSSL."""
    return run([locate("openssl", "openssl"), "list", "-public-key-algorithms"]).stdout


@cache
def _gnutls_algorithms() -> str:
    """List the algorithms of this GnuTLS."""
    return run([locate("gnutls-cli", "gnutls-bin"), "--list"]).stdout


def exclusion(verifier: Verifier, algorithm: str) -> str | None:
    """Say why a verifier refuses a key algorithm in every certificate, or None where it knows it.

    verifier: which one, in the version that is on this machine.
    algorithm: one of `ALGORITHMS`.
    """
    if algorithm not in ALGORITHMS:
        message = f"{algorithm} is not a key algorithm of certgen"
        raise ValueError(message)
    if verifier == "python_strict" and algorithm == "ed25519":
        return "cryptography allows the Web PKI's key algorithms (and ML-DSA), of which Ed25519 is none"
    if not algorithm.startswith("ml-dsa-"):
        return None
    if verifier == "openssl" and algorithm.upper() not in _openssl_algorithms():
        return "OpenSSL has ML-DSA from 3.5; before, it cannot decode the public key"
    if verifier == "gnutls" and algorithm.upper() not in _gnutls_algorithms():
        return "GnuTLS has ML-DSA from 3.8.9, where it is built with leancrypto"
    if verifier == "go":
        major, minor = go_version().removeprefix("go").split(".")[:2]
        if (int(major), int(minor)) < _GO_WITH_ML_DSA:
            return "crypto/x509 has ML-DSA from Go 1.27"
    return None


def supports(verifier: Verifier, algorithm: str) -> bool:
    """Tell whether a verifier knows a key algorithm; `exclusion` has the reason where it does not.

    verifier, algorithm: as for `exclusion`.
    """
    return exclusion(verifier, algorithm) is None
