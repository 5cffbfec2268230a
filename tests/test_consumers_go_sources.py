"""The Go sources as Go's tools see them, and whom they tell from whom; test_consumers_go.py runs them."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from go_skeleton import go_skeleton, read_go
from programs import go_build, go_vet, gofmt_difference
from scene import Scene

from certgen.consumers.go import _as_go_has_it, quote
from certgen.consumers.templates import UnquotableError
from certgen.diagnostics import CertgenError, Diagnostic
from certgen.rfc5280.names import InvalidNameError, parse_uri
from certgen.rfc5280.vocabulary import GeneralName, GeneralNameKind

TESTS = Path(__file__).parent
GOLDEN = TESTS.parent / "certgen" / "consumers" / "go" / "golden" / "expected"

MODULE = "certgen.invalid/mtls"
HOSTILE = (
    '"; panic("x") //',
    "\\",
    '\\"',
    "`",
    "*/ /* //",
    "%s%d%!v(MISSING)",
    "{{ header }}{% raw %}",
    "\u00adsoft\u00a0hard",
    "\ufeffmark",
    "\u0130I\u0307ﬃ",
    "\U0001f511\U000e0041",
    "$(id) ${HOME}",
)


ROLES = """\
    version: 1
    ca: {common_name: 'CA TEXT'}
    servers:
      api: {sans: api.shop.example, deploy_dir: '/srv/TEXT', snippets: {go: {EXAMPLE, ALLOW}}}
    clients:
      asker: {common_name: 'A TEXT', subject: {organization: 'O TEXT'}, snippets: {go: {EXAMPLE}}}
      named: {sans: [named.shop.example, "spiffe://shop.example/named"]}
    peers:
      node: {sans: node.shop.example, deploy_dir: '/srv/TEXT', snippets: {go: {EXAMPLE, ALLOW}}}
"""


def render(
    scene: Scene, text: str = "harmless", allow: str = "", *, clients: str = "", example: bool = False
) -> dict[str, bytes]:
    """Render an entry of each role, with a text in all places where a spec may have any; by paths in the tree."""
    spec = ROLES.replace("TEXT", text.replace("'", "''")).replace("EXAMPLE", f"example: {str(example).lower()}")
    spec = spec.replace("    peers:\n", f"{clients}    peers:\n")
    scene.write(spec.replace(", ALLOW", f", allow: {allow}" if allow else ""))
    return rendered(scene)


def rendered(scene: Scene) -> dict[str, bytes]:
    (loaded,) = scene.load()
    return {
        f"{entry.address}/{artifact.name}": artifact.content
        for entry in loaded.bundle.entries
        for artifact in entry.artifacts
    }


def place(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write files below a folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def callers_table(content: bytes) -> str:
    """Give the table of those who are let in, without its indentation."""
    found = re.search(r"\nvar callers = [^\n]+\n(.*?\n)}\n", content.decode(), re.DOTALL)
    return "".join(line.strip() for line in found[1].splitlines()) if found else ""


class TestSources:
    def test_every_role_has_what_it_needs_and_no_more(self, scene: Scene) -> None:
        files = render(scene, example=True)
        assert {path.partition("/go/")[2] for path in files if path.startswith("servers/")} == {
            "mtls.go",
            "go.mod",
            "server/main.go",
        }
        assert {path for path in files if "main.go" in path} == {
            "servers/api/go/server/main.go",
            "clients/asker/go/client/main.go",
            "peers/node/go/server/main.go",
            "peers/node/go/client/main.go",
        }
        for path, functions in {
            "servers/api": {"ServerConfig"},
            "clients/asker": {"ClientConfig", "Transport"},
            "peers/node": {"ServerConfig", "ClientConfig", "Transport"},
        }.items():
            package = files[f"{path}/go/mtls.go"].decode()
            assert set(re.findall(r"func \(id \*Identity\) ([A-Z]\w+)", package)) == functions
            assert "verifyCaller" not in package
        assert {path for path in render(scene) if not path.endswith("go/mtls.go")} == set()

    def test_go_has_nothing_to_complain_of(self, tmp_path: Path, scene: Scene) -> None:
        """Every variant is a package of one module, so that one look is enough."""
        variants = {
            "bare": render(scene),
            "one": render(scene, allow="clients/named"),
            "both": render(scene, allow="[clients/named, clients/asker]"),
            **{f"hostile{n}": render(scene, text, "[clients/asker]") for n, text in enumerate(HOSTILE)},
        }
        names = ", ".join(f"n{number}.{'long.' * 40}example" for number in range(60))
        crowd = "".join(f"      c{number}: {{sans: [c{number}.example, {names}]}}\n" for number in range(40))
        allow = ", ".join(f"clients/c{number}" for number in range(40))
        variants["many"] = render(scene, allow=f"[{allow}, clients/named, clients/asker]", clients=crowd)
        for name, files in variants.items():
            packages = {f"{path.split('/')[0]}/mtls.go": content for path, content in files.items()}
            assert len(packages) == 3
            place(packages, tmp_path / "module" / name)
        place({"go.mod": GO_MOD}, tmp_path / "module")
        assert (gofmt_difference(tmp_path / "module"), go_vet(tmp_path / "module")) == ("", "")

    def test_go_would_complain(self, tmp_path: Path) -> None:
        package = b'package p\n\nimport "fmt"\n\nfunc F() { fmt.Printf("%d", "x")   }\n'
        place({"go.mod": b"module p.invalid\n\ngo 1.21\n", "p.go": package}, tmp_path)
        assert "+func F() { fmt.Printf" in gofmt_difference(tmp_path)
        assert "Printf format %d has arg" in go_vet(tmp_path)

    @pytest.mark.parametrize("folder", ["servers/api", "clients/checkout", "peers/etcd-0"])
    def test_the_examples_are_in_order(self, folder: str) -> None:
        module = GOLDEN / folder / "go"
        assert (gofmt_difference(module), go_vet(module)) == ("", "")

    def test_the_sources_of_these_tests_are_in_order(self) -> None:
        for source in (TESTS / "consumers_go", TESTS / "go_skeleton.go"):
            assert gofmt_difference(source) == ""

    def test_the_module_is_nobodys(self, scene: Scene) -> None:
        files = render(scene, example=True)
        assert files["clients/asker/go/go.mod"].decode().splitlines()[2:] == [f"module {MODULE}", "", "go 1.21"]
        assert f'\t"{MODULE}"\n' in files["clients/asker/go/client/main.go"].decode()


class TestTexts:
    def test_go_reads_a_literal_as_the_text_that_was_written(self, tmp_path: Path) -> None:
        points = [*range(0x3000), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), *range(0xFE00, 0x10000)]
        points += [0x10000, 0x1D173, 0x1F511, 0xE0041, 0xFFFFE, 0x10FFFF]
        texts = [*HOSTILE, "", *("".join(map(chr, points[start : start + 64])) for start in range(0, len(points), 64))]
        lines = "".join(f"\t{quote(text)},\n" for text in texts)
        place({"texts.go": f"package texts\n\nvar texts = []string{{\n{lines}}}\n".encode()}, tmp_path)
        assert read_go(tmp_path).texts == tuple(texts)
        assert gofmt_difference(tmp_path) == ""

    def test_what_can_be_read_stays_as_it_is(self) -> None:
        assert quote("Söhne & Co 🔑") == '"Söhne & Co 🔑"'
        assert quote('a"b\\c\n\x00\u200b\U000e0041') == r'"a\"b\\c\u000a\u0000\u200b\U000e0041"'

    def test_half_a_character_has_no_literal(self) -> None:
        with pytest.raises(UnquotableError):
            quote("\ud800")

    def test_no_text_changes_the_shape_of_the_program(self, tmp_path: Path, scene: Scene) -> None:
        allow = "[clients/asker, clients/named]"
        benign = read_go(place(render(scene, "harmless", allow, example=True), tmp_path / "benign"))
        for number, text in enumerate(HOSTILE):
            hostile = read_go(place(render(scene, text, allow, example=True), tmp_path / str(number)))
            assert hostile.skeleton == benign.skeleton
            assert hostile.texts == tuple(same.replace("harmless", text) for same in benign.texts)

    def test_the_shape_shows_what_changes(self, tmp_path: Path) -> None:
        shapes = {
            go_skeleton(place({"a.go": f"package a\n\nvar a = {value}\n".encode()}, tmp_path / str(number)))
            for number, value in enumerate(['"x"', '"x" + y', '"x" // z', "1", "2", "-2", "+2"])
        }
        assert len(shapes) == 7
        assert go_skeleton(place({"a.go": b'package a\n\nvar a = "other"\n'}, tmp_path / "other")) in shapes


class TestCallers:
    def table(self, scene: Scene, clients: str, allow: str = "clients/friend") -> str:
        """Render a server that lets in some of the clients, and give its table."""
        server = f"  api: {{sans: api.shop.example, snippets: {{go: {{allow: [{allow}]}}}}}}"
        scene.write(f"version: 1\nca: {{common_name: CA}}\nservers:\n{server}\nclients:\n{clients}")
        return callers_table(rendered(scene)["servers/api/go/mtls.go"])

    def test_each_kind_of_name_tells_a_caller(self, scene: Scene) -> None:
        names = "[b.example, a.example, 192.0.2.1, '2001:DB8:0::1', 'spiffe://a.example/x', U@A.example]"
        assert self.table(scene, f"  friend: {{sans: {names}}}\n") == (
            '// clients/friend{names: []string{"DNS:b.example","DNS:a.example","IP:192.0.2.1","IP:2001:db8::1",'
            '"URI:spiffe://a.example/x","email:U@a.example",}},'
        )

    def test_a_name_that_others_bear_does_not(self, scene: Scene) -> None:
        clients = "  friend: {sans: [own.example, both.example, x.wild.example]}\n"
        others = "  other: {sans: [both.example]}\n  wild: {sans: ['*.wild.example']}\n"
        assert self.table(scene, clients + others) == '// clients/friend{names: []string{"DNS:own.example",}},'

    @pytest.mark.parametrize(
        ("own", "other"),
        [
            ("https://a.example/x", "https://a.example/x#"),
            ("https://a.example/x#", "https://b.example/"),
            ("https://ab@a.example/x", "https://b.example/"),
            ("https://a.example/x#part", "https://b.example/"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.2"),
        ],
    )
    def test_a_name_that_go_may_read_as_another_does_not(self, scene: Scene, own: str, other: str) -> None:
        clients = f"  friend: {{sans: ['{own}', own.example]}}\n  other: {{sans: ['{other}']}}\n"
        assert self.table(scene, clients) == '// clients/friend{names: []string{"DNS:own.example",}},'

    def test_without_a_name_of_its_own_it_is_subject_and_issuer(self, scene: Scene) -> None:
        subject = ", ".join(f"{attribute}: {attribute[:2]}" for attribute in ATTRIBUTES if attribute != "country")
        clients = f"  friend: {{common_name: F, subject: {{country: NL, {subject}}}}}\n"
        identifiers = [f"{identifier}={attribute[:2]}" for attribute, identifier in ATTRIBUTES.items()]
        expected = [item.replace("2.5.4.6=co", "2.5.4.6=NL") for item in identifiers] + ["2.5.4.3=F"]
        literals = "".join(f'"{item}",' for item in expected)
        assert self.table(scene, clients) == (
            f'// clients/friend{{subject: []string{{{literals}}},issuer: []string{{"2.5.4.3=CA",}},}},'
        )

    def test_a_uri_that_counts_is_to_go_what_it_is_to_the_spec(self, tmp_path: Path) -> None:
        uris = sorted(set(odd_uris()))
        program = go_build(place({"go.mod": GO_MOD, "main.go": URIS.read_bytes()}, tmp_path), tmp_path / "uris")
        done = subprocess.run([program], input=json.dumps(uris), capture_output=True, text=True, check=True)
        read: dict[str, set[GeneralName]] = defaultdict(set)
        literal = 0
        for uri, written in zip(uris, json.loads(done.stdout), strict=True):
            name = GeneralName(GeneralNameKind.URI, uri)
            spelled = _as_go_has_it(name)
            if spelled == name and written:
                assert written == uri
                literal += 1
            read[written].add(spelled)
        read.pop("", None)
        assert [written for written, names in read.items() if len(names) > 1] == []
        assert literal > 1000
        assert any(written not in uris for written in read)


URIS = TESTS / "consumers_go" / "uris.go"
GO_MOD = b"module variants.invalid\n\ngo 1.21\n"


def odd_uris() -> Iterator[str]:
    """Give URIs that a spec may have, with every sign that means something in one, in twos."""
    signs = [*"aA8/?#[]@:!$&'()*+,;=~.-_", "%41", "%2F", "%23", "%c3", "%C3", "%25"]
    starts = ["https://", "https://h", "https://h/", "https://h/?", "https://h/#", "https://u@", "https://[::1]"]
    for start, *rest in product([*starts, "urn:", "x:/", "x:"], ["", *signs], ["", *signs]):
        with suppress(InvalidNameError):
            yield parse_uri(start + "".join(rest))


ATTRIBUTES = {
    "domain_component": "0.9.2342.19200300.100.1.25",
    "country": "2.5.4.6",
    "state": "2.5.4.8",
    "locality": "2.5.4.7",
    "street_address": "2.5.4.9",
    "postal_code": "2.5.4.17",
    "organization": "2.5.4.10",
    "organizational_unit": "2.5.4.11",
    "serial_number": "2.5.4.5",
}


class TestJudging:
    TWINS = """\
        version: 1
        ca: {common_name: CA}
        servers:
          api: {sans: api.shop.example, snippets: {go: {allow: clients/one}}}
        clients:
          one: {common_name: same}
          two: {common_name: same}
        """

    def faults(self, scene: Scene) -> list[Diagnostic]:
        with pytest.raises(CertgenError) as caught:
            scene.load()
        return list(caught.value.diagnostics)

    def test_twins_are_not_told_apart(self, scene: Scene) -> None:
        scene.write(self.TWINS)
        (fault,) = self.faults(scene)
        assert fault.code == "same-identity"
        assert fault.message == (
            "Go cannot tell clients/one from clients/two: subject and issuer are the same, and no name is its own"
        )
        assert fault.help == "give one of them another `common_name`"
        assert fault.span is not None
        assert fault.span.text[fault.span.column - 1 :].startswith("clients/one")

    @pytest.mark.parametrize(
        "change",
        [
            ("one: {common_name: same", "one: {common_name: other"),
            ("one: {common_name: same", "one: {sans: one.example, common_name: same"),
            ("allow: clients/one", "allow: [clients/one, clients/two]"),
        ],
    )
    def test_who_differs_is(self, scene: Scene, change: tuple[str, str]) -> None:
        scene.write(self.TWINS)
        scene.edit(change)
        assert rendered(scene)

    def test_a_name_that_both_bear_is_of_no_help(self, scene: Scene) -> None:
        scene.write(self.TWINS)
        scene.edit(
            ("one: {common", "one: {sans: both.example, common"), ("two: {common", "two: {sans: both.example, common")
        )
        assert [fault.code for fault in self.faults(scene)] == ["same-identity"]

    def test_allow_is_not_for_a_client(self, scene: Scene) -> None:
        scene.write(self.TWINS)
        scene.edit(("allow: clients/one", "example: true"), ("one: {", "one: {snippets: {go: {allow: clients/two}}, "))
        assert [fault.code for fault in self.faults(scene)] == ["unused-option"]

    @pytest.mark.parametrize(
        ("written", "code"), [("example: maybe", "not-a-switch"), ("exemple: true", "unknown-field")]
    )
    def test_an_option_is_what_it_should_be(self, scene: Scene, written: str, code: str) -> None:
        scene.write(self.TWINS)
        scene.edit(("allow: clients/one", written))
        assert [fault.code for fault in self.faults(scene)] == [code]
