"""What each verifier can be asked."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import Literal

from .verdicts import CannotJudgeError, locate, run

Purpose = Literal["server", "client"]
Verifier = Literal["openssl", "gnutls", "go", "python_strict", "pkilint"]
NameKind = Literal["none", "dns", "ip", "email", "uri", "wildcard"]

_ASKABLE: Mapping[tuple[Verifier, Purpose], frozenset[NameKind]] = MappingProxyType(
    {
        ("openssl", "server"): frozenset({"none", "dns", "ip", "email"}),
        ("openssl", "client"): frozenset({"none", "dns", "ip", "email"}),
        ("gnutls", "server"): frozenset({"none", "dns", "ip", "email"}),
        ("gnutls", "client"): frozenset({"none", "dns", "ip", "email"}),
        ("go", "server"): frozenset({"none", "dns", "ip"}),
        ("go", "client"): frozenset({"none", "dns", "ip"}),
        ("python_strict", "server"): frozenset({"dns", "ip"}),
        ("python_strict", "client"): frozenset({"none"}),
    }
)


def name_kind(name: str | None) -> NameKind:
    """Tell which kind of name a peer would be known by.

    name: the name, or None where nobody asks for one.
    """
    if name is None:
        return "none"
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        return "ip"
    if "://" in name or name.startswith("urn:"):
        return "uri"
    if "@" in name:
        return "email"
    return "wildcard" if "*" in name else "dns"


@cache
def certtool_takes_a_time() -> bool:
    """Tell whether certtool has `--attime`, which came with GnuTLS 3.8.1."""
    return "--attime" in run([locate("certtool", "gnutls-bin"), "--help"]).stdout


def can_judge(verifier: Verifier, purpose: Purpose, name: str | None = None, at: datetime | None = None) -> bool:
    """Tell whether a verifier has a way to ask a question; asking the others raises `CannotJudgeError`.

    verifier: which one.
    purpose: what the end entity is to be good for.
    name: the name that the peer expects.
    at: the time to judge at.
    """
    if name_kind(name) not in _ASKABLE.get((verifier, purpose), frozenset()):
        return False
    return at is None or verifier != "gnutls" or certtool_takes_a_time()


def demand_askable(verifier: Verifier, purpose: Purpose, name: str | None, at: datetime | None) -> None:
    """Raise `CannotJudgeError` for a question that a verifier cannot ask.

    verifier, purpose, name, at: as for `can_judge`.
    """
    if at is not None and at.tzinfo is None:
        message = f"{at} has no time zone"
        raise ValueError(message)
    if not can_judge(verifier, purpose, name, at):
        message = f"{verifier} has no way to judge a {purpose} by the name {name!r} at {at or 'this moment'}"
        raise CannotJudgeError(message)
