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
from gcsim.cli.validate_live import validate_live
from gcsim.fit.accuracy import write_report
from gcsim.fit.compare import Comparison, Errors, Validation, validate
from gcsim.fit.measured import METRICS, ComparedMetric
from gcsim.fit.predict import predict
from gcsim.fit.records import read_records


@click.command("validate")
@click.argument("record", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--live", is_flag=True, help="Run the spec in a .yaml file for real, here and now, as a Go program."
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="With --live: runs of the Go program.",
)
@click.option(
    "--go", metavar="PATH", help="With --live: the go command. [default: on PATH, else of gcsim[go]]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --live: folder for record, curves and picture. [default: live/<case>]",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write a report with tables and pictures to this folder.",
)
@click.option("--skip-micro", is_flag=True, help="Leave out cases named micro-.")
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
    live: bool,
    repeats: int,
    go: str | None,
    out: Path | None,
    report: Path | None,
    skip_micro: bool,
    profile: str | None,
    seeds: int,
    jobs: int | None,
    output: str,
) -> None:
    """Compare predictions with what each RECORD measured, or, with --live, with a real program run here.

    RECORD is a file, or a folder of files, of a recorded run (workload, settings, repeats). Printed are signed
    relative errors per case, and their medians, means and worst beside the noise between repeats and beside the
    formula of the Go GC guide fitted at GOGC=100 of the same program, where such a record is among those given.
    Cases named micro-, from which machine profiles are calibrated, stay out of the sums.

    With --live the argument is a spec: `gcsim validate SPEC.yaml --live` writes and builds a Go program that does what
    the spec says, runs it, simulates it, and prints and draws both.
    """
    if live:
        if len(record) != 1 or record[0].suffix not in (".yaml", ".yml"):
            raise click.BadParameter("--live takes one spec, a .yaml file", param_hint="RECORD")
        if report is not None:
            raise click.BadParameter(
                "there is no report of a live comparison; see --out", param_hint="--report"
            )
        validate_live(record[0], profile=profile, seeds=seeds, repeats=repeats, go=go, out=out, output=output)
        return
    specs = [path for path in record if path.suffix in (".yaml", ".yml")]
    if specs:
        raise click.BadParameter(f"{specs[0]} is a spec; add --live to run it for real", param_hint="RECORD")
    records = [r for r in read_records(list(record)) if not (skip_micro and r.is_micro)]
    with case_progress(len(records)) as progress:
        predictions = predict(
            records, profile=profile, seeds=seeds, jobs=jobs or os.cpu_count() or 1, progress=progress
        )
    result = validate(records, predictions)
    if report is not None and result.cases:
        write_report(result, report, seeds=seeds)
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
    return f"[bold]{text}[/bold]" if found.is_off else text


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
    table.add_column("worst case", no_wrap=True, style="dim", min_width=30)
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
        table.add_row(metric.short, *cells, found.worst_case if found.worst else "-")
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
