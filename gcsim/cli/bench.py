"""`gcsim bench`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

import click
from rich.table import Table

from gcsim.bench.cases import CASES, MEMORY_LIMIT_MIB, select
from gcsim.bench.suite import Measurement, run_case
from gcsim.cli.output import stdout_console

_TITLES = {
    "programs": "Programs",
    "procs": "Cost against P: cache-service, a worker and 10,000 entries for each P",
    "rate": "Cost against requests/s: open loop, 2 P",
    "goroutines": "Cost against idle goroutines: cache-service, 2 P",
    "sim_time": "Cost against simulated seconds: cache-service, 2 P",
}


@click.command("bench")
@click.option("--quick", is_flag=True, help="Fewer rows and short runs: seconds instead of minutes.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Measure this case or table only ({', '.join(dict.fromkeys(case.table for case in CASES))}). Repeatable.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result on stdout.",
)
def command(quick: bool, only: tuple[str, ...], output: str) -> None:
    """Measure how fast simulations are, how their cost grows, and how much memory they take.

    Each case runs in a fresh process, together with bare SimPy, and is recorded as `gcsim run` does.
    """
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
