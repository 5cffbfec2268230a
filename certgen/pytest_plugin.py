"""Floor 15: the plugin for pytest, which alone imports this: a bundle for a test suite, in a fixture.

Every run of pytest pays for what is imported here, whether it asks for a bundle or not; so certgen's own modules wait
until it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from certgen.testing import CompiledBundle


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    help_ = "the spec that certgen_bundle compiles; default certgen.yaml, or the one specs/*.yaml"
    parser.addini("certgen_spec", help_, default=None)


@pytest.fixture(scope="session")
def certgen_spec(pytestconfig: pytest.Config) -> Path | str | Mapping[str, object]:
    """The spec that certgen_bundle compiles: a path from the rootdir, or a mapping.

    Override it to give your own, in the topmost conftest.py: one bundle serves the whole run.
    """
    named = pytestconfig.getini("certgen_spec")
    if named:
        return Path(named)
    with _diagnosed():
        from certgen.testing import find_spec

        return find_spec(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def certgen_bundle(
    certgen_spec: Path | str | Mapping[str, object],
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> CompiledBundle:
    """The certificates of certgen_spec, compiled for this run: servers, clients, peers and cas by their names."""
    spec = pytestconfig.rootpath / certgen_spec if isinstance(certgen_spec, str | Path) else certgen_spec
    with _diagnosed():
        from certgen.testing import compile_spec

        return compile_spec(spec, tmp_path_factory.mktemp("certgen"), datetime.now(UTC))


@contextmanager
def _diagnosed() -> Iterator[None]:
    """Let a fixture fail with diagnostics, and without a traceback: the mistake is in a spec."""
    from certgen.diagnostics import CertgenError

    try:
        yield
    except CertgenError as reason:
        from certgen.report.diagnostics import render_diagnostics

        text = render_diagnostics(reason.diagnostics).rstrip()
        raise pytest.fail.Exception(text, pytrace=False) from None
