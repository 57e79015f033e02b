"""`gcsim gctrace`."""

from __future__ import annotations

from pathlib import Path

import click

from gcsim.datasets.reader import load
from gcsim.errors import DatasetError
from gcsim.interop.gctrace import lines


@click.command("gctrace")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
def command(run: Path) -> None:
    """Print RUN as gctrace lines.

    RUN is a run directory. One line per collection from process start on, as GODEBUG=gctrace=1 prints them, so
    that existing parsers read them.
    """
    try:
        result = load(run)
    except DatasetError as error:
        raise click.BadParameter(str(error), param_hint="RUN") from error
    for line in lines(result):
        click.echo(line)
