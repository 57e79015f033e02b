"""The formula of the Go GC guide, fitted at GOGC=100 of the same program: what a simulation has to beat.

In the steady state the guide takes the live heap for constant, the heap for ending each collection at its goal,
live + (live + roots) x GOGC/100, and a collection for costing the same whenever it runs.  All that is measured at
GOGC=100: live heap, roots, allocation rate, cost per collection; latencies, pauses and throughput stay as they were.
It knows no memory limit, nothing that changes over time, and no collector's CPU that the program lacks.

Source: https://go.dev/doc/gc-guide, "GOGC".
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from gcsim.fit.measured import (
    METRIC_BY_NAME,
    Number,
    alloc_bytes_per_s,
    measure,
    measured_seconds,
    root_bytes_mean,
)
from gcsim.fit.records import Record

FITTED_AT_PERCENT = 100

FORMULA_METRICS = tuple(
    name
    for name in METRIC_BY_NAME
    if not name.startswith("mark_")
    and name not in ("heap_start_bytes_mean", "heap_marked_bytes_mean", "memory_end_bytes")
)
"""What the formula has something to say on."""


def formula_prediction(record: Record, fitted: Record) -> dict[str, Number | None]:
    """The metrics of a record by the formula.

    Args:
        record: the case; only its GOGC and the length of its load phase are used.
        fitted: the same program and settings at GOGC=100.
    Raises:
        SpecError: `fitted` has no measurements, or not all.
    """
    at_100 = {name: measured.median for name, measured in measure(fitted).items()}
    predicted = {name: at_100[name] for name in FORMULA_METRICS}
    live, num_gc, gc_cpu_ns = (at_100[name] for name in ("heap_marked_bytes_mean", "num_gc", "gc_cpu_ns"))
    if live is None or not num_gc or gc_cpu_ns is None:
        return predicted  # no collection to fit on
    headroom = (live + root_bytes_mean(fitted)) * int(record.settings["gogc"]) / FITTED_AT_PERCENT
    collections = alloc_bytes_per_s(fitted) * measured_seconds(record) / headroom
    return predicted | {
        "num_gc": collections,
        "heap_peak_bytes_mean": live + headroom,
        "heap_goal_bytes_mean": live + headroom,
        "gc_cpu_ns": collections * gc_cpu_ns / num_gc,
    }


def formula_predictions(records: Iterable[Record]) -> dict[str, dict[str, Number | None]]:
    """The formula's metrics by case, for every record at another GOGC than 100 that has a sibling at 100.

    Records without repeats, with a memory limit or with GOGC=off are left out: the formula has nothing to say.
    """
    plain = [record for record in records if record.repeats and _is_plain(record)]
    at_100 = {_program(record): record for record in plain if _gogc(record) == FITTED_AT_PERCENT}
    return {
        record.case: formula_prediction(record, at_100[_program(record)])
        for record in plain
        if _gogc(record) != FITTED_AT_PERCENT and _program(record) in at_100
    }


def _is_plain(record: Record) -> bool:
    return not record.settings.get("memlimit") and str(record.settings["gogc"]) != "off"


def _gogc(record: Record) -> int:
    return int(record.settings["gogc"])


def _program(record: Record) -> str:
    """All that two siblings share: the workload and every setting but GOGC."""
    settings = {name: value for name, value in record.settings.items() if name != "gogc"}
    return json.dumps([record.workload, settings], sort_keys=True)
