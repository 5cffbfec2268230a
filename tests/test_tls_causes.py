"""Why a handshake fails, from OpenSSL's words for it: who refused, and one cause of a closed set."""

import re
import ssl

import pytest

from certgen.tls.causes import SENTENCES, Cause, Refusal, Side, refusal_of, refusal_of_connection


def alert(reason: str) -> ssl.SSLError:
    """What ssl raises where the other side has sent an alert, or its own side gives up."""
    problem = ssl.SSLError(1, f"[SSL: {reason}] words (_ssl.c:1006)")
    problem.reason = reason
    return problem


def verification(code: int, words: str) -> ssl.SSLCertVerificationError:
    """What ssl raises where one's own side refuses the certificate of the other."""
    problem = ssl.SSLCertVerificationError(1, "certificate verify failed")
    problem.reason, problem.verify_code, problem.verify_message = "CERTIFICATE_VERIFY_FAILED", code, words
    return problem


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_sentence_that_goes_on_after_because(cause: Cause) -> None:
    sentence = str(Refusal(Side.SERVER, cause, ""))
    assert re.fullmatch(r"the server refuses because [a-z].*[a-z]", sentence)
    assert "because of" in sentence or re.search(r"\b(was|is|has|have|does|stand)\b", sentence.split("because ")[1])


def test_no_two_causes_have_one_sentence() -> None:
    assert len(set(SENTENCES.values())) == len(Cause)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (ssl_code, cause)
        for cause, codes in {
            Cause.UNKNOWN_AUTHORITY: (2, 18, 19, 20, 21),
            Cause.BAD_SIGNATURE: (7,),
            Cause.NOT_YET_VALID: (9,),
            Cause.EXPIRED: (10,),
            Cause.PATH_TOO_LONG: (25,),
            Cause.WRONG_PURPOSE: (26,),
            Cause.OUTSIDE_CONSTRAINTS: (47, 48),
            Cause.WRONG_NAME: (62, 63, 64),
            Cause.OTHER: (1, 24, 34, 85, 9999),
        }.items()
        for ssl_code in codes
    ],
)
@pytest.mark.parametrize("side", Side)
def test_what_ones_own_side_verifies_is_its_own_refusal(code: int, cause: Cause, side: Side) -> None:
    assert refusal_of(side, verification(code, "words")) == Refusal(side, cause, "words")


def test_a_mismatch_of_a_kind_that_has_no_code_is_a_wrong_name() -> None:
    words = "Hostname mismatch, certificate is not valid for 'a'."
    assert refusal_of(Side.CLIENT, verification(9999, words)).cause is Cause.WRONG_NAME


@pytest.mark.parametrize(
    ("ending", "cause"),
    [
        ("CERTIFICATE_REQUIRED", Cause.NO_CERTIFICATE),
        ("UNKNOWN_CA", Cause.UNKNOWN_AUTHORITY),
        ("CERTIFICATE_EXPIRED", Cause.EXPIRED),
        ("UNSUPPORTED_CERTIFICATE", Cause.WRONG_PURPOSE),
        ("BAD_CERTIFICATE", Cause.BAD_CERTIFICATE),
        ("CERTIFICATE_UNKNOWN", Cause.BAD_CERTIFICATE),
        ("ACCESS_DENIED", Cause.NOT_ALLOWED),
        ("PROTOCOL_VERSION", Cause.UNSUPPORTED),
        ("HANDSHAKE_FAILURE", Cause.UNSUPPORTED),
        ("DECRYPT_ERROR", Cause.BAD_SIGNATURE),
        ("INTERNAL_ERROR", Cause.OTHER),
        ("NO_SUCH_ALERT", Cause.OTHER),
    ],
)
@pytest.mark.parametrize("prefix", ["TLSV1_ALERT_", "SSLV3_ALERT_", "TLSV13_ALERT_", "SSL_TLS_ALERT_"])
def test_an_alert_is_the_refusal_of_the_other_side(prefix: str, ending: str, cause: Cause) -> None:
    words = f"{prefix}{ending}"
    assert refusal_of(Side.SERVER, alert(words)) == Refusal(Side.CLIENT, cause, words)
    assert refusal_of(Side.CLIENT, alert(words)) == Refusal(Side.SERVER, cause, words)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", Cause.NO_CERTIFICATE),
        ("NO_SHARED_CIPHER", Cause.UNSUPPORTED),
        ("UNSUPPORTED_PROTOCOL", Cause.UNSUPPORTED),
        ("NO_SUITABLE_SIGNATURE_ALGORITHM", Cause.UNSUPPORTED),
        ("NO_PROTOCOLS_AVAILABLE", Cause.UNSUPPORTED),
        ("HTTP_REQUEST", Cause.NOT_TLS),
        ("WRONG_VERSION_NUMBER", Cause.NOT_TLS),
        ("SOMETHING_NEW", Cause.OTHER),
    ],
)
def test_what_one_finds_oneself_is_ones_own_refusal(reason: str, cause: Cause) -> None:
    assert refusal_of(Side.SERVER, alert(reason)) == Refusal(Side.SERVER, cause, reason)


def test_an_error_without_a_reason_keeps_its_words() -> None:
    problem = ssl.SSLError(1, "the line went dead")
    problem.reason = ""
    found = refusal_of(Side.CLIENT, problem)
    assert (found.cause, found.side) == (Cause.OTHER, Side.CLIENT)
    assert "the line went dead" in found.words


def end_of_file(kind: type[ssl.SSLError]) -> ssl.SSLError:
    problem = kind(8, "EOF occurred in violation of protocol")
    problem.reason = "UNEXPECTED_EOF_WHILE_READING"
    return problem


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("problem", "is_own", "cause"),
    [
        (TimeoutError("The handshake operation timed out"), True, Cause.SILENT),
        (end_of_file(ssl.SSLEOFError), False, Cause.CLOSED),
        (end_of_file(ssl.SSLZeroReturnError), False, Cause.CLOSED),
        (ConnectionResetError(104, "Connection reset by peer"), False, Cause.CLOSED),
        (OSError(), False, Cause.CLOSED),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), False, Cause.UNKNOWN_AUTHORITY),
        (alert("PEER_DID_NOT_RETURN_A_CERTIFICATE"), True, Cause.NO_CERTIFICATE),
        (verification(10, "certificate has expired"), True, Cause.EXPIRED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OSError) else str(value),
)
def test_the_end_of_a_connection_is_told_too(side: Side, problem: OSError, is_own: bool, cause: Cause) -> None:
    found = refusal_of_connection(side, problem)
    other = Side.CLIENT if side is Side.SERVER else Side.SERVER
    assert (found.side, found.cause) == (side if is_own else other, cause)
    assert found.words


def test_a_refusal_in_words_says_who_and_why() -> None:
    words = str(Refusal(Side.SERVER, Cause.WRONG_PURPOSE, "unsuitable certificate purpose"))
    assert words == "the server refuses because the certificate is not for this purpose"
