"""Floor 4: what a consumer's options are made of: the strict model, and a type for each kind of value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from certgen.model import Address
from certgen.rfc5280.names import InvalidNameError, parse_dns_name, parse_ip_address
from certgen.spec import fields
from certgen.tree import OWN_FILES, is_kept_from_git

__all__ = ["Addresses", "Endpoint", "Field", "FileName", "HostName", "Listen", "Options", "Switch", "Text", "Upstream"]

_LISTEN: Final = re.compile(
    r"(?:(?P<host>[^\[\]:]+|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]):)?(?P<port>[1-9][0-9]{0,4})", re.ASCII
)
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)
_PORT: Final = Annotated[int, Field(ge=1, le=65535)]


class Options(BaseModel):
    """A consumer's options; what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    @property
    def named_files(self) -> Mapping[str, str]:
        """The files beside the spec that the options name, by option."""
        return {}


def described_options(model: type[Options], before: str = "") -> Iterator[tuple[str, str, object]]:
    """Give the options of a model with what they mean and an example, those within others as `client.listen`.

    Args:
        model: the model.
        before: what stands before each name.
    """
    for name, field in model.model_fields.items():
        needed = " Required." if field.is_required() else ""
        yield f"{before}{name}", f"{field.description}{needed}", (field.examples or [None])[0]
        for inner in get_args(field.annotation):
            if isinstance(inner, type) and issubclass(inner, Options):
                yield from described_options(inner, f"{before}{name}.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port, and the host or address that it belongs to."""

    port: int
    host: str | None = None
    """A DNS name or an IP address in canonical form; None for every address of the machine."""
    is_address: bool = False
    """Whether the host is an IP address."""

    def __str__(self) -> str:
        if self.host is None:
            return str(self.port)
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        if not self.is_address:
            return self.host == "localhost"
        return self.host == "::1" or (self.host or "").startswith("127.")


def listen(value: object) -> Endpoint:
    """Read where a program listens: `8443`, `127.0.0.1:8443`, `[::1]:8443`."""
    written = fields.text(value)
    found = _LISTEN.fullmatch(written)
    host = found["host"] if found else None
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise fields.problem("bad-endpoint", f"`{written}` is not a port to listen at", "for example 127.0.0.1:8443")
    if host is None:
        return Endpoint(int(found["port"]))
    return _endpoint(written, host, int(found["port"]))


def upstream(value: object) -> Endpoint:
    """Read whom a program connects to: `api.shop.example:8443`, `127.0.0.1:8080`, `[::1]:8080`."""
    written = fields.text(value)
    found = _LISTEN.fullmatch(written)
    if found is None or found["host"] is None or not 1 <= int(found["port"]) <= 65535:
        help_ = "write a host and a port, for example 127.0.0.1:8080"
        raise fields.problem("bad-endpoint", f"`{written}` is not a host with a port", help_)
    return _endpoint(written, found["host"], int(found["port"]))


def switch(value: object) -> bool:
    """Read a choice between yes and no: `true` or `false`."""
    written = fields.text(value)
    if written not in {"true", "false"}:
        raise fields.problem("not-a-switch", f"`{written}` is neither true nor false", "write `true` or `false`")
    return written == "true"


def address(value: object) -> Address:
    """Read the address of an entry: `clients/checkout`."""
    written = fields.text(value)
    try:
        return Address.parse(written)
    except ValueError:
        help_ = "write a section and a name, for example clients/checkout"
        raise fields.problem("bad-address", f"`{written}` is not an address", help_) from None


def host_name(value: object) -> str:
    """Read a DNS name without a wildcard."""
    written = fields.text(value)
    try:
        return parse_dns_name(written, wildcard=False)
    except InvalidNameError as reason:
        raise fields.problem("bad-endpoint", f"`{written}`: {reason}", reason.help) from None


def file_name(value: object) -> str:
    """Read the name of a file to be, without a folder."""
    written = fields.text(value)
    if not _FILE_NAME.fullmatch(written) or written.endswith("."):
        help_ = "use letters, digits, `.`, `_` and `-`, for example my.conf"
        raise fields.problem("bad-output", f"`{written}` cannot be the name of a file in an entry's folder", help_)
    if fields.is_device(written.casefold()):
        message = f"`{written}` cannot be the name of a file: Windows keeps it for a device"
        raise fields.problem("bad-output", message, "for example my.conf")
    if is_kept_from_git(written) and written.casefold() not in OWN_FILES:
        message = f"`{written}` is a name of private keys, which the tree's .gitignore keeps out of git"
        raise fields.problem("bad-output", message, "for example my.conf")
    return written


def _endpoint(written: str, host: str, port: int) -> Endpoint:
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return Endpoint(port, parse_ip_address(bare), is_address=True)
    except InvalidNameError:
        pass
    if host.isdecimal():
        raise fields.problem("bad-endpoint", f"`{written}`: `{host}` is neither a name nor an address")
    try:
        return Endpoint(port, parse_dns_name(host, wildcard=False))
    except InvalidNameError as reason:
        raise fields.problem("bad-endpoint", f"`{written}`: {reason}", reason.help) from None


_ENDPOINT_PATTERN: Final = r"^(\S+:)?[0-9]{1,5}$"

Listen = Annotated[
    Endpoint,
    BeforeValidator(
        listen, json_schema_input_type=_PORT | Annotated[str, StringConstraints(pattern=_ENDPOINT_PATTERN)]
    ),
]
Upstream = Annotated[
    Endpoint,
    BeforeValidator(upstream, json_schema_input_type=Annotated[str, StringConstraints(pattern=r"^\S+:[0-9]{1,5}$")]),
]
Switch = Annotated[bool, BeforeValidator(switch, json_schema_input_type=bool)]
HostName = Annotated[str, BeforeValidator(host_name, json_schema_input_type=str)]
FileName = Annotated[str, BeforeValidator(file_name, json_schema_input_type=str)]
Text = Annotated[str, BeforeValidator(fields.text, json_schema_input_type=str)]
_Address = Annotated[Address, BeforeValidator(address, json_schema_input_type=str)]
Addresses = Annotated[tuple[_Address, ...], BeforeValidator(fields.listed, json_schema_input_type=str | list[str])]
