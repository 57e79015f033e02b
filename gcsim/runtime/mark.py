"""The mark phase: grey work, workers, assists.

The work of a cycle is known when it begins (`Heap.mark_snapshot`): CPU time and scan work of globals, stacks and
heap, taken in that order.  Whoever drains **claims** a piece of it: a worker a leg, an assist what it owes.  Claims
shrink with what is left, so that the end of marking is found to a few tens of microseconds; when nothing is left
and nobody holds a claim, marking is done.  Background credit grows linearly while workers drain and is brought up to
date when somebody looks.

Source: runtime/mgcmark.go gcDrain, gcDrainN, gcAssistAlloc, gcParkAssist, gcFlushBgCredit; runtime/mgcpacer.go
findRunnableGCWorker (go1.27).  Simplified: work is found in one pool, its cost per byte even within a
stage but for assists, which fall anywhere along the walk (`Walk`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from gcsim.policy.constants import CREDIT_SLACK_BYTES, FRACTIONAL_EXIT_FACTOR, OVER_ASSIST_WORK_BYTES
from gcsim.policy.limiter import LimiterEventType
from gcsim.policy.workers import (
    MarkWorkerMode,
    may_start_fractional_worker,
)
from gcsim.runtime.clock import Alarm
from gcsim.runtime.goroutine import Goroutine
from gcsim.runtime.randomness import stream
from gcsim.runtime.records import AssistRecord, PState
from gcsim.runtime.walk import SPAN_RING, Walk

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

# derived: runtime/mgcmark.go drainCheckThreshold (go1.19 .. go1.27)
DRAIN_CHECK_BYTES = 100_000
# Credit is stolen 64 KiB of scan work at a time; at most so many thefts are one event.
MAX_THEFTS = 4
# Legs are no shorter: below this, Go's own granularity (a work buffer, an oblet) hides the rest.
MIN_LEG_NS = 20_000

_MODES: dict[PState, MarkWorkerMode] = {
    "dedicated": MarkWorkerMode.DEDICATED,
    "fractional": MarkWorkerMode.FRACTIONAL,
    "idle_worker": MarkWorkerMode.IDLE,
}


class Stage:
    """One kind of work: what is left of it, unclaimed.

    Attributes:
        ns, work: CPU time and scan work (bytes).
        jobs: root jobs it is made of, each done whole by whoever begins it; 0 for the heap, which is drained.
        width: how many Ps can be at it at once; None = any number.
        walk: how its cost per scan work varies on the way; None = it does not.
    """

    __slots__ = ("active", "job_ns", "kind", "ns", "walk", "width", "work")

    def __init__(
        self,
        kind: int,
        ns: float,
        work: float,
        *,
        jobs: int = 0,
        width: int | None = None,
        walk: Walk | None = None,
    ) -> None:
        self.kind = kind
        self.ns = ns
        self.work = work
        self.job_ns = ns / jobs if jobs else 0.0
        self.width = width
        self.walk = walk
        self.active = 0


GLOBALS, STACKS, HEAP = 0, 1, 2


class MarkPhase:
    """Work left and who drains it.  Between cycles it is empty."""

    def __init__(self, world: World) -> None:
        self._w = world
        self._env = world.env
        self._rng = stream(world.seed, "assists")
        self.stages: list[Stage] = []
        self._claimed = 0
        self._done_work = [0.0, 0.0, 0.0]
        self._credit = 0.0
        self._credit_rate = 0.0  # scan work per ns from background workers
        self._credit_ns = 0
        self._unflushed = 0.0  # scan work that workers have gathered and not yet made credit of
        self._legs: dict[int, tuple[int, float, float]] = {}  # P id -> (began, ns, work) of background legs
        self.parked: deque[Goroutine] = deque()
        self._credit_alarm = Alarm(world.env, self._flow)
        self._assist_overhead_ns = world.profile["assist_overhead_ns"]
        self.intervals: list[tuple[int, int]] = []
        self.assists = 0
        self.is_complete = False
        self._stacks_begun = False
        self._found_heap: set[int] = set()
        self._is_private = False
        self._total_ns = 0.0
        self._suspended = False

    # ---- a cycle -------------------------------------------------------------------------------------------

    def begin(self, stages: list[Stage], *, scan_spans: float = math.inf) -> None:
        """Marking starts with this work (the world is stopped); the heap's lies in so many spans."""
        self._is_private = self._w.rules.span_queue_stealing and scan_spans <= SPAN_RING
        self.stages = [s for s in stages if s.ns > 0]
        self._total_ns = sum(s.ns for s in self.stages)
        self._claimed = 0
        self._done_work = [0.0, 0.0, 0.0]
        for stage in stages:
            if not stage.ns:  # a machine on which it costs nothing
                self._book(stage.kind, stage.work)
        self._credit = 0.0
        self._credit_rate = 0.0
        self._credit_ns = self._env.now
        self._unflushed = 0.0
        self._legs.clear()
        self.intervals = []
        self.assists = 0
        self.is_complete = False
        self._stacks_begun = False
        self._found_heap.clear()
        for p in self._w.ps:
            p.fractional_ns = 0

    @property
    def left_ns(self) -> float:
        """Unclaimed CPU time."""
        left = 0.0
        for stage in self.stages:
            left += stage.ns
        return left

    @property
    def claims(self) -> int:
        """Pieces of work that somebody is at."""
        return self._claimed

    def has_work(self, p: P | None = None) -> bool:
        """Whether the P (None: any) could claim something now."""
        return self._open_stage(p) is not None

    @property
    def wants_workers(self) -> bool:
        """Whether an idle P would find marking to do."""
        if not self.has_work():
            return False
        pacer = self._w.pacer
        return pacer.dedicated_mark_workers_needed > 0 or (
            self._w.idle_workers_enabled and pacer.need_idle_mark_worker()
        )

    @property
    def needs_assists(self) -> bool:
        """Whether who allocates on debt must assist."""
        return self._w.assists_enabled and not self._w.limiter.limiting and not self.is_complete

    def _open_stage(self, p: P | None = None, *, assist: bool = False) -> Stage | None:
        """The work that the P (None: one that has found nothing) would take next.

        Workers do root jobs before anything else; an assist looks at its P's own queues first.  Heap work that fits
        into the queues of the P that found it is nobody else's until a ragged barrier publishes it.
        Source: runtime/mgcmark.go gcDrain, gcDrainN; runtime/mgcmark_greenteagc.go spanQueue (go1.27).
        """
        heap = roots = None
        for stage in self.stages:
            if stage.ns > 0.0:
                if stage.kind == HEAP:
                    heap = stage
                    break  # roots come before it
                if roots is None:
                    roots = stage
        if heap is not None and heap.width is not None and heap.active >= heap.width:
            heap = None
        has_own = p is not None and p.id in self._found_heap
        if roots is not None and not (assist and has_own and heap is not None):
            return roots
        return heap if has_own or not self._is_private else None

    def _claim(self, p: P, stage: Stage, ns: float, work: float | None = None) -> tuple[float, float]:
        """Take `ns` of a stage's work for the P, in whole root jobs; (ns, scan work) of what it got.

        Args:
            work: scan work that takes so long; None: at the stage's mean cost.
        """
        if stage.job_ns:
            ns = stage.job_ns * math.ceil(ns / stage.job_ns - 1e-9)
        if ns >= stage.ns or (work is not None and work >= stage.work):
            ns, work = stage.ns, stage.work
        elif work is None:
            work = stage.work * (ns / stage.ns)
        stage.ns -= ns
        stage.work -= work
        stage.active += 1
        self._claimed += 1
        p.claim = (stage, ns, work)
        if stage.kind == HEAP or not self._found_heap:
            # It has found pointers into the heap, so its queues will not be empty for a while.  Who does the first
            # root job does: the linker sorts small variables, and pointers to whole structures among them, first.
            self._found_heap.add(p.id)
        if stage.kind == STACKS and not self._stacks_begun:
            self._stacks_begun = True
            self._w.sched.suspend_others(p)
        return ns, work

    def _finish_claim(self, p: P, done_frac: float) -> float:
        """The P has done this share of its claim; the rest goes back.  Scan work done."""
        assert p.claim is not None
        stage, ns, work = p.claim
        p.claim = None
        stage.active -= 1
        self._claimed -= 1
        if done_frac < 1.0:
            stage.ns += ns * (1.0 - done_frac)
            stage.work += work * (1.0 - done_frac)
            work *= done_frac
        self._book(stage.kind, work)
        return work

    def _book(self, kind: int, work: float) -> None:
        pacer = self._w.pacer
        total = self._done_work[kind] + work
        whole = int(total) - int(self._done_work[kind])
        self._done_work[kind] = total
        if kind == HEAP:
            pacer.heap_scan_work_bytes += whole
        elif kind == STACKS:
            pacer.stack_scan_work_bytes += whole
        else:
            pacer.globals_scan_work_bytes += whole

    def _check_complete(self, p: P) -> bool:
        """Nothing left and nobody at it: this P ends the mark phase."""
        if self._claimed or self.is_complete or self.left_ns > 0.0:
            return False
        self.is_complete = True
        self._credit_alarm.clear()
        self._w.collector.mark_done(p)
        return True

    def complete_if_done(self) -> None:
        """The world was stopped while marking went on: its last piece may have ended at that very instant."""
        if (
            self._w.is_marking
            and self.stages
            and not (self._claimed or self.is_complete or self.left_ns > 0.0)
        ):
            self.is_complete = True
            self._credit_alarm.clear()
            self._w.collector.nothing_left()

    def end(self) -> None:
        """Marking is over: assists that wait are let go (with the world stopped)."""
        self._credit_alarm.clear()
        self.stages = []
        now = self._env.now
        while self.parked:
            g = self.parked.popleft()
            g.credit = 0
            g.parked_ns += now - g.ready_ns
            self._record_assist(g)
            self._w.sched.ready_global(g)
        for g in self._w.alive:
            # Cut in an assist by the stop, or the one that found marking done: nothing is owed any more.
            self._record_assist(g)

    # ---- background credit ---------------------------------------------------------------------------------

    def _accrue(self) -> None:
        """Bring background credit up to now; goroutines that wait for it come first."""
        now = self._env.now
        if now <= self._credit_ns:
            return
        gathered = self._unflushed + self._credit_rate * (now - self._credit_ns)
        self._credit_ns = now
        # Workers flush whole lumps; smaller crumbs would let a waiting goroutine go on for a byte at a time.
        work = gathered // CREDIT_SLACK_BYTES * CREDIT_SLACK_BYTES
        self._unflushed = gathered - work
        if self.parked and work > 0.0:
            pacer = self._w.pacer
            scan_bytes = int(work * pacer.assist_bytes_per_work) + 1
            while self.parked and scan_bytes > 0:
                g = self.parked.popleft()
                if scan_bytes + g.credit >= 0:
                    scan_bytes += g.credit
                    g.credit = 0
                    g.parked_ns += now - g.ready_ns
                    self._unpark(g)
                else:
                    g.credit += scan_bytes
                    scan_bytes = 0
                    self.parked.append(g)
            work = scan_bytes * pacer.assist_work_per_byte
        self._credit += work

    def _unpark(self, g: Goroutine) -> None:
        """Satisfied by a worker's flush: runnable on that worker's P."""
        w = self._w
        worker = next((w.ps[i] for i in self._legs), w.ps[0])
        self._record_assist(g)
        w.sched.ready(g, worker)

    def _set_rate(self, change: float) -> None:
        self._accrue()
        self._credit_rate = max(0.0, self._credit_rate + change) if self._legs else 0.0
        self._plan_flow()

    def _plan_flow(self) -> None:
        """When the first waiting assist will have been satisfied."""
        if not self.parked or self._credit_rate <= 0.0:
            self._credit_alarm.clear()
            return
        debt = -self.parked[0].credit * self._w.pacer.assist_work_per_byte
        lumps = max(1, math.ceil(debt / CREDIT_SLACK_BYTES))
        wait_ns = (lumps * CREDIT_SLACK_BYTES - self._unflushed) / self._credit_rate
        self._credit_alarm.set(self._env.now + max(1000, math.ceil(wait_ns)))

    def _flow(self) -> None:
        self._accrue()
        self._plan_flow()

    # ---- workers -------------------------------------------------------------------------------------------

    def start_worker(self, p: P) -> bool:
        """Let the P become a dedicated or fractional worker if one is due.  Source: findRunnableGCWorker."""
        if not self.has_work(p) or self.is_complete:
            return False
        w = self._w
        pacer = w.pacer
        now = self._env.now
        if pacer.take_dedicated_mark_worker():
            return self._begin_worker(p, "dedicated")
        goal = pacer.fractional_utilization_goal
        if goal == 0.0 or not may_start_fractional_worker(
            fractional_mark_ns=p.fractional_ns, since_mark_start_ns=now - pacer.mark_start_time_ns, goal=goal
        ):
            return False
        return self._begin_worker(p, "fractional")

    def start_idle_worker(self, p: P) -> bool:
        """Let an otherwise idle P mark."""
        if not self._w.idle_workers_enabled or not self.has_work(p) or self.is_complete:
            return False
        if not self._w.pacer.add_idle_mark_worker():
            return False
        return self._begin_worker(p, "idle_worker")

    def _begin_worker(self, p: P, state: PState) -> bool:
        w = self._w
        w.set_state(p, state)
        now = self._env.now
        p.worker_began_ns = now
        p.goroutine = None
        p.schedtick += 1
        if state == "idle_worker":
            p.limiter_event.start(LimiterEventType.IDLE_MARK_WORK, now)
        if p.is_spinning:
            w.sched.stop_spinning(p)
        self._next_leg(p)
        return True

    def _next_leg(self, p: P) -> None:
        """The worker claims its next piece; with nothing to claim it stops."""
        stage = self._open_stage(p)
        if stage is None:
            self.stop_worker(p)
            if not self._check_complete(p):
                self._w.sched.schedule(p)
            return
        w = self._w
        slow = w.cores.slow
        left = self.left_ns
        want = max(MIN_LEG_NS, left / (2 * w.procs))
        leaves_after = math.inf
        if p.state == "fractional":
            quantum = self._check_quantum_ns(stage)
            if quantum < math.inf:
                leaves_after = quantum * max(1, math.ceil(self._fractional_exit_ns(p) / quantum - 1e-9))
        elif p.state == "idle_worker" and (p.runq or p.runnext is not None or w.sched.globq):
            leaves_after = self._check_quantum_ns(stage)
        ns, work = self._claim(p, stage, min(want, leaves_after))
        p.leaves_at_end = ns >= leaves_after - 1.0
        now = self._env.now
        duration = max(1, math.ceil(ns * slow))
        p.began_ns = now
        self._legs[p.id] = (now, duration, work)
        self._set_rate(work / duration)
        p.at(now + duration, self._leg_done)

    @staticmethod
    def _check_quantum_ns(stage: Stage) -> float:
        """CPU time between two looks of a worker at whether it should leave."""
        if stage.job_ns:
            return stage.job_ns  # after each root job
        if stage.work <= 0.0:
            return math.inf
        return DRAIN_CHECK_BYTES * stage.ns / stage.work

    def _fractional_exit_ns(self, p: P) -> float:
        """How long from now until the worker has had 1.2 times its share: solve (f + x) / (d + x) = limit."""
        pacer = self._w.pacer
        now = self._env.now
        limit = FRACTIONAL_EXIT_FACTOR * pacer.fractional_utilization_goal
        had = p.fractional_ns + (now - p.worker_began_ns)
        since = now - pacer.mark_start_time_ns
        if limit >= 1.0:
            return math.inf
        return max(0.0, (limit * since - had) / (1.0 - limit))

    def _end_leg(self, p: P) -> None:
        """Book what the P's leg has done up to now."""
        began, duration, work = self._legs[p.id]
        self._accrue()
        del self._legs[p.id]
        self._set_rate(-work / duration)
        now = self._env.now
        done = 1.0 if now >= began + duration else (now - began) / duration
        self._finish_claim(p, done)

    def _leg_done(self, p: P) -> None:
        self._end_leg(p)
        if p.leaves_at_end:
            self._leave(p)
        else:
            self._next_leg(p)

    def _leave(self, p: P) -> None:
        self.stop_worker(p)
        if not self._check_complete(p):
            self._w.sched.schedule(p)

    def stop_worker(self, p: P) -> None:
        """The worker gives up its P, its leg booked; the caller schedules the P."""
        if p.id in self._legs:
            self._end_leg(p)
        p.alarm.clear()
        w = self._w
        now = self._env.now
        duration = now - p.worker_began_ns
        w.pacer.mark_worker_stop(_MODES[p.state], duration)
        if p.state == "idle_worker":
            p.limiter_event.stop(LimiterEventType.IDLE_MARK_WORK, now, w.limiter)
        else:
            self.intervals.append((p.worker_began_ns, now))
            if p.state == "fractional":
                p.fractional_ns += duration
        w.set_state(p, "overhead")

    def poke(self, p: P) -> None:
        """Something became runnable where an idle worker looks: it leaves at its next check."""
        if p.leaves_at_end or p.id not in self._legs:
            return
        began, duration, _ = self._legs[p.id]
        assert p.claim is not None
        stage, ns, work = p.claim
        quantum = DRAIN_CHECK_BYTES * ns / work if work > 0 else math.inf
        now = self._env.now
        checks = math.floor((now - began) / quantum) + 1 if quantum < math.inf else math.inf
        at = began + checks * quantum
        if at >= began + duration:
            p.leaves_at_end = stage.ns > 0.0
            return
        p.leaves_at_end = True
        p.at(max(now, math.ceil(at)), self._leg_done)

    # ---- machine limits ------------------------------------------------------------------------------------

    def suspend_legs(self) -> None:
        """The process is off its cores: everything that marks stands still."""
        self._suspended = True
        for p in self._w.ps:
            if p.id in self._legs:
                self._end_leg(p)
                p.alarm.clear()
            elif p.state == "assist" and p.claim is not None:
                self.cut_assist(p)
                self._w.cores.hold(p)
                self._w.set_state(p, "mutator")

    def resume_legs(self) -> None:
        """Back on the cores."""
        self._suspended = False
        for p in self._w.ps:
            if p.state in _MODES and p.id not in self._legs:
                self._next_leg(p)

    def restart_legs(self) -> None:
        """Cores are shared differently: legs go on at their new rate."""
        for p in self._w.ps:
            if p.id in self._legs:
                self._end_leg(p)
                self._next_leg(p)

    # ---- assists -------------------------------------------------------------------------------------------

    def _owed(self, g: Goroutine) -> tuple[int, int]:
        """Scan work that the goroutine's debt amounts to, at least 64 KiB, and the bytes that pays for."""
        pacer = self._w.pacer
        debt_bytes = -g.credit
        work = int(pacer.assist_work_per_byte * debt_bytes)
        if work < OVER_ASSIST_WORK_BYTES:
            work = OVER_ASSIST_WORK_BYTES
            debt_bytes = int(pacer.assist_bytes_per_work * work)
        return work, debt_bytes

    def steal(self, g: Goroutine) -> bool:
        """Pay the goroutine's whole debt from background credit; False (and nothing taken) where that is too little."""
        if g.assist_began_ns >= 0:
            return False
        work, debt_bytes = self._owed(g)
        self._accrue()
        credit = int(self._credit)
        if credit < work:
            return False
        # While there is plenty for everybody, several such thefts are one.
        times = max(1, min(MAX_THEFTS, credit // (2 * self._w.procs * work)))
        g.credit += debt_bytes * times
        self._credit -= work * times
        return True

    def assist(self, p: P, g: Goroutine) -> None:
        """The goroutine on the P has allocated on debt.  Source: gcAssistAlloc."""
        if not self.needs_assists or self.steal(g):
            self._resume(p, g)
        else:
            self.assist_itself(p, g)

    def assist_itself(self, p: P, g: Goroutine) -> None:
        """Background credit does not cover the debt of the goroutine on the P: it takes what there is, and works."""
        w = self._w
        now = self._env.now
        pacer = w.pacer
        if g.assist_began_ns < 0:
            g.assist_began_ns = now
            g.assist_p = p.id
            g.assist_debt = -g.credit
            g.parked_ns = 0
            g.assist_stolen = 0
            g.assist_work = 0
        work, debt_bytes = self._owed(g)
        self._accrue()
        credit = int(self._credit)
        if credit > 0:
            stolen = min(credit, work)
            g.credit += debt_bytes if stolen == work else 1 + int(pacer.assist_bytes_per_work * stolen)
            self._credit -= stolen
            work -= stolen
            g.assist_stolen += stolen
            if work == 0:
                self._record_assist(g)
                self._resume(p, g)
                return
        stage = self._open_stage(p, assist=True)
        if stage is None:
            self._out_of_work(p, g)
            return
        if stage.work > 0.0:
            # A large debt is paid in several claims, so that others find work meanwhile.
            share = max(OVER_ASSIST_WORK_BYTES * stage.ns / stage.work, self.left_ns / (2 * w.procs))
            want = min(work * stage.ns / stage.work, share)
            claimed = want * stage.work / stage.ns
            if stage.walk is not None:
                # Wherever the walk has come to when this goroutine runs out of credit.
                want *= stage.walk.cost_of(claimed, float(self._rng.random()))
            ns, _ = self._claim(p, stage, want, None if stage.job_ns else claimed)
        else:
            ns, _ = self._claim(p, stage, stage.ns)
        w.set_state(p, "assist")
        p.began_ns = now
        p.limiter_event.start(LimiterEventType.MARK_ASSIST, now)
        p.at(now + math.ceil((ns + self._assist_overhead_ns) * w.cores.slow), self._assist_done)

    def _book_assist(self, p: P, done: float) -> None:
        g = p.goroutine
        assert g is not None
        w = self._w
        now = self._env.now
        work = self._finish_claim(p, done)
        g.credit += 1 + int(w.pacer.assist_bytes_per_work * work)
        g.assist_work += int(work)
        w.pacer.assist_time_cpu_ns += now - p.began_ns
        p.limiter_event.stop(LimiterEventType.MARK_ASSIST, now, w.limiter)
        w.limiter.update(now)
        w.watch.limiter(w)
        self.intervals.append((p.began_ns, now))

    def _assist_done(self, p: P) -> None:
        g = p.goroutine
        assert g is not None
        self._book_assist(p, 1.0)
        if self._check_complete(p):
            return
        if g.credit < 0:
            self.assist(p, g)
            return
        self._record_assist(g)
        self._resume(p, g)

    def cut_assist(self, p: P) -> None:
        """Preempted or stopped in an assist: what is done counts, the goroutine will find its debt again."""
        now = self._env.now
        total = (p.alarm.at_ns or now) - p.began_ns
        self._book_assist(p, min(1.0, (now - p.began_ns) / total) if total > 0 else 1.0)
        p.alarm.clear()

    def _out_of_work(self, p: P, g: Goroutine) -> None:
        """An assist that found nothing to do: it ends the phase, goes on, or waits for credit."""
        if self._check_complete(p):
            return
        if not self._claimed:
            # It believes that it ends the phase; the ragged barrier flushes every P's queues, and there is more.
            self._is_private = False
        if g.credit >= 0:
            self._record_assist(g)
            self._resume(p, g)
            return
        g.ready_ns = self._env.now  # start of the wait
        self.parked.append(g)
        p.goroutine = None
        self._plan_flow()
        self._w.sched.schedule(p)

    def _resume(self, p: P, g: Goroutine) -> None:
        p.began_ns = self._env.now
        self._w.set_state(p, "mutator")
        self._w.start_slice(p)

    def _record_assist(self, g: Goroutine) -> None:
        began = g.assist_began_ns
        if began < 0:
            return
        g.assist_began_ns = -1
        self.assists += 1
        w = self._w
        duration = self._env.now - began
        g.assisted(duration)
        w.probe.assist(
            AssistRecord(
                w.collector.cycle, w.probe.phase_at(began), began, duration, g.parked_ns, g.assist_p,
                g.request_class, g.assist_debt, g.assist_work, g.assist_stolen,
            )
        )  # fmt: skip

    # ---- colours -------------------------------------------------------------------------------------------

    @property
    def done_frac(self) -> float:
        """Share of the cycle's marking that is done (claims under way count as grey)."""
        if not self._total_ns:
            return 1.0
        held = sum(p.claim[1] for p in self._w.ps if p.claim is not None)
        return max(0.0, 1.0 - (self.left_ns + held) / self._total_ns)

    @property
    def grey_frac(self) -> float:
        """Share of the cycle's marking that somebody is at."""
        held = sum(p.claim[1] for p in self._w.ps if p.claim is not None)
        return held / self._total_ns if self._total_ns else 0.0
