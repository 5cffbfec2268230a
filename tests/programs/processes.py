"""A process that listens on 127.0.0.1, from its start to its end."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PORTS = range(20000, 32000)
"""Below those that Linux and macOS give to outgoing connections, which would take one before its use."""

_START_SECONDS = 30
_STOP_SECONDS = 5
_TAIL_LINES = 40

_given: set[int] = set()


@dataclass(frozen=True)
class Running:
    """A process that was started and answers.

    pid: of the process, which leads a group of its own.
    log: the file that it prints to.
    """

    pid: int
    log: Path

    def words(self) -> str:
        """Read what it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def reload(self) -> None:
        """Send SIGHUP, on which nginx reads its files again and Envoy does nothing; what it does, it does later."""
        os.kill(self.pid, signal.SIGHUP)


def free_port() -> int:
    """Find a port of 127.0.0.1 on which nobody listens; no port twice in one process."""
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def eventually(is_so: Callable[[], bool], seconds: float = 10) -> bool:
    """Tell whether something becomes so in time.

    is_so: asked over and over.
    seconds: after which the answer is no.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def running(
    arguments: Sequence[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Running]:
    """Run a program from when it listens to the end of the `with`, then stop it and all that it started.

    arguments: the program and its arguments.
    port: of 127.0.0.1, on which it is to listen.
    log: the file for what it prints.
    environment: variables beside the ones of this process.
    folder: where it runs, default this process's.

    A program that ends by itself raises `AssertionError` with the end of its log. In the `with` too: a server
    that a bad client has felled refuses the next one as well, and would be taken for a strict one.
    """
    if _is_answered(port):
        message = f"something else listens on port {port}"
        raise AssertionError(message)
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )
    started = Running(process.pid, log)
    try:
        eventually(lambda: process.poll() is not None or _is_answered(port), _START_SECONDS)
        _demand_alive(process, started)
        if not _is_answered(port):
            raise AssertionError(_complaint(process, f"does not listen on port {port}", started))
        yield started
        _demand_alive(process, started)
    finally:
        _stop(process)


def _is_answered(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _demand_alive(process: subprocess.Popen[bytes], started: Running) -> None:
    status = process.poll()
    if status is not None:
        raise AssertionError(_complaint(process, f"ended by itself with {status}", started))


def _complaint(process: subprocess.Popen[bytes], what: str, started: Running) -> str:
    tail = "\n".join(started.words().splitlines()[-_TAIL_LINES:])
    return f"{process.args!r} {what}:\n{tail}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    _signal_group(process, signal.SIGKILL)  # the deaf, and whoever of the group outlived its leader
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS forbids to signal what has ended and is not reaped
        os.killpg(process.pid, number)
