"""What is said of a spec, each remark with the very words that it points at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from certgen.diagnostics import CertgenError, Diagnostic
from certgen.model import Address, Bundle
from certgen.pipeline import LoadedSpec, load_spec


@dataclass(frozen=True)
class Remark:
    """A diagnostic as a user sees it.

    line: of the spec, from 1; 0 where there is none.
    at: the text under the carets.
    """

    code: str
    at: str
    message: str
    help: str | None = None
    severity: str = "error"
    line: int = 0


def load(folder: Path, spec: str, files: Mapping[str, bytes] | None = None) -> LoadedSpec:
    """Load a spec called shop.yaml; one that is not valid raises.

    folder: where it is written, and what is beside it.
    spec: its text.
    files: what is beside it, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    path = folder / "shop.yaml"
    path.write_text(dedent(spec), encoding="utf-8")
    return load_spec(path)


def remarks(folder: Path, spec: str, files: Mapping[str, bytes] | None = None) -> list[Remark]:
    """Give all that is said of a spec, errors and warnings, in the order in which a user reads it.

    folder, spec, files: as for `load`.
    """
    try:
        return [_remark(warning) for warning in load(folder, spec, files).warnings]
    except CertgenError as reason:
        return [_remark(item) for item in reason.diagnostics]


def codes(folder: Path, spec: str, files: Mapping[str, bytes] | None = None) -> list[str]:
    """Give each remark in short, `code at text`.

    folder, spec, files: as for `load`.
    """
    return [f"{remark.code} at {remark.at}" for remark in remarks(folder, spec, files)]


def rendered(bundle: Bundle, address: str) -> dict[str, str]:
    """Give the rendered files of an entry by name.

    bundle: of a valid spec.
    address: of the entry.
    """
    return {artifact.name: artifact.content.decode() for artifact in bundle[Address.parse(address)].artifacts}


def _remark(item: Diagnostic) -> Remark:
    span = item.span
    at = span.text[span.column - 1 :][: span.length] if span else item.where or ""
    return Remark(item.code, at, item.message, item.help, str(item.severity), span.line if span else 0)
