"""`gcsim validate SPEC --live`: the part that runs a real program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gcsim.cli.output import stderr_console, stdout_console
from gcsim.cli.predict import format_number
from gcsim.errors import RunError
from gcsim.fit.measured import METRICS
from gcsim.fit.pictures import live_picture
from gcsim.fit.side_by_side import (
    LiveResult,
    default_directory,
    plan_live,
    replace_file,
    run_live,
    write_live,
)
from gcsim.spec.load import load_spec


def validate_live(
    path: Path,
    *,
    profile: str | None,
    seeds: int,
    repeats: int,
    go: str | None,
    out: Path | None,
    output: str,
) -> None:
    """Run the spec in a file for real, simulate it, print the comparison and leave record and picture.

    Raises:
        SpecError: the spec is wrong or the Go program cannot do it.
        RunError: no Go toolchain, or the program fails.
    """
    spec = load_spec(path)
    plan = plan_live(spec, go=go)
    for note in plan.notes:
        click.echo(f"note: the Go program {note}; the simulation does the same", err=True)
    with _step_progress(2 + repeats + seeds) as on_step:
        result = run_live(spec, plan, go=go, repeats=repeats, seeds=seeds, profile=profile, on_step=on_step)
    directory = out or default_directory(plan)
    write_live(result, directory)
    try:
        replace_file(directory / "comparison.png", live_picture(result))
    except RunError as error:
        click.echo(f"no picture: {error}", err=True)
    if result.disturbance:
        click.echo(f"note: {result.disturbance}", err=True)
    if output == "json":
        click.echo(json.dumps(result.validation.as_dict(), indent=2, allow_nan=False))
    else:
        stdout_console().print(_table(result))
    click.echo(f"record, curves and picture: {directory}", err=True)


def _table(result: LiveResult) -> Table:
    table = Table(box=None, pad_edge=False, title=result.case, title_justify="left")
    table.add_column("metric", no_wrap=True)
    for heading in ("predicted", "measured", "error %", "spread of repeats ± %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric in METRICS:
        found = result.validation.cases[result.case][metric.name]
        error, spread = (
            "-" if value is None else f"{round(100 * value, 1) + 0.0:{sign}.1f}"
            for value, sign in ((found.error_rel, "+"), (found.half_spread_rel, ""))
        )
        table.add_row(
            metric.name,
            format_number(metric, found.predicted),
            format_number(metric, found.measured),
            error,
            spread,
        )
    return table


@contextmanager
def _step_progress(steps: int) -> Iterator[Callable[[str], None]]:
    """What is being done: a bar where stderr is a terminal, otherwise a line each."""
    console = stderr_console()
    if not console.is_terminal:
        yield lambda what: click.echo(what, err=True)
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("", total=steps, completed=-1)
        yield lambda what: bar.update(task, description=what, advance=1)
