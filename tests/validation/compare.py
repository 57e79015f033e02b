"""Simulated against recorded: errors per case and metric.  Run as a module it prints them as a table."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

from gcsim.datasets.metrics import METRIC_BY_NAME
from gcsim.datasets.recorders import Tee
from gcsim.datasets.summary import SummaryAccumulator
from gcsim.runtime import simulate
from gcsim.runtime.records import CycleRecord
from gcsim.spec.profile import load_profile
from gcsim.spec.records import spec_from_record
from gcsim.units import MIB

HEAPS = {
    "heap_start_bytes_mean": "heap_start_bytes",
    "heap_peak_bytes_mean": "heap_end_bytes",
    "heap_marked_bytes_mean": "heap_marked_bytes",
    "heap_goal_bytes_mean": "heap_goal_bytes",
}
METRICS = (
    "num_gc", *HEAPS, "gc_cpu_ns", "throughput_rps", "latency_ns_p50", "latency_ns_p90", "latency_ns_p99",
    "latency_ns_p999", "stw_pause_ns_p50", "memory_end_bytes",
)  # fmt: skip


@cache
def recorded() -> dict[str, Any]:
    """Headers and measurements of the recorded cases."""
    data: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_runs.json").read_text())
    return data


class _Cycles:
    """Keeps the cycles of the load phase; everything else is let go."""

    def __init__(self) -> None:
        self.rows: list[CycleRecord] = []

    def cycle(self, rec: CycleRecord) -> None:
        if rec.phase == "load":
            self.rows.append(rec)

    def __getattr__(self, _name: str) -> Any:
        return lambda _rec: None


def predict(case: str, seed: int | None = None) -> dict[str, float | None]:
    """The metrics of a case, simulated from its header alone; heap means floored to MiB as gctrace prints them."""
    header = recorded()[case]
    spec = spec_from_record(header["workload"], header["settings"])
    summary, cycles = SummaryAccumulator(), _Cycles()
    profile = load_profile(spec.machine.profile, spec.runtime.go)
    simulate(spec, seed=seed, profile=profile, recorder=Tee(summary, cycles))
    summarised = summary.metrics()
    metrics: dict[str, float | None] = {name: summarised[name] for name in METRICS}
    for name, field in HEAPS.items():
        metrics[name] = fmean(getattr(c, field) // MIB * MIB for c in cycles.rows) if cycles.rows else None
    return metrics


def errors(case: str, predicted: Mapping[str, float | None]) -> dict[str, float]:
    """Relative errors (prediction / measurement - 1); metrics without a measurement are left out."""
    found = {}
    for name in METRICS:
        measured = recorded()[case]["measured"].get(name)
        value = predicted[name]
        if measured and measured["median"] and value is not None:
            found[name] = value / measured["median"] - 1.0
    return found


def main(pattern: str = "") -> None:
    """Print a line per case that the pattern matches, then medians and means of the absolute errors."""
    columns = [
        name.replace("_bytes_mean", "").replace("latency_ns_", "").replace("_ns", "") for name in METRICS
    ]
    print(f"{'errors in %':44}" + "".join(f"{column[:11]:>12}" for column in columns))
    table: dict[str, list[float]] = {name: [] for name in METRICS}
    for case in recorded():
        if not re.search(pattern, case):
            continue
        predicted = predict(case)
        row = errors(case, predicted)
        print(
            f"{case:44}" + "".join(f"{100 * row[n]:+12.1f}" if n in row else f"{'-':>12}" for n in METRICS),
            flush=True,
        )
        measured = recorded()[case]["measured"]["num_gc"]["median"]
        for name, error in row.items():
            one_cycle = name == "num_gc" and abs((predicted[name] or 0) - measured) <= 1
            table[name].append(0.0 if one_cycle else abs(error))
    for label, average in (("median of the absolute errors", median), ("mean of the absolute errors", fmean)):
        print(
            f"{label:44}"
            + "".join(f"{100 * average(table[n]):12.1f}" if table[n] else f"{'-':>12}" for n in METRICS)
        )


assert set(METRICS) <= set(METRIC_BY_NAME)

if __name__ == "__main__":
    main(*sys.argv[1:2])
