"""How certificates stand, in Prometheus's text format, for the textfile collector of node_exporter.

Metrics and labels of certificates are named as x509-certificate-exporter names them, so that dashboards and alerts made
for it show these too. What it does not know begins with `certgen_`, or is a label of ours: `spec` and `address`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Final

from certgen.report.findings import Findings
from certgen.report.paint import printable
from certgen.rfc5280.vocabulary import DistinguishedName, NameAttribute
from certgen.status import Standing, Status

_METRICS: Final = {
    "x509_cert_not_before": "When the certificate begins, in seconds since 1970.",
    "x509_cert_not_after": "When the certificate ends, in seconds since 1970.",
    "x509_cert_expired": "Whether the certificate was over when certgen looked.",
    "x509_cert_expires_in_seconds": "How long the certificate had left when certgen looked.",
    "x509_cert_valid_since_seconds": "How long ago the certificate had begun when certgen looked.",
    "x509_cert_error": "Whether a certificate is missing or cannot be read.",
    "certgen_renewal_due_timestamp_seconds": "When the renewal of the certificate is due, in seconds since 1970.",
}
"""All that is told of a certificate, each with its help: gauges, since all of it may fall."""

_ERRORS: Final = "certgen_status_errors"

_ATTRIBUTES: Final = {
    "C": NameAttribute.COUNTRY,
    "ST": NameAttribute.STATE,
    "L": NameAttribute.LOCALITY,
    "O": NameAttribute.ORGANIZATION,
    "OU": NameAttribute.ORGANIZATIONAL_UNIT,
    "CN": NameAttribute.COMMON_NAME,
}
"""The attributes of a name that the exporter has labels for."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
"""What the format gives another meaning in the value of a label."""


def render(findings: Findings) -> str:
    """Write the metrics of all certificates; where the run could not go on, how many errors it met."""
    standings = [(spec.status, one) for spec in findings.specs if spec.status for one in spec.status.standings]
    told = [(_labels(status, one), _values(one, status.at)) for status, one in standings]
    lines: list[str] = []
    for metric, help_ in _METRICS.items():
        samples = [f"{metric}{{{labels}}} {values[metric]}" for labels, values in told if metric in values]
        lines += [*_head(metric, help_), *samples] if samples else []
    count = sum(item.is_error for item in findings.diagnostics)
    lines += [*_head(_ERRORS, "How many errors kept certgen from telling all."), f"{_ERRORS} {count}"]
    return "".join(f"{line}\n" for line in lines)


def _head(metric: str, help_: str) -> Iterator[str]:
    yield f"# HELP {metric} {help_}"
    yield f"# TYPE {metric} gauge"


def _values(standing: Standing, at: datetime) -> Mapping[str, int]:
    """Give what is told of a certificate, by metric, in seconds."""
    certificate = standing.certificate
    if certificate is None:
        return {"x509_cert_error": 1}
    begin, end, now = (int(moment.timestamp()) for moment in (certificate.not_before, certificate.not_after, at))
    values = {
        "x509_cert_not_before": begin,
        "x509_cert_not_after": end,
        "x509_cert_expired": int(now > end),
        "x509_cert_expires_in_seconds": end - now,
        "x509_cert_valid_since_seconds": now - begin,
        "x509_cert_error": 0,
    }
    if standing.due is not None:
        values["certgen_renewal_due_timestamp_seconds"] = int(standing.due.timestamp())
    return values


def _labels(status: Status, standing: Standing) -> str:
    """Write the labels of a certificate; those without a value too, since all samples of a metric bear the same."""
    certificate = standing.certificate
    labels = {
        "spec": status.name,
        "address": str(standing.address),
        "filename": PurePath(standing.file).name,
        "filepath": standing.file,
        "serial_number": str(certificate.serial_number) if certificate else "",
    }
    for side, name in (
        ("subject", certificate.subject if certificate else DistinguishedName()),
        ("issuer", certificate.issuer if certificate else DistinguishedName()),
    ):
        labels |= {f"{side}_{short}": _attribute(name, attribute) for short, attribute in _ATTRIBUTES.items()}
    return ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())


def _attribute(name: DistinguishedName, attribute: NameAttribute) -> str:
    """Give the one value that the exporter shows of an attribute: the last common name, the first of any other."""
    values = [value for kind, value in name.attributes if kind.removeprefix("+") == attribute]
    return (values[-1] if attribute is NameAttribute.COMMON_NAME else values[0]) if values else ""


def _escaped(value: str) -> str:
    """Escape a value by the rules of the format, and before that what a terminal or a log would obey."""
    return "\n".join(map(printable, value.split("\n"))).translate(_ESCAPES)
