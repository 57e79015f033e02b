"""`gcsim validate`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.table import Table

from gcsim.cli import exit_codes
from gcsim.cli.output import stdout_console
from gcsim.cli.predict import case_progress, report_failures, simulation_options
from gcsim.fit.compare import Comparison, Errors, Validation, validate
from gcsim.fit.measured import METRICS, ComparedMetric
from gcsim.fit.predict import predict
from gcsim.fit.records import read_records


@click.command("validate")
@click.argument("record", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@simulation_options
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the comparison on stdout.",
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
    """Compare predictions with what each RECORD measured.

    RECORD is a file, or a folder of files, of a recorded run (workload, settings, repeats). Printed are signed
    relative errors per case, and their medians, means and worst beside the noise between repeats and beside the
    formula of the Go GC guide fitted at GOGC=100 of the same program, where such a record is among those given.
    Cases named micro-, from which machine profiles are calibrated, stay out of the sums.
    """
    records = read_records(list(record))
    with case_progress(len(records)) as progress:
        predictions = predict(
            records, profile=profile, seeds=seeds, jobs=jobs or os.cpu_count() or 1, progress=progress
        )
    result = validate(records, predictions)
    if output == "json":
        click.echo(json.dumps(result.as_dict(), indent=2, allow_nan=False))
    elif result.cases:
        console = stdout_console()
        for metrics in (METRICS[:8], METRICS[8:]):
            console.print(_case_table(result, metrics))
            console.print()
        console.print(_summary_table(result))
    if report_failures(result.failed):
        ctx.exit(exit_codes.RUN_FAILED)


def _case_table(result: Validation, metrics: Sequence[ComparedMetric]) -> Table:
    table = Table(
        box=None, pad_edge=False, title="Errors in %, predicted against measured", title_justify="left"
    )
    table.add_column("case (* micro: not in the sums)" if result.micro else "case", no_wrap=True)
    for metric in metrics:
        table.add_column(metric.short, justify="right", no_wrap=True)
    for case, row in result.cases.items():
        mark = " *" if case in result.micro else ""
        table.add_row(case + mark, *(_error_cell(row[metric.name]) for metric in metrics))
    return table


def _error_cell(found: Comparison) -> str:
    """The error in %; bold where it is more than a tenth and the repeats differ by less."""
    if found.error_rel is None:
        return "-"
    text = f"{round(100 * found.error_rel, 1) + 0.0:+.1f}"  # + 0.0: no "-0.0"
    is_off = abs(found.error_rel) > max(0.1, 2 * (found.half_spread_rel or 0.0))
    return f"[bold]{text}[/bold]" if is_off else text


def _summary_table(result: Validation) -> Table:
    errors, noise, formula = result.errors, result.noise, result.formula_errors
    beside = result.errors_where_formula
    n, n_formula = len(result.checked), max((found.cases for found in formula.values()), default=0)
    table = Table(
        box=None,
        pad_edge=False,
        title=f"Absolute errors in % over {n} case{'s' if n != 1 else ''}",
        title_justify="left",
    )
    table.add_column("metric", no_wrap=True)
    for heading in ("median", "mean", "worst", "noise"):
        table.add_column(heading, justify="right", no_wrap=True)
    if formula:
        table.add_column(f"on {n_formula} of them", justify="right", no_wrap=True)
        table.add_column("formula there", justify="right", no_wrap=True)
    table.add_column("worst case", no_wrap=True, style="dim")
    for metric in METRICS:
        name = metric.name
        if name not in errors:
            continue
        found = errors[name]
        cells = [
            _percent(found.median),
            _percent(found.mean),
            _percent(found.worst),
            _percent(noise.get(name)),
        ]
        if formula:
            cells += [_median_mean(beside, name, formula), _median_mean(formula, name, formula)]
        table.add_row(name, *cells, found.worst_case if found.worst else "-")
    if formula:
        table.caption = (
            "formula: of the Go GC guide, fitted at GOGC=100 of the same program; median / mean. "
            "noise: half the spread between repeats, median."
        )
        table.caption_justify = "left"
    return table


def _median_mean(errors: Mapping[str, Errors], name: str, where: Mapping[str, Errors]) -> str:
    if name not in where or name not in errors:
        return "-"
    return f"{_percent(errors[name].median)} / {_percent(errors[name].mean)}"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"
