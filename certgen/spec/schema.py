"""Floor 2: the spec language, version 1, as Pydantic models. What they do not know is an error."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from certgen.model import KeyRotation, RenewBefore
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralName, KeyAlgorithm, KeyUsage, NameAttribute
from certgen.spec import fields

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
_DURATION_PATTERN = r"^([0-9]+(s|m|h|d|w|y))+$"
_TIME_PATTERN = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.0+)?([Zz]|[+-]\d\d:\d\d)$"


def _scalar_or_list(item: Any) -> Any:  # noqa: ANN401 - a type form has no better type
    return item | list[item]


_Plain = str | int | float
"""What a schema takes for a text: YAML editors read `12345` as a number."""

Name = Annotated[str, BeforeValidator(fields.entry_name, json_schema_input_type=Annotated[str, StringConstraints(pattern=NAME_PATTERN)])]
Text = Annotated[str, BeforeValidator(fields.text, json_schema_input_type=_Plain)]
Duration = Annotated[int, BeforeValidator(fields.duration, json_schema_input_type=Annotated[str, StringConstraints(pattern=_DURATION_PATTERN)])]
Window = Annotated[
    RenewBefore,
    BeforeValidator(
        fields.renew_before,
        json_schema_input_type=Annotated[str, StringConstraints(pattern=r"^(([0-9]+(s|m|h|d|w|y))+|[0-9]{1,2}%)$")],
    ),
]
Moment = Annotated[datetime, BeforeValidator(fields.moment, json_schema_input_type=Annotated[str, StringConstraints(pattern=_TIME_PATTERN)])]
San = Annotated[GeneralName, BeforeValidator(fields.general_name, json_schema_input_type=str)]
Base = Annotated[GeneralName, BeforeValidator(fields.constraint_base, json_schema_input_type=str)]
Algorithm = Annotated[KeyAlgorithm, BeforeValidator(fields.key_algorithm)]
Purpose = Annotated[ExtendedKeyUsage, BeforeValidator(fields.purpose)]
Usage = Annotated[KeyUsage, BeforeValidator(fields.member_of(KeyUsage, "key usage"))]
Rotation = Annotated[KeyRotation, BeforeValidator(fields.member_of(KeyRotation, "rotation"))]
Url = Annotated[str, BeforeValidator(fields.url, json_schema_input_type=str)]


def _listed(input_type: Any) -> BeforeValidator:  # noqa: ANN401 - a type form has no better type
    return BeforeValidator(fields.listed, json_schema_input_type=_scalar_or_list(input_type))


Sans = Annotated[tuple[San, ...], _listed(str)]
Bases = Annotated[tuple[Base, ...], _listed(str)]
Purposes = Annotated[tuple[Purpose, ...], _listed(ExtendedKeyUsage)]
Usages = Annotated[tuple[Usage, ...], _listed(KeyUsage)]
Texts = Annotated[tuple[Text, ...], _listed(str)]
Urls = Annotated[tuple[Url, ...], _listed(str)]


def _attribute(attribute: NameAttribute) -> Any:  # noqa: ANN401 - a type form has no better type
    reader = partial(fields.attribute_value, attribute)
    return Annotated[tuple[Annotated[str, BeforeValidator(reader, json_schema_input_type=_Plain)], ...], _listed(_Plain)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _mapping_or_nothing(value: object) -> object:
    """Read an entry of which nothing is said, `checkout:`, as one that takes every default."""
    return {} if value is None else value


def _key_mapping(value: object) -> object:
    """Read `key: ecdsa-p256` as `key: {algorithm: ecdsa-p256}`."""
    return {"algorithm": value} if isinstance(value, str) else value


class Subject(_Strict):
    """The attributes of a distinguished name; each a text or a list of texts."""

    domain_component: _attribute(NameAttribute.DOMAIN_COMPONENT) = Field((), description="Domain components, the top-level one first: [example, shop].")  # type: ignore[valid-type]  # an annotation made by a function
    country: _attribute(NameAttribute.COUNTRY) = Field((), description="Two letters of ISO 3166: NL.")  # type: ignore[valid-type]  # as above
    state: _attribute(NameAttribute.STATE) = Field((), description="State or province.")  # type: ignore[valid-type]  # as above
    locality: _attribute(NameAttribute.LOCALITY) = Field((), description="City or place.")  # type: ignore[valid-type]  # as above
    street_address: _attribute(NameAttribute.STREET_ADDRESS) = Field((), description="Street and number.")  # type: ignore[valid-type]  # as above
    postal_code: _attribute(NameAttribute.POSTAL_CODE) = Field((), description="Postal code.")  # type: ignore[valid-type]  # as above
    organization: _attribute(NameAttribute.ORGANIZATION) = Field((), description="Organization; several are several groups to Kubernetes.")  # type: ignore[valid-type]  # as above
    organizational_unit: _attribute(NameAttribute.ORGANIZATIONAL_UNIT) = Field((), description="Organizational unit.")  # type: ignore[valid-type]  # as above
    serial_number: _attribute(NameAttribute.SERIAL_NUMBER) = Field((), description="Serial number of the subject, not of the certificate.")  # type: ignore[valid-type]  # as above


class Key(_Strict):
    """Which private key an entry has."""

    algorithm: Algorithm | None = Field(None, description="Key algorithm. Default: ecdsa-p256.")
    rotation: Rotation | None = Field(None, description="Whether a renewal keeps the key (keep, the default) or makes a new one (on-renewal; end entities only).")
    mode: Annotated[int, BeforeValidator(fields.file_mode, json_schema_input_type=Annotated[str, StringConstraints(pattern="^0?o?[0-7]{3}$")])] | None = Field(None, description='File mode of the private key, at most "0640". Default: "0600".')


KeyField = Annotated[Key | None, BeforeValidator(_key_mapping, json_schema_input_type=KeyAlgorithm | Key)]


class NameConstraints(_Strict):
    """Which names the certificates below a CA may carry (RFC 5280 4.2.1.10)."""

    permitted: Bases = Field((), description="DNS names (with all below them), IP networks, `URI:` and `email:` hosts that are allowed. A kind that is not listed is not constrained.")
    excluded: Bases = Field((), description="The same, forbidden; it wins over permitted.")


class _Shared(_Strict):
    crl_distribution_points: Urls | None = Field(None, description="URLs where the issuer's revocation list is found.")
    ocsp: Urls | None = Field(None, description="URLs of the issuer's OCSP responder.")
    ca_issuers: Urls | None = Field(None, description="URLs of the issuer's certificate.")
    subject: Subject | None = Field(None, description="Attributes of the distinguished name, merged one by one with the defaults.")
    key: KeyField = Field(None, description="Key algorithm, or a mapping with algorithm, rotation and mode. Default: ecdsa-p256.")


class Defaults(_Shared):
    """What every entry inherits unless it says otherwise."""

    validity: Duration | None = Field(None, description="Validity of end entities: 90d, 12h, 1y (y = 365 d, w = 7 d).")
    renew_before: Window | None = Field(None, description="Renewal window of end entities: a duration, or a percentage of the lifetime.")
    issuer: Name | None = Field(None, description="Issuer of end entities: a key of `cas`.")


class _Entry(_Shared):
    common_name: Annotated[str, BeforeValidator(partial(fields.attribute_value, NameAttribute.COMMON_NAME), json_schema_input_type=_Plain)] | None = Field(None, description="Common name. Default: the entry's name.")
    issuer: Name | None = Field(None, description="The CA that signs it: a key of `cas`. Optional where only one can be meant; a CA without it is a root.")
    validity: Duration | None = Field(None, description="How long it lasts: 90d, 12h, 1y (y = 365 d, w = 7 d). Default: root 10y, intermediate 5y, end entity 1y.")
    not_before: Moment | None = Field(None, description="A fixed first second, RFC 3339: 2027-01-01T00:00:00Z.")
    not_after: Moment | None = Field(None, description="A fixed last second, RFC 3339, instead of `validity`. It is never renewed by time.")
    renew_before: Window | None = Field(None, description="How long before its end it is due: a duration, or a percentage of its own lifetime. Default: a third.")
    key_usage: Usages | None = Field(None, description="Key usages in place of what the section implies, spelled as in RFC 5280: digitalSignature.")
    extended_key_usage: Purposes | None = Field(None, description="Extended key usages in place of what the section implies: serverAuth, clientAuth.")
    trust: Texts | None = Field(None, description="The roots that it trusts for its peers: names in `cas`, or PEM files (an item with `/` or ending in .pem). For a CA of your own: the roots above it.")


class CertificateAuthority(_Entry):
    """A certificate authority: a root, an intermediate, or one that you bring."""

    path_length: Annotated[int, BeforeValidator(fields.integer, json_schema_input_type=Annotated[int, Field(ge=0)])] | None = Field(None, description="How many CAs may stand below it in a path. Default: none for a root, what the spec needs for an intermediate.")
    name_constraints: NameConstraints | None = Field(None, description="Which names the certificates below it may carry.")
    certificate: Text | None = Field(None, description="A CA that you bring: the PEM file of its certificate, followed by those above it. Read, never written.")
    private_key: Text | None = Field(None, description="The PEM file of its private key, where it is here. Read, never written.")


class EndEntity(_Entry):
    """A server, a client or a peer."""

    sans: Sans | None = Field(None, description="Subject alternative names: DNS names, IP addresses, URIs, mail addresses; a prefix DNS:, IP:, URI: or email: says the kind outright.")
    public_key: Text | None = Field(None, description="A PEM public key or CSR beside the spec: the private key stays on its host, certgen writes certificate and trust only.")
    deploy_dir: Text | None = Field(None, description="Where this entry's folder will be on its host. Default: /etc/certgen/NAME.")


Authority = Annotated[CertificateAuthority, BeforeValidator(_mapping_or_nothing, json_schema_input_type=CertificateAuthority | None)]
Member = Annotated[EndEntity, BeforeValidator(_mapping_or_nothing, json_schema_input_type=EndEntity | None)]
Authorities = Annotated[dict[Name, Authority], BeforeValidator(_mapping_or_nothing, json_schema_input_type=dict[Name, Authority] | None)]
Members = Annotated[dict[Name, Member], BeforeValidator(_mapping_or_nothing, json_schema_input_type=dict[Name, Member] | None)]


class Spec(_Strict):
    """A spec of certgen, language version 1."""

    version: Annotated[int, BeforeValidator(fields.version, json_schema_input_type=Annotated[int, Field(ge=1, le=1)])] = Field(description="Language version: 1. Defaults never move under a file that says 1.")
    name: Name | None = Field(None, description="Name of the tree below the output folder. Default: the file's name without .yaml, .yml, .certgen.yaml.")
    defaults: Annotated[Defaults, BeforeValidator(_mapping_or_nothing, json_schema_input_type=Defaults | None)] = Field(Defaults(), description="What every entry inherits unless it says otherwise.")
    ca: Authority | None = Field(None, description="Short for `cas: {ca: {...}}`, for a spec with one CA.")
    cas: Authorities = Field({}, description="Certificate authorities by name.")
    servers: Members = Field({}, description="Servers by name: serverAuth.")
    clients: Members = Field({}, description="Clients by name: clientAuth.")
    peers: Members = Field({}, description="Entries that are both server and client: serverAuth and clientAuth.")


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of the language, for editors."""
    schema = Spec.model_json_schema(mode="validation")
    return {"$schema": SCHEMA_ID, **schema}
