"""The action and the pipelines: read by the linters of GitHub's files, their steps run by the real bash."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from once import made_once
from programs.finding import require
from proving import Ran
from samples import one_in

ROOT = Path(__file__).parent.parent
ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / "docs/pipeline/github.yml"
GITLAB = ROOT / "docs/pipeline/gitlab.yml"
SPEC = """\
version: 1
keys: {protection: age, recipients: [RECIPIENT]}
ca:
servers:
  api: {sans: [api.shop.example]}
clients:
  checkout:
"""
ADDED = "+DNS:b.shop.example"
# It keeps comments in a file, and picks them as the filter for jq does: those of a bot that begin with the marker.
GH = """\
#!PYTHON
import json, os, re, sys
from pathlib import Path

folder, arguments = Path(os.environ["GH_FOLDER"]), sys.argv[1:]
with (folder / "asked").open("a") as asked:
    asked.write(json.dumps(arguments) + "\\n")
if os.environ["GITHUB_TOKEN"] != "may-comment":
    sys.exit("HTTP 403: Resource not accessible by integration")
store = folder / "comments.json"
comments = json.loads(store.read_text()) if store.exists() else []
if "--jq" in arguments:
    marker = re.search(r'startswith\\("([^"]+)"\\)', arguments[arguments.index("--jq") + 1])[1]
    for comment in comments:
        if comment["type"] == "Bot" and comment["body"].startswith(marker):
            print(comment["id"])
else:
    method, path = arguments[arguments.index("--method") + 1 :][:2]
    name, _, file = arguments[arguments.index("--field") + 1].partition("=@")
    assert name == "body"
    body = Path(file).read_text()
    if method == "POST":
        comments.append({"id": len(comments) + 1, "type": "Bot", "body": body})
    else:
        assert method == "PATCH"
        [comment] = [one for one in comments if str(one["id"]) == path.rpartition("/")[2]]
        comment["body"] = body
    store.write_text(json.dumps(comments))
"""
BOMBS = [
    "; touch bomb;",
    "$(touch bomb)",
    "a b `touch bomb`",
    '"; touch bomb; "',
    "' ; touch bomb; '",
    "--help\n$(touch bomb)\n;touch bomb",
    "x[$(touch bomb)]",
]


def read(file: Path) -> dict[str, Any]:
    found = yaml.safe_load(file.read_text())
    assert isinstance(found, dict)
    return found


def action_step(name: str) -> dict[str, Any]:
    [step] = [step for step in read(ACTION)["runs"]["steps"] if step["name"] == name]
    assert isinstance(step, dict)
    return step


def workflow_script(job: str, name: str) -> str:
    [step] = [step for step in read(WORKFLOW)["jobs"][job]["steps"] if step.get("name") == name]
    return str(step["run"])


def gitlab_script(job: str) -> str:
    pipeline = read(GITLAB)
    return "\n".join([*pipeline[".certgen"]["before_script"], *pipeline[job]["script"]])


def clean() -> dict[str, str]:
    """Give the environment of a runner: none of this run's own variables for git, Python or a pipeline."""
    others = ("GIT_", "PYTHON", "COV", "GITHUB_", "RUNNER_", "CI_", "SOPS_", "BASH_")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)} | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LANG": "C.UTF-8",
    }


def bash(script: str, folder: Path, env: Mapping[str, str]) -> Ran:
    """Run a step as GitHub's runner does, in a file of its own."""
    file = folder.parent / "step.sh"
    file.write_text(script)
    done = subprocess.run(
        [require("bash"), "--noprofile", "--norc", "-e", "-o", "pipefail", file],
        cwd=folder, env=dict(env), capture_output=True, text=True, check=False, timeout=600, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


def contents(folder: Path) -> dict[str, bytes]:
    """Read all that git would see."""
    files = (file for file in folder.rglob("*") if file.is_file() and ".git" not in file.parts)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@dataclass(frozen=True)
class Runner:
    """A job of GitHub's on a shallow clone."""

    folder: Path
    temp: Path
    env: dict[str, str] = field(repr=False)
    inputs: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, **variables: str) -> Ran:
        """Run a step of the action with its inputs, and what the steps before have put out.

        variables: what GitHub's contexts hold beside.
        """
        defaults = {key: str(value["default"]) for key, value in read(ACTION)["inputs"].items()}
        given = defaults | self.inputs
        contexts = {f"${{{{ inputs.{key} }}}}": value for key, value in given.items()}
        contexts |= {f"${{{{ steps.plan.outputs.{key} }}}}": value for key, value in self.outputs().items()}
        contexts |= {
            "${{ steps.plan.outputs.changes }}": self.outputs().get("changes", ""),
            "${{ github.event.pull_request.number }}": "7",
            "${{ github.token }}": "may-comment",
        }
        step = action_step(name)
        env = {key: contexts[value] for key, value in step.get("env", {}).items()}
        return bash(step["run"], self.folder, self.env | env | variables)

    def outputs(self) -> dict[str, str]:
        file = self.temp / "output"
        lines = file.read_text().splitlines() if file.exists() else []
        return dict(line.split("=", 1) for line in lines)

    def summary(self) -> str:
        return (self.temp / "summary").read_text()

    def comments(self) -> list[dict[str, Any]]:
        file = self.temp / "comments.json"
        return list(json.loads(file.read_text())) if file.exists() else []

    def asked(self) -> list[list[str]]:
        file = self.temp / "asked"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def edit(self, old: str = "[api.shop.example]", new: str = "[api.shop.example, b.shop.example]") -> None:
        spec = self.folder / "specs/shop.yaml"
        text = spec.read_text()
        assert old in text
        spec.write_text(text.replace(old, new))
        for name in ("output", "summary"):
            (self.temp / name).unlink(missing_ok=True)


SHADOWED = ("venv", "pip", "certgen", "yaml")
"""Modules that a repository has beside its specs; the action's first step is made to run among them, too."""


def shadow(module: Path) -> None:
    module.mkdir(parents=True)
    for file in ("__init__.py", "__main__.py"):
        (module / file).write_text("open('bomb', 'w')\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the action's first step installs, by that step."""
    return made_once(tmp_path_factory, "installed", install) / "certgen"


def install(temp: Path) -> None:
    work = temp / "work"
    for module in SHADOWED:
        shadow(work / module)
    env = clean() | {"RUNNER_TEMP": str(temp), "GITHUB_ACTION_PATH": str(ROOT), "PYTHON_VERSION": ""}
    ran = bash(str(action_step("Set up certgen")["run"]), work, env)
    assert ran.code == 0, ran


@pytest.fixture(scope="module")
def identity(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An age identity in a file, and its recipient."""

    def make(folder: Path) -> None:
        code = "import pyrage; key = pyrage.x25519.Identity.generate(); print(key, key.to_public())"
        said = subprocess.run([installed / "bin/python", "-c", code], capture_output=True, text=True, check=True).stdout
        secret, recipient = said.split()
        (folder / "identity").write_text(f"{secret}\n")
        (folder / "recipient").write_text(recipient)

    folder = made_once(tmp_path_factory, "identity", make)
    return folder / "identity", (folder / "recipient").read_text()


@pytest.fixture
def origin(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, installed: Path, identity: tuple[Path, str]
) -> Path:
    """A bare repository with a spec and its tree, where only the CA's key is, sealed."""
    require("git")
    made = made_once(tmp_path_factory, "origin", lambda folder: make_origin(folder, installed, identity[1]))
    return Path(shutil.copytree(made / "origin.git", tmp_path / "origin.git"))


def make_origin(folder: Path, installed: Path, recipient: str) -> None:
    work, bare = folder / "work", folder / "origin.git"
    (work / "specs").mkdir(parents=True)
    (work / "specs/shop.yaml").write_text(SPEC.replace("RECIPIENT", recipient))
    for command in (
        [installed / "bin/certgen", "apply", "-q"],
        ["git", "init", "-q", "-b", "main"],
        ["git", "add", "-A"],
        ["git", "rm", "-q", "-f", "-r", "--cached", "--", ":(glob)output/shop/servers/**/key.pem*"],
        ["git", "rm", "-q", "-f", "-r", "--cached", "--", ":(glob)output/shop/clients/**/key.pem*"],
        ["git", "commit", "-q", "-m", "shop"],
        ["git", "clone", "-q", "--bare", ".", bare],
    ):
        subprocess.run([*command], cwd=work, env=clean() | names(), check=True, timeout=60)


def names() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}


@pytest.fixture
def runner(tmp_path: Path, origin: Path, installed: Path) -> Runner:
    """A shallow clone as a checkout makes it, and what GitHub's runner has around it."""
    folder, temp, programs = tmp_path / "job/clone", tmp_path / "temp", tmp_path / "programs"
    for made in (folder.parent, temp, programs):
        made.mkdir()
    subprocess.run(["git", "clone", "-q", "--depth", "1", origin.as_uri(), folder], env=clean(), check=True)
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o644)
    assert not (folder / "output/shop/.certgen").exists()
    keys = [str(file.relative_to(folder)) for file in folder.rglob("key.pem*")]
    assert keys == ["output/shop/cas/ca/key.pem.age"]
    (temp / "certgen").symlink_to(installed)
    (programs / "gh").write_text(GH.replace("PYTHON", sys.executable))
    (programs / "gh").chmod(0o755)
    env = clean() | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "GH_FOLDER": str(temp),
        "RUNNER_TEMP": str(temp),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_OUTPUT": str(temp / "output"),
        "GITHUB_STEP_SUMMARY": str(temp / "summary"),
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_REPOSITORY": "shop/pki",
    }
    return Runner(folder, temp, env)


# What the linters say


def zizmor(file: Path) -> Ran:
    command: list[str | Path] = [require("zizmor"), "--offline", "--no-progress", "--no-config", "--color=never", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("file", [ACTION, WORKFLOW], ids=["action", "workflow"])
def test_zizmor_finds_nothing(file: Path) -> None:
    ran = zizmor(file)
    assert (ran.code, ran.out.strip()) == (0, "No findings to report. Good job!")


def test_zizmor_finds_an_input_in_a_script(tmp_path: Path) -> None:
    file = tmp_path / "action.yml"
    file.write_text(ACTION.read_text().replace('--output="$OUTPUT" --format', "--output=${{ inputs.output }} --format"))
    ran = zizmor(file)
    assert ran.code != 0
    assert "template-injection" in ran.out


def actionlint(folder: Path, text: str) -> Ran:
    file = folder / ".github/workflows/certgen.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    done = subprocess.run([require("actionlint"), file], cwd=folder, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    ran = actionlint(tmp_path, WORKFLOW.read_text())
    assert (ran.code, ran.out) == (0, "")


def test_actionlint_finds_a_context_that_is_not_there(tmp_path: Path) -> None:
    ran = actionlint(tmp_path, WORKFLOW.read_text().replace("github.token", "github.tokn"))
    assert ran.code == 1
    assert "tokn" in ran.out


def test_no_script_of_the_action_holds_an_expression_and_each_is_strict() -> None:
    for step in read(ACTION)["runs"]["steps"]:
        assert "uses" not in step
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert step["run"].startswith("set -euo pipefail\n")


def test_the_token_is_given_to_the_comment_alone_and_no_step_has_a_secret() -> None:
    holders = [step["name"] for step in read(ACTION)["runs"]["steps"] if "token" in str(step).lower().replace("$", "")]
    assert holders == ["Comment"]
    assert "secrets." not in ACTION.read_text()


def test_what_runs_on_a_pull_request_has_no_secret_and_all_else_may_nothing() -> None:
    workflow = read(WORKFLOW)
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert jobs["plan"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "secrets." not in json.dumps(jobs["plan"])
    assert "secrets." in json.dumps(jobs["apply"])
    assert jobs["apply"]["environment"] == "pki"
    checkouts = [step for job in jobs.values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}] * 2
    assert "pull_request_target" not in WORKFLOW.read_text()


# The action


def test_in_sync_is_no_change_and_no_comment(runner: Runner) -> None:
    before = contents(runner.folder)
    assert runner.run("Validate").code == 0
    ran = runner.run("Plan")
    assert ran.code == 0, ran
    assert runner.outputs() == {"changes": "false", "plan": str(runner.temp / "certgen-plan.md")}
    assert "in sync" in runner.summary()
    assert runner.run("Comment").code == 0
    assert runner.comments() == []
    assert contents(runner.folder) == before


def test_a_changed_spec_is_a_change_in_the_summary_and_in_one_comment(runner: Runner) -> None:
    runner.edit()
    ran = runner.run("Plan")
    assert ran.code == 0, ran
    assert runner.outputs()["changes"] == "true"
    assert ADDED in runner.summary()
    assert runner.summary() == Path(runner.outputs()["plan"]).read_text()
    assert runner.run("Comment").code == 0
    [comment] = runner.comments()
    assert comment["body"].startswith("<!-- certgen plan ")
    assert comment["body"].partition("\n")[2] == runner.summary()
    assert runner.asked()[-1][3:5] == ["POST", "repos/shop/pki/issues/7/comments"]

    runner.edit("b.shop.example]", "c.shop.example]")
    assert runner.run("Plan").code == 0
    assert runner.run("Comment").code == 0
    [comment] = runner.comments()
    assert "+DNS:c.shop.example" in comment["body"]
    assert ADDED not in comment["body"]

    runner.edit(", c.shop.example]", "]")
    assert runner.run("Plan").code == 0
    assert runner.run("Comment").code == 0
    [comment] = runner.comments()
    assert "in sync" in comment["body"]


def test_the_comment_of_a_person_and_that_of_other_specs_are_left_alone(runner: Runner) -> None:
    runner.edit()
    runner.run("Plan")
    runner.run("Comment")
    [first] = runner.comments()
    person = first | {"type": "User"}
    (runner.temp / "comments.json").write_text(json.dumps([person]))
    runner.run("Comment")
    assert runner.comments()[0] == person
    assert len(runner.comments()) == 2
    runner.inputs["specs"] = "specs/shop.yaml"
    runner.run("Comment")
    assert len(runner.comments()) == 3


@pytest.mark.parametrize("comment", ["false", "", "True", "yes"])
def test_no_comment_is_made_unless_it_is_asked_for(runner: Runner, comment: str) -> None:
    runner.edit()
    runner.run("Plan")
    runner.inputs["comment"] = comment
    assert runner.run("Comment").code == 0
    assert runner.asked() == []


def test_no_comment_is_made_where_there_is_no_pull_request(runner: Runner) -> None:
    runner.edit()
    runner.run("Plan")
    assert runner.run("Comment", GITHUB_EVENT_NAME="push").code == 0
    assert runner.asked() == []


def test_a_token_that_may_not_comment_is_a_warning(runner: Runner) -> None:
    runner.edit()
    runner.run("Plan")
    ran = runner.run("Comment", GITHUB_TOKEN="of-a-fork")  # noqa: S106 - a stand-in for one
    assert ran.code == 0
    assert "::warning title=certgen::" in ran.out
    assert runner.comments() == []


def test_an_invalid_spec_is_an_annotation_and_a_failure_and_the_comment_says_so(runner: Runner) -> None:
    runner.edit("sans:", "snas:")
    ran = runner.run("Validate")
    assert ran.code == 2
    assert "::error file=specs/shop.yaml,line=5," in ran.out
    assert runner.run("Plan").code == 2
    assert "changes" not in runner.outputs()
    assert "unknown-field" in runner.summary()
    assert runner.run("Comment").code == 0
    [comment] = runner.comments()
    assert "unknown-field" in comment["body"]


def test_specs_are_named_one_a_line_and_may_have_blanks(runner: Runner) -> None:
    shutil.move(runner.folder / "specs/shop.yaml", runner.folder / "my shop.yaml")
    text = (runner.folder / "my shop.yaml").read_text()
    (runner.folder / "my shop.yaml").write_text(f"name: shop\n{text}")
    (runner.folder / "-o.yaml").write_text(f"name: other\n{text}")
    runner.inputs["specs"] = "\nmy shop.yaml\n\n-o.yaml\n"
    assert runner.run("Validate").code == 0
    assert runner.run("Plan").code == 0
    assert "in sync" in runner.summary()
    assert "`other`" in runner.summary()


def test_the_output_folder_is_the_one_that_is_named(runner: Runner) -> None:
    shutil.move(runner.folder / "output", runner.folder / "our trees")
    runner.inputs["output"] = "our trees"
    assert runner.run("Plan").code == 0
    assert runner.outputs()["changes"] == "false"


@pytest.mark.parametrize("apply", ["false", "", "True", "TRUE", "true ", " true", "1", "yes", "true\n", "$(echo true)"])
def test_nothing_is_applied_unless_the_word_is_true(runner: Runner, identity: tuple[Path, str], apply: str) -> None:
    runner.edit()
    before = contents(runner.folder)
    runner.inputs.update(apply=apply, identity=str(identity[0]))
    assert runner.run("Apply").code == 0
    assert contents(runner.folder) == before


def test_true_applies_with_the_identity_that_is_named(runner: Runner, identity: tuple[Path, str]) -> None:
    runner.edit()
    before = contents(runner.folder)
    runner.inputs["apply"] = "true"
    assert runner.run("Apply").code == 2, "the CA's key is sealed"
    runner.inputs["identity"] = str(identity[0])
    ran = runner.run("Apply")
    assert ran.code == 0, ran
    after = contents(runner.folder)
    changed = {name for name in after if before.get(name) != after[name] and "/.certgen/" not in name}
    assert "output/shop/servers/api/cert.pem" in changed
    assert all(name.startswith(("output/shop/servers/api/", "output/shop/manifest")) for name in changed), changed
    assert identity[0].read_text().strip() not in f"{ran.out}{ran.err}"
    assert runner.run("Plan").code == 0
    assert runner.outputs()["changes"] == "false"


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        (name, bomb)
        for number, name in enumerate(("specs", "output", "identity", "comment", "apply", "python-version"))
        for bomb in one_in(5, BOMBS, number)
    ],
)
def test_no_input_is_a_command(runner: Runner, name: str, bomb: str) -> None:
    runner.edit()
    (runner.temp / "output").write_text(f"plan={runner.temp / 'summary'}\nchanges=true\n")
    (runner.temp / "summary").write_text("a plan\n")
    runner.inputs.update({"apply": "true", name: bomb})
    users = [step for step in read(ACTION)["runs"]["steps"] if f"${{{{ inputs.{name} }}}}" in step["env"].values()]
    codes = [runner.run(step["name"]).code for step in users]
    assert not [*runner.folder.rglob("bomb"), *runner.folder.parent.glob("bomb"), *runner.temp.glob("bomb")]
    if name in ("specs", "python-version"):
        assert codes[0] != 0


def test_a_bomb_in_a_script_goes_off(runner: Runner) -> None:
    """Whether the test above would see one."""
    assert bash("echo $(touch bomb)", runner.folder, runner.env).code == 0
    assert (runner.folder / "bomb").exists()


def test_a_repository_that_has_modules_of_pythons_names_runs_none_of_them(runner: Runner, installed: Path) -> None:
    assert (installed / "bin/certgen").exists()
    assert sorted(path.name for path in (installed.parent / "work").iterdir()) == sorted(SHADOWED)
    for module in SHADOWED:
        shadow(runner.folder / module)
    assert runner.run("Plan").code == 0
    assert not (runner.folder / "bomb").exists()


def test_a_module_of_pythons_name_goes_off_where_it_is_run(runner: Runner) -> None:
    """Whether the test above would see one."""
    shadow(runner.folder / "venv")
    bash("python3 -m venv nowhere", runner.folder, runner.env)
    assert (runner.folder / "bomb").exists()


# The pipelines


def heads(bare: Path) -> list[str]:
    said = subprocess.run(["git", "log", "--format=%s", "main"], cwd=bare, capture_output=True, text=True, check=True)
    return said.stdout.splitlines()


def test_the_workflow_writes_the_identity_for_its_owner_alone_and_commits_the_tree_back(
    runner: Runner, origin: Path, identity: tuple[Path, str]
) -> None:
    env = runner.env | {
        "GITHUB_SERVER_URL": origin.parent.as_uri(),
        "GITHUB_REPOSITORY": "origin.git",
        "GITHUB_REF": "refs/heads/main",
        "CERTGEN_IDENTITY": identity[0].read_text(),
    }
    assert bash(workflow_script("apply", "Commit the trees"), runner.folder, env).code == 0
    assert heads(origin) == ["shop"], "nothing to commit"

    runner.edit()
    assert bash(workflow_script("apply", "Write the identity"), runner.folder, env).code == 0
    written = runner.temp / "identity"
    assert written.stat().st_mode & 0o777 == 0o600
    runner.inputs.update(apply="true", identity=str(written))
    assert runner.run("Apply").code == 0
    assert bash(workflow_script("apply", "Remove the identity"), runner.folder, env).code == 0
    assert not written.exists()
    ran = bash(workflow_script("apply", "Commit the trees"), runner.folder, env)
    assert ran.code == 0, ran
    assert heads(origin) == ["certgen apply", "shop"]
    assert in_commit(origin) >= {"output/shop/servers/api/cert.pem"}
    assert not [name for name in in_commit(origin) if not name.startswith("output/") or "key" in name]


def in_commit(bare: Path) -> set[str]:
    command = ["git", "diff", "--name-only", "main~1", "main"]
    return set(subprocess.run(command, cwd=bare, capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.fixture
def gitlab(runner: Runner, origin: Path, identity: tuple[Path, str]) -> Callable[[str], Ran]:
    env = runner.env | {
        "CERTGEN_SOURCE": ROOT.as_uri(),
        "CERTGEN_IDENTITY": str(identity[0]),
        "CERTGEN_PUSH_TOKEN": "push",
        "CI_SERVER_URL": origin.parent.as_uri(),
        "CI_PROJECT_PATH": "origin",
        "CI_COMMIT_BRANCH": "main",
        "TMPDIR": str(runner.temp),
    }
    subprocess.run(["git", "config", "receive.advertisePushOptions", "true"], cwd=origin, check=True)

    def run(job: str) -> Ran:
        # What the job installs is what the action has installed: only that line is not run again.
        script = gitlab_script(job)
        line = next(line for line in script.splitlines() if " install " in line)
        installed = runner.temp / "certgen"
        script = script.replace(line, f'cp "{installed}/bin/certgen" "$environment/bin/certgen"')
        script = script.replace("-m venv ", "-m venv --without-pip ")
        return bash(script, runner.folder, env)

    return run


def test_the_template_for_gitlab_has_its_jobs() -> None:
    pipeline = read(GITLAB)
    assert set(pipeline) == {"variables", ".certgen", "certgen-plan", "certgen-apply"}
    plan, apply = pipeline["certgen-plan"], pipeline["certgen-apply"]
    assert plan["extends"] == apply["extends"] == ".certgen"
    assert [rule["if"] for rule in plan["rules"]] == ['$CI_PIPELINE_SOURCE == "merge_request_event"']
    assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in apply["rules"][0]["if"]
    assert (apply["environment"], apply["resource_group"]) == ("pki", "certgen")
    assert "IDENTITY" not in json.dumps(plan)
    assert all(isinstance(line, str) for job in (plan, apply) for line in job["script"])


def test_gitlab_plans(runner: Runner, gitlab: Callable[[str], Ran]) -> None:
    assert gitlab("certgen-plan").code == 0
    assert "in sync" in (runner.folder / "certgen-plan.md").read_text()
    runner.edit()
    assert gitlab("certgen-plan").code == 0
    assert ADDED in (runner.folder / "certgen-plan.md").read_text()
    runner.edit("sans:", "snas:")
    assert gitlab("certgen-plan").code == 2


def test_gitlab_applies_and_commits_the_tree_back(runner: Runner, gitlab: Callable[[str], Ran], origin: Path) -> None:
    assert gitlab("certgen-apply").code == 0
    assert heads(origin) == ["shop"], "nothing to commit"
    runner.edit()
    ran = gitlab("certgen-apply")
    assert ran.code == 0, ran
    assert heads(origin) == ["certgen apply", "shop"]
    assert in_commit(origin) >= {"output/shop/servers/api/cert.pem"}
    left = [file for file in runner.temp.rglob("*") if file.is_file() and b"AGE-SECRET-KEY-" in file.read_bytes()[:200]]
    assert left == []
