"""Floor 9: the targets that there are: every package of this wing. A new one is a new folder, and nothing else."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from certgen import exports
from certgen.exports.port import Target


@cache
def target_names() -> tuple[str, ...]:
    """Give the names of all targets as they are typed, sorted."""
    found = (module.name for module in pkgutil.iter_modules(exports.__path__) if module.ispkg)
    return tuple(sorted(name.replace("_", "-") for name in found))


def find_target(name: str) -> Target:
    """Give a target by its name."""
    target: Target = import_module(f"{exports.__name__}.{name.replace('-', '_')}")
    return target
