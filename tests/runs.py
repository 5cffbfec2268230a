"""certgen as a program: typed and waited for, started and left to run beside others, or many at the same moment."""

import atexit
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Self

from programs import eventually
from scene import key_id, key_of_file, load, take_snapshot

COMMAND = (sys.executable, "-m", "certgen")
ENVIRONMENT = {
    **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "COLUMNS": "80",
}
PATIENCE = 120
"""Seconds after which a run that does not end is a fault."""

SLOWED = Path(__file__).with_name("slowed")
"""On a PYTHONPATH it makes renames slow, as `slowed/pace.py` says."""

_INTERRUPTIBLE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
"""In the background a shell makes the tests ignore interrupts, and their children inherit that."""


@dataclass(frozen=True)
class Ran:
    """What a run gave; `seconds` is how long it took."""

    code: int
    out: str
    err: str
    seconds: float = 0.0


class Shop:
    """A folder with a spec, `shop.yaml` unless said otherwise, in which commands are typed."""

    def __init__(self, folder: Path, spec: str = "") -> None:
        self.folder = folder
        self.tree = folder / "output" / "shop"
        folder.mkdir(parents=True, exist_ok=True)
        if spec:
            self.write(spec)

    def write(self, spec: str, name: str = "shop.yaml") -> None:
        """Write a spec."""
        (self.folder / name).write_text(dedent(spec), encoding="utf-8")

    def run(self, *arguments: str, before: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Ran:
        """Type a command and wait for its end; whatever it is asked, it ends without a traceback.

        before: words before the command, such as another program's that starts it.
        env: variables beside the ordinary ones; with them, or with words before, Python starts anew.
        """
        if not before and env is None:
            return crowd().run(Case(self.folder, arguments))[0]
        began = time.monotonic()
        done = subprocess.run(
            [*before, *COMMAND, *arguments],
            cwd=self.folder,
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        assert "Traceback" not in ran.out + ran.err, ran.err
        return ran

    def demand(self, code: int, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        """Type a command and demand its exit code."""
        ran = self.run(*arguments, env=env)
        assert ran.code == code, (arguments, ran)
        return ran

    @contextmanager
    def started(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
        """Start a command in a process group of its own; whatever happens, nothing of it is left.

        It looks at the tree itself: there is no stamp by which it could end before it has begun.
        """
        (self.tree / ".certgen/stamp").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTIBLE, *COMMAND, *arguments],
            cwd=self.folder,
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def ended(process: "subprocess.Popen[str]") -> Ran:
    """Wait for the end of what was started."""
    began = time.monotonic()
    out, err = process.communicate(timeout=PATIENCE)
    return Ran(process.returncode, out, err, time.monotonic() - began)


# Many at once


@dataclass(frozen=True)
class Case:
    """A command that is typed in a folder, with variables beside the usual ones."""

    folder: Path
    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    """What stands on its standard input."""


class Crowd:
    """Runs commands at the same moment, each in a process of its own that need not start Python first."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, SLOWED / "crowd.py"],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def run(self, *cases: Case) -> list[Ran]:
        """Run all at the same moment, and demand that none ends with a traceback."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps(
            [[str(case.folder), list(case.arguments), dict(case.env), case.content.decode("latin-1")] for case in cases]
        )
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answers = [Ran(*answer) for answer in json.loads(self._process.stdout.readline())]
        for case, ran in zip(cases, answers, strict=True):
            assert "Traceback" not in ran.out + ran.err, (case.arguments, ran.err)
            assert ran.code >= 0, (case.arguments, ran)
        return answers


@cache
def crowd() -> Crowd:
    """Give the crowd of all tests of this process; it is there from the first command on, and ends with the process."""
    started = Crowd()
    atexit.register(started.__exit__, None, None, None)
    return started.__enter__()


# One that is slow


def delayed(seed: int | str, seconds: float) -> dict[str, str]:
    """Variables under which each rename takes its time, at most so long."""
    return {**_slowed(), "CERTGEN_TEST_RENAMES": f"delay:{seed}:{seconds}"}


def _slowed() -> dict[str, str]:
    folders = [str(SLOWED), *ENVIRONMENT.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYTHONPATH": os.pathsep.join(filter(None, folders))}


class Gate:
    """Where a run stops before each rename to a path with some text in it, until it is let through.

    folder: an empty one for the gate's own use.
    """

    def __init__(self, folder: Path, text: str = "") -> None:
        folder.mkdir()
        self._folder = folder
        self._count = 0
        self.env = {**_slowed(), "CERTGEN_TEST_RENAMES": f"stop:{text}:{folder}"}

    def stopped(self, process: "subprocess.Popen[str] | None" = None) -> str | None:
        """Wait for the next stop and give the path that is about to get its file; None once the run has ended."""
        self._count += 1
        stop = self._folder / f"stopped-{self._count}"
        assert eventually(lambda: stop.exists() or (process is not None and process.poll() is not None), PATIENCE)
        return stop.read_text() if stop.exists() else None

    def let_through(self) -> None:
        """Let the run go on to its next stop."""
        (self._folder / f"go-{self._count}").touch()

    def open(self) -> None:
        """Let the run go on to its end."""
        (self._folder / "go").touch()


def sign_of_life(file: Path) -> dict[str, str]:
    """Variables under which a file is written as soon as certgen's command line begins."""
    return {**_slowed(), "CERTGEN_TEST_STARTED": str(file)}


def is_held(tree: Path) -> bool:
    """Whether a run holds the lock of a tree."""
    try:
        descriptor = os.open(tree / ".certgen" / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something becomes so, as it must."""
    assert eventually(is_so, PATIENCE)


# What a run did, and what every run leaves


def actions(ran: Ran) -> dict[str, str]:
    """What a run did, by address."""
    (spec,) = json.loads(ran.out)["specs"]
    return {change["address"]: change["action"] for change in spec["changes"]}


def authority_keys(shop: Shop) -> dict[str, bytes]:
    """Give the private keys of the CAs."""
    return {str(path): path.read_bytes() for path in shop.tree.glob("cas/*/key.pem")}


def demand_sound(shop: Shop, crowd: Crowd) -> None:
    """Demand of plan, verify and this test that all is as the spec says, and that nothing was left behind."""
    planned, audited = crowd.run(Case(shop.folder, ("plan", "shop.yaml")), Case(shop.folder, ("verify", "shop.yaml")))
    assert (planned.code, audited.code) == (0, 0), (planned, audited)
    for key in shop.tree.glob("*/*/key.pem"):
        assert key_of_file(key) == key_id(load(key.with_name("cert.pem"))), key
    serials = Counter(load(path).serial_number for path in shop.tree.glob("*/*/cert.pem"))
    assert set(serials.values()) == {1}
    assert {path.name for path in (shop.tree / ".certgen").iterdir()} - {"stamp"} == {"keys", "lock"}
    assert not [path for path in take_snapshot(shop.tree) if "certgen-new" in path]
