"""`gcsim bench`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

import click
from rich.table import Table

from gcsim.bench.cases import CASES, MEMORY_LIMIT_MIB, select
from gcsim.bench.suite import Measurement, run_case
from gcsim.bench.sweeps import SWEEP_CASES, SweepMeasurement, run_sweep_case, select_sweeps
from gcsim.cli.output import stdout_console
from gcsim.units import MIB

_TITLES = {
    "programs": "Programs",
    "procs": "Cost against P: cache-service, a worker and 10,000 entries for each P",
    "rate": "Cost against requests/s: open loop, 2 P",
    "goroutines": "Cost against idle goroutines: cache-service, 2 P",
    "sim_time": "Cost against simulated seconds: cache-service, 2 P",
}

_SWEEP_TITLES = {
    "scaling": "Sweeps of cache-service; CPU x: CPU time over that of one worker (1 where cores are free)",
    "overhead": "Cost of a point that hardly simulates: each row adds a layer to the one before (dask: to dataset)",
    "memory": "Memory of the coordinator in sweeps of tiny runs: flat, if ten times as many points need no more",
}


@click.command("bench")
@click.option(
    "--suite",
    type=click.Choice(["engine", "sweep"]),
    default="engine",
    show_default=True,
    help="What is measured: single simulations, or sweeps of many.",
)
@click.option("--quick", is_flag=True, help="Fewer rows and short runs: seconds instead of minutes.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Measure this case or table only ({', '.join(dict.fromkeys(case.table for case in CASES))}; of sweeps"
    f" {', '.join(dict.fromkeys(case.kind for case in SWEEP_CASES))}). Repeatable.",
)
@click.option(
    "--points",
    type=click.IntRange(2, 100_000),
    help="With --suite sweep: points of each case instead of its own number, such as --only memory --points 10000.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result on stdout.",
)
def command(suite: str, quick: bool, only: tuple[str, ...], points: int | None, output: str) -> None:
    """Measure how fast simulations are, how their cost grows, and how much memory they take.

    Each case runs in a fresh process, together with bare SimPy, and is recorded as `gcsim run` does. With --suite sweep:
    how sweeps scale with workers, what each layer adds per point, and the coordinator's memory over many points.
    """
    if suite == "sweep":
        _sweeps(quick, only, points, output)
        return
    if points is not None:
        raise click.UsageError("--points goes with --suite sweep")
    try:
        cases = select(only, quick=quick)
    except KeyError as error:
        names = ", ".join(case.name for case in select((), quick=quick))
        raise click.BadParameter(
            f"{error.args[0]!r} is no table and no case; cases are {names}", param_hint="--only"
        ) from error
    measured = []
    for case in cases:
        click.echo(f"{case.name}: {case.what}", err=True)
        measured.append(run_case(case, quick=quick))
    if output == "json":
        click.echo(json.dumps([m.as_dict() for m in measured], indent=2, allow_nan=False))
    else:
        console = stdout_console()
        for name, rows in groupby(measured, key=lambda m: m.case.table):
            console.print(_table(_TITLES[name], list(rows)))
            console.print()
        console.print(_bare_line(measured), markup=False)


def _sweeps(quick: bool, only: tuple[str, ...], points: int | None, output: str) -> None:
    try:
        cases = select_sweeps(only)
    except KeyError as error:
        names = ", ".join(case.name for case in SWEEP_CASES)
        raise click.BadParameter(
            f"{error.args[0]!r} is no table and no case of sweeps; cases are {names}", param_hint="--only"
        ) from error
    measured = []
    for case in cases:
        click.echo(f"{case.name}: {case.what}", err=True)
        measured.append(run_sweep_case(case, quick=quick, points=points))
    if output == "json":
        click.echo(json.dumps([m.as_dict() for m in measured], indent=2, allow_nan=False))
        return
    console = stdout_console()
    tables = {"scaling": _scaling, "overhead": _overhead, "memory": _memory}
    for kind, rows in groupby(measured, key=lambda m: m.case.kind):
        console.print(_SWEEP_TITLES[kind], style="bold", markup=False)
        console.print(tables[kind](list(rows)))
        console.print()


def _sweep_table(rows: Sequence[SweepMeasurement], columns: dict[str, list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("case", no_wrap=True)
    for heading in ("points", *columns):
        table.add_column(heading, justify="right", no_wrap=True)
    for m, cells in zip(rows, zip(*columns.values(), strict=True), strict=True):
        table.add_row(m.name, f"{m.points:,}", *cells)
    return table


def _scaling(rows: Sequence[SweepMeasurement]) -> Table:
    alone = next((m for m in rows if m.name == "workers-1"), None)
    scaled = [m if alone is not None and m.points == alone.points else None for m in rows]
    return _sweep_table(
        rows,
        {
            "workers": [f"{m.case.workers}" for m in rows],
            "wall s": [_figure(m.wall_s) for m in rows],
            "target s": ["-" if m.case.target_s is None else f"{m.case.target_s:g}" for m in rows],
            "CPU s": [_figure(m.cpu_s) for m in rows],
            "CPUs busy": [f"{m.cpu_s / m.wall_s:.2f}" for m in rows],
            "speed-up": [
                "-" if m is None or alone is None else f"{alone.wall_s / m.wall_s:.2f}" for m in scaled
            ],
            "CPU x": ["-" if m is None or alone is None else f"{m.cpu_s / alone.cpu_s:.2f}" for m in scaled],
        },
    )


def _overhead(rows: Sequence[SweepMeasurement]) -> Table:
    return _sweep_table(
        rows,
        {
            "wall ms/point": [_figure(1e3 * m.per_point_s) for m in rows],
            "coordinator CPU ms/point": [_figure(1e3 * m.coordinator_cpu_per_point_s) for m in rows],
            "CPU s": [_figure(m.cpu_s) for m in rows],
            "what": [m.case.what for m in rows],
        },
    )


def _memory(rows: Sequence[SweepMeasurement]) -> Table:
    def mib(bytes_: int) -> str:
        return f"{bytes_ / MIB:.0f}"

    return _sweep_table(
        rows,
        {
            "MiB at 10 %": [mib(m.memory_bytes[0]) for m in rows],
            "at 50 %": [mib(m.memory_bytes[len(m.memory_bytes) // 2]) for m in rows],
            "at 100 %": [mib(m.memory_bytes[-1]) for m in rows],
            "peak, with tables": [mib(m.peak_memory_bytes) for m in rows],
            "with export": [mib(m.export_peak_memory_bytes) for m in rows],
            "wall s": [_figure(m.wall_s) for m in rows],
            "wall ms/point": [_figure(1e3 * m.per_point_s) for m in rows],
        },
    )


def _table(title: str, rows: Sequence[Measurement]) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("case", no_wrap=True)
    columns = {
        "sim s/CPU s": [_figure(m.speed) for m in rows],
        "/wall s": [_figure(m.wall_speed) for m in rows],
        "target": ["-" if m.case.target is None else f"{m.case.target:g}" for m in rows],
        "of bare open loop": [f"{_figure(m.speed_per_bare_open_loop)} x" for m in rows],
        "events/CPU s": [f"{m.events_per_cpu_s:,.0f}" for m in rows],
        "of bare": [f"1/{m.bare_timeouts_per_event:.1f}" for m in rows],
        "events/sim s": [f"{m.events_per_sim_s:,.0f}" for m in rows],
        "GCs/sim s": [f"{m.cycles / m.sim_s:.1f}" for m in rows],
        "peak MiB": [f"{m.peak_memory_mib:.0f}" for m in rows],
    }
    if all(m.case.target is None for m in rows):
        del columns["target"]
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for m, cells in zip(rows, zip(*columns.values(), strict=True), strict=True):
        table.add_row(m.name, *cells)
    return table


def _bare_line(measured: Sequence[Measurement]) -> str:
    events = sorted(m.bare_events_per_cpu_s for m in measured)[len(measured) // 2]
    speed = sorted(m.bare_open_loop_speed for m in measured)[len(measured) // 2]
    return (
        f"Bare SimPy in the same processes (medians): {events:,.0f} timeouts/CPU s; an open loop of 4,000 requests/s "
        f"with no runtime model runs at {_figure(speed)} simulated s/CPU s. Peak memory is promised to stay under "
        f"{MEMORY_LIMIT_MIB} MiB. CPU s is wall s on a core that nobody else uses."
    )


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
