"""nginx and Envoy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .finding import require
from .processes import Running, running

_NGINX_MAIN = {"daemon": "daemon off;", "pid": "pid nginx.pid;"}
"""Without the first nginx would leave the group by which it is stopped; without the second it writes to /run."""


@contextmanager
def nginx(config: Path, port: int, work: Path) -> Iterator[Running]:
    """Run nginx for the length of a `with`.

    config: its main configuration; `daemon off;` and `pid` are added unless it, or what it includes, has them.
    port: on which it is to listen.
    work: the folder of relative paths other than those of includes and certificates, and of nginx.log.

    Only root may write to the folders that nginx was built to keep bodies in: a configuration for all users
    names its own, as in `client_body_temp_path body;`.
    """
    program = require("nginx")
    work.mkdir(parents=True, exist_ok=True)
    arguments: list[str | Path] = [program, "-p", work.absolute(), "-c", config.absolute()]
    with running([*arguments, "-g", _missing(config)], port, work / "nginx.log", folder=work) as started:
        yield started


def _missing(config: Path) -> str:
    """List the directives that nginx is to be given beside a configuration; it refuses one that is there twice.

    Of a configuration that cannot be read all are missing: nginx says what is wrong with it, and is not set free.
    """
    import crossplane  # type: ignore[import-untyped]

    parsed = crossplane.parse(str(config.absolute()), combine=True, check_ctx=False, check_args=False)
    present = {statement["directive"] for file in parsed["config"] for statement in file["parsed"]}
    return " ".join(text for directive, text in _NGINX_MAIN.items() if directive not in present)


@contextmanager
def envoy(config: Path, port: int, work: Path) -> Iterator[Running]:
    """Run Envoy for the length of a `with`.

    config: its bootstrap configuration; the name must end in .yaml or .json.
    port: on which it is to listen.
    work: the folder of relative paths, and of envoy.log.
    """
    program = require("envoy")
    work.mkdir(parents=True, exist_ok=True)
    # Only for hot restarts would each Envoy of a machine need a base id of its own.
    options = ["--disable-hot-restart", "--file-flush-interval-msec", "100", "--concurrency", "1", "-l", "warning"]
    arguments: list[str | Path] = [program, "-c", config.absolute(), *options]
    with running(arguments, port, work / "envoy.log", folder=work) as started:
        yield started
