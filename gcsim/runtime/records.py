"""What a simulation writes down: one named tuple per row of a table, and the `Recorder` that receives them.

A run starts at process start, so every row carries the `phase` it belongs to: ``start_up`` (building the retained
sets and settling), ``warm_up`` and ``load``.  Rows of the first two are marked, not dropped; summaries use ``load``.
Times are simulated nanoseconds since process start; a row belongs to the phase in which it starts.

Named tuples, because a simulation makes many and they are written column by column; the engine passes each to
exactly one method of the recorder and never looks back.  Column units and descriptions: `gcsim.datasets.schema`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Phase = Literal["start_up", "warm_up", "load"]
TriggerReason = Literal["heap", "time", "forced"]
PauseKind = Literal["sweep_termination", "mark_termination", "stop_the_world", "minor", "other"]
MinorReason = Literal["nursery_full", "major"]
PState = Literal[
    "mutator",
    "assist",
    "dedicated",
    "fractional",
    "idle_worker",
    "stw",
    "sweep",
    "scavenge",
    "overhead",
    "idle",
]

Int64Array = npt.NDArray[np.int64]


class PhaseChange(NamedTuple):
    """From `time_ns` on rows belong to `phase`; ``end`` closes the last phase.  Kept as a row of `events`."""

    phase: Literal["start_up", "warm_up", "load", "end"]
    time_ns: int


class CycleRecord(NamedTuple):
    """One GC cycle, given when its mark termination has ended.  `phase` is that of its start."""

    cycle: int
    phase: Phase
    trigger_reason: TriggerReason
    start_ns: int
    """Start of sweep termination, stopping included."""
    sweep_term_ns: int
    """Duration of the sweep-termination pause; mark starts at start_ns + sweep_term_ns."""
    mark_start_ns: int
    mark_ns: int
    """Duration of concurrent mark, up to the start of mark termination."""
    mark_term_ns: int
    """Duration of the mark-termination pause."""
    end_ns: int
    heap_start_bytes: int
    trigger_bytes: int
    heap_goal_bytes: int
    heap_end_bytes: int
    """Heap live at mark termination (gctrace's second heap size)."""
    heap_marked_bytes: int
    stacks_bytes: int
    """Stack scanned in the cycle (gctrace's `MB stacks`)."""
    globals_bytes: int
    heap_scan_work_bytes: int
    stack_scan_work_bytes: int
    globals_scan_work_bytes: int
    assist_cpu_ns: int
    dedicated_cpu_ns: int
    fractional_cpu_ns: int
    idle_cpu_ns: int
    stw_cpu_ns: int
    """CPU time of both pauses as the release charges it to the collector."""
    sweep_term_stopping_ns: int
    mark_term_stopping_ns: int
    cons_mark: float
    runway_bytes: int
    assist_work_per_byte_start: float
    assists: int
    limiter_enabled: bool
    gomaxprocs: int
    gogc_percent: int | None
    """None: GOGC=off."""
    memory_limit_bytes: int | None
    """None: no limit."""
    total_alloc_bytes: int
    """Bytes allocated since process start, at end_ns."""
    gc_cpu_frac_cumulative: float
    """Share of P time since process start in the collector, idle marking excluded: gctrace's %."""


class PauseRecord(NamedTuple):
    """One stop-the-world."""

    cycle: int | None
    """None: a pause outside a cycle."""
    phase: Phase
    kind: PauseKind
    start_ns: int
    """When stopping begins."""
    stopping_ns: int
    duration_ns: int
    """Until the world runs again, stopping included."""
    stw_cpu_ns: int


class MinorRecord(NamedTuple):
    """One minor collection of the collector with generations."""

    minor: int
    phase: Phase
    reason: MinorReason
    start_ns: int
    """When stopping begins; in a major collection's first pause, when that began to stop the world."""
    stopping_ns: int
    duration_ns: int
    """Until the world runs again; in a major collection's first pause, until the minor one was done."""
    nursery_bytes: int
    """Objects in the nursery before."""
    copied_bytes: int
    """Survivors, promoted ones included; large objects are not copied but count."""
    promoted_bytes: int
    freed_bytes: int
    freed_objects: int
    remembered_cards: int
    """Cards of old memory that pointers were stored into since the collection before."""
    roots_cpu_ns: int
    """Looking through stacks and cards, on one P."""
    copy_cpu_ns: int
    """Finding and copying survivors, on one P."""
    stw_cpu_ns: int
    """CPU time of its own pause; 0 in a major collection's, which has it."""
    young_bytes: int
    """Survivors in the nursery after it."""
    old_bytes: int
    """Objects in the old generation after it."""


class HeapSample(NamedTuple):
    """Sizes at one instant; the peak is exact, not sampled."""

    phase: Phase
    time_ns: int
    heap_live_bytes: int
    heap_in_use_bytes: int
    """Bytes of spans in use."""
    heap_goal_bytes: int
    heap_mapped_bytes: int
    """Heap address space obtained from the operating system (HeapSys)."""
    heap_released_bytes: int
    """Part of heap_mapped_bytes given back."""
    stacks_in_use_bytes: int
    memory_bytes: int
    """Everything the runtime holds: sys - released."""
    memory_peak_bytes: int
    """Largest memory_bytes since the sample before."""
    nursery_bytes: int | None = None
    """Objects in the nursery, dead or alive; None: the collector has no generations.  The same for `old_bytes`."""
    old_bytes: int | None = None
    """Objects in the old generation, garbage not found yet included."""


class ThroughputWindow(NamedTuple):
    """One window of time: requests over all classes and where P time went.

    A window ends at each phase change, so none straddles two.  The `_cpu_ns` fields add up to
    (end_ns - start_ns) x GOMAXPROCS.
    """

    phase: Phase
    start_ns: int
    end_ns: int
    arrived: int
    completed: int
    dropped: int
    queued: int
    """Requests in the system at the end of the window."""
    alloc_bytes: int
    alloc_objects: int
    mutator_cpu_ns: int
    assist_cpu_ns: int
    dedicated_cpu_ns: int
    fractional_cpu_ns: int
    idle_worker_cpu_ns: int
    stw_cpu_ns: int
    sweep_cpu_ns: int
    scavenge_cpu_ns: int
    overhead_cpu_ns: int
    idle_cpu_ns: int


class LatencyBuckets(NamedTuple):
    """Latencies of one request class in one window, in the buckets of `gcsim.runtime.buckets`."""

    phase: Phase
    request_class: str
    start_ns: int
    end_ns: int
    indexes: Int64Array
    """Ascending, each once."""
    counts: Int64Array


class SchedLatencyBuckets(NamedTuple):
    """Time goroutines spent runnable before running, in one window (the runtime's /sched/latencies)."""

    phase: Phase
    start_ns: int
    end_ns: int
    indexes: Int64Array
    counts: Int64Array


class RequestSample(NamedTuple):
    """One sampled request."""

    phase: Phase
    request_class: str
    arrival_ns: int
    """Open loop: scheduled arrival; closed loop: when the worker began it."""
    start_ns: int
    end_ns: int
    latency_ns: int
    assist_ns: int
    """Wall time in mark assists, waiting for credit included."""
    in_mark: bool
    """Some of it ran while a cycle was marking."""


class AssistRecord(NamedTuple):
    """One mark assist, from debt to credit."""

    cycle: int
    phase: Phase
    start_ns: int
    duration_ns: int
    parked_ns: int
    """Part of duration_ns in the assist queue."""
    p: int
    request_class: str | None
    """None: not a request (building or growing a retained set)."""
    debt_bytes: int
    scan_work_bytes: int
    """Scan work done by the assist itself."""
    stolen_bytes: int
    """Scan work taken from background credit."""


class TricolorSample(NamedTuple):
    """Heap by colour at one instant of a cycle."""

    cycle: int
    phase: Phase
    time_ns: int
    white_bytes: int
    grey_bytes: int
    black_bytes: int
    white_objects: int
    grey_objects: int
    black_objects: int


class PStateInterval(NamedTuple):
    """One P in one state; the intervals of a P follow one another without gap."""

    phase: Phase
    p: int
    state: PState
    start_ns: int
    end_ns: int


class EventRecord(NamedTuple):
    """Something rare: limiter on or off, scavenging, a forced GC, out of memory, a setting changed."""

    phase: Phase
    time_ns: int
    kind: str
    detail: str
    amount: float | None
    """A number that belongs to the event, its unit said by `detail`."""


class SiteRecord(NamedTuple):
    """What one place in the program allocated and how long it ran in one phase, and what is in use of it at its end.

    Counted when a request ends: what requests under way have allocated is a row of kind ``under_way`` at the end of
    the run.  CPU times are at full speed: what marking beside and contention add is left out.
    """

    phase: Phase
    request_class: str | None
    step: int | None
    """Index in the steps of the request class."""
    kind: str
    name: str
    alloc_bytes: int
    alloc_objects: int
    alloc_cpu_ns: int
    code_cpu_ns: int
    inuse_bytes: int
    inuse_objects: int


class GCIntervals(NamedTuple):
    """When single Ps worked for the collector in one cycle: dedicated, fractional and assist time.

    Idle workers are left out and pauses come as `PauseRecord`, as `go tool trace` counts mutator utilisation.
    Not a table: it feeds the minimum mutator utilisation.  Given before the cycle's `CycleRecord`, which has
    GOMAXPROCS; intervals of different Ps overlap, order is free.
    """

    cycle: int
    phase: Phase
    starts_ns: Int64Array
    ends_ns: Int64Array


class Recorder(Protocol):
    """Receives rows while a simulation runs, each table in order of time."""

    def phase(self, rec: PhaseChange) -> None: ...
    def cycle(self, rec: CycleRecord) -> None: ...
    def pause(self, rec: PauseRecord) -> None: ...
    def gc_intervals(self, rec: GCIntervals) -> None: ...
    def minor(self, rec: MinorRecord) -> None: ...
    def heap(self, rec: HeapSample) -> None: ...
    def throughput(self, rec: ThroughputWindow) -> None: ...
    def latency(self, rec: LatencyBuckets) -> None: ...
    def sched_latency(self, rec: SchedLatencyBuckets) -> None: ...
    def request(self, rec: RequestSample) -> None: ...
    def assist(self, rec: AssistRecord) -> None: ...
    def tricolor(self, rec: TricolorSample) -> None: ...
    def p_state(self, rec: PStateInterval) -> None: ...
    def site(self, rec: SiteRecord) -> None: ...
    def event(self, rec: EventRecord) -> None: ...
