"""`gcsim report`."""

from __future__ import annotations

from pathlib import Path

import click

from gcsim.datasets.open import load
from gcsim.datasets.sweep import SweepResult
from gcsim.errors import DatasetError


@click.command("report")
@click.argument("dataset", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="File to write: .html for the interactive page, .png for a slide (needs gcsim[plot]).",
)
def command(dataset: Path, out: Path) -> None:
    """Write a report of DATASET, the directory of a run, of replications or of a sweep.

    The page is one file that opens offline: for a run heap, phases, pauses, CPU and latency over time; for a sweep sliders
    over its knobs and a chart of memory against latency and CPU.
    """
    try:
        result = load(dataset)
    except DatasetError as error:
        raise click.BadParameter(str(error), param_hint="DATASET") from error
    # Here, not above: Bokeh takes a second to import.
    from gcsim.report.run_report import run_page, write_text

    if out.suffix == ".png":
        from gcsim.report.png import draw

        draw(result, out)
    elif out.suffix not in (".html", ".htm"):
        raise click.BadParameter(f"{out.name} is neither .html nor .png", param_hint="--out")
    elif isinstance(result, SweepResult):
        from gcsim.report.sweep_report import sweep_page

        write_text(out, sweep_page(result))
    else:
        write_text(out, run_page(result))
    click.echo(f"report: {out}", err=True)
