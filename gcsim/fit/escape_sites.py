"""Allocation sites of a real Go package, from its compiler's own words."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gcsim.errors import RunError
from gcsim.interop.compiler import CompilerSite
from gcsim.spec.models import AllocationSite

_MAX_NAME = 62


def compile_package(directory: Path, *, go: str = "go") -> str:
    """What the compiler says about the package in a directory: the text of ``go build -gcflags=-m=2``.

    Nothing is written but the build cache. The output is there even if it was built before.

    Raises:
        RunError: there is no such toolchain, or the package does not compile.
    """
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    command = [go, "build", "-gcflags=-m=2", "-o", os.devnull, "."]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{go}: cannot be run: {reason}; name Go's command with --go-command") from error
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-5:])
        raise RunError(f"{' '.join(command)} in {directory} failed; make the package build first:\n{last}")
    return done.stderr


def to_spec_sites(found: Iterable[CompilerSite]) -> list[AllocationSite]:
    """Sites as a spec has them, each with a name made of what and where it is.

    A verdict is only kept where the compiler did not explain it: an explained site can be decided for any release.
    """
    sites: list[AllocationSite] = []
    used: dict[str, int] = {}
    for site in found:
        name = _name(site)
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f"{name[: _MAX_NAME - 4]}-{used[name]}"
        sites.append(
            AllocationSite.model_validate(
                {
                    "name": name,
                    "construct": site.construct.value,
                    "size": site.size_bytes,
                    "constant_size": site.constant_size,
                    "pointer_words": site.pointer_words,
                    "flows": [flow.value for flow in site.flows],
                    "escapes": None if site.is_explained else site.escapes,
                    "where": f"{site.where}: {site.says}",
                }
            )
        )
    return sites


def _name(site: CompilerSite) -> str:
    file, line, column = site.where.rsplit(":", 2)
    stem = re.sub(r"[^a-z0-9]+", "-", Path(file).stem.lower()).strip("-")
    return f"{site.construct.value.replace('_', '-')}-{stem}"[: _MAX_NAME - 14] + f"-{line}-{column}"
