"""The summary's metrics: one table of flat names, used by the JSON summary, the `runs` table and thresholds.

All cover the load phase after start-up and warm-up.  Per-cycle metrics count the cycles that *start* there, as the
trace lines of a recorded program do.  The order here is the order everywhere.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

Section = Literal["collections", "heap", "CPU", "latency", "pauses"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number of the summary; it is null where there is nothing to count (no request, no collection)."""

    name: str
    section: Section
    type: Literal["int64", "float64"]
    unit: str
    description: str
    counterpart: str = ""


def _metric(name: str, section: Section, unit: str, description: str, counterpart: str = "") -> Metric:
    kind: Literal["int64", "float64"] = (
        "float64" if unit in ("s", "1/s", "1") or name.endswith("_mean") else "int64"
    )
    return Metric(
        name=name, section=section, type=kind, unit=unit, description=description, counterpart=counterpart
    )


QUANTILES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
PAUSE_QUANTILES = ("p50", "p90", "p99", "max")
MMU_WINDOWS_NS: dict[str, int] = {"1ms": 1_000_000, "10ms": 10_000_000, "100ms": 100_000_000}

_BUCKETED = "(from log-linear buckets: ± 0.4 %)"
_CPU = "ns of CPU, summed over Ps"


def _quantiles(
    prefix: str, names: tuple[str, ...], section: Section, what: str, counterpart: str = ""
) -> tuple[Metric, ...]:
    return tuple(
        _metric(f"{prefix}_{q}", section, "ns", f"{'largest' if q == 'max' else q} {what}", counterpart)
        for q in names
    )


METRICS: tuple[Metric, ...] = (
    _metric("num_gc", "collections", "cycles", "GC cycles that started", "/gc/cycles/total:gc-cycles"),
    _metric(
        "num_forced_gc", "collections", "cycles", "of them by runtime.GC()", "/gc/cycles/forced:gc-cycles"
    ),
    _metric("num_limited_gc", "collections", "cycles", "of them with the GC CPU limiter on at the end"),
    _metric("assists", "collections", "assists", "mark assists in those cycles"),
    _metric(
        "num_minor_gc",
        "collections",
        "collections",
        "minor collections (only with generations, which Go has not)",
    ),
    _metric("duration_s", "collections", "s", "length of the load phase after warm-up"),
    _metric("requests", "latency", "requests", "requests completed"),
    _metric("throughput_rps", "latency", "1/s", "requests completed per second"),
    _metric("dropped", "latency", "requests", "arrivals turned away"),
    _metric("alloc_bytes", "heap", "bytes", "heap allocated", "/gc/heap/allocs:bytes"),
    _metric("alloc_objects", "heap", "objects", "objects allocated", "/gc/heap/allocs:objects"),
    _metric("heap_start_bytes_mean", "heap", "bytes", "mean heap live at mark start"),
    _metric("heap_peak_bytes_mean", "heap", "bytes", "mean heap live at mark termination"),
    _metric("heap_goal_bytes_mean", "heap", "bytes", "mean heap goal", "/gc/heap/goal:bytes"),
    _metric("heap_marked_bytes_mean", "heap", "bytes", "mean heap marked", "/gc/heap/live:bytes"),
    _metric("survivor_bytes", "heap", "bytes", "survived minor collections, each time counted"),
    _metric("promoted_bytes", "heap", "bytes", "promoted to the old generation"),
    _metric("memory_peak_bytes", "heap", "bytes", "most memory held by the runtime (sys less released)"),
    _metric("memory_end_bytes", "heap", "bytes", "memory held by the runtime at the end (sys less released)"),
    _metric(
        "gc_cpu_ns",
        "CPU",
        _CPU,
        "assists, workers, idle workers, pauses",
        "/cpu/classes/gc/total:cpu-seconds",
    ),
    _metric("gc_cpu_frac", "CPU", "1", "gc_cpu_ns over all P time"),
    _metric("mark_assist_cpu_ns", "CPU", _CPU, "mark assists", "/cpu/classes/gc/mark/assist:cpu-seconds"),
    _metric(
        "mark_background_cpu_ns",
        "CPU",
        _CPU,
        "dedicated and fractional workers",
        "/cpu/classes/gc/mark/dedicated:cpu-seconds",
    ),
    _metric("mark_idle_cpu_ns", "CPU", _CPU, "idle workers", "/cpu/classes/gc/mark/idle:cpu-seconds"),
    _metric("stw_cpu_ns", "CPU", _CPU, "pauses", "/cpu/classes/gc/pause:cpu-seconds"),
    _metric("mutator_cpu_ns", "CPU", _CPU, "the program's own code"),
    _metric("sweep_cpu_ns", "CPU", _CPU, "sweeping"),
    _metric("scavenge_cpu_ns", "CPU", _CPU, "scavenging", "/cpu/classes/scavenge/total:cpu-seconds"),
    _metric("overhead_cpu_ns", "CPU", _CPU, "scheduling, system calls and switching"),
    _metric("idle_cpu_ns", "CPU", _CPU, "Ps with nothing to run", "/cpu/classes/idle:cpu-seconds"),
    *_quantiles(
        "stw_pause_ns",
        PAUSE_QUANTILES,
        "pauses",
        "GC pause, stopping included, of every kind",
        "/sched/pauses/total/gc:seconds",
    ),
    *_quantiles(
        "stw_stopping_ns",
        PAUSE_QUANTILES,
        "pauses",
        "time to stop the world",
        "/sched/pauses/stopping/gc:seconds",
    ),
    *_quantiles(
        "minor_pause_ns", PAUSE_QUANTILES, "pauses", "pause of a minor collection, stopping included"
    ),
    *_quantiles("latency_ns", tuple(QUANTILES), "latency", f"request latency {_BUCKETED}"),
    *_quantiles(
        "sched_latency_ns",
        tuple(QUANTILES),
        "latency",
        f"time runnable before running {_BUCKETED}",
        "/sched/latencies:seconds",
    ),
    *(
        _metric(
            f"mmu_{name}",
            "pauses",
            "1",
            f"least mutator utilisation over any {name} (see gcsim.datasets.mmu)",
            "go tool trace, minimum mutator utilization (STW, background, assist)",
        )
        for name in MMU_WINDOWS_NS
    ),
)

METRIC_BY_NAME: dict[str, Metric] = {m.name: m for m in METRICS}


def metric_remedy(name: str) -> str:
    """What to write instead of what is no metric."""
    near = difflib.get_close_matches(name, METRIC_BY_NAME, n=1)
    return f"did you mean {near[0]}?" if near else "`gcsim names` lists the metrics"
