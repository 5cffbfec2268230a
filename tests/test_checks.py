"""The rules that a spec must keep: for each what it refuses, where, and the nearest spec that it lets pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from foreign.hierarchy import Extension, Wish, certify, key_usage, make_ca, new_key, write_pem

from certgen.diagnostics import CertgenError, Diagnostic
from certgen.pipeline import load_spec
from certgen.spec.checks import RULES

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "version: 1\nca:\nservers:\n  a: {%s}\n"
CLIENT = "version: 1\nca:\nclients:\n  a: {%s}\n"
CA = "version: 1\nca: {%s}\n"


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    return Findings(tmp_path)


class Findings:
    """Loads a spec, and gives each finding as `line:column severity[code]: sentence (help)`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str) -> list[str]:
        path = self.folder / "shop.yaml"
        path.write_text(text, encoding="utf-8")
        found: tuple[Diagnostic, ...]
        try:
            found = load_spec(path).warnings
            assert not any(one.is_error for one in found)
        except CertgenError as reason:
            found = reason.diagnostics
        return [self._line(one) for one in found]

    def _line(self, found: Diagnostic) -> str:
        assert found.span is not None, found
        help_ = f" ({found.help})" if found.help else ""
        place = f"{found.span.line}:{found.span.column}"
        return f"{place} {found.severity}[{found.code}]: {found.message}{help_}"


def test_every_rule_has_a_test_of_its_name() -> None:
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    without = [rule.__name__ for rule in RULES if not any(name.startswith(rule.__name__) for name in tests)]
    assert without == []
    assert RULES


# Sizes


@pytest.mark.parametrize(
    ("spec", "place", "help_"),
    [
        (SERVER % "sans: [%s]", "4:13", "spread the names over several entries"),
        (SERVER % "sans: a.example, ocsp: [%s]", "4:30", "shorten it"),
        (SERVER % "sans: a.example, ca_issuers: [%s]", "4:36", "shorten it"),
        (SERVER % "sans: a.example, crl_distribution_points: [%s]", "4:49", "shorten it"),
        (SERVER % "sans: a.example, subject: {organization: [%s]}", "4:33", "shorten it"),
        (CA % "name_constraints: {permitted: [%s]}", "2:24", "shorten it"),
    ],
)
def test_certificates_are_read_back(findings: Findings, spec: str, place: str, help_: str) -> None:
    scheme = "http://" if "ocsp" in spec or "issuers" in spec or "points" in spec else ""
    names = [f"{scheme}{number:04}.shop.example" for number in range(900)]
    (found,) = findings(spec % ", ".join(names))
    assert found.startswith(f"{place} error[certificate-too-large]: the certificate of ")
    assert found.endswith(f" bytes, the limit is 16384 ({help_})")
    assert findings(spec % ", ".join(names[:200])) == []


# Names


@pytest.mark.parametrize("section", ["servers", "peers"])
@pytest.mark.parametrize("sans", ["", "sans: []", "sans: ~"])
def test_servers_have_names(findings: Findings, section: str, sans: str) -> None:
    text = f"version: 1\nca:\n{section}:\n  a: {{%s}}\n"
    assert findings(text % sans) == [
        (
            f"4:3 error[missing-sans]: {section}/a has no name that a client could check "
            "(add `sans:`, for example [api.shop.example, 127.0.0.1])"
        ),
    ]
    assert findings(text % "sans: a.example") == []


def test_servers_have_names_but_clients_need_none(findings: Findings) -> None:
    assert findings(CLIENT % "") == []


@pytest.mark.parametrize(
    ("sans", "column", "name"),
    [
        ("[a.example, b.example, a.example]", 36, "DNS:a.example"),
        ("[a.example, A.example]", 25, "DNS:a.example"),
        ("[a.example, DNS:a.example]", 25, "DNS:a.example"),
        ("['::1', '0::1']", 21, "IP:::1"),
        ("[bücher.example, xn--bcher-kva.example]", 30, "DNS:xn--bcher-kva.example"),
    ],
)
def test_names_are_unique(findings: Findings, sans: str, column: int, name: str) -> None:
    assert findings(SERVER % f"sans: {sans}") == [f"4:{column} error[duplicate-san]: {name} stands twice (remove one)"]


def test_names_are_unique_in_their_entry_only(findings: Findings) -> None:
    assert findings(SERVER % "sans: [a.example, '*.a.example', 'URI:https://a.example']") == []
    assert findings(SERVER % "sans: a.example" + "  b: {sans: a.example}\n") == []


def test_spiffe_ids_stand_alone(findings: Findings) -> None:
    sentence = "clients/a has a SPIFFE id and another URI, which SPIFFE's libraries refuse"
    finding = f"4:{{}} warning[unsupported-by-programs]: {sentence} (give each SPIFFE id an entry of its own)"
    assert findings(CLIENT % "sans: ['spiffe://a/b', c.example, 'spiffe://a/c']") == [finding.format(41)]
    assert findings(CLIENT % "sans: ['urn:ab:c', 'spiffe://a/b']") == [finding.format(26)]
    for fine in ("['spiffe://a/b', c.example, c@c.example]", "['urn:ab:c', 'urn:ab:d']"):
        assert findings(CLIENT % f"sans: {fine}") == []


def test_common_names_are_sans(findings: Findings) -> None:
    assert findings(SERVER % "common_name: b.example, sans: a.example") == [
        (
            "4:20 warning[common-name-not-in-sans]: the common name `b.example` looks like a host and is not among the "
            "names (clients look at `sans` only: add it there, or choose a common name without a dot)"
        )
    ]
    for fine in ("common_name: b.example, sans: [a.example, B.example]", "common_name: The Shop, sans: a.example"):
        assert findings(SERVER % fine) == []


def test_common_names_are_sans_where_the_entry_s_name_is_the_common_name(findings: Findings) -> None:
    text = "version: 1\nca:\nservers:\n  a.example: {sans: b.example}\n"
    (found,) = findings(text)
    assert found.startswith("4:3 warning[common-name-not-in-sans]: the common name `a.example`")


def test_common_names_are_sans_only_where_a_server_is_meant(findings: Findings) -> None:
    assert findings(CLIENT % "common_name: a.example") == []
    assert len(findings(CLIENT % "common_name: a.example, extended_key_usage: [serverAuth]")) == 1


def test_names_are_inside_constraints(findings: Findings) -> None:
    text = "version: 1\nca: {name_constraints: {permitted: [shop.example, 10.0.0.0/8], excluded: x.shop.example}}\n"
    text += "servers:\n  a: {sans: [%s]}\n"
    assert findings(text % "shop.example, b.example, 11.0.0.1, a.x.shop.example") == [
        (
            "4:28 error[outside-constraints]: DNS:b.example is outside the name constraints of cas/ca, "
            "which permits only DNS:shop.example"
        ),
        (
            "4:39 error[outside-constraints]: IP:11.0.0.1 is outside the name constraints of cas/ca, "
            "which permits only IP:10.0.0.0/8"
        ),
        (
            "4:49 error[outside-constraints]: DNS:a.x.shop.example is outside the name constraints of cas/ca, "
            "which excludes DNS:x.shop.example"
        ),
    ]
    assert findings(text % "shop.example, '*.a.shop.example', 10.1.2.3, 'spiffe://elsewhere.example'") == []


def test_names_are_inside_constraints_of_every_ca_above(findings: Findings) -> None:
    text = (
        "version: 1\ncas:\n  root: {name_constraints: {permitted: shop.example}}\n"
        "  sub: {issuer: root, validity: 3y, name_constraints: {permitted: a.shop.example}}\n"
        "servers:\n  a: {issuer: sub, sans: %s}\n"
    )
    assert findings(text % "b.shop.example") == [
        (
            "6:26 error[outside-constraints]: DNS:b.shop.example is outside the name constraints of cas/sub, "
            "which permits only DNS:a.shop.example"
        )
    ]
    assert len(findings(text % "b.example")) == 2
    assert findings(text % "a.shop.example") == []


def test_names_are_inside_constraints_and_a_common_name_that_openssl_takes_for_a_host(findings: Findings) -> None:
    text = "version: 1\nca: {name_constraints: {permitted: shop.example}}\nclients:\n  a: {common_name: %s}\n"
    (found,) = findings(text % "b.example")
    assert found.startswith("4:20 error[outside-constraints]: DNS:b.example is outside")
    for fine in ("a.shop.example", "Mister B.", "b", "b.example, sans: a.shop.example"):
        assert findings(text % fine) == []


UNUSABLE = "version: 1\ncas:\n  root: {name_constraints: {permitted: [shop.example], excluded: [x.shop.example]}}\n"


@pytest.mark.parametrize(
    ("permitted", "expected"),
    [
        ("[b.example]", "4:76 warning[unusable-constraint]: DNS:b.example can never be used: cas/root permits only"),
        ("[x.shop.example]", "4:76 warning[unusable-constraint]: DNS:x.shop.example can never be used: cas/root"),
        # The caret is at the one that is meant, wherever it stands in the list
        ("[z.example, shop.example]", "4:76 warning[unusable-constraint]: DNS:z.example can never be used"),
        ("[shop.example, b.example]", "4:90 warning[unusable-constraint]: DNS:b.example can never be used"),
    ],
)
def test_constraints_can_be_met(findings: Findings, permitted: str, expected: str) -> None:
    form = "  sub: {issuer: root, validity: 3y,         name_constraints: {permitted: %s}}\n"
    (found,) = findings(UNUSABLE + form % permitted)
    assert found.startswith(expected)


@pytest.mark.parametrize("permitted", ["shop.example", "a.shop.example", "example", "10.0.0.0/8", "'URI:b.example'"])
def test_constraints_can_be_met_below_and_beside_those_above(findings: Findings, permitted: str) -> None:
    assert findings(UNUSABLE + f"  sub: {{issuer: root, name_constraints: {{permitted: {permitted}}}}}\n") == []


@pytest.mark.parametrize(
    "base", ["URI:a.example", "URI:.a.example", "email:a.example", "email:.a.example", "o@a.example"]
)
def test_constraints_can_be_met_that_are_those_above(findings: Findings, base: str) -> None:
    text = (
        f"version: 1\ncas:\n  root: {{name_constraints: {{permitted: '{base}'}}}}\n"
        f"  sub: {{issuer: root, name_constraints: {{permitted: '%s'}}}}\n"
    )
    assert findings(text % base) == []
    (found,) = findings(text % base.replace("a.example", "b.example"))
    assert "warning[unusable-constraint]" in found


# Time


def test_children_end_before_issuers(findings: Findings) -> None:
    text = "version: 1\nca: {validity: 2y}\nclients:\n  a: {validity: %s}\n"
    assert [found for found in findings(text % "731d") if "error" in found] == [
        (
            "4:17 error[outlives-issuer]: clients/a would last 731 days, its issuer cas/ca 730 days "
            "(shorten it, or lengthen the issuer's validity)"
        ),
    ]
    assert not [found for found in findings(text % "730d") if "error" in found]


def test_children_end_before_issuers_and_so_do_intermediates(findings: Findings) -> None:
    text = "version: 1\ncas:\n  root: {validity: 8y}\n  sub: {issuer: root, validity: %s}\n"
    assert [found[:27] for found in findings(text % "9y") if "error" in found] == ["4:33 error[outlives-issuer]"]
    assert findings(text % "5y") == []


def test_children_end_before_issuers_that_take_the_default(findings: Findings) -> None:
    text = "version: 1\ncas:\n  root: {validity: 3y}\n  sub: {issuer: root}\n"
    found = [one for one in findings(text) if "error" in one]
    assert [one.partition(":  ")[0][:26] for one in found] == ["4:3 error[outlives-issuer]"]


def test_children_end_before_issuers_and_the_defaults_of_end_entities_are_not_blamed(findings: Findings) -> None:
    text = "version: 1\ndefaults: {validity: 90d}\ncas:\n  root: {validity: 3y}\n  sub: {issuer: root}\n"
    (found,) = (one for one in findings(text) if "outlives-issuer" in one)
    assert found.startswith("5:3 error[outlives-issuer]: cas/sub would last 1825 days")


def test_children_end_before_issuers_at_fixed_times(findings: Findings) -> None:
    text = "version: 1\nca: {not_after: 2030-06-01T00:00:00Z}\nclients:\n  a: {%s}\n"
    assert findings(text % "not_after: 2030-06-01T00:00:01Z") == [
        "4:18 error[outlives-issuer]: clients/a would end on 2030-06-01, its issuer cas/ca on 2030-06-01"
    ]
    assert findings(text % "not_before: 2030-01-01T00:00:00Z, validity: 1y")[0].startswith(
        "4:51 error[outlives-issuer]: clients/a would end on 2030-12-31"
    )
    assert findings(text % "not_after: 2030-06-01T00:00:00Z") == []
    assert findings(text % "validity: 1d") == []


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (
            "not_before: 2030-01-01T00:00:00Z, not_after: 2029-01-01T00:00:00Z",
            "4:52 error[bad-validity]: clients/a would end before it begins",
        ),
        (
            "not_before: 2030-01-01T00:00:00Z, not_after: 2030-01-01T00:00:00Z",
            "4:52 error[bad-validity]: clients/a would end before it begins",
        ),
        (
            "not_before: 1949-12-31T23:59:59Z",
            "4:19 error[bad-validity]: a certificate says years from 1950 to 9999",
        ),
    ],
)
def test_validities_are_whole(findings: Findings, times: str, expected: str) -> None:
    assert findings(CLIENT % times) == [expected]


def test_validities_are_whole_to_the_second(findings: Findings) -> None:
    assert findings(CLIENT % "not_before: 2030-01-01T00:00:00Z, not_after: 2030-01-01T00:00:01Z") == []
    assert findings(CLIENT % "not_before: 1950-01-01T00:00:00Z") == []


@pytest.mark.parametrize("window", ["10d", "11d", "864000s", "239h56m"])
def test_windows_are_shorter_than_validities(findings: Findings, window: str) -> None:
    assert findings(CLIENT % f"validity: 10d, renew_before: {window}") == [
        (
            "4:36 error[window-too-long]: clients/a would be due as soon as it is made "
            "(choose less than its validity of 10 days)"
        )
    ]


@pytest.mark.parametrize("window", ["9d", "239h54m", "99%", "1s"])
def test_windows_are_shorter_than_validities_less_the_backdating(findings: Findings, window: str) -> None:
    assert findings(CLIENT % f"validity: 10d, renew_before: {window}") == []


def test_windows_are_shorter_than_validities_for_cas_and_the_defaults_of_end_entities_are_not_blamed(
    findings: Findings,
) -> None:
    text = "version: 1\ndefaults: {renew_before: 1d, validity: 9d}\nca: {validity: 20d, renew_before: 30d}\n"
    assert findings(text + "clients:\n  a:\n") == [
        (
            "3:35 error[window-too-long]: cas/ca would be due as soon as it is made "
            "(choose less than its validity of 20 days)"
        )
    ]
    assert findings(text.replace("30d}", "10d}") + "clients:\n  a:\n") == []


def test_windows_are_shorter_than_validities_wherever_the_window_stands(findings: Findings) -> None:
    text = "version: 1\ndefaults: {renew_before: 30d}\nca:\nclients:\n  a: {validity: 20d}\n  b: {validity: 60d}\n"
    (found,) = findings(text)
    assert found.startswith("2:26 error[window-too-long]: clients/a would be due as soon as it is made")


def test_authorities_outlast_what_they_issue(findings: Findings) -> None:
    text = "version: 1\nca: {validity: %s}\nclients:\n  a: {validity: 60d}\n"
    assert findings(text % "89d") == [
        (
            "2:16 warning[ca-too-short]: cas/ca lasts 89 days and signs for 60 days: late ones are cut short "
            "(make it last 90 days or more)"
        )
    ]
    assert findings(text % "90d") == []


def test_authorities_outlast_what_they_issue_unless_they_say_when_they_are_due(findings: Findings) -> None:
    text = "version: 1\nca: {validity: 80d, renew_before: 61d}\nclients:\n  a: {validity: 60d}\n"
    assert findings(text) == []


# CAs


THREE = (
    "version: 1\ncas:\n  root: {path_length: %s}\n  a: {issuer: root, validity: 4y}\n  b: {issuer: a, validity: 2y}\n"
)


def test_path_lengths_hold(findings: Findings) -> None:
    assert findings(THREE % "2") == []
    below = "3:23 error[path-too-long]: cas/b is 2 below cas/root, whose path length is "
    assert findings(THREE % "1") == [f"{below}1"]
    assert findings(THREE % "0") == [
        "3:23 error[path-too-long]: cas/a is 1 below cas/root, whose path length is 0",
        f"{below}0",
    ]


def test_path_lengths_hold_for_intermediates_that_say_one(findings: Findings) -> None:
    text = (
        "version: 1\ncas:\n  root:\n  a: {issuer: root, validity: 4y, path_length: %s}\n"
        "  b: {issuer: a, validity: 2y}\n"
    )
    assert findings(text % "0") == ["4:48 error[path-too-long]: cas/b is 1 below cas/a, whose path length is 0"]
    assert findings(text % "1") == []


@pytest.mark.parametrize("name", ["Shop CA", "SHOP ca", "Shop  CA"])
def test_authorities_have_distinct_subjects(findings: Findings, name: str) -> None:
    text = "version: 1\ncas:\n  a: {common_name: Shop CA}\n  b: {common_name: %s}\n"
    assert findings(text % name) == [
        f"4:20 error[duplicate-subject]: cas/b has the same subject as cas/a, CN={name} (choose another `common_name`)"
    ]
    assert findings(text % "Shop CA 2") == []


def test_authorities_have_distinct_subjects_from_what_they_sign(findings: Findings) -> None:
    text = "version: 1\ncas: {a: }\nservers:\n  a: {sans: a.example%s}\n"
    assert findings(text % "") == [
        "4:3 error[subject-of-issuer]: servers/a has its issuer's name, CN=a (choose another common name)"
    ]
    assert findings(text % ", subject: {country: NL}") == []


# Keys


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            CA % "key_usage: cRLSign",
            "2:17 error[key-usage]: cas/ca is a CA and may not sign certificates (add keyCertSign)",
        ),
        (CLIENT % "key_usage: keyCertSign", "4:18 error[key-usage]: keyCertSign and cRLSign are for CAs"),
        (
            CLIENT % "key_usage: [digitalSignature, cRLSign]",
            "4:18 error[key-usage]: keyCertSign and cRLSign are for CAs",
        ),
        (
            CLIENT % "key_usage: [digitalSignature, keyEncipherment]",
            "4:18 error[key-usage]: a key of ecdsa-p256 cannot encipher (leave it at digitalSignature)",
        ),
        (
            CLIENT % "key_usage: [dataEncipherment], key: ed25519",
            "4:18 error[key-usage]: a key of ed25519 cannot encipher (leave it at digitalSignature)",
        ),
        (
            CLIENT % "key_usage: [digitalSignature, encipherOnly]",
            "4:18 error[key-usage]: encipherOnly and decipherOnly mean nothing without keyAgreement",
        ),
        (
            CLIENT % "key_usage: [keyAgreement], key: rsa-2048",
            "4:18 error[key-usage]: a key of rsa-2048 cannot agree on keys",
        ),
        (
            CLIENT % "key_usage: [keyAgreement], key: ed25519",
            "4:18 error[key-usage]: a key of ed25519 cannot agree on keys",
        ),
    ],
)
def test_key_usages_fit(findings: Findings, text: str, expected: str) -> None:
    assert [found for found in findings(text) if "error" in found] == [expected]


@pytest.mark.parametrize(
    "text",
    [
        CA % "key_usage: [keyCertSign]",
        CA % "key_usage: [keyCertSign, cRLSign, digitalSignature]",
        CLIENT % "key_usage: [digitalSignature, keyEncipherment, dataEncipherment], key: rsa-2048",
        CLIENT % "key_usage: [digitalSignature, keyAgreement, decipherOnly]",
        CLIENT % "key_usage: [contentCommitment]",
    ],
)
def test_key_usages_fit_where_they_are_possible(findings: Findings, text: str) -> None:
    assert findings(text) == []


def test_key_usages_fit_the_key_that_is_supplied(findings: Findings) -> None:
    text = CLIENT % "public_key: a.pem, key_usage: [digitalSignature, keyEncipherment]"
    for algorithm, expected in (
        ("rsa-2048", []),
        ("ecdsa-p384", ["a key of ecdsa-p384 cannot encipher (leave it at digitalSignature)"]),
    ):
        key = new_key(algorithm).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (findings.folder / "a.pem").write_bytes(key)
        assert [found.partition("]: ")[2] for found in findings(text)] == expected


def test_key_choices_fit(findings: Findings) -> None:
    assert findings(CA % "key: {rotation: on-renewal}") == [
        (
            "2:22 error[ca-rotation]: a new CA key is always an explicit act "
            "(leave `rotation` out; use `certgen apply --rekey`)"
        )
    ]
    assert findings(CA % "key: {rotation: keep}") == []
    assert findings(CLIENT % "key: {rotation: on-renewal}") == []
    assert findings("version: 1\ndefaults: {key: {rotation: on-renewal}}\nca:\n") == []


@pytest.mark.parametrize("field", ["key: rsa-2048", "key: {rotation: on-renewal}", 'key: {mode: "0600"}'])
def test_key_choices_fit_a_key_that_stays_on_its_host(findings: Findings, field: str) -> None:
    key = new_key("ecdsa-p256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (findings.folder / "a.pem").write_bytes(key)
    (found,) = findings(CLIENT % f"public_key: a.pem, {field}")
    assert found.startswith("4:")
    assert " error[" in found
    assert findings(CLIENT % "public_key: a.pem") == []
    assert findings("version: 1\ndefaults: {key: rsa-2048}\n" + (CLIENT % "public_key: a.pem")[11:]) == []


@pytest.mark.parametrize("algorithm", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_algorithms_are_known_to_programs(findings: Findings, algorithm: str) -> None:
    sentence = "has ML-DSA in its path, which OpenSSL before 3.5, Java 17 and Node 20 refuse (use ecdsa-p256 for these)"
    assert findings(CLIENT % f"key: {algorithm}") == [f"4:12 warning[unsupported-by-programs]: clients/a {sentence}"]
    below = findings(f"version: 1\nca: {{key: {algorithm}}}\nclients:\n  a:\n")
    assert [found.partition(" ")[2] for found in below] == [f"warning[unsupported-by-programs]: clients/a {sentence}"]


def test_algorithms_are_known_to_programs_but_ed25519_to_some_only(findings: Findings) -> None:
    assert findings(CLIENT % "key: ed25519") == [
        (
            "4:12 warning[unsupported-by-programs]: clients/a has an Ed25519 key, which browsers, gRPC and Envoy's "
            "client check refuse (use ecdsa-p256 for these)"
        )
    ]
    assert findings("version: 1\nca: {key: ed25519}\nclients:\n  a:\n") == []
    for fine in ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-4096"):
        assert findings(CLIENT % f"key: {fine}") == []


def test_algorithms_are_known_to_programs_said_once_for_all_that_inherit_it(findings: Findings) -> None:
    text = "version: 1\ndefaults: {key: ed25519}\nca:\nclients:\n  a:\n  b:\n  c: {key: ed25519}\n"
    first, second = findings(text)
    assert first.startswith("2:17 warning[unsupported-by-programs]: clients/a has an Ed25519 key")
    assert "refuse (and 1 more)" in first
    assert second.startswith("7:12 warning[unsupported-by-programs]: clients/c has an Ed25519 key")
    assert "more)" not in second


def test_servers_are_short_lived(findings: Findings) -> None:
    text = "version: 1\nca:\n%s:\n  a: {sans: a.example, validity: %s}\n"
    for section in ("servers", "peers"):
        assert findings(text % (section, "826d")) == [
            (
                f"4:34 warning[long-validity]: {section}/a would last 826 days; Apple's platforms refuse servers "
                "beyond 825 days (1y renews itself)"
            )
        ]
        assert findings(text % (section, "825d")) == []
    assert findings(text % ("clients", "826d")) == []


def test_servers_are_short_lived_at_fixed_times_too(findings: Findings) -> None:
    text = SERVER % "sans: a.example, not_before: 2027-01-01T00:00:00Z, not_after: %s"
    (found,) = findings(text % "2032-01-01T00:00:00Z")
    assert "warning[long-validity]" in found
    assert findings(text % "2028-01-01T00:00:00Z") == []


# Files


def test_supplied_keys_fit(findings: Findings) -> None:
    mine, other = make_ca("Mine", "ecdsa-p256"), make_ca("Other", "ecdsa-p256")
    write_pem(findings.folder / "mine.pem", mine.certificate)
    for name, owner in (("mine.key", mine), ("other.key", other)):
        content = owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (findings.folder / name).write_bytes(content)
    assert findings(CA % "certificate: mine.pem, private_key: other.key") == [
        "2:42 error[ca-key-mismatch]: `other.key` is not the key of `mine.pem`"
    ]
    assert findings(CA % "certificate: mine.pem, private_key: mine.key") == []
    assert findings(CA % "certificate: mine.pem") == []


def test_trust_files_hold_roots(findings: Findings) -> None:
    root = make_ca("Root", "ecdsa-p256")
    issuing = make_ca("Issuing", "ecdsa-p256", root)
    write_pem(findings.folder / "root.pem", root.certificate)
    write_pem(findings.folder / "both.pem", issuing.certificate, root.certificate)
    assert findings(CLIENT % "trust: [ca, root.pem]") == []
    (found,) = findings(CLIENT % "trust: [ca, both.pem]")
    assert found.partition(" ")[2] == (
        "warning[anchor-not-root]: `both.pem` holds an intermediate, which nginx, HAProxy and PostgreSQL refuse to "
        "trust (trust its root)"
    )
    assert found.startswith("4:")


def test_trust_files_hold_roots_that_are_signed_by_themselves(findings: Findings) -> None:
    basic = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    forged = certify(Wish("Root", [basic]), new_key("ecdsa-p256"), forger=new_key("ecdsa-p256"))
    write_pem(findings.folder / "forged.pem", forged)
    assert findings(CLIENT % "trust: forged.pem")
    write_pem(findings.folder / "forged.pem", certify(Wish("Root", [basic]), new_key("ecdsa-p256")))
    assert findings(CLIENT % "trust: forged.pem") == []


def test_validities_are_not_minutes(findings: Findings) -> None:
    text = "version: 1\nca:\nclients:\n  a: {validity: %s}\n"
    (found,) = findings(text % "6m")
    assert found.startswith("4:17 warning[short-validity]: clients/a would last 360 seconds")
    assert "26w or 180d" in found
    assert findings(text % "1h") == []


def test_purposes_are_allowed_above(findings: Findings) -> None:
    text = (
        "version: 1\ncas:\n  root: {}\n  tls: {issuer: root, extended_key_usage: serverAuth}\n"
        "clients:\n  a: {issuer: %s}\nservers:\n  b: {issuer: tls, sans: b.example}\n"
    )
    (found,) = findings(text % "tls")
    assert found.startswith("6:3 error[key-usage]: clients/a is for clientAuth, which its CA cas/tls is not")
    assert findings(text % "root") == []


def test_validities_are_whole_and_longer_than_a_second(findings: Findings) -> None:
    text = "version: 1\nca:\nclients:\n  a: {validity: %s}\n"
    assert "error[bad-validity]: clients/a would be over as soon as it is made" in findings(text % "1s")[0]
    assert not any("error" in found for found in findings(text % "2s"))


def test_supplied_authorities_fit_the_profile(findings: Findings) -> None:
    text = "version: 1\nca: {certificate: mine.pem}\n"
    basic = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    write_pem(findings.folder / "mine.pem", certify(Wish("Bare", [basic]), new_key("ecdsa-p256")))
    (found,) = findings(text)
    assert "warning[ca-profile]: `C=NL, O=Shop BV, CN=Bare` has no keyUsage, which strict verifiers refuse" in found
    write_pem(findings.folder / "mine.pem", make_ca("Whole", "ecdsa-p256").certificate)
    assert findings(text) == []


def test_supplied_authorities_fit_the_profile_and_constrain_what_is_checked(findings: Findings) -> None:
    text = "version: 1\nca: {certificate: mine.pem}\n"
    base = x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Shop BV")]))
    write_pem(findings.folder / "mine.pem", make_ca("Narrow", "ecdsa-p256", permitted=[base]).certificate)
    (found,) = findings(text)
    assert "constrains names of a kind that is not checked here: DirectoryName" in found


# At the second, at the letter, and at the place


def test_validities_are_whole_and_the_caret_is_at_the_one_that_is_not(findings: Findings) -> None:
    found = findings(CLIENT % "validity: 1s")
    assert "4:17 error[bad-validity]: clients/a would be over as soon as it is made" in found


@pytest.mark.parametrize(("end", "is_refused"), [("2029-04-04T23:59:59Z", False), ("2029-04-05T00:00:00Z", True)])
def test_servers_are_short_lived_to_the_second_at_fixed_times(
    findings: Findings, end: str, *, is_refused: bool
) -> None:
    text = SERVER % f"sans: a.example, not_before: 2027-01-01T00:00:00Z, not_after: {end}"
    assert ["long-validity" in found for found in findings(text)] == [True] * is_refused


@pytest.mark.parametrize(("second", "is_refused"), [("59", False), ("58", True)])
def test_children_end_before_issuers_to_the_second_at_fixed_times(
    findings: Findings, second: str, *, is_refused: bool
) -> None:
    times = f"not_before: 2027-01-01T00:00:00Z, not_after: 2027-01-10T23:59:{second}Z"
    text = f"version: 1\nca: {{{times}}}\nclients:\n  a: {{validity: 10d, renew_before: 1d}}\n"
    assert [found for found in findings(text) if "outlives-issuer" in found] == [
        (
            "4:17 error[outlives-issuer]: clients/a would last 10 days, its issuer cas/ca 10.0 days "
            "(shorten it, or lengthen the issuer's validity)"
        )
    ] * is_refused


def test_path_lengths_hold_below_a_ca_that_is_brought(findings: Findings) -> None:
    root = make_ca("Root", "ecdsa-p256")
    write_pem(findings.folder / "path.pem", make_ca("Issuing", "ecdsa-p256", root).certificate, root.certificate)
    text = "version: 1\ncas:\n  mine: {certificate: path.pem}\n  sub: {issuer: mine, validity: 1y}\n"
    assert [found for found in findings(text) if "error" in found] == [
        "3:23 error[path-too-long]: cas/sub is 1 below cas/mine, whose path length is 0"
    ]


def test_names_are_inside_constraints_of_a_ca_that_is_brought(findings: Findings) -> None:
    root = make_ca("Narrow", "ecdsa-p256", permitted=[x509.DNSName("shop.example")])
    write_pem(findings.folder / "mine.pem", root.certificate)
    text = "version: 1\nca: {certificate: mine.pem}\nservers:\n  a: {sans: %s}\n"
    (found,) = findings(text % "b.example")
    assert "DNS:b.example is outside the name constraints of `C=NL, O=Shop BV, CN=Narrow`" in found
    assert findings(text % "a.shop.example") == []


def test_supplied_authorities_fit_the_profile_with_basic_constraints_that_are_critical(findings: Findings) -> None:
    basic = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
    write_pem(
        findings.folder / "mine.pem", certify(Wish("Lax", [basic, key_usage("key_cert_sign")]), new_key("ed25519"))
    )
    assert findings("version: 1\nca: {certificate: mine.pem}\n") == [
        (
            "2:19 warning[ca-profile]: `C=NL, O=Shop BV, CN=Lax` has a basicConstraints that is not critical, which "
            "strict verifiers refuse (have it signed again, or expect refusals)"
        )
    ]


def test_supplied_authorities_fit_the_profile_with_a_name_and_a_key_identifier(findings: Findings) -> None:
    text = "version: 1\nca: {certificate: mine.pem}\n"
    basic, usages = x509.BasicConstraints(ca=True, path_length=None), key_usage("key_cert_sign")
    key, plain = new_key("ed25519"), certify(Wish("Mine"), new_key("ed25519"))
    for subject, fault in (
        (x509.Name([]), "`` has an empty subject, which strict verifiers refuse"),
        (plain.subject, "`C=NL, O=Shop BV, CN=Mine` has no subjectKeyIdentifier, which strict verifiers refuse"),
    ):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(plain.not_valid_before_utc)
        builder = builder.not_valid_after(plain.not_valid_after_utc).add_extension(basic, critical=True)
        builder = builder.add_extension(usages.value, critical=True)
        if not subject.rdns:
            builder = builder.add_extension(x509.SubjectKeyIdentifier(b"1234"), critical=False)
        write_pem(findings.folder / "mine.pem", builder.sign(key, None))
        (found,) = findings(text)
        assert f"warning[ca-profile]: {fault} (have it" in found


def test_common_names_are_sans_of_every_server(findings: Findings) -> None:
    text = "version: 1\nca:\nclients:\n  c:\nservers:\n  a: {sans: a.example}\n"
    (found,) = findings(text + "  b: {common_name: b.example, sans: a.example}\n")
    assert "warning[common-name-not-in-sans]: the common name `b.example`" in found


def test_constraints_can_be_met_where_none_are_added(findings: Findings) -> None:
    assert findings(UNUSABLE + "  sub: {issuer: root}\n") == []


def test_validities_are_whole_up_to_the_last_year_that_a_certificate_can_say(findings: Findings) -> None:
    assert not [found for found in findings(CLIENT % "not_after: 9999-12-31T23:59:59Z") if "bad-validity" in found]
    before = findings(CLIENT % "not_before: 1948-01-01T00:00:00Z, not_after: 1949-12-31T23:59:59Z")
    assert [found[:5] for found in before if "years from 1950 to 9999" in found] == ["4:19 ", "4:52 "]


def test_windows_are_shorter_than_validities_to_the_second(findings: Findings) -> None:
    """Ten days less the five minutes of backdating."""
    (found,) = findings(CLIENT % "validity: 10d, renew_before: 863700s")
    assert "error[window-too-long]" in found
    assert findings(CLIENT % "validity: 10d, renew_before: 863699s") == []


def test_children_end_before_issuers_and_short_lives_are_told_in_seconds(findings: Findings) -> None:
    text = "version: 1\nca: {validity: 2h}\nclients:\n  a: {validity: 3h}\n"
    (found,) = (one for one in findings(text) if "outlives-issuer" in one)
    assert "clients/a would last 10800 seconds, its issuer cas/ca 7200 seconds" in found


def test_purposes_are_allowed_above_and_the_caret_is_at_those_that_are_not(findings: Findings) -> None:
    text = (
        "version: 1\ncas:\n  root:\n  mail: {issuer: root, extended_key_usage: emailProtection}\n"
        "peers:\n  a: {issuer: mail, sans: a.example, extended_key_usage: [serverAuth, clientAuth]}\n"
    )
    assert [found for found in findings(text) if "error" in found] == [
        "6:58 error[key-usage]: peers/a is for clientAuth, serverAuth, which its CA cas/mail is not"
    ]


def test_algorithms_are_known_to_programs_of_a_key_that_stays_on_its_host(findings: Findings) -> None:
    key = new_key("ed25519").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (findings.folder / "a.pem").write_bytes(key)
    (found,) = findings(CLIENT % "public_key: a.pem")
    assert "clients/a has an Ed25519 key" in found


def test_windows_are_shorter_than_validities_also_after_one_with_a_fixed_end(findings: Findings) -> None:
    text = (
        "version: 1\nca:\nclients:\n  a: {not_after: 2030-01-01T00:00:00Z}\n  b: {validity: 10d, renew_before: 11d}\n"
    )
    assert [found for found in findings(text) if "window-too-long" in found] == [
        (
            "5:36 error[window-too-long]: clients/b would be due as soon as it is made "
            "(choose less than its validity of 10 days)"
        )
    ]


def test_constraints_can_be_met_by_every_ca_and_all_that_is_permitted_is_told(findings: Findings) -> None:
    text = (
        "version: 1\ncas:\n  root: {name_constraints: {permitted: [a.example, b.example]}}\n"
        "  plain: {issuer: root}\n  sub: {issuer: root, name_constraints: {permitted: c.example}}\n"
    )
    (found,) = findings(text)
    assert "DNS:c.example can never be used: cas/root permits only DNS:a.example, DNS:b.example" in found


def test_supplied_authorities_fit_the_profile_and_every_kind_that_is_not_checked_is_told(findings: Findings) -> None:
    name = x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Shop BV")]))
    bases = [x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), name]
    write_pem(findings.folder / "mine.pem", make_ca("Narrow", "ecdsa-p256", permitted=bases).certificate)
    (found,) = findings("version: 1\nca: {certificate: mine.pem}\n")
    assert "a kind that is not checked here: DirectoryName, RegisteredID" in found
