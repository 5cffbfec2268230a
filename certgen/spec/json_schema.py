"""Floor 6: the JSON Schema of the language, in the form that editors make the most of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from certgen.spec.schema import Spec

SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_Schema = dict[str, Any]
_WORDS: Final = ("description", "examples")
_NOTHING: Final[tuple[object, ...]] = (None, {}, [])


def json_schema() -> _Schema:
    """Give the JSON Schema (draft 2020-12) of the language, for editors.

    An editor offers a default as what one wants to write, and explains a field by the first words that it finds, and
    those of an alternative go before the field's own. So nothing has a default of nothing, alternatives are as few as
    can be, and what a definition says of itself is said where it is used.
    """
    made = Spec.model_json_schema(mode="validation")
    definitions = made.pop("$defs")
    kinds = {name: _simplified(one, definitions) for name, one in definitions.items()}
    silent = {name: {key: kind[key] for key in kind if key not in _WORDS} for name, kind in kinds.items()}
    return {"$schema": SCHEMA_DIALECT, "$defs": silent, **_simplified(made, definitions)}


def _simplified(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    """Say the same in fewer alternatives, and refuse names outside a pattern, as the models do."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    if kept.get("default", False) in _NOTHING:
        del kept["default"]
    for key in {"properties", "patternProperties"} & kept.keys():
        fields = {name: _simplified(field, definitions) for name, field in kept[key].items()}
        kept[key] = {name: {**_words(field, definitions), **field} for name, field in fields.items()}
    for name in kept.get("required", ()):
        kept["properties"][name]["description"] += " Required."
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    if "items" in kept:
        kept["items"] = _simplified(kept["items"], definitions)
    if "anyOf" in kept:
        branches = [_simplified(branch, definitions) for branch in kept.pop("anyOf")]
        return {**_alternatives(branches, definitions), **kept}
    return kept


def _alternatives(branches: list[_Schema], definitions: Mapping[str, _Schema]) -> _Schema:
    """Write alternatives, of which no two are for a value of one type: mappings first, and all plain values as one.

    Where none fits an editor tells of a mapping only if it comes first, and of it alone if it is one of `oneOf`.
    """
    flat = [inner for branch in branches for inner in branch.get("oneOf", [branch])]
    mappings = [branch for branch in flat if "properties" in _definition(branch, definitions)]
    lists = [branch for branch in flat if branch.get("type") == "array"]
    named = [branch for branch in flat if branch not in mappings and ("$ref" in branch or "enum" in branch)]
    plain = [branch for branch in flat if branch not in mappings + lists + named]
    kinds = [kind for branch in plain for kind in _listed(branch["type"])]
    if "number" in kinds:
        kinds.remove("integer")
    joined = {key: value for branch in plain for key, value in branch.items()}
    if len(kinds) > 1:
        joined["type"] = kinds
    every = [*mappings, *named, *([joined] if plain else []), *lists]
    return every[0] if len(every) == 1 else {"oneOf": every}


def _listed(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def _definition(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    """Give the definition to which a schema leads; nothing where it leads to none."""
    return definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}


def _words(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    """Give what the definition says of itself to which a schema leads."""
    kind = _definition(schema.get("oneOf", [schema])[0], definitions)
    return {word: kind[word] for word in _WORDS if word in kind}
