"""`gcsim pprof`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from gcsim.datasets.reader import load
from gcsim.interop.files import write_whole
from gcsim.interop.pprof import ProfileType, profile


@click.command("pprof")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, such as heap.pb.gz.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["alloc", "inuse", "cpu"]),
    default="alloc",
    show_default=True,
    help="alloc, inuse: heap profile that opens at what was allocated or at what is in use; cpu: CPU profile.",
)
@click.option(
    "--phase",
    type=click.Choice(["load", "all"]),
    default="load",
    show_default=True,
    help="load: as the summary, warm-up left out; all: from process start.",
)
def command(run: Path, out: Path, kind: str, phase: str) -> None:
    """Write a profile of RUN for `go tool pprof`.

    RUN is a run directory. Frames are the steps of the spec (main.<class>.<index>-<kind>) and the runtime's own.
    """
    write_whole(out, profile(load(run), cast(ProfileType, kind), phase=phase))
