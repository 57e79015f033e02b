"""Numbers in words, and the parts of a page that runs and sweeps share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import yaml

from gcsim.datasets.metrics import METRIC_BY_NAME, METRICS, Metric, Section
from gcsim.datasets.thresholds import evaluate_thresholds
from gcsim.report import page
from gcsim.units import format_bytes, format_ns

CARDS = (
    ("throughput_rps", "requests per second"),
    ("latency_ns_p99", "latency p99"),
    ("memory_peak_bytes", "peak memory"),
    ("gc_cpu_frac", "CPU in the collector"),
    ("num_gc", "collections"),
    ("stw_pause_ns_max", "longest pause"),
)
"""Metrics at the top of a page."""


def value_text(metric: Metric, value: float | None) -> str:
    """A metric's value for people."""
    if value is None:
        return "–"
    if metric.unit == "bytes":
        return format_bytes(value)
    if metric.unit.startswith("ns"):
        return format_ns(value)
    if metric.unit == "1":
        return f"{100 * value:.2f} %"
    text = f"{value:,.3g}" if abs(value) < 100 and value != int(value) else f"{value:,.0f}"
    return f"{text} s" if metric.unit == "s" else text


def interval_text(metric: Metric, summary: Mapping[str, Any]) -> str:
    """The 95 % interval, empty where there is one run only."""
    low, high = (summary.get(f"{metric.name}_ci95_{end}") for end in ("low", "high"))
    if low is None or high is None:
        return ""
    return f"{value_text(metric, max(low, 0.0))} to {value_text(metric, high)}"


def cards(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The cards at the top."""
    found = []
    for name, words in CARDS:
        metric = METRIC_BY_NAME[name]
        found.append((value_text(metric, summary[name]), words, interval_text(metric, summary)))
    return found


def settings(spec: Mapping[str, Any]) -> list[str]:
    """The settings of a spec, one per chip."""
    runtime, machine = spec["runtime"], spec["machine"]
    limit = runtime["gomemlimit"]
    chips = [
        f"Go {runtime['go']}",
        f"GOGC={runtime['gogc']}",
        f"GOMEMLIMIT={limit if limit == 'off' else format_bytes(limit)}",
        f"GOMAXPROCS={runtime['gomaxprocs'] or 'by rule'}",
        f"{machine['cores']} CPUs",
    ]
    if machine["cfs_quota"] != "off":
        chips.append(f"quota {format_ns(machine['cfs_quota'])} per {format_ns(machine['cfs_period'])}")
    collector = runtime.get("collector", "concurrent")
    if collector == "stop_the_world":
        swept = ", swept stopped too" if runtime["stop_the_world_sweep"] else ""
        chips.append(f"what-if: stop the world{swept}")
    elif collector == "generational":
        generational = runtime["generational"]
        nursery = format_bytes(generational["nursery"])
        chips.append(f"what-if: generations, nursery {nursery}, age {generational['promotion_age']}")
    return [*chips, f"machine {machine.get('profile', 'of a file')}"]


def metrics_table(summary: Mapping[str, Any]) -> str:
    """All metrics by section; with replications, means and intervals."""
    several = "replications" in summary
    rows = []
    for section in get_args(Section):
        rows.append(f"<tr class=group><th colspan=4>{page.escape(section)}</th></tr>")
        for metric in METRICS:
            if metric.section == section:
                interval = f"<td class=number>{interval_text(metric, summary)}</td>" if several else ""
                rows.append(
                    f"<tr><td class=name>{metric.name}</td><td class=number>{value_text(metric, summary[metric.name])}</td>"
                    f"{interval}<td>{page.escape(metric.description)}</td></tr>"
                )
    head = "<th>metric</th><th class=number>value</th>"
    head += "<th class=number>95 % confidence</th>" if several else ""
    return f'<div class="scroll"><table><thead><tr>{head}<th>what</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def thresholds_table(spec: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The thresholds of a spec and whether they are met; empty if it has none."""
    outcomes = evaluate_thresholds(spec.get("thresholds", {}), summary)
    if not outcomes:
        return ""
    rows = []
    for outcome in outcomes:
        verdict = (
            "<span class=met-text>met</span>" if outcome.met else "<span class=failed-text>failed</span>"
        )
        measured = value_text(METRIC_BY_NAME[outcome.metric], outcome.measured)
        rows.append([f"<code>{outcome.metric}</code>", page.escape(outcome.condition), measured, verdict])
    head = [("metric", False), ("threshold", False), ("measured", True), ("", False)]
    return page.table(head, rows)


def spec_details(spec: Mapping[str, Any]) -> str:
    """The resolved spec, folded; recorded arrival times are cut."""
    short = dict(spec)
    short["requests"] = [
        {k: (f"{len(v)} times" if k == "arrival_times_ns" and len(v) > 20 else v) for k, v in request.items()}
        for request in spec["requests"]
    ]
    text = yaml.safe_dump(short, sort_keys=False, allow_unicode=True)
    return f"<details><summary>The resolved spec</summary><pre>{page.escape(text)}</pre></details>"


HONEST = (
    "Everything here is simulated, not measured. Heap sizes and collection counts agree with recorded programs within a few "
    "per cent; GC CPU and the tail beyond p99 are less sure: compare settings with each other before trusting absolute values."
)
