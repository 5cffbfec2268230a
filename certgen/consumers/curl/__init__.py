"""curl: a file of options with which it connects as a client or a peer, and believes nobody else's servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from certgen.consumers.options import Options
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.model import Address, Artifact

CONFIGURATION_FILE: Final = "curl.conf"

_ESCAPES: Final = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"},
)
_UNQUOTABLE: Final = re.compile("[\x00\ud800-\udfff]")


class CurlOptions(Options, json_schema_extra={"examples": [{}]}):
    """The client curl."""


OPTIONS: Final = CurlOptions


def quote(text: str) -> str:
    """Write a text as the value of an option in curl's configuration.

    Raises:
        UnquotableError: it has the character that ends a text, or half a surrogate pair, which is no character.
    """
    if _UNQUOTABLE.search(text):
        raise UnquotableError("curl reads a text up to the first zero, and only whole characters")
    return f'"{text.translate(_ESCAPES)}"'


def judge(deployment: Deployment, _options: CurlOptions) -> Iterator[Fault]:
    """Find what curl cannot do for an entry."""
    if not deployment.is_client:
        message = f"curl connects to others, and {deployment.entry.address} does not"
        yield Fault("unused-option", message, "remove it")


def allowed(_deployment: Deployment, _options: CurlOptions) -> tuple[Address, ...] | None:
    """Give None: nobody connects to curl."""
    return None


def render(deployment: Deployment, _options: CurlOptions) -> Iterator[Artifact]:
    """Write the configuration of a client or a peer; nothing for a server, which may inherit the wish for it."""
    if not deployment.is_client:
        return
    values = {
        "header": Verbatim(deployment.header),
        "configuration": deployment.path(CONFIGURATION_FILE),
        "certificate": _without_passphrase(deployment.certificate),
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
    }
    yield Artifact(CONFIGURATION_FILE, _TEMPLATES.render(f"{CONFIGURATION_FILE}.j2", **values))


_TEMPLATES: Final = Templates("curl", quote)


def _without_passphrase(path: str) -> str:
    """Write the path of a certificate so that curl takes nothing after a colon for the passphrase of its key."""
    return re.sub(r"[\\:]", r"\\\g<0>", path)
