"""`gcsim optimize`."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from gcsim.cli import exit_codes
from gcsim.cli.output import format_value, stdout_console
from gcsim.cli.sweep import executor_on, stop_on_ctrl_c, sweep_progress
from gcsim.datasets.metrics import METRIC_BY_NAME
from gcsim.errors import DatasetError
from gcsim.optimize.advice import Advice, Candidate, advise, write_advice
from gcsim.optimize.goals import parse_goals
from gcsim.optimize.search import Request, search
from gcsim.optimize.space import parse_over
from gcsim.spec.load import load_spec
from gcsim.spec.overrides import apply_overrides
from gcsim.sweep.execute import SweepInterrupted
from gcsim.sweep.plan import format_knob

_FRONT_ROWS = 12


@click.command("optimize")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--minimize", multiple=True, metavar="METRIC", help="A metric to make small (`gcsim names`). Repeatable."
)
@click.option("--maximize", multiple=True, metavar="METRIC", help="A metric to make large. Repeatable.")
@click.option(
    "--subject-to",
    multiple=True,
    metavar="CONDITION",
    help="A condition to keep, such as 'memory_peak_bytes<512MiB'. Repeatable; the spec's thresholds hold too.",
)
@click.option(
    "--over",
    multiple=True,
    metavar="KNOBS",
    help="What may be set, such as gogc,gomemlimit,gomaxprocs. These have ranges of their own: GOGC 25..800, GOMEMLIMIT"
    " from just above the live heap, both up to off, and GOMAXPROCS up to the cores.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KNOB=RANGE",
    help="The range of a knob, or of any field of the spec: gogc=25..800, gomemlimit=64MiB..1GiB,off, go=1.24,1.27. Repeatable.",
)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a field. Repeatable.")
@click.option(
    "--budget",
    type=click.IntRange(2, 10_000),
    default=30,
    show_default=True,
    help="Settings to try, the present one among them.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=4,
    show_default=True,
    help="Settings asked for at once. More keep more workers busy and learn less from each other.",
)
@click.option(
    "--replications",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Runs of each setting, the same seeds at every one.",
)
@click.option(
    "--confirm",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    help="Runs of the best three and the present setting with fresh seeds, by which they are judged.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed instead of the spec's.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory of the runs. [default: sweeps/optimize-<name of the spec>]",
)
@click.option("--resume", is_flag=True, help="Go on with the search that is in the directory.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Worker processes. [default: one per CPU]")
@click.option("--dask", metavar="ADDRESS", help="Simulate on a Dask cluster, as `gcsim sweep` does.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result on stdout.",
)
@click.pass_context
def command(
    ctx: click.Context,
    spec: Path,
    minimize: tuple[str, ...],
    maximize: tuple[str, ...],
    subject_to: tuple[str, ...],
    over: tuple[str, ...],
    ranges: tuple[str, ...],
    overrides: tuple[str, ...],
    budget: int,
    batch: int,
    replications: int,
    confirm: int,
    seed: int | None,
    out: Path | None,
    resume: bool,
    jobs: int | None,
    dask: str | None,
    output: str,
) -> None:
    """Find the best setting of SPEC with few runs, and print the variables that set it.

    Prints the Pareto front (objectives and conditions against each other), the recommended setting, and its difference
    from the present one with 95 % intervals, by seeds that the search has not seen. The runs make a sweep's directory,
    for `gcsim report`, `compare` and `export`. Exit code 99: no setting keeps every condition.
    """
    program = apply_overrides(load_spec(spec), overrides)
    request = Request(
        spec=program,
        goals=parse_goals(
            minimize=minimize, maximize=maximize, subject_to=subject_to, thresholds=program.thresholds
        ),
        over=parse_over(over, ranges, program),
        budget=budget,
        batch=batch,
        replications=replications,
        confirm=confirm,
        seed=program.run.seed if seed is None else seed,
    )
    directory = out or Path("sweeps") / f"optimize-{program.name}"
    stop = threading.Event()
    try:
        with stop_on_ctrl_c(stop), sweep_progress() as progress:
            found = search(
                request,
                directory,
                jobs=jobs,
                resume=resume,
                executor=executor_on(dask, jobs),
                progress=progress,
                stop=stop,
            )
    except DatasetError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    except SweepInterrupted:
        again = [word for word in sys.argv[1:] if word != "--resume"] + ["--resume"]
        click.echo(f"Interrupted. Go on with:\n  gcsim {shlex.join(again)}", err=True)
        ctx.exit(exit_codes.INTERRUPTED)
    advice = advise(found)
    write_advice(advice, directory)
    if output == "json":
        click.echo(json.dumps(advice.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(advice)
    for warning in advice.warnings:
        click.echo(f"Note: {warning}", err=True)
    click.echo(f"runs: {directory}; `gcsim report {directory} -o report.html` shows them all", err=True)
    if not advice.recommended.is_feasible:
        ctx.exit(exit_codes.THRESHOLD_FAILED)
    if advice.failed:
        click.echo(f"{advice.failed} of {advice.runs + advice.failed} runs failed", err=True)
        ctx.exit(exit_codes.PARTIAL)


def _print(advice: Advice) -> None:
    console = stdout_console()
    wanted = ", ".join([*map(str, advice.goals.objectives), *map(str, advice.goals.constraints)])
    console.print(f"Pareto front of {advice.settings} settings: {wanted}", style="bold", markup=False)
    console.print(_front_table(advice))
    if len(advice.front) > _FRONT_ROWS:
        console.print(f"  and {len(advice.front) - _FRONT_ROWS} more; --output json has all")
    console.print()
    runs = advice.comparison.runs_b
    how = {
        "paired": f"{runs} runs of each, paired by seed",
        "welch": f"{advice.comparison.runs_a} and {runs} runs",
        "single": "one run of each",
    }[advice.comparison.method]
    console.print(f"The present setting and {advice.recommended.label}: {how}", style="bold", markup=False)
    console.print(_difference_table(advice))
    console.print()
    best = advice.recommended
    rest = [w for w in best.label.split() if w.partition("=")[0] not in ("gogc", "gomemlimit", "gomaxprocs")]
    words = [*(f"{name}={value}" for name, value in best.environment.items()), *rest]
    console.print(f"Set: {' '.join(words)}", style="bold", markup=False)


def _front_table(advice: Advice) -> Table:
    metrics = advice.goals.metrics
    table = Table(box=None, pad_edge=False)
    for name in advice.recommended.knobs:
        table.add_column(name, justify="right", no_wrap=True)
    for name in metrics:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for candidate in _shown(advice.front, advice.recommended):
        knobs = [format_knob(name, value) for name, value in candidate.knobs.items()]
        marks = []
        if candidate.point_id == advice.recommended.point_id:
            marks.append("recommended")
        if candidate.point_id == advice.present.point_id:
            marks.append("present")
        if not candidate.is_feasible:
            marks.append("misses a condition")
        table.add_row(*knobs, *(_mean(candidate, name) for name in metrics), ", ".join(marks))
    return table


def _shown(front: Sequence[Candidate], recommended: Candidate) -> list[Candidate]:
    """Some of a long front, evenly, with its ends and the recommended setting."""
    if len(front) <= _FRONT_ROWS:
        return list(front)
    places = {round(n * (len(front) - 1) / (_FRONT_ROWS - 1)) for n in range(_FRONT_ROWS)}
    return [c for n, c in enumerate(front) if n in places or c.point_id == recommended.point_id]


def _mean(candidate: Candidate, name: str) -> str:
    mean, low = candidate.summary[name], candidate.summary[f"{name}_ci95_low"]
    spread = f" ±{100 * abs((mean - low) / mean):.1f} %" if mean and low is not None else ""
    return format_value(METRIC_BY_NAME[name], mean) + spread


def _difference_table(advice: Advice) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("metric", "present", "recommended", "difference", "95 % interval"):
        table.add_column(name, justify="left" if name == "metric" else "right", no_wrap=True)
    for difference in advice.differences:
        metric = METRIC_BY_NAME[difference.metric]
        cells = [format_value(metric, value) for value in (difference.a, difference.b)]
        frac = difference.delta_frac
        cells.append("-" if frac is None else f"{100 * frac:+.1f} %")
        if difference.low is None or difference.high is None or not difference.a:
            cells.append("-")
        elif difference.significant is False:
            cells.append("no significant difference")
        else:
            low, high = (100 * end / abs(difference.a) for end in (difference.low, difference.high))
            cells.append(f"{low:+.1f} .. {high:+.1f} %")
        table.add_row(difference.metric, *cells)
    return table
