"""A program that runs many certgen commands at once, each in a process of its own, and pays for the start but once.

Each line of standard input is a JSON list of [folder, arguments, variables]; all of a line start at the same moment,
and a line of [exit code, standard output, standard error, seconds] answers it.
"""

import gc
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO

import pace

import certgen.cli.commands
import certgen.pipeline
import certgen.report.diagnostics
import certgen.report.json_v1
import certgen.report.plan
import certgen.verify.audit  # noqa: F401 - as above
from certgen.cli import main

Case = tuple[str, list[str], dict[str, str]]
Answer = tuple[int, str, str, float]


def serve() -> None:
    """Answer line by line."""
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
        folder, arguments, variables = case
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
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
