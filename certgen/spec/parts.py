"""Floor 5: what the entries of a spec are made of, as Pydantic models: subject, key, name constraints, snippets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from certgen.consumers.options import Options
from certgen.consumers.registry import consumer_names, options_model
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.spec import types

if TYPE_CHECKING:
    from collections.abc import Iterator


class Strict(BaseModel):
    """A mapping of a spec; what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class Subject(Strict):
    """The attributes of a distinguished name; each a text or a list of texts."""

    domain_component: types.DomainComponent = Field(
        (), description="Domain components, the top-level one first. Default: none.", examples=[["example", "shop"]]
    )
    country: types.Country = Field((), description="Two letters of ISO 3166. Default: none.", examples=["NL"])
    state: types.State = Field((), description="State or province. Default: none.", examples=["Utrecht"])
    locality: types.Locality = Field((), description="City or place. Default: none.", examples=["Amersfoort"])
    street_address: types.StreetAddress = Field(
        (), description="Street and number. Default: none.", examples=["Langestraat 1"]
    )
    postal_code: types.PostalCode = Field((), description="Postal code. Default: none.", examples=["3811 AA"])
    organization: types.Organization = Field(
        (),
        description="Organization; several are several groups to Kubernetes. Default: none.",
        examples=["Shop BV", ["system:masters", "shop:operators"]],
    )
    organizational_unit: types.OrganizationalUnit = Field(
        (), description="Organizational unit. Default: none.", examples=["Payments"]
    )
    serial_number: types.SerialNumber = Field(
        (),
        description="Serial number of the subject, not of the certificate. Default: none.",
        examples=["KVK 30209281"],
    )


class Key(Strict):
    """Which private key an entry has."""

    algorithm: types.Algorithm | None = Field(
        None, description="Key algorithm. Default: ecdsa-p256.", examples=["ecdsa-p384"]
    )
    rotation: types.Rotation | None = Field(
        None,
        description="Whether a renewal keeps the key (keep) or makes a new one (on-renewal). Default: keep.",
        examples=["on-renewal"],
    )
    mode: types.Mode | None = Field(
        None,
        description='File mode of the private key in octal, at most "0640". Default: "0600".',
        examples=["0640"],
    )


KeyField = Annotated[Key | None, BeforeValidator(types.key_mapping, json_schema_input_type=KeyAlgorithm | Key)]


class NameConstraints(Strict):
    """Which names the certificates below a CA may carry (RFC 5280 4.2.1.10)."""

    permitted: types.Bases = Field(
        (),
        description="DNS names (with all below them), IP networks, `URI:` and `email:` hosts that are allowed. "
        "A kind that is not listed is not constrained. Default: none.",
        examples=[["shop.example", "10.0.0.0/8", "URI:shop.example"]],
    )
    excluded: types.Bases = Field(
        (),
        description="The same, forbidden. It wins over permitted. Default: none.",
        examples=[["lab.shop.example"]],
    )


class SnippetRequests(Strict):
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

_ConsumerName = Annotated[
    str,
    Field(
        json_schema_extra={
            "enum": list(consumer_names()),
            "enumDescriptions": [options_model(name).__doc__ for name in consumer_names()],
        }
    ),
]
SnippetsField = Annotated[
    Snippets | None,
    BeforeValidator(
        types.snippet_mapping,
        json_schema_input_type=_ConsumerName | list[_ConsumerName] | Snippets,
    ),
]
