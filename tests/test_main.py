"""`python -m certgen` is `certgen`, and each command imports all that it needs, be it the first that is ever typed."""

import subprocess
import sys
from pathlib import Path

import pytest
from shop import ENVIRONMENT, PROGRAM, Shop

from certgen import __version__


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Shop(tmp_path_factory.mktemp("cold")).write().compile().folder


def test_it_runs_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "certgen", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"certgen, version {__version__}\n")


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("apply shop.yaml --renew clients/checkout", 0),
        ("connect https://127.0.0.1:1/ --as clients/checkout --json", 2),
        ("export cert-manager shop.yaml", 0),
        ("import output/shop/servers/api --to specs/more.yaml -o more", 0),
        ("init new.yaml --json", 0),
        ("inspect servers/api --json", 0),
        ("keys check output/shop/servers/api/cert.pem", 0),
        ("plan shop.yaml --at +300d --format markdown", 1),
        ("prove shop.yaml --against output", 0),
        ("schema", 0),
        ("serve servers/nobody", 2),
        ("status shop.yaml --format prometheus", 0),
        ("validate shop.yaml --format sarif", 0),
        ("verify shop.yaml --json", 0),
    ],
)
def test_each_command_can_be_the_first(folder: Path, typed: str, code: int) -> None:
    done = subprocess.run(
        [*PROGRAM, *typed.split()], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done
