"""Floor 5: the spec language, version 1, as Pydantic models. What they do not know is an error."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from certgen.spec import types
from certgen.spec.parts import KeyField, NameConstraints, SnippetsField, Strict, Subject


class _Shared(Strict):
    subject: Subject | None = Field(
        None,
        description="Attributes of the distinguished name, merged one by one with the defaults. Default: none.",
        examples=[{"organization": "Shop BV", "country": "NL"}],
    )
    key: KeyField = Field(
        None,
        description="Key algorithm, or a mapping with algorithm, rotation and mode. Default: ecdsa-p256.",
        examples=["ecdsa-p384"],
    )
    crl_distribution_points: types.Urls | None = Field(
        None,
        description="URLs where the issuer's revocation list is found. Default: none.",
        examples=["http://pki.shop.example/ca.crl"],
    )
    ocsp: types.Urls | None = Field(
        None,
        description="URLs of the issuer's OCSP responder. Default: none.",
        examples=["http://ocsp.shop.example"],
    )
    ca_issuers: types.Urls | None = Field(
        None,
        description="URLs of the issuer's certificate. Default: none.",
        examples=["http://pki.shop.example/ca.cer"],
    )


class Defaults(_Shared):
    """What every entry inherits unless it says otherwise."""

    issuer: types.Name | None = Field(
        None, description="Issuer of end entities: a key of `cas`. Default: the only CA.", examples=["issuing"]
    )
    validity: types.Duration | None = Field(
        None,
        description="Validity of end entities, in s, m, h, d, w (7 d) or y (365 d). Default: 1y.",
        examples=["90d"],
    )
    renew_before: types.Window | None = Field(
        None,
        description="Renewal window of end entities: a duration in s, m, h, d, w or y, or a percentage of the "
        "lifetime. Default: a third.",
        examples=["30d", "33%"],
    )
    publish: types.Publish | None = Field(
        None,
        description="How the files of end entities come into sight: each by itself (files), or all in one step behind "
        "a link (symlink). Default: files.",
        examples=["symlink"],
    )
    snippets: SnippetsField = Field(
        None,
        description="Configuration for end entities that name no snippets. Default: none.",
        examples=[["nginx", "go"]],
    )


class _Entry(_Shared):
    common_name: types.CommonName | None = Field(
        None, description="Common name. Default: the entry's name.", examples=["Shop"]
    )
    issuer: types.Name | None = Field(
        None,
        description="The CA that signs it: a key of `cas`. A CA without it is a root. "
        "Default: for an end entity the only CA.",
        examples=["issuing"],
    )
    validity: types.Duration | None = Field(
        None,
        description="How long it lasts, in s, m, h, d, w (7 d) or y (365 d). "
        "Default: root 10y, intermediate 5y, end entity 1y.",
        examples=["90d"],
    )
    not_before: types.Moment | None = Field(
        None,
        description="A fixed first second, as an RFC 3339 time. "
        "Default: five minutes before its issue, at most a tenth of its validity.",
        examples=["2027-01-01T00:00:00Z"],
    )
    not_after: types.Moment | None = Field(
        None,
        description="A fixed last second, as an RFC 3339 time, instead of `validity`. Then it is never renewed by "
        "time. Default: the end of `validity`.",
        examples=["2027-12-31T23:59:59Z"],
    )
    renew_before: types.Window | None = Field(
        None,
        description="How long before its end it is due: a duration in s, m, h, d, w or y, or a percentage of its own "
        "lifetime. Default: a third; for a CA longer where it issues for longer.",
        examples=["30d", "33%"],
    )
    key_usage: types.Usages | None = Field(
        None,
        description="Key usages, spelled as in RFC 5280. Default: what the section implies.",
        examples=["digitalSignature"],
    )
    extended_key_usage: types.Purposes | None = Field(
        None,
        description="Extended key usages, spelled as in RFC 5280. Default: what the section implies.",
        examples=[["serverAuth", "clientAuth"]],
    )
    trust: types.Texts | None = Field(
        None,
        description="The roots that it trusts for its peers: names in `cas`, or PEM files (an item with `/` or ending "
        "in .pem). For a CA that you bring: the roots above it. Default: the roots above those whom it meets.",
        examples=[["root", "partner/root.pem"]],
    )


class CertificateAuthority(_Entry, json_schema_extra={"examples": [{"common_name": "Shop CA"}]}):
    """A certificate authority: a root, an intermediate, or one that you bring."""

    path_length: types.PathLength | None = Field(
        None,
        description="How many CAs may stand below it in a path. "
        "Default: none for a root, what the spec needs for an intermediate.",
        examples=[1],
    )
    name_constraints: NameConstraints | None = Field(
        None,
        description="Which names the certificates below it may carry. Default: all.",
        examples=[{"permitted": ["shop.example", "10.0.0.0/8"]}],
    )
    certificate: types.Text | None = Field(
        None,
        description="A CA that you bring: the PEM file of its certificate, followed by those above it. "
        "Read, never written. Default: certgen makes one.",
        examples=["corporate/ca.pem"],
    )
    private_key: types.Text | None = Field(
        None,
        description="A CA that you bring: the PEM file of its private key, where it is here. Read, never written. "
        "Default: it is not here.",
        examples=["corporate/ca.key"],
    )


class EndEntity(_Entry, json_schema_extra={"examples": [{"sans": ["api.shop.example"]}]}):
    """A server, a client or a peer."""

    sans: types.Sans | None = Field(
        None,
        description="Subject alternative names: DNS names, IP addresses, URIs, mail addresses. "
        "A prefix DNS:, IP:, URI: or email: says the kind outright. Default: none, for a client; others need one.",
        examples=[["api.shop.example", "localhost", "127.0.0.1"], "spiffe://shop.example/checkout"],
    )
    public_key: types.Text | None = Field(
        None,
        description="A PEM public key or CSR beside the spec: the private key stays on its host, "
        "and certgen writes certificate and trust only. Default: certgen makes the key.",
        examples=["checkout.csr"],
    )
    deploy_dir: types.Folder | None = Field(
        None,
        description="Where this entry's folder will be on its host. Default: /etc/certgen/NAME.",
        examples=["/etc/shop/tls"],
    )
    publish: types.Publish | None = Field(
        None,
        description="How its files come into sight: each by itself (files), or all in one step behind the link "
        "`..data` (symlink), for programs that watch their folder. Default: files.",
        examples=["symlink"],
    )
    snippets: SnippetsField = Field(
        None,
        description="Configuration for the programs that read its files: names, or names with options. Default: none.",
        examples=[["nginx", "go"]],
    )


Authority = Annotated[
    CertificateAuthority,
    BeforeValidator(types.mapping_or_nothing, json_schema_input_type=CertificateAuthority | None),
]
Member = Annotated[EndEntity, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=EndEntity | None)]
Authorities = Annotated[
    dict[types.Name, Authority],
    BeforeValidator(types.mapping_or_nothing, json_schema_input_type=dict[types.Name, Authority] | None),
]
Members = Annotated[
    dict[types.Name, Member],
    BeforeValidator(types.mapping_or_nothing, json_schema_input_type=dict[types.Name, Member] | None),
]
Inherited = Annotated[Defaults, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=Defaults | None)]


class KubernetesExport(Strict):
    """What a cluster is to have: a kustomization of Secrets, and a ConfigMap with the trust anchors."""

    namespace: types.Namespace | None = Field(
        None,
        description="The namespace of all of it. Default: the one in which it is applied.",
        examples=["shop"],
    )


class Exports(Strict):
    """Where else the tree goes."""

    kubernetes: Annotated[
        KubernetesExport | None,
        BeforeValidator(types.mapping_or_nothing, json_schema_input_type=KubernetesExport | None),
    ] = Field(None, description=f"{KubernetesExport.__doc__} Default: none.", examples=[{"namespace": "shop"}])


ExportsField = Annotated[
    Exports | None, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=Exports | None)
]


class Keys(Strict):
    """What becomes of private keys beyond this machine."""

    git: types.KeysInGit | None = Field(
        None,
        description="Whether the tree's .gitignore keeps private keys out of git (ignore) or not (commit): "
        "for throw-away fixtures, or for keys with a passphrase. Default: ignore.",
        examples=["commit"],
    )
    protection: types.ProtectionKind | None = Field(
        None,
        description="How private keys are closed before they are written: age, for recipients, as key.pem.age; "
        "or passphrase, as encrypted PKCS#8 in key.pem. Default: in clear.",
        examples=["age"],
    )
    recipients: types.Recipients | None = Field(
        None,
        description="For age: who can open the private keys, each an `age1...` or an `ssh-ed25519 AAAA...`. "
        "Default: none.",
        examples=[["age1mp2snqz849uu8eslu7hevu59wqsfzv97fk2qc3lmcdpf70d0ycmqf8lctn"]],
    )


KeysField = Annotated[Keys, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=Keys | None)]


class Spec(Strict):
    """A spec of certgen, language version 1."""

    version: types.Version = Field(
        description="Language version. Defaults never move under a file that says 1.", examples=[1]
    )
    name: types.Name | None = Field(
        None,
        description="Name of the tree below the output folder. "
        "Default: the file's name without .yaml, .yml, .certgen.yaml.",
        examples=["shop"],
    )
    defaults: Inherited = Field(
        default_factory=Defaults,
        description="What every entry inherits unless it says otherwise. Default: nothing.",
        examples=[{"subject": {"organization": "Shop BV"}, "validity": "90d"}],
    )
    keys: KeysField = Field(
        default_factory=Keys,
        description="What becomes of private keys beyond this machine. Default: in clear, and kept from git.",
        examples=[{"protection": "passphrase"}],
    )
    exports: ExportsField = Field(
        None,
        description="Where else the tree goes. Default: nowhere.",
        examples=[{"kubernetes": {"namespace": "shop"}}],
    )
    ca: Authority | None = Field(
        None,
        description="Short for `cas: {ca: {...}}`, for a spec with one CA. Default: none.",
        examples=[{"common_name": "Shop CA"}],
    )
    cas: Authorities = Field(
        {},
        description="Certificate authorities by name. Default: none.",
        examples=[{"root": {"validity": "10y"}, "issuing": {"issuer": "root"}}],
    )
    servers: Members = Field(
        {},
        description="Servers by name: serverAuth. Default: none.",
        examples=[{"api": {"sans": ["api.shop.example", "localhost"]}}],
    )
    clients: Members = Field(
        {},
        description="Clients by name: clientAuth. Default: none.",
        examples=[{"checkout": {"sans": "spiffe://shop.example/checkout"}}],
    )
    peers: Members = Field(
        {},
        description="Entries that are both server and client: serverAuth and clientAuth. Default: none.",
        examples=[{"etcd-0": {"sans": ["etcd-0.shop.example"]}}],
    )
