"""What a record measured, in the names in which predictions are made.

The names, their order and what each covers are one table, `METRICS`: prediction, measurement and comparison all use it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal

from gcsim.errors import Problem, SpecError
from gcsim.fit.records import Record
from gcsim.units import MIB

Number = int | float
Unit = Literal["cycles", "1/s", "bytes", "ns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One number that a simulation predicts and a record has: its name in data, a short one for tables, its unit."""

    name: str
    short: str
    unit: Unit


METRICS = (
    ComparedMetric(name="num_gc", short="GCs", unit="cycles"),
    ComparedMetric(name="throughput_rps", short="req/s", unit="1/s"),
    ComparedMetric(name="heap_start_bytes_mean", short="heap start", unit="bytes"),
    ComparedMetric(name="heap_peak_bytes_mean", short="heap end", unit="bytes"),
    ComparedMetric(name="heap_marked_bytes_mean", short="marked", unit="bytes"),
    ComparedMetric(name="heap_goal_bytes_mean", short="goal", unit="bytes"),
    ComparedMetric(name="gc_cpu_ns", short="GC CPU", unit="ns"),
    ComparedMetric(name="mark_assist_cpu_ns", short="assists", unit="ns"),
    ComparedMetric(name="mark_background_cpu_ns", short="workers", unit="ns"),
    ComparedMetric(name="mark_idle_cpu_ns", short="idle mark", unit="ns"),
    ComparedMetric(name="stw_pause_ns_p50", short="STW p50", unit="ns"),
    ComparedMetric(name="stw_pause_ns_p99", short="STW p99", unit="ns"),
    ComparedMetric(name="latency_ns_p50", short="p50", unit="ns"),
    ComparedMetric(name="latency_ns_p90", short="p90", unit="ns"),
    ComparedMetric(name="latency_ns_p99", short="p99", unit="ns"),
    ComparedMetric(name="latency_ns_p999", short="p99.9", unit="ns"),
    ComparedMetric(name="memory_end_bytes", short="memory", unit="bytes"),
)
METRIC_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Median over the repeats and half their spread, relative to it.

    Either is None where there is nothing to say: no repeat has the figure, or a spread relative to nothing.
    """

    median: Number | None
    half_spread_rel: float | None


_HEAP = re.compile(r": .* (\d+)->(\d+)->(\d+) MB, (\d+) MB goal")


def _heap_mean_bytes(column: int) -> Callable[[Mapping[str, Any]], float | None]:
    """Mean over the trace lines of the load phase, in whole MiB as printed; None without a line."""

    def mean(repeat: Mapping[str, Any]) -> float | None:
        found = (_HEAP.search(line) for line in repeat["gctrace"])
        sizes = [int(match[column]) * MIB for match in found if match]
        return fmean(sizes) if sizes else None

    return mean


def _cpu_ns(which: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda repeat: float(repeat["cpu_s"][f"/cpu/classes/gc/{which}:cpu-seconds"] * 1e9)


def _pause_ns(quantile: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda repeat: float(repeat["stw_pause_s"][quantile] * 1e9)


def _latency_ns(quantile: str) -> Callable[[Mapping[str, Any]], Number]:
    return lambda repeat: repeat["latency_ns"][quantile]


_READ: dict[str, Callable[[Mapping[str, Any]], Number | None]] = {
    "num_gc": lambda repeat: int(repeat["num_gc"]),
    "throughput_rps": lambda repeat: float(repeat["requests"] / repeat["elapsed_s"]),
    "heap_start_bytes_mean": _heap_mean_bytes(1),
    "heap_peak_bytes_mean": _heap_mean_bytes(2),
    "heap_marked_bytes_mean": _heap_mean_bytes(3),
    "heap_goal_bytes_mean": _heap_mean_bytes(4),
    "gc_cpu_ns": _cpu_ns("total"),
    "mark_assist_cpu_ns": _cpu_ns("mark/assist"),
    # the runtime's class has fractional workers in it
    "mark_background_cpu_ns": _cpu_ns("mark/dedicated"),
    "mark_idle_cpu_ns": _cpu_ns("mark/idle"),
    "stw_pause_ns_p50": _pause_ns("p50"),
    "stw_pause_ns_p99": _pause_ns("p99"),
    "latency_ns_p50": _latency_ns("p50"),
    "latency_ns_p90": _latency_ns("p90"),
    "latency_ns_p99": _latency_ns("p99"),
    "latency_ns_p999": _latency_ns("p99.9"),
    "memory_end_bytes": lambda repeat: int(repeat["sys_bytes"] - repeat["heap_released_bytes"]),
}
assert tuple(_READ) == tuple(METRIC_BY_NAME)


def measure(record: Record) -> dict[str, Measured]:
    """The compared metrics of a record: median and spread of its repeats.

    Raises:
        SpecError: the record has no repeats, or one lacks a field; every problem at once.
    """
    if not record.repeats:
        raise SpecError(
            [Problem("$.repeats", message="nothing was measured", remedy="use `gcsim predict` for it")],
            source=record.case,
        )
    values: dict[str, list[Number | None]] = {name: [] for name in _READ}
    problems = []
    for number, repeat in enumerate(record.repeats):
        for name, read in _READ.items():
            try:
                values[name].append(read(repeat))
            except (KeyError, TypeError, ZeroDivisionError) as error:
                path = f"$.repeats[{number}]"
                message = (
                    f"{name}: no {error}"
                    if isinstance(error, KeyError)
                    else f"{name} cannot be read: {error}"
                )
                problems.append(Problem(path, message=message, remedy="record it again"))
    if problems:
        raise SpecError(problems, source=record.case)
    return {name: _of_repeats(found) for name, found in values.items()}


def _of_repeats(values: list[Number | None]) -> Measured:
    known = [value for value in values if value is not None]
    if not known:
        return Measured(median=None, half_spread_rel=None)
    middle = median(known)
    return Measured(median=middle, half_spread_rel=(max(known) - min(known)) / 2 / middle if middle else None)


def measured_seconds(record: Record) -> float:
    """Median length of the measured phase over the repeats, in s."""
    return median(float(repeat["elapsed_s"]) for repeat in record.repeats)


def alloc_bytes_per_s(record: Record) -> float:
    """Median allocation rate of the measured phase over the repeats."""
    return median(float(repeat["alloc_bytes"] / repeat["elapsed_s"]) for repeat in record.repeats)


_ROOTS = re.compile(r" MB goal, (\d+) MB stacks, (\d+) MB globals")


def root_bytes_mean(record: Record) -> float:
    """Mean over all trace lines of all repeats of stacks and globals, in whole MiB as printed."""
    found = (_ROOTS.search(line) for repeat in record.repeats for line in repeat["gctrace"])
    roots = [(int(match[1]) + int(match[2])) * MIB for match in found if match]
    return fmean(roots) if roots else 0.0
