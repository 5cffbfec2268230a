"""What `--json` prints, version 1: kept apart from the values inside, so that those may change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from certgen.apply import Outcome
from certgen.diagnostics import Diagnostic
from certgen.plan.values import Change, Plan
from certgen.prove.values import Challenge, Encounter, Proof, RollOut, Trial
from certgen.report.plan import difference, plan_diagnostics
from certgen.status import Standing, Status, lifetime_used

VERSION: Final = 1


def render(command: str, body: dict[str, Any]) -> str:
    """Write the answer of a command as JSON, with the version of this format first."""
    return json.dumps({"version": VERSION, "command": command, **body}, indent=2) + "\n"


def diagnostic(item: Diagnostic) -> dict[str, Any]:
    """Give a diagnostic; the place counts lines and columns from 1."""
    place = None
    if item.span is not None:
        span = item.span
        place = {"file": span.file, "line": span.line, "column": span.column, "length": span.length}
    return {
        "severity": str(item.severity),
        "code": item.code,
        "message": item.message,
        "help": item.help,
        "place": place,
        "where": item.where,
    }


def diagnostics(items: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Give diagnostics in their order."""
    return [diagnostic(item) for item in items]


def plan(item: Plan, folder: Path, *, is_all: bool) -> dict[str, Any]:
    """Give a plan; the addresses that are kept only where all are asked for."""
    body: dict[str, Any] = {
        "name": item.name,
        "output": str(folder),
        "at": _moment(item.now),
        "in_sync": item.is_in_sync,
        "changes": [_change(change) for change in item.changes],
        "summary": {"changes": len(item.changes), "kept": len(item.kept)},
        "widenings": [str(widening) for widening in item.widenings],
        "diagnostics": diagnostics(plan_diagnostics(item)),
    }
    if is_all:
        body["kept"] = [str(address) for address in item.kept]
    return body


def outcome(item: Outcome, folder: Path) -> dict[str, Any]:
    """Give what was done to one tree."""
    return {
        **plan(item.plan, folder, is_all=False),
        "in_sync": True,
        "written": list(item.written),
        "removed": list(item.removed),
        "mended": list(item.mended),
        "resumed": item.is_resumed,
    }


def proof(item: Proof) -> dict[str, Any]:
    """Give what was tried on one tree, meeting by meeting."""
    return {
        "name": item.name,
        "at": _moment(item.at),
        "judgement": str(item.judgement),
        "handshakes": item.handshakes,
        "dates_judged_outside_the_handshakes": item.dates_apart,
        "meetings": [_meeting(one) for one in item.encounters],
        "strangers": [_challenge(one) for one in item.challenges],
        "findings": diagnostics(item.findings),
        "not_judged": diagnostics(item.unknowns),
    }


def roll_out(way: RollOut) -> dict[str, Any]:
    """Give what was tried of a roll-out, meeting by meeting."""
    return {
        "name": way.name,
        "judgement": str(way.judgement),
        "changed": way.changed,
        "order": [[str(address) for address in wave] for wave in way.waves] if way.waves is not None else None,
        "meetings": [
            {
                "server": str(one.server),
                "client": str(one.client),
                "old": str(one.old) if one.old is not None else None,
                "broken": one.is_broken,
                "handshakes": [_trial(trial) for trial in one.trials],
                "obstacle": one.obstacle,
            }
            for one in way.crossings
        ],
        "findings": diagnostics((*way.findings, *way.warnings)),
        "not_judged": diagnostics(way.unknowns),
    }


def status(item: Status) -> dict[str, Any]:
    """Give how the certificates of one tree stand, in the order of the table."""
    return {
        "name": item.name,
        "output": str(item.folder),
        "at": _moment(item.at),
        "pressing": sum(standing.is_pressing for standing in item.standings),
        "certificates": [_standing(standing, item.at) for standing in item.standings],
    }


def _meeting(one: Encounter) -> dict[str, Any]:
    return {
        "server": str(one.server),
        "client": str(one.client),
        "expected": one.is_expected,
        "judgement": str(one.judgement),
        "handshakes": [_trial(trial) for trial in one.trials],
        "turned_away_by": list(one.turned_away_by),
        "obstacle": one.obstacle,
    }


def _challenge(one: Challenge) -> dict[str, Any]:
    return {
        "address": str(one.address),
        "stranger": str(one.stranger),
        "judgement": str(one.judgement),
        "handshakes": [_trial(trial) for trial in one.trials],
        "obstacle": one.obstacle,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    refusal = trial.refusal
    return {
        "version": trial.version,
        "name": trial.name,
        "accepted": refusal is None,
        "refused_by": str(refusal.side) if refusal else None,
        "cause": str(refusal.cause) if refusal else None,
        "words": refusal.words if refusal else None,
    }


def _standing(standing: Standing, at: datetime) -> dict[str, Any]:
    body: dict[str, Any] = {
        "address": str(standing.address),
        "file": standing.file,
        "state": str(standing.state),
        "pressing": standing.is_pressing,
    }
    certificate = standing.certificate
    if certificate is None:
        return body
    left = certificate.not_after - at
    return {
        **body,
        "not_before": _moment(certificate.not_before),
        "not_after": _moment(certificate.not_after),
        "renewal_due": _moment(standing.due) if standing.due else None,
        "days_left": left.days,
        "seconds_left": int(left.total_seconds()),
        "lifetime_used": round(lifetime_used(certificate, at), 4),
        "subject": str(certificate.subject),
        "issuer": str(certificate.issuer),
        "serial_number": f"{certificate.serial_number:x}",
    }


def _change(change: Change) -> dict[str, Any]:
    body: dict[str, Any] = {
        "address": str(change.address),
        "action": str(change.action),
        "reasons": [
            {"code": str(reason.code), "what": reason.what, "was": reason.was, "wanted": reason.wanted}
            for reason in change.reasons
        ],
        "key": str(change.key) if change.key else None,
        "writes": list(change.writes),
        "removes": list(change.removes),
        "differences": {
            text.name: difference(f"{change.address}/{text.name}", text) for text in change.texts if text.was
        },
    }
    if change.signing is not None:
        issuance = change.signing.issuance
        body["not_before"], body["not_after"] = _moment(issuance.not_before), _moment(issuance.not_after)
    return body


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
