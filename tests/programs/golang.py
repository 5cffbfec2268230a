"""Go programs, compiled offline with the cache of the verifier in Go."""

from pathlib import Path
from subprocess import CompletedProcess

from foreign.golang import go_turn, run_go, run_gofmt

from .finding import require


def go_build(folder: Path, out: Path) -> Path:
    """Compile the program in a folder, and return its file; what the compiler complains of is an `AssertionError`.

    folder: of package main, with or below go.mod.
    out: the file to make.
    """
    require("go")
    with go_turn():
        # -trimpath as for the verifier, or the standard library would be compiled twice.
        done = run_go("build", "-C", folder.absolute(), "-trimpath", "-o", out.absolute(), ".")
    if done.returncode != 0:
        raise AssertionError(_said(done))
    return out


def go_vet(folder: Path) -> str:
    """Return what go vet has to say about a module's packages: nothing, where all is well.

    folder: of go.mod.
    """
    require("go")
    with go_turn():
        done = run_go("vet", "-C", folder.absolute(), "-trimpath", "./...")
    return _said(done)


def gofmt_difference(folder: Path) -> str:
    """Return what gofmt would change: nothing, where all is well.

    folder: of the sources, at any depth.
    """
    require("go")
    return _said(run_gofmt(folder))


def _said(done: CompletedProcess[str]) -> str:
    return f"{done.stdout}{done.stderr}"
