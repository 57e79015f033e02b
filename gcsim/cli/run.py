"""`gcsim run`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from gcsim.cli import exit_codes
from gcsim.cli.output import (
    echo_thresholds,
    stderr_console,
    stdout_console,
    summary_csv,
    summary_json,
    summary_table,
)
from gcsim.datasets.notes import notes
from gcsim.datasets.run import run
from gcsim.datasets.thresholds import evaluate_thresholds
from gcsim.datasets.writer import refuse_taken
from gcsim.errors import DatasetError
from gcsim.spec.load import load_spec
from gcsim.spec.overrides import apply_overrides
from gcsim.units import S, format_ns

if TYPE_CHECKING:
    from gcsim.runtime import Progress as EngineProgress


@click.command("run")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field of the spec, by its path or short name (`gcsim names`), such as gogc=200. Repeatable.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed instead of the spec's.")
@click.option(
    "--replications",
    type=click.IntRange(1, 10_000),
    help="Number of runs, each with a seed of its own; the summary then has means and confidence intervals.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory to make. [default: runs/<run_id>]"
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Form of the summary on stdout.",
)
@click.pass_context
def command(
    ctx: click.Context,
    spec: Path,
    overrides: tuple[str, ...],
    seed: int | None,
    replications: int | None,
    out: Path | None,
    output: str,
) -> None:
    """Simulate SPEC and print the summary.

    The tables go to a run directory, which `gcsim.load` and everything that reads Parquet can open.
    """
    loaded = apply_overrides(load_spec(spec), overrides)
    if out is not None:
        try:
            refuse_taken(out, replace=False)
        except DatasetError as error:
            raise click.BadParameter(str(error), param_hint="--out") from error
    with _progress_bar(replications or loaded.run.replications) as progress:
        result = run(loaded, seed=seed, replications=replications, out=out, progress=progress)
    outcomes = evaluate_thresholds(loaded.thresholds, result.summary)
    if output == "table":
        console = stdout_console()
        console.print(
            f"{loaded.name}: {loaded.description}" if loaded.description else loaded.name, markup=False
        )
        console.print(summary_table(result.summary))
    elif output == "json":
        click.echo(summary_json(result.summary, outcomes), nl=False)
    else:
        click.echo(summary_csv(result.summary), nl=False)
    click.echo(f"run directory: {result.path}", err=True)
    for note in notes(result):
        click.echo(f"Note: {note}", err=True)
    if not echo_thresholds(outcomes):
        ctx.exit(exit_codes.THRESHOLD_FAILED)


class _SimulatedTime(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / S:.1f} of {format_ns(task.total or 0)} simulated")


@contextmanager
def _progress_bar(replications: int) -> Iterator[Callable[[int, EngineProgress], None] | None]:
    """A bar on stderr: simulated time, GC cycles, time to go.  None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        _SimulatedTime(),
        TextColumn("{task.fields[cycles]:,} GC cycles"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr_console(), transient=True) as bar:
        task = bar.add_task("simulating", total=None, cycles=0)
        cycles_before = [0] * replications  # GC cycles of each replication, as far as it has got

        def update(number: int, at: EngineProgress) -> None:
            cycles_before[number] = at.cycles
            bar.update(
                task,
                description="simulating"
                if replications == 1
                else f"replication {number + 1} of {replications}",
                total=at.end_ns * replications,
                completed=number * at.end_ns + at.sim_time_ns,
                cycles=sum(cycles_before),
            )

        yield update
