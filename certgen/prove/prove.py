"""The proof of one tree: parties, encounters, challenges, findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from certgen.diagnostics import CertgenError, error
from certgen.model import Bundle
from certgen.prove.challenges import Challenges
from certgen.prove.contents import faults_of_artifacts
from certgen.prove.encounters import Encounters
from certgen.prove.findings import Findings
from certgen.prove.parties import Gathered, gather
from certgen.prove.shadow import Shadow
from certgen.prove.values import Challenge, Encounter, Proof
from certgen.store.scratch import scratch
from certgen.store.tree import Tree
from certgen.tls.contexts import UnusableCredentialsError

Progress = Callable[[int, int], None]
"""Takes the attempts done and the attempts in all."""

_T = TypeVar("_T")


def prove(  # noqa: PLR0913 - the tree and its two times, and how to go about it
    bundle: Bundle,
    tree: Tree,
    now: datetime,
    at: datetime | None = None,
    progress: Progress = lambda done, total: None,  # noqa: ARG005 - the observer that looks away
    *,
    jobs: int = 1,
) -> Proof:
    """Let every client meet every server, and try all who must be kept out.

    Args:
        bundle: what the spec describes.
        tree: its tree; it is only read, and the keys of its CAs not even that.
        now: the time of this machine, by which ssl judges, aware, in UTC.
        at: the time for which to judge; dates are then judged outside the handshakes.
        progress: told after each attempt.
        jobs: how many threads shake hands; OpenSSL lets go of the interpreter meanwhile.

    Raises:
        CertgenError: the tree was changed meanwhile.
    """
    if not tree.paths():
        missing = error("no-tree", f"there is no tree of {bundle.name}", help="run `certgen apply`", where=bundle.name)
        return Proof(bundle.name, at or now, (), (), (), (missing,))
    gathered = gather(bundle, tree)
    try:
        encounters, challenges = _try_all(gathered, now, at, progress, jobs)
    except UnusableCredentialsError:
        message = f"the tree of {bundle.name} changed while it was being proven"
        raise CertgenError([error("tree-changed", message, help="prove it again", where=bundle.name)]) from None
    findings = Findings(gathered, at or now)
    return Proof(
        bundle.name,
        at or now,
        encounters,
        challenges,
        findings=(*findings.find(encounters, challenges), *faults_of_artifacts(bundle, tree)),
        unknowns=findings.unknowns(encounters, challenges),
        handshakes=sum(len(one.trials) for one in encounters) + sum(len(one.trials) for one in challenges),
        dates_apart=at is not None,
    )


def _try_all(
    gathered: Gathered, now: datetime, at: datetime | None, progress: Progress, jobs: int
) -> tuple[tuple[Encounter, ...], tuple[Challenge, ...]]:
    bundle, parties, roots = gathered.bundle, gathered.parties, gathered.roots
    with scratch() as files:
        meetings = tuple(Encounters(bundle, parties, roots, at).attempts())
        strangers = tuple(Challenges(bundle, parties, roots, Shadow(bundle, now, files)).attempts())
        total = len(meetings) + len(strangers)
        encounters = attempt_all(meetings, lambda done: progress(done, total), jobs)
        challenges = attempt_all(strangers, lambda done: progress(len(meetings) + done, total), jobs)
    return encounters, challenges


def attempt_all(chosen: Iterable[Callable[[], _T]], progress: Callable[[int], None], jobs: int) -> tuple[_T, ...]:
    """Carry out attempts in their order, several at once.

    Args:
        chosen: the attempts.
        progress: told the attempts done.
        jobs: how many threads.
    """
    done: list[_T] = []
    threads = ThreadPoolExecutor(jobs)
    try:
        for result in threads.map(lambda attempt: attempt(), chosen):
            done.append(result)
            progress(len(done))
    finally:
        # Where a person interrupts, thousands may still wait for their turn.
        threads.shutdown(cancel_futures=True)
    return tuple(done)
