"""Floor 7: the Python API, and all that the command line calls: load, plan, apply.

Time is an argument: `now` is an aware `datetime` in UTC.

    loaded = load_specs([Path("specs/shop.yaml")])
    planned = plan_specs(loaded, Path("output"), now=datetime.now(UTC))
    outcomes = apply_specs(loaded, Path("output"), now=datetime.now(UTC))
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from certgen import apply as application
from certgen.diagnostics import CertgenError, Diagnostic, Severity, error, position
from certgen.model import NAME, Address, Bundle
from certgen.observe import observe, paths_to_read, read_manifest
from certgen.plan.decide import plan as decide
from certgen.plan.values import Plan, Requests
from certgen.signers.memory import MemoryKeyRing
from certgen.spec.checks import check
from certgen.spec.document import MAXIMUM_BYTES, Document, compose
from certgen.spec.explain import validate
from certgen.spec.fields import read_moment
from certgen.spec.references import ReferencedFiles, references
from certgen.spec.resolve import resolve
from certgen.spec.schema import Spec
from certgen.store import Tree, find_trees, read_beside, read_file
from certgen.tree import ABSENT, IGNORE_FILE, MANIFEST_FILE, FileKind, Observed

SUFFIXES: Final = (".certgen.yaml", ".certgen.yml", ".yaml", ".yml")
_NO_REQUESTS: Final = Requests()


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec that is valid, with what was found out about it."""

    path: Path
    bundle: Bundle
    warnings: tuple[Diagnostic, ...] = ()
    supplied_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The contents of the private key files that the spec names."""


@dataclass(frozen=True, slots=True)
class PlannedSpec:
    """A spec with what would be done to its tree."""

    loaded: LoadedSpec
    tree: Tree
    observed: Observed
    plan: Plan


def find_specs(folder: Path) -> tuple[Path, ...]:
    """Find the specs in a folder, sorted by name: every `*.yaml` and `*.yml`.

    Raises:
        CertgenError: there is none.
    """
    found = sorted(path for suffix in ("*.yaml", "*.yml") for path in folder.glob(suffix))
    if not found:
        help_ = f"name a spec, or write one with `certgen init {folder}/shop.yaml`"
        raise CertgenError([error("no-specs", f"there is no spec in {folder}/", help=help_, where=str(folder))])
    return tuple(found)


def spec_name(path: Path) -> str:
    """Give a spec's name by its file: without .yaml, .yml, .certgen.yaml."""
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), "")
    return path.name.removesuffix(suffix)


def load_spec(path: Path) -> LoadedSpec:
    """Read and check one spec.

    Args:
        path: the spec's file; the files that it names are read too.

    Raises:
        CertgenError: the spec is not valid; with every mistake that could be found, sorted by place.
    """
    state = read_file(Path(os.path.realpath(path)), MAXIMUM_BYTES)
    if state.kind is not FileKind.FILE:
        reason = "does not exist" if state.kind is FileKind.ABSENT else f"cannot be read: {state.reason}"
        code = "too-large" if "bytes" in state.reason else "no-such-spec"
        raise CertgenError([error(code, f"{path} {reason}", where=str(path))])
    document = compose(state.content, str(path))
    spec, mistakes = validate(document.plain)
    if spec is None:
        raise CertgenError(_located(document, mistakes))
    return _complete(path, document, spec)


def load_specs(paths: Iterable[Path]) -> tuple[LoadedSpec, ...]:
    """Read and check specs, all of them before any is refused.

    Raises:
        CertgenError: one is not valid, or two have one name; with the mistakes of all.
    """
    loaded: list[LoadedSpec] = []
    problems: list[Diagnostic] = []
    for path in dict.fromkeys(paths):
        try:
            loaded.append(load_spec(path))
        except CertgenError as reason:
            problems += reason.diagnostics
    counts = Counter(item.bundle.name for item in loaded)
    for item in loaded:
        if counts[item.bundle.name] > 1:
            message = f"{counts[item.bundle.name]} specs are named `{item.bundle.name}`, and so would share one tree"
            problems.append(error("same-name", message, help="set `name:` in one of them", where=str(item.path)))
    if problems:
        raise CertgenError([*problems, *(warning for item in loaded for warning in item.warnings)])
    return tuple(loaded)


def plan_spec(loaded: LoadedSpec, output: Path, now: datetime, requests: Requests = _NO_REQUESTS) -> PlannedSpec:
    """Decide what has to happen to a spec's tree; nothing is written.

    Args:
        loaded: a valid spec.
        output: the folder of all trees; this one is `output/NAME`.
        now: the time for which to judge, aware, in UTC.
        requests: what is asked for beyond the spec.
    """
    tree = Tree(output / loaded.bundle.name)
    observed = observe_tree(loaded.bundle, tree)
    return PlannedSpec(loaded, tree, observed, decide(loaded.bundle, observed, now, requests))


def plan_specs(
    specs: Sequence[LoadedSpec], output: Path, now: datetime, requests: Mapping[str, Requests] | None = None
) -> tuple[PlannedSpec, ...]:
    """Decide for several specs; see `plan_spec`. Requests are given by the name of the spec."""
    asked = requests or {}
    return tuple(plan_spec(loaded, output, now, asked.get(loaded.bundle.name, _NO_REQUESTS)) for loaded in specs)


def apply_specs(  # noqa: PLR0913 - one argument for each choice
    specs: Sequence[LoadedSpec],
    output: Path,
    now: datetime,
    requests: Mapping[str, Requests] | None = None,
    progress: application.Progress = lambda done, total: None,  # noqa: ARG005 - the observer that looks away
    *,
    jobs: int = 1,
) -> tuple[application.Outcome, ...]:
    """Make the trees of specs as they say.

    All are planned before the first is written. A tree with nothing to do is not touched, not even by a lock; one with
    something to do is looked at again under its lock.

    Args:
        specs: valid specs.
        output: the folder of all trees.
        now: the time of the run, aware, in UTC.
        requests: what is asked for beyond the spec, by the name of the spec.
        progress: told the changes done and the changes in all, for each spec.
        jobs: how many processes may make RSA keys at once; more than one asks of a script that it guards its main
            module, as all that starts processes does.

    Raises:
        CertgenError: one cannot be applied, and nothing was written; or the disk refused.
    """
    planned = plan_specs(specs, output, now, requests)
    in_the_way = [d for item in planned for d in (*item.plan.obstacles, *item.plan.consents)]
    if in_the_way:
        raise CertgenError(in_the_way)
    keys = MemoryKeyRing(jobs)
    return tuple(_apply(item, output, requests or {}, keys, progress) for item in planned)


def observe_tree(bundle: Bundle, tree: Tree) -> Observed:
    """Read a tree as far as a decision needs it."""
    own = tree.read([MANIFEST_FILE, IGNORE_FILE])
    manifest, _ = read_manifest(own.get(MANIFEST_FILE, ABSENT))
    files = {**own, **tree.read(paths_to_read(bundle, manifest))}
    return observe(bundle, files, tree.seen_keys(), tree.unfinished())


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
            import difflib

            names = [str(address) for _, address in candidates]
            near = difflib.get_close_matches(text, names, n=3, cutoff=0.5) or names[:5]
            help_ = f"did you mean {', '.join(near)}?" if near else None
            raise CertgenError([error("unknown-address", f"no entry `{text}`", help=help_)])
        case _:
            help_ = f"one of {', '.join(f'{name}/{address}' for name, address in found)}"
            raise CertgenError([error("ambiguous-address", f"`{text}` is in several specs", help=help_)])


def parse_moment(text: str, now: datetime) -> datetime:
    """Read a time as `--at` takes it: an RFC 3339 time, or a duration from now, `+30d`.

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
        message = f"`{text}` is neither an RFC 3339 time nor a duration from now"
        raise CertgenError([error("bad-time", message, help="for example +30d or 2027-01-31T00:00:00Z")])
    return now + timedelta(seconds=seconds)


def unclaimed_trees(specs: Sequence[LoadedSpec], output: Path) -> tuple[Diagnostic, ...]:
    """Warn of trees under the output that certgen made and that belong to no spec: a spec was renamed or removed.

    The specs beside those given count too, so that a run over one spec does not report the others' trees.
    """
    folders = {loaded.path.parent for loaded in specs}
    neighbours = {
        spec_name(path) for folder in folders for suffix in ("*.yaml", "*.yml") for path in folder.glob(suffix)
    }
    claimed = neighbours | {loaded.bundle.name for loaded in specs}
    help_ = "was its spec renamed? Set `name:` in it, or move the folder; else remove it"
    return tuple(
        Diagnostic(Severity.WARNING, "unclaimed-tree", f"{tree} belongs to no spec", help=help_, where=str(tree))
        for tree in find_trees(output)
        if tree.name not in claimed
    )


def _complete(path: Path, document: Document, spec: Spec) -> LoadedSpec:
    """Resolve and check a spec that its models accept."""
    name = spec.name or spec_name(path)
    if not NAME.fullmatch(name) or ".." in name:
        help_ = "set `name:` in it, from a-z, 0-9, `.`, `_` and `-`"
        raise CertgenError([error("bad-name", f"`{name}` cannot be the name of a tree", help=help_, where=str(path))])
    mentioned = list(references(spec))
    contents = {mention.file: read_beside(path.parent, mention.file) for mention in mentioned}
    bundle, problems = resolve(spec, name, path.name, ReferencedFiles(contents))
    findings = [*problems, *(check(bundle) if not problems else ())]
    located = _located(document, findings)
    if any(diagnostic.is_error for diagnostic in located):
        raise CertgenError(located)
    private = {mention.file for mention in mentioned if mention.is_private}
    keys = {file: content for file in private if (content := contents[file].content) is not None}
    return LoadedSpec(path, bundle, located, keys)


def _located(document: Document, findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Give findings their spans, sorted; what several entries inherit from one place is said once."""
    located = sorted((document.locate(finding) for finding in findings), key=position)
    first: dict[tuple[object, ...], Diagnostic] = {}
    more: Counter[tuple[object, ...]] = Counter()
    for finding in located:
        place = finding.span or finding.message
        key = (finding.code, place) if finding.severity is Severity.WARNING else (finding.code, place, finding.message)
        if key in first:
            more[key] += finding.message != first[key].message
        else:
            first[key] = finding
    return tuple(
        replace(finding, message=f"{finding.message} (and {more[key]} more)") if more[key] else finding
        for key, finding in first.items()
    )


def _apply(
    planned: PlannedSpec,
    output: Path,
    requests: Mapping[str, Requests],
    keys: MemoryKeyRing,
    progress: application.Progress,
) -> application.Outcome:
    if not _has_work(planned):
        return application.Outcome(planned.plan, (), (), ())
    loaded, now = planned.loaded, planned.plan.now
    with planned.tree.locked():
        again = plan_spec(loaded, output, now, requests.get(loaded.bundle.name, _NO_REQUESTS))
        return application.apply(
            again.plan,
            loaded.bundle,
            again.observed,
            again.tree,
            keys,
            loaded.supplied_keys,
            progress,
        )


def _has_work(planned: PlannedSpec) -> bool:
    """Whether a run would write anything, be it only what this machine notes for itself."""
    observed = planned.observed
    keys = {entry.key.key_id for entry in observed.entries.values() if entry.key.key_id is not None}
    return bool(planned.plan.changes or planned.plan.modes or observed.unfinished or keys - observed.seen_keys)
