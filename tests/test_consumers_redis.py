"""Redis, the real one, started from nothing but the rendered file: nobody is served who has no certificate."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml
from consumer_case import Case, Hostile, Knock
from cryptography import x509
from programs import Answer, Running, Version, eventually, free_port, require, running
from remarks import Remark, codes, load, remarks, rendered
from scene import Scene
from scene import load as certificate_in

from certgen.consumers.redis import quote

VERSIONS: tuple[Version, ...] = ("1.2", "1.3")
TLS: Mapping[Version, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
NOW = datetime.now(UTC).replace(microsecond=0)
AWKWARD = 'it\'s "the" shop; {#1} \\n ünï $x %s, a'
"""A folder's name with every character that means something in redis.conf."""


@contextmanager
def redis(folder: Path, port: int, work: Path, *options: str) -> Iterator[Running]:
    """Run a server whose whole configuration is the rendered one; options: of the command line, which come later."""
    with running(
        [require("redis-server"), folder / "redis.conf", *options], port, work / "redis.log", folder=work
    ) as it:
        yield it


def context_of(identity: Path | None, anchors: Path, version: Version | None = None) -> ssl.SSLContext:
    """Make a client's context."""
    context = ssl.create_default_context(cafile=anchors)
    context.minimum_version, context.maximum_version = TLS[version or "1.2"], TLS[version or "1.3"]
    if identity is not None:
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    return context


def connected(
    port: int, context: ssl.SSLContext, name: str = "localhost", session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """Shake hands."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        return context.wrap_socket(plain, server_hostname=name, session=session)
    except BaseException:
        plain.close()
        raise


def say(secured: ssl.SSLSocket, *words: str | Path) -> str:
    """Send a command, and give what is answered without the marks of the protocol."""
    encoded = [str(word).encode() for word in words]
    secured.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))
    with secured.makefile("rb") as answer:
        first = answer.readline()
        text = answer.read(int(first[1:])) if first.startswith(b"$") else first.strip().removeprefix(b"+")
    return text.decode()


def knock(call: Knock) -> Answer:
    """Ask for a PONG."""
    try:
        with connected(call.port, context_of(call.identity, call.anchors, call.version), call.name) as secured:
            said = say(secured, "PING")
    except OSError as error:
        return Answer(None, error=f"{type(error).__name__}: {error}")
    return Answer(200 if said == "PONG" else None, said)


# A shop


SHOP = """\
    version: 1
    cas:
      root:
      issuing: {issuer: root}
      other:
    defaults: {issuer: issuing}
    servers:
      cache: {sans: [cache.shop.example, localhost], snippets: {redis: {listen: "127.0.0.1:%(cache)s"}}}
      second: {sans: localhost, snippets: {redis: {listen: "127.0.0.1:%(second)s"}}}
    clients:
      checkout:
      late: {validity: 1h}
      stranger: {issuer: other, trust: [root, other]}
    peers:
      primary: {sans: [primary.shop.example, localhost], snippets: {redis: {listen: "127.0.0.1:%(primary)s"}}}
      replica: {sans: [replica.shop.example, localhost], snippets: {redis: {listen: "127.0.0.1:%(replica)s"}}}
"""


@dataclass(frozen=True)
class Shop:
    """A server that runs, and the tree by which it and its clients were made."""

    scene: Scene
    ports: Mapping[str, int]
    cache: Running

    def folder(self, name: str) -> Path:
        """Give the folder of an entry, which is where it is deployed too."""
        return self.scene.tree / name

    def context(self, who: str | None = "clients/checkout", version: Version | None = None) -> ssl.SSLContext:
        """Make the context of a client, or of nobody."""
        return context_of(self.folder(who) if who else None, self.folder("clients/checkout") / "ca.pem", version)

    def say(self, *words: str | Path, port: str = "cache") -> str:
        """Have a client say something to a server."""
        with connected(self.ports[port], self.context()) as secured:
            return say(secured, *words)

    def lets_in(self, who: str | None, version: Version | None = None, port: str = "cache") -> bool:
        """Tell whether somebody is answered."""
        identity, anchors = self.folder(who) if who else None, self.folder("clients/checkout") / "ca.pem"
        return knock(Knock(self.ports[port], identity, anchors, "localhost", version)).status == 200

    def served(self) -> int:
        """Give the serial number of the certificate that the server shows."""
        with connected(self.ports["cache"], self.context()) as secured:
            shown = secured.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown).serial_number

    def replicates(self, port: str) -> bool:
        """Tell whether a replica hears its primary."""
        return "master_link_status:up" in self.say("INFO", "replication", port=port)

    def cli(self, typed: str, *options: str | Path) -> str:
        """Type into redis-cli, and give what it says."""
        folder = self.folder("clients/checkout")
        files: list[str | Path] = [
            "--cacert",
            folder / "ca.pem",
            "--cert",
            folder / "cert.pem",
            "--key",
            folder / "key.pem",
        ]
        command = [require("redis-cli"), "--tls", "-h", "127.0.0.1", "-p", str(self.ports["cache"]), *files, *options]
        return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=30, check=True).stdout


def written(scene: Scene, ports: Mapping[str, int], *trust: str) -> None:
    """Write the shop's spec, with everything deployed where it is made; YAML takes JSON.

    trust: of the server `cache`, besides the root.
    """
    spec = yaml.safe_load(SHOP % ports)
    for section in ("servers", "peers"):
        for name, entry in spec[section].items():
            entry["deploy_dir"] = f"{scene.tree}/{section}/{name}"
    spec["servers"]["cache"]["trust"] = ["root", *trust]
    scene.write(json.dumps(spec))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    ports = {name: free_port() for name in ("cache", "second", "primary", "replica")}
    scene = Scene(folder / AWKWARD, NOW - timedelta(hours=2))  # the client `late` has ended since
    written(scene, ports)
    scene.run()
    with redis(scene.tree / "servers/cache", ports["cache"], folder) as cache:
        yield Shop(scene, ports, cache)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", ["clients/checkout", "peers/primary"])
def test_whom_the_trust_accepts_is_let_in(shop: Shop, who: str, version: Version) -> None:
    with connected(shop.ports["cache"], shop.context(who, version)) as secured:
        assert (say(secured, "PING"), secured.version()) == ("PONG", f"TLSv{version}")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", [None, "clients/stranger", "clients/late", "servers/second"])
def test_others_are_kept_out(shop: Shop, who: str | None, version: Version) -> None:
    before = shop.cache.words().count("Error accepting a client connection")
    assert not shop.lets_in(who, version)
    assert eventually(lambda: shop.cache.words().count("Error accepting a client connection") > before)
    assert shop.lets_in("clients/checkout", version)


def test_nobody_is_served_without_tls(shop: Shop) -> None:
    assert not answers_in_clear(shop.ports["cache"])
    assert shop.lets_in("clients/checkout")


def answers_in_clear(port: int) -> bool:
    """Tell whether there is a server who answers without TLS."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(b"PING\r\n")
            return plain.recv(100) == b"+PONG\r\n"
    except OSError:
        return False


# TLS itself


@pytest.mark.parametrize("version", VERSIONS)
def test_who_comes_back_is_welcome_and_a_session_is_short(shop: Shop, version: Version) -> None:
    context, port = shop.context(version=version), shop.ports["cache"]
    with connected(port, context) as secured:
        assert say(secured, "PING") == "PONG"
        session = secured.session

    def is_resumed() -> bool:
        with connected(port, context, session=session) as again:
            assert say(again, "PING") == "PONG"
            return bool(again.session_reused)

    assert eventually(lambda: not is_resumed())


@pytest.mark.parametrize("version", VERSIONS)
def test_without_sessions_who_comes_back_would_be_refused(shop: Shop, version: Version, tmp_path: Path) -> None:
    """Redis gives tickets all the same: the page says so."""
    context, port = shop.context(version=version), shop.ports["second"]
    with redis(shop.folder("servers/second"), port, tmp_path, "--tls-session-caching", "no") as started:
        with connected(port, context) as secured:
            assert say(secured, "PING") == "PONG"
            session = secured.session
        assert session is not None
        assert session.has_ticket
        with pytest.raises(OSError, match="internal error"):
            say(connected(port, context, session=session), "PING")
        assert eventually(lambda: "session id context uninitialized" in started.words())


def test_old_versions_of_tls_are_refused(shop: Shop) -> None:
    context = shop.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)version|reset|EOF|handshake"):
        connected(shop.ports["cache"], context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    connected(shop.ports["cache"], context).close()


def test_under_tls_1_2_only_ciphers_with_forward_secrecy_and_integrity_serve(shop: Shop) -> None:
    context = shop.context(version="1.2")
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(OSError, match=r"(?i)handshake"):
        connected(shop.ports["cache"], context)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    connected(shop.ports["cache"], context).close()


# What a reload takes


def proposed(shop: Shop, command: str) -> str:
    """Give the line of a comment that begins with a command."""
    text = (shop.folder("servers/cache") / "redis.conf").read_text(encoding="utf-8")
    return re.search(rf"^#     ({command} .*)$", text, re.MULTILINE)[1]  # type: ignore[index]  # it is there


def test_the_command_of_the_comment_takes_a_renewed_pair_and_no_bad_one(shop: Shop) -> None:
    folder, before = shop.folder("servers/cache"), shop.served()
    shop.scene.run(rekey=["shop/servers/cache"])
    renewed = certificate_in(folder / "cert.pem").serial_number
    shop.cache.reload()
    assert shop.served() == before != renewed, "a signal changes nothing"
    assert shop.cli(proposed(shop, "CONFIG SET")) == "OK\n"
    assert shop.served() == renewed
    key = (folder / "key.pem").read_bytes()
    (folder / "key.pem").write_bytes((shop.folder("servers/second") / "key.pem").read_bytes())
    assert "Unable to update TLS configuration" in shop.cli(proposed(shop, "CONFIG SET"))
    (folder / "key.pem").write_bytes(key)
    assert shop.served() == renewed
    assert shop.lets_in("clients/checkout")


def test_the_command_takes_other_trust_anchors_too(shop: Shop) -> None:
    for trust in (["other"], []):
        written(shop.scene, shop.ports, *trust)
        (applied,) = shop.scene.run()
        assert applied.touched == {"servers/cache/ca.pem", "manifest.json"}
        assert shop.lets_in("clients/stranger") is not bool(trust)
        assert shop.cli(proposed(shop, "CONFIG SET")) == "OK\n"
        assert shop.lets_in("clients/stranger") is bool(trust)
        assert shop.lets_in("clients/checkout")


# Servers among themselves


AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""Or a primary waits for five seconds whether another replica comes."""


def test_a_peer_replicates_over_tls_and_a_server_that_is_none_is_refused(shop: Shop, tmp_path: Path) -> None:
    for name in ("primary", "replica", "second"):
        (tmp_path / name).mkdir()
    with (
        redis(shop.folder("peers/primary"), shop.ports["primary"], tmp_path / "primary", *AT_ONCE) as primary,
        redis(shop.folder("peers/replica"), shop.ports["replica"], tmp_path / "replica"),
        redis(shop.folder("servers/second"), shop.ports["second"], tmp_path / "second"),
    ):
        assert shop.say("SET", "color", "blue", port="primary") == "OK"
        # The primary bears no such name: nobody looks for one.
        for replica in ("second", "replica"):
            assert shop.say("REPLICAOF", "127.0.0.1", str(shop.ports["primary"]), port=replica) == "OK"
        assert eventually(partial(shop.replicates, "replica"))
        assert shop.say("GET", "color", port="replica") == "blue"
        assert eventually(lambda: "certificate verify failed" in primary.words())
        assert not shop.replicates("second")


def test_redis_cli_checks_the_ca_and_no_name(shop: Shop) -> None:
    assert shop.cli("PING", "--sni", "nobody.shop.example") == "PONG\n"
    assert shop.cli("PING", "--cacert", shop.folder("cas/other") / "cert.pem") == ""


# In a configuration of the user's own


def test_included_at_the_end_it_closes_the_port_of_a_configuration(shop: Shop, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()
    own = f"bind 127.0.0.1\nport {port}\nprotected-mode yes\n"
    (tmp_path / "without/redis.conf").write_text(own)
    with redis(tmp_path / "without", port, tmp_path):
        assert answers_in_clear(port)
    include = proposed(shop, "include").replace("servers/cache", "servers/second")
    (tmp_path / "with/redis.conf").write_text(f"{own}{include}\n", encoding="utf-8")
    with redis(tmp_path / "with", shop.ports["second"], tmp_path):
        assert shop.lets_in("clients/checkout", port="second")
        assert not shop.lets_in(None, port="second")
        assert not answers_in_clear(port)


def test_a_folder_that_is_a_pattern_would_be_left_out_in_silence(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "[x]"
    folder.mkdir()
    (folder / "redis.conf").write_text("no configuration\n")
    with redis(folder, port, tmp_path, "--port", str(port), "--bind", "127.0.0.1"):
        assert answers_in_clear(port)
    for name in ("[x]", "a*", "a?b"):
        spec = f"version: 1\nca:\nservers: {{cache: {{sans: a.example, deploy_dir: '/srv/{name}', snippets: redis}}}}"
        assert codes(tmp_path, spec) == [f"not-quotable at '/srv/{name}'"]
        assert codes(tmp_path, spec.replace(name, "x]")) == []


# Quoting


WORDS = [
    "", " ", "a b", "a;b", "#", "a#b", '"', '""', 'a"b', "'", "''", "\\", "\\\\", "a\\", "\\n", "\\x41", "\n", "\ta",
    "\x01", "\x7f", "é中😀", "$x", "%s", "*", "{}", "\u2028", "plain", "a" * 5000,
]  # fmt: skip


def test_redis_reads_a_quoted_word_as_the_text_that_it_was(shop: Shop) -> None:
    """redis-cli reads a line with the function by which redis-server reads its configuration."""
    said = shop.cli("".join(f"ECHO {quote(word)}\n" for word in WORDS), "--json")
    assert [json.loads(line) for line in said.removesuffix("\n").split("\n")] == WORDS


@pytest.mark.parametrize(
    ("text", "word"),
    [("/etc/certgen/a-b_c.pem", "/etc/certgen/a-b_c.pem"), ("", '""'), ("a b", '"a b"'), ('"\\\x00', '"\\"\\\\\\x00"')],
)
def test_a_word_is_quoted_where_it_has_to_be(text: str, word: str) -> None:
    assert quote(text) == word


# What Redis cannot do


JUDGED = """\
    version: 1
    ca:
    defaults: {snippets: redis}
    servers:
      cache: {sans: cache.shop.example}
    clients:
      checkout: {%s}
    peers:
      one: {sans: one.shop.example}
    """


def test_a_client_that_asks_for_it_is_told_and_one_that_inherits_it_is_not(tmp_path: Path) -> None:
    assert codes(tmp_path, JUDGED % "") == []
    (found,) = remarks(tmp_path, JUDGED % "snippets: redis")
    assert found == Remark(
        "unused-option",
        "redis",
        "certgen has nothing for a client of Redis: its own clients check no name",
        "remove it, or ask for what the client is written in, for example go",
        line=7,
    )


def test_servers_and_peers_get_one_file_and_clients_none(tmp_path: Path) -> None:
    bundle = load(tmp_path, JUDGED % "").bundle
    assert rendered(bundle, "clients/checkout") == {}
    for address, count in (("servers/cache", 0), ("peers/one", 2)):
        (text,) = rendered(bundle, address).values()
        assert "\ntls-port 6379\n" in text
        assert "\nbind " not in text
        assert text.count("\ntls-client-") == count


def test_there_is_no_allow(tmp_path: Path) -> None:
    spec = JUDGED.replace("cache.shop.example}", "cache.shop.example, snippets: {redis: {allow: clients/checkout}}}")
    assert codes(tmp_path, spec % "") == ["unknown-field at allow"]


# All consumers alike


def shapes(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the directives with the number of their words; folder: not needed."""
    del folder
    return {path: json.dumps([_directive(line) for line in text.split("\n")]) for path, text in files.items()}


def _directive(line: str) -> list[str | int]:
    """Read a line as sdssplitargs does."""
    if line.startswith("#"):
        return ["#"]
    words = re.findall(r'(?:[^\s"\']+|"(?:[^"\\]|\\.)*")(?=\s|$)', line)
    if re.sub(r"\s", "", "".join(words)) != re.sub(r"\s", "", line):
        raise ValueError(line)
    return [*words[:1], len(words)]


CASE = Case(
    protocol="redis",
    serve=redis,
    knock=knock,
    allows=False,
    hostile=Hostile(server=lambda text: {"listen": text["listen"]}, client=None, shape=shapes),
)
