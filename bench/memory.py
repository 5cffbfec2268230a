"""The memory of a program and of all that it starts, looked at while it runs."""

from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

_SECONDS: Final = 0.004
_PROCESSES: Final = Path("/proc")


class Sampler:
    """Looks again and again how much memory the processes of a session have; what they share counts once.

    session: the number of the process that leads it.
    """

    def __init__(self, session: int) -> None:
        self.peak = 0
        self._session = session
        self._is_over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(_SECONDS):
            footprints = [_footprint(path) for path in self._members()]
            own = sum(private for _, private in footprints)
            shared = max((resident - private for resident, private in footprints), default=0)
            self.peak = max(self.peak, own + shared)

    def _members(self) -> list[Path]:
        return [path for path in _PROCESSES.glob("[1-9]*") if _session_of(path) == self._session]


def _session_of(process: Path) -> int:
    try:
        # The name in brackets may hold anything, blanks and brackets too.
        return int((process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[3])
    except (OSError, UnicodeDecodeError):
        return 0


def _footprint(process: Path) -> tuple[int, int]:
    """Give the bytes that a process has in memory, and those of them that no other process shares."""
    try:
        lines = (process / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return 0, 0
    kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return kilobytes["Rss"] * 1024, (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) * 1024
