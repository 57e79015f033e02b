"""`gcsim names`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.table import Table

from gcsim.cli.output import stdout_console
from gcsim.datasets.metrics import METRICS
from gcsim.spec.overrides import KNOBS


@click.command("names")
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form."
)
def command(output: str) -> None:
    """List the names of knobs and metrics.

    Knobs are short names of spec fields, for --set; metrics are the numbers of the summary, for thresholds.
    """
    if output == "json":
        body = {"knobs": [asdict(knob) for knob in KNOBS], "metrics": [asdict(metric) for metric in METRICS]}
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    console = stdout_console()
    knobs = Table("knob", "field of the spec", "what", title="Knobs", title_justify="left", box=None)
    for knob in KNOBS:
        knobs.add_row(knob.alias, knob.path, knob.description)
    metrics = Table("metric", "unit", "what", title="Metrics", title_justify="left", box=None)
    for metric in METRICS:
        metrics.add_row(metric.name, metric.unit, metric.description)
    console.print(knobs)
    console.print()
    console.print(metrics)
