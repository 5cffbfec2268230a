"""The house: which module stands on which floor, who may open which door, and how large a room may be.

This file is the architecture document: imports go down only, and each library has its doors.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "certgen"

FLOORS = (
    ("diagnostics", "starter", "stamp", "lifetime", "protection", "publication", "rfc5280", "tls"),
    ("model", "sealing", "spec.composer", "spec.document", "spec.outline"),
    ("manifest",),
    ("tree", "certificates", "encoders", "spec.fields"),
    ("spec.types", "spec.keeping", "consumers", "journal", "generations"),
    ("spec.parts", "spec.schema", "issue", "inspection"),
    ("spec.json_schema", "spec.references", "spec.explain", "observe", "signers", "store"),
    ("spec.supplied",),
    ("spec.inheritance", "spec.circles"),
    ("spec.resolve", "spec.checks", "plan", "rendering", "exports", "importing"),
    ("signing", "vault", "publishing"),
    ("loading", "apply", "adopting"),
    (
        *("requests", "claims", "narrowing", "surveying", "unsealing", "clear_keys"),
        *("verify", "prove", "status", "talk", "exporting"),
    ),
    ("pipeline", "report", "live", "rollout"),
    ("remembering", "testing"),
    ("cli", "pytest_plugin"),
    ("__main__",),
)
"""From the ground up; a module imports from its own floor, inside one room, or from below."""

DOORS = {
    "yaml": {"spec.composer", "exports.manifests", "importing.writing", "testing"},
    "pydantic": {"spec.types", "spec.parts", "spec.schema", "spec.explain", "consumers.options"},
    "jinja2": {"consumers.templates"},
    "pydantic_core": {"spec.fields", "spec.explain"},
    "cryptography": {"rfc5280.objects", "certificates", "issue", "inspection", "encoders.pem", "signers.port"}
    | {
        "sealing.passphrase",
        "verify.keys",
        "prove.shadow",
        "rollout",
        "signers.memory",
        "signing",
        "verify.audit",
        "verify.contents",
        "verify.lint",
        "verify.paths",
    },
    "click": {
        "cli.group",
        "cli.commands",
        "cli.exporting",
        "cli.handshaking",
        "cli.importing",
        "cli.inspecting",
        "cli.keeping",
        "cli.options",
        "cli.proving",
        "cli.run",
        "cli.screen",
        "cli.watching",
    },
    "rich": {"cli.progress"},
    "durationpy": {"spec.fields"},
    "pyrage": {"sealing.age"},
    "idna": {"rfc5280.names"},
    "pytest": {"pytest_plugin"},
}
"""Who may import each third-party library."""

FILE_DOOR = {
    "store.files",
    "store.disk",
    "store.lock",
    "store.private",
    "store.scratch",
    "store.stamps",
    "store.writer",
}
"""Who may open, read and write files."""

FILE_WORDS = {"open", "fdopen", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "rmdir"}
FORBIDDEN_WORDS = ("util", "helper", "manager", "handler", "misc", "common")
THEIR_NAMES = {"cert_manager"}
"""Targets bear the names of their programs, whatever words are in them."""
LONGEST_FILE = 320
LONGEST_FUNCTION = 45


def modules() -> dict[str, Path]:
    """Every module of the package by its name below `certgen`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, for types only too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name: str) -> set[str]:
    """The modules of certgen that a module imports."""
    found = set()
    for imported in imports(MODULES[name]):
        parts = imported.split(".")
        if parts[0] != "certgen":
            continue
        while parts and ".".join(parts[1:]) not in MODULES:
            parts.pop()
        target = ".".join(parts[1:])
        if target and target != name:
            found.add(target)
    return found


def floor(name: str) -> int:
    """The floor of a module: that of its longest name in the table."""
    while name:
        for number, rooms in enumerate(FLOORS):
            if name in rooms:
                return number
        name = name.rpartition(".")[0]
    raise LookupError


def room(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name and name != "spec"))
def test_every_module_has_a_floor_and_imports_go_down(name: str) -> None:
    upwards = [
        target
        for target in own_imports(name)
        if floor(target) > floor(name) or (floor(target) == floor(name) and room(target) != room(name))
    ]
    assert not upwards, f"{name} (floor {floor(name)}) imports {upwards}"


def test_no_module_imports_itself_by_a_detour() -> None:
    above: dict[str, set[str]] = {name: own_imports(name) for name in MODULES}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        for target in above[name]:
            visit(target, (*trail, name))

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_library_has_its_doors(name: str) -> None:
    libraries = {imported.partition(".")[0] for imported in imports(MODULES[name])}
    outside = libraries - set(sys.stdlib_module_names) - {"certgen"}
    for library in outside:
        assert name in DOORS[library], f"{name} imports {library}"


CONSUMER_SEES = {"census", "naming", "port", "options", "templates", "callers", "proxying"}
"""What of the wing a consumer may lean on, beside the model."""


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.count(".") and name.startswith("consumers.")))
def test_a_consumer_sees_the_model_and_its_port(name: str) -> None:
    leaf = name.split(".")[1]
    if leaf in {*CONSUMER_SEES, "registry"}:
        return
    allowed = {f"consumers.{module}" for module in CONSUMER_SEES} | {"diagnostics", "model", "tree"}
    allowed |= {"rfc5280.vocabulary"}
    strangers = {target for target in own_imports(name) if target.split(".")[:2] != ["consumers", leaf]} - allowed
    assert not strangers, f"{name} imports {strangers}"


def test_no_module_knows_a_consumer_by_its_name() -> None:
    leaves = {name.split(".")[1] for name, path in MODULES.items() if path.parent.parent.name == "consumers"}
    assert leaves
    for name in MODULES:
        known = {target.split(".")[1] for target in own_imports(name) if target.startswith("consumers.")} & leaves
        assert known <= {name.split(".")[1] if "." in name else ""}, f"{name} imports {known}"


TARGET_SEES = {"port", "manifests", "names"}
"""What of its wing a target may lean on."""


def targets() -> set[str]:
    return {name.split(".")[1] for name, path in MODULES.items() if path.parent.parent == PACKAGE / "exports"}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("exports.")))
def test_a_target_sees_the_model_and_its_port(name: str) -> None:
    leaf = name.split(".")[1]
    if leaf not in targets():
        return
    allowed = {f"exports.{module}" for module in TARGET_SEES} | {"diagnostics", "model", "protection", "tree"}
    allowed |= {"encoders.pem", "rfc5280.vocabulary", "spec.inheritance"}
    strangers = {target for target in own_imports(name) if target.split(".")[:2] != ["exports", leaf]} - allowed
    assert not strangers, f"{name} imports {strangers}"


def test_no_module_knows_a_target_by_its_name() -> None:
    assert targets() == {"cert_manager"}
    for name in MODULES:
        known = {target.split(".")[1] for target in own_imports(name) if target.startswith("exports.")} & targets()
        assert known <= {name.split(".")[1] if "." in name else ""}, f"{name} imports {known}"


def test_every_door_is_used() -> None:
    for library, names in DOORS.items():
        for name in names:
            assert library in {imported.partition(".")[0] for imported in imports(MODULES[name])}, (library, name)


@pytest.mark.parametrize("name", sorted(set(MODULES) - FILE_DOOR))
def test_only_the_store_touches_the_disk(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Call):
            word = getattr(node.func, "attr", getattr(node.func, "id", ""))
            is_null_device = word == "open" and "devnull" in ast.unparse(node)
            assert word not in FILE_WORDS or is_null_device, f"{name}:{node.lineno} calls {word}"


def test_the_decision_imports_no_library() -> None:
    script = (
        "import sys, certgen.plan.decide; "
        "print([name for name in ('cryptography', 'pydantic', 'yaml', 'click', 'rich') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout.strip() == "[]"


def test_the_package_itself_imports_nothing() -> None:
    assert not list(imports(MODULES[""]))


def test_showing_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['certgen', '--help']\n"
        "from certgen.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('cryptography', 'pydantic', 'yaml', 'rich') if name in sys.modules], file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert answer.stderr.strip() == "[]"
    assert "apply" in answer.stdout


@pytest.mark.parametrize("name", sorted(MODULES))
def test_rooms_are_small_and_well_named(name: str) -> None:
    text = MODULES[name].read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name} does not say what it is for"
    assert len(text.splitlines()) <= LONGEST_FILE
    own = [part for part in name.split(".") if part not in THEIR_NAMES]
    assert not any(word in part for word in FORBIDDEN_WORDS for part in own)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= LONGEST_FUNCTION, f"{name}:{node.name} is long"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            assert caught not in {"", "Exception", "BaseException"}, f"{name}:{node.lineno} catches everything"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name and name != "spec"))
def test_a_module_that_names_its_floor_names_the_right_one(name: str) -> None:
    found = re.match(r"Floor (\d+): ", ast.get_docstring(ast.parse(MODULES[name].read_text())) or "")
    assert found is None or int(found[1]) == floor(name)
