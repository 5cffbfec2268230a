"""The pages for people say what the program does: its commands, its options, its codes, its first session."""

import ast
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from runs import Case, crowd

from certgen.pipeline import load_specs

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "certgen"
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DIAGNOSTICS = REPOSITORY / "docs" / "diagnostics.md"
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def run(*arguments: str, folder: Path = REPOSITORY) -> str:
    (ran,) = crowd().run(Case(folder, arguments, {"COLUMNS": "120"}))
    return ran.out + ran.err


@cache
def help_of(command: str) -> str:
    """Give the help of a command, and of the commands below it."""
    text = run(command, "--help")
    below = re.findall(r"^  ([a-z-]+)  ", text.partition("Commands:")[2], re.MULTILINE)
    return "".join([text, *(run(command, name, "--help") for name in below)])


def commands() -> set[str]:
    return set(re.findall(r"^  ([a-z]+)  ", run("--help").split("Commands:")[1], re.MULTILINE))


# Commands and options


def test_the_table_of_commands_names_those_that_there_are() -> None:
    table = README.split("## The commands")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `certgen ([a-z]+)", table, re.MULTILINE)) == commands()


def test_every_command_that_the_readme_types_exists() -> None:
    typed = set(re.findall(r"^\$ certgen ([a-z]+)", README, re.MULTILINE))
    assert typed
    assert typed <= commands()


def test_every_option_that_the_readme_names_exists_and_has_help() -> None:
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+|-[a-z])\b", re.sub(r"```.*?```", "", README, flags=re.DOTALL)))
    there = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+|-[a-z])\b", "".join(map(help_of, commands()))))
    assert named >= {"--json", "--at", "--prune", "--renew", "--rekey", "--no-renew", "--exit-code", "-q", "-v", "-o"}
    assert named - there == set()


@pytest.mark.parametrize(
    ("sentence", "options", "expected"),
    [
        (
            "`plan`, `verify`, `prove`, `inspect` and `status` take `--at TIME`",
            ["--at"],
            {"plan", "verify", "prove", "inspect", "status"},
        ),
        ("`plan` and\n`apply` take:", ["--prune", "--renew", "--rekey", "--no-renew"], {"plan", "apply"}),
    ],
)
def test_the_readme_says_truly_which_commands_take_an_option(
    sentence: str, options: list[str], expected: set[str]
) -> None:
    assert sentence in README
    for option in options:
        assert expected <= {command for command in commands() if f"{option} " in help_of(command)}


# The session


def session() -> list[tuple[str, str]]:
    """Give the commands of the README's first session, each with what it prints."""
    text = README.split("## One session")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    steps = re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]
    return [(command, output.strip("\n")) for command, output in (step.split("\n", 1) for step in steps)]


def without_dates(text: str) -> str:
    return re.sub(r"due: [\d-]{10}", "due: THEN", text).strip("\n")


def test_the_readme_shows_what_the_program_prints(tmp_path: Path) -> None:
    spec = tmp_path / "specs/quickstart.yaml"
    spec.parent.mkdir()
    shutil.copy(REPOSITORY / "specs/quickstart.yaml", spec)
    steps = session()
    assert [command.split()[1] for command, _ in steps] == [
        "apply",
        "apply",
        "prove",
        "plan",
        "apply",
        "validate",
        "plan",
    ]
    for number, (command, output) in enumerate(steps):
        text = (REPOSITORY / "specs/quickstart.yaml").read_text()
        if number >= 3:
            text = text.replace("[api.shop.example, localhost, 127", "[api.shop.example, api.internal, localhost, 127")
        if command.startswith("certgen validate"):
            text = text.replace("common_name", "comon_name")
        spec.write_text(text)
        assert without_dates(run(*command.split()[1:], folder=tmp_path)) == without_dates(output), command


def test_the_readme_shows_what_the_formats_for_pull_requests_are(tmp_path: Path) -> None:
    spec = tmp_path / "specs/quickstart.yaml"
    spec.parent.mkdir()
    text = (REPOSITORY / "specs/quickstart.yaml").read_text()
    spec.write_text(text)
    run("apply", folder=tmp_path)
    spec.write_text(text.replace("localhost, 127", "api.internal, localhost, 127"))
    section = README.split("## On a pull request")[1].split("\n## ")[0]
    shown = re.findall(r"^(```+)console\n\$ certgen (.*?)\n(.*?)^\1$", section, re.MULTILINE | re.DOTALL)
    assert [command.split()[2] for _, command, _ in shown] == ["markdown", "github"]
    for _, command, output in shown:
        assert run(*command.split(), folder=tmp_path) == output


def test_the_readme_shows_the_status_of_a_spec_that_there_is(tmp_path: Path) -> None:
    spec = tmp_path / "specs/separate-cas.yaml"
    spec.parent.mkdir()
    shutil.copy(REPOSITORY / "specs/separate-cas.yaml", spec)
    run("apply", folder=tmp_path)
    section = README.split("## What is due, and when")[1].split("\n## ")[0]
    shown = re.search(r"```console\n\$ certgen (.*?)\n(.*?)```", section, re.DOTALL)
    assert shown is not None
    dates = r"[\d-]{10} [\d:]{5}Z"
    assert len(re.findall(dates, shown[2])) == 6
    assert re.sub(dates, "THEN", run(*shown[1].split(), folder=tmp_path)) == re.sub(dates, "THEN", shown[2])


def test_the_readme_names_the_metrics_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("version: 1\nca: {}\n")
    run("apply", "shop.yaml", folder=tmp_path)
    text = run("status", "shop.yaml", "--format", "prometheus", folder=tmp_path)
    metrics = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert "x509_cert_not_after" in metrics
    section = README.split("## What is due, and when")[1].split("\n## ")[0]
    assert set(re.findall(r"`((?:x509_cert|certgen)_\w+)`", section)) == metrics


def test_the_readme_shows_what_is_exported(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    shutil.copy(REPOSITORY / "specs/quickstart.yaml", tmp_path / "specs")
    section = README.split("## To cert-manager")[1].split("\n## ")[0]
    command = "certgen export cert-manager specs/quickstart.yaml"
    warnings = re.search(rf"^\$ {command} >\S+\n(.*?)^\$ kubectl", section, re.MULTILINE | re.DOTALL)
    manifest = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert warnings is not None
    assert manifest is not None
    printed = run(*command.split()[1:], folder=tmp_path)
    assert printed.endswith(warnings[1])
    assert printed.count(f"---\n{manifest[1]}---\n") == 1


def test_the_readme_shows_the_quickstart_as_it_is() -> None:
    shown = re.search(r"is a whole spec:\n\n```yaml\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    written = (REPOSITORY / "specs/quickstart.yaml").read_text()
    assert shown[1] == "".join(line for line in written.splitlines(keepends=True) if not line.startswith("#"))


def test_every_page_that_the_readme_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert "docs/diagnostics.md" in links
    assert [link for link in links if "://" not in link and not (REPOSITORY / link).exists()] == []


# Codes


@cache
def modules() -> Mapping[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def code_positions() -> dict[str, set[int]]:
    """Tell, for every function and class that takes a `code`, at which place it takes it."""
    found: dict[str, set[int]] = defaultdict(set)
    for module in modules().values():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg not in {"self", "cls"}]
                if "code" in names:
                    found[node.name].add(names.index("code"))
            elif isinstance(node, ast.ClassDef):
                fields = [
                    item.target.id
                    for item in node.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                ]
                if "code" in fields:
                    found[node.name].add(fields.index("code"))
    return found


def called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def texts_of(node: ast.expr) -> Iterator[str]:
    """Give the texts that an expression may be: of a choice both, of its condition none."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts_of(body)
            yield from texts_of(orelse)
        case ast.Dict(values=values) | ast.Tuple(elts=values):
            for value in values:
                yield from texts_of(value)
        case _:
            return


def texts_for_codes(node: ast.AST, positions: Mapping[str, set[int]]) -> Iterator[str]:
    match node:
        case ast.Call(args=arguments, keywords=keywords):
            for place in positions.get(called(node), ()):
                yield from texts_of(arguments[place]) if place < len(arguments) else ()
            for keyword in keywords:
                yield from texts_of(keyword.value) if keyword.arg == "code" else ()
        case ast.Assign(targets=[ast.Name(id="code")], value=value):
            yield from texts_of(value)
        case ast.FunctionDef(args=arguments):
            defaults = arguments.args[len(arguments.args) - len(arguments.defaults) :]
            for argument, default in zip(defaults, arguments.defaults, strict=True):
                yield from texts_of(default) if argument.arg == "code" else ()


@cache
def emitted() -> Mapping[str, str]:
    """Every code that the source can emit, with a module that does."""
    positions = code_positions()
    return {
        text: str(path.relative_to(PACKAGE))
        for path, module in modules().items()
        for node in ast.walk(module)
        for text in texts_for_codes(node, positions)
        if CODE.fullmatch(text) and text != "certgen"
    }


def documented() -> list[str]:
    return re.findall(r"^\| `([a-z0-9-]+)` \|", DIAGNOSTICS.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_codes_of_the_source_are_found_however_they_are_written() -> None:
    assert set(emitted()) >= {
        "unknown-field",
        "bad-san",
        "weak-key",
        "bad-file",
        "too-large",
        "no-such-spec",
        "expired",
        "path-broken",
        "key-mismatch",
        "not-utf-8",
        "exists",
        "orphan",
        "lint",
    }
    assert len(emitted()) > 90


def test_every_code_that_can_be_emitted_is_documented() -> None:
    assert {code: where for code, where in emitted().items() if code not in documented()} == {}


def test_every_code_that_is_documented_can_be_emitted() -> None:
    assert [code for code in documented() if code not in emitted()] == []


def test_no_code_is_documented_twice_in_one_table() -> None:
    tables = re.split(r"^## ", DIAGNOSTICS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for table in tables:
        codes = re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)
        assert len(codes) == len(set(codes))
        assert codes == sorted(codes)


def test_every_line_says_what_a_code_means_and_what_to_do() -> None:
    rows = re.findall(r"^\| `[a-z0-9-]+` \|.*$", DIAGNOSTICS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [row for row in rows if len([cell for cell in row.strip("|").split(" | ") if cell.strip()]) != 3] == []


# Snippets


def test_the_page_on_snippets_shows_a_spec_that_compiles(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "snippets.md").read_text(encoding="utf-8")
    shown = re.search(r"```yaml\n(version: 1.*?)```", page, re.DOTALL)
    assert shown is not None
    (tmp_path / "shop.yaml").write_text(shown[1])
    (loaded,) = load_specs([tmp_path / "shop.yaml"])
    assert {snippet.consumer for entry in loaded.bundle.entries for snippet in entry.snippets} == {
        "nginx",
        "envoy",
        "go",
    }
