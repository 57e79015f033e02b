"""A recorder that checks the rows on their way: what the tables say must add up, and agree with the world's counts.

Rows are written from one set of counters and the world keeps others, so a row that lies is found before a reader
trusts it.  Only rare rows are looked at; those of single requests and intervals of Ps pass untouched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from gcsim.runtime.records import (
    AssistRecord,
    CycleRecord,
    EventRecord,
    HeapSample,
    LatencyBuckets,
    MinorRecord,
    PauseRecord,
    PhaseChange,
    PState,
    Recorder,
    SiteRecord,
    ThroughputWindow,
)

if TYPE_CHECKING:
    from gcsim.runtime.world import World

_LAST_ROWS = 8
# A bug that breaks every cycle is told by its first breaches as well as by all.
MAX_BREACHES = 12

WINDOW_STATES: dict[PState, str] = {
    "mutator": "mutator_cpu_ns",
    "assist": "assist_cpu_ns",
    "dedicated": "dedicated_cpu_ns",
    "fractional": "fractional_cpu_ns",
    "idle_worker": "idle_worker_cpu_ns",
    "stw": "stw_cpu_ns",
    "sweep": "sweep_cpu_ns",
    "scavenge": "scavenge_cpu_ns",
    "overhead": "overhead_cpu_ns",
    "idle": "idle_cpu_ns",
}


class Breaches:
    """What was found, each with the simulated time at which it was."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.more = 0

    def add(self, time_ns: int, what: str) -> None:
        if len(self.found) < MAX_BREACHES:
            self.found.append(f"at {time_ns} ns: {what}")
        else:
            self.more += 1

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        return "; ".join(self.found) + (f"; and {self.more} more" if self.more else "")


@dataclass(slots=True)
class Totals:
    """Sums over all rows."""

    arrived: int = 0
    completed: int = 0
    dropped: int = 0
    alloc_bytes: int = 0
    alloc_objects: int = 0
    mutator_cpu_ns: int = 0
    assist_cpu_ns: int = 0
    dedicated_cpu_ns: int = 0
    fractional_cpu_ns: int = 0
    idle_worker_cpu_ns: int = 0
    stw_cpu_ns: int = 0
    sweep_cpu_ns: int = 0
    scavenge_cpu_ns: int = 0
    overhead_cpu_ns: int = 0
    idle_cpu_ns: int = 0


_SUMMED = tuple(field.name for field in fields(Totals))


class Audit:
    """Passes every row on to `recorder`.

    Attributes:
        windows: sums over the rows of throughput.
        queued: requests in the system at the end of the last window.
        cycles_cpu_ns: CPU time by kind of marking, summed over the rows of cycles.
        breaches: rows that contradict themselves or each other.
    """

    def __init__(self, recorder: Recorder, procs: int) -> None:
        self._recorder = recorder
        self._procs = procs
        self.breaches = Breaches()
        self.windows = Totals()
        self.queued = 0
        self.cycles_cpu_ns: dict[PState, int] = dict.fromkeys(
            ("assist", "dedicated", "fractional", "idle_worker"), 0
        )
        self._last_cycle = 0
        self._cycle_end_ns = 0
        self._pause_end_ns = 0
        self._window_end_ns = 0
        self._heap_ns = 0
        self._latencies_missing = 0
        self._rows: deque[CycleRecord | PauseRecord | MinorRecord | EventRecord | PhaseChange] = deque(
            maxlen=_LAST_ROWS
        )
        # Frequent rows that nothing is asked of.
        self.request = recorder.request
        self.p_state = recorder.p_state
        self._sites = [0, 0]
        self.tricolor = recorder.tricolor
        self.sched_latency = recorder.sched_latency
        self.gc_intervals = recorder.gc_intervals

    def last_rows(self) -> Iterator[str]:
        """The last rare rows as text, oldest first."""
        return (str(row) for row in self._rows)

    # ---- rows ----------------------------------------------------------------------------------------------

    def phase(self, rec: PhaseChange) -> None:
        self._rows.append(rec)
        self._recorder.phase(rec)

    def event(self, rec: EventRecord) -> None:
        self._rows.append(rec)
        self._recorder.event(rec)

    def cycle(self, rec: CycleRecord) -> None:
        """Cycles follow one another, their parts fill them, and the trigger is not beyond the goal."""
        self._rows.append(rec)
        add, end = self.breaches.add, rec.end_ns
        if rec.cycle != self._last_cycle + 1 or rec.start_ns < self._cycle_end_ns:
            add(
                end,
                f"cycle {rec.cycle} from {rec.start_ns} ns after {self._last_cycle}, over at {self._cycle_end_ns} ns",
            )
        parts = (rec.sweep_term_ns, rec.mark_ns, rec.mark_term_ns)
        if min(parts) < 0 or rec.start_ns + sum(parts) != end or rec.mark_start_ns != rec.start_ns + parts[0]:
            add(end, f"cycle {rec.cycle} from {rec.start_ns} to {end} ns has parts of {parts} ns")
        if rec.trigger_bytes > rec.heap_goal_bytes:
            add(end, f"cycle {rec.cycle}: trigger {rec.trigger_bytes} > goal {rec.heap_goal_bytes}")
        self._last_cycle, self._cycle_end_ns = rec.cycle, end
        cpu = self.cycles_cpu_ns
        cpu["assist"] += rec.assist_cpu_ns
        cpu["dedicated"] += rec.dedicated_cpu_ns
        cpu["fractional"] += rec.fractional_cpu_ns
        cpu["idle_worker"] += rec.idle_cpu_ns
        self._recorder.cycle(rec)

    def pause(self, rec: PauseRecord) -> None:
        """Pauses do not overlap, and stopping is part of them."""
        self._rows.append(rec)
        end = rec.start_ns + rec.duration_ns
        if rec.start_ns < self._pause_end_ns or not 0 <= rec.stopping_ns <= rec.duration_ns:
            self.breaches.add(end, f"{rec} after a pause until {self._pause_end_ns} ns")
        self._pause_end_ns = end
        self._recorder.pause(rec)

    def assist(self, rec: AssistRecord) -> None:
        """Time in the queue is part of an assist, and no assist outlives its cycle."""
        end = rec.start_ns + rec.duration_ns
        if not 0 <= rec.parked_ns <= rec.duration_ns or rec.start_ns < self._cycle_end_ns:
            self.breaches.add(end, f"{rec}; the last cycle ended at {self._cycle_end_ns} ns")
        self._recorder.assist(rec)

    def minor(self, rec: MinorRecord) -> None:
        """What was in the nursery is free, promoted or still there."""
        self._rows.append(rec)
        after = rec.freed_bytes + rec.promoted_bytes + rec.young_bytes
        if rec.nursery_bytes != after or rec.copied_bytes != rec.promoted_bytes + rec.young_bytes:
            self.breaches.add(
                rec.start_ns,
                f"minor collection {rec.minor}: {rec.nursery_bytes} bytes were there, {after} are accounted for",
            )
        self._recorder.minor(rec)

    def heap(self, rec: HeapSample) -> None:
        """Live heap is in spans, spans in memory that is held; the peak is no less than any sample."""
        held = rec.heap_mapped_bytes - rec.heap_released_bytes
        sizes = (0, rec.heap_live_bytes, rec.heap_in_use_bytes, held, rec.memory_bytes, rec.memory_peak_bytes)
        if list(sizes) != sorted(sizes) or rec.time_ns < self._heap_ns or rec.heap_released_bytes < 0:
            self.breaches.add(rec.time_ns, f"sizes do not contain one another: {rec}")
        self._heap_ns = rec.time_ns
        self._recorder.heap(rec)

    def throughput(self, rec: ThroughputWindow) -> None:
        """Windows follow without gap; P time of each fills it; who has arrived is done, dropped or still there."""
        self._end_latencies()
        add, end = self.breaches.add, rec.end_ns
        if rec.start_ns != self._window_end_ns or end < rec.start_ns:
            add(
                end,
                f"window from {rec.start_ns} to {end} ns follows one that ended at {self._window_end_ns} ns",
            )
        self._window_end_ns = end
        spent = sum(getattr(rec, name) for name in WINDOW_STATES.values())
        if spent != (end - rec.start_ns) * self._procs:
            add(
                end,
                f"P time of a window of {end - rec.start_ns} ns on {self._procs} Ps adds up to {spent} ns",
            )
        totals = self.windows
        for name in _SUMMED:
            setattr(totals, name, getattr(totals, name) + getattr(rec, name))
        self.queued = rec.queued
        if totals.arrived != totals.completed + totals.dropped + rec.queued:
            add(end, f"{totals.arrived} requests arrived, {totals.completed} completed, {totals.dropped} dropped, "
                f"{rec.queued} are in the system")  # fmt: skip
        self._latencies_missing = rec.completed
        self._recorder.throughput(rec)

    def latency(self, rec: LatencyBuckets) -> None:
        """Each completed request has one latency; rows follow the window they belong to."""
        self._latencies_missing -= int(rec.counts.sum())
        self._recorder.latency(rec)

    def site(self, rec: SiteRecord) -> None:
        """Nothing is allocated or spent that is less than nothing."""
        self._sites[0] += rec.alloc_bytes
        self._sites[1] += rec.alloc_objects
        if min(rec.alloc_bytes, rec.alloc_objects, rec.inuse_bytes, rec.inuse_objects) < 0:
            self.breaches.add(self._window_end_ns, f"a count is negative: {rec}")
        self._recorder.site(rec)

    def _end_latencies(self) -> None:
        if self._latencies_missing:
            self.breaches.add(
                self._window_end_ns,
                f"window with {self._latencies_missing} more requests completed than latencies",
            )
            self._latencies_missing = 0

    # ---- the end -------------------------------------------------------------------------------------------

    def close(self, world: World) -> None:
        """Compare the sums over all rows with the world's own counts at the end of a run."""
        self._end_latencies()
        now = world.env.now
        heap = world.heap
        totals = self.windows
        expected = {
            "alloc_bytes": heap.allocated_bytes,
            "alloc_objects": heap.allocated_objects,
            **{name: sum(p.acc[state] for p in world.ps) for state, name in WINDOW_STATES.items()},
        }
        for name, total in expected.items():
            if getattr(totals, name) != total:
                self.breaches.add(
                    now, f"windows add up to {getattr(totals, name)} {name}, the run has {total}"
                )
        if self._window_end_ns != now:
            self.breaches.add(now, f"the last window ended at {self._window_end_ns} ns")
        if self._sites != [heap.allocated_bytes, heap.allocated_objects]:
            self.breaches.add(now, f"sites add up to {self._sites} bytes and objects, the run has "
                f"{heap.allocated_bytes} and {heap.allocated_objects}")  # fmt: skip
        # Who is in the system, counted one by one.
        load = world.probe.load
        there = sum(g.request_class is not None for g in world.alive)
        there += sum(arrivals.waiting for arrivals in load.arrivals.values())
        there += sum(dispatcher.not_started for dispatcher in load.dispatchers)
        if there != self.queued:
            self.breaches.add(now, f"{self.queued} requests are said to be in the system, {there} are")
