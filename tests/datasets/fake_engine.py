"""A stand-in for the engine: plausible records of a steady service, in closed form, for tests of what receives them.

One cycle per 100 ms: a pause of 50 us, 20 ms of mark with one dedicated worker of two Ps, a pause of 100 us.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gcsim.runtime.buckets import bucket_index
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
    Recorder,
    RequestSample,
    SchedLatencyBuckets,
    SiteRecord,
    ThroughputWindow,
    TricolorSample,
)
from gcsim.spec.models import Spec
from gcsim.spec.profile import MachineProfile

MS = 1_000_000
MIB = 1 << 20
START_UP_NS = 200 * MS
CYCLE_NS = 100 * MS
MARK_NS = 20 * MS
SWEEP_TERM_NS, MARK_TERM_NS = 50_000, 100_000
REQUESTS_PER_WINDOW = 1000
LATENCY_NS = 20_000


class Progress(NamedTuple):
    sim_time_ns: int
    end_ns: int
    cycles: int


def cycle_record(number: int, start_ns: int, phase: str, *, seed: int = 0) -> CycleRecord:
    mark_start_ns = start_ns + SWEEP_TERM_NS
    end_ns = mark_start_ns + MARK_NS + MARK_TERM_NS
    return CycleRecord(
        cycle=number, phase=phase, trigger_reason="heap", start_ns=start_ns, sweep_term_ns=SWEEP_TERM_NS,
        mark_start_ns=mark_start_ns, mark_ns=MARK_NS, mark_term_ns=MARK_TERM_NS, end_ns=end_ns,
        heap_start_bytes=90 * MIB + number, trigger_bytes=90 * MIB, heap_goal_bytes=100 * MIB + seed % 1000,
        heap_end_bytes=99 * MIB, heap_marked_bytes=50 * MIB, stacks_bytes=16384, globals_bytes=MIB,
        heap_scan_work_bytes=30 * MIB, stack_scan_work_bytes=8192, globals_scan_work_bytes=MIB,
        assist_cpu_ns=0, dedicated_cpu_ns=MARK_NS, fractional_cpu_ns=0, idle_cpu_ns=0,
        stw_cpu_ns=2 * (SWEEP_TERM_NS + MARK_TERM_NS), sweep_term_stopping_ns=20_000, mark_term_stopping_ns=30_000,
        cons_mark=0.5, runway_bytes=MIB, assist_work_per_byte_start=3.0, assists=0, limiter_enabled=False,
        gomaxprocs=2, gogc_percent=100, memory_limit_bytes=None, total_alloc_bytes=number * 50 * MIB,
        gc_cpu_frac_cumulative=0.07,
    )  # fmt: skip


def simulate(
    spec: Spec,
    *,
    seed: int,
    profile: MachineProfile,
    recorder: Recorder,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Records of start-up, warm-up and load, then the end."""
    load_start_ns = START_UP_NS + spec.run.warm_up
    end_ns = START_UP_NS + spec.run.duration
    phase = "start_up"
    recorder.phase(PhaseChange("start_up", 0))
    for number, start_ns in enumerate(range(0, end_ns, CYCLE_NS), start=1):
        if start_ns == START_UP_NS and spec.run.warm_up:
            phase = "warm_up"
            recorder.phase(PhaseChange("warm_up", start_ns))
        if start_ns == load_start_ns:
            phase = "load"
            recorder.phase(PhaseChange("load", start_ns))
        rec = cycle_record(number, start_ns, phase, seed=seed)
        _cycle(recorder, rec, spec)
        _window(recorder, rec, spec)
        if progress is not None:
            progress(Progress(start_ns, end_ns, number))
    recorder.site(SiteRecord(phase, "request", 0, "allocate", "", 50 * MIB, 20_000, 1_000_000, 0, 0, 0))
    recorder.phase(PhaseChange("end", end_ns))


def _cycle(recorder: Recorder, rec: CycleRecord, spec: Spec) -> None:
    mark_end_ns = rec.mark_start_ns + rec.mark_ns
    recorder.pause(
        PauseRecord(
            rec.cycle, rec.phase, "sweep_termination", rec.start_ns, 20_000, rec.sweep_term_ns, 100_000
        )
    )
    recorder.pause(
        PauseRecord(rec.cycle, rec.phase, "mark_termination", mark_end_ns, 30_000, rec.mark_term_ns, 200_000)
    )
    if spec.record.assists:
        recorder.assist(
            AssistRecord(rec.cycle, rec.phase, rec.mark_start_ns, 65_000, 0, 1, None, 100, 65_536, 0)
        )
    if spec.record.tricolor:
        recorder.tricolor(TricolorSample(rec.cycle, rec.phase, rec.mark_start_ns, 9, 1, 0, 9, 1, 0))
    if spec.runtime.collector == "generational":
        recorder.pause(PauseRecord(None, rec.phase, "minor", rec.end_ns, 10_000, 40_000, 70_000))
        recorder.minor(
            MinorRecord(
                minor=rec.cycle, phase=rec.phase, reason="nursery_full", start_ns=rec.end_ns, stopping_ns=10_000,
                duration_ns=40_000, nursery_bytes=4 * MIB, copied_bytes=MIB, promoted_bytes=MIB, freed_bytes=3 * MIB,
                freed_objects=1000, remembered_cards=10, roots_cpu_ns=5000, copy_cpu_ns=20_000, stw_cpu_ns=70_000,
                young_bytes=0, old_bytes=51 * MIB,
            )
        )  # fmt: skip
    if spec.record.p_states:
        recorder.p_state(PStateInterval(rec.phase, 0, "dedicated", rec.mark_start_ns, mark_end_ns))
    recorder.gc_intervals(
        GCIntervals(rec.cycle, rec.phase, np.array([rec.mark_start_ns]), np.array([mark_end_ns]))
    )
    recorder.cycle(rec)
    if rec.cycle == 1:
        recorder.event(EventRecord(rec.phase, rec.end_ns, "scavenge", "bytes released", 4096.0))


def _window(recorder: Recorder, rec: CycleRecord, spec: Spec) -> None:
    start_ns, end_ns = rec.start_ns, rec.start_ns + CYCLE_NS
    stw_ns = rec.stw_cpu_ns
    recorder.throughput(
        ThroughputWindow(
            phase=rec.phase,
            start_ns=start_ns,
            end_ns=end_ns,
            arrived=REQUESTS_PER_WINDOW,
            completed=REQUESTS_PER_WINDOW,
            dropped=0,
            queued=0,
            alloc_bytes=50 * MIB,
            alloc_objects=20_000,
            mutator_cpu_ns=2 * CYCLE_NS - MARK_NS - stw_ns,
            assist_cpu_ns=0,
            dedicated_cpu_ns=MARK_NS,
            fractional_cpu_ns=0,
            idle_worker_cpu_ns=0,
            stw_cpu_ns=stw_ns,
            sweep_cpu_ns=0,
            scavenge_cpu_ns=0,
            overhead_cpu_ns=0,
            idle_cpu_ns=0,
        )
    )
    recorder.heap(
        HeapSample(
            rec.phase,
            end_ns,
            60 * MIB,
            64 * MIB,
            100 * MIB,
            120 * MIB,
            10 * MIB,
            32_768,
            130 * MIB,
            140 * MIB,
        )
    )
    latencies = np.full(REQUESTS_PER_WINDOW, LATENCY_NS)
    latencies[: REQUESTS_PER_WINDOW // 100] = 10 * LATENCY_NS
    indexes, counts = np.unique(bucket_index(latencies), return_counts=True)
    recorder.latency(LatencyBuckets(rec.phase, "request", start_ns, end_ns, indexes, counts))
    recorder.sched_latency(SchedLatencyBuckets(rec.phase, start_ns, end_ns, np.array([100]), np.array([7])))
    if spec.record.requests_sample:
        recorder.request(
            RequestSample(rec.phase, "request", start_ns, start_ns, start_ns + 20_000, 20_000, 0, True)
        )
