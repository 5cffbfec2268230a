"""Floor 9: snippets: what each entry asks of its consumers is judged and rendered, before anything is decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Final

from certgen.consumers.census import Census
from certgen.consumers.options import Options
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.registry import find_consumer, is_combined
from certgen.diagnostics import Diagnostic, Route, Severity
from certgen.model import Artifact, Bundle, Entry, Snippet
from certgen.spec.parts import SnippetRequests
from certgen.spec.references import ReferencedFiles
from certgen.spec.schema import Spec
from certgen.tree import COMBINED_FILE, OWN_FILES, can_combine

UNUSED: Final = "unused-option"
"""The fault of an option that the entry's role has no use for; an inherited one is meant for others."""


def render_snippets(bundle: Bundle, spec: Spec, files: ReferencedFiles) -> tuple[Bundle, tuple[Diagnostic, ...]]:
    """Render what the entries of a spec ask for.

    Args:
        bundle: what the spec describes, without errors.
        spec: the spec.
        files: the files that the spec names, read.

    Returns:
        The bundle with its snippets, of which nothing may be used where a diagnostic is an error, and the diagnostics.
    """
    known = len(files.problems)
    studio = _Studio(bundle, spec, files)
    entries = tuple(studio.complete(entry) for entry in bundle.entries)
    return replace(bundle, entries=entries), (*studio.problems, *files.problems[known:])


class _Studio:
    def __init__(self, bundle: Bundle, spec: Spec, files: ReferencedFiles) -> None:
        self._bundle = bundle
        self._spec = spec
        self._files = files
        self.problems: list[Diagnostic] = []

    @cached_property
    def _census(self) -> Census:
        return Census(self._bundle)

    def complete(self, entry: Entry) -> Entry:
        """Give an entry with its snippets."""
        if entry.is_ca:
            return entry
        snippets = tuple(
            self._snippet(entry, name, options, is_inherited=is_inherited)
            for name, options, is_inherited in self._asked(entry)
        )
        self._refuse_same_names(entry, snippets)
        return replace(entry, snippets=snippets) if snippets else entry

    def _asked(self, entry: Entry) -> Iterator[tuple[str, Options, bool]]:
        """Give the consumers that an entry asks for, in their order, with its options or those of the defaults."""
        own = getattr(self._spec, entry.address.section.value)[entry.address.name].snippets
        asked: SnippetRequests | None = self._spec.defaults.snippets if own is None else own
        for name, options in asked.asked() if asked else ():
            yield name, options, own is None

    def _snippet(self, entry: Entry, name: str, options: Options, *, is_inherited: bool) -> Snippet:
        """Render for one consumer; without files where it found an error."""
        consumer = find_consumer(name)
        route = (entry.address.section.value, entry.address.name)
        place = (*route, "snippets", name)
        contents = {
            option: content
            for option, file in options.named_files.items()
            if (content := self._files.content(file, (*place, option))) is not None
        }
        deployment = Deployment(self._bundle, entry, contents, self._census)
        faults = [fault for fault in consumer.judge(deployment, options) if not is_inherited or fault.code != UNUSED]
        self.problems += [_located(fault, route, place) for fault in faults]
        is_sound = len(contents) == len(options.named_files) and not any(map(_is_error, faults))
        artifacts = tuple(consumer.render(deployment, options)) if is_sound else ()
        if is_combined(name) and is_sound and not can_combine(entry):
            self.problems.append(_located(_uncombined(entry), route, place))
        return Snippet(name, artifacts, consumer.allowed(deployment, options), is_combined=is_combined(name))

    def _refuse_same_names(self, entry: Entry, snippets: Iterable[Snippet]) -> None:
        """Refuse a file that is another's, or another's folder: on some file systems also where case alone differs."""
        files = {name.casefold(): f"certgen's {name}" for name in OWN_FILES}
        folders: dict[str, str] = {}
        for snippet in snippets:
            for artifact in snippet.artifacts:
                name, folder = artifact.name.casefold(), artifact.name.casefold().rpartition("/")[0]
                owner = files.get(name) or folders.get(name) or files.get(folder)
                if owner is not None:
                    self.problems.append(_taken(entry, snippet, artifact, owner))
                files.setdefault(name, f"the {artifact.name} of `{snippet.consumer}`")
                folders.setdefault(folder, f"the folder {artifact.name.rpartition('/')[0]}/ of `{snippet.consumer}`")


def _uncombined(entry: Entry) -> Fault:
    where = "elsewhere" if entry.public_key is not None else "sealed"
    message = f"{entry.address} gets no {COMBINED_FILE}, since its private key is {where}"
    return Fault(
        "not-combined", message, "make it where it is used, of cert.pem and key.pem", severity=Severity.WARNING
    )


def _taken(entry: Entry, snippet: Snippet, artifact: Artifact, owner: str) -> Diagnostic:
    route = (entry.address.section.value, entry.address.name, "snippets", snippet.consumer)
    message = f"`{artifact.name}` would take the place of {owner}"
    return Diagnostic(Severity.ERROR, "same-output", message, help="choose another name", route=route)


def _located(fault: Fault, entry: Route, place: Route) -> Diagnostic:
    """Give a fault its place in the spec."""
    route = (*place, *fault.place) if fault.field is None else (*entry, fault.field)
    at_key = fault.field is None and not fault.place
    return Diagnostic(fault.severity, fault.code, fault.message, help=fault.help, route=route, at_key=at_key)


def _is_error(fault: Fault) -> bool:
    return fault.severity is Severity.ERROR
