"""The verifiers that are commands: OpenSSL and GnuTLS."""

from datetime import datetime
from pathlib import Path

from .questions import NameKind, Purpose, demand_askable, name_kind
from .verdicts import CannotJudgeError, Verdict, locate, run

_OPENSSL_NAME: dict[NameKind, str] = {
    "dns": "-verify_hostname",
    "ip": "-verify_ip",
    "email": "-verify_email",
}
_GNUTLS_NAME: dict[NameKind, str] = {
    "dns": "--verify-hostname",
    "ip": "--verify-hostname",
    "email": "--verify-email",
}
_PURPOSE_OID: dict[Purpose, str] = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}


def openssl(
    end_entity_pem: Path,
    anchors: Path,
    purpose: Purpose,
    name: str | None = None,
    at: datetime | None = None,
) -> Verdict:
    """Ask `openssl verify -x509_strict`.

    end_entity_pem: the end entity, then its intermediates.
    anchors: the trust anchors.
    purpose: what the end entity is to be good for.
    name: a DNS name, IP address or e-mail address; OpenSSL has no option for a URI.
    at: the time to judge at, default now.

    Limits: where a certificate has no DNS name at all, OpenSSL takes the common name for one. So `name="ip"`
    is accepted of a server with CN=ip and nothing but an IP address, and a common name with a dot in it must
    lie within the DNS name constraints, for clients too. Without `-no-CApath -no-CAstore`, the machine's
    anchors would count beside those of `-CAfile`.
    """
    demand_askable("openssl", purpose, name, at)
    command: list[str | Path] = [locate("openssl", "openssl"), "verify", "-x509_strict"]
    command += ["-no-CApath", "-no-CAstore", "-CAfile", anchors, "-untrusted", end_entity_pem]
    command += ["-purpose", f"ssl{purpose}"]
    if name is not None:
        command += [_OPENSSL_NAME[name_kind(name)], name]
    if at is not None:
        command += ["-attime", str(int(at.timestamp()))]
    done = run([*command, end_entity_pem])
    words = f"{done.stdout}{done.stderr}".strip()
    if done.returncode == 0 and done.stdout.rstrip().endswith(": OK"):
        return Verdict(accepted=True, words=words)
    if " depth lookup: " in done.stderr:
        return Verdict(accepted=False, words=words)
    raise CannotJudgeError(words)


def gnutls(
    end_entity_pem: Path,
    anchors: Path,
    purpose: Purpose,
    name: str | None = None,
    at: datetime | None = None,
) -> Verdict:
    """Ask `certtool --verify` at the profile `medium`: 112 bits, GnuTLS's next default.

    end_entity_pem: the end entity, then its intermediates.
    anchors: the trust anchors.
    purpose: what the end entity is to be good for.
    name: a DNS name, IP address (`--verify-hostname` compares it with the IP SANs) or e-mail address.
    at: the time to judge at, default now; needs the `--attime` of GnuTLS 3.8.1.

    Limits: a URI cannot be asked for, so a client that has nothing else is judged by path and purpose; and
    URI name constraints are not enforced (3.7.9 accepts a URI outside). A *server* without a DNS name, such
    as one with an IP address alone, is held to DNS name constraints by its common name, whatever it says.
    """
    demand_askable("gnutls", purpose, name, at)
    command: list[str | Path] = [locate("certtool", "gnutls-bin"), "--verify", "--verify-profile", "medium"]
    command += ["--verify-purpose", _PURPOSE_OID[purpose]]
    command += ["--load-ca-certificate", anchors, "--infile", end_entity_pem]
    if name is not None:
        command += [_GNUTLS_NAME[name_kind(name)], name]
    if at is not None:
        command += ["--attime", f"@{int(at.timestamp())}"]
    done = run(command)
    _, found, words = done.stdout.partition("Chain verification output: ")
    if found and done.returncode == 0 and words.startswith("Verified."):
        return Verdict(accepted=True, words=words.strip())
    if found and done.returncode != 0 and words.startswith("Not verified."):
        return Verdict(accepted=False, words=words.strip())
    message = f"{done.stdout}{done.stderr}".strip()
    raise CannotJudgeError(message)
