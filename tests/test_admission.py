"""What a cluster refuses: what is exported is none of it, and the judges are seen to refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from admission import faults, refused
from exported import SHOP, bundle_of, manifests_of

from certgen.loading import load_spec

REPOSITORY = Path(__file__).parent.parent


def test_what_is_published_accepts_the_manifests_of_every_spec_of_this_repository(tmp_path: Path) -> None:
    bundles = [bundle_of(tmp_path, SHOP), *(load_spec(path).bundle for path in sorted(REPOSITORY.glob("specs/*.yaml")))]
    assert len(bundles) > 4
    found = [item for bundle in bundles for item in manifests_of(bundle).values()]
    assert {item["kind"] for item in found} == {"Issuer", "Certificate", "Bundle"}
    assert refused(found, tmp_path) == [[]] * len(found)


def _rename(*route: str, to: str) -> Callable[[dict[str, Any]], None]:
    def spoil(spec: dict[str, Any]) -> None:
        place: Any = spec
        for step in route[:-1]:
            place = place[int(step) if step.isdecimal() else step]
        place[to] = place.pop(route[-1])

    return spoil


SPOILED: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "secretNam": ("Certificate shop.servers.api", _rename("secretName", to="secretNam")),
    "dnsName": ("Certificate shop.servers.api", _rename("dnsNames", to="dnsName")),
    "uri": ("Certificate shop.clients.checkout", _rename("uris", to="uri")),
    "rotation": ("Certificate shop.servers.api", _rename("privateKey", "rotationPolicy", to="rotation")),
    "organisations": ("Certificate shop.servers.api", _rename("subject", "organizations", to="organisations")),
    "dnsDomain": ("Certificate shop.cas.root", _rename("nameConstraints", "permitted", "dnsDomains", to="dnsDomain")),
    "serverAuth": ("Certificate shop.servers.api", lambda spec: spec["usages"].append("serverAuth")),
    "Sometimes": ("Certificate shop.servers.api", lambda spec: spec["privateKey"].update(rotationPolicy="Sometimes")),
    "DSA": ("Certificate shop.servers.api", lambda spec: spec["privateKey"].update(algorithm="DSA")),
    "boolean": ("Certificate shop.cas.root", lambda spec: spec.update(isCA="true")),
    "selfSign": ("Issuer shop.cas.root.self-signed", _rename("selfSigned", to="selfSign")),
    "secret": ("Issuer shop.cas.root", _rename("ca", "secretName", to="secret")),
    "source": ("Bundle shop.trust.root", _rename("sources", to="source")),
    "nam": ("Bundle shop.trust.root", _rename("sources", "0", "secret", "name", to="nam")),
    "configmap": ("Bundle shop.trust.root", _rename("target", "configMap", to="configmap")),
}


def test_what_is_published_refuses_a_field_or_a_word_that_is_misspelt(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    spoiled = []
    for name, spoil in SPOILED.values():
        item = copy.deepcopy(dict(found[name]))
        spoil(item["spec"])
        spoiled.append(item)
    judged = dict(zip(SPOILED, refused(spoiled, tmp_path), strict=True))
    assert {word for word, said in judged.items() if not said} == set()
    assert "'\"rotation\"' does not exist in type" in " ".join(judged["rotation"])
    assert "must have required property secretName" in " ".join(judged["secretNam"])


def _set(**changes: Any) -> Callable[[dict[str, Any]], None]:  # noqa: ANN401 - any value of a manifest
    return lambda spec: spec.update(changes)


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "duration is under an hour": ("Certificate shop.servers.api", _set(duration="59m0s", renewBefore="5m0s")),
    "renewBefore is not less than duration": ("Certificate shop.servers.api", _set(renewBefore="2160h0m0s")),
    "renewBefore is under five minutes": ("Certificate shop.servers.api", _set(renewBefore="4m59s")),
    "secretName": ("Certificate shop.servers.api", _set(secretName="my_secret")),
    "issuerRef leads nowhere": ("Certificate shop.servers.api", _set(issuerRef={"kind": "Issuer", "name": "x"})),
    "literalSubject beside commonName": ("Certificate shop.servers.api", _set(literalSubject="CN=x")),
    "commonName is too long": ("Certificate shop.servers.api", _set(commonName="ö" * 33)),
    "privateKey.size": ("Certificate shop.servers.api", _set(privateKey={"algorithm": "ECDSA", "size": 255})),
    "nameConstraints": ("Certificate shop.servers.api", _set(nameConstraints={"permitted": {}})),
    "0 sources": ("Bundle shop.trust.root", _set(sources=[])),
    "no target": ("Bundle shop.trust.root", _set(target={})),
    "secretName is required": ("Issuer shop.cas.root", _set(ca={})),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_rules_of_the_webhooks_are_seen_to_be_broken(tmp_path: Path, fault: str) -> None:
    found = copy.deepcopy({name: dict(item) for name, item in manifests_of(bundle_of(tmp_path, SHOP)).items()})
    name, spoil = BROKEN[fault]
    spoil(found[name]["spec"])
    assert fault in " ".join(faults(list(found.values())))
