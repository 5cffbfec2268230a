"""What the streams of a run are: whether they take colours, and how wide they are. It imports next to nothing."""

import os
import sys
from io import TextIOWrapper

FALLBACK_WIDTH = 80
NARROWEST = 40
CANNOT_TELL = 2


def is_colored(stream: object, choice: str) -> bool:
    """Tell whether a stream takes colours: a terminal, or where they are asked for.

    Args:
        stream: standard output or standard error.
        choice: auto, always or never.
    """
    if choice == "auto":
        return _is_terminal(stream) and "NO_COLOR" not in os.environ
    return choice == "always"


def width(stream: object) -> int | None:
    """Give a terminal's width in characters; None where the stream is none."""
    if not _is_terminal(stream):
        return None
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(NARROWEST, int(asked))
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
    except (OSError, ValueError):
        columns = 0
    return max(NARROWEST, columns or FALLBACK_WIDTH)


def draws_blocks(stream: object) -> bool:
    """Tell whether a stream is a terminal that shows more than ASCII, by its encoding and by the locale.

    The encoding alone does not tell: where the locale is C, Python takes UTF-8 all the same.
    """
    if not _is_terminal(stream):
        return False
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next((name for name in names if name), "")
    encoding = getattr(stream, "encoding", None) or ""
    return all("utf8" in name.lower().replace("-", "") for name in (locale, encoding))


def look(stream: object, choice: str) -> str:
    """Name all of a stream that bears on how a text is written for it, in one word."""
    return f"{'colored' if is_colored(stream, choice) else 'plain'}-{width(stream) or 'unlimited'}"


def escape_what_cannot_be_encoded() -> None:
    """Let the streams write what their encoding does not have as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush(code: int) -> int:
    """Write out what was printed, and give the exit code: another one where nobody took it."""
    try:
        sys.stdout.flush()
    except OSError as reason:
        return refused(reason)
    return code


def refused(reason: OSError) -> int:
    """Say that nobody can take the answer, where there is still somebody, and give the exit code."""
    if not isinstance(reason, BrokenPipeError):
        sys.stderr.write(f"the answer cannot be written: {reason.strerror}\n")
    # What is left in the buffer has nowhere to go; the interpreter would try again at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CANNOT_TELL


def _is_terminal(stream: object) -> bool:
    return isinstance(stream, TextIOWrapper) and stream.isatty()
