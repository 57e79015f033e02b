"""The GC pacer: when a cycle starts, where it should end, and how much the mutator has to help.

`Pacer` follows Go's gcControllerState method by method and step by step, so that mgcpacer.go can be held beside it. Its
subclasses are the eras of the cons/mark estimate. Attributes are plain and mutable, as in Go: the runtime adds to the
counters as work accrues, then asks.

Two sentinels are Go's own, kept because every bit follows them: `gogc_percent` -1 is off, and `UINT64_MAX` is "none"
for `triggered_bytes` and "unlimited" for `gc_percent_heap_goal_bytes`. Fields that are uint64 in Go stay in
[0, 2^64), int64 ones in [-2^63, 2^63); the methods wrap where Go wraps.
"""

from __future__ import annotations

from typing import Final

from gcsim.policy.constants import (
    BACKGROUND_UTILIZATION_FRAC,
    DEFAULT_HEAP_MINIMUM_BYTES,
    GOAL_UTILIZATION_FRAC,
    GOGC_WHEN_OFF_PERCENT,
    MAX_OVERSHOOT,
    MAX_TRIGGER_RATIO_NUM,
    MEMORY_LIMIT_MIN_HEADROOM_BYTES,
    MIN_RUNWAY_BYTES,
    MIN_SCAN_WORK_REMAINING_BYTES,
    MIN_TRIGGER_RATIO_NUM,
    SWEEP_MIN_HEAP_DISTANCE_BYTES,
    TRIGGER_RATIO_DEN,
)
from gcsim.policy.conversions import (
    INT64_MAX,
    TWO_64,
    UINT64_MAX,
    divide,
    float_to_int64,
    float_to_uint64,
    wrap_int64,
)
from gcsim.policy.pi_controller import PIController
from gcsim.policy.releases import PacerEra, ReleaseRules, release_rules
from gcsim.policy.workers import MarkWorkerMode, TriggerKind, mark_worker_plan

__all__ = [
    "NOT_TRIGGERED",
    "NO_MEMORY_LIMIT_BYTES",
    "MarkWorkerMode",
    "MeanPacer",
    "PIPacer",
    "Pacer",
    "TriggerKind",
    "WindowPacer",
    "make_pacer",
]

NOT_TRIGGERED: Final = UINT64_MAX
NO_MEMORY_LIMIT_BYTES: Final = INT64_MAX


_ORDINARY_MAPPED_BYTES = 1 << 60
_ORDINARY_GOAL_BYTES = 1 << 62


class Pacer:
    """The mechanics all eras share; see the module text for its conventions.

    Args:
        gogc_percent: GOGC; negative is off.
        memory_limit_bytes: GOMEMLIMIT; `NO_MEMORY_LIMIT_BYTES` is none.
        memory_limit_headroom_percent: share of the memory-limit goal kept free, never less than 1 MiB in all.

    Source: runtime/mgcpacer.go gcControllerState (go1.19 .. go1.27). Simplified: no.
    """

    __slots__ = (
        "assist_bytes_per_work",
        "assist_time_cpu_ns",
        "assist_work_per_byte",
        "bg_scan_credit_bytes",
        "cons_mark",
        "dedicated_mark_time_cpu_ns",
        "dedicated_mark_workers_needed",
        "fractional_mark_time_cpu_ns",
        "fractional_utilization_goal",
        "gc_percent_heap_goal_bytes",
        "globals_scan_bytes",
        "globals_scan_work_bytes",
        "gogc_percent",
        "heap_free_bytes",
        "heap_live_bytes",
        "heap_marked_bytes",
        "heap_minimum_bytes",
        "heap_scan_bytes",
        "heap_scan_work_bytes",
        "idle_mark_time_cpu_ns",
        "idle_mark_workers",
        "last_cons_mark",
        "last_heap_goal_bytes",
        "last_heap_scan_bytes",
        "last_stack_scan_bytes",
        "mapped_ready_bytes",
        "mark_start_time_ns",
        "max_idle_mark_workers",
        "max_stack_scan_bytes",
        "memory_limit_bytes",
        "memory_limit_headroom_percent",
        "runway_bytes",
        "stack_scan_work_bytes",
        "sweep_dist_min_trigger_bytes",
        "total_alloc_bytes",
        "total_free_bytes",
        "triggered_bytes",
    )

    def __init__(
        self, *, gogc_percent: int, memory_limit_bytes: int, memory_limit_headroom_percent: int
    ) -> None:
        # Settings.
        self.gogc_percent = 0
        self.memory_limit_bytes = 0
        self.memory_limit_headroom_percent = memory_limit_headroom_percent
        # Computed by commit.
        self.heap_minimum_bytes = DEFAULT_HEAP_MINIMUM_BYTES
        self.gc_percent_heap_goal_bytes = 0
        self.sweep_dist_min_trigger_bytes = 0
        self.runway_bytes = 0
        # Estimated by end_cycle.
        self.cons_mark = 0.0
        self.last_cons_mark = [0.0, 0.0, 0.0, 0.0]  # measurements, newest last
        self.last_heap_goal_bytes = 0  # at the end of the last cycle; 0 before the first
        # The heap as counted now, and as the last cycle left it.
        self.triggered_bytes = NOT_TRIGGERED  # valid in the mark phase only
        self.heap_live_bytes = 0
        self.heap_marked_bytes = 0
        self.heap_scan_bytes = 0
        self.last_heap_scan_bytes = 0
        self.last_stack_scan_bytes = 0
        self.max_stack_scan_bytes = 0  # allocated stacks: an overestimate of what is scanned, the safe side
        self.globals_scan_bytes = 0
        # This cycle's work and time so far.
        self.heap_scan_work_bytes = 0
        self.stack_scan_work_bytes = 0
        self.globals_scan_work_bytes = 0
        self.bg_scan_credit_bytes = 0
        self.assist_time_cpu_ns = 0
        self.dedicated_mark_time_cpu_ns = 0
        self.fractional_mark_time_cpu_ns = 0
        self.idle_mark_time_cpu_ns = 0
        self.mark_start_time_ns = 0
        # Workers.
        self.dedicated_mark_workers_needed = 0  # still to start
        self.fractional_utilization_goal = 0.0
        self.idle_mark_workers = 0
        self.max_idle_mark_workers = 0
        # Computed by revise; the second is the inverse of the first.
        self.assist_work_per_byte = 0.0
        self.assist_bytes_per_work = 0.0
        # Memory as mapped, for the memory limit.
        self.mapped_ready_bytes = 0
        self.heap_free_bytes = 0
        self.total_alloc_bytes = 0
        self.total_free_bytes = 0

        self.set_gc_percent(gogc_percent)
        self.set_memory_limit(memory_limit_bytes)
        self.commit(sweep_done=True)  # There is nothing to sweep before the first cycle.

    # --- settings -------------------------------------------------------------------------------------------------

    def set_gc_percent(self, gogc_percent: int) -> int:
        """Set GOGC (negative: off) and return the old one. `commit` has to follow, and `revise` while marking."""
        old = self.gogc_percent
        gogc_percent = max(gogc_percent, -1)
        # With -1 the product wraps; harmless, since the goal is unlimited then.
        self.heap_minimum_bytes = (
            DEFAULT_HEAP_MINIMUM_BYTES * (gogc_percent & UINT64_MAX) & UINT64_MAX
        ) // 100
        self.gogc_percent = gogc_percent
        return old

    def set_memory_limit(self, memory_limit_bytes: int) -> int:
        """Set GOMEMLIMIT (negative: leave it) and return the old one. `commit` has to follow."""
        old = self.memory_limit_bytes
        if memory_limit_bytes >= 0:
            self.memory_limit_bytes = memory_limit_bytes
        return old

    def commit(self, sweep_done: bool) -> None:
        """Recompute goal, sweep distance and runway. `revise` has to follow while marking.

        Source: runtime/mgcpacer.go commit.
        """
        if sweep_done:
            self.sweep_dist_min_trigger_bytes = 0
        else:
            # Sweeping happens while the heap grows from live to the trigger: leave it some room.
            self.sweep_dist_min_trigger_bytes = (
                self.heap_live_bytes + SWEEP_MIN_HEAP_DISTANCE_BYTES
            ) & UINT64_MAX

        goal = UINT64_MAX
        if self.gogc_percent >= 0:
            base = self.heap_marked_bytes + self.last_stack_scan_bytes + self.globals_scan_bytes
            goal = (self.heap_marked_bytes + (base * self.gogc_percent & UINT64_MAX) // 100) & UINT64_MAX
        self.gc_percent_heap_goal_bytes = max(goal, self.heap_minimum_bytes)

        # Expected scan work times cons/mark is what the mutator allocates meanwhile if both had the same CPU time;
        # weighting by the division that marking aims at makes that division come true.
        expected = (
            self.last_heap_scan_bytes + self.last_stack_scan_bytes + self.globals_scan_bytes
        ) & UINT64_MAX
        self.runway_bytes = float_to_uint64(
            (self.cons_mark * (1 - GOAL_UTILIZATION_FRAC) / GOAL_UTILIZATION_FRAC) * float(expected)
        )

    # --- a cycle --------------------------------------------------------------------------------------------------

    def start_cycle(
        self, mark_start_time_ns: int, procs: int, trigger_kind: TriggerKind, *, stop_the_world: int = 0
    ) -> None:
        """Reset the cycle's counters, plan its workers and compute the first assist ratio, with the world stopped.

        Source: runtime/mgcpacer.go startCycle.
        """
        self.heap_scan_work_bytes = 0
        self.stack_scan_work_bytes = 0
        self.globals_scan_work_bytes = 0
        self.bg_scan_credit_bytes = 0
        self.assist_time_cpu_ns = 0
        self.dedicated_mark_time_cpu_ns = 0
        self.fractional_mark_time_cpu_ns = 0
        self.idle_mark_time_cpu_ns = 0
        self.mark_start_time_ns = mark_start_time_ns
        self.triggered_bytes = self._triggered_at_start()

        plan = mark_worker_plan(procs, trigger_kind, stop_the_world=stop_the_world)
        self.fractional_utilization_goal = plan.fractional_utilization_goal
        self.set_max_idle_mark_workers(plan.max_idle_mark_workers)
        self.dedicated_mark_workers_needed = plan.dedicated_mark_workers_needed
        self.revise()

    def revise(self) -> None:
        """Recompute the assist ratio; to be called in the mark phase whenever heap live or the goal has moved.

        Source: runtime/mgcpacer.go revise.
        """
        # Called on every span refill while marking: the common case wraps nothing, so the tests come
        # before the calls, and plain comparisons stand for min() and max().
        live = self.heap_live_bytes
        if live > INT64_MAX:
            live -= TWO_64
        work = self.heap_scan_work_bytes + self.stack_scan_work_bytes + self.globals_scan_work_bytes
        if work > INT64_MAX:
            work = wrap_int64(work)
        heap_goal = self.heap_goal_internal()[0]
        if heap_goal > INT64_MAX:
            heap_goal -= TWO_64

        # Expected: what the last cycle measured. Worst case: all that is scannable is live, stacks are in full use.
        globals_scan = self.globals_scan_bytes
        expected = self.last_heap_scan_bytes + self.last_stack_scan_bytes + globals_scan
        if expected > INT64_MAX:
            expected = wrap_int64(expected)
        worst = self.heap_scan_bytes + self.max_stack_scan_bytes + globals_scan
        if worst > INT64_MAX:
            worst = wrap_int64(worst)

        if work > expected:
            # The heap is growing. Stretch the runway to the worst case, which keeps assists flat, but not past the
            # goal the next cycle would have anyway.
            gogc_percent = self.gogc_percent
            if gogc_percent < 0:
                gogc_percent = GOGC_WHEN_OFF_PERCENT
            triggered = wrap_int64(self.triggered_bytes)
            stretched = divide(float(wrap_int64(heap_goal - triggered)), float(expected)) * float(worst)
            extended_goal = wrap_int64(float_to_int64(stretched) + triggered)
            expected = worst
            hard_goal = float_to_int64((1.0 + gogc_percent / 100.0) * float(heap_goal))
            heap_goal = min(extended_goal, hard_goal)
        if live > heap_goal:
            # Past even that goal: some extra runway, and the worst case of work.
            heap_goal = float_to_int64(float(heap_goal) * MAX_OVERSHOOT)
            expected = worst

        # Objects can be scanned twice, so the rest may come out negative; a little too high is a small miss.
        work_remaining = expected - work
        if not -INT64_MAX <= work_remaining <= INT64_MAX:
            work_remaining = wrap_int64(work_remaining)
        if work_remaining < MIN_SCAN_WORK_REMAINING_BYTES:
            work_remaining = MIN_SCAN_WORK_REMAINING_BYTES
        heap_remaining = heap_goal - live
        if not -INT64_MAX <= heap_remaining <= INT64_MAX:
            heap_remaining = wrap_int64(heap_remaining)
        if heap_remaining <= 0:
            heap_remaining = 1

        # Not int / int, which Python rounds once: Go rounds both operands first, and above 2^53 that differs.
        work_float = float(work_remaining)
        heap_float = float(heap_remaining)
        self.assist_work_per_byte = work_float / heap_float
        self.assist_bytes_per_work = heap_float / work_float

    def end_cycle(self, now_ns: int, procs: int) -> None:
        """Measure cons/mark at the end of marking and update the estimate, with the world stopped.

        Source: runtime/mgcpacer.go endCycle.
        """
        self.last_heap_goal_bytes = self.heap_goal()

        # Background workers are assumed to have met their goal; assists come on top.
        assist_duration_ns = wrap_int64(now_ns - self.mark_start_time_ns)
        cpu_ns = float(wrap_int64(assist_duration_ns * procs))
        utilization = BACKGROUND_UTILIZATION_FRAC
        if assist_duration_ns > 0:
            utilization += divide(float(self.assist_time_cpu_ns), cpu_ns)
        if self.heap_live_bytes <= self.triggered_bytes:
            return  # So short a cycle measured nothing.
        idle_utilization = 0.0
        if assist_duration_ns > 0:
            idle_utilization = divide(float(self.idle_mark_time_cpu_ns), cpu_ns)

        # Allocation ran for duration * procs * (1 - utilization), scanning for duration * procs * (utilization +
        # idle); duration and procs cancel out of the ratio. Idle time counts for the scan side only, since the
        # mutator is free to take it back at any time.
        scan_work = wrap_int64(
            self.heap_scan_work_bytes + self.stack_scan_work_bytes + self.globals_scan_work_bytes
        )
        measured = divide(
            float(self.heap_live_bytes - self.triggered_bytes) * (utilization + idle_utilization),
            float(scan_work) * (1 - utilization),
        )
        self.cons_mark = self._estimate(measured)
        self.last_cons_mark = [*self.last_cons_mark[1:], measured]

    def reset_live(self, bytes_marked: int) -> None:
        """Start counting from what was marked; after `end_cycle`, before `commit`, with the world stopped.

        Source: runtime/mgcpacer.go resetLive.
        """
        self.heap_marked_bytes = bytes_marked
        self.heap_live_bytes = bytes_marked
        self.heap_scan_bytes = self.heap_scan_work_bytes & UINT64_MAX
        self.last_heap_scan_bytes = self.heap_scan_work_bytes & UINT64_MAX
        self.last_stack_scan_bytes = self.stack_scan_work_bytes & UINT64_MAX
        self.triggered_bytes = NOT_TRIGGERED

    # --- workers --------------------------------------------------------------------------------------------------

    def take_dedicated_mark_worker(self) -> bool:
        """Claim one of the dedicated workers still needed; False when there is none.

        Source: runtime/mgcpacer.go findRunnableGCWorker, since go1.26 assignWaitingGCWorker (decIfPositive).
        """
        if self.dedicated_mark_workers_needed <= 0:
            return False
        self.dedicated_mark_workers_needed -= 1
        return True

    def mark_worker_stop(self, mode: MarkWorkerMode, duration_ns: int) -> None:
        """Account for a worker that stops after `duration_ns` on its P.

        Source: runtime/mgcpacer.go markWorkerStop.
        """
        if mode is MarkWorkerMode.DEDICATED:
            self.dedicated_mark_time_cpu_ns += duration_ns
            self.dedicated_mark_workers_needed += 1
        elif mode is MarkWorkerMode.FRACTIONAL:
            self.fractional_mark_time_cpu_ns += duration_ns
        else:
            self.idle_mark_time_cpu_ns += duration_ns
            self.remove_idle_mark_worker()

    def add_idle_mark_worker(self) -> bool:
        """Claim the place of an idle worker; False when all are taken."""
        if not self.need_idle_mark_worker():
            return False
        self.idle_mark_workers += 1
        return True

    def need_idle_mark_worker(self) -> bool:
        """Whether another idle worker may start."""
        return self.idle_mark_workers < self.max_idle_mark_workers

    def remove_idle_mark_worker(self) -> None:
        """Give the place of an idle worker back."""
        assert self.idle_mark_workers > 0, "no idle mark worker to remove"
        self.idle_mark_workers -= 1

    def set_max_idle_mark_workers(self, max_idle_mark_workers: int) -> None:
        """Set how many idle workers may run; those already running above it leave by themselves."""
        self.max_idle_mark_workers = max_idle_mark_workers

    # --- goals ----------------------------------------------------------------------------------------------------

    def heap_goal(self) -> int:
        """Heap size in bytes at which the present or next cycle should end."""
        return self.heap_goal_internal()[0]

    def heap_goal_internal(self) -> tuple[int, int]:
        """The heap goal, and the least trigger that goes with it; both in bytes.

        Source: runtime/mgcpacer.go heapGoalInternal.
        """
        goal = self.gc_percent_heap_goal_bytes
        # Without a limit its goal is 97 % of 2^63 less what is mapped: not worth computing against an ordinary goal.
        unlimited = (
            self.memory_limit_bytes == NO_MEMORY_LIMIT_BYTES
            and self.mapped_ready_bytes < _ORDINARY_MAPPED_BYTES
        )
        limit_goal = (
            UINT64_MAX if unlimited and goal < _ORDINARY_GOAL_BYTES else self.memory_limit_heap_goal()
        )
        if limit_goal < goal:
            # Nothing may push this goal up: neither the sweep distance nor the least runway applies.
            return limit_goal, 0
        sweep_dist_trigger = self.sweep_dist_min_trigger_bytes
        if goal < sweep_dist_trigger:
            goal = sweep_dist_trigger
        triggered = self.triggered_bytes
        if triggered != NOT_TRIGGERED:
            # The cycle may have started late, or a large allocation jumped over the trigger.
            least_goal = (triggered + MIN_RUNWAY_BYTES) & UINT64_MAX
            if goal < least_goal:
                goal = least_goal
        return goal, sweep_dist_trigger

    def memory_limit_heap_goal(self) -> int:
        """The heap goal in bytes that keeps all mapped memory under the limit.

        Source: runtime/mgcpacer.go memoryLimitHeapGoal.
        """
        mapped_ready = self.mapped_ready_bytes
        heap_kept = self.heap_free_bytes + ((self.total_alloc_bytes - self.total_free_bytes) & UINT64_MAX)
        # Go reads these without a lock and tries again until they fit; here only a wrong account can fail.
        assert heap_kept & UINT64_MAX <= mapped_ready, "free and allocated heap exceed the mapped memory"
        limit = self.memory_limit_bytes

        # What counts against the limit and is not heap, and twice what already exceeds the limit.
        taken = (mapped_ready - heap_kept) & UINT64_MAX
        if mapped_ready > limit:
            taken = (taken + mapped_ready - limit) & UINT64_MAX
        if taken >= limit:
            # Nothing helps but collecting all the time; the CPU limiter has to rein that in.
            return self.heap_marked_bytes
        goal = limit - taken

        headroom = goal // 100 * self.memory_limit_headroom_percent
        if headroom < MEMORY_LIMIT_MIN_HEADROOM_BYTES:
            headroom = MEMORY_LIMIT_MIN_HEADROOM_BYTES
        goal -= headroom
        if goal < headroom:
            goal = headroom
        marked = self.heap_marked_bytes
        return goal if goal > marked else marked

    def trigger(self) -> tuple[int, int]:
        """Heap live at which a cycle should start, and the heap goal; both in bytes, trigger <= goal.

        Source: runtime/mgcpacer.go trigger.
        """
        goal, min_trigger = self.heap_goal_internal()
        marked = self.heap_marked_bytes
        if marked >= goal:
            return goal, goal  # A cycle all the time.

        # Too low a trigger would mean allocating black most of the time, and so a growing heap.
        room = (goal - marked) // TRIGGER_RATIO_DEN
        min_trigger = max(min_trigger, marked, room * MIN_TRIGGER_RATIO_NUM + marked)
        # Too high a one would leave no room to mark in. The minimum heap is the room for a cycle without work.
        max_trigger = room * MAX_TRIGGER_RATIO_NUM + marked
        if goal > DEFAULT_HEAP_MINIMUM_BYTES:
            max_trigger = max(max_trigger, goal - DEFAULT_HEAP_MINIMUM_BYTES)
        max_trigger = max(max_trigger, min_trigger)

        trigger = min_trigger if self.runway_bytes > goal else goal - self.runway_bytes
        trigger = min(max(trigger, min_trigger), max_trigger)
        assert trigger <= goal, "trigger above the heap goal"
        return trigger, goal

    # --- what the eras decide -------------------------------------------------------------------------------------

    def _triggered_at_start(self) -> int:
        """Where the cycle that starts now counts its allocation from."""
        return self.heap_live_bytes

    def _estimate(self, measured: float) -> float:
        """The new cons/mark estimate, from this cycle's measurement and the state before it."""
        raise NotImplementedError


class WindowPacer(Pacer):
    """Go 1.21 to 1.27: the largest of the last five measurements, so that noise errs towards starting early.

    Source: runtime/mgcpacer.go endCycle (go1.21 .. go1.27). Simplified: no.
    """

    __slots__ = ()

    def _estimate(self, measured: float) -> float:
        # In Go's order: max() keeps the first where no comparison holds, so a NaN measurement stays.
        return max(measured, *self.last_cons_mark)


class MeanPacer(Pacer):
    """Go 1.20: the mean of the last two measurements.

    Source: release notes of go1.20, not checked against its code or any recorded number.
    """

    __slots__ = ()

    def _estimate(self, measured: float) -> float:
        return (measured + self.last_cons_mark[-1]) / 2


class PIPacer(Pacer):
    """Go 1.19: a PI controller smooths the measurements; it can undershoot, overshoot and go negative.

    Source: runtime/mgcpacer.go endCycle, consMarkController (go1.19). Simplified: no.
    """

    __slots__ = ("cons_mark_controller",)

    def __init__(
        self, *, gogc_percent: int, memory_limit_bytes: int, memory_limit_headroom_percent: int
    ) -> None:
        # Time is counted in cycles. The bounds are far outside what is reached; they only keep the output finite.
        self.cons_mark_controller = PIController(kp=0.9, ti=4.0, tt=1000.0, minimum=-1000.0, maximum=1000.0)
        super().__init__(
            gogc_percent=gogc_percent,
            memory_limit_bytes=memory_limit_bytes,
            memory_limit_headroom_percent=memory_limit_headroom_percent,
        )

    def _triggered_at_start(self) -> int:
        # The trigger as computed, even when the heap is already elsewhere: golang/go#53738.
        return self.trigger()[0]

    def _estimate(self, measured: float) -> float:
        estimate, ok = self.cons_mark_controller.next(self.cons_mark, measured, 1.0)
        return estimate if ok else 0.0


_ERAS: Final[dict[PacerEra, type[Pacer]]] = {
    PacerEra.PI: PIPacer,
    PacerEra.MEAN: MeanPacer,
    PacerEra.WINDOW: WindowPacer,
}


def make_pacer(release: ReleaseRules | str, *, gogc_percent: int, memory_limit_bytes: int) -> Pacer:
    """The pacer of a release, as it is at program start.

    Args:
        release: the release's rules, or the name of its profile ("1.27").
        gogc_percent: GOGC; negative is off.
        memory_limit_bytes: GOMEMLIMIT; `NO_MEMORY_LIMIT_BYTES` is none.
    Raises:
        ValueError: no such profile.
    """
    rules = release_rules(release) if isinstance(release, str) else release
    return _ERAS[rules.pacer_era](
        gogc_percent=gogc_percent,
        memory_limit_bytes=memory_limit_bytes,
        memory_limit_headroom_percent=rules.memory_limit_headroom_percent,
    )
