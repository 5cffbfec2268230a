"""SECURITY.md promises what tests prove: every proof that it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
PAGE = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
PROOF = re.compile(r"`(tests/\w+\.py)::(\w+)`")


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def promises() -> list[str]:
    section = PAGE.split("\n## Promises\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.startswith("| promise |")]


def test_every_promise_names_its_proof() -> None:
    assert len(promises()) > 20
    assert [row for row in promises() if not PROOF.search(row)] == []


def test_every_proof_is_a_test_that_is_there() -> None:
    proofs = PROOF.findall(PAGE)
    assert proofs
    assert [f"{file}::{name}" for file, name in proofs if name not in names_in(file)] == []


def test_what_is_not_promised_is_said() -> None:
    section = PAGE.split("\n## What is not promised\n")[1]
    for word in ("Root", "Memory", "Network file systems", "Windows", "cache"):
        assert word in section


def test_no_address_stands_on_the_page() -> None:
    """Reports go through the repository's advisories; an address would have to be somebody's."""
    assert not re.search(r"[\w.]+@[\w.]+|https?://", PAGE)
