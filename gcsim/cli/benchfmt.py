"""`gcsim benchfmt`."""

from __future__ import annotations

from pathlib import Path

import click

from gcsim.datasets.reader import load
from gcsim.interop.benchfmt import lines


@click.command("benchfmt")
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
def command(runs: tuple[Path, ...]) -> None:
    """Print each RUN in Go's benchmark format, for benchstat.

    RUN is a run directory, or a directory of replications, which gives a line for each. An operation is a request.
    """
    text = list(lines(load(run) for run in runs))
    for line in text:  # all of them, or an error and none
        click.echo(line)
