"""A program that runs certgen commands, each in a process of its own, and pays for the start but once.

Each line of standard input is a JSON list of [folder, arguments, variables, standard input]; all of a line start at the
same moment, and a line of [exit code, standard output, standard error, seconds] answers it.
"""

import gc
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from pkgutil import walk_packages
from typing import IO

import pace

import certgen
from certgen.cli import main

Case = tuple[str, list[str], dict[str, str], str]
Answer = tuple[int, str, str, float]
PATIENCE = 120
"""Seconds after which a command that does not end is ended."""


def serve() -> None:
    """Answer line by line."""
    for module in walk_packages(certgen.__path__, "certgen."):
        # What pytest loads is no part of the program, and `__main__` is the program.
        if not module.name.startswith(("certgen.pytest_plugin", "certgen.testing", "certgen.__main__")):
            import_module(module.name)
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run_at_once(json.loads(line))) + "\n")
        sys.stdout.flush()


def run_at_once(cases: list[Case]) -> list[Answer]:
    """Run commands at the same moment."""
    gun, trigger = os.pipe()
    with ExitStack() as stack:
        streams = [[stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)] for _ in cases]
        children = {}
        for number, case in enumerate(cases):
            child = os.fork()
            if not child:
                os.close(trigger)
                os.read(gun, 1)
                run_here(case, streams[number])
            children[child] = number
        os.close(gun)
        os.close(trigger)
        began = time.monotonic()
        answers: dict[int, Answer] = {}
        while children:
            child, status = os.wait()
            number = children.pop(child)
            out, err = (_text(stream) for stream in streams[number])
            answers[number] = (os.waitstatus_to_exitcode(status), out, err, time.monotonic() - began)
        return [answers[number] for number in range(len(cases))]


def run_here(case: Case, streams: Sequence[IO[bytes]]) -> None:
    """Be a command, and end."""
    code = 70
    try:
        signal.alarm(PATIENCE)
        folder, arguments, variables, content = case
        os.chdir(folder)
        with tempfile.TemporaryFile() as given:
            given.write(content.encode("latin-1"))
            given.seek(0)
            os.dup2(given.fileno(), 0)
        for number, stream in enumerate(streams, 1):
            os.dup2(stream.fileno(), number)
        os.environ.update(variables)
        pace.begin()
        sys.argv = ["certgen", *arguments]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - it is told, and the process ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


if __name__ == "__main__":
    serve()
