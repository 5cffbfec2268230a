"""What cert-manager cannot say of a spec, and what to do about it; what several entries lose is said once."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from certgen.diagnostics import Diagnostic, Severity
from certgen.exports.cert_manager.authorities import Urls, lost_urls
from certgen.exports.cert_manager.certificates import SUBSTITUTES
from certgen.exports.cert_manager.names import Names
from certgen.exports.cert_manager.subjects import LONGEST_COMMON_NAME, is_literal
from certgen.exports.cert_manager.terms import SHORTEST_WINDOW, Term, asked_lifetime, duration
from certgen.exports.cert_manager.trust import MOST_SOURCES, TRUST_NAMESPACE, sources
from certgen.model import Address, Bundle, Entry, TrustAnchor

_SHOWN = 3
"""How many addresses a sentence names."""
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Loss:
    """What an entry, or the whole spec, loses or needs."""

    code: str
    sentence: str
    """What stands behind the addresses; or all of it, where there is no address."""
    help: str
    severity: Severity = Severity.WARNING


Found = Iterator[tuple[Address | None, Loss]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was decided of a spec before anything was written."""

    bundle: Bundle
    names: Names
    terms: Mapping[Address, Term]
    urls: Mapping[Address, Urls]
    trust: tuple[tuple[TrustAnchor, ...], ...]

    def longest_below(self, authority: Address) -> int:
        """Give the seconds that the longest lasts of what a CA signs."""
        below = (self.terms[entry.address] for entry in self.bundle.entries if entry.issuer == authority)
        return max((term.lifetime for term in below), default=0)


def find_losses(facts: Facts) -> tuple[Diagnostic, ...]:
    """Find all that is lost, in the order of the entries."""
    found: dict[Loss, list[Address | None]] = {}
    for address, loss in _all(facts):
        found.setdefault(loss, []).append(address)
    return tuple(_diagnostic(loss, [item for item in addresses if item]) for loss, addresses in found.items())


def is_too_many(anchors: Iterable[TrustAnchor], bundle: Bundle, names: Names) -> bool:
    """Whether a set of trust anchors is more than a Bundle takes."""
    return len(sources(anchors, bundle, names)) > MOST_SOURCES


def _all(facts: Facts) -> Found:
    for entry in facts.bundle.entries:
        losses = _of_brought(entry, facts) if entry.supplied else _of_entry(entry, facts)
        yield from ((entry.address, loss) for loss in losses)
    yield from ((None, loss) for loss in _of_spec(facts))


def _of_brought(entry: Entry, facts: Facts) -> Iterator[Loss]:
    supplied, name = entry.supplied, facts.names.of(entry.address)
    certificate = supplied.certificate_file if supplied else ""
    key = (supplied.private_key_file if supplied else None) or "KEY"
    command = f"kubectl create secret tls {name} --namespace {facts.names.namespace}"
    files = f"--cert={shlex.quote(certificate)} --key={shlex.quote(key)}"
    yield Loss("secret-by-hand", f"will sign once its Secret `{name}` is there: you bring it", f"{command} {files}")


def _of_entry(entry: Entry, facts: Facts) -> Iterator[Loss]:
    if entry.public_key is not None:
        issuer = facts.names.of(entry.issuer) if entry.issuer else ""
        sentence = "will have no Certificate: the private key stays on its host"
        yield Loss("key-on-host", sentence, f"make a CertificateRequest for the Issuer `{issuer}` of a CSR from there")
        return
    yield from _of_times(entry, facts)
    yield from _of_contents(entry, facts)
    yield from _of_key(entry)
    yield from _of_files(entry)


def _of_times(entry: Entry, facts: Facts) -> Iterator[Loss]:
    validity, term = entry.template.validity, facts.terms[entry.address]
    lasts = duration(term.lifetime)
    if validity.not_before is not None or validity.not_after is not None:
        sentence = f"will last {lasts} from each issue, without fixed dates: cert-manager has none"
        yield Loss("fixed-dates", sentence, "give a `validity` that suits a cluster")
    elif (asked_lifetime(entry) or 0) < term.lifetime:
        yield Loss("validity-raised", f"will last {lasts}: cert-manager takes no less", "ask for an hour or more")
    elif (asked_lifetime(entry) or 0) > term.lifetime:
        yield Loss("cut-short", f"will last {lasts}, as {entry.issuer} does", f"let {entry.issuer} have a `validity`")
    if entry.renew_before.of(term.lifetime) < SHORTEST_WINDOW:
        sentence = f"will be renewed {duration(term.window)} before the end: cert-manager takes no less"
        yield Loss("window-raised", sentence, "set `renew_before` to five minutes or more")
    longest = facts.longest_below(entry.address) if entry.is_ca else 0
    if longest > term.window:
        sentence = "will sign what ends after it: cert-manager cuts nothing short"
        yield Loss("outlives-issuer", sentence, f"have it renewed {duration(longest)} before its end, or earlier")


def _of_contents(entry: Entry, facts: Facts) -> Iterator[Loss]:
    template = entry.template
    size = len((template.subject.common_name or "").encode())
    if size > LONGEST_COMMON_NAME:
        sentence = f"will be refused for a common name of {size} bytes: cert-manager takes {LONGEST_COMMON_NAME}"
        yield Loss("common-name-too-long", sentence, "shorten `common_name`; in UTF-8 a letter may have several bytes")
    if template.path_length is not None:
        sentence = f"will be without the path length {template.path_length}: cert-manager sets none"
        yield Loss("no-path-length", sentence, "let a policy for CertificateRequests decide who gets a CA")
    for name in lost_urls(entry, facts.urls):
        help_ = f"ask for the same `{name}` in all that {entry.issuer} signs: they are its Issuer's"
        if entry.issuer is None:
            help_ = f"leave `{name}` out: nobody asks about a root there"
        yield Loss("no-urls", f"will be without `{name}`", help_)


def _of_key(entry: Entry) -> Iterator[Loss]:
    if (instead := SUBSTITUTES.get(entry.key.algorithm)) is not None:
        sentence = f"will have an {instead} key: cert-manager makes none of {entry.key.algorithm}"
        yield Loss("key-replaced", sentence, f"ask for `{instead}`, or keep this entry out of the cluster")
    if entry.key.mode != _MODE and entry.key.protection is None:
        sentence = f"will have no key of mode {entry.key.mode:04o}: a Secret has no modes"
        yield Loss("no-key-mode", sentence, "set `defaultMode` where a pod mounts the Secret")


def _of_files(entry: Entry) -> Iterator[Loss]:
    if entry.snippets:
        consumers = ", ".join(snippet.consumer for snippet in entry.snippets)
        help_ = "make a ConfigMap of what `certgen apply` renders; in a Secret the files are tls.crt and tls.key"
        yield Loss("no-snippets", f"will be without snippets ({consumers}), and whom they let in", help_)
    if not entry.is_ca and entry.deploy_dir != f"/etc/certgen/{entry.address.name}":
        sentence = f"will not be in {entry.deploy_dir}: a Secret is where a pod mounts it"
        yield Loss("no-deploy-dir", sentence, "mount the Secret there")


def _of_spec(facts: Facts) -> Iterator[Loss]:
    bundle, names = facts.bundle, facts.names
    made = [entry for entry in bundle.entries if entry.supplied is None and entry.public_key is None]
    protection = next((entry.key.protection for entry in made if entry.key.protection), None)
    if protection is not None:
        sentence = f"private keys will stand in Secrets, and not be closed by {protection.kind}"
        yield Loss("no-protection", sentence, "encrypt Secrets at rest, and let few read them")
    for gate, is_used in (
        ("NameConstraints", any(entry.template.name_constraints for entry in made)),
        ("LiteralCertificateSubject", any(is_literal(entry.template.subject) for entry in made)),
    ):
        if is_used:
            sentence = f"the manifests need cert-manager's feature gate {gate}, which recent versions have on"
            help_ = f"on an older one start controller and webhook with `--feature-gates={gate}=true`"
            yield Loss("feature-gate", sentence, help_, Severity.NOTE)
    if any("secret" in source for anchors in facts.trust for source in sources(anchors, bundle, names)):
        yield from _of_trust_namespace(names.namespace)
    if any(is_too_many(anchors, bundle, names) for anchors in facts.trust):
        sentence = f"a set of more than {MOST_SOURCES} trusted roots will have no Bundle"
        yield Loss("too-many-roots", sentence, "trust fewer, or put them into one file")


def _of_trust_namespace(namespace: str) -> Iterator[Loss]:
    if namespace != TRUST_NAMESPACE:
        sentence = f"trust-manager must read the Secrets of `{namespace}`, and by default reads `{TRUST_NAMESPACE}`"
        help_ = f"install it with `app.trust.namespace={namespace}`"
        yield Loss("trust-namespace", sentence, help_, Severity.NOTE)


def _diagnostic(loss: Loss, addresses: list[Address]) -> Diagnostic:
    shown = ", ".join(str(address) for address in addresses[:_SHOWN])
    more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
    message = f"{shown}{more} {loss.sentence}" if addresses else loss.sentence
    where = str(addresses[0]) if addresses else None
    return Diagnostic(loss.severity, loss.code, message, help=loss.help, where=where)
