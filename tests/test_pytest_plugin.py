"""The plugin in scratch projects, in an environment with the wheel alone: as who has typed `pip install certgen`."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest
from once import made_once
from programs.finding import require
from proving import Ran
from samples import one_in

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SPEC = """\
version: 1
ca:
servers: {api: {sans: localhost}}
clients: {checkout: }
"""


@dataclass(frozen=True)
class Project:
    """Somebody's tests, and the environment that runs them."""

    folder: Path
    python: Path = field(repr=False)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def pytest(self, *arguments: str) -> Ran:
        # pytest and Python are not to know of the run that they are part of.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYT", "COV", "UV_"))}
        done = subprocess.run(
            [self.python, "-m", "pytest", "--basetemp", self.folder / "tmp", *arguments],
            cwd=self.folder, env={**kept, "COLUMNS": "100"}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)


def install(folder: Path) -> None:
    """Build the wheel of this source, and install it with pytest where nothing else is."""
    uv, environment = require("uv"), folder / "environment"
    locked = ("-c", ROOT / "requirements-dev.lock")
    for command in (
        (uv, "build", "-q", "--wheel", "-o", folder / "dist", source_of(folder)),
        (uv, "venv", "-q", "--python", require("python"), environment),
        (uv, "pip", "install", "-q", "--python", environment, "pytest", "pytest-xdist", *locked),
    ):
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run(
        [uv, "pip", "install", "-q", "--compile-bytecode", "--python", environment, wheel, *locked],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip


def source_of(folder: Path) -> Path:
    """Copy what the wheel is made of: a build leaves nothing beside the source, and needs no other file of it."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("certgen", "scripts"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    return source


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "plugin", install) / "environment/bin/python"


@pytest.fixture
def project(tmp_path: Path, python: Path) -> Project:
    return Project(tmp_path, python)


def outcomes(ran: Ran) -> dict[str, int]:
    """Give how many tests passed, failed and so on, as pytest says in its last line."""
    last = ran.out.strip().rpartition("\n")[2]
    return {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)", last)}


def without_paths(ran: Ran, project: Project) -> str:
    return ran.out.replace(str(project.folder), "/project")


# First use


def test_a_scratch_project_needs_a_spec_and_the_name_of_the_fixture(project: Project) -> None:
    project.write("certgen.yaml", SPEC)
    project.write(
        "test_api.py",
        """\
        import ssl

        def test_context(certgen_bundle):
            assert isinstance(certgen_bundle.servers["api"].ssl_context(), ssl.SSLContext)
            assert "BEGIN CERTIFICATE" in certgen_bundle.clients["checkout"].certificate_file.read_text()
        """,
    )
    ran = project.pytest("-W", "error")
    assert (ran.code, outcomes(ran)) == (0, {"passed": 1}), ran
    assert re.search(r"^plugins: .*certgen-", ran.out, re.MULTILINE)
    assert {path.name for path in project.folder.iterdir() if path.name[0] not in "._"} == {
        "certgen.yaml", "test_api.py", "tmp"
    }  # fmt: skip


SERVICE = """\
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from queue import Queue

    import pytest


    class Greeter(BaseHTTPRequestHandler):
        def do_GET(self):
            shown = self.connection.getpeercert()
            body = f"hello {shown['subject'][-1][0][1] if shown else 'nobody'}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass


    class Service(HTTPServer):
        def __init__(self, context):
            super().__init__(("127.0.0.1", 0), Greeter)
            self.refusals = Queue()
            self.context = context

        def get_request(self):
            plain, address = super().get_request()
            try:
                return self.context.wrap_socket(plain, server_side=True), address
            except OSError as refusal:
                self.refusals.put(str(refusal))
                raise


    @pytest.fixture(scope="session")
    def service(certgen_bundle):
        with Service(certgen_bundle.servers["api"].ssl_context()) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield server
            server.shutdown()
            thread.join()


    @pytest.fixture
    def port(service):
        return service.server_port
"""
TESTS = """\
    import ssl
    from http.client import HTTPSConnection

    import pytest


    def get(service, context, host="localhost"):
        connection = HTTPSConnection(host, service.server_port, context=context, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


    @pytest.fixture
    def checkout(certgen_bundle):
        return certgen_bundle.clients["checkout"]


    def test_right(service, checkout):
        assert get(service, checkout.ssl_context()) == "hello checkout"


    @pytest.mark.parametrize(
        ("who", "why"),
        [
            (lambda client: client.context_without_certificate(), "peer did not return a certificate"),
            (lambda client: client.of_other_ca().ssl_context(), "certificate verify failed"),
            (lambda client: client.expired().ssl_context(), "certificate has expired"),
        ],
        ids=["nobody", "other-ca", "expired"],
    )
    def test_refused(service, checkout, who, why):
        with pytest.raises(OSError):
            get(service, who(checkout))
        assert why in service.refusals.get(timeout=10)
        assert get(service, checkout.ssl_context()) == "hello checkout"


    def test_wrong_name(service, checkout):
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            get(service, checkout.ssl_context(), "127.0.0.1")


    def test_wrong_server(service, checkout, certgen_bundle, monkeypatch):
        monkeypatch.setattr(service, "context", certgen_bundle.servers["api"].of_other_ca().ssl_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            get(service, checkout.ssl_context())
"""


@pytest.mark.parametrize("options", one_in(2, [(), ("-p", "no:cacheprovider"), ("-n", "2")]), ids=" ".join)
def test_the_tests_of_a_service_tell_who_gets_in(project: Project, options: tuple[str, ...]) -> None:
    project.write("certgen.yaml", SPEC)
    project.write("conftest.py", SERVICE)
    project.write("test_service.py", TESTS)
    ran = project.pytest("-W", "error", *options)
    assert (ran.code, outcomes(ran)) == (0, {"passed": 6}), ran
    trees = [*project.folder.glob("tmp/**/manifest.json")]
    assert len(trees) == (2 if "-n" in options else 1)


def test_the_tests_of_a_service_that_lets_everybody_in_fail(project: Project) -> None:
    """The control: that suite can see what it looks for."""
    project.write("certgen.yaml", SPEC)
    project.write("conftest.py", SERVICE.replace("super()", "context.verify_mode = 0\n            super()", 1))
    project.write("test_service.py", TESTS)
    ran = project.pytest("-k", "refused", "--tb=short")
    assert (ran.code, outcomes(ran)) == (1, {"failed": 3}), ran
    assert ran.out.count("DID NOT RAISE") >= 3


def test_the_readme_shows_a_test_that_passes(project: Project) -> None:
    section = README.split("## In a test suite")[1].split("\n## ")[0]
    (test,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(test.splitlines()) <= 8
    project.write("certgen.yaml", SPEC)
    project.write("conftest.py", SERVICE)
    project.write("test_readme.py", test)
    ran = project.pytest()
    assert (ran.code, outcomes(ran)) == (0, {"passed": 1}), ran


# Which spec


SAYS_WHO = """\
    def test_who(certgen_bundle):
        print("servers:", *certgen_bundle.servers)
"""


def servers(ran: Ran) -> str:
    found = re.search(r"servers: (.*)", ran.out)
    assert found is not None, ran
    return found[1]


@pytest.mark.parametrize(
    ("file", "text"),
    one_in(
        2,
        [
            ("pyproject.toml", '[tool.pytest.ini_options]\ncertgen_spec = "tls/shop.yaml"\n'),
            ("pytest.ini", "[pytest]\ncertgen_spec = tls/shop.yaml\n"),
        ],
    ),
)
def test_the_ini_option_names_a_spec_from_the_rootdir(project: Project, file: str, text: str) -> None:
    project.write("certgen.yaml", SPEC)
    project.write("tls/shop.yaml", SPEC.replace("api", "shop"))
    project.write("tests/test_who.py", SAYS_WHO)
    assert servers(project.pytest("-s", "tests")) == "api"
    project.write(file, text)
    assert servers(project.pytest("-s", "tests", "--strict-config")) == "shop"


@pytest.mark.parametrize(
    "value",
    one_in(
        3,
        [
            '"tls/shop.yaml"',
            'Path("tls/shop.yaml")',
            'Path(__file__).parent / "tls/shop.yaml"',
            '{"version": 1, "ca": {}, "servers": {"shop": {"sans": ["localhost"]}}}',
        ],
    ),
)
def test_a_projects_own_fixture_gives_the_spec(project: Project, value: str) -> None:
    project.write("certgen.yaml", SPEC)
    project.write("tls/shop.yaml", SPEC.replace("api", "shop"))
    fixture = f"@pytest.fixture(scope='session')\ndef certgen_spec():\n    return {value}\n"
    project.write("conftest.py", f"from pathlib import Path\n\nimport pytest\n\n\n{fixture}")
    project.write("test_who.py", SAYS_WHO)
    assert servers(project.pytest("-s")) == "shop"


# Mistakes


def test_a_mistake_in_the_spec_is_shown_and_no_line_of_a_program(project: Project) -> None:
    project.write("certgen.yaml", SPEC.replace("sans", "sams"))
    project.write("test_who.py", SAYS_WHO)
    ran = project.pytest("-q", "-p", "no:cacheprovider")
    assert ran.code == 1
    shown = without_paths(ran, project).split("ERROR at setup of test_who")[1].split("\n", 1)[1]
    assert shown.partition("====")[0] == dedent("""\
        error[unknown-field]: unknown field `sams`
          /project/certgen.yaml:3:17
          |
        3 | servers: {api: {sams: localhost}}
          |                 ^^^^ did you mean `sans`?
    """)
    assert "ERROR test_who.py::test_who - Failed: error[unknown-field]: unknown field `sams`" in shown


def test_a_mistake_in_a_mapping_is_shown_where_it_would_stand(project: Project) -> None:
    fixture = "    return {'version': 1, 'ca': {}, 'servers': {'api': {'sans': ['local host']}}}\n"
    project.write("conftest.py", f"import pytest\n@pytest.fixture(scope='session')\ndef certgen_spec():\n{fixture}")
    project.write("test_who.py", SAYS_WHO)
    ran = project.pytest("-q")
    assert (ran.code, outcomes(ran)) == (1, {"error": 1}), ran
    shown = without_paths(ran, project)
    assert "/project/tmp/certgen0/certgen.yaml:6:7\n  |\n6 |     - local host\n  |       ^^^^^^^^^^\n" in shown
    assert "Traceback" not in shown
    assert "pytest_plugin.py" not in shown


@pytest.mark.parametrize(
    ("returned", "code"), [("None", "not-a-spec"), ("'nowhere.yaml'", "no-such-spec"), ("['a']", "not-a-spec")]
)
def test_what_is_no_spec_is_told(project: Project, returned: str, code: str) -> None:
    fixture = f"@pytest.fixture(scope='session')\ndef certgen_spec():\n    return {returned}\n"
    project.write("conftest.py", f"import pytest\n{fixture}")
    project.write("test_who.py", SAYS_WHO)
    ran = project.pytest("-q")
    assert (ran.code, outcomes(ran)) == (1, {"error": 1}), ran
    assert f"\nerror[{code}]: " in ran.out
    assert "pytest_plugin.py" not in ran.out


def test_a_project_without_a_spec_is_told_where_one_is_looked_for(project: Project) -> None:
    project.write("test_who.py", SAYS_WHO)
    ran = project.pytest("-q")
    assert ran.code == 1
    words = "error[no-specs]: there is neither /project/certgen.yaml nor a spec in /project/specs/\n"
    assert words in without_paths(ran, project)
    assert "help: write one, or give one with the fixture `certgen_spec`" in ran.out
    assert "pytest_plugin.py" not in ran.out


# Who does not ask


LOADED = """\
    import sys


    def pytest_sessionfinish():
        print("\\nloaded:", *sorted(name for name in sys.modules if name.partition(".")[0] == "certgen"))
        print("others:", *sorted({"pydantic", "cryptography", "yaml", "jinja2"} & set(sys.modules)))
"""


def test_a_suite_that_does_not_ask_loads_the_plugin_alone(project: Project) -> None:
    project.write("certgen.yaml", "this: is no spec")
    project.write("conftest.py", LOADED)
    project.write("test_none.py", "def test_none(): pass\n")
    for options in ((), ("--collect-only",)):
        ran = project.pytest("-s", *options)
        assert ran.code == 0, ran
        assert "\nloaded: certgen certgen.pytest_plugin\nothers:\n" in ran.out
    assert not [*project.folder.glob("tmp/certgen*")]

    project.write("certgen.yaml", SPEC)
    project.write("test_none.py", SAYS_WHO)
    ran = project.pytest("-s")
    assert "certgen.testing" in ran.out
    assert "\nothers: cryptography pydantic yaml\n" in ran.out


def test_certgen_needs_no_pytest(python: Path) -> None:
    script = "import sys; sys.modules['pytest'] = None; import certgen.testing, certgen.cli.run; print('fine')"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "fine\n"
    requires = subprocess.run(
        [python, "-c", "import importlib.metadata as m; print(m.requires('certgen'))"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "click" in requires
    assert "pytest" not in requires


def test_the_fixtures_say_what_they_are(project: Project) -> None:
    ran = project.pytest("--fixtures")
    assert re.search(r"certgen_bundle \[session scope\] -- .*\n    The certificates of certgen_spec, compiled", ran.out)
    assert re.search(r"certgen_spec \[session scope\] -- .*\n    The spec that certgen_bundle compiles", ran.out)
    assert re.search(r"certgen_spec \(string\):\s+The spec", project.pytest("--help").out, re.IGNORECASE)
