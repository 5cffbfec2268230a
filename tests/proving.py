"""A spec with its tree, what `certgen prove` says of them, and hands that break the tree."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from foreign.hierarchy import Extension, write_pem

from certgen.cli.group import certgen
from certgen.cli.run import COMMANDS
from certgen.diagnostics import Diagnostic
from certgen.model import Bundle
from certgen.pipeline import apply_specs, load_spec
from certgen.prove.prove import prove
from certgen.prove.values import Judgement, Proof
from certgen.store.tree import Tree

NOW = datetime.now(UTC).replace(microsecond=0)
"""The time of this machine, since ssl knows no other."""
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

SHOP = """\
    version: 1
    cas:
      root: {common_name: Shop Root}
      issuing: {issuer: root, common_name: Shop Issuing}
      client-root: {common_name: Shop Client Root}
    servers:
      api: {issuer: issuing, sans: [api.shop.example, localhost, 127.0.0.1]}
      web: {issuer: issuing, sans: [shop.example, "*.shop.example"]}
    clients:
      checkout: {issuer: client-root, sans: "spiffe://shop.example/checkout"}
      reporting: {issuer: client-root}
"""
"""Servers below an intermediate, clients below a root of their own."""


@dataclass(frozen=True)
class Ran:
    """What a run of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def spec(self) -> dict[str, Any]:
        """What JSON tells of the one spec."""
        (spec,) = json.loads(self.out)["specs"]
        assert isinstance(spec, dict)
        return spec


@dataclass(frozen=True)
class Place:
    """A folder with `shop.yaml` and the tree `output/shop`."""

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "shop.yaml"

    @property
    def tree(self) -> Path:
        return self.folder / "output" / "shop"

    @property
    def bundle(self) -> Bundle:
        return load_spec(self.spec).bundle

    def copied(self, folder: Path) -> "Place":
        """Copy all of it, to be broken."""
        return Place(Path(shutil.copytree(self.folder, folder)))

    def apply(self, now: datetime = NOW) -> None:
        apply_specs([load_spec(self.spec)], self.folder / "output", now)

    def prove(self, at: datetime | None = None) -> Proof:
        return prove(self.bundle, Tree(self.tree), datetime.now(UTC), at, jobs=2)

    def run(self, *arguments: str) -> Ran:
        """Run `certgen prove` in this process; what it does not handle is raised."""
        assert COMMANDS, "what has added its commands to the group"
        options = ["prove", str(self.spec), "-o", str(self.folder / "output"), *arguments]
        result = CliRunner().invoke(certgen, options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def certificates(self, address: str) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((self.tree / address / "cert.pem").read_bytes())

    def key(self, address: str) -> CertificateIssuerPrivateKeyTypes:
        key = load_pem_private_key((self.tree / address / "key.pem").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def sign_again(self, address: str, other: "Other") -> None:
        """Sign an entry's certificate again by the key of a CA of the tree, differing only as told."""
        was, *above = self.certificates(address)
        put(self.tree / address / "cert.pem", _signed(self, was, other), *above)


@dataclass(frozen=True)
class Other:
    """How a certificate is to differ from the one that is there.

    issuer: the CA of the tree that signs.
    begin, end: its dates.
    public_key: its key.
    extensions: by kind, instead of the one that is there; None for none.
    """

    issuer: str = "cas/issuing"
    begin: datetime | None = None
    end: datetime | None = None
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None = None
    extensions: Mapping[type[x509.ExtensionType], Extension | None] = field(default_factory=dict)


def _signed(place: Place, was: x509.Certificate, other: Other) -> x509.Certificate:
    issuer = place.certificates(other.issuer)[0]
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    wanted: dict[type[x509.ExtensionType], Extension | None] = {
        type(item.value): Extension(item.value, critical=item.critical) for item in was.extensions
    }
    pointer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    wanted[x509.AuthorityKeyIdentifier] = Extension(pointer)
    wanted.update(other.extensions)
    builder = x509.CertificateBuilder(
        issuer_name=issuer.subject,
        subject_name=was.subject,
        public_key=other.public_key or was.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=other.begin or was.not_valid_before_utc,
        not_valid_after=other.end or was.not_valid_after_utc,
    )
    for extension in wanted.values():
        if extension is not None:
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(place.key(other.issuer), hashes.SHA256())


def put(path: Path, *certificates: x509.Certificate) -> None:
    """Write certificates to a file."""
    write_pem(path, *certificates)


def key_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """Write a private key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def swap(one: Path, other: Path) -> None:
    """Exchange the contents of two files."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def compiled(folder: Path, spec: str, files: Mapping[str, bytes] | None = None, now: datetime = NOW - HOUR) -> Place:
    """Compile a spec, as it was an hour ago.

    folder: for the spec, what is beside it, and the output.
    spec: its text.
    files: what is beside it, by name.
    now: the time at which the certificates begin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    (folder / "shop.yaml").write_text(dedent(spec), encoding="utf-8")
    place = Place(folder)
    place.apply(now)
    return place


def in_short(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Give each finding as its code and its place, sorted."""
    return sorted(f"{item.code} {item.where}" for item in diagnostics)


def getting_in(proof: Proof) -> set[tuple[str, str]]:
    """Give the pairs of server and client that talk, under every version and name that was tried.

    Demands of all others that they never do.
    """
    talking = set()
    for one in proof.encounters:
        accepted = {trial.refusal is None for trial in one.trials}
        assert len(accepted) == 1, one
        if accepted == {True}:
            talking.add((str(one.server), str(one.client)))
    return talking


def demand_proven(proof: Proof) -> None:
    """Demand that all is as expected, with the findings where it is not."""
    assert (in_short(proof.findings), in_short(proof.unknowns)) == ([], [])
    assert proof.judgement is Judgement.AS_EXPECTED


def pairs(servers: Sequence[str], clients: Sequence[str]) -> set[tuple[str, str]]:
    """Give every pair of a server and a client, each entry with itself aside."""
    return {(server, client) for server in servers for client in clients if server != client}
