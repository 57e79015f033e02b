"""`gcsim trace`."""

from __future__ import annotations

from pathlib import Path

import click

from gcsim.datasets.reader import load
from gcsim.interop.files import write_whole
from gcsim.interop.trace_viewer import to_json


@click.command("trace")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write. [default: stdout]"
)
def command(run: Path, out: Path | None) -> None:
    """Write the time line of RUN as trace-viewer JSON.

    RUN is a run directory that has the table p_states (--set record.p_states=true). Open the file in
    https://ui.perfetto.dev or chrome://tracing: a row per P, the phases of each collection, pauses, assists, heap.
    """
    content = to_json(load(run))
    if out is None:
        click.echo(content, nl=False)
    else:
        write_whole(out, content)
