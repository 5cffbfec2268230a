"""What a person writes as a name, what becomes of it, and why it is refused."""

from __future__ import annotations

import time
from itertools import permutations

import idna
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certgen.rfc5280.constraints import Boundary, outside_constraints
from certgen.rfc5280.names import (
    InvalidNameError,
    parse_dns_name,
    parse_email,
    parse_general_name,
    parse_ip_address,
    parse_name_constraint,
    parse_uri,
    uri_host,
)
from certgen.rfc5280.objects import (
    from_general_name,
    from_name_constraints,
    to_general_name,
    to_name_constraints,
)
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind, NameConstraints

KEY = Ed25519PrivateKey.generate()
LABEL_63 = "a" * 63
NAME_253 = ".".join([LABEL_63, LABEL_63, LABEL_63, "a" * 61])

ACCEPTED = [
    # DNS names
    ("shop.example", "DNS:shop.example"),
    ("API.Shop.EXAMPLE", "DNS:api.shop.example"),
    ("localhost", "DNS:localhost"),
    ("DNS:localhost", "DNS:localhost"),
    ("dns:localhost", "DNS:localhost"),
    ("1.example", "DNS:1.example"),
    ("1.0xample", "DNS:1.0xample"),
    ("127.0.0.1e", "DNS:127.0.0.1e"),
    ("a--b.example", "DNS:a--b.example"),
    ("*.shop.example", "DNS:*.shop.example"),
    ("*.SHOP.example", "DNS:*.shop.example"),
    (f"{LABEL_63}.example", f"DNS:{LABEL_63}.example"),
    (NAME_253, f"DNS:{NAME_253}"),
    # Internationalised domain names
    ("bücher.example", "DNS:xn--bcher-kva.example"),
    ("BÜCHER.example", "DNS:xn--bcher-kva.example"),
    ("bu\u0308cher.example", "DNS:xn--bcher-kva.example"),
    ("xn--bcher-kva.example", "DNS:xn--bcher-kva.example"),
    ("*.bücher.example", "DNS:*.xn--bcher-kva.example"),
    ("例え。example", "DNS:xn--r8jz45g.example"),
    ("straße.example", "DNS:xn--strae-oqa.example"),
    # IP addresses
    ("127.0.0.1", "IP:127.0.0.1"),
    ("IP:127.0.0.1", "IP:127.0.0.1"),
    ("ip:127.0.0.1", "IP:127.0.0.1"),
    ("::1", "IP:::1"),
    ("2001:DB8:0:0:0:0:0:1", "IP:2001:db8::1"),
    ("IP:2001:0db8::0001", "IP:2001:db8::1"),
    # URIs
    ("https://shop.example/a?b=c#d", "URI:https://shop.example/a?b=c#d"),
    ("HTTPS://shop.example/", "URI:https://shop.example/"),
    ("https://shop.example/a%20b", "URI:https://shop.example/a%20b"),
    ("URI:https://shop.example/a%20b", "URI:https://shop.example/a%20b"),
    ("https://[2001:db8::1]:8443/", "URI:https://[2001:db8::1]:8443/"),
    ("https://user@shop.example/", "URI:https://user@shop.example/"),
    (
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "URI:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ),
    ("URN:isbn:0451450523", "URI:urn:isbn:0451450523"),
    ("URI:mailto:ops@shop.example", "URI:mailto:ops@shop.example"),
    ("URI:x:y", "URI:x:y"),
    ("https://shop.example:65535/", "URI:https://shop.example:65535/"),
    ("https://10.0.0.1/", "URI:https://10.0.0.1/"),
    ("ldap://shop.example/dc=shop?cn?base?objectClass=*", "URI:ldap://shop.example/dc=shop?cn?base?objectClass=*"),
    ("spiffe://shop.example/checkout", "URI:spiffe://shop.example/checkout"),
    ("spiffe://shop.example", "URI:spiffe://shop.example"),
    ("SPIFFE://shop.example/ns/Prod/sa/a_b-1.2", "URI:spiffe://shop.example/ns/Prod/sa/a_b-1.2"),
    # Mail addresses
    ("ops@Shop.Example", "email:ops@shop.example"),
    ("email:Ops@shop.example", "email:Ops@shop.example"),
    ("EMAIL:ops@shop.example", "email:ops@shop.example"),
    ("first.last+tag@shop.example", "email:first.last+tag@shop.example"),
    ("100%@shop.example", "email:100%@shop.example"),
    ("ops@bücher.example", "email:ops@xn--bcher-kva.example"),
    (f"{'a' * 64}@shop.example", f"email:{'a' * 64}@shop.example"),
]

EMPTY = "the DNS name is empty"
EMPTY_LABEL = "the DNS name has an empty label"
NOT_DNS = "not a DNS name: its labels are letters, digits and inner hyphens"
WILDCARD = "a wildcard stands only as the whole left-most label"
TRAILING_DOT = "a DNS name in a certificate has no trailing dot"
LOOKS_LIKE_IP = "it looks like an IP address and is not one"
NOT_IP = "not an IP address"
NOT_URI = "not an absolute URI"
NO_HOST = "the URI has no host"
NO_PORT = "not an absolute URI: after `//` stand a host and perhaps a port"
NOT_URN = "not a URN (RFC 8141 2)"
NOT_MAIL = "not a mail address"
SPIFFE_ID = "a SPIFFE id is `spiffe://trust-domain/path`, its trust domain in lower case"
SPIFFE_PATH = "the path of a SPIFFE id has segments of letters, digits, `.`, `_` and `-` only"

REFUSED = [
    # DNS names
    ("", EMPTY),
    ("DNS:", EMPTY),
    ("shop.example.", TRAILING_DOT),
    (".shop.example", EMPTY_LABEL),
    ("shop..example", EMPTY_LABEL),
    ("shop .example", NOT_DNS),
    ("shop.example\n", NOT_DNS),
    ("shop\0.example", NOT_DNS),
    ("-shop.example", NOT_DNS),
    ("shop-.example", NOT_DNS),
    ("shop.example/path", NOT_DNS),
    ("DNS:DNS:shop.example", NOT_DNS),
    ("a_b.example", "a DNS name has no underscore (RFC 1034 3.5)"),
    (f"{LABEL_63}a.example", "a label of a DNS name has at most 63 characters"),
    (f"{NAME_253}a", "a DNS name has at most 253 characters"),
    (f"*.{NAME_253}", "a DNS name has at most 253 characters"),
    ("shop.example:443", "a name in a certificate has no port"),
    ("127.0.0.1:443", "a name in a certificate has no port"),
    # Wildcards
    ("*", WILDCARD),
    ("a*.shop.example", WILDCARD),
    ("*a.shop.example", WILDCARD),
    ("www.*.example", WILDCARD),
    ("*.*.example", WILDCARD),
    # Internationalised domain names
    ("xn--a.example", "`xn--a` is not an A-label"),
    ("xn---bbk.example", "`xn---bbk` is not an A-label"),
    ("xn--.example", NOT_DNS),
    ("a\u2019b.example", "not an internationalised domain name"),
    (f"{'ü' * 70}.example", "not an internationalised domain name"),
    # IP addresses
    ("1.2.3", LOOKS_LIKE_IP),
    ("1.2.3.256", LOOKS_LIKE_IP),
    ("1.2.3.04", LOOKS_LIKE_IP),
    ("1.2.3.4.5", LOOKS_LIKE_IP),
    ("10", LOOKS_LIKE_IP),
    ("DNS:2130706433", LOOKS_LIKE_IP),
    ("0x7f000001", LOOKS_LIKE_IP),
    ("127.0.0.0x1", LOOKS_LIKE_IP),
    ("shop.0x", LOOKS_LIKE_IP),
    ("127。0。0。1", LOOKS_LIKE_IP),
    ("IP:01.2.3.4", NOT_IP),
    ("IP:shop.example", NOT_IP),
    ("IP:", NOT_IP),
    ("IP:1.2.3.4 ", NOT_IP),
    ("DNS:127.0.0.1", LOOKS_LIKE_IP),
    ("[::1]", "an IP address in a certificate has no brackets"),
    ("fe80::1%eth0", "an IP address in a certificate has no zone id"),
    ("10.0.0.0/8", "a subject alternative name is one address, not a network"),
    ("IP:2001:db8::/32", "a subject alternative name is one address, not a network"),
    # URIs
    ("https://bücher.example/", "a URI in a certificate is ASCII"),
    ("https://shop.example/a b", NOT_URI),
    ("https://shop.example/%2", NOT_URI),
    ("URI:shop.example", NOT_URI),
    ("URI:", NOT_URI),
    ("URI:https:", NOT_URI),
    ("1ttp://shop.example", NOT_URI),
    ("https://", NO_HOST),
    ("https:///path", NO_HOST),
    ("https://[shop.example/", NOT_URI),
    ("https://[::1/", NOT_URI),
    ("https://shop.example/[a]", NOT_URI),
    ("https://shop.example:99999/", NO_PORT),
    ("https://shop.example:http/", NO_PORT),
    ("https://shop.example:80:90/", NO_PORT),
    ("https://[::1]x/", NO_PORT),
    ("https://a@b@shop.example/", NO_PORT),
    ("https://[1.2.3.4]/", "the URI's host is not an IP address"),
    ("https://[::g]/", NO_PORT),
    ("https://a_b.example/", "the URI's host: a DNS name has no underscore (RFC 1034 3.5)"),
    ("https://-a.example/", f"the URI's host: {NOT_DNS}"),
    ("https://%61.example/", f"the URI's host: {NOT_DNS}"),
    ("https://*.shop.example/", f"the URI's host: {WILDCARD}"),
    ("https://1.2.3.256/", f"the URI's host: {LOOKS_LIKE_IP}"),
    ("https://xn--a/", "the URI's host: `xn--a` is not an A-label"),
    (f"https://{LABEL_63}a.example/", "the URI's host: a label of a DNS name has at most 63 characters"),
    ("URI:https:shop.example", NO_HOST),
    ("urn:uuid", NOT_URN),
    ("urn:a:b", NOT_URN),
    ("urn:uuid:", NOT_URN),
    ("urn:-a:b", NOT_URN),
    ("URI:https://:443/", NO_HOST),
    # SPIFFE
    ("spiffe://Shop.example/checkout", SPIFFE_ID),
    ("spiffe:///checkout", SPIFFE_ID),
    ("spiffe://shop.example:8443/checkout", SPIFFE_ID),
    ("spiffe://user@shop.example/checkout", SPIFFE_ID),
    ("URI:spiffe:shop.example", SPIFFE_ID),
    ("spiffe://shop.example/", SPIFFE_PATH),
    ("spiffe://shop.example/a//b", SPIFFE_PATH),
    ("spiffe://shop.example/a/../b", SPIFFE_PATH),
    ("spiffe://shop.example/a%20b", SPIFFE_PATH),
    ("spiffe://shop.example/a?b", SPIFFE_PATH),
    (f"spiffe://shop.example/{'a' * 2040}", "a SPIFFE id has at most 2048 bytes"),
    # Mail addresses
    ("email:shop.example", "a mail address has an `@`"),
    ("@shop.example", NOT_MAIL),
    ("o ps@shop.example", NOT_MAIL),
    (".ops@shop.example", NOT_MAIL),
    ("o..ps@shop.example", NOT_MAIL),
    ('"ops"@shop.example', NOT_MAIL),
    ("ops@shop@shop.example", NOT_MAIL),
    (f"{'a' * 65}@shop.example", NOT_MAIL),
    ("bücher@shop.example", "SmtpUTF8Mailbox is not supported (RFC 9598)"),
    (f"{'a' * 64}@{'.'.join(['b' * 61] * 4)}", "a mail address has at most 254 characters"),
    ("ops@", EMPTY),
    ("ops@*.shop.example", WILDCARD),
    ("ops@127.0.0.1", LOOKS_LIKE_IP),
]


@pytest.mark.parametrize(("text", "canonical"), ACCEPTED)
def test_a_name_is_read_into_its_canonical_form(text: str, canonical: str) -> None:
    assert str(parse_general_name(text)) == canonical


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_a_text_that_is_no_name_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        parse_general_name(text)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("shop.example.", "write `shop.example`"),
        ("shop.example:443", "write `shop.example`"),
        ("127.0.0.1:443", "write `127.0.0.1`"),
        ("[::1]", "write `::1`"),
        ("fe80::1%eth0", "write `fe80::1`"),
        ("10.0.0.0/8", "name each address"),
        ("a_b.example", "use a hyphen"),
        ("*.*.example", "for example `*.shop.example`"),
        ("https://bücher.example/", "percent-encode the path, write the host as A-labels"),
        ("URI:shop", "for example `spiffe://shop.example/checkout`"),
    ],
)
def test_the_help_says_what_to_write(text: str, help_: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        parse_general_name(text)
    assert caught.value.help == help_


@pytest.mark.parametrize("text", [".", "..", "*.", "DNS:.", "ops@."])
def test_the_help_never_proposes_what_would_be_refused(text: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        parse_general_name(text)
    assert caught.value.help not in {"write ``", "write `*`"}


def test_a_long_text_is_refused_at_once() -> None:
    for text in ("ü" * 1_000_000, "a" * 1_000_000, "a." * 500_000, "1" * 1_000_000, "@" * 1_000_000):
        with pytest.raises(InvalidNameError):
            parse_general_name(text)


def test_an_a_label_that_is_not_canonical_is_refused_whatever_the_library_makes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """idna before 3.11 takes `xn---bbk` for another spelling of `xn--bbk`."""
    monkeypatch.setattr(idna, "ulabel", lambda _: "\u00fc")
    with pytest.raises(InvalidNameError, match="its canonical form is another") as caught:
        parse_dns_name("xn--other.example")
    assert caught.value.help == "write `xn--tda`"
    assert parse_dns_name("xn--tda.example") == "xn--tda.example"


def test_a_wildcard_can_be_forbidden() -> None:
    assert parse_dns_name("*.shop.example") == "*.shop.example"
    with pytest.raises(InvalidNameError, match=WILDCARD):
        parse_dns_name("*.shop.example", wildcard=False)


def test_the_readers_of_one_kind_take_no_prefix() -> None:
    assert parse_ip_address("::1") == "::1"
    assert parse_uri("urn:ab:c") == "urn:ab:c"
    assert parse_email("ops@shop.example") == "ops@shop.example"
    with pytest.raises(InvalidNameError):
        parse_ip_address("IP:::1")
    with pytest.raises(InvalidNameError):
        parse_email("email:ops@shop.example")


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://Shop.Example:8443/a", "shop.example"),
        ("https://user@shop.example", "shop.example"),
        ("https://[2001:db8::1]/", "2001:db8::1"),
        ("urn:a:b", None),
        ("https://[", None),
    ],
)
def test_the_host_of_a_uri(uri: str, host: str | None) -> None:
    assert uri_host(uri) == host


# Name constraints


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Shop.Example", "DNS:shop.example"),
        ("DNS:shop.example", "DNS:shop.example"),
        ("localhost", "DNS:localhost"),
        ("bücher.example", "DNS:xn--bcher-kva.example"),
        ("127.0.0.0/8", "IP:127.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "IP:10.0.0.0/8"),
        ("192.0.2.1", "IP:192.0.2.1/32"),
        ("IP:0.0.0.0/0", "IP:0.0.0.0/0"),
        ("2001:DB8:0::/32", "IP:2001:db8::/32"),
        ("2001:db8::1", "IP:2001:db8::1/128"),
        ("URI:Shop.Example", "URI:shop.example"),
        ("uri:.shop.example", "URI:.shop.example"),
        ("email:shop.example", "email:shop.example"),
        ("email:.Shop.example", "email:.shop.example"),
        ("email:ops@Shop.example", "email:ops@shop.example"),
        ("ops@shop.example", "email:ops@shop.example"),
    ],
)
def test_the_base_of_a_constraint_is_read_into_its_canonical_form(text: str, canonical: str) -> None:
    assert str(parse_name_constraint(text)) == canonical


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", EMPTY),
        (".shop.example", "a DNS constraint has no leading dot: it covers the name and all below it"),
        ("*.shop.example", "a wildcard"),
        ("DNS:shop.example.", TRAILING_DOT),
        ("10.0.0.1/8", "not an IP network"),
        ("10.0.0.0/33", "not an IP network"),
        ("IP:shop.example", "not an IP network"),
        ("IP:", "not an IP network"),
        ("IP:fe80::%1/64", "not an IP network"),
        ("fe80::1%1", "not an IP network"),
        ("https://shop.example", "a URI constraint is a host, whatever the scheme (RFC 5280 4.2.1.10)"),
        ("URI:shop.example/a", "a URI constraint is a host, whatever the scheme (RFC 5280 4.2.1.10)"),
        ("URI:shop.example:443", "a URI constraint is a host, whatever the scheme (RFC 5280 4.2.1.10)"),
        ("urn:a:b", "a URI constraint is a host, whatever the scheme (RFC 5280 4.2.1.10)"),
        ("URI:", EMPTY),
        ("URI:..shop.example", EMPTY_LABEL),
        ("URI:127.0.0.1", LOOKS_LIKE_IP),
        ("email:@shop.example", NOT_MAIL),
        ("email:", EMPTY),
    ],
)
def test_a_text_that_is_no_base_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        parse_name_constraint(text)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        (".shop.example", "write `shop.example`"),
        ("10.0.0.1/8", "write `10.0.0.0/8`"),
        ("2001:db8::1/32", "write `2001:db8::/32`"),
        ("10.0.0.0/33", None),
        ("URI:https://shop.example", "for example `URI:shop.example`"),
    ],
)
def test_the_help_says_which_base_to_write(text: str, help_: str | None) -> None:
    with pytest.raises(InvalidNameError) as caught:
        parse_name_constraint(text)
    assert caught.value.help == help_


def test_the_help_never_proposes_a_wildcard_as_a_base() -> None:
    with pytest.raises(InvalidNameError) as caught:
        parse_name_constraint("*.shop.example")
    assert "*" not in (caught.value.help or "")


NO_HOST_NAME = "constrains URIs, and so refuses one without a host name"
PERMITS_DNS = {"permitted": ["shop.example"]}
MIXED = {"permitted": ["shop.example", "10.0.0.0/8"], "excluded": ["secret.shop.example"]}


def constraints(permitted: list[str] | None = None, excluded: list[str] | None = None) -> NameConstraints:
    return NameConstraints(
        tuple(map(parse_name_constraint, permitted or [])), tuple(map(parse_name_constraint, excluded or []))
    )


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        # DNS: the name and all below it
        ("shop.example", PERMITS_DNS),
        ("api.shop.example", PERMITS_DNS),
        ("a.b.shop.example", PERMITS_DNS),
        ("*.shop.example", PERMITS_DNS),
        ("*.api.shop.example", PERMITS_DNS),
        ("api.shop.example", MIXED),
        ("10.9.8.7", MIXED),
        ("notsecret.shop.example", MIXED),
        # A kind that is not listed is not constrained
        ("127.0.0.1", PERMITS_DNS),
        ("ops@elsewhere.example", PERMITS_DNS),
        ("https://elsewhere.example", PERMITS_DNS),
        ("anything.example", {"excluded": ["shop.example"]}),
        ("*.shop.example", {"excluded": ["other.example"]}),
        # IP
        ("10.255.255.255", {"permitted": ["10.0.0.0/8"]}),
        ("2001:db8::1", {"permitted": ["2001:db8::/32"]}),
        ("10.0.0.1", {"permitted": ["0.0.0.0/0"]}),
        ("::1", {"excluded": ["0.0.0.0/0"]}),
        # URI: the host alone, or with a leading dot what is below it alone
        ("https://shop.example:443/x", {"permitted": ["URI:shop.example"]}),
        ("spiffe://shop.example/x", {"permitted": ["URI:shop.example"]}),
        ("https://SHOP.example/", {"permitted": ["URI:shop.example"]}),
        ("https://api.shop.example/", {"permitted": ["URI:.shop.example"]}),
        ("https://a.b.shop.example/", {"permitted": ["URI:.shop.example"]}),
        ("https://api.shop.example/", {"excluded": ["URI:shop.example"]}),
        ("https://shop.example/", {"excluded": ["URI:.shop.example"]}),
        # Mail: one mailbox, one host, or with a leading dot the hosts below
        ("ops@shop.example", {"permitted": ["email:ops@shop.example"]}),
        ("ops@shop.example", {"permitted": ["email:shop.example"]}),
        ("ops@mail.shop.example", {"permitted": ["email:.shop.example"]}),
        ("dev@shop.example", {"excluded": ["email:ops@shop.example"]}),
    ],
)
def test_a_name_inside_the_constraints(name: str, rules: dict[str, list[str]]) -> None:
    assert outside_constraints(parse_general_name(name), constraints(**rules)) is None


@pytest.mark.parametrize(
    ("name", "rules", "reason"),
    [
        ("example", PERMITS_DNS, "permits only DNS:shop.example"),
        ("myshop.example", PERMITS_DNS, "permits only DNS:shop.example"),
        ("shop.example.org", PERMITS_DNS, "permits only DNS:shop.example"),
        ("*.example", PERMITS_DNS, "permits only DNS:shop.example"),
        ("a.example", {"permitted": ["b.example", "c.example"]}, "permits only DNS:b.example, DNS:c.example"),
        ("secret.shop.example", MIXED, "excludes DNS:secret.shop.example"),
        ("a.secret.shop.example", MIXED, "excludes DNS:secret.shop.example"),
        ("*.secret.shop.example", MIXED, "excludes DNS:secret.shop.example"),
        ("11.0.0.1", MIXED, "permits only IP:10.0.0.0/8"),
        ("::1", MIXED, "permits only IP:10.0.0.0/8"),
        ("10.0.0.1", {"permitted": ["2001:db8::/32"]}, "permits only IP:2001:db8::/32"),
        ("2001:db9::1", {"permitted": ["2001:db8::/32"]}, "permits only IP:2001:db8::/32"),
        ("2001:db8::1", {"excluded": ["2001:db8::/32"]}, "excludes IP:2001:db8::/32"),
        ("https://api.shop.example/", {"permitted": ["URI:shop.example"]}, "permits only URI:shop.example"),
        ("https://shop.example/", {"permitted": ["URI:.shop.example"]}, "permits only URI:.shop.example"),
        ("https://myshop.example/", {"permitted": ["URI:.shop.example"]}, "permits only URI:.shop.example"),
        ("https://shop.example/", {"excluded": ["URI:shop.example"]}, "excludes URI:shop.example"),
        ("https://a.shop.example/", {"excluded": ["URI:.shop.example"]}, "excludes URI:.shop.example"),
        ("urn:ab:c", {"permitted": ["URI:shop.example"]}, "permits only URI:shop.example"),
        ("https://10.0.0.1/", {"permitted": ["URI:shop.example"]}, "permits only URI:shop.example"),
        ("ops@mail.shop.example", {"permitted": ["email:shop.example"]}, "permits only email:shop.example"),
        ("ops@shop.example", {"permitted": ["email:.shop.example"]}, "permits only email:.shop.example"),
        ("ops@shop.example", {"permitted": ["dev@shop.example"]}, "permits only email:dev@shop.example"),
        ("Ops@shop.example", {"permitted": ["ops@shop.example"]}, "permits only email:ops@shop.example"),
        ("ops@shop.example", {"excluded": ["email:shop.example"]}, "excludes email:shop.example"),
    ],
)
def test_a_name_outside_the_constraints(name: str, rules: dict[str, list[str]], reason: str) -> None:
    assert outside_constraints(parse_general_name(name), constraints(**rules)) == reason


def test_excluded_wins_over_permitted() -> None:
    both = constraints(["shop.example"], ["shop.example"])
    assert outside_constraints(parse_general_name("shop.example"), both) == "excludes DNS:shop.example"


def test_a_wildcard_that_could_stand_for_an_excluded_name_is_outside() -> None:
    # Go refuses it since CVE-2025-61727.
    rules = constraints(excluded=["secret.shop.example"])
    assert outside_constraints(parse_general_name("*.shop.example"), rules) == "excludes DNS:secret.shop.example"
    for fine in ("*.other.example", "*.a.shop.example", "*.example", "shop.example"):
        assert outside_constraints(parse_general_name(fine), rules) is None


@pytest.mark.parametrize(
    ("base", "inside", "outside"),
    [
        (".corp.example", ("a.corp.example", "a.b.corp.example", "*.corp.example"), ("mycorp.example", "a.example")),
        ("", ("a.example", "*.example"), ()),
    ],
)
def test_bases_as_other_cas_write_them_cover_what_openssl_and_go_say(
    base: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    bases = (GeneralName(GeneralNameKind.DNS, base),)
    for name in inside:
        assert outside_constraints(parse_general_name(name), NameConstraints(bases)) is None
        assert outside_constraints(parse_general_name(name), NameConstraints((), bases)) == f"excludes DNS:{base}"
    for name in outside:
        assert outside_constraints(parse_general_name(name), NameConstraints(bases)) == f"permits only DNS:{base}"
        assert outside_constraints(parse_general_name(name), NameConstraints((), bases)) is None


def test_a_name_is_looked_up_among_thousands_of_bases() -> None:
    many = [f"host-{number}.example" for number in range(3000)]
    boundary = Boundary(constraints(many, [f"10.{number // 256}.{number % 256}.0/24" for number in range(3000)]))
    began = time.process_time()
    for number in range(3000):
        assert boundary.why_outside(parse_general_name(f"a.host-{number}.example")) is None
        assert boundary.why_outside(parse_general_name(f"10.{number // 256}.{number % 256}.1")) is not None
    assert time.process_time() - began < 2


def test_an_ipv4_address_that_hides_in_ipv6_is_outside_where_it_is_excluded() -> None:
    rules = constraints(excluded=["10.0.0.0/8"])
    assert outside_constraints(parse_general_name("::ffff:10.1.2.3"), rules) == "excludes IP:10.0.0.0/8"
    for fine in ("::ffff:11.1.2.3", "2001:db8::a01:203", "11.1.2.3"):
        assert outside_constraints(parse_general_name(fine), rules) is None
    assert outside_constraints(parse_general_name("::ffff:10.1.2.3"), constraints(excluded=["2001:db8::/32"])) is None


@pytest.mark.parametrize("name", ["urn:ab:c", "https://10.0.0.1/", "https://[2001:db8::1]/"])
def test_a_uri_without_a_host_name_is_outside_any_constraint_on_uris(name: str) -> None:
    """RFC 5280 4.2.1.10: such a certificate MUST be rejected."""
    rules = constraints(excluded=["URI:elsewhere.example"])
    assert outside_constraints(parse_general_name(name), rules) == NO_HOST_NAME
    assert outside_constraints(parse_general_name("https://shop.example/"), rules) is None
    assert outside_constraints(parse_general_name(name), constraints(["shop.example"])) is None


# Any text

_LABELS = st.text("abzAZ09-_ü*%.", min_size=1, max_size=12)
_PREFIXES = st.sampled_from(["", "", "DNS:", "IP:", "URI:", "email:", "https://", "spiffe://", "urn:", "@", "."])
_NAMES = st.one_of(
    st.text(max_size=40),
    st.builds(lambda *parts: "".join(parts), _PREFIXES, _LABELS, st.sampled_from([".example", "@a.b", "/x", ""])),
    st.ip_addresses().map(str),
    st.emails(),
    st.from_regex(r"(DNS:|URI:)?(\*\.)?[a-z0-9]{1,5}(\.[a-zü]{1,5}){0,2}", fullmatch=True),
    st.from_regex(r"[a-z]{1,3}:(//)?[!-~]{1,20}", fullmatch=True),
    st.from_regex(r"xn--[a-z0-9-]{1,8}", fullmatch=True),
)
_NETWORKS = st.builds(lambda address, bits: f"{address}/{bits}", st.ip_addresses(), st.integers(0, 130))


def through_der(*extensions: x509.ExtensionType) -> list[x509.ExtensionType]:
    """Encode extensions into a signing request and read them back."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    request = x509.load_der_x509_csr(builder.sign(KEY, None).public_bytes(Encoding.DER))
    return [extension.value for extension in request.extensions]


@settings(deadline=None, max_examples=400)
@example("a%b@shop.example")
@example("xn--0")
@example("\u3002")
@given(_NAMES)
def test_a_name_that_is_accepted_survives_the_library_and_is_read_again_as_itself(text: str) -> None:
    try:
        name = parse_general_name(text)
    except InvalidNameError:
        return
    (sans,) = through_der(x509.SubjectAlternativeName([to_general_name(name)]))
    assert isinstance(sans, x509.SubjectAlternativeName)
    assert list(map(from_general_name, sans)) == [name]
    assert parse_general_name(str(name)) == name


@settings(deadline=None, max_examples=400)
@example("IP:fe80::%1/64")
@example("URI:.")
@given(st.one_of(_NAMES, _NETWORKS))
def test_a_base_that_is_accepted_survives_the_library_and_is_read_again_as_itself(text: str) -> None:
    try:
        base = parse_name_constraint(text)
    except InvalidNameError:
        return
    found = NameConstraints((base,), (base,))
    (read,) = through_der(to_name_constraints(found))
    assert isinstance(read, x509.NameConstraints)
    assert from_name_constraints(read) == found
    assert parse_name_constraint(str(base)) == base


def test_a_name_covers_itself_and_nothing_of_another_kind() -> None:
    names = [
        "shop.example",
        "10.0.0.1",
        "email:ops@shop.example",
    ]
    for base, name in permutations(names, 2):
        assert outside_constraints(parse_general_name(name), constraints([base])) is None
        assert outside_constraints(parse_general_name(name), constraints(excluded=[base])) is None
    for name in names:
        assert outside_constraints(parse_general_name(name), constraints([name])) is None
        assert outside_constraints(parse_general_name(name), constraints(excluded=[name])) is not None


def test_a_kind_outside_the_language_is_no_name_of_any_constraint() -> None:
    stranger = GeneralName("DirectoryName", "CN=x")
    assert outside_constraints(stranger, constraints(["shop.example"], ["10.0.0.0/8"])) is None
    assert outside_constraints(parse_general_name("x.example"), constraints(["shop.example"])) is not None
