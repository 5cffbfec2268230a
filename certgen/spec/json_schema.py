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
        return {**_alternatives(branches), **kept}
    return kept


def _alternatives(branches: list[_Schema]) -> _Schema:
    """Write alternatives: all plain values as one, and lists apart, which an editor would write for a value too."""
    flat = [inner for branch in branches for inner in (branch["anyOf"] if set(branch) == {"anyOf"} else [branch])]
    apart = [branch for branch in flat if "$ref" in branch or "enum" in branch]
    lists = [branch for branch in flat if branch.get("type") == "array"]
    plain = [branch for branch in flat if branch not in apart + lists]
    if plain == [{"type": "null"}]:
        plain, lists = [*lists, *plain], []
    named = [branch["type"] for branch in plain]
    types = [kind for one in named for kind in ([one] if isinstance(one, str) else one)]
    if "number" in types:
        types.remove("integer")
    joined = {key: value for branch in plain for key, value in branch.items()}
    if types:
        apart.append({**joined, "type": types if len(types) > 1 else types[0]})
    every = [*apart, *lists]
    return every[0] if len(every) == 1 else {"anyOf": every}


def _words(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    """Give what the definition says of itself to which a schema leads."""
    for branch in schema.get("anyOf", ()):
        if "$ref" in branch:
            kind = definitions[branch["$ref"].rpartition("/")[2]]
            return {word: kind[word] for word in _WORDS if word in kind}
    return {}
