"""Floor 6: the files that a spec names, and their content as values, before anything is resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from certgen.certificates import (
    UnreadableError,
    parse_certificates,
    parse_private_key,
    parse_public_key,
    public_key_algorithm,
)
from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.model import AnchorFile, Certificate, SuppliedPublicKey
from certgen.rfc5280.objects import key_id, public_key_der
from certgen.spec.parts import SnippetRequests
from certgen.spec.schema import CertificateAuthority, Spec
from certgen.tree import FileContent


@dataclass(frozen=True, slots=True)
class Reference:
    """One mention of a file in a spec."""

    file: str
    """As written: a path relative to the spec's folder."""
    route: Route
    is_private: bool = False


def is_file(trusted: str) -> bool:
    """Whether an item of `trust` names a PEM file and not a root of the spec."""
    return "/" in trusted or trusted.endswith(".pem")


_SIGNING = ("ecdsa-", "ed25519", "ed448", "ml-dsa-", "rsa-")


def fault_of_key(algorithm: str) -> tuple[str, str] | None:
    """Say why a key is of no use in a certificate, as a code and a sentence; None where it is."""
    if not algorithm.startswith(_SIGNING):
        return "bad-file", f"holds a key that cannot sign, as TLS asks of it: {algorithm}"
    if algorithm.startswith("rsa-") and int(algorithm.removeprefix("rsa-")) < 2048:
        return "weak-key", f"holds a key that is too weak: {algorithm}"
    return None


def references(spec: Spec) -> Iterator[Reference]:
    """Give every mention of a file in a spec."""
    authorities: dict[Route, CertificateAuthority] = {("cas", name): authority for name, authority in spec.cas.items()}
    if spec.ca is not None:
        authorities["ca",] = spec.ca
    for route, authority in authorities.items():
        if authority.certificate:
            yield Reference(authority.certificate, (*route, "certificate"))
        if authority.private_key:
            yield Reference(authority.private_key, (*route, "private_key"), is_private=True)
        yield from _trusted_files(authority.trust, route)
    for section in ("servers", "clients", "peers"):
        for name, member in getattr(spec, section).items():
            if member.public_key:
                yield Reference(member.public_key, (section, name, "public_key"))
            yield from _trusted_files(member.trust, (section, name))
            yield from _files_of_snippets(member.snippets, (section, name))
    yield from _files_of_snippets(spec.defaults.snippets, ("defaults",))


class ReferencedFiles:
    """Referenced files as values; what cannot be read becomes a diagnostic at the mention."""

    def __init__(self, contents: Mapping[str, FileContent], sealed: Iterable[str] = ()) -> None:
        """Take the contents by file, and the names of private keys that are not to be looked at."""
        self._contents = contents
        self._sealed = frozenset(sealed)
        self.problems: list[Diagnostic] = []

    def certificates(self, file: str, route: Route) -> tuple[Certificate, ...]:
        """Read a file of certificates; empty where it is none."""
        content = self.content(file, route)
        if content is None:
            return ()
        try:
            return parse_certificates(content)
        except UnreadableError as reason:
            self._refuse(route, f"`{file}`: {reason}")
            return ()

    def anchors(self, file: str, route: Route) -> AnchorFile | None:
        """Read a file of trust anchors; None where it is none."""
        found = self.certificates(file, route)
        if not found:
            return None
        if strangers := [certificate for certificate in found if not certificate.is_ca]:
            self._refuse(route, f"`{file}` holds a certificate that is no CA's: {strangers[0].subject}")
            return None
        return AnchorFile(file, found)

    def public_key(self, file: str, route: Route) -> SuppliedPublicKey | None:
        """Read a public key or a signing request; None where it is neither, or too weak."""
        content = self.content(file, route)
        if content is None:
            return None
        try:
            key = parse_public_key(content)
            algorithm = public_key_algorithm(key)
        except UnreadableError as reason:
            help_ = "make one with `openssl pkey -in key.pem -pubout`" if b"PRIVATE KEY" in content else None
            self._refuse(route, f"`{file}`: {reason}", help_)
            return None
        fault = fault_of_key(algorithm)
        if fault is not None:
            self._refuse(route, f"`{file}` {fault[1]}", code=fault[0])
            return None
        return SuppliedPublicKey(key, key_id(key), algorithm, file)

    def private_key_id(self, file: str, route: Route) -> str | None:
        """Read a private key and give its key id; None where it cannot, or must not, be read."""
        content = None if file in self._sealed else self.content(file, route)
        if content is None:
            return None
        try:
            return key_id(public_key_der(parse_private_key(content).public_key()))
        except UnreadableError as reason:
            self._refuse(route, f"`{file}`: {reason}")
            return None

    def content(self, file: str, route: Route) -> bytes | None:
        """Give a file's content; None where it could not be read."""
        found = self._contents.get(file, FileContent(None, "was not read"))
        if found.content is None:
            self._refuse(route, f"`{file}` {found.reason}")
        return found.content

    def _refuse(self, route: Route, message: str, help_: str | None = None, code: str = "bad-file") -> None:
        self.problems.append(Diagnostic(Severity.ERROR, code, message, help=help_, route=route))


def _files_of_snippets(snippets: SnippetRequests | None, route: Route) -> Iterator[Reference]:
    for name, options in snippets.asked() if snippets else ():
        for option, file in options.named_files.items():
            yield Reference(file, (*route, "snippets", name, option))


def _trusted_files(trust: tuple[str, ...] | None, route: Route) -> Iterator[Reference]:
    for number, item in enumerate(trust or ()):
        if is_file(item):
            yield Reference(item, (*route, "trust", number))
