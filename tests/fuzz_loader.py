"""Feeds specs that atheris makes up to the loader: `python tests/fuzz_loader.py -max_total_time=300`.

It begins with the specs of this repository and knows the words of the language. It ends with exit code 0 when the
time is over; with another at the first input that raises anything but CertgenError, takes more than two seconds of
the processor, or lets a character through that steers a terminal. That input is then in a file whose name is printed
last, and `python tests/fuzz_loader.py FILE` tries it again. Its other options are libFuzzer's.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import atheris  # type: ignore[import-untyped]  # only who fuzzes installs it

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["certgen", "idna", "durationpy"]):
    from certgen.diagnostics import CertgenError, Diagnostic
    from certgen.loading import load_specs
    from certgen.report import json_v1
    from certgen.report.diagnostics import render_diagnostics
    from certgen.spec.json_schema import json_schema

SECONDS: Final = 2.0
"""Of the processor's time, which a busy machine does not lengthen."""
INSIDE: Final = "--inside"
"""How the process that fuzzes is told from the one that tidies up after it."""
HALF: Final = 0.5
WORD: Final = re.compile(rb"[^\s:{}\[\],'\"#]+")
SEEDS: Final = ("specs/*.yaml", "tests/cases/invalid/*/spec.yaml", "certgen/consumers/*/golden/spec.yaml")
SIGNS: Final = (
    *("- ", ": ", "? ", "{", "}", "[", "]", "&a ", "*a", "!", "!!str ", "|", ">", "<<: *a", "---", "...", "%YAML 1.2"),
    *("version: 1", "ca:", "cas:", "servers:", "clients:", "peers:", "defaults:", "true", "null", "~", "''", '"\\e"'),
    *("spiffe://", "https://", "urn:", "DNS:", "IP:", "URI:", "email:", "*.", "xn--", "@", "::1", "127.0.0.1", "/8"),
    *("con", "nul.x", "..", "a/b", "a.", "999999999", "0x7f.1", "a_b", "a@b", "é@b", "-", "#", "root", "servers/api"),
    *("\u202e", "\u200b", "\ufeff", "\u2028", "\x85", "ü", "%41", "90d", "33%", "2027-01-31T00:00:00Z", "root.pem"),
)


class SlowError(Exception):
    """A run took longer than anybody should wait for the mistakes of a spec."""


class UnsafeOutputError(Exception):
    """A character of a spec reached the terminal that could steer it."""


def words(schema: object) -> Iterator[str]:
    """Give every field and every value of a closed set that the language knows."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
        for part in schema.values():
            yield from words(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from words(part)


WORDS: Final = tuple(dict.fromkeys([*SIGNS, *words(json_schema())]))
SPECS: Final = tuple(path for pattern in SEEDS for path in sorted(ROOT.glob(pattern)))


def quoted(word: str) -> str:
    """Write a word as libFuzzer's dictionaries do."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"'


def prepare(folder: Path) -> tuple[Path, Path]:
    """Make a corpus and a dictionary."""
    corpus, dictionary = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, spec in enumerate(SPECS):
        shutil.copy(spec, corpus / f"{number:03}.yaml")
    dictionary.write_text("\n".join(map(quoted, WORDS)) + "\n")
    return corpus, dictionary


class Loader:
    """Loads one spec after the other from one folder, and shows what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "shop.yaml"
        (folder / "program.conf.j2").write_text("{{ header }}\n{{ certificate }}\n")
        (folder / "root.pem").write_text("not a certificate\n")

    def __call__(self, content: bytes) -> None:
        """Take one input of the fuzzer."""
        self._path.write_bytes(content)
        began = time.process_time()
        found = self._load()
        shown = render_diagnostics(found)
        shown += json_v1.render("validate", {"specs": [], "diagnostics": json_v1.diagnostics(found)})
        seconds = time.process_time() - began
        if seconds > SECONDS:
            raise SlowError(f"{seconds:.1f} s for {len(content)} bytes")
        if not shown.replace("\n", "").isprintable():
            raise UnsafeOutputError(repr(next(sign for sign in shown if sign != "\n" and not sign.isprintable())))

    def _load(self) -> tuple[Diagnostic, ...]:
        try:
            return load_specs([self._path])[0].warnings
        except CertgenError as reason:
            return reason.diagnostics


def mutate(content: bytes, longest: int, seed: int) -> bytes:
    """Change any bytes, or a word alone, so that what comes out is YAML more often than not."""
    chance = random.Random(seed)  # noqa: S311 - it is libFuzzer's seed
    found = list(WORD.finditer(content))
    if not found or chance.random() < HALF:
        return bytes(atheris.Mutate(content, longest))
    place = chance.choice(found)
    word = atheris.Mutate(place[0], 80) if chance.random() < HALF else chance.choice(WORDS).encode()
    return (content[: place.start()] + word + content[place.end() :])[:longest]


def fuzz(folder: Path, options: list[str]) -> None:
    """Run libFuzzer, which ends the process."""
    loader = Loader(folder)
    loader(SPECS[0].read_bytes())
    atheris.Setup([sys.argv[0], *options], loader, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Fuzz in a process of its own until the time is over, or an input is found."""
    with tempfile.TemporaryDirectory(prefix="certgen-fuzz-") as name:
        folder = Path(name)
        corpus, dictionary = prepare(folder)
        found = f"{Path(tempfile.gettempdir()) / 'certgen-fuzz-'}"
        options = [f"-dict={dictionary}", f"-artifact_prefix={found}", "-max_len=4096", "-timeout=20"]
        options += ["-verbosity=0", "-print_final_stats=1", *sys.argv[1:]]
        if all(option.startswith("-") for option in sys.argv[1:]):
            options.append(str(corpus))
        return subprocess.run([sys.executable, __file__, INSIDE, name, *options], check=False).returncode


if __name__ == "__main__":
    if sys.argv[1:2] == [INSIDE]:
        fuzz(Path(sys.argv[2]), sys.argv[3:])
    sys.exit(main())
