"""Everything that a command says: to the terminal, in its exceptions, and in what an error reporter makes of those."""

import io
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from traceback import TracebackException, walk_tb

import pytest
from click.testing import CliRunner
from hostile import no_longer_than

import certgen
from certgen.cli import main
from certgen.cli.group import certgen as commands

_PACKAGE = str(Path(certgen.__file__).parent)
_SECONDS = 20


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str
    words: str = ""
    """The exceptions with which it ended."""
    held: str = ""
    """What the variables of certgen's frames held then."""

    @property
    def everything(self) -> str:
        return "\n".join((self.out, self.err, self.words, self.held))


def ask(*arguments: str | Path) -> Said:
    """Type a command in this process, and look into the exceptions that end it.

    arguments: of certgen.
    """
    with no_longer_than(_SECONDS):
        result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr, *reports_of(result.exception))


def ask_main(patch: pytest.MonkeyPatch, *arguments: str | Path) -> Said:
    """Type a command in this process by the way that a shell takes, usage errors and all.

    patch: puts other streams and arguments in place.
    arguments: of certgen.
    """
    files = (io.BytesIO(), io.BytesIO())
    out, err = (io.TextIOWrapper(file, "utf-8", write_through=True) for file in files)
    old = signal.getsignal(signal.SIGTERM)
    with patch.context() as within, no_longer_than(_SECONDS):
        within.setattr(sys, "argv", ["certgen", *map(str, arguments)])
        within.setattr(sys, "stdout", out)
        within.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as ended:
            main()
    signal.signal(signal.SIGTERM, old)
    assert isinstance(ended.value.code, int)
    return Said(ended.value.code, *(file.getvalue().decode() for file in files))


def reports_of(exception: BaseException | None) -> tuple[str, str]:
    """Write an exception as error reporters do: its text with its notes, and what the variables of its frames held.

    exception: with its causes; what Python would not show of them is left out here, too.
    """
    words: list[str] = []
    held: dict[int, str] = {}
    for each in _chain(exception):
        words += [repr(each), *TracebackException.from_exception(each).format_exception_only()]
        for frame, _ in walk_tb(each.__traceback__):
            # What the test itself holds is no secret of it.
            if frame.f_code.co_filename.startswith(_PACKAGE):
                held |= {id(value): f"{name} = {value!r}" for name, value in frame.f_locals.items()}
    return "\n".join(words), "\n".join(held.values())


def _chain(exception: BaseException | None) -> Iterator[BaseException]:
    while exception is not None:
        yield exception
        hidden = None if exception.__suppress_context__ else exception.__context__
        exception = exception.__cause__ or hidden
