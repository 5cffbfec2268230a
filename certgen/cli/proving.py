"""The command that proves a tree: in memory, on the way from an older one, or on a server that runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certgen.cli.arguments import load, moment
from certgen.cli.group import certgen
from certgen.cli.options import at_option, cores, output_option, screen_options, specs_argument
from certgen.cli.progress import ProgressBar
from certgen.cli.screen import DIFFERENT, SOUND, UNKNOWN, Screen
from certgen.diagnostics import CertgenError, Diagnostic, error

if TYPE_CHECKING:
    from certgen.live import Place
    from certgen.loading import LoadedSpec
    from certgen.prove.values import Proof, RollOut


@certgen.command()
@specs_argument
@output_option
@at_option
@click.option(
    "--against", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="Prove instead that the roll-out from an older output folder keeps working, in any order.",
)  # fmt: skip
@click.option(
    "--live", multiple=True, metavar="ADDRESS=HOST:PORT",
    help="Call the HTTPS server that runs there with the files of ADDRESS instead; repeatable.",
)  # fmt: skip
@screen_options
def prove(
    specs: tuple[Path, ...], output: Path, at: str | None, against: Path | None, live: tuple[str, ...], **options: Any
) -> None:
    """Let every client meet every server, in real TLS handshakes.

    And try all who must be kept out. In memory: no port is opened. Exit 1 where one is not as expected, 2 where some
    could not be tried.
    """
    screen = Screen.of(options)
    _refuse_both(screen, at, against, live)
    loaded = load(screen, "prove", specs, reads_keys=False)
    bar = ProgressBar(is_shown=sys.stderr.isatty() and not screen.is_quiet, what="handshakes")
    then = moment(screen, "prove", at) if at is not None else None
    answers: list[Proof | RollOut] = []
    try:
        if live:
            answers += _of_servers(loaded, output, live, bar)
        elif against is not None:
            answers += _of_roll_outs(loaded, output, against, bar)
        else:
            answers += _of_trees(loaded, output, then, bar)
    except CertgenError as reason:
        bar.close()
        screen.fail("prove", reason.diagnostics)
    bar.close()
    _show(screen, answers)


def _refuse_both(screen: Screen, at: str | None, against: Path | None, live: tuple[str, ...]) -> None:
    given = [name for name, value in (("--at", at), ("--against", against), ("--live", live)) if value]
    if len(given) > 1:
        screen.fail("prove", [error("conflict", f"`{given[0]}` and `{given[1]}` exclude each other", help="give one")])


def _of_trees(loaded: tuple[LoadedSpec, ...], output: Path, then: datetime | None, bar: ProgressBar) -> Iterator[Proof]:
    from certgen.prove.prove import prove as try_all
    from certgen.store.tree import Tree

    for item in loaded:
        tree = Tree(output / item.bundle.name)
        yield try_all(item.bundle, tree, datetime.now(UTC), then, bar.advance, jobs=cores())


def _of_roll_outs(loaded: tuple[LoadedSpec, ...], output: Path, against: Path, bar: ProgressBar) -> Iterator[RollOut]:
    from certgen.rollout import prove_roll_out
    from certgen.store.tree import Tree

    for item in loaded:
        tree, older = (Tree(folder / item.bundle.name) for folder in (output, against))
        yield prove_roll_out(item.bundle, tree, older, datetime.now(UTC), bar.advance, jobs=cores())


def _of_servers(
    loaded: tuple[LoadedSpec, ...], output: Path, live: tuple[str, ...], bar: ProgressBar
) -> Iterator[Proof]:
    from certgen.live import parse_place, prove_live
    from certgen.store.tree import Tree

    for place in map(parse_place, live):
        item = _spec_of(place, loaded)
        tree = Tree(output / item.bundle.name)
        yield prove_live(item.bundle, tree, place, datetime.now(UTC), bar.advance, jobs=cores())


def _spec_of(place: Place, loaded: tuple[LoadedSpec, ...]) -> LoadedSpec:
    """Find the spec that has an entry; the first, which says what is wrong, where none has or several have."""
    having = [item for item in loaded if place.address in item.bundle.index]
    if len(having) > 1:
        message = f"{place.address} is in {' and '.join(item.bundle.name for item in having[:2])}"
        raise CertgenError(
            [error("ambiguous-address", message, help="name the one spec that is meant", where="--live")]
        )
    return (having or list(loaded))[0]


def _diagnostics(answer: Proof | RollOut) -> Iterator[Diagnostic]:
    yield from (*answer.findings, *answer.unknowns)
    yield from getattr(answer, "warnings", ())


def _show(screen: Screen, answers: list[Proof | RollOut]) -> None:
    from certgen.prove.values import Judgement

    screen.diagnose(diagnostic for answer in answers for diagnostic in _diagnostics(answer))
    if screen.is_json:
        from certgen.report import json_v1

        body = {"specs": [_body(answer) for answer in answers], "diagnostics": []}
        screen.result(json_v1.render("prove", body))
    else:
        for answer in answers:
            screen.result(_text(screen, answer))
    codes = {Judgement.AS_EXPECTED: SOUND, Judgement.UNEXPECTED: DIFFERENT, Judgement.UNKNOWN: UNKNOWN}
    judgements = {codes[answer.judgement] for answer in answers}
    sys.exit(DIFFERENT if DIFFERENT in judgements else max(judgements, default=SOUND))


def _body(answer: Proof | RollOut) -> dict[str, Any]:
    from certgen.prove.values import RollOut
    from certgen.report import json_v1

    return json_v1.roll_out(answer) if isinstance(answer, RollOut) else json_v1.proof(answer)


def _text(screen: Screen, answer: Proof | RollOut) -> str:
    from certgen.prove.values import RollOut
    from certgen.report.proof import render_proof, render_roll_out

    paint, width = screen.painter(sys.stdout), screen.width(sys.stdout)
    return render_roll_out(answer, paint, width) if isinstance(answer, RollOut) else render_proof(answer, paint, width)
