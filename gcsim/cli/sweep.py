"""`gcsim sweep`."""

from __future__ import annotations

import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gcsim.cli import exit_codes
from gcsim.cli.output import echo_csv, echo_json_list, format_value, stderr_console, stdout_console
from gcsim.cli.remote import connect, optional_server_options
from gcsim.datasets.metrics import METRIC_BY_NAME
from gcsim.datasets.stopping import parse_stop_rule
from gcsim.datasets.sweep import ROWS_AT_ONCE, SweepPoint, SweepResult, points_parts, points_schema
from gcsim.datasets.thresholds import evaluate_thresholds
from gcsim.errors import DatasetError, Problem, SpecError
from gcsim.spec.load import load_spec
from gcsim.spec.overrides import apply_overrides
from gcsim.sweep.axes import read_axes, read_points_csv
from gcsim.sweep.execute import SweepInterrupted, SweepProgress, cpus, run_sweep
from gcsim.sweep.executor import Executor
from gcsim.sweep.plan import Layout, SweepPlan, format_knob, plan_sweep

if TYPE_CHECKING:
    from gcsim.client import Client
    from gcsim.client.sync import SubmittedSweep

T = TypeVar("T")

_MOST_REPLICATIONS = 10_000
_SHOWN = ("num_gc", "memory_peak_bytes", "gc_cpu_frac", "throughput_rps", "latency_ns_p50", "latency_ns_p99")


def replications_range(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """``5`` -> (5, 5), ``3..20`` -> (3, 20)."""
    if value is None:
        return None
    match = re.fullmatch(r"\s*([0-9]{1,5})\s*(?:\.\.\s*([0-9]{1,5})\s*)?", value)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= least <= most <= _MOST_REPLICATIONS:
        raise click.BadParameter(
            f"{value!r} is neither a number nor a range such as 3..20 (at most {_MOST_REPLICATIONS:,})"
        )
    return least, most


@click.command("sweep")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-P",
    "--param",
    "axes",
    multiple=True,
    metavar="PATH=VALUES",
    help="An axis: a field by its path or short name (`gcsim names`) and its values, such as gogc=50,100,200. Repeatable:"
    " every combination is a point.",
)
@click.option(
    "--zip", "zipped", is_flag=True, help="Take the axes' values together instead of every combination."
)
@click.option(
    "--points",
    "points_csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file of points: its header names fields, each row is a point.",
)
@click.option(
    "--latin-hypercube",
    "samples",
    type=click.IntRange(2, 1_000_000),
    metavar="N",
    help="N points that cover all axes evenly; axes may be ranges such as gogc=25..400 or gomemlimit=64MiB..1GiB:log.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field at every point. Repeatable.",
)
@click.option(
    "--replications",
    metavar="N|FIRST..LAST",
    callback=replications_range,
    help="Runs per point, the same seeds at every point; a range with --until-ci. [default: the spec's]",
)
@click.option(
    "--until-ci",
    "until",
    multiple=True,
    metavar="METRIC<N%",
    help="Stop the replications of a point when half the 95 % interval of the metric is below N % of its mean, such as"
    " --replications 3..20 --until-ci 'latency_ns_p99<2%'. Repeatable: all have to be.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of the sweep instead of the spec's.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory of the sweep. [default: sweeps/<sweep id>]"
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the sweep that is in the directory, with --server with the one it is made of; done runs are not done"
    " again.",
)
@optional_server_options
@click.option(
    "--detach",
    is_flag=True,
    help="With --server: print the sweep's name and leave; see `gcsim watch`, `download`.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --server: label of the sweep. Repeatable.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), help="Worker processes. [default: one per CPU]")
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Simulate on the Dask cluster of this scheduler, such as tcp://10.0.0.1:8786, or on a `local` one of --jobs"
    " workers (pip install 'gcsim[dask]').",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Form of the points on stdout.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    spec: Path,
    axes: tuple[str, ...],
    zipped: bool,
    points_csv: Path | None,
    samples: int | None,
    overrides: tuple[str, ...],
    replications: tuple[int, int] | None,
    until: tuple[str, ...],
    seed: int | None,
    out: Path | None,
    resume: bool,
    jobs: int | None,
    dask: str | None,
    output: str,
    detach: bool,
    labels: tuple[str, ...],
    **access: Any,
) -> None:
    """Simulate SPEC at many settings and print one row per point.

    All runs go to the sweep's directory, for `gcsim report`, `gcsim export`, `gcsim compare` and `gcsim.load`. A run that
    fails is a row with its error, and the exit code is 4. Ctrl-C finishes what is going on and prints how to go on.
    """
    if zipped and samples is not None:
        raise click.UsageError("--zip and --latin-hypercube exclude each other")
    if access["server"] is None and (detach or labels):
        raise click.UsageError("--detach and --label go with --server")
    if access["server"] is not None:
        for option, value in (("--jobs", jobs), ("--dask", dask)):
            if value is not None:
                raise click.UsageError(
                    f"{option} and --server exclude each other: the server has its own workers"
                )
    if until and replications is None:
        raise click.UsageError("--until-ci needs a range to stop in, such as --replications 3..20")
    if replications is not None and replications[0] < replications[1] and not until:
        raise click.UsageError("--replications FIRST..LAST needs --until-ci METRIC<N% to say when to stop")
    least, most = replications or (1, 1)
    runs_per_point = None if replications is None else most
    layout: Layout = "latin-hypercube" if samples is not None else "zip" if zipped else "grid"
    problems: list[Problem] = []

    def gather(make: Callable[[], T]) -> T | None:
        """What it makes, or None, and its problems among the others: all are said at once."""
        try:
            return make()
        except SpecError as error:
            problems.extend(error.problems)
            return None

    loaded = gather(lambda: load_spec(spec))
    base = None if loaded is None else gather(lambda: apply_overrides(loaded, overrides))
    parsed, wrong = read_axes(axes)
    problems += wrong
    rows = (None if points_csv is None else gather(lambda: read_points_csv(points_csv))) or []
    rule = gather(lambda: parse_stop_rule(until, least=least, most=most)) if until else None
    plan = None
    sound = base or loaded
    if sound is not None and (parsed or rows or not problems):
        plan = gather(
            lambda: plan_sweep(
                sound,
                parsed,
                layout=layout,
                rows=rows,
                samples=samples,
                replications=runs_per_point,
                seed=seed,
                until=rule,
            )
        )
    if problems or plan is None or base is None:
        raise SpecError(dict.fromkeys(problems), source=str(spec))
    directory = out or Path("sweeps") / plan.sweep_id
    stop = threading.Event()
    submitted = ""
    try:
        if access["server"] is None:
            with stop_on_ctrl_c(stop), sweep_progress() as progress:
                result = run_sweep(
                    plan,
                    directory,
                    jobs=jobs,
                    resume=resume,
                    executor=executor_on(dask, jobs),
                    progress=progress,
                    stop=stop,
                )
        else:
            if not resume and not detach and directory.is_dir() and any(directory.iterdir()):
                # Before the server has begun what could not be kept.
                raise DatasetError(f"{directory} is not empty; go on with --resume, or take another --out")
            with connect(**access) as client:
                sweep = (begun_sweep(client, directory, plan) if resume else None) or client.submit_sweep(
                    base,
                    parsed,
                    layout=layout,
                    points=rows,
                    samples=samples,
                    replications=runs_per_point,
                    seed=seed,
                    until=rule,
                    labels=dict(label.partition("=")[::2] for label in labels),
                )
                submitted = f"sweeps/{sweep.id}"
                if detach:
                    click.echo(submitted)
                    return
                click.echo(submitted, err=True)
                with stop_on_ctrl_c(stop), sweep_progress() as progress:
                    result = sweep.result(directory, resume=resume, progress=progress, stop=stop)
    except DatasetError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    except SweepInterrupted as interrupted:
        pending = sum(point.pending for point in interrupted.result.points)
        again = [word for word in sys.argv[1:] if word != "--resume"] + ["--resume"]
        click.echo(f"Interrupted, {pending} runs to go. Go on with:\n  gcsim {shlex.join(again)}", err=True)
        if submitted:
            click.echo(f"The server goes on meanwhile, unless you `gcsim cancel {submitted}`.", err=True)
        ctx.exit(exit_codes.INTERRUPTED)
    _print(result, output)
    failed = sum(len(point.failures) for point in result.points)
    click.echo(f"sweep directory: {directory}", err=True)
    missed = _check_thresholds(result)
    if failed:
        click.echo(f"{failed} of {len(result.runs) + failed} runs failed", err=True)
        ctx.exit(exit_codes.PARTIAL)
    if missed:
        ctx.exit(exit_codes.THRESHOLD_FAILED)


def begun_sweep(client: Client, directory: Path, plan: SweepPlan) -> SubmittedSweep | None:
    """The sweep of a server that a directory is made of; None: there is none, or it has ended without all results.

    Raises:
        DatasetError: the server does not know it, or it is of another plan.
    """
    from gcsim.client.errors import ServiceError
    from gcsim.client.sweeps import ORIGIN_NAME, read_origin

    origin = read_origin(directory)
    if origin is None:
        return None
    try:
        sweep = client.sweep(origin.sweep)
    except ServiceError as error:
        if error.code != "NOT_FOUND":
            raise
        raise DatasetError(
            f"{directory} is made of {origin.sweep} on {origin.server}, which this server does not know (any more); remove "
            f"{directory / ORIGIN_NAME} to submit the sweep anew, which keeps the results that are here"
        ) from error
    if sweep.message.plan_id != plan.sweep_id:
        raise DatasetError(
            f"{directory} is made of {origin.sweep}, whose plan {sweep.message.plan_id} is not this one ({plan.sweep_id}); "
            "give the same spec, axes, seed and replications, or take another --out"
        )
    if sweep.state in ("PARTIAL", "CANCELLED"):
        click.echo(f"{origin.sweep} ended {sweep.state}; what has no result is submitted again", err=True)
        return None
    return sweep


def executor_on(dask: str | None, jobs: int | None) -> Callable[[Path], Executor] | None:
    """What makes the executor of a Dask cluster; None: the one of this machine."""
    if dask is None:
        return None
    # Here, not above: Dask is an extra.
    from gcsim.sweep.dask_executor import DaskExecutor

    return lambda directory: DaskExecutor(directory, address=dask, jobs=jobs or cpus())


def _check_thresholds(result: SweepResult) -> int:
    """Say which points miss a threshold of the spec; how many do."""
    missed = 0
    thresholds = result.spec["thresholds"]
    for point in result.points if thresholds else ():
        summary = point.summary
        if summary is None:
            continue
        outcomes = evaluate_thresholds(thresholds, summary)
        failed = [outcome for outcome in outcomes if not outcome.met]
        missed += bool(failed)
        for outcome in failed:
            measured = format_value(METRIC_BY_NAME[outcome.metric], outcome.measured)
            click.echo(
                f"{point.label}: threshold {outcome.metric} {outcome.condition}: FAILED, measured {measured}",
                err=True,
            )
    return missed


def _print(result: SweepResult, output: str) -> None:
    """The points, some hundred at a time: tables of ten thousand rows are large before they are printed."""
    if output == "table":
        for first in range(0, len(result.points), ROWS_AT_ONCE):
            _print_points(result, result.points[first : first + ROWS_AT_ONCE])
        return
    rows = (row for part in points_parts(result) for row in part.to_pylist())
    if output == "json":
        echo_json_list(rows)
        return
    names = points_schema(result).names
    echo_csv([names])
    echo_csv([row[name] for name in names] for row in rows)


def _print_points(result: SweepResult, points: Sequence[SweepPoint]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in result.knobs:
        table.add_column(name, justify="right", no_wrap=True)
    stops = result.description.until is not None
    for name in (*_SHOWN, *(["runs"] if stops else [])):
        table.add_column(name, justify="right")
    for point in points:
        knobs = [format_knob(name, value) for name, value in point.knobs.items()]
        summary = point.summary
        if summary is None:
            error = point.failures[0]
            table.add_row(*knobs, f"failed: {error.error}: {error.message}", style="red")
            continue
        cells = []
        for name in _SHOWN:
            metric, mean = METRIC_BY_NAME[name], summary[name]
            low = summary[f"{name}_ci95_low"]
            spread = f" ±{100 * (mean - low) / mean:.0f}%" if low is not None and mean else ""
            cells.append(format_value(metric, mean) + spread)
        if stops:
            wide = "" if result.is_narrow(point) else " (too few)"
            cells.append(f"{len(point.run_ids)}{wide}")
        table.add_row(*knobs, *cells)
    stdout_console().print(table)


@contextmanager
def stop_on_ctrl_c(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C asks to stop, the second one stops."""

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("Finishing what is going on; Ctrl-C again gives it up.", err=True)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def sweep_progress() -> Iterator[Callable[[SweepProgress], None] | None]:
    """A bar on stderr where it is a terminal; otherwise a line for every tenth of the runs."""
    if not sys.stderr.isatty():
        told = -1

        def tell(at: SweepProgress) -> None:
            nonlocal told
            tenth = 10 * at.done // at.total
            if tenth != told:
                told = tenth
                failed = f", {at.failed} failed" if at.failed else ""
                reused = f", {at.reused} were there already" if at.reused else ""
                click.echo(f"{at.done} of {at.total} runs done{failed}{reused}", err=True)

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr_console(), transient=True) as bar:
        task = bar.add_task("simulating", total=None)

        def update(at: SweepProgress) -> None:
            words = f"simulating, {at.failed} failed" if at.failed else "simulating"
            bar.update(task, description=words, total=at.total, completed=at.done)

        yield update
