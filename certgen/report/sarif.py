"""Findings as SARIF 2.1.0, the format of static analysis that code scanning reads."""

from __future__ import annotations

import json
import os
from typing import Any, Final
from urllib.parse import quote

from certgen import __version__
from certgen.plan.values import Action
from certgen.report.findings import Findings
from certgen.report.remarks import WIDENING, Place, Remark, name_from, remarks

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CHANGES: Final = {
    f"plan/{Action.ISSUE}": "A first certificate is issued",
    f"plan/{Action.RENEW}": "A certificate gets new dates",
    f"plan/{Action.UPDATE}": "A certificate gets other contents",
    f"plan/{Action.REKEY}": "An entry gets a new key",
    f"plan/{Action.WRITE}": "Files are written, and no certificate is signed",
    f"plan/{Action.REMOVE}": "The files of an entry are removed",
    WIDENING: "An entry comes to accept what another root has signed",
}
_NOWHERE: Final = "specs"
"""Where a run looks for specs: GitHub takes no result without a place."""


def render(findings: Findings) -> str:
    """Write one run with a result for each remark."""
    items = remarks(findings)
    codes = list(dict.fromkeys(item.code for item in items))
    indices = {code: index for index, code in enumerate(codes)}
    default = Place(name_from(findings.base, str(findings.paths[0])) if findings.paths else _NOWHERE)
    run = {
        "tool": {"driver": {"name": "certgen", "version": __version__, "rules": [_rule(code) for code in codes]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, indices[item.code], default) for item in items],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def message(text: str) -> str:
    """Write a text as a plain text message.

    Braces are doubled, or they would be placeholders (3.11.5). `](` would make a link to anywhere (3.11.6), and the
    standard has no escape for it outside of one: a blank between the two is what is not in the text.
    """
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def uri(file: str) -> str:
    """Write the name of a file as a relative reference, percent-encoded; an absolute one as a URI of its own."""
    path = quote(os.fsencode(file))
    return f"file://{path}" if path.startswith("/") else path


def _rule(code: str) -> dict[str, Any]:
    short = _CHANGES.get(code) or code.replace("-", " ").capitalize()
    page = "README.md" if code in _CHANGES else "docs/diagnostics.md"
    return {
        "id": code,
        "shortDescription": {"text": short},
        "fullDescription": {"text": short},
        "help": {"text": f"certgen's {page} says what it means and what to do."},
    }


def _result(remark: Remark, rule: int, default: Place) -> dict[str, Any]:
    place = remark.place or default
    region = {"startLine": place.line, "startColumn": place.column}
    if place.length is not None:
        region["endColumn"] = place.column + place.length
    location = {"artifactLocation": {"uri": uri(place.file)}, "region": region}
    return {
        "ruleId": remark.code,
        "ruleIndex": rule,
        "level": str(remark.severity),
        "message": {"text": message(remark.message)},
        "locations": [{"physicalLocation": location}],
    }
