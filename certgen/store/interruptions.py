"""Signals that end a run: put off for as long as something has to be done whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off an interruption until the block has run; only the main thread is ever interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as the library calls it
        caught.append(number)

    before = {number: signal.signal(number, note) for number in _ENDS}
    try:
        yield
    finally:
        for end, action in before.items():
            signal.signal(end, signal.SIG_DFL if action is None else action)
        for number in caught[:1]:
            signal.raise_signal(number)
