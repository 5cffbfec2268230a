"""A conversation for people and as JSON; for every cause that there is something to do about, what to do."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from foreign.hierarchy import SERVER, Wish, certify, end_entity_extensions, make_ca, new_key

from certgen.certificates import parse_certificate
from certgen.report import json_v1
from certgen.report.conversation import conversation, describe_refusal, render_answer
from certgen.report.paint import Style
from certgen.talk.connect import Answer, Session, Target
from certgen.tls.causes import SENTENCES, Cause, Refusal, Side

TARGET = Target("127.0.0.1", 8443, "/", "api.shop.example")
NAMES = (x509.DNSName("api.shop.example"), x509.DNSName("localhost"))
DER = certify(
    Wish("api", end_entity_extensions((SERVER,), NAMES)), new_key("ecdsa-p256"), make_ca("Shop CA", "ecdsa-p256")
).public_bytes(Encoding.DER)
SERVER_CERTIFICATE = parse_certificate(DER)
SESSION = Session("TLS 1.3", "TLS_AES_256_GCM_SHA384", SERVER_CERTIFICATE)
WELCOME = Answer(TARGET, SESSION, None, 200, "OK", b"hello\nworld\n")


def refused(side: Side, cause: Cause) -> Answer:
    return Answer(TARGET, None, Refusal(side, cause, "words of OpenSSL"))


# For people


def test_an_answer_in_full() -> None:
    assert render_answer(WELCOME, "clients/checkout") == (
        "connected  TLS 1.3, TLS_AES_256_GCM_SHA384, as clients/checkout\n"
        "server     C=NL, O=Shop BV, CN=api\n"
        "names      DNS:api.shop.example, DNS:localhost\n"
        "issuer     C=NL, O=Shop BV, CN=Shop CA\n"
        f"until      {SERVER_CERTIFICATE.not_after:%Y-%m-%d %H:%M}Z\n"
        "answer     200 OK\n"
        "\n"
        "hello\n"
        "world\n"
    )


def test_only_what_there_was_is_shown() -> None:
    assert render_answer(refused(Side.CLIENT, Cause.EXPIRED), "x") == ""
    assert render_answer(replace(WELCOME, status=None, body=b""), "x").splitlines()[-1].startswith("until ")
    assert render_answer(replace(WELCOME, body=b""), "x").endswith("answer     200 OK\n")


def test_labels_are_strong_and_nothing_else_is() -> None:
    styles: dict[str, Style] = {}

    def paint(text: str, style: Style) -> str:
        styles[text] = style
        return text

    assert render_answer(WELCOME, "x", paint) == render_answer(WELCOME, "x")
    labels = ("connected", "server", "names", "issuer", "until", "answer")
    assert styles == dict.fromkeys(labels, Style.STRONG)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("\u202eabc".encode(), "\\u202eabc"),
        (b"a\tb", "a   b"),
        (b"a\r\nb", "a\nb"),
        (b"a\x00b\x07", "a\\x00b\\x07"),
        (b"a\rb", "a\nb"),
        ("größe 日本".encode(), "größe 日本"),
    ],
)
def test_what_came_back_cannot_steer_a_terminal(body: bytes, shown: str) -> None:
    assert render_answer(replace(WELCOME, body=body), "x").split("\n\n")[1] == f"{shown}\n"


def test_a_phrase_and_a_name_cannot_either() -> None:
    evil = "\x1b[31m\r\n"
    subject = replace(SERVER_CERTIFICATE.subject, attributes=(("common_name", evil),))
    server = replace(SERVER_CERTIFICATE, subject=subject, issuer=subject)
    answer = replace(WELCOME, phrase=evil, session=Session("TLS 1.3", evil, server))
    text = render_answer(answer, "x")
    assert "\x1b" not in text
    assert "\r" not in text
    assert len(text.splitlines()) == 9


# What to do


WITHOUT_REMEDY = {
    Side.SERVER: {Cause.WRONG_NAME, Cause.OUTSIDE_CONSTRAINTS, Cause.PATH_TOO_LONG, Cause.BAD_SIGNATURE, Cause.OTHER},
    Side.CLIENT: {
        Cause.NO_CERTIFICATE,
        Cause.OUTSIDE_CONSTRAINTS,
        Cause.PATH_TOO_LONG,
        Cause.BAD_SIGNATURE,
        Cause.NOT_ALLOWED,
        Cause.BAD_CERTIFICATE,
        Cause.CLOSED,
        Cause.OTHER,
    },
}
"""What a side never finds, or what is not to be mended by whoever connects."""


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("cause", Cause)
def test_a_refusal_says_who_and_why_and_what_to_do(side: Side, cause: Cause) -> None:
    problem = describe_refusal(refused(side, cause))
    assert (problem.code, problem.is_error, problem.where) == ("refused", True, "https://api.shop.example:8443")
    assert problem.message == f"the {side} refuses because {SENTENCES[cause]} (words of OpenSSL)"
    if problem.help is None:
        assert cause in WITHOUT_REMEDY[side]


def test_a_wrong_name_is_told_with_those_that_are_right() -> None:
    answer = refused(Side.CLIENT, Cause.WRONG_NAME)
    assert (
        describe_refusal(answer, ("DNS:a", "IP:1.2.3.4")).help
        == "it bears DNS:a, IP:1.2.3.4; `--name` asks for another"
    )
    assert describe_refusal(answer).help == "`--name` asks for another"


def test_an_answer_that_is_no_welcome_is_told_by_its_status() -> None:
    problem = describe_refusal(replace(WELCOME, status=404, phrase="Not Found"))
    assert (problem.code, problem.message) == ("refused", "the server answers 404 Not Found")
    assert problem.help == "look in the server's log"


def test_an_address_of_ipv6_is_a_url_that_can_be_typed_again() -> None:
    answer = replace(refused(Side.SERVER, Cause.EXPIRED), target=Target("::1", 8443, "/", "::1"))
    assert describe_refusal(answer).where == "https://[::1]:8443"


# JSON


def told(answer: Answer) -> dict[str, Any]:
    """Give an answer as a program reads it, without the head that all answers have."""
    document = json.loads(json_v1.render("connect", conversation(answer)))
    assert (document.pop("version"), document.pop("command")) == (1, "connect")
    assert isinstance(document, dict)
    return document


def test_an_answer_as_json_to_the_key() -> None:
    document = told(WELCOME)
    assert [document.pop(key) for key, value in tuple(document.items()) if value == "TLS 1.3"] == ["TLS 1.3"]
    assert document == {
        "cipher": "TLS_AES_256_GCM_SHA384",
        "server": "C=NL, O=Shop BV, CN=api",
        "server_names": ["DNS:api.shop.example", "DNS:localhost"],
        "refused_by": None,
        "cause": None,
        "words": None,
        "status": 200,
        "body": "hello\nworld\n",
    }


def test_a_refusal_as_json_has_the_same_keys() -> None:
    document = told(refused(Side.SERVER, Cause.WRONG_PURPOSE))
    assert set(document) == set(told(WELCOME))
    assert {key: value for key, value in document.items() if value} == {
        "refused_by": "server",
        "cause": "wrong_purpose",
        "words": "words of OpenSSL",
    }


def test_json_holds_what_came_back_escaped() -> None:
    text = json.dumps(conversation(replace(WELCOME, body=b"\x1b[31m\xff\xe2\x80\xae")))
    assert text.isascii()
    assert "\x1b" not in text
