"""A run with nothing to do: where the stamps of its trees hold, it says what was said, and ends.

It imports nothing that a bare interpreter has not loaded but the stamps, and it knows few options: a run with any other
goes the long way, where all are known.
"""

import os
import sys
import time

from certgen.cli.terminal import escape_what_cannot_be_encoded, flush, look, refused
from certgen.stamp import Stamp
from certgen.store.stamps import holds, likely_trees, read_stamp

_FLAGS = {
    "apply": {"-q", "--quiet", "--no-renew", "--prune", "--exit-code"},
    "plan": {"-q", "--quiet", "--no-renew", "--prune"},
}
_VALUES = {"-o": "--output", "--output": "--output", "--color": "--color"}
_SPECS = "specs"


def answer(arguments: list[str]) -> int | None:
    """Answer a run with nothing to do.

    Args:
        arguments: what was typed after the program's name.

    Returns:
        The exit code; None where that takes a look at the trees, and nothing was said.
    """
    asked = _read(arguments)
    if asked is None or sys.stdout is None or sys.stderr is None:
        return None
    command, flags, values, specs = asked
    output, choice = values.get("--output", "output").rstrip("/") or "/", values.get("--color", "auto")
    # Where nothing is due, a run that would renew has found what one that renews nothing finds.
    prune, renewals = "--prune" in flags, (False, True) if "--no-renew" in flags else (False,)
    options = [options_word(prune=prune, no_renew=no_renew) for no_renew in renewals]
    try:
        stamps = _stamps(output, specs or _specs(), options)
        out, err = (
            "".join(stamp.said[f"{command} {name} {part} {seen}"] for part in ("first", "then") for stamp in stamps)
            for name, seen in (("out", look(sys.stdout, choice)), ("err", look(sys.stderr, choice)))
        )
    except (OSError, ValueError, KeyError):
        return None
    if not stamps:
        return None
    return 0 if flags & {"-q", "--quiet"} else _say(out, err)


def _say(out: str, err: str) -> int:
    escape_what_cannot_be_encoded()
    try:
        sys.stderr.write(err)
        sys.stdout.write(out)
    except OSError as reason:
        return refused(reason)
    return flush(0)


def options_word(*, prune: bool, no_renew: bool) -> str:
    """Name the options that bear on a judgement."""
    return f"prune={prune:d} no-renew={no_renew:d}"


def _read(arguments: list[str]) -> tuple[str, set[str], dict[str, str], list[str]] | None:
    """Read what was typed; None where anything in it is not known here."""
    command = arguments[0] if arguments else ""
    if command not in _FLAGS:
        return None
    flags: set[str] = set()
    values: dict[str, str] = {}
    specs: list[str] = []
    rest = iter(arguments[1:])
    for word in rest:
        name, sign, value = word.partition("=")
        if word in _FLAGS[command]:
            flags.add(word)
        elif word in _VALUES:
            values[_VALUES[word]] = next(rest, "")
        elif sign and name.startswith("--") and name in _VALUES:
            values[_VALUES[name]] = value
        elif word.startswith("-") or not word:
            return None
        else:
            specs.append(word.removeprefix("./"))
    if "" in values.values() or values.get("--color", "auto") not in {"auto", "always", "never"}:
        return None
    return command, flags, values, list(dict.fromkeys(specs))


def _specs() -> list[str]:
    """Find the specs where none is named, in the order of their paths."""
    names = [name for name in os.listdir(_SPECS) if name.endswith((".yaml", ".yml")) and not name.startswith(".")]
    return [f"{_SPECS}/{name}" for name in sorted(names)]


def _stamps(output: str, specs: list[str], options: list[str]) -> list[Stamp]:
    """Give the stamp of each spec's tree; nothing where one is not there or does not hold.

    Raises:
        OSError, ValueError: one cannot be looked at.
    """
    now = int(time.time())
    digests: dict[str, str] = {}
    found: list[Stamp] = []
    for spec in specs:
        for name in likely_trees(output, spec):
            stamp = read_stamp(f"{output}/{name}")
            if stamp is None or stamp.spec != spec or stamp.options not in options:
                continue
            if stamp.judged <= now < stamp.due and holds(stamp, output, name, digests):
                found.append(stamp)
                break
        else:
            return []
    return found
