"""Floor 9: Kubernetes manifests as YAML: deterministic, and every text of a spec stays the text that it is.

Readers differ in what they take for a number, a time or a truth: `y` is one to YAML 1.1 in Go and none to PyYAML. So
what is not plainly a word stands in quotes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Final

import yaml

Manifest = Mapping[str, object]

_WORDS: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*([ ./-][A-Za-z0-9]+)*", re.ASCII)
_TRUTHS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    """A dumper of plain values that quotes what could be taken for something else."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        """An alias would tie together what only happens to be equal."""
        return True


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    text = str(value)
    style = '"'
    if _WORDS.fullmatch(text) and text.lower() not in _TRUTHS:
        style = ""
    elif text.startswith("-----BEGIN "):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)
_Dumper.add_multi_representer(str, _represent)


def dump(manifests: Iterable[Manifest], comment: str) -> str:
    """Write manifests as one YAML stream.

    Args:
        manifests: of plain values.
        comment: one line that stands first.
    """
    stream = yaml.dump_all(
        manifests, Dumper=_Dumper, explicit_start=True, sort_keys=False, width=sys.maxsize, allow_unicode=False
    )
    return f"# {comment}\n{stream}"
