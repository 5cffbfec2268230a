"""Floor 14: a bundle compiled for a test suite: its files, contexts that are ready to use, and strangers to refuse.

`compile_spec(spec, folder, now).servers["api"].ssl_context()`; the plugin for pytest gives the bundle in a fixture.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import yaml

from certgen.diagnostics import CertgenError, error
from certgen.model import Address, Section
from certgen.pipeline import LoadedSpec, apply_specs, find_specs, load_spec
from certgen.store.files import is_there
from certgen.store.private import create_private, read_secret
from certgen.testing.strangers import Strangers
from certgen.tls.contexts import Credentials, UnusableCredentialsError, client_context, server_context
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE

__all__ = ["Authority", "CompiledBundle", "EndEntity", "compile_spec", "find_spec"]

SPEC_FILE: Final = "certgen.yaml"
"""The spec of a test suite, beside its configuration."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA."""

    address: Address
    certificate_file: Path


@dataclass(frozen=True, slots=True)
class EndEntity:
    """A server, a client or a peer with its files; or a stranger who passes for one."""

    address: Address
    folder: Path
    """Where its files are, with those of its snippets."""
    _strangers: Strangers = field(repr=False, compare=False)

    @property
    def certificate_file(self) -> Path:
        """The certification path, PEM."""
        return self.folder / CERTIFICATE_FILE

    @property
    def private_key_file(self) -> Path:
        """The private key, PEM; not there where the spec gives the `public_key` alone."""
        return self.folder / KEY_FILE

    @property
    def trust_file(self) -> Path:
        """The trust anchors for verifying its peers, PEM."""
        return self.folder / TRUST_FILE

    def ssl_context(self) -> ssl.SSLContext:
        """Make the context of a server, or of a client.

        Raises:
            TypeError: it is a peer, which is both.
            CertgenError: its private key is not here, or ssl cannot use it.
        """
        if self.address.section is Section.PEERS:
            raise TypeError(f"{self.address} is server and client: call server_context() or client_context()")
        return self.server_context() if self.address.section is Section.SERVERS else self.client_context()

    def server_context(self) -> ssl.SSLContext:
        """Make the context of a server: it demands a certificate, and trusts what the spec says and nothing else.

        Raises:
            TypeError: it is a client.
            CertgenError: as for `ssl_context`.
        """
        if self.address.section is Section.CLIENTS:
            raise TypeError(f"{self.address} is a client: it has no server_context()")
        try:
            return server_context(self._credentials(), read_secret(self.trust_file))
        except UnusableCredentialsError as reason:
            raise self._unusable(reason) from None

    def client_context(self) -> ssl.SSLContext:
        """Make the context of a client: it checks names, and trusts what the spec says and nothing else.

        Raises:
            TypeError: it is a server.
            CertgenError: as for `ssl_context`.
        """
        return self._as_client(is_anonymous=False)

    def context_without_certificate(self) -> ssl.SSLContext:
        """Make the context of a client that checks what `client_context` checks, and shows no certificate.

        Raises:
            TypeError: it is a server.
        """
        return self._as_client(is_anonymous=True)

    def expired(self) -> EndEntity:
        """Give it with a certificate of the same CA that ended an hour ago."""
        return replace(self, folder=self._strangers.expired(self.address))

    def of_other_ca(self) -> EndEntity:
        """Give one that says the same of itself, by a CA of the same name that nobody trusts."""
        return replace(self, folder=self._strangers.of_other_ca(self.address))

    def _as_client(self, *, is_anonymous: bool) -> ssl.SSLContext:
        if self.address.section is Section.SERVERS:
            raise TypeError(f"{self.address} is a server: it has no client_context()")
        try:
            return client_context(None if is_anonymous else self._credentials(), read_secret(self.trust_file))
        except UnusableCredentialsError as reason:
            raise self._unusable(reason) from None

    def _credentials(self) -> Credentials:
        if not is_there(self.private_key_file):
            message, help_ = f"{self.private_key_file} is not there", "the spec gives its `public_key` alone"
            raise CertgenError([error("file-missing", message, help=help_, where=str(self.address))])
        return Credentials(self.certificate_file, self.private_key_file)

    def _unusable(self, reason: UnusableCredentialsError) -> CertgenError:
        return CertgenError([error("unreadable", f"{self.address}: {reason}", where=str(self.address))])


@dataclass(frozen=True, slots=True)
class CompiledBundle:
    """All that a spec describes, with its files; entries by their names."""

    folder: Path
    """The tree."""
    cas: Mapping[str, Authority]
    servers: Mapping[str, EndEntity]
    clients: Mapping[str, EndEntity]
    peers: Mapping[str, EndEntity]


def find_spec(folder: Path) -> Path:
    """Find the one spec of a project: `certgen.yaml`, or what alone stands in `specs/`.

    Args:
        folder: of the project.

    Raises:
        CertgenError: there is none, or there are several.
    """
    own, specs = folder / SPEC_FILE, folder / "specs"
    if own.is_file():
        return own
    try:
        found = find_specs(specs)
    except CertgenError:
        message, help_ = (
            f"there is neither {own} nor a spec in {specs}/",
            "write one, or give one with the fixture `certgen_spec`",
        )
        raise CertgenError([error("no-specs", message, help=help_, where=str(folder))]) from None
    if len(found) > 1:
        message = f"there are {len(found)} specs in {specs}/, and one is to be compiled"
        help_ = f"say which where pytest is configured, for example `certgen_spec = specs/{found[0].name}`"
        raise CertgenError([error("several-specs", message, help=help_, where=str(folder))])
    return found[0]


def compile_spec(spec: Path | Mapping[str, object], folder: Path, now: datetime) -> CompiledBundle:
    """Compile a spec into a folder of its own, with all private keys in clear.

    Args:
        spec: a spec's file, or what would stand in it; what is no text, list or mapping counts as its text.
        folder: an empty folder that only the user of the tests can enter.
        now: the time of the run, aware, in UTC.

    Raises:
        CertgenError: the spec is not valid or cannot be applied; with every mistake.
    """
    match spec:
        case Path():
            path = spec
        case Mapping():
            path = _written(spec, folder / SPEC_FILE)
        case _:
            message, help_ = f"the spec is of type {type(spec).__name__}", "give a path, or a mapping"
            raise CertgenError([error("not-a-spec", message, help=help_)])
    loaded = _in_clear(load_spec(path))
    apply_specs([loaded], folder / "output", now)
    return _compiled(loaded, folder, now)


def _written(spec: Mapping[str, object], path: Path) -> Path:
    """Write a spec of Python's values as YAML, so that a mistake in it has a place."""
    plain = json.loads(json.dumps(dict(spec), default=str))
    create_private(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    return path


def _in_clear(loaded: LoadedSpec) -> LoadedSpec:
    """Give a spec whose private keys nobody seals: they last as long as the tests, which would have no secret."""
    entries = (replace(entry, key=replace(entry.key, protection=None)) for entry in loaded.bundle.entries)
    return replace(loaded, bundle=replace(loaded.bundle, entries=tuple(entries)))


def _compiled(loaded: LoadedSpec, folder: Path, now: datetime) -> CompiledBundle:
    bundle = loaded.bundle
    tree = folder / "output" / bundle.name
    strangers = Strangers(loaded, tree, folder / "strangers", now.replace(microsecond=0))
    authorities: dict[str, Authority] = {}
    found: dict[Section, dict[str, EndEntity]] = {section: {} for section in Section}
    for entry in bundle.entries:
        address, own = entry.address, tree / str(entry.address)
        if entry.is_ca:
            supplied = entry.supplied
            file = loaded.path.parent / supplied.certificate_file if supplied else own / CERTIFICATE_FILE
            authorities[address.name] = Authority(address, file)
        else:
            found[address.section][address.name] = EndEntity(address, own, strangers)
    return CompiledBundle(tree, authorities, found[Section.SERVERS], found[Section.CLIENTS], found[Section.PEERS])
