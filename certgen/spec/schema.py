"""Floor 5: the spec language, version 1, as Pydantic models. What they do not know is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from certgen.consumers.options import Options
from certgen.consumers.registry import consumer_names, options_model
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.spec import types

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class Subject(_Strict):
    """The attributes of a distinguished name; each a text or a list of texts."""

    domain_component: types.DomainComponent = Field(
        (), description="Domain components, the top-level one first: [example, shop]."
    )
    country: types.Country = Field((), description="Two letters of ISO 3166: NL.")
    state: types.State = Field((), description="State or province.")
    locality: types.Locality = Field((), description="City or place.")
    street_address: types.StreetAddress = Field((), description="Street and number.")
    postal_code: types.PostalCode = Field((), description="Postal code.")
    organization: types.Organization = Field((), description="Organization; several are several groups to Kubernetes.")
    organizational_unit: types.OrganizationalUnit = Field((), description="Organizational unit.")
    serial_number: types.SerialNumber = Field((), description="Serial number of the subject, not of the certificate.")


class Key(_Strict):
    """Which private key an entry has."""

    algorithm: types.Algorithm | None = Field(None, description="Key algorithm. Default: ecdsa-p256.")
    rotation: types.Rotation | None = Field(
        None, description="Whether a renewal keeps the key (keep) or makes a new one (on-renewal). Default: keep."
    )
    mode: types.Mode | None = Field(None, description='File mode of the private key, at most "0640". Default: "0600".')


KeyField = Annotated[Key | None, BeforeValidator(types.key_mapping, json_schema_input_type=KeyAlgorithm | Key)]


class Keys(_Strict):
    """What becomes of private keys beyond this machine."""

    git: types.KeysInGit | None = Field(
        None,
        description="Whether the tree's .gitignore keeps private keys out of git (ignore, the default) "
        "or not (commit): for throw-away fixtures, or for keys with a passphrase.",
    )
    protection: types.ProtectionKind | None = Field(
        None,
        description="How private keys are closed before they are written: age, for recipients, as key.pem.age; "
        "or passphrase, as encrypted PKCS#8 in key.pem. Default: in clear.",
    )
    recipients: types.Recipients | None = Field(
        None, description="For age: who can open the private keys, each an `age1...` or an `ssh-ed25519 AAAA...`."
    )


class NameConstraints(_Strict):
    """Which names the certificates below a CA may carry (RFC 5280 4.2.1.10)."""

    permitted: types.Bases = Field(
        (),
        description="DNS names (with all below them), IP networks, `URI:` and `email:` hosts that are allowed. "
        "A kind that is not listed is not constrained.",
    )
    excluded: types.Bases = Field((), description="The same, forbidden. It wins over permitted.")


class SnippetRequests(_Strict):
    """What is rendered for whom: a field for each consumer that there is."""

    def asked(self) -> Iterator[tuple[str, Options]]:
        """Give the consumers that are asked for, with their options."""
        return ((name, options) for name, options in self if isinstance(options, Options))


def _snippets_model() -> type[SnippetRequests]:
    asked: dict[str, Any] = {}
    for name in consumer_names():
        model: Any = options_model(name)
        taken = Annotated[model, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=model | None)]
        asked[name] = (taken | None, Field(None, description=model.__doc__))
    return create_model("Snippets", __base__=SnippetRequests, __doc__="What is rendered for whom.", **asked)


if TYPE_CHECKING:
    Snippets = SnippetRequests
else:
    Snippets = _snippets_model()

_ConsumerName = Annotated[str, Field(json_schema_extra={"enum": list(consumer_names())})]
SnippetsField = Annotated[
    Snippets | None,
    BeforeValidator(
        types.snippet_mapping,
        json_schema_input_type=_ConsumerName | list[_ConsumerName] | Snippets,
    ),
]


class _Shared(_Strict):
    subject: Subject | None = Field(
        None, description="Attributes of the distinguished name, merged one by one with the defaults."
    )
    key: KeyField = Field(
        None, description="Key algorithm, or a mapping with algorithm, rotation and mode. Default: ecdsa-p256."
    )
    crl_distribution_points: types.Urls | None = Field(
        None, description="URLs where the issuer's revocation list is found."
    )
    ocsp: types.Urls | None = Field(None, description="URLs of the issuer's OCSP responder.")
    ca_issuers: types.Urls | None = Field(None, description="URLs of the issuer's certificate.")


class Defaults(_Shared):
    """What every entry inherits unless it says otherwise."""

    issuer: types.Name | None = Field(None, description="Issuer of end entities: a key of `cas`.")
    validity: types.Duration | None = Field(
        None, description="Validity of end entities: 90d, 12h, 1y (y = 365 d, w = 7 d)."
    )
    renew_before: types.Window | None = Field(
        None, description="Renewal window of end entities: a duration, or a percentage of the lifetime."
    )
    publish: types.Publish | None = Field(None, description="How the files of end entities come into sight.")
    snippets: SnippetsField = Field(None, description="Configuration for end entities that name no snippets.")


class _Entry(_Shared):
    common_name: types.CommonName | None = Field(None, description="Common name. Default: the entry's name.")
    issuer: types.Name | None = Field(
        None,
        description="The CA that signs it: a key of `cas`. Optional where there is one CA. A CA without it is a root.",
    )
    validity: types.Duration | None = Field(
        None,
        description="How long it lasts: 90d, 12h, 1y (y = 365 d, w = 7 d). "
        "Default: root 10y, intermediate 5y, end entity 1y.",
    )
    not_before: types.Moment | None = Field(None, description="A fixed first second, RFC 3339: 2027-01-01T00:00:00Z.")
    not_after: types.Moment | None = Field(
        None, description="A fixed last second, RFC 3339, instead of `validity`. Then it is never renewed by time."
    )
    renew_before: types.Window | None = Field(
        None,
        description="How long before its end it is due: a duration, or a percentage of its own lifetime. "
        "Default: a third.",
    )
    key_usage: types.Usages | None = Field(
        None, description="Key usages in place of what the section implies, spelled as in RFC 5280: digitalSignature."
    )
    extended_key_usage: types.Purposes | None = Field(
        None, description="Extended key usages in place of what the section implies: serverAuth, clientAuth."
    )
    trust: types.Texts | None = Field(
        None,
        description="The roots that it trusts for its peers: names in `cas`, or PEM files (an item with `/` or ending "
        "in .pem). For a CA that you bring: the roots above it.",
    )


class CertificateAuthority(_Entry):
    """A certificate authority: a root, an intermediate, or one that you bring."""

    path_length: types.PathLength | None = Field(
        None,
        description="How many CAs may stand below it in a path. "
        "Default: none for a root, what the spec needs for an intermediate.",
    )
    name_constraints: NameConstraints | None = Field(
        None, description="Which names the certificates below it may carry."
    )
    certificate: types.Text | None = Field(
        None,
        description="A CA that you bring: the PEM file of its certificate, followed by those above it. "
        "Read, never written.",
    )
    private_key: types.Text | None = Field(
        None, description="The PEM file of its private key, where it is here. Read, never written."
    )


class EndEntity(_Entry):
    """A server, a client or a peer."""

    sans: types.Sans | None = Field(
        None,
        description="Subject alternative names: DNS names, IP addresses, URIs, mail addresses. "
        "A prefix DNS:, IP:, URI: or email: says the kind outright.",
    )
    public_key: types.Text | None = Field(
        None,
        description="A PEM public key or CSR beside the spec: the private key stays on its host, "
        "and certgen writes certificate and trust only.",
    )
    deploy_dir: types.Folder | None = Field(
        None, description="Where this entry's folder will be on its host. Default: /etc/certgen/NAME."
    )
    publish: types.Publish | None = Field(
        None,
        description="How its files come into sight: each by itself (files), or all in one step behind the link "
        "`..data` (symlink), for programs that watch their folder. Default: files.",
    )
    snippets: SnippetsField = Field(
        None,
        description="Configuration for the programs that read its files: names, [nginx, go], or names with options, "
        "{nginx: {listen: 8443}}.",
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


class KubernetesExport(_Strict):
    """What a cluster is to have: a kustomization of Secrets, and a ConfigMap with the trust anchors."""

    namespace: types.Namespace | None = Field(
        None, description="The namespace of all of it. Default: the one in which it is applied."
    )


class Exports(_Strict):
    """Where else the tree goes."""

    kubernetes: Annotated[
        KubernetesExport | None,
        BeforeValidator(types.mapping_or_nothing, json_schema_input_type=KubernetesExport | None),
    ] = Field(None, description=KubernetesExport.__doc__)


ExportsField = Annotated[
    Exports | None, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=Exports | None)
]
KeysField = Annotated[Keys, BeforeValidator(types.mapping_or_nothing, json_schema_input_type=Keys | None)]


class Spec(_Strict):
    """A spec of certgen, language version 1."""

    version: types.Version = Field(description="Language version: 1. Defaults never move under a file that says 1.")
    name: types.Name | None = Field(
        None,
        description="Name of the tree below the output folder. "
        "Default: the file's name without .yaml, .yml, .certgen.yaml.",
    )
    defaults: Inherited = Field(
        default_factory=Defaults, description="What every entry inherits unless it says otherwise."
    )
    keys: KeysField = Field(default_factory=Keys, description="What becomes of private keys beyond this machine.")
    exports: ExportsField = Field(None, description="Where else the tree goes: `{kubernetes: {namespace: shop}}`.")
    ca: Authority | None = Field(None, description="Short for `cas: {ca: {...}}`, for a spec with one CA.")
    cas: Authorities = Field({}, description="Certificate authorities by name.")
    servers: Members = Field({}, description="Servers by name: serverAuth.")
    clients: Members = Field({}, description="Clients by name: clientAuth.")
    peers: Members = Field({}, description="Entries that are both server and client: serverAuth and clientAuth.")


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of the language, for editors."""
    schema = Spec.model_json_schema(mode="validation")
    return {"$schema": SCHEMA_DIALECT, **_tightened(schema)}


def _tightened(schema: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Refuse names outside the pattern, as the models do, and leave out titles that only repeat a field's name."""
    if isinstance(schema, list):
        return [_tightened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _tightened(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    return {**kept, "additionalProperties": False} if "patternProperties" in kept else kept
