"""The commands that shake hands."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certgen.cli.arguments import load, moment
from certgen.cli.group import certgen
from certgen.cli.options import at_option, cores, output_option, screen_options, specs_argument
from certgen.cli.progress import ProgressBar
from certgen.cli.screen import DIFFERENT, SOUND, UNKNOWN, Screen

if TYPE_CHECKING:
    pass


@certgen.command()
@specs_argument
@output_option
@at_option
@screen_options
def prove(specs: tuple[Path, ...], output: Path, at: str | None, **options: Any) -> None:
    """Let every client meet every server, in real TLS handshakes.

    And try all who must be kept out. In memory: no port is opened. Exit 1 where one is not as expected, 2 where some
    could not be tried.
    """
    screen = Screen.of(options)
    loaded = load(screen, "prove", specs)
    from certgen.prove.prove import prove as try_all
    from certgen.prove.values import Judgement
    from certgen.report.proof import render_proof
    from certgen.store.disk import Tree

    then = moment(screen, "prove", at) if at is not None else None
    bar = ProgressBar(is_shown=sys.stderr.isatty() and not screen.is_quiet, what="handshakes")
    proofs = []
    for item in loaded:
        tree = Tree(output / item.bundle.name)
        proofs.append(try_all(item.bundle, tree, datetime.now(UTC), then, bar.advance, jobs=cores()))
    bar.close()
    screen.diagnose(diagnostic for proof in proofs for diagnostic in (*proof.findings, *proof.unknowns))
    if screen.is_json:
        from certgen.report import json_v1

        body = {"specs": [json_v1.proof(proof) for proof in proofs], "diagnostics": []}
        screen.result(json_v1.render("prove", body))
    else:
        for proof in proofs:
            screen.result(render_proof(proof, screen.painter(sys.stdout), screen.width(sys.stdout)))
    codes = {Judgement.AS_EXPECTED: SOUND, Judgement.UNEXPECTED: DIFFERENT, Judgement.UNKNOWN: UNKNOWN}
    judgements = {codes[proof.judgement] for proof in proofs}
    sys.exit(DIFFERENT if DIFFERENT in judgements else max(judgements, default=SOUND))
