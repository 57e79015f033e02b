"""`gcsim whatif`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.table import Table

from gcsim.cli.logs import (
    log_settings,
    parse_gogc,
    parse_latency,
    parse_limit,
    parse_list,
    read_beside,
    read_logs,
    request_options,
)
from gcsim.cli.output import stdout_console
from gcsim.fit.forecast import Range, own_settings
from gcsim.fit.infer import Fit, fit
from gcsim.fit.logs import Log, read_log
from gcsim.fit.whatif import Comparison, Row, compare, comparisons_json, grid, mib, rows_json, whatif
from gcsim.units import MIB

_SHOWN = (
    ("cycles_per_s", "cycles/s", "plain"),
    ("heap_end_bytes", "heap end", "mib"),
    ("heap_goal_bytes", "goal", "mib"),
    ("memory_peak_bytes", "peak", "mib"),
    ("gc_cpu_frac", "GC CPU", "percent"),
    ("assist_share", "assists", "percent"),
    ("latency_p99_rel", "p99 x", "plain"),
    ("limiter_share", "limiter", "percent"),
)
_COMPARED = (
    ("cycles_per_s", "cycles/s", "plain"),
    ("heap_end_bytes", "end", "mib"),
    ("heap_goal_bytes", "goal", "mib"),
    ("gc_cpu_per_s", "GC s/s", "plain"),
)


@click.command("whatif")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--gogc", metavar="LIST", help="GOGC values to try, such as 50,100,200,off. [default: the log's]"
)
@click.option(
    "--gomemlimit", metavar="LIST", help="GOMEMLIMIT values, such as off,512MiB. [default: the log's]"
)
@click.option("--gomaxprocs", metavar="LIST", help="GOMAXPROCS values, such as 2,4. [default: the log's]")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A real log of the same program to compare the prediction with. Repeatable.",
)
@click.option(
    "--log-gogc", metavar="PERCENT", help="GOGC that TRACE ran under. [default: the record's, or inferred]"
)
@click.option(
    "--log-gomemlimit",
    metavar="SIZE",
    help="GOMEMLIMIT that TRACE ran under. [default: the record's, or off]",
)
@click.option("--go", metavar="RELEASE", help="Go release of TRACE. [default: the record's, or a guess]")
@click.option("--cores", type=click.IntRange(1, 1024), help="CPUs of the machine. [default: from the pauses]")
@request_options
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Simulations per combination."
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the answer on stdout.",
)
@click.argument("more", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="")
def command(
    trace: Path,
    gogc: str | None,
    gomemlimit: str | None,
    gomaxprocs: str | None,
    against: tuple[Path, ...],
    log_gogc: str | None,
    log_gomemlimit: str | None,
    go: str | None,
    cores: int | None,
    rps: float | None,
    latency_p50: str | None,
    metrics: Path | None,
    allocs: Path | None,
    also: tuple[Path, ...],
    seeds: int,
    output: str,
    more: tuple[Path, ...],
) -> None:
    """Fit TRACE and simulate it under other settings.

    TRACE is a log as `gcsim fit` takes it.  Every combination of the lists is simulated beside the log's own settings;
    intervals have the chance of the run and what the log leaves open.  With --against TRACE2 [TRACE3 ...] prediction
    and reality stand side by side instead.
    """
    if more and not against:
        raise click.UsageError(
            f"unexpected extra argument {more[0]}; to compare with it, write --against before it"
        )
    values = [parse_gogc(text, "--gogc") for text in parse_list(gogc)]
    limits = [parse_limit(text, "--gomemlimit") for text in parse_list(gomemlimit)]
    procs = [_procs(text) for text in parse_list(gomaxprocs)]
    of_metrics, of_allocs = read_beside(metrics, allocs)
    fitted = fit(
        read_log(trace),
        override=log_settings(go, log_gogc, log_gomemlimit),
        cores=cores,
        requests_per_s=rps,
        latency_p50_ns=parse_latency(latency_p50),
        metrics=of_metrics,
        allocs=of_allocs,
        also=read_logs(also, "--also"),
    )
    for note in fitted.notes:
        click.echo(f"note: {note}", err=True)
    if against:
        others = _with_settings(read_logs([*against, *more], "--against"), values, limits)
        found = compare(fitted, others, seeds=seeds)
        if output == "json":
            click.echo(json.dumps(comparisons_json(fitted, found), indent=2, allow_nan=False))
        else:
            _print_comparisons(fitted, found)
        return
    settings = grid(own_settings(fitted.service), gogc=values, gomemlimit=limits, gomaxprocs=procs)
    rows = whatif(fitted, settings, seeds=seeds)
    if output == "json":
        click.echo(json.dumps(rows_json(fitted, rows), indent=2, allow_nan=False))
    else:
        _print_rows(fitted, rows)


def _procs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise click.BadParameter(f"{text!r} is no number of Ps from 1 to 1024", param_hint="--gomaxprocs")
    return int(text)


def _with_settings(logs: Sequence[Log], gogc: Sequence[object], limits: Sequence[object]) -> list[Log]:
    """Text logs do not say what they ran under: --gogc and --gomemlimit do, one value per log in order."""
    out = []
    for number, log in enumerate(logs):
        settings = log.settings
        if settings.gogc is None and number < len(gogc):
            settings = replace(settings, gogc=gogc[number])  # type: ignore[arg-type]
        if settings.gomemlimit_bytes is None and number < len(limits):
            settings = replace(settings, gomemlimit_bytes=limits[number])  # type: ignore[arg-type]
        out.append(replace(log, settings=settings))
    return out


def _number(value: float, form: str, digits: int = 3) -> str:
    scaled = {"mib": value / MIB, "percent": 100 * value}.get(form, value)
    return f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.{digits}g}"


def _cell(value: Range | None, form: str) -> str:
    """A mean and, where it would show, half of its interval."""
    if value is None:
        return "-"
    text = _number(value.value, form)
    half = (value.high - value.low) / 2
    return f"{text} ±{_number(half, form, 2)}" if half > 0.005 * abs(value.value) and half > 0 else text


_UNITS = {"mib": " MiB", "percent": " %", "plain": ""}


def _print_rows(fitted: Fit, rows: Sequence[Row]) -> None:
    console = stdout_console()
    table = Table(box=None, pad_edge=False)
    for title in ("GOGC", "limit", "P"):
        table.add_column(title, justify="right", no_wrap=True)
    for _, title, form in _SHOWN:
        table.add_column(f"{title}{_UNITS[form]}", justify="right", no_wrap=True)
    for row in rows:
        one = row.settings
        table.add_row(
            f"{one.gogc}{'*' if row is rows[0] else ''}",
            mib(one.gomemlimit_bytes),
            str(one.gomaxprocs),
            *(_cell(row.measures[name], form) for name, _, form in _SHOWN),
        )
    console.print(
        f"{fitted.log.name}: {len(fitted.log.cycles)} cycles; * = the log's own settings", markup=False
    )
    console.print(table)
    console.print()
    for row in rows:
        console.print(f"{row.settings.text}: {row.verdict}: {row.reason}", markup=False)


def _print_comparisons(fitted: Fit, found: Sequence[Comparison]) -> None:
    console = stdout_console()
    table = Table(box=None, pad_edge=False)
    table.add_column("log", no_wrap=True)
    for _, title, form in _COMPARED:
        table.add_column(f"{title}{_UNITS[form]}", justify="right", no_wrap=True)
        table.add_column("real", justify="right", no_wrap=True)
        table.add_column("error", justify="right", no_wrap=True)
    for one in found:
        cells = list[str]()
        for name, _, form in _COMPARED:
            error, real = one.errors[name], getattr(one.real, name)
            cells += [
                _cell(one.predicted[name], form),
                "-" if real is None else _number(real, form),
                "-" if error is None else f"{100 * error:+.0f} %",
            ]
        table.add_row(one.name, *cells)
    console.print(f"fitted on {fitted.log.name}", markup=False)
    console.print(table)
