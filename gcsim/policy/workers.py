"""How many mark workers a cycle gets, and when a fractional one starts and leaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gcsim.policy.constants import (
    BACKGROUND_UTILIZATION_FRAC,
    FRACTIONAL_EXIT_FACTOR,
    MAX_UTILIZATION_ERROR_FRAC,
)


class TriggerKind(Enum):
    """Why a cycle starts: the heap reached its trigger, two minutes passed, or the program asked (`runtime.GC`)."""

    HEAP = "heap"
    TIME = "time"
    CYCLE = "cycle"


class MarkWorkerMode(Enum):
    """How a P came to mark: for the whole phase, for its share of time, or because it had nothing else to do."""

    DEDICATED = "dedicated"
    FRACTIONAL = "fractional"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class MarkWorkerPlan:
    """The workers of one mark phase.

    `fractional_utilization_goal` is the share of wall time that each P without a dedicated worker gives to a
    fractional one; 0.0 means there is none.
    """

    dedicated_mark_workers_needed: int
    fractional_utilization_goal: float
    max_idle_mark_workers: int


def mark_worker_plan(procs: int, trigger_kind: TriggerKind, *, stop_the_world: int = 0) -> MarkWorkerPlan:
    """Plan the workers for `procs` Ps (>= 1); `stop_the_world` > 0 is the debug setting `gcstoptheworld`.

    Source: runtime/mgcpacer.go startCycle (go1.19 .. go1.27). Simplified: no.
    """
    total_goal = procs * BACKGROUND_UTILIZATION_FRAC
    dedicated = int(total_goal + 0.5)
    error = dedicated / total_goal - 1
    fractional = 0.0
    if error < -MAX_UTILIZATION_ERROR_FRAC or error > MAX_UTILIZATION_ERROR_FRAC:
        # Rounding missed by more than 30 %, as it does for P = 1, 2, 3 and 6: the fractional worker makes up for it.
        if dedicated > total_goal:
            dedicated -= 1
        fractional = (total_goal - dedicated) / procs
    if stop_the_world > 0:
        dedicated = procs
        fractional = 0.0
    if trigger_kind is TriggerKind.TIME:
        # A periodic cycle runs on an idle system, where nothing is in a hurry. Without a dedicated worker one idle
        # worker has to stay, since nothing guarantees that a fractional one is ever scheduled.
        max_idle = 0 if dedicated > 0 else 1
    else:
        max_idle = procs - dedicated
    return MarkWorkerPlan(dedicated, fractional, max_idle)


def may_start_fractional_worker(*, fractional_mark_ns: int, since_mark_start_ns: int, goal: float) -> bool:
    """Whether a P whose fractional worker ran `fractional_mark_ns` in this cycle may run it again.

    Args:
        fractional_mark_ns: wall time this P gave to the fractional worker since mark start.
        since_mark_start_ns: wall time since mark start; at or before it the worker may always start.
        goal: the plan's `fractional_utilization_goal`; 0.0 means no fractional worker at all.

    Source: runtime/mgcpacer.go findRunnableGCWorker, since go1.26 assignWaitingGCWorker. Simplified: no.
    """
    if goal == 0.0:
        return False
    return since_mark_start_ns <= 0 or fractional_mark_ns / since_mark_start_ns <= goal


def should_leave_fractional_worker(*, fractional_mark_ns: int, since_mark_start_ns: int, goal: float) -> bool:
    """Whether a running fractional worker, at one of its checks, has had its share; 1.2 times it, to avoid flapping.

    Args:
        fractional_mark_ns: wall time this P gave to the fractional worker, the present stretch included.
        since_mark_start_ns: wall time since mark start; at or before it the worker leaves.
        goal: the plan's `fractional_utilization_goal`.

    Source: runtime/mgc.go pollFractionalWorkerExit (go1.19 .. go1.27). Simplified: no.
    """
    if since_mark_start_ns <= 0:
        return True
    return fractional_mark_ns / since_mark_start_ns > FRACTIONAL_EXIT_FACTOR * goal
