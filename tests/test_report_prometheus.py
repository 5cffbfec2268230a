"""Metrics as Prometheus's own parser reads them, beside what OpenSSL says of the certificates."""

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from foreign.hierarchy import NOW as REAL_NOW
from foreign.hierarchy import make_ca, write_pem
from prometheus_client.parser import text_string_to_metric_families
from scene import NOW, Scene

from certgen.diagnostics import Severity, error
from certgen.report import prometheus
from certgen.report.findings import Findings, SpecFindings
from certgen.report.prometheus import render
from certgen.status import read_status

SPEC = r"""
version: 1
defaults:
  subject: {organization: ['Shop "BV"', Second], country: NL, locality: 'C:\temp\new', state: '"} 1', street_address: x}
cas:
  root: {common_name: 'back\\slash \n "quoted"'}
  issuing: {issuer: root, common_name: 'a",subject_CN="b'}
servers:
  api: {issuer: issuing, sans: api.shop.example, validity: 90d}
clients:
  checkout: {issuer: issuing, common_name: 'größe # HELP {x="y"} 中\'}
"""
CERTIFIED = (
    "x509_cert_not_before", "x509_cert_not_after", "x509_cert_expired", "x509_cert_expires_in_seconds",
    "x509_cert_valid_since_seconds", "x509_cert_error", "certgen_renewal_due_timestamp_seconds",
)  # fmt: skip
FIELDS = {"C": "countryName", "ST": "stateOrProvinceName", "L": "localityName", "O": "organizationName",
          "OU": "organizationalUnitName", "CN": "commonName"}  # fmt: skip

Samples = Mapping[tuple[str, str], tuple[Mapping[str, str], float]]
"""Labels and value, by the metric and the address."""


def findings(scene: Scene, now: datetime = NOW) -> Findings:
    found = (SpecFindings(item, status=read_status(item, scene.output, now)) for item in scene.load())
    return Findings(scene.folder, tuple(found))


def parsed(text: str) -> Samples:
    """Read metrics with the real parser; each is a gauge with a help, told once for each certificate."""
    found: dict[tuple[str, str], tuple[Mapping[str, str], float]] = {}
    names = []
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        names.append(family.name)
        for sample in family.samples:
            key = (sample.name, sample.labels.get("address", ""))
            assert sample.name == family.name
            assert key not in found
            found[key] = (sample.labels, sample.value)
    assert len(names) == len(set(names))
    heads = Counter(re.findall(r"^# (HELP|TYPE) ", text, re.MULTILINE))
    assert set(heads.values()) == {len(names)}
    return found


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = Scene(tmp_path_factory.mktemp("prometheus"))
    scene.write(SPEC)
    scene.run()
    return scene


def openssl(path: Path, *options: str) -> str:
    command = ["openssl", "x509", "-in", str(path), "-noout", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def dates(path: Path) -> tuple[float, float]:
    """When a certificate begins and ends, in seconds since 1970."""
    lines = openssl(path, "-startdate", "-enddate").splitlines()
    times = (line.partition("=")[2].replace("GMT", "+0000") for line in lines)
    begin, end = (datetime.strptime(time, "%b %d %H:%M:%S %Y %z").timestamp() for time in times)
    return begin, end


def attributes(path: Path, side: str) -> list[tuple[str, str]]:
    """The attributes of a certificate's name, raw, in their order."""
    lines = openssl(path, f"-{side}", "-nameopt", "utf8,sep_multiline,lname").splitlines()[1:]
    pairs = [line.strip().split("=", 1) for line in lines]
    return [(name, value) for name, value in pairs]


ADDRESSES = ("cas/root", "cas/issuing", "servers/api", "clients/checkout")


@pytest.mark.parametrize("address", ADDRESSES)
def test_all_is_told_as_openssl_tells_it(compiled: Scene, address: str) -> None:
    now = NOW + timedelta(days=100)
    samples = parsed(render(findings(compiled, now)))
    path = compiled.tree / address / "cert.pem"
    begin, end = dates(path)
    assert {name: samples[name, address][1] for name in CERTIFIED[:-1]} == {
        "x509_cert_not_before": begin,
        "x509_cert_not_after": end,
        "x509_cert_expired": float(address == "servers/api"),
        "x509_cert_expires_in_seconds": end - now.timestamp(),
        "x509_cert_valid_since_seconds": now.timestamp() - begin,
        "x509_cert_error": 0,
    }
    labels = samples["x509_cert_not_after", address][0]
    assert labels["serial_number"] == str(int(openssl(path, "-serial").strip().partition("=")[2], 16))
    assert (labels["filepath"], labels["filename"], labels["spec"]) == (str(path), "cert.pem", "shop")
    for side in ("subject", "issuer"):
        told = attributes(path, side)
        for label, field in FIELDS.items():
            values = [value for name, value in told if name == field]
            assert labels[f"{side}_{label}"] == (values[0] if values else ""), (side, label)
    assert all(samples[name, address][0] == labels for name in CERTIFIED)


def test_a_subject_of_the_spec_is_read_back_to_the_letter(compiled: Scene) -> None:
    labels = parsed(render(findings(compiled)))["x509_cert_not_after", "servers/api"][0]
    assert labels["issuer_CN"] == 'a",subject_CN="b'
    assert labels["subject_L"] == r"C:\temp\new"
    assert labels["subject_ST"] == '"} 1'
    assert labels["subject_O"] == 'Shop "BV"'
    root = parsed(render(findings(compiled)))["x509_cert_not_after", "cas/root"][0]
    assert root["subject_CN"] == r'back\\slash \n "quoted"'


def test_every_sample_of_a_metric_bears_the_same_labels(compiled: Scene) -> None:
    (compiled.tree / "servers/api/cert.pem").rename(compiled.tree / "aside.pem")
    try:
        samples = parsed(render(findings(compiled)))
    finally:
        (compiled.tree / "aside.pem").rename(compiled.tree / "servers/api/cert.pem")
    names = {frozenset(labels) for (name, _), (labels, _) in samples.items() if name.startswith("x509_")}
    assert names == {
        frozenset({"spec", "address", "filename", "filepath", "serial_number"})
        | {f"{side}_{field}" for side in ("subject", "issuer") for field in FIELDS}
    }
    assert {address: value for (name, address), (_, value) in samples.items() if name == "x509_cert_error"} == {
        **dict.fromkeys(ADDRESSES, 0),
        "servers/api": 1,
    }
    assert ("x509_cert_not_after", "servers/api") not in samples
    assert ("x509_cert_not_after", "servers/api") in parsed(render(findings(compiled)))


def test_when_renewal_is_due_is_told_of_what_time_renews(scene: Scene) -> None:
    scene.write("version: 1\nca: {}\nclients:\n  one: {validity: 90d}\n  two: {not_after: 2026-12-01T00:00:00Z}\n")
    scene.run()
    samples = parsed(render(findings(scene)))
    name = "certgen_renewal_due_timestamp_seconds"
    begin, end = dates(scene.tree / "clients/one/cert.pem")
    assert samples[name, "clients/one"][1] == end - 30 * 86400
    assert begin < end
    assert (name, "clients/two") not in samples
    assert ("x509_cert_not_after", "clients/two") in samples


def test_no_line_break_of_a_spec_gets_into_a_certificate(scene: Scene) -> None:
    scene.write('version: 1\nca: {common_name: "a\\nb"}\n')
    assert scene.refused_spec() == ["control-character"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ('a\nx509_cert_expired{address="b"} 1', 'a\nx509_cert_expired{address="b"} 1'),
        ('\\n\n"\\\\', '\\n\n"\\\\'),
        ("a\x1b[31m\rb\u202e", "a\\x1b[31m\\x0db\\u202e"),
        ("##[error]x", "##\\x5berror]x"),
        ("a plain name", "a plain name"),
    ],
)
def test_a_ca_of_ones_own_may_have_any_name(scene: Scene, name: str, told: str) -> None:
    write_pem(scene.specs / "corporate.pem", make_ca(name, "ecdsa-p256").certificate)
    scene.write("version: 1\nca: {certificate: corporate.pem}\n")
    text = render(findings(scene, REAL_NOW))
    labels, _ = parsed(text)["x509_cert_not_after", "cas/ca"]
    assert (labels["subject_CN"], labels["issuer_CN"]) == (told, told)
    assert [line for line in text.splitlines() if not re.match(r"# (HELP|TYPE) |(x509|certgen)_\w+[{ ]", line)] == []
    assert all(character.isprintable() or character == "\n" for character in text)


def read_back(text: str) -> str | None:
    """Give the subject of the one CA as the parser reads it; None where it reads none."""
    try:
        return parsed(text)["x509_cert_not_after", "cas/ca"][0]["subject_CN"]
    except (ValueError, AssertionError, KeyError):
        return None


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a\\nb"])
def test_a_value_that_is_not_escaped_would_be_seen(scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_pem(scene.specs / "corporate.pem", make_ca(name, "ecdsa-p256").certificate)
    scene.write("version: 1\nca: {certificate: corporate.pem}\n")
    monkeypatch.setattr(prometheus, "_ESCAPES", {})
    assert read_back(render(findings(scene, REAL_NOW))) != name


def test_a_run_that_cannot_tell_says_how_many_errors_it_met(tmp_path: Path) -> None:
    problems = (error("no-such-spec", "it is not there"), error("bad-name", "it is none"))
    assert parsed(render(Findings(tmp_path, diagnostics=problems))) == {("certgen_status_errors", ""): ({}, 2)}
    assert all(problem.severity is Severity.ERROR for problem in problems)
    assert parsed(render(Findings(tmp_path))) == {("certgen_status_errors", ""): ({}, 0)}
