"""The texts in a spec's fields: what they mean, and the sentence for each that means nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from certgen.lifetime import RenewBefore
from certgen.protection import KeyRotation
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, NameAttribute
from certgen.spec import fields

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86400

key_usage = fields.member_of(KeyUsage, "key usage")
rotation = fields.member_of(KeyRotation, "rotation")
attribute = {one: partial(fields.attribute_value, one) for one in NameAttribute}

READERS: list[Callable[[str], object]] = [
    fields.text,
    fields.integer,
    fields.version,
    fields.entry_name,
    fields.general_name,
    fields.constraint_base,
    fields.key_algorithm,
    fields.purpose,
    fields.file_mode,
    fields.duration,
    fields.renew_before,
    fields.moment,
    fields.url,
    key_usage,
    rotation,
    *attribute.values(),
]


def refusal(read: Callable[[str], object], value: object) -> str:
    """Give code, sentence and help of a refusal."""
    with pytest.raises(PydanticCustomError) as caught:
        read(value)  # type: ignore[arg-type]  # a spec may hold anything
    assert caught.value.type == "certgen"
    context = caught.value.context
    assert context is not None
    assert caught.value.message() == context["message"]
    return f"{context['code']}: {context['message']}" + (f" ({context['help']})" if context["help"] else "")


# Texts


def test_a_text_is_itself() -> None:
    assert fields.text("Büro 1") == "Büro 1"
    assert fields.text("a  b") == "a  b"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "wrong-type: a text is expected here, not nothing"),
        ({}, "wrong-type: a text is expected here, not a mapping"),
        ([], "wrong-type: a text is expected here, not a list"),
        ("", "empty-value: the text is empty"),
        (" ", "empty-value: the text is empty"),
        ("\u3000", "empty-value: the text is empty"),
        ("a\nb", "control-character: a control or direction character is not allowed here"),
        ("a\x1b[31m", "control-character: a control or direction character is not allowed here"),
        ("a\0", "control-character: a control or direction character is not allowed here"),
        ("a\x9bm", "control-character: a control or direction character is not allowed here"),
        ("a\u202eb", "control-character: a control or direction character is not allowed here"),
        ("a\u2066b", "control-character: a control or direction character is not allowed here"),
        (" a", "outer-blank: the text begins or ends with a blank"),
        ("a ", "outer-blank: the text begins or ends with a blank"),
    ],
)
def test_what_is_no_text_of_one_line_is_refused(value: object, expected: str) -> None:
    assert refusal(fields.text, value) == expected


def test_a_plain_value_is_called_what_a_reader_of_yaml_calls_it() -> None:
    values: list[object] = [None, {}, [], "x"]
    assert list(map(fields.kind_of, values)) == ["nothing", "a mapping", "a list", "a text"]


def test_a_scalar_is_a_list_of_one() -> None:
    assert fields.listed("a") == ["a"]
    assert fields.listed(["a", "b"]) == ["a", "b"]
    assert fields.listed({"a": "b"}) == {"a": "b"}


def test_a_brace_in_a_text_is_no_placeholder() -> None:
    assert (
        refusal(fields.duration, "{code}")
        == "bad-duration: `{code}` is not a duration (for example 90d, 12h, 4w or 1y)"
    )


# Numbers and names


@pytest.mark.parametrize(("written", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999_999_999)])
def test_a_whole_number_is_read(written: str, number: int) -> None:
    assert fields.integer(written) == number


@pytest.mark.parametrize("written", ["-1", "+1", "1.0", "1e3", "0x1", "one", "1_000", "1000000000", "٣", "²"])
def test_what_is_no_whole_number_is_refused(written: str) -> None:
    assert refusal(fields.integer, written) == f"not-a-number: `{written}` is not a whole number"


def test_there_is_one_language_version() -> None:
    assert fields.version("1") == 1
    assert (
        refusal(fields.version, "2")
        == "unknown-version: language version 2 is not known (this certgen knows version 1)"
    )
    assert refusal(fields.version, "0").startswith("unknown-version")
    assert refusal(fields.version, "1.0") == "not-a-number: `1.0` is not a whole number"


@pytest.mark.parametrize("name", ["a", "0", "api", "etcd-0", "a.b_c-d", "a" * 63, "a-.b"])
def test_a_name_that_can_be_a_folder_is_read(name: str) -> None:
    assert fields.entry_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a",
        "a-",
        ".a",
        "a.",
        "_a",
        "A",
        "a b",
        "a/b",
        "a\\b",
        "ü",
        "a" * 64,
        "a\n",
        "a\0",
        "../x",
    ],
)
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    assert refusal(fields.entry_name, name) == (
        f"bad-name: `{name}` cannot be a name, which is also a folder's "
        "(use up to 63 of a-z, 0-9, `.`, `_` and `-`, a letter or digit first and last)"
    )


# Names in certificates


def test_a_general_name_and_a_base_are_read() -> None:
    assert str(fields.general_name("API.shop.example")) == "DNS:api.shop.example"
    assert str(fields.constraint_base("10.0.0.0/8")) == "IP:10.0.0.0/8"


def test_a_bad_name_is_quoted_with_its_sentence_and_help() -> None:
    assert refusal(fields.general_name, "a:1") == "bad-san: `a:1`: a name in a certificate has no port (write `a`)"
    assert refusal(fields.constraint_base, "10.0.0.1/8") == (
        "bad-constraint: `10.0.0.1/8`: not an IP network (write `10.0.0.0/8`)"
    )
    assert refusal(fields.constraint_base, "a b").startswith("bad-constraint: `a b`: not a DNS name")


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        (NameAttribute.COMMON_NAME, 64),
        (NameAttribute.ORGANIZATION, 64),
        (NameAttribute.ORGANIZATIONAL_UNIT, 64),
        (NameAttribute.SERIAL_NUMBER, 64),
        (NameAttribute.LOCALITY, 128),
        (NameAttribute.STATE, 128),
        (NameAttribute.STREET_ADDRESS, 128),
        (NameAttribute.POSTAL_CODE, 40),
        (NameAttribute.DOMAIN_COMPONENT, 63),
    ],
)
def test_an_attribute_is_as_long_as_the_rfc_allows(name: NameAttribute, limit: int) -> None:
    assert attribute[name]("a" * limit) == "a" * limit
    expected = f"too-long: {name} has {limit + 1} characters, RFC 5280 allows {limit}"
    assert refusal(attribute[name], "a" * (limit + 1)) == expected


def test_every_attribute_but_the_country_has_a_limit() -> None:
    assert set(fields.LONGEST_ATTRIBUTE) == set(NameAttribute) - {NameAttribute.COUNTRY}


def test_the_limit_counts_characters_not_bytes() -> None:
    assert attribute[NameAttribute.ORGANIZATION]("ü" * 64) == "ü" * 64


def test_a_country_is_two_letters_in_upper_case() -> None:
    country = attribute[NameAttribute.COUNTRY]
    assert country("NO") == "NO"
    assert country("nl") == "NL"
    for wrong in ("NLD", "N", "1A", "ÜÜ", "Netherlands"):
        assert refusal(country, wrong) == (
            f"bad-country: `{wrong}` is not a country (use the two letters of ISO 3166, for example NL)"
        )


def test_a_serial_number_is_a_printable_string() -> None:
    serial_number = attribute[NameAttribute.SERIAL_NUMBER]
    assert serial_number("A-1 (b)'+,./:=?") == "A-1 (b)'+,./:=?"
    for wrong in ("a@b", "ü", "a*", "a_b", "a&b"):
        assert refusal(serial_number, wrong).startswith("bad-serial-number: a serial number is a PrintableString")


def test_a_domain_component_is_ascii() -> None:
    domain_component = attribute[NameAttribute.DOMAIN_COMPONENT]
    assert domain_component("shop") == "shop"
    assert refusal(domain_component, "bücher") == (
        "bad-domain-component: a domain component is ASCII (write the label as an A-label)"
    )


# Closed sets


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_every_key_algorithm_is_read(algorithm: KeyAlgorithm) -> None:
    assert fields.key_algorithm(algorithm.value) is algorithm


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ecdsa", "ecdsa-p256"),
        ("P-256", "ecdsa-p256"),
        ("prime256v1", "ecdsa-p256"),
        ("secp384r1", "ecdsa-p384"),
        ("ECDSA-P521", "ecdsa-p521"),
        ("ecdsa_p384", "ecdsa-p384"),
        ("Ed25519", "ed25519"),
        ("rsa", "rsa-3072"),
        ("RSA4096", "rsa-4096"),
        ("rsa-2047", "rsa-2048"),
        ("mldsa", "ml-dsa-65"),
        ("mldsa44", "ml-dsa-44"),
    ],
)
def test_another_spelling_of_a_key_algorithm_gets_a_proposal(written: str, meant: str) -> None:
    found = refusal(fields.key_algorithm, written)
    if written == "rsa-2047":
        assert found.startswith("weak-key")
    else:
        assert found == f"unknown-value: unknown key algorithm `{written}` (did you mean `{meant}`?)"


def test_a_key_algorithm_like_no_other_gets_the_list() -> None:
    found = refusal(fields.key_algorithm, "gost")
    assert found == f"unknown-value: unknown key algorithm `gost` (one of {', '.join(KeyAlgorithm)})"


@pytest.mark.parametrize(("written", "bits"), [("rsa-1024", "1024"), ("RSA512", "512"), ("rsa_2047", "2047")])
def test_a_weak_rsa_key_is_refused_as_such(written: str, bits: str) -> None:
    assert refusal(fields.key_algorithm, written) == (
        f"weak-key: an RSA key of {bits} bits is too weak (use `rsa-3072`, or `ecdsa-p256`)"
    )


def test_usages_are_spelled_as_in_the_rfc() -> None:
    assert [fields.purpose(one.value) for one in ExtendedKeyUsage] == list(ExtendedKeyUsage)
    assert [key_usage(one.value) for one in KeyUsage] == list(KeyUsage)


@pytest.mark.parametrize(
    ("read", "written", "expected"),
    [
        (fields.purpose, "ServerAuth", "unknown extended key usage `ServerAuth` (did you mean `serverAuth`?)"),
        (fields.purpose, "client_auth", "unknown extended key usage `client_auth` (did you mean `clientAuth`?)"),
        (fields.purpose, "ocspsigning", "unknown extended key usage `ocspsigning` (did you mean `OCSPSigning`?)"),
        (key_usage, "digital_signature", "unknown key usage `digital_signature` (did you mean `digitalSignature`?)"),
        (key_usage, "crlSign", "unknown key usage `crlSign` (did you mean `cRLSign`?)"),
        (rotation, "on_renewal", "unknown rotation `on_renewal` (did you mean `on-renewal`?)"),
        (rotation, "never", "unknown rotation `never` (one of keep, on-renewal)"),
    ],
)
def test_another_spelling_of_a_value_gets_a_proposal(
    read: Callable[[object], object], written: str, expected: str
) -> None:
    assert refusal(read, written) == f"unknown-value: {expected}"


@pytest.mark.parametrize("written", ["anyExtendedKeyUsage", "AnyExtendedKeyUsage"])
def test_the_usage_for_anything_is_refused(written: str) -> None:
    assert refusal(fields.purpose, written) == (
        "any-usage: anyExtendedKeyUsage is refused by TLS programs (name the purposes)"
    )


def test_a_proposal_is_by_synonym_then_by_spelling_then_by_nearness() -> None:
    names = ["validity", "not_after"]
    assert fields.did_you_mean("expire", names, {"expire": "validity"}) == "validity"
    assert fields.did_you_mean("expire", ["not_after"], {"expire": "validity"}) is None
    assert fields.did_you_mean("NotAfter", names, {}) == "not_after"
    assert fields.did_you_mean("validty", names, {}) == "validity"
    assert fields.did_you_mean("colour", names, {}) is None


# Modes


@pytest.mark.parametrize(
    ("written", "mode"),
    [("0600", 0o600), ("600", 0o600), ("0o640", 0o640), ("o640", 0o640), ("0400", 0o400), ("0440", 0o440)],
)
def test_a_mode_is_read(written: str, mode: int) -> None:
    assert fields.file_mode(written) == mode


@pytest.mark.parametrize("written", ["0644", "0660", "0700", "777", "0040", "0000", "0200", "0601"])
def test_a_mode_that_does_not_fit_a_private_key_is_refused(written: str) -> None:
    assert refusal(fields.file_mode, written) == (
        f"bad-mode: {int(written, 8):04o} is not a mode for a private key (use 0400, 0440, 0600 or 0640)"
    )


@pytest.mark.parametrize("written", ["rw-------", "0680", "06000", "1600", "60", "0x180", "٦٠٠"])
def test_what_is_no_mode_is_refused(written: str) -> None:
    assert refusal(fields.file_mode, written) == (
        f'bad-mode: `{written}` is not a file mode (for example "0600" or "0640")'
    )


# Time


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1),
        ("90m", 5400),
        ("12h", 43200),
        ("90d", 90 * DAY),
        ("2w", 14 * DAY),
        ("1y", 365 * DAY),
        ("2160h", 90 * DAY),
        ("1h30m", 5400),
        ("100y", 36500 * DAY),
    ],
)
def test_a_duration_is_read_in_seconds(written: str, seconds: int) -> None:
    assert fields.duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "90",
        "1",
        "d",
        "1 d",
        "-1d",
        "+1d",
        "1.5h",
        "1x",
        "1D",
        "1mo",
        "1d-1h",
        "P1D",
        "90 days",
        "1d,1h",
        "\u0661d",
        "1e3s",
    ],
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    assert refusal(fields.duration, written) == (
        f"bad-duration: `{written}` is not a duration (for example 90d, 12h, 4w or 1y)"
    )


@pytest.mark.parametrize("written", ["0d", "0s", "101y", "36501d"])
def test_a_duration_that_nobody_means_is_refused(written: str) -> None:
    assert refusal(fields.duration, written) == (
        f"bad-duration: `{written}` is not between a second and a hundred years"
    )


def test_a_duration_of_absurd_length_is_refused_at_once() -> None:
    assert refusal(fields.duration, "9" * 100_000 + "d").startswith("bad-duration")
    assert refusal(fields.duration, "99999999999999y").startswith("bad-duration")


def test_a_window_is_a_duration_or_a_percentage() -> None:
    assert fields.renew_before("30d") == RenewBefore(seconds=30 * DAY)
    assert fields.renew_before("33%") == RenewBefore(share=Fraction(33, 100))
    assert fields.renew_before("1%").share == Fraction(1, 100)
    assert fields.renew_before("99%").share == Fraction(99, 100)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0%", "a window of 0% would renew only what has ended (for example 33%)"),
        ("00%", "a window of 0% would renew only what has ended (for example 33%)"),
        ("100%", "`100%` is not a percentage between 1% and 99%"),
        ("-5%", "`-5%` is not a percentage between 1% and 99%"),
        ("33.3%", "`33.3%` is not a percentage between 1% and 99%"),
        ("%", "`%` is not a percentage between 1% and 99%"),
        ("a third", "`a third` is not a duration (for example 90d, 12h, 4w or 1y)"),
        ("0d", "`0d` is not between a second and a hundred years"),
    ],
)
def test_what_is_no_window_is_refused(written: str, expected: str) -> None:
    assert refusal(fields.renew_before, written) == f"bad-duration: {expected}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31t00:00:00z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31 00:00:00Z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T00:00:00+02:00", datetime(2027, 1, 30, 22, tzinfo=UTC)),
        ("2027-01-31T23:00:00-01:30", datetime(2027, 2, 1, 0, 30, tzinfo=UTC)),
        ("2027-01-31T00:00:00.000Z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc(written: str, expected: datetime) -> None:
    found = fields.moment(written)
    assert found == expected
    assert found.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize(
    "written",
    [
        "2027-01-31",
        "2027-01-31T00:00Z",
        "2027-01-31T00:00:00",
        "tomorrow",
        "20270131T000000Z",
        "2027-01-31T00:00:00.5Z",
    ],
)
def test_what_is_no_rfc_3339_time_is_refused(written: str) -> None:
    assert refusal(fields.moment, written) == (
        f"bad-time: `{written}` is not an RFC 3339 time (for example 2027-01-31T00:00:00Z)"
    )


@pytest.mark.parametrize(
    "written",
    [
        "2027-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-01-01T25:00:00Z",
        "2027-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "2027-01-01T00:00:00+25:00",
    ],
)
def test_a_time_outside_the_calendar_is_refused(written: str) -> None:
    assert refusal(fields.moment, written) == f"bad-time: `{written}` is not a time of the calendar"


def test_a_time_on_the_command_line_may_be_a_duration_after_a_plus() -> None:
    assert fields.read_moment("+30d") == (30 * DAY, None)
    assert fields.read_moment("2027-01-31T00:00:00Z") == (None, datetime(2027, 1, 31, tzinfo=UTC))
    for wrong in ("30d", "+tomorrow", "tomorrow", "", "+"):
        assert fields.read_moment(wrong) == (None, None)


# URLs


@pytest.mark.parametrize(
    "written",
    ["http://pki.shop.example/root.crl", "https://[::1]:8443/x", "ldap://ldap.shop.example/cn=x?y", "ldaps://x/"],
)
def test_a_url_is_read(written: str) -> None:
    assert fields.url(written) == written


@pytest.mark.parametrize(
    "written", ["pki.shop.example", "ftp://x/y", "http://", "http:///x", "http://a b/", "http://bücher/", "http://[x/"]
)
def test_what_is_no_url_is_refused(written: str) -> None:
    assert refusal(fields.url, written) == (
        f"bad-url: `{written}` is not a URL (for example http://pki.shop.example/root.crl)"
    )


# Any text

_TEXTS = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[0-9]{1,20}(ns|us|ms|mo|[smhdwy%]){1,3}", fullmatch=True),
    st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0)?(Z|[+-]\d\d:\d\d)", fullmatch=True),
    st.from_regex(r"https?://[!-~]{0,12}", fullmatch=True),
    st.none(),
    st.lists(st.text(max_size=3), max_size=2),
)


@pytest.mark.parametrize("read", [reader for reader in READERS if reader is not fields.entry_name])
@settings(deadline=None, max_examples=60)
@example("1ns1d")
@example("2027-01-01T00:00:00+99:99")
@given(value=_TEXTS)
def test_any_text_is_read_or_refused_with_a_code(read: Callable[[object], object], value: object) -> None:
    try:
        found = read(value)
    except PydanticCustomError:
        assert refusal(read, value).partition(":")[0]
        return
    assert found is not None
