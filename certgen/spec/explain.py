"""Floor 6: pydantic's findings as certgen's diagnostics, in our words; pydantic's own messages echo too much."""

from __future__ import annotations

import types
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.spec.fields import did_you_mean, kind_of
from certgen.spec.schema import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

SYNONYMS = {
    "expire": "validity", "expires": "validity", "expiry": "validity", "ttl": "validity", "days": "validity",
    "duration": "validity", "lifetime": "validity", "san": "sans", "subjectaltname": "sans",
    "subjectaltnames": "sans", "altnames": "sans", "dns": "sans", "dnsnames": "sans", "hosts": "sans",
    "hostname": "sans", "hostnames": "sans", "domains": "sans", "cn": "common_name", "o": "organization",
    "ou": "organizational_unit", "c": "country", "st": "state", "province": "state", "l": "locality",
    "city": "locality", "parent": "issuer", "signer": "issuer", "signedby": "issuer", "keytype": "key",
    "keysize": "key", "keyalgorithm": "key", "eku": "extended_key_usage", "ku": "key_usage",
    "pathlen": "path_length", "pathlenconstraint": "path_length", "maxpathlen": "path_length",
    "crl": "crl_distribution_points", "crls": "crl_distribution_points", "startdate": "not_before",
    "enddate": "not_after", "authorities": "cas", "rotate": "rotation", "csr": "public_key",
    "cert": "certificate", "trusts": "trust", "trustanchors": "trust", "renewbefore": "renew_before",
}  # fmt: skip
"""What other tools call a field, squeezed to letters and digits."""


def validate(plain: object) -> tuple[Spec | None, tuple[Diagnostic, ...]]:
    """Read a plain tree as a spec.

    Args:
        plain: dictionaries, lists, texts and None, as `Document.plain` gives them.

    Returns:
        The spec, or None with every mistake that the models find.
    """
    try:
        return Spec.model_validate(plain), ()
    except ValidationError as failure:
        return None, explain(failure)


def explain(failure: ValidationError) -> tuple[Diagnostic, ...]:
    """Turn all findings of one validation into diagnostics with routes."""
    return tuple(_explain(finding) for finding in failure.errors(include_url=False))


def _explain(finding: ErrorDetails) -> Diagnostic:
    route = finding["loc"]
    # Pydantic marks a finding about a mapping's key so; an unknown field may really be called that.
    at_key = finding["type"] != "extra_forbidden" and route[-1:] == ("[key]",)
    route = route[:-1] if at_key else route
    match finding["type"]:
        case "certgen":
            context = finding["ctx"]
            return _error(context["code"], context["message"], route, context["help"] or None, at_key=at_key)
        case "extra_forbidden":
            return _unknown_field(route)
        case "missing":
            return _missing(route)
        case "model_type" | "model_attributes_type" | "dict_type":
            return _error("wrong-type", f"a mapping is expected here, not {kind_of(finding['input'])}", route)
        case "tuple_type" | "list_type":
            return _error("wrong-type", f"a text or a list is expected here, not {kind_of(finding['input'])}", route)
        case other:
            return _error("invalid-value", f"the value is not allowed here ({other})", route)


def _error(code: str, message: str, route: Route, help_: str | None = None, *, at_key: bool = False) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, help=help_, route=route, at_key=at_key)


def _missing(route: Route) -> Diagnostic:
    if route == ("version",):
        help_ = "put `version: 1` first: defaults never move under a file that says 1"
        return _error("missing-version", "the spec does not say its language version", (), help_)
    return _error("missing-field", f"`{route[-1]}` is missing", route[:-1])


def _unknown_field(route: Route) -> Diagnostic:
    name = str(route[-1])
    if name == "<<":
        message, help_ = "merge keys are not part of YAML 1.2", "say it once under `defaults`"
        return _error("unknown-field", message, route, help_, at_key=True)
    help_ = _known_fields(name, tuple(_fields_at(route[:-1])))
    return _error("unknown-field", f"unknown field `{name}`", route, help_, at_key=True)


@lru_cache(1024)
def _known_fields(name: str, fields: tuple[str, ...]) -> str:
    """Say which field was meant, or which there are; an alias can say one mistake many thousand times."""
    meant = did_you_mean(name, fields, SYNONYMS)
    return f"did you mean `{meant}`?" if meant else f"known here: {', '.join(fields)}"


def _fields_at(route: Route) -> Iterator[str]:
    """Give the names of the fields that may stand at a route, by walking the models."""
    kind: Any = Spec
    for step in route:
        kind = kind.model_fields[step].annotation if _is_model(kind) else get_args(kind)[1]
        kind = _strip(kind)
    yield from kind.model_fields if _is_model(kind) else ()


def _strip(kind: Any) -> Any:  # noqa: ANN401 - a type form has no better type
    """Look through `Annotated` and `| None` to the model or mapping inside."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in {Union, types.UnionType}:
            kind = next(option for option in get_args(kind) if option is not types.NoneType)
        else:
            return kind


def _is_model(kind: Any) -> bool:  # noqa: ANN401 - a type form has no better type
    return isinstance(kind, type) and issubclass(kind, BaseModel)
