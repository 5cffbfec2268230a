"""Floor 12: what a person names on the command line, an address, to the entries of the specs of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from certgen.diagnostics import CertgenError, Diagnostic, error
from certgen.loading import LoadedSpec
from certgen.model import Address
from certgen.plan.values import Requests


def parse_requests(
    specs: Sequence[LoadedSpec],
    *,
    renew: Iterable[str] = (),
    rekey: Iterable[str] = (),
    prune: bool = False,
    no_renew: bool = False,
) -> dict[str, Requests]:
    """Find the entries that a person names, `servers/api` or `shop/servers/api`.

    Returns:
        The requests by the name of the spec.

    Raises:
        CertgenError: an address matches no entry, or entries of several specs.
    """
    asked = {loaded.bundle.name: Requests(prune=prune, no_renew=no_renew) for loaded in specs}
    problems: list[Diagnostic] = []
    for kind, texts in (("renew", renew), ("rekey", rekey)):
        for text in texts:
            try:
                name, address = find_address(specs, text)
            except CertgenError as reason:
                problems += reason.diagnostics
                continue
            chosen = getattr(asked[name], kind) | {address}
            asked[name] = replace(asked[name], **{kind: chosen})
    if problems:
        raise CertgenError(problems)
    return asked


def find_address(specs: Sequence[LoadedSpec], text: str) -> tuple[str, Address]:
    """Find the one entry that an address means; it may be qualified by the name of its spec.

    Raises:
        CertgenError: none matches, or entries of several specs do; with the candidates.
    """
    candidates = [(loaded.bundle.name, entry.address) for loaded in specs for entry in loaded.bundle.entries]
    found = [(name, address) for name, address in candidates if text in {str(address), f"{name}/{address}"}]
    match found:
        case [one]:
            return one
        case []:
            names = [str(address) for _, address in candidates]
            near = get_close_matches(text, names, n=3, cutoff=0.5) or names[:5]
            help_ = f"did you mean {', '.join(near)}?" if near else None
            raise CertgenError([error("unknown-address", f"no entry `{text}`", help=help_)])
        case _:
            help_ = f"one of {', '.join(f'{name}/{address}' for name, address in found)}"
            raise CertgenError([error("ambiguous-address", f"`{text}` is in several specs", help=help_)])
