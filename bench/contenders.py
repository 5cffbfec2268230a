"""Who makes a fleet: certgen, the floor, and what others use; each with what it does not do."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench import loops
from bench.environment import Environment
from bench.specs import KEYS, NAME, P256, Fleet, certgen_spec, certyaml_manifest

_HERE: Final = Path(__file__).resolve().parent
ALL: Final = 10_000
FEW: Final = 100


@dataclass(frozen=True)
class Contender:
    """One way to make a fleet in the folder `output`.

    prepare: writes what the command reads; this is not timed.
    command: what is timed; it runs in the folder that was prepared.
    certificates: a pattern below `output` that matches one file of each end entity.
    programs: those that must be on the PATH.
    package: the one that must be importable.
    largest: the size of fleet beyond which nobody would wait for it.
    resumes: whether a second run finds that there is nothing to do.
    remark: what it does otherwise than the rest.
    """

    name: str
    prepare: Callable[[Fleet, Path], None]
    command: Callable[[Fleet, Environment], tuple[str, ...]]
    certificates: str
    programs: tuple[str, ...] = ()
    package: str = ""
    keys: tuple[str, ...] = KEYS
    largest: int = FEW
    resumes: bool = False
    remark: str = ""

    @property
    def missing(self) -> str | None:
        """What is not here that it needs."""
        absent = [program for program in self.programs if shutil.which(program) is None]
        if self.package and find_spec(self.package) is None:
            absent.append(self.package)
        return ", ".join(absent) or None

    def makes(self, fleet: Fleet) -> bool:
        """Whether it can be asked for this fleet."""
        return fleet.key in self.keys and fleet.size <= self.largest


def write_spec(fleet: Fleet, folder: Path) -> None:
    """Write certgen's spec of a fleet."""
    (folder / f"{NAME}.yaml").write_text(certgen_spec(fleet), encoding="utf-8")


def _write_manifest(fleet: Fleet, folder: Path) -> None:
    (folder / "manifest.yaml").write_text(certyaml_manifest(fleet), encoding="utf-8")


def certgen(jobs: int | None = None) -> Contender:
    """Give certgen, with its own choice of processes or with so many."""
    option = ("--jobs", str(jobs)) if jobs else ()
    return Contender(
        name="certgen" + (f", {jobs} {'process' if jobs == 1 else 'processes'}" if jobs else ""),
        prepare=write_spec,
        command=lambda _fleet, environment: (str(environment.certgen), "apply", f"{NAME}.yaml", *option),
        certificates=f"{NAME}/*/*-*/cert.pem",
        largest=ALL,
        resumes=True,
        remark="checks, plans, journals and syncs; three files each and a manifest",
    )


def floor(processes: int) -> Contender:
    """Give the script that only makes keys, signs and writes, in so many processes."""
    return Contender(
        name=f"floor, {processes} {'process' if processes == 1 else 'processes'}",
        prepare=lambda _fleet, _folder: None,
        command=lambda fleet, environment: (
            str(environment.python), "-I", str(_HERE / "floor.py"),
            str(fleet.size), fleet.key, "output", str(processes),
        ),
        certificates="*-*/cert.pem",
        largest=ALL,
        remark="no spec, no checks, no sync, nothing for a second run; three files each",
    )  # fmt: skip


CERTYAML: Final = Contender(
    name="certyaml",
    prepare=_write_manifest,
    command=lambda _fleet, _environment: ("certyaml", "-d", "output", "manifest.yaml"),
    certificates="*-*-key.pem",
    programs=("certyaml",),
    largest=ALL,
    resumes=True,
    remark="one process; no sync, no chain checks, expiry not looked at; two files each",
)

TRUSTME: Final = Contender(
    name="trustme",
    prepare=lambda _fleet, _folder: None,
    command=lambda fleet, _environment: (
        sys.executable, "-I", str(_HERE / "trusting.py"), str(fleet.size), "output",
    ),
    certificates="*-*/cert.pem",
    package="trustme",
    keys=(P256,),
    largest=ALL,
    remark="a library for tests: no spec, no sync, no second run; three files each; run by the Python that runs this",
)  # fmt: skip

OPENSSL: Final = Contender(
    name="openssl script",
    prepare=lambda _fleet, _folder: None,
    command=lambda fleet, _environment: ("bash", str(_HERE / "openssl.sh"), str(fleet.size), fleet.key, "output"),
    certificates="*-*/cert.pem",
    programs=("bash", "openssl"),
    remark="three processes for each end entity; three files each",
)


def _loop(
    name: str,
    write: Callable[[Fleet, Path], None],
    *programs: str,
    certificates: str = "*-*/cert.pem",
    keys: tuple[str, ...] = KEYS,
    remark: str = "",
) -> Contender:
    """Give a program that makes one certificate a call, called by a shell script."""
    return Contender(
        name=name,
        prepare=write,
        command=lambda _fleet, _environment: ("bash", loops.SCRIPT),
        certificates=certificates,
        programs=("bash", *programs),
        keys=keys,
        remark=f"called once or more for each end entity; no sync, no second run; {remark}",
    )


CONTENDERS: Final = (
    certgen(),
    floor(1),
    floor(2),
    CERTYAML,
    TRUSTME,
    OPENSSL,
    _loop("certtool", loops.certtool, "certtool", remark="three files each"),
    _loop("cfssl", loops.cfssl, "cfssl", "cfssljson", keys=loops.CFSSL_KEYS, remark="three files each"),
    _loop("minica", loops.minica, "minica", keys=(P256,), remark="its keys are P-384; three files each"),
    _loop("mkcert", loops.mkcert, "mkcert", keys=(P256,), remark="its root is RSA-3072; three files each"),
)
