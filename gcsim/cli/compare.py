"""`gcsim compare`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from gcsim.cli import exit_codes
from gcsim.cli.output import echo_csv, echo_json_list, format_value, stdout_console
from gcsim.datasets.compare import Comparison, Difference, compare, worse_by
from gcsim.datasets.metrics import METRIC_BY_NAME, METRICS, metric_remedy
from gcsim.datasets.open import load
from gcsim.datasets.reader import Result
from gcsim.datasets.sweep import SweepResult
from gcsim.errors import DatasetError

_RULE = re.compile(r"\s*([a-z][a-z0-9_]*)\s*>\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")

# Shown without --all: what people decide by.
_MAIN = (
    "num_gc", "throughput_rps", "latency_ns_p50", "latency_ns_p99", "latency_ns_p999", "memory_peak_bytes",
    "heap_goal_bytes_mean", "gc_cpu_frac", "mark_assist_cpu_ns", "stw_pause_ns_p99", "stw_pause_ns_max",
)  # fmt: skip


@click.command("compare")
@click.argument("a", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("b", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--fail-on",
    "rules",
    multiple=True,
    metavar="METRIC>N%",
    help="Exit with 99 if the metric of B is worse than that of A by more than N %, and not by chance, such as"
    " latency_ns_p99>5%. Worse is less for throughput_rps, requests and mmu, more for all others. Repeatable.",
)
@click.option("--all", "every", is_flag=True, help="Show every metric instead of the main ones.")
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Form on stdout.",
)
@click.pass_context
def command(ctx: click.Context, a: Path, b: Path, rules: tuple[str, ...], every: bool, output: str) -> None:
    """Compare the datasets A and B: runs, replications or sweeps.

    Each metric's difference comes with its 95 % interval; where that holds 0 there is no significant difference. Without
    replications there is no interval. Sweeps are compared point by point, matched by their knobs.
    """
    limits = _limits(rules)
    comparisons, unmatched = compare(_load(a, "A"), _load(b, "B"))
    for name, labels in (("A", unmatched.only_a), ("B", unmatched.only_b)):
        if labels:
            click.echo(f"only in {name}: {'; '.join(labels)}", err=True)
    if not comparisons:
        raise click.UsageError(f"{a} and {b} have no point in common that has runs")
    names = [m.name for m in METRICS] if every else list(_MAIN)
    names += [name for name in limits if name not in names]
    regressions = 0

    def judged() -> Iterator[Comparison]:
        """One after another, so that few are held, and each is judged when it is shown."""
        nonlocal regressions
        for comparison in comparisons:
            yield comparison
            regressions += _regressions(comparison, limits)

    if output == "json":
        echo_json_list(map(asdict, judged()))
    elif output == "csv":
        echo_csv([_CSV_HEAD])
        for comparison in judged():
            echo_csv(_csv_rows(comparison))
    else:
        for comparison in judged():
            _print(comparison, names)
    if regressions:
        ctx.exit(exit_codes.THRESHOLD_FAILED)


def _load(path: Path, which: str) -> Result | SweepResult:
    try:
        return load(path)
    except DatasetError as error:
        raise click.BadParameter(str(error), param_hint=which) from error


def _limits(rules: tuple[str, ...]) -> dict[str, float]:
    """Metric -> largest fraction by which it may get worse; every bad rule is reported."""
    limits: dict[str, float] = {}
    problems = []
    for rule in rules:
        match = _RULE.fullmatch(rule)
        if match is None:
            problems.append(f"{rule!r} is no rule; write METRIC>N% such as latency_ns_p99>5%")
        elif match[1] not in METRIC_BY_NAME:
            problems.append(f"{match[1]!r} is no metric; {metric_remedy(match[1])}")
        else:
            limits[match[1]] = float(match[2]) / 100
    if problems:
        raise click.BadParameter("\n".join(problems), param_hint="--fail-on")
    return limits


def _regressions(comparison: Comparison, limits: dict[str, float]) -> int:
    """Say which metrics got worse than they may; how many."""
    found = 0
    for difference in comparison.differences:
        if difference.metric not in limits:
            continue
        where = f"{comparison.label}: " if comparison.label else ""
        worse = worse_by(difference)
        if worse is None:
            found += 1
            click.echo(f"{where}{difference.metric}: FAILED, a side has no value to compare", err=True)
        elif worse > limits[difference.metric] and difference.significant is not False:
            found += 1
            by = f"{100 * worse:.1f} %" if math.isfinite(worse) else "from 0"
            click.echo(
                f"{where}{difference.metric}: FAILED, worse by {by}, which is more than {100 * limits[difference.metric]:g} %",
                err=True,
            )
    return found


def _print(comparison: Comparison, names: list[str]) -> None:
    how = {
        "paired": "difference paired by seed",
        "welch": "Welch's interval, the seeds differ",
        "single": "one run on a side: no interval; use --replications",
    }[comparison.method]
    title = f"{comparison.label}  " if comparison.label else ""
    table = Table(
        box=None, pad_edge=False, title=f"{title}A: n={comparison.runs_a}, B: n={comparison.runs_b}, {how}"
    )
    table.title_justify = "left"
    for name in ("metric", "A", "B", "B - A", "95 % interval"):
        table.add_column(name, justify="left" if name == "metric" else "right", no_wrap=True)
    by_name = {difference.metric: difference for difference in comparison.differences}
    for name in names:
        table.add_row(name, *_cells(by_name[name]))
    stdout_console().print(table)


def _cells(difference: Difference) -> list[str]:
    metric = METRIC_BY_NAME[difference.metric]
    sides = [format_value(metric, side) for side in (difference.a, difference.b)]
    relative = difference.delta_frac
    if difference.delta is None:
        return [*sides, "-", ""]
    if difference.significant is False:
        return [*sides, "~", "no significant difference"]
    shown = f"{100 * relative:+.1f} %" if relative is not None else format_value(metric, difference.delta)
    if difference.low is None or difference.high is None:
        return [*sides, shown, ""]
    if relative is None or not difference.a:
        return [
            *sides,
            shown,
            f"{format_value(metric, difference.low)} .. {format_value(metric, difference.high)}",
        ]
    ends = (100 * end / abs(difference.a) for end in (difference.low, difference.high))
    return [*sides, shown, " .. ".join(f"{end:+.1f} %" for end in ends)]


_CSV_HEAD = ("point", "metric", "unit", "a", "b", "delta", "ci95_low", "ci95_high", "significant")


def _csv_rows(comparison: Comparison) -> Iterator[list[object]]:
    for d in comparison.differences:
        values = (d.a, d.b, d.delta, d.low, d.high, d.significant)
        cells = ["" if v is None else str(v).lower() if isinstance(v, bool) else v for v in values]
        yield [comparison.label, d.metric, METRIC_BY_NAME[d.metric].unit, *cells]
