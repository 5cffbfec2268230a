"""Redis: a server that speaks to nobody without a certificate, and to other servers over TLS too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from certgen.consumers.options import Endpoint, Field, Listen, Options
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.templates import Templates, Verbatim
from certgen.model import Address, Artifact

SERVER_FILE: Final = "redis.conf"
SERVER_PORT: Final = 6379

_BARE: Final = re.compile(r"[A-Za-z0-9_./:-]+", re.ASCII)
_UNSAFE: Final = re.compile(r'["\\\x00-\x1f\x7f]')
_PATTERN: Final = re.compile(r"[*?\[]")


class RedisOptions(Options, json_schema_extra={"examples": [{"listen": 6379}]}):
    """A Redis server, alone or one of several."""

    listen: Listen | None = Field(
        None,
        description="Port, or address and port. Without an address, the `bind` of your redis.conf holds. "
        "Default: 6379.",
        examples=["127.0.0.1:6379"],
    )


OPTIONS: Final = RedisOptions


def quote(text: str) -> str:
    """Write a text as one word of redis.conf."""
    return text if _BARE.fullmatch(text) else f'"{_UNSAFE.sub(_escaped, text)}"'


def judge(deployment: Deployment, options: RedisOptions) -> Iterator[Fault]:
    """Find what Redis cannot do for an entry."""
    del options
    if not deployment.is_server:
        message = "certgen has nothing for a client of Redis: its own clients check no name"
        yield Fault("unused-option", message, "remove it, or ask for what the client is written in, for example go")
    elif _PATTERN.search(deployment.path(SERVER_FILE)):
        message = "Redis takes `*`, `?` and `[` in a file's name for a pattern, and starts without what does not fit"
        yield Fault("not-quotable", message, "choose another folder", field="deploy_dir")


def allowed(deployment: Deployment, options: RedisOptions) -> tuple[Address, ...] | None:
    """Give None, for all: Redis looks at nothing of a certificate but who signed it."""
    del deployment, options
    return None


def render(deployment: Deployment, options: RedisOptions) -> Iterator[Artifact]:
    """Write the configuration of a server; for a client there is none."""
    if deployment.is_server:
        yield Artifact(SERVER_FILE, _TEMPLATES.render("redis.conf.j2", **_values(deployment, options)))


_TEMPLATES: Final = Templates("redis", quote)


def _values(deployment: Deployment, options: RedisOptions) -> dict[str, object]:
    listen = options.listen or Endpoint(SERVER_PORT)
    return {
        "header": Verbatim(deployment.header),
        "configuration": deployment.path(SERVER_FILE),
        "certificate": deployment.certificate,
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
        "port": listen.port,
        "address": listen.host or "",
        "is_client": deployment.is_client,
    }


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{character}" if character in '"\\' else f"\\x{ord(character):02x}"
