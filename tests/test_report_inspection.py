"""An inspection as a person reads it: aligned, a fact a line, and nothing that steers the terminal."""

from textwrap import dedent

from certgen.inspection import Inspection
from certgen.report.inspection import render_inspection
from certgen.report.paint import Style


def test_facts_are_aligned_and_lists_stand_below_each_other() -> None:
    item = Inspection(
        "certificate",
        (
            ("subject", "CN=api"),
            ("names", ["DNS:a", "DNS:b"]),
            ("is_ca", False),
            ("path_length", 0),
            ("subject_key_identifier", "ab"),
        ),
    )
    assert render_inspection("api.pem", (item,)) == dedent("""\
        api.pem: certificate
          subject                 CN=api
          names                   DNS:a
                                  DNS:b
          is ca                   no
          path length             0
          subject key identifier  ab
        """)


def test_yes_and_no_are_words_and_numbers_are_not() -> None:
    item = Inspection("x", (("a", True), ("b", False), ("c", 1), ("d", 0), ("e", [])))
    assert [line.split()[1] for line in render_inspection("f", (item,)).splitlines()[1:]] == [
        "yes",
        "no",
        "1",
        "0",
        "none",
    ]


def test_revoked_certificates_stand_with_their_dates() -> None:
    item = Inspection("revocation list", (("revoked", [{"serial_number": "1f", "date": "2026"}]),))
    assert render_inspection("f", (item,)) == "f: revocation list\n  revoked  1f on 2026\n"


def test_several_things_of_one_file_are_numbered_and_set_apart() -> None:
    item = Inspection("certificate", (("a", "b"),))
    assert render_inspection("f", (item, item)) == (
        "f (1 of 2): certificate\n  a  b\n\nf (2 of 2): certificate\n  a  b\n"
    )


def test_nothing_that_a_terminal_would_obey_gets_through() -> None:
    evil = "\x1b[31m\u202e\n"
    item = Inspection("certificate", (("subject", evil), ("names", [evil, evil])))
    text = render_inspection(evil, (item,))
    assert text.count("\\x1b[31m\\u202e\\x0a") == 4
    assert [c for c in text if c != "\n" and not c.isprintable()] == []


def test_colours_come_from_the_painter_alone() -> None:
    painted: list[tuple[str, Style]] = []

    def painter(text: str, style: Style) -> str:
        painted.append((text, style))
        return text

    render_inspection("f", (Inspection("key", (("a", "b"),)),), painter)
    assert painted == [("f: key", Style.STRONG)]


def test_the_bytes_of_keys_and_signatures_are_shown_where_more_is_asked() -> None:
    item = Inspection("certificate", (("subject", "CN=api"), ("public_key", "3059"), ("signature_value", "3045")))
    assert render_inspection("api.pem", (item,)) == "api.pem: certificate\n  subject  CN=api\n"
    assert render_inspection("api.pem", (item,), is_verbose=True).splitlines()[1:] == [
        "  subject          CN=api",
        "  public key       3059",
        "  signature value  3045",
    ]
