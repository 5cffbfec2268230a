"""Floor 4: the types of a spec's fields: a reader from `fields` each, with what a schema says of its input."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints

from certgen import protection
from certgen.lifetime import RenewBefore
from certgen.publication import Publication
from certgen.rfc5280.vocabulary import ExtendedKeyUsage, GeneralName, KeyAlgorithm, KeyUsage, NameAttribute
from certgen.spec import fields, keeping

NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
_DURATION_PATTERN: Final = r"^([0-9]+(s|m|h|d|w|y))+$"
_TIME_PATTERN: Final = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.0+)?([Zz]|[+-]\d\d:\d\d)$"


def _scalar_or_list(item: Any) -> Any:  # noqa: ANN401 - a type form has no better type
    return item | list[item]


_Plain = str | int | float
"""What a schema takes for a text: YAML editors read `12345` as a number."""

Name = Annotated[
    str,
    BeforeValidator(fields.entry_name, json_schema_input_type=Annotated[str, StringConstraints(pattern=NAME_PATTERN)]),
]
Text = Annotated[str, BeforeValidator(fields.text, json_schema_input_type=_Plain)]
Duration = Annotated[
    int,
    BeforeValidator(
        fields.duration, json_schema_input_type=Annotated[str, StringConstraints(pattern=_DURATION_PATTERN)]
    ),
]
Window = Annotated[
    RenewBefore,
    BeforeValidator(
        fields.renew_before,
        json_schema_input_type=Annotated[str, StringConstraints(pattern=r"^(([0-9]+(s|m|h|d|w|y))+|[0-9]{1,2}%)$")],
    ),
]
Moment = Annotated[
    datetime,
    BeforeValidator(fields.moment, json_schema_input_type=Annotated[str, StringConstraints(pattern=_TIME_PATTERN)]),
]
San = Annotated[GeneralName, BeforeValidator(fields.general_name, json_schema_input_type=str)]
Base = Annotated[GeneralName, BeforeValidator(fields.constraint_base, json_schema_input_type=str)]
Algorithm = Annotated[KeyAlgorithm, BeforeValidator(fields.key_algorithm)]
Purpose = Annotated[ExtendedKeyUsage, BeforeValidator(fields.purpose)]
Usage = Annotated[KeyUsage, BeforeValidator(fields.member_of(KeyUsage, "key usage"))]
Rotation = Annotated[protection.KeyRotation, BeforeValidator(fields.member_of(protection.KeyRotation, "rotation"))]
Publish = Annotated[Publication, BeforeValidator(fields.member_of(Publication, "publication"))]
KeysInGit = Annotated[protection.KeysInGit, BeforeValidator(fields.member_of(protection.KeysInGit, "way with git"))]
ProtectionKind = Annotated[protection.ProtectionKind, BeforeValidator(keeping.protection_kind)]
Recipient = Annotated[str, BeforeValidator(keeping.recipient, json_schema_input_type=str)]
Url = Annotated[str, BeforeValidator(fields.url, json_schema_input_type=str)]


def _listed(input_type: Any) -> BeforeValidator:  # noqa: ANN401 - a type form has no better type
    return BeforeValidator(fields.listed, json_schema_input_type=_scalar_or_list(input_type))


Sans = Annotated[tuple[San, ...], _listed(str)]
Bases = Annotated[tuple[Base, ...], _listed(str)]
Purposes = Annotated[tuple[Purpose, ...], _listed(ExtendedKeyUsage)]
Usages = Annotated[tuple[Usage, ...], _listed(KeyUsage)]
Texts = Annotated[tuple[Text, ...], _listed(str)]
Urls = Annotated[tuple[Url, ...], _listed(str)]
Recipients = Annotated[tuple[Recipient, ...], _listed(str)]


def _value_of(attribute: NameAttribute) -> BeforeValidator:
    return BeforeValidator(partial(fields.attribute_value, attribute), json_schema_input_type=_Plain)


CommonName = Annotated[str, _value_of(NameAttribute.COMMON_NAME)]
DomainComponent = Annotated[tuple[Annotated[str, _value_of(NameAttribute.DOMAIN_COMPONENT)], ...], _listed(_Plain)]
Country = Annotated[tuple[Annotated[str, _value_of(NameAttribute.COUNTRY)], ...], _listed(_Plain)]
State = Annotated[tuple[Annotated[str, _value_of(NameAttribute.STATE)], ...], _listed(_Plain)]
Locality = Annotated[tuple[Annotated[str, _value_of(NameAttribute.LOCALITY)], ...], _listed(_Plain)]
StreetAddress = Annotated[tuple[Annotated[str, _value_of(NameAttribute.STREET_ADDRESS)], ...], _listed(_Plain)]
PostalCode = Annotated[tuple[Annotated[str, _value_of(NameAttribute.POSTAL_CODE)], ...], _listed(_Plain)]
Organization = Annotated[tuple[Annotated[str, _value_of(NameAttribute.ORGANIZATION)], ...], _listed(_Plain)]
OrganizationalUnit = Annotated[
    tuple[Annotated[str, _value_of(NameAttribute.ORGANIZATIONAL_UNIT)], ...], _listed(_Plain)
]
SerialNumber = Annotated[tuple[Annotated[str, _value_of(NameAttribute.SERIAL_NUMBER)], ...], _listed(_Plain)]


Mode = Annotated[
    int,
    BeforeValidator(
        fields.file_mode, json_schema_input_type=Annotated[str, StringConstraints(pattern=r"^0?o?[0-7]{3}$")]
    ),
]
PathLength = Annotated[int, BeforeValidator(fields.integer, json_schema_input_type=Annotated[int, Field(ge=0)])]
Version = Annotated[int, BeforeValidator(fields.version, json_schema_input_type=Annotated[int, Field(ge=1, le=1)])]


Folder = Annotated[
    str,
    BeforeValidator(fields.absolute_folder, json_schema_input_type=Annotated[str, StringConstraints(pattern="^/")]),
]


Namespace = Annotated[
    str,
    BeforeValidator(
        fields.namespace,
        json_schema_input_type=Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")],
    ),
]


def snippet_mapping(value: object) -> object:
    """Read `snippets: [nginx, go]` as `snippets: {nginx: {}, go: {}}`."""
    match value:
        case str():
            return {value: {}}
        case list() if all(isinstance(item, str) for item in value):
            return {name: {} for name in value}
        case dict():
            # Named without options, `nginx:` is still asked for; pydantic would take it for not asked.
            return {name: {} if options is None else options for name, options in value.items()}
        case _:
            return value


def mapping_or_nothing(value: object) -> object:
    """Read an entry of which nothing is said, `checkout:`, as one that takes every default."""
    return {} if value is None else value


def key_mapping(value: object) -> object:
    """Read `key: ecdsa-p256` as `key: {algorithm: ecdsa-p256}`."""
    return {"algorithm": value} if isinstance(value, str) else value
