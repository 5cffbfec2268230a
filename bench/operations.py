"""What is timed: a contender, a fleet and an operation make a lane, in a folder of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from time import sleep
from typing import Final

from bench.contenders import Contender, certgen, write_spec
from bench.environment import Environment
from bench.measure import FailedError, Lane, spend
from bench.specs import NAME, Fleet

_HERE: Final = Path(__file__).resolve().parent
_LIBRARIES: Final = "import pydantic, yaml, jinja2, cryptography.x509"
_HANDSHAKES: Final = "handshakes"


@dataclass(frozen=True)
class Site:
    """Where lanes are laid out.

    folder: holds a folder for each lane.
    flushes: whether what earlier runs left to be written goes to the disk before a run, which it would slow down.
    patience: seconds from a change of a tree until certgen, as git, takes the times of its files at their word.
    """

    environment: Environment
    folder: Path
    flushes: bool = False
    patience: float = 0.1

    def lane(self, who: str, what: str, command: tuple[str, ...]) -> Lane:
        """Lay out a lane; its folder is not there yet."""
        name = f"{who}, {what}"
        folder = self.folder / "".join(letter if letter.isalnum() else "-" for letter in name)
        return Lane(name, who, command, folder, self.environment.variables, prepare=partial(_make, folder))

    def settled(self, lane: Lane, *, before: Callable[[], None] = lambda: None) -> Lane:
        """Let a lane begin each run with what it needs, and with a disk that is done with the last."""

        def ready() -> None:
            before()
            if self.flushes:
                os.sync()

        return replace(lane, before=ready)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True)


def bare(site: Site) -> Lane:
    """Start Python, and no more."""
    return site.lane("bare Python", "start", (str(site.environment.python), "-I", "-c", "pass"))


def imports(site: Site) -> Lane:
    """Import the four libraries in one Python."""
    return site.lane("imports of the four libraries", "start", (str(site.environment.python), "-I", "-c", _LIBRARIES))


def cold(contender: Contender, fleet: Fleet, site: Site) -> Lane:
    """Make a fleet where there is nothing."""
    lane = site.lane(contender.name, f"cold at {fleet.size}", contender.command(fleet, site.environment))
    output = lane.folder / "output"

    def prepare() -> None:
        _make(lane.folder)
        contender.prepare(fleet, lane.folder)

    def before() -> None:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()

    def fault() -> str | None:
        made = sum(1 for _ in output.glob(contender.certificates))
        return None if made == fleet.size else f"made {made} end entities of {fleet.size}"

    return site.settled(replace(lane, prepare=prepare, fault=fault), before=before)


def no_op(contender: Contender, fleet: Fleet, site: Site) -> Lane:
    """Run again, some time later, where there is nothing to do."""
    lane = _after_cold(contender, fleet, site, "no-op")
    lane = replace(lane, command=contender.command(fleet, site.environment))

    def prepare() -> None:
        lane.prepare()
        _settle(lane, site)

    return replace(lane, prepare=prepare)


def _settle(lane: Lane, site: Site) -> None:
    """Let some time go by, and let a run note that there is nothing to do."""
    sleep(site.patience)
    spend(lane)


def one_change(fleet: Fleet, site: Site) -> Lane:
    """Give one server another SAN, some time after the last run."""
    lane = _after_cold(certgen(), fleet, site, "one change")
    certificate = lane.folder / "output" / NAME / "servers" / fleet.servers[0] / "cert.pem"
    numbers = count(1)
    seen = b""

    def before() -> None:
        nonlocal seen
        _settle(lane, site)
        seen = certificate.read_bytes()
        write_spec(replace(fleet, first_host=f"changed-{next(numbers):04}"), lane.folder)

    def fault() -> str | None:
        return "the certificate is as it was" if certificate.read_bytes() == seen else None

    return site.settled(replace(lane, fault=fault), before=before)


def fresh_clone(fleet: Fleet, site: Site) -> Lane:
    """Plan on a tree as git has it: no private keys, and nothing of this machine's own."""
    lane = _after_cold(certgen(), fleet, site, "plan on a fresh clone", "plan")
    output = lane.folder / "output"

    def prepare() -> None:
        lane.prepare()
        for key in output.glob("*/*/*/key.pem"):
            key.unlink()

    # A run may note what it has seen; the next is to be the first again.
    return site.settled(
        replace(lane, prepare=prepare),
        before=lambda: shutil.rmtree(output / NAME / ".certgen", ignore_errors=True),
    )


def verify(fleet: Fleet, site: Site) -> Lane:
    """Audit a tree."""
    return _after_cold(certgen(), fleet, site, "verify", "verify")


def openssl_verify(fleet: Fleet, site: Site) -> Lane:
    """Let OpenSSL verify every certification path of a tree, and nothing else."""
    lane = _after_cold(certgen(), fleet, site, "verified by openssl")
    script = "find output -name cert.pem -path '*-*' -print0 | xargs -0 openssl verify -x509_strict -CAfile"
    return replace(
        lane,
        who="openssl verify",
        command=("bash", "-euo", "pipefail", "-c", f"{script} output/{NAME}/cas/root/cert.pem"),
    )


def prove(fleet: Fleet, site: Site) -> Lane:
    """Let certgen try all handshakes of a fleet."""
    lane = _after_cold(certgen(), fleet, site, "prove", "prove")

    def prepare() -> None:
        lane.prepare()
        command = [*lane.command, "--json"]
        done = subprocess.run(command, cwd=lane.folder, env=lane.variables, capture_output=True, check=False)
        if done.returncode:
            raise FailedError(f"exit {done.returncode}: {done.stderr.decode(errors='replace')}")
        handshakes = sum(spec["handshakes"] for spec in json.loads(done.stdout)["specs"])
        (lane.folder / _HANDSHAKES).write_text(str(handshakes), encoding="ascii")

    return replace(lane, prepare=prepare)


def bare_handshakes(fleet: Fleet, site: Site) -> Lane:
    """Let the standard library alone try the handshakes between a fleet's servers and clients."""
    lane = _after_cold(certgen(), fleet, site, "bare handshakes")
    script = (str(site.environment.python), "-I", str(_HERE / "handshakes.py"), f"output/{NAME}")

    def prepare() -> None:
        lane.prepare()
        handshakes = 2 * len(fleet.servers) * len(fleet.clients)
        (lane.folder / _HANDSHAKES).write_text(str(handshakes), encoding="ascii")

    return replace(lane, who="bare handshakes", command=script, prepare=prepare)


def handshakes_of(lane: Lane) -> int:
    """Give how many handshakes a lane makes in a run; it must have been prepared."""
    return int((lane.folder / _HANDSHAKES).read_text(encoding="ascii"))


def _after_cold(contender: Contender, fleet: Fleet, site: Site, what: str, command: str = "apply") -> Lane:
    """Lay out a lane that begins with a fleet that was made."""
    first = cold(contender, fleet, site)
    again = (str(site.environment.certgen), command, f"{NAME}.yaml")
    lane = site.lane(contender.name, f"{what} at {fleet.size}", again)
    first = replace(first, folder=lane.folder)

    def prepare() -> None:
        _make(lane.folder)
        contender.prepare(fleet, lane.folder)
        (lane.folder / "output").mkdir()
        spend(first)

    return site.settled(replace(lane, prepare=prepare))
