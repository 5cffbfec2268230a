"""`prove`, `serve` and `connect` as a person or a pipeline meets them: exit codes, streams, colours, signals, files."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import ask, eventually, free_port
from proving import SHOP, Place, Ran, compiled
from talking import ENVIRONMENT, MIXED, PROGRAM, Serving, World, make_world
from terminals import on_terminal

COMMANDS = ("prove", "serve", "connect")
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A sound tree that no test changes; commands run beside it."""
    return World(compiled(tmp_path_factory.mktemp("cli") / "shop", SHOP).folder)


@pytest.fixture
def place(settled: World, tmp_path: Path) -> Place:
    return Place(settled.folder).copied(tmp_path / "shop")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("handshaking") / "world")


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[Serving]:
    with world.serving("servers/api") as started:
        yield started


def codes(ran: Ran) -> list[str]:
    """Give the codes of the diagnostics on standard error."""
    return re.findall(r"^(?:error|warning|note)\[([a-z0-9-]+)\]", ran.err, re.MULTILINE)


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(settled: World, command: str) -> None:
    ran = settled.run(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: certgen {command} ")
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        ["connect", "https://127.0.0.1/"],
        ["connect"],
        ["serve"],
        ["connect", "https://127.0.0.1/", "--as", "clients/checkout", "--tls", "1.1"],
        ["connect", "https://127.0.0.1/", "--as", "clients/checkout", "--keylog", "."],
        ["prove", "--keylog", "x"],
        ["prove", "no-such.yaml"],
        ["prove", "shop.yaml", "--at", "yesterday"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(settled: World, arguments: Sequence[str]) -> None:
    ran = settled.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


# prove


MATRIX = """\
gets in      clients/checkout  clients/reporting
servers/api  yes               yes
servers/web  yes               yes

is kept out  no certificate  other CA  a server's  expired  wrong name
servers/api  yes             yes       yes         yes      yes
servers/web  yes             yes       yes         yes      yes

is kept out        other CA's server
clients/checkout   yes
clients/reporting  yes

shop: proven, 44 handshakes, all as expected
"""


def test_a_sound_tree_is_exit_0_and_one_page(settled: World) -> None:
    ran = settled.run("prove", "shop.yaml")
    assert (ran.code, ran.out, ran.err) == (0, MATRIX, "")


def test_a_finding_is_exit_1_with_cause_and_remedy_on_standard_error(place: Place) -> None:
    shutil.copy(place.tree / "clients/checkout/ca.pem", place.tree / "servers/api/ca.pem")
    ran = World(place.folder).run("prove", "shop.yaml")
    assert ran.code == 1
    assert set(codes(ran)) == {"wrong-trust"}
    assert "  help: `certgen apply` mends it; `certgen plan` says why\n" in ran.err
    assert "servers/api  NO                NO\n" in ran.out
    assert re.search(r"^shop: (one finding|\d+ findings), \d+ handshakes$", ran.out.splitlines()[-1])


def test_a_key_that_is_elsewhere_is_exit_2_and_names_it(place: Place) -> None:
    (place.tree / "clients/reporting/key.pem").unlink()
    ran = World(place.folder).run("prove", "shop.yaml")
    assert (ran.code, codes(ran)) == (2, ["not-judged"])
    assert "clients/reporting: its private key is not on this machine (2 meetings not judged)" in ran.err
    assert "servers/api  yes               ?\n" in ran.out
    assert ran.out.splitlines()[-1] == "shop: cannot tell, 32 handshakes, the rest could not be tried"


def test_a_tree_that_is_not_there_is_told(place: Place) -> None:
    shutil.rmtree(place.tree)
    ran = World(place.folder).run("prove", "shop.yaml")
    assert ran.code in {1, 2}
    assert codes(ran) == ["no-tree"]
    assert "run `certgen apply`" in ran.err


def test_an_invalid_spec_is_exit_2(place: Place) -> None:
    place.spec.write_text(place.spec.read_text().replace("version: 1", "version: 9"))
    ran = World(place.folder).run("prove", "shop.yaml")
    assert (ran.code, ran.out) == (2, "")


def test_several_specs_are_proven_each_and_what_is_wrong_weighs_most(place: Place) -> None:
    specs = place.folder / "specs"
    specs.mkdir()
    for name in ("far", "shop", "torn"):
        text = place.spec.read_text()
        (specs / f"{name}.yaml").write_text(text)
        if name != "shop":
            shutil.copytree(place.tree, place.tree.with_name(name))
    world = World(place.folder)
    assert [line for line in world.run("prove").out.splitlines() if "proven" in line] == [
        f"{name}: proven, 44 handshakes, all as expected" for name in ("far", "shop", "torn")
    ]
    (place.tree.with_name("far") / "servers/api/key.pem").unlink()
    assert world.run("prove").code == 2
    torn = place.tree.with_name("torn")
    shutil.copy(torn / "clients/checkout/ca.pem", torn / "servers/api/ca.pem")
    ran = world.run("prove", "--json")
    assert ran.code == 1
    assert [one["judgement"] for one in json.loads(ran.out)["specs"]] == ["unknown", "as_expected", "unexpected"]


def test_quiet_says_nothing_but_errors(place: Place) -> None:
    world = World(place.folder)
    assert world.run("prove", "shop.yaml", "-q") == Ran(0, "", "")
    (place.tree / "servers/api/ca.pem").write_bytes(b"garbage")
    ran = world.run("prove", "shop.yaml", "-q")
    assert (ran.code, ran.out, codes(ran)) == (1, "", ["file-unreadable"])


def test_json_begins_with_its_version_and_is_whole(settled: World) -> None:
    ran = settled.run("prove", "shop.yaml", "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert list(answer) == ["version", "command", "specs", "diagnostics"]
    assert (answer["version"], answer["command"], answer["diagnostics"]) == (1, "prove", [])
    (spec,) = answer["specs"]
    assert (spec["name"], spec["judgement"], len(spec["meetings"]), len(spec["strangers"])) == (
        "shop",
        "as_expected",
        4,
        12,
    )


def test_another_time_is_named_in_the_answer(settled: World) -> None:
    ran = settled.run("prove", "shop.yaml", "--at", "2000-01-01T00:00:00Z")
    assert ran.code == 1
    assert set(codes(ran)) == {"not-yet-valid"}
    assert "dates were judged for 2000-01-01 00:00Z outside the handshakes: ssl cannot set its clock\n" in ran.out
    assert "dates" not in settled.run("prove", "shop.yaml").out


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+1s", "2049-12-31T23:59:59Z", "+100y"])
def test_any_time_ends_with_an_exit_code(settled: World, at: str) -> None:
    assert settled.run("prove", "shop.yaml", "--at", at).code == (0 if at == "+1s" else 1)


# Terminals


def test_a_terminal_gets_colours_and_the_same_words(settled: World) -> None:
    code, text = on_terminal(settled.folder, "prove", "shop.yaml")
    assert code == 0
    assert "\x1b[32myes\x1b[0m" in text
    assert "\x1b[2mgets in " in text
    assert ANSI.sub("", text) == MATRIX


def test_a_terminal_gets_no_colour_where_it_is_not_wanted(settled: World) -> None:
    for env, options in ({"NO_COLOR": "1"}, []), ({}, ["--color", "never"]):
        assert on_terminal(settled.folder, "prove", "shop.yaml", *options, env=env) == (0, MATRIX)
    assert "\x1b" in settled.run("prove", "shop.yaml", "--color", "always").out


FLEET = 12


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> World:
    """As many as take longer than a second."""
    servers = "".join(f"  server-{number}: {{sans: s{number}.shop.example}}\n" for number in range(FLEET))
    clients = "".join(f"  client-{number}:\n" for number in range(FLEET))
    spec = f"version: 1\nca: {{}}\nservers:\n{servers}clients:\n{clients}"
    return World(compiled(tmp_path_factory.mktemp("fleet") / "shop", spec).folder)


def test_a_long_proof_shows_a_bar_on_a_terminal_and_clears_it_away(fleet: World) -> None:
    code, text = on_terminal(fleet.folder, "prove", "shop.yaml", "--color", "never")
    assert code == 0
    assert re.search(r"handshakes .* \d+/216 ", ANSI.sub("", text))
    page = text.rpartition("\x1b")[2]
    assert "handshakes, all as expected" in page
    assert "gets in " in page
    lines = ANSI.sub("", page[page.index("gets in ") :]).splitlines()
    assert max(map(len, lines)) <= 80


def test_a_long_proof_is_silent_in_a_pipe_and_where_quiet_is_asked_for(fleet: World) -> None:
    ran = fleet.run("prove", "shop.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert "\r" not in ran.out
    assert on_terminal(fleet.folder, "prove", "shop.yaml", "-q") == (0, "")


def test_a_reader_that_has_gone_is_no_reason_to_complain(settled: World) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1', "bash", str(PROGRAM), "prove", "shop.yaml"],
        cwd=settled.folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("gets in      clients/checkout  clients/reporting\n", "")


# Disks and signals


def test_a_disk_that_is_full_is_told_in_words(settled: World, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; "$@"', "bash", str(PROGRAM), "prove", "shop.yaml"],  # no file above 1 KiB
        cwd=settled.folder,
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
    assert done.stderr.startswith("error[write-failed]: ")
    assert list(tmp_path.iterdir()) == []


INTERRUPTIBLE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
"""In the background a shell makes the tests ignore interrupts, and their children inherit that."""


@contextmanager
def started(world: World, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Start the program; whatever happens, it is stopped by its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, PROGRAM, *arguments],
        cwd=world.folder,
        env={**ENVIRONMENT, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_proof_that_is_interrupted_ends_soon_and_leaves_nothing(
    fleet: World, tmp_path: Path, number: signal.Signals
) -> None:
    with started(fleet, "prove", "shop.yaml", env={"TMPDIR": str(tmp_path)}) as process:
        assert eventually(lambda: any(tmp_path.iterdir()))
        time.sleep(0.5)
        process.send_signal(number)
        # Far less than the whole proof takes, and enough for a disk that is busy with others.
        out, err = process.communicate(timeout=60)
    assert process.returncode in ({130} if number is signal.SIGINT else {143, -signal.SIGTERM})
    assert (out, "Traceback" in err) == ("", False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_server_ends_when_it_is_told_to(world: World, number: signal.Signals) -> None:
    port = free_port()
    with started(world, "serve", "servers/api", "--listen", f"127.0.0.1:{port}") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        with socket.create_connection(("127.0.0.1", port)):  # one who says nothing keeps nobody waiting
            process.send_signal(number)
            _, err = process.communicate(timeout=5)
    assert first.startswith(f"servers/api serves https://127.0.0.1:{port}/ as DNS:")
    assert first.endswith("; Ctrl-C ends it\n")
    assert process.returncode in ({130} if number is signal.SIGINT else {143, -signal.SIGTERM})
    assert "Traceback" not in err
    with socket.create_server(("127.0.0.1", port)):
        pass


# serve


def test_any_free_port_will_do(world: World) -> None:
    with started(world, "serve", "servers/api", "--listen", "0") as process:
        assert process.stdout is not None
        url = re.search(r"https://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert url is not None
        ran = world.connect(int(url[1]), "clients/checkout")
        assert ran.code == 0
        assert process.stdout.readline() == "200      127.0.0.1: CN=checkout, TLS 1.3\n"


def test_a_port_that_is_taken_is_exit_2(world: World, api: Serving) -> None:
    ran = world.run("serve", "servers/api", "--listen", f"127.0.0.1:{api.port}")
    assert (ran.code, ran.out, codes(ran)) == (2, "", ["not-listening"])
    assert f"127.0.0.1:{api.port} cannot be listened at: Address already in use" in ran.err
    assert "help: choose another `--listen`" in ran.err


NOWHERE = (
    "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1", "a..b:1", "ü..x:1", ":::", "1:2:3:x",
    "127.0.0.1:" + "9" * 5000, "127.0.0.1:\u0663", "no-such-host.invalid:1", "\x1b[31m:1",
)  # fmt: skip


@pytest.mark.parametrize("listen", NOWHERE, ids=lambda text: text[:20].encode("unicode_escape").decode())
def test_where_nobody_can_listen_is_exit_2(world: World, listen: str) -> None:
    ran = world.run("serve", "servers/api", "--listen", listen)
    assert (ran.code, ran.out, codes(ran)) == (2, "", ["not-listening"])
    assert "\x1b" not in ran.err


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("servers/nobody", "not-found"),
        ("cas/root", "file-missing"),
        ("\x1b[31m", "not-found"),
        ("a" * 5000, "not-found"),
        ("../world", "not-found"),
    ],
    ids=["unknown", "a CA", "escape", "long", "above"],
)
def test_who_is_no_entry_is_exit_2(world: World, who: str, code: str) -> None:
    for arguments in (["serve", who], ["connect", "https://127.0.0.1:1/", "--as", who]):
        ran = world.run(*arguments)
        assert (ran.code, ran.out, codes(ran)) == (2, "", [code])
        assert "\x1b" not in ran.err


def test_an_address_in_several_trees_has_to_be_qualified(world: World, tmp_path: Path, api: Serving) -> None:
    output = Path(shutil.copytree(world.tree.parent, tmp_path / "output"))
    shutil.copytree(world.elsewhere, output / "zoo")
    ran = world.connect(api.port, "clients/checkout", "-o", output)
    assert (ran.code, codes(ran)) == (2, ["ambiguous-address"])
    assert "one of shop/clients/checkout, zoo/clients/checkout" in ran.err
    assert world.connect(api.port, "shop/clients/checkout", "-o", output).code == 0
    assert world.connect(api.port, "zoo/clients/checkout", "-o", output).code == 1


def test_a_folder_on_its_host_needs_no_tree(world: World, api: Serving, tmp_path: Path) -> None:
    own = shutil.copytree(world.tree / "clients/checkout", tmp_path / "here" / "client")
    ran = World(tmp_path / "here").connect(api.port, "client")
    assert (ran.code, ", as client\n" in ran.out) == (0, True)
    (Path(own) / "key.pem").unlink()
    ran = World(tmp_path / "here").connect(api.port, "client")
    assert (ran.code, codes(ran)) == (2, ["file-missing"])
    assert "client/key.pem is not there" in ran.err
    assert "on the machine that has the key" in ran.err


def test_a_pair_that_does_not_fit_is_exit_2(world: World, api: Serving, tmp_path: Path) -> None:
    own = Path(shutil.copytree(world.tree / "clients/checkout", tmp_path / "client"))
    shutil.copy(world.tree / "clients/reporting/key.pem", own)
    for ran in (world.run("serve", str(own)), world.connect(api.port, str(own))):
        assert (ran.code, ran.out, codes(ran)) == (2, "", ["unreadable"])
        assert "its private key is not that of its certificate" in ran.err


def test_a_quiet_server_says_nothing_and_serves(world: World) -> None:
    with world.serving("servers/api", "-q") as serving:
        assert world.connect(serving.port, "clients/checkout").code == 0
        assert world.connect(serving.port, "servers/far").code == 1
        assert serving.process.words() == ""


def test_a_server_whose_reader_has_gone_ends_without_a_noise(world: World) -> None:
    port = free_port()
    with started(world, "serve", "servers/api", "--listen", f"127.0.0.1:{port}") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        own = world.tree / "clients/checkout"
        assert ask(f"https://127.0.0.1:{port}/", folder=own, anchors=own / "ca.pem").status == 200
        assert process.wait(10) in {0, 2}
        assert process.stderr.read() == ""


# connect


def test_connect_as_json(world: World, api: Serving) -> None:
    ran = world.connect(api.port, "clients/checkout", "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    told = {"cipher", "server", "server_names", "refused_by", "cause", "words", "status", "body"}
    assert set(answer) >= {"version", "command", *told, "diagnostics"}
    assert (answer["command"], answer["status"], answer["cause"], answer["diagnostics"]) == ("connect", 200, None, [])
    refused = json.loads(world.connect(api.port, "servers/far", "--json", "-q").out)
    assert (refused["refused_by"], refused["cause"], refused["status"]) == ("server", "wrong_purpose", None)
    assert [one["code"] for one in refused["diagnostics"]] == ["refused"]


def test_json_says_the_version_of_its_format_and_that_of_tls(world: World, api: Serving) -> None:
    answer = json.loads(world.connect(api.port, "clients/checkout", "--json").out)
    assert answer["version"] == 1
    assert "TLS 1.3" in answer.values()


def test_a_quiet_connection_says_nothing_but_errors(world: World, api: Serving) -> None:
    assert world.connect(api.port, "clients/checkout", "-q") == Ran(0, "", "")
    ran = world.connect(api.port, "servers/far", "-q")
    assert (ran.code, ran.out, codes(ran)) == (1, "", ["refused"])


def test_two_clients_at_once(world: World, api: Serving) -> None:
    url = f"https://127.0.0.1:{api.port}/"
    with (
        started(world, "connect", url, "--as", "clients/checkout") as one,
        started(world, "connect", url, "--as", "clients/reporting") as other,
    ):
        for process, name in ((one, "checkout"), (other, "reporting")):
            out, err = process.communicate(timeout=30)
            assert (process.returncode, err) == (0, "")
            assert f"you are  CN={name}\n" in out


def test_a_connection_on_a_terminal_has_strong_labels(world: World, api: Serving) -> None:
    code, text = on_terminal(world.folder, "connect", f"https://127.0.0.1:{api.port}/", "--as", "clients/checkout")
    assert code == 0
    assert text.startswith("\x1b[1mconnected\x1b[0m  TLS 1.3, ")
    assert "\x1b" not in world.connect(api.port, "clients/checkout").out


# Key logs


@pytest.mark.parametrize("command", ["serve", "connect"])
def test_a_key_log_is_its_owners_alone_and_is_added_to(world: World, tmp_path: Path, command: str) -> None:
    log = tmp_path / "keys.log"
    logging = ["--keylog", str(log)]
    theirs, ours = (logging, []) if command == "serve" else ([], logging)
    with world.serving("servers/api", *theirs) as serving:
        for count in (1, 2):
            url = f"https://127.0.0.1:{serving.port}/"
            ran = world.run("connect", url, "--as", "clients/checkout", *ours, umask=0)
            assert ran.code == 0
            assert eventually(lambda: log.read_text().count("CLIENT_TRAFFIC_SECRET_0 ") == count)  # noqa: B023
        said = ran.err if command == "connect" else serving.process.words()
    assert said.count("note[key-log]: whoever reads ") == 1
    assert f"whoever reads {log} can decrypt what is sent" in said
    if command == "connect":
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    names = {line.split()[0] for line in log.read_text().splitlines() if line and not line.startswith("#")}
    assert {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"} <= names


def test_a_key_log_of_a_server_is_closed_before_anybody_comes(world: World, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    command = ["bash", "-c", 'umask 0; exec "$@"', "bash", str(PROGRAM), "serve", "servers/api", "--listen", "0"]
    process = subprocess.Popen(
        [*command, "--keylog", str(log)], cwd=world.folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    finally:
        process.kill()
        process.communicate()


def test_a_key_log_is_not_written_through_a_link(world: World, api: Serving, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    log.symlink_to(tmp_path / "elsewhere")
    for ran in (
        world.connect(api.port, "clients/checkout", "--keylog", log),
        world.run("serve", "servers/api", "--listen", "0", "--keylog", str(log)),
    ):
        assert (ran.code, ran.out, codes(ran)) == (2, "", ["write-failed"])
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_log_that_others_can_read_is_not_added_to_as_it_is(world: World, api: Serving, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    log.touch(mode=0o644)
    log.chmod(0o644)
    world.connect(api.port, "clients/checkout", "--keylog", log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600 or log.read_text() == ""


@pytest.mark.parametrize("path", ["missing/keys.log", "file/keys.log", ""], ids=["no folder", "a file", "empty"])
def test_a_key_log_that_cannot_be_written_is_exit_2(world: World, api: Serving, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    ran = world.connect(api.port, "clients/checkout", "--keylog", tmp_path / path if path else "")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


def test_a_key_log_that_is_a_pipe_keeps_nobody_waiting(world: World, api: Serving, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    url = f"https://127.0.0.1:{api.port}/"
    with started(world, "connect", url, "--as", "clients/checkout", "--keylog", str(tmp_path / "pipe")) as process:
        _, err = process.communicate(timeout=5)
    assert (process.returncode, "Traceback" in err) == (2, False)


def test_without_the_option_no_key_is_logged(world: World, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    with world.serving("servers/api") as serving:
        url = f"https://127.0.0.1:{serving.port}/"
        assert world.run("connect", url, "--as", "clients/checkout", env={"SSLKEYLOGFILE": str(log)}).code == 0
    assert not log.exists()


def test_a_refused_stranger_is_told_by_both_programs(world: World, api: Serving) -> None:
    ran = world.connect(api.port, MIXED, "--tls", "1.2")
    assert (ran.code, ran.out) == (1, "")
    words = "the server refuses because no root that it trusts is above the certificate"
    assert words in ran.err
    assert eventually(lambda: api.has_said(f"refused  127.0.0.1: {words} ("))
