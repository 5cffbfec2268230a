"""What an ordinary run leaves out, so that it stays short; `CERTGEN_HOSTILE=all`, as in `make sweep`, tries all."""

import os
from collections.abc import Iterable
from typing import TypeVar

_Case = TypeVar("_Case")

EVERY = os.environ.get("CERTGEN_HOSTILE") == "all"
"""Whether to try what an ordinary run leaves out."""


def one_in(share: int, cases: Iterable[_Case], start: int = 0) -> list[_Case]:
    """Give one case in so many, or all of them where nothing is left out.

    share: how many stand for one.
    start: which is the first; two tests of the same cases try others each.
    """
    return list(cases) if EVERY else list(cases)[start % share :: share]
