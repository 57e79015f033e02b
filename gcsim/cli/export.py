"""`gcsim export`."""

from __future__ import annotations

from pathlib import Path

import click

from gcsim.datasets.export import export_sweep
from gcsim.datasets.sweep import load_sweep
from gcsim.errors import DatasetError


@click.command("export")
@click.argument("sweep", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def command(sweep: Path, out: Path) -> None:
    """Write the directory SWEEP as one Parquet file per table into the new directory OUT.

    Rows are sorted by run_id; point, label, replication and swept knobs are columns of every table.
    """
    try:
        files = export_sweep(load_sweep(sweep), out)
    except DatasetError as error:
        raise click.BadParameter(str(error)) from error
    for path in files:
        click.echo(path)
