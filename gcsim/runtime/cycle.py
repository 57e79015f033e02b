"""The GC cycle: trigger, sweep termination, concurrent mark, mark termination, sweep.

One SimPy process, woken when a cycle is wanted.  It stops the world, asks the pacer, lets the mark phase run, and
stops it again.  Under `runtime.collector: stop_the_world` (GODEBUG=gcstoptheworld=1 or 2) the world runs for the
mark workers alone in between: every P is a dedicated one, and the scheduler holds back whatever else is runnable.  Source: runtime/mgc.go gcStart, gcMarkDone, gcMarkTermination; runtime/proc.go
stopTheWorldWithSema, startTheWorldWithSema, procresize (go1.27).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from gcsim.policy.releases import PauseCharge
from gcsim.policy.workers import TriggerKind
from gcsim.runtime.clock import Alarm
from gcsim.runtime.goroutine import Goroutine
from gcsim.runtime.heap import MarkSnapshot
from gcsim.runtime.mark import GLOBALS, HEAP, STACKS, Stage
from gcsim.runtime.randomness import stream
from gcsim.runtime.records import CycleRecord, GCIntervals, PauseKind, PauseRecord, TriggerReason
from gcsim.runtime.spans import full_spans, garbage_shares, large_frac
from gcsim.runtime.walk import Walk

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

NO_LIMIT = (1 << 63) - 1
# derived: golang/go#58106: an effective GOGC below about 10 is the early sign of a death spiral
TIGHT_GOGC_PERCENT = 10
_NEAR_BYTES = 128 << 10
SWEEP_STOPPED = 2  # of GODEBUG=gcstoptheworld: sweeping is over before the world runs again
ROOT_BLOCK_BYTES = 256 << 10  # derived: runtime/mgcmark.go rootBlockBytes (go1.19 .. go1.27)

_REASONS: dict[TriggerKind, TriggerReason] = {
    TriggerKind.HEAP: "heap",
    TriggerKind.TIME: "time",
    TriggerKind.CYCLE: "forced",
}


class Collector:
    """The collector's course.

    Attributes:
        cycle: number of the present or last cycle, from 1.
        trigger_bytes: heap live at which the next one starts.
        last_gc_ns: when the last one ended.
        gc_cpu_ns: CPU time of the collector since process start, idle marking excluded.
    """

    def __init__(self, world: World) -> None:
        self._w = world
        self._rng = stream(world.seed, "stw")
        self._mark_rng = stream(world.seed, "marking")
        self.cycle = 0
        self.last_gc_ns = 0
        self.gc_cpu_ns = 0
        self.is_running = False
        self.is_unrecorded = False  # from mark start until the cycle's row is written
        self._wanted: TriggerKind | None = None
        self._starter: P | None = None
        self.ender: P | None = None
        self._is_limited = False
        self._is_tight = False
        self._wake = world.env.event()
        self._marked = world.env.event()
        self._watch = Alarm(world.env, self._look)
        self.forced_waiters: list[Goroutine] = []
        self.next_waiters: list[Goroutine] = []
        self.trigger_bytes = world.pacer.trigger()[0]
        self.snapshot: MarkSnapshot | None = None
        self.mark_start_bytes = 0
        self.is_restarting = False
        self.freed_while_marking_bytes = 0  # by minor collections, where there are generations
        world.env.process(self._run())

    # ---- asking for a cycle --------------------------------------------------------------------------------

    def request(self, p: P | None, kind: TriggerKind) -> None:
        """A cycle is wanted; the P is where its trigger was noticed.  Nothing if one is on its way."""
        if self.is_running or self._wanted is not None:
            return
        self._wanted = kind
        self._starter = p
        wake, self._wake = self._wake, self._w.env.event()
        wake.succeed()

    def force(self, g: Goroutine) -> None:
        """runtime.GC(): the goroutine waits for a whole cycle that begins after now."""
        self.next_waiters.append(g)
        self.request(None, TriggerKind.CYCLE)

    def watch(self) -> None:
        """Look again when heap live can have reached the trigger at the earliest."""
        w = self._w
        if w.generations is not None:
            w.memory.update()
            self.trigger_bytes = w.pacer.trigger()[0]
            w.generations.watch()  # the old generation grows when these collect
            return
        if self.is_running:
            return
        limited = w.pacer.memory_limit_bytes < NO_LIMIT
        if limited:
            w.memory.update()
        self.trigger_bytes = w.pacer.trigger()[0]
        gap = self.trigger_bytes - w.pacer.heap_live_bytes
        if limited and gap > _NEAR_BYTES:
            # Memory besides the heap grows with it and lowers the goal: look again half way.
            gap //= 2
        rate = w.max_alloc_per_ns
        if rate > 0.0:
            self._watch.set(w.env.now + max(5_000, min(1_000_000_000, math.ceil(gap / rate))))

    def _look(self) -> None:
        w = self._w
        w.commit_all()
        if w.pacer.memory_limit_bytes < NO_LIMIT:
            w.memory.update()
            self.trigger_bytes = w.pacer.trigger()[0]
        if not self.is_running and self._wanted is None:
            if self._w.pacer.heap_live_bytes >= self.trigger_bytes:
                self.request(next((p for p in self._w.ps if p.state == "mutator"), None), TriggerKind.HEAP)
            else:
                self.watch()

    def _report_strain(self, marked_bytes: int, *, limited: bool) -> None:
        """A cycle has ended: tell when a memory limit leaves next to no room above what is live, and when that is over."""
        pacer = self._w.pacer
        probe = self._w.probe
        if limited != self._is_limited:
            self._is_limited = limited
            probe.event("limiter", "on: assists are off" if limited else "off", None)
        goal = pacer.heap_goal()
        room_percent = 100.0 * (goal - marked_bytes) / max(1, marked_bytes)
        # Below GOGC's own goal, which is the user's to choose.
        tight = goal < pacer.gc_percent_heap_goal_bytes and room_percent < TIGHT_GOGC_PERCENT
        if tight != self._is_tight:
            self._is_tight = tight
            detail = "cycle follows cycle" if tight else "room again"
            probe.event("memory_limit", f"effective GOGC in percent: {detail}", max(0.0, room_percent))

    # ---- the course ----------------------------------------------------------------------------------------

    def _run(self) -> Generator[Any, Any, None]:
        w = self._w
        env = w.env
        while True:
            if self._wanted is None:
                yield self._wake
            kind = self._wanted
            assert kind is not None
            self._wanted = None
            self.is_running = True
            self._watch.clear()
            starter = self._starter
            self.forced_waiters, self.next_waiters = self.next_waiters, []
            sweeping_ns = w.sweep.finish()
            yield env.timeout(sweeping_ns + int(w.profile["gc_start_ns"]))
            if w.generations is not None:
                yield from w.generations.take_world()
            yield from self._cycle(kind, starter)
            self.is_running = False
            for g in self.forced_waiters:
                w.sweep.finish()
                w.sched.inject(g)
            self.forced_waiters = []
            if self.next_waiters:
                self._wanted = TriggerKind.CYCLE
                self._starter = None
            else:
                self.watch()

    def _cycle(self, kind: TriggerKind, starter: P | None) -> Generator[Any, Any, None]:
        w = self._w
        env = w.env
        pacer = w.pacer
        self.cycle += 1
        start_ns = env.now
        phase = w.probe.phase
        # Sweep termination.
        if starter is not None and starter.state != "mutator":
            starter = None
        mode = w.stop_the_world
        # Who starts a cycle without the program waits like everybody else.
        stopping1 = yield from self.stop("stw_stop_ns", starter, keeps=not mode)
        yield env.timeout(self.pause_ns("stw_sweep_term_ns"))
        for pool in w.heap.pools.values():
            pool.clear(w.heap)
        if w.generations is not None:
            yield env.timeout(w.generations.begin_major(start_ns, stopping1))
        w.memory.update()
        off_core_ns = w.cores.gather()
        stages, stacks_bytes = self._work()
        assert self.snapshot is not None
        heap0 = pacer.heap_live_bytes
        trigger, goal = pacer.trigger()
        pacer.start_cycle(start_ns, w.procs, kind, stop_the_world=mode)
        ratio = pacer.assist_work_per_byte
        w.limiter.start_gc_transition(True, start_ns)
        w.is_marking = self.is_unrecorded = True
        w.forget_slows()
        w.mark.begin(stages, scan_spans=self.snapshot.scan_spans)
        w.watch.mark_begins(w, kind, self.snapshot, stacks_bytes)
        for g in w.alive:
            g.credit = g.debited = 0
        self.mark_start_bytes = w.heap.allocated_bytes
        self.freed_while_marking_bytes = 0
        mark_start = env.now
        w.limiter.finish_gc_transition(mark_start)
        if mode:
            w.sched.hold_users()
        w.probe.marks_from(mark_start)
        self._marked = env.event()
        lost_ns = self.start_world(starter, off_core_ns)
        if lost_ns:
            # Others mark already; in the records, as in Go's, the pause lasts until its starter runs again.
            self.is_restarting = True
            yield env.timeout(lost_ns)
            self.is_restarting = False
        if w.generations is not None:
            w.generations.give_world()
        stw1 = env.now - start_ns
        charge1 = self._charge("sweep_termination", start_ns, stopping1, stw1, lost_ns)
        # Concurrent mark, until the last worker or assist finds nothing more.
        if not w.mark.stages:
            w.mark.is_complete = True
            self.ender = None
        else:
            yield self._marked
        yield env.timeout(int(w.profile["mark_fixed_ns"]))
        # Mark termination.
        if w.generations is not None:
            yield from w.generations.take_world()
        term_ns = env.now
        ender = self.ender
        stopping2 = yield from self.stop("stw_stop_mark_term_ns", ender)
        yield env.timeout(self.pause_ns("stw_mark_term_ns"))
        w.limiter.start_gc_transition(False, term_ns)
        w.is_marking = False
        w.forget_slows()
        w.probe.marked_until(env.now)
        w.cores.spread()
        w.watch.mark_ends(w)
        w.mark.end()
        pacer.end_cycle(term_ns, w.procs)
        heap1 = pacer.heap_live_bytes
        marked = self.snapshot.reachable_bytes + (w.heap.allocated_bytes - self.mark_start_bytes)
        marked -= self.freed_while_marking_bytes
        w.memory.update()
        in_use = w.memory.heap_in_use_bytes - w.memory.nursery_bytes
        w.memory.end_cycle(marked)
        pacer.last_stack_scan_bytes = pacer.stack_scan_work_bytes
        w.heap.condemn(self.snapshot)
        w.watch.survived(w, marked)
        if w.generations is not None:
            w.generations.condemned(self.snapshot.dead_bytes, self.snapshot.dead_objects)
            marked = w.generations.old_bytes
        pacer.reset_live(marked)
        for p in w.ps:
            p.cache_empty = True
        sweeps_stopped = mode == SWEEP_STOPPED
        pacer.commit(sweeps_stopped)
        self.trigger_bytes = pacer.trigger()[0]
        garbage_bytes = max(0, in_use - self.snapshot.reachable_bytes)
        spans = self.snapshot.spans + garbage_bytes * w.probe.load.spans_per_byte
        plans = w.probe.load.plans
        w.sweep.begin(
            in_use,
            spans,
            self.trigger_bytes,
            full_spans(plans, w.heap, w.heap.allocated_bytes - self.mark_start_bytes),
            large_frac=large_frac(plans),
            concurrent=not sweeps_stopped,
        )
        if sweeps_stopped:
            yield env.timeout(w.sweep.finish())
        w.memory.update()
        w.memory.pace_scavenger()
        w.memory.watch()
        self.last_gc_ns = env.now
        w.limiter.finish_gc_transition(env.now)
        limited = w.limiter.limiting
        self._report_strain(marked, limited=limited)
        if mode:
            w.sched.release_users()
        self.start_world(ender)
        if w.generations is not None:
            w.generations.give_world()
        stw2 = env.now - term_ns
        charge2 = self._charge("mark_termination", term_ns, stopping2, stw2)
        if mode:
            self._record_pause("stop_the_world", start_ns, stopping1, env.now - start_ns, charge1 + charge2)
        self.gc_cpu_ns += (
            charge1 + charge2 + pacer.assist_time_cpu_ns + pacer.dedicated_mark_time_cpu_ns
            + pacer.fractional_mark_time_cpu_ns
        )  # fmt: skip
        # Without the program, marking is part of the pause.
        intervals = np.asarray([] if mode else w.mark.intervals, dtype=np.int64).reshape(-1, 2)
        w.probe.recorder.gc_intervals(
            GCIntervals(self.cycle, phase, intervals[:, 0].copy(), intervals[:, 1].copy())
        )
        limit = pacer.memory_limit_bytes
        w.probe.recorder.cycle(
            CycleRecord(
                cycle=self.cycle,
                phase=phase,
                trigger_reason=_REASONS[kind],
                start_ns=start_ns,
                sweep_term_ns=stw1,
                mark_start_ns=start_ns + stw1,
                mark_ns=term_ns - start_ns - stw1,
                mark_term_ns=stw2,
                end_ns=env.now,
                heap_start_bytes=heap0,
                trigger_bytes=trigger,
                heap_goal_bytes=goal,
                heap_end_bytes=heap1,
                heap_marked_bytes=marked,
                stacks_bytes=stacks_bytes,
                globals_bytes=pacer.globals_scan_bytes,
                heap_scan_work_bytes=pacer.heap_scan_work_bytes,
                stack_scan_work_bytes=pacer.stack_scan_work_bytes,
                globals_scan_work_bytes=pacer.globals_scan_work_bytes,
                assist_cpu_ns=pacer.assist_time_cpu_ns,
                dedicated_cpu_ns=pacer.dedicated_mark_time_cpu_ns,
                fractional_cpu_ns=pacer.fractional_mark_time_cpu_ns,
                idle_cpu_ns=pacer.idle_mark_time_cpu_ns,
                stw_cpu_ns=charge1 + charge2,
                sweep_term_stopping_ns=stopping1,
                mark_term_stopping_ns=stopping2,
                cons_mark=pacer.cons_mark,
                # In the PI era an estimate below zero makes it wrap to nearly 2**64, as in Go; columns are signed.
                runway_bytes=min(pacer.runway_bytes, (1 << 63) - 1),
                assist_work_per_byte_start=ratio,
                assists=w.mark.assists,
                limiter_enabled=limited,
                gomaxprocs=w.procs,
                gogc_percent=None if pacer.gogc_percent < 0 else pacer.gogc_percent,
                memory_limit_bytes=None if limit >= NO_LIMIT else limit,
                total_alloc_bytes=w.heap.allocated_bytes,
                gc_cpu_frac_cumulative=self.gc_cpu_ns / max(1, env.now * w.procs),
            )
        )
        self.is_unrecorded = False

    def mark_done(self, p: P) -> None:
        """The last of the marking ended on this P."""
        self.ender = p
        w = self._w
        w.set_state(p, "overhead")
        p.alarm.clear()
        self._marked.succeed()

    def _work(self) -> tuple[list[Stage], int]:
        """The cycle's work: CPU time and scan work of globals, stacks and heap."""
        w = self._w
        p = w.profile
        # Caches and the machine's other tenants make some cycles dearer than others.
        noise = math.exp(p["mark_sigma"] * float(self._mark_rng.standard_normal()))
        # Markers that share a core do not compete for memory.
        contention = p["mark_contention_frac"] if w.procs > 1 and not w.cores.is_gathered else 0.0
        if any(plan.makes_temporaries for plan in w.probe.load.plans):
            for g in w.alive:
                g.bury()
        snapshot = self.snapshot = w.heap.mark_snapshot(w.env.now, garbage_shares(w.probe.load.plans))
        pacer = w.pacer
        globals_bytes = w.spec.globals.scan_bytes
        pacer.globals_scan_bytes = globals_bytes
        count, used_bytes, stack_bytes = w.stacks.scan()
        pacer.max_stack_scan_bytes = stack_bytes
        stack_work = float(used_bytes)
        stages = [
            Stage(
                GLOBALS,
                globals_bytes * p["mark_globals_ns_per_byte"] * (1.0 + contention) * noise,
                float(globals_bytes),
                jobs=-(-globals_bytes // ROOT_BLOCK_BYTES),
            ),
            Stage(
                STACKS,
                (count * p["mark_stack_ns"] + used_bytes * p["mark_stack_ns_per_byte"])
                * (1.0 + contention)
                * noise,
                stack_work,
                jobs=count,
            ),
            Stage(
                HEAP,
                (snapshot.cost_ns + contention * snapshot.streamed_ns) * noise,
                snapshot.scan_work_bytes,
                width=snapshot.width,
                walk=Walk.of(snapshot),
            ),
        ]
        return stages, used_bytes

    def nothing_left(self) -> None:
        """Marking ended just when the world was stopped for something else: nobody's P is there to end it."""
        self.ender = None
        self._marked.succeed()

    # ---- stopping and starting the world -------------------------------------------------------------------

    def stop(self, constant: str, by: P | None, *, keeps: bool = True) -> Generator[Any, Any, int]:
        """The world stops; ns until it has.

        Args:
            constant: of the profile, how long a running P takes.
            by: whose goroutine stops it; `keeps` its P.
        """
        env = self._w.env
        stopping = self.stopping_ns(constant, by)
        held_up = max(0, self.held_up_ns(by) - stopping)
        yield env.timeout(stopping)
        self.stop_world(by if keeps else None)
        if held_up:
            yield env.timeout(held_up)
        return stopping + held_up

    def stopping_ns(self, constant: str, by: P | None) -> int:
        """How long until every other running P has stopped: the slowest of them decides.

        Code that calls functions looks at its stack guard all the time; often it has stopped before the stopper, busy
        sending signals, goes to sleep.  Otherwise, and always in a long loop without calls, the stopper's thread has
        to be woken.  Source: runtime/proc.go stopTheWorldWithSema, preemptall.
        """
        w = self._w
        p = w.profile
        at_once, sigma = p["stw_stop_at_once_frac"], p["stw_stop_sigma"]
        stopping = 1_000.0
        for other in w.ps:
            if other is by or other.state in ("idle", "stw"):
                continue
            g = other.goroutine
            callless = g.rates.callless_frac if g is not None else 0.0
            if float(self._rng.random()) >= at_once * (1.0 - callless):
                stopping = max(stopping, p[constant] * math.exp(sigma * float(self._rng.standard_normal())))
            else:
                stopping = max(stopping, p["stw_at_once_ns"])
        return int(stopping)

    def held_up_ns(self, by: P | None) -> int:
        """How long the stop takes from now until every thread that is off its core is back on it, to stop there.

        The instant falls into a stall with the share of time that stalls take, into a long one the sooner, and anywhere
        in it.  Who is off its core does nothing, and who is on it has stopped long before.
        """
        held_up = 0.0
        for other in self._w.ps:
            if other is by or other.state in ("idle", "stw"):
                continue
            for stall in self._w.costs.stalls:
                if float(self._rng.random()) < stall.rate_per_s * stall.mean_ns / 1e9:
                    mu = math.log(stall.mean_ns) + stall.sigma**2 / 2.0  # of lengths weighted by themselves
                    length = math.exp(mu + stall.sigma * float(self._rng.standard_normal()))
                    held_up = max(held_up, length * float(self._rng.random()))
        return int(held_up)

    def pause_ns(self, constant: str) -> int:
        """How long the fixed work of a pause takes."""
        w = self._w
        base = w.profile[constant] + w.profile["stw_per_p_ns"] * (w.procs - 1)
        return int(base * math.exp(w.profile["stw_work_sigma"] * float(self._rng.standard_normal())))

    def stop_world(self, by: P | None) -> None:
        """Every P stops.  Running goroutines go to the global queue; `by` keeps its own."""
        w = self._w
        for p in w.ps:
            if p.state == "mutator" and p.goroutine is not None:
                w.cut(p)
            elif p.state == "assist":
                w.mark.cut_assist(p)
            elif p.state in ("dedicated", "fractional", "idle_worker"):
                w.mark.stop_worker(p)
            if p.goroutine is not None and p is not by:
                w.sched.ready_global(p.goroutine)
                p.goroutine = None
            if p.is_spinning:
                p.is_spinning = False
                w.sched.spinning -= 1
            p.alarm.clear()
            w.set_state(p, "stw")
        w.sched.release_syscalls()
        w.settle()  # what has finished by now belongs to the time before
        w.is_stopped = True
        w.watch.stops(w)

    def start_world(self, by: P | None, off_core_ns: int = 0) -> int:
        """The world runs again.

        Args:
            by: who starts it and goes on.
            off_core_ns: how long it is off its core once it has woken another P's thread.
        Returns:
            For how long it really was, in ns: those Ps that have something to run are woken before the pause is over.
        """
        w = self._w
        w.watch.restarts(w)
        w.watch.limiter(w)
        w.is_stopped = False
        now = w.env.now
        restart_ns = int(w.profile["stw_restart_ns"])
        wakes = False
        for p in w.ps:
            if p is by:
                continue
            if p.runq or p.runnext is not None:
                w.sched.start_p(p, w.sched.wakeup_ns(prompt=w.is_marking))
                p.is_spinning = False
                w.sched.spinning -= 1
                wakes = True
            elif w.is_marking and w.rules.mark_workers_at_restart and self._has_worker_for(p):
                w.set_state(p, "overhead")
                p.at(now + w.sched.wakeup_ns(prompt=True), w.sched.schedule)
                wakes = True
            else:
                p.goroutine = None
                w.set_state(p, "idle")
        lost_ns = off_core_ns if wakes and by is not None else 0
        if by is not None:
            if by.goroutine is not None and lost_ns:
                w.set_state(by, "overhead")
                by.at(now + restart_ns + lost_ns, w.start_slice)
            elif by.goroutine is not None:
                by.began_ns = now + restart_ns
                w.set_state(by, "mutator")
                w.start_slice(by)
            else:
                w.set_state(by, "overhead")
                by.at(now + restart_ns + lost_ns, w.sched.schedule)
        w.sched.wake_p(prompt=w.is_marking)
        w.sched.poll_again()
        return lost_ns

    def _has_worker_for(self, p: P) -> bool:
        """Whether procresize would hand this idle P a mark worker at once."""
        pacer = self._w.pacer
        return pacer.dedicated_mark_workers_needed > 0 or pacer.fractional_utilization_goal > 0.0

    def _charge(
        self, kind: PauseKind, start_ns: int, stopping_ns: int, duration_ns: int, restarting_ns: int = 0
    ) -> int:
        """Record the pause; the CPU time that the release charges the collector for it.

        In a cycle without the program it is part of the one pause that the program sees.

        Args:
            restarting_ns: at its end, after the time has been taken that newer releases charge.
        """
        cpu_ns = self._charged_ns(stopping_ns, duration_ns, restarting_ns)
        if not self._w.stop_the_world:
            self._record_pause(kind, start_ns, stopping_ns, duration_ns, cpu_ns)
        return cpu_ns

    def _charged_ns(self, stopping_ns: int, duration_ns: int, restarting_ns: int = 0) -> int:
        w = self._w
        if w.rules.pause_charge is PauseCharge.MIN_PROCS_CPUS:
            return min(w.procs, w.spec.machine.cores) * duration_ns
        return stopping_ns + w.procs * (duration_ns - restarting_ns - stopping_ns)

    def minor_pause(self, start_ns: int, stopping_ns: int) -> int:
        """Record the pause of a minor collection, which is over; the CPU time charged for it."""
        w = self._w
        duration_ns = w.env.now - start_ns
        cpu_ns = self._charged_ns(stopping_ns, duration_ns)
        self.gc_cpu_ns += cpu_ns
        w.probe.recorder.pause(
            PauseRecord(None, w.probe.phase_at(start_ns), "minor", start_ns, stopping_ns, duration_ns, cpu_ns)
        )
        return cpu_ns

    def _record_pause(
        self, kind: PauseKind, start_ns: int, stopping_ns: int, duration_ns: int, cpu_ns: int
    ) -> None:
        w = self._w
        w.probe.recorder.pause(
            PauseRecord(
                self.cycle, w.probe.phase_at(start_ns), kind, start_ns, stopping_ns, duration_ns, cpu_ns
            )
        )
