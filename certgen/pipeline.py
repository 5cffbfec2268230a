"""Floor 13: the Python API, and all that the command line calls: load, plan, apply.

Time is an argument: `now` is an aware `datetime` in UTC.

    loaded = load_specs([Path("specs/shop.yaml")])
    planned = plan_specs(loaded, Path("output"), now=datetime.now(UTC))
    outcomes = apply_specs(loaded, Path("output"), now=datetime.now(UTC))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from certgen import apply as application
from certgen.claims import unclaimed_trees
from certgen.diagnostics import CertgenError, error
from certgen.journal import Recovery
from certgen.lifetime import shift
from certgen.loading import LoadedSpec, find_specs, load_spec, load_specs, spec_name, whole
from certgen.manifest import NewerManifestError
from certgen.model import Address, Bundle, Section
from certgen.observe import observe, read_manifest
from certgen.plan.decide import plan as decide
from certgen.plan.notices import newer_manifest, recovered
from certgen.plan.values import Plan, Requests
from certgen.requests import find_address, parse_requests
from certgen.signers.memory import MemoryKeyRing
from certgen.spec.fields import read_moment
from certgen.store.lock import PATIENT, Patience, wait_until_free
from certgen.store.tree import Tree
from certgen.store.writer import writing
from certgen.surveying import Survey, read_entries, survey
from certgen.tree import ABSENT, LOCK_NOTE, MANIFEST_FILE, NOBODY, OWN_TREE_FILES, PRIVATE_KEY_FILES, Observed, Vouched
from certgen.unsealing import NO_SECRETS, Secrets, open_vault
from certgen.vault import Vault

__all__ = [
    "LoadedSpec",
    "Patience",
    "PlannedSpec",
    "Secrets",
    "apply_specs",
    "find_address",
    "find_specs",
    "load_spec",
    "load_specs",
    "observe_tree",
    "parse_moment",
    "parse_requests",
    "parse_wait",
    "plan_spec",
    "plan_specs",
    "spec_name",
    "unclaimed_trees",
]

_NO_REQUESTS: Final = Requests()
_KEY_PATHS: Final = tuple(f"/{name}" for name in PRIVATE_KEY_FILES)


@dataclass(frozen=True, slots=True)
class PlannedSpec:
    """A spec with what would be done to its tree."""

    loaded: LoadedSpec
    """What was decided about: without the end entities that something vouches for."""
    tree: Tree
    observed: Observed
    plan: Plan
    asked: LoadedSpec
    """The spec as it was given."""
    survey: Survey | None = None
    """What several processes have found beside."""


def plan_spec(
    loaded: LoadedSpec, output: Path, now: datetime, requests: Requests = _NO_REQUESTS, *, jobs: int = 1
) -> PlannedSpec:
    """Decide what has to happen to a spec's tree; nothing is written.

    Args:
        loaded: a valid spec.
        output: the folder of all trees; this one is `output/NAME`.
        now: the time for which to judge, aware, in UTC.
        requests: what is asked for beyond the spec.
        jobs: how many processes may look at a fleet; see `apply_specs`.
    """
    found = None
    if not loaded.vouched.addresses:
        found = survey(loaded.bundle, output / loaded.bundle.name, loaded.files, now, requests, jobs)
    planned = _plan(loaded, output, now, requests, found)
    return planned if _stays_within(planned) else _plan(whole(loaded), output, now, requests)


def plan_specs(
    specs: Sequence[LoadedSpec],
    output: Path,
    now: datetime,
    requests: Mapping[str, Requests] | None = None,
    *,
    jobs: int = 1,
) -> tuple[PlannedSpec, ...]:
    """Decide for several specs; see `plan_spec`. Requests are given by the name of the spec."""
    asked = requests or {}
    return tuple(
        plan_spec(loaded, output, now, asked.get(loaded.bundle.name, _NO_REQUESTS), jobs=jobs) for loaded in specs
    )


def apply_specs(  # noqa: PLR0913 - one argument for each choice
    specs: Sequence[LoadedSpec],
    output: Path,
    now: datetime,
    requests: Mapping[str, Requests] | None = None,
    progress: application.Progress = lambda done, total: None,  # noqa: ARG005 - the observer that looks away
    *,
    jobs: int = 1,
    patience: Patience = PATIENT,
    judged: Callable[[PlannedSpec], None] = lambda planned: None,  # noqa: ARG005 - as above
    secrets: Secrets = NO_SECRETS,
) -> tuple[application.Outcome, ...]:
    """Make the trees of specs as they say.

    All are planned before the first is written. A tree with nothing to do is not touched, not even by a lock; one that
    another run wrote in between is looked at again under its lock.

    Args:
        specs: valid specs.
        output: the folder of all trees.
        now: the time of the run, aware, in UTC.
        requests: what is asked for beyond the spec, by the name of the spec.
        progress: told the changes done and the changes in all, for each spec.
        jobs: how many processes may look at a fleet, make keys and sign at once; more than one forks, which a program
            with threads of its own had better not do.
        patience: how to wait for another run that holds a tree.
        judged: told what is done to each tree, as it was decided last.
        secrets: what opens private keys that are sealed.

    Raises:
        CertgenError: one cannot be applied, and nothing was written; or the disk refused.
    """
    asked = requests or {}
    planned = [_plan_undisturbed(spec, output, now, asked, patience, jobs) for spec in specs]
    in_the_way = [d for item in planned for d in (*item.plan.obstacles, *item.plan.consents)]
    if in_the_way:
        raise CertgenError(in_the_way)
    for item in planned:
        _open(item, secrets)
    with closing(MemoryKeyRing(jobs)) as keys:
        return tuple(_apply(item, output, asked, keys, progress, patience, judged, secrets) for item in planned)


def observe_tree(bundle: Bundle, tree: Tree, own_files: Iterable[Path] = (), vouched: Vouched = NOBODY) -> Observed:
    """Read a tree as far as a decision needs it; where another run writes it meanwhile, once more.

    Args:
        bundle: what the spec describes.
        tree: the tree.
        own_files: the files that the spec names as the user's own, wherever they are.
        vouched: what is not in the bundle since it is known to be as the spec says.

    Raises:
        CertgenError: a later certgen wrote the tree, or it cannot be looked at.
    """
    return tree.steadily(lambda: _observe(bundle, tree, own_files, vouched))


def _plan(
    asked: LoadedSpec, output: Path, now: datetime, requests: Requests, found: Survey | None = None
) -> PlannedSpec:
    tree = Tree(output / asked.bundle.name)
    loaded = asked
    if found is not None:
        known = set(found.vouched.addresses)
        rest = [address for address in asked.bundle.index if address not in known]
        loaded = replace(asked, bundle=asked.bundle.narrowed(rest), vouched=found.vouched)
    observed = observe_tree(loaded.bundle, tree, loaded.files, loaded.vouched)
    return PlannedSpec(loaded, tree, observed, decide(loaded.bundle, observed, now, requests), asked, found)


def _stays_within(planned: PlannedSpec) -> bool:
    """Whether what a plan for some of a spec's end entities does has no bearing on the others."""
    plan, vouched = planned.plan, planned.loaded.vouched
    if not vouched.addresses:
        return True
    if planned.tree.seen_at != vouched.version:
        # Another run has written since.
        return False
    changed = [change.address for change in plan.changes]
    if any(isinstance(item, Address) and item.section is Section.CAS for item in changed) or plan.is_interrupted:
        return False
    # What a stamp vouches for was in order with all others; what a survey does was judged in this very run.
    is_in_order = not (plan.obstacles or plan.consents) and all(isinstance(item, Address) for item in changed)
    return is_in_order or planned.survey is not None


def _observe(bundle: Bundle, tree: Tree, own_files: Iterable[Path], vouched: Vouched) -> Observed:
    fault = tree.folder_fault()
    if fault:
        return observe(bundle, {}, folder_fault=fault)
    own = tree.read(OWN_TREE_FILES)
    try:
        read = read_manifest(own.get(MANIFEST_FILE, ABSENT), [*map(str, vouched.addresses)])
    except NewerManifestError:
        raise CertgenError([newer_manifest(str(tree.root / MANIFEST_FILE))]) from None
    files = {**own, **read_entries(bundle, read[0], tree)}
    tree.refuse_closed({path: state for path, state in files.items() if not path.endswith(_KEY_PATHS)})
    return observe(
        bundle,
        files,
        tree.seen_keys(),
        tree.inside(own_files),
        is_interrupted=tree.is_interrupted(),
        vouched=vouched,
        manifest=read,
    )


def parse_moment(text: str, now: datetime) -> datetime:
    """Read a time as `--at` takes it: an RFC 3339 time, a date, or a duration from now, `+30d`.

    Args:
        text: what was written.
        now: the time from which a duration counts, aware, in UTC.

    Raises:
        CertgenError: neither of the two.
    """
    seconds, moment = read_moment(text)
    if moment is not None:
        return moment
    if seconds is None:
        message = f"`{text}` is neither a time, nor a date, nor a duration from now of at most 100y"
        raise CertgenError([error("bad-time", message, help="for example +30d, 2027-01-31 or 2027-01-31T12:00:00Z")])
    return shift(now, seconds)


def parse_wait(text: str) -> float:
    """Read how long to wait for a lock, in seconds: `10s`, `5m`, or `0s`.

    Args:
        text: what was written.

    Raises:
        CertgenError: it is no such duration.
    """
    if text in {"0", "0s"}:
        return 0.0
    seconds, _ = read_moment(f"+{text}")
    if seconds is None:
        raise CertgenError([error("bad-duration", f"`{text}` is not a duration", help="for example 10s, 5m or 0s")])
    return float(seconds)


def _plan_undisturbed(  # noqa: PLR0913, PLR0917 - as `apply_specs`
    loaded: LoadedSpec, output: Path, now: datetime, requests: Mapping[str, Requests], patience: Patience, jobs: int
) -> PlannedSpec:
    """Decide for a spec; what another run that is under way puts in the way is looked at again when it has ended."""
    asked = requests.get(loaded.bundle.name, _NO_REQUESTS)
    planned = plan_spec(loaded, output, now, asked, jobs=jobs)
    root = planned.tree.root
    if not planned.plan.obstacles or not wait_until_free(root / LOCK_NOTE, root, patience):
        return planned
    return plan_spec(loaded, output, now, asked)


def _apply(  # noqa: PLR0913, PLR0917 - as `apply_specs`
    planned: PlannedSpec,
    output: Path,
    requests: Mapping[str, Requests],
    keys: MemoryKeyRing,
    progress: application.Progress,
    patience: Patience,
    judged: Callable[[PlannedSpec], None],
    secrets: Secrets,
) -> application.Outcome:
    if not _has_work(planned):
        judged(planned)
        return application.Outcome(planned.plan, (), (), ())
    loaded, now = planned.loaded, planned.plan.now
    with writing(planned.tree.root, patience) as writer:
        recovery = writer.recover()
        try:
            if recovery is not Recovery.NONE or not planned.tree.is_as_seen():
                planned = plan_spec(whole(planned.asked), output, now, requests.get(loaded.bundle.name, _NO_REQUESTS))
            loaded = planned.loaded
            judged(planned)
            plan, seen, vault = planned.plan, planned.observed, _open(planned, secrets)
            # What stands in a frame by itself stands in a traceback.
            outcome = application.apply(plan, loaded.bundle, seen, writer, keys, loaded.supplied_keys, progress, vault)
        except CertgenError as reason:
            raise CertgenError((*recovered(recovery, str(planned.tree.root)), *reason.diagnostics)) from None
    return replace(outcome, recovery=recovery)


def _open(planned: PlannedSpec, secrets: Secrets) -> Vault:
    return open_vault(planned.loaded.bundle, planned.plan, planned.observed, planned.tree, secrets)


def _has_work(planned: PlannedSpec) -> bool:
    """Whether a run would write anything, be it only what this machine notes for itself."""
    observed = planned.observed
    keys = {entry.key.key_id for entry in observed.entries.values() if entry.key.key_id is not None}
    return bool(not planned.plan.is_in_sync or planned.plan.modes or keys - observed.seen_keys)
