"""What the decision says beside its changes, to the letter: people act on the sentences, programs on the codes."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from values import APP, ISSUING, MAIL, NODE, ROOT, WEB, authority, certificate_for, member, supplied_ca

from certgen.diagnostics import Diagnostic, Severity
from certgen.journal import Recovery
from certgen.plan import notices
from certgen.plan.values import ReasonCode

END = datetime(2026, 7, 8, 9, 10, 11, tzinfo=UTC)
SERVER, CA, SUB = member(WEB), authority(ROOT), authority(ISSUING, ROOT)
CERTIFICATE = replace(certificate_for(SERVER), not_after=END)
WAITING = [(WEB, ReasonCode.EXPIRED), (APP, ReasonCode.MISSING)]
MORE = [*WAITING, (MAIL, ReasonCode.MISSING), (NODE, ReasonCode.MISSING), (ISSUING, ReasonCode.EXPIRED)]
WARNING, ERROR, NOTE = Severity.WARNING, Severity.ERROR, Severity.NOTE


def one(found: tuple[Diagnostic, ...]) -> Diagnostic:
    (diagnostic,) = found
    return diagnostic


SAID = [
    (
        lambda: notices.issuer_ends(SERVER, CERTIFICATE),
        (WARNING, "issuer-ends", "servers/web ends with its issuer cas/issuing at 2026-07-08 09:10Z", "servers/web"),
        "renewing it would gain nothing: renew cas/issuing first",
    ),
    (
        lambda: notices.cut_short(SERVER, END),
        (
            WARNING,
            "cut-short",
            "servers/web is cut short: it ends with its issuer cas/issuing on 2026-07-08",
            "servers/web",
        ),
        "make cas/issuing last longer, or ask less",
    ),
    (
        lambda: notices.fixed_end_over(SERVER, CERTIFICATE),
        (WARNING, "fixed-end", "servers/web ended on 2026-07-08, as its `not_after` says", "servers/web"),
        "move `not_after`, or remove the entry",
    ),
    (
        lambda: notices.fixed_end_near(SERVER, CERTIFICATE),
        (
            WARNING,
            "fixed-end",
            "servers/web ends on 2026-07-08, as its `not_after` says, and is never renewed by time",
            "servers/web",
        ),
        "move `not_after`",
    ),
    (
        lambda: notices.foreign_folder("shop", "output/shop is a symbolic link"),
        (ERROR, "foreign-folder", "output/shop is a symbolic link", "shop"),
        "name the folder itself with `-o`; run certgen as its owner, or make it yours with `chown`",
    ),
    (
        lambda: one(notices.recovered(Recovery.COMPLETED, "out/shop")),
        (NOTE, "interrupted", "out/shop: what an interrupted run had committed to was completed", "out/shop"),
        None,
    ),
    (
        lambda: one(notices.recovered(Recovery.DISCARDED, "out/shop")),
        (
            NOTE,
            "interrupted",
            "out/shop: an interrupted run had committed to nothing; what it had begun was thrown away",
            "out/shop",
        ),
        None,
    ),
    (
        lambda: notices.put_off(SERVER, CERTIFICATE, ISSUING),
        (
            WARNING,
            "put-off",
            "servers/web is due and the key of cas/issuing is not here; it is put off",
            "servers/web",
        ),
        "sign it where that key is before 2026-07-08",
    ),
    (
        lambda: notices.authority_key_gone(CA),
        (
            WARNING,
            "ca-key-gone",
            "the private key of cas/root was on this machine and is gone; no new one is made unasked",
            "cas/root",
        ),
        "restore cas/root/key.pem, or make a new one with `--rekey cas/root`",
    ),
    (
        lambda: notices.keys_elsewhere([WEB, APP, MAIL], "shop"),
        (
            NOTE,
            "keys-elsewhere",
            "the private keys of servers/web, clients/app, servers/mail are not on this machine; they are left alone",
            "shop",
        ),
        None,
    ),
    (
        lambda: notices.keys_elsewhere([WEB, APP, MAIL, NODE], "shop"),
        (
            NOTE,
            "keys-elsewhere",
            (
                "the private keys of servers/web, clients/app, servers/mail and 1 more are not on this machine; "
                "they are left alone"
            ),
            "shop",
        ),
        None,
    ),
    (
        lambda: notices.supplied_not_ours(CA),
        (ERROR, "supplied-ca", "cas/root is yours: certgen reads its files and never renews them", "cas/root"),
        "replace the files that `certificate` and `private_key` name",
    ),
    (
        lambda: notices.supplied_expired(CA, CERTIFICATE),
        (
            ERROR,
            "supplied-expired",
            "the CA that you bring as cas/root is of no use: CN=web ended on 2026-07-08",
            "cas/root",
        ),
        "put the renewed certificate in its place",
    ),
    (
        lambda: notices.validity_ended(SERVER, END),
        (
            ERROR,
            "validity-ended",
            "servers/web would end on 2026-07-08 09:10Z, which is over or before it begins",
            "servers/web",
        ),
        "move its `not_after`",
    ),
    (
        lambda: notices.root_key_in_the_field(ROOT),
        (
            ERROR,
            "root-in-the-field",
            "cas/root is a root: machines that certgen does not see trust its present key",
            "cas/root",
        ),
        "`--rekey cas/root` makes the new one",
    ),
    (
        lambda: notices.root_name_in_the_field(ROOT),
        (
            ERROR,
            "root-in-the-field",
            "cas/root is a root: machines that certgen does not see know it by its present name",
            "cas/root",
        ),
        "`--renew cas/root` gives it the new one",
    ),
    (
        lambda: notices.root_replaced(ROOT),
        (
            WARNING,
            "root-replaced",
            "cas/root gets a new key: every machine that trusts it must be given its new certificate",
            "cas/root",
        ),
        "hand out cas/root/cert.pem before the new certificates are used",
    ),
    (
        lambda: notices.signer_missing(SUB, WAITING, can_be_rekeyed=False),
        (
            ERROR,
            "signer-missing",
            "servers/web (expired), clients/app (missing) must be signed by cas/issuing, whose private key is not here",
            "cas/issuing",
        ),
        "run this where that key is, or put cas/issuing/key.pem in place",
    ),
    (
        lambda: notices.signer_missing(SUB, MORE, can_be_rekeyed=True),
        (
            ERROR,
            "signer-missing",
            (
                "servers/web (expired), clients/app (missing), servers/mail (missing) and 2 more must be signed by "
                "cas/issuing, whose private key is not here"
            ),
            "cas/issuing",
        ),
        (
            "run this where that key is, or put cas/issuing/key.pem in place; where it is lost for good, "
            "`--rekey cas/issuing` makes a new one and re-issues all below it"
        ),
    ),
    (
        lambda: notices.signer_missing(CA, WAITING[:1], can_be_rekeyed=True),
        (
            ERROR,
            "signer-missing",
            "servers/web (expired) must be signed by cas/root, whose private key is not here",
            "cas/root",
        ),
        (
            "run this where that key is, or put cas/root/key.pem in place; where it is lost for good, "
            "`--rekey cas/root` makes a new one and re-issues all below it, and every machine must be given the new "
            "root"
        ),
    ),
    (
        lambda: notices.signer_missing(CA, WAITING[:1], can_be_rekeyed=False),
        (
            ERROR,
            "signer-missing",
            "servers/web (expired) must be signed by cas/root, whose private key is not here",
            "cas/root",
        ),
        "run this where that key is, or put cas/root/key.pem in place",
    ),
    (
        lambda: notices.keys_to_open([ROOT], "shop"),
        (Severity.NOTE, "keys-to-open", "`apply` has to open the private key of cas/root", "shop"),
        "give it the identity or the passphrase; `plan` needs neither",
    ),
    (
        lambda: notices.keys_to_open([ROOT, WEB], "shop"),
        (Severity.NOTE, "keys-to-open", "`apply` has to open the private keys of cas/root, servers/web", "shop"),
        "give it the identity or the passphrase; `plan` needs neither",
    ),
    (
        lambda: notices.signer_missing(supplied_ca(), WAITING[:1], can_be_rekeyed=False),
        (
            ERROR,
            "signer-missing",
            "servers/web (expired) must be signed by cas/root, whose private key is not here",
            "cas/root",
        ),
        "put the key beside the spec and name it with `private_key`",
    ),
]


@pytest.mark.parametrize(("notice", "said", "help_"), SAID)
def test_what_is_said(
    notice: Callable[[], Diagnostic], said: tuple[Severity, str, str, str], help_: str | None
) -> None:
    severity, code, message, where = said
    assert notice() == Diagnostic(severity, code, message, help=help_, where=where)


def test_of_a_run_that_was_not_interrupted_nothing_is_said() -> None:
    assert notices.recovered(Recovery.NONE, "out/shop") == ()


def test_every_notice_that_is_given_is_in_the_table() -> None:
    pattern = re.compile(r"(?<![.\w])notices\.(\w+)\(")
    sources = [*Path(notices.__file__).parent.glob("*.py"), Path(notices.__file__).parents[1] / "pipeline.py"]
    given = {name for source in sources for name in pattern.findall(source.read_text())}
    told = set(pattern.findall(Path(__file__).read_text()))
    assert given - told == set()
    assert len(given) > 10
