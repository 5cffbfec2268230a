"""What Go's own parser makes of sources: their shape without their texts, and the texts."""

import json
from dataclasses import dataclass
from pathlib import Path

from foreign.golang import go_turn, run_go
from programs import require

_SOURCE = Path(__file__).with_suffix(".go")


@dataclass(frozen=True)
class GoReading:
    """What the Go files of a folder say.

    skeleton: their syntax trees, each string literal blank.
    texts: the values of the string literals, in order.
    """

    skeleton: str
    texts: tuple[str, ...]


def read_go(folder: Path) -> GoReading:
    """Have Go's parser read all Go files of a folder; what it cannot read is an `AssertionError`.

    folder: of the sources, at any depth.
    """
    require("go")
    with go_turn():
        done = run_go("run", "-trimpath", _SOURCE, folder.absolute())
    if done.returncode != 0:
        raise AssertionError(f"{done.stdout}{done.stderr}")
    found = json.loads(done.stdout)
    return GoReading("\n".join(found["skeleton"]), tuple(found["strings"]))


def go_skeleton(folder: Path) -> str:
    """Give the syntax trees of a folder's Go files without the texts in them.

    folder: of the sources, at any depth.
    """
    return read_go(folder).skeleton
