"""The proof of whole specs: who gets in, who is kept out, at another time too; and what proving leaves alone."""

import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from foreign.hierarchy import Authority, make_ca, new_key
from proving import (
    DAY,
    NOW,
    SHOP,
    Other,
    Place,
    compiled,
    demand_proven,
    getting_in,
    in_short,
    key_pem,
    pairs,
)
from samples import EVERY
from scene import Snapshot, take_snapshot

from certgen.prove.parties import _is_unknown
from certgen.prove.prove import prove
from certgen.prove.values import Judgement, Stranger
from certgen.rfc5280.vocabulary import KeyAlgorithm
from certgen.store.scratch import Scratch
from certgen.store.sight import Sight
from certgen.store.tree import Tree
from certgen.tree import FileState

SPECS = Path(__file__).parent.parent / "specs"
SLOW = {KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096}
CLASSICAL = [algorithm for algorithm in KeyAlgorithm if not algorithm.is_post_quantum]
SERVERS, CLIENTS = ("servers/api", "servers/web"), ("clients/checkout", "clients/reporting")


def pem(authority: Authority) -> bytes:
    """Write a CA's path, or itself where it is a root."""
    path = authority.path or (authority.certificate,)
    return b"".join(one.public_bytes(Encoding.PEM) for one in path)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("prove") / "shop", SHOP)


@pytest.fixture
def place(untouched: Place, tmp_path: Path) -> Place:
    return untouched.copied(tmp_path / "shop")


# The specs that ship


@pytest.mark.parametrize(
    ("name", "talking"),
    [
        ("quickstart", pairs(SERVERS, CLIENTS)),
        ("separate-cas", pairs(["servers/api"], ["clients/checkout", "clients/partner"])),
        (
            "etcd",
            pairs([f"peers/etcd-{n}" for n in range(3)], [*(f"peers/etcd-{n}" for n in range(3)), "clients/apiserver"]),
        ),
        ("spiffe", pairs(["peers/basket", "peers/payment"], ["peers/basket", "peers/payment"])),
    ],
)
def test_the_specs_that_ship_are_proven(tmp_path: Path, name: str, talking: set[tuple[str, str]]) -> None:
    proof = compiled(tmp_path / name, (SPECS / f"{name}.yaml").read_text()).prove()
    demand_proven(proof)
    assert getting_in(proof) == talking
    assert {challenge.stranger for challenge in proof.challenges} == set(Stranger)
    assert proof.handshakes == sum(len(one.trials) for one in proof.encounters) + 2 * len(proof.challenges)


# Who talks to whom


TWO_WORLDS = """\
    version: 1
    cas:
      red-root: {}
      red-issuing: {issuer: red-root}
      blue-root: {}
    servers:
      red: {issuer: red-issuing, sans: red.test, subject: {organization: S}, trust: red-root}
      blue: {issuer: blue-root, sans: blue.test, subject: {organization: S}, trust: blue-root}
      both: {issuer: red-issuing, sans: both.test, trust: [red-root, blue-root]}
    clients:
      red: {issuer: red-issuing, trust: [red-root, blue-root]}
      blue: {issuer: blue-root, trust: [red-root, blue-root]}
      narrow: {issuer: blue-root, trust: blue-root}
"""


def test_those_whom_trust_does_not_let_talk_are_kept_apart_for_real(tmp_path: Path) -> None:
    place = compiled(tmp_path / "shop", TWO_WORLDS)
    proof = place.prove()
    demand_proven(proof)
    assert getting_in(proof) == {
        ("servers/red", "clients/red"),
        ("servers/blue", "clients/blue"),
        ("servers/blue", "clients/narrow"),
        ("servers/both", "clients/red"),
        ("servers/both", "clients/blue"),
    }
    assert {one.judgement for one in proof.encounters if not one.is_expected} == {Judgement.AS_EXPECTED}


def test_a_tree_that_lets_talk_whom_the_spec_keeps_apart_is_found_by_its_handshakes(tmp_path: Path) -> None:
    place = compiled(tmp_path / "shop", TWO_WORLDS)
    anchors = (place.tree / "servers/both/ca.pem").read_bytes()
    (place.tree / "servers/red/ca.pem").write_bytes(anchors)
    proof = place.prove()
    assert {finding.code for finding in proof.findings} == {"let-in", "wrong-trust"}
    wrong = [one for one in proof.encounters if one.judgement is Judgement.UNEXPECTED]
    assert [(str(one.server), str(one.client)) for one in wrong] == [("servers/red", "clients/blue")]
    assert "servers/red and clients/blue talk, though the spec's trust does not let them" in {
        finding.message for finding in proof.findings
    }
    place.apply()
    demand_proven(place.prove())


@pytest.mark.parametrize(
    ("members", "talking"),
    [
        ("servers: {api: {sans: localhost}}", set()),
        ("clients: {checkout: }", set()),
        ("servers: {api: {sans: localhost}}\nclients: {checkout: }", {("servers/api", "clients/checkout")}),
        ("peers: {a: {sans: localhost}}", set()),
        ("peers: {a: {sans: a.test}}\nclients: {checkout: }", {("peers/a", "clients/checkout")}),
        ("", set()),
    ],
    ids=["no client", "no server", "one of each", "a peer alone", "a peer and a client", "nobody"],
)
def test_a_spec_may_be_small(tmp_path: Path, members: str, talking: set[tuple[str, str]]) -> None:
    proof = compiled(tmp_path / "shop", f"version: 1\nca: {{}}\n{members}\n").prove()
    demand_proven(proof)
    assert getting_in(proof) == talking


NAMES = """\
    version: 1
    cas:
      root:
        name_constraints:
          permitted: [shop.example, 10.0.0.0/8, "fd00::/8", "email:shop.example", "URI:shop.example"]
          excluded: [secret.shop.example]
      issuing: {issuer: root, name_constraints: {excluded: [bank.shop.example]}}
    defaults: {issuer: issuing}
    servers:
      all: {sans: [a.shop.example, 10.1.2.3, "fd00::1", ops@shop.example, "spiffe://shop.example/a"]}
      wildcard: {sans: "*.cluster.shop.example"}
      address: {sans: 10.0.0.1}
      workload: {sans: "spiffe://shop.example/w"}
      mail: {sans: post@shop.example}
    clients:
      named: {sans: ["spiffe://shop.example/c", c.shop.example, c@shop.example]}
      bare:
"""


def test_names_of_every_kind_below_name_constraints(tmp_path: Path) -> None:
    proof = compiled(tmp_path / "shop", NAMES).prove()
    demand_proven(proof)
    names = {(str(one.server), trial.name) for one in proof.encounters for trial in one.trials}
    assert {name for server, name in names if server == "servers/all"} == {
        "a.shop.example",
        "10.1.2.3",
        "fd00::1",
        "ops@shop.example",
        "spiffe://shop.example/a",
    }
    assert ("servers/wildcard", "*.cluster.shop.example") in names


@pytest.mark.parametrize("algorithm", [one for one in CLASSICAL if EVERY or one not in SLOW], ids=str)
def test_every_key_algorithm_that_ssl_knows(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    spec = f"""\
        version: 1
        defaults: {{key: {algorithm}}}
        cas: {{root: {{}}, issuing: {{issuer: root}}}}
        servers: {{api: {{issuer: issuing, sans: localhost}}}}
        clients: {{checkout: {{issuer: issuing}}}}
    """
    proof = compiled(tmp_path / "shop", spec).prove()
    demand_proven(proof)
    assert getting_in(proof) == {("servers/api", "clients/checkout")}


@pytest.mark.skipif(not _is_unknown(KeyAlgorithm.ML_DSA_65), reason="OpenSSL has ML-DSA from 3.5")
def test_an_algorithm_that_ssl_does_not_know_is_named_and_all_else_is_proven(tmp_path: Path) -> None:
    spec = """\
        version: 1
        ca: {}
        servers:
          api: {sans: localhost}
          next: {sans: localhost, key: ml-dsa-65}
        clients: {checkout: }
    """
    place = compiled(tmp_path / "shop", spec)
    ran = place.run("--json")
    assert ran.code == 2
    assert [(one["where"], "does not know ml-dsa-65" in one["message"]) for one in ran.spec["not_judged"]] == [
        ("servers/next", True)
    ]
    judged = {one["server"]: one["judgement"] for one in ran.spec["meetings"]}
    assert judged == {"servers/api": "as_expected", "servers/next": "unknown"}


# CAs and keys that the user brings, or keeps elsewhere


def own_ca(folder: Path, kind: str) -> Place:
    """Compile a spec with a CA of one's own."""
    root = make_ca("Their Root", "ecdsa-p384")
    authority = root if kind == "root" else make_ca("Their Issuing", "ecdsa-p256", root)
    content = pem(authority) + (pem(root) if kind == "whole path" else b"")
    files = {"own.pem": content, "own.key": key_pem(authority.key), "root.pem": pem(root)}
    trust = ", trust: root.pem" if kind == "intermediate" else ""
    spec = f"version: 1\nca: {{certificate: own.pem, private_key: own.key{trust}}}\n"
    return compiled(folder, f"{spec}servers: {{api: {{sans: localhost}}}}\nclients: {{checkout: }}\n", files)


@pytest.mark.parametrize("kind", ["root", "intermediate", "whole path"])
def test_a_ca_of_ones_own_with_and_without_its_key(tmp_path: Path, kind: str) -> None:
    place = own_ca(tmp_path / "shop", kind)
    demand_proven(place.prove())
    (place.folder / "own.key").unlink()
    place.spec.write_text(place.spec.read_text().replace(", private_key: own.key", ""))
    proof = place.prove()
    demand_proven(proof)
    assert getting_in(proof) == {("servers/api", "clients/checkout")}


def test_trust_by_a_pem_file(tmp_path: Path) -> None:
    theirs, namesake = make_ca("Their Root", "ecdsa-p256"), make_ca("Their Root", "ecdsa-p256")
    files = {"their.pem": pem(theirs), "their.key": key_pem(theirs.key), "namesake.pem": pem(namesake)}
    spec = """\
        version: 1
        cas:
          made: {}
          theirs: {certificate: their.pem, private_key: their.key}
        servers:
          knowing: {issuer: made, sans: localhost, trust: [made, their.pem]}
          erring: {issuer: made, sans: localhost, trust: [made, namesake.pem]}
        clients:
          ours: {issuer: made}
          partner: {issuer: theirs, trust: made}
    """
    proof = compiled(tmp_path / "shop", spec, files).prove()
    demand_proven(proof)
    assert getting_in(proof) == pairs(["servers/knowing", "servers/erring"], ["clients/ours"]) | {
        ("servers/knowing", "clients/partner")
    }


def test_a_key_that_never_was_here_is_named_and_all_else_is_proven(tmp_path: Path) -> None:
    public = new_key("ecdsa-p256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    spec = """\
        version: 1
        ca: {}
        servers:
          api: {sans: localhost}
          far: {sans: far.test, public_key: far.pub}
        clients: {checkout: , away: {public_key: away.pub}}
    """
    place = compiled(tmp_path / "shop", spec, {"far.pub": public, "away.pub": public_of_another()})
    ran = place.run("--json")
    assert ran.code == 2
    assert [one["message"] for one in ran.spec["not_judged"]] == [
        "clients/away: its private key is not on this machine (1 meeting not judged)",
        "servers/far: its private key is not on this machine (2 meetings not judged)",
    ]
    assert {one["help"] for one in ran.spec["not_judged"]} == {"prove where the keys are"}
    assert {(one["server"], one["client"]) for one in ran.spec["meetings"] if one["judgement"] == "as_expected"} == {
        ("servers/api", "clients/checkout")
    }


def public_of_another() -> bytes:
    return new_key("ed25519").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("server", "client", "talk"),
    [
        ("[serverAuth, clientAuth]", "[clientAuth]", True),
        ("[clientAuth]", "[clientAuth]", False),
        ("[serverAuth]", "[serverAuth]", False),
        ("[serverAuth, emailProtection]", "[clientAuth, codeSigning]", True),
    ],
)
def test_usages_of_ones_own_decide_who_gets_in(tmp_path: Path, server: str, client: str, talk: bool) -> None:
    spec = f"""\
        version: 1
        ca: {{}}
        servers: {{api: {{sans: localhost, extended_key_usage: {server}}}}}
        clients: {{checkout: {{extended_key_usage: {client}}}}}
    """
    proof = compiled(tmp_path / "shop", spec).prove()
    demand_proven(proof)
    assert getting_in(proof) == ({("servers/api", "clients/checkout")} if talk else set())


def test_a_tree_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    place = compiled(tmp_path / "shop", SHOP)
    place.tree.rename(place.tree.with_name("elsewhere"))
    ran = place.run("--json")
    assert ran.code in {1, 2}
    said = [*ran.spec["findings"], *ran.spec["not_judged"]]
    assert [(one["code"], one["help"]) for one in said] == [("no-tree", "run `certgen apply`")]


def test_what_is_new_in_the_spec_and_not_yet_in_the_tree_is_named_with_what_to_do(place: Place) -> None:
    text = place.spec.read_text()
    place.spec.write_text(text.replace("  reporting: {", "  auditing: {issuer: client-root}\n  reporting: {"))
    ran = place.run("--json")
    assert ran.code in {1, 2}
    said = [*ran.spec["findings"], *ran.spec["not_judged"]]
    assert [str(one["where"]).startswith("clients/auditing") for one in said] == [True]
    assert "certgen apply" in str(said[0]["help"])
    place.apply()
    demand_proven(place.prove())


def test_a_name_that_is_new_in_the_spec_is_missed_until_it_is_applied(place: Place) -> None:
    place.spec.write_text(place.spec.read_text().replace("[api.shop.example", "[new.shop.example, api.shop.example"))
    assert in_short(place.prove().findings) == ["wrong-names servers/api/cert.pem"]
    place.apply()
    demand_proven(place.prove())


# CA keys


def spoil_ca_keys(place: Place, how: Callable[[Path], object]) -> None:
    """Do something to the key of every CA."""
    paths = list(place.tree.glob("cas/*/key.pem"))
    assert len(paths) == 3
    for path in paths:
        path.unlink()
        how(path)


def in_essence(place: Place) -> dict[str, object]:
    """Give all that the proof tells but its time."""
    told = place.run("--json").spec
    told.pop("at")
    return told


@pytest.mark.parametrize(
    "how",
    [lambda path: path.exists(), lambda path: path.write_bytes(b"garbage"), lambda path: path.mkdir(), os.mkfifo],
    ids=["gone", "garbage", "a folder", "a pipe"],
)
def test_the_keys_of_cas_make_no_difference(place: Place, how: Callable[[Path], object]) -> None:
    before = in_essence(place)
    spoil_ca_keys(place, how)
    answers: list[dict[str, object]] = []
    asking = threading.Thread(target=lambda: answers.append(in_essence(place)), daemon=True)
    asking.start()
    asking.join(30)
    assert answers == [before], "it waits for the other end of a pipe, or says something else"


WATCH = """
import json, sys
opened = []
sys.addaudithook(lambda event, data: opened.append(str(data[0])) if event == "open" else None)
from certgen.cli import main
sys.argv = ["certgen", "prove", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps([code, opened]), file=sys.stderr)
"""


def opened(place: Place) -> tuple[int, set[str]]:
    """Prove in a process of its own; give the exit code and the files below the place that Python opened."""
    command = [sys.executable, "-c", WATCH, "shop.yaml", "-q"]
    done = subprocess.run(command, cwd=place.folder, capture_output=True, text=True, timeout=60, check=True)
    code, paths = json.loads(done.stderr.splitlines()[-1])
    inside = {os.path.relpath(place.folder / path, place.folder) for path in paths}
    return code, {path for path in inside if not path.startswith("..")}


def test_no_key_of_a_ca_is_ever_opened(untouched: Place) -> None:
    code, files = opened(untouched)
    assert code == 0
    assert "output/shop/servers/api/key.pem" in files
    assert "output/shop/cas/root/cert.pem" in files
    assert [path for path in files if "cas/" in path and not path.endswith("cert.pem")] == []


def test_the_key_of_a_ca_of_ones_own_is_not_opened_either(tmp_path: Path) -> None:
    code, files = opened(own_ca(tmp_path / "shop", "root"))
    assert code == 0
    assert "own.pem" in files
    assert "own.key" not in files


# What is left behind


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the test's own for what is temporary."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def contents(snapshot: Snapshot) -> Mapping[str, tuple[bytes, int, int, int]]:
    return {path: (one.content, one.mode, one.inode, one.modified) for path, one in snapshot.items()}


def test_nothing_is_written_and_nothing_is_left(place: Place, temporary: Path) -> None:
    for codes in ((0, 1), (2, 1)):
        before = contents(take_snapshot(place.folder))
        assert (place.run().code, place.run("--at", "+400d").code) == codes
        assert contents(take_snapshot(place.folder)) == before
        (place.tree / "servers/api/key.pem").unlink(missing_ok=True)
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("temporary")
def test_nothing_is_left_where_a_handshake_breaks_down(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(*_: object) -> None:
        raise RuntimeError("broken down")

    monkeypatch.setattr("certgen.prove.encounters.meet", breaking)
    with pytest.raises(RuntimeError, match="broken down"):
        place.prove()


def test_keys_are_the_owners_alone_while_they_are_there(
    untouched: Place, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: set[tuple[int, int]] = set()
    real = Scratch.put

    def watching(files: Scratch, content: bytes) -> Path:
        path = real(files, content)
        assert path.parent.parent == temporary
        modes.add((stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)))
        return path

    monkeypatch.setattr(Scratch, "put", watching)
    before = os.umask(0)
    try:
        demand_proven(untouched.prove())
    finally:
        os.umask(before)
    assert modes == {(0o600, 0o700)}


# Another time


def test_when_all_will_have_ended_each_is_named(untouched: Place) -> None:
    ran = untouched.run("--at", "+400d", "--json")
    assert (ran.code, ran.spec["dates_judged_outside_the_handshakes"]) == (1, True)
    assert [f"{one['code']} {one['where']}" for one in ran.spec["findings"]] == [
        f"expired {address}/cert.pem" for address in (*SERVERS, *CLIENTS)
    ]
    assert {one["help"] for one in ran.spec["findings"]} == {"`certgen apply` renews it"}
    assert untouched.run("--at", "+300d").code == 0


def test_before_it_begins_nothing_is_valid_yet(untouched: Place) -> None:
    ran = untouched.run("--at", f"{NOW - 2 * DAY:%Y-%m-%dT%H:%M:%SZ}", "--json")
    assert ran.code == 1
    findings = ran.spec["findings"]
    assert {one["code"] for one in findings} == {"not-yet-valid"}
    assert {one["where"] for one in findings} == {f"{address}/cert.pem" for address in (*SERVERS, *CLIENTS)}


def test_the_clock_of_the_machine_counts_for_nothing_where_a_time_is_given(tmp_path: Path) -> None:
    past = compiled(tmp_path / "past", SHOP, now=NOW - 700 * DAY)
    assert past.prove().judgement is Judgement.UNEXPECTED
    demand_proven(past.prove(NOW - 699 * DAY))
    future = compiled(tmp_path / "future", SHOP, now=NOW + 700 * DAY)
    assert future.prove().judgement is Judgement.UNEXPECTED
    demand_proven(future.prove(NOW + 701 * DAY))


@pytest.mark.parametrize(
    ("after", "words"), [(2000, "`CN=Shop Issuing` above it ended"), (4000, "`CN=Shop Root` above it ended")]
)
def test_a_ca_that_will_have_ended_is_named(tmp_path: Path, after: int, words: str) -> None:
    place = compiled(tmp_path / "shop", SHOP)
    place.sign_again("servers/api", Other(end=NOW + 9000 * DAY))
    messages = [one.message for one in place.prove(NOW + after * DAY).findings if one.where == "servers/api/cert.pem"]
    assert any(words in message for message in messages)


def test_strangers_are_kept_out_whatever_the_time(untouched: Place) -> None:
    for at in (NOW - 400 * DAY, NOW + 400 * DAY):
        assert {one.judgement for one in untouched.prove(at).challenges} == {Judgement.AS_EXPECTED}


# Rules that ssl does not know


def test_whom_allow_turns_away_is_marked_and_no_finding(tmp_path: Path) -> None:
    proof = compiled(tmp_path / "quickstart", (SPECS / "quickstart.yaml").read_text()).prove()
    demand_proven(proof)
    turned_away = {(str(one.server), str(one.client)): one.turned_away_by for one in proof.encounters}
    assert turned_away == dict.fromkeys(pairs(SERVERS, CLIENTS), ()) | {
        ("servers/api", "clients/reporting"): ("nginx",)
    }


# How it goes about it


def test_progress_is_told_after_each_attempt(untouched: Place) -> None:
    told: list[tuple[int, int]] = []
    proof = prove(
        untouched.bundle, Tree(untouched.tree), NOW, progress=lambda done, total: told.append((done, total)), jobs=3
    )
    total = len(proof.encounters) + len(proof.challenges)
    assert told == [(number, total) for number in range(1, total + 1)]


def test_several_threads_find_what_one_finds_in_the_same_order(place: Place) -> None:
    (place.tree / "clients/checkout/ca.pem").write_bytes((place.tree / "servers/api/ca.pem").read_bytes())
    place.sign_again("servers/web", Other(begin=NOW - 2 * DAY, end=NOW - DAY))
    alone, many = (prove(place.bundle, Tree(place.tree), NOW, jobs=jobs) for jobs in (1, 8))
    assert alone == many
    assert in_short(alone.findings)


def test_no_handshake_leaves_this_process(untouched: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr("socket.socket.__init__", refuse)
    demand_proven(untouched.prove())


# Time


FLEET = 30 if EVERY else 15


def test_a_fleet_is_proven_in_a_second_for_each_server(tmp_path: Path) -> None:
    servers = "".join(f"  s{number}: {{sans: s{number}.shop.example}}\n" for number in range(FLEET))
    clients = "".join(f"  c{number}:\n" for number in range(FLEET))
    place = compiled(tmp_path / "shop", f"version: 1\nca: {{}}\nservers:\n{servers}clients:\n{clients}")
    began = time.monotonic()
    proof = place.prove()
    took = time.monotonic() - began
    demand_proven(proof)
    assert len(getting_in(proof)) == FLEET * FLEET
    assert took < FLEET


def test_a_fleet_is_read_once_and_not_for_every_handshake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = "".join(f"  c{number}:\n" for number in range(6))
    place = compiled(tmp_path / "shop", f"version: 1\nca: {{}}\nservers: {{a: {{sans: a.test}}}}\nclients:\n{clients}")
    reads: list[str] = []
    real = Sight.look

    def counting(sight: Sight, path: str, named: str = "") -> FileState:
        reads.append(path)
        return real(sight, path, named)

    monkeypatch.setattr(Sight, "look", counting)
    demand_proven(place.prove())
    assert len(reads) == len(set(reads))
