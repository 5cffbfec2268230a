"""Floor 11: spec files to bundles: found, read, checked; every mistake of a run at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from certgen.diagnostics import CertgenError, Diagnostic, Severity, error, position
from certgen.exports.kustomization import render_kustomization
from certgen.model import NAME, Bundle
from certgen.rendering import render_snippets
from certgen.spec.checks import check
from certgen.spec.document import MAXIMUM_BYTES, Document, compose
from certgen.spec.explain import validate
from certgen.spec.outline import LEAST, Outline, excerpt, outline
from certgen.spec.references import ReferencedFiles, references
from certgen.spec.resolve import resolve
from certgen.stamp import Stamp
from certgen.store.files import read_beside, read_file
from certgen.store.stamps import digest
from certgen.tree import NOBODY, FileKind, Vouched

SUFFIXES: Final = (".certgen.yaml", ".certgen.yml", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec that is valid, with what was found out about it."""

    path: Path
    bundle: Bundle
    warnings: tuple[Diagnostic, ...] = ()
    supplied_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The contents of the private key files that the spec names."""
    files: tuple[Path, ...] = ()
    """Every file that the spec names."""
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What tells each file that was read, the spec itself included, from what it was."""
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    """The line and the column at which each entry begins, both counted from 1, by its address."""
    outline: Outline | None = field(default=None, repr=False)
    """Where its end entities stand; None where they are few, or stand otherwise than one below the other."""
    vouched: Vouched = NOBODY
    """The end entities that were not read, since they are known to be as the spec says."""
    stamp: Stamp | None = field(default=None, repr=False)
    """What knows them."""


def find_specs(folder: Path) -> tuple[Path, ...]:
    """Find the specs in a folder, sorted by name: every `*.yaml` and `*.yml`.

    Raises:
        CertgenError: there is none.
    """
    candidates = sorted(path for suffix in ("*.yaml", "*.yml") for path in folder.glob(suffix))
    found = [path for path in candidates if not path.name.startswith(".")]
    if not found:
        help_ = f"name a spec, or write one with `certgen init {folder}/shop.yaml`"
        raise CertgenError([error("no-specs", f"there is no spec in {folder}/", help=help_, where=str(folder))])
    return tuple(found)


def spec_name(path: Path) -> str:
    """Give a spec's name by its file: without .yaml, .yml, .certgen.yaml."""
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), "")
    return path.name.removesuffix(suffix)


def claimed_name(path: Path) -> str:
    """Give the name of the tree that a spec claims, be the rest of it valid or not."""
    try:
        plain = compose(read_file(Path(os.path.realpath(path)), MAXIMUM_BYTES).content, str(path)).plain
    except CertgenError:
        return spec_name(path)
    name = plain.get("name") if isinstance(plain, dict) else None
    return name if isinstance(name, str) else spec_name(path)


def load_spec(path: Path, *, reads_keys: bool = True) -> LoadedSpec:
    """Read and check one spec.

    Args:
        path: the spec's file; the files that it names are read too.
        reads_keys: whether the private keys among them are; who signs nothing need not.

    Raises:
        CertgenError: the spec is not valid; with every mistake that could be found, sorted by place.
    """
    state = read_file(Path(os.path.realpath(path)), MAXIMUM_BYTES)
    if state.kind is not FileKind.FILE:
        reason = "does not exist" if state.kind is FileKind.ABSENT else f"cannot be read: {state.reason}"
        code = "too-large" if "bytes" in state.reason else "no-such-spec"
        raise CertgenError([error(code, f"{path} {reason}", where=str(path))])
    document = compose(state.content, str(path))
    loaded = _complete(path, document, reads_keys=reads_keys)
    is_apart = len(loaded.bundle.entries) > LEAST and not loaded.bundle.kustomization
    found = outline(document.text) if is_apart else None
    is_true = found is not None and document.stands_as({address: start for address, (start, _) in found.places.items()})
    digests = {str(path): digest(state.content), **loaded.digests}
    return replace(loaded, digests=digests, outline=found if is_true else None)


def load_text(path: Path, content: bytes) -> LoadedSpec:
    """Read and check a spec that is not written yet.

    Args:
        path: where it will be.
        content: of that file.

    Raises:
        CertgenError: it is not valid.
    """
    return _complete(path, compose(content, str(path)), reads_keys=True)


def load_excerpt(path: Path, text: str, found: Outline, kept: Collection[str]) -> LoadedSpec | None:
    """Read and check some of a spec's end entities, with all else that it says.

    Args:
        path: the spec's file.
        text: what stands in it.
        found: where its end entities stand.
        kept: the addresses of those that are read.

    Returns:
        The spec as if it had no other; None where they do not stand as it seemed.

    Raises:
        CertgenError: it is not valid.
    """
    document = compose(excerpt(text, found, kept).encode(), str(path))
    if not document.stands_as({address: found.places[address][0] for address in kept}):
        return None
    return replace(_complete(path, document, reads_keys=True), outline=found)


def whole(loaded: LoadedSpec) -> LoadedSpec:
    """Give a spec with all its end entities; one that was read in part is read again.

    Raises:
        CertgenError: it is not valid.
    """
    return load_spec(loaded.path) if loaded.vouched.addresses else loaded


def load_specs(paths: Iterable[Path], *, reads_keys: bool = True) -> tuple[LoadedSpec, ...]:
    """Read and check specs, all of them before any is refused.

    Raises:
        CertgenError: one is not valid, or two have one name; with the mistakes of all.
    """
    loaded: list[LoadedSpec] = []
    problems: list[Diagnostic] = []
    for path in dict.fromkeys(paths):
        try:
            loaded.append(load_spec(path, reads_keys=reads_keys))
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


def _complete(path: Path, document: Document, *, reads_keys: bool) -> LoadedSpec:
    """Validate, resolve and check a spec."""
    spec, mistakes = validate(document.plain)
    if spec is None:
        raise CertgenError(_located(document, mistakes))
    name = spec.name or spec_name(path)
    if not NAME.fullmatch(name) or ".." in name:
        help_ = "set `name:` in it, from a-z, 0-9, `.`, `_` and `-`"
        raise CertgenError([error("bad-name", f"`{name}` cannot be the name of a tree", help=help_, where=str(path))])
    mentioned = list(references(spec))
    private = {mention.file for mention in mentioned if mention.is_private}
    sealed = frozenset[str]() if reads_keys else frozenset(private)
    names = {mention.file for mention in mentioned} - sealed
    contents = {name: read_beside(path.parent, name) for name in sorted(names)}
    files = ReferencedFiles(contents, sealed)
    bundle, problems = resolve(spec, name, path.name, files)
    findings = list(problems)
    if not problems:
        findings += check(bundle)
        bundle, faults = render_snippets(bundle, spec, files)
        findings += faults
    if not any(finding.is_error for finding in findings):
        bundle, left_out = render_kustomization(bundle, spec)
        findings += left_out
    located = _located(document, findings)
    if any(diagnostic.is_error for diagnostic in located):
        raise CertgenError(located)
    keys = {file: content for file in private - sealed if (content := contents[file].content) is not None}
    named = tuple(path.parent / mention.file for mention in mentioned)
    digests = {
        str(path.parent / name): digest(found.content) for name, found in contents.items() if found.content is not None
    }
    return LoadedSpec(path, bundle, located, keys, named, digests, document.entry_places())


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
