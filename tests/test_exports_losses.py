"""What cert-manager cannot say: each loss is told, with its entries and what to do; and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from exported import bring, bundle_of, manifests_of, spec_of

from certgen.diagnostics import Diagnostic, Severity
from certgen.exports.cert_manager import export

QUIET = """\
    version: 1
    ca: {common_name: Shop CA}
    servers: {api: {sans: api.shop.example}}
    clients: {checkout: {sans: "spiffe://shop.example/checkout"}}
"""


def losses(folder: Path, text: str, namespace: str | None = "cert-manager") -> list[Diagnostic]:
    """Give what is told of a spec; where trust-manager reads is told elsewhere."""
    return list(export(bundle_of(folder, text), {"namespace": namespace}).losses)


def only(found: list[Diagnostic], code: str) -> Diagnostic:
    """Give the one diagnostic, which must have this code."""
    assert [item.code for item in found] == [code]
    return found[0]


def test_a_spec_that_cert_manager_can_say_loses_nothing(tmp_path: Path) -> None:
    assert losses(tmp_path, QUIET) == []


CASES: dict[str, tuple[str, str, str, str]] = {
    "an end that is fixed": (
        'clients: {a: {not_after: "2039-01-01T00:00:00Z"}}',
        "fixed-dates",
        "clients/a will last 8760h0m0s from each issue, without fixed dates: cert-manager has none",
        "give a `validity` that suits a cluster",
    ),
    "a beginning that is fixed": (
        'clients: {a: {not_before: "2035-01-01T00:00:00Z", validity: 90d}}',
        "fixed-dates",
        "clients/a will last 2160h0m0s from each issue, without fixed dates: cert-manager has none",
        "give a `validity` that suits a cluster",
    ),
    "a lifetime of minutes": (
        "clients: {a: {validity: 30m}}",
        "validity-raised",
        "clients/a will last 1h0m0s: cert-manager takes no less",
        "ask for an hour or more",
    ),
    "a window of seconds": (
        "clients: {a: {validity: 2h, renew_before: 1%}}",
        "window-raised",
        "clients/a will be renewed 5m0s before the end: cert-manager takes no less",
        "set `renew_before` to five minutes or more",
    ),
    "a CA that is renewed late": (
        "cas: {ca: {renew_before: 30d}}\n    clients: {a: {validity: 90d}}",
        "outlives-issuer",
        "cas/ca will sign what ends after it: cert-manager cuts nothing short",
        "have it renewed 2160h0m0s before its end, or earlier",
    ),
    "a path length": (
        "cas: {ca: {path_length: 1}}",
        "no-path-length",
        "cas/ca will be without the path length 1: cert-manager sets none",
        "let a policy for CertificateRequests decide who gets a CA",
    ),
    "a common name of many bytes": (
        f"clients: {{a: {{common_name: {'ö' * 40}}}}}",
        "common-name-too-long",
        "clients/a will be refused for a common name of 80 bytes: cert-manager takes 64",
        "shorten `common_name`; in UTF-8 a letter may have several bytes",
    ),
    "URLs that differ below one CA": (
        "clients: {a: {ocsp: http://ocsp.shop.example}, b: {}}",
        "no-urls",
        "clients/a will be without `ocsp`",
        "ask for the same `ocsp` in all that cas/ca signs: they are its Issuer's",
    ),
    "URLs of a root": (
        "cas: {ca: {ca_issuers: http://pki.shop.example/ca.pem}}",
        "no-urls",
        "cas/ca will be without `ca_issuers`",
        "leave `ca_issuers` out: nobody asks about a root there",
    ),
    "a mode of the key": (
        'clients: {a: {key: {mode: "0640"}}}',
        "no-key-mode",
        "clients/a will have no key of mode 0640: a Secret has no modes",
        "set `defaultMode` where a pod mounts the Secret",
    ),
    "snippets": (
        "servers: {a: {sans: localhost, snippets: [nginx, envoy]}}",
        "no-snippets",
        "servers/a will be without snippets (envoy, nginx), and whom they let in",
        "make a ConfigMap of what `certgen apply` renders; in a Secret the files are tls.crt and tls.key",
    ),
    "a folder on a host": (
        "clients: {a: {deploy_dir: /srv/a}}",
        "no-deploy-dir",
        "clients/a will not be in /srv/a: a Secret is where a pod mounts it",
        "mount the Secret there",
    ),
    "keys that are sealed": (
        "keys: {protection: passphrase}\n    clients: {a: {}}",
        "no-protection",
        "private keys will stand in Secrets, and not be closed by passphrase",
        "encrypt Secrets at rest, and let few read them",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_loss_is_told_with_what_to_do(tmp_path: Path, case: str) -> None:
    text, code, message, help_ = CASES[case]
    ca = "" if "cas:" in text else "ca: {}\n    "
    found = only(losses(tmp_path, f"    version: 1\n    {ca}{text}\n"), code)
    assert (found.message, found.help) == (message, help_)
    assert found.severity is Severity.WARNING
    address = None if code == "no-protection" else message.partition(" ")[0]
    assert found.where == address


@pytest.mark.parametrize(
    "text",
    [
        f"clients: {{a: {{common_name: {'ö' * 32}}}}}",
        "clients: {a: {validity: 1h}}",
        "clients: {a: {validity: 2h, renew_before: 5m}}",
        "cas: {ca: {renew_before: 90d}}\n    clients: {a: {validity: 90d}}",
        "clients: {a: {ocsp: http://ocsp.shop.example}, b: {ocsp: http://ocsp.shop.example}}",
        "cas: {ca: {crl_distribution_points: http://pki.shop.example/ca.crl}}",
        'clients: {a: {deploy_dir: /etc/certgen/a, key: {mode: "0600", rotation: on-renewal}}}',
    ],
)
def test_what_cert_manager_just_takes_is_no_loss(tmp_path: Path, text: str) -> None:
    ca = "" if "cas:" in text else "ca: {}\n    "
    assert losses(tmp_path, f"    version: 1\n    {ca}{text}\n") == []


@pytest.mark.parametrize(
    ("algorithm", "instead", "size"),
    [("ml-dsa-44", "ecdsa-p256", 256), ("ml-dsa-65", "ecdsa-p384", 384), ("ml-dsa-87", "ecdsa-p521", 521)],
)
def test_a_key_of_ml_dsa_is_replaced_by_one_that_cert_manager_makes(
    tmp_path: Path, algorithm: str, instead: str, size: int
) -> None:
    text = f"version: 1\nca: {{}}\nclients: {{a: {{key: {algorithm}}}}}\n"
    found = only(losses(tmp_path, text), "key-replaced")
    assert found.message == f"clients/a will have an {instead} key: cert-manager makes none of {algorithm}"
    assert found.help == f"ask for `{instead}`, or keep this entry out of the cluster"
    made = spec_of(manifests_of(bundle_of(tmp_path, text)), "Certificate shop.clients.a")
    assert (made["privateKey"]["algorithm"], made["privateKey"]["size"]) == ("ECDSA", size)


def test_a_key_that_stays_on_its_host_gets_no_certificate(tmp_path: Path) -> None:
    bring(tmp_path)
    text = "version: 1\nca: {}\nclients: {app: {public_key: app.pub, snippets: [go]}, other: }\n"
    found = only(losses(tmp_path, text), "key-on-host")
    assert found.message == "clients/app will have no Certificate: the private key stays on its host"
    assert found.help == "make a CertificateRequest for the Issuer `shop.cas.ca` of a CSR from there"
    made = manifests_of(bundle_of(tmp_path, text))
    assert "Certificate shop.clients.app" not in made
    assert "Certificate shop.clients.other" in made


@pytest.mark.parametrize(("private_key", "key"), [("private_key: root-key.pem", "root-key.pem"), ("", "KEY")])
def test_a_ca_that_you_bring_needs_its_secret_made_by_hand(tmp_path: Path, private_key: str, key: str) -> None:
    bring(tmp_path)
    text = f"version: 1\nca: {{certificate: root-cert.pem, {private_key}}}\nclients: {{a: }}\n"
    found = only(losses(tmp_path, text), "secret-by-hand")
    assert found.message == "cas/ca will sign once its Secret `shop.cas.ca` is there: you bring it"
    assert found.help == (
        "kubectl create secret tls shop.cas.ca --namespace cert-manager "
        f"--cert=root-cert.pem --key={key}"
    )  # fmt: skip


def test_a_file_of_the_command_is_quoted_for_a_shell(tmp_path: Path) -> None:
    bring(tmp_path)
    (tmp_path / "a; rm b.pem").write_bytes((tmp_path / "root-cert.pem").read_bytes())
    found = only(losses(tmp_path, 'version: 1\nca: {certificate: "a; rm b.pem"}\n'), "secret-by-hand")
    assert found.help is not None
    assert "--cert='a; rm b.pem' --key=KEY" in found.help


def test_more_roots_than_a_bundle_takes_are_told_and_get_none(tmp_path: Path) -> None:
    roots = "".join(f"  r{number:03}: {{}}\n" for number in range(101))
    trust = ", ".join(f"r{number:03}" for number in range(101))
    text = (
        f"version: 1\ncas:\n{roots}clients:\n  a: {{issuer: r000, trust: [%s]}}\n  b: {{issuer: r000, trust: r000}}\n"
    )
    found = only(losses(tmp_path, text % trust), "too-many-roots")
    assert found.message == "a set of more than 100 trusted roots will have no Bundle"
    made = manifests_of(bundle_of(tmp_path, text % trust))
    assert [name for name in made if name.startswith("Bundle ")] == ["Bundle shop.trust.r000"]
    fewer = trust.removesuffix(", r100")
    assert losses(tmp_path, text % fewer) == []
    assert len([name for name in manifests_of(bundle_of(tmp_path, text % fewer)) if name.startswith("Bundle ")]) == 2


# Notes


def test_name_constraints_and_literal_subjects_need_a_feature_gate(tmp_path: Path) -> None:
    text = """\
        version: 1
        ca: {name_constraints: {permitted: [shop.example]}}
        clients: {a: {subject: {organization: [one, two]}}}
    """
    found = losses(tmp_path, text)
    assert [(item.severity, item.code) for item in found] == [(Severity.NOTE, "feature-gate")] * 2
    for item, gate in zip(found, ("NameConstraints", "LiteralCertificateSubject"), strict=True):
        assert item.message == f"the manifests need cert-manager's feature gate {gate}, which recent versions have on"
        assert item.help is not None
        assert f"--feature-gates={gate}=true" in item.help


def test_trust_manager_must_read_the_namespace_of_the_roots(tmp_path: Path) -> None:
    found = only(losses(tmp_path, QUIET, None), "trust-namespace")
    assert found.severity is Severity.NOTE
    assert found.help == "install it with `app.trust.namespace=shop`"
    assert losses(tmp_path, QUIET, "cert-manager") == []
    assert losses(tmp_path, "version: 1\nca: {}\n", None) == []


# What is said once, and what is no loss


def test_what_several_entries_lose_alike_is_said_once(tmp_path: Path) -> None:
    text = """\
        version: 1
        ca: {}
        defaults: {snippets: [go]}
        clients: {a: , b: , c: , d: , e: , f: {snippets: [curl]}}
    """
    first, second = losses(tmp_path, text)
    assert first.message == (
        "clients/a, clients/b, clients/c and 2 more will be without snippets (go), and whom they let in"
    )
    assert (first.where, second.where) == ("clients/a", "clients/f")


def test_a_folder_behind_one_link_is_what_a_mounted_secret_is(tmp_path: Path) -> None:
    assert losses(tmp_path, "version: 1\nca: {}\nclients: {a: {publish: symlink}}\n") == []


def test_a_mode_that_follows_from_sealing_is_no_loss_of_its_own(tmp_path: Path) -> None:
    recipient = "age1mp2snqz849uu8eslu7hevu59wqsfzv97fk2qc3lmcdpf70d0ycmqf8lctn"
    text = f"version: 1\nkeys: {{protection: age, recipients: [{recipient}]}}\nca: {{}}\nclients: {{a: }}\n"
    found = only(losses(tmp_path, text), "no-protection")
    assert found.message == "private keys will stand in Secrets, and not be closed by age"


def test_what_a_ca_with_a_fixed_end_signs_lasts_no_longer_than_it_does_in_a_cluster(tmp_path: Path) -> None:
    text = """\
        version: 1
        ca: {not_after: "2099-01-01T00:00:00Z"}
        clients: {a: {validity: 4000d}, b: {validity: 1200d}}
    """
    fixed, cut = losses(tmp_path, text)[::2]
    assert (fixed.code, cut.code) == ("fixed-dates", "cut-short")
    assert cut.message == "clients/a will last 87600h0m0s, as cas/ca does"
    assert cut.help == "let cas/ca have a `validity`"
    made = manifests_of(bundle_of(tmp_path, text))
    durations = [spec_of(made, f"Certificate shop.{name}")["duration"] for name in ("cas.ca", "clients.a", "clients.b")]
    assert durations == ["87600h0m0s", "87600h0m0s", "28800h0m0s"]


def test_dates_that_are_both_fixed_say_how_long(tmp_path: Path) -> None:
    text = """\
        version: 1
        ca: {}
        clients: {a: {not_before: "2035-01-01T00:00:00Z", not_after: "2035-01-30T23:59:59Z"}}
    """
    made = manifests_of(bundle_of(tmp_path, text))
    assert spec_of(made, "Certificate shop.clients.a")["duration"] == "720h0m0s"
