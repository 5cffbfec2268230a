"""Each way of breaking a tree by hand: what is found, where, in which words; nothing is said of the innocent."""

import base64
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from foreign.hierarchy import CLIENT, SERVER, Extension, make_ca
from proving import (
    DAY,
    NOW,
    SHOP,
    Other,
    Place,
    compiled,
    demand_proven,
    getting_in,
    in_short,
    key_pem,
    pairs,
    put,
    swap,
)
from samples import one_in

from certgen.diagnostics import CertgenError
from certgen.prove.values import Judgement

SERVERS = ("servers/api", "servers/web")
CLIENTS = ("clients/checkout", "clients/reporting")
ISSUERS = {"servers/api": "cas/issuing", "clients/checkout": "cas/client-root"}
END = b"-----END CERTIFICATE-----\n"

Break = Callable[[Place, Place], object]
"""Takes the place to be broken, and one of the same spec with other keys."""


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("findings") / "shop", SHOP)


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same spec with other keys: all its names are the shop's."""
    return compiled(tmp_path_factory.mktemp("twin") / "shop", SHOP)


@pytest.fixture
def place(untouched: Place, tmp_path: Path) -> Place:
    return untouched.copied(tmp_path / "shop")


# Hands


def replaced(path: str, by: str | None = None) -> Break:
    """Put the twin's file in place of one."""
    return lambda place, twin: (place.tree / path).write_bytes((twin.tree / (by or path)).read_bytes())


def added(path: str) -> Break:
    """Put the twin's file behind one."""
    return lambda place, twin: (place.tree / path).write_bytes(
        (place.tree / path).read_bytes() + (twin.tree / path).read_bytes()
    )


def written(path: str, content: bytes) -> Break:
    return lambda place, _: (place.tree / path).write_bytes(content)


def cut(path: str, count: int = 100) -> Break:
    """Cut off the end of a file."""
    return lambda place, _: (place.tree / path).write_bytes((place.tree / path).read_bytes()[:-count])


def copied(source: str, target: str, *names: str) -> Break:
    """Put files of one entry's folder in that of another."""

    def hand(place: Place, _: Place) -> None:
        for name in names:
            (place.tree / target / name).write_bytes((place.tree / source / name).read_bytes())

    return hand


def exchanged(one: str, other: str, *names: str) -> Break:
    def hand(place: Place, _: Place) -> None:
        for name in names:
            swap(place.tree / one / name, place.tree / other / name)

    return hand


def rearranged(address: str, arrange: Callable[[list[x509.Certificate], Place], list[x509.Certificate]]) -> Break:
    """Write the certificates of a path otherwise."""
    return lambda place, _: put(place.tree / address / "cert.pem", *arrange(place.certificates(address), place))


def signed(address: str, *, issuer: str | None = None, **fields: object) -> Break:
    """Sign a certificate again, by its own CA unless another is named."""
    other = Other(issuer or ISSUERS[address], **fields)  # type: ignore[arg-type]  # as the tests below name them
    return lambda place, _: place.sign_again(address, other)


def usage(*purposes: x509.ObjectIdentifier) -> dict[type[x509.ExtensionType], Extension | None]:
    return {x509.ExtendedKeyUsage: Extension(x509.ExtendedKeyUsage(purposes)) if purposes else None}


def tampered(place: Place, _: Place) -> None:
    """Change one bit of a signature."""
    own, *above = place.certificates("servers/api")
    der = bytearray(own.public_bytes(Encoding.DER))
    der[-5] ^= 1
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + END
    content = pem + b"".join(one.public_bytes(Encoding.PEM) for one in above)
    (place.tree / "servers/api/cert.pem").write_bytes(content)


def encrypted(place: Place, _: Place) -> None:
    key = place.key("servers/api")
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (place.tree / "servers/api/key.pem").write_bytes(content)


def small_key(place: Place, _: Place) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what must be found
    place.sign_again("servers/api", Other(public_key=key.public_key()))
    (place.tree / "servers/api/key.pem").write_bytes(key_pem(key))


def sha1(place: Place, _: Place) -> None:
    """Sign a certificate with SHA-1, which cryptography refuses to do."""
    above, own, issuer = place.certificates("servers/api")[1], place.tree / "servers/api", place.tree / "cas/issuing"
    request = ["openssl", "req", "-new", "-key", str(own / "key.pem"), "-subj", "/CN=api"]
    asked = subprocess.run(request, check=True, capture_output=True, timeout=30)
    (place.folder / "extensions").write_text("extendedKeyUsage=serverAuth\n")
    command = ["openssl", "x509", "-req", "-sha1", "-set_serial", "17", "-extfile", str(place.folder / "extensions")]
    command += ["-CA", str(issuer / "cert.pem"), "-CAkey", str(issuer / "key.pem")]
    made = subprocess.run(command, input=asked.stdout, check=True, capture_output=True, timeout=30)
    (own / "cert.pem").write_bytes(made.stdout + above.public_bytes(Encoding.PEM))


@dataclass(frozen=True)
class Damage:
    """A hand, and what must be said of its work.

    found: the code of each finding, and what it names; there is none beside them.
    words: what one of them says.
    """

    hand: Break
    found: tuple[str, ...]
    words: str


def several(*hands: Break) -> Break:
    def hand(place: Place, twin: Place) -> None:
        for one in hands:
            one(place, twin)

    return hand


DAMAGES = {
    # Trust
    "a foreign anchor at a server": Damage(
        replaced("servers/api/ca.pem"),
        ("wrong-trust servers/api/ca.pem",),
        "servers/api/ca.pem trusts `CN=Shop Client Root`, which the spec does not",
    ),
    "a foreign anchor at a client": Damage(
        replaced("clients/checkout/ca.pem"),
        ("wrong-trust clients/checkout/ca.pem",),
        "clients/checkout/ca.pem lacks the root `root`, which the spec's trust names",
    ),
    "one anchor more at a server": Damage(
        added("servers/api/ca.pem"), ("wrong-trust servers/api/ca.pem",), "whatever that signs is let in"
    ),
    "one anchor more at a client": Damage(
        added("clients/checkout/ca.pem"), ("wrong-trust clients/checkout/ca.pem",), "trusts `CN=Shop Root`"
    ),
    "the anchors of a client at a server": Damage(
        copied("clients/checkout", "servers/api", "ca.pem"),
        ("wrong-trust servers/api/ca.pem",),
        "servers/api/ca.pem lacks the root `client-root`",
    ),
    "the anchors of a server at a client": Damage(
        copied("servers/api", "clients/checkout", "ca.pem"),
        ("wrong-trust clients/checkout/ca.pem",),
        "clients/checkout/ca.pem lacks the root `root`",
    ),
    "an intermediate for an anchor": Damage(
        lambda place, _: put(place.tree / "clients/checkout/ca.pem", place.certificates("cas/issuing")[0]),
        ("wrong-trust clients/checkout/ca.pem",),
        "trusts `CN=Shop Issuing`",
    ),
    # Dates
    "a server's certificate that has ended": Damage(
        signed("servers/api", begin=NOW - 3 * DAY, end=NOW - DAY), ("expired servers/api/cert.pem",), "it ended "
    ),
    "a client's certificate that has ended": Damage(
        signed("clients/checkout", begin=NOW - 3 * DAY, end=NOW - DAY),
        ("expired clients/checkout/cert.pem",),
        f"it ended {NOW - DAY:%Y-%m-%d}",
    ),
    "a server's certificate that begins later": Damage(
        signed("servers/api", begin=NOW + DAY, end=NOW + 9 * DAY), ("not-yet-valid servers/api/cert.pem",), "it begins "
    ),
    "a client's certificate that begins later": Damage(
        signed("clients/checkout", begin=NOW + DAY, end=NOW + 9 * DAY),
        ("not-yet-valid clients/checkout/cert.pem",),
        f"it begins {NOW + DAY:%Y-%m-%d}",
    ),
    # Usages
    "a server's certificate for clients": Damage(
        signed("servers/api", extensions=usage(CLIENT)), ("wrong-usage servers/api/cert.pem",), "is not for serverAuth"
    ),
    "a client's certificate for servers": Damage(
        signed("clients/checkout", extensions=usage(SERVER)),
        ("wrong-usage clients/checkout/cert.pem",),
        "is not for clientAuth",
    ),
    # Names, keys, and certificates of others
    "a server's certificate of another CA": Damage(
        several(replaced("servers/api/cert.pem"), replaced("servers/api/key.pem")),
        ("path-broken servers/api/cert.pem",),
        "does not lead to `root`",
    ),
    "a client's certificate of another CA": Damage(
        several(replaced("clients/checkout/cert.pem"), replaced("clients/checkout/key.pem")),
        ("path-broken clients/checkout/cert.pem",),
        "does not lead to `client-root`",
    ),
    "a server's certificate of the wrong CA of the spec": Damage(
        signed("servers/api", issuer="cas/client-root"), ("path-broken servers/api/cert.pem",), "another CA signed it"
    ),
    "the certificate of another server": Damage(
        copied("servers/web", "servers/api", "cert.pem"),
        ("key-mismatch servers/api",),
        "its private key is not that of its certificate",
    ),
    "certificate and key of another server": Damage(
        copied("servers/web", "servers/api", "cert.pem", "key.pem"),
        ("wrong-names servers/api/cert.pem",),
        "does not bear localhost, 127.0.0.1; it bears DNS:shop.example, DNS:*.shop.example",
    ),
    "a certificate that lacks a name": Damage(
        signed(
            "servers/api",
            extensions={
                x509.SubjectAlternativeName: Extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]))
            },
        ),
        ("wrong-names servers/api/cert.pem",),
        "does not bear api.shop.example, 127.0.0.1; it bears DNS:localhost",
    ),
    "keys of two servers exchanged": Damage(
        exchanged("servers/api", "servers/web", "key.pem"),
        ("key-mismatch servers/api", "key-mismatch servers/web"),
        "its private key is not that of its certificate",
    ),
    "a client's folder and a server's exchanged": Damage(
        exchanged("servers/api", "clients/checkout", "key.pem", "cert.pem"),
        (
            "path-broken clients/checkout/cert.pem",
            "path-broken servers/api/cert.pem",
        ),
        "does not lead to",
    ),
    "the key of another CA's client": Damage(
        replaced("clients/checkout/key.pem"), ("key-mismatch clients/checkout",), "clients/checkout: its private key"
    ),
    # Paths
    "no intermediate": Damage(
        rearranged("servers/api", lambda path, _: path[:1]),
        ("path-broken servers/api/cert.pem",),
        "an intermediate is missing",
    ),
    "another intermediate": Damage(
        rearranged("servers/api", lambda path, place: [path[0], *place.certificates("cas/client-root")]),
        ("path-broken servers/api/cert.pem",),
        "an intermediate is missing",
    ),
    "the twin's intermediate": Damage(
        lambda place, twin: put(
            place.tree / "servers/api/cert.pem",
            place.certificates("servers/api")[0],
            twin.certificates("servers/api")[1],
        ),
        ("path-broken servers/api/cert.pem",),
        "does not lead to `root`",
    ),
    "a path in the wrong order": Damage(
        rearranged("servers/api", lambda path, _: path[::-1]),
        ("key-mismatch servers/api",),
        "its private key is not that of its certificate",
    ),
    "a signature with another bit": Damage(tampered, ("path-broken servers/api/cert.pem",), "does not lead to `root`"),
    # Files
    "a server's certificate is garbage": Damage(
        written("servers/api/cert.pem", b"garbage"), ("file-unreadable servers/api/cert.pem",), ""
    ),
    "a client's certificate is garbage": Damage(
        written("clients/checkout/cert.pem", b"garbage"),
        ("file-unreadable clients/checkout/cert.pem",),
        "",
    ),
    "a server's key is garbage": Damage(
        written("servers/api/key.pem", b"garbage"), ("file-unreadable servers/api/key.pem",), ""
    ),
    "a client's key is empty": Damage(
        written("clients/checkout/key.pem", b""),
        ("file-unreadable clients/checkout/key.pem",),
        "",
    ),
    "a server's anchors are garbage": Damage(
        written("servers/api/ca.pem", b"\x00\xff"), ("file-unreadable servers/api/ca.pem",), ""
    ),
    "a client's anchors are empty": Damage(
        written("clients/checkout/ca.pem", b""), ("file-unreadable clients/checkout/ca.pem",), ""
    ),
    "a server's path is cut off": Damage(cut("servers/api/cert.pem"), ("file-unreadable servers/api/cert.pem",), ""),
    "a client's certificate is cut off": Damage(
        cut("clients/checkout/cert.pem"), ("file-unreadable clients/checkout/cert.pem",), ""
    ),
    "a server's key is cut off": Damage(cut("servers/api/key.pem", 60), ("file-unreadable servers/api/key.pem",), ""),
    "a client's anchors are cut off": Damage(
        cut("clients/checkout/ca.pem"), ("file-unreadable clients/checkout/ca.pem",), ""
    ),
    # What is weak, or odd
    "an encrypted key": Damage(encrypted, ("file-unreadable servers/api/key.pem",), ""),
    "a key of 1024 bits": Damage(small_key, ("file-unreadable servers/api",), "EE_KEY_TOO_SMALL"),
    "a signature with SHA-1": Damage(sha1, ("file-unreadable servers/api",), "CA_MD_TOO_WEAK"),
    "an extension that nobody knows": Damage(
        signed(
            "servers/api",
            extensions={
                x509.UnrecognizedExtension: Extension(
                    x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True
                )
            },
        ),
        ("kept-out servers/api/cert.pem",),
        "unhandled critical extension",
    ),
    "no authority key identifier": Damage(
        signed("clients/checkout", extensions={x509.AuthorityKeyIdentifier: None}),
        ("kept-out clients/checkout/cert.pem",),
        "Missing Authority Key Identifier",
    ),
}
"""By what was done."""


def test_an_untouched_tree_is_proven(untouched: Place) -> None:
    ran = untouched.run("--json")
    assert (ran.code, ran.err, ran.spec["findings"], ran.spec["not_judged"]) == (0, "", [], [])


@pytest.mark.parametrize("what", one_in(3, DAMAGES))
def test_what_a_hand_has_broken_is_found_and_nothing_else_and_no_more_once_it_is_repaired(
    place: Place, twin: Place, untouched: Place, what: str
) -> None:
    damage = DAMAGES[what]
    damage.hand(place, twin)
    ran = place.run("--json")
    findings = ran.spec["findings"]
    said = [(one["code"], f"{one['where']}: {one['message']}") for one in findings]
    wanted = [tuple(one.split(" ")) for one in damage.found]
    assert [one for one in said if not any(one[0] == code and name in one[1] for code, name in wanted)] == []
    assert [(code, name) for code, name in wanted if not any(one[0] == code and name in one[1] for one in said)] == []
    assert ran.code == 1
    assert damage.words in " / ".join(one["message"] for one in findings)
    assert all(one["severity"] == "error" and one["help"] for one in findings)
    assert all(f"error[{one['code']}]: {one['message']}\n" in ran.err for one in findings)
    for path in untouched.tree.glob("*/*/*.pem"):
        (place.tree / path.relative_to(untouched.tree)).write_bytes(path.read_bytes())
    assert place.run().code == 0


@pytest.mark.parametrize("what", one_in(3, DAMAGES, 1))
def test_certgen_apply_mends_what_a_finding_says_that_it_mends(place: Place, twin: Place, what: str) -> None:
    DAMAGES[what].hand(place, twin)
    help_ = " ".join(str(one["help"]) for one in place.run("--json").spec["findings"])
    try:
        place.apply()
    except CertgenError:
        is_mended = False
    else:
        is_mended = place.prove().judgement is Judgement.AS_EXPECTED
    assert is_mended or "`certgen apply` mends it" not in help_
    assert is_mended or "`certgen apply` renews it" not in help_


# What handshakes alone do not show


ONE_ROOT = """\
    version: 1
    ca: {}
    servers:
      api: {sans: api.shop.example}
      web: {sans: shop.example}
    clients:
      checkout:
"""
"""Where a server that were a client too would get in."""


@pytest.mark.parametrize("address", ["servers/api", "clients/checkout"])
def test_an_anchor_that_is_added_is_found_though_every_handshake_goes_well(
    place: Place, twin: Place, address: str
) -> None:
    added(f"{address}/ca.pem")(place, twin)
    proof = place.prove()
    assert getting_in(proof) == pairs(SERVERS, CLIENTS)
    assert in_short(proof.findings) == [f"wrong-trust {address}/ca.pem"]


@pytest.mark.parametrize("content", [None, b"", b"garbage"], ids=["gone", "empty", "garbage"])
@pytest.mark.parametrize("hand", [None, added("servers/api/ca.pem")], ids=["alone", "with an anchor more"])
def test_a_tree_whose_root_is_not_known_is_not_called_proven(
    place: Place, twin: Place, hand: Break | None, content: bytes | None
) -> None:
    if hand is not None:
        hand(place, twin)
    path = place.tree / "cas/client-root/cert.pem"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    ran = place.run()
    assert ran.code in {1, 2}
    assert "proven" not in ran.out


@pytest.mark.parametrize("address", ["servers/api", "clients/checkout"])
def test_a_root_in_a_path_is_found(place: Place, address: str) -> None:
    root = "cas/root" if address == "servers/api" else "cas/client-root"
    rearranged(address, lambda path, place: [*path, *place.certificates(root)])(place, place)
    ran = place.run("--json")
    assert ran.code == 1
    assert {one["where"] for one in ran.spec["findings"]} == {f"{address}/cert.pem"}


@pytest.mark.parametrize("purposes", [(SERVER, CLIENT), ()], ids=["both", "all"])
def test_a_real_server_whose_certificate_is_good_for_a_client_too_is_found(
    tmp_path: Path, purposes: tuple[x509.ObjectIdentifier, ...]
) -> None:
    place = compiled(tmp_path / "shop", ONE_ROOT)
    demand_proven(place.prove())
    place.sign_again("servers/api", Other("cas/ca", extensions=usage(*purposes)))
    ran = place.run("--json")
    assert ran.code == 1
    assert any(str(one["where"]).startswith("servers/api") for one in ran.spec["findings"])


def test_a_root_that_nobody_has_to_lean_on_is_missed_all_the_same(tmp_path: Path) -> None:
    spec = SHOP.replace("{issuer: client-root}", "{issuer: client-root, trust: [root, client-root]}")
    place = compiled(tmp_path / "shop", spec)
    demand_proven(place.prove())
    put(place.tree / "clients/reporting/ca.pem", *place.certificates("cas/root"))
    assert in_short(place.prove().findings) == ["wrong-trust clients/reporting/ca.pem"]


# Several faults


def test_each_of_several_faults_has_its_finding(place: Place, twin: Place) -> None:
    hands = ("a server's certificate that has ended", "one anchor more at a client", "a client's key is empty")
    DAMAGES[hands[0]].hand(place, twin)
    added("clients/reporting/ca.pem")(place, twin)
    (place.tree / "clients/checkout/key.pem").write_bytes(b"")
    assert in_short(place.prove().findings) == [
        "expired servers/api/cert.pem",
        "file-unreadable clients/checkout",
        "wrong-trust clients/reporting/ca.pem",
    ]


def test_a_fault_and_a_key_that_is_elsewhere_are_both_told(place: Place, twin: Place) -> None:
    added("clients/reporting/ca.pem")(place, twin)
    (place.tree / "clients/checkout/key.pem").unlink()
    ran = place.run("--json")
    assert ran.code == 1
    assert [one["where"] for one in ran.spec["findings"]] == ["clients/reporting/ca.pem"]
    assert [one["where"] for one in ran.spec["not_judged"]] == ["clients/checkout"]


def test_a_fault_is_told_once_however_many_it_keeps_apart(tmp_path: Path) -> None:
    spec = ONE_ROOT.replace("checkout:", "".join(f"c{number}:\n      " for number in range(6)))
    place = compiled(tmp_path / "shop", spec)
    place.sign_again("servers/api", Other("cas/ca", begin=NOW - 3 * DAY, end=NOW - DAY))
    assert in_short(place.prove().findings) == ["expired servers/api/cert.pem"]
    place.sign_again("servers/api", Other("cas/ca", end=NOW + DAY, extensions={x509.AuthorityKeyIdentifier: None}))
    assert in_short(place.prove().findings) == ["kept-out servers/api/cert.pem"]


def test_a_finding_holds_nothing_that_a_terminal_would_obey(place: Place) -> None:
    evil = make_ca("Evil\x1b[31m\u202e Root", "ecdsa-p256").certificate
    put(place.tree / "servers/api/ca.pem", *place.certificates("cas/client-root"), evil)
    ran = place.run("--color", "never")
    assert ran.code == 1
    assert "Evil\\x1b[31m\\u202e Root" in ran.err
    assert "\x1b" not in ran.err + ran.out
    assert "\u202e" not in ran.err + ran.out
