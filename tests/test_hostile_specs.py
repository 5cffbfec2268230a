"""Specs that nobody should write, made up by Hypothesis: answered in words, soon, and never with a traceback.

`CERTGEN_EXAMPLES=2000 pytest tests/test_hostile_specs.py` looks at more of them than an ordinary run, at others each
time, and makes what it finds smaller. `tests/fuzz_loader.py` looks for them by coverage.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
import yaml
from bad_input import BAD_NAMES, GOOD_NAMES, GOOD_SANS, SANS
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from scene import take_snapshot
from strategies import SpecTree, specs
from typed import Ran, run

from certgen.spec.parts import Key, NameConstraints, Snippets, Subject
from certgen.spec.schema import CertificateAuthority, Defaults, EndEntity, Spec

EXAMPLES: Final = int(os.environ.get("CERTGEN_EXAMPLES", "0"))
SECONDS: Final = 2.0
"""Of the processor's time, which a busy machine does not lengthen."""
ROOT: Final = Path(__file__).parent.parent
SPECS: Final = tuple(path.read_bytes() for path in sorted((ROOT / "specs").glob("*.yaml")))

MANY_MISTAKES: Final = "version: 1\nca: {}\nclients:\n" + "".join(f"  A{number}: {{}}\n" for number in range(1000))
LONG_CIRCLE: Final = "version: 1\ncas:\n" + "".join(f"  c{n}: {{issuer: c{(n + 1) % 999}}}\n" for n in range(999))
MANY_SLIPS: Final = (
    "version: 1\ncas:\n"
    + "".join(f"  c{number}: {{}}\n" for number in range(500))
    + "clients:\n"
    + "".join(f"  a{number}: {{issuer: x{number}}}\n" for number in range(500))
)
MANY_ALIASES: Final = "l0: &l0 [a]\n" + "".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]\n" for n in range(1, 20))

hostile = settings(
    max_examples=EXAMPLES or 60,
    deadline=None,
    derandomize=not EXAMPLES,
    phases=tuple(Phase) if EXAMPLES else (Phase.explicit, Phase.generate),
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "": tuple(Spec.model_fields),
    "defaults": tuple(Defaults.model_fields),
    "cas": tuple(CertificateAuthority.model_fields),
    **dict.fromkeys(("servers", "clients", "peers"), tuple(EndEntity.model_fields)),
    "subject": tuple(Subject.model_fields),
    "key": tuple(Key.model_fields),
    "name_constraints": tuple(NameConstraints.model_fields),
    "snippets": tuple(Snippets.model_fields),
}
"""What may stand where, by the section of an entry or the name of a field."""
TEXTS: Final = (
    *(text for text, _ in SANS),
    *(*BAD_NAMES, *GOOD_SANS, *GOOD_NAMES),
    *("{{ 7 * 7 }}", "${HOME}", "%s%n", "'; DROP TABLE", "<script>", "\x1b]8;;http://a\x07", "\n---\n", "&a", "!!x y"),
    *("/etc/passwd", "../../key.pem", "file:///etc/passwd", "1y", "33%", "99999y", "2027-01-31T00:00:00Z", "0600"),
    *("ecdsa-p256", "ed25519", "serverAuth", "digitalSignature", "on-renewal", "nginx", "clients/a", "127.0.0.1:80"),
)
texts = st.one_of(st.sampled_from(TEXTS), st.sampled_from(TEXTS), st.text(max_size=20))
keys = st.one_of(st.sampled_from(sorted(set().union(*FIELDS.values()))), st.sampled_from(["a", "root"]), texts)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(texts, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)
mostly_texts = st.one_of(texts, texts, st.lists(texts, max_size=3), values)


def keys_at(route: list[Any]) -> st.SearchStrategy[str]:
    """Give the keys that may stand in a mapping, and now and then one that may not."""
    is_entry = len(route) == 2 and route[0] in {"cas", "servers", "clients", "peers"}
    known = FIELDS.get(str(route[0 if is_entry else -1]) if route else "", ())
    return st.one_of(st.sampled_from(known), st.sampled_from(known), st.sampled_from(known), keys) if known else keys


def places(value: Any, route: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any YAML
    """Give the route to everything inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*route, key)
        yield from places(inner, (*route, key))


@st.composite
def hostile_specs(draw: st.DrawFn) -> str:
    """A spec that was right until somebody put hostile texts, lists and mappings where others belong."""
    spec: SpecTree = deepcopy(draw(specs()))
    for _ in range(draw(st.integers(1, 3))):
        *route, last = draw(st.sampled_from(sorted(places(spec), key=repr)))
        parent: Any = spec
        for step in route:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "replace", "remove", "rename", "add", "add"])):
            case "replace":
                parent[last] = draw(mostly_texts)
            case "remove":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(keys_at(route))] = parent.pop(last)
            case _ if isinstance(parent, dict):
                parent[draw(keys_at(route))] = draw(mostly_texts)
            case _:
                parent.append(draw(mostly_texts))
    style = draw(st.sampled_from([None, True, False]))
    return yaml.safe_dump(spec, sort_keys=False, allow_unicode=draw(st.booleans()), default_flow_style=style)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One of the repository's specs, with bytes taken out, put in, repeated or turned around."""
    content = bytearray(draw(st.sampled_from(SPECS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        piece = bytes(content[start:end])
        signs = st.sampled_from(
            [b"\n", b" ", b"\t", b": ", b"- ", b"[", b"}", b"&a ", b"*a", b"'", b'"', b"\xff", b"#"]
        )
        word = st.one_of(st.binary(max_size=8), signs, texts.map(str.encode), st.just(piece * 2), st.just(piece[::-1]))
        content[start:end] = draw(word)
    return bytes(content)


def timed(*arguments: str) -> Ran:
    """Run a command, and demand words, and that they come soon."""
    began = time.process_time()
    ran = run(*arguments)
    assert time.process_time() - began < SECONDS
    ran.assert_harmless()
    return ran


def assert_answered(content: bytes) -> None:
    """Demand an answer in words; where a spec is right, that it compiles, and then changes nothing."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        spec, output = folder / "shop.yaml", folder / "output"
        spec.write_bytes(content)
        before = take_snapshot(folder)
        ran = timed("plan", str(spec), "-o", str(output))
        assert ran.code in {1, 2}
        assert timed("plan", "--json", str(spec), "-o", str(output)).code == ran.code
        assert take_snapshot(folder) == before
        if ran.code == 2:
            assert ran.found
            return
        assert run("apply", str(spec), "-o", str(output)).code == 0
        assert run("plan", str(spec), "-o", str(output)).code == 0


@hostile
@example(MANY_MISTAKES)
@example(LONG_CIRCLE)
@example(MANY_SLIPS)
@example(MANY_ALIASES)
@given(hostile_specs())
def test_a_hostile_spec_is_answered_in_words(spec: str) -> None:
    assert_answered(spec.encode())


@hostile
@example(b"[" * 4096)
@example(b"{a: " * 1024)
@example(b"? " * 2048)
@example(b"\xef\xbb\xbf\xff")
@example(b"a: \xc2\x85" * 500)
@given(mutated())
def test_a_spec_with_bytes_astray_is_answered_in_words(content: bytes) -> None:
    assert_answered(content)


@pytest.mark.parametrize("shown", ["a\x1b[31m", "a\u202eb", "a\rb", "a\x9bb", "Traceback (most recent call last)"])
def test_the_demand_for_words_fails_where_it_should(shown: str) -> None:
    for ran in (Ran(2, shown, ""), Ran(2, "", shown)):
        with pytest.raises(AssertionError):
            ran.assert_harmless()
    Ran(2, "a\nb", "é").assert_harmless()


def test_the_demand_for_haste_fails_where_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, SECONDS + 0.1])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    with pytest.raises(AssertionError):
        timed("validate", "missing.yaml")
