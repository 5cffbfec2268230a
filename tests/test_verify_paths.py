"""Certification paths made by hand, judged step by step and by cryptography's own verifier."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from foreign.hierarchy import (
    CLIENT,
    NOW,
    SERVER,
    Authority,
    Extension,
    Wish,
    certify,
    end_entity_extensions,
    key_usage,
    make_ca,
    new_key,
)

from certgen.model import Role
from certgen.rfc5280.vocabulary import ExtendedKeyUsage
from certgen.verify.paths import faults_of_path, refusal_by_library

API = x509.DNSName("api.shop.example")
CA_USAGE = key_usage("key_cert_sign", "crl_sign")


def authority(
    common_name: str, issuer: Authority | None, extensions: Sequence[Extension], days: int = 3000
) -> Authority:
    """Make a CA that says what its test wants."""
    key = new_key("ecdsa-p256")
    wish = Wish(common_name, extensions, NOW - timedelta(days=60), days)
    return Authority(certify(wish, key, issuer), key)


def ca_flag(path_length: int | None = None, *, ca: bool = True) -> Extension:
    return Extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)


def leaf(
    issuer: Authority,
    names: Sequence[x509.GeneralName] = (API,),
    purposes: Sequence[x509.ObjectIdentifier] = (SERVER,),
    algorithm: str = "ecdsa-p256",
    days: int = 90,
) -> x509.Certificate:
    return certify(Wish("api", end_entity_extensions(purposes, names), days=days), new_key(algorithm), issuer)


def faults(path: Sequence[x509.Certificate], root: Authority, now: datetime = NOW) -> list[str]:
    return [fault.sentence for fault in faults_of_path(path, root.certificate, now)]


ROOT = make_ca("Shop Root", "ecdsa-p256")
ISSUING = make_ca("Shop Issuing", "ecdsa-p256", ROOT)


# Signatures and order


def test_a_path_from_end_entity_to_root_has_no_fault() -> None:
    assert faults([leaf(ISSUING), ISSUING.certificate], ROOT) == []
    assert faults([leaf(ROOT)], ROOT) == []
    assert faults([ISSUING.certificate], ROOT) == []
    assert faults([ROOT.certificate], ROOT) == []


def test_a_path_without_its_intermediate_is_broken() -> None:
    assert faults([leaf(ISSUING)], ROOT) == ["`api` is not signed by `Shop Root`, which stands above it"]


def test_a_path_in_the_wrong_order_is_broken() -> None:
    wide = authority("Wide", ROOT, [ca_flag(), CA_USAGE])
    deep = authority("Deep", wide, [ca_flag(), CA_USAGE])
    own = leaf(deep)
    assert faults([own, wide.certificate, deep.certificate], ROOT) == [
        "`api` is not signed by `Wide`, which stands above it"
    ]
    assert faults([own, deep.certificate, wide.certificate], ROOT) == []


def test_a_stranger_with_the_issuers_name_is_not_the_issuer() -> None:
    stranger = make_ca("Shop Root", "ecdsa-p256")
    assert faults([leaf(ROOT)], stranger) == ["`api` is not signed by `Shop Root`, which stands above it"]


def test_a_forged_signature_breaks_a_path() -> None:
    forged = certify(
        Wish("api", end_entity_extensions([SERVER], [API])), new_key("ed25519"), ROOT, new_key("ecdsa-p256")
    )
    assert faults([forged], ROOT) == ["`api` is not signed by `Shop Root`, which stands above it"]


# Who may issue


def test_an_issuer_that_is_no_ca_is_found() -> None:
    no_ca = authority("No CA", ROOT, [ca_flag(ca=False), CA_USAGE])
    assert faults([leaf(no_ca), no_ca.certificate], ROOT) == ["`No CA` is not a CA"]


def test_an_issuer_without_basic_constraints_is_no_ca() -> None:
    silent = authority("Silent", ROOT, [CA_USAGE])
    assert faults([leaf(silent), silent.certificate], ROOT) == ["`Silent` is not a CA"]


def test_an_issuer_that_may_not_sign_certificates_is_found() -> None:
    mute = authority("Mute", ROOT, [ca_flag(), key_usage("crl_sign")])
    assert faults([leaf(mute), mute.certificate], ROOT) == ["`Mute` may not sign certificates"]


def test_a_path_longer_than_a_path_length_is_found() -> None:
    short = authority("Short", None, [ca_flag(0), CA_USAGE])
    below = authority("Below", short, [ca_flag(), CA_USAGE])
    assert faults([leaf(short)], short) == []
    assert faults([leaf(below), below.certificate], short) == ["`Short` has path length 0 and 1 CAs below it"]
    assert faults([below.certificate], short) == ["`Short` has path length 0 and 1 CAs below it"]


def test_a_path_length_of_one_allows_one_ca_below() -> None:
    root = authority("Root", None, [ca_flag(1), CA_USAGE])
    middle = authority("Middle", root, [ca_flag(), CA_USAGE])
    lowest = authority("Lowest", middle, [ca_flag(), CA_USAGE])
    assert faults([leaf(middle), middle.certificate], root) == []
    assert faults([leaf(lowest), lowest.certificate, middle.certificate], root) == [
        "`Root` has path length 1 and 2 CAs below it"
    ]


# Time


def test_each_certificate_that_has_expired_is_named() -> None:
    own = leaf(ISSUING)
    path = [own, ISSUING.certificate]
    after_leaf = NOW + timedelta(days=91)
    assert faults(path, ROOT, after_leaf) == [f"`api` expired on {own.not_valid_after_utc:%Y-%m-%d}"]
    words = faults(path, ROOT, NOW + timedelta(days=20 * 365))
    assert [text.split(" expired on ")[0] for text in words] == ["`api`", "`Shop Issuing`", "`Shop Root`"]


def test_a_certificate_is_valid_in_its_first_and_its_last_second() -> None:
    own = leaf(ROOT)
    second = timedelta(seconds=1)
    assert faults([own], ROOT, own.not_valid_before_utc) == []
    assert faults([own], ROOT, own.not_valid_after_utc) == []
    assert len(faults([own], ROOT, own.not_valid_before_utc - second)) == 1
    assert len(faults([own], ROOT, own.not_valid_after_utc + second)) == 1


def test_a_certificate_that_is_not_valid_yet_is_named_with_its_beginning() -> None:
    own = leaf(ROOT)
    begins = f"{own.not_valid_before_utc:%Y-%m-%d %H:%M}Z"
    assert faults([own], ROOT, NOW - timedelta(days=1)) == [f"`api` is not valid before {begins}"]


def test_a_certificate_that_ends_after_its_issuer_is_found() -> None:
    brief = authority("Brief", ROOT, [ca_flag(), CA_USAGE], days=70)
    assert faults([leaf(brief, days=90), brief.certificate], ROOT) == ["`api` ends after its issuer `Brief`"]
    assert faults([leaf(brief, days=5), brief.certificate], ROOT) == []


# Names


@pytest.mark.parametrize(
    ("base", "inside", "outside", "words"),
    [
        (
            x509.DNSName("shop.example"),
            x509.DNSName("api.shop.example"),
            x509.DNSName("api.bank.example"),
            "DNS:api.bank.example is outside the name constraints of `Narrow`, which permits only DNS:shop.example",
        ),
        (
            x509.DNSName("shop.example"),
            x509.DNSName("shop.example"),
            x509.DNSName("workshop.example"),
            "DNS:workshop.example is outside the name constraints of `Narrow`, which permits only DNS:shop.example",
        ),
        (
            x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
            x509.IPAddress(ipaddress.ip_address("10.1.2.3")),
            x509.IPAddress(ipaddress.ip_address("11.1.2.3")),
            "IP:11.1.2.3 is outside the name constraints of `Narrow`, which permits only IP:10.0.0.0/8",
        ),
        (
            x509.UniformResourceIdentifier("shop.example"),
            x509.UniformResourceIdentifier("spiffe://shop.example/api"),
            x509.UniformResourceIdentifier("spiffe://bank.example/api"),
            (
                "URI:spiffe://bank.example/api is outside the name constraints of `Narrow`, "
                "which permits only URI:shop.example"
            ),
        ),
        (
            x509.RFC822Name("shop.example"),
            x509.RFC822Name("api@shop.example"),
            x509.RFC822Name("api@bank.example"),
            "email:api@bank.example is outside the name constraints of `Narrow`, which permits only email:shop.example",
        ),
    ],
    ids=["DNS", "DNS without the dot", "IP", "URI", "email"],
)
def test_a_name_outside_the_permitted_names_is_found(
    base: x509.GeneralName, inside: x509.GeneralName, outside: x509.GeneralName, words: str
) -> None:
    narrow = make_ca("Narrow", "ecdsa-p256", permitted=[base])
    assert faults([leaf(narrow, [inside])], narrow) == []
    assert faults([leaf(narrow, [inside, outside])], narrow) == [words]


def test_a_name_that_is_excluded_is_found() -> None:
    excluded = x509.NameConstraints(None, [x509.DNSName("bank.example")])
    careful = authority("Careful", None, [ca_flag(), CA_USAGE, Extension(excluded, critical=True)])
    assert faults([leaf(careful)], careful) == []
    assert faults([leaf(careful, [x509.DNSName("a.bank.example")])], careful) == [
        "DNS:a.bank.example is outside the name constraints of `Careful`, which excludes DNS:bank.example"
    ]


def test_the_constraints_of_every_ca_above_hold() -> None:
    wide = make_ca("Wide", "ecdsa-p256", permitted=[x509.DNSName("example")])
    narrow = make_ca("Narrow", "ecdsa-p256", wide, permitted=[x509.DNSName("shop.example")])
    below_narrow = [leaf(narrow, [x509.DNSName("bank.example")]), narrow.certificate]
    assert [text.split(", ")[0] for text in faults(below_narrow, wide)] == [
        "DNS:bank.example is outside the name constraints of `Narrow`"
    ]
    below_both = [leaf(narrow, [x509.DNSName("shop.test")]), narrow.certificate]
    assert [text.split(", ")[0] for text in faults(below_both, wide)] == [
        "DNS:shop.test is outside the name constraints of `Narrow`",
        "DNS:shop.test is outside the name constraints of `Wide`",
    ]


# Every algorithm


@pytest.mark.parametrize(
    "algorithm",
    ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"],
)
def test_paths_of_every_algorithm_are_judged(algorithm: str) -> None:
    root = make_ca("Root", algorithm)
    stranger = make_ca("Root", algorithm)
    own = leaf(root, algorithm=algorithm)
    assert faults([own], root) == []
    assert faults([own], stranger) == ["`api` is not signed by `Root`, which stands above it"]


# The library's verifier


def refusal(path: Sequence[x509.Certificate], root: Authority, role: Role) -> str | None:
    purposes = {
        Role.SERVER: {ExtendedKeyUsage.SERVER_AUTH},
        Role.CLIENT: {ExtendedKeyUsage.CLIENT_AUTH},
        Role.PEER: {ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH},
    }
    return refusal_by_library(path, root.certificate, purposes[role], NOW)


def test_the_library_is_not_asked_about_purposes_that_are_not_meant() -> None:
    path = [leaf(ISSUING, purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION,)), ISSUING.certificate]
    assert refusal_by_library(path, ROOT.certificate, {ExtendedKeyUsage.EMAIL_PROTECTION}, NOW) is None
    assert refusal(path, ROOT, Role.CLIENT)


@pytest.mark.parametrize(
    ("purposes", "role"), [((SERVER,), Role.SERVER), ((CLIENT,), Role.CLIENT), ((SERVER, CLIENT), Role.PEER)]
)
def test_the_library_accepts_each_role(purposes: Sequence[x509.ObjectIdentifier], role: Role) -> None:
    assert refusal([leaf(ISSUING, purposes=purposes), ISSUING.certificate], ROOT, role) is None


@pytest.mark.parametrize(
    ("purposes", "role"),
    [((CLIENT,), Role.SERVER), ((SERVER,), Role.CLIENT), ((SERVER,), Role.PEER), ((CLIENT,), Role.PEER)],
)
def test_the_library_refuses_what_is_for_another_role(purposes: Sequence[x509.ObjectIdentifier], role: Role) -> None:
    assert refusal([leaf(ISSUING, purposes=purposes), ISSUING.certificate], ROOT, role)


def test_a_client_without_a_name_is_no_reason_to_refuse() -> None:
    assert refusal([leaf(ROOT, names=(), purposes=(CLIENT,))], ROOT, Role.CLIENT) is None
    assert refusal([leaf(ROOT, names=(), purposes=(SERVER,))], ROOT, Role.CLIENT)


@pytest.mark.parametrize(
    "name",
    [x509.DNSName("*.shop.example"), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("::1"))],
    ids=["wildcard", "single label", "IP"],
)
def test_the_library_accepts_servers_by_names_of_every_kind(name: x509.GeneralName) -> None:
    assert refusal([leaf(ROOT, [name])], ROOT, Role.SERVER) is None


def test_a_critical_list_of_names_is_refused_by_the_library_alone() -> None:
    extensions = [
        *end_entity_extensions([SERVER], []),
        Extension(x509.SubjectAlternativeName([API]), critical=True),
    ]
    own = certify(Wish("api", extensions), new_key("ecdsa-p256"), ROOT)
    assert faults([own], ROOT) == []
    assert refusal([own], ROOT, Role.SERVER)


@pytest.mark.parametrize("algorithm", ["ed25519", "ml-dsa-65"])
def test_what_the_library_cannot_judge_is_not_refused_by_it(algorithm: str) -> None:
    root = make_ca("Root", algorithm)
    assert refusal([leaf(root, purposes=(CLIENT,))], root, Role.SERVER) is None


def test_constraints_on_uris_are_beyond_the_library_and_judged_by_us() -> None:
    root = make_ca("Root", "ecdsa-p256", permitted=[x509.UniformResourceIdentifier("shop.example")])
    own = leaf(root, [x509.UniformResourceIdentifier("spiffe://shop.example/api")], (CLIENT,))
    assert refusal([own], root, Role.CLIENT) is None
    assert faults([own], root) == []
