"""Floor 4: the consumers that there are: every package of this wing. A new one is a new folder, and nothing else."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from certgen import consumers
from certgen.consumers.options import Options
from certgen.consumers.port import Consumer


@cache
def consumer_names() -> tuple[str, ...]:
    """Give the names of all consumers, sorted."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(consumers.__path__) if found.ispkg))


def find_consumer(name: str) -> Consumer[Options]:
    """Give a consumer by its name."""
    consumer: Consumer[Options] = _module(name)
    return consumer


def options_model(name: str) -> type[Options]:
    """Give the model of a consumer's options."""
    model: type[Options] = _module(name).OPTIONS
    return model


def is_combined(name: str) -> bool:
    """Whether a consumer reads path and private key from one file: its package says so with `COMBINED`."""
    return bool(getattr(_module(name), "COMBINED", False))


def _module(name: str) -> ModuleType:
    return import_module(f"{consumers.__name__}.{name}")
