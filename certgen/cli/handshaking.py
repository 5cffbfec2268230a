"""The commands that shake hands over a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from certgen.cli.group import certgen
from certgen.cli.options import output_option, screen_options
from certgen.cli.screen import DIFFERENT, SOUND, Screen
from certgen.diagnostics import CertgenError, Diagnostic, Severity, error
from certgen.report.paint import printable

keylog_option = click.option(
    "--keylog", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Add the session's secrets to FILE, as Wireshark reads them.",
)  # fmt: skip


@certgen.command()
@click.argument("who", metavar="ADDRESS|FOLDER")
@click.option("--listen", default="127.0.0.1:8443", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@keylog_option
@output_option
@screen_options
def serve(who: str, listen: str, keylog: Path | None, output: Path, **options: Any) -> None:
    """Serve HTTPS with an entry's files, to whom its trust lets in.

    Every request is answered with who asked. End it with Ctrl-C.
    """
    screen = Screen.of(options)
    from certgen.talk.identity import load_identity
    from certgen.talk.serve import Server

    try:
        identity = load_identity(who, output)
        host, port = _endpoint(listen)
        _prepare_keylog(screen, keylog)
        server = Server(identity, host, port, lambda line: _say(screen, line), keylog)
    except CertgenError as reason:
        screen.fail("serve", reason.diagnostics)
    names = ", ".join(map(str, identity.certificate.subject_alt_names)) or "no name"
    at = f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"
    _say(screen, f"{printable(who)} serves https://{at}/ as {printable(names)}; Ctrl-C ends it")
    with server:
        server.serve_forever()


@certgen.command()
@click.argument("url")
@click.option("--as", "who", required=True, metavar="ADDRESS|FOLDER", help="As whom to connect.")
@click.option("--name", metavar="NAME", help="The name that the server must bear. Default: the host of the URL.")
@click.option("--tls", type=click.Choice(["1.2", "1.3"]), help="The one version of TLS to speak.")
@keylog_option
@output_option
@screen_options
def connect(
    url: str, who: str, *, name: str | None, tls: str | None, keylog: Path | None, output: Path, **options: Any
) -> None:
    """Send an HTTPS request with an entry's files, and show what was negotiated.

    Exit 1 where it is refused, with the cause in words; 2 where nobody is there.
    """
    screen = Screen.of(options)
    from certgen.report import json_v1
    from certgen.report.conversation import conversation, describe_refusal, render_answer
    from certgen.talk.connect import connect as talk
    from certgen.talk.connect import names_of_server, parse_target
    from certgen.talk.identity import load_identity
    from certgen.tls.causes import Cause
    from certgen.tls.contexts import Version

    try:
        target, identity = parse_target(url, name), load_identity(who, output)
        _prepare_keylog(screen, keylog)
        version = Version[f"TLS_{tls.replace('.', '_')}"] if tls else None
        answer = talk(identity, target, version, keylog)
    except CertgenError as reason:
        screen.fail("connect", reason.diagnostics)
    problems: tuple[Diagnostic, ...] = ()
    if not answer.is_welcome:
        is_misnamed = answer.refusal is not None and answer.refusal.cause is Cause.WRONG_NAME
        problems = (describe_refusal(answer, names_of_server(target) if is_misnamed else ()),)
    if screen.is_json:
        body = {**conversation(answer), "diagnostics": json_v1.diagnostics(problems)}
        screen.result(json_v1.render("connect", body))
    else:
        screen.result(render_answer(answer, printable(who), screen.painter(sys.stdout)))
    screen.diagnose(problems)
    sys.exit(DIFFERENT if problems else SOUND)


def _say(screen: Screen, line: str) -> None:
    screen.result(f"{printable(line)}\n")
    sys.stdout.flush()


def _endpoint(text: str) -> tuple[str, int]:
    """Read where to listen: HOST:PORT, or a port of this machine alone."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        message = f"`{text}` is no host with a port"
        raise CertgenError([error("not-listening", message, help="for example 127.0.0.1:8443", where="--listen")])
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _prepare_keylog(screen: Screen, keylog: Path | None) -> None:
    """Make the key log closed to others before ssl opens it: whoever reads it reads the sessions."""
    if keylog is None:
        return
    from certgen.store.private import append_private

    append_private(keylog)
    screen.diagnose(
        [Diagnostic(Severity.NOTE, "key-log", f"whoever reads {keylog} can decrypt what is sent", where=str(keylog))]
    )
