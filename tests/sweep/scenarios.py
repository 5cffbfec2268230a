"""The runs that are cut short: what is on the disk before each, and what is typed."""

from dataclasses import dataclass
from typing import Final

from .sealed import OTHER_RECIPIENT, RECIPIENT

_HEAD: Final = """\
version: 1
name: shop
defaults: {subject: {organization: Shop BV, country: NL}, key: ecdsa-p256}
cas:
  root: {common_name: Shop Root CA}
  issuing: {issuer: root, common_name: Shop Issuing CA}
servers:
  api: {issuer: issuing, sans: [api.shop.example], snippets: [nginx, go]}
"""
_WEB: Final = "  web: {issuer: issuing, sans: [web.shop.example, shop.example], snippets: [nginx, go]}\n"
_TAIL: Final = """\
clients:
  checkout: {issuer: issuing, sans: ["spiffe://shop.example/checkout"], snippets: [go]}
"""

WHOLE: Final = _HEAD + _WEB + _TAIL
SMALLER: Final = _HEAD + _TAIL

SEALED: Final = f"{SMALLER}keys: {{protection: age, recipients: [{RECIPIENT}]}}\n"
SEALED_FOR_TWO: Final = SEALED.replace(RECIPIENT, f"{RECIPIENT}, {OTHER_RECIPIENT}")

PUBLISHED: Final = SMALLER.replace("snippets: [nginx, go]", "snippets: [nginx, haproxy], publish: symlink", 1)
PLAIN: Final = PUBLISHED.replace(", publish: symlink", "")

CUT: Final = "servers/api"

_SMALLER_ADDRESSES: Final = frozenset({"cas/root", "cas/issuing", "servers/api", "clients/checkout"})


@dataclass(frozen=True)
class Scenario:
    """One run on a tree that stands, or on none.

    name: of the scenario.
    before: the spec that the tree was made from; empty for no tree.
    spec: which the run is about.
    options: of `certgen apply`, beside those that every run has.
    changed: addresses of the entries whose files the run may write; all, where nothing is said.
    rekeyed: the address that gets a new key.
    killed: options of a run that was killed beforehand, halfway through a re-key of `CUT`.
    """

    name: str
    before: str
    spec: str = WHOLE
    options: tuple[str, ...] = ()
    changed: frozenset[str] | None = None
    rekeyed: str = ""
    killed: tuple[str, ...] = ()

    @property
    def addresses(self) -> frozenset[str]:
        """The entries of the finished tree."""
        return _SMALLER_ADDRESSES | {"servers/web"} if self.spec == WHOLE else _SMALLER_ADDRESSES

    @property
    def at_work(self) -> frozenset[str]:
        """The entries whose files the run may write."""
        return self.addresses if self.changed is None else self.changed

    @property
    def apart(self) -> str:
        """The address of which key and certificate may be apart; of all others they never are."""
        if self.spec == PUBLISHED:
            return ""
        return CUT if self.killed else self.rekeyed

    @property
    def standing(self) -> tuple[str, ...]:
        """The options that ask for a state of the tree; the others ask for an act, which a second run would repeat."""
        return tuple(option for option in self.options if option == "--prune")


SCENARIOS: Final = (
    Scenario("first", ""),
    Scenario("noop", WHOLE, changed=frozenset()),
    Scenario("renewal", WHOLE, options=("--renew", "servers/api"), changed=frozenset({"servers/api"})),
    Scenario("added", SMALLER, changed=frozenset({"servers/web"})),
    Scenario("removed", WHOLE, SMALLER, ("--prune",), frozenset({"servers/web"})),
    Scenario(
        "rekey-entity",
        WHOLE,
        options=("--rekey", "servers/api"),
        changed=frozenset({"servers/api"}),
        rekeyed="servers/api",
    ),
    Scenario("rekey-root", WHOLE, options=("--rekey", "cas/root"), rekeyed="cas/root"),
    Scenario(
        "recovery",
        WHOLE,
        SMALLER,
        ("--prune",),
        frozenset({"servers/api", "servers/web"}),
        killed=("--prune", "--rekey", "servers/api"),
    ),
    Scenario("sealed", "", SEALED),
    Scenario("sealing", SMALLER, SEALED),
    Scenario("rewrap", SEALED, SEALED_FOR_TWO),
    Scenario("unsealing", SEALED, SMALLER),
    Scenario(
        "published",
        PUBLISHED,
        PUBLISHED,
        options=("--rekey", "servers/api"),
        changed=frozenset({"servers/api"}),
        rekeyed="servers/api",
    ),
    Scenario("publishing", PLAIN, PUBLISHED, changed=frozenset({"servers/api"})),
    Scenario("unpublishing", PUBLISHED, PLAIN, changed=frozenset({"servers/api"})),
)
