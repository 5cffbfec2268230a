"""What all tests share: a machine without a user's settings, and a scene for each test that asks for one."""

import compileall
import os
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("scene", "faults", "grounds")

from scene import Scene  # noqa: E402 - rewritten first, so that its assertions say what they compared

# The verifier in Go is compiled once for all runs of a user; git asks who commits.
if "HOME" not in os.environ:
    os.environ.setdefault("XDG_CACHE_HOME", str(Path(tempfile.gettempdir()) / f"certgen-tests-{os.getuid()}"))
os.environ.update(
    GIT_CONFIG_GLOBAL=os.devnull,
    GIT_CONFIG_NOSYSTEM="1",
    GIT_AUTHOR_NAME="certgen",
    GIT_AUTHOR_EMAIL="certgen@shop.example",
    GIT_COMMITTER_NAME="certgen",
    GIT_COMMITTER_EMAIL="certgen@shop.example",
)


# What Python compiles at the first import of a module makes its folder another one, and that breaks stamps.
if "PYTEST_XDIST_WORKER" not in os.environ:
    compileall.compile_dir(str(Path(__file__).parent.parent / "certgen"), quiet=1)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)
