"""The probe: turns what happens into rows for the recorder.  Windows, phases, samples; nothing decides here."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gcsim.runtime.buckets import BucketCounts
from gcsim.runtime.clock import Alarm
from gcsim.runtime.randomness import stream
from gcsim.runtime.records import (
    AssistRecord,
    EventRecord,
    HeapSample,
    LatencyBuckets,
    Phase,
    PhaseChange,
    PState,
    PStateInterval,
    Recorder,
    RequestSample,
    SchedLatencyBuckets,
    SiteRecord,
    ThroughputWindow,
    TricolorSample,
)
from gcsim.runtime.sites import SiteKey

if TYPE_CHECKING:
    from gcsim.runtime.load import Load
    from gcsim.runtime.world import P, World

_TRICOLOR_SAMPLES_NS = 500_000
# Requests of closed loops are reported up to a window (or 320 ms) late: cycles that far back are asked for.
_MARKS_KEPT = 4096


class Probe:
    """Counts between window ends, and passes rows on."""

    load: Load

    def __init__(self, world: World, recorder: Recorder) -> None:
        self._w = world
        self.recorder = recorder
        spec = world.spec.record
        self.records_p_states = spec.p_states
        self._records_assists = spec.assists
        self._sampled = spec.requests_sample
        self._sample_rng = stream(world.seed, "requests.sample")
        self.phase: Phase = "start_up"
        self._load_from_ns: int | None = None
        self._warm_from_ns: int | None = None
        self.arrived = 0
        self.completed = 0
        self.dropped = 0
        self._completed_before = 0  # in the load phase, in windows closed already
        self._latencies: defaultdict[str, BucketCounts] = defaultdict(BucketCounts)
        self._marks: deque[tuple[int, float]] = deque(maxlen=_MARKS_KEPT)
        self._sched = BucketCounts()
        world.sched.note_latency = self._sched.add
        self._sites_before: dict[SiteKey, tuple[int, int, float, float]] = {}
        self._window_start_ns = world.env.now
        self._window_alloc = (0, 0)
        self._window_acc = [dict(p.acc) for p in world.ps]
        self._window_ns = spec.window
        self._window = Alarm(world.env, self._end_window)
        self._window.set(world.env.now + spec.window)
        self._heap_ns = spec.heap_interval
        self._heap = Alarm(world.env, self._sample_heap)
        self._heap.set(world.env.now + self._heap_ns)
        self._tricolor = Alarm(world.env, self._sample_colours)
        self._white = (0, 1.0)  # cycle, share of its reachable bytes that is white
        if spec.tricolor:
            self._tricolor.set(world.env.now + _TRICOLOR_SAMPLES_NS)
        recorder.phase(PhaseChange("start_up", world.env.now))

    # ---- phases and windows --------------------------------------------------------------------------------

    def set_phase(self, phase: Phase) -> None:
        """From now on rows belong to `phase`."""
        self._close_window()
        self._report_sites(at_end=False)
        self.phase = phase
        now = self._w.env.now
        if phase == "load":
            self._load_from_ns = now
        else:
            self._warm_from_ns = now
        self.recorder.phase(PhaseChange(phase, now))
        self._window.set(now + self._window_ns)

    def phase_at(self, time_ns: int) -> Phase:
        """The phase in which something began."""
        if self._load_from_ns is not None and time_ns >= self._load_from_ns:
            return "load"
        if self._warm_from_ns is not None and time_ns >= self._warm_from_ns:
            return "warm_up"
        return "start_up"

    def finish(self) -> None:
        """The run is over: close what is open."""
        self._close_window()
        self._report_sites(at_end=True)
        self._sample_heap()
        self.recorder.phase(PhaseChange("end", self._w.env.now))

    def _end_window(self) -> None:
        self._close_window()
        self._window.set(self._w.env.now + self._window_ns)

    def _close_window(self) -> None:
        w = self._w
        now = w.env.now
        w.commit_all()
        w.memory.update()  # the scavenger's time up to now belongs to this window
        for worker in self.load.workers:
            worker.report_finished()
        for arrivals in self.load.arrivals.values():
            arrivals.advance(now)
        w.flush_states()
        start = self._window_start_ns
        if now == start:
            return
        heap = w.heap
        spent = dict.fromkeys(w.ps[0].acc, 0)
        for before, p in zip(self._window_acc, w.ps, strict=True):
            for state, ns in p.acc.items():
                spent[state] += ns - before[state]
        alloc, objects = heap.allocated_bytes, heap.allocated_objects
        self.recorder.throughput(
            ThroughputWindow(
                phase=self.phase,
                start_ns=start,
                end_ns=now,
                arrived=self.arrived,
                completed=self.completed,
                dropped=self.dropped,
                queued=self.load.queued,
                alloc_bytes=alloc - self._window_alloc[0],
                alloc_objects=objects - self._window_alloc[1],
                mutator_cpu_ns=spent["mutator"],
                assist_cpu_ns=spent["assist"],
                dedicated_cpu_ns=spent["dedicated"],
                fractional_cpu_ns=spent["fractional"],
                idle_worker_cpu_ns=spent["idle_worker"],
                stw_cpu_ns=spent["stw"],
                sweep_cpu_ns=spent["sweep"],
                scavenge_cpu_ns=spent["scavenge"],
                overhead_cpu_ns=spent["overhead"],
                idle_cpu_ns=spent["idle"],
            )
        )
        for name, counts in self._latencies.items():
            if counts.total:
                indexes, n = counts.drain()
                self.recorder.latency(LatencyBuckets(self.phase, name, start, now, indexes, n))
        if self._sched.total:
            indexes, n = self._sched.drain()
            self.recorder.sched_latency(SchedLatencyBuckets(self.phase, start, now, indexes, n))
        if self.phase != "start_up":
            self._completed_before += self.completed
        self.arrived = self.completed = self.dropped = 0
        self._window_start_ns = now
        self._window_alloc = (alloc, objects)
        self._window_acc = [dict(p.acc) for p in w.ps]

    def settle(self) -> None:
        """To be called now and then: single times are noted first, and counted together."""
        self._sched.settle()
        for counts in self._latencies.values():
            counts.settle()

    # ---- marking -------------------------------------------------------------------------------------------

    def marks_from(self, time_ns: int) -> None:
        """Marking has begun."""
        self._marks.append((time_ns, math.inf))

    def marked_until(self, time_ns: int) -> None:
        """Marking has ended."""
        self._marks[-1] = (self._marks[-1][0], time_ns)

    # ---- requests ------------------------------------------------------------------------------------------

    @property
    def completed_in_load(self) -> int:
        """Requests completed since load start, warm-up included."""
        return self._completed_before + self.completed

    def latencies(
        self,
        name: str,
        ns: npt.NDArray[np.int64],
        ends_ns: npt.NDArray[np.float64],
        assists: Sequence[tuple[int, int]],
    ) -> None:
        """Requests of a closed-loop worker, in order.

        Args:
            ns: their latencies.
            ends_ns: when they ended, one element more than `ns`: the first is the start of the first.
            assists: index of a request and time in an assist (ns), in order; those beyond `ns` come again.
        """
        self._latencies[name].add_array(ns)
        if self._sampled:
            spent: dict[int, int] = {}
            for k, assist_ns in assists:
                spent[k] = spent.get(k, 0) + assist_ns
            for k in np.flatnonzero(self._sample_rng.random(len(ns)) < self._sampled).tolist():
                start, end = int(ends_ns[k]), int(ends_ns[k + 1])
                self._sample(name, start, start, end, spent.get(k, 0))

    def finish_request(self, name: str, arrival_ns: int, now: int, assist_ns: int) -> None:
        """One request of an open loop (or a blocking closed loop) is done."""
        self.completed += 1
        self._latencies[name].add(now - arrival_ns or 1)
        if self._sampled and self._sample_rng.random() < self._sampled:
            self._sample(name, arrival_ns, arrival_ns, now, assist_ns)

    def _sample(self, name: str, arrival_ns: int, start_ns: int, end_ns: int, assist_ns: int) -> None:
        self.recorder.request(
            RequestSample(
                self.phase_at(start_ns),
                name,
                arrival_ns,
                start_ns,
                end_ns,
                end_ns - arrival_ns,
                assist_ns,
                any(start_ns < end and begin < end_ns for begin, end in self._marks),
            )
        )

    # ---- sites ---------------------------------------------------------------------------------------------

    def _report_sites(self, *, at_end: bool) -> None:
        """A row per site: what it did since the phase began, and what is in use now."""
        heap = self._w.heap
        for plan in self.load.plans:
            plan.book_sites()
        counts: dict[SiteKey, tuple[int, int, float, float]] = {
            key: (site.bytes, site.objects, site.alloc_ns, site.code_ns)
            for key, site in heap.sites.by_key.items()
        }
        in_use = {key: (size, objects) for key, size, objects in heap.holders()}
        for g in self._w.alive:
            size = g.unbooked_bytes
            if size:
                key = SiteKey(g.request_class, None, "under_way", "")
                in_use[key] = (in_use.get(key, (0, 0))[0] + g.in_flight_bytes, 0)
                if at_end:  # else it is counted in the phase in which the request ends
                    counts[key] = (counts.get(key, (0,))[0] + size, 0, 0.0, 0.0)
        for key in counts | in_use:
            now = counts.get(key, (0, 0, 0.0, 0.0))
            was = self._sites_before.get(key, (0, 0, 0.0, 0.0))
            rec = SiteRecord(
                self.phase,
                *key,
                now[0] - was[0],
                now[1] - was[1],
                max(0, round(now[2]) - round(was[2])),
                max(0, round(now[3]) - round(was[3])),
                *in_use.get(key, (0, 0)),
            )
            if any(rec[5:]):
                self.recorder.site(rec)
        self._sites_before = counts

    # ---- samples and rare rows -----------------------------------------------------------------------------

    def assist(self, rec: AssistRecord) -> None:
        """One mark assist has ended."""
        if self._records_assists:
            self.recorder.assist(rec)

    def p_interval(self, p: P, state: PState, start_ns: int, end_ns: int) -> None:
        """A P has been in one state; called only where `records_p_states`."""
        self.recorder.p_state(PStateInterval(self.phase_at(start_ns), p.id, state, start_ns, end_ns))

    def event(self, kind: str, detail: str, amount: float | None) -> None:
        """Something rare."""
        self.recorder.event(EventRecord(self.phase, self._w.env.now, kind, detail, amount))

    def _sample_heap(self) -> None:
        w = self._w
        now = w.env.now
        w.commit_all()
        w.memory.update()
        memory = w.memory
        self.recorder.heap(
            HeapSample(
                phase=self.phase,
                time_ns=now,
                heap_live_bytes=w.pacer.heap_live_bytes,
                heap_in_use_bytes=memory.heap_in_use_bytes,
                heap_goal_bytes=w.pacer.heap_goal(),
                heap_mapped_bytes=memory.heap_mapped_bytes,
                heap_released_bytes=memory.heap_released_bytes,
                stacks_in_use_bytes=w.stacks.in_use_bytes,
                memory_bytes=memory.total_bytes,
                memory_peak_bytes=memory.interval_peak_bytes,
                nursery_bytes=None if w.generations is None else w.generations.nursery_bytes,
                old_bytes=None if w.generations is None else w.generations.old_bytes,
            )
        )
        memory.interval_peak_bytes = memory.total_bytes
        self._heap.set(now + self._heap_ns)

    def _sample_colours(self) -> None:
        w = self._w
        now = w.env.now
        snapshot = w.collector.snapshot
        if w.is_marking and not w.collector.is_restarting and snapshot is not None:
            w.commit_all()
            new = w.heap.allocated_bytes - w.collector.mark_start_bytes
            new -= w.collector.freed_while_marking_bytes
            done = w.mark.done_frac
            cycle, white = self._white
            # Nothing turns white again: what is shaded leaves the whites for good, however work is shared out.
            if cycle != w.collector.cycle:
                white = 1.0
            white = min(white, max(0.0, 1.0 - done - w.mark.grey_frac))
            self._white = (w.collector.cycle, white)
            grey = max(0.0, 1.0 - done - white)
            self.recorder.tricolor(
                TricolorSample(
                    cycle=w.collector.cycle,
                    phase=self.phase,
                    time_ns=now,
                    white_bytes=int(white * snapshot.reachable_bytes) + snapshot.dead_bytes,
                    grey_bytes=int(grey * snapshot.reachable_bytes),
                    black_bytes=int(done * snapshot.reachable_bytes) + new,
                    white_objects=int(white * snapshot.reachable_objects) + snapshot.dead_objects,
                    grey_objects=int(grey * snapshot.reachable_objects),
                    black_objects=int(done * snapshot.reachable_objects),
                )
            )
        self._tricolor.set(now + _TRICOLOR_SAMPLES_NS)
