"""The controls: questions whose right answer is known, and the certification paths that they are about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509

from . import PATH_VERIFIERS, Purpose, Verdict, Verifier, can_judge
from .hierarchy import (
    CLIENT,
    NOW,
    SERVER,
    Authority,
    Wish,
    certify,
    end_entity_extensions,
    make_ca,
    new_key,
    write_pem,
)


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(name)


def ip(address: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(address))


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def email(address: str) -> x509.GeneralName:
    return x509.RFC822Name(address)


PERMITTED = (
    dns("shop.example"),
    dns("localhost"),
    x509.IPAddress(ip_network("127.0.0.0/8")),
    email("shop.example"),
)
SPIFFE_ID = uri("spiffe://shop.example/checkout")


@dataclass(frozen=True)
class Question:
    """What a verifier is asked: the files are named without their folder and `.pem`."""

    file: str
    purpose: Purpose
    name: str | None = None
    anchors: str = "root"
    at: datetime | None = None

    def ask(self, verifier: Verifier, folder: Path) -> Verdict:
        """Ask by the name, or without it where the verifier has no way to ask by such a name."""
        name = self.name if can_judge(verifier, self.purpose, self.name) else None
        judge = PATH_VERIFIERS[verifier]
        return judge(folder / f"{self.file}.pem", folder / f"{self.anchors}.pem", self.purpose, name, self.at)

    def __str__(self) -> str:
        """Name the test."""
        when = f"{(self.at - NOW).days:+}d" if self.at else None
        return "-".join(filter(None, [self.file, "as", self.purpose, self.name, self.anchors, when]))


GOOD = (
    Question("server", "server", "api.shop.example"),
    Question("server", "server", "localhost"),
    Question("server", "server", "127.0.0.1"),
    Question("wildcard", "server", "any.shop.example"),
    Question("address", "server", "127.0.0.1"),
    Question("peer", "server", "etcd-0.shop.example"),
    Question("peer", "client"),
    Question("dns-client", "client", "checkout.shop.example"),
    Question("spiffe-client", "client"),
    Question("email-client", "client", "checkout@shop.example"),
    Question("nameless-client", "client"),
)

BAD = (
    ("purpose", Question("server", "client")),
    ("purpose", Question("dns-client", "server", "checkout.shop.example")),
    ("name", Question("server", "server", "web.shop.example")),
    ("name", Question("server", "server", "127.0.0.2")),
    ("name", Question("wildcard", "server", "one.two.shop.example")),
    ("name", Question("dns-client", "client", "somebody.shop.example")),
    ("name", Question("email-client", "client", "somebody@shop.example")),
    ("constraint", Question("outside-dns", "server", "api.evil.example")),
    ("constraint", Question("outside-ip", "server", "10.0.0.1")),
    ("constraint", Question("outside-email", "client")),
    ("expired", Question("expired", "server", "api.shop.example")),
    ("expired", Question("server", "server", "api.shop.example", at=NOW + timedelta(days=400))),
    ("early", Question("early", "server", "api.shop.example")),
    ("early", Question("server", "server", "api.shop.example", at=NOW - timedelta(days=1))),
    ("issuer", Question("server", "server", "api.shop.example", anchors="other-root")),
    ("issuer", Question("no-intermediate", "server", "api.shop.example")),
    ("signature", Question("forged", "server", "api.shop.example")),
    ("path length", Question("deep", "server", "api.shop.example")),
)

# How each says why it refused.
WORDS: dict[Verifier, dict[str, str]] = {
    "openssl": {
        "purpose": "unsuitable certificate purpose",
        "name": "(hostname|IP address|email address) mismatch",
        "constraint": "permitted subtree violation",
        "expired": "certificate has expired",
        "early": "certificate is not yet valid",
        "issuer": "unable to get local issuer certificate",
        "signature": "certificate signature failure",
        "path length": "path length constraint exceeded",
    },
    "gnutls": {
        "purpose": "does not match the intended purpose",
        "name": "name in the certificate does not match the expected",
        "constraint": "violates the signer's constraints",
        "expired": "expired certificate",
        "early": "not yet valid",
        "issuer": "issuer is unknown",
        "signature": "signature in the certificate is invalid",
        "path length": "violates the signer's constraints",
    },
    "go": {
        "purpose": "incompatible key usage",
        "name": "certificate is valid for",
        "constraint": "is not permitted by any constraint",
        "expired": "expired or is not yet valid: .* is after",
        "early": "expired or is not yet valid: .* is before",
        "issuer": "signed by unknown authority",
        "signature": "signed by unknown authority",
        "path length": "too many intermediates",
    },
    "python_strict": {
        "purpose": "required EKU not found",
        "name": "no matching subjectAltName",
        "constraint": "no permitted name constraints matched SAN",
        "expired": "not valid at validation time",
        "early": "not valid at validation time",
        "issuer": "candidates exhausted",
        "signature": "signature does not match",
        "path length": "path length constraint violated",
    },
}


def issue(folder: Path, file: str, issuer: Authority, wish: Wish, **forgery: Authority) -> Path:
    key = new_key("ecdsa-p256")
    forger = forgery["forger"].key if forgery else None
    return write_pem(folder / f"{file}.pem", certify(wish, key, issuer, forger), *issuer.path)


def serving(*names: x509.GeneralName, start: datetime = NOW - timedelta(minutes=5), days: int = 365) -> Wish:
    return Wish("api", end_entity_extensions([SERVER], names), start, days)


def calling(*names: x509.GeneralName) -> Wish:
    return Wish("checkout", end_entity_extensions([CLIENT], names))


def write_controls(folder: Path) -> None:
    """Write the certification paths of GOOD and BAD, and their trust anchors.

    folder: where to.
    """
    root = make_ca("Shop Root CA", "ecdsa-p256", permitted=PERMITTED)
    issuing = make_ca("Shop Issuing CA", "ecdsa-p256", root)
    below = make_ca("Shop CA below path length 0", "ecdsa-p256", issuing)
    other_root = make_ca("Shop Root CA", "ecdsa-p256", permitted=PERMITTED)
    write_pem(folder / "root.pem", root.certificate)
    write_pem(folder / "other-root.pem", other_root.certificate)
    api = dns("api.shop.example")
    wishes = {
        "server": serving(api, dns("localhost"), ip("127.0.0.1")),
        "wildcard": serving(dns("*.shop.example")),
        "address": Wish("ip.shop.example", end_entity_extensions([SERVER], [ip("127.0.0.1")])),
        "peer": Wish("etcd-0", end_entity_extensions([SERVER, CLIENT], [dns("etcd-0.shop.example")])),
        "dns-client": calling(dns("checkout.shop.example")),
        "spiffe-client": calling(SPIFFE_ID),
        "email-client": calling(email("checkout@shop.example")),
        "nameless-client": calling(),
        "outside-dns": serving(dns("api.evil.example")),
        "outside-ip": serving(dns("localhost"), ip("10.0.0.1")),
        "outside-email": calling(email("checkout@evil.example")),
        "expired": serving(api, start=NOW - timedelta(days=30), days=29),
        "early": serving(api, start=NOW + timedelta(days=1)),
    }
    for file, wish in wishes.items():
        issue(folder, file, issuing, wish)
    issue(folder, "deep", below, serving(api))
    issue(folder, "forged", issuing, serving(api), forger=other_root)
    issue(folder, "no-intermediate", Authority(issuing.certificate, issuing.key), serving(api))


def askable(verifier: Verifier, why: str, question: Question) -> bool:
    """Tell whether a verifier can be asked for what is wrong: not each takes a time, or every kind of name.

    verifier: which one.
    why, question: an item of BAD.
    """
    if why == "name":
        return can_judge(verifier, question.purpose, question.name)
    return question.at is None or can_judge(verifier, question.purpose, question.name, question.at)
