"""`gcsim predict`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gcsim.cli import exit_codes
from gcsim.cli.output import stderr_console, stdout_console
from gcsim.fit.measured import METRICS, ComparedMetric, Number
from gcsim.fit.predict import DEFAULT_SEEDS, Prediction, predict
from gcsim.fit.records import read_records
from gcsim.units import format_bytes, format_ns

Command = Callable[..., Any]


def simulation_options(command: Command) -> Command:
    """The options of every command that simulates recorded cases."""
    for option in (
        click.option(
            "--jobs",
            type=click.IntRange(1, 1024),
            help="Cases simulated at once; the output is the same. [default: number of CPUs]",
        ),
        click.option(
            "--seeds",
            type=click.IntRange(1, 1000),
            default=DEFAULT_SEEDS,
            show_default=True,
            help="Simulations of each case; a prediction is their median.",
        ),
        click.option(
            "--profile",
            metavar="P",
            help="Machine profile, by name or path. [default: the recorded machine's]",
        ),
    ):
        command = option(command)
    return command


@click.command("predict")
@click.argument("record", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@simulation_options
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the predictions on stdout.",
)
@click.pass_context
def command(
    ctx: click.Context,
    record: tuple[Path, ...],
    profile: str | None,
    seeds: int,
    jobs: int | None,
    output: str,
) -> None:
    """Simulate the program of each RECORD and print what it would measure.

    RECORD is a file, or a folder of files, of a recorded run (workload, settings, repeats). Its repeats are not
    read: what was measured cannot enter a prediction. `gcsim validate` puts the two side by side.
    """
    records = read_records(list(record))
    with case_progress(len(records)) as progress:
        predictions = predict(
            records, profile=profile, seeds=seeds, jobs=jobs or os.cpu_count() or 1, progress=progress
        )
    done = [prediction for prediction in predictions if prediction.error is None]
    if output == "json":
        body = {prediction.case: prediction.metrics for prediction in done}
        click.echo(json.dumps(body, indent=2, allow_nan=False))
    else:
        for metrics in (METRICS[:8], METRICS[8:]):
            stdout_console().print(_table(done, metrics))
    if report_failures({p.case: p.error for p in predictions if p.error is not None}):
        ctx.exit(exit_codes.RUN_FAILED)


def report_failures(failed: dict[str, str]) -> bool:
    """Name each failed case on stderr; whether there were any."""
    for case, error in failed.items():
        click.echo(f"Error: {case}: {error}", err=True)
    return bool(failed)


def format_number(metric: ComparedMetric, value: Number | None) -> str:
    """A compared metric's value for people; "-" where there is none."""
    if value is None:
        return "-"
    if metric.unit == "bytes":
        return format_bytes(value)
    if metric.unit == "ns":
        return format_ns(value)
    return f"{value:,.0f}"


def _table(predictions: Sequence[Prediction], metrics: Sequence[ComparedMetric]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("case", no_wrap=True)
    for metric in metrics:
        table.add_column(metric.short, justify="right", no_wrap=True)
    for prediction in predictions:
        cells = (format_number(metric, prediction.metrics[metric.name]) for metric in metrics)
        table.add_row(prediction.case, *cells)
    return table


@contextmanager
def case_progress(cases: int) -> Iterator[Callable[[Prediction], None] | None]:
    """A bar on stderr: cases done and time to go.  None where stderr is no terminal."""
    console = stderr_console()
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("simulating", total=cases)

        def advance(prediction: Prediction) -> None:
            bar.update(task, advance=1, description=prediction.case)

        yield advance
