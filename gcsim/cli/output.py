"""What commands share in printing: consoles, values in readable units, the summary in its three forms."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import click
from rich.console import Console
from rich.table import Table

from gcsim.datasets.metrics import METRIC_BY_NAME, METRICS, Metric, Section
from gcsim.datasets.thresholds import ThresholdOutcome
from gcsim.units import format_bytes, format_ns

_WIDE = 120  # columns where there is no terminal whose width could be asked; nothing is cut at the usual 80

_ENDINGS = ("", "_stddev", "_ci95_low", "_ci95_high")


def stdout_console() -> Console:
    """For data."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def stderr_console() -> Console:
    """For progress and messages."""
    return Console(stderr=True, highlight=False)


def format_value(metric: Metric, value: float | None) -> str:
    """A metric's value for people; "-" where there was nothing to count."""
    if value is None:
        return "-"
    if metric.unit == "bytes":
        return format_bytes(value)
    if metric.unit.startswith("ns"):
        return format_ns(value)
    if metric.unit == "1":
        return f"{100 * value:.2f} %"
    text = f"{value:,.3g}" if abs(value) < 100 and value != int(value) else f"{value:,.0f}"
    return f"{text} /s" if metric.unit == "1/s" else f"{text} s" if metric.unit == "s" else text


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The summary by section; with replications the mean and its 95 % confidence interval."""
    several = "replications" in summary
    table = Table(box=None, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("mean" if several else "value", justify="right", no_wrap=True)
    if several:
        table.add_column("95 % confidence", justify="right", no_wrap=True)
    table.add_column("what", style="dim")
    for section in get_args(Section):
        table.add_row(section, style="bold")
        for metric in METRICS:
            if metric.section == section:
                cells = [f"  {metric.name}", format_value(metric, summary[metric.name])]
                if several:
                    low, high = (summary[f"{metric.name}_ci95_{end}"] for end in ("low", "high"))
                    interval = f"{format_value(metric, low)} .. {format_value(metric, high)}"
                    cells.append("-" if low is None else interval)
                table.add_row(*cells, metric.description)
    return table


def summary_csv(summary: Mapping[str, Any]) -> str:
    """One line per metric: metric, unit, value; with replications also standard deviation and interval."""
    endings = _ENDINGS if "replications" in summary else _ENDINGS[:1]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["metric", "unit", "value", *(ending.removeprefix("_") for ending in endings[1:])])
    for metric in METRICS:
        values = (summary[metric.name + ending] for ending in endings)
        rows.writerow([metric.name, metric.unit, *("" if value is None else value for value in values)])
    return text.getvalue()


def summary_json(summary: Mapping[str, Any], outcomes: Sequence[ThresholdOutcome]) -> str:
    """The summary as one flat object; `thresholds_met` is added where the spec has thresholds."""
    body = dict(summary)
    if outcomes:
        body["thresholds_met"] = all(outcome.met for outcome in outcomes)
    return json.dumps(body, indent=2, allow_nan=False) + "\n"


def echo_thresholds(outcomes: Iterable[ThresholdOutcome]) -> bool:
    """Each threshold's verdict on stderr; whether all are met."""
    met = True
    for outcome in outcomes:
        measured = format_value(METRIC_BY_NAME[outcome.metric], outcome.measured)
        verdict = "met" if outcome.met else "FAILED"
        click.echo(
            f"threshold {outcome.metric} {outcome.condition}: {verdict}, measured {measured}", err=True
        )
        met &= outcome.met
    return met


def echo_csv(rows: Iterable[Sequence[object]]) -> None:
    """Rows on stdout as they come; None is an empty cell."""
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(row)
        click.echo(line.getvalue())


def echo_json_list(items: Iterable[object]) -> None:
    """Items on stdout as they come, together a JSON list."""
    before = "[\n"
    for item in items:
        click.echo(before + json.dumps([item], indent=2, ensure_ascii=False, allow_nan=False)[2:-2], nl=False)
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")
