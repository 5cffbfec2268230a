"""Every place of the language, by its JSON Schema: which fields there are where, and a spec that has one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
Path = tuple[str, ...]

ENTRY: Final = "shop-1"
"""What the entry of a section is called."""


def fields(schema: Schema) -> dict[Path, Schema]:
    """Give all fields of the language by where they stand: `servers`, `servers/shop-1/sans`."""
    return {
        (*place, name): field for place, kind in mappings(schema).items() for name, field in kind["properties"].items()
    }


def mappings(schema: Schema) -> dict[Path, Schema]:
    """Give what has fields, by where it stands: the whole spec at no name at all."""
    return {place: kind for place, kind in _kinds(schema, schema, ()) if "properties" in kind}


def spec_with(schema: Schema, place: Path, value: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Give a spec with a value at a place, and beside it the examples of all that is required."""
    return _with(schema, schema, place, value)


def closed_set(schema: Schema, field: Schema) -> list[object]:
    """Give the values that a field, or an item of its list, may have and no other; nothing where it may have any."""
    found: list[object] = []
    for kind in _alternatives(schema, field):
        found += kind.get("enum", [])
        found += [False, True] if kind.get("type") == "boolean" else []
    return found


def _kinds(schema: Schema, field: Schema, place: Path) -> Iterator[tuple[Path, Schema]]:
    for kind in _alternatives(schema, field):
        if "properties" in kind or "patternProperties" in kind:
            yield place, kind
        for name, inner in kind.get("properties", {}).items():
            yield from _kinds(schema, inner, (*place, name))
        for inner in kind.get("patternProperties", {}).values():
            yield from _kinds(schema, inner, (*place, ENTRY))


def _with(schema: Schema, field: Schema, place: Path, value: object) -> object:
    if not place:
        return value
    (kind,) = (one for one in _alternatives(schema, field) if {"properties", "patternProperties"} & one.keys())
    inner = kind.get("properties") or dict.fromkeys([ENTRY], *kind["patternProperties"].values())
    needed = {name: inner[name]["examples"][0] for name in kind.get("required", [])}
    return {**needed, place[0]: _with(schema, inner[place[0]], place[1:], value)}


def _alternatives(schema: Schema, field: Schema) -> Iterator[Schema]:
    """Give what a field may be, wherever the schema says it."""
    if "$ref" in field:
        yield from _alternatives(schema, schema["$defs"][field["$ref"].rpartition("/")[2]])
    elif "oneOf" in field:
        for one in field["oneOf"]:
            yield from _alternatives(schema, one)
    else:
        yield field
