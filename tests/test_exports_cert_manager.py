"""A spec for cert-manager: what it says is in the manifests, and what the two programs publish accepts them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from admission import faults, parsed, refused
from cryptography import x509
from exported import SHOP, bring, bundle_of, manifests_of, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SpecTree, permuted, specs

from certgen.exports.cert_manager import export
from certgen.loading import load_spec

# What is carried


def test_a_spec_becomes_issuers_certificates_and_bundles_in_the_order_in_which_they_are_issued(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    assert list(found) == [
        "Issuer shop.cas.partner.self-signed",
        "Certificate shop.cas.partner",
        "Issuer shop.cas.partner",
        "Issuer shop.cas.root.self-signed",
        "Certificate shop.cas.root",
        "Issuer shop.cas.root",
        "Certificate shop.cas.issuing",
        "Issuer shop.cas.issuing",
        "Certificate shop.servers.api",
        "Certificate shop.clients.batch",
        "Certificate shop.clients.checkout",
        "Certificate shop.peers.etcd-0",
        "Bundle shop.trust.partner.root",
        "Bundle shop.trust.root",
    ]


def test_a_root_signs_itself_and_its_issuer_signs_with_its_secret(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    root = spec_of(found, "Certificate shop.cas.root")
    assert spec_of(found, "Issuer shop.cas.root.self-signed") == {"selfSigned": {}}
    assert root["issuerRef"] == {
        "group": "cert-manager.io",
        "kind": "Issuer",
        "name": "shop.cas.root.self-signed",
    }
    assert spec_of(found, "Issuer shop.cas.root") == {"ca": {"secretName": root["secretName"]}}
    assert (root["isCA"], root["commonName"]) == (True, "Shop Root CA")
    assert root["usages"] == ["cert sign", "crl sign"]
    assert root["privateKey"] == {"algorithm": "ECDSA", "size": 384, "encoding": "PKCS8", "rotationPolicy": "Never"}
    assert (root["duration"], root["renewBefore"]) == ("87600h0m0s", "43800h0m0s")


def test_name_constraints_are_critical_and_each_base_is_in_the_field_of_its_kind(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    assert spec_of(found, "Certificate shop.cas.root")["nameConstraints"] == {
        "critical": True,
        "permitted": {
            "dnsDomains": ["shop.example", "localhost"],
            "ipRanges": ["127.0.0.0/8", "2001:db8::/32"],
            "uriDomains": ["shop.example"],
            "emailAddresses": ["shop.example"],
        },
        "excluded": {"dnsDomains": ["evil.shop.example"]},
    }
    assert "nameConstraints" not in spec_of(found, "Certificate shop.cas.issuing")


def test_an_intermediate_is_issued_by_the_issuer_above_and_issues_what_is_below(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    issuing = spec_of(found, "Certificate shop.cas.issuing")
    assert (issuing["isCA"], issuing["issuerRef"]["name"]) == (True, "shop.cas.root")
    assert issuing["privateKey"] == {"algorithm": "RSA", "size": 4096, "encoding": "PKCS8", "rotationPolicy": "Never"}
    assert (issuing["duration"], issuing["renewBefore"]) == ("43800h0m0s", "9600h0m0s")
    for name in ("servers.api", "clients.checkout", "clients.batch", "peers.etcd-0"):
        assert spec_of(found, f"Certificate shop.{name}")["issuerRef"]["name"] == "shop.cas.issuing"


def test_a_server_has_all_that_the_spec_says(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    assert found["Certificate shop.servers.api"] == {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {
            "name": "shop.servers.api",
            "namespace": "shop",
            "annotations": {"certgen/address": "servers/api", "certgen/trust": "shop.trust.partner.root"},
        },
        "spec": {
            "secretName": "shop.servers.api",
            "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "shop.cas.issuing"},
            "commonName": "api.shop.example",
            "subject": {"countries": ["NL"], "organizations": ["Shop BV"]},
            "dnsNames": ["api.shop.example", "localhost"],
            "ipAddresses": ["127.0.0.1", "2001:db8::7"],
            "duration": "2160h0m0s",
            "renewBefore": "540h0m0s",
            "privateKey": {"algorithm": "RSA", "size": 2048, "encoding": "PKCS8", "rotationPolicy": "Always"},
            "usages": ["digital signature", "key encipherment", "server auth"],
        },
    }


def test_a_client_keeps_its_spiffe_id_and_its_mail_address(tmp_path: Path) -> None:
    checkout = spec_of(manifests_of(bundle_of(tmp_path, SHOP)), "Certificate shop.clients.checkout")
    assert checkout["uris"] == ["spiffe://shop.example/checkout"]
    assert checkout["emailAddresses"] == ["me@shop.example"]
    assert "dnsNames" not in checkout
    assert checkout["usages"] == ["digital signature", "client auth"]
    assert (checkout["duration"], checkout["renewBefore"]) == ("12h0m0s", "2h0m0s")


def test_keys_of_other_families_and_the_usages_of_a_peer(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    batch, etcd = (spec_of(found, f"Certificate shop.{name}") for name in ("clients.batch", "peers.etcd-0"))
    assert batch["privateKey"] == {"algorithm": "Ed25519", "encoding": "PKCS8", "rotationPolicy": "Never"}
    assert (etcd["privateKey"]["algorithm"], etcd["privateKey"]["size"]) == ("ECDSA", 521)
    assert etcd["usages"] == ["digital signature", "server auth", "client auth"]


def test_every_usage_of_the_language_is_a_word_of_cert_manager(tmp_path: Path) -> None:
    text = """\
        version: 1
        ca: {}
        clients:
          all:
            key: rsa-3072
            key_usage: [digitalSignature, contentCommitment, keyEncipherment, dataEncipherment]
            extended_key_usage: [clientAuth, codeSigning, emailProtection, timeStamping, OCSPSigning]
          agreeing: {key: ecdsa-p256, key_usage: [keyAgreement, encipherOnly, decipherOnly]}
    """
    found = manifests_of(bundle_of(tmp_path, text))
    assert spec_of(found, "Certificate shop.clients.all")["usages"] == [
        "digital signature",
        "content commitment",
        "key encipherment",
        "data encipherment",
        "client auth",
        "code signing",
        "email protection",
        "timestamping",
        "ocsp signing",
    ]
    agreeing = spec_of(found, "Certificate shop.clients.agreeing")
    assert agreeing["usages"] == ["key agreement", "encipher only", "decipher only", "client auth"]
    assert refused(list(found.values()), tmp_path) == [[]] * len(found)


def test_urls_are_the_issuers_where_all_that_it_signs_ask_alike(tmp_path: Path) -> None:
    text = """\
        version: 1
        defaults:
          crl_distribution_points: http://pki.shop.example/issuing.crl
          ocsp: http://ocsp.shop.example
          ca_issuers: http://pki.shop.example/issuing.pem
        ca: {crl_distribution_points: http://pki.shop.example/root.crl}
        clients: {a: , b: }
    """
    found = manifests_of(bundle_of(tmp_path, text))
    assert spec_of(found, "Issuer shop.cas.ca")["ca"] == {
        "secretName": "shop.cas.ca",
        "crlDistributionPoints": ["http://pki.shop.example/issuing.crl"],
        "ocspServers": ["http://ocsp.shop.example"],
        "issuingCertificateURLs": ["http://pki.shop.example/issuing.pem"],
    }
    root = {"crlDistributionPoints": ["http://pki.shop.example/root.crl"]}
    assert spec_of(found, "Issuer shop.cas.ca.self-signed") == {"selfSigned": root}


# Trust


def test_each_set_of_trust_anchors_is_one_bundle_that_entries_name(tmp_path: Path) -> None:
    found = manifests_of(bundle_of(tmp_path, SHOP))
    assert spec_of(found, "Bundle shop.trust.partner.root") == {
        "sources": [
            {"secret": {"name": "shop.cas.partner", "key": "tls.crt"}},
            {"secret": {"name": "shop.cas.root", "key": "tls.crt"}},
        ],
        "target": {
            "configMap": {"key": "ca.pem"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
        },
    }
    named = {
        item["metadata"]["annotations"].get("certgen/trust") for name, item in found.items() if "Bundle" not in name
    }
    assert {f"Bundle {name}" for name in named if name} == {name for name in found if name.startswith("Bundle")}
    for name in ("clients.checkout", "clients.batch", "peers.etcd-0"):
        annotations = found[f"Certificate shop.{name}"]["metadata"]["annotations"]
        assert annotations["certgen/trust"] == "shop.trust.root"


BROUGHT = """\
    version: 1
    defaults: {issuer: partner}
    cas:
      partner: {certificate: below-cert.pem, private_key: below-key.pem, trust: root-cert.pem}
      own: {issuer: partner, common_name: Own CA, validity: 300d}
    servers: {api: {sans: localhost, trust: [partner, other/anchors.pem], validity: 90d}}
    clients: {a: {issuer: own, validity: 90d}}
"""


def test_a_ca_that_you_bring_signs_with_a_secret_and_its_root_stands_in_the_bundle(tmp_path: Path) -> None:
    bring(tmp_path)
    (tmp_path / "other").mkdir()
    root, below = (tmp_path / f"{name}-cert.pem" for name in ("root", "below"))
    anchors = x509.load_pem_x509_certificates(root.read_bytes())
    (tmp_path / "other/anchors.pem").write_bytes(root.read_bytes())
    found = manifests_of(bundle_of(tmp_path, BROUGHT))
    assert "Certificate shop.cas.partner" not in found
    assert spec_of(found, "Issuer shop.cas.partner") == {"ca": {"secretName": "shop.cas.partner"}}
    assert spec_of(found, "Certificate shop.cas.own")["issuerRef"]["name"] == "shop.cas.partner"
    bundles = {name: spec_of(found, name)["sources"] for name in found if name.startswith("Bundle ")}
    assert set(bundles) == {
        f"Bundle {found['Certificate shop.servers.api']['metadata']['annotations']['certgen/trust']}",
        "Bundle shop.trust.partner",
    }
    for sources in bundles.values():
        (source,) = sources
        assert x509.load_pem_x509_certificates(source["inLine"].encode()) == anchors
    assert below.read_text() not in export(bundle_of(tmp_path, BROUGHT), {}).text
    assert refused(list(found.values()), tmp_path) == [[]] * len(found)


# Names, determinism, namespaces


def test_entries_whose_names_would_be_one_in_kubernetes_are_kept_apart(tmp_path: Path) -> None:
    names = ("my-name", "my_name", "my.name", "my-name--1", "my-name--2")
    servers = "".join(f"  {name}: {{sans: localhost}}\n" for name in names)
    found = manifests_of(bundle_of(tmp_path, f"version: 1\nca: {{}}\nservers:\n{servers}"))
    secrets = {
        item["metadata"]["annotations"]["certgen/address"]: item["spec"]["secretName"]
        for item in found.values()
        if item["kind"] == "Certificate" and not item["spec"].get("isCA")
    }
    assert secrets == {
        "servers/my-name": "shop.servers.my-name",
        "servers/my_name": "shop.servers.my-name--2",
        "servers/my.name": "shop.servers.my-name--1",
        "servers/my-name--1": "shop.servers.my-name--1--0",
        "servers/my-name--2": "shop.servers.my-name--2--0",
    }


def test_a_namespace_is_chosen_for_all_or_is_the_specs_name(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, SHOP)
    by_default, chosen = manifests_of(bundle), manifests_of(bundle, "staging")
    for found, namespace in ((by_default, "shop"), (chosen, "staging")):
        there = {item["metadata"].get("namespace") for item in found.values() if item["kind"] != "Bundle"}
        assert there == {namespace}
    bundles = {name for name in chosen if name.startswith("Bundle")}
    assert bundles == {"Bundle shop.trust.partner.root.in--staging", "Bundle shop.trust.root.in--staging"}
    assert spec_of(chosen, "Bundle shop.trust.root.in--staging")["target"]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "staging"}
    }


def test_the_first_line_says_where_it_comes_from_and_the_text_is_that_of_the_body(tmp_path: Path) -> None:
    made = export(bundle_of(tmp_path, SHOP), {})
    assert made.text.startswith("# Generated by certgen from shop.yaml; edits are overwritten\n---\napiVersion: ")
    assert parsed(made.text) == made.body["manifests"]
    assert made.body["namespace"] == "shop"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_a_spec_says_a_cluster_takes_it_and_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tree: SpecTree = data.draw(specs())
    path = tmp_path_factory.mktemp("spec") / "shop.yaml"
    texts = []
    for one in (tree, data.draw(permuted(tree))):
        path.write_text(yaml.safe_dump(one, sort_keys=False), encoding="utf-8")
        texts.append(export(load_spec(path).bundle, {}).text)
    assert texts[0] == texts[1]
    assert faults(parsed(texts[0])) == []


# Hostile texts

TEXTS = (
    "y", "NO", "null", "~", "true", "1e3", "0x1F", "12:30:00", "2026-01-01", "=", "<<", "*a", "&a b", "!!python/none x",
    "- x", "? x", "a: b", "{a: b}", "[a, b]", "a # b", "#a", "%YAML 1.1", "---", "...", "'a'", '"a"', "a\\nb", "|", ">",
    "{{ .Values.x }}", "$(id)", "`id`", "@a", "Müller & Söhne", "☃", "a" * 64, "-----BEGIN CERTIFICATE-----",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_a_spec_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    tree = {
        "version": 1,
        "ca": {"common_name": "CA", "subject": {"organization": text}},
        "clients": {"a": {"subject": {"organization": [text, "second"]}}, "b": {"common_name": text}},
    }
    made = export(bundle_of(tmp_path, yaml.safe_dump(tree)), {}).text
    assert made.isascii()
    found = {item["metadata"]["name"]: item["spec"] for item in parsed(made) if item["kind"] == "Certificate"}
    assert found["shop.cas.ca"]["subject"] == {"organizations": [text]}
    assert found["shop.clients.b"]["commonName"] == text
    name = x509.Name.from_rfc4514_string(found["shop.clients.a"]["literalSubject"])
    assert [attribute.value for attribute in name] == [text, "second", "a"]
    assert set(found) == {"shop.cas.ca", "shop.clients.a", "shop.clients.b"}
