"""A manifest comes from git, and so from anybody: whatever it says, certgen keeps to its tree and to its own files."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grounds import Ground, assert_readers_only_read, assert_settled, compiled_folder, ground_of
from hostile import MINE, look
from samples import one_in

DIGEST = hashlib.sha256(MINE).hexdigest()
KEPT = (
    "notes", "servers/api/notes", "servers/notes", "servers/api/link", "servers/api/victim", "servers/linked",
    "cas/ca/key.pem", "servers/api/key.pem", "clients/app/key.pem",
)  # fmt: skip
"""What no manifest of these tests may reach, and no renewal does."""

Manifest = dict[str, Any]
Edit = Callable[[Manifest, Ground], object]


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_folder() as folder:
        yield folder


def files(address: str, **listed: object) -> Edit:
    def edit(manifest: Manifest, _: Ground) -> None:
        line = manifest["entries"].get(address) or {"key": "0" * 64, "files": {}}
        line["files"].update(listed)
        manifest["entries"][address] = line

    return edit


def entry(address: str, content: object) -> Edit:
    return lambda manifest, _: manifest["entries"].update({address: content})


def top(**fields: object) -> Edit:
    return lambda manifest, _: manifest.update(fields)


def outside(address: str) -> Edit:
    """Claim the victim by its absolute path."""
    return lambda manifest, ground: files(address, **{str(ground.outside / "victim"): DIGEST})(manifest, ground)


CLAIMS: dict[str, Edit] = {
    "a file above the tree": files("servers/api", **{"../../../../outside/victim": DIGEST}),
    "a file above, of an orphan": files("servers/old", **{"../../../../outside/victim": DIGEST}),
    "an absolute path": outside("servers/api"),
    "an absolute path, of an orphan": outside("servers/old"),
    "a file behind a link": files("servers/api", **{"link/victim": DIGEST}),
    "a file behind a link, of an orphan": files("servers/linked", victim=DIGEST),
    "a link": files("servers/api", link=DIGEST),
    "a link to a file": files("servers/api", victim=DIGEST),
    "another entry's key": files("servers/api", **{"../../cas/ca/key.pem": DIGEST}),
    "a key of a CA, of an entry in another case": files("cas/CA", **{"key.pem": None}),
    "a section that is none": files("..", victim=DIGEST),
    "an address that leads out": files("servers/../../outside", victim=DIGEST),
    "an address of three parts": files("servers/api/go", victim=DIGEST),
    "an empty address": files("", victim=DIGEST),
    "a name with a NUL": files("servers/api", **{"a\0b": DIGEST}),
    "a name with a backslash": files("servers/api", **{"..\\..\\victim": DIGEST}),
    "a name with an escape": files("servers/api", **{"\x1b[2J": DIGEST}),
    "a name that turns text around": files("servers/api", **{"\u202egnp.mep": DIGEST}),
    "a name with half a character": files("servers/api", **{"\ud800": DIGEST}),
    "a name of many folders": files("servers/api", **{"a/" * 2000 + "b": DIGEST}),
    "a long name": files("servers/api", **{"a" * 5000: DIGEST}),
    "an empty name": files("servers/api", **{"": DIGEST}),
    "the tree's own folder": files("servers/api", **{".": DIGEST, "..": DIGEST}),
    "this machine's notes": files(".certgen/keys", **{"": DIGEST}),
    "a digest that is a number": files("servers/api", **{"cert.pem": 10**400}),
    "a digest that is a list": files("servers/api", **{"cert.pem": [DIGEST]}),
    "a digest with an escape": files("servers/api", **{"cert.pem": "\x1b]0;owned\x07"}),
    "no digests": entry("servers/api", {"key": "0" * 64, "files": None}),
    "files as a list": entry("servers/api", {"key": "0" * 64, "files": ["key.pem"]}),
    "a key that is nothing": entry("servers/api", {"key": None, "files": {}}),
    "a key that is a mapping": entry("servers/api", {"key": {}, "files": {}}),
    "an entry that is a text": entry("servers/api", "key.pem"),
    "an entry that is nothing": entry("cas/ca", None),
    "entries that are a list": top(entries=["servers/api"]),
    "entries that are nothing": top(entries=None),
    "a name that is a path": top(name="../../outside"),
    "a name that is a list": top(name=[[]]),
    "a version that never was": top(version=-1),
    "a version that is a text": top(version="1"),
    "a version that is a truth": top(version=True),
    "a huge version": top(version=10**300),
    "another tree's name": top(name="other"),
    "nothing at all": lambda manifest, _: manifest.clear(),
}

BYTES: dict[str, bytes] = {
    "nothing": b"",
    "a text": b'"manifest"',
    "half of it": b'{"version": 1, "name": "shop", "entries": {"servers/api": {"key": "',
    "deep lists": b'{"version": 1, "name": "shop", "entries": ' + b"[" * 200_000,
    "deep mappings": b'{"version": 1, "name": "shop", "entries": ' + b'{"a":' * 200_000,
    "a huge integer": b'{"version": ' + b"9" * 10_000 + b', "name": "shop", "entries": {}}',
    "a huge exponent": b'{"version": 1e999999, "name": "shop", "entries": {}}',
    "no number": b'{"version": NaN, "name": "shop", "entries": {}}',
    "a key twice": b'{"version": 1, "name": "shop", "entries": {}, "entries": {"servers/api": {}}}',
    "an address twice": b'{"version": 1, "name": "shop", "entries": {"servers/a": {"key": "0", "files": {}}, '
    b'"servers/a": {"key": "1", "files": {}}}}',
    "conflict marks": b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n",
    "bytes that are no text": bytes(range(256)),
    "UTF-16": '{"version": 1}'.encode("utf-16"),
    "a mark at its beginning": b"\xef\xbb\xbf" + b'{"version": 1, "name": "shop", "entries": {}}',
}


def prepared(ground: Ground) -> Path:
    """Put files of the user's own into the tree and links out of it; give the manifest's path."""
    (ground.outside / "victim").write_bytes(MINE)
    tree = ground.output / "shop"
    (tree / "servers/api/link").symlink_to(ground.outside)
    (tree / "servers/api/victim").symlink_to(ground.outside / "victim")
    (tree / "servers/linked").symlink_to(ground.outside)
    for place in ("notes", "servers/api/notes", "servers/notes"):
        (tree / place).write_bytes(MINE)
    return tree / "manifest.json"


def assert_tree_is_kept_to(ground: Ground, case: str) -> None:
    """Demand that nothing but certgen's own is touched, and that a run ends as runs do, with and without `--prune`."""
    tree = ground.output / "shop"
    before = {name: look(tree / name) for name in KEPT}
    victims = look(ground.outside)
    assert_readers_only_read(ground, case)
    for options in ((), ("--prune",)):
        answer = ground.run("apply", *options)
        assert answer.code in {0, 2}, answer
        assert "\x1b" not in answer.out + answer.err
        assert "error[" in answer.err or answer.code == 0, answer
        assert {name: look(tree / name) for name in KEPT} == before
        assert look(ground.outside) == victims
    if answer.code == 0:
        assert_settled(ground)


@pytest.mark.parametrize("claim", one_in(2, CLAIMS))
def test_what_a_manifest_claims_beyond_the_tree_is_left_alone(compiled: Path, claim: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = prepared(ground)
        manifest = json.loads(path.read_bytes())
        CLAIMS[claim](manifest, ground)
        path.write_text(json.dumps(manifest))
        assert_tree_is_kept_to(ground, claim)


@pytest.mark.parametrize("what", BYTES)
def test_what_is_no_manifest_is_rebuilt_or_refused(compiled: Path, what: str) -> None:
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = prepared(ground)
        path.write_bytes(BYTES[what])
        assert_tree_is_kept_to(ground, what)
        if ground.run("plan").code == 0:
            assert json.loads(path.read_bytes())["version"] == 1


def test_a_file_that_is_claimed_and_is_in_the_tree_goes_with_prune(compiled: Path) -> None:
    """What the tests above demand of links and paths that lead out would else hold for nothing at all."""
    with ground_of(compiled, "renewal", os.geteuid()) as ground:
        path = prepared(ground)
        manifest = json.loads(path.read_bytes())
        files("servers/old", notes=DIGEST)(manifest, ground)
        path.write_text(json.dumps(manifest))
        (path.parent / "servers/old").mkdir()
        (path.parent / "servers/old/notes").write_bytes(MINE)
        assert ground.run("apply").code == 0
        assert (path.parent / "servers/old/notes").exists()
        assert ground.run("apply", "--prune").code == 0
        assert not (path.parent / "servers/old/notes").exists()
