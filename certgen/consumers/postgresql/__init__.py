"""PostgreSQL: a server that knows its users by their certificates, and a service by which libpq connects to it."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import combinations
from typing import Final

from certgen.consumers.callers import allowed_entries, judge_allow
from certgen.consumers.naming import openssl_name
from certgen.consumers.options import Addresses, Endpoint, Field, HostName, Listen, Options, Text, Upstream
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.templates import Templates, UnquotableError, Verbatim
from certgen.diagnostics import Severity
from certgen.model import Address, Artifact, Entry
from certgen.rfc5280.vocabulary import DistinguishedName

SERVER_FILE: Final = "postgresql/postgresql.conf"
ACCESS_FILE: Final = "postgresql/pg_hba.conf"
USERS_FILE: Final = "postgresql/pg_ident.conf"
SERVICE_FILE: Final = "postgresql/pg_service.conf"

LONGEST_TOKEN: Final = 10000
"""Bytes; PostgreSQL skips a longer word of pg_ident.conf, and then says nothing but in its log."""
LONGEST_VALUE: Final = 980
"""Bytes; libpq reads no line of pg_service.conf with more than 1022."""
LONGEST_USER: Final = 63
"""Bytes; the rest of a user's name is cut off."""

_ROLES: Final = (("listen", True), ("users", True), ("upstream", False), ("server_name", False), ("user", False))
"""The options of one side, and whether that is the server's."""


class PostgresqlOptions(Options, json_schema_extra={"examples": [{"allow": ["clients/checkout"]}]}):
    """A PostgreSQL server, or what connects to one by libpq."""

    listen: Listen | None = Field(
        None,
        description="For a server: port, or address and port. Default: what postgresql.conf says besides.",
        examples=["127.0.0.1:5432"],
    )
    allow: Addresses | None = Field(
        None,
        description="The clients and peers that a server lets in, by address. "
        "Default: all whom its trust accepts, each as the database user of its common name.",
        examples=[["clients/checkout"]],
    )
    users: dict[Text, Text] | None = Field(
        None,
        description="The database users that those in `allow` are, by address. "
        "Default: the name of the entry, checkout for clients/checkout.",
        examples=[{"clients/checkout": "shop"}],
    )
    upstream: Upstream | None = Field(
        None,
        description="For a client: host and port of the server that it connects to. "
        "Default: what the connection string says.",
        examples=["db.shop.example:5432"],
    )
    server_name: HostName | None = Field(
        None,
        description="For a client whose `upstream` is an IP address: the name that the server's certificate must bear. "
        "Default: the host of `upstream`.",
        examples=["db.shop.example"],
    )
    user: Text | None = Field(
        None,
        description="For a client: the database user that it is. Default: the name of the entry.",
        examples=["shop"],
    )


OPTIONS: Final = PostgresqlOptions


def quote(text: str) -> str:
    """Write a text as a string of postgresql.conf."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def quote_token(text: str) -> str:
    """Write a text as one word of pg_hba.conf and pg_ident.conf, where quotes also take its meaning from a keyword.

    Raises:
        UnquotableError: it begins with a slash, which makes a pattern of it in quotes too, or it is too long.
    """
    if text.startswith("/"):
        raise UnquotableError("PostgreSQL takes what begins with `/` for a pattern")
    escaped = text.replace('"', '""')
    if len(escaped.encode()) > LONGEST_TOKEN:
        raise UnquotableError(f"PostgreSQL reads no word of more than {LONGEST_TOKEN} bytes")
    return f'"{escaped}"'


def quote_value(text: str) -> str:
    """Write a text as the value of a line of pg_service.conf, which goes on to the end of the line as it stands.

    Raises:
        UnquotableError: it is too long, it has a line's end in it, or blanks at its own, which libpq cuts off.
    """
    if text != text.rstrip() or "\n" in text:
        raise UnquotableError("libpq reads a value to the end of its line, and without the blanks there")
    if len(text.encode()) > LONGEST_VALUE:
        raise UnquotableError(f"libpq reads no value of more than {LONGEST_VALUE} bytes")
    return text


def judge(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Fault]:
    """Find what PostgreSQL and libpq cannot do for an entry."""
    yield from judge_allow(deployment, options.allow)
    yield from _judge_roles(deployment, options)
    if deployment.is_server:
        yield from _judge_users(deployment, options)
        yield from _judge_twins(deployment, options)
    if deployment.is_client:
        yield from _judge_service(deployment, options)
        yield from _judge_upstream(deployment, options)


def allowed(deployment: Deployment, options: PostgresqlOptions) -> tuple[Address, ...] | None:
    """Give those whom it lets in among all that the trust accepts."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Artifact]:
    """Write what a server includes, with whom it lets in as whom, and the service of a client."""
    values = _values(deployment, options)
    if deployment.is_server:
        yield Artifact(SERVER_FILE, _TEMPLATES.render("postgresql.conf.j2", **values))
        yield Artifact(ACCESS_FILE, _ACCESS.render("pg_hba.conf.j2", **values))
        if options.allow:
            yield Artifact(USERS_FILE, _ACCESS.render("pg_ident.conf.j2", **values))
    if deployment.is_client:
        yield Artifact(SERVICE_FILE, _SERVICES.render("pg_service.conf.j2", **values))


_TEMPLATES: Final = Templates("postgresql", quote)
_ACCESS: Final = Templates("postgresql", quote_token)
_SERVICES: Final = Templates("postgresql", quote_value)


def _values(deployment: Deployment, options: PostgresqlOptions) -> dict[str, object]:
    return {
        "header": Verbatim(deployment.header),
        "configuration": deployment.path(SERVER_FILE),
        "access": deployment.path(ACCESS_FILE),
        "users": deployment.path(USERS_FILE),
        "certificate": deployment.certificate,
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
        "listen": options.listen,
        "addresses": (options.listen and options.listen.host) or "*",
        "callers": tuple(
            {
                "entry": Verbatim(entry.address),  # a comment; an address has neither blanks nor signs
                "subject": openssl_name(entry.template.subject),
                "user": _user_of(entry, options),
            }
            for entry in allowed_entries(deployment, options.allow)
        ),
        "service": deployment.entry.address.name,
        "user": options.user or deployment.entry.address.name,
        "host": _checked_name(options) or "",
        "address": _address(options) or "",
        "upstream": options.upstream,
    }


def _user_of(entry: Entry, options: PostgresqlOptions) -> str:
    """Give the database user that a caller is."""
    return (options.users or {}).get(str(entry.address), entry.address.name)


def _checked_name(options: PostgresqlOptions) -> str | None:
    """Give the name or the IP address that the server's certificate must bear; None where it is not known yet."""
    return options.server_name or (options.upstream.host if options.upstream else None)


def _address(options: PostgresqlOptions) -> str | None:
    """Give the IP address to connect to where that is not what the certificate must bear."""
    is_named = options.server_name is not None and options.upstream is not None and options.upstream.is_address
    return options.upstream.host if options.upstream and is_named else None


def _judge_roles(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Fault]:
    for option, is_server_s in _ROLES:
        has_role = deployment.is_server if is_server_s else deployment.is_client
        if getattr(options, option) is not None and not has_role:
            owner = "a server, to which others connect" if is_server_s else "a client, which connects to others"
            yield Fault("unused-option", f"`{option}` is for {owner}", "remove it", (option,))


def _judge_users(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Fault]:
    """Refuse users of nobody, and what pg_ident.conf cannot say."""
    allow = options.allow or ()
    named = {str(address) for address in allow}
    for caller in options.users or {}:
        if caller not in named:
            message = f"`users` says who {caller} is, whom `allow` does not let in"
            yield Fault("unused-option", message, "name it in `allow`, or remove it", ("users", caller))
    for entry in allowed_entries(deployment, allow):
        caller, place = str(entry.address), ("allow", allow.index(entry.address))
        user_place = ("users", caller) if caller in (options.users or {}) else place
        for text, where in (
            (openssl_name(entry.template.subject), place),
            (_user_of(entry, options), user_place),
        ):
            try:
                quote_token(text)
            except UnquotableError as reason:
                message = f"PostgreSQL cannot be told of {caller}: {reason}"
                yield Fault("not-quotable", message, "choose another text", where)
        yield from _judge_length(_user_of(entry, options), user_place)


def _judge_length(user: str, place: tuple[str | int, ...]) -> Iterator[Fault]:
    if len(user.encode()) > LONGEST_USER:
        message = f"PostgreSQL has no user whose name is longer than {LONGEST_USER} bytes"
        yield Fault("not-quotable", message, "choose a shorter name", place)


def _judge_twins(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Fault]:
    """Refuse callers with one subject: of a certificate PostgreSQL sees no more than that, not even who signed it."""
    allow = options.allow or ()
    entries = allowed_entries(deployment, allow)
    help_ = "give one of them another `common_name`"
    for entry in entries:
        place = ("allow", allow.index(entry.address))
        for twin in _kept_out_twins(deployment, entry, allow):
            message = f"PostgreSQL cannot tell {entry.address} from {twin.address}: their subjects are the same"
            yield Fault("same-identity", message, help_, place)
    subjects: dict[DistinguishedName, list[Entry]] = {}
    for entry in entries:
        subjects.setdefault(entry.template.subject, []).append(entry)
    for twins in subjects.values():
        for one, other in combinations(twins, 2):
            if _user_of(one, options) != _user_of(other, options):
                message = f"PostgreSQL cannot tell {one.address} from {other.address}, which is another user"
                yield Fault("same-identity", message, help_, ("allow", allow.index(one.address)))


def _kept_out_twins(deployment: Deployment, caller: Entry, allow: tuple[Address, ...]) -> Iterator[Entry]:
    """Give those whom `allow` keeps out and whose subject is a caller's, whoever signs them."""
    authorities = {entry.template.subject for entry in deployment.bundle.entries if entry.is_ca}
    for issuer in authorities:
        for other in deployment.census.namesakes(caller.template.subject, issuer):
            if other.address not in allow and not deployment.is_itself(other) and deployment.trusts(other):
                yield other


def _judge_service(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Fault]:
    """Refuse what pg_service.conf cannot say."""
    try:
        quote_value(deployment.certificate)
    except UnquotableError as reason:
        yield Fault("not-quotable", str(reason), "choose another folder", field="deploy_dir")
    if options.user is not None:
        yield from _judge_length(options.user, ("user",))


def _judge_upstream(deployment: Deployment, options: PostgresqlOptions) -> Iterator[Fault]:
    name, upstream = options.server_name, options.upstream
    if name and upstream and not upstream.is_address and upstream.host != name:
        message = f"libpq looks for the name in its certificate at that name, not at `{upstream.host}`"
        help_ = "write the server's IP address in `upstream`, or leave `server_name` out"
        yield Fault("bad-endpoint", message, help_, ("upstream",))
    known = frozenset() if deployment.trusts_files else deployment.server_names
    asked = name or _dns_name(upstream)
    if asked and known and asked not in known and f"*.{asked.partition('.')[2]}" not in known:
        near = get_close_matches(asked, known, n=1)
        help_ = f"did you mean `{near[0]}`?" if near else f"its servers bear {', '.join(sorted(known)[:5])}"
        message = f"no server of this spec bears the name `{asked}`"
        place = ("server_name",) if name else ("upstream",)
        yield Fault("unknown-server-name", message, help_, place, severity=Severity.WARNING)


def _dns_name(upstream: Endpoint | None) -> str | None:
    return upstream.host if upstream and not upstream.is_address else None
