"""A process that has imported certgen and has run nothing: each command is a fork of it, which starts in no time.

It reads requests on standard input, one JSON object a line, and answers each with one on standard output.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

_PR_SET_PTRACER: Final = 0x59616D61
_PTRACER_ANY: Final = ctypes.c_ulong(-1)
_WARM_UP: Final = (("apply", "--jobs", "1"), ("apply", "--renew", "servers/api"), ("plan",), ("verify",))


def main() -> None:
    """Answer requests until there are no more."""
    spec, sabotage = sys.argv[1:]
    import_all(modules_of_a_run(Path(spec)))
    exec(sabotage, {})  # noqa: S102 - what a test wrote
    gc.collect()
    gc.freeze()  # or the end of each child would go through, and so copy, all that it shares with this process
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for line in requests:
        answer = serve(json.loads(line))
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def modules_of_a_run(spec: Path) -> list[str]:
    """Name the modules that commands import, learnt in a process that ends before the first request.

    spec: compiled in a folder that is thrown away.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as words:
        child = os.fork()
        if child == 0:
            _warm_up(spec.read_bytes(), Path(folder), names, words)
        _, status = os.waitpid(child, 0)
        words.seek(0)
        names.seek(0)
        if status:
            sys.exit(f"certgen does not compile the spec of the sweep:\n{words.read().decode(errors='replace')}")
        return names.read().decode().split()


def _warm_up(spec: bytes, folder: Path, names: BinaryIO, words: BinaryIO) -> NoReturn:
    code = 1
    try:
        os.chdir(folder)
        Path("specs").mkdir()
        Path("specs/shop.yaml").write_bytes(spec)
        for number in (1, 2):
            os.dup2(words.fileno(), number)
        codes = [_code_of_a_run(arguments) for arguments in _WARM_UP]
        names.write("\n".join(name for name in sys.modules if name != "__main__").encode())
        names.flush()
        code = int(any(codes))
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _code_of_a_run(arguments: tuple[str, ...]) -> object:
    try:
        _run(list(arguments))
    except SystemExit as end:
        return end.code
    return 0


def _run(arguments: list[str]) -> None:
    sys.argv = ["certgen", *arguments]
    runpy.run_module("certgen", run_name="__main__", alter_sys=True)


def import_all(names: list[str]) -> None:
    """Import modules; what cannot be imported by its name alone is left to the run."""
    for name in names:
        with suppress(ImportError):
            import_module(name)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command to its end, under strace where the request has arguments for it.

    request: `folder`, `arguments`, `out`, `err`, `strace` (a list or nothing) and `seconds`.
    """
    gate, opener = os.pipe()
    listener, teller = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.close(listener)
        _become(request, gate, teller)
    os.close(gate)
    os.close(teller)
    tracer = None
    try:
        os.read(listener, 1)
        if request["strace"]:
            tracer = _attached([*request["strace"], "-p", str(child)], child)
        os.write(opener, b"!")
    finally:
        os.close(opener)
        os.close(listener)
    status = _end_of(child, request["seconds"])
    if tracer is not None:
        tracer.communicate(timeout=request["seconds"])
    return {"status": status}


def _become(request: dict[str, Any], gate: int, teller: int) -> None:
    """Be the command: in its folder, with its output, once whoever traces it is there.

    What it ends with goes up through `main` to the interpreter, as it would in a process of its own. Where nobody
    watches, the process ends without taking the interpreter apart, which would be half of its time.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _PTRACER_ANY, 0, 0, 0)
    os.chdir(request["folder"])
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, request["out"], -1), (2, request["err"], -1)):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if flags < 0 else flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.write(teller, b"!")
    select.select([gate], [], [])  # not traced: strace counts from when it comes, sooner or later
    try:
        _run(request["arguments"])
        sys.exit(0)
    except SystemExit as end:
        if request["strace"] or not isinstance(end.code, int):
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code)


def _attached(command: list[str], child: int) -> subprocess.Popen[bytes]:
    """Start strace, and wait until it says that it holds the process."""
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    if b"attached" not in first:
        os.kill(child, 9)
        rest = tracer.communicate()[1]
        sys.exit((first + rest).decode(errors="replace"))
    return tracer


def _end_of(child: int, seconds: float) -> int | None:
    """Wait for a process; give its exit code, negative for a signal, or nothing where it had to be ended."""
    last = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > last:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return None
        time.sleep(0.002)


if __name__ == "__main__":
    main()
