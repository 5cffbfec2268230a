"""A signal ends a run wherever it comes: also where its exception is put into another one, or taken by nobody."""

import signal
import sys
import time
from collections.abc import Callable

import pytest
from pydantic_core import SchemaError

from certgen.cli.ending import EndedError, run_until_ended

ENDS = {signal.SIGINT: (130, "interrupted\n"), signal.SIGTERM: (143, "terminated\n")}
SOON = 5
"""Seconds within which a signal that was lost once is given again."""


class Lost:
    """Ends a run from a finalizer, from which no exception gets out."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


def end_plainly(number: signal.Signals) -> None:
    signal.raise_signal(number)


def end_in_a_library(number: signal.Signals) -> None:
    try:
        signal.raise_signal(number)
    except EndedError as end:
        raise SchemaError(f"Error building a validator: {end}") from None


def end_in_a_finalizer(number: signal.Signals) -> None:
    Lost(number)
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        time.sleep(0.001)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], int]:
    def run(command: Callable[[], None]) -> int:
        monkeypatch.setattr("certgen.cli.run.run", command)
        with pytest.raises(SystemExit) as end:
            run_until_ended()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("command", [end_plainly, end_in_a_library, end_in_a_finalizer])
def test_a_signal_ends_a_run_in_one_word_wherever_it_comes(
    command: Callable[[signal.Signals], None],
    number: signal.Signals,
    runs: Callable[[Callable[[], None]], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (runs(lambda: command(number)), capsys.readouterr().err) == ENDS[number]


def test_an_error_that_no_signal_made_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise SchemaError("Error building a validator")

    monkeypatch.setattr("certgen.cli.run.run", fail)
    with pytest.raises(SchemaError):
        run_until_ended()


def test_what_else_a_finalizer_raises_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError("told")

    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_value.args))
    monkeypatch.setattr("certgen.cli.run.run", Failing)
    run_until_ended()
    assert told == [("told",)]


def test_a_signal_that_was_ignored_before_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr("certgen.cli.run.run", lambda: signal.raise_signal(signal.SIGINT))
        run_until_ended()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_took_signals_before_takes_them_afterwards(runs: Callable[[Callable[[], None]], int]) -> None:
    numbers = (*ENDS, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    runs(lambda: end_in_a_finalizer(signal.SIGTERM))
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
