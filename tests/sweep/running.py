"""certgen's commands, each a fork of one process that has imported it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from .sealed import write_identity
from .tracing import Call, parse_trace, strace_options

_SERVER: Final = Path(__file__).with_name("forkserver.py")
_SECONDS: Final = 60
KILLED: Final = -9


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    arguments: what was typed after `certgen`.
    code: its exit code, negative for a signal; nothing where it did not end by itself.
    out, err: what it printed.
    calls: its system calls, where they were traced.
    """

    arguments: tuple[str, ...]
    code: int | None
    out: str
    err: str
    calls: tuple[Call, ...] = ()

    def __str__(self) -> str:
        return f"`certgen {' '.join(self.arguments)}` ended with {self.code}\n{self.out}{self.err}"


def environment(folder: Path) -> dict[str, str]:
    """Give the variables of a process whose system calls are the same each time.

    folder: for the identity that opens sealed keys.
    """
    fixed = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    return {**os.environ, **fixed, "SOPS_AGE_KEY_FILE": str(write_identity(folder))}


class Certgen:
    """Runs commands one after the other; used in a `with`.

    folder: for the outputs of the commands.
    spec: with which the process learns what to import.
    sabotage: Python that makes certgen a worse program, to see that this is found out.
    """

    def __init__(self, folder: Path, spec: str, sabotage: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        sample = folder / "sample.yaml"
        sample.write_text(spec, encoding="utf-8")
        with (folder / "server").open("wb") as words:
            self._server = subprocess.Popen(
                [sys.executable, _SERVER, sample, sabotage],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=environment(folder),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process that the commands are forks of."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server.stdout.close()

    def run(self, folder: Path, *arguments: str) -> Finished:
        """Run a command.

        folder: where it runs.
        arguments: what is typed after `certgen`.
        """
        return self._run(folder, arguments, None)

    def trace(self, folder: Path, *arguments: str, inject: str = "") -> Finished:
        """Run a command under strace.

        folder: where it runs.
        arguments: what is typed after `certgen`.
        inject: as after strace's `-e inject=`.
        """
        return self._run(folder, arguments, strace_options(str(self._folder / "trace"), inject))

    def _run(self, folder: Path, arguments: tuple[str, ...], strace: Sequence[str] | None) -> Finished:
        out, err, log = (self._folder / name for name in ("out", "err", "trace"))
        log.unlink(missing_ok=True)
        request = {
            "folder": str(folder),
            "arguments": arguments,
            "out": str(out),
            "err": str(err),
            "strace": strace,
            "seconds": _SECONDS,
        }
        answer = self._ask(request)
        calls = parse_trace(log.read_text(encoding="utf-8", errors="replace"), str(folder)) if strace else ()
        said, told = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
        return Finished(arguments, answer["status"], said, told, calls)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        try:
            self._server.stdin.write(json.dumps(request).encode() + b"\n")
            self._server.stdin.flush()
            line = self._server.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            words = (self._folder / "server").read_text(encoding="utf-8", errors="replace")
            message = f"no answer for {request['arguments']}:\n{words}"
            raise RuntimeError(message)
        return dict(json.loads(line))


def run_program(folder: Path, log: Path, *arguments: str) -> Finished:
    """Run certgen as its users do, a process of its own from the first instruction, with all its calls traced.

    folder: where it runs.
    log: the file for the trace.
    arguments: what is typed after `certgen`.
    """
    command = [*strace_options(str(log), names=["all"]), sys.executable, "-m", "certgen", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(log.parent), capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    calls = parse_trace(log.read_text(encoding="utf-8", errors="replace"), str(folder))
    return Finished(arguments, done.returncode, done.stdout, done.stderr, calls)
