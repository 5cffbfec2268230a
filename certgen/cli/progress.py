"""A progress bar on standard error, for runs that take longer than a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE: Final = 1.0
"""Seconds for which nobody needs a bar."""


class ProgressBar:
    """Shows the changes done of the changes in all; nothing where it is not shown."""

    def __init__(self, *, is_shown: bool, what: str = "certificates") -> None:
        self._is_shown = is_shown
        self._what = what
        self._began = time.monotonic()
        self._bar: Progress | None = None

    def advance(self, done: int, total: int) -> None:
        """Show how far the run is."""
        if not self._is_shown or time.monotonic() - self._began < PATIENCE:
            return
        bar = self._bar or self._open()
        if not bar.task_ids:
            bar.add_task(self._what, total=total)
        bar.update(bar.task_ids[0], completed=done, total=total)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _open(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(self._what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar
