"""The command that takes over what other programs made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certgen.cli.group import certgen
from certgen.cli.options import output_option, screen_options
from certgen.cli.screen import Screen
from certgen.diagnostics import CertgenError, error
from certgen.report.paint import printable

if TYPE_CHECKING:
    from certgen.importing.draft import Collected
    from certgen.loading import LoadedSpec


@certgen.command("import")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="SOURCE...")
@click.option(
    "--to", "spec", type=click.Path(path_type=Path), default=Path("specs/imported.yaml"), show_default=True,
    metavar="FILE", help="The spec to write; its name is that of the tree.",
)  # fmt: skip
@output_option
@screen_options
def import_(sources: tuple[Path, ...], spec: Path, output: Path, **options: Any) -> None:
    """Write a spec for what other programs made.

    SOURCE is a folder of PEM or DER files, such a file, a manifest of certyaml, an
    instances.yml, or a request of cfssl. Nothing of it is changed. Certificates and
    private keys are copied into the tree as they are.
    """
    screen = Screen.of(options)
    from certgen.adopting import Found, adopt, refuse_tree
    from certgen.importing.draft import named, of_other_issuers, spec_fields, with_authority
    from certgen.importing.fitting import fit
    from certgen.importing.writing import write_spec
    from certgen.loading import load_text
    from certgen.store.files import create_file, discard_file

    try:
        collected = _collected(sources)
        entries = named(with_authority(collected.drafts))
        _refuse_spec(spec)
        found = {
            address: Found(draft.certificate, draft.private_key)
            for address, draft in entries.items()
            if draft.certificate is not None
        }
        fields, loaded, left_out = fit(
            spec_fields(entries), lambda fields: load_text(spec, write_spec(fields)), set(map(str, found))
        )
        refuse_tree(output / loaded.bundle.name)
        create_file(spec, write_spec(fields))
        try:
            notes = adopt(loaded.bundle, found, output / loaded.bundle.name) if found else ()
        except CertgenError:
            discard_file(spec)
            raise
    except CertgenError as reason:
        screen.fail("import", reason.diagnostics)
    remarks = (*collected.remarks, *of_other_issuers(entries), *left_out)
    _tell(screen, loaded, spec, len(found), (*remarks, *loaded.warnings, *notes))


def _refuse_spec(spec: Path) -> None:
    from certgen.store.files import is_there

    if is_there(spec):
        message = f"{spec} exists, and it is left as it is"
        raise CertgenError([error("exists", message, help="name another file with `--to`", where=str(spec))])


def _collected(sources: tuple[Path, ...]) -> Collected:
    """Read all that was named.

    Raises:
        CertgenError: it cannot be read, or there is nothing in it.
    """
    from certgen.importing.draft import Source
    from certgen.importing.sources import collect
    from certgen.store.gathering import gather

    collected = collect(Source(path, content) for path, content in gather(sources))
    if not collected.drafts:
        named = ", ".join(map(str, sources))
        message = f"there is nothing to import in {named}"
        raise CertgenError([*collected.remarks, error("nothing-to-import", message, help="name a folder of PEM files")])
    return collected


def _tell(screen: Screen, loaded: LoadedSpec, spec: Path, adopted: int, diagnostics: tuple[Any, ...]) -> None:
    screen.diagnose(diagnostics)
    count = len(loaded.bundle.entries)
    if screen.is_json:
        from certgen.report import json_v1

        data = {"written": str(spec), "entries": count, "adopted": adopted}
        told = [json_v1.diagnostic(item) for item in diagnostics]
        screen.result(json_v1.render("import", {**data, "diagnostics": told}))
        return
    name = printable(str(spec))
    screen.result(f"Wrote {name}: {count} entries, {adopted} adopted. `certgen plan {name}` says what would change.\n")
