"""A spec as text, from the mapping that it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

_WIDTH: Final = 100_000
"""Characters of a line: no value goes on in the next."""
_LINE_BREAKS: Final = re.compile("[\x85\u2028\u2029]")
"""What YAML takes for the end of a line unless it is escaped."""


def write_spec(fields: Mapping[str, Any]) -> bytes:
    """Write a spec: one entry below the other, what it says of itself in short.

    Args:
        fields: as `spec_fields` gives them.
    """
    lines = [f"version: {fields['version']}"]
    for name, entries in fields.items():
        if name == "version":
            continue
        lines += ["", f"{name}:"]
        for entry, own in entries.items():
            lines += [f"  {_flow(entry)}:", *(f"    {field}: {_flow(value)}" for field, value in own.items())]
    return "\n".join([*lines, ""]).encode()


def _flow(value: Any) -> str:  # noqa: ANN401 - whatever a spec holds
    def dump(*, is_ascii: bool) -> str:
        text: str = yaml.safe_dump(
            value, default_flow_style=True, allow_unicode=not is_ascii, width=_WIDTH, sort_keys=False
        )
        return text

    text = dump(is_ascii=False)
    text = dump(is_ascii=True) if _LINE_BREAKS.search(text) else text
    return text.removesuffix("\n").removesuffix("\n...")
