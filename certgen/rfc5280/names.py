"""General names: reading what a person writes, canonical form, and name constraints.

cryptography validates almost nothing here (a `DNSName` takes blanks, newlines and NUL), so every rule is ours.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import urlsplit

import idna

from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind

DNS, IP, URI, EMAIL = GeneralNameKind.DNS, GeneralNameKind.IP, GeneralNameKind.URI, GeneralNameKind.EMAIL

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_URI_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_URI = re.compile(r"(?P<scheme>[^:]+):(?P<rest>(?://(?P<authority>[^/?#]*))?[^\[\]]*)")
_AUTHORITY = re.compile(r"(?:[^@\[\]]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
_URN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,30}[A-Za-z0-9]:[^/?#].*")
_JOINERS = "\u200c\u200d"
"""Of Persian and Hindi; idna knows where they may stand (RFC 5892 A.1)."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""What inet_aton, and so a browser or a resolver, takes for a part of an IP address."""
_SPIFFE_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_SPIFFE_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_PREFIX = re.compile(r"(DNS|IP|URI|email):(.*)", re.IGNORECASE | re.DOTALL)
_KINDS = {kind.value.lower(): kind for kind in GeneralNameKind}


class InvalidNameError(ValueError):
    """A text that is not the name it should be; the argument is one sentence, `help` what to do."""

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002 - the field's name in a diagnostic
        super().__init__(message)
        self.help = help


def parse_general_name(text: str) -> GeneralName:
    """Read a subject alternative name (RFC 5280 4.2.1.6).

    Args:
        text: the name, with or without a prefix `DNS:`, `IP:`, `URI:` or `email:`.

    Raises:
        InvalidNameError: the text is not a name of its kind.
    """
    kind, value = _split_kind(text)
    match kind:
        case GeneralNameKind.DNS:
            return GeneralName(DNS, parse_dns_name(value))
        case GeneralNameKind.IP:
            return GeneralName(IP, parse_ip_address(value))
        case GeneralNameKind.URI:
            return GeneralName(URI, parse_uri(value))
        case GeneralNameKind.EMAIL:
            return GeneralName(EMAIL, parse_email(value))


def parse_dns_name(text: str, *, wildcard: bool = True) -> str:
    """Read a DNS name and give it in lower case as A-labels (RFC 5280 4.2.1.6, RFC 5890).

    Args:
        text: the name, in Unicode or as A-labels.
        wildcard: whether `*` may be its whole left-most label (RFC 9525 6.3).

    Raises:
        InvalidNameError: not a DNS name in preferred name syntax.
    """
    if not text:
        raise InvalidNameError("the DNS name is empty")
    if text.endswith("."):
        raise InvalidNameError("a DNS name in a certificate has no trailing dot", _proposal(text.rstrip(".")))
    if re.fullmatch(r"[^:]+:\d+", text):
        raise InvalidNameError("a name in a certificate has no port", _proposal(text.rsplit(":", 1)[0]))
    host = text.removeprefix("*.") if wildcard else text
    if "*" in host:
        help_ = "for example `*.shop.example`" if wildcard else None
        raise InvalidNameError("a wildcard stands only as the whole left-most label", help_)
    encoded = _to_a_labels(host)
    name = f"*.{encoded}" if host != text else encoded
    if len(name) > 253:
        raise InvalidNameError("a DNS name has at most 253 characters")
    _check_labels(encoded)
    return name


def parse_ip_address(text: str) -> str:
    """Read an IP address and give its canonical form.

    Raises:
        InvalidNameError: not an IP address, or one with a zone, a prefix length or brackets.
    """
    if text.startswith("[") and text.endswith("]"):
        raise InvalidNameError("an IP address in a certificate has no brackets", f"write `{text[1:-1]}`")
    if "%" in text:
        raise InvalidNameError("an IP address in a certificate has no zone id", f"write `{text.split('%', 1)[0]}`")
    if "/" in text:
        raise InvalidNameError("a subject alternative name is one address, not a network", "name each address")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidNameError("not an IP address") from None


def parse_uri(text: str) -> str:
    """Read an absolute URI (RFC 5280 4.2.1.6); a SPIFFE id by the rules of SPIFFE.

    Raises:
        InvalidNameError: no scheme, no host where there is an authority, or characters that need escaping.
    """
    if not text.isascii():
        raise InvalidNameError("a URI in a certificate is ASCII", "percent-encode the path, write the host as A-labels")
    found = _URI.fullmatch(text) if _URI_TEXT.fullmatch(text) else None
    if found is None:
        raise InvalidNameError("not an absolute URI", "for example `spiffe://shop.example/checkout`")
    if text.count("#") > 1:
        raise InvalidNameError("a URI has one fragment at most", "percent-encode the second `#` as %23")
    scheme, rest, authority = found["scheme"].lower(), found["rest"], found["authority"]
    if any(not label for label in (uri_host(f"{scheme}:{rest}") or "x").split(".")):
        raise InvalidNameError("the URI's host has an empty label, with which Go refuses the certificate")
    if scheme == "spiffe":
        _check_spiffe_id(rest)
    elif authority is not None or scheme in {"http", "https"}:
        _check_authority(authority or "")
    elif scheme == "urn" and not _URN.fullmatch(rest):
        raise InvalidNameError("not a URN (RFC 8141 2)", "for example `urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6`")
    return f"{scheme}:{rest}"


def parse_email(text: str) -> str:
    """Read a mail address and give it with its domain in lower case as A-labels (RFC 5280 4.2.1.6).

    Raises:
        InvalidNameError: not a mail address, or one that needs a SmtpUTF8Mailbox (RFC 9598).
    """
    local_part, at, domain = text.rpartition("@")
    if not at:
        raise InvalidNameError("a mail address has an `@`")
    if not local_part.isascii():
        message = "SmtpUTF8Mailbox is not supported (RFC 9598), and a local part outside ASCII needs it"
        raise InvalidNameError(message, "use an address whose part before the `@` is ASCII")
    if len(local_part) > 64 or not _LOCAL_PART.fullmatch(local_part):
        raise InvalidNameError("not a mail address")
    address = f"{local_part}@{parse_dns_name(domain, wildcard=False)}"
    if len(address) > 254:
        raise InvalidNameError("a mail address has at most 254 characters (RFC 5321 4.5.3.1.3)")
    return address


def parse_name_constraint(text: str) -> GeneralName:
    """Read the base of a name constraint (RFC 5280 4.2.1.10): a DNS name, an IP network, a mail or URI host.

    Raises:
        InvalidNameError: not a base of its kind.
    """
    kind, value = _split_kind(text, constraint=True)
    match kind:
        case GeneralNameKind.IP:
            return GeneralName(IP, _parse_network(value))
        case GeneralNameKind.DNS:
            if value.startswith("."):
                message = "a DNS constraint has no leading dot: it covers the name and all below it"
                raise InvalidNameError(message, _proposal(value.lstrip(".")))
            return GeneralName(DNS, parse_dns_name(value, wildcard=False))
        case GeneralNameKind.URI:
            return GeneralName(URI, _parse_constraint_host(value))
        case GeneralNameKind.EMAIL:
            return GeneralName(EMAIL, parse_email(value) if "@" in value else _parse_constraint_host(value))


def uri_host(uri: str) -> str | None:
    """Give the host of a URI in lower case, or None where it has no authority."""
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None


def _split_kind(text: str, *, constraint: bool = False) -> tuple[GeneralNameKind, str]:
    if prefixed := _PREFIX.fullmatch(text):
        return _KINDS[prefixed[1].lower()], prefixed[2]
    if _is_ip(text.split("%", 1)[0], network=constraint) or (text.startswith("[") and text.endswith("]")):
        return IP, text
    if "://" in text or text.lower().startswith("urn:"):
        return URI, text
    return (EMAIL if "@" in text else DNS), text


def is_ip_address(text: str) -> bool:
    """Whether a text is an IP address."""
    return _is_ip(text, network=False)


def _is_ip(text: str, *, network: bool) -> bool:
    host, slash, prefix = text.partition("/")
    if (slash and not (network or prefix.isdecimal())) or not (":" in host or host[-1:].isdecimal()):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parse_network(text: str) -> str:
    if "%" in text:
        raise InvalidNameError("not an IP network: it has a zone id")
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as reason:
        help_ = f"write `{ipaddress.ip_network(text, strict=False)}`" if "host bits" in str(reason) else None
        raise InvalidNameError("not an IP network", help_) from None


def _parse_constraint_host(text: str) -> str:
    if "/" in text or ":" in text:
        raise InvalidNameError(
            "a URI constraint is a host, whatever the scheme (RFC 5280 4.2.1.10)",
            "for example `URI:shop.example`",
        )
    dot = "." if text.startswith(".") else ""
    return dot + parse_dns_name(text.removeprefix("."), wildcard=False)


def _to_a_labels(host: str) -> str:
    if len(host) > 253:
        raise InvalidNameError("a DNS name has at most 253 characters")
    if host.isascii():
        return host.lower()
    if any(unicodedata.category(c) == "Cf" and c not in _JOINERS for c in host):
        # UTS 46 drops most of them, and nobody would see that the name is another.
        raise InvalidNameError("the DNS name has a character that nobody sees")
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as reason:
        raise InvalidNameError(f"not an internationalised domain name ({reason})") from None


def _check_labels(host: str) -> None:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise InvalidNameError("it looks like an IP address and is not one")
    for label in labels:
        if "_" in label:
            raise InvalidNameError("a DNS name has no underscore (RFC 1034 3.5)", "use a hyphen")
        if not label:
            raise InvalidNameError("the DNS name has an empty label")
        if len(label) > 63:
            raise InvalidNameError("a label of a DNS name has at most 63 characters")
        if not _LABEL.fullmatch(label):
            raise InvalidNameError("not a DNS name: its labels are letters, digits and inner hyphens")
        if label.startswith("xn--"):
            _check_a_label(label)


def _check_a_label(label: str) -> None:
    try:
        again = idna.alabel(idna.ulabel(label)).decode("ascii")
    except idna.IDNAError as reason:
        raise InvalidNameError(f"`{label}` is not an A-label ({reason})") from None
    if again != label:
        raise InvalidNameError(f"`{label}` is not an A-label (its canonical form is another)", f"write `{again}`")


def _check_authority(authority: str) -> None:
    """Demand that a URI's host is a DNS name or an IP address (RFC 5280 4.2.1.6), and its port a port."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None or int(found["port"] or 0) > 65535:
        raise InvalidNameError("not an absolute URI: after `//` stand a host and perhaps a port")
    host = found["host"]
    if not host:
        raise InvalidNameError("the URI has no host")
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        elif not is_ip_address(host):
            parse_dns_name(host, wildcard=False)
    except InvalidNameError as reason:
        raise InvalidNameError(f"the URI's host: {reason}", reason.help) from None
    except ValueError:
        raise InvalidNameError("the URI's host is not an IP address") from None


def _check_spiffe_id(rest: str) -> None:
    trust_domain, slash, path = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not _SPIFFE_TRUST_DOMAIN.fullmatch(trust_domain):
        raise InvalidNameError("a SPIFFE id is `spiffe://trust-domain/path`, its trust domain in lower case")
    segments = path.split("/") if slash else []
    if any(not _SPIFFE_SEGMENT.fullmatch(segment) or segment in {".", ".."} for segment in segments):
        raise InvalidNameError("the path of a SPIFFE id has segments of letters, digits, `.`, `_` and `-` only")
    if len(rest) > 2041:
        raise InvalidNameError("a SPIFFE id has at most 2048 bytes")


def _proposal(text: str) -> str | None:
    """Propose a name where it is one."""
    try:
        parse_general_name(text)
    except InvalidNameError:
        return None
    return f"write `{text}`"
