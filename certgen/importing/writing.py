"""A spec as text, from the mapping that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

_WIDTH: Final = 100
"""Characters of a line, beyond which a list goes on in the next."""


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
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=_WIDTH * 1000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").rstrip()
