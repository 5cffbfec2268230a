"""What a client saw, for people, and why it was refused, with what to do."""

from __future__ import annotations

from typing import Any, Final

from certgen.diagnostics import Diagnostic, error
from certgen.report.paint import Painter, Style, plain, printable
from certgen.talk.connect import Answer, Session
from certgen.tls.causes import Cause, Side

_LOG: Final = "look in the server's log"
_BY_SERVER: Final = {
    Cause.NO_CERTIFICATE: "a key that the server does not offer to verify, Ed25519 say, is as good as none",
    Cause.UNKNOWN_AUTHORITY: "the server's ca.pem must hold the root above this client: see `trust` in its spec",
    Cause.EXPIRED: "`certgen apply` renews it; then copy the folder again",
    Cause.NOT_YET_VALID: "compare the clocks of the two machines",
    Cause.WRONG_PURPOSE: "connect as a client or a peer",
    Cause.BAD_CERTIFICATE: f"{_LOG}: Go and Envoy say no more of an end, a wrong purpose, and `allow`",
    Cause.NOT_ALLOWED: "add this client to the server's `allow`",
    Cause.UNSUPPORTED: f"{_LOG}; under TLS 1.2 some say no more of a missing certificate",
    Cause.NOT_TLS: "is it the right port?",
    Cause.SILENT: _LOG,
    Cause.CLOSED: _LOG,
}
_BY_CLIENT: Final = {
    Cause.UNKNOWN_AUTHORITY: "is it the server that you mean? Then this client's ca.pem lacks the root above it",
    Cause.EXPIRED: "renew the server's certificate, and let it read it anew",
    Cause.NOT_YET_VALID: "compare the clocks of the two machines",
    Cause.WRONG_PURPOSE: "the server shows a client's certificate: give it that of a server or a peer",
    Cause.UNSUPPORTED: "leave `--tls` out",
    Cause.NOT_TLS: "is it the right port?",
    Cause.SILENT: _LOG,
}


def render_answer(answer: Answer, name: str, paint: Painter = plain) -> str:
    """Write what was negotiated and what came back.

    Args:
        answer: what became of the request.
        name: as whom it was sent.
        paint: gives the colours.
    """
    lines = _session(answer.session, name, paint) if answer.session else []
    if answer.status is not None:
        lines.append(f"{paint('answer', Style.STRONG)}     {answer.status} {printable(answer.phrase)}")
    body = answer.body.decode("utf-8", "replace")
    lines += ["", *(printable(line.expandtabs(4)) for line in body.splitlines())] if body else []
    return "".join(f"{line}\n" for line in lines)


def describe_refusal(answer: Answer, names: tuple[str, ...] = ()) -> Diagnostic:
    """Say who refused, why, and what to do.

    Args:
        answer: a refusal, or an answer that is none.
        names: the names that the server bears, where they are known.
    """
    name, refusal = answer.target.name, answer.refusal
    where = f"https://{f'[{name}]' if ':' in name else name}:{answer.target.port}"
    if refusal is None:
        message = f"the server answers {answer.status} {answer.phrase}"
        return error("refused", message, help=_LOG, where=where)
    help_ = (_BY_SERVER if refusal.side is Side.SERVER else _BY_CLIENT).get(refusal.cause)
    if refusal.cause is Cause.WRONG_NAME:
        help_ = f"it bears {', '.join(names)}; `--name` asks for another" if names else "`--name` asks for another"
    return error("refused", f"{refusal} ({refusal.words})", help=help_, where=where)


def conversation(answer: Answer) -> dict[str, Any]:
    """Give an answer as values for JSON."""
    session, refusal = answer.session, answer.refusal
    server = session.server if session else None
    return {
        "protocol": session.version if session else None,
        "cipher": session.cipher if session else None,
        "server": str(server.subject) if server else None,
        "server_names": [str(name) for name in server.subject_alt_names] if server else [],
        "refused_by": str(refusal.side) if refusal else None,
        "cause": str(refusal.cause) if refusal else None,
        "words": refusal.words if refusal else None,
        "status": answer.status,
        "body": answer.body.decode("utf-8", "replace"),
    }


def _session(session: Session, name: str, paint: Painter) -> list[str]:
    server = session.server
    facts = [("connected", f"{session.version}, {session.cipher}, as {name}")]
    if server is None:
        facts.append(("server", "a certificate that certgen cannot read"))
    else:
        facts += [
            ("server", str(server.subject)),
            ("names", ", ".join(map(str, server.subject_alt_names)) or "none"),
            ("issuer", str(server.issuer)),
            ("until", f"{server.not_after:%Y-%m-%d %H:%M}Z"),
        ]
    return [f"{paint(label, Style.STRONG)}{' ' * (11 - len(label))}{printable(value)}" for label, value in facts]
