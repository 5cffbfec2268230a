"""Names that Kubernetes takes, for names that a spec takes, and no two alike.

A name of an object is made of labels with dots between them (RFC 1123), a spec's names may have dots and underscores
anywhere inside. Each of those becomes one label, so labels and names go together one to one:
`shop.servers.api` is `servers/api` of the spec `shop`.
"""

from __future__ import annotations

import re
from typing import Final

from certgen.model import Address

_SEPARATORS: Final = "-._"


def object_name(spec: str, address: Address) -> str:
    """Give the name of what an entry becomes in a cluster: its Secret, whoever makes that.

    Args:
        spec: the spec's name.
        address: the entry's.
    """
    return f"{label(spec)}.{address.section}.{label(address.name)}"


def label(name: str) -> str:
    """Give the label of a spec's or an entry's name: the name itself where that is one and has no `--`.

    Else hyphens stand in place of dots and underscores, and behind `--` a number says which was which, so that no two
    names get one label.
    """
    readable = re.sub(f"[{_SEPARATORS}]", "-", name)
    if readable == name and "--" not in name:
        return name
    number = 0
    for separator in re.findall(f"[{_SEPARATORS}]", name):
        number = number * len(_SEPARATORS) + _SEPARATORS.index(separator)
    return f"{readable}--{number:x}"
