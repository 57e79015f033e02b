"""The summary of a run, gathered while it runs: a `Recorder` that keeps sums and buckets instead of rows.

Only rows of phase ``load`` count.  A cycle belongs to the phase in which it starts.  Pause percentiles are exact
(nearest rank); latency percentiles come from merged buckets, within 0.4 %; heap means are of exact bytes (see
`floored_heap_means` for the comparison with gctrace, which prints whole MiB).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gcsim.datasets.metrics import METRICS, MMU_WINDOWS_NS, PAUSE_QUANTILES, QUANTILES
from gcsim.datasets.mmu import MinimumMutatorUtilization
from gcsim.runtime.buckets import N_BUCKETS, quantiles_ns
from gcsim.runtime.records import (
    AssistRecord,
    CycleRecord,
    EventRecord,
    GCIntervals,
    HeapSample,
    LatencyBuckets,
    MinorRecord,
    PauseRecord,
    PhaseChange,
    PStateInterval,
    RequestSample,
    SchedLatencyBuckets,
    SiteRecord,
    ThroughputWindow,
    TricolorSample,
)
from gcsim.units import MIB, S

Number = int | float | None
Metrics = dict[str, Number]

# Sums over the throughput windows: metric -> field.
_WINDOW_SUMS = {
    "requests": "completed",
    "dropped": "dropped",
    "alloc_bytes": "alloc_bytes",
    "alloc_objects": "alloc_objects",
    "mutator_cpu_ns": "mutator_cpu_ns",
    "sweep_cpu_ns": "sweep_cpu_ns",
    "scavenge_cpu_ns": "scavenge_cpu_ns",
    "overhead_cpu_ns": "overhead_cpu_ns",
    "idle_cpu_ns": "idle_cpu_ns",
}
_CYCLES_AT_ONCE = 16  # whose steps of utilisation are looked at together: a few numpy calls for each window
_WINDOW_CPU_NS = tuple(field for field in ThroughputWindow._fields if field.endswith("_cpu_ns"))
_HEAP_MEANS = {
    "heap_start_bytes_mean": "heap_start_bytes",
    "heap_peak_bytes_mean": "heap_end_bytes",
    "heap_goal_bytes_mean": "heap_goal_bytes",
    "heap_marked_bytes_mean": "heap_marked_bytes",
}


class SummaryAccumulator:
    """Consumes the records of one run; `metrics` gives the summary at any time after the last."""

    def __init__(self) -> None:
        self._load_start_ns: int | None = None
        self._load_end_ns: int | None = None
        self._sums = dict.fromkeys((*_WINDOW_SUMS, *_HEAP_MEANS), 0)
        self._cycles = dict.fromkeys(
            ("num_gc", "num_forced_gc", "num_limited_gc", "assists", "assist", "background", "idle", "stw"), 0
        )
        self._p_time_ns = 0
        self._pause_ns, self._stopping_ns, self._minor_pause_ns = array("q"), array("q"), array("q")
        self._minors = dict.fromkeys(("num_minor_gc", "survivor_bytes", "promoted_bytes"), 0)
        self._latency = np.zeros(N_BUCKETS, dtype=np.int64)
        self._sched_latency = np.zeros(N_BUCKETS, dtype=np.int64)
        self._memory_peak_bytes: int | None = None
        self._memory_end_bytes: int | None = None
        self._mmu: MinimumMutatorUtilization | None = None
        self._gc_intervals: list[GCIntervals] = []

    def partial(self) -> Metrics:
        """Some of the summary in the middle of a run: what the rows so far say, cheap enough for a progress bar.

        Requests and their like lag behind by up to a window of the table throughput.
        """
        out: Metrics = {name: self._cycles[name] for name in ("num_gc", "num_forced_gc", "assists")}
        out |= {name: self._sums[name] for name in ("requests", "dropped", "alloc_bytes")}
        if self._cycles["num_gc"]:
            out["heap_goal_bytes_mean"] = self._sums["heap_goal_bytes_mean"] / self._cycles["num_gc"]
        if self._memory_peak_bytes is not None:
            out["memory_peak_bytes"] = self._memory_peak_bytes
        return out

    # ---- Recorder ------------------------------------------------------------------------------------------

    def phase(self, rec: PhaseChange) -> None:
        if rec.phase == "load":
            self._load_start_ns = rec.time_ns
            self._mmu = MinimumMutatorUtilization(tuple(MMU_WINDOWS_NS.values()), rec.time_ns)
        elif rec.phase == "end":
            self._load_end_ns = rec.time_ns
            if self._mmu is not None:
                self._mmu.advance(rec.time_ns)

    def cycle(self, rec: CycleRecord) -> None:
        if self._mmu is not None:
            for busy in self._gc_intervals:
                self._mmu.add(busy.starts_ns, busy.ends_ns, 1.0 / rec.gomaxprocs)
            if rec.cycle % _CYCLES_AT_ONCE == 0:
                self._mmu.advance(rec.end_ns)
        self._gc_intervals.clear()
        if rec.phase != "load":
            return
        counts, sums = self._cycles, self._sums
        counts["num_gc"] += 1
        counts["num_forced_gc"] += rec.trigger_reason == "forced"
        counts["num_limited_gc"] += rec.limiter_enabled
        counts["assists"] += rec.assists
        counts["assist"] += rec.assist_cpu_ns
        counts["background"] += rec.dedicated_cpu_ns + rec.fractional_cpu_ns
        counts["idle"] += rec.idle_cpu_ns
        counts["stw"] += rec.stw_cpu_ns
        for metric, field in _HEAP_MEANS.items():
            sums[metric] += getattr(rec, field)

    def pause(self, rec: PauseRecord) -> None:
        if self._mmu is not None:
            end_ns = rec.start_ns + rec.duration_ns
            self._mmu.add(np.array([rec.start_ns]), np.array([end_ns]), 1.0)
        if rec.phase == "load":
            self._pause_ns.append(rec.duration_ns)
            self._stopping_ns.append(rec.stopping_ns)
            if rec.kind == "minor":
                self._minor_pause_ns.append(rec.duration_ns)

    def minor(self, rec: MinorRecord) -> None:
        if rec.phase != "load":
            return
        minors = self._minors
        minors["num_minor_gc"] += 1
        minors["survivor_bytes"] += rec.copied_bytes
        minors["promoted_bytes"] += rec.promoted_bytes
        self._cycles["stw"] += rec.stw_cpu_ns

    def gc_intervals(self, rec: GCIntervals) -> None:
        self._gc_intervals.append(rec)

    def heap(self, rec: HeapSample) -> None:
        if rec.phase == "load":
            self._memory_peak_bytes = max(
                self._memory_peak_bytes or 0, rec.memory_peak_bytes, rec.memory_bytes
            )
            self._memory_end_bytes = rec.memory_bytes

    def throughput(self, rec: ThroughputWindow) -> None:
        if rec.phase == "load":
            for metric, field in _WINDOW_SUMS.items():
                self._sums[metric] += getattr(rec, field)
            self._p_time_ns += sum(getattr(rec, field) for field in _WINDOW_CPU_NS)

    def latency(self, rec: LatencyBuckets) -> None:
        if rec.phase == "load":
            self._latency[rec.indexes] += rec.counts

    def sched_latency(self, rec: SchedLatencyBuckets) -> None:
        if rec.phase == "load":
            self._sched_latency[rec.indexes] += rec.counts

    def request(self, rec: RequestSample) -> None:
        """Samples do not enter the summary: the buckets have every request."""

    def assist(self, rec: AssistRecord) -> None:
        """The cycle's record has the sums."""

    def tricolor(self, rec: TricolorSample) -> None:
        """Not summarised."""

    def p_state(self, rec: PStateInterval) -> None:
        """The throughput windows have the sums."""

    def site(self, rec: SiteRecord) -> None:
        """The throughput windows have the sums."""

    def event(self, rec: EventRecord) -> None:
        """Not summarised."""

    # ---- result --------------------------------------------------------------------------------------------

    def metrics(self) -> Metrics:
        """All metrics by name, in the order of `METRICS`; None where there was nothing to count."""
        cycles, sums = self._cycles, self._sums
        start_ns, end_ns = self._load_start_ns, self._load_end_ns
        duration_s = (end_ns - start_ns) / S if start_ns is not None and end_ns is not None else 0.0
        gc_cpu_ns = cycles["assist"] + cycles["background"] + cycles["idle"] + cycles["stw"]
        found: Metrics = {
            **{name: cycles[name] for name in ("num_gc", "num_forced_gc", "num_limited_gc", "assists")},
            **self._minors,
            **{name: sums[name] for name in _WINDOW_SUMS},
            **{name: sums[name] / cycles["num_gc"] if cycles["num_gc"] else None for name in _HEAP_MEANS},
            "duration_s": duration_s,
            "throughput_rps": sums["requests"] / duration_s if duration_s else None,
            "memory_peak_bytes": self._memory_peak_bytes,
            "memory_end_bytes": self._memory_end_bytes,
            "gc_cpu_ns": gc_cpu_ns,
            "gc_cpu_frac": gc_cpu_ns / self._p_time_ns if self._p_time_ns else None,
            "mark_assist_cpu_ns": cycles["assist"],
            "mark_background_cpu_ns": cycles["background"],
            "mark_idle_cpu_ns": cycles["idle"],
            "stw_cpu_ns": cycles["stw"],
            **_exact_quantiles("stw_pause_ns", self._pause_ns),
            **_exact_quantiles("stw_stopping_ns", self._stopping_ns),
            **_exact_quantiles("minor_pause_ns", self._minor_pause_ns),
            **_bucket_quantiles("latency_ns", self._latency),
            **_bucket_quantiles("sched_latency_ns", self._sched_latency),
        }
        least = self._mmu.minimum() if self._mmu is not None else [None] * len(MMU_WINDOWS_NS)
        found |= {f"mmu_{name}": value for name, value in zip(MMU_WINDOWS_NS, least, strict=True)}
        return {metric.name: found[metric.name] for metric in METRICS}


def _exact_quantiles(prefix: str, values: array[int]) -> Metrics:
    """Nearest-rank quantiles."""
    ordered = sorted(values)
    ranks = {q: max(1, math.ceil(QUANTILES[q] * len(ordered))) for q in PAUSE_QUANTILES}
    return {f"{prefix}_{q}": ordered[rank - 1] if ordered else None for q, rank in ranks.items()}


def _bucket_quantiles(prefix: str, counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Metrics:
    values: Sequence[Number] = quantiles_ns(counts, tuple(QUANTILES.values())) or [None] * len(QUANTILES)
    return {f"{prefix}_{q}": value for q, value in zip(QUANTILES, values, strict=True)}


def floored_heap_means(cycles: pa.Table) -> Metrics:
    """Heap means as a trace shows them: each size floored to MiB before averaging, load phase only, in bytes.

    Args:
        cycles: table `cycles` of one run.
    """
    load = cycles.filter(pc.equal(cycles["phase"], "load"))
    return {
        metric: float(np.mean(load[field].to_numpy() // MIB * MIB)) if load.num_rows else None
        for metric, field in _HEAP_MEANS.items()
    }


# ---- replications ------------------------------------------------------------------------------------------------


def combine(summaries: Iterable[Mapping[str, Number]], *, confidence_frac: float = 0.95) -> Metrics:
    """Mean, standard deviation and confidence interval of every metric over replications.

    Replications are independent runs of one spec with different seeds, so the interval is Student's t.

    Returns:
        Flat: `<metric>` (the mean), `<metric>_stddev`, `<metric>_ci95_low`, `<metric>_ci95_high`, and
        `replications`.  A metric that some replication lacks is None throughout: a mean over the others would
        leave out just the runs where there was nothing to count.
    """
    rows = list(summaries)
    n = len(rows)
    combined: Metrics = {"replications": n}
    for metric in METRICS:
        values = [row[metric.name] for row in rows]
        known = [float(v) for v in values if v is not None]
        mean = stddev = low = high = None
        if len(known) == n:
            mean = math.fsum(known) / n
            if n > 1:
                stddev = math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (n - 1))
                half = student_t(1 - (1 - confidence_frac) / 2, n - 1) * stddev / math.sqrt(n)
                low, high = mean - half, mean + half
        combined |= {
            metric.name: mean,
            f"{metric.name}_stddev": stddev,
            f"{metric.name}_ci95_low": low,
            f"{metric.name}_ci95_high": high,
        }
    return combined


@cache
def student_t(quantile: float, degrees: int) -> float:
    """Quantile of Student's t distribution, for quantile in (0.5, 1) and whole degrees of freedom.

    By bisection of the distribution's closed form for whole degrees of freedom; correct to 1e-9 relative.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """

    def cdf(t: float) -> float:
        theta = math.atan(t / math.sqrt(degrees))
        cosine = math.cos(theta)
        odd = degrees % 2
        term = cosine if odd else 1.0
        total = 0.0 if degrees == 1 else term
        for k in range(3 if odd else 2, degrees, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        two_sided = 2 / math.pi * (theta + math.sin(theta) * total) if odd else math.sin(theta) * total
        return 0.5 + two_sided / 2

    low, high = 0.0, 1.0
    while cdf(high) < quantile:
        high *= 2
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle) < quantile else (low, middle)
    return (low + high) / 2
