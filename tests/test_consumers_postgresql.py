"""PostgreSQL, the real one, started from nothing but the rendered files: who may be which user, and who nobody is."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from consumer_case import Case, Hostile, Knock, Visit
from cryptography import x509
from programs import Answer, Running, Version, eventually, free_port, require, running
from remarks import codes, load, remarks, rendered
from scene import Scene
from scene import load as certificate_in

from certgen.consumers.postgresql import quote, quote_token, quote_value
from certgen.consumers.templates import UnquotableError

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
NOW = datetime.now(UTC).replace(microsecond=0)
AWKWARD = 'it\'s "the" shop; {#1} \\n ünï $x %s, a'
"""A folder's name with every character that means something in one of the files."""
WHO_AM_I = "SELECT current_user, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


# The programs


def program(name: str) -> Path:
    """Find a program of the server; Debian has them on nobody's PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return versions[-1] if versions else require(name)


@cache
def unprivileged() -> tuple[str | Path, ...]:
    """Give the command that runs another as somebody who is not root, since PostgreSQL refuses to be.

    In a user namespace the same user has another number, which must be one that the machine has a name for.
    """
    if os.geteuid() != 0:
        return ()
    user = pwd.getpwnam("daemon")
    return (require("unshare"), "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--")


def done(*arguments: str | Path, typed: str = "") -> str:
    """Run a program of the server to its end."""
    command = [*unprivileged(), *arguments]
    return subprocess.run(command, input=typed, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def postgres(folder: Path, port: int, work: Path, sockets: Path | None = None, *settings: str) -> Iterator[Running]:
    """Run a server whose whole configuration is the rendered one, or another file of the same name.

    It has a database user for each folder beside those of the tree, and for those whom the specs below name. A data
    directory is what no spec makes.
    """
    data, names = work / "data", {path.name for path in folder.parents[1].glob("*/*") if path.is_dir()}
    done(program("initdb"), "-D", data, "--no-sync", "--no-locale", "--encoding=UTF8")
    quoted = [name.replace('"', '""') for name in sorted(names | {"shop", USER})]
    roles = "".join(f'CREATE ROLE "{name}" LOGIN REPLICATION;\n' for name in quoted)
    done(program("postgres"), "--single", "-F", "-D", data, "postgres", typed=roles)
    options = [
        f"config_file={folder}/postgresql/postgresql.conf",
        f"unix_socket_directories={sockets or ''}",
        *settings,
    ]
    arguments = [argument for option in options for argument in ("-c", option)]
    command = [*unprivileged(), program("postgres"), "-F", "-D", data, *arguments]
    with running(command, port, work / "postgres.log") as started:
        assert eventually(lambda: "ready to accept connections" in started.words())
        yield started


NOT_RELOADED = "SSL configuration was not reloaded"
USER = 'the "user", #1 \\ ö'
"""A database user whose name means something in pg_ident.conf."""


def psql(
    parameters: Mapping[str, object],
    query: str = WHO_AM_I,
    *,
    services: Path | None = None,
    prefix: tuple[str | Path, ...] = (),
) -> Answer:
    """Ask one question; 200 where it was answered.

    parameters: of the connection.
    query: the question.
    services: a file of services.
    prefix: runs psql as somebody else.
    """
    text = {name: str(value).replace("\\", "\\\\").replace("'", "\\'") for name, value in parameters.items()}
    connection = " ".join(f"{name}='{value}'" for name, value in {"dbname": "postgres", **text}.items())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"LC_ALL": "C", "PGSERVICEFILE": str(services or "/dev/null")}
    command: list[str | Path] = [*prefix, require("psql"), "-XAtw", connection, "-c", query]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return Answer(200 if ended.returncode == 0 else None, ended.stdout.removesuffix("\n"), ended.stderr)


def knock(call: Knock) -> Answer:
    """Ask as the database user of the folder's name, by parameters instead of a service."""
    # libpq has certificates by default too, those of the user's home.
    identity = call.identity or Path("/nonexistent")
    versions = {"ssl_min_protocol_version": f"TLSv{call.version}", "ssl_max_protocol_version": f"TLSv{call.version}"}
    return psql({
        "host": call.name, "hostaddr": "127.0.0.1", "port": call.port,
        "user": identity.name if call.identity else "checkout", "sslmode": "verify-full", "sslrootcert": call.anchors,
        "sslcert": identity / "cert.pem", "sslkey": identity / "key.pem", **(versions if call.version else {}),
    })  # fmt: skip


def service_of(folder: Path, query: str = WHO_AM_I, **parameters: object) -> Answer:
    """Ask by the service that was rendered for a client."""
    return psql({"service": folder.name, **parameters}, query, services=folder / "postgresql/pg_service.conf")


def call(visit: Visit) -> Answer:
    return service_of(visit.folder)


# A shop


SHOP = """\
    version: 1
    cas:
      root: {common_name: Shop Root CA}
      issuing: {issuer: root, common_name: Shop Issuing CA}
    defaults: {issuer: issuing}
    servers:
      db:
        sans: [db.shop.example, localhost, 127.0.0.1]
        snippets:
          postgresql:
            listen: "127.0.0.1:%(db)s"
            allow: [clients/checkout, clients/legacy, clients/late, peers/standby]
            users: {clients/checkout: shop, clients/legacy: %(user)s}
      open:
        sans: [open.shop.example, "*.open.shop.example"]
        snippets: {postgresql: {listen: "127.0.0.1:%(open)s"}}
    clients:
      checkout: {snippets: {postgresql: {upstream: "localhost:%(db)s", user: shop}}}
      legacy:
        common_name: 'Legacy, "Inc." #1 + <é;中>= \\'
        subject: {organization: "#", organizational_unit: [a, b], domain_component: [example, shop], country: NL}
        snippets: {postgresql: {upstream: "127.0.0.1:%(db)s", user: %(user)s}}
      reporting: {snippets: {postgresql: {upstream: "127.0.0.1:%(db)s", server_name: db.shop.example}}}
      late: {validity: 1h, snippets: {postgresql: {upstream: "localhost:%(db)s"}}}
      by-address: {snippets: {postgresql: {upstream: "127.0.0.1:%(open)s"}}}
      by-wildcard: {snippets: {postgresql: {upstream: "127.0.0.1:%(open)s", server_name: eu.open.shop.example}}}
      too-deep: {snippets: {postgresql: {upstream: "127.0.0.1:%(open)s", server_name: a.eu.open.shop.example}}}
      unsaid: {snippets: postgresql}
    peers:
      standby: {sans: standby.shop.example, snippets: {postgresql: {upstream: "localhost:%(db)s"}}}
"""


@dataclass(frozen=True)
class Shop:
    """Two servers that run, and the tree by which they and their clients were made."""

    scene: Scene
    ports: Mapping[str, int]
    db: Running
    sockets: Path

    def service(self, name: str, query: str = WHO_AM_I, **parameters: object) -> Answer:
        """Ask by the service of a client or a peer."""
        return service_of(self.scene.tree / name, query, **parameters)

    def gives(self, name: str, status: int | None) -> bool:
        """Tell whether a client, or a peer, is given an answer, or none."""
        return self.service(name).status == status

    def says_again(self, words: str, before: int) -> bool:
        """Tell whether the log has words more often than before."""
        return self.db.words().count(words) > before


def written(scene: Scene, ports: Mapping[str, int], *allow: str) -> None:
    """Write the shop's spec, with everything deployed where it is made; YAML takes JSON.

    allow: who is let in besides.
    """
    spec = yaml.safe_load(SHOP % {**ports, "user": json.dumps(USER)})
    for section in ("servers", "clients", "peers"):
        for name, entry in spec[section].items():
            entry["deploy_dir"] = f"{scene.tree}/{section}/{name}"
    spec["servers"]["db"]["snippets"]["postgresql"]["allow"] += allow
    scene.write(json.dumps(spec))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder, ports = tmp_path_factory.mktemp("shop"), {"db": free_port(), "open": free_port()}
    scene = Scene(folder / AWKWARD, NOW - timedelta(hours=2))  # the client `late` has ended since
    written(scene, ports)
    scene.run()
    sockets = tmp_path_factory.mktemp("s")  # the path of a socket is a short one
    with (
        postgres(scene.tree / "servers/db", ports["db"], folder / "db", sockets) as db,
        postgres(scene.tree / "servers/open", ports["open"], folder / "open"),
    ):
        yield Shop(scene, ports, db, sockets)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("who", "user"),
    [("clients/checkout", "shop"), ("clients/legacy", USER), ("peers/standby", "standby")],
)
def test_whoever_is_allowed_is_the_user_that_the_spec_says(shop: Shop, who: str, user: str, version: Version) -> None:
    only: dict[str, Any] = {"ssl_min_protocol_version": f"TLSv{version}", "ssl_max_protocol_version": f"TLSv{version}"}
    answer = shop.service(who, **only)
    assert (answer.status, answer.body) == (200, f"{user}|TLSv{version}"), answer


def test_nobody_is_another_user_than_the_spec_says(shop: Shop) -> None:
    """Each of the users is there, and has the right to log in."""
    before = len(shop.db.words())
    for who, user in (
        ("clients/checkout", "checkout"),
        ("clients/checkout", USER),
        ("clients/legacy", "shop"),
        ("clients/checkout", "daemon"),
    ):
        assert "certificate authentication failed" in shop.service(who, user=user).error
    assert shop.db.words()[before:].count('no match in usermap "certgen"') == 4
    assert shop.service("clients/checkout", user="shop").status == 200


def test_whom_allow_does_not_name_is_nobody(shop: Shop) -> None:
    before = len(shop.db.words())
    for user in ("reporting", "shop"):
        assert "certificate authentication failed" in shop.service("clients/reporting", user=user).error
    assert 'for user "reporting" authenticated as "CN=reporting"' in shop.db.words()[before:]


def test_a_certificate_that_has_ended_is_refused(shop: Shop) -> None:
    before = len(shop.db.words())
    assert shop.service("clients/late").status is None
    assert eventually(lambda: "certificate verify failed" in shop.db.words()[before:])


def test_nobody_is_let_in_without_tls(shop: Shop) -> None:
    answer = shop.service("clients/checkout", sslmode="disable")
    assert re.search(r'no pg_hba.conf entry for host "127.0.0.1", user "shop", .* no encryption', answer.error)
    assert shop.service("clients/checkout", sslmode="require").status == 200


def test_a_standby_may_replicate(shop: Shop) -> None:
    assert shop.service("peers/standby", "IDENTIFY_SYSTEM", replication="true").status == 200
    answer = shop.service("clients/reporting", "IDENTIFY_SYSTEM", replication="true")
    assert "certificate authentication failed" in answer.error


def test_the_machine_s_own_user_comes_by_the_socket_without_a_certificate(shop: Shop) -> None:
    at: dict[str, object] = {"host": shop.sockets, "port": shop.ports["db"]}
    me = done("id", "-un").strip()
    assert psql(at, "SELECT current_user", prefix=unprivileged()).body == me
    assert "Peer authentication failed" in psql({**at, "user": "shop"}, prefix=unprivileged()).error


def test_without_allow_everybody_is_the_user_of_the_common_name(shop: Shop) -> None:
    assert shop.service("clients/by-wildcard").body == "by-wildcard|TLSv1.3"
    answer = shop.service("clients/by-wildcard", user="shop")
    assert 'certificate authentication failed for user "shop"' in answer.error


# The name of the server


def test_an_address_is_looked_for_among_the_server_s_addresses(shop: Shop) -> None:
    assert shop.service("clients/legacy").status == 200  # 127.0.0.1 is one of its names
    assert 'does not match host name "127.0.0.1"' in shop.service("clients/by-address").error


def test_a_wildcard_stands_for_one_label(shop: Shop) -> None:
    assert shop.service("clients/by-wildcard").status == 200
    assert 'does not match host name "a.eu.open.shop.example"' in shop.service("clients/too-deep").error


def test_a_service_without_a_host_takes_the_one_of_the_connection_string_and_checks_it(shop: Shop) -> None:
    at: dict[str, Any] = {"hostaddr": "127.0.0.1", "port": shop.ports["open"]}
    assert shop.service("clients/unsaid", host="x.open.shop.example", **at).body == "unsaid|TLSv1.3"
    assert "does not match host name" in shop.service("clients/unsaid", host="db.shop.example", **at).error


# TLS itself


def dial(port: int) -> socket.socket:
    """Connect, and ask for TLS."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    plain.sendall(struct.pack("!ii", 8, 80877103))
    assert plain.recv(1) == b"S"
    return plain


def handshake(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """Shake hands, after TLS was asked for."""
    plain = dial(port)
    try:
        return context.wrap_socket(plain, server_hostname="localhost", session=session)
    except BaseException:
        plain.close()
        raise


def context_of(shop: Shop, who: str) -> ssl.SSLContext:
    """Make a client's context."""
    folder = shop.scene.tree / who
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def served(shop: Shop) -> int:
    """Give the serial number of the certificate that the server shows."""
    with handshake(shop.ports["db"], context_of(shop, "clients/checkout")) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(shop: Shop, version: ssl.TLSVersion) -> None:
    context = context_of(shop, "clients/checkout")
    context.minimum_version = context.maximum_version = version
    startup = struct.pack("!i", 196608) + b"user\0shop\0database\0postgres\0\0"
    session = None
    for _ in range(2):
        with handshake(shop.ports["db"], context, session) as secured:
            secured.sendall(struct.pack("!i", len(startup) + 4) + startup)
            assert secured.recv(1) == b"R"  # a ticket of TLS 1.3 would have come by now
            assert not secured.session_reused
            session = secured.session
            assert session is None or not session.has_ticket


def test_old_versions_of_tls_are_refused(shop: Shop) -> None:
    context = context_of(shop, "clients/checkout")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)version|reset|EOF|handshake"):
        handshake(shop.ports["db"], context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    handshake(shop.ports["db"], context).close()


def test_under_tls_1_2_only_ciphers_with_forward_secrecy_and_integrity_serve(shop: Shop) -> None:
    context = context_of(shop, "clients/checkout")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(OSError, match=r"(?i)handshake"):
        handshake(shop.ports["db"], context)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    handshake(shop.ports["db"], context).close()


# What a reload takes


def test_a_reload_takes_a_renewed_pair_and_no_bad_one(shop: Shop) -> None:
    folder, before = shop.scene.tree / "servers/db", served(shop)
    shop.scene.run(rekey=["shop/servers/db"])
    renewed = certificate_in(folder / "cert.pem").serial_number
    assert served(shop) == before != renewed
    shop.db.reload()
    assert eventually(lambda: served(shop) == renewed)
    key, other = (folder / "key.pem").read_bytes(), (shop.scene.tree / "servers/open/key.pem").read_bytes()
    for content, mode, complaint in (
        (other, 0o600, "key values mismatch"),
        (key, 0o644, "has group or world access"),
    ):
        (folder / "key.pem").write_bytes(content)
        (folder / "key.pem").chmod(mode)
        before = shop.db.words().count(NOT_RELOADED)
        shop.db.reload()
        assert eventually(partial(shop.says_again, NOT_RELOADED, before))
        assert complaint in shop.db.words()
        assert served(shop) == renewed
        assert shop.service("clients/checkout").status == 200
    (folder / "key.pem").chmod(0o600)


def test_a_reload_takes_another_allow(shop: Shop) -> None:
    assert shop.service("clients/reporting").status is None
    for allow, status in ((["clients/reporting"], 200), ([], None)):
        written(shop.scene, shop.ports, *allow)
        (applied,) = shop.scene.run()
        assert applied.touched == {"servers/db/postgresql/pg_ident.conf", "manifest.json"}
        shop.db.reload()
        assert eventually(partial(shop.gives, "clients/reporting", status))
    assert shop.service("clients/checkout").status == 200


def test_a_client_follows_its_certificate(shop: Shop) -> None:
    serial = "SELECT client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    shop.scene.run(rekey=["shop/clients/checkout"])
    renewed = certificate_in(shop.scene.tree / "clients/checkout/cert.pem").serial_number
    assert shop.service("clients/checkout", serial).body == str(renewed)


def test_libpq_refuses_a_key_that_others_may_read(shop: Shop) -> None:
    key = shop.scene.tree / "clients/checkout/key.pem"
    key.chmod(0o644)
    try:
        assert "has group or world access" in shop.service("clients/checkout").error
    finally:
        key.chmod(0o600)
    assert shop.service("clients/checkout").status == 200


def test_no_server_starts_with_a_key_that_others_may_read(tmp_path: Path) -> None:
    scene, ports = Scene(tmp_path, NOW), {"db": free_port(), "open": free_port()}
    written(scene, ports)
    scene.run()
    (scene.tree / "servers/open/key.pem").chmod(0o644)
    with (
        pytest.raises(AssertionError, match="has group or world access"),
        postgres(scene.tree / "servers/open", ports["open"], tmp_path / "work"),
    ):
        pass


# Quoting


WORDS = [
    "", " ", "plain", "a b", " a ", "a,b", "all", "+all", "samerole", "@/etc/passwd", "#", "a#b", '"', '""', '"""', "'",
    "''", "\\", "\\\\", "a\\", "\\n", "\\'", "\\1", "\t", "=", "a=b", "!", "é中😀", "$x", "%s", "a/b", "~", "\u2028",
    "a" * 9000,
]  # fmt: skip


def test_postgresql_reads_a_quoted_text_as_it_was(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server whose configuration is the words, asked by its machine's own user."""
    port, sockets, folder = free_port(), tmp_path_factory.mktemp("s"), tmp_path / "servers/words/postgresql"
    folder.mkdir(parents=True)
    (folder / "pg_ident.conf").write_text("".join(f"m {quote_token(word)} {quote_token(word)}\n" for word in WORDS))
    (folder / "pg_hba.conf").write_text("local all all peer\n")
    settings = {f"words.a{number}": word for number, word in enumerate(WORDS)}
    settings |= {"listen_addresses": "127.0.0.1", "port": str(port)}
    settings |= {"hba_file": f"{folder}/pg_hba.conf", "ident_file": f"{folder}/pg_ident.conf"}
    lines = [f"{name} = {quote(value)}\n" for name, value in settings.items()]
    (folder / "postgresql.conf").write_text("".join(lines))
    shown = [f"current_setting('words.a{number}')" for number in range(len(WORDS))]
    mapped = "(SELECT json_agg({} ORDER BY line_number) FROM pg_ident_file_mappings)".format
    query = f"SELECT json_build_array({', '.join(shown)}), {mapped('sys_name')}, {mapped('pg_username')}"
    (tmp_path / "work").mkdir()
    with postgres(folder.parent, port, tmp_path / "work", sockets):
        answer = psql({"host": sockets, "port": port, "client_encoding": "UTF8"}, query, prefix=unprivileged())
    found = [json.loads(column) for column in answer.body.split("|")] if answer.status else answer
    assert found == [WORDS, WORDS, WORDS]


@pytest.mark.parametrize(
    ("write", "text", "reason"),
    [
        (quote_token, "/^.*$", "for a pattern"),
        (quote_token, '"' * 5001, "no word of more than 10000 bytes"),
        (quote_value, "a\nsslmode=disable", "to the end of its line"),
        (quote_value, "a ", "without the blanks"),
        (quote_value, "é" * 491, "no value of more than 980 bytes"),
    ],
)
def test_what_a_file_cannot_say_is_refused(write: Callable[[str], str], text: str, reason: str) -> None:
    with pytest.raises(UnquotableError, match=reason):
        write(text)


def test_libpq_reads_the_longest_value(tmp_path: Path) -> None:
    service, longest = tmp_path / "service.conf", quote_value("/" + "é" * 489)
    for value, answer in ((longest, "Connection refused"), (longest + "e" * 40, "line 3 too long in service file")):
        service.write_text(f"[long]\nhost=127.0.0.1\nsslrootcert={value}\n")
        assert answer in psql({"service": "long", "port": free_port()}, services=service).error


# What PostgreSQL cannot do


JUDGED = """\
    version: 1
    cas: {one: , two: }
    defaults: {issuer: one}
    servers:
      db: {sans: db.shop.example, trust: [one, two], snippets: {postgresql: %s}}
    clients:
      checkout: {snippets: {postgresql: %s}}
      worker: {common_name: checkout%s}
      other: {issuer: two}
      odd: {common_name: odd}
    """


@pytest.mark.parametrize(
    ("server", "twin", "expected"),
    [
        ("{allow: [clients/checkout]}", "", ["same-identity at clients/checkout"]),
        ("{allow: [clients/checkout]}", "-2", []),
        ("{allow: [clients/checkout]}", ", issuer: two", ["same-identity at clients/checkout"]),
        ("{allow: [clients/checkout, clients/worker]}", "", ["same-identity at clients/checkout"]),
        ("{allow: [clients/checkout, clients/worker], users: {clients/worker: checkout}}", "", []),
        ("{}", "", []),
    ],
)
def test_callers_with_one_subject_are_one_user_or_refused(
    tmp_path: Path, server: str, twin: str, expected: list[str]
) -> None:
    assert codes(tmp_path, JUDGED % (server, "{}", twin)) == expected


def test_a_twin_whom_the_server_does_not_trust_is_no_mistake(tmp_path: Path) -> None:
    spec = JUDGED % ("{allow: clients/checkout}", "{}", ", issuer: two")
    assert codes(tmp_path, spec.replace("[one, two]", "one")) == []


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("{allow: clients/other, users: {clients/other: a b}}", []),
        ("{allow: clients/other, users: {clients/odd: a}}", ["unused-option at a"]),
        ("{users: {clients/odd: a}}", ["unused-option at a"]),
        ("{allow: clients/other, users: {clients/other: /^.*$}}", ["not-quotable at /^.*$"]),
        ("{allow: clients/other, users: {clients/other: %s}}" % ("é" * 32), ["not-quotable at " + "é" * 32]),
        ("{allow: clients/other, users: {clients/other: %s}}" % ("é" * 31), []),
        ("{allow: clients/nobody}", ["unknown-address at clients/nobody"]),
        ("{upstream: 'db.shop.example:5432'}", ["unused-option at 'db.shop.example:5432'"]),
        ("{user: a, server_name: db.shop.example}", ["unused-option at db.shop.example", "unused-option at a"]),
        ("{client: {}}", ["unknown-field at client"]),
    ],
)
def test_a_server_is_judged(tmp_path: Path, server: str, expected: list[str]) -> None:
    assert sorted(codes(tmp_path, JUDGED % (server, "{}", "-2"))) == sorted(expected)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("{upstream: 'db.shop.example:5432', user: a}", []),
        ("{upstream: 'bd.shop.example:5432'}", ["unknown-server-name at 'bd.shop.example:5432'"]),
        ("{server_name: bd.shop.example}", ["unknown-server-name at bd.shop.example"]),
        ("{upstream: '127.0.0.1:5432', server_name: db.shop.example}", []),
        ("{upstream: '127.0.0.1:5432'}", []),
        ("{upstream: 'db.shop.example:5432', server_name: db.shop.example}", []),
        ("{upstream: 'proxy.example:5432', server_name: db.shop.example}", ["bad-endpoint at 'proxy.example:5432'"]),
        ("{user: %s}" % ("a" * 64), ["not-quotable at " + "a" * 64]),
        ("{listen: 5432}", ["unused-option at 5432"]),
        ("{allow: clients/other}", ["unused-option at clients/other"]),
        ("{users: {clients/other: a}}", ["unused-option at {clients/other: a}"]),
    ],
)
def test_a_client_is_judged(tmp_path: Path, client: str, expected: list[str]) -> None:
    assert codes(tmp_path, JUDGED % ("{}", client, "-2")) == expected


def test_a_subject_or_a_folder_that_is_too_long_is_refused_where_it_matters(tmp_path: Path) -> None:
    units = ", ".join(["中" * 64] * 18)
    spec = JUDGED % ("{allow: clients/odd}", "{}", "-2")
    long = spec.replace("{common_name: odd}", f"{{subject: {{organizational_unit: [{units}]}}}}")
    assert codes(tmp_path, spec) == []
    assert codes(tmp_path, long) == ["not-quotable at clients/odd"]
    folder = "/srv" + f"/{'a' * 200}" * 5
    (found,) = remarks(
        tmp_path, spec.replace("snippets: {postgresql: {}}", f"deploy_dir: {folder}, snippets: postgresql")
    )
    assert (found.code, found.at, found.help) == ("not-quotable", folder, "choose another folder")


def test_each_role_gets_its_files_and_no_others(tmp_path: Path) -> None:
    peers = "\n    peers:\n      standby: {sans: standby.shop.example, snippets: postgresql}\n"
    bundle = load(tmp_path, JUDGED % ("{allow: clients/other}", "{}", "-2") + peers).bundle
    files = {
        address: sorted(rendered(bundle, address)) for address in ("servers/db", "clients/checkout", "peers/standby")
    }
    hba, ident, server, service = (
        f"postgresql/{name}.conf" for name in ("pg_hba", "pg_ident", "postgresql", "pg_service")
    )
    assert files["servers/db"] == [hba, ident, server]
    assert files["clients/checkout"] == [service]
    assert files["peers/standby"] == [hba, service, server]
    assert "listen_addresses" not in rendered(bundle, "servers/db")[server]


# All consumers alike


def shapes(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give what each line of a file is, without the texts in it; folder: not needed."""
    del folder
    readers = {"postgresql.conf": _setting, "pg_hba.conf": _tokens, "pg_ident.conf": _tokens, "pg_service.conf": _pair}
    return {
        path: json.dumps([readers[path.rpartition("/")[2]](line) for line in text.split("\n")])
        for path, text in files.items()
    }


def _setting(line: str) -> list[str]:
    """Read a line as guc-file.l does."""
    if not line or line.startswith("#"):
        return [line[:1]]
    found = re.fullmatch(r"(\w+) = (?:'(?:[^'\\]|\\.|'')*'|(\w+))", line)
    if found is None:
        raise ValueError(line)
    return [found[1], found[2]]


def _tokens(line: str) -> list[str]:
    """Read a line as next_token of hba.c does: the keywords, and a mark for each quoted text."""
    if line.startswith("#"):
        return ["#"]
    if line.endswith("\\"):
        raise ValueError(line)
    words = re.findall(r'(?:"(?:[^"]|"")*")|[^\s,"#]+|.', line)
    return ['"' if word.startswith('"') and len(word) > 1 else word for word in words]


def _pair(line: str) -> list[str]:
    """Read a line as parseServiceFile of libpq does."""
    if len(line.encode()) > 1022:
        raise ValueError(line)
    key, _, _ = line.partition("=")
    return [key if line.startswith(tuple("abcdefghijklmnopqrstuvwxyz[")) else line[:1]]


CASE = Case(
    protocol="postgresql",
    serve=postgres,
    call=call,
    client_options=lambda visit: {"upstream": f"127.0.0.1:{visit.port}", "server_name": visit.name},
    knock=knock,
    reload=Running.reload,
    dial=dial,
    hostile=Hostile(
        server=lambda text: {
            "listen": text["listen"], "allow": [text["allow"]], "users": {"clients/checkout": text["unit"]},
        },
        client=lambda text: {"upstream": text["server"], "server_name": text["server_name"], "user": text["unit"]},
        shape=shapes,
    ),
)  # fmt: skip
